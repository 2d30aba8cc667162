//! What is done with a record between the queue, or the rings, and the handlers: kept, changed, dropped, or not prepared.
//!
//! A *step* is asked of each record, on the listener's thread, and answers with a [`Prepared`]. Several are asked in
//! order, each of what those before it left. All handlers get what the last one left, and so do formats, fallbacks and
//! flight recorders: what a step [redacts](redact) reaches none of them.
//!
//! [`Builder::prepare`](crate::Builder::prepare) adds a step to an engine, [`Listener::prepare`](crate::Listener::prepare)
//! to a listener over a queue. Callers do not wait for a step; an engine without steps does not pay for them. The
//! engine's own records, which tell of losses, are asked of none.
//!
//! ```
//! use std::time::Duration;
//! use treering::{Change, Level, Prepared, handler::Capture, prepare};
//!
//! # fn main() -> Result<(), treering::Error> {
//! let capture = Capture::new();
//! let (logger, guard) = treering::builder()
//!     .prepare(prepare::redact(["password", "token"]))
//!     .prepare(prepare::host())
//!     .prepare(|record| match record.target() {
//!         "chatter" => Prepared::Drop("chatter"),
//!         "legacy" => Change::new().level(Level::Debug).into(),
//!         _ => Prepared::Keep,
//!     })
//!     .handler(capture.clone())
//!     .start()?;
//! treering::info!(logger: logger, password = "hunter2", user = "kim", "login");
//! treering::info!(logger: logger, target: "chatter", "blah");
//! let report = guard.stop(Duration::from_secs(5))?;
//! report.assert_balanced();
//! assert_eq!((report.dispatched, report.prepared_away["chatter"]), (1, 1));
//!
//! let login = &capture.records()[0];
//! assert_eq!(login.field("password").unwrap().text(), "[redacted]");
//! assert_eq!(login.field("user").unwrap().text(), "kim");
//! # Ok(())
//! # }
//! ```

mod change;
mod ready;
#[cfg(test)]
mod tests;

pub use change::Change;
pub use ready::{at_most, host, process, redact};

use std::error::Error as StdError;
use std::fmt;

use bumpalo::Bump;

use crate::callsite::{Entry, EntryOf};
use crate::fault::{guarded, text_of};
use crate::record::Record;

/// What is to become of a record, as a step says.
///
/// ```
/// use treering::{Change, Prepared};
///
/// let builder = treering::builder().prepare(|record| {
///     match record.field("tenant").and_then(|field| field.value().as_u64()) {
///         None => Prepared::Keep,
///         Some(0) => Prepared::Drop("internal"),
///         Some(1) => Change::new().set("tenant", "acme").into(),
///         Some(tenant) => Prepared::fail(format!("no tenant {tenant}")),
///     }
/// });
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Prepared {
    /// It goes on as it is.
    Keep,
    /// It goes on with these changes.
    Change(Change),
    /// It goes to no handler, for this reason, under which it is counted.
    Drop(&'static str),
    /// It could not be prepared, and goes to no handler; it is counted, and the error hook is told of the error.
    Fail(Source),
}

impl Prepared {
    /// It could not be prepared.
    ///
    /// ```
    /// let prepared = treering::Prepared::fail("no such customer");
    /// ```
    pub fn fail(source: impl Into<Source>) -> Self {
        Prepared::Fail(source.into())
    }
}

impl From<Change> for Prepared {
    fn from(change: Change) -> Self {
        Prepared::Change(change)
    }
}

/// What a preparation failed with.
type Source = Box<dyn StdError + Send + Sync>;

/// Is asked of each record.
type Step = Box<dyn FnMut(&Record<'_>) -> Prepared + Send>;

/// What a change can change of a record: the call, and its arguments.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Content<'a> {
    pub(crate) entry: &'a Entry<'a>,
    pub(crate) arguments: &'a [u64],
}

/// Why a record goes to no handler.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Lost {
    /// A step dropped it, for this reason.
    Dropped(&'static str),
    /// A step failed or panicked, with this text.
    Failed(String),
}

/// The steps, in order.
#[derive(Default)]
pub(crate) struct Steps(Vec<Step>);

impl Steps {
    pub(crate) fn push(&mut self, step: impl FnMut(&Record<'_>) -> Prepared + Send + 'static) {
        self.0.push(Box::new(step));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What all of them leave of a record, whose content is `content`. What they change lies in the arena. Runs code of
    /// the user's.
    pub(crate) fn run<'a>(
        &mut self,
        record: Record<'_>,
        mut content: Content<'a>,
        arena: &'a Bump,
    ) -> Result<Content<'a>, Lost> {
        for step in &mut self.0 {
            let entry = EntryOf::Batch(content.entry);
            let record = Record { entry, arguments: content.arguments, ..record };
            match guarded(|| step(&record)) {
                Ok(Prepared::Keep) => {}
                Ok(Prepared::Change(change)) => content = change.apply(content, record.truncated, arena),
                Ok(Prepared::Drop(reason)) => return Err(Lost::Dropped(reason)),
                Ok(Prepared::Fail(error)) => return Err(Lost::Failed(text_of(error))),
                Err(panic) => return Err(Lost::Failed(format!("panicked: {panic}"))),
            }
        }
        Ok(content)
    }
}

impl fmt::Debug for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Steps").field(&self.0.len()).finish()
    }
}
