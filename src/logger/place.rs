//! A thread's rings, and what it means when one is not at its place.
//!
//! The hot thread-local is a [`Slot`]: a const cell without `Drop`, readable in every destructor of the thread, that
//! a call empties from reserve to commit. A second const cell, the [`Mode`], written in cold paths only, says what
//! an empty slot means. A third thread-local, with `Drop`, hands the rings back when the thread ends.
//!
//! While the thread is in a context the process-wide engine's ring is at another place: the hot one is empty, and its calls
//! go the cold way, which says the context's number with each record. All that is said of the one place holds of the other.
//!
//! Cold paths work [`busy`]: the slots are empty meanwhile and the mode says so. A signal handler or an allocator
//! that logs there, or while the thread holds any lock of ours, is counted as nested; it cannot meet a lock that its
//! own thread holds.

use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::sync::Weak;

use crate::engine::Engine;
use crate::limit;
use crate::origin::Origin;
use crate::os;
use crate::outlet;
use crate::record::Thread;
use crate::ring::{Producer, Shared, Slot};
use crate::stats::Report;
use crate::sync::{Arc, AtomicU64, Ordering, holds_a_lock};
use crate::transport::NoRing;

thread_local! {
    /// The ring of the process-wide engine: the hot one.
    static GLOBAL: Slot<Lent<Producer>> = const { Slot::new() };
    /// Its place while the thread is in a context, see [`home`].
    static SCOPED: Slot<Lent<Producer>> = const { Slot::new() };
    /// The context that calls without `logger:` are in.
    static CONTEXT: Cell<Option<Within>> = const { Cell::new(None) };
    /// The rings of engines that calls name by `logger:`; emptied by a call like the hot one. Also the leave to share
    /// the process-wide engine's ring: the hot way would have to look for it.
    static INSTANCES: Slot<Vec<Lent>> = const { Slot::new() };
    static MODE: Cell<Mode> = const { Cell::new(Mode::Fresh) };
    /// Whether a policy of the user's is being asked.
    static ASKING: Cell<bool> = const { Cell::new(false) };
    static OWNER: Owner = const { Owner };
    /// Where arguments that cannot be deferred are formatted. A call takes it out, so that a `Display` that logs finds
    /// none and makes its own. Without a destructor, as registering one allocates: [`Owner`] frees it.
    static SCRATCH: Cell<ManuallyDrop<Vec<u8>>> = const { Cell::new(ManuallyDrop::new(Vec::new())) };
}

/// A larger scratch buffer is freed after its call: one long message must not cost the thread its memory for ever.
const SCRATCH_KEPT_MAX: usize = 16 * 1024;

/// Log calls, in the whole process, that interrupted a call of their own thread.
static NESTED: AtomicU64 = AtomicU64::new(0);
/// Log calls in a child of `fork`, to engines of its parent.
static FORKED: AtomicU64 = AtomicU64::new(0);

/// Records of other front ends whose places found no room in a table.
static UNINTERNED: AtomicU64 = AtomicU64::new(0);

/// What it means that a place is empty.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    /// The thread has not logged yet.
    Fresh,
    /// The list of instances is at its place, and the global ring too if `global`: a place that is empty
    /// nevertheless is in use by a call which this one interrupts.
    Ready { global: bool },
    /// Inside one of our locks, or about to be.
    Busy,
    /// The thread's rings were handed back; a later destructor logs.
    TornDown,
}

/// A ring and whose it is.
#[derive(Debug)]
pub(crate) struct Lent<P = Option<Producer>> {
    engine: Weak<Engine>,
    number: u64,
    /// `None`: the engine's memory is used up, the thread shares a ring.
    producer: P,
}

/// A thread's places while it is busy.
#[derive(Debug, Default)]
pub(crate) struct Places {
    global: Option<Box<Lent<Producer>>>,
    #[expect(clippy::box_collection, reason = "a slot holds one pointer")]
    instances: Option<Box<Vec<Lent>>>,
    /// The thread hands nothing back any more, so it must not be lent anything.
    is_torn_down: bool,
}

impl Places {
    /// Whether the thread has a ring of this engine there, or the leave to share one.
    fn has(&self, place: Place, number: u64) -> bool {
        let is_own = place == Place::Global && self.global.as_ref().is_some_and(|lent| lent.number == number);
        let listed =
            |lent: &Lent| lent.number == number && (place == Place::Instance || lent.producer.is_none());
        is_own || self.instances.as_ref().is_some_and(|list| list.iter().any(listed))
    }
}

/// Which of a thread's places a call uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    Global,
    Instance,
}

/// A context that the thread is in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Within {
    pub(crate) number: u64,
    /// The number of the engine that was told of it, as far as this thread knows; or 0.
    pub(crate) told: u64,
}

/// What a place says to a call that wants to use it.
#[derive(Debug)]
pub(crate) enum Access<R> {
    /// It was used.
    Used(R),
    /// There is no ring of that engine here; the thread may ask for one.
    Unregistered,
    /// The thread shares a ring.
    Shared,
    /// The call interrupts another one of its own thread.
    Nested,
}

/// Lends the process-wide engine's ring: the hot way. `otherwise` if it is not at its place, or not the thread's
/// own.
#[inline(always)]
pub(crate) fn with_global<R: Copy>(otherwise: R, work: impl FnOnce(&mut Producer) -> R) -> R {
    // Not `with`, which is a function of its own; without a destructor neither can fail.
    GLOBAL.try_with(|slot| slot.with_or(otherwise, |lent| work(&mut lent.producer))).unwrap_or(otherwise)
}

/// Looks at the place where the process-wide engine's ring is, unless it is lent. In a context that is not the hot one:
/// calls find nothing there and go the cold way, which knows of contexts, so that the hot way need not.
fn home<R>(look: impl FnOnce(&Slot<Lent<Producer>>) -> R) -> R {
    if CONTEXT.get().is_some() { SCOPED.with(look) } else { GLOBAL.with(look) }
}

/// As [`with_global`], wherever the ring is.
pub(crate) fn with_home<R: Copy>(otherwise: R, work: impl FnOnce(&mut Producer) -> R) -> R {
    home(|slot| slot.with_or(otherwise, |lent| work(&mut lent.producer)))
}

/// The number of the engine whose ring is there.
pub(crate) fn engine_at_home() -> Option<u64> {
    home(|slot| slot.with(|lent| lent.number))
}

/// As [`with_global`], while the thread is in a context, if the ring is of the engine that was `told` of it.
#[inline(always)]
pub(crate) fn with_scoped<R: Copy>(told: u64, otherwise: R, work: impl FnOnce(&mut Producer) -> R) -> R {
    let work = |lent: &mut Lent<Producer>| match &mut lent.producer {
        producer if lent.number == told => work(producer),
        _ => otherwise,
    };
    SCOPED.try_with(|slot| slot.with_or(otherwise, work)).unwrap_or(otherwise)
}

/// The context that calls without `logger:` are in.
#[inline(always)]
pub(crate) fn context() -> Option<Within> {
    CONTEXT.try_with(Cell::get).unwrap_or(None)
}

/// Calls without `logger:` are in this context from now on. A signal handler that logs while the ring is on its way finds
/// it at neither place, and is counted as nested.
pub(crate) fn set_context(context: Option<Within>) {
    if CONTEXT.get().is_some() == context.is_some() {
        return CONTEXT.set(context);
    }
    let origin = Origin::here();
    let ring = home(Slot::remove);
    CONTEXT.set(context);
    if let Some(ring) = ring {
        home(|slot| slot.install(ring));
        // That handler forked, and this is the child: see `Busy`.
        if !origin.is_here() {
            abandon();
        }
    }
}

/// As [`with_global`], for the engine of this number.
#[inline(always)]
pub(crate) fn with_instance<R: Copy>(number: u64, otherwise: R, work: impl FnOnce(&mut Producer) -> R) -> R {
    let find = |list: &mut Vec<Lent>| match list.iter_mut().find(|lent| lent.number == number) {
        Some(Lent { producer: Some(producer), .. }) => work(producer),
        _ => otherwise,
    };
    INSTANCES.try_with(|slot| slot.with_or(otherwise, find)).unwrap_or(otherwise)
}

/// What the process-wide engine's rings share, if the thread has one of them at its place.
pub(crate) fn shared_of_global() -> Option<Arc<Shared>> {
    home(|slot| slot.with(|lent| lent.producer.shared().clone()))
}

/// Lends an engine's ring, or says why not.
#[inline]
pub(crate) fn access<R>(place: Place, number: u64, work: impl FnOnce(&mut Producer) -> R) -> Access<R> {
    let used = match place {
        Place::Global => home(|slot| {
            slot.with(|lent| match &mut lent.producer {
                producer if lent.number == number => Access::Used(work(producer)),
                _ => Access::Unregistered,
            })
        }),
        Place::Instance => INSTANCES.with(|slot| {
            slot.with(|list| match list.iter_mut().find(|lent| lent.number == number) {
                Some(Lent { producer: Some(producer), .. }) => Access::Used(work(producer)),
                Some(Lent { producer: None, .. }) => Access::Shared,
                None => Access::Unregistered,
            })
        }),
    };
    used.unwrap_or_else(|| match (MODE.get(), place) {
        (Mode::Ready { global: false }, Place::Global) if shares(number) => Access::Shared,
        (Mode::Fresh, _) | (Mode::Ready { global: false }, Place::Global) => Access::Unregistered,
        (Mode::TornDown, _) => Access::Shared,
        (Mode::Ready { .. } | Mode::Busy, _) => Access::Nested,
    })
}

/// Gives the thread a ring of this engine, and hands back those of engines that have stopped.
#[cold]
pub(crate) fn register(place: Place, engine: &Arc<Engine>) {
    if !engine.core.origin.is_here() || engine.outlet.is_some() {
        return;
    }
    let mut stale = Vec::new();
    busy(|places| {
        if places.is_torn_down || places.has(place, engine.number) {
            return;
        }
        let Some(lent) = lend(engine) else { return };
        let before = if place == Place::Global { places.global.take() } else { None };
        stale.extend(before.map(|before| before.or_shared()));
        match (place, lent) {
            (Place::Global, Lent { engine, number, producer: Some(producer) }) => {
                places.global = Some(Box::new(Lent { engine, number, producer }));
            }
            (_, lent) => {
                let list = places.instances.get_or_insert_default();
                stale.extend(list.extract_if(.., |lent| lent.is_stale()));
                list.push(lent);
            }
        }
    });
    stale.into_iter().for_each(hand_back);
}

/// While this lives the thread has no ring of this engine at its place, but the leave to share one: no call finds the hot
/// way, and none asks for a ring. For threads that take turns, where the cold way tells echoes from other calls.
#[derive(Debug)]
pub(crate) struct Aside<'a> {
    engine: &'a Arc<Engine>,
    global: Option<Box<Lent<Producer>>>,
    instances: Vec<Lent>,
}

impl<'a> Aside<'a> {
    pub(crate) fn new(engine: &'a Arc<Engine>) -> Self {
        let mut aside = Aside { engine, global: None, instances: Vec::new() };
        busy(|places| {
            if places.is_torn_down {
                return; // shares rings anyway
            }
            aside.global = places.global.take_if(|lent| lent.number == engine.number);
            let list = places.instances.get_or_insert_default();
            aside.instances.extend(list.extract_if(.., |lent| lent.number == engine.number));
            list.push(Lent { engine: Arc::downgrade(engine), number: engine.number, producer: None });
        });
        aside
    }
}

impl Drop for Aside<'_> {
    fn drop(&mut self) {
        if !self.engine.core.origin.is_here() {
            // A handler forked: see `begin`.
            return std::mem::forget((self.global.take(), std::mem::take(&mut self.instances)));
        }
        busy(|places| {
            if places.is_torn_down {
                return;
            }
            let list = places.instances.get_or_insert_default();
            list.retain(|lent| lent.number != self.engine.number);
            list.append(&mut self.instances);
            if places.global.is_none() {
                places.global = self.global.take();
            }
        });
        // The thread has another ring by now.
        self.global.take().into_iter().for_each(|lent| hand_back(lent.or_shared()));
        self.instances.drain(..).for_each(hand_back);
    }
}

/// Whether the thread has the leave to share this engine's ring.
fn shares(number: u64) -> bool {
    let is_leave = |lent: &Lent| lent.number == number && lent.producer.is_none();
    INSTANCES.with(|slot| slot.with_or(false, |list| list.iter().any(is_leave)))
}

/// Runs `work` with the thread's places empty and in its hands. `None` if this call interrupts treering itself:
/// then it must not touch our locks.
#[cold]
pub(crate) fn busy<R>(work: impl FnOnce(&mut Places) -> R) -> Option<R> {
    if holds_a_lock() {
        return None;
    }
    let origin = Origin::here();
    let mode = MODE.get();
    let is_nested = match mode {
        Mode::Busy => true,
        Mode::Ready { global } => home(Slot::is_empty) && global || INSTANCES.with(Slot::is_empty),
        Mode::Fresh | Mode::TornDown => false,
    };
    if is_nested {
        return None;
    }
    // First of all: whatever allocates from here on may log.
    MODE.set(Mode::Busy);
    let is_torn_down = match mode {
        // The first cold path of a thread: from here on its end is learnt, unless it has come.
        Mode::Fresh => OWNER.try_with(|_| ()).is_err(),
        other => other == Mode::TornDown,
    };
    let places = Places { global: home(Slot::remove), instances: INSTANCES.with(Slot::remove), is_torn_down };
    let mut busy = Busy { places, origin };
    Some(work(&mut busy.places))
}

/// Puts a thread's places back when it is busy no more, however that ends.
struct Busy {
    places: Places,
    origin: Origin,
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.put_back();
        // A signal handler forked meanwhile, and this is the child: the places are its parent's.
        if !self.origin.is_here() {
            abandon();
        }
    }
}

impl Busy {
    fn put_back(&mut self) {
        if self.places.is_torn_down {
            return MODE.set(Mode::TornDown);
        }
        let global = self.places.global.take();
        let mode = Mode::Ready { global: global.is_some() };
        if let Some(lent) = global {
            home(|slot| slot.install(lent));
        }
        let instances = self.places.instances.take().unwrap_or_default();
        INSTANCES.with(|slot| slot.install(instances));
        MODE.set(mode);
    }
}

/// The thread's scratch buffer, empty; a new one if a call that this one interrupts has it.
#[inline]
pub(crate) fn take_scratch() -> Vec<u8> {
    let mut scratch = ManuallyDrop::into_inner(SCRATCH.take());
    scratch.clear();
    scratch
}

/// Keeps the buffer for the next call, if the thread will be there to free it.
#[inline]
pub(crate) fn keep_scratch(scratch: Vec<u8>) {
    if scratch.capacity() <= SCRATCH_KEPT_MAX && matches!(MODE.get(), Mode::Ready { .. }) {
        drop(ManuallyDrop::into_inner(SCRATCH.replace(ManuallyDrop::new(scratch))));
    }
}

/// Counts a call that interrupts another one of its own thread.
#[cold]
pub(crate) fn count_nested() {
    NESTED.fetch_add(1, Ordering::Relaxed);
}

/// Counts a call in a child of `fork`, to an engine of its parent.
#[cold]
pub(crate) fn count_forked() {
    FORKED.fetch_add(1, Ordering::Relaxed);
}

/// Counts a record of another front end whose place is not kept.
#[cold]
pub(crate) fn count_uninterned() {
    UNINTERNED.fetch_add(1, Ordering::Relaxed);
}

/// An engine's books with what is counted for the whole process beside them.
pub(crate) fn beside(books: Report) -> Report {
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    Report {
        nested: count(&NESTED),
        forked: count(&FORKED),
        suppressed: limit::suppressed(),
        uninterned: count(&UNINTERNED),
        ..books
    }
}

/// In a child of `fork`: what the thread has is the parent's, and nothing that it did is counted here.
pub(crate) fn begin() {
    abandon();
    NESTED.store(0, Ordering::Relaxed);
    FORKED.store(0, Ordering::Relaxed);
    UNINTERNED.store(0, Ordering::Relaxed);
    limit::begin();
}

/// Leaks what the thread has: copies of rings that nobody drains, which may be in the middle of anything.
fn abandon() {
    std::mem::forget((home(Slot::remove), INSTANCES.with(Slot::remove)));
    if let Mode::Ready { .. } = MODE.get() {
        MODE.set(Mode::Fresh);
    }
}

/// Whether waiting is not allowed, or could be for ever: while the thread ends, while it panics, where it holds a lock that
/// the listener may need to make room or is in a queue of the user's, and where a policy of the user's is asked, which would be
/// asked again.
pub(crate) fn must_not_wait() -> bool {
    MODE.get() == Mode::TornDown
        || holds_a_lock()
        || std::thread::panicking()
        || ASKING.get()
        || outlet::is_inside()
}

/// A policy of the user's is asked as long as this lives: whatever it logs waits for nothing and asks nobody.
pub(crate) struct Asking(());

impl Asking {
    pub(crate) fn here() -> Self {
        ASKING.set(true);
        Asking(())
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        ASKING.set(false);
    }
}

impl Lent<Producer> {
    fn or_shared(self) -> Lent {
        Lent { engine: self.engine, number: self.number, producer: Some(self.producer) }
    }
}

impl Lent {
    /// Does not upgrade: the last handle of an engine drops what the user gave it.
    fn is_stale(&self) -> bool {
        let is_closed = |producer: &Producer| producer.shared().state.is_closed();
        self.engine.strong_count() == 0 || self.producer.as_ref().is_some_and(is_closed)
    }
}

/// The calling thread, without its name where std does not know it any more.
pub(crate) fn thread() -> Thread {
    let current = (MODE.get() != Mode::TornDown).then(std::thread::current);
    Thread::new(os::thread_id(), current.as_ref().and_then(|thread| thread.name()))
}

/// `None` if the engine takes no more threads because it has stopped.
fn lend(engine: &Arc<Engine>) -> Option<Lent> {
    let producer = match engine.core.transport.register(thread()) {
        Ok(producer) => Some(producer),
        Err(NoRing::Full) => None,
        Err(NoRing::Closed) => return None,
    };
    Some(Lent { engine: Arc::downgrade(engine), number: engine.number, producer })
}

fn hand_back(Lent { engine, producer, .. }: Lent) {
    // If the engine is gone, so is its half of the ring: dropping ours frees it.
    if let (Some(engine), Some(producer)) = (engine.upgrade(), producer) {
        busy(|_| engine.core.transport.release(producer));
    }
}

/// Hands the thread's rings back, and frees its scratch buffer, when it ends.
struct Owner;

impl Drop for Owner {
    fn drop(&mut self) {
        let global = home(Slot::remove);
        let instances = INSTANCES.with(Slot::remove);
        MODE.set(Mode::TornDown);
        drop(take_scratch());
        global.into_iter().for_each(|lent| hand_back(lent.or_shared()));
        instances.into_iter().flat_map(|list| *list).for_each(hand_back);
    }
}
