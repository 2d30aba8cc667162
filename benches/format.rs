//! What it costs the listener to make a line of a record, with `format::Text`.
//!
//! ```text
//! cargo bench --bench format
//! ```
//! Records exist only while a handler has their batch, so the measuring is done by a handler: it gets a few hundred
//! real records with different values and times, and formats all of them as often as asked. The engine has no thread
//! of its own (`Wait::Manual`): nothing else runs meanwhile.

use std::hint::black_box;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use treering::format::{Format, Text};
use treering::handler::{Batch, Handler, HandlerError};
use treering::{Guard, Wait, info};

/// Records of one batch: many enough that values differ, few enough that they stay in the cache.
const RECORDS: u64 = 256;

fn main() {
    let job = Arc::new(Mutex::new(Job::default()));
    let guard = treering::builder()
        .filter("info")
        .wait(Wait::Manual)
        .handler(Formatter { text: Text::new(), lines: Vec::new(), job: job.clone() })
        .init()
        .expect("no engine runs yet");
    let criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    let mut bench = Bench { criterion, guard, job };
    bench.of("plain", |_| info!("nothing to say"));
    bench.of("one number", |i| info!("order {} filled", i * 7919));
    bench.of("three numbers", |i| info!("filled {} of {} at {}", i, i * 7919, i as f64 * 0.25));
    bench.of("precision", |i| info!("filled {:>8} at {:.2}", i, i as f64 * 0.25));
    bench.of("a string", |_| info!("{}", black_box("a string of forty bytes, as they come...")));
    bench.of("a hostile string", |_| {
        info!("{}", black_box("forty bytes\nwith ends of lines\r\nand \x1b[31m."))
    });
    bench.of("fields", |i| {
        let duration = Duration::from_nanos(15_000 + i * 17);
        info!(id = i, method = "GET", path = "/orders/17", status = 200_u16, duration, "request");
    });
    bench.criterion.final_summary();
    let books = bench.guard.stop(Duration::from_secs(5)).expect("this is not a handler");
    books.assert_balanced();
    assert!(books.is_lossless(), "a record was not formatted: {books}");
}

/// What the handler is to do with the next batch, and what it found.
#[derive(Default, Debug)]
struct Job {
    rounds: u64,
    lines: u64,
    bytes: usize,
    took: Duration,
}

/// Formats each batch as often as the job says.
struct Formatter {
    text: Text,
    lines: Vec<u8>,
    job: Arc<Mutex<Job>>,
}

impl Handler for Formatter {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        let mut job = self.job.lock().map_err(|_| HandlerError::new("the benchmark panicked"))?;
        let began = Instant::now();
        for _ in 0..job.rounds {
            self.lines.clear();
            batch.iter().for_each(|record| self.text.format(&record, &mut self.lines));
            black_box(&mut self.lines);
        }
        job.took += began.elapsed();
        job.lines += job.rounds * batch.len() as u64;
        job.bytes = self.lines.len();
        Ok(())
    }
}

struct Bench {
    criterion: Criterion,
    guard: Guard,
    job: Arc<Mutex<Job>>,
}

impl Bench {
    fn of(&mut self, name: &str, log: impl Fn(u64)) {
        let mut group = self.criterion.benchmark_group("format");
        group.throughput(Throughput::Elements(1));
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|lines| {
                let Job { lines: made, took, .. } =
                    format(&self.guard, &self.job, lines.div_ceil(RECORDS), &log);
                took.mul_f64(lines as f64 / made as f64)
            });
        });
        group.finish();
    }
}

/// Logs a batch and has it formatted so often.
fn format(guard: &Guard, job: &Mutex<Job>, rounds: u64, log: impl Fn(u64)) -> Job {
    *job.lock().expect("the handler does not panic") = Job { rounds, ..Job::default() };
    (0..RECORDS).for_each(log);
    let mut left = RECORDS as usize;
    while left > 0 {
        // Records that are a microsecond old may be kept back for the next turn.
        left -= guard.poll().expect("the engine runs, and this is not a handler");
    }
    std::mem::take(&mut job.lock().expect("the handler does not panic"))
}
