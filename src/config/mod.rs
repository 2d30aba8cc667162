//! Settings as data: a TOML file says what a [`Builder`] can say.
//!
//! ```toml
//! filter = "info,my_server::db=debug"     # RUST_LOG goes before it
//! ring_capacity = "1 MiB"
//!
//! [overflow]
//! error = { block = "1ms" }
//!
//! [handlers.console]
//! kind = "console"
//! level = "warn"
//!
//! [handlers.app]
//! kind = "file"
//! path = "app.log"
//! format = "json"
//! rotate = { every = "day", keep_files = 7 }
//! ```
//!
//! [`init_from`] starts the process-wide engine with such a file. A [`Config`] takes handlers of your own,
//! and is read again while the engine runs. All keys: [docs/config.md].
//!
//! [docs/config.md]: https://github.com/treering/treering/blob/main/docs/config.md

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::builder::{Builder, builder};
use crate::error::Error;
use crate::guard::Guard;
use crate::handler::Handler;
use crate::logger::Logger;
use crate::sync::Arc;

mod handlers;
mod settings;
mod table;
#[cfg(test)]
mod tests;
mod watch;

pub use table::Table;

/// Makes a handler of the table that names its kind.
type Make =
    dyn Fn(&Table) -> Result<Box<dyn Handler>, Box<dyn std::error::Error + Send + Sync>> + Send + Sync;

/// What a file says, to make a [`Builder`] of, and to be read again.
///
/// Environment variables go before the file: `TREERING__RING_CAPACITY=65536` is the key `ring_capacity`, and
/// `TREERING__HANDLERS__APP__LEVEL=debug` the key `level` in `[handlers.app]`. Their values are written as in the file, and
/// texts need no quotes.
///
/// ```
/// use std::time::Duration;
/// use treering::config::Config;
///
/// # let directory = tempfile::tempdir().unwrap();
/// # let path = directory.path().join("treering.toml");
/// # let log = directory.path().join("app.log");
/// std::fs::write(&path, format!("[handlers.app]\nkind = 'file'\npath = {log:?}\nlevel = 'warn'")).unwrap();
/// let mut config = Config::read(&path)?;
/// let (logger, guard) = config.builder()?.start()?;
/// treering::info!(logger: logger, "not wanted");
///
/// std::fs::write(&path, format!("[handlers.app]\nkind = 'file'\npath = {log:?}\nlevel = 'info'")).unwrap();
/// config.reload(&guard, Duration::from_secs(5))?;
/// treering::info!(logger: logger, "wanted");
/// guard.stop(Duration::from_secs(5))?;
/// assert!(std::fs::read_to_string(&log).unwrap().ends_with("wanted\n"));
/// assert_eq!(std::fs::read_to_string(&log).unwrap().lines().count(), 1);
/// # Ok::<(), treering::Error>(())
/// ```
pub struct Config {
    /// None for a text, which cannot be read again.
    path: Option<PathBuf>,
    table: Table,
    kinds: BTreeMap<String, Arc<Make>>,
}

/// What [`Config::reload`] did.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Reloaded {
    /// Keys whose new values count from now on, as `filter` and `handlers.app`.
    pub applied: Vec<String>,
    /// Keys whose new values only an engine that starts with them will have, as `ring_capacity`.
    pub needs_restart: Vec<String>,
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// [`is_io`](Error::is_io) if it cannot be read, and [`is_config`](Error::is_config) if it is no TOML. What the keys say
    /// is looked at by [`builder`](Config::builder).
    ///
    /// ```
    /// assert!(treering::config::Config::read("/no/such/file.toml").unwrap_err().is_io());
    /// ```
    pub fn read(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = std::path::absolute(&path).map_err(|source| Error::io("find", &path, source))?;
        Ok(Config { table: read(&path)?, path: Some(path), kinds: BTreeMap::new() })
    }

    /// Takes a text for what a file says. Messages call it `configuration`.
    ///
    /// # Errors
    /// [`is_config`](Error::is_config) if it is no TOML.
    ///
    /// ```
    /// let problem = treering::config::Config::parse("filter = info").unwrap_err();
    /// assert!(problem.to_string().starts_with("configuration:1:10: "));
    /// ```
    pub fn parse(text: &str) -> Result<Self, Error> {
        Ok(Config { table: of_text(text, "configuration")?, path: None, kinds: BTreeMap::new() })
    }

    /// Names a kind of handlers of yours. A table `[handlers.…]` with this `kind` is handed to `make`; the keys that all
    /// handlers have (`level`, `filter`, `flush`, `or`, `recorder`) are looked at beside that.
    ///
    /// ```
    /// use treering::{config::Config, handler::Capture};
    /// let capture = Capture::new();
    /// let captured = capture.clone();
    /// let config = Config::parse("[handlers.seen]\nkind = 'capture'\nlevel = 'warn'")?
    ///     .kind("capture", move |_| Ok(Box::new(captured.clone())));
    /// let (logger, guard) = config.builder()?.start()?;
    /// treering::info!(logger: logger, "not wanted");
    /// treering::warn!(logger: logger, "wanted");
    /// let report = guard.stop(std::time::Duration::from_secs(5))?;
    /// assert_eq!(report.handlers["seen"].delivered, 1);
    /// # Ok::<(), treering::Error>(())
    /// ```
    #[must_use]
    pub fn kind(
        mut self,
        name: impl Into<String>,
        make: impl Fn(&Table) -> Result<Box<dyn Handler>, Box<dyn std::error::Error + Send + Sync>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.kinds.insert(name.into(), Arc::new(make));
        self
    }

    /// A builder with these settings. Its handlers are made here: files are open.
    ///
    /// # Errors
    /// [`is_config`](Error::is_config) names the file, the line and the key, or the environment's variable: what the key
    /// says cannot be, nobody knows the key, or its handler could not be made.
    pub fn builder(&self) -> Result<Builder, Error> {
        let mut builder = settings::apply(&self.table, builder())?;
        for (name, table) in handlers::tables(&self.table)? {
            builder = builder.handler(handlers::make(name, table, &self.kinds)?);
        }
        self.table.finish()?;
        Ok(builder)
    }

    /// Reads the file again and makes the running engine what it says now: its filter, and the handlers that it has. A
    /// handler whose table says what it said goes on untouched; one whose table changed is replaced, under its name; what is
    /// no longer there is removed. Handlers that the program added itself stay.
    ///
    /// First everything is read and all new handlers are made. If anything is wrong, that is the error, and the engine goes on
    /// as it was. To make a handler opens its file, though: one that it truncates, or that rolls on start, is then, whatever
    /// comes of the rest. `timeout` is for each handler that is added, removed or replaced; if one takes longer, the rest is left for
    /// another call.
    ///
    /// A filter from `RUST_LOG` stays.
    ///
    /// # Errors
    /// As [`read`](Config::read), [`builder`](Config::builder) and [`HandlerControl`](crate::HandlerControl).
    pub fn reload(&mut self, guard: &Guard, timeout: Duration) -> Result<Reloaded, Error> {
        self.apply_to(&guard.logger, guard.is_global, timeout)
    }

    /// Looks at the file so often, on a thread of its own, and [reloads](Config::reload) it when it was changed, until the
    /// engine is stopped. What is wrong with it, and keys that need a restart, the engine's
    /// [`error_hook`](Builder::error_hook) is told.
    ///
    /// # Errors
    /// [`is_config`](Error::is_config) if there is no file, or no time between two looks, and [`is_io`](Error::is_io) if the
    /// system refuses a thread.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use treering::config::Config;
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path().join("treering.toml");
    /// # std::fs::write(&path, "filter = 'info'").unwrap();
    /// let config = Config::read(&path)?;
    /// let (logger, guard) = config.builder()?.start()?;
    /// config.watch(&guard, Duration::from_secs(2))?;
    /// # Ok::<(), treering::Error>(())
    /// ```
    pub fn watch(self, guard: &Guard, every: Duration) -> Result<(), Error> {
        watch::start(self, guard, every)
    }

    fn apply_to(&mut self, logger: &Logger, is_global: bool, timeout: Duration) -> Result<Reloaded, Error> {
        let Some(path) = &self.path else { return Err(without_file()) };
        let next = read(path)?;
        drop(settings::apply(&next, builder())?); // for what is wrong with it
        let steps = handlers::steps(&self.table, &next, &self.kinds)?;
        next.finish()?;

        let mut done = Reloaded::default();
        for key in self.table.differences(&next) {
            if settings::FIXED.contains(&key) {
                done.needs_restart.push(key.to_owned());
            } else if key == "filter" && !(is_global && std::env::var_os("RUST_LOG").is_some()) {
                logger.set_filter(settings::filter(&next)?.unwrap_or("info"))?;
                done.applied.push(key.to_owned());
            }
        }
        for (name, step) in steps {
            step.take(logger, &name, timeout)?;
            done.applied.push(format!("handlers.{name}"));
        }
        self.table = next;
        Ok(done)
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds: Vec<_> = self.kinds.keys().collect();
        f.debug_struct("Config")
            .field("path", &self.path)
            .field("table", &self.table)
            .field("kinds", &kinds)
            .finish()
    }
}

/// Starts the process-wide engine as the file says, with the environment's variables before it.
///
/// ```no_run
/// fn main() -> Result<(), treering::Error> {
///     let _guard = treering::init_from("treering.toml")?;
///     treering::info!("configured");
///     Ok(())
/// }
/// ```
///
/// # Errors
/// As [`Config::read`], [`Config::builder`] and [`Builder::init`].
pub fn init_from(path: impl AsRef<Path>) -> Result<Guard, Error> {
    Config::read(path)?.builder()?.init()
}

fn read(path: &Path) -> Result<Table, Error> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::io("read", path, source))?;
    of_text(&text, &path.display().to_string())
}

fn of_text(text: &str, file: &str) -> Result<Table, Error> {
    let mut table = Table::parse(text, file)?;
    table.put_variables(std::env::vars_os())?;
    Ok(table)
}

fn without_file() -> Error {
    Error::config("a configuration that is no file cannot be read again")
}
