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
    use crate::sync::Arc;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::Duration;

    const NOW: Duration = Duration::ZERO;
    /// Who sleeps longer is not woken at all.
    const SOON: Duration = Duration::from_secs(10);

    /// A thread that waits in the line without an end. It says whether it had the place in front, and leaves it when the sender
    /// is dropped. As it may never be woken, nobody waits for it without an end.
    fn sleeper(line: &Arc<Line>) -> (Sender<()>, Receiver<bool>) {
        let before = line.length.load(Ordering::Relaxed);
        let ((leave, left), (say, said)) = (channel::<()>(), channel());
        let own = line.clone();
        std::thread::spawn(move || {
            let front = own.wait(Deadline::after(Duration::MAX));
            let _ = say.send(front.is_some());
            let _ = left.recv();
        });
        while line.length.load(Ordering::Relaxed) == before {
            std::thread::yield_now();
        }
        (leave, said)
    }

    #[track_caller]
    fn had_front(said: &Receiver<bool>) -> bool {
        said.recv_timeout(SOON).expect("who sleeps in the line was not woken")
    }

    #[test]
    fn who_comes_anew_does_not_take_the_place_that_another_is_woken_for() {
        for _ in 0..100 {
            let line = Arc::new(Line::new());
            let front = line.wait(Deadline::after(NOW)).expect("nobody is there");
            let (leave, said) = sleeper(&line);
            drop(front);
            let taken = line.wait(Deadline::after(NOW)).is_some();
            assert!(had_front(&said) && !taken);
            drop(leave);
            assert!(line.wait(Deadline::after(SOON)).is_some(), "it is free again");
            assert!(!line.is_waited_in());
        }
    }

    #[test]
    fn those_who_sleep_come_to_the_front_one_after_the_other() {
        let line = Arc::new(Line::new());
        let front = line.wait(Deadline::after(NOW)).expect("nobody is there");
        let (leave, said): (Vec<_>, Vec<_>) = (0..3).map(|_| sleeper(&line)).unzip();
        assert!(said.iter().all(|said| said.try_recv().is_err()), "there is one in front");
        drop((front, leave));
        assert!(said.iter().all(had_front));
    }

    #[test]
    fn a_close_wakes_who_sleeps_though_the_one_in_front_stays() {
        let line = Arc::new(Line::new());
        let _front = line.wait(Deadline::after(NOW)).expect("nobody is there");
        let sleepers = [sleeper(&line), sleeper(&line)];
        line.close();
        for (_, said) in &sleepers {
            assert!(!had_front(said), "there was one place in front");
        }
        assert!(line.wait(Deadline::after(SOON)).is_none(), "nobody sleeps here any more");
    }

    #[test]
    fn who_has_no_time_left_leaves_the_line() {
        let line = Line::new();
        let front = line.wait(Deadline::after(NOW)).unwrap();
        assert!(line.is_waited_in());
        assert!(line.wait(Deadline::after(Duration::from_millis(1))).is_none());
        drop(front);
        assert!(!line.is_waited_in() && line.wait(Deadline::after(NOW)).is_some());
    }
}
