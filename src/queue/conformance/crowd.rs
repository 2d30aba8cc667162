//! Threads that enqueue and threads that dequeue, all at once.

use std::time::Duration;

use super::judge::{frame_of, judge, origin_of};
use super::probe::{Fault, Outcome, dequeue, sleep, started};
use super::{LOST, SETTLE, TIME_MAX};
use crate::queue::{Dequeued, EnqueueError, Frames, Queue};
use crate::sync::{Arc, Mutex};

/// Frames as they came out to one thread: whose they are, and their numbers.
type Came = Arc<Mutex<Vec<(u32, u32)>>>;

pub(super) struct Crowd {
    sending: Vec<Outcome<Result<u32, Fault>>>,
    receiving: Vec<(Outcome<Result<(), Fault>>, Came)>,
}

impl Crowd {
    /// So many threads enqueue so many frames each, or until the queue is closed, and so many dequeue until then.
    pub(super) fn begin<Q: Queue + 'static>(
        queue: &Arc<Q>,
        senders: u32,
        frames: u32,
        receivers: u32,
    ) -> Self {
        let receiving = (0..receivers).map(|_| {
            let (queue, came) = (queue.clone(), Came::default());
            let into = came.clone();
            (started(move || receive(&*queue, &into)), came)
        });
        let receiving = receiving.collect();
        let sending = (0..senders).map(|thread| {
            let queue = queue.clone();
            started(move || send(&*queue, thread, frames))
        });
        Crowd { sending: sending.collect(), receiving }
    }

    /// Waits for those that enqueue: how many frames of each were taken.
    pub(super) fn sent(&self) -> Result<Vec<u32>, Fault> {
        let sent = self.sending.iter().map(|outcome| match outcome.wait(TIME_MAX) {
            Some(result) => result.unwrap_or_else(|panic| Err(format!("it panicked: {panic}").into())),
            None => Err("a thread could not enqueue its frames in time".to_owned().into()),
        });
        sent.collect()
    }

    /// After the close: whether what was taken is what came out.
    pub(super) fn judge(&self, sent: &[u32]) -> Result<(), Fault> {
        for (outcome, _) in &self.receiving {
            // Of one that does not end, what it has by now is all that came out.
            if let Some(result) = outcome.wait(SETTLE * 2) {
                result.unwrap_or_else(|panic| Err(format!("it panicked: {panic}").into()))?;
            }
        }
        let came: Vec<_> = self.receiving.iter().map(|(_, came)| came.lock().clone()).collect();
        judge(&came, sent, LOST)
    }
}

fn send(queue: &impl Queue, thread: u32, frames: u32) -> Result<u32, Fault> {
    let mut taken = 0;
    while taken < frames {
        match queue.enqueue(&frame_of(thread, taken)) {
            Ok(()) => taken += 1,
            Err(EnqueueError::Full) => sleep(Duration::from_micros(100)),
            Err(EnqueueError::Closed) => break,
            Err(error) => return Err(format!("enqueue failed: {error}").into()),
        }
    }
    Ok(taken)
}

fn receive(queue: &impl Queue, came: &Mutex<Vec<(u32, u32)>>) -> Result<(), Fault> {
    let mut frames = Frames::new();
    loop {
        frames.clear();
        match dequeue(queue, &mut frames, SETTLE)? {
            Dequeued::Some(_) => came.lock().extend(frames.iter().map(origin_of)),
            Dequeued::Empty => {}
            Dequeued::Closed => return Ok(()),
        }
    }
}
