//! What became of every frame.

use std::collections::BTreeMap;
use std::fmt;

use crate::fault::Faults;
use crate::listener::Books;
use crate::prepare::Lost;
use crate::stats::{Handlers, add, reports};
use crate::sync::{AtomicBool, AtomicU64, Mutex, Ordering};

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
    /// Records that the listener's own thread had logged, in a handler or a preparation: they came back to it.
    pub echoes: u64,
    /// Records that [`Prepared::Drop`](crate::Prepared::Drop) dropped, by reason.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Records at which the preparation failed or panicked. In their place the handlers got a record of `treering::loss`.
    pub unprepared: u64,
    /// Records that were handed to the handlers.
    pub dispatched: u64,
    /// Frames that had been received and were not handed out when a stop's deadline passed. After that the books change no
    /// more.
    pub abandoned: u64,
    /// Frames in the hands of the listener: the difference.
    pub pending: u64,
    /// How often the queue failed to say what is there; beside the ledger.
    pub queue_failures: u64,
    /// Whether the listener came to its end before the queue said that everything was given: frames may be left in it.
    pub undrained: bool,
    /// One ledger for each handler, in the order they were added.
    pub handlers: Handlers,
}

impl IntakeReport {
    /// Records that were dropped, whatever the reason.
    pub fn dropped_total(&self) -> u64 {
        self.dropped.values().sum()
    }

    /// Whether every frame was a record that was handed to every handler and that none of them lost, and none was left
    /// behind. What the preparation dropped was meant to be; echoes were not to be handed out.
    pub fn is_lossless(&self) -> bool {
        let lost = self.malformed + self.unprepared + self.abandoned + self.pending;
        lost == 0
            && !self.undrained
            && self.handlers.iter().all(|handler| handler.offered == handler.filtered + handler.delivered)
    }

    /// Records that the deadline of a stop left behind: received, and in the hands of the handler that had most of them.
    pub(crate) fn left_behind(&self) -> u64 {
        let in_hands = self.handlers.iter().map(|handler| handler.abandoned + handler.in_flight);
        self.abandoned + in_hands.max().unwrap_or(0)
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
        )?;
        if self.undrained { f.write_str("; the queue was not drained") } else { Ok(()) }
    }
}

/// Why a frame is not handed out.
#[derive(Debug)]
pub(super) enum Fate {
    /// It is no record, for this reason.
    Malformed(String),
    /// A handler or a preparation of this listener has logged it.
    Echo,
    /// A preparation kept it from the handlers.
    Prepared(Lost),
}

impl Fate {
    /// Tells of what is a fault.
    pub(super) fn tell(&self, frame: &[u8], faults: &Faults) {
        match self {
            Fate::Malformed(error) => {
                faults.report(format_args!("a frame of {} bytes is refused: {error}", frame.len()));
            }
            Fate::Prepared(Lost::Failed(text)) => {
                faults.report(format_args!("a record could not be prepared: {text}"));
            }
            Fate::Echo | Fate::Prepared(Lost::Dropped(_)) => {}
        }
    }
}

/// The counters behind it. The thread that takes rounds writes, under the book lock: after a deadline nothing changes.
#[derive(Debug, Default)]
pub(super) struct Fates {
    pub(super) received: AtomicU64,
    pub(super) malformed: AtomicU64,
    pub(super) echoes: AtomicU64,
    pub(super) dropped: Mutex<BTreeMap<&'static str, u64>>,
    pub(super) unprepared: AtomicU64,
    pub(super) dispatched: AtomicU64,
    pub(super) queue_failures: AtomicU64,
    /// The queue has said that it is closed.
    pub(super) drained: AtomicBool,
}

impl Fates {
    /// So many frames came out of the queue.
    pub(super) fn receive(&self, frames: usize) {
        add(&self.received, frames as u64);
    }

    /// One of them has this fate.
    pub(super) fn settle(&self, fate: &Fate) {
        match fate {
            Fate::Malformed(_) => Fates::count(&self.malformed),
            Fate::Echo => Fates::count(&self.echoes),
            Fate::Prepared(Lost::Dropped(reason)) => *self.dropped.lock().entry(reason).or_default() += 1,
            Fate::Prepared(Lost::Failed(_)) => Fates::count(&self.unprepared),
        }
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

    /// `has_ended`: there will be no more rounds.
    pub(super) fn report(&self, books: &Books, has_ended: bool) -> IntakeReport {
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
            undrained: has_ended && !self.drained.load(Ordering::Acquire),
            received: load(&self.received),
            pending: 0,
        };
        let settled = report.malformed + report.echoes + report.dropped_total() + report.unprepared;
        let left = report.received.saturating_sub(settled + report.dispatched);
        (report.abandoned, report.pending) = if abandoned.is_some() { (left, 0) } else { (0, left) };
        report
    }
}
