//! Times in text: RFC 3339, as in `2026-11-22T13:37:55.123456789Z`, or as [directives](super::directive) say.
//!
//! All but the fraction is the same for a million records in a row, so a [`Clockface`] keeps it; only the digits of the
//! fraction are made for each record. There is no leap second here: UTC as the system counts it.

use std::fmt;

use super::directive::{Directive, Moment};
use super::time::{Precision, Time, Zone};
use crate::record::{Timestamp, eight_digits};

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Writes stamps, and remembers what stands around the fraction in the second of the last one.
pub(super) struct Clockface {
    zone: Zone,
    directives: Vec<Directive>,
    /// That of the fraction, of which there is one at most.
    precision: Precision,
    /// The second that the text shows; no stamp reaches the initial value.
    second: u64,
    /// With zeros for the fraction.
    text: Vec<u8>,
    fraction_at: usize,
}

impl Clockface {
    /// RFC 3339.
    pub(super) fn new(time: &Time) -> Self {
        Clockface::of(&Directive::rfc_3339(time.precision, time.zone.is_utc()), time.zone.clone())
    }

    /// As the directives say; not more than one of them is a fraction.
    pub(super) fn of(directives: &[Directive], zone: Zone) -> Self {
        let fraction = directives.iter().find_map(|directive| match directive {
            Directive::Fraction(precision) => Some(*precision),
            _ => None,
        });
        Clockface {
            zone,
            directives: directives.to_vec(),
            precision: fraction.unwrap_or(Precision::Seconds),
            second: u64::MAX,
            text: Vec::new(),
            fraction_at: 0,
        }
    }

    /// The same by the clocks of another zone.
    pub(super) fn set_zone(&mut self, zone: Zone) {
        self.zone = zone;
        self.second = u64::MAX;
    }

    /// Appends the stamp's text.
    #[inline]
    pub(super) fn push(&mut self, time: Timestamp, out: &mut Vec<u8>) {
        let second = time.as_nanos() / NANOS_PER_SECOND;
        if second != self.second {
            self.turn(second);
        }
        let nanos = (time.as_nanos() % NANOS_PER_SECOND) as u32;
        // The digits are stored where they shall be: in a text that was copied on behind them, they would have to reach the
        // cache before they could be read as a part of it.
        let at = out.len() + self.fraction_at;
        out.extend_from_slice(&self.text);
        let fraction = &mut out[at..];
        let digits = eight_digits(nanos / 10);
        match self.precision {
            Precision::Seconds => {}
            Precision::Millis => fraction[..3].copy_from_slice(&digits[..3]),
            Precision::Micros => fraction[..6].copy_from_slice(&digits[..6]),
            Precision::Nanos => {
                fraction[..8].copy_from_slice(&digits);
                fraction[8] = b'0' + (nanos % 10) as u8;
            }
        }
    }

    #[cold]
    fn turn(&mut self, second: u64) {
        self.second = second;
        let moment = Moment::new(second, &self.zone);
        self.text.clear();
        for directive in &self.directives {
            if let Directive::Fraction(precision) = directive {
                self.fraction_at = self.text.len();
                self.text.resize(self.fraction_at + precision.digits(), b'0');
            }
            directive.push(&moment, &mut self.text);
        }
    }
}

/// What was set and nothing of the last stamp: keys of formats are made of it.
impl fmt::Debug for Clockface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Clockface { zone, directives, precision, second: _, text: _, fraction_at: _ } = self;
        write!(f, "Clockface({zone:?}, {directives:?}, {precision:?})")
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339, in UTC, with nanoseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::with_capacity(30);
        Clockface::new(&Time::utc()).push(*self, &mut text);
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

    fn shown(time: &Time, nanos: u64) -> String {
        let mut text = Vec::new();
        Clockface::new(time).push(Timestamp::from_nanos(nanos), &mut text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn a_fraction_is_as_long_as_asked_for_and_never_rounded() {
        for (time, text) in [
            (Time::utc().seconds(), "2026-11-22T13:37:55Z"),
            (Time::utc().millis(), "2026-11-22T13:37:55.999Z"),
            (Time::utc().micros(), "2026-11-22T13:37:55.999999Z"),
            (Time::utc().seconds().nanos(), "2026-11-22T13:37:55.999999999Z"),
        ] {
            assert_eq!(shown(&time, 1_795_354_675_999_999_999), text);
        }
    }

    #[test]
    fn a_fraction_may_stand_anywhere() {
        let directives = Directive::parse("%6f after %T").unwrap();
        let mut text = Vec::new();
        Clockface::of(&directives, Zone::Utc).push(Timestamp::from_nanos(1_001_002_003), &mut text);
        assert_eq!(text, b"001002 after 00:00:01");
    }

    /// Zones by `/usr/share/zoneinfo`; each time checked with `TZ=… date -d @…`.
    #[cfg(feature = "time-zones")]
    #[test]
    fn zones_show_their_own_time_and_how_far_it_is_ahead() {
        for (zone, second, text) in [
            ("UTC", 0, "1970-01-01T00:00:00+00:00"),
            ("Asia/Tokyo", 1_795_354_675, "2026-11-22T22:37:55+09:00"),
            ("Asia/Kathmandu", 1_795_354_675, "2026-11-22T19:22:55+05:45"),
            ("America/St_Johns", 1_795_354_675, "2026-11-22T10:07:55-03:30"),
            ("America/New_York", 0, "1969-12-31T19:00:00-05:00"),
            // Clocks go forward and back.
            ("Europe/Berlin", 1_774_745_999, "2026-03-29T01:59:59+01:00"),
            ("Europe/Berlin", 1_774_746_000, "2026-03-29T03:00:00+02:00"),
            ("Europe/Berlin", 1_792_889_999, "2026-10-25T02:59:59+02:00"),
            ("Europe/Berlin", 1_792_890_000, "2026-10-25T02:00:00+01:00"),
            // By half an hour.
            ("Australia/Lord_Howe", 1_791_041_399, "2026-10-04T01:59:59+10:30"),
            ("Australia/Lord_Howe", 1_791_041_400, "2026-10-04T02:30:00+11:00"),
            ("Australia/Lord_Howe", 1_775_314_799, "2026-04-05T01:59:59+11:00"),
            ("Australia/Lord_Howe", 1_775_314_800, "2026-04-05T01:30:00+10:30"),
            // Ahead by minutes only, until 1972: 44 and a half behind, shown as of 44 behind.
            ("Africa/Monrovia", 0, "1969-12-31T23:16:00-00:44"),
        ] {
            assert_eq!(
                shown(&Time::zone(zone).unwrap().seconds(), second * NANOS_PER_SECOND),
                text,
                "{zone}"
            );
        }
    }

    /// A face that is turned from second to second shows a change of clocks when it comes.
    #[cfg(feature = "time-zones")]
    #[test]
    fn a_change_of_clocks_is_followed_at_once() {
        let mut face = Clockface::new(&Time::zone("Australia/Lord_Howe").unwrap().millis());
        let change = 1_791_041_400 * NANOS_PER_SECOND;
        for (time, text) in [
            (change - 1, "2026-10-04T01:59:59.999+10:30"),
            (change, "2026-10-04T02:30:00.000+11:00"),
            (change - 1_000_000, "2026-10-04T01:59:59.999+10:30"),
        ] {
            let mut out = Vec::new();
            face.push(Timestamp::from_nanos(time), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }

    #[cfg(feature = "time-zones")]
    #[test]
    fn a_zone_that_is_not_there_is_an_error_that_names_it() {
        let error = Time::zone("Mars/Olympus_Mons").unwrap_err();
        assert!(error.is_config());
        assert!(error.to_string().starts_with("time zone `Mars/Olympus_Mons`: "), "{error}");
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
            let mut face = Clockface::new(&Time::utc());
            for time in times {
                let (time, mut text) = (Timestamp::from_nanos(base + time), Vec::new());
                face.push(time, &mut text);
                prop_assert_eq!(String::from_utf8(text).unwrap(), time.to_string());
            }
        }
    }
}
