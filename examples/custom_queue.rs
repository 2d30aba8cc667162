//! A queue of one's own, and the line that tells whether it is one. `cargo run --example custom_queue --features conformance`
use std::sync::{Condvar, Mutex};
use std::time::Duration;
use treering::queue::{
    Deadline, Dequeue, DequeueError, Dequeued, Enqueue, EnqueueError, Frames, conformance,
};

#[derive(Default)]
struct MyQueue(Mutex<(Vec<Vec<u8>>, bool, bool)>, Condvar); // frames, closed, woken

impl Enqueue for MyQueue {
    fn enqueue(&self, frame: &[u8]) -> Result<(), EnqueueError> {
        match &mut *self.0.lock().unwrap() {
            (_, true, _) => return Err(EnqueueError::Closed),
            (frames, ..) if frames.len() == 1024 => return Err(EnqueueError::Full),
            (frames, ..) => frames.push(frame.to_vec()),
        }
        self.1.notify_one();
        Ok(())
    }
}
impl Dequeue for MyQueue {
    fn dequeue(&self, frames: &mut Frames, deadline: Deadline) -> Result<Dequeued, DequeueError> {
        let left = deadline.left().unwrap_or(Duration::MAX);
        let waits =
            |(frames, closed, woken): &mut (Vec<_>, bool, bool)| frames.is_empty() && !*closed && !*woken;
        let mut state = self.1.wait_timeout_while(self.0.lock().unwrap(), left, waits).unwrap().0;
        let (closed, _woken) = (state.1, std::mem::take(&mut state.2));
        let taken = state.0.drain(..).map(|frame| frames.push(&frame)).count();
        Ok(if taken > 0 {
            Dequeued::Some(taken)
        } else if closed {
            Dequeued::Closed
        } else {
            Dequeued::Empty
        })
    }
    fn close(&self) {
        self.0.lock().unwrap().1 = true;
        self.1.notify_all();
    }
    fn wake(&self) {
        self.0.lock().unwrap().2 = true;
        self.1.notify_one();
    }
}
fn main() {
    conformance::run(MyQueue::default);
}
