//! The books that a test keeps of its own: what a handler received and what the stream told of losses, against the report.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use treering::handler::Handler;
use treering::overflow::Reason;
use treering::record::Record;
use treering::stats::Handlers;
use treering::{IntakeReport, Level, Report};

use super::{Gate, each};

const LOSS: &str = "treering::loss";
const SAMPLED: &str = "treering::sampled";

/// What a handler received: records of the program by level, and losses as the stream tells of them.
#[derive(Clone, Default, Debug)]
pub(crate) struct Received {
    pub(crate) by_level: [u64; 5],
    /// The first argument of each record that has a number there.
    pub(crate) numbers: Vec<u64>,
    pub(crate) lost: u64,
    pub(crate) lost_by_level: [u64; 5],
    pub(crate) losses: Vec<Told>,
    /// What this handler alone lost, as its lane was full.
    pub(crate) lost_in_lane: [u64; 5],
    /// Records left out by sampling: the line of the callsite, 0 for others, and how many.
    pub(crate) left_out: Vec<(u64, u64)>,
}

/// A record of `treering::loss`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Told {
    pub(crate) reason: String,
    pub(crate) by_level: [u64; 5],
    pub(crate) thread: u32,
    pub(crate) calls: (u64, u64),
    /// How many numbers had come before it.
    pub(crate) behind: usize,
}

impl Received {
    pub(crate) fn take(&mut self, record: &Record<'_>) {
        let number = |name: &str| record.field(name).unwrap().value().as_u64().unwrap();
        let text = |name: &str| record.field(name).unwrap().value().as_str().unwrap().to_owned();
        let first = record.value(0).and_then(|value| value.as_u64());
        match record.target() {
            LOSS => {
                let by_level = ["error", "warn", "info", "debug", "trace"].map(number);
                assert_eq!(first, Some(by_level.iter().sum()));
                if text("reason") == "lane" {
                    assert!(text("from") <= text("until"));
                    self.lost_in_lane.iter_mut().zip(by_level).for_each(|(sum, more)| *sum += more);
                    return;
                }
                assert_eq!(u64::from(record.thread().id()), number("thread"));
                // RFC 3339 in UTC: text sorts as time.
                let (from, until) = (text("from"), text("until"));
                assert!(from <= until && until == record.time().to_string(), "{from} to {until}");
                self.lost += first.unwrap();
                self.lost_by_level.iter_mut().zip(by_level).for_each(|(sum, more)| *sum += more);
                self.losses.push(Told {
                    reason: text("reason"),
                    by_level,
                    thread: record.thread().id(),
                    calls: (number("first"), number("last")),
                    behind: self.numbers.len(),
                });
            }
            SAMPLED => {
                let line = record.field("line").map_or(0, |line| line.value().as_u64().unwrap());
                self.left_out.push((line, first.unwrap()));
            }
            _ => {
                self.by_level[record.level() as usize - 1] += 1;
                self.numbers.extend(first);
            }
        }
    }

    /// Of one thread whose calls logged 0, 1, 2, … at these levels: what arrived and what the stream says is missing there are
    /// all of them, without a gap and without an overlap.
    #[track_caller]
    pub(crate) fn assert_joined(&self, level_of: impl Fn(u64) -> Level) {
        let (mut next, mut behind) = (0, 0);
        // What is missing in one place for several reasons is told with one range.
        for told in self.losses.chunk_by(|a, b| (a.calls, a.behind) == (b.calls, b.behind)) {
            let (first, last) = told[0].calls;
            self.numbers[behind..told[0].behind].iter().for_each(|number| {
                assert_eq!(*number, next, "before {told:?}");
                next += 1;
            });
            behind = told[0].behind;
            assert_eq!(first, next + 1, "calls are numbered from 1: {told:?}");
            let mut missing = [0; 5];
            (next..last).for_each(|number| missing[level_of(number) as usize - 1] += 1);
            let sum = |level: usize| told.iter().map(|told| told.by_level[level]).sum::<u64>();
            assert_eq!(std::array::from_fn(sum), missing, "{told:?}");
            next = last;
        }
        assert!(self.numbers[behind..].iter().copied().eq(next..next + (self.numbers.len() - behind) as u64));
    }

    /// How many records the stream says were lost for this reason, by level.
    fn lost_for(&self, reason: Reason) -> [u64; 5] {
        let mut sum = [0; 5];
        for told in self.losses.iter().filter(|told| told.reason == reason.as_str()) {
            sum.iter_mut().zip(told.by_level).for_each(|(sum, more)| *sum += more);
        }
        sum
    }
}

/// A handler that takes `pause` for each record, and what it received.
pub(crate) fn receiver(pause: Duration, gate: Option<Gate>) -> (impl Handler, Arc<Mutex<Received>>) {
    let received = Arc::new(Mutex::new(Received::default()));
    let kept = received.clone();
    let take = each(move |record| {
        if let Some(gate) = &gate {
            gate.pass();
        }
        kept.lock().unwrap().take(record);
        if !pause.is_zero() {
            std::thread::sleep(pause);
        }
    });
    (take, received)
}

/// The report against what the test logged, by level, and what the handler received.
#[track_caller]
pub(crate) fn compare(report: &Report, logged: [u64; 5], received: &Received) {
    compare_engine(report, logged, received);
    compare_handler(&report.handlers, report.dispatched, received);
}

/// As [`compare`], of an engine over a queue, and of the listener at its other end.
#[track_caller]
pub(crate) fn compare_through_queue(
    report: &Report,
    intake: &IntakeReport,
    logged: [u64; 5],
    received: &Received,
) {
    compare_engine(report, logged, received);
    intake.assert_balanced();
    assert!(intake.is_lossless(), "{intake}");
    let told = received.losses.len() as u64;
    assert_eq!((intake.received, intake.dispatched), (report.dispatched + told, report.dispatched + told));
    compare_handler(&intake.handlers, report.dispatched, received);
}

#[track_caller]
fn compare_engine(report: &Report, logged: [u64; 5], received: &Received) {
    report.assert_balanced();
    assert_eq!(report.submitted_by_level, logged);
    assert_eq!(report.submitted, logged.iter().sum::<u64>());
    assert_eq!(report.dispatched, received.by_level.iter().sum::<u64>());
    assert_eq!(report.dropped, received.lost, "the stream tells of every loss");
    assert_eq!(report.dropped_by_level, received.lost_by_level);
    for reason in Reason::ALL {
        assert_eq!(report.dropped_by_reason[reason], received.lost_for(reason), "{reason}");
    }
    let left_out: u64 = received.left_out.iter().map(|(_, records)| records).sum();
    assert_eq!(report.dropped_by_reason.total(Reason::Sampled), left_out, "by callsite");
    let (arrived, lost) = (received.by_level, received.lost_by_level);
    assert_eq!(std::array::from_fn(|level| arrived[level] + lost[level]), logged);
}

#[track_caller]
fn compare_handler(handlers: &Handlers, dispatched: u64, received: &Received) {
    let own = received.losses.len() + received.left_out.len();
    let each = &handlers["each"];
    assert_eq!(each.offered, dispatched + own as u64);
    assert_eq!(each.delivered, each.offered);
}
