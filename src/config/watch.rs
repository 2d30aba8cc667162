//! The thread that looks whether the file was changed.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use super::{Config, without_file};
use crate::error::Error;
use crate::fault::guarded;
use crate::guard::Guard;
use crate::os;
use crate::sync::nap;

/// How long a change of a handler may take before the rest is left for the next look.
const TIMEOUT: Duration = Duration::from_secs(5);
const THREAD_NAME: &str = "treering-config";

/// What tells one state of a file from another: its number, its length and when it was written.
type Stamp = Option<(u64, u64, i64, i64)>;

fn stamp(path: &Path) -> Stamp {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec()))
}

pub(super) fn start(mut config: Config, guard: &Guard, every: Duration) -> Result<(), Error> {
    let path = config.path.clone().ok_or_else(without_file)?;
    if every.is_zero() {
        return Err(Error::config("to look at a file without a pause would keep a core busy"));
    }
    let (logger, is_global) = (guard.logger.clone(), guard.is_global);
    // Read once more at the first look: the file may have been changed since it was read.
    let mut seen = None;
    let watch = move || {
        while !logger.engine.is_over() {
            nap(every);
            let now = stamp(&path);
            if now == seen {
                continue;
            }
            seen = now;
            let faults = &logger.engine.core.faults;
            // What makes handlers is the user's.
            match guarded(|| config.apply_to(&logger, is_global, TIMEOUT)) {
                Ok(Ok(done)) if done.needs_restart.is_empty() => {}
                Ok(Ok(done)) => {
                    let keys = done.needs_restart.join(", ");
                    faults
                        .report(format_args!("{}: these count after a restart only: {keys}", path.display()));
                }
                Ok(Err(problem)) if problem.is_not_running() => return,
                Ok(Err(problem)) => {
                    seen = if problem.is_timeout() { None } else { seen };
                    faults.report(format_args!("the configuration stays as it was: {problem}"));
                }
                Err(panic) => {
                    faults.report(format_args!("the configuration stays as it was: panicked: {panic}"))
                }
            }
        }
    };
    os::without_signals(|| os::spawn(THREAD_NAME, watch)).map_err(Error::thread_spawn)
}
