//! What an engine keeps of its promises while its own listener has a bug.

use super::*;
use crate::clock;
use crate::handler::{Batch, Capture, HandlerError};
use crate::listener::testing::{Bug, plant};
use crate::sync::Mutex;
use std::future::Future;
use std::pin::Pin;
use std::sync::mpsc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

/// Far longer than anything takes that does not hang.
const LONG: Duration = Duration::from_secs(60);
/// What is prompt takes less.
const PROMPT: Duration = Duration::from_secs(10);

/// A handler of which each call does what its closure says, with the call's number and its records.
struct Acts<F>(F, usize);

fn acts(act: impl FnMut(usize, &Batch<'_>) -> Result<(), HandlerError> + Send) -> impl Handler {
    Acts(act, 0)
}

impl<F: FnMut(usize, &Batch<'_>) -> Result<(), HandlerError> + Send> Handler for Acts<F> {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        self.1 += 1;
        (self.0)(self.1, batch)
    }

    fn name(&self) -> String {
        "acts".to_owned()
    }
}

/// Has bugs planted on its thread in the first call, after `before`.
fn plants(bugs: &'static [Bug], before: impl Fn() + Send) -> impl Handler {
    acts(move |call, _| {
        if call == 1 {
            before();
            plant(bugs.iter().copied());
        }
        Ok(())
    })
}

/// Tells when it is woken.
struct Tells(mpsc::Sender<()>);

impl Wake for Tells {
    fn wake(self: Arc<Self>) {
        self.0.send(()).unwrap();
    }
}

/// Faults, and a builder of an engine that collects them.
fn collecting() -> (Arc<Mutex<Vec<String>>>, Builder) {
    let faults = Arc::new(Mutex::new(Vec::new()));
    let sink = faults.clone();
    (faults, builder().error_hook(move |fault| sink.lock().push(fault.to_owned())))
}

fn numbers(capture: &Capture) -> Vec<u64> {
    capture.records().iter().map(|record| record.message().parse().unwrap()).collect()
}

#[test]
fn after_a_bug_before_a_batch_is_handed_out_it_goes_on_with_everything_it_had() {
    let (faults, builder) = collecting();
    let capture = Capture::new();
    let planter = plants(&[Bug::Collected], || ());
    let (logger, guard) = builder.handler(planter).handler(capture.clone()).start().unwrap();
    info!(logger: logger, "{}", 0_u64);
    guard.flush(LONG).unwrap();
    (1..100_u64).for_each(|n| info!(logger: logger, "{n}"));
    guard.flush(LONG).unwrap();
    assert_eq!(guard.stats().listener_panics, 1);
    (100..200_u64).for_each(|n| info!(logger: logger, "{n}"));
    let report = guard.stop(LONG).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless(), "{report:#?}");
    assert!(report.to_string().ends_with("the listener panicked 1 times"), "{report}");
    assert_eq!(numbers(&capture), (0..200).collect::<Vec<_>>());
    assert_eq!(*faults.lock(), ["a bug in treering: the listener panicked and goes on: a bug at Collected"]);
}

#[test]
fn a_bug_in_the_middle_of_a_batch_costs_what_was_not_settled_and_hands_out_nothing_twice() {
    let (faults, builder) = collecting();
    let (before, after) = (Capture::new(), Capture::new());
    // The first call settles four records; what the second did is not in the books.
    let acts = acts(|call, batch| match call {
        1 => {
            assert_eq!(batch.iter().take(4).count(), 4);
            Err(HandlerError::new("the fourth"))
        }
        2 => {
            plant([Bug::Called]);
            Ok(())
        }
        _ => Ok(()),
    });
    let builder = builder.wait(Wait::Manual).handler(before.clone()).handler(acts).handler(after.clone());
    let (logger, guard) = builder.start().unwrap();
    (0..10_u64).for_each(|n| info!(logger: logger, "{n}"));
    guard.poll().unwrap();
    let report = guard.stats();
    assert_eq!((report.dispatched, report.pending, report.listener_panics), (10, 0, 1));
    (10..15_u64).for_each(|n| info!(logger: logger, "{n}"));
    let report = guard.stop(LONG).unwrap();
    report.assert_balanced();
    assert_eq!(numbers(&before), (0..15).collect::<Vec<_>>());
    assert_eq!(numbers(&after), (10..15).collect::<Vec<_>>());
    let acts = &report.handlers["acts"];
    assert_eq!((acts.offered, acts.delivered, acts.failed), (15, 3 + 5, 1 + 6), "{report:#?}");
    assert_eq!(faults.lock().len(), 2, "the handler's fault and ours");
}

#[test]
fn after_the_second_bug_everybody_who_waits_is_released_and_calls_are_late() {
    let (faults, builder) = collecting();
    let ((arrive, arrived), (open, gate)) = (mpsc::channel(), mpsc::channel::<()>());
    let planter = plants(&[Bug::Called, Bug::Called], move || {
        arrive.send(()).unwrap();
        gate.recv().unwrap();
    });
    let builder = builder.ring_capacity(4096).overflow(Overflow::block(Duration::MAX)).handler(planter);
    let (logger, guard) = builder.start().unwrap();
    info!(logger: logger, "the listener waits");
    arrived.recv().unwrap();
    let start = clock::now();
    let (wake, woken) = mpsc::channel();
    let waker = Waker::from(Arc::new(Tells(wake)));
    let (mut future, mut context) = (guard.flush_async(), Context::from_waker(&waker));
    assert!(Pin::new(&mut future).poll(&mut context).is_pending());
    thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| (0..1000).for_each(|n| info!(logger: logger, "{n}")));
        }
        let flush = scope.spawn(|| guard.flush(LONG));
        thread::sleep(Duration::from_millis(50)); // the rings are full
        open.send(()).unwrap();
        assert!(flush.join().unwrap().is_err());
    });
    woken.recv_timeout(PROMPT).unwrap();
    assert!(matches!(Pin::new(&mut future).poll(&mut context), Poll::Ready(Err(_))));
    guard.flush(LONG).unwrap_err();
    let report = guard.stop(LONG).unwrap();
    assert!(clock::now() - start < PROMPT);
    report.assert_balanced();
    assert_eq!((report.submitted, report.listener_panics), (64_001, 2));
    assert!(!report.is_lossless());
    info!(logger: logger, "too late");
    let later = guard.stats();
    later.assert_balanced();
    assert_eq!(later.late, report.late + 1);
    let told = "a bug in treering: the listener panicked and ends here: a bug at Called";
    assert_eq!(faults.lock().last().unwrap(), told);
}

#[test]
fn a_stop_that_waits_returns_after_the_second_bug() {
    let ((arrive, arrived), (open, gate)) = (mpsc::channel(), mpsc::channel::<()>());
    let planter = plants(&[Bug::Called, Bug::Called], move || {
        arrive.send(()).unwrap();
        gate.recv().unwrap();
    });
    let (logger, guard) = collecting().1.handler(planter).start().unwrap();
    info!(logger: logger, "the listener waits");
    arrived.recv().unwrap();
    info!(logger: logger, "in the ring");
    let start = clock::now();
    let report = thread::scope(|scope| {
        let stop = scope.spawn(|| guard.stop(LONG).unwrap());
        while guard.logger.engine.is_open() {
            thread::yield_now();
        }
        open.send(()).unwrap();
        stop.join().unwrap()
    });
    assert!(clock::now() - start < PROMPT);
    report.assert_balanced();
    assert_eq!((report.submitted, report.dispatched, report.listener_panics), (2, 2, 2));
    let acts = &report.handlers["acts"];
    assert_eq!((acts.offered, acts.delivered), (2, 0), "{report:#?}");
}

#[test]
fn the_second_bug_ends_an_engine_without_a_thread_too() {
    let (_, builder) = collecting();
    let builder = builder.ring_capacity(4096).overflow(Overflow::block(Duration::MAX)).wait(Wait::Manual);
    let (logger, guard) = builder.handler(Capture::new()).start().unwrap();
    info!(logger: logger, "0");
    plant([Bug::Called]);
    guard.poll().unwrap();
    assert_eq!(guard.stats().listener_panics, 1);
    let start = clock::now();
    thread::scope(|scope| {
        scope.spawn(|| (0..1000).for_each(|n| info!(logger: logger, "{n}")));
        thread::sleep(Duration::from_millis(50)); // the ring is full
        plant([Bug::Collected]);
        assert!(guard.poll().unwrap_err().is_not_running());
    });
    guard.flush(LONG).unwrap_err();
    let report = guard.stop(LONG).unwrap();
    assert!(clock::now() - start < PROMPT);
    report.assert_balanced();
    assert_eq!((report.submitted, report.dispatched, report.listener_panics), (1001, 1, 2));
    assert!(report.abandoned > 0);
    info!(logger: logger, "too late");
    assert_eq!(guard.stats().late, report.late + 1);
}

#[test]
fn a_bug_on_a_lane_ends_that_lane_and_costs_the_records_of_its_handler_alone() {
    let (faults, builder) = collecting();
    let capture = Capture::new();
    let builder = builder.handler(plants(&[Bug::Called], || ()).lane()).handler(capture.clone());
    let (logger, guard) = builder.start().unwrap();
    info!(logger: logger, "{}", 0_u64);
    guard.flush(LONG).unwrap();
    info!(logger: logger, "{}", 1_u64);
    guard.flush(LONG).unwrap();
    let report = guard.stop(LONG).unwrap();
    report.assert_balanced();
    assert_eq!(numbers(&capture), [0, 1]);
    let acts = &report.handlers["acts"];
    assert_eq!((acts.offered, acts.failed, report.listener_panics), (2, 2, 1), "{report:#?}");
    let told = "a bug in treering: the lane of handler acts panicked and ends here: a bug at Called";
    assert_eq!(*faults.lock(), [told]);
}
