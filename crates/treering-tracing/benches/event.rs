//! An event with three fields in two spans, by treering and by `fmt` with `tracing-appender`, in turns in one process: the
//! median of the ratios of rounds.
//!
//! `cargo bench -p treering-tracing`

#![allow(clippy::print_stdout, reason = "a benchmark says what it found")]

use std::fs::File;
use std::hint::black_box;
use std::time::{Duration, Instant};

use tracing::{Dispatch, debug, dispatcher, info, info_span};
use tracing_subscriber::prelude::*;
use treering::handler;

/// Few enough to fit into a ring.
const CALLS: u32 = 200;
const ROUNDS: usize = 201;

/// What it is, where it goes, and what is done, with its number.
type Case<'a> = (&'static str, &'a Dispatch, fn(u32));

fn event(n: u32) {
    info!(order_id = n, qty = black_box(100_u32), venue = black_box("XNAS"), "filled");
}

fn disabled(n: u32) {
    debug!(order_id = n, qty = black_box(100_u32), venue = black_box("XNAS"), "filled");
}

fn span(n: u32) {
    info_span!("step", order_id = n).in_scope(|| ());
}

/// Nanoseconds of one; nothing is on its way before.
fn nanos(to: &Dispatch, work: fn(u32)) -> f64 {
    treering::flush(Duration::from_secs(5)).unwrap();
    std::thread::sleep(Duration::from_millis(1));
    dispatcher::with_default(to, || {
        let _request = info_span!("request", id = 7, path = "/orders").entered();
        let _query = info_span!("query", table = "orders").entered();
        let begun = Instant::now();
        (0..CALLS).for_each(work);
        begun.elapsed().as_nanos() as f64 / f64::from(CALLS)
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let file = handler::File::append("/dev/null").unwrap();
    let guard = treering::builder().filter("info").handler(file).init().unwrap();
    let ours = Dispatch::new(tracing_subscriber::registry().with(treering_tracing::layer()));
    let null = || File::options().write(true).open("/dev/null").unwrap();
    let (appender, _appender_guard) = tracing_appender::non_blocking(null());
    let theirs = Dispatch::new(tracing_subscriber::fmt().with_ansi(false).with_writer(appender).finish());
    let (writer, _writer_guard) = treering_tracing::non_blocking(
        handler::File::append("/dev/null").unwrap().format(treering_tracing::Lines::new()),
    )
    .unwrap();
    let lines = Dispatch::new(tracing_subscriber::fmt().with_ansi(false).with_writer(writer).finish());
    let nobody = Dispatch::new(tracing_subscriber::registry());

    let cases: [Case<'_>; 8] = [
        ("fmt + tracing-appender, event", &theirs, event),
        ("treering-tracing, event", &ours, event),
        ("fmt + treering's writer, event", &lines, event),
        ("a registry without layers, event", &nobody, event),
        ("fmt + tracing-appender, span", &theirs, span),
        ("treering-tracing, span", &ours, span),
        ("a registry without layers, span", &nobody, span),
        ("treering-tracing, event that is off", &ours, disabled),
    ];
    let mut rounds = vec![Vec::new(); cases.len()];
    for _ in 0..ROUNDS {
        for (times, (_, to, work)) in rounds.iter_mut().zip(cases) {
            times.push(nanos(to, work));
        }
    }
    for (times, (what, ..)) in rounds.iter().zip(cases) {
        let ratios = times.iter().zip(&rounds[0]).map(|(time, first)| time / first).collect();
        println!("{what:38} {:8.1} ns  {:6.3} x the first", median(times.clone()), median(ratios));
    }
    assert!(guard.stop(Duration::from_secs(5)).unwrap().is_lossless());
}
