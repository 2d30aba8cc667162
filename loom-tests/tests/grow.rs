//! What only grows: the list of limits with their counts, and the table of places (I18).

#![cfg(treering_loom)]

use loom::sync::Arc;
use loom::thread;
use treering::internals::{Grown, Limits, Places};
use treering_loom_tests::{ALL, model};

#[test]
fn each_call_that_a_limit_kept_back_is_told_of_once() {
    model("each_call_that_a_limit_kept_back_is_told_of_once", [2, 3], || {
        let limits = Arc::new(Limits::new());
        let (first, oldest) = (Grown::new(1), 4);
        limits.keep_back(Grown::new(oldest));
        let calls = [2, 3].map(|own| {
            let limits = limits.clone();
            thread::spawn(move || {
                limits.keep_back(first);
                limits.keep_back(Grown::new(own));
                limits.pass(first)
            })
        });
        // In the last thread: loom does not try what it reads before what others read and then swap.
        let ending = {
            let limits = limits.clone();
            thread::spawn(move || limits.end())
        };
        let mut told = ending.join().unwrap();
        assert!(told.iter().all(|(number, _)| (1..=oldest).contains(number)), "seen whole: {told:?}");
        assert!(told.iter().any(|(number, _)| *number == oldest), "behind all that came later: {told:?}");
        told.extend(calls.map(|calls| (1, calls.join().unwrap())));
        let mut rest = limits.end();
        told.extend(&rest);
        rest.sort_unstable();
        let numbers: Vec<_> = rest.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [1, 2, 3, oldest], "each is in the list once");
        let sum = |of: u64| -> u64 {
            told.iter().filter(|(number, _)| *number == of).map(|(_, calls)| calls).sum()
        };
        assert_eq!([1, 2, 3, oldest].map(sum), [2, 1, 1, 1], "{told:?}");
    });
}

#[test]
fn threads_that_come_to_a_place_at_once_find_the_same() {
    model("threads_that_come_to_a_place_at_once_find_the_same", [ALL, ALL], || {
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
