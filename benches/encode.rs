//! What it costs to bring arguments into a record: the part of a call between reserve and commit that grows with its
//! arguments. The rest of the call is in `hot_path`.
//!
//! ```text
//! cargo bench --bench encode
//! ```
//! Calls what the macros expand to, `treering::__private`, which is nobody else's business.
#![allow(unsafe_code, reason = "writes words through a pointer, as the ring does")]

use std::hint::black_box;
use std::time::Duration;

use criterion::Criterion;
use treering::__private::{Arguments, Encode as _, Shown};

/// Longer than any record here.
const WORDS: usize = 64;
const TEXT: &str = "a string of forty bytes, as they come...";

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    bench(&mut criterion, "one number", || (black_box(7_u64).hold(), ()));
    bench(&mut criterion, "three numbers", || {
        (black_box(7_u64).hold(), (black_box(8_u64).hold(), (black_box(9.5_f64).hold(), ())))
    });
    bench(&mut criterion, "a string", || (black_box(TEXT).hold(), ()));
    bench(&mut criterion, "fields", || {
        let (id, status) = (black_box(7_u64), black_box(200_u16));
        let took = black_box(Duration::from_micros(15));
        let (method, path) = (black_box("GET"), black_box(TEXT));
        (id.hold(), (method.hold(), (path.hold(), (status.hold(), (took.hold(), ())))))
    });
    let eight = [1_u32, 2, 3, 4, 5, 6, 7, 8];
    bench(&mut criterion, "eight packed numbers", || (black_box(&eight).hold(), ()));
    // By its `Display`, at the call: what deferring saves.
    bench(&mut criterion, "eager text", || (Shown::new(black_box(&9.5_f64)), ()));
    criterion.final_summary();
}

fn bench<A: Arguments>(criterion: &mut Criterion, name: &str, arguments: impl Fn() -> A) {
    let (mut words, mut scratch) = ([0_u64; WORDS], Vec::new());
    assert!(arguments().words() <= WORDS);
    criterion.bench_function(&format!("encode/{name}"), |bencher| {
        bencher.iter(|| {
            let mut arguments = arguments();
            if A::EAGER {
                scratch.clear();
                arguments.format(&mut scratch);
            }
            let length = black_box(arguments.words());
            assert!(length <= WORDS);
            // SAFETY: the words are enough, and the scratch is what `format` left.
            unsafe { arguments.write(&scratch, words.as_mut_ptr()) };
            black_box(&mut words);
        });
    });
}
