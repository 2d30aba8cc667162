//! One static for each log call in the program: its gate and what is known of it at compile time.
//!
//! ```text
//!            ┌──────────────────────────────┬─────────────────────────────┐
//!   gate     │ id                           │ hash of the argument types  │   one u64, or DISABLED, or NEW
//!            └──────────────────────────────┴─────────────────────────────┘
//! ```
//! A call loads the gate once, relaxed. [`DISABLED`] ends it, [`NEW`] makes it ask first. Then the low half is
//! compared with the call's own compile-time hash. If they are equal the high half is the record's id: a callsite
//! *with one list of argument types*. If not (another instance of a generic function ran here last, or none yet)
//! the cold path asks the [`Dictionary`].
//!
//! This module is data and the dictionary. It knows no thread, no ring and no filter: engines hand in a function
//! that judges.
#![allow(clippy::exhaustive_enums, clippy::exhaustive_structs, reason = "the expansion of a call makes them")]

pub(crate) mod dictionary;
mod schema;
mod template;

#[cfg(not(treering_loom))]
pub(crate) use dictionary::LAST_RESORT;
pub(crate) use dictionary::{Dictionary, Entry, EntryOf, Judge, Verdict, Verdicts};
pub use schema::Schema;
pub(crate) use schema::{Bodies, Members, Shape, Type, Types};
pub use template::{Align, Count, Kind, Spec, Style};
pub(crate) use template::{Field, Piece};

use crate::level::Level;
use crate::sync::{AtomicU64, Ordering};

/// The process's dictionary.
#[cfg(not(treering_loom))]
pub(crate) static DICTIONARY: Dictionary = Dictionary::new();

/// The gate of a callsite that nobody listens to.
pub(crate) const DISABLED: u64 = 0;
/// The gate of a callsite that has not run yet. No hash is this or below, so no list of arguments fits these gates.
pub(crate) const NEW: u64 = 1;

/// The static behind one log call. So aligned that what a call reads of it is in one cache line.
#[derive(Debug)]
#[repr(align(32))]
pub struct Callsite {
    /// Written under the dictionary lock only; read by every call.
    gate: AtomicU64,
    /// The last `id | hash` this callsite was given, [`NEW`] before its first run: what the gate returns to when a
    /// reload enables it again. Written under the dictionary lock.
    latest: AtomicU64,
    /// A copy of the metadata's, beside the gate that the call has just loaded.
    level: Level,
    metadata: &'static Metadata<'static>,
}

impl Callsite {
    /// A callsite that has not run yet.
    #[cfg(not(treering_loom))]
    pub const fn new(metadata: &'static Metadata<'static>) -> Self {
        Callsite { gate: AtomicU64::new(NEW), latest: AtomicU64::new(NEW), level: metadata.level, metadata }
    }

    /// A callsite that has not run yet; loom's atomics cannot be made in a constant.
    #[cfg(treering_loom)]
    pub fn new(metadata: &'static Metadata<'static>) -> Self {
        Callsite { gate: AtomicU64::new(NEW), latest: AtomicU64::new(NEW), level: metadata.level, metadata }
    }

    /// The gate as it is now; a reload in another thread may change it at any time.
    #[inline(always)]
    pub fn gate(&self) -> u64 {
        // Relaxed: the id is a number that was in the dictionary before it was stored, and the listener reads the
        // dictionary under its lock. What is read through the gate, a call's verdict, is read behind a fence.
        self.gate.load(Ordering::Relaxed)
    }

    /// The level of the call.
    #[inline(always)]
    pub fn level(&self) -> Level {
        self.level
    }

    /// The id it was given last. Of a callsite with one list of argument types it is the only one, once it has run.
    #[cfg(not(treering_loom))]
    pub(crate) fn id(&self) -> u32 {
        (self.latest() >> 32) as u32
    }

    /// The last `id | hash` it was given, whoever listens; [`NEW`] before.
    #[cfg(not(treering_loom))]
    pub(crate) fn latest(&self) -> u64 {
        self.latest.load(Ordering::Relaxed)
    }

    /// What is known at compile time.
    pub fn metadata(&self) -> &'static Metadata<'static> {
        self.metadata
    }
}

/// What a callsite's static says of it, or a portable record of the call that made it.
#[derive(Debug)]
pub struct Metadata<'a> {
    /// The level in the macro's name.
    pub level: Level,
    /// `target:`, or the module path.
    pub target: &'a str,
    /// Where the call stands.
    pub module_path: &'a str,
    /// Where the call stands.
    pub file: &'a str,
    /// Where the call stands.
    pub line: u32,
    /// Whether the call names its engine with `logger:`.
    pub instance: bool,
    /// The message, empty for events without one.
    pub pieces: &'a [Piece<'a>],
    /// The fields, in the order they were written.
    pub fields: &'a [Field<'a>],
}

/// Makes a `static` for a callsite that the engine itself logs at.
macro_rules! own_metadata {
    ($level:ident, $target:literal, $pieces:expr, $fields:expr) => {
        $crate::callsite::Metadata {
            level: $crate::level::Level::$level,
            target: $target,
            module_path: module_path!(),
            file: file!(),
            line: line!(),
            instance: false,
            pieces: $pieces,
            fields: $fields,
        }
    };
}
pub(crate) use own_metadata;
