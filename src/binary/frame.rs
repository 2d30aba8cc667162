//! What stands around the records of a frame.
//!
//! ```text
//!  ┌──────┬─────────┬──────────┬────────┬───────┬────────────┬───────┬────┐
//!  │ F5tr │ version │ checksum │ length │ flags │ dictionary │ items │ \n │
//!  └──3───┴────1────┴────4─────┴───4────┴───1───┴─────8──────┴───────┴─1──┘
//!                                        ◄──────────── length ────────────►
//!                              ◄──────────────── checksum ────────────────►
//! ```
//! It begins with a byte that no text has, and ends as a line does: so whoever asks whether a file ends torn need not
//! know what is in it.

/// What every frame begins with, before the version. No UTF-8 has its first byte.
const MAGIC: [u8; 3] = [0xf5, b't', b'r'];
/// The version that is written, and the only one that is read.
const VERSION: u8 = 1;
/// How many bytes stand before those that the length counts.
pub(super) const HEAD_BYTES: usize = 12;
/// A frame that the packer fills is not longer: the longest record, definitions, and those of a whole dictionary.
const BYTES_MAX: usize = 32 * 1024 * 1024;
/// A frame without items.
const EMPTY_BYTES: usize = HEAD_BYTES + BODY_HEAD_BYTES + END_BYTES;
/// Flags and the number of the dictionary.
const BODY_HEAD_BYTES: usize = 9;
const END: &[u8] = b"\n";
pub(super) const END_BYTES: usize = END.len();
/// The flag of frames whose words are in the byte order of a big-endian machine.
const BIG_ENDIAN: u8 = 1;
/// What this machine writes.
const ORDER: u8 = if cfg!(target_endian = "big") { BIG_ENDIAN } else { 0 };

/// Begins a frame. The buffer is empty.
pub(super) fn begin(dictionary: u64, frame: &mut Vec<u8>) {
    frame.extend_from_slice(&MAGIC);
    frame.push(VERSION);
    frame.extend_from_slice(&[0; 8]);
    frame.push(ORDER);
    frame.extend_from_slice(&dictionary.to_le_bytes());
}

/// Ends the frame that the buffer is.
pub(super) fn seal(frame: &mut Vec<u8>) {
    frame.extend_from_slice(END);
    let length = (frame.len() - HEAD_BYTES) as u32;
    frame[8..12].copy_from_slice(&length.to_le_bytes());
    let checksum = crc32fast::hash(&frame[8..]);
    frame[4..8].copy_from_slice(&checksum.to_le_bytes());
}

/// The first byte of every frame.
pub(super) const FIRST: u8 = MAGIC[0];

/// Whether these bytes are a head that was cut off.
pub(super) fn is_torn_head(bytes: &[u8]) -> bool {
    bytes.len() < HEAD_BYTES && bytes.iter().zip(MAGIC).all(|(byte, magic)| *byte == magic)
}

/// How long the frame is that begins here, if one does.
pub(super) fn length(bytes: &[u8]) -> Option<usize> {
    let head = bytes.first_chunk::<HEAD_BYTES>()?;
    let length = u32::from_le_bytes([head[8], head[9], head[10], head[11]]) as usize + HEAD_BYTES;
    (head.starts_with(&MAGIC) && (EMPTY_BYTES..=BYTES_MAX).contains(&length)).then_some(length)
}

/// Whether a frame of this length is as it was sealed.
pub(super) fn is_sound(frame: &[u8]) -> bool {
    let checksum = crc32fast::hash(&frame[8..]);
    frame[4..8] == checksum.to_le_bytes()
}

/// The number of the dictionary and the items of a sound frame; none of those that cannot be read here.
pub(super) fn open(frame: &[u8]) -> Option<(u64, &[u8])> {
    let items = frame.get(HEAD_BYTES + BODY_HEAD_BYTES..)?.strip_suffix(END)?;
    let (order, dictionary) = frame[HEAD_BYTES..].split_first()?;
    let is_known = frame[3] == VERSION && *order == ORDER;
    is_known.then_some((u64::from_le_bytes(*dictionary.first_chunk()?), items))
}
