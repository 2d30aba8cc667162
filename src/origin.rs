//! Which process something was made in.
//!
//! A child of `fork` has a copy of everything but the threads: of engines whose listener is gone, of rings in the middle
//! of a record, of locks whose holder is gone. It has no right to any of it, as what is pending is the parent's to write.
//! So whoever is about to use an engine's locks or handlers asks first whether the engine is of this process. What is the
//! process's own, its list of engines and the dictionary, is kept usable by [`process`](crate::process).

#[cfg(not(treering_loom))]
use std::hash::{BuildHasher, Hasher, RandomState};

#[cfg(not(treering_loom))]
use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// How many forks lie between the first process and this one.
#[cfg(not(treering_loom))]
static GENERATION: AtomicU32 = AtomicU32::new(0);
/// See [`token`]; 0 as long as nobody asked.
#[cfg(not(treering_loom))]
static TOKEN: AtomicU64 = AtomicU64::new(0);

/// See the module's documentation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Origin {
    generation: u32,
}

impl Origin {
    /// This process.
    pub(crate) fn here() -> Self {
        Origin { generation: generation() }
    }

    /// Whether that is no child of a `fork` that we saw.
    #[cfg(not(treering_loom))]
    pub(crate) fn is_first(self) -> bool {
        self.generation == 0
    }

    /// Whether that is this process still.
    pub(crate) fn is_here(self) -> bool {
        self == Origin::here()
    }
}

/// Relaxed: a child has one thread, the one that changed it.
#[cfg(not(treering_loom))]
fn generation() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}

/// Models do not fork.
#[cfg(treering_loom)]
fn generation() -> u32 {
    0
}

/// In a child of `fork`, first of all: from now on this is another process.
#[cfg(not(treering_loom))]
pub(crate) fn begin() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
}

/// What tells this process from those that have its number, elsewhere or later: a random number, never 0. A child of
/// `fork` has it too, and a number of its own.
#[cfg(not(treering_loom))]
pub(crate) fn token() -> u64 {
    match TOKEN.load(Ordering::Relaxed) {
        0 => {
            let drawn = RandomState::new().build_hasher().finish().max(1);
            TOKEN.compare_exchange(0, drawn, Ordering::Relaxed, Ordering::Relaxed).err().unwrap_or(drawn)
        }
        token => token,
    }
}

/// Models have one process.
#[cfg(treering_loom)]
pub(crate) fn token() -> u64 {
    1
}
