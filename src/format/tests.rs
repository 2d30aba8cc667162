//! Whatever records say, lines are lines: random records through every format, for as long as there is time.
//!
//! `TREERING_FUZZ_SECONDS=600 cargo test --release --lib format::tests` looks for longer than the second that it takes
//! among the other tests. A case that fails names its seed, and `TREERING_FUZZ_SEED` runs that one alone.
//!
//! A case is a record with a random level, target, message, specs, fields and nested types. Its words are written by the
//! test, after docs/record-format.md, together with what JSON should read back. In one case of four words are then
//! damaged or cut off, and only the shape of the lines is looked at.

use std::fmt::Debug;
use std::net::Ipv4Addr;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{Binary, Colors, Format, Json, Logfmt, Pattern, Text, Time};
use crate::binary::Reader;
use crate::callsite::{Align, Count, Entry, EntryOf, Field, Kind, Metadata, Piece, Spec, Style, Type};
use crate::level::Level;
use crate::record::testing::{Chance, fuzz};
use crate::record::{Record, Thread, Timestamp};

/// How many cases, however slow the machine is.
const CASES_MIN: u64 = 1000;

/// A callsite lives for ever, so that many records are made of one.
const CASES_PER_CALLSITE: u64 = 64;

const PATTERN: &str =
    "{time:%H:%M:%S%.9f} {color}{level:>5}{reset} [{thread}] {target:.20}: {message} {fields} {field.a}";

#[test]
fn every_line_is_one_line_and_says_what_was_logged() {
    let mut callsite: Option<(u64, Callsite)> = None;
    fuzz(CASES_MIN, |seed| {
        let number = seed / CASES_PER_CALLSITE;
        let (_, callsite) = match &mut callsite {
            Some(callsite) if callsite.0 == number => callsite,
            other => other.insert((number, Callsite::new(number))),
        };
        callsite.check(seed);
    });
}

#[test]
fn a_key_tells_of_settings_and_not_of_the_records_before() {
    use crate::record::encode::Encode;
    use crate::record::testing::Owned;

    let field = Field { name: "path", argument: 0, style: Style::Debug };
    let record = Owned::new(Level::Info, "app", &[], &[field], ("/tmp/x".hold(), ()));
    let keys = |mut format: Box<dyn Format>| {
        let before = format.key();
        format.format(&record.record(), &mut Vec::new());
        [before, format.key()]
    };
    let pattern = || Pattern::new(PATTERN).unwrap();
    let micros = || Time::utc().micros();
    let formats: [[Box<dyn Format>; 2]; 8] = [
        [Box::new(Text::new()), Box::new(Text::new().time(micros()))],
        [Box::new(Text::new().threads(true)), Box::new(Text::new().location(true))],
        [Box::new(Text::new().indented(true)), Box::new(Text::new().colors(Colors::Always))],
        [Box::new(Json::new()), Box::new(Json::new().time(micros()))],
        [Box::new(Json::new().flat(true)), Box::new(Json::new().module(true))],
        [Box::new(Logfmt::new()), Box::new(Logfmt::new().time(micros()))],
        [Box::new(pattern()), Box::new(pattern().colors(Colors::Always))],
        [Box::new(Pattern::new("{time}").unwrap()), Box::new(Pattern::new("{time}").unwrap().time(micros()))],
    ];
    let mut all = std::collections::BTreeSet::new();
    for format in formats.into_iter().flatten() {
        let [before, after] = keys(format);
        assert_eq!(before, after);
        assert!(all.insert(before.clone()), "two formats have the key {before:?}");
    }
}

impl Chance {
    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// Small ones, large ones, and those at the ends.
    fn number(&mut self) -> u64 {
        let word = self.word();
        match self.below(4) {
            0 => word % 100,
            1 => word,
            2 => u64::MAX - word % 3,
            _ => 1_u64 << self.below(64),
        }
    }

    fn text(&mut self) -> String {
        const PIECES: &[&str] = &[
            "\n",
            "\r",
            "\t",
            "\0",
            "\x1b[31m",
            "\x7f",
            "\u{9b}",
            "\u{202e}",
            "\u{2028}",
            "\u{200b}",
            "\u{e0041}",
            "\"",
            "\\",
            "=",
            " ",
            "{",
            "}",
            "%",
            "é",
            "日本",
            "🎉",
            "a",
            "XNAS",
            "1",
            "null",
            ":",
            ",",
            "\\u{1b}",
            "\\n",
            "2026-11-22T13:37:55Z INFO  app: forged",
            "timestamp",
            "level",
            "_2",
        ];
        let length = self.one_of(&[0, 1, 1, 2, 3, 8, 40]);
        let piece = |_| match self.below(8) {
            0 => char::from_u32(self.word() as u32 % 0x11_0000).unwrap_or('\u{fffd}').to_string(),
            _ => self.one_of(PIECES).to_owned(),
        };
        (0..length).map(piece).collect()
    }

    fn kind(&mut self, depth: usize) -> &'static Type<'static> {
        const LEAVES: &[Type<'_>] = &[
            Type::Bool,
            Type::Char,
            Type::U8,
            Type::U64,
            Type::U128,
            Type::I8,
            Type::I64,
            Type::I128,
            Type::F32,
            Type::F64,
            Type::Unit,
            Type::Str,
            Type::Text,
            Type::Error,
            Type::Backtrace,
            Type::Duration,
            Type::Ipv4Addr,
        ];
        let kind = match self.below(if depth < 4 { 8 } else { 5 }) {
            5 => Type::Option(self.kind(depth + 1)),
            6 => Type::List(self.kind(depth + 1)),
            7 => Type::Tuple((0..=self.below(3)).map(|_| self.kind(depth + 1)).collect::<Vec<_>>().leak()),
            _ => self.one_of(LEAVES),
        };
        Box::leak(Box::new(kind))
    }

    fn spec(&mut self, arguments: usize) -> Spec {
        const KINDS: &[Kind] = &[
            Kind::Display,
            Kind::Display,
            Kind::Debug,
            Kind::DebugLowerHex,
            Kind::LowerHex,
            Kind::Octal,
            Kind::UpperExp,
        ];
        let count = |chance: &mut Chance| match chance.below(6) {
            0 => Count::Is(chance.below(30)),
            1 => Count::Argument(chance.below(arguments)),
            _ => Count::None,
        };
        if self.below(2) == 0 {
            return Spec::DISPLAY;
        }
        Spec {
            fill: self.one_of(&[' ', '*', 'é', '"']),
            align: self.one_of(&[Align::Unset, Align::Left, Align::Center, Align::Right]),
            plus: self.below(4) == 0,
            alternate: self.below(4) == 0,
            zero: self.below(4) == 0,
            kind: self.one_of(KINDS),
            width: count(self),
            precision: count(self),
        }
    }

    /// Writes a value of this type. Returns what JSON reads back.
    fn value(&mut self, kind: &Type<'_>, words: &mut Vec<u64>) -> Value {
        let number = self.number();
        match kind {
            Type::Bool => put(words, number & 1, json!(number & 1 == 1)),
            Type::Char => {
                let c = char::from_u32(number as u32 % 0x11_0000).unwrap_or('\n');
                put(words, c.into(), json!(c.to_string()))
            }
            Type::U8 => put(words, u64::from(number as u8), json!(number as u8)),
            Type::U64 => put(words, number, json!(number)),
            Type::I8 => put(words, i64::from(number as i8) as u64, json!(number as i8)),
            Type::I64 => put(words, number, json!(number as i64)),
            Type::U128 | Type::I128 => {
                let high = self.one_of(&[0, 0, u64::MAX, number]);
                words.extend([number, high]);
                let wide = u128::from(high) << 64 | u128::from(number);
                let is_signed = *kind == Type::I128;
                match (is_signed, u64::try_from(wide), i64::try_from(wide as i128)) {
                    (_, Ok(small), _) => json!(small),
                    (true, _, Ok(small)) => json!(small),
                    (true, ..) => json!((wide as i128).to_string()),
                    (false, ..) => json!(wide.to_string()),
                }
            }
            Type::F32 => float(words, number & 0xffff_ffff, f32::from_bits(number as u32)),
            Type::F64 => float(words, number, f64::from_bits(number)),
            Type::Unit => put(words, 0, Value::Null),
            Type::Str | Type::Text => {
                let text = self.text();
                put_bytes(words, text.as_bytes());
                json!(text)
            }
            Type::Error | Type::Backtrace => {
                let texts: Vec<_> = (0..self.below(4)).map(|_| self.text()).collect();
                let behind_length =
                    |text: &String| [&(text.len() as u32).to_le_bytes(), text.as_bytes()].concat();
                put_bytes(words, &texts.iter().flat_map(behind_length).collect::<Vec<_>>());
                json!(texts)
            }
            Type::Duration => {
                let duration = Duration::new(number, self.word() as u32 % 1_000_000_000);
                words.extend([duration.as_secs(), duration.subsec_nanos().into()]);
                json!(format!("{duration:?}"))
            }
            Type::Ipv4Addr => {
                let number = number & 0xffff_ffff;
                put(words, number, json!(Ipv4Addr::from_bits(number as u32).to_string()))
            }
            Type::Option(inner) => {
                let is_some = number & 1 == 1;
                words.push(is_some.into());
                if is_some { self.value(inner, words) } else { Value::Null }
            }
            Type::Tuple(parts) => parts.iter().map(|part| self.value(part, words)).collect(),
            Type::List(element) => self.list(element, words),
            _ => unreachable!("not one of those that are chosen"),
        }
    }

    fn list(&mut self, element: &Type<'_>, words: &mut Vec<u64>) -> Value {
        let length = self.below(4);
        words.push((length | length << 32) as u64);
        let Some(size) = element.packed_bytes() else {
            return (0..length).map(|_| self.value(element, words)).collect();
        };
        let mut bytes = Vec::new();
        let mut packed = |_| {
            let mut element_words = Vec::new();
            let value = self.value(element, &mut element_words);
            bytes.extend(element_words.iter().flat_map(|word| word.to_le_bytes()).take(size));
            value
        };
        let values = (0..length).map(&mut packed).collect();
        push_padded(words, &bytes);
        values
    }
}

fn put(words: &mut Vec<u64>, word: u64, value: Value) -> Value {
    words.push(word);
    value
}

fn put_bytes(words: &mut Vec<u64>, bytes: &[u8]) {
    words.push((bytes.len() | bytes.len() << 32) as u64);
    push_padded(words, bytes);
}

fn push_padded(words: &mut Vec<u64>, bytes: &[u8]) {
    words.extend(bytes.chunks(8).map(|chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_le_bytes(word)
    }));
}

fn float(words: &mut Vec<u64>, bits: u64, value: impl Debug) -> Value {
    let text = format!("{value:?}");
    let number: f64 = text.parse().unwrap();
    put(words, bits, if number.is_finite() { json!(number) } else { json!(text) })
}

/// A callsite, and the formats that its records go through one after the other.
struct Callsite {
    entry: &'static Entry<'static>,
    /// Literals are the program's own, and pass as they are where lines are for people.
    has_tame_literals: bool,
    formats: [Box<dyn Format>; 7],
}

impl Callsite {
    fn new(seed: u64) -> Self {
        let mut chance = Chance(seed ^ 0x5eed);
        let types: Vec<_> = (0..chance.below(5)).map(|_| chance.kind(0)).collect();
        let has_tame_literals = chance.below(2) == 0;
        let piece = |chance: &mut Chance| match (chance.below(2), types.len()) {
            (0, 1..) => Piece::Argument(chance.below(types.len()), chance.spec(types.len())),
            _ if has_tame_literals => Piece::Literal("a literal: "),
            _ => Piece::Literal(chance.text().leak()),
        };
        let pieces: Vec<_> = (0..chance.below(5)).map(|_| piece(&mut chance)).collect();
        let field = |chance: &mut Chance| Field {
            name: chance.text().leak(),
            argument: chance.below(types.len()),
            style: chance.one_of(&[Style::Value, Style::Value, Style::Display, Style::Debug]),
        };
        let count = if types.is_empty() { 0 } else { chance.below(6) };
        let fields: Vec<_> = (0..count).map(|_| field(&mut chance)).collect();
        let metadata = Metadata {
            level: chance.one_of(&Level::ALL),
            target: chance.text().leak(),
            module_path: chance.text().leak(),
            file: chance.text().leak(),
            line: chance.word() as u32,
            instance: false,
            pieces: pieces.leak(),
            fields: fields.leak(),
        };
        let metadata = Box::leak(Box::new(metadata));
        Callsite {
            entry: Box::leak(Box::new(Entry { metadata, types: types.leak() })),
            has_tame_literals,
            formats: [
                Box::new(Json::new().threads(true).location(true).module(true)),
                Box::new(Json::new().flat(true)),
                Box::new(Logfmt::new()),
                Box::new(Text::new().threads(true).location(true)),
                Box::new(Text::new().indented(true)),
                Box::new(Text::new().indented(true).colors(Colors::Always)),
                Box::new(Pattern::new(PATTERN).unwrap().colors(Colors::Always)),
            ],
        }
    }

    /// Makes one record and looks at its lines.
    fn check(&mut self, seed: u64) {
        let mut chance = Chance(seed);
        let mut words = Vec::new();
        let values: Vec<_> = self.entry.types.iter().map(|kind| chance.value(kind, &mut words)).collect();
        let is_damaged = chance.below(4) == 0;
        if is_damaged {
            let length = chance.below(words.len() + 1);
            words.truncate(length);
            let damaged = words.iter_mut().filter(|_| chance.below(4) == 0).collect::<Vec<_>>();
            damaged.into_iter().for_each(|word| *word ^= 1 << (seed % 64));
        }
        let name = chance.text();
        let record = Record {
            entry: EntryOf::Process(self.entry),
            arguments: &words,
            time: Timestamp::from_nanos(chance.number()),
            stamp: 1,
            thread: &Thread::new(7, (chance.below(2) == 0).then_some(name.as_str())),
            truncated: is_damaged && chance.below(2) == 0,
            scope: None,
        };
        let lines: Vec<_> = self.formats.iter_mut().map(|format| line(&mut **format, &record)).collect();
        let mut packed = Vec::new();
        Binary::new().format(&record, &mut packed);
        let mut reader = Reader::new(packed.as_slice());
        let unpacked = reader.read().unwrap().unwrap();
        let lines_later = self.formats.iter_mut().map(|format| line(&mut **format, &unpacked));
        assert!(lines.iter().eq(&lines_later.collect::<Vec<_>>()), "{lines:?}");
        let [nested, flat, logfmt, for_people @ ..] = &lines[..] else { unreachable!() };

        let nested: Map<String, Value> = serde_json::from_str(nested).expect(nested);
        let flat: Map<String, Value> = serde_json::from_str(flat).expect(flat);
        let none = Map::new();
        let fields = nested.get("fields").map_or(&none, |fields| fields.as_object().unwrap());
        assert_eq!(fields.len(), record.fields().len(), "no key is there twice");
        let message = (!self.entry.metadata.pieces.is_empty()).then(|| json!(record.message().to_string()));
        let own = 3 + usize::from(message.is_some()) + usize::from(record.truncated);
        assert_eq!(flat.len(), own + fields.len(), "no key is there twice");
        for line in [&nested, &flat] {
            assert_eq!(line["timestamp"], record.time().to_string());
            assert_eq!(line["level"], record.level().as_str());
            assert_eq!(line["target"], record.target());
            assert_eq!(line.get("message"), message.as_ref());
        }
        assert_eq!(nested.get("thread").and_then(Value::as_str), record.thread().name());

        let pairs = pairs(logfmt);
        assert_eq!(pairs.len(), own + fields.len(), "{logfmt}");
        for (position, field) in record.fields().enumerate() {
            let text = field.to_string();
            let (json, flat) = (
                fields.values().nth(position).unwrap(),
                flat.values().nth(own - usize::from(record.truncated) + position),
            );
            assert_eq!(Some(json), flat, "nested and flat differ in their keys only");
            assert_eq!(pairs[own - usize::from(record.truncated) + position].1, text, "{logfmt}");
            if field.style() != Style::Value {
                assert_eq!(*json, text);
            } else if !is_damaged {
                assert_eq!(*json, values[self.entry.metadata.fields[position].argument]);
            }
        }

        if self.has_tame_literals {
            for line in for_people {
                let (head, below) = line.split_once('\n').unwrap();
                assert!(is_tame(&uncolored(head)), "{line:?}");
                for line in below.lines() {
                    assert!(line.starts_with("    ") && is_tame(&uncolored(line)), "{line:?}");
                }
            }
            assert!(for_people[0].lines().count() == 1 && for_people[3].lines().count() == 1);
        }
    }
}

/// What the format makes of it: UTF-8, ended by a newline.
fn line(format: &mut dyn Format, record: &Record<'_>) -> String {
    let mut out = Vec::new();
    format.format(record, &mut out);
    let line = String::from_utf8(out).unwrap();
    assert!(line.ends_with('\n'), "{line:?}");
    line
}

/// The keys and values of a line of logfmt.
fn pairs(line: &str) -> Vec<(&str, String)> {
    let mut pairs: Vec<(&str, String)> = Vec::new();
    let mut rest = line.strip_suffix('\n').unwrap();
    assert!(is_tame(rest), "{line:?}");
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=').expect(line);
        assert!(
            !key.is_empty() && !key.contains([' ', '"']) && pairs.iter().all(|(other, _)| *other != key),
            "{line}"
        );
        let value = if after.starts_with('"') {
            let mut values = serde_json::Deserializer::from_str(after).into_iter::<String>();
            let value = values.next().unwrap().expect(line);
            rest = &after[values.byte_offset()..];
            value
        } else {
            let end = after.find(' ').unwrap_or(after.len());
            rest = &after[end..];
            after[..end].to_owned()
        };
        pairs.push((key, value));
        rest = rest.strip_prefix(' ').unwrap_or(rest);
    }
    pairs
}

/// Without the colours that are ours.
fn uncolored(line: &str) -> String {
    ["\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[34m", "\x1b[35m", "\x1b[0m"]
        .iter()
        .fold(line.to_owned(), |line, code| line.replace(code, ""))
}

/// Whether nothing in it does anything but stand there.
fn is_tame(line: &str) -> bool {
    !line.chars().any(|c| {
        c.is_control()
            || matches!(c, '\u{ad}' | '\u{feff}' | '\u{2028}' | '\u{2029}' | '\u{200b}'..='\u{200f}')
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}' | '\u{e0000}'..='\u{e007f}')
    })
}
