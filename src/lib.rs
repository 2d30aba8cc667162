//! treering: a logging engine for latency-sensitive servers.

#![cfg_attr(treering_loom, deny(clippy::disallowed_types))]

mod callsite;
mod error;
pub mod format;
pub mod handler;
pub mod level;
mod os;
mod output;
pub mod record;
mod sync;

pub use error::Error;
pub use level::{Level, LevelFilter};
