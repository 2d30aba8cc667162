//! Records that are changed, dropped or refused on their way to the handlers.

mod support;

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use support::{Each, Gate, LONG, SOON, each, in_child, text};
use treering::format::{Json, Logfmt, Pattern, Text};
use treering::handler::{Capture, Captured, File, FlightRecorder, Handler, HandlerError, QueueHandler};
use treering::overflow::Reason;
use treering::queue::{Deadline, Dequeue, Frames, Locked};
use treering::{
    Change, Level, Listener, Overflow, Prepared, Wait, builder, debug, error, info, prepare, warn,
};

fn messages(capture: &Capture) -> Vec<String> {
    capture.records().iter().map(|record| record.message().to_owned()).collect()
}

fn says(record: &Captured, field: &str) -> Option<String> {
    record.field(field).map(|value| value.text().to_owned())
}

#[test]
fn a_password_that_is_redacted_reaches_no_handler_in_any_format() {
    const PASSWORD: &str = "hunter2";
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| File::append(directory.path().join(name)).unwrap();
    let (capture, spare, recorded) = (Capture::new(), Capture::new(), Capture::new());
    let queue = Arc::new(Locked::bounded(1 << 20));
    let refuses = Each(|_: &treering::Record<'_>| Err(HandlerError::new("out of paper")));
    let (logger, guard) = builder()
        .filter("debug")
        .error_hook(|_| {})
        .prepare(prepare::redact(["password"]))
        .handler(file("text"))
        // One of these two makes the text, the other one takes it.
        .handler(file("plain").format(Text::new()))
        .handler(file("json").format(Json::new()))
        .handler(file("logfmt").format(Logfmt::new()))
        .handler(file("pattern").format(Pattern::new("{message} {fields}").unwrap()))
        .handler(capture.clone())
        .handler(refuses.or(spare.clone()))
        .handler(FlightRecorder::new(recorded.clone().level(Level::Error)))
        .handler(QueueHandler::new(queue.clone()))
        .start()
        .unwrap();
    let (user, password) = ("kim", PASSWORD);
    for _ in 0..50 {
        debug!(logger: logger, user, password, "login of {user} with {password}, {password:?} or {password:>20}");
    }
    guard.flush(LONG).unwrap();
    error!(logger: logger, %password, "refused");
    info!(logger: logger, password = 17_u64, "by number");
    guard.stop(LONG).unwrap().assert_balanced();

    let mut frames = Frames::new();
    let _ = queue.dequeue(&mut frames, Deadline::after(Duration::ZERO)).unwrap();
    let mut seen: Vec<(String, Vec<u8>)> = ["text", "plain", "json", "logfmt", "pattern"]
        .map(|name| (name.to_owned(), fs::read(directory.path().join(name)).unwrap()))
        .into();
    for (name, capture) in [("capture", &capture), ("fallback", &spare), ("recorder", &recorded)] {
        seen.push((name.to_owned(), format!("{:?}", capture.records()).into_bytes()));
    }
    seen.push(("queue".to_owned(), frames.iter().flatten().copied().collect()));
    for (name, bytes) in seen {
        let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(!holds(PASSWORD), "{name}: {}", String::from_utf8_lossy(&bytes));
        assert!(holds("kim"), "{name} has what is not secret");
    }
    for (name, line) in [
        ("text", "login of kim with [redacted], [redacted] or [redacted] user=kim password=[redacted]"),
        ("plain", "login of kim with [redacted], [redacted] or [redacted] user=kim password=[redacted]"),
        ("json", r#""password":"[redacted]""#),
        ("logfmt", "password=[redacted]"),
    ] {
        let text = fs::read_to_string(directory.path().join(name)).unwrap();
        assert_eq!(
            text.matches(line).count(),
            if line.starts_with("login") { 50 } else { 52 },
            "{name}: {text}"
        );
    }
    let mut decoder = treering::record::Decoder::new();
    let record = decoder.decode(frames.iter().last().unwrap()).unwrap();
    assert_eq!(record.field("password").unwrap().to_string(), "[redacted]");
}

#[test]
fn all_handlers_get_what_the_last_step_left() {
    let (first, second) = (Capture::new(), Capture::new().level(Level::Warn));
    let (logger, guard) = builder()
        .prepare(|record| match record.field("n").and_then(|field| field.value().as_u64()) {
            Some(n) => Change::new().set("n", n + 1).set("seen", "once").into(),
            None => Prepared::Keep,
        })
        .prepare(|record| {
            let n = record.field("n").map(|field| field.to_string()).unwrap_or_default();
            let change = Change::new().message(format!("{} is {n}\n", record.message()));
            if n == "8" { change.level(Level::Warn).into() } else { change.remove("seen").into() }
        })
        .handler(first.clone())
        .handler(second.clone())
        .start()
        .unwrap();
    info!(logger: logger, n = 7_u64, tail = "x", "the number {}", 7);
    info!(logger: logger, n = 8_u64, "the number {}", 8);
    info!(logger: logger, "none");
    let report = guard.stop(LONG).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless());
    assert_eq!(messages(&first), ["the number 7 is 8\n", "the number 8 is 9\n", "none is \n"]);
    assert_eq!(messages(&second), ["the number 7 is 8\n"], "handlers go by the level that it was given");
    let records = first.records();
    assert_eq!(records[0].field("n").unwrap().as_u64(), Some(8), "typed");
    let names: Vec<_> = records[0].fields().iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["n", "tail", "seen"], "in their places, and the new one behind");
    assert_eq!((says(&records[1], "seen"), records[1].fields().len()), (None, 1));
    assert_eq!((records[0].level(), records[1].level()), (Level::Warn, Level::Info));
    assert_eq!((records[0].line(), records[0].target()), (records[0].line(), "prepare"));
}

#[test]
fn a_message_that_is_set_is_shown_as_a_value_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let (logger, guard) = builder()
        .prepare(|_| Change::new().message("a\nforged {line} \u{1b}[2J").into())
        .handler(File::append(&path).unwrap())
        .start()
        .unwrap();
    info!(logger: logger, "x");
    guard.stop(LONG).unwrap().assert_balanced();
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!((text.lines().count(), text.contains('\u{1b}')), (1, false), "{text}");
    assert!(text.contains("forged {line} "), "{text}");
}

/// Answers by the message.
fn obeys(record: &treering::Record<'_>) -> Prepared {
    match record.message().to_string().as_str() {
        "drop" => Prepared::Drop("unwanted"),
        "health" => Prepared::Drop("health checks"),
        "fail" => Prepared::fail("no such customer"),
        "panic" => panic!("oops"),
        _ => Prepared::Keep,
    }
}

#[test]
fn each_record_has_one_fate_and_a_step_that_fails_costs_one() {
    let (capture, lines) = (Capture::new(), Arc::new(Mutex::new(Vec::new())));
    let (sink, lost) = (lines.clone(), Arc::new(Mutex::new(Vec::new())));
    let losses = lost.clone();
    let (logger, guard) = builder()
        .wait(Wait::Manual)
        .prepare(obeys)
        .error_hook(move |line| sink.lock().unwrap().push(line.to_owned()))
        .on_drop(move |loss| losses.lock().unwrap().push(loss.clone()))
        .handler(capture.clone())
        .start()
        .unwrap();
    for message in ["a", "drop", "health", "b", "fail", "panic", "drop", "fail", "c", "drop", "fail"] {
        info!(logger: logger, "{}", message);
    }
    warn!(logger: logger, "{}", "panic");
    guard.flush(LONG).unwrap();
    let stats = guard.stats();
    assert_eq!((stats.submitted, stats.dispatched, stats.dropped, stats.pending), (12, 3, 9, 0), "{stats}");
    let report = guard.stop(LONG).unwrap();
    report.assert_balanced();
    assert_eq!((report.submitted, report.dispatched, report.dropped), (12, 3, 9), "{report}");
    assert_eq!(report.dropped_by_reason[Reason::Prepare], [0, 1, 8, 0, 0]);
    assert_eq!((report.submitted_by_level, report.dropped_by_level), ([0, 1, 11, 0, 0], [0, 1, 8, 0, 0]));
    assert_eq!((report.prepared_away["unwanted"], report.prepared_away["health checks"]), (3, 1));
    assert_eq!(report.unprepared, 5);
    assert!(!report.is_lossless());
    let handler = &report.handlers["capture"];
    assert_eq!((handler.offered, handler.delivered), (5, 5), "with the two records that tell of the losses");

    let lost_here = |records| format!("{records} records lost here, they could not be prepared");
    assert_eq!(messages(&capture), ["a", "b", &lost_here(3), "c", &lost_here(2)]);
    let told = &capture.records()[2];
    assert_eq!((told.target(), told.level()), ("treering::loss", Level::Warn));
    assert_eq!(
        (says(told, "reason").as_deref(), says(told, "info").as_deref()),
        (Some("prepare"), Some("3"))
    );
    let lost = lost.lock().unwrap();
    assert_eq!(
        lost.iter().map(|loss| (loss.records, loss.reason)).collect::<Vec<_>>(),
        [(3, Reason::Prepare), (2, Reason::Prepare)]
    );
    assert_eq!(lost[1].by_level, [0, 1, 1, 0, 0]);
    let lines = lines.lock().unwrap();
    for part in ["could not be prepared: no such customer", "could not be prepared: panicked: oops"] {
        assert!(lines.iter().any(|line| line.contains(part)), "{part}: {lines:?}");
    }
}

#[test]
fn records_that_are_dropped_on_purpose_are_no_loss() {
    let capture = Capture::new();
    let (logger, guard) = builder().prepare(obeys).handler(capture.clone()).start().unwrap();
    for message in ["drop", "a", "drop"] {
        info!(logger: logger, "{}", message);
    }
    guard.wait_idle(LONG).unwrap();
    let report = guard.stop(LONG).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless(), "{report}");
    assert_eq!(messages(&capture), ["a"], "and nothing is told of them");
}

#[test]
fn the_engines_own_records_are_asked_of_no_step() {
    let (gate, capture, asked) = (Gate::closed(), Capture::new(), Arc::new(AtomicU64::new(0)));
    let (held, count) = (gate.clone(), asked.clone());
    let (logger, guard) = builder()
        .ring_capacity(4096)
        .overflow(Overflow::drop_newest())
        .prepare(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
            Prepared::Drop("all")
        })
        .handler(each(move |_| held.pass()))
        .handler(capture.clone())
        .start()
        .unwrap();
    gate.open();
    // Until some are lost.
    support::eventually("a ring is full", || {
        (0..1000_u64).for_each(|n| info!(logger: logger, n, "flood"));
        guard.stats().dropped_by_reason.total(Reason::Full) > 0
    });
    let report = guard.stop(LONG).unwrap();
    report.assert_balanced();
    let (away, full) = (report.prepared_away["all"], report.dropped_by_reason.total(Reason::Full));
    assert_eq!((asked.load(Ordering::Relaxed), away + full), (away, report.submitted));
    let records = capture.records();
    assert!(!records.is_empty() && records.iter().all(|record| record.target() == "treering::loss"));
    let told: u64 = records
        .iter()
        .map(|record| record.message().split(' ').next().unwrap().parse::<u64>().unwrap())
        .sum();
    assert_eq!(told, full);
}

/// In a process of its own, as what is refused of it counts as nested for all engines.
#[test]
fn a_step_that_logs_is_heard_once() {
    let child = in_child("a_step_that_logs_is_heard_once", &[], || {
        let (capture, own) = (Capture::new(), Arc::new(Mutex::new(None::<treering::Logger>)));
        let inner = own.clone();
        let (logger, guard) = builder()
            .wait(Wait::Manual)
            .prepare(move |_| {
                if let Some(logger) = &*inner.lock().unwrap() {
                    info!(logger: logger, "asked");
                }
                Prepared::Keep
            })
            .handler(capture.clone())
            .start()
            .unwrap();
        *own.lock().unwrap() = Some(logger.clone());
        info!(logger: logger, "one");
        for _ in 0..10 {
            guard.poll().unwrap();
        }
        assert_eq!(messages(&capture), ["one", "asked"]);
        *own.lock().unwrap() = None;
        guard.stop(LONG).unwrap().assert_balanced();
    });
    if let Some(output) = child {
        assert!(output.status.success(), "{}", text(&output));
    }
}

#[test]
fn a_step_that_hangs_is_left_behind_at_the_deadline() {
    let (gate, capture) = (Gate::closed(), Capture::new());
    let held = gate.clone();
    let (logger, guard) = builder()
        .prepare(move |_| {
            held.pass();
            Prepared::Drop("late")
        })
        .handler(capture.clone())
        .start()
        .unwrap();
    (0..5).for_each(|n| info!(logger: logger, "{n}"));
    gate.wait_for_guest();
    let report = guard.stop(Duration::from_millis(50)).unwrap();
    report.assert_balanced();
    assert_eq!((report.abandoned, report.dropped, report.dispatched), (5, 0, 0), "{report}");
    gate.open();
    drop(guard);
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(logger.stats(), report, "whatever it does after that");
    assert!(capture.is_empty());
}

#[test]
fn facts_of_the_process_and_the_host_are_fields() {
    let capture = Capture::new();
    let (logger, guard) = builder()
        .prepare(prepare::process())
        .prepare(prepare::host())
        .handler(capture.clone())
        .start()
        .unwrap();
    info!(logger: logger, "x");
    guard.stop(LONG).unwrap().assert_balanced();
    let record = &capture.records()[0];
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!(says(record, "process.pid"), Some(std::process::id().to_string()));
    assert_eq!(says(record, "host.name").as_deref(), Some(host.trim()));
    let program = std::env::current_exe().unwrap();
    assert_eq!(says(record, "process.executable.name").as_deref(), program.file_name().unwrap().to_str());
}

#[test]
fn a_target_that_floods_is_kept_to_its_limit_and_the_next_record_says_so() {
    let capture = Capture::new();
    let window = Duration::from_millis(200);
    let (logger, guard) =
        builder().prepare(prepare::at_most("noisy", 2, window)).handler(capture.clone()).start().unwrap();
    let begun = Instant::now();
    let mut calls = 0;
    while begun.elapsed() < 3 * window {
        info!(logger: logger, target: "noisy::inner", "x");
        calls += 1;
        if calls % 100 == 0 {
            info!(logger: logger, target: "quiet", "y");
            std::thread::sleep(Duration::from_millis(1)); // the ring has room for all
        }
    }
    let quiet = calls / 100;
    std::thread::sleep(window);
    info!(logger: logger, target: "noisy", "the last");
    let report = guard.stop(LONG).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless(), "{report}");

    let records = capture.records();
    let noisy: Vec<_> = records.iter().filter(|record| record.target().starts_with("noisy")).collect();
    assert_eq!(records.len() - noisy.len(), quiet, "others are not touched");
    // The first window and the last one at least; two for each that there was time for.
    let windows = begun.elapsed().as_nanos() / window.as_nanos() + 1;
    assert!((3..=2 * windows).contains(&(noisy.len() as u128)), "{} in {windows} windows", noisy.len());
    let told: usize =
        noisy.iter().filter_map(|record| says(record, "suppressed")?.parse::<usize>().ok()).sum();
    assert_eq!(noisy.len() + told, calls + 1, "each that was kept back is told of");
    assert_eq!(report.prepared_away["limit"], told as u64);
    assert_eq!(says(noisy[0], "suppressed"), None);
}

#[test]
fn records_from_a_queue_are_changed_like_others() {
    let (queue, capture) = (Arc::new(Locked::bounded(1 << 20)), Capture::new());
    let (logger, guard) = builder().handler(QueueHandler::new(queue.clone())).start().unwrap();
    let password = "hunter2";
    warn!(logger: logger, password, user = "kim", "login with {password}");
    info!(logger: logger, "{}", "drop");
    guard.stop(LONG).unwrap();
    let listening = Listener::new(queue)
        .prepare(obeys)
        .prepare(prepare::redact(["password"]))
        .prepare(|record| Change::new().set("from", record.thread().process_id()).level(Level::Info).into())
        .handler(capture.clone())
        .start()
        .unwrap();
    let report = listening.stop(SOON).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless());
    assert_eq!((report.dispatched, report.dropped["unwanted"]), (1, 1));
    let record = &capture.records()[0];
    assert_eq!((record.message(), record.level()), ("login with [redacted]", Level::Info));
    assert_eq!(says(record, "user").as_deref(), Some("kim"));
    assert_eq!(says(record, "from"), Some(std::process::id().to_string()));
    assert!(!format!("{:?}", capture.records()).contains(password));
}
