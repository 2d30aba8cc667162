//! Words with the bytes that say something.
//!
//! Two words share a byte of two tags, the first one's in its lower half; then come the bytes of the first and of the
//! second. A tag says how many bytes there are and what the rest of the word is. Any word is packed, whatever its
//! type, and comes back as it was.

use super::reader::{Bytes, Malformed};

/// `0` to `8`: so many of its lowest bytes, and zeros above. Then:
mod tag {
    /// Both halves are this byte: the count word of a string or a list that is whole.
    pub(super) const HALVES_1: u8 = 9;
    /// Both halves are these two bytes.
    pub(super) const HALVES_2: u8 = 10;
    /// A negative number of this byte.
    pub(super) const NEGATIVE_1: u8 = 11;
    /// A negative number of two bytes.
    pub(super) const NEGATIVE_2: u8 = 12;
    /// A negative number of four bytes.
    pub(super) const NEGATIVE_4: u8 = 13;
    /// Its two highest bytes, and zeros below: floats as people write them.
    pub(super) const HIGH_2: u8 = 14;
    /// Its four highest bytes, and zeros below.
    pub(super) const HIGH_4: u8 = 15;
}

/// How many bytes there are, by tag.
const LENGTHS: [usize; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 1, 2, 4, 2, 4];

/// A word without the bytes that its tag tells.
#[derive(Clone, Copy)]
struct Short {
    tag: u8,
    len: usize,
    bits: u64,
}

impl Short {
    #[inline]
    fn of(word: u64) -> Self {
        let len = (u64::BITS - word.leading_zeros()).div_ceil(8);
        if len <= 4 { Short { tag: len as u8, len: len as usize, bits: word } } else { Short::of_long(word) }
    }

    /// Of a word of more than four bytes.
    #[inline]
    fn of_long(word: u64) -> Self {
        let (low, high) = (word & 0xffff_ffff, word >> 32);
        let (tag, bits) = if low == 0 {
            if high & 0xffff == 0 { (tag::HIGH_2, word >> 48) } else { (tag::HIGH_4, high) }
        } else if low == high && low <= 0xffff {
            if low <= 0xff { (tag::HALVES_1, low) } else { (tag::HALVES_2, low) }
        } else {
            match word as i64 {
                -0x80..0 => (tag::NEGATIVE_1, word & 0xff),
                -0x8000..0 => (tag::NEGATIVE_2, word & 0xffff),
                -0x8000_0000..0 => (tag::NEGATIVE_4, low),
                _ => ((u64::BITS - word.leading_zeros()).div_ceil(8) as u8, word),
            }
        };
        Short { tag, len: LENGTHS[usize::from(tag)], bits }
    }

    fn word(self) -> u64 {
        let Short { tag, bits, .. } = self;
        match tag {
            tag::HALVES_1 | tag::HALVES_2 => bits << 32 | bits,
            tag::NEGATIVE_1 => i64::from(bits as u8 as i8) as u64,
            tag::NEGATIVE_2 => i64::from(bits as u16 as i16) as u64,
            tag::NEGATIVE_4 => i64::from(bits as u32 as i32) as u64,
            tag::HIGH_2 => bits << 48,
            tag::HIGH_4 => bits << 32,
            _ => bits,
        }
    }
}

/// Appends two words.
#[inline]
pub(super) fn pack_pair(first: u64, second: u64, out: &mut Vec<u8>) {
    let (first, second) = (Short::of(first), Short::of(second));
    let both = u128::from(first.bits) | u128::from(second.bits) << (8 * first.len);
    let mut bytes = [0; 17];
    bytes[0] = first.tag | second.tag << 4;
    bytes[1..].copy_from_slice(&both.to_le_bytes());
    // A copy of a length that is known, and what is too much cut off again: no loop, no call.
    let end = out.len() + 1 + first.len + second.len;
    out.extend_from_slice(&bytes);
    out.truncate(end);
}

/// Appends words, the last one of an odd number together with a zero.
#[inline]
pub(super) fn pack(words: &[u64], out: &mut Vec<u8>) {
    for pair in words.chunks(2) {
        pack_pair(pair[0], pair.get(1).copied().unwrap_or(0), out);
    }
}

/// Takes two words.
pub(super) fn unpack_pair(bytes: &mut Bytes<'_>) -> Result<(u64, u64), Malformed> {
    let tags = bytes.byte()?;
    Ok((unpack_one(tags & 0xf, bytes)?, unpack_one(tags >> 4, bytes)?))
}

fn unpack_one(tag: u8, bytes: &mut Bytes<'_>) -> Result<u64, Malformed> {
    let len = LENGTHS[usize::from(tag)];
    let mut word = [0; 8];
    word[..len].copy_from_slice(bytes.take(len)?);
    Ok(Short { tag, len, bits: u64::from_le_bytes(word) }.word())
}

/// Takes so many words, which are put into `words` instead of what is there.
pub(super) fn unpack(count: usize, bytes: &mut Bytes<'_>, words: &mut Vec<u64>) -> Result<(), Malformed> {
    words.clear();
    // Half a byte for each at least.
    if count.div_ceil(2) > bytes.len() {
        return Err(Malformed);
    }
    while words.len() < count {
        let (first, second) = unpack_pair(bytes)?;
        words.extend([first, second]);
    }
    words.truncate(count);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packed(words: &[u64]) -> Vec<u8> {
        let mut bytes = Vec::new();
        pack(words, &mut bytes);
        bytes
    }

    #[track_caller]
    fn comes_back(words: &[u64]) {
        let bytes = packed(words);
        let (mut rest, mut back) = (Bytes::new(&bytes), vec![1, 2, 3]);
        unpack(words.len(), &mut rest, &mut back).unwrap();
        assert_eq!((back.as_slice(), rest.len()), (words, 0));
    }

    #[test]
    fn words_at_the_ends_of_every_form_come_back() {
        for shift in 0..64 {
            for near in [0_u64, 1, 2, u64::MAX, u64::MAX - 1] {
                let word = (1_u64 << shift).wrapping_add(near);
                for word in [word, !word, word << 32 | word & 0xffff_ffff, word << 32, word << 48] {
                    comes_back(&[word]);
                    comes_back(&[word, !word, word]);
                }
            }
        }
    }

    #[test]
    fn what_is_common_is_short() {
        let count = 40 << 32 | 40;
        for (word, bytes) in [
            (0, 0),
            (200, 1),
            (65_000, 2),
            (12.5_f64.to_bits(), 2),
            (100_000.25_f64.to_bits(), 4),
            (-7_i64 as u64, 1),
            (-300_i64 as u64, 2),
            (-70_000_i64 as u64, 4),
            (count, 1),
            (u64::MAX, 1),
            (u64::MAX / 2, 8),
        ] {
            assert_eq!(packed(&[word]).len(), 1 + bytes, "{word:#x}");
        }
    }

    proptest! {
        #[test]
        fn any_words_come_back(
            words in prop::collection::vec(prop_oneof![any::<u64>(), any::<i16>().prop_map(|n| n as u64)], 0..9),
        ) {
            comes_back(&words);
        }

        #[test]
        fn no_bytes_are_too_much(bytes in prop::collection::vec(any::<u8>(), 0..60), count in 0..100_usize) {
            let mut words = Vec::new();
            if unpack(count, &mut Bytes::new(&bytes), &mut words).is_ok() {
                prop_assert_eq!(words.len(), count);
            }
        }
    }
}
