//! The engine's own records: what it says of itself in the stream. They stand outside the engine's ledger, pass
//! every handler's level, and lie in a batch like any other record.

use crate::callsite::{Entry, Field, Metadata, Piece, Spec, Style, Type, own_metadata};
use crate::overflow::{Loss, Reason};

const fn field(name: &'static str, argument: usize) -> Field<'static> {
    Field { name, argument, style: Style::Value }
}

/// Records were lost here, arguments as [`loss_arguments`] gives them: one text for each reason, the rest is the same.
const fn loss(text: &'static [Piece<'static>]) -> Metadata<'static> {
    own_metadata!(Warn, "treering::loss", text, LOSS_FIELDS)
}

const LOSS_FIELDS: &[Field<'static>] = &[
    field("error", 1),
    field("warn", 2),
    field("info", 3),
    field("debug", 4),
    field("trace", 5),
    field("reason", 9),
    field("thread", 6),
    field("first", 7),
    field("last", 8),
    field("from", 10),
    field("until", 11),
];

const LOSS_TYPES: &[&Type<'static>] = &[
    &Type::U64,
    &Type::U64,
    &Type::U64,
    &Type::U64,
    &Type::U64,
    &Type::U64,
    &Type::U64,
    &Type::U64,
    &Type::U64,
    &Type::Str,
    &Type::Str,
    &Type::Str,
];

static FULL: Entry<'static> = Entry {
    metadata: &loss(&[
        Piece::Argument(0, Spec::DISPLAY),
        Piece::Literal(" records lost here, the thread's ring was full"),
    ]),
    types: LOSS_TYPES,
};

static OLDEST: Entry<'static> = Entry {
    metadata: &loss(&[
        Piece::Argument(0, Spec::DISPLAY),
        Piece::Literal(" records lost here, newer ones took their room"),
    ]),
    types: LOSS_TYPES,
};

static SAMPLED: Entry<'static> = Entry {
    metadata: &loss(&[
        Piece::Argument(0, Spec::DISPLAY),
        Piece::Literal(" records lost here, left out by sampling"),
    ]),
    types: LOSS_TYPES,
};

static POLICY: Entry<'static> = Entry {
    metadata: &loss(&[
        Piece::Argument(0, Spec::DISPLAY),
        Piece::Literal(" records lost here, as the overflow policy said"),
    ]),
    types: LOSS_TYPES,
};

static PREPARE: Entry<'static> = Entry {
    metadata: &loss(&[
        Piece::Argument(0, Spec::DISPLAY),
        Piece::Literal(" records lost here, they could not be prepared"),
    ]),
    types: LOSS_TYPES,
};

static FAILED: Entry<'static> = Entry {
    metadata: &loss(&[
        Piece::Argument(0, Spec::DISPLAY),
        Piece::Literal(" records lost here, the queue failed"),
    ]),
    types: LOSS_TYPES,
};

static LANE: Entry<'static> = Entry {
    metadata: &loss(&[
        Piece::Argument(0, Spec::DISPLAY),
        Piece::Literal(" records lost here, the handler's lane was full"),
    ]),
    types: LOSS_TYPES,
};

static QUEUE_FULL: Entry<'static> = Entry {
    metadata: &loss(&[
        Piece::Argument(0, Spec::DISPLAY),
        Piece::Literal(" records lost here, the queue was full"),
    ]),
    types: LOSS_TYPES,
};

/// What to say of a loss in front of a queue.
#[cfg(not(treering_loom))]
pub(crate) fn queue_entry(reason: Reason) -> &'static Entry<'static> {
    if reason == Reason::Full { &QUEUE_FULL } else { loss_entry(reason) }
}

pub(crate) fn loss_entry(reason: Reason) -> &'static Entry<'static> {
    match reason {
        Reason::Full => &FULL,
        Reason::Oldest => &OLDEST,
        Reason::Sampled => &SAMPLED,
        Reason::Policy => &POLICY,
        Reason::Prepare => &PREPARE,
        Reason::Failed => &FAILED,
        Reason::Lane => &LANE,
    }
}

/// The total, the counts by level, the number of the thread, the numbers of the first and the last call; then reason and
/// times as text.
pub(crate) fn loss_arguments(loss: &Loss) -> Vec<u64> {
    let mut words = vec![loss.records];
    words.extend(loss.by_level);
    words.extend([loss.thread_id.into(), loss.first, loss.last]);
    push_str(&mut words, loss.reason.as_str());
    push_str(&mut words, &loss.from.to_string());
    push_str(&mut words, &loss.until.to_string());
    words
}

/// So many records of one callsite were left out by sampling, see [`callsite_arguments`].
pub(crate) static LEFT_OUT: &Entry<'static> = &Entry {
    metadata: &own_metadata!(
        Warn,
        "treering::sampled",
        &[
            Piece::Argument(0, Spec::DISPLAY),
            Piece::Literal(" records of one callsite were left out by sampling")
        ],
        &[field("callsite", 2), field("file", 3), field("line", 1)]
    ),
    types: &[&Type::U64, &Type::U64, &Type::Str, &Type::Str],
};

/// So many records of callsites that are not counted singly were left out by sampling.
pub(crate) static LEFT_OUT_ELSEWHERE: &Entry<'static> = &Entry {
    metadata: &own_metadata!(
        Warn,
        "treering::sampled",
        &[
            Piece::Argument(0, Spec::DISPLAY),
            Piece::Literal(" records of other callsites were left out by sampling")
        ],
        &[]
    ),
    types: &[&Type::U64],
};

/// So many calls of one callsite were kept back by its limit and no record told of them, see [`callsite_arguments`].
pub(crate) static SUPPRESSED: &Entry<'_> = &Entry {
    metadata: &own_metadata!(
        Info,
        "treering::limit",
        &[
            Piece::Argument(0, Spec::DISPLAY),
            Piece::Literal(" more calls were suppressed by the limit at "),
            Piece::Argument(3, Spec::DISPLAY),
            Piece::Literal(":"),
            Piece::Argument(1, Spec::DISPLAY)
        ],
        &[field("suppressed", 0), field("callsite", 2), field("file", 3), field("line", 1)]
    ),
    types: &[&Type::U64, &Type::U64, &Type::Str, &Type::Str],
};

/// How many records, then the line, the target and the file of their callsite.
pub(crate) fn callsite_arguments(records: u64, metadata: &Metadata<'_>) -> Vec<u64> {
    let mut words = vec![records, metadata.line.into()];
    push_str(&mut words, metadata.target);
    push_str(&mut words, metadata.file);
    words
}

/// Appends a string as it lies in a record.
#[expect(clippy::host_endian_bytes, reason = "words are in the machine's own order")]
fn push_str(words: &mut Vec<u64>, text: &str) {
    let length = text.len() as u64;
    words.push(length << 32 | length);
    words.extend(text.as_bytes().chunks(8).map(|bytes| {
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        u64::from_ne_bytes(word)
    }));
}

/// What is wrong with the environment's filter; the argument is the text.
pub(crate) const FILTER_NOTE: &Entry<'static> = &Entry {
    metadata: &own_metadata!(Warn, "treering::filter", &[Piece::Argument(0, Spec::DISPLAY)], &[]),
    types: &[&Type::Str],
};

/// A text, as the only argument.
pub(crate) fn text_arguments(text: &str) -> Vec<u64> {
    let mut words = Vec::new();
    push_str(&mut words, text);
    words
}

/// The wall clock was set; the argument is by how many nanoseconds.
pub(crate) const CLOCK_STEP: &Entry<'static> = &Entry {
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
pub(crate) const UNKNOWN: &Entry<'static> = &Entry {
    metadata: &own_metadata!(
        Error,
        "treering::unknown",
        &[Piece::Literal("a record of an unknown callsite")],
        &[]
    ),
    types: &[],
};
