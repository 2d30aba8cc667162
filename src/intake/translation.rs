//! Frames that are no portable records become some, by a function of the user's.

use std::error::Error as StdError;
use std::fmt;

use bumpalo::Bump;

use super::report::Fate;
use crate::fault::{guarded, text_of};

/// Appends the portable record that a frame is.
type Translate = Box<dyn FnMut(&[u8], &mut Vec<u8>) -> Result<(), Box<dyn StdError + Send + Sync>> + Send>;

/// See [`Listener::translate`](super::Listener::translate).
pub(super) struct Translation {
    translate: Translate,
    /// What it appends to.
    record: Vec<u8>,
}

impl Translation {
    pub(super) fn new(
        translate: impl FnMut(&[u8], &mut Vec<u8>) -> Result<(), Box<dyn StdError + Send + Sync>> + Send + 'static,
    ) -> Self {
        Translation { translate: Box::new(translate), record: Vec::new() }
    }

    /// The portable record that a frame is, or may be.
    pub(super) fn run<'a>(&mut self, frame: &[u8], arena: &'a Bump) -> Result<&'a [u8], Fate> {
        self.record.clear();
        match guarded(|| (self.translate)(frame, &mut self.record)) {
            Ok(Ok(())) => Ok(arena.alloc_slice_copy(&self.record)),
            Ok(Err(error)) => Err(Fate::Malformed(text_of(error))),
            Err(panic) => Err(Fate::Malformed(format!("its translation panicked: {panic}"))),
        }
    }
}

impl fmt::Debug for Translation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Translation").finish_non_exhaustive()
    }
}
