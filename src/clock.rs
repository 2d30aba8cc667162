//! The only reader of time: a raw counter at the call, wall-clock time on the listener.
//!
//! A call stamps its record with the raw counter (the TSC, `cntvct_el0`, or `CLOCK_MONOTONIC` where there is
//! neither): some ten cycles and no call into the system. The listener turns stamps into wall-clock time by two
//! *anchors*, moments at which it read the counter and the system's clock together. There is no calibration
//! sleep: a record is never older than the way from the first anchor to the last, so the error of the measured
//! rate times the age of a record stays below the resolution of the clock.
//!
//! About once a second the listener anchors anew. What the system's clock says differently by then is slewed over
//! the next second; a step of more than [`STEP_NANOS`] is followed at once, and reported to the caller, which puts
//! a record about it into the stream.

use std::time::{Duration, Instant, SystemTime};

#[cfg(treering_loom)]
use crate::sync::{AtomicU64, Ordering};

/// A difference above which the wall clock was set, not corrected: one second.
const STEP_NANOS: i64 = 1_000_000_000;
/// How often the listener compares its mapping with the system's clock, once the rate is known well.
const ANCHOR_INTERVAL: Duration = Duration::from_secs(1);
/// Readings of which the quickest becomes the anchor.
const ANCHOR_TRIES: u32 = 3;
/// While the first anchor is younger than this, every conversion anchors anew: the rate is not known well yet.
const WARM_UP: Duration = Duration::from_secs(2);

/// Reads the raw counter.
///
/// Nothing but a name in a normal build. Under loom it is a counter of its own, so that executions repeat.
#[derive(Debug, Default)]
pub(crate) struct Ticker {
    #[cfg(treering_loom)]
    ticks: AtomicU64,
}

impl Ticker {
    /// The counter for a record: may be read some nanoseconds before earlier loads of this thread completed.
    #[inline(always)]
    pub(crate) fn stamp(&self) -> u64 {
        #[cfg(not(treering_loom))]
        {
            raw::ticks()
        }
        #[cfg(treering_loom)]
        {
            self.ticks.fetch_add(1, Ordering::Relaxed)
        }
    }

    /// The counter for a record, not read before earlier loads of this thread completed.
    pub(crate) fn stamp_after_loads(&self) -> u64 {
        #[cfg(not(treering_loom))]
        {
            raw::ticks_after_loads()
        }
        #[cfg(treering_loom)]
        {
            self.stamp()
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
            self.ticks.fetch_add(1, Ordering::AcqRel)
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

/// A deadline on the monotonic clock; `None` in it means never.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    pub(crate) fn after(timeout: Duration) -> Self {
        Deadline(now().checked_add(timeout))
    }

    /// Time left; zero when it has passed, `None` when it never will.
    pub(crate) fn left(self) -> Option<Duration> {
        self.0.map(|end| end.saturating_duration_since(now()))
    }

    pub(crate) fn has_passed(self) -> bool {
        self.left() == Some(Duration::ZERO)
    }
}

/// The monotonic clock, for waits and intervals.
#[cfg(not(treering_loom))]
pub(crate) fn now() -> Instant {
    Instant::now()
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
    first: Anchor,
    /// The newest anchor's counter, and the wall-clock time that this mapping gives it. The two lines meet here.
    origin: u64,
    origin_nanos: i64,
    nanos_per_tick: f64,
    next_anchor: Instant,
}

/// One moment on both clocks.
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
}

impl WallClock {
    /// Sets the first anchor. Cost: two reads of the system's clock.
    pub(crate) fn new() -> Self {
        let first = Anchor::read();
        WallClock {
            first,
            origin: first.ticks,
            origin_nanos: first.nanos,
            nanos_per_tick: raw::NANOS_PER_TICK_GUESS,
            next_anchor: first.at,
        }
    }

    /// Compares with the system's clock if it is time to. Returns by how many nanoseconds the wall clock was set,
    /// if it was.
    pub(crate) fn anchor(&mut self) -> Option<i64> {
        // Under loom stamps count from 0 and have no time.
        if cfg!(treering_loom) || now() < self.next_anchor {
            return None;
        }
        self.adjust(Anchor::read())
    }

    /// See [`anchor`](Self::anchor); the anchor is handed in, so that tests can set the clock.
    fn adjust(&mut self, anchor: Anchor) -> Option<i64> {
        let age = anchor.at - self.first.at;
        self.next_anchor = if age < WARM_UP { anchor.at + age / 64 } else { anchor.at + ANCHOR_INTERVAL };
        let ticks = anchor.ticks.wrapping_sub(self.first.ticks) as i64;
        if ticks <= 0 {
            return None;
        }
        // The counter's rate against the monotonic clock, which nobody sets.
        let rate = age.as_nanos() as f64 / ticks as f64;
        let predicted = self.nanos_at(anchor.ticks);
        let difference = anchor.nanos - predicted;
        self.origin = anchor.ticks;
        if difference.abs() > STEP_NANOS {
            self.origin_nanos = anchor.nanos;
            self.nanos_per_tick = rate;
            return Some(difference);
        }
        if age < WARM_UP {
            // The rate itself was wrong, not the system's clock.
            self.origin_nanos = anchor.nanos.max(predicted.min(anchor.nanos + 1_000));
            self.nanos_per_tick = rate;
        } else {
            // Slew: reach the system's clock at the next anchor.
            self.origin_nanos = predicted;
            self.nanos_per_tick =
                rate * (1.0 + difference as f64 / ANCHOR_INTERVAL.as_nanos() as f64).max(0.0);
        }
        None
    }

    /// Wall-clock time of a stamp.
    #[inline]
    pub(crate) fn time_of(&self, stamp: u64) -> Timestamp {
        Timestamp::from_nanos(self.nanos_at(stamp).max(0) as u64)
    }

    /// About how many ticks this duration is.
    pub(crate) fn ticks_in(&self, duration: Duration) -> u64 {
        (duration.as_nanos() as f64 / self.nanos_per_tick) as u64
    }

    #[inline]
    fn nanos_at(&self, stamp: u64) -> i64 {
        let ticks = stamp.wrapping_sub(self.origin) as i64;
        self.origin_nanos + (ticks as f64 * self.nanos_per_tick) as i64
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

        #[inline(always)]
        pub(in super::super) fn ticks() -> u64 {
            // SAFETY: every x86-64 processor has RDTSC, and Linux leaves it to user programs.
            unsafe { _rdtsc() }
        }

        pub(in super::super) fn ticks_after_loads() -> u64 {
            // SAFETY: SSE2 is part of x86-64.
            unsafe { _mm_lfence() };
            ticks()
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

        #[inline(always)]
        pub(in super::super) fn ticks() -> u64 {
            let ticks: u64;
            // SAFETY: the virtual counter is readable from user space under Linux and touches no memory.
            unsafe { asm!("mrs {}, cntvct_el0", out(reg) ticks, options(nomem, nostack, preserves_flags)) };
            ticks
        }

        pub(in super::super) fn ticks_after_loads() -> u64 {
            // SAFETY: a barrier; no operands.
            unsafe { asm!("isb", options(nostack, preserves_flags)) };
            ticks()
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

        pub(in super::super) fn ticks() -> u64 {
            crate::os::monotonic_nanos()
        }

        pub(in super::super) fn ticks_after_loads() -> u64 {
            ticks()
        }

        pub(in super::super) fn ticks_ordered() -> u64 {
            ticks()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A wall clock that began at `first`, on a counter of 2 ticks a nanosecond.
    fn clock(first: Anchor) -> WallClock {
        WallClock {
            first,
            origin: first.ticks,
            origin_nanos: first.nanos,
            nanos_per_tick: 0.4,
            next_anchor: first.at,
        }
    }

    fn later(first: Anchor, nanos: u64, wall_error: i64) -> Anchor {
        Anchor {
            ticks: first.ticks + 2 * nanos,
            nanos: first.nanos + nanos as i64 + wall_error,
            at: first.at + Duration::from_nanos(nanos),
        }
    }

    #[test]
    fn a_stamp_maps_to_the_time_at_which_it_was_taken() {
        let wall = WallClock::new();
        let stamp = Ticker::default().stamp();
        let now = system_nanos();
        std::thread::sleep(Duration::from_millis(20));
        let mut wall = wall;
        wall.anchor();
        let error = wall.time_of(stamp).as_nanos() as i64 - now;
        assert!(error.abs() < 200_000, "{error} ns beside the system's clock");
    }

    #[test]
    fn a_small_difference_is_slewed_and_time_never_goes_back() {
        let first = Anchor { ticks: 1_000, nanos: 1_700_000_000_000_000_000, at: Instant::now() };
        let mut wall = clock(first);
        assert_eq!(wall.adjust(later(first, 5_000_000_000, 0)), None);
        assert_eq!(wall.adjust(later(first, 6_000_000_000, -300_000)), None);
        let before = wall.nanos_at(first.ticks + 2 * 6_000_000_000 - 1);
        let at = wall.nanos_at(first.ticks + 2 * 6_000_000_000 + 1);
        assert!(before <= at);
        let end = wall.nanos_at(first.ticks + 2 * 7_000_000_000);
        assert!((end - (first.nanos + 7_000_000_000 - 300_000)).abs() < 1_000);
    }

    #[test]
    fn a_step_of_the_wall_clock_is_followed_at_once_and_reported() {
        let first = Anchor { ticks: 1_000, nanos: 1_700_000_000_000_000_000, at: Instant::now() };
        let mut wall = clock(first);
        wall.adjust(later(first, 5_000_000_000, 0));
        let step = wall.adjust(later(first, 6_000_000_000, -3_600_000_000_000));
        assert!((step.unwrap() + 3_600_000_000_000).abs() < 1_000_000, "{step:?}");
        let now = wall.nanos_at(first.ticks + 2 * 6_000_000_000);
        assert_eq!(now, first.nanos + 6_000_000_000 - 3_600_000_000_000);
    }
}
