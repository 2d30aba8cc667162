//! What the expansion of a log call names. Not for users: it changes without notice.
//!
//! The expansion reaches everything by `$crate::__private`, so that it compiles in crates that have a `core` or an
//! `Option` of their own, no prelude, or treering by another name.

pub use core::option::Option;
pub use core::{compile_error, file, format_args, line, module_path};

pub use crate::callsite::{Align, Callsite, Count, Kind, Schema, Spec, Style};
pub use crate::global::{context, emit};
pub use crate::level::Level;
pub use crate::limit::Limit;
pub use crate::logger::{Context, context_to, emit_to, is_enabled, is_enabled_to, pass_to};
pub use crate::record::encode::derived::{Named, OneOf, Redacted, Struct, Variant};
pub use crate::record::encode::tiers::{DebugSlot, FieldSlot, InspectedSlot, ShownSlot, Slot};
pub use crate::record::encode::{
    Argument, Arguments, Chars, Encode, Failure, Formatted, Frames, Inspected, Shown, Slice,
};

use crate::callsite::{self, DISABLED, NEW};
use crate::level::STATIC_MAX_LEVEL;
use crate::limit::PROCESS_WIDE;
use crate::logger::ask;

/// What stands in statics of the user's, where a lint may want every lifetime written down.
pub type Metadata = callsite::Metadata<'static>;
/// As [`Metadata`].
pub type Piece = callsite::Piece<'static>;
/// As [`Metadata`].
pub type Field = callsite::Field<'static>;
/// As [`Metadata`].
pub type Shape = callsite::Shape<'static>;
/// As [`Metadata`].
pub type Members = callsite::Members<'static>;
/// As [`Metadata`].
pub type Type = callsite::Type<'static>;

/// The traits that choose how an argument is handed over, without names that could meet the user's.
pub mod tiers {
    pub use crate::record::encode::tiers::{
        AnyField as _, BacktraceField as _, BoxedErrorField as _, DebugField as _, DeferredPlace as _,
        DisplayField as _, EagerPlace as _, EncodeField as _, ErrorField as _, RefusedInspected as _,
        RefusedShown as _,
    };
}

/// Whether calls of this level are part of the program; folds to a constant.
#[inline(always)]
pub const fn compiled_in(level: Level) -> bool {
    STATIC_MAX_LEVEL.allows(level)
}

/// The callsite's gate: the one load of a disabled call. A callsite that has not run yet asks first, so that the
/// arguments of a disabled call are never evaluated.
#[inline(always)]
pub fn gate(callsite: &'static Callsite) -> u64 {
    let gate = callsite.gate();
    // Disabled first: rustc makes the branches in this order.
    if gate != DISABLED && gate == NEW { ask(callsite) } else { gate }
}

/// What a limit says to a call without `logger:`: how many it kept back before, if this one passes.
pub fn pass(limit: &'static Limit) -> Option<u64> {
    limit.pass(PROCESS_WIDE)
}

/// Whether somebody listens: the one branch of a disabled call.
#[inline(always)]
pub const fn enabled(gate: u64) -> bool {
    gate != DISABLED
}
