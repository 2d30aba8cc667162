//! When a file rolls, and what is kept: settings, their checks, and the intervals of time.

use std::time::Duration;

use super::clocks;
use super::compression::Compression;
use crate::error::Error;
#[cfg(feature = "time-zones")]
use crate::format::Time;
use crate::format::Zone;
use crate::record::Timestamp;

const SECONDS_PER_MINUTE: i64 = 60;
const SECONDS_PER_HOUR: i64 = 3600;
const SECONDS_PER_DAY: i64 = 86_400;
const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// The longest interval, a century: times far beyond any record's would be out of the range of the arithmetic.
const INTERVAL_MAX: i64 = 36_525 * SECONDS_PER_DAY;

/// A record that comes less late may have been made by a clock that was right: an hour, and one by which an interval is
/// longer where the clocks of its zone are set back.
const LATE_MAX: i64 = 2 * SECONDS_PER_HOUR;

/// So many rolled files are kept unless asked otherwise: a limit that nobody set must not fill a disk.
const KEEP_FILES: usize = 10;

/// When a [`File`](super::File) is put aside and a new one begun, and how many of the old ones are kept.
///
/// The file that is written to always has the path it was opened by. Where it rolls by size alone, those put aside are
/// `app.log.1` (the newest), `app.log.2` and so on; where it rolls by time, each has the start of its interval:
/// `app.log.2026-11-22`, and a number behind it if it is not the first of its interval. An empty file is never rolled.
///
/// Days, hours and minutes are those of the clocks in UTC, or of a `zone` with the feature
/// `time-zones`. Where clocks are set back, what they show twice begins no interval twice: the one that lasts goes on
/// until they are past it. Where they are set forward, an interval whose beginning they skip begins with the skip.
///
/// ```
/// use std::time::Duration;
/// use treering::handler::Rotation;
///
/// let by_size = Rotation::new().at_bytes(100 << 20).keep_files(5);
/// let by_time = Rotation::new().daily().at(4, 30).keep_age(Duration::from_secs(90 * 86_400));
/// let by_both = Rotation::new().every(Duration::from_hours(6)).at_bytes(1 << 30).keep_bytes(20 << 30);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Rotation {
    bytes_max: Option<u64>,
    interval: Option<Interval>,
    zone: Zone,
    /// Hour and minute at which days and weeks begin.
    at: (u32, u32),
    pub(super) on_start: bool,
    pub(super) keep: Keep,
    pub(super) compression: Option<Compression>,
}

/// What is kept of the rolled files: those that pass all three.
#[derive(Clone, Debug)]
pub(super) struct Keep {
    pub(super) files: usize,
    pub(super) age: Option<Duration>,
    pub(super) bytes: Option<u64>,
}

/// What clocks show, cut into pieces of one length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Interval {
    seconds: i64,
    /// When one of them begins, in seconds after 1970-01-01 as the clocks show it.
    origin: i64,
}

/// One piece of time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Period {
    /// What the clocks show when it begins, in seconds after 1970-01-01: what it is named for. Of two periods the later
    /// one has the higher.
    shown: i64,
    /// The first second after 1970-01-01 that it has no more.
    end: i64,
    /// Who says that it is earlier than this second has had its clock set back since, by more than a record may be late.
    earliest: i64,
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
        Rotation {
            bytes_max: None,
            interval: None,
            zone: Zone::Utc,
            at: (0, 0),
            on_start: false,
            keep,
            compression: None,
        }
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

    /// Rolls with the first record of each piece of this length, a whole number of minutes of which a whole number makes a
    /// day, or a whole number of days, up to a century. Pieces of a day begin with the day, those of several days count from 1970-01-01:
    /// so each process that is asked has the same.
    ///
    /// ```
    /// use std::time::Duration;
    /// use treering::handler::Rotation;
    /// let quarters = Rotation::new().every(Duration::from_mins(15)); // app.log.2026-11-22_13-45
    /// let shifts = Rotation::new().every(Duration::from_hours(8)); // app.log.2026-11-22_08
    /// ```
    pub fn every(self, length: Duration) -> Self {
        // What is no whole number of seconds must not pass for one.
        let seconds = if length.subsec_nanos() == 0 { length.as_secs() } else { 0 };
        self.each(i64::try_from(seconds).unwrap_or(0), 0)
    }

    /// Rolls with the first record of each day, which begins at midnight or [`at`](Rotation::at) another time.
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
        const FIRST_MONDAY: i64 = 4;
        self.each(7 * SECONDS_PER_DAY, (FIRST_MONDAY + first as i64) % 7 * SECONDS_PER_DAY)
    }

    /// By the clocks of a zone of the system's time zone database (`tzdata`), not UTC. Read now, once.
    ///
    /// # Errors
    /// Where there is no such zone, or no database ([`is_config`](crate::Error::is_config)).
    ///
    /// ```
    /// use treering::handler::Rotation;
    /// assert!(Rotation::new().daily().zone("Europe/Atlantis").unwrap_err().is_config());
    /// ```
    #[cfg(feature = "time-zones")]
    pub fn zone(self, name: &str) -> Result<Self, Error> {
        Ok(Rotation { zone: Time::zone(name)?.zone, ..self })
    }

    /// By the clocks of the system's zone: what `TZ` says, or else `/etc/localtime`. Read now, once.
    ///
    /// # Errors
    /// Where the system has no zone that can be read ([`is_config`](crate::Error::is_config)).
    ///
    /// ```
    /// let rotation = treering::handler::Rotation::new().daily().local()?;
    /// # Ok::<(), treering::Error>(())
    /// ```
    #[cfg(feature = "time-zones")]
    pub fn local(self) -> Result<Self, Error> {
        Ok(Rotation { zone: Time::local()?.zone, ..self })
    }

    /// When days and weeks begin. Hours and minutes begin when they do.
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

    /// Compresses files when they have rolled, on a thread that runs only while no other wants to. Default: no.
    ///
    /// What is compressed has another ending, `app.log.1.gz`, and counts as one of those that are kept, by the bytes that it
    /// has. A file that another process still writes to is left until it does not.
    ///
    /// ```
    /// # #[cfg(feature = "gzip")] {
    /// use treering::handler::{Compression, Rotation};
    /// let rotation = Rotation::new().daily().compress(Compression::Gzip).keep_files(90);
    /// # }
    /// ```
    pub fn compress(mut self, compression: Compression) -> Self {
        self.compression = Some(compression);
        self
    }

    fn each(mut self, seconds: i64, origin: i64) -> Self {
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
        if let Some(interval) = &mut self.interval {
            interval.check()?;
            if interval.is_of_days() {
                interval.origin +=
                    i64::from(hour) * SECONDS_PER_HOUR + i64::from(minute) * SECONDS_PER_MINUTE;
            }
        }
        Ok(self)
    }

    /// The piece of time that this moment lies in, if it rolls by time.
    pub(super) fn period_of(&self, time: Timestamp) -> Option<Period> {
        let interval = self.interval?;
        let second = (time.as_nanos() / NANOS_PER_SECOND) as i64;
        let shown = interval.start_of(clocks::shown_until(&self.zone, second));
        let end = clocks::first_to_show(&self.zone, shown + interval.seconds, second);
        let earliest = end - interval.seconds - interval.seconds.max(LATE_MAX);
        Some(Period { shown, end, earliest })
    }

    /// The name of a piece of time: `2026-11-22`, `2026-11-22_13`, `2026-11-22_13-37`; empty if it does not roll by time.
    pub(super) fn stamp(&self, period: Option<Period>) -> String {
        let (Some(interval), Some(Period { shown, .. })) = (self.interval, period) else {
            return String::new();
        };
        // The first week began before the time that a stamp can name.
        let shown = Timestamp::from_nanos(shown.max(0) as u64 * NANOS_PER_SECOND).to_string();
        let (day, hour, minute) = (&shown[..10], &shown[11..13], &shown[14..16]); // 2026-11-22T13:37:55.…
        if interval.is_of_days() {
            day.to_owned()
        } else if interval.seconds % SECONDS_PER_HOUR == 0 {
            format!("{day}_{hour}")
        } else {
            format!("{day}_{hour}-{minute}")
        }
    }

    /// What a stamp looks like.
    pub(super) fn sample_stamp(&self) -> String {
        self.stamp(self.period_of(Timestamp::from_nanos(0)))
    }

    /// Whether a file of this length is too long.
    pub(super) fn is_too_long(&self, bytes: u64) -> bool {
        self.bytes_max.is_some_and(|most| bytes > most)
    }
}

impl Interval {
    /// Whether it begins with the minute, at the same times of each day or of some.
    fn check(self) -> Result<(), Error> {
        let is_even = |of: i64, by: i64| by > 0 && of % by == 0;
        let is_of_a_day = is_even(self.seconds, SECONDS_PER_MINUTE) && is_even(SECONDS_PER_DAY, self.seconds);
        let is_of_days = self.is_of_days() && (1..=INTERVAL_MAX).contains(&self.seconds);
        if !(is_of_a_day || is_of_days) {
            return Err(Error::config(
                "every(…) wants minutes of which a whole number makes a day, such as 15 or 360, or whole days, \
                 36525 at most",
            ));
        }
        Ok(())
    }

    fn is_of_days(self) -> bool {
        self.seconds % SECONDS_PER_DAY == 0
    }

    /// When the piece begins that has what is shown.
    fn start_of(self, shown: i64) -> i64 {
        shown - (shown - self.origin).rem_euclid(self.seconds)
    }
}

impl Period {
    /// Whether a record of this time is not for its file: it is later, or so much earlier that it is not just late.
    pub(super) fn is_over_at(&self, time: Timestamp) -> bool {
        let second = (time.as_nanos() / NANOS_PER_SECOND) as i64;
        second >= self.end || second < self.earliest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2023-11-14T22:13:20Z, a Tuesday.
    const TIME: i64 = 1_700_000_000;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_nanos(second as u64 * NANOS_PER_SECOND)
    }

    /// The name of the piece that this second lies in, and its end.
    fn piece(rotation: &Rotation, second: i64) -> (String, i64) {
        let period = rotation.period_of(at(second)).unwrap();
        assert!(!period.is_over_at(at(second)) && period.is_over_at(at(period.end)));
        assert_eq!(rotation.period_of(at(period.end - 1)), Some(period));
        (rotation.stamp(Some(period)), period.end)
    }

    fn stamp(rotation: Rotation) -> String {
        piece(&rotation.check().unwrap(), TIME).0
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
        assert_eq!(stamp(new().every(Duration::from_mins(10))), "2023-11-14_22-10");
        assert_eq!(stamp(new().every(Duration::from_mins(90))), "2023-11-14_21-00");
        assert_eq!(stamp(new().every(Duration::from_hours(6))), "2023-11-14_18");
        assert_eq!(
            stamp(new().every(Duration::from_hours(72))),
            "2023-11-13",
            "the 6558th three days since 1970"
        );
    }

    #[test]
    fn the_beginning_of_time_is_in_a_period() {
        assert_eq!(
            piece(&Rotation::new().weekly(Weekday::Monday), 0),
            ("1970-01-01".to_owned(), 4 * SECONDS_PER_DAY)
        );
    }

    #[test]
    fn what_cannot_be_is_said() {
        let wrong = [
            (Rotation::new().at_bytes(0), "at_bytes(0)"),
            (Rotation::new().daily().at(24, 0), "at(24, 0)"),
            (Rotation::new().daily().at(0, 60), "at(0, 60)"),
            (Rotation::new().keep_files(0), "keep_files(0)"),
            (Rotation::new().every(Duration::ZERO), "every"),
            (Rotation::new().every(Duration::from_secs(90)), "every"),
            (Rotation::new().every(Duration::from_mins(7)), "every"),
            (Rotation::new().every(Duration::from_hours(36)), "every"),
            (Rotation::new().every(Duration::from_millis(60_500)), "every"),
            (Rotation::new().every(Duration::MAX), "every"),
            (Rotation::new().every(Duration::from_secs(i64::MAX as u64 / 86_400 * 86_400)), "every"),
            (Rotation::new().every(Duration::from_secs(36_526 * 86_400)), "every"),
        ];
        for (rotation, expected) in wrong {
            let error = rotation.check().unwrap_err();
            assert!(error.is_config() && error.to_string().contains(expected), "{error}");
        }
    }

    #[cfg(feature = "time-zones")]
    mod in_zones {
        use super::*;

        fn second(utc: &str) -> i64 {
            utc.parse::<jiff::Timestamp>().unwrap().as_second()
        }

        /// From this moment the pieces are named so, and end then.
        #[track_caller]
        fn check(rotation: Rotation, from: &str, expected: &[(&str, &str)]) {
            let rotation = rotation.check().unwrap();
            let mut now = second(from);
            for (name, end) in expected {
                assert_eq!(piece(&rotation, now), ((*name).to_owned(), second(end)), "at {now}");
                now = second(end);
            }
        }

        fn new(zone: &str) -> Rotation {
            Rotation::new().zone(zone).unwrap()
        }

        #[test]
        fn days_are_as_long_as_the_clocks_make_them() {
            let spring = [("2026-03-28", "2026-03-28T23:00:00Z"), ("2026-03-29", "2026-03-29T22:00:00Z")];
            check(new("Europe/Berlin").daily(), "2026-03-28T12:00:00Z", &spring);
            let autumn = [("2026-10-24", "2026-10-24T22:00:00Z"), ("2026-10-25", "2026-10-25T23:00:00Z")];
            check(new("Europe/Berlin").daily(), "2026-10-24T12:00:00Z", &autumn);
            let week = [("2026-10-19", "2026-10-25T23:00:00Z"), ("2026-10-26", "2026-11-01T23:00:00Z")];
            check(new("Europe/Berlin").weekly(Weekday::Monday), "2026-10-20T12:00:00Z", &week);
            // Half an hour: from +11:00 to +10:30 and back.
            let howe = [("2026-04-05", "2026-04-05T13:30:00Z"), ("2026-04-06", "2026-04-06T13:30:00Z")];
            check(new("Australia/Lord_Howe").daily(), "2026-04-04T13:00:00Z", &howe);
        }

        #[test]
        fn a_time_of_day_that_does_not_exist_is_when_the_clocks_pass_it() {
            // From 02:00 at once to 03:00, 01:00 UTC.
            let berlin = [("2026-03-28", "2026-03-29T01:00:00Z"), ("2026-03-29", "2026-03-30T00:30:00Z")];
            check(new("Europe/Berlin").daily().at(2, 30), "2026-03-28T12:00:00Z", &berlin);
            // From midnight at once to 01:00.
            let cairo = [("2026-04-23", "2026-04-23T22:00:00Z"), ("2026-04-24", "2026-04-24T21:00:00Z")];
            check(new("Africa/Cairo").daily(), "2026-04-23T12:00:00Z", &cairo);
            // Samoa had no 2011-12-30.
            let samoa = [("2011-12-29", "2011-12-30T10:00:00Z"), ("2011-12-31", "2011-12-31T10:00:00Z")];
            check(new("Pacific/Apia").daily(), "2011-12-29T12:00:00Z", &samoa);
        }

        #[test]
        fn a_time_of_day_that_comes_twice_begins_one_day() {
            // From 03:00 back to 02:00, 01:00 UTC.
            let berlin = [("2026-10-24", "2026-10-25T00:30:00Z"), ("2026-10-25", "2026-10-26T01:30:00Z")];
            check(new("Europe/Berlin").daily().at(2, 30), "2026-10-24T12:00:00Z", &berlin);
            // From 00:01 back to 23:01: midnight came, and was gone again.
            let newfoundland =
                [("2010-11-06", "2010-11-07T02:30:00Z"), ("2010-11-07", "2010-11-08T03:30:00Z")];
            check(new("America/St_Johns").daily(), "2010-11-06T12:00:00Z", &newfoundland);
        }

        #[test]
        fn hours_and_minutes_that_come_twice_begin_once() {
            let hours = [
                ("2026-10-25_01", "2026-10-25T00:00:00Z"),
                ("2026-10-25_02", "2026-10-25T02:00:00Z"),
                ("2026-10-25_03", "2026-10-25T03:00:00Z"),
            ];
            check(new("Europe/Berlin").hourly(), "2026-10-24T23:10:00Z", &hours);
            let quarters =
                [("2026-10-25_02-30", "2026-10-25T00:45:00Z"), ("2026-10-25_02-45", "2026-10-25T02:00:00Z")];
            let rotation = new("Europe/Berlin").every(Duration::from_mins(15));
            check(rotation, "2026-10-25T00:31:00Z", &quarters);
            // At 15:00 UTC back from 02:00 to 01:30.
            let howe = [("2026-04-05_01", "2026-04-04T15:30:00Z"), ("2026-04-05_02", "2026-04-04T16:30:00Z")];
            check(new("Australia/Lord_Howe").hourly(), "2026-04-04T14:10:00Z", &howe);
            let shifts =
                [("2026-10-25_00", "2026-10-25T05:00:00Z"), ("2026-10-25_06", "2026-10-25T11:00:00Z")];
            check(new("Europe/Berlin").every(Duration::from_hours(6)), "2026-10-24T22:00:00Z", &shifts);
        }

        #[test]
        fn a_record_may_be_late_where_an_hour_comes_twice() {
            let rotation = new("Europe/Berlin").hourly().check().unwrap();
            let long = rotation.period_of(at(second("2026-10-25T00:30:00Z"))).unwrap();
            assert!(!long.is_over_at(at(second("2026-10-24T23:00:00Z"))));
            assert!(long.is_over_at(at(second("2026-10-24T22:00:00Z"))));
        }

        #[test]
        fn hours_that_are_skipped_have_no_file() {
            let berlin =
                [("2026-03-29_01", "2026-03-29T01:00:00Z"), ("2026-03-29_03", "2026-03-29T02:00:00Z")];
            check(new("Europe/Berlin").hourly(), "2026-03-29T00:00:00Z", &berlin);
            // At 15:30 UTC from 02:00 to 02:30.
            let howe = [
                ("2026-10-04_01", "2026-10-03T15:30:00Z"),
                ("2026-10-04_02", "2026-10-03T16:00:00Z"),
                ("2026-10-04_03", "2026-10-03T17:00:00Z"),
            ];
            check(new("Australia/Lord_Howe").hourly(), "2026-10-03T14:40:00Z", &howe);
        }

        /// What the clocks show, minute by minute through some years of changes, against the arithmetic.
        #[test]
        fn names_grow_and_change_only_where_the_clocks_show_something_new() {
            let zones = [
                "Europe/Berlin",
                "Australia/Lord_Howe",
                "America/St_Johns",
                "Africa/Cairo",
                "Asia/Kathmandu",
            ];
            let lengths = [1, 15, 60, 360, 1440].map(Duration::from_mins);
            for (zone, length) in zones.into_iter().flat_map(|zone| lengths.map(|length| (zone, length))) {
                let rotation = new(zone).every(length).check().unwrap();
                let clocks = jiff::tz::TimeZone::get(zone).unwrap();
                let changes = clocks.following(jiff::Timestamp::from_second(1_260_000_000).unwrap()).take(9);
                for change in changes.map(|change| change.timestamp().as_second()) {
                    let mut highest = 0;
                    let mut before: Option<Period> = None;
                    for now in (change - 90_000..change + 90_000).step_by(60) {
                        let offset = clocks.to_offset(jiff::Timestamp::from_second(now).unwrap());
                        highest = highest.max(now + i64::from(offset.seconds()));
                        let period = rotation.period_of(at(now)).unwrap();
                        assert_eq!(
                            period.shown,
                            highest - highest.rem_euclid(length.as_secs() as i64),
                            "{zone} {now}"
                        );
                        if let Some(before) = before {
                            assert_eq!(period != before, now >= before.end, "{zone} {length:?} {now}");
                        }
                        before = Some(period);
                    }
                }
            }
        }
    }
}
