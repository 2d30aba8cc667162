//! Arguments whose number and types are known at the call only, in the form of a record: for front ends without macros
//! of ours.
#![allow(unsafe_code, reason = "copies words to a place")]
#![allow(clippy::host_endian_bytes, reason = "ring records stay in the process that wrote them")]

use std::error::Error;
use std::fmt;

use super::eager::{append, append_chain};
use super::{count_word, put_bytes, put_bytes_cut, storable, words_of};
use crate::callsite::Type;
use crate::record::scope::Says;

/// More arguments than this are not kept typed: as many as [`Kinds`] have room for.
pub(crate) const ARGUMENTS_MAX: usize = (u128::BITS / Kind::BITS) as usize;

/// What an argument that is made at run time can be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    U64 = 1,
    I64,
    U128,
    I128,
    F64,
    Bool,
    Char,
    None,
    Str,
    Text,
    Error,
}

impl Kind {
    const BITS: u32 = 4;
    /// From 1 on.
    const ALL: [Kind; 11] = [
        Kind::U64,
        Kind::I64,
        Kind::U128,
        Kind::I128,
        Kind::F64,
        Kind::Bool,
        Kind::Char,
        Kind::None,
        Kind::Str,
        Kind::Text,
        Kind::Error,
    ];

    fn of_type(self) -> &'static Type<'static> {
        match self {
            Kind::U64 => &Type::U64,
            Kind::I64 => &Type::I64,
            Kind::U128 => &Type::U128,
            Kind::I128 => &Type::I128,
            Kind::F64 => &Type::F64,
            Kind::Bool => &Type::Bool,
            Kind::Char => &Type::Char,
            Kind::None => &Type::Option(&Type::Unit),
            Kind::Str => &Type::Str,
            Kind::Text => &Type::Text,
            Kind::Error => &Type::Error,
        }
    }

    /// How many bytes such an argument has that begins with this word.
    fn bytes(self, first: u64) -> usize {
        match self {
            Kind::U128 | Kind::I128 => 16,
            Kind::Str | Kind::Text | Kind::Error => 8 + 8 * words_of(first as u32 as usize),
            _ => 8,
        }
    }
}

/// The kinds of arguments in one number, four bits each, the last one lowest. None is 0, so it says how many they are, too.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Kinds(u128);

impl Kinds {
    #[inline]
    fn push(&mut self, kind: Kind) {
        self.0 = self.0 << Kind::BITS | kind as u128;
    }

    fn len(self) -> usize {
        (u128::BITS - self.0.leading_zeros()).div_ceil(Kind::BITS) as usize
    }

    fn get(self, position: usize) -> Option<Kind> {
        let behind = self.len().checked_sub(position + 1)?;
        let kind = (self.0 >> (Kind::BITS as usize * behind)) as usize & ((1 << Kind::BITS) - 1);
        Kind::ALL.get(kind.checked_sub(1)?).copied()
    }

    fn iter(self) -> impl Iterator<Item = Kind> {
        (0..).map_while(move |position| self.get(position))
    }
}

/// Arguments as they will lie in a record, made in a buffer: whatever code of the user's it takes runs here.
///
/// What adds one returns `false` if there are too many: then it is left out.
#[derive(Clone, Debug)]
pub struct Made {
    /// Whole words.
    bytes: Vec<u8>,
    /// How many of the words say something of spans.
    span_words: usize,
    kinds: Kinds,
    len: usize,
    is_of_a_span: bool,
    is_judged: bool,
}

impl Made {
    /// None yet. The buffer is empty.
    #[inline]
    pub(crate) fn new(mut bytes: Vec<u8>, says: Option<Says>) -> Self {
        debug_assert!(bytes.is_empty());
        let (words, span_words) = says.map_or(([0; 2], 0), Says::words);
        bytes.extend_from_slice(words.map(u64::to_ne_bytes).as_flattened());
        bytes.truncate(span_words * 8);
        Made {
            bytes,
            span_words,
            kinds: Kinds::default(),
            len: 0,
            is_of_a_span: !matches!(says, None | Some(Says::In(_))),
            is_judged: matches!(says, Some(Says::Records(_) | Says::Closes(_))),
        }
    }

    /// The buffer, to be used again.
    #[inline]
    pub(crate) fn into_buffer(self) -> Vec<u8> {
        self.bytes
    }

    /// How many there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the argument at this position is text that only its own code could show.
    pub fn is_text(&self, position: usize) -> bool {
        self.kinds.get(position) == Some(Kind::Text)
    }

    /// The types in order, as one number.
    #[inline]
    pub(crate) fn kinds(&self) -> Kinds {
        self.kinds
    }

    /// The types in order.
    pub(crate) fn types(&self) -> impl Iterator<Item = &'static Type<'static>> {
        self.kinds.iter().map(Kind::of_type)
    }

    /// An integer of up to 64 bits.
    #[inline]
    pub fn u64(&mut self, value: u64) -> bool {
        self.words(Kind::U64, &[value])
    }

    /// An integer of up to 64 bits.
    #[inline]
    pub fn i64(&mut self, value: i64) -> bool {
        self.words(Kind::I64, &[value as u64])
    }

    /// A large integer.
    pub fn u128(&mut self, value: u128) -> bool {
        self.words(Kind::U128, &[value as u64, (value >> 64) as u64])
    }

    /// A large integer.
    pub fn i128(&mut self, value: i128) -> bool {
        self.words(Kind::I128, &[value as u64, (value >> 64) as u64])
    }

    /// A float.
    #[inline]
    pub fn f64(&mut self, value: f64) -> bool {
        self.words(Kind::F64, &[value.to_bits()])
    }

    /// A `bool`.
    #[inline]
    pub fn bool(&mut self, value: bool) -> bool {
        self.words(Kind::Bool, &[value.into()])
    }

    /// A `char`.
    pub fn char(&mut self, value: char) -> bool {
        self.words(Kind::Char, &[value.into()])
    }

    /// A value that is absent.
    pub fn none(&mut self) -> bool {
        self.words(Kind::None, &[0])
    }

    /// A string.
    #[inline]
    pub fn str(&mut self, value: &str) -> bool {
        let stored = storable(value.len());
        let len = 8 * (1 + words_of(stored));
        if self.bytes.capacity() - self.bytes.len() < len {
            return self.str_slowly(value, len);
        }
        self.add(Kind::Str, |bytes| {
            // SAFETY: the end of what is there is within the buffer.
            let to = unsafe { bytes.as_mut_ptr().add(bytes.len()) };
            // SAFETY: there is room for so many bytes more, which are written next.
            unsafe { bytes.set_len(bytes.len() + len) };
            // SAFETY: `len` is that of the count word and of `stored` bytes, filled up to words.
            unsafe { put_bytes(to.cast(), value.as_bytes(), stored) };
        })
    }

    /// What only its own code can show. Runs that.
    #[inline]
    pub fn text(&mut self, text: fmt::Arguments<'_>) -> bool {
        self.text_of(Kind::Text, |bytes| append(bytes, text))
    }

    /// An error and its sources. Runs their code.
    pub fn error(&mut self, error: &dyn Error) -> bool {
        self.text_of(Kind::Error, |bytes| {
            append_chain(bytes, &error, error.source());
        })
    }

    #[inline]
    fn words<const N: usize>(&mut self, kind: Kind, words: &[u64; N]) -> bool {
        if self.bytes.capacity() - self.bytes.len() < 8 * N {
            return self.words_slowly(kind, words);
        }
        self.add(kind, |bytes| bytes.extend_from_slice(words.map(u64::to_ne_bytes).as_flattened()))
    }

    /// The buffer grows first, in tail position, too.
    #[cold]
    #[inline(never)]
    fn str_slowly(&mut self, value: &str, len: usize) -> bool {
        self.bytes.reserve(len);
        self.str(value)
    }

    /// The buffer grows first. In tail position, so that those for whom it need not save no registers.
    #[cold]
    #[inline(never)]
    fn words_slowly<const N: usize>(&mut self, kind: Kind, words: &[u64; N]) -> bool {
        self.bytes.reserve(8 * N);
        self.words(kind, words)
    }

    /// An argument of a count word and bytes.
    #[inline]
    fn text_of(&mut self, kind: Kind, append: impl FnOnce(&mut Vec<u8>)) -> bool {
        self.add(kind, |bytes| {
            let at = bytes.len();
            bytes.extend_from_slice(&[0; 8]);
            append(OpenText { bytes, at }.bytes);
        })
    }

    #[inline]
    fn add(&mut self, kind: Kind, append: impl FnOnce(&mut Vec<u8>)) -> bool {
        let has_room = self.len < ARGUMENTS_MAX;
        if has_room {
            self.kinds.push(kind);
            self.len += 1;
            // Last, so that what needs no more than a copy is in tail position.
            append(&mut self.bytes);
        }
        has_room
    }

    /// The front end has a filter of its own, and this has passed it: the engine's is not asked.
    #[inline]
    pub fn judge(&mut self) {
        self.is_judged = true;
    }

    /// Whether the engine's filter has no say: one that changes or closes a span is of a span that was opened, whatever
    /// the filter says now.
    #[inline]
    pub(crate) fn is_judged(&self) -> bool {
        self.is_judged
    }

    /// Whether it opens, changes or closes a span.
    pub(crate) fn is_of_a_span(&self) -> bool {
        self.is_of_a_span
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
        // SAFETY: the caller vouches for so many words; a ring and the buffer do not overlap.
        unsafe { to.cast::<u8>().copy_from_nonoverlapping(self.bytes.as_ptr(), self.bytes.len()) };
    }

    /// Copies whole arguments as long as they fit, and of the next one, if it is text, what fits. Returns how many words.
    #[cold]
    pub(crate) fn write_cut(&self, into: &mut [u64]) -> usize {
        let mut used = 0;
        // What is said of spans comes first.
        let (said, mut rest) = self.bytes.as_chunks().0.split_at(self.span_words);
        if !copy(said, into, &mut used) {
            return used;
        }
        for kind in self.kinds.iter() {
            let first = rest.first().map_or(0, |word| u64::from_ne_bytes(*word));
            let (argument, after) = rest.split_at(kind.bytes(first) / 8);
            rest = after;
            if copy(argument, into, &mut used) {
                continue;
            }
            let room = &mut into[used..];
            if let (Kind::Str | Kind::Text | Kind::Error, false) = (kind, room.is_empty()) {
                let text = &argument[1..].as_flattened()[..first as u32 as usize];
                let mut spare = room.len() - 1;
                // SAFETY: the slice is aligned and holds a word more than the spare ones.
                unsafe { put_bytes_cut(room.as_mut_ptr(), text, &mut spare) };
                used += room.len() - spare;
            }
            break;
        }
        used
    }
}

/// A text that code of the user's makes, behind the place of its count word. It is closed also where that code panics, as a front
/// end may catch that and go on: so there are whole words always, and as many texts as kinds say.
struct OpenText<'a> {
    bytes: &'a mut Vec<u8>,
    at: usize,
}

impl Drop for OpenText<'_> {
    #[inline]
    fn drop(&mut self) {
        close_text(self.bytes, self.at);
    }
}

/// Fills the last word of a text up with zeros, and says at its beginning how long it is.
#[inline]
fn close_text(bytes: &mut Vec<u8>, at: usize) {
    let len = bytes.len() - at - 8;
    let stored = storable(len);
    // At most seven zeros; a constant number of bytes is written fastest.
    bytes.reserve(8);
    // SAFETY: the text begins behind its count word, which lies within what is there.
    let text = unsafe { bytes.as_mut_ptr().add(at + 8) };
    // SAFETY: so much of the text is there.
    let end = unsafe { text.add(stored) };
    // SAFETY: there is room for a word behind what is there.
    unsafe { end.cast::<u64>().write_unaligned(0) };
    // SAFETY: the text and the zeros behind it were written, and are less than what there is room for.
    unsafe { bytes.set_len(at + 8 + 8 * words_of(stored)) };
    bytes[at..at + 8].copy_from_slice(&count_word(stored, len).to_ne_bytes());
}

/// Copies words behind those that are used, if all of them fit.
fn copy(words: &[[u8; 8]], into: &mut [u64], used: &mut usize) -> bool {
    let room = into[*used..].get_mut(..words.len());
    let fits = room.is_some();
    for (to, word) in room.into_iter().flatten().zip(words) {
        *to = u64::from_ne_bytes(*word);
    }
    *used += if fits { words.len() } else { 0 };
    fits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(made: &mut Made) -> [bool; 11] {
        [
            made.u64(1),
            made.i64(-1),
            made.u128(1),
            made.i128(-1),
            made.f64(0.5),
            made.bool(true),
            made.char('x'),
            made.none(),
            made.str("nine bytes"),
            made.text(format_args!("")),
            made.error(&fmt::Error),
        ]
    }

    #[test]
    fn kinds_are_types_in_order_as_long_as_there_is_room() {
        let mut made = Made::new(Vec::new(), None);
        assert!(made.is_empty());
        let added: Vec<_> = (0..3).flat_map(|_| fill(&mut made)).collect();
        assert_eq!(added.iter().filter(|added| **added).count(), ARGUMENTS_MAX);
        assert!(!added[ARGUMENTS_MAX] && made.len() == ARGUMENTS_MAX);
        let bytes = made.bytes.len();
        assert!(!made.str("left out") && made.bytes.len() == bytes);
        let types: Vec<_> = made.types().collect();
        assert_eq!(types[..11], Kind::ALL.map(Kind::of_type));
        assert_eq!((&types[11..22], &types[22..]), (&types[..11], &types[..10]));
        let texts: Vec<_> = (0..ARGUMENTS_MAX + 1).filter(|at| made.is_text(*at)).collect();
        assert_eq!(texts, [9, 20, 31]);
    }

    #[test]
    fn what_is_cut_is_a_beginning_of_the_whole() {
        let mut made = Made::new(Vec::new(), Some(Says::Opens { id: 7, parent: 3 }));
        fill(&mut made);
        let mut whole = vec![0; made.len_words()];
        assert_eq!(made.write_cut(&mut whole), whole.len());
        for words in 0..whole.len() {
            let mut cut = vec![0; words];
            let used = made.write_cut(&mut cut);
            assert!(used + 1 >= words, "at most half of an argument of two words is left out");
            // A count word says how much of a text is there.
            let is_same = |at: &usize| {
                let (cut, whole) = (cut[*at], whole[*at]);
                cut == whole || (cut >> 32 == whole >> 32 && (cut as u32) < whole as u32)
            };
            assert_eq!((0..used).find(|at| !is_same(at)), None, "{words}");
        }
    }
}
