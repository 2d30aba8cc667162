//! The engine's state word, and how a listener goes to sleep without missing a record; below it [`Room`], the other
//! direction: how a caller sleeps that waits for room; and [`Wakes`], of who sleeps in a channel.
//!
//! ```text
//!  producer                              listener
//!  1  commit: tail.store(Release)        1  state |= PARKED          read-modify-write
//!  2  light fence (compiler only)        2  heavy fence (membarrier)
//!  3  state.load(Relaxed)                3  registry and all tails, afresh
//!  4  any bit: attend (cold)             4  all empty: futex_wait(state, while PARKED)
//! ```
//! Either the producer's 3 sees PARKED and wakes the listener, or the producer's 1 is visible to the listener's 3:
//! the membarrier runs a full barrier on every thread of the process between the listener's 1 and 3, so a producer
//! that had not yet executed its 3 by then executes it after the listener's 1.
//!
//! Where membarrier is missing or forbidden the listener sets NEEDS_FENCE. Producers that see it fence for
//! themselves. One that had read the word before may still be on its way, so in the round that set the bit the
//! listener naps instead of parking.
//!
//! All bits are changed by read-modify-write. A plain store of PARKED could erase a CLOSED that was set meanwhile,
//! and the listener would sleep through its own stop.
//!
//! Loom knows neither compiler fences nor membarrier: under it both fences are `fence(SeqCst)`. What the models
//! prove is the protocol with those, see docs/memory-ordering.md.

use std::time::Duration;

use crate::clock::Deadline;
use crate::sync::{AtomicBool, AtomicU32, Futex, Ordering, fence, ordering};

/// The listener sleeps, or is about to: who commits a record must wake it.
const PARKED: u32 = 1;
/// The engine takes no more records.
const CLOSED: u32 = 2;
/// There is no membarrier: producers must fence between their commit and their look at this word.
const NEEDS_FENCE: u32 = 4;

/// The word. One for each engine, in a cache line of its own: read twice by every call, written rarely.
#[derive(Debug)]
pub(crate) struct State {
    word: Futex,
    /// NEEDS_FENCE was set, before anyone logged.
    #[cfg(treering_loom)]
    needs_fence: crate::sync::Unseen,
}

impl State {
    pub(crate) fn new() -> Self {
        State {
            word: Futex::new(0),
            #[cfg(treering_loom)]
            needs_fence: crate::sync::Unseen::default(),
        }
    }

    // ---- the producer's side

    /// Before space is reserved: whether the engine takes no more records.
    #[inline(always)]
    pub(crate) fn is_closed(&self) -> bool {
        // Relaxed: a record that slips through is late by position, see `transport`.
        self.word.word().load(Ordering::Relaxed) & CLOSED != 0
    }

    /// After the commit: 0, or bits that [`attend`](Self::attend) deals with.
    #[inline(always)]
    pub(crate) fn after_commit(&self) -> u32 {
        self.light_fence();
        self.word.word().load(Ordering::Relaxed)
    }

    /// The producer's cold path after a commit that saw `bits`.
    #[cold]
    pub(crate) fn attend(&self, mut bits: u32) {
        if bits & NEEDS_FENCE != 0 {
            #[cfg(not(treering_mutant = "attend_without_fence"))]
            fence(Ordering::SeqCst);
            bits = self.word.word().load(Ordering::Relaxed);
        }
        if bits & PARKED != 0 {
            self.wake();
        }
    }

    /// The producer's half: orders nothing by itself, but keeps the compiler from moving the load before the store.
    #[inline(always)]
    fn light_fence(&self) {
        #[cfg(not(treering_loom))]
        crate::sync::compiler_fence(Ordering::SeqCst);
        // With a membarrier on the other side it is worth a fence. Without one it is worth nothing.
        #[cfg(all(treering_loom, not(treering_mutant = "no_light_fence")))]
        if !self.needs_fence.is_set() {
            fence(Ordering::SeqCst);
        }
    }

    // ---- anyone

    /// Wakes the listener if it sleeps or is about to. What the caller wrote before is visible to the listener
    /// when it looks again.
    pub(crate) fn wake(&self) {
        let before = self.word.word().fetch_and(!PARKED, ordering!(Release, unless "relaxed_wake"));
        if before & PARKED != 0 {
            self.word.wake();
        }
    }

    /// The engine takes no more records from now on. Wakes the listener.
    pub(crate) fn close(&self) {
        self.word.word().fetch_or(CLOSED, Ordering::Release);
        self.wake();
    }

    // ---- the listener's side

    /// Announces that the listener is about to sleep. It must look at everything again, behind a heavy fence,
    /// before it calls [`park`](Self::park), and [`unpark`](Self::unpark) if it found something.
    pub(crate) fn announce_park(&self) {
        #[cfg(not(treering_mutant = "park_by_store"))]
        self.word.word().fetch_or(PARKED, Ordering::Acquire);
        #[cfg(treering_mutant = "park_by_store")]
        self.word.word().store(PARKED, Ordering::Release);
    }

    /// Sleeps until someone wakes the listener, or until `timeout` has passed.
    pub(crate) fn park(&self, timeout: Option<Duration>) {
        let word = self.word.word().load(Ordering::Relaxed);
        if word & PARKED != 0 {
            self.word.wait(word, timeout);
        }
        self.unpark();
    }

    /// The listener is awake.
    pub(crate) fn unpark(&self) {
        self.word.word().fetch_and(!PARKED, Ordering::Relaxed);
    }

    /// Whether who commits would wake the listener.
    #[cfg(any(test, treering_loom))]
    pub(crate) fn is_parked(&self) -> bool {
        self.word.word().load(Ordering::Relaxed) & PARKED != 0
    }

    /// Makes every producer fence for itself from its next look at the word on.
    pub(crate) fn require_fences(&self) {
        self.word.word().fetch_or(NEEDS_FENCE, Ordering::Relaxed);
        #[cfg(treering_loom)]
        self.needs_fence.set();
    }
}

/// Where callers sleep that wait for room in one ring, and how they are woken.
///
/// ```text
///  caller                                listener
///  1  waiters += 1, fence                1  room: head.store(Release)
///  2  epoch.load                         2  fence
///  3  look for room                      3  waiters > 0: epoch += 1, wake all
///  4  none: futex_wait(epoch, as in 2)
/// ```
/// By the fences the caller's 3 sees the room, or the listener's 3 sees the caller; and if the epoch changes after 2,
/// 4 does not sleep, or is woken. A stop closes the state word, which is what 3 looks at first, and then changes every epoch.
#[derive(Debug)]
pub(crate) struct Room {
    /// Changes when there may be room, or nothing to wait for any more.
    epoch: Futex,
    waiters: AtomicU32,
    /// Without a policy that waits, the listener need not fence.
    may_be_awaited: bool,
}

impl Room {
    /// Looks back to back before it sleeps. None under loom, where each is a branch more.
    #[cfg(not(treering_loom))]
    const SPINS: u32 = 64;
    /// The longest sleep. No wake-up is lost; if one were, this is what it would cost.
    const SLEEP_MAX: Duration = Duration::from_millis(500);

    pub(crate) fn new(may_be_awaited: bool) -> Self {
        Room { epoch: Futex::new(0), waiters: AtomicU32::new(0), may_be_awaited }
    }

    /// Calls `attempt` until it gives something, and sleeps in between. `None` if the deadline passes first.
    pub(crate) fn wait<R>(&self, deadline: Deadline, mut attempt: impl FnMut() -> Option<R>) -> Option<R> {
        #[cfg(not(treering_loom))]
        for _ in 0..Self::SPINS {
            if let Some(found) = attempt() {
                return Some(found);
            }
            std::hint::spin_loop();
        }
        let _waiting = Waiting::new(self);
        loop {
            // Acquire: what was done before the epoch was changed is seen by the attempt.
            #[cfg(not(treering_mutant = "epoch_after_attempt"))]
            let epoch = self.epoch.word().load(Ordering::Acquire);
            if let Some(found) = attempt() {
                return Some(found);
            }
            #[cfg(treering_mutant = "epoch_after_attempt")]
            let epoch = self.epoch.word().load(Ordering::Acquire);
            let left = deadline.left().unwrap_or(Self::SLEEP_MAX);
            if left.is_zero() {
                return None;
            }
            self.epoch.wait(epoch, Some(left.min(Self::SLEEP_MAX)));
        }
    }

    /// Whether who makes room would wake somebody.
    #[cfg(treering_loom)]
    pub(crate) fn is_awaited(&self) -> bool {
        self.waiters.load(Ordering::Relaxed) > 0
    }

    /// The listener has made room.
    #[inline]
    pub(crate) fn announce(&self) {
        if self.may_be_awaited {
            #[cfg(not(treering_mutant = "no_room_fence"))]
            fence(Ordering::SeqCst);
            if self.waiters.load(Ordering::Relaxed) > 0 {
                self.wake_all();
            }
        }
    }

    /// Wakes all who wait, for they need not any more, or may find room.
    #[cold]
    pub(crate) fn wake_all(&self) {
        #[cfg(not(treering_mutant = "epoch_by_store"))]
        self.epoch.word().fetch_add(1, ordering!(Release, unless "relaxed_epoch"));
        #[cfg(treering_mutant = "epoch_by_store")]
        self.epoch.word().store(self.epoch.word().load(Ordering::Relaxed) + 1, Ordering::Release);
        self.epoch.wake();
    }
}

/// One waiter more, as long as this lives.
struct Waiting<'a>(&'a Room);

impl<'a> Waiting<'a> {
    fn new(room: &'a Room) -> Self {
        #[cfg(not(treering_mutant = "waiters_by_store"))]
        room.waiters.fetch_add(1, Ordering::Relaxed);
        #[cfg(treering_mutant = "waiters_by_store")]
        room.waiters.store(room.waiters.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        #[cfg(not(treering_mutant = "no_waiting_fence"))]
        fence(Ordering::SeqCst);
        Waiting(room)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiters.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Wakes of who sleeps in a channel, which are messages: one more is sent only if no other is meant to be found.
///
/// ```text
///  who wakes                             who sleeps
///  1  what shall be seen is written      1  nothing in the channel
///  2  wanted: swap(true); it was: done   2  wanted: swap(false); it was: that was a wake
///  3  a message                          3  sleeps until there is a message, which may be old: 1
/// ```
/// Whoever finds `wanted` set leaves it to who set it, whose message ends a sleep that began before its 2; and the sleeper's
/// 2, which takes both back, reads the last of them, and so sees what each has written.
#[derive(Debug)]
pub(crate) struct Wakes {
    wanted: AtomicBool,
}

impl Wakes {
    pub(crate) fn new() -> Self {
        Wakes { wanted: AtomicBool::new(false) }
    }

    /// A wake is wanted; whether a message has to be sent.
    pub(crate) fn ask(&self) -> bool {
        !self.wanted.swap(true, ordering!(Release, unless "relaxed_wakes"))
    }

    /// Whether a wake was wanted; now it is not any more.
    pub(crate) fn take(&self) -> bool {
        self.wanted.swap(false, Ordering::Acquire)
    }
}

/// The listener's half of the asymmetric fence.
#[derive(Debug)]
pub(crate) struct HeavyFence {
    means: Means,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Means {
    /// Membarrier, which this process has not registered for yet.
    Unregistered,
    /// Membarrier.
    Membarrier,
    /// The producers fence for themselves.
    Producers,
}

impl HeavyFence {
    pub(crate) fn new() -> Self {
        HeavyFence { means: Means::Unregistered }
    }

    /// For listeners that park at once and often: no membarrier, the producers fence from the start.
    pub(crate) fn by_producers(state: &State) -> Self {
        state.require_fences();
        HeavyFence { means: Means::Producers }
    }

    /// Orders everything before it against every producer's commit and look at the state word.
    ///
    /// Returns false if the means had to be changed just now: producers that looked at the word before are not
    /// ordered, and the caller must not sleep without an end in this round.
    #[must_use]
    pub(crate) fn fence(&mut self, state: &State) -> bool {
        if self.means == Means::Unregistered && register().is_ok() {
            self.means = Means::Membarrier;
        }
        if self.means == Means::Membarrier
            && (cfg!(treering_mutant = "no_heavy_fence") || membarrier().is_ok())
        {
            return true;
        }
        let known = self.means == Means::Producers;
        if !known {
            self.means = Means::Producers;
            state.require_fences();
        }
        fence(Ordering::SeqCst);
        known
    }
}

#[cfg(not(treering_loom))]
use crate::os::{membarrier, membarrier_register as register};

#[cfg(treering_loom)]
fn register() -> Result<(), ()> {
    Ok(())
}

#[cfg(treering_loom)]
fn membarrier() -> Result<(), ()> {
    fence(Ordering::SeqCst);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU64};
    use std::time::Instant;

    use crossbeam_utils::CachePadded;

    use super::*;

    /// What no model sees: their sleeps have no end.
    #[test]
    fn a_listener_whose_sleep_timed_out_is_not_woken_in_vain() {
        let state = State::new();
        state.announce_park();
        assert!(state.is_parked());
        state.park(Some(Duration::from_millis(1)));
        assert!(!state.is_parked());
    }

    const ROUNDS: u64 = 200_000;
    const SECONDS_MAX: u64 = 2;

    /// What loom cannot see: the compiler's fence and the membarrier, on this machine. A record that the listener did not
    /// see behind its fence is one whose producer sees the listener parked.
    #[test]
    fn a_record_that_a_parked_listener_missed_was_committed_by_who_sees_it_parked() {
        if register().is_err() {
            return; // then there is no such fence, and the models have what there is instead
        }
        let state = State::new();
        let [tail, unseen, done] = <[CachePadded<AtomicU64>; 3]>::default();
        let is_over = AtomicBool::new(false);
        let (rounds, lost) = std::thread::scope(|scope| {
            scope.spawn(|| {
                for record in 1.. {
                    tail.store(record, Ordering::Release);
                    if state.after_commit() & PARKED == 0 {
                        unseen.store(record, Ordering::Relaxed);
                    }
                    done.store(record, Ordering::Release);
                    if is_over.load(Ordering::Relaxed) {
                        return;
                    }
                }
            });
            let mut heavy = HeavyFence::new();
            let (mut rounds, mut lost) = (0, 0);
            let begin = Instant::now();
            while rounds < ROUNDS && begin.elapsed().as_secs() < SECONDS_MAX {
                state.announce_park();
                assert!(heavy.fence(&state));
                let seen = tail.load(Ordering::Acquire);
                while done.load(Ordering::Acquire) <= seen {
                    std::hint::spin_loop();
                }
                lost += u64::from(unseen.load(Ordering::Relaxed) > seen);
                state.unpark();
                rounds += 1;
            }
            is_over.store(true, Ordering::Relaxed);
            (rounds, lost)
        });
        assert_eq!(lost, 0, "of {rounds} rounds");
    }
}
