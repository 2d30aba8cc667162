//! Lines for programs: a JSON object each.
//!
//! ```text
//! {"timestamp":"2026-11-22T13:37:55.123456789Z","level":"INFO","target":"my_server::db","message":"order 7 filled","fields":{"venue":"XNAS","qty":100}}
//! ```
//! Every line is valid JSON in valid UTF-8 with no key twice, whatever was logged. Keys stand in this order, fields in
//! the order of the call. A value is what its type is:
//!
//! | logged                              | becomes                                                        |
//! |-------------------------------------|----------------------------------------------------------------|
//! | `bool`, strings, `char`             | `true`, `"text"`                                               |
//! | integers of up to 64 bits           | a number; with `big_integers_as_strings` only up to ±(2⁵³-1)   |
//! | `u128`, `i128`                      | a number where 64 bits are enough, else a string               |
//! | floats                              | the shortest number that is read back as the same              |
//! | NaN and the infinities              | `"NaN"`, `"inf"`, `"-inf"`                                     |
//! | `None`, `()`                        | `null`; `Some(x)` is `x`                                       |
//! | lists, tuples                       | an array                                                       |
//! | structs that derive `Encode`        | an object; of a tuple struct an array, or the one value itself |
//! | enums that derive `Encode`          | `"Variant"`, or with fields `{"Variant":…}`                    |
//! | secrets                             | `"[redacted]"`                                                 |
//! | durations, addresses                | a string, as text shows them                                   |
//! | errors                              | an array of strings: the error's message and its sources'      |
//! | backtraces                          | an array of strings, the frames                                |
//! | after `%` or `?`                    | a string, as `Display` or `Debug` prints it                    |
//! | spans                               | an object with `name` and the fields: `span` is the innermost, |
//! |                                     | `spans` all; with `"spans_missing":true` if some are not known |
//! | what a cut record lacks             | `null`; of a string its begin and `…(+12 bytes)`, of a list    |
//! |                                     | what is left; the record has `"truncated":true`                |

use std::fmt;

use super::Format;
use super::details::{Detail, Details, settings};
use super::escape::InQuotes;
use super::keys::Rule;
use super::time::Time;
use super::timestamp::Clockface;
use crate::level::Level;
use crate::record::float::{Float, print_debug};
use crate::record::{FieldValue, MessageWriter, Record, Span, Spans, Struct, Style, Value};

/// The largest integer of which a double, which is all that JavaScript has, knows also the neighbours: 2⁵³-1.
const SAFE_INTEGER_MAX: u128 = (1 << 53) - 1;

/// Names of an object of its own are fields' only.
const NESTED: Rule = Rule { is_ours: |_| false, is_fit: |_| true, fitted: str::to_owned };
const OF_A_SPAN: Rule = Rule { is_ours: |key| key == "name", ..NESTED };
const FLAT: Rule = Rule { is_ours: is_key, ..NESTED };

/// JSON: an object a line, with time, level, target, message and fields, in which values keep their types.
///
/// ```text
/// {"timestamp":"2026-11-22T13:37:55.123456789Z","level":"INFO","target":"my_server::db","message":"order 7 filled","fields":{"venue":"XNAS","qty":100}}
/// ```
/// Always valid, whatever was logged, and no key is there twice. [docs/formats.md] says how values of each type look.
///
/// ```
/// use treering::{format, handler};
/// let handler = handler::Console::stdout().format(format::Json::new().flat(true).threads(true));
/// ```
///
/// [docs/formats.md]: https://github.com/treering/treering/blob/main/docs/formats.md
#[derive(Debug)]
pub struct Json {
    clockface: Clockface,
    details: Details,
    flat: bool,
    big_integers_as_strings: bool,
}

impl Json {
    /// UTC with nanoseconds, level, target, message, and the fields in an object of their own.
    ///
    /// ```
    /// let format = treering::format::Json::new();
    /// ```
    pub fn new() -> Self {
        Json {
            clockface: Clockface::new(&Time::utc()),
            details: Details::default(),
            flat: false,
            big_integers_as_strings: false,
        }
    }

    settings!("Json");

    /// Whether fields stand beside `message` rather than in an object `fields`. One whose name is a key of this format
    /// gets `_2` behind it, as does the second of two with one name: `level_2`. Default: no.
    ///
    /// ```
    /// let format = treering::format::Json::new().flat(true);
    /// ```
    #[must_use]
    pub fn flat(mut self, yes: bool) -> Self {
        self.flat = yes;
        self
    }

    /// Whether integers beyond ±(2⁵³-1) are strings, for readers who know no numbers but doubles, as JavaScript and
    /// `jq`. Default: no, they are numbers, up to 64 bits.
    ///
    /// ```
    /// let format = treering::format::Json::new().big_integers_as_strings(true);
    /// ```
    #[must_use]
    pub fn big_integers_as_strings(mut self, yes: bool) -> Self {
        self.big_integers_as_strings = yes;
        self
    }

    /// Appends the value of a field as this format shows it, without its name: for formats of your own that are JSON.
    ///
    /// ```
    /// use treering::format::{Format, Json};
    /// use treering::record::Record;
    ///
    /// /// An array of what the fields say.
    /// struct Values(Json);
    ///
    /// impl Format for Values {
    ///     fn format(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
    ///         for (position, field) in record.fields().enumerate() {
    ///             out.push(if position == 0 { b'[' } else { b',' });
    ///             self.0.write_value(&field, out);
    ///         }
    ///         out.extend_from_slice(b"]\n");
    ///     }
    /// }
    /// let handler = treering::handler::Console::stdout().format(Values(Json::new()));
    /// ```
    pub fn write_value(&self, field: &FieldValue<'_>, out: &mut Vec<u8>) {
        match field.style() {
            Style::Value => self.value(&field.value(), out),
            Style::Display | Style::Debug => quoted(out, |text| field.write(text)),
        }
    }

    fn fields(&self, record: &Record<'_>, out: &mut Vec<u8>) {
        if record.fields().len() == 0 {
            return;
        }
        let rule = if self.flat { FLAT } else { NESTED };
        let keys = rule.keys_of(record);
        out.extend_from_slice(if self.flat { b",".as_slice() } else { b",\"fields\":{" });
        for (position, field) in record.fields().enumerate() {
            if position > 0 {
                out.push(b',');
            }
            string(keys.as_ref().map_or(field.name(), |keys| &keys[position]), out);
            out.push(b':');
            self.write_value(&field, out);
        }
        if !self.flat {
            out.push(b'}');
        }
    }

    /// The innermost span by itself, then all of them, the outermost first.
    #[inline(never)]
    fn spans(&self, spans: Spans<'_>, out: &mut Vec<u8>) {
        if let Some(innermost) = spans.clone().next_back() {
            out.extend_from_slice(b",\"span\":");
            self.span(&innermost, out);
        }
        out.extend_from_slice(b",\"spans\":");
        array(spans.clone(), out, |span, out| self.span(&span, out));
        if !spans.is_whole() {
            out.extend_from_slice(b",\"spans_missing\":true");
        }
    }

    fn span(&self, span: &Span<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"name\":");
        string(span.name(), out);
        let names: Vec<_> = span.fields().map(|field| field.name()).collect();
        let keys = OF_A_SPAN.keys_if_new(names.iter().copied());
        for (position, field) in span.fields().enumerate() {
            out.push(b',');
            string(keys.as_ref().map_or(field.name(), |keys| &keys[position]), out);
            out.push(b':');
            self.field(&field, out);
        }
        out.push(b'}');
    }

    fn field(&self, field: &FieldValue<'_>, out: &mut Vec<u8>) {
        match field.style() {
            Style::Value => self.value(&field.value(), out),
            Style::Display | Style::Debug => quoted(out, |text| field.write(text)),
        }
    }

    fn value(&self, value: &Value<'_>, out: &mut Vec<u8>) {
        match *value {
            Value::U8(value) => number(value, out),
            Value::U16(value) => number(value, out),
            Value::U32(value) => number(value, out),
            Value::I8(value) => number(value, out),
            Value::I16(value) => number(value, out),
            Value::I32(value) => number(value, out),
            Value::U64(value) => self.big(value, value.into(), u64::MAX.into(), out),
            Value::U128(value) => self.big(value, value, u64::MAX.into(), out),
            Value::I64(value) => self.big(value, value.unsigned_abs().into(), u128::MAX, out),
            Value::I128(value) => self.big(value, value.unsigned_abs(), signed_max(value), out),
            Value::F32(value) => float(value.into(), value, out),
            Value::F64(value) => float(value, value, out),
            Value::Bool(value) => out.extend_from_slice(if value { b"true".as_slice() } else { b"false" }),
            Value::Unit | Value::Missing => out.extend_from_slice(b"null"),
            Value::Str(text) if text.missing() == 0 => string(text.as_str(), out),
            Value::Option(option) => match option.value() {
                None => out.extend_from_slice(b"null"),
                Some(value) => self.value(&value, out),
            },
            Value::List(list) => array(list.iter(), out, |value, out| self.value(&value, out)),
            Value::Tuple(parts) => array(parts.iter(), out, |value, out| self.value(&value, out)),
            Value::Error(chain) | Value::Backtrace(chain) => array(chain.iter(), out, string),
            Value::Struct(value) => self.members(&value, out),
            Value::Variant(variant) if variant.is_empty() => string(variant.name(), out),
            Value::Variant(variant) => {
                out.push(b'{');
                string(variant.name(), out);
                out.push(b':');
                self.members(&variant, out);
                out.push(b'}');
            }
            _ => quoted(out, |text| value.write(text)),
        }
    }

    /// An object, or without names an array; of one alone the value itself, and `null` of none.
    fn members(&self, value: &Struct<'_>, out: &mut Vec<u8>) {
        if value.is_named() && (!value.is_empty() || !value.is_whole()) {
            out.push(b'{');
            for (position, (name, value)) in value.fields().enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                string(name.unwrap_or_default(), out);
                out.push(b':');
                self.value(&value, out);
            }
            return out.push(b'}');
        }
        let mut values = value.fields().map(|(_, value)| value);
        match value.len() {
            0 => out.extend_from_slice(b"null"),
            1 => values.by_ref().for_each(|value| self.value(&value, out)),
            _ => array(values, out, |value, out| self.value(&value, out)),
        }
    }

    /// An integer of this magnitude, as a string if that is beyond `max`, the type's or the reader's.
    fn big(&self, value: impl itoa::Integer, magnitude: u128, max: u128, out: &mut Vec<u8>) {
        if magnitude <= max && (magnitude <= SAFE_INTEGER_MAX || !self.big_integers_as_strings) {
            return number(value, out);
        }
        out.push(b'"');
        number(value, out);
        out.push(b'"');
    }
}

impl Default for Json {
    fn default() -> Self {
        Json::new()
    }
}

impl Format for Json {
    fn key(&self) -> Option<String> {
        Some(format!("{self:?}"))
    }

    fn format(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"timestamp\":\"");
        self.clockface.push(record.time(), out);
        out.extend_from_slice(level(record.level()));
        InQuotes(out).push(record.target());
        if !record.entry.metadata.pieces.is_empty() {
            out.extend_from_slice(b"\",\"message\":\"");
            // Nothing that is written to here fails.
            let _ = record.write_message(&mut Message(InQuotes(out)));
        }
        out.push(b'"');
        self.details.each(record, |key, detail| {
            out.push(b',');
            string(key, out);
            out.push(b':');
            match detail {
                Detail::Text(text) => string(text, out),
                Detail::Number(value) => number(value, out),
            }
        });
        self.fields(record, out);
        if record.scope.is_some() {
            self.spans(record.spans(), out);
        }
        out.extend_from_slice(if record.is_truncated() {
            b",\"truncated\":true}\n".as_slice()
        } else {
            b"}\n"
        });
    }
}

/// What stands between the time and the target, in one piece: of a short line each piece is a part of its price.
fn level(level: Level) -> &'static [u8] {
    match level {
        Level::Error => br#"","level":"ERROR","target":""#,
        Level::Warn => br#"","level":"WARN","target":""#,
        Level::Info => br#"","level":"INFO","target":""#,
        Level::Debug => br#"","level":"DEBUG","target":""#,
        Level::Trace => br#"","level":"TRACE","target":""#,
    }
}

/// Whether a key is this format's own.
fn is_key(key: &str) -> bool {
    let is_key = matches!(key, "timestamp" | "level" | "target" | "message" | "fields" | "truncated");
    is_key || matches!(key, "span" | "spans" | "spans_missing") || Details::have(key)
}

/// The largest magnitude that 64 bits hold, of an integer with this sign.
fn signed_max(value: i128) -> u128 {
    if value < 0 { i64::MIN.unsigned_abs().into() } else { u64::MAX.into() }
}

#[inline]
fn string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    InQuotes(out).push(text);
    out.push(b'"');
}

/// A string of what `write` prints.
fn quoted(out: &mut Vec<u8>, write: impl FnOnce(&mut InQuotes<'_>) -> fmt::Result) {
    out.push(b'"');
    let _ = write(&mut InQuotes(out)); // which does not fail
    out.push(b'"');
}

#[inline]
fn number(value: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// By `Debug`, which is the shortest text that is read back as the same, for `f32` among those.
fn float(value: f64, shortest: impl Float, out: &mut Vec<u8>) {
    if value.is_finite() {
        let _ = print_debug(shortest, &mut InQuotes(out));
    } else {
        quoted(out, |text| print_debug(shortest, text));
    }
}

fn array<T>(items: impl Iterator<Item = T>, out: &mut Vec<u8>, mut put: impl FnMut(T, &mut Vec<u8>)) {
    out.push(b'[');
    for (position, item) in items.enumerate() {
        if position > 0 {
            out.push(b',');
        }
        put(item, out);
    }
    out.push(b']');
}

/// Literals and arguments alike: a string is a string.
struct Message<'a>(InQuotes<'a>);

impl MessageWriter for Message<'_> {
    #[inline]
    fn literal(&mut self, text: &str) -> fmt::Result {
        self.0.push(text);
        Ok(())
    }

    #[inline]
    fn argument(&mut self, text: &str) -> fmt::Result {
        self.0.push(text);
        Ok(())
    }

    #[inline]
    fn number(&mut self, digits: &str) -> fmt::Result {
        self.0.0.extend_from_slice(digits.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests;
