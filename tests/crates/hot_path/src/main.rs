//! Log calls as a user's release build has them, for tests/hot_path.rs to count, to read, and to lock in.
//!
//! ```text
//! hot-path count CALLS     so many calls in each of the `counted…`, for callgrind
//! hot-path listen RECORDS  so many of three numbers into lines of `Text`, handed out in `listened`, for callgrind;
//!                          prints the nanoseconds that each took
//! hot-path sealed          1,000 calls of each kind, of a thread that may make no system call
//! hot-path sealed write    the same, and then one: the process is killed
//! hot-path steady          a call each millisecond for 2 s; prints how often one wakes the listener
//! ```

mod calls;
#[path = "../../../../benches/common/mod.rs"]
mod common;
mod lanes;
mod sealed;

use std::time::Instant;

use tracing_subscriber::prelude::*;
use treering::{Guard, Wait, handler};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["count", calls] => count(calls.parse().expect("a number of calls")),
        ["listen", records] => listen(records.parse().expect("a number of records")),
        ["sealed"] => sealed::thousand_calls(false),
        ["sealed", "write"] => sealed::thousand_calls(true),
        ["steady"] => sealed::steady_traffic(),
        // Never; they are here to be read.
        ["read", ..] => calls::all(),
        _ => panic!("see the head of {}", file!()),
    }
}

fn start(wait: Wait) -> Guard {
    let handler = handler::Capture::new();
    treering::builder().ring_capacity(4 << 20).wait(wait).handler(handler).init().expect("the engine starts")
}

/// What the listener does, on this thread. The lines go nowhere, so that no disk is measured.
fn listen(records: u64) {
    let file = handler::File::append("/dev/null").expect("it is there");
    let builder = treering::builder().ring_capacity(8 << 20).wait(Wait::Manual);
    let guard = builder.handler(file).init().expect("the engine starts");
    calls::filled(1_000);
    calls::listened(&guard); // buffers have their sizes
    calls::filled(records);
    let began = Instant::now();
    calls::listened(&guard);
    println!("{:.1}", began.elapsed().as_nanos() as f64 / records as f64);
    let report = guard.stats();
    assert_eq!((report.dispatched, report.dropped), (1_000 + records, 0), "{report}");
}

/// Without a listener's thread: callgrind counts the instructions of all threads together.
fn count(calls: u64) {
    const TEXT: &str = "forty bytes: 0123456789 0123456789 01234";
    let guard = start(Wait::Manual);
    calls::three(1, 2, 3.0);
    calls::counted(calls, 7, 12.5);
    calls::counted_plain(calls);
    calls::counted_one(calls);
    calls::counted_text(calls, TEXT);
    calls::counted_fields(calls, TEXT);
    calls::counted_derived(calls);
    calls::counted_limited(calls, 7, 12.5);
    calls::counted_kept_back(calls, 7, 12.5);
    calls::counted_log(calls, 7);
    calls::counted_disabled(calls, 7, 12.5);
    assert_eq!(calls::counted_asked(calls), calls);
    let context = treering::context!("request", id = 7);
    context.in_scope(|| {
        calls::three(1, 2, 3.0);
        calls::counted_in_context(calls, 7, 12.5);
    });
    calls::counted_enter(&context, calls);
    count_tracing(calls);
    let report = guard.stats();
    // `three` beside the loops, and the one that is not kept back.
    assert_eq!((report.submitted, report.dropped), (12 * calls + 8, 0), "{report}");
    let instance = treering::builder().ring_capacity(1 << 20).wait(Wait::Manual);
    let (logger, guard) = instance.handler(handler::Capture::new()).start().expect("a second engine starts");
    calls::counted_named(&logger, calls, 7, 12.5);
    treering::context!(logger: logger, "request", id = 7)
        .in_scope(|| calls::counted_named_in_context(&logger, calls, 7, 12.5));
    assert_eq!(guard.stats().submitted, 2 * calls + 2);
    let floor = common::floor::Floor::start();
    calls::counted_floor(calls, 7, 12.5);
    drop(floor);
    lanes::count(calls);
}

/// Events in two spans, and spans.
fn count_tracing(calls: u64) {
    tracing_subscriber::registry().with(treering_tracing::layer()).init();
    let _request = tracing::info_span!("request", id = 7, path = "/orders").entered();
    let _query = tracing::info_span!("query", table = "orders").entered();
    calls::counted_event(calls, 100);
    calls::counted_disabled_event(calls, 100);
    calls::counted_span(calls);
}
