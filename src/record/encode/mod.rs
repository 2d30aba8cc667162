//! From the arguments of a call to words in a ring, on the caller's thread.
//!
//! ```text
//!  user's value ──hold()──► Argument ──format()──► (scratch) ──words()──► space is reserved ──write()──► words
//!   &T: Encode              a value,     eager ones only,                                     straight
//!   or any &T               no address   runs user code                                       stores
//! ```
//! Two traits keep the order. An [`Encode`] type hands a *held* form of itself over **by value**, so that a scalar's
//! address is never taken and a disabled call stores nothing. What is not `Encode` becomes text in a scratch buffer
//! *before* space is reserved: between reserve and commit no user code runs and nothing panics, which is why both
//! traits are unsafe to implement.
//!
//! `words` is exact, so one reservation is enough. For a record that is too long for its ring there is a second,
//! cold, way to write: each argument says how little it can make do with, and the variable parts share what is left
//! in order. How each type lies is drawn in docs/record-format.md; [`tiers`] chooses between held and text.
#![allow(unsafe_code, reason = "writes words through a pointer into reserved space")]

pub(crate) mod derived;
mod eager;
mod leaves;
mod list;
pub(crate) mod made;
#[cfg(test)]
mod tests;
pub(crate) mod tiers;

pub use eager::{Failure, Formatted, Frames, Inspected, Shown};
pub use leaves::Chars;
pub use list::Slice;

use crate::callsite::{Schema, Type};

/// A type whose values are copied into the record and formatted later.
///
/// Implemented for integers, floats, `bool`, `char`, `()`, strings, `Duration`, IP and socket addresses, and for
/// options, tuples of up to eight, slices, arrays, vectors and references of such. For types of your own:
/// [`#[derive(Encode)]`](macro@crate::Encode).
///
/// # Safety
/// `hold`, and everything that the held value's [`Argument`] does, must run no code of others, must not panic, and
/// must see the same content as long as the borrow lasts: no interior mutability. The held value is not eager.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be kept in a record as it is",
    note = "add `#[derive(treering::Encode)]` to it; or `#[encode(skip)]` to the field of a type that derives it"
)]
pub unsafe trait Encode {
    /// What is handed over: a scalar by value, a string as pointer and length.
    type Held<'a>: Argument
    where
        Self: 'a;

    /// Borrows what a record needs.
    fn hold(&self) -> Self::Held<'_>;
}

/// An [`Encode`] type that the listener prints, by any spec, as the type's own formatting traits do. Of the others it
/// prints what `#[derive(Debug)]` would; what their `Display` says is formatted at the call.
pub trait Plain: Encode {}

/// One value on its way into a ring.
///
/// # Safety
/// `words`, `least_words`, `write`, `write_cut` and `write_packed` must not panic or run code of others, and must
/// give the same results each time once `format` was called. `write` must initialise exactly `words()` words,
/// `write_cut` exactly `least_words()` plus as many as it takes from `spare`, both as [`TYPE`](Argument::TYPE) says.
pub unsafe trait Argument {
    /// How it lies in the record.
    const TYPE: &'static Type<'static>;

    /// Whether [`format`](Argument::format) must be called before anything else.
    const EAGER: bool = false;

    /// Appends the text of an eager argument to `scratch` and remembers where. Runs user code.
    fn format(&mut self, scratch: &mut Vec<u8>) {
        let _ = scratch;
    }

    /// How many words [`write`](Argument::write) writes.
    fn words(&self) -> usize;

    /// Writes the argument and returns the place after it.
    ///
    /// # Safety
    /// `to` is aligned and valid for writes of `words()` words; `scratch` begins with what
    /// [`format`](Argument::format) left in it.
    unsafe fn write(&self, scratch: &[u8], to: *mut u64) -> *mut u64;

    /// How many words it needs with all its variable parts empty.
    fn least_words(&self) -> usize {
        self.words()
    }

    /// Writes what fits into the least words and `spare` further ones, and takes from `spare` what it used.
    ///
    /// # Safety
    /// `to` is aligned and valid for writes of `least_words() + spare` words. Any scratch is sound: an eager argument
    /// leaves out what is not in it.
    unsafe fn write_cut(&self, scratch: &[u8], to: *mut u64, spare: &mut usize) -> *mut u64 {
        let _ = spare;
        // SAFETY: the caller vouches for the least words, which by default are all; an eager argument, the only one
        // that looks into the scratch, has a way of its own.
        unsafe { self.write(scratch, to) }
    }

    /// Writes an element of a list in its natural size. Called only for types that
    /// `Type::packed_bytes` gives a size to.
    ///
    /// # Safety
    /// `to` is valid for writes of that size.
    unsafe fn write_packed(&self, to: *mut u8) {
        let _ = to;
        debug_assert!(false, "a type with a packed size says how it is packed");
    }
}

/// The argument list of a call: nested pairs `(A, (B, ()))`, so that there is no greatest number of arguments.
///
/// # Safety
/// As for [`Argument`], over the whole list.
pub unsafe trait Arguments {
    /// The types in order.
    const SCHEMA: &'static Schema;

    /// What the callsite's gate is compared with.
    const HASH: u32 = Self::SCHEMA.hash();

    /// Whether any argument is eager.
    const EAGER: bool;

    /// Formats the eager arguments. Runs user code, which may panic and may log.
    fn format(&mut self, scratch: &mut Vec<u8>);

    /// How many words [`write`](Arguments::write) writes.
    fn words(&self) -> usize;

    /// Writes all arguments and returns the place after them.
    ///
    /// # Safety
    /// `to` is aligned and valid for writes of `words()` words; `scratch` begins with what
    /// [`format`](Arguments::format) left in it.
    unsafe fn write(&self, scratch: &[u8], to: *mut u64) -> *mut u64;

    /// How many words are needed with all variable parts empty.
    fn least_words(&self) -> usize;

    /// Writes arguments as long as they fit into `room` words, of which the variable parts may take `spare`.
    ///
    /// # Safety
    /// `to` is aligned and valid for writes of `room` words. Any scratch is sound.
    unsafe fn write_within(&self, scratch: &[u8], to: *mut u64, room: usize, spare: usize) -> *mut u64;

    /// Writes what fits and returns how many words that is: variable parts share the room in order; if even their
    /// least does not fit, the last arguments are absent.
    ///
    /// In a scratch that [`format`](Arguments::format) did not fill, text is missing.
    #[cold]
    fn write_cut(&self, scratch: &[u8], into: &mut [u64]) -> usize {
        let spare = into.len().saturating_sub(self.least_words());
        let start = into.as_mut_ptr();
        // SAFETY: the slice is aligned and valid for its own length.
        let end = unsafe { self.write_within(scratch, start, into.len(), spare) };
        (end.addr() - start.addr()) / size_of::<u64>()
    }
}

// SAFETY: writes nothing.
unsafe impl Arguments for () {
    const SCHEMA: &'static Schema = &Schema::End;
    const EAGER: bool = false;

    #[inline(always)]
    fn format(&mut self, _: &mut Vec<u8>) {}

    #[inline(always)]
    fn words(&self) -> usize {
        0
    }

    #[inline(always)]
    unsafe fn write(&self, _: &[u8], to: *mut u64) -> *mut u64 {
        to
    }

    fn least_words(&self) -> usize {
        0
    }

    unsafe fn write_within(&self, _: &[u8], to: *mut u64, _: usize, _: usize) -> *mut u64 {
        to
    }
}

// SAFETY: the head's words, then the tail's; each keeps its own contract.
unsafe impl<A: Argument, B: Arguments> Arguments for (A, B) {
    const SCHEMA: &'static Schema = &Schema::Then(A::TYPE, B::SCHEMA);
    const EAGER: bool = A::EAGER || B::EAGER;

    #[inline(always)]
    fn format(&mut self, scratch: &mut Vec<u8>) {
        self.0.format(scratch);
        self.1.format(scratch);
    }

    #[inline(always)]
    fn words(&self) -> usize {
        self.0.words().saturating_add(self.1.words())
    }

    #[inline(always)]
    unsafe fn write(&self, scratch: &[u8], to: *mut u64) -> *mut u64 {
        // SAFETY: the caller vouches for the words of both, the head's come first.
        let to = unsafe { self.0.write(scratch, to) };
        // SAFETY: the head wrote exactly its own words.
        unsafe { self.1.write(scratch, to) }
    }

    fn least_words(&self) -> usize {
        self.0.least_words().saturating_add(self.1.least_words())
    }

    unsafe fn write_within(&self, scratch: &[u8], to: *mut u64, room: usize, spare: usize) -> *mut u64 {
        let least = self.0.least_words();
        if least > room {
            return to;
        }
        debug_assert!(spare <= room - least);
        let mut left = spare;
        // SAFETY: `spare` is 0, or what is left when the least words of all have their place.
        let to = unsafe { self.0.write_cut(scratch, to, &mut left) };
        // SAFETY: the head took its least words and `spare - left` from the room.
        unsafe { self.1.write_within(scratch, to, room - least - (spare - left), left) }
    }
}

/// Appends a value as it lies in a record, and says what it is.
pub(crate) fn append<T: Encode + ?Sized>(value: &T, words: &mut Vec<u64>) -> &'static Type<'static> {
    fn list<A: Arguments>(arguments: &A, words: &mut Vec<u64>) {
        let start = words.len();
        words.resize(start + arguments.words(), 0);
        // Into as much room as it needs; what is held is not eager, and has no scratch.
        let written = arguments.write_cut(&[], &mut words[start..]);
        debug_assert_eq!(written, words.len() - start);
    }
    list(&(value.hold(), ()), words);
    <T::Held<'_> as Argument>::TYPE
}

/// Writes one word and returns the place after it.
///
/// # Safety
/// `to` is aligned and valid for a write of one word.
#[inline(always)]
unsafe fn put(to: *mut u64, word: u64) -> *mut u64 {
    debug_assert!(to.is_aligned());
    // SAFETY: the caller vouches for the place.
    unsafe { to.write(word) };
    // SAFETY: at most one past what the caller vouches for.
    unsafe { to.add(1) }
}

/// How many bytes or elements a record can hold of `len`, as its count has 32 bits.
#[inline(always)]
fn storable(len: usize) -> usize {
    len.min(u32::MAX as usize)
}

/// How many words so many bytes take.
#[inline(always)]
fn words_of(stored: usize) -> usize {
    // Not `div_ceil`, which is prepared for a sum that overflows: `stored` has 32 bits.
    (stored + 7) >> 3
}

/// The word before the bytes of a string or the elements of a list: how many are stored, and how many there were.
#[inline(always)]
fn count_word(stored: usize, full: usize) -> u64 {
    debug_assert!(stored <= storable(full));
    stored as u64 | (storable(full) as u64) << 32
}

/// Writes a count word and the first `stored` of `bytes`, padded with zeros to words.
///
/// # Safety
/// `stored` is at most the length of `bytes`; `to` is valid for `1 + words_of(stored)` words, aligned or not.
#[inline(always)]
unsafe fn put_bytes(to: *mut u64, bytes: &[u8], stored: usize) -> *mut u64 {
    debug_assert!(stored <= bytes.len());
    // SAFETY: the count word or the last word of the bytes, both within what the caller vouches for.
    let last = unsafe { to.add(words_of(stored)) };
    // SAFETY: as above. For an empty string this is the count word's place, which is written next.
    unsafe { last.write_unaligned(0) };
    // SAFETY: the caller vouches for the count word.
    unsafe { to.write_unaligned(count_word(stored, bytes.len())) };
    // SAFETY: behind the count word, at most one past what the caller vouches for.
    let content = unsafe { to.add(1) };
    // SAFETY: the caller vouches for both ends; a ring's reserved space and the user's bytes do not overlap.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), content.cast::<u8>(), stored) };
    // SAFETY: one past the last word.
    unsafe { last.add(1) }
}

/// As [`put_bytes`], but no more than fits into `spare` words, which are taken from it. A character may be cut in
/// two; the decoder leaves its first half out.
///
/// # Safety
/// `to` is aligned and valid for `1 + spare` words.
unsafe fn put_bytes_cut(to: *mut u64, bytes: &[u8], spare: &mut usize) -> *mut u64 {
    let stored = storable(bytes.len()).min(spare.saturating_mul(8));
    *spare -= words_of(stored);
    // SAFETY: `stored` bytes take no more than the spare words.
    unsafe { put_bytes(to, bytes, stored) }
}
