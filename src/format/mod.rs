//! From a record to the bytes of a line: the [`Format`] trait, and the formats that come with treering.
//!
//! A format appends to a buffer that its handler owns and uses again, so it neither allocates for each record nor
//! knows where the bytes go. Escaping is part of it: what came from outside must not look like anything else.

mod binary;
mod color;
mod details;
mod directive;
pub(crate) mod escape;
mod json;
mod keys;
mod line;
mod logfmt;
mod pattern;
mod text;
mod time;
mod timestamp;

pub use binary::Binary;
pub use color::Colors;
pub use json::Json;
pub use logfmt::Logfmt;
pub use pattern::Pattern;
pub use text::Text;
pub use time::Time;
pub(crate) use time::Zone;

use crate::level::Level;
use crate::record::Record;

/// Makes bytes of records.
///
/// ```
/// use treering::format::Format;
/// use treering::record::Record;
///
/// /// The level's first letter and the message.
/// struct Brief;
///
/// impl Format for Brief {
///     fn format(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
///         let text = format!("{} {}", &record.level().as_str()[..1], record.message());
///         out.extend_from_slice(text.escape_debug().to_string().as_bytes());
///         out.push(b'\n');
///     }
/// }
///
/// let handler = treering::handler::Console::stderr().format(Brief);
/// ```
pub trait Format: Send {
    /// Appends one record to `out`, with the newline (or whatever ends a record) after it. The handlers of this
    /// crate give a buffer that is empty, and keep the lines of other records elsewhere; a record for which nothing
    /// is appended counts as delivered. A format that calls another one may have begun the line.
    ///
    /// [`Record::message`] and the fields' texts are raw: a format that writes lines escapes what came from
    /// outside, as [`Text`] does.
    ///
    /// A format that panics costs the record it was on; what it appended for it is taken back.
    fn format(&mut self, record: &Record<'_>, out: &mut Vec<u8>);

    /// What tells it from formats that make other bytes, if anything does: of handlers whose formats have equal keys, each
    /// record's bytes are made by one and copied by the others. So it names the type and all of its settings. Asked before
    /// the first record. Default: it shares with nobody.
    ///
    /// ```
    /// use treering::format::{Format, Json};
    /// assert_eq!(Json::new().key(), Json::new().key());
    /// assert_ne!(Json::new().key(), Json::new().flat(true).key());
    /// ```
    fn key(&self) -> Option<String> {
        None
    }

    /// Whether colours are wanted where the bytes go. [`Console`](crate::handler::Console) tells, before the first
    /// record, and again between records if lines go to a terminal and to something else in turn; of a handler that
    /// does not tell, none are. Default: nothing is done about it.
    ///
    /// ```
    /// use treering::format::{Format, Text};
    /// let mut format = Text::new();
    /// format.colors_wanted(true); // a handler of your own whose reader shows colours
    /// ```
    fn colors_wanted(&mut self, yes: bool) {
        let _ = yes;
    }
}

/// A level's name in small letters.
impl<F: Format + ?Sized> Format for Box<F> {
    fn format(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
        (**self).format(record, out);
    }

    fn key(&self) -> Option<String> {
        (**self).key()
    }

    fn colors_wanted(&mut self, yes: bool) {
        (**self).colors_wanted(yes);
    }
}

/// A level's name in small letters.
pub(crate) fn lower(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}

#[cfg(test)]
mod tests;
