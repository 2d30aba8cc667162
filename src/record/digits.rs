//! Digits of numbers, without std's machinery where that is long.

use super::Value;
use super::float;

/// Room for the text of one number.
pub(super) struct Digits {
    integer: itoa::Buffer,
    float: float::Buffer,
}

impl Digits {
    #[inline]
    pub(super) fn new() -> Self {
        Digits { integer: itoa::Buffer::new(), float: float::Buffer::new() }
    }

    /// A number as `{}` prints it, but for those that are left to std.
    #[inline(always)]
    pub(super) fn of(&mut self, value: &Value<'_>) -> Option<&str> {
        let Digits { integer, float } = self;
        Some(match *value {
            Value::U8(value) => integer.format(u64::from(value)),
            Value::U16(value) => integer.format(u64::from(value)),
            Value::U32(value) => integer.format(u64::from(value)),
            Value::U64(value) => integer.format(value),
            Value::I8(value) => integer.format(i64::from(value)),
            Value::I16(value) => integer.format(i64::from(value)),
            Value::I32(value) => integer.format(i64::from(value)),
            Value::I64(value) => integer.format(value),
            Value::F32(value) => return float::display(value, float),
            Value::F64(value) => return float::display(value, float),
            _ => return None,
        })
    }
}

/// The digits of a number below 10⁸: halved into four, two and one digits a lane, all lanes of a word at once. The
/// first digit is in the lowest byte. The factors are reciprocals, exact for lanes of that many digits.
#[inline]
pub(crate) fn eight_digits(number: u32) -> [u8; 8] {
    debug_assert!(number < 100_000_000);
    let fours = u64::from(number / 10_000) | u64::from(number % 10_000) << 32;
    let hundreds = ((fours * 10_486) >> 20) & 0x7f_0000_007f;
    let twos = hundreds | (fours - 100 * hundreds) << 16;
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    let ones = tens | (twos - 10 * tens) << 8;
    (ones | 0x3030_3030_3030_3030).to_le_bytes()
}
