//! Records as lines in a file.

use std::fmt;
use std::fs;
use std::path::Path;

use super::stream::Stream;
use super::{Batch, Handler, HandlerError};
use crate::error::Error;
use crate::format::Format;
use crate::level::LevelFilter;
use crate::output;

/// Appends records to a file, as [`Text`](crate::format::Text) or in a [`format`](File::format) of your choice.
///
/// Lines are gathered and written 64 KiB at a time, and whenever the listener has nothing else to do, so a line is
/// in the file a few milliseconds after the call even in a quiet program. When the disk is full, lines that cannot
/// be written are dropped whole and counted, and as soon as there is room the file goes on: with the rest of the
/// line in whose middle it was stopped, if any.
///
/// A new file is readable by its owner only (mode 0600). A symbolic link in the path's last place, a FIFO, a socket
/// and a directory are refused; character devices such as `/dev/null` are taken. If the process dies while the
/// disk is full the file may end in a torn line; it is ended before anything else is appended.
///
/// ```
/// use treering::{Level, handler};
///
/// # let directory = tempfile::tempdir().unwrap();
/// # let path = directory.path().join("app.log");
/// let handler = handler::File::append(&path)?.level(Level::Info).name("audit");
/// # Ok::<(), treering::Error>(())
/// ```
pub struct File {
    stream: Stream<fs::File>,
    name: String,
}

impl File {
    /// Opens `path` for append, and creates it if there is nothing.
    ///
    /// # Errors
    /// Where the system refuses (the file must be readable too, to see whether its last line is whole), and for
    /// what is neither a regular file nor a character device.
    ///
    /// ```
    /// let error = treering::handler::File::append("/no/such/directory/app.log").unwrap_err();
    /// assert!(error.is_io());
    /// ```
    pub fn append(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let stream = Stream::new(output::file::append(path)?, path.to_owned());
        Ok(File { stream, name: path.display().to_string() })
    }

    /// The most verbose level that is written. Default: all.
    ///
    /// ```
    /// let handler = treering::handler::File::append("/dev/null")?.level(treering::Level::Warn);
    /// # Ok::<(), treering::Error>(())
    /// ```
    #[must_use]
    pub fn level(mut self, most_verbose: impl Into<LevelFilter>) -> Self {
        self.stream.max_level = most_verbose.into();
        self
    }

    /// How lines look. Default: [`Text`](crate::format::Text).
    ///
    /// ```
    /// use treering::{format::Text, handler::File};
    /// let handler = File::append("/dev/null")?.format(Text::new().threads(true));
    /// # Ok::<(), treering::Error>(())
    /// ```
    #[must_use]
    pub fn format(mut self, format: impl Format + 'static) -> Self {
        self.stream.set_format(format);
        self
    }

    /// Its name in reports. Default: the path.
    ///
    /// ```
    /// let handler = treering::handler::File::append("/dev/null")?.name("audit");
    /// # Ok::<(), treering::Error>(())
    /// ```
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }
}

impl Handler for File {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        self.stream.take(batch);
        self.stream.tell()
    }

    fn flush(&mut self) -> Result<(), HandlerError> {
        self.stream.write();
        self.stream.tell()
    }

    fn held(&self) -> u64 {
        self.stream.lines.held()
    }

    fn max_level(&self) -> LevelFilter {
        self.stream.max_level
    }

    fn name(&self) -> String {
        self.name.clone()
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File").field("name", &self.name).field("stream", &self.stream).finish()
    }
}

#[cfg(test)]
mod tests;
