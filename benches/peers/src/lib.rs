//! treering beside other loggers.
//!
//! A runner starts one child a case and logger ([`runner`]); the child does its [`job`](job::Job) with its
//! [`peer`](peer::Peer) and prints what it saw ([`case`]); [`results`] go into a JSON file, from which [`report`] draws
//! and writes `docs/benchmarks.md`. Loggers in other languages are programs that take the same arguments
//! ([`external`]). What is run is in [`plan`].

pub mod allocations;
pub mod case;
#[path = "../../common/mod.rs"]
mod common;
pub mod external;
pub mod job;
pub mod peer;
pub mod plan;
mod quiet;
pub mod report;
pub mod results;
pub mod runner;
