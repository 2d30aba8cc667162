//! Times as RFC 3339 in UTC, with nanoseconds: `2026-11-22T13:37:55.123456789Z`.
//!
//! The part up to the second is the same for a million records in a row, so a [`Clockface`] keeps it; only nine
//! digits are made for each record. There is no local time and no leap second here: UTC as the system counts it.

use std::fmt;

use crate::record::Timestamp;

const NANOS_PER_SECOND: u64 = 1_000_000_000;
const SECONDS_PER_DAY: u64 = 86_400;

/// Writes stamps, and remembers the second of the last one.
#[derive(Debug)]
pub(crate) struct Clockface {
    /// The second that `text` shows; no stamp reaches the initial value.
    second: u64,
    text: [u8; 20],
}

impl Clockface {
    pub(crate) const fn new() -> Self {
        Clockface { second: u64::MAX, text: *b"0000-00-00T00:00:00." }
    }

    /// Appends the stamp's text, 30 bytes.
    #[inline]
    pub(crate) fn push(&mut self, time: Timestamp, out: &mut Vec<u8>) {
        let second = time.as_nanos() / NANOS_PER_SECOND;
        if second != self.second {
            self.turn(second);
        }
        let nanos = (time.as_nanos() % NANOS_PER_SECOND) as u32;
        // In pieces that are made in registers: bytes that were stored one by one would have to reach the cache
        // before they could be copied on as a whole.
        out.extend_from_slice(&self.text);
        out.extend_from_slice(&eight_digits(nanos / 10));
        out.extend_from_slice(&[b'0' + (nanos % 10) as u8, b'Z']);
    }

    #[cold]
    fn turn(&mut self, second: u64) {
        self.second = second;
        let (year, month, day) = civil(second / SECONDS_PER_DAY);
        let time = (second % SECONDS_PER_DAY) as u32;
        digits(&mut self.text[0..4], year);
        digits(&mut self.text[5..7], month);
        digits(&mut self.text[8..10], day);
        digits(&mut self.text[11..13], time / 3600);
        digits(&mut self.text[14..16], time / 60 % 60);
        digits(&mut self.text[17..19], time % 60);
    }
}

/// The date of a day that many days after 1970-01-01, in the Gregorian calendar.
///
/// Counted from the first of March of year 0, so that the leap day is the last of its year, its century and its
/// era of 400 years (after Howard Hinnant, "chrono-compatible low-level date algorithms").
fn civil(days_since_1970: u64) -> (u32, u32, u32) {
    const DAYS_TO_1970: u64 = 719_468;
    const DAYS_PER_ERA: u64 = 146_097;
    let days = days_since_1970 + DAYS_TO_1970;
    let era = days / DAYS_PER_ERA;
    let day_of_era = (days % DAYS_PER_ERA) as u32;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era as u32 * 400 + year_of_era + u32::from(month <= 2);
    (year, month, day)
}

/// Fills `place` with the last digits of `number`.
fn digits(place: &mut [u8], mut number: u32) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// The digits of a number below 10⁸: halved into four, two and one digits a lane, all lanes of a word at once. The
/// first digit is in the lowest byte. The factors are reciprocals, exact for lanes of that many digits.
#[inline]
fn eight_digits(number: u32) -> [u8; 8] {
    debug_assert!(number < 100_000_000);
    let fours = u64::from(number / 10_000) | u64::from(number % 10_000) << 32;
    let hundreds = ((fours * 10_486) >> 20) & 0x7f_0000_007f;
    let twos = hundreds | (fours - 100 * hundreds) << 16;
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    let ones = tens | (twos - 10 * tens) << 8;
    (ones | 0x3030_3030_3030_3030).to_le_bytes()
}

impl fmt::Display for Timestamp {
    /// RFC 3339, in UTC, with nanoseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::with_capacity(30);
        Clockface::new().push(*self, &mut text);
        // ASCII digits and marks: the empty string never stands in.
        f.pad(std::str::from_utf8(&text).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_times_have_their_known_texts() {
        // Each second checked with `date -u -d @…`.
        for (second, nanos, text) in [
            (0, 0, "1970-01-01T00:00:00.000000000Z"),
            (0, 1, "1970-01-01T00:00:00.000000001Z"),
            (59, 999_999_999, "1970-01-01T00:00:59.999999999Z"),
            (86_399, 0, "1970-01-01T23:59:59.000000000Z"),
            (86_400, 0, "1970-01-02T00:00:00.000000000Z"),
            (68_169_600, 0, "1972-02-29T00:00:00.000000000Z"),
            (946_684_799, 0, "1999-12-31T23:59:59.000000000Z"),
            (946_684_800, 0, "2000-01-01T00:00:00.000000000Z"),
            (951_782_400, 0, "2000-02-29T00:00:00.000000000Z"),
            (951_868_800, 0, "2000-03-01T00:00:00.000000000Z"),
            (1_000_000_000, 500_000_000, "2001-09-09T01:46:40.500000000Z"),
            (1_234_567_890, 123_456_789, "2009-02-13T23:31:30.123456789Z"),
            (1_709_164_800, 0, "2024-02-29T00:00:00.000000000Z"),
            (1_735_689_599, 0, "2024-12-31T23:59:59.000000000Z"),
            (1_795_354_675, 123_456_789, "2026-11-22T13:37:55.123456789Z"),
            (2_147_483_647, 0, "2038-01-19T03:14:07.000000000Z"),
            (2_147_483_648, 0, "2038-01-19T03:14:08.000000000Z"),
            (4_107_542_399, 0, "2100-02-28T23:59:59.000000000Z"),
            (4_107_542_400, 0, "2100-03-01T00:00:00.000000000Z"),
            (18_446_744_073, 709_551_615, "2554-07-21T23:34:33.709551615Z"),
        ] {
            let time = Timestamp::from_nanos(second * NANOS_PER_SECOND + nanos);
            assert_eq!(time.to_string(), text);
        }
    }

    #[test]
    fn every_day_follows_the_one_before_it() {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..=u64::MAX / NANOS_PER_SECOND / SECONDS_PER_DAY {
            assert_eq!(civil(days), (year, month, day), "{days} days after 1970-01-01");
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let last = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
            day += 1;
            if day > last[month as usize - 1] {
                (month, day) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
        }
    }

    #[test]
    fn eight_digits_are_those_of_the_number() {
        // Every pair of digits in every lane, and every four digits in both halves.
        for number in (0..10_000).flat_map(|four| [four, four * 10_000, four * 10_001, 99_990_000 + four]) {
            assert_eq!(eight_digits(number), *format!("{number:08}").as_bytes());
        }
    }

    proptest! {
        #[test]
        fn texts_sort_as_their_times_do(a in any::<u64>(), b in any::<u64>()) {
            let [x, y] = [a, b].map(|nanos| Timestamp::from_nanos(nanos).to_string());
            prop_assert_eq!(a.cmp(&b), x.cmp(&y));
        }

        #[test]
        fn a_face_that_showed_other_times_shows_what_a_new_one_does(
            times in proptest::collection::vec(0_u64..5_000_000_000, 1..20), base in 0..u64::MAX / 2,
        ) {
            let mut face = Clockface::new();
            for time in times {
                let (time, mut text) = (Timestamp::from_nanos(base + time), Vec::new());
                face.push(time, &mut text);
                prop_assert_eq!(String::from_utf8(text).unwrap(), time.to_string());
            }
        }
    }
}
