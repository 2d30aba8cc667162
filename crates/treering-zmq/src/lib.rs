//! treering's records over [ZeroMQ](https://zeromq.org): to treering elsewhere, and to Python's `logging` and back.
//!
//! ```text
//!  engine ─► QueueHandler ─► Sender ═══ PUB or PUSH ═══► Receiver ─► Listener ─► handlers
//!             portable records, or PythonRecord                       portable records, or from_python
//! ```
//!
//! A [`Sender`] and a [`Receiver`] are the two sides of a [queue](treering::queue), so what carries records into and out of
//! any queue carries them over these: a [`QueueHandler`](treering::handler::QueueHandler) and a
//! [`Listener`](treering::Listener). Without more, what travels are treering's portable records, which lose nothing. With
//! [`PythonRecord`] and [`from_python`] it is what Python's `QueueHandler` sends and its `makeLogRecord` takes.
//!
//! What ZeroMQ loses, where that can be seen and where not, is told in [docs/zeromq.md].
//!
//! [docs/zeromq.md]: https://github.com/treering/treering/blob/main/docs/zeromq.md

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod bell;
mod error;
mod monitor;
mod open;
mod python;
mod receiver;
mod sender;

pub use error::Error;
pub use python::{NotLogRecord, PythonRecord, from_python};
pub use receiver::{Receiver, ReceiverOptions, ReceiverReport};
pub use sender::{Sender, SenderOptions, SenderReport};
