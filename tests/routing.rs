//! Which records reach which handlers: what handlers accept, filters, fallbacks, and handlers that come and go while
//! the engine runs.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use support::{Gate, LONG, SOON, each};
use treering::format::Format;
use treering::handler::{Batch, Capture, File, FlushPolicy, Handler, HandlerError};
use treering::record::Record;
use treering::{Level, LevelFilter, Logger, Overflow, Report, debug, error, filter, info, trace, warn};

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

#[test]
fn filters_narrow_what_a_handler_gets_and_are_counted() {
    let (by_target, by_field, by_both) = (Capture::new(), Capture::new(), Capture::new());
    let slow = || filter::field("ms", |ms| ms.as_u64() >= Some(100));
    let ours = filter::directives("error,app::db=debug,app::db::pool=off").unwrap();
    let builder = treering::builder()
        .filter("trace")
        .handler(
            by_target.clone().filter(filter::directives("error,app::db=debug,app::db::pool=off").unwrap()),
        )
        .handler(by_field.clone().filter(slow()).named("slow"))
        .handler(by_both.clone().filter(slow()).filter(move |record| !ours(record)).named("both"));
    let (logger, guard) = builder.start().unwrap();
    for _ in 0..3 {
        info!(logger: logger, target: "app::db", ms = 7, "query");
        info!(logger: logger, target: "app::db", ms = 700, "slow query");
        trace!(logger: logger, target: "app::db", ms = 701, "trace");
        info!(logger: logger, target: "app::db::pool", ms = 100, "pool");
        error!(logger: logger, target: "app::db::pool", "pool broken");
        info!(logger: logger, target: "app::http", ms = 99, "request");
        error!(logger: logger, target: "app::http", ms = "700", "a text is no number");
    }
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless());
    let texts = |capture: &Capture| {
        let records = capture.records();
        let texts: Vec<_> = records.iter().map(|record| record.message().to_owned()).collect();
        assert_eq!(texts[..texts.len() / 3], texts[texts.len() / 3 * 2..]);
        texts[..texts.len() / 3].join(", ")
    };
    assert_eq!(texts(&by_target), "query, slow query, a text is no number");
    assert_eq!(texts(&by_field), "slow query, trace, pool");
    assert_eq!(texts(&by_both), "trace, pool");
    let books = &report.handlers["slow"];
    assert_eq!((books.offered, books.filtered, books.delivered), (21, 12, 9));
}

#[test]
fn a_closure_may_remember_and_a_boxed_handler_is_a_handler() {
    let capture = Capture::new();
    let mut seen = 0;
    let every_third = move |_: &Record<'_>| {
        seen += 1;
        seen % 3 == 0
    };
    let boxed: Box<dyn Handler> = Box::new(capture.clone().level(Level::Info));
    let (logger, guard) = treering::builder().handler(boxed.filter(every_third)).start().unwrap();
    (0..9_u64).for_each(|n| info!(logger: logger, "{n}"));
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert_eq!(report.handlers["capture"].delivered, 3);
    assert_eq!(numbers(&capture), [2, 5, 8]);
}

#[test]
fn directives_that_do_not_parse_are_an_error() {
    let error = filter::directives("info,my::db=loud").map(drop).unwrap_err();
    assert!(error.is_filter() && error.to_string().contains("my::db=loud"), "{error}");
}

#[test]
fn losses_pass_every_filter() {
    let gate = Gate::closed();
    let passes = gate.clone();
    let nothing = Capture::new();
    let builder = treering::builder()
        .ring_capacity(4096)
        .handler(each(move |_| passes.pass()))
        .handler(nothing.clone().filter(|_| false));
    let (logger, guard) = builder.start().unwrap();
    info!(logger: logger, "{}", 0_u64);
    gate.wait_for_guest();
    (0..10_000_u64).for_each(|n| info!(logger: logger, "{n}"));
    gate.open();
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert!(report.dropped > 0);
    assert!(!nothing.is_empty());
    assert!(nothing.records().iter().all(|record| record.target() == "treering::loss"));
}

/// The numbers that a capture was given, which are its messages.
fn numbers(capture: &Capture) -> Vec<u64> {
    capture.records().iter().map(|record| record.message().parse().unwrap()).collect()
}

#[test]
fn equal_names_are_numbered_by_the_builder_and_refused_later() {
    let builder = treering::builder()
        .handler(Capture::new())
        .handler(Capture::new())
        .handler(Capture::new().named("capture-2"))
        .handler(Capture::new());
    let (_logger, guard) = builder.start().unwrap();
    let names = |report: &Report| report.handlers.iter().map(|books| books.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&guard.stats()), ["capture", "capture-2", "capture-2-2", "capture-3"]);
    let error = guard.handlers().add(Capture::new(), SOON).unwrap_err();
    assert!(error.is_config() && error.to_string().contains("\"capture\" already"), "{error}");
    let error = guard.handlers().remove("tap", SOON).unwrap_err();
    assert!(error.is_config() && error.to_string().contains("capture, capture-2, "), "{error}");
    guard.handlers().remove("capture", SOON).unwrap();
    guard.handlers().add(Capture::new(), SOON).unwrap();
    assert_eq!(guard.stats().handlers.iter().count(), 4, "it goes on with the books of the first");
    guard.stop(SOON).unwrap().assert_balanced();
}

/// What becomes of a [`Probe`], in order.
type Diary = Arc<Mutex<Vec<String>>>;

/// A handler that buffers, and writes down what is done with it.
struct Probe {
    name: &'static str,
    diary: Diary,
    held: Vec<String>,
}

impl Probe {
    fn new(name: &'static str, diary: &Diary) -> Self {
        Probe { name, diary: diary.clone(), held: Vec::new() }
    }

    fn write(&self, what: &str) {
        self.diary.lock().unwrap().push(format!("{} {what}", self.name));
    }
}

impl Handler for Probe {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        self.held.extend(batch.iter().map(|record| record.message().to_string()));
        Ok(())
    }

    fn flush(&mut self) -> Result<(), HandlerError> {
        let held = std::mem::take(&mut self.held);
        held.iter().for_each(|message| self.write(message));
        Ok(())
    }

    fn close(&mut self) -> Result<(), HandlerError> {
        self.flush()?;
        self.write("closed");
        Ok(())
    }

    fn held(&self) -> u64 {
        self.held.len() as u64
    }

    fn name(&self) -> String {
        "probe".to_owned()
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.write("dropped");
    }
}

#[test]
fn when_a_call_returns_the_old_handler_is_closed_and_the_new_one_gets_what_follows() {
    let diary = Diary::default();
    let so_far = || diary.lock().unwrap().clone();
    let (logger, guard) = treering::builder().handler(Probe::new("a", &diary)).start().unwrap();
    info!(logger: logger, "1");
    guard.handlers().replace("probe", Probe::new("b", &diary), SOON).unwrap();
    assert_eq!(so_far(), ["a 1", "a closed", "a dropped"]);
    info!(logger: logger, "2");
    logger.handlers().remove("probe", SOON).unwrap();
    assert_eq!(so_far()[3..], ["b 2", "b closed", "b dropped"]);
    info!(logger: logger, "3");
    let report = guard.stats();
    assert!(!report.handlers["probe"].attached);
    guard.handlers().add(Probe::new("c", &diary), SOON).unwrap();
    assert!(guard.stats().handlers["probe"].attached);
    info!(logger: logger, "4");
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless(), "{report:#?}");
    assert_eq!(so_far()[6..], ["c 4", "c closed", "c dropped"]);
    let books = &report.handlers["probe"];
    assert_eq!((report.submitted, books.offered, books.delivered), (4, 3, 3), "one entry for all three");
    assert!(books.attached, "to the end");
}

#[test]
fn levels_and_filters_change_between_two_calls() {
    let capture = Capture::new();
    let handler = capture.clone().level(Level::Warn).filter(|record| record.target() == "a");
    let (logger, guard) = treering::builder().filter("trace").handler(handler).start().unwrap();
    let log = |n: u64| {
        debug!(logger: logger, target: "a", "{n}");
        warn!(logger: logger, target: "a", "{}", n + 1);
        warn!(logger: logger, target: "b", "{}", n + 2);
    };
    log(0);
    guard.handlers().set_level("capture", Level::Debug, SOON).unwrap();
    log(10);
    guard.handlers().set_filter("capture", |record| record.target() == "b", SOON).unwrap();
    log(20);
    guard.handlers().set_level("capture", LevelFilter::OFF, SOON).unwrap();
    log(30);
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert_eq!(numbers(&capture), [1, 10, 11, 22]);
    assert_eq!(report.handlers["capture"].filtered, 8);
}

/// Appends what it gets, thread and number, to a list that many share.
struct Shared(Arc<Mutex<Vec<(u32, u64)>>>);

impl Handler for Shared {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        let records = batch.iter().map(|record| (record.thread().id(), number(&record)));
        self.0.lock().unwrap().extend(records);
        Ok(())
    }

    fn name(&self) -> String {
        "shared".to_owned()
    }
}

/// What each thread logged, in the order it arrived.
fn by_thread(records: &[(u32, u64)]) -> BTreeMap<u32, Vec<u64>> {
    let mut threads = BTreeMap::<_, Vec<_>>::new();
    records.iter().for_each(|(thread, number)| threads.entry(*thread).or_default().push(*number));
    threads
}

#[test]
fn while_four_threads_log_thousands_of_changes_lose_and_double_nothing() {
    const THREADS: u64 = 4;
    const CHANGES: u64 = 3000;
    let all = Arc::<Mutex<Vec<_>>>::default();
    let builder = treering::builder().overflow(Overflow::block(LONG)).ring_capacity(16 << 10);
    let (logger, guard) = builder.handler(Shared(all.clone())).start().unwrap();
    let is_over = AtomicBool::new(false);
    let mut taps = Vec::new();
    let mut logged: Vec<u64> = Vec::new();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    let mut n = 0;
                    while !is_over.load(Ordering::SeqCst) {
                        info!(logger: logger, "{n}");
                        n += 1;
                        if n % 64 == 0 {
                            thread::yield_now();
                        }
                    }
                    n
                })
            })
            .collect();
        for n in 0..CHANGES {
            // This thread's own records: `n` between two changes of the tap, and it must see just these.
            info!(logger: logger, target: "before", "{n}");
            let tap = Arc::<Mutex<Vec<_>>>::default();
            guard.handlers().add(Shared(tap.clone()).named("tap"), LONG).unwrap();
            info!(logger: logger, target: "between", "{n}");
            guard.handlers().replace("shared", Shared(all.clone()), LONG).unwrap();
            guard.handlers().remove("tap", LONG).unwrap();
            info!(logger: logger, target: "after", "{n}");
            taps.push(std::mem::take(&mut *tap.lock().unwrap()));
        }
        is_over.store(true, Ordering::SeqCst);
        logged = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    });
    let report = guard.stop(LONG).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless(), "{report:#?}");
    assert_eq!(report.handlers.iter().count(), 2, "books are kept by name");
    let books = &report.handlers["shared"];
    assert_eq!((books.offered, books.delivered), (report.submitted, report.submitted));

    let here = support::own_thread_id();
    let mut threads = by_thread(&all.lock().unwrap());
    let own = threads.remove(&here).unwrap();
    assert_eq!(own, (0..CHANGES).flat_map(|n| [n, n, n]).collect::<Vec<_>>());
    let mut lengths: Vec<_> = threads.values().map(|numbers| numbers.len() as u64).collect();
    lengths.sort_unstable();
    logged.sort_unstable();
    assert_eq!(lengths, logged);
    let is_counted = |numbers: &Vec<u64>| numbers.iter().copied().eq(0..numbers.len() as u64);
    assert!(threads.values().all(is_counted), "each record once, in order");

    let delivered = taps.iter().map(|tap| tap.len() as u64).sum::<u64>();
    assert_eq!(report.handlers["tap"].delivered, delivered);
    for (n, tap) in (0..).zip(&taps) {
        let mut threads = by_thread(tap);
        assert_eq!(
            threads.remove(&here),
            Some(vec![n]),
            "what was logged while it was there, and nothing else"
        );
        for numbers in threads.values() {
            assert!(
                numbers.windows(2).all(|pair| pair[1] == pair[0] + 1),
                "a run without a gap: {numbers:?}"
            );
        }
    }
}

#[test]
fn several_threads_change_handlers_at_once() {
    let all = Arc::<Mutex<Vec<_>>>::default();
    let (logger, guard) = treering::builder().handler(Shared(all.clone())).start().unwrap();
    thread::scope(|scope| {
        for thread in 0..4 {
            let (guard, logger) = (&guard, &logger);
            scope.spawn(move || {
                for n in 0..200_u64 {
                    let tap = Arc::<Mutex<Vec<_>>>::default();
                    let name = format!("tap {thread}");
                    guard.handlers().add(Shared(tap.clone()).named(name.as_str()), LONG).unwrap();
                    info!(logger: logger, "{n}");
                    guard.handlers().remove(&name, LONG).unwrap();
                    let own = by_thread(&tap.lock().unwrap()).remove(&support::own_thread_id());
                    assert_eq!(own, Some(vec![n]));
                }
            });
        }
    });
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless());
    assert_eq!(all.lock().unwrap().len(), 800);
}

#[test]
fn a_deadline_that_passes_leaves_the_change_in_force() {
    let gate = Gate::closed();
    let passes = gate.clone();
    let (old, new) = (Capture::new(), Capture::new());
    let builder = treering::builder().handler(each(move |_| passes.pass())).handler(old.clone());
    let (logger, guard) = builder.start().unwrap();
    info!(logger: logger, "{}", 0_u64);
    gate.wait_for_guest();
    let error = guard.handlers().replace("capture", new.clone(), Duration::from_millis(10)).unwrap_err();
    assert!(error.is_timeout(), "{error}");
    let error = guard.handlers().remove("each", Duration::ZERO).unwrap_err();
    assert!(error.is_timeout(), "{error}");
    gate.open();
    guard.flush(SOON).unwrap();
    info!(logger: logger, "{}", 1_u64);
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert_eq!((numbers(&old), numbers(&new)), (vec![0], vec![1]));
    assert!(!report.handlers["each"].attached);
}

#[test]
fn a_stop_whose_deadline_passes_releases_who_waits_for_a_change() {
    let gate = Gate::closed();
    let passes = gate.clone();
    let builder = treering::builder().handler(each(move |_| passes.pass()));
    let (logger, guard) = builder.start().unwrap();
    info!(logger: logger, "{}", 0_u64);
    gate.wait_for_guest();
    thread::scope(|scope| {
        let waits = scope.spawn(|| guard.handlers().add(Capture::new(), LONG));
        thread::sleep(Duration::from_millis(20));
        let report = guard.stop(Duration::from_millis(20)).unwrap();
        report.assert_balanced();
        let error = waits.join().unwrap().unwrap_err();
        assert!(error.is_timeout() || error.is_not_running(), "{error}");
        assert_eq!(report.handlers["each"].in_flight, 1);
        gate.open();
    });
}

#[test]
fn a_handler_that_asks_gets_an_error_and_nothing_changes() {
    let errors = Arc::new(Mutex::new(Vec::new()));
    let (sink, slot) = (errors.clone(), Arc::<OnceLock<Logger>>::default());
    let own = slot.clone();
    let asks = each(move |_| {
        let handlers = own.get().unwrap().handlers();
        sink.lock().unwrap().push(handlers.remove("each", LONG).unwrap_err());
        sink.lock().unwrap().push(handlers.add(Capture::new(), LONG).unwrap_err());
    });
    let (logger, guard) = treering::builder().handler(asks).start().unwrap();
    slot.set(logger.clone()).unwrap();
    info!(logger: logger, "{}", 0_u64);
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    let errors = errors.lock().unwrap();
    assert_eq!(errors.len(), 2);
    assert!(errors.iter().all(treering::Error::is_on_listener_thread), "{errors:?}");
    assert_eq!(report.handlers.iter().count(), 1);
    assert!(report.handlers["each"].attached);
}

#[test]
fn without_a_thread_the_caller_makes_the_change() {
    let (old, new) = (Capture::new(), Capture::new());
    let builder = treering::builder().wait(treering::Wait::Manual).handler(old.clone());
    let (logger, guard) = builder.start().unwrap();
    info!(logger: logger, "{}", 0_u64);
    guard.handlers().replace("capture", new.clone(), SOON).unwrap();
    assert_eq!(numbers(&old), [0], "handed out by the caller");
    info!(logger: logger, "{}", 1_u64);
    guard.handlers().set_level("capture", Level::Error, SOON).unwrap();
    assert_eq!(numbers(&new), [1]);
    guard.stop(SOON).unwrap().assert_balanced();
    assert!(guard.handlers().remove("capture", SOON).unwrap_err().is_not_running());
}

#[test]
fn what_a_thread_lost_before_a_change_is_told_to_the_handler_of_before() {
    let (old, new) = (Capture::new(), Capture::new());
    let builder = treering::builder().wait(treering::Wait::Manual).ring_capacity(4096);
    let (logger, guard) = builder.handler(old.clone()).start().unwrap();
    let ended = {
        let logger = logger.clone();
        std::thread::spawn(move || (0..1_000_u64).for_each(|n| info!(logger: logger, "{n}")))
    };
    ended.join().unwrap();
    guard.handlers().replace("capture", new.clone(), SOON).unwrap();
    let report = guard.stop(SOON).unwrap();
    assert!(report.dropped > 0, "the ring was full: {report}");
    let tells = |capture: &Capture| {
        capture.records().iter().filter(|record| record.target() == "treering::loss").count()
    };
    assert_eq!((tells(&old), tells(&new)), (1, 0));
}

#[test]
fn after_the_stop_there_is_nothing_to_change() {
    let diary = Diary::default();
    let (_logger, guard) = treering::builder().start().unwrap();
    guard.stop(SOON).unwrap().assert_balanced();
    let error = guard.handlers().add(Probe::new("late", &diary), SOON).unwrap_err();
    assert!(error.is_not_running(), "{error}");
    assert_eq!(*diary.lock().unwrap(), ["late dropped"]);
}

#[test]
fn a_handler_that_fails_and_panics_to_the_end_can_be_replaced() {
    /// Fails at everything.
    struct Broken;

    impl Handler for Broken {
        fn handle(&mut self, _: &Batch<'_>) -> Result<(), HandlerError> {
            Err(HandlerError::new("broken"))
        }

        fn close(&mut self) -> Result<(), HandlerError> {
            panic!("at the close")
        }

        fn name(&self) -> String {
            "main".to_owned()
        }
    }

    impl Drop for Broken {
        fn drop(&mut self) {
            panic!("at the drop");
        }
    }

    let faults = Diary::default();
    let sink = faults.clone();
    let builder = treering::builder().error_hook(move |fault| sink.lock().unwrap().push(fault.to_owned()));
    let (logger, guard) = builder.handler(Broken).start().unwrap();
    for n in 0..100_u64 {
        info!(logger: logger, "{n}");
        guard.flush(SOON).unwrap();
    }
    assert!(guard.stats().handlers["main"].quarantined);
    let good = Capture::new();
    guard.handlers().replace("main", good.clone(), SOON).unwrap();
    assert!(!guard.stats().handlers["main"].quarantined);
    (100..200_u64).for_each(|n| info!(logger: logger, "{n}"));
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert_eq!(numbers(&good), (100..200).collect::<Vec<_>>());
    let books = &report.handlers["main"];
    assert_eq!((books.offered, books.failed, books.delivered), (200, 100, 100));
    let faults = faults.lock().unwrap();
    assert!(faults.iter().any(|fault| fault.contains("close: panicked: at the close")), "{faults:#?}");
    assert!(faults.iter().any(|fault| fault.contains("when it was dropped: at the drop")), "{faults:#?}");
}

#[test]
fn a_handler_that_is_refused_and_panics_when_it_is_dropped_harms_nobody() {
    struct Grenade;

    impl Handler for Grenade {
        fn handle(&mut self, _: &Batch<'_>) -> Result<(), HandlerError> {
            Ok(())
        }

        fn name(&self) -> String {
            "main".to_owned()
        }
    }

    impl Drop for Grenade {
        fn drop(&mut self) {
            panic!("at the drop");
        }
    }

    let capture = Capture::new();
    let (logger, guard) = treering::builder().handler(capture.clone().named("main")).start().unwrap();
    for n in 0..3_u64 {
        let taken = guard.handlers().add(Grenade, SOON).unwrap_err();
        assert!(taken.is_config() && taken.to_string().contains("named \"main\" already"), "{taken}");
        let unknown = guard.handlers().replace("other", Grenade, SOON).unwrap_err();
        assert!(unknown.is_config() && unknown.to_string().contains("no handler is named"), "{unknown}");
        info!(logger: logger, "{n}");
    }
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert_eq!((numbers(&capture), report.listener_panics), (vec![0, 1, 2], 0));
}

/// How a [`Picky`] handler fails, and what it got.
#[derive(Clone, Default)]
struct Mood {
    refuses: Arc<Mutex<Option<Refuses>>>,
    got: Arc<Mutex<Vec<u64>>>,
    skipped: Arc<Mutex<u64>>,
}

type Refuses = fn(u64) -> Option<HandlerError>;

impl Mood {
    fn refusing(refuses: Refuses) -> Self {
        let mood = Mood::default();
        mood.set(Some(refuses));
        mood
    }

    fn set(&self, refuses: Option<Refuses>) {
        *self.refuses.lock().unwrap() = refuses;
    }

    fn got(&self) -> Vec<u64> {
        self.got.lock().unwrap().clone()
    }
}

/// Goes record by record, and refuses some.
struct Picky(Mood);

impl Handler for Picky {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        for record in batch {
            let number = number(&record);
            let refuses = *self.0.refuses.lock().unwrap();
            if let Some(error) = refuses.and_then(|refuses| refuses(number)) {
                return Err(error);
            }
            self.0.got.lock().unwrap().push(number);
        }
        Ok(())
    }

    fn skipped(&mut self, records: u64) {
        *self.0.skipped.lock().unwrap() += records;
    }

    fn name(&self) -> String {
        "picky".to_owned()
    }
}

/// What an engine tells its error hook.
fn told(builder: treering::Builder) -> (treering::Builder, Diary) {
    let faults = Diary::default();
    let sink = faults.clone();
    (builder.error_hook(move |fault| sink.lock().unwrap().push(fault.to_owned())), faults)
}

#[test]
fn what_a_primary_refuses_goes_to_its_fallback_and_nothing_else_does() {
    let mood = Mood::refusing(|number| match number % 10 {
        3 => Some(HandlerError::new("three")),
        5 => panic!("five"),
        _ => None,
    });
    let spare = Capture::new();
    let (builder, faults) = told(treering::builder().overflow(Overflow::block(LONG)));
    let (logger, guard) = builder.handler(Picky(mood.clone()).or(spare.clone())).start().unwrap();
    (0..1000_u64).for_each(|n| info!(logger: logger, "{n}"));
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless(), "{report:#?}");
    let is_spared = |n: &u64| matches!(n % 10, 3 | 5);
    assert_eq!(numbers(&spare), (0..1000).filter(is_spared).collect::<Vec<_>>());
    assert_eq!(mood.got(), (0..1000).filter(|n| !is_spared(n)).collect::<Vec<_>>());
    let books = &report.handlers["picky"];
    assert_eq!((books.offered, books.delivered, books.diverted), (1000, 1000, 200));
    assert!(books.to_string().ends_with(", 200 by the fallback"), "{books}");
    assert!(report.to_string().ends_with(", 200 by the fallback"), "{report}");
    assert!(faults.lock().unwrap().iter().any(|fault| fault == "handler picky: three"), "{faults:?}");
}

#[test]
fn a_primary_that_is_broken_is_left_alone_and_takes_over_when_it_works() {
    let mood = Mood::refusing(|_| Some(HandlerError::new("down")));
    let spare = Capture::new();
    let (builder, faults) = told(treering::builder().overflow(Overflow::block(LONG)));
    let (logger, guard) = builder.handler(Picky(mood.clone()).or(spare.clone())).start().unwrap();
    (0..5000_u64).for_each(|n| info!(logger: logger, "{n}"));
    guard.flush(SOON).unwrap();
    assert_eq!(numbers(&spare), (0..5000).collect::<Vec<_>>());
    mood.set(None);
    let mut n = 5000;
    support::eventually("the primary works again", || {
        info!(logger: logger, "{n}");
        n += 1;
        guard.flush(SOON).unwrap();
        !mood.got().is_empty()
    });
    let before = spare.len() as u64;
    (n..n + 100).for_each(|n| info!(logger: logger, "{n}"));
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless(), "{report:#?}");
    assert_eq!(numbers(&spare), (0..before).collect::<Vec<_>>());
    assert_eq!(mood.got(), (before..n + 100).collect::<Vec<_>>());
    assert_eq!(report.handlers["picky"].diverted, before);
    let skipped = *mood.skipped.lock().unwrap();
    assert!(skipped > 4000 && skipped < before, "it is told what it was not shown: {skipped} of {before}");
    let faults = faults.lock().unwrap();
    let end = format!("handler picky: works again; {skipped} records were not shown to it");
    assert_eq!(*faults, ["handler picky: down".to_owned(), end]);
}

#[test]
fn what_both_refuse_has_failed_and_what_the_fallback_does_not_want_too() {
    let spare = Mood::refusing(|number| (number % 2 == 0).then(|| HandlerError::new("odd only")));
    let down = || Picky(Mood::refusing(|_| Some(HandlerError::new("down"))));
    let last = Capture::new();
    let builder =
        treering::builder().error_hook(|_| {}).handler(down().or(Picky(spare.clone())).named("two")).handler(
            down().or(last.clone().level(Level::Warn).filter(|record| record.target() == "a")).named("picks"),
        );
    let (logger, guard) = builder.start().unwrap();
    for n in 0..100_u64 {
        info!(logger: logger, target: "a", "{n}");
        warn!(logger: logger, target: "a", "{n}");
        warn!(logger: logger, target: "b", "{n}");
        guard.flush(SOON).unwrap(); // so that the fallback fails once in a row, at most three times
    }
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert_eq!(spare.got().len(), 150);
    let two = &report.handlers["two"];
    assert_eq!((two.offered, two.delivered, two.failed, two.diverted), (300, 150, 150, 150));
    assert_eq!(numbers(&last), (0..100).collect::<Vec<_>>());
    let picks = &report.handlers["picks"];
    assert_eq!((picks.delivered, picks.failed, picks.diverted), (100, 200, 100));
}

#[test]
fn a_full_device_loses_nothing_with_a_fallback_behind_it() {
    const RECORDS: u64 = 20_000;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("spare.log");
    let full = File::append("/dev/full").unwrap();
    let builder = treering::builder().error_hook(|_| {}).overflow(Overflow::block(LONG));
    let handler = full.or(File::append(&path).unwrap()).named("main");
    let (logger, guard) = builder.handler(handler).start().unwrap();
    for n in 0..RECORDS {
        info!(logger: logger, n, "filled {n} of {}", RECORDS);
        if n % 1000 == 0 {
            guard.flush(SOON).unwrap();
        }
    }
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless(), "{report:#?}");
    let books = &report.handlers["main"];
    assert_eq!((books.delivered, books.diverted), (RECORDS, RECORDS));
    assert_eq!(numbered_lines(&path), (0..RECORDS).collect::<Vec<_>>());
}

/// The numbers behind `n=` at the ends of a file's lines.
fn numbered_lines(path: &Path) -> Vec<u64> {
    let text = fs::read_to_string(path).unwrap();
    let numbers = text.lines().filter_map(|line| line.rsplit_once(" n="));
    numbers.map(|(_, number)| number.parse().unwrap()).collect()
}

/// Keeps what it gets until it is flushed or full, as a file does, and drops all it has when its disk is full.
struct Buffer {
    mood: Mood,
    held: Vec<u64>,
    max: usize,
}

impl Buffer {
    fn write(&mut self) -> Result<(), HandlerError> {
        let refuses = *self.mood.refuses.lock().unwrap();
        let held = std::mem::take(&mut self.held);
        if let Some(error) = refuses.and_then(|refuses| refuses(held.len() as u64)) {
            return Err(HandlerError::lost(held.len() as u64, error));
        }
        self.mood.got.lock().unwrap().extend(held);
        Ok(())
    }
}

impl Handler for Buffer {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        let mut result = Ok(());
        for record in batch {
            self.held.push(number(&record));
            if self.held.len() == self.max {
                result = result.and(self.write());
            }
        }
        result
    }

    fn flush(&mut self) -> Result<(), HandlerError> {
        self.write()
    }

    fn held(&self) -> u64 {
        self.held.len() as u64
    }

    fn name(&self) -> String {
        "buffer".to_owned()
    }
}

/// One batch of ten records to such a buffer, with a spare one behind it: what each of them got, and the books.
fn a_batch_of_ten(max: usize, refuses: Refuses) -> (Vec<u64>, Vec<u64>, treering::stats::HandlerReport) {
    let (mood, spare) = (Mood::refusing(refuses), Capture::new());
    let buffer = Buffer { mood: mood.clone(), held: Vec::new(), max };
    let builder = treering::builder().wait(treering::Wait::Manual).error_hook(|_| {});
    let (logger, guard) = builder.handler(buffer.or(spare.clone())).start().unwrap();
    (0..10_u64).for_each(|n| info!(logger: logger, "{n}"));
    guard.flush(SOON).unwrap();
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    (mood.got(), numbers(&spare), report.handlers["buffer"].clone())
}

#[test]
fn of_a_buffer_the_newest_are_the_fallbacks_and_all_where_it_cannot_be_told() {
    // Four, four, two: the flush at the end of the batch loses the last two.
    let (got, spare, books) =
        a_batch_of_ten(4, |held| (held == 2).then(|| HandlerError::new("the last is refused")));
    assert_eq!((got, spare), ((0..8).collect(), vec![8, 9]));
    assert_eq!((books.delivered, books.diverted, books.failed), (10, 2, 0));
    // All of them.
    let (got, spare, books) = a_batch_of_ten(4, |_| Some(HandlerError::new("nothing gets out")));
    assert_eq!((got, spare), (vec![], (0..10).collect()));
    assert_eq!((books.delivered, books.diverted, books.failed), (10, 10, 0));
    // The first four, and nobody can tell which.
    let (got, spare, books) =
        a_batch_of_ten(4, |held| (held == 4).then(|| HandlerError::new("only the last gets out")));
    assert_eq!((got, spare), (vec![8, 9], (0..10).collect()), "some twice");
    assert_eq!((books.delivered, books.diverted, books.failed), (10, 10, 0));
}

#[test]
fn what_a_fallback_held_from_earlier_batches_and_lost_has_failed() {
    let lost: Refuses = |_| Some(HandlerError::new("nothing gets out"));
    let (primary, fallback) = (Mood::refusing(lost), Mood::refusing(lost));
    let buffer = Buffer { mood: fallback.clone(), held: Vec::new(), max: 10 };
    let builder = treering::builder().wait(treering::Wait::Manual).error_hook(|_| {});
    let seldom = FlushPolicy::new().when_idle(false).held_at_most(LONG);
    let chain = Picky(primary).or(buffer).flush_policy(seldom);
    let (logger, guard) = builder.handler(chain).start().unwrap();
    for n in 0..35_u64 {
        info!(logger: logger, "{n}");
        guard.poll().unwrap(); // a batch of its own
    }
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    let books = &report.handlers["picky"];
    assert_eq!((books.delivered, books.failed), (0, 35), "{report:#?}");
    assert!(!report.is_lossless());
}

#[test]
fn while_the_directory_of_a_file_is_gone_its_fallback_has_the_records() {
    // A file that cannot be opened is no handler; what a program does then is to begin with the other one.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("logs/app.log");
    let spare = directory.path().join("spare.log");
    fs::create_dir(path.parent().unwrap()).unwrap();
    let handler = Gone { path: path.clone() }.or(File::append(&spare).unwrap());
    let builder = treering::builder().error_hook(|_| {}).overflow(Overflow::block(LONG));
    let (logger, guard) = builder.handler(handler).start().unwrap();
    let log = |numbers: std::ops::Range<u64>| {
        for n in numbers {
            info!(logger: logger, n, "written");
            guard.flush(SOON).unwrap();
        }
    };
    log(0..10);
    fs::remove_dir_all(path.parent().unwrap()).unwrap();
    log(10..100);
    fs::create_dir(path.parent().unwrap()).unwrap();
    support::eventually("it works again", || {
        log(100..101);
        path.exists()
    });
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless(), "{report:#?}");
    assert!(numbered_lines(&spare).starts_with(&(10..100).collect::<Vec<_>>()));
    assert_eq!(numbered_lines(&path), [100], "the first ten went with the directory");
    let books = report.handlers.iter().next().unwrap();
    assert_eq!(books.diverted, numbered_lines(&spare).len() as u64);
}

/// Opens its file anew for each record, and so fails while it has no directory.
struct Gone {
    path: PathBuf,
}

impl Handler for Gone {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        for record in batch {
            let mut file = fs::OpenOptions::new().append(true).create(true).open(&self.path)?;
            writeln!(file, "{} n={}", record.message(), record.field("n").unwrap())?;
        }
        Ok(())
    }
}

#[test]
fn after_a_deadline_neither_of_the_two_is_called_again() {
    /// Refuses each record, but stands at a gate before that.
    struct Slow {
        gate: Gate,
        calls: Arc<AtomicU64>,
        is_dropped: Arc<AtomicBool>,
    }

    impl Handler for Slow {
        fn handle(&mut self, _: &Batch<'_>) -> Result<(), HandlerError> {
            self.calls.fetch_add(1, Ordering::SeqCst);
            self.gate.pass();
            Err(HandlerError::new("no"))
        }

        fn flush(&mut self) -> Result<(), HandlerError> {
            self.calls.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
    }

    impl Drop for Slow {
        fn drop(&mut self) {
            self.is_dropped.store(true, Ordering::SeqCst);
        }
    }

    let (gate, calls, is_dropped) =
        (Gate::closed(), Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
    let slow = Slow { gate: gate.clone(), calls: calls.clone(), is_dropped: is_dropped.clone() };
    let (spare, asked) = (Capture::new(), Arc::<AtomicU64>::default());
    let asks = asked.clone();
    let fallback = spare.clone().filter(move |_| {
        asks.fetch_add(1, Ordering::SeqCst);
        true
    });
    let builder = treering::builder().wait(treering::Wait::Park).overflow(Overflow::block(LONG));
    let (logger, guard) = builder.error_hook(|_| ()).handler(slow.or(fallback)).start().unwrap();
    (0..5_u64).for_each(|n| info!(logger: logger, "{n}"));
    gate.wait_for_guest();
    let report = guard.stop(Duration::from_millis(50)).unwrap();
    report.assert_balanced();
    drop((logger, guard));
    gate.open();
    support::eventually("the engine is gone", || is_dropped.load(Ordering::SeqCst));
    assert_eq!((calls.load(Ordering::SeqCst), asked.load(Ordering::SeqCst), spare.len()), (1, 0, 0));
}

#[test]
fn a_fallback_may_have_a_fallback() {
    let down = |text: &'static str| Picky(Mood::refusing(|_| Some(HandlerError::new("down")))).named(text);
    let last = Capture::new();
    let handler = down("first").or(down("second").or(last.clone()));
    let (logger, guard) = treering::builder().error_hook(|_| {}).handler(handler).start().unwrap();
    (0..100_u64).for_each(|n| info!(logger: logger, "{n}"));
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert_eq!(numbers(&last), (0..100).collect::<Vec<_>>());
    let books = &report.handlers["first"];
    assert_eq!((books.delivered, books.diverted), (100, 100));
}

/// The message and a newline, counted each time; panics at the message `panic`.
#[derive(Clone, Default)]
struct Counting {
    key: Option<&'static str>,
    made: Arc<AtomicU64>,
}

impl Format for Counting {
    fn format(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
        self.made.fetch_add(1, Ordering::SeqCst);
        writeln!(out, "{}", record.message()).unwrap();
        assert_ne!(record.message(), "panic");
    }

    fn key(&self) -> Option<String> {
        self.key.map(str::to_owned)
    }
}

/// Two files in this format, the second with this level and filter, and an engine without a thread.
fn two_files(
    directory: &Path,
    formats: [Counting; 2],
    second: impl FnOnce(File) -> treering::handler::Routed,
) -> (Logger, treering::Guard) {
    let [first_format, second_format] = formats;
    let first = File::append(directory.join("first")).unwrap().format(first_format);
    let other = File::append(directory.join("second")).unwrap().format(second_format);
    let builder = treering::builder().wait(treering::Wait::Manual).error_hook(|_| {});
    builder.handler(first).handler(second(other)).start().unwrap()
}

/// One batch to each: so many messages, every third of them a warning, and those that the text of a number is not.
fn batch(logger: &Logger, guard: &treering::Guard, numbers: std::ops::Range<u64>, extra: Option<&str>) {
    for n in numbers {
        match n % 3 {
            0 => warn!(logger: logger, "{n}"),
            _ => info!(logger: logger, "{n}"),
        }
    }
    extra.iter().for_each(|text| warn!(logger: logger, "{text}"));
    guard.flush(SOON).unwrap();
}

fn lines(path: impl AsRef<Path>) -> Vec<String> {
    fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn two_handlers_with_equal_formats_make_each_text_once() {
    for (keys, made) in [([Some("a"), Some("a")], 1), ([Some("a"), Some("b")], 2), ([None, None], 2)] {
        let directory = tempfile::tempdir().unwrap();
        let counting = Counting::default();
        let formats = keys.map(|key| Counting { key, ..counting.clone() });
        let (logger, guard) = two_files(directory.path(), formats, |file| file.named("second"));
        batch(&logger, &guard, 0..30, None); // in the first batch nobody knows
        counting.made.store(0, Ordering::SeqCst);
        batch(&logger, &guard, 30..330, None);
        assert_eq!(counting.made.load(Ordering::SeqCst), 300 * made, "{keys:?}");
        guard.stop(SOON).unwrap().assert_balanced();
        let expected: Vec<_> = (0..330).map(|n: u64| n.to_string()).collect();
        assert_eq!(lines(directory.path().join("first")), expected);
        assert_eq!(lines(directory.path().join("second")), expected);
    }
}

#[test]
fn handlers_that_want_different_records_share_the_texts_of_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let counting = Counting { key: Some("a"), ..Counting::default() };
    let formats = [counting.clone(), counting.clone()];
    let (logger, guard) = two_files(directory.path(), formats, |file| {
        let mut n = 0;
        // Every third is a warning; of these, those which are no multiple of five.
        file.level(Level::Warn).filter(move |_| {
            n += 1;
            n % 5 != 0
        })
    });
    batch(&logger, &guard, 0..300, None);
    counting.made.store(0, Ordering::SeqCst);
    batch(&logger, &guard, 300..600, None);
    assert_eq!(counting.made.load(Ordering::SeqCst), 300);
    batch(&logger, &guard, 600..900, Some("panic"));
    batch(&logger, &guard, 900..1200, None);
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert!(report.handlers.iter().all(|books| books.failed == 1), "the panic, in each: {report:#?}");
    let all = (0..1200_u64).map(|n| n.to_string());
    assert_eq!(lines(directory.path().join("first")), all.clone().collect::<Vec<_>>());
    let text = lines(directory.path().join("second"));
    let warnings: Vec<_> = all.step_by(3).collect();
    assert!(text.len() < warnings.len() && text.iter().all(|line| warnings.contains(line)));
    assert!(text.windows(2).all(|pair| pair[0].parse::<u64>().unwrap() < pair[1].parse().unwrap()));
    assert_eq!(text.len() as u64, report.handlers.iter().nth(1).unwrap().delivered);
}

#[test]
fn a_handler_that_wants_little_of_the_same_is_not_copied_for() {
    // Two of the 300 would be shared: making copies of all of them costs more. What comes out is the same.
    let directory = tempfile::tempdir().unwrap();
    let counting = Counting { key: Some("a"), ..Counting::default() };
    let formats = [counting.clone(), counting.clone()];
    let (logger, guard) = two_files(directory.path(), formats, |file| {
        file.filter(|record| record.message() == "7" || record.message() == "307")
    });
    batch(&logger, &guard, 0..300, None);
    counting.made.store(0, Ordering::SeqCst);
    batch(&logger, &guard, 300..600, None);
    assert_eq!(counting.made.load(Ordering::SeqCst), 301);
    guard.stop(SOON).unwrap().assert_balanced();
    assert_eq!(lines(directory.path().join("second")), ["7", "307"]);
}

#[test]
fn formats_of_one_type_share_texts_if_their_settings_are_equal() {
    use treering::format::{Json, Logfmt, Pattern, Text, Time};
    let pattern = |text| Pattern::new(text).unwrap();
    let equal = [Text::new().key(), Text::default().key()];
    assert!(equal[0].is_some() && equal[0] == equal[1]);
    let mut colored = Text::new();
    colored.colors_wanted(true);
    let keys = [
        Text::new().key(),
        colored.key(),
        Text::new().threads(true).key(),
        Text::new().time(Time::utc().millis()).key(),
        Json::new().key(),
        Json::new().flat(true).key(),
        Logfmt::new().key(),
        Logfmt::new().location(true).key(),
        pattern("{message}").key(),
        pattern("{level} {message}").key(),
        pattern("{level.lower} {message}").key(),
        pattern("{time:%H} {message}").key(),
    ];
    for (at, key) in keys.iter().enumerate() {
        assert!(key.is_some() && !keys[..at].contains(key), "{key:?}");
    }
}
