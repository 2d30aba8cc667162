//! A process that does not log: what the engine costs it, and how soon it is there again. One test, so that nothing
//! else runs in this process.

#![allow(clippy::print_stderr, reason = "tests tell their figures")]

mod support;

use std::sync::mpsc;
use std::time::{Duration, Instant};

use support::{SOON, each, thread_named};
use treering::info;

/// How long all threads of this process together have run.
fn processor_time() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let nanos = tasks.map(|task| {
        let text = std::fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap_or_default();
        text.split(' ').next().and_then(|nanos| nanos.parse::<u64>().ok()).unwrap_or(0)
    });
    Duration::from_nanos(nanos.sum())
}

/// How often the thread has gone to sleep.
fn sleeps(thread: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/self/task/{thread}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn an_idle_engine_sleeps_and_is_there_at_once_for_the_next_record() {
    const IDLE: Duration = Duration::from_secs(5);
    let (tell, told) = mpsc::channel();
    let (logger, guard) = treering::builder()
        .thread_name("idle-listener")
        .handler(each(move |_| tell.send(Instant::now()).unwrap()))
        .start()
        .unwrap();
    info!(logger: logger, "awake");
    told.recv_timeout(SOON).unwrap();
    std::thread::sleep(Duration::from_millis(300)); // until it is idle

    let listener = thread_named("idle-listener");
    let (time, slept, start) = (processor_time(), sleeps(listener), Instant::now());
    std::thread::sleep(IDLE);
    let (time, slept, took) = (processor_time() - time, sleeps(listener) - slept, start.elapsed());
    let share = time.as_secs_f64() / took.as_secs_f64();
    let wakes_per_second = slept as f64 / took.as_secs_f64();
    assert!(share < 0.005, "{time:?} of processor time in {took:?}");
    assert!(wakes_per_second <= 20.0, "{wakes_per_second} wake-ups a second");
    assert!(slept > 0, "it wakes for its housekeeping, or the wrong thread was looked at");

    // The machine may be busy with something else: the best of five counts.
    let ways: Vec<_> = (0..5)
        .map(|n| {
            std::thread::sleep(Duration::from_millis(500));
            let start = Instant::now();
            info!(logger: logger, "after silence {n}");
            told.recv_timeout(SOON).unwrap() - start
        })
        .collect();
    let best = *ways.iter().min().unwrap();
    assert!(best < Duration::from_millis(5), "{ways:?}");
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless(), "{report}");
    eprintln!("{:.3} % of a core, {wakes_per_second:.1} wake-ups a second, then {ways:.0?}", share * 100.0);
}
