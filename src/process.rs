//! What the engines of a process have in common: a list, an end, and a `fork`.
//!
//! At the end of the process, by a return from main or by `exit`, every engine that runs is stopped: those of
//! [`start`](crate::Builder::start) first, all at once, then the process-wide one, which handlers of the others may log
//! to. Behind them come the listeners over queues, the one that was started last first: what the engines have put into
//! queues of this process is handed out, and what one listener puts into the queue of another one that was there before. At a `fork` the locks that are the process's own, this list's and the dictionary's, are held by the thread that
//! forks, so that the child finds them free and what they guard whole. Locks of an engine it may find held for ever, so
//! it touches none: see [`origin`](crate::origin).

#[cfg(feature = "signals")]
use std::io;
use std::panic::catch_unwind;
use std::sync::Weak;
use std::time::Duration;

use crate::callsite::DICTIONARY;
use crate::callsite::dictionary;
use crate::engine::{Engine, Start};
use crate::error::Error;
use crate::logger::place::{self, busy};
#[cfg(feature = "signals")]
use crate::origin::Origin;
use crate::ring::Slot;
use crate::stats::Report;
use crate::sync::{Arc, Mutex, MutexGuard, holds_a_lock};
#[cfg(feature = "signals")]
use crate::sync::{AtomicBool, Ordering};
use crate::{clock, origin, os};

static ENGINES: Mutex<Engines> = Mutex::new(Engines {
    global: None,
    all: Vec::new(),
    listeners: Vec::new(),
    is_watched: false,
    #[cfg(feature = "signals")]
    waits_for_signals: None,
});

/// Whether the signals that `signals` waits for do what they do by default.
#[cfg(feature = "signals")]
pub(crate) static ENDS_BY_DEFAULT: AtomicBool = AtomicBool::new(true);

thread_local! {
    /// What the thread holds while it forks.
    static HELD: Slot<Held> = const { Slot::new() };
}

struct Engines {
    /// The one that calls without `logger:` go to, running or stopped.
    global: Option<Arc<Engine>>,
    /// In the order of their starts, with some that are gone.
    all: Vec<Weak<Engine>>,
    /// Likewise.
    listeners: Vec<Weak<dyn Ends>>,
    /// The process's end and its forks are told to this module.
    is_watched: bool,
    /// The process, this or its parent, that has a thread which waits for signals.
    #[cfg(feature = "signals")]
    waits_for_signals: Option<Origin>,
}

/// What is stopped at the end of the process behind the engines: a listener over a queue.
pub(crate) trait Ends: Send + Sync {
    /// Whether nobody need stop it: it has come to its end, or is the parent's of this process.
    fn is_over(&self) -> bool;

    /// What was put into its queue before this leaves, if its `exit_timeout`, of which so much is gone, allows.
    fn flush(&self, waited: Duration);

    /// Likewise, and nothing after it.
    fn stop(&self, waited: Duration) -> LeftBehind;
}

/// What a stop's deadline left behind.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct LeftBehind {
    pub(crate) records: u64,
    /// Queues that had not come to their ends: nobody knows how much is in them.
    pub(crate) queues: u64,
}

/// Has it stopped at the end of the process.
pub(crate) fn end_with_process(listener: &Arc<impl Ends + 'static>) -> Result<(), Error> {
    let added = busy(|_| {
        let mut engines = ENGINES.lock();
        engines.watch()?;
        engines.listeners.retain(|listener| listener.strong_count() > 0);
        let listener: Weak<dyn Ends> = Arc::downgrade(listener) as _;
        engines.listeners.push(listener);
        Ok(())
    });
    added.ok_or_else(Error::interrupts)?
}

/// Starts an engine, as the process's own if it is `global`.
pub(crate) fn start(engine: &Arc<Engine>, start: Start, global: bool) -> Result<(), Error> {
    let before = busy(|_| {
        let mut engines = ENGINES.lock();
        if global && engines.global.as_ref().is_some_and(|engine| engine.is_open()) {
            return Err(Error::already_running());
        }
        engines.watch()?;
        engine.start(start, global)?;
        engines.all.retain(|engine| engine.strong_count() > 0);
        engines.all.push(Arc::downgrade(engine));
        Ok(if global { engines.global.replace(engine.clone()) } else { None })
    });
    // The last handle of a stopped engine frees it, and what the user gave it: not while we are busy.
    drop(before.ok_or_else(Error::interrupts)??);
    Ok(())
}

/// Has signals waited for, once in this process, and its forks told to this module before.
#[cfg(feature = "signals")]
pub(crate) fn wait_for_signals(wait: impl FnOnce() -> io::Result<()>) -> Result<(), Error> {
    let begin = || {
        let mut engines = ENGINES.lock();
        engines.watch()?;
        if !engines.waits_for_signals.is_some_and(Origin::is_here) {
            wait().map_err(Error::process_hook)?;
            engines.waits_for_signals = Some(Origin::here());
        }
        Ok(())
    };
    busy(|_| begin()).ok_or_else(Error::interrupts)?
}

/// The process-wide engine, if there is one; `None` if this call interrupts treering itself.
pub(crate) fn global() -> Option<Option<Arc<Engine>>> {
    busy(|_| ENGINES.lock().global.clone())
}

impl Engines {
    fn watch(&mut self) -> Result<(), Error> {
        if !self.is_watched {
            os::at_exit(at_exit).map_err(Error::process_hook)?;
            os::at_fork(before_fork, in_parent, in_child).map_err(Error::process_hook)?;
            self.is_watched = true;
        }
        Ok(())
    }
}

// ---- the end

/// Runs when the process returns from main or calls `exit`.
extern "C" fn at_exit() {
    // Nothing may unwind into the C library.
    let _ = catch_unwind(stop_all);
}

/// Stops every engine, each within its `exit_timeout`, and tells stderr what was abandoned: then what was dropped
/// before may have been told of by records that are lost as well.
pub(crate) fn stop_all() {
    let Running { engines, global, listeners } = running();
    engines.iter().for_each(|engine| engine.core.close());
    let begun = clock::now();
    let mut reports: Vec<_> = engines.iter().rev().map(|engine| stop(engine, clock::now() - begun)).collect();
    reports.extend(global.map(|global| stop(&global, Duration::ZERO)));
    let begun = clock::now();
    let left: Vec<_> = listeners.iter().rev().map(|listener| listener.stop(clock::now() - begun)).collect();
    reports.retain(|report| report.left_behind() > 0);
    let lost_by_engines: u64 = reports.iter().map(Report::left_behind).sum();
    let lost = lost_by_engines + left.iter().map(|left| left.records).sum::<u64>();
    if lost > 0 {
        let before = match reports.iter().map(|report| report.dropped).sum() {
            0_u64 => String::new(),
            dropped => format!(", and {dropped} had found no room before"),
        };
        os::write_stderr(format!("treering: {lost} records were abandoned at exit{before}\n").as_bytes());
    }
    let queues: u64 = left.iter().map(|left| left.queues).sum();
    if queues > 0 {
        let line = format!("treering: queues that were not emptied at exit: {queues}\n");
        os::write_stderr(line.as_bytes());
    }
}

/// Stops an engine that was waiting for its turn so long already.
fn stop(engine: &Engine, waited: Duration) -> Report {
    match engine.within_exit_timeout(|timeout| engine.stop(timeout.saturating_sub(waited))) {
        Ok(report) => report,
        // A handler called exit: nobody else will drain.
        Err(_) => {
            engine.core.give_up();
            engine.report()
        }
    }
}

/// The panic ends the process: what was logged until now leaves first, if each engine's `exit_timeout` allows.
pub(crate) fn flush_all() {
    let Running { engines, global, listeners } = running();
    let begun = clock::now();
    for engine in engines.iter().rev().chain(&global) {
        let waited = clock::now() - begun;
        // On the engine's own listener thread this is an error, and nobody is left who could flush.
        let _ = engine.within_exit_timeout(|timeout| engine.flush(timeout.saturating_sub(waited)));
    }
    let begun = clock::now();
    listeners.iter().rev().for_each(|listener| listener.flush(clock::now() - begun));
}

/// What there is to stop in this process, in the order of their starts: what runs, and what another thread is stopping.
#[derive(Default)]
struct Running {
    engines: Vec<Arc<Engine>>,
    /// Not among them.
    global: Option<Arc<Engine>>,
    listeners: Vec<Arc<dyn Ends>>,
}

fn running() -> Running {
    let list = |engines: &Engines| Running {
        engines: engines.all.iter().filter_map(Weak::upgrade).collect(),
        global: engines.global.clone(),
        listeners: engines.listeners.iter().filter_map(Weak::upgrade).collect(),
    };
    // Nothing, if a signal handler that interrupts treering itself ends the process.
    let mut running = busy(|_| list(&ENGINES.lock())).unwrap_or_default();
    // Not under the lock: the last handle of what has stopped frees it, and what the user gave it.
    let Running { engines, global, listeners } = &mut running;
    *global = global.take().filter(|global| !global.is_over());
    engines.retain(|engine| {
        !engine.is_over() && !global.as_ref().is_some_and(|global| Arc::ptr_eq(global, engine))
    });
    listeners.retain(|listener| !listener.is_over());
    running
}

// ---- a fork

/// The process's own locks.
struct Held {
    engines: MutexGuard<'static, Engines>,
    _dictionary: dictionary::Held<'static>,
}

/// Waits until no other thread holds the process's own locks, and holds them.
extern "C" fn before_fork() {
    // A signal handler that forks where it interrupts us would wait for itself. Its child has what it has.
    if !holds_a_lock() {
        let engines = ENGINES.lock();
        let held = Held { engines, _dictionary: DICTIONARY.hold() };
        HELD.with(|slot| slot.install(Box::new(held)));
    }
}

extern "C" fn in_parent() {
    drop(HELD.with(Slot::remove));
}

extern "C" fn in_child() {
    origin::begin();
    place::begin();
    #[cfg(feature = "signals")]
    ENDS_BY_DEFAULT.store(true, Ordering::SeqCst);
    if let Some(held) = HELD.with(Slot::remove) {
        held.engines.all.iter().filter_map(Weak::upgrade).for_each(switch_off);
        // Leaked likewise: no call of another thread leads to them.
        held.engines.listeners.iter().filter_map(Weak::upgrade).for_each(std::mem::forget);
    }
}

/// Whoever has a ring of it still, as a call that a signal handler interrupted to fork, finds it closed. It is leaked:
/// what its handlers and hooks hold is the parent's to write, and their destructors run there.
fn switch_off(engine: Arc<Engine>) {
    engine.core.transport.shared.state.close();
    std::mem::forget(engine);
}
