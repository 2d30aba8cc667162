//! Signals that ask for the end: caught, logged, and obeyed when the records are out. Under the feature `signals`.
//!
//! A thread of its own waits for them, behind signal-hook's pipe; in the handler nothing happens but a look at one
//! flag, [`ENDS_BY_DEFAULT`]. While it is set, the signal does what it does by default, so nobody is left without an end:
//!
//! ```text
//!                         set    not yet asked for, or the thread cannot be had
//! stop_on_signals()       clear  the thread waits
//! a signal comes          clear  logged; what comes within ECHO is the same order
//! the engines stop        set    the next signal ends the process at once
//! fork                    set    in the child, which has no thread that waits
//! ```

use std::io;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag::register_conditional_default;
use signal_hook::iterator::Signals;
use signal_hook::low_level::{emulate_default_handler, signal_name};

use crate::engine;
use crate::error::Error;
use crate::fault::guarded;
use crate::process::{self, ENDS_BY_DEFAULT};
use crate::sync::{Ordering, nap};

/// What asks for the end: service managers by the first, terminals by the second.
const SIGNALS: [i32; 2] = [SIGTERM, SIGINT];

/// So long after the first signal the next one is an echo of it: `timeout(1)` signals its child and then the whole
/// group, which the child is in, and wrappers pass on what a terminal has sent to all. The listener works meanwhile.
const ECHO: Duration = Duration::from_millis(100);

/// Lets SIGTERM and SIGINT end the process only when its records are out.
///
/// When one of them comes, a record of level WARN and target `treering::signal` says so in the process-wide engine's
/// log; then every engine of the process is stopped, within its [`exit_timeout`](crate::Builder::exit_timeout), and
/// what that leaves behind is one line on stderr, as at any end. Then the same signal ends the process, so that its
/// parent sees what it expects. Functions of `atexit` and destructors do not run.
///
/// A signal that comes more than 100 ms after the first one ends the process at once: whoever sends two has no
/// patience. For this the end takes 100 ms at least, and as much longer than the `exit_timeout` where that passes.
///
/// May be called at any time, before or after the engines start, and again. A child of `fork` is ended by these
/// signals at once, until it calls this itself.
///
/// Not for programs that handle these signals themselves, as by tokio's `ctrl_c`: both would act on them. They call
/// [`shutdown`](crate::shutdown), or return from `main`.
///
/// # Errors
/// [`is_io`](Error::is_io) if the system refuses a thread or a pipe; then the signals do what they do by default.
///
/// ```
/// fn main() -> Result<(), treering::Error> {
///     let _guard = treering::init()?;
///     treering::stop_on_signals()?;
///     treering::info!("until somebody ends this process");
///     Ok(())
/// }
/// ```
pub fn stop_on_signals() -> Result<(), Error> {
    process::wait_for_signals(begin)
}

fn begin() -> io::Result<()> {
    for signal in SIGNALS {
        register_conditional_default(signal, &ENDS_BY_DEFAULT)?;
    }
    let signals = Signals::new(SIGNALS)?;
    engine::spawn("treering-signals".to_owned(), || end_by_signal(signals))?;
    ENDS_BY_DEFAULT.store(false, Ordering::SeqCst);
    Ok(())
}

/// The thread that waits.
fn end_by_signal(mut signals: Signals) {
    // The end must not wait for room where the policy blocks.
    engine::never_wait_here();
    let Ok(Some(signal)) = guarded(|| signals.forever().next()) else {
        // Somebody closed every descriptor, and so our pipe.
        return ENDS_BY_DEFAULT.store(true, Ordering::SeqCst);
    };
    let name = signal_name(signal).unwrap_or("a signal");
    warn!(target: "treering::signal", "{name}: the process ends");
    nap(ECHO);
    ENDS_BY_DEFAULT.store(true, Ordering::SeqCst);
    process::stop_all();
    // Does not return, but for signals without a default.
    let _ = emulate_default_handler(signal);
}
