//! A handler that reads each record's time and counts: what is measured is the caller, not the formatting.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use treering::handler::{Batch, Handler, HandlerError};

/// See the module's documentation.
#[derive(Clone, Default, Debug)]
pub(crate) struct Sink {
    /// Records that were handed out.
    pub(crate) handled: Arc<AtomicU64>,
}

impl Handler for Sink {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        let mut records = 0;
        for record in batch {
            black_box(record.time());
            records += 1;
        }
        self.handled.fetch_add(records, Ordering::Release);
        Ok(())
    }
}
