//! The process-wide engine: the one that calls without `logger:` go to. Nothing below knows of it.

pub mod front;
#[cfg(feature = "log")]
mod log;

use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::time::Duration;

use crate::builder::Builder;
use crate::callsite::{Callsite, DICTIONARY, Entry, EntryOf, LAST_RESORT};
use crate::clock::WallClock;
use crate::engine::{self, Engine};
use crate::error::Error;
use crate::format::{Format, Text};
use crate::guard::Guard;
use crate::handler::Console;
use crate::level::Level;
use crate::logger::context::{self, Context, Whose};
use crate::logger::place::{self, Place, Within, busy};
use crate::logger::send::{self, Encoded, Scoped};
use crate::logger::{Flush, HandlerControl, Logger, fits, id_of, resolve};
use crate::os;
use crate::process;
use crate::record::encode::Arguments;
use crate::record::{Record, Thread};
use crate::ring::Payload;
use crate::stats::Report;
use crate::sync::{Arc, AtomicBool, Ordering};

/// A log call without `logger:`, behind its gate.
///
/// One instance for each list of argument types; its hot path is the way to `send::to_global` and back.
#[inline(never)]
pub fn emit<A: Arguments>(callsite: &'static Callsite, mut arguments: A, gate: u64) {
    // The cold calls stand in tail position and are given little, so that they need no frame and few registers.
    if !fits::<A>(gate) {
        return emit_unresolved(callsite, arguments);
    }
    let (id, level) = (id_of(gate), callsite.level());
    send::encoded(&mut arguments, |arguments, scratch| {
        match send::to_global(id, level, &Encoded { arguments, scratch }) {
            Some(0) => {}
            Some(bits) => send::attend_global(bits),
            None => send_slowly(id, level, arguments, scratch),
        }
    });
}

/// The callsite's gate does not know these argument types, or not yet.
#[cold]
#[inline(never)]
fn emit_unresolved<A: Arguments>(callsite: &'static Callsite, arguments: A) {
    let gate = resolve(callsite, A::SCHEMA);
    if fits::<A>(gate) {
        emit(callsite, arguments, gate);
    }
}

/// Makes the payload anew: one that the hot path shared with `dyn` would be made on the stack by every call. In a context
/// this is the usual way, so it has one more look at a ring without `dyn`.
#[cold]
#[inline(never)]
fn send_slowly<A: Arguments>(id: u32, level: Level, arguments: &A, scratch: &[u8]) {
    let push = |within| send::to_global_in_context(within, id, level, &Encoded { arguments, scratch });
    match place::context().and_then(push) {
        Some(0) => {}
        Some(bits) => send::attend_global(bits),
        None => send_more_slowly(id, level, arguments, scratch),
    }
}

#[cold]
#[inline(never)]
fn send_more_slowly<A: Arguments>(id: u32, level: Level, arguments: &A, scratch: &[u8]) {
    send_payload_slowly(id, level, &Encoded { arguments, scratch });
}

/// Returns whether the record is placed.
#[cold]
fn send_payload_slowly(id: u32, level: Level, payload: &dyn Payload) -> bool {
    match place::context() {
        Some(within) if payload.span_words() == 0 => send_in_context(within, id, level, payload),
        _ => send_by_itself(id, level, payload),
    }
}

/// A call in a context that has no span of its own. Mostly the ring has room and its engine knows the context: then this takes
/// no lock, allocates nothing and calls no system.
fn send_in_context(within: Within, id: u32, level: Level, payload: &dyn Payload) -> bool {
    match send::to_global_in_context(within, id, level, payload) {
        Some(0) => true,
        Some(bits) => {
            send::attend_global(bits);
            true
        }
        None => send_in_context_slowly(id, level, payload, &Scoped::new(payload, within.number)),
    }
}

#[cold]
fn send_in_context_slowly(
    id: u32,
    level: Level,
    payload: &dyn Payload,
    scoped: &Scoped<'_, dyn Payload + '_>,
) -> bool {
    // The first record in a context, or a pad: that needs no lock either.
    let asked = context::tell_by_ring();
    if asked.is_some()
        && let Some(is_placed) = send::to_global_slowly(id, level, scoped)
    {
        return is_placed;
    }
    match process::global() {
        Some(Some(engine)) => {
            if asked != Some(engine.number) {
                context::tell(&engine);
            }
            return send::slowly(&engine, Place::Global, id, level, scoped);
        }
        Some(None) => last_resort(id, level, payload),
        None => place::count_nested(),
    }
    false
}

/// Returns whether the record is placed.
fn send_by_itself(id: u32, level: Level, payload: &dyn Payload) -> bool {
    // Mostly the ring has come to its end and wants a pad: that needs no engine, and so no lock.
    if let Some(is_placed) = send::to_global_slowly(id, level, payload) {
        return is_placed;
    }
    match process::global() {
        Some(Some(engine)) => return send::slowly(&engine, Place::Global, id, level, payload),
        Some(None) => last_resort(id, level, payload),
        None => place::count_nested(),
    }
    false
}

/// There is no engine: what is important goes to stderr, at once, on the caller's thread.
fn last_resort(id: u32, level: Level, payload: &dyn Payload) {
    if payload.is_urgent() || level > LAST_RESORT {
        return; // it opens or closes a span, for a listener; or no gate was asked, as a front end has judged it
    }
    // Busy to the end: an allocator that logs would come here again, for ever.
    let printed = busy(|_| DICTIONARY.entry(id).map(|entry| print(entry, payload)));
    if printed.is_none() {
        place::count_nested();
    }
}

fn print(entry: &'static Entry<'static>, payload: &dyn Payload) {
    let mut words = vec![0; payload.words()];
    let written = payload.write_cut(&mut words);
    let spans = payload.span_words();
    let clock = WallClock::new();
    let stamp = crate::clock::Ticker::default().stamp();
    let record = Record {
        entry: EntryOf::Process(entry),
        arguments: &words[spans..written],
        time: clock.time_of(stamp),
        stamp,
        thread: &Thread::new(os::thread_id(), std::thread::current().name()),
        truncated: false,
        scope: None,
    };
    let mut line = Vec::new();
    Text::new().format(&record, &mut line);
    os::write_stderr(&line);
}

/// A context of calls without `logger:`.
pub fn context<A: Arguments>(callsite: &'static Callsite, arguments: A) -> Context {
    /// The engine of the process when a context closes.
    fn engine() -> Option<Arc<Engine>> {
        process::global().unwrap_or_else(|| {
            place::count_nested();
            None
        })
    }
    Context::new(Whose::Process(engine), callsite, arguments)
}

impl Builder {
    /// Starts the process-wide engine, which calls without `logger:` go to. Dropping its guard flushes it; the end
    /// of the process stops it.
    ///
    /// Without a handler, and without a [`queue`](Builder::queue), it gets [`Console::stderr`], as by [`treering::init`](init).
    ///
    /// The first call also installs a panic hook, which logs each panic before the present hook runs, but for those of
    /// handlers, which their engine's [`error_hook`](Builder::error_hook) is told of.
    ///
    /// With the feature `log` it takes the records of the crate `log`, unless another logger has them already; then the
    /// [`error_hook`](Builder::error_hook) is told.
    ///
    /// # Errors
    /// [`is_already_running`](Error::is_already_running) if there is one that was not stopped;
    /// [`is_filter`](Error::is_filter) and [`is_config`](Error::is_config) for settings that cannot be;
    /// [`is_io`](Error::is_io) if the system refuses a thread.
    ///
    /// ```
    /// # fn main() -> Result<(), treering::Error> {
    /// let guard = treering::builder().handler(treering::handler::Console::stderr()).init()?;
    /// treering::info!("to the process-wide engine");
    /// assert!(treering::init().unwrap_err().is_already_running());
    /// # Ok(())
    /// # }
    /// ```
    pub fn init(mut self) -> Result<Guard, Error> {
        if self.leads_nowhere() {
            self = self.handler(Console::stderr());
        }
        let (engine, start) = self.build(true)?;
        process::start(&engine, start, true)?;
        record_panics();
        #[cfg(feature = "log")]
        if !log::install() {
            engine.core.faults.report("another logger has the records of `log`: they do not come here");
        }
        Ok(Guard { logger: Logger { engine }, is_global: true })
    }
}

/// Chains a hook before the present one, the first time: a panic becomes a record. Only where a panic ends the process is
/// it also waited for.
fn record_panics() {
    static PANICS_ARE_RECORDED: AtomicBool = AtomicBool::new(false);
    // A thread that panics may not change the hook; the next `init` will.
    if std::thread::panicking() || PANICS_ARE_RECORDED.swap(true, Ordering::Relaxed) {
        return;
    }
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // A panic in here would end the process.
        let _ = catch_unwind(AssertUnwindSafe(|| record(panic)));
        before(panic);
    }));
}

fn record(panic: &PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or("with a value that is no text");
    let at = panic.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    // A handler that panics is told of by its engine's fault hook. A record of it could go to that handler, too.
    if !engine::is_in_turn() && process::global().flatten().is_some() {
        error!(target: "treering::panic", at, thread, "panicked: {message}");
    }
    if cfg!(panic = "abort") {
        process::flush_all();
    }
}

/// Starts the process-wide engine with what a program usually wants: `RUST_LOG` (or `info`), text to stderr.
///
/// Directives of `RUST_LOG` that do not parse are told of on stderr, and by a record of `treering::filter`; the others count.
///
/// # Errors
/// [`is_already_running`](Error::is_already_running) if there is one, and [`is_io`](Error::is_io) if the system
/// refuses a thread.
///
/// ```
/// fn main() -> Result<(), treering::Error> {
///     let _guard = treering::init()?;
///     let (order_id, qty, price) = (7_u64, 100_u32, 12.5_f64);
///     treering::info!("order {order_id} filled {qty} at {price:.2}");
///     Ok(())
/// }
/// ```
pub fn init() -> Result<Guard, Error> {
    crate::builder().init()
}

/// Waits until everything that was logged before this call, by any thread, has left the process-wide engine's
/// handlers.
///
/// # Errors
/// [`is_not_running`](Error::is_not_running) before `init()`, and those of
/// [`Logger::flush`](crate::Logger::flush).
///
/// ```
/// # fn main() -> Result<(), treering::Error> {
/// assert!(treering::flush(std::time::Duration::ZERO).unwrap_err().is_not_running());
/// let _guard = treering::init()?;
/// treering::warn!("on its way");
/// treering::flush(std::time::Duration::from_secs(1))?;
/// # Ok(())
/// # }
/// ```
pub fn flush(timeout: Duration) -> Result<(), Error> {
    Logger { engine: running()? }.flush(timeout)
}

/// Asks for a flush of the process-wide engine that is awaited: the future ends when everything that was logged before
/// this call, by any thread, has left the handlers. See [`Flush`], also for its errors.
///
/// ```
/// async fn checkout(order_id: u64) -> Result<(), treering::Error> {
///     treering::info!(order_id, "paid");
///     treering::flush_async().await
/// }
/// ```
pub fn flush_async() -> Flush {
    running().map_or_else(Flush::failed, |engine| Logger { engine }.flush_async())
}

/// Waits until everything that was submitted to the process-wide engine is settled, and its handlers hold nothing. See
/// [`Logger::wait_idle`](crate::Logger::wait_idle).
///
/// # Errors
/// [`is_not_running`](Error::is_not_running) before `init()`, and those of
/// [`Logger::wait_idle`](crate::Logger::wait_idle).
///
/// ```
/// # fn main() -> Result<(), treering::Error> {
/// let _guard = treering::init()?;
/// treering::warn!("one of many");
/// treering::wait_idle(std::time::Duration::from_secs(5))?;
/// # Ok(())
/// # }
/// ```
pub fn wait_idle(timeout: Duration) -> Result<(), Error> {
    Logger { engine: running()? }.wait_idle(timeout)
}

/// Stops the process-wide engine, for those whose [`Guard`] lives elsewhere. See [`Guard::stop`].
///
/// # Errors
/// [`is_not_running`](Error::is_not_running) before `init()`, and those of [`Guard::stop`].
///
/// ```
/// # fn main() -> Result<(), treering::Error> {
/// let _guard = treering::init()?;
/// treering::warn!("the last one");
/// let report = treering::shutdown(std::time::Duration::from_secs(5))?;
/// report.assert_balanced();
/// # Ok(())
/// # }
/// ```
pub fn shutdown(timeout: Duration) -> Result<Report, Error> {
    Logger { engine: running()? }.stop(timeout)
}

/// The process-wide engine's books at this moment. See [`Logger::stats`](crate::Logger::stats).
///
/// # Errors
/// [`is_not_running`](Error::is_not_running) before `init()`.
///
/// ```
/// # fn main() -> Result<(), treering::Error> {
/// let _guard = treering::init()?;
/// treering::info!("counted");
/// assert_eq!(treering::stats()?.submitted, 1);
/// # Ok(())
/// # }
/// ```
pub fn stats() -> Result<Report, Error> {
    Ok(Logger { engine: running()? }.stats())
}

/// Swaps the process-wide engine's filter. See [`Logger::set_filter`](crate::Logger::set_filter).
///
/// # Errors
/// [`is_not_running`](Error::is_not_running) before `init()`, and those of
/// [`Logger::set_filter`](crate::Logger::set_filter).
///
/// ```
/// # fn main() -> Result<(), treering::Error> {
/// let _guard = treering::init()?;
/// treering::set_filter("info,my_server::db=debug")?;
/// # Ok(())
/// # }
/// ```
pub fn set_filter(directives: &str) -> Result<(), Error> {
    Logger { engine: running()? }.set_filter(directives)
}

/// Swaps the process-wide engine's filter for a while. See [`Logger::set_filter_for`](crate::Logger::set_filter_for).
///
/// # Errors
/// [`is_not_running`](Error::is_not_running) before `init()`, and those of
/// [`Logger::set_filter_for`](crate::Logger::set_filter_for).
///
/// ```
/// # fn main() -> Result<(), treering::Error> {
/// let _guard = treering::init()?;
/// treering::set_filter_for("debug", std::time::Duration::from_mins(5))?; // then it is "info" again
/// # Ok(())
/// # }
/// ```
pub fn set_filter_for(directives: &str, lifetime: Duration) -> Result<(), Error> {
    Logger { engine: running()? }.set_filter_for(directives, lifetime)
}

/// The process-wide engine's handlers, to be changed while it runs. See [`HandlerControl`].
///
/// # Errors
/// [`is_not_running`](Error::is_not_running) before `init()`.
///
/// ```
/// # fn main() -> Result<(), treering::Error> {
/// use std::time::Duration;
/// use treering::{Level, handler::{Capture, Handler}};
///
/// let _guard = treering::builder().handler(treering::handler::Console::stderr().level(Level::Warn)).init()?;
/// let tap = Capture::new();
/// treering::handlers()?.add(tap.clone().named("tap"), Duration::from_secs(5))?;
/// treering::info!("for the tap");
/// treering::handlers()?.remove("tap", Duration::from_secs(5))?;
/// assert_eq!(tap.records()[0].message(), "for the tap");
/// # Ok(())
/// # }
/// ```
pub fn handlers() -> Result<HandlerControl, Error> {
    Ok(Logger { engine: running()? }.handlers())
}

/// Gives the calling thread its ring of the process-wide engine now, so that its first call does not pay for it: some
/// tens of microseconds.
///
/// # Errors
/// [`is_not_running`](Error::is_not_running) before `init()`.
///
/// ```
/// # fn main() -> Result<(), treering::Error> {
/// let _guard = treering::init()?;
/// std::thread::spawn(|| {
///     treering::register_thread().unwrap();
///     treering::info!("as quick as any other call");
/// });
/// # Ok(())
/// # }
/// ```
pub fn register_thread() -> Result<(), Error> {
    let engine = running()?;
    engine.check_origin()?;
    place::register(Place::Global, &engine);
    Ok(())
}

fn running() -> Result<Arc<Engine>, Error> {
    process::global().ok_or_else(Error::interrupts)?.ok_or_else(Error::not_running)
}
