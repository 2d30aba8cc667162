//! The books balance whoever reads them, and when: also while records are on their way (I4).

#![cfg(treering_loom)]

use loom::sync::Arc;
use loom::thread;
use treering::Overflow;
use treering::internals::{Engine, Ledger, Sampled, Wait};
use treering::stats::HandlerReport;
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
            assert_balanced(&report.handlers["writer"]);
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

#[test]
fn a_report_counts_no_record_twice() {
    model("a_report_counts_no_record_twice", [ALL, ALL], || {
        let ledger = Arc::new(Ledger::new());
        let writing = {
            let ledger = ledger.clone();
            thread::spawn(move || ledger.write())
        };
        let reading = thread::spawn(move || assert_balanced(&ledger.read()));
        writing.join().unwrap();
        reading.join().unwrap();
    });
}

fn assert_balanced(handler: &HandlerReport) {
    let HandlerReport { offered, filtered, delivered, failed, held, in_flight, .. } = handler;
    assert_eq!(*offered, filtered + delivered + failed + held + in_flight, "{handler:?}");
}

#[test]
fn each_record_has_one_fate_when_a_stop_gives_up() {
    model("each_record_has_one_fate_when_a_stop_gives_up", [3, 4], || {
        let (engine, mut listening) = Engine::new(16, 1, Wait::Adaptive);
        let mut caller = engine.caller(1);
        caller.register();
        listening.turn(); // it knows the ring
        (1..=2).for_each(|number| _ = caller.log(number));
        let stopping = {
            let engine = engine.clone();
            thread::spawn(move || {
                engine.close();
                engine.give_up();
                engine.report()
            })
        };
        listening.run();
        let given_up = stopping.join().unwrap();
        let written = engine.written();
        let report = engine.settle(listening);
        report.assert_balanced();
        assert_eq!(format!("{report:?}"), format!("{given_up:?}"), "nothing is counted after it");
        let writer = &report.handlers["writer"];
        let handed = writer.delivered + writer.in_flight;
        assert_eq!(handed, written.len() as u64, "{written:?} were handed out: {report}");
        assert_eq!((report.submitted, report.dispatched), (2, writer.offered), "{report}");
    });
}
