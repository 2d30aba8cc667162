//! Rings come and go while the listener drains: registration against stop (I6), thread exit and reuse (I7).

#![cfg(treering_loom)]

use loom::thread;
use treering::internals::{Engine, Fate, Wait};
use treering_loom_tests::{assert_settled, model};

#[test]
fn a_ring_that_is_registered_while_the_engine_stops_is_drained_or_refused() {
    model("a_ring_that_is_registered_while_the_engine_stops_is_drained_or_refused", 3, || {
        let (engine, mut listening) = Engine::new(16, 2, Wait::Adaptive);
        let mut caller = engine.caller(1);
        let registering = thread::spawn(move || caller.log(1));
        let stopping = {
            let engine = engine.clone();
            thread::spawn(move || engine.stop())
        };
        listening.run();
        stopping.join().unwrap();
        let fate = registering.join().unwrap();
        let written = engine.written();
        assert_settled(&engine.settle(listening), 1, &written);
        if fate == (Fate::Taken { before_close: true }) {
            assert_eq!(written, [(1, 1)]);
        }
    });
}

#[test]
fn what_a_thread_logged_before_its_end_is_written() {
    model("what_a_thread_logged_before_its_end_is_written", 3, || {
        let (engine, mut listening) = Engine::new(16, 1, Wait::Adaptive);
        let mut caller = engine.caller(1);
        let ending = {
            let engine = engine.clone();
            thread::spawn(move || {
                caller.log(1);
                caller.leave();
                engine.stop();
            })
        };
        listening.run();
        ending.join().unwrap();
        let written = engine.written();
        assert_eq!(written, [(1, 1)]);
        assert_settled(&engine.settle(listening), 1, &written);
    });
}

#[test]
fn a_ring_goes_to_the_next_thread_only_when_it_is_drained() {
    model("a_ring_goes_to_the_next_thread_only_when_it_is_drained", 2, || {
        // One ring: the second thread gets the first one's, or a place in the one that is shared.
        let (engine, mut listening) = Engine::new(16, 1, Wait::Adaptive);
        let (mut first, mut second) = (engine.caller(1), engine.caller(2));
        first.register();
        let ending = thread::spawn(move || {
            first.log(1);
            first.leave();
        });
        let following = {
            let engine = engine.clone();
            thread::spawn(move || {
                second.log(1);
                engine.flush();
                assert!(engine.flushed().contains(&(2, 1)), "under its own name");
                second.leave();
            })
        };
        listening.run_until_written(&engine, 2);
        // The flush may have to be answered yet, and what left to be reclaimed.
        let stopping = {
            let engine = engine.clone();
            thread::spawn(move || {
                following.join().unwrap();
                engine.stop();
            })
        };
        listening.run();
        ending.join().unwrap();
        stopping.join().unwrap();
        assert_settled(&engine.settle(listening), 2, &engine.written());
    });
}
