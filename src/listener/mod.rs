//! The listener: takes records out of all rings, in order, and hands them to the handlers.
//!
//! One [`turn`](Listener::turn) is one look at the world: requests, then the cut-off, then the registry, then all
//! tails; what those show is handed out, batch by batch. [`run`](Listener::run) takes turns until the engine is
//! closed, and waits between them; with [`Wait::Manual`] the caller of `poll` takes them.
//!
//! Consumers, handlers, merge state and cursors are the [`Listener`]'s, and the listener is the engine's: its thread
//! borrows it, so that a thread started anew goes on with it.

mod books;
mod census;
mod change;
mod control;
mod core;
mod dispatch;
mod filters;
mod housekeeping;
mod idle;
mod lane;
mod lanes;
mod merge;
#[cfg(not(treering_loom))]
mod polling;
mod preparation;
mod pulse;
mod resolve;
mod runner;
mod spans;
#[cfg(test)]
pub(crate) mod testing;

pub(crate) use self::core::Core;
pub(crate) use books::{Books, GivenUp};
pub(crate) use change::{Change, Request, What};
pub(crate) use control::Control;
pub(crate) use dispatch::{Handlers, Records};
pub(crate) use filters::Filters;
pub(crate) use housekeeping::Housekeeping;
pub use idle::Wait;
pub(crate) use lane::Lane;
pub(crate) use lanes::Spawn;
#[cfg(not(treering_loom))]
pub(crate) use polling::{Poller, is_polling};
#[cfg(not(treering_loom))]
pub(crate) use preparation::Outgoing;
pub(crate) use resolve::Entries;

use std::time::{Duration, Instant};

use crate::callsite::{Dictionary, Entry};
use crate::clock::{self, WallClock};
#[cfg(not(treering_loom))]
use crate::error::Error;
use crate::fault::guarded;
#[cfg(not(treering_loom))]
use crate::limit;
use crate::os;
use crate::own;
#[cfg(not(treering_loom))]
use crate::prepare::Steps;
use crate::sync::{Arc, Ordering};
use crate::wake::HeavyFence;

use self::core::Answer;
use idle::{Idle, PARK_MAX, Step, none_under_loom, spin};
use merge::{Collected, Inlets, LossesOf};
use preparation::Preparation;

/// Records younger than this wait for the next round, unless someone waits for this one: a thread that was between
/// its stamp and its commit when its tail was read gets this long to be put in order by time.
const GRACE: Duration = none_under_loom(Duration::from_micros(2));
/// Longer than any store waits in a store buffer.
const NAP_AFTER_CHANGE: Duration = Duration::from_millis(1);

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Listener {
    core: Arc<Core>,
    inlets: Inlets,
    batch: Collected,
    entries: Entries,
    /// `None` where there are no steps.
    preparation: Option<Preparation>,
    handlers: Handlers,
    clock: WallClock,
    fence: HeavyFence,
    idle: Idle,
    /// The highest flush ticket whose round is done, but for what lanes have to do for it.
    answered: u64,
    housekeeping: Housekeeping,
    /// A copy of the core's, which is written only where it changes.
    echoing: bool,
    /// What is to be said of the environment's filter, before all else.
    filter_notes: Vec<String>,
}

/// What a turn came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Turn {
    /// So many records were handed out.
    Busy(usize),
    /// There was nothing to hand out.
    Empty,
    /// That was the last turn.
    Finished,
}

/// When a turn looked at the rings, by two clocks.
#[derive(Clone, Copy, Debug)]
struct Look {
    at: Instant,
    stamp: u64,
}

impl Listener {
    pub(crate) fn new(
        core: Arc<Core>,
        handlers: Handlers,
        dictionary: &'static Dictionary,
        wait: Wait,
    ) -> Self {
        let fence = match wait {
            Wait::Park => HeavyFence::by_producers(&core.transport.shared.state),
            _ => HeavyFence::new(),
        };
        Listener {
            core,
            inlets: Inlets::new(),
            batch: Collected::default(),
            entries: Entries::new(dictionary),
            preparation: None,
            handlers,
            clock: WallClock::new(),
            fence,
            idle: Idle::new(wait),
            answered: 0,
            housekeeping: Housekeeping::new(),
            echoing: false,
            filter_notes: Vec::new(),
        }
    }

    /// Puts all batches through these steps before the handlers get them.
    #[cfg(not(treering_loom))]
    pub(crate) fn with_steps(mut self, steps: Steps) -> Self {
        self.preparation = (!steps.is_empty()).then(|| Preparation::new(steps));
        self
    }

    /// Says this in the stream, before all else.
    #[cfg(not(treering_loom))]
    pub(crate) fn with_filter_notes(mut self, notes: Vec<String>) -> Self {
        self.filter_notes = notes;
        self
    }

    /// Takes turns until the engine is closed and everything was handed out, or a deadline passed.
    pub(crate) fn run(&mut self) {
        while let Some(step) = self.advance() {
            self.wait(step);
        }
    }

    /// One turn. Says how to wait for the next one, if there is one.
    fn advance(&mut self) -> Option<Step> {
        match self.turn() {
            Turn::Finished => None,
            Turn::Busy(records) => {
                // What was too young is old enough in a moment.
                let is_urgent = records == 0 || self.core.transport.is_crowded(self.inlets.fullest_words());
                Some(self.idle.busy(records, is_urgent))
            }
            Turn::Empty => Some(self.idle.empty()),
        }
    }

    fn wait(&mut self, step: Step) {
        match step {
            Step::Spin(duration) => spin(duration),
            Step::Doze(duration) => self.core.control.nap(duration, self.answered),
            Step::Nap(duration) => {
                // Nobody is in a hurry: what the handlers hold can leave now.
                if self.flush_held().is_ok() {
                    self.core.control.nap(duration.min(self.handlers.sleep_max()), self.answered);
                }
            }
            Step::Park => {
                if cfg!(treering_mutant = "park_unflushed") || self.flush_held().is_ok() {
                    self.park();
                }
            }
        }
    }

    /// As [`run`](Self::run), but ends before it would wait where `is_done`, which is told the highest flush ticket
    /// answered.
    #[cfg(treering_loom)]
    pub(crate) fn run_until(&mut self, is_done: impl Fn(u64) -> bool) {
        while !is_done(self.answered)
            && let Some(step) = self.advance()
        {
            if !is_done(self.answered) {
                self.wait(step);
            }
        }
    }

    /// One look at the world, see the module's documentation.
    pub(crate) fn turn(&mut self) -> Turn {
        match self.try_turn() {
            Ok(turn) => turn,
            Err(GivenUp) => {
                self.core.give_up();
                if self.core.origin.is_here() {
                    self.handlers.dismiss_lanes();
                }
                self.core.finish();
                Turn::Finished
            }
        }
    }

    fn try_turn(&mut self) -> Result<Turn, GivenUp> {
        // The order of the next steps is what makes flush, stop and the order of records right: what is asked, then
        // the cut-off, then the registry, then the tails. Each mutant reads the tails one step too early.
        #[cfg(treering_mutant = "tails_before_ticket")]
        self.inlets.read_tails();
        let asked = self.core.control.asked();
        #[cfg(treering_mutant = "tails_before_closing")]
        self.inlets.read_tails();
        let state = &self.core.transport.shared.state;
        let closing = state.is_closed();
        if closing {
            // A producer that saw the engine open after its commit is visible below. Whether the means changed does
            // not matter here: what comes later is late by position.
            let _ = self.fence.fence(state);
        }
        let flushing = asked > self.answered;
        #[cfg(treering_mutant = "tails_before_cutoff")]
        self.inlets.read_tails();
        #[cfg(treering_mutant = "registry_before_cutoff")]
        self.inlets.refresh(&self.core.transport, closing, &mut self.batch);
        let look = Look { at: clock::now(), stamp: self.core.transport.shared.ticker.ordered() };
        self.core.books.pulse.beat(look.at);
        let cutoff = self.cutoff(look, closing, flushing);
        self.recover()?;
        #[cfg(treering_mutant = "tails_before_leases")]
        self.inlets.read_tails();
        #[cfg(not(treering_mutant = "registry_before_cutoff"))]
        self.inlets.refresh(&self.core.transport, closing, &mut self.batch);
        #[cfg(not(any(
            treering_mutant = "tails_before_ticket",
            treering_mutant = "tails_before_closing",
            treering_mutant = "tails_before_cutoff",
            treering_mutant = "tails_before_leases"
        )))]
        self.inlets.read_tails();

        #[cfg(treering_mutant = "change_before_hand_out")]
        self.meet_requests(asked)?;
        let records = self.hand_out(look, cutoff)?;
        #[cfg(treering_mutant = "reclaim_untold")]
        self.inlets.reclaim(&self.core.transport);
        self.tell_losses(closing)?;
        self.inlets.reclaim(&self.core.transport);
        if flushing {
            // Somebody asked for this: what a handler says meanwhile may be heard.
            self.set_echoing(false);
            #[cfg(treering_mutant = "answer_before_change")]
            self.core.answer(asked, true);
            #[cfg(treering_mutant = "meet_newest")]
            self.meet_requests(u64::MAX)?;
            self.meet_requests(asked)?;
        }
        if closing {
            let closed = self.handlers.close(&self.core.books, &self.core.faults);
            self.tell_hook();
            closed?;
            self.core.finish();
            return Ok(Turn::Finished);
        }
        if flushing {
            #[cfg(treering_mutant = "answer_before_flush")]
            self.core.answer(asked, true);
            self.handlers.flush_on_request(&self.core.books, &self.core.faults)?;
            self.answered = asked;
            #[cfg(treering_mutant = "answer_newest")]
            let asked = self.core.control.asked();
            let answer = Answer::new(self.core.clone(), asked);
            if !self.handlers.hold_nothing() {
                answer.tell_held();
            }
            self.handlers.flush_lanes(answer, &self.core.books)?;
        }
        self.handlers.flush(false, &self.core.books, &self.core.faults)?;
        Ok(if records > 0 || self.inlets.hold_back() { Turn::Busy(records) } else { Turn::Empty })
    }

    /// The highest key that this turn may hand out. Read before any tail.
    fn cutoff(&self, look: Look, closing: bool, flushing: bool) -> u64 {
        let now = look.stamp;
        match (closing, flushing || self.idle.is_manual()) {
            (true, _) => u64::MAX,
            // Someone waits: for a flush, or for what a poll finds.
            (false, true) => now,
            (false, false) => now.saturating_sub(self.clock.ticks_in(GRACE)),
        }
    }

    /// Hands out everything up to the cut-off, batch by batch.
    fn hand_out(&mut self, look: Look, cutoff: u64) -> Result<usize, GivenUp> {
        let mut records = 0;
        self.tell_horizon(look);
        self.tell_filter_notes();
        loop {
            if let Some(step) = self.clock.anchor() {
                self.tell_clock_step(step);
            }
            if let Some(echoing) = self.inlets.next_is_echo(cutoff) {
                self.set_echoing(echoing);
            }
            self.inlets.collect(cutoff, &mut self.batch, &self.clock, &mut self.entries);
            self.inlets.release();
            self.tell_hook();
            if self.batch.is_empty() {
                return Ok(records + self.keep_back()?);
            }
            #[cfg(test)]
            testing::pass(testing::Bug::Collected);
            records += self.batch.items.len();
            self.dispatch()?;
            self.tell_horizon(look);
        }
    }

    /// Counts what was collected for the listener alone. Returns how many records that were.
    fn keep_back(&mut self) -> Result<usize, GivenUp> {
        let records = self.inlets.unsettled();
        if records > 0 {
            self.core.books.keep_back(&mut self.inlets)?;
        }
        Ok(records as usize)
    }

    /// Everything before the next record has been through the handlers; if there is none, everything before the look.
    fn tell_horizon(&self, look: Look) {
        let age = self.inlets.next_key().map_or(0, |key| look.stamp.saturating_sub(key));
        let horizon = look.at.checked_sub(self.clock.duration_of(age));
        self.core.books.pulse.reach(horizon.unwrap_or(look.at));
    }

    /// An echo is taken as long as what was handed out last was none, so each leads back to a record of somebody else's,
    /// or to a request: a handler that answers every record does not keep the engine busy for ever. It counts until the next
    /// batch, and so for what is done with this one later: a flush, another round.
    fn set_echoing(&mut self, echoing: bool) {
        if self.echoing != echoing {
            self.echoing = echoing;
            self.handlers.set_echoing(echoing);
            self.core.echoing.store(echoing, Ordering::Relaxed);
        }
    }

    /// Tells of losses that no producer will tell of, or not soon.
    fn tell_losses(&mut self, closing: bool) -> Result<(), GivenUp> {
        let of = if closing {
            LossesOf::AllThreads
        } else if self.housekeeping.is_due() {
            self.handlers.tend(&self.core.books, &self.core.faults)?;
            #[cfg(not(treering_loom))]
            self.core.filters.tend(self.entries.dictionary());
            LossesOf::SilentThreads
        } else {
            LossesOf::ThreadsThatLeft
        };
        let stamp = self.core.transport.shared.ticker.stamp();
        self.inlets.report_losses(of, stamp, &mut self.batch, &self.clock, &mut self.entries);
        self.tell_hook();
        #[cfg(not(treering_loom))]
        if closing {
            self.tell_suppressed(stamp);
        }
        if self.batch.is_empty() { Ok(()) } else { self.dispatch() }
    }

    /// Tells of calls that their limit kept back and no record told of.
    #[cfg(not(treering_loom))]
    fn tell_suppressed(&mut self, stamp: u64) {
        let thread = self.batch.sharing_thread(os::thread_id());
        for (callsite, calls) in limit::untold(self.core.number, self.entries.dictionary()) {
            let arguments = own::callsite_arguments(calls, callsite);
            self.batch.push_own(own::SUPPRESSED, &arguments, stamp, thread, &self.clock);
        }
    }

    /// Tells the user's hook of the losses that the batch tells of, and of those that lanes were told of.
    fn tell_hook(&mut self) {
        let of_lanes = self.handlers.take_losses();
        for loss in self.batch.losses.drain(..).chain(of_lanes) {
            if let Some(hook) = self.core.on_drop.get()
                && let Err(panic) = guarded(|| hook(&loss))
            {
                self.core.faults.report(format_args!("the hook of on_drop panicked: {panic}"));
            }
        }
    }

    fn tell_clock_step(&mut self, nanos: i64) {
        self.tell(own::CLOCK_STEP, &[nanos as u64]);
    }

    fn tell_filter_notes(&mut self) {
        for note in std::mem::take(&mut self.filter_notes) {
            self.tell(own::FILTER_NOTE, &own::text_arguments(&note));
        }
    }

    /// Puts one of the engine's own records behind what was collected.
    fn tell(&mut self, entry: &'static Entry<'static>, arguments: &[u64]) {
        let thread = self.batch.sharing_thread(os::thread_id());
        let stamp = self.core.transport.shared.ticker.stamp();
        self.batch.push_own(entry, arguments, stamp, thread, &self.clock);
    }

    fn dispatch(&mut self) -> Result<(), GivenUp> {
        let Listener { core, inlets, batch, preparation, handlers, .. } = self;
        handlers.dispatch(batch, preparation.as_mut(), inlets, &core.books, &core.faults)?;
        self.tell_hook();
        Ok(())
    }

    /// Other handlers, if that was asked for.
    fn meet_requests(&mut self, asked: u64) -> Result<(), GivenUp> {
        for request in self.core.control.requests(asked) {
            if let Some(change) = request.take() {
                self.handlers.change(change, &request, &self.core.books, &self.core.faults)?;
            }
        }
        Ok(())
    }

    /// After a panic of ours in an earlier turn: what was collected but not begun is handed out, what was begun is
    /// counted as failed where a handler had not settled it.
    fn recover(&mut self) -> Result<(), GivenUp> {
        if self.batch.is_empty() {
            return Ok(());
        }
        self.inlets.release();
        if self.batch.begun {
            self.handlers.fail_in_hand(&self.core.books)?;
            self.batch.clear();
            return Ok(());
        }
        self.dispatch()
    }

    /// Nobody is in a hurry: what the handlers hold leaves the process now, unless their policies say otherwise.
    pub(crate) fn flush_held(&mut self) -> Result<(), GivenUp> {
        self.handlers.flush(true, &self.core.books, &self.core.faults)
    }

    /// A stop with a deadline waits for this thread, and nobody else would give up.
    #[cfg(not(treering_loom))]
    pub(crate) fn hurry(&mut self) {
        self.handlers.hurry();
    }

    /// Sleeps until there is something to do.
    pub(crate) fn park(&mut self) {
        let Core { transport, control, .. } = &*self.core;
        let state = &transport.shared.state;
        state.announce_park();
        let is_sound = self.fence.fence(state);
        let is_asked = control.asked() > self.answered || state.is_closed();
        if is_asked || self.inlets.has_news(transport) {
            state.unpark();
        } else if is_sound {
            state.park(Some(PARK_MAX.min(self.handlers.sleep_max())));
        } else {
            // A producer that looked at the state word before the means changed is not ordered against us.
            state.unpark();
            control.nap(NAP_AFTER_CHANGE, self.answered);
        }
    }

    /// From now on the handlers with lanes are called.
    #[cfg(not(treering_loom))]
    pub(crate) fn start_lanes(&mut self, spawn: Spawn) -> Result<(), Error> {
        self.handlers.start_lanes(spawn)
    }

    /// The lane of its first handler that has one.
    #[cfg(treering_loom)]
    pub(crate) fn lane(&self) -> Option<Arc<Lane>> {
        self.handlers.lane()
    }

    /// How many rings it knows.
    #[cfg(treering_loom)]
    pub(crate) fn rings(&self) -> u64 {
        self.inlets.len() as u64
    }

    /// After the end: counts what was committed past the last tail.
    pub(crate) fn count_late(&mut self) {
        self.inlets.count_late();
    }
}
