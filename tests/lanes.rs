//! Handlers on lanes: what one of them does wrong, the others do not notice, and the books say where each record is.

mod support;

use std::fs;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use support::ledger::receiver;
use support::{Gate, LONG, SOON, each, eventually, in_child, text};
use treering::handler::{
    Batch, Capture, File, FlightRecorder, FlushPolicy, Handler, HandlerError, LaneOptions,
};
use treering::overflow::{Loss, Reason};
use treering::prepare::{Change, Prepared};
use treering::record::Record;
use treering::stats::HandlerReport;
use treering::{
    Builder, Guard, Level, LevelFilter, Listener, Logger, Overflow, Wait, debug, error, info, queue, warn,
};

fn lossless() -> Builder {
    treering::builder().overflow(Overflow::block(LONG)).error_hook(|_| {})
}

fn start(builder: Builder) -> (Logger, Guard) {
    builder.start().unwrap()
}

fn number(record: &Record<'_>) -> u64 {
    record.value(0).unwrap().as_u64().unwrap()
}

/// A handler that stands before a gate with each record, and the numbers that it let pass.
fn gated(gate: &Gate) -> (impl Handler + 'static, Arc<Mutex<Vec<u64>>>) {
    let got = Arc::<Mutex<Vec<u64>>>::default();
    let (gate, sink) = (gate.clone(), got.clone());
    let handler = each(move |record| {
        gate.pass();
        sink.lock().unwrap().push(number(record));
    });
    (handler, got)
}

#[track_caller]
fn assert_balanced(handler: &HandlerReport) {
    let HandlerReport { offered, filtered, delivered, failed, abandoned, held, in_flight, .. } = handler;
    assert_eq!(*offered, filtered + delivered + failed + abandoned + held + in_flight, "{handler}");
}

#[test]
fn a_batch_of_which_a_preparation_leaves_nothing_passes_lanes_by() {
    let (logger, guard) =
        start(lossless().prepare(|_| Prepared::Drop("all of it")).handler(Capture::new().lane()));
    for n in 0..3_u64 {
        info!(logger: logger, "{n}");
        guard.flush(LONG).unwrap();
    }
    let report = guard.stop(LONG).unwrap();
    report.assert_balanced();
    assert_eq!((report.listener_panics, report.prepared_away["all of it"]), (0, 3), "{report}");
}

#[test]
fn what_a_preparation_changed_comes_out_of_a_lane_as_of_no_lane() {
    let (here, there) = (Capture::new(), Capture::new());
    let builder = lossless().prepare(|record| match number(record) % 3 {
        0 => Prepared::Keep,
        1 => Change::new().level(Level::Warn).message("changed").set("component", "billing").into(),
        _ => Change::new().remove("n").set("n", number(record) + 1000).into(),
    });
    let recorder = FlightRecorder::new(here.clone().level(Level::Error)).emit_at_close(true);
    let (logger, guard) = start(
        builder
            .handler(here.clone())
            .handler(there.clone().lane())
            .handler(recorder.named("recorder").lane()),
    );
    for n in 0..300_u64 {
        info!(logger: logger, n, text = "of the caller", "{n} as it was");
    }
    let report = guard.stop(SOON).unwrap();
    assert_balanced(&report.handlers["capture-2"]);
    let said = |capture: &Capture, at: usize| format!("{:?}", capture.records()[at]);
    assert_eq!((here.len(), there.len()), (601, 300), "the recorder's own line, and what it kept");
    for at in 0..300 {
        assert_eq!(said(&here, at), said(&there, at));
    }
    assert_eq!(there.records()[1].message(), "changed");
    assert_eq!(there.records()[1].field("component").unwrap().text(), "billing");
}

#[test]
fn a_handler_that_stands_still_holds_up_nobody() {
    let gate = Gate::closed();
    let (stalled, got) = gated(&gate);
    let healthy = Capture::new();
    let (logger, guard) = start(lossless().handler(stalled.lane()).handler(healthy.clone()));
    for n in 0..5000_u64 {
        info!(logger: logger, "{n}");
    }
    gate.wait_for_guest();
    eventually("the other one has all", || healthy.len() == 5000);
    eventually("all is on the lane", || guard.stats().dispatched == 5000);
    let report = guard.stats();
    let each = &report.handlers["each"];
    assert_balanced(each);
    assert_eq!((each.offered, each.delivered, each.failed), (5000, 0, 0));
    assert_eq!(each.held + each.in_flight, 5000, "{each}");
    assert!(each.held >= each.queued && each.in_flight >= 1 && each.queued > 3000, "{each}");
    gate.open();
    guard.flush(SOON).unwrap();
    let report = guard.stats();
    assert_eq!((report.handlers["each"].delivered, report.handlers["each"].queued), (5000, 0));
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless(), "{report}");
    assert_eq!(*got.lock().unwrap(), (0..5000).collect::<Vec<_>>(), "in order");
}

#[test]
fn what_finds_no_room_is_counted_and_the_handler_is_told() {
    let gate = Gate::closed();
    let (handler, received) = receiver(Duration::ZERO, Some(gate.clone()));
    let healthy = Capture::new();
    let lines = Arc::<Mutex<Vec<String>>>::default();
    let sink = lines.clone();
    let hooked = Arc::<Mutex<Vec<Loss>>>::default();
    let losses = hooked.clone();
    let (logger, guard) = start(
        lossless()
            .error_hook(move |line| sink.lock().unwrap().push(line.to_owned()))
            .on_drop(move |loss| losses.lock().unwrap().push(loss.clone()))
            .handler(handler.lane_with(LaneOptions::new().capacity(10_000)))
            .handler(healthy.clone()),
    );
    for n in 0..1000_u64 {
        info!(logger: logger, "{n}");
        if n % 10 == 0 {
            warn!(logger: logger, "{}", n + 1000);
        }
    }
    eventually("the other one has all", || healthy.len() == 1100);
    let report = guard.stats();
    let each = &report.handlers["each"];
    assert_balanced(each);
    assert!(each.overflowed > 900 && each.overflowed == each.failed, "{each}");
    assert!(each.held + each.in_flight < 10_000 / 60, "{each}");
    gate.open();
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert_eq!((report.dispatched, report.dropped), (1100, 0), "nobody else lost any");
    let (each, received) = (&report.handlers["each"], received.lock().unwrap());
    let arrived = received.by_level;
    assert_eq!(arrived[1] + received.lost_in_lane[1], 100);
    assert_eq!(arrived[2] + received.lost_in_lane[2], 1000);
    assert_eq!(received.lost_in_lane.iter().sum::<u64>(), each.overflowed);
    let told = each.offered - 1100;
    assert!(told >= 1);
    let hooked = hooked.lock().unwrap();
    assert_eq!(hooked.len() as u64, told, "the hook is told as the handler is");
    assert_eq!(hooked.iter().map(|loss| loss.records).sum::<u64>(), each.overflowed);
    for loss in hooked.iter() {
        assert_eq!((loss.reason, loss.handler.as_deref()), (Reason::Lane, Some("each")));
        assert_eq!(loss.by_level.iter().sum::<u64>(), loss.records);
        assert!(loss.from <= loss.until);
    }
    assert!(hooked[0].to_string().contains("records lost (lane) to handler each"), "{}", hooked[0]);
    assert_eq!((each.delivered, each.failed), (arrived.iter().sum::<u64>() + told, each.overflowed));
    // Where records of INFO are lost there was room for some of WARN.
    let last_info = received.numbers.iter().rposition(|n| *n < 1000).unwrap();
    assert!(received.numbers[last_info..].len() > 3, "{:?}", received.numbers);
    let full = |line: &&String| line.contains("the lane of handler each is full");
    assert_eq!(lines.lock().unwrap().iter().filter(full).count(), 1);
}

#[test]
fn of_batches_that_find_no_room_at_all_the_handler_is_told_what_it_would_have_got() {
    let gate = Gate::closed();
    let (handler, received) = receiver(Duration::ZERO, Some(gate.clone()));
    let healthy = Capture::new();
    let hooked = Arc::<Mutex<Vec<Loss>>>::default();
    let losses = hooked.clone();
    let lane = LaneOptions::new().capacity(10_000);
    let builder = treering::builder()
        .filter("debug")
        .wait(Wait::Manual)
        .error_hook(|_| {})
        .on_drop(move |loss| losses.lock().unwrap().push(loss.clone()))
        .handler(healthy.clone())
        .handler(handler.named("each").level(Level::Info).lane_with(lane));
    let (logger, guard) = start(builder);
    let counts = || {
        let each = &guard.stats().handlers["each"];
        assert_balanced(each);
        [each.offered, each.filtered, each.queued, each.failed, each.overflowed]
    };
    info!(logger: logger, "{}", 0_u64);
    guard.poll().unwrap();
    gate.wait_for_guest();
    (1..=500_u64).for_each(|n| error!(logger: logger, "{n}"));
    guard.poll().unwrap();
    let [offered, _, fitted, failed, overflowed] = counts();
    assert!(fitted > 10 && failed == overflowed && fitted + failed == 500 && offered == 501);
    for _ in 0..3 {
        debug!(logger: logger, "{}", 501_u64);
        info!(logger: logger, "{}", 502_u64);
        error!(logger: logger, "{}", 503_u64);
        warn!(logger: logger, "{}", 504_u64);
        debug!(logger: logger, "{}", 505_u64);
        guard.poll().unwrap();
    }
    assert_eq!(counts(), [516, 6, fitted, failed + 9, failed + 9]);
    gate.open();
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    let hooked = hooked.lock().unwrap();
    let [loss] = &hooked[..] else { panic!("one gap: {hooked:?}") };
    assert_eq!((loss.records, loss.by_level), (failed + 9, [failed + 3, 3, 3, 0, 0]));
    let all = healthy.records();
    let time_of = |at: usize| all[at].time();
    assert_eq!((loss.from, loss.until), (time_of(1 + fitted as usize), time_of(all.len() - 2)));
    let (each, received) = (&report.handlers["each"], received.lock().unwrap());
    assert_eq!((each.delivered, received.lost_in_lane), (fitted + 2, loss.by_level), "{each}");
}

#[test]
fn what_a_quarantined_handler_is_spared_is_what_it_would_have_got() {
    for has_filter in [false, true] {
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let sink = lines.clone();
        let calls = Arc::<AtomicU64>::default();
        let counted = calls.clone();
        let handler = each(move |_| match counted.fetch_add(1, Ordering::SeqCst) {
            0..9 => panic!("at first"),
            9 => {
                thread::sleep(Duration::from_millis(50)); // so it is left alone for nine times as long
                panic!("and slowly");
            }
            _ => {}
        });
        let handler = handler.level(Level::Info);
        let handler = if has_filter { handler.filter(|record| number(record) != 1) } else { handler };
        let builder = treering::builder()
            .filter("debug")
            .wait(Wait::Manual)
            .error_hook(move |line| sink.lock().unwrap().push(line.to_owned()))
            .handler(handler.lane());
        let (logger, guard) = start(builder);
        let mut rounds = 0;
        eventually("it works again", || {
            rounds += 1;
            debug!(logger: logger, "{}", 0_u64);
            info!(logger: logger, "{}", 1_u64);
            warn!(logger: logger, "{}", 2_u64);
            guard.poll().unwrap();
            assert_balanced(&guard.stats().handlers["each"]);
            calls.load(Ordering::SeqCst) > 10
        });
        let report = guard.stop(SOON).unwrap();
        report.assert_balanced();
        let each = &report.handlers["each"];
        let filtered = if has_filter { 2 } else { 1 };
        assert_eq!((each.offered, each.filtered), (rounds * 3, rounds * filtered), "{each}");
        assert_eq!((each.failed, each.overflowed), (10 + each.skipped, 0), "{each}");
        assert!(each.skipped > 0, "{each}");
        let end = format!("handler each works again; {} records were skipped", each.skipped);
        let lines = lines.lock().unwrap();
        assert!(lines.contains(&end), "{end}: {lines:#?}");
    }
}

#[test]
fn on_drop_hears_of_each_loss_that_a_handler_on_a_lane_is_told_of() {
    let (handler, received) = receiver(Duration::from_micros(20), None);
    let hooked = Arc::<Mutex<Vec<u64>>>::default();
    let losses = hooked.clone();
    let builder = lossless().on_drop(move |loss| losses.lock().unwrap().push(loss.records));
    let (logger, guard) = start(builder.handler(handler.lane_with(LaneOptions::new().capacity(1000))));
    for n in 0..5000_u64 {
        info!(logger: logger, "{n}");
        if n % 500 == 0 {
            guard.flush(SOON).unwrap(); // so that there is room now and then
        }
    }
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    let (each, hooked) = (&report.handlers["each"], hooked.lock().unwrap());
    assert!(hooked.len() > 1, "{each}");
    assert_eq!((hooked.len() as u64, hooked.iter().sum()), (each.offered - 5000, each.overflowed));
    assert_eq!(received.lock().unwrap().lost_in_lane[2], each.overflowed);
}

#[test]
fn a_loss_is_told_when_there_is_room_again_though_nobody_logs() {
    let gate = Gate::closed();
    let (handler, received) = receiver(Duration::ZERO, Some(gate.clone()));
    let (logger, guard) = start(lossless().handler(handler.lane_with(LaneOptions::new().capacity(1000))));
    for n in 0..100_u64 {
        info!(logger: logger, "{n}");
    }
    eventually("all is handed out", || guard.stats().dispatched == 100);
    let lost = guard.stats().handlers["each"].overflowed;
    assert!(lost > 80);
    gate.open();
    eventually("it is told", || received.lock().unwrap().lost_in_lane[2] == lost);
    guard.stop(SOON).unwrap().assert_balanced();
}

#[test]
fn an_empty_lane_takes_any_record() {
    let capture = Capture::new();
    let lane = LaneOptions::new().capacity(0);
    let (logger, guard) = start(lossless().handler(capture.clone().lane_with(lane)));
    let text = "x".repeat(10_000);
    info!(logger: logger, "{text}");
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless(), "{report}");
    assert_eq!(capture.records()[0].message().len(), 10_000);
}

#[test]
fn who_waits_for_room_loses_nothing() {
    let handler = each(|_| thread::sleep(Duration::from_micros(200)));
    let lane = LaneOptions::new().capacity(2000).wait_for_room(LONG);
    let (logger, guard) = start(lossless().handler(handler.lane_with(lane)));
    for n in 0..1000_u64 {
        info!(logger: logger, "{n}");
    }
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert_eq!(report.handlers["each"].delivered, 1000, "{report}");
}

#[test]
fn who_waits_for_room_waits_no_longer_than_was_said() {
    let gate = Gate::closed();
    let (stalled, _) = gated(&gate);
    let healthy = Capture::new();
    let lane = LaneOptions::new().capacity(1000).wait_for_room(Duration::from_millis(1));
    let (logger, guard) = start(lossless().handler(stalled.lane_with(lane)).handler(healthy.clone()));
    for n in 0..100_u64 {
        info!(logger: logger, "{n}");
    }
    eventually("the other one has all", || healthy.len() == 100);
    gate.open();
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert!(report.handlers["each"].overflowed > 80, "{report}");
}

#[test]
fn one_that_panics_is_left_alone_and_one_on_a_full_disk_loses_what_it_holds() {
    let healthy = Capture::new();
    let panics = each(|_| panic!("oops"));
    let full = File::append("/dev/full").unwrap();
    let (logger, guard) =
        start(lossless().handler(panics.lane()).handler(full.named("full").lane()).handler(healthy.clone()));
    for n in 0..1000_u64 {
        info!(logger: logger, "{n}");
    }
    guard.flush(SOON).unwrap();
    let report = guard.stats();
    assert!(report.handlers["each"].quarantined, "{report}");
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    let (each, full) = (&report.handlers["each"], &report.handlers["full"]);
    assert_eq!((each.offered, each.failed, each.overflowed), (1000, 1000, 0), "{each}");
    assert!(each.skipped > 500, "{each}");
    assert_eq!((full.offered, full.failed), (1000, 1000), "{full}");
    assert_eq!(report.handlers["capture"].delivered, 1000);
}

#[test]
fn a_flush_waits_for_the_lane_and_the_listener_does_not() {
    let gate = Gate::closed();
    let (stalled, got) = gated(&gate);
    let healthy = Capture::new();
    let (logger, guard) = start(lossless().handler(stalled.lane()).handler(healthy.clone()));
    info!(logger: logger, "{}", 1_u64);
    gate.wait_for_guest();
    assert!(guard.flush(Duration::from_millis(20)).unwrap_err().is_timeout());
    assert!(guard.wait_idle(Duration::from_millis(20)).unwrap_err().is_timeout());
    let flushing = {
        let logger = logger.clone();
        thread::spawn(move || logger.flush(SOON))
    };
    info!(logger: logger, "{}", 2_u64);
    eventually("the other one goes on while somebody waits", || healthy.len() == 2);
    assert!(!flushing.is_finished());
    gate.open();
    flushing.join().unwrap().unwrap();
    assert_eq!(got.lock().unwrap()[0], 1);
    guard.wait_idle(SOON).unwrap();
    assert_eq!(*got.lock().unwrap(), [1, 2]);
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless(), "{report}");
}

/// Keeps what it gets until it is flushed.
#[derive(Default)]
struct Holds {
    held: u64,
    flushed: Arc<AtomicU64>,
}

impl Handler for Holds {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        self.held += batch.iter().count() as u64;
        Ok(())
    }

    fn flush(&mut self) -> Result<(), HandlerError> {
        self.flushed.fetch_add(std::mem::take(&mut self.held), Ordering::SeqCst);
        Ok(())
    }

    fn held(&self) -> u64 {
        self.held
    }

    fn name(&self) -> String {
        "holds".to_owned()
    }
}

#[test]
fn what_a_handler_holds_leaves_when_its_lane_is_idle_or_as_its_policy_says() {
    let flushed = Arc::<AtomicU64>::default();
    let holds = || Holds { held: 0, flushed: flushed.clone() };
    let (logger, guard) = start(lossless().handler(holds().lane()));
    info!(logger: logger, "{}", 1_u64);
    eventually("it leaves by itself", || flushed.load(Ordering::SeqCst) == 1);
    let never = FlushPolicy::new().when_idle(false).held_at_most(Duration::MAX).each_records(3);
    guard.handlers().replace("holds", holds().flush_policy(never).lane(), SOON).unwrap();
    info!(logger: logger, "{}", 2_u64);
    info!(logger: logger, "{}", 3_u64);
    eventually("it has them", || guard.stats().handlers["holds"].held == 2);
    thread::sleep(Duration::from_millis(20));
    assert_eq!(flushed.load(Ordering::SeqCst), 1);
    info!(logger: logger, "{}", 4_u64);
    eventually("the third brings all out", || flushed.load(Ordering::SeqCst) == 4);
    info!(logger: logger, "{}", 5_u64);
    guard.flush(SOON).unwrap();
    assert_eq!(flushed.load(Ordering::SeqCst), 5, "asked for");
    info!(logger: logger, "{}", 6_u64);
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless(), "{report}");
    assert_eq!(report.handlers["holds"].delivered, 6);
}

#[test]
fn at_the_deadline_of_a_stop_each_record_has_its_fate_and_none_is_handed_out_after_it() {
    for wait in [Wait::Adaptive, Wait::Manual] {
        let gate = Gate::closed();
        let (stalled, got) = gated(&gate);
        let healthy = Capture::new();
        let builder = lossless().wait(wait).handler(stalled.lane()).handler(healthy.clone());
        let (logger, guard) = start(builder);
        let log = |numbers: std::ops::Range<u64>| {
            numbers.for_each(|n| info!(logger: logger, "{n}"));
            if wait == Wait::Manual {
                guard.poll().unwrap();
            }
        };
        // Ten are in the handler's hands, the others wait in the lane.
        log(0..10);
        gate.wait_for_guest();
        log(10..100);
        eventually("all is handed out", || guard.stats().dispatched == 100);
        assert!(guard.stats().handlers["each"].queued >= 90);
        let began = Instant::now();
        let report = guard.stop(Duration::from_millis(100)).unwrap();
        assert!(began.elapsed() < SOON / 2, "{:?}", began.elapsed());
        report.assert_balanced();
        let each = &report.handlers["each"];
        assert_eq!((each.offered, each.in_flight, each.abandoned), (100, 1, 99), "{wait:?}: {each}");
        assert_eq!((report.handlers["capture"].delivered, healthy.len()), (100, 100));
        gate.open();
        eventually("it gets what it has in hand", || !got.lock().unwrap().is_empty());
        thread::sleep(Duration::from_millis(20));
        assert_eq!(*got.lock().unwrap(), [0], "and nothing else");
        assert_eq!(guard.stop(SOON).unwrap(), report, "the books are closed");
    }
}

#[test]
fn a_stop_brings_out_what_is_in_the_lanes_and_closes_the_handlers() {
    /// A file that takes its time.
    struct Slow(fs::File, Arc<AtomicBool>);
    impl Handler for Slow {
        fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
            for record in batch {
                thread::sleep(Duration::from_micros(100));
                writeln!(self.0, "{}", record.message())?;
            }
            Ok(())
        }
    }
    impl Drop for Slow {
        fn drop(&mut self) {
            self.1.store(true, Ordering::SeqCst);
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let (slow, path) = (directory.path().join("slow"), directory.path().join("file"));
    let closed = Arc::<AtomicBool>::default();
    let handler = Slow(fs::File::create(&slow).unwrap(), closed.clone());
    let builder = lossless().handler(handler.lane()).handler(File::append(&path).unwrap().lane());
    let (logger, guard) = start(builder);
    for n in 0..1000_u64 {
        info!(logger: logger, "{n}");
    }
    let report = guard.stop(SOON).unwrap();
    assert!(closed.load(Ordering::SeqCst), "dropped when stop returns");
    assert!(report.is_lossless(), "{report}");
    report.assert_balanced();
    assert_eq!(fs::read_to_string(slow).unwrap().lines().count(), 1000);
    assert_eq!(fs::read_to_string(path).unwrap().lines().count(), 1000);
}

#[test]
fn handlers_on_lanes_come_and_go() {
    let (one, two) = (Capture::new(), Capture::new());
    let (logger, guard) = start(lossless());
    let handlers = guard.handlers();
    info!(logger: logger, "{}", 0_u64);
    handlers.add(one.clone().named("main").lane(), SOON).unwrap();
    assert!(handlers.add(two.clone().named("main").lane(), SOON).unwrap_err().is_config());
    info!(logger: logger, "{}", 1_u64);
    handlers.replace("main", two.clone().lane(), SOON).unwrap();
    assert_eq!((one.len(), guard.stats().handlers["main"].attached), (1, true));
    info!(logger: logger, "{}", 2_u64);
    handlers.set_level("main", Level::Warn, SOON).unwrap();
    info!(logger: logger, "{}", 3_u64);
    handlers.set_level("main", LevelFilter::ALL, SOON).unwrap();
    handlers.set_filter("main", |record| number(record) != 4, SOON).unwrap();
    info!(logger: logger, "{}", 4_u64);
    info!(logger: logger, "{}", 5_u64);
    handlers.remove("main", SOON).unwrap();
    assert!(!guard.stats().handlers["main"].attached);
    assert!(handlers.remove("main", SOON).unwrap_err().is_config());
    info!(logger: logger, "{}", 6_u64);
    handlers.add(one.clone().named("main"), SOON).unwrap();
    info!(logger: logger, "{}", 7_u64);
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    let messages = |capture: &Capture| -> Vec<_> {
        capture.records().iter().map(|record| record.message().to_owned()).collect()
    };
    assert_eq!(messages(&one), ["1", "7"]);
    assert_eq!(messages(&two), ["2", "5"]);
    assert_eq!(report.handlers.iter().count(), 1, "one name, one entry");
    let main = &report.handlers["main"];
    assert_eq!((main.offered, main.filtered, main.delivered), (6, 2, 4), "{main}");
}

#[test]
fn a_lane_that_is_removed_while_it_stands_still_holds_up_only_who_waits_for_that() {
    let gate = Gate::closed();
    let (stalled, got) = gated(&gate);
    let healthy = Capture::new();
    let (logger, guard) = start(lossless().handler(stalled.lane()));
    for n in 0..10_u64 {
        info!(logger: logger, "{n}");
    }
    gate.wait_for_guest();
    let replaced = guard.handlers().replace("each", healthy.clone(), Duration::from_millis(50));
    assert!(replaced.unwrap_err().is_timeout());
    info!(logger: logger, "{}", 10_u64);
    eventually("the new one works", || healthy.len() == 1);
    let report = guard.stats();
    assert_eq!(report.handlers.iter().count(), 1, "one name, one entry: {report:#?}");
    let each = &report.handlers["each"];
    assert_balanced(each);
    assert_eq!((each.offered, each.delivered, each.held + each.in_flight), (11, 1, 10), "{each}");
    gate.open();
    guard.flush(SOON).unwrap();
    assert_eq!(got.lock().unwrap().len(), 10, "a flush waits for those that leave");
    for _ in 0..5 {
        guard.handlers().replace("each", healthy.clone().lane(), SOON).unwrap();
        info!(logger: logger, "{}", 11_u64);
    }
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless(), "{report}");
    assert_eq!((report.handlers["each"].delivered, report.handlers.iter().count()), (16, 1));
}

/// Stands before a gate when it is dropped.
struct Lingers(Gate);

impl Handler for Lingers {
    fn handle(&mut self, _: &Batch<'_>) -> Result<(), HandlerError> {
        Ok(())
    }
}

impl Drop for Lingers {
    fn drop(&mut self) {
        self.0.pass();
    }
}

#[test]
fn a_handler_counts_as_removed_when_it_was_dropped() {
    const SHORT: Duration = Duration::from_millis(100);
    for on_lane in [true, false] {
        let gate = Gate::closed();
        let (lingers, builder) = (Lingers(gate.clone()).named("lingers"), treering::builder());
        let builder = if on_lane { builder.handler(lingers.lane()) } else { builder.handler(lingers) };
        let (_logger, guard) = start(builder);
        thread::scope(|scope| {
            let removal = scope.spawn(|| guard.handlers().remove("lingers", SHORT));
            gate.wait_for_guest();
            assert!(removal.join().unwrap().unwrap_err().is_timeout(), "it is there still");
        });
        gate.open();
        guard.flush(SOON).unwrap();
        assert!(guard.handlers().remove("lingers", SOON).unwrap_err().is_config());
        guard.stop(SOON).unwrap().assert_balanced();
    }
}

#[test]
fn a_handler_that_logs_on_its_lane_does_not_go_round_for_ever() {
    // In a process of its own, as what is nested is counted for the whole process.
    let ended = in_child("a_handler_that_logs_on_its_lane_does_not_go_round_for_ever", &[], echoes);
    ended.into_iter().for_each(|output| assert!(output.status.success(), "{}", text(&output)));
}

fn echoes() {
    for registers in [false, true] {
        let logger = Arc::<Mutex<Option<Logger>>>::default();
        let count = Arc::<AtomicU64>::default();
        let answers = |count: &Arc<AtomicU64>| {
            let (logger, count) = (logger.clone(), count.clone());
            each(move |record| {
                count.fetch_add(1, Ordering::SeqCst);
                let logger = logger.lock().unwrap().clone().unwrap();
                if registers {
                    logger.register_thread(); // and goes the cold way all the same
                }
                info!(logger: logger, "{}", number(record) + 1000);
            })
        };
        let capture = Capture::new();
        let builder = treering::builder()
            .overflow(Overflow::block_forever())
            .ring_capacity(4096)
            .handler(answers(&count).lane())
            .handler(answers(&Arc::default()).named("second").lane())
            .handler(capture.clone());
        let (mine, guard) = start(builder);
        *logger.lock().unwrap() = Some(mine.clone());
        for n in 0..20_u64 {
            info!(logger: mine, "{n}");
            guard.wait_idle(SOON).unwrap();
        }
        // What the last answers led to is in its ring.
        guard.wait_idle(SOON).unwrap();
        let report = guard.stop(SOON).unwrap();
        report.assert_balanced();
        // Each record has two answers, one of each handler, and an answer none.
        assert_eq!(capture.len(), 60, "{report}");
        assert_eq!(count.load(Ordering::SeqCst), 60);
        *logger.lock().unwrap() = None;
    }
}

#[test]
fn a_handler_on_a_lane_cannot_wait_for_itself() {
    type Asks = Arc<Mutex<Vec<treering::Error>>>;
    let (errors, logger) = (Asks::default(), Arc::<Mutex<Option<Logger>>>::default());
    let (sink, mine) = (errors.clone(), logger.clone());
    let handler = each(move |_| {
        let logger = mine.lock().unwrap().take().unwrap();
        let asked = [
            logger.flush(LONG),
            logger.wait_idle(LONG),
            logger.handlers().remove("each", LONG),
            logger.handlers().add(Capture::new(), LONG),
        ];
        sink.lock().unwrap().extend(asked.into_iter().map(Result::unwrap_err));
    });
    let (named, guard) = start(lossless().handler(handler.lane()));
    *logger.lock().unwrap() = Some(named.clone());
    info!(logger: named, "{}", 1_u64);
    guard.flush(SOON).unwrap();
    let errors = errors.lock().unwrap();
    assert_eq!(errors.len(), 4);
    assert!(errors.iter().all(treering::Error::is_on_listener_thread), "{errors:?}");
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless(), "{report}");
}

#[test]
fn a_stop_on_a_lane_is_an_error_and_the_end() {
    let kept = Arc::<Mutex<Option<Guard>>>::default();
    let mine = kept.clone();
    let has_asked = Arc::<AtomicBool>::default();
    let asked = has_asked.clone();
    let handler = each(move |_| {
        let guard = mine.lock().unwrap().take().unwrap();
        assert!(guard.stop(LONG).unwrap_err().is_on_listener_thread());
        *mine.lock().unwrap() = Some(guard);
        asked.store(true, Ordering::SeqCst);
    });
    let (logger, guard) = start(lossless().handler(handler.lane()));
    *kept.lock().unwrap() = Some(guard);
    info!(logger: logger, "{}", 1_u64);
    eventually("it asked", || has_asked.load(Ordering::SeqCst));
    let guard = kept.lock().unwrap().take().unwrap();
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless(), "{report}");
}

#[test]
fn level_and_filter_are_decided_before_the_lane_and_what_it_accepts_on_it() {
    struct Picky(Arc<Mutex<Vec<u64>>>, Arc<AtomicBool>);
    impl Handler for Picky {
        fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
            self.0.lock().unwrap().extend(batch.iter().map(|record| number(&record)));
            Ok(())
        }
        fn accepts(&mut self, record: &Record<'_>) -> bool {
            assert_eq!(thread::current().name(), Some("lane-Picky"));
            !number(record).is_multiple_of(3)
        }
        fn max_level(&self) -> LevelFilter {
            if self.1.load(Ordering::SeqCst) { LevelFilter::ALL } else { Level::Info.into() }
        }
    }
    let (got, is_verbose) = (Arc::<Mutex<Vec<u64>>>::default(), Arc::<AtomicBool>::default());
    let handler = Picky(got.clone(), is_verbose.clone());
    let on_listener = |record: &Record<'_>| {
        assert_eq!(thread::current().name(), Some("treering"));
        !number(record).is_multiple_of(2)
    };
    let builder = lossless().filter("debug").handler(handler.filter(on_listener).lane());
    let (logger, guard) = start(builder);
    for n in 0..12_u64 {
        info!(logger: logger, "{n}");
        debug!(logger: logger, "{}", n + 100);
    }
    guard.flush(SOON).unwrap();
    assert_eq!(*got.lock().unwrap(), [1, 5, 7, 11]);
    let picky = &guard.stats().handlers["Picky"];
    assert_eq!((picky.offered, picky.filtered, picky.delivered), (24, 20, 4));
    is_verbose.store(true, Ordering::SeqCst);
    let mut n = 1001;
    eventually("it is asked for its level again", || {
        debug!(logger: logger, "{n}");
        n += 6;
        got.lock().unwrap().len() > 4
    });
    guard.stop(SOON).unwrap().assert_balanced();
}

#[test]
fn a_lane_needs_no_listener_thread() {
    let capture = Capture::new();
    let (logger, guard) = start(lossless().wait(Wait::Manual).handler(capture.clone().lane()));
    info!(logger: logger, "{}", 1_u64);
    assert_eq!(guard.poll().unwrap(), 1);
    eventually("it comes through", || capture.len() == 1);
    info!(logger: logger, "{}", 2_u64);
    guard.flush(SOON).unwrap();
    assert_eq!(capture.len(), 2);
    info!(logger: logger, "{}", 3_u64);
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless(), "{report}");
    assert_eq!(capture.len(), 3);
}

#[test]
fn all_of_a_handler_with_a_fallback_goes_on_a_lane() {
    let spare = Capture::new();
    let handler = File::append("/dev/full").unwrap().or(spare.clone()).lane();
    let (logger, guard) = start(lossless().handler(handler));
    for n in 0..100_u64 {
        error!(logger: logger, "{n}");
    }
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless(), "{report}");
    assert_eq!((spare.len(), report.handlers["/dev/full"].diverted), (100, 100));
}

#[test]
fn a_listener_over_a_queue_has_no_lanes_and_says_so() {
    let queue = || queue::Locked::bounded(1000);
    let error = Listener::new(queue()).handler(Capture::new().lane()).start().unwrap_err();
    assert!(error.is_config() && error.to_string().contains("lane"), "{error}");
    let lines = Arc::<Mutex<Vec<String>>>::default();
    let sink = lines.clone();
    let hook = move |line: &str| sink.lock().unwrap().push(line.to_owned());
    drop(Listener::new(queue()).error_hook(hook).handler(Capture::new().lane()).manual());
    assert!(lines.lock().unwrap()[0].contains("lane"));
}

#[test]
fn the_books_balance_at_any_time() {
    let slow = each(|_| thread::sleep(Duration::from_micros(20)));
    let lane = LaneOptions::new().capacity(20_000);
    let (logger, guard) = start(lossless().handler(slow.lane_with(lane)));
    thread::scope(|scope| {
        let logging = scope.spawn(|| {
            for n in 0..20_000_u64 {
                info!(logger: logger, "{n}");
            }
        });
        let mut before = 0;
        while !logging.is_finished() {
            let report = guard.stats();
            let each = &report.handlers["each"];
            assert_balanced(each);
            assert!(each.in_flight <= 1024, "what waits in the lane is held: {each}");
            let settled = each.delivered + each.failed;
            assert!(settled >= before && each.overflowed <= each.failed, "{each}");
            before = settled;
        }
    });
    guard.stop(SOON).unwrap().assert_balanced();
}
