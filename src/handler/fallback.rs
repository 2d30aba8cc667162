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

use super::{
    Batch, Contents, Cost, Failure, Handler, HandlerError, Quarantine, Routed, call_handler, informed,
};
use crate::clock;
use crate::fault::guarded;
use crate::level::LevelFilter;
use crate::record::Record;
use crate::stats::Cursor;

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
    primary: Side,
    fallback: Side,
    /// Records that the fallback took since somebody asked.
    diverted: u64,
}

/// One of the two, with what the listener would know of it.
struct Side {
    handler: Routed,
    /// How far it came in the call it is in.
    cursor: Cursor,
    quarantine: Quarantine,
    /// Records that it was not shown and was not told of yet.
    untold: u64,
    /// It has held records before: an error of its may cost more than the record it was on.
    buffers: bool,
}

/// What became of records that a side was given.
#[derive(Default)]
struct Given {
    /// Those that it refused, or was not shown, in order.
    refused: Vec<u32>,
    /// How many more it lost, without saying which.
    lost: u64,
    /// It was shown some of them.
    was_called: bool,
    /// What there is to tell of it.
    news: Option<String>,
}

impl Or {
    pub(super) fn new(primary: Routed, fallback: Routed) -> Self {
        Or { primary: Side::new(primary), fallback: Side::new(fallback), diverted: 0 }
    }

    /// Hands records to the primary, and brings out what it takes. What it refuses is for the fallback, what it loses is
    /// lost for good.
    fn offer_primary(&mut self, batch: &Batch<'_>) -> Given {
        let mut given = self.primary.give(batch.contents, batch.chosen);
        if !given.was_called {
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
    fn offer_fallback(&mut self, contents: Contents<'_>, records: &[u32]) -> Given {
        let wanted = self.fallback.wanted(contents, records);
        let Given { refused, lost, news, .. } = self.fallback.give(contents, &wanted);
        let taken = (wanted.len() as u64).saturating_sub(refused.len() as u64 + lost);
        self.diverted += taken;
        let unwanted = records.len() - wanted.len();
        Given { lost: (unwanted + refused.len()) as u64 + lost, news, ..Given::default() }
    }
}

impl Side {
    fn new(handler: Routed) -> Self {
        Side { handler, cursor: Cursor::new(), quarantine: Quarantine::default(), untold: 0, buffers: false }
    }

    fn is_left_alone(&self) -> bool {
        self.quarantine.until().is_some_and(|until| clock::now() < until)
    }

    fn held(&self) -> u64 {
        guarded(|| self.handler.held()).unwrap_or(0)
    }

    /// Which of these records pass its level and its filter.
    fn wanted(&mut self, contents: Contents<'_>, records: &[u32]) -> Vec<u32> {
        let max_level = guarded(|| self.handler.max_level()).unwrap_or(LevelFilter::ALL);
        let mut is_wanted = |at: &u32| {
            let item = &contents.items[*at as usize];
            let mut accepts = || guarded(|| self.handler.accepts(&contents.record(item))).unwrap_or(false);
            item.own || (max_level.allows(item.entry.metadata.level) && accepts())
        };
        records.iter().copied().filter(|at| is_wanted(at)).collect()
    }

    /// Calls it until all of the records are taken or refused, or it is left alone.
    fn give(&mut self, contents: Contents<'_>, records: &[u32]) -> Given {
        let mut given = Given::default();
        let mut rest = records;
        while !rest.is_empty() {
            if self.is_left_alone() {
                self.quarantine.skip(rest.len() as u64);
                self.untold += rest.len() as u64;
                given.refused.extend(rest);
                break;
            }
            given.was_called = true;
            self.cursor.reset();
            let held = self.held();
            let batch = Batch { contents, chosen: rest, cursor: &self.cursor };
            let is_failing = self.quarantine.is_failing();
            let called =
                call_handler(is_failing, || informed(&mut self.handler, &mut self.untold).handle(&batch));
            let failure = called.err();
            let handed = self.cursor.handed().clamp(1, rest.len());
            let (done, refused, lost) = match failure.as_ref().map(|failure| failure.cost) {
                None => (rest.len(), None, 0),
                Some(Cost::Lost(lost)) => (rest.len(), None, lost),
                Some(Cost::After(settled)) => (rest.len().min(settled + 1), rest.get(settled).copied(), 0),
                Some(Cost::Current) if self.buffers => {
                    (handed, None, (held + handed as u64).saturating_sub(self.held()))
                }
                Some(Cost::Current) => (handed, Some(rest[handed - 1]), 0),
            };
            let failed = lost + refused.iter().count() as u64;
            given.refused.extend(refused);
            given.lost += lost;
            rest = &rest[done..];
            let news = self.learn((held + done as u64).saturating_sub(failed), failure);
            given.news = given.news.or(news);
        }
        given
    }

    /// Brings out what it holds, unless it is left alone.
    fn flush(&mut self) -> Given {
        if self.is_left_alone() { Given::default() } else { self.finish(|handler| handler.flush()) }
    }

    fn finish(&mut self, finish: impl FnOnce(&mut dyn Handler) -> Result<(), HandlerError>) -> Given {
        let held = self.held();
        let is_failing = self.quarantine.is_failing();
        let called = call_handler(is_failing, || finish(informed(&mut self.handler, &mut self.untold)));
        let failure = called.err();
        let lost = self.lost_of(held, failure.as_ref());
        let news = self.learn(held.saturating_sub(lost), failure);
        Given { lost, news, ..Given::default() }
    }

    /// Neither a failure nor a success of this says whether records get through.
    fn tend(&mut self) -> Given {
        if self.is_left_alone() {
            return Given::default();
        }
        let held = self.held();
        let failure = call_handler(false, || self.handler.tend()).err();
        let lost = self.lost_of(held, failure.as_ref());
        Given { lost, news: failure.map(|failure| failure.text), ..Given::default() }
    }

    /// What a call without records cost of those that it `held` before.
    fn lost_of(&self, held: u64, failure: Option<&Failure>) -> u64 {
        match failure.map(|failure| failure.cost) {
            None => 0,
            Some(Cost::Lost(lost)) => lost,
            Some(Cost::Current | Cost::After(_)) => held.saturating_sub(self.held()),
        }
    }

    /// What the end of a call says of it, of which `kept` records were not lost: delivered, or held. Returns what there is
    /// to tell: the first failure in a row, and the end of a quarantine.
    fn learn(&mut self, kept: u64, failure: Option<Failure>) -> Option<String> {
        let held = self.held();
        self.buffers |= held > 0;
        let was_failing = self.quarantine.is_failing();
        let mut news = None;
        if kept > held {
            let skipped = self.quarantine.delivered();
            news = skipped.map(|skipped| format!("works again; {skipped} records were not shown to it"));
        } else if let Some(Failure { passes: true, .. }) = failure {
            self.quarantine.failed_for_now();
        } else if let Some(Failure { took, .. }) = &failure {
            self.quarantine.failed(*took, clock::now());
        }
        failure.filter(|_| !was_failing).map(|failure| failure.text).or(news)
    }
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
        let fallback = match &primary.refused[..] {
            [] => Given::default(),
            refused => self.offer_fallback(batch.contents, refused),
        };
        outcome(primary, fallback)
    }

    fn flush(&mut self) -> Result<(), HandlerError> {
        outcome(self.primary.flush(), self.fallback.flush())
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
        let side = if self.primary.is_left_alone() { &mut self.fallback } else { &mut self.primary };
        side.handler.remark(record);
    }

    fn held(&self) -> u64 {
        self.primary.held() + self.fallback.held()
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
