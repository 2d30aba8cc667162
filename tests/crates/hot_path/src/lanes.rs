//! What the listener has to do for handlers on lanes that take nothing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use treering::handler::{Batch, File, Handler, HandlerError, LaneOptions};
use treering::{Builder, Guard, Logger, Wait, info};

/// Calls in a row that fail before a handler is left alone.
const FAILURES: u32 = 10;
/// So long the last of them takes, and nine times as long the handler is left alone: until everything is counted.
const SLOW: Duration = Duration::from_secs(1);
/// A lane of so many bytes is soon full.
const LANE: usize = 64 * 1024;
const LONG: Duration = Duration::from_secs(60);
const MOMENT: Duration = Duration::from_millis(1);

/// Stands still with the first record it gets, until all is counted.
struct StandsStill;

static IS_COUNTED: AtomicBool = AtomicBool::new(false);

impl Handler for StandsStill {
    fn handle(&mut self, _: &Batch<'_>) -> Result<(), HandlerError> {
        while !IS_COUNTED.load(Ordering::Relaxed) {
            sleep(MOMENT);
        }
        Ok(())
    }
}

struct Fails {
    calls: u32,
}

impl Handler for Fails {
    fn handle(&mut self, _: &Batch<'_>) -> Result<(), HandlerError> {
        self.calls += 1;
        if self.calls == FAILURES {
            sleep(SLOW);
        }
        Err(HandlerError::new("as it must"))
    }
}

/// Two listeners hand out so many records: one to a file, one to a file beside three such handlers.
pub(crate) fn count(records: u64) {
    let (logger, guard) = start(builder());
    hand_out(&logger, &guard, records);
    log(&logger, records);
    assert_eq!(counted_listener(&guard) as u64, records);

    let fails = || Fails { calls: 0 };
    let lane = LaneOptions::new().capacity(LANE);
    let beside = builder()
        .handler(StandsStill.lane_with(lane))
        .handler(fails().named("one").lane_with(lane))
        .handler(fails().named("two").lane_with(lane));
    let (logger, guard) = start(beside);
    let since = Instant::now();
    while !are_all_shut(&guard) {
        assert!(since.elapsed() < LONG, "{}", guard.stats());
        hand_out(&logger, &guard, records);
        sleep(MOMENT);
    }
    sleep(MOMENT * 100); // the lanes say so
    log(&logger, records);
    assert_eq!(counted_listener_beside_lanes(&guard) as u64, records);
    IS_COUNTED.store(true, Ordering::Relaxed);
}

fn hand_out(logger: &Logger, guard: &Guard, records: u64) {
    log(logger, records);
    guard.poll().expect("it is polled here");
}

fn builder() -> Builder {
    let file = File::append("/dev/null").expect("it is there");
    treering::builder().ring_capacity(1 << 20).wait(Wait::Manual).error_hook(|_| {}).handler(file)
}

fn start(builder: Builder) -> (Logger, Guard) {
    builder.start().expect("settings that can be")
}

fn log(logger: &Logger, records: u64) {
    (0..records)
        .for_each(|record| info!(logger: logger, "filled {record} of {records} at {}", record as f64 * 0.25));
}

fn are_all_shut(guard: &Guard) -> bool {
    let handlers = guard.stats().handlers;
    let is_quarantined = |name: &str| handlers[name].quarantined;
    handlers["StandsStill"].overflowed > 0 && is_quarantined("one") && is_quarantined("two")
}

#[unsafe(no_mangle)]
#[inline(never)]
fn counted_listener(guard: &Guard) -> usize {
    guard.poll().expect("it is polled here")
}

#[unsafe(no_mangle)]
#[inline(never)]
fn counted_listener_beside_lanes(guard: &Guard) -> usize {
    guard.poll().expect("it is polled here")
}
