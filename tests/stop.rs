//! The end: what was accepted is delivered or counted, whoever stops, from wherever, whatever the handlers do.

mod support;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use support::{Each, Gate, LONG, SOON, each, eventually, in_child, text};
use treering::handler::{Batch, Capture, Handler, HandlerError};
use treering::{Guard, Level, Logger, Overflow, Wait, error, handler, info, warn};

/// Takes a whole batch before it stands before its gate, and counts batches and records that passed.
struct WholeBatch {
    gate: Gate,
    passed: Arc<AtomicUsize>,
}

impl Handler for WholeBatch {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        let records: Vec<_> = batch.into_iter().collect();
        self.gate.pass();
        self.passed.fetch_add(records.len(), Ordering::SeqCst);
        Ok(())
    }

    fn name(&self) -> String {
        "batch".into()
    }
}

/// Stops with a short deadline that passes, and checks that it was kept.
#[track_caller]
fn stop_in_vain(guard: &Guard) -> treering::Report {
    let start = Instant::now();
    let report = guard.stop(Duration::from_millis(200)).unwrap();
    report.assert_balanced();
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(200), "{took:?}: nothing hung");
    assert!(took < Duration::from_millis(300), "{took:?}");
    report
}

// ---- handlers that hang

#[test]
fn a_record_wise_handler_that_hangs_has_one_record_in_flight_and_the_rest_is_abandoned() {
    let (gate, passed) = (Gate::closed(), Arc::new(AtomicUsize::new(0)));
    let (at_gate, behind_gate) = (gate.clone(), passed.clone());
    let (logger, guard) = treering::builder()
        .handler(each(move |record| {
            if record.message() != "passes" {
                at_gate.pass();
            }
            behind_gate.fetch_add(1, Ordering::SeqCst);
        }))
        .start()
        .unwrap();
    for _ in 0..10 {
        info!(logger: logger, "passes");
    }
    guard.flush(SOON).unwrap();
    for n in 0..100 {
        info!(logger: logger, "{n}");
    }
    gate.wait_for_guest();
    let report = stop_in_vain(&guard);
    report.assert_balanced();
    let each = &report.handlers["each"];
    assert_eq!((report.submitted, report.in_flight, each.in_flight, each.delivered), (110, 1, 1, 10));
    // What was dispatched before the deadline was this handler's; the rest had not been handed out.
    assert_eq!(report.abandoned + each.abandoned, 99, "{report:#?}");

    gate.open();
    eventually("the handler returns", || passed.load(Ordering::SeqCst) == 11);
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(passed.load(Ordering::SeqCst), 11, "after the deadline it gets nothing more");
    assert_eq!(guard.stop(SOON).unwrap(), report, "the books do not change any more");
}

#[test]
fn a_handler_that_hangs_over_a_whole_batch_has_all_of_it_in_flight() {
    let (gate, passed) = (Gate::closed(), Arc::new(AtomicUsize::new(0)));
    let (logger, guard) = treering::builder()
        .handler(WholeBatch { gate: gate.clone(), passed: passed.clone() })
        .start()
        .unwrap();
    info!(logger: logger, "first");
    gate.wait_for_guest();
    gate.open();
    eventually("the first is settled", || passed.load(Ordering::SeqCst) == 1);
    gate.set_open(false);
    for n in 0..100 {
        info!(logger: logger, "{n}");
    }
    gate.wait_for_guest();
    for n in 0..100 {
        info!(logger: logger, "{n}");
    }
    let report = stop_in_vain(&guard);
    report.assert_balanced();
    let batch = &report.handlers["batch"];
    assert_eq!(report.submitted, 201);
    assert_eq!(batch.offered, report.dispatched);
    assert_eq!((batch.delivered, batch.abandoned), (1, 0));
    assert!((1..=100).contains(&report.in_flight), "{report:#?}");
    assert_eq!(report.in_flight + report.abandoned, 200);

    gate.open();
    let in_flight = report.in_flight as usize;
    eventually("the handler returns", || passed.load(Ordering::SeqCst) == 1 + in_flight);
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(passed.load(Ordering::SeqCst), 1 + in_flight, "after the deadline it gets nothing more");
    assert_eq!(guard.stop(SOON).unwrap(), report, "the books do not change any more");
}

#[test]
fn records_in_a_ring_when_the_deadline_passed_are_abandoned_once_and_not_late_as_well() {
    let gate = Gate::closed();
    let at_gate = gate.clone();
    let (logger, guard) = treering::builder().handler(each(move |_| at_gate.pass())).start().unwrap();
    info!(logger: logger, "hangs");
    gate.wait_for_guest();
    for n in 0..1_000 {
        info!(logger: logger, "{n}");
    }
    let report = stop_in_vain(&guard);
    report.assert_balanced();
    assert_eq!((report.abandoned, report.late), (1_000, 0));
    gate.open();
    std::thread::sleep(Duration::from_millis(50)); // the listener comes to its end
    for n in 0..10 {
        info!(logger: logger, "{n}");
    }
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert_eq!((report.submitted, report.dispatched, report.abandoned, report.late), (1_011, 1, 1_000, 10));
}

#[test]
fn a_caller_that_waits_for_room_is_released_by_a_stop_also_if_the_handler_hangs() {
    const THREADS: u64 = 4;
    let gate = Gate::closed();
    let at_gate = gate.clone();
    let (logger, guard) = treering::builder()
        .ring_capacity(4096)
        .overflow(Overflow::block(LONG))
        .handler(each(move |_| at_gate.pass()))
        .start()
        .unwrap();
    let (logged, returned) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let was_open = || guard.stats().late == 0;
                while was_open() {
                    logged.fetch_add(1, Ordering::SeqCst);
                    info!(logger: logger, "until the ring is full");
                    returned.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        let mut before = u64::MAX;
        loop {
            let now = returned.load(Ordering::SeqCst);
            if now == before && logged.load(Ordering::SeqCst) == now + THREADS {
                break;
            }
            before = now;
            std::thread::sleep(Duration::from_millis(20));
        }
        let start = Instant::now();
        guard.stop(Duration::from_millis(200)).unwrap();
        while returned.load(Ordering::SeqCst) < before + THREADS {
            assert!(start.elapsed() < Duration::from_millis(400), "the callers still wait");
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    let report = guard.stats();
    report.assert_balanced();
    assert_eq!(report.submitted, logged.load(Ordering::SeqCst));
    assert!((THREADS..2 * THREADS).contains(&report.late), "those who waited came too late: {report:#?}");
    gate.open();
}

#[test]
fn calls_that_are_refused_at_the_very_moment_of_the_deadline_get_one_fate_each() {
    let mut refused = 0;
    for _ in 0..20 {
        let gate = Gate::closed();
        let at_gate = gate.clone();
        let (logger, guard) = treering::builder().handler(each(move |_| at_gate.pass())).start().unwrap();
        info!(logger: logger, "hangs");
        gate.wait_for_guest();
        (0..100).for_each(|n| info!(logger: logger, "{n}"));
        let (is_over, early) = (AtomicBool::new(false), AtomicU64::new(0));
        let logged = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..3)
                .map(|_| {
                    scope.spawn(|| {
                        // Late from the first call on: the engine is closed, and its deadline has not passed.
                        while guard.stats().late == 0 {
                            early.fetch_add(1, Ordering::Relaxed);
                            info!(logger: logger, "one");
                            std::thread::sleep(Duration::from_millis(1));
                        }
                        let mut logged = 0;
                        while !is_over.load(Ordering::Relaxed) {
                            info!(logger: logger, "{logged}");
                            logged += 1;
                        }
                        logged
                    })
                })
                .collect();
            let report = guard.stop(Duration::from_millis(20)).unwrap();
            is_over.store(true, Ordering::Relaxed);
            let logged: u64 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
            assert_eq!(report.pending, 0);
            (report.abandoned, logged)
        });
        let report = guard.stats();
        report.assert_balanced();
        assert_eq!(report.abandoned, logged.0);
        let before_the_stop = 100..=100 + early.load(Ordering::Relaxed);
        assert!(before_the_stop.contains(&report.abandoned), "{}", report.abandoned);
        refused += logged.1;
        assert!(report.late >= logged.1);
        gate.open();
    }
    assert!(refused > 0);
}

#[test]
fn a_stop_that_gives_up_releases_all_others_who_wait() {
    let gate = Gate::closed();
    let at_gate = gate.clone();
    let (logger, guard) = treering::builder().handler(each(move |_| at_gate.pass())).start().unwrap();
    info!(logger: logger, "hangs");
    gate.wait_for_guest();
    let start = Instant::now();
    std::thread::scope(|scope| {
        let flush = scope.spawn(|| guard.flush(LONG));
        let stop = scope.spawn(|| guard.stop(LONG));
        std::thread::sleep(Duration::from_millis(50)); // they wait
        let report = guard.stop(Duration::from_millis(50)).unwrap();
        flush.join().unwrap().unwrap_err();
        assert_eq!(stop.join().unwrap().unwrap(), report);
    });
    guard.flush(LONG).unwrap_err();
    guard.stop(LONG).unwrap().assert_balanced();
    assert!(start.elapsed() < SOON);
    gate.open();
}

// ---- who stops

#[test]
fn eight_threads_that_stop_at_once_return_the_same_books() {
    let capture = Capture::new();
    let (logger, guard) = treering::builder().handler(capture.clone()).start().unwrap();
    for n in 0..10_000 {
        info!(logger: logger, "{n}");
    }
    let barrier = std::sync::Barrier::new(8);
    let reports: Vec<_> = std::thread::scope(|scope| {
        let stops: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    guard.stop(SOON).unwrap()
                })
            })
            .collect();
        stops.into_iter().map(|stop| stop.join().unwrap()).collect()
    });
    reports[0].assert_balanced();
    assert_eq!(reports[0].handlers["capture"].delivered, reports[0].handlers["capture"].offered);
    assert!(reports.iter().all(|report| *report == reports[0]), "{reports:#?}");
    assert_eq!(capture.len() as u64, reports[0].dispatched + losses(&capture));
}

fn losses(capture: &Capture) -> u64 {
    capture.records().iter().filter(|record| record.target() == "treering::loss").count() as u64
}

#[test]
fn a_handler_that_stops_its_engine_gets_an_error_and_the_engine_ends() {
    let guard = Arc::new(Mutex::new(None::<Arc<Guard>>));
    let answer = Arc::new(Mutex::new(None));
    let (theirs, kept) = (guard.clone(), answer.clone());
    let (logger, started) = treering::builder()
        .handler(each(move |record| {
            if record.message() == "stop" {
                let guard = theirs.lock().unwrap().take().unwrap();
                let flushed = guard.flush(SOON);
                assert!(flushed.unwrap_err().is_on_listener_thread());
                *kept.lock().unwrap() = Some(guard.stop(SOON));
            }
        }))
        .start()
        .unwrap();
    let started = Arc::new(started);
    *guard.lock().unwrap() = Some(started.clone());
    info!(logger: logger, "stop");
    eventually("the handler asked", || answer.lock().unwrap().is_some());
    let error = answer.lock().unwrap().take().unwrap().unwrap_err();
    assert!(error.is_on_listener_thread(), "{error}");
    info!(logger: logger, "too late");
    let report = started.stop(SOON).unwrap();
    report.assert_balanced();
    assert_eq!((report.dispatched, report.late), (1, 1));
    assert_eq!(report.handlers["each"].delivered, 1, "the error was the handler's to keep");
}

#[test]
fn stopping_twice_gives_the_same_books_and_what_is_logged_after_it_is_late() {
    let capture = Capture::new();
    let (logger, guard) = treering::builder().handler(capture.clone()).start().unwrap();
    info!(logger: logger, "in time");
    let first = guard.stop(SOON).unwrap();
    assert!(first.is_lossless());
    assert_eq!(guard.stop(Duration::ZERO).unwrap(), first);

    info!(logger: logger, "late");
    std::thread::scope(|scope| {
        scope.spawn(|| error!(logger: logger, "late, from a thread that never had a ring"));
    });
    let last = guard.stop(SOON).unwrap();
    last.assert_balanced();
    assert_eq!((last.submitted, last.dispatched, last.late), (3, 1, 2));
    assert_eq!(last.submitted_by_level, [1, 0, 2, 0, 0]);
    assert!(!last.is_lossless());
    assert_eq!(capture.len(), 1);
}

#[test]
fn a_stop_among_threads_that_log_loses_none_of_the_records_from_before_it() {
    const THREADS: usize = 4;
    for _ in 0..20 {
        let capture = Capture::new();
        let (logger, guard) =
            treering::builder().overflow(Overflow::block(LONG)).handler(capture.clone()).start().unwrap();
        let is_over = AtomicBool::new(false);
        let logged: Vec<u64> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|thread| {
                    let (logger, is_over) = (&logger, &is_over);
                    scope.spawn(move || {
                        let mut n = 0;
                        while !is_over.load(Ordering::Relaxed) {
                            info!(logger: logger, "{thread} {n}");
                            n += 1;
                        }
                        n
                    })
                })
                .collect();
            std::thread::sleep(Duration::from_millis(5));
            guard.stop(SOON).unwrap();
            is_over.store(true, Ordering::Relaxed);
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let report = guard.stop(SOON).unwrap();
        report.assert_balanced();
        assert_eq!(report.submitted, logged.iter().sum());
        assert_eq!(
            (report.dispatched + report.late, report.dispatched),
            (report.submitted, capture.len() as u64)
        );
        // Of each thread the first records arrived, without a gap, and the rest is late.
        let mut next = [0; THREADS];
        for record in capture.records() {
            let (thread, n) = record.message().split_once(' ').unwrap();
            let (thread, n): (usize, u64) = (thread.parse().unwrap(), n.parse().unwrap());
            assert_eq!(n, next[thread]);
            next[thread] += 1;
        }
        assert_eq!(next.iter().sum::<u64>(), report.dispatched);
    }
}

#[test]
fn dropping_the_guard_of_an_engine_of_its_own_stops_it() {
    let capture = Capture::new();
    let (logger, guard) = treering::builder().handler(capture.clone()).start().unwrap();
    info!(logger: logger, "in time");
    drop(guard);
    assert_eq!(capture.len(), 1);
    info!(logger: logger, "late");
    assert_eq!((capture.len(), logger.stats().late), (1, 1));
}

#[test]
fn threads_outlive_engines_and_their_rings() {
    let (orders, calls) = std::sync::mpsc::channel::<Option<Logger>>();
    let (told, answers) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        // Rings of engines that are gone lie around here until the next cold call.
        while let Ok(Some(logger)) = calls.recv() {
            (0..100).for_each(|n| info!(logger: logger, "{n}"));
            drop(logger);
            told.send(()).unwrap();
        }
    });
    for _ in 0..50 {
        let capture = Capture::new();
        let (logger, guard) = treering::builder().handler(capture.clone()).start().unwrap();
        orders.send(Some(logger)).unwrap();
        answers.recv().unwrap();
        drop(guard);
        assert_eq!(capture.len(), 100);
    }
    orders.send(None).unwrap();
    thread.join().unwrap();
}

// ---- flush

#[test]
fn when_a_flush_returns_every_record_from_before_it_is_in_the_file_whoever_logs_meanwhile() {
    const THREADS: usize = 3;
    const FLUSHES: usize = 200;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("flush.log");
    let file = handler::File::append(&path).unwrap();
    let (logger, guard) = treering::builder().overflow(Overflow::block(LONG)).handler(file).start().unwrap();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    (0..100).for_each(|n| info!(logger: logger, "load {n}"));
                    std::thread::sleep(Duration::from_micros(500));
                }
            });
        }
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (logger, guard, path) = (&logger, &guard, &path);
                scope.spawn(move || {
                    let mut offset = 0;
                    for n in 0..FLUSHES / THREADS {
                        info!(logger: logger, "flush {thread} {n}.");
                        guard.flush(LONG).unwrap();
                        // What this thread has seen it need not read again.
                        let needle = format!("flush {thread} {n}.\n");
                        offset = find(path, offset, needle.as_bytes()).expect("the record is in the file");
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        is_over.store(true, Ordering::Relaxed);
    });
    let report = guard.stop(LONG).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless());
}

/// Where in the file, at or behind `offset`, the needle ends.
fn find(path: &std::path::Path, offset: u64, needle: &[u8]) -> Option<u64> {
    use std::os::unix::fs::FileExt;
    let file = std::fs::File::open(path).unwrap();
    let mut bytes = vec![0; (file.metadata().unwrap().len() - offset) as usize];
    file.read_exact_at(&mut bytes, offset).unwrap();
    let at = bytes.windows(needle.len()).position(|window| window == needle)?;
    Some(offset + (at + needle.len()) as u64)
}

#[test]
fn a_flush_whose_deadline_passes_says_so_and_one_after_the_stop_has_nothing_to_wait_for() {
    let gate = Gate::closed();
    let at_gate = gate.clone();
    let (logger, guard) = treering::builder().handler(each(move |_| at_gate.pass())).start().unwrap();
    info!(logger: logger, "held");
    let start = Instant::now();
    assert!(guard.flush(Duration::from_millis(50)).unwrap_err().is_timeout());
    assert!((50..250).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
    gate.open();
    guard.flush(SOON).unwrap();
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless(), "{report}");
    guard.flush(Duration::ZERO).unwrap();
}

// ---- several engines

#[test]
fn engines_side_by_side_have_their_own_verdicts_at_one_callsite() {
    const ROUNDS: u64 = 10_000;
    fn call(logger: &Logger, n: u64) {
        info!(logger: logger, target: "chatty", "{n}");
        warn!(logger: logger, target: "quiet", "{n}");
    }
    let engine = |filter: &str| {
        let capture = Capture::new();
        let builder = treering::builder().filter(filter).overflow(Overflow::block(LONG));
        let (logger, guard) = builder.handler(capture.clone()).start().unwrap();
        (logger, guard, capture)
    };
    let (one, two, none) = (engine("off,chatty=info"), engine("off,quiet=warn"), engine("off"));
    std::thread::scope(|scope| {
        for (logger, ..) in [&one, &two] {
            scope.spawn(|| (0..ROUNDS).for_each(|n| call(logger, n)));
        }
        (0..ROUNDS).for_each(|n| call(&none.0, n));
    });
    for ((_, guard, capture), target, expected) in
        [(&one, "chatty", ROUNDS), (&two, "quiet", ROUNDS), (&none, "", 0)]
    {
        let report = guard.stop(LONG).unwrap();
        report.assert_balanced();
        assert!(report.is_lossless());
        assert_eq!((report.submitted, capture.len() as u64), (expected, expected));
        assert!(capture.records().iter().all(|record| record.target() == target));
    }
}

// ---- polling

fn manual(ring_capacity: usize, policy: Overflow) -> (Logger, Guard, Capture) {
    let capture = Capture::new();
    let builder = treering::builder().wait(Wait::Manual).ring_capacity(ring_capacity).overflow(policy);
    let (logger, guard) = builder.handler(capture.clone()).start().unwrap();
    (logger, guard, capture)
}

#[test]
fn a_poll_hands_out_what_was_logged_before_it() {
    let (logger, guard, capture) = manual(64 * 1024, Overflow::drop_newest());
    assert_eq!(guard.poll().unwrap(), 0);
    for n in 1..=1_000 {
        info!(logger: logger, "{n}");
        assert_eq!((guard.poll().unwrap(), capture.len()), (1, n));
    }
    guard.stop(SOON).unwrap().assert_balanced();
    assert!(guard.poll().unwrap_err().is_not_running());
}

#[test]
fn an_engine_without_a_thread_flushes_and_stops_on_the_thread_that_asks() {
    let (logger, guard, capture) = manual(64 * 1024, Overflow::drop_newest());
    info!(logger: logger, "flushed");
    std::thread::sleep(Duration::from_millis(20));
    assert!(capture.is_empty(), "nobody polled");
    guard.flush(SOON).unwrap();
    assert_eq!(capture.len(), 1);
    info!(logger: logger, "stopped");
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless());
    assert_eq!(capture.len(), 2);
}

#[test]
fn an_engine_without_a_thread_keeps_the_deadline_of_its_stop() {
    let slow = each(|_| std::thread::sleep(Duration::from_millis(10)));
    let (logger, guard) = treering::builder().wait(Wait::Manual).handler(slow).start().unwrap();
    (0..1_000).for_each(|n| info!(logger: logger, "{n}"));
    let report = stop_in_vain(&guard);
    report.assert_balanced();
    let each = &report.handlers["each"];
    assert!((1..=20).contains(&each.delivered), "{report:#?}");
    assert_eq!(report.submitted, 1_000);
    assert_eq!(report.abandoned + each.delivered + each.in_flight + each.abandoned, 1_000);
}

#[test]
fn the_thread_that_polls_does_not_wait_for_itself_to_make_room() {
    let (logger, guard, capture) = manual(4096, Overflow::block(SOON));
    guard.poll().unwrap();
    let start = Instant::now();
    for n in 0..1_000 {
        info!(logger: logger, "{n}");
        assert!(start.elapsed() < SOON, "it waited");
    }
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert!(report.dropped > 0 && report.dispatched > 0);
    assert_eq!(capture.len() as u64, report.dispatched + losses(&capture));
}

#[test]
fn a_thread_that_waits_for_room_goes_on_when_another_one_polls() {
    let (logger, guard, capture) = manual(4096, Overflow::block(LONG));
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| (0..5_000).for_each(|n| info!(logger: logger, "{n}")));
        while !thread.is_finished() {
            guard.poll().unwrap();
        }
    });
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless());
    assert_eq!(capture.len(), 5_000);
}

#[test]
fn stop_and_flush_keep_their_deadlines_while_another_threads_poll_hangs() {
    let gate = Gate::closed();
    let at_gate = gate.clone();
    let (logger, guard) =
        treering::builder().wait(Wait::Manual).handler(each(move |_| at_gate.pass())).start().unwrap();
    info!(logger: logger, "hangs");
    std::thread::scope(|scope| {
        scope.spawn(|| guard.poll());
        gate.wait_for_guest();
        info!(logger: logger, "behind it");
        let start = Instant::now();
        let flushed = guard.flush(Duration::from_millis(50));
        let took = start.elapsed();
        let report = guard.stop(Duration::from_millis(200));
        let both_took = start.elapsed();
        gate.open(); // before anything can fail, or the poll never ends
        assert!(flushed.unwrap_err().is_timeout());
        assert!((50..200).contains(&took.as_millis()), "{took:?}");
        assert!((250..450).contains(&both_took.as_millis()), "{both_took:?}");
        let report = report.unwrap();
        report.assert_balanced();
        assert_eq!((report.in_flight, report.abandoned), (1, 1));
    });
}

#[test]
fn only_an_engine_without_a_thread_can_be_polled() {
    let (_, guard) = treering::builder().start().unwrap();
    assert!(guard.poll().unwrap_err().is_config());
}

#[test]
fn a_poll_in_a_poll_is_an_error() {
    let guard = Arc::new(Mutex::new(None::<Arc<Guard>>));
    let theirs = guard.clone();
    let (logger, started) = treering::builder()
        .wait(Wait::Manual)
        .handler(each(move |_| {
            let guard = theirs.lock().unwrap().take().unwrap();
            assert!(guard.poll().unwrap_err().is_on_listener_thread());
            assert!(guard.flush(SOON).unwrap_err().is_on_listener_thread());
            assert!(guard.stop(SOON).unwrap_err().is_on_listener_thread());
        }))
        .start()
        .unwrap();
    let started = Arc::new(started);
    *guard.lock().unwrap() = Some(started.clone());
    info!(logger: logger, "asks");
    started.flush(SOON).unwrap();
    let report = started.stop(SOON).unwrap();
    report.assert_balanced();
    assert_eq!(report.handlers["each"].delivered, 1, "no assertion in the handler failed: {report:#?}");
}

// ---- waiting

#[test]
fn every_way_of_waiting_delivers_records_that_come_alone_and_in_bursts() {
    for wait in [Wait::Spin, Wait::Poll(Duration::from_millis(1)), Wait::Park, Wait::Adaptive] {
        let capture = Capture::new();
        let (logger, guard) = treering::builder().wait(wait).handler(capture.clone()).start().unwrap();
        let mut logged = 0;
        for pause in [0, 1, 20, 150, 20] {
            for _ in 0..100 {
                info!(logger: logger, "{logged}");
                logged += 1;
            }
            std::thread::sleep(Duration::from_millis(pause));
            info!(logger: logger, "{logged}");
            logged += 1;
            // Without a flush, which would wake the listener.
            assert!(capture.wait_for(logged, SOON), "{wait:?} slept through a record");
        }
        let report = guard.stop(SOON).unwrap();
        report.assert_balanced();
        assert!(report.is_lossless());
        let records = capture.records();
        assert!(records.iter().enumerate().all(|(n, record)| record.message() == n.to_string()));
    }
}

// ---- handlers that fail

/// An engine whose faults are collected.
fn collecting(faults: &Arc<Mutex<Vec<String>>>) -> treering::Builder {
    let faults = faults.clone();
    treering::builder().error_hook(move |fault| faults.lock().unwrap().push(fault.to_owned()))
}

#[test]
fn a_handler_that_panics_or_fails_loses_that_record_and_the_others_get_everything() {
    let (before, after, faults) = (Capture::new(), Capture::new(), Arc::default());
    let got = Arc::new(Mutex::new(Vec::new()));
    let kept = got.clone();
    let (logger, guard) = collecting(&faults)
        .handler(before.clone())
        .handler(Each(move |record: &treering::Record<'_>| {
            let n = record.value(0).unwrap().as_u64().unwrap();
            match n {
                3 => panic!("three"),
                5 => return Err(HandlerError::new("five")),
                _ => kept.lock().unwrap().push(n),
            }
            Ok(())
        }))
        .handler(after.clone())
        .start()
        .unwrap();
    for n in 0..10_u64 {
        info!(logger: logger, "{n}");
    }
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert!(!report.is_lossless());
    assert_eq!(*got.lock().unwrap(), [0, 1, 2, 4, 6, 7, 8, 9]);
    let each = &report.handlers["each"];
    assert_eq!((each.offered, each.delivered, each.failed), (10, 8, 2));
    assert_eq!((before.len(), after.len()), (10, 10));
    assert_eq!(*faults.lock().unwrap(), ["handler each: panicked: three", "handler each: five"]);
}

/// Fails in the way that its function says, once for each batch, until it says `None`.
struct Fails<F>(F);

impl<F: FnMut(usize) -> Option<HandlerError> + Send> Handler for Fails<F> {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        let records = batch.into_iter().count();
        (self.0)(records).map_or(Ok(()), Err)
    }

    fn name(&self) -> String {
        "fails".into()
    }
}

#[test]
fn an_error_costs_as_many_records_as_it_says() {
    type Way = Box<dyn FnMut(usize) -> Option<HandlerError> + Send>;
    let mut once = true;
    let after: Way = Box::new(move |_| std::mem::take(&mut once).then(|| HandlerError::new("x").after(7)));
    let mut again = true;
    let lost: Way = Box::new(move |_| std::mem::take(&mut again).then(|| HandlerError::lost(30, "x")));
    let nothing: Way = Box::new(|_| Some(HandlerError::lost(0, "x")));
    let too_many: Way = Box::new(|_| Some(HandlerError::lost(u64::MAX, "x")));
    let behind_the_end: Way = Box::new(|records| Some(HandlerError::new("x").after(records)));
    for (way, failed) in [(after, 1), (lost, 30), (nothing, 0), (too_many, 100), (behind_the_end, 0)] {
        // One batch of a hundred: nothing is handed out before the poll.
        let (logger, guard) =
            collecting(&Arc::default()).wait(Wait::Manual).handler(Fails(way)).start().unwrap();
        for n in 0..100 {
            info!(logger: logger, "{n}");
        }
        guard.poll().unwrap();
        let report = guard.stop(SOON).unwrap();
        report.assert_balanced();
        let fails = &report.handlers["fails"];
        assert_eq!((fails.offered, fails.failed, fails.delivered), (100, failed, 100 - failed));
    }
}

#[test]
fn handlers_are_flushed_and_closed_in_reverse_order_at_the_stop_and_a_panic_there_stops_nothing() {
    struct Notes(&'static str, Arc<Mutex<Vec<String>>>);
    impl Notes {
        fn note(&self, what: &str) {
            self.1.lock().unwrap().push(format!("{what} {}", self.0));
        }
    }
    impl Handler for Notes {
        fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
            batch.into_iter().for_each(|_| self.note("handle"));
            Ok(())
        }
        fn flush(&mut self) -> Result<(), HandlerError> {
            self.note("flush");
            panic!("in flush")
        }
        fn close(&mut self) -> Result<(), HandlerError> {
            self.note("close");
            panic!("in close")
        }
    }
    impl Drop for Notes {
        fn drop(&mut self) {
            self.note("drop");
        }
    }
    let notes = Arc::default();
    let (logger, guard) = collecting(&Arc::default())
        .handler(Notes("a", Arc::clone(&notes)))
        .handler(Notes("b", Arc::clone(&notes)))
        .start()
        .unwrap();
    info!(logger: logger, "x");
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless());
    let expected = ["handle a", "handle b", "flush a", "flush b", "close b", "close a", "drop b", "drop a"];
    assert_eq!(*notes.lock().unwrap(), expected);
}

// ---- the process-wide engine

#[test]
fn the_process_wide_engine_is_one_and_can_be_started_again() {
    let test = "the_process_wide_engine_is_one_and_can_be_started_again";
    let output = in_child(test, &[], || {
        assert!(treering::flush(SOON).unwrap_err().is_not_running());
        let (orders, calls) = std::sync::mpsc::channel::<()>();
        let (told, answers) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            while calls.recv().is_ok() {
                info!("from the same thread as ever");
                told.send(()).unwrap();
            }
        });
        for round in 0..20 {
            let capture = Capture::new();
            let guard = treering::builder().handler(capture.clone()).init().unwrap();
            let again = treering::builder().init();
            assert!(again.unwrap_err().is_already_running());
            info!("from main");
            orders.send(()).unwrap();
            answers.recv().unwrap();
            let report = if round % 2 == 0 { guard.stop(SOON) } else { treering::shutdown(SOON) }.unwrap();
            report.assert_balanced();
            assert!(report.is_lossless());
            assert_eq!((report.submitted, capture.len()), (2, 2));
            orders.send(()).unwrap();
            answers.recv().unwrap();
            let report = guard.stats();
            report.assert_balanced();
            assert_eq!((report.submitted, report.late, capture.len()), (3, 1, 2));
        }
        drop(orders);
        thread.join().unwrap();
    });
    if let Some(output) = output {
        assert!(output.status.success(), "{}", text(&output));
    }
}

#[test]
fn a_panic_in_a_thread_is_logged() {
    let output = in_child("a_panic_in_a_thread_is_logged", &[], || {
        let _guard = treering::init().unwrap();
        let thread = std::thread::Builder::new().name("worker".into());
        let ended = thread.spawn(|| panic!("the reason\nforged")).unwrap().join();
        assert!(ended.is_err());
    });
    if let Some(output) = output {
        assert!(output.status.success(), "{}", text(&output));
        let text = String::from_utf8_lossy(&output.stderr);
        let line = text.lines().find(|line| line.contains(" treering::panic: "));
        let line = line.unwrap_or_else(|| panic!("the panic is not logged: {text}"));
        assert!(line.contains(" ERROR ") && line.contains("panicked: the reason\\nforged"), "{line}");
        assert!(line.contains("thread=worker") && line.contains("tests/stop.rs:"), "{line}");
        assert!(text.lines().any(|line| line.starts_with("thread 'worker'")), "std's hook ran too: {text}");
    }
}

#[test]
fn before_there_is_an_engine_warnings_go_to_stderr_and_lesser_records_nowhere() {
    let output =
        in_child("before_there_is_an_engine_warnings_go_to_stderr_and_lesser_records_nowhere", &[], || {
            for level in Level::ALL {
                match level {
                    Level::Error => error!("the last resort {level}"),
                    Level::Warn => warn!("the last resort {level}"),
                    _ => info!("the last resort {level}"),
                }
            }
        });
    if let Some(output) = output {
        let text = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<_> = text.lines().filter(|line| line.contains("the last resort")).collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(lines[0].contains(" ERROR ") && lines[1].contains(" WARN "), "{text}");
    }
}
