//! treering: a logging engine for latency-sensitive servers.

#![cfg_attr(treering_loom, deny(clippy::disallowed_types))]

mod callsite;
pub mod handler;
pub mod level;
mod os;
pub mod record;
mod sync;

pub use level::{Level, LevelFilter};
