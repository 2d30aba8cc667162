//! What bad handlers on lanes cost the good one and the callers: ratios within one run.
//!
//! ```text
//! cargo bench --bench lanes
//! ```
//! Two engines take turns, round by round. Both have a file; the second has on lanes, beside it, a handler that stands still, one
//! that panics, and a file on a full disk. The claims: the file keeps at least 95 % of its rate, and the 99th percentile of
//! what a call takes is at most 1.2 times as high.
//!
//! As a loaded machine makes both what it likes, the processor time of the two listeners' threads is told as well.
//!
//! A round logs as fast as it goes, until the last byte is in the file, and then in bursts of 20, every 2 ms.

use std::hint::black_box;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use treering::handler::{Batch, File, Handler, HandlerError};
use treering::{Builder, Guard, Logger, Overflow, info};

const ROUNDS: usize = 20;
/// Records of a round at full rate.
const RECORDS: u64 = 100_000;
/// Bursts of a round.
const BURSTS: usize = 100;
const CALLS: usize = 20;
const PAUSE: Duration = Duration::from_millis(2);
const LONG: Duration = Duration::from_secs(60);

/// Stands still with the first record it gets, until the end.
#[derive(Clone, Default)]
struct Stalled(Arc<(Mutex<bool>, Condvar)>);

impl Stalled {
    fn release(&self) {
        *self.0.0.lock().expect("nobody panics with it") = true;
        self.0.1.notify_all();
    }
}

impl Handler for Stalled {
    fn handle(&mut self, _: &Batch<'_>) -> Result<(), HandlerError> {
        let is_over = self.0.0.lock().expect("nobody panics with it");
        drop(self.0.1.wait_while(is_over, |is_over| !*is_over).expect("nobody panics with it"));
        Ok(())
    }
}

struct Panics;

impl Handler for Panics {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        panic!("{} records are too many", batch.len())
    }
}

/// An engine, and how many records its file has got.
struct Engine {
    logger: Logger,
    guard: Guard,
    logged: u64,
}

impl Engine {
    /// `listener`: the name of its thread.
    fn start(listener: &str, builder: Builder) -> Self {
        let file = File::append("/dev/null").expect("it is there").named("file");
        let (logger, guard) =
            builder.thread_name(listener).handler(file).start().expect("settings that can be");
        Engine { logger, guard, logged: 0 }
    }

    /// Records a second, to the last byte in the file.
    fn rate(&mut self) -> f64 {
        let began = Instant::now();
        for i in 0..RECORDS {
            info!(logger: self.logger, "filled {i} of {} at {}", RECORDS, black_box(i as f64 * 0.25));
        }
        self.logged += RECORDS;
        self.wait();
        RECORDS as f64 / began.elapsed().as_secs_f64()
    }

    /// Waits until the file has all. No flush: that would wait for the handler that stands still.
    fn wait(&self) {
        while self.guard.stats().handlers["file"].delivered < self.logged {
            thread::sleep(Duration::from_micros(200));
        }
    }

    /// What calls took, in nanoseconds.
    fn calls(&mut self, took: &mut Vec<u64>) {
        for _ in 0..BURSTS {
            for i in 0..CALLS {
                let began = Instant::now();
                info!(logger: self.logger, "filled {i} of {} at {}", RECORDS, black_box(0.25));
                took.push(began.elapsed().as_nanos() as u64);
            }
            self.logged += CALLS as u64;
            thread::sleep(PAUSE);
        }
        self.wait();
    }
}

#[expect(clippy::print_stdout, reason = "what the benchmark is for")]
fn main() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // One panics as it should.
        if !thread::current().name().is_some_and(|name| name.starts_with("lane-")) {
            hook(panic);
        }
    }));
    let stalled = Stalled::default();
    let builder = || treering::builder().overflow(Overflow::block(LONG)).error_hook(|_| {});
    let mut engines = [
        Engine::start("alone", builder()),
        Engine::start(
            "beside",
            builder()
                .handler(stalled.clone().lane())
                .handler(Panics.lane())
                .handler(File::append("/dev/full").expect("it is there").lane()),
        ),
    ];
    let (mut rates, mut costs, mut p99s) = (Vec::new(), Vec::new(), Vec::new());
    let mut all = [Vec::new(), Vec::new()];
    for engine in &mut engines {
        engine.rate(); // rings, pages, quarantines; and threads have their names
    }
    for round in 0..ROUNDS {
        let mut order = [0, 1];
        order.rotate_left(round % 2);
        let (mut rate, mut cost, mut p99) = ([0.0; 2], [0.0; 2], [0.0; 2]);
        for at in order {
            let name = ["alone", "beside"][at];
            let before = processor_nanos(name);
            rate[at] = engines[at].rate();
            cost[at] = (processor_nanos(name) - before) / RECORDS as f64;
        }
        for at in order {
            let mut took = Vec::with_capacity(BURSTS * CALLS);
            engines[at].calls(&mut took);
            p99[at] = percentile(&mut took, 0.99);
            all[at].append(&mut took);
        }
        rates.push(rate);
        costs.push(cost);
        p99s.push(p99);
    }
    tell("records a second of the file", &rates);
    tell("processor time of the listener, ns a record", &costs);
    tell("p99 of a call, ns", &p99s);
    for share in [0.5, 0.99, 0.999] {
        let [alone, beside] = &mut all;
        let (alone, beside) = (percentile(alone, share), percentile(beside, share));
        println!("all calls, {share}: {alone:.0} and {beside:.0} ns, {:.2}", beside / alone);
    }
    stalled.release();
    for Engine { guard, logged, .. } in engines {
        let report = guard.stop(LONG).expect("not on a listener's thread");
        report.assert_balanced();
        assert_eq!((report.dispatched, report.handlers["file"].delivered), (logged, logged), "{report}");
    }
}

/// The median of both, and of their ratios.
#[expect(clippy::print_stdout, reason = "what the benchmark is for")]
fn tell(what: &str, rounds: &[[f64; 2]]) {
    let of = |value: fn(&[f64; 2]) -> f64| {
        let mut values: Vec<_> = rounds.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let ratios = of(|[alone, beside]| beside / alone);
    let middle = ratios.len() / 2;
    println!(
        "{what}: {:.0} alone, {:.0} beside them; {:.2} (of the rounds, quartiles {:.2} and {:.2})",
        of(|[alone, _]| *alone)[middle],
        of(|[_, beside]| *beside)[middle],
        ratios[middle],
        ratios[ratios.len() / 4],
        ratios[ratios.len() * 3 / 4],
    );
}

/// What the thread of this name has used.
fn processor_nanos(name: &str) -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux").filter_map(Result::ok);
    let of = |file: &str, task: &std::fs::DirEntry| std::fs::read_to_string(task.path().join(file));
    let mut named = tasks.filter(|task| of("comm", task).is_ok_and(|comm| comm.trim_end() == name));
    let schedstat = of("schedstat", &named.next().expect("it runs")).expect("it runs");
    schedstat.split(' ').next().and_then(|nanos| nanos.parse().ok()).expect("a number first")
}

fn percentile(values: &mut [u64], share: f64) -> f64 {
    values.sort_unstable();
    values[((values.len() - 1) as f64 * share) as usize] as f64
}
