//! The books at one moment: how the counters are added up, and what users see.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Index;
use std::time::Duration;

use super::{
    ByReason, HandlerCounters, LevelCounter, Levels, OutletCounters, PreparedAway, Reason, RingCounters,
    SpanCounters, add_levels, total,
};
use crate::level::Level;
use crate::sync::{AtomicU64, Ordering};

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
#[derive(Clone, PartialEq, Eq, Default)]
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

/// The ledger, and of the rest what is not zero.
impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Report");
        let ledger = [
            ("submitted", self.submitted),
            ("dispatched", self.dispatched),
            ("dropped", self.dropped),
            ("late", self.late),
            ("abandoned", self.abandoned),
            ("pending", self.pending),
        ];
        for (name, count) in ledger {
            shown.field(name, &count);
        }
        if self.submitted > 0 {
            shown.field("submitted_by_level", &Levels(&self.submitted_by_level));
        }
        if self.dropped > 0 {
            shown.field("dropped_by_reason", &self.dropped_by_reason);
        }
        if !self.prepared_away.is_empty() {
            shown.field("prepared_away", &self.prepared_away);
        }
        let beside = [
            ("unprepared", self.unprepared),
            ("in_flight", self.in_flight),
            ("truncated", self.truncated),
            ("nested", self.nested),
            ("suppressed", self.suppressed),
            ("uninterned", self.uninterned),
            ("forked", self.forked),
            ("reordered", self.reordered),
            ("span_records", self.span_records),
            ("unknown_spans", self.unknown_spans),
            ("evicted_spans", self.evicted_spans),
            ("rings", self.rings),
            ("listener_panics", self.listener_panics),
        ];
        for (name, count) in beside.into_iter().filter(|(_, count)| *count > 0) {
            shown.field(name, &count);
        }
        if self.progress != Progress::default() {
            shown.field("progress", &self.progress);
        }
        shown.field("handlers", &self.handlers.0).finish()
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
    fn of(counters: &HandlerCounters) -> Self {
        // Everything but `offered` first: the difference must not be negative.
        let load = |counter: &AtomicU64| counter.load(Ordering::Acquire);
        // Marks before the fates that they are put on.
        let (skipped, diverted) = (load(&counters.skipped), load(&counters.diverted));
        let overflowed = load(&counters.overflowed);
        #[cfg(treering_mutant = "queued_first")]
        let queued = load(&counters.queued);
        let (filtered, delivered) = (load(&counters.filtered), load(&counters.delivered));
        let (failed, abandoned) = (load(&counters.failed), load(&counters.abandoned));
        // Against the way that records take: none is seen twice.
        let held = load(&counters.held);
        #[cfg(not(treering_mutant = "queued_first"))]
        let queued = load(&counters.queued);
        let held = held + queued;
        let offered = load(&counters.offered);
        let in_flight = offered.saturating_sub(filtered + delivered + failed + abandoned + held);
        HandlerReport {
            name: counters.name.clone(),
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
            attached: counters.attached.load(Ordering::Relaxed),
            quarantined: counters.quarantined.load(Ordering::Relaxed),
        }
    }

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
    for report in handlers.into_iter().map(HandlerReport::of) {
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
