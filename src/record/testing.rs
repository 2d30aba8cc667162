//! Records without an engine, for tests of whatever reads them; and chance, for tests that go on as long as there is time.
#![allow(unsafe_code, reason = "writes a record")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use super::encode::Arguments;
use super::{Record, Thread, Timestamp};
use crate::callsite::{Entry, EntryOf, Field, Metadata, Piece};
use crate::level::Level;

/// A record that owns what a batch would: words, callsite and thread.
#[derive(Clone, Debug)]
pub(crate) struct Owned {
    pub(crate) entry: &'static Entry<'static>,
    pub(crate) words: Vec<u64>,
    pub(crate) thread: Thread,
    pub(crate) time: Timestamp,
    pub(crate) stamp: u64,
    pub(crate) truncated: bool,
}

impl Owned {
    /// What a call with these arguments writes. Leaks its callsite.
    pub(crate) fn new<A: Arguments>(
        level: Level,
        target: &'static str,
        pieces: &[Piece<'static>],
        fields: &[Field<'static>],
        arguments: A,
    ) -> Owned {
        Owned::within(usize::MAX, level, target, pieces, fields, arguments)
    }

    /// As [`new`](Owned::new), but cut to `room` words if it takes more.
    pub(crate) fn within<A: Arguments>(
        room: usize,
        level: Level,
        target: &'static str,
        pieces: &[Piece<'static>],
        fields: &[Field<'static>],
        mut arguments: A,
    ) -> Owned {
        let metadata = Box::leak(Box::new(Metadata {
            level,
            target,
            module_path: "app::module",
            file: "src/module.rs",
            line: 7,
            instance: false,
            pieces: pieces.to_vec().leak(),
            fields: fields.to_vec().leak(),
        }));
        let mut scratch = Vec::new();
        arguments.format(&mut scratch);
        let (words, truncated) = write(&arguments, &scratch, room);
        Owned {
            entry: Box::leak(Box::new(Entry {
                metadata,
                types: A::SCHEMA.types().collect::<Vec<_>>().leak(),
            })),
            words,
            thread: Thread::new(42, Some("worker")),
            time: Timestamp::from_nanos(1_700_000_000_123_456_789),
            stamp: 1,
            truncated,
        }
    }

    /// The view that a handler gets.
    pub(crate) fn record(&self) -> Record<'_> {
        Record {
            entry: EntryOf::Process(self.entry),
            arguments: &self.words,
            time: self.time,
            stamp: self.stamp,
            thread: &self.thread,
            truncated: self.truncated,
            scope: None,
        }
    }
}

/// The words of an argument list, and whether it was cut to `room`. The words start as garbage, as in a ring.
pub(crate) fn write<A: Arguments>(arguments: &A, scratch: &[u8], room: usize) -> (Vec<u64>, bool) {
    let len = arguments.words();
    let mut words = vec![0xdead_beef_dead_beef; len.min(room)];
    if len > room {
        let used = arguments.write_cut(scratch, &mut words);
        words.truncate(used);
        return (words, true);
    }
    // SAFETY: so many words are allocated, and the scratch is what `format` filled.
    let end = unsafe { arguments.write(scratch, words.as_mut_ptr()) };
    assert_eq!(end, words.as_mut_ptr_range().end, "writes as many words as it said");
    (words, false)
}

/// How long [`fuzz`] looks, if nobody says.
const SECONDS: u64 = 1;

/// Checks so many cases, and more as long as there is time; or the one that is asked for.
pub(crate) fn fuzz(cases_min: u64, mut check: impl FnMut(u64)) {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    if let Some(seed) = number("TREERING_FUZZ_SEED") {
        return check(seed);
    }
    let time = Duration::from_secs(number("TREERING_FUZZ_SECONDS").unwrap_or(SECONDS));
    let begin = Instant::now();
    for seed in 0.. {
        if seed >= cases_min && begin.elapsed() >= time {
            break;
        }
        let result = catch_unwind(AssertUnwindSafe(|| check(seed)));
        assert!(result.is_ok(), "see above; again by TREERING_FUZZ_SEED={seed}");
    }
}

/// Chooses (SplitMix64).
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.word() % end as u64) as usize
    }
}
