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
use crate::error::Error;
use crate::fault::{Faults, discard, guarded};
use crate::handler::{
    Contents, FAILURES_MAX, Failure, FlushPolicy, Handler, Item, Loss, Outcome, Quarantine, Routed,
    Selection, Texts, call_handler, informed,
};
use crate::level::LevelFilter;
use crate::origin::Origin;
use crate::record::{Scope, Thread};
use crate::stats::{HandlerCounters, PreparedAway, Progress, SpanCounters, add, take_off};
use crate::sync::{Arc, AtomicU64, Mutex, Ordering};

use super::change::{Change, Request, What};
use super::core::Answer;
use super::lanes::{Lanes, Spawn};
use super::merge::{Collected, Inlets, count_reordered};
use super::preparation::{Preparation, PreparedBatch};
use super::pulse::{Calling, Pulse};
#[cfg(test)]
use super::testing;

/// What listener and stopping threads share of the books.
#[derive(Debug)]
pub(crate) struct Books {
    /// The book lock's content.
    end: Mutex<End>,
    /// One for each name that a handler has had, or several where lanes were replaced, in the order in which they came. A leaf among the locks.
    handlers: Mutex<Vec<Arc<HandlerCounters>>>,
    /// Written by the listener, under the book lock.
    pub(super) prepared_away: PreparedAway,
    /// Written by the listener.
    pub(crate) reordered: AtomicU64,
    pub(crate) spans: SpanCounters,
    /// Written by whoever takes turns.
    listener_panics: AtomicU64,
    pub(super) pulse: Pulse,
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
    pub(crate) fn new() -> Self {
        Books {
            end: Mutex::new(End { abandoned: None, deadline: Deadline::after(Duration::MAX) }),
            handlers: Mutex::new(Vec::new()),
            prepared_away: PreparedAway::new(),
            reordered: AtomicU64::new(0),
            spans: SpanCounters::default(),
            listener_panics: AtomicU64::new(0),
            pulse: Pulse::new(),
            origin: Origin::here(),
        }
    }

    /// The books of all handlers there have been.
    pub(crate) fn handlers(&self) -> Vec<Arc<HandlerCounters>> {
        self.handlers.lock().clone()
    }

    /// The books of a handler that is attached now: those of the one that had this name before, if there was one.
    fn open(&self, name: String) -> Arc<HandlerCounters> {
        let mut handlers = self.handlers.lock();
        // One that was removed may be attached still, on a lane.
        let is_free = |counters: &Arc<HandlerCounters>| !counters.attached.load(Ordering::Relaxed);
        let counters = match handlers.iter().find(|counters| counters.name == name && is_free(counters)) {
            Some(counters) => counters.clone(),
            None => {
                let counters = Arc::new(HandlerCounters::new(name, handlers.len()));
                handlers.push(counters.clone());
                counters
            }
        };
        counters.attached.store(true, Ordering::Relaxed);
        counters
    }

    /// Whether the listener goes on. `is_behind`: there are records that are not through the handlers.
    pub(super) fn progress(&self, is_behind: bool) -> Progress {
        let called = self.pulse.calling().map(|number| self.handlers.lock()[number].clone());
        Progress {
            lag: if is_behind { self.pulse.lag() } else { Duration::ZERO },
            calling: called.as_ref().map(|handler| handler.name.clone()),
            handed: called.map_or(0, |handler| handler.cursor.handed() as u64),
            heartbeat: Some(self.pulse.heartbeat()),
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
            self.handlers().iter().for_each(|handler| handler.give_up());
            end.abandoned = Some(pending());
        }
    }

    /// Counts what was collected and no handler gets, as it was for the listener alone.
    pub(super) fn keep_back(&self, inlets: &mut Inlets) -> Result<(), GivenUp> {
        self.settle(|| inlets.settle_dispatched(&self.spans))
    }

    /// Runs `settle` under the book lock, unless a deadline has passed.
    pub(crate) fn settle(&self, settle: impl FnOnce()) -> Result<(), GivenUp> {
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

/// Records to be handed out, and what they refer to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Records<'a> {
    pub(crate) items: &'a [Item<'a>],
    pub(crate) words: &'a [u64],
    pub(crate) threads: &'a [Arc<Thread>],
    pub(crate) scopes: &'a [Arc<Scope>],
}

/// The handlers, in the order they were added.
#[derive(Debug)]
pub(crate) struct Handlers {
    /// Those that are called on this thread.
    runners: Vec<Runner>,
    lanes: Lanes,
    texts: Texts,
    /// The highest stamp handed out.
    highest: u64,
    /// Each call gets one record: its end is when a deadline is looked at, where no other thread does.
    hurried: bool,
}

impl Handlers {
    /// Runs code of the user's: the handlers say their names. Where several have one name, they are numbered.
    pub(crate) fn new(handlers: Vec<Routed>, books: &Books) -> Self {
        let mut all = Handlers {
            runners: Vec::new(),
            lanes: Lanes::default(),
            texts: Texts::default(),
            highest: 0,
            hurried: false,
        };
        for handler in handlers {
            let name = guarded(|| handler.name()).unwrap_or_else(|_| "unnamed".into());
            let mut unique = name.clone();
            let mut number = 1;
            while all.names().any(|name| *name == unique) {
                number += 1;
                unique = format!("{name}-{number}");
            }
            // Nothing to fail: lanes have no threads yet.
            let _: Result<(), Error> = all.attach(all.runners.len(), handler, books.open(unique));
        }
        all
    }

    /// From now on the handlers with lanes are called.
    ///
    /// # Errors
    /// If a lane's thread cannot be started.
    #[cfg(not(treering_loom))]
    pub(crate) fn start_lanes(&mut self, spawn: Spawn) -> Result<(), Error> {
        self.lanes.start(spawn).map_err(Error::thread_spawn)
    }

    #[cfg(treering_loom)]
    pub(crate) fn lane(&self) -> Option<Arc<super::Lane>> {
        self.lanes.first()
    }

    /// One handler more. `at`: its place among those that are called on this thread.
    fn attach(&mut self, at: usize, handler: Routed, counters: Arc<HandlerCounters>) -> Result<(), Error> {
        match handler.lane {
            Some(options) => self.lanes.add(handler, options, counters),
            None => {
                self.runners.insert(at, Runner::new(handler, counters));
                Ok(())
            }
        }
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.runners.iter().map(|runner| &*runner.counters.name).chain(self.lanes.names())
    }

    /// The position of a handler that is called on this thread.
    fn find(&self, name: &str) -> Option<usize> {
        self.runners.iter().position(|runner| runner.counters.name == name)
    }

    /// Where it is decided what the handler of this name gets.
    fn find_front(&mut self, name: &str) -> Option<&mut Routed> {
        match self.find(name) {
            Some(at) => Some(&mut self.runners[at].handler),
            None => self.lanes.find(name),
        }
    }

    /// Changes which handlers there are, or what one of them gets, from the next batch on, and says in the request what came
    /// of it. A handler that goes is flushed and closed before; on a lane that takes its time, and the lane says when it
    /// is done.
    pub(super) fn change(
        &mut self,
        Change { name, what }: Change,
        request: &Arc<Request>,
        books: &Books,
        faults: &Faults,
    ) -> Result<(), GivenUp> {
        let is_there = self.find_front(&name).is_some();
        let outcome = match what {
            What::Add(refused) if is_there => {
                discard(refused);
                Err(Error::config(format!(
                    "a handler is named {name:?} already: replace it, or name the new one otherwise"
                )))
            }
            What::Add(handler) => self.attach(self.runners.len(), handler, books.open(name)),
            refused if !is_there => {
                discard(refused);
                Err(self.knows_no(&name))
            }
            What::Remove => return self.remove(&name, request, books, faults),
            What::Replace(handler) => return self.replace(name, handler, request, books, faults),
            What::Level(level) => {
                self.find_front(&name).into_iter().for_each(|front| front.set_level(level));
                Ok(())
            }
            What::Filter(filter) => {
                discard(self.find_front(&name).map(|front| front.set_filter(filter)));
                Ok(())
            }
        };
        request.finish(outcome);
        Ok(())
    }

    /// Whether it goes now, or when its lane has ended, the request is done then.
    fn remove(
        &mut self,
        name: &str,
        request: &Arc<Request>,
        books: &Books,
        faults: &Faults,
    ) -> Result<(), GivenUp> {
        let Some(at) = self.find(name) else { return self.lanes.remove(name, request, books) };
        self.runners[at].end(true, books, faults)?;
        let runner = self.runners.remove(at);
        #[cfg(treering_mutant = "keep_replaced")]
        std::mem::forget(runner);
        #[cfg(not(treering_mutant = "keep_replaced"))]
        runner.drop_handler(faults);
        request.finish(Ok(()));
        Ok(())
    }

    /// The new one is at its place at once, also while the old one is on its lane still.
    fn replace(
        &mut self,
        name: String,
        handler: Routed,
        request: &Arc<Request>,
        books: &Books,
        faults: &Faults,
    ) -> Result<(), GivenUp> {
        let at = self.find(&name).unwrap_or(self.runners.len());
        self.remove(&name, request, books, faults)?;
        if let Err(error) = self.attach(at, handler, books.open(name)) {
            request.finish(Err(error));
        }
        Ok(())
    }

    fn knows_no(&self, name: &str) -> Error {
        let names: Vec<_> = self.names().collect();
        Error::config(format!("no handler is named {name:?}; there are: {}", names.join(", ")))
    }

    /// Hands the batch, prepared if it is to be, to every handler and empties it.
    pub(crate) fn dispatch(
        &mut self,
        batch: &mut Collected,
        preparation: Option<&mut Preparation>,
        inlets: &mut Inlets,
        books: &Books,
        faults: &Faults,
    ) -> Result<(), GivenUp> {
        let Collected { items, words, threads, scopes, losses, begun, .. } = &mut *batch;
        let whole = Records { items, words, threads, scopes };
        let prepared = preparation.map(|steps| steps.prepare(whole, books, faults)).transpose()?;
        let begin = |highest: &mut u64| {
            inlets.settle_dispatched(&books.spans);
            prepared.iter().for_each(|prepared| prepared.settle(&books.prepared_away));
            *begun = true;
            count_reordered(whole.items, highest, &books.reordered);
        };
        self.hand_out(prepared.as_ref().map_or(whole, PreparedBatch::records), begin, books, faults)?;
        losses.extend(prepared.into_iter().flat_map(|prepared| prepared.losses));
        batch.clear();
        Ok(())
    }

    /// Hands these records to every handler. `begin` counts them as dispatched, under the book lock; it is given the
    /// highest stamp handed out.
    pub(crate) fn hand_out(
        &mut self,
        Records { items, words, threads, scopes }: Records<'_>,
        begin: impl FnOnce(&mut u64),
        books: &Books,
        faults: &Faults,
    ) -> Result<(), GivenUp> {
        self.texts.begin();
        let contents = Contents { items, words, threads, scopes, texts: &self.texts };
        self.runners.iter_mut().for_each(|runner| runner.select(contents, books, faults));
        self.lanes.select(contents, books, faults);
        books.settle(|| {
            begin(&mut self.highest);
            self.runners.iter().for_each(|runner| runner.offer(items.len()));
            self.lanes.offer(items.len());
        })?;
        // First of all: they work at the same time.
        self.lanes.send(contents, books, faults)?;
        for runner in &mut self.runners {
            runner.deliver(contents, self.hurried, books, faults)?;
        }
        Ok(())
    }

    /// From now on one record at a time is handed out.
    #[cfg(not(treering_loom))]
    pub(crate) fn hurry(&mut self) {
        self.hurried = true;
    }

    /// What is handed out from now on are echoes, or are none.
    pub(super) fn set_echoing(&mut self, echoing: bool) {
        self.lanes.echoing = echoing;
    }

    /// Flushes the handlers that hold records and are to be flushed now, as their policies say.
    pub(crate) fn flush(&mut self, is_idle: bool, books: &Books, faults: &Faults) -> Result<(), GivenUp> {
        self.runners.iter_mut().try_for_each(|runner| runner.flush_if_due(is_idle, books, faults))
    }

    /// Lets each handler look after itself.
    pub(crate) fn tend(&mut self, books: &Books, faults: &Faults) -> Result<(), GivenUp> {
        self.lanes.keep_house(books)?;
        self.runners.iter_mut().try_for_each(|runner| runner.tend(books, faults))
    }

    /// How long the listener may sleep, after it has flushed what is to be flushed before.
    pub(crate) fn sleep_max(&self) -> Duration {
        self.runners.iter().map(Runner::sleep_max).min().unwrap_or(Duration::MAX)
    }

    /// Flushes every handler that is called on this thread, also those that hold nothing that was counted.
    pub(crate) fn flush_on_request(&mut self, books: &Books, faults: &Faults) -> Result<(), GivenUp> {
        self.runners.iter_mut().try_for_each(|runner| runner.finish(Finish::Flush, books, faults))
    }

    /// Flushes those on lanes behind everything that was handed out. The last of them answers.
    pub(super) fn flush_lanes(&mut self, answer: &Arc<Answer>, books: &Books) -> Result<(), GivenUp> {
        self.lanes.flush(answer, books)
    }

    /// What handlers on lanes were told of losses since this was asked.
    pub(super) fn take_losses(&mut self) -> Vec<crate::overflow::Loss> {
        std::mem::take(&mut self.lanes.told)
    }

    /// Whether none of those that are called on this thread holds records that a flush may bring out, as far as it says.
    pub(crate) fn hold_nothing(&self) -> bool {
        !self.runners.iter().any(Runner::holds_any)
    }

    /// Flushes all handlers, then closes them, the last one first; those on lanes meanwhile, each on its own.
    pub(crate) fn close(&mut self, books: &Books, faults: &Faults) -> Result<(), GivenUp> {
        self.lanes.close(books)?;
        self.flush_on_request(books, faults)?;
        for runner in self.runners.iter_mut().rev() {
            runner.close(books, faults)?;
        }
        // Files and sockets are closed when `stop` returns, not when the last handle is dropped.
        self.runners.drain(..).rev().for_each(|runner| runner.drop_handler(faults));
        self.lanes.wait_for_end(books)
    }

    /// The books are closed: lanes that wait for records end now.
    pub(super) fn dismiss_lanes(&self) {
        self.lanes.dismiss();
    }

    /// After a panic of the listener's own: what a handler had not settled of the batch in hand has failed.
    pub(super) fn fail_in_hand(&mut self, books: &Books) -> Result<(), GivenUp> {
        books.settle(|| {
            for runner in &self.runners {
                add(&runner.counters.failed, runner.counters.in_hand.swap(0, Ordering::Relaxed));
            }
            self.lanes.fail_unsent();
        })
    }
}

impl Collected {
    /// Forgets the batch, and the threads without a ring that are in it.
    pub(crate) fn clear(&mut self) {
        self.items.clear();
        self.words.clear();
        self.scopes.clear();
        self.begun = false;
    }
}

/// One handler and its books.
pub(super) struct Runner {
    pub(super) handler: Routed,
    pub(super) counters: Arc<HandlerCounters>,
    /// It is called on a thread of its own.
    is_on_lane: bool,
    /// Its level when it was asked last.
    max_level: LevelFilter,
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
        let name = &self.counters.name;
        match guarded(|| self.handler.max_level()) {
            Ok(max_level) => self.max_level = max_level,
            Err(text) => self.tell_of_level(&text, faults),
        }
        if let Some(text) = self.selection.make(&mut self.handler, contents, self.max_level) {
            let cost = self.selection.failed;
            faults.report(format_args!(
                "handler {name} panicked when it was asked what it accepts, which cost {cost} records: {text}"
            ));
        }
        self.in_hand = self.selection.len();
    }

    /// Under the book lock: the batch is this handler's now.
    fn offer(&self, records: usize) {
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
    fn close(&mut self, books: &Books, faults: &Faults) -> Result<(), GivenUp> {
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
