//! What happens to a record that finds no room.
//!
//! A policy decides, it does not act: the engine asks it from a cold path and does what
//! it says. It is a value, chosen for the engine and for single levels.

use std::fmt;
use std::time::Duration;

use crate::callsite::Metadata;
use crate::clock::Timestamp;
use crate::level::Level;
pub use crate::stats::{ByReason, Reason};
use crate::sync::Arc;

/// What happens to a record when its thread's ring is full.
///
/// The default is [`drop_newest`](Overflow::drop_newest): the caller never waits. Whatever is chosen, every record
/// that does not arrive is counted, and the stream itself says where records are missing.
///
/// Nobody waits, and no [`custom`](Overflow::custom) policy is asked, where nobody else could make room or where a wait
/// could be for ever: on the listener's thread, on the thread that polls (`Wait::Manual`, or in front of a
/// [queue](crate::Builder::queue) [any listener](crate::Listening::poll)), in a thread that panics or
/// whose destructors run, and in a signal handler or an allocator that interrupts treering. There the record is dropped.
/// A `stop` releases who waits; their records count as late.
///
/// ```
/// use std::time::Duration;
/// use treering::{Level, Overflow};
///
/// let builder = treering::builder()
///     .overflow(Overflow::drop_newest())
///     .overflow_at(Level::Error, Overflow::block(Duration::from_millis(1)));
/// # let _ = builder;
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Overflow(Choice);

/// What was chosen, for who does it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Choice {
    DropNewest,
    DropOldest,
    /// At most so long; `MAX` is without end.
    Block(Duration),
    /// One of so many.
    Sample(u32),
    Custom(Custom),
}

impl Overflow {
    /// The new record is dropped and counted; before the thread's next record that finds room, the stream says how
    /// many were lost.
    ///
    /// Worst case for the caller: what a cold call costs, no wait.
    ///
    /// ```
    /// assert_eq!(treering::Overflow::drop_newest(), treering::Overflow::default());
    /// ```
    pub const fn drop_newest() -> Self {
        Overflow(Choice::DropNewest)
    }

    /// The thread's oldest records that nobody has taken yet make room for the new one, whatever their level; they are
    /// counted, and where they would have stood the stream says how many.
    ///
    /// If any level has this policy the rings are of another kind. All levels' calls then take the cold way: two to three
    /// times what a call takes otherwise, never a wait. And each ring counts three times against
    /// [`memory_cap`](crate::Builder::memory_cap), as the listener copies what it takes.
    ///
    /// Worst case for the caller: it looks at the header of each record that makes room.
    ///
    /// ```
    /// use treering::Overflow;
    /// let flight_recorder = treering::builder().overflow(Overflow::drop_oldest());
    /// ```
    pub const fn drop_oldest() -> Self {
        Overflow(Choice::DropOldest)
    }

    /// The caller waits until there is room, at most this long, then the record is dropped as by
    /// [`drop_newest`](Overflow::drop_newest). It sleeps while it waits. [`Duration::MAX`] is
    /// [`block_forever`](Overflow::block_forever).
    ///
    /// Worst case for the caller: the deadline, and what the scheduler adds.
    ///
    /// ```
    /// let at_most_a_millisecond = treering::Overflow::block(std::time::Duration::from_millis(1));
    /// ```
    pub const fn block(deadline: Duration) -> Self {
        Overflow(Choice::Block(deadline))
    }

    /// The caller waits until there is room.
    ///
    /// Worst case for the caller: no end. A handler that hangs, on a full disk or a dead connection, then stops the
    /// program: for records that must not be lost while the program goes on.
    ///
    /// ```
    /// use treering::{Level, Overflow};
    /// let builder = treering::builder().overflow_at(Level::Error, Overflow::block_forever());
    /// assert_eq!(Overflow::block_forever(), Overflow::block(std::time::Duration::MAX));
    /// ```
    pub const fn block_forever() -> Self {
        Overflow::block(Duration::MAX)
    }

    /// While a ring is more than half used, each callsite passes the first of every `n` records of its thread, so that a
    /// flood from one place leaves room for all others. The rest is dropped and counted as sampled, and the stream says
    /// which callsites that were, and how many of each. A record that finds no room at all is dropped as by
    /// [`drop_newest`](Overflow::drop_newest).
    ///
    /// A ring keeps the counts of 64 callsites, in 1 KiB; what more there are count together.
    ///
    /// Worst case for the caller: what a cold call costs, no wait. `n` is 1 or more.
    ///
    /// ```
    /// use treering::{Level, Overflow};
    /// let builder = treering::builder().overflow_below(Level::Warn, Overflow::sample(10));
    /// assert!(treering::builder().overflow(Overflow::sample(0)).start().unwrap_err().is_config());
    /// ```
    pub const fn sample(n: u32) -> Self {
        Overflow(Choice::Sample(n))
    }

    /// Asks a policy of yours, see [`Policy`].
    ///
    /// Worst case for the caller: what the policy takes, and how long it lets the caller wait.
    ///
    /// ```
    /// use std::time::Duration;
    /// use treering::Overflow;
    /// use treering::overflow::{Decision, Full};
    ///
    /// let audit_waits = Overflow::custom(|full: &Full<'_>| match full.target() {
    ///     "audit" => Decision::Wait(Duration::from_millis(10)), // and asks again
    ///     _ => Decision::Drop,
    /// });
    /// let builder = treering::builder().overflow(audit_waits);
    /// ```
    #[cfg(not(treering_loom))]
    pub fn custom(policy: impl Policy + 'static) -> Self {
        Overflow(Choice::Custom(Custom(Arc::new(policy))))
    }

    pub(crate) fn choice(&self) -> &Choice {
        &self.0
    }

    /// Whether a caller that finds no room has more to do than to count the loss.
    pub(crate) fn waits(&self) -> bool {
        match &self.0 {
            Choice::Block(deadline) => !deadline.is_zero(),
            Choice::Custom(_) => true,
            Choice::DropNewest | Choice::DropOldest | Choice::Sample(_) => false,
        }
    }
}

impl Default for Overflow {
    fn default() -> Self {
        Overflow::drop_newest()
    }
}

/// A policy of the user's; equal to its clones only.
#[derive(Clone)]
pub(crate) struct Custom(Arc<dyn Policy>);

impl Custom {
    pub(crate) fn decide(&self, full: &Full<'_>) -> Decision {
        self.0.decide(full)
    }
}

impl PartialEq for Custom {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Custom {}

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Custom")
    }
}

/// Decides what happens to a record that found no room; for [`Overflow::custom`]. A closure will do.
///
/// It is asked on the caller's thread, by many at once, and holds up the call as long as it takes. It may log: a record of
/// its own that finds no room is dropped without asking again. A policy that panics drops the record, and the
/// [`error_hook`](crate::Builder::error_hook) is told.
///
/// ```
/// use std::time::Duration;
/// use treering::overflow::{Decision, Full, Policy};
/// use treering::{Level, Overflow};
///
/// /// Errors wait for up to a tenth of a second, ten milliseconds at a time.
/// struct Patient;
///
/// impl Policy for Patient {
///     fn decide(&self, full: &Full<'_>) -> Decision {
///         if full.level() == Level::Error && full.waited() < Duration::from_millis(100) {
///             Decision::Wait(Duration::from_millis(10))
///         } else {
///             Decision::Drop
///         }
///     }
/// }
///
/// let builder = treering::builder().overflow(Overflow::custom(Patient));
/// ```
pub trait Policy: Send + Sync {
    /// What shall happen to this record.
    fn decide(&self, full: &Full<'_>) -> Decision;
}

impl<F: Fn(&Full<'_>) -> Decision + Send + Sync> Policy for F {
    fn decide(&self, full: &Full<'_>) -> Decision {
        self(full)
    }
}

/// What a [`Policy`] says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Decision {
    /// The record is dropped, and counted as such by [`Reason::Policy`].
    Drop,
    /// The caller waits for room, at most this long (at least 0.1 ms), and then asks again.
    Wait(Duration),
}

/// A record that found no room, as its [`Policy`] sees it.
#[derive(Clone, Copy, Debug)]
pub struct Full<'a> {
    pub(crate) metadata: &'a Metadata<'a>,
    pub(crate) bytes: usize,
    pub(crate) free: usize,
    pub(crate) capacity: usize,
    pub(crate) waited: Duration,
}

impl<'a> Full<'a> {
    /// The record's level.
    pub fn level(&self) -> Level {
        self.metadata.level
    }

    /// The record's target.
    pub fn target(&self) -> &'a str {
        self.metadata.target
    }

    /// The source file of the call.
    pub fn file(&self) -> &'a str {
        self.metadata.file
    }

    /// The line of the call.
    pub fn line(&self) -> u32 {
        self.metadata.line
    }

    /// The size of the record in its ring, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How much of the thread's ring is free, in bytes. It may be more than the record needs: some is kept free for more
    /// severe levels, and a record lies in one piece.
    pub fn free(&self) -> usize {
        self.free
    }

    /// The size of the thread's ring, in bytes.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// How long this call has waited by now; zero when it asks for the first time.
    pub fn waited(&self) -> Duration {
        self.waited
    }
}

/// One loss, as a record of `treering::loss` tells of it: of one thread, for one reason. What
/// [`Builder::on_drop`](crate::Builder::on_drop) is told.
///
/// ```
/// # fn main() -> Result<(), treering::Error> {
/// let (logger, guard) = treering::builder()
///     .on_drop(|loss| eprintln!("thread {} lost {} records", loss.thread_id, loss.records))
///     .start()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Loss {
    /// Why.
    pub reason: Reason,
    /// How many records.
    pub records: u64,
    /// [`records`](Loss::records) by level, the most severe first.
    pub by_level: [u64; 5],
    /// The kernel's number of the thread whose records they were; 0 where several threads share what was full.
    pub thread_id: u32,
    /// The thread's name.
    pub thread_name: Option<String>,
    /// When the first of them was lost or, of records dropped as the oldest, logged.
    pub from: Timestamp,
    /// When there was room again or, of a thread that did not log since, when this was told.
    pub until: Timestamp,
    /// The thread's calls are numbered from 1: these losses are among those from this number
    pub first: u64,
    /// up to this one. Where the range is as long as [`records`](Loss::records), they are all of it. Of records that could not
    /// be prepared, and of those that found no room in a lane, both are 0: the listener does not know any more.
    pub last: u64,
    /// The handler that alone has lost them, as its lane was full; else all have.
    pub handler: Option<String>,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Loss { reason, records, thread_id, first, last, handler, .. } = self;
        write!(f, "{records} records lost ({reason})")?;
        match handler {
            Some(handler) => write!(f, " to handler {handler}"),
            None => write!(f, " among calls {first} to {last} of thread {thread_id}"),
        }
    }
}

/// Who is told of losses beside the stream.
#[derive(Default)]
pub(crate) struct DropHook(Option<Box<Hook>>);

type Hook = dyn Fn(&Loss) + Send + Sync;

impl DropHook {
    #[cfg(not(treering_loom))]
    pub(crate) fn new(hook: Box<Hook>) -> Self {
        DropHook(Some(hook))
    }

    pub(crate) fn get(&self) -> Option<&Hook> {
        self.0.as_deref()
    }
}

impl fmt::Debug for DropHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DropHook").field(&self.0.is_some()).finish()
    }
}

/// One policy for each level, and how full each level may make a ring.
#[derive(Clone, Default, Debug)]
pub(crate) struct Policies {
    at: [Overflow; Level::COUNT],
    fill: FillLimits,
}

impl Policies {
    #[cfg(any(test, treering_loom))]
    pub(crate) fn all(policy: Overflow) -> Self {
        let mut policies = Policies::default();
        policies.set_all(policy);
        policies
    }

    pub(crate) fn set_all(&mut self, policy: Overflow) {
        self.at.fill(policy);
    }

    pub(crate) fn set(&mut self, level: Level, policy: Overflow) {
        self.at[level.index()] = policy;
    }

    /// For all levels that are less severe than this one.
    pub(crate) fn set_below(&mut self, level: Level, policy: Overflow) {
        self.at[level.index() + 1..].fill(policy);
    }

    pub(crate) fn limit_fill(&mut self, level: Level, percent: u8) {
        self.fill.0[level.index()] = Some(u16::from(percent) * 10);
    }

    #[inline]
    pub(crate) fn at(&self, level: Level) -> &Overflow {
        &self.at[level.index()]
    }

    /// Words of a ring of `capacity` words that records of each level leave free.
    pub(crate) fn headroom(&self, capacity: usize) -> [usize; Level::COUNT] {
        self.fill.permille().map(|permille| capacity - capacity * usize::from(permille) / 1_000)
    }

    /// Whether a caller of any level may wait for room.
    pub(crate) fn wait(&self) -> bool {
        self.at.iter().any(Overflow::waits)
    }

    /// Whether records of any level make room by dropping the oldest.
    pub(crate) fn overwrite(&self) -> bool {
        self.at.iter().any(|policy| policy.0 == Choice::DropOldest)
    }

    /// Whether records of any level are sampled.
    pub(crate) fn sample(&self) -> bool {
        self.at.iter().any(|policy| matches!(policy.0, Choice::Sample(_)))
    }

    /// What is wrong with these settings.
    #[cfg(not(treering_loom))]
    pub(crate) fn fault(&self) -> Option<String> {
        if self.at.contains(&Overflow::sample(0)) {
            return Some("Overflow::sample(0) passes nothing; it must be 1 or more".into());
        }
        let wrong = self.fill.0.iter().flatten().find(|permille| !FillLimits::RANGE.contains(permille))?;
        let (percent, least, most) =
            (wrong / 10, FillLimits::RANGE.start() / 10, FillLimits::RANGE.end() / 10);
        Some(format!("fill_limit is {percent} percent; it must be {least} to {most}"))
    }
}

/// How full the records of a level may make a ring, in thousandths. Binds less severe levels, too.
#[derive(Clone, Debug)]
struct FillLimits([Option<u16>; Level::COUNT]);

impl FillLimits {
    /// Below the least a ring would be too small for its records, whatever its size.
    #[cfg(not(treering_loom))]
    const RANGE: std::ops::RangeInclusive<u16> = 250..=1_000;
    /// The last eighth is for WARN and above.
    const OF_INFO: u16 = 875;

    /// For each level the least of its own limit and of those of the more severe ones.
    fn permille(&self) -> [u16; Level::COUNT] {
        let mut least = 1_000;
        self.0.map(|limit| {
            least = limit.map_or(least, |limit| least.min(limit));
            least
        })
    }
}

impl Default for FillLimits {
    fn default() -> Self {
        let mut limits = [None; Level::COUNT];
        limits[Level::Info.index()] = Some(FillLimits::OF_INFO);
        FillLimits(limits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_binds_its_level_and_those_below() {
        let mut policies = Policies::default();
        assert_eq!(policies.headroom(512), [0, 0, 64, 64, 64], "the last eighth is for WARN and above");
        policies.limit_fill(Level::Warn, 90);
        policies.limit_fill(Level::Debug, 50);
        assert_eq!(policies.headroom(1_000), [0, 100, 125, 500, 500]);
        policies.limit_fill(Level::Info, 100);
        policies.limit_fill(Level::Warn, 100);
        assert_eq!(policies.headroom(1_000), [0, 0, 0, 500, 500]);
    }

    #[test]
    fn policies_are_for_single_levels_or_all_below_one() {
        let mut policies = Policies::all(Overflow::block_forever());
        policies.set_below(Level::Info, Overflow::drop_newest());
        policies.set(Level::Error, Overflow::drop_oldest());
        let chosen = Level::ALL.map(|level| policies.at(level).clone());
        let (newest, oldest) = (Overflow::drop_newest(), Overflow::drop_oldest());
        let block = Overflow::block_forever();
        assert_eq!(chosen, [oldest, block.clone(), block, newest.clone(), newest]);
        policies.set_below(Level::Trace, Overflow::block_forever());
        assert_eq!(*policies.at(Level::Trace), Overflow::drop_newest(), "nothing is below TRACE");
    }
}
