//! What shows other threads that the listener goes on: when it began something last, in whose call it is, and up to which
//! moment everything has been through the handlers.
//!
//! It is written by the listener alone, a few times for a batch, and read one by one: each is true for itself.

use std::time::{Duration, Instant};

use crate::clock;
use crate::sync::{AtomicU64, AtomicUsize, Ordering};

/// See the module's documentation. Moments are nanoseconds after `origin`.
#[derive(Debug)]
pub(crate) struct Pulse {
    origin: Instant,
    heartbeat: AtomicU64,
    /// One more than the number of the handler that is called, or 0.
    calling: AtomicUsize,
    horizon: AtomicU64,
}

/// The listener is in a handler's call as long as this lives.
pub(super) struct Calling<'a>(&'a Pulse);

impl Drop for Calling<'_> {
    fn drop(&mut self) {
        self.0.calling.store(0, Ordering::Relaxed);
    }
}

impl Pulse {
    pub(super) fn new() -> Self {
        Pulse {
            origin: clock::now(),
            heartbeat: AtomicU64::new(0),
            calling: AtomicUsize::new(0),
            horizon: AtomicU64::new(0),
        }
    }

    // ---- the listener

    /// It begins something.
    pub(super) fn beat(&self, now: Instant) {
        self.heartbeat.store(self.since_origin(now), Ordering::Relaxed);
    }

    /// It begins to call the handler with this number.
    pub(super) fn call(&self, handler: usize) -> Calling<'_> {
        self.beat(clock::now());
        self.calling.store(handler + 1, Ordering::Relaxed);
        Calling(self)
    }

    /// What was logged before this moment has been through the handlers.
    pub(super) fn reach(&self, moment: Instant) {
        self.horizon.store(self.since_origin(moment), Ordering::Relaxed);
    }

    // ---- anyone

    /// The number of the handler that is called. To be asked before the heartbeat: if that is old, the call is.
    pub(super) fn calling(&self) -> Option<usize> {
        self.calling.load(Ordering::Relaxed).checked_sub(1)
    }

    /// How long ago it began something last.
    pub(super) fn heartbeat(&self) -> Duration {
        self.ago(&self.heartbeat)
    }

    /// How long ago the oldest record was logged that is not through the handlers, at most.
    pub(super) fn lag(&self) -> Duration {
        self.ago(&self.horizon)
    }

    fn ago(&self, moment: &AtomicU64) -> Duration {
        let moment = Duration::from_nanos(moment.load(Ordering::Relaxed));
        (clock::now() - self.origin).saturating_sub(moment)
    }

    fn since_origin(&self, moment: Instant) -> u64 {
        (moment - self.origin).as_nanos() as u64
    }
}
