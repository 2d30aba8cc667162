//! What the tests of the macros see of records. Uses the engine's stand-in; with the engine it becomes
//! `treering::builder().handler(handler::Capture::new()).start()`.

#![allow(dead_code, unused_imports, reason = "not every test uses all of it")]

pub(crate) use treering::__private::stand_in::{Logger, Seen, take};

/// What `log` logs to the logger it is given.
pub(crate) fn logged(log: impl FnOnce(&Logger)) -> Vec<Seen> {
    let logger = Logger::default();
    log(&logger);
    logger.take()
}

/// The message of the only record.
#[track_caller]
pub(crate) fn message(log: impl FnOnce(&Logger)) -> String {
    let seen = logged(log);
    assert_eq!(seen.len(), 1, "{seen:?}");
    seen[0].message.clone()
}
