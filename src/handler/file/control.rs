//! What other threads ask of a file that its listener writes to.

use crate::sync::{Arc, AtomicBool, Ordering};

/// Asks a [`File`](super::File) to open its path anew, or to roll. From [`File::control`](super::File::control).
///
/// What is asked is done before the next record is written, or at the next flush. Asking is one store: it may be done
/// from any thread and from a signal handler.
///
/// ```
/// use std::time::Duration;
/// use treering::{handler, info};
///
/// # let directory = tempfile::tempdir().unwrap();
/// # let path = directory.path().join("app.log");
/// let file = handler::File::append(&path)?;
/// let control = file.control(); // for the thread that waits for SIGHUP
/// let (logger, guard) = treering::builder().handler(file).start()?;
/// info!(logger: logger, "before");
/// guard.flush(Duration::from_secs(5))?;
/// std::fs::rename(&path, path.with_extension("old")).unwrap();
/// control.reopen();
/// info!(logger: logger, "after");
/// guard.stop(Duration::from_secs(5))?.assert_balanced();
/// assert!(std::fs::read_to_string(&path).unwrap().ends_with("after\n"));
/// # Ok::<(), treering::Error>(())
/// ```
#[derive(Clone, Default, Debug)]
pub struct FileControl(Arc<Wishes>);

#[derive(Default, Debug)]
struct Wishes {
    reopen_wanted: AtomicBool,
    roll_wanted: AtomicBool,
}

impl FileControl {
    /// Asks for the path to be opened anew, as after somebody moved the file away.
    ///
    /// ```
    /// let control = treering::handler::File::append("/dev/null")?.control();
    /// control.reopen();
    /// # Ok::<(), treering::Error>(())
    /// ```
    pub fn reopen(&self) {
        self.0.reopen_wanted.store(true, Ordering::Release);
    }

    /// Asks the file to roll, if it has a [`Rotation`](super::Rotation) and is not empty. What was logged before may
    /// still be on its way: a flush before this brings it to the old file.
    ///
    /// ```
    /// use treering::handler::{File, Rotation};
    /// let control = File::options().rotate(Rotation::new()).open("/dev/null")?.control();
    /// control.roll();
    /// # Ok::<(), treering::Error>(())
    /// ```
    pub fn roll(&self) {
        self.0.roll_wanted.store(true, Ordering::Release);
    }

    pub(super) fn wants_reopen(&self) -> bool {
        self.0.reopen_wanted.load(Ordering::Acquire)
    }

    /// What is asked from now on is asked anew.
    pub(super) fn take_reopen(&self) {
        self.0.reopen_wanted.store(false, Ordering::Release);
    }

    pub(super) fn wants_roll(&self) -> bool {
        self.0.roll_wanted.load(Ordering::Acquire)
    }

    pub(super) fn take_roll(&self) {
        self.0.roll_wanted.store(false, Ordering::Release);
    }
}
