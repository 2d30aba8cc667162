//! Decoding against arbitrary words, records that were cut, messages and fields.

mod parity;

use std::fmt::{self, Display};
use std::time::Duration;

use proptest::prelude::*;

use super::encode::{Arguments, Encode, Failure, Formatted};
use super::render::print_argument;
use super::testing::{Owned, write};
use super::{DecodeError, MessageWriter, Secret, Value, Values};
use crate::callsite::{Align, Bodies, Count, Field, Kind, Members, Piece, Schema, Shape, Spec, Style, Type};
use crate::level::Level;

fn encoded<A: Arguments>(arguments: A) -> (Vec<&'static Type<'static>>, Vec<u64>) {
    (A::SCHEMA.types().collect(), write(&arguments, &[], usize::MAX).0)
}

pub(in crate::record) fn a_string() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::collection::vec(any::<char>(), 0..12).prop_map(String::from_iter),
        "[a-z \"\\\\\\n\\tß→🦀]{0,70}",
    ]
}

/// Any type that can be written down, also those that no call has.
pub(in crate::record) fn a_type() -> impl Strategy<Value = &'static Type<'static>> {
    let leaf = prop::sample::select(vec![
        &Type::Bool,
        &Type::Char,
        &Type::U8,
        &Type::U16,
        &Type::U32,
        &Type::U64,
        &Type::U128,
        &Type::I8,
        &Type::I16,
        &Type::I32,
        &Type::I64,
        &Type::I128,
        &Type::F32,
        &Type::F64,
        &Type::Unit,
        &Type::Str,
        &Type::Text,
        &Type::Error,
        &Type::Backtrace,
        &Type::Duration,
        &Type::Ipv4Addr,
        &Type::Ipv6Addr,
        &Type::IpAddr,
        &Type::SocketAddrV4,
        &Type::SocketAddrV6,
        &Type::SocketAddr,
    ]);
    leaf.prop_recursive(4, 16, 3, |inner| {
        let leak = |kind| -> &'static Type<'static> { Box::leak(Box::new(kind)) };
        prop_oneof![
            inner.clone().prop_map(move |inner| leak(Type::Option(inner))),
            inner.clone().prop_map(move |inner| leak(Type::List(inner))),
            prop::collection::vec(inner.clone(), 0..4).prop_map(move |parts| leak(Type::Tuple(parts.leak()))),
            prop::collection::vec(inner.clone(), 0..4).prop_map(move |parts| {
                let shape = a_shape(parts.len());
                leak(Type::Struct(Box::leak(Box::new(shape)), a_schema(&parts)))
            }),
            // Of two variants the first has fields; the types of a third are one too many.
            prop::collection::vec(inner, 0..4).prop_map(move |parts| {
                let shapes = Box::leak(Box::new([a_shape(parts.len()), a_shape(0)]));
                let end = Box::leak(Box::new(Bodies::Then(&Schema::End, &Bodies::End)));
                leak(Type::Enum(shapes, Box::leak(Box::new(Bodies::Then(a_schema(&parts), end)))))
            }),
            Just(&Type::Redacted),
        ]
    })
}

/// Names for so many fields, or one too few.
fn a_shape(fields: usize) -> Shape<'static> {
    let members = match fields {
        2 => Members::Named(&["one", "two"]),
        3 => Members::Named(&["one", "two"]),
        _ => Members::Numbered(fields),
    };
    Shape { name: "Name", members, is_whole: fields.is_multiple_of(2) }
}

fn a_schema(types: &[&'static Type<'static>]) -> &'static Schema {
    types.iter().rev().fold(&Schema::End, |rest, head| Box::leak(Box::new(Schema::Then(head, rest))))
}

#[test]
fn no_byte_of_a_secret_is_in_a_record() {
    let secret = "hunter2hunter2hunter2";
    let (some, list) = (Some(Secret(secret)), [Secret(secret)]);
    let (_, words) = encoded((Secret(secret).hold(), (some.hold(), (list.hold(), ()))));
    assert_eq!(words, [0, 1, 0, 1 | 1 << 32, 0], "tags, counts and zeros");
    // Were it the value, it would be seen.
    let (_, words) = encoded((secret.hold(), ()));
    assert_eq!(words.len(), 1 + secret.len().div_ceil(8));
}

/// Words that are often tags, counts and small numbers.
pub(in crate::record) fn some_words() -> impl Strategy<Value = Vec<u64>> {
    let word = prop_oneof![
        4 => 0..3_u64,
        3 => (0..5_u64, 0..40_u64).prop_map(|(stored, more)| stored | (stored + more) << 32),
        2 => (0..5_u64, 1..3_u64).prop_map(|(stored, times)| stored | (stored * times) << 32),
        1 => prop::sample::select(vec![4_u64, 6, u64::MAX, 0x4141_4141_4141_4141, 0x0000_0041_0000_0001]),
        2 => any::<u64>(),
    ];
    prop::collection::vec(word, 0..24)
}

pub(in crate::record) fn a_spec() -> impl Strategy<Value = Spec> {
    let kinds = vec![
        Kind::Display,
        Kind::Debug,
        Kind::DebugLowerHex,
        Kind::DebugUpperHex,
        Kind::LowerHex,
        Kind::UpperHex,
        Kind::Octal,
        Kind::Binary,
        Kind::LowerExp,
        Kind::UpperExp,
    ];
    let aligns = vec![Align::Unset, Align::Left, Align::Center, Align::Right];
    let count = || {
        prop_oneof![
            Just(Count::None),
            (0..90_usize).prop_map(Count::Is),
            (0..5_usize).prop_map(Count::Argument)
        ]
    };
    (
        (any::<char>(), prop::sample::select(aligns)),
        any::<(bool, bool, bool)>(),
        (prop::sample::select(kinds), count(), count()),
    )
        .prop_map(|((fill, align), (plus, alternate, zero), (kind, width, precision))| Spec {
            fill,
            align,
            plus,
            alternate,
            zero,
            kind,
            width,
            precision,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn any_words_give_values_or_errors_and_text(
        types in prop::collection::vec(a_type(), 1..4), words in some_words(), spec in a_spec(),
        truncated in any::<bool>()
    ) {
        let values = Values::new(&types, &words, truncated);
        prop_assert_eq!(values.clone().count(), types.len());
        for value in values.clone() {
            let mut text = String::new();
            print_argument(&value, &spec, &values, &mut text).unwrap();
            print_argument(&value, &Spec::DEBUG, &values, &mut text).unwrap();
            let inspected = format!("{value:?}");
            // What was accepted at the top is sound to its innermost part.
            if !matches!(value, Value::Undecodable(_)) {
                prop_assert!(!inspected.contains("Undecodable"), "{}", inspected);
            }
        }
    }

    #[test]
    fn a_record_that_was_cut_decodes_and_keeps_within_its_room(
        a in a_string(), b in prop::collection::vec((any::<u8>(), a_string()), 0..4),
        c in prop::collection::vec(any::<u16>(), 0..20), d in any::<Option<char>>(), room in 0..40_usize
    ) {
        let list = || (a.hold(), (7_u64, (b.hold(), (c.hold(), ((d, 1_u8).hold(), (a.hold(), ()))))));
        let (types, whole) = encoded(list());
        let (words, truncated) = write(&list(), &[], room);
        prop_assert!(words.len() <= room);
        prop_assert_eq!(truncated, whole.len() > room);
        if !truncated {
            prop_assert_eq!(&words, &whole);
        }
        let least = list().least_words();
        let mut missing = false;
        for value in Values::new(&types, &words, truncated) {
            prop_assert!(!matches!(value, Value::Undecodable(_)));
            missing |= matches!(value, Value::Missing);
            if let Value::Str(text) = value {
                prop_assert!(a.starts_with(text.as_str()));
                prop_assert_eq!(text.as_str().len() + text.missing(), a.len());
            }
        }
        prop_assert_eq!(missing, least > room);
    }
}

fn message(pieces: &[Piece<'static>], arguments: impl Arguments) -> Owned {
    Owned::new(Level::Info, "app", pieces, &[], arguments)
}

#[test]
fn a_message_is_its_literals_and_its_arguments() {
    let width = Spec { width: Count::Argument(2), precision: Count::Is(1), ..Spec::DISPLAY };
    let pieces = [
        Piece::Literal("{order} "),
        Piece::Argument(1, width),
        Piece::Literal(" of "),
        Piece::Argument(0, Spec::DISPLAY),
        Piece::Argument(3, Spec::DEBUG),
    ];
    let owned = message(&pieces, (7_u64, (2.25_f64, (6_usize, ("x".hold(), ())))));
    assert_eq!(owned.record().message().to_string(), "{order}    2.2 of 7\"x\"");
    assert!(owned.record().message() == "{order}    2.2 of 7\"x\"");
    assert!(owned.record().message() != "{order}    2.2 of 7\"x\" ");
    assert!(owned.record().message() != "{order}");
    assert_eq!(owned.record().value(0).and_then(|value| value.as_u64()), Some(7));
    assert!(owned.record().value(4).is_none());
}

#[test]
fn literals_and_arguments_reach_a_writer_apart() {
    #[derive(Default)]
    struct Apart(String);
    impl MessageWriter for Apart {
        fn literal(&mut self, text: &str) -> fmt::Result {
            self.0.push_str(text);
            Ok(())
        }
        fn argument(&mut self, text: &str) -> fmt::Result {
            self.0.push_str(&text.replace('\n', "\\n"));
            Ok(())
        }
    }
    let owned = message(&[Piece::Literal("a\nb "), Piece::Argument(0, Spec::DISPLAY)], ("c\nd".hold(), ()));
    let mut apart = Apart::default();
    owned.record().write_message(&mut apart).unwrap();
    assert_eq!(apart.0, "a\nb c\\nd");
}

#[test]
fn eager_text_is_printed_as_it_is() {
    let spec = Spec { width: Count::Is(20), ..Spec::DEBUG };
    let owned = message(&[Piece::Argument(0, spec)], (Formatted::new(format_args!("{:>4}!", 1)), ()));
    assert_eq!(owned.record().message().to_string(), "   1!");
    assert_eq!(owned.record().value(0).unwrap().as_str(), Some("   1!"));
}

#[test]
fn fields_print_by_their_sigils() {
    let error = std::io::Error::other(std::num::ParseIntError::clone(&"x".parse::<i32>().unwrap_err()));
    let field = |name, argument, style| Field { name, argument, style };
    let fields = [
        field("text", 0, Style::Value),
        field("quoted", 0, Style::Debug),
        field("list", 1, Style::Value),
        field("took", 2, Style::Value),
        field("error", 3, Style::Value),
        field("half", 4, Style::Display),
    ];
    let list = vec![Some("a"), None];
    let arguments =
        ("x\"".hold(), (list.hold(), (Duration::from_millis(15), (Failure::new(&error), (0.5_f32, ())))));
    let owned = Owned::new(Level::Warn, "app", &[], &fields, arguments);
    let record = owned.record();
    let printed: Vec<_> = record.fields().map(|field| format!("{}={field}", field.name())).collect();
    assert_eq!(
        printed,
        [
            "text=x\"",
            "quoted=\"x\\\"\"",
            "list=[Some(\"a\"), None]",
            "took=15ms",
            "error=invalid digit found in string",
            "half=0.5"
        ]
    );
    assert_eq!(record.field("half").unwrap().value().as_f64(), Some(0.5));
    assert_eq!(record.field("quoted").unwrap().style(), Style::Debug);
    assert!(record.field("none").is_none());
    assert_eq!(record.message().to_string(), "");
}

#[test]
fn what_was_cut_is_marked() {
    let pieces = [
        Piece::Argument(0, Spec::DISPLAY),
        Piece::Literal("|"),
        Piece::Argument(1, Spec::DEBUG),
        Piece::Literal("|"),
        Piece::Argument(2, Spec::DISPLAY),
    ];
    let cut = |room| {
        let arguments = ("ééééééééé".hold(), ([1_u64, 2, 3].as_slice().hold(), (5_u8, ())));
        Owned::within(room, Level::Info, "app", &pieces, &[], arguments).record().message().to_string()
    };
    assert_eq!(cut(9), "ééééééééé|[1, 2, 3]|5");
    assert_eq!(cut(7), "ééééééééé|[1, …(+2)]|5");
    assert_eq!(cut(4), "éééé…(+10 bytes)|[…(+3)]|5");
    assert_eq!(cut(2), "…(+18 bytes)|[…(+3)]|…");
    assert_eq!(cut(0), "…|…|…");
}

#[test]
fn an_error_that_was_cut_keeps_its_first_messages() {
    #[derive(Debug)]
    struct Outer(fmt::Error);
    impl Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("outer é")
        }
    }
    impl std::error::Error for Outer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }
    let error = Outer(fmt::Error);
    let printed = |room| {
        let fields = [Field { name: "error", argument: 0, style: Style::Value }];
        let owned = Owned::within(room, Level::Info, "app", &[], &fields, (Failure::new(&error), ()));
        owned.record().field("error").unwrap().to_string()
    };
    let whole = format!("{error}: {}", fmt::Error);
    assert_eq!(printed(100), whole);
    assert_eq!(printed(3), format!("outer é…(+{} bytes)", fmt::Error.to_string().len()));
    assert_eq!(printed(1), format!("…(+{} bytes)", 4 + 8 + 4 + fmt::Error.to_string().len()));
    for room in 0..12 {
        assert!(!printed(room).contains("undecodable"));
    }
}

#[test]
fn words_that_are_no_value_are_marked_and_end_the_reading() {
    let pieces = [Piece::Argument(0, Spec::DISPLAY), Piece::Literal(" "), Piece::Argument(1, Spec::DISPLAY)];
    let mut owned = message(&pieces, (true, (5_u64, ())));
    owned.words[0] = 2;
    assert_eq!(
        owned.record().message().to_string(),
        "<undecodable: out of range> <undecodable: out of range>"
    );
    assert!(matches!(owned.record().value(1), Some(Value::Undecodable(DecodeError::Range))));
    owned.words.clear();
    assert_eq!(owned.record().message().to_string(), "<undecodable: too short> <undecodable: too short>");
}

#[test]
fn values_come_back_as_they_were() {
    let (types, words) = encoded((u64::MAX, (i64::MIN, (-0.0_f64, (true, ("é".hold(), (i128::MIN, ())))))));
    let values: Vec<_> = Values::new(&types, &words, false).collect();
    assert_eq!(values[0].as_u64(), Some(u64::MAX));
    assert_eq!(values[0].as_i64(), None);
    assert_eq!(values[1].as_i64(), Some(i64::MIN));
    assert_eq!(values[2].as_f64().map(f64::to_bits), Some((-0.0_f64).to_bits()));
    assert_eq!(values[3].as_bool(), Some(true));
    assert_eq!(values[4].as_str(), Some("é"));
    assert!(matches!(values[5], Value::I128(i128::MIN)));
}
