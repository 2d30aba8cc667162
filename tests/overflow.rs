//! Full rings: what is lost is counted, by level, and the stream says where; what waits is delivered or counted.

#![allow(clippy::print_stderr, reason = "tests tell their figures")]

mod support;

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use support::ledger::{compare, receiver};
use support::{Gate, LONG, SOON, each, own_thread_id};
use treering::handler::Capture;
use treering::{Level, Overflow, Wait, debug, error, handler, info, log, trace, warn};

const LOSS: &str = "treering::loss";

#[test]
fn what_a_slow_handler_costs_is_counted_to_the_record_in_both_ledgers_and_told_in_the_stream_by_level() {
    const THREADS: u64 = 4;
    const RECORDS: u64 = 100_000;
    let (take, received) = receiver(Duration::from_micros(1), None);
    let (logger, guard) =
        treering::builder().filter("trace").ring_capacity(4096).handler(take).start().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for n in 0..RECORDS {
                    match n % 5 {
                        0 => error!(logger: logger, "{n}"),
                        1 => warn!(logger: logger, "{n}"),
                        2 => info!(logger: logger, "{n}"),
                        3 => debug!(logger: logger, "{n}"),
                        _ => trace!(logger: logger, "{n}"),
                    }
                    if n % 4096 == 0 {
                        std::thread::sleep(Duration::from_millis(1)); // so that there are many losses, not one
                    }
                }
            });
        }
    });
    let report = guard.stop(LONG).unwrap();
    let received = received.lock().unwrap();
    compare(&report, [THREADS * RECORDS / 5; 5], &received);
    assert!(received.losses.len() as u64 > THREADS, "{:?}", received.losses);
    assert!(report.dropped > 0 && !report.is_lossless());
    eprintln!(
        "{} of {} dropped, told by {} records",
        report.dropped,
        report.submitted,
        received.losses.len()
    );
}

#[test]
fn when_info_is_dropped_warn_and_error_still_find_room() {
    let gate = Gate::closed();
    let (take, received) = receiver(Duration::ZERO, Some(gate.clone()));
    let (logger, guard) = treering::builder().ring_capacity(64 * 1024).handler(take).start().unwrap();
    info!(logger: logger, "the listener takes this one and is held");
    gate.wait_for_guest();
    let mut infos = 1;
    while guard.stats().dropped == 0 {
        info!(logger: logger, "{infos}");
        infos += 1;
    }
    // The last eighth of 64 KiB are 1024 words. Each round needs 15: a loss record of 9, and two records of 3.
    for n in 0..50 {
        warn!(logger: logger, "{n}");
        error!(logger: logger, "{n}");
        info!(logger: logger, "{n}");
    }
    let report = guard.stats();
    assert_eq!(report.dropped_by_level, [0, 0, 51, 0, 0], "all of INFO, none of the others");
    gate.open();
    let report = guard.stop(LONG).unwrap();
    compare(&report, [50, 50, infos + 50, 0, 0], &received.lock().unwrap());
}

/// Fills the calling thread's ring, while the listener stands before the gate, until `lost` records were dropped from it;
/// how many were logged.
fn lose(logger: &treering::Logger, gate: &Gate, lost: u64) -> u64 {
    info!(logger: logger, "{}", 0);
    gate.wait_for_guest();
    let (mut logged, before) = (1, logger.stats().dropped);
    while logger.stats().dropped < before + lost {
        info!(logger: logger, "{logged}");
        logged += 1;
    }
    logged
}

#[test]
fn the_loss_of_a_thread_that_ends_is_told_before_the_engine_stops() {
    let gate = Gate::closed();
    let (take, received) = receiver(Duration::ZERO, Some(gate.clone()));
    let (logger, guard) = treering::builder().ring_capacity(4096).handler(take).start().unwrap();
    let logged = std::thread::scope(|scope| scope.spawn(|| lose(&logger, &gate, 17)).join().unwrap());
    gate.open();
    guard.flush(SOON).unwrap();
    let told = received.lock().unwrap().clone();
    assert_eq!((told.lost, told.losses.len()), (17, 1));
    let report = guard.stop(LONG).unwrap();
    compare(&report, [0, 0, logged, 0, 0], &received.lock().unwrap());
}

#[test]
fn the_loss_of_a_thread_that_lives_and_logs_no_more_is_told_at_the_stop() {
    let gate = Gate::closed();
    let (take, received) = receiver(Duration::ZERO, Some(gate.clone()));
    let (logger, guard) = treering::builder().ring_capacity(4096).handler(take).start().unwrap();
    let logged = lose(&logger, &gate, 17);
    gate.open();
    let report = guard.stop(LONG).unwrap();
    let received = received.lock().unwrap();
    assert_eq!((received.lost, received.losses.len()), (17, 1));
    compare(&report, [0, 0, logged, 0, 0], &received);
}

#[test]
fn the_loss_of_a_thread_that_lives_and_logs_no_more_is_told_after_a_second_or_two() {
    let gate = Gate::closed();
    let (take, received) = receiver(Duration::ZERO, Some(gate.clone()));
    let (logger, guard) = treering::builder().ring_capacity(4096).handler(take).start().unwrap();
    lose(&logger, &gate, 17);
    let start = Instant::now();
    gate.open();
    support::eventually("the loss is told", || received.lock().unwrap().lost == 17);
    let took = start.elapsed();
    assert!(took < Duration::from_secs(4), "{took:?}");
    eprintln!("told after {took:.1?}");
    guard.stop(LONG).unwrap().assert_balanced();
    assert_eq!(received.lock().unwrap().losses.len(), 1, "and not again");
}

#[test]
fn the_loss_stands_in_the_stream_where_the_records_are_missing() {
    let gate = Gate::closed();
    let capture = Capture::new();
    let at_gate = gate.clone();
    let (logger, guard) = treering::builder()
        .ring_capacity(4096)
        .handler(each(move |_| at_gate.pass()))
        .handler(capture.clone())
        .start()
        .unwrap();
    let logged = lose(&logger, &gate, 17);
    gate.open();
    support::eventually("there is room", || guard.stats().pending == 0);
    info!(logger: logger, "after the loss");
    guard.stop(LONG).unwrap().assert_balanced();
    let records = capture.records();
    let texts: Vec<_> = records.iter().map(|record| record.message()).collect();
    let mut expected: Vec<_> = (0..logged - 17).map(|n| n.to_string()).collect();
    expected.extend(["17 records lost here, the thread's ring was full".into(), "after the loss".into()]);
    assert_eq!(texts, expected);
    let loss = &records[records.len() - 2];
    assert_eq!((loss.level(), loss.target()), (Level::Warn, LOSS));
    assert_eq!(loss.field("info").and_then(|count| count.as_u64()), Some(17));
    assert_eq!(loss.thread_id(), own_thread_id());
}

#[test]
fn records_of_any_length_are_delivered_or_cut_marked_and_counted() {
    for (capacity, policy) in [
        (4096, Overflow::block(LONG)),
        (128 * 1024, Overflow::drop_newest()),
        (64 << 20, Overflow::block(LONG)),
    ] {
        let capture = Capture::new();
        let (logger, guard) = treering::builder()
            .ring_capacity(capacity)
            .overflow(policy)
            .wait(Wait::Park)
            .handler(capture.clone())
            .start()
            .unwrap();
        let long = "x".repeat(10_000_000);
        info!(logger: logger, "{long}");
        guard.flush(SOON).unwrap();
        info!(logger: logger, "");
        info!(logger: logger, "{}", "");
        info!(logger: logger, "{long:?} and {}", 17);
        let report = guard.stop(LONG).unwrap();
        report.assert_balanced();
        assert_eq!(report.dispatched, 4, "{report:#?}");

        let records = capture.records();
        assert_eq!((records[1].message(), records[2].message()), ("", ""));
        assert!(!records[1].is_truncated() && !records[2].is_truncated());
        let fits = capacity / 8 * 3 > long.len();
        assert_eq!(report.truncated, if fits { 0 } else { 2 });
        for at in [0, 3] {
            assert_eq!(records[at].is_truncated(), !fits);
            let kept = records[at].message().bytes().filter(|byte| *byte == b'x').count();
            assert!(
                if fits { kept == long.len() } else { kept > capacity / 4 && kept < capacity / 8 * 3 },
                "{kept}"
            );
        }
        if fits {
            assert_eq!(records[0].message(), long);
            assert_eq!(records[3].message(), format!("{long:?} and 17"));
        }
    }
}

#[test]
fn the_smallest_ring_under_block_with_a_parked_listener_delivers_records_of_every_length() {
    const ROUNDS: usize = 3_000;
    let capture = Capture::new();
    let (logger, guard) = treering::builder()
        .ring_capacity(4096)
        .overflow(Overflow::block(LONG))
        .wait(Wait::Park)
        .handler(capture.clone())
        .start()
        .unwrap();
    let text = "x".repeat(2_000);
    for n in 0..ROUNDS {
        let length = n * 7919 % 1_400; // up to the longest that 3/8 of the ring hold, in no order
        info!(logger: logger, "{n} {}", &text[..length]);
        if n % 256 == 0 {
            std::thread::sleep(Duration::from_millis(2)); // so that the listener parks
        }
    }
    let report = guard.stop(LONG).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless(), "{report:#?}");
    for (n, record) in capture.records().iter().enumerate() {
        let (number, rest) = record.message().split_once(' ').unwrap();
        assert_eq!((number.parse(), rest.len()), (Ok(n), n * 7919 % 1_400));
    }
}

#[test]
fn a_caller_that_blocks_waits_as_long_as_it_was_told_and_then_its_record_is_dropped_and_counted() {
    const PATIENCE: Duration = Duration::from_millis(50);
    let gate = Gate::closed();
    let (take, received) = receiver(Duration::ZERO, Some(gate.clone()));
    let (logger, guard) = treering::builder()
        .ring_capacity(4096)
        .overflow_at(Level::Error, Overflow::block(PATIENCE))
        .handler(take)
        .start()
        .unwrap();
    let infos = lose(&logger, &gate, 1);
    // Errors may still use the headroom.
    let (mut errors, mut longest) = (0, Duration::ZERO);
    while guard.stats().dropped_by_level[0] == 0 {
        let start = Instant::now();
        error!(logger: logger, "{errors}");
        errors += 1;
        longest = start.elapsed();
        assert!(guard.stats().dropped_by_level[0] == 1 || longest < PATIENCE, "it waited, and had room");
    }
    assert!(longest >= PATIENCE, "{longest:?}");
    // How near to the deadline is a matter of tests/policies.rs, which tries more than once.
    assert!(longest < PATIENCE + Duration::from_secs(5), "{longest:?}");
    gate.open();
    let report = guard.stop(LONG).unwrap();
    compare(&report, [errors, 0, infos, 0, 0], &received.lock().unwrap());
    eprintln!("waited {longest:.1?} of {PATIENCE:?}");
}

#[test]
fn a_caller_that_blocks_goes_on_as_soon_as_there_is_room() {
    let gate = Gate::closed();
    let (take, received) = receiver(Duration::ZERO, Some(gate.clone()));
    let (logger, guard) = treering::builder()
        .ring_capacity(4096)
        .overflow(Overflow::block(LONG))
        .handler(take)
        .start()
        .unwrap();
    let logged = AtomicU64::new(0);
    let start = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..1_000 {
                info!(logger: logger, "{n}");
                logged.fetch_add(1, Ordering::Relaxed);
            }
        });
        gate.wait_for_guest();
        std::thread::sleep(Duration::from_millis(50));
        assert!(logged.load(Ordering::Relaxed) < 1_000, "the caller waits");
        gate.open();
    });
    assert!(start.elapsed() < LONG / 2);
    let report = guard.stop(LONG).unwrap();
    compare(&report, [0, 0, 1_000, 0, 0], &received.lock().unwrap());
    assert_eq!(report.dropped, 0);
}

#[test]
fn threads_beyond_the_memory_cap_share_a_ring_and_all_their_records_arrive_as_theirs() {
    const THREADS: usize = 12;
    const RECORDS: usize = 5_000;
    let capture = Capture::new();
    let (logger, guard) = treering::builder()
        .ring_capacity(4096)
        .memory_cap(4 * 4096)
        .overflow(Overflow::block(LONG))
        .handler(capture.clone())
        .start()
        .unwrap();
    let barrier = std::sync::Barrier::new(THREADS);
    let ids: HashMap<usize, u32> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (logger, barrier) = (&logger, &barrier);
                scope.spawn(move || {
                    for n in 0..RECORDS {
                        info!(logger: logger, "{thread} {n}");
                        if n == 0 {
                            barrier.wait(); // all of them live at once
                        }
                    }
                    (thread, own_thread_id())
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let report = guard.stop(LONG).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless(), "{report:#?}");
    assert_eq!(report.rings, 5, "four of their own, and the one that is shared");
    let mut next = [0; THREADS];
    for record in capture.records() {
        let (thread, n) = record.message().split_once(' ').unwrap();
        let (thread, n): (usize, usize) = (thread.parse().unwrap(), n.parse().unwrap());
        assert_eq!(n, next[thread]);
        assert_eq!(record.thread_id(), ids[&thread]);
        next[thread] += 1;
    }
    assert_eq!(next, [RECORDS; THREADS]);
}

#[test]
fn losses_in_the_ring_that_threads_share_are_counted_and_told() {
    let gate = Gate::closed();
    let (take, received) = receiver(Duration::ZERO, Some(gate.clone()));
    let (logger, guard) =
        treering::builder().ring_capacity(4096).memory_cap(4096).handler(take).start().unwrap();
    info!(logger: logger, "the only ring is this thread's");
    gate.wait_for_guest();
    let logged = std::thread::scope(|scope| scope.spawn(|| lose(&logger, &gate, 17)).join().unwrap());
    gate.open();
    let report = guard.stop(LONG).unwrap();
    assert_eq!(report.dropped, 17);
    compare(&report, [0, 0, logged + 1, 0, 0], &received.lock().unwrap());
}

#[test]
fn a_handler_that_logs_into_a_full_ring_does_not_wait_for_itself() {
    let (is_armed, done) = (Arc::new(AtomicBool::new(true)), mpsc::channel());
    let own = Arc::new(Mutex::new(None::<treering::Logger>));
    let theirs = own.clone();
    let (logger, guard) = treering::builder()
        .ring_capacity(4096)
        .overflow(Overflow::block(LONG))
        .handler(each(move |_| {
            if is_armed.swap(false, Ordering::Relaxed) {
                let logger = theirs.lock().unwrap().clone().unwrap();
                (0..1_000).for_each(|n| info!(logger: logger, "{n}"));
                done.0.send(()).unwrap();
            }
        }))
        .start()
        .unwrap();
    *own.lock().unwrap() = Some(logger.clone());
    info!(logger: logger, "go");
    done.1.recv_timeout(SOON).expect("the handler goes on");
    own.lock().unwrap().take();
    let report = guard.stop(LONG).unwrap();
    report.assert_balanced();
    assert_eq!(report.submitted, 1_001);
    assert!(report.dropped > 0);
}

#[test]
fn a_file_that_is_behind_loses_nothing_under_block_and_its_losses_are_lines_under_drop() {
    let directory = tempfile::tempdir().unwrap();
    for (name, policy) in [("block.log", Overflow::block(LONG)), ("drop.log", Overflow::drop_newest())] {
        let path = directory.path().join(name);
        let (logger, guard) = treering::builder()
            .ring_capacity(4096)
            .overflow(policy)
            .handler(handler::File::append(&path).unwrap().name("file"))
            .start()
            .unwrap();
        let mut pad = String::new();
        write!(pad, "{:600}", "x").unwrap();
        for n in 0..20_000 {
            log!(Level::Info, logger: logger, "{n} {pad}");
        }
        let report = guard.stop(LONG).unwrap();
        report.assert_balanced();
        let text = std::fs::read_to_string(&path).unwrap();
        let (losses, lines): (Vec<_>, Vec<_>) =
            text.lines().partition(|line| line.contains("treering::loss"));
        assert_eq!(lines.len() as u64, report.dispatched);
        let lost: u64 = losses
            .iter()
            .map(|line| {
                line.split("treering::loss: ")
                    .nth(1)
                    .unwrap()
                    .split(' ')
                    .next()
                    .unwrap()
                    .parse::<u64>()
                    .unwrap()
            })
            .sum();
        assert_eq!(lost, report.dropped);
        assert_eq!(lost == 0, name == "block.log", "{report:#?}");
    }
}
