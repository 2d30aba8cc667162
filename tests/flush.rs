//! What brings records out: a flush that a thread waits for, one that a task awaits, and what the handlers are flushed on.

mod support;

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use support::{Gate, LONG, SOON, each, eventually};
use treering::handler::{Batch, Capture, FlushPolicy, Handler, HandlerError};
use treering::{Flush, Guard, Level, Logger, Overflow, Wait, error, info, warn};

/// Holds everything until it is flushed, and says how many records each flush let go.
#[derive(Clone, Default)]
struct Parcels {
    held: u64,
    sent: Arc<Mutex<Vec<u64>>>,
}

impl Parcels {
    fn sent(&self) -> Vec<u64> {
        self.sent.lock().unwrap().clone()
    }
}

impl Handler for Parcels {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        self.held += batch.len() as u64;
        Ok(())
    }

    fn flush(&mut self) -> Result<(), HandlerError> {
        self.sent.lock().unwrap().push(std::mem::take(&mut self.held));
        Ok(())
    }

    fn held(&self) -> u64 {
        self.held
    }
}

// ---- while others log without pause

/// Runs `work` while four threads log without pause.
fn under_load(logger: &Logger, work: impl FnOnce()) {
    let is_over = AtomicBool::new(false);
    let (is_over, logger) = (&is_over, logger);
    thread::scope(|scope| {
        /// Also if an assertion fails: else the scope would never end.
        struct Ends<'a>(&'a AtomicBool);
        impl Drop for Ends<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        for _ in 0..4 {
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    info!(logger: logger, "load");
                }
            });
        }
        let _ends = Ends(is_over);
        work();
    });
}

#[test]
fn a_flush_returns_while_four_threads_log_without_pause_and_the_rings_are_never_empty() {
    // It is slower than one of the threads, so there is always something to be handed out.
    let slow = each(|_| {
        let end = Instant::now() + Duration::from_micros(5);
        while Instant::now() < end {}
    });
    let capture = Capture::new();
    let builder = treering::builder().ring_capacity(16 * 1024).handler(slow);
    let (logger, guard) =
        builder.handler(capture.clone().filter(|record| record.level() == Level::Warn)).start().unwrap();
    under_load(&logger, || {
        eventually("the load is more than the handler takes", || guard.stats().dropped > 0);
        for n in 1..=20 {
            warn!(logger: logger, "before flush {n}");
            guard.flush(SOON).unwrap();
            let out = capture.records().iter().filter(|record| record.target() == "flush").count();
            assert_eq!(out, n, "what was logged before it is out");
        }
    });
    let report = guard.stop(LONG).unwrap();
    report.assert_balanced();
}

#[test]
fn a_flush_hands_out_no_more_than_was_there_when_it_began_to_look() {
    const RING: usize = 16 * 1024;
    const THREADS: u64 = 5;
    let (logger, guard) =
        treering::builder().wait(Wait::Manual).ring_capacity(RING).handler(Capture::new()).start().unwrap();
    // A record is two words at least.
    let most = THREADS * (RING as u64 / 16);
    under_load(&logger, || {
        eventually("a ring is full", || guard.stats().dropped > 0);
        for _ in 0..50 {
            let before = guard.stats().dispatched;
            guard.flush(SOON).unwrap();
            let handed_out = guard.stats().dispatched - before;
            assert!(handed_out <= most, "{handed_out}");
        }
    });
    guard.stop(LONG).unwrap().assert_balanced();
}

// ---- futures

/// A task of the smallest executor: who wakes it is counted, and its thread unparked.
struct Task {
    thread: Thread,
    woken: AtomicUsize,
}

impl Task {
    fn here() -> Arc<Self> {
        Arc::new(Task { thread: thread::current(), woken: AtomicUsize::new(0) })
    }

    fn woken(&self) -> usize {
        self.woken.load(Ordering::SeqCst)
    }

    fn poll<F: Future + Unpin>(self: &Arc<Self>, future: &mut F) -> Poll<F::Output> {
        Pin::new(future).poll(&mut Context::from_waker(&Waker::from(self.clone())))
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.woken.fetch_add(1, Ordering::SeqCst);
        self.thread.unpark();
    }
}

/// Runs a future to its end. A poll that nobody has woken it for is not made.
#[track_caller]
fn block_on<F: Future>(future: F) -> F::Output {
    let (mut future, task) = (pin!(future), Task::here());
    let start = Instant::now();
    let mut seen = 0;
    loop {
        if let Poll::Ready(output) = task.poll(&mut future) {
            return output;
        }
        while task.woken() == seen {
            let left = SOON.saturating_sub(start.elapsed());
            assert!(!left.is_zero(), "nobody woke the task");
            thread::park_timeout(left);
        }
        seen = task.woken();
    }
}

/// An engine whose handler stands before a gate, with a record behind it.
fn hanging() -> (Logger, Guard, Gate) {
    let gate = Gate::closed();
    let at_gate = gate.clone();
    let (logger, guard) = treering::builder().handler(each(move |_| at_gate.pass())).start().unwrap();
    info!(logger: logger, "hangs");
    gate.wait_for_guest();
    (logger, guard, gate)
}

#[test]
fn a_future_goes_everywhere() {
    fn goes_everywhere<T: Send + Sync + Unpin + 'static>() {}
    goes_everywhere::<Flush>();
}

#[test]
fn when_a_flush_that_is_awaited_ends_every_record_from_before_it_has_left_the_handlers() {
    let parcels = Parcels::default();
    let builder = treering::builder().overflow(Overflow::block(LONG)).handler(parcels.clone());
    let (logger, guard) = builder.start().unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                block_on(async {
                    for _ in 0..100 {
                        info!(logger: logger, "one");
                        let submitted = guard.stats().submitted;
                        logger.flush_async().await.unwrap();
                        // Each thread's own are among them; the others' may be.
                        let sent: u64 = parcels.sent().iter().sum();
                        assert!(sent + 3 >= submitted, "{sent} of {submitted} were sent");
                    }
                });
            });
        }
    });
    assert_eq!(parcels.sent().iter().sum::<u64>(), 400);
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless(), "{report}");
    block_on(guard.flush_async()).unwrap();
}

#[test]
fn the_flush_is_under_way_from_the_call_on_whether_it_is_polled_or_dropped() {
    let (logger, guard, gate) = hanging();
    let flushed = guard.flush_async();
    info!(logger: logger, "after the call, before the first poll");
    drop(guard.flush_async());
    let mut unpolled = guard.flush_async();
    gate.open();
    block_on(flushed).unwrap();
    // Nobody was there to be woken, so the first poll has to find it done.
    eventually("it is done", || Task::here().poll(&mut unpolled).is_ready());
}

#[test]
fn of_a_thousand_that_wait_half_are_dropped_and_the_others_all_end() {
    let (_logger, guard, gate) = hanging();
    let mut all: Vec<_> = (0..1000).map(|_| (guard.flush_async(), Task::here())).collect();
    for (future, task) in &mut all {
        assert!(task.poll(future).is_pending());
    }
    let mut dropped = Vec::new();
    let mut kept = Vec::new();
    for (n, (future, task)) in all.into_iter().enumerate() {
        if n % 2 == 0 {
            drop(future);
            dropped.push(task);
        } else {
            kept.push((future, task));
        }
    }
    assert!(dropped.iter().all(|task| Arc::strong_count(task) == 1), "a waker was kept");
    gate.open();
    for (future, task) in &mut kept {
        eventually("it is woken", || task.woken() > 0);
        assert!(matches!(task.poll(future), Poll::Ready(Ok(()))));
        // Who wakes it counts first, and lets go of its waker then.
        eventually("its waker is gone", || Arc::strong_count(task) == 1);
        assert_eq!(task.woken(), 1);
    }
    assert!(dropped.iter().all(|task| task.woken() == 0));
}

#[test]
fn the_waker_of_the_last_poll_counts() {
    let (_logger, guard, gate) = hanging();
    let (mut future, first, last) = (guard.flush_async(), Task::here(), Task::here());
    assert!(first.poll(&mut future).is_pending());
    assert!(last.poll(&mut future).is_pending());
    assert_eq!(Arc::strong_count(&first), 1, "its waker was kept");
    gate.open();
    eventually("the last is woken", || last.woken() > 0);
    assert_eq!(first.woken(), 0);
}

#[test]
fn a_stop_in_time_ends_it_and_one_that_gives_up_does_so_with_an_error() {
    let (_logger, guard, gate) = hanging();
    let (mut future, task) = (guard.flush_async(), Task::here());
    assert!(task.poll(&mut future).is_pending());
    gate.open();
    guard.stop(SOON).unwrap().assert_balanced();
    assert_eq!(task.woken(), 1);
    assert!(matches!(task.poll(&mut future), Poll::Ready(Ok(()))));

    let (_logger, guard, gate) = hanging();
    let (mut future, task) = (guard.flush_async(), Task::here());
    assert!(task.poll(&mut future).is_pending());
    guard.stop(Duration::from_millis(20)).unwrap().assert_balanced();
    assert_eq!(task.woken(), 1);
    let Poll::Ready(Err(error)) = task.poll(&mut future) else { panic!("it has nothing to wait for") };
    assert!(error.is_timeout(), "{error}");
    assert!(block_on(guard.flush_async()).unwrap_err().is_timeout());
    gate.open();
}

#[test]
fn one_that_was_done_before_a_stop_gave_up_has_no_error() {
    let (logger, guard, gate) = hanging();
    let (mut future, task) = (guard.flush_async(), Task::here());
    assert!(task.poll(&mut future).is_pending());
    gate.open();
    eventually("it is done", || task.woken() > 0);
    gate.set_open(false);
    info!(logger: logger, "hangs");
    gate.wait_for_guest();
    guard.stop(Duration::from_millis(20)).unwrap().assert_balanced();
    assert!(matches!(task.poll(&mut future), Poll::Ready(Ok(()))));
    gate.open();
}

/// What it does when it is woken.
struct Does<F>(F);

impl<F: Fn() + Send + Sync + 'static> Wake for Does<F> {
    fn wake(self: Arc<Self>) {
        self.0();
    }
}

fn waker(wake: impl Fn() + Send + Sync + 'static) -> Waker {
    Waker::from(Arc::new(Does(wake)))
}

#[test]
fn a_waker_that_panics_is_told_of_and_keeps_nobody_from_being_woken() {
    let gate = Gate::closed();
    let at_gate = gate.clone();
    let faults = Arc::new(Mutex::new(Vec::new()));
    let sink = faults.clone();
    let builder = treering::builder().error_hook(move |fault| sink.lock().unwrap().push(fault.to_owned()));
    let (logger, guard) = builder.handler(each(move |_| at_gate.pass())).start().unwrap();
    info!(logger: logger, "hangs");
    gate.wait_for_guest();
    let mut first = guard.flush_async();
    let panics = waker(|| panic!("not now"));
    assert!(Pin::new(&mut first).poll(&mut Context::from_waker(&panics)).is_pending());
    let (mut second, task) = (guard.flush_async(), Task::here());
    assert!(task.poll(&mut second).is_pending());
    gate.open();
    eventually("the second is woken", || task.woken() > 0);
    guard.flush(SOON).unwrap();
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless() && report.listener_panics == 0, "{report:#?}");
    assert_eq!(*faults.lock().unwrap(), ["a task that waits for a flush panicked as it was woken: not now"]);
}

#[test]
fn a_waker_may_ask_the_engine_and_log() {
    let (logger, guard, gate) = hanging();
    let guard = Arc::new(guard);
    let woken = Arc::new(AtomicUsize::new(0));
    let (count, theirs) = (woken.clone(), guard.clone());
    let asks = waker(move || {
        info!(logger: logger, "woken");
        assert_eq!(theirs.stats().dropped, 0);
        drop(theirs.flush_async());
        assert!(theirs.flush(SOON).unwrap_err().is_on_listener_thread());
        count.fetch_add(1, Ordering::SeqCst);
    });
    let mut future = guard.flush_async();
    assert!(Pin::new(&mut future).poll(&mut Context::from_waker(&asks)).is_pending());
    gate.open();
    eventually("it is woken, and comes to its end", || woken.load(Ordering::SeqCst) == 1);
    block_on(future).unwrap();
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert_eq!(report.dispatched, 2);
}

#[test]
fn a_handler_that_waits_for_a_future_gets_an_error_and_one_that_hands_it_on_does_not() {
    let handed_on = Arc::new(Mutex::new(None));
    let (logger_of_handler, theirs) = (Arc::new(Mutex::new(None::<Logger>)), handed_on.clone());
    let its_logger = logger_of_handler.clone();
    let failed = Arc::new(AtomicBool::new(false));
    let has_failed = failed.clone();
    let (logger, guard) = treering::builder()
        .handler(each(move |_| {
            let logger = its_logger.lock().unwrap().clone().unwrap();
            let error = block_on(logger.flush_async()).unwrap_err();
            has_failed.store(error.is_on_listener_thread(), Ordering::SeqCst);
            *theirs.lock().unwrap() = Some(logger.flush_async());
        }))
        .start()
        .unwrap();
    *logger_of_handler.lock().unwrap() = Some(logger.clone());
    info!(logger: logger, "asks");
    guard.flush(SOON).unwrap();
    assert!(failed.load(Ordering::SeqCst));
    block_on(handed_on.lock().unwrap().take().unwrap()).unwrap();
    logger_of_handler.lock().unwrap().take();
}

#[test]
fn without_a_thread_a_poll_takes_the_turn() {
    let capture = Capture::new();
    let builder = treering::builder().wait(Wait::Manual).handler(capture.clone());
    let (logger, guard) = builder.start().unwrap();
    info!(logger: logger, "out");
    let mut future = guard.flush_async();
    assert!(capture.is_empty());
    assert!(matches!(Task::here().poll(&mut future), Poll::Ready(Ok(()))));
    assert_eq!(capture.len(), 1);
}

#[test]
fn without_a_thread_a_poll_does_not_wait_for_another_threads_turn_whose_end_wakes_the_task() {
    let gate = Gate::closed();
    let at_gate = gate.clone();
    let builder = treering::builder().wait(Wait::Manual).handler(each(move |_| at_gate.pass()));
    let (logger, guard) = builder.start().unwrap();
    info!(logger: logger, "hangs");
    thread::scope(|scope| {
        scope.spawn(|| guard.poll());
        gate.wait_for_guest();
        info!(logger: logger, "behind it");
        let (mut future, task) = (guard.flush_async(), Task::here());
        assert!(task.poll(&mut future).is_pending());
        assert_eq!(task.woken(), 0, "a task that is woken at once polls in a loop");
        gate.open();
        eventually("the end of the turn wakes it", || task.woken() == 1);
        assert!(matches!(task.poll(&mut future), Poll::Ready(Ok(()))));
    });
    assert_eq!(guard.stats().handlers["each"].delivered, 2);
}

#[test]
fn without_an_engine_the_future_is_an_error() {
    assert!(block_on(treering::flush_async()).unwrap_err().is_not_running());
}

// ---- without being asked

/// Far longer than a test takes.
const NEVER: Duration = Duration::from_secs(3600);

/// Never, but for what a test adds.
fn never() -> FlushPolicy {
    FlushPolicy::new().when_idle(false).held_at_most(NEVER)
}

/// An engine whose turns a test takes, with a handler that is flushed by this policy.
fn flushed_by(policy: FlushPolicy) -> (Logger, Guard, Parcels) {
    let parcels = Parcels::default();
    let builder = treering::builder().wait(Wait::Manual).handler(parcels.clone().flush_policy(policy));
    let (logger, guard) = builder.start().unwrap();
    (logger, guard, parcels)
}

#[test]
fn by_default_what_is_held_leaves_when_the_listener_runs_idle() {
    let (logger, guard, parcels) = flushed_by(FlushPolicy::new().held_at_most(NEVER));
    (0..3).for_each(|n| info!(logger: logger, "{n}"));
    guard.poll().unwrap();
    assert_eq!(parcels.sent(), [3]);
}

#[test]
fn where_idleness_does_not_count_it_is_held_until_somebody_asks() {
    let (logger, guard, parcels) = flushed_by(never());
    for n in 0..3 {
        error!(logger: logger, "{n}");
        guard.poll().unwrap();
    }
    assert!(parcels.sent().is_empty());
    assert_eq!(guard.stats().handlers["Parcels"].held, 3);
    guard.flush(SOON).unwrap();
    assert_eq!(parcels.sent(), [3]);
}

#[test]
fn a_batch_with_a_record_of_the_level_is_followed_by_a_flush_and_one_without_is_not() {
    let (logger, guard, parcels) = flushed_by(never().at_level(Level::Warn));
    info!(logger: logger, "lesser");
    guard.poll().unwrap();
    assert!(parcels.sent().is_empty());
    warn!(logger: logger, "of the level");
    info!(logger: logger, "in the same batch");
    guard.poll().unwrap();
    assert_eq!(parcels.sent(), [3]);
    error!(logger: logger, "above it");
    guard.poll().unwrap();
    assert_eq!(parcels.sent(), [3, 1]);
}

#[test]
fn a_record_that_the_handler_does_not_get_flushes_nothing() {
    let parcels = Parcels::default();
    let handler = parcels.clone().filter(|record| record.level() == Level::Info);
    let builder = treering::builder().wait(Wait::Manual);
    let (logger, guard) =
        builder.handler(handler.flush_policy(never().at_level(Level::Error))).start().unwrap();
    info!(logger: logger, "its own");
    error!(logger: logger, "somebody else's");
    guard.poll().unwrap();
    assert!(parcels.sent().is_empty());
}

#[test]
fn after_so_many_records_it_is_flushed_before_the_next_one() {
    let (logger, guard, parcels) = flushed_by(never().each_records(3));
    (0..10).for_each(|n| info!(logger: logger, "{n}"));
    guard.poll().unwrap();
    assert_eq!(parcels.sent(), [3, 3, 3]);
    (0..2).for_each(|n| info!(logger: logger, "{n}"));
    guard.poll().unwrap();
    assert_eq!(parcels.sent(), [3, 3, 3, 3], "those of the batch before count");
    let (logger, guard, parcels) = flushed_by(never().each_records(0));
    (0..2).for_each(|n| info!(logger: logger, "{n}"));
    guard.poll().unwrap();
    assert_eq!(parcels.sent(), [1, 1], "0 is 1");
}

#[test]
fn what_is_held_for_the_given_time_leaves_though_the_listener_sleeps_and_nobody_logs() {
    let policy = never().held_at_most(Duration::from_millis(150));
    // A listener that sleeps through it is woken half a second after it parked, every time; a busy machine is late once.
    let is_in_time = (0..10).any(|_| {
        let parcels = Parcels::default();
        let builder = treering::builder().handler(parcels.clone().flush_policy(policy));
        let (logger, _guard) = builder.start().unwrap();
        let logged = Instant::now();
        info!(logger: logger, "held");
        eventually("it is flushed", || parcels.sent() == [1]);
        let held = logged.elapsed();
        assert!(held >= Duration::from_millis(150), "{held:?}");
        held < Duration::from_millis(400)
    });
    assert!(is_in_time);
}

#[test]
fn while_others_arrive_nothing_is_held_for_longer_than_the_given_time() {
    let (logger, guard, parcels) = flushed_by(never().held_at_most(Duration::from_millis(50)));
    let start = Instant::now();
    while parcels.sent().is_empty() {
        assert!(start.elapsed() < SOON);
        info!(logger: logger, "another one");
        guard.poll().unwrap();
    }
    assert!(start.elapsed() >= Duration::from_millis(50));
}

#[test]
fn a_handler_in_quarantine_is_not_flushed_for_what_it_did_not_get() {
    /// Fails always, and counts its flushes.
    struct Fails(Arc<AtomicUsize>);
    impl Handler for Fails {
        fn handle(&mut self, _: &Batch<'_>) -> Result<(), HandlerError> {
            Err(HandlerError::new("never"))
        }

        fn flush(&mut self) -> Result<(), HandlerError> {
            self.0.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
    }
    let flushes = Arc::new(AtomicUsize::new(0));
    let handler = Fails(flushes.clone()).flush_policy(never().at_level(Level::Error));
    let builder = treering::builder().wait(Wait::Manual).error_hook(|_| ()).handler(handler);
    let (logger, guard) = builder.start().unwrap();
    (0..1000).for_each(|n| error!(logger: logger, "{n}"));
    guard.poll().unwrap();
    assert!(guard.stats().handlers["Fails"].quarantined);
    assert_eq!(flushes.load(Ordering::SeqCst), 0);
}

// ---- until nothing is held

/// Lets one record go with each flush, as a full pipe does.
struct Trickles(Arc<AtomicU64>);

impl Handler for Trickles {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        self.0.fetch_add(batch.len() as u64, Ordering::SeqCst);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), HandlerError> {
        let _ = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |held| held.checked_sub(1));
        Ok(())
    }

    fn held(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

#[test]
fn wait_idle_asks_again_until_the_handlers_hold_nothing_where_a_flush_asks_once() {
    for wait in [Wait::Adaptive, Wait::Manual] {
        let held = Arc::new(AtomicU64::new(0));
        let handler = Trickles(held.clone()).flush_policy(never());
        let (logger, guard) = treering::builder().wait(wait).handler(handler).start().unwrap();
        (0..5).for_each(|n| info!(logger: logger, "{n}"));
        guard.flush(SOON).unwrap();
        assert_eq!(held.load(Ordering::SeqCst), 4);
        guard.wait_idle(SOON).unwrap();
        assert_eq!(held.load(Ordering::SeqCst), 0);
        let report = guard.stats();
        assert_eq!((report.pending, report.handlers["Trickles"].delivered), (0, 5));
    }
}

#[test]
fn wait_idle_keeps_its_deadline_while_a_handler_holds_on() {
    for wait in [Wait::Adaptive, Wait::Manual] {
        let held = Arc::new(AtomicU64::new(1_000_000));
        let (logger, guard) = treering::builder().wait(wait).handler(Trickles(held)).start().unwrap();
        info!(logger: logger, "stays");
        let start = Instant::now();
        assert!(guard.wait_idle(Duration::from_millis(50)).unwrap_err().is_timeout());
        assert!(start.elapsed() >= Duration::from_millis(50));
        assert!(start.elapsed() < SOON);
    }
}

#[test]
fn wait_idle_returns_under_constant_load_with_all_that_was_submitted_before() {
    let builder = treering::builder().ring_capacity(16 * 1024).handler(Parcels::default());
    let (logger, guard) = builder.start().unwrap();
    under_load(&logger, || {
        for _ in 0..20 {
            let submitted = guard.stats().submitted;
            guard.wait_idle(SOON).unwrap();
            let report = guard.stats();
            let settled = report.dispatched + report.dropped;
            assert!(settled >= submitted, "{settled} of {submitted}");
        }
    });
    guard.stop(LONG).unwrap().assert_balanced();
}

#[test]
fn wait_idle_is_not_held_up_by_records_that_fail_or_by_a_stop() {
    let fails = support::Each(|_: &treering::Record<'_>| Err(HandlerError::new("never")));
    let builder = treering::builder().error_hook(|_| ()).handler(fails);
    let (logger, guard) = builder.start().unwrap();
    (0..5).for_each(|n| info!(logger: logger, "{n}"));
    guard.wait_idle(SOON).unwrap();
    assert_eq!(guard.stats().handlers["each"].failed, 5);
    guard.stop(SOON).unwrap().assert_balanced();
    guard.wait_idle(Duration::ZERO).unwrap();
    assert!(treering::wait_idle(SOON).unwrap_err().is_not_running());

    let (_logger, guard, gate) = hanging();
    thread::scope(|scope| {
        let waits = scope.spawn(|| guard.wait_idle(LONG));
        guard.stop(Duration::from_millis(50)).unwrap().assert_balanced();
        assert!(waits.join().unwrap().unwrap_err().is_timeout());
    });
    gate.open();
}

#[test]
fn wait_idle_does_not_wait_for_records_that_made_room_for_newer_ones() {
    let builder =
        treering::builder().wait(Wait::Manual).ring_capacity(4096).overflow(Overflow::drop_oldest());
    let (logger, guard) = builder.handler(Parcels::default()).start().unwrap();
    (0..1000).for_each(|n| info!(logger: logger, "{n}"));
    assert!(guard.stats().dropped > 0);
    guard.wait_idle(SOON).unwrap();
    assert_eq!(guard.stats().pending, 0);
}

#[test]
fn a_handler_that_waits_until_nothing_is_held_gets_an_error() {
    let (its_logger, answer) = (Arc::new(Mutex::new(None::<Logger>)), Arc::new(Mutex::new(None)));
    let (theirs, kept) = (its_logger.clone(), answer.clone());
    let asks =
        each(move |_| *kept.lock().unwrap() = Some(theirs.lock().unwrap().take().unwrap().wait_idle(SOON)));
    let (logger, guard) = treering::builder().handler(asks).start().unwrap();
    *its_logger.lock().unwrap() = Some(logger.clone());
    info!(logger: logger, "asks");
    guard.flush(SOON).unwrap();
    assert!(answer.lock().unwrap().take().unwrap().unwrap_err().is_on_listener_thread());
}

/// The second flush comes, and the stop, when the listener has begun to sleep for a day, or is about to.
#[test]
fn who_flushes_or_stops_does_not_wait_for_a_listener_that_polls_seldom() {
    let day = Duration::from_secs(86_400);
    let (logger, guard) = treering::builder().wait(Wait::Poll(day)).handler(Capture::new()).start().unwrap();
    for _ in 0..2 {
        info!(logger: logger, "on its way");
        guard.flush(SOON).unwrap();
        std::thread::sleep(Duration::from_millis(10));
    }
    info!(logger: logger, "on its way");
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless(), "the stop gave up: {report}");
}
