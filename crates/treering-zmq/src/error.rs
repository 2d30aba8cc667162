//! The one error of everything that opens, asks or closes.

use std::any::Any;
use std::error::Error as StdError;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::{fmt, io};

/// What went wrong with a socket, opaque but for the questions that its users have.
///
/// ```
/// let error = treering_zmq::Sender::pusher().connect("carrier-pigeon://roof").unwrap_err();
/// assert!(!error.is_timeout());
/// assert_eq!(error.to_string(), "cannot connect to carrier-pigeon://roof: Protocol not supported");
/// ```
#[derive(Debug)]
pub struct Error {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Config(String),
    Socket {
        doing: String,
        source: zmq::Error,
    },
    System(io::Error),
    /// `zmq` has no name for what libzmq said, and panicked with it.
    Unnamed(String),
    Timeout,
    Closed,
}

impl Error {
    pub(crate) fn config(text: impl Into<String>) -> Self {
        Error { kind: Kind::Config(text.into()) }
    }

    /// For `map_err`: what was being done when libzmq refused.
    pub(crate) fn doing(what: impl Into<String>) -> impl FnOnce(zmq::Error) -> Self {
        |source| Error { kind: Kind::Socket { doing: what.into(), source } }
    }

    /// Runs `work`, in which `zmq` is called. It panics at an error of libzmq that it has no name for, such as ENOTDIR of an
    /// address of `ipc`: that is an error like others. (The panic hook has seen it by then.)
    pub(crate) fn caught<R>(work: impl FnOnce() -> R) -> Result<R, Self> {
        catch_unwind(AssertUnwindSafe(work))
            .map_err(|panic| Error { kind: Kind::Unnamed(text_of(&*panic).to_owned()) })
    }

    pub(crate) fn timeout() -> Self {
        Error { kind: Kind::Timeout }
    }

    pub(crate) fn closed() -> Self {
        Error { kind: Kind::Closed }
    }

    /// Something was asked of a socket that its kind cannot do, or an option makes no sense.
    pub fn is_config(&self) -> bool {
        matches!(self.kind, Kind::Config(_))
    }

    /// It had not happened when the time was over.
    pub fn is_timeout(&self) -> bool {
        matches!(self.kind, Kind::Timeout)
    }

    /// The socket is closed.
    pub fn is_closed(&self) -> bool {
        matches!(self.kind, Kind::Closed)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Config(text) => f.write_str(text),
            Kind::Socket { doing, source } => write!(f, "cannot {doing}: {source}"),
            Kind::System(source) => source.fmt(f),
            Kind::Unnamed(text) => f.write_str(text),
            Kind::Timeout => f.write_str("the time was over"),
            Kind::Closed => f.write_str("the socket is closed"),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.kind {
            Kind::Socket { source, .. } => Some(source),
            Kind::System(source) => source.source(),
            Kind::Config(_) | Kind::Unnamed(_) | Kind::Timeout | Kind::Closed => None,
        }
    }
}

impl From<io::Error> for Error {
    fn from(source: io::Error) -> Self {
        Error { kind: Kind::System(source) }
    }
}

/// What a panic said.
fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref().copied()).unwrap_or("libzmq failed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_zmq_has_no_name_for_is_an_error_in_its_words() {
        let error = Error::caught(|| zmq::Error::from_raw(20)).unwrap_err();
        assert!(error.to_string().contains("Not a directory"), "{error}");
        assert!(!error.is_config() && !error.is_closed());
    }
}
