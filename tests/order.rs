//! The order of records: first in, first out for each thread, causal always, and by time otherwise. What is out of
//! order by time is counted.

#![allow(clippy::print_stderr, reason = "tests tell their figures")]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Condvar, Mutex, mpsc};
use std::time::{Duration, Instant, SystemTime};

use support::{Gate, LONG, each};
use treering::format::Format;
use treering::record::Record;
use treering::{Overflow, handler, info};

/// The raw stamp, then the message.
struct Stamped;

impl Format for Stamped {
    fn format(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
        writeln!(out, "{} {}", record.stamp(), record.message()).unwrap();
    }
}

#[test]
fn eight_million_records_are_whole_lines_in_each_threads_order_and_what_is_out_of_time_is_counted() {
    const THREADS: usize = 8;
    const RECORDS: u64 = 1_000_000;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("order.log");
    let file = handler::File::append(&path).unwrap().format(Stamped).name("file");
    let (logger, guard) = treering::builder().overflow(Overflow::block(LONG)).handler(file).start().unwrap();
    let start = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let logger = &logger;
            scope.spawn(move || (0..RECORDS).for_each(|n| info!(logger: logger, "{thread} {n}")));
        }
    });
    let report = guard.stop(LONG).unwrap();
    let took = start.elapsed();

    report.assert_balanced();
    assert!(report.is_lossless(), "{report:#?}");
    assert_eq!(report.submitted, THREADS as u64 * RECORDS);
    assert_eq!(report.handlers["file"].delivered, THREADS as u64 * RECORDS);

    let mut next = [0; THREADS];
    let (mut highest, mut below, mut lines) = (0, 0, 0);
    let mut reader = BufReader::with_capacity(1 << 20, std::fs::File::open(&path).unwrap());
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).unwrap() > 0 {
        let text = std::str::from_utf8(&line).unwrap();
        let mut numbers =
            text.strip_suffix('\n').expect("a whole line").split(' ').map(|n| n.parse::<u64>().unwrap());
        let (Some(stamp), Some(thread), Some(n), None) =
            (numbers.next(), numbers.next(), numbers.next(), numbers.next())
        else {
            panic!("not a whole line: {text:?}");
        };
        assert_eq!(n, next[thread as usize], "thread {thread}");
        next[thread as usize] += 1;
        below += u64::from(stamp < highest);
        highest = stamp.max(highest);
        lines += 1;
        line.clear();
    }
    assert_eq!(lines, THREADS as u64 * RECORDS);
    assert_eq!(below, report.reordered);
    eprintln!("{lines} lines in {took:.1?}, {below} of them below the highest stamp before them");
}

#[test]
fn a_record_that_waited_for_room_has_the_time_at_which_it_found_it() {
    const THREADS: usize = 4;
    const ROUNDS: u64 = 20;
    // Each round: the listener is held, every thread fills its ring and waits; then the listener goes on.
    let gate = Gate::closed();
    let (at_gate, times) = (gate.clone(), Arc::new(Mutex::new(Vec::new())));
    let kept = times.clone();
    let take = each(move |record| {
        at_gate.pass();
        let number = |at| record.value(at).and_then(|value| value.as_u64()).unwrap();
        kept.lock().unwrap().push((number(0), number(1), SystemTime::from(record.time())));
    });
    let (logger, guard) = treering::builder()
        .ring_capacity(4096)
        .overflow(Overflow::block(LONG))
        .handler(take)
        .start()
        .unwrap();
    let (mut waited, mut opened) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        gate.set_open(false);
        // The call that each thread is in, and its beginning.
        let calls: Vec<_> = (0..THREADS).map(|_| (AtomicU64::new(0), AtomicU64::new(0))).collect();
        std::thread::scope(|scope| {
            for (thread, (began, ended)) in calls.iter().enumerate() {
                let logger = &logger;
                scope.spawn(move || {
                    // More than the ring and a batch hold.
                    for n in 0..2_000_u64 {
                        began.store(n, Ordering::Release);
                        info!(logger: logger, "{} {}", round * THREADS as u64 + thread as u64, n);
                        ended.store(n + 1, Ordering::Release);
                    }
                });
            }
            // Who has not come further for 20 ms, and is inside of a call, waits in it.
            let mut before = [u64::MAX; THREADS];
            loop {
                let at: [_; THREADS] = std::array::from_fn(|thread| calls[thread].1.load(Ordering::Acquire));
                if at == before {
                    break;
                }
                before = at;
                std::thread::sleep(Duration::from_millis(20));
            }
            opened.push(SystemTime::now());
            for (thread, at) in before.iter().enumerate() {
                assert_eq!(calls[thread].0.load(Ordering::Acquire), *at, "the thread is inside of a call");
                waited.push((round * THREADS as u64 + thread as u64, *at));
            }
            gate.open();
        });
    }
    let report = guard.stop(LONG).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless());

    let times = times.lock().unwrap();
    for (at, (thread, n)) in waited.iter().enumerate() {
        let (.., time) = times.iter().find(|(t, m, _)| (t, m) == (thread, n)).expect("delivered");
        assert!(*time > opened[at / THREADS], "it waited 20 ms and more, and its time is from before");
    }
    eprintln!("{} records waited, {} of {} were out of time", waited.len(), report.reordered, times.len());
}

/// Two threads log in turn, 100,000 times each, and hand over to each other by `wait_for` and `hand_over`: what comes
/// out alternates, and each stamp is later than the one before.
fn alternate(wait_for: impl Fn(u64) + Sync, hand_over: impl Fn(u64) + Sync) {
    const TURNS: u64 = 100_000;
    let numbers = Arc::new(Mutex::new(Vec::new()));
    let kept = numbers.clone();
    let take = each(move |record| {
        let number = record.value(0).and_then(|value| value.as_u64()).unwrap();
        kept.lock().unwrap().push((number, record.stamp()));
    });
    let (logger, guard) = treering::builder().overflow(Overflow::block(LONG)).handler(take).start().unwrap();
    std::thread::scope(|scope| {
        for parity in 0..2 {
            let (logger, wait_for, hand_over) = (&logger, &wait_for, &hand_over);
            scope.spawn(move || {
                for n in (parity..2 * TURNS).step_by(2) {
                    wait_for(n);
                    info!(logger: logger, "{n}");
                    hand_over(n + 1);
                }
            });
        }
    });
    let report = guard.stop(LONG).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless());
    let numbers = numbers.lock().unwrap();
    assert!(numbers.iter().map(|(n, _)| *n).eq(0..2 * TURNS));
    assert!(numbers.is_sorted_by(|(_, cause), (_, effect)| cause < effect));
}

#[test]
fn threads_that_hand_over_by_a_lock_alternate_strictly() {
    let (turn, changed) = (Mutex::new(0), Condvar::new());
    let wait_for = |n| drop(changed.wait_while(turn.lock().unwrap(), |turn| *turn != n).unwrap());
    alternate(wait_for, |n| {
        *turn.lock().unwrap() = n;
        changed.notify_one();
    });
}

/// Here a processor that reads its counter ahead is caught at once: up to 9 stamps of 100 were too early.
#[test]
fn threads_that_hand_over_by_a_spin_flag_alternate_strictly() {
    let turn = AtomicU64::new(0);
    let wait_for = |n| {
        let mut looks = 0_u32;
        while turn.load(Ordering::Acquire) != n {
            looks += 1;
            if looks.is_multiple_of(512) { std::thread::yield_now() } else { std::hint::spin_loop() }
        }
    };
    alternate(wait_for, |n| turn.store(n, Ordering::Release));
}

#[test]
fn what_lies_ready_in_all_rings_comes_out_by_time() {
    const THREADS: usize = 8;
    const RECORDS: u64 = 2_000;
    let (gate, stamps) = (Gate::closed(), Arc::new(Mutex::new(Vec::new())));
    let (at_gate, kept) = (gate.clone(), stamps.clone());
    let (logger, guard) = treering::builder()
        .handler(each(move |record| {
            at_gate.pass();
            kept.lock().unwrap().push((record.stamp(), record.thread().id()));
        }))
        .start()
        .unwrap();
    info!(logger: logger, "the listener takes this one and is held");
    gate.wait_for_guest();
    let barrier = Barrier::new(THREADS);
    let (done, all_done) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            let (logger, barrier, done) = (&logger, &barrier, done.clone());
            scope.spawn(move || {
                barrier.wait();
                for n in 0..RECORDS {
                    info!(logger: logger, "{n}");
                    if n % 64 == 0 {
                        std::thread::yield_now(); // so that their times interleave
                    }
                }
                done.send(()).unwrap();
            });
        }
        (0..THREADS).for_each(|_| all_done.recv().unwrap());
        gate.open();
    });
    let report = guard.stop(LONG).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless());
    let stamps = stamps.lock().unwrap();
    assert_eq!(stamps.len() as u64, 1 + THREADS as u64 * RECORDS);
    assert!(stamps.is_sorted_by_key(|(stamp, _)| *stamp));
    assert_eq!(report.reordered, 0);
    let changes = stamps.windows(2).filter(|pair| pair[0].1 != pair[1].1).count();
    assert!(changes > 2 * THREADS, "the threads interleaved, or this shows nothing: {changes} changes");
}

#[test]
fn a_record_that_takes_long_to_copy_is_written_where_it_arrives_with_its_own_time_and_counted() {
    // Its stamp is taken before the copying, which takes some ten times as long as the listener waits for it.
    let long = "x".repeat(300_000);
    let stamps = Arc::new(Mutex::new(Vec::new()));
    let kept = stamps.clone();
    let (logger, guard) = treering::builder()
        .ring_capacity(1 << 20)
        .overflow(Overflow::block(LONG))
        .wait(treering::Wait::Spin)
        .handler(each(move |record| kept.lock().unwrap().push(record.stamp())))
        .start()
        .unwrap();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (logger, is_over) = (&logger, &is_over);
        scope.spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                info!(logger: logger, "short");
                std::thread::sleep(Duration::from_micros(1));
            }
        });
        let start = Instant::now();
        // On a busy machine the three threads seldom run at once.
        while start.elapsed() < Duration::from_secs(1)
            || (logger.stats().reordered == 0 && start.elapsed() < Duration::from_secs(20))
        {
            info!(logger: logger, "{long}");
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let report = guard.stop(LONG).unwrap();
    report.assert_balanced();
    let (mut highest, mut below) = (0, 0);
    for stamp in stamps.lock().unwrap().iter().copied() {
        below += u64::from(stamp < highest);
        highest = stamp.max(highest);
    }
    assert_eq!(below, report.reordered);
    assert!(below > 0);
    eprintln!("{below} of {} records were out of time", report.submitted);
}
