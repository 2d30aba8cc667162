//! The handlers of a running engine, to be changed.

use std::time::Duration;

use super::Logger;
use crate::error::Error;
use crate::fault::guarded;
use crate::handler::{Handler, Routed};
use crate::level::LevelFilter;
use crate::listener::{Change, What};
use crate::record::Record;

/// Adds, removes and changes the handlers of a running engine, from any thread.
///
/// Each call returns when the change is made. It is made between two batches: what was logged before the call, by this
/// thread or before something that this thread knows of, went to the handlers of before, and what is logged after the
/// call returned goes to those of after. Nothing is lost by it and nothing handed out twice.
///
/// Handlers are found by their names: what [`Handler::named`] gave them, or else their own, as reports show them. Where
/// several handlers of a builder have one name, they are numbered, `stderr` and `stderr-2`; while the engine runs a name
/// that is taken is an error.
///
/// Got from [`Guard::handlers`](crate::Guard::handlers), [`Logger::handlers`] or, for the process-wide engine,
/// [`treering::handlers`](crate::handlers).
///
/// # Errors
/// All its methods return:
/// - [`is_timeout`](Error::is_timeout) if the deadline passes first, for which a handler that takes long is enough. The
///   change stays asked for, and is made when the listener comes to it.
/// - [`is_on_listener_thread`](Error::is_on_listener_thread) in a handler, a format or the error hook, which would wait
///   for themselves. Nothing is changed. Ask from another thread.
/// - [`is_not_running`](Error::is_not_running) after the engine was stopped, and
///   [`is_forked`](Error::is_forked) in a child of `fork`.
/// - [`is_config`](Error::is_config) if no handler has the name, or, to [`add`](HandlerControl::add), if one has.
///
/// ```
/// use std::time::Duration;
/// use treering::{Level, debug, handler::{Capture, Handler}};
///
/// const SOON: Duration = Duration::from_secs(5);
///
/// let (before, after) = (Capture::new(), Capture::new());
/// let builder = treering::builder().filter("debug").handler(before.clone().named("main").level(Level::Info));
/// let (logger, guard) = builder.start()?;
/// debug!(logger: logger, "not heard");
/// guard.handlers().set_level("main", Level::Debug, SOON)?;
/// debug!(logger: logger, "heard by the first");
/// guard.handlers().replace("main", after.clone(), SOON)?;
/// debug!(logger: logger, "heard by the second");
/// let report = guard.stop(SOON)?;
/// assert_eq!((before.len(), after.len()), (1, 1));
/// assert_eq!(report.handlers["main"].delivered, 2);
/// # Ok::<(), treering::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct HandlerControl {
    logger: Logger,
}

impl HandlerControl {
    /// Adds a handler, behind those there are. If one of its name was removed before, it goes on with its books.
    ///
    /// # Errors
    /// See [`HandlerControl`]. A handler that is not added is dropped.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use treering::handler::{Capture, Handler};
    /// let capture = Capture::new();
    /// let (logger, guard) = treering::builder().start()?;
    /// treering::info!(logger: logger, "too early");
    /// guard.handlers().add(capture.clone().named("tap"), Duration::from_secs(5))?;
    /// treering::info!(logger: logger, "heard");
    /// assert!(guard.handlers().add(Capture::new().named("tap"), Duration::from_secs(5)).unwrap_err().is_config());
    /// guard.stop(Duration::from_secs(5))?;
    /// assert_eq!(capture.records()[0].message(), "heard");
    /// # Ok::<(), treering::Error>(())
    /// ```
    pub fn add(&self, handler: impl Handler + 'static, timeout: Duration) -> Result<(), Error> {
        let handler = Routed::of(handler);
        let name = guarded(|| handler.name()).unwrap_or_else(|_| "unnamed".into());
        self.change(&name, What::Add(handler), timeout)
    }

    /// Removes a handler: it gets what was logged before this call, is flushed, closed and dropped. Its books stay in the
    /// reports, not [`attached`](crate::stats::HandlerReport::attached) any more.
    ///
    /// # Errors
    /// See [`HandlerControl`].
    ///
    /// ```
    /// # use std::time::Duration;
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path().join("app.log");
    /// use treering::handler::{File, Handler};
    /// let builder = treering::builder().handler(File::append(&path)?.named("file"));
    /// let (logger, guard) = builder.start()?;
    /// treering::info!(logger: logger, "the last line");
    /// guard.handlers().remove("file", Duration::from_secs(5))?;
    /// assert!(std::fs::read_to_string(&path).unwrap().ends_with("the last line\n"));
    /// assert!(!guard.stats().handlers["file"].attached);
    /// # Ok::<(), treering::Error>(())
    /// ```
    pub fn remove(&self, name: &str, timeout: Duration) -> Result<(), Error> {
        self.change(name, What::Remove, timeout)
    }

    /// Puts a handler into the place of another one, under its name and with its books. The old one gets what was logged
    /// before this call, is flushed, closed and dropped; the new one gets everything from there on. Level and filter are
    /// those of the new one.
    ///
    /// # Errors
    /// See [`HandlerControl`]. A handler that is not needed is dropped.
    ///
    /// ```
    /// # use std::time::Duration;
    /// use treering::handler::Capture;
    /// let (old, new) = (Capture::new(), Capture::new());
    /// let (logger, guard) = treering::builder().handler(old.clone()).start()?;
    /// treering::info!(logger: logger, "for the old one");
    /// guard.handlers().replace("capture", new.clone(), Duration::from_secs(5))?;
    /// treering::info!(logger: logger, "for the new one");
    /// guard.stop(Duration::from_secs(5))?;
    /// assert_eq!(old.records()[0].message(), "for the old one");
    /// assert_eq!(new.records()[0].message(), "for the new one");
    /// # Ok::<(), treering::Error>(())
    /// ```
    pub fn replace(
        &self,
        name: &str,
        handler: impl Handler + 'static,
        timeout: Duration,
    ) -> Result<(), Error> {
        self.change(name, What::Replace(Routed::of(handler)), timeout)
    }

    /// Sets a handler's level, which counts instead of what the handler itself says. What the engine's own
    /// [filter](Logger::set_filter) keeps out, no handler gets.
    ///
    /// # Errors
    /// See [`HandlerControl`].
    ///
    /// ```
    /// # use std::time::Duration;
    /// use treering::{Level, handler::Capture};
    /// let capture = Capture::new().level(Level::Error);
    /// let (logger, guard) = treering::builder().handler(capture.clone()).start()?;
    /// treering::warn!(logger: logger, "not heard");
    /// guard.handlers().set_level("capture", Level::Warn, Duration::from_secs(5))?;
    /// treering::warn!(logger: logger, "heard");
    /// guard.stop(Duration::from_secs(5))?;
    /// assert_eq!(capture.len(), 1);
    /// # Ok::<(), treering::Error>(())
    /// ```
    pub fn set_level(
        &self,
        name: &str,
        most_verbose: impl Into<LevelFilter>,
        timeout: Duration,
    ) -> Result<(), Error> {
        self.change(name, What::Level(most_verbose.into()), timeout)
    }

    /// Sets a handler's filter, instead of those that [`Handler::filter`] or an earlier call gave it. What the handler
    /// [accepts](Handler::accepts) by itself stays as it is.
    ///
    /// # Errors
    /// See [`HandlerControl`].
    ///
    /// ```
    /// # use std::time::Duration;
    /// use treering::{filter, handler::{Capture, Handler}};
    /// let capture = Capture::new();
    /// let builder = treering::builder().handler(capture.clone().filter(filter::directives("warn")?));
    /// let (logger, guard) = builder.start()?;
    /// treering::info!(logger: logger, target: "my_server::db", "not heard");
    /// guard.handlers().set_filter("capture", filter::directives("warn,my_server::db")?, Duration::from_secs(5))?;
    /// treering::info!(logger: logger, target: "my_server::db", "heard");
    /// guard.stop(Duration::from_secs(5))?;
    /// assert_eq!(capture.len(), 1);
    /// # Ok::<(), treering::Error>(())
    /// ```
    pub fn set_filter(
        &self,
        name: &str,
        filter: impl FnMut(&Record<'_>) -> bool + Send + 'static,
        timeout: Duration,
    ) -> Result<(), Error> {
        self.change(name, What::Filter(Box::new(filter)), timeout)
    }

    fn change(&self, name: &str, what: What, timeout: Duration) -> Result<(), Error> {
        let change = Change { name: name.to_owned(), what };
        self.logger.with_turns(|engine| engine.change(change, timeout))
    }
}

impl Logger {
    /// The engine's handlers, to be changed while it runs.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use treering::Level;
    /// # let (logger, _guard) = treering::builder().handler(treering::handler::Capture::new()).start()?;
    /// let handlers = logger.handlers(); // for whoever serves the operators
    /// std::thread::spawn(move || handlers.set_level("capture", Level::Debug, Duration::from_secs(5)));
    /// # Ok::<(), treering::Error>(())
    /// ```
    pub fn handlers(&self) -> HandlerControl {
        HandlerControl { logger: self.clone() }
    }
}
