//! A caller that waits for room is woken by room, and by the end of the engine (I12): nothing times out.

#![cfg(treering_loom)]

use loom::thread;
use treering::Overflow;
use treering::internals::{Engine, Fate, Wait};
use treering_loom_tests::{ALL, assert_settled, model};

#[test]
fn a_caller_that_waits_for_room_goes_on_when_there_is_some() {
    model("a_caller_that_waits_for_room_goes_on_when_there_is_some", [3, 4], || {
        // Two records fill the ring.
        let (engine, mut listening) = Engine::with_policy(8, 1, Wait::Adaptive, Overflow::block_forever());
        let mut caller = engine.caller(1);
        caller.register();
        caller.log(1);
        caller.log(2);
        let logging = thread::spawn(move || caller.log(3));
        listening.run_until_written(&engine, 3);
        assert!(matches!(logging.join().unwrap(), Fate::Taken { .. }));
        assert_settled(&engine.settle(listening), 3, &engine.written());
    });
}

#[test]
fn a_caller_that_waits_where_others_drop_the_oldest_goes_on_when_there_is_room() {
    model("a_caller_that_waits_where_others_drop_the_oldest_goes_on_when_there_is_room", [2, 5], || {
        let (engine, mut listening) = Engine::with_both(8, 1, Wait::Adaptive);
        let mut caller = engine.caller(1);
        caller.register();
        caller.log(1);
        caller.log(2);
        let logging = thread::spawn(move || caller.log(3));
        listening.run_until_written(&engine, 3);
        assert!(matches!(logging.join().unwrap(), Fate::Taken { .. }));
        assert_settled(&engine.settle(listening), 3, &engine.written());
    });
}

#[test]
fn a_caller_that_waits_for_room_is_released_by_a_stop() {
    model("a_caller_that_waits_for_room_is_released_by_a_stop", [ALL, ALL], || {
        let (engine, mut listening) = Engine::with_policy(8, 1, Wait::Adaptive, Overflow::block_forever());
        let mut caller = engine.caller(1);
        caller.register();
        caller.log(1);
        caller.log(2);
        let logging = thread::spawn(move || caller.log(3));
        // Nobody makes room before the caller is back.
        engine.close();
        assert_eq!(logging.join().unwrap(), Fate::Late);
        listening.run();
        let report = engine.settle(listening);
        assert_settled(&report, 3, &engine.written());
        assert_eq!(report.late, 1);
    });
}
