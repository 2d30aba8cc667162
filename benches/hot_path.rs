//! What a call costs the thread that makes it, beside the floor (see `common/floor.rs`) in the same process.
//!
//! ```text
//! cargo bench --bench hot_path
//! ```
//! Calls come in bursts of 20, and only the bursts are timed. Between two bursts the program waits until the last one
//! was drained, and 30 µs at least, so no ring ever fills and no figure holds back-pressure: the run ends with an
//! assertion that nothing was dropped. A burst is timed by `Instant`, whose cost is about one nanosecond a call.
//!
//! The median of a burst in a warm loop is the best a program can hope for. `burst` measures what is left of it after
//! two milliseconds of other work.

mod common;

use std::hint::{black_box, spin_loop};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::BURST;
use common::floor::{self, Floor};
use common::sink::Sink;
use criterion::Criterion;
use treering::{debug, info};

/// At least this long between two bursts: the listener is done, and has not gone to sleep yet.
const PAUSE: Duration = Duration::from_micros(30);
const TEXT: &str = "a string of forty bytes, as they come...";

fn main() {
    let sink = Sink::default();
    let guard = treering::builder().filter("info").handler(sink.clone()).init().expect("no engine runs yet");
    let floor = Floor::start();
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(50)
        .configure_from_args();
    let enabled = Bursts { drained: &sink.handled };
    enabled.bench(&mut criterion, "plain", |_| info!("nothing to say"));
    enabled.bench(&mut criterion, "one number", |i| info!("{}", i));
    enabled.bench(&mut criterion, "three numbers", |i| info!("{} {} {}", i, i >> 1, i as f64));
    enabled.bench(&mut criterion, "a string", |_| info!("{}", black_box(TEXT)));
    enabled.bench(&mut criterion, "fields", |i| {
        info!(id = i, method = "GET", path = black_box(TEXT), status = 200_u16, "request")
    });
    Bursts { drained: &floor.drained }.bench(&mut criterion, "floor of three numbers", |i| {
        assert!(floor::log(i, i >> 1, i as f64), "the floor's ring is full");
    });
    criterion.bench_function("hot_path/disabled", |bencher| {
        let mut i = 0_u64;
        bencher.iter(|| {
            i = black_box(i + 1);
            debug!("{} {} {}", i, i >> 1, i as f64);
        });
    });
    criterion.final_summary();

    let books = guard.stop(Duration::from_secs(5)).expect("this is not the listener's thread");
    books.assert_balanced();
    assert!(books.is_lossless(), "the caller was not alone measured: {books}");
}

/// Calls in bursts, each of which is drained before the next one.
struct Bursts<'a> {
    drained: &'a AtomicU64,
}

impl Bursts<'_> {
    fn bench(&self, criterion: &mut Criterion, name: &str, call: impl Fn(u64)) {
        criterion.bench_function(&format!("hot_path/{name}"), |bencher| {
            bencher.iter_custom(|calls| {
                (0..calls).step_by(BURST as usize).map(|at| self.burst(at, calls, &call)).sum()
            });
        });
    }

    /// Makes up to [`BURST`] calls and returns how long they took.
    fn burst(&self, at: u64, calls: u64, call: impl Fn(u64)) -> Duration {
        let length = BURST.min(calls - at);
        let drained = self.drained.load(Ordering::Acquire) + length;
        let began = Instant::now();
        for i in at..at + length {
            call(black_box(i));
        }
        let took = began.elapsed();
        let pause = Instant::now() + PAUSE;
        while self.drained.load(Ordering::Acquire) < drained || Instant::now() < pause {
            spin_loop();
        }
        took
    }
}
