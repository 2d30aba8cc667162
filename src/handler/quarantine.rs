//! When a handler that fails again and again is left alone, and for how long.
//!
//! Failed calls are counted in a *row*, which a call ends that delivers something; calls that neither fail nor deliver
//! are neutral, and so are those whose failure passes without the handler, as where a queue is full. With [`FAILURES_MAX`] in a row the *quarantine* begins: the handler gets nothing for a back-off time,
//! then it is tried. If that fails, the next back-off begins; the quarantine ends when it delivers again.
//!
//! Nothing here calls a handler or reads a clock: who calls says what came of it and when. That is the listener, and a
//! handler that has another one [inside](super::inner).

use std::time::{Duration, Instant};

/// Failed calls in a row that begin a quarantine: enough for a hiccup to pass, few enough to cost the other handlers
/// nothing.
pub(crate) const FAILURES_MAX: u32 = 10;
/// The first back-off; each is twice as long as the one before.
const BACKOFF_MIN: Duration = Duration::from_millis(10);
/// The longest back-off of a handler whose calls fail at once: so late it may notice that it works again.
const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// A back-off is at least so many times what the failed call took, so that a handler in quarantine gets at most a
/// tenth of the listener's time.
const REST_PER_CALL: u32 = 9;
/// The longest back-off of all: a call that takes longer than a ninth of it gets more than its tenth, but a handler
/// that took long once is not forgotten.
const REST_MAX: Duration = Duration::from_secs(60);

/// One handler's row of failures, and its quarantine if there is one.
#[derive(Debug, Default)]
pub(crate) struct Quarantine {
    /// Failed calls in a row, up to [`FAILURES_MAX`].
    failures: u32,
    away: Option<Away>,
}

#[derive(Debug)]
struct Away {
    until: Instant,
    /// The next back-off, if the next call fails at once.
    back_off: Duration,
    /// Records that it was not shown in this quarantine.
    skipped: u64,
}

impl Quarantine {
    /// Whether nothing was delivered since a call that failed.
    pub(crate) fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// Until when the handler gets nothing, if it is quarantined.
    pub(crate) fn until(&self) -> Option<Instant> {
        self.away.as_ref().map(|away| away.until)
    }

    /// So many records were not shown to it.
    pub(crate) fn skip(&mut self, records: u64) {
        if let Some(away) = &mut self.away {
            away.skipped += records;
        }
    }

    /// A call delivered something. If that ends a quarantine: how many records were skipped in it.
    pub(crate) fn delivered(&mut self) -> Option<u64> {
        self.failures = 0;
        self.end()
    }

    /// The handler is called no more. If it is in quarantine: how many records were skipped in it.
    pub(crate) fn end(&mut self) -> Option<u64> {
        self.away.take().map(|away| away.skipped)
    }

    /// A call failed in a way that passes, and nothing was delivered.
    pub(crate) fn failed_for_now(&mut self) {
        self.failures = self.failures.max(1);
    }

    /// A call failed by `now` and took so long, and nothing was delivered. If that begins a quarantine: its back-off.
    pub(crate) fn failed(&mut self, took: Duration, now: Instant) -> Option<Duration> {
        let rest = (took * REST_PER_CALL).min(REST_MAX);
        if let Some(Away { until, back_off, .. }) = &mut self.away {
            *until = now + rest.max(*back_off);
            *back_off = BACKOFF_MAX.min(*back_off * 2);
            return None;
        }
        self.failures += 1;
        if self.failures < FAILURES_MAX {
            return None;
        }
        let wait = rest.max(BACKOFF_MIN);
        self.away = Some(Away { until: now + wait, back_off: BACKOFF_MIN * 2, skipped: 0 });
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    const AT_ONCE: Duration = Duration::ZERO;

    /// One whose quarantine began at `now`, after calls that took so long.
    fn quarantined(took: Duration, now: Instant) -> Quarantine {
        let mut quarantine = Quarantine::default();
        let began: Vec<_> = (0..FAILURES_MAX).filter_map(|_| quarantine.failed(took, now)).collect();
        assert_eq!(began.len(), 1, "it begins once, with the last");
        quarantine
    }

    /// How long after `now` it is tried again, after a call that took so long and failed.
    fn next_back_off(quarantine: &mut Quarantine, took: Duration, now: Instant) -> Duration {
        assert_eq!(quarantine.failed(took, now), None, "told of once");
        quarantine.until().unwrap() - now
    }

    #[test]
    fn it_begins_with_the_tenth_failure_in_a_row() {
        let now = clock::now();
        let mut quarantine = Quarantine::default();
        for _ in 0..3 {
            for _ in 1..FAILURES_MAX {
                assert_eq!(quarantine.failed(AT_ONCE, now), None);
                assert!(quarantine.is_failing() && quarantine.until().is_none());
            }
            assert_eq!(quarantine.delivered(), None, "no quarantine, none that ends");
            assert!(!quarantine.is_failing());
        }
        assert_eq!(quarantined(AT_ONCE, now).until(), Some(now + BACKOFF_MIN));
    }

    #[test]
    fn failures_that_pass_begin_none() {
        let now = clock::now();
        let mut quarantine = Quarantine::default();
        (0..100).for_each(|_| quarantine.failed_for_now());
        assert!(quarantine.is_failing() && quarantine.until().is_none());
        (1..FAILURES_MAX - 1).for_each(|_| assert_eq!(quarantine.failed(AT_ONCE, now), None));
        assert_eq!(quarantine.failed(AT_ONCE, now), Some(BACKOFF_MIN), "the others count");
    }

    #[test]
    fn the_back_off_doubles_up_to_a_second() {
        let now = clock::now();
        let mut quarantine = quarantined(AT_ONCE, now);
        let back_offs: Vec<_> =
            (0..9).map(|_| next_back_off(&mut quarantine, AT_ONCE, now).as_millis()).collect();
        assert_eq!(back_offs, [20, 40, 80, 160, 320, 640, 1000, 1000, 1000]);
    }

    #[test]
    fn a_slow_call_is_followed_by_nine_times_its_time_and_at_most_a_minute() {
        let now = clock::now();
        let mut quarantine = quarantined(Duration::from_millis(50), now);
        assert_eq!(quarantine.until(), Some(now + Duration::from_millis(450)));
        let mut after = |took| next_back_off(&mut quarantine, took, now);
        assert_eq!(after(AT_ONCE), BACKOFF_MIN * 2, "what counts is the last call");
        assert_eq!(after(Duration::from_millis(500)), Duration::from_millis(4500));
        assert_eq!(after(Duration::from_secs(7)), REST_MAX);
        assert_eq!(after(Duration::MAX / REST_PER_CALL), REST_MAX);
    }

    #[test]
    fn it_ends_when_something_is_delivered_and_the_next_one_begins_anew() {
        let now = clock::now();
        let mut quarantine = quarantined(AT_ONCE, now);
        quarantine.skip(3);
        next_back_off(&mut quarantine, AT_ONCE, now);
        quarantine.skip(4);
        assert_eq!(quarantine.delivered(), Some(7));
        assert_eq!((quarantine.until(), quarantine.is_failing()), (None, false));
        for _ in 1..FAILURES_MAX {
            assert_eq!(quarantine.failed(AT_ONCE, now), None);
        }
        assert_eq!(quarantine.failed(AT_ONCE, now), Some(BACKOFF_MIN));
    }
}
