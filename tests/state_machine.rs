//! An engine beside a model of it: threads that come and go, full rings, filters, handlers that come, go and fail, flush,
//! stop and start again, in any order. After each step both ledgers are the model's, and so is what the handlers got.
//!
//! Nothing is left to chance: the engine has no thread of its own, and the threads that log do so one at a time. Which
//! record finds no room is the engine's to decide, within bounds; all else the model knows.
//! `TREERING_STATE_MACHINE_CASES` says how many sequences; failing ones are made short.

mod support;

use std::collections::VecDeque;
use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};
use support::SOON;
use treering::handler::{Batch, Handler, HandlerError};
use treering::overflow::Decision;
use treering::{
    Error, Guard, Level, LevelFilter, Logger, Overflow, Report, Wait, debug, error, info, trace, warn,
};

const CASES: u32 = 256;
const STEPS_MAX: usize = 40;
/// Threads that log, and handlers that come and go.
const THREADS: usize = 3;
const HANDLERS: usize = 2;
/// Words of a ring, of a record, and of one with a text of [`TEXT`]: no fewer, and no more.
const RING: usize = 512;
const SHORT: usize = 3;
const LONG: std::ops::Range<usize> = 27..32;
const TEXT: &str = concat!(
    "0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 ",
    "0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 "
);
/// So many words in one ring, and the next record surely finds room: some is lost to loss records, the end of the ring and
/// what is kept for WARN and above. Of sampling: and it passes.
const SURELY_FIT: usize = 300;
const SURELY_BELOW_HALF: usize = 210;
/// One record in so many is more than a [`Kept`] that fails can take.
const FAILS_AT: u64 = 5;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Policy {
    DropNewest,
    DropOldest,
    /// Waits in vain, for nobody polls meanwhile.
    Block,
    Sample,
    Custom,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Log { thread: usize, level: Level, is_long: bool, records: usize },
    Exit { thread: usize },
    Poll,
    Flush,
    WaitIdle,
    Filter(LevelFilter),
    Add { handler: usize, level: LevelFilter },
    Replace { handler: usize, level: LevelFilter },
    Remove { handler: usize },
    SetLevel { handler: usize, level: LevelFilter },
    Stop,
    Start(Policy),
}

fn policy() -> impl Strategy<Value = Policy> {
    use Policy::{Block, Custom, DropNewest, DropOldest, Sample};
    prop::sample::select(vec![DropNewest, DropOldest, Block, Sample, Custom])
}

fn level() -> impl Strategy<Value = Level> {
    prop::sample::select(vec![Level::Error, Level::Warn, Level::Info, Level::Debug, Level::Trace])
}

fn step() -> impl Strategy<Value = Step> {
    let thread = || 0..THREADS;
    let handler = || 0..HANDLERS;
    let filter = || level().prop_map(LevelFilter::from);
    let records = prop_oneof![3 => 1..20_usize, 1 => 20..250_usize];
    prop_oneof![
        12 => (thread(), level(), any::<bool>(), records)
            .prop_map(|(thread, level, is_long, records)| Step::Log { thread, level, is_long, records }),
        2 => thread().prop_map(|thread| Step::Exit { thread }),
        3 => Just(Step::Poll),
        2 => Just(Step::Flush),
        1 => Just(Step::WaitIdle),
        2 => filter().prop_map(Step::Filter),
        2 => (handler(), filter()).prop_map(|(handler, level)| Step::Add { handler, level }),
        1 => (handler(), filter()).prop_map(|(handler, level)| Step::Replace { handler, level }),
        1 => handler().prop_map(|handler| Step::Remove { handler }),
        1 => (handler(), filter()).prop_map(|(handler, level)| Step::SetLevel { handler, level }),
        1 => Just(Step::Stop),
        2 => policy().prop_map(Step::Start),
    ]
}

/// A handler that keeps numbers of records, and how many the stream says were lost.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Pages>>);

#[derive(Default)]
struct Pages {
    numbers: Vec<u64>,
    lost: u64,
}

struct Keeper {
    kept: Kept,
    name: String,
    /// Whether it fails at one in [`FAILS_AT`].
    fails: bool,
    seen: u64,
}

impl Handler for Keeper {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        for record in batch {
            let first = record.value(0).and_then(|value| value.as_u64());
            match record.target() {
                "treering::loss" => self.kept.0.lock().unwrap().lost += first.unwrap(),
                "treering::sampled" => {}
                _ => {
                    self.seen += 1;
                    match (self.fails && self.seen.is_multiple_of(FAILS_AT), self.seen % 2) {
                        (true, 0) => return Err(HandlerError::new("out of sorts")),
                        // Without the hook, which would print it.
                        (true, _) => resume_unwind(Box::new("out of temper")),
                        (false, _) => self.kept.0.lock().unwrap().numbers.push(first.unwrap()),
                    }
                }
            }
        }
        Ok(())
    }

    fn name(&self) -> String {
        self.name.clone()
    }
}

/// What a thread is asked to log, to whom.
struct Order {
    logger: Logger,
    level: Level,
    is_long: bool,
    numbers: std::ops::Range<u64>,
}

/// A thread that logs when it is told to.
struct Worker {
    number: u64,
    orders: Sender<Order>,
    /// After each call: how many records were dropped by then.
    dropped: Receiver<u64>,
    thread: JoinHandle<()>,
}

fn log(logger: &Logger, level: Level, number: u64, text: Option<&str>) {
    macro_rules! log {
        ($($level:ident $macro:ident)+) => {
            match (level, text) {
                $(
                    (Level::$level, None) => $macro!(logger: logger, "{number}"),
                    (Level::$level, Some(text)) => $macro!(logger: logger, "{number} {text}"),
                )+
            }
        };
    }
    log!(Error error Warn warn Info info Debug debug Trace trace);
}

impl Worker {
    fn start(number: u64) -> Self {
        let (orders, work) = channel::<Order>();
        let (tell, dropped) = channel();
        let thread = std::thread::spawn(move || {
            for Order { logger, level, is_long, numbers } in work {
                for number in numbers {
                    log(&logger, level, number, is_long.then_some(TEXT));
                    tell.send(logger.stats().dropped).unwrap();
                }
            }
        });
        Worker { number, orders, dropped, thread }
    }

    fn exit(self) {
        drop(self.orders);
        self.thread.join().unwrap();
    }
}

/// What the model knows of a handler of one engine.
#[derive(Default)]
struct Keeping {
    kept: Kept,
    /// `None`: it is not there.
    level: Option<LevelFilter>,
    fails: bool,
    /// Since it was added last.
    seen: u64,
    expected: Vec<u64>,
    failed: u64,
}

impl Keeping {
    fn new(handler: usize) -> Self {
        Keeping { fails: handler == 1, ..Keeping::default() }
    }

    fn keeper(&mut self, name: &str, level: LevelFilter) -> treering::handler::Routed {
        (self.level, self.seen) = (Some(level), 0);
        let keeper = Keeper { kept: self.kept.clone(), name: name.into(), fails: self.fails, seen: 0 };
        keeper.level(level)
    }

    fn take(&mut self, record: Logged) {
        if self.level.is_some_and(|level| level.allows(record.level)) {
            self.seen += 1;
            if self.fails && self.seen.is_multiple_of(FAILS_AT) {
                self.failed += 1;
            } else {
                self.expected.push(record.number);
            }
        }
    }
}

/// A record on its way.
#[derive(Clone, Copy)]
struct Logged {
    /// The place of its thread, and which of those that had the place it is.
    thread: usize,
    worker: u64,
    number: u64,
    level: Level,
    is_long: bool,
}

impl Logged {
    fn words_min(&self) -> usize {
        if self.is_long { LONG.start } else { SHORT }
    }

    fn words_max(&self) -> usize {
        if self.is_long { LONG.end } else { SHORT }
    }
}

/// One engine, and what the model knows of it.
struct Life {
    logger: Logger,
    guard: Guard,
    policy: Policy,
    is_running: bool,
    filter: LevelFilter,
    /// In the order of the calls.
    pending: VecDeque<Logged>,
    submitted: [u64; 5],
    dispatched: u64,
    dropped: u64,
    late: u64,
    /// Gets everything, and is always there.
    all: Keeping,
    handlers: [Keeping; HANDLERS],
    /// Which threads have a ring, how many rings were left, and how many of these are for the next.
    has_ring: [bool; THREADS],
    left: u64,
    free: u64,
    rings: u64,
}

impl Life {
    fn start(policy: Policy) -> Self {
        let overflow = match policy {
            Policy::DropNewest => Overflow::drop_newest(),
            Policy::DropOldest => Overflow::drop_oldest(),
            Policy::Block => Overflow::block(Duration::from_micros(50)),
            Policy::Sample => Overflow::sample(3),
            Policy::Custom => Overflow::custom(|_: &treering::overflow::Full<'_>| Decision::Drop),
        };
        let mut all = Keeping::default();
        let handler = all.keeper("all", LevelFilter::ALL);
        let builder = treering::builder().wait(Wait::Manual).filter("info").ring_capacity(RING * 8);
        let builder = builder.overflow(overflow).error_hook(|_| {}).handler(handler);
        let (logger, guard) = builder.start().unwrap();
        Life {
            logger,
            guard,
            policy,
            is_running: true,
            filter: Level::Info.into(),
            pending: VecDeque::new(),
            submitted: [0; 5],
            dispatched: 0,
            dropped: 0,
            late: 0,
            all,
            handlers: std::array::from_fn(Keeping::new),
            has_ring: [false; THREADS],
            left: 0,
            free: 0,
            rings: 0,
        }
    }

    /// One record was logged, and so many are dropped by now.
    fn count_call(&mut self, record: Logged, dropped: u64) {
        if !self.filter.allows(record.level) {
            assert_eq!(dropped, self.dropped, "a call that is disabled costs nothing");
            return;
        }
        self.submitted[record.level as usize - 1] += 1;
        if !self.is_running {
            self.late += 1;
            assert_eq!(dropped, self.dropped);
            return;
        }
        if !self.has_ring[record.thread] {
            self.has_ring[record.thread] = true;
            match self.free.checked_sub(1) {
                Some(free) => self.free = free,
                None => self.rings += 1,
            }
        }
        let is_beside = |pending: &Logged| pending.worker == record.worker;
        let there: usize = self.pending.iter().filter(|p| is_beside(p)).map(Logged::words_max).sum();
        let lost = dropped - std::mem::replace(&mut self.dropped, dropped);
        let fits = if self.policy == Policy::Sample { SURELY_BELOW_HALF } else { SURELY_FIT };
        assert!(there > fits || lost == 0, "there was room beside {there} words");
        if self.policy == Policy::DropOldest {
            for _ in 0..lost {
                let oldest = self.pending.iter().position(is_beside);
                self.pending.remove(oldest.expect("what is dropped was there"));
            }
            self.pending.push_back(record);
        } else {
            assert!(lost <= 1, "one call, one record");
            if lost == 0 {
                self.pending.push_back(record);
            }
        }
        let there: usize = self.pending.iter().filter(|p| is_beside(p)).map(Logged::words_min).sum();
        assert!(there <= RING, "{there} words in a ring");
    }

    /// All that is pending is handed out.
    fn hand_out(&mut self) {
        for record in self.pending.drain(..) {
            self.dispatched += 1;
            self.all.take(record);
            self.handlers.iter_mut().for_each(|handler| handler.take(record));
        }
        self.free += std::mem::take(&mut self.left);
    }

    fn poll(&mut self) {
        let offered = self.guard.stats().handlers["all"].offered;
        match self.guard.poll() {
            Ok(records) => {
                assert!(self.is_running);
                // With those that tell of losses in front of records.
                let all = self.guard.stats().handlers["all"].offered - offered;
                let pending = self.pending.len();
                assert!((pending..=all as usize).contains(&records), "{records} of {pending}, {all} in all");
                self.hand_out();
            }
            Err(error) => assert!(!self.is_running && error.is_not_running(), "{error}"),
        }
    }

    /// The thread hands its ring back.
    fn leave(&mut self, thread: usize) {
        if std::mem::take(&mut self.has_ring[thread]) && self.is_running {
            self.left += 1;
        }
    }

    fn stop(&mut self) {
        let report = self.guard.stop(SOON).unwrap();
        if std::mem::replace(&mut self.is_running, false) {
            self.hand_out();
        }
        report.assert_balanced();
        assert_eq!(self.all.kept.0.lock().unwrap().lost, self.dropped, "the stream tells of every loss");
        self.compare(&report);
    }

    /// Another handler, or another level of one: what was logged before goes to the handlers of before.
    fn change(
        &mut self,
        handler: usize,
        exists: bool,
        change: impl FnOnce(&Guard, &str, &mut Keeping) -> Result<(), Error>,
    ) {
        let name = format!("h{handler}");
        if self.is_running {
            self.hand_out();
        }
        let keeping = &mut self.handlers[handler];
        let (level, seen) = (keeping.level, keeping.seen);
        let outcome = change(&self.guard, &name, keeping);
        let wanted = self.is_running && level.is_some() == exists;
        match outcome {
            Ok(()) => assert!(wanted),
            Err(error) => {
                assert!(if self.is_running { error.is_config() } else { error.is_not_running() }, "{error}");
                assert!(!wanted, "{error}");
                (keeping.level, keeping.seen) = (level, seen);
            }
        }
    }

    /// Both ledgers, and what arrived, against the model.
    fn compare(&self, report: &Report) {
        assert_eq!(report.submitted_by_level, self.submitted, "{report}");
        assert_eq!(
            (report.dispatched, report.dropped, report.late, report.pending, report.abandoned),
            (self.dispatched, self.dropped, self.late, self.pending.len() as u64, 0),
            "{report}"
        );
        assert_eq!(report.submitted, report.dispatched + report.dropped + report.late + report.pending);
        assert_eq!((report.reordered, report.truncated, report.listener_panics), (0, 0, 0), "{report}");
        if self.is_running {
            assert_eq!(report.rings, self.rings, "a ring that was left and drained is the next thread's");
        }
        let named = self.handlers.iter().enumerate().map(|(at, keeping)| (format!("h{at}"), keeping));
        for (name, keeping) in named.chain([("all".to_owned(), &self.all)]) {
            let numbers = &self.kept(keeping);
            assert_eq!(*numbers, keeping.expected, "{name}");
            let Some(books) = report.handlers.find(&name) else {
                assert!(keeping.expected.is_empty() && keeping.level.is_none(), "{name} has no books");
                continue;
            };
            let fates = books.filtered + books.delivered + books.failed + books.held + books.in_flight;
            assert_eq!(books.offered, fates, "{books}");
            assert_eq!(
                (books.held, books.in_flight, books.abandoned, books.skipped),
                (0, 0, 0, 0),
                "{books}"
            );
            assert_eq!(books.failed, keeping.failed, "{books}");
            assert!(books.delivered >= numbers.len() as u64, "{books}");
            assert_eq!(books.attached, keeping.level.is_some(), "{books}");
        }
        let own = report.handlers["all"].delivered - self.all.expected.len() as u64;
        assert_eq!(report.handlers["all"].offered, self.dispatched + own);
    }

    fn kept(&self, keeping: &Keeping) -> Vec<u64> {
        keeping.kept.0.lock().unwrap().numbers.clone()
    }
}

/// The threads and the engine of one sequence.
struct World {
    workers: [Option<Worker>; THREADS],
    life: Life,
    /// The next record's number.
    next: u64,
    /// How many threads there have been.
    started: u64,
}

impl World {
    fn new() -> Self {
        World {
            workers: [const { None }; THREADS],
            life: Life::start(Policy::DropNewest),
            next: 0,
            started: 0,
        }
    }

    fn take(&mut self, step: Step) {
        let life = &mut self.life;
        match step {
            Step::Log { thread, level, is_long, records } => {
                let numbers = self.next..self.next + records as u64;
                self.next = numbers.end;
                let worker = self.workers[thread].get_or_insert_with(|| {
                    self.started += 1;
                    Worker::start(self.started)
                });
                worker
                    .orders
                    .send(Order { logger: life.logger.clone(), level, is_long, numbers: numbers.clone() })
                    .unwrap();
                for number in numbers {
                    let dropped = worker.dropped.recv_timeout(SOON).expect("a call returns");
                    let record = Logged { thread, worker: worker.number, number, level, is_long };
                    life.count_call(record, dropped);
                }
            }
            Step::Exit { thread } => {
                if let Some(worker) = self.workers[thread].take() {
                    worker.exit();
                    life.leave(thread);
                }
            }
            Step::Poll => life.poll(),
            Step::Flush => {
                life.guard.flush(SOON).unwrap();
                life.hand_out();
            }
            Step::WaitIdle => {
                life.guard.wait_idle(SOON).unwrap();
                life.hand_out();
            }
            Step::Filter(level) => {
                if life.guard.set_filter(&level.to_string()).is_ok() {
                    life.filter = level;
                }
            }
            Step::Add { handler, level } => life.change(handler, false, |guard, name, keeping| {
                guard.handlers().add(keeping.keeper(name, level), SOON)
            }),
            Step::Replace { handler, level } => life.change(handler, true, |guard, name, keeping| {
                guard.handlers().replace(name, keeping.keeper(name, level), SOON)
            }),
            Step::Remove { handler } => life.change(handler, true, |guard, name, keeping| {
                keeping.level = None;
                guard.handlers().remove(name, SOON)
            }),
            Step::SetLevel { handler, level } => life.change(handler, true, |guard, name, keeping| {
                keeping.level = Some(level);
                guard.handlers().set_level(name, level, SOON)
            }),
            Step::Stop => life.stop(),
            Step::Start(policy) => {
                life.stop();
                *life = Life::start(policy);
            }
        }
        let report = self.life.guard.stats();
        self.life.compare(&report);
    }

    fn end(mut self) {
        self.workers.iter_mut().filter_map(Option::take).for_each(Worker::exit);
        self.life.stop();
    }
}

#[test]
fn whatever_happens_to_an_engine_its_books_are_those_of_the_model() {
    let cases = std::env::var("TREERING_STATE_MACHINE_CASES").map_or(CASES, |cases| cases.parse().unwrap());
    let config = ProptestConfig {
        rng_seed: RngSeed::Fixed(6),
        failure_persistence: None,
        ..ProptestConfig::with_cases(cases)
    };
    let steps = (policy(), prop::collection::vec(step(), 1..STEPS_MAX));
    let outcome = TestRunner::new(config).run(&steps, |(policy, steps)| {
        let mut world = World::new();
        world.take(Step::Start(policy));
        steps.into_iter().for_each(|step| world.take(step));
        world.end();
        Ok(())
    });
    outcome.unwrap();
}
