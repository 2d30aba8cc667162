//! Rings come and go while the listener drains: registration against stop (I6), thread exit and reuse (I7).

#![cfg(treering_loom)]

use loom::thread;
use treering::internals::{Engine, Fate, Wait};
use treering_loom_tests::{ALL, assert_settled, model};

#[test]
fn a_ring_that_is_registered_while_the_engine_stops_is_drained_or_refused() {
    model("a_ring_that_is_registered_while_the_engine_stops_is_drained_or_refused", [2, 3], || {
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
    model("what_a_thread_logged_before_its_end_is_written", [2, 3], || {
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
    model("a_ring_goes_to_the_next_thread_only_when_it_is_drained", [2, 2], || {
        // One ring: the second thread gets the first one's, or a place in the one that is shared.
        let (engine, mut listening) = Engine::new(16, 1, Wait::Adaptive);
        let (mut first, mut second) = (engine.caller(1), engine.caller(2));
        first.register();
        let ending = thread::spawn(move || {
            first.log(1);
            first.leave();
        });
        let following = thread::spawn(move || _ = second.log(1));
        listening.run_until_written(&engine, 2);
        ending.join().unwrap();
        following.join().unwrap();
        let mut written = engine.written();
        assert_settled(&engine.settle(listening), 2, &written);
        written.sort_unstable();
        assert_eq!(written, [(1, 1), (2, 1)], "each under the name of its thread");
    });
}

#[test]
fn a_ring_that_was_left_waits_for_its_next_thread_though_nobody_logs() {
    model("a_ring_that_was_left_waits_for_its_next_thread_though_nobody_logs", [3, 5], || {
        let (engine, mut listening) = Engine::new(16, 1, Wait::Adaptive);
        let (mut first, mut second) = (engine.caller(1), engine.caller(2));
        first.register();
        let ending = thread::spawn(move || {
            first.log(1);
            first.leave();
        });
        listening.run_until_reclaimed(&engine);
        ending.join().unwrap();
        second.register();
        assert_eq!(second.ring(), Some(0));
        assert_settled(&engine.settle(listening), 1, &engine.written());
    });
}

#[test]
fn what_a_thread_lost_before_its_end_is_told_under_its_name() {
    model("what_a_thread_lost_before_its_end_is_told_under_its_name", [2, 3], || {
        // Five records fill the ring.
        let (engine, mut listening) = Engine::new(16, 1, Wait::Adaptive);
        let (mut first, mut second) = (engine.caller(1), engine.caller(2));
        (1..=5).for_each(|number| _ = first.log(number));
        let ending = thread::spawn(move || {
            let fate = first.log(6);
            first.leave();
            u64::from(fate == Fate::Dropped)
        });
        listening.run_until_reclaimed(&engine);
        let dropped = ending.join().unwrap();
        second.log(1);
        assert_eq!(second.ring(), Some(0));
        engine.close();
        listening.run();
        let losses = engine.losses();
        assert!(losses.iter().all(|told| told.thread == 1), "{losses:?}");
        assert_eq!(engine.told_lost(), dropped);
        assert_settled(&engine.settle(listening), 7, &engine.written());
    });
}

#[test]
fn after_a_stop_no_ring_is_given_to_anyone() {
    model("after_a_stop_no_ring_is_given_to_anyone", [ALL, ALL], || {
        let (engine, mut listening) = Engine::new(16, 1, Wait::Adaptive);
        let (mut first, mut second) = (engine.caller(1), engine.caller(2));
        first.register();
        first.leave();
        listening.run_until_reclaimed(&engine);
        let stopping = {
            let engine = engine.clone();
            thread::spawn(move || {
                engine.stop();
                second.register();
                assert!(second.is_refused());
            })
        };
        listening.run();
        stopping.join().unwrap();
        assert_settled(&engine.settle(listening), 0, &[]);
    });
}

#[test]
fn a_ring_that_was_taken_and_left_within_a_turn_is_drained() {
    model("a_ring_that_was_taken_and_left_within_a_turn_is_drained", [2, 3], || {
        let (engine, mut listening) = Engine::new(16, 1, Wait::Adaptive);
        let [mut first, mut second] = [1, 2].map(|thread| engine.caller(thread));
        first.register();
        first.leave();
        listening.run_until_reclaimed(&engine);
        // The listener that looks at the tails, and then for rings that were left, saw this one left before.
        let passing = thread::spawn(move || {
            second.log(1);
            second.leave();
        });
        listening.run_until_written(&engine, 1);
        passing.join().unwrap();
        assert_settled(&engine.settle(listening), 1, &engine.written());
    });
}

#[test]
fn threads_that_come_at_once_get_no_more_rings_than_there_may_be() {
    model("threads_that_come_at_once_get_no_more_rings_than_there_may_be", [2, 4], || {
        first_calls_at_once(1);
    });
}

#[test]
fn threads_that_come_at_once_share_one_ring() {
    model("threads_that_come_at_once_share_one_ring", [2, 4], || first_calls_at_once(0));
}

/// `rings_max`: of threads' own; the others share one.
fn first_calls_at_once(rings_max: usize) {
    let (engine, mut listening) = Engine::new(16, rings_max, Wait::Adaptive);
    let logging = [1, 2].map(|thread| {
        let mut caller = engine.caller(thread);
        thread::spawn(move || {
            caller.log(1);
            caller.ring().is_some()
        })
    });
    let has_own = logging.map(|logging| logging.join().unwrap());
    assert_eq!(has_own.into_iter().filter(|has_own| *has_own).count(), rings_max);
    listening.turn();
    let report = engine.settle(listening);
    assert_settled(&report, 2, &engine.written());
    assert_eq!(report.rings, rings_max as u64 + 1);
}
