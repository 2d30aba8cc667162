//! Lines as a text says that the program, or its configuration, gives.
//!
//! The text is taken apart once, into [`Part`]s; a record goes through them in order. `parse` knows the grammar and
//! tells what is wrong; here is what the parts write. What they write is escaped as in [`Text`](super::Text), and only
//! then laid out: padding and cutting count what is seen.

mod parse;

use super::color::{self, Colors, Paint};
use super::escape::Escaped;
use super::time::Time;
use super::timestamp::Clockface;
use super::{Format, line};
use crate::callsite::Align;
use crate::error::Error;
use crate::level::Level;
use crate::record::Record;

/// Lines by a pattern of your own: `{time:%H:%M:%S%.3f} {level:>5} {target}: {message} {fields}`.
///
/// What stands in braces is an attribute, all else is copied; `{{` and `}}` are braces. A newline is added.
///
/// | attribute | shows |
/// |---|---|
/// | `time` | RFC 3339, as [`Pattern::time`] says |
/// | `time:%Y-%m-%d %H:%M:%S%.3f` | what the directives say, see below |
/// | `level`, `level.lower`, `level.short` | `INFO`, `info`, `I` |
/// | `target`, `module` | what `target:` said, or else the module; always the module |
/// | `file`, `file.name`, `line` | the place of the call: the file with its path, without, the line |
/// | `message` | the message |
/// | `fields` | all fields: `venue=XNAS qty=100` |
/// | `field.venue` | the value of the first field of this name, or nothing |
/// | `spans` | the spans it was logged in: `request{path=/}:query:` |
/// | `thread`, `thread.name`, `thread.id` | its name or else its number; its name or nothing; its number |
/// | `process.id`, `process.name` | the process's number; the file name of its program |
/// | `color` … `reset` | what stands between in the level's colour, where colours are wanted |
/// | `dim` … `reset` | what stands between dimmed, likewise |
/// | `newline` | a line end, for patterns that come from where none can be written |
///
/// Behind a colon stands how it is laid out, as in `format!`: fill and alignment, a width, and after a point the most
/// characters there may be: `{level:>5}`, `{target:-<20.20}`, `{message:.80}`. Where an attribute shows nothing, a
/// space before it is left out too.
///
/// The directives are `%Y %y %m %B %b %d %e %A %a %F` for the date, `%H %I %p %M %S %T` for the time,
/// `%3f %6f %9f %.3f %.6f %.9f` for the fraction, `%z %:z` for the zone, `%s` for seconds since 1970, and `%%`.
///
/// ```
/// use treering::{format::Pattern, handler};
/// let pattern = Pattern::new("{time:%Y-%m-%d %H:%M:%S%.3f} {level:>5} [{thread}] {target}: {message} {fields}")?;
/// let handler = handler::Console::stdout().format(pattern);
/// # Ok::<(), treering::Error>(())
/// ```
#[derive(Debug)]
pub struct Pattern {
    parts: Vec<Part>,
    paint: Paint,
    /// For values that must be seen as a whole before they are written.
    scratch: String,
}

impl Pattern {
    /// Takes the text apart.
    ///
    /// # Errors
    /// What is no pattern ([`is_config`](Error::is_config)); the error's text points at the place.
    ///
    /// ```
    /// let error = treering::format::Pattern::new("{time} {massage}").unwrap_err();
    /// assert!(error.to_string().contains("  {time} {massage}\n          ^^^^^^^"), "{error}");
    /// ```
    pub fn new(text: &str) -> Result<Self, Error> {
        Ok(Pattern { parts: parse::parts(text)?, paint: Paint::default(), scratch: String::new() })
    }

    /// How times are shown: `{time}` as a whole, directives by the clocks of its zone. Default: [`Time::utc`].
    ///
    /// ```
    /// use treering::format::{Pattern, Time};
    /// let pattern = Pattern::new("{time} {message}")?.time(Time::utc().millis());
    /// # Ok::<(), treering::Error>(())
    /// ```
    #[must_use]
    pub fn time(mut self, time: Time) -> Self {
        for part in &mut self.parts {
            match part {
                Part::Attribute(Attribute::Timestamp(face), _) => *face = Clockface::new(&time),
                Part::Attribute(Attribute::Time(face), _) => face.set_zone(time.zone.clone()),
                _ => {}
            }
        }
        self
    }

    /// Whether `{color}` and `{dim}` do anything. Default: [`Colors::Auto`].
    ///
    /// ```
    /// use treering::format::{Colors, Pattern};
    /// let pattern = Pattern::new("{color}{level}{reset} {message}")?.colors(Colors::Always);
    /// # Ok::<(), treering::Error>(())
    /// ```
    #[must_use]
    pub fn colors(mut self, colors: Colors) -> Self {
        self.paint = Paint::new(colors);
        self
    }
}

impl Format for Pattern {
    fn key(&self) -> Option<String> {
        let Pattern { parts, paint, scratch: _ } = self;
        Some(format!("Pattern{:?}", (parts, paint)))
    }

    fn format(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
        for part in &mut self.parts {
            match part {
                Part::Literal(text) => out.extend_from_slice(text.as_bytes()),
                Part::Paint(brush) if self.paint.is_on => out.extend_from_slice(brush.code(record.level())),
                Part::Paint(_) => {}
                Part::Attribute(attribute, layout) => {
                    let start = out.len();
                    attribute.push(record, &mut self.scratch, out);
                    layout.apply(start, out);
                }
            }
        }
        if record.is_truncated() {
            out.extend_from_slice(line::TRUNCATED);
        }
        out.push(b'\n');
    }

    fn colors_wanted(&mut self, yes: bool) {
        self.paint.wanted(yes);
    }
}

/// A piece of a pattern.
#[derive(Debug)]
enum Part {
    Literal(String),
    Attribute(Attribute, Layout),
    Paint(Brush),
}

/// What changes how the text behind it looks, and takes no columns.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Brush {
    /// The level's colour.
    Color,
    Dim,
    Reset,
}

impl Brush {
    fn code(self, level: Level) -> &'static [u8] {
        match self {
            Brush::Color => color::of(level),
            Brush::Dim => color::DIM,
            Brush::Reset => color::RESET,
        }
    }
}

/// What of a record is shown.
#[derive(Debug)]
enum Attribute {
    /// As RFC 3339.
    Timestamp(Clockface),
    /// By directives.
    Time(Clockface),
    Level(fn(Level) -> &'static str),
    Target,
    Module,
    File,
    FileName,
    Line,
    Message,
    Fields,
    Spans,
    Field(String),
    Thread,
    ThreadName,
    ThreadId,
    ProcessId,
    /// What is the same for all records.
    Constant(String),
}

impl Attribute {
    fn push(&mut self, record: &Record<'_>, scratch: &mut String, out: &mut Vec<u8>) {
        match self {
            Attribute::Timestamp(face) | Attribute::Time(face) => face.push(record.time(), out),
            Attribute::Level(name_of) => out.extend_from_slice(name_of(record.level()).as_bytes()),
            Attribute::Target => Escaped(out).push(record.target()),
            Attribute::Module => Escaped(out).push(record.module_path()),
            Attribute::File => Escaped(out).push(record.file()),
            Attribute::FileName => Escaped(out).push(file_name(record.file())),
            Attribute::Line => line::number(record.line(), out),
            Attribute::Message => line::message(record, out),
            Attribute::Fields => fields(record, scratch, out),
            Attribute::Spans => line::spans(record.spans(), scratch, out),
            Attribute::Field(name) => {
                if let Some(field) = record.field(name) {
                    line::value(&field, scratch, out);
                }
            }
            Attribute::Thread => line::thread(record.thread(), out),
            Attribute::ThreadName => Escaped(out).push(record.thread().name().unwrap_or_default()),
            Attribute::ThreadId => line::number(record.thread().id(), out),
            // Asked each time: a pattern may be made before a `fork` and used after it.
            Attribute::ProcessId => line::number(record.thread().process_id(), out),
            Attribute::Constant(text) => Escaped(out).push(text),
        }
    }
}

/// What stands behind the last separator; the compiler may have run on another system.
fn file_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

fn fields(record: &Record<'_>, scratch: &mut String, out: &mut Vec<u8>) {
    for (position, field) in record.fields().enumerate() {
        if position > 0 {
            out.push(b' ');
        }
        Escaped(out).push(field.name());
        out.push(b'=');
        line::value(&field, scratch, out);
    }
}

/// Where an attribute stands within its columns.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Layout {
    fill: char,
    align: Align,
    width: usize,
    chars_max: Option<usize>,
    /// A space of the pattern's own stands before it.
    is_after_space: bool,
}

impl Layout {
    const PLAIN: Layout =
        Layout { fill: ' ', align: Align::Left, width: 0, chars_max: None, is_after_space: false };

    /// Lays out what was written since `start`.
    #[inline]
    fn apply(&self, start: usize, out: &mut Vec<u8>) {
        if let Some(chars) = self.chars_max {
            let end = out[start..].iter().enumerate().filter(|(_, byte)| begins_char(**byte)).nth(chars);
            out.truncate(end.map_or(out.len(), |(position, _)| start + position));
        }
        if self.width > 0 {
            self.pad(start, out);
        } else if out.len() == start && self.is_after_space {
            out.pop();
        }
    }

    fn pad(&self, start: usize, out: &mut Vec<u8>) {
        let chars = out[start..].iter().filter(|byte| begins_char(**byte)).count();
        let padding = self.width.saturating_sub(chars);
        let before = match self.align {
            Align::Left | Align::Unset => 0,
            Align::Center => padding / 2,
            Align::Right => padding,
        };
        let mut fill = [0; 4];
        let fill = self.fill.encode_utf8(&mut fill).as_bytes();
        (0..padding).for_each(|_| out.extend_from_slice(fill));
        out[start..].rotate_right(before * fill.len());
    }
}

/// Whether a byte of UTF-8 is a character's first.
fn begins_char(byte: u8) -> bool {
    byte & 0b1100_0000 != 0b1000_0000
}

#[cfg(test)]
mod tests;
