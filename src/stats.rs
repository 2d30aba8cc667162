//! The books: what is counted where, by whom, and the report that adds it up.
//!
//! Two ledgers. The engine's gives each record one fate:
//! `submitted = dispatched + dropped + late + abandoned + pending`. Each handler's gives one to each record it was
//! offered: `offered = filtered + delivered + failed + abandoned + held + in_flight`.
//!
//! A [`Report`] shows the books at one moment. `pending`, the records that have a place in memory and no fate yet, is
//! never negative, and exact as soon as no record is placed any more, however many calls are refused meanwhile.

mod counters;
mod report;

pub(crate) use counters::{
    Cursor, HandlerCounters, KeptBack, LevelCounter, OutletCounters, OutsideCounters, PreparedAway,
    RingCounters, SpanCounters, add, take_off,
};
pub use report::{HandlerReport, Handlers, Progress, Report};
pub(crate) use report::{Sum, reports};

use std::fmt;
use std::ops::Index;

use crate::level::Level;

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
#[derive(Clone, Copy, PartialEq, Eq, Default)]
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

/// Of reasons and levels those that count something: `{Full: {Info: 3}}`.
impl fmt::Debug for ByReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counting = Reason::ALL.iter().filter(|reason| self.total(**reason) > 0);
        f.debug_map().entries(counting.map(|reason| (reason, Levels(&self[*reason])))).finish()
    }
}

/// Shows counts by level, but for those that are zero.
struct Levels<'a>(&'a ByLevel);

impl fmt::Debug for Levels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = Level::ALL.iter().zip(self.0).filter(|(_, count)| **count > 0);
        f.debug_map().entries(counts).finish()
    }
}

impl Index<Reason> for ByReason {
    type Output = [u64; 5];

    fn index(&self, reason: Reason) -> &[u64; 5] {
        &self.0[reason as usize]
    }
}

pub(crate) fn total(counts: &ByLevel) -> u64 {
    counts.iter().sum()
}

pub(crate) fn add_levels(sum: &mut ByLevel, more: &ByLevel) {
    sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_shows_what_counts_something() {
        let mut report = Report { submitted: 3, dispatched: 2, dropped: 1, ..Report::default() };
        report.submitted_by_level = [0, 0, 3, 0, 0];
        report.dropped_by_reason.0[Reason::Full as usize] = [0, 0, 1, 0, 0];
        let ledger = "submitted: 3, dispatched: 2, dropped: 1, late: 0, abandoned: 0, pending: 0, submitted_by_level: {Info: 3}";
        let losses = "dropped_by_reason: {Full: {Info: 1}}";
        assert_eq!(format!("{report:?}"), format!("Report {{ {ledger}, {losses}, handlers: [] }}"));
    }
}
