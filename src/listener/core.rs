//! What a listener shares with the threads that log and those that ask, and the steps of those that ask: how an
//! engine is flushed, closed, given up and summed up.

use crate::clock::Deadline;
use crate::fault::{Faults, guarded};
use crate::origin::Origin;
use crate::overflow::DropHook;
use crate::stats::{Report, Sum};
use crate::sync::{Arc, AtomicBool, Ordering};
use crate::transport::Transport;

use super::books::Books;
use super::change::Request;
use super::control::{Control, TimedOut, Waiting};
#[cfg(not(treering_loom))]
use super::filters::Filters;

/// What answers a ticket, when the last who has a part in it drops its own: the listener, and each lane.
#[derive(Debug)]
pub(crate) struct Answer {
    core: Arc<Core>,
    ticket: u64,
    /// Some handler holds records still.
    is_held: AtomicBool,
}

impl Answer {
    /// The round for all tickets up to this one.
    pub(super) fn new(core: Arc<Core>, ticket: u64) -> Self {
        Answer { core, ticket, is_held: AtomicBool::new(false) }
    }

    /// A handler holds records though it was flushed.
    pub(super) fn tell_held(&self) {
        self.is_held.store(true, Ordering::Relaxed);
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // Given up, a lane drops its part undone.
        let is_undone = || self.core.books.abandoned().is_some() && !cfg!(treering_mutant = "answer_undone");
        if self.core.origin.is_here() && !is_undone() {
            self.core.answer(self.ticket, !self.is_held.load(Ordering::Relaxed));
        }
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Core {
    /// The engine's own.
    pub(crate) number: u64,
    pub(crate) transport: Transport,
    pub(crate) control: Control,
    pub(crate) books: Books,
    pub(crate) faults: Faults,
    pub(crate) on_drop: DropHook,
    #[cfg(not(treering_loom))] // models have none
    pub(crate) filters: Filters,
    /// In a child of `fork` nothing of this may be used: other threads may have held its locks for ever.
    pub(crate) origin: Origin,
    /// What is handed out, or was last, are echoes: none answers them. Written and read by the thread that takes turns.
    pub(crate) echoing: AtomicBool,
}

impl Core {
    /// Asks for a flush. What happened before this call has left the handlers when [`Control::wait_for`] returned
    /// for the ticket.
    pub(crate) fn ask_for_flush(&self) -> u64 {
        self.control.ask(None, &self.transport.shared.state)
    }

    /// Asks for other handlers. What came of it is known when [`Control::wait_for`] returned for the ticket.
    pub(crate) fn ask_for(&self, request: Arc<Request>) -> u64 {
        self.control.ask(Some(request), &self.transport.shared.state)
    }

    /// From now on the engine takes no records. Its listener, wherever it waits, takes its last turn.
    pub(crate) fn close(&self) {
        self.transport.close();
        self.control.close();
    }

    /// Waits until the listener has come to its end, or gives up.
    pub(crate) fn wait_for_end(&self, deadline: Deadline) -> Result<(), TimedOut> {
        self.control.wait_for_end(deadline).inspect_err(|_| self.give_up())
    }

    /// The round for all tickets up to this one is done. `is_empty`: the handlers hold nothing.
    pub(crate) fn answer(&self, ticket: u64, is_empty: bool) {
        self.wake(self.control.answer(ticket, is_empty));
    }

    /// The listener will do no more. One that finds itself in a child of `fork`, as a handler forked, tells nobody.
    pub(crate) fn finish(&self) {
        if self.origin.is_here() {
            self.wake(self.control.finish());
        }
    }

    /// What is not settled by now never will be.
    pub(crate) fn give_up(&self) {
        if self.origin.is_here() {
            #[cfg(treering_mutant = "release_before_books")]
            self.wake(self.control.give_up());
            self.books.give_up(|| self.sum(None).pending);
            self.wake(self.control.give_up());
        }
    }

    /// Wakes tasks, whose wakers may panic. Not under a lock.
    pub(crate) fn wake(&self, tasks: Waiting) {
        for waker in tasks.into_values() {
            if let Err(panic) = guarded(|| waker.wake()) {
                self.faults
                    .report(format_args!("a task that waits for a flush panicked as it was woken: {panic}"));
            }
        }
    }

    /// The books at this moment. Records past the last tail are pending until the listener has counted them late.
    pub(crate) fn report(&self) -> Report {
        let mut report = self.sum(self.books.abandoned());
        if !self.control.has_ended() {
            report.progress = self.books.progress(report.pending + report.in_flight > 0);
        }
        report
    }

    /// `abandoned`: how many were on their way when a stop's deadline passed, if one did.
    fn sum(&self, abandoned: Option<u64>) -> Report {
        let Core { transport, books, .. } = self;
        let mut sum = Sum::default();
        sum.handlers(books.handlers().iter().map(|handler| &**handler));
        sum.reordered(books.reordered.load(Ordering::Relaxed));
        sum.spans(&books.spans);
        sum.listener_panics(books.listener_panics());
        abandoned.into_iter().for_each(|records| sum.abandoned(records));
        #[cfg(not(treering_loom))] // models have no steps
        sum.prepared_away(&books.prepared_away);
        transport.sum_settled(&mut sum);
        transport.sum_placed(&mut sum);
        sum.finish()
    }
}
