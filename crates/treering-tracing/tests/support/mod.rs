//! What the tests share: engines of their own, with lines or records to look at.

#![allow(dead_code, reason = "not every test uses all of it")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tracing_subscriber::prelude::*;
use treering::format::{Format, Json, Text};
use treering::handler::{Batch, Capture, Captured, Handler, HandlerError};
use treering::{Builder, Guard, Logger, Overflow, Report};

/// Far longer than anything takes that does not hang.
pub(crate) const LONG: Duration = Duration::from_secs(60);
/// A deadline that must not pass.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Keeps the lines that a format makes.
pub(crate) struct Shown<F>(pub(crate) F, pub(crate) Arc<Mutex<Vec<String>>>);

impl<F: Format> Handler for Shown<F> {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        for record in batch {
            let mut line = Vec::new();
            self.0.format(&record, &mut line);
            self.1.lock().unwrap().push(String::from_utf8(line).unwrap().trim_end_matches('\n').to_owned());
        }
        Ok(())
    }
}

/// An engine that takes everything and loses nothing.
pub(crate) fn engine() -> Builder {
    treering::builder().filter("trace").overflow(Overflow::block(LONG))
}

/// So seldom a listener looks that rings fill up.
pub(crate) const POLL: Duration = Duration::from_millis(2);

/// What `work` logs, in an engine of its own.
pub(crate) fn captured(work: impl FnOnce()) -> Vec<Captured> {
    captured_by(engine(), work).0
}

pub(crate) fn captured_by(builder: Builder, work: impl FnOnce()) -> (Vec<Captured>, Report) {
    let capture = Capture::new();
    let (logger, guard) = builder.handler(capture.clone()).start().unwrap();
    with(logger, work);
    let report = lossless(&guard);
    (capture.records(), report)
}

/// The lines that a format makes of what `work` logs.
pub(crate) fn lines(format: impl Format + 'static, work: impl FnOnce()) -> Vec<String> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let (logger, guard) = engine().handler(Shown(format, lines.clone())).start().unwrap();
    with(logger, work);
    lossless(&guard);
    std::mem::take(&mut lines.lock().unwrap())
}

/// Lines without the time.
pub(crate) fn text(work: impl FnOnce()) -> Vec<String> {
    let lines = lines(Text::new(), work);
    lines.iter().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect()
}

pub(crate) fn json(work: impl FnOnce()) -> Vec<serde_json::Value> {
    lines(Json::new(), work).iter().map(|line| serde_json::from_str(line).expect(line)).collect()
}

pub(crate) fn with<R>(logger: Logger, work: impl FnOnce() -> R) -> R {
    let subscriber = tracing_subscriber::registry().with(treering_tracing::Layer::to(logger));
    tracing::subscriber::with_default(subscriber, work)
}

pub(crate) fn lossless(guard: &Guard) -> Report {
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless(), "{report:#?}");
    report
}

/// `request{id=7}:query` of a record, with `?` where spans are missing.
pub(crate) fn path(record: &Captured) -> String {
    let span = |span: &treering::handler::CapturedSpan| {
        let fields: Vec<_> = span.fields().iter().map(|(name, value)| format!("{name}={value}")).collect();
        if fields.is_empty() {
            span.name().to_owned()
        } else {
            format!("{}{{{}}}", span.name(), fields.join(" "))
        }
    };
    let known = (!record.has_all_spans()).then(|| "?".to_owned()).into_iter();
    known.chain(record.spans().iter().map(span)).collect::<Vec<_>>().join(":")
}
