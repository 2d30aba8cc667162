//! A lock-free, high-throughput logging engine for servers in which a log call must not be felt.
//!
//! Each thread writes its records into a ring of its own; one listener drains all rings, in order, and hands batches
//! to handlers. A call copies its arguments and returns: what formats, writes, waits and fails is the listener.
//!
//! ```
//! use treering::{info, warn};
//!
//! fn main() -> Result<(), treering::Error> {
//!     let _guard = treering::init()?; // RUST_LOG, text to stderr. All there is to do.
//!     let (order_id, qty, price) = (7_u64, 100_u32, 12.5_f64);
//!     info!("order {order_id} filled {qty} at {price:.2}");
//!     info!(order_id, qty, venue = "XNAS", "order filled"); // typed fields, then the message
//!     warn!(target: "risk", ?price, %qty, "limit near");
//!     Ok(())
//! }
//! ```
//!
//! # Where to look
//!
//! - **To log**: [`error!`], [`warn!`], [`info!`], [`debug!`], [`trace!`]; their grammar is told at [`log!`]. [`enabled!`] asks
//!   whether it would be in vain.
//! - **To say what records belong to**, a request or a job: [`context!`] makes a [`Context`].
//! - **To set up**: [`init()`] with the defaults, or [`builder()`] with [handlers](handler), [formats](mod@format), a
//!   filter, an [`Overflow`] policy and a way to [`Wait`].
//! - **To end**: keep the [`Guard`]; its drop flushes, and the end of the process stops the engine. [`flush()`] and
//!   [`shutdown()`] are for those whose guard lives elsewhere.
//! - **To know**: a [`Report`] says what became of every record. Its books balance. Its [`progress`](stats::Progress) is
//!   for health checks.
//! - **To change records** before the handlers get them, or to drop or redact: [`Builder::prepare`], and
//!   [what a step may do](mod@prepare).
//! - **To send records on**: [`handler::QueueHandler`] into any [`queue`], and a [`Listener`] to take them out again.
//!   [`Builder::queue`] puts such a queue between the call and the listener, in place of rings.
//! - **To format later**: [`format::Binary`] in a file, and [`binary::Reader`].
//! - **To write a handler or a format**: [`handler::Handler`], [`format::Format`], and the [`Record`] they get.
//!
//! # An engine of its own
//!
//! Libraries with a log of their own, and tests, start further engines. Calls name them by `logger:`.
//!
//! ```
//! use std::time::Duration;
//! use treering::{error, handler::Capture};
//!
//! # fn main() -> Result<(), treering::Error> {
//! let capture = Capture::new();
//! let (logger, guard) = treering::builder().handler(capture.clone()).start()?;
//! error!(logger: logger, code = 17, "sensor failed");
//! let report = guard.stop(Duration::from_secs(5))?;
//! assert!(report.is_lossless());
//! assert_eq!(capture.records()[0].message(), "sensor failed");
//! # Ok(())
//! # }
//! ```
//!
//! # What a call costs
//!
//! A call that nobody listens to is one load and one branch. An enabled one, with arguments whose types can be kept
//! (numbers, `bool`, `char`, strings, durations, addresses; options, tuples, slices and references of such; what derives [`Encode`](macro@Encode)), on a
//! thread that has logged before, stamps the time and copies: no lock, no allocation, no formatting, no system call
//! but for one wake when the listener had parked. Arguments of other types are formatted at the call. If the ring is
//! full the record is dropped and counted, and the stream says so, unless an [`Overflow`] policy lets the caller wait.
//!
//! What is delivered when, what each kind of exit loses, and the exceptions to the sentence above are listed in
//! [docs/guarantees.md].
//!
//! # Features
//!
//! There are no default features. `max_level_off`, `max_level_error`, `max_level_warn`, `max_level_info`,
//! `max_level_debug` and `max_level_trace` compile calls above the named level out of the program;
//! `release_max_level_*` do so where debug assertions are off. [`level::STATIC_MAX_LEVEL`] is the result. Only a binary
//! should set them: the most restrictive one wins.
//!
//! `time-zones` adds `format::Time::local` and `format::Time::zone`, times in lines by the clocks of a zone, and
//! `handler::Rotation::local` and `handler::Rotation::zone`, by which files roll.
//!
//! `gzip` and `zstd` add `handler::Compression`: files that rolled are compressed.
//!
//! `config` adds `init_from` and `config::Config`: settings, handlers and formats as a TOML file says.
//!
//! `log` lets `init()` take the records of the crate `log`: what libraries log goes through the same rings and filters.
//!
//! Events and spans of `tracing` come by the crate `treering-tracing`.
//!
//! `signals` adds `stop_on_signals()`: SIGTERM and SIGINT end the process when its records are out.
//!
//! `conformance` adds `queue::conformance`: whether a queue of yours keeps the contract of queues.
//!
//! # Limits
//!
//! Linux, 64 bits; verified on x86-64. A child after `fork` has no
//! engine until it starts one.
//!
//! [docs/guarantees.md]: https://github.com/treering/treering/blob/main/docs/guarantees.md

#![cfg_attr(treering_loom, deny(clippy::disallowed_types, clippy::disallowed_methods))]
// Loom cannot make atomics in constants, so whatever is a static or hangs from one is compiled out with it: the models
// drive the rest through `internals`.
#![cfg_attr(
    treering_loom,
    allow(
        dead_code,
        unused_imports,
        unused_macros,
        unreachable_pub,
        reason = "their callers are compiled out"
    )
)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

#[cfg(doctest)]
#[doc = include_str!("../docs/prepare.md")]
mod prepare_page {}

#[cfg(doctest)]
#[doc = include_str!("../docs/queue-backends.md")]
mod queue_page {}

#[cfg(doctest)]
#[doc = include_str!("../docs/migrating.md")]
mod migrating_page {}

#[cfg(not(target_pointer_width = "64"))]
compile_error!("treering stores words of 64 bits and is built and tested on 64-bit targets only");

#[macro_use]
mod macros; // textual: the panic hook uses them

// Ranks: a module uses lower ones only, see docs/architecture.md.

#[cfg(not(treering_loom))]
#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
pub mod binary;
#[cfg(not(treering_loom))]
mod builder;
mod callsite;
mod clock;
#[cfg(all(feature = "config", not(treering_loom)))]
pub mod config;
#[cfg(not(treering_loom))]
mod engine;
mod error;
mod fault;
pub mod filter;
pub mod format;
#[cfg(not(treering_loom))]
mod global;
mod grow;
#[cfg(not(treering_loom))]
mod guard;
pub mod handler;
#[cfg(not(treering_loom))]
mod intake;
#[cfg(treering_loom)]
#[doc(hidden)]
pub mod internals;
pub mod level;
#[cfg(not(treering_loom))]
mod limit;
mod listener;
#[cfg(not(treering_loom))]
mod logger;
mod origin;
mod os;
#[cfg(not(treering_loom))]
mod outlet;
mod output;
pub mod overflow;
mod own;
pub mod prepare;
#[cfg(not(treering_loom))]
mod process;
#[cfg(not(treering_loom))]
pub mod queue;
pub mod record;
mod ring;
#[cfg(all(feature = "signals", not(treering_loom)))]
mod signals;
pub mod stats;
mod sync;
mod transport;
#[cfg(not(treering_loom))]
mod untold;
mod wake;

#[cfg(not(treering_loom))]
pub use builder::{Builder, builder};
#[cfg(all(feature = "config", not(treering_loom)))]
pub use config::init_from;
pub use error::Error;
#[cfg(not(treering_loom))]
#[doc(hidden)]
pub use global::front;
#[cfg(not(treering_loom))]
pub use global::{
    flush, flush_async, handlers, init, register_thread, set_filter, set_filter_for, shutdown, stats,
    wait_idle,
};
#[cfg(not(treering_loom))]
pub use guard::Guard;
#[cfg(not(treering_loom))]
pub use intake::{IntakeReport, Listener, Listening};
#[doc(inline)]
pub use level::{Level, LevelFilter};
pub use listener::Wait;
#[cfg(not(treering_loom))]
pub use logger::{Context, Flush, HandlerControl, Logger, context};
#[doc(inline)]
pub use overflow::Overflow;
#[doc(inline)]
pub use prepare::{Change, Prepared};
#[doc(inline)]
pub use record::{Encode, Record, Secret};
#[cfg(all(feature = "signals", not(treering_loom)))]
pub use signals::stop_on_signals;
#[doc(inline)]
pub use stats::Report;
pub use treering_macros::Encode;
#[doc(hidden)]
pub use treering_macros::{__context, __log};
