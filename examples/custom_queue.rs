//! A queue of one's own, and the line that tells whether it is one. `cargo run --example custom_queue --features conformance`
use std::sync::{Condvar, Mutex};
use treering::queue::*;
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
        let left = deadline.left().unwrap_or(std::time::Duration::MAX);
        let waits = |state: &mut (Vec<_>, bool, bool)| state.0.is_empty() && !state.1 && !state.2;
        let mut state = self.1.wait_timeout_while(self.0.lock().unwrap(), left, waits).unwrap().0;
        state.2 = false;
        match state.0.drain(..).map(|frame| frames.push(&frame)).count() {
            0 if state.1 => Ok(Dequeued::Closed),
            0 => Ok(Dequeued::Empty),
            taken => Ok(Dequeued::Some(taken)),
        }
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
