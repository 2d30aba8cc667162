//! The books as metrics, and whether the listener is alive: for an endpoint that a monitor asks.
//!
//! ```text
//! cargo run --example health
//! ```

use std::fmt::Write;
use std::time::Duration;

use treering::overflow::Reason;
use treering::{Level, Report, info, warn};

/// In the text format of Prometheus. Each record of `submitted` is in exactly one of the others.
fn metrics(report: &Report) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: u64| {
        let _ = writeln!(text, "log_records_{name} {value}");
    };
    line("submitted_total", report.submitted);
    line("dispatched_total", report.dispatched);
    line("late_total", report.late);
    line("abandoned_total", report.abandoned);
    line("pending", report.pending);
    line("in_flight", report.in_flight);
    for reason in Reason::ALL {
        for (level, dropped) in Level::ALL.into_iter().zip(report.dropped_by_reason[reason]) {
            line(&format!("dropped_total{{reason=\"{reason}\",level=\"{level}\"}}"), dropped);
        }
    }
    text
}

/// 200 or 503: nothing has moved for a second though there is something to do.
fn status(report: &Report) -> u16 {
    if report.progress.lag < Duration::from_secs(1) { 200 } else { 503 }
}

#[expect(clippy::print_stdout, reason = "what the example is for")]
fn main() -> Result<(), treering::Error> {
    let guard = treering::init()?;
    info!("started");
    warn!("something to look at");
    let report = guard.stats();
    println!(
        "{} {}",
        status(&report),
        report.progress.calling.as_deref().unwrap_or("no handler is being called")
    );
    guard.flush(Duration::from_secs(5))?;
    print!("{}", metrics(&guard.stats()));
    Ok(())
}
