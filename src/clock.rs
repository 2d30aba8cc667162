//! The only reader of time: a raw counter at the call, wall-clock time on the listener.
//!
//! A call stamps its record with the raw counter (the TSC, `cntvct_el0`, or `CLOCK_MONOTONIC` where there is
//! neither): some ten cycles and no call into the system. The listener turns stamps into wall-clock time by
//! *anchors*, moments at which it read the counter and both clocks of the system together. It looks at them before
//! it converts, about once a second if it comes by that often, so the error of the measured rate times the age of a
//! record stays below the resolution of the clock. There is no calibration sleep.
//!
//! An anchor tells three things, each by the one clock that knows it: where the counter is, by the wall clock; its
//! rate, by the monotonic clock, which nobody sets; and whether the counter can be believed, by comparing the two
//! ways from the last anchor to this one. Times follow the line through the newest anchor, but for a *bend*: it
//! begins at the newest stamp that has its time, where it agrees with the time that was handed out, and leads to the
//! line within a second, or two where it is ahead.
//!
//! ```text
//!   time                             / the line through the newest anchor
//!    ^                        ..---*
//!    |                ..---''    /  `- the end of the bend, at the anchor or later
//!    |  handed  _.o''          /
//!    |    out -'   `- the newest stamp that has a time
//!    +------------------------------> counter
//! ```
//!
//! So times do not go back, however seldom the listener looks. Where the two are more than [`STEP_NANOS`] apart the
//! wall clock was set, or the machine slept and its counter with it: that is followed at once, and reported to the
//! caller, which puts a record about it into the stream.

use std::cell::Cell;
use std::time::{Duration, Instant, SystemTime};

#[cfg(treering_loom)]
use crate::sync::{AtomicU64, Ordering, ordering};

/// A difference above which the wall clock was set, not corrected: one second.
const STEP_NANOS: f64 = 1e9;
/// How long a bend is, if nothing demands a longer one: until the next anchor, where the listener is busy.
const BEND_NANOS: f64 = 1e9;
/// How often the listener compares its mapping with the system's clocks, once the rate is known well.
const ANCHOR_INTERVAL: Duration = Duration::from_secs(1);
/// Readings of which the quickest becomes the anchor.
const ANCHOR_TRIES: u32 = 3;
/// Over less than this the reading of the clocks takes a good part of what is measured: the guess is as good.
const WINDOW_MIN: Duration = Duration::from_micros(10);
/// The rate is measured over at most so long, and the longest wait for an anchor: it changes by 500 ppm where the
/// system's clocks are slewed.
const WINDOW_MAX: Duration = Duration::from_secs(16);
/// What the counter may be off between two anchors, and a thousandth of the time between them: twice the slewing of
/// the system's clocks, and a preemption between two readings.
const LEAP_NANOS: f64 = 1e6;

/// Reads the raw counter.
///
/// Nothing but a name in a normal build. Under loom it is a counter of its own, so that executions repeat.
#[derive(Debug, Default)]
pub(crate) struct Ticker {
    #[cfg(treering_loom)]
    ticks: AtomicU64,
}

impl Ticker {
    /// The counter for a record: read after all that this thread has read before, so that a cause has the lower stamp.
    #[inline(always)]
    pub(crate) fn stamp(&self) -> u64 {
        #[cfg(not(treering_loom))]
        {
            raw::ticks_after_loads()
        }
        #[cfg(treering_loom)]
        {
            self.ticks.fetch_add(1, Ordering::Relaxed)
        }
    }

    /// The counter for the listener's cut-off: read after everything before it and before everything after it.
    pub(crate) fn ordered(&self) -> u64 {
        #[cfg(not(treering_loom))]
        {
            raw::ticks_ordered()
        }
        #[cfg(treering_loom)]
        {
            self.ticks.fetch_add(1, ordering!(Acquire, unless "relaxed_cutoff"))
        }
    }

    /// The clock is the same for all: who reads a later time than this sees what this thread has seen by now. So it
    /// is on processors where a store that one other core sees is seen by all (x86-64, Armv8); the language's memory
    /// model knows neither that nor a clock, so a model that leans on it says where.
    #[cfg(treering_loom)]
    pub(crate) fn is_the_same_for_all(&self) {
        self.ticks.fetch_add(1, Ordering::Release);
    }
}

/// Nanoseconds since 1970-01-01T00:00:00Z.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use treering::record::Timestamp;
/// let time = Timestamp::from_nanos(1_000_000_000_500_000_000);
/// assert_eq!(time.to_string(), "2001-09-09T01:46:40.500000000Z");
/// assert_eq!(SystemTime::from(time), SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 500_000_000));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Timestamp(u64);

impl Timestamp {
    /// From nanoseconds since the epoch, which last until the year 2554.
    ///
    /// ```
    /// let epoch = treering::record::Timestamp::from_nanos(0);
    /// assert_eq!(epoch.to_string(), "1970-01-01T00:00:00.000000000Z");
    /// ```
    pub const fn from_nanos(nanos: u64) -> Self {
        Timestamp(nanos)
    }

    /// What the system's clock says.
    pub(crate) fn now() -> Self {
        Timestamp(system_nanos().max(0) as u64)
    }

    /// Nanoseconds since the epoch.
    ///
    /// ```
    /// assert_eq!(treering::record::Timestamp::from_nanos(17).as_nanos(), 17);
    /// ```
    pub const fn as_nanos(self) -> u64 {
        self.0
    }
}

impl From<Timestamp> for SystemTime {
    fn from(time: Timestamp) -> Self {
        SystemTime::UNIX_EPOCH + Duration::from_nanos(time.0)
    }
}

/// Whether the raw counter runs at one rate on all cores, whatever their frequency and sleep.
pub(crate) fn counter_is_steady() -> bool {
    raw::is_steady()
}

/// Until when to wait, on the monotonic clock.
///
/// ```
/// use std::time::Duration;
/// use treering::queue::Deadline;
/// assert!(Deadline::after(Duration::ZERO).has_passed());
/// assert_eq!(Deadline::after(Duration::ZERO).left(), Some(Duration::ZERO));
/// assert_eq!(Deadline::after(Duration::MAX).left(), None, "as good as never");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Option<Instant>); // `None`: never

impl Deadline {
    /// From now on so long; for ever, if that is beyond the clock.
    pub fn after(timeout: Duration) -> Self {
        Deadline(now().checked_add(timeout))
    }

    /// Time left; zero when it has passed, `None` when it never will.
    pub fn left(self) -> Option<Duration> {
        self.0.map(|end| end.saturating_duration_since(now()))
    }

    /// Whether there is no time left.
    pub fn has_passed(self) -> bool {
        self.left() == Some(Duration::ZERO)
    }
}

/// The monotonic clock, for waits and intervals.
#[cfg(not(treering_loom))]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The monotonic clock as a number: nanoseconds since the system started, for intervals that lie in one word.
#[cfg(not(treering_loom))]
pub(crate) fn monotonic_nanos() -> u64 {
    crate::os::monotonic_nanos()
}

/// Time stands still under loom: nothing in a model happens, or fails to, because some has passed.
#[cfg(treering_loom)]
pub(crate) fn now() -> Instant {
    #[expect(
        clippy::disallowed_types,
        clippy::disallowed_methods,
        reason = "a constant, the same in all executions"
    )]
    static STILL: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    *STILL
}

/// Turns stamps into wall-clock time. Owned by the listener.
#[derive(Debug)]
pub(crate) struct WallClock {
    /// The newest anchor: the line goes through it.
    last: Anchor,
    nanos_per_tick: f64,
    /// Not the guess any more.
    is_measured: bool,
    bend: Bend,
    /// The anchor from which the rate is measured, and none later than the last.
    base: Anchor,
    /// The newest stamp that has its time.
    newest: Cell<u64>,
    next_anchor: Instant,
}

/// Where times leave the line. Before it they are parallel to the line, after it on the line.
#[derive(Clone, Copy, Default, Debug)]
struct Bend {
    /// Ticks after the newest anchor; negative before it.
    begin: i64,
    end: i64,
    /// How far beside the line, for each tick before the end.
    nanos_per_tick: f64,
}

/// One moment on the counter, the wall clock and the monotonic clock.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    ticks: u64,
    nanos: i64,
    at: Instant,
}

impl Anchor {
    /// The best of a few tries: one in which the thread was preempted would put the clocks apart.
    fn read() -> Self {
        let tries = (0..ANCHOR_TRIES).map(|_| {
            let before = raw::ticks_ordered();
            let (nanos, at) = (system_nanos(), now());
            let after = raw::ticks_ordered();
            let width = after.wrapping_sub(before);
            (width, Anchor { ticks: before.wrapping_add(width / 2), nanos, at })
        });
        tries.min_by_key(|(width, _)| *width).expect("there are tries").1
    }

    fn ticks_until(self, later: Anchor) -> i64 {
        later.ticks.wrapping_sub(self.ticks) as i64
    }
}

impl WallClock {
    /// Sets the first anchor. Cost: a few reads of the system's clocks.
    pub(crate) fn new() -> Self {
        WallClock::begin(Anchor::read())
    }

    fn begin(first: Anchor) -> Self {
        WallClock {
            last: first,
            nanos_per_tick: raw::NANOS_PER_TICK_GUESS,
            is_measured: false,
            bend: Bend::default(),
            base: first,
            newest: Cell::new(first.ticks),
            next_anchor: first.at,
        }
    }

    /// Compares with the system's clocks if it is time to. Returns by how many nanoseconds the wall clock was set,
    /// if it was.
    pub(crate) fn anchor(&mut self) -> Option<i64> {
        // Under loom stamps count from 0 and have no time.
        if cfg!(treering_loom) || now() < self.next_anchor {
            return None;
        }
        self.adjust(Anchor::read())
    }

    /// See [`anchor`](Self::anchor); the anchor is handed in, so that tests can set the clocks.
    fn adjust(&mut self, anchor: Anchor) -> Option<i64> {
        // What is measured over a short time is used for a shorter one.
        let age = anchor.at - self.base.at;
        self.next_anchor = anchor.at + if age < ANCHOR_INTERVAL { age / 64 } else { ANCHOR_INTERVAL };

        let ticks = self.last.ticks_until(anchor);
        if ticks <= 0 {
            return self.begin_anew(anchor);
        }
        // A stamp beyond the anchor is of a core whose counter is ahead: the others do not wait for it.
        let join = (self.newest.get().wrapping_sub(self.last.ticks) as i64).clamp(0, ticks);
        let handed_out = self.nanos_at(self.last.ticks.wrapping_add(join as u64));
        self.measure(anchor);
        self.bend_from(anchor, ticks - join, handed_out)
    }

    /// The counter was restarted. How long it was since the last anchor, only the monotonic clock knows.
    fn begin_anew(&mut self, anchor: Anchor) -> Option<i64> {
        let expected = self.nanos_at(self.last.ticks) + (anchor.at - self.last.at).as_nanos() as i64;
        let handed_out = self.nanos_at(self.newest.get());
        self.base = anchor;
        self.bend_from(anchor, 0, expected.max(handed_out))
    }

    /// The counter's rate against the monotonic clock.
    fn measure(&mut self, anchor: Anchor) {
        let elapsed = (anchor.at - self.last.at).as_nanos() as f64;
        let set = (anchor.nanos - self.last.nanos) as f64 - elapsed;
        let leapt = self.last.ticks_until(anchor) as f64 * self.nanos_per_tick - elapsed;
        if self.is_measured && leapt.abs() > LEAP_NANOS + elapsed / 1_000.0 {
            if (leapt - set).abs() < leapt.abs() / 2.0 {
                // The counter and the wall clock agree: the machine slept, and of the three only the monotonic clock
                // stood still.
                self.base = anchor;
                return;
            }
            // Or the rate was wrong, or is another one now. If it was a leap, the next anchor finds that.
            self.base = self.last;
        }
        let age = anchor.at - self.base.at;
        if age >= WINDOW_MIN {
            self.nanos_per_tick = age.as_nanos() as f64 / self.base.ticks_until(anchor) as f64;
            self.is_measured = true;
        }
        if age >= WINDOW_MAX {
            self.base = anchor;
        }
    }

    /// From now on times follow the line through this anchor, and lead there from a time that was handed out for a
    /// stamp some `ticks` earlier.
    fn bend_from(&mut self, anchor: Anchor, ticks: i64, handed_out: i64) -> Option<i64> {
        self.last = anchor;
        self.newest.set(anchor.ticks.wrapping_sub(ticks as u64));
        self.bend = Bend::default();
        let ahead = handed_out.saturating_sub(anchor.nanos) as f64 + ticks as f64 * self.nanos_per_tick;
        if ahead.abs() > STEP_NANOS {
            return Some(-ahead as i64);
        }
        // Times run at half their speed at least, so that they do not go back.
        let length = (BEND_NANOS.max(2.0 * ahead) / self.nanos_per_tick) as i64;
        let length = length.max(ticks).max(1);
        // Rounded up: a nanosecond back is back, too.
        let nanos_per_tick = (ahead + 0.5) / length as f64;
        self.bend = Bend { begin: -ticks, end: length - ticks, nanos_per_tick };
        None
    }

    /// Wall-clock time of a stamp.
    #[inline]
    pub(crate) fn time_of(&self, stamp: u64) -> Timestamp {
        self.newest.set(self.newest.get().max(stamp));
        Timestamp::from_nanos(self.nanos_at(stamp).max(0) as u64)
    }

    /// About how many ticks this duration is.
    pub(crate) fn ticks_in(&self, duration: Duration) -> u64 {
        (duration.as_nanos() as f64 / self.nanos_per_tick) as u64
    }

    /// About how long so many ticks take.
    pub(crate) fn duration_of(&self, ticks: u64) -> Duration {
        Duration::from_nanos((ticks as f64 * self.nanos_per_tick) as u64)
    }

    #[inline]
    fn nanos_at(&self, stamp: u64) -> i64 {
        let Bend { begin, end, nanos_per_tick } = self.bend;
        let ticks = stamp.wrapping_sub(self.last.ticks) as i64;
        let beside = (end - ticks.max(begin).min(end)) as f64 * nanos_per_tick;
        self.last.nanos.saturating_add((ticks as f64 * self.nanos_per_tick + beside) as i64)
    }
}

fn system_nanos() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i64)
}

/// The counters of the machines we know.
mod raw {
    #![allow(unsafe_code, reason = "the counter is an instruction")]

    #[cfg(target_arch = "x86_64")]
    pub(super) use x86_64::*;

    #[cfg(target_arch = "x86_64")]
    mod x86_64 {
        use core::arch::x86_64::{__cpuid, _mm_lfence, _rdtsc};

        /// Before the first anchors tell better: a counter of 2.5 GHz.
        pub(in super::super) const NANOS_PER_TICK_GUESS: f64 = 0.4;

        pub(in super::super) fn is_steady() -> bool {
            const INVARIANT_TSC: u32 = 1 << 8;
            const POWER: u32 = 0x8000_0007;
            __cpuid(0x8000_0000).eax >= POWER && __cpuid(POWER).edx & INVARIANT_TSC != 0
        }

        /// A processor may read its counter before an earlier load has its value, even that of a lock; not so across
        /// `lfence`, which waits for what this core has begun, and for no other core.
        #[inline(always)]
        pub(in super::super) fn ticks_after_loads() -> u64 {
            // SAFETY: SSE2 is part of x86-64.
            unsafe { _mm_lfence() };
            // SAFETY: every x86-64 processor has RDTSC, and Linux leaves it to user programs.
            unsafe { _rdtsc() }
        }

        pub(in super::super) fn ticks_ordered() -> u64 {
            let ticks = ticks_after_loads();
            // SAFETY: as above.
            unsafe { _mm_lfence() };
            ticks
        }
    }

    #[cfg(target_arch = "aarch64")]
    pub(super) use aarch64::*;

    #[cfg(target_arch = "aarch64")]
    mod aarch64 {
        use core::arch::asm;

        /// Before the first anchors tell better: a counter of 1 GHz, as since Armv8.6.
        pub(in super::super) const NANOS_PER_TICK_GUESS: f64 = 1.0;

        pub(in super::super) fn is_steady() -> bool {
            true // by the architecture
        }

        /// Across `isb` the counter is not read before earlier loads are done.
        #[inline(always)]
        pub(in super::super) fn ticks_after_loads() -> u64 {
            let ticks: u64;
            // SAFETY: a barrier, and the virtual counter, which is readable from user space under Linux.
            unsafe { asm!("isb", "mrs {}, cntvct_el0", out(reg) ticks, options(nostack, preserves_flags)) };
            ticks
        }

        pub(in super::super) fn ticks_ordered() -> u64 {
            let ticks = ticks_after_loads();
            // SAFETY: as above.
            unsafe { asm!("isb", options(nostack, preserves_flags)) };
            ticks
        }
    }

    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    pub(super) use portable::*;

    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    mod portable {
        pub(in super::super) const NANOS_PER_TICK_GUESS: f64 = 1.0;

        pub(in super::super) fn is_steady() -> bool {
            true
        }

        pub(in super::super) fn ticks_after_loads() -> u64 {
            crate::os::monotonic_nanos()
        }

        pub(in super::super) fn ticks_ordered() -> u64 {
            ticks_after_loads()
        }
    }
}

#[cfg(test)]
mod tests;
