//! Handlers that are replaced (I9), that panic (I2, I3), and what becomes of them (I14): loom fails a model that leaks.

#![cfg(treering_loom)]

use loom::thread;
use treering::internals::{Engine, Wait};
use treering_loom_tests::{assert_settled, model};

#[test]
fn a_handler_gets_what_was_logged_before_it_was_replaced_and_the_next_one_the_rest() {
    model("a_handler_gets_what_was_logged_before_it_was_replaced_and_the_next_one_the_rest", [2, 3], || {
        let (engine, mut listening) = Engine::new(16, 2, Wait::Adaptive);
        let mut caller = engine.caller(1);
        caller.register();
        let changing = {
            let engine = engine.clone();
            thread::spawn(move || {
                caller.log(1);
                let after = engine.replace_handler();
                assert_eq!(engine.flushed(), [(1, 1)]);
                assert!(engine.has_dropped());
                caller.log(2);
                engine.stop();
                after
            })
        };
        listening.run();
        let after = changing.join().unwrap();
        assert_eq!(after.flushed(), [(1, 2)]);
        assert_settled(&engine.settle(listening), 2, &[(1, 1), (1, 2)]);
    });
}

#[test]
fn a_record_that_races_with_a_change_goes_to_one_of_both_handlers() {
    model("a_record_that_races_with_a_change_goes_to_one_of_both_handlers", [2, 3], || {
        let (engine, mut listening) = Engine::new(16, 2, Wait::Adaptive);
        let mut caller = engine.caller(1);
        caller.register();
        let logging = thread::spawn(move || _ = caller.log(1));
        let changing = {
            let engine = engine.clone();
            thread::spawn(move || engine.replace_handler())
        };
        listening.run_until_flushed(1);
        let after = changing.join().unwrap();
        logging.join().unwrap();
        engine.close();
        listening.run();
        assert_settled(&engine.settle(listening), 1, &[engine.written(), after.written()].concat());
    });
}

#[test]
fn a_change_waits_for_a_round_that_knew_of_it() {
    model("a_change_waits_for_a_round_that_knew_of_it", [1, 2], || {
        let (engine, mut listening) = Engine::new(16, 2, Wait::Adaptive);
        let mut caller = engine.caller(1);
        caller.register();
        // There is a round for it, in which the change may be asked for.
        let flushing = {
            let engine = engine.clone();
            thread::spawn(move || engine.flush())
        };
        let changing = {
            let engine = engine.clone();
            thread::spawn(move || {
                caller.log(1);
                engine.replace_handler();
                assert_eq!(engine.flushed(), [(1, 1)]);
            })
        };
        listening.run_until_flushed(2);
        flushing.join().unwrap();
        changing.join().unwrap();
        engine.close();
        listening.run();
        assert_settled(&engine.settle(listening), 1, &engine.written());
    });
}

#[test]
fn what_a_handler_panics_at_has_failed_and_the_rest_comes_out_once_and_in_order() {
    model("what_a_handler_panics_at_has_failed_and_the_rest_comes_out_once_and_in_order", [2, 3], || {
        let (engine, mut listening) = Engine::new(16, 2, Wait::Adaptive);
        engine.panic_at(2);
        let mut caller = engine.caller(1);
        caller.register();
        let logging = {
            let engine = engine.clone();
            thread::spawn(move || {
                (1..=3).for_each(|number| _ = caller.log(number));
                engine.stop();
            })
        };
        listening.run();
        logging.join().unwrap();
        let report = engine.settle(listening);
        report.assert_balanced();
        assert_eq!(engine.flushed(), [(1, 1), (1, 3)]);
        let writer = &report.handlers["writer"];
        assert_eq!((report.dispatched, writer.delivered, writer.failed), (3, 2, 1));
    });
}
