//! What is counted where, and by whom.

// A counter has one writer (but for those marked *any*), so writing is a plain load, add and store; the lines are padded
// by writer. Every call counts in one counter when it gets its place or loses it: placed, dropped or refused, and
// `submitted` is their sum. A reader loads the settled counters first and the placed last: hence the above.

use std::collections::BTreeMap;

use crossbeam_utils::CachePadded;

use super::{ByLevel, Reason, total};
use crate::level::Level;
use crate::sync::{AtomicBool, AtomicU64, AtomicUsize, Mutex, Ordering};

/// A counter by level.
#[derive(Debug)]
pub(crate) struct LevelCounter([AtomicU64; Level::COUNT]);

impl LevelCounter {
    pub(crate) fn new() -> Self {
        LevelCounter(std::array::from_fn(|_| AtomicU64::new(0)))
    }

    /// One more, by the counter's only writer.
    #[inline(always)]
    pub(crate) fn add_one(&self, level: Level) {
        let counter = &self.0[level.index()];
        // Relaxed: a count guards no data; what orders `submitted` before the record is the record's own commit.
        counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// One more, by any thread.
    pub(crate) fn add_one_shared(&self, level: Level) {
        #[cfg(treering_mutant = "count_by_store")]
        return add(&self.0[level.index()], 1);
        #[cfg(not(treering_mutant = "count_by_store"))]
        self.0[level.index()].fetch_add(1, Ordering::Release);
    }

    /// As many more of each level, by the counter's only writer.
    pub(crate) fn add_settled(&self, more: &ByLevel) {
        self.0
            .iter()
            .zip(more)
            .filter(|(_, more)| **more > 0)
            .for_each(|(counter, more)| add(counter, *more));
    }

    pub(crate) fn load(&self) -> ByLevel {
        std::array::from_fn(|level| self.0[level].load(Ordering::Acquire))
    }
}

/// Adds to a counter of settled records that only the caller writes.
pub(crate) fn add(counter: &AtomicU64, more: u64) {
    // Release: whoever sees a record settled must see it submitted.
    counter.store(counter.load(Ordering::Relaxed) + more, Ordering::Release);
}

/// Takes from such a counter, under the same conditions.
pub(crate) fn take_off(counter: &AtomicU64, less: u64) {
    counter.store(counter.load(Ordering::Relaxed) - less, Ordering::Release);
}

/// Calls that a limit kept back, and how many of them were told of. Any thread counts and tells.
#[derive(Debug)]
pub(crate) struct KeptBack {
    calls: AtomicU64,
    /// Grows only.
    told: AtomicU64,
}

impl KeptBack {
    #[cfg(not(treering_loom))]
    pub(crate) const fn new() -> Self {
        KeptBack { calls: AtomicU64::new(0), told: AtomicU64::new(0) }
    }

    #[cfg(treering_loom)]
    pub(crate) fn new() -> Self {
        KeptBack { calls: AtomicU64::new(0), told: AtomicU64::new(0) }
    }

    /// One more; whether it is the first.
    pub(crate) fn add(&self) -> bool {
        self.calls.fetch_add(1, Ordering::Relaxed) == 0
    }

    pub(crate) fn count(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// How many nobody has told of yet. They count as told: the sum of all answers is what was kept back, whoever asks
    /// meanwhile.
    pub(crate) fn tell(&self) -> u64 {
        let calls = self.count();
        let told = self.told.load(Ordering::Relaxed);
        if told == calls {
            return 0;
        }
        #[cfg(treering_mutant = "told_by_store")]
        self.told.store(calls, Ordering::Relaxed);
        #[cfg(not(treering_mutant = "told_by_store"))]
        let told = self.told.fetch_max(calls, Ordering::Relaxed);
        calls.saturating_sub(told)
    }
}

/// The counters of one ring, in its header.
#[derive(Debug)]
pub(crate) struct RingCounters {
    /// Records that got a place. Producer, before the commit.
    pub(crate) placed: CachePadded<LevelCounter>,
    pub(crate) cold: CachePadded<ColdCounters>,
    pub(crate) settled: CachePadded<SettledCounters>,
}

/// Written by the producer in its cold path.
#[derive(Debug)]
pub(crate) struct ColdCounters {
    pub(crate) dropped: [Dropped; Reason::COUNT],
    /// Refused because the engine had stopped.
    pub(crate) late: LevelCounter,
    /// Records that were cut; a mark, not a fate.
    pub(crate) truncated: AtomicU64,
}

/// Records dropped for one reason. Those that were dropped as the oldest had been placed, the others not.
#[derive(Debug)]
pub(crate) struct Dropped {
    pub(crate) records: LevelCounter,
    /// The stamp of the first that nobody has told of, or 0. Who tells takes it back.
    pub(crate) since: AtomicU64,
}

impl Dropped {
    fn new() -> Self {
        Dropped { records: LevelCounter::new(), since: AtomicU64::new(0) }
    }

    /// Marks the beginning of a loss, if it has none.
    pub(crate) fn begin(&self, stamp: impl FnOnce() -> u64) {
        // Relaxed: nothing is read through it, and one that is taken back meanwhile is one of the next loss.
        if self.since.load(Ordering::Relaxed) == 0 {
            self.since.store(stamp(), Ordering::Relaxed);
        }
    }

    /// The beginning of the loss that is told of now.
    pub(crate) fn take_since(&self) -> Option<u64> {
        Some(self.since.swap(0, Ordering::Relaxed)).filter(|stamp| *stamp != 0)
    }
}

/// Written by the listener.
#[derive(Debug)]
pub(crate) struct SettledCounters {
    pub(crate) dispatched: AtomicU64,
    /// Committed past the tail that the last drain read.
    pub(crate) late: AtomicU64,
}

impl RingCounters {
    /// How many of the records that were placed have their fate.
    pub(crate) fn settled(&self) -> u64 {
        let SettledCounters { dispatched, late } = &*self.settled;
        let oldest = total(&self.cold.dropped[Reason::Oldest as usize].records.load());
        dispatched.load(Ordering::Acquire) + late.load(Ordering::Acquire) + oldest
    }

    pub(crate) fn new() -> Self {
        RingCounters {
            placed: CachePadded::new(LevelCounter::new()),
            cold: CachePadded::new(ColdCounters {
                dropped: std::array::from_fn(|_| Dropped::new()),
                late: LevelCounter::new(),
                truncated: AtomicU64::new(0),
            }),
            settled: CachePadded::new(SettledCounters {
                dispatched: AtomicU64::new(0),
                late: AtomicU64::new(0),
            }),
        }
    }
}

/// Records that were handed to no handler, as a step of the preparation said so or failed. They were placed, and their rings
/// count them as dispatched. Written by the listener, under the book lock.
#[derive(Debug)]
pub(crate) struct PreparedAway {
    pub(super) records: LevelCounter,
    pub(super) unprepared: AtomicU64,
    pub(super) reasons: Mutex<BTreeMap<&'static str, u64>>,
}

impl PreparedAway {
    pub(crate) fn new() -> Self {
        PreparedAway {
            records: LevelCounter::new(),
            unprepared: AtomicU64::new(0),
            reasons: Mutex::new(BTreeMap::new()),
        }
    }

    /// So many more, one for each of these reasons; the others failed. After the rings have counted them.
    pub(crate) fn add(&self, by_level: &ByLevel, reasons: &[&'static str], unprepared: u64) {
        self.records.add_settled(by_level);
        add(&self.unprepared, unprepared);
        let mut counts = self.reasons.lock();
        reasons.iter().for_each(|reason| *counts.entry(reason).or_default() += 1);
    }
}

/// Calls that found no ring, as the engine had stopped. *Any* thread writes.
#[derive(Debug)]
pub(crate) struct OutsideCounters {
    pub(crate) late: LevelCounter,
}

impl OutsideCounters {
    pub(crate) fn new() -> Self {
        OutsideCounters { late: LevelCounter::new() }
    }
}

/// What became of spans. Written by the listener.
#[derive(Debug, Default)]
pub(crate) struct SpanCounters {
    /// Records that were for the listener alone.
    pub(super) span_records: AtomicU64,
    /// Spans that were forgotten.
    pub(super) evicted: AtomicU64,
    /// Records whose spans are not all known.
    pub(super) unknown: AtomicU64,
}

impl SpanCounters {
    /// So many more, in the order of the fields.
    pub(crate) fn add(&self, more: [u64; 3]) {
        let counters = [&self.span_records, &self.evicted, &self.unknown];
        counters
            .into_iter()
            .zip(more)
            .filter(|(_, more)| *more > 0)
            .for_each(|(counter, more)| add(counter, more));
    }
}

/// Calls of an engine that puts its records into a queue. Each counts when it has its fate. *Any* thread writes.
#[derive(Debug)]
pub(crate) struct OutletCounters {
    /// Taken by the queue.
    pub(crate) taken: LevelCounter,
    pub(crate) dropped: [LevelCounter; Reason::ALL.len()],
    pub(crate) late: LevelCounter,
    /// Of those taken, records that were cut; a mark, not a fate.
    pub(crate) truncated: AtomicU64,
}

impl OutletCounters {
    pub(crate) fn new() -> Self {
        OutletCounters {
            taken: LevelCounter::new(),
            dropped: std::array::from_fn(|_| LevelCounter::new()),
            late: LevelCounter::new(),
            truncated: AtomicU64::new(0),
        }
    }
}

/// One handler's ledger. Written by the listener's thread, its lane's if it has one, and at the deadline of a stop by the
/// thread that stops, all under the engine's book lock.
#[derive(Debug)]
pub(crate) struct HandlerCounters {
    pub(crate) name: String,
    /// Its place among the engine's books.
    pub(crate) number: usize,
    pub(crate) offered: AtomicU64,
    pub(crate) filtered: AtomicU64,
    pub(crate) delivered: AtomicU64,
    pub(crate) failed: AtomicU64,
    /// Of the failed ones; a mark, not a fate.
    pub(crate) skipped: AtomicU64,
    /// Taken by a fallback; a mark, not a fate.
    pub(crate) diverted: AtomicU64,
    pub(crate) abandoned: AtomicU64,
    pub(crate) held: AtomicU64,
    /// In its lane, and not in its hands yet.
    pub(crate) queued: AtomicU64,
    /// Of the failed ones, those that found no room in its lane; a mark, not a fate.
    pub(crate) overflowed: AtomicU64,
    /// Settled by a deadline; before that in-flight is the difference.
    pub(crate) in_flight: AtomicU64,
    /// Records of the batch in hand that the handler has yet to settle, 0 between batches.
    pub(crate) in_hand: AtomicU64,
    /// An engine has a handler of this name now. Written by the listener's thread, without a lock.
    pub(crate) attached: AtomicBool,
    /// It is in quarantine. Written by the listener's thread, without a lock.
    pub(crate) quarantined: AtomicBool,
    pub(crate) cursor: Cursor,
}

/// How far a handler came in the batch in hand. Written by the batch's iterators, without a lock.
#[derive(Debug)]
pub(crate) struct Cursor {
    /// Records handed out in this call, and the bits below. Changed by read-modify-write: a deadline that passes
    /// closes the batch, and who was handed out before is exact.
    handed: AtomicUsize,
}

impl Cursor {
    /// The iterator came to its end: a handler that collects a batch and then sends it has all of it in flight.
    const EXHAUSTED: usize = 1 << (usize::BITS - 1);
    /// A stop's deadline has passed: nothing more is handed out.
    const CLOSED: usize = 1 << (usize::BITS - 2);
    const COUNT: usize = Self::CLOSED - 1;

    pub(crate) fn new() -> Self {
        Cursor { handed: AtomicUsize::new(0) }
    }

    /// An iterator is about to hand out the nth record, from 1 on; `false` if it may not. A second iterator over the
    /// same batch does not move the cursor until it is further than the first.
    #[inline]
    #[must_use]
    pub(crate) fn advance(&self, nth: usize) -> bool {
        // Relaxed: it counts and guards nothing. Iterators of one thread alone move it forward.
        let mut handed = self.handed.load(Ordering::Relaxed);
        if nth > handed & Self::COUNT {
            #[cfg(treering_mutant = "advance_by_store")]
            self.handed.store(handed + 1, Ordering::Relaxed);
            #[cfg(not(treering_mutant = "advance_by_store"))]
            {
                handed = self.handed.fetch_add(1, Ordering::Relaxed);
            }
        }
        handed & Self::CLOSED == 0
    }

    /// How many records were handed out.
    pub(crate) fn handed(&self) -> usize {
        self.handed.load(Ordering::Relaxed) & Self::COUNT
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.handed.load(Ordering::Relaxed) & Self::CLOSED != 0
    }

    pub(crate) fn exhaust(&self) {
        self.handed.fetch_or(Self::EXHAUSTED, Ordering::Relaxed);
    }

    /// Nothing more is handed out from now on. How many records were, and whether the iterator came to its end.
    fn close(&self) -> (usize, bool) {
        let handed = self.handed.fetch_or(Self::CLOSED, Ordering::Relaxed);
        (handed & Self::COUNT, handed & Self::EXHAUSTED != 0)
    }

    pub(crate) fn reset(&self) {
        self.handed.store(0, Ordering::Relaxed);
    }
}

impl HandlerCounters {
    pub(crate) fn new(name: String, number: usize) -> Self {
        let zero = || AtomicU64::new(0);
        HandlerCounters {
            name,
            number,
            offered: zero(),
            filtered: zero(),
            delivered: zero(),
            failed: zero(),
            skipped: zero(),
            diverted: zero(),
            abandoned: zero(),
            held: zero(),
            queued: zero(),
            overflowed: zero(),
            in_flight: zero(),
            in_hand: zero(),
            attached: AtomicBool::new(false),
            quarantined: AtomicBool::new(false),
            cursor: Cursor::new(),
        }
    }

    /// At the deadline of a stop, under the book lock: what the handler has in hand gets its fate. Of a record-wise
    /// handler the record handed out last is in flight, those before are delivered and those after abandoned; of one
    /// that took the whole batch, all of it is in flight.
    pub(crate) fn give_up(&self) {
        let in_hand = self.in_hand.load(Ordering::Relaxed);
        let (handed, is_exhausted) = self.cursor.close();
        if is_exhausted {
            add(&self.in_flight, in_hand);
        } else {
            let handed = (handed as u64).min(in_hand);
            let in_flight = handed.min(1);
            add(&self.in_flight, in_flight);
            add(&self.delivered, handed - in_flight);
            add(&self.abandoned, in_hand - handed);
        }
        // What it holds it might still write when it returns, or not: in flight as well.
        add(&self.in_flight, self.held.swap(0, Ordering::Relaxed));
        add(&self.abandoned, self.queued.swap(0, Ordering::Relaxed));
    }
}
