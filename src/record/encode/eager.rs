//! Arguments that only user code can print: they become text in a scratch buffer before space is reserved.
//!
//! An implementation of `Display` that panics does so there, where nothing is held; one that logs delivers its own
//! record first; one that returns an error leaves a mark behind the text it wrote.
#![allow(unsafe_code, reason = "implements the unsafe traits of `encode`")]

use std::backtrace::Backtrace;
use std::error::Error;
use std::fmt::{self, Debug, Display, Write};

use super::{Argument, put_bytes, put_bytes_cut, storable, words_of};
use crate::callsite::Type;

/// How many messages of an error and its sources are kept; a longer chain ends in `…`.
const MAX_CHAIN: usize = 16;

/// Stands where a `Display` or `Debug` of the user's returned an error.
const FAILED: &str = "<formatting failed>";

/// Where an argument's text lies in the scratch buffer.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Range {
    at: usize,
    len: usize,
}

impl Range {
    /// The text itself.
    ///
    /// # Safety
    /// `scratch` begins with what the buffer held when the range was made.
    #[inline]
    unsafe fn of(self, scratch: &[u8]) -> &[u8] {
        debug_assert!(scratch.len() >= self.at + self.len);
        // SAFETY: the caller vouches that the buffer still holds what was appended then.
        unsafe { scratch.get_unchecked(self.at..self.at + self.len) }
    }

    /// The text, or nothing if this is another buffer.
    fn find(self, scratch: &[u8]) -> &[u8] {
        scratch.get(self.at..self.at + self.len).unwrap_or(&[])
    }
}

/// The scratch buffer as something to format into.
struct Scratch<'a>(&'a mut Vec<u8>);

impl Write for Scratch<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

#[inline]
pub(super) fn append(scratch: &mut Vec<u8>, text: fmt::Arguments<'_>) {
    let mut scratch = Scratch(scratch);
    if scratch.write_fmt(text).is_err() {
        let _ = scratch.write_str(FAILED);
    }
}

fn append_and_remember(scratch: &mut Vec<u8>, text: fmt::Arguments<'_>) -> Range {
    let at = scratch.len();
    append(scratch, text);
    Range { at, len: scratch.len() - at }
}

/// Appends the messages of an error and of its sources, each behind its length.
pub(super) fn append_chain(
    scratch: &mut Vec<u8>,
    outermost: &dyn Display,
    source: Option<&dyn Error>,
) -> Range {
    let at = scratch.len();
    append_message(scratch, format_args!("{outermost}"));
    let mut next = source;
    for _ in 1..MAX_CHAIN {
        let Some(error) = next else { break };
        append_message(scratch, format_args!("{error}"));
        next = error.source();
    }
    if next.is_some() {
        append_message(scratch, format_args!("…"));
    }
    Range { at, len: scratch.len() - at }
}

fn append_message(scratch: &mut Vec<u8>, text: fmt::Arguments<'_>) {
    let at = scratch.len();
    scratch.extend_from_slice(&[0; 4]);
    append(scratch, text);
    let len = storable(scratch.len() - at - 4) as u32;
    scratch[at..at + 4].copy_from_slice(&len.to_le_bytes());
}

/// Appends the frames of a backtrace, each behind its length: `3: app::main at ./src/main.rs:7:5`. Of a backtrace that
/// was not captured the one text says so. std shows frames only as lines of one text, with the place on a line of
/// its own.
fn append_frames(scratch: &mut Vec<u8>, backtrace: &Backtrace) -> Range {
    let at = scratch.len();
    let text = backtrace.to_string();
    let mut lines = text.lines().map(str::trim).peekable();
    while let Some(frame) = lines.next() {
        match lines.next_if(|line| line.starts_with("at ")) {
            Some(place) => append_message(scratch, format_args!("{frame} {place}")),
            None => append_message(scratch, format_args!("{frame}")),
        }
    }
    Range { at, len: scratch.len() - at }
}

/// Implements [`Argument`] for a struct with a `text: Range`.
macro_rules! eager {
    ([$($generics:tt)*] $type:ty => $variant:ident, |$this:ident, $scratch:ident| $format:expr) => {
        // SAFETY: user code runs in `format` only; then a count word and the bytes that lie in the scratch buffer.
        unsafe impl<$($generics)*> Argument for $type {
            const TYPE: &'static Type<'static> = &Type::$variant;
            const EAGER: bool = true;

            fn format(&mut self, $scratch: &mut Vec<u8>) {
                let $this = &*self;
                self.text = $format;
            }

            #[inline]
            fn words(&self) -> usize {
                1 + words_of(storable(self.text.len))
            }

            #[inline]
            unsafe fn write(&self, scratch: &[u8], to: *mut u64) -> *mut u64 {
                // SAFETY: the caller vouches that `format` left this in the buffer.
                let bytes = unsafe { self.text.of(scratch) };
                // SAFETY: the caller vouches for `words()` words.
                unsafe { put_bytes(to, bytes, storable(bytes.len())) }
            }

            fn least_words(&self) -> usize {
                1
            }

            unsafe fn write_cut(&self, scratch: &[u8], to: *mut u64, spare: &mut usize) -> *mut u64 {
                // SAFETY: the caller vouches for the count word and the spare ones.
                unsafe { put_bytes_cut(to, self.text.find(scratch), spare) }
            }
        }
    };
}

/// A placeholder with its spec, as `format_args!` made it.
#[derive(Debug)]
pub struct Formatted<'a> {
    arguments: fmt::Arguments<'a>,
    text: Range,
}

impl<'a> Formatted<'a> {
    /// Text that is still to be made.
    #[inline]
    pub fn new(arguments: fmt::Arguments<'a>) -> Self {
        Formatted { arguments, text: Range::default() }
    }
}

eager!([] Formatted<'_> => Text, |this, scratch| append_and_remember(scratch, this.arguments));

/// A value as its `Display` shows it.
#[derive(Debug)]
pub struct Shown<'a, T: ?Sized> {
    value: &'a T,
    text: Range,
}

impl<'a, T: Display + ?Sized> Shown<'a, T> {
    /// Text that is still to be made.
    #[inline]
    pub fn new(value: &'a T) -> Self {
        Shown { value, text: Range::default() }
    }
}

eager!([T: Display + ?Sized] Shown<'_, T> => Text,
    |this, scratch| append_and_remember(scratch, format_args!("{}", this.value)));

/// A value as its `Debug` shows it.
#[derive(Debug)]
pub struct Inspected<'a, T: ?Sized> {
    value: &'a T,
    text: Range,
}

impl<'a, T: Debug + ?Sized> Inspected<'a, T> {
    /// Text that is still to be made.
    #[inline]
    pub fn new(value: &'a T) -> Self {
        Inspected { value, text: Range::default() }
    }
}

eager!([T: Debug + ?Sized] Inspected<'_, T> => Text,
    |this, scratch| append_and_remember(scratch, format_args!("{:?}", this.value)));

/// An error with the chain of its sources.
#[derive(Debug)]
pub struct Failure<'a, T: ?Sized> {
    error: &'a T,
    text: Range,
}

impl<'a, T: Error + ?Sized> Failure<'a, T> {
    /// Messages that are still to be made.
    #[inline]
    pub fn new(error: &'a T) -> Self {
        Failure { error, text: Range::default() }
    }
}

eager!([T: Error + ?Sized] Failure<'_, T> => Error,
    |this, scratch| append_chain(scratch, &this.error, this.error.source()));

/// A backtrace, frame by frame.
#[derive(Debug)]
pub struct Frames<'a> {
    backtrace: &'a Backtrace,
    text: Range,
}

impl<'a> Frames<'a> {
    /// Frames that are still to be resolved.
    #[inline]
    pub fn new(backtrace: &'a Backtrace) -> Self {
        Frames { backtrace, text: Range::default() }
    }
}

eager!([] Frames<'_> => Backtrace, |this, scratch| append_frames(scratch, this.backtrace));
