//! A handler that is far behind when the end comes.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use treering::handler::{Batch, Handler, HandlerError};
use treering::record::Record;

/// So that of 200 records nearly all are pending.
const NAP: Duration = Duration::from_millis(10);

/// A record with this message makes the handler panic.
pub const PANIC: &str = "panic";

/// Appends a line for each record, with one write, and takes its time for it.
pub struct Slow {
    file: File,
    nap: Duration,
}

impl Slow {
    pub fn new(file: impl AsRef<Path>) -> Self {
        Slow { nap: NAP, ..Slow::quick(file) }
    }

    /// The same without naps.
    pub fn quick(file: impl AsRef<Path>) -> Self {
        let file = File::options().create(true).append(true).open(file).expect("the file opens");
        Slow { file, nap: Duration::ZERO }
    }

    pub fn take(&mut self, record: &Record<'_>) -> Result<(), HandlerError> {
        let message = record.message();
        assert!(message != PANIC, "asked for");
        std::thread::sleep(self.nap);
        self.file.write_all(format!("{message}\n").as_bytes())?;
        Ok(())
    }
}

impl Handler for Slow {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        batch.into_iter().try_for_each(|record| self.take(&record))
    }

    fn name(&self) -> String {
        "slow".to_owned()
    }
}
