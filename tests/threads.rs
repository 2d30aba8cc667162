//! Threads that come and go, and calls at a thread's very end.

#![allow(clippy::print_stderr, reason = "tests tell their figures")]

#[path = "support/memory.rs"]
mod memory;
mod support;

use std::cell::{Cell, OnceCell};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use memory::{limit_memory, mapped_bytes};
use support::{LONG, SOON, capturing, each, in_child, messages, own_thread_id, resident_bytes, text};
use treering::handler::Capture;
use treering::{Guard, Logger, Overflow, info};

#[test]
fn a_hundred_thousand_short_threads_are_all_heard_by_their_names_and_leave_no_memory_behind() {
    const THREADS: u64 = 100_000;
    const AT_ONCE: u64 = 8;
    let test = "a_hundred_thousand_short_threads_are_all_heard_by_their_names_and_leave_no_memory_behind";
    let output = in_child(test, &[], || {
        let (heard, wrong) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (counted, misnamed) = (heard.clone(), wrong.clone());
        let take = each(move |record| {
            let (n, id) =
                (record.value(0).unwrap().as_u64().unwrap(), record.value(1).unwrap().as_u64().unwrap());
            counted.fetch_add(1, Ordering::Relaxed);
            let thread = record.thread();
            if thread.name() != Some(&format!("short-{n}")) || u64::from(thread.id()) != id {
                misnamed.fetch_add(1, Ordering::Relaxed);
            }
        });
        let guard = treering::builder()
            .ring_capacity(4096)
            .overflow(Overflow::block(LONG))
            .handler(take)
            .init()
            .unwrap();
        let mut early = 0;
        for group in 0..THREADS / AT_ONCE {
            if group * AT_ONCE == THREADS / 10 {
                early = resident_bytes();
            }
            let threads: Vec<_> = (0..AT_ONCE)
                .map(|at| {
                    let n = group * AT_ONCE + at;
                    let thread = std::thread::Builder::new().name(format!("short-{n}"));
                    thread.spawn(move || info!("{n} {}", own_thread_id())).unwrap()
                })
                .collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        }
        let late = resident_bytes();
        let report = guard.stop(SOON).unwrap();
        report.assert_balanced();
        assert!(report.is_lossless());
        assert_eq!((report.submitted, heard.load(Ordering::Relaxed)), (THREADS, THREADS));
        assert_eq!(wrong.load(Ordering::Relaxed), 0, "records by another thread's name or number");
        // Some, as a ring goes to another thread only when the listener has seen that it is empty, and the listener
        // may be without a core for thousands of short threads.
        assert!(report.rings < THREADS / 100, "{} rings", report.rings);
        // Of each thread a hundred bytes that stay would show.
        assert!(late < early + (8 << 20), "{early} bytes in use after 10,000 threads, {late} at the end");
        eprintln!("{} rings; {early} bytes after 10,000 threads, {late} at the end", report.rings);
    });
    if let Some(output) = output {
        assert!(output.status.success(), "{}", text(&output));
        let text = String::from_utf8_lossy(&output.stderr);
        eprintln!("{}", text.lines().last().unwrap_or_default());
    }
}

#[test]
fn a_record_bears_the_number_and_the_name_of_its_thread() {
    let (logger, guard, capture) = capturing();
    let ids: Vec<u32> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|n| {
                let logger = &logger;
                let thread = std::thread::Builder::new().name(format!("worker {n}"));
                let run = move || {
                    info!(logger: logger, "{n}");
                    own_thread_id()
                };
                thread.spawn_scoped(scope, run).unwrap()
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let logged = logger.clone();
    let unnamed = std::thread::spawn(move || info!(logger: logged, "4"));
    unnamed.join().unwrap();
    assert_eq!(messages(&guard, &capture).len(), 5);
    for record in capture.records() {
        let n: usize = record.message().parse().unwrap();
        let name = (n < 4).then(|| format!("worker {n}"));
        assert_eq!(record.thread_name(), name.as_deref());
        assert!(n == 4 || record.thread_id() == ids[n]);
    }
}

// ---- the end of a thread

/// Logs when its thread ends.
struct LogsAtEnd(Option<Logger>, &'static str);

impl Drop for LogsAtEnd {
    fn drop(&mut self) {
        let name = self.1;
        match &self.0 {
            Some(logger) => (0..3)
                .for_each(|n| info!(logger: logger, "{name} {n} {}", fmt::from_fn(|f| f.write_str("eager")))),
            None => (0..3).for_each(|n| info!("{name} {n} {}", fmt::from_fn(|f| f.write_str("eager")))),
        }
    }
}

thread_local! {
    static BEFORE: OnceCell<LogsAtEnd> = const { OnceCell::new() };
    static AFTER: OnceCell<LogsAtEnd> = const { OnceCell::new() };
    static NEVER_BEFORE: Cell<Option<LogsAtEnd>> = const { Cell::new(None) };
}

/// Runs threads whose destructors log, before and after the rings of the thread are handed back, and one that logs
/// nowhere else; checks what arrived.
fn log_from_destructors(logger: Option<Logger>, guard: &Guard, capture: &Capture) {
    for _ in 0..100 {
        capture.clear();
        let theirs = logger.clone();
        let id = std::thread::spawn(move || {
            assert!(BEFORE.with(|cell| cell.set(LogsAtEnd(theirs.clone(), "before"))).is_ok());
            match &theirs {
                Some(logger) => info!(logger: logger, "first"),
                None => info!("first"),
            }
            assert!(AFTER.with(|cell| cell.set(LogsAtEnd(theirs, "after"))).is_ok());
            own_thread_id()
        });
        let id = id.join().unwrap();
        guard.flush(SOON).unwrap();
        let mut texts: Vec<_> = capture.records().iter().map(|record| record.message().to_owned()).collect();
        texts.sort();
        let expected = [
            "after 0 eager",
            "after 1 eager",
            "after 2 eager",
            "before 0 eager",
            "before 1 eager",
            "before 2 eager",
            "first",
        ];
        assert_eq!(texts, expected);
        assert!(capture.records().iter().all(|record| record.thread_id() == id));

        capture.clear();
        let theirs = logger.clone();
        let only = move || NEVER_BEFORE.set(Some(LogsAtEnd(theirs, "only")));
        std::thread::spawn(only).join().unwrap();
        guard.flush(SOON).unwrap();
        let texts: Vec<_> = capture.records().iter().map(|record| record.message().to_owned()).collect();
        assert_eq!(texts, ["only 0 eager", "only 1 eager", "only 2 eager"]);
    }
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless(), "{report:#?}");
    assert_eq!(report.submitted, 1_000);
}

#[test]
fn destructors_of_thread_locals_are_heard() {
    let (logger, guard, capture) = capturing();
    log_from_destructors(Some(logger), &guard, &capture);
}

#[test]
fn destructors_of_thread_locals_are_heard_by_the_process_wide_engine() {
    let test = "destructors_of_thread_locals_are_heard_by_the_process_wide_engine";
    let output = in_child(test, &[], || {
        let capture = Capture::new();
        let guard = treering::builder().handler(capture.clone()).init().unwrap();
        log_from_destructors(None, &guard, &capture);
    });
    if let Some(output) = output {
        assert!(output.status.success(), "{}", text(&output));
    }
}

#[test]
fn a_destructor_that_logs_after_the_stop_is_late() {
    let (logger, guard, capture) = capturing();
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let theirs = logger.clone();
    let thread = std::thread::spawn(move || {
        assert!(BEFORE.with(|cell| cell.set(LogsAtEnd(Some(theirs.clone()), "before"))).is_ok());
        info!(logger: theirs, "first");
        assert!(AFTER.with(|cell| cell.set(LogsAtEnd(Some(theirs), "after"))).is_ok());
        let _ = wait.recv();
    });
    assert!(capture.wait_for(1, SOON));
    guard.stop(SOON).unwrap();
    drop(go);
    thread.join().unwrap();
    let report = guard.stats();
    report.assert_balanced();
    assert_eq!((report.submitted, report.dispatched, report.late), (7, 1, 6));
}

#[test]
fn a_thread_that_registers_twice_has_one_ring() {
    let (logger, guard) = treering::builder().start().unwrap();
    for _ in 0..3 {
        logger.register_thread();
        guard.register_thread();
        info!(logger: logger, "here");
    }
    let report = guard.stop(LONG).unwrap();
    report.assert_balanced();
    assert_eq!((report.rings, report.submitted), (1, 3));
}

#[test]
fn an_engine_that_the_system_refuses_a_thread_is_an_error_and_leaves_nothing_behind() {
    let test = "an_engine_that_the_system_refuses_a_thread_is_an_error_and_leaves_nothing_behind";
    let child = in_child(test, &[], || {
        let alive = Arc::new(());
        let builder = || {
            let alive = alive.clone();
            treering::builder().handler(each(move |_| assert!(Arc::strong_count(&alive) > 1)))
        };
        let evaluated = Cell::new(0);
        let call = || info!("{}", evaluated.replace(evaluated.get() + 1));
        // Room for what an engine allocates, and not for a thread's stack of 2 MiB.
        limit_memory(mapped_bytes() + 1024 * 1024);
        let started = builder().start().map(drop);
        let inited = builder().init().map(drop);
        limit_memory(libc::RLIM_INFINITY);
        for refused in [started.unwrap_err(), inited.unwrap_err()] {
            assert!(refused.is_io(), "{refused}");
            assert!(refused.to_string().starts_with("cannot start the listener's thread"), "{refused}");
        }
        assert_eq!(Arc::strong_count(&alive), 1, "the handlers are gone");
        call();
        assert_eq!(evaluated.get(), 0, "nobody listens");

        let guard = builder().init().unwrap();
        call();
        assert_eq!(evaluated.get(), 1);
        let report = guard.stop(SOON).unwrap();
        report.assert_balanced();
        assert!(report.is_lossless() && report.submitted == 1, "{report:#?}");
    });
    if let Some(output) = child {
        assert!(output.status.success(), "{}", text(&output));
    }
}
