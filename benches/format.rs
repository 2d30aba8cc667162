//! What it costs the listener to make a line of a record, in each format: side by side, in one run.
//!
//! ```text
//! cargo bench --bench format
//! ```
//! The claim: JSON and logfmt cost at most one and a half times what text does.
//!
//! Records exist only while a handler has their batch, so the measuring is done by a handler: it gets a few hundred
//! real records with different values and times, and formats all of them as often as asked. The engine has no thread
//! of its own (`Wait::Manual`): nothing else runs meanwhile.

use std::hint::black_box;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use treering::format::{Format, Json, Logfmt, Pattern, Text};
use treering::handler::{Batch, Handler, HandlerError};
use treering::{Guard, Wait, info};

/// Records of one batch: many enough that values differ, few enough that they stay in the cache.
const RECORDS: u64 = 256;

fn main() {
    let job = Arc::new(Mutex::new(Job::default()));
    let guard = treering::builder()
        .filter("info")
        .wait(Wait::Manual)
        .handler(Formatter { lines: Vec::new(), job: job.clone() })
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

/// The formats that are compared, with their defaults, and a pattern as Python's users write it.
fn formats() -> [(&'static str, Box<dyn Format>); 4] {
    let pattern = "{time:%Y-%m-%d %H:%M:%S%.3f} {level:>5} {target}: {message} {fields}";
    [
        ("text", Box::new(Text::new())),
        ("json", Box::new(Json::new())),
        ("logfmt", Box::new(Logfmt::new())),
        ("pattern", Box::new(Pattern::new(pattern).expect("a pattern"))),
    ]
}

/// What the handler is to do with the next batch, and what it found.
#[derive(Default)]
struct Job {
    /// None while there is nothing to measure.
    format: Option<Box<dyn Format>>,
    rounds: u64,
    lines: u64,
    bytes: usize,
    took: Duration,
}

/// Formats each batch in the job's format as often as it says.
struct Formatter {
    lines: Vec<u8>,
    job: Arc<Mutex<Job>>,
}

impl Handler for Formatter {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        let mut job = self.job.lock().map_err(|_| HandlerError::new("the benchmark panicked"))?;
        let Some(mut format) = job.format.take() else { return Ok(()) };
        let began = Instant::now();
        for _ in 0..job.rounds {
            self.lines.clear();
            batch.iter().for_each(|record| format.format(&record, &mut self.lines));
            black_box(&mut self.lines);
        }
        job.format = Some(format);
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
        let mut group = self.criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(1));
        for (position, (format, _)) in formats().iter().enumerate() {
            group.bench_function(*format, |bencher| {
                bencher.iter_custom(|lines| {
                    let Job { lines: made, took, .. } =
                        run(&self.guard, &self.job, position, lines.div_ceil(RECORDS), &log);
                    took.mul_f64(lines as f64 / made as f64)
                });
            });
        }
        group.finish();
    }
}

/// Logs a batch and has it made into lines so often.
fn run(guard: &Guard, job: &Mutex<Job>, position: usize, rounds: u64, log: impl Fn(u64)) -> Job {
    let format = formats().into_iter().nth(position).map(|(_, format)| format);
    *job.lock().expect("the handler does not panic") = Job { format, rounds, ..Job::default() };
    (0..RECORDS).for_each(log);
    let mut left = RECORDS as usize;
    while left > 0 {
        // Records that are a microsecond old may be kept back for the next turn.
        left -= guard.poll().expect("the engine runs, and this is not a handler");
    }
    std::mem::take(&mut job.lock().expect("the handler does not panic"))
}
