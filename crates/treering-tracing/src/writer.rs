//! Lines that `tracing_subscriber::fmt` made, through the rings: for programs that keep its formats.

use std::io::{self, Write as _};

use tracing_core::Metadata;
use tracing_subscriber::fmt::MakeWriter;
use treering::format::{Format, Text};
use treering::front::{Head, NO_KEY, Place, Site, make};
use treering::handler::Handler;
use treering::record::{Record, Value};
use treering::{Error, Guard, Level, Logger, builder};

use crate::places::place;

/// Tells lines from records that are not whole lines.
const MODULE: &str = module_path!();

/// Starts an engine for lines that `tracing_subscriber::fmt` makes, with one handler: to be used where
/// `tracing_appender::non_blocking` was. The handler's format is [`Lines`].
///
/// The engine drops the newest lines where a ring is full, and says so in the stream; its books are the guard's
/// [`stats`](Guard::stats). Keep the guard: its drop stops the engine, when all lines are written. For other settings start
/// an engine by [`treering::builder`] and use [`Writer::to`].
///
/// # Errors
/// Those of [`Builder::start`](treering::Builder::start).
///
/// ```
/// use treering::handler::File;
/// use treering_tracing::Lines;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = std::env::temp_dir().join(format!("treering-tracing-{}", std::process::id()));
/// # std::fs::create_dir_all(&directory)?;
/// # let path = directory.join("app.log");
/// let (writer, guard) = treering_tracing::non_blocking(File::append(&path)?.format(Lines::new()))?;
/// let subscriber = tracing_subscriber::fmt().with_writer(writer).with_ansi(false).without_time().finish();
/// tracing::subscriber::with_default(subscriber, || tracing::info!(rows = 3, "served"));
/// drop(guard);
/// let lines = std::fs::read_to_string(&path)?;
/// assert!(lines.trim_start().starts_with("INFO ") && lines.ends_with("served rows=3\n"), "{lines:?}");
/// # std::fs::remove_dir_all(&directory)?;
/// # Ok(())
/// # }
/// ```
pub fn non_blocking(handler: impl Handler + 'static) -> Result<(Writer, Guard), Error> {
    let (logger, guard) = builder().filter("trace").handler(handler).start()?;
    Ok((Writer::to(logger), guard))
}

/// Writes lines of `tracing_subscriber::fmt` into an engine: each is a record, with the level and the target of its event and
/// the line as its message.
///
/// The engine's filter counts for them as for all records.
#[derive(Clone, Debug)]
pub struct Writer {
    to: Option<Logger>,
}

impl Writer {
    /// Into the process-wide engine.
    ///
    /// ```
    /// let subscriber = tracing_subscriber::fmt().with_writer(treering_tracing::Writer::new());
    /// ```
    #[expect(clippy::new_without_default, reason = "where to is no default")]
    pub fn new() -> Self {
        Writer { to: None }
    }

    /// Into this engine.
    ///
    /// ```
    /// # fn main() -> Result<(), treering::Error> {
    /// # let (logger, _guard) = treering::builder().start()?;
    /// let subscriber = tracing_subscriber::fmt().with_writer(treering_tracing::Writer::to(logger));
    /// # Ok(())
    /// # }
    /// ```
    pub fn to(logger: Logger) -> Self {
        Writer { to: Some(logger) }
    }
}

impl<'a> MakeWriter<'a> for Writer {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        let at = Place { level: Level::Info, target: "fmt", module: MODULE, file: "", line: 0 };
        Line { to: self.to.as_ref(), site: Site::at(&at, self.to.is_some()) }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Line<'a> {
        let at = Place { module: MODULE, file: "", line: 0, ..place(metadata) };
        Line { to: self.to.as_ref(), site: Site::at(&at, self.to.is_some()) }
    }
}

/// Takes one line, in one piece, as `fmt` writes it.
#[derive(Debug)]
pub struct Line<'a> {
    to: Option<&'a Logger>,
    /// `None` if there are too many places.
    site: Option<&'static Site>,
}

impl io::Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let site = self
            .site
            .ok_or_else(|| io::Error::other("too many targets, or a call that interrupts treering"))?;
        if site.is_enabled() {
            make(None, |made| {
                made.str(&String::from_utf8_lossy(line));
                let find = || site.find(made, |_| true);
                let shape = find().or_else(|| site.add(made, Head::Message(0), Vec::new, NO_KEY));
                shape.map(|shape| shape.send(self.to, made))
            });
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The format for lines that came by a [`Writer`]: as they are. Other records, as the engine's own, are lines of [`Text`].
#[derive(Debug, Default)]
pub struct Lines {
    text: Text,
}

impl Lines {
    /// Lines as they are.
    ///
    /// ```
    /// let handler = treering::handler::Console::stdout().format(treering_tracing::Lines::new());
    /// ```
    pub fn new() -> Self {
        Lines { text: Text::new() }
    }
}

impl Format for Lines {
    fn format(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
        if record.module_path() != MODULE {
            return self.text.format(record, out);
        }
        match record.value(0) {
            Some(Value::Str(line)) if line.missing() == 0 => out.extend_from_slice(line.as_str().as_bytes()),
            _ => {
                let _ = writeln!(out, "{}", record.message()); // which does not fail
            }
        }
    }

    fn key(&self) -> Option<String> {
        Some("treering_tracing::Lines".to_owned())
    }
}
