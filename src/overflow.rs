//! What happens to a record that finds no room.
//!
//! A policy decides, it does not act: the engine asks it from a cold path and does what
//! it says. It is a value, chosen for the engine and for single levels.

use std::time::Duration;

use crate::level::Level;

/// What happens to a record when its thread's ring is full.
///
/// The default is [`drop_newest`](Overflow::drop_newest): the caller never waits. Whatever is chosen, every record
/// that does not arrive is counted, and the stream itself says where records are missing.
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
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Overflow(Policy);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Policy {
    DropNewest,
    Block(Duration),
}

impl Overflow {
    /// The new record is dropped and counted; before the thread's next record that finds room, the stream says how
    /// many were lost. The last eighth of each ring is kept free for records of level WARN and above.
    ///
    /// Worst case for the caller: what a cold call costs, no wait.
    ///
    /// ```
    /// assert_eq!(treering::Overflow::drop_newest(), treering::Overflow::default());
    /// ```
    pub const fn drop_newest() -> Self {
        Overflow(Policy::DropNewest)
    }

    /// The caller waits until there is room, at most this long, then the record is dropped as by
    /// [`drop_newest`](Overflow::drop_newest).
    ///
    /// Worst case for the caller: the deadline, and up to 200 µs more. Never waits on the listener's thread or on
    /// the one that polls, where nobody else could make room: there it drops at once. A `stop` releases waiting
    /// callers; their records count as late.
    ///
    /// ```
    /// let at_most_a_millisecond = treering::Overflow::block(std::time::Duration::from_millis(1));
    /// let without_end = treering::Overflow::block(std::time::Duration::MAX);
    /// ```
    pub const fn block(deadline: Duration) -> Self {
        Overflow(Policy::Block(deadline))
    }

    /// How long a caller may wait for room.
    pub(crate) fn patience(self) -> Duration {
        match self.0 {
            Policy::DropNewest => Duration::ZERO,
            Policy::Block(deadline) => deadline,
        }
    }
}

impl Default for Overflow {
    fn default() -> Self {
        Overflow::drop_newest()
    }
}

/// One policy for each level.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Policies([Overflow; Level::COUNT]);

impl Policies {
    pub(crate) fn all(policy: Overflow) -> Self {
        Policies([policy; Level::COUNT])
    }

    pub(crate) fn set(&mut self, level: Level, policy: Overflow) {
        self.0[level.index()] = policy;
    }

    pub(crate) fn at(&self, level: Level) -> Overflow {
        self.0[level.index()]
    }
}
