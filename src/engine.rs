//! One engine: its rings, its listener, its filter, its end. No statics, which are `global`'s, and one thread-local:
//! whether this thread takes a turn. What a thread logs through is `logger`'s.

use std::cell::Cell;
use std::io;
use std::ops::DerefMut;
use std::task::{Poll, Waker};
use std::time::Duration;

use crate::callsite::{DICTIONARY, Verdicts};
use crate::clock::{self, Deadline};
use crate::error::Error;
use crate::fault::{Faults, guarded};
use crate::filter::Filter;
use crate::handler::Routed;
use crate::listener::{
    Books, Change, Control, Core, Filters, GivenUp, Handlers, Lane, Listener, Request, Turn, Wait,
};
use crate::origin::Origin;
use crate::os;
use crate::outlet::Outlet;
use crate::overflow::{DropHook, Policies};
use crate::prepare::Steps;
use crate::stats::Report;
use crate::sync::{Arc, AtomicBool, AtomicU32, Loan, Mutex, Ordering, nap};
use crate::transport::Transport;

/// How often a listener that panicked (a bug of ours) goes on: what happens again would go on happening.
const RESTARTS_MAX: u64 = 1;
/// Between two looks whether another thread's turn is over.
const TURN_NAP: Duration = Duration::from_micros(200);

/// Between two looks whether the handlers hold nothing any more: the first pause, and the longest.
const IDLE_NAP_MIN: Duration = Duration::from_micros(200);
const IDLE_NAP_MAX: Duration = Duration::from_millis(10);

thread_local! {
    /// Whether this thread takes a turn, of whatever engine, or is a lane's.
    static LISTENING: Cell<bool> = const { Cell::new(false) };
    static LANE: Cell<OnLane> = const { Cell::new(OnLane { engine: 0, echoing: false }) };
}

/// What a thread knows that is a lane's.
#[derive(Clone, Copy, Debug)]
struct OnLane {
    /// The number of the engine whose handler it calls, or 0.
    engine: u64,
    /// What it is called with, or was last, are echoes.
    echoing: bool,
}

/// Whether the calling thread is in a turn of whatever engine: what runs there is a handler, a format or a hook.
pub(crate) fn is_in_turn() -> bool {
    LISTENING.get()
}

/// From now on the calling thread, one of ours, never waits for room in a ring.
#[cfg(feature = "signals")]
pub(crate) fn never_wait_here() {
    LISTENING.set(true);
}

/// This thread takes turns as long as this lives.
pub(crate) struct Listening {
    before: bool,
}

impl Listening {
    pub(crate) fn here() -> Self {
        Listening { before: LISTENING.replace(true) }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        LISTENING.set(self.before);
    }
}

/// The engine knows which thread takes its turns as long as this lives.
struct Turning<'a>(&'a Engine);

impl<'a> Turning<'a> {
    fn here(engine: &'a Engine) -> Self {
        engine.turning.store(os::thread_id(), Ordering::Relaxed);
        Turning(engine)
    }
}

impl Drop for Turning<'_> {
    fn drop(&mut self) {
        self.0.turning.store(0, Ordering::Relaxed);
    }
}

/// Everything the builder decides of how an engine works.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) ring_capacity: usize,
    pub(crate) memory_cap: usize,
    pub(crate) policies: Policies,
    pub(crate) filter: Filter,
    /// What is wrong with the environment's, for the stream.
    pub(crate) filter_notes: Vec<String>,
    pub(crate) steps: Steps,
    /// In place of rings.
    pub(crate) outlet: Option<Outlet>,
    pub(crate) wait: Wait,
    pub(crate) exit_timeout: Duration,
    pub(crate) faults: Faults,
    pub(crate) on_drop: DropHook,
}

/// What it needs to start.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) thread_name: String,
    pub(crate) affinity: Option<usize>,
    /// What the listener's thread does: [`Engine::listen`], when its thread-locals are ready for it.
    pub(crate) listen: fn(&Arc<Engine>, Option<usize>),
    /// What a lane's thread does: [`Engine::serve`], likewise.
    pub(crate) serve: fn(&Arc<Engine>, &Lane),
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Engine {
    /// Distinguishes engines for ever: it is never used again.
    pub(crate) number: u64,
    pub(crate) core: Arc<Core>,
    pub(crate) verdicts: Arc<Verdicts>,
    /// In place of rings. Then it has no handlers, and turns have nothing to do.
    pub(crate) outlet: Option<Outlet>,
    /// How long the drop of a guard and the end of the process may wait, together.
    exit_timeout: Mutex<Duration>,
    wait: Wait,
    listener: Loan<Listener>,
    /// The kernel's number of the thread that takes turns now, or 0.
    turning: AtomicU32,
    /// The thread that polled last, or 0: nobody else would make room for it.
    polling: AtomicU32,
}

impl Engine {
    /// An engine that does not run yet. Runs code of the user's: the handlers say their names.
    pub(crate) fn new(settings: Settings, handlers: Vec<Routed>) -> Arc<Engine> {
        let books = Books::new();
        let handlers = Handlers::new(handlers, &books);
        let number = DICTIONARY.next_number();
        let core = Arc::new(Core {
            number,
            transport: Transport::new(settings.ring_capacity, settings.memory_cap, settings.policies),
            control: Control::new(),
            books,
            faults: settings.faults.of_this_process(),
            origin: Origin::here(),
            on_drop: settings.on_drop,
            filters: Filters::new(number, Arc::new(settings.filter)),
            echoing: AtomicBool::new(false),
        });
        if !clock::counter_is_steady() {
            core.faults.report(
                "this processor's counter does not run at one rate: times may be wrong by any amount",
            );
        }
        Arc::new(Engine {
            number,
            listener: Loan::new(
                Listener::new(core.clone(), handlers, &DICTIONARY, settings.wait)
                    .with_steps(settings.steps)
                    .with_filter_notes(settings.filter_notes),
            ),
            core,
            verdicts: Arc::new(Verdicts::new()),
            outlet: settings.outlet,
            exit_timeout: Mutex::new(settings.exit_timeout),
            wait: settings.wait,
            turning: AtomicU32::new(0),
            polling: AtomicU32::new(0),
        })
    }

    /// Starts it: its filter counts and its listener runs when this returns. Runs no code of the user's; the caller
    /// must be `busy` (see `logger`).
    pub(crate) fn start(
        self: &Arc<Self>,
        Start { thread_name, affinity, listen, serve }: Start,
        global: bool,
    ) -> Result<(), Error> {
        let weak = Arc::downgrade(self);
        let start_lane = move |name, lane: Arc<Lane>| match weak.upgrade() {
            Some(engine) => spawn(name, move || serve(&engine, &lane)),
            None => Ok(()),
        };
        // Who fails here stops what runs already.
        self.listener.borrow().start_lanes(Box::new(start_lane)).inspect_err(|_| self.end_now())?;
        if self.wait != Wait::Manual {
            let engine = self.clone();
            spawn(thread_name, move || listen(&engine, affinity))
                .map_err(Error::thread_spawn)
                .inspect_err(|_| self.end_now())?;
        }
        DICTIONARY.join(self.number, self.core.filters.lasting(), self.verdicts.clone(), global);
        Ok(())
    }

    /// The listener's thread.
    pub(crate) fn listen(&self, affinity: Option<usize>) {
        /// However the thread ends, nobody waits for it after that.
        struct End<'a>(&'a Engine);

        impl Drop for End<'_> {
            fn drop(&mut self) {
                self.0.end_now();
            }
        }

        let _turning = Turning::here(self);
        let _end = End(self);
        let _here = Listening::here();
        if let Some(core) = affinity
            && let Err(error) = os::pin_to_core(core)
        {
            self.core.faults.report(format_args!("cannot bind the listener to core {core}: {error}"));
        }
        // However it came to its end.
        let _: Option<()> = self.outlive_bugs(|| self.listener.borrow().run());
    }

    /// The thread of a lane.
    pub(crate) fn serve(&self, lane: &Lane) {
        let _here = Listening::here();
        LANE.set(OnLane { engine: self.number, echoing: false });
        lane.run(&self.core, |echoing| LANE.set(OnLane { engine: self.number, echoing }));
    }

    /// Does what is the listener's to do. A panic of ours is counted and told of, and the work is done again, with
    /// everything the listener had: once in the engine's life. `None` after the second.
    fn outlive_bugs<R>(&self, mut work: impl FnMut() -> R) -> Option<R> {
        loop {
            match guarded(&mut work) {
                Ok(result) => return Some(result),
                Err(panic) => {
                    let goes_on = self.core.books.count_listener_panic() <= RESTARTS_MAX;
                    let then = if goes_on { "goes on" } else { "ends here" };
                    let faults = &self.core.faults;
                    faults
                        .report(format_args!("a bug in treering: the listener panicked and {then}: {panic}"));
                    if !goes_on {
                        return None;
                    }
                }
            }
        }
    }

    /// The listener will take no more turns: what it has not settled is abandoned.
    fn end_now(&self) {
        if self.core.origin.is_here() && !self.core.control.has_finished() {
            self.core.transport.close();
            self.core.give_up();
            self.core.finish();
        }
    }

    /// Whether the calling thread is one that must not wait for this engine's listener.
    pub(crate) fn is_listening_here(&self) -> bool {
        self.is_handling_here() || self.polling.load(Ordering::Relaxed) == os::thread_id()
    }

    /// Whether the calling thread takes a turn of this engine, or is one of its lanes'.
    fn is_handling_here(&self) -> bool {
        LANE.get().engine == self.number || self.turning.load(Ordering::Relaxed) == os::thread_id()
    }

    /// What a call on this thread is to this engine. `None`: it is no echo. Else whether an echo led to it.
    pub(crate) fn echo_here(&self) -> Option<bool> {
        let OnLane { engine, echoing } = LANE.get();
        if engine == self.number {
            return Some(echoing);
        }
        let is_turning = LISTENING.get() && self.turning.load(Ordering::Relaxed) == os::thread_id();
        is_turning.then(|| self.core.echoing.load(Ordering::Relaxed))
    }

    /// Whether the turns are taken by those who ask for them.
    pub(crate) fn is_manual(&self) -> bool {
        self.wait == Wait::Manual
    }

    /// Whether the calling thread must not wait for room in one of this engine's rings: it makes the room, or it
    /// makes room in another engine's, which may wait for this one.
    pub(crate) fn must_not_wait_here(&self) -> bool {
        LISTENING.get() || self.is_listening_here()
    }

    /// Takes one turn on the calling thread, without a listener thread.
    pub(crate) fn poll(&self) -> Result<usize, Error> {
        if self.wait != Wait::Manual {
            return Err(Error::config(
                "poll() is for engines built with Wait::Manual; this one has a listener thread",
            ));
        }
        self.check_origin()?;
        match self.take_turn(Deadline::after(Duration::MAX))? {
            Turn::Busy(records) => Ok(records),
            Turn::Empty => Ok(0),
            Turn::Finished => Err(Error::not_running()),
        }
    }

    /// Takes a turn as soon as no other thread takes one.
    fn take_turn(&self, deadline: Deadline) -> Result<Turn, Error> {
        if self.is_handling_here() {
            return Err(Error::on_listener_thread());
        }
        let here = os::thread_id();
        let turn = self.outlive_bugs(|| {
            let mut listener = self.borrow_listener(deadline)?;
            if self.core.control.has_finished() {
                return Err(Error::not_running());
            }
            let _here = Listening::here();
            let _turning = Turning::here(self);
            self.polling.store(here, Ordering::Relaxed);
            if !self.is_open() {
                listener.hurry();
            }
            let mut turn = listener.turn();
            if turn != Turn::Finished {
                // A deadline that passed meanwhile shows in the next turn.
                let _: Result<(), GivenUp> = listener.flush_held();
                if !self.is_open() {
                    // Stopped by a handler, which could not wait for this.
                    turn = listener.turn();
                }
            }
            Ok(turn)
        });
        if !matches!(turn, Some(Err(_))) {
            // Tasks that found this turn in their way try again.
            self.core.wake(self.core.control.take_waiting());
        }
        turn.unwrap_or_else(|| {
            self.end_now();
            Err(Error::not_running())
        })
    }

    /// Another thread's turn may be in a handler that hangs.
    fn borrow_listener(&self, deadline: Deadline) -> Result<impl DerefMut<Target = Listener>, Error> {
        loop {
            if let Some(listener) = self.listener.try_borrow() {
                return Ok(listener);
            }
            if deadline.has_passed() {
                return Err(Error::timeout());
            }
            nap(TURN_NAP);
        }
    }

    /// Waits until everything that was logged before this call has left the handlers.
    pub(crate) fn flush(&self, timeout: Duration) -> Result<(), Error> {
        self.check_origin()?;
        self.flush_by(Deadline::after(timeout)).map(drop)
    }

    /// As [`flush`](Self::flush). Returns the ticket that it had.
    fn flush_by(&self, deadline: Deadline) -> Result<u64, Error> {
        if self.is_handling_here() || (self.wait != Wait::Manual && self.is_listening_here()) {
            return Err(Error::on_listener_thread());
        }
        self.tell_untold();
        let ticket = self.core.ask_for_flush();
        if self.wait == Wait::Manual && !self.core.control.has_finished() {
            self.take_turn(deadline)?;
        }
        self.core.control.wait_for(ticket, deadline).map_err(|_| Error::timeout())?;
        self.outcome_of_flush(ticket)?;
        Ok(ticket)
    }

    /// Waits until everything that was submitted before this call is settled, and the handlers hold nothing.
    pub(crate) fn wait_idle(&self, timeout: Duration) -> Result<(), Error> {
        self.check_origin()?;
        let deadline = Deadline::after(timeout);
        let placed = self.core.transport.placed();
        let mut pause = IDLE_NAP_MIN;
        loop {
            // Before the flush: what is settled by now the flush finds in the handlers, or behind them.
            let is_settled = self.core.transport.has_settled(&placed);
            let ticket = self.flush_by(deadline)?;
            if self.core.control.has_ended() || (is_settled && self.core.control.has_emptied(ticket)) {
                return Ok(());
            }
            if deadline.has_passed() {
                return Err(Error::timeout());
            }
            // A handler holds on to something, as a full pipe or a disk that is synced later makes it; or a caller was
            // interrupted between the books and its ring.
            nap(pause.min(deadline.left().unwrap_or(Duration::MAX)));
            pause = IDLE_NAP_MAX.min(pause * 2);
        }
    }

    /// Asks for a flush; [`poll_flush`](Self::poll_flush) tells when it is done.
    pub(crate) fn ask_for_flush(&self) -> Result<u64, Error> {
        self.check_origin()?;
        self.tell_untold();
        Ok(self.core.ask_for_flush())
    }

    /// What a queue was not told of is told, if it takes that: no later call may come to do it.
    fn tell_untold(&self) {
        if let Some(outlet) = &self.outlet {
            outlet.tell_all();
        }
    }

    /// Whether the flush with this ticket is done; if not, `waker` is woken when it is, or when there is a turn to be taken.
    pub(crate) fn poll_flush(&self, ticket: u64, waker: &Waker) -> Poll<Result<(), Error>> {
        self.check_origin()?;
        if self.poll_answer(ticket, waker).is_pending() {
            if self.is_handling_here() {
                // Whoever waits here for the future to end would wait for ever.
                return Poll::Ready(Err(Error::on_listener_thread()));
            }
            // Without a thread for it the turn is taken here, unless another thread takes one, at whose end it wakes us.
            let has_turned = self.is_manual() && self.take_turn(Deadline::after(Duration::ZERO)).is_ok();
            if !has_turned || self.poll_answer(ticket, waker).is_pending() {
                return Poll::Pending;
            }
        }
        Poll::Ready(self.outcome_of_flush(ticket))
    }

    /// After the round for this ticket, or the listener's end.
    fn outcome_of_flush(&self, ticket: u64) -> Result<(), Error> {
        // A listener that came to its end by a deadline, or by dying, left records behind.
        let is_done = self.core.control.has_done(ticket) || self.core.books.abandoned().is_none();
        if is_done { Ok(()) } else { Err(Error::timeout()) }
    }

    fn poll_answer(&self, ticket: u64, waker: &Waker) -> Poll<()> {
        // What is not needed is dropped here, not under the lock.
        self.core.control.poll_for(ticket, waker.clone()).0
    }

    /// Nobody polls for this ticket any more.
    pub(crate) fn forget_flush(&self, ticket: u64) {
        if self.core.origin.is_here() {
            drop(self.core.control.forget(ticket));
        }
    }

    /// Waits until the handlers are changed, from a batch on that has nothing which was logged before this call. When the
    /// deadline passes first, the change stays asked for.
    pub(crate) fn change(&self, change: Change, timeout: Duration) -> Result<(), Error> {
        self.check_origin()?;
        if self.outlet.is_some() {
            return Err(Error::config(Outlet::NO_HANDLERS));
        }
        let deadline = Deadline::after(timeout);
        if self.is_handling_here() {
            return Err(Error::on_listener_thread());
        }
        if !self.is_open() {
            return Err(Error::not_running());
        }
        let request = Request::new(change);
        let ticket = self.core.ask_for(request.clone());
        if self.wait == Wait::Manual && !self.core.control.has_finished() {
            self.take_turn(deadline)?;
        }
        let waited = self.core.control.wait_for(ticket, deadline);
        match request.outcome() {
            Some(outcome) => outcome,
            None if waited.is_ok() && request.take().is_some() => Err(Error::not_running()),
            None => Err(Error::timeout()),
        }
    }

    /// Ends the engine: closes, drains, flushes and closes the handlers. At the deadline what is left is abandoned.
    pub(crate) fn stop(&self, timeout: Duration) -> Result<Report, Error> {
        self.check_origin()?;
        let deadline = Deadline::after(timeout);
        self.core.close();
        if let Some(outlet) = &self.outlet {
            outlet.line.close();
        }
        self.tell_untold();
        if self.is_handling_here() {
            return Err(Error::stops_on_listener_thread());
        }
        if self.wait == Wait::Manual && !self.core.control.has_finished() {
            // No other thread will give up for this one.
            self.core.books.set_deadline(deadline);
            // Another thread may take the last turn first; then there is nothing left to do.
            let _ = self.take_turn(deadline);
        }
        // Where the deadline passed, the report says what that left behind.
        let _ = self.core.wait_for_end(deadline);
        Ok(self.report())
    }

    /// Runs `work` with what is left of the time for the end, and takes from it what `work` needed.
    pub(crate) fn within_exit_timeout<R>(&self, work: impl FnOnce(Duration) -> R) -> R {
        let timeout = *self.exit_timeout.lock();
        let since = clock::now();
        let result = work(timeout);
        *self.exit_timeout.lock() = timeout.saturating_sub(clock::now() - since);
        result
    }

    /// The books at this moment. In a child of `fork` they are empty: what is in the copy is the parent's.
    pub(crate) fn report(&self) -> Report {
        if !self.core.origin.is_here() {
            return Report::default();
        }
        if let Some(outlet) = &self.outlet {
            return outlet.report();
        }
        // What is past the last tail is late, unless a deadline has settled everything before. The lock is free or
        // about to be: nothing of the user's runs in the listener after its end.
        if self.core.control.has_finished() && self.core.books.abandoned().is_none() {
            self.listener.borrow().count_late();
        }
        self.core.report()
    }

    /// Swaps the filter, for as long as `lifetime` says. Calls that begin after this returned obey it. The caller must be
    /// `busy`.
    pub(crate) fn set_filter(&self, filter: Filter, lifetime: Option<Duration>) -> Result<(), Error> {
        self.check_origin()?;
        let (filters, filter) = (&self.core.filters, Arc::new(filter));
        match lifetime.map(Deadline::after) {
            None => filters.set(filter, &DICTIONARY),
            Some(until) => filters.set_until(filter, until, &DICTIONARY),
        }
        Ok(())
    }

    pub(crate) fn is_open(&self) -> bool {
        self.core.origin.is_here() && !self.core.transport.shared.state.is_closed()
    }

    /// Whether nobody need wait for it: its listener has come to its end, or was given up at a deadline, or is that of
    /// the parent of this process. A closed engine that still drains is not over.
    pub(crate) fn is_over(&self) -> bool {
        let core = &self.core;
        !core.origin.is_here() || core.control.has_finished() || core.books.abandoned().is_some()
    }

    /// An error in a child of `fork`, which must not use the locks and handlers of its parent's engine.
    pub(crate) fn check_origin(&self) -> Result<(), Error> {
        if self.core.origin.is_here() { Ok(()) } else { Err(Error::forked()) }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        DICTIONARY.leave(self.number);
    }
}

/// Starts a thread, the listener's or the one that waits for signals. Nobody joins it: `stop` waits for the listener's
/// end, behind which only destructors of the user's thread-locals run, for as long as they like.
pub(crate) fn spawn(name: String, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    os::without_signals(|| {
        if Origin::here().is_first() {
            std::thread::Builder::new().name(name).spawn(body).map(drop)
        } else {
            // A thread of std's takes a lock of std's when it starts, which another thread may have held at the `fork`.
            os::spawn(&name, body)
        }
    })
}
