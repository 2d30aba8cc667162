//! The boundary behind which a handler may fail.

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
