//! The way of one record from a call into a ring: the hot one, and everything that can happen instead.

use std::time::Duration;

use crate::callsite::{DICTIONARY, Metadata};
use crate::clock::{self, Deadline};
use crate::engine::Engine;
use crate::fault::{Faults, guarded};
use crate::level::Level;
use crate::os;
use crate::overflow::{Choice, Custom, Decision, Full, Reason};
use crate::record::encode::Arguments;
use crate::record::encode::made::Made;
use crate::record::scope::Says;
use crate::ring::{HEADER_WORDS, Payload, Producer, Pushed, Refused};
use crate::sync::Arc;
use crate::wake::Room;

use super::context;
use super::outlet;
use super::place::{self, Access, Place, Within, access, busy};

/// The shortest wait that a policy of the user's can ask for: one that always says zero would spin.
const PATIENCE_MIN: Duration = Duration::from_micros(100);

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

#[expect(unsafe_code, reason = "passes an unsafe contract on")]
// SAFETY: copies what was made before.
unsafe impl Payload for Made {
    #[inline]
    fn words(&self) -> usize {
        self.len_words()
    }

    #[inline]
    unsafe fn write(&self, to: *mut u64) {
        // SAFETY: the caller vouches for `words` words.
        unsafe { self.write(to) };
    }

    fn write_cut(&self, into: &mut [u64]) -> usize {
        self.write_cut(into)
    }

    #[inline]
    fn span_words(&self) -> usize {
        self.span_words()
    }

    #[inline]
    fn is_urgent(&self) -> bool {
        self.is_of_a_span()
    }
}

/// Arguments of a record that was logged in a context, behind the context's number.
pub(crate) struct Scoped<'a, P: ?Sized> {
    payload: &'a P,
    word: u64,
}

impl<'a, P: ?Sized> Scoped<'a, P> {
    #[inline(always)]
    pub(crate) fn new(payload: &'a P, number: u64) -> Self {
        let ([word, _], _) = Says::In(number).words();
        Scoped { payload, word }
    }
}

#[expect(unsafe_code, reason = "passes an unsafe contract on")]
// SAFETY: one word, and then what the payload vouches for.
unsafe impl<P: Payload + ?Sized> Payload for Scoped<'_, P> {
    #[inline(always)]
    fn words(&self) -> usize {
        self.payload.words().saturating_add(1)
    }

    #[inline(always)]
    unsafe fn write(&self, to: *mut u64) {
        // SAFETY: the caller vouches for `words` words, of which there is at least one.
        unsafe { to.write(self.word) };
        // SAFETY: as above.
        let behind = unsafe { to.add(1) };
        // SAFETY: the caller vouches for as many behind it as the payload has.
        unsafe { self.payload.write(behind) };
    }

    fn write_cut(&self, into: &mut [u64]) -> usize {
        let Some((first, rest)) = into.split_first_mut() else { return 0 };
        *first = self.word;
        1 + self.payload.write_cut(rest)
    }

    #[inline(always)]
    fn span_words(&self) -> usize {
        1
    }
}

/// A record that opens or closes a context, as it will lie in a ring.
pub(crate) struct OfContext<'a> {
    pub(crate) words: &'a [u64],
    /// How many of them say of which context, before its fields.
    pub(crate) span_words: usize,
    pub(crate) is_cut: bool,
}

#[expect(unsafe_code, reason = "copies words to a place")]
// SAFETY: copies the words that there are.
unsafe impl Payload for OfContext<'_> {
    fn words(&self) -> usize {
        self.words.len()
    }

    unsafe fn write(&self, to: *mut u64) {
        // SAFETY: the caller vouches for `words` words; a ring and the slice do not overlap.
        unsafe { to.copy_from_nonoverlapping(self.words.as_ptr(), self.words.len()) };
    }

    fn write_cut(&self, into: &mut [u64]) -> usize {
        let words = self.words.len().min(into.len());
        into[..words].copy_from_slice(&self.words[..words]);
        words
    }

    fn span_words(&self) -> usize {
        self.span_words
    }

    fn is_urgent(&self) -> bool {
        true
    }

    fn is_cut(&self) -> bool {
        self.is_cut
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

/// Sends to the process-wide engine if that takes no more than a pad, a loss record or the count of a loss: whether the
/// record is placed. `None` if [`slowly`] has to send.
#[cold]
pub(crate) fn to_global_slowly(id: u32, level: Level, payload: &dyn Payload) -> Option<bool> {
    match place::with_home(None, |ring| ring.push_or_drop(id, level, payload, None).ok())? {
        Pushed::Placed(0) => {}
        Pushed::Placed(bits) => attend_global(bits),
        Pushed::Dropped => return Some(false),
    }
    Some(true)
}

/// As [`to_global`], in a context, if the engine was told of it.
#[inline(always)]
pub(crate) fn to_global_in_context<P: Payload + ?Sized>(
    within: Within,
    id: u32,
    level: Level,
    payload: &P,
) -> Option<u32> {
    let scoped = Scoped::new(payload, within.number);
    place::with_scoped(within.told, None, |ring| ring.push(id, level, &scoped).ok())
}

/// As [`to_global`], to the engine of this number. What is not 0 is for [`State::attend`](crate::wake::State::attend).
/// `None` also if a context may have to be said, for [`to_instance_slowly`].
#[inline(always)]
pub(crate) fn to_instance(number: u64, id: u32, level: Level, payload: &impl Payload) -> Option<u32> {
    if context::is_in_one_of_instances() {
        return None;
    }
    place::with_instance(number, None, |ring| ring.push(id, level, payload).ok())
}

/// Sends to an engine that the call names, in the context of that engine that the thread is in, if it is in one. Returns
/// whether the record is placed.
#[cold]
#[inline(never)]
pub(crate) fn to_instance_slowly(engine: &Arc<Engine>, id: u32, level: Level, payload: &dyn Payload) -> bool {
    match context::of_instance(engine) {
        Some(number) if payload.span_words() == 0 => {
            let scoped = Scoped::new(payload, number);
            match place::with_instance(engine.number, None, |ring| ring.push(id, level, &scoped).ok()) {
                Some(bits) => attend(engine, Pushed::Placed(bits)),
                None => slowly(engine, Place::Instance, id, level, &scoped),
            }
        }
        _ => slowly(engine, Place::Instance, id, level, payload),
    }
}

/// The record is placed, and the engine's state word said `bits`.
#[cold]
#[inline(never)]
pub(crate) fn attend_global(bits: u32) {
    if let Some(shared) = place::shared_of_global() {
        shared.state.attend(bits);
    }
}

/// The cold way: registers the thread, writes pads and loss records, cuts, shares, waits, and counts what is lost. Returns
/// whether the record is placed.
#[cold]
#[inline(never)]
pub(crate) fn slowly(
    engine: &Arc<Engine>,
    place: Place,
    id: u32,
    level: Level,
    payload: &dyn Payload,
) -> bool {
    if !engine.core.origin.is_here() {
        place::count_forked();
        return false;
    }
    if let Some(outlet) = &engine.outlet {
        return outlet::send(engine, outlet, id, level, payload);
    }
    if let Some(is_answer) = engine.echo_here() {
        return echo(engine, is_answer, id, level, payload);
    }
    let call = Call { engine, place, id, level, payload };
    let placed = match call.attempt() {
        Err(Refused::NoRoom) => call.wait_for_room(),
        Err(Refused::Closed) => Err(Lost::Late),
        Ok(placed) => Ok(placed),
    };
    match placed {
        Ok(Some(pushed)) => return attend(engine, pushed),
        Ok(None) => place::count_nested(),
        Err(lost) => call.count_loss(lost),
    }
    false
}

/// Attends to what the state word said. Returns whether the record is placed.
fn attend(engine: &Engine, pushed: Pushed) -> bool {
    match pushed {
        Pushed::Placed(0) => {}
        Pushed::Placed(bits) => engine.core.transport.shared.state.attend(bits),
        Pushed::Dropped => return false,
    }
    true
}

/// A call on a thread that takes a turn of this engine, or is a lane of it, from a handler, a format, a hook or an
/// allocator. It is taken unless an echo led to it: no recursion is deeper than one.
#[cold]
fn echo(engine: &Engine, is_answer: bool, id: u32, level: Level, payload: &dyn Payload) -> bool {
    let core = &engine.core;
    if !is_answer
        && let Some(pushed) = busy(|_| core.transport.push_echo(id, level, payload, os::thread_id()))
    {
        return attend(engine, pushed);
    }
    place::count_nested();
    false
}

/// What a call does that found no room: `wait`, which gives `None` if there was none in that time, or nothing, or what a policy
/// of the user's says, which sees the callsite, the size of the record, and what is free and all.
pub(super) fn by_policy<T>(
    choice: &Choice,
    faults: &Faults,
    wait: impl Fn(Duration) -> Option<Result<T, Lost>>,
    asked_for: impl Fn() -> Option<(&'static Metadata<'static>, usize, (usize, usize))>,
) -> Result<T, Lost> {
    match choice {
        Choice::Block(patience) => wait(*patience).unwrap_or(Err(Lost::Dropped(Reason::Full))),
        Choice::Custom(policy) => {
            let since = clock::now();
            loop {
                let waited = clock::now() - since;
                let Some((metadata, bytes, (free, capacity))) = asked_for() else {
                    return Err(Lost::Dropped(Reason::Policy));
                };
                match ask(policy, &Full { metadata, bytes, free, capacity, waited }, faults) {
                    Decision::Drop => return Err(Lost::Dropped(Reason::Policy)),
                    Decision::Wait(patience) => {
                        if let Some(placed) = wait(patience.max(PATIENCE_MIN)) {
                            return placed;
                        }
                    }
                }
            }
        }
        Choice::DropNewest | Choice::DropOldest | Choice::Sample(_) => Err(Lost::Dropped(Reason::Full)),
    }
}

/// Asks the user's policy, which may log, or panic.
fn ask(policy: &Custom, full: &Full<'_>, faults: &Faults) -> Decision {
    let _asking = place::Asking::here();
    guarded(|| policy.decide(full)).unwrap_or_else(|panic| {
        faults.report(format_args!("the overflow policy panicked: {panic}"));
        Decision::Drop
    })
}

/// A call on its cold way. It holds nothing between two looks at its ring.
#[derive(Clone, Copy)]
struct Call<'a> {
    engine: &'a Arc<Engine>,
    place: Place,
    id: u32,
    level: Level,
    payload: &'a dyn Payload,
}

/// Why a record got no place, when all was tried.
#[derive(Clone, Copy)]
pub(super) enum Lost {
    Dropped(Reason),
    Late,
}

impl Call<'_> {
    /// Looks for a place once, and for a ring if the thread has none. `None` if the call interrupts another one of its own
    /// thread.
    fn attempt(&self) -> Result<Option<Pushed>, Refused> {
        let Call { engine, place, id, level, payload } = *self;
        let push = |ring: &mut Producer| ring.push_or_drop(id, level, payload, None);
        let mut access = access(place, engine.number, push);
        if let Access::Unregistered = access {
            place::register(place, engine);
            access = place::access(place, engine.number, push);
        }
        let transport = &engine.core.transport;
        match access {
            Access::Used(placed) => placed.map(Some),
            Access::Shared => {
                busy(|_| transport.push_shared(id, level, payload, os::thread_id())).transpose()
            }
            Access::Unregistered => Err(Refused::Closed),
            Access::Nested => Ok(None),
        }
    }

    /// The ring was full, and the policy lets the caller wait, or has to be asked.
    fn wait_for_room(&self) -> Result<Option<Pushed>, Lost> {
        let shared = &self.engine.core.transport.shared;
        if place::must_not_wait() || self.engine.must_not_wait_here() {
            return Err(Lost::Dropped(Reason::Full));
        }
        let Some(room) = self.look_at_ring(|ring| ring.room().clone()) else {
            return Err(Lost::Dropped(Reason::Full));
        };
        shared.state.wake();
        let asked_for = || {
            let metadata = busy(|_| DICTIONARY.entry(self.id)).flatten()?.metadata;
            let bytes = (self.payload.words() + HEADER_WORDS) * 8;
            let (free, capacity) = self.look_at_ring(|ring| ring.free_and_capacity()).unwrap_or_default();
            Some((metadata, bytes, (free * 8, capacity * 8)))
        };
        let choice = shared.policies.at(self.level).choice();
        by_policy(choice, &self.engine.core.faults, |patience| self.wait(&room, patience), asked_for)
    }

    /// Tries again and again until the deadline; `None` if there was no room.
    fn wait(&self, room: &Room, patience: Duration) -> Option<Result<Option<Pushed>, Lost>> {
        room.wait(Deadline::after(patience), || match self.attempt() {
            Err(Refused::NoRoom) => None,
            Err(Refused::Closed) => Some(Err(Lost::Late)),
            Ok(placed) => Some(Ok(placed)),
        })
    }

    /// Looks at the ring that the call would use; `None` if there is none.
    fn look_at_ring<R>(&self, look: impl Fn(&mut Producer) -> R) -> Option<R> {
        match access(self.place, self.engine.number, &look) {
            Access::Used(seen) => Some(seen),
            Access::Shared => busy(|_| self.engine.core.transport.with_shared(&look)).flatten(),
            Access::Unregistered | Access::Nested => None,
        }
    }

    /// The record got no place: it gets its fate.
    #[cold]
    fn count_loss(&self, lost: Lost) {
        let count = |ring: &mut Producer| match lost {
            Lost::Dropped(reason) => ring.count_drop(self.level, reason),
            Lost::Late => ring.refuse_late(self.level),
        };
        let transport = &self.engine.core.transport;
        let counted = match access(self.place, self.engine.number, count) {
            Access::Used(()) => Some(()),
            Access::Shared | Access::Unregistered => busy(|_| {
                if transport.with_shared(count).is_none() {
                    transport.outside.late.add_one_shared(self.level);
                }
            }),
            Access::Nested => None,
        };
        if counted.is_none() {
            place::count_nested();
        }
    }
}
