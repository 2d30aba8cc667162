//! Records per second to the last byte in a file: from the first call until `stop` has returned.
//!
//! ```text
//! cargo bench --bench throughput
//! ```
//! The rings are full most of the time and `Overflow::block` holds the callers back, so this measures the listener:
//! draining, merging by time, formatting as `Text` (time, level, target, three numbers), writing. Outside of the
//! timing the lines of each file are counted.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use treering::{Overflow, handler, info};

/// Records of one run, over all threads.
const RECORDS: u64 = 400_000;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(5))
        .sample_size(10)
        .configure_from_args();
    let directory = tempfile::tempdir().expect("a directory for the log file");
    let path = directory.path().join("throughput.log");
    let mut group = criterion.benchmark_group("throughput");
    group.throughput(Throughput::Elements(RECORDS));
    for threads in [1, 4] {
        group.bench_function(format!("{threads} threads"), |bencher| {
            bencher.iter_custom(|runs| (0..runs).map(|_| run(threads, &path)).sum());
        });
    }
    group.finish();
    criterion.final_summary();
}

/// One engine's life; returns how long its records took.
fn run(threads: u64, path: &Path) -> Duration {
    let guard = treering::builder()
        .filter("info")
        .overflow(Overflow::block(Duration::from_secs(10)))
        .handler(handler::File::append(path).expect("the directory is ours"))
        .init()
        .expect("the engine before was stopped");

    let began = Instant::now();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| log(RECORDS / threads));
        }
    });
    let books = guard.stop(Duration::from_secs(30)).expect("this is not the listener's thread");
    let took = began.elapsed();

    books.assert_balanced();
    assert!(books.is_lossless(), "records were lost: {books}");
    let bytes = fs::read(path).expect("the file was just written");
    let lines = bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
    assert_eq!((books.submitted, lines), (RECORDS, RECORDS));
    fs::remove_file(path).expect("the directory is ours");
    took
}

fn log(records: u64) {
    for i in 0..records {
        info!("filled {} of {} at {}", i, records, i as f64 * 0.25);
    }
}
