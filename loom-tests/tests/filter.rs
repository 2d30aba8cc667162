//! A callsite's first run against a filter reload (I15).

#![cfg(treering_loom)]

use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use treering::internals::Gate;
use treering_loom_tests::{ALL, model};

#[test]
fn a_call_after_a_reload_obeys_it_though_the_callsite_was_registered_meanwhile() {
    model("a_call_after_a_reload_obeys_it_though_the_callsite_was_registered_meanwhile", [ALL, ALL], || {
        first_runs_against_a_reload(false, false);
    });
}

#[test]
fn a_call_after_a_reload_that_lets_it_through_is_enabled() {
    model("a_call_after_a_reload_that_lets_it_through_is_enabled", [ALL, ALL], || {
        first_runs_against_a_reload(false, true);
    });
}

#[test]
fn a_call_that_names_its_engine_obeys_a_reload_as_well() {
    // Another engine wants the call's records, so its gate stays open, and the verdict decides.
    model("a_call_that_names_its_engine_obeys_a_reload_as_well", [3, 6], || {
        first_runs_against_a_reload(true, false)
    });
}

/// `allowed`: by the filter that is loaded; by the one before the opposite was so.
fn first_runs_against_a_reload(names_engine: bool, allowed: bool) {
    let gate = Gate::new(names_engine, !allowed);
    let has_reloaded = Arc::new(AtomicBool::new(false));
    let calling = {
        let (gate, has_reloaded) = (gate.clone(), has_reloaded.clone());
        thread::spawn(move || {
            for _ in 0..2 {
                let is_later = has_reloaded.load(Ordering::Acquire);
                let obeys = gate.call() == allowed;
                assert!(obeys || !is_later, "it began after the reload had returned");
            }
        })
    };
    let reloading = {
        let gate = gate.clone();
        thread::spawn(move || {
            gate.reload(allowed);
            has_reloaded.store(true, Ordering::Release);
            assert_eq!(gate.call(), allowed);
        })
    };
    calling.join().unwrap();
    reloading.join().unwrap();
    assert_eq!(gate.call(), allowed);
    gate.reload(true);
    assert!(gate.call() && gate.is_resolved(), "the call leaves its id behind");
    gate.leave();
}

#[test]
fn a_call_that_names_its_engine_is_enabled_though_another_thread_ran_it_first() {
    model("a_call_that_names_its_engine_is_enabled_though_another_thread_ran_it_first", [3, 5], || {
        let gate = Gate::new(true, true);
        let calling = [(), ()].map(|()| {
            let gate = gate.clone();
            thread::spawn(move || {
                assert!(gate.call(), "its engine never wanted anything else");
                assert!(gate.has_entry(), "the listener finds what its id stands for");
            })
        });
        calling.into_iter().for_each(|calling| calling.join().unwrap());
        gate.leave();
        assert!(!gate.call(), "there is no engine any more");
    });
}

#[test]
fn calls_obey_the_filter_that_lasts_whoever_sets_it_and_whenever_the_time_of_another_is_over() {
    model(
        "calls_obey_the_filter_that_lasts_whoever_sets_it_and_whenever_the_time_of_another_is_over",
        [ALL, ALL],
        || {
            let gate = Gate::new(false, false);
            gate.set_filter_for_a_while(true);
            let setting = [true, false].map(|allowed| {
                let gate = gate.clone();
                thread::spawn(move || gate.set_filter(allowed))
            });
            gate.tend();
            setting.into_iter().for_each(|setting| setting.join().unwrap());
            assert_eq!(gate.call(), gate.lasting());
            gate.leave();
        },
    );
}
