//! What other threads ask of the listener: a flush, other handlers, an end, attention.
//!
//! Requests are tickets. A flush draws one; the listener reads the highest ticket *before* it reads any tail, so a
//! round that saw it has everything that happened before the request. No fence is needed for that: the ticket is
//! stored with release and read with acquire. A [`Request`] for other handlers draws a ticket too, and is met at the place
//! where a flush would be: what happened before it went to the handlers of before.
//!
//! Who waits for a ticket does so in a thread of its own, on the condition variable, or in a task, which leaves a
//! [`Waker`] under the same lock. Wakers are code of the user's: they are cloned before the lock is taken, and woken and
//! dropped after it was released, so whoever takes some out of here hands them to the caller.

use std::collections::BTreeMap;
use std::task::{Poll, Waker};
use std::time::Duration;

use crate::clock::Deadline;
use crate::sync::{Arc, AtomicU64, Condvar, Mutex, Ordering, ordering, wait};
use crate::wake::State;

use super::change::Request;

#[derive(Debug)]
pub(crate) struct Control {
    progress: Mutex<Progress>,
    changed: Condvar,
    /// The highest ticket; a copy of the one under the lock, for the listener's rounds.
    asked: AtomicU64,
}

#[derive(Debug, Default)]
struct Progress {
    asked: u64,
    done: u64,
    /// The highest ticket whose round left nothing in the handlers.
    emptied: u64,
    /// The tasks that wait, by ticket.
    waiting: Waiting,
    /// What is asked beside flushes, by ticket.
    requests: Vec<(u64, Arc<Request>)>,
    /// The engine is being stopped: no nap may begin.
    closing: bool,
    /// The listener has come to its end.
    finished: bool,
    /// A stop's deadline has passed: nothing that anybody waits for will come any more.
    given_up: bool,
}

/// Tasks that wait for tickets. Each ticket has one at most, as each is drawn once.
pub(crate) type Waiting = BTreeMap<u64, Waker>;

impl Progress {
    /// Whether nobody need wait for this ticket any more.
    fn has_settled(&self, ticket: u64) -> bool {
        self.done >= ticket || self.has_ended()
    }

    fn has_ended(&self) -> bool {
        self.finished || self.given_up
    }
}

/// A deadline passed first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TimedOut;

impl Control {
    pub(crate) fn new() -> Self {
        Control {
            progress: Mutex::new(Progress::default()),
            changed: Condvar::new(),
            asked: AtomicU64::new(0),
        }
    }

    // ---- who asks

    /// Draws a ticket and wakes the listener.
    pub(crate) fn ask(&self, request: Option<Arc<Request>>, state: &State) -> u64 {
        let ticket = self.draw(request);
        state.wake(); // a park
        ticket
    }

    /// Draws a ticket, and ends a nap.
    pub(crate) fn draw(&self, request: Option<Arc<Request>>) -> u64 {
        let ticket = {
            let mut progress = self.progress.lock();
            progress.asked += 1;
            let ticket = progress.asked;
            progress.requests.extend(request.map(|request| (ticket, request)));
            self.asked.store(progress.asked, ordering!(Release, unless "relaxed_ticket"));
            progress.asked
        };
        self.changed.notify_all();
        ticket
    }

    /// Whether nobody need wait for this ticket any more: its round is done, or the listener has come to its end.
    #[cfg(not(treering_loom))]
    pub(crate) fn has_settled(&self, ticket: u64) -> bool {
        self.progress.lock().has_settled(ticket)
    }

    /// Waits until the round for this ticket is done, or the listener has come to its end.
    pub(crate) fn wait_for(&self, ticket: u64, deadline: Deadline) -> Result<(), TimedOut> {
        self.wait_until(deadline, |progress| progress.has_settled(ticket))
    }

    /// Whether what [`wait_for`](Self::wait_for) would wait for has come. If not, `waker` is woken when it comes. Returns
    /// the waker that is not needed for that (any more).
    pub(crate) fn poll_for(&self, ticket: u64, waker: Waker) -> (Poll<()>, Option<Waker>) {
        let mut progress = self.progress.lock();
        if progress.has_settled(ticket) {
            (Poll::Ready(()), Some(waker))
        } else {
            #[cfg(treering_mutant = "leave_waker_late")]
            {
                drop(progress);
                progress = self.progress.lock();
            }
            (Poll::Pending, progress.waiting.insert(ticket, waker))
        }
    }

    /// Whether the round for this ticket is done, also if the listener came to its end after that.
    pub(crate) fn has_done(&self, ticket: u64) -> bool {
        self.progress.lock().done >= ticket
    }

    /// Nobody waits for this ticket any more. Returns the waker that was left for it.
    pub(crate) fn forget(&self, ticket: u64) -> Option<Waker> {
        self.progress.lock().waiting.remove(&ticket)
    }

    /// Whether the handlers held nothing when a round for this ticket or a later one was done, or are closed.
    pub(crate) fn has_emptied(&self, ticket: u64) -> bool {
        let progress = self.progress.lock();
        progress.emptied >= ticket || progress.has_ended()
    }

    /// Tells the listener to come to its end, which closing the state word did already for a parked one.
    pub(crate) fn close(&self) {
        self.progress.lock().closing = true;
        self.changed.notify_all();
    }

    /// Waits until the listener has come to its end.
    pub(crate) fn wait_for_end(&self, deadline: Deadline) -> Result<(), TimedOut> {
        self.wait_until(deadline, Progress::has_ended)
    }

    pub(crate) fn has_finished(&self) -> bool {
        self.progress.lock().finished
    }

    /// Whether no more turns are waited for: the listener has come to its end, or was given up.
    pub(crate) fn has_ended(&self) -> bool {
        self.progress.lock().has_ended()
    }

    fn wait_until(&self, deadline: Deadline, done: impl Fn(&Progress) -> bool) -> Result<(), TimedOut> {
        let mut progress = self.progress.lock();
        while !done(&progress) {
            let left = deadline.left();
            if left == Some(Duration::ZERO) {
                return Err(TimedOut);
            }
            progress = wait(&self.changed, progress, left);
        }
        Ok(())
    }

    // ---- the listener

    /// Whether it shall come to its end.
    #[cfg(not(treering_loom))]
    pub(crate) fn is_closing(&self) -> bool {
        self.progress.lock().closing
    }

    /// The highest ticket drawn.
    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Acquire)
    }

    /// What was asked with tickets up to this one, in order; each is handed out once.
    pub(crate) fn requests(&self, up_to: u64) -> Vec<Arc<Request>> {
        let requests = &mut self.progress.lock().requests;
        let asked = requests.partition_point(|(ticket, _)| *ticket <= up_to);
        requests.drain(..asked).map(|(_, request)| request).collect()
    }

    /// The round for all tickets up to this one is done. `is_empty`: the handlers hold nothing. Returns who waited.
    #[must_use = "they are to be woken"]
    pub(crate) fn answer(&self, ticket: u64, is_empty: bool) -> Waiting {
        let mut progress = self.progress.lock();
        if progress.done >= ticket {
            return Waiting::new();
        }
        progress.done = ticket;
        if is_empty {
            progress.emptied = ticket;
        }
        self.changed.notify_all();
        let later = progress.waiting.split_off(&(ticket + 1));
        std::mem::replace(&mut progress.waiting, later)
    }

    /// The listener will do no more. Returns who waited.
    #[must_use = "they are to be woken"]
    pub(crate) fn finish(&self) -> Waiting {
        let mut progress = self.progress.lock();
        progress.finished = true;
        #[cfg(not(treering_mutant = "finish_silently"))]
        self.changed.notify_all();
        if cfg!(treering_mutant = "finish_leaves_tasks") {
            return Waiting::new();
        }
        std::mem::take(&mut progress.waiting)
    }

    /// A stop's deadline has passed: whoever else waits need not wait for their own. Returns who waited.
    #[must_use = "they are to be woken"]
    pub(crate) fn give_up(&self) -> Waiting {
        let mut progress = self.progress.lock();
        progress.given_up = true;
        #[cfg(not(treering_mutant = "give_up_silently"))]
        self.changed.notify_all();
        std::mem::take(&mut progress.waiting)
    }

    /// All tasks that wait, whatever for.
    #[must_use = "they are to be woken"]
    pub(crate) fn take_waiting(&self) -> Waiting {
        std::mem::take(&mut self.progress.lock().waiting)
    }

    /// Sleeps for a while, also through requests, as nothing can be done for them now. What ends it early is a close that
    /// begins, or a deadline of a stop's that passes.
    #[cfg(not(treering_loom))]
    pub(crate) fn back_off(&self, duration: Duration) {
        let was_closing = self.is_closing();
        let is_over = |progress: &Progress| progress.closing != was_closing || progress.has_ended();
        let _ = self.wait_until(Deadline::after(duration), is_over);
    }

    /// Sleeps for a while, but not through a request. `met`: the highest ticket whose round is done, though lanes may have
    /// to answer it yet.
    pub(crate) fn nap(&self, duration: Duration, met: u64) {
        let progress = self.progress.lock();
        if progress.asked <= met && !progress.closing {
            drop(wait(&self.changed, progress, Some(duration)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    /// What comes between the round and the nap, for which there is no time in a test of an engine.
    #[test]
    fn no_nap_begins_when_something_was_asked_or_the_engine_closes() {
        const LONG: Duration = Duration::from_secs(20);
        let start = clock::now();
        let control = Control::new();
        let ticket = control.draw(None);
        control.nap(LONG, ticket - 1);
        control.close();
        control.nap(LONG, ticket);
        assert!(clock::now() - start < LONG, "it slept");
    }

    /// Lanes that end may drop their parts of two rounds in any order.
    #[test]
    fn an_answer_to_an_older_ticket_takes_none_back() {
        let control = Control::new();
        let [older, newer] = [control.draw(None), control.draw(None)];
        for ticket in [newer, older] {
            assert!(control.answer(ticket, true).is_empty());
            assert!(control.has_done(newer) && control.has_emptied(newer));
        }
    }
}
