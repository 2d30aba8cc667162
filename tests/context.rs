//! Contexts of the program's own: which records show them, wherever they are entered, left and lost.

mod support;

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use support::{LONG, SOON, capturing, each, in_child, text};
use treering::format::{Format, Json, Logfmt, Pattern, Text};
use treering::handler::{Capture, Captured, CapturedSpan};
use treering::overflow::Reason;
use treering::{
    Context, Encode, Guard, Level, Logger, Overflow, Report, Wait, builder, context, error, info,
};

/// `request{id=7}:query` of a record, with `?` where something is missing.
fn path(record: &Captured) -> String {
    let span = |span: &CapturedSpan| {
        let fields: Vec<_> = span.fields().iter().map(|(name, value)| format!("{name}={value}")).collect();
        if fields.is_empty() {
            span.name().to_owned()
        } else {
            format!("{}{{{}}}", span.name(), fields.join(" "))
        }
    };
    let unknown = (!record.has_all_spans()).then(|| "?".to_owned()).into_iter();
    unknown.chain(record.spans().iter().map(span)).collect::<Vec<_>>().join(":")
}

/// Of each record its message and its path.
fn shown(capture: &Capture) -> Vec<(String, String)> {
    capture.records().iter().map(|record| (record.message().to_owned(), path(record))).collect()
}

#[track_caller]
fn shows(capture: &Capture, expected: &[(&str, &str)]) {
    let shown = shown(capture);
    let shown: Vec<_> = shown.iter().map(|(message, path)| (&**message, &**path)).collect();
    assert_eq!(shown, expected);
}

#[track_caller]
fn lossless(guard: &Guard) -> Report {
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless(), "{report:#?}");
    report
}

/// Runs `body` in a process of its own, with a process-wide engine that loses nothing.
fn with_engine(test: &str, body: impl FnOnce(&Guard, &Capture)) {
    in_own_process(test, || {
        let capture = Capture::new();
        let builder = builder().filter("trace").overflow(Overflow::block(LONG)).handler(capture.clone());
        body(&builder.init().unwrap(), &capture);
    });
}

fn in_own_process(test: &str, body: impl FnOnce()) {
    if let Some(output) = in_child(test, &[], body) {
        assert!(output.status.success(), "{}", text(&output));
    }
}

#[test]
fn records_carry_what_their_thread_is_in() {
    with_engine("records_carry_what_their_thread_is_in", |guard, capture| {
        info!("before");
        let request = context!("request", id = 7, user = "ann");
        info!("made");
        {
            let _in = request.enter();
            info!("entered");
            let query = context!("query", table = "orders").in_scope(|| {
                info!("nested");
                Context::current()
            });
            info!("left");
            drop(request);
            query.in_scope(|| info!("again"));
        }
        info!("after");
        let report = lossless(guard);
        shows(
            capture,
            &[
                ("before", ""),
                ("made", ""),
                ("entered", "request{id=7 user=ann}"),
                ("nested", "request{id=7 user=ann}:query{table=orders}"),
                ("left", "request{id=7 user=ann}"),
                ("again", "request{id=7 user=ann}:query{table=orders}"),
                ("after", ""),
            ],
        );
        assert_eq!((report.span_records, report.submitted), (4, 7 + 4), "each opens and closes");
        assert_eq!((report.unknown_spans, report.evicted_spans), (0, 0));
    });
}

#[test]
fn guards_may_be_dropped_in_any_order() {
    with_engine("guards_may_be_dropped_in_any_order", |guard, capture| {
        let (a, b) = (context!("a"), context!("b"));
        let (in_a, in_b) = (a.enter(), b.enter());
        drop(in_a);
        info!("b is entered last, of what was not left");
        drop(in_b);
        info!("nothing is left");
        let (first, in_b, second) = (a.enter(), b.enter(), a.enter());
        drop(first);
        info!("the second time");
        drop(second);
        info!("b again");
        drop(in_b);
        info!("nothing");
        lossless(guard);
        shows(
            capture,
            &[
                ("b is entered last, of what was not left", "b"),
                ("nothing is left", ""),
                ("the second time", "a"),
                ("b again", "b"),
                ("nothing", ""),
            ],
        );
    });
}

#[test]
fn a_panic_leaves_what_it_unwinds_from() {
    with_engine("a_panic_leaves_what_it_unwinds_from", |guard, capture| {
        let _outer = context!("outer").enter();
        let panics = || context!("inner").in_scope(|| panic!("oh"));
        assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
        info!("caught");
        lossless(guard);
        let records = capture.records();
        assert!(records[0].message().contains("panicked: oh"), "the hook's record");
        assert_eq!((path(&records[0]), path(&records[1])), ("outer:inner".to_owned(), "outer".to_owned()));
    });
}

#[test]
fn contexts_of_engines_are_apart() {
    with_engine("contexts_of_engines_are_apart", |guard, capture| {
        let engines = [capturing(), capturing()];
        let [one, other] = engines.each_ref().map(|(logger, ..)| logger);
        let say = |message: &str| {
            info!("{message}");
            info!(logger: one, "{message}");
            info!(logger: other, "{message}");
        };
        let outer = context!(logger: one, "outer", n = 1);
        let _of_one = outer.enter();
        say("in one");
        let _of_process = context!("process").enter();
        let inner = context!(logger: one, "inner");
        let in_inner = inner.enter();
        say("in both");
        drop(in_inner);
        let _of_other = context!(logger: other, "other").enter();
        say("in all");
        lossless(guard);
        engines.iter().for_each(|(_, guard, _)| drop(lossless(guard)));
        let paths = |capture: &Capture| capture.records().iter().map(path).collect::<Vec<_>>();
        assert_eq!(paths(capture), ["", "process", "process"]);
        assert_eq!(paths(&engines[0].2), ["outer{n=1}", "outer{n=1}:inner", "outer{n=1}"]);
        assert_eq!(paths(&engines[1].2), ["", "", "other"]);
    });
}

#[test]
fn a_context_goes_from_thread_to_thread() {
    with_engine("a_context_goes_from_thread_to_thread", |guard, capture| {
        const REQUESTS: u64 = 500;
        thread::scope(|scope| {
            // Made by one thread, entered by another, ended by a third.
            let (to_second, second) = channel::<(u64, Context)>();
            let (to_third, third) = channel::<(u64, Context)>();
            scope.spawn(move || {
                for n in 0..REQUESTS {
                    to_second.send((n, context!("request", n))).unwrap();
                }
            });
            scope.spawn(move || {
                for (n, request) in second {
                    let _in = request.enter();
                    context!("step", n).in_scope(|| info!(n, "second"));
                    to_third.send((n, request.clone())).unwrap();
                }
            });
            for (n, request) in third {
                request.in_scope(|| info!(n, "third"));
            }
        });
        let report = lossless(guard);
        let records = capture.records();
        assert_eq!(records.len() as u64, 2 * REQUESTS);
        for record in &records {
            let n = record.field("n").unwrap().as_u64().unwrap();
            let inner = if record.message() == "second" { format!(":step{{n={n}}}") } else { String::new() };
            assert_eq!(path(record), format!("request{{n={n}}}{inner}"));
        }
        // Two threads may tell of a context at once: it is one.
        assert!((4 * REQUESTS..=5 * REQUESTS).contains(&report.span_records), "{report:#?}");
        assert_eq!(report.unknown_spans, 0);
    });
}

/// Runs tasks on three threads: whichever is free takes the next one that was woken.
fn run(tasks: Vec<Pin<Box<dyn Future<Output = ()> + Send>>>) {
    struct Task {
        future: Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>,
        queue: Sender<Arc<Task>>,
    }
    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            let _ = self.queue.clone().send(self);
        }
    }
    let (queue, ready) = channel::<Arc<Task>>();
    for future in tasks {
        queue.send(Arc::new(Task { future: Mutex::new(Some(future)), queue: queue.clone() })).unwrap();
    }
    drop(queue);
    // It ends when no task is left that could wake itself.
    let ready: Mutex<Receiver<Arc<Task>>> = Mutex::new(ready);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                loop {
                    let Ok(task) = ready.lock().unwrap().recv() else { return };
                    let waker = Waker::from(task.clone());
                    let mut future = task.future.lock().unwrap();
                    if let Some(polled) = future.as_mut()
                        && polled.as_mut().poll(&mut std::task::Context::from_waker(&waker)).is_ready()
                    {
                        *future = None;
                    }
                }
            });
        }
    });
}

/// Lets other tasks go first.
async fn pause() {
    let mut has_paused = false;
    std::future::poll_fn(|task| {
        if std::mem::replace(&mut has_paused, true) {
            return Poll::Ready(());
        }
        task.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[test]
fn tasks_take_their_context_from_thread_to_thread() {
    with_engine("tasks_take_their_context_from_thread_to_thread", |guard, capture| {
        const TASKS: u64 = 200;
        const STEPS: u64 = 20;
        let _elsewhere = context!("of the thread that starts them").enter();
        let task = |n: u64| -> Pin<Box<dyn Future<Output = ()> + Send>> {
            let steps = async move {
                for step in 0..STEPS {
                    info!(n, step, "outside");
                    context!("step", step)
                        .attach(async move {
                            pause().await;
                            info!(n, step, "inside");
                        })
                        .await;
                }
            };
            Box::pin(context!("task", n).attach(steps))
        };
        let tasks = (0..TASKS).map(|n| Context::current().in_scope(|| task(n))).collect();
        run(tasks);
        let report = lossless(guard);
        let records = capture.records();
        assert_eq!(records.len() as u64, 2 * TASKS * STEPS);
        let mut seen = HashSet::new();
        for record in &records {
            let number = |name: &str| record.field(name).unwrap().as_u64().unwrap();
            let (n, step) = (number("n"), number("step"));
            let outer = format!("of the thread that starts them:task{{n={n}}}");
            let expected =
                if record.message() == "inside" { format!("{outer}:step{{step={step}}}") } else { outer };
            assert_eq!(path(record), expected);
            assert!(seen.insert((n, step, record.message().to_owned())), "each once");
        }
        let threads: HashSet<_> = records.iter().map(Captured::thread_id).collect();
        assert!(threads.len() > 1, "else nothing was tried");
        assert_eq!(report.unknown_spans, 0);
    });
}

#[test]
fn a_task_that_is_given_up_is_dropped_in_its_context() {
    struct Leaves(&'static str);
    impl Drop for Leaves {
        fn drop(&mut self) {
            info!("{}", self.0);
        }
    }
    with_engine("a_task_that_is_given_up_is_dropped_in_its_context", |guard, capture| {
        let mut task = Box::pin(context!("task", n = 1).attach(async {
            let _leaves = Leaves("given up");
            std::future::pending::<()>().await;
        }));
        assert!(task.as_mut().poll(&mut std::task::Context::from_waker(Waker::noop())).is_pending());
        info!("pending");
        drop(task);
        let mut task = Box::pin(context!("task", n = 2).attach(async { drop(Leaves("ended")) }));
        assert!(task.as_mut().poll(&mut std::task::Context::from_waker(Waker::noop())).is_ready());
        drop(task);
        info!("after");
        lossless(guard);
        let expected = [("pending", ""), ("given up", "task{n=1}"), ("ended", "task{n=2}"), ("after", "")];
        shows(capture, &expected);
    });
}

/// Tells its text by `Display`, and has no type of its own.
struct Shown(&'static str);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

#[derive(Debug, Encode)]
struct Order {
    id: u64,
}

/// What is logged in a context whose fields are of all kinds.
fn log_in_context(logger: &Logger) {
    let (user, order, ratio) = (Shown("ann b"), Order { id: 3 }, Some(0.5));
    let request = context!(logger: logger, target: "http", "request", id = 7, %user, ?ratio, order);
    let _in = request.enter();
    let _query = context!(logger: logger, "query").enter();
    info!(logger: logger, target: "db", rows = 3, "served");
}

/// The line that a format makes of it, without the time.
fn line(mut format: impl Format + 'static) -> String {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let written = lines.clone();
    let handler = each(move |record| format.format(record, &mut written.lock().unwrap()));
    let (logger, guard) = builder().overflow(Overflow::block(LONG)).handler(handler).start().unwrap();
    log_in_context(&logger);
    lossless(&guard);
    let line = String::from_utf8(lines.lock().unwrap().clone()).unwrap();
    line.trim_end().to_owned()
}

#[test]
fn every_format_shows_contexts() {
    let path = r#"request{id=7 user="ann b" ratio=Some(0.5) order="Order { id: 3 }"}:query"#;
    let text = line(Text::new());
    let expected = format!("INFO  {path}: db: served rows=3");
    assert_eq!(text.split_once(' ').unwrap().1, expected);
    let json: serde_json::Value = serde_json::from_str(&line(Json::new())).unwrap();
    let request = serde_json::json!({
        "name": "request", "id": 7, "user": "ann b", "ratio": "Some(0.5)", "order": {"id": 3},
    });
    assert_eq!(json["spans"], serde_json::json!([request, {"name": "query"}]));
    assert_eq!(json["span"], serde_json::json!({"name": "query"}));
    let logfmt = line(Logfmt::new());
    let path_of_logfmt = path.replace('"', "");
    assert!(logfmt.contains(&format!("spans=\"{path_of_logfmt}\" rows=3")), "{logfmt}");
    let pattern = line(Pattern::new("{spans}{message}").unwrap());
    assert_eq!(pattern, format!("{path}:served"));
}

#[test]
fn fields_keep_their_types_and_contexts_their_place() {
    let (logger, guard, capture) = capturing();
    log_in_context(&logger);
    lossless(&guard);
    let record = &capture.records()[0];
    let field = |name: &str| record.spans()[0].field(name).unwrap().clone();
    assert_eq!(field("id").as_u64(), Some(7));
    assert_eq!(
        (field("user").text().to_owned(), field("ratio").text().to_owned()),
        ("ann b".to_owned(), "Some(0.5)".to_owned())
    );
    let target = Arc::new(Mutex::new(Vec::new()));
    let kept = target.clone();
    let take = each(move |record| {
        kept.lock().unwrap().extend(record.spans().map(|span| (span.target().to_owned(), span.level())));
    });
    let (logger, guard) = builder().handler(take).start().unwrap();
    log_in_context(&logger);
    lossless(&guard);
    let expected = [("http".to_owned(), Level::Info), ("context".to_owned(), Level::Info)];
    assert_eq!(*target.lock().unwrap(), expected);
}

/// Whoever calls it with other types makes other contexts at the same place.
fn generic<T: Encode>(logger: &Logger, value: T) -> Context {
    context!(logger: logger, "generic", value)
}

#[test]
fn a_place_in_a_generic_function_keeps_its_types_apart() {
    let (logger, guard, capture) = capturing();
    for n in 0..3_u64 {
        let (number, text) = (generic(&logger, n), generic(&logger, "text"));
        number.in_scope(|| info!(logger: logger, "number"));
        text.in_scope(|| info!(logger: logger, "text"));
        assert!(capture.wait_for(2 * (n as usize + 1), SOON));
        assert_eq!(path(&capture.records()[2 * n as usize]), format!("generic{{value={n}}}"));
        assert_eq!(path(capture.records().last().unwrap()), "generic{value=text}");
    }
    lossless(&guard);
}

/// The filter rules records. What a record is in it shows.
#[test]
fn filters_do_not_rule_contexts() {
    let capture = Capture::new();
    let builder = builder().filter("context=error,off=off").overflow(Overflow::block(LONG));
    let (logger, guard) = builder.handler(capture.clone()).start().unwrap();
    let off = context!(logger: logger, target: "off", "off", n = 1);
    let _in = off.enter();
    info!(logger: logger, "not logged");
    error!(logger: logger, "logged");
    lossless(&guard);
    shows(&capture, &[("logged", "off{n=1}")]);
}

#[test]
fn a_context_that_nothing_is_logged_in_costs_its_engine_nothing() {
    let (logger, guard, capture) = capturing();
    for n in 0..100 {
        context!(logger: logger, "silent", n).in_scope(|| context!(logger: logger, "inner").in_scope(|| ()));
    }
    let report = lossless(&guard);
    assert_eq!((report.submitted, report.span_records, capture.len()), (0, 0, 0));
}

#[test]
fn records_of_log_are_in_the_context_too() {
    with_engine("records_of_log_are_in_the_context_too", |guard, capture| {
        for n in 0..3 {
            context!("request", n).in_scope(|| log::info!(n; "of log"));
            log::info!("of log");
        }
        lossless(guard);
        let paths: Vec<_> = capture.records().iter().map(path).collect();
        assert_eq!(paths, ["request{n=0}", "", "request{n=1}", "", "request{n=2}", ""]);
    });
}

#[test]
fn what_is_entered_before_there_is_an_engine_is_known_to_it_and_to_the_next_one() {
    in_own_process("what_is_entered_before_there_is_an_engine_is_known_to_it_and_to_the_next_one", || {
        let outer = context!("outer", n = 1);
        let _in = outer.enter();
        let inner = context!("inner", n = 2);
        let _inner = inner.enter();
        info!("nobody hears it");
        for round in 0..3 {
            let capture = Capture::new();
            let guard = builder().handler(capture.clone()).init().unwrap();
            info!("{round}");
            // Another thread, which has no ring yet.
            thread::scope(|scope| scope.spawn(|| inner.in_scope(|| info!("{round}"))).join().unwrap());
            let report = lossless(&guard);
            let path = "outer{n=1}:inner{n=2}".to_owned();
            assert_eq!(shown(&capture), vec![(round.to_string(), path); 2]);
            assert_eq!((report.span_records, report.unknown_spans), (2, 0));
            // It is late.
            info!("nobody hears it");
            assert_eq!(treering::stats().unwrap().late, 1, "the record, and nothing beside it");
        }
    });
}

#[test]
fn what_ends_after_its_engine_is_no_call() {
    in_own_process("what_ends_after_its_engine_is_no_call", || {
        let guard = builder().handler(Capture::new()).init().unwrap();
        let (logger, other, _) = capturing();
        let (one, two) = (context!("one"), context!(logger: logger, "two"));
        one.in_scope(|| info!("in it"));
        two.in_scope(|| info!(logger: logger, "in it"));
        lossless(&guard);
        lossless(&other);
        drop((one, two));
        assert_eq!((guard.stats().late, other.stats().late), (0, 0));
    });
}

/// Contexts that find no room are unknown, and never another one; what is lost is counted, and so is what shows it.
#[track_caller]
fn never_wrong(log: impl Fn(u64) + Sync, capture: &Capture, guard: &Guard) {
    const THREADS: u64 = 3;
    const REQUESTS: u64 = 20_000;
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let log = &log;
            scope.spawn(move || (0..REQUESTS).for_each(|n| log(thread * REQUESTS + n)));
        }
    });
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    let records: Vec<_> =
        capture.records().into_iter().filter(|record| record.target() == "context").collect();
    let mut unknown = 0;
    for record in &records {
        let number = |name: &str| record.field(name).unwrap().as_u64().unwrap();
        let (n, depth) = (number("n"), number("depth") as usize);
        let names: Vec<_> = record.spans().iter().map(CapturedSpan::name).collect();
        let all = &["request", "step"][..depth];
        assert!(names.iter().all(|name| all.contains(name)), "{record:?}");
        for span in record.spans() {
            assert_eq!(span.field("n").unwrap().as_u64(), Some(n), "{record:?}");
        }
        assert_eq!(record.has_all_spans(), names == all, "{record:?}");
        unknown += u64::from(!record.has_all_spans());
    }
    assert_eq!(report.unknown_spans, unknown, "marked and counted");
    assert!(report.dropped_by_reason.total(Reason::Full) > 0, "the ring is too small: {report:#?}");
    assert_eq!(report.dispatched - report.span_records, records.len() as u64);
}

/// A ring far too small, and a listener that looks seldom.
fn too_small() -> (treering::Builder, Capture) {
    let capture = Capture::new();
    let poll = Wait::Poll(Duration::from_millis(2));
    let builder = builder().filter("trace").ring_capacity(4096).overflow(Overflow::drop_newest()).wait(poll);
    (builder.handler(capture.clone()), capture)
}

#[test]
fn in_a_ring_far_too_small_no_record_shows_a_wrong_context() {
    in_own_process("in_a_ring_far_too_small_no_record_shows_a_wrong_context", || {
        let (builder, capture) = too_small();
        let guard = builder.init().unwrap();
        let log = |n| {
            let request = context!("request", n);
            let _in = request.enter();
            info!(n, depth = 1, "served");
            let _step = context!("step", n).enter();
            error!(n, depth = 2, "served");
            info!(n, depth = 2, "served");
        };
        never_wrong(log, &capture, &guard);
    });
}

#[test]
fn nor_does_one_of_an_engine_that_is_named() {
    let (builder, capture) = too_small();
    let (logger, guard) = builder.start().unwrap();
    let log = |n| {
        let request = context!(logger: logger, "request", n);
        let _in = request.enter();
        info!(logger: logger, n, depth = 1, "served");
        let _step = context!(logger: logger, "step", n).enter();
        error!(logger: logger, n, depth = 2, "served");
        info!(logger: logger, n, depth = 2, "served");
    };
    never_wrong(log, &capture, &guard);
}

/// The ring is full at the first record, and has room at the next one.
#[test]
fn a_context_whose_open_found_no_room_is_known_as_soon_as_there_is_room() {
    in_own_process("a_context_whose_open_found_no_room_is_known_as_soon_as_there_is_room", || {
        let capture = Capture::new();
        let builder = builder().ring_capacity(4096).overflow(Overflow::drop_newest()).wait(Wait::Manual);
        let guard = builder.handler(capture.clone()).init().unwrap();
        while guard.stats().dropped == 0 {
            error!("fills the ring");
        }
        let _outer = context!("outer", n = 1).enter();
        let _inner = context!("inner", n = 2).enter();
        info!("lost");
        assert_eq!(guard.stats().dropped, 3, "the open of the innermost, and the record");
        guard.poll().unwrap();
        info!("known");
        let report = guard.stop(SOON).unwrap();
        report.assert_balanced();
        let records: Vec<_> =
            capture.records().into_iter().filter(|record| record.level() == Level::Info).collect();
        assert_eq!(records.iter().map(path).collect::<Vec<_>>(), ["outer{n=1}:inner{n=2}"]);
        assert_eq!((report.unknown_spans, report.span_records), (0, 2));
    });
}

/// There is room for a record, and none for what opens its context.
#[test]
fn a_record_whose_context_is_unknown_is_marked_and_counted() {
    in_own_process("a_record_whose_context_is_unknown_is_marked_and_counted", || {
        let capture = Capture::new();
        let builder = builder().ring_capacity(4096).overflow(Overflow::drop_newest()).wait(Wait::Manual);
        let guard = builder.handler(capture.clone()).init().unwrap();
        let (filler, long) = ("x".repeat(400), "y".repeat(1_000));
        while guard.stats().dropped == 0 {
            error!("{filler}");
        }
        let _outer = context!("outer").enter();
        let _inner = context!("inner", long).enter();
        error!("marked");
        assert_eq!(guard.stats().dropped, 2);
        guard.poll().unwrap();
        error!("known");
        let report = guard.stop(SOON).unwrap();
        report.assert_balanced();
        let shown = shown(&capture);
        let path =
            |wanted: &str| shown.iter().find(|(message, _)| message == wanted).map(|(_, path)| &**path);
        assert_eq!(path("marked"), Some("?"));
        assert!(path("known").is_some_and(|path| path.starts_with("outer:inner{long=yyy")), "{shown:?}");
        assert_eq!(report.unknown_spans, 1);
    });
}

/// Opens have the room that is kept for severe records.
#[test]
fn opens_find_room_where_records_of_their_level_find_none() {
    in_own_process("opens_find_room_where_records_of_their_level_find_none", || {
        let capture = Capture::new();
        let builder = builder().ring_capacity(4096).overflow(Overflow::drop_newest()).wait(Wait::Manual);
        let guard = builder.handler(capture.clone()).init().unwrap();
        while guard.stats().dropped == 0 {
            info!("fills what is for its level");
        }
        context!("context").in_scope(|| error!("severe"));
        assert_eq!(guard.stats().dropped, 1);
        guard.stop(SOON).unwrap().assert_balanced();
        let records = capture.records();
        assert_eq!(path(records.iter().find(|record| record.level() == Level::Error).unwrap()), "context");
    });
}

/// Callers that wait for room tell of their context before.
#[test]
fn where_callers_wait_nothing_is_unknown() {
    in_own_process("where_callers_wait_nothing_is_unknown", || {
        let capture = Capture::new();
        let builder = builder().ring_capacity(4096).overflow(Overflow::block(LONG));
        let guard =
            builder.wait(Wait::Poll(Duration::from_millis(1))).handler(capture.clone()).init().unwrap();
        for n in 0..5_000_u64 {
            context!("request", n).in_scope(|| info!(n, "served"));
        }
        assert_eq!(lossless(&guard).unknown_spans, 0);
    });
}

#[test]
fn long_fields_are_cut_and_the_context_is_known() {
    let (logger, guard, capture) = capturing();
    let (long, list) = ("x".repeat(100_000), vec![7_u64; 1_000]);
    context!(logger: logger, "cut", n = 1, long, more = 2).in_scope(|| info!(logger: logger, "one"));
    // What has a fixed length is there or is not: 3 times 64 numbers.
    let eight = (0_u64, 1_u64, 2_u64, 3_u64, 4_u64, 5_u64, 6_u64, 7_u64);
    let many = (eight, eight, eight, eight, eight, eight, eight, eight);
    context!(logger: logger, "cut", list, many, again = many, last = many)
        .in_scope(|| info!(logger: logger, "two"));
    lossless(&guard);
    let records = capture.records();
    let span = &records[0].spans()[0];
    assert_eq!((span.field("n").unwrap().as_u64(), span.field("more").unwrap().as_u64()), (Some(1), Some(2)));
    let kept = span.field("long").unwrap().text();
    assert!(kept.starts_with("xxxx") && kept.len() < 1_400, "{}", kept.len());
    assert!(records[1].has_all_spans());
    let fields = records[1].spans()[0].fields();
    let whole = fields[1].1.text();
    assert!(whole.starts_with("((0, 1, 2,") && fields[2].1.text() == whole, "{fields:?}");
    assert_eq!(fields[3].1.text(), "…");
}

/// However many are inside each other, they are told of and end without much of the stack.
#[test]
fn very_many_may_be_inside_each_other() {
    let capture = Capture::new();
    let builder = builder().overflow(Overflow::block(LONG)).ring_capacity(1 << 16).handler(capture.clone());
    let (logger, guard) = builder.start().unwrap();
    let mut innermost = context!(logger: logger, "first");
    for _ in 0..50_000 {
        innermost = innermost.in_scope(|| context!(logger: logger, "next"));
    }
    innermost.in_scope(|| info!(logger: logger, "deep"));
    drop(innermost);
    let report = lossless(&guard);
    assert_eq!(report.span_records, 2 * 50_001);
    assert_eq!(capture.records()[0].spans().len(), 50_001);
}

/// Runs when the thread ends.
struct AtEnd(RefCell<Option<Box<dyn FnOnce()>>>);

impl Drop for AtEnd {
    fn drop(&mut self) {
        self.0.take().into_iter().for_each(|work| work());
    }
}

thread_local!(static AT_END: AtEnd = const { AtEnd(RefCell::new(None)) });

/// A guard in a thread-local that is dropped before treering's own, and after them.
#[test]
fn a_thread_that_ends_is_in_nothing_when_its_contexts_are_gone() {
    with_engine("a_thread_that_ends_is_in_nothing_when_its_contexts_are_gone", |guard, capture| {
        for late in [false, true] {
            thread::spawn(move || {
                if late {
                    AT_END.with(|_| ()); // registered first, so it runs last
                }
                let kept = context!("kept", late);
                let guard = kept.enter();
                info!("runs");
                let work = move || {
                    info!("ends");
                    let other = context!("other");
                    other.in_scope(|| info!("other"));
                    drop(guard);
                    info!("left");
                    drop(kept);
                };
                AT_END.with(|at_end| at_end.0.replace(Some(Box::new(work))));
            })
            .join()
            .unwrap();
        }
        let report = lossless(guard);
        shows(
            capture,
            &[
                ("runs", "kept{late=false}"),
                ("ends", "kept{late=false}"),
                ("other", "kept{late=false}:other"),
                ("left", ""),
                ("runs", "kept{late=true}"),
                ("ends", ""),
                ("other", ""),
                ("left", ""),
            ],
        );
        assert_eq!(report.span_records, 6, "and each is closed");
    });
}

/// Logs, makes contexts and leaves one behind while it is formatted.
struct Busy<'a>(&'a RefCell<Vec<treering::context::Entered>>);

impl fmt::Display for Busy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        context!("display").in_scope(|| info!("formats"));
        self.0.borrow_mut().push(context!("left behind").enter());
        f.write_str("busy")
    }
}

#[test]
fn values_may_log_and_enter_contexts() {
    with_engine("values_may_log_and_enter_contexts", |guard, capture| {
        let behind = RefCell::default();
        info!("{}", Busy(&behind));
        behind.borrow_mut().clear();
        let _in = context!("fields", busy = %Busy(&behind)).enter();
        info!("made");
        lossless(guard);
        shows(
            capture,
            &[
                ("formats", "display"),
                ("busy", "left behind"),
                ("formats", "display"),
                ("made", "left behind:fields{busy=busy}"),
            ],
        );
    });
}

/// A turn that the thread takes itself, and what its handlers log and enter.
#[test]
fn a_thread_that_polls_keeps_its_context() {
    in_own_process("a_thread_that_polls_keeps_its_context", || {
        let capture = Capture::new();
        let answer = each(|record| {
            if record.target() == "context" && !record.message().to_string().starts_with("answer") {
                context!("answer").in_scope(|| info!("answer"));
                info!("answer outside");
            }
        });
        let builder = builder().overflow(Overflow::drop_newest()).wait(Wait::Manual);
        let guard = builder.handler(answer).handler(capture.clone()).init().unwrap();
        let _in = context!("polls").enter();
        info!("one");
        guard.poll().unwrap();
        info!("two");
        guard.poll().unwrap();
        lossless(&guard);
        let shown = shown(&capture);
        let count =
            |message: &str, path: &str| shown.iter().filter(|(m, p)| (&**m, &**p) == (message, path)).count();
        assert_eq!((count("one", "polls"), count("two", "polls")), (1, 1), "{shown:?}");
        assert_eq!((count("answer", "polls:answer"), count("answer outside", "polls")), (2, 2), "{shown:?}");
    });
}

/// Threads beyond `memory_cap` share a ring.
#[test]
fn threads_that_share_a_ring_have_contexts() {
    in_own_process("threads_that_share_a_ring_have_contexts", || {
        let capture = Capture::new();
        let builder = builder().ring_capacity(4096).memory_cap(4096).overflow(Overflow::block(LONG));
        let guard = builder.handler(capture.clone()).init().unwrap();
        info!("takes the ring");
        thread::scope(|scope| {
            for n in 0..3 {
                scope.spawn(move || {
                    for step in 0..100 {
                        context!("step", n, step).in_scope(|| info!(n, step, "shared"));
                    }
                });
            }
        });
        lossless(&guard);
        let records = capture.records();
        assert_eq!(records.len(), 301);
        for record in &records[1..] {
            let field = |name: &str| record.field(name).unwrap().text().to_owned();
            assert_eq!(path(record), format!("step{{n={} step={}}}", field("n"), field("step")));
        }
    });
}
