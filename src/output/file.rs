//! Opening files for append, with care for who else may look or may have laid a trap.
//!
//! * A new file is the owner's alone: mode 0600. The mode of one that is there is left as it is.
//! * The last part of the path is not followed if it is a symbolic link: in a directory that others may write to,
//!   a link called `app.log` would have us append to any file of ours. Directories on the way are followed.
//! * Only regular files and character devices (`/dev/null`, a terminal) are taken. A FIFO would hold the opener,
//!   and later the listener, until somebody reads.
//! * The descriptor is not inherited by programs that this one starts.
//! * If the file ends in the middle of a line, because a process died there, that line is ended before the first
//!   of ours. It is opened for reading too, to look at its last byte.
//!
//! Appends of several processes to one file do not mix
//! within a `write(2)`, but each process can only keep its own lines whole.

use std::fs;
use std::io;
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::Path;

use super::Lines;
use crate::error::Error;

/// Opens `path` so that every write goes to its end.
///
/// # Errors
/// Where the system refuses, the last part of the path is a link, or what is there is neither a regular file nor a
/// character device.
pub(crate) fn append(path: &Path) -> Result<Lines<fs::File>, Error> {
    open(path).map_err(|error| Error::io("open", path, error))
}

fn open(path: &Path) -> io::Result<Lines<fs::File>> {
    // Opened to read and write a FIFO does not make us wait for its reader, so it can be looked at and refused.
    let flags = libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NOCTTY;
    let mut options = fs::OpenOptions::new();
    let file = options.read(true).append(true).create(true).mode(0o600).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_file() {
        let is_torn = is_torn(&file, metadata.len())?;
        Ok(if is_torn { Lines::after_torn_line(file) } else { Lines::new(file) })
    } else if metadata.file_type().is_char_device() {
        Ok(Lines::new(file))
    } else {
        Err(io::Error::other("neither a regular file nor a character device"))
    }
}

/// Whether the file ends in the middle of a line.
fn is_torn(file: &fs::File, length: u64) -> io::Result<bool> {
    let mut last = *b"\n";
    if length > 0 {
        file.read_exact_at(&mut last, length - 1)?;
    }
    Ok(last != *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn message(path: &Path) -> String {
        append(path).unwrap_err().to_string()
    }

    #[test]
    fn a_new_file_is_its_owners_alone_and_an_old_one_keeps_its_mode() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("app.log");
        let lines = append(&path).unwrap();
        assert_eq!(lines.out().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let lines = append(&path).unwrap();
        assert_eq!(lines.out().metadata().unwrap().permissions().mode() & 0o777, 0o640);
    }

    #[test]
    fn a_symbolic_link_is_refused_and_its_aim_untouched() {
        let directory = tempfile::tempdir().unwrap();
        let (aim, link) = (directory.path().join("precious"), directory.path().join("app.log"));
        fs::write(&aim, "keep\n").unwrap();
        symlink(&aim, &link).unwrap();
        let message = message(&link);
        assert!(message.contains("app.log") && message.contains("links are not followed"), "{message}");
        symlink(directory.path().join("not there yet"), directory.path().join("dangling")).unwrap();
        assert!(append(&directory.path().join("dangling")).is_err());
        assert_eq!(fs::read(&aim).unwrap(), b"keep\n");
        assert!(!directory.path().join("not there yet").exists());
    }

    #[test]
    fn a_fifo_and_a_directory_are_refused_at_once_and_devices_are_taken() {
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let message = message(&fifo);
        assert!(message.contains("neither a regular file nor a character device"), "{message}");
        assert!(append(directory.path()).is_err());
        append(Path::new("/dev/null")).unwrap();
        append(Path::new("/dev/full")).unwrap();
    }

    #[test]
    fn an_error_carries_the_path() {
        let message = message(Path::new("/no/such/directory/app.log"));
        assert!(message.starts_with("cannot open /no/such/directory/app.log: "), "{message}");
        assert!(message.ends_with("create its directory first"), "{message}");
    }

    #[test]
    fn what_is_there_stays_and_a_torn_last_line_is_ended() {
        let directory = tempfile::tempdir().unwrap();
        for (before, after) in [("", "new\n"), ("old\n", "old\nnew\n"), ("torn", "torn\nnew\n")] {
            let path = directory.path().join("app.log");
            fs::write(&path, before).unwrap();
            let mut lines = append(&path).unwrap();
            lines.push(b"new\n");
            lines.write().unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), after);
        }
    }
}
