//! Opening files to append to, with care for who else may look or may have laid a trap.
//!
//! * A new file is the owner's alone, mode 0600, unless asked otherwise; the mode is set on the open file and not left
//!   to the umask. The mode of a file that is there is left as it is.
//! * The last part of the path is not followed if it is a symbolic link: in a directory that others may write to,
//!   a link called `app.log` would have us append to any file of ours. Directories on the way are followed.
//! * Only regular files and character devices (`/dev/null`, a terminal) are taken. A FIFO would hold the opener,
//!   and later the listener, until somebody reads.
//! * The descriptor is not inherited by programs that this one starts.
//! * If the file ends in the middle of a line, because a process died there, that line is ended before the first
//!   of ours. It is opened for reading too, to look at its last byte.
//!
//! Appends of several processes to one file do not mix within a `write(2)`, but each process can only keep its own lines
//! whole. Each holds [`Lock::Append`] as long as it has the file open, and after it has taken it looks whether the path
//! names the file still: so whoever has given the file another name and then finds nobody at it knows that nobody will come.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::Lines;
use super::files::{CREATION_MODE, Facts, Files, Kind, Lock};
use crate::sync::nap;

/// So often may the file come and go between the call that opens and the one that creates: another process renames
/// it just then.
const TRIES_MAX: u32 = 10;

/// How a file is opened.
#[derive(Clone, Debug)]
pub(crate) struct How {
    /// Who may do what with a file that is created.
    pub(crate) mode: u32,
    /// Whether the directories that lead to it are created, for their owner alone.
    pub(crate) creates_directories: bool,
}

/// So long may a write of another process take to become visible as a whole. The files of a model have no other.
const WRITE_MAX: Duration = if cfg!(test) { Duration::ZERO } else { Duration::from_millis(20) };

/// Directories are their owner's alone, too.
const DIRECTORY_MODE: u32 = 0o700;

impl Default for How {
    fn default() -> Self {
        How { mode: CREATION_MODE, creates_directories: false }
    }
}

/// An open file that lines are appended to.
#[derive(Debug)]
pub(crate) struct Appended<F: Files> {
    files: F,
    file: F::File,
    /// As it was when it was opened; which file it is does not change.
    facts: Facts,
    /// How long it is, as far as we know: others may append to it or truncate it.
    length: u64,
    /// Whether it ends in the middle of a line.
    is_torn: bool,
    /// Nobody will ever read what is written to it.
    is_deleted: bool,
}

/// What became of a file since it was opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    /// Its path names it still.
    Same,
    /// It does, but what we wrote is not all there: somebody made it shorter.
    Truncated,
    /// Its path names another file, or none. If no other path names the file either, it takes nothing more.
    Gone,
}

impl<F: Files> Appended<F> {
    /// Opens `path`, and creates it if there is nothing.
    ///
    /// # Errors
    /// Where the system refuses, the last part of the path is a link, or what is there is neither a regular file nor
    /// a character device.
    pub(crate) fn open(files: F, path: &Path, how: &How) -> io::Result<Self> {
        if how.creates_directories {
            files.create_directories(directory_of(path), DIRECTORY_MODE)?;
        }
        let (file, facts) = open_to_stay(&files, path, how)?;
        let is_torn = facts.kind == Kind::Regular && ends_torn(&files, &file, facts.length)?;
        Ok(Appended { files, file, facts, length: facts.length, is_torn, is_deleted: false })
    }

    /// Takes the lock on the names of this file and of those that had its name before. Where a file system knows no
    /// locks everybody has it.
    pub(crate) fn lock_names(&self) -> bool {
        self.files.try_lock(&self.file, Lock::Names).unwrap_or(true)
    }

    pub(crate) fn unlock_names(&self) {
        // Where it fails there was none.
        let _ = self.files.unlock(&self.file, Lock::Names);
    }

    /// Empties it.
    pub(crate) fn truncate(&mut self) -> io::Result<()> {
        if self.is_regular() {
            self.files.truncate(&self.file)?;
            self.length = 0;
            self.is_torn = false;
        }
        Ok(())
    }

    pub(crate) fn is_regular(&self) -> bool {
        self.facts.kind == Kind::Regular
    }

    pub(crate) fn is_torn(&self) -> bool {
        self.is_torn
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    pub(crate) fn facts(&self) -> Facts {
        self.facts
    }

    /// Brings what was written to the disk. Devices have none.
    pub(crate) fn sync(&self) -> io::Result<()> {
        if self.is_regular() { self.files.sync(&self.file) } else { Ok(()) }
    }

    /// Whether it had no name any more when it was looked after last.
    pub(crate) fn is_deleted(&self) -> bool {
        self.is_deleted
    }

    /// Looks whether `path` still names it, and how long it is. Where the system does not say, nothing has changed.
    pub(crate) fn look_after(&mut self, path: &Path) -> Fate {
        let fate = self.fate(path);
        self.is_deleted = fate == Fate::Gone
            && self.is_regular()
            && self.files.facts(&self.file).is_ok_and(|facts| facts.names == 0);
        fate
    }

    fn fate(&mut self, path: &Path) -> Fate {
        match self.files.facts_at(path) {
            Ok(there) if there.identity != self.facts.identity => Fate::Gone,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Fate::Gone,
            Ok(there) if self.is_regular() => {
                let before = std::mem::replace(&mut self.length, there.length);
                if there.length < before { Fate::Truncated } else { Fate::Same }
            }
            Ok(_) | Err(_) => Fate::Same,
        }
    }
}

impl<F: Files> io::Write for Appended<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_deleted {
            return Err(io::Error::other("the file was deleted, and its path cannot be opened anew"));
        }
        let written = self.files.write(&self.file, bytes)?;
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<F: Files> From<Appended<F>> for Lines<Appended<F>> {
    fn from(file: Appended<F>) -> Self {
        if file.is_torn() { Lines::after_torn_line(file) } else { Lines::new(file) }
    }
}

/// Where a path's file is: the working directory if it does not say.
pub(crate) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// Whether it ends in the middle of a line. One that grows is being written by somebody else, and was looked at halfway.
fn ends_torn<F: Files>(files: &F, file: &F::File, mut length: u64) -> io::Result<bool> {
    let mut last = [b'\n'];
    while length > 0 {
        files.read_at(file, &mut last, length - 1)?;
        if last == [b'\n'] {
            return Ok(false);
        }
        nap(WRITE_MAX);
        let before = std::mem::replace(&mut length, files.facts(file)?.length);
        if length == before {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Opens the file, says that somebody appends to it, and looks whether the path still names it then.
fn open_to_stay<F: Files>(files: &F, path: &Path, how: &How) -> io::Result<(F::File, Facts)> {
    let mut tries = 1;
    loop {
        let file = open_or_create(files, path, how)?;
        let facts = files.facts(&file)?;
        match facts.kind {
            Kind::Other => return Err(io::Error::other("neither a regular file nor a character device")),
            Kind::Device => return Ok((file, facts)),
            Kind::Regular => {}
        }
        // Nothing follows from a file system without locks but that files there are not compressed.
        let is_free = files.try_lock(&file, Lock::Append).unwrap_or(true);
        let is_there = match files.facts_at(path) {
            Ok(there) => there.identity == facts.identity,
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        };
        if (is_free && is_there) || tries == TRIES_MAX {
            return Ok((file, facts));
        }
        tries += 1;
    }
}

/// A file that we create gets its mode; one that is there keeps its own.
fn open_or_create<F: Files>(files: &F, path: &Path, how: &How) -> io::Result<F::File> {
    let mut tries = 1;
    loop {
        match files.open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && tries < TRIES_MAX => {}
            opened => return opened,
        }
        match files.create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => tries += 1,
            created => {
                let file = created?;
                match files.set_mode(&file, how.mode) {
                    // A file system without modes, of which nobody expects another one.
                    Err(_) if how.mode == CREATION_MODE => {}
                    result => result?,
                }
                return Ok(file);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::System;
    use super::super::testing::Model;
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn open(path: &Path) -> io::Result<Appended<System>> {
        Appended::open(System, path, &How::default())
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_new_file_has_its_mode_whatever_the_umask_and_an_old_one_keeps_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("app.log");
        open(&path).unwrap();
        assert_eq!(mode(&path), 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        open(&path).unwrap();
        assert_eq!(mode(&path), 0o640);
        let shared = directory.path().join("shared.log");
        Appended::open(System, &shared, &How { mode: 0o666, ..How::default() }).unwrap();
        assert_eq!(mode(&shared), 0o666, "a umask of 022 would have made it 0644");
    }

    #[test]
    fn directories_are_made_if_that_is_asked_for_and_are_their_owners_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b/app.log");
        assert_eq!(open(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
        let how = How { creates_directories: true, ..How::default() };
        Appended::open(System, &path, &how).unwrap();
        assert_eq!((mode(&directory.path().join("a")), mode(path.parent().unwrap())), (0o700, 0o700));
        Appended::open(System, &path, &how).unwrap();
    }

    #[test]
    fn a_symbolic_link_is_refused_and_its_aim_untouched() {
        let directory = tempfile::tempdir().unwrap();
        let (aim, link) = (directory.path().join("precious"), directory.path().join("app.log"));
        fs::write(&aim, "keep\n").unwrap();
        symlink(&aim, &link).unwrap();
        assert_eq!(open(&link).unwrap_err().raw_os_error(), Some(libc::ELOOP));
        symlink(directory.path().join("not there yet"), directory.path().join("dangling")).unwrap();
        assert!(open(&directory.path().join("dangling")).is_err());
        assert_eq!(fs::read(&aim).unwrap(), b"keep\n");
        assert!(!directory.path().join("not there yet").exists());
    }

    #[test]
    fn a_fifo_and_a_directory_are_refused_at_once_and_devices_are_taken() {
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let message = open(&fifo).unwrap_err().to_string();
        assert!(message.contains("neither a regular file nor a character device"), "{message}");
        assert!(open(directory.path()).is_err());
        open(Path::new("/dev/null")).unwrap().sync().unwrap();
        open(Path::new("/dev/full")).unwrap();
    }

    #[test]
    fn what_is_there_stays_and_a_torn_last_line_is_ended() {
        let directory = tempfile::tempdir().unwrap();
        for (before, after) in [("", "new\n"), ("old\n", "old\nnew\n"), ("torn", "torn\nnew\n")] {
            let path = directory.path().join("app.log");
            fs::write(&path, before).unwrap();
            let mut lines = Lines::from(open(&path).unwrap());
            lines.push(b"new\n");
            lines.write().unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), after);
            assert_eq!(lines.out().length(), after.len() as u64);
        }
    }

    #[test]
    fn a_line_that_another_process_is_just_writing_is_not_torn() {
        const PATH: &str = "/log/app.log";
        // Calls: to open, its facts, the lock, what the path names, its last byte, its facts again, the last byte again.
        for (before_call, is_torn) in [(4, false), (5, false), (7, true)] {
            let model = Model::default();
            model.put(PATH, "one\ntw");
            model.append_before(before_call, PATH, "o\n");
            let file = Appended::open(model, Path::new(PATH), &How::default()).unwrap();
            assert_eq!(file.is_torn(), is_torn, "the rest of the line came before call {before_call}");
        }
    }

    #[test]
    fn it_sees_what_became_of_its_path() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("app.log");
        fs::write(&path, "before\n").unwrap();
        let mut file = open(&path).unwrap();
        assert_eq!((file.look_after(&path), file.length()), (Fate::Same, 7));
        fs::write(&path, "").unwrap();
        assert_eq!((file.look_after(&path), file.length()), (Fate::Truncated, 0));
        fs::write(&path, "longer").unwrap();
        assert_eq!((file.look_after(&path), file.length()), (Fate::Same, 6));
        fs::rename(&path, directory.path().join("app.log.1")).unwrap();
        assert_eq!(file.look_after(&path), Fate::Gone);
        fs::write(&path, "another\n").unwrap();
        assert_eq!(file.look_after(&path), Fate::Gone);
    }
}
