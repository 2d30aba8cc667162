//! Any change of any record.

use proptest::prelude::*;

use super::*;
use crate::callsite::{Count, EntryOf, Field, Metadata, Piece, Spec, Style, Type};
use crate::level::Level;
use crate::record::encode::Encode;
use crate::record::testing::Owned;
use crate::record::{Thread, Timestamp};

/// What a field says, by name.
type Said = Vec<(String, String)>;

fn said(record: &Record<'_>) -> Said {
    record.fields().map(|field| (field.name().to_owned(), field.to_string())).collect()
}

/// The record with this change, as text: its fields, its message, its words.
fn changed(record: &Record<'_>, change: &Change) -> (Said, String, Vec<u64>) {
    let arena = Bump::new();
    let content = Content { entry: record.entry.get(), arguments: record.arguments };
    let Content { entry, arguments } = change.apply(content, record.truncated, &arena);
    let record = Record { entry: EntryOf::Batch(entry), arguments, ..*record };
    (said(&record), record.message().to_string(), arguments.to_vec())
}

const NAMES: [&str; 4] = ["a", "b", "c", "d"];
const TYPES: [&Type<'static>; 7] = [
    &Type::U64,
    &Type::Str,
    &Type::Bool,
    &Type::Option(&Type::U8),
    &Type::List(&Type::U16),
    &Type::Tuple(&[&Type::U8, &Type::Str]),
    &Type::Redacted,
];

/// Words that are mostly what the types say, and counts that are sometimes right.
fn some_words() -> impl Strategy<Value = Vec<u64>> {
    let count = (0..9_u64).prop_map(|count| count << 32 | count);
    prop::collection::vec(prop_oneof![3 => 0..3_u64, 2 => count, 1 => any::<u64>()], 0..12)
}

#[derive(Clone, Debug)]
enum Asked {
    Set(&'static str, u64),
    Remove(&'static str),
    Redact(&'static str),
}

fn some_edits() -> impl Strategy<Value = Vec<Asked>> {
    let name = || prop::sample::select(NAMES.to_vec());
    let edit = prop_oneof![
        (name(), any::<u64>()).prop_map(|(name, value)| Asked::Set(name, value)),
        name().prop_map(Asked::Remove),
        name().prop_map(Asked::Redact),
    ];
    prop::collection::vec(edit, 0..5)
}

/// What fields say after an edit, by the book.
fn edited(mut fields: Said, edit: &Asked) -> Said {
    match edit {
        Asked::Set(name, value) => {
            let place = fields.iter().position(|field| field.0 == *name);
            let place = place.unwrap_or(fields.len());
            fields.insert(place, ((*name).to_owned(), value.to_string()));
            let mut at = 0..;
            fields.retain(|field| at.next() == Some(place) || field.0 != *name);
        }
        Asked::Remove(name) => fields.retain(|field| field.0 != *name),
        Asked::Redact(name) => {
            let named = fields.iter_mut().filter(|field| field.0 == *name);
            named.for_each(|field| field.1 = "[redacted]".to_owned());
        }
    }
    fields
}

fn is_readable(text: &str) -> bool {
    text != "…" && !text.starts_with("<undecodable")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn fields_are_what_the_edits_say_whatever_the_record(
        types in prop::collection::vec(prop::sample::select(TYPES.to_vec()), 1..6),
        words in some_words(),
        fields in prop::collection::vec((prop::sample::select(NAMES.to_vec()), any::<prop::sample::Index>()), 0..5),
        pieces in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..4),
        edits in some_edits(),
        message in any::<bool>(),
        truncated in any::<bool>(),
    ) {
        let fields: Vec<_> = fields.iter().map(|(name, at)| Field {
            name, argument: at.index(types.len()), style: Style::Value,
        }).collect();
        let pieces: Vec<_> = pieces.iter().map(|(at, width)| {
            let width = Count::Argument(width.index(types.len()));
            Piece::Argument(at.index(types.len()), Spec { width, ..Spec::DISPLAY })
        }).collect();
        let metadata = Metadata {
            level: Level::Info, target: "tests", module_path: "", file: "", line: 1, instance: false,
            pieces: &pieces, fields: &fields,
        };
        let thread = Thread::new(1, None);
        let time = Timestamp::from_nanos(0);
        let entry = Entry { metadata: &metadata, types: &types };
        let entry = EntryOf::Batch(&entry);
        let arguments = &words;
        let record = Record { entry, arguments, time, stamp: 0, thread: &thread, truncated, scope: None };

        let change = edits.iter().fold(Change::new(), |change, edit| match edit {
            Asked::Set(name, value) => change.set(*name, *value),
            Asked::Remove(name) => change.remove(*name),
            Asked::Redact(name) => change.redact(*name),
        });
        let change = if message { change.message("other") } else { change };
        let (after, text, _) = changed(&record, &change);
        let expected = edits.iter().fold(said(&record), edited);
        prop_assert_eq!(after.len(), expected.len());
        let is_redacted = edits.iter().any(|edit| matches!(edit, Asked::Redact(_)));
        for (after, expected) in after.iter().zip(&expected) {
            prop_assert_eq!(&after.0, &expected.0);
            // What could not be read before says so still, in one way or the other. An argument that two fields share is
            // redacted for both.
            if is_readable(&expected.1) && !(is_redacted && after.1 == "[redacted]") {
                // A field that was to be redacted and could not be read is not to be read after that either.
                let is_gone = expected.1 == "[redacted]" && !is_readable(&after.1);
                prop_assert!(is_gone || after.1 == expected.1, "{after:?} is not {expected:?}");
            } else {
                prop_assert!(!is_readable(&after.1) || after.1 == "[redacted]", "{after:?} of {expected:?}");
            }
        }
        if message {
            prop_assert_eq!(text, "other");
        } else if !is_redacted && said(&record).iter().all(|(_, text)| is_readable(text))
            && !record.message().to_string().contains(['…', '<'])
        {
            prop_assert_eq!(text, record.message().to_string());
        }
    }
}

const fn field(name: &'static str, argument: usize) -> Field<'static> {
    Field { name, argument, style: Style::Value }
}

/// `info!(user, password, "login of {user} with {password:>9}, {password:?} and {count}")`
fn login() -> Owned {
    let padded = Spec { width: Count::Is(9), ..Spec::DISPLAY };
    let pieces = [
        Piece::Literal("login of "),
        Piece::Argument(2, Spec::DISPLAY),
        Piece::Literal(" with "),
        Piece::Argument(3, padded),
        Piece::Literal(", "),
        Piece::Argument(3, Spec::DEBUG),
        Piece::Literal(" and "),
        Piece::Argument(4, Spec::DISPLAY),
    ];
    let (user, password) = ("kim".hold(), "hunter2".hold());
    let arguments = (user, (password, (user, (password, (17_u64.hold(), ())))));
    Owned::new(Level::Info, "tests", &pieces, &[field("user", 0), field("password", 1)], arguments)
}

/// Whether these words have this text in them.
fn hold(words: &[u64], text: &str) -> bool {
    let bytes: Vec<_> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn what_is_redacted_is_gone_from_the_words_also_where_the_message_says_it() {
    let record = login();
    let record = record.record();
    assert!(hold(record.arguments, "hunter2"));
    let (fields, message, words) = changed(&record, &Change::new().redact("password"));
    assert_eq!(fields[1], ("password".to_owned(), "[redacted]".to_owned()));
    assert_eq!(message, "login of kim with [redacted], [redacted] and 17");
    assert!(!hold(&words, "hunter2") && hold(&words, "kim"));
}

#[test]
fn what_is_removed_and_no_message_says_is_gone_from_the_words() {
    let record = login();
    let record = record.record();
    let (fields, message, words) = changed(&record, &Change::new().remove("password"));
    assert_eq!((fields.len(), message.contains("hunter2")), (1, true), "the message is as it was");
    assert!(hold(&words, "hunter2"));
    let (fields, message, words) = changed(&record, &Change::new().remove("password").message("login"));
    assert_eq!((fields.len(), &*message), (1, "login"));
    assert!(!hold(&words, "hunter2") && hold(&words, "kim"));
}

#[test]
fn a_change_of_nothing_leaves_the_record_where_it_is() {
    let record = login();
    let record = record.record();
    let arena = Bump::new();
    let content = Content { entry: record.entry.get(), arguments: record.arguments };
    let after = Change::new().apply(content, false, &arena);
    assert!(std::ptr::eq(after.entry, record.entry.get()) && std::ptr::eq(after.arguments, record.arguments));
}

#[test]
fn arguments_that_were_cut_stay_cut_behind_those_that_are_set() {
    let pieces = [Piece::Argument(0, Spec::DISPLAY), Piece::Literal(" "), Piece::Argument(1, Spec::DISPLAY)];
    let long = "x".repeat(100);
    let arguments = (7_u64.hold(), (long.hold(), (9_u64.hold(), ())));
    let fields = [field("long", 1), field("last", 2)];
    let cut = Owned::within(4, Level::Info, "tests", &pieces, &fields, arguments);
    let record = cut.record();
    assert!(record.truncated);
    let before = (said(&record), record.message().to_string());
    let (fields, message, _) = changed(&record, &Change::new().set("first", "set"));
    assert_eq!((&fields[..2], message), (&before.0[..], before.1));
    assert_eq!(fields[2], ("first".to_owned(), "set".to_owned()));
}

#[test]
fn values_keep_their_types() {
    let record = login();
    let record = record.record();
    let arena = Bump::new();
    let change = Change::new()
        .set("user", 7_u64)
        .set("peers", &[1_u16, 2][..])
        .set("gap", None::<bool>)
        .set("secret", crate::record::Secret("x"));
    let content = Content { entry: record.entry.get(), arguments: record.arguments };
    let Content { entry, arguments } = change.apply(content, false, &arena);
    let kinds = entry.metadata.fields.iter().map(|field| entry.types[field.argument]);
    let expected =
        [&Type::U64, &Type::Str, &Type::List(&Type::U16), &Type::Option(&Type::Bool), &Type::Redacted];
    assert_eq!(kinds.collect::<Vec<_>>(), expected);
    let record = Record { entry: EntryOf::Batch(entry), arguments, ..record };
    assert_eq!(record.field("peers").unwrap().to_string(), "[1, 2]");
}
