//! The engine's own records: what it says of itself in the stream. They stand outside the engine's ledger, pass
//! every handler's level, and lie in a batch like any other record.

use crate::callsite::{Entry, Field, Piece, Spec, Style, Type, own_metadata};
use crate::stats::ByLevel;

const fn count(name: &'static str, argument: usize) -> Field {
    Field { name, argument, style: Style::Value }
}

/// Records were dropped here; arguments as [`loss_arguments`] gives them.
pub(super) const LOSS: &Entry = &Entry {
    metadata: &own_metadata!(
        Warn,
        "treering::loss",
        &[
            Piece::Argument(0, Spec::DISPLAY),
            Piece::Literal(" records lost here, the thread's ring was full")
        ],
        &[
            count("error", 1),
            count("warn", 2),
            count("info", 3),
            count("debug", 4),
            count("trace", 5),
            count("thread", 6)
        ]
    ),
    types: &[&Type::U64, &Type::U64, &Type::U64, &Type::U64, &Type::U64, &Type::U64, &Type::U64],
};

/// The total, then the counts by level, then the number of the thread.
pub(super) fn loss_arguments(lost: &ByLevel, thread: u32) -> [u64; 7] {
    let [error, warn, info, debug, trace] = *lost;
    [crate::stats::total(lost), error, warn, info, debug, trace, thread.into()]
}

/// The wall clock was set; the argument is by how many nanoseconds.
pub(super) const CLOCK_STEP: &Entry = &Entry {
    metadata: &own_metadata!(
        Warn,
        "treering::clock",
        &[
            Piece::Literal("the wall clock was set by "),
            Piece::Argument(0, Spec::DISPLAY),
            Piece::Literal(" ns: times before and after this record do not compare")
        ],
        &[]
    ),
    types: &[&Type::I64],
};

/// A record whose id is not in the dictionary. Cannot happen; if it does, it is seen.
pub(super) const UNKNOWN: &Entry = &Entry {
    metadata: &own_metadata!(
        Error,
        "treering::unknown",
        &[Piece::Literal("a record of an unknown callsite")],
        &[]
    ),
    types: &[],
};
