//! How formats show times: to which fraction of a second, and in which zone.

#[cfg(feature = "time-zones")]
use jiff::tz::TimeZone;

#[cfg(feature = "time-zones")]
use crate::error::Error;

/// How a format shows times: as RFC 3339, in UTC with nanoseconds if nothing else is said.
///
/// | setting | shows |
/// |---|---|
/// | `Time::utc()` | `2026-11-22T13:37:55.123456789Z` |
/// | `Time::utc().micros()` | `2026-11-22T13:37:55.123456Z` |
/// | `Time::utc().seconds()` | `2026-11-22T13:37:55Z` |
/// | `Time::zone("Asia/Tokyo")?.millis()` | `2026-11-22T22:37:55.123+09:00` |
/// | `Time::local()?` | the same in the zone of the system |
///
/// A fraction is cut, not rounded, so no time lies in the future. The zones need the feature `time-zones`.
///
/// ```
/// use treering::format::{Json, Time};
/// let format = Json::new().time(Time::utc().micros());
/// ```
#[derive(Clone, Debug)]
pub struct Time {
    pub(crate) zone: Zone,
    pub(super) precision: Precision,
}

impl Time {
    /// UTC with nanoseconds.
    ///
    /// ```
    /// let time = treering::format::Time::utc();
    /// ```
    pub fn utc() -> Self {
        Time { zone: Zone::Utc, precision: Precision::Nanos }
    }

    /// The zone of the system, with nanoseconds: what `TZ` says, or else `/etc/localtime`. Read now, once: a program
    /// that runs on when the system moves to another zone keeps this one.
    ///
    /// # Errors
    /// Where the system has no zone that can be read ([`is_config`](crate::Error::is_config)).
    ///
    /// ```
    /// use treering::format::{Text, Time};
    /// let format = Text::new().time(Time::local().unwrap_or(Time::utc()));
    /// ```
    #[cfg(feature = "time-zones")]
    pub fn local() -> Result<Self, Error> {
        let zone = TimeZone::try_system().map_err(|problem| {
            Error::config(format!("the system's time zone: {problem}: set TZ, or name a zone"))
        })?;
        Ok(Time { zone: Zone::Of(zone), ..Time::utc() })
    }

    /// A zone of the system's time zone database (`tzdata`), with nanoseconds. Read now, once.
    ///
    /// # Errors
    /// Where there is no such zone, or no database ([`is_config`](crate::Error::is_config)).
    ///
    /// ```
    /// use treering::format::Time;
    /// assert!(Time::zone("Europe/Atlantis").unwrap_err().is_config());
    /// ```
    #[cfg(feature = "time-zones")]
    pub fn zone(name: &str) -> Result<Self, Error> {
        let zone = TimeZone::get(name).map_err(|problem| {
            Error::config(format!(
                "time zone `{name}`: {problem}: is it spelled right, and tzdata installed?"
            ))
        })?;
        Ok(Time { zone: Zone::Of(zone), ..Time::utc() })
    }

    /// No fraction.
    ///
    /// ```
    /// let time = treering::format::Time::utc().seconds();
    /// ```
    #[must_use]
    pub fn seconds(self) -> Self {
        Time { precision: Precision::Seconds, ..self }
    }

    /// Three digits.
    ///
    /// ```
    /// let time = treering::format::Time::utc().millis();
    /// ```
    #[must_use]
    pub fn millis(self) -> Self {
        Time { precision: Precision::Millis, ..self }
    }

    /// Six digits.
    ///
    /// ```
    /// let time = treering::format::Time::utc().micros();
    /// ```
    #[must_use]
    pub fn micros(self) -> Self {
        Time { precision: Precision::Micros, ..self }
    }

    /// Nine digits: the default.
    ///
    /// ```
    /// let time = treering::format::Time::utc().nanos();
    /// ```
    #[must_use]
    pub fn nanos(self) -> Self {
        Time { precision: Precision::Nanos, ..self }
    }
}

impl Default for Time {
    fn default() -> Self {
        Time::utc()
    }
}

/// How much of a second is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Precision {
    Seconds,
    Millis,
    Micros,
    Nanos,
}

impl Precision {
    /// How many stand behind the point.
    pub(super) fn digits(self) -> usize {
        match self {
            Precision::Seconds => 0,
            Precision::Millis => 3,
            Precision::Micros => 6,
            Precision::Nanos => 9,
        }
    }
}

/// Where a clock hangs.
#[derive(Clone, Debug)]
pub(crate) enum Zone {
    Utc,
    #[cfg(feature = "time-zones")]
    Of(TimeZone),
}

impl Zone {
    pub(super) fn is_utc(&self) -> bool {
        matches!(self, Zone::Utc)
    }

    /// How far its clocks are ahead of UTC at this second after the epoch. In minutes, as RFC 3339 knows no seconds
    /// there; since 1970 only Liberia had any, until 1972, and its times are shown as of the nearest minute's zone.
    #[cfg_attr(not(feature = "time-zones"), expect(unused_variables, reason = "UTC is always where it is"))]
    pub(super) fn minutes_ahead(&self, second: u64) -> i32 {
        match self {
            Zone::Utc => 0,
            #[cfg(feature = "time-zones")]
            Zone::Of(zone) => {
                // A nanosecond count of 64 bits ends long before the last second that jiff knows.
                let moment = jiff::Timestamp::from_second(second as i64).unwrap_or_default();
                (zone.to_offset(moment).seconds() + 30).div_euclid(60)
            }
        }
    }
}
