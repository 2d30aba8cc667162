//! Where the records of an engine go that has a queue of the user's in place of rings.
//!
//! There is no listener on this side: the caller makes the portable record and enqueues it, see `logger::outlet`. What is here
//! is the queue behind a failure boundary, the books, what the queue was not told of yet, and the [`Line`] of callers that wait
//! for room.
//!
//! A queue may log. What it logs on the thread that enqueues must not come back to it: it may hold a lock of its own, and
//! each record would lead to another. So a thread goes in once, and what comes again is counted and goes nowhere.

mod line;

use std::cell::Cell;
use std::fmt;

use crate::clock::Timestamp;
use crate::fault::guarded;
use crate::level::Level;
use crate::overflow::{Loss, Reason};
use crate::queue::{Enqueue, EnqueueError};
use crate::stats::{OutletCounters, Report, Sum, total};
use crate::sync::{AtomicBool, Mutex, Ordering};
use crate::untold::{self, Untold};

use line::Line;

/// A queue that logs to an engine over another queue that logs, and so on: so many may stand in line.
const DEPTH_MAX: usize = 4;

thread_local! {
    /// The outlets that this thread is in, by their addresses; 0 is none.
    static INSIDE: Cell<[usize; DEPTH_MAX]> = const { Cell::new([0; DEPTH_MAX]) };
}

/// Whether the calling thread is in a queue of whatever engine: it may hold what others need to make room.
pub(crate) fn is_inside() -> bool {
    INSIDE.get() != [0; DEPTH_MAX]
}

/// See the module's documentation.
pub(crate) struct Outlet {
    queue: Box<dyn Enqueue>,
    pub(crate) counters: OutletCounters,
    pub(crate) line: Line,
    untold: Mutex<Untold>,
    /// Whether that is anything. Changed under its lock.
    has_untold: AtomicBool,
    /// The last record that was tried has failed, and the error hook knows.
    is_failing: AtomicBool,
}

impl Outlet {
    /// What to say to those who want some.
    pub(crate) const NO_HANDLERS: &str =
        "an engine over a queue has no handlers: the Listener at the other end of the queue has them";

    pub(crate) fn new(queue: impl Enqueue + 'static) -> Self {
        Outlet {
            queue: Box::new(queue),
            counters: OutletCounters::new(),
            line: Line::new(),
            untold: Mutex::default(),
            has_untold: AtomicBool::new(false),
            is_failing: AtomicBool::new(false),
        }
    }

    /// Runs `work`, unless this thread is in here already.
    pub(crate) fn enter<R>(&self, work: impl FnOnce() -> R) -> Option<R> {
        /// Puts back what was.
        struct Leave([usize; DEPTH_MAX]);

        impl Drop for Leave {
            fn drop(&mut self) {
                INSIDE.set(self.0);
            }
        }

        let own = std::ptr::from_ref(self).addr();
        let mut inside = INSIDE.get();
        let free = inside.iter().position(|outlet| *outlet == 0)?;
        if inside.contains(&own) {
            return None;
        }
        let _leave = Leave(inside);
        inside[free] = own;
        INSIDE.set(inside);
        Some(work())
    }

    /// Enqueues a frame, and before it what is missing, if that is to be told now. From within [`enter`](Self::enter) only.
    pub(crate) fn put(&self, frame: &[u8]) -> Result<(), EnqueueError> {
        // Relaxed: what this thread has lost it sees, and of others it may as well see it later.
        if self.has_untold.load(Ordering::Relaxed) {
            let taken = total(&self.counters.taken.load());
            self.tell(|untold| untold.take_due(taken, Timestamp::now()))?;
        }
        self.enqueue(frame)
    }

    /// Tells the queue of all that is missing: at a flush, and at the end.
    pub(crate) fn tell_all(&self) {
        // What it does not take may be told later, and is in the report.
        let _ = self.enter(|| while let Ok(true) = self.tell(|untold| untold.take(Timestamp::now())) {});
    }

    /// Tells the queue of what is taken to be told; whether that was anything. What it does not take waits on.
    fn tell(&self, take: impl FnOnce(&mut Untold) -> Option<Loss>) -> Result<bool, EnqueueError> {
        let Some(loss) = self.with_untold(take) else { return Ok(false) };
        let mut frame = Vec::new();
        untold::with_record(&loss, |record| record.write_portable(&mut frame)).expect("it has a few fields");
        match self.enqueue(&frame) {
            Ok(()) => Ok(true),
            Err(error) => {
                self.with_untold(|untold| untold.put_back(loss));
                Err(error)
            }
        }
    }

    fn enqueue(&self, frame: &[u8]) -> Result<(), EnqueueError> {
        guarded(|| self.queue.enqueue(frame)).unwrap_or_else(|panic| Err(EnqueueError::panicked(&panic)))
    }

    fn with_untold<R>(&self, work: impl FnOnce(&mut Untold) -> R) -> R {
        let mut untold = self.untold.lock();
        let result = work(&mut untold);
        self.has_untold.store(!untold.is_empty(), Ordering::Relaxed);
        result
    }

    /// A record of that time is lost.
    pub(crate) fn lose(&self, level: Level, reason: Reason, time: Timestamp) {
        self.counters.dropped[reason as usize].add_one_shared(level);
        self.with_untold(|untold| untold.add(level, reason, time));
    }

    /// Whether the error hook should be told of this outcome: of the first failure in a row.
    pub(crate) fn is_news(&self, failed: bool) -> bool {
        // Relaxed: it decides what is said, no more.
        self.is_failing.load(Ordering::Relaxed) != failed
            && self.is_failing.swap(failed, Ordering::Relaxed) != failed
            && failed
    }

    pub(crate) fn report(&self) -> Report {
        let mut sum = Sum::default();
        sum.outlet(&self.counters);
        sum.finish()
    }
}

impl fmt::Debug for Outlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outlet").field("counters", &self.counters).finish_non_exhaustive()
    }
}
