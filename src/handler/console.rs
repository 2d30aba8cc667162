//! Records as lines on stderr or stdout.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, IsTerminal as _};
use std::os::fd::AsFd;
use std::path::PathBuf;

use super::stream::Stream;
use super::{Batch, Handler, HandlerError, both};
use crate::format::Format;
use crate::level::{Level, LevelFilter};
use crate::os;
use crate::output::Lines;
use crate::record::Record;

/// Writes records to stderr, to stdout, or to both by level, as [`Text`](crate::format::Text) or in a [`format`](Console::format) of
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
    /// One, or two: for what is less than severe, and for the rest.
    outputs: Vec<Output>,
    /// Which levels are severe; none, if there is one output.
    severe: LevelFilter,
    /// The output that has the format: two share it, and it goes to the one that the next line is for.
    current: usize,
    max_level: LevelFilter,
}

/// A standard stream, and what its reader can show.
#[derive(Debug)]
struct Output {
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
        Console::on([Descriptor::Stderr], LevelFilter::OFF)
    }

    /// Writes to stdout. What the program printed there without a newline may stand in std's buffer and come
    /// later than what is logged after it.
    ///
    /// ```
    /// let handler = treering::handler::Console::stdout();
    /// ```
    pub fn stdout() -> Self {
        Console::on([Descriptor::Stdout], LevelFilter::OFF)
    }

    /// Writes what is at least as severe as `level` to stderr, and the rest to stdout; in one format, coloured where
    /// each of the two goes to a terminal.
    ///
    /// Within each the order is kept. Between them it is not, where both are shown together: a batch goes to stdout
    /// first, then to stderr. A side that does not read holds up both.
    ///
    /// ```
    /// use treering::{Level, handler::Console};
    /// let handler = Console::split(Level::Warn); // errors and warnings to stderr
    /// ```
    pub fn split(level: Level) -> Self {
        Console::on([Descriptor::Stdout, Descriptor::Stderr], level.into())
    }

    fn on(descriptors: impl IntoIterator<Item = Descriptor>, severe: LevelFilter) -> Self {
        let variable = |name: &str| std::env::var_os(name);
        let outputs = descriptors.into_iter().map(|descriptor| Output::new(descriptor, variable)).collect();
        let mut console = Console { outputs, severe, current: 0, max_level: LevelFilter::ALL };
        console.tell_colors();
        console
    }

    /// The most verbose level that is written. Default: all.
    ///
    /// ```
    /// let handler = treering::handler::Console::stderr().level(treering::Level::Warn);
    /// ```
    #[must_use]
    pub fn level(mut self, most_verbose: impl Into<LevelFilter>) -> Self {
        self.max_level = most_verbose.into();
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
        self.outputs[self.current].stream.set_format(format);
        self.tell_colors();
        self
    }

    fn tell_colors(&mut self) {
        let Output { stream, wants_colors } = &mut self.outputs[self.current];
        stream.set_colors(*wants_colors);
    }

    /// The stream for a level, which has the format now.
    fn stream_for(&mut self, level: Level) -> &mut Stream<Descriptor> {
        let wanted = usize::from(self.severe.allows(level));
        if wanted != self.current
            && let [low, high] = &mut self.outputs[..]
        {
            low.stream.exchange_format(&mut high.stream);
            self.current = wanted;
            if low.wants_colors != high.wants_colors {
                self.tell_colors();
            }
        }
        &mut self.outputs[self.current].stream
    }
}

impl Output {
    fn new(descriptor: Descriptor, variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let place = PathBuf::from(descriptor.name());
        let wants_colors = wants_colors(descriptor.is_terminal(), variable);
        Output { stream: Stream::new(Lines::new(descriptor), place), wants_colors }
    }
}

impl Handler for Console {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        self.outputs[self.current].stream.begin_batch(batch);
        for record in batch {
            self.stream_for(record.level()).take_record(&record);
        }
        self.outputs[self.current].stream.end_batch(batch);
        self.flush()
    }

    fn flush(&mut self) -> Result<(), HandlerError> {
        let mut told = Ok(());
        for Output { stream, .. } in &mut self.outputs {
            stream.write();
            told = both(told, stream.tell());
        }
        told
    }

    /// Where the missing ones would have gone nobody knows: it is told where who looks for trouble looks.
    fn skipped(&mut self, records: u64) {
        self.outputs.iter_mut().last().into_iter().for_each(|output| output.stream.lines.add_gap(records));
    }

    fn remark(&mut self, record: &Record<'_>) {
        self.stream_for(record.level()).push_note(record, 0);
    }

    fn held(&self) -> u64 {
        self.outputs.iter().map(|output| output.stream.lines.held()).sum()
    }

    fn max_level(&self) -> LevelFilter {
        self.max_level
    }

    fn name(&self) -> String {
        match &self.outputs[..] {
            [output] => output.stream.lines.out().name().to_owned(),
            _ => "console".to_owned(),
        }
    }
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console").field("outputs", &self.outputs).field("severe", &self.severe).finish()
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
    use crate::handler::testing::{HEAD, Run, lost, offer};
    use std::fs::OpenOptions;
    use std::io::Read;
    use std::os::fd::{AsRawFd, OwnedFd};
    use std::os::unix::fs::OpenOptionsExt;

    #[test]
    fn a_batch_is_out_when_handle_returns() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut console = Console::on([Descriptor::Pipe(writer)], LevelFilter::OFF);
        offer(&mut console, ["first", "second"]).unwrap();
        assert_eq!(console.held(), 0);
        let mut bytes = [0; 1024];
        let read = reader.read(&mut bytes).unwrap();
        assert_eq!(String::from_utf8_lossy(&bytes[..read]), format!("{HEAD}first\n{HEAD}second\n"));
    }

    #[test]
    fn a_reader_that_is_gone_costs_the_records_and_no_panic() {
        let (reader, writer) = io::pipe().unwrap();
        let mut console = Console::on([Descriptor::Pipe(writer)], LevelFilter::OFF);
        drop(reader);
        for _ in 0..3 {
            let error = offer(&mut console, ["first", "second"]).unwrap_err();
            assert!(error.to_string().starts_with("cannot write to pipe: Broken pipe"), "{error}");
            assert_eq!(lost(Err(error)), 2);
            assert_eq!(console.held(), 0);
        }
    }

    /// A pipe whose writer is told to come back later when it is full.
    fn impatient_pipe() -> (io::PipeReader, io::PipeWriter) {
        let (reader, writer) = io::pipe().unwrap();
        let path = format!("/proc/self/fd/{}", writer.as_raw_fd());
        let again = OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(path).unwrap();
        (reader, OwnedFd::from(again).into())
    }

    fn read_all(mut reader: io::PipeReader) -> String {
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn severe_records_go_to_the_one_and_the_rest_to_the_other() {
        let [(low, low_writer), (high, high_writer)] = [io::pipe().unwrap(), io::pipe().unwrap()];
        let pipes = [Descriptor::Pipe(low_writer), Descriptor::Pipe(high_writer)];
        let mut console = Console::on(pipes, Level::Warn.into());
        console.outputs[1].wants_colors = true;
        let mut console =
            console.format(crate::format::Pattern::new("{color}{level}{reset} {message}").unwrap());
        for (level, message) in [
            (Level::Info, "a"),
            (Level::Error, "b"),
            (Level::Warn, "c"),
            (Level::Debug, "d"),
            (Level::Warn, "e"),
        ] {
            console.handle(&Run::of(level, [message]).all()).unwrap();
            assert_eq!(console.held(), 0);
        }
        assert_eq!(console.name(), "console");
        drop(console);
        assert_eq!(read_all(low), "INFO a\nDEBUG d\n");
        assert_eq!(read_all(high), "\x1b[31mERROR\x1b[0m b\n\x1b[33mWARN\x1b[0m c\n\x1b[33mWARN\x1b[0m e\n");
    }

    #[test]
    fn a_side_that_is_gone_costs_its_own_records_only() {
        let [(low, low_writer), (high, high_writer)] = [io::pipe().unwrap(), io::pipe().unwrap()];
        let pipes = [Descriptor::Pipe(low_writer), Descriptor::Pipe(high_writer)];
        let mut console = Console::on(pipes, Level::Warn.into());
        drop(high);
        let levels = [Level::Info, Level::Warn, Level::Error, Level::Info];
        let run = Run::each(levels.map(|level| (level, level.as_str())));
        assert_eq!(lost(console.handle(&run.all())), 2);
        drop(low);
        assert_eq!(lost(console.handle(&run.all())), 4, "both");
        assert_eq!(console.held(), 0);
    }

    #[test]
    fn a_pipe_that_is_full_holds_up_nobody_and_a_reader_that_comes_back_gets_whole_lines() {
        let (reader, writer) = impatient_pipe();
        let mut console = Console::on([Descriptor::Pipe(writer)], LevelFilter::OFF);
        let (mut offered, mut failed) = (0, 0);
        // The pipe holds 64 KiB, the console 1 MiB and some.
        while failed == 0 {
            failed += lost(offer(&mut console, (offered..offered + 500).map(|n| format!("{n:0100}"))));
            offered += 500;
            assert!(offered < 50_000, "nothing was ever refused");
        }
        assert!(console.held() < 500, "but for what came after the loss, the line that was begun");
        let reading = std::thread::spawn(|| read_all(reader));
        while console.held() > 0 {
            assert_eq!(lost(console.flush()), 0);
        }
        offer(&mut console, ["again"]).unwrap();
        offered += 1;
        while console.held() > 0 {
            assert_eq!(lost(console.flush()), 0);
        }
        drop(console);
        let text = reading.join().unwrap();
        let lines: Vec<_> = text.split_inclusive('\n').collect();
        assert_eq!(lines.len() as u64, offered - failed + 1);
        assert!(
            lines
                .iter()
                .all(|line| line.starts_with("2023-11-14T22:13:20.123456789Z ") && line.ends_with('\n'))
        );
        let gap = format!("WARN  treering::loss: {failed} records lost here, they could not be written\n");
        assert_eq!(
            lines.iter().filter(|line| line.ends_with(&gap)).count(),
            1,
            "told once, where they are missing"
        );
        assert!(lines[lines.len() - 1].ends_with("again\n"));
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
