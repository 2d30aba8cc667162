//! When a listener has to see to what nobody asks for.

use std::time::{Duration, Instant};

use crate::clock;

/// How often losses of silent threads are looked for, and handlers look after themselves.
const INTERVAL: Duration = Duration::from_millis(500);

/// The next time.
#[derive(Debug)]
pub(crate) struct Housekeeping {
    next: Instant,
}

impl Housekeeping {
    /// For the first time after an interval.
    pub(crate) fn new() -> Self {
        Housekeeping { next: clock::now() + INTERVAL }
    }

    /// Whether it is time. If so, the next time is an interval from now.
    pub(crate) fn is_due(&mut self) -> bool {
        let now = clock::now();
        let is_due = now >= self.next;
        if is_due {
            self.next = now + INTERVAL;
        }
        is_due
    }

    /// How long until the next time.
    pub(crate) fn left(&self) -> Duration {
        self.next.saturating_duration_since(clock::now())
    }
}
