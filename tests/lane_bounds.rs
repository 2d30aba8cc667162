//! What handlers on lanes may cost the one that has none, and the callers: in a process of their own, two engines take turns.
//!
//! Both write a file; the second has on lanes, beside it, a handler that stands still, one that panics, and a file on a full
//! disk. The file keeps 95 % of its rate, and the 99th percentile of a call is at most 1.2 times as high. A machine with other
//! work makes of a single round what it likes. So the rates that are compared are those of good rounds, in which the threads
//! had the processors: each engine's ninth of ten. Of percentiles of calls it is the median of all rounds. While one does not
//! hold there are more rounds, for a minute. `cargo bench --bench lanes` tells the figures, and tests/hot_path.rs counts
//! the listener's instructions.

#![allow(clippy::print_stderr, reason = "tests tell their figures")]

mod support;

use std::hint::black_box;
use std::time::{Duration, Instant};

use support::{Gate, LONG, each};
use treering::handler::{File, Handler};
use treering::{Builder, Guard, Logger, Overflow, info};

const RATE_MIN: f64 = 0.95;
const P99_MAX: f64 = 1.2;

/// So many rounds are added for so long: a machine may favour one of the two engines' threads for seconds.
const PATIENCE: Duration = Duration::from_secs(60);
const ROUNDS: usize = 25;
/// Records of a round at full rate, and the longest that a round waits for them.
const RECORDS: u64 = 20_000;
const ROUND_MAX: Duration = Duration::from_millis(500);
/// Calls of a round whose time is taken: in bursts, with pauses in which the listener comes by.
const BURSTS: usize = 40;
const CALLS: usize = 20;
const PAUSE: Duration = Duration::from_millis(1);

/// An engine, and how many records were logged to it.
struct Engine {
    logger: Logger,
    guard: Guard,
    logged: u64,
}

impl Engine {
    fn start(builder: Builder, file: File) -> Self {
        let (logger, guard) = builder.handler(file.named("file")).start().unwrap();
        Engine { logger, guard, logged: 0 }
    }

    fn delivered(&self) -> u64 {
        self.guard.stats().handlers["file"].delivered
    }

    /// Waits until the file has all, or for too long.
    fn wait(&self) {
        let since = Instant::now();
        while self.delivered() < self.logged && since.elapsed() < ROUND_MAX {
            std::thread::sleep(Duration::from_micros(100));
        }
    }

    /// Records a second that came into the file.
    fn rate(&mut self) -> f64 {
        let (before, since) = (self.delivered(), Instant::now());
        for i in 0..RECORDS {
            info!(logger: self.logger, "filled {i} of {} at {}", RECORDS, black_box(i as f64 * 0.25));
            self.logged += 1;
            if since.elapsed() > ROUND_MAX {
                break;
            }
        }
        self.wait();
        (self.delivered() - before) as f64 / since.elapsed().as_secs_f64()
    }

    /// The 99th percentile of what calls took, in nanoseconds.
    fn p99(&mut self) -> f64 {
        let mut took = Vec::with_capacity(BURSTS * CALLS);
        for _ in 0..BURSTS {
            for i in 0..CALLS {
                let since = Instant::now();
                info!(logger: self.logger, "filled {i} of {} at {}", RECORDS, black_box(0.25));
                took.push(since.elapsed().as_nanos() as f64);
            }
            self.logged += CALLS as u64;
            std::thread::sleep(PAUSE);
        }
        self.wait();
        took.sort_by(f64::total_cmp);
        took[took.len() * 99 / 100]
    }
}

/// What was measured of both engines, by turns, a round each.
type Rounds = Vec<[f64; 2]>;

fn measure(engines: &mut [Engine; 2], one: fn(&mut Engine) -> f64, rounds: &mut Rounds) {
    for round in 0..ROUNDS {
        let mut measured = [0.0; 2];
        for at in [round % 2, 1 - round % 2] {
            measured[at] = one(&mut engines[at]);
        }
        rounds.push(measured);
    }
}

/// The ninth of ten of these.
fn good(of: impl Iterator<Item = f64>) -> f64 {
    let mut all: Vec<_> = of.collect();
    all.sort_by(f64::total_cmp);
    all[(all.len() - 1) * 9 / 10]
}

fn ratio_of_good_rounds(rounds: &Rounds) -> f64 {
    good(rounds.iter().map(|round| round[1])) / good(rounds.iter().map(|round| round[0]))
}

fn median_ratio(rounds: &Rounds) -> f64 {
    let mut all: Vec<_> = rounds.iter().map(|[alone, beside]| beside / alone).collect();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

/// Whether it holds, sooner or later.
fn holds(
    engines: &mut [Engine; 2],
    what: &str,
    one: fn(&mut Engine) -> f64,
    ratio: fn(&Rounds) -> f64,
    is_held: fn(f64) -> bool,
) -> bool {
    let (since, mut rounds) = (Instant::now(), Rounds::new());
    while since.elapsed() < PATIENCE {
        measure(engines, one, &mut rounds);
        let ratio = ratio(&rounds);
        eprintln!("{what}: {ratio:.3} of that without them, in {} rounds", rounds.len());
        if is_held(ratio) {
            return true;
        }
    }
    false
}

#[test]
fn bad_handlers_on_lanes_cost_the_file_and_the_callers_next_to_nothing() {
    // Not on a disk, whose system may hold back one writer more than another.
    let file = || File::append("/dev/null").unwrap();
    let gate = Gate::closed();
    let held = gate.clone();
    let builder = || treering::builder().overflow(Overflow::block(LONG)).error_hook(|_| {});
    let beside = builder()
        .handler(each(move |_| held.pass()).named("stands still").lane())
        .handler(each(|_| panic!("as it must")).named("panics").lane())
        .handler(File::append("/dev/full").unwrap().named("full").lane());
    let mut engines = [Engine::start(builder(), file()), Engine::start(beside, file())];
    for engine in &mut engines {
        engine.rate(); // pages, quarantines, a lane that is full
        engine.rate();
        engine.rate();
    }
    let rate = holds(&mut engines, "rate", Engine::rate, ratio_of_good_rounds, |ratio| ratio >= RATE_MIN);
    let p99 = holds(&mut engines, "p99 of a call", Engine::p99, median_ratio, |ratio| ratio <= P99_MAX);
    let beside = engines[1].guard.stats();
    gate.open();
    for Engine { guard, .. } in engines {
        guard.stop(LONG).unwrap().assert_balanced();
    }
    for name in ["stands still", "panics", "full"] {
        assert!(beside.handlers[name].failed > 0, "it did nothing wrong: {beside}");
    }
    assert!(rate, "the file lost too much of its rate");
    assert!(p99, "the callers paid more than a fifth");
}
