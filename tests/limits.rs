//! Limits at a call: what passes, what is suppressed, and that both are told and counted to the last call.

mod support;

use std::cell::Cell;
use std::time::Duration;

use support::{SOON, capturing};
use treering::handler::{Capture, Captured};
use treering::{Level, Logger, error, info, log, warn};

/// An hour, so that no window ends during a test.
const LONG_WINDOW: Duration = Duration::from_secs(3600);

fn number(record: &Captured, field: &str) -> u64 {
    record.field(field).and_then(treering::handler::CapturedValue::as_u64).unwrap()
}

/// The records of `calls` and what the end of the engine said of limits.
fn records(calls: impl FnOnce(&Logger)) -> (Vec<Captured>, Vec<Captured>) {
    let (logger, guard, capture) = capturing();
    calls(&logger);
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless(), "{report:#?}");
    let (told, records): (Vec<_>, Vec<_>) =
        capture.records().into_iter().partition(|record| record.target() == "treering::limit");
    assert_eq!(report.submitted, records.len() as u64, "what was suppressed was never submitted");
    (records, told)
}

#[test]
fn one_of_so_many_passes_and_says_how_many_did_not() {
    let (records, told) = records(|logger| {
        for n in 0..250 {
            info!(logger: logger, every: 100, n, "call {}", n);
        }
    });
    let seen: Vec<_> =
        records.iter().map(|record| (number(record, "n"), number(record, "suppressed"))).collect();
    assert_eq!(seen, [(0, 0), (100, 99), (200, 99)]);
    assert_eq!(records[1].message(), "call 100");
    let names: Vec<_> = records[0].fields().iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["n", "suppressed"]);
    // What no record could tell of any more.
    assert_eq!(told.len(), 1);
    assert_eq!(number(&told[0], "suppressed"), 49);
    assert_eq!(told[0].field("file").unwrap().as_str(), Some(file!()));
    assert_eq!(number(&told[0], "line"), u64::from(records[0].line()));
    let expected = format!("49 more calls were suppressed by the limit at {}:{}", file!(), records[0].line());
    assert_eq!(told[0].message(), expected);
}

#[test]
fn once_is_once_and_the_end_says_how_often_it_would_have_been() {
    let (records, told) = records(|logger| {
        for n in 0..7 {
            warn!(logger: logger, once: true, "at {n}");
        }
        for n in 0..2 {
            warn!(logger: logger, once: false, "always {n}");
        }
    });
    let messages: Vec<_> = records.iter().map(Captured::message).collect();
    assert_eq!(messages, ["at 0", "always 0", "always 1"]);
    assert!(records[0].fields().is_empty(), "nothing was suppressed before the first call");
    assert_eq!(told.iter().map(|record| number(record, "suppressed")).collect::<Vec<_>>(), [6]);
}

#[test]
fn so_many_pass_in_a_window_and_the_next_window_says_how_many_did_not() {
    const SHORT: Duration = Duration::from_millis(30);
    let (records, told) = records(|logger| {
        for n in 0..10 {
            info!(logger: logger, at_most: (3, LONG_WINDOW), n);
        }
        let shorts = |n: u32| info!(logger: logger, at_most: (2, SHORT), n, "short");
        // Only the first call's window is sure to be open: this thread may not run for long.
        (0..100).for_each(shorts);
        std::thread::sleep(2 * SHORT);
        shorts(100);
    });
    let (shorts, longs): (Vec<_>, Vec<_>) = records.iter().partition(|record| record.message() == "short");
    assert_eq!(longs.iter().map(|record| number(record, "n")).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(longs.iter().all(|record| number(record, "suppressed") == 0));
    assert_eq!(told.iter().map(|record| number(record, "suppressed")).collect::<Vec<_>>(), [7]);
    let last = shorts.last().unwrap();
    assert_eq!(number(last, "n"), 100, "a new window opened");
    let suppressed: u64 = shorts.iter().map(|record| number(record, "suppressed")).sum();
    assert_eq!(suppressed + shorts.len() as u64, 101, "{shorts:#?}");
    assert!(suppressed > 0);
}

#[test]
fn a_sample_is_about_its_share_and_adds_up_to_all_calls() {
    const CALLS: u64 = 20_000;
    let (records, told) = records(|logger| {
        for _ in 0..CALLS {
            info!(logger: logger, sample: 0.1, "sampled");
        }
        for _ in 0..10 {
            info!(logger: logger, sample: 1.0, "all");
        }
    });
    let (all, sampled): (Vec<_>, Vec<_>) = records.iter().partition(|record| record.message() == "all");
    assert_eq!(all.len(), 10);
    // Ten standard deviations of 42.4.
    assert!((1_576..=2_424).contains(&sampled.len()), "{}", sampled.len());
    let suppressed =
        |records: &[&Captured]| records.iter().map(|record| number(record, "suppressed")).sum::<u64>();
    let rest = told.iter().map(|record| number(record, "suppressed")).sum::<u64>();
    assert_eq!(suppressed(&sampled) + rest + sampled.len() as u64, CALLS);
}

#[test]
fn what_is_suppressed_is_not_evaluated() {
    let evaluated = Cell::new(0);
    let count = || {
        evaluated.set(evaluated.get() + 1);
        evaluated.get()
    };
    records(|logger| {
        for _ in 0..10 {
            info!(logger: logger, every: 5, n = count(), "{}", count());
        }
    });
    assert_eq!(evaluated.get(), 4);
}

/// Keys in any order, expressions and constants, no fields, other levels, a target, eager messages.
#[test]
fn limits_stand_beside_everything_else_that_a_call_may_have() {
    const EACH: u64 = 2;
    const WINDOW: (u32, Duration) = (1, LONG_WINDOW);
    let (records, _) = records(|logger| {
        for price in [1.5, 2.5] {
            info!(every: EACH, logger: logger, target: "risk", order.total = price * 2.0, "sampled");
            error!(at_most: WINDOW, logger: logger, "{price:>5.2}");
            log!(Level::Debug, logger: logger, once: !false, price);
            log!(Level::Warn, logger: logger, once: true, price);
            info!(logger: logger, every: 1 + 1, ?price, %price, concat!("eager ", "{}"), price);
        }
    });
    assert_eq!(records.len(), 4, "{records:#?}");
    assert_eq!((records[0].target(), records[0].message()), ("risk", "sampled"));
    assert_eq!(records[0].field("order.total").unwrap().as_f64(), Some(3.0));
    assert_eq!((records[1].level(), records[1].message()), (Level::Error, " 1.50"));
    assert_eq!(records[2].field("price").unwrap().as_f64(), Some(1.5));
    assert_eq!(records[3].message(), "eager 1.5");
    assert_eq!(records[3].fields().len(), 3);
}

#[test]
fn threads_together_keep_to_the_limit_and_the_sum_is_exact() {
    const THREADS: u64 = 4;
    const CALLS: u64 = 1_000_000; // or the threads hardly meet
    let (records, told) = records(|logger| {
        let every = || info!(logger: logger, every: 40_000, "every");
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for _ in 0..CALLS {
                        every();
                        info!(logger: logger, at_most: (50, LONG_WINDOW), "at most");
                        info!(logger: logger, once: true, "once");
                    }
                });
            }
        });
        every(); // passes, if none of the others was forgotten
    });
    let sum = |message: &str| {
        let mine = records.iter().filter(|record| record.message() == message);
        let told = |record: &Captured| record.field("suppressed").map_or(0, |_| number(record, "suppressed"));
        (mine.clone().count() as u64, mine.map(told).sum::<u64>())
    };
    let rest: u64 = told.iter().map(|record| number(record, "suppressed")).sum();
    let (every, at_most, once) = (sum("every"), sum("at most"), sum("once"));
    assert_eq!((every.0, at_most.0, once.0), (THREADS * CALLS / 40_000 + 1, 50, 1));
    let all = every.0 + every.1 + at_most.0 + at_most.1 + once.0 + once.1 + rest;
    assert_eq!(all, 3 * THREADS * CALLS + 1, "each call is a record, or told of once");
}

/// A limit is the callsite's. Calls that an engine's filter refuses are none of its business.
#[test]
fn several_engines_share_a_limit_but_those_that_do_not_listen_do_not_use_it_up() {
    let quiet = Capture::new();
    let (deaf, deaf_guard) = treering::builder().filter("off").handler(quiet.clone()).start().unwrap();
    let (loud, loud_guard, capture) = capturing();
    let (other, other_guard, other_capture) = capturing();
    let call = |logger: &Logger, n: u32| info!(logger: logger, once: true, "at {n}");
    call(&deaf, 0); // before the callsite has an id
    call(&loud, 1);
    call(&deaf, 2);
    call(&other, 3);
    call(&loud, 4);
    call(&other, 5);
    loud_guard.stop(SOON).unwrap().assert_balanced();
    other_guard.stop(SOON).unwrap().assert_balanced();
    deaf_guard.stop(SOON).unwrap().assert_balanced();
    assert!(quiet.is_empty());
    let said =
        |capture: &Capture| capture.records().iter().map(|r| r.message().to_owned()).collect::<Vec<_>>();
    assert_eq!(said(&capture), ["at 1"]);
    let rest = said(&other_capture);
    assert_eq!(rest.len(), 1, "the engine whose call was kept back last tells of all: {rest:?}");
    assert!(rest[0].starts_with("3 more calls were suppressed"), "{rest:?}");
}
