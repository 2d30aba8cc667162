//! What the tests of the macros see of records: they log through engines whose handler keeps everything as text.

#![allow(dead_code, unused_imports, reason = "not every test uses all of it")]

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

pub(crate) use treering::Logger;
use treering::handler::{Batch, Handler, HandlerError};
use treering::{Guard, Level};

/// One record, as text.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Seen {
    pub(crate) level: Level,
    pub(crate) target: &'static str,
    pub(crate) module_path: &'static str,
    pub(crate) line: u32,
    pub(crate) message: String,
    pub(crate) fields: Vec<(&'static str, String)>,
    /// The variants of the arguments' values: `U64`, `Str`, `Text` for what was formatted at the call.
    pub(crate) kinds: Vec<String>,
    thread: u32,
}

/// Keeps what it is handed.
#[derive(Clone, Default)]
struct Keep(Arc<Mutex<Vec<Seen>>>);

impl Handler for Keep {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        let variant = |value: String| value.split(['(', ' ', '{']).next().unwrap_or_default().to_owned();
        self.0.lock().unwrap().extend(batch.iter().map(|record| Seen {
            level: record.level(),
            target: leaked(record.target()),
            module_path: leaked(record.module_path()),
            line: record.line(),
            message: record.message().to_string(),
            fields: record.fields().map(|field| (leaked(field.name()), field.to_string())).collect(),
            kinds: record.values().map(|value| variant(format!("{value:?}"))).collect(),
            thread: record.thread().id(),
        }));
        Ok(())
    }
}

/// What tests compare with names that they write down.
fn leaked(name: &str) -> &'static str {
    name.to_owned().leak()
}

/// What `log` logs to the logger it is given.
pub(crate) fn logged(log: impl FnOnce(&Logger)) -> Vec<Seen> {
    let keep = Keep::default();
    let (logger, guard) = treering::builder().filter("trace").handler(keep.clone()).start().unwrap();
    log(&logger);
    guard.stop(Duration::from_secs(10)).unwrap().assert_balanced();
    std::mem::take(&mut *keep.0.lock().unwrap())
}

/// The message of the only record.
#[track_caller]
pub(crate) fn message(log: impl FnOnce(&Logger)) -> String {
    let seen = logged(log);
    assert_eq!(seen.len(), 1, "{seen:?}");
    seen[0].message.clone()
}

/// What this thread has logged to the process-wide engine since the last call. Records of the target `off` are
/// disabled. The first call, by any thread, starts the engine.
pub(crate) fn take() -> Vec<Seen> {
    static ENGINE: OnceLock<(Keep, Guard)> = OnceLock::new();
    let (keep, guard) = ENGINE.get_or_init(|| {
        let keep = Keep::default();
        let guard = treering::builder().filter("trace,off=off").handler(keep.clone()).init().unwrap();
        (keep, guard)
    });
    guard.flush(Duration::from_secs(10)).unwrap();
    let here = current_thread();
    let (mine, others) = keep.0.lock().unwrap().drain(..).partition(|seen| seen.thread == here);
    *keep.0.lock().unwrap() = others;
    mine
}

/// The kernel's number of this thread.
fn current_thread() -> u32 {
    let link = std::fs::read_link("/proc/thread-self").unwrap();
    link.file_name().unwrap().to_str().unwrap().parse().unwrap()
}
