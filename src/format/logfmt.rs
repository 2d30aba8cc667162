//! Lines for people and programs: `key=value`, with spaces between.
//!
//! ```text
//! ts=2026-11-22T13:37:55.123456789Z level=info target=my_server::db msg="order 7 filled" venue=XNAS note="two words"
//! ```
//! There is no standard; what readers agree on is this. A value is a bare word, or stands in double quotes, with
//! escapes as in JSON. A key is a bare word; keys cannot be quoted, so whatever is none in a field's name becomes `_`.
//! Keys are as unlike as in flat JSON, by the same rule. A value is the text that [`Text`](super::Text) shows, so it
//! has no type; and where Text leaves the quotes of `?text` alone, here they are part of the value.

use std::fmt::{self, Write as _};

use super::Format;
use super::details::{Detail, Details, settings};
use super::escape::{Quoted, Spelling, is_word};
use super::keys::Rule;
use super::time::Time;
use super::timestamp::Clockface;
use crate::level::Level;
use crate::record::{MessageWriter, Record};

const KEYS: Rule = Rule { is_ours: is_key, is_fit: is_name, fitted };

/// logfmt: `key=value`, with time, level, target, message and fields.
///
/// ```text
/// ts=2026-11-22T13:37:55.123456789Z level=info target=my_server::db msg="order 7 filled" venue=XNAS note="two words"
/// ```
/// A value that is no word is quoted, with escapes as in JSON, so that a parser gets back what was logged and nothing
/// in it can end it early. In the names of fields, what no key may have becomes `_`. A name that is taken gets `_2`
/// behind it.
///
/// ```
/// use treering::{format, handler};
/// let handler = handler::Console::stdout().format(format::Logfmt::new().threads(true));
/// ```
#[derive(Debug)]
pub struct Logfmt {
    clockface: Clockface,
    details: Details,
}

impl Logfmt {
    /// UTC with nanoseconds, level, target, message, fields.
    ///
    /// ```
    /// let format = treering::format::Logfmt::new();
    /// ```
    pub fn new() -> Self {
        Logfmt { clockface: Clockface::new(&Time::utc()), details: Details::default() }
    }

    settings!("Logfmt");
}

impl Default for Logfmt {
    fn default() -> Self {
        Logfmt::new()
    }
}

impl Format for Logfmt {
    fn key(&self) -> Option<String> {
        Some(format!("{self:?}"))
    }

    fn format(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"ts=");
        self.clockface.push(record.time(), out);
        out.extend_from_slice(level(record.level()));
        text(record.target(), out);
        if !record.entry.metadata.pieces.is_empty() {
            out.extend_from_slice(b" msg=");
            value(out, |value| record.write_message(&mut Message(value)));
        }
        self.details.each(record, |name, detail| {
            key(name, out);
            match detail {
                Detail::Text(shown) => text(shown, out),
                Detail::Number(number) => {
                    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
                }
            }
        });
        if record.scope.is_some() {
            key("spans", out);
            value(out, |value| write!(value, "{}", record.spans()));
        }
        let keys = KEYS.keys_of(record);
        for (position, field) in record.fields().enumerate() {
            key(keys.as_ref().map_or(field.name(), |keys| &keys[position]), out);
            value(out, |value| field.write(value));
        }
        out.extend_from_slice(if record.is_truncated() { b" truncated=true\n".as_slice() } else { b"\n" });
    }
}

/// What stands between the time and the target, in one piece: of a short line each piece is a part of its price.
fn level(level: Level) -> &'static [u8] {
    match level {
        Level::Error => b" level=error target=",
        Level::Warn => b" level=warn target=",
        Level::Info => b" level=info target=",
        Level::Debug => b" level=debug target=",
        Level::Trace => b" level=trace target=",
    }
}

/// Whether a key is this format's own.
fn is_key(key: &str) -> bool {
    matches!(key, "ts" | "level" | "target" | "msg" | "spans" | "truncated") || Details::have(key)
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && is_word(name)
}

/// `order id` becomes `order_id`, and an empty name `_`.
fn fitted(name: &str) -> String {
    let fit = |c: char| if is_word(c.encode_utf8(&mut [0; 4])) { c } else { '_' };
    if name.is_empty() { "_".to_owned() } else { name.chars().map(fit).collect() }
}

#[inline]
fn key(name: &str, out: &mut Vec<u8>) {
    out.push(b' ');
    out.extend_from_slice(name.as_bytes());
    out.push(b'=');
}

fn text(text: &str, out: &mut Vec<u8>) {
    if is_name(text) {
        out.extend_from_slice(text.as_bytes());
    } else {
        value(out, |value| value.write_str(text));
    }
}

/// A value of what `write` prints.
#[inline]
fn value(out: &mut Vec<u8>, write: impl FnOnce(&mut Quoted<'_>) -> fmt::Result) {
    let mut value = Quoted::new(out, Spelling::Parsers);
    let _ = write(&mut value); // which does not fail
    value.finish();
}

/// Literals and arguments alike: a value is a value.
struct Message<'a, 'b>(&'a mut Quoted<'b>);

impl MessageWriter for Message<'_, '_> {
    #[inline]
    fn literal(&mut self, text: &str) -> fmt::Result {
        self.0.write_str(text)
    }

    #[inline]
    fn argument(&mut self, text: &str) -> fmt::Result {
        self.0.write_str(text)
    }
}

#[cfg(test)]
mod tests;
