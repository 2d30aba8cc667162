//! What a handler gets: a run of records in order, and a cursor that remembers which one was handed out last.

use std::fmt;
use std::num::NonZeroU32;

use super::Texts;
use crate::callsite::EntryOf;
use crate::record::{Record, Scope, Thread, Timestamp};
use crate::stats::Cursor;
use crate::sync::Arc;

/// Where one record of a batch lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item<'a> {
    /// Where its arguments begin in the batch's words.
    pub(crate) start: usize,
    /// How many words they are.
    pub(crate) words: usize,
    pub(crate) entry: EntryOf<'a>,
    pub(crate) time: Timestamp,
    pub(crate) stamp: u64,
    /// Position in the batch's threads.
    pub(crate) thread: usize,
    pub(crate) truncated: bool,
    /// One of the engine's own records: outside its ledger, and past every handler's level and filter.
    pub(crate) own: bool,
    /// Position in the batch's scopes, counted from 1, if it was logged in a span.
    pub(crate) scope: Option<NonZeroU32>,
}

impl<'a> Item<'a> {
    /// The record, of a batch with these words, threads and scopes.
    #[inline]
    pub(crate) fn record(
        &self,
        words: &'a [u64],
        threads: &'a [Arc<Thread>],
        scopes: &'a [Arc<Scope>],
    ) -> Record<'a> {
        Record {
            entry: self.entry,
            arguments: words.get(self.start..self.start + self.words).unwrap_or(&[]),
            time: self.time,
            stamp: self.stamp,
            thread: &threads[self.thread],
            truncated: self.truncated,
            scope: self.scope_of(scopes).map(|scope| &**scope),
        }
    }

    /// What is around it, of these scopes.
    #[inline]
    pub(crate) fn scope_of<'b>(&self, scopes: &'b [Arc<Scope>]) -> Option<&'b Arc<Scope>> {
        self.scope.map(|nth| &scopes[nth.get() as usize - 1])
    }
}

/// The position in `scopes`, counted from 1, of what is around the next record. Mostly the record before has the same.
#[inline]
pub(crate) fn position_of(scope: &Arc<Scope>, scopes: &mut Vec<Arc<Scope>>) -> Option<NonZeroU32> {
    if !scopes.last().is_some_and(|last| Arc::ptr_eq(last, scope)) {
        scopes.push(scope.clone());
    }
    NonZeroU32::new(scopes.len() as u32)
}

/// Records in order, and what they refer to.
#[derive(Clone, Copy)]
pub(crate) struct Contents<'a> {
    pub(crate) items: &'a [Item<'a>],
    pub(crate) words: &'a [u64],
    pub(crate) threads: &'a [Arc<Thread>],
    pub(crate) scopes: &'a [Arc<Scope>],
    /// What their texts are, for handlers that make the same.
    pub(crate) texts: &'a Texts,
}

impl<'a> Contents<'a> {
    /// The record of one of the items.
    #[inline]
    pub(super) fn record(&self, item: &'a Item<'a>) -> Record<'a> {
        item.record(self.words, self.threads, self.scopes)
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
    pub(crate) contents: Contents<'a>,
    /// The positions of those that the handler wants, in order.
    pub(crate) chosen: &'a [u32],
    /// How far the handler came.
    pub(crate) cursor: &'a Cursor,
    /// That of the handler around this one, which hands these out in its own call.
    pub(super) within: Option<&'a Batch<'a>>,
}

impl<'a> Batch<'a> {
    /// Whether more of its records may be handed out: until a stop's deadline passes.
    pub(super) fn is_open(&self) -> bool {
        !self.cursor.is_closed() && self.within.is_none_or(Batch::is_open)
    }

    /// How many records there are: those that pass the handler's level and that it accepts.
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
        self.chosen.len()
    }

    /// Whether there is no record. The engine hands out no such batch.
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
        self.chosen.is_empty()
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

    // A record is nine words: returned by a function of its own they would be copied once more, and read before they have
    // reached the cache.
    #[inline(always)]
    fn next(&mut self) -> Option<Record<'a>> {
        let Batch { contents, chosen, cursor, within } = self.batch;
        let Some(position) = chosen.get(self.at) else {
            cursor.exhaust();
            return None;
        };
        self.at += 1;
        // If it may not advance a stop's deadline has passed: what is left was counted as abandoned.
        let is_open = cursor.advance(self.at) && within.is_none_or(Batch::is_open);
        is_open.then(|| contents.record(&contents.items[*position as usize]))
    }
}
