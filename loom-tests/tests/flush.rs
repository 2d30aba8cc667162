//! A flush returns after everything that happened before it has left the handlers (I8).

#![cfg(treering_loom)]

use std::task::{Wake, Waker};

use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::sync::{Condvar, Mutex};
use loom::thread;
use treering::internals::{Engine, Wait};
use treering_loom_tests::{ALL, assert_settled, model};

#[test]
fn a_flush_brings_out_what_its_own_thread_logged() {
    model("a_flush_brings_out_what_its_own_thread_logged", [3, 4], || {
        let (engine, mut listening) = Engine::new(16, 2, Wait::Adaptive);
        let mut caller = engine.caller(1);
        caller.register();
        let flushing = {
            let engine = engine.clone();
            thread::spawn(move || {
                caller.log(1);
                engine.flush();
                assert_eq!(engine.flushed(), [(1, 1)]);
            })
        };
        listening.run_until_flushed(1);
        flushing.join().unwrap();
        assert_settled(&engine.settle(listening), 1, &engine.written());
    });
}

#[test]
fn a_flush_brings_out_what_another_thread_logged_before_it() {
    model("a_flush_brings_out_what_another_thread_logged_before_it", [2, 3], || {
        let (engine, mut listening) = Engine::new(16, 2, Wait::Adaptive);
        let has_logged = Arc::new(AtomicBool::new(false));
        let mut caller = engine.caller(1);
        caller.register();
        let logging = {
            let has_logged = has_logged.clone();
            thread::spawn(move || {
                caller.log(1);
                has_logged.store(true, Ordering::Release);
            })
        };
        let flushing = {
            let engine = engine.clone();
            thread::spawn(move || {
                let is_before = has_logged.load(Ordering::Acquire);
                engine.flush();
                assert!(!is_before || engine.flushed() == [(1, 1)]);
            })
        };
        listening.run_until_flushed(1);
        listening.run_until_written(&engine, 1);
        flushing.join().unwrap();
        logging.join().unwrap();
        assert_settled(&engine.settle(listening), 1, &engine.written());
    });
}

#[test]
fn a_flush_that_races_with_stop_returns() {
    model("a_flush_that_races_with_stop_returns", [2, 3], || {
        let (engine, mut listening) = Engine::new(16, 2, Wait::Adaptive);
        let mut caller = engine.caller(1);
        caller.register();
        caller.log(1);
        let flushing = {
            let engine = engine.clone();
            thread::spawn(move || {
                engine.flush();
                assert_eq!(engine.flushed(), [(1, 1)]);
            })
        };
        let stopping = {
            let engine = engine.clone();
            thread::spawn(move || engine.stop())
        };
        listening.run();
        flushing.join().unwrap();
        stopping.join().unwrap();
        assert_settled(&engine.settle(listening), 1, &engine.written());
    });
}

/// A task that sleeps until it is woken.
struct Task {
    is_woken: Mutex<bool>,
    woken: Condvar,
}

impl Wake for Task {
    fn wake(self: std::sync::Arc<Self>) {
        *self.is_woken.lock().unwrap() = true;
        self.woken.notify_one();
    }
}

impl Task {
    fn sleep(&self) {
        let mut is_woken = self.is_woken.lock().unwrap();
        while !std::mem::take(&mut *is_woken) {
            is_woken = self.woken.wait(is_woken).unwrap();
        }
    }
}

/// A flush that a task waits for.
fn flush_as_task(engine: &Engine) {
    let task = std::sync::Arc::new(Task { is_woken: Mutex::new(false), woken: Condvar::new() });
    let ticket = engine.ask_for_flush();
    while !engine.poll_flush(ticket, Waker::from(task.clone())) {
        task.sleep();
    }
}

#[test]
fn a_task_that_waits_for_a_flush_is_woken() {
    model("a_task_that_waits_for_a_flush_is_woken", [2, 4], || {
        let (engine, mut listening) = Engine::new(16, 2, Wait::Adaptive);
        let mut caller = engine.caller(1);
        caller.register();
        let waiting = {
            let engine = engine.clone();
            thread::spawn(move || {
                caller.log(1);
                flush_as_task(&engine);
                assert_eq!(engine.flushed(), [(1, 1)]);
            })
        };
        listening.run_until_flushed(1);
        waiting.join().unwrap();
        assert_settled(&engine.settle(listening), 1, &engine.written());
    });
}

#[test]
fn a_task_that_waits_for_a_flush_is_woken_by_a_stop() {
    model("a_task_that_waits_for_a_flush_is_woken_by_a_stop", [ALL, ALL], || {
        let (engine, mut listening) = Engine::new(16, 2, Wait::Adaptive);
        let waiting = {
            let engine = engine.clone();
            thread::spawn(move || flush_as_task(&engine))
        };
        engine.close();
        listening.run();
        waiting.join().unwrap();
        assert_settled(&engine.settle(listening), 0, &[]);
    });
}

#[test]
fn who_waits_is_released_when_a_stop_gives_up() {
    model("who_waits_is_released_when_a_stop_gives_up", [2, 3], || {
        let (engine, mut listening) = Engine::new(16, 2, Wait::Adaptive);
        let mut caller = engine.caller(1);
        caller.register();
        listening.turn(); // it knows the ring, and takes no turn after this
        caller.log(1);
        let waiting = [Engine::flush, Engine::flush, flush_as_task].map(|flush| {
            let engine = engine.clone();
            thread::spawn(move || {
                flush(&engine);
                assert_eq!(engine.report().abandoned, 1, "the books are closed before anybody is told");
            })
        });
        engine.give_up();
        waiting.into_iter().for_each(|waiting| waiting.join().unwrap());
        caller.log(2);
        engine.give_up();
        let report = engine.settle(listening);
        assert_settled(&report, 2, &[]);
        assert_eq!(
            (report.abandoned, report.late),
            (1, 1),
            "what came after the deadline is late, also at the next one"
        );
    });
}
