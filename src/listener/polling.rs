//! Which threads take the rounds of listeners that have no thread of their own: such a thread does not wait for room in a queue,
//! as it may be the one that has to make it.
//!
//! A queue does not say who listens to it, so this is kept by thread, whatever the queue.

use std::cell::RefCell;

use crate::os;
use crate::sync::{Arc, AtomicU32, Ordering};

thread_local! {
    /// The listeners that the thread has polled; another one may poll them by now.
    static POLLED: RefCell<Vec<Arc<AtomicU32>>> = const { RefCell::new(Vec::new()) };
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
        // In a destructor of the thread's nobody waits anyway.
        let _ = POLLED.try_with(|polled| {
            let mut polled = polled.borrow_mut();
            polled.retain(|other| is_here(other) && !Arc::ptr_eq(other, &self.0));
            polled.push(self.0.clone());
        });
    }
}

fn is_here(poller: &Arc<AtomicU32>) -> bool {
    poller.load(Ordering::Relaxed) == os::thread_id()
}

/// Whether the calling thread polls any listener.
pub(crate) fn is_polling() -> bool {
    POLLED.try_with(|polled| {
        // An allocator may ask while the list grows.
        polled.try_borrow().map_or(true, |polled| polled.iter().any(is_here))
    }) != Ok(false)
}
