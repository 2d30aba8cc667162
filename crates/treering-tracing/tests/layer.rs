//! How events and spans travel: filters, threads, rings that are too small, tables that are full.

mod support;

use std::collections::HashSet;
use std::panic;
use std::sync::{Arc, Mutex};
use std::thread;

use support::{SOON, captured, captured_by, engine, lossless, path, with};
use tracing::{Span, debug, error, info, info_span, trace_span, warn};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::prelude::*;
use tracing_subscriber::{EnvFilter, Registry};
use treering::format::Json;
use treering::handler::{Capture, Captured, FlightRecorder, Handler, QueueHandler};
use treering::overflow::Reason;
use treering::prepare::{Change, Prepared};
use treering::queue::{Enqueue, EnqueueError};
use treering::{Level, Overflow, Record, Wait};
use treering_tracing::Layer;

fn messages(records: &[Captured]) -> Vec<&str> {
    records.iter().map(Captured::message).collect()
}

#[test]
fn one_filter_for_native_calls_and_for_tracing() {
    let capture = Capture::new();
    let builder = engine().filter("warn,layer=info,layer::db=debug,layer::db::pool=off");
    let (logger, guard) = builder.handler(capture.clone()).start().unwrap();
    let native = logger.clone();
    with(logger, || {
        let both = |round: &str| {
            info!(target: "other", "{round}");
            treering::info!(logger: native, target: "other", "{round}");
            warn!(target: "other", "{round}");
            treering::warn!(logger: native, target: "other", "{round}");
            debug!(target: "layer::db", "{round}");
            treering::debug!(logger: native, target: "layer::db", "{round}");
            error!(target: "layer::db::pool", "{round}");
            treering::error!(logger: native, target: "layer::db::pool", "{round}");
        };
        both("first");
        guard.set_filter("off").unwrap();
        both("second");
        guard.set_filter("layer::db::pool=error").unwrap();
        both("third");
    });
    lossless(&guard);
    let count = |round: &str| capture.records().iter().filter(|record| record.message() == round).count();
    assert_eq!((count("first"), count("second"), count("third")), (4, 0, 2));
}

/// A span that is off is not there; one that was opened is known to its end, whatever the filter says then.
#[test]
fn filters_rule_spans_when_they_are_opened() {
    let capture = Capture::new();
    let (logger, guard) = engine().filter("info").handler(capture.clone()).start().unwrap();
    with(logger, || {
        let outer = info_span!("outer").entered();
        let hidden = trace_span!("hidden", n = 1).entered();
        let inner = info_span!("inner", later = tracing::field::Empty).entered();
        info!("three deep");
        guard.set_filter("off,layer=info,nobody=trace").unwrap();
        guard.set_filter("off").unwrap();
        inner.record("later", 5);
        guard.set_filter("trace").unwrap();
        info!("after");
        guard.set_filter("off").unwrap();
        drop((inner, hidden, outer));
        guard.set_filter("info").unwrap();
        info!("none");
    });
    let report = lossless(&guard);
    let paths: Vec<_> = capture.records().iter().map(path).collect();
    assert_eq!(paths, ["outer:inner", "outer:inner{later=5}", ""]);
    assert_eq!((report.span_records, report.unknown_spans), (5, 0), "two opened, one recorded, two closed");
}

#[test]
fn filters_of_the_layer_come_before() {
    let (first, second) = (Capture::new(), Capture::new());
    let (one, one_guard) = engine().handler(first.clone()).start().unwrap();
    let (two, two_guard) = engine().handler(second.clone()).start().unwrap();
    // Spans by their fields, which the engine's filter does not know: the layer's can be `EnvFilter`.
    let by_field = EnvFilter::new("off,[request{user=ann}]=debug");
    let subscriber = Registry::default().with(Layer::to(one).with_filter(by_field)).with(Layer::to(two));
    tracing::subscriber::with_default(subscriber, || {
        for user in ["ann", "bob"] {
            let _request = info_span!("request", user).entered();
            let _inner = info_span!("inner").entered();
            debug!("hello");
        }
    });
    lossless(&one_guard);
    lossless(&two_guard);
    assert_eq!(first.records().iter().map(path).collect::<Vec<_>>(), ["request{user=ann}:inner"]);
    assert_eq!(
        second.records().iter().map(path).collect::<Vec<_>>(),
        ["request{user=ann}:inner", "request{user=bob}:inner"],
        "each layer has its own"
    );
}

#[test]
fn an_event_is_in_what_its_thread_is_in_also_beside_a_span_that_is_off_and_names_its_parent() {
    let capture = Capture::new();
    let (logger, guard) = engine().handler(capture.clone()).start().unwrap();
    let (others, others_guard) = engine().start().unwrap();
    let layer = Layer::to(logger).with_filter(filter_fn(|metadata| metadata.name() != "hidden"));
    let subscriber = Registry::default().with(layer).with(Layer::to(others));
    tracing::subscriber::with_default(subscriber, || {
        let other = info_span!("other");
        let _here = info_span!("here").entered();
        let hidden = info_span!(parent: &other, "hidden").entered();
        let _opened = info_span!("opened");
        drop(hidden);
        info!("in it");
    });
    lossless(&guard);
    lossless(&others_guard);
    assert_eq!(capture.records().iter().map(path).collect::<Vec<_>>(), ["here"]);
}

#[test]
fn spans_go_from_thread_to_thread() {
    const THREADS: u64 = 4;
    const SPANS: u64 = 500;
    let (records, report) = captured_by(engine(), || {
        let dispatch = tracing::dispatcher::get_default(Clone::clone);
        // Opened by one thread, entered and left by another, closed by a third.
        let (to_second, second) = std::sync::mpsc::channel::<(u64, Span)>();
        let (to_third, third) = std::sync::mpsc::channel::<(u64, Span)>();
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let (to_second, dispatch) = (to_second.clone(), dispatch.clone());
                scope.spawn(move || {
                    let _here = tracing::dispatcher::set_default(&dispatch);
                    for n in (0..SPANS).map(|n| thread * SPANS + n) {
                        let span = info_span!("task", n);
                        span.in_scope(|| info!(n, "begun"));
                        to_second.send((n, span)).unwrap();
                    }
                });
            }
            drop(to_second);
            let here = dispatch.clone();
            scope.spawn(move || {
                let _here = tracing::dispatcher::set_default(&here);
                for (n, span) in second {
                    let _in = span.enter();
                    let step = info_span!("step", n);
                    step.in_scope(|| info!(n, "hopped"));
                    drop(step);
                    to_third.send((n, span.clone())).unwrap();
                }
            });
            scope.spawn(move || {
                let _here = tracing::dispatcher::set_default(&dispatch);
                for (n, span) in third {
                    span.in_scope(|| info!(n, "ended"));
                }
            });
        });
    });
    assert_eq!(records.len() as u64, 3 * THREADS * SPANS);
    let mut seen = HashSet::new();
    for record in &records {
        let n = record.field("n").unwrap().as_u64().unwrap();
        assert!(seen.insert((n, record.message().to_owned())), "each once");
        let inner = if record.message() == "hopped" { format!(":step{{n={n}}}") } else { String::new() };
        assert_eq!(path(record), format!("task{{n={n}}}{inner}"));
    }
    assert_eq!((report.span_records, report.unknown_spans), (4 * THREADS * SPANS, 0));
}

/// Spans that find no room are unknown, and never another one; what is lost is counted, and so is what shows it.
#[test]
fn in_a_ring_far_too_small_no_record_shows_a_wrong_span() {
    const THREADS: u64 = 3;
    const REQUESTS: u64 = 20_000;
    let capture = Capture::new();
    let builder =
        engine().ring_capacity(4096).overflow(Overflow::drop_newest()).wait(Wait::Poll(support::POLL));
    let (logger, guard) = builder.handler(capture.clone()).start().unwrap();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let logger = logger.clone();
            scope.spawn(move || {
                with(logger, || {
                    for n in (0..REQUESTS).map(|n| thread * REQUESTS + n) {
                        let request = info_span!("request", n, size = tracing::field::Empty);
                        let _in = request.enter();
                        info!(n, depth = 1, "served");
                        request.record("size", n);
                        let _step = info_span!("step", n).entered();
                        error!(n, depth = 2, "served");
                    }
                });
            });
        }
    });
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    let records: Vec<_> = capture.records().into_iter().filter(|record| record.target() == "layer").collect();
    let mut unknown = 0;
    for record in &records {
        let number = |name: &str| record.field(name).unwrap().as_u64().unwrap();
        let (n, depth) = (number("n"), number("depth") as usize);
        let names: Vec<_> = record.spans().iter().map(|span| span.name()).collect();
        let all = &["request", "step"][..depth];
        assert!(names.iter().all(|name| all.contains(name)), "{record:?}");
        for span in record.spans() {
            assert_eq!(span.field("n").unwrap().as_u64(), Some(n), "{record:?}");
            assert!(span.field("size").is_none_or(|size| size.as_u64() == Some(n)), "{record:?}");
        }
        assert_eq!(record.has_all_spans(), names == all, "{record:?}");
        unknown += u64::from(!record.has_all_spans());
    }
    assert_eq!(report.unknown_spans, unknown, "marked and counted");
    assert!(report.dropped_by_reason.total(Reason::Full) > 0, "the ring is too small: {report:#?}");
    assert_eq!(report.dispatched - report.span_records, records.len() as u64);
}

/// The ring is full when a span is opened, and has room when something is logged in it.
#[test]
fn an_open_that_found_no_room_is_sent_before_the_next_record_of_its_span() {
    let capture = Capture::new();
    let builder = engine().ring_capacity(4096).overflow(Overflow::drop_newest()).wait(Wait::Manual);
    let (logger, guard) = builder.handler(capture.clone()).start().unwrap();
    with(logger, || {
        while guard.stats().dropped == 0 {
            error!("fills the ring");
        }
        let outer = info_span!("outer", n = 1).entered();
        let inner = info_span!("inner", n = 2).entered();
        let elsewhere = info_span!(parent: None, "never used").entered();
        drop(elsewhere);
        guard.poll().unwrap();
        info!("first");
        guard.poll().unwrap();
        drop(inner);
        info!("second");
        drop(outer);
    });
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    let records: Vec<_> =
        capture.records().into_iter().filter(|record| record.level() == Level::Info).collect();
    assert_eq!(records.iter().map(path).collect::<Vec<_>>(), ["outer{n=1}:inner{n=2}", "outer{n=1}"]);
    assert_eq!((report.unknown_spans, report.span_records), (0, 4));
}

/// Opens have the room that is kept for severe records.
#[test]
fn opens_find_room_where_events_of_their_level_find_none() {
    let capture = Capture::new();
    let builder = engine().ring_capacity(4096).overflow(Overflow::drop_newest()).wait(Wait::Manual);
    let (logger, guard) = builder.handler(capture.clone()).start().unwrap();
    with(logger, || {
        while guard.stats().dropped == 0 {
            info!("fills what is for its level");
        }
        let _span = info_span!("span").entered();
        let dropped = guard.stats().dropped;
        assert_eq!(dropped, 1, "the span has room");
        error!("severe");
    });
    guard.stop(SOON).unwrap().assert_balanced();
    let records = capture.records();
    assert_eq!(path(records.iter().find(|record| record.level() == Level::Error).unwrap()), "span");
}

#[test]
fn the_table_of_open_spans_is_bounded_and_says_what_it_forgot() {
    const SPANS: u64 = 70_000;
    const MAX: u64 = 65_536;
    let (records, report) = captured_by(engine(), || {
        let first = info_span!("first");
        let inner = info_span!(parent: &first, "inner");
        let many: Vec<_> = (0..SPANS).map(|n| info_span!("many", n)).collect();
        first.in_scope(|| info!("forgotten"));
        let last = many.last().unwrap();
        last.in_scope(|| info!("known"));
        // An old span's number is small, a new one's open evicts it; a new one in an old one is known.
        let fresh = info_span!(parent: &inner, "fresh");
        fresh.in_scope(|| info!("fresh"));
    });
    let paths: Vec<_> = records.iter().map(path).collect();
    assert_eq!(paths, ["?", &format!("many{{n={}}}", SPANS - 1), "?:fresh"]);
    assert_eq!((report.unknown_spans, report.evicted_spans), (2, SPANS + 3 - MAX));
}

#[test]
fn a_field_that_is_recorded_all_the_time_takes_room_once() {
    const TIMES: u64 = 20_000;
    let (records, report) = captured_by(engine().ring_capacity(1 << 20), || {
        let (span, long) = (info_span!("span", n = 0_u64, text = tracing::field::Empty), "x".repeat(1_000));
        for n in 1..=TIMES {
            span.record("n", n).record("text", &*long);
        }
        span.in_scope(|| info!("in it"));
    });
    assert_eq!((report.evicted_spans, report.unknown_spans), (0, 0), "20 MB were recorded");
    let fields = records[0].spans()[0].fields();
    assert_eq!((fields.len(), records[0].spans()[0].field("n").unwrap().as_u64()), (2, Some(TIMES)));
}

/// A handler that keeps records longer than a batch keeps what was around them.
#[test]
fn a_flight_recorder_keeps_the_spans() {
    let capture = Capture::new().level(Level::Info);
    let recorder = FlightRecorder::new(capture.clone()).records(4);
    let (logger, guard) = engine().handler(recorder).start().unwrap();
    with(logger, || {
        for n in 0..3 {
            info_span!("old", n).in_scope(|| debug!("overwritten"));
        }
        debug!("none");
        let span = info_span!("span", later = tracing::field::Empty).entered();
        debug!("before");
        span.record("later", 1);
        debug!("after");
        drop(span);
        debug!("none");
        error!("trigger");
    });
    guard.stop(SOON).unwrap().assert_balanced();
    let paths: Vec<_> = capture.records().iter().map(path).collect();
    assert_eq!(paths, ["", "", "span", "span{later=1}", "", ""]);
}

/// What a step changed, or what waits in a lane, keeps what was around it; the engine's own records have nothing around them.
/// What travels by a queue has its spans where a format makes the frames; portable records have none.
#[test]
fn frames_that_a_format_makes_have_the_spans() {
    #[derive(Default)]
    struct Taken(Mutex<Vec<String>>);

    impl Enqueue for Taken {
        fn enqueue(&self, frame: &[u8]) -> Result<(), EnqueueError> {
            self.0.lock().unwrap().push(String::from_utf8(frame.to_vec()).unwrap());
            Ok(())
        }
    }

    let taken = Arc::new(Taken::default());
    let handler = QueueHandler::new(taken.clone()).format(Json::new());
    let (logger, guard) = engine().handler(handler).start().unwrap();
    with(logger, || info_span!("request", id = 7).in_scope(|| info!("served")));
    lossless(&guard);
    let frames = taken.0.lock().unwrap();
    assert!(frames.len() == 1 && frames[0].contains(r#""spans":[{"name":"request","id":7}]"#), "{frames:?}");
}

#[test]
fn changed_records_and_lanes_keep_the_spans() {
    let (plain, lane, kept) = (Capture::new(), Capture::new(), Capture::new().level(Level::Error));
    let step = |record: &Record<'_>| match record.message().to_string().as_str() {
        "dropped" => Prepared::Drop("unwanted"),
        "panics" => panic::resume_unwind(Box::new("no text")),
        "as it was" => Prepared::Keep,
        _ => Change::new().set("host", "h").into(),
    };
    let builder = engine().prepare(step).handler(plain.clone()).handler(lane.clone().lane());
    let builder = builder.handler(FlightRecorder::new(kept.clone()));
    let (logger, guard) = builder.start().unwrap();
    with(logger, || {
        let _outer = info_span!("outer").entered();
        for n in 0..100 {
            let _inner = info_span!("inner", n).entered();
            info!(n, "changed");
            info!("dropped");
            info!(n, "as it was");
            info!("panics");
        }
        error!("trigger");
    });
    guard.stop(SOON).unwrap().assert_balanced();
    for (capture, what) in [(plain, "plain"), (lane, "lane"), (kept, "kept")] {
        let (ours, own): (Vec<_>, Vec<_>) =
            capture.records().into_iter().partition(|record| record.target() == "layer");
        assert_eq!(ours.len(), 201, "{what}");
        for record in &ours {
            let around = record.field("n").map_or_else(String::new, |n| format!(":inner{{n={n}}}"));
            assert_eq!(path(record), format!("outer{around}"), "{what}: {record:?}");
            assert_eq!(record.field("host").is_some(), record.message() != "as it was", "{what}: {record:?}");
        }
        assert!(!own.is_empty() && own.iter().all(|record| path(record).is_empty()), "{what}: {own:?}");
    }
}

#[test]
fn large_fields_are_bounded_too() {
    let (records, report) = captured_by(engine().ring_capacity(1 << 20), || {
        let large = "x".repeat(100_000);
        let many: Vec<_> = (0..100).map(|n| info_span!("many", n, large)).collect();
        many[0].in_scope(|| info!("forgotten"));
        many[99].in_scope(|| info!("known"));
    });
    assert!(!records[0].has_all_spans() && records[1].has_all_spans());
    assert!((10..40).contains(&report.evicted_spans), "8 MiB of 10: {report:#?}");
}

#[test]
fn an_engine_that_starts_later_learns_of_spans_that_are_open() {
    let subscriber = Registry::default().with(treering_tracing::layer());
    tracing::subscriber::with_default(subscriber, || {
        let span = tracing::warn_span!("early", n = 1).entered();
        let capture = Capture::new();
        trace_log();
        let guard = engine().handler(capture.clone()).init().unwrap();
        info!("in it");
        drop(span);
        let report = lossless(&guard);
        assert_eq!(path(&capture.records()[0]), "early{n=1}");
        assert_eq!(report.span_records, 2);
    });
}

/// Records of `log` become events, in the whole process: they find the subscriber of the thread. Before any `init()`, as
/// treering may be built with a bridge of its own.
fn trace_log() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| tracing_log::LogTracer::init().unwrap());
}

/// Records of `log` that come by `tracing-log` have their own target, by which they are filtered, and the span.
#[test]
fn records_of_log_have_their_places_and_the_span() {
    let capture = Capture::new();
    let builder = engine().filter("info,lib::quiet=off").handler(capture.clone());
    let (logger, guard) = builder.start().unwrap();
    trace_log();
    let line = line!() + 4;
    with(logger, || {
        let _span = info_span!("request", n = 1).entered();
        log::info!(target: "lib::quiet", "hidden");
        log::info!(target: "lib::db", "took {} ms", 3);
        log::warn!(target: "lib::other", "slow");
    });
    lossless(&guard);
    let records = capture.records();
    assert_eq!(messages(&records), ["took 3 ms", "slow"]);
    let first = &records[0];
    assert_eq!((first.target(), first.level(), path(first)), ("lib::db", Level::Info, "request{n=1}".into()));
    assert_eq!((first.file(), first.line(), first.module_path()), (file!(), line, "layer"));
    assert!(first.fields().is_empty());
}

/// A `Debug` that logs, and one that panics: the first delivers its own record before, the second costs nobody anything.
#[test]
fn values_may_log_and_panic() {
    /// By treering: events within events are `tracing`'s to refuse.
    struct Logs(treering::Logger);
    impl std::fmt::Debug for Logs {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            treering::info!(logger: self.0, value = %"text", "inner");
            f.write_str("outer")
        }
    }
    struct Panics;
    impl std::fmt::Debug for Panics {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic::resume_unwind(Box::new("no text"))
        }
    }
    let capture = Capture::new();
    let (logger, guard) = engine().handler(capture.clone()).start().unwrap();
    with(logger.clone(), || {
        let _span = info_span!("span", value = ?Logs(logger.clone())).entered();
        info!(value = ?Logs(logger), "logged");
        panic::catch_unwind(|| info!(value = ?Panics, "never")).unwrap_err();
        info!("after");
    });
    lossless(&guard);
    let records = capture.records();
    assert_eq!(messages(&records), ["inner", "inner", "logged", "after"]);
    assert_eq!(records[2].field("value").unwrap().text(), "outer");
    assert_eq!(
        records.iter().map(path).collect::<Vec<_>>(),
        ["", "", "span{value=outer}", "span{value=outer}"]
    );
}

#[test]
fn a_long_event_is_cut_and_keeps_its_span() {
    let capture = Capture::new();
    let (logger, guard) = engine().ring_capacity(4096).handler(capture.clone()).start().unwrap();
    with(logger, || {
        let _span = info_span!("span", long = "y".repeat(5_000)).entered();
        info!(n = 7, "{}", "x".repeat(10_000));
    });
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert_eq!(report.truncated, 2);
    let record = &capture.records()[0];
    assert!(record.is_truncated() && record.message().starts_with("xxx"));
    let span = &record.spans()[0];
    assert!(span.name() == "span" && span.field("long").unwrap().text().starts_with("yyy"));
}

/// Lines of `fmt`, through `Writer`, are what `fmt` writes itself.
#[test]
fn lines_of_fmt_pass_unchanged() {
    #[derive(Clone, Default)]
    struct Plain(Arc<Mutex<Vec<u8>>>);
    impl std::io::Write for Plain {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let work = || {
        let _span = info_span!("request", n = 1).entered();
        info!(rows = 3, "served");
        debug!(target: "elsewhere", text = "a\tb", "é");
    };
    let (plain, shown) = (Plain::default(), Arc::new(Mutex::new(Vec::new())));
    let for_fmt = plain.clone();
    let fmt =
        || tracing_subscriber::fmt().without_time().with_max_level(tracing::Level::TRACE).with_ansi(false);
    tracing::subscriber::with_default(fmt().with_writer(move || for_fmt.clone()).finish(), work);

    let handler = support::Shown(treering_tracing::Lines::new(), shown.clone());
    let (writer, guard) = treering_tracing::non_blocking(handler).unwrap();
    tracing::subscriber::with_default(fmt().with_writer(writer).finish(), work);
    let report = lossless(&guard);
    let shown: String = shown.lock().unwrap().iter().map(|line| format!("{line}\n")).collect();
    assert_eq!(shown, String::from_utf8(plain.0.lock().unwrap().clone()).unwrap());
    assert_eq!(report.submitted_by_level, [0, 0, 1, 1, 0], "each with the level of its event");
}

/// An event keeps the span that it has; what has none is in the context of the thread, as a native record is.
#[test]
fn events_without_a_span_are_in_the_context_of_the_program() {
    let capture = Capture::new();
    let (logger, guard) = engine().handler(capture.clone()).start().unwrap();
    let context = treering::context!(logger: logger, "context", n = 1);
    with(logger.clone(), || {
        let _in = context.enter();
        info!("event");
        info_span!("span").in_scope(|| {
            info!("in a span");
            treering::info!(logger: logger, "native");
        });
    });
    assert_eq!(lossless(&guard).unknown_spans, 0);
    let paths: Vec<_> = capture.records().iter().map(path).collect();
    assert_eq!(paths, ["context{n=1}", "span", "context{n=1}"]);
}

#[test]
fn native_records_have_no_spans() {
    let records = captured(|| {
        let _span = info_span!("span").entered();
        info!("in it");
    });
    assert_eq!(path(&records[0]), "span");
    let capture = Capture::new();
    let (logger, guard) = engine().handler(capture.clone()).start().unwrap();
    treering::info!(logger: logger, "native");
    lossless(&guard);
    assert!(capture.records()[0].spans().is_empty() && capture.records()[0].has_all_spans());
}
