//! What the listener pays for a record in a file of text and in one of `format::Binary`, side by side.
//!
//! ```text
//! cargo bench --bench binary
//! ```
//! The claim: where numbers are logged, binary takes less than half of the time on the listener, and less than half of the
//! bytes.
//!
//! First the handlers alone: both get the same batches of real records, by turns, and write to `/dev/null`; the median of
//! the ratios of all rounds is shown, and how many bytes both make. Then two engines by turns, from the
//! first call until `stop` has returned, to the last byte in a file.

use std::hint::black_box;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use std::{fs, thread};

use treering::binary::Reader;
use treering::format::{Binary, Format, Text};
use treering::handler::{Batch, File, Handler, HandlerError};
use treering::{Guard, Overflow, Wait, info};

/// Records of a round.
const RECORDS: u64 = 4096;
const ROUNDS: usize = 60;
/// The shortest batch that counts; the listener makes several of one round.
const BATCH_MIN: usize = 256;
/// Records of an engine's life, and how many lives there are.
const RECORDS_OF_ENGINE: u64 = 400_000;
const ENGINES: usize = 7;

#[expect(clippy::print_stdout, reason = "a table is what this is for")]
fn main() {
    let directory = tempfile::tempdir().expect("a directory for files");
    let (rounds, text_bytes) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicU64::new(0)));
    let path = directory.path().join("log");
    let pair = Pair {
        handlers: files(Path::new("/dev/null"), Path::new("/dev/null")),
        text: Text::new(),
        line: Vec::new(),
        rounds: rounds.clone(),
        text_bytes: text_bytes.clone(),
    };
    let packed = File::append(&path).expect("the directory is ours").format(Binary::new());
    let guard = treering::builder()
        .filter("info")
        .wait(Wait::Manual)
        .ring_capacity(4 << 20)
        .handler(pair)
        .handler(packed)
        .init()
        .expect("no engine runs yet");
    println!(
        "{:16} {:>8} {:>8} {:>7} {:>11} {:>7} {:>7}",
        "listener", "text ns", "bin. ns", "ratio", "text bytes", "bin.", "ratio"
    );
    let lengths = || {
        guard.flush(Duration::from_secs(5)).expect("the engine runs");
        [text_bytes.load(Ordering::Relaxed), fs::metadata(&path).expect("it was made").len()]
    };
    let of = |name: &str, log: &dyn Fn(u64)| {
        let before = lengths();
        rounds.lock().expect("nobody panics").clear();
        for _ in 0..ROUNDS {
            turn(&guard, log);
        }
        let after = lengths();
        let mut rounds = rounds.lock().expect("nobody panics").clone();
        let [text, binary] = [0, 1].map(|at| median(&mut rounds, |round| round[at]));
        let ratio = median(&mut rounds, |round| round[0] / round[1]);
        let [text_bytes, binary_bytes] =
            [0, 1].map(|at| (after[at] - before[at]) as f64 / (ROUNDS as u64 * RECORDS) as f64);
        let bytes_ratio = text_bytes / binary_bytes;
        println!(
            "{name:16} {text:8.1} {binary:8.1} {ratio:7.2} {text_bytes:11.1} {binary_bytes:7.1} {bytes_ratio:7.2}"
        );
    };
    of("plain", &|_| info!("nothing to say"));
    of("one number", &|i| info!("order {} filled", i * 7919));
    of("three numbers", &|i| info!("filled {} of {} at {}", i, i * 7919, i as f64 * 0.25));
    of("precision", &|i| info!("filled {:>8} at {:.2}", i, i as f64 * 0.1));
    of("a string", &|_| info!("{}", black_box("a string of forty bytes, as they come...")));
    of("fields", &|i| {
        let duration = Duration::from_nanos(15_000 + i * 17);
        info!(id = i, method = "GET", path = "/orders/17", status = 200_u16, duration, "request");
    });
    guard.stop(Duration::from_secs(5)).expect("this is not a handler").assert_balanced();

    for threads in [1, 4] {
        let mut rounds: Vec<[f64; 2]> =
            (0..ENGINES).map(|_| [false, true].map(|is_binary| life(is_binary, threads, &path))).collect();
        let rate = |nanos: f64| RECORDS_OF_ENGINE as f64 * 1000.0 / nanos;
        let [text, binary] = [0, 1].map(|at| rate(median(&mut rounds, |round| round[at])));
        let ratio = median(&mut rounds, |round| round[0] / round[1]);
        println!("engine, {threads} threads: text {text:.2} M/s, binary {binary:.2} M/s, ratio {ratio:.2}");
    }
}

fn median(rounds: &mut [[f64; 2]], of: impl Fn(&[f64; 2]) -> f64) -> f64 {
    rounds.sort_by(|a, b| of(a).total_cmp(&of(b)));
    of(&rounds[rounds.len() / 2])
}

/// A file of text and one of frames.
fn files(text: &Path, binary: &Path) -> [File; 2] {
    let open = |path| File::append(path).expect("the directory is ours");
    [open(text), open(binary).format(Binary::new())]
}

/// Gives each batch to both, and notes what that took. One batch once: formats that are asked for the same text twice share
/// it.
struct Pair {
    /// Of text, and of frames.
    handlers: [File; 2],
    /// What is looked at for its length only.
    text: Text,
    line: Vec<u8>,
    rounds: Arc<Mutex<Vec<[f64; 2]>>>,
    text_bytes: Arc<AtomicU64>,
}

impl Handler for Pair {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        let mut took = [0.0; 2];
        for (handler, took) in self.handlers.iter_mut().zip(&mut took) {
            let began = Instant::now();
            handler.handle(batch)?;
            handler.flush()?;
            *took = began.elapsed().as_nanos() as f64 / batch.len() as f64;
        }
        for record in batch {
            self.line.clear();
            self.text.format(&record, &mut self.line);
            self.text_bytes.fetch_add(self.line.len() as u64, Ordering::Relaxed);
        }
        // A few records that were kept back for a later turn say little.
        if batch.len() >= BATCH_MIN {
            self.rounds.lock().map_err(|_| HandlerError::new("the benchmark panicked"))?.push(took);
        }
        Ok(())
    }
}

/// Logs a batch and has it handed out.
fn turn(guard: &Guard, log: &dyn Fn(u64)) {
    (0..RECORDS).for_each(log);
    thread::sleep(Duration::from_micros(50)); // records that are a microsecond old may be kept back
    let mut left = RECORDS as usize;
    while left > 0 {
        left -= guard.poll().expect("the engine runs, and this is not a handler");
    }
}

/// One engine's life; returns how many nanoseconds its records took.
fn life(is_binary: bool, threads: u64, path: &Path) -> f64 {
    fs::remove_file(path).expect("it was made");
    let [text, binary] = files(path, path);
    let guard = treering::builder()
        .filter("info")
        .overflow(Overflow::block(Duration::from_secs(10)))
        .handler(if is_binary { binary } else { text })
        .init()
        .expect("the engine before was stopped");
    let began = Instant::now();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                for i in 0..RECORDS_OF_ENGINE / threads {
                    info!("filled {} of {} at {}", i, RECORDS_OF_ENGINE, i as f64 * 0.25);
                }
            });
        }
    });
    let books = guard.stop(Duration::from_secs(30)).expect("this is not the listener's thread");
    let took = began.elapsed();
    books.assert_balanced();
    assert!(books.is_lossless(), "records were lost: {books}");
    assert_eq!(records(is_binary, path), RECORDS_OF_ENGINE);
    took.as_nanos() as f64
}

/// How many records are in a file.
fn records(is_binary: bool, path: &Path) -> u64 {
    let bytes = fs::read(path).expect("it was just written");
    if !is_binary {
        return bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
    }
    let mut reader = Reader::new(bytes.as_slice());
    while reader.read().expect("it is in memory").is_some() {}
    assert!(reader.summary().is_whole(), "{}", reader.summary());
    reader.summary().records
}
