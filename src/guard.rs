//! What ends an engine, and is its handle until then.

use std::time::Duration;

use crate::engine::Engine;
use crate::error::Error;
use crate::logger::place::{self, Place};
use crate::logger::{Flush, HandlerControl, Logger};
use crate::stats::Report;
use crate::sync::Arc;

/// Ends an engine.
///
/// Dropping the guard of the process-wide engine flushes it and leaves it running (so that `let _ = init()?` loses
/// nothing); the end of the process stops it. Dropping the guard of an engine that was
/// [`start`](crate::Builder::start)ed stops it. Both wait at most [`exit_timeout`](crate::Builder::exit_timeout), which the end of
/// the process shares.
///
/// ```
/// # fn main() -> Result<(), treering::Error> {
/// use std::time::Duration;
/// let (logger, guard) = treering::builder().handler(treering::handler::Capture::new()).start()?;
/// treering::info!(logger: logger, "kept");
/// let report = guard.stop(Duration::from_secs(5))?;
/// assert!(report.is_lossless());
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping the guard of an engine of its own stops it"]
#[derive(Debug)]
pub struct Guard {
    pub(crate) logger: Logger,
    pub(crate) is_global: bool,
}

impl Guard {
    /// Stops the engine: no call is accepted any more, everything that was is handed out, the handlers are flushed
    /// and closed, the last added first. May be called by several threads at once and again; all return when the
    /// engine has stopped, with the same books.
    ///
    /// When `timeout` passes first, what was not handed out is abandoned, and counted; a handler that hangs keeps
    /// its thread. With [`Wait::Manual`](crate::Wait::Manual) that may be the calling one, which hands out what is left itself.
    ///
    /// # Errors
    /// [`is_on_listener_thread`](Error::is_on_listener_thread) from a handler: the engine stops, but this call
    /// cannot wait for it.
    ///
    /// ```
    /// # fn main() -> Result<(), treering::Error> {
    /// use std::time::Duration;
    /// let (logger, guard) = treering::builder().start()?;
    /// treering::info!(logger: logger, "in time");
    /// guard.stop(Duration::from_secs(5))?;
    /// treering::info!(logger: logger, "too late");
    /// let report = guard.stop(Duration::from_secs(5))?; // again: the books as they are now
    /// assert_eq!((report.dispatched, report.late), (1, 1));
    /// # Ok(())
    /// # }
    /// ```
    pub fn stop(&self, timeout: Duration) -> Result<Report, Error> {
        self.logger.stop(timeout)
    }

    /// See [`Logger::flush`].
    ///
    /// # Errors
    /// As there.
    ///
    /// ```
    /// # fn main() -> Result<(), treering::Error> {
    /// # let (logger, guard) = treering::builder().start()?;
    /// guard.flush(std::time::Duration::from_secs(1))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn flush(&self, timeout: Duration) -> Result<(), Error> {
        self.logger.flush(timeout)
    }

    /// See [`Logger::flush_async`].
    pub fn flush_async(&self) -> Flush {
        self.logger.flush_async()
    }

    /// See [`Logger::wait_idle`].
    ///
    /// # Errors
    /// As there.
    pub fn wait_idle(&self, timeout: Duration) -> Result<(), Error> {
        self.logger.wait_idle(timeout)
    }

    /// See [`Logger::stats`].
    ///
    /// ```
    /// # fn main() -> Result<(), treering::Error> {
    /// # let (logger, guard) = treering::builder().start()?;
    /// treering::info!(logger: logger, "counted");
    /// assert_eq!(guard.stats().submitted, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn stats(&self) -> Report {
        self.logger.stats()
    }

    /// See [`Logger::set_filter`].
    ///
    /// # Errors
    /// As there.
    ///
    /// ```
    /// # fn main() -> Result<(), treering::Error> {
    /// # let (logger, guard) = treering::builder().start()?;
    /// guard.set_filter("debug")?;
    /// assert!(guard.set_filter("loud").is_ok(), "a target, all levels of it");
    /// assert!(guard.set_filter("my_server=loud").unwrap_err().is_filter());
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_filter(&self, directives: &str) -> Result<(), Error> {
        self.logger.set_filter(directives)
    }

    /// See [`Logger::set_filter_for`].
    ///
    /// # Errors
    /// As there.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # fn main() -> Result<(), treering::Error> {
    /// # let (logger, guard) = treering::builder().start()?;
    /// guard.set_filter_for("trace", Duration::from_mins(1))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_filter_for(&self, directives: &str, lifetime: Duration) -> Result<(), Error> {
        self.logger.set_filter_for(directives, lifetime)
    }

    /// See [`Logger::handlers`].
    ///
    /// ```
    /// # fn main() -> Result<(), treering::Error> {
    /// # let (logger, guard) = treering::builder().handler(treering::handler::Capture::new()).start()?;
    /// guard.handlers().set_level("capture", treering::Level::Warn, std::time::Duration::from_secs(1))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn handlers(&self) -> HandlerControl {
        self.logger.handlers()
    }

    /// See [`Logger::register_thread`].
    pub fn register_thread(&self) {
        let place = if self.is_global { Place::Global } else { Place::Instance };
        place::register(place, &self.logger.engine);
    }

    /// Hands out what is there, on the calling thread, and returns how many records that were. For engines built
    /// with [`Wait::Manual`](crate::Wait::Manual).
    ///
    /// # Errors
    /// [`is_config`](Error::is_config) if the engine has a thread for it,
    /// [`is_on_listener_thread`](Error::is_on_listener_thread) in a handler, and
    /// [`is_not_running`](Error::is_not_running) after the end.
    ///
    /// ```
    /// # fn main() -> Result<(), treering::Error> {
    /// let capture = treering::handler::Capture::new();
    /// let builder = treering::builder().wait(treering::Wait::Manual).handler(capture.clone());
    /// let (logger, guard) = builder.start()?;
    /// treering::info!(logger: logger, "waits");
    /// assert!(capture.is_empty());
    /// assert_eq!(guard.poll()?, 1);
    /// assert_eq!(capture.len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn poll(&self) -> Result<usize, Error> {
        self.logger.poll()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let engine: &Arc<Engine> = &self.logger.engine;
        if engine.is_over() {
            return; // also in a child of `fork`: the parent's own guard ends it
        }
        if self.is_global {
            // What the deadline leaves behind is stopped, and told of, at the end of the process.
            let _ = engine.within_exit_timeout(|timeout| self.logger.flush(timeout));
        } else if let Ok(report) = engine.within_exit_timeout(|timeout| engine.stop(timeout)) {
            // On the listener's thread, which is the error, the engine ends by itself.
            let lost = report.left_behind();
            if lost > 0 {
                engine
                    .core
                    .faults
                    .report(format_args!("{lost} records were abandoned as the guard was dropped"));
            }
        }
    }
}
