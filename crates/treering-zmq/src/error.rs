//! The one error of everything that opens, asks or closes.

use std::error::Error as StdError;
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
    Socket { doing: String, source: zmq::Error },
    System(io::Error),
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
            Kind::Config(_) | Kind::Timeout | Kind::Closed => None,
        }
    }
}

impl From<io::Error> for Error {
    fn from(source: io::Error) -> Self {
        Error { kind: Kind::System(source) }
    }
}
