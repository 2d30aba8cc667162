//! The claim of the budget: a log call in a server that has better things to do, beside the floor.
//!
//! ```text
//! cargo bench --bench burst
//! ```
//! Bursts of 20 calls, 2 ms apart, of treering and of the floor (`common/floor.rs`) in turns, on one thread of one
//! process: whatever the machine does to one it does to the other. Every other pair of bursts is timed as a whole and
//! divided by 20, which gives p50; in the others each call is timed, which gives the tail and holds the timer's own
//! cost. A round is 100 such pairs, and the interval of the ratio comes from resampling whole rounds.
//!
//! With `-- context` the two are calls in a context of two fields, and calls outside. With `-- ordered` the floor's stamp waits
//! for the loads before it, as treering's does: what is left of the difference is not the order of stamps.
//!
//! Nothing is pinned. To keep the listener off the caller's core, give the process two quiet ones.

#![expect(clippy::print_stdout, reason = "prints a table")]

mod common;

use std::hint::{black_box, spin_loop};
use std::time::{Duration, Instant};

use common::clock::{self, Rate};
use common::floor::{self, Floor};
use common::sink::Sink;
use common::{BURST, is_only_a_test};
use treering::{context, info};

/// Between two bursts, so that caches and predictors have seen something else.
const PAUSE: Duration = Duration::from_millis(2);
const ROUNDS: usize = 40;
const PAIRS: usize = 100;
const RESAMPLINGS: usize = 10_000;
/// The promise: the upper end of the interval stays below it.
const RATIO_MAX: f64 = 1.15;

fn main() {
    let (rounds, pairs) = if is_only_a_test() { (2, 4) } else { (ROUNDS, PAIRS) };
    let guard =
        treering::builder().filter("info").handler(Sink::default()).init().expect("no engine runs yet");
    let is_asked_for = |what: &str| std::env::args().any(|argument| argument == what);
    let (round, names): (fn(usize) -> [Samples; 2], _) = match () {
        () if is_asked_for("context") => (round_in_context, ["context", "outside"]),
        () if is_asked_for("ordered") => (round_ordered, ["treering", "ordered"]),
        () => (round, ["treering", "floor"]),
    };
    let floor = Floor::start();
    let rate = Rate::begin();
    round(pairs / 4); // rings, pages and predictors
    let rounds: Vec<[Samples; 2]> = (0..rounds).map(|_| round(pairs)).collect();
    let nanos_per_tick = rate.nanos_per_tick();
    drop(floor);
    let books = guard.stop(Duration::from_secs(5)).expect("this is not the listener's thread");
    books.assert_balanced();
    assert!(books.is_lossless(), "the caller was not alone measured: {books}");
    print(&rounds, names, nanos_per_tick);
}

/// What one side of a round took, in ticks.
#[derive(Default, Debug)]
struct Samples {
    /// Whole bursts.
    bursts: Vec<u64>,
    /// Single calls.
    calls: Vec<u64>,
    /// The first call of each burst, also among the calls.
    firsts: Vec<u64>,
}

impl Samples {
    #[inline(always)]
    fn burst(&mut self, call: impl Fn(u64)) {
        pause();
        let began = clock::begin();
        (0..BURST).for_each(|i| call(black_box(i)));
        self.bursts.push(clock::end() - began);
    }

    #[inline(always)]
    fn each_call(&mut self, call: impl Fn(u64)) {
        pause();
        let mut ticks = [0; BURST as usize];
        for (i, ticks) in (0..).zip(&mut ticks) {
            let began = clock::begin();
            call(black_box(i));
            *ticks = clock::end() - began;
        }
        self.firsts.push(ticks[0]);
        self.calls.extend(ticks);
    }
}

/// treering's samples and the floor's.
fn round(pairs: usize) -> [Samples; 2] {
    by_turns(pairs, log_at_the_floor)
}

fn round_ordered(pairs: usize) -> [Samples; 2] {
    by_turns(pairs, |i| {
        clock::fence();
        log_at_the_floor(i);
    })
}

#[inline(always)]
fn by_turns(pairs: usize, at_the_floor: impl Fn(u64)) -> [Samples; 2] {
    let [mut treering, mut floor] = [Samples::default(), Samples::default()];
    for _ in 0..pairs / 2 {
        treering.burst(log);
        floor.burst(&at_the_floor);
        treering.each_call(log);
        floor.each_call(&at_the_floor);
    }
    [treering, floor]
}

/// Samples in a context, and outside.
fn round_in_context(pairs: usize) -> [Samples; 2] {
    let request = context!("request", id = 7, user = "ann");
    let [mut context, mut outside] = [Samples::default(), Samples::default()];
    for _ in 0..pairs / 2 {
        request.in_scope(|| context.burst(log));
        outside.burst(log);
        request.in_scope(|| context.each_call(log));
        outside.each_call(log);
    }
    [context, outside]
}

#[inline(always)]
fn log(i: u64) {
    info!("{} {} {}", i, i >> 1, i as f64);
}

#[inline(always)]
fn log_at_the_floor(i: u64) {
    black_box(floor::log(i, i >> 1, i as f64));
}

/// Busy, as a server is.
fn pause() {
    let end = Instant::now() + PAUSE;
    while Instant::now() < end {
        spin_loop();
    }
}

fn print(rounds: &[[Samples; 2]], names: [&str; 2], nanos_per_tick: f64) {
    let all = |side: usize, what: fn(&Samples) -> &Vec<u64>| {
        let mut samples: Vec<u64> = rounds.iter().flat_map(|round| what(&round[side])).copied().collect();
        samples.sort_unstable();
        samples
    };
    println!(
        "ns; bursts of {BURST} calls, {PAUSE:?} apart, {} rounds; single calls with their timer",
        rounds.len()
    );
    println!("{:<10}{:>12}{:>12}{:>10}{:>10}{:>10}", "", "in a burst", "first call", "a call", "", "");
    println!("{:<10}{:>12}{:>12}{:>10}{:>10}{:>10}", "", "p50", "p50", "p50", "p99", "p99.9");
    for (side, name) in names.into_iter().enumerate() {
        let (bursts, calls, firsts) =
            (all(side, |s| &s.bursts), all(side, |s| &s.calls), all(side, |s| &s.firsts));
        let nanos = |samples: &[u64], q: f64| quantile(samples, q) * nanos_per_tick;
        println!(
            "{name:<10}{:>12.1}{:>12.0}{:>10.0}{:>10.0}{:>10.0}",
            nanos(&bursts, 0.5) / BURST as f64,
            nanos(&firsts, 0.5),
            nanos(&calls, 0.5),
            nanos(&calls, 0.99),
            nanos(&calls, 0.999),
        );
    }
    let mut nothing: Vec<u64> =
        (0..1000).map(|_| (clock::begin(), clock::end())).map(|(a, b)| b - a).collect();
    nothing.sort_unstable();
    println!("{:<10}{:>12}{:>12}{:>10.0}", "timer", "", "", quantile(&nothing, 0.5) * nanos_per_tick);

    let [low, ratio, high] = ratio_of_p50(rounds);
    println!("ratio of p50 in bursts {ratio:.3}, 95 % interval {low:.3} to {high:.3}");
    if names[1] == "floor" {
        println!("{} {RATIO_MAX}", if high <= RATIO_MAX { "within" } else { "beyond" });
    }
}

/// The ratio of the medians of whole bursts, between the ends of its 95 % interval. Rounds are resampled, not bursts:
/// those of one round are not independent.
fn ratio_of_p50(rounds: &[[Samples; 2]]) -> [f64; 3] {
    let ratio = |chosen: &[usize]| {
        let [treering, floor] = [0, 1].map(|side| {
            let mut bursts: Vec<u64> =
                chosen.iter().flat_map(|round| &rounds[*round][side].bursts).copied().collect();
            let middle = bursts.len() / 2;
            *bursts.select_nth_unstable(middle).1 as f64
        });
        treering / floor
    };
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut ratios: Vec<f64> = (0..RESAMPLINGS)
        .map(|_| ratio(&rounds.iter().map(|_| random.below(rounds.len())).collect::<Vec<_>>()))
        .collect();
    ratios.sort_unstable_by(f64::total_cmp);
    let at = |q: f64| ratios[(q * (ratios.len() - 1) as f64) as usize];
    [at(0.025), ratio(&(0..rounds.len()).collect::<Vec<_>>()), at(0.975)]
}

/// Of sorted samples.
fn quantile(sorted: &[u64], q: f64) -> f64 {
    sorted[(q * (sorted.len() - 1) as f64).round() as usize] as f64
}

/// xorshift64*, the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end
    }
}
