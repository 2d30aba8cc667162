//! The flight recorder, through the public face: what comes out, in which order, and what the books say.

mod support;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use support::{Each, SOON};
use treering::format::Json;
use treering::handler::{Batch, Capture, File, FlightRecorder, Handler, HandlerError};
use treering::{Guard, Level, LevelFilter, Logger, Overflow, debug, error, info, trace, warn};

fn engine(handler: impl Handler + 'static) -> (Logger, Guard) {
    let builder = treering::builder().filter("trace").overflow(Overflow::block(support::LONG));
    builder.handler(handler).start().unwrap()
}

fn messages(capture: &Capture) -> Vec<String> {
    capture.records().iter().map(|record| record.message().to_owned()).collect()
}

/// What stands before kept records.
fn note(kept: u64, overwritten: u64) -> String {
    format!("{kept} kept records follow, {overwritten} older ones were overwritten")
}

/// Offered, filtered, delivered, failed of the only handler, when all is over.
#[track_caller]
fn books(guard: &Guard) -> [u64; 4] {
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    let books = report.handlers.iter().next().unwrap();
    assert_eq!((books.held, books.in_flight, books.abandoned), (0, 0, 0));
    [books.offered, books.filtered, books.delivered, books.failed]
}

#[test]
fn an_error_brings_out_what_was_kept_behind_a_line_that_says_how_many() {
    let capture = Capture::new().level(Level::Info);
    let (logger, guard) = engine(FlightRecorder::new(capture.clone()).records(3));
    for n in 0..5 {
        debug!(logger: logger, "debug {n}");
    }
    info!(logger: logger, "info");
    trace!(logger: logger, "trace");
    error!(logger: logger, "error");
    error!(logger: logger, "another");
    debug!(logger: logger, "after");
    guard.flush(SOON).unwrap();
    assert_eq!(guard.stats().handlers.iter().next().unwrap().held, 1);
    assert_eq!(messages(&capture), ["info", &note(3, 3), "debug 3", "debug 4", "trace", "error", "another"]);
    let records = capture.records();
    assert_eq!(records[1].target(), "treering::recorder");
    assert_eq!(records[1].level(), Level::Info);
    assert_eq!(records[1].time(), records[5].time());
    assert_eq!(records[1].field("kept").unwrap().as_u64(), Some(3));
    assert_eq!(records[1].field("overwritten").unwrap().as_u64(), Some(3));
    assert_eq!(books(&guard), [10, 4, 6, 0], "three overwritten, one not needed");
}

#[test]
fn kept_records_are_what_they_were() {
    let capture = Capture::new().level(LevelFilter::OFF);
    let (logger, guard) = engine(FlightRecorder::new(capture.clone()));
    let other = logger.clone();
    let logs = move || debug!(logger: other, id = 7_u64, names = &["a", "b"], "kept {}", "text");
    std::thread::Builder::new().name("worker".to_owned()).spawn(logs).unwrap().join().unwrap();
    for n in 0..1000 {
        debug!(logger: logger, n, "more");
    }
    error!(logger: logger, "error");
    assert_eq!(books(&guard), [1002, 0, 1002, 0]);
    let records = capture.records();
    let kept = &records[1];
    assert_eq!(
        (kept.message(), kept.level(), kept.thread_name()),
        ("kept text", Level::Debug, Some("worker"))
    );
    assert_eq!(kept.field("id").unwrap().as_u64(), Some(7));
    assert_eq!(kept.field("names").unwrap().text(), r#"["a", "b"]"#);
    assert!(kept.time() <= records[2].time() && records[2].time() < records.last().unwrap().time());
    for (n, record) in (0..1000).zip(&records[2..]) {
        assert_eq!(record.field("n").unwrap().as_i64(), Some(n));
    }
}

#[test]
fn bytes_are_a_limit_of_their_own() {
    let capture = Capture::new().level(Level::Info);
    // A string is a word and its bytes: 10 words.
    let (logger, guard) = engine(FlightRecorder::new(capture.clone()).bytes(35 * 8));
    let text = "x".repeat(72);
    for n in 0..4 {
        debug!(logger: logger, "{n} {text}");
    }
    debug!(logger: logger, "{}", "y".repeat(1000));
    error!(logger: logger, "error");
    assert_eq!(books(&guard), [6, 2, 4, 0]);
    let kept =
        [note(3, 2), format!("1 {text}"), format!("2 {text}"), format!("3 {text}"), "error".to_owned()];
    assert_eq!(messages(&capture), kept, "the one that is too long takes no other's place");
}

#[test]
fn what_is_kept_at_the_end_is_filtered_or_handed_over() {
    for emits in [false, true] {
        let capture = Capture::new().level(Level::Info);
        let (logger, guard) = engine(FlightRecorder::new(capture.clone()).emit_at_close(emits));
        debug!(logger: logger, "one");
        debug!(logger: logger, "two");
        assert_eq!(books(&guard), if emits { [2, 0, 2, 0] } else { [2, 2, 0, 0] });
        assert_eq!(
            messages(&capture),
            if emits { vec![note(2, 0), "one".into(), "two".into()] } else { vec![] }
        );
    }
}

#[test]
fn a_trigger_may_be_a_level_or_a_question() {
    let capture = Capture::new().level(Level::Info);
    let recorder = FlightRecorder::new(capture.clone()).trigger(LevelFilter::OFF).trigger_when(|record| {
        assert_ne!(record.message(), "panic");
        record.field("status").is_some_and(|status| status.value().as_u64() == Some(500))
    });
    let (logger, guard) = engine(recorder);
    debug!(logger: logger, "one");
    error!(logger: logger, "no trigger");
    debug!(logger: logger, "panic");
    debug!(logger: logger, status = 500, "request");
    assert_eq!(books(&guard), [4, 0, 4, 0], "a question that panics costs nothing");
    assert_eq!(messages(&capture), ["no trigger", &note(2, 0), "one", "panic", "request"]);
}

#[test]
fn what_the_handler_does_not_accept_is_kept_too() {
    struct Chosen(Capture);

    impl Handler for Chosen {
        fn accepts(&mut self, record: &treering::Record<'_>) -> bool {
            assert_ne!(record.message(), "panic");
            record.target() != "noisy"
        }

        fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
            self.0.handle(batch)
        }
    }

    let capture = Capture::new();
    let (logger, guard) = engine(FlightRecorder::new(Chosen(capture.clone())));
    warn!(logger: logger, target: "noisy", "kept");
    warn!(logger: logger, "panic");
    info!(logger: logger, "passes");
    error!(logger: logger, target: "noisy", "error");
    assert_eq!(books(&guard), [4, 0, 3, 1]);
    assert_eq!(messages(&capture), ["passes", "kept", "error"], "and this handler takes no notes");
}

#[test]
fn a_handler_that_fails_loses_what_it_failed_at_and_nothing_else() {
    let (seen, mut n) = (Arc::new(std::sync::Mutex::new(Vec::new())), 0);
    let sees = seen.clone();
    let handler = Each(move |record: &treering::Record<'_>| {
        n += 1;
        assert_ne!(n, 3, "panics at the third");
        if n == 5 {
            return Err(HandlerError::new("fails at the fifth"));
        }
        sees.lock().unwrap().push(record.message().to_string());
        Ok(())
    });
    let (logger, guard) = engine(FlightRecorder::new(OffUntilTrigger(handler)));
    for n in 1..=6 {
        debug!(logger: logger, "{n}");
    }
    error!(logger: logger, "7");
    assert_eq!(books(&guard), [7, 0, 5, 2]);
    assert_eq!(*seen.lock().unwrap(), ["1", "2", "4", "6", "7"]);
}

/// Wants nothing by itself.
struct OffUntilTrigger<H>(H);

impl<H: Handler> Handler for OffUntilTrigger<H> {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        self.0.handle(batch)
    }

    fn max_level(&self) -> LevelFilter {
        LevelFilter::OFF
    }
}

#[test]
fn a_handler_that_hangs_is_left_alone_at_the_deadline_with_balanced_books() {
    let gate = support::Gate::closed();
    let at = gate.clone();
    let hangs = Each(move |_: &treering::Record<'_>| {
        at.pass();
        Ok(())
    });
    let (logger, guard) = engine(FlightRecorder::new(OffUntilTrigger(hangs)));
    for n in 0..10 {
        debug!(logger: logger, "{n}");
    }
    guard.flush(SOON).unwrap();
    error!(logger: logger, "error");
    gate.wait_for_guest();
    let report = guard.stop(Duration::from_millis(50)).unwrap();
    report.assert_balanced();
    assert_eq!(report.handlers.iter().next().unwrap().in_flight, 11);
    gate.open();
}

#[test]
fn a_handler_that_fails_at_each_kept_record_is_soon_left_alone_and_told_how_many_it_was_not_shown() {
    const KEPT: u64 = 1000;
    #[derive(Clone, Default)]
    struct Fails {
        calls: Arc<AtomicU64>,
        skipped: Arc<AtomicU64>,
        works: Arc<AtomicBool>,
    }

    impl Handler for Fails {
        fn handle(&mut self, _: &Batch<'_>) -> Result<(), HandlerError> {
            self.calls.fetch_add(1, Ordering::SeqCst);
            if self.works.load(Ordering::SeqCst) { Ok(()) } else { Err(HandlerError::new("no")) }
        }

        fn skipped(&mut self, records: u64) {
            self.skipped.fetch_add(records, Ordering::SeqCst);
        }

        fn max_level(&self) -> LevelFilter {
            LevelFilter::OFF
        }
    }

    let fails = Fails::default();
    let (logger, guard) = engine(FlightRecorder::new(fails.clone()));
    (0..KEPT).for_each(|n| debug!(logger: logger, "{n}"));
    error!(logger: logger, "trigger");
    guard.flush(SOON).unwrap();
    let calls = fails.calls.load(Ordering::SeqCst);
    assert!((10..15).contains(&calls), "ten failures in a row are enough: {calls} calls");
    fails.works.store(true, Ordering::SeqCst);
    let mut more = 0;
    support::eventually("it works again", || {
        error!(logger: logger, "another");
        guard.flush(SOON).unwrap();
        more += 1;
        guard.stats().handlers.iter().any(|handler| handler.delivered > 0)
    });
    let [offered, filtered, delivered, failed] = books(&guard);
    assert_eq!((offered, filtered, delivered), (KEPT + 1 + more, 0, 1));
    assert_eq!(failed, calls + fails.skipped.load(Ordering::SeqCst));
}

/// Stands at a gate before each record; a test learns how many it got, and when it is dropped.
struct Slow {
    gate: support::Gate,
    records: Arc<AtomicU64>,
    is_dropped: Arc<AtomicBool>,
}

impl Handler for Slow {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        for _ in batch {
            self.records.fetch_add(1, Ordering::SeqCst);
            self.gate.pass();
        }
        Ok(())
    }

    fn max_level(&self) -> LevelFilter {
        LevelFilter::OFF
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        self.is_dropped.store(true, Ordering::SeqCst);
    }
}

#[test]
fn after_a_deadline_no_more_kept_records_are_handed_over() {
    let gate = support::Gate::closed();
    let (records, is_dropped) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
    let slow = Slow { gate: gate.clone(), records: records.clone(), is_dropped: is_dropped.clone() };
    let (logger, guard) = engine(FlightRecorder::new(slow));
    for n in 0..10 {
        debug!(logger: logger, "{n}");
    }
    error!(logger: logger, "error");
    gate.wait_for_guest();
    let report = guard.stop(Duration::from_millis(50)).unwrap();
    report.assert_balanced();
    drop((logger, guard));
    gate.open();
    support::eventually("the engine is gone", || is_dropped.load(Ordering::SeqCst));
    assert_eq!(records.load(Ordering::SeqCst), 1, "the one that it was at");
}

#[test]
fn limits_that_no_memory_has_are_as_good_as_none() {
    for (records, bytes) in [(usize::MAX, 1 << 20), (1 << 40, 1 << 20), (1000, usize::MAX)] {
        let capture = Capture::new().level(Level::Info);
        let (logger, guard) = engine(FlightRecorder::new(capture.clone()).records(records).bytes(bytes));
        for n in 0..100 {
            debug!(logger: logger, "{n}");
        }
        error!(logger: logger, "error");
        assert_eq!(books(&guard), [101, 0, 101, 0]);
        assert_eq!(capture.len(), 102);
    }
}

#[test]
fn what_is_kept_on_purpose_keeps_nobody_waiting() {
    let capture = Capture::new().level(Level::Info);
    let (logger, guard) = engine(FlightRecorder::new(capture.clone()).or(Capture::new()).named("recorder"));
    debug!(logger: logger, "kept");
    guard.wait_idle(SOON).unwrap();
    assert_eq!(guard.stats().handlers["recorder"].held, 1);
    error!(logger: logger, "error");
    guard.wait_idle(SOON).unwrap();
    assert_eq!(capture.len(), 3);
    assert_eq!(books(&guard), [2, 0, 2, 0]);
}

#[test]
fn a_level_given_to_the_recorder_says_what_reaches_it() {
    let capture = Capture::new().level(Level::Info);
    let (logger, guard) = engine(FlightRecorder::new(capture.clone()).level(Level::Debug));
    trace!(logger: logger, "not kept");
    debug!(logger: logger, "kept");
    error!(logger: logger, "error");
    guard.handlers().set_level("capture", Level::Info, SOON).unwrap();
    debug!(logger: logger, "no longer kept");
    error!(logger: logger, "another");
    assert_eq!(books(&guard), [5, 2, 3, 0]);
    assert_eq!(messages(&capture), [&note(1, 0), "kept", "error", "another"]);
}

#[test]
fn a_handler_that_cannot_say_what_it_holds_harms_no_kept_record() {
    struct Mute(Capture);

    impl Handler for Mute {
        fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
            self.0.handle(batch)
        }

        fn held(&self) -> u64 {
            panic!("held")
        }

        fn max_level(&self) -> LevelFilter {
            LevelFilter::OFF
        }
    }

    let capture = Capture::new();
    let (logger, guard) = engine(FlightRecorder::new(Mute(capture.clone())).records(2));
    for round in 0..3 {
        for n in 0..3 {
            debug!(logger: logger, "{n}");
        }
        error!(logger: logger, "error");
        guard.flush(SOON).unwrap();
        assert_eq!(messages(&capture)[round * 3..], ["1", "2", "error"]);
    }
    assert_eq!(books(&guard), [12, 3, 9, 0]);
}

#[test]
fn in_a_file_programs_find_the_kept_ones_by_the_line_before_them() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.log");
    let file = File::append(&path).unwrap().level(Level::Info).format(Json::new());
    let (logger, guard) = engine(FlightRecorder::new(file));
    debug!(logger: logger, "kept");
    error!(logger: logger, "error");
    assert_eq!(books(&guard), [2, 0, 2, 0]);
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let found: Vec<_> = lines.iter().map(|line| line["message"].as_str().unwrap()).collect();
    assert_eq!(found, [&note(1, 0), "kept", "error"]);
    assert_eq!(lines[0]["target"], "treering::recorder");
    assert_eq!(lines[0]["fields"], serde_json::json!({"kept": 1, "overwritten": 0}));
}

/// What should come out, by the rules alone.
fn expected(levels: &[Level], records: usize) -> (Vec<String>, u64) {
    let (mut out, mut kept, mut overwritten, mut filtered) = (Vec::new(), Vec::new(), 0, 0);
    for (n, level) in levels.iter().enumerate() {
        let line = format!("{level} {n}");
        if *level == Level::Error {
            if !kept.is_empty() || overwritten > 0 {
                out.push(note(kept.len() as u64, overwritten));
            }
            out.append(&mut kept);
            out.push(line);
            overwritten = 0;
        } else if *level <= Level::Info {
            out.push(line);
        } else {
            kept.push(line);
            if kept.len() > records {
                kept.remove(0);
                overwritten += 1;
                filtered += 1;
            }
        }
    }
    (out, filtered + kept.len() as u64)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn it_does_what_a_list_would(
        levels in prop::collection::vec(prop::sample::select(&Level::ALL[..]), 0..60),
        records in 0_usize..8,
        flush_every in 1_usize..20,
    ) {
        let capture = Capture::new().level(Level::Info);
        let (logger, guard) = engine(FlightRecorder::new(capture.clone()).records(records));
        for (n, level) in levels.iter().enumerate() {
            match level {
                Level::Error => error!(logger: logger, "{level} {n}"),
                Level::Warn => warn!(logger: logger, "{level} {n}"),
                Level::Info => info!(logger: logger, "{level} {n}"),
                Level::Debug => debug!(logger: logger, "{level} {n}"),
                Level::Trace => trace!(logger: logger, "{level} {n}"),
            }
            if n % flush_every == 0 {
                guard.flush(SOON).unwrap();
            }
        }
        let (lines, filtered) = expected(&levels, records);
        let offered = levels.len() as u64;
        prop_assert_eq!(books(&guard), [offered, filtered, offered - filtered, 0]);
        prop_assert_eq!(messages(&capture), lines);
    }
}
