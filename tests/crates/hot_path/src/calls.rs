//! The calls: functions with names that can be found in a disassembly.

use std::time::Duration;

use treering::{Context, Encode, Guard, Level, Logger, debug, info};

use crate::common::floor;

/// The call of the budget.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn three(a: u64, b: u64, c: f64) {
    info!("{} {} {}", a, b, c);
}

/// So many of them, in a loop of three instructions.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn counted(calls: u64, b: u64, c: f64) {
    for call in 0..calls {
        info!("{} {} {}", call, b, c);
    }
}

/// The same without arguments.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn counted_plain(calls: u64) {
    for _ in 0..calls {
        info!("plain");
    }
}

/// The same with one number.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn counted_one(calls: u64) {
    for call in 0..calls {
        info!("{}", call);
    }
}

/// The same with a string.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn counted_text(calls: u64, text: &str) {
    for _ in 0..calls {
        info!("{}", text);
    }
}

/// The same with four fields, one of them a string of forty bytes.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn counted_fields(calls: u64, path: &str) {
    for call in 0..calls {
        info!(id = call, method = "GET", path, status = 200_u16, "request");
    }
}

/// The same with nobody listening.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn counted_disabled(calls: u64, b: u64, c: f64) {
    for call in 0..calls {
        debug!("{} {} {}", call, b, c);
    }
}

/// Orders of many sizes, as benches/throughput has them.
#[inline(never)]
pub fn filled(records: u64) {
    for i in 0..records {
        info!("filled {} of {} at {}", i, records, i as f64 * 0.25);
    }
}

/// All that the listener does for what was logged.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn listened(guard: &Guard) {
    guard.flush(Duration::from_secs(60)).expect("the engine runs");
}

/// The same to an engine by name.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn counted_named(logger: &Logger, calls: u64, b: u64, c: f64) {
    for call in 0..calls {
        info!(logger: logger, "{} {} {}", call, b, c);
    }
}

/// The same with a type of the user's own.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn counted_derived(calls: u64) {
    for call in 0..calls {
        info!(order = ?Order { id: call, venue: "XNAS" }, "derived");
    }
}

/// Three numbers under a limit that lets them through.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn counted_limited(calls: u64, b: u64, c: f64) {
    for call in 0..calls {
        info!(every: 1, "{} {} {}", call, b, c);
    }
}

/// The same under one that keeps all but the first back.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn counted_kept_back(calls: u64, b: u64, c: f64) {
    for call in 0..calls {
        info!(once: true, "{} {} {}", call, b, c);
    }
}

/// A field and a message by way of the crate `log`.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn counted_log(calls: u64, b: u64) {
    for _ in 0..calls {
        log::info!(quantity = b; "order of {b}");
    }
}

/// Whether a call would leave a record: yes, and no.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn counted_asked(calls: u64) -> u64 {
    let mut yes = 0;
    for _ in 0..calls {
        yes += u64::from(treering::enabled!(Level::Info));
        yes += u64::from(treering::enabled!(Level::Debug));
    }
    yes
}

/// An event of `tracing` with three fields.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn counted_event(calls: u64, quantity: u32) {
    for call in 0..calls {
        tracing::info!(order_id = call, quantity, venue = "XNAS", "filled");
    }
}

/// The same with nobody listening.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn counted_disabled_event(calls: u64, quantity: u32) {
    for call in 0..calls {
        tracing::debug!(order_id = call, quantity, venue = "XNAS", "filled");
    }
}

/// A span of `tracing` with a field that is opened, entered, left and closed.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn counted_span(calls: u64) {
    for call in 0..calls {
        tracing::info_span!("step", order_id = call).in_scope(|| ());
    }
}

/// Three numbers into a bare ring.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn counted_floor(calls: u64, b: u64, c: f64) {
    for call in 0..calls {
        floor::log(call, b, c);
    }
}

/// The same in a context.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn counted_in_context(calls: u64, b: u64, c: f64) {
    for call in 0..calls {
        info!("{} {} {}", call, b, c);
    }
}

/// The same in a context of the engine that is named.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn counted_named_in_context(logger: &Logger, calls: u64, b: u64, c: f64) {
    for call in 0..calls {
        info!(logger: logger, "{} {} {}", call, b, c);
    }
}

/// To enter a context and to leave it.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn counted_enter(context: &Context, calls: u64) {
    for _ in 0..calls {
        drop(context.enter());
    }
}

/// With [`eleven`]: the code that a call adds to its function.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn one(a: u64, b: u64, c: f64) {
    info!("{} {} {}", a, b, c);
}

/// Ten more.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn eleven(a: u64, b: u64, c: f64) {
    info!("{} {} {}", a, b, c);
    info!("{} {} {}", a, b, c);
    info!("{} {} {}", a, b, c);
    info!("{} {} {}", a, b, c);
    info!("{} {} {}", a, b, c);
    info!("{} {} {}", a, b, c);
    info!("{} {} {}", a, b, c);
    info!("{} {} {}", a, b, c);
    info!("{} {} {}", a, b, c);
    info!("{} {} {}", a, b, c);
    info!("{} {} {}", a, b, c);
}

#[derive(Debug, Encode)]
struct Order<'a> {
    id: u64,
    venue: &'a str,
}

/// What a call says of the rest of the face, to both engines: types of the user's own, limits, and the crate `log`.
pub fn others(logger: &Logger, call: u64) {
    info!(order = ?Order { id: call, venue: "XNAS" }, "derived");
    info!(every: 10, call, "one of ten");
    info!(at_most: (5, Duration::from_secs(3600)), call, "five in all");
    info!(sample: 0.5, call, "about half");
    info!(once: true, call, "the first");
    info!(logger: logger, call, "to an engine whose ring is full");
    log::info!(call; "of log: {call}");
}

/// Calls in contexts of both engines, which these are told of now, and in one that they know.
pub fn in_contexts(logger: &Logger, known: &Context, fresh: &[Context; 2], call: u64) {
    let [of_process, of_logger] = fresh;
    let _in = (of_process.enter(), of_logger.enter());
    info!(call, "in a fresh context");
    info!(logger: logger, call, "in a fresh context");
    known.in_scope(|| log::info!(call; "of log: {call}"));
}

/// Keeps them in the program.
pub fn all() {
    three(1, 2, 3.0);
    one(1, 2, 3.0);
    eleven(1, 2, 3.0);
}
