//! What tracing-subscriber's own tests of `fmt` say of content, restated: fields, nesting, errors, fields recorded later.

mod support;

use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::thread;
use std::time::Duration;

use serde_json::json;
use support::{captured, captured_by, engine, json, lines, path, text};
use tracing::field::Empty;
use tracing::{debug, debug_span, error, info, info_span, trace, warn};
use tracing_subscriber::prelude::*;
use treering::Level;
use treering::format::{Logfmt, Pattern};
use treering::handler::{Capture, Captured};

/// Long enough to be told from nothing.
const PAUSE: Duration = Duration::from_millis(10);

#[test]
fn an_event_has_level_target_message_and_fields() {
    let lines = text(|| {
        error!(code = 17, "failed");
        warn!(target: "risk", "limit near");
        info!("plain");
        debug!(a.b = true, "dotted");
        trace!(only = "fields");
        info!(message = "by name", x = 1);
        info!({ x = 1, y = 2.5 }, "in {}", "braces");
    });
    assert_eq!(
        lines,
        [
            "ERROR content: failed code=17",
            "WARN  risk: limit near",
            "INFO  content: plain",
            "DEBUG content: dotted a.b=true",
            "TRACE content: only=fields",
            "INFO  content: by name x=1",
            "INFO  content: in braces x=1 y=2.5",
        ]
    );
}

#[test]
fn values_keep_their_types() {
    struct Shown;
    impl fmt::Display for Shown {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("shown as text")
        }
    }
    let lines = json(|| {
        let (path, list) = (std::path::Path::new("/tmp/x"), vec![1, 2]);
        info!(
            u = u64::MAX,
            i = -3_i64,
            big = u128::MAX,
            ok = true,
            ratio = 0.5,
            text = "two words",
            shown = %Shown,
            ?path,
            ?list,
            none = None::<u64>,
            some = Some(7_u64),
            "all"
        );
    });
    assert_eq!(lines[0]["message"], "all");
    assert_eq!(
        lines[0]["fields"],
        json!({
            "u": u64::MAX, "i": -3, "big": u128::MAX.to_string(), "ok": true, "ratio": 0.5, "text": "two words",
            "shown": "shown as text", "path": "\"/tmp/x\"", "list": "[1, 2]", "some": 7,
        }),
        "and what is `None` is absent, as `tracing` has it"
    );
}

/// The same callsite with fields that are there or not, and of several types.
#[test]
fn a_callsite_may_have_several_shapes() {
    let lines = text(|| {
        for round in 0..2_u64 {
            for (a, b) in [(None, Some("x")), (Some(round), None), (Some(round), Some("y")), (None, None)] {
                info!(a, b, "shape");
            }
        }
    });
    let round = |n: u64| {
        let shapes =
            ["shape b=x".into(), format!("shape a={n}"), format!("shape a={n} b=y"), "shape".to_owned()];
        shapes.map(|shape| format!("INFO  content: {shape}"))
    };
    assert_eq!(lines, [round(0), round(1)].concat());
}

/// More fields than a record keeps typed are text, as those of `log` are; a span has the first of them.
#[test]
fn fields_beyond_those_that_are_kept_typed_are_text() {
    macro_rules! wide {
        ($front:ident $(, $($rest:tt)*)?) => {
            $front!(
                f00 = 0, f01 = 1, f02 = 2, f03 = 3, f04 = 4, f05 = 5, f06 = 6, f07 = 7, f08 = 8, f09 = 9, f10 = 10,
                f11 = 11, f12 = 12, f13 = 13, f14 = 14, f15 = 15, f16 = 16, f17 = 17, f18 = 18, f19 = 19, f20 = 20,
                f21 = 21, f22 = 22, f23 = 23, f24 = 24, f25 = 25, f26 = 26, f27 = 27, f28 = 28, f29 = 29, f30 = 30,
                f31 = 31, f32 = 32, $($($rest)*)?
            )
        };
    }
    macro_rules! wide_span {
        ($($field:tt)*) => {
            info_span!("wide", $($field)*)
        };
    }
    let lines = text(|| wide!(info, "is said"));
    let fields: Vec<_> = (0..33).map(|n| format!("f{n:02}={n}")).collect();
    assert_eq!(lines.len(), 1);
    assert!(lines[0].contains(" content: is said ") && lines[0].contains(&fields.join(" ")), "{lines:?}");
    // Judged by its own target, and what shows a value runs once.
    struct Counts<'a>(&'a Cell<u32>);

    impl fmt::Debug for Counts<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.set(self.0.get() + 1);
            f.write_str("shown")
        }
    }

    let shown = Cell::new(0);
    let (records, _) = captured_by(engine().filter("off,content=info"), || {
        wide!(info, last = ?Counts(&shown), "passes");
        wide!(debug, "does not");
    });
    assert_eq!((records.len(), records[0].message(), shown.get()), (1, "passes", 1));
    let lines = text(|| wide!(wide_span).in_scope(|| info!("in it")));
    let shown = format!("wide{{{}}}", fields[..32].join(" "));
    assert!(lines.len() == 1 && lines[0].contains(&shown), "{lines:?}");
}

#[test]
fn spans_stand_before_the_target_with_their_fields() {
    let lines = text(|| {
        let outer = info_span!("shaving_yaks", yaks = 3).entered();
        info!("outer");
        {
            let _inner = info_span!("shave", yak = 1, note = "two words").entered();
            info!(excitement = "yay!", "inner");
            let _bare = info_span!("bare").entered();
            info!("bare");
        }
        info!("outer again");
        drop(outer);
        info!("none");
    });
    assert_eq!(
        lines,
        [
            "INFO  shaving_yaks{yaks=3}: content: outer",
            "INFO  shaving_yaks{yaks=3}:shave{yak=1 note=\"two words\"}: content: inner excitement=yay!",
            "INFO  shaving_yaks{yaks=3}:shave{yak=1 note=\"two words\"}:bare: content: bare",
            "INFO  shaving_yaks{yaks=3}: content: outer again",
            "INFO  content: none",
        ]
    );
}

#[test]
fn parents_may_be_named() {
    let lines = text(|| {
        let span = info_span!("span1", span = 1);
        info!(parent: &span, "hello");
        let inner = info_span!(parent: &span, "span2", span = 2);
        let _in_outer = span.enter();
        info!("hello");
        info!(parent: &inner, "hello");
        info!(parent: None, "hello");
        let _root = info_span!(parent: None, "root").entered();
        info!("hello");
    });
    assert_eq!(
        lines,
        [
            "INFO  span1{span=1}: content: hello",
            "INFO  span1{span=1}: content: hello",
            "INFO  span1{span=1}:span2{span=2}: content: hello",
            "INFO  content: hello",
            "INFO  root: content: hello",
        ]
    );
}

/// Entered twice, left in another order: the current span is the registry's.
#[test]
fn spans_may_be_entered_again_and_left_in_any_order() {
    let records = captured(|| {
        let (a, b) = (info_span!("a"), info_span!(parent: None, "b"));
        let first = a.enter();
        info!("a");
        let second = b.enter();
        info!("b");
        let again = a.enter();
        info!("b, as a was entered before");
        drop(first);
        info!("b");
        drop(second);
        info!("a, which is in it still");
        drop(again);
        info!("none");
    });
    let lookup =
        |record: &treering::handler::Captured| record.message().split(',').next().unwrap().to_owned();
    for record in &records {
        assert_eq!(path(record), lookup(record).replace("none", ""), "{record:?}");
    }
    assert_eq!(records.len(), 6);
}

#[test]
fn logfmt_and_patterns_show_spans_too() {
    let work = || {
        info!("none");
        let _outer = info_span!("outer", a = 1, b = "two words").entered();
        let _inner = info_span!("inner").entered();
        info!(spans = 7, "hello");
    };
    let logfmt = lines(Logfmt::new(), work);
    assert!(logfmt[0].ends_with("target=content msg=none"), "{logfmt:?}");
    let expected = "msg=hello spans=\"outer{a=1 b=two words}:inner\" spans_2=7";
    assert!(logfmt[1].ends_with(expected), "{logfmt:?}");
    let pattern = lines(Pattern::new("{level} {spans} {message}").unwrap(), work);
    assert_eq!(pattern, ["INFO none", "INFO outer{a=1 b=\"two words\"}:inner: hello"]);
}

#[test]
fn json_has_the_innermost_span_and_all_spans() {
    let lines = json(|| {
        info!("none");
        let _span = info_span!("json_span", answer = 42, number = 3).entered();
        info!("some json test");
        let _nested = info_span!("nested_json_span", answer = 43, name = "taken").entered();
        info!(span = "a field", "nested");
    });
    assert!(lines[0].get("span").is_none() && lines[0].get("spans").is_none());
    let outer = json!({ "name": "json_span", "answer": 42, "number": 3 });
    assert_eq!(lines[1]["span"], outer);
    assert_eq!(lines[1]["spans"], json!([outer]));
    let inner = json!({ "name": "nested_json_span", "answer": 43, "name_2": "taken" });
    assert_eq!(lines[2]["span"], inner);
    assert_eq!(lines[2]["spans"], json!([outer, inner]));
    assert_eq!(lines[2]["fields"]["span"], "a field");
    assert!(lines[2].get("spans_missing").is_none());
}

#[test]
fn fields_that_are_recorded_later_are_there_from_then_on() {
    let work = || {
        let span = info_span!("span", a = 1, b = Empty, c = Empty);
        let _in = span.enter();
        info!("before");
        span.record("b", 2);
        info!("b");
        let _inner = info_span!("inner").entered();
        info!("inner");
        span.record("c", "three");
        info!("c");
        span.record("b", 20);
        span.record("unknown", 7);
        info!("b again");
        span.record("b", 21);
        info!("and again");
    };
    assert_eq!(
        captured(work).iter().map(path).collect::<Vec<_>>(),
        [
            "span{a=1}",
            "span{a=1 b=2}",
            "span{a=1 b=2}:inner",
            "span{a=1 b=2 c=three}:inner",
            "span{a=1 c=three b=20}:inner",
            "span{a=1 c=three b=21}:inner",
        ]
    );
    assert_eq!(json(work)[5]["spans"][0], json!({ "name": "span", "a": 1, "c": "three", "b": 21 }));
}

#[test]
fn an_error_keeps_its_sources() {
    #[derive(Debug)]
    struct Outer(std::num::ParseIntError);
    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("cannot read the port")
        }
    }
    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }
    let error = Outer("x".parse::<u16>().unwrap_err());
    let lines = json(|| {
        let _span = info_span!("start", error = &error as &dyn Error).entered();
        error!(error = &error as &dyn Error, "no start");
    });
    let chain = json!(["cannot read the port", "invalid digit found in string"]);
    assert_eq!((&lines[0]["fields"]["error"], &lines[0]["span"]["error"]), (&chain, &chain));
}

#[test]
fn what_came_from_outside_is_escaped_in_spans_too() {
    let lines = text(|| {
        let _span = info_span!("request", agent = "a\nb\u{1b}[31m", path = %"/x y").entered();
        info!("got {}", "c\nd");
    });
    assert_eq!(lines, ["INFO  request{agent=\"a\\nb\\u{1b}[31m\" path=\"/x y\"}: content: got c\\nd"],);
}

#[test]
fn functions_that_are_instrumented_have_their_arguments() {
    #[tracing::instrument(skip(secret), fields(extra = secret.len()))]
    fn traced(id: u64, secret: &str) -> Result<u64, String> {
        info!("in it");
        let _ = inner(id);
        if id == 7 { Ok(id) } else { Err(secret.to_owned()) }
    }
    #[tracing::instrument(level = "debug", err, name = "renamed")]
    fn inner(value: u64) -> Result<u64, String> {
        Err(format!("no {value}"))
    }
    let lines = text(|| assert_eq!(traced(7, "hidden"), Ok(7)));
    assert_eq!(
        lines,
        [
            "INFO  traced{id=7 extra=6}: content: in it",
            "ERROR traced{id=7 extra=6}:renamed{value=7}: content: error=\"no 7\"",
        ]
    );
}

/// As with `fmt`'s `with_span_events`.
#[test]
fn events_of_a_spans_life_are_records_if_asked_for() {
    use tracing_subscriber::fmt::format::FmtSpan;
    let of = |events: FmtSpan| {
        let capture = Capture::new();
        let (logger, guard) = support::engine().handler(capture.clone()).start().unwrap();
        let layer = treering_tracing::Layer::to(logger).with_span_events(events);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let span = debug_span!(target: "life", "span", n = 1, later = Empty);
            span.in_scope(|| info!("in it"));
            span.record("later", 2);
            span.in_scope(|| thread::sleep(PAUSE));
            thread::sleep(2 * PAUSE);
        });
        support::lossless(&guard);
        capture.records()
    };
    let shown = |events: FmtSpan| -> Vec<String> {
        let line = |record: &Captured| format!("{}: {}", path(record), record.message());
        of(events).iter().map(line).collect()
    };
    let (before, after) = ("span{n=1}", "span{n=1 later=2}");
    assert_eq!(shown(FmtSpan::NONE), [format!("{before}: in it")]);
    assert_eq!(
        shown(FmtSpan::FULL),
        [
            format!("{before}: new"),
            format!("{before}: enter"),
            format!("{before}: in it"),
            format!("{before}: exit"),
            format!("{after}: enter"),
            format!("{after}: exit"),
            format!("{after}: close"),
        ]
    );
    assert_eq!(shown(FmtSpan::EXIT).len(), 3);
    let records = of(FmtSpan::NEW | FmtSpan::CLOSE);
    let [new, _, close] = &records[..] else { panic!("{records:?}") };
    assert_eq!((close.target(), close.level(), close.fields().len()), ("life", Level::Debug, 2));
    assert!(new.fields().is_empty());
    let millis = |field: &str| -> f64 {
        let text = close.field(field).unwrap().text();
        let (number, unit) = text.split_at(text.find(|c: char| c.is_alphabetic()).unwrap());
        let factor = [("s", 1e3), ("ms", 1.0), ("\u{b5}s", 1e-3), ("ns", 1e-6)];
        number.parse::<f64>().unwrap() * factor.iter().find(|(name, _)| *name == unit).unwrap().1
    };
    let pause = PAUSE.as_secs_f64() * 1e3;
    assert!(millis("time.busy") >= pause && millis("time.idle") >= 2.0 * pause, "{close:?}");
}
