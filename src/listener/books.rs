//! The listener's books, and the lock that makes them exact at a deadline.
//!
//! The listener takes the *book lock* for a moment when it begins to hand out a batch and when a handler's call has
//! returned; a thread whose `stop` ran out of time takes it to give up. Whatever was settled by then is settled; what
//! was not gets its fate once and for all, and after that the listener counts nothing and hands nothing out any more,
//! even if the handler returns.

use std::time::Duration;

use crate::clock::Deadline;
use crate::origin::Origin;
use crate::stats::{HandlerCounters, PreparedAway, Progress, SpanCounters};
use crate::sync::{Arc, AtomicU64, Mutex, Ordering};

use super::merge::Inlets;
use super::pulse::Pulse;

/// What listener and stopping threads share of the books.
#[derive(Debug)]
pub(crate) struct Books {
    /// The book lock's content.
    end: Mutex<End>,
    /// One for each name that a handler has had, or several where lanes were replaced, in the order in which they came. A leaf among the locks.
    handlers: Mutex<Vec<Arc<HandlerCounters>>>,
    /// Written by the listener, under the book lock.
    pub(super) prepared_away: PreparedAway,
    /// Written by the listener.
    pub(crate) reordered: AtomicU64,
    pub(crate) spans: SpanCounters,
    /// Written by whoever takes turns.
    listener_panics: AtomicU64,
    pub(super) pulse: Pulse,
    origin: Origin,
}

/// How the engine ended before everything was settled, or how it may.
#[derive(Debug)]
struct End {
    /// How many records were on their way when a deadline passed, if one did.
    abandoned: Option<u64>,
    /// When the listener has to give up by itself, as the thread that waits for it is its own.
    deadline: Deadline,
}

/// A stop's deadline has passed, or a handler forked and this is the child: the listener ends here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GivenUp;

impl Books {
    pub(crate) fn new() -> Self {
        Books {
            end: Mutex::new(End { abandoned: None, deadline: Deadline::after(Duration::MAX) }),
            handlers: Mutex::new(Vec::new()),
            prepared_away: PreparedAway::new(),
            reordered: AtomicU64::new(0),
            spans: SpanCounters::default(),
            listener_panics: AtomicU64::new(0),
            pulse: Pulse::new(),
            origin: Origin::here(),
        }
    }

    /// The books of all handlers there have been.
    pub(crate) fn handlers(&self) -> Vec<Arc<HandlerCounters>> {
        self.handlers.lock().clone()
    }

    /// The books of a handler that is attached now: those of the one that had this name before, if there was one.
    pub(super) fn open(&self, name: String) -> Arc<HandlerCounters> {
        let mut handlers = self.handlers.lock();
        // One that was removed may be attached still, on a lane.
        let is_free = |counters: &Arc<HandlerCounters>| !counters.attached.load(Ordering::Relaxed);
        let counters = match handlers.iter().find(|counters| counters.name == name && is_free(counters)) {
            Some(counters) => counters.clone(),
            None => {
                let counters = Arc::new(HandlerCounters::new(name, handlers.len()));
                handlers.push(counters.clone());
                counters
            }
        };
        counters.attached.store(true, Ordering::Relaxed);
        counters
    }

    /// Whether the listener goes on. `is_behind`: there are records that are not through the handlers.
    pub(super) fn progress(&self, is_behind: bool) -> Progress {
        let called = self.pulse.calling().map(|number| self.handlers.lock()[number].clone());
        Progress {
            lag: if is_behind { self.pulse.lag() } else { Duration::ZERO },
            calling: called.as_ref().map(|handler| handler.name.clone()),
            handed: called.map_or(0, |handler| handler.cursor.handed() as u64),
            heartbeat: Some(self.pulse.heartbeat()),
        }
    }

    /// The listener panicked once more. Returns how often it has.
    pub(crate) fn count_listener_panic(&self) -> u64 {
        self.listener_panics.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn listener_panics(&self) -> u64 {
        self.listener_panics.load(Ordering::Relaxed)
    }

    /// How many records were on their way when a deadline passed; `None` if none did.
    pub(crate) fn abandoned(&self) -> Option<u64> {
        self.end.lock().abandoned
    }

    /// The listener gives up at this deadline, if a handler lets it.
    #[cfg(not(treering_loom))]
    pub(crate) fn set_deadline(&self, deadline: Deadline) {
        self.end.lock().deadline = deadline;
    }

    /// The deadline has passed. `pending` tells how many records are on their way; it is called under the book lock,
    /// the first time only.
    pub(crate) fn give_up(&self, pending: impl FnOnce() -> u64) {
        let mut end = self.end.lock();
        if end.abandoned.is_none() {
            self.handlers().iter().for_each(|handler| handler.give_up());
            end.abandoned = Some(pending());
        }
    }

    /// Counts what was collected and no handler gets, as it was for the listener alone.
    pub(super) fn keep_back(&self, inlets: &mut Inlets) -> Result<(), GivenUp> {
        self.settle(|| inlets.settle_dispatched(&self.spans))
    }

    /// Runs `settle` under the book lock, unless a deadline has passed.
    pub(crate) fn settle(&self, settle: impl FnOnce()) -> Result<(), GivenUp> {
        if !self.origin.is_here() {
            return Err(GivenUp);
        }
        let end = self.end.lock();
        if end.abandoned.is_some() || end.deadline.has_passed() {
            return Err(GivenUp);
        }
        #[cfg(treering_mutant = "settle_outside_lock")]
        drop(end);
        settle();
        Ok(())
    }
}
