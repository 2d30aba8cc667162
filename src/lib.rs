//! treering: a logging engine for latency-sensitive servers.

#![cfg_attr(treering_loom, deny(clippy::disallowed_types))]

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
mod callsite;
pub mod handler;
pub mod level;
mod macros;
mod os;
pub mod record;
mod sync;

pub use level::{Level, LevelFilter, STATIC_MAX_LEVEL};
#[doc(hidden)]
pub use treering_macros::__log;
