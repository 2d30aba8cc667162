//! Records that come back as they were, and bytes that are none.

use std::time::Duration;

use proptest::prelude::*;

use super::{BYTES_MAX, Decoder, Draft, PARTS_MAX, PortableError};
use crate::callsite::{Count, Entry, EntryOf, Field, Metadata, Piece, Spec, Style, Type};
use crate::level::Level;
use crate::record::Secret;
use crate::record::encode::{Encode, Failure};
use crate::record::testing::Owned;
use crate::record::tests::{a_spec, a_string, a_type, some_words};
use crate::record::{Record, Thread, Timestamp};

fn bytes_of(record: &Record<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    record.write_portable(&mut bytes).unwrap();
    bytes
}

/// All that a handler can ask of a record, as text.
pub(crate) fn told(record: &Record<'_>) -> String {
    let fields: Vec<_> = record
        .fields()
        .map(|field| format!("{}={field} {field:?} {:?}", field.name(), field.style()))
        .collect();
    format!(
        "{:?}",
        (
            (record.level(), record.target(), record.module_path(), record.file(), record.line()),
            (record.time(), record.stamp(), record.thread(), record.is_truncated()),
            (record.message().to_string(), fields, record.values().collect::<Vec<_>>()),
        )
    )
}

/// Anything that can be written down, also what no call makes.
#[derive(Debug)]
pub(crate) struct Anything {
    texts: [String; 4],
    name: Option<String>,
    numbers: (u64, u64, u32, u64, u32, u32),
    level: Level,
    pieces: Vec<Result<String, (usize, Spec)>>,
    fields: Vec<(String, usize, Style)>,
    types: Vec<&'static Type<'static>>,
    words: Vec<u64>,
    truncated: bool,
}

impl Anything {
    /// Calls `with` with the record: a view of this, and of what is made for it.
    pub(crate) fn record<R>(&self, with: impl FnOnce(&Record<'_>) -> R) -> R {
        let at = |position: usize| position % self.types.len();
        let count = |count| match count {
            Count::Argument(position) => Count::Argument(at(position)),
            other => other,
        };
        let spec = |spec: Spec| Spec { width: count(spec.width), precision: count(spec.precision), ..spec };
        let pieces = self.pieces.iter().map(|piece| match piece {
            Ok(text) => Piece::Literal(text),
            Err((position, asked)) => Piece::Argument(at(*position), spec(*asked)),
        });
        let fields = self.fields.iter().map(|(name, argument, style)| Field {
            name,
            argument: at(*argument),
            style: *style,
        });
        let [target, module_path, file, _] = &self.texts;
        let (time, stamp, process, token, thread, line) = self.numbers;
        let metadata = Metadata {
            level: self.level,
            target,
            module_path,
            file,
            line,
            instance: false,
            pieces: &pieces.collect::<Vec<_>>(),
            fields: &fields.collect::<Vec<_>>(),
        };
        let thread = Thread::of_process(process, token, thread, self.name.as_deref());
        with(&Record {
            entry: EntryOf::Batch(&Entry { metadata: &metadata, types: &self.types }),
            arguments: &self.words,
            time: Timestamp::from_nanos(time),
            stamp,
            thread: &thread,
            truncated: self.truncated,
            scope: None,
        })
    }
}

pub(crate) fn some_record() -> impl Strategy<Value = Anything> {
    let text = || prop::array::uniform4(a_string());
    let piece = prop_oneof![a_string().prop_map(Ok), (0..9_usize, a_spec()).prop_map(Err)];
    let style = prop::sample::select(vec![Style::Value, Style::Display, Style::Debug]);
    let parts = (
        prop::collection::vec(piece, 0..5),
        prop::collection::vec((a_string(), 0..9_usize, style), 0..4),
        prop::collection::vec(a_type(), 1..5),
        some_words(),
    );
    (
        text(),
        any::<Option<()>>(),
        any::<(u64, u64, u32, u64, u32, u32)>(),
        prop::sample::select(&Level::ALL),
        parts,
        any::<bool>(),
    )
        .prop_map(|(texts, named, numbers, level, (pieces, fields, types, words), truncated)| Anything {
            name: named.map(|()| texts[3].clone()),
            texts,
            numbers,
            level,
            pieces,
            fields,
            types,
            words,
            truncated,
        })
}

/// More with `PROPTEST_CASES`.
fn cases(at_least: u32) -> ProptestConfig {
    let asked = ProptestConfig::default().cases;
    ProptestConfig::with_cases(asked.max(at_least))
}

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn any_record_comes_back_as_it_was(some in some_record()) {
        let (before, bytes) = some.record(|record| (told(record), bytes_of(record)));
        let mut decoder = Decoder::new();
        let record = decoder.decode(&bytes).unwrap();
        prop_assert_eq!(told(&record), before);
        prop_assert_eq!(bytes_of(&record), bytes, "and is written as it was");
    }

    #[test]
    fn a_record_that_ends_early_is_an_error_wherever_it_ends(some in some_record()) {
        let bytes = some.record(bytes_of);
        let mut decoder = Decoder::new();
        for end in 0..bytes.len() {
            prop_assert!(decoder.decode(&bytes[..end]).is_err(), "{end} of {}", bytes.len());
        }
        let longer = [&bytes[..], &[0]].concat();
        prop_assert_eq!(decoder.decode(&longer).unwrap_err(), PortableError::Long(1));
    }

    #[test]
    fn changed_bytes_are_a_record_or_an_error(
        some in some_record(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), prop_oneof![
            any::<u8>(), prop::sample::select(vec![0, 1, 2, 3, 64, 65, 66, 127, 128, 255])
        ]), 1..6),
        moved in any::<(prop::sample::Index, prop::sample::Index)>()
    ) {
        let mut bytes = some.record(bytes_of);
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        let mut decoder = Decoder::new();
        let _ = decoder.decode(&bytes).map(|record| told(&record));
        let (from, to) = (moved.0.index(bytes.len()), moved.1.index(bytes.len()));
        bytes.copy_within(from.min(to)..to, 0);
        let _ = decoder.decode(&bytes).map(|record| told(&record));
    }

    #[test]
    fn random_bytes_behind_a_sound_head_are_a_record_or_an_error(
        tail in prop::collection::vec(prop_oneof![3 => 0..4_u8, 1 => 60..70_u8, 1 => any::<u8>()], 0..200)
    ) {
        let owned = Owned::new(Level::Info, "app", &[], &[], ());
        let head = bytes_of(&owned.record());
        // Behind the thread's name: the counts of pieces, fields, types and words, all 0.
        let bytes = [&head[..head.len() - 16], &tail].concat();
        let _ = Decoder::new().decode(&bytes).map(|record| told(&record));
    }
}

/// One argument of each type.
#[test]
fn values_of_all_types_keep_their_types() {
    let numbers =
        ((1_u8, 2_u16, 3_u32).hold(), ((4_u64, 5_u128).hold(), ((-1_i8, -2_i16, -3_i32).hold(), ())));
    same(numbers, 3);
    same(((-4_i64, -5_i128, 1.5_f32).hold(), ((f64::NAN, true, 'ß').hold(), (().hold(), ()))), 3);
    let addresses = [
        "1.2.3.4:5".parse::<std::net::SocketAddr>().unwrap(),
        "[::1]:7".parse::<std::net::SocketAddr>().unwrap(),
    ];
    same((addresses.hold(), (addresses[0].ip().hold(), (Duration::from_nanos(7).hold(), ()))), 3);
    same((Some("text").hold(), (None::<u8>.hold(), (vec!["a", "bc"].hold(), ([1_u16, 2, 3].hold(), ())))), 4);
    let secret = Secret("hunter2");
    same((derived::a_struct(), (derived::variant(0), (derived::variant(1), (secret.hold(), ())))), 4);
    let chain = std::io::Error::other("disk full");
    same((Failure::new(&chain), ()), 1);
}

/// What a derive makes, by hand.
mod derived {
    use crate::callsite::{Members, Shape};
    use crate::record::encode::derived::{Named, OneOf, Redacted, Struct, Variant};

    pub(super) struct Type;

    impl Named for Type {
        const SHAPES: &'static [Shape<'static>] = &[
            Shape { name: "Unit", members: Members::Numbered(0), is_whole: true },
            Shape { name: "Whole", members: Members::Named(&["id", "secret"]), is_whole: false },
        ];
    }

    pub(super) struct Other;

    impl Named for Other {
        const SHAPES: &'static [Shape<'static>] =
            &[Shape { name: "Pair", members: Members::Numbered(2), is_whole: true }];
    }

    type Inner = Struct<Other, (u8, (u16, ()))>;
    type Fields = OneOf<(u64, (Redacted, ())), ()>;

    pub(super) fn a_struct() -> Struct<Other, (u8, (Inner, ()))> {
        Struct::new((1, (Struct::new((2, (3, ()))), ())))
    }

    pub(super) fn variant(position: u32) -> Variant<Type, Fields> {
        let fields = if position == 1 { OneOf::First((7, (Redacted, ()))) } else { OneOf::Rest(()) };
        Variant::new(position, fields)
    }
}

fn same<A: crate::record::encode::Arguments>(arguments: A, count: usize) {
    let pieces: Vec<_> = (0..count).map(|position| Piece::Argument(position, Spec::DEBUG)).collect();
    let owned = Owned::new(Level::Warn, "app", &pieces, &[], arguments);
    let bytes = bytes_of(&owned.record());
    let mut decoder = Decoder::new();
    let record = decoder.decode(&bytes).unwrap();
    assert_eq!(told(&record), told(&owned.record()));
    assert_eq!(record.entry.types, owned.entry.types);
    assert_eq!(record.message().to_string(), owned.record().message().to_string());
    assert!(matches!(record.value(0), Some(value) if !matches!(value, crate::record::Value::Undecodable(_))));
}

#[test]
fn a_draft_is_the_record_that_a_call_with_these_parts_makes() {
    let pieces = [Piece::Argument(0, Spec::DISPLAY)];
    let field = |(name, argument)| Field { name, argument, style: Style::Value };
    let fields = [("n", 1), ("list", 2), ("gap", 3), ("nested", 4), ("n", 5)].map(field);
    let (list, gap, nested) = (["ä", "", "longer than eight"], None::<()>, vec![Some((1_u8, "x")), None]);
    let arguments =
        ("text ß".hold(), (7_u128.hold(), (list.hold(), (gap.hold(), (nested.hold(), (0.5.hold(), ()))))));
    let call = Owned::new(Level::Debug, "target", &pieces, &fields, arguments);
    let called = call.record();
    let mut bytes = b"before".to_vec();
    Draft::new(Level::Debug, called.time(), "target", "text ß")
        .location(called.module_path(), called.file(), called.line())
        .thread(called.thread().process_id(), called.thread().id(), called.thread().name())
        .field("n", &7_u128)
        .field("list", &list)
        .field("gap", &gap)
        .field("nested", &nested)
        .field("n", &0.5)
        .write_portable(&mut bytes)
        .unwrap();
    let thread = called.thread();
    let of_nobody = Thread::of_process(thread.process_id(), 0, thread.id(), thread.name());
    let expected = bytes_of(&Record { stamp: 0, thread: &of_nobody, ..called });
    assert_eq!(bytes.strip_prefix(b"before").unwrap(), expected);
}

#[test]
fn bytes_of_others_are_told_apart() {
    let mut bytes = bytes_of(&Owned::new(Level::Info, "app", &[], &[], ()).record());
    let mut error = |at: usize, byte: u8| {
        let before = std::mem::replace(&mut bytes[at], byte);
        let error = Decoder::new().decode(&bytes).unwrap_err();
        bytes[at] = before;
        error
    };
    assert_eq!(error(0, b'x'), PortableError::Foreign);
    assert_eq!(error(3, 2), PortableError::Version(2));
    let other = super::flag::NAMED | (super::flag::BIG_ENDIAN ^ super::flag::ORDER);
    assert_eq!(error(4, other), PortableError::ByteOrder);
    assert_eq!(error(4, 0x80), PortableError::Malformed("byte of flags"));
    assert_eq!(error(5, 0), PortableError::Malformed("level"));
    assert_eq!(error(5, 6), PortableError::Malformed("level"));
}

#[test]
fn what_is_too_large_is_refused_on_both_sides_and_leaves_nothing_behind() {
    let many = vec![Piece::Literal("x"); PARTS_MAX + 1];
    let mut out = b"before".to_vec();
    let record = Owned::new(Level::Info, "app", &many, &[], ());
    assert_eq!(record.record().write_portable(&mut out), Err(PortableError::TooLarge));
    let long = Owned::new(Level::Info, "app", &[], &[], (vec![0_u8; BYTES_MAX].hold(), ()));
    assert_eq!(long.record().write_portable(&mut out), Err(PortableError::TooLarge));
    assert_eq!(out, b"before");
    assert!(matches!(Decoder::new().decode(&vec![0; BYTES_MAX + 1]), Err(PortableError::TooLarge)));
    // A type nested deeper than the stack should have to bear.
    let nested = |depth| {
        let mut bytes = bytes_of(&Owned::new(Level::Info, "app", &[], &[], ()).record());
        bytes.truncate(bytes.len() - 8);
        bytes.extend(1_u32.to_le_bytes());
        bytes.extend(vec![super::nest::OPTION; depth]);
        bytes.extend([0, 0, 0, 0, 0]); // `bool`, and no words
        bytes
    };
    assert!(Decoder::new().decode(&nested(super::DEPTH_MAX)).is_ok());
    assert_eq!(Decoder::new().decode(&nested(super::DEPTH_MAX + 1)).unwrap_err(), PortableError::TooLarge);
    assert_eq!(Decoder::new().decode(&nested(1_000_000)).unwrap_err(), PortableError::TooLarge);
}

#[test]
fn counts_that_are_not_backed_by_bytes_allocate_nothing() {
    let bytes = bytes_of(&Owned::new(Level::Info, "app", &[], &[], ()).record());
    for count in 0..4 {
        let mut lying = bytes[..bytes.len() - 16 + count * 4].to_vec();
        lying.extend(4000_u32.to_le_bytes());
        let mut decoder = Decoder::new();
        assert_eq!(decoder.decode(&lying).unwrap_err(), PortableError::Short);
        assert!(decoder.arena.allocated_bytes() < 4096, "{}", decoder.arena.allocated_bytes());
    }
}

#[test]
fn a_message_may_not_refer_to_what_is_not_there() {
    let pieces = [Piece::Argument(0, Spec::DISPLAY)];
    let mut bytes = bytes_of(&Owned::new(Level::Info, "app", &pieces, &[], (7_u64.hold(), ())).record());
    let place =
        bytes.windows(9).position(|window| window == [1, 0, 0, 0, super::piece::PLAIN, 0, 0, 0, 0]).unwrap();
    bytes[place + 5] = 1;
    assert_eq!(
        Decoder::new().decode(&bytes).unwrap_err(),
        PortableError::Malformed("position of an argument")
    );
}
