//! A record that can leave the process: everything a handler may ask of it, in one run of bytes.
//!
//! docs/record-format.md draws the bytes. [`Record::write_portable`] writes them, a [`Draft`] for what was no record of
//! ours; [`Decoder`] makes a [`Record`] of them again, which every handler and format takes like one of this process. Texts are looked at where they lie in
//! the bytes; lists of pieces, fields and types are built in an arena that is emptied before the next record, so what
//! comes from elsewhere never enters the dictionary and leaks nothing.
//!
//! Decoding is total, as that of arguments is: any bytes give a record or a [`PortableError`]. No count in the input is
//! believed before as many bytes are there, and each kind of part is bounded by [`PARTS_MAX`].

mod draft;
mod read;
#[cfg(test)]
pub(crate) mod tests;
mod write;

pub use draft::Draft;
pub(crate) use read::{Parts, read, read_callsite};
pub(crate) use write::write_callsite;

use std::fmt;

use bumpalo::Bump;

use super::{Record, Thread};
use crate::callsite::{Align, EntryOf, Kind, Style, Type};
use crate::level::Level;

/// The version that is written, and the only one that is read.
pub(crate) const VERSION: u8 = 1;
/// What every portable record begins with, before the version.
const MAGIC: [u8; 3] = *b"trr";

/// The longest portable record, in bytes. A longer one is no log record, and whoever reads it must hold it whole.
pub(crate) const BYTES_MAX: usize = 16 * 1024 * 1024;
/// The most pieces, the most fields and the most types, those inside of others included, of one record. A message may
/// refer to its arguments in any order, and each step back reads them anew: this bounds how often.
pub(crate) const PARTS_MAX: usize = 4096;
/// How deep types may be nested: as deep as values are read.
const DEPTH_MAX: usize = super::decode::MAX_DEPTH;

/// Bits of the byte of flags.
mod flag {
    /// Arguments were cut, or are missing.
    pub(super) const TRUNCATED: u8 = 1;
    /// The arguments are in the byte order of a big-endian machine.
    pub(super) const BIG_ENDIAN: u8 = 2;
    /// The thread has a name.
    pub(super) const NAMED: u8 = 4;
    /// All that are known.
    pub(super) const ALL: u8 = TRUNCATED | BIG_ENDIAN | NAMED;
    /// What this machine writes.
    pub(super) const ORDER: u8 = if cfg!(target_endian = "big") { BIG_ENDIAN } else { 0 };
}

/// Bits of a spec's byte of flags.
mod spec_flag {
    pub(super) const PLUS: u8 = 1;
    pub(super) const ALTERNATE: u8 = 2;
    pub(super) const ZERO: u8 = 4;
    pub(super) const ALL: u8 = PLUS | ALTERNATE | ZERO;
}

/// The first byte of a piece.
mod piece {
    pub(super) const LITERAL: u8 = 0;
    /// `{}`, with the position only.
    pub(super) const PLAIN: u8 = 1;
    pub(super) const ARGUMENT: u8 = 2;
}

/// The first byte of a width or a precision.
mod count {
    pub(super) const NONE: u8 = 0;
    pub(super) const IS: u8 = 1;
    pub(super) const ARGUMENT: u8 = 2;
}

/// The first bytes of types with others inside; the others' are positions in [`LEAVES`].
mod nest {
    pub(super) const OPTION: u8 = 64;
    pub(super) const LIST: u8 = 65;
    pub(super) const TUPLE: u8 = 66;
    pub(super) const STRUCT: u8 = 67;
    pub(super) const ENUM: u8 = 68;
}

/// Bits of a shape's byte of flags.
mod shape_flag {
    /// No field of it is left out.
    pub(super) const WHOLE: u8 = 1;
    /// Its fields have names.
    pub(super) const NAMED: u8 = 2;
    pub(super) const ALL: u8 = WHOLE | NAMED;
}

/// Enumerations are written as positions in these tables, which only grow at their ends.
const LEAVES: [Type<'static>; 27] = [
    Type::Bool,
    Type::Char,
    Type::U8,
    Type::U16,
    Type::U32,
    Type::U64,
    Type::U128,
    Type::I8,
    Type::I16,
    Type::I32,
    Type::I64,
    Type::I128,
    Type::F32,
    Type::F64,
    Type::Unit,
    Type::Str,
    Type::Text,
    Type::Error,
    Type::Duration,
    Type::Ipv4Addr,
    Type::Ipv6Addr,
    Type::IpAddr,
    Type::SocketAddrV4,
    Type::SocketAddrV6,
    Type::SocketAddr,
    Type::Backtrace,
    Type::Redacted,
];
const KINDS: [Kind; 10] = [
    Kind::Display,
    Kind::Debug,
    Kind::DebugLowerHex,
    Kind::DebugUpperHex,
    Kind::LowerHex,
    Kind::UpperHex,
    Kind::Octal,
    Kind::Binary,
    Kind::LowerExp,
    Kind::UpperExp,
];
const ALIGNS: [Align; 4] = [Align::Unset, Align::Left, Align::Center, Align::Right];
const STYLES: [Style; 3] = [Style::Value, Style::Display, Style::Debug];

/// Makes records of portable ones, one at a time.
///
/// It keeps the memory that a record was decoded into for the next one.
///
/// ```
/// use treering::record::Decoder;
/// # let capture = treering::handler::Capture::new();
/// # struct Send(std::sync::mpsc::Sender<Vec<u8>>);
/// # impl treering::handler::Handler for Send {
/// #     fn handle(&mut self, batch: &treering::handler::Batch<'_>) -> Result<(), treering::handler::HandlerError> {
/// #         for record in batch {
/// #             let mut bytes = Vec::new();
/// #             record.write_portable(&mut bytes).unwrap();
/// #             self.0.send(bytes).unwrap();
/// #         }
/// #         Ok(())
/// #     }
/// # }
/// # let (sender, receiver) = std::sync::mpsc::channel();
/// # let (logger, guard) = treering::builder().handler(Send(sender)).start().unwrap();
/// # treering::info!(logger: logger, qty = 100, "order {} filled", 7);
/// # guard.stop(std::time::Duration::from_secs(5)).unwrap();
/// # let bytes = receiver.recv().unwrap();
/// let mut decoder = Decoder::new();
/// let record = decoder.decode(&bytes).unwrap();
/// assert_eq!(record.message(), "order 7 filled");
/// assert_eq!(record.field("qty").unwrap().value().as_u64(), Some(100));
/// assert!(decoder.decode(b"something else").is_err());
/// ```
#[derive(Debug)]
pub struct Decoder {
    arena: Bump,
    words: Vec<u64>,
    thread: Thread,
}

impl Default for Decoder {
    fn default() -> Self {
        Decoder { arena: Bump::new(), words: Vec::new(), thread: Thread::of_process(0, 0, 0, None) }
    }
}

impl Decoder {
    /// A decoder; allocates with its first record.
    pub fn new() -> Self {
        Decoder::default()
    }

    /// The record that these bytes are, as long as neither they nor the decoder is used otherwise.
    ///
    /// Cost: one pass over the bytes, and no allocation once the decoder has seen such a record, but for the name of
    /// the thread.
    ///
    /// # Errors
    /// If the bytes are none, see [`PortableError`].
    pub fn decode<'a>(&'a mut self, bytes: &'a [u8]) -> Result<Record<'a>, PortableError> {
        let Decoder { arena, words, thread } = self;
        arena.reset();
        let parts = read(arena, bytes)?;
        words.clear();
        words.extend(parts.words());
        if !parts.is_of(thread) {
            *thread = parts.thread();
        }
        Ok(Record {
            entry: EntryOf::Batch(parts.entry),
            arguments: words,
            time: parts.time,
            stamp: parts.stamp,
            thread,
            truncated: parts.truncated,
            scope: None,
        })
    }
}

/// Why bytes are not a portable record, or why a record cannot be made one.
///
/// ```
/// use treering::record::{Decoder, PortableError};
/// assert_eq!(Decoder::new().decode(b"hello").unwrap_err(), PortableError::Foreign);
/// assert_eq!(PortableError::Version(7).to_string(), "a portable record of version 7, which is not known here");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum PortableError {
    /// They do not begin as a portable record does.
    Foreign,
    /// A version that is not known here.
    Version(u8),
    /// Its arguments are in the byte order of another kind of machine.
    ByteOrder,
    /// They end before the record does.
    Short,
    /// The record ends before they do: by so many bytes.
    Long(usize),
    /// This part of it is none.
    Malformed(&'static str),
    /// It has more bytes, or more pieces, fields or types, than a portable record may have.
    TooLarge,
}

impl fmt::Display for PortableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PortableError::Foreign => f.write_str("not a portable record"),
            PortableError::Version(version) => {
                write!(f, "a portable record of version {version}, which is not known here")
            }
            PortableError::ByteOrder => {
                f.write_str("a portable record from a machine with the other byte order")
            }
            PortableError::Short => f.write_str("a portable record that was cut off"),
            PortableError::Long(more) => write!(f, "{more} bytes behind a portable record"),
            PortableError::Malformed(part) => write!(f, "a portable record with a malformed {part}"),
            PortableError::TooLarge => f.write_str("too large for a portable record"),
        }
    }
}

impl std::error::Error for PortableError {}

/// The level with a number, as [`Level`] has them.
fn level_of(number: u8) -> Option<Level> {
    Level::ALL.get(usize::from(number).checked_sub(1)?).copied()
}
