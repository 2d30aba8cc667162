//! What only grows: the list of limits with their counts, and the table of places (I18).

#![cfg(treering_loom)]

use loom::sync::Arc;
use loom::thread;
use treering::internals::{Grown, Limits, Places};
use treering_loom_tests::model;

#[test]
fn each_call_that_a_limit_kept_back_is_told_of_once() {
    model("each_call_that_a_limit_kept_back_is_told_of_once", 3, || {
        let limits = Arc::new(Limits::new());
        let first = Grown::new(1);
        let calls = [2, 3].map(|own| {
            let limits = limits.clone();
            thread::spawn(move || {
                limits.keep_back(first);
                limits.keep_back(Grown::new(own));
                limits.pass(first)
            })
        });
        let mut told = limits.end();
        assert!(told.iter().all(|(number, _)| (1..=3).contains(number)), "seen whole: {told:?}");
        told.extend(calls.map(|calls| (1, calls.join().unwrap())));
        let mut rest = limits.end();
        told.extend(&rest);
        rest.sort_unstable();
        let numbers: Vec<_> = rest.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [1, 2, 3], "each is in the list once");
        let sum = |of: u64| -> u64 {
            told.iter().filter(|(number, _)| *number == of).map(|(_, calls)| calls).sum()
        };
        assert_eq!([1, 2, 3].map(sum), [2, 1, 1], "{told:?}");
    });
}

#[test]
fn threads_that_come_to_a_place_at_once_find_the_same() {
    model("threads_that_come_to_a_place_at_once_find_the_same", None, || {
        let places = Arc::new(Places::new());
        let looking = [[7, 8], [8, 7]].map(|numbers| {
            let places = places.clone();
            thread::spawn(move || numbers.map(|number| places.find(number).expect("there is room")))
        });
        let [[seven, eight], [same_eight, same_seven]] = looking.map(|looking| looking.join().unwrap());
        let is_same = |number, place| std::ptr::eq(places.find(number).expect("it is there"), place);
        assert!(is_same(7, seven) && is_same(7, same_seven));
        assert!(is_same(8, eight) && is_same(8, same_eight));
        assert!(places.find(9).is_none(), "two places, and both are taken");
    });
}
