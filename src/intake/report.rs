//! What became of every frame.

use std::collections::BTreeMap;
use std::fmt;

use crate::listener::Books;
use crate::stats::{Handlers, add, reports};
use crate::sync::{AtomicU64, Mutex, Ordering};

/// The books of a listener over a queue, at one moment.
///
/// `received == malformed + echoes + dropped + unprepared + dispatched + abandoned + pending` holds at any time; each
/// handler's ledger is that of [`Report`](crate::Report).
#[derive(Clone, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct IntakeReport {
    /// Frames that came out of the queue.
    pub received: u64,
    /// Those that are no portable records.
    pub malformed: u64,
    /// Records that the listener's own thread had logged, in a handler: they came back to it.
    pub echoes: u64,
    /// Records that [`Prepared::Drop`](super::Prepared::Drop) dropped, by reason.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Records at which the preparation failed or panicked.
    pub unprepared: u64,
    /// Records that were handed to the handlers.
    pub dispatched: u64,
    /// Frames that had been received and were not handed out when a stop's deadline passed.
    pub abandoned: u64,
    /// Frames in the hands of the listener: the difference.
    pub pending: u64,
    /// How often the queue failed to say what is there; beside the ledger.
    pub queue_failures: u64,
    /// One ledger for each handler, in the order they were added.
    pub handlers: Handlers,
}

impl IntakeReport {
    /// Records that were dropped, whatever the reason.
    pub fn dropped_total(&self) -> u64 {
        self.dropped.values().sum()
    }

    /// Whether every frame was a record that was handed to every handler and that none of them lost. What the preparation
    /// dropped was meant to be; echoes were not to be handed out.
    pub fn is_lossless(&self) -> bool {
        let lost = self.malformed + self.unprepared + self.abandoned + self.pending;
        lost == 0
            && self.handlers.iter().all(|handler| handler.offered == handler.filtered + handler.delivered)
    }

    /// Checks both ledgers, after a stop.
    ///
    /// # Panics
    /// If they do not add up, with both.
    pub fn assert_balanced(&self) {
        assert!(self.is_balanced(), "the books do not balance: {self:#?}");
    }

    /// Whether nothing is pending and both ledgers add up.
    pub fn is_balanced(&self) -> bool {
        let settled = self.malformed + self.echoes + self.dropped_total() + self.unprepared + self.dispatched;
        self.pending == 0
            && self.received == settled + self.abandoned
            && self.handlers.iter().all(|handler| handler.is_balanced())
    }
}

impl fmt::Display for IntakeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} received = {} malformed + {} echoes + {} dropped + {} unprepared + {} dispatched + {} abandoned + {} pending",
            self.received,
            self.malformed,
            self.echoes,
            self.dropped_total(),
            self.unprepared,
            self.dispatched,
            self.abandoned,
            self.pending
        )
    }
}

/// The counters behind it. The thread that takes rounds writes.
#[derive(Debug, Default)]
pub(super) struct Fates {
    pub(super) received: AtomicU64,
    pub(super) malformed: AtomicU64,
    pub(super) echoes: AtomicU64,
    pub(super) dropped: Mutex<BTreeMap<&'static str, u64>>,
    pub(super) unprepared: AtomicU64,
    /// Written under the book lock.
    pub(super) dispatched: AtomicU64,
    pub(super) queue_failures: AtomicU64,
}

impl Fates {
    pub(super) fn drop_for(&self, reason: &'static str) {
        *self.dropped.lock().entry(reason).or_default() += 1;
    }

    pub(super) fn count(counter: &AtomicU64) {
        add(counter, 1);
    }

    /// How many frames have no fate yet. Settled counters first, so that it is never negative.
    pub(super) fn pending(&self) -> u64 {
        let counters = [&self.malformed, &self.echoes, &self.unprepared, &self.dispatched];
        let settled: u64 = counters.iter().map(|counter| counter.load(Ordering::Acquire)).sum();
        let dropped: u64 = self.dropped.lock().values().sum();
        self.received.load(Ordering::Acquire).saturating_sub(settled + dropped)
    }

    pub(super) fn report(&self, books: &Books) -> IntakeReport {
        let load = |counter: &AtomicU64| counter.load(Ordering::Acquire);
        let handlers = reports(books.handlers().iter().map(|handler| &**handler));
        let abandoned = books.abandoned();
        let mut report = IntakeReport {
            handlers,
            malformed: load(&self.malformed),
            echoes: load(&self.echoes),
            dropped: self.dropped.lock().clone(),
            unprepared: load(&self.unprepared),
            dispatched: load(&self.dispatched),
            abandoned: abandoned.unwrap_or(0),
            queue_failures: load(&self.queue_failures),
            received: load(&self.received),
            pending: 0,
        };
        let settled = report.malformed + report.echoes + report.dropped_total() + report.unprepared;
        let left = report.received.saturating_sub(settled + report.dispatched);
        (report.abandoned, report.pending) = if abandoned.is_some() { (left, 0) } else { (0, left) };
        report
    }
}
