//! A queue behind a lock: the simplest that keeps the contract, and what others are compared with.

use std::collections::VecDeque;

use super::{Deadline, Dequeue, DequeueError, Dequeued, Enqueue, EnqueueError, Frames};
use crate::sync::{Condvar, Mutex, wait};

/// What a frame takes beside its bytes, so that empty frames are bounded too.
const FRAME_OVERHEAD: usize = size_of::<Box<[u8]>>();

/// A lock, a list, and a condition to wait for. Bounded in bytes, for any number of threads on either side.
///
/// ```
/// use treering::queue::{Enqueue, EnqueueError, Locked};
/// let queue = Locked::bounded(1000);
/// assert!(queue.enqueue(&[0; 900]).is_ok());
/// assert!(matches!(queue.enqueue(&[0; 900]), Err(EnqueueError::Full)));
/// ```
#[derive(Debug)]
pub struct Locked {
    capacity: usize,
    state: Mutex<State>,
    /// Notified for each frame, wake and close.
    news: Condvar,
}

#[derive(Debug, Default)]
struct State {
    frames: VecDeque<Box<[u8]>>,
    bytes: usize,
    closed: bool,
    woken: bool,
}

impl Locked {
    /// Holds frames of so many bytes together, each with 16 more. One that is longer by itself is taken when nothing else is
    /// there: so no bound is too small for a frame, and a queue that is waited for takes it at last.
    pub fn bounded(bytes: usize) -> Self {
        Locked { capacity: bytes, state: Mutex::new(State::default()), news: Condvar::new() }
    }
}

impl Enqueue for Locked {
    fn enqueue(&self, frame: &[u8]) -> Result<(), EnqueueError> {
        let size = frame.len() + FRAME_OVERHEAD;
        let frame = frame.into(); // allocates: not under the lock
        let mut state = self.state.lock();
        if state.closed {
            return Err(EnqueueError::Closed);
        }
        if state.bytes + size > self.capacity && !state.frames.is_empty() {
            return Err(EnqueueError::Full);
        }
        state.bytes += size;
        state.frames.push_back(frame);
        drop(state);
        self.news.notify_one();
        Ok(())
    }
}

impl Dequeue for Locked {
    fn dequeue(&self, frames: &mut Frames, deadline: Deadline) -> Result<Dequeued, DequeueError> {
        let mut state = self.state.lock();
        while state.frames.is_empty() {
            if state.closed {
                return Ok(Dequeued::Closed);
            }
            if std::mem::take(&mut state.woken) || deadline.has_passed() {
                return Ok(Dequeued::Empty);
            }
            state = wait(&self.news, state, deadline.left());
        }
        let before = frames.len();
        while !frames.is_full()
            && let Some(frame) = state.frames.pop_front()
        {
            state.bytes -= frame.len() + FRAME_OVERHEAD;
            frames.push(&frame);
        }
        Ok(Dequeued::Some(frames.len() - before))
    }

    fn close(&self) {
        self.state.lock().closed = true;
        self.news.notify_all();
    }

    fn wake(&self) {
        self.state.lock().woken = true;
        self.news.notify_one();
    }

    fn backlog(&self) -> Option<usize> {
        Some(self.state.lock().frames.len())
    }
}
