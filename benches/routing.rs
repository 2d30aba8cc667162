//! What a second handler costs the listener, and what a filter does: ratios within one run.
//!
//! ```text
//! cargo bench --bench routing
//! ```
//! The claims: two files in one format cost little more than one, as each text is made once; a filter of directives costs
//! a few nanoseconds a record.
//!
//! Engines without a thread write to `/dev/null`, so that what is measured is the listener's work: draining, choosing,
//! formatting. All set-ups take turns, round by round, and what is told is the median of the rounds' ratios to the first.

use std::hint::black_box;
use std::time::{Duration, Instant};

use treering::format::{Format, Json, Text};
use treering::handler::{File, Handler};
use treering::record::Record;
use treering::{Guard, Logger, Wait, filter, info};

const ROUNDS: usize = 300;
/// Records of a round: half of what a ring holds.
const RECORDS: u64 = 1000;

/// A format that shares its texts with nobody.
struct Alone<F>(F);

impl<F: Format> Format for Alone<F> {
    fn format(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
        self.0.format(record, out);
    }
}

fn null(format: impl Format + 'static) -> File {
    File::append("/dev/null").expect("it is there").format(format)
}

fn engine(handlers: Vec<Box<dyn Handler>>) -> (Logger, Guard) {
    let builder = treering::builder().wait(Wait::Manual).ring_capacity(1 << 20);
    handlers.into_iter().fold(builder, treering::Builder::handler).start().expect("settings that can be")
}

/// How long the listener needs for one round.
fn round((logger, guard): &(Logger, Guard)) -> Duration {
    for i in 0..RECORDS {
        info!(logger: logger, id = i, price = i as f64 * 0.25, venue = "XNAS", "filled {i} of {}", black_box(RECORDS));
    }
    let began = Instant::now();
    guard.flush(Duration::from_secs(5)).expect("nothing hangs");
    began.elapsed()
}

#[expect(clippy::print_stdout, reason = "what the benchmark is for")]
fn main() {
    let directives = || filter::directives("off,routing=info,routing::noisy=off").expect("directives");
    let set_ups: Vec<(&str, (Logger, Guard))> = vec![
        ("text", engine(vec![Box::new(null(Text::new()))])),
        ("text, filtered by directives", engine(vec![Box::new(null(Text::new()).filter(directives()))])),
        ("text twice, made once", engine(vec![Box::new(null(Text::new())), Box::new(null(Text::new()))])),
        (
            "text twice, made twice",
            engine(vec![Box::new(null(Alone(Text::new()))), Box::new(null(Alone(Text::new())))]),
        ),
        ("json", engine(vec![Box::new(null(Json::new()))])),
        ("json twice, made once", engine(vec![Box::new(null(Json::new())), Box::new(null(Json::new()))])),
        (
            "json twice, made twice",
            engine(vec![Box::new(null(Alone(Json::new()))), Box::new(null(Alone(Json::new())))]),
        ),
    ];
    let mut took = vec![Vec::new(); set_ups.len()];
    for _ in 0..ROUNDS {
        set_ups.iter().zip(&mut took).for_each(|((_, engine), took)| took.push(round(engine)));
    }
    for ((name, (_, guard)), times) in set_ups.iter().zip(&took) {
        let ratios = times.iter().zip(&took[0]).map(|(time, first)| time.as_secs_f64() / first.as_secs_f64());
        let nanos = median(times.iter().map(|time| time.as_nanos() as f64 / RECORDS as f64));
        println!("{name:30} {nanos:6.0} ns a record, {:.2} of the first", median(ratios));
        let report = guard.stop(Duration::from_secs(5)).expect("not on the listener's thread");
        assert!(report.is_lossless(), "{report}");
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
