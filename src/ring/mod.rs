//! One thread's ring: records go in whole, or not at all.
//!
//! ```text
//!            head (consumer)                       tail (producer)
//!              ▼                                     ▼
//!   ┌──────────┬─────────────┬──────────┬────────────┬───────────────┐
//!   │   free   │   record    │  record  │   record   │     free      │   words of 8 bytes
//!   └──────────┴─────────────┴──────────┴────────────┴───────────────┘
//! ```
//! The ring of words is rtrb's, behind [`spsc`]; under loom it is a twin with the same orderings. What stands here is
//! what makes records of words: a header, contiguity (a record that does not fit before the end of the ring is
//! preceded by a *pad*), room kept free for severe records, the mark of a loss, and the counting.
//!
//! **Invariant**: a record and a loss record that wait together always fit into an empty ring. A record of n words
//! and a loss record of m need `2 (n + m) + headroom` words at worst (the pad is shorter than what follows it), so
//! records are capped at 3/8 of the ring, the headroom is 1/8, and the smallest ring is [`CAPACITY_MIN_BYTES`].
//!
//! What it does not do: wait, decide, or know a thread.

mod slot;
#[cfg_attr(treering_loom, path = "twin.rs")]
mod spsc;

pub(crate) use slot::Slot;

use crossbeam_utils::CachePadded;

use crate::clock::Ticker;
use crate::level::Level;
use crate::overflow::Policies;
use crate::stats::{ByLevel, RingCounters, add};
use crate::sync::Arc;
use crate::wake::State;

/// The smallest ring. Below this a loss record and the headroom would leave no room worth having.
pub(crate) const CAPACITY_MIN_BYTES: usize = 4 * 1024;
/// The largest ring: lengths in a record's header have 24 bits, in words.
pub(crate) const CAPACITY_MAX_BYTES: usize = 64 * 1024 * 1024;

/// Words of a record before its arguments: length and id, stamp.
pub(crate) const HEADER_WORDS: usize = 2;
/// Words of a loss record: header, then the counts by level.
const LOSS_WORDS: usize = HEADER_WORDS + Level::COUNT;

/// The id of a pad: skip its length.
pub(crate) const PAD_ID: u32 = u32::MAX - 1;
/// The id of a loss record: cumulative counts of dropped records, by level.
pub(crate) const LOSS_ID: u32 = u32::MAX - 2;

/// In the header's length: arguments were cut.
const TRUNCATED: u32 = 1 << 31;
/// In the header's length: a word with the thread's number stands between the stamp and the arguments.
const THREAD: u32 = 1 << 30;
const LENGTH: u32 = (1 << 24) - 1;

/// Asked for on top of a record, it makes every reservation fail: the next call takes the cold path.
const NEVER: usize = usize::MAX / 2;

/// Arguments that wait to be copied into a ring. Nothing of it may panic or run code of the user's.
///
/// # Safety
/// [`write`](Payload::write) writes exactly [`words`](Payload::words) words, and [`write_cut`](Payload::write_cut)
/// returns how many it wrote.
#[expect(unsafe_code, reason = "the ring commits what an implementation says it wrote")]
pub(crate) unsafe trait Payload {
    /// How long it is.
    fn words(&self) -> usize;
    /// Copies it to `to`.
    ///
    /// # Safety
    /// `to` is valid for writes of [`words`](Payload::words) words.
    unsafe fn write(&self, to: *mut u64);
    /// Copies what fits, cutting strings and lists.
    fn write_cut(&self, into: &mut [u64]) -> usize;
}

/// What both sides of all of an engine's rings share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The engine's state word, in a line of its own.
    pub(crate) state: CachePadded<State>,
    pub(crate) ticker: Ticker,
    /// What happens to a record that finds no room. Here, so that a call which does not wait asks nobody else.
    pub(crate) policies: Policies,
}

impl Shared {
    pub(crate) fn new(policies: Policies) -> Self {
        Shared { state: CachePadded::new(State::new()), ticker: Ticker::default(), policies }
    }
}

/// Makes a ring of `capacity` words and touches its pages.
pub(crate) fn ring(capacity: usize, shared: Arc<Shared>) -> (Producer, Consumer) {
    let (producer, consumer) = spsc::words(capacity);
    let counters = Arc::new(RingCounters::new());
    let headroom = capacity / 8;
    let mut producer = Producer {
        words: producer,
        extra: [NEVER; Level::COUNT],
        shared,
        counters: counters.clone(),
        headroom,
        record_words_max: capacity / 8 * 3,
        loss_is_pending: false,
        index: 0,
    };
    producer.set_loss_pending(false);
    (producer, Consumer { words: consumer, counters })
}

/// Why a record was not placed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refused {
    /// The engine takes no more records. Nothing was written or counted.
    Closed,
    /// The fast way cannot place it: no room, no contiguous room, or a loss record has to go first. From
    /// [`Producer::push_slowly`]: no room.
    NoRoom,
}

/// The thread's side.
#[derive(Debug)]
pub(crate) struct Producer {
    words: spsc::Producer,
    /// Words to ask for on top of a record, by level: what is kept free for severe records, or [`NEVER`].
    extra: [usize; Level::COUNT],
    shared: Arc<Shared>,
    counters: Arc<RingCounters>,
    headroom: usize,
    record_words_max: usize,
    loss_is_pending: bool,
    index: usize,
}

impl Producer {
    /// Places a record, or writes nothing. Returns the engine's state bits after the commit, see
    /// [`State::after_commit`].
    ///
    /// The hot path: no wait, no lock, no allocation, no system call, no code of the user's, no fence.
    #[inline(always)]
    pub(crate) fn push(&mut self, id: u32, level: Level, payload: &impl Payload) -> Result<u32, Refused> {
        if self.shared.state.is_closed() {
            return Err(Refused::Closed);
        }
        let words = payload.words().saturating_add(HEADER_WORDS);
        // Free for arguments of a fixed size: the compiler knows.
        if words > LENGTH as usize {
            return Err(Refused::NoRoom);
        }
        let asked = asked(words, self.extra[level.index()]);
        let Some(mut room) = self.words.reserve(asked) else { return Err(Refused::NoRoom) };
        let Some(to) = room.first(words) else { return Err(Refused::NoRoom) };
        to[0] = header(words, id, 0);
        // After the reservation: a record that waited for room has the time at which it found it.
        to[1] = self.shared.ticker.stamp();
        write(payload, &mut to[HEADER_WORDS..]);
        self.counters.placed.add_one(level);
        room.commit(words);
        Ok(self.shared.state.after_commit())
    }

    /// Places a record that [`push`](Self::push) could not: behind a pad, behind a loss record, cut, or with the number of its thread. Waits for nothing; no code of the user's runs.
    #[cold]
    pub(crate) fn push_slowly(
        &mut self,
        id: u32,
        level: Level,
        payload: &dyn Payload,
        thread: Option<u32>,
    ) -> Result<u32, Refused> {
        if self.shared.state.is_closed() {
            return Err(Refused::Closed);
        }
        let front = HEADER_WORDS + usize::from(thread.is_some());
        let wanted = payload.words().saturating_add(front);
        let is_cut = wanted > self.record_words_max;
        let words = wanted.min(self.record_words_max);
        let loss = if self.loss_is_pending { LOSS_WORDS } else { 0 };
        let headroom = extra(self.headroom)[level.index()];

        let Some((mut room, pad)) = self.words.reserve_behind_pad(loss + words, headroom) else {
            return Err(Refused::NoRoom);
        };
        let to = room.behind(pad);
        let stamp = self.shared.ticker.stamp();
        if loss > 0 {
            to[0] = header(LOSS_WORDS, LOSS_ID, 0);
            to[1] = stamp;
            to[HEADER_WORDS..LOSS_WORDS].copy_from_slice(&self.counters.cold.dropped_full.load());
        }
        let to = &mut to[loss..loss + words];
        let mut flags = 0;
        if let Some(thread) = thread {
            flags |= THREAD;
            to[HEADER_WORDS] = u64::from(thread);
        }
        let mut length = words;
        if is_cut {
            flags |= TRUNCATED;
            length = front + payload.write_cut(&mut to[front..]);
            add(&self.counters.cold.truncated, 1);
        } else {
            write_dyn(payload, &mut to[front..]);
        }
        to[0] = header(length, id, flags);
        to[1] = stamp;
        self.counters.placed.add_one(level);
        room.commit(pad + loss + length);
        self.set_loss_pending(false);
        Ok(self.shared.state.after_commit())
    }

    /// As [`push_slowly`](Self::push_slowly), and counts a record that finds no room where the policy does not wait: then
    /// nothing is left to do, and to attend to. Takes no lock, as this may interrupt anything.
    #[cold]
    pub(crate) fn push_or_drop(
        &mut self,
        id: u32,
        level: Level,
        payload: &dyn Payload,
    ) -> Result<u32, Refused> {
        let placed = self.push_slowly(id, level, payload, None);
        if placed == Err(Refused::NoRoom) && self.shared.policies.at(level).patience().is_zero() {
            // Nobody needs to wake the listener: the records that fill the ring did.
            self.drop_full(level);
            return Ok(0);
        }
        placed
    }

    /// Counts a record that found no room. The next one that does is preceded by a loss record.
    #[cold]
    pub(crate) fn drop_full(&mut self, level: Level) {
        self.counters.cold.dropped_full.add_one(level);
        self.set_loss_pending(true);
    }

    /// Counts a call that came after the engine had stopped.
    #[cold]
    pub(crate) fn refuse_late(&mut self, level: Level) {
        self.counters.cold.late.add_one(level);
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The ring's number in its engine, as [`set_index`](Self::set_index) set it.
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    pub(crate) fn set_index(&mut self, index: usize) {
        self.index = index;
    }

    fn set_loss_pending(&mut self, pending: bool) {
        self.loss_is_pending = pending;
        self.extra = if pending { [NEVER; Level::COUNT] } else { extra(self.headroom) };
    }
}

/// What to reserve for a record of so many words. Tells the compiler that the sum is not below `words`, which
/// spares the hot path a comparison.
#[inline(always)]
#[expect(unsafe_code, reason = "an addition that cannot overflow")]
fn asked(words: usize, extra: usize) -> usize {
    debug_assert!(words <= LENGTH as usize && extra <= NEVER);
    // SAFETY: `push` has compared the words with `LENGTH`, and `set_loss_pending` sets no more than `NEVER`.
    unsafe { words.unchecked_add(extra) }
}

/// The headroom by level: WARN and above may use it.
fn extra(headroom: usize) -> [usize; Level::COUNT] {
    Level::ALL.map(|level| if level > Level::Warn { headroom } else { 0 })
}

/// The listener's side.
#[derive(Debug)]
pub(crate) struct Consumer {
    words: spsc::Consumer,
    counters: Arc<RingCounters>,
}

impl Consumer {
    /// Words that are committed and not released, by a fresh look at the tail.
    pub(crate) fn committed_words(&self) -> usize {
        self.words.committed()
    }

    /// Lends the first `words` committed words: two slices where the ring wraps, each record whole in one of them.
    pub(crate) fn peek<R>(&mut self, words: usize, look: impl FnOnce(Words<'_>) -> R) -> R {
        self.words.peek(words, |first, second| look(Words { first, second }))
    }

    /// Gives the first `words` committed words back to the producer.
    pub(crate) fn release(&mut self, words: usize) {
        self.words.release(words);
    }

    pub(crate) fn counters(&self) -> &Arc<RingCounters> {
        &self.counters
    }
}

/// Committed words of a ring, in order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words<'a> {
    first: &'a [u64],
    second: &'a [u64],
}

impl<'a> Words<'a> {
    /// The record or pad that begins at word `at`; `None` at the end.
    ///
    /// Whatever the words are, what is returned has at least one word and lies within them.
    #[inline]
    pub(crate) fn record_at(&self, at: usize) -> Option<(Header, &'a [u64])> {
        let from = match self.first.get(at..) {
            Some(rest) if !rest.is_empty() => rest,
            _ => self.second.get(at.checked_sub(self.first.len())?..)?,
        };
        let header = Header::read(*from.first()?);
        Some((header, &from[..header.words.min(from.len())]))
    }
}

/// The header of a record, taken apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Header {
    /// With the header itself; at least 1.
    pub(crate) words: usize,
    pub(crate) id: u32,
    pub(crate) truncated: bool,
    pub(crate) has_thread: bool,
}

impl Header {
    #[inline]
    fn read(word: u64) -> Self {
        let length = word as u32;
        Header {
            words: ((length & LENGTH) as usize).max(1),
            id: (word >> 32) as u32,
            truncated: length & TRUNCATED != 0,
            has_thread: length & THREAD != 0,
        }
    }
}

/// The cumulative counts of a loss record, given its arguments.
pub(crate) fn loss_counts(arguments: &[u64]) -> ByLevel {
    std::array::from_fn(|level| arguments.get(level).copied().unwrap_or(0))
}

#[inline(always)]
fn header(words: usize, id: u32, flags: u32) -> u64 {
    u64::from(id) << 32 | u64::from(words as u32 | flags)
}

#[inline(always)]
#[expect(unsafe_code, reason = "see Payload")]
fn write(payload: &impl Payload, to: &mut [u64]) {
    debug_assert_eq!(to.len(), payload.words());
    // SAFETY: `to` was cut to the payload's words by the caller above.
    unsafe { payload.write(to.as_mut_ptr()) };
}

#[expect(unsafe_code, reason = "see Payload")]
fn write_dyn(payload: &dyn Payload, to: &mut [u64]) {
    debug_assert_eq!(to.len(), payload.words());
    // SAFETY: as in `write`.
    unsafe { payload.write(to.as_mut_ptr()) };
}

#[cfg(test)]
mod tests;
