//! Whether a queue keeps [the contract](super#the-contract): one line in a test of yours.
//!
//! ```
//! use treering::queue::{Locked, conformance};
//! conformance::run(|| Locked::bounded(1 << 20));
//! ```
//!
//! Each clause is tried on queues of its own, on threads of its own, and within [`TIME_MAX`]: a queue that waits for
//! ever fails instead of keeping the test. It runs for a second or two, on some forty queues. A queue that takes a
//! frame must give it out within [`SETTLE`]; one over a network whose way is longer cannot be tried.
//!
//! What it cannot see: a fault that shows only under interleavings that did not happen. Run it often.

mod crowd;
mod judge;
mod probe;
mod trials;

use std::fmt;
use std::time::Duration;

use super::Queue;
use crate::sync::Arc;

use probe::started;
use trials::Trial;

/// The most that one clause may take. Far more than any needs on a busy machine, so that only what hangs fails by it.
pub const TIME_MAX: Duration = Duration::from_secs(12);
/// A frame that was taken is there within this, and a wait that was ended ends within it.
pub const SETTLE: Duration = Duration::from_secs(5);
/// How long `enqueue` may take to say that there is no room, at its quickest.
pub const REFUSAL_MAX: Duration = Duration::from_millis(20);
/// A race is tried so many times: each with a new queue, as each ends in a close.
const RACES: u32 = 20;

/// Tries every clause.
///
/// `make` makes a new, empty queue each time. One that holds at least a few frames, of a megabyte in total, can be tried.
///
/// # Panics
/// If a clause does not hold: the message says which, in words, and what was seen.
pub fn run<Q: Queue + 'static>(make: impl Fn() -> Q) {
    if let Err(failure) = check(make) {
        panic!("{failure}");
    }
}

/// As [`run`], for those who want to go on.
///
/// # Errors
/// The first clause that does not hold.
///
/// ```
/// use treering::queue::{Dequeue, Locked, conformance};
/// assert!(conformance::check(|| Locked::bounded(1 << 20)).is_ok());
/// let is_closed = || {
///     let queue = Locked::bounded(1 << 20);
///     queue.close(); // before it is tried
///     queue
/// };
/// assert_eq!(conformance::check(is_closed).unwrap_err().clause(), 6);
/// ```
pub fn check<Q: Queue + 'static>(make: impl Fn() -> Q) -> Result<(), Failure> {
    for (clause, times, trial) in trials::all() {
        for _ in 0..times {
            within_time(clause, trial, Arc::new(make()))?;
        }
    }
    Ok(())
}

/// A clause that does not hold, and what was seen.
///
/// ```
/// use treering::queue::{Dequeue, Locked, conformance};
/// # let is_closed = || {
/// #     let queue = Locked::bounded(1 << 20);
/// #     queue.close();
/// #     queue
/// # };
/// let failure = conformance::check(is_closed).unwrap_err();
/// let text = failure.to_string();
/// assert!(text.starts_with("clause 6 of the queue contract does not hold: what is there is given at once"), "{text}");
/// ```
#[derive(Debug)]
pub struct Failure {
    clause: Clause,
    saw: String,
}

impl Failure {
    /// Its number in [the contract](super#the-contract).
    pub fn clause(&self) -> u32 {
        self.clause.0
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Clause(number, text) = self.clause;
        write!(f, "clause {number} of the queue contract does not hold: {text}; but {}", self.saw)
    }
}

impl std::error::Error for Failure {}

/// A number and its words.
#[derive(Clone, Copy, Debug)]
struct Clause(u32, &'static str);

const WHOLE: Clause = Clause(1, "a frame comes out as it went in");
const ORDER: Clause = Clause(2, "frames of one thread come out in order");
const LOST: Clause = Clause(3, "a frame that was taken comes out, one that was not taken does not");
const DOUBLED: Clause = Clause(4, "a frame comes out once");
const FULL: Clause = Clause(5, "full, closed and failed are three things");
const ENOUGH: Clause = Clause(6, "what is there is given at once");
const TIMEOUT: Clause = Clause(7, "a timeout is no end, and not before its time");
const ARRIVAL: Clause = Clause(8, "a frame ends the wait");
const REST: Clause = Clause(9, "waiting does not use the processor");
const WAKE: Clause = Clause(10, "a wake ends the wait, or lets the next call not wait, and is no end");
const CLOSED: Clause = Clause(11, "after a close nothing is taken");
const DRAINED: Clause = Clause(12, "what was taken before the close comes out, and then `Closed`, always");
const RELEASE: Clause = Clause(13, "a close ends every wait");
const BACKLOG: Clause = Clause(14, "a backlog covers what is there");

/// Runs a trial on a thread of its own, which is left alone if it does not end.
fn within_time<Q: Queue + 'static>(clause: Clause, trial: Trial<Q>, queue: Arc<Q>) -> Result<(), Failure> {
    let result = started(move || trial(&queue)).wait(TIME_MAX);
    let fault = match result {
        Some(Ok(Ok(()))) => return Ok(()),
        Some(Ok(Err(fault))) => fault,
        Some(Err(panic)) => format!("it panicked: {panic}").into(),
        None => format!("a call had not returned after {TIME_MAX:?}").into(),
    };
    Err(Failure { clause: fault.clause.unwrap_or(clause), saw: fault.saw })
}
