//! STAND-IN, to be deleted with the first engine: `emit` keeps records, as text, in a list of the thread's, so that
//! the macros can be tested before there are rings.
#![allow(unsafe_code, reason = "a stand-in: writes an argument list into a vector")]
#![allow(missing_docs, missing_debug_implementations, clippy::exhaustive_structs, reason = "a stand-in")]

use std::cell::RefCell;
use std::sync::{Arc, OnceLock};

use super::{Callsite, Level, Metadata};
use crate::callsite::{DISABLED, Dictionary, Entry, Type, Verdicts};
use crate::record::encode::Arguments;
use crate::record::{Record, Thread, Timestamp};

/// One record, as text.
#[derive(Clone, PartialEq, Debug)]
pub struct Seen {
    pub level: Level,
    pub target: &'static str,
    pub module_path: &'static str,
    pub line: u32,
    pub message: String,
    pub fields: Vec<(&'static str, String)>,
    pub types: Vec<Type>,
}

/// Stands for the engine's handle.
#[derive(Default)]
pub struct Logger {
    seen: RefCell<Vec<Seen>>,
}

impl Logger {
    pub fn take(&self) -> Vec<Seen> {
        self.seen.take()
    }
}

thread_local!(static SEEN: RefCell<Vec<Seen>> = const { RefCell::new(Vec::new()) });

/// What this thread logged without `logger:`, and forgets it.
pub fn take() -> Vec<Seen> {
    SEEN.take()
}

#[inline(never)]
pub fn emit<A: Arguments>(callsite: &'static Callsite, gate: u64, args: A) {
    let seen = collect(callsite, gate, args);
    SEEN.with_borrow_mut(|all| all.extend(seen));
}

#[inline(never)]
pub fn emit_to<A: Arguments>(logger: &Logger, callsite: &'static Callsite, gate: u64, args: A) {
    let seen = collect(callsite, gate, args);
    logger.seen.borrow_mut().extend(seen);
}

/// Everything is enabled but what has the target `off`.
fn dictionary() -> &'static Dictionary {
    static DICTIONARY: OnceLock<Dictionary> = OnceLock::new();
    DICTIONARY.get_or_init(|| {
        let dictionary = Dictionary::new();
        let judge = Arc::new(|metadata: &Metadata| metadata.target != "off");
        dictionary.join(0, judge, Arc::new(Verdicts::new()), true);
        dictionary
    })
}

#[inline(never)]
fn collect<A: Arguments>(callsite: &'static Callsite, gate: u64, mut args: A) -> Option<Seen> {
    if (gate >> 32) as u32 != A::HASH && dictionary().resolve(callsite, A::SCHEMA) as u32 == DISABLED {
        return None;
    }
    let mut scratch = Vec::new();
    args.format(&mut scratch);
    let mut words = vec![0_u64; args.words()];
    // SAFETY: the vector has as many words as the arguments say they need, and the scratch buffer is theirs.
    unsafe { args.write(&scratch, words.as_mut_ptr()) };
    let entry = Entry::new(callsite.metadata(), A::SCHEMA);
    let record = Record {
        entry: &entry,
        arguments: &words,
        time: Timestamp::from_nanos(0),
        stamp: 0,
        thread: &Thread::new(0, None),
        truncated: false,
    };
    Some(Seen {
        level: record.level(),
        target: record.target(),
        module_path: record.module_path(),
        line: record.line(),
        message: record.message().to_string(),
        fields: record.fields().map(|field| (field.name(), field.to_string())).collect(),
        types: A::SCHEMA.types().copied().collect(),
    })
}
