//! A log call to count instructions of, under callgrind: run `benches/instructions`, which knows how.
//!
//! ```text
//! count_instructions <what> <calls>
//! ```
//! makes so many calls in the function of that name. The engine has no thread (`Wait::Manual`) and its ring has room
//! for all of them, so every run executes the same instructions: what a call costs is the slope between two runs with
//! different numbers of calls, less the slope of `nothing`, the loop itself.

mod common;

use std::hint::black_box;
use std::process::ExitCode;

use common::floor::{self, Floor};
use treering::{Wait, debug, info};

const TEXT: &str = "a string of forty bytes, as they come...";

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [what, calls] = &*arguments else { return help() };
    let (Some(make_calls), Ok(calls)) = (function(what), calls.parse()) else { return help() };
    let guard = treering::builder()
        .filter("info")
        .wait(Wait::Manual)
        .ring_capacity(4 << 20)
        .handler(common::sink::Sink::default())
        .init();
    let guard = guard.expect("no engine runs yet");
    let floor = Floor::start();
    make_calls(calls);
    drop(floor);
    assert_eq!(guard.stats().dropped, 0, "the ring is too small for so many calls");
    ExitCode::SUCCESS
}

/// `cargo bench` runs it without knowing what to count.
#[expect(clippy::print_stdout, reason = "says what to run instead")]
fn help() -> ExitCode {
    println!("count_instructions: run benches/instructions");
    ExitCode::SUCCESS
}

fn function(what: &str) -> Option<fn(u64)> {
    Some(match what {
        "nothing" => nothing,
        "disabled" => disabled,
        "plain" => plain,
        "one_number" => one_number,
        "three_numbers" => three_numbers,
        "string" => string,
        "fields" => fields,
        "floor" => floor_of_three_numbers,
        _ => return None,
    })
}

#[inline(never)]
fn nothing(calls: u64) {
    for i in 0..calls {
        black_box(i);
    }
}

#[inline(never)]
fn disabled(calls: u64) {
    for i in 0..calls {
        let i = black_box(i);
        debug!("{} {} {}", i, i, i as f64);
    }
}

#[inline(never)]
fn plain(calls: u64) {
    for i in 0..calls {
        black_box(i);
        info!("nothing to say");
    }
}

#[inline(never)]
fn one_number(calls: u64) {
    for i in 0..calls {
        let i = black_box(i);
        info!("{}", i);
    }
}

#[inline(never)]
fn three_numbers(calls: u64) {
    for i in 0..calls {
        let i = black_box(i);
        info!("{} {} {}", i, i, f64::from_bits(i));
    }
}

#[inline(never)]
fn string(calls: u64) {
    for i in 0..calls {
        black_box(i);
        info!("{}", TEXT);
    }
}

#[inline(never)]
fn fields(calls: u64) {
    for i in 0..calls {
        let i = black_box(i);
        info!(id = i, method = "GET", path = TEXT, status = 200_u16, "request");
    }
}

#[inline(never)]
fn floor_of_three_numbers(calls: u64) {
    for i in 0..calls {
        let i = black_box(i);
        black_box(floor::log(i, i, f64::from_bits(i)));
    }
}
