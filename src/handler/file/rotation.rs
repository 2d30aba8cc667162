//! When a file rolls, and what is kept: settings, their checks, and the intervals of time.

use std::time::Duration;

use crate::error::Error;
use crate::record::Timestamp;

const SECONDS_PER_MINUTE: u64 = 60;
const SECONDS_PER_HOUR: u64 = 3600;
const SECONDS_PER_DAY: u64 = 86_400;
const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// So many rolled files are kept unless asked otherwise: a limit that nobody set must not fill a disk.
const KEEP_FILES: usize = 10;

/// When a [`File`](super::File) is put aside and a new one begun, and how many of the old ones are kept.
///
/// The file that is written to always has the path it was opened by. Where it rolls by size alone, those put aside are
/// `app.log.1` (the newest), `app.log.2` and so on; where it rolls by time, each has the start of its interval in UTC:
/// `app.log.2026-11-22`, and a number behind it if it is not the first of its interval. An empty file is never rolled.
///
/// ```
/// use std::time::Duration;
/// use treering::handler::Rotation;
///
/// let by_size = Rotation::new().at_bytes(100 << 20).keep_files(5);
/// let by_time = Rotation::new().daily().at(4, 30).keep_age(Duration::from_secs(90 * 86_400));
/// let by_both = Rotation::new().hourly().at_bytes(1 << 30).keep_bytes(20 << 30);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Rotation {
    bytes_max: Option<u64>,
    pub(super) interval: Option<Interval>,
    /// Hour and minute at which days and weeks begin.
    at: (u32, u32),
    pub(super) on_start: bool,
    pub(super) keep: Keep,
}

/// What is kept of the rolled files: those that pass all three.
#[derive(Clone, Debug)]
pub(super) struct Keep {
    pub(super) files: usize,
    pub(super) age: Option<Duration>,
    pub(super) bytes: Option<u64>,
}

/// Time, cut into pieces of one length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Interval {
    seconds: u64,
    /// When one of them begins, in seconds after 1970-01-01.
    origin: u64,
}

/// One piece of time, in seconds after 1970-01-01.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Period {
    pub(super) start: u64,
    pub(super) end: u64,
}

/// A day of the week.
///
/// ```
/// use treering::handler::{Rotation, Weekday};
/// let rotation = Rotation::new().weekly(Weekday::Sunday);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(clippy::exhaustive_enums, reason = "there will be no eighth")]
#[allow(missing_docs, reason = "named by themselves")]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

impl Default for Rotation {
    fn default() -> Self {
        Rotation::new()
    }
}

impl Rotation {
    /// Rolls when [`FileControl::roll`](super::FileControl::roll) asks for it, and keeps ten files.
    ///
    /// ```
    /// let rotation = treering::handler::Rotation::new();
    /// ```
    pub fn new() -> Self {
        let keep = Keep { files: KEEP_FILES, age: None, bytes: None };
        Rotation { bytes_max: None, interval: None, at: (0, 0), on_start: false, keep }
    }

    /// Rolls before the record that would make the file longer than this. So no file is, but for one that holds a
    /// single longer record.
    ///
    /// ```
    /// let rotation = treering::handler::Rotation::new().at_bytes(100 << 20);
    /// ```
    pub fn at_bytes(mut self, bytes_max: u64) -> Self {
        self.bytes_max = Some(bytes_max);
        self
    }

    /// Rolls with the first record of each minute.
    ///
    /// ```
    /// let rotation = treering::handler::Rotation::new().minutely();
    /// ```
    pub fn minutely(self) -> Self {
        self.each(SECONDS_PER_MINUTE, 0)
    }

    /// Rolls with the first record of each hour.
    ///
    /// ```
    /// let rotation = treering::handler::Rotation::new().hourly();
    /// ```
    pub fn hourly(self) -> Self {
        self.each(SECONDS_PER_HOUR, 0)
    }

    /// Rolls with the first record of each day, which begins at midnight (UTC) or [`at`](Rotation::at) another time.
    ///
    /// ```
    /// let rotation = treering::handler::Rotation::new().daily();
    /// ```
    pub fn daily(self) -> Self {
        self.each(SECONDS_PER_DAY, 0)
    }

    /// Rolls with the first record of each week, which begins with this day.
    ///
    /// ```
    /// use treering::handler::{Rotation, Weekday};
    /// let rotation = Rotation::new().weekly(Weekday::Monday);
    /// ```
    pub fn weekly(self, first: Weekday) -> Self {
        /// 1970-01-01 was a Thursday, so the first Monday is four days later.
        const FIRST_MONDAY: u64 = 4;
        self.each(7 * SECONDS_PER_DAY, (FIRST_MONDAY + first as u64) % 7 * SECONDS_PER_DAY)
    }

    /// When days and weeks begin, in UTC. Hours and minutes begin when they do.
    ///
    /// ```
    /// let rotation = treering::handler::Rotation::new().daily().at(4, 30);
    /// ```
    pub fn at(mut self, hour: u32, minute: u32) -> Self {
        self.at = (hour, minute);
        self
    }

    /// Whether what an earlier process wrote is rolled before the first record. Default: no.
    ///
    /// ```
    /// let rotation = treering::handler::Rotation::new().on_start(true);
    /// ```
    pub fn on_start(mut self, rolls: bool) -> Self {
        self.on_start = rolls;
        self
    }

    /// How many rolled files are kept; older ones are removed after the next roll. Default: 10.
    ///
    /// ```
    /// let all = treering::handler::Rotation::new().daily().keep_files(usize::MAX);
    /// ```
    pub fn keep_files(mut self, files_max: usize) -> Self {
        self.keep.files = files_max;
        self
    }

    /// Rolled files whose last line is older than this are removed after the next roll. Default: none is too old.
    ///
    /// ```
    /// use std::time::Duration;
    /// let rotation = treering::handler::Rotation::new().daily().keep_age(Duration::from_secs(30 * 86_400));
    /// ```
    pub fn keep_age(mut self, age_max: Duration) -> Self {
        self.keep.age = Some(age_max);
        self
    }

    /// Of the rolled files the newest are kept that have so many bytes together. Default: no limit.
    ///
    /// ```
    /// let rotation = treering::handler::Rotation::new().at_bytes(10 << 20).keep_bytes(100 << 20);
    /// ```
    pub fn keep_bytes(mut self, bytes_max: u64) -> Self {
        self.keep.bytes = Some(bytes_max);
        self
    }

    fn each(mut self, seconds: u64, origin: u64) -> Self {
        self.interval = Some(Interval { seconds, origin });
        self
    }

    /// Looks whether all settings can be, and brings them together.
    pub(super) fn check(mut self) -> Result<Self, Error> {
        let (hour, minute) = self.at;
        if hour > 23 || minute > 59 {
            return Err(Error::config(format!("at({hour}, {minute}) is no time of day")));
        }
        if self.bytes_max == Some(0) {
            return Err(Error::config("at_bytes(0) leaves room for nothing"));
        }
        if self.keep.files == 0 {
            return Err(Error::config("keep_files(0) would lose what is rolled: keep at least 1"));
        }
        if let Some(interval) = &mut self.interval
            && interval.seconds >= SECONDS_PER_DAY
        {
            interval.origin += u64::from(hour) * SECONDS_PER_HOUR + u64::from(minute) * SECONDS_PER_MINUTE;
        }
        Ok(self)
    }

    /// Whether a file of this length is too long.
    pub(super) fn is_too_long(&self, bytes: u64) -> bool {
        self.bytes_max.is_some_and(|most| bytes > most)
    }
}

impl Interval {
    /// The piece that this time lies in.
    pub(super) fn period_of(&self, time: Timestamp) -> Period {
        let seconds = (time.as_nanos() / NANOS_PER_SECOND) as i64;
        let into = (seconds - self.origin as i64).rem_euclid(self.seconds as i64);
        let start = seconds - into;
        // The first week began before the time that a stamp can name.
        Period { start: start.max(0) as u64, end: (start + self.seconds as i64) as u64 }
    }

    /// The name of the piece that begins then: `2026-11-22`, `2026-11-22_13`, `2026-11-22_13-37`.
    pub(super) fn stamp(&self, start: u64) -> String {
        let text = Timestamp::from_nanos(start * NANOS_PER_SECOND).to_string(); // 2026-11-22T13:37:55.…
        let (day, hour, minute) = (&text[..10], &text[11..13], &text[14..16]);
        match self.seconds {
            SECONDS_PER_MINUTE => format!("{day}_{hour}-{minute}"),
            SECONDS_PER_HOUR => format!("{day}_{hour}"),
            _ => day.to_owned(),
        }
    }
}

impl Period {
    /// Whether this time is later than all of it.
    pub(super) fn ends_before(&self, time: Timestamp) -> bool {
        time.as_nanos() / NANOS_PER_SECOND >= self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2023-11-14T22:13:20Z, a Tuesday.
    const TIME: Timestamp = Timestamp::from_nanos(1_700_000_000 * NANOS_PER_SECOND);

    fn stamp(rotation: Rotation) -> String {
        let interval = rotation.check().unwrap().interval.unwrap();
        let period = interval.period_of(TIME);
        assert!(!period.ends_before(TIME));
        assert!(period.ends_before(Timestamp::from_nanos(period.end * NANOS_PER_SECOND)));
        assert_eq!(interval.period_of(Timestamp::from_nanos(period.start * NANOS_PER_SECOND)), period);
        interval.stamp(period.start)
    }

    #[test]
    fn each_interval_is_named_for_its_start() {
        let new = Rotation::new;
        assert_eq!(stamp(new().minutely()), "2023-11-14_22-13");
        assert_eq!(stamp(new().hourly()), "2023-11-14_22");
        assert_eq!(stamp(new().daily()), "2023-11-14");
        assert_eq!(stamp(new().daily().at(22, 13)), "2023-11-14");
        assert_eq!(stamp(new().daily().at(22, 14)), "2023-11-13");
        assert_eq!(stamp(new().at(23, 59).hourly()), "2023-11-14_22", "hours begin when they do");
        let weeks = [
            (Weekday::Monday, "2023-11-13"),
            (Weekday::Tuesday, "2023-11-14"),
            (Weekday::Wednesday, "2023-11-08"),
            (Weekday::Thursday, "2023-11-09"),
            (Weekday::Friday, "2023-11-10"),
            (Weekday::Saturday, "2023-11-11"),
            (Weekday::Sunday, "2023-11-12"),
        ];
        for (first, start) in weeks {
            assert_eq!(stamp(new().weekly(first)), start, "{first:?}");
        }
        assert_eq!(stamp(new().weekly(Weekday::Tuesday).at(23, 0)), "2023-11-07");
    }

    #[test]
    fn the_beginning_of_time_is_in_a_period() {
        let period =
            Rotation::new().weekly(Weekday::Monday).interval.unwrap().period_of(Timestamp::from_nanos(0));
        assert_eq!(period, Period { start: 0, end: 4 * SECONDS_PER_DAY });
    }

    #[test]
    fn what_cannot_be_is_said() {
        let wrong = [
            (Rotation::new().at_bytes(0), "at_bytes(0)"),
            (Rotation::new().daily().at(24, 0), "at(24, 0)"),
            (Rotation::new().daily().at(0, 60), "at(0, 60)"),
            (Rotation::new().keep_files(0), "keep_files(0)"),
        ];
        for (rotation, expected) in wrong {
            let error = rotation.check().unwrap_err();
            assert!(error.is_config() && error.to_string().contains(expected), "{error}");
        }
    }
}
