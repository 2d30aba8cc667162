//! How many records a second go through sockets, and through a queue in memory beside them: ratios within one run.
//!
//! ```text
//! cargo bench -p treering-zmq --bench throughput
//! ```
//! Each way takes its turn in each round: an engine with a `QueueHandler`, the queue, a `Listener` that decodes. A round ends
//! when the listener has handed out the last record. Over TCP, to this machine; nothing is full, so nothing is lost.

#![allow(clippy::print_stdout, reason = "what the benchmark is for")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use treering::handler::{Batch, Handler, HandlerError, QueueHandler};
use treering::queue::Locked;
use treering::{Listener, Overflow, info};
use treering_zmq::{PythonRecord, Receiver, Sender, from_python};

const RECORDS: u64 = 50_000;
const ROUNDS: usize = 9;
const LONG: Duration = Duration::from_secs(60);
const LOOPBACK: &str = "tcp://127.0.0.1:*";

/// Looks at nothing.
struct Nothing;

impl Handler for Nothing {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        black_box(batch.len());
        Ok(())
    }
}

/// Records a second, from the first call to the last hand-out.
fn rate(handler: impl Handler + 'static, listener: Listener, records: u64) -> f64 {
    let listening = listener.handler(Nothing).start().expect("a thread");
    let builder = treering::builder().overflow(Overflow::block(LONG));
    let (logger, guard) = builder.handler(handler).start().expect("settings that can be");
    let began = Instant::now();
    for i in 0..records {
        info!(logger: logger, order_id = i, venue = "XNAS", "filled {i} at {}", black_box(i as f64 * 0.25));
    }
    let report = guard.stop(LONG).expect("not on the listener's thread");
    assert!(report.is_lossless(), "{report}");
    while listening.stats().dispatched < records {
        assert!(began.elapsed() < LONG, "{}", listening.stats());
        std::thread::sleep(Duration::from_micros(100));
    }
    let rate = records as f64 / began.elapsed().as_secs_f64();
    listening.stop(LONG).expect("not on the listener's thread").assert_balanced();
    rate
}

fn in_memory(records: u64) -> f64 {
    let queue = Arc::new(Locked::bounded(1 << 30));
    rate(QueueHandler::new(queue.clone()), Listener::new(queue), records)
}

fn pushed(records: u64) -> f64 {
    let receiver = Receiver::puller().high_water_mark(0).bind(LOOPBACK).expect("a port");
    let sender = Sender::pusher().high_water_mark(0).connect(receiver.endpoint()).expect("its address");
    rate(QueueHandler::new(sender), Listener::new(receiver), records)
}

fn published() -> (Arc<Sender>, Receiver) {
    let sender = Arc::new(Sender::publisher().high_water_mark(0).bind(LOOPBACK).expect("a port"));
    let receiver = Receiver::subscriber().high_water_mark(0).connect(sender.endpoint()).expect("its address");
    sender.wait_for_subscriber(LONG).expect("it comes");
    (sender, receiver)
}

fn published_portable(records: u64) -> f64 {
    let (sender, receiver) = published();
    rate(QueueHandler::new(sender), Listener::new(receiver), records)
}

fn published_for_python(records: u64) -> f64 {
    let (sender, receiver) = published();
    let handler = QueueHandler::new(sender).format(PythonRecord::new());
    rate(handler, Listener::new(receiver).translate(from_python), records)
}

/// What it is called, and records a second of so many.
type Way = (&'static str, fn(u64) -> f64);

fn main() {
    let ways: [Way; 4] = [
        ("queue::Locked, portable records", in_memory),
        ("PUSH and PULL, portable records", pushed),
        ("PUB and SUB, portable records", published_portable),
        ("PUB and SUB, PythonRecord and from_python", published_for_python),
    ];
    // Without `--bench`, as `cargo test --benches` runs it, it only shows that it works.
    let (records, rounds) =
        if std::env::args().any(|argument| argument == "--bench") { (RECORDS, ROUNDS) } else { (500, 1) };
    let mut rates = vec![[0.0; 4]; rounds];
    for (round, rates) in rates.iter_mut().enumerate() {
        for turn in 0..ways.len() {
            let at = (round + turn) % ways.len();
            rates[at] = ways[at].1(records);
        }
    }
    for (at, (name, _)) in ways.iter().enumerate() {
        let rate = sorted(rates.iter().map(|rates| rates[at]));
        let ratio = sorted(rates.iter().map(|rates| rates[at] / rates[0]));
        println!(
            "{name}: {:.0} records a second, {:.2} of the first (quartiles {:.2} and {:.2})",
            rate[rounds / 2],
            ratio[rounds / 2],
            ratio[rounds / 4],
            ratio[rounds * 3 / 4],
        );
    }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}
