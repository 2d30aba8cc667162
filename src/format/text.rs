//! Lines for people.
//!
//! ```text
//! 2026-11-22T13:37:55.123456789Z INFO  my_server::db: order 7 filled venue=XNAS note="two words"
//! └──────────── UTC ───────────┘ └ 5 ┘ └─ target ──┘  └─ message ──┘ └──────── fields ─────────┘
//! ```
//! A record that was logged in spans has these before the target, as a path: `request{path=/}:query:`.
//! With [`Text::threads`] the thread stands in brackets before the target, with [`Text::location`] the place of the
//! call after it; a record whose arguments were cut ends in ` [truncated]`. `escape` says what is done to text from
//! outside; colours are put around what is escaped already. A message is free text, so only the head of a line can be
//! told apart by a program; who reads fields by program wants JSON.

use super::color::{self, Colors, DIM, Paint};
use super::escape::Escaped;
use super::time::Time;
use super::timestamp::Clockface;
use super::{Format, line};
use crate::level::Level;
use crate::record::{FieldValue, Record, Value};

/// Begins a line that is not a record's first.
const INDENTATION: &[u8] = b"    ";

/// The default format: a line for people, with time, level, target, message and fields.
///
/// ```text
/// 2026-11-22T13:37:55.123456789Z INFO  my_server::db: order 7 filled venue=XNAS note="two words"
/// ```
/// A record that was logged in spans has these before the target, `request{path=/}:query: my_server::db:`, and `?:` before
/// them if some are not known.
///
/// Control characters, line ends and marks that reverse or hide text are written out (`\n`, `\u{1b}`) wherever
/// they came in through arguments, field names, targets or thread names; the program's own literals pass as they
/// are. Values that are not one word are quoted, with `"` and `\` in them escaped.
///
/// ```
/// use treering::{format, handler};
/// let handler = handler::Console::stdout().format(format::Text::new().threads(true));
/// ```
#[derive(Debug)]
pub struct Text {
    clockface: Clockface,
    threads: bool,
    location: bool,
    indented: bool,
    paint: Paint,
    /// For values that must be seen as a whole before they are written.
    scratch: String,
}

impl Text {
    /// UTC with nanoseconds, level, target, message, fields.
    ///
    /// ```
    /// let format = treering::format::Text::new();
    /// ```
    pub fn new() -> Self {
        Text {
            clockface: Clockface::new(&Time::utc()),
            threads: false,
            location: false,
            indented: false,
            paint: Paint::default(),
            scratch: String::new(),
        }
    }

    /// How the time is shown. Default: [`Time::utc`], with nanoseconds.
    ///
    /// ```
    /// use treering::format::{Text, Time};
    /// let format = Text::new().time(Time::utc().micros());
    /// ```
    #[must_use]
    pub fn time(mut self, time: Time) -> Self {
        self.clockface = Clockface::new(&time);
        self
    }

    /// Whether the thread's name, or its number if it has none, stands before the target. Default: no.
    ///
    /// ```
    /// let format = treering::format::Text::new().threads(true);
    /// ```
    #[must_use]
    pub fn threads(mut self, yes: bool) -> Self {
        self.threads = yes;
        self
    }

    /// Whether the place of the call in the source, `src/db.rs:7`, stands after the target. Default: no.
    ///
    /// ```
    /// let format = treering::format::Text::new().location(true);
    /// ```
    #[must_use]
    pub fn location(mut self, yes: bool) -> Self {
        self.location = yes;
        self
    }

    /// Whether the sources of errors, and the frames of backtraces, stand below the line, each on one of its own.
    /// Those lines begin with four spaces, which no record's first line does. Default: no, a record is one line.
    ///
    /// ```text
    /// 2026-11-22T13:37:55.123456789Z ERROR my_server: cannot store error="the volume is full"
    ///     error: No space left on device
    /// ```
    /// Of a field with `%` or `?` the text stays in the line.
    ///
    /// ```
    /// let format = treering::format::Text::new().indented(true);
    /// ```
    #[must_use]
    pub fn indented(mut self, yes: bool) -> Self {
        self.indented = yes;
        self
    }

    /// Whether lines are coloured. Default: [`Colors::Auto`].
    ///
    /// ```
    /// use treering::format::{Colors, Text};
    /// let format = Text::new().colors(Colors::Never);
    /// ```
    #[must_use]
    pub fn colors(mut self, colors: Colors) -> Self {
        self.paint = Paint::new(colors);
        self
    }

    fn field(&mut self, field: &FieldValue<'_>, out: &mut Vec<u8>) {
        let first = match below(field).filter(|_| self.indented) {
            None => None,
            Some((None, _)) => return,
            Some((first, _)) => first,
        };
        out.push(b' ');
        self.paint.around(DIM, out, |out| {
            Escaped(out).push(field.name());
            out.push(b'=');
        });
        match first {
            None => line::value(field, &mut self.scratch, out),
            Some(message) => line::text(message, out),
        }
    }

    /// The spans it was logged in.
    #[inline(never)]
    fn spans(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
        let scratch = &mut self.scratch;
        self.paint.around(DIM, out, |out| line::spans(record.spans(), scratch, out));
        out.push(b' ');
    }

    /// A line for each source and each frame.
    #[cold]
    fn push_below(&self, record: &Record<'_>, out: &mut Vec<u8>) {
        for field in record.fields() {
            for text in below(&field).into_iter().flat_map(|(_, texts)| texts) {
                out.extend_from_slice(INDENTATION);
                self.paint.around(DIM, out, |out| {
                    Escaped(out).push(field.name());
                    out.push(b':');
                });
                out.push(b' ');
                Escaped(out).push(text);
                out.push(b'\n');
            }
        }
    }
}

impl Default for Text {
    fn default() -> Self {
        Text::new()
    }
}

impl Format for Text {
    fn format(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
        let paint = self.paint;
        paint.around(DIM, out, |out| self.clockface.push(record.time(), out));
        level(record.level(), paint, out);
        if self.threads {
            out.push(b'[');
            line::thread(record.thread(), out);
            out.extend_from_slice(b"] ");
        }
        if record.scope.is_some() {
            self.spans(record, out);
        }
        paint.around(DIM, out, |out| {
            Escaped(out).push(record.target());
            out.push(b':');
        });
        if self.location {
            paint.around(DIM, out, |out| location(record, out));
        }
        if !record.entry.metadata.pieces.is_empty() {
            out.push(b' ');
            line::message(record, out);
        }
        for field in record.fields() {
            self.field(&field, out);
        }
        if record.is_truncated() {
            out.extend_from_slice(line::TRUNCATED);
        }
        out.push(b'\n');
        if self.indented {
            self.push_below(record, out);
        }
    }

    fn key(&self) -> Option<String> {
        let Text { clockface, threads, location, indented, paint, scratch: _ } = self;
        Some(format!("Text{:?}", (clockface, threads, location, indented, paint)))
    }

    fn colors_wanted(&mut self, yes: bool) {
        self.paint.wanted(yes);
    }
}

/// Of a field whose value is several texts: what stays in the line, if anything, and what stands below it.
fn below<'a>(field: &FieldValue<'a>) -> Option<(Option<&'a str>, impl Iterator<Item = &'a str> + use<'a>)> {
    match field.value() {
        Value::Error(chain) => {
            let mut messages = chain.iter();
            Some((Some(messages.next().unwrap_or_default()), messages))
        }
        Value::Backtrace(frames) => Some((None, frames.iter())),
        _ => None,
    }
}

#[inline]
fn level(level: Level, paint: Paint, out: &mut Vec<u8>) {
    let [space, name @ .., _] = padded(level);
    if !paint.is_on {
        return out.extend_from_slice(padded(level));
    }
    out.push(*space);
    paint.around(color::of(level), out, |out| out.extend_from_slice(name));
    out.push(*space);
}

/// The level in five columns, between spaces.
fn padded(level: Level) -> &'static [u8; 7] {
    match level {
        Level::Error => b" ERROR ",
        Level::Warn => b" WARN  ",
        Level::Info => b" INFO  ",
        Level::Debug => b" DEBUG ",
        Level::Trace => b" TRACE ",
    }
}

/// ` src/db.rs:7:`
fn location(record: &Record<'_>, out: &mut Vec<u8>) {
    out.push(b' ');
    Escaped(out).push(record.file());
    out.push(b':');
    line::number(record.line(), out);
    out.push(b':');
}

#[cfg(test)]
mod tests;
