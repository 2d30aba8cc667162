//! The caller's side: a log call's way into a ring, and a [`Logger`] to name an engine by.
//!
//! `place` holds the thread-locals and what they may mean at any moment; `send` is the way of one record, hot and
//! cold; `context` is what the program says it is in. Calls without `logger:` go to the process-wide engine, which `global` knows and hands in.

pub mod context;
mod flush;
mod handlers;
mod outlet;
pub(crate) mod place;
pub(crate) mod send;

use std::fmt;
use std::time::Duration;

use crate::callsite::{Callsite, DICTIONARY, DISABLED, NEW, Schema};
use crate::engine::Engine;
use crate::error::Error;
use crate::filter::Filter;
use crate::level::Level;
use crate::limit::Limit;
use crate::listener::Lane;
use crate::record::encode::Arguments;
use crate::stats::Report;
use crate::sync::Arc;

pub use context::{Context, context_to};
pub use flush::Flush;
pub use handlers::HandlerControl;

use place::{Aside, Place, busy};
use send::Encoded;

/// Names an engine: for `logger:` in the macros, and to ask something of it.
///
/// Cheap to clone and to send to other threads. It does not keep the engine running: that is the
/// [`Guard`](crate::Guard)'s matter. After the engine was stopped, calls return at once and count as late.
///
/// ```
/// # fn main() -> Result<(), treering::Error> {
/// let capture = treering::handler::Capture::new();
/// let (logger, guard) = treering::builder().handler(capture.clone()).start()?;
/// let for_a_thread = logger.clone();
/// std::thread::spawn(move || treering::info!(logger: for_a_thread, "from a thread")).join().unwrap();
/// guard.stop(std::time::Duration::from_secs(5))?;
/// assert_eq!(capture.records().len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Logger {
    pub(crate) engine: Arc<Engine>,
}

impl Logger {
    /// Waits until everything that was logged before this call, by any thread, has left the handlers.
    ///
    /// # Errors
    /// [`is_timeout`](Error::is_timeout) if that takes longer; it may still happen.
    /// [`is_on_listener_thread`](Error::is_on_listener_thread) in a handler, which would wait for itself.
    /// [`is_forked`](Error::is_forked) in a child of `fork`.
    ///
    /// ```
    /// # fn main() -> Result<(), treering::Error> {
    /// # let (logger, _guard) = treering::builder().start()?;
    /// logger.flush(std::time::Duration::from_secs(1))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn flush(&self, timeout: Duration) -> Result<(), Error> {
        self.with_turns(|engine| engine.flush(timeout))
    }

    /// Waits until everything that was submitted before this call, by whatever thread, is settled, and the handlers hold
    /// nothing but what they [keep on purpose](crate::handler::Handler::kept): what [`stats`](Logger::stats) showed as submitted before is handed out or counted as lost, and has been
    /// brought out of every handler or counted as failed. A failed record does not hold it up.
    ///
    /// More than [`flush`](Logger::flush), which asks each handler once to let go of what it holds and returns: this one
    /// asks again, with pauses of up to 10 ms, while a pipe is full or a file waits to be synced. What other threads log
    /// meanwhile is not waited for, so it ends under constant load too.
    ///
    /// Cost: one flush or two, and one more for each pause.
    ///
    /// # Errors
    /// As [`flush`](Logger::flush). [`is_timeout`](Error::is_timeout) also while a handler holds on to records.
    ///
    /// ```
    /// # use std::time::Duration;
    /// let (logger, guard) = treering::builder().handler(treering::handler::Capture::new()).start()?;
    /// treering::info!(logger: logger, "one of many");
    /// logger.wait_idle(Duration::from_secs(5))?;
    /// let report = guard.stats();
    /// assert_eq!((report.pending, report.handlers["capture"].held), (0, 0));
    /// # Ok::<(), treering::Error>(())
    /// ```
    pub fn wait_idle(&self, timeout: Duration) -> Result<(), Error> {
        self.with_turns(|engine| engine.wait_idle(timeout))
    }

    /// The books at this moment. Other threads may log meanwhile: [`Report::pending`] is what is on its way.
    ///
    /// Cost: looks at each ring's counters, under the registry lock.
    ///
    /// ```
    /// # fn main() -> Result<(), treering::Error> {
    /// # let (logger, _guard) = treering::builder().start()?;
    /// treering::error!(logger: logger, "counted");
    /// let report = logger.stats();
    /// assert_eq!(report.submitted_by_level, [1, 0, 0, 0, 0]);
    /// assert_eq!(report.submitted, report.dispatched + report.pending);
    /// # Ok(())
    /// # }
    /// ```
    pub fn stats(&self) -> Report {
        self.report()
    }

    pub(crate) fn poll(&self) -> Result<usize, Error> {
        self.with_turns(Engine::poll)
    }

    /// Runs `work`, which takes a turn on this thread where the engine has no thread for it.
    fn with_turns<R>(&self, work: impl FnOnce(&Engine) -> R) -> R {
        let _aside = self.engine.is_manual().then(|| Aside::new(&self.engine));
        work(&self.engine)
    }

    pub(crate) fn report(&self) -> Report {
        place::beside(self.engine.report())
    }

    pub(crate) fn stop(&self, timeout: Duration) -> Result<Report, Error> {
        self.engine.stop(timeout).map(place::beside)
    }

    /// Swaps the filter. Calls that begin after this returned obey it, in any thread; a call that is past its gate
    /// already may still arrive. Ends what [`set_filter_for`](Self::set_filter_for) began.
    ///
    /// # Errors
    /// [`is_filter`](Error::is_filter) if a directive does not parse; then nothing changes.
    ///
    /// ```
    /// # fn main() -> Result<(), treering::Error> {
    /// let capture = treering::handler::Capture::new();
    /// let (logger, guard) = treering::builder().handler(capture.clone()).start()?; // "info"
    /// treering::debug!(logger: logger, "not heard");
    /// logger.set_filter("debug")?;
    /// treering::debug!(logger: logger, "heard");
    /// drop(guard);
    /// assert_eq!(capture.records()[0].message(), "heard");
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_filter(&self, directives: &str) -> Result<(), Error> {
        let filter = Filter::parse(directives)?;
        busy(|_| self.engine.set_filter(filter, None)).ok_or_else(Error::interrupts)?
    }

    /// Swaps the filter for a while: then the one that was set to last counts again. So nobody has to remember to turn
    /// down what was turned up to see what a server does.
    ///
    /// The listener turns back, within half a second after the time is over; with `Wait::Manual` the next poll does, and
    /// behind a handler that hangs nobody. A second filter for a while takes the place of the first, and its time.
    ///
    /// # Errors
    /// [`is_filter`](Error::is_filter) if a directive does not parse; then nothing changes.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # fn main() -> Result<(), treering::Error> {
    /// # let (logger, _guard) = treering::builder().start()?;
    /// logger.set_filter_for("debug,my_server::db=trace", Duration::from_mins(5))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_filter_for(&self, directives: &str, lifetime: Duration) -> Result<(), Error> {
        let filter = Filter::parse(directives)?;
        busy(|_| self.engine.set_filter(filter, Some(lifetime))).ok_or_else(Error::interrupts)?
    }

    /// Gives the calling thread its ring now, so that its first call does not pay for it.
    ///
    /// A thread that logs from signal handlers must do this, or log once, first.
    ///
    /// ```
    /// # fn main() -> Result<(), treering::Error> {
    /// let (logger, guard) = treering::builder().start()?;
    /// logger.register_thread();
    /// assert_eq!(guard.stats().rings, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn register_thread(&self) {
        place::register(Place::Instance, &self.engine);
    }
}

impl fmt::Debug for Logger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logger")
            .field("engine", &self.engine.number)
            .field("is_open", &self.engine.is_open())
            .finish()
    }
}

/// The listener's thread of an engine. It may have a ring of that engine already, if an allocator logs.
pub(crate) fn listen(engine: &Arc<Engine>, affinity: Option<usize>) {
    let _aside = Aside::new(engine);
    engine.listen(affinity);
}

/// The thread of a lane of an engine, likewise.
pub(crate) fn serve(engine: &Arc<Engine>, lane: &Lane) {
    let _aside = Aside::new(engine);
    engine.serve(lane);
}

/// A log call with `logger:`, behind its gate.
#[inline(never)]
pub fn emit_to<A: Arguments>(logger: &Logger, callsite: &'static Callsite, mut arguments: A, gate: u64) {
    if !fits::<A>(gate) {
        return emit_to_unresolved(logger, callsite, arguments);
    }
    let (engine, id, level) = (&logger.engine, id_of(gate), callsite.level());
    if engine.verdicts.allows(id) {
        send::encoded(&mut arguments, |arguments, scratch| {
            match send::to_instance(engine.number, id, level, &Encoded { arguments, scratch }) {
                Some(0) => {}
                Some(bits) => engine.core.transport.shared.state.attend(bits),
                None => send_slowly(engine, id, level, arguments, scratch),
            }
        });
    }
}

/// As `pass`, with `logger:`. A limit is the callsite's, whatever engines its calls name, but calls that the
/// engine's filter refuses do not count.
pub fn pass_to(limit: &'static Limit, logger: &Logger, gate: u64) -> Option<u64> {
    let engine = &logger.engine;
    let is_wanted = match gate {
        // The gate of another instance of a generic function does as well: verdicts are by callsite.
        NEW => busy(|_| DICTIONARY.wants(engine.number, limit.metadata())).unwrap_or(false),
        gate => engine.verdicts.allows(id_of(gate)),
    };
    if is_wanted { limit.pass(engine.number) } else { None }
}

/// The callsite's gate does not know these argument types, or not yet.
#[cold]
#[inline(never)]
fn emit_to_unresolved<A: Arguments>(logger: &Logger, callsite: &'static Callsite, arguments: A) {
    let gate = resolve(callsite, A::SCHEMA);
    if fits::<A>(gate) {
        emit_to(logger, callsite, arguments, gate);
    }
}

/// Makes the payload anew: see [`crate::global::emit`].
#[cold]
#[inline(never)]
fn send_slowly<A: Arguments>(engine: &Arc<Engine>, id: u32, level: Level, arguments: &A, scratch: &[u8]) {
    send::to_instance_slowly(engine, id, level, &Encoded { arguments, scratch });
}

/// The first run of a callsite: whether anybody listens. Leaves the verdict in the gate; returns `DISABLED`, or `NEW`
/// as the types of the arguments are not known yet.
#[cold]
#[inline(never)]
pub(crate) fn ask(callsite: &'static Callsite) -> u64 {
    match busy(|_| DICTIONARY.link(callsite)) {
        Some(true) => NEW,
        Some(false) => DISABLED,
        None => {
            place::count_nested();
            DISABLED
        }
    }
}

/// What `enabled!` says of its callsite, whose records would have no arguments.
#[inline(always)]
pub fn is_enabled(callsite: &'static Callsite) -> bool {
    gate_of_question(callsite) != DISABLED
}

/// The same with `logger:`.
#[inline(always)]
pub fn is_enabled_to(logger: &Logger, callsite: &'static Callsite) -> bool {
    let gate = gate_of_question(callsite);
    gate != DISABLED && logger.engine.verdicts.allows(id_of(gate))
}

#[inline(always)]
fn gate_of_question(callsite: &'static Callsite) -> u64 {
    /// Nothing is lost where this interrupts treering itself, so that is not counted.
    #[cold]
    #[inline(never)]
    fn resolve(callsite: &'static Callsite) -> u64 {
        busy(|_| DICTIONARY.resolve(callsite, &Schema::End)).unwrap_or(DISABLED)
    }

    let gate = callsite.gate();
    // Disabled first: rustc makes the branches in this order.
    if gate != DISABLED && gate == NEW { resolve(callsite) } else { gate }
}

/// Whether this gate was made for these argument types: then its high half is the record's id.
#[inline(always)]
pub(crate) fn fits<A: Arguments>(gate: u64) -> bool {
    gate as u32 == A::HASH
}

/// The record's id, by a gate that fits.
#[inline(always)]
pub(crate) fn id_of(gate: u64) -> u32 {
    (gate >> 32) as u32
}

/// The gate of this callsite with these argument types; one that fits none if nobody wants its records, or if the
/// call interrupts treering's own cold path, which is counted.
#[cold]
#[inline(never)]
pub(crate) fn resolve(callsite: &'static Callsite, schema: &'static Schema) -> u64 {
    busy(|_| DICTIONARY.resolve(callsite, schema)).unwrap_or_else(|| {
        place::count_nested();
        DISABLED
    })
}
