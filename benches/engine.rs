//! What an engine costs beside its calls: its start, a round of its listener against the threads that have rings, writes,
//! memory. The lines of the budget (docs/hot-path.md) that no test and no other benchmark measures.
//!
//! ```text
//! cargo bench --bench engine
//! ```

#![expect(clippy::print_stdout, reason = "prints a table")]

mod common;

use std::fs;
use std::hint::spin_loop;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::is_only_a_test;
use common::sink::Sink;
use treering::{Overflow, Wait, builder, handler, info};

/// Much longer than anything here takes.
const SOON: Duration = Duration::from_secs(60);

fn main() {
    let few = is_only_a_test();
    start(if few { 2 } else { 50 });
    writes(if few { 1_000 } else { 2_000_000 });
    for threads in if few { vec![1] } else { vec![1, 10, 100, 500, 1_000] } {
        rounds(threads, if few { 2 } else { 500 });
    }
}

/// How long `init()` takes where eight other threads are.
fn start(times: usize) {
    for (what, is_busy) in [("asleep", false), ("busy", true)] {
        let done = AtomicBool::new(false);
        let mut took: Vec<Duration> = thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        if is_busy { spin_loop() } else { thread::sleep(Duration::from_millis(5)) }
                    }
                });
            }
            let took = (0..times).map(|_| {
                let began = Instant::now();
                let guard = builder().handler(Sink::default()).init().expect("the engine before was stopped");
                let took = began.elapsed();
                guard.stop(SOON).expect("this is not the listener's thread");
                took
            });
            let took = took.collect();
            done.store(true, Ordering::Relaxed);
            took
        });
        took.sort_unstable();
        let [middle, most] = [took[times / 2], took[times - 1]];
        println!(
            "init() beside eight threads, {what}: median {middle:.0?}, {times} times, at most {most:.0?}"
        );
    }
}

/// How much a `write` has of lines that come as fast as they can.
fn writes(records: u64) {
    let directory = tempfile::tempdir().expect("a directory for the log file");
    let file = handler::File::append(directory.path().join("log")).expect("the directory is ours");
    let builder = builder().overflow(Overflow::block(SOON)).handler(file);
    let (logger, guard) = builder.start().expect("an engine");
    let [calls_before, bytes_before] = written();
    for record in 0..records {
        info!(logger: logger, "{} {} {}", record, record >> 1, record as f64);
    }
    assert!(guard.stop(SOON).expect("this is not the listener's thread").is_lossless());
    let [calls, bytes] = written();
    let (calls, bytes) = (calls - calls_before, bytes - bytes_before);
    let of_32_kib = calls as f64 * 32.0 * 1024.0 / bytes as f64;
    println!("{records} records under load: {calls} writes of {bytes} bytes, {of_32_kib:.2} for each 32 KiB");
}

/// System calls that write, of this process, and their bytes.
fn written() -> [u64; 2] {
    let io = fs::read_to_string("/proc/self/io").expect("Linux tells");
    ["syscw: ", "wchar: "].map(|name| number_behind(&io, name))
}

/// What a round of the listener takes while so many threads have rings, if none of them logs, and if each logs once; and
/// what their rings take.
fn rounds(threads: usize, times: usize) {
    let before = resident_kib();
    let (logger, guard) = builder().wait(Wait::Manual).handler(Sink::default()).start().expect("an engine");
    let turn = Barrier::new(threads + 1);
    let done = AtomicBool::new(false);
    let [mut empty, mut full] = [Vec::new(), Vec::new()];
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    info!(logger: logger, "{} {} {}", 1_u64, 2_u64, 3.0);
                    turn.wait(); // all have logged
                    turn.wait(); // and were heard
                }
            });
        }
        for time in 0..times {
            turn.wait();
            let began = Instant::now();
            assert_eq!(guard.poll().expect("this is not the listener's thread"), threads);
            full.push(began.elapsed());
            let began = Instant::now();
            guard.poll().expect("as above");
            empty.push(began.elapsed());
            done.store(time + 1 == times, Ordering::Relaxed);
            turn.wait();
        }
    });
    let resident = resident_kib().saturating_sub(before);
    let [empty, full] = [empty, full].map(|mut took| {
        took.sort_unstable();
        took[times / 2]
    });
    let report = guard.stop(SOON).expect("this is not the listener's thread");
    assert!(report.is_lossless());
    let rings = report.rings;
    println!(
        "{threads} threads, {rings} rings: a round {empty:.1?}, of a record each {full:.1?}; {resident} KiB more"
    );
}

fn resident_kib() -> u64 {
    number_behind(&fs::read_to_string("/proc/self/status").expect("Linux tells"), "VmRSS:")
}

fn number_behind(text: &str, name: &str) -> u64 {
    let rest = text.lines().find_map(|line| line.strip_prefix(name)).expect("a line of this name");
    rest.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number")
}
