//! The one door to concurrency: atomics, locks, threads and the futex, of std or of loom.
//!
//! Everything else in the crate takes them from here, so that under `cfg(treering_loom)` the engine's own modules
//! run as they are on loom's. The two siblings have the same shape. Locks ignore poison: what they guard is
//! consistent after each step, and a panic of a handler must not become one of a caller.
#![allow(unsafe_code, reason = "the futex word, and references that are swapped")]

#[cfg(treering_loom)]
pub(crate) use modelled::*;
#[cfg(not(treering_loom))]
pub(crate) use real::*;

/// An ordering, and the mutant that goes without it.
macro_rules! ordering {
    ($ordering:ident, unless $mutant:tt) => {
        if cfg!(treering_mutant = $mutant) {
            $crate::sync::Ordering::Relaxed
        } else {
            $crate::sync::Ordering::$ordering
        }
    };
}
pub(crate) use ordering;

/// What is behind a reference is written before it is put there, and read after it was loaded. As a mutant it is what
/// ThreadSanitizer must find, too, see `.ci/tsan`.
const TELLS: Ordering = ordering!(Release, unless "relaxed_reference");
const SEES: Ordering = ordering!(Acquire, unless "relaxed_reference");

/// A reference to something that lives as long as the process, or none yet. What it refers to is seen whole.
#[derive(Debug)]
pub(crate) struct AtomicRef<T: Sync + 'static>(AtomicPtr<T>);

impl<T: Sync> AtomicRef<T> {
    #[cfg(not(treering_loom))]
    pub(crate) const fn none() -> Self {
        AtomicRef(AtomicPtr::new(std::ptr::null_mut()))
    }

    #[cfg(treering_loom)]
    pub(crate) fn none() -> Self {
        AtomicRef(AtomicPtr::new(std::ptr::null_mut()))
    }

    pub(crate) fn load(&self) -> Option<&'static T> {
        referred(self.0.load(SEES))
    }

    /// Replaces `from` by `to`; what is there if it is another one.
    pub(crate) fn replace(&self, from: Option<&'static T>, to: &'static T) -> Result<(), Option<&'static T>> {
        let swapped = self.0.compare_exchange(pointer(from), pointer(Some(to)), TELLS, SEES);
        swapped.map(drop).map_err(referred)
    }

    /// As [`load`](Self::load), where who looks has seen already what it refers to.
    pub(crate) fn load_known(&self) -> Option<&'static T> {
        referred(self.0.load(Ordering::Relaxed))
    }

    /// Before anybody else looks.
    pub(crate) fn set(&self, to: Option<&'static T>) {
        self.0.store(pointer(to), Ordering::Relaxed);
    }
}

/// Nobody writes through it.
fn pointer<T>(to: Option<&'static T>) -> *mut T {
    to.map_or(std::ptr::null_mut(), |to| std::ptr::from_ref(to).cast_mut())
}

fn referred<T>(pointer: *mut T) -> Option<&'static T> {
    // SAFETY: null, or made of a shared reference of this lifetime by `pointer`.
    unsafe { pointer.as_ref() }
}

#[cfg(not(treering_loom))]
mod real {
    use std::cell::Cell;
    use std::ops::{Deref, DerefMut};
    use std::sync::PoisonError;
    pub(crate) use std::sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, compiler_fence, fence,
    };
    pub(crate) use std::sync::{Arc, Condvar};
    use std::time::Duration;

    thread_local! {
        /// How many of our locks this thread holds, or waits for.
        static LOCKS: Cell<u32> = const { Cell::new(0) };
    }

    /// Whether the calling thread holds one of our locks, or waits for one: then the call comes from a signal
    /// handler or an allocator that interrupts us, and must take none.
    pub(crate) fn holds_a_lock() -> bool {
        LOCKS.get() > 0
    }

    /// A mutex without poison, whose holder can be told: see [`holds_a_lock`].
    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T> {
        lock: std::sync::Mutex<T>,
        baton: Baton,
    }

    impl<T> Mutex<T> {
        pub(crate) const fn new(value: T) -> Self {
            Mutex { lock: std::sync::Mutex::new(value), baton: Baton::new() }
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            let mark = Mark::new();
            let guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
            MutexGuard { held: self.baton.take(), guard, mark }
        }
    }

    /// Access to what a [`Mutex`] guards.
    pub(crate) struct MutexGuard<'a, T> {
        // Dropped in this order: the mark outlives the lock.
        held: Held<'a>,
        guard: std::sync::MutexGuard<'a, T>,
        mark: Mark,
    }

    /// Nothing, but for ThreadSanitizer: std is not built for it, so it cannot see who hands a lock to whom where they
    /// wait for each other. It sees this.
    #[derive(Debug, Default)]
    struct Baton {
        #[cfg(treering_tsan)]
        handed: AtomicU32,
    }

    /// A lock is held.
    struct Held<'a>(&'a Baton);

    impl Baton {
        const fn new() -> Self {
            Baton {
                #[cfg(treering_tsan)]
                handed: AtomicU32::new(0),
            }
        }

        fn take(&self) -> Held<'_> {
            #[cfg(treering_tsan)]
            self.handed.load(Ordering::Acquire);
            Held(self)
        }
    }

    impl Drop for Held<'_> {
        fn drop(&mut self) {
            #[cfg(treering_tsan)]
            self.0.handed.fetch_add(1, Ordering::Release);
        }
    }

    impl<T> Deref for MutexGuard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            &self.guard
        }
    }

    impl<T> DerefMut for MutexGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            &mut self.guard
        }
    }

    /// One lock more in [`LOCKS`].
    struct Mark;

    impl Mark {
        fn new() -> Self {
            LOCKS.set(LOCKS.get() + 1);
            Mark
        }
    }

    impl Drop for Mark {
        fn drop(&mut self) {
            LOCKS.set(LOCKS.get() - 1);
        }
    }

    /// Waits for a notification, at most `timeout` (`None`: without an end).
    pub(crate) fn wait<'a, T>(
        condvar: &Condvar,
        MutexGuard { held, guard, mark }: MutexGuard<'a, T>,
        timeout: Option<Duration>,
    ) -> MutexGuard<'a, T> {
        let baton = held.0;
        drop(held);
        let guard = match timeout {
            None => condvar.wait(guard).unwrap_or_else(PoisonError::into_inner),
            Some(timeout) => condvar.wait_timeout(guard, timeout).unwrap_or_else(PoisonError::into_inner).0,
        };
        MutexGuard { held: baton.take(), guard, mark }
    }

    /// Something that one thread at a time borrows for long, and runs the user's code with: who has it may log.
    #[derive(Debug)]
    pub(crate) struct Loan<T> {
        lock: std::sync::Mutex<T>,
        baton: Baton,
    }

    impl<T> Loan<T> {
        pub(crate) const fn new(value: T) -> Self {
            Loan { lock: std::sync::Mutex::new(value), baton: Baton::new() }
        }

        pub(crate) fn borrow(&self) -> Borrowed<'_, T> {
            let guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
            Borrowed { _held: self.baton.take(), guard }
        }

        pub(crate) fn try_borrow(&self) -> Option<Borrowed<'_, T>> {
            let guard = match self.lock.try_lock() {
                Ok(guard) => guard,
                Err(std::sync::TryLockError::Poisoned(poison)) => poison.into_inner(),
                Err(std::sync::TryLockError::WouldBlock) => return None,
            };
            Some(Borrowed { _held: self.baton.take(), guard })
        }
    }

    /// What a [`Loan`] lends, until this is dropped.
    pub(crate) struct Borrowed<'a, T> {
        _held: Held<'a>,
        guard: std::sync::MutexGuard<'a, T>,
    }

    impl<T> Deref for Borrowed<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            &self.guard
        }
    }

    impl<T> DerefMut for Borrowed<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            &mut self.guard
        }
    }

    /// A 32-bit word that a thread can sleep on.
    #[derive(Debug)]
    pub(crate) struct Futex(AtomicU32);

    impl Futex {
        pub(crate) const fn new(value: u32) -> Self {
            Futex(AtomicU32::new(value))
        }

        /// The word itself.
        #[inline(always)]
        pub(crate) fn word(&self) -> &AtomicU32 {
            &self.0
        }

        /// Sleeps while the word is `expected`; see [`crate::os::futex_wait`].
        pub(crate) fn wait(&self, expected: u32, timeout: Option<Duration>) {
            crate::os::futex_wait(self.0.as_ptr(), expected, timeout);
        }

        /// Wakes who sleeps on the word.
        pub(crate) fn wake(&self) {
            crate::os::futex_wake(self.0.as_ptr());
        }
    }

    /// Gives the rest of the time slice away, in a loop that waits for another thread.
    pub(crate) fn yield_now() {
        std::thread::yield_now();
    }

    /// Sleeps, in a loop that waits for another thread.
    pub(crate) fn nap(duration: Duration) {
        std::thread::sleep(duration);
    }
}

#[cfg(treering_loom)]
mod modelled {
    pub(crate) use loom::cell::UnsafeCell;
    pub(crate) use loom::sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
    };
    pub(crate) use loom::sync::{Arc, Condvar, MutexGuard};
    pub(crate) use loom::thread::yield_now;
    use std::time::Duration;

    /// Loom knows no compiler fence; where the protocol leans on one together with membarrier, `wake` has a full
    /// fence under loom instead, and docs/memory-ordering.md says so.
    pub(crate) fn compiler_fence(_: Ordering) {}

    /// What a model knows beside the protocol. Loom does not see it, so it adds no orders; it is set before the model's
    /// threads begin.
    #[derive(Debug, Default)]
    #[expect(clippy::disallowed_types, reason = "see above")]
    pub(crate) struct Unseen(std::sync::atomic::AtomicBool);

    impl Unseen {
        pub(crate) fn set(&self) {
            self.0.store(true, Ordering::Relaxed);
        }

        pub(crate) fn is_set(&self) -> bool {
            self.0.load(Ordering::Relaxed)
        }
    }

    #[derive(Debug)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Mutex(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
        }
    }

    impl<T: Default> Default for Mutex<T> {
        fn default() -> Self {
            Mutex::new(T::default())
        }
    }

    /// Loom has no time: a timed wait is one without an end, so no model leans on a timeout for liveness.
    pub(crate) fn wait<'a, T>(
        condvar: &Condvar,
        guard: MutexGuard<'a, T>,
        _timeout: Option<Duration>,
    ) -> MutexGuard<'a, T> {
        condvar.wait(guard).unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Loom has no time.
    pub(crate) fn nap(_duration: Duration) {
        yield_now();
    }

    /// The futex as the kernel keeps it: the comparison and the sleep are one step under a lock that wakers take.
    #[derive(Debug)]
    pub(crate) struct Futex {
        word: AtomicU32,
        queue: loom::sync::Mutex<()>,
        sleepers: Condvar,
    }

    impl Futex {
        pub(crate) fn new(value: u32) -> Self {
            Futex { word: AtomicU32::new(value), queue: loom::sync::Mutex::new(()), sleepers: Condvar::new() }
        }

        pub(crate) fn word(&self) -> &AtomicU32 {
            &self.word
        }

        pub(crate) fn wait(&self, expected: u32, _timeout: Option<Duration>) {
            let queue = self.queue.lock().unwrap();
            if self.word.load(Ordering::Relaxed) == expected {
                drop(self.sleepers.wait(queue).unwrap());
            }
        }

        pub(crate) fn wake(&self) {
            let _queue = self.queue.lock().unwrap();
            self.sleepers.notify_all();
        }
    }
}
