//! One thread's ring: records go in whole, or not at all.
//!
//! ```text
//!            head (consumer)                       tail (producer)
//!              ▼                                     ▼
//!   ┌──────────┬─────────────┬──────────┬────────────┬───────────────┐
//!   │   free   │   record    │  record  │   record   │     free      │   words of 8 bytes
//!   └──────────┴─────────────┴──────────┴────────────┴───────────────┘
//! ```
//! The ring of words is rtrb's, behind [`spsc`]; under loom it is a twin with the same orderings. Where a policy drops
//! the oldest records it is [`overwriting`], our own, and every call takes the cold way. What stands here is
//! what makes records of words: a header, contiguity (a record that does not fit before the end of the ring is
//! preceded by a *pad*), room kept free for severe records, sampling, the mark of a loss, and the counting.
//!
//! **Invariant**: a record and the loss records that wait together always fit into an empty ring. A record of n words
//! and losses of m need `2 (n + m) + headroom` words at worst (the pad is shorter than what follows it), so
//! records that take the cold way are capped at what that leaves, and at 3/8 of the ring. With the headroom of 1/8 that
//! is the default, 3/8 is the lesser in every ring, the smallest of [`CAPACITY_MIN_BYTES`] included.
//!
//! What it does not do: wait, ask, or know a thread.

mod overwriting;
mod sites;
mod slot;
#[cfg_attr(treering_loom, path = "twin.rs")]
mod spsc;

pub(crate) use sites::Sites;
pub(crate) use slot::Slot;

use crossbeam_utils::CachePadded;

use crate::clock::Ticker;
use crate::level::Level;
use crate::overflow::{Choice, Policies, Reason};
use crate::stats::{ByLevel, LevelCounter, RingCounters, add};
use crate::sync::Arc;
use crate::wake::{Room, State};

/// The smallest ring. Below this a loss record and the headroom would leave no room worth having.
pub(crate) const CAPACITY_MIN_BYTES: usize = 4 * 1024;
/// The largest ring: lengths in a record's header have 24 bits, in words.
pub(crate) const CAPACITY_MAX_BYTES: usize = 64 * 1024 * 1024;

/// Words of a record before its arguments: length and id, stamp.
pub(crate) const HEADER_WORDS: usize = 2;
/// Words of a loss record: header, reason, the stamp at which the loss began, then the counts by level.
const LOSS_WORDS: usize = HEADER_WORDS + 2 + Level::COUNT;
/// Reasons for which a producer writes loss records: all but the oldest, of which the consumer learns when it takes what
/// is left.
const LOSSES_MAX: usize = Reason::COUNT - 1;
/// So many records left out by sampling are told of at the latest, while the ring stays more than half used.
const SAMPLED_UNTOLD_MAX: u64 = 1_000;

/// The id of a pad: skip its length.
pub(crate) const PAD_ID: u32 = u32::MAX - 1;
/// The id of a loss record: cumulative counts of records dropped for one reason, by level.
pub(crate) const LOSS_ID: u32 = u32::MAX - 2;
/// The id of a loss record that stands where the oldest made room: the consumer of [`overwriting`] writes it into its
/// copy. Lower ids are callsites'.
pub(crate) const GAP_ID: u32 = u32::MAX - 3;

/// In the header's length: arguments were cut.
const TRUNCATED: u32 = 1 << 31;
/// In the header's length: a word with the thread's number stands between the stamp and the arguments.
const THREAD: u32 = 1 << 30;
/// In the header's length: words that say something of spans stand before the arguments.
const SPAN: u32 = 1 << 27;
const LENGTH: u32 = (1 << 24) - 1;
/// In the header's length, of records that took the cold way: the level. For who drops the oldest.
const LEVEL_SHIFT: u32 = 24;

/// Asked for on top of a record, it makes every reservation fail: the next call takes the cold path.
const NEVER: u32 = u32::MAX;

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
    /// How many of the words say something of spans, before the arguments.
    #[inline(always)]
    fn span_words(&self) -> usize {
        0
    }
    /// Whether it may take room that is kept for severe records, whatever its level is.
    #[inline(always)]
    fn is_urgent(&self) -> bool {
        false
    }
    /// Whether arguments were cut before it came here.
    #[inline(always)]
    fn is_cut(&self) -> bool {
        false
    }
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

/// How many times its capacity a ring takes in memory at most, about: one that drops the oldest has a draft of a record,
/// and what the listener has claimed.
pub(crate) fn memory_factor(policies: &Policies) -> usize {
    if policies.overwrite() { 3 } else { 1 }
}

/// Makes a ring of `capacity` words and touches its pages.
pub(crate) fn ring(capacity: usize, shared: Arc<Shared>) -> (Producer, Consumer) {
    let policies = &shared.policies;
    let headroom = policies.headroom(capacity);
    // The rings of models are too small for loss records.
    let losses = if cfg!(treering_loom) { 0 } else { LOSSES_MAX * LOSS_WORDS };
    let record_words_max =
        headroom.map(|headroom| (capacity / 8 * 3).min((capacity - headroom) / 2 - losses));
    let counters = Arc::new(RingCounters::new());
    let room = Arc::new(Room::new(policies.wait()));
    let sites = Arc::new(Sites::new(policies.sample()));
    let (words, overwriting, taken) = if policies.overwrite() {
        let words_max = capacity / 8 * 3 + LOSSES_MAX * LOSS_WORDS;
        let (producer, consumer) = overwriting::words(capacity, words_max);
        // The hot way finds no room here.
        (spsc::words(0).0, Some(Box::new(producer)), Taken::Overwriting(consumer))
    } else {
        let (words, consumer) = spsc::words(capacity);
        (words, None, Taken::InPlace(consumer))
    };
    let mut producer = Producer {
        words,
        shared,
        counters: counters.clone(),
        extra: [NEVER; Level::COUNT],
        overwriting,
        room: room.clone(),
        sites: sites.clone(),
        capacity,
        headroom,
        record_words_max,
        untold: Untold::default(),
        index: 0,
    };
    producer.set_extra();
    (producer, Consumer { words: taken, counters, room, sites })
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

/// What became of a record whose fate is known at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Pushed {
    /// It is in the ring; the engine's state bits, see [`State::after_commit`].
    Placed(u32),
    /// It was dropped, and is counted.
    Dropped,
}

/// The thread's side.
///
/// What the hot way reads stands first, in one cache line: where calls are rare it has to come from far.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Producer {
    /// Where the hot way looks for room.
    words: spsc::Producer,
    shared: Arc<Shared>,
    counters: Arc<RingCounters>,
    /// Words to ask for on top of a record, by level: what must stay free, or [`NEVER`].
    extra: [u32; Level::COUNT],
    overwriting: Option<Box<overwriting::Producer>>,
    room: Arc<Room>,
    sites: Arc<Sites>,
    capacity: usize,
    /// Words that a record of each level leaves free.
    headroom: [usize; Level::COUNT],
    record_words_max: [usize; Level::COUNT],
    untold: Untold,
    index: usize,
}

#[cfg(not(treering_loom))]
const _: () = assert!(std::mem::offset_of!(Producer, overwriting) == 64, "the hot way's line is full");

/// Losses that no loss record told of.
#[derive(Default, Debug)]
struct Untold {
    /// By reason.
    is_pending: [bool; Reason::COUNT],
    /// Records left out by sampling.
    sampled: u64,
}

impl Untold {
    fn is_empty(&self) -> bool {
        !self.is_pending.contains(&true)
    }

    /// Those to tell of now. Sampling can wait for the end of the pressure: a ring that fills up needs its room for
    /// records.
    fn due(&self, is_pressed: bool) -> impl Iterator<Item = Reason> {
        let waits = is_pressed
            && self.sampled < SAMPLED_UNTOLD_MAX
            && !self.is_pending[Reason::Full as usize]
            && !self.is_pending[Reason::Policy as usize];
        let is_pending = if waits { [false; Reason::COUNT] } else { self.is_pending };
        Reason::OF_RINGS.into_iter().filter(move |reason| is_pending[*reason as usize])
    }
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
        let asked = words + self.extra[room_of(payload, level).index()] as usize;
        let Some(mut room) = self.words.reserve(asked) else { return Err(Refused::NoRoom) };
        let Some(to) = room.first(words) else { return Err(Refused::NoRoom) };
        to[0] = header(words, id, flags_of(payload));
        // Before the stamp, which waits for loads: what has to come from far comes at the same time.
        #[cfg(not(treering_mutant = "placed_after_commit"))]
        self.counters.placed.add_one(level);
        // After the reservation: a record that waited for room has the time at which it found it.
        to[1] = self.shared.ticker.stamp();
        write(payload, &mut to[HEADER_WORDS..]);
        room.commit(words);
        #[cfg(treering_mutant = "placed_after_commit")]
        self.counters.placed.add_one(level);
        Ok(self.shared.state.after_commit())
    }

    /// Places a record that [`push`](Self::push) could not: behind a pad, behind loss records, cut, with the number of its
    /// thread, or in place of the oldest. Waits for nothing; no code of the user's runs.
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
        let room_of = room_of(payload, level).index();
        let words_max = self.record_words_max[room_of];
        let is_cut = wanted > words_max;
        let words = wanted.min(words_max);
        let is_pressed = !self.untold.is_empty() && self.is_pressed();
        let loss = self.untold.due(is_pressed).count() * LOSS_WORDS;

        let Self { words: ring, overwriting, counters, .. } = self;
        let makes_room = matches!(self.shared.policies.at(level).choice(), Choice::DropOldest);
        let dropped = makes_room.then(|| &counters.cold.dropped[Reason::Oldest as usize].records);
        let headroom = self.headroom[room_of];
        let Some(mut room) = reserve(ring, overwriting, loss + words, headroom, dropped) else {
            return Err(Refused::NoRoom);
        };
        let to = room.words();
        let stamp = self.shared.ticker.stamp();
        for (reason, to) in self.untold.due(is_pressed).zip(to.chunks_exact_mut(LOSS_WORDS)) {
            write_loss(to, stamp, reason, counters);
        }
        let to = &mut to[loss..loss + words];
        let mut flags = (level.index() as u32) << LEVEL_SHIFT | flags_of(payload);
        if let Some(thread) = thread {
            flags |= THREAD;
            to[HEADER_WORDS] = u64::from(thread);
        }
        let mut length = words;
        if is_cut {
            flags |= TRUNCATED;
            length = front + payload.write_cut(&mut to[front..]);
            add(&counters.cold.truncated, 1);
        } else {
            write_dyn(payload, &mut to[front..]);
        }
        to[0] = header(length, id, flags);
        to[1] = stamp;
        #[cfg(not(treering_mutant = "placed_after_commit"))]
        counters.placed.add_one(level);
        room.commit(loss + length);
        #[cfg(treering_mutant = "placed_after_commit")]
        counters.placed.add_one(level);
        if loss > 0 {
            self.untold = Untold::default();
            self.set_extra();
        }
        Ok(self.shared.state.after_commit())
    }

    /// As [`push_slowly`](Self::push_slowly), and counts a record that its policy drops at once: then nothing is left to
    /// do. Takes no lock, as this may interrupt anything.
    #[cold]
    pub(crate) fn push_or_drop(
        &mut self,
        id: u32,
        level: Level,
        payload: &dyn Payload,
        thread: Option<u32>,
    ) -> Result<Pushed, Refused> {
        let policy = self.shared.policies.at(level);
        let waits = policy.waits();
        if let Choice::Sample(n) = *policy.choice()
            && !payload.is_urgent()
            && !self.shared.state.is_closed()
            && self.is_pressed()
            && !self.sites.passes(id, n)
        {
            self.count_drop(level, Reason::Sampled);
            return Ok(Pushed::Dropped);
        }
        let placed = self.push_slowly(id, level, payload, thread);
        if placed == Err(Refused::NoRoom) && !waits {
            // Nobody needs to wake the listener: the records that fill the ring did.
            self.count_drop(level, Reason::Full);
            return Ok(Pushed::Dropped);
        }
        placed.map(Pushed::Placed)
    }

    /// Counts a record that is not placed. The next one that is is preceded by a loss record.
    #[cold]
    pub(crate) fn count_drop(&mut self, level: Level, reason: Reason) {
        let dropped = &self.counters.cold.dropped[reason as usize];
        dropped.begin(|| self.shared.ticker.stamp());
        dropped.records.add_one(level);
        if !std::mem::replace(&mut self.untold.is_pending[reason as usize], true) {
            self.set_extra();
        }
        self.untold.sampled += u64::from(reason == Reason::Sampled);
    }

    /// Counts a call that came after the engine had stopped.
    #[cold]
    pub(crate) fn refuse_late(&mut self, level: Level) {
        self.counters.cold.late.add_one(level);
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Where callers wait for room in it.
    pub(crate) fn room(&self) -> &Arc<Room> {
        &self.room
    }

    /// Free words, and all.
    pub(crate) fn free_and_capacity(&self) -> (usize, usize) {
        (self.free(), self.capacity)
    }

    /// The ring's number in its engine, as [`set_index`](Self::set_index) set it.
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    pub(crate) fn set_index(&mut self, index: usize) {
        self.index = index;
    }

    /// Whether the ring is more than half used.
    fn is_pressed(&self) -> bool {
        self.free() < self.capacity / 2
    }

    fn free(&self) -> usize {
        match &self.overwriting {
            None => self.words.free(),
            Some(ring) => ring.free(),
        }
    }

    /// Sends calls the cold way that have something to do there.
    fn set_extra(&mut self) {
        let is_cold = self.overwriting.is_some() || !self.untold.is_empty();
        self.extra = Level::ALL.map(|level| match self.shared.policies.at(level).choice() {
            _ if is_cold => NEVER,
            Choice::Sample(_) => self.headroom[level.index()].max(self.capacity / 2) as u32,
            _ => self.headroom[level.index()] as u32,
        });
    }
}

/// Room for so many words and `headroom` more anywhere, made by dropping the oldest if there is a counter for them.
fn reserve<'a>(
    ring: &'a mut spsc::Producer,
    overwriting: &'a mut Option<Box<overwriting::Producer>>,
    words: usize,
    headroom: usize,
    dropped: Option<&LevelCounter>,
) -> Option<Reserved<'a>> {
    match overwriting {
        None => {
            let (room, pad) = ring.reserve_behind_pad(words, headroom)?;
            Some(Reserved::InPlace(room, pad))
        }
        Some(ring) => ring.reserve(words, headroom, dropped).then_some(Reserved::Draft(ring)),
    }
}

/// Room that nobody else sees yet.
enum Reserved<'a> {
    /// In the ring, behind a pad of so many words.
    InPlace(spsc::Room<'a>, usize),
    Draft(&'a mut overwriting::Producer),
}

impl Reserved<'_> {
    fn words(&mut self) -> &mut [u64] {
        match self {
            Reserved::InPlace(room, pad) => room.behind(*pad),
            Reserved::Draft(ring) => ring.draft(),
        }
    }

    /// Hands the first `words` to the consumer.
    fn commit(self, words: usize) {
        match self {
            Reserved::InPlace(room, pad) => room.commit(pad + words),
            Reserved::Draft(ring) => ring.commit(words),
        }
    }
}

/// Writes a loss record, whose losses are told of with it.
fn write_loss(to: &mut [u64], stamp: u64, reason: Reason, counters: &RingCounters) {
    let dropped = &counters.cold.dropped[reason as usize];
    let since = dropped.take_since().unwrap_or(stamp);
    to.copy_from_slice(&loss_record(LOSS_ID, stamp, reason, since, &dropped.records.load()));
}

/// A loss record, which [`read_loss`] reads.
fn loss_record(id: u32, stamp: u64, reason: Reason, since: u64, counts: &ByLevel) -> [u64; LOSS_WORDS] {
    let mut words = [0; LOSS_WORDS];
    words[..HEADER_WORDS + 2].copy_from_slice(&[header(LOSS_WORDS, id, 0), stamp, reason as u64, since]);
    words[HEADER_WORDS + 2..].copy_from_slice(counts);
    words
}

/// The listener's side.
#[derive(Debug)]
pub(crate) struct Consumer {
    words: Taken,
    counters: Arc<RingCounters>,
    room: Arc<Room>,
    sites: Arc<Sites>,
}

/// The consumer's half of the words.
#[derive(Debug)]
enum Taken {
    /// They are read where they lie.
    InPlace(spsc::Consumer),
    Overwriting(overwriting::Consumer),
}

impl Consumer {
    /// Words that are committed and not released, by a fresh look at the tail. They stay there.
    pub(crate) fn take_committed(&mut self) -> usize {
        match &mut self.words {
            Taken::InPlace(words) => words.committed(),
            Taken::Overwriting(words) => {
                if words.claim() && !cfg!(treering_mutant = "claim_quietly") {
                    self.room.announce();
                }
                words.claimed().len()
            }
        }
    }

    /// As [`take_committed`](Self::take_committed), but where the producer drops the oldest it still may.
    pub(crate) fn committed_words(&self) -> usize {
        match &self.words {
            Taken::InPlace(words) => words.committed(),
            Taken::Overwriting(words) => words.committed(),
        }
    }

    /// Lends the first `words` words that were taken: two slices where the ring wraps, each record whole in one of them.
    pub(crate) fn peek<R>(&mut self, words: usize, look: impl FnOnce(Words<'_>) -> R) -> R {
        match &mut self.words {
            Taken::InPlace(ring) => ring.peek(words, |first, second| look(Words { first, second })),
            Taken::Overwriting(ring) => look(Words { first: &ring.claimed()[..words], second: &[] }),
        }
    }

    /// Gives the first `words` words that were taken back to the producer.
    pub(crate) fn release(&mut self, words: usize) {
        match &mut self.words {
            Taken::InPlace(ring) => {
                ring.release(words);
                self.room.announce();
            }
            Taken::Overwriting(ring) => ring.release(words),
        }
    }

    pub(crate) fn counters(&self) -> &Arc<RingCounters> {
        &self.counters
    }

    /// Where callers wait for room in it.
    pub(crate) fn room(&self) -> &Arc<Room> {
        &self.room
    }

    pub(crate) fn sites(&self) -> &Arc<Sites> {
        &self.sites
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
    pub(crate) has_span: bool,
}

impl Header {
    /// Whether it is a record of the program's: no pad, and no loss record.
    pub(crate) fn is_record(&self) -> bool {
        self.id < GAP_ID
    }

    /// Whether it is a loss record.
    pub(crate) fn is_loss(&self) -> bool {
        matches!(self.id, LOSS_ID | GAP_ID)
    }

    #[inline]
    fn read(word: u64) -> Self {
        let length = word as u32;
        Header {
            words: ((length & LENGTH) as usize).max(1),
            id: (word >> 32) as u32,
            truncated: length & TRUNCATED != 0,
            has_thread: length & THREAD != 0,
            has_span: length & SPAN != 0,
        }
    }
}

/// What a loss record says: the reason, the stamp at which the loss began, and the cumulative counts.
pub(crate) fn read_loss(arguments: &[u64]) -> Option<(Reason, u64, ByLevel)> {
    let [reason, since, counts @ ..] = arguments else { return None };
    Some((*Reason::OF_RINGS.get(*reason as usize)?, *since, counts.try_into().ok()?))
}

/// The level whose room a record may take.
#[inline(always)]
fn room_of<P: Payload + ?Sized>(payload: &P, level: Level) -> Level {
    if payload.is_urgent() { Level::Error } else { level }
}

/// What a payload says of itself, for its header.
#[inline(always)]
fn flags_of<P: Payload + ?Sized>(payload: &P) -> u32 {
    let span = if payload.span_words() > 0 { SPAN } else { 0 };
    let cut = if payload.is_cut() { TRUNCATED } else { 0 };
    span | cut
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
