//! Filters: from the environment, and changed while threads log. `TREERING_RELOADS` says how often.

#![allow(clippy::print_stderr, reason = "tests tell their figures")]

mod support;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use support::{LONG, SOON, each, eventually, in_child, text};
use treering::handler::Capture;
use treering::{Level, Overflow, Wait, debug, enabled, error, info, trace, warn};

/// What a child's log calls wrote: `target level` of each.
#[track_caller]
fn written(output: &std::process::Output) -> Vec<String> {
    assert!(output.status.success(), "{}", text(output));
    let text = String::from_utf8_lossy(&output.stderr);
    text.lines().filter_map(|line| Some(line.split(": wrote ").nth(1)?.to_owned())).collect()
}

macro_rules! at_every_level {
    ($($target:literal)+) => {
        $(
            error!(target: $target, "wrote {} error", $target);
            warn!(target: $target, "wrote {} warn", $target);
            info!(target: $target, "wrote {} info", $target);
            debug!(target: $target, "wrote {} debug", $target);
            trace!(target: $target, "wrote {} trace", $target);
        )+
    };
}

#[test]
fn the_environment_says_which_levels_of_which_targets_are_written() {
    let test = "the_environment_says_which_levels_of_which_targets_are_written";
    let output = in_child(test, &[("RUST_LOG", "warn,app::db=debug,app::db::pool=off,loud=trace")], || {
        let _guard = treering::init().unwrap();
        at_every_level!("app" "app::db" "app::db::pool" "loud");
    });
    if let Some(output) = output {
        let expected = [
            "app error",
            "app warn",
            "app::db error",
            "app::db warn",
            "app::db info",
            "app::db debug",
            "loud error",
            "loud warn",
            "loud info",
            "loud debug",
            "loud trace",
        ];
        assert_eq!(written(&output), expected);
    }
}

#[test]
fn without_the_environment_info_is_written() {
    let output = in_child("without_the_environment_info_is_written", &[], || {
        let _guard = treering::init().unwrap();
        at_every_level!("app");
    });
    if let Some(output) = output {
        assert_eq!(written(&output), ["app error", "app warn", "app info"]);
    }
}

#[test]
fn the_program_outdoes_the_environment() {
    let output = in_child("the_program_outdoes_the_environment", &[("RUST_LOG", "trace")], || {
        let console = treering::handler::Console::stderr();
        let _guard = treering::builder().filter("error").handler(console).init().unwrap();
        at_every_level!("app");
    });
    if let Some(output) = output {
        assert_eq!(written(&output), ["app error"]);
    }
}

#[test]
fn a_directive_that_is_wrong_is_told_on_stderr_and_the_others_count() {
    let test = "a_directive_that_is_wrong_is_told_on_stderr_and_the_others_count";
    let output = in_child(test, &[("RUST_LOG", "error,app::db=loud,app=info")], || {
        let _guard = treering::init().unwrap();
        at_every_level!("app" "other");
    });
    if let Some(output) = output {
        let text = String::from_utf8_lossy(&output.stderr);
        let told: Vec<_> = text.lines().filter(|line| line.starts_with("treering: ")).collect();
        assert_eq!(told.len(), 1, "{text}");
        assert!(told[0].contains("RUST_LOG") && told[0].contains("app::db=loud"), "{told:?}");
        assert!(told[0].contains("off, error, warn, info, debug, trace"), "what may stand there: {told:?}");
        let records: Vec<_> = text.lines().filter(|line| line.contains("treering::filter: ")).collect();
        assert_eq!(records.len(), 1, "in the stream, too, where the filter would keep it back: {text}");
        assert!(records[0].contains(" WARN ") && records[0].contains("app::db=loud"), "{records:?}");
        assert_eq!(written(&output), ["app error", "app warn", "app info", "other error"]);
    }
}

#[test]
fn who_asks_is_told_what_a_call_would_leave() {
    let (logger, guard) = treering::builder().filter("warn,loud=trace").start().unwrap();
    let (other, other_guard) = treering::builder().filter("off").start().unwrap();
    let asked = |logger: &treering::Logger| {
        [
            enabled!(logger: logger, Level::Warn),
            enabled!(logger: logger, Level::Info),
            enabled!(target: "loud", logger: logger, Level::Trace),
            enabled!(logger: logger, target: "else", Level::Debug),
        ]
    };
    for _ in 0..2 {
        assert_eq!(asked(&logger), [true, false, true, false]);
        assert_eq!(asked(&other), [false; 4]);
    }
    guard.set_filter("debug").unwrap();
    other_guard.set_filter("error,else=debug").unwrap();
    assert_eq!((asked(&logger), asked(&other)), ([true, true, false, true], [false, false, false, true]));
    guard.set_filter("off").unwrap();
    assert_eq!(asked(&logger), [false; 4]);
    let report = guard.stop(SOON).unwrap();
    assert_eq!((report.submitted, report.nested), (0, 0), "to ask is no call");
    other_guard.stop(SOON).unwrap();
}

#[test]
fn who_asks_the_process_wide_engine_is_told_what_the_environment_says() {
    let test = "who_asks_the_process_wide_engine_is_told_what_the_environment_says";
    let output = in_child(test, &[("RUST_LOG", "info,app=debug")], || {
        let asked = || {
            [
                enabled!(Level::Warn),
                enabled!(Level::Info),
                enabled!(Level::Debug),
                enabled!(target: "app", Level::Debug),
            ]
        };
        assert_eq!(asked(), [true, false, false, false], "what is printed where there is no engine");
        let guard = treering::init().unwrap();
        assert_eq!(asked(), [true, true, false, true]);
        treering::set_filter("error").unwrap();
        assert_eq!(asked(), [false; 4]);
        guard.stop(SOON).unwrap();
    });
    if let Some(output) = output {
        assert!(output.status.success(), "{}", text(&output));
    }
}

#[test]
fn a_program_that_gets_its_own_filter_wrong_is_told_so_and_nothing_changes() {
    let (logger, guard) = treering::builder().filter("warn").start().unwrap();
    let error = guard.set_filter("info,app=loud").unwrap_err();
    assert!(error.is_filter() && error.to_string().contains("app=loud"), "{error}");
    info!(logger: logger, "still disabled");
    warn!(logger: logger, "still enabled");
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert_eq!(report.submitted_by_level, [0, 1, 0, 0, 0]);
    assert!(treering::builder().filter("app=loud").start().unwrap_err().is_filter());
}

#[test]
fn a_filter_for_a_while_goes_by_itself() {
    let capture = Capture::new();
    let (logger, guard) = treering::builder().filter("warn").handler(capture.clone()).start().unwrap();
    assert!(guard.set_filter_for("app=loud", SOON).unwrap_err().is_filter());
    debug!(logger: logger, "before");
    guard.set_filter_for("debug", Duration::from_millis(300)).unwrap();
    debug!(logger: logger, "meanwhile");
    eventually("the filter that lasts counts again", || {
        debug!(logger: logger, "or later");
        let heard = guard.stats().submitted_at(Level::Debug);
        debug!(logger: logger, "or later");
        guard.stats().submitted_at(Level::Debug) == heard
    });
    warn!(logger: logger, "after");
    guard.stop(SOON).unwrap().assert_balanced();
    let messages: Vec<_> = capture.records().iter().map(|record| record.message().to_owned()).collect();
    assert_eq!((&*messages[0], &*messages[messages.len() - 1]), ("meanwhile", "after"));
}

#[test]
fn what_is_set_while_another_filter_counts_for_a_while_is_obeyed() {
    let capture = Capture::new();
    let builder = treering::builder().filter("warn").wait(Wait::Manual);
    let (logger, guard) = builder.handler(capture.clone()).start().unwrap();
    let tend = || {
        std::thread::sleep(Duration::from_millis(550)); // housekeeping is each half second
        while guard.poll().unwrap() > 0 {}
    };
    guard.set_filter_for("trace", LONG).unwrap();
    guard.set_filter_for("debug", Duration::ZERO).unwrap();
    debug!(logger: logger, "1: the second one takes the place of the first");
    trace!(logger: logger, "not heard");
    tend();
    debug!(logger: logger, "not heard: its time is over, and not the first's that it replaced");
    warn!(logger: logger, "2: what lasts is what was set to last");
    guard.set_filter_for("debug", Duration::ZERO).unwrap();
    guard.set_filter("info").unwrap();
    debug!(logger: logger, "not heard: a filter that is set counts at once");
    tend();
    info!(logger: logger, "3: and for ever");
    guard.stop(SOON).unwrap().assert_balanced();
    let records = capture.records();
    let numbers: Vec<_> = records.iter().map(|record| &record.message()[..1]).collect();
    assert_eq!(numbers, ["1", "2", "3"]);
}

/// Toggles a filter while threads log, by `call` with a number of their own. `set` is true for *on*. `arrived` has
/// the numbers that arrived when all is over.
fn toggle(call: impl Fn(u64) + Sync, set: impl Fn(bool), arrived: impl FnOnce() -> Vec<u64>) {
    let toggles = std::env::var("TREERING_RELOADS").map_or(200, |reloads| reloads.parse().unwrap());
    const THREADS: u64 = 3;
    // Even: on for certain. 1 modulo 4: changing. 3: off for certain.
    let phase = AtomicU64::new(0);
    let is_over = AtomicBool::new(false);
    let mut within: Vec<(u64, bool)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (phase, is_over, call) = (&phase, &is_over, &call);
                scope.spawn(move || {
                    let mut within = Vec::new();
                    for n in (thread..).step_by(THREADS as usize) {
                        let before = phase.load(Ordering::SeqCst);
                        call(n);
                        // The whole call lay between two changes, so what becomes of it is certain.
                        if phase.load(Ordering::SeqCst) == before && before % 2 == 0 {
                            within.push((n, before % 4 == 0));
                        }
                        if is_over.load(Ordering::Relaxed) {
                            return within;
                        }
                        if n % 16 == thread {
                            std::thread::sleep(Duration::from_micros(50));
                        }
                    }
                    unreachable!("numbers do not end")
                })
            })
            .collect();
        for toggle in 0..toggles {
            std::thread::sleep(Duration::from_millis(2));
            phase.store(2 * toggle + 1, Ordering::SeqCst);
            set(toggle % 2 == 1);
            phase.store(2 * toggle + 2, Ordering::SeqCst);
        }
        is_over.store(true, Ordering::Relaxed);
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    within.sort_unstable();
    let mut arrived = arrived();
    arrived.sort_unstable();
    let wrong: Vec<_> =
        within.iter().filter(|(n, is_on)| arrived.binary_search(n).is_ok() != *is_on).take(10).collect();
    assert!(wrong.is_empty(), "delivered though disabled, or the reverse: {wrong:?}");
    let on = within.iter().filter(|(_, is_on)| *is_on).count();
    let off = within.len() - on;
    assert!(on > 1_000 && off > 1_000, "too few calls to show anything: {on} on, {off} off");
    eprintln!("{on} calls while on, all delivered, and {off} while off, none");
}

/// A handler that keeps numbers.
fn numbers() -> (impl treering::handler::Handler, Arc<Mutex<Vec<u64>>>) {
    let numbers = Arc::new(Mutex::new(Vec::new()));
    let kept = numbers.clone();
    let take = each(move |record| kept.lock().unwrap().push(record.value(0).unwrap().as_u64().unwrap()));
    (take, numbers)
}

#[test]
fn calls_that_begin_after_a_reload_obey_it() {
    let (take, numbers) = numbers();
    let (logger, guard) = treering::builder().overflow(Overflow::block(LONG)).handler(take).start().unwrap();
    toggle(
        |n| info!(logger: logger, "{n}"),
        |on| guard.set_filter(if on { "info" } else { "warn" }).unwrap(),
        || {
            guard.stop(LONG).unwrap().assert_balanced();
            std::mem::take(&mut *numbers.lock().unwrap())
        },
    );
}

#[test]
fn calls_that_begin_after_a_reload_obey_it_also_if_another_engine_wants_the_callsite() {
    let (_other, _guard) = treering::builder().filter("trace").start().unwrap();
    let (take, numbers) = numbers();
    let (logger, guard) = treering::builder().overflow(Overflow::block(LONG)).handler(take).start().unwrap();
    toggle(
        |n| info!(logger: logger, "{n}"),
        |on| guard.set_filter(if on { "info" } else { "warn" }).unwrap(),
        || {
            guard.stop(LONG).unwrap().assert_balanced();
            std::mem::take(&mut *numbers.lock().unwrap())
        },
    );
}

#[test]
fn calls_to_the_process_wide_engine_that_begin_after_a_reload_obey_it() {
    let test = "calls_to_the_process_wide_engine_that_begin_after_a_reload_obey_it";
    let output = in_child(test, &[], || {
        let (take, numbers) = numbers();
        let guard = treering::builder().overflow(Overflow::block(LONG)).handler(take).init().unwrap();
        toggle(
            |n| info!("{n}"),
            |on| guard.set_filter(if on { "info" } else { "warn" }).unwrap(),
            || {
                guard.stop(LONG).unwrap().assert_balanced();
                std::mem::take(&mut *numbers.lock().unwrap())
            },
        );
    });
    if let Some(output) = output {
        assert!(output.status.success(), "{}", text(&output));
    }
}

#[test]
fn an_engine_without_a_handler_writes_to_stderr_and_rust_log_goes_before_the_default() {
    let test = "an_engine_without_a_handler_writes_to_stderr_and_rust_log_goes_before_the_default";
    let run = || {
        let guard = treering::builder().default_filter("error").init().unwrap();
        info!("an info");
        treering::register_thread().unwrap();
        error!("an error");
        treering::set_filter("info").unwrap();
        info!("another info");
        let report = treering::stats().unwrap();
        assert_eq!(report.submitted_at(Level::Error), 1);
        guard.stop(SOON).unwrap().assert_balanced();
    };
    for (env, first) in [(vec![], false), (vec![("RUST_LOG", "info")], true)] {
        let Some(output) = in_child(test, &env, run) else { return };
        let text = text(&output);
        assert!(output.status.success(), "{text}");
        assert_eq!(text.contains("an info"), first, "{text}");
        assert!(text.contains("an error") && text.contains("another info"), "{text}");
    }
}
