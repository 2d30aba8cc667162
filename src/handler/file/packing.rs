//! Compressing one rolled file after the other, on a thread of its own.
//!
//! ```text
//!    listener                                          the thread, one for each file
//!       │
//!   which file is next? ──── its path ──────────► open it, lock it: does nobody append to it any more?
//!       ┊                                              │
//!       ┊                                         compress it into app.log.compressing, sync that
//!       ┊                                              │
//!   exchange the names  ◄─── both files, locked ───────┘
//! ```
//!
//! Only the listener gives names to files: it alone moves numbered ones up, and knows then where the one is that was
//! compressed meanwhile. The thread writes to one name only, which has the same lock for all processes; what a process that
//! died left there is begun anew. So whenever it all ends, either the plain file is there or the compressed one, whole, and
//! maybe for a moment both.
//!
//! There is no list of what is to be compressed but the directory: the next process finds what this one did not come to.

use std::fmt;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::backoff::BackOff;
use super::compression::Compression;
use crate::fault::guarded;
use crate::os;
use crate::output::files::Kind;
use crate::output::{Facts, Files, Lock};
use crate::sync::{Arc, AtomicBool, Mutex, Ordering};

/// So the thread is called.
const THREAD_NAME: &str = "treering-pack";

/// See the module's documentation.
pub(super) struct Packing<F: Files> {
    files: F,
    pub(super) compression: Compression,
    workbench: PathBuf,
    mode: u32,
    /// Whether some file may wait to be compressed.
    is_wanted: bool,
    /// Those that were tried since one rolled, or since all had to wait.
    skipped: Vec<PathBuf>,
    trying: BackOff,
    job: Option<Arc<Job<F>>>,
    start: fn(Box<dyn FnOnce() + Send>) -> io::Result<()>,
}

/// What the thread does, and what came of it.
struct Job<F: Files> {
    is_over: AtomicBool,
    is_cancelled: AtomicBool,
    result: Mutex<Option<io::Result<Option<Packed<F>>>>>,
}

/// A file that was compressed, and what it became: both open, and locked by that.
pub(super) struct Packed<F: Files> {
    _source: F::File,
    _workbench: F::File,
    /// What the source was when it was read.
    pub(super) made_of: Facts,
}

impl<F: Files> Packing<F> {
    pub(super) fn new(files: F, compression: Compression, workbench: PathBuf, mode: u32) -> Self {
        Packing {
            files,
            compression,
            workbench,
            mode,
            is_wanted: true,
            skipped: Vec::new(),
            trying: BackOff::new(),
            job: None,
            start: start_thread,
        }
    }

    /// A file rolled, and numbered ones have other names.
    pub(super) fn want(&mut self) {
        self.is_wanted = true;
        self.skipped.clear();
    }

    /// Whether a file is being compressed, or was and waits for its name.
    pub(super) fn is_busy(&self) -> bool {
        self.job.is_some()
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.is_wanted && self.trying.is_due(now)
    }

    /// What came of the last file, if it is done. `Ok(None)`: it is not its time yet.
    pub(super) fn result(&mut self) -> Option<io::Result<Option<Packed<F>>>> {
        let job = self.job.take_if(|job| job.is_over.load(Ordering::Acquire))?;
        job.result.lock().take()
    }

    /// Begins with the first of these, the newest first, that was not skipped.
    pub(super) fn begin(&mut self, waiting: Vec<PathBuf>, now: Instant) -> io::Result<()> {
        if waiting.is_empty() {
            self.is_wanted = false;
            return self.clear_workbench();
        }
        let Some(path) = waiting.into_iter().find(|path| !self.skipped.contains(path)) else {
            self.skipped.clear();
            self.trying.postpone(now);
            return Ok(());
        };
        self.skipped.push(path.clone());
        let job = Arc::new(Job {
            is_over: AtomicBool::new(false),
            is_cancelled: AtomicBool::new(false),
            result: Mutex::new(None),
        });
        self.job = Some(job.clone());
        let (files, compression) = (self.files.clone(), self.compression);
        let (workbench, mode) = (self.workbench.clone(), self.mode);
        let work = move || {
            let packed = guarded(|| job.pack(&files, compression, &path, &workbench, mode));
            *job.result.lock() = Some(packed.unwrap_or_else(|panic| Err(io::Error::other(panic))));
            job.is_over.store(true, Ordering::Release);
        };
        (self.start)(Box::new(work)).inspect_err(|_| self.job = None)
    }

    pub(super) fn succeed(&mut self) {
        self.trying.succeed();
    }

    /// It failed. Whether that is news.
    pub(super) fn fail(&mut self, now: Instant) -> bool {
        self.trying.fail(now)
    }

    /// Ends what is being compressed at the next few kilobytes. Nobody waits for it.
    pub(super) fn cancel(&self) {
        if let Some(job) = &self.job {
            job.is_cancelled.store(true, Ordering::Relaxed);
        }
    }

    /// Removes what a process that died left, where nothing waits that would be written over it.
    fn clear_workbench(&self) -> io::Result<()> {
        if self.files.facts_at(&self.workbench).is_ok()
            && let Some(_ours) = take_workbench(&self.files, &self.workbench)?
        {
            self.files.remove(&self.workbench)?;
        }
        Ok(())
    }
}

impl<F: Files> Drop for Packing<F> {
    fn drop(&mut self) {
        self.cancel();
    }
}

impl<F: Files> Job<F> {
    /// `None` where somebody appends to the file still, another process compresses one, or this was cancelled.
    fn pack(
        &self,
        files: &F,
        compression: Compression,
        path: &Path,
        workbench: &Path,
        mode: u32,
    ) -> io::Result<Option<Packed<F>>> {
        let source = match files.open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let made_of = files.facts(&source)?;
        if made_of.kind != Kind::Regular || !files.try_lock(&source, Lock::Alone)? {
            return Ok(None);
        }
        let Some(packed) = take_workbench(files, workbench)? else { return Ok(None) };
        let mut from = Source { files, file: &source, position: 0, is_cancelled: &self.is_cancelled };
        let result = compression
            .run(&mut from, &mut Output { files, file: &packed })
            .and_then(|()| files.set_mode(&packed, mode))
            .and_then(|()| files.sync_as_of(&packed, made_of.modified));
        if self.is_cancelled.load(Ordering::Relaxed) {
            return files.remove(workbench).map(|()| None);
        }
        if let Err(error) = result {
            // It is begun anew anyway; but it may be what fills the disk.
            let _ = files.remove(workbench);
            return Err(error);
        }
        Ok(Some(Packed { _source: source, _workbench: packed, made_of }))
    }
}

/// The empty file that a compressed one is written to, locked; `None` if another process has it.
fn take_workbench<F: Files>(files: &F, path: &Path) -> io::Result<Option<F::File>> {
    let file = match files.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => files.create(path)?,
        opened => opened?,
    };
    if !files.try_lock(&file, Lock::Alone)? {
        return Ok(None);
    }
    // Who had the lock before may have given the file its name.
    let facts = files.facts(&file)?;
    if facts.kind != Kind::Regular || files.facts_at(path)?.identity != facts.identity {
        return Ok(None);
    }
    files.truncate(&file)?;
    Ok(Some(file))
}

fn start_thread(work: Box<dyn FnOnce() + Send>) -> io::Result<()> {
    os::without_signals(|| {
        os::spawn(THREAD_NAME, || {
            // Where that is forbidden it runs as any.
            let _ = os::run_when_idle();
            work();
        })
    })
}

/// A file that is read from its beginning, until somebody cancels it.
struct Source<'a, F: Files> {
    files: &'a F,
    file: &'a F::File,
    position: u64,
    is_cancelled: &'a AtomicBool,
}

impl<F: Files> Read for Source<'_, F> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.is_cancelled.load(Ordering::Relaxed) {
            return Err(io::Error::other("cancelled"));
        }
        let read = self.files.read_at(self.file, bytes, self.position)?;
        self.position += read as u64;
        Ok(read)
    }
}

/// A file that is appended to.
struct Output<'a, F: Files> {
    files: &'a F,
    file: &'a F::File,
}

impl<F: Files> Write for Output<'_, F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.files.write(self.file, bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<F: Files> fmt::Debug for Packing<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packing")
            .field("compression", &self.compression)
            .field("is_busy", &self.is_busy())
            .finish_non_exhaustive()
    }
}

/// For tests: compresses in the call that begins it, and tries again at once.
#[cfg(test)]
impl<F: Files> Packing<F> {
    pub(super) fn eager(&mut self) {
        self.trying = BackOff::eager();
        self.start = |work| {
            work();
            Ok(())
        };
    }
}
