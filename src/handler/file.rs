//! Records as lines in a file.

mod archive;
mod backoff;
mod clocks;
mod compression;
mod control;
mod options;
mod packing;
mod rotation;
mod writer;

pub use compression::Compression;
pub use control::FileControl;
pub use options::{FileOptions, SyncPolicy};
pub use rotation::{Rotation, Weekday};

use std::fmt;
use std::path::Path;

use super::{Batch, Handler, HandlerError};
use crate::error::Error;
use crate::format::Format;
use crate::level::LevelFilter;
use crate::output::System;
use crate::record::Record;

use archive::Archive;
use rotation::Period;
use writer::Writer;

/// Appends records to a file, as [`Text`](crate::format::Text) or in a [`format`](File::format) of your choice.
///
/// Lines are gathered and written 64 KiB at a time, and whenever the listener has nothing else to do, so a line is
/// in the file a few milliseconds after the call even in a quiet program. When the disk is full, lines that cannot
/// be written are dropped whole and counted, and as soon as there is room the file goes on: with the rest of the
/// line in whose middle it was stopped, if any, and a line that says how many records are missing.
///
/// If its path comes to name another file or none, because somebody moved it away or deleted it, that is noticed within
/// two seconds, or when [`FileControl`] asks, and the path is opened anew. [`FileOptions`] has the rest: modes,
/// directories, syncing, rotation.
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
    writer: Writer<System>,
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
        File::options().open(path)
    }

    /// How a file is opened and kept, to be set one by one.
    ///
    /// ```
    /// use treering::handler::{File, Rotation};
    ///
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path().join("app.log");
    /// let file = File::options().mode(0o640).rotate(Rotation::new().at_bytes(10 << 20)).open(&path)?;
    /// # Ok::<(), treering::Error>(())
    /// ```
    pub fn options() -> FileOptions {
        FileOptions::default()
    }

    /// What lets other threads ask for the path to be opened anew, or for the file to roll.
    ///
    /// ```
    /// let file = treering::handler::File::append("/dev/null")?;
    /// let control = file.control();
    /// control.reopen();
    /// # Ok::<(), treering::Error>(())
    /// ```
    pub fn control(&self) -> FileControl {
        self.writer.control.clone()
    }

    /// The most verbose level that is written. Default: all.
    ///
    /// ```
    /// let handler = treering::handler::File::append("/dev/null")?.level(treering::Level::Warn);
    /// # Ok::<(), treering::Error>(())
    /// ```
    #[must_use]
    pub fn level(mut self, most_verbose: impl Into<LevelFilter>) -> Self {
        self.writer.stream.max_level = most_verbose.into();
        self
    }

    /// How lines look. Default: [`Text`](crate::format::Text). With [`Binary`](crate::format::Binary) it has no lines.
    ///
    /// ```
    /// use treering::{format::Text, handler::File};
    /// let handler = File::append("/dev/null")?.format(Text::new().threads(true));
    /// # Ok::<(), treering::Error>(())
    /// ```
    #[must_use]
    pub fn format(mut self, format: impl Format + 'static) -> Self {
        self.writer.stream.set_format_of_file(format);
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
        self.writer.handle(batch)
    }

    fn flush(&mut self) -> Result<(), HandlerError> {
        self.writer.flush()
    }

    fn close(&mut self) -> Result<(), HandlerError> {
        self.writer.close()
    }

    fn tend(&mut self) -> Result<(), HandlerError> {
        self.writer.tend()
    }

    fn skipped(&mut self, records: u64) {
        self.writer.stream.lines.add_gap(records);
    }

    fn remark(&mut self, record: &Record<'_>) {
        self.writer.remark(record);
    }

    fn held(&self) -> u64 {
        self.writer.held()
    }

    fn max_level(&self) -> LevelFilter {
        self.writer.stream.max_level
    }

    fn name(&self) -> String {
        self.name.clone()
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File").field("name", &self.name).field("stream", &self.writer.stream).finish()
    }
}

#[cfg(test)]
mod tests;
