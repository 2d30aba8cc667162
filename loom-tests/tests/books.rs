//! The books balance whoever reads them, and when: also while records are on their way (I4).

#![cfg(treering_loom)]

use loom::thread;
use treering::internals::{Engine, Wait};
use treering_loom_tests::{assert_settled, model};

#[test]
fn the_books_balance_while_records_are_on_their_way() {
    model("the_books_balance_while_records_are_on_their_way", [2, 3], || {
        let (engine, mut listening) = Engine::new(16, 1, Wait::Adaptive);
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
    });
}
