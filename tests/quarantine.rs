//! Handlers that fail again and again: they are left alone for a while, the others do not notice, the books say what
//! it cost, and when they work again they get everything.

mod support;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use support::{Gate, LONG, SOON, each, eventually};
use treering::handler::{Batch, Capture, Handler, HandlerError};
use treering::stats::HandlerReport;
use treering::{Guard, Level, LevelFilter, Logger, Overflow, Report, info, warn};

/// What a test sees of a [`Bad`] handler, and how it breaks it.
#[derive(Clone, Default)]
struct Knobs {
    broken: Arc<AtomicBool>,
    calls: Arc<AtomicU64>,
    flushes: Arc<AtomicU64>,
    closes: Arc<AtomicU64>,
    /// What was delivered.
    got: Arc<Mutex<Vec<u64>>>,
}

impl Knobs {
    fn broken() -> Self {
        let knobs = Knobs::default();
        knobs.set_broken(true);
        knobs
    }

    fn set_broken(&self, broken: bool) {
        self.broken.store(broken, Ordering::SeqCst);
    }

    fn is_broken(&self) -> bool {
        self.broken.load(Ordering::SeqCst)
    }

    fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    fn flushes(&self) -> u64 {
        self.flushes.load(Ordering::SeqCst)
    }

    fn got(&self) -> Vec<u64> {
        self.got.lock().unwrap().clone()
    }
}

/// A handler that fails while it is broken, in the way that `fail` says; and that keeps all records until it is
/// flushed, if it `buffers`.
struct Bad {
    knobs: Knobs,
    fail: fn() -> HandlerError,
    max_level: LevelFilter,
    buffers: bool,
    held: Vec<u64>,
}

impl Bad {
    fn new(knobs: &Knobs) -> Self {
        Bad {
            knobs: knobs.clone(),
            fail: || HandlerError::new("no"),
            max_level: LevelFilter::ALL,
            buffers: false,
            held: Vec::new(),
        }
    }

    fn deliver(&mut self) -> Result<(), HandlerError> {
        if self.knobs.is_broken() {
            return Err((self.fail)());
        }
        self.knobs.got.lock().unwrap().append(&mut self.held);
        Ok(())
    }
}

impl Handler for Bad {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        self.knobs.calls.fetch_add(1, Ordering::SeqCst);
        for record in batch {
            self.held.push(record.value(0).unwrap().as_u64().unwrap());
            if !self.buffers {
                self.deliver().inspect_err(|_| self.held.clear())?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), HandlerError> {
        self.knobs.flushes.fetch_add(1, Ordering::SeqCst);
        self.deliver()
    }

    fn close(&mut self) -> Result<(), HandlerError> {
        self.knobs.closes.fetch_add(1, Ordering::SeqCst);
        self.deliver()
    }

    fn held(&self) -> u64 {
        self.held.len() as u64
    }

    fn max_level(&self) -> LevelFilter {
        self.max_level
    }

    fn name(&self) -> String {
        "bad".to_owned()
    }
}

type Faults = Arc<Mutex<Vec<String>>>;

/// An engine with one such handler and a good one, and what its error hook is told.
fn start(bad: Bad) -> (Logger, Guard, Capture, Faults) {
    let (good, faults) = (Capture::new(), Faults::default());
    let sink = faults.clone();
    let (logger, guard) = treering::builder()
        .overflow(Overflow::block(LONG))
        .error_hook(move |fault| sink.lock().unwrap().push(fault.to_owned()))
        .handler(bad)
        .handler(good.clone())
        .start()
        .unwrap();
    (logger, guard, good, faults)
}

/// Logs a few records, one by one, until `bad` is quarantined or is no longer. Returns how many.
#[track_caller]
fn log_until_quarantined(is_quarantined: bool, logger: &Logger, guard: &Guard) -> u64 {
    let mut records = 0;
    eventually("quarantined, or no longer", || {
        let is_there = of_bad(&guard.stats()).quarantined == is_quarantined;
        if !is_there {
            info!(logger: logger, "{}", 1_000_000 + records);
            records += 1;
        }
        is_there
    });
    records
}

fn of_bad(report: &Report) -> &HandlerReport {
    &report.handlers["bad"]
}

#[track_caller]
fn assert_ledger(report: &Report) {
    for h in &report.handlers {
        let fates = h.filtered + h.delivered + h.failed + h.abandoned + h.held + h.in_flight;
        assert!(h.offered == fates && h.skipped <= h.failed, "{h:#?}");
    }
}

/// Ten thousand records for a handler that fails for ever: it is called a few times, all are failed, the other one
/// gets all, and the hook is told twice.
fn costs_a_few_calls(fail: fn() -> HandlerError, text: &str) {
    const RECORDS: u64 = 10_000;
    let knobs = Knobs::broken();
    let (logger, guard, good, faults) = start(Bad { fail, ..Bad::new(&knobs) });
    (0..RECORDS).for_each(|n| info!(logger: logger, "{n}"));
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert_eq!((good.len() as u64, report.handlers["capture"].delivered), (RECORDS, RECORDS));
    let bad = of_bad(&report);
    assert_eq!((bad.offered, bad.delivered, bad.failed), (RECORDS, 0, RECORDS));
    assert!(bad.quarantined && !report.is_lossless());
    // With a back-off that doubles, 40 calls take longer than 30 s.
    assert!((10..40).contains(&knobs.calls()), "called {} times", knobs.calls());
    assert_eq!(bad.skipped, RECORDS - knobs.calls(), "each call cost one record");
    let faults = faults.lock().unwrap();
    assert_eq!(
        faults.len(),
        5,
        "the first failure, the tenth, the flush and the close of the stop, and what was skipped: {faults:#?}"
    );
    assert_eq!(faults[4], format!("handler bad failed to the end; {} records were skipped", bad.skipped));
    assert_eq!(faults[0], format!("handler bad: {text}"));
    let begins =
        format!("handler bad failed 10 times in a row and gets no records for 10ms, then longer: {text}");
    assert_eq!(faults[1], begins);
}

#[test]
fn a_handler_that_fails_for_ever_costs_a_few_calls_and_the_others_nothing() {
    costs_a_few_calls(|| HandlerError::new("no"), "no");
}

#[test]
fn a_handler_that_panics_for_ever_costs_a_few_calls_and_the_others_nothing() {
    costs_a_few_calls(|| panic!("on purpose"), "panicked: on purpose");
}

#[test]
fn a_handler_that_recovers_gets_everything_from_then_on() {
    const RECORDS: u64 = 1000;
    let knobs = Knobs::broken();
    let (logger, guard, _, faults) = start(Bad::new(&knobs));
    let mut others = log_until_quarantined(true, &logger, &guard);
    knobs.set_broken(false);
    others += log_until_quarantined(false, &logger, &guard);
    (0..RECORDS).for_each(|n| info!(logger: logger, "{n}"));
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    let got = knobs.got();
    assert!(got.ends_with(&(0..RECORDS).collect::<Vec<_>>()), "all of them, in order");
    let bad = of_bad(&report);
    assert_eq!((bad.offered, bad.delivered), (others + RECORDS, got.len() as u64));
    assert_eq!(bad.failed, bad.offered - bad.delivered);
    assert!(!bad.quarantined);
    let end = format!("handler bad works again; {} records were skipped", bad.skipped);
    assert_eq!(*faults.lock().unwrap().last().unwrap(), end, "told of once, with how many");
    assert_eq!(faults.lock().unwrap().len(), 3);
}

#[test]
fn a_handler_that_fails_every_second_record_is_never_quarantined() {
    const RECORDS: u64 = 1000;
    let mut handed = 0;
    let every_second = support::Each(move |_: &treering::Record<'_>| {
        handed += 1;
        if handed % 2 == 0 { Err(HandlerError::new("every second")) } else { Ok(()) }
    });
    let (logger, guard) = treering::builder().error_hook(|_| {}).handler(every_second).start().unwrap();
    for n in 0..RECORDS {
        info!(logger: logger, "{n}");
        if n % 100 < 30 {
            guard.flush(SOON).unwrap(); // also in batches of one
        }
    }
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    let bad = &report.handlers["each"];
    assert_eq!((bad.delivered, bad.failed, bad.skipped), (RECORDS / 2, RECORDS / 2, 0));
    assert!(!bad.quarantined);
}

#[test]
fn a_handler_that_fails_slowly_leaves_the_others_nine_tenths_of_the_time() {
    const CALL: Duration = Duration::from_millis(50);
    let knobs = Knobs::broken();
    let fail = || {
        thread::sleep(CALL);
        HandlerError::new("slow")
    };
    let (logger, guard, _, _) = start(Bad { fail, ..Bad::new(&knobs) });
    log_until_quarantined(true, &logger, &guard);
    let (calls, since) = (knobs.calls(), Instant::now());
    while since.elapsed() < Duration::from_secs(1) {
        info!(logger: logger, "{}", 0_u64);
        thread::sleep(Duration::from_millis(1));
    }
    // The back-off began at most one call before, and each takes ten times as long with what follows it.
    let calls_max = 1 + since.elapsed().as_millis().div_ceil((CALL * 10).as_millis()) as u64;
    assert!(knobs.calls() - calls <= calls_max, "{} calls in a second", knobs.calls() - calls);
    guard.stop(SOON).unwrap().assert_balanced();
}

#[test]
fn a_handler_that_holds_records_keeps_them_in_quarantine_and_delivers_them_after() {
    let knobs = Knobs::broken();
    let (logger, guard, _, _) = start(Bad { buffers: true, ..Bad::new(&knobs) });
    (0..5_u64).for_each(|n| info!(logger: logger, "{n}"));
    eventually("its flushes fail ten times", || of_bad(&guard.stats()).quarantined);
    assert_eq!((of_bad(&guard.stats()).held, of_bad(&guard.stats()).failed), (5, 0));
    let flushes = knobs.flushes();
    thread::sleep(Duration::from_millis(500));
    assert!(knobs.flushes() - flushes <= 6, "10, 20, 40, 80, 160, 320 ms of rest: {}", knobs.flushes());
    knobs.set_broken(false);
    eventually("what it held is delivered", || of_bad(&guard.stats()).delivered == 5);
    eventually("the quarantine has ended", || !of_bad(&guard.stats()).quarantined);
    info!(logger: logger, "{}", 5_u64);
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless(), "{report:#?}");
    assert_eq!(knobs.got(), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn a_flush_that_somebody_asks_for_reaches_it_and_ends_the_quarantine_if_it_delivers() {
    let knobs = Knobs::broken();
    let (logger, guard, _, _) = start(Bad { buffers: true, ..Bad::new(&knobs) });
    info!(logger: logger, "{}", 0_u64);
    eventually("its flushes fail ten times", || of_bad(&guard.stats()).quarantined);
    for _ in 0..20 {
        let flushes = knobs.flushes();
        guard.flush(SOON).unwrap();
        assert!(knobs.flushes() > flushes, "called");
    }
    assert!(of_bad(&guard.stats()).quarantined);
    knobs.set_broken(false);
    guard.flush(SOON).unwrap();
    assert_eq!((of_bad(&guard.stats()).delivered, of_bad(&guard.stats()).quarantined), (1, false));
    guard.stop(SOON).unwrap().assert_balanced();
}

#[test]
fn a_stop_flushes_and_closes_a_handler_in_quarantine() {
    let knobs = Knobs::broken();
    let (logger, guard, _, _) = start(Bad { buffers: true, ..Bad::new(&knobs) });
    (0..3_u64).for_each(|n| info!(logger: logger, "{n}"));
    eventually("its flushes fail ten times", || of_bad(&guard.stats()).quarantined);
    let flushes = knobs.flushes();
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert!(knobs.flushes() > flushes);
    assert_eq!(knobs.closes.load(Ordering::SeqCst), 1);
    let bad = of_bad(&report);
    assert_eq!((bad.offered, bad.failed, bad.skipped), (3, 3, 0), "what it held to the end has failed");
}

#[test]
fn what_its_level_keeps_out_is_filtered_in_quarantine_too() {
    let knobs = Knobs::broken();
    let (logger, guard, _, _) = start(Bad { max_level: Level::Warn.into(), ..Bad::new(&knobs) });
    for n in 0..100_u64 {
        warn!(logger: logger, "{n}");
        info!(logger: logger, "{n}");
    }
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    let bad = of_bad(&report);
    assert_eq!((bad.filtered, bad.failed, bad.skipped), (100, 100, 100 - knobs.calls()));
}

#[test]
fn a_deadline_that_passes_in_quarantine_leaves_exact_books() {
    let gate = Gate::closed();
    gate.open();
    let (knobs, passes) = (Knobs::broken(), gate.clone());
    let (logger, guard) = treering::builder()
        .error_hook(|_| {})
        .handler(each(move |_| passes.pass()))
        .handler(Bad::new(&knobs))
        .start()
        .unwrap();
    (0..20_u64).for_each(|n| info!(logger: logger, "{n}"));
    guard.flush(SOON).unwrap();
    assert!(of_bad(&guard.stats()).quarantined);
    gate.set_open(false);
    info!(logger: logger, "{}", 20_u64);
    gate.wait_for_guest();
    (21..26_u64).for_each(|n| info!(logger: logger, "{n}"));
    let report = guard.stop(Duration::from_millis(50)).unwrap();
    gate.open();
    report.assert_balanced();
    assert_eq!((report.submitted, report.dispatched, report.abandoned), (26, 21, 5));
    let bad = of_bad(&report);
    assert_eq!((bad.offered, bad.failed, bad.abandoned), (21, 20, 1), "the last was not its to lose yet");
    assert_eq!(bad.skipped, 20 - knobs.calls());
}

#[test]
fn the_books_balance_at_any_time() {
    const RECORDS: u64 = 100_000;
    let knobs = Knobs::default();
    let (logger, guard, good, _) = start(Bad::new(&knobs));
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                knobs.set_broken(!knobs.is_broken());
                thread::sleep(Duration::from_millis(3));
                assert_ledger(&guard.stats());
            }
        });
        for n in 0..RECORDS {
            info!(logger: logger, "{n}");
            if n % 1000 == 0 {
                thread::sleep(Duration::from_millis(2));
            }
        }
        is_over.store(true, Ordering::SeqCst);
    });
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert_ledger(&report);
    assert_eq!(good.len() as u64, RECORDS);
    let bad = of_bad(&report);
    assert_eq!((bad.delivered, bad.delivered + bad.failed), (knobs.got().len() as u64, RECORDS));
    assert!(bad.skipped > 0);
}
