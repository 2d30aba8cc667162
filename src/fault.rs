//! Where the engine's own faults go: one hook, rate-limited, never the engine's own stream. And the boundary behind
//! which code of the user's may fail: whatever it panics with, and however its values drop, ends there.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::origin::Origin;
use crate::sync::Mutex;
use crate::{clock, os};

/// Lines in one [`WINDOW`]; more would turn a fault into a second one.
const LINES_MAX: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);

/// The hook and its budget.
pub(crate) struct Faults {
    hook: Box<dyn Fn(&str) + Send + Sync>,
    budget: Mutex<Budget>,
    origin: Origin,
}

struct Budget {
    since: Instant,
    lines: u32,
    suppressed: u64,
}

impl Faults {
    pub(crate) fn new(hook: Box<dyn Fn(&str) + Send + Sync>) -> Self {
        let budget = Budget { since: clock::now(), lines: 0, suppressed: 0 };
        Faults { hook, budget: Mutex::new(budget), origin: Origin::here() }
    }

    /// Whatever process they were made in, until now nobody else can hold their lock.
    #[cfg(not(treering_loom))]
    pub(crate) fn of_this_process(self) -> Self {
        Faults { origin: Origin::here(), ..self }
    }

    /// One line on stderr for each fault.
    pub(crate) fn to_stderr() -> Self {
        Faults::new(Box::new(|fault| os::write_stderr(format!("treering: {fault}\n").as_bytes())))
    }

    /// Tells the hook, unless it was told too much lately; then the next line that passes says how many were not.
    /// `fault` is ours: what the user's `Display` says was made text by [`guarded`] before. Tells nobody in a child of
    /// `fork`.
    pub(crate) fn report(&self, fault: impl fmt::Display) {
        if !self.origin.is_here() {
            return;
        }
        let suppressed = {
            let mut budget = self.budget.lock();
            let now = clock::now();
            if now - budget.since > WINDOW {
                *budget = Budget { since: now, lines: 0, suppressed: budget.suppressed };
            }
            if budget.lines == LINES_MAX {
                budget.suppressed += 1;
                return;
            }
            budget.lines += 1;
            std::mem::take(&mut budget.suppressed)
        };
        let text = match suppressed {
            0 => fault.to_string(),
            n => format!("{fault} ({n} faults before this one were not shown)"),
        };
        // A hook that panics has nobody to tell it to.
        let _ = guarded(|| (self.hook)(&text));
    }
}

/// Runs code of the user's. A panic of it ends here, as text.
pub(crate) fn guarded<R>(work: impl FnOnce() -> R) -> Result<R, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic_text(&*panic).to_owned();
        discard(panic);
        text
    })
}

/// Drops something of the user's. If that panics, what it panicked with is leaked: dropping it could go on for ever.
pub(crate) fn discard<T>(value: T) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        std::mem::forget(panic);
    }
}

/// What an error of the user's says.
pub(crate) fn text_of(error: impl fmt::Display) -> String {
    let text = guarded(|| error.to_string());
    discard(error);
    text.unwrap_or_else(|_| "an error that cannot be shown".into())
}

/// What a panic said.
fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("with a value that is no text")
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Arc;

    #[test]
    fn ten_thousand_faults_are_ten_lines() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = lines.clone();
        let faults = Faults::new(Box::new(move |fault| sink.lock().push(fault.to_owned())));
        (0..10_000).for_each(|n| faults.report(format_args!("fault {n}")));
        assert_eq!(lines.lock().len(), LINES_MAX as usize);
        faults.budget.lock().since -= WINDOW * 2;
        faults.report("last");
        assert_eq!(lines.lock().last().unwrap(), "last (9990 faults before this one were not shown)");
    }
}
