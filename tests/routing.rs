//! Which records reach which handlers: what handlers accept, filters, fallbacks, and handlers that come and go while
//! the engine runs.

mod support;

use std::sync::{Arc, Mutex};

use support::SOON;
use treering::handler::{Batch, Capture, Handler, HandlerError};
use treering::record::Record;
use treering::{Level, LevelFilter, Overflow, info, warn};

/// The number that a test's record carries.
fn number(record: &Record<'_>) -> u64 {
    record.value(0).unwrap().as_u64().unwrap()
}

/// A handler that accepts what its closure says, and keeps the numbers.
struct Accepts<F> {
    accepts: F,
    got: Arc<Mutex<Vec<u64>>>,
    max_level: LevelFilter,
}

impl<F: FnMut(u64) -> bool> Accepts<F> {
    fn new(accepts: F) -> (Self, Arc<Mutex<Vec<u64>>>) {
        let got = Arc::<Mutex<Vec<u64>>>::default();
        (Accepts { accepts, got: got.clone(), max_level: LevelFilter::ALL }, got)
    }
}

impl<F: FnMut(u64) -> bool + Send> Handler for Accepts<F> {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        assert!(!batch.is_empty());
        for record in batch {
            let number = number(&record);
            self.got.lock().unwrap().push(number);
            if number % 100 == 77 {
                return Err(HandlerError::new("seventy-seven"));
            }
        }
        Ok(())
    }

    fn accepts(&mut self, record: &Record<'_>) -> bool {
        (self.accepts)(number(record))
    }

    fn max_level(&self) -> LevelFilter {
        self.max_level
    }

    fn name(&self) -> String {
        "accepts".to_owned()
    }
}

#[test]
fn a_handler_gets_what_it_accepts_and_is_asked_once_for_each_record() {
    let mut asked = Vec::new();
    let all_asked = Arc::new(Mutex::new(Vec::new()));
    let sink = all_asked.clone();
    let (mut handler, got) = Accepts::new(move |number| {
        asked.push(number);
        sink.lock().unwrap().clone_from(&asked);
        number % 3 != 0
    });
    handler.max_level = Level::Warn.into();
    let everything = Capture::new();
    let builder = treering::builder().overflow(Overflow::block(SOON)).error_hook(|_| {});
    let (logger, guard) = builder.handler(handler).handler(everything.clone()).start().unwrap();
    for n in 0..1000_u64 {
        warn!(logger: logger, "{n}");
        info!(logger: logger, "{n}");
    }
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert_eq!(*all_asked.lock().unwrap(), (0..1000).collect::<Vec<_>>(), "below its level nobody asks");
    let accepted: Vec<_> = (0..1000).filter(|n| n % 3 != 0).collect();
    assert_eq!(*got.lock().unwrap(), accepted, "each once and in order, over its errors");
    let books = &report.handlers["accepts"];
    let failed = accepted.iter().filter(|n| *n % 100 == 77).count() as u64;
    assert_eq!((books.offered, books.filtered, books.failed), (2000, 1334, failed));
    assert_eq!(books.delivered, 666 - failed);
    assert_eq!(everything.len(), 2000, "the others do not notice");
}

#[test]
fn a_panic_at_accepting_costs_that_record_and_is_told() {
    let faults = Arc::<Mutex<Vec<String>>>::default();
    let sink = faults.clone();
    let (handler, got) = Accepts::new(|number| {
        assert_ne!(number, 5, "on purpose");
        number != 6
    });
    let builder = treering::builder().wait(treering::Wait::Manual);
    let builder = builder.error_hook(move |fault| sink.lock().unwrap().push(fault.to_owned()));
    let (logger, guard) = builder.handler(handler).start().unwrap();
    (0..10_u64).for_each(|n| info!(logger: logger, "{n}"));
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert_eq!(*got.lock().unwrap(), [0, 1, 2, 3, 4, 7, 8, 9]);
    let books = &report.handlers["accepts"];
    assert_eq!((books.offered, books.filtered, books.failed, books.delivered), (10, 1, 1, 8));
    let faults = faults.lock().unwrap();
    assert_eq!(faults.len(), 1);
    assert!(
        faults[0].starts_with("handler accepts panicked when it was asked what it accepts"),
        "{faults:?}"
    );
    assert!(faults[0].contains("cost 1 records") && faults[0].contains("on purpose"), "{faults:?}");
}

#[test]
fn a_handler_that_panics_at_every_question_is_asked_ten_times_a_batch() {
    let asked = Arc::new(Mutex::new(0));
    let count = asked.clone();
    let (mut handler, got) = Accepts::new(move |_| {
        *count.lock().unwrap() += 1;
        panic!("on purpose")
    });
    handler.max_level = Level::Warn.into();
    let builder = treering::builder().wait(treering::Wait::Manual).error_hook(|_| {});
    let (logger, guard) = builder.handler(handler).start().unwrap();
    for n in 0..100_u64 {
        warn!(logger: logger, "{n}");
        info!(logger: logger, "{n}");
    }
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert_eq!((*asked.lock().unwrap(), got.lock().unwrap().len()), (10, 0));
    let books = &report.handlers["accepts"];
    assert_eq!((books.offered, books.filtered, books.failed), (200, 100, 100));
}

/// Keeps the last three records, and delivers them at the end.
#[derive(Default)]
struct LastThree {
    kept: Vec<u64>,
    discarded: u64,
    /// What it says beyond the truth.
    lies: u64,
}

impl Handler for LastThree {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        for record in batch {
            self.kept.push(number(&record));
            if self.kept.len() > 3 {
                self.kept.remove(0);
                self.discarded += 1;
            }
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), HandlerError> {
        self.kept.clear();
        Ok(())
    }

    fn held(&self) -> u64 {
        self.kept.len() as u64
    }

    fn discarded(&mut self) -> u64 {
        std::mem::take(&mut self.discarded) + self.lies
    }

    fn name(&self) -> String {
        "last three".to_owned()
    }
}

#[test]
fn what_a_handler_lets_go_on_purpose_is_filtered_and_not_delivered() {
    let builder = treering::builder().handler(LastThree::default());
    let (logger, guard) = builder.start().unwrap();
    (0..50_u64).for_each(|n| info!(logger: logger, "{n}"));
    guard.flush(SOON).unwrap();
    let report = guard.stats();
    let books = &report.handlers["last three"];
    assert_eq!((books.filtered, books.held, books.delivered), (47, 3, 0));
    (50..100_u64).for_each(|n| info!(logger: logger, "{n}"));
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless(), "{report:#?}");
    let books = &report.handlers["last three"];
    assert_eq!((books.offered, books.filtered, books.held, books.delivered), (100, 97, 0, 3));
}

#[test]
fn a_handler_that_miscounts_what_it_let_go_makes_no_records() {
    let builder = treering::builder().handler(LastThree { lies: 1000, ..LastThree::default() });
    let (logger, guard) = builder.start().unwrap();
    (0..100_u64).for_each(|n| info!(logger: logger, "{n}"));
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    let books = &report.handlers["last three"];
    assert_eq!((books.offered, books.filtered, books.delivered), (100, 100, 0));
}
