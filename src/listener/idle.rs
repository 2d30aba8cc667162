//! How the listener waits for records.

use std::time::{Duration, Instant};

use crate::clock;

/// How the listener waits when there are no records.
///
/// ```
/// use treering::Wait;
///
/// // A core of its own: the shortest way to the handlers, and no caller ever makes a system call.
/// let builder = treering::builder().wait(Wait::Spin).affinity(3);
/// # let _ = builder;
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub enum Wait {
    /// Looks every few microseconds while rings fill quickly, some ten thousand times a second while there is traffic, and
    /// once or twice for each record where those come one by one: naps get longer where there was one record or none, up to
    /// 250 µs where a record was and a millisecond else, and shorter where there were many, or where a long one found a
    /// record. Parks after 100 ms of silence. The default. Only the first call after that pays for a wake (one system call).
    ///
    /// Before it parks the listener interrupts each core that runs a thread of this process, by `membarrier`, at
    /// most ten times a second. Where that is felt, choose [`Spin`](Wait::Spin) or [`Poll`](Wait::Poll).
    #[default]
    Adaptive,
    /// Never sleeps: costs a core, and no call ever makes a system call. See
    /// [`Builder::affinity`](crate::Builder::affinity).
    Spin,
    /// Looks, then sleeps this long: no call ever makes a system call.
    Poll(Duration),
    /// Parks as soon as there is nothing to do: the least use of the processor, and a wake for each record that
    /// comes alone. Callers fence after each record.
    Park,
    /// No thread of its own: records are handed out by [`Guard::poll`](crate::Guard::poll), `flush` and `stop`, on
    /// the thread that calls them.
    ///
    /// So a way to wait of your own is a loop:
    ///
    /// ```
    /// use std::{sync::Arc, thread, time::Duration};
    ///
    /// # let capture = treering::handler::Capture::new();
    /// let builder = treering::builder().wait(treering::Wait::Manual);
    /// # let builder = builder.handler(capture.clone());
    /// let (logger, guard) = builder.start()?;
    /// let guard = Arc::new(guard);
    /// let polled = guard.clone();
    /// thread::spawn(move || {
    ///     // Until the engine is stopped. Other threads that stop and flush take their turns themselves.
    ///     while let Ok(records) = polled.poll() {
    ///         if records == 0 {
    ///             thread::sleep(Duration::from_micros(200)); // or in `epoll_wait`, or not at all
    ///         }
    ///     }
    /// });
    /// treering::info!(logger: logger, "handed out by the loop");
    /// # assert!(capture.wait_for(1, Duration::from_secs(20)));
    /// guard.stop(Duration::from_secs(5))?;
    /// # Ok::<(), treering::Error>(())
    /// ```
    Manual,
}

/// Between two looks at the rings under traffic: looking back to back would steal the producers' cache lines.
const LOOK_INTERVAL: Duration = none_under_loom(Duration::from_micros(3));
/// Without a record for this long, naps begin.
const SPIN_MAX: Duration = none_under_loom(Duration::from_micros(50));
/// The shortest nap. A listener that spun instead would take a core from the program for nothing but to be 50 µs
/// earlier; a ring that is less than an eighth full does not fill in this time.
const NAP_MIN: Duration = none_under_loom(Duration::from_micros(50));
/// The longest nap.
const NAP_MAX: Duration = Duration::from_millis(1);
/// Behind a record naps grow no longer, and longer ones shrink: it may be the first of many, which a ring has to hold until
/// the listener is back.
const NAP_BEHIND_RECORD_MAX: Duration = Duration::from_micros(250);
/// A look that found fewer records came too soon: what a record costs that has one of its own is the wake-up.
const FEW: usize = 2;
/// One that found so many came late.
const MANY: usize = 2 * FEW;
/// Without a record for this long, the listener parks.
const PARK_AFTER: Duration = none_under_loom(Duration::from_millis(100));
/// The longest sleep: losses of silent threads are told of, and the clock is looked after, about this often.
pub(crate) const PARK_MAX: Duration = Duration::from_millis(500);

/// What to do before the next look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// Look again at once, or after a few microseconds of spinning.
    Spin(Duration),
    /// Sleep for so long, for there is traffic, but not so much that a ring fills up meanwhile; requests end it early.
    Doze(Duration),
    /// Sleep for so long, for there is little traffic, and let what handlers hold go before; requests end it early.
    Nap(Duration),
    /// Sleep until woken.
    Park,
}

/// Remembers how long there was nothing to do, and how long to sleep: each nap is twice as long as the one before if that
/// found less than [`FEW`] records, half as long if it found [`MANY`], or found any and was longer than
/// [`NAP_BEHIND_RECORD_MAX`]. So a listener whose records come one by one sleeps until there are two or three, if that takes
/// no longer than such a nap, and else finds one with every other look.
#[derive(Debug)]
pub(crate) struct Idle {
    wait: Wait,
    last_record: Instant,
    /// Parking interrupts other cores, so it is not done again at once.
    last_park: Option<Instant>,
    /// The last one.
    nap: Duration,
}

impl Idle {
    pub(crate) fn new(wait: Wait) -> Self {
        Idle { wait, last_record: clock::now(), last_park: None, nap: NAP_MIN }
    }

    /// Whether there is no thread: rounds are taken by those who ask for them.
    pub(crate) fn is_manual(&self) -> bool {
        self.wait == Wait::Manual
    }

    /// The round found so many records, or holds some back. `is_urgent`: so many that a ring could fill up in a sleep, or
    /// none that is not ready in a moment.
    pub(crate) fn busy(&mut self, records: usize, is_urgent: bool) -> Step {
        self.last_record = clock::now();
        self.nap = if is_urgent { NAP_MIN } else { self.nap_behind(records) };
        match self.wait {
            Wait::Poll(interval) => Step::Nap(interval),
            Wait::Spin => Step::Spin(LOOK_INTERVAL),
            _ if is_urgent || NAP_MIN.is_zero() => Step::Spin(LOOK_INTERVAL),
            Wait::Park => Step::Doze(NAP_MIN),
            Wait::Adaptive | Wait::Manual if self.nap == NAP_MIN => Step::Doze(NAP_MIN),
            Wait::Adaptive | Wait::Manual => Step::Nap(self.nap),
        }
    }

    fn nap_behind(&self, records: usize) -> Duration {
        let nap = match records {
            ..FEW => self.nap * 2,
            FEW..MANY => self.nap,
            MANY.. => self.nap / 2,
        };
        // One that was longer found a record late, yet it was not far too long.
        nap.min(NAP_BEHIND_RECORD_MAX.max(self.nap / 2)).max(NAP_MIN)
    }

    /// The round found nothing.
    pub(crate) fn empty(&mut self) -> Step {
        let now = clock::now();
        let silence = now - self.last_record;
        let just_parked = self.last_park.is_some_and(|last| now - last < PARK_AFTER);
        match self.wait {
            Wait::Poll(interval) => Step::Nap(interval),
            Wait::Spin => Step::Spin(LOOK_INTERVAL),
            Wait::Adaptive | Wait::Park if silence < SPIN_MAX => Step::Spin(LOOK_INTERVAL),
            Wait::Adaptive if silence < PARK_AFTER || just_parked => {
                self.nap = NAP_MAX.min(self.nap * 2);
                Step::Nap(self.nap)
            }
            Wait::Adaptive | Wait::Park | Wait::Manual => {
                self.last_park = Some(now);
                // What ends a silence may be the first of many.
                self.nap = NAP_MIN;
                Step::Park
            }
        }
    }
}

/// Loom has no time: where it stands still, no wait may hang on it. The listener of a model parks as soon as there is
/// nothing to do.
pub(super) const fn none_under_loom(duration: Duration) -> Duration {
    if cfg!(treering_loom) { Duration::ZERO } else { duration }
}

/// Burns time without touching memory.
pub(crate) fn spin(duration: Duration) {
    let end = clock::now() + duration;
    while clock::now() < end {
        std::hint::spin_loop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn under_silence_the_listener_spins_then_naps_longer_and_longer_then_parks() {
        let mut idle = Idle::new(Wait::Adaptive);
        assert_eq!(idle.busy(0, true), Step::Spin(LOOK_INTERVAL));
        assert_eq!(idle.busy(MANY, false), Step::Doze(NAP_MIN));
        assert_eq!(idle.empty(), Step::Spin(LOOK_INTERVAL));
        idle.last_record -= SPIN_MAX;
        let naps: Vec<_> = (0..7).map(|_| idle.empty()).collect();
        assert_eq!(naps[0], Step::Nap(NAP_MIN * 2));
        assert_eq!(naps[1], Step::Nap(NAP_MIN * 4));
        assert_eq!(naps[6], Step::Nap(NAP_MAX));
        idle.last_record -= PARK_AFTER;
        assert_eq!(idle.empty(), Step::Park);
        assert_eq!(
            idle.busy(1, false),
            Step::Nap(NAP_MIN * 2),
            "after a silence naps begin with the shortest"
        );
    }

    #[test]
    fn naps_get_shorter_while_many_records_come_and_at_once_where_rings_fill() {
        let mut idle = Idle::new(Wait::Adaptive);
        idle.nap = NAP_MAX;
        assert_eq!(idle.busy(1, false), Step::Nap(NAP_MAX / 2), "it may be the first of many");
        assert_eq!(idle.busy(1, false), Step::Nap(NAP_BEHIND_RECORD_MAX));
        assert_eq!(idle.busy(1, false), Step::Nap(NAP_BEHIND_RECORD_MAX));
        assert_eq!(idle.busy(MANY, false), Step::Nap(NAP_BEHIND_RECORD_MAX / 2));
        assert_eq!(idle.busy(FEW, false), Step::Nap(NAP_BEHIND_RECORD_MAX / 2));
        assert_eq!(idle.busy(FEW - 1, false), Step::Nap(NAP_BEHIND_RECORD_MAX));
        assert_eq!(idle.busy(1, true), Step::Spin(LOOK_INTERVAL));
        assert_eq!(idle.busy(MANY, false), Step::Doze(NAP_MIN));
    }

    #[test]
    fn who_parks_after_each_record_does_not_nap_longer_before() {
        let mut idle = Idle::new(Wait::Park);
        for _ in 0..10 {
            assert_eq!(idle.busy(1, false), Step::Doze(NAP_MIN));
        }
    }

    /// How often the listener looks for each of 1,000 records, and how long these wait on average and at most, if a sleep
    /// lasts `late` longer than it should.
    fn looks_and_delays(interval: Duration, late: Duration) -> (f64, Duration, Duration) {
        const RECORDS: u32 = 1_000;
        let mut idle = Idle::new(Wait::Adaptive);
        let (mut now, mut looks, mut taken) = (Duration::ZERO, 0, 0);
        let (mut waited, mut longest) = (Duration::ZERO, Duration::ZERO);
        while taken < RECORDS {
            looks += 1;
            let taken_before = taken;
            while taken < RECORDS && interval * taken <= now {
                let delay = now - interval * taken;
                (waited, longest) = (waited + delay, longest.max(delay));
                taken += 1;
            }
            idle.last_record = clock::now() - SPIN_MAX;
            let found = (taken - taken_before) as usize;
            now += match if found == 0 { idle.empty() } else { idle.busy(found, false) } {
                Step::Doze(sleep) | Step::Nap(sleep) => sleep + late,
                step => panic!("{step:?}"),
            };
        }
        (f64::from(looks) / f64::from(RECORDS), waited / RECORDS, longest)
    }

    #[test]
    fn records_that_come_one_by_one_are_taken_together_and_wait_for_a_nap_at_most() {
        let late = Duration::from_micros(60);
        for (micros, looks_max) in
            [(100, 0.5), (300, 1.1), (500, 1.5), (700, 1.9), (1_000, 2.1), (1_300, 2.2), (2_000, 2.5)]
        {
            let interval = Duration::from_micros(micros);
            let (looks, delay, longest) = looks_and_delays(interval, late);
            assert!(looks < looks_max, "{looks} for each record at {interval:?}");
            assert!(delay < NAP_MAX * 6 / 10, "{delay:?} at {interval:?}");
            assert!(longest <= NAP_MAX + late, "{longest:?} at {interval:?}");
        }
    }

    #[test]
    fn spin_and_poll_never_park() {
        for (wait, step) in
            [(Wait::Spin, Step::Spin(LOOK_INTERVAL)), (Wait::Poll(NAP_MAX), Step::Nap(NAP_MAX))]
        {
            let mut idle = Idle::new(wait);
            idle.last_record -= PARK_AFTER * 2;
            assert_eq!(idle.empty(), step);
        }
    }
}
