//! The books: what is counted where, by whom, and the report that adds it up.
//!
//! Two ledgers. The engine's gives each record one fate:
//! `submitted = dispatched + dropped + late + abandoned + pending`. Each handler's gives one to each record it was
//! offered: `offered = filtered + delivered + failed + abandoned + held + in_flight`.
//!
//! A [`Report`] shows the books at one moment. `pending`, the records that have a place in memory and no fate yet, is
//! never negative, and exact as soon as no record is placed any more, however many calls are refused meanwhile.

// A counter has one writer (but for those marked *any*), so writing is a plain load, add and store; the lines are padded
// by writer. Every call counts in one counter when it gets its place or loses it: placed, dropped or refused, and
// `submitted` is their sum. A reader loads the settled counters first and the placed last: hence the above.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Index;
use std::time::Duration;

use crossbeam_utils::CachePadded;

use crate::level::Level;
use crate::sync::{AtomicBool, AtomicU64, AtomicUsize, Mutex, Ordering};

/// Counts by level.
pub(crate) type ByLevel = [u64; Level::COUNT];

/// Why records were dropped.
///
/// ```
/// use treering::overflow::Reason;
/// let names = ["full", "oldest", "sampled", "policy", "prepare", "failed", "lane"];
/// assert_eq!(Reason::ALL.map(Reason::as_str), names);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum Reason {
    /// The thread's ring was full, or the [queue](crate::Builder::queue), and the wait for room too long, if there was one.
    Full,
    /// They were the oldest when newer ones needed their room: `Overflow::drop_oldest`.
    Oldest,
    /// Their callsite had its share while the ring was more than half used: `Overflow::sample`.
    Sampled,
    /// A policy of the user's said so: `Overflow::custom`.
    Policy,
    /// A step of [`Builder::prepare`](crate::Builder::prepare) dropped them, or could not prepare them.
    Prepare,
    /// The queue that calls put them into failed, or panicked: [`Builder::queue`](crate::Builder::queue).
    Failed,
    /// The [lane](crate::handler::Handler::lane) of a handler was full. They are lost to that handler alone, whose ledger
    /// has them as [`overflowed`](HandlerReport::overflowed): here they count 0.
    Lane,
}

impl Reason {
    /// How many reasons there are for which calls lose records: those that a ring counts.
    pub(crate) const COUNT: usize = 4;
    pub(crate) const OF_RINGS: [Reason; Reason::COUNT] =
        [Reason::Full, Reason::Oldest, Reason::Sampled, Reason::Policy];
    /// All reasons, in the order of [`ByReason`].
    pub const ALL: [Reason; 7] = [
        Reason::Full,
        Reason::Oldest,
        Reason::Sampled,
        Reason::Policy,
        Reason::Prepare,
        Reason::Failed,
        Reason::Lane,
    ];

    /// In lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Reason::Full => "full",
            Reason::Oldest => "oldest",
            Reason::Sampled => "sampled",
            Reason::Policy => "policy",
            Reason::Prepare => "prepare",
            Reason::Failed => "failed",
            Reason::Lane => "lane",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Counts by [`Reason`] and level, the most severe level first.
///
/// ```
/// use treering::{Report, overflow::Reason};
/// assert_eq!(Report::default().dropped_by_reason[Reason::Oldest], [0; 5]);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct ByReason([ByLevel; Reason::ALL.len()]);

impl ByReason {
    /// All of one reason.
    ///
    /// ```
    /// use treering::{Report, overflow::Reason};
    /// assert_eq!(Report::default().dropped_by_reason.total(Reason::Full), 0);
    /// ```
    pub fn total(&self, reason: Reason) -> u64 {
        total(&self[reason])
    }

    fn by_level(&self) -> ByLevel {
        let mut sum = [0; Level::COUNT];
        self.0.iter().for_each(|counts| add_levels(&mut sum, counts));
        sum
    }
}

impl Index<Reason> for ByReason {
    type Output = [u64; 5];

    fn index(&self, reason: Reason) -> &[u64; 5] {
        &self.0[reason as usize]
    }
}

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
    records: LevelCounter,
    unprepared: AtomicU64,
    reasons: Mutex<BTreeMap<&'static str, u64>>,
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
    span_records: AtomicU64,
    /// Spans that were forgotten.
    evicted: AtomicU64,
    /// Records whose spans are not all known.
    unknown: AtomicU64,
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
            handed = self.handed.fetch_add(1, Ordering::Relaxed);
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
        self.in_hand.store(0, Ordering::Relaxed);
    }

    fn report(&self) -> HandlerReport {
        // Everything but `offered` first: the difference must not be negative.
        let load = |counter: &AtomicU64| counter.load(Ordering::Acquire);
        // Marks before the fates that they are put on.
        let (skipped, diverted) = (load(&self.skipped), load(&self.diverted));
        let overflowed = load(&self.overflowed);
        let (filtered, delivered) = (load(&self.filtered), load(&self.delivered));
        let (failed, abandoned) = (load(&self.failed), load(&self.abandoned));
        // Against the way that records take: none is seen twice.
        let held = load(&self.held);
        let queued = load(&self.queued);
        let held = held + queued;
        let offered = load(&self.offered);
        let in_flight = offered.saturating_sub(filtered + delivered + failed + abandoned + held);
        HandlerReport {
            name: self.name.clone(),
            offered,
            filtered,
            delivered,
            failed,
            skipped,
            overflowed,
            diverted,
            abandoned,
            held,
            queued,
            in_flight,
            attached: self.attached.load(Ordering::Relaxed),
            quarantined: self.quarantined.load(Ordering::Relaxed),
        }
    }
}

/// What became of every record: the books at one moment.
///
/// `submitted == dispatched + dropped + late + abandoned + pending` holds at any time, and
/// `offered == filtered + delivered + failed + abandoned + held + in_flight` for each handler.
///
/// ```
/// # fn main() -> Result<(), treering::Error> {
/// let capture = treering::handler::Capture::new().level(treering::Level::Warn);
/// let (logger, guard) = treering::builder().handler(capture).start()?;
/// treering::info!(logger: logger, "for nobody");
/// treering::warn!(logger: logger, "for the capture");
/// let report = guard.stop(std::time::Duration::from_secs(5))?;
/// report.assert_balanced();
/// assert_eq!((report.submitted, report.dispatched), (2, 2));
/// let capture = &report.handlers["capture"];
/// assert_eq!((capture.offered, capture.filtered, capture.delivered), (2, 1, 1));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct Report {
    /// Calls that passed the filter.
    pub submitted: u64,
    /// [`submitted`](Report::submitted) by level, the most severe first.
    pub submitted_by_level: [u64; 5],
    /// Records that were handed to the handlers, or that the [queue](crate::Builder::queue) has taken.
    pub dispatched: u64,
    /// Records that found no room, or had to make some, or that a [preparation](mod@crate::prepare) kept from the handlers.
    pub dropped: u64,
    /// [`dropped`](Report::dropped) by level, the most severe first.
    pub dropped_by_level: [u64; 5],
    /// [`dropped`](Report::dropped) by reason and level.
    pub dropped_by_reason: ByReason,
    /// Of those dropped by [`Reason::Prepare`]: the ones that a step [dropped](crate::Prepared::Drop), by what it said.
    pub prepared_away: BTreeMap<&'static str, u64>,
    /// Of those dropped by [`Reason::Prepare`]: the ones at which a step failed or panicked.
    pub unprepared: u64,
    /// Calls that came after, or raced with, the stop.
    pub late: u64,
    /// Records that were still in memory when a stop's deadline passed.
    pub abandoned: u64,
    /// Records that are on their way: the difference.
    pub pending: u64,
    /// Records in the hands of handlers, summed over them and with the engine's own: part of the handlers' ledgers, not
    /// of the engine's. After a stop's deadline: inside a call that had not returned; whether they were written is not
    /// known.
    pub in_flight: u64,
    /// Records whose arguments were cut because they were too long for the ring; beside the ledger.
    pub truncated: u64,
    /// Log calls, of all engines of the process, that left no record because of where they came from: a signal handler or
    /// an allocator that interrupted treering on the same thread, or a handler that was handed an echo of its own, a record
    /// that was logged on the thread that takes the engine's turns. Beside the ledger.
    pub nested: u64,
    /// Log calls, of all engines of the process, that a limit of their own kept back (`every:`, `once:`, `at_most:`,
    /// `sample:`). They were not submitted; beside the ledger.
    pub suppressed: u64,
    /// Records of the crates `log` and `tracing` that say in fields where they come from, as their places, or the names of
    /// their fields, found no room in a table; of the whole process, beside the ledger.
    pub uninterned: u64,
    /// Log calls in a child of `fork`, to engines of its parent: they are not written, neither here nor there; beside
    /// the ledger. In the parent 0.
    pub forked: u64,
    /// Records handed out after one with a later stamp; beside the ledger.
    pub reordered: u64,
    /// Of [`dispatched`](Report::dispatched), those that opened, changed or closed a span or a context: they are for the
    /// listener, and no handler gets them.
    pub span_records: u64,
    /// Records that were handed out without all of the spans and contexts they were logged in, as one was not known. They
    /// [say so](crate::record::Spans::is_whole); beside the ledger.
    pub unknown_spans: u64,
    /// Open spans and contexts that the listener forgot, as there were too many; beside the ledger.
    pub evicted_spans: u64,
    /// Threads' rings in memory, pooled ones included.
    pub rings: u64,
    /// How often the listener panicked, which is a bug in treering and not in a handler. After the first time it goes on
    /// with everything it had; after the second the engine is closed, and what it had is abandoned.
    pub listener_panics: u64,
    /// Whether the listener goes on.
    pub progress: Progress,
    /// One ledger for each handler, in the order they were added.
    pub handlers: Handlers,
}

impl Report {
    /// Whether every call's record reached every handler that wanted it. A listener that panicked and lost nothing by it
    /// does not count against that, nor do records that a preparation dropped, as they were meant to be.
    ///
    /// ```
    /// # fn main() -> Result<(), treering::Error> {
    /// let (logger, guard) = treering::builder().start()?;
    /// treering::info!(logger: logger, "kept");
    /// assert!(guard.stop(std::time::Duration::from_secs(5))?.is_lossless());
    /// # Ok(())
    /// # }
    /// ```
    pub fn is_lossless(&self) -> bool {
        self.submitted == self.dispatched + self.prepared_away.values().sum::<u64>()
            && self.truncated == 0
            && self.nested == 0
            && self.forked == 0
            && self.handlers.iter().all(|h| h.offered == h.filtered + h.delivered)
    }

    /// Checks that both ledgers balance and that nothing is pending, as it must be once the threads that log were
    /// joined and `stop` has returned.
    ///
    /// # Panics
    /// If they do not, with the report in the message.
    ///
    /// ```
    /// # fn main() -> Result<(), treering::Error> {
    /// let (logger, guard) = treering::builder().start()?;
    /// treering::info!(logger: logger, "counted");
    /// guard.stop(std::time::Duration::from_secs(5))?.assert_balanced();
    /// # Ok(())
    /// # }
    /// ```
    pub fn assert_balanced(&self) {
        assert!(self.is_balanced(), "the books do not balance: {self:#?}");
    }

    /// Records that the deadline of a stop left behind: in memory, and in the hands of the handler that had most of them.
    #[cfg(not(treering_loom))]
    pub(crate) fn left_behind(&self) -> u64 {
        let in_hands = self.handlers.iter().map(|handler| handler.abandoned + handler.in_flight);
        self.abandoned + in_hands.max().unwrap_or(0)
    }

    /// Calls of this level that passed the filter.
    pub fn submitted_at(&self, level: Level) -> u64 {
        self.submitted_by_level[level.index()]
    }

    /// Records of this level that were dropped.
    pub fn dropped_at(&self, level: Level) -> u64 {
        self.dropped_by_level[level.index()]
    }

    /// Whether both ledgers balance and nothing is pending; see [`assert_balanced`](Report::assert_balanced).
    pub fn is_balanced(&self) -> bool {
        let fates = self.dispatched + self.dropped + self.late + self.abandoned;
        self.pending == 0 && self.submitted == fates && self.handlers.iter().all(HandlerReport::is_balanced)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} submitted = {} dispatched + {} dropped + {} late + {} abandoned + {} pending",
            self.submitted, self.dispatched, self.dropped, self.late, self.abandoned, self.pending
        )?;
        // That rings were full goes without saying.
        for reason in Reason::ALL.into_iter().filter(|reason| *reason != Reason::Full) {
            match self.dropped_by_reason.total(reason) {
                0 => {}
                records => write!(f, ", {records} of the dropped {reason}")?,
            }
        }
        let is_clean = |handler: &&HandlerReport| {
            handler.offered == handler.filtered + handler.delivered && handler.diverted == 0
        };
        for handler in self.handlers.iter().filter(|handler| !is_clean(handler)) {
            write!(f, "; {handler}")?;
        }
        let beside = [
            (self.truncated, "truncated"),
            (self.nested, "nested"),
            (self.suppressed, "suppressed"),
            (self.forked, "forked"),
            (self.unknown_spans, "in unknown spans"),
            (self.evicted_spans, "spans evicted"),
        ];
        for (count, what) in beside.iter().filter(|(count, _)| *count > 0) {
            write!(f, "; {count} {what}")?;
        }
        match self.listener_panics {
            0 => Ok(()),
            panics => write!(f, "; the listener panicked {panics} times"),
        }
    }
}

/// What tells a listener that hangs from one that has much to do, in a [`Report`].
///
/// | | [`pending`](Report::pending), [`lag`](Progress::lag) | [`heartbeat`](Progress::heartbeat) | [`dispatched`](Report::dispatched) |
/// |---|---|---|---|
/// | nothing to do | 0 | up to half a second, or what `Wait::Poll` says | the same |
/// | a backlog | grow, or stay high | up to what a handler's call takes, and [`handed`](Progress::handed) grows | grows |
/// | a handler hangs | grow | grows, and [`calling`](Progress::calling) says which | the same |
/// | the listener hangs | grow | grows, and `calling` is `None` | the same |
///
/// Records are handed out one after the other, so `dispatched` is also the number of the last one.
///
/// Its parts are read one after the other while the listener goes on: each was true at its moment. `calling` is read
/// before `heartbeat`, so a call is never taken for older than it is. All of it is empty once the engine has stopped, or a
/// stop has given up: what a call had in hand then is [`in_flight`](HandlerReport::in_flight).
///
/// Cost: the listener reads the monotonic clock once more for each turn and each call of a handler; callers pay nothing.
///
/// ```
/// use std::time::Duration;
/// use treering::Report;
///
/// /// What a health check answers; asked from any thread that is not the listener's.
/// fn health(report: &Report) -> Result<(), String> {
///     const LIMIT: Duration = Duration::from_secs(5);
///     let progress = &report.progress;
///     match (progress.heartbeat, &progress.calling) {
///         (Some(age), Some(handler)) if age > LIMIT => Err(format!("handler {handler} hangs for {age:.0?}")),
///         (Some(age), None) if age > LIMIT => Err(format!("the listener hangs for {age:.0?}")),
///         _ if progress.lag > LIMIT => {
///             Err(format!("{} records wait, for up to {:.0?}", report.pending, progress.lag))
///         }
///         _ => Ok(()),
///     }
/// }
///
/// # let (logger, guard) = treering::builder().start()?;
/// assert_eq!(health(&guard.stats()), Ok(()));
/// # Ok::<(), treering::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct Progress {
    /// How old the oldest record is that has not been through the handlers, at most; zero if there is none. Exact where
    /// the listener knows that record. One that came since it looked last is counted as old as that look: after a long
    /// sleep that is up to half a second, or what [`Wait::Poll`](crate::Wait::Poll) says, or the time since somebody
    /// polled.
    pub lag: Duration,
    /// How long ago the listener began something last: a turn, or a handler's call. It sleeps half a second at most, but
    /// for [`Wait::Poll`](crate::Wait::Poll) and [`Wait::Manual`](crate::Wait::Manual). `None` if it has come to its end.
    pub heartbeat: Option<Duration>,
    /// The handler that the listener is calling.
    pub calling: Option<String>,
    /// How many records the handler has asked for in this call, of up to 1024: if that grows, it is slow and does not hang.
    /// A limit for the heartbeat is longer than what so many records may take.
    pub handed: u64,
}

/// One handler's ledger in a [`Report`].
///
/// ```
/// # fn main() -> Result<(), treering::Error> {
/// # let (_logger, guard) = treering::builder().handler(treering::handler::Capture::new()).start()?;
/// for handler in &guard.stats().handlers {
///     if handler.failed > 0 {
///         eprintln!("{} lost {} records", handler.name, handler.failed);
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct HandlerReport {
    /// What [`Handler::name`](crate::handler::Handler::name) said; with `-2` and so on behind it where several handlers
    /// of a builder said the same.
    pub name: String,
    /// Records dispatched while it was attached, and the engine's own records.
    pub offered: u64,
    /// Above its level, not accepted, or taken and [let go on purpose](crate::handler::Handler::discarded).
    pub filtered: u64,
    /// Left the process, or were acknowledged.
    pub delivered: u64,
    /// Cost an error or a panic, also of its filter, were still held when it closed, or were offered in quarantine.
    pub failed: u64,
    /// Of [`failed`](HandlerReport::failed), those that were not shown to it as it was quarantined; beside the ledger.
    pub skipped: u64,
    /// Of [`failed`](HandlerReport::failed), those for which its [lane](crate::handler::Handler::lane) had no room; beside
    /// the ledger.
    pub overflowed: u64,
    /// Records that its [fallback](crate::handler::Handler::or) took; beside the ledger, where they are delivered or held.
    pub diverted: u64,
    /// Not handed out before a stop's deadline.
    pub abandoned: u64,
    /// In its buffer, or in its [lane](crate::handler::Handler::lane).
    pub held: u64,
    /// Of [`held`](HandlerReport::held), those that wait in its lane; beside the ledger.
    pub queued: u64,
    /// Inside its call.
    pub in_flight: u64,
    /// Whether there is a handler of this name, or was one when the engine stopped. One that was removed keeps its
    /// books, and a later one of its name goes on with them.
    pub attached: bool,
    /// Whether it failed so often in a row that it is called only now and then, until it delivers again.
    pub quarantined: bool,
}

impl HandlerReport {
    /// Whether its ledger adds up.
    pub(crate) fn is_balanced(&self) -> bool {
        let taken = self.delivered + self.failed + self.abandoned + self.held + self.in_flight;
        self.offered == self.filtered + taken
    }

    /// With the books of one more of this name: of a handler on a lane, which goes on while its successor works.
    fn merge(&mut self, other: HandlerReport) {
        self.offered += other.offered;
        self.filtered += other.filtered;
        self.delivered += other.delivered;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.overflowed += other.overflowed;
        self.diverted += other.diverted;
        self.abandoned += other.abandoned;
        self.held += other.held;
        self.queued += other.queued;
        self.in_flight += other.in_flight;
        self.attached |= other.attached;
        self.quarantined |= other.quarantined;
    }
}

impl fmt::Display for HandlerReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let HandlerReport { name, offered, filtered, delivered, failed, abandoned, held, in_flight, .. } =
            self;
        write!(
            f,
            "{name}: {offered} offered = {filtered} filtered + {delivered} delivered + {failed} failed + \
             {abandoned} abandoned + {held} held + {in_flight} in flight"
        )?;
        let beside = [
            (self.skipped, "of the failed skipped"),
            (self.overflowed, "of the failed for want of room"),
            (self.diverted, "by the fallback"),
            (self.queued, "of the held in its lane"),
        ];
        let mut beside = beside.iter().filter(|(count, _)| *count > 0);
        beside.try_for_each(|(count, what)| write!(f, ", {count} {what}"))
    }
}

/// The handlers' ledgers, by name or in order.
///
/// ```
/// # fn main() -> Result<(), treering::Error> {
/// let capture = treering::handler::Capture::new();
/// let (logger, guard) = treering::builder().handler(capture).start()?;
/// treering::info!(logger: logger, "counted");
/// let report = guard.stop(std::time::Duration::from_secs(5))?;
/// assert_eq!(report.handlers["capture"].delivered, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Handlers(Vec<HandlerReport>);

impl Handlers {
    /// The ledgers in the order the handlers were added.
    ///
    /// ```
    /// # fn main() -> Result<(), treering::Error> {
    /// # let (_logger, guard) = treering::builder().handler(treering::handler::Capture::new()).start()?;
    /// let failed: u64 = guard.stats().handlers.iter().map(|handler| handler.failed).sum();
    /// assert_eq!(failed, 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn iter(&self) -> std::slice::Iter<'_, HandlerReport> {
        self.0.iter()
    }

    /// The first handler of this name.
    ///
    /// ```
    /// # fn main() -> Result<(), treering::Error> {
    /// # let (_logger, guard) = treering::builder().handler(treering::handler::Capture::new()).start()?;
    /// assert!(guard.stats().handlers.find("capture").is_some());
    /// assert!(guard.stats().handlers.find("no such").is_none());
    /// # Ok(())
    /// # }
    /// ```
    pub fn find(&self, name: &str) -> Option<&HandlerReport> {
        self.0.iter().find(|handler| handler.name == name)
    }
}

impl Index<&str> for Handlers {
    type Output = HandlerReport;

    /// # Panics
    /// If no handler has this name.
    fn index(&self, name: &str) -> &HandlerReport {
        let names = || self.0.iter().map(|handler| handler.name.as_str()).collect::<Vec<_>>().join(", ");
        self.find(name).unwrap_or_else(|| panic!("no handler is named {name:?}; there are: {}", names()))
    }
}

impl<'a> IntoIterator for &'a Handlers {
    type Item = &'a HandlerReport;
    type IntoIter = std::slice::Iter<'a, HandlerReport>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// The ledgers of these handlers, one for each name.
pub(crate) fn reports<'a>(handlers: impl IntoIterator<Item = &'a HandlerCounters>) -> Handlers {
    let mut reports: Vec<HandlerReport> = Vec::new();
    for report in handlers.into_iter().map(HandlerCounters::report) {
        match reports.iter_mut().find(|first| first.name == report.name) {
            Some(first) => first.merge(report),
            None => reports.push(report),
        }
    }
    Handlers(reports)
}

/// Adds counters up into a [`Report`], in the order that keeps `pending` from being negative.
#[derive(Debug, Default)]
pub(crate) struct Sum {
    report: Report,
    placed: u64,
    /// Calls that came late and were refused; `Report::late` also has those whose record was placed.
    refused: u64,
    /// A stop's deadline has passed.
    given_up: bool,
}

impl Sum {
    /// First of all the handlers, then every ring's and other settled counters, then [`Sum::placed`].
    pub(crate) fn handlers<'a>(&mut self, handlers: impl IntoIterator<Item = &'a HandlerCounters>) {
        self.report.handlers = reports(handlers);
        self.report.in_flight = self.report.handlers.iter().map(|handler| handler.in_flight).sum();
    }

    /// Before the rings, which count these records as dispatched.
    pub(crate) fn prepared_away(&mut self, away: &PreparedAway) {
        let report = &mut self.report;
        report.prepared_away = away.reasons.lock().clone();
        report.unprepared = away.unprepared.load(Ordering::Acquire);
        report.dropped_by_reason.0[Reason::Prepare as usize] = away.records.load();
    }

    pub(crate) fn settled(&mut self, ring: &RingCounters) {
        let report = &mut self.report;
        report.rings += 1;
        report.dispatched += ring.settled.dispatched.load(Ordering::Acquire);
        report.late += ring.settled.late.load(Ordering::Acquire);
        report.truncated += ring.cold.truncated.load(Ordering::Relaxed);
        for (sum, dropped) in report.dropped_by_reason.0.iter_mut().zip(&ring.cold.dropped) {
            add_levels(sum, &dropped.records.load());
        }
        self.refused(&ring.cold.late);
    }

    /// An engine without rings.
    pub(crate) fn outlet(&mut self, counters: &OutletCounters) {
        self.placed(&counters.taken);
        self.report.dispatched += self.placed;
        self.report.truncated += counters.truncated.load(Ordering::Relaxed);
        for (sum, dropped) in self.report.dropped_by_reason.0.iter_mut().zip(&counters.dropped) {
            add_levels(sum, &dropped.load());
        }
        self.refused(&counters.late);
    }

    pub(crate) fn refused(&mut self, late: &LevelCounter) {
        let late = late.load();
        self.refused += total(&late);
        add_levels(&mut self.report.submitted_by_level, &late);
    }

    pub(crate) fn reordered(&mut self, records: u64) {
        self.report.reordered = records;
    }

    pub(crate) fn spans(&mut self, spans: &SpanCounters) {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        self.report.span_records = load(&spans.span_records);
        self.report.evicted_spans = load(&spans.evicted);
        self.report.unknown_spans = load(&spans.unknown);
    }

    pub(crate) fn listener_panics(&mut self, panics: u64) {
        self.report.listener_panics = panics;
    }

    /// A stop's deadline has passed, and so many records were on their way.
    pub(crate) fn abandoned(&mut self, records: u64) {
        self.report.abandoned = records;
        self.given_up = true;
    }

    pub(crate) fn placed(&mut self, counter: &LevelCounter) {
        let placed = counter.load();
        self.placed += total(&placed);
        add_levels(&mut self.report.submitted_by_level, &placed);
    }

    pub(crate) fn finish(mut self) -> Report {
        let report = &mut self.report;
        let oldest = report.dropped_by_reason[Reason::Oldest];
        let prepared = report.dropped_by_reason[Reason::Prepare];
        let left = self.placed.saturating_sub(report.dispatched + report.late + total(&oldest));
        // After a deadline the oldest of what was abandoned may still have made room for a call that raced with the close.
        report.abandoned = report.abandoned.min(left);
        report.pending = left - report.abandoned;
        report.late += self.refused;
        if self.given_up {
            // Placed in the race with the close, and after the deadline: nobody takes it any more.
            report.late += std::mem::take(&mut report.pending);
        }
        report.dispatched -= total(&prepared).min(report.dispatched);
        report.dropped_by_level = report.dropped_by_reason.by_level();
        report.dropped = total(&report.dropped_by_level);
        // The oldest, and what a preparation kept from the handlers, had been placed, and are in there.
        let placed = |level: usize| oldest[level] + prepared[level];
        let unplaced = std::array::from_fn(|level| report.dropped_by_level[level] - placed(level));
        add_levels(&mut report.submitted_by_level, &unplaced);
        report.submitted = total(&report.submitted_by_level);
        self.report
    }
}

pub(crate) fn total(counts: &ByLevel) -> u64 {
    counts.iter().sum()
}

fn add_levels(sum: &mut ByLevel, more: &ByLevel) {
    sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
}
