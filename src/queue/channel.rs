//! A queue over a bounded channel.

use super::{Deadline, Dequeue, DequeueError, Dequeued, Enqueue, EnqueueError, Frames};
use crate::sync::{AtomicBool, Loan, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{PoisonError, RwLock};

/// `std::sync::mpsc::sync_channel`, bounded in frames: threads that enqueue do not wait for each other. Any number of
/// threads may dequeue, but while one of them waits the others wait behind it, beyond their deadlines.
///
/// ```
/// use treering::queue::{Channel, Enqueue, EnqueueError};
/// let queue = Channel::bounded(1);
/// assert!(queue.enqueue(b"frame").is_ok());
/// assert!(matches!(queue.enqueue(b"frame"), Err(EnqueueError::Full)));
/// ```
#[derive(Debug)]
pub struct Channel {
    /// `None` when it is closed: the receiver finds out when the last frame was taken.
    sender: RwLock<Option<SyncSender<Message>>>,
    receiver: Loan<Receiver<Message>>,
    /// A wake is among the messages: a second one would only take a frame's place.
    woken: AtomicBool,
}

/// A frame, or a wake. A wake that finds no room is not needed: there are frames to return with.
type Message = Option<Box<[u8]>>;

impl Channel {
    /// Holds so many frames, at least one. Their places are allocated at once, 24 bytes each or a little more.
    pub fn bounded(frames: usize) -> Self {
        let (sender, receiver) = sync_channel(frames.max(1));
        Channel {
            sender: RwLock::new(Some(sender)),
            receiver: Loan::new(receiver),
            woken: AtomicBool::new(false),
        }
    }

    fn send(&self, message: Message) -> Result<(), EnqueueError> {
        let sender = self.sender.read().unwrap_or_else(PoisonError::into_inner);
        match sender.as_ref().ok_or(EnqueueError::Closed)?.try_send(message) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_)) => Err(EnqueueError::Full),
            Err(TrySendError::Disconnected(_)) => Err(EnqueueError::Closed),
        }
    }
}

impl Enqueue for Channel {
    fn enqueue(&self, frame: &[u8]) -> Result<(), EnqueueError> {
        self.send(Some(frame.into()))
    }
}

impl Dequeue for Channel {
    fn dequeue(&self, frames: &mut Frames, deadline: Deadline) -> Result<Dequeued, DequeueError> {
        let receiver = self.receiver.borrow();
        let before = frames.len();
        let first = match deadline.left() {
            None => receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(left) => receiver.recv_timeout(left),
        };
        let first = match first {
            Ok(message) => message,
            Err(RecvTimeoutError::Timeout) => return Ok(Dequeued::Empty),
            Err(RecvTimeoutError::Disconnected) => return Ok(Dequeued::Closed),
        };
        for message in std::iter::once(first).chain(receiver.try_iter()) {
            match message {
                Some(frame) => frames.push(&frame),
                None => self.woken.store(false, Ordering::Relaxed),
            }
            if frames.is_full() {
                break;
            }
        }
        Ok(match frames.len() - before {
            0 => Dequeued::Empty,
            taken => Dequeued::Some(taken),
        })
    }

    fn close(&self) {
        *self.sender.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn wake(&self) {
        // Relaxed: whether there is a wake among the messages is said by the channel, this only spares a second one.
        if !self.woken.swap(true, Ordering::Relaxed) && self.send(None).is_err() {
            self.woken.store(false, Ordering::Relaxed); // closed or full: the next call does not wait anyway
        }
    }
}
