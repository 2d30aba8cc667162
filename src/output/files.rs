//! The seam to the file system: every call that a file handler makes goes through [`Files`].
//!
//! There are two of it. [`System`] is the real one, a value without size, so that what ships is compiled to plain
//! calls. The other one is a model for tests (`testing.rs`), which keeps its files in memory and fails the call that
//! a test names, once or for ever.
//!
//! The trait has what is used and nothing else. It decides nothing: what may be opened, and what to do when
//! something fails, is said by its callers.

use std::fmt;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, FileExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::SystemTime;

use crate::os::{self, ByteLock};

/// Who may do what with a file between its creation and [`Files::set_mode`]: its owner alone, less what the umask takes.
pub(crate) const CREATION_MODE: u32 = 0o600;

/// What a file handler asks of a file system.
pub(crate) trait Files: Clone + fmt::Debug + Send + 'static {
    /// An open file.
    type File: fmt::Debug + Send + 'static;

    /// Creates `path`, where nothing may be, and opens it so that every write goes to its end.
    fn create(&self, path: &Path) -> io::Result<Self::File>;

    /// Opens what is at `path` so that every write goes to its end. Follows no link in the last place, and waits for
    /// nobody.
    fn open(&self, path: &Path) -> io::Result<Self::File>;

    /// What a file is.
    fn facts(&self, file: &Self::File) -> io::Result<Facts>;

    /// What is at `path`; of a link, the link itself.
    fn facts_at(&self, path: &Path) -> io::Result<Facts>;

    /// Reads what stands there; nothing, behind the end.
    fn read_at(&self, file: &Self::File, bytes: &mut [u8], position: u64) -> io::Result<usize>;

    /// May take a part.
    fn write(&self, file: &Self::File, bytes: &[u8]) -> io::Result<usize>;

    /// Returns when what was written would survive a power failure.
    fn sync(&self, file: &Self::File) -> io::Result<()>;

    /// The same for the names in a directory: a file without one is lost, however well it was synced.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;

    /// The same, and before it has it last written to then.
    fn sync_as_of(&self, file: &Self::File, modified: SystemTime) -> io::Result<()>;

    /// Takes a lock until the file is closed or it is given back. Whether it was free.
    fn try_lock(&self, file: &Self::File, lock: Lock) -> io::Result<bool>;

    /// Gives it back.
    fn unlock(&self, file: &Self::File, lock: Lock) -> io::Result<()>;

    /// Empties the file.
    fn truncate(&self, file: &Self::File) -> io::Result<()>;

    /// Sets who may do what with it, whatever the umask says.
    fn set_mode(&self, file: &Self::File, mode: u32) -> io::Result<()>;

    /// Creates this directory, and those that lead to it.
    fn create_directories(&self, path: &Path, mode: u32) -> io::Result<()>;

    /// The names in a directory that are text.
    fn list(&self, directory: &Path) -> io::Result<Vec<String>>;

    /// Gives a file another name, which must be free: two processes that roll at once must not take each other's.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    fn remove(&self, path: &Path) -> io::Result<()>;
}

/// What an open file is locked for, as others may have it open, too. Only those that ask heed it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lock {
    /// To append to it: any number may.
    Append,
    /// To have it alone: nobody appends to it.
    Alone,
    /// To give it another name, and those that had its name before it: one at a time.
    Names,
}

/// What is known of a file without reading it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Facts {
    /// Two names with one identity are one file: the device, and the number on it.
    pub(crate) identity: (u64, u64),
    pub(crate) kind: Kind,
    /// How many names it has.
    pub(crate) names: u64,
    pub(crate) length: u64,
    pub(crate) modified: SystemTime,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Regular,
    Device,
    Other,
}

/// The file system of the machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct System;

impl System {
    /// Opened to read and write, a FIFO does not make us wait for its reader, so it can be looked at and refused.
    fn options() -> fs::OpenOptions {
        let mut options = fs::OpenOptions::new();
        let flags = libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NOCTTY;
        options.read(true).append(true).custom_flags(flags);
        options
    }
}

impl Files for System {
    type File = fs::File;

    fn create(&self, path: &Path) -> io::Result<fs::File> {
        System::options().create_new(true).mode(CREATION_MODE).open(path)
    }

    fn open(&self, path: &Path) -> io::Result<fs::File> {
        System::options().open(path)
    }

    fn facts(&self, file: &fs::File) -> io::Result<Facts> {
        file.metadata().map(Facts::from)
    }

    fn facts_at(&self, path: &Path) -> io::Result<Facts> {
        path.symlink_metadata().map(Facts::from)
    }

    fn read_at(&self, file: &fs::File, bytes: &mut [u8], position: u64) -> io::Result<usize> {
        file.read_at(bytes, position)
    }

    fn write(&self, file: &fs::File, bytes: &[u8]) -> io::Result<usize> {
        os::write(file.as_fd(), bytes)
    }

    fn sync(&self, file: &fs::File) -> io::Result<()> {
        file.sync_data()
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        fs::File::open(path)?.sync_all()
    }

    fn sync_as_of(&self, file: &fs::File, modified: SystemTime) -> io::Result<()> {
        file.set_modified(modified)?;
        file.sync_all()
    }

    fn try_lock(&self, file: &fs::File, lock: Lock) -> io::Result<bool> {
        let (byte, kind) = lock.as_range();
        match os::lock_byte(file.as_fd(), byte, kind) {
            Ok(()) => Ok(true),
            Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn unlock(&self, file: &fs::File, lock: Lock) -> io::Result<()> {
        os::lock_byte(file.as_fd(), lock.as_range().0, ByteLock::None)
    }

    fn truncate(&self, file: &fs::File) -> io::Result<()> {
        file.set_len(0)
    }

    fn set_mode(&self, file: &fs::File, mode: u32) -> io::Result<()> {
        file.set_permissions(fs::Permissions::from_mode(mode))
    }

    fn create_directories(&self, path: &Path, mode: u32) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(mode).create(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(directory)? {
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        match os::rename_to_free(from, to) {
            // A file system that cannot promise it.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => match to.symlink_metadata() {
                Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
                Err(_) => fs::rename(from, to),
            },
            renamed => renamed,
        }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }
}

impl Lock {
    /// Which byte stands for it, far behind any that a file has, and how that is locked.
    fn as_range(self) -> (i64, ByteLock) {
        const APPENDING: i64 = i64::MAX - 2;
        const NAMES: i64 = i64::MAX - 1;
        match self {
            Lock::Append => (APPENDING, ByteLock::Shared),
            Lock::Alone => (APPENDING, ByteLock::Exclusive),
            Lock::Names => (NAMES, ByteLock::Exclusive),
        }
    }
}

impl From<fs::Metadata> for Facts {
    fn from(metadata: fs::Metadata) -> Self {
        let kind = if metadata.is_file() {
            Kind::Regular
        } else if metadata.file_type().is_char_device() {
            Kind::Device
        } else {
            Kind::Other
        };
        Facts {
            identity: (metadata.dev(), metadata.ino()),
            kind,
            names: metadata.nlink(),
            length: metadata.len(),
            modified: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rename_spares_what_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let [from, to] = ["from", "to"].map(|name| directory.path().join(name));
        [&from, &to].into_iter().for_each(|path| fs::write(path, path.to_str().unwrap()).unwrap());
        assert_eq!(System.rename(&from, &to).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&to).unwrap(), to.to_str().unwrap());
        fs::remove_file(&to).unwrap();
        System.rename(&from, &to).unwrap();
        assert_eq!(fs::read_to_string(&to).unwrap(), from.to_str().unwrap());
    }

    #[test]
    fn any_number_appends_and_one_has_a_file_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("app.log");
        let [first, second] = [System.create(&path).unwrap(), System.open(&path).unwrap()];
        assert!(
            System.try_lock(&first, Lock::Append).unwrap() && System.try_lock(&second, Lock::Append).unwrap()
        );
        assert!(!System.try_lock(&second, Lock::Alone).unwrap());
        assert!(
            System.try_lock(&second, Lock::Names).unwrap() && !System.try_lock(&first, Lock::Names).unwrap()
        );
        System.unlock(&second, Lock::Names).unwrap();
        assert!(System.try_lock(&first, Lock::Names).unwrap());
        drop(first);
        assert!(System.try_lock(&second, Lock::Alone).unwrap());
        let third = System.open(&path).unwrap();
        assert!(!System.try_lock(&third, Lock::Append).unwrap());
        drop(second);
        assert!(System.try_lock(&third, Lock::Append).unwrap());
    }
}
