//! What the clocks of a zone show, as far as the times count at which files roll.
//!
//! Clocks are set back, so what they show at a moment is no measure of time. What they have shown *at most* until then
//! is: it never falls, so an interval is begun once, its name is given once, and names grow with time.
//!
//! ```text
//!  Europe/Berlin, 2026-10-25   ─── shown  ═══ shown at most
//!
//!   03:00                        ╱╱
//!                      ══════════
//!                   ╱╱          ╱
//!   02:00         ╱╱ ┊      ╱
//!               ╱╱   ┊  ╱
//!   01:00 ────┴─────┴─────┴─────┴──
//!          23:00  00:00  01:00  02:00 UTC
//! ```
//!
//! All times are in whole seconds after 1970-01-01: of UTC, or as the clocks show it.

#[cfg(feature = "time-zones")]
use jiff::{Timestamp, tz::TimeZone};

use crate::format::Zone;

/// The latest that the clocks have shown until this second.
pub(super) fn shown_until(zone: &Zone, second: i64) -> i64 {
    match zone {
        Zone::Utc => second,
        #[cfg(feature = "time-zones")]
        Zone::Of(zone) => {
            let shown = |second| second + ahead(zone, second);
            let last_change = zone.preceding(moment(second + 1)).next();
            let before = last_change.map(|change| shown(change.timestamp().as_second() - 1));
            before.map_or(shown(second), |before| before.max(shown(second)))
        }
    }
}

/// The first second after this one at which the clocks show `shown` or a later time, which they have not shown yet.
pub(super) fn first_to_show(zone: &Zone, shown: i64, after: i64) -> i64 {
    match zone {
        Zone::Utc => {
            let _ = after;
            shown
        }
        #[cfg(feature = "time-zones")]
        Zone::Of(zone) => {
            let mut second = shown - ahead(zone, after);
            for change in zone.following(moment(after)) {
                let at = change.timestamp().as_second();
                if at > second {
                    break;
                }
                second = at.max(shown - i64::from(change.offset().seconds()));
            }
            second
        }
    }
}

/// How many seconds the clocks are ahead of UTC.
#[cfg(feature = "time-zones")]
fn ahead(zone: &TimeZone, second: i64) -> i64 {
    i64::from(zone.to_offset(moment(second)).seconds())
}

/// A nanosecond count of 64 bits ends long before the last second that jiff knows.
#[cfg(feature = "time-zones")]
fn moment(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap_or_default()
}
