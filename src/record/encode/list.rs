//! Slices, arrays and vectors: a count word and the elements; scalars are packed in their natural size.
#![allow(unsafe_code, reason = "implements the unsafe traits of `encode`")]

use std::borrow::Cow;

use super::{Argument, Encode, count_word, put, storable};
use crate::callsite::Type;

/// A slice on its way into a record. Its elements are held one by one when they are written.
#[derive(Debug)]
pub struct Slice<'a, T>(&'a [T]);

// SAFETY: holds the elements as they are.
unsafe impl<T: Encode> Encode for [T] {
    type Held<'a>
        = Slice<'a, T>
    where
        Self: 'a;

    #[inline(always)]
    fn hold(&self) -> Slice<'_, T> {
        Slice(self)
    }
}

// SAFETY: as for a slice.
unsafe impl<T: Encode, const N: usize> Encode for [T; N] {
    type Held<'a>
        = Slice<'a, T>
    where
        Self: 'a;

    #[inline(always)]
    fn hold(&self) -> Slice<'_, T> {
        Slice(self)
    }
}

// SAFETY: as for a slice.
unsafe impl<T: Encode> Encode for Vec<T> {
    type Held<'a>
        = Slice<'a, T>
    where
        Self: 'a;

    #[inline(always)]
    fn hold(&self) -> Slice<'_, T> {
        Slice(self)
    }
}

// SAFETY: as for a slice; std's `Vec` is what an owned one is borrowed from.
unsafe impl<T: Encode + Clone> Encode for Cow<'_, [T]> {
    type Held<'a>
        = Slice<'a, T>
    where
        Self: 'a;

    #[inline(always)]
    fn hold(&self) -> Slice<'_, T> {
        Slice(self)
    }
}

impl<'a, T: Encode> Slice<'a, T> {
    /// The size of an element if elements are packed.
    const PACKED: Option<usize> = <T::Held<'a> as Argument>::TYPE.packed_bytes();

    /// Writes the first `stored` elements packed, after their count word.
    ///
    /// # Safety
    /// `size` is `PACKED`, `stored` at most the number of elements; `to` is aligned and valid for the count word and
    /// the words of the packed elements.
    #[inline(always)]
    unsafe fn put_packed(&self, to: *mut u64, stored: usize, size: usize) -> *mut u64 {
        // SAFETY: the count word or the last word of the elements, both within what the caller vouches for.
        let last = unsafe { to.add((stored * size).div_ceil(8)) };
        // SAFETY: as above; the zeros after the last element. If there is none the count word overwrites it.
        unsafe { last.write(0) };
        // SAFETY: the caller vouches for the count word.
        let content = unsafe { put(to, count_word(stored, self.0.len())) };
        let mut place = content.cast::<u8>();
        for element in &self.0[..stored] {
            // SAFETY: the caller vouches for `size` bytes for each stored element.
            unsafe { element.hold().write_packed(place) };
            // SAFETY: at most one past the last element.
            place = unsafe { place.add(size) };
        }
        // SAFETY: one past the last word.
        unsafe { last.add(1) }
    }
}

// SAFETY: a count word, then the packed elements or the words of each; counted as they are written, and limited to
// the number that the count word can say.
unsafe impl<'a, T: Encode> Argument for Slice<'a, T> {
    const TYPE: &'static Type<'static> = &Type::List(<T::Held<'a> as Argument>::TYPE);

    #[inline]
    fn words(&self) -> usize {
        let stored = storable(self.0.len());
        let content = match Self::PACKED {
            Some(size) => stored.saturating_mul(size).div_ceil(8),
            None => {
                self.0[..stored].iter().fold(0_usize, |sum, value| sum.saturating_add(value.hold().words()))
            }
        };
        content.saturating_add(1)
    }

    #[inline]
    unsafe fn write(&self, scratch: &[u8], to: *mut u64) -> *mut u64 {
        let stored = storable(self.0.len());
        match Self::PACKED {
            // SAFETY: the caller vouches for `words()` words, which are these.
            Some(size) => unsafe { self.put_packed(to, stored, size) },
            None => {
                // SAFETY: the caller vouches for the count word.
                let mut to = unsafe { put(to, count_word(stored, self.0.len())) };
                for element in &self.0[..stored] {
                    // SAFETY: the element's own words, the earlier ones wrote exactly theirs.
                    to = unsafe { element.hold().write(scratch, to) };
                }
                to
            }
        }
    }

    fn least_words(&self) -> usize {
        1
    }

    unsafe fn write_cut(&self, scratch: &[u8], to: *mut u64, spare: &mut usize) -> *mut u64 {
        let most = storable(self.0.len());
        if let Some(size) = Self::PACKED {
            let stored = most.min(spare.saturating_mul(8) / size);
            *spare -= (stored * size).div_ceil(8);
            // SAFETY: so many packed elements take no more than the spare words.
            return unsafe { self.put_packed(to, stored, size) };
        }
        // SAFETY: the caller vouches for the count word. It is written anew when the number is known.
        let mut place = unsafe { put(to, 0) };
        let mut stored = 0;
        for element in &self.0[..most] {
            let held = element.hold();
            let whole = held.words();
            if whole <= *spare {
                *spare -= whole;
                // SAFETY: these words were taken from the spare ones; held values are not eager, so that any scratch does.
                place = unsafe { held.write(scratch, place) };
                stored += 1;
                continue;
            }
            let least = held.least_words();
            if least <= *spare {
                *spare -= least;
                // SAFETY: the least words were taken from the spare ones; it takes the rest itself.
                place = unsafe { held.write_cut(scratch, place, spare) };
                stored += 1;
            }
            break;
        }
        // SAFETY: the count word again.
        unsafe { put(to, count_word(stored, self.0.len())) };
        place
    }
}
