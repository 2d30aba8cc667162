//! Records in a compact file: written by [`format::Binary`](crate::format::Binary), read back by [`Reader`].
//!
//! docs/binary-file.md draws the bytes. Records are kept as they lay in their rings, packed: nothing is formatted before
//! somebody looks, and then every format makes the same bytes of them that it would have made at once.
//!
//! ```text
//!            Packer                                                          Reader
//!   record ─► definitions it needs, ─► open ─► sealed frame ─►  file  ─► frames that are whole ─► records
//!             differences, words       frame   with checksum             and what is none, counted
//! ```
//! A *frame* is whole or is skipped, so it is what a write may lose. A *dictionary* says what the records of its frames
//! refer to; it has a number of its own, and every frame says whose it is. So files can be torn, cut, damaged and
//! appended to by several processes, and no record is ever shown as another one's.
//!
//! - `words`: what words look like when they are short
//! - `frame`: the head and the checksum around records
//! - `dictionary`, `packer`: from records to frames
//! - `frames`, `reader`: from bytes to records
//!
//! Reading is total: any bytes give records and a [`Summary`], in bounded memory.

mod dictionary;
mod frame;
mod frames;
mod packer;
mod reader;
#[cfg(test)]
mod tests;
mod words;

pub(crate) use packer::Packer;
pub use reader::{Reader, Summary};

/// The most words that the arguments of a record may have: 16 MiB, as of a portable one.
const WORDS_MAX: usize = crate::record::portable::BYTES_MAX / size_of::<u64>();
/// The most bytes of a definition of a callsite.
const DEFINITION_BYTES_MAX: usize = 1024 * 1024;

/// The lowest two bits of an item say what it is; the others are a number.
mod item {
    /// A record of the callsite with this number.
    pub(super) const RECORD: u64 = 0;
    /// A record of it that was cut.
    pub(super) const CUT_RECORD: u64 = 1;
    /// The callsite with this number is defined.
    pub(super) const CALLSITE: u64 = 2;
    /// The records that follow are those of the thread with half this number, which is defined if that is odd.
    pub(super) const THREAD: u64 = 3;
    pub(super) const BITS: u32 = 2;
}

/// Appends a number, seven bits a byte, the lowest first; all bytes but the last have their highest bit set.
#[inline]
fn push_number(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}
