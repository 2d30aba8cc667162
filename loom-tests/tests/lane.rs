//! What is in a lane is handed out as what is in a ring: before a flush that was asked for later, and before a stop returns.

#![cfg(treering_loom)]

use std::time::Duration;

use loom::thread;
use treering::handler::LaneOptions;
use treering::internals::{Engine, Wait};
use treering_loom_tests::{assert_settled, model};

#[test]
fn a_flush_brings_out_what_is_in_a_lane() {
    model("a_flush_brings_out_what_is_in_a_lane", [2, 3], || {
        let (engine, mut listening, lane) = Engine::with_lane(16, 2, Wait::Adaptive, LaneOptions::new());
        let mut caller = engine.caller(1);
        caller.register();
        caller.log(1);
        let on_lane = thread::spawn(move || lane.run());
        let flushing = {
            let engine = engine.clone();
            thread::spawn(move || {
                engine.flush();
                assert_eq!(engine.flushed(), [(1, 1)]);
                engine.close();
            })
        };
        listening.run();
        flushing.join().unwrap();
        on_lane.join().unwrap();
        assert_settled(&engine.settle(listening), 1, &engine.written());
    });
}

#[test]
fn what_is_in_a_lane_is_written_when_stop_returns() {
    model("what_is_in_a_lane_is_written_when_stop_returns", [2, 3], || {
        let (engine, mut listening, lane) = Engine::with_lane(16, 2, Wait::Adaptive, LaneOptions::new());
        let mut caller = engine.caller(1);
        caller.register();
        let on_lane = thread::spawn(move || lane.run());
        let stopping = {
            let engine = engine.clone();
            thread::spawn(move || {
                caller.log(1);
                engine.stop();
                assert_eq!(engine.flushed(), [(1, 1)]);
                assert!(engine.has_dropped(), "files and sockets are closed");
            })
        };
        listening.run();
        stopping.join().unwrap();
        on_lane.join().unwrap();
        assert_settled(&engine.settle(listening), 1, &engine.written());
    });
}

#[test]
fn a_lane_hands_out_what_is_put_in_though_nobody_flushes() {
    model("a_lane_hands_out_what_is_put_in_though_nobody_flushes", [2, 4], || {
        let (engine, mut listening, lane) = Engine::with_lane(16, 2, Wait::Adaptive, LaneOptions::new());
        let mut caller = engine.caller(1);
        caller.register();
        let on_lane = thread::spawn(move || lane.run());
        for number in 1..=2 {
            caller.log(number);
            listening.turn();
        }
        while engine.written().len() < 2 {
            thread::yield_now(); // for ever, if the lane sleeps: loom ends that
        }
        engine.close();
        listening.run();
        on_lane.join().unwrap();
        assert_settled(&engine.settle(listening), 2, &engine.written());
    });
}

#[test]
fn a_listener_that_waits_for_room_in_a_lane_goes_on_when_there_is_some() {
    model("a_listener_that_waits_for_room_in_a_lane_goes_on_when_there_is_some", [2, 5], || {
        // Room for one record.
        let options = LaneOptions::new().capacity(1).wait_for_room(Duration::MAX);
        let (engine, mut listening, lane) = Engine::with_lane(16, 2, Wait::Adaptive, options);
        let mut caller = engine.caller(1);
        caller.register();
        (1..=2).for_each(|number| _ = caller.log(number));
        let on_lane = thread::spawn(move || lane.run());
        engine.close();
        listening.run();
        on_lane.join().unwrap();
        assert_settled(&engine.settle(listening), 2, &engine.written());
    });
}

#[test]
fn a_flush_that_a_lane_did_not_make_is_not_answered_though_a_stop_gives_up() {
    model("a_flush_that_a_lane_did_not_make_is_not_answered_though_a_stop_gives_up", [2, 2], || {
        let (engine, mut listening, lane) = Engine::with_lane(16, 2, Wait::Adaptive, LaneOptions::new());
        let mut caller = engine.caller(1);
        caller.register();
        caller.log(1);
        let ticket = engine.ask_for_flush();
        listening.turn(); // the record is in the lane, and the flush behind it
        caller.log(2); // what the last turn is for
        let on_lane = thread::spawn(move || lane.run());
        let stopping = {
            let engine = engine.clone();
            thread::spawn(move || {
                engine.close();
                engine.give_up();
            })
        };
        listening.run();
        stopping.join().unwrap();
        on_lane.join().unwrap();
        assert!(!engine.has_done(ticket) || engine.flushed().starts_with(&[(1, 1)]));
        let report = engine.settle(listening);
        report.assert_balanced();
        let writer = &report.handlers["writer"];
        assert_eq!(writer.delivered + writer.in_flight, engine.written().len() as u64, "{report}");
    });
}
