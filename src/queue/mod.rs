//! Queues that carry records out of an engine: the contract, and two that keep it.
//!
//! An engine's own way from a call to its listener is its rings, and no queue. What stands here is the other kind: any
//! object that takes bytes on one side and gives them out on the other, in this process or beyond it. A
//! `QueueHandler` puts the records of an engine into one, a `Listener` takes them out and hands them to handlers.
//! What travels are *frames*: one portable record each (docs/record-format.md), to a queue just bytes.
//!
//! The contract has two sides. [`Enqueue`] is what a `QueueHandler` needs, [`Dequeue`] what a `Listener` needs; what has
//! both is a [`Queue`]. A backend that only sends, or only receives, implements one of them, and cannot be used as the
//! other: that does not compile. docs/queue-backends.md shows how to write one; `queue::conformance` tells whether it is one.
//!
//! # The contract
//!
//! Its clauses have numbers, so that a suite, an issue or a comment can name them.
//!
//! **Enqueue**
//! 1. *Whole.* A frame comes out as it went in, byte for byte: also an empty one, and one of a megabyte.
//! 2. *Order.* Frames of one thread come out in the order in which it enqueued them.
//! 3. *Nothing lost.* A frame that was taken (`Ok`) comes out. One that was not taken never does.
//! 4. *Nothing doubled.* A frame comes out once.
//! 5. *Full, closed and failed are three things.* `Full`: there is no room now, and there will be when frames were taken
//!    out. `Closed`: there never will be. `Failed`: neither, and the error says what. A queue that is full says so
//!    at once, and drops nothing silently: how long somebody waits for room is a policy's to say, and no queue's. When it is
//!    empty it has room for any frame of up to a megabyte.
//!
//! **Dequeue**
//!
//! 6. *What is there is given at once.* `Some(n)`: n frames, at least one, were appended; before that, nothing waits. Frames
//!    come before a wake and before the end.
//! 7. *A timeout is no end.* Where nothing is there it waits until the deadline and says `Empty`; then all goes on. It says
//!    so for [`wake`](Dequeue::wake) too, but not by itself before the time. A deadline that has passed does not wait, also
//!    where other threads do.
//! 8. *A frame ends the wait.* One that waits gives out what is enqueued meanwhile, soon.
//! 9. *Waiting is rest.* It waits without using the processor.
//! 10. *A wake ends the wait.* [`wake`](Dequeue::wake) lets the call that waits return, or, if none does, the next one come back
//!     without waiting. It loses no frame and is no end.
//!
//! **Close**
//!
//! 11. *Closed is closed.* After [`close`](Dequeue::close) nothing is taken any more, from anybody; once more changes nothing.
//! 12. *What was taken before the close comes out,* and only then, and from then on always, `Closed`. A frame that races with
//!     the close is refused, or it comes out before that.
//! 13. *A close ends every wait,* of all that dequeue and of all that enqueue.
//!
//! **Backlog**
//!
//! 14. *A backlog covers what is there.* A queue that says [how many](Dequeue::backlog) frames there are says no fewer than have to be
//!     dequeued until everything is out that was enqueued before. One that cannot say so says nothing.

mod channel;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod frames;
mod locked;
#[cfg(test)]
mod tests;

pub use channel::Channel;
pub use frames::Frames;
pub use locked::Locked;

pub use crate::clock::Deadline;

use std::error::Error as StdError;
use std::fmt;

use crate::sync::Arc;

/// The side of a queue that takes frames. Clauses 1 to 5 of [the contract](self#the-contract), 11 and 13.
///
/// Any thread may call it at any time, several at once.
///
/// ```
/// use std::net::UdpSocket;
/// use treering::queue::{Enqueue, EnqueueError};
///
/// /// Sends each record as a datagram: it cannot be dequeued from, so it is no `Queue`.
/// struct Datagrams(UdpSocket);
///
/// impl Enqueue for Datagrams {
///     fn enqueue(&self, frame: &[u8]) -> Result<(), EnqueueError> {
///         match self.0.send(frame) {
///             Ok(_) => Ok(()),
///             Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Err(EnqueueError::Full),
///             Err(error) => Err(EnqueueError::failed(error)),
///         }
///     }
/// }
/// ```
pub trait Enqueue: Send + Sync {
    /// Takes a copy of a frame.
    ///
    /// It does not wait for room, but says `Full`: who waits here holds up a log call, or all handlers, and no deadline of a
    /// flush or a stop ends it.
    ///
    /// # Errors
    /// If the frame was not taken: [`EnqueueError`] says why.
    fn enqueue(&self, frame: &[u8]) -> Result<(), EnqueueError>;
}

/// The side of a queue that gives frames. Clauses 6 to 13 of [the contract](self#the-contract).
///
/// Any thread may call it at any time, several at once; a frame goes to one of them.
///
/// ```compile_fail
/// # use treering::queue::{Dequeue, Enqueue, EnqueueError};
/// struct OnlySends;
/// impl Enqueue for OnlySends {
///     fn enqueue(&self, _frame: &[u8]) -> Result<(), EnqueueError> {
///         Ok(())
///     }
/// }
/// fn listen(queue: impl Dequeue) {}
/// listen(OnlySends); // does not compile: it gives nothing
/// ```
pub trait Dequeue: Send + Sync {
    /// Appends what is there to `frames`, one frame at least; if nothing is, waits until the deadline for it.
    ///
    /// How many it gives at once is up to the queue; [`Frames::is_full`] says when it is enough.
    ///
    /// # Errors
    /// If it cannot say what is there. Whoever asked tells of it, waits a little and asks again.
    fn dequeue(&self, frames: &mut Frames, deadline: Deadline) -> Result<Dequeued, DequeueError>;

    /// From now on nothing is taken; what was, comes out still. A queue that only receives stops receiving.
    fn close(&self);

    /// Lets a call of [`dequeue`](Dequeue::dequeue) return that waits, or the next one come back without waiting.
    fn wake(&self);

    /// How many frames have to be dequeued until everything is out that was enqueued before this call, if the queue can
    /// say. More is right, less is not: for a queue that gives frames in the order in which it took them, how many there
    /// are.
    ///
    /// A flush of a listener ends when so many came. Without that it waits until the queue is empty once, which under
    /// traffic without a pause may be never. Default: it cannot say.
    fn backlog(&self) -> Option<usize> {
        None
    }
}

/// What can be put into at one side and taken out of at the other. Everything that is [`Enqueue`] and [`Dequeue`] is one.
///
/// ```
/// use std::time::Duration;
/// use treering::queue::{Deadline, Dequeued, Frames, Locked, Queue};
///
/// fn through(queue: impl Queue) {
///     let mut frames = Frames::new();
///     queue.enqueue(b"frame").unwrap();
///     assert_eq!(queue.dequeue(&mut frames, Deadline::after(Duration::ZERO)).unwrap(), Dequeued::Some(1));
///     assert_eq!(frames.iter().next(), Some(&b"frame"[..]));
/// }
/// through(Locked::bounded(1 << 20));
/// ```
pub trait Queue: Enqueue + Dequeue {}

impl<Q: Enqueue + Dequeue + ?Sized> Queue for Q {}

/// Both sides of a queue can be shared: one `Arc` for each.
macro_rules! shared {
    ($pointer:ty) => {
        impl<Q: Enqueue + ?Sized> Enqueue for $pointer {
            fn enqueue(&self, frame: &[u8]) -> Result<(), EnqueueError> {
                (**self).enqueue(frame)
            }
        }

        impl<Q: Dequeue + ?Sized> Dequeue for $pointer {
            fn dequeue(&self, frames: &mut Frames, deadline: Deadline) -> Result<Dequeued, DequeueError> {
                (**self).dequeue(frames, deadline)
            }

            fn close(&self) {
                (**self).close();
            }

            fn wake(&self) {
                (**self).wake();
            }

            fn backlog(&self) -> Option<usize> {
                (**self).backlog()
            }
        }
    };
}
shared!(&Q);
shared!(Box<Q>);
shared!(Arc<Q>);

/// Why a queue did not take a frame. Clause 5 of [the contract](self#the-contract).
///
/// ```
/// use treering::queue::EnqueueError;
/// assert_eq!(EnqueueError::Full.to_string(), "the queue is full");
/// assert_eq!(EnqueueError::failed("no route").to_string(), "no route");
/// ```
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "the contract: a fourth would be no news for a minor version")]
pub enum EnqueueError {
    /// There is no room now.
    Full,
    /// There will never be room any more.
    Closed,
    /// Something else went wrong.
    Failed(Box<dyn StdError + Send + Sync>),
}

impl EnqueueError {
    /// Something else than the two.
    pub fn failed(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        EnqueueError::Failed(source.into())
    }

    /// The queue panicked, and that was its text.
    pub(crate) fn panicked(panic: &str) -> Self {
        EnqueueError::failed(format!("it panicked: {panic}"))
    }
}

impl fmt::Display for EnqueueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EnqueueError::Full => f.write_str("the queue is full"),
            EnqueueError::Closed => f.write_str("the queue is closed"),
            EnqueueError::Failed(source) => source.fmt(f),
        }
    }
}

impl StdError for EnqueueError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            EnqueueError::Full | EnqueueError::Closed => None,
            EnqueueError::Failed(source) => source.source(),
        }
    }
}

/// What a queue gave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "the contract: whoever dequeues must know all of them")]
pub enum Dequeued {
    /// So many frames, at least one.
    Some(usize),
    /// None until the deadline, or until somebody woke it. More may come.
    Empty,
    /// None any more: it was closed, and everything was given.
    Closed,
}

/// Why a queue cannot say what is there.
///
/// ```
/// use treering::queue::DequeueError;
/// assert_eq!(DequeueError::new("connection reset").to_string(), "connection reset");
/// ```
#[derive(Debug)]
pub struct DequeueError {
    source: Box<dyn StdError + Send + Sync>,
}

impl DequeueError {
    /// An error with this cause.
    pub fn new(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        DequeueError { source: source.into() }
    }
}

impl fmt::Display for DequeueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl StdError for DequeueError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.source()
    }
}
