//! Arguments whose number and types are known at the call only, in the form of a record: for front ends without macros
//! of ours.
#![allow(unsafe_code, reason = "copies words to a place")]
#![allow(clippy::host_endian_bytes, reason = "ring records stay in the process that wrote them")]

use std::fmt;

use super::eager::append;
use super::{count_word, put_bytes_cut, storable};
use crate::callsite::Type;

/// More arguments than this are not kept typed.
pub(crate) const ARGUMENTS_MAX: usize = 32;

/// Arguments as they will lie in a record, made in a buffer: whatever code of the user's it takes runs here.
#[derive(Debug)]
pub(crate) struct Made<'a> {
    /// Whole words.
    bytes: &'a mut Vec<u8>,
    /// With the position of the first byte behind each.
    arguments: [(&'static Type<'static>, usize); ARGUMENTS_MAX],
    len: usize,
}

impl<'a> Made<'a> {
    /// None yet. The buffer is empty.
    pub(crate) fn new(bytes: &'a mut Vec<u8>) -> Self {
        debug_assert!(bytes.is_empty());
        Made { bytes, arguments: [(&Type::Unit, 0); ARGUMENTS_MAX], len: 0 }
    }

    /// The types in order.
    pub(crate) fn types(&self) -> impl ExactSizeIterator<Item = &'static Type<'static>> {
        self.arguments[..self.len].iter().map(|(kind, _)| *kind)
    }

    /// An argument of these words, unless there are too many.
    pub(crate) fn words(&mut self, kind: &'static Type<'static>, words: &[u64]) -> bool {
        words.iter().for_each(|word| self.bytes.extend_from_slice(&word.to_ne_bytes()));
        self.end(kind)
    }

    /// An argument of a count word and text, unless there are too many.
    pub(crate) fn text(&mut self, kind: &'static Type<'static>, text: fmt::Arguments<'_>) -> bool {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 8]);
        append(self.bytes, text);
        let len = self.bytes.len() - at - 8;
        let stored = storable(len);
        self.bytes.truncate(at + 8 + stored);
        self.bytes.resize(at + 8 + stored.next_multiple_of(8), 0);
        self.bytes[at..at + 8].copy_from_slice(&count_word(stored, len).to_ne_bytes());
        self.end(kind)
    }

    fn end(&mut self, kind: &'static Type<'static>) -> bool {
        let Some(place) = self.arguments.get_mut(self.len) else { return false };
        *place = (kind, self.bytes.len());
        self.len += 1;
        true
    }

    /// How many words they take.
    pub(crate) fn len_words(&self) -> usize {
        self.bytes.len() / 8
    }

    /// Copies them.
    ///
    /// # Safety
    /// `to` is aligned and valid for writes of [`len_words`](Made::len_words) words.
    pub(crate) unsafe fn write(&self, to: *mut u64) {
        // SAFETY: the caller vouches for so many bytes; a ring and the buffer do not overlap.
        unsafe { std::ptr::copy_nonoverlapping(self.bytes.as_ptr(), to.cast::<u8>(), self.bytes.len()) };
    }

    /// Copies whole arguments as long as they fit, and of the next one, if it is text, what fits. Returns how many words.
    #[cold]
    pub(crate) fn write_cut(&self, into: &mut [u64]) -> usize {
        let mut used = 0;
        let mut start = 0;
        for (kind, end) in &self.arguments[..self.len] {
            let argument = &self.bytes[start..*end];
            start = *end;
            let room = &mut into[used..];
            if let Some(place) = room.get_mut(..argument.len() / 8) {
                for (word, bytes) in place.iter_mut().zip(argument.as_chunks().0) {
                    *word = u64::from_ne_bytes(*bytes);
                }
                used += argument.len() / 8;
                continue;
            }
            if let (Type::Str | Type::Text, Some((count, text))) = (kind, argument.split_first_chunk())
                && !room.is_empty()
            {
                let full = (u64::from_ne_bytes(*count) >> 32) as usize;
                let mut spare = room.len() - 1;
                let text = &text[..full.min(text.len())];
                // SAFETY: the slice is aligned and holds a word more than the spare ones.
                unsafe { put_bytes_cut(room.as_mut_ptr(), text, &mut spare) };
                used += room.len() - spare;
            }
            break;
        }
        used
    }
}
