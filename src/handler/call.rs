//! The boundary behind which a handler may fail, and what a failure costs.

use std::time::Duration;

use super::{Cost, Handler, HandlerError};
use crate::clock;
use crate::fault::{discard, guarded};

/// How a handler's call failed.
pub(crate) struct Failure {
    pub(crate) cost: Cost,
    /// See [`HandlerError`].
    pub(crate) passes: bool,
    pub(crate) text: String,
    /// How long the call took, if it was timed.
    pub(crate) took: Duration,
}

/// The handler, which knows now of the records that it was not shown.
pub(crate) fn informed<'a>(handler: &'a mut dyn Handler, untold: &mut u64) -> &'a mut dyn Handler {
    if *untold > 0 {
        handler.skipped(std::mem::take(untold));
    }
    handler
}

/// Calls a handler. Its error and its panic end here; so does what they do when they are shown and dropped. Only a
/// call that is worth two looks at the clock `is_timed`.
pub(crate) fn call_handler(
    is_timed: bool,
    call: impl FnOnce() -> Result<(), HandlerError>,
) -> Result<(), Failure> {
    let since = is_timed.then(clock::now);
    let (cost, passes, text) = match guarded(call) {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => {
            let HandlerError { cost, passes, .. } = error;
            let text = guarded(|| error.to_string());
            discard(error);
            (cost, passes, text.unwrap_or_else(|panic| format!("an error that cannot be shown ({panic})")))
        }
        Err(panic) => (Cost::Current, false, format!("panicked: {panic}")),
    };
    Err(Failure { cost, passes, text, took: since.map_or(Duration::ZERO, |since| clock::now() - since) })
}

/// What a call did with the records that it was shown: with so many of them it is done, and what it lost.
pub(crate) struct Outcome {
    pub(crate) taken: usize,
    pub(crate) loss: Loss,
}

/// Records that a call cost.
#[derive(Clone, Copy)]
pub(crate) enum Loss {
    /// So many.
    Of(u64),
    /// The last one of those taken.
    OfLast,
    /// Whatever the handler had and holds no more: it failed without saying how far it came.
    OfWhatVanished,
}

impl Outcome {
    /// `handed`: how many of those shown it asked for. `buffers`: it has held records before.
    pub(crate) fn of(failure: Option<&Failure>, shown: usize, handed: usize, buffers: bool) -> Self {
        // It may have failed before it asked for the first record: that one is what it costs.
        let last_handed = handed.clamp(1, shown);
        let (taken, loss) = match failure.map(|failure| failure.cost) {
            None => (shown, Loss::Of(0)),
            #[cfg(treering_mutant = "panic_repeats")]
            Some(Cost::Current) if last_handed > 1 => (last_handed - 1, Loss::Of(1)),
            Some(Cost::Lost(records)) => (shown, Loss::Of(records)),
            Some(Cost::After(settled)) if settled < shown => (settled + 1, Loss::OfLast),
            Some(Cost::After(_)) => (shown, Loss::Of(0)),
            // A handler that buffers may have failed to let go of more than this one.
            Some(Cost::Current) if buffers => (last_handed, Loss::OfWhatVanished),
            Some(Cost::Current) => (last_handed, Loss::OfLast),
        };
        Outcome { taken, loss }
    }
}

impl Loss {
    /// What a call without a batch cost of the records that the handler held.
    pub(crate) fn of_held(failure: Option<&Failure>) -> Self {
        match failure.map(|failure| failure.cost) {
            None => Loss::Of(0),
            Some(Cost::Lost(records)) => Loss::Of(records),
            Some(Cost::Current | Cost::After(_)) => Loss::OfWhatVanished,
        }
    }
}
