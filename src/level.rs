//! Severity levels, and the filters made of them.
//!
//! The order is that of verbosity, as in `log`: `Error < Warn < Info < Debug < Trace`, so "at most INFO" is
//! `level <= Level::Info`.

use std::fmt;
use std::str::FromStr;

/// How severe a record is.
///
/// ```
/// use treering::Level;
/// assert!(Level::Error < Level::Info);
/// assert_eq!("warn".parse::<Level>(), Ok(Level::Warn));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
#[expect(clippy::exhaustive_enums, reason = "the five levels are the grammar of the macros")]
pub enum Level {
    /// Something failed and someone should know.
    Error = 1,
    /// Something is wrong but work goes on.
    Warn = 2,
    /// What an operator wants to read on a normal day.
    Info = 3,
    /// What a developer wants to read while looking for a fault.
    Debug = 4,
    /// Everything.
    Trace = 5,
}

impl Level {
    /// How many levels there are.
    pub(crate) const COUNT: usize = 5;

    /// All levels, the most severe first.
    ///
    /// ```
    /// use treering::Level;
    /// assert_eq!(Level::ALL.map(Level::as_str), ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"]);
    /// ```
    pub const ALL: [Level; Level::COUNT] =
        [Level::Error, Level::Warn, Level::Info, Level::Debug, Level::Trace];

    /// The name in capitals: `"ERROR"`, `"WARN"`, `"INFO"`, `"DEBUG"`, `"TRACE"`.
    ///
    /// ```
    /// assert_eq!(treering::Level::Info.as_str(), "INFO");
    /// ```
    pub const fn as_str(self) -> &'static str {
        match self {
            Level::Error => "ERROR",
            Level::Warn => "WARN",
            Level::Info => "INFO",
            Level::Debug => "DEBUG",
            Level::Trace => "TRACE",
        }
    }

    /// Position in arrays that hold one value for each level, 0 to 4.
    pub(crate) const fn index(self) -> usize {
        self as usize - 1
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Level {
    type Err = UnknownLevel;

    fn from_str(text: &str) -> Result<Self, UnknownLevel> {
        Level::ALL.into_iter().find(|level| level.as_str().eq_ignore_ascii_case(text)).ok_or(UnknownLevel)
    }
}

/// The most verbose level that passes, or none at all.
///
/// ```
/// use treering::{Level, LevelFilter};
/// assert!(LevelFilter::from(Level::Info).allows(Level::Warn));
/// assert!(!LevelFilter::OFF.allows(Level::Error));
/// assert_eq!("off".parse::<LevelFilter>(), Ok(LevelFilter::OFF));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LevelFilter(u8);

impl LevelFilter {
    /// Nothing passes.
    ///
    /// ```
    /// use treering::{Level, LevelFilter};
    /// assert!(Level::ALL.into_iter().all(|level| !LevelFilter::OFF.allows(level)));
    /// ```
    pub const OFF: LevelFilter = LevelFilter(0);
    /// Everything passes.
    ///
    /// ```
    /// use treering::{Level, LevelFilter};
    /// assert!(Level::ALL.into_iter().all(|level| LevelFilter::ALL.allows(level)));
    /// ```
    pub const ALL: LevelFilter = LevelFilter(Level::Trace as u8);

    /// Whether a record of this level passes.
    ///
    /// ```
    /// use treering::{Level, LevelFilter};
    /// let filter: LevelFilter = Level::Warn.into();
    /// assert!(filter.allows(Level::Error) && !filter.allows(Level::Info));
    /// ```
    pub const fn allows(self, level: Level) -> bool {
        level as u8 <= self.0
    }
}

/// The most verbose level that is compiled in, by the features `max_level_*` and `release_max_level_*`.
///
/// Calls above it cost nothing: their arguments are never evaluated, at whatever level an engine listens.
///
/// ```
/// use treering::level::{LevelFilter, STATIC_MAX_LEVEL};
/// assert!(STATIC_MAX_LEVEL <= LevelFilter::ALL); // equal, if no such feature is set
/// ```
pub const STATIC_MAX_LEVEL: LevelFilter = {
    let all = [
        (cfg!(feature = "max_level_off"), cfg!(feature = "release_max_level_off")),
        (cfg!(feature = "max_level_error"), cfg!(feature = "release_max_level_error")),
        (cfg!(feature = "max_level_warn"), cfg!(feature = "release_max_level_warn")),
        (cfg!(feature = "max_level_info"), cfg!(feature = "release_max_level_info")),
        (cfg!(feature = "max_level_debug"), cfg!(feature = "release_max_level_debug")),
    ];
    let mut level = 0;
    while level < all.len() {
        let (always, in_release) = all[level];
        if always || (in_release && !cfg!(debug_assertions)) {
            break; // the most restrictive one wins
        }
        level += 1;
    }
    LevelFilter(level as u8)
};

impl fmt::Display for LevelFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(Level::ALL.into_iter().rev().find(|level| self.allows(*level)).map_or("OFF", Level::as_str))
    }
}

impl From<Level> for LevelFilter {
    fn from(level: Level) -> Self {
        LevelFilter(level as u8)
    }
}

impl FromStr for LevelFilter {
    type Err = UnknownLevel;

    fn from_str(text: &str) -> Result<Self, UnknownLevel> {
        if text.eq_ignore_ascii_case("off") {
            Ok(LevelFilter::OFF)
        } else {
            text.parse::<Level>().map(Into::into)
        }
    }
}

/// The text names no level; those there are: `off error warn info debug trace`.
///
/// ```
/// let error: treering::level::UnknownLevel = "loud".parse::<treering::Level>().unwrap_err();
/// assert_eq!(error.to_string(), "not a level: one of off, error, warn, info, debug, trace");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct UnknownLevel;

impl fmt::Display for UnknownLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a level: one of off, error, warn, info, debug, trace")
    }
}

impl std::error::Error for UnknownLevel {}
