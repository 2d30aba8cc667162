//! The way of one record from a call into a ring: the hot one, and everything that can happen instead.

use std::time::Duration;

use crate::clock::Deadline;
use crate::engine::Engine;
use crate::level::Level;
use crate::os;
use crate::record::encode::Arguments;
use crate::ring::{Payload, Refused};
use crate::sync::{Arc, Ordering, nap, yield_now};

use super::place::{self, Access, Place, access, busy};

/// Arguments that are ready to be copied: user code has run.
pub(crate) struct Encoded<'a, A> {
    pub(crate) arguments: &'a A,
    /// What [`encoded`] formatted.
    pub(crate) scratch: &'a [u8],
}

#[expect(unsafe_code, reason = "passes an unsafe contract on")]
// SAFETY: `Arguments` vouches for `words` and `write`, and the scratch buffer is the one that they were formatted in.
unsafe impl<A: Arguments> Payload for Encoded<'_, A> {
    #[inline(always)]
    fn words(&self) -> usize {
        self.arguments.words()
    }

    #[inline(always)]
    unsafe fn write(&self, to: *mut u64) {
        // SAFETY: the caller vouches for `words` words.
        unsafe { self.arguments.write(self.scratch, to) };
    }

    fn write_cut(&self, into: &mut [u64]) -> usize {
        self.arguments.write_cut(self.scratch, into)
    }
}

/// Formats what cannot be deferred, then hands the arguments to `send`. All code of the user's runs before `send`.
#[inline(always)]
pub(crate) fn encoded<A: Arguments>(arguments: &mut A, send: impl FnOnce(&A, &[u8])) {
    if A::EAGER {
        let mut scratch = place::take_scratch();
        arguments.format(&mut scratch);
        send(arguments, &scratch);
        place::keep_scratch(scratch);
    } else {
        send(arguments, &[]);
    }
}

/// Sends to the process-wide engine. Returns the engine's state bits, what is not 0 being for [`attend_global`];
/// `None` if [`slowly`] has to send.
#[inline(always)]
pub(crate) fn to_global(id: u32, level: Level, payload: &impl Payload) -> Option<u32> {
    place::with_global(None, |ring| ring.push(id, level, payload).ok())
}

/// Sends to the process-wide engine if that takes no more than a pad, a loss record or the count of a loss; `false` if
/// [`slowly`] has to.
#[cold]
pub(crate) fn to_global_slowly(id: u32, level: Level, payload: &dyn Payload) -> bool {
    let placed = place::with_global(None, |ring| ring.push_or_drop(id, level, payload).ok());
    if let Some(bits) = placed.filter(|bits| *bits != 0) {
        attend_global(bits);
    }
    placed.is_some()
}

/// As [`to_global`], to the engine of this number. What is not 0 is for [`State::attend`](crate::wake::State::attend).
#[inline(always)]
pub(crate) fn to_instance(number: u64, id: u32, level: Level, payload: &impl Payload) -> Option<u32> {
    place::with_instance(number, None, |ring| ring.push(id, level, payload).ok())
}

/// The record is placed, and the engine's state word said `bits`.
#[cold]
#[inline(never)]
pub(crate) fn attend_global(bits: u32) {
    if let Some(shared) = place::shared_of_global() {
        shared.state.attend(bits);
    }
}

/// The cold way: registers the thread, writes pads and loss records, cuts, shares, waits, and counts what is lost.
#[cold]
#[inline(never)]
pub(crate) fn slowly(engine: &Arc<Engine>, place: Place, id: u32, level: Level, payload: &dyn Payload) {
    if !engine.core.origin.is_here() {
        return place::count_forked();
    }
    if engine.is_turning_here() {
        return echo(engine, id, level, payload);
    }
    let transport = &engine.core.transport;
    let mut waiting = None;
    let mut has_asked = false;
    loop {
        let placed = match access(place, engine.number, |ring| ring.push_or_drop(id, level, payload)) {
            Access::Used(placed) => placed,
            Access::Shared => match busy(|_| transport.push_shared(id, level, payload, os::thread_id())) {
                Some(placed) => placed,
                None => return place::count_nested(),
            },
            Access::Unregistered if !has_asked => {
                has_asked = true;
                place::register(place, engine);
                continue;
            }
            Access::Unregistered => Err(Refused::Closed),
            Access::Nested => return place::count_nested(),
        };
        match placed {
            Ok(0) => return,
            Ok(bits) => return transport.shared.state.attend(bits),
            Err(Refused::NoRoom) if waiting.get_or_insert_with(|| Waiting::new(engine, level)).step() => {}
            Err(refused) => return count_loss(engine, place, level, refused),
        }
    }
}

/// A call on the thread that takes a turn of this engine, from a handler, a format, a hook or an allocator. It is taken
/// unless an echo led to it: no recursion is deeper than one.
#[cold]
fn echo(engine: &Engine, id: u32, level: Level, payload: &dyn Payload) {
    let core = &engine.core;
    if core.echoing.load(Ordering::Relaxed) {
        return place::count_nested();
    }
    match busy(|_| core.transport.push_echo(id, level, payload, os::thread_id())) {
        Some(0) => {}
        Some(bits) => core.transport.shared.state.attend(bits),
        None => place::count_nested(),
    }
}

/// The record got no place: it gets its fate.
#[cold]
fn count_loss(engine: &Arc<Engine>, place: Place, level: Level, refused: Refused) {
    let transport = &engine.core.transport;
    let counted = access(place, engine.number, |ring| match refused {
        Refused::NoRoom => ring.drop_full(level),
        Refused::Closed => ring.refuse_late(level),
    });
    match counted {
        Access::Used(()) => {}
        Access::Shared | Access::Unregistered => {
            if busy(|_| transport.drop_shared(level, refused)).is_none() {
                place::count_nested();
            }
        }
        Access::Nested => place::count_nested(),
    }
}

/// A caller that waits for room. It holds nothing meanwhile.
struct Waiting {
    deadline: Deadline,
    steps: u32,
}

impl Waiting {
    /// Looks back to back before it gives its time slice away, and that often before it sleeps.
    const SPINS: u32 = 64;
    const YIELDS: u32 = 8;
    /// The longest nap; a stop releases the caller within it.
    const NAP_MAX: Duration = Duration::from_micros(200);

    fn new(engine: &Engine, level: Level) -> Self {
        let patience = engine.core.transport.shared.policies.at(level).patience();
        // Nobody else makes room for these.
        let must_not = patience.is_zero() || place::must_not_wait() || engine.must_not_wait_here();
        engine.core.transport.shared.state.wake();
        Waiting { deadline: Deadline::after(if must_not { Duration::ZERO } else { patience }), steps: 0 }
    }

    /// Waits a little; `false` if the deadline has passed.
    fn step(&mut self) -> bool {
        if self.deadline.has_passed() {
            return false;
        }
        self.steps = self.steps.saturating_add(1);
        if self.steps <= Self::SPINS {
            std::hint::spin_loop();
        } else if self.steps <= Self::SPINS + Self::YIELDS {
            yield_now();
        } else {
            nap(Self::NAP_MAX);
        }
        true
    }
}
