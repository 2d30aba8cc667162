//! One text of directives for native calls, records of `log` and events of `tracing`: what it means to `env_filter` and to
//! `EnvFilter`, it means here.

mod support;

use std::process::Command;
use std::sync::{Arc, Mutex};

use support::{SOON, with};
use tracing::{Event, Subscriber, debug, info_span};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::Context;
use tracing_subscriber::prelude::*;
use treering::Level;
use treering::handler::Capture;

const TABLE: [&str; 15] = [
    "info",
    "off",
    "warn,app=debug",
    "app::db=trace",
    "app",
    "info,app::db=off",
    "Warn,app=DEBUG",
    "info,[request]=debug",
    "info,[request{user=ann}]=trace",
    "warn,app[request]=debug,hyper=error",
    "off,[request{user=bob}]=info",
    "error,[{user}]=debug",
    "app=info,[request{user=ann}]=off",
    "[request{user=ann}]=debug",
    "hyper[query]=trace,app::db[request{user=bob}]=debug",
];
const TARGETS: [&str; 3] = ["app", "app::db", "hyper"];

/// A call for each target and each level, of this crate's macros.
macro_rules! at_all {
    ($front:ident) => {{
        at_all!($front "app");
        at_all!($front "app::db");
        at_all!($front "hyper");
    }};
    ($front:ident $target:literal) => {{
        $front::error!(target: $target, "ERROR");
        $front::warn!(target: $target, "WARN");
        $front::info!(target: $target, "INFO");
        $front::debug!(target: $target, "DEBUG");
        $front::trace!(target: $target, "TRACE");
    }};
}

fn natively() {
    at_all!(treering);
}

fn by_log() {
    at_all!(log);
}

/// Outside of spans, in one of each user, and in another one inside of that.
fn by_tracing() {
    at_all!(tracing);
    for user in ["ann", "bob"] {
        info_span!(target: "app", "request", user).in_scope(|| {
            at_all!(tracing);
            info_span!(target: "hyper", "query").in_scope(|| at_all!(tracing));
        });
    }
}

/// `target level` of what `EnvFilter` lets through.
struct Passed(Arc<Mutex<Vec<String>>>);

impl<S: Subscriber> tracing_subscriber::Layer<S> for Passed {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        self.0.lock().unwrap().push(format!("{} {}", metadata.target(), metadata.level()));
    }
}

fn passed_by_env_filter(directives: &str) -> Vec<String> {
    let passed = Arc::new(Mutex::new(Vec::new()));
    let layer = Passed(passed.clone()).with_filter(EnvFilter::new(directives));
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), by_tracing);
    std::mem::take(&mut *passed.lock().unwrap())
}

/// Some directives of spans it refuses, others are names to it that no target has.
fn passed_by_env_logger(directives: &str) -> Vec<String> {
    let mut builder = env_filter::Builder::new();
    builder.filter_level(log::LevelFilter::Off);
    for directive in directives.split(',') {
        let _ = builder.try_parse(directive);
    }
    let filter = builder.build();
    let all = TARGETS.into_iter().flat_map(|target| Level::ALL.map(|level| (target, level)));
    let passed = all.filter(|(target, level)| {
        let level = level.as_str().parse().unwrap();
        filter.enabled(&log::Metadata::builder().target(target).level(level).build())
    });
    passed.map(|(target, level)| format!("{target} {level}")).collect()
}

#[test]
fn directives_mean_to_each_front_what_they_mean_to_its_own_filter() {
    let capture = Capture::new();
    tracing_subscriber::registry().with(treering_tracing::layer().with_env_filter()).init();
    let guard = support::engine().handler(capture.clone()).init().unwrap();
    let passed_here = |work: fn()| {
        let before = capture.records().len();
        work();
        guard.flush(SOON).unwrap();
        let records = capture.records();
        let shown =
            |record: &treering::handler::Captured| format!("{} {}", record.target(), record.message());
        records[before..].iter().map(shown).collect::<Vec<_>>()
    };
    for directives in TABLE {
        treering_tracing::set_filter(directives).unwrap();
        let of_log = passed_by_env_logger(directives);
        assert_eq!(passed_here(natively), of_log, "{directives}, native");
        assert_eq!(passed_here(by_log), of_log, "{directives}, log");
        assert_eq!(passed_here(by_tracing), passed_by_env_filter(directives), "{directives}, tracing");
    }

    // Several fields, of which `EnvFilter` by itself can have only one in a text.
    treering_tracing::set_filter("off,[request{user=ann,id=7}]=debug").unwrap();
    info_span!("request", user = "ann", id = 7).in_scope(|| debug!("seven"));
    info_span!("request", user = "ann", id = 8).in_scope(|| debug!("eight"));
    guard.flush(SOON).unwrap();
    assert_eq!(capture.records().last().unwrap().message(), "seven");

    let error = treering_tracing::set_filter("off,[request{user=ann]=debug").unwrap_err();
    assert!(error.is_filter() && error.to_string().contains("[request{user=ann]=debug"), "{error}");
    assert!(treering_tracing::set_filter("app=loud").unwrap_err().is_filter());
    assert_eq!(passed_here(natively), [""; 0], "nothing has changed");
    let report = support::lossless(&guard);
    assert_eq!(report.unknown_spans, 0);
}

/// The engine's filter rules other layers still.
#[test]
fn a_layer_without_it_goes_by_the_engines_filter() {
    let capture = Capture::new();
    let (logger, guard) = support::engine().filter("warn").handler(capture.clone()).start().unwrap();
    with(logger, by_tracing);
    support::lossless(&guard);
    assert_eq!(capture.records().len(), 5 * TARGETS.len() * 2, "ERROR and WARN of each");
}

fn is_child() -> bool {
    std::env::var_os("TREERING_CHILD").is_some()
}

/// What this test writes to stderr in a process of its own, with these directives in `RUST_LOG`.
fn child(test: &str, directives: &str) -> String {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", test, "--nocapture"]).env("TREERING_CHILD", "1").env("RUST_LOG", directives);
    let output = child.output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{text}");
    text
}

/// How many lines have all of these in them.
fn count(text: &str, wanted: &[&str]) -> usize {
    text.lines().filter(|line| wanted.iter().all(|part| line.contains(part))).count()
}

#[test]
fn the_environment_is_read_once_for_all_and_what_is_wrong_with_it_is_told() {
    if is_child() {
        tracing_subscriber::registry().with(treering_tracing::layer().with_env_filter()).init();
        let guard = treering::init().unwrap();
        treering::debug!("native in vain");
        treering::info!("native passed");
        debug!("event in vain");
        info_span!("request", user = "ann").in_scope(|| debug!("event passed"));
        info_span!("request", user = "bob").in_scope(|| debug!("event in vain"));
        support::lossless(&guard);
        return;
    }
    let text = child(
        "the_environment_is_read_once_for_all_and_what_is_wrong_with_it_is_told",
        "info,[request{user=ann}]=debug,[request{user=ann]=debug,app=loud",
    );
    let count = |wanted: &[&str]| count(&text, wanted);
    assert_eq!((count(&["passed"]), count(&["in vain"])), (2, 0), "{text}");
    assert_eq!(count(&["request{user=ann}", "event passed"]), 1, "{text}");
    for wrong in ["`[request{user=ann]=debug`", "`app=loud`"] {
        assert_eq!(count(&["treering: RUST_LOG", wrong]), 1, "{text}");
        assert_eq!(count(&["treering::filter: RUST_LOG", wrong]), 1, "{text}");
    }
    assert_eq!(count(&["RUST_LOG"]), 4, "{text}");
}

/// By `LogTracer`, in place of treering's own feature `log`, which is built in here and stands back.
#[test]
fn records_of_log_go_by_directives_of_spans_if_they_come_as_events() {
    if is_child() {
        tracing_log::LogTracer::init().unwrap();
        tracing_subscriber::registry().with(treering_tracing::layer().with_env_filter()).init();
        let guard = treering::init().unwrap();
        let in_span_of = |user: &str, message: &str| {
            info_span!("request", user).in_scope(|| log::debug!(target: "app", "{message}"));
        };
        log::info!(target: "app", "in vain");
        log::warn!(target: "app", "passed by level");
        log::debug!(target: "app::db", "passed by target");
        in_span_of("ann", "passed by span");
        in_span_of("bob", "in vain");
        treering_tracing::set_filter("off,[request{user=bob}]=debug").unwrap();
        log::warn!(target: "app", "in vain");
        in_span_of("ann", "in vain");
        in_span_of("bob", "passed by another span");
        support::lossless(&guard);
        return;
    }
    let text = child(
        "records_of_log_go_by_directives_of_spans_if_they_come_as_events",
        "warn,app::db=debug,[request{user=ann}]=debug",
    );
    assert_eq!((count(&text, &["passed"]), count(&text, &["in vain"])), (4, 0), "{text}");
    for line in ["app: passed by level", "app::db: passed by target"] {
        assert_eq!(count(&text, &[line]), 1, "once: {text}");
    }
    for line in ["request{user=ann}: app: passed by span", "request{user=bob}: app: passed by another span"] {
        assert_eq!(count(&text, &[line]), 1, "in its span: {text}");
    }
    assert_eq!(count(&text, &["treering: ", "`log`"]), 1, "who has `log` is told: {text}");
}
