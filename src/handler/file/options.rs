//! How a file is opened and kept.

use std::path::Path;
use std::time::Duration;

use super::writer::Writer;
use super::{File, Rotation};
use crate::error::Error;
use crate::level::Level;
use crate::output::{How, System};

/// How a [`File`] is opened and kept. From [`File::options`].
///
/// ```
/// use treering::handler::{File, Rotation, SyncPolicy};
/// use treering::Level;
///
/// # let directory = tempfile::tempdir().unwrap();
/// # let path = directory.path().join("logs/app.log");
/// let file = File::options()
///     .create_directories(true)
///     .mode(0o640)
///     .sync(SyncPolicy::AtLevel(Level::Error))
///     .rotate(Rotation::new().daily().keep_files(14))
///     .open(&path)?;
/// # Ok::<(), treering::Error>(())
/// ```
#[derive(Clone, Default, Debug)]
#[must_use]
pub struct FileOptions {
    pub(super) how: How,
    pub(super) truncates: bool,
    pub(super) sync: SyncPolicy,
    /// The header line with its newline; empty for none.
    pub(super) header: String,
    pub(super) rotation: Option<Rotation>,
}

impl FileOptions {
    /// Whether what is in the file is thrown away when it is opened. It is appended to from then on, and what another
    /// process appends stays. Default: no.
    ///
    /// ```
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path().join("run.log");
    /// let file = treering::handler::File::options().truncate(true).open(&path)?;
    /// # Ok::<(), treering::Error>(())
    /// ```
    pub fn truncate(mut self, truncates: bool) -> Self {
        self.truncates = truncates;
        self
    }

    /// Whether missing directories on the way to the file are created, for their owner alone (0700). Default: no.
    ///
    /// ```
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path().join("logs/today/app.log");
    /// let file = treering::handler::File::options().create_directories(true).open(&path)?;
    /// # Ok::<(), treering::Error>(())
    /// ```
    pub fn create_directories(mut self, creates: bool) -> Self {
        self.how.creates_directories = creates;
        self
    }

    /// Who may do what with a file that is created, whatever the umask says. Default: 0600.
    ///
    /// ```
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path().join("app.log");
    /// let file = treering::handler::File::options().mode(0o640).open(&path)?;
    /// # Ok::<(), treering::Error>(())
    /// ```
    pub fn mode(mut self, mode: u32) -> Self {
        self.how.mode = mode;
        self
    }

    /// When records are brought to the disk. Default: [`SyncPolicy::Never`].
    ///
    /// ```
    /// use treering::handler::{File, SyncPolicy};
    /// let file = File::options().sync(SyncPolicy::EachBatch).open("/dev/null")?;
    /// # Ok::<(), treering::Error>(())
    /// ```
    pub fn sync(mut self, policy: SyncPolicy) -> Self {
        self.sync = policy;
        self
    }

    /// A line, without its newline, that each file begins with. It is written before the first record of a file that
    /// is empty. It may have no control character but tabs. Default: none. Files of
    /// [`Binary`](crate::format::Binary) have none.
    ///
    /// ```
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path().join("app.log");
    /// let file = treering::handler::File::options().header("#Version: 1.0").open(&path)?;
    /// # Ok::<(), treering::Error>(())
    /// ```
    pub fn header(mut self, line: &str) -> Self {
        self.header = if line.is_empty() { String::new() } else { format!("{line}\n") };
        self
    }

    /// When the file is put aside and a new one begun. Default: never.
    ///
    /// ```
    /// use treering::handler::{File, Rotation};
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path().join("app.log");
    /// let file = File::options().rotate(Rotation::new().at_bytes(10 << 20).keep_files(5)).open(&path)?;
    /// # Ok::<(), treering::Error>(())
    /// ```
    pub fn rotate(mut self, rotation: Rotation) -> Self {
        self.rotation = Some(rotation);
        self
    }

    /// Opens `path`, and creates it if there is nothing. A relative path is of the working directory at this moment,
    /// whatever that becomes.
    ///
    /// # Errors
    /// Where the system refuses (the file must be readable too, to see whether its last line is whole), for what is
    /// neither a regular file nor a character device, and for a [`Rotation`] or a [`header`](FileOptions::header) that
    /// cannot be.
    ///
    /// ```
    /// use treering::handler::{File, Rotation};
    /// let error = File::options().rotate(Rotation::new().at_bytes(0)).open("/dev/null").unwrap_err();
    /// assert!(error.is_config());
    /// ```
    pub fn open(self, path: impl AsRef<Path>) -> Result<File, Error> {
        self.check_header()?;
        let path = path.as_ref();
        let name = path.display().to_string();
        let path = std::path::absolute(path).map_err(|error| Error::io("open", path, error))?;
        Ok(File { writer: Writer::open(System, &path, self)?, name })
    }

    /// It goes to a terminal as it is, and must be no more than a line.
    fn check_header(&self) -> Result<(), Error> {
        let header = self.header.strip_suffix('\n').unwrap_or_default();
        match header.chars().find(|c| c.is_control() && *c != '\t') {
            Some(control) => {
                Err(Error::config(format!("the header has {control:?}: it is one line of text")))
            }
            None => Ok(()),
        }
    }
}

/// When a [`File`] brings what it wrote to the disk, so that it survives a power failure (`fdatasync`).
///
/// Under [`Each`](SyncPolicy::Each) and [`EachBatch`](SyncPolicy::EachBatch) a record counts as delivered when it is on
/// the disk, and as held until then. If the disk fails, the records that were written since it last worked count as
/// failed, and the file is opened anew: a descriptor whose sync failed is not believed again.
///
/// ```
/// use std::time::Duration;
/// use treering::handler::SyncPolicy;
/// let policy = SyncPolicy::Each(Duration::from_secs(1));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub enum SyncPolicy {
    /// The kernel writes when it sees fit, usually within half a minute.
    #[default]
    Never,
    /// At most so long after a record was written, and half a second more where nothing else is logged.
    Each(Duration),
    /// After a batch with a record of this level or a more severe one, with all that was written before it.
    AtLevel(Level),
    /// After each batch that the listener hands over.
    EachBatch,
}
