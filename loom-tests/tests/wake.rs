//! No wake-up is lost (I5): nobody stops, nothing times out, and still every record is written.

#![cfg(treering_loom)]

use loom::thread;
use treering::internals::{Engine, Wait};
use treering_loom_tests::{ALL, assert_settled, model};

#[test]
fn a_parked_listener_writes_what_is_logged() {
    model("a_parked_listener_writes_what_is_logged", [4, 5], || a_parked_listener(Wait::Adaptive));
}

#[test]
fn a_listener_that_lets_its_producers_fence_writes_what_is_logged() {
    model("a_listener_that_lets_its_producers_fence_writes_what_is_logged", [3, 4], || {
        a_parked_listener(Wait::Park)
    });
}

fn a_parked_listener(wait: Wait) {
    let (engine, mut listening) = Engine::new(16, 2, wait);
    let mut caller = engine.caller(1);
    caller.register();
    listening.turn(); // it knows the ring
    let logging = thread::spawn(move || {
        caller.log(1);
        caller.log(2);
    });
    listening.run_until_written(&engine, 2);
    logging.join().unwrap();
    assert_settled(&engine.settle(listening), 2, &engine.written());
}

#[test]
fn a_parked_listener_notices_threads_that_log_for_the_first_time() {
    model("a_parked_listener_notices_threads_that_log_for_the_first_time", [2, 3], || {
        let (engine, mut listening) = Engine::new(16, 2, Wait::Adaptive);
        let logging = [1, 2].map(|thread| {
            let mut caller = engine.caller(thread);
            thread::spawn(move || _ = caller.log(1))
        });
        listening.run_until_written(&engine, 2);
        logging.into_iter().for_each(|logging| logging.join().unwrap());
        assert_settled(&engine.settle(listening), 2, &engine.written());
    });
}

#[test]
fn a_listener_does_not_park_through_its_stop() {
    model("a_listener_does_not_park_through_its_stop", [ALL, ALL], || {
        let (engine, mut listening) = Engine::new(16, 2, Wait::Adaptive);
        let stopping = {
            let engine = engine.clone();
            thread::spawn(move || engine.stop())
        };
        listening.run();
        stopping.join().unwrap();
        assert_settled(&engine.settle(listening), 0, &[]);
    });
}

#[test]
fn what_a_handler_holds_leaves_before_the_listener_parks() {
    model("what_a_handler_holds_leaves_before_the_listener_parks", [2, 4], || {
        let (engine, mut listening) = Engine::new(16, 2, Wait::Adaptive);
        let mut caller = engine.caller(1);
        caller.register();
        let logging = {
            let engine = engine.clone();
            thread::spawn(move || {
                caller.log(1);
                while engine.flushed().is_empty() {
                    thread::yield_now(); // for ever, if the listener sleeps: loom ends that
                }
                engine.close();
            })
        };
        listening.run();
        logging.join().unwrap();
        assert_settled(&engine.settle(listening), 1, &engine.written());
    });
}
