//! When to try again what failed, and whether that was told.

use std::time::{Duration, Instant};

/// The first pause; each is twice as long as the one before.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// The longest pause: what was repaired is noticed within it.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct BackOff {
    shortest: Duration,
    /// How long the pause was that began last; `None` when all is well.
    pause: Option<Duration>,
    next: Option<Instant>,
}

impl BackOff {
    pub(super) fn new() -> Self {
        BackOff { shortest: PAUSE_MIN, pause: None, next: None }
    }

    /// Tries again at once, for tests.
    #[cfg(test)]
    pub(super) fn eager() -> Self {
        BackOff { shortest: Duration::ZERO, ..BackOff::new() }
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.next.is_none_or(|next| now >= next)
    }

    /// It failed. Whether that is news.
    pub(super) fn fail(&mut self, now: Instant) -> bool {
        let is_news = self.pause.is_none();
        let pause = self.pause.map_or(self.shortest, |pause| (pause * 2).min(PAUSE_MAX));
        self.pause = Some(pause);
        self.next = now.checked_add(pause);
        is_news
    }

    /// It cannot be tried now, for a reason that is told elsewhere.
    pub(super) fn postpone(&mut self, now: Instant) {
        self.next = now.checked_add(self.shortest);
    }

    pub(super) fn succeed(&mut self) {
        self.pause = None;
        self.next = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn pauses_double_up_to_a_minute_and_only_the_first_failure_is_news() {
        let mut back_off = BackOff::new();
        let mut now = clock::now();
        assert!(back_off.is_due(now));
        for (failure, pause) in [1, 2, 4, 8, 16, 32, 60, 60].into_iter().enumerate() {
            assert_eq!(back_off.fail(now), failure == 0);
            let next = now + Duration::from_secs(pause);
            assert!(!back_off.is_due(next - Duration::from_millis(1)) && back_off.is_due(next));
            now = next;
        }
        back_off.succeed();
        assert!(back_off.is_due(now) && back_off.fail(now));
    }
}
