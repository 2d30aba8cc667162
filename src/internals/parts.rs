//! Parts of the engine with none around them, so that models can try more of their orders.

use crate::grow::{Linked, List, find_or_put};
use crate::overflow::{Overflow, Policies};
use crate::ring::{self, Consumer, HEADER_WORDS, Producer, Pushed, Shared, Sites, read_loss};
use crate::stats::{HandlerCounters, HandlerReport, KeptBack, reports};
use crate::sync::{Arc, AtomicRef, AtomicU64, Condvar, Mutex, Ordering, wait, yield_now};
use crate::wake::{Room, Wakes};

use super::{LEVEL, WRITER, Words, never};

/// The two sides of a ring that drops its oldest, with no engine around it: so more drops can be tried.
pub fn overwriting_ring(words: usize) -> (Overwriting, Overwritten) {
    let shared = Arc::new(Shared::new(Policies::all(Overflow::drop_oldest())));
    let (producer, consumer) = ring::ring(words, shared);
    (Overwriting(producer), Overwritten { consumer, numbers: Vec::new(), missing: 0 })
}

#[derive(Debug)]
pub struct Overwriting(Producer);

impl Overwriting {
    /// Waits until all was claimed.
    pub fn wait_until_claimed(&self) {
        while let (free, capacity) = self.0.free_and_capacity()
            && free < capacity
        {
            yield_now();
        }
    }

    pub fn push(&mut self, number: u64) {
        self.push_long(number, 1);
    }

    /// As [`push`](Self::push), with so many arguments, the number among them.
    pub fn push_long(&mut self, number: u64, arguments: usize) {
        let words = Words { words: &vec![number; arguments], span_words: 0 };
        let pushed = self.0.push_or_drop(0, LEVEL, &words, None);
        assert!(matches!(pushed, Ok(Pushed::Placed(_))), "the oldest makes room: {pushed:?}");
    }
}

#[derive(Debug)]
pub struct Overwritten {
    consumer: Consumer,
    /// What was taken; `None` for each that is missing there.
    numbers: Vec<Option<u64>>,
    missing: u64,
}

impl Overwritten {
    /// Takes all there is. Returns what was taken so far, `None` for each that is missing.
    pub fn take(&mut self) -> &[Option<u64>] {
        let committed = self.consumer.take_committed();
        let Overwritten { numbers, missing, .. } = self;
        self.consumer.peek(committed, |ring| {
            let mut at = 0;
            while let Some((header, record)) = ring.record_at(at) {
                at += record.len();
                let arguments = &record[HEADER_WORDS..];
                if header.is_loss() {
                    let (_, _, counts) = read_loss(arguments).expect("it is one");
                    let lost = counts[LEVEL.index()] - *missing;
                    *missing += lost;
                    numbers.extend((0..lost).map(|_| None));
                } else {
                    numbers.push(Some(arguments[0]));
                }
            }
        });
        self.consumer.release(committed);
        &self.numbers
    }
}

/// The room of a ring, with no ring around it: who waits looks for a flag instead, which stands for words that are free.
#[derive(Clone, Debug)]
pub struct WaitingRoom(Arc<Room>);

impl WaitingRoom {
    #[expect(clippy::new_without_default, reason = "models make it anew each time")]
    pub fn new() -> Self {
        WaitingRoom(Arc::new(Room::new(true)))
    }

    /// Waits until this is so.
    pub fn wait(&self, is_there: impl Fn() -> bool) {
        self.0.wait(never(), || is_there().then_some(())).expect("loom has no time");
    }

    /// As the listener does that has made room.
    pub fn announce(&self) {
        self.0.announce();
    }

    /// As a stop does.
    pub fn close(&self) {
        self.0.wake_all();
    }
}

/// A channel whose messages are wakes, as `queue::Channel` uses one when no frames come.
#[derive(Debug)]
pub struct WakeChannel {
    wakes: Wakes,
    messages: Mutex<u32>,
    sent: Condvar,
}

impl WakeChannel {
    #[expect(clippy::new_without_default, reason = "models make it anew each time")]
    pub fn new() -> Self {
        WakeChannel { wakes: Wakes::new(), messages: Mutex::new(0), sent: Condvar::new() }
    }

    pub fn wake(&self) {
        if self.wakes.ask() {
            *self.messages.lock() += 1;
            self.sent.notify_one();
        }
    }

    /// Sleeps until it is woken.
    pub fn sleep(&self) {
        loop {
            *self.messages.lock() = 0;
            if self.wakes.take() {
                return;
            }
            let mut messages = self.messages.lock();
            while *messages == 0 {
                messages = wait(&self.sent, messages, None);
            }
        }
    }
}

/// What sampling left out of one ring.
#[derive(Clone, Debug)]
pub struct Sampled(Arc<Sites>);

impl Sampled {
    #[expect(clippy::new_without_default, reason = "models make it anew each time")]
    pub fn new() -> Self {
        Sampled(Arc::new(Sites::new(true)))
    }

    /// A record of this callsite, of which every other one passes.
    pub fn log(&self, id: u32) {
        self.0.passes(id, 2);
    }

    /// Each callsite, and how many of its records were left out so far.
    pub fn left_out(&self) -> Vec<(Option<u32>, u64)> {
        self.0.left_out().collect()
    }
}

/// The books of a handler on a lane, as reports read them. Written here by one access for each step: loom does not try what
/// others read between a load and a store.
#[derive(Debug)]
pub struct Ledger(HandlerCounters);

impl Ledger {
    #[expect(clippy::new_without_default, reason = "models make it anew each time")]
    pub fn new() -> Self {
        Ledger(HandlerCounters::new(WRITER.into(), 0))
    }

    /// Two records on their way through it: one is filtered, the other delivered.
    pub fn write(&self) {
        let HandlerCounters { offered, filtered, queued, held, delivered, .. } = &self.0;
        offered.fetch_add(2, Ordering::Release);
        queued.fetch_add(2, Ordering::Release);
        queued.fetch_sub(2, Ordering::Release);
        filtered.fetch_add(1, Ordering::Release);
        held.swap(1, Ordering::Release);
        held.swap(0, Ordering::Release);
        delivered.fetch_add(1, Ordering::Release);
    }

    pub fn read(&self) -> HandlerReport {
        reports([&self.0])[WRITER].clone()
    }
}

/// Something that lives as long as the process.
#[derive(Debug)]
pub struct Grown {
    /// Written before anybody else sees it, as all of it is.
    number: AtomicU64,
    kept_back: KeptBack,
    next: AtomicRef<Grown>,
}

impl Grown {
    pub fn new(number: u64) -> &'static Grown {
        let grown = Grown { number: AtomicU64::new(0), kept_back: KeptBack::new(), next: AtomicRef::none() };
        grown.number.store(number, Ordering::Relaxed);
        Box::leak(Box::new(grown))
    }

    fn number(&self) -> u64 {
        self.number.load(Ordering::Relaxed)
    }
}

impl Linked for Grown {
    fn next(&self) -> &AtomicRef<Grown> {
        &self.next
    }
}

/// Limits at calls: their counts and their list, as `limit` has them in statics.
#[derive(Debug)]
pub struct Limits(List<Grown>);

impl Limits {
    #[expect(clippy::new_without_default, reason = "models make it anew each time")]
    pub fn new() -> Self {
        Limits(List::new())
    }

    /// A call that this limit keeps back.
    pub fn keep_back(&self, limit: &'static Grown) {
        if limit.kept_back.add() {
            self.0.push(limit);
        }
    }

    /// A call that this limit lets through: how many it tells of.
    pub fn pass(&self, limit: &'static Grown) -> u64 {
        limit.kept_back.tell()
    }

    /// The end of an engine: the number of each limit that kept calls back, and how many it tells of.
    pub fn end(&self) -> Vec<(u64, u64)> {
        self.0.iter().map(|limit| (limit.number(), limit.kept_back.tell())).collect()
    }
}

/// Places that are found by content, as `log`'s are: all have the same hash.
#[derive(Debug)]
pub struct Places([AtomicRef<Grown>; 2]);

impl Places {
    #[expect(clippy::new_without_default, reason = "models make it anew each time")]
    pub fn new() -> Self {
        Places([AtomicRef::none(), AtomicRef::none()])
    }

    /// The place of this number, which is made if it is new.
    pub fn find(&self, number: u64) -> Option<&'static Grown> {
        find_or_put(&self.0, |place| place.number() == number, || Some(Grown::new(number)))
    }
}
