//! A caller that waits for room is woken by room, and by the end of the engine (I12): nothing times out.

#![cfg(treering_loom)]

use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use treering::Overflow;
use treering::internals::{Engine, Fate, Wait, WaitingRoom};
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

#[test]
fn each_who_waits_for_room_is_woken_for_what_it_needs() {
    model("each_who_waits_for_room_is_woken_for_what_it_needs", [2, 3], || {
        let (room, made) = (WaitingRoom::new(), flags());
        let waiting = [0, 1].map(|own| {
            let (room, made) = (room.clone(), made.clone());
            thread::spawn(move || room.wait(|| made[own].load(Ordering::Relaxed)))
        });
        for made in &*made {
            made.store(true, Ordering::Release);
            room.announce();
        }
        waiting.into_iter().for_each(|waiting| waiting.join().unwrap());
    });
}

#[test]
fn who_waits_for_room_misses_no_wake_that_comes_with_another_one() {
    model("who_waits_for_room_misses_no_wake_that_comes_with_another_one", [2, 3], || {
        let (room, made) = (WaitingRoom::new(), flags());
        let waking = [WaitingRoom::announce, WaitingRoom::close];
        let waking = [0, 1].map(|own| {
            let (room, made, wake) = (room.clone(), made.clone(), waking[own]);
            thread::spawn(move || {
                made[own].store(true, Ordering::Relaxed);
                wake(&room);
            })
        });
        room.wait(|| made.iter().all(|made| made.load(Ordering::Relaxed)));
        waking.into_iter().for_each(|waking| waking.join().unwrap());
    });
}

/// What there is to wait for.
fn flags() -> Arc<[AtomicBool; 2]> {
    Arc::new([AtomicBool::new(false), AtomicBool::new(false)])
}

#[test]
fn callers_that_wait_for_room_in_the_ring_they_share_all_go_on() {
    model("callers_that_wait_for_room_in_the_ring_they_share_all_go_on", [1, 1], || {
        // No thread has a ring of its own. Four records fill the one they share, and room is made for two at a time.
        let (engine, mut listening) = Engine::with_policy(16, 0, Wait::Adaptive, Overflow::block_forever());
        let [mut first, mut second] = [1, 2].map(|thread| engine.caller(thread));
        (1..=2).for_each(|number| _ = (first.log(number), second.log(number)));
        let logging = [
            thread::spawn(move || (3..=4).for_each(|number| _ = first.log(number))),
            thread::spawn(move || _ = second.log(3)),
        ];
        listening.run_until_written(&engine, 7);
        logging.into_iter().for_each(|logging| logging.join().unwrap());
        assert_settled(&engine.settle(listening), 7, &engine.written());
    });
}
