//! What is run: the cases, and how many calls each has.

use crate::job::{Full, Job, Kind, Shape};

/// A job that every logger does, or that ours does alone.
#[derive(Clone, Debug)]
pub struct Case {
    /// Unique; the report finds it by its name.
    pub name: String,
    pub job: Job,
    pub who: Who,
    pub watch: Watch,
}

/// Which loggers take part.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Who {
    All,
    /// Those that write a file: not the floor.
    Writers,
    /// Those of the curves.
    Curves,
    /// treering's own program in `scaling`.
    Scaling,
}

/// How a child is looked at from outside.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Watch {
    Nothing,
    /// Its system calls are counted.
    SystemCalls,
    /// Its file is read while it grows.
    File,
}

/// The loggers whose curves are drawn.
pub const CURVES: [&str; 3] = ["treering", "floor", "tracing"];

const MESSAGE: usize = 40;
const BURST: u64 = 20;
const BURST_PAUSE_US: u64 = 2_000;

/// How much of everything: 1.0 by default. Latencies need bursts, rates need records.
#[derive(Clone, Copy, Debug)]
pub struct Amount(pub f64);

impl Amount {
    /// At least `least`, and a multiple of it.
    fn of(self, calls: u64, least: u64) -> u64 {
        ((calls as f64 * self.0) as u64 / least).max(1) * least
    }
}

/// All cases, in the order of the report.
pub fn cases(amount: Amount) -> Vec<Case> {
    let mut cases = Vec::new();
    let base = Job {
        kind: Kind::Latency,
        full: Full::Wait,
        shape: Shape::Numbers,
        threads: 1,
        calls: amount.of(5_000, BURST),
        burst: BURST,
        pause_us: BURST_PAUSE_US,
        bytes: MESSAGE,
    };
    let mut add = |name: String, who, watch, job| cases.push(Case { name, job, who, watch });

    for threads in [1, 4] {
        for shape in [Shape::Numbers, Shape::Text, Shape::Fields] {
            let calls = amount.of(if threads == 1 { 5_000 } else { 2_000 }, BURST);
            add(
                format!("burst_{shape}_{threads}"),
                Who::All,
                Watch::Nothing,
                Job { shape, threads, calls, ..base },
            );
        }
    }
    for (name, pause_us, calls) in [("sparse_1ms", 1_000, 500), ("sparse_200ms", 200_000, 10)] {
        let job = Job { calls: amount.of(calls, 5), burst: 1, pause_us, ..base };
        add(name.into(), Who::All, Watch::Nothing, job);
    }
    for threads in [1, 4] {
        let calls = amount.of(400_000, 400) / u64::from(threads);
        let job = Job { kind: Kind::FlatOut, threads, calls, ..base };
        add(format!("throughput_{threads}"), Who::Writers, Watch::Nothing, job);
    }
    let job =
        Job { kind: Kind::FlatOut, full: Full::Drop, threads: 2, calls: amount.of(300_000, 400), ..base };
    add("overload".into(), Who::Writers, Watch::Nothing, job);
    let job = Job { shape: Shape::Stamp, calls: amount.of(200, 5), burst: 1, pause_us: 5_000, ..base };
    add("delay".into(), Who::Writers, Watch::File, job);
    add(
        "disabled".into(),
        Who::Writers,
        Watch::Nothing,
        Job { kind: Kind::Disabled, calls: amount.of(4_000_000, 1_000), ..base },
    );
    add("calls_of_the_system".into(), Who::Writers, Watch::SystemCalls, base);

    for threads in [1, 2, 4, 8, 16, 32, 64] {
        let calls = amount.of(4_000, BURST * 64) / u64::from(threads) / BURST * BURST;
        let job = Job { threads, calls: calls.max(2 * BURST), ..base };
        add(format!("threads_{threads}"), Who::Curves, Watch::Nothing, job);
    }
    for bytes in [16, 64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10] {
        let job = Job { shape: Shape::Text, bytes, burst: 4, calls: amount.of(400, 8), ..base };
        add(format!("message_{bytes}"), Who::Curves, Watch::Nothing, job);
    }
    for fields in [0, 1, 2, 4, 8, 16, 32] {
        let job = Job { shape: Shape::Fields, bytes: fields, calls: amount.of(2_000, BURST), ..base };
        add(format!("fields_{fields}"), Who::Scaling, Watch::Nothing, job);
    }
    for callsites in [1, 10, 100, 1_000, 10_000] {
        let job = Job { bytes: callsites, calls: amount.of(2_000, BURST), ..base };
        add(format!("callsites_{callsites}"), Who::Scaling, Watch::Nothing, job);
    }
    cases
}
