//! Which engine was told of a context: its records carry its number only, so those that say what it is must be there first.
//!
//! ```text
//!  who tells                             who logs in it
//!  1  records that open it, and those    1  told: load(Acquire); it is this engine
//!     around it, in its own ring         2  a record in the context, in its own ring
//!  2  told: store(Release)
//! ```
//! So the second one's 2 happens after the first one's 1, and the listener, which keeps causes before effects, takes the
//! records that open it first, from whichever ring.

use std::iter;

use crate::sync::{AtomicU64, Ordering, ordering};

/// What is told is in a ring before this is stored, and whoever loads it logs after that.
const TELLS: Ordering = ordering!(Release, unless "relaxed_told");
const SEES: Ordering = ordering!(Acquire, unless "relaxed_told");

/// The number of the engine that was told of a context and of those around it, or 0.
#[derive(Debug)]
pub(crate) struct Told {
    told: AtomicU64,
}

impl Told {
    pub(crate) fn none() -> Self {
        Told { told: AtomicU64::new(0) }
    }

    pub(crate) fn engine(&self) -> u64 {
        self.told.load(SEES)
    }

    fn set(&self, engine: u64) {
        self.told.store(engine, TELLS);
    }
}

/// What may have another one around it.
pub(crate) trait Nested {
    fn told(&self) -> &Told;
    fn around(&self) -> Option<&Self>;
}

/// Has the engine of this number told of it, and of those around it, by `send`, which returns whether that was placed.
/// The innermost first: the listener needs them all, in whatever order, before a record that is in them.
pub(crate) fn tell<T: Nested>(innermost: &T, engine: u64, send: impl FnMut(&T) -> bool) {
    let untold = || {
        iter::successors(Some(innermost), |nested| nested.around())
            .take_while(|nested| nested.told().engine() != engine)
    };
    #[cfg(treering_mutant = "told_before_said")]
    untold().for_each(|nested| nested.told().set(engine));
    #[cfg(treering_mutant = "told_each")]
    let send = {
        let mut send = send;
        move |nested: &T| {
            let is_placed = send(nested);
            nested.told().set(engine);
            is_placed
        }
    };
    if untold().all(send) {
        untold().for_each(|nested| nested.told().set(engine));
    }
}
