//! A record has the spans and contexts that it was logged in, though other threads opened them, and close them (I19).

#![cfg(treering_loom)]

use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use treering::internals::{Caller, Context, Engine, Wait};
use treering_loom_tests::model;

const SPAN: u64 = 1;

#[test]
fn a_record_is_in_the_span_that_another_thread_opens_and_closes() {
    model("a_record_is_in_the_span_that_another_thread_opens_and_closes", [2, 3], || {
        let (engine, mut listening) = Engine::new(16, 2, Wait::Adaptive);
        let [mut around, mut inside] = [1, 2].map(|thread| {
            let mut caller = engine.caller(thread);
            caller.register();
            caller
        });
        listening.turn(); // it knows the rings
        let [is_open, is_left] = [(), ()].map(|()| Arc::new(AtomicBool::new(false)));
        let opening = {
            let (is_open, is_left) = (is_open.clone(), is_left.clone());
            thread::spawn(move || {
                around.open(SPAN, 0);
                is_open.store(true, Ordering::Release);
                let closes = is_left.load(Ordering::Acquire);
                if closes {
                    around.share_clock();
                    around.close(SPAN);
                }
                closes
            })
        };
        let logging = thread::spawn(move || {
            let is_in = is_open.load(Ordering::Acquire);
            if is_in {
                inside.share_clock();
                inside.log_in(SPAN, 1);
                is_left.store(true, Ordering::Release);
            } else {
                inside.log(1);
            }
        });
        listening.run_until_written(&engine, 1);
        logging.join().unwrap();
        let closes = opening.join().unwrap();
        engine.close();
        listening.run();
        let report = engine.settle(listening);
        report.assert_balanced();
        let of_span = 1 + u64::from(closes);
        assert_eq!((report.span_records, report.dispatched), (of_span, of_span + 1), "{report}");
        assert_eq!(report.unknown_spans, 0, "handed out before its span was opened, or after it was closed");
        assert_eq!(engine.written(), [(2, 1)]);
    });
}

#[test]
fn whoever_logs_in_a_context_does_so_after_it_was_told() {
    model("whoever_logs_in_a_context_does_so_after_it_was_told", [1, 2], || {
        log_while_another_thread_tells(
            |outer, _| outer,
            |caller, inside| {
                caller.tell(inside);
                true
            },
        );
    });
}

#[test]
fn whoever_logs_in_a_context_does_so_after_those_around_it_were_told() {
    model("whoever_logs_in_a_context_does_so_after_those_around_it_were_told", [1, 2], || {
        log_while_another_thread_tells(|_, inner| inner, |caller, inside| caller.has_told(inside));
    });
}

/// One thread tells of this one of two contexts, while another thread logs in the inner one, if it `may`.
fn log_while_another_thread_tells(
    told: impl FnOnce(Context, Context) -> Context,
    may: impl FnOnce(&mut Caller, &Context) -> bool + Send + 'static,
) {
    let (engine, mut listening) = Engine::new(16, 2, Wait::Adaptive);
    let (outer, inner) = (1, 2);
    let around = Context::new(outer, None);
    let inside = Context::new(inner, Some(&around));
    let [mut first, mut second] = [1, 2].map(|thread| {
        let mut caller = engine.caller(thread);
        caller.register();
        caller
    });
    listening.turn(); // it knows the rings
    let told = told(around, inside.clone());
    let telling = thread::spawn(move || first.tell(&told));
    let logging = thread::spawn(move || {
        if may(&mut second, &inside) {
            second.share_clock();
            second.log_in(inner, 1);
        } else {
            second.log(1);
        }
    });
    listening.run_until_written(&engine, 1);
    telling.join().unwrap();
    logging.join().unwrap();
    engine.close();
    listening.run();
    let report = engine.settle(listening);
    report.assert_balanced();
    assert_eq!(report.unknown_spans, 0, "the other thread said that the engine was told of it");
}
