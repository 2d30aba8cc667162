//! The crate `log`, as a library uses it, through the process-wide engine.
#![cfg(feature = "log")]

mod support;

use std::sync::{Mutex, MutexGuard};

use log::{debug, error, info, log_enabled, trace, warn};
use support::SOON;
use treering::handler::{Capture, Captured};
use treering::{Guard, Level, Overflow};

/// One process-wide engine at a time.
static TURN: Mutex<()> = Mutex::new(());

fn engine(filter: &str) -> (MutexGuard<'static, ()>, Guard, Capture) {
    let turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let capture = Capture::new();
    let builder = treering::builder().filter(filter).overflow(Overflow::block(support::LONG));
    let guard = builder.handler(capture.clone()).init().unwrap();
    (turn, guard, capture)
}

/// Stops it: all records, none lost.
fn records(guard: &Guard, capture: &Capture) -> Vec<Captured> {
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless(), "{report:#?}");
    assert_eq!(report.submitted, capture.len() as u64);
    capture.records()
}

#[test]
fn a_record_says_what_log_said_and_key_values_keep_their_types() {
    let (_turn, guard, capture) = engine("info");
    let user = String::from("ann");
    let line = line!() + 1;
    info!(target: "lib::db", n = 7_u64, delta = -3_i32, ratio = 0.5, ok = true, user = user.as_str(), sign = 'c'; "took {} ms", 12);
    warn!(any:? = Some(1), big = u128::MAX; "");
    error!("plain");
    let records = records(&guard, &capture);
    let [first, second, third] = &records[..] else { panic!("{records:#?}") };
    assert_eq!((first.level(), first.target(), first.message()), (Level::Info, "lib::db", "took 12 ms"));
    assert_eq!((first.module_path(), first.file(), first.line()), (module_path!(), file!(), line));
    let field = |name| first.field(name).unwrap();
    assert_eq!(
        (field("n").as_u64(), field("delta").as_i64(), field("ratio").as_f64()),
        (Some(7), Some(-3), Some(0.5))
    );
    assert_eq!(
        (field("ok").as_bool(), field("user").as_str(), field("sign").text()),
        (Some(true), Some("ann"), "c")
    );
    assert_eq!((second.level(), second.message(), second.target()), (Level::Warn, "", module_path!()));
    assert_eq!(second.field("any").unwrap().as_str(), Some("Some(1)"));
    assert_eq!(second.field("big").unwrap().text(), u128::MAX.to_string());
    assert!(third.fields().is_empty());
    assert_eq!((third.level(), third.message()), (Level::Error, "plain"));
}

/// The same place with other types, and with other names: each record has its own.
#[test]
fn one_place_may_have_key_values_of_several_types() {
    let (_turn, guard, capture) = engine("info");
    let values = [
        log::kv::Value::from(1_u64),
        log::kv::Value::from("one"),
        log::kv::Value::from(2_u64),
        log::kv::Value::null(),
    ];
    for value in &values {
        for name in ["a", "b"] {
            let pairs = (name, value.clone());
            let mut record = log::Record::builder();
            record.level(log::Level::Info).target("several").args(format_args!("")).key_values(&pairs);
            log::logger().log(&record.build());
        }
    }
    let seen: Vec<_> = records(&guard, &capture)
        .iter()
        .map(|r| format!("{}={}", r.fields()[0].0, r.fields()[0].1))
        .collect();
    assert_eq!(seen, ["a=1", "b=1", "a=one", "b=one", "a=2", "b=2", "a=None", "b=None"]);
}

#[test]
fn filters_and_reloads_rule_it_as_they_rule_native_calls() {
    let (_turn, guard, capture) = engine("warn,lib::db=debug,lib::db::pool=off");
    let both = |round: &str| {
        for target in ["lib", "lib::db", "lib::db::pool"] {
            error!(target: target, "{round}");
            info!(target: target, "{round}");
            debug!(target: target, "{round}");
            trace!(target: target, "{round}");
        }
    };
    assert_eq!(log::max_level(), log::LevelFilter::Debug);
    assert!(
        log_enabled!(target: "lib::db", log::Level::Debug) && !log_enabled!(target: "lib", log::Level::Info)
    );
    both("first");
    treering::set_filter("trace").unwrap();
    assert_eq!(log::max_level(), log::LevelFilter::Trace);
    assert!(log_enabled!(target: "lib", log::Level::Trace));
    both("second");
    treering::set_filter("off").unwrap();
    assert_eq!(log::max_level(), log::LevelFilter::Off);
    both("third");
    treering::set_filter("lib::db=error").unwrap();
    assert_eq!(log::max_level(), log::LevelFilter::Error);
    both("fourth");
    let count =
        |round: &str, records: &[Captured]| records.iter().filter(|record| record.message() == round).count();
    let records = records(&guard, &capture);
    let counts = ["first", "second", "third", "fourth"].map(|round| count(round, &records));
    assert_eq!(counts, [4, 12, 0, 2], "{records:#?}");
}

#[test]
fn a_library_under_load_loses_nothing_and_the_books_are_exact() {
    const THREADS: u64 = 4;
    const CALLS: u64 = 20_000;
    let (_turn, guard, capture) = engine("info");
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                for n in 0..CALLS {
                    info!(target: "load", n, thread; "request {n}");
                    debug!(target: "load", n; "nobody listens");
                }
            });
        }
    });
    log::logger().flush();
    assert_eq!(capture.len() as u64, THREADS * CALLS, "a flush by `log` is a flush");
    let records = records(&guard, &capture);
    for thread in 0..THREADS {
        let mine = records.iter().filter(|record| record.field("thread").unwrap().as_u64() == Some(thread));
        let numbers = mine.map(|record| record.field("n").unwrap().as_u64().unwrap());
        assert!(numbers.eq(0..CALLS), "each once, in order");
    }
}

#[test]
fn a_long_message_is_cut_and_an_argument_that_logs_comes_first() {
    struct Logs;
    impl std::fmt::Display for Logs {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            info!("inner");
            f.write_str("outer")
        }
    }
    let (_turn, guard, capture) = engine("info");
    info!(n = 1; "{Logs}");
    info!(n = 2; "{}", "ß".repeat(1 << 20));
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert_eq!((report.submitted, report.truncated), (3, 1));
    let records = capture.records();
    assert_eq!((records[0].message(), records[1].message()), ("inner", "outer"));
    assert!(records[2].is_truncated());
    let (kept, cut) = records[2].message().split_once("…(+").unwrap();
    assert!(kept.chars().all(|char| char == 'ß') && cut.ends_with(" bytes)"));
    assert_eq!(records[2].field("n").unwrap().text(), "…");
}

/// After `init` and after the end, also in a second life of the engine.
/// Key-values that survive a panic of what shows one of them.
struct Survives;

impl log::kv::Source for Survives {
    fn visit<'kvs>(&'kvs self, visitor: &mut dyn log::kv::VisitSource<'kvs>) -> Result<(), log::kv::Error> {
        let panics = log::kv::Value::from_debug(&Halfway);
        let shown = std::panic::AssertUnwindSafe(|| visitor.visit_pair("halfway".into(), panics));
        let _ = std::panic::catch_unwind(shown);
        Ok(())
    }
}

#[derive(Debug)]
struct Value;

/// Writes seven bytes, which are no whole word, and panics.
struct Halfway;

impl std::fmt::Debug for Halfway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("seven b")?;
        std::panic::resume_unwind(Box::new(Value))
    }
}

#[test]
fn what_a_panic_left_behind_is_a_text_of_whole_words_and_harms_no_other_record() {
    let (_turn, guard, capture) = engine("info");
    for n in 0..300 {
        info!("before {n}");
        let record = log::Record::builder()
            .level(log::Level::Info)
            .target("halfway")
            .key_values(&Survives)
            .args(format_args!("survives"))
            .build();
        log::logger().log(&record);
    }
    let records = records(&guard, &capture);
    assert_eq!(records.len(), 600);
    for (n, pair) in records.chunks(2).enumerate() {
        assert_eq!((pair[0].message(), pair[1].message()), (&*format!("before {n}"), "survives"));
        assert_eq!(pair[1].field("halfway").unwrap().as_str(), Some("seven b"));
    }
}

#[test]
fn it_is_installed_once_and_follows_the_engine_that_runs() {
    for round in 0..2 {
        let (_turn, guard, capture) = engine("info");
        info!("round {round}");
        assert_eq!(records(&guard, &capture)[0].message(), format!("round {round}"));
        info!("late");
        let report = guard.stop(SOON).unwrap();
        report.assert_balanced();
        assert_eq!(report.late, 1);
    }
}
