//! A company's facade: treering's macros and some of its own, by one name.

pub use treering::*;

/// Logs what the audit must see.
#[macro_export]
macro_rules! audit {
    ($who:expr, $format:literal $($rest:tt)*) => {
        $crate::info!(target: "audit", who = $who, $format $($rest)*)
    };
}
