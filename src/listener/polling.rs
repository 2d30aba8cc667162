//! Which threads take the rounds of listeners that have no thread of their own: such a thread does not wait for room in a queue,
//! as it may be the one that has to make it.
//!
//! A queue does not say who listens to it, so this is kept by thread, whatever the queue.

use std::cell::RefCell;
use std::sync::Weak;

use crate::os;
use crate::sync::{Arc, AtomicU32, Ordering};

thread_local! {
    /// The listeners that the thread has polled; another one may poll them by now.
    static POLLED: RefCell<Vec<Weak<AtomicU32>>> = const { RefCell::new(Vec::new()) };
}

/// The thread that polled a listener last: its number for the kernel, or 0.
#[derive(Debug, Default)]
pub(crate) struct Poller(Arc<AtomicU32>);

impl Poller {
    /// It is the calling thread.
    pub(crate) fn be_here(&self) {
        let here = os::thread_id();
        if self.0.swap(here, Ordering::Relaxed) != here {
            self.remember();
        }
    }

    /// It is the calling thread, if there was none.
    pub(crate) fn be_here_if_nowhere(&self) {
        if self.0.compare_exchange(0, os::thread_id(), Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.remember();
        }
    }

    /// There is none any more.
    pub(crate) fn end(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    fn remember(&self) {
        let own = Arc::downgrade(&self.0);
        // In a destructor of the thread's nobody waits anyway.
        let _ = POLLED.try_with(|polled| {
            let mut polled = polled.borrow_mut();
            polled.retain(|other| other.strong_count() > 0 && !other.ptr_eq(&own));
            polled.push(own);
        });
    }
}

/// Whether the calling thread polls any listener.
pub(crate) fn is_polling() -> bool {
    let is_here = |poller: Arc<AtomicU32>| poller.load(Ordering::Relaxed) == os::thread_id();
    POLLED.try_with(|polled| {
        // An allocator may ask while the list grows.
        polled.try_borrow().map_or(true, |polled| polled.iter().filter_map(Weak::upgrade).any(is_here))
    }) != Ok(false)
}
