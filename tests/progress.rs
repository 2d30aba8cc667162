//! Whether the listener goes on, as `stats()` tells: a backlog is no hang, and a hang has a name.

mod support;

use std::time::Duration;

use support::{Gate, SOON, each, eventually};
use treering::handler::{Batch, Capture, Handler, HandlerError};
use treering::{Wait, info};

const LIMIT: Duration = Duration::from_millis(100);

#[test]
fn an_idle_engine_has_no_lag_and_its_heart_beats() {
    let (logger, guard) = treering::builder().handler(Capture::new()).start().unwrap();
    info!(logger: logger, "out");
    guard.flush(SOON).unwrap();
    std::thread::sleep(Duration::from_millis(300)); // it parks
    let asleep = guard.stats().progress;
    assert_eq!((asleep.lag, asleep.calling), (Duration::ZERO, None));
    // However long it sleeps and the machine is busy, it does turn after turn.
    for _ in 0..2 {
        let before = guard.stats().progress.heartbeat.unwrap();
        eventually("it takes a turn", || guard.stats().progress.heartbeat.unwrap() < before);
    }
}

#[test]
fn a_handler_that_hangs_is_named_while_heartbeat_and_lag_grow() {
    let gate = Gate::closed();
    let at_gate = gate.clone();
    let builder = treering::builder().handler(Capture::new());
    let (logger, guard) = builder.handler(each(move |_| at_gate.pass()).named("stuck")).start().unwrap();
    info!(logger: logger, "hangs");
    gate.wait_for_guest();
    eventually("the call is old", || guard.stats().progress.heartbeat.unwrap() >= LIMIT);
    info!(logger: logger, "behind it");
    let report = guard.stats();
    assert_eq!((report.progress.calling.as_deref(), report.progress.handed), (Some("stuck"), 1));
    assert!(report.progress.lag >= LIMIT, "the record in hand is as old as the call: {report:#?}");
    assert_eq!((report.dispatched, report.pending), (1, 1));
    gate.open();
    guard.flush(SOON).unwrap();
    let report = guard.stats();
    assert_eq!((report.progress.lag, report.dispatched), (Duration::ZERO, 2), "{report:#?}");
    eventually("nobody is called", || guard.stats().progress.calling.is_none());
}

#[test]
fn every_call_of_a_handler_is_seen_from_outside() {
    /// Stands before its gate when it is asked for this.
    struct Hangs(&'static str, Gate);
    impl Hangs {
        fn at(&self, call: &str) {
            if self.0 == call {
                self.1.pass();
            }
        }
    }
    impl Handler for Hangs {
        fn handle(&mut self, _: &Batch<'_>) -> Result<(), HandlerError> {
            self.at("handle");
            Ok(())
        }

        fn flush(&mut self) -> Result<(), HandlerError> {
            self.at("flush");
            Ok(())
        }

        fn tend(&mut self) -> Result<(), HandlerError> {
            self.at("tend");
            Ok(())
        }

        fn accepts(&mut self, _: &treering::Record<'_>) -> bool {
            self.at("accepts");
            true
        }

        fn held(&self) -> u64 {
            self.at("held");
            0
        }
    }
    for call in ["handle", "flush", "tend", "accepts", "held"] {
        let gate = Gate::closed();
        let (logger, guard) = treering::builder().handler(Hangs(call, gate.clone())).start().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                info!(logger: logger, "hangs");
                guard.flush(SOON).unwrap();
            });
            gate.wait_for_guest();
            let progress = guard.stats().progress;
            gate.open();
            assert_eq!(progress.calling.as_deref(), Some("Hangs"), "in {call}");
        });
    }
}

#[test]
fn a_backlog_is_no_hang() {
    let slow = each(|_| std::thread::sleep(Duration::from_millis(2)));
    let (logger, guard) = treering::builder().ring_capacity(64 * 1024).handler(slow).start().unwrap();
    (0..500).for_each(|n| info!(logger: logger, "{n}"));
    eventually("records wait for long", || guard.stats().progress.lag >= LIMIT);
    let handed = guard.stats().progress.handed;
    eventually("and yet it goes on", || {
        let report = guard.stats();
        report.progress.handed > handed || report.handlers["each"].delivered > 1
    });
    assert!(guard.stats().progress.lag <= SOON);
    guard.flush(SOON).unwrap();
    assert_eq!(guard.stats().progress.lag, Duration::ZERO);
}

#[test]
fn the_lag_is_that_of_the_oldest_record_though_nobody_looked_for_long() {
    let gate = Gate::closed();
    let at_gate = gate.clone();
    let builder = treering::builder().wait(Wait::Manual).handler(each(move |_| at_gate.pass()));
    let (logger, guard) = builder.start().unwrap();
    std::thread::sleep(LIMIT * 3);
    let logged = std::time::Instant::now();
    info!(logger: logger, "young");
    assert!(guard.stats().progress.lag >= LIMIT * 3, "nobody has looked: it may be as old as the engine");
    std::thread::scope(|scope| {
        scope.spawn(|| guard.poll());
        gate.wait_for_guest();
        let lag = guard.stats().progress.lag;
        let age = logged.elapsed();
        gate.open();
        assert!(lag <= age + Duration::from_millis(1), "{lag:?} for a record of {age:?}");
    });
}

#[test]
fn an_engine_that_has_ended_has_no_heartbeat() {
    let (logger, guard) = treering::builder().handler(Capture::new()).start().unwrap();
    info!(logger: logger, "out");
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert_eq!(report.progress, treering::stats::Progress::default());

    let gate = Gate::closed();
    let at_gate = gate.clone();
    let (logger, guard) = treering::builder().handler(each(move |_| at_gate.pass())).start().unwrap();
    info!(logger: logger, "hangs");
    gate.wait_for_guest();
    let report = guard.stop(Duration::from_millis(20)).unwrap();
    report.assert_balanced();
    assert_eq!(report.progress, treering::stats::Progress::default(), "its books are closed");
    assert_eq!(report.handlers["each"].in_flight, 1);
    gate.open();
}
