//! A thread's place for something that an interrupt must not find half used.
//!
//! A log call takes the value out, works with it, and puts it back. A signal handler that logs meanwhile finds the
//! place empty, and its record is counted as nested. The only other reader of a slot is such a handler, on the same
//! thread, so compiler fences order the taking and the putting back.
#![allow(unsafe_code, reason = "a box behind a raw pointer, so that the thread-local needs no destructor")]

use std::cell::Cell;
use std::ptr;

use crate::sync::{Ordering, compiler_fence};

/// Owns at most one boxed value. Has no `Drop`, so that a thread-local of it stays readable in every destructor of
/// its thread: whoever installs a value has to [`remove`](Slot::remove) it again.
#[derive(Debug)]
pub(crate) struct Slot<T> {
    value: Cell<*mut T>,
}

impl<T> Slot<T> {
    pub(crate) const fn new() -> Self {
        Slot { value: Cell::new(ptr::null_mut()) }
    }

    /// Lends the value to `work`, during which the slot is empty. `None` if it is empty already.
    ///
    /// If `work` panics the slot stays empty and the value is leaked; nothing that is lent to here can panic.
    #[inline(always)]
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> Option<R> {
        self.with_or(None, |value| Some(work(value)))
    }

    /// As [`with`](Self::with), but `otherwise` if the slot is empty: a caller that names a value which `work` never
    /// returns is spared a second word of result.
    #[inline(always)]
    pub(crate) fn with_or<R>(&self, otherwise: R, work: impl FnOnce(&mut T) -> R) -> R {
        let value = self.value.get();
        if value.is_null() {
            return otherwise;
        }
        self.value.set(ptr::null_mut());
        compiler_fence(Ordering::SeqCst);
        // SAFETY: the pointer came from `install`; the slot held the only one, and was emptied above, so this is
        // the only reference until it is put back.
        let result = work(unsafe { &mut *value });
        compiler_fence(Ordering::SeqCst);
        self.value.set(value);
        result
    }

    /// Whether there is no value, or it is lent.
    pub(crate) fn is_empty(&self) -> bool {
        self.value.get().is_null()
    }

    /// Puts a value in; one that was there is dropped.
    pub(crate) fn install(&self, value: Box<T>) {
        drop(self.remove());
        compiler_fence(Ordering::SeqCst);
        self.value.set(Box::into_raw(value));
    }

    /// Takes the value out. An interrupt that comes while it goes from one slot to another finds both empty.
    pub(crate) fn remove(&self) -> Option<Box<T>> {
        let value = self.value.replace(ptr::null_mut());
        compiler_fence(Ordering::SeqCst);
        if value.is_null() {
            return None;
        }
        // SAFETY: the pointer came from `Box::into_raw` in `install`, and the slot held the only copy.
        Some(unsafe { Box::from_raw(value) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_is_out_while_it_is_lent() {
        let slot = Slot::new();
        assert_eq!(slot.with(|_: &mut u32| ()), None);
        slot.install(Box::new(1));
        let seen = slot.with(|value| {
            *value += 1;
            (*value, slot.with(|_| ()).is_none())
        });
        assert_eq!(seen, Some((2, true)));
        assert_eq!(slot.remove().as_deref(), Some(&2));
        assert_eq!(slot.with(|_| ()), None);
    }
}
