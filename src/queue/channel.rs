//! A queue over a bounded channel.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{PoisonError, RwLock};

use super::{Deadline, Dequeue, DequeueError, Dequeued, Enqueue, EnqueueError, Frames};
use crate::sync::{AtomicUsize, Condvar, Mutex, Ordering, wait};
use crate::wake::Wakes;

/// A channel of `std::sync::mpsc`, bounded in frames by a count: threads that enqueue do not wait for each other. Any number
/// of threads may dequeue; one at a time has the receiver, and the others wait for their turn, up to their deadlines.
///
/// ```
/// use treering::queue::{Channel, Enqueue, EnqueueError};
/// let queue = Channel::bounded(1);
/// assert!(queue.enqueue(b"frame").is_ok());
/// assert!(matches!(queue.enqueue(b"frame"), Err(EnqueueError::Full)));
/// ```
#[derive(Debug)]
pub struct Channel {
    capacity: usize,
    /// `None` when it is closed: the receiver finds out when the last frame was taken.
    sender: RwLock<Option<Sender<Message>>>,
    /// `None` while a thread has it.
    receiver: Mutex<Option<Receiver<Message>>>,
    /// Notified when it is back.
    returned: Condvar,
    wakes: Wakes,
    /// Frames in it, and those that threads are about to put in or have just taken out. Never more than the capacity: the
    /// channel itself has no bound, so that a wake takes no frame's place.
    held: AtomicUsize,
}

/// A frame, or a wake.
type Message = Option<Box<[u8]>>;

impl Channel {
    /// Holds so many frames, at least one. Memory is allocated as they come.
    pub fn bounded(frames: usize) -> Self {
        let (sender, receiver) = channel();
        Channel {
            capacity: frames.max(1),
            sender: RwLock::new(Some(sender)),
            receiver: Mutex::new(Some(receiver)),
            returned: Condvar::new(),
            wakes: Wakes::new(),
            held: AtomicUsize::new(0),
        }
    }

    /// Waits for the receiver; `None` if another thread has it until the deadline.
    fn turn(&self, deadline: Deadline) -> Option<Turn<'_>> {
        let mut receiver = self.receiver.lock();
        loop {
            if let Some(receiver) = receiver.take() {
                return Some(Turn { channel: self, receiver: Some(receiver) });
            }
            if deadline.has_passed() {
                return None;
            }
            receiver = wait(&self.returned, receiver, deadline.left());
        }
    }
}

/// Has the receiver, and gives it back.
struct Turn<'a> {
    channel: &'a Channel,
    receiver: Option<Receiver<Message>>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.channel.receiver.lock() = self.receiver.take();
        self.channel.returned.notify_one();
    }
}

impl Enqueue for Channel {
    fn enqueue(&self, frame: &[u8]) -> Result<(), EnqueueError> {
        let sender = self.sender.read().unwrap_or_else(PoisonError::into_inner);
        let sender = sender.as_ref().ok_or(EnqueueError::Closed)?;
        // Before it can be taken out. Relaxed: whoever knows that it was enqueued knows that it was counted.
        let count_in = |held| (held < self.capacity).then_some(held + 1);
        let counted = self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count_in);
        counted.map_err(|_| EnqueueError::Full)?;
        // The receiver lives as long as this.
        sender.send(Some(frame.into())).map_err(|_| EnqueueError::Closed)
    }
}

impl Dequeue for Channel {
    fn dequeue(&self, frames: &mut Frames, deadline: Deadline) -> Result<Dequeued, DequeueError> {
        let Some(turn) = self.turn(deadline) else { return Ok(Dequeued::Empty) };
        let Some(receiver) = &turn.receiver else { return Ok(Dequeued::Empty) };
        let before = frames.len();
        loop {
            // What is there comes before a wake.
            while !frames.is_full()
                && let Ok(message) = receiver.try_recv()
            {
                message.into_iter().for_each(|frame| frames.push(&frame));
            }
            if frames.len() > before {
                self.held.fetch_sub(frames.len() - before, Ordering::Relaxed);
                return Ok(Dequeued::Some(frames.len() - before));
            }
            if self.wakes.take() {
                return Ok(Dequeued::Empty);
            }
            let first = match deadline.left() {
                None => receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(left) => receiver.recv_timeout(left),
            };
            match first {
                Ok(message) => message.into_iter().for_each(|frame| frames.push(&frame)),
                Err(RecvTimeoutError::Timeout) => return Ok(Dequeued::Empty),
                Err(RecvTimeoutError::Disconnected) => return Ok(Dequeued::Closed),
            }
        }
    }

    fn close(&self) {
        *self.sender.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn wake(&self) {
        if self.wakes.ask()
            && let Some(sender) = &*self.sender.read().unwrap_or_else(PoisonError::into_inner)
        {
            let _ = sender.send(None); // as above
        }
    }

    fn backlog(&self) -> Option<usize> {
        Some(self.held.load(Ordering::Relaxed))
    }
}
