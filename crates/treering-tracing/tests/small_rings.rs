//! The same server with rings far too small for its load: no event shows a wrong span, and what is unknown is marked and
//! counted.

mod support;
#[path = "support/web.rs"]
mod web;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use support::{SOON, path};
use tracing::{error, info, info_span};
use tracing_subscriber::prelude::*;
use treering::handler::{Capture, Captured};
use treering::overflow::Reason;
use treering::{Guard, Level, Overflow, Wait};
use web::{expected, id_of, message_of};

/// Empties the rings whenever something found no room, however fast or slow the machine is.
fn poll(guard: &Guard, is_served: &AtomicBool) {
    let mut lost = 0;
    while !is_served.load(Ordering::Relaxed) {
        let now = guard.stats().dropped;
        if now > lost {
            guard.poll().unwrap();
        }
        lost = now;
        thread::sleep(Duration::from_millis(1));
    }
}

/// Of this target is what is logged before the ring is emptied for the first time.
const FIRST: &str = "first";

/// What must be unknown: a span that is too long for what is left of the ring, around a record that is severe and short.
fn fill() {
    (0..200).for_each(|n| info!(target: FIRST, n, "fills the ring"));
    let _long = info_span!(target: FIRST, "long", text = "x".repeat(1000)).entered();
    error!(target: FIRST, "severe");
}

/// Without the fields that are recorded later, whose records may be lost.
fn as_opened(span: &str) -> String {
    span.split(" total=").next().unwrap().trim_end_matches('}').to_owned()
}

/// What is shown are the innermost ones of the right spans, and all of them if none is said to be missing.
fn is_right(record: &Captured, id: u64) -> bool {
    let expected = expected(message_of(record), id);
    let shown = path(record);
    let shown: Vec<_> = shown.split(':').filter(|span| !["", "?"].contains(span)).collect();
    let are_same = |shown: &&str, right: &String| *shown == right || as_opened(shown) == as_opened(right);
    (shown.len() == expected.len()) == record.has_all_spans()
        && shown.len() <= expected.len()
        && shown.iter().rev().zip(expected.iter().rev()).all(|(shown, right)| are_same(shown, right))
}

#[test]
fn with_rings_far_too_small_no_event_shows_a_wrong_span() {
    let capture = Capture::new();
    let builder = support::engine().filter("info,tower_http=debug").handler(capture.clone());
    let builder = builder.ring_capacity(4096).overflow(Overflow::drop_newest()).wait(Wait::Manual);
    tracing_log::LogTracer::init().unwrap(); // first: treering may be built with its own bridge from `log`
    tracing_subscriber::registry().with(treering_tracing::layer()).init();
    let guard = builder.init().unwrap();
    fill();
    let is_served = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| poll(&guard, &is_served));
        web::serve();
        is_served.store(true, Ordering::Relaxed);
    });
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();

    let (mut seen, mut unknown, mut whole) = (HashSet::new(), 0, 0);
    for record in capture.records().iter().filter(|record| !record.target().starts_with("treering")) {
        match id_of(record) {
            None if record.target() == FIRST && record.level() > Level::Error => assert_eq!(path(record), ""),
            Some(id) => {
                assert!(is_right(record, id), "{}: {record:?}", path(record));
                assert!(seen.insert((id, message_of(record).to_owned())), "twice: {record:?}");
            }
            None => assert_eq!(path(record), "?", "{record:?}"),
        }
        *if record.has_all_spans() { &mut whole } else { &mut unknown } += 1;
    }
    assert_eq!(report.unknown_spans, unknown, "marked and counted");
    assert_eq!(report.dispatched - report.span_records, whole + unknown);
    assert!(whole > 0 && unknown > 0, "{report:#?}");
    assert!(report.dropped_by_reason.total(Reason::Full) > 0, "the rings are too small: {report:#?}");
}
