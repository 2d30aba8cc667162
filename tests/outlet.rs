//! Engines whose records go into a queue instead of rings, with a listener at its other end.

#![allow(clippy::print_stderr, reason = "tests tell their figures")]

mod support;

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use support::ledger::{Received, compare, compare_through_queue, receiver};
use support::{Gate, LONG, SOON, each, eventually, in_child, own_thread_id, text};
use treering::handler::{Capture, QueueHandler};
use treering::overflow::{Decision, Full, Reason};
use treering::queue::{
    Channel, Deadline, Dequeue, DequeueError, Dequeued, Enqueue, EnqueueError, Frames, Locked, Queue,
};
use treering::record::Timestamp;
use treering::{
    Builder, Guard, Level, Listener, Listening, Logger, Overflow, Report, Wait, debug, error, info, trace,
    warn,
};

/// A queue as a user writes one: a channel of std's, whose end is dropped to close it.
struct Mpsc {
    sender: Mutex<Option<SyncSender<Option<Vec<u8>>>>>,
    receiver: Mutex<Receiver<Option<Vec<u8>>>>,
}

impl Mpsc {
    fn bounded(frames: usize) -> Self {
        let (sender, receiver) = sync_channel(frames);
        Mpsc { sender: Mutex::new(Some(sender)), receiver: Mutex::new(receiver) }
    }

    fn send(&self, message: Option<Vec<u8>>) -> Result<(), EnqueueError> {
        let sender = self.sender.lock().unwrap();
        sender.as_ref().ok_or(EnqueueError::Closed)?.try_send(message).map_err(|_| EnqueueError::Full)
    }
}

impl Enqueue for Mpsc {
    fn enqueue(&self, frame: &[u8]) -> Result<(), EnqueueError> {
        self.send(Some(frame.to_vec()))
    }
}

impl Dequeue for Mpsc {
    fn dequeue(&self, frames: &mut Frames, deadline: Deadline) -> Result<Dequeued, DequeueError> {
        match self.receiver.lock().unwrap().recv_timeout(deadline.left().unwrap_or(Duration::MAX)) {
            Ok(Some(frame)) => frames.push(&frame),
            Ok(None) | Err(RecvTimeoutError::Timeout) => return Ok(Dequeued::Empty),
            Err(RecvTimeoutError::Disconnected) => return Ok(Dequeued::Closed),
        }
        Ok(Dequeued::Some(1))
    }

    fn close(&self) {
        *self.sender.lock().unwrap() = None;
    }

    fn wake(&self) {
        let _ = self.send(None);
    }
}

/// An engine over a queue, and a listener at its other end that nobody polls before the test says so.
struct Paused {
    logger: Logger,
    guard: Guard,
    listening: Listening,
    received: Arc<Mutex<Received>>,
}

impl Paused {
    fn new(builder: Builder, queue: impl Queue + 'static) -> Self {
        let queue = Arc::new(queue);
        let (take, received) = receiver(Duration::ZERO, None);
        let listening = Listener::new(queue.clone()).handler(take).manual();
        let (logger, guard) = builder.filter("trace").queue(queue).start().unwrap();
        Paused { logger, guard, listening, received }
    }

    fn info(&self, numbers: impl IntoIterator<Item = u64>) {
        numbers.into_iter().for_each(|n| info!(logger: self.logger, "{n}"));
    }

    fn dropped(&self, reason: Reason) -> u64 {
        self.guard.stats().dropped_by_reason.total(reason)
    }

    /// Stops both, and checks both books against what was logged.
    #[track_caller]
    fn finish(self, logged: [u64; 5]) -> Received {
        while self.listening.poll().unwrap() > 0 {}
        let report = self.guard.stop(LONG).unwrap();
        let intake = self.listening.stop(LONG).unwrap();
        let received = self.received.lock().unwrap().clone();
        compare_through_queue(&report, &intake, logged, &received);
        received
    }
}

#[test]
fn a_record_that_a_caller_enqueued_is_as_one_that_went_through_rings() {
    let same = |queue: Arc<dyn Queue>, direct: Capture| {
        let far = Capture::new();
        let listening = Listener::new(queue.clone()).handler(far.clone()).start().unwrap();
        let log = |logger: &Logger| {
            warn!(logger: logger, target: "risk", list = &[1_u8, 2], order.total = 12.5, "{:>8}|{:?}", 7, Some("x"));
            let error = std::io::Error::other("disk full");
            info!(logger: logger, %error, gap = None::<u8>, "text with {{ and {}", "ß\n");
            let logger = logger.clone();
            let there = move || error!(logger: logger, "there");
            std::thread::Builder::new().name("other".into()).spawn(there).unwrap().join().unwrap();
        };
        let (logger, guard) = treering::builder().queue(queue).start().unwrap();
        log(&logger);
        let report = guard.stop(SOON).unwrap();
        report.assert_balanced();
        assert_eq!((report.submitted, report.dispatched, report.rings), (3, 3, 0), "{report}");
        listening.stop(SOON).unwrap().assert_balanced();
        let (logger, guard) = treering::builder().handler(direct.clone()).start().unwrap();
        log(&logger);
        guard.stop(SOON).unwrap().assert_balanced();
        let said = |capture: &Capture| -> Vec<_> {
            let records = capture.records();
            let said = records.iter().map(|record| {
                let place = (record.level(), record.target().to_owned(), record.line());
                let fields = format!("{:?}", record.fields());
                (place, record.message().to_owned(), fields, record.thread_name().map(str::to_owned))
            });
            said.collect()
        };
        assert_eq!(said(&far), said(&direct));
        assert_eq!(far.records()[0].thread_id(), own_thread_id());
        let (enqueued, in_ring) = (far.records()[0].time(), direct.records()[0].time());
        assert!(enqueued < in_ring && in_ring.as_nanos() - enqueued.as_nanos() < 60_000_000_000);
    };
    same(Arc::new(Locked::bounded(1 << 20)), Capture::new());
    same(Arc::new(Channel::bounded(16)), Capture::new());
    same(Arc::new(Mpsc::bounded(16)), Capture::new());
}

/// So many frames find room.
const FIT: u64 = 20;

#[test]
fn of_more_records_than_fit_each_policy_keeps_its_own_and_tells_of_all_others() {
    const MORE: u64 = 7;
    let refuses = Overflow::custom(|full: &Full<'_>| {
        assert_eq!((full.free(), full.capacity(), full.level()), (0, 0, Level::Info));
        assert!(full.bytes() > 50);
        Decision::Drop
    });
    for (policy, reason) in [
        (Overflow::drop_newest(), Reason::Full),
        (Overflow::block(Duration::from_millis(1)), Reason::Full),
        (refuses, Reason::Policy),
    ] {
        for queue in [&|| Box::new(Channel::bounded(FIT as usize)) as Box<dyn Queue>, &|| {
            Box::new(Mpsc::bounded(20)) as _
        }] as [&dyn Fn() -> Box<dyn Queue>; 2]
        {
            let paused = Paused::new(treering::builder().overflow(policy.clone()), queue());
            paused.info(0..FIT + MORE);
            let report = paused.guard.stats();
            assert_eq!((report.dispatched, report.dropped, report.pending), (FIT, MORE, 0));
            assert_eq!(paused.dropped(reason), MORE);
            while paused.listening.poll().unwrap() > 0 {}
            paused.info([FIT + MORE]);
            let received = paused.finish([0, 0, FIT + MORE + 1, 0, 0]);
            assert!(
                received.numbers.iter().copied().eq((0..FIT).chain([FIT + MORE])),
                "{:?}",
                received.numbers
            );
            let [told] = &received.losses[..] else { panic!("{:?}", received.losses) };
            assert_eq!((&*told.reason, told.by_level[2], told.behind as u64), (reason.as_str(), MORE, FIT));
        }
    }
}

/// Logs two records for each one that is taken out, so that one is lost each time.
const OVERLOAD: u64 = 900;

/// What a reader got that took one frame for each two records: mostly records, and of losses no more than it must.
#[track_caller]
fn carries_records(received: &Received) {
    let (records, losses) = (received.numbers.len() as u64, received.losses.len() as u64);
    assert!(records >= OVERLOAD * 4 / 5, "{records} records and {losses} losses");
    assert!((OVERLOAD / 10..OVERLOAD / 5).contains(&losses), "{records} records and {losses} losses");
}

#[test]
fn a_queue_that_stays_full_carries_records_and_not_losses() {
    let paused = Paused::new(treering::builder(), Channel::bounded(1));
    for n in 0..OVERLOAD {
        paused.info([2 * n, 2 * n + 1]);
        assert_eq!(paused.listening.poll().unwrap(), 1);
    }
    carries_records(&paused.finish([0, 0, 2 * OVERLOAD, 0, 0]));
}

#[test]
fn nor_does_one_behind_a_handler_whose_losses_have_levels_and_reasons_too() {
    let queue = Arc::new(Channel::bounded(1));
    let (take, received) = receiver(Duration::ZERO, None);
    let listening = Listener::new(queue.clone()).handler(take).manual();
    let handler = QueueHandler::new(queue.clone());
    let builder = treering::builder().wait(Wait::Manual).error_hook(|_| {}).handler(handler);
    let (logger, guard) = builder.start().unwrap();
    for n in 0..OVERLOAD {
        info!(logger: logger, "{}", 2 * n);
        warn!(logger: logger, "{}", 2 * n + 1);
        assert_eq!(guard.poll().unwrap(), 2);
        assert_eq!(listening.poll().unwrap(), 1);
    }
    guard.flush(SOON).unwrap(); // tells of the rest
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    let handler = &report.handlers["QueueHandler"];
    while listening.poll().unwrap() > 0 {}
    listening.stop(SOON).unwrap().assert_balanced();
    let received = received.lock().unwrap();
    carries_records(&received);
    assert!(received.losses.iter().all(|told| told.reason == "full"));
    assert_eq!((handler.failed, handler.delivered), (received.lost, received.numbers.len() as u64));
    let (came, lost) = (received.by_level, received.lost_by_level);
    assert_eq!(std::array::from_fn(|level| came[level] + lost[level]), [0, OVERLOAD, OVERLOAD, 0, 0]);
}

/// Fails at each frame that is no loss's.
struct TakesLossesOnly(Channel);

impl Enqueue for TakesLossesOnly {
    fn enqueue(&self, frame: &[u8]) -> Result<(), EnqueueError> {
        if tells_of_a_loss(frame) { self.0.enqueue(frame) } else { Err(EnqueueError::failed("not this one")) }
    }
}

#[test]
fn records_that_fail_in_a_row_do_not_make_a_loss_each() {
    let queue = Arc::new(TakesLossesOnly(Channel::bounded(1000)));
    let builder = treering::builder().error_hook(|_| {});
    let (logger, guard) = builder.queue(queue.clone()).start().unwrap();
    (0..100).for_each(|n| info!(logger: logger, "{n}"));
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert_eq!(report.dropped_by_reason.total(Reason::Failed), 100);
    assert_eq!(queue.0.backlog(), Some(2), "the first, and the others at the stop");
}

#[test]
fn a_loss_says_since_when_and_until_there_was_room_again() {
    let (queue, capture) = (Arc::new(Channel::bounded(1)), Capture::new());
    let listening = Listener::new(queue.clone()).handler(capture.clone()).manual();
    let (logger, guard) = treering::builder().queue(queue).start().unwrap();
    info!(logger: logger, "taken");
    let before = now();
    info!(logger: logger, "lost");
    let lost = now();
    std::thread::sleep(Duration::from_millis(2));
    listening.poll().unwrap();
    let room = now();
    guard.stop(SOON).unwrap().assert_balanced();
    listening.stop(SOON).unwrap().assert_balanced();
    let told = &capture.records()[1];
    let time = |name: &str| told.field(name).unwrap().as_str().unwrap().to_owned();
    assert!((before..=lost).contains(&time("from")), "{told:?}");
    assert!(time("until") >= room && time("until") == told.time().to_string(), "{told:?}");
}

/// The time, as records tell it.
fn now() -> String {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Timestamp::from_nanos(since.as_nanos() as u64).to_string()
}

#[test]
fn a_queue_that_is_smaller_than_what_is_said_of_a_loss_goes_on() {
    let paused = Paused::new(treering::builder(), Locked::bounded(450));
    let mut logged = 0;
    for _ in 0..5 {
        paused.info(logged..logged + 10);
        logged += 10;
        while paused.listening.poll().unwrap() > 0 {}
    }
    let received = paused.finish([0, 0, logged, 0, 0]);
    assert!(received.numbers.last().unwrap() >= &40, "{received:?}");
}

#[test]
fn each_level_has_its_policy() {
    let asked = Arc::new(AtomicU64::new(0));
    let counted = asked.clone();
    let policy = Overflow::custom(move |full: &Full<'_>| {
        if counted.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
            assert!(full.waited() < Duration::from_secs(10));
            return Decision::Wait(Duration::ZERO);
        }
        Decision::Drop
    });
    let builder = treering::builder()
        .overflow_below(Level::Warn, Overflow::drop_newest())
        .overflow_at(Level::Warn, policy)
        .overflow_at(Level::Error, Overflow::block(Duration::from_millis(20)));
    let paused = Paused::new(builder, Channel::bounded(FIT as usize));
    paused.info(0..FIT);
    let since = Instant::now();
    error!(logger: paused.logger, "{}", 100);
    assert!(since.elapsed() >= Duration::from_millis(20));
    (0..3).for_each(|n| warn!(logger: paused.logger, "{n}"));
    assert_eq!(asked.load(Ordering::Relaxed), 6, "each asked twice");
    debug!(logger: paused.logger, "{}", 1);
    trace!(logger: paused.logger, "{}", 2);
    let report = paused.guard.stats();
    assert_eq!(report.dropped_by_reason[Reason::Full], [1, 0, 0, 1, 1]);
    assert_eq!(report.dropped_by_reason[Reason::Policy], [0, 3, 0, 0, 0]);
    assert_eq!(paused.listening.poll().unwrap() as u64, FIT);
    let received = paused.finish([1, 3, FIT, 1, 1]);
    let reasons: Vec<_> = received.losses.iter().map(|told| &*told.reason).collect();
    assert_eq!(reasons, ["full", "policy"], "told at the stop, one for each reason");
}

#[test]
fn who_waits_goes_on_when_there_is_room_also_after_a_flush_of_its_own() {
    let paused =
        Paused::new(treering::builder().overflow(Overflow::block_forever()), Channel::bounded(FIT as usize));
    let logged = Arc::<AtomicU64>::default();
    let (own, flushing) = (paused.logger.clone(), logged.clone());
    std::thread::spawn(move || {
        own.flush(SOON).unwrap(); // must not make it the thread that everybody waits for
        for n in 0..10 * FIT {
            info!(logger: own, "{n}");
            flushing.fetch_add(1, Ordering::Relaxed);
        }
    });
    eventually("the queue is full", || logged.load(Ordering::Relaxed) == FIT);
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(logged.load(Ordering::Relaxed), FIT, "it waits");
    eventually("all found room", || {
        paused.listening.poll().unwrap();
        logged.load(Ordering::Relaxed) == 10 * FIT
    });
    let received = paused.finish([0, 0, 10 * FIT, 0, 0]);
    assert!(received.numbers.iter().copied().eq(0..10 * FIT));
}

/// So many callers wait for room.
const CALLERS: u64 = 64;

/// Threads that log a record each, where there is no room. Who is never woken must not hold up the test: it says so, and ends.
struct Callers {
    begun: Arc<AtomicU64>,
    returned: Arc<AtomicU64>,
}

impl Callers {
    fn of(paused: &Paused) -> Self {
        let callers = Callers { begun: Arc::default(), returned: Arc::default() };
        for n in 1..=CALLERS {
            let (logger, begun, returned) =
                (paused.logger.clone(), callers.begun.clone(), callers.returned.clone());
            std::thread::spawn(move || {
                begun.fetch_add(1, Ordering::Relaxed);
                info!(logger: logger, "{n}");
                returned.fetch_add(1, Ordering::Relaxed);
            });
        }
        eventually("all have begun", || callers.begun.load(Ordering::Relaxed) == CALLERS);
        callers
    }

    #[track_caller]
    fn all_return(&self) {
        eventually("all callers return", || self.returned.load(Ordering::Relaxed) == CALLERS);
    }
}

#[test]
fn callers_that_wait_hardly_use_the_processor_and_a_stop_releases_them_all() {
    let test = "callers_that_wait_hardly_use_the_processor_and_a_stop_releases_them_all";
    let output = in_child(test, &[], || {
        let paused =
            Paused::new(treering::builder().overflow(Overflow::block_forever()), Channel::bounded(1));
        paused.info([0]);
        let callers = Callers::of(&paused);
        std::thread::sleep(Duration::from_millis(200));
        let before = processor_time();
        std::thread::sleep(Duration::from_secs(1));
        let used = processor_time() - before;
        eprintln!("{CALLERS} callers that wait used {used:.1?} in 1 s");
        assert!(used < Duration::from_millis(200), "{used:?}");
        paused.guard.stop(SOON).unwrap();
        callers.all_return();
        let report = paused.guard.stats();
        report.assert_balanced();
        assert_eq!((report.late, report.dispatched), (CALLERS, 1));
    });
    let Some(output) = output else { return };
    eprintln!("{}", text(&output));
    assert!(output.status.success());
}

/// So many callers that wait for room, by their policy, and what comes of them when `then` is done: the books, and how many
/// records came out.
fn of_callers_that_wait(policy: Overflow, then: impl FnOnce(&Paused, &Channel)) -> (Report, u64) {
    let queue = Arc::new(Channel::bounded(1));
    let paused = Paused::new(treering::builder().overflow(policy), queue.clone());
    paused.info([0]);
    let callers = Callers::of(&paused);
    then(&paused, &queue);
    callers.all_return();
    while paused.listening.poll().is_ok_and(|records| records > 0) {}
    let report = paused.guard.stop(SOON).unwrap();
    report.assert_balanced();
    paused.listening.stop(SOON).unwrap().assert_balanced();
    let came = paused.received.lock().unwrap().numbers.len() as u64;
    (report, came)
}

#[test]
fn callers_that_wait_all_get_room_one_after_the_other() {
    let (report, came) = of_callers_that_wait(Overflow::block_forever(), |paused, _| {
        eventually("all came through", || {
            paused.listening.poll().unwrap();
            paused.guard.stats().dispatched == CALLERS + 1
        });
    });
    assert_eq!((report.dispatched, report.dropped, came), (CALLERS + 1, 0, CALLERS + 1));
}

#[test]
fn callers_that_wait_all_return_when_the_queue_is_closed() {
    let (report, came) = of_callers_that_wait(Overflow::block_forever(), |_, queue| {
        std::thread::sleep(Duration::from_millis(50));
        queue.close();
    });
    assert_eq!((report.late, report.dispatched, came), (CALLERS, 1, 1));
}

#[test]
fn callers_that_wait_all_return_at_their_deadlines() {
    let since = Instant::now();
    let (report, came) = of_callers_that_wait(Overflow::block(Duration::from_millis(100)), |_, _| {});
    assert!(since.elapsed() < SOON);
    // One place was free: for what is said of the others.
    assert_eq!((report.dropped_by_reason.total(Reason::Full), report.dispatched, came), (CALLERS, 1, 1));
}

#[test]
fn a_stop_releases_who_waits_behind_one_that_hangs_in_the_queue() {
    /// Is full, and from the third time on it hangs.
    struct Hangs(Gate, AtomicU64);
    impl Enqueue for Hangs {
        fn enqueue(&self, _: &[u8]) -> Result<(), EnqueueError> {
            if self.1.fetch_add(1, Ordering::Relaxed) > 2 {
                self.0.pass();
            }
            Err(EnqueueError::Full)
        }
    }
    let gate = Gate::closed();
    let queue = Hangs(gate.clone(), AtomicU64::new(0));
    let builder = treering::builder().overflow(Overflow::block_forever()).queue(queue);
    let (logger, guard) = builder.start().unwrap();
    let log = |what: &'static str| {
        let logger = logger.clone();
        std::thread::spawn(move || info!(logger: logger, "{what}"))
    };
    let front = log("in front");
    gate.wait_for_guest();
    let others = [log("behind"), log("behind"), log("behind")];
    std::thread::sleep(Duration::from_millis(20)); // mostly they sleep by now
    guard.stop(SOON).unwrap();
    eventually("the others return", || guard.stats().late == 3);
    assert!(!front.is_finished());
    gate.open();
    front.join().unwrap();
    others.into_iter().for_each(|other| other.join().unwrap());
    let report = guard.stats();
    report.assert_balanced();
    assert_eq!((report.late, report.dropped), (4, 0), "{report}");
}

/// Has room when it is told to, for one record at a time, and knows how often it was asked.
#[derive(Default)]
struct Rooms {
    free: AtomicU64,
    asked: AtomicU64,
}

impl Enqueue for Rooms {
    fn enqueue(&self, frame: &[u8]) -> Result<(), EnqueueError> {
        if tells_of_a_loss(frame) {
            return Ok(());
        }
        self.asked.fetch_add(1, Ordering::Relaxed);
        let take = |free: u64| free.checked_sub(1);
        let taken = self.free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        taken.map(drop).map_err(|_| EnqueueError::Full)
    }
}

fn tells_of_a_loss(frame: &[u8]) -> bool {
    let target = b"treering::loss";
    frame.windows(target.len()).any(|part| part == target)
}

#[test]
fn who_waits_comes_before_who_does_not() {
    const ROUNDS: u64 = 50;
    let rooms = Arc::new(Rooms::default());
    let builder = treering::builder().overflow_at(Level::Error, Overflow::block_forever());
    let (logger, guard) = builder.queue(rooms.clone()).start().unwrap();
    let patient = logger.clone();
    let waits = std::thread::spawn(move || (0..ROUNDS).for_each(|n| error!(logger: patient, "{n}")));
    for round in 0..ROUNDS {
        // It asks once before it waits, and then as the one in front.
        let before = rooms.asked.load(Ordering::Relaxed);
        eventually("it waits", || rooms.asked.load(Ordering::Relaxed) > before + 2);
        rooms.free.store(1, Ordering::Relaxed);
        info!(logger: logger, "{round}"); // would be faster
        eventually("one had the room", || guard.stats().dispatched == round + 1);
        assert_eq!(guard.stats().dropped, round + 1, "who does not wait took it");
    }
    waits.join().unwrap();
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert_eq!(report.dropped_by_reason[Reason::Full], [0, 0, ROUNDS, 0, 0]);
    assert_eq!(report.dispatched, ROUNDS);
}

/// What all threads of this process used of the processor.
fn processor_time() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().filter_map(Result::ok);
    let nanos = tasks.filter_map(|task| {
        let stat = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        stat.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

#[test]
fn nobody_waits_where_that_could_be_for_ever() {
    let queue = Arc::new(Channel::bounded(1));
    let builder = treering::builder().overflow(Overflow::block_forever());
    let (logger, guard) = builder.queue(queue.clone()).start().unwrap();
    info!(logger: logger, "{}", 0);
    // A handler of whatever listener, and a thread that panics.
    let inner = logger.clone();
    let (other, other_guard) =
        treering::builder().handler(each(move |_| info!(logger: inner, "{}", 1))).start().unwrap();
    info!(logger: other, "one");
    other_guard.stop(SOON).unwrap().assert_balanced();
    let panicking = logger.clone();
    let panics = std::thread::spawn(move || {
        struct Logs(Logger);
        impl Drop for Logs {
            fn drop(&mut self) {
                info!(logger: self.0, "{}", 2);
            }
        }
        let _logs = Logs(panicking);
        panic!("as it must");
    });
    assert!(panics.join().is_err());
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert_eq!((report.dispatched, report.dropped_by_reason.total(Reason::Full)), (1, 2));
    queue.close();
}

#[test]
fn a_queue_that_is_closed_makes_records_late() {
    let queue = Arc::new(Locked::bounded(1 << 20));
    let builder = treering::builder().overflow(Overflow::block_forever());
    let (logger, guard) = builder.queue(queue.clone()).start().unwrap();
    info!(logger: logger, "in time");
    queue.close();
    warn!(logger: logger, "too late");
    guard.stop(SOON).unwrap().assert_balanced();
    info!(logger: logger, "later still");
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert_eq!((report.submitted, report.dispatched, report.late, report.dropped), (3, 1, 2, 0));
    assert_eq!(report.submitted_by_level, [0, 1, 2, 0, 0]);
}

/// Fails, or panics, as long as it is told to.
struct Failing {
    queue: Locked,
    fails: AtomicUsize,
}

impl Failing {
    const PANICS: usize = 2;
}

impl Enqueue for Failing {
    fn enqueue(&self, frame: &[u8]) -> Result<(), EnqueueError> {
        match self.fails.load(Ordering::Relaxed) {
            0 => self.queue.enqueue(frame),
            Failing::PANICS => panic!("out of wires"),
            _ => Err(EnqueueError::failed("no route")),
        }
    }
}

impl Dequeue for Failing {
    fn dequeue(&self, frames: &mut Frames, deadline: Deadline) -> Result<Dequeued, DequeueError> {
        self.queue.dequeue(frames, deadline)
    }

    fn close(&self) {
        self.queue.close();
    }

    fn wake(&self) {
        self.queue.wake();
    }
}

#[test]
fn a_queue_that_fails_costs_the_records_is_told_of_once_in_a_row_and_then_in_the_stream() {
    let lines = Arc::<Mutex<Vec<String>>>::default();
    let sink = lines.clone();
    let builder = treering::builder()
        .overflow(Overflow::block_forever())
        .error_hook(move |line| sink.lock().unwrap().push(line.to_owned()));
    let queue = Arc::new(Failing { queue: Locked::bounded(1 << 20), fails: AtomicUsize::new(1) });
    let paused = Paused::new(builder, queue.clone());
    paused.info(0..5);
    queue.fails.store(0, Ordering::Relaxed);
    paused.info([5]);
    queue.fails.store(Failing::PANICS, Ordering::Relaxed);
    paused.info([6]);
    error!(logger: paused.logger, "{}", 7);
    queue.fails.store(0, Ordering::Relaxed);
    assert_eq!(paused.guard.stats().dropped_by_reason[Reason::Failed], [1, 0, 6, 0, 0]);
    paused.guard.flush(SOON).unwrap();
    let received = paused.finish([1, 0, 7, 0, 0]);
    assert_eq!(received.numbers, [5]);
    let told: Vec<_> =
        received.losses.iter().map(|told| (&*told.reason, told.by_level, told.behind)).collect();
    assert_eq!(told, [("failed", [0, 0, 5, 0, 0], 0), ("failed", [1, 0, 1, 0, 0], 1)], "by the flush");
    assert_eq!(
        *lines.lock().unwrap(),
        ["the queue failed: no route", "the queue failed: it panicked: out of wires"]
    );
}

#[test]
fn an_error_hook_that_logs_where_its_thread_had_waited_goes_on() {
    static LOGGER: OnceLock<Logger> = OnceLock::new();
    /// Is full a few times, then fails, and then works.
    struct Moody(AtomicU64, Channel);
    impl Enqueue for Moody {
        fn enqueue(&self, frame: &[u8]) -> Result<(), EnqueueError> {
            match self.0.fetch_add(1, Ordering::Relaxed) {
                0..5 => Err(EnqueueError::Full),
                5 => Err(EnqueueError::failed("no route")),
                6..10 => Err(EnqueueError::Full),
                _ => self.1.enqueue(frame),
            }
        }
    }
    let builder = treering::builder().overflow(Overflow::block_forever()).error_hook(|line| {
        warn!(logger: LOGGER.get().unwrap(), "the hook heard: {line}");
    });
    let queue = Moody(AtomicU64::new(0), Channel::bounded(10));
    let (logger, guard) = builder.queue(queue).start().unwrap();
    LOGGER.set(logger.clone()).unwrap();
    info!(logger: logger, "lost");
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert_eq!(report.dropped_by_reason[Reason::Failed], [0, 0, 1, 0, 0]);
    assert_eq!(report.dispatched, 1);
}

#[test]
fn a_thread_that_polls_the_listener_does_not_wait_for_the_room_that_it_has_to_make() {
    let since = Instant::now();
    let asked = Arc::<AtomicU64>::default();
    let counted = asked.clone();
    let counts = Overflow::custom(move |_: &Full<'_>| {
        counted.fetch_add(1, Ordering::Relaxed);
        Decision::Drop
    });
    for policy in [counts, Overflow::block(SOON)] {
        let paused = Paused::new(treering::builder().overflow(policy), Channel::bounded(FIT as usize));
        assert_eq!(paused.listening.poll().unwrap(), 0);
        paused.info(0..FIT + 1);
        assert_eq!(asked.load(Ordering::Relaxed), 0, "how long it waits is no question");
        assert_eq!(paused.dropped(Reason::Full), 1);
        paused.finish([0, 0, FIT + 1, 0, 0]);
    }
    assert!(since.elapsed() < SOON, "it waited");
}

#[test]
fn a_thread_that_polled_once_waits_where_another_one_polls_and_when_that_listener_has_ended() {
    let builder = || treering::builder().overflow(Overflow::block_forever());
    let paused = Paused::new(builder(), Channel::bounded(FIT as usize));
    paused.listening.poll().unwrap();
    let (polls, is_done) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while is_done.load(Ordering::Relaxed) == 0 {
                paused.listening.poll().unwrap();
                polls.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        eventually("it polls", || polls.load(Ordering::Relaxed) > 0);
        paused.info(0..20 * FIT);
        is_done.store(1, Ordering::Relaxed);
    });
    assert_eq!(paused.guard.stats().dropped, 0);
    paused.listening.poll().unwrap();
    paused.listening.stop(SOON).unwrap();
    // A queue of others.
    let queue = Arc::new(Channel::bounded(4));
    let (logger, guard) = builder().queue(queue.clone()).start().unwrap();
    let listening = Listener::new(queue).handler(Capture::new()).start().unwrap();
    (0..1000).for_each(|n| info!(logger: logger, "{n}"));
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert_eq!(report.dispatched, 1000, "{report}");
    listening.stop(SOON).unwrap().assert_balanced();
}

/// Engines that are known when their queues are made already.
type Engines = Arc<OnceLock<Vec<(Logger, Arc<Guard>)>>>;

/// Logs to these engines whenever something is enqueued, while it holds a lock that cannot be taken twice.
struct Logs {
    queue: Channel,
    to: Engines,
    held: Mutex<()>,
    enqueued: AtomicU64,
}

impl Logs {
    fn new(to: &Engines, frames: usize) -> Arc<Self> {
        let (queue, to) = (Channel::bounded(frames), to.clone());
        Arc::new(Logs { queue, to, held: Mutex::new(()), enqueued: AtomicU64::new(0) })
    }
}

impl Enqueue for Logs {
    fn enqueue(&self, frame: &[u8]) -> Result<(), EnqueueError> {
        let _held = self.held.try_lock().expect("no thread comes in twice, and here there is one");
        self.enqueued.fetch_add(1, Ordering::Relaxed);
        for (logger, guard) in self.to.get().into_iter().flatten() {
            error!(logger: logger, "{}", 1_000_000_u64);
            guard.flush(SOON).unwrap();
        }
        self.queue.enqueue(frame)
    }
}

#[test]
fn what_a_queue_logs_to_its_own_engine_is_counted_and_goes_nowhere_under_any_policy() {
    let test = "what_a_queue_logs_to_its_own_engine_is_counted_and_goes_nowhere_under_any_policy";
    // Nested calls are counted for the whole process.
    let output = in_child(test, &[], || {
        let waits = Overflow::custom(|_: &Full<'_>| Decision::Wait(Duration::from_millis(1)));
        for policy in [
            Overflow::drop_newest(),
            Overflow::block(Duration::from_millis(5)),
            Overflow::block_forever(),
            waits,
        ] {
            let to = Arc::default();
            let queue = Logs::new(&to, FIT as usize);
            let (logger, guard) =
                treering::builder().overflow(policy.clone()).queue(queue.clone()).start().unwrap();
            let guard = Arc::new(guard);
            to.set(vec![(logger.clone(), guard.clone())]).ok().unwrap();
            let before = guard.stats().nested;
            // One more than there is room for, where that does not wait for ever.
            let more = u64::from(
                [Overflow::drop_newest(), Overflow::block(Duration::from_millis(5))].contains(&policy),
            );
            (0..FIT + more).for_each(|n| info!(logger: logger, "{n}"));
            let report = guard.stop(SOON).unwrap();
            report.assert_balanced();
            assert_eq!(
                (report.submitted_by_level, report.dropped),
                ([0, 0, FIT + more, 0, 0], more),
                "{policy:?}"
            );
            assert!(report.nested - before >= queue.enqueued.load(Ordering::Relaxed), "each of them counts");
            assert!(!report.is_lossless());
        }
    });
    let Some(output) = output else { return };
    assert!(output.status.success(), "{}", text(&output));
}

/// Fails, with an error whose text and whose end log to the queue's own engine.
struct Complains(Arc<OnceLock<Logger>>);

#[derive(Debug)]
struct Complaint(Arc<OnceLock<Logger>>);

impl Complaint {
    fn log(&self) {
        self.0.get().into_iter().for_each(|logger| error!(logger: logger, "complaint"));
    }
}

impl std::fmt::Display for Complaint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.log();
        f.write_str("as always")
    }
}

impl std::error::Error for Complaint {}

impl Drop for Complaint {
    fn drop(&mut self) {
        self.log();
    }
}

impl Enqueue for Complains {
    fn enqueue(&self, _: &[u8]) -> Result<(), EnqueueError> {
        Err(EnqueueError::failed(Complaint(self.0.clone())))
    }
}

#[test]
fn an_error_that_logs_goes_nowhere() {
    let test = "an_error_that_logs_goes_nowhere";
    // Nested calls are counted for the whole process.
    let output = in_child(test, &[], || {
        let to = Arc::new(OnceLock::new());
        let builder = treering::builder().queue(Complains(to.clone())).error_hook(|_| {});
        let (logger, guard) = builder.start().unwrap();
        to.set(logger.clone()).ok().unwrap();
        (0..10).for_each(|n| info!(logger: logger, "{n}"));
        let report = guard.stop(SOON).unwrap();
        report.assert_balanced();
        assert_eq!((report.dropped_by_reason.total(Reason::Failed), report.dispatched), (10, 0), "{report}");
        assert!(report.nested > 10, "{report:?}");
    });
    let Some(output) = output else { return };
    assert!(output.status.success(), "{}", text(&output));
}

#[test]
fn what_finds_the_queue_closed_is_late_and_the_hook_is_told_once() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let told = lines.clone();
    let queue = Arc::new(Channel::bounded(8));
    let builder = treering::builder().error_hook(move |line| told.lock().unwrap().push(line.to_owned()));
    let (logger, guard) = builder.queue(queue.clone()).start().unwrap();
    queue.close();
    (0..10).for_each(|n| info!(logger: logger, "{n}"));
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert_eq!((report.late, report.dispatched), (10, 0));
    assert_eq!(*lines.lock().unwrap(), ["the queue is closed, and what is logged is late"]);
}

#[test]
fn queues_that_log_to_each_other_come_to_an_end() {
    let test = "queues_that_log_to_each_other_come_to_an_end";
    // Nested calls are counted for the whole process.
    let output = in_child(test, &[], || {
        let (to_first, to_second) = (Arc::default(), Arc::default());
        let (first, second) = (Logs::new(&to_second, 100), Logs::new(&to_first, 100));
        let start = |queue: &Arc<Logs>| {
            let builder = treering::builder().overflow(Overflow::block_forever());
            let (logger, guard) = builder.queue(queue.clone()).start().unwrap();
            (logger, Arc::new(guard))
        };
        let (one, other) = (start(&first), start(&second));
        to_first.set(vec![one.clone()]).ok().unwrap();
        to_second.set(vec![other.clone()]).ok().unwrap();
        let before = one.1.stats().nested;
        info!(logger: one.0, "one"); // the first queue logs to the second engine, whose queue logs to the first: no more
        let reports = [one.1.stop(SOON).unwrap(), other.1.stop(SOON).unwrap()];
        reports.iter().for_each(Report::assert_balanced);
        assert_eq!(reports.each_ref().map(|report| report.dispatched), [1, 1]);
        assert_eq!(reports[1].nested - before, 1);
    });
    let Some(output) = output else { return };
    assert!(output.status.success(), "{}", text(&output));
}

#[test]
fn what_a_queue_logs_to_an_engine_with_rings_is_heard_and_never_waits() {
    let gate = Gate::closed();
    let (take, received) = receiver(Duration::ZERO, Some(gate.clone()));
    let builder = treering::builder().overflow(Overflow::block_forever()).ring_capacity(4096);
    let (rings, rings_guard) = builder.handler(take).start().unwrap();
    info!(logger: rings, "{}", 0);
    gate.wait_for_guest();
    struct Tells(Channel, Logger);
    impl Enqueue for Tells {
        fn enqueue(&self, frame: &[u8]) -> Result<(), EnqueueError> {
            info!(logger: self.1, "{}", 1);
            self.0.enqueue(frame)
        }
    }
    let (logger, guard) = treering::builder().queue(Tells(Channel::bounded(1000), rings)).start().unwrap();
    (0..500_u64).for_each(|n| info!(logger: logger, "{n}"));
    assert_eq!(guard.stop(SOON).unwrap().dispatched, 500);
    gate.open();
    let report = rings_guard.stop(SOON).unwrap();
    assert!(report.dropped_by_reason.total(Reason::Full) > 300);
    compare(&report, [0, 0, 501, 0, 0], &received.lock().unwrap());
}

#[test]
fn what_a_policy_logs_is_dropped_without_asking_it_again() {
    static LOGGER: OnceLock<Logger> = OnceLock::new();
    let policy = Overflow::custom(|_: &Full<'_>| {
        info!(logger: LOGGER.get().unwrap(), "{}", 1_000_000_u64);
        Decision::Drop
    });
    let paused = Paused::new(treering::builder().overflow(policy), Channel::bounded(FIT as usize));
    LOGGER.set(paused.logger.clone()).unwrap();
    paused.info(0..FIT + 5);
    assert_eq!((paused.dropped(Reason::Policy), paused.dropped(Reason::Full)), (5, 5));
    paused.finish([0, 0, FIT + 10, 0, 0]);
}

#[test]
fn threads_lose_nothing_and_each_keeps_its_order() {
    const THREADS: u64 = 8;
    const RECORDS: u64 = 2_000;
    for queue in [Arc::new(Channel::bounded(64)) as Arc<dyn Queue>, Arc::new(Locked::bounded(20_000))] {
        let capture = Capture::new();
        let listening = Listener::new(queue.clone()).handler(capture.clone()).start().unwrap();
        let builder = treering::builder().overflow(Overflow::block_forever());
        let (logger, guard) = builder.queue(queue).start().unwrap();
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let logger = &logger;
                scope.spawn(move || (0..RECORDS).for_each(|n| info!(logger: logger, "{thread} {n}")));
            }
        });
        let report = guard.stop(SOON).unwrap();
        report.assert_balanced();
        assert_eq!((report.submitted, report.dispatched), (THREADS * RECORDS, THREADS * RECORDS), "{report}");
        let intake = listening.stop(LONG).unwrap();
        intake.assert_balanced();
        assert_eq!(intake.dispatched, THREADS * RECORDS);
        let mut next = [0; THREADS as usize];
        for record in capture.records() {
            let (thread, n) = record.message().split_once(' ').unwrap();
            let thread: usize = thread.parse().unwrap();
            assert_eq!(n.parse(), Ok(next[thread]));
            next[thread] += 1;
        }
    }
}

#[test]
fn losses_among_many_threads_add_up() {
    const RECORDS: u64 = 5_000;
    let (take, received) = receiver(Duration::from_micros(1), None);
    let queue = Arc::new(Channel::bounded(8));
    let listening = Listener::new(queue.clone()).handler(take).start().unwrap();
    let (logger, guard) = treering::builder().queue(queue).start().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for n in 0..RECORDS {
                    if n % 2 == 0 { info!(logger: logger, "{n}") } else { warn!(logger: logger, "{n}") }
                }
            });
        }
    });
    // The queue is full, mostly: the stop tells of the last losses only where there is room.
    eventually("there is room", || {
        guard.flush(SOON).unwrap();
        guard.stats().dropped == received.lock().unwrap().lost
    });
    let report = guard.stop(SOON).unwrap();
    let intake = listening.stop(LONG).unwrap();
    compare_through_queue(&report, &intake, [0, 2 * RECORDS, 2 * RECORDS, 0, 0], &received.lock().unwrap());
    assert!(report.dropped > 0);
}

#[test]
fn a_long_record_is_cut_marked_and_counted() {
    let (queue, capture) = (Arc::new(Channel::bounded(10)), Capture::new());
    let (logger, guard) = treering::builder().queue(queue.clone()).start().unwrap();
    let long = "x".repeat(2_000_000);
    info!(logger: logger, "{}", &long[..500_000]);
    info!(logger: logger, "{long}");
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert_eq!((report.dispatched, report.truncated, report.is_lossless()), (2, 1, false));
    Listener::new(queue).handler(capture.clone()).start().unwrap().stop(SOON).unwrap().assert_balanced();
    let records = capture.records();
    assert_eq!((records[0].is_truncated(), records[0].message().len()), (false, 500_000));
    assert!(records[1].is_truncated());
    let kept = records[1].message().bytes().filter(|byte| *byte == b'x').count();
    assert!((700_000..=768 * 1024).contains(&kept), "{kept}");
}

#[test]
fn a_destructor_of_a_thread_local_is_heard() {
    struct Last(Logger);
    impl Drop for Last {
        fn drop(&mut self) {
            info!(logger: self.0, "the last");
        }
    }
    thread_local!(static LAST: RefCell<Vec<Last>> = const { RefCell::new(Vec::new()) });
    let (queue, capture) = (Arc::new(Locked::bounded(1 << 20)), Capture::new());
    let (logger, guard) = treering::builder().queue(queue.clone()).start().unwrap();
    let inner = logger.clone();
    let thread = std::thread::spawn(move || {
        LAST.with_borrow_mut(|last| last.push(Last(inner.clone())));
        info!(logger: inner, "the first");
    });
    thread.join().unwrap();
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert_eq!(report.dispatched, 2, "{report}");
    Listener::new(queue).handler(capture.clone()).start().unwrap().stop(SOON).unwrap().assert_balanced();
    let messages: Vec<_> = capture.records().iter().map(|record| record.message().to_owned()).collect();
    assert_eq!(messages, ["the first", "the last"]);
}

#[test]
fn what_needs_rings_or_a_listener_is_refused_in_words() {
    let over_queue = || treering::builder().queue(Locked::bounded(1 << 20));
    let refused = |builder: Builder| {
        let error = builder.start().unwrap_err();
        assert!(error.is_config());
        error.to_string()
    };
    let has = |builder: Builder, words: &str| assert!(refused(builder).contains(words), "{words}");
    has(over_queue().handler(Capture::new()), "the Listener at the other end of the queue has them");
    has(over_queue().prepare(|_| treering::Prepared::Keep), "prepare() is for the Listener");
    has(over_queue().on_drop(|_| {}), "on_drop()");
    has(over_queue().overflow_at(Level::Trace, Overflow::drop_oldest()), "drop_oldest() is for rings");
    has(over_queue().overflow_at(Level::Trace, Overflow::sample(2)), "sample() is for rings");
    let (logger, guard) = over_queue().start().unwrap();
    let error = guard.handlers().add(Capture::new(), SOON).unwrap_err();
    assert!(error.is_config() && error.to_string().contains("has no handlers"), "{error}");
    logger.register_thread();
    guard.register_thread();
    info!(logger: logger, "into the queue all the same");
    guard.wait_idle(SOON).unwrap();
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert_eq!((report.rings, report.dispatched), (0, 1));
}

#[test]
fn a_handler_of_the_listener_that_logs_into_the_queue_goes_round_once() {
    let queue = Arc::new(Channel::bounded(4));
    let builder = treering::builder().overflow(Overflow::block_forever());
    let (logger, guard) = builder.queue(queue.clone()).start().unwrap();
    let answers = logger.clone();
    let listening = Listener::new(queue)
        .handler(each(move |record| info!(logger: answers, "an answer to {}", record.message().to_string())))
        .start()
        .unwrap();
    info!(logger: logger, "a question");
    eventually("its answer came back", || listening.stats().echoes == 1);
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert_eq!(report.dispatched, 2);
    let intake = listening.stop(SOON).unwrap();
    intake.assert_balanced();
    assert_eq!((intake.dispatched, intake.echoes), (1, 1));
}

#[test]
fn the_process_wide_engine_may_be_one_and_what_it_has_is_out_at_the_end() {
    let test = "the_process_wide_engine_may_be_one_and_what_it_has_is_out_at_the_end";
    let output = in_child(test, &[], || {
        let queue = Arc::new(Channel::bounded(100));
        let guard = treering::builder().filter("info").queue(queue.clone()).init().unwrap();
        treering::register_thread().unwrap();
        info!("by the macros");
        debug!("not wanted");
        log::warn!("by the crate log");
        let panics = std::thread::spawn(|| panic!("by the panic hook"));
        assert!(panics.join().is_err());
        treering::flush(SOON).unwrap();
        let report = treering::stats().unwrap();
        assert_eq!((report.submitted, report.dispatched, report.rings), (3, 3, 0), "{report}");
        let end = Listener::new(queue)
            .handler(each(|record| eprintln!("got: {}", record.message())))
            .start()
            .unwrap();
        guard.stop(SOON).unwrap().assert_balanced();
        end.stop(SOON).unwrap().assert_balanced();
    });
    let Some(output) = output else { return };
    assert!(output.status.success(), "{}", text(&output));
    for part in ["got: by the macros", "got: by the crate log", "by the panic hook"] {
        assert!(text(&output).contains(part), "{part}: {}", text(&output));
    }
}

#[test]
fn a_chain_of_engines_over_queues_carries_records_from_end_to_end() {
    let (first, second) = (Arc::new(Locked::bounded(1 << 20)), Arc::new(Mpsc::bounded(100)));
    let capture = Capture::new();
    let last = Listener::new(second.clone()).handler(capture.clone()).start().unwrap();
    let middle = Listener::new(first.clone()).handler(QueueHandler::new(second)).start().unwrap();
    let (logger, guard) = treering::builder().queue(first).start().unwrap();
    (0..100_u64).for_each(|n| info!(logger: logger, "{n}"));
    guard.stop(SOON).unwrap().assert_balanced();
    middle.stop(SOON).unwrap().assert_balanced();
    let report = last.stop(SOON).unwrap();
    report.assert_balanced();
    assert_eq!((report.dispatched, report.is_lossless()), (100, true));
    assert!(capture.records().iter().map(|record| record.message().parse::<u64>().unwrap()).eq(0..100));
}
