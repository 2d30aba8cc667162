//! What is in a lane is handed out as what is in a ring: before a flush that was asked for later, and before a stop returns.

#![cfg(treering_loom)]

use loom::thread;
use treering::internals::{Engine, Wait};
use treering_loom_tests::{assert_settled, model};

#[test]
fn a_flush_brings_out_what_is_in_a_lane() {
    model("a_flush_brings_out_what_is_in_a_lane", 2, || {
        let (engine, mut listening, lane) = Engine::with_lane(16, 2, Wait::Adaptive);
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
    model("what_is_in_a_lane_is_written_when_stop_returns", 2, || {
        let (engine, mut listening, lane) = Engine::with_lane(16, 2, Wait::Adaptive);
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
