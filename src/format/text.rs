//! Lines for people.
//!
//! ```text
//! 2026-11-22T13:37:55.123456789Z INFO  my_server::db: order 7 filled venue=XNAS note="two words"
//! └──────────── UTC ───────────┘ └ 5 ┘ └─ target ──┘  └─ message ──┘ └──────── fields ─────────┘
//! ```
//! With [`Text::threads`] the thread stands in brackets before the target; a record whose arguments were cut ends
//! in ` [truncated]`. `escape` says what is done to text from outside. A message is free text, so only the head of
//! a line can be told apart by a program; who reads fields by program wants JSON.

use std::fmt::{self, Write as _};

use super::Format;
use super::escape::{Escaped, Quoted, Spelling, is_literal};
use super::time::Time;
use super::timestamp::Clockface;
use crate::level::Level;
use crate::record::{FieldValue, MessageWriter, Record, Style, Thread};

/// The default format: a line for people, with time, level, target, message and fields.
///
/// ```text
/// 2026-11-22T13:37:55.123456789Z INFO  my_server::db: order 7 filled venue=XNAS note="two words"
/// ```
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
        Text { clockface: Clockface::new(&Time::utc()), threads: false, scratch: String::new() }
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

    fn field(&mut self, field: &FieldValue<'_>, out: &mut Vec<u8>) {
        Escaped(out).push(field.name());
        out.push(b'=');
        if field.style() == Style::Debug {
            self.scratch.clear();
            let _ = field.write(&mut self.scratch);
            // `?path` is `"/tmp/x"` already; a second pair of quotes would help nobody.
            if is_literal(&self.scratch) {
                return Escaped(out).push(&self.scratch);
            }
            let mut quoted = Quoted::new(out, Spelling::People);
            let _ = quoted.write_str(&self.scratch);
            return quoted.finish();
        }
        let mut quoted = Quoted::new(out, Spelling::People);
        let _ = field.write(&mut quoted);
        quoted.finish();
    }
}

impl Default for Text {
    fn default() -> Self {
        Text::new()
    }
}

impl Format for Text {
    fn format(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
        self.clockface.push(record.time(), out);
        out.extend_from_slice(padded(record.level()));
        if self.threads {
            thread(record.thread(), out);
        }
        Escaped(out).push(record.target());
        out.push(b':');
        if !record.entry.metadata.pieces.is_empty() {
            out.push(b' ');
            // Nothing that is written to here fails.
            let _ = record.write_message(&mut Message(out));
        }
        for field in record.fields() {
            out.push(b' ');
            self.field(&field, out);
        }
        if record.is_truncated() {
            out.extend_from_slice(b" [truncated]");
        }
        out.push(b'\n');
    }
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

#[inline(never)]
fn thread(thread: &Thread, out: &mut Vec<u8>) {
    out.push(b'[');
    match thread.name() {
        Some(name) => Escaped(out).push(name),
        None => out.extend_from_slice(itoa::Buffer::new().format(thread.id()).as_bytes()),
    }
    out.extend_from_slice(b"] ");
}

/// The program's literals as they are, arguments escaped.
struct Message<'a>(&'a mut Vec<u8>);

impl MessageWriter for Message<'_> {
    #[inline]
    fn literal(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }

    #[inline]
    fn argument(&mut self, text: &str) -> fmt::Result {
        Escaped(self.0).push(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
