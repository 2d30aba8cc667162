//! Floats as std prints them, in a part of its time. What is rare is left to std: infinities, exponents, many digits.

#![allow(unsafe_code, reason = "digits are text")]

use std::fmt::{self, Debug, Display, Write};

use super::digits::eight_digits;

/// `10.pow(DIGITS_MAX)` times a mantissa of 53 bits has at most 117 bits.
const DIGITS_MAX: usize = 19;
/// From here on all are whole numbers.
const MAX_INTEGER: f64 = (1_u64 << f64::MANTISSA_DIGITS) as f64;

/// `f32` and `f64`.
pub(crate) trait Float: zmij::Float + Display + Debug {
    /// So many millionths have no more digits than there is a float of its own for each number with so many, which are
    /// [`f64::DIGITS`] and [`f32::DIGITS`]; nor do so many ones have more than eight.
    const MILLIONTHS_MAX: f64;

    /// Every `f32` is an `f64`.
    fn widened(self) -> f64;
}

impl Float for f32 {
    const MILLIONTHS_MAX: f64 = 1e6;

    fn widened(self) -> f64 {
        self.into()
    }
}

impl Float for f64 {
    const MILLIONTHS_MAX: f64 = 1e14;

    fn widened(self) -> f64 {
        self
    }
}

/// Room for the digits of one value.
pub(crate) struct Buffer {
    short: [u8; SHORT_BYTES],
    shortest: zmij::Buffer,
}

impl Buffer {
    #[inline]
    pub(crate) fn new() -> Self {
        Buffer { short: [0; SHORT_BYTES], shortest: zmij::Buffer::new() }
    }
}

/// As `{}` does, but for what is left to std.
pub(super) fn display(value: impl Float, buffer: &mut Buffer) -> Option<&str> {
    plain_digits(value, buffer).map(|digits| digits.strip_suffix(".0").unwrap_or(digits))
}

/// As `{:?}` does: the shortest text that is read back as the same, never that of an integer.
pub(crate) fn print_debug(value: impl Float, out: &mut dyn Write) -> fmt::Result {
    match plain_digits(value, &mut Buffer::new()) {
        Some(digits) => out.write_str(digits),
        None => write!(out, "{value:?}"),
    }
}

/// The fewest digits that tell it from its neighbours, with a point, unless that is for std.
fn plain_digits(value: impl Float, Buffer { short, shortest }: &mut Buffer) -> Option<&str> {
    let wide = value.widened();
    // Where `{:?}` changes to exponents.
    if wide != 0.0 && !(1e-4..1e16).contains(&wide.abs()) {
        return None;
    }
    if let Some(digits) = short_digits(value, short) {
        return Some(digits);
    }
    let digits = Some(shortest.format_finite(value)).filter(|digits| !digits.contains('e'))?;
    let decimals = digits.len() - digits.find('.')? - 1;
    // In the middle between two texts std takes the one that is further from zero, zmij the even one. Who stands there has
    // one decimal more than they have; and as many decimals as bits behind the point.
    (fraction_bits(wide) != decimals as u32 + 1).then_some(digits)
}

/// A sign, eight digits, a point, eight digits.
const SHORT_BYTES: usize = 18;

/// The digits of a value that is a whole number of millionths, as mostly are those that people count or measure: prices,
/// percentages, seconds. There are so few of them that no other number with as few is read as this value: no fewer would do.
fn short_digits<F: Float>(value: F, text: &mut [u8; SHORT_BYTES]) -> Option<&str> {
    const MILLION: f64 = 1e6;
    let wide = value.widened();
    let millionths = wide.abs() * MILLION;
    if millionths >= F::MILLIONTHS_MAX {
        return None;
    }
    let millionths = (millionths + 0.5) as i64;
    // The quotient of two whole numbers is rounded as the text of it is when it is read.
    if millionths as f64 / MILLION != wide.abs() {
        return None;
    }
    let millionths = millionths as u64;
    let whole = eight_digits((millionths / 1_000_000) as u32);
    let fraction = eight_digits((millionths % 1_000_000) as u32 * 100);
    text[1..9].copy_from_slice(&whole);
    text[9] = b'.';
    text[10..].copy_from_slice(&fraction);
    // All but the last zero before the point, and the first behind it, are left out.
    let zeros = |digits: [u8; 8]| u64::from_le_bytes(digits) ^ u64::from_le_bytes(*b"00000000");
    let mut start = 1 + (zeros(whole).trailing_zeros() / 8).min(7) as usize;
    let end = SHORT_BYTES - (zeros(fraction).leading_zeros() / 8).min(7) as usize;
    if wide.is_sign_negative() {
        start -= 1;
        text[start] = b'-';
    }
    // SAFETY: a sign, digits and a point, all of them ASCII.
    Some(unsafe { std::str::from_utf8_unchecked(&text[start..end]) })
}

/// The bits behind the point, up to the last that is set, of a normal number or 0.
fn fraction_bits(value: f64) -> u32 {
    let (mantissa, shift) = parts(value);
    if mantissa == 0 { 0 } else { shift.saturating_sub_unsigned(mantissa.trailing_zeros()).max(0) as u32 }
}

/// m and s, where a finite value is m · 2⁻ˢ, but for the sign.
fn parts(value: f64) -> (u64, i32) {
    const MANTISSA_BITS: u32 = f64::MANTISSA_DIGITS - 1;
    let (bits, biased) = (value.to_bits(), (value.to_bits() >> MANTISSA_BITS & 0x7FF) as i32);
    let mantissa = bits & ((1 << MANTISSA_BITS) - 1);
    // Subnormal numbers, 0 among them, have no hidden bit.
    let (mantissa, biased) =
        if biased == 0 { (mantissa, 1) } else { (mantissa | 1 << MANTISSA_BITS, biased) };
    (mantissa, f64::MAX_EXP - 1 + MANTISSA_BITS as i32 - biased)
}

/// As `{:.precision$}` does. `None`, and nothing printed, if that is not for here.
///
/// The value is m · 2⁻ˢ; so many digits of it are m · 10ᵖ · 2⁻ˢ, rounded to a whole number: to the nearest, and in the middle
/// between two to the even one, as std does.
pub(super) fn print_fixed(value: f64, precision: usize, out: &mut dyn Write) -> Option<fmt::Result> {
    if precision > DIGITS_MAX || value.is_nan() || value.abs() >= MAX_INTEGER {
        return None;
    }
    let (mantissa, shift) = parts(value);
    let power = 10_u64.pow(precision as u32);
    let scaled = u128::from(mantissa) * u128::from(power);
    let rounded = match shift {
        0 => scaled,
        // Less than a half by far.
        128.. => 0,
        _ => {
            let (whole, rest, half) = (scaled >> shift, scaled & ((1 << shift) - 1), 1 << (shift - 1));
            whole + u128::from(rest > half || (rest == half && whole & 1 == 1))
        }
    };
    // Mostly 64 bits are enough, whose division is much quicker.
    let (whole, fraction) = match u64::try_from(rounded) {
        Ok(rounded) => (rounded / power, rounded % power),
        Err(_) => ((rounded / u128::from(power)) as u64, (rounded % u128::from(power)) as u64),
    };
    Some(print_parts(value.is_sign_negative(), whole, fraction, precision, out))
}

fn print_parts(
    is_negative: bool,
    whole: u64,
    fraction: u64,
    precision: usize,
    out: &mut dyn Write,
) -> fmt::Result {
    if is_negative {
        out.write_str("-")?;
    }
    out.write_str(itoa::Buffer::new().format(whole))?;
    if precision == 0 {
        return Ok(());
    }
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(fraction);
    out.write_str(&".000000000000000000"[..1 + precision - digits.len()])?;
    out.write_str(digits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn printed(print: impl FnOnce(&mut dyn Write) -> fmt::Result) -> String {
        let mut text = String::new();
        print(&mut text).unwrap();
        text
    }

    fn displayed(value: impl Float) -> String {
        display(value, &mut Buffer::new()).map_or_else(|| value.to_string(), str::to_owned)
    }

    /// Any bits; prices; whole numbers and their halves, quarters, …, where rounding has to choose; powers of ten and their
    /// neighbours, where the layout changes.
    fn a_double() -> impl Strategy<Value = f64> {
        let near = |value: f64| {
            (-2_i64..=2).prop_map(move |steps| f64::from_bits((value.to_bits() as i64 + steps) as u64))
        };
        prop_oneof![
            any::<u64>().prop_map(f64::from_bits),
            (any::<i64>(), 0..16_i32).prop_map(|(digits, point)| digits as f64 / 10_f64.powi(point)),
            (-1_000_000_i64..1_000_000, 0..8_i32)
                .prop_map(|(digits, point)| digits as f64 / 10_f64.powi(point)),
            (any::<i32>(), 0..40_i32).prop_map(|(odd, halves)| f64::from(odd) / 2_f64.powi(halves)),
            (-20_i32..20).prop_flat_map(move |power| near(10_f64.powi(power))),
            (0..1100_i32).prop_flat_map(move |power| near(2_f64.powi(60 - power))),
            Just(-0.0),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn doubles_print_as_std(value in a_double()) {
            prop_assert_eq!(displayed(value), format!("{}", value));
            prop_assert_eq!(printed(|out| print_debug(value, out)), format!("{:?}", value));
            for precision in 0..=DIGITS_MAX + 1 {
                let fixed = printed(|out| print_fixed(value, precision, out).unwrap_or_else(|| write!(out, "{value:.precision$}")));
                prop_assert_eq!(fixed, format!("{:.precision$}", value), "{} digits of {:e}", precision, value);
            }
        }

        #[test]
        fn singles_print_as_std(value in prop_oneof![any::<u32>().prop_map(f32::from_bits), a_double().prop_map(|value| value as f32)]) {
            prop_assert_eq!(displayed(value), format!("{}", value));
            prop_assert_eq!(printed(|out| print_debug(value, out)), format!("{:?}", value));
        }
    }

    #[test]
    fn what_is_common_is_not_left_to_std() {
        for value in [0.0, -1.5, 12.25, 1e15, 0.001] {
            assert!(plain_digits(value, &mut Buffer::new()).is_some(), "{value}");
            assert!(print_fixed(value, 2, &mut String::new()).is_some(), "{value}");
        }
        for value in [0.0, -0.0, 1.0, -1.5, 101.37, 1.08345, 0.0001, 99_999_999.999999] {
            assert!(short_digits(value, &mut [0; SHORT_BYTES]).is_some(), "{value}");
        }
        assert!(print_fixed(1e17, 2, &mut String::new()).is_none());
        assert!(print_fixed(f64::NAN, 2, &mut String::new()).is_none());
    }
}
