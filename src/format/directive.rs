//! The directives of `strftime` for the parts of a time, a small set: those of which everybody means the same.
//!
//! | directive | shows | | directive | shows |
//! |---|---|---|---|---|
//! | `%Y`, `%y` | `2026`, `26` | | `%H`, `%I`, `%p` | `13`, `01`, `PM` |
//! | `%m`, `%B`, `%b` | `11`, `November`, `Nov` | | `%M`, `%S` | `37`, `55` |
//! | `%d`, `%e` | `02`, `" 2"` | | `%3f`, `%6f`, `%9f` | `123`, `123456`, `123456789` |
//! | `%A`, `%a` | `Sunday`, `Sun` | | `%.3f`, `%.6f`, `%.9f` | `.123`, `.123456`, `.123456789` |
//! | `%F` | `%Y-%m-%d` | | `%z`, `%:z` | `+0900`, `+09:00` |
//! | `%T` | `%H:%M:%S` | | `%s`, `%%` | seconds since 1970, `%` |
//!
//! Not in it: `%f` alone, six digits in Python and nine in Rust; `%Z`, as `IST` is the time of three countries; and
//! whatever a locale decides.

use super::time::{Precision, Zone};

const SECONDS_PER_MINUTE: i64 = 60;
const SECONDS_PER_DAY: i64 = 86_400;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// A part of a time's text.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Directive {
    Literal(char),
    Year,
    YearOfCentury,
    Month,
    MonthName,
    MonthShort,
    Day,
    DaySpaced,
    Weekday,
    WeekdayShort,
    Hour,
    HourOfHalfDay,
    HalfDay,
    Minute,
    Second,
    /// The part of the second, without a point.
    Fraction(Precision),
    /// `+0900`
    Offset,
    /// `+09:00`
    OffsetWithColon,
    /// Seconds since 1970.
    Epoch,
}

use Directive::*;

/// `%Y-%m-%d`
const DATE: [Directive; 5] = [Year, Literal('-'), Month, Literal('-'), Day];
/// `%H:%M:%S`
const TIME: [Directive; 5] = [Hour, Literal(':'), Minute, Literal(':'), Second];

/// What is wrong with a text, and where: bytes from, bytes to.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Problem {
    pub(super) at: std::ops::Range<usize>,
    pub(super) text: String,
}

impl Problem {
    pub(super) fn at(at: std::ops::Range<usize>, text: impl Into<String>) -> Self {
        Problem { at, text: text.into() }
    }

    /// The same in a text that has so many bytes before this one.
    pub(super) fn behind(self, bytes: usize) -> Self {
        Problem { at: self.at.start + bytes..self.at.end + bytes, ..self }
    }
}

impl Directive {
    /// RFC 3339. `Z` says UTC.
    pub(super) fn rfc_3339(precision: Precision, is_utc: bool) -> Vec<Directive> {
        let mut directives = [DATE.as_slice(), &[Literal('T')], &TIME].concat();
        if precision != Precision::Seconds {
            directives.extend([Literal('.'), Fraction(precision)]);
        }
        directives.push(if is_utc { Literal('Z') } else { OffsetWithColon });
        directives
    }

    /// Takes apart what `%` and literals say.
    pub(super) fn parse(text: &str) -> Result<Vec<Directive>, Problem> {
        let mut directives = Vec::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let at = text.len() - rest.len();
            rest = &rest[c.len_utf8()..];
            if c != '%' {
                directives.push(Literal(c));
                continue;
            }
            let is_last = |c: char| c.is_alphabetic() || c == '%';
            let length = rest.split_inclusive(is_last).next().map_or(0, str::len);
            let (name, after) = rest.split_at(length);
            let problem = |text| Problem::at(at..at + 1 + name.len(), text);
            directives.extend(Directive::named(name).map_err(problem)?);
            rest = after;
            let fractions = directives.iter().filter(|directive| matches!(directive, Fraction(_)));
            if fractions.count() > 1 {
                return Err(problem("a second fraction: there can be one".to_owned()));
            }
        }
        Ok(directives)
    }

    /// What stands after a `%`.
    fn named(name: &str) -> Result<Vec<Directive>, String> {
        let one = match name {
            "Y" => Year,
            "y" => YearOfCentury,
            "m" => Month,
            "B" => MonthName,
            "b" => MonthShort,
            "d" => Day,
            "e" => DaySpaced,
            "A" => Weekday,
            "a" => WeekdayShort,
            "H" => Hour,
            "I" => HourOfHalfDay,
            "p" => HalfDay,
            "M" => Minute,
            "S" => Second,
            "3f" => Fraction(Precision::Millis),
            "6f" => Fraction(Precision::Micros),
            "9f" => Fraction(Precision::Nanos),
            "z" => Offset,
            ":z" => OffsetWithColon,
            "s" => Epoch,
            "%" => Literal('%'),
            ".3f" => return Ok(vec![Literal('.'), Fraction(Precision::Millis)]),
            ".6f" => return Ok(vec![Literal('.'), Fraction(Precision::Micros)]),
            ".9f" => return Ok(vec![Literal('.'), Fraction(Precision::Nanos)]),
            "F" => return Ok(DATE.to_vec()),
            "T" => return Ok(TIME.to_vec()),
            "f" | ".f" => return Err("how many digits? `%3f`, `%6f` or `%9f`".to_owned()),
            "Z" => return Err("names of zones are ambiguous: `%z` is the offset".to_owned()),
            _ => return Err(format!("no directive `%{name}`: there are {NAMES}")),
        };
        Ok(vec![one])
    }

    /// Appends its part of a moment. A fraction is not a moment's affair.
    pub(super) fn push(self, moment: &Moment, out: &mut Vec<u8>) {
        match self {
            Literal(c) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            Year => push_digits::<4>(moment.year, out),
            YearOfCentury => push_digits::<2>(moment.year, out),
            Month => push_digits::<2>(moment.month, out),
            MonthName => out.extend_from_slice(moment.month_name().as_bytes()),
            MonthShort => out.extend_from_slice(&moment.month_name().as_bytes()[..3]),
            Day => push_digits::<2>(moment.day, out),
            DaySpaced if moment.day < 10 => out.extend_from_slice(&[b' ', b'0' + moment.day as u8]),
            DaySpaced => push_digits::<2>(moment.day, out),
            Weekday => out.extend_from_slice(moment.weekday_name().as_bytes()),
            WeekdayShort => out.extend_from_slice(&moment.weekday_name().as_bytes()[..3]),
            Hour => push_digits::<2>(moment.second_of_day / 3600, out),
            HourOfHalfDay => push_digits::<2>((moment.second_of_day / 3600 + 11) % 12 + 1, out),
            HalfDay => out.extend_from_slice(if moment.second_of_day < 43_200 { b"AM" } else { b"PM" }),
            Minute => push_digits::<2>(moment.second_of_day / 60 % 60, out),
            Second => push_digits::<2>(moment.second_of_day % 60, out),
            Offset => push_offset(moment.minutes_ahead, b"", out),
            OffsetWithColon => push_offset(moment.minutes_ahead, b":", out),
            Epoch => out.extend_from_slice(itoa::Buffer::new().format(moment.epoch).as_bytes()),
            Fraction(_) => {}
        }
    }
}

/// For whom writes one that there is not.
const NAMES: &str = "%Y %y %m %B %b %d %e %A %a %H %I %p %M %S %3f %6f %9f %.3f %.6f %.9f %z %:z %s %F %T %%";

/// A second, as the clocks and calendars of a zone show it.
#[derive(Debug)]
pub(super) struct Moment {
    epoch: u64,
    year: u32,
    month: u32,
    day: u32,
    /// From Sunday, 0, on.
    weekday: usize,
    second_of_day: u32,
    minutes_ahead: i32,
}

impl Moment {
    pub(super) fn new(second: u64, zone: &Zone) -> Self {
        /// 1970-01-01 was a Thursday.
        const FIRST_WEEKDAY: i64 = 4;
        let minutes_ahead = zone.minutes_ahead(second);
        let shown = second as i64 + i64::from(minutes_ahead) * SECONDS_PER_MINUTE;
        let days = shown.div_euclid(SECONDS_PER_DAY);
        let (year, month, day) = civil(days);
        Moment {
            epoch: second,
            year,
            month,
            day,
            weekday: (days + FIRST_WEEKDAY).rem_euclid(7) as usize,
            second_of_day: shown.rem_euclid(SECONDS_PER_DAY) as u32,
            minutes_ahead,
        }
    }

    fn month_name(&self) -> &'static str {
        MONTHS[self.month as usize - 1]
    }

    fn weekday_name(&self) -> &'static str {
        WEEKDAYS[self.weekday]
    }
}

/// The date of a day that many days after 1970-01-01, in the Gregorian calendar.
///
/// Counted from the first of March of year 0, so that the leap day is the last of its year, its century and its
/// era of 400 years (after Howard Hinnant, "chrono-compatible low-level date algorithms").
fn civil(days_since_1970: i64) -> (u32, u32, u32) {
    const DAYS_TO_1970: i64 = 719_468;
    const DAYS_PER_ERA: u64 = 146_097;
    let days = (days_since_1970 + DAYS_TO_1970) as u64;
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

/// Appends the last digits of `number`.
fn push_digits<const DIGITS: usize>(mut number: u32, out: &mut Vec<u8>) {
    let mut digits = [b'0'; DIGITS];
    for digit in digits.iter_mut().rev() {
        *digit += (number % 10) as u8;
        number /= 10;
    }
    out.extend_from_slice(&digits);
}

fn push_offset(minutes_ahead: i32, colon: &[u8], out: &mut Vec<u8>) {
    let minutes = minutes_ahead.unsigned_abs();
    out.push(if minutes_ahead < 0 { b'-' } else { b'+' });
    push_digits::<2>(minutes / 60, out);
    out.extend_from_slice(colon);
    push_digits::<2>(minutes % 60, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, second: u64) -> String {
        let (moment, mut out) = (Moment::new(second, &Zone::Utc), Vec::new());
        Directive::parse(text).unwrap().into_iter().for_each(|directive| directive.push(&moment, &mut out));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn directives_show_what_date_shows() {
        // By `LC_ALL=C date -u -d @… +…`
        assert_eq!(shown("%Y %y %m %B %b %d %e", 1_795_354_675), "2026 26 11 November Nov 22 22");
        assert_eq!(shown("%A %a %H %I %p %M %S", 1_795_354_675), "Sunday Sun 13 01 PM 37 55");
        assert_eq!(
            shown("%z %:z %s %F %T %%", 1_795_354_675),
            "+0000 +00:00 1795354675 2026-11-22 13:37:55 %"
        );
        assert_eq!(shown("%e %A %I %p", 0), " 1 Thursday 12 AM");
        assert_eq!(shown("%A %I %p", 951_825_600), "Tuesday 12 PM");
        assert_eq!(shown("kept: é {}", 0), "kept: é {}");
    }

    #[test]
    fn what_is_no_directive_is_named_with_its_place() {
        for (text, at, said) in [
            ("%H:%Q", 3..5, "no directive `%Q`: there are %Y"),
            ("%H %", 3..4, "no directive `%`"),
            ("%f", 0..2, "how many digits?"),
            ("%5f", 0..3, "no directive `%5f`"),
            ("%T%.3f%6f", 6..9, "a second fraction"),
            ("é%Z", 2..4, "ambiguous"),
            ("%é", 0..3, "no directive `%é`"),
        ] {
            let problem = Directive::parse(text).unwrap_err();
            assert_eq!(problem.at, at, "{text}: {problem:?}");
            assert!(problem.text.contains(said), "{problem:?}");
        }
    }

    #[test]
    fn the_list_of_names_is_complete() {
        for name in NAMES.split(' ') {
            assert!(Directive::parse(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn every_day_follows_the_one_before_it() {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..=(u64::MAX / 1_000_000_000) as i64 / SECONDS_PER_DAY {
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
        assert_eq!(civil(-1), (1969, 12, 31), "the epoch, west of Greenwich");
    }
}
