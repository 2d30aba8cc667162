//! A file system in memory that fails where a test says so.
//!
//! Every call through the seam has a number. A [`Fault`] names the call that fails and how; a crash is a fault after
//! which nothing works any more, until the test starts the next process with [`Model::restart`]. Names and files are
//! apart, as in a real one: a file that is renamed or removed while it is open goes on.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::files::{Facts, Files, Kind, Lock};
use crate::sync::{Arc, Mutex};

/// What goes wrong, from which call on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// This call is refused, with this code.
    Once(usize, i32),
    /// This call is refused and all that follow.
    Forever(usize, i32),
    /// This call takes a part if it is a write, and is as it should be otherwise.
    Short(usize),
    /// This call takes a part if it is a write, and all that follow are refused.
    Torn(usize, i32),
    /// The process dies in this call: a write takes a part, everything else does nothing.
    Crash(usize),
}

/// See the module's documentation. Clones are the same file system.
#[derive(Clone, Default, Debug)]
pub(crate) struct Model(Arc<Mutex<State>>);

#[derive(Default, Debug)]
struct State {
    names: BTreeMap<PathBuf, usize>,
    /// Those that would survive a power failure, whatever else does.
    synced_names: BTreeMap<PathBuf, usize>,
    /// What the names were after each change since then: a power failure may leave any of these, as journals keep the order.
    changes: Vec<BTreeMap<PathBuf, usize>>,
    inodes: Vec<Inode>,
    /// How many calls there were.
    calls: usize,
    fault: Option<Fault>,
    /// What another process appends to this file before a call.
    meanwhile: Option<(usize, PathBuf, String)>,
    /// The locks that open files have, by the numbers of the files.
    locks: Vec<(usize, usize, Lock)>,
    /// How many files were opened, and how many of them are open.
    opened: usize,
    open: usize,
    /// The time, in seconds after 1970.
    now: u64,
}

#[derive(Clone, Default, Debug)]
struct Inode {
    bytes: Vec<u8>,
    /// How many of them would survive a power failure.
    synced: usize,
    mode: u32,
    /// In seconds after 1970.
    modified: u64,
}

/// An open file of a [`Model`].
#[derive(Debug)]
pub(crate) struct ModelFile {
    model: Model,
    /// Distinguishes those that have the same file open.
    number: usize,
    inode: usize,
}

impl Drop for ModelFile {
    fn drop(&mut self) {
        let mut state = self.model.0.lock();
        state.open -= 1;
        state.locks.retain(|&(number, ..)| number != self.number);
    }
}

/// What a power failure leaves of the bytes that were not synced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unsynced {
    Lost,
    Torn,
    Kept,
}

/// How a call goes on.
enum Verdict {
    Works,
    TakesHalf,
    /// A write takes half, and then the process is dead.
    Dies,
}

impl State {
    fn call(&mut self) -> io::Result<Verdict> {
        let call = self.calls;
        self.calls += 1;
        if let Some((_, path, text)) = self.meanwhile.take_if(|(at, ..)| *at == call) {
            let inode = self.names[&path];
            self.inodes[inode].bytes.extend_from_slice(text.as_bytes());
        }
        let refused = |code| Err(io::Error::from_raw_os_error(code));
        match self.fault {
            Some(Fault::Once(at, code)) if call == at => refused(code),
            Some(Fault::Forever(at, code)) if call >= at => refused(code),
            Some(Fault::Short(at) | Fault::Torn(at, _)) if call == at => Ok(Verdict::TakesHalf),
            Some(Fault::Torn(at, code)) if call > at => refused(code),
            Some(Fault::Crash(at)) if call == at => Ok(Verdict::Dies),
            Some(Fault::Crash(at)) if call > at => refused(libc::EIO),
            _ => Ok(Verdict::Works),
        }
    }

    /// A call that works as a whole or not at all.
    fn whole_call(&mut self) -> io::Result<()> {
        match self.call()? {
            Verdict::Dies => Err(io::Error::from_raw_os_error(libc::EIO)),
            Verdict::Works | Verdict::TakesHalf => Ok(()),
        }
    }

    fn find(&self, path: &Path) -> io::Result<usize> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// The names are others now, and not synced yet.
    fn renamed(&mut self) {
        self.changes.push(self.names.clone());
    }

    fn facts(&self, inode: usize) -> Facts {
        let Inode { bytes, modified, .. } = &self.inodes[inode];
        Facts {
            identity: (0, inode as u64),
            kind: Kind::Regular,
            names: self.names.values().filter(|named| **named == inode).count() as u64,
            length: bytes.len() as u64,
            modified: SystemTime::UNIX_EPOCH + Duration::from_secs(*modified),
        }
    }
}

impl Model {
    /// From now on this goes wrong; calls are counted from 0 again.
    pub(crate) fn set_fault(&self, fault: Option<Fault>) {
        let mut state = self.0.lock();
        (state.fault, state.calls) = (fault, 0);
    }

    /// Somebody else appends this to a file before that call, counted from the next one.
    pub(crate) fn append_before(&self, call: usize, path: &str, text: &str) {
        let mut state = self.0.lock();
        state.meanwhile = Some((state.calls + call, path.into(), text.to_owned()));
    }

    /// The next process finds what the last one left.
    pub(crate) fn restart(&self) {
        self.set_fault(None);
    }

    /// How many changes of names a power failure may undo, the last ones first.
    pub(crate) fn unsynced_changes(&self) -> usize {
        self.0.lock().changes.len()
    }

    /// The power fails: so many of the changes of names that were not synced are kept, in their order.
    pub(crate) fn cut_power(&self, changes: usize, unsynced: Unsynced) {
        let mut state = self.0.lock();
        state.names = match changes {
            0 => state.synced_names.clone(),
            kept => state.changes[kept - 1].clone(),
        };
        state.changes.clear();
        for inode in &mut state.inodes {
            let more = inode.bytes.len() - inode.synced;
            inode.bytes.truncate(match unsynced {
                Unsynced::Lost => inode.synced,
                Unsynced::Torn => inode.synced + more / 2,
                Unsynced::Kept => inode.synced + more,
            });
        }
    }

    /// What is written from now on is modified then, in seconds after 1970.
    pub(crate) fn set_time(&self, second: u64) {
        self.0.lock().now = second;
    }

    /// How many calls there were since the last fault was set.
    pub(crate) fn calls(&self) -> usize {
        self.0.lock().calls
    }

    pub(crate) fn open_files(&self) -> usize {
        self.0.lock().open
    }

    /// Puts a file there, as somebody else would.
    pub(crate) fn put(&self, path: &str, bytes: &str) {
        let mut state = self.0.lock();
        let inode = state.inodes.len();
        state.inodes.push(Inode { bytes: bytes.into(), ..Inode::default() });
        state.names.insert(path.into(), inode);
    }

    /// Empties a file, as somebody else would.
    pub(crate) fn empty(&self, path: &str) {
        let mut state = self.0.lock();
        let inode = state.names[Path::new(path)];
        state.inodes[inode].bytes.clear();
        state.inodes[inode].synced = 0;
    }

    /// Moves a file, as somebody else would.
    pub(crate) fn move_away(&self, from: &str, to: &str) {
        let mut state = self.0.lock();
        let inode = state.names.remove(Path::new(from)).unwrap();
        state.names.insert(to.into(), inode);
    }

    /// Takes the name away, as somebody else would.
    pub(crate) fn delete(&self, path: &str) {
        self.0.lock().names.remove(Path::new(path)).unwrap();
    }

    /// All names and what stands there.
    pub(crate) fn contents(&self) -> BTreeMap<String, Vec<u8>> {
        let state = self.0.lock();
        let bytes = |inode: usize| state.inodes[inode].bytes.clone();
        state.names.iter().map(|(path, &inode)| (path.display().to_string(), bytes(inode))).collect()
    }

    /// The same, where all is text.
    pub(crate) fn all(&self) -> BTreeMap<String, String> {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        self.contents().into_iter().map(|(path, bytes)| (path, text(bytes))).collect()
    }

    /// Who may do what with it.
    #[cfg(feature = "gzip")]
    pub(crate) fn mode(&self, path: &str) -> u32 {
        let state = self.0.lock();
        state.inodes[state.names[Path::new(path)]].mode
    }

    /// What stands there.
    #[track_caller]
    pub(crate) fn text(&self, path: &str) -> String {
        let bytes = self.contents().remove(path).unwrap_or_else(|| panic!("there is no {path} in {self:?}"));
        String::from_utf8(bytes).unwrap()
    }

    /// How much of it would be found under this name after a power failure.
    pub(crate) fn synced(&self, path: &str) -> usize {
        let state = self.0.lock();
        state.synced_names.get(Path::new(path)).map_or(0, |&inode| state.inodes[inode].synced)
    }

    fn opened(&self, inode: usize) -> ModelFile {
        let mut state = self.0.lock();
        state.open += 1;
        state.opened += 1;
        ModelFile { model: self.clone(), number: state.opened, inode }
    }
}

impl Files for Model {
    type File = ModelFile;

    fn create(&self, path: &Path) -> io::Result<ModelFile> {
        let mut state = self.0.lock();
        state.whole_call()?;
        if state.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = state.inodes.len();
        let modified = state.now;
        state.inodes.push(Inode { modified, ..Inode::default() });
        state.names.insert(path.to_owned(), inode);
        state.renamed();
        drop(state);
        Ok(self.opened(inode))
    }

    fn open(&self, path: &Path) -> io::Result<ModelFile> {
        let mut state = self.0.lock();
        state.whole_call()?;
        let inode = state.find(path)?;
        drop(state);
        Ok(self.opened(inode))
    }

    fn facts(&self, file: &ModelFile) -> io::Result<Facts> {
        let mut state = self.0.lock();
        state.whole_call()?;
        Ok(state.facts(file.inode))
    }

    fn facts_at(&self, path: &Path) -> io::Result<Facts> {
        let mut state = self.0.lock();
        state.whole_call()?;
        let inode = state.find(path)?;
        Ok(state.facts(inode))
    }

    fn read_at(&self, file: &ModelFile, bytes: &mut [u8], position: u64) -> io::Result<usize> {
        let mut state = self.0.lock();
        let verdict = state.call()?;
        let there = state.inodes[file.inode].bytes.get(position as usize..).unwrap_or_default();
        let read = match verdict {
            Verdict::Works => there.len().min(bytes.len()),
            Verdict::TakesHalf => there.len().min(bytes.len()).div_ceil(2),
            Verdict::Dies => return Err(io::Error::from_raw_os_error(libc::EIO)),
        };
        bytes[..read].copy_from_slice(&there[..read]);
        Ok(read)
    }

    fn write(&self, file: &ModelFile, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.0.lock();
        let verdict = state.call()?;
        let taken = match verdict {
            Verdict::Works => bytes.len(),
            Verdict::TakesHalf | Verdict::Dies => bytes.len().div_ceil(2),
        };
        let modified = state.now;
        let inode = &mut state.inodes[file.inode];
        inode.bytes.extend_from_slice(&bytes[..taken]);
        inode.modified = modified;
        match verdict {
            Verdict::Dies => Err(io::Error::from_raw_os_error(libc::EIO)),
            Verdict::Works | Verdict::TakesHalf => Ok(taken),
        }
    }

    fn sync(&self, file: &ModelFile) -> io::Result<()> {
        let mut state = self.0.lock();
        state.whole_call()?;
        let inode = &mut state.inodes[file.inode];
        inode.synced = inode.bytes.len();
        Ok(())
    }

    fn sync_as_of(&self, file: &ModelFile, modified: SystemTime) -> io::Result<()> {
        let second = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        self.0.lock().inodes[file.inode].modified = second;
        self.sync(file)
    }

    fn try_lock(&self, file: &ModelFile, lock: Lock) -> io::Result<bool> {
        let mut state = self.0.lock();
        state.whole_call()?;
        let excludes = |other| match lock {
            Lock::Append => other == Lock::Alone,
            Lock::Alone => other != Lock::Names,
            Lock::Names => other == Lock::Names,
        };
        let is_taken = state
            .locks
            .iter()
            .any(|&(number, inode, other)| number != file.number && inode == file.inode && excludes(other));
        if !is_taken {
            state.locks.push((file.number, file.inode, lock));
        }
        Ok(!is_taken)
    }

    fn unlock(&self, file: &ModelFile, lock: Lock) -> io::Result<()> {
        let mut state = self.0.lock();
        state.whole_call()?;
        state.locks.retain(|&(number, _, held)| (number, held) != (file.number, lock));
        Ok(())
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.whole_call()?;
        let within = state.names.iter().filter(|(path, _)| path.parent() == Some(directory));
        state.synced_names = within.map(|(path, &inode)| (path.clone(), inode)).collect();
        state.changes.clear();
        Ok(())
    }

    fn truncate(&self, file: &ModelFile) -> io::Result<()> {
        let mut state = self.0.lock();
        state.whole_call()?;
        let inode = &mut state.inodes[file.inode];
        inode.bytes.clear();
        inode.synced = 0;
        Ok(())
    }

    fn set_mode(&self, file: &ModelFile, mode: u32) -> io::Result<()> {
        let mut state = self.0.lock();
        state.whole_call()?;
        state.inodes[file.inode].mode = mode;
        Ok(())
    }

    fn create_directories(&self, _: &Path, _: u32) -> io::Result<()> {
        self.0.lock().whole_call()
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let mut state = self.0.lock();
        state.whole_call()?;
        let within = state.names.keys().filter(|path| path.parent() == Some(directory));
        Ok(within.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.whole_call()?;
        let inode = state.find(from)?;
        if state.names.contains_key(to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.names.remove(from);
        state.names.insert(to.to_owned(), inode);
        state.renamed();
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.whole_call()?;
        state.find(path)?;
        state.names.remove(path);
        state.renamed();
        Ok(())
    }
}
