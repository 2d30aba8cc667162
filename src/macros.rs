//! The macros that log: shells around the procedural macro, for which they know `$crate`.
//!
//! All share one grammar; it is told once, at [`log!`](crate::log).

/// Logs at a level that is a constant: `log!(Level::Info, …)`.
///
/// ```
/// use treering::{Level, info, log, warn};
///
/// struct Order { id: u64, total: f64 }
/// let order = Order { id: 7, total: 12.5 };
/// let (qty, price, venue) = (100_u32, 12.5_f64, "XNAS");
///
/// info!("order {} filled {qty} at {price:.2}", order.id); // a message, as `format!` has it
/// info!(order.id, qty, venue = "XNAS", "order filled"); // typed fields, then the message
/// warn!(target: "risk", ?price, %qty, "http.status" = 503, "limit near");
/// log!(Level::Info, order.total = order.total * 2.0); // an event without a message
/// info!(every: 100, order.id, "one of 100"); // the others are counted
/// # let _ = venue;
/// ```
///
/// # Keys
/// Before all else, in any order:
/// - `target: expression`: a constant `&'static str`; without it, the module's path;
/// - `logger: expression`: the [engine's handle](crate) that the record goes to; without it, the process's;
/// - one limit, with a constant: it is the callsite's own, for all threads and engines together.
///
/// | limit | lets through |
/// |---|---|
/// | `every: 100` | the first of each 100 calls |
/// | `once: true` | the first call |
/// | `at_most: (10, Duration::from_secs(1))` | 10 calls (up to 16,777,215) in a window of a second, which the first of them opens |
/// | `sample: 0.01` | each call by a chance of 1 in 100, whatever became of those before it |
///
/// A call that its limit keeps back evaluates none of its arguments and is not *submitted*. The next record that
/// passes says how many were, in a field `suppressed` behind the call's own (`once:` has none, nothing comes before
/// its record); when the engine stops, a record of target `treering::limit` says how many no record told of; and
/// [`Report::suppressed`](crate::Report::suppressed) has the sum. Calls that the filter refuses do not count. More is
/// told in [docs/limits.md].
///
/// [docs/limits.md]: https://github.com/treering/treering/blob/main/docs/limits.md
///
/// # Fields
/// - `name = value`, `dotted.name = value`, `"any name" = value`;
/// - `name` or `order.id` alone: the path is the name and the value;
/// - `%` before a value (or a path): as its `Display` prints it; `?`: as its `Debug` prints it. Without a sigil
///   the value keeps its type if treering knows how to store it, or it derives [`Encode`](macro@crate::Encode); errors keep the chain of their sources; other
///   types are text, by `Display`, or else by `Debug`.
///
/// # Message
/// A string literal and its arguments, with everything that [`std::fmt`] knows. What the macro `concat!` and the
/// like make of their arguments is formatted at the call, which is slower.
///
/// # Evaluation
/// Arguments are evaluated in the order they are written, each once, and only if the call is enabled; they are
/// borrowed, not moved. The macro's value is `()`.
///
/// The level must be a constant, as it stands in a static: choose between two calls for one that is not.
///
/// ```compile_fail
/// let level = treering::Level::Info;
/// treering::log!(level, "not a constant");
/// ```
#[macro_export]
macro_rules! log {
    ($level:expr, $($call:tt)*) => { $crate::__log!($crate [$level] $($call)*) };
    ($level:expr) => { $crate::__log!($crate [$level]) };
}

/// Makes the shell for a level.
macro_rules! shell {
    ($dollar:tt $name:ident, $level:ident, $($doc:literal)+) => {
        $(#[doc = $doc])+
        ///
        /// The grammar is that of [`log!`](crate::log), without the level.
        ///
        /// ```
        #[doc = concat!("treering::", stringify!($name), "!(order_id = 7, \"filled {} at {price:.2}\", 100, price = 12.5);")]
        /// ```
        #[macro_export]
        macro_rules! $name {
            ($dollar($dollar call:tt)*) => {
                $crate::__log!($crate [$crate::__private::Level::$level] $dollar($dollar call)*)
            };
        }
    };
}

shell!($ error, Error, "Logs that something failed and someone should know: [`Level::Error`](crate::Level::Error).");
shell!($ warn, Warn, "Logs that something is wrong but work goes on: [`Level::Warn`](crate::Level::Warn).");
shell!($ info, Info, "Logs what an operator wants to read on a normal day: [`Level::Info`](crate::Level::Info).");
shell!($ debug, Debug, "Logs what helps a developer to find a fault: [`Level::Debug`](crate::Level::Debug).");
shell!($ trace, Trace, "Logs everything: [`Level::Trace`](crate::Level::Trace).");

/// Whether a call of this level, here, would leave a record: for work that is only done to log its result.
///
/// ```
/// use treering::{Level, debug, enabled};
///
/// # let rows = [1, 2, 3];
/// if enabled!(Level::Debug) {
///     let checksum: u64 = rows.iter().sum(); // nobody pays for it otherwise
///     debug!(checksum, "sorted");
/// }
/// if enabled!(target: "audit", Level::Info) { /* … */ }
/// ```
///
/// Before the level, which is a constant, may stand `target:` and `logger:`, as in [`log!`](crate::log). It asks the engine's filter,
/// as it is now, and what is compiled in; not the handlers' own levels and filters. No limit counts it. In code that interrupts
/// treering itself, a signal handler, say, it is `false` until it was asked elsewhere.
///
/// Cost: of a no a load and a branch, as of a call that is off; of a yes a branch more, and with `logger:` the engine's own verdict. The
/// first time a lock.
#[macro_export]
macro_rules! enabled {
    (target: $target:expr, logger: $logger:expr, $level:expr $(,)?) => {
        $crate::__enabled!($level, $target, true, is_enabled_to(&$logger,))
    };
    (logger: $logger:expr, target: $target:expr, $level:expr $(,)?) => {
        $crate::__enabled!($level, $target, true, is_enabled_to(&$logger,))
    };
    (logger: $logger:expr, $level:expr $(,)?) => {
        $crate::__enabled!($level, $crate::__private::module_path!(), true, is_enabled_to(&$logger,))
    };
    (target: $target:expr, $level:expr $(,)?) => {
        $crate::__enabled!($level, $target, false, is_enabled())
    };
    ($level:expr $(,)?) => {
        $crate::__enabled!($level, $crate::__private::module_path!(), false, is_enabled())
    };
}

/// A callsite without arguments, and the question.
#[doc(hidden)]
#[macro_export]
macro_rules! __enabled {
    ($level:expr, $target:expr, $instance:literal, $ask:ident ($($logger:tt)*)) => {{
        static __TREERING_METADATA: $crate::__private::Metadata = $crate::__private::Metadata {
            level: $level,
            target: $target,
            module_path: $crate::__private::module_path!(),
            file: $crate::__private::file!(),
            line: $crate::__private::line!(),
            instance: $instance,
            pieces: &[],
            fields: &[],
        };
        static __TREERING_CALLSITE: $crate::__private::Callsite =
            $crate::__private::Callsite::new(&__TREERING_METADATA);
        $crate::__private::compiled_in($level)
            && $crate::__private::$ask($($logger)* &__TREERING_CALLSITE)
    }};
}

/// Makes a [`Context`](crate::Context): what records carry while a thread or a task is in it.
///
/// ```
/// use treering::{context, info};
///
/// let (id, user) = (7_u64, "ann");
/// let request = context!("request", id, %user, peer = "10.0.0.1");
/// let _in = request.enter();
/// info!(rows = 3, "served"); // request{id=7 user=ann peer=10.0.0.1}: served rows=3
/// ```
///
/// # Grammar
/// Keys (`target:`, `logger:`), a string literal that is its name, then fields as those of [`log!`](crate::log). With
/// `logger:` it is a context of that engine: calls that name the engine are in it, others are not.
///
/// # Evaluation
/// Fields are evaluated and copied when the context is made, whatever filters say: filters rule records, and a record
/// shows all that it is in. Of fields that are longer together than 1,280 bytes the rest is cut off.
///
/// A context that is made while the thread is in another one, of the same engine, is inside that one for ever, on
/// whichever thread it is entered.
///
/// Cost: two allocations, and a lock the first time. The engine is told of it before the first record that is
/// logged in it.
///
/// ```compile_fail
/// let id = 7;
/// treering::context!("request {id}"); // a name is no message: `context!("request", id)`
/// ```
#[macro_export]
macro_rules! context {
    ($($call:tt)*) => { $crate::__context!($crate [$crate::__private::Level::Info] $($call)*) };
}
