//! One handler behind its failure boundary: which records it gets, what its calls come to, and its books.
//!
//! A handler that fails again and again is [quarantined](Quarantine): for a while it is not called, and what it was
//! offered meanwhile has failed. Somebody's flush, and the flush and close of a stop, reach it all the same.

use std::time::{Duration, Instant};

use crate::clock;
use crate::fault::{Faults, guarded};
use crate::handler::{
    Contents, FAILURES_MAX, Failure, FlushPolicy, Handler, Loss, Outcome, Quarantine, Routed, Selection,
    call_handler, informed,
};
use crate::level::LevelFilter;
use crate::stats::{HandlerCounters, add, take_off, total};
use crate::sync::{Arc, Ordering};

use super::books::{Books, GivenUp};
use super::census::Census;
use super::pulse::Calling;
#[cfg(test)]
use super::testing;

/// One handler and its books.
pub(super) struct Runner {
    pub(super) handler: Routed,
    pub(super) counters: Arc<HandlerCounters>,
    /// It is called on a thread of its own.
    is_on_lane: bool,
    /// Its level when it was asked last.
    pub(super) max_level: LevelFilter,
    /// What it gets of the batch in hand, and how many of these are not settled yet.
    pub(super) selection: Selection,
    pub(super) in_hand: usize,
    /// Since when it holds records that a flush may bring out, or when it was last flushed and held some still.
    holds_since: Option<Instant>,
    /// The last flush let nothing go: the next one can wait.
    is_stuck: bool,
    /// Records that it took since it was flushed.
    unflushed: usize,
    quarantine: Quarantine,
    /// Records that it was not shown and was not told of yet.
    untold: u64,
    /// It has held records before: after an error that does not say what is lost, what it no longer holds is.
    buffers: bool,
}

impl Runner {
    pub(super) fn new(handler: Routed, counters: Arc<HandlerCounters>) -> Self {
        Runner {
            handler,
            counters,
            is_on_lane: false,
            max_level: LevelFilter::ALL,
            selection: Selection::default(),
            in_hand: 0,
            holds_since: None,
            is_stuck: false,
            unflushed: 0,
            quarantine: Quarantine::default(),
            untold: 0,
            buffers: false,
        }
    }

    /// One whose counters the listener writes, too, as it decides what goes into the lane.
    pub(super) fn on_lane(handler: Routed, counters: Arc<HandlerCounters>) -> Self {
        Runner { is_on_lane: true, ..Runner::new(handler, counters) }
    }

    /// The listener's pulse says that it is in a call of this handler as long as this lives; a lane is not the listener.
    pub(super) fn calling<'a>(&self, books: &'a Books) -> Option<Calling<'a>> {
        (!self.is_on_lane).then(|| books.pulse.call(self.counters.number))
    }

    /// What the handler itself says of its level, or how it panicked.
    pub(super) fn own_level(&self) -> Result<LevelFilter, String> {
        guarded(|| self.handler.handler.max_level())
    }

    pub(super) fn tell_of_level(&self, text: &str, faults: &Faults) {
        let name = &self.counters.name;
        faults.report(format_args!("handler {name} panicked when it was asked for its level: {text}"));
    }

    /// Asks which records of a batch it gets. A handler that cannot say its level keeps the one that it said before.
    pub(super) fn select(&mut self, contents: Contents<'_>, books: &Books, faults: &Faults) {
        let _calling = self.calling(books);
        self.learn_level(faults);
        if let Some(text) = self.selection.make(&mut self.handler, contents, self.max_level) {
            let (name, cost) = (&self.counters.name, self.selection.failed);
            faults.report(format_args!(
                "handler {name} panicked when it was asked what it accepts, which cost {cost} records: {text}"
            ));
        }
        self.in_hand = self.selection.len();
    }

    /// As [`select`](Self::select), of so many records, where nothing is asked of each: how many it gets, not which.
    pub(super) fn count(&mut self, records: usize, census: &Census, faults: &Faults) {
        self.learn_level(faults);
        self.in_hand = total(&census.passing(self.max_level)) as usize;
        self.selection.count((records - self.in_hand) as u64);
    }

    fn learn_level(&mut self, faults: &Faults) {
        match guarded(|| self.handler.max_level()) {
            Ok(max_level) => self.max_level = max_level,
            Err(text) => self.tell_of_level(&text, faults),
        }
    }

    /// Under the book lock: the batch is this handler's now.
    pub(super) fn offer(&self, records: usize) {
        add(&self.counters.offered, records as u64);
        self.begin();
    }

    /// Under the book lock: so many records have come through its lane.
    pub(super) fn take(&self, records: usize) {
        take_off(&self.counters.queued, records as u64);
        self.begin();
    }

    fn begin(&self) {
        let counters = &self.counters;
        counters.cursor.reset();
        counters.in_hand.store(self.in_hand as u64, Ordering::Relaxed);
        add(&counters.filtered, self.selection.filtered);
        add(&counters.failed, self.selection.failed);
    }

    /// Calls the handler until every record of the batch is settled or held, or it is quarantined.
    pub(super) fn deliver(
        &mut self,
        contents: Contents<'_>,
        hurried: bool,
        books: &Books,
        faults: &Faults,
    ) -> Result<(), GivenUp> {
        let policy = self.handler.flush_policy;
        while self.in_hand > 0 {
            if self.is_kept_out() {
                return self.skip(books);
            }
            let shown_max = if hurried { 1 } else { policy.records - self.unflushed };
            let settled = self.selection.len() - self.in_hand;
            let batch = self.selection.batch(contents, settled, shown_max, &self.counters.cursor);
            let shown = batch.len();
            let _calling = self.calling(books);
            let is_failing = self.quarantine.is_failing();
            let failure =
                call_handler(is_failing, || informed(&mut self.handler, &mut self.untold).handle(&batch))
                    .err();
            #[cfg(test)]
            testing::pass(testing::Bug::Called);
            self.tell_first(failure.as_ref(), "", faults);
            let handed = self.counters.cursor.handed();
            let Outcome { taken, loss } = Outcome::of(failure.as_ref(), shown, handed, self.buffers);
            self.in_hand -= taken;
            let delivered = self.settle(taken, loss, books)?;
            self.learn(delivered, failure, faults);
            self.unflushed += taken;
            self.is_stuck = false;
            if self.unflushed == policy.records {
                self.flush(books, faults)?;
            }
        }
        let is_level_set = policy.level != LevelFilter::OFF;
        if is_level_set && self.unflushed > 0 && self.selection.reaches(contents, policy.level) {
            self.flush(books, faults)?;
        }
        Ok(())
    }

    /// Until when it is left alone, if it is quarantined.
    pub(super) fn rests_until(&self) -> Option<Instant> {
        self.quarantine.until()
    }

    /// So many records were not shown to it, and are counted.
    pub(super) fn learn_skipped(&mut self, records: u64) {
        self.quarantine.skip(records);
        self.untold += records;
    }

    /// Whether it is quarantined and its back-off has not passed. Reads the clock for those in quarantine only.
    fn is_kept_out(&self) -> bool {
        self.quarantine.until().is_some_and(|until| clock::now() < until)
    }

    /// What is left of the batch is not shown to it.
    fn skip(&mut self, books: &Books) -> Result<(), GivenUp> {
        let skipped = std::mem::take(&mut self.in_hand) as u64;
        self.learn_skipped(skipped);
        let counters = &*self.counters;
        books.settle(|| {
            counters.in_hand.store(0, Ordering::Relaxed);
            // Failed first: whoever sees a record skipped must see it failed.
            add(&counters.failed, skipped);
            add(&counters.skipped, skipped);
        })
    }

    /// Tells of a failure, unless it is one more in a row: the quarantine tells of those.
    fn tell_first(&self, failure: Option<&Failure>, what: &str, faults: &Faults) {
        if let Some(failure) = failure
            && !self.quarantine.is_failing()
        {
            faults.report(format_args!("handler {}{what}: {}", self.counters.name, failure.text));
        }
    }

    /// What the end of a call says of the handler. One that delivers works, also if it failed after that.
    fn learn(&mut self, delivered: u64, failure: Option<Failure>, faults: &Faults) {
        let HandlerCounters { name, quarantined, .. } = &*self.counters;
        if delivered > 0 {
            if let Some(skipped) = self.quarantine.delivered() {
                quarantined.store(false, Ordering::Relaxed);
                faults.report(format_args!("handler {name} works again; {skipped} records were skipped"));
            }
        } else if let Some(Failure { passes: true, .. }) = failure {
            self.quarantine.failed_for_now();
        } else if let Some(Failure { took, text, .. }) = failure
            && let Some(back_off) = self.quarantine.failed(took, clock::now())
        {
            quarantined.store(true, Ordering::Relaxed);
            faults.report(format_args!(
                "handler {name} failed {FAILURES_MAX} times in a row and gets no records for {back_off:.0?}, then longer: {text}"
            ));
        }
    }

    /// It is closed, and never came back.
    fn tell_of_skipped(&mut self, faults: &Faults) {
        if let Some(skipped) = self.quarantine.end() {
            let name = &self.counters.name;
            faults.report(format_args!("handler {name} failed to the end; {skipped} records were skipped"));
        }
    }

    /// The listener's own flush, if it is due: because it holds records and the listener runs idle, or has held them
    /// for too long.
    pub(super) fn flush_if_due(
        &mut self,
        is_idle: bool,
        books: &Books,
        faults: &Faults,
    ) -> Result<(), GivenUp> {
        let FlushPolicy { when_idle, held_max, .. } = self.handler.flush_policy;
        let is_due = |since| (is_idle && when_idle && !self.is_stuck) || clock::now() - since >= held_max;
        if self.holds_since.is_some_and(is_due) && !self.is_kept_out() {
            self.flush(books, faults)?;
        }
        Ok(())
    }

    /// Whether it holds records that a flush may bring out, as far as it says.
    pub(super) fn holds_any(&self) -> bool {
        self.holds_since.is_some()
    }

    /// How long the listener may sleep before it flushes it: for ever, if it did so before, or could do nothing.
    pub(super) fn sleep_max(&self) -> Duration {
        let FlushPolicy { when_idle, held_max, .. } = self.handler.flush_policy;
        match self.holds_since {
            Some(since) if !when_idle && !self.is_stuck && !self.is_kept_out() => {
                held_max.saturating_sub(clock::now() - since)
            }
            _ => Duration::MAX,
        }
    }

    /// The listener's own flush, by which it learns of the handler.
    fn flush(&mut self, books: &Books, faults: &Faults) -> Result<(), GivenUp> {
        books.settle(|| {})?; // not after a deadline
        let _calling = self.calling(books);
        let is_failing = self.quarantine.is_failing();
        let failure =
            call_handler(is_failing, || informed(&mut self.handler, &mut self.untold).flush()).err();
        self.tell_first(failure.as_ref(), ", flush", faults);
        let delivered = self.settle_finish(failure.as_ref(), books)?;
        self.learn(delivered, failure, faults);
        Ok(())
    }

    /// Neither a failure nor a success of this says whether records get through.
    pub(super) fn tend(&mut self, books: &Books, faults: &Faults) -> Result<(), GivenUp> {
        if self.is_kept_out() {
            return Ok(());
        }
        books.settle(|| {})?; // not after a deadline
        let _calling = self.calling(books);
        let failure = call_handler(false, || self.handler.tend()).err();
        self.tell_first(failure.as_ref(), "", faults);
        let loss = Loss::of_held(failure.as_ref());
        self.settle(0, loss, books).map(drop)
    }

    /// A flush that somebody waits for, or the close: it reaches the handler always, and fails without consequences.
    pub(super) fn finish(&mut self, finish: Finish, books: &Books, faults: &Faults) -> Result<(), GivenUp> {
        books.settle(|| {})?; // not after a deadline
        let _calling = self.calling(books);
        let (what, failure) = match finish {
            Finish::Flush => {
                ("flush", call_handler(false, || informed(&mut self.handler, &mut self.untold).flush()).err())
            }
            Finish::Close => {
                ("close", call_handler(false, || informed(&mut self.handler, &mut self.untold).close()).err())
            }
        };
        if let Some(failure) = &failure {
            faults.report(format_args!("handler {}, {what}: {}", self.counters.name, failure.text));
        }
        let delivered = self.settle_finish(failure.as_ref(), books)?;
        self.learn(delivered, None, faults);
        Ok(())
    }

    /// The last call. What it still holds has failed.
    pub(super) fn close(&mut self, books: &Books, faults: &Faults) -> Result<(), GivenUp> {
        self.finish(Finish::Close, books, faults)?;
        self.tell_of_skipped(faults);
        books.settle(|| {
            let held = self.counters.held.swap(0, Ordering::Relaxed);
            add(&self.counters.failed, held);
        })
    }

    /// Its end, alone. `goes`: the engine stays.
    pub(super) fn end(&mut self, goes: bool, books: &Books, faults: &Faults) -> Result<(), GivenUp> {
        self.finish(Finish::Flush, books, faults)?;
        self.close(books, faults)?;
        if goes {
            self.counters.quarantined.store(false, Ordering::Relaxed);
            self.counters.attached.store(false, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Its thread panicked, which is a bug of ours: what it had and what waits for it has failed.
    pub(super) fn fail_all(&self, books: &Books) -> Result<(), GivenUp> {
        let HandlerCounters { in_hand, held, queued, failed, .. } = &*self.counters;
        let all = [in_hand, held, queued];
        books.settle(|| all.iter().for_each(|counter| add(failed, counter.swap(0, Ordering::Relaxed))))
    }

    /// After the close.
    pub(super) fn drop_handler(self, faults: &Faults) {
        let counters = self.counters.clone();
        if let Err(text) = guarded(|| drop(self)) {
            faults.report(format_args!("handler {} panicked when it was dropped: {text}", counters.name));
        }
    }

    /// After a flush or the close: counts what left the handler, or failed.
    fn settle_finish(&mut self, failure: Option<&Failure>, books: &Books) -> Result<u64, GivenUp> {
        self.unflushed = 0;
        self.holds_since = self.holds_since.map(|_| clock::now());
        let delivered = self.settle(0, Loss::of_held(failure), books)?;
        self.is_stuck = delivered == 0 && self.holds_since.is_some();
        Ok(delivered)
    }

    /// After a call: `taken` records more were taken, some of these or of those held before are lost or were let go on
    /// purpose, and the rest was delivered but for what the handler holds now. Returns how many were delivered.
    fn settle(&mut self, taken: usize, loss: Loss, books: &Books) -> Result<u64, GivenUp> {
        let held = guarded(|| self.handler.held()).unwrap_or(0);
        let kept = guarded(|| self.handler.kept()).unwrap_or(0);
        let discarded = guarded(|| self.handler.discarded()).unwrap_or(0);
        let diverted = guarded(|| self.handler.diverted()).unwrap_or(0);
        self.buffers |= held > 0;
        self.holds_since = match (held.saturating_sub(kept), self.holds_since) {
            (0, _) => None,
            (_, None) => Some(clock::now()),
            (_, since) => since,
        };
        let counters = &*self.counters;
        let in_hand = self.in_hand as u64;
        let mut delivered = 0;
        books.settle(|| {
            let had = counters.held.load(Ordering::Relaxed) + taken as u64;
            // A handler that miscounts must not make records out of nothing.
            let told = match loss {
                Loss::Of(records) => Some(records),
                Loss::OfLast => Some(1),
                Loss::OfWhatVanished => None,
            };
            let (failed, held, discarded) = match told {
                Some(failed) => {
                    let failed = failed.min(had);
                    let held = held.min(had - failed);
                    (failed, held, discarded.min(had - failed - held))
                }
                None => {
                    let held = held.min(had);
                    let discarded = discarded.min(had - held);
                    (had - held - discarded, held, discarded)
                }
            };
            counters.held.store(held, Ordering::Release);
            counters.in_hand.store(in_hand, Ordering::Relaxed);
            counters.cursor.reset();
            add(&counters.failed, failed);
            add(&counters.filtered, discarded);
            delivered = had - failed - held - discarded;
            add(&counters.delivered, delivered);
            add(&counters.diverted, diverted);
        })?;
        Ok(delivered)
    }
}

impl std::fmt::Debug for Runner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runner").field("counters", &self.counters).finish_non_exhaustive()
    }
}

/// What a handler is asked for beside records.
#[derive(Clone, Copy)]
pub(super) enum Finish {
    Flush,
    Close,
}
