use super::*;
use crate::callsite::{Field, Piece, Spec};
use crate::level::Level;
use crate::record::Style;
use crate::record::encode::{Arguments, Encode};
use crate::record::testing::Owned;
use proptest::prelude::*;

const HEAD: &str = "ts=2023-11-14T22:13:20.123456789Z level=info target=app";
const PLACE: Piece<'static> = Piece::Argument(0, Spec::DISPLAY);

fn key(name: &'static str, argument: usize, style: Style) -> Field<'static> {
    Field { name, argument, style }
}

fn info<A: Arguments>(pieces: &[Piece<'static>], fields: &[Field<'static>], arguments: A) -> Owned {
    Owned::new(Level::Info, "app", pieces, fields, arguments)
}

fn line_in(mut format: Logfmt, record: &Owned) -> String {
    let mut out = b"before".to_vec();
    format.format(&record.record(), &mut out);
    String::from_utf8(out).unwrap().strip_prefix("before").unwrap().to_owned()
}

fn line(record: &Owned) -> String {
    line_in(Logfmt::new(), record)
}

/// `info!(key = value)`, without what stands before it.
fn with_field(style: Style, value: impl Encode) -> String {
    let line = line(&info(&[], &[key("key", 0, style)], (value.hold(), ())));
    line.strip_prefix(HEAD).unwrap().to_owned()
}

/// What a parser makes of a line: a key up to `=`, a value up to a space, or a string as in JSON.
fn parsed(line: &str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let mut rest = line.trim_end_matches('\n');
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=').unwrap_or_else(|| panic!("no value: {line}"));
        assert!(!key.is_empty() && !key.contains([' ', '"']), "no key: {line}");
        let value = if after.starts_with('"') {
            let mut values = serde_json::Deserializer::from_str(after).into_iter::<String>();
            let value = values.next().unwrap().unwrap();
            rest = &after[values.byte_offset()..];
            value
        } else {
            let end = after.find(' ').unwrap_or(after.len());
            rest = &after[end..];
            assert!(!after[..end].contains(['"', '=', '\\']), "no bare value: {line}");
            after[..end].to_owned()
        };
        pairs.push((key.to_owned(), value));
        assert!(rest.is_empty() || rest.starts_with(' '), "{line}");
        rest = rest.strip_prefix(' ').unwrap_or(rest);
    }
    pairs
}

#[test]
fn a_line_is_time_level_target_message_fields() {
    let pieces = [Piece::Literal("order "), PLACE, Piece::Literal(" filled")];
    let fields = [key("venue", 1, Style::Value), key("note", 2, Style::Value)];
    let arguments = (7_u64, ("XNAS".hold(), ("two words".hold(), ())));
    let expected = r#"msg="order 7 filled" venue=XNAS note="two words""#;
    assert_eq!(line(&info(&pieces, &fields, arguments)), format!("{HEAD} {expected}\n"));
}

#[test]
fn levels_are_in_small_letters() {
    for level in Level::ALL {
        let line = line(&Owned::new(level, "app", &[], &[], ()));
        assert_eq!(parsed(&line)[1].1, level.as_str().to_lowercase());
    }
}

#[test]
fn what_a_record_has_not_is_left_out() {
    assert_eq!(line(&info(&[], &[], ())), format!("{HEAD}\n"));
    assert_eq!(line(&info(&[Piece::Literal("text")], &[], ())), format!("{HEAD} msg=text\n"));
}

#[test]
fn details_are_told_if_they_are_asked_for() {
    let format = Logfmt::new().threads(true).location(true).module(true).process_id(true);
    let expected = "module=app::module file=src/module.rs line=7 thread=worker thread_id=42 process_id=";
    let process = std::process::id();
    assert_eq!(line_in(format, &info(&[], &[], ())), format!("{HEAD} {expected}{process}\n"));
}

#[test]
fn the_time_is_shown_as_asked_for() {
    let line = line_in(Logfmt::new().time(Time::utc().millis()), &info(&[], &[], ()));
    assert_eq!(parsed(&line)[0], ("ts".to_owned(), "2023-11-14T22:13:20.123Z".to_owned()));
}

#[test]
fn values_that_are_no_word_are_quoted_and_escaped_as_in_json() {
    for (value, shown) in [
        ("word", "word"),
        ("", r#""""#),
        ("a=b", r#""a=b""#),
        (r"C:\new", r#""C:\\new""#),
        ("x\" level=error y=\"", r#""x\" level=error y=\"""#),
        ("a\nb\x1b", r#""a\nb\u001b""#),
        ("Zoë 日本", "\"Zoë 日本\""),
        ("日本", "日本"),
    ] {
        assert_eq!(with_field(Style::Value, value), format!(" key={shown}\n"));
    }
}

#[test]
fn values_are_the_text_that_people_see() {
    assert_eq!(with_field(Style::Value, 12.5), " key=12.5\n");
    assert_eq!(with_field(Style::Value, Some(5_u8)), " key=Some(5)\n");
    assert_eq!(with_field(Style::Value, [1_u8, 2].as_slice()), " key=\"[1, 2]\"\n");
    assert_eq!(with_field(Style::Debug, "word"), " key=\"\\\"word\\\"\"\n");
}

#[test]
fn names_are_made_keys_and_are_told_apart() {
    let names = ["order id", "order_id", "", "level", "ts", "a=b", "x\ny\"", "größe"];
    let fields = names.map(|name| key(name, 0, Style::Value));
    let line = line(&info(&[], &fields, (1_u8, ())));
    let keys: Vec<_> = parsed(&line).into_iter().skip(3).map(|(key, _)| key).collect();
    assert_eq!(keys, ["order_id", "order_id_2", "_", "level_2", "ts_2", "a_b", "x_y_", "größe"]);
}

#[test]
fn a_cut_record_says_so() {
    let mut record = info(&[Piece::Literal("text")], &[], ());
    record.truncated = true;
    assert_eq!(line(&record), format!("{HEAD} msg=text truncated=true\n"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn whatever_is_logged_is_read_back(
        texts in proptest::array::uniform3("\\PC*|[\"\\\\=\x00-\x1f a\u{202e}]*|[a-z]*"),
        names in proptest::array::uniform2("\\PC*|[\"\\\\=\x00-\x1f a\u{202e}]*|level|a"),
    ) {
        let [name, other] = names.map(|name| &*String::leak(name));
        let fields = [key(name, 1, Style::Value), key(other, 2, Style::Display)];
        let [a, b, c] = &texts;
        let line = line(&info(&[PLACE], &fields, (a.hold(), (b.hold(), (c.hold(), ())))));
        prop_assert_eq!(line.find(|c: char| c.is_control() || c == '\u{202e}'), Some(line.len() - 1));
        let pairs = parsed(&line);
        let values: Vec<_> = pairs.iter().skip(3).map(|(_, value)| value).collect();
        prop_assert_eq!(values, [a, b, c]);
        prop_assert_ne!(&pairs[4].0, &pairs[5].0);
        prop_assert_eq!(pairs.iter().filter(|(key, _)| key == "level").count(), 1);
    }
}
