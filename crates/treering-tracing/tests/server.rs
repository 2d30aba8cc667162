//! A server under load: every event is there once, in the spans of its own request.

mod support;
#[path = "support/web.rs"]
mod web;

use std::collections::HashSet;

use support::path;
use tracing_subscriber::prelude::*;
use treering::handler::Capture;
use web::{CLIENTS, REQUESTS, expected, id_of, message_of};

#[test]
fn every_event_is_there_once_in_the_spans_of_its_request() {
    let capture = Capture::new();
    tracing_log::LogTracer::init().unwrap(); // first: treering may be built with its own bridge from `log`
    tracing_subscriber::registry().with(treering_tracing::layer()).init();
    let guard = support::engine().filter("info,tower_http=debug").handler(capture.clone()).init().unwrap();
    web::serve();
    let report = support::lossless(&guard);

    let mut seen = HashSet::new();
    for record in capture.records() {
        let (id, message) = (id_of(&record).unwrap(), message_of(&record).to_owned());
        assert_eq!(path(&record), expected(&message, id).join(":"), "{record:?}");
        assert!(seen.insert((id, message.clone())), "{message} of {id} is there twice");
    }
    assert_eq!(seen.len() as u64, 7 * CLIENTS * REQUESTS);
    // Four spans a request, one of which gets a field later.
    assert_eq!(report.span_records, (4 * 2 + 1) * CLIENTS * REQUESTS);
    assert_eq!((report.unknown_spans, report.evicted_spans), (0, 0));
}
