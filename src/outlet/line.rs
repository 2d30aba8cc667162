//! Callers that wait for room in a queue, which tells nobody when it has some.
//!
//! They stand in a line. The one in front asks the queue again and again; the others sleep until he leaves, and then one of
//! them is woken, the one who slept longest if the system wakes in that order. So many who wait cost no more than one. Whoever
//! does not wait is to look whether anybody does, and to leave the room to the line: beside callers that log without a pause
//! it would never get any.

use crate::clock::Deadline;
use crate::sync::{AtomicUsize, Condvar, Mutex, Ordering, wait};

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Line {
    state: Mutex<State>,
    /// Notified when the place in front is handed to one of those who sleep, and at the end.
    moved: Condvar,
    /// How many stand in it, the one in front and those who sleep. Changed under the lock.
    length: AtomicUsize,
}

#[derive(Debug)]
struct State {
    front: Front,
    is_closed: bool,
}

/// The place in front.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Front {
    Free,
    /// It is for one of those who sleep, and for nobody who comes now.
    Handed,
    Taken,
}

impl Line {
    pub(crate) fn new() -> Self {
        let state = State { front: Front::Free, is_closed: false };
        Line { state: Mutex::new(state), moved: Condvar::new(), length: AtomicUsize::new(0) }
    }

    /// Whether anybody waits.
    pub(crate) fn is_waited_in(&self) -> bool {
        // Relaxed: who comes into the line at this moment may as well come after it.
        self.length.load(Ordering::Relaxed) > 0
    }

    /// Waits for the place in front; `None` if that took until the deadline, or the line was closed.
    pub(crate) fn wait(&self, deadline: Deadline) -> Option<InFront<'_>> {
        let mut state = self.state.lock();
        self.length.fetch_add(1, Ordering::Relaxed);
        let mut is_mine = state.front == Front::Free;
        while !is_mine {
            if state.is_closed || deadline.has_passed() {
                self.length.fetch_sub(1, Ordering::Relaxed);
                return None;
            }
            state = wait(&self.moved, state, deadline.left());
            // Not before the sleep: who comes anew would take it from the one who is woken for it.
            is_mine = state.front == Front::Handed;
        }
        state.front = Front::Taken;
        Some(InFront { line: self })
    }

    /// Whoever sleeps is woken, and nobody sleeps here any more.
    pub(crate) fn close(&self) {
        self.state.lock().is_closed = true;
        self.moved.notify_all();
    }
}

/// The place in front, which goes to the next when this is dropped.
#[derive(Debug)]
pub(crate) struct InFront<'a> {
    line: &'a Line,
}

impl Drop for InFront<'_> {
    fn drop(&mut self) {
        let mut state = self.line.state.lock();
        let others = self.line.length.fetch_sub(1, Ordering::Relaxed) - 1;
        state.front = if others > 0 { Front::Handed } else { Front::Free };
        drop(state);
        self.line.moved.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    const NOW: Duration = Duration::ZERO;

    #[test]
    fn who_comes_anew_does_not_take_the_place_that_another_is_woken_for() {
        for _ in 0..100 {
            let line = Line::new();
            let front = line.wait(Deadline::after(NOW)).expect("nobody is there");
            let (leave, left) = channel::<()>();
            std::thread::scope(|scope| {
                let line = &line;
                let sleeper = scope.spawn(move || {
                    let front = line.wait(Deadline::after(Duration::MAX));
                    let _ = left.recv();
                    front.is_some()
                });
                while line.length.load(Ordering::Relaxed) < 2 {
                    std::thread::yield_now();
                }
                drop(front);
                let taken = line.wait(Deadline::after(NOW)).is_some();
                drop(leave);
                assert!(sleeper.join().unwrap() && !taken);
            });
            assert!(!line.is_waited_in());
            assert!(line.wait(Deadline::after(NOW)).is_some(), "it is free again");
        }
    }

    #[test]
    fn who_has_no_time_left_leaves_the_line() {
        let line = Line::new();
        let front = line.wait(Deadline::after(NOW)).unwrap();
        assert!(line.wait(Deadline::after(Duration::from_millis(1))).is_none());
        drop(front);
        assert!(!line.is_waited_in() && line.wait(Deadline::after(NOW)).is_some());
    }
}
