//! Where the records of an engine go that has a queue of the user's in place of rings.
//!
//! There is no listener on this side: the caller makes the portable record and enqueues it, see `logger::outlet`. What is here
//! is the queue behind a failure boundary, the books, and what the queue was not told of yet: where records are missing the
//! next one that is taken, whoever's, is preceded by one of `treering::loss` for each reason.
//!
//! A queue may log. What it logs on the thread that enqueues must not come back to it: it may hold a lock of its own, and
//! each record would lead to another. So a thread goes in once, and what comes again is counted and goes nowhere.

use std::cell::Cell;
use std::fmt;

use crate::callsite::EntryOf;
use crate::clock::Timestamp;
use crate::fault::guarded;
use crate::level::Level;
use crate::overflow::{Loss, Reason};
use crate::own;
use crate::queue::{Enqueue, EnqueueError};
use crate::record::{Record, Thread};
use crate::stats::{OutletCounters, Report, Sum};
use crate::sync::{AtomicBool, Mutex, Ordering};

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
    /// For each reason what the queue was not told of.
    untold: Mutex<[Option<Loss>; Reason::ALL.len()]>,
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

    /// Enqueues a frame, and before it what is missing. From within [`enter`](Self::enter) only.
    pub(crate) fn put(&self, frame: &[u8]) -> Result<(), EnqueueError> {
        self.tell()?;
        self.enqueue(frame)
    }

    fn enqueue(&self, frame: &[u8]) -> Result<(), EnqueueError> {
        guarded(|| self.queue.enqueue(frame))
            .unwrap_or_else(|panic| Err(EnqueueError::failed(format!("it panicked: {panic}"))))
    }

    /// Tells the queue what it was not told of. What it does not take is told later.
    fn tell(&self) -> Result<(), EnqueueError> {
        // Relaxed: what this thread has lost it sees, and of others it may as well see it later.
        if !self.has_untold.load(Ordering::Relaxed) {
            return Ok(());
        }
        while let Some(loss) = self.take_untold() {
            let told = self.enqueue(&frame_of(&loss));
            if told.is_err() {
                self.keep_untold(loss);
                return told;
            }
        }
        Ok(())
    }

    /// As before a record, but there is none: at a flush, and at the end.
    pub(crate) fn tell_now(&self) {
        // What cannot be told now may be later, and is in the report.
        let _ = self.enter(|| self.tell());
    }

    fn take_untold(&self) -> Option<Loss> {
        let mut untold = self.untold.lock();
        let loss = untold.iter_mut().find_map(Option::take);
        self.has_untold.store(loss.is_some(), Ordering::Relaxed);
        loss
    }

    /// So many more are missing.
    fn keep_untold(&self, more: Loss) {
        let mut untold = self.untold.lock();
        let place = &mut untold[more.reason as usize];
        match place {
            None => *place = Some(more),
            Some(loss) => {
                loss.records += more.records;
                loss.by_level.iter_mut().zip(more.by_level).for_each(|(sum, more)| *sum += more);
                loss.from = loss.from.min(more.from);
                loss.until = loss.until.max(more.until);
            }
        }
        self.has_untold.store(true, Ordering::Relaxed);
    }

    /// A record of that time is lost.
    pub(crate) fn lose(&self, level: Level, reason: Reason, time: Timestamp) {
        self.counters.dropped[reason as usize].add_one_shared(level);
        let mut by_level = [0; Level::COUNT];
        by_level[level.index()] = 1;
        self.keep_untold(Loss {
            reason,
            records: 1,
            by_level,
            thread_id: 0,
            thread_name: None,
            from: time,
            until: time,
            first: 0,
            last: 0,
            handler: None,
        });
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

/// The record that tells of a loss.
fn frame_of(loss: &Loss) -> Vec<u8> {
    let (entry, arguments) = (EntryOf::Process(own::outlet_entry(loss.reason)), own::loss_arguments(loss));
    let thread = Thread::new(0, None);
    let record = Record {
        entry,
        arguments: &arguments,
        time: loss.until,
        stamp: 0,
        thread: &thread,
        truncated: false,
        scope: None,
    };
    let mut frame = Vec::new();
    record.write_portable(&mut frame).expect("it has a few fields");
    frame
}

impl fmt::Debug for Outlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outlet").field("counters", &self.counters).finish_non_exhaustive()
    }
}
