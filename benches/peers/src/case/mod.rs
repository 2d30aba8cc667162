//! What a child does with its logger, and what it prints: lines of a name and numbers.
//!
//! ```text
//! burst, first, call   samples, in nanoseconds a call
//! seconds              from the first call until the last byte was in the file
//! lost                 what the logger says it lost; or lost_behind, and the words before the number in its file
//! allocations          of all threads, between the first call and the last
//! peak_kib             of memory
//! ```

mod disabled;
mod flat_out;
mod latency;

use std::fmt::Display;
use std::io::Write;
use std::path::Path;

use crate::job::{Job, Kind, Shape};
use crate::peer::{Peer, Said};

/// Calls of each thread that are not timed: rings, pages, predictors, and what a logger does at its first call.
pub const WARM_UP: u64 = 40;

/// Does the job, and prints what came of it.
pub fn run<P: Peer>(job: &Job, file: &Path) {
    match job.kind {
        Kind::Latency => latency::run::<P>(job, file),
        Kind::FlatOut => flat_out::run::<P>(job, file),
        Kind::Disabled => disabled::run::<P>(job, file),
    }
    print("peak_kib", peak_kib());
}

/// Runs `with` with the call of this shape; what it is called with makes the calls differ.
fn with_calls<P: Peer>(peer: &P, job: &Job, text: &str, with: impl Calls) {
    match job.shape {
        Shape::Numbers => with.run(|i| peer.numbers(i, i >> 1, i as f64 * 0.25)),
        Shape::Text => with.run(|_| peer.text(text)),
        Shape::Fields => with.run(|i| peer.fields(i, text)),
        Shape::Stamp => with.run(|i| peer.numbers(now(), i >> 1, i as f64 * 0.25)),
    }
}

/// A closure that is generic over the call, so that the call is inlined into it.
trait Calls {
    fn run(self, call: impl Fn(u64));
}

/// The message of a call.
fn text(job: &Job) -> String {
    "a string of so many bytes as were asked for, ".chars().cycle().take(job.bytes).collect()
}

/// The monotonic clock, which all processes share.
#[inline(always)]
pub fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec of our own.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn say(said: Said) {
    match said {
        Said::Lost(records) => print("lost", records),
        Said::InTheFile(words) => print("lost_behind", words),
        Said::Nothing => {}
    }
}

fn print(name: &str, value: impl Display) {
    writeln!(std::io::stdout(), "{name} {value}").expect("the runner reads");
}

fn print_all(name: &str, samples: impl Iterator<Item = f64>) {
    let mut line = name.to_owned();
    samples.for_each(|sample| line.push_str(&format!(" {sample:.1}")));
    println!("{line}");
}

fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|peak| peak.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
