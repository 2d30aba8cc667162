//! What trials look at a queue with: calls whose answers are checked, and threads that may hang.

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use super::{Clause, ENOUGH, SETTLE, TIME_MAX};
use crate::fault;
use crate::queue::{Deadline, Dequeued, Frames, Queue};
use crate::sync::Arc;

/// Longer than a thread needs to begin to wait, mostly. Where it does not, a fault may go unseen; none is seen wrongly.
pub(super) const TO_BEGIN_WAITING: Duration = Duration::from_millis(50);

/// What was seen; of another clause than the one that is tried, if that is named.
pub(super) struct Fault {
    pub(super) clause: Option<Clause>,
    pub(super) saw: String,
}

impl From<String> for Fault {
    fn from(saw: String) -> Self {
        Fault { clause: None, saw }
    }
}

/// Ends a trial unless something holds.
macro_rules! hold {
    ($holds:expr, $($saw:tt)+) => {
        if !$holds {
            return Err(format!($($saw)+).into());
        }
    };
}
pub(super) use hold;

/// What a thread comes to.
pub(super) struct Outcome<R>(Receiver<Result<R, String>>);

impl<R> Outcome<R> {
    /// `None` if it has not come to it in time; else what it came to, or what it panicked with.
    pub(super) fn wait(&self, timeout: Duration) -> Option<Result<R, String>> {
        match self.0.recv_timeout(timeout) {
            Ok(result) => Some(result),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Err("without a word".into())),
        }
    }
}

pub(super) fn started<R: Send + 'static>(body: impl FnOnce() -> R + Send + 'static) -> Outcome<R> {
    let (sender, receiver) = channel();
    let thread = std::thread::Builder::new().name("conformance".into());
    // One that cannot be started drops the sender, which is what the receiver finds out.
    let _ = thread.spawn(move || sender.send(fault::guarded(body)));
    Outcome(receiver)
}

pub(super) fn sleep(duration: Duration) {
    std::thread::sleep(duration);
}

/// What a call of `dequeue` came to, with its error as text.
pub(super) fn dequeue(queue: &impl Queue, frames: &mut Frames, timeout: Duration) -> Result<Dequeued, Fault> {
    let before = frames.len();
    let dequeued = queue
        .dequeue(frames, Deadline::after(timeout))
        .map_err(|error| Fault::from(format!("dequeue failed: {error}")))?;
    let appended = frames.len() - before;
    let is_true = match dequeued {
        Dequeued::Some(said) => said == appended && said > 0,
        Dequeued::Empty | Dequeued::Closed => appended == 0,
    };
    if is_true {
        return Ok(dequeued);
    }
    let saw = format!("dequeue said {dequeued:?} and appended {appended} frames");
    Err(Fault { clause: Some(ENOUGH), saw })
}

pub(super) fn enqueue(queue: &impl Queue, frame: &[u8]) -> Result<(), Fault> {
    queue.enqueue(frame).map_err(|error| {
        format!("a frame of {} bytes was not taken by an empty queue: {error:?}", frame.len()).into()
    })
}

/// One frame, which was enqueued before.
pub(super) fn take(queue: &impl Queue, clause: Option<Clause>) -> Result<Vec<u8>, Fault> {
    let mut frames = Frames::new();
    match dequeue(queue, &mut frames, SETTLE)? {
        Dequeued::Some(1) => Ok(frames.iter().flatten().copied().collect()),
        other => Err(Fault { clause, saw: format!("one frame was there, and dequeue said {other:?}") }),
    }
}

/// Everything that is there, until the queue is closed, or is silent for `silence`.
pub(super) fn drain(queue: &impl Queue, silence: Duration) -> Result<(Vec<Vec<u8>>, Dequeued), Fault> {
    let mut all = Vec::new();
    let mut frames = Frames::new();
    loop {
        frames.clear();
        match dequeue(queue, &mut frames, silence)? {
            Dequeued::Some(_) => all.extend(frames.iter().map(<[u8]>::to_vec)),
            end => return Ok((all, end)),
        }
    }
}

/// A thread that dequeues once, and has begun to, mostly.
pub(super) fn waiting<Q: Queue + 'static>(queue: &Arc<Q>) -> Outcome<Result<Dequeued, Fault>> {
    let outcome = asking(queue, TIME_MAX * 10);
    sleep(TO_BEGIN_WAITING);
    outcome
}

/// A thread that dequeues once.
pub(super) fn asking<Q: Queue + 'static>(
    queue: &Arc<Q>,
    timeout: Duration,
) -> Outcome<Result<Dequeued, Fault>> {
    let queue = queue.clone();
    started(move || dequeue(&queue, &mut Frames::new(), timeout))
}

/// What that thread came to, after something that must have ended its wait.
pub(super) fn ended(outcome: &Outcome<Result<Dequeued, Fault>>, by: &str) -> Result<Dequeued, Fault> {
    match outcome.wait(SETTLE) {
        Some(Ok(result)) => result,
        Some(Err(panic)) => Err(format!("it panicked: {panic}").into()),
        None => Err(format!("a call that waited did so still {SETTLE:?} after {by}").into()),
    }
}
