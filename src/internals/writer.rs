//! The handler of the models' engines, and what it wrote.

use crate::handler::{Batch, Handler, HandlerError};
use crate::record::Value;
use crate::sync::{Arc, Mutex};

/// The handler's name.
pub(super) const WRITER: &str = "writer";

/// The handler: buffers like a file does, so that only a flush brings its records out.
pub(super) struct Writer {
    pub(super) written: Written,
}

impl Handler for Writer {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        for record in batch {
            let panics = self.written.look(|pages| {
                match (record.target(), record.value(0)) {
                    ("model", Some(Value::U64(number))) if pages.panic_at == Some(number) => {
                        pages.panic_at = None;
                        pages.panics += 1;
                        return true;
                    }
                    ("model", Some(Value::U64(number))) => pages.records.push((record.thread().id(), number)),
                    ("treering::loss", Some(Value::U64(records))) => {
                        let number = |name| record.field(name).and_then(|field| field.value().as_u64());
                        let [first, last] =
                            ["first", "last"].map(|name| number(name).expect("a loss has it"));
                        let (thread, behind) = (record.thread().id(), pages.records.len());
                        pages.told_lost.push(Told { thread, records, first, last, behind });
                    }
                    other => pages.faults.push(format!("no record of the model's: {other:?}")),
                }
                false
            });
            if panics {
                // Without the hook, which would print it in each execution.
                std::panic::resume_unwind(Box::new("the model's"));
            }
        }
        Ok(())
    }

    fn name(&self) -> String {
        WRITER.into()
    }

    fn flush(&mut self) -> Result<(), HandlerError> {
        self.written.look(|pages| pages.flushed = pages.records.len());
        Ok(())
    }

    fn held(&self) -> u64 {
        self.written.look(|pages| (pages.records.len() - pages.flushed) as u64)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.written.look(|pages| pages.is_dropped = true);
    }
}

/// What a loss record told: so many records of this thread, among these of its calls, behind so many records of the model's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(clippy::exhaustive_structs, reason = "models look at all of it")]
pub struct Told {
    pub thread: u32,
    pub records: u64,
    pub first: u64,
    pub last: u64,
    pub behind: usize,
}

/// What a handler wrote. Loom must see it, or it would not try the orders in which somebody looks too early.
#[derive(Clone, Debug)]
pub(super) struct Written(Arc<Mutex<Pages>>);

#[derive(Default, Debug)]
pub(super) struct Pages {
    pub(super) records: Vec<(u32, u64)>,
    /// How many of the records were flushed.
    pub(super) flushed: usize,
    pub(super) told_lost: Vec<Told>,
    pub(super) panic_at: Option<u64>,
    pub(super) panics: usize,
    pub(super) is_dropped: bool,
    pub(super) faults: Vec<String>,
}

impl Written {
    pub(super) fn new() -> Self {
        Written(Arc::new(Mutex::new(Pages::default())))
    }

    pub(super) fn look<R>(&self, look: impl FnOnce(&mut Pages) -> R) -> R {
        look(&mut self.0.lock())
    }
}
