//! Stop drains (I1, I4, I10), and what races with it is late by position.

#![cfg(treering_loom)]

use loom::thread;
use treering::internals::{Engine, Fate, Wait};
use treering_loom_tests::{ALL, assert_settled, model};

#[test]
fn what_was_logged_before_stop_is_written_when_it_returns() {
    model("what_was_logged_before_stop_is_written_when_it_returns", [3, 4], || {
        let (engine, mut listening) = Engine::new(16, 2, Wait::Adaptive);
        let stopping = {
            let engine = engine.clone();
            thread::spawn(move || {
                let mut caller = engine.caller(1);
                assert!(matches!(caller.log(1), Fate::Taken { .. }));
                assert!(matches!(caller.log(2), Fate::Taken { .. }));
                engine.stop();
                assert_eq!(engine.flushed(), [(1, 1), (1, 2)]);
                assert!(engine.has_dropped(), "files and sockets are closed");
                assert_eq!(caller.log(3), Fate::Late);
            })
        };
        listening.run();
        stopping.join().unwrap();
        let report = engine.settle(listening);
        assert_settled(&report, 3, &engine.written());
        assert_eq!(report.late, 1);
    });
}

#[test]
fn a_record_that_races_with_stop_is_written_or_late_by_its_position() {
    model("a_record_that_races_with_stop_is_written_or_late_by_its_position", [2, 3], || {
        let (engine, mut listening) = Engine::new(16, 2, Wait::Adaptive);
        let mut caller = engine.caller(1);
        caller.register();
        let racing = thread::spawn(move || caller.log(1));
        let stopping = {
            let engine = engine.clone();
            thread::spawn(move || engine.stop())
        };
        listening.run();
        stopping.join().unwrap();
        let fate = racing.join().unwrap();
        let written = engine.written();
        let report = engine.settle(listening);
        assert_settled(&report, 1, &written);
        assert_eq!(report.late + report.dispatched, 1);
        match fate {
            // Its thread saw the engine open after the commit: the last tail was read later.
            Fate::Taken { before_close: true } => assert_eq!(written, [(1, 1)]),
            Fate::Taken { before_close: false } => {}
            Fate::Late => assert_eq!(written, []),
            Fate::Dropped => panic!("the ring was empty"),
        }
    });
}

#[test]
fn two_stops_at_once_both_return_after_the_drain() {
    model("two_stops_at_once_both_return_after_the_drain", [2, 3], || {
        let (engine, mut listening) = Engine::new(16, 2, Wait::Adaptive);
        let mut caller = engine.caller(1);
        caller.log(1);
        let stops = [1, 2].map(|_| {
            let engine = engine.clone();
            thread::spawn(move || {
                engine.stop();
                assert_eq!(engine.flushed(), [(1, 1)]);
            })
        });
        listening.run();
        stops.into_iter().for_each(|stop| stop.join().unwrap());
        assert_settled(&engine.settle(listening), 1, &engine.written());
    });
}

#[test]
fn each_call_after_a_stop_is_counted() {
    model("each_call_after_a_stop_is_counted", [ALL, ALL], || {
        let (engine, mut listening) = Engine::new(16, 2, Wait::Adaptive);
        engine.close();
        listening.run();
        let logging = [1, 2].map(|thread| {
            let mut caller = engine.caller(thread);
            thread::spawn(move || assert_eq!(caller.log(1), Fate::Late))
        });
        logging.into_iter().for_each(|logging| logging.join().unwrap());
        let report = engine.settle(listening);
        assert_settled(&report, 2, &[]);
        assert_eq!(report.late, 2);
    });
}
