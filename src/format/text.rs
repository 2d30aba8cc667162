//! Lines for people.
//!
//! ```text
//! 2026-11-22T13:37:55.123456789Z INFO  my_server::db: order 7 filled venue=XNAS note="two words"
//! └──────────── UTC ───────────┘ └ 5 ┘ └─ target ──┘  └─ message ──┘ └──────── fields ─────────┘
//! ```
//! With [`Text::threads`] the thread stands in brackets before the target, with [`Text::location`] the place of the
//! call after it; a record whose arguments were cut ends in ` [truncated]`. `escape` says what is done to text from
//! outside; colours are put around what is escaped already. A message is free text, so only the head of a line can be
//! told apart by a program; who reads fields by program wants JSON.

use super::escape::Escaped;
use super::time::Time;
use super::timestamp::Clockface;
use super::{Format, line};
use crate::level::Level;
use crate::record::{FieldValue, Record};

/// What is there to be found when it is looked for.
const DIM: &[u8] = b"\x1b[2m";
const RESET: &[u8] = b"\x1b[0m";

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
    location: bool,
    colors: Colors,
    is_colored: bool,
    /// For values that must be seen as a whole before they are written.
    scratch: String,
}

/// Whether [`Text`] is coloured.
///
/// ```
/// use treering::{format::{Colors, Text}, handler::Console};
/// let handler = Console::stderr().format(Text::new().colors(Colors::Never));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub enum Colors {
    /// Where the handler wants it: a [`Console`](crate::handler::Console) at a terminal does, a file does not.
    #[default]
    Auto,
    /// Wherever the lines go, files too.
    Always,
    /// Nowhere.
    Never,
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
            colors: Colors::Auto,
            is_colored: false,
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

    /// Whether lines are coloured. Default: [`Colors::Auto`].
    ///
    /// ```
    /// use treering::format::{Colors, Text};
    /// let format = Text::new().colors(Colors::Never);
    /// ```
    #[must_use]
    pub fn colors(mut self, colors: Colors) -> Self {
        self.colors = colors;
        self.is_colored = colors == Colors::Always;
        self
    }

    fn field(&mut self, field: &FieldValue<'_>, out: &mut Vec<u8>) {
        painted(self.is_colored, DIM, out, |out| {
            Escaped(out).push(field.name());
            out.push(b'=');
        });
        line::value(field, &mut self.scratch, out);
    }
}

impl Default for Text {
    fn default() -> Self {
        Text::new()
    }
}

impl Format for Text {
    fn format(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
        let is_colored = self.is_colored;
        painted(is_colored, DIM, out, |out| self.clockface.push(record.time(), out));
        level(record.level(), is_colored, out);
        if self.threads {
            out.push(b'[');
            line::thread(record.thread(), out);
            out.extend_from_slice(b"] ");
        }
        painted(is_colored, DIM, out, |out| {
            Escaped(out).push(record.target());
            out.push(b':');
        });
        if self.location {
            painted(is_colored, DIM, out, |out| location(record, out));
        }
        if !record.entry.metadata.pieces.is_empty() {
            out.push(b' ');
            line::message(record, out);
        }
        for field in record.fields() {
            out.push(b' ');
            self.field(&field, out);
        }
        if record.is_truncated() {
            out.extend_from_slice(line::TRUNCATED);
        }
        out.push(b'\n');
    }

    fn key(&self) -> Option<String> {
        Some(format!("{self:?}"))
    }

    fn colors_wanted(&mut self, yes: bool) {
        if self.colors == Colors::Auto {
            self.is_colored = yes;
        }
    }
}

/// Appends what `put` does, in a colour if that is wanted.
#[inline]
fn painted(is_colored: bool, color: &[u8], out: &mut Vec<u8>, put: impl FnOnce(&mut Vec<u8>)) {
    if !is_colored {
        return put(out);
    }
    out.extend_from_slice(color);
    put(out);
    out.extend_from_slice(RESET);
}

#[inline]
fn level(level: Level, is_colored: bool, out: &mut Vec<u8>) {
    let [space, name @ .., _] = padded(level);
    if !is_colored {
        return out.extend_from_slice(padded(level));
    }
    out.push(*space);
    painted(true, color_of(level), out, |out| out.extend_from_slice(name));
    out.push(*space);
}

/// Red, yellow, green, blue and magenta, of the eight that all terminals have.
fn color_of(level: Level) -> &'static [u8] {
    match level {
        Level::Error => b"\x1b[31m",
        Level::Warn => b"\x1b[33m",
        Level::Info => b"\x1b[32m",
        Level::Debug => b"\x1b[34m",
        Level::Trace => b"\x1b[35m",
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
