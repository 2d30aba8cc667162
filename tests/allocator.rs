//! A global allocator that logs: every call of it is delivered or counted, whatever it interrupts.
#![allow(unsafe_code, reason = "a global allocator that logs")]
#![allow(clippy::print_stderr, reason = "a child tells its figures")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fmt;
use std::hint::black_box;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use support::{LONG, SOON, each, in_child, text};
use treering::handler::Capture;
use treering::{Guard, Logger, Overflow, Report, Wait, info, warn};

struct Logging;

/// Each allocation of this number, in the whole process, logs with arguments of deferred types. 0: none does.
static DEFERRED_EVERY: AtomicU64 = AtomicU64::new(0);
/// Likewise, with an argument that is formatted at the call.
static EAGER_EVERY: AtomicU64 = AtomicU64::new(0);
/// Whether each one warns, of which the last resort makes a line on stderr.
static WARNS: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
/// Calls that the allocator made, to whatever engine.
static CALLS: AtomicU64 = AtomicU64::new(0);
static LOGGER: OnceLock<Logger> = OnceLock::new();

thread_local! {
    /// Formatting allocates, so an allocator that has it done has to be on its guard.
    static IS_FORMATTING: Cell<bool> = const { Cell::new(false) };
}

impl Logging {
    fn note(bytes: usize) {
        let n = ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        let is_due = |every: &AtomicU64| n.checked_rem(every.load(Ordering::Relaxed)) == Some(0);
        if is_due(&DEFERRED_EVERY) {
            CALLS.fetch_add(1, Ordering::Relaxed);
            info!("allocation {n} of {bytes} bytes");
            if let Some(logger) = LOGGER.get() {
                CALLS.fetch_add(1, Ordering::Relaxed);
                info!(logger: logger, "allocation {n} of {bytes} bytes");
            }
        }
        if WARNS.load(Ordering::Relaxed) {
            CALLS.fetch_add(1, Ordering::Relaxed);
            warn!("{bytes} bytes before there is an engine");
        }
        if is_due(&EAGER_EVERY) && !IS_FORMATTING.replace(true) {
            let text = fmt::from_fn(|f| write!(f, "{bytes} bytes"));
            CALLS.fetch_add(1, Ordering::Relaxed);
            info!("allocation {n} of {text}");
            if let Some(logger) = LOGGER.get() {
                CALLS.fetch_add(1, Ordering::Relaxed);
                info!(logger: logger, "allocation {n} of {text}");
            }
            IS_FORMATTING.set(false);
        }
    }
}

// SAFETY: hands every request to the system's allocator.
unsafe impl GlobalAlloc for Logging {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Logging::note(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        Logging::note(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Logging::note(size);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(block, layout, size) }
    }
}

#[global_allocator]
static LOGGING: Logging = Logging;

/// How often the allocator logs.
#[derive(Clone, Copy)]
struct Often {
    deferred_every: u64,
    eager_every: u64,
}

impl Often {
    fn set(self) {
        DEFERRED_EVERY.store(self.deferred_every, Ordering::Relaxed);
        EAGER_EVERY.store(self.eager_every, Ordering::Relaxed);
    }

    const NEVER: Often = Often { deferred_every: 0, eager_every: 0 };
}

/// Logs when its thread ends.
struct LogsAtEnd;

impl Drop for LogsAtEnd {
    fn drop(&mut self) {
        own("at the end");
    }
}

thread_local! {
    static AT_END: Cell<Option<LogsAtEnd>> = const { Cell::new(None) };
}

/// Calls that the program made.
static OWN: AtomicU64 = AtomicU64::new(0);

/// The program's own calls: to both engines, deferred and eager.
fn own(text: &str) {
    OWN.fetch_add(4, Ordering::Relaxed);
    let shown = fmt::from_fn(|f| write!(f, "<{text}>"));
    let logger = LOGGER.get().unwrap();
    info!("{text}");
    info!("{shown}");
    info!(logger: logger, "{text}");
    info!(logger: logger, "{shown}");
}

fn start(wait: Wait, policy: Overflow) -> [Guard; 2] {
    let builder = || {
        let with = treering::builder().ring_capacity(16 * 1024).overflow(policy.clone()).wait(wait);
        // A handler that allocates for each record, and one that does not.
        with.handler(Capture::new()).handler(each(|_| ()))
    };
    let (logger, guard) = builder().start().unwrap();
    assert!(LOGGER.set(logger).is_ok());
    [builder().init().unwrap(), guard]
}

/// Threads that come and go, filters that change, requests to the engines.
fn work(guards: &[Guard; 2], wait: Wait) {
    for round in 0..40 {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    AT_END.set(Some(LogsAtEnd));
                    (0..20).for_each(|n| own(&format!("{round} {n}")));
                });
            }
            for guard in guards {
                guard.set_filter(if round % 2 == 0 { "info" } else { "debug" }).unwrap();
                guard.flush(SOON).unwrap();
                if wait == Wait::Manual {
                    guard.poll().unwrap();
                }
            }
        });
    }
}

/// Every call has one fate: nothing is lost but what is counted.
fn check(reports: &[Report; 2]) {
    let calls = CALLS.load(Ordering::Relaxed) + OWN.load(Ordering::Relaxed);
    reports.iter().for_each(Report::assert_balanced);
    let fates = |report: &Report| report.dispatched + report.dropped + report.late;
    let nested = reports[0].nested;
    assert_eq!(reports.iter().map(fates).sum::<u64>() + nested, calls, "{reports:#?}");
    assert!(nested > 0, "the allocator interrupted nothing");
    assert!(reports.iter().all(|report| report.dispatched > 0 && report.late > 0), "{reports:#?}");
}

/// Runs both engines in a process of its own while the allocator logs that often.
fn log_from_the_allocator(test: &str, wait: Wait, policy: Overflow, often: Often) {
    let output = in_child(test, &[], || {
        let guards = start(wait, policy);
        often.set();
        work(&guards, wait);
        guards.iter().for_each(|guard| guard.stop(SOON).unwrap().assert_balanced());
        own("late");
        drop(vec![0_u8; 10]);
        std::thread::spawn(|| own("late, from a thread of its own")).join().unwrap();
        Often::NEVER.set();
        check(&guards.each_ref().map(Guard::stats));
    });
    if let Some(output) = output {
        assert!(output.status.success(), "{}", text(&output));
    }
}

#[test]
fn an_allocator_that_logs_every_allocation_is_delivered_or_counted() {
    let test = "an_allocator_that_logs_every_allocation_is_delivered_or_counted";
    let often = Often { deferred_every: 1, eager_every: 0 };
    log_from_the_allocator(test, Wait::Adaptive, Overflow::drop_newest(), often);
}

#[test]
fn an_allocator_that_formats_is_delivered_or_counted() {
    let test = "an_allocator_that_formats_is_delivered_or_counted";
    let often = Often { deferred_every: 7, eager_every: 3 };
    log_from_the_allocator(test, Wait::Park, Overflow::drop_newest(), often);
}

#[test]
fn an_allocator_whose_calls_wait_for_room_never_waits_for_itself() {
    let test = "an_allocator_whose_calls_wait_for_room_never_waits_for_itself";
    let often = Often { deferred_every: 1, eager_every: 5 };
    log_from_the_allocator(test, Wait::Adaptive, Overflow::block(LONG), often);
}

#[test]
fn an_allocator_that_logs_where_a_thread_polls_is_delivered_or_counted() {
    let test = "an_allocator_that_logs_where_a_thread_polls_is_delivered_or_counted";
    let often = Often { deferred_every: 1, eager_every: 5 };
    log_from_the_allocator(test, Wait::Manual, Overflow::drop_newest(), often);
}

#[test]
fn an_allocator_that_warns_before_there_is_an_engine_writes_one_line_for_each_call_but_nested_ones() {
    let test =
        "an_allocator_that_warns_before_there_is_an_engine_writes_one_line_for_each_call_but_nested_ones";
    let output = in_child(test, &[], || {
        // Whatever else is there: the report counts nested calls of the whole process.
        let (_, guard) = treering::builder().start().unwrap();
        WARNS.store(true, Ordering::Relaxed);
        let vector = black_box(vec![0_u8; 100]);
        WARNS.store(false, Ordering::Relaxed);
        drop(vector);
        let (calls, nested) = (CALLS.load(Ordering::Relaxed), guard.stats().nested);
        assert!(nested > 0);
        eprintln!("{} lines", calls - nested);
    });
    if let Some(output) = output {
        let text = text(&output);
        assert!(output.status.success(), "{text}");
        let lines = text.matches("before there is an engine").count();
        assert!(lines > 0 && text.contains(&format!("\n{lines} lines\n")), "{text}");
    }
}

#[test]
fn the_engine_is_quiet_when_the_program_is() {
    let test = "the_engine_is_quiet_when_the_program_is";
    let output = in_child(test, &[], || {
        // One engine: two whose threads log to each other would go on, as two programs would.
        let builder = treering::builder().handler(Capture::new());
        let guard = builder.init().unwrap();
        Often { deferred_every: 1, eager_every: 0 }.set();
        info!("the last for long");
        // What the listener allocates for it is logged, and what that makes it allocate is not, or this had no end.
        std::thread::sleep(Duration::from_millis(500));
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(500));
        let since = ALLOCATIONS.load(Ordering::Relaxed) - before;
        Often::NEVER.set();
        assert!(since < 20, "{since} allocations in silence");
        guard.stop(SOON).unwrap().assert_balanced();
    });
    if let Some(output) = output {
        assert!(output.status.success(), "{}", text(&output));
    }
}
