use super::*;
use crate::callsite::{Field, Piece, Spec};
use crate::error::Error;
use crate::level::Level;
use crate::record::Thread;
use crate::record::encode::{Arguments, Encode, Failure, Shown};
use crate::record::testing::Owned;
use proptest::prelude::*;
use serde_json::{Value as Parsed, json};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

const HEAD: &str = r#"{"timestamp":"2023-11-14T22:13:20.123456789Z","level":"INFO","target":"app""#;
const PLACE: Piece<'static> = Piece::Argument(0, Spec::DISPLAY);

fn key(name: &'static str, argument: usize, style: Style) -> Field<'static> {
    Field { name, argument, style }
}

fn info<A: Arguments>(pieces: &[Piece<'static>], fields: &[Field<'static>], arguments: A) -> Owned {
    Owned::new(Level::Info, "app", pieces, fields, arguments)
}

fn line_in(mut format: Json, record: &Owned) -> String {
    let mut out = b"before".to_vec();
    format.format(&record.record(), &mut out);
    String::from_utf8(out).unwrap().strip_prefix("before").unwrap().to_owned()
}

fn line(record: &Owned) -> String {
    line_in(Json::new(), record)
}

/// The line's object, which has no key twice.
fn parsed(line: &str) -> Parsed {
    let value: Parsed = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    // The parser keeps the last of two keys: then what it prints is shorter.
    assert_eq!(value.to_string().matches(':').count(), line.matches(':').count(), "{line}");
    value
}

/// The text of one field's value.
fn value_in(format: Json, style: Style, value: impl Encode) -> String {
    let record = info(&[], &[key("key", 0, style)], (value.hold(), ()));
    let line = line_in(format, &record);
    parsed(&line);
    let value = line.strip_prefix(HEAD).and_then(|rest| rest.strip_prefix(r#","fields":{"key":"#));
    value.and_then(|rest| rest.strip_suffix("}}\n")).unwrap_or_else(|| panic!("{line}")).to_owned()
}

fn value(value: impl Encode) -> String {
    value_in(Json::new(), Style::Value, value)
}

#[test]
fn a_line_is_an_object_of_time_level_target_message_fields() {
    let pieces = [Piece::Literal("order "), PLACE, Piece::Literal(" filled")];
    let fields = [key("venue", 1, Style::Value), key("order.total", 2, Style::Value)];
    let record = info(&pieces, &fields, (7_u64, ("XNAS".hold(), (12.5_f64, ()))));
    let rest = r#","message":"order 7 filled","fields":{"venue":"XNAS","order.total":12.5}}"#;
    assert_eq!(line(&record), format!("{HEAD}{rest}\n"));
    let rest = r#","message":"order 7 filled","venue":"XNAS","order.total":12.5}"#;
    assert_eq!(line_in(Json::new().flat(true), &record), format!("{HEAD}{rest}\n"));
}

#[test]
fn what_a_record_has_not_is_left_out() {
    assert_eq!(line(&info(&[], &[], ())), format!("{HEAD}}}\n"));
    assert_eq!(line(&info(&[Piece::Literal("text")], &[], ())), format!("{HEAD},\"message\":\"text\"}}\n"));
}

#[test]
fn details_are_told_if_they_are_asked_for() {
    let format = || Json::new().threads(true).location(true).module(true).process_id(true);
    let mut record = info(&[], &[], ());
    let (place, process) = (r#""module":"app::module","file":"src/module.rs","line":7"#, std::process::id());
    let expected = format!(r#"{HEAD},{place},"thread":"worker","thread_id":42,"process_id":{process}}}"#);
    assert_eq!(line_in(format(), &record), format!("{expected}\n"));
    record.thread = Thread::new(42, None);
    assert_eq!(
        line_in(Json::new().threads(true), &record),
        format!("{HEAD},\"thread_id\":42}}\n"),
        "a thread without a name"
    );
}

#[test]
fn the_time_is_shown_as_asked_for() {
    let line = line_in(Json::new().time(Time::utc().seconds()), &info(&[], &[], ()));
    assert_eq!(parsed(&line)["timestamp"], "2023-11-14T22:13:20Z");
}

#[test]
fn every_type_keeps_what_it_is() {
    assert_eq!(value(true), "true");
    assert_eq!(value('"'), r#""\"""#);
    assert_eq!(value(u8::MAX), "255");
    assert_eq!(value(u16::MAX), "65535");
    assert_eq!(value(u32::MAX), "4294967295");
    assert_eq!(value(u64::MAX), "18446744073709551615");
    assert_eq!(value(i8::MIN), "-128");
    assert_eq!(value(i16::MIN), "-32768");
    assert_eq!(value(i32::MIN), "-2147483648");
    assert_eq!(value(i64::MIN), "-9223372036854775808");
    assert_eq!(value(0.1_f32), "0.1");
    assert_eq!(value(1.0_f64), "1.0");
    assert_eq!(value(-0.0_f64), "-0.0");
    assert_eq!(value(1e300_f64), "1e300");
    assert_eq!(value(f64::MIN_POSITIVE), "2.2250738585072014e-308");
    assert_eq!(value(()), "null");
    assert_eq!(value("text"), r#""text""#);
    assert_eq!(value(Duration::from_micros(1500)), r#""1.5ms""#);
    assert_eq!(value(Ipv4Addr::LOCALHOST), r#""127.0.0.1""#);
    assert_eq!(value(Ipv6Addr::LOCALHOST), r#""::1""#);
    assert_eq!(value(SocketAddr::from(([127, 0, 0, 1], 80))), r#""127.0.0.1:80""#);
    assert_eq!(value(None::<u8>), "null");
    assert_eq!(value(Some("x")), r#""x""#);
    assert_eq!(value([1_u8, 2].as_slice()), "[1,2]");
    assert_eq!(value(Vec::<u8>::new()), "[]");
    assert_eq!(value([Some(0.5), None].as_slice()), "[0.5,null]");
    assert_eq!(value((1_u8, "x", [true].as_slice())), r#"[1,"x",[true]]"#);
}

#[test]
fn floats_that_are_no_numbers_are_strings() {
    assert_eq!(value(f64::NAN), r#""NaN""#);
    assert_eq!(value(f32::INFINITY), r#""inf""#);
    assert_eq!(value(f64::NEG_INFINITY), r#""-inf""#);
}

#[test]
fn integers_beyond_64_bits_are_strings() {
    assert_eq!(value(u128::from(u64::MAX)), "18446744073709551615");
    assert_eq!(value(u128::from(u64::MAX) + 1), r#""18446744073709551616""#);
    assert_eq!(value(i128::from(u64::MAX)), "18446744073709551615");
    assert_eq!(value(i128::from(u64::MAX) + 1), r#""18446744073709551616""#);
    assert_eq!(value(i128::from(i64::MIN)), "-9223372036854775808");
    assert_eq!(value(i128::from(i64::MIN) - 1), r#""-9223372036854775809""#);
}

#[test]
fn integers_that_doubles_cannot_tell_apart_are_strings_if_that_is_asked_for() {
    let value = |number: i64| value_in(Json::new().big_integers_as_strings(true), Style::Value, number);
    assert_eq!(value(9_007_199_254_740_991), "9007199254740991");
    assert_eq!(value(9_007_199_254_740_992), r#""9007199254740992""#);
    assert_eq!(value(-9_007_199_254_740_991), "-9007199254740991");
    assert_eq!(value(-9_007_199_254_740_992), r#""-9007199254740992""#);
    let format = Json::new().big_integers_as_strings(true);
    assert_eq!(value_in(format, Style::Value, [1, u64::MAX].as_slice()), r#"[1,"18446744073709551615"]"#);
}

#[test]
fn after_a_sigil_a_value_is_the_text_that_it_asks_for() {
    assert_eq!(value_in(Json::new(), Style::Display, 7_u8), r#""7""#);
    assert_eq!(value_in(Json::new(), Style::Debug, "a\n"), r#""\"a\\n\"""#);
    assert_eq!(value_in(Json::new(), Style::Debug, Some(5_u8)), r#""Some(5)""#);
}

#[test]
fn text_that_was_made_at_the_call_is_a_string() {
    let record = info(&[], &[key("a", 0, Style::Value)], (Shown::new(&format_args!("a{}", '"')), ()));
    assert_eq!(line(&record), format!("{HEAD},\"fields\":{{\"a\":\"a\\\"\"}}}}\n"));
}

#[test]
fn an_error_is_its_message_and_those_of_its_sources() {
    let cause = "x".parse::<u8>().unwrap_err();
    let error = std::io::Error::other(cause);
    let record = info(&[], &[key("error", 0, Style::Value)], (Failure::new(&error), ()));
    assert_eq!(parsed(&line(&record))["fields"]["error"], json!(["invalid digit found in string"]));
    let error = Error::io("open", "a.log", std::io::Error::other("on fire"));
    let record = info(&[], &[key("error", 0, Style::Value)], (Failure::new(&error), ()));
    let expected = json!(["cannot open a.log: on fire", "on fire"]);
    assert_eq!(parsed(&line(&record))["fields"]["error"], expected);
}

#[test]
fn names_that_collide_are_told_apart() {
    let fields =
        ["level", "a", "a", "timestamp", "fields", "thread", "x"].map(|name| key(name, 0, Style::Value));
    let record = info(&[], &fields, (1_u8, ()));
    let flat = parsed(&line_in(Json::new().flat(true), &record));
    let keys: Vec<_> = flat.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = ["level_2", "a", "a_2", "timestamp_2", "fields_2", "thread_2", "x"];
    assert_eq!(keys[3..], expected);
    let nested = parsed(&line(&record));
    let keys: Vec<_> = nested["fields"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["level", "a", "a_2", "timestamp", "fields", "thread", "x"]);
}

#[test]
fn a_cut_record_says_so_and_is_valid() {
    let fields = [key("a", 1, Style::Value), key("list", 2, Style::Value), key("last", 3, Style::Value)];
    let (message, text, list) = ("m".repeat(99), "é".repeat(99), [7_u64; 40]);
    let arguments = || (message.hold(), (text.hold(), (list.hold(), (1_u8, ()))));
    for room in 1..70 {
        let record = Owned::within(room, Level::Info, "app", &[PLACE], &fields, arguments());
        let line = parsed(&line(&record));
        assert_eq!(line.get("truncated"), record.truncated.then_some(&Parsed::Bool(true)));
        assert_eq!(line["fields"].as_object().unwrap().len(), 3);
    }
    let record = Owned::within(1, Level::Info, "app", &[PLACE], &fields, arguments());
    assert_eq!(parsed(&line(&record))["fields"], json!({ "a": null, "list": null, "last": null }));
}

#[test]
fn words_that_are_no_values_are_told_of() {
    let mut record = info(&[], &[key("a", 0, Style::Value)], ("text".hold(), ()));
    record.words[1] = u64::MAX;
    assert_eq!(parsed(&line(&record))["fields"]["a"], "<undecodable: not UTF-8>");
}

/// A name that lives as long as a callsite's.
fn leaked(name: &str) -> &'static str {
    String::leak(name.to_owned())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn whatever_is_logged_is_read_back(
        texts in proptest::array::uniform3(any::<String>()),
        names in proptest::array::uniform3("\\PC*|[\"\\\\\x00-\x1f a\u{202e}]*|level|a"),
        (float, single) in (any::<u64>().prop_map(f64::from_bits), any::<u32>().prop_map(f32::from_bits)),
        (integer, flat) in (any::<i64>(), any::<bool>()),
    ) {
        let styles = [Style::Value, Style::Display];
        let mut fields: Vec<_> =
            names.iter().zip(1..).map(|(name, at)| key(leaked(name), at, styles[at % 2])).collect();
        fields.extend([key("float", 4, Style::Value), key("single", 5, Style::Value), key("integer", 6, Style::Value)]);
        let numbers = (float, (single, (integer, ())));
        let [a, b, c] = &texts;
        let arguments = (a.hold(), (a.hold(), (b.hold(), (c.hold(), numbers))));
        let line = line_in(Json::new().flat(flat), &info(&[Piece::Literal("\"\n"), PLACE], &fields, arguments));
        prop_assert_eq!(line.find(|c: char| c.is_control()), Some(line.len() - 1));
        let object: Parsed = serde_json::from_str(&line).unwrap();
        prop_assert_eq!(&object["message"], &format!("\"\n{}", texts[0]));
        let object = object.as_object().unwrap();
        let fields = if flat { object } else { object["fields"].as_object().unwrap() };
        let skipped = if flat { 4 } else { 0 };
        prop_assert_eq!(fields.len(), skipped + 6, "a key is there twice");
        let values: Vec<_> = fields.iter().skip(skipped).collect();
        for ((name, text), (key, value)) in names.iter().zip(&texts).zip(&values) {
            prop_assert_eq!(value.as_str(), Some(text.as_str()));
            prop_assert!(*key == name || key.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('_')));
        }
        match values[3].1.as_f64() {
            Some(read) => prop_assert_eq!(read.to_bits(), float.to_bits()),
            None => prop_assert_eq!(values[3].1.as_str().unwrap(), format!("{float:?}")),
        }
        match values[4].1.as_f64() {
            Some(read) => prop_assert_eq!((read as f32).to_bits(), single.to_bits()),
            None => prop_assert_eq!(values[4].1.as_str().unwrap(), format!("{single:?}")),
        }
        prop_assert_eq!(values[5].1.as_i64(), Some(integer));
    }
}
