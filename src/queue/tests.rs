//! The queues that come with treering pass the suite, and each queue with one fault fails it, by that clause.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

use super::conformance::check;
use super::*;

#[test]
fn a_locked_queue_keeps_the_contract() {
    conformance::run(|| Locked::bounded(1 << 20));
}

#[test]
fn a_channel_keeps_the_contract() {
    conformance::run(|| Channel::bounded(64));
}

#[test]
fn the_least_that_can_be_tried_holds_twenty_frames() {
    conformance::run(|| Channel::bounded(20));
    assert_eq!(check(|| Channel::bounded(19)).unwrap_err().clause(), 2);
    conformance::run(|| Locked::bounded(20 * 1024));
}

#[test]
fn a_queue_that_is_never_full_keeps_the_contract() {
    conformance::run(|| Mutant { capacity: usize::MAX, ..Mutant::new(Fault::None) });
}

#[test]
fn shared_queues_and_trait_objects_keep_the_contract() {
    conformance::run(|| Arc::new(Locked::bounded(1 << 20)));
    conformance::run(|| -> Box<dyn Queue> { Box::new(Channel::bounded(1024)) });
}

/// What a queue does wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    None,
    CutsLongFrames,
    SkipsEmptyFrames,
    LastInFirstOut,
    SwapsPairs,
    DropsWhenFull,
    DropsOneInAThousand,
    DoublesOneInAThousand,
    TakesFullForClosed,
    TakesFullForFailed,
    BlocksWhenFull,
    WaitsForRoom,
    NeverEmptiesAgain,
    MiscountsWhatItGives,
    GivesNothingAtOnce,
    TakesATimeoutForAnEnd,
    FailsAtATimeout,
    ReturnsBeforeTheTime,
    WaitsBeyondTheDeadline,
    LosesTheNotification,
    Spins,
    IgnoresWakes,
    ForgetsEarlyWakes,
    TakesAWakeForAnEnd,
    LosesAFrameToAWake,
    ForgetsToClose,
    TakesOneMoreAfterTheClose,
    LosesWhatIsThereAtTheClose,
    NeverSaysClosed,
    SaysClosedOnce,
    WakesNobodyAtTheClose,
    WakesOneAtTheClose,
    BlocksForEver,
    Panics,
    LooksAtTheWakeFirst,
    WaitsBehindAnother,
    ReadsAndThenTakes,
    StoresWhatRacedWithTheClose,
    LeavesOneOutOfItsBacklog,
    ForgetsItsBacklogAtTheClose,
}

use Fault::*;

/// All faults, each with the clause that must find it.
const FAULTS: [(Fault, u32); 39] = [
    (CutsLongFrames, 1),
    (SkipsEmptyFrames, 1),
    (LastInFirstOut, 2),
    (SwapsPairs, 2),
    (DropsWhenFull, 3),
    (DropsOneInAThousand, 3),
    (DoublesOneInAThousand, 4),
    (TakesFullForClosed, 5),
    (TakesFullForFailed, 5),
    (BlocksWhenFull, 5),
    (WaitsForRoom, 5),
    (NeverEmptiesAgain, 5),
    (MiscountsWhatItGives, 6),
    (GivesNothingAtOnce, 6),
    (BlocksForEver, 6),
    (Panics, 6),
    (TakesATimeoutForAnEnd, 7),
    (FailsAtATimeout, 7),
    (ReturnsBeforeTheTime, 7),
    (WaitsBeyondTheDeadline, 7),
    (LosesTheNotification, 8),
    (Spins, 9),
    (IgnoresWakes, 10),
    (ForgetsEarlyWakes, 10),
    (TakesAWakeForAnEnd, 10),
    (LosesAFrameToAWake, 10),
    (ForgetsToClose, 11),
    (TakesOneMoreAfterTheClose, 11),
    (LosesWhatIsThereAtTheClose, 12),
    (NeverSaysClosed, 12),
    (SaysClosedOnce, 12),
    (WakesNobodyAtTheClose, 13),
    (WakesOneAtTheClose, 13),
    (LooksAtTheWakeFirst, 6),
    (WaitsBehindAnother, 7),
    (ReadsAndThenTakes, 4),
    (StoresWhatRacedWithTheClose, 3),
    (LeavesOneOutOfItsBacklog, 14),
    (ForgetsItsBacklogAtTheClose, 14),
];

/// A queue that is sound but for its fault.
struct Mutant {
    fault: Fault,
    capacity: usize,
    state: Mutex<State>,
    news: Condvar,
    turn: Mutex<()>,
}

#[derive(Default)]
struct State {
    frames: VecDeque<Vec<u8>>,
    taken: u64,
    closed: bool,
    was_full: bool,
    said_closed: bool,
    woken: bool,
    waiting: u32,
}

impl Mutant {
    fn new(fault: Fault) -> Self {
        Mutant { fault, capacity: 256, state: Mutex::default(), news: Condvar::new(), turn: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == fault
    }
}

impl Enqueue for Mutant {
    fn enqueue(&self, frame: &[u8]) -> Result<(), EnqueueError> {
        assert!(!self.has(Panics), "as it must");
        let mut state = self.lock();
        state.taken += 1;
        let takes_one_more = self.has(TakesOneMoreAfterTheClose) && state.frames.is_empty();
        if state.closed && !self.has(ForgetsToClose) && !takes_one_more {
            return Err(EnqueueError::Closed);
        }
        if self.has(StoresWhatRacedWithTheClose) {
            drop(state);
            std::thread::sleep(Duration::from_micros(50));
            state = self.lock();
        }
        if state.frames.len() >= self.capacity {
            state.was_full = true;
            match self.fault {
                DropsWhenFull => return Ok(()),
                TakesFullForClosed => return Err(EnqueueError::Closed),
                TakesFullForFailed => return Err(EnqueueError::failed("full")),
                WaitsForRoom => {
                    drop(self.news.wait_timeout(state, Duration::from_millis(50)).unwrap());
                    return Err(EnqueueError::Full);
                }
                BlocksWhenFull => {
                    drop(self.news.wait_while(state, |_| true).unwrap());
                    return Err(EnqueueError::Full);
                }
                _ => return Err(EnqueueError::Full),
            }
        }
        if state.was_full && self.has(NeverEmptiesAgain) {
            return Err(EnqueueError::Full);
        }
        let stored = match self.fault {
            CutsLongFrames => &frame[..frame.len().min(65_535)],
            SkipsEmptyFrames if frame.is_empty() => return Ok(()),
            DropsOneInAThousand if state.taken.is_multiple_of(1000) => return Ok(()),
            _ => frame,
        };
        if self.has(DoublesOneInAThousand) && state.taken.is_multiple_of(1000) {
            state.frames.push_back(stored.to_vec());
        }
        match self.fault {
            LastInFirstOut => state.frames.push_front(stored.to_vec()),
            SwapsPairs if state.frames.len() == 8 => state.frames.insert(7, stored.to_vec()),
            _ => state.frames.push_back(stored.to_vec()),
        }
        if !self.has(LosesTheNotification) {
            self.news.notify_one();
        }
        Ok(())
    }
}

impl Dequeue for Mutant {
    fn dequeue(&self, frames: &mut Frames, deadline: Deadline) -> Result<Dequeued, DequeueError> {
        let _turn = self.has(WaitsBehindAnother).then(|| self.turn.lock().unwrap());
        let mut state = self.lock();
        if self.has(LooksAtTheWakeFirst) && std::mem::take(&mut state.woken) {
            return Ok(Dequeued::Empty);
        }
        if self.has(BlocksForEver) {
            drop(self.news.wait_while(state, |_| true).unwrap());
            return Ok(Dequeued::Empty);
        }
        if self.has(GivesNothingAtOnce) && deadline.left().is_some_and(|left| left > Duration::from_secs(1)) {
            let deadline = Deadline::after(Duration::from_secs(6));
            while let Some(left) = deadline.left().filter(|_| !deadline.has_passed() && !state.closed) {
                state = self.news.wait_timeout(state, left).unwrap().0;
            }
        }
        while state.frames.is_empty() {
            if state.closed && !self.has(NeverSaysClosed) && !self.has(ForgetsToClose) {
                if state.said_closed && self.has(SaysClosedOnce) {
                    return Ok(Dequeued::Empty);
                }
                state.said_closed = true;
                return Ok(Dequeued::Closed);
            }
            if state.woken && !self.has(IgnoresWakes) {
                state.woken = false;
                return Ok(if self.has(TakesAWakeForAnEnd) { Dequeued::Closed } else { Dequeued::Empty });
            }
            if deadline.has_passed() {
                return match self.fault {
                    TakesATimeoutForAnEnd if state.taken > 0 => Ok(Dequeued::Closed),
                    FailsAtATimeout if state.taken > 1 => Err(DequeueError::new("timed out")),
                    _ => Ok(Dequeued::Empty),
                };
            }
            if self.has(Spins) {
                drop(state);
                state = self.lock();
                continue;
            }
            let left = deadline.left().unwrap_or(Duration::MAX);
            let left = match self.fault {
                ReturnsBeforeTheTime => return Ok(Dequeued::Empty),
                WaitsBeyondTheDeadline if left < Duration::from_secs(1) => Duration::from_secs(6),
                _ => left,
            };
            state.waiting += 1;
            state = self.news.wait_timeout(state, left).unwrap().0;
            state.waiting -= 1;
        }
        let before = frames.len();
        if self.has(ReadsAndThenTakes) {
            frames.push(&state.frames[0]);
            drop(state);
            std::thread::yield_now();
            self.lock().frames.pop_front();
            return Ok(Dequeued::Some(1));
        }
        while !frames.is_full()
            && let Some(frame) = state.frames.pop_front()
        {
            frames.push(&frame);
        }
        Ok(Dequeued::Some(frames.len() - before + usize::from(self.has(MiscountsWhatItGives))))
    }

    fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        match self.fault {
            LosesWhatIsThereAtTheClose => state.frames.clear(),
            WakesNobodyAtTheClose => return,
            WakesOneAtTheClose => return self.news.notify_one(),
            _ => {}
        }
        self.news.notify_all();
    }

    fn wake(&self) {
        let mut state = self.lock();
        if self.has(LosesAFrameToAWake) {
            state.frames.pop_front();
        }
        if !self.has(ForgetsEarlyWakes) || state.waiting > 0 {
            state.woken = true;
        }
        self.news.notify_one();
    }

    fn backlog(&self) -> Option<usize> {
        let state = self.lock();
        Some(match self.fault {
            LeavesOneOutOfItsBacklog => state.frames.len().saturating_sub(1),
            ForgetsItsBacklogAtTheClose if state.closed => 0,
            _ => state.frames.len(),
        })
    }
}

#[test]
fn every_fault_fails_the_suite_by_its_clause() {
    // Side by side: those that hang take as long as the suite has patience.
    let trials: Vec<_> = FAULTS
        .into_iter()
        .map(|(fault, clause)| {
            let trial = std::thread::spawn(move || {
                check(|| Mutant::new(fault)).map_err(|f| (f.clause(), f.to_string()))
            });
            (fault, clause, trial)
        })
        .collect();
    let mut unexpected = Vec::new();
    for (fault, clause, trial) in trials {
        match trial.join().unwrap() {
            Err((found, _)) if found == clause => {}
            Err((_, text)) => unexpected.push(format!("{fault:?}, not by {clause}: {text}")),
            Ok(()) => unexpected.push(format!("{fault:?} passed")),
        }
    }
    assert!(unexpected.is_empty(), "{}", unexpected.join("\n"));
}

#[test]
fn a_failure_says_the_clause_in_words_and_what_was_seen() {
    let failure = check(|| Mutant::new(LastInFirstOut)).unwrap_err();
    assert_eq!(
        failure.to_string(),
        "clause 2 of the queue contract does not hold: frames of one thread come out in order; \
         but frame 19 came out before frame 18"
    );
}

#[test]
fn a_sound_mutant_passes() {
    conformance::run(|| Mutant::new(Fault::None));
}
