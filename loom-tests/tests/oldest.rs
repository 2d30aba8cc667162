//! A ring whose oldest records make room: each record is handed out whole or counted as dropped, never both (I13).

#![cfg(treering_loom)]

use loom::thread;
use treering::Overflow;
use treering::internals::{Engine, Fate, Told, Wait, overwriting_ring};
use treering::overflow::Reason;
use treering_loom_tests::{ALL, assert_settled, model};

#[test]
fn a_record_is_written_whole_or_dropped_as_the_oldest_and_never_both() {
    model("a_record_is_written_whole_or_dropped_as_the_oldest_and_never_both", [2, 3], || {
        // Two records fill the ring; the third and the fourth need the room of others, around the end of the ring.
        let (engine, mut listening) = Engine::with_policy(8, 1, Wait::Adaptive, Overflow::drop_oldest());
        let mut caller = engine.caller(1);
        caller.register();
        listening.turn(); // it knows the ring
        caller.log(1);
        let logging = {
            let engine = engine.clone();
            thread::spawn(move || {
                let fates = [2, 3, 4].map(|number| caller.log(number));
                engine.stop();
                fates
            })
        };
        listening.run();
        let fates = logging.join().unwrap();
        assert!(fates.iter().all(|fate| matches!(fate, Fate::Taken { .. })), "{fates:?}");
        let report = engine.settle(listening);
        let written = engine.written();
        report.assert_balanced();
        assert_eq!(report.submitted, 4, "calls: {report}");
        let numbers: Vec<_> = written.iter().map(|(_, number)| *number).collect();
        assert!(numbers.is_sorted() && numbers.ends_with(&[3, 4]), "{numbers:?} are out of order or torn");
        assert_eq!(numbers.len() as u64 + report.dropped, 4, "{numbers:?}, {report}");
        assert_eq!(report.dropped_by_reason.total(Reason::Oldest), report.dropped);
        assert_eq!(engine.told_lost(), report.dropped, "the stream tells of every loss");
        // Calls are numbered as what they log is.
        let mut next = 1;
        for (behind, number) in numbers.into_iter().enumerate() {
            for Told { records, first, last, .. } in
                engine.losses().iter().filter(|told| told.behind == behind)
            {
                assert_eq!((*first, *last), (next, next + records - 1), "which calls are missing here");
                next = last + 1;
            }
            assert_eq!(number, next, "{:?}", engine.losses());
            next += 1;
        }
    });
}

#[test]
fn what_is_logged_into_a_ring_that_drops_the_oldest_wakes_a_parked_listener() {
    model("what_is_logged_into_a_ring_that_drops_the_oldest_wakes_a_parked_listener", [3, 4], || {
        let (engine, mut listening) = Engine::with_policy(8, 1, Wait::Adaptive, Overflow::drop_oldest());
        let mut caller = engine.caller(1);
        caller.register();
        listening.turn();
        let logging = thread::spawn(move || {
            caller.log(1);
            caller.log(2);
        });
        listening.run_until_written(&engine, 2);
        logging.join().unwrap();
        assert_settled(&engine.settle(listening), 2, &engine.written());
    });
}

#[test]
fn what_is_missing_was_read_when_its_claim_lets_others_be_dropped() {
    model("what_is_missing_was_read_when_its_claim_lets_others_be_dropped", [ALL, ALL], || {
        // Two records fill the ring, so the first one is missing when it is claimed. Two drops write both gaps anew.
        let (mut producer, mut consumer) = overwriting_ring(8);
        (1..=3).for_each(|number| producer.push(number));
        let logging = thread::spawn(move || {
            producer.wait_until_claimed();
            (4..=7).for_each(|number| producer.push(number));
        });
        consumer.take();
        logging.join().unwrap();
        assert_eq!(consumer.take(), [None, Some(2), Some(3), None, None, Some(6), Some(7)]);
    });
}

#[test]
fn a_record_that_needs_the_room_of_two_takes_none_that_was_claimed() {
    model("a_record_that_needs_the_room_of_two_takes_none_that_was_claimed", [2, 3], || {
        // Five short records leave one word.
        let (mut producer, mut consumer) = overwriting_ring(16);
        producer.push(1);
        let logging = thread::spawn(move || {
            (2..=5).for_each(|number| producer.push(number));
            producer.push_long(6, 4);
        });
        consumer.take();
        logging.join().unwrap();
        let numbers = consumer.take();
        assert_eq!(numbers.len(), 6, "{numbers:?}");
        let is_due =
            |(at, number): (usize, &Option<u64>)| number.is_none_or(|number| number == at as u64 + 1);
        assert!(numbers.iter().enumerate().all(is_due) && numbers.ends_with(&[Some(6)]), "{numbers:?}");
    });
}

#[test]
fn what_was_logged_before_a_stop_is_written_though_the_oldest_make_room_meanwhile() {
    let name = "what_was_logged_before_a_stop_is_written_though_the_oldest_make_room_meanwhile";
    model(name, [2, 3], || {
        let (engine, mut listening) = Engine::with_policy(8, 1, Wait::Adaptive, Overflow::drop_oldest());
        let mut caller = engine.caller(1);
        caller.register();
        (1..=2).for_each(|number| _ = caller.log(number));
        let logging = thread::spawn(move || _ = caller.log(3));
        engine.close();
        listening.run();
        logging.join().unwrap();
        let written = engine.written();
        engine.settle(listening).assert_balanced();
        assert!(written.contains(&(1, 2)), "{written:?}");
    });
}
