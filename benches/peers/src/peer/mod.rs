//! The loggers: one file each, one trait for all that are written in Rust.
//!
//! Each is set up as its own documentation says, with a file, and with a time, a level and a target in each line. What
//! differs from its defaults is said where it is set.

/// The calls of a logger whose macros are in scope and need no logger to be named; `fields` as it writes them.
macro_rules! calls {
    (fields: |$id:ident, $path:ident| $fields:expr) => {
        #[inline(always)]
        fn numbers(&self, a: u64, b: u64, c: f64) {
            info!("filled {} of {} at {}", a, b, c);
        }

        #[inline(always)]
        fn text(&self, text: &str) {
            info!("said {}", text);
        }

        #[inline(always)]
        fn fields(&self, $id: u64, $path: &str) {
            $fields;
        }

        #[inline(always)]
        fn disabled(&self, a: u64, b: u64, c: f64) {
            debug!("filled {} of {} at {}", a, b, c);
        }
    };
}

mod floor;
mod ftlog;
mod inqjet;
mod log4rs;
mod slog;
mod spdlog_rs;
mod tracing;
mod treering;

use std::fs::{File, OpenOptions};
use std::path::Path;

pub use self::treering::Treering;
use crate::case;
use crate::job::{Full, Job};

/// A logger of this process. All calls are inlined into the loops that time them.
pub trait Peer: Sized + Sync {
    /// `bytes` is the length of the longest message.
    fn start(file: &Path, full: Full, bytes: usize) -> Self;

    /// Each thread, before its first call.
    fn enter(&self) {}

    /// `filled {a} of {b} at {c}`.
    fn numbers(&self, a: u64, b: u64, c: f64);

    /// `said {text}`.
    fn text(&self, text: &str);

    /// `request`, with `id`, `method`, `path` and `status`.
    fn fields(&self, id: u64, path: &str);

    /// As `numbers`, at a level that is off.
    fn disabled(&self, a: u64, b: u64, c: f64);

    /// Returns when the last byte is in the file, with the losses that the logger tells of, if it does.
    fn stop(self) -> Said;
}

/// What a logger says of its losses.
#[derive(Debug)]
pub enum Said {
    /// It lost so many records.
    Lost(u64),
    /// In lines of its log; the number stands behind these words.
    InTheFile(&'static str),
    /// Nothing, wherever a program could look.
    Nothing,
}

/// The loggers of this process, in the order of the tables. The first one is what all are compared with.
pub const NAMES: [&str; 8] =
    ["treering", "floor", "tracing", "slog-async", "spdlog-rs", "ftlog", "inqjet", "log4rs"];

/// Does a job with the logger of that name.
pub fn run(name: &str, job: &Job, file: &Path) -> Result<(), String> {
    match name {
        "treering" => case::run::<Treering>(job, file),
        "floor" => case::run::<floor::AtTheFloor>(job, file),
        "tracing" => case::run::<tracing::Tracing>(job, file),
        "slog-async" => case::run::<slog::Slog>(job, file),
        "spdlog-rs" => case::run::<spdlog_rs::SpdlogRs>(job, file),
        "ftlog" => case::run::<ftlog::Ftlog>(job, file),
        "inqjet" => case::run::<inqjet::Inqjet>(job, file),
        "log4rs" => case::run::<log4rs::Log4rs>(job, file),
        _ => return Err(format!("{name} is not known")),
    }
    Ok(())
}

fn open(path: &Path) -> File {
    OpenOptions::new().create(true).append(true).open(path).expect("the runner made the directory")
}
