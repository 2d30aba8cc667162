//! From records to frames.

use super::dictionary::Dictionary;
use super::{WORDS_MAX, frame, item, push_number, words};
use crate::output::Load;
use crate::record::portable::PortableError;
use crate::record::{Record, Thread};

/// A frame with so many bytes is full. A page: what a full disk or a dying process tears is no more, and its head and
/// checksum are half a hundredth of it.
pub(super) const FRAME_BYTES: usize = 4096;
/// After so many bytes the file begins a dictionary anew: so much a damaged spot can make unreadable, at most, and a
/// reader that begins in the middle finds its way.
pub(super) const DICTIONARY_SPAN_BYTES: usize = 1024 * 1024;
/// A dictionary of so many bytes is not continued, whoever may still need it.
const DICTIONARY_BYTES_MAX: usize = 1024 * 1024;

/// Packs records into frames, one after the other. The last frame is *open* until it is sealed.
#[derive(Debug)]
pub(crate) struct Packer {
    dictionary: Dictionary,
    /// How many bytes of frames were sealed in its name.
    span: usize,
    /// Not all that it defined may be where the next frame goes.
    is_in_doubt: bool,
    /// The open frame; empty before its first record.
    bytes: Vec<u8>,
    load: Load,
    /// Where its last record begins, with the definitions before it, and what that counts for.
    last: Option<(usize, Load)>,
    /// Of its last record: what the next one's are told as differences to.
    time: u64,
    stamp: u64,
    thread: Option<u32>,
}

impl Packer {
    pub(crate) fn new() -> Self {
        Packer {
            dictionary: Dictionary::new(),
            span: 0,
            is_in_doubt: false,
            bytes: Vec::new(),
            load: Load::NONE,
            last: None,
            time: 0,
            stamp: 0,
            thread: None,
        }
    }

    /// Packs a record that counts for `load` into the open frame.
    ///
    /// # Errors
    /// If it is too large for a frame. It is not there then.
    #[inline]
    pub(crate) fn push(&mut self, record: &Record<'_>, load: Load) -> Result<(), PortableError> {
        if record.arguments.len() > WORDS_MAX {
            return Err(PortableError::TooLarge);
        }
        let start = self.bytes.len();
        if start == 0 {
            self.begin();
        }
        let callsite = match self.dictionary.callsite(record, &mut self.bytes) {
            Ok(callsite) => callsite,
            Err(error) => {
                self.bytes.truncate(start);
                return Err(error);
            }
        };
        self.turn_to(record.thread);
        let kind = if record.truncated { item::CUT_RECORD } else { item::RECORD };
        push_number(u64::from(callsite) << item::BITS | kind, &mut self.bytes);
        push_number(record.arguments.len() as u64, &mut self.bytes);
        let (time, stamp) = (record.time.as_nanos(), record.stamp);
        words::pack_pair(time.wrapping_sub(self.time), stamp.wrapping_sub(self.stamp), &mut self.bytes);
        words::pack(record.arguments, &mut self.bytes);
        (self.time, self.stamp) = (time, stamp);
        self.load += load;
        self.last = Some((start, load));
        Ok(())
    }

    fn begin(&mut self) {
        if self.dictionary.items().len() >= DICTIONARY_BYTES_MAX {
            self.forget();
        }
        frame::begin(self.dictionary.number(), &mut self.bytes);
        if self.is_in_doubt {
            self.bytes.extend_from_slice(self.dictionary.items());
            self.is_in_doubt = false;
        }
        (self.time, self.stamp, self.thread) = (0, 0, None);
    }

    #[inline]
    fn turn_to(&mut self, thread: &Thread) {
        let is_here = self.thread.is_some_and(|number| self.dictionary.is_thread(number, thread));
        if !is_here {
            self.thread = Some(self.dictionary.turn_to(thread, &mut self.bytes));
        }
    }

    /// Whether the open frame should be sealed before the next record.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.bytes.len() >= FRAME_BYTES
    }

    /// What the open frame counts for.
    pub(crate) fn load(&self) -> Load {
        self.load
    }

    /// How many bytes the open frame will have.
    pub(crate) fn waiting(&self) -> usize {
        if self.bytes.is_empty() { 0 } else { self.bytes.len() + frame::END_BYTES }
    }

    /// How many bytes of it there are for the last record's sake.
    pub(crate) fn last_len(&self) -> usize {
        let before = self.last.map_or(0, |(start, _)| if start == 0 { 0 } else { start + frame::END_BYTES });
        self.waiting() - before
    }

    /// Ends the open frame, if there is one, and gives it away.
    pub(crate) fn seal(&mut self, take: impl FnOnce(&[u8], Load)) {
        if self.bytes.is_empty() {
            return;
        }
        frame::seal(&mut self.bytes);
        self.span += self.bytes.len();
        take(&self.bytes, self.load);
        self.bytes.clear();
        self.bytes.shrink_to(2 * FRAME_BYTES);
        (self.load, self.last) = (Load::NONE, None);
    }

    /// Takes the last record out of the open frame, which ends before it and is given away. What it counted for.
    pub(crate) fn take_back(&mut self, take: impl FnOnce(&[u8], Load)) -> Option<Load> {
        let (start, load) = self.last?;
        self.bytes.truncate(start);
        self.load -= load;
        self.seal(take);
        self.doubt(); // what was defined for it is nowhere
        Some(load)
    }

    /// Frames were lost, and what they defined: the next one defines all again.
    pub(crate) fn doubt(&mut self) {
        self.is_in_doubt = true;
    }

    /// All frames have left: the next one may begin the dictionary anew.
    pub(crate) fn settle(&mut self) {
        if self.span >= DICTIONARY_SPAN_BYTES {
            self.forget();
        }
    }

    /// What follows goes where nothing was defined, and no frame of before does.
    pub(crate) fn forget(&mut self) {
        debug_assert!(self.bytes.is_empty(), "the open frame is of the old dictionary");
        self.dictionary.forget();
        (self.span, self.is_in_doubt) = (0, false);
    }

    /// A frame that defines all that sealed frames refer to.
    pub(crate) fn restated(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        frame::begin(self.dictionary.number(), &mut bytes);
        bytes.extend_from_slice(self.dictionary.items());
        frame::seal(&mut bytes);
        bytes
    }
}
