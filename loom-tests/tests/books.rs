//! The books balance whoever reads them, and when: also while records are on their way (I4).

#![cfg(treering_loom)]

use loom::thread;
use treering::Overflow;
use treering::internals::{Engine, Sampled, Wait};
use treering_loom_tests::{ALL, assert_settled, model};

#[test]
fn the_books_balance_while_records_are_on_their_way() {
    model("the_books_balance_while_records_are_on_their_way", [2, 3], || {
        a_report_is_taken_meanwhile(Overflow::drop_newest());
    });
}

#[test]
fn the_books_balance_while_records_are_on_their_way_by_the_cold_path() {
    model("the_books_balance_while_records_are_on_their_way_by_the_cold_path", [1, 2], || {
        a_report_is_taken_meanwhile(Overflow::drop_oldest());
    });
}

fn a_report_is_taken_meanwhile(policy: Overflow) {
    let (engine, mut listening) = Engine::with_policy(16, 1, Wait::Adaptive, policy);
    let mut caller = engine.caller(1);
    caller.register();
    listening.turn(); // it knows the ring
    let logging = thread::spawn(move || _ = caller.log(1));
    let reading = {
        let engine = engine.clone();
        thread::spawn(move || {
            let report = engine.report();
            assert_eq!(report.submitted, report.dispatched + report.pending, "{report}");
            let writer = &report.handlers["writer"];
            let fates = writer.filtered + writer.delivered + writer.failed + writer.held;
            assert_eq!(writer.offered, fates + writer.in_flight, "{report}");
        })
    };
    listening.run_until_written(&engine, 1);
    logging.join().unwrap();
    reading.join().unwrap();
    assert_settled(&engine.settle(listening), 1, &engine.written());
}

#[test]
fn what_sampling_left_out_is_counted_under_its_callsite() {
    model("what_sampling_left_out_is_counted_under_its_callsite", [ALL, ALL], || {
        let sampled = Sampled::new();
        let logging = {
            let sampled = sampled.clone();
            thread::spawn(move || (0..2).for_each(|_| sampled.log(1)))
        };
        let reading = {
            let sampled = sampled.clone();
            thread::spawn(move || {
                for (id, left_out) in sampled.left_out() {
                    assert!(left_out == 0 || id == Some(1), "whose they are is known");
                }
            })
        };
        logging.join().unwrap();
        reading.join().unwrap();
        assert_eq!(sampled.left_out(), [(Some(1), 1), (None, 0)]);
    });
}
