//! Records as lines on stderr or stdout.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, IsTerminal as _};
use std::os::fd::AsFd;
use std::path::PathBuf;

use super::stream::Stream;
use super::{Batch, Handler, HandlerError};
use crate::format::Format;
use crate::level::LevelFilter;
use crate::os;
use crate::output::Lines;

/// Writes records to stderr or stdout, as [`Text`](crate::format::Text) or in a [`format`](Console::format) of
/// your choice.
///
/// Each batch is written when it is handed over, with one `write(2)` for 64 KiB: nothing waits in a buffer while
/// the other side reads. If that side is gone, or its disk is full, the lines are counted as failed, and no panic
/// follows. (Rust programs ignore SIGPIPE; in one that does not, a closed pipe ends the process, as for every
/// other writer.)
///
/// [`Text`](crate::format::Text) is coloured at a terminal, unless `TERM` is `dumb`. `NO_COLOR`, if it is not empty,
/// turns colours off; `CLICOLOR_FORCE`, if it is neither empty nor `0`, on, also in a pipe. What holds when the handler
/// is made counts.
///
/// It does not take std's locks: a thread that logs while it holds `stderr().lock()` and then waits for a flush
/// must not wait for itself. A line of `eprintln!` stands between lines of the log, at a terminal and in a pipe up
/// to 4 KiB, and not in their middle.
///
/// ```
/// use treering::{Level, handler::Console};
/// let handler = Console::stderr().level(Level::Warn);
/// ```
pub struct Console {
    stream: Stream<Descriptor>,
    wants_colors: bool,
}

impl Console {
    /// Writes to stderr.
    ///
    /// ```
    /// let handler = treering::handler::Console::stderr();
    /// ```
    pub fn stderr() -> Self {
        Console::on(Descriptor::Stderr)
    }

    /// Writes to stdout. What the program printed there without a newline may stand in std's buffer and come
    /// later than what is logged after it.
    ///
    /// ```
    /// let handler = treering::handler::Console::stdout();
    /// ```
    pub fn stdout() -> Self {
        Console::on(Descriptor::Stdout)
    }

    fn on(descriptor: Descriptor) -> Self {
        let place = PathBuf::from(descriptor.name());
        let wants_colors = wants_colors(descriptor.is_terminal(), |variable| std::env::var_os(variable));
        let mut stream = Stream::new(Lines::new(descriptor), place);
        stream.set_colors(wants_colors);
        Console { stream, wants_colors }
    }

    /// The most verbose level that is written. Default: all.
    ///
    /// ```
    /// let handler = treering::handler::Console::stderr().level(treering::Level::Warn);
    /// ```
    #[must_use]
    pub fn level(mut self, most_verbose: impl Into<LevelFilter>) -> Self {
        self.stream.max_level = most_verbose.into();
        self
    }

    /// How lines look. Default: [`Text`](crate::format::Text).
    ///
    /// ```
    /// use treering::{format::Text, handler::Console};
    /// let handler = Console::stdout().format(Text::new().threads(true));
    /// ```
    #[must_use]
    pub fn format(mut self, format: impl Format + 'static) -> Self {
        self.stream.set_format(format);
        self.stream.set_colors(self.wants_colors);
        self
    }
}

impl Handler for Console {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        self.stream.take(batch);
        self.flush()
    }

    fn flush(&mut self) -> Result<(), HandlerError> {
        self.stream.write();
        self.stream.tell()
    }

    fn skipped(&mut self, records: u64) {
        self.stream.lines.add_gap(records);
    }

    fn held(&self) -> u64 {
        self.stream.lines.held()
    }

    fn max_level(&self) -> LevelFilter {
        self.stream.max_level
    }

    fn name(&self) -> String {
        self.stream.lines.out().name().to_owned()
    }
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console").field("stream", &self.stream).finish()
    }
}

/// What the terminal and the user's environment say; of two that differ the first below.
fn wants_colors(is_terminal: bool, variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let value = |name| variable(name).filter(|value| !value.is_empty());
    if value("NO_COLOR").is_some() {
        return false;
    }
    if value("CLICOLOR_FORCE").is_some_and(|value| value != "0") {
        return true;
    }
    is_terminal && value("TERM").is_none_or(|terminal| terminal != "dumb")
}

/// Which of the standard streams; looked up at each write, as the program may redirect them.
#[derive(Debug)]
enum Descriptor {
    Stderr,
    Stdout,
    #[cfg(test)]
    Pipe(io::PipeWriter),
}

impl Descriptor {
    fn name(&self) -> &'static str {
        match self {
            Descriptor::Stderr => "stderr",
            Descriptor::Stdout => "stdout",
            #[cfg(test)]
            Descriptor::Pipe(_) => "pipe",
        }
    }

    fn is_terminal(&self) -> bool {
        match self {
            Descriptor::Stderr => io::stderr().is_terminal(),
            Descriptor::Stdout => io::stdout().is_terminal(),
            #[cfg(test)]
            Descriptor::Pipe(pipe) => pipe.as_fd().is_terminal(),
        }
    }
}

impl io::Write for Descriptor {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Descriptor::Stderr => os::write(io::stderr().as_fd(), bytes),
            Descriptor::Stdout => os::write(io::stdout().as_fd(), bytes),
            #[cfg(test)]
            Descriptor::Pipe(pipe) => os::write(pipe.as_fd(), bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handler::testing::{HEAD, lost, offer};
    use std::io::Read;

    #[test]
    fn a_batch_is_out_when_handle_returns() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut console = Console::on(Descriptor::Pipe(writer));
        offer(&mut console, ["first", "second"]).unwrap();
        assert_eq!(console.held(), 0);
        let mut bytes = [0; 1024];
        let read = reader.read(&mut bytes).unwrap();
        assert_eq!(String::from_utf8_lossy(&bytes[..read]), format!("{HEAD}first\n{HEAD}second\n"));
    }

    #[test]
    fn a_reader_that_is_gone_costs_the_records_and_no_panic() {
        let (reader, writer) = io::pipe().unwrap();
        let mut console = Console::on(Descriptor::Pipe(writer));
        drop(reader);
        for _ in 0..3 {
            let error = offer(&mut console, ["first", "second"]).unwrap_err();
            assert!(error.to_string().starts_with("cannot write to pipe: Broken pipe"), "{error}");
            assert_eq!(lost(Err(error)), 2);
            assert_eq!(console.held(), 0);
        }
    }

    #[test]
    fn colours_are_for_terminals_and_the_user_has_the_last_word() {
        for (is_terminal, variables, wants) in [
            (true, &[][..], true),
            (false, &[], false),
            (true, &[("TERM", "xterm")], true),
            (true, &[("TERM", "dumb")], false),
            (true, &[("NO_COLOR", "1")], false),
            (true, &[("NO_COLOR", "")], true),
            (false, &[("CLICOLOR_FORCE", "1")], true),
            (false, &[("CLICOLOR_FORCE", "0")], false),
            (false, &[("CLICOLOR_FORCE", "")], false),
            (true, &[("CLICOLOR_FORCE", "1"), ("TERM", "dumb")], true),
            (true, &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false),
        ] {
            let variable = |name: &str| {
                let found = variables.iter().find(|(variable, _)| *variable == name);
                found.map(|(_, value)| OsString::from(value))
            };
            assert_eq!(wants_colors(is_terminal, variable), wants, "{is_terminal}, {variables:?}");
        }
    }

    #[test]
    fn its_name_says_where_it_writes() {
        assert_eq!(Console::stderr().name(), "stderr");
        assert_eq!(Console::stdout().name(), "stdout");
    }
}
