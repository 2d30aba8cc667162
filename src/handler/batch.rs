//! What a handler gets: a run of records in order, and a cursor that remembers which one was handed out last.

use std::fmt;

use crate::callsite::Entry;
use crate::level::LevelFilter;
use crate::record::{Record, Thread, Timestamp};
use crate::stats::Cursor;
use crate::sync::Arc;

/// Where one record of a batch lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item {
    /// Where its arguments begin in the batch's words.
    pub(crate) start: usize,
    /// How many words they are.
    pub(crate) words: usize,
    pub(crate) entry: &'static Entry,
    pub(crate) time: Timestamp,
    pub(crate) stamp: u64,
    /// Position in the batch's threads.
    pub(crate) thread: usize,
    pub(crate) truncated: bool,
    /// One of the engine's own records: outside its ledger, and past every handler's level.
    pub(crate) own: bool,
}

impl Item {
    /// Whether a handler with this level gets it.
    pub(crate) fn passes(&self, max_level: LevelFilter) -> bool {
        self.own || max_level.allows(self.entry.metadata.level)
    }
}

/// Records in the order they are to be written, for one handler.
///
/// Iterate over it by reference. The batch remembers how far the handler came, so that after a panic or an error
/// the listener knows which record it was on.
///
/// ```
/// use treering::handler::{Batch, Handler, HandlerError};
///
/// struct Example;
/// impl Handler for Example {
///     fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
///         let mut lines = Vec::with_capacity(batch.len());
///         for record in batch {
///             lines.push(record.message().to_string());
///         }
///         // … and one request for all of them.
///         Ok(())
///     }
/// }
/// # let (logger, guard) = treering::builder().handler(Example).start().unwrap();
/// # treering::info!(logger: logger, order_id = 7_u64, peers = &[1_u8, 2], pair = (1_u8, "x"), gap = None::<u8>, "filled {}", "all");
/// # let report = guard.stop(std::time::Duration::from_secs(5)).unwrap();
/// # assert!(report.is_lossless(), "{report:#?}");
/// ```
#[derive(Clone, Copy)]
pub struct Batch<'a> {
    pub(crate) items: &'a [Item],
    pub(crate) words: &'a [u64],
    pub(crate) threads: &'a [Arc<Thread>],
    pub(crate) max_level: LevelFilter,
    /// How far the handler came.
    pub(crate) cursor: &'a Cursor,
}

impl<'a> Batch<'a> {
    /// How many records pass the handler's level.
    ///
    /// Cost: looks at each record's level.
    ///
    /// ```
    /// use treering::handler::{Batch, Handler, HandlerError};
    ///
    /// struct Example;
    /// impl Handler for Example {
    ///     fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
    ///         assert_eq!(batch.len(), batch.iter().count());
    ///         Ok(())
    ///     }
    /// }
    /// # let (logger, guard) = treering::builder().handler(Example).start().unwrap();
    /// # treering::info!(logger: logger, order_id = 7_u64, peers = &[1_u8, 2], pair = (1_u8, "x"), gap = None::<u8>, "filled {}", "all");
    /// # let report = guard.stop(std::time::Duration::from_secs(5)).unwrap();
    /// # assert!(report.is_lossless(), "{report:#?}");
    /// ```
    pub fn len(&self) -> usize {
        self.items.iter().filter(|item| item.passes(self.max_level)).count()
    }

    /// Whether no record passes the handler's level.
    ///
    /// ```
    /// use treering::handler::{Batch, Handler, HandlerError};
    ///
    /// struct Example;
    /// impl Handler for Example {
    ///     fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
    ///         assert!(!batch.is_empty());
    ///         Ok(())
    ///     }
    /// }
    /// # let (logger, guard) = treering::builder().handler(Example).start().unwrap();
    /// # treering::info!(logger: logger, order_id = 7_u64, peers = &[1_u8, 2], pair = (1_u8, "x"), gap = None::<u8>, "filled {}", "all");
    /// # let report = guard.stop(std::time::Duration::from_secs(5)).unwrap();
    /// # assert!(report.is_lossless(), "{report:#?}");
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The records, in order. To hand one out again, ask for another iterator: the cursor never goes back.
    ///
    /// ```
    /// use treering::handler::{Batch, Handler, HandlerError};
    ///
    /// struct Example;
    /// impl Handler for Example {
    ///     fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
    ///         let errors = batch.iter().filter(|record| record.level() == treering::Level::Error).count();
    ///         # assert_eq!(errors, 0);
    ///         Ok(())
    ///     }
    /// }
    /// # let (logger, guard) = treering::builder().handler(Example).start().unwrap();
    /// # treering::info!(logger: logger, order_id = 7_u64, peers = &[1_u8, 2], pair = (1_u8, "x"), gap = None::<u8>, "filled {}", "all");
    /// # let report = guard.stop(std::time::Duration::from_secs(5)).unwrap();
    /// # assert!(report.is_lossless(), "{report:#?}");
    /// ```
    pub fn iter(&self) -> Records<'a> {
        Records { batch: *self, at: 0 }
    }
}

impl<'a> IntoIterator for &Batch<'a> {
    type Item = Record<'a>;
    type IntoIter = Records<'a>;

    fn into_iter(self) -> Records<'a> {
        self.iter()
    }
}

impl fmt::Debug for Batch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// The records of a [`Batch`].
///
/// ```
/// use treering::handler::{Batch, Handler, HandlerError};
///
/// struct Example;
/// impl Handler for Example {
///     fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
///         let first = batch.iter().next().unwrap();
///         # assert_eq!(first.message(), "filled all");
///         Ok(())
///     }
/// }
/// # let (logger, guard) = treering::builder().handler(Example).start().unwrap();
/// # treering::info!(logger: logger, order_id = 7_u64, peers = &[1_u8, 2], pair = (1_u8, "x"), gap = None::<u8>, "filled {}", "all");
/// # let report = guard.stop(std::time::Duration::from_secs(5)).unwrap();
/// # assert!(report.is_lossless(), "{report:#?}");
/// ```
#[derive(Clone, Debug)]
pub struct Records<'a> {
    batch: Batch<'a>,
    at: usize,
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        let Batch { items, words, threads, max_level, cursor } = self.batch;
        while let Some(item) = items.get(self.at) {
            self.at += 1;
            let passes = item.passes(max_level);
            if !cursor.advance(self.at, passes) {
                return None; // a stop's deadline has passed: what is left was counted as abandoned
            }
            if passes {
                return Some(Record {
                    entry: item.entry,
                    arguments: words.get(item.start..item.start + item.words).unwrap_or(&[]),
                    time: item.time,
                    stamp: item.stamp,
                    thread: &threads[item.thread],
                    truncated: item.truncated,
                });
            }
        }
        cursor.exhaust();
        None
    }
}
