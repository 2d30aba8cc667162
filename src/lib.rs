//! treering: a logging engine for latency-sensitive servers.

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

#[cfg(not(target_pointer_width = "64"))]
compile_error!("treering stores words of 64 bits and is built and tested on 64-bit targets only");

#[macro_use]
mod macros; // textual: the panic hook uses them

// Ranks: a module uses lower ones only, see docs/architecture.md.

#[cfg(not(treering_loom))]
#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
#[cfg(not(treering_loom))]
mod builder; // 10
mod callsite; // 2
mod clock;
#[cfg(not(treering_loom))]
mod engine; // 8
mod error; // 0
mod fault;
mod filter;
pub mod format; // 5
#[cfg(not(treering_loom))]
mod global; // 11
pub mod handler; // 6
#[cfg(treering_loom)]
#[doc(hidden)]
pub mod internals;
mod level;
mod listener; // 7
#[cfg(not(treering_loom))]
mod logger; // 9
mod os;
mod output;
mod overflow;
pub mod record; // 3
mod ring; // 4
mod stats;
mod sync; // 1
mod transport;
mod wake;

#[cfg(not(treering_loom))]
pub use builder::{Builder, Guard, builder};
pub use error::Error;
#[cfg(not(treering_loom))]
pub use global::{flush, init, shutdown};
pub use level::{Level, LevelFilter, STATIC_MAX_LEVEL, UnknownLevel};
pub use listener::Wait;
#[cfg(not(treering_loom))]
pub use logger::Logger;
pub use overflow::Overflow;
pub use record::Record;
pub use stats::{HandlerReport, Handlers, Report};
#[doc(hidden)]
pub use treering_macros::__log;
