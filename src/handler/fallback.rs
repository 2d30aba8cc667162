//! If this handler fails, that one.
//!
//! ```text
//!             accepts          refused, lost, or
//!    batch ──────────► primary ──────────────────► fallback ─── refused, lost ──► failed
//!                         │     left alone             │
//!                         ▼                            ▼
//!                     delivered                    delivered, and counted as diverted
//! ```
//! **The primary is flushed at the end of each batch**, so that what it could not bring out is of this batch, which is
//! still there. An error that costs one record says which. One that costs a number of them does not: a handler that
//! buffers drops the newest, so as many of the newest go to the fallback; but where the loss was in the midst of the
//! batch and a part got through, nobody can tell which, and all of the batch go there, some for the second time.
//!
//! What the primary still holds after its flush, as the other side is not ready or the disk is to be synced later, is
//! out of reach with the next batch: if that is lost, it has failed.

use std::fmt;

use super::inner::{Given, Inner};
use super::{Batch, Handler, HandlerError, Routed};
use crate::level::LevelFilter;
use crate::record::Record;

/// A handler with another one behind it: what [`Handler::or`] returns.
///
/// Name, level and filter of the first, the *primary*, decide what it gets. Each record goes to the primary, and if that
/// does not take it, to the fallback. In a report the records that the fallback took are
/// [`diverted`](crate::stats::HandlerReport::diverted), and count as delivered; what both refused has failed, and what
/// level or filter of the fallback keeps out has, too.
///
/// - A primary that fails ten times in a row is left alone for a while, as the engine does with any handler, and tried
///   again; meanwhile everything goes to the fallback. When it works again it takes over, and is told how many records it
///   was not shown ([`Handler::skipped`]), so that a file says what it lacks.
/// - The primary is flushed after each batch: a `File` then writes more often, once a batch instead of once for 64 KiB.
/// - A record can be in both places where a primary that buffers loses some in the midst of a batch and brings out others
///   of it; then the whole batch, 1,024 records at most, goes to the fallback.
/// - What the primary holds longer, as its pipe is full or it syncs later, is out of reach, and has failed if it is lost.
///
/// Either of them may have a fallback of its own.
///
/// ```
/// use std::time::Duration;
/// use treering::handler::{Capture, File, Handler};
///
/// let spare = Capture::new();
/// let file = File::append("/dev/full")?; // every write fails
/// let builder = treering::builder().error_hook(|_| {}).handler(file.or(spare.clone()));
/// let (logger, guard) = builder.start()?;
/// treering::info!(logger: logger, "not lost");
/// let report = guard.stop(Duration::from_secs(5))?;
/// assert!(report.is_lossless());
/// assert_eq!(report.handlers["/dev/full"].diverted, 1);
/// assert_eq!(spare.records()[0].message(), "not lost");
/// # Ok::<(), treering::Error>(())
/// ```
pub struct Or {
    primary: Inner,
    fallback: Inner,
    /// Records that the fallback took since somebody asked.
    diverted: u64,
}

impl Or {
    pub(super) fn new(primary: Routed, fallback: Routed) -> Self {
        Or { primary: Inner::new(primary), fallback: Inner::new(fallback), diverted: 0 }
    }

    /// Hands records to the primary, and brings out what it takes. What it refuses is for the fallback, what it loses is
    /// lost for good.
    fn offer_primary(&mut self, batch: &Batch<'_>) -> Given {
        let mut given = self.primary.give(Some(batch), batch.contents, batch.chosen);
        if !given.was_called || !batch.is_open() {
            return given;
        }
        let within = given.lost;
        let flushed = self.primary.finish(|handler| handler.flush());
        let lost = within + flushed.lost;
        given.news = given.news.or(flushed.news);
        if lost == 0 {
            return given;
        }
        let taken = batch.chosen.iter().copied().filter(|at| given.refused.binary_search(at).is_err());
        let mut taken: Vec<_> = taken.collect();
        given.lost = lost.saturating_sub(taken.len() as u64);
        if within == 0 {
            let newest = taken.len().saturating_sub(lost as usize);
            taken.drain(..newest);
        }
        given.refused.append(&mut taken);
        given.refused.sort_unstable();
        given
    }

    /// Hands records to the fallback. What it does not want is lost, as what it refuses.
    fn offer_fallback(&mut self, batch: &Batch<'_>, records: &[u32]) -> Given {
        let contents = batch.contents;
        let mut is_wanted = |at: &u32| {
            let item = &contents.items[*at as usize];
            item.own || self.fallback.wants(&contents.record(item)).unwrap_or(false)
        };
        let wanted: Vec<_> = records.iter().copied().filter(&mut is_wanted).collect();
        let Given { refused, lost, news, .. } = self.fallback.give(Some(batch), contents, &wanted);
        let taken = (wanted.len() as u64).saturating_sub(refused.len() as u64 + lost);
        self.diverted += taken;
        let unwanted = records.len() - wanted.len();
        Given { lost: (unwanted + refused.len()) as u64 + lost, news, ..Given::default() }
    }
}

/// Brings out what it holds, unless it is left alone.
fn flush(inner: &mut Inner) -> Given {
    if inner.is_left_alone() { Given::default() } else { inner.finish(|handler| handler.flush()) }
}

/// What the engine is told of a call: how many records are lost for good, and the news of both sides.
fn outcome(primary: Given, fallback: Given) -> Result<(), HandlerError> {
    let lost = primary.lost + fallback.lost;
    let of_fallback = fallback.news.map(|news| format!("its fallback: {news}"));
    let news: Vec<_> = primary.news.into_iter().chain(of_fallback).collect();
    match (lost, news.is_empty()) {
        (0, true) => Ok(()),
        (_, true) => Err(HandlerError::lost(lost, "neither it nor its fallback took them")),
        (_, false) => Err(HandlerError::lost(lost, news.join("; "))),
    }
}

impl Handler for Or {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        // From now on all of it is in hand: nobody outside can tell how far it came.
        batch.cursor.exhaust();
        let primary = self.offer_primary(batch);
        if primary.refused.is_empty() || !batch.is_open() {
            return outcome(primary, Given::default());
        }
        let fallback = self.offer_fallback(batch, &primary.refused);
        outcome(primary, fallback)
    }

    fn flush(&mut self) -> Result<(), HandlerError> {
        outcome(flush(&mut self.primary), flush(&mut self.fallback))
    }

    fn close(&mut self) -> Result<(), HandlerError> {
        let primary = self.primary.finish(|handler| handler.close());
        outcome(primary, self.fallback.finish(|handler| handler.close()))
    }

    fn tend(&mut self) -> Result<(), HandlerError> {
        outcome(self.primary.tend(), self.fallback.tend())
    }

    fn skipped(&mut self, records: u64) {
        self.primary.untold += records;
        self.fallback.untold += records;
    }

    /// To the one that gets what comes next, as far as anybody can know.
    fn remark(&mut self, record: &Record<'_>) {
        let next = if self.primary.is_left_alone() { &mut self.fallback } else { &mut self.primary };
        next.handler.remark(record);
    }

    fn held(&self) -> u64 {
        self.primary.held() + self.fallback.held()
    }

    fn kept(&self) -> u64 {
        self.primary.kept() + self.fallback.kept()
    }

    fn discarded(&mut self) -> u64 {
        self.primary.handler.discarded() + self.fallback.handler.discarded()
    }

    fn diverted(&mut self) -> u64 {
        // What the fallback hands on to one of its own is among these.
        std::mem::take(&mut self.diverted) + self.primary.handler.diverted()
    }

    fn accepts(&mut self, record: &Record<'_>) -> bool {
        self.primary.handler.accepts(record)
    }

    fn max_level(&self) -> LevelFilter {
        self.primary.handler.max_level()
    }

    fn name(&self) -> String {
        self.primary.handler.name()
    }
}

impl fmt::Debug for Or {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Or")
            .field("primary", &self.primary.handler)
            .field("fallback", &self.fallback.handler)
            .finish_non_exhaustive()
    }
}
