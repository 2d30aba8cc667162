//! A handler inside another one: called as the engine calls its own, behind the same boundary, and left alone for a while
//! when it fails again and again.
//!
//! The engine keeps no books of it. Whoever has it is told which records it did not take, and answers for them.

use super::call::{Loss, Outcome};
use super::{Batch, Contents, Failure, Handler, HandlerError, Quarantine, Routed, call_handler, informed};
use crate::clock;
use crate::fault::guarded;
use crate::record::Record;
use crate::stats::Cursor;

/// See the module's documentation.
pub(super) struct Inner {
    pub(super) handler: Routed,
    /// How far it came in the call it is in.
    cursor: Cursor,
    quarantine: Quarantine,
    /// Records that it was not shown and was not told of yet.
    pub(super) untold: u64,
    /// It has held records before: an error of its may cost more than the record it was on.
    buffers: bool,
}

/// What became of what it was asked for.
#[derive(Default)]
pub(super) struct Given {
    /// The records that it refused, or was not shown, in order.
    pub(super) refused: Vec<u32>,
    /// How many more it lost, without saying which.
    pub(super) lost: u64,
    /// It was shown some of them.
    pub(super) was_called: bool,
    /// What the first call said that failed.
    pub(super) failure: Option<String>,
    /// What there is to tell of it: the first failure in a row, the end of a quarantine.
    pub(super) news: Option<String>,
}

impl Inner {
    pub(super) fn new(handler: Routed) -> Self {
        Inner { handler, cursor: Cursor::new(), quarantine: Quarantine::default(), untold: 0, buffers: false }
    }

    pub(super) fn is_left_alone(&self) -> bool {
        self.quarantine.until().is_some_and(|until| clock::now() < until)
    }

    pub(super) fn held(&self) -> u64 {
        guarded(|| self.handler.held()).unwrap_or(0)
    }

    pub(super) fn kept(&self) -> u64 {
        guarded(|| self.handler.kept()).unwrap_or(0)
    }

    /// Whether its level, its filter and it itself want this record; or how it panicked when it was asked.
    pub(super) fn wants(&mut self, record: &Record<'_>) -> Result<bool, String> {
        let handler = &mut self.handler;
        guarded(|| handler.max_level().allows(record.level()) && handler.accepts(record))
    }

    /// Calls it until all of these records are taken or refused, or it is left alone. If they are given to it in a call
    /// that got a batch itself, none is handed out after a deadline has closed that.
    pub(super) fn give(
        &mut self,
        within: Option<&Batch<'_>>,
        contents: Contents<'_>,
        records: &[u32],
    ) -> Given {
        let mut given = Given::default();
        let mut rest = records;
        while !rest.is_empty() && within.is_none_or(Batch::is_open) {
            if self.is_left_alone() {
                self.quarantine.skip(rest.len() as u64);
                self.untold += rest.len() as u64;
                given.refused.extend(rest);
                break;
            }
            given.was_called = true;
            self.cursor.reset();
            let held = self.held();
            let batch = Batch { contents, chosen: rest, cursor: &self.cursor, within };
            let is_failing = self.quarantine.is_failing();
            let called =
                call_handler(is_failing, || informed(&mut self.handler, &mut self.untold).handle(&batch));
            let failure = called.err();
            let Outcome { taken, loss } =
                Outcome::of(failure.as_ref(), rest.len(), self.cursor.handed(), self.buffers);
            let refused = matches!(loss, Loss::OfLast).then(|| rest[taken - 1]);
            let had = held + taken as u64;
            let failed = self.count(loss, had);
            given.lost += failed - u64::from(refused.is_some());
            given.refused.extend(refused);
            rest = &rest[taken..];
            self.learn(had.saturating_sub(failed), failure, &mut given);
        }
        given
    }

    /// Brings out what it holds, or closes it.
    pub(super) fn finish(
        &mut self,
        finish: impl FnOnce(&mut dyn Handler) -> Result<(), HandlerError>,
    ) -> Given {
        let had = self.held();
        let is_failing = self.quarantine.is_failing();
        let called = call_handler(is_failing, || finish(informed(&mut self.handler, &mut self.untold)));
        let failure = called.err();
        let lost = self.count(Loss::of_held(failure.as_ref()), had);
        let mut given = Given { lost, ..Given::default() };
        self.learn(had.saturating_sub(lost), failure, &mut given);
        given
    }

    /// Neither a failure nor a success of this says whether records get through.
    pub(super) fn tend(&mut self) -> Given {
        if self.is_left_alone() {
            return Given::default();
        }
        let had = self.held();
        let failure = call_handler(false, || self.handler.tend()).err();
        let lost = self.count(Loss::of_held(failure.as_ref()), had);
        let news = failure.map(|failure| failure.text);
        Given { lost, failure: news.clone(), news, ..Given::default() }
    }

    /// How many records a call cost, of those that it `had` or was given by that.
    fn count(&self, loss: Loss, had: u64) -> u64 {
        match loss {
            Loss::Of(lost) => lost,
            Loss::OfLast => 1,
            Loss::OfWhatVanished => had.saturating_sub(self.held()),
        }
    }

    /// What the end of a call says of it, of which `kept` records were not lost: delivered, or held.
    fn learn(&mut self, kept: u64, failure: Option<Failure>, given: &mut Given) {
        let held = self.held();
        self.buffers |= held > 0;
        let is_first = !self.quarantine.is_failing();
        let mut news = None;
        if kept > held {
            let skipped = self.quarantine.delivered();
            news = skipped.map(|skipped| format!("works again; {skipped} records were not shown to it"));
        } else if let Some(Failure { passes: true, .. }) = failure {
            self.quarantine.failed_for_now();
        } else if let Some(Failure { took, .. }) = failure {
            self.quarantine.failed(took, clock::now());
        }
        if let Some(Failure { text, .. }) = failure {
            if is_first {
                news = Some(text.clone());
            }
            given.failure.get_or_insert(text);
        }
        given.news = given.news.take().or(news);
    }
}
