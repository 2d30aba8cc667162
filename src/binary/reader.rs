//! From frames to records.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::ops::Range;

use bumpalo::Bump;

use super::frames::Frames;
use super::{DEFINITION_BYTES_MAX, WORDS_MAX, frame, item, words};
use crate::callsite::EntryOf;
use crate::record::portable::read_callsite;
use crate::record::{Record, Thread, Timestamp};

/// So many dictionaries are remembered, those that were used last: as many processes may write to one file by turns.
const DICTIONARIES_MAX: usize = 16;
/// A dictionary takes no more: twice what a [`Packer`](super::Packer) lets one grow to, and what a definition is besides.
const DICTIONARY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// What a definition takes beside its bytes, about.
const DEFINITION_OVERHEAD: usize = 64;

/// Reads the records of a file that was written with [`format::Binary`](crate::format::Binary).
///
/// They come in the order in which they were written, and are all that a handler got: any
/// [`Format`](crate::format::Format) makes the same bytes of them as it would have made then. What is no frame is skipped,
/// up to the next one, and told by the [`Summary`]: a torn end, bytes of somebody else's, a file that was damaged. So is
/// what is whole and cannot be understood.
///
/// Memory: 64 KiB and the longest frame, at most 32 MiB; the arguments of one record, at most 16 MiB; and the definitions
/// of callsites and threads, at most 4 MiB for each of 16 writers.
///
/// ```
/// use std::time::Duration;
/// use treering::binary::Reader;
/// use treering::format::Binary;
/// use treering::handler::File;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("app.trr");
/// let file = File::append(&path)?.format(Binary::new());
/// let (logger, guard) = treering::builder().handler(file).start()?;
/// treering::info!(logger: logger, qty = 100, "order {} filled", 7);
/// guard.stop(Duration::from_secs(5))?;
///
/// let mut reader = Reader::new(std::fs::File::open(&path)?);
/// while let Some(record) = reader.read()? {
///     assert_eq!(record.message(), "order 7 filled");
///     assert_eq!(record.field("qty").unwrap().value().as_u64(), Some(100));
/// }
/// assert!(reader.summary().is_whole());
/// # Ok(())
/// # }
/// ```
pub struct Reader<R> {
    frames: Frames<R>,
    /// Where the items of the present frame lie that were not read yet.
    items: Range<usize>,
    /// The one used last is the present frame's.
    dictionaries: Vec<Known>,
    present: Present,
    arena: Bump,
    words: Vec<u64>,
    summary: Summary,
}

/// What the records of the present frame are told by.
#[derive(Clone, Copy, Default, Debug)]
struct Present {
    time: u64,
    stamp: u64,
    thread: Option<u64>,
}

/// What was defined under the number of a dictionary.
#[derive(Debug, Default)]
struct Known {
    number: u64,
    callsites: HashMap<u64, Box<[u8]>>,
    threads: HashMap<u64, Thread>,
    bytes: usize,
}

/// A record whose words were read.
struct Found {
    callsite: u64,
    thread: u64,
    is_cut: bool,
}

impl<R: io::Read> Reader<R> {
    /// Reads from a file, or from whatever else. Needs no buffer.
    pub fn new(source: R) -> Self {
        Reader {
            frames: Frames::new(source),
            items: 0..0,
            dictionaries: Vec::new(),
            present: Present::default(),
            arena: Bump::new(),
            words: Vec::new(),
            summary: Summary::default(),
        }
    }

    /// The next record, as long as the reader is not used otherwise; none at the end.
    ///
    /// Cost: a copy of its arguments, and a pass over the definition of its callsite. No allocation once such a record was
    /// read.
    ///
    /// # Errors
    /// Where the source fails, and only there.
    pub fn read(&mut self) -> io::Result<Option<Record<'_>>> {
        let Some(Found { callsite, thread, is_cut }) = self.find()? else { return Ok(None) };
        self.arena.reset();
        let Some(known) = self.dictionaries.last() else { return Ok(None) };
        let (Some(definition), Some(thread)) = (known.callsites.get(&callsite), known.threads.get(&thread))
        else {
            return Ok(None);
        };
        let entry = read_callsite(&self.arena, definition).map_err(io::Error::other)?;
        Ok(Some(Record {
            entry: EntryOf::Batch(entry),
            arguments: &self.words,
            time: Timestamp::from_nanos(self.present.time),
            stamp: self.present.stamp,
            thread,
            truncated: is_cut,
            scope: None,
        }))
    }

    /// What has been read so far, and what could not be.
    pub fn summary(&self) -> Summary {
        let skipped = self.frames.skipped;
        Summary {
            skipped_bytes: skipped.bytes,
            skipped_places: skipped.places,
            is_torn: skipped.is_torn,
            ..self.summary
        }
    }

    /// Reads up to the next record that can be shown.
    fn find(&mut self) -> io::Result<Option<Found>> {
        loop {
            // A frame may have no items.
            while self.items.is_empty() {
                if !self.open_frame()? {
                    return Ok(None);
                }
            }
            match self.item() {
                Ok(Some(found)) => {
                    self.summary.records += 1;
                    return Ok(Some(found));
                }
                Ok(None) => {}
                Err(Malformed) => {
                    self.summary.refused_frames += 1;
                    self.items = 0..0;
                }
            }
        }
    }

    /// Goes to the next frame that can be read. Whether there is one.
    fn open_frame(&mut self) -> io::Result<bool> {
        while let Some(place) = self.frames.next()? {
            let end = place.end;
            let Some((dictionary, items)) = frame::open(self.frames.frame(place)) else {
                self.summary.refused_frames += 1;
                continue;
            };
            let end = end - frame::END_BYTES;
            self.items = end - items.len()..end;
            self.summary.frames += 1;
            self.present = Present::default();
            self.turn_to(dictionary);
            return Ok(true);
        }
        Ok(false)
    }

    /// Puts a dictionary last.
    fn turn_to(&mut self, number: u64) {
        let known = self.dictionaries.iter().rposition(|known| known.number == number);
        let known = match known {
            Some(at) => self.dictionaries.remove(at),
            None => Known { number, ..Known::default() },
        };
        if self.dictionaries.len() == DICTIONARIES_MAX {
            self.dictionaries.remove(0);
        }
        self.dictionaries.push(known);
    }

    /// Reads one item of the present frame; gives a record if it is one that can be shown.
    fn item(&mut self) -> Result<Option<Found>, Malformed> {
        let Reader { frames, items, dictionaries, present, arena, words, summary, .. } = self;
        let known = dictionaries.last_mut().ok_or(Malformed)?;
        let mut bytes = Bytes::new(frames.frame(items.clone()));
        let head = bytes.number()?;
        let number = head >> item::BITS;
        let found =
            match head & ((1 << item::BITS) - 1) {
                item::CALLSITE => {
                    arena.reset();
                    known.define_callsite(number, &mut bytes, arena)?;
                    None
                }
                item::THREAD => {
                    if number & 1 == 1 {
                        known.define_thread(number >> 1, &mut bytes)?;
                    }
                    present.thread = Some(number >> 1);
                    None
                }
                kind => {
                    let count = usize::try_from(bytes.number()?).ok().filter(|count| *count <= WORDS_MAX);
                    let (time, stamp) = words::unpack_pair(&mut bytes)?;
                    words::unpack(count.ok_or(Malformed)?, &mut bytes, words)?;
                    present.time = present.time.wrapping_add(time);
                    present.stamp = present.stamp.wrapping_add(stamp);
                    let thread = present.thread.filter(|thread| known.threads.contains_key(thread));
                    let found = thread
                        .filter(|_| known.callsites.contains_key(&number))
                        .map(|thread| Found { callsite: number, thread, is_cut: kind == item::CUT_RECORD });
                    summary.undefined += u64::from(found.is_none());
                    found
                }
            };
        items.start = items.end - bytes.len();
        Ok(found)
    }
}

impl Known {
    /// One that cannot be read is not taken.
    fn define_callsite(&mut self, number: u64, bytes: &mut Bytes<'_>, arena: &Bump) -> Result<(), Malformed> {
        let len = usize::try_from(bytes.number()?).ok().filter(|len| *len <= DEFINITION_BYTES_MAX);
        let definition = bytes.take(len.ok_or(Malformed)?)?;
        read_callsite(arena, definition).map_err(|_| Malformed)?;
        self.grow(definition.len())?;
        if let Some(before) = self.callsites.insert(number, definition.into()) {
            self.shrink(before.len());
        }
        Ok(())
    }

    fn define_thread(&mut self, number: u64, bytes: &mut Bytes<'_>) -> Result<(), Malformed> {
        let (process_id, token, id) = (bytes.word()?, bytes.long()?, bytes.word()?);
        let name = match bytes.number()? {
            0 => None,
            len => {
                let name = bytes.take(usize::try_from(len - 1).map_err(|_| Malformed)?)?;
                Some(std::str::from_utf8(name).map_err(|_| Malformed)?)
            }
        };
        self.grow(name.map_or(0, str::len))?;
        if let Some(before) = self.threads.insert(number, Thread::of_process(process_id, token, id, name)) {
            self.shrink(before.name().map_or(0, str::len));
        }
        Ok(())
    }

    fn shrink(&mut self, bytes: usize) {
        self.bytes -= bytes + DEFINITION_OVERHEAD;
    }

    fn grow(&mut self, bytes: usize) -> Result<(), Malformed> {
        let grown = self.bytes + bytes + DEFINITION_OVERHEAD;
        if grown > DICTIONARY_BYTES_MAX {
            return Err(Malformed);
        }
        self.bytes = grown;
        Ok(())
    }
}

impl<R> fmt::Debug for Reader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("summary", &self.summary).finish_non_exhaustive()
    }
}

/// What a [`Reader`] found.
///
/// ```
/// use treering::binary::Reader;
///
/// # fn main() -> std::io::Result<()> {
/// let mut reader = Reader::new(&b"something else"[..]);
/// assert!(reader.read()?.is_none());
/// let summary = reader.summary();
/// assert_eq!((summary.records, summary.skipped_bytes, summary.is_whole()), (0, 14, false));
/// assert_eq!(summary.to_string(), "0 records in 0 frames; 14 bytes in 1 place are no frames");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct Summary {
    /// Records that were read.
    pub records: u64,
    /// Frames that were whole, and were read.
    pub frames: u64,
    /// Bytes that are no frames.
    pub skipped_bytes: u64,
    /// In how many places those are.
    pub skipped_places: u64,
    /// The file ends within a frame: a process died or a disk was full when it was written, or it is being written.
    pub is_torn: bool,
    /// Records whose callsite or thread was defined in a part of the file that is not there.
    pub undefined: u64,
    /// Frames that are whole and cannot be read, or not to their end: of another version, from a machine with the other
    /// byte order, or none of ours.
    pub refused_frames: u64,
}

impl Summary {
    /// Whether everything was read.
    pub fn is_whole(&self) -> bool {
        self.skipped_bytes + self.undefined + self.refused_frames == 0
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |number: u64, one: &str| format!("{number} {one}{}", if number == 1 { "" } else { "s" });
        write!(f, "{} in {}", of(self.records, "record"), of(self.frames, "frame"))?;
        if self.skipped_bytes > 0 {
            let (bytes, places) = (of(self.skipped_bytes, "byte"), of(self.skipped_places, "place"));
            write!(f, "; {bytes} in {places} are no frames")?;
        }
        if self.is_torn {
            f.write_str("; the end is torn")?;
        }
        if self.undefined > 0 {
            write!(f, "; {} without their definitions", of(self.undefined, "record"))?;
        }
        if self.refused_frames > 0 {
            write!(f, "; {} not understood", of(self.refused_frames, "frame"))?;
        }
        Ok(())
    }
}

/// Bytes are not what they are read as.
#[derive(Clone, Copy, Debug)]
pub(super) struct Malformed;

/// Takes what is packed from the beginning of bytes.
pub(super) struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Bytes(bytes)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    #[inline]
    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    #[inline]
    pub(super) fn byte(&mut self) -> Result<u8, Malformed> {
        let (byte, rest) = self.0.split_first().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*byte)
    }

    fn word(&mut self) -> Result<u32, Malformed> {
        let (word, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(u32::from_le_bytes(*word))
    }

    fn long(&mut self) -> Result<u64, Malformed> {
        let (long, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(u64::from_le_bytes(*long))
    }

    /// See [`push_number`](super::push_number).
    pub(super) fn number(&mut self) -> Result<u64, Malformed> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return Err(Malformed);
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Malformed)
    }
}
