//! A cause is written before its effect (causal order), and each thread's records in the order it logged them (I2), around the
//! end of the ring and through a full one.

#![cfg(treering_loom)]

use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use treering::internals::{Engine, Fate, Wait};
use treering_loom_tests::{assert_settled, model};

#[test]
fn a_cause_is_written_before_its_effect() {
    model("a_cause_is_written_before_its_effect", [2, 3], || causality([1, 2], false));
}

#[test]
fn a_cause_is_written_before_its_effect_though_its_thread_is_new() {
    model("a_cause_is_written_before_its_effect_though_its_thread_is_new", [2, 3], || {
        causality([2, 1], true)
    });
}

#[test]
fn a_cause_is_written_before_its_effect_though_the_effects_ring_is_read_first() {
    model("a_cause_is_written_before_its_effect_though_the_effects_ring_is_read_first", [2, 3], || {
        causality([2, 1], false)
    });
}

/// Thread 1 logs the cause and hands over to thread 2, which logs the effect; `order` is that of their rings. `is_new`: the
/// first one asks for its ring when it logs.
fn causality(order: [u32; 2], is_new: bool) {
    let (engine, mut listening) = Engine::new(16, 2, Wait::Adaptive);
    let mut callers = order.map(|thread| {
        let mut caller = engine.caller(thread);
        if thread == 2 || !is_new {
            caller.register();
        }
        caller
    });
    if order == [2, 1] {
        callers.reverse();
    }
    let [mut cause, mut effect] = callers;
    listening.turn(); // it knows the rings
    let handed_over = Arc::new(AtomicBool::new(false));
    let causing = {
        let handed_over = handed_over.clone();
        thread::spawn(move || {
            cause.log(1);
            handed_over.store(true, Ordering::Release);
        })
    };
    let following = thread::spawn(move || {
        let is_effect = handed_over.load(Ordering::Acquire);
        effect.share_clock();
        effect.log(1);
        is_effect
    });
    if is_new {
        listening.turn();
    } else {
        listening.run_until_written(&engine, 2);
    }
    causing.join().unwrap();
    let is_effect = following.join().unwrap();
    listening.run_until_written(&engine, 2);
    let written = engine.written();
    assert!(!is_effect || written == [(1, 1), (2, 1)], "{written:?}");
    assert_settled(&engine.settle(listening), 2, &written);
}

#[test]
fn a_cause_is_written_before_its_effect_whatever_comes_after_both() {
    model("a_cause_is_written_before_its_effect_whatever_comes_after_both", [2, 3], || {
        let (engine, mut listening) = Engine::new(16, 3, Wait::Adaptive);
        let [mut cause, mut effect, mut later] = [1, 2, 3].map(|thread| {
            let mut caller = engine.caller(thread);
            caller.register();
            caller
        });
        // The ring of the effect is read from here on, up to what comes next in another one.
        effect.log(1);
        let handed_over = Arc::new(AtomicBool::new(false));
        let causing = {
            let handed_over = handed_over.clone();
            thread::spawn(move || {
                cause.log(1);
                handed_over.store(true, Ordering::Release);
            })
        };
        let following = thread::spawn(move || {
            let is_effect = handed_over.load(Ordering::Acquire);
            effect.share_clock();
            effect.log(2);
            later.log(1);
            is_effect
        });
        listening.turn();
        causing.join().unwrap();
        let is_effect = following.join().unwrap();
        listening.run_until_written(&engine, 4);
        let written = engine.written();
        let place = |of| written.iter().position(|record| *record == of);
        assert!(!is_effect || place((1, 1)) < place((2, 2)), "{written:?}");
        assert_settled(&engine.settle(listening), 4, &written);
    });
}

#[test]
fn records_come_out_in_order_around_the_end_of_a_small_ring() {
    model("records_come_out_in_order_around_the_end_of_a_small_ring", [2, 3], || {
        // Two records and a rest that is too short for a third: it needs a pad, or finds no room.
        let (engine, mut listening) = Engine::new(8, 1, Wait::Adaptive);
        let mut caller = engine.caller(1);
        caller.register();
        let logging = {
            let engine = engine.clone();
            thread::spawn(move || {
                let fates = [1, 2, 3].map(|number| caller.log(number));
                engine.stop();
                fates.iter().filter(|fate| **fate == Fate::Dropped).count() as u64
            })
        };
        listening.run();
        let dropped = logging.join().unwrap();
        let report = engine.settle(listening);
        assert_settled(&report, 3, &engine.written());
        assert_eq!(
            (report.dropped, engine.told_lost()),
            (dropped, dropped),
            "the stream tells of every loss"
        );
    });
}
