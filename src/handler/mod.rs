//! Where records go: the [`Handler`] trait, and the handlers that come with treering.
//!
//! A handler is owned by the engine's listener and called on its thread only, so `&mut self` needs no lock. It gets
//! records in batches. What it may do wrong, the listener bounds: a panic or an error costs this handler the
//! record it was on; every other handler, and every other record, is untouched, and the loss is counted.

mod batch;
mod call;
mod capture;
mod console;
mod fallback;
mod file;
mod inner;
mod lane;
mod packed;
mod policy;
mod quarantine;
#[cfg(not(treering_loom))]
mod queue;
mod recorder;
mod routed;
mod selection;
mod stream;
#[cfg(test)]
pub(crate) mod testing;
mod texts;

pub use batch::{Batch, Records};
pub(crate) use batch::{Contents, Item, position_of};
pub(crate) use call::{Failure, Loss, Outcome, call_handler, informed};
pub use capture::{Capture, Captured, CapturedSpan, CapturedValue};
pub use console::Console;
pub use fallback::Or;
pub use file::{Compression, File, FileControl, FileOptions, Rotation, SyncPolicy, Weekday};
pub use lane::LaneOptions;
pub(crate) use packed::{packed, unpacked};
pub use policy::FlushPolicy;
pub(crate) use quarantine::{FAILURES_MAX, Quarantine};
#[cfg(not(treering_loom))]
pub use queue::QueueHandler;
pub use recorder::FlightRecorder;
pub(crate) use routed::Filter;
pub use routed::Routed;
pub(crate) use selection::{Selection, Selects};
pub(crate) use texts::Texts;

use std::error::Error as StdError;
use std::fmt;

use crate::level::LevelFilter;
use crate::record::Record;

/// Takes records to where they shall go.
///
/// Ten lines make one:
///
/// ```
/// use treering::handler::{Batch, Handler, HandlerError};
///
/// /// Prints the messages to stdout.
/// struct Print;
///
/// impl Handler for Print {
///     fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
///         for record in batch {
///             println!("{}: {}", record.level(), record.message());
///         }
///         Ok(())
///     }
/// }
/// ```
pub trait Handler: Send {
    /// Takes the records of `batch`, in order. `Ok` acknowledges all of them: they count as delivered, but for those
    /// that [`held`](Handler::held) says wait in a buffer.
    ///
    /// # Errors
    /// What could not be delivered, see [`HandlerError`]. After [`HandlerError::new`] and after a panic the record
    /// handed out last is counted as failed and the rest of the batch is offered again.
    ///
    /// ```
    /// use treering::handler::{Batch, Handler, HandlerError};
    ///
    /// struct Example;
    /// impl Handler for Example {
    ///     fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
    ///         for record in batch {
    ///             if record.target().is_empty() {
    ///                 return Err(HandlerError::new("no target")); // costs this record, the rest comes again
    ///             }
    ///         }
    ///         Ok(())
    ///     }
    /// }
    /// # let (logger, guard) = treering::builder().handler(Example).start().unwrap();
    /// # treering::info!(logger: logger, order_id = 7_u64, peers = &[1_u8, 2], pair = (1_u8, "x"), gap = None::<u8>, "filled {}", "all");
    /// # let report = guard.stop(std::time::Duration::from_secs(5)).unwrap();
    /// # assert!(report.is_lossless(), "{report:#?}");
    /// ```
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError>;

    /// Brings what the handler holds back to where it shall go. Called when the listener runs idle, at least every
    /// few milliseconds while records are held, or as its [`FlushPolicy`] says, and for each `flush()` and `stop()` of
    /// the engine.
    ///
    /// # Errors
    /// [`HandlerError::lost`] with the number of records that were held and cannot be delivered any more. After any
    /// other error, and after a panic, whatever was held and is held no more counts as failed.
    ///
    /// ```
    /// use treering::handler::{Batch, Handler, HandlerError};
    ///
    /// /// Sends a hundred records at a time.
    /// #[derive(Default)]
    /// struct Parcels {
    ///     held: Vec<String>,
    /// }
    ///
    /// impl Handler for Parcels {
    ///     fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
    ///         self.held.extend(batch.iter().map(|record| record.message().to_string()));
    ///         if self.held.len() < 100 { Ok(()) } else { self.flush() }
    ///     }
    ///
    ///     fn flush(&mut self) -> Result<(), HandlerError> {
    ///         self.held.clear(); // … after it was sent
    ///         Ok(())
    ///     }
    ///
    ///     fn held(&self) -> u64 {
    ///         self.held.len() as u64
    ///     }
    /// }
    /// # let (logger, guard) = treering::builder().handler(Parcels::default()).start().unwrap();
    /// # treering::info!(logger: logger, "a");
    /// # guard.flush(std::time::Duration::from_secs(5)).unwrap();
    /// # assert_eq!(guard.stats().handlers["Parcels"].delivered, 1);
    /// ```
    fn flush(&mut self) -> Result<(), HandlerError> {
        Ok(())
    }

    /// The last call. What is still held when it returns counts as failed.
    ///
    /// # Errors
    /// As for [`flush`](Handler::flush).
    fn close(&mut self) -> Result<(), HandlerError> {
        self.flush()
    }

    /// So many records were not shown to it, as it had failed again and again and was left alone for a while. Called
    /// before the next call that it gets, so that it can say where its stream lacks them. They count as failed already.
    ///
    /// ```
    /// use treering::handler::{Batch, Handler, HandlerError};
    ///
    /// struct Example(Vec<String>);
    /// impl Handler for Example {
    ///     fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
    ///         self.0.extend(batch.iter().map(|record| record.message().to_string()));
    ///         Ok(())
    ///     }
    ///
    ///     fn skipped(&mut self, records: u64) {
    ///         self.0.push(format!("{records} records are missing here"));
    ///     }
    /// }
    /// # let mut example = Example(Vec::new());
    /// # example.skipped(3);
    /// # assert_eq!(example.0, ["3 records are missing here"]);
    /// ```
    fn skipped(&mut self, records: u64) {
        let _ = records;
    }

    /// Called about twice a second while the engine runs, whether or not records come: for what a handler has to look
    /// after by itself, such as a file that somebody may move away. With [`Wait::Manual`](crate::Wait::Manual), by polls.
    ///
    /// # Errors
    /// As for [`flush`](Handler::flush), but that it does not count as one of those that lead to a quarantine.
    ///
    /// ```
    /// use treering::handler::{Batch, Handler, HandlerError};
    ///
    /// struct Example {
    ///     is_connected: bool,
    /// }
    ///
    /// impl Handler for Example {
    ///     fn handle(&mut self, _: &Batch<'_>) -> Result<(), HandlerError> {
    ///         Ok(())
    ///     }
    ///
    ///     fn tend(&mut self) -> Result<(), HandlerError> {
    ///         self.is_connected = true; // … before the next record needs it
    ///         Ok(())
    ///     }
    /// }
    /// # let mut example = Example { is_connected: false };
    /// # example.tend().unwrap();
    /// # assert!(example.is_connected);
    /// ```
    fn tend(&mut self) -> Result<(), HandlerError> {
        Ok(())
    }

    /// A record that no book counts: what a handler that wraps this one, such as a [`FlightRecorder`], says of the
    /// records that follow. Default: nothing is done.
    fn remark(&mut self, record: &Record<'_>) {
        let _ = record;
    }

    /// How many records were taken but have not left the process yet.
    fn held(&self) -> u64 {
        0
    }

    /// How many of those that it [holds](Handler::held) wait for something else than a flush, as what a [`FlightRecorder`]
    /// keeps waits for a trigger. No flush is made for their sake, and [`wait_idle`](crate::wait_idle) does not wait for
    /// them.
    ///
    /// ```
    /// use treering::handler::{Batch, Handler, HandlerError};
    ///
    /// /// Keeps ten messages for the end.
    /// #[derive(Default)]
    /// struct FirstWords(Vec<String>);
    ///
    /// impl Handler for FirstWords {
    ///     fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
    ///         let room = 10 - self.0.len();
    ///         self.0.extend(batch.iter().take(room).map(|record| record.message().to_string()));
    ///         Ok(())
    ///     }
    ///
    ///     fn close(&mut self) -> Result<(), HandlerError> {
    ///         self.0.drain(..).for_each(|message| println!("{message}"));
    ///         Ok(())
    ///     }
    ///
    ///     fn held(&self) -> u64 {
    ///         self.0.len() as u64
    ///     }
    ///
    ///     fn kept(&self) -> u64 {
    ///         self.held()
    ///     }
    /// }
    /// # let (logger, guard) = treering::builder().handler(FirstWords::default()).start().unwrap();
    /// # treering::info!(logger: logger, "a");
    /// # guard.wait_idle(std::time::Duration::from_secs(5)).unwrap();
    /// # assert_eq!(guard.stats().handlers["FirstWords"].held, 1);
    /// ```
    fn kept(&self) -> u64 {
        0
    }

    /// How many of the records that it took it has let go on purpose since the last time it was asked: they count as
    /// filtered, not as delivered. For handlers that keep only some of what they are given, such as the last hundred
    /// records. Asked after each call, after [`held`](Handler::held); what is let go is held no more.
    ///
    /// ```
    /// use treering::handler::{Batch, Handler, HandlerError};
    ///
    /// /// Keeps the last message, and prints it at the end.
    /// #[derive(Default)]
    /// struct LastWords {
    ///     message: Option<String>,
    ///     discarded: u64,
    /// }
    ///
    /// impl Handler for LastWords {
    ///     fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
    ///         for record in batch {
    ///             let before = self.message.replace(record.message().to_string());
    ///             self.discarded += u64::from(before.is_some());
    ///         }
    ///         Ok(())
    ///     }
    ///
    ///     fn close(&mut self) -> Result<(), HandlerError> {
    ///         self.message.take().iter().for_each(|message| println!("{message}"));
    ///         Ok(())
    ///     }
    ///
    ///     fn held(&self) -> u64 {
    ///         self.message.iter().count() as u64
    ///     }
    ///
    ///     fn discarded(&mut self) -> u64 {
    ///         std::mem::take(&mut self.discarded)
    ///     }
    /// }
    /// # let (logger, guard) = treering::builder().handler(LastWords::default()).start().unwrap();
    /// # (0..3).for_each(|n| treering::info!(logger: logger, "{n}"));
    /// # let report = guard.stop(std::time::Duration::from_secs(5)).unwrap();
    /// # let books = &report.handlers["LastWords"];
    /// # assert_eq!((books.offered, books.filtered, books.delivered), (3, 2, 1));
    /// ```
    fn discarded(&mut self) -> u64 {
        0
    }

    /// How many of the records that it took since the last time it was asked went to a fallback of its own. They count as
    /// delivered all the same, and reports show how many they are. See [`or`](Handler::or).
    fn diverted(&mut self) -> u64 {
        0
    }

    /// Whether it wants this record. Those that it does not want are counted as filtered and never handed out. Asked
    /// once for each record that passes its level, before a batch is handed out; not for the engine's own records, which
    /// tell of losses and which everybody gets. Default: all.
    ///
    /// A panic costs the record it was asked about, which counts as failed; after the tenth within one batch the rest of
    /// that batch fails too.
    ///
    /// ```
    /// use treering::handler::{Batch, Handler, HandlerError};
    /// use treering::record::Record;
    ///
    /// /// Prints what cost much.
    /// struct Dear;
    ///
    /// impl Handler for Dear {
    ///     fn accepts(&mut self, record: &Record<'_>) -> bool {
    ///         record.field("cost").and_then(|field| field.value().as_u64()).is_some_and(|cost| cost > 1000)
    ///     }
    ///
    ///     fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
    ///         batch.iter().for_each(|record| println!("{}", record.message()));
    ///         Ok(())
    ///     }
    /// }
    /// # let (logger, guard) = treering::builder().handler(Dear).start().unwrap();
    /// # treering::info!(logger: logger, cost = 7_u64, "cheap");
    /// # treering::info!(logger: logger, cost = 7000_u64, "dear");
    /// # let report = guard.stop(std::time::Duration::from_secs(5)).unwrap();
    /// # assert_eq!((report.handlers["Dear"].filtered, report.handlers["Dear"].delivered), (1, 1));
    /// ```
    fn accepts(&mut self, record: &Record<'_>) -> bool {
        let _ = record;
        true
    }

    /// Records above this level are counted as filtered and never handed out. Asked once a batch.
    ///
    /// ```
    /// use treering::handler::{Capture, Handler};
    /// assert_eq!(Capture::new().level(treering::Level::Warn).max_level(), treering::Level::Warn.into());
    /// ```
    fn max_level(&self) -> LevelFilter {
        LevelFilter::ALL
    }

    /// Its name in reports. Asked once, when the handler is attached. Default: the type's, without its path and its
    /// parameters.
    ///
    /// ```
    /// use treering::handler::{Console, Handler};
    /// assert_eq!(Console::stderr().name(), "stderr");
    /// ```
    fn name(&self) -> String {
        short_name(std::any::type_name::<Self>()).to_owned()
    }

    /// Gives it a name, which stands in reports and by which [`HandlerControl`](crate::HandlerControl) finds it.
    ///
    /// ```
    /// use treering::handler::{Capture, Handler};
    /// assert_eq!(Capture::new().named("audit").name(), "audit");
    /// ```
    #[must_use]
    fn named(self, name: impl Into<String>) -> Routed
    where
        Self: Sized + 'static,
    {
        Routed::of(self).with_name(name.into())
    }

    /// Gives it a level, which counts instead of its own.
    ///
    /// ```
    /// use treering::{Level, handler::{Capture, Handler}};
    /// let handler = Capture::new().named("audit").level(Level::Warn);
    /// assert_eq!(handler.max_level(), Level::Warn.into());
    /// ```
    #[must_use]
    fn level(self, most_verbose: impl Into<LevelFilter>) -> Routed
    where
        Self: Sized + 'static,
    {
        Routed::of(self).with_level(most_verbose.into())
    }

    /// Lets only those records through to it that the filter wants: any function of a record, or one of those in
    /// [`filter`](crate::filter). A second filter narrows the first.
    ///
    /// It is asked as [`accepts`](Handler::accepts) is, before that, and its panics cost the same.
    ///
    /// ```
    /// use treering::{filter, handler::{Capture, Handler}};
    ///
    /// let capture = Capture::new();
    /// let handler = capture
    ///     .clone()
    ///     .filter(filter::directives("info,noisy_crate=off")?)
    ///     .filter(|record| record.field("secret").is_none());
    /// let (logger, guard) = treering::builder().handler(handler).start()?;
    /// treering::info!(logger: logger, target: "noisy_crate::part", "again");
    /// treering::info!(logger: logger, secret = "x", "not for everybody");
    /// treering::info!(logger: logger, "kept");
    /// let report = guard.stop(std::time::Duration::from_secs(5))?;
    /// assert_eq!((report.handlers["capture"].filtered, capture.len()), (2, 1));
    /// # Ok::<(), treering::Error>(())
    /// ```
    #[must_use]
    fn filter(self, filter: impl FnMut(&Record<'_>) -> bool + Send + 'static) -> Routed
    where
        Self: Sized + 'static,
    {
        Routed::of(self).with_filter(filter)
    }

    /// Sets when the listener flushes it by itself. That of the handler which the engine is given counts, not one of a
    /// handler inside it.
    ///
    /// ```
    /// use treering::{Level, handler::{File, FlushPolicy, Handler}};
    /// let file = File::append("/dev/null")?.flush_policy(FlushPolicy::new().at_level(Level::Error));
    /// # Ok::<(), treering::Error>(())
    /// ```
    #[must_use]
    fn flush_policy(self, policy: FlushPolicy) -> Routed
    where
        Self: Sized + 'static,
    {
        Routed::of(self).with_flush_policy(policy)
    }

    /// Puts it on a lane: a bounded queue and a thread of its own, so that nobody waits for it, neither the other handlers
    /// nor callers. See [`lane_with`](Handler::lane_with).
    ///
    /// ```
    /// use treering::handler::{Console, File, Handler};
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path().join("app.log");
    /// let (logger, guard) = treering::builder()
    ///     .handler(File::append(&path)?)
    ///     .handler(Console::stderr().lane()) // whose reader may stop reading
    ///     .start()?;
    /// # treering::info!(logger: logger, "started");
    /// # let report = guard.stop(std::time::Duration::from_secs(5))?;
    /// # assert_eq!(report.handlers["stderr"].delivered, 1);
    /// # Ok::<(), treering::Error>(())
    /// ```
    #[must_use]
    fn lane(self) -> Routed
    where
        Self: Sized + 'static,
    {
        self.lane_with(LaneOptions::new())
    }

    /// Puts it on a lane of this size.
    ///
    /// Level and [`filter`](Handler::filter) are asked by the listener, before a record is copied; what the handler itself
    /// [accepts](Handler::accepts) is asked on the lane, where it is called, flushed, tended and closed, under the same rules
    /// as elsewhere. A record that finds no room is lost to this handler: it is counted, as
    /// [`overflowed`](crate::stats::HandlerReport::overflowed), and a record of `treering::loss` tells the handler how many
    /// are missing. A flush and a stop wait for the lane, up to their deadlines.
    ///
    /// Put the whole of it on the lane, `file.or(spare).lane()`: a handler inside another one gets none. Nor does one
    /// of a [`Listener`](crate::Listener) over a queue.
    ///
    /// Cost: a thread, and a copy of each record on the listener's.
    ///
    /// ```
    /// use treering::handler::{Capture, Handler, LaneOptions};
    /// # use std::time::Duration;
    /// let slow = Capture::new();
    /// let handler = slow.clone().lane_with(LaneOptions::new().capacity(64 << 20));
    /// let (logger, guard) = treering::builder().handler(handler).start()?;
    /// treering::info!(logger: logger, "in its own time");
    /// guard.flush(Duration::from_secs(5))?;
    /// assert_eq!(slow.records()[0].message(), "in its own time");
    /// # Ok::<(), treering::Error>(())
    /// ```
    #[must_use]
    fn lane_with(self, options: LaneOptions) -> Routed
    where
        Self: Sized + 'static,
    {
        Routed::of(self).with_lane(options)
    }

    /// If this handler fails, that one: what this one refuses, panics at, or is not shown while it is left alone, as
    /// it has failed again and again, goes to the fallback, until this one works again. See [`Or`].
    ///
    /// ```
    /// use treering::handler::{Console, File, Handler};
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path().join("app.log");
    /// let handler = File::append(&path)?.or(Console::stderr());
    /// # Ok::<(), treering::Error>(())
    /// ```
    #[must_use]
    fn or(self, fallback: impl Handler + 'static) -> Or
    where
        Self: Sized + 'static,
    {
        Or::new(Routed::of(self), Routed::of(fallback))
    }
}

impl<H: Handler + ?Sized> Handler for Box<H> {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        (**self).handle(batch)
    }

    fn flush(&mut self) -> Result<(), HandlerError> {
        (**self).flush()
    }

    fn close(&mut self) -> Result<(), HandlerError> {
        (**self).close()
    }

    fn skipped(&mut self, records: u64) {
        (**self).skipped(records);
    }

    fn tend(&mut self) -> Result<(), HandlerError> {
        (**self).tend()
    }

    fn remark(&mut self, record: &Record<'_>) {
        (**self).remark(record);
    }

    fn held(&self) -> u64 {
        (**self).held()
    }

    fn kept(&self) -> u64 {
        (**self).kept()
    }

    fn discarded(&mut self) -> u64 {
        (**self).discarded()
    }

    fn diverted(&mut self) -> u64 {
        (**self).diverted()
    }

    fn accepts(&mut self, record: &Record<'_>) -> bool {
        (**self).accepts(record)
    }

    fn max_level(&self) -> LevelFilter {
        (**self).max_level()
    }

    fn name(&self) -> String {
        (**self).name()
    }
}

/// Why a handler could not deliver, and what it costs.
///
/// ```
/// use std::io;
/// use treering::handler::HandlerError;
/// let error: HandlerError = io::Error::other("out of paper").into();
/// assert_eq!(error.to_string(), "out of paper");
/// ```
#[derive(Debug)]
pub struct HandlerError {
    pub(crate) cost: Cost,
    /// It passes without the handler: no quarantine comes of it.
    pub(crate) passes: bool,
    source: Box<dyn StdError + Send + Sync>,
}

/// What an error costs in records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Cost {
    /// The record handed out last; the rest of the batch is offered again.
    Current,
    /// The record after the first n of this call; the rest of the batch is offered again.
    After(usize),
    /// n records, of this batch or held from earlier ones; everything else handed out is settled or held.
    Lost(u64),
}

impl HandlerError {
    /// The record handed out last failed.
    ///
    /// ```
    /// let error = treering::handler::HandlerError::new("out of paper");
    /// ```
    pub fn new(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        HandlerError { cost: Cost::Current, passes: false, source: source.into() }
    }

    /// The first `settled` records handed out in this call were delivered, the next one failed: for handlers that
    /// look at a whole batch before they send it.
    ///
    /// ```
    /// // Three of the batch were sent, the fourth was refused.
    /// let error = treering::handler::HandlerError::new("out of paper").after(3);
    /// ```
    #[must_use]
    pub fn after(mut self, settled: usize) -> Self {
        self.cost = Cost::After(settled);
        self
    }

    /// `records` that were handed out now or held from earlier calls are lost for this handler; all others are
    /// delivered or still held. The batch is not offered again. For handlers that buffer. 0 says that something
    /// failed and nothing is lost by it yet: what is held will be tried again.
    ///
    /// ```
    /// use treering::handler::HandlerError;
    /// let error = HandlerError::lost(3, "the socket was reset");
    /// assert_eq!(error.to_string(), "the socket was reset");
    /// ```
    pub fn lost(records: u64, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        HandlerError { cost: Cost::Lost(records), passes: false, source: source.into() }
    }

    /// The handler works, it is only that somebody else is behind: no quarantine comes of it.
    #[cfg(not(treering_loom))]
    fn passing(self) -> Self {
        HandlerError { passes: true, ..self }
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl StdError for HandlerError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.source()
    }
}

impl From<std::io::Error> for HandlerError {
    fn from(source: std::io::Error) -> Self {
        HandlerError::new(source)
    }
}

/// What two parts of a handler lost, as one error. Of two texts the first is told.
fn both(first: Result<(), HandlerError>, second: Result<(), HandlerError>) -> Result<(), HandlerError> {
    match (first, second) {
        (Ok(()), result) | (result, Ok(())) => result,
        (Err(first), Err(second)) => Err(match (first.cost, second.cost) {
            (Cost::Lost(a), Cost::Lost(b)) => HandlerError::lost(a + b, first.source),
            (Cost::Lost(_), _) => second,
            _ => first,
        }),
    }
}

/// The last part of a type's path, without parameters.
fn short_name(full: &str) -> &str {
    let path = full.split('<').next().unwrap_or(full);
    match path.rsplit("::").next() {
        Some(name) if !name.is_empty() => name,
        // A type in a function of an impl: its path has `<impl … for …>` in the middle.
        _ => full.rsplit("::").next().unwrap_or(full),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Gen<T>(T);

    impl<T: Send> Handler for Gen<T> {
        fn handle(&mut self, _: &Batch<'_>) -> Result<(), HandlerError> {
            Ok(())
        }
    }

    #[test]
    fn the_default_name_is_the_type_without_path_and_parameters() {
        assert_eq!(Gen(Vec::<String>::new()).name(), "Gen");
        assert_eq!(Gen(()).name(), "Gen");
        assert_eq!(short_name("app::Print"), "Print");
        assert_eq!(short_name("Print"), "Print");
        assert_eq!(short_name("app::<impl app::Named for app::Server>::run::Print"), "Print");
    }
}
