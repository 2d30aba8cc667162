//! Log calls as a user's release build has them, for tests/hot_path.rs to count, to disassemble, and to lock in.
//!
//! ```text
//! hot-path count CALLS     makes so many calls inside of `counted`, and as many turns of an empty loop in `empty`
//! ```

mod calls;

use std::hint::black_box;

use treering::{Wait, handler};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["count", calls] => count(calls.parse().expect("a number of calls")),
        _ => panic!("see the head of {}", file!()),
    }
}

/// Without a listener's thread: callgrind counts those of all threads together.
fn count(calls: u64) {
    let guard = treering::builder()
        .ring_capacity(1 << 20)
        .wait(Wait::Manual)
        .handler(handler::Capture::new())
        .init()
        .expect("the engine starts");
    calls::three(1, 2, 3.0); // gives the thread its ring and the callsite its id
    calls::counted(black_box(calls), 7, 12.5);
    calls::empty(black_box(calls));
    let report = guard.stats();
    assert_eq!((report.submitted, report.dropped), (calls + 1, 0), "{report}");
}
