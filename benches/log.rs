//! A record of `log` beside the same native call, in turns in one process: the median of the ratios of rounds.
//!
//! `cargo bench --bench log --features log`

#![allow(clippy::print_stdout, reason = "a benchmark says what it found")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use treering::handler::{Batch, Handler, HandlerError};

/// Few enough to fit into a ring.
const CALLS: u32 = 500;
const ROUNDS: usize = 201;

/// What it is, and the call with its number.
type Call = (&'static str, fn(u32));

struct Nowhere;

impl Handler for Nowhere {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        black_box(batch.iter().count());
        Ok(())
    }
}

/// Nanoseconds a call; the ring is empty before.
fn nanos(call: impl Fn(u32)) -> f64 {
    treering::flush(Duration::from_secs(5)).unwrap();
    let begun = Instant::now();
    (0..CALLS).for_each(&call);
    begun.elapsed().as_nanos() as f64 / f64::from(CALLS)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let guard = treering::builder().filter("info,off=off").handler(Nowhere).init().unwrap();
    let calls: [Call; 6] = [
        ("native, two numbers", |n| treering::info!("order {} filled {}", n, black_box(7_u64))),
        ("native, two numbers, text made at the call", |n| {
            treering::info!("{}", format_args!("order {} filled {}", n, black_box(7_u64)));
        }),
        ("log, two numbers", |n| log::info!("order {} filled {}", n, black_box(7_u64))),
        ("native, two fields", |n| treering::info!(n, venue = black_box("XNAS"), "filled")),
        ("log, two key-values", |n| log::info!(n, venue = black_box("XNAS"); "filled")),
        (
            "log, a target that is off",
            |n| log::info!(target: "off", "order {} filled {}", n, black_box(7_u64)),
        ),
    ];
    let mut rounds = vec![Vec::new(); calls.len()];
    for _ in 0..ROUNDS {
        for (times, (_, call)) in rounds.iter_mut().zip(calls) {
            times.push(nanos(call));
        }
    }
    for (times, (what, _)) in rounds.iter().zip(calls) {
        let ratios = times.iter().zip(&rounds[0]).map(|(time, native)| time / native).collect();
        println!("{what:45} {:6.1} ns  {:5.2} x the first", median(times.clone()), median(ratios));
    }
    assert!(guard.stop(Duration::from_secs(5)).unwrap().is_lossless());
}
