//! The set of an engine's rings: who has one, who may get one, and when one goes to another thread.
//!
//! ```text
//!            register                    release                    reclaim (listener)
//!   Free ──────────────► Lent to a thread ───────► Left, not drained ───────────► Free
//!    ▲                        │
//!    │ new, while             │ beyond `memory_cap`, or torn down
//!    │ `memory_cap` allows    ▼
//!    └───────────       the shared ring: one, behind a lock
//! ```
//! One more ring stands behind a lock: that of *echoes*, what is logged on the thread that takes a turn of this very
//! engine. The listener has to tell them from all else, so they never share a ring with it.
//!
//! All of it happens under the registry lock, on cold paths. The closed flag stands under the same lock: a ring that
//! was registered before the listener's last look is drained, and a later registration is refused, so no record
//! sits in a ring that nobody owns (I6). Threads that exit hand their producer back; the listener learns that
//! *before* it looks at the ring's tail for the last time, and reclaims the ring only when it is drained (I7).
//!
//! A round of the listener takes the lock only when the generation has changed since its last look. Whoever changes
//! it does so before the first record, so that a listener that is about to sleep, which looks at the generation
//! behind its heavy fence, sees every ring that could hold one.

use crate::level::Level;
use crate::overflow::{Policies, Reason};
use crate::record::Thread;
use crate::ring::{self, Consumer, Payload, Producer, Pushed, Refused, Shared};
use crate::stats::{OutsideCounters, RingCounters, Sum, total};
use crate::sync::{Arc, AtomicU64, Mutex, Ordering};
use crate::wake::Room;

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Transport {
    pub(crate) shared: Arc<Shared>,
    pub(crate) outside: OutsideCounters,
    capacity_words: usize,
    rings_max: usize,
    registry: Mutex<Registry>,
    /// Counts changes of the registry that the listener has to see. Written under the registry lock.
    generation: AtomicU64,
    /// The producer of the shared ring, made when the first call needs it.
    fallback: Mutex<Option<Producer>>,
    /// The producer of the ring of echoes, made when the first call needs it.
    echoes: Mutex<Option<Producer>>,
}

#[derive(Debug)]
struct Registry {
    closed: bool,
    /// By ring number.
    rings: Vec<Tenant>,
    free: Vec<usize>,
    /// How many of the rings count against `rings_max`: all but the shared one, and those being made.
    counted: usize,
}

#[derive(Debug)]
struct Tenant {
    counters: Arc<RingCounters>,
    room: Arc<Room>,
    thread: Arc<Thread>,
    tenancy: Tenancy,
    /// Until the listener fetches it.
    consumer: Option<Consumer>,
}

#[derive(Debug)]
enum Tenancy {
    Lent,
    Echoes,
    Left(Producer),
    Free(Producer),
}

/// Why a thread gets no ring of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NoRing {
    /// The engine has stopped.
    Closed,
    /// All rings together would need more than `memory_cap`.
    Full,
}

impl Transport {
    pub(crate) fn new(capacity_bytes: usize, memory_cap: usize, policies: Policies) -> Self {
        Transport {
            outside: OutsideCounters::new(),
            capacity_words: capacity_bytes / 8,
            rings_max: memory_cap / (capacity_bytes * ring::memory_factor(&policies)),
            shared: Arc::new(Shared::new(policies)),
            registry: Mutex::new(Registry { closed: false, rings: Vec::new(), free: Vec::new(), counted: 0 }),
            generation: AtomicU64::new(0),
            fallback: Mutex::new(None),
            echoes: Mutex::new(None),
        }
    }

    /// A ring for the calling thread.
    ///
    /// Cost: a lock; for a new ring also its allocation and the first touch of its pages, outside of the lock.
    pub(crate) fn register(&self, thread: Thread) -> Result<Producer, NoRing> {
        {
            let mut registry = self.registry.lock();
            #[cfg(not(treering_mutant = "reuse_after_close"))]
            if registry.closed {
                return Err(NoRing::Closed);
            }
            if let Some(index) = registry.free.pop() {
                let tenant = &mut registry.rings[index];
                tenant.thread = Arc::new(thread);
                let Tenancy::Free(producer) = std::mem::replace(&mut tenant.tenancy, Tenancy::Lent) else {
                    unreachable!("the free list names free rings")
                };
                self.generation.fetch_add(1, Ordering::Relaxed);
                return Ok(producer);
            }
            if registry.counted == self.rings_max {
                return Err(NoRing::Full);
            }
            #[cfg(treering_mutant = "count_ring_late")]
            drop(registry);
            #[cfg(treering_mutant = "count_ring_late")]
            let mut registry = self.registry.lock();
            registry.counted += 1;
        }
        self.add_ring(thread, Tenancy::Lent)
    }

    /// Makes a ring and enters it into the registry, unless the engine stopped meanwhile.
    fn add_ring(&self, thread: Thread, tenancy: Tenancy) -> Result<Producer, NoRing> {
        // The number is only known under the lock; making the ring is too much to do there. Rings are numbered when
        // they are entered.
        let (mut producer, consumer) = ring::ring(self.capacity_words, self.shared.clone());
        let mut registry = self.registry.lock();
        #[cfg(not(treering_mutant = "register_after_close"))]
        if registry.closed {
            return Err(NoRing::Closed);
        }
        producer.set_index(registry.rings.len());
        registry.rings.push(Tenant {
            counters: consumer.counters().clone(),
            room: consumer.room().clone(),
            thread: Arc::new(thread),
            tenancy,
            consumer: Some(consumer),
        });
        self.generation.fetch_add(1, Ordering::Relaxed);
        Ok(producer)
    }

    /// A thread that exits, or that moves to another engine, hands its ring back.
    pub(crate) fn release(&self, producer: Producer) {
        {
            let mut registry = self.registry.lock();
            let index = producer.index();
            registry.rings[index].tenancy = Tenancy::Left(producer);
            #[cfg(not(treering_mutant = "leave_unnoticed"))]
            self.generation.fetch_add(1, Ordering::Relaxed);
        }
        // Else a parked listener would not reclaim it, and the next thread would be given a new one.
        #[cfg(not(treering_mutant = "leave_quietly"))]
        self.shared.state.wake();
    }

    /// Places a record of a thread without a ring of its own, in the ring that all such threads share.
    pub(crate) fn push_shared(
        &self,
        id: u32,
        level: Level,
        payload: &dyn Payload,
        thread: u32,
    ) -> Result<Pushed, Refused> {
        let mut fallback = self.fallback.lock();
        if fallback.is_none() {
            *fallback = self.add_ring(Thread::new(0, Some("shared")), Tenancy::Lent).ok();
        }
        match fallback.as_mut() {
            Some(producer) => producer.push_or_drop(id, level, payload, Some(thread)),
            None => Err(Refused::Closed),
        }
    }

    /// Looks at the ring that threads without one of their own share, if it was made.
    pub(crate) fn with_shared<R>(&self, look: impl FnOnce(&mut Producer) -> R) -> Option<R> {
        self.fallback.lock().as_mut().map(look)
    }

    /// Places an echo, or counts what becomes of it instead: it never waits, whatever the policy.
    pub(crate) fn push_echo(&self, id: u32, level: Level, payload: &dyn Payload, thread: u32) -> Pushed {
        let mut echoes = self.echoes.lock();
        if echoes.is_none() {
            *echoes = self.add_ring(Thread::new(0, Some("echoes")), Tenancy::Echoes).ok();
        }
        let Some(producer) = echoes.as_mut() else {
            self.outside.late.add_one_shared(level);
            return Pushed::Dropped;
        };
        match producer.push_or_drop(id, level, payload, Some(thread)) {
            Ok(pushed) => return pushed,
            Err(Refused::NoRoom) => producer.count_drop(level, Reason::Full),
            Err(Refused::Closed) => producer.refuse_late(level),
        }
        Pushed::Dropped
    }

    /// The engine takes no more records from now on. Wakes the listener, and all who wait for room.
    pub(crate) fn close(&self) {
        self.shared.state.close();
        #[cfg(not(treering_mutant = "close_leaves_waiters"))]
        if self.shared.policies.wait() {
            self.registry.lock().rings.iter().for_each(|tenant| tenant.room.wake_all());
        }
    }

    // ---- the listener's side

    /// Shows the listener what has changed since it last looked: `change` is called for each ring, with its consumer
    /// if it is new. With `closing` the registry is closed first.
    pub(crate) fn look(
        &self,
        seen: &mut u64,
        closing: bool,
        mut change: impl FnMut(usize, Option<Consumer>, &Arc<Thread>, Lease),
    ) {
        let generation = self.generation.load(Ordering::Relaxed);
        if generation == *seen && !closing {
            return;
        }
        let mut registry = self.registry.lock();
        registry.closed |= closing;
        // Under the lock, so it counts what is seen below.
        *seen = self.generation.load(Ordering::Relaxed);
        for (index, tenant) in registry.rings.iter_mut().enumerate() {
            let lease = match tenant.tenancy {
                Tenancy::Lent => Lease::Lent,
                Tenancy::Echoes => Lease::Echoes,
                Tenancy::Left(_) => Lease::Left,
                Tenancy::Free(_) => Lease::Free,
            };
            change(index, tenant.consumer.take(), &tenant.thread, lease);
        }
    }

    /// Whether a ring with so many words in it could fill up before long.
    pub(crate) fn is_crowded(&self, words: usize) -> bool {
        words > self.capacity_words / 8
    }

    /// Whether [`look`](Self::look) would show a change.
    pub(crate) fn has_changed(&self, seen: u64) -> bool {
        self.generation.load(Ordering::Relaxed) != seen
    }

    /// The listener has drained a ring that was left: another thread may have it.
    pub(crate) fn reclaim(&self, index: usize) {
        let mut registry = self.registry.lock();
        let tenant = &mut registry.rings[index];
        match std::mem::replace(&mut tenant.tenancy, Tenancy::Lent) {
            Tenancy::Left(producer) => {
                tenant.tenancy = Tenancy::Free(producer);
                registry.free.push(index);
            }
            other => tenant.tenancy = other,
        }
    }

    // ---- the books

    /// Adds the settled counters of all rings, and the calls that got no place.
    pub(crate) fn sum_settled(&self, sum: &mut Sum) {
        sum.refused(&self.outside.late);
        self.registry.lock().rings.iter().for_each(|tenant| sum.settled(&tenant.counters));
    }

    /// How many records each ring was ever given, by ring number.
    pub(crate) fn placed(&self) -> Vec<u64> {
        self.registry.lock().rings.iter().map(|tenant| total(&tenant.counters.placed.load())).collect()
    }

    /// How many rings wait for a thread.
    #[cfg(treering_loom)]
    pub(crate) fn free_rings(&self) -> usize {
        self.registry.lock().free.len()
    }

    /// Whether somebody waits for room in a ring.
    #[cfg(treering_loom)]
    pub(crate) fn is_awaited(&self) -> bool {
        self.registry.lock().rings.iter().any(|tenant| tenant.room.is_awaited())
    }

    /// Whether so many of each ring's records have their fate, which they get in the order in which they were placed.
    pub(crate) fn has_settled(&self, placed: &[u64]) -> bool {
        let registry = self.registry.lock();
        registry.rings.iter().zip(placed).all(|(tenant, placed)| tenant.counters.settled() >= *placed)
    }

    /// Adds what was placed; after everything that was settled.
    pub(crate) fn sum_placed(&self, sum: &mut Sum) {
        self.registry.lock().rings.iter().for_each(|tenant| sum.placed(&tenant.counters.placed));
    }
}

/// Whose a ring is, as the listener sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lease {
    /// A thread's, or all threads'.
    Lent,
    /// The engine's, for echoes.
    Echoes,
    /// Nobody's, but there may be records in it.
    Left,
    /// Nobody's, and empty.
    Free,
}
