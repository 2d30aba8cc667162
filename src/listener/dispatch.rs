//! Handing a batch to the handlers, each behind its own failure boundary, and keeping the books of it.
//!
//! The *book lock* makes the books exact at a deadline. The listener takes it for a moment when it begins to hand
//! out a batch and when a handler's call has returned; a thread whose `stop` ran out of time takes it to give up.
//! Whatever was settled by then is settled; what was not gets its fate once and for all, and after that the
//! listener counts nothing and hands nothing out any more, even if the handler returns.
//!
//! A handler that fails again and again is [quarantined](Quarantine): for a while it is not called, and what it was
//! offered meanwhile has failed. Somebody's flush, and the flush and close of a stop, reach it all the same.

use std::time::{Duration, Instant};

use crate::clock::{self, Deadline};
use crate::fault::{Faults, discard, guarded};
use crate::handler::{Batch, Cost, Handler, HandlerError, Item};
use crate::level::LevelFilter;
use crate::origin::Origin;
use crate::stats::{HandlerCounters, add};
use crate::sync::{Arc, AtomicU64, Mutex, Ordering};

use super::merge::{Collected, Inlets, count_reordered};
use super::quarantine::{FAILURES_MAX, Quarantine};
#[cfg(test)]
use super::testing;

/// Records wait in a handler's buffer at most this long while others arrive: a reader of the file should not notice
/// the buffer.
const HELD_MAX: Duration = Duration::from_millis(5);

/// What listener and stopping threads share of the books.
#[derive(Debug)]
pub(crate) struct Books {
    /// The book lock's content.
    end: Mutex<End>,
    pub(crate) handlers: Vec<Arc<HandlerCounters>>,
    /// Written by the listener.
    pub(crate) reordered: AtomicU64,
    /// Written by whoever takes turns.
    listener_panics: AtomicU64,
    origin: Origin,
}

/// How the engine ended before everything was settled, or how it may.
#[derive(Debug)]
struct End {
    /// How many records were on their way when a deadline passed, if one did.
    abandoned: Option<u64>,
    /// When the listener has to give up by itself, as the thread that waits for it is its own.
    deadline: Deadline,
}

/// A stop's deadline has passed, or a handler forked and this is the child: the listener ends here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GivenUp;

impl Books {
    pub(crate) fn new(handlers: Vec<Arc<HandlerCounters>>) -> Self {
        Books {
            end: Mutex::new(End { abandoned: None, deadline: Deadline::after(Duration::MAX) }),
            handlers,
            reordered: AtomicU64::new(0),
            listener_panics: AtomicU64::new(0),
            origin: Origin::here(),
        }
    }

    /// The listener panicked once more. Returns how often it has.
    pub(crate) fn count_listener_panic(&self) -> u64 {
        self.listener_panics.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn listener_panics(&self) -> u64 {
        self.listener_panics.load(Ordering::Relaxed)
    }

    /// How many records were on their way when a deadline passed; `None` if none did.
    pub(crate) fn abandoned(&self) -> Option<u64> {
        self.end.lock().abandoned
    }

    /// The listener gives up at this deadline, if a handler lets it.
    #[cfg(not(treering_loom))]
    pub(crate) fn set_deadline(&self, deadline: Deadline) {
        self.end.lock().deadline = deadline;
    }

    /// The deadline has passed. `pending` tells how many records are on their way; it is called under the book lock,
    /// the first time only.
    pub(crate) fn give_up(&self, pending: impl FnOnce() -> u64) {
        let mut end = self.end.lock();
        if end.abandoned.is_none() {
            self.handlers.iter().for_each(|handler| handler.give_up());
            end.abandoned = Some(pending());
        }
    }

    /// Runs `settle` under the book lock, unless a deadline has passed.
    fn settle(&self, settle: impl FnOnce()) -> Result<(), GivenUp> {
        if !self.origin.is_here() {
            return Err(GivenUp);
        }
        let end = self.end.lock();
        if end.abandoned.is_some() || end.deadline.has_passed() {
            return Err(GivenUp);
        }
        settle();
        Ok(())
    }
}

/// The handlers, in the order they were added.
#[derive(Debug)]
pub(crate) struct Handlers {
    runners: Vec<Runner>,
    /// The highest stamp handed out.
    highest: u64,
    /// Each call gets one record: its end is when a deadline is looked at, where no other thread does.
    hurried: bool,
}

impl Handlers {
    pub(crate) fn new(handlers: Vec<Box<dyn Handler>>) -> (Self, Vec<Arc<HandlerCounters>>) {
        let runners: Vec<_> = handlers.into_iter().map(Runner::new).collect();
        let counters = runners.iter().map(|runner| runner.counters.clone()).collect();
        (Handlers { runners, highest: 0, hurried: false }, counters)
    }

    /// Hands the batch to every handler and empties it.
    pub(crate) fn dispatch(
        &mut self,
        batch: &mut Collected,
        inlets: &mut Inlets,
        books: &Books,
        faults: &Faults,
    ) -> Result<(), GivenUp> {
        self.runners.iter_mut().for_each(|runner| runner.ask_level(&batch.items, faults));
        books.settle(|| {
            inlets.settle_dispatched();
            self.runners.iter().for_each(|runner| runner.offer(batch.items.len()));
            batch.begun = true;
        })?;
        count_reordered(&batch.items, &mut self.highest, &books.reordered);
        for runner in &mut self.runners {
            runner.deliver(batch, self.hurried, books, faults)?;
        }
        batch.clear();
        Ok(())
    }

    /// From now on one record at a time is handed out.
    #[cfg(not(treering_loom))]
    pub(crate) fn hurry(&mut self) {
        self.hurried = true;
    }

    /// Flushes the handlers that hold records: all, or those that have held some for too long.
    pub(crate) fn flush(&mut self, all: bool, books: &Books, faults: &Faults) -> Result<(), GivenUp> {
        for runner in self.runners.iter_mut().filter(|runner| runner.is_flush_due(all)) {
            runner.flush(books, faults)?;
        }
        Ok(())
    }

    /// Lets each handler look after itself.
    pub(crate) fn tend(&mut self, books: &Books, faults: &Faults) -> Result<(), GivenUp> {
        self.runners.iter_mut().try_for_each(|runner| runner.tend(books, faults))
    }

    /// Flushes every handler, also those that hold nothing that was counted.
    pub(crate) fn flush_on_request(&mut self, books: &Books, faults: &Faults) -> Result<(), GivenUp> {
        self.runners.iter_mut().try_for_each(|runner| runner.finish(Finish::Flush, books, faults))
    }

    /// Flushes all handlers, then closes them, the last one first.
    pub(crate) fn close(&mut self, books: &Books, faults: &Faults) -> Result<(), GivenUp> {
        self.flush_on_request(books, faults)?;
        for runner in self.runners.iter_mut().rev() {
            runner.finish(Finish::Close, books, faults)?;
            runner.tell_of_skipped(faults);
            books.settle(|| {
                let held = runner.counters.held.swap(0, Ordering::Relaxed);
                add(&runner.counters.failed, held);
            })?;
        }
        // Files and sockets are closed when `stop` returns, not when the last handle is dropped.
        for runner in self.runners.drain(..).rev() {
            let counters = runner.counters.clone();
            if let Err(text) = guarded(|| drop(runner)) {
                faults.report(format_args!("handler {} panicked when it was dropped: {text}", counters.name));
            }
        }
        Ok(())
    }

    /// After a panic of the listener's own: what a handler had not settled of the batch in hand has failed.
    pub(crate) fn fail_in_hand(&mut self, books: &Books) -> Result<(), GivenUp> {
        books.settle(|| {
            for runner in &self.runners {
                add(&runner.counters.failed, runner.counters.in_hand.swap(0, Ordering::Relaxed));
            }
        })
    }
}

impl Collected {
    /// Forgets the batch, and the threads without a ring that are in it.
    pub(crate) fn clear(&mut self) {
        self.items.clear();
        self.words.clear();
        self.begun = false;
    }
}

/// One handler and its books.
struct Runner {
    handler: Box<dyn Handler>,
    counters: Arc<HandlerCounters>,
    /// Its level for the batch in hand, and how many records of the batch pass it.
    max_level: LevelFilter,
    passing: usize,
    /// Since when it holds records, or when it was last flushed and held some still.
    holds_since: Option<Instant>,
    /// The last flush let nothing go: the next one can wait.
    is_stuck: bool,
    quarantine: Quarantine,
    /// Records that it was not shown and was not told of yet.
    untold: u64,
    /// It has held records before: after an error that does not say what is lost, what it no longer holds is.
    buffers: bool,
}

impl Runner {
    fn new(handler: Box<dyn Handler>) -> Self {
        let name = guarded(|| handler.name()).unwrap_or_else(|_| "unnamed".into());
        Runner {
            handler,
            counters: Arc::new(HandlerCounters::new(name)),
            max_level: LevelFilter::ALL,
            passing: 0,
            holds_since: None,
            is_stuck: false,
            quarantine: Quarantine::default(),
            untold: 0,
            buffers: false,
        }
    }

    /// A handler that cannot say its level keeps the one that it said before.
    fn ask_level(&mut self, items: &[Item], faults: &Faults) {
        match guarded(|| self.handler.max_level()) {
            Ok(max_level) => self.max_level = max_level,
            Err(text) => {
                let name = &self.counters.name;
                faults
                    .report(format_args!("handler {name} panicked when it was asked for its level: {text}"));
            }
        }
        self.passing = self.count_passing(items);
    }

    fn count_passing(&self, items: &[Item]) -> usize {
        items.iter().filter(|item| item.passes(self.max_level)).count()
    }

    /// Under the book lock: the batch is this handler's now.
    fn offer(&self, records: usize) {
        let counters = &self.counters;
        counters.cursor.reset();
        counters.in_hand.store(self.passing as u64, Ordering::Relaxed);
        counters.offered.store(counters.offered.load(Ordering::Relaxed) + records as u64, Ordering::Relaxed);
        add(&counters.filtered, (records - self.passing) as u64);
    }

    /// Calls the handler until every record of the batch is settled or held, or it is quarantined.
    fn deliver(
        &mut self,
        batch: &Collected,
        hurried: bool,
        books: &Books,
        faults: &Faults,
    ) -> Result<(), GivenUp> {
        let mut items = &batch.items[..];
        while self.passing > 0 {
            if self.is_kept_out() {
                return self.skip(books);
            }
            let shown = if hurried { self.to_the_first(items) } else { items };
            let call = Batch {
                items: shown,
                words: &batch.words,
                threads: &batch.threads,
                max_level: self.max_level,
                cursor: &self.counters.cursor,
            };
            let is_failing = self.quarantine.is_failing();
            let failure =
                call_handler(is_failing, || informed(&mut self.handler, &mut self.untold).handle(&call))
                    .err();
            #[cfg(test)]
            testing::pass(testing::Bug::Called);
            self.tell_first(failure.as_ref(), "", faults);
            let outcome = self.judge(failure.as_ref().map(|failure| failure.cost), shown);
            let (settled, rest) = items.split_at(outcome.items);
            let passed = self.count_passing(settled);
            self.passing -= passed;
            let delivered = self.settle(passed, outcome.loss, books)?;
            self.learn(delivered, failure, faults);
            items = rest;
        }
        Ok(())
    }

    /// The items up to the first that it gets.
    fn to_the_first<'a>(&self, items: &'a [Item]) -> &'a [Item] {
        let first = items.iter().position(|item| item.passes(self.max_level));
        &items[..first.map_or(items.len(), |at| at + 1)]
    }

    /// Whether it is quarantined and its back-off has not passed. Reads the clock for those in quarantine only.
    fn is_kept_out(&self) -> bool {
        self.quarantine.until().is_some_and(|until| clock::now() < until)
    }

    /// What is left of the batch is not shown to it.
    fn skip(&mut self, books: &Books) -> Result<(), GivenUp> {
        let skipped = std::mem::take(&mut self.passing) as u64;
        self.quarantine.skip(skipped);
        self.untold += skipped;
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

    /// What a call did with the items it was given.
    fn judge(&self, cost: Option<Cost>, items: &[Item]) -> Outcome {
        let Some(cost) = cost else { return Outcome { items: items.len(), loss: Loss::Of(0) } };
        // The position behind the nth record that passes.
        let behind = |n: usize| {
            let passing = items.iter().enumerate().filter(|(_, item)| item.passes(self.max_level));
            passing.map(|(at, _)| at + 1).nth(n)
        };
        match cost {
            Cost::Lost(records) => Outcome { items: items.len(), loss: Loss::Of(records) },
            Cost::After(settled) => match behind(settled) {
                Some(items) => Outcome { items, loss: Loss::Of(1) },
                None => Outcome { items: items.len(), loss: Loss::Of(0) },
            },
            Cost::Current => {
                // It may have failed before it asked for the first record: that one is what it costs.
                let position = self.counters.cursor.position.load(Ordering::Relaxed).min(items.len());
                let first = behind(0).unwrap_or(items.len());
                // A handler that buffers may have failed to let go of more than this one.
                let loss = if self.buffers { Loss::OfWhatVanished } else { Loss::Of(1) };
                Outcome { items: position.max(first), loss }
            }
        }
    }

    /// Whether the listener flushes it by itself: because it holds records and runs idle (`all`), or has held them for
    /// too long.
    fn is_flush_due(&self, all: bool) -> bool {
        let is_due = |since| (all && !self.is_stuck) || clock::now() - since > HELD_MAX;
        self.holds_since.is_some_and(is_due) && !self.is_kept_out()
    }

    /// The listener's own flush, by which it learns of the handler.
    fn flush(&mut self, books: &Books, faults: &Faults) -> Result<(), GivenUp> {
        books.settle(|| {})?; // not after a deadline
        let is_failing = self.quarantine.is_failing();
        let failure =
            call_handler(is_failing, || informed(&mut self.handler, &mut self.untold).flush()).err();
        self.tell_first(failure.as_ref(), ", flush", faults);
        let delivered = self.settle_finish(failure.as_ref(), books)?;
        self.learn(delivered, failure, faults);
        Ok(())
    }

    /// Neither a failure nor a success of this says whether records get through.
    fn tend(&mut self, books: &Books, faults: &Faults) -> Result<(), GivenUp> {
        if self.is_kept_out() {
            return Ok(());
        }
        books.settle(|| {})?; // not after a deadline
        let failure = call_handler(false, || self.handler.tend()).err();
        self.tell_first(failure.as_ref(), "", faults);
        let loss = Failure::loss_of_held(failure.as_ref());
        self.settle(0, loss, books).map(drop)
    }

    /// A flush that somebody waits for, or the close: it reaches the handler always, and fails without consequences.
    fn finish(&mut self, finish: Finish, books: &Books, faults: &Faults) -> Result<(), GivenUp> {
        books.settle(|| {})?; // not after a deadline
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

    /// After a flush or the close: counts what left the handler, or failed.
    fn settle_finish(&mut self, failure: Option<&Failure>, books: &Books) -> Result<u64, GivenUp> {
        self.holds_since = self.holds_since.map(|_| clock::now());
        let delivered = self.settle(0, Failure::loss_of_held(failure), books)?;
        self.is_stuck = delivered == 0 && self.holds_since.is_some();
        Ok(delivered)
    }

    /// After a call: `taken` records more were taken, some of these or of those held before are lost, and the rest
    /// was delivered but for what the handler holds now. Returns how many were delivered.
    fn settle(&mut self, taken: usize, loss: Loss, books: &Books) -> Result<u64, GivenUp> {
        let held = guarded(|| self.handler.held()).unwrap_or(0);
        self.buffers |= held > 0;
        self.holds_since = match (held, self.holds_since) {
            (0, _) => None,
            (_, None) => Some(clock::now()),
            (_, since) => since,
        };
        let counters = &*self.counters;
        let in_hand = self.passing as u64;
        let mut delivered = 0;
        books.settle(|| {
            let had = counters.held.load(Ordering::Relaxed) + taken as u64;
            // A handler that miscounts must not make records out of nothing.
            let (failed, held) = match loss {
                Loss::Of(failed) => (failed.min(had), held.min(had - failed.min(had))),
                Loss::OfWhatVanished => (had - held.min(had), held.min(had)),
            };
            counters.held.store(held, Ordering::Release);
            counters.in_hand.store(in_hand, Ordering::Relaxed);
            counters.cursor.reset();
            add(&counters.failed, failed);
            delivered = had - failed - held;
            add(&counters.delivered, delivered);
        })?;
        Ok(delivered)
    }
}

impl std::fmt::Debug for Runner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runner").field("counters", &self.counters).finish_non_exhaustive()
    }
}

/// How many items a call is done with, and what it lost.
struct Outcome {
    items: usize,
    loss: Loss,
}

/// Records that a call cost.
#[derive(Clone, Copy)]
enum Loss {
    /// So many.
    Of(u64),
    /// Whatever the handler had and holds no more: it failed without saying how far it came.
    OfWhatVanished,
}

/// What a handler is asked for beside records.
#[derive(Clone, Copy)]
enum Finish {
    Flush,
    Close,
}

/// How a handler's call failed.
struct Failure {
    cost: Cost,
    text: String,
    /// How long the call took, if it was timed.
    took: Duration,
}

impl Failure {
    /// What a call without a batch cost of the records that the handler held.
    fn loss_of_held(failure: Option<&Failure>) -> Loss {
        match failure.map(|failure| failure.cost) {
            None => Loss::Of(0),
            Some(Cost::Lost(records)) => Loss::Of(records),
            Some(Cost::Current | Cost::After(_)) => Loss::OfWhatVanished,
        }
    }
}

/// The handler, which knows now of the records that it was not shown.
fn informed<'a>(handler: &'a mut Box<dyn Handler>, untold: &mut u64) -> &'a mut dyn Handler {
    if *untold > 0 {
        handler.skipped(std::mem::take(untold));
    }
    &mut **handler
}

/// Calls a handler. Its error and its panic end here; so does what they do when they are shown and dropped. Only a
/// call that is worth two looks at the clock `is_timed`.
fn call_handler(is_timed: bool, call: impl FnOnce() -> Result<(), HandlerError>) -> Result<(), Failure> {
    let since = is_timed.then(clock::now);
    let (cost, text) = match guarded(call) {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => {
            let cost = error.cost;
            let text = guarded(|| error.to_string());
            discard(error);
            (cost, text.unwrap_or_else(|panic| format!("an error that cannot be shown ({panic})")))
        }
        Err(panic) => (Cost::Current, format!("panicked: {panic}")),
    };
    Err(Failure { cost, text, took: since.map_or(Duration::ZERO, |since| clock::now() - since) })
}
