//! When the listener flushes a handler by itself.

use std::time::Duration;

use crate::level::{Level, LevelFilter};

/// Records wait in a handler's buffer at most this long while others arrive: a reader of the file should not notice
/// the buffer.
const HELD_MAX: Duration = Duration::from_millis(5);

/// When the listener flushes a handler that nobody asked to be flushed, given to it by
/// [`Handler::flush_policy`](super::Handler::flush_policy). Whichever of the conditions comes first counts.
///
/// By default a handler is flushed when the listener has nothing else to do, and when it has held records for 5 ms. A
/// [`flush`](crate::flush), the stop, and a buffer that is full, as that of `File` at 64 KiB, bring records out under any
/// policy. A handler that holds nothing after a batch, as `Console`, has nothing to be flushed for.
///
/// What it costs is the handler's flush, on the listener's thread: for `File` one `write(2)`, and what its
/// [`SyncPolicy`](super::SyncPolicy) adds. No caller waits for it, but rings fill up meanwhile.
///
/// ```
/// use std::time::Duration;
/// use treering::{Level, handler::{File, FlushPolicy, Handler}};
///
/// # let directory = tempfile::tempdir().unwrap();
/// # let path = directory.path().join("app.log");
/// // A write each second, or each 64 KiB; but what tells of an error is there at once.
/// let rare = FlushPolicy::new().when_idle(false).held_at_most(Duration::from_secs(1)).at_level(Level::Error);
/// let (_logger, guard) = treering::builder().handler(File::append(&path)?.flush_policy(rare)).start()?;
/// # Ok::<(), treering::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub struct FlushPolicy {
    pub(crate) when_idle: bool,
    pub(crate) held_max: Duration,
    pub(crate) level: LevelFilter,
    pub(crate) records: usize,
}

impl FlushPolicy {
    /// When idle, and after 5 ms.
    ///
    /// ```
    /// use treering::handler::FlushPolicy;
    /// assert_eq!(FlushPolicy::new(), FlushPolicy::default());
    /// ```
    pub fn new() -> Self {
        FlushPolicy { when_idle: true, held_max: HELD_MAX, level: LevelFilter::OFF, records: usize::MAX }
    }

    /// Whether it is flushed as soon as the listener has nothing else to do, which under the default way to
    /// [`Wait`](crate::Wait) is 50 µs after the last record. Default: yes.
    ///
    /// Without that, a quiet program's records wait for the other conditions, and the listener wakes up for
    /// [`held_at_most`](FlushPolicy::held_at_most) once in that time.
    ///
    /// ```
    /// let policy = treering::handler::FlushPolicy::new().when_idle(false);
    /// ```
    pub fn when_idle(mut self, flushes: bool) -> Self {
        self.when_idle = flushes;
        self
    }

    /// How long records may be held before it is flushed; `Duration::MAX` for as long as it likes. Default: 5 ms. A
    /// batch that is being handed out is not interrupted for it, and with [`Wait::Manual`](crate::Wait::Manual) somebody
    /// has to poll.
    ///
    /// Costs at most one flush in that time.
    ///
    /// ```
    /// # use std::time::Duration;
    /// let policy = treering::handler::FlushPolicy::new().held_at_most(Duration::from_millis(200));
    /// ```
    pub fn held_at_most(mut self, time: Duration) -> Self {
        self.held_max = time;
        self
    }

    /// After a batch in which it got a record of this level or a more severe one, it is flushed before the next batch.
    /// Default: never.
    ///
    /// Costs one flush for each such batch, of up to 1024 records: under a storm of errors these are few.
    ///
    /// ```
    /// let policy = treering::handler::FlushPolicy::new().at_level(treering::Level::Error);
    /// ```
    pub fn at_level(mut self, level: Level) -> Self {
        self.level = level.into();
        self
    }

    /// After so many records that it got, it is flushed before the next one; 0 counts as 1. Default: never.
    ///
    /// Costs one flush for so many records, and it gets them in batches of no more.
    ///
    /// ```
    /// let policy = treering::handler::FlushPolicy::new().each_records(100);
    /// ```
    pub fn each_records(mut self, records: usize) -> Self {
        self.records = records.max(1);
        self
    }
}

impl Default for FlushPolicy {
    fn default() -> Self {
        FlushPolicy::new()
    }
}
