//! Records as Python's `logging` has them: the `__dict__` of a `LogRecord`, in JSON.
//!
//! docs/zeromq.md has the table of what becomes of which attribute.

mod read;
mod write;

pub use read::{NotLogRecord, from_python};
pub use write::PythonRecord;

use treering::Level;

/// What stands in the `__dict__` of every `LogRecord`, and what a `Formatter` adds. A field cannot have such a name.
const ATTRIBUTES: [&str; 24] = [
    "name",
    "msg",
    "args",
    "levelname",
    "levelno",
    "pathname",
    "filename",
    "module",
    "exc_info",
    "exc_text",
    "stack_info",
    "lineno",
    "funcName",
    "created",
    "msecs",
    "relativeCreated",
    "thread",
    "threadName",
    "processName",
    "process",
    "taskName",
    "message",
    "asctime",
    "truncated",
];

/// A level's number and name in Python. TRACE is none of Python's own, but what those who add one mostly take.
fn number_and_name(level: Level) -> (u32, &'static str) {
    match level {
        Level::Error => (40, "ERROR"),
        Level::Warn => (30, "WARNING"),
        Level::Info => (20, "INFO"),
        Level::Debug => (10, "DEBUG"),
        Level::Trace => (5, "TRACE"),
    }
}

/// The most severe level that is not above this number; what is below all is a trace.
fn level_of(number: f64) -> Level {
    let reaches = |level: &Level| number >= number_and_name(*level).0.into();
    Level::ALL.into_iter().find(reaches).unwrap_or(Level::Trace)
}
