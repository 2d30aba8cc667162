//! From settings to a running engine.

use std::fmt;
use std::time::Duration;

use crate::engine::{Engine, Settings, Start};
use crate::error::Error;
use crate::fault::Faults;
use crate::filter::{self, Filter};
use crate::guard::Guard;
use crate::handler::{Handler, Routed};
use crate::level::Level;
use crate::listener::Wait;
use crate::logger::{self, Logger};
use crate::outlet::Outlet;
use crate::overflow::{DropHook, Loss, Overflow, Policies};
use crate::prepare::{Prepared, Steps};
use crate::process;
use crate::queue::Enqueue;
use crate::record::Record;
use crate::ring::{CAPACITY_MAX_BYTES, CAPACITY_MIN_BYTES, memory_factor};
use crate::sync::Arc;

/// 128 KiB hold some 3,000 records of three numbers.
const RING_CAPACITY: usize = 128 * 1024;
/// 64 MiB are 512 threads with rings of the default size.
const MEMORY_CAP: usize = 64 * 1024 * 1024;
const EXIT_TIMEOUT: Duration = Duration::from_secs(5);

/// Settings of an engine to come. Everything is checked by [`init`](Builder::init) and [`start`](Builder::start),
/// which name what is wrong.
///
/// ```
/// use std::time::Duration;
/// use treering::{Level, Overflow, Wait, handler};
///
/// # fn main() -> Result<(), treering::Error> {
/// # let directory = tempfile::tempdir().unwrap();
/// # let path = directory.path().join("app.log");
/// let _guard = treering::builder()
///     .filter("info,my_server::db=debug")
///     .ring_capacity(1 << 20)
///     .overflow(Overflow::drop_newest())
///     .overflow_at(Level::Error, Overflow::block(Duration::from_millis(1)))
///     .wait(Wait::Adaptive)
///     .handler(handler::Console::stderr())
///     .handler(handler::File::append(path)?.level(Level::Info))
///     .init()?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a builder does nothing until `init` or `start`"]
pub struct Builder {
    filter: Option<String>,
    default_filter: Option<String>,
    ring_capacity: usize,
    memory_cap: usize,
    policies: Policies,
    steps: Steps,
    outlet: Option<Outlet>,
    wait: Wait,
    thread_name: String,
    affinity: Option<usize>,
    exit_timeout: Duration,
    faults: Faults,
    on_drop: DropHook,
    handlers: Vec<Routed>,
}

/// A builder with the defaults.
///
/// ```
/// # fn main() -> Result<(), treering::Error> {
/// let _guard = treering::builder().handler(treering::handler::Console::stderr()).init()?;
/// # Ok(())
/// # }
/// ```
pub fn builder() -> Builder {
    Builder {
        filter: None,
        default_filter: None,
        ring_capacity: RING_CAPACITY,
        memory_cap: MEMORY_CAP,
        policies: Policies::default(),
        steps: Steps::default(),
        outlet: None,
        wait: Wait::default(),
        thread_name: "treering".to_owned(),
        affinity: None,
        exit_timeout: EXIT_TIMEOUT,
        faults: Faults::to_stderr(),
        on_drop: DropHook::default(),
        handlers: Vec::new(),
    }
}

impl Builder {
    /// Which records are wanted: directives as in `RUST_LOG`, separated by commas. It replaces the environment's; see
    /// [`default_filter`](Builder::default_filter) for one that does not. What is wrong with it is reported by
    /// [`init`](Builder::init) and [`start`](Builder::start).
    ///
    /// | directive | passes |
    /// |---|---|
    /// | `info` | INFO and above, where no target is named below |
    /// | `my_server::db=debug` | DEBUG and above of targets whose name begins with `my_server::db` |
    /// | `my_server::db` | everything of these targets |
    /// | `noisy=off` | nothing of these targets |
    ///
    /// The longest target that fits counts; what fits none is off. Levels: `off error warn info debug trace`.
    ///
    /// Default: for the process-wide engine the environment's `RUST_LOG`, and without that, and for all others,
    /// `info`.
    ///
    /// ```
    /// let builder = treering::builder().filter("info,my_server::db=debug,noisy_crate=off");
    /// ```
    pub fn filter(mut self, directives: impl Into<String>) -> Self {
        self.filter = Some(directives.into());
        self
    }

    /// Which records the process-wide engine wants where the environment's `RUST_LOG` says nothing. For the others it is
    /// as [`filter`](Builder::filter).
    ///
    /// ```
    /// # fn main() -> Result<(), treering::Error> {
    /// let _guard = treering::builder().default_filter("info,my_server::db=debug").init()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn default_filter(mut self, directives: impl Into<String>) -> Self {
        self.default_filter = Some(directives.into());
        self
    }

    /// The size of each thread's ring in bytes. A record of up to 3/8 of it always arrives whole; a longer one
    /// may be cut, which is marked and counted.
    ///
    /// Default: 128 KiB. Range: 4 KiB to 64 MiB; rounded down to a multiple of 64.
    ///
    /// ```
    /// let builder = treering::builder().ring_capacity(1 << 20);
    /// assert!(treering::builder().ring_capacity(12).start().unwrap_err().is_config());
    /// ```
    pub fn ring_capacity(mut self, bytes: usize) -> Self {
        self.ring_capacity = bytes;
        self
    }

    /// The size of all rings together, in bytes. Threads beyond it share one ring behind a lock.
    ///
    /// Default: 64 MiB. Range: one ring's capacity and more.
    ///
    /// ```
    /// let builder = treering::builder().ring_capacity(64 << 10).memory_cap(16 << 20); // 256 threads
    /// ```
    pub fn memory_cap(mut self, bytes: usize) -> Self {
        self.memory_cap = bytes;
        self
    }

    /// What happens to a record that finds no room. Sets all levels.
    ///
    /// Default: [`Overflow::drop_newest`].
    ///
    /// ```
    /// use std::time::Duration;
    /// let builder = treering::builder().overflow(treering::Overflow::block(Duration::from_millis(1)));
    /// ```
    pub fn overflow(mut self, policy: Overflow) -> Self {
        self.policies.set_all(policy);
        self
    }

    /// What happens to a record of this level that finds no room. After [`overflow`](Builder::overflow), which sets
    /// all levels.
    ///
    /// ```
    /// use std::time::Duration;
    /// use treering::{Level, Overflow};
    /// let builder = treering::builder()
    ///     .overflow(Overflow::drop_newest())
    ///     .overflow_at(Level::Error, Overflow::block(Duration::from_millis(1)));
    /// ```
    pub fn overflow_at(mut self, level: Level, policy: Overflow) -> Self {
        self.policies.set(level, policy);
        self
    }

    /// What happens to records of all levels less severe than this one that find no room. After
    /// [`overflow`](Builder::overflow), which sets all levels.
    ///
    /// ```
    /// use treering::{Level, Overflow};
    /// // When a ring is full, INFO and below are dropped; WARN and ERROR wait.
    /// let builder = treering::builder()
    ///     .overflow(Overflow::block_forever())
    ///     .overflow_below(Level::Warn, Overflow::drop_newest());
    /// ```
    pub fn overflow_below(mut self, level: Level, policy: Overflow) -> Self {
        self.policies.set_below(level, policy);
        self
    }

    /// How full records of this level, and of less severe ones, may make a ring, in percent: a ring that is nearly full
    /// has no room for them, and some for the others. Each level obeys the lowest limit that binds it.
    ///
    /// Default: INFO and below may use seven eighths. Range: 25 to 100. Below 75 a long record of these levels may be cut,
    /// even where it is shorter than 3/8 of the ring: it must fit into half of what they may use.
    ///
    /// ```
    /// use treering::Level;
    /// // DEBUG and TRACE find no room above 50 %, INFO above 80 %, WARN above 90 %; ERROR may use all of it.
    /// let builder = treering::builder()
    ///     .fill_limit(Level::Debug, 50)
    ///     .fill_limit(Level::Info, 80)
    ///     .fill_limit(Level::Warn, 90);
    /// assert!(treering::builder().fill_limit(Level::Info, 10).start().unwrap_err().is_config());
    /// ```
    pub fn fill_limit(mut self, level: Level, percent: u8) -> Self {
        self.policies.limit_fill(level, percent);
        self
    }

    /// Is told of each loss, as the stream is by a record of `treering::loss`: once for each gap, not for each record.
    /// Called on the listener's thread, when it comes to where the records are missing, not on the caller's, and so it may
    /// be late where handlers are slow. It delays the handlers as long as it takes; one that panics is told to the
    /// [`error_hook`](Builder::error_hook).
    ///
    /// Default: none.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    ///
    /// let lost = Arc::new(AtomicU64::new(0));
    /// let metric = lost.clone();
    /// let builder = treering::builder().on_drop(move |loss| {
    ///     metric.fetch_add(loss.records, Ordering::Relaxed);
    /// });
    /// ```
    pub fn on_drop(mut self, hook: impl Fn(&Loss) + Send + Sync + 'static) -> Self {
        self.on_drop = DropHook::new(Box::new(hook));
        self
    }

    /// Asks this of each record before the handlers get it: whether it is kept, changed, dropped for a reason, or cannot be
    /// prepared. Further ones are asked in order, each of what those before it left. All handlers get what the last one left.
    /// See [`prepare`](mod@crate::prepare), also for steps that are there already.
    ///
    /// Called on the listener's thread; it delays the handlers as long as it takes, and no caller. What is dropped is counted
    /// as [`prepared_away`](crate::Report::prepared_away). An error or a panic costs that record only: it is counted as
    /// [`unprepared`](crate::Report::unprepared), told to the [`error_hook`](Builder::error_hook), and in its place the
    /// stream has a record of `treering::loss`.
    ///
    /// Default: none, which costs nothing. With one, a copy of each record's words; with a change, see [`Change`](crate::Change).
    ///
    /// ```
    /// use treering::{Change, Level, Prepared, prepare};
    /// let builder = treering::builder()
    ///     .prepare(prepare::redact(["password"]))
    ///     .prepare(|record| match (record.target(), record.level()) {
    ///         ("health", _) => Prepared::Drop("health checks"),
    ///         ("legacy", Level::Error) => Change::new().level(Level::Warn).into(),
    ///         _ => Prepared::Keep,
    ///     });
    /// ```
    pub fn prepare(mut self, step: impl FnMut(&Record<'_>) -> Prepared + Send + 'static) -> Self {
        self.steps.push(step);
        self
    }

    /// Records go into this queue instead of rings: the thread that logs makes the [portable record](crate::record::Record::write_portable)
    /// and enqueues it, and a [`Listener`](crate::Listener) at the queue's other end has the handlers. So whatever carries
    /// bytes stands between the two: a channel, a socket, another process.
    ///
    /// When a call returns its record is in the queue, or counted. What else is different:
    ///
    /// - A call costs what the queue takes, and what a portable record takes to be made: several allocations, a copy of all that
    ///   the record says. It may lock, wait and call the system, as the queue does. Not for signal handlers.
    /// - A queue that is full is what [`overflow`](Builder::overflow) is asked about: [`Overflow::drop_newest`],
    ///   [`block`](Overflow::block), [`block_forever`](Overflow::block_forever) and [`custom`](Overflow::custom), which is told
    ///   that 0 of 0 bytes are free. Who waits stands in a line, whose first asks the queue again, at least every millisecond;
    ///   meanwhile those who do not wait are refused. A thread that [polls a listener](crate::Listening::poll) never waits. A queue that is closed makes records late,
    ///   and one that fails or panics [fails](crate::overflow::Reason::Failed) them, and the
    ///   [`error_hook`](Builder::error_hook) is told once in a row.
    /// - Where records are missing the next one that the queue takes is preceded by a record of `treering::loss`; after that eight
    ///   records at least are between two of these. A [`flush`](Guard::flush) and a [`stop`](Guard::stop) tell of the rest, if there
    ///   is room, and have nothing else to do: what they wait for elsewhere the queue has already. They take as long as the queue
    ///   takes for that, which should not wait, whatever their timeout. The queue is not closed, nor emptied.
    /// - What the queue itself logs to this engine, on the thread that enqueues, is not taken: it is counted as
    ///   [`nested`](crate::Report::nested). What it logs to others never waits.
    /// - There is no thread, so that [`wait`](Builder::wait), [`affinity`](Builder::affinity), the sizes of rings and
    ///   [`fill_limit`](Builder::fill_limit) mean nothing. Arguments of more than 768 KiB are cut.
    ///
    /// # Errors
    /// Of [`start`](Builder::start) and [`init`](Builder::init), [`is_config`](Error::is_config): with handlers, with
    /// [`prepare`](Builder::prepare), which is the listener's, with [`on_drop`](Builder::on_drop), and with a policy that drops the oldest
    /// or samples, as these need rings.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Duration;
    /// use treering::{Listener, handler::Capture, queue::Channel};
    ///
    /// # fn main() -> Result<(), treering::Error> {
    /// let (queue, capture) = (Arc::new(Channel::bounded(1000)), Capture::new());
    /// let listening = Listener::new(queue.clone()).handler(capture.clone()).start()?;
    /// let (logger, guard) = treering::builder().queue(queue).start()?;
    /// treering::info!(logger: logger, qty = 100, "order {} filled", 7);
    /// guard.stop(Duration::from_secs(5))?.assert_balanced();
    /// listening.stop(Duration::from_secs(5))?.assert_balanced();
    /// assert_eq!(capture.records()[0].message(), "order 7 filled");
    /// # Ok(())
    /// # }
    /// ```
    pub fn queue(mut self, queue: impl Enqueue + 'static) -> Self {
        self.outlet = Some(Outlet::new(queue));
        self
    }

    /// How the listener waits for records. Default: [`Wait::Adaptive`].
    ///
    /// ```
    /// use std::time::Duration;
    /// let builder = treering::builder().wait(treering::Wait::Poll(Duration::from_millis(1)));
    /// ```
    pub fn wait(mut self, wait: Wait) -> Self {
        self.wait = wait;
        self
    }

    /// The name of the listener's thread. Default: `treering`. The system shows its first 15 bytes.
    ///
    /// ```
    /// let builder = treering::builder().thread_name("audit-log");
    /// ```
    pub fn thread_name(mut self, name: impl Into<String>) -> Self {
        self.thread_name = name.into();
        self
    }

    /// Binds the listener's thread to this core. Default: none. A core that does not exist is told to the
    /// [`error_hook`](Builder::error_hook), and the thread runs unbound.
    ///
    /// ```
    /// let builder = treering::builder().wait(treering::Wait::Spin).affinity(3);
    /// ```
    pub fn affinity(mut self, core: usize) -> Self {
        self.affinity = Some(core);
        self
    }

    /// How long the end of the process, or the drop of a [`Guard`], may wait for records to leave.
    ///
    /// Default: 5 s.
    ///
    /// ```
    /// let builder = treering::builder().exit_timeout(std::time::Duration::from_secs(1));
    /// ```
    pub fn exit_timeout(mut self, timeout: Duration) -> Self {
        self.exit_timeout = timeout;
        self
    }

    /// Where the engine tells of its own faults: handlers that fail, settings that the system refuses. At most 10
    /// lines a minute. Called on the listener's thread, mostly: what it logs through this engine there is heard once, as
    /// what a handler logs is.
    ///
    /// Default: a line on stderr.
    ///
    /// ```
    /// # fn main() -> Result<(), treering::Error> {
    /// use std::sync::mpsc;
    /// use treering::handler::{Batch, Handler, HandlerError};
    ///
    /// struct Broken;
    /// impl Handler for Broken {
    ///     fn handle(&mut self, _: &Batch<'_>) -> Result<(), HandlerError> {
    ///         Err(HandlerError::new("out of paper"))
    ///     }
    /// }
    ///
    /// let (told, faults) = mpsc::channel();
    /// let builder = treering::builder().handler(Broken).error_hook(move |fault| drop(told.send(fault.to_owned())));
    /// let (logger, guard) = builder.start()?;
    /// treering::info!(logger: logger, "print this");
    /// drop(guard);
    /// assert_eq!(faults.recv().unwrap(), "handler Broken: out of paper");
    /// # Ok(())
    /// # }
    /// ```
    pub fn error_hook(mut self, hook: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.faults = Faults::new(Box::new(hook));
        self
    }

    /// Adds a handler. Each gets every record that passes its level and its filter, in the order they were added. If
    /// several have one name they are numbered: `stderr`, `stderr-2`. [`Guard::handlers`] adds and removes them later.
    ///
    /// ```
    /// # fn main() -> Result<(), treering::Error> {
    /// use treering::{Level, handler};
    /// let builder = treering::builder()
    ///     .handler(handler::Console::stderr().level(Level::Warn))
    ///     .handler(handler::File::append("/dev/null")?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn handler(mut self, handler: impl Handler + 'static) -> Self {
        self.handlers.push(Routed::of(handler));
        self
    }

    /// Starts an engine of its own, for calls that name it by `logger:`. Dropping its guard stops it, and so does the end
    /// of the process. With `panic = "abort"` a panic loses what it has, unless [`init`](Builder::init) has installed the
    /// panic hook.
    ///
    /// # Errors
    /// As [`init`](Builder::init), but any number of these may run.
    ///
    /// ```
    /// # fn main() -> Result<(), treering::Error> {
    /// let capture = treering::handler::Capture::new();
    /// let (logger, guard) = treering::builder().handler(capture.clone()).start()?;
    /// treering::info!(logger: logger, code = 17, "sensor failed");
    /// drop(guard);
    /// assert_eq!(capture.records()[0].message(), "sensor failed");
    /// # Ok(())
    /// # }
    /// ```
    pub fn start(self) -> Result<(Logger, Guard), Error> {
        let (engine, start) = self.build(false)?;
        process::start(&engine, start, false)?;
        let logger = Logger { engine };
        Ok((logger.clone(), Guard { logger, is_global: false }))
    }

    /// Whether nobody would get its records.
    pub(crate) fn leads_nowhere(&self) -> bool {
        self.handlers.is_empty() && self.outlet.is_none()
    }

    /// The settings, if all of them can be; `global` says that `RUST_LOG` counts.
    pub(crate) fn build(self, global: bool) -> Result<(Arc<Engine>, Start), Error> {
        let Builder { ring_capacity, memory_cap, .. } = self;
        if let Some(fault) = self.policies.fault() {
            return Err(Error::config(fault));
        }
        if self.outlet.is_some() {
            self.check_for_queue()?;
        }
        if !(CAPACITY_MIN_BYTES..=CAPACITY_MAX_BYTES).contains(&ring_capacity) {
            return Err(Error::config(format!(
                "ring_capacity is {ring_capacity} bytes; it must be {CAPACITY_MIN_BYTES} to {CAPACITY_MAX_BYTES}"
            )));
        }
        let needed = ring_capacity * memory_factor(&self.policies);
        if memory_cap < needed {
            return Err(Error::config(format!(
                "memory_cap is {memory_cap} bytes, less than the {needed} that the ring of any thread needs"
            )));
        }
        if self.thread_name.contains('\0') {
            return Err(Error::config("thread_name holds a NUL, which no thread's name may"));
        }
        let (filter, filter_notes) = match &self.filter {
            Some(directives) => (Filter::parse(directives)?, Vec::new()),
            None => {
                let default = self.default_filter.as_deref().map_or(Ok(Filter::default()), Filter::parse)?;
                if global { self.filter_of_environment(default) } else { (default, Vec::new()) }
            }
        };
        if self.wait == Wait::Poll(Duration::ZERO) {
            return Err(Error::config("Wait::Poll without a pause between two looks is Wait::Spin"));
        }
        let settings = Settings {
            ring_capacity: ring_capacity / 64 * 64,
            memory_cap,
            policies: self.policies,
            filter,
            filter_notes,
            steps: self.steps,
            // Without rings nobody needs turns but those who wait for one.
            wait: if self.outlet.is_some() { Wait::Manual } else { self.wait },
            outlet: self.outlet,
            exit_timeout: self.exit_timeout,
            faults: self.faults,
            on_drop: self.on_drop,
        };
        let start = Start {
            thread_name: self.thread_name,
            affinity: self.affinity,
            listen: logger::listen,
            serve: logger::serve,
        };
        Ok((Engine::new(settings, self.handlers), start))
    }

    /// What needs rings, or a listener, is nothing for an engine over a queue.
    fn check_for_queue(&self) -> Result<(), Error> {
        if !self.handlers.is_empty() {
            return Err(Error::config(Outlet::NO_HANDLERS));
        }
        let wrong = if !self.steps.is_empty() {
            "prepare() is for the Listener at the other end of the queue"
        } else if self.on_drop.get().is_some() {
            "on_drop() is told by a listener, and an engine over a queue has none: its losses are in the stream"
        } else if self.policies.overwrite() {
            "Overflow::drop_oldest() is for rings: nothing comes out of a queue on the caller's side"
        } else if self.policies.sample() {
            "Overflow::sample() is for rings: nobody knows how full a queue is"
        } else {
            return Ok(());
        };
        Err(Error::config(wrong))
    }

    /// A typo in the environment must not keep a server from starting. What is wrong is told at once, and is for the
    /// stream, too, which may be all that anybody reads.
    fn filter_of_environment(&self, default: Filter) -> (Filter, Vec<String>) {
        let Some(value) = std::env::var_os("RUST_LOG") else { return (default, Vec::new()) };
        let (filter, notes) = Filter::of_environment(&value, filter::spans_taken());
        let notes: Vec<_> = notes.into_iter().map(|note| format!("RUST_LOG: {note}")).collect();
        notes.iter().for_each(|note| self.faults.report(note));
        (filter, notes)
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("filter", &self.filter)
            .field("ring_capacity", &self.ring_capacity)
            .field("memory_cap", &self.memory_cap)
            .field("wait", &self.wait)
            .field("handlers", &self.handlers.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
