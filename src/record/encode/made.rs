//! Arguments whose number and types are known at the call only, in the form of a record: for front ends without macros
//! of ours.
#![allow(unsafe_code, reason = "copies words to a place")]
#![allow(clippy::host_endian_bytes, reason = "ring records stay in the process that wrote them")]

use std::error::Error;
use std::fmt;

use super::eager::{append, append_chain};
use super::{count_word, put_bytes_cut, storable};
use crate::callsite::Type;
use crate::record::scope::Says;

/// More arguments than this are not kept typed.
pub(crate) const ARGUMENTS_MAX: usize = 32;

/// Arguments as they will lie in a record, made in a buffer: whatever code of the user's it takes runs here.
///
/// What adds one returns `false` if there are too many: then it is left out.
#[derive(Debug)]
pub struct Made<'a> {
    /// Whole words.
    bytes: &'a mut Vec<u8>,
    says: Option<Says>,
    /// How many of the words say that.
    span_words: usize,
    /// With the position of the first byte behind each.
    arguments: [(&'static Type<'static>, usize); ARGUMENTS_MAX],
    len: usize,
}

impl<'a> Made<'a> {
    /// None yet. The buffer is empty.
    pub(crate) fn new(bytes: &'a mut Vec<u8>, says: Option<Says>) -> Self {
        debug_assert!(bytes.is_empty());
        let (words, span_words) = says.map_or(([0; 2], 0), Says::words);
        words[..span_words].iter().for_each(|word| bytes.extend_from_slice(&word.to_ne_bytes()));
        Made { bytes, says, span_words, arguments: [(&Type::Unit, 0); ARGUMENTS_MAX], len: 0 }
    }

    /// How many there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether the argument at this position is text that only its own code could show.
    pub fn is_text(&self, position: usize) -> bool {
        self.arguments[..self.len].get(position).is_some_and(|(kind, _)| **kind == Type::Text)
    }

    /// The types in order.
    #[inline]
    pub fn types(&self) -> impl ExactSizeIterator<Item = &'static Type<'static>> {
        self.arguments[..self.len].iter().map(|(kind, _)| *kind)
    }

    /// An integer of up to 64 bits.
    #[inline]
    pub fn u64(&mut self, value: u64) -> bool {
        self.words(&Type::U64, &[value])
    }

    /// An integer of up to 64 bits.
    #[inline]
    pub fn i64(&mut self, value: i64) -> bool {
        self.words(&Type::I64, &[value as u64])
    }

    /// A large integer.
    pub fn u128(&mut self, value: u128) -> bool {
        self.words(&Type::U128, &[value as u64, (value >> 64) as u64])
    }

    /// A large integer.
    pub fn i128(&mut self, value: i128) -> bool {
        self.words(&Type::I128, &[value as u64, (value >> 64) as u64])
    }

    /// A float.
    #[inline]
    pub fn f64(&mut self, value: f64) -> bool {
        self.words(&Type::F64, &[value.to_bits()])
    }

    /// A `bool`.
    #[inline]
    pub fn bool(&mut self, value: bool) -> bool {
        self.words(&Type::Bool, &[value.into()])
    }

    /// A `char`.
    pub fn char(&mut self, value: char) -> bool {
        self.words(&Type::Char, &[value.into()])
    }

    /// A value that is absent.
    pub fn none(&mut self) -> bool {
        self.words(&Type::Option(&Type::Unit), &[0])
    }

    /// A string.
    #[inline]
    pub fn str(&mut self, value: &str) -> bool {
        self.bytes(&Type::Str, |bytes| bytes.extend_from_slice(value.as_bytes()))
    }

    /// What only its own code can show. Runs that.
    pub fn text(&mut self, text: fmt::Arguments<'_>) -> bool {
        self.bytes(&Type::Text, |bytes| append(bytes, text))
    }

    /// An error and its sources. Runs their code.
    pub fn error(&mut self, error: &dyn Error) -> bool {
        self.bytes(&Type::Error, |bytes| {
            append_chain(bytes, &error, error.source());
        })
    }

    #[inline]
    fn words(&mut self, kind: &'static Type<'static>, words: &[u64]) -> bool {
        words.iter().for_each(|word| self.bytes.extend_from_slice(&word.to_ne_bytes()));
        self.end(kind)
    }

    /// An argument of a count word and bytes.
    #[inline]
    fn bytes(&mut self, kind: &'static Type<'static>, append: impl FnOnce(&mut Vec<u8>)) -> bool {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 8]);
        append(self.bytes);
        let len = self.bytes.len() - at - 8;
        let stored = storable(len);
        self.bytes.truncate(at + 8 + stored);
        self.bytes.resize(at + 8 + stored.next_multiple_of(8), 0);
        self.bytes[at..at + 8].copy_from_slice(&count_word(stored, len).to_ne_bytes());
        self.end(kind)
    }

    #[inline]
    fn end(&mut self, kind: &'static Type<'static>) -> bool {
        let Some(place) = self.arguments.get_mut(self.len) else {
            self.bytes.truncate(self.arguments[ARGUMENTS_MAX - 1].1);
            return false;
        };
        *place = (kind, self.bytes.len());
        self.len += 1;
        true
    }

    /// Whether it opens, changes or closes a span.
    pub(crate) fn is_of_a_span(&self) -> bool {
        !matches!(self.says, None | Some(Says::In(_)))
    }

    /// Whether it changes or closes a span, which was opened whatever the filter says now.
    pub(crate) fn is_of_an_open_span(&self) -> bool {
        matches!(self.says, Some(Says::Records(_) | Says::Closes(_)))
    }

    /// How many words say something of spans.
    pub(crate) fn span_words(&self) -> usize {
        self.span_words
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
        // What is said of spans comes first, as if it were an argument.
        let front = (&Type::Unit, self.span_words * 8);
        for (kind, end) in std::iter::once(&front).chain(&self.arguments[..self.len]) {
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
            if let (Type::Str | Type::Text | Type::Error, Some((count, text))) =
                (kind, argument.split_first_chunk())
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

    /// A copy, to be sent later.
    pub fn keep(&self) -> Kept {
        Kept { bytes: self.bytes.clone(), says: self.says, arguments: self.arguments[..self.len].to_vec() }
    }
}

/// Arguments that were made and not sent.
#[derive(Debug)]
pub struct Kept {
    bytes: Vec<u8>,
    says: Option<Says>,
    arguments: Vec<(&'static Type<'static>, usize)>,
}

impl Kept {
    /// As they were.
    pub fn made(&mut self) -> Made<'_> {
        let Kept { bytes, says, arguments: kept } = self;
        let mut arguments = [(&Type::Unit, 0); ARGUMENTS_MAX];
        arguments[..kept.len()].copy_from_slice(kept);
        let span_words = says.map_or(0, |says| says.words().1);
        Made { bytes, says: *says, span_words, arguments, len: kept.len() }
    }
}
