//! Colours: whether there are any, and the escape codes for them.

use crate::level::Level;

/// What is there to be found when it is looked for.
pub(super) const DIM: &[u8] = b"\x1b[2m";
pub(super) const RESET: &[u8] = b"\x1b[0m";

/// Whether [`Text`](super::Text) and [`Pattern`](super::Pattern) are coloured.
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

/// The setting, and what it comes to where the lines go.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Paint {
    setting: Colors,
    pub(super) is_on: bool,
}

impl Paint {
    pub(super) fn new(setting: Colors) -> Self {
        Paint { setting, is_on: setting == Colors::Always }
    }

    /// Where the lines go, colours are wanted, or not.
    pub(super) fn wanted(&mut self, yes: bool) {
        if self.setting == Colors::Auto {
            self.is_on = yes;
        }
    }

    /// Appends what `put` does, in a colour if there are any.
    #[inline]
    pub(super) fn around(self, color: &[u8], out: &mut Vec<u8>, put: impl FnOnce(&mut Vec<u8>)) {
        if !self.is_on {
            return put(out);
        }
        out.extend_from_slice(color);
        put(out);
        out.extend_from_slice(RESET);
    }
}

/// Red, yellow, green, blue and magenta, of the eight that all terminals have.
pub(super) fn of(level: Level) -> &'static [u8] {
    match level {
        Level::Error => b"\x1b[31m",
        Level::Warn => b"\x1b[33m",
        Level::Info => b"\x1b[32m",
        Level::Debug => b"\x1b[34m",
        Level::Trace => b"\x1b[35m",
    }
}
