//! One engine: its rings, its listener, its filter, its end. Neither thread-locals nor statics; those are `logger`'s
//! and `global`'s.

use std::ops::DerefMut;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::callsite::{DICTIONARY, Metadata, Verdicts};
use crate::clock::{self, Deadline};
use crate::error::Error;
use crate::fault::Faults;
use crate::filter::Filter;
use crate::handler::Handler;
use crate::listener::{Books, Control, Core, GivenUp, Handlers, Listener, Turn, Wait, panic_text};
use crate::os;
use crate::overflow::Policies;
use crate::stats::Report;
use crate::sync::{Arc, AtomicU32, Loan, Mutex, Ordering, nap};
use crate::transport::Transport;

/// How often a listener that panicked (a bug of ours) is started anew.
const RESTARTS_MAX: u32 = 1;
/// Between two looks whether another thread's turn is over.
const TURN_NAP: Duration = Duration::from_micros(200);

/// Everything the builder decides.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) filter: Filter,
    pub(crate) ring_capacity: usize,
    pub(crate) memory_cap: usize,
    pub(crate) ordered_stamps: bool,
    pub(crate) policies: Policies,
    pub(crate) wait: Wait,
    pub(crate) thread_name: String,
    pub(crate) affinity: Option<usize>,
    pub(crate) exit_timeout: Duration,
    pub(crate) faults: Faults,
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Engine {
    /// Distinguishes engines for ever: it is never used again.
    pub(crate) number: u64,
    pub(crate) core: Arc<Core>,
    pub(crate) verdicts: Arc<Verdicts>,
    pub(crate) policies: Policies,
    /// How long the drop of a guard and the end of the process may wait, together.
    exit_timeout: Mutex<Duration>,
    wait: Wait,
    listener: Loan<Listener>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// The kernel's number of the thread that takes turns now, or 0.
    turning: AtomicU32,
    /// The thread that polled last, or 0: nobody else would make room for it.
    polling: AtomicU32,
}

impl Engine {
    /// Starts an engine: its filter counts and its listener runs when this returns.
    ///
    /// The caller must be `busy` (see `logger`): the dictionary lock is taken.
    pub(crate) fn start(
        settings: Settings,
        handlers: Vec<Box<dyn Handler>>,
        global: bool,
    ) -> Result<Arc<Engine>, Error> {
        let Settings { filter, policies, wait, thread_name, affinity, exit_timeout, faults, .. } = settings;
        let (handlers, counters) = Handlers::new(handlers);
        if !clock::counter_is_steady() {
            faults.report(
                "this processor's counter does not run at one rate: times may be wrong by any amount",
            );
        }
        let core = Arc::new(Core {
            transport: Transport::new(settings.ring_capacity, settings.memory_cap, settings.ordered_stamps),
            control: Control::new(),
            books: Books::new(counters),
            faults,
        });
        let engine = Arc::new(Engine {
            number: DICTIONARY.next_number(),
            listener: Loan::new(Listener::new(core.clone(), handlers, &DICTIONARY, wait)),
            core,
            verdicts: Arc::new(Verdicts::new()),
            policies,
            exit_timeout: Mutex::new(exit_timeout),
            wait,
            thread: Mutex::new(None),
            turning: AtomicU32::new(0),
            polling: AtomicU32::new(0),
        });
        if wait != Wait::Manual {
            let run = engine.clone();
            let thread = std::thread::Builder::new()
                .name(thread_name)
                .spawn(move || run.listen(affinity))
                .map_err(Error::thread_spawn)?;
            *engine.thread.lock() = Some(thread);
        }
        DICTIONARY.join(engine.number, judge(filter), engine.verdicts.clone(), global);
        Ok(engine)
    }

    /// The listener's thread.
    fn listen(&self, affinity: Option<usize>) {
        self.turning.store(os::thread_id(), Ordering::Relaxed);
        if let Some(core) = affinity
            && let Err(error) = os::pin_to_core(core)
        {
            self.core.faults.report(format_args!("cannot bind the listener to core {core}: {error}"));
        }
        for restart in 0..=RESTARTS_MAX {
            let run = AssertUnwindSafe(|| self.listener.borrow().run());
            let Err(panic) = catch_unwind(run) else { break };
            let text = panic_text(&*panic);
            self.core.faults.report(format_args!("the listener panicked, start {}: {text}", restart + 1));
            if restart == RESTARTS_MAX {
                self.core.transport.shared.state.close();
                self.core.give_up();
                self.core.control.finish();
            }
        }
        self.turning.store(0, Ordering::Relaxed);
    }

    /// Whether the calling thread is the one that must not wait for the listener.
    pub(crate) fn is_listening_here(&self) -> bool {
        let here = os::thread_id();
        self.turning.load(Ordering::Relaxed) == here || self.polling.load(Ordering::Relaxed) == here
    }

    /// Takes one turn on the calling thread, without a listener thread.
    pub(crate) fn poll(&self) -> Result<usize, Error> {
        if self.wait != Wait::Manual {
            return Err(Error::config(
                "poll() is for engines built with Wait::Manual; this one has a listener thread",
            ));
        }
        match self.take_turn(Deadline::after(Duration::MAX))? {
            Turn::Busy(records) => Ok(records),
            Turn::Empty => Ok(0),
            Turn::Finished => Err(Error::not_running()),
        }
    }

    /// Takes a turn as soon as no other thread takes one.
    fn take_turn(&self, deadline: Deadline) -> Result<Turn, Error> {
        let here = os::thread_id();
        if self.turning.load(Ordering::Relaxed) == here {
            return Err(Error::on_listener_thread());
        }
        let mut listener = self.borrow_listener(deadline)?;
        if self.core.control.has_finished() {
            return Err(Error::not_running());
        }
        self.turning.store(here, Ordering::Relaxed);
        self.polling.store(here, Ordering::Relaxed);
        let turn = catch_unwind(AssertUnwindSafe(|| {
            let turn = listener.turn();
            if turn != Turn::Finished {
                // GivenUp: the next turn says so.
                let _: Result<(), GivenUp> = listener.flush_held();
            }
            turn
        }));
        self.turning.store(0, Ordering::Relaxed);
        turn.or_else(|panic| {
            self.core.faults.report(format_args!("the listener panicked: {}", panic_text(&*panic)));
            Ok(Turn::Empty)
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
        let deadline = Deadline::after(timeout);
        let control = &self.core.control;
        if self.wait == Wait::Manual {
            if control.has_finished() {
                return Ok(());
            }
            let ticket = self.core.ask_for_flush();
            self.take_turn(deadline)?;
            return control.wait_for(ticket, deadline).map_err(|_| Error::timeout());
        }
        if self.is_listening_here() {
            return Err(Error::on_listener_thread());
        }
        let ticket = self.core.ask_for_flush();
        control.wait_for(ticket, deadline).map_err(|_| Error::timeout())
    }

    /// Ends the engine: closes, drains, flushes and closes the handlers. At the deadline what is left is abandoned.
    pub(crate) fn stop(&self, timeout: Duration) -> Result<Report, Error> {
        let deadline = Deadline::after(timeout);
        self.core.close();
        if self.turning.load(Ordering::Relaxed) == os::thread_id() {
            return Err(Error::on_listener_thread());
        }
        if self.wait == Wait::Manual && !self.core.control.has_finished() {
            // Another thread may take the last turn first; then there is nothing left to do.
            let _ = self.take_turn(deadline);
        }
        if self.core.wait_for_end(deadline).is_ok()
            && let Some(thread) = self.thread.lock().take()
        {
            // It does nothing any more but return. A panic of it was reported where it happened.
            let _ = thread.join();
        }
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

    /// The books at this moment.
    pub(crate) fn report(&self) -> Report {
        // What is past the last tail is late, unless a deadline has settled everything before. The lock is free or
        // about to be: nothing of the user's runs in the listener after its end.
        if self.core.control.has_finished() && self.core.books.abandoned().is_none() {
            self.listener.borrow().count_late();
        }
        self.core.report()
    }

    /// Swaps the filter. Calls that begin after this returned obey it. The caller must be `busy`.
    pub(crate) fn set_filter(&self, filter: Filter) {
        DICTIONARY.reload(self.number, judge(filter));
    }

    pub(crate) fn is_open(&self) -> bool {
        !self.core.transport.shared.state.is_closed()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        DICTIONARY.leave(self.number);
    }
}

fn judge(filter: Filter) -> Arc<dyn Fn(&Metadata) -> bool + Send + Sync> {
    Arc::new(move |metadata| filter.allows(metadata))
}
