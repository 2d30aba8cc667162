//! Each overflow policy to the record: what is delivered, what is dropped for which reason, and how long callers wait.

#![allow(clippy::print_stderr, reason = "tests tell their figures")]

mod support;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use support::ledger::{Received, compare, receiver};
use support::{Gate, LONG, SOON, eventually, in_child, own_thread_id, text};
use treering::handler::{Capture, CapturedValue};
use treering::overflow::{Decision, Full, Loss, Reason};
use treering::{Builder, Guard, Level, Logger, Overflow, Wait, debug, error, info, warn};

/// Records of three words that a ring of 4 KiB holds beside the eighth that is kept for WARN and above.
const FIT: u64 = 149;

/// An engine with rings of 4 KiB whose handler is held at a gate by a first record, number 0, from this thread.
struct Paused {
    logger: Logger,
    guard: Guard,
    gate: Gate,
    received: Arc<Mutex<Received>>,
}

impl Paused {
    fn new(builder: Builder) -> Self {
        let gate = Gate::closed();
        let (take, received) = receiver(Duration::ZERO, Some(gate.clone()));
        let (logger, guard) = builder.filter("trace").ring_capacity(4096).handler(take).start().unwrap();
        error!(logger: logger, "{}", 0_u64);
        gate.wait_for_guest();
        Paused { logger, guard, gate, received }
    }

    fn info(&self, numbers: impl IntoIterator<Item = u64>) {
        numbers.into_iter().for_each(|n| info!(logger: self.logger, "{n}"));
    }

    fn dropped(&self, reason: Reason) -> u64 {
        self.guard.stats().dropped_by_reason.total(reason)
    }

    /// Lets the handler go on and stops; checks both books against what was logged, and returns what was received.
    #[track_caller]
    fn finish(self, logged: [u64; 5]) -> Received {
        self.gate.open();
        let report = self.guard.stop(LONG).unwrap();
        let received = self.received.lock().unwrap().clone();
        compare(&report, logged, &received);
        received
    }
}

#[test]
fn of_more_records_than_fit_each_policy_keeps_its_own_and_tells_of_all_others() {
    const MORE: u64 = 50;
    const ALL: u64 = FIT + MORE;
    // A record of three words in a ring of 512 is sampled once 86 lie in it.
    let sampled: Vec<u64> = (1..=86).chain((87..=ALL).step_by(10)).collect();
    let oldest: Vec<u64> = (1..=FIT).collect();
    let newest = (MORE + 1..=ALL).collect();
    let refuses = Overflow::custom(|_: &Full<'_>| Decision::Drop);
    let cases = [
        (Overflow::drop_newest(), oldest.clone(), Reason::Full),
        (Overflow::drop_oldest(), newest, Reason::Oldest),
        (Overflow::block(Duration::from_millis(1)), oldest.clone(), Reason::Full),
        (Overflow::sample(10), sampled, Reason::Sampled),
        (refuses, oldest, Reason::Policy),
    ];
    for (policy, kept, reason) in cases {
        let paused = Paused::new(treering::builder().overflow(policy.clone()));
        paused.info(1..=ALL);
        let lost = ALL - kept.len() as u64;
        assert_eq!(paused.dropped(reason), lost, "{policy:?}");
        let received = paused.finish([1, 0, ALL, 0, 0]);
        assert_eq!(received.numbers[1..], kept, "{policy:?}");
        let [loss] = &received.losses[..] else { panic!("{policy:?}: {:?}", received.losses) };
        assert_eq!((&*loss.reason, loss.by_level), (reason.as_str(), [0, 0, lost, 0, 0]), "{policy:?}");
        if reason != Reason::Sampled {
            received.assert_joined(|n| if n == 0 { Level::Error } else { Level::Info });
        }
    }
}

#[test]
fn of_a_single_level_each_policy_keeps_its_own_and_leaves_the_others_theirs() {
    const MORE: u64 = 50;
    const ALL: u64 = FIT + MORE;
    const OTHERS: u64 = 5;
    let sampled: Vec<u64> = (1..=86).chain((87..=ALL).step_by(10)).collect();
    let oldest: Vec<u64> = (1..=FIT).collect();
    let newest = (MORE + 1..=ALL).collect();
    let refuses = || Overflow::custom(|_: &Full<'_>| Decision::Drop);
    let cases = [
        (Overflow::drop_newest(), refuses(), oldest.clone(), Reason::Full, Some(Reason::Policy)),
        (Overflow::drop_oldest(), refuses(), newest, Reason::Oldest, Some(Reason::Policy)),
        (
            Overflow::block(Duration::from_millis(1)),
            refuses(),
            oldest.clone(),
            Reason::Full,
            Some(Reason::Policy),
        ),
        (Overflow::sample(10), refuses(), sampled, Reason::Sampled, None),
        (refuses(), Overflow::drop_newest(), oldest, Reason::Policy, Some(Reason::Full)),
    ];
    for (policy, others, kept, reason, of_others) in cases {
        let builder = treering::builder().overflow(others).overflow_at(Level::Info, policy.clone());
        let paused = Paused::new(builder);
        paused.info(1..=ALL);
        // Of the level below, into what INFO has left.
        (1..=OTHERS).for_each(|n| debug!(logger: paused.logger, "{}", ALL + n));
        let lost = ALL - kept.len() as u64;
        let mut expected = vec![(reason.as_str(), [0, 0, lost, 0, 0])];
        let mut arrived = kept;
        match of_others {
            Some(reason) => expected.push((reason.as_str(), [0, 0, 0, OTHERS, 0])),
            None => arrived.extend(ALL + 1..=ALL + OTHERS),
        }
        let received = paused.finish([1, 0, ALL, OTHERS, 0]);
        assert_eq!(received.numbers[1..], arrived, "{policy:?}");
        let mut told: Vec<_> = received.losses.iter().map(|told| (&*told.reason, told.by_level)).collect();
        told.sort_by_key(|(_, by_level)| by_level[3]);
        assert_eq!(told, expected, "{policy:?}");
    }
}

#[test]
fn who_blocks_for_ever_loses_nothing_for_all_levels_or_for_one() {
    const ALL: u64 = 3 * FIT;
    for builder in [
        treering::builder().overflow(Overflow::block_forever()),
        treering::builder().overflow_at(Level::Info, Overflow::block_forever()),
    ] {
        let paused = Paused::new(builder);
        let logged = AtomicU64::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                (1..=ALL).for_each(|n| {
                    paused.info([n]);
                    logged.fetch_add(1, Ordering::Relaxed);
                });
            });
            eventually("it has no room", || logged.load(Ordering::Relaxed) == FIT);
            std::thread::sleep(Duration::from_millis(20));
            assert_eq!(logged.load(Ordering::Relaxed), FIT, "it waits");
            paused.gate.open();
        });
        let received = paused.finish([1, 0, ALL, 0, 0]);
        assert_eq!(received.numbers, (0..=ALL).collect::<Vec<_>>());
        assert!(received.losses.is_empty());
    }
}

#[test]
fn drop_newest_keeps_the_oldest_records_and_tells_of_the_others() {
    let paused = Paused::new(treering::builder());
    paused.info(1..=FIT + 1_000);
    assert_eq!(paused.dropped(Reason::Full), 1_000);
    let received = paused.finish([1, 0, FIT + 1_000, 0, 0]);
    assert_eq!(received.numbers, (0..=FIT).collect::<Vec<_>>());
    let [loss] = &received.losses[..] else { panic!("{:?}", received.losses) };
    assert_eq!((&*loss.reason, loss.calls), ("full", (FIT + 2, FIT + 1_001)));
    assert_eq!(loss.thread, own_thread_id());
}

#[test]
fn a_threads_calls_are_counted_from_one_in_a_ring_that_was_anothers() {
    let (take, received) = receiver(Duration::ZERO, None);
    let builder = treering::builder().wait(Wait::Manual).ring_capacity(4096);
    let (logger, guard) = builder.handler(take).start().unwrap();
    let log_from_a_thread = |records| {
        let logger = logger.clone();
        std::thread::spawn(move || (1..=records).for_each(|n: u64| info!(logger: logger, "{n}")))
            .join()
            .unwrap();
    };
    log_from_a_thread(100);
    assert_eq!(guard.poll().unwrap(), 100);
    log_from_a_thread(FIT + 1_000);
    let report = guard.stop(LONG).unwrap();
    let received = received.lock().unwrap();
    compare(&report, [0, 0, FIT + 1_100, 0, 0], &received);
    let [loss] = &received.losses[..] else { panic!("{:?}", received.losses) };
    let placed = received.numbers.len() as u64 - 100;
    assert_eq!(loss.calls, (placed + 1, FIT + 1_000));
}

#[test]
fn drop_oldest_keeps_the_newest_records_and_tells_of_the_others_where_they_were() {
    let paused = Paused::new(treering::builder().overflow(Overflow::drop_oldest()));
    paused.info(1..=FIT + 1_000);
    assert_eq!(paused.dropped(Reason::Oldest), 1_000);
    assert_eq!(paused.guard.stats().pending, FIT);
    let received = paused.finish([1, 0, FIT + 1_000, 0, 0]);
    assert_eq!(received.numbers, std::iter::once(0).chain(1_001..=FIT + 1_000).collect::<Vec<_>>());
    let [loss] = &received.losses[..] else { panic!("{:?}", received.losses) };
    assert_eq!((&*loss.reason, loss.calls, loss.behind), ("oldest", (2, 1_001), 1));
}

#[test]
fn records_of_any_length_and_level_make_room_for_newer_ones() {
    for filler in [0, 100, 900, 1_500] {
        let paused = Paused::new(treering::builder().overflow(Overflow::drop_oldest()));
        let long = "x".repeat(filler);
        for n in 1..=2_000_u64 {
            match n % 3 {
                0 => error!(logger: paused.logger, "{n} {}", &long[..n as usize % (filler + 1)]),
                1 => warn!(logger: paused.logger, "{n}"),
                _ => debug!(logger: paused.logger, "{n} {}", &long[..filler]),
            }
        }
        let received = paused.finish([1 + 666, 667, 0, 667, 0]);
        let from = 2_001 - (received.numbers.len() as u64 - 1);
        assert_eq!(received.numbers[1..], (from..=2_000).collect::<Vec<_>>(), "the newest, without a gap");
        assert_eq!(received.losses.len(), 1);
    }
}

#[test]
fn where_one_level_drops_the_oldest_the_others_keep_their_policy() {
    let builder = treering::builder().overflow_at(Level::Info, Overflow::drop_oldest());
    let paused = Paused::new(builder);
    (1..=2 * FIT).for_each(|n| debug!(logger: paused.logger, "{n}"));
    assert_eq!(paused.dropped(Reason::Full), FIT, "DEBUG drops the newest");
    paused.info([1_000]);
    let received = paused.finish([1, 0, 1, 2 * FIT, 0]);
    // INFO needs room for itself and for the loss record before it.
    assert_eq!(received.numbers, std::iter::once(0).chain(5..=FIT).chain([1_000]).collect::<Vec<_>>());
}

#[test]
fn while_the_oldest_are_dropped_and_taken_at_once_each_record_has_one_fate() {
    const THREADS: u64 = 4;
    const RECORDS: u64 = 200_000;
    let (take, received) = receiver(Duration::ZERO, None);
    let builder = treering::builder().overflow(Overflow::drop_oldest()).ring_capacity(4096);
    // One ring for two threads beside those that have their own.
    let (logger, guard) = builder.memory_cap(3 * 3 * 4096).handler(take).start().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let logger = &logger;
            scope.spawn(move || {
                let filler = "x".repeat(64);
                for n in 0..RECORDS {
                    info!(logger: logger, "{} {}", thread << 32 | n, &filler[..n as usize % 64]);
                }
            });
        }
    });
    let report = guard.stop(LONG).unwrap();
    let received = received.lock().unwrap();
    compare(&report, [0, 0, THREADS * RECORDS, 0, 0], &received);
    for thread in 0..THREADS {
        let of_thread = received.numbers.iter().filter(|number| **number >> 32 == thread);
        let numbers: Vec<_> = of_thread.map(|number| number & u64::from(u32::MAX)).collect();
        assert!(numbers.is_sorted_by(|one, next| one < next), "in order and once");
        assert_eq!(numbers.last(), Some(&(RECORDS - 1)), "the newest is never dropped");
    }
    eprintln!("{} of {} were dropped, in {} gaps", report.dropped, report.submitted, received.losses.len());
}

#[test]
fn the_stream_says_exactly_which_calls_made_room_for_newer_ones() {
    const RECORDS: u64 = 1_000_000;
    let level_of = |n: u64| [Level::Error, Level::Info, Level::Info, Level::Debug][n as usize % 4];
    let (take, received) = receiver(Duration::ZERO, None);
    let builder = treering::builder().filter("trace").overflow(Overflow::drop_oldest()).ring_capacity(4096);
    let (logger, guard) = builder.handler(take).start().unwrap();
    let mut logged = [0; 5];
    for n in 0..RECORDS {
        match level_of(n) {
            Level::Error => error!(logger: logger, "{n}"),
            Level::Info => info!(logger: logger, "{n}"),
            _ => debug!(logger: logger, "{n}"),
        }
        logged[level_of(n) as usize - 1] += 1;
        if n.is_multiple_of(5_000) {
            std::thread::sleep(Duration::from_millis(1)); // so that there are many gaps, and records between them
        }
    }
    let report = guard.stop(LONG).unwrap();
    let received = received.lock().unwrap();
    compare(&report, logged, &received);
    received.assert_joined(level_of);
    assert!(received.losses.len() > 10, "{}", received.losses.len());
    eprintln!("{} of {RECORDS} were dropped, in {} gaps", report.dropped, received.losses.len());
}

#[test]
fn the_loss_of_the_oldest_begins_when_the_first_of_them_was_logged() {
    /// By so much the two clocks may differ.
    const SKEW: Duration = Duration::from_millis(1);
    let losses = Arc::new(Mutex::new(Vec::<Loss>::new()));
    let noted = losses.clone();
    let builder = treering::builder().overflow(Overflow::drop_oldest());
    let paused = Paused::new(builder.on_drop(move |loss| noted.lock().unwrap().push(loss.clone())));
    for round in 0..2 {
        let before = SystemTime::now();
        paused.info([1]);
        let after = SystemTime::now();
        std::thread::sleep(Duration::from_millis(20));
        paused.info(2..=FIT + 10);
        paused.gate.open();
        eventually("the gap is told of", || losses.lock().unwrap().len() == round + 1);
        eventually("the ring is empty", || paused.guard.stats().pending == 0);
        let (from, until) = {
            let loss = &losses.lock().unwrap()[round];
            (SystemTime::from(loss.from), SystemTime::from(loss.until))
        };
        assert!(before - SKEW <= from && from <= after + SKEW, "{before:?} {from:?} {after:?}");
        assert!(until > after + SKEW, "the first that was not dropped came later: {after:?} {until:?}");
        paused.gate.set_open(false);
        paused.info([0]);
        paused.gate.wait_for_guest();
    }
    paused.finish([1, 0, 2 * (FIT + 11), 0, 0]);
}

#[test]
fn losses_that_a_dropped_loss_record_told_of_are_told_where_it_stood() {
    let builder = treering::builder().overflow(Overflow::drop_newest());
    let paused = Paused::new(builder.overflow_at(Level::Info, Overflow::drop_oldest()));
    paused.info(1..=FIT);
    let refused = FIT + 1..FIT + 6;
    refused.clone().for_each(|n| debug!(logger: paused.logger, "{n}"));
    assert_eq!(paused.dropped(Reason::Full), 5);
    // The first of these is preceded by a loss record; the last ones drop both.
    paused.info(refused.end..=3 * FIT);
    let received = paused.finish([1, 0, 3 * FIT - 5, 5, 0]);
    received.assert_joined(|n| match n {
        0 => Level::Error,
        n if refused.contains(&n) => Level::Debug,
        _ => Level::Info,
    });
    let reasons: Vec<_> = received.losses.iter().map(|told| &*told.reason).collect();
    assert_eq!(reasons, ["full", "oldest"]);
}

#[test]
fn sample_passes_one_of_n_of_each_callsite_above_half_and_tells_how_many_of_which_it_left_out() {
    let paused = Paused::new(treering::builder().overflow_below(Level::Warn, Overflow::sample(10)));
    // 86 records of three words are more than half of 512.
    paused.info(1..=86);
    assert_eq!(paused.guard.stats().dropped, 0);
    paused.info(1_000..1_500);
    let (first, second) = (500 - 50, 100 - 10);
    let line = line!() + 1;
    (2_000..2_100_u64).for_each(|n| debug!(logger: paused.logger, "{n}"));
    assert_eq!(paused.dropped(Reason::Sampled), first + second);
    error!(logger: paused.logger, "{}", 3_000_u64); // is not sampled
    let received = paused.finish([2, 0, 586, 100, 0]);
    let mut expected: Vec<u64> = (0..=86).collect();
    expected.extend((1_000..1_500).step_by(10).chain((2_000..2_100).step_by(10)));
    expected.push(3_000);
    assert_eq!(received.numbers, expected);
    let [loss] = &received.losses[..] else { panic!("{:?}", received.losses) };
    assert_eq!((&*loss.reason, loss.by_level), ("sampled", [0, 0, first, second, 0]));
    assert_eq!(received.left_out.len(), 2);
    assert_eq!(received.left_out[0].1, first);
    assert_eq!(received.left_out[1], (line.into(), second));
}

#[test]
fn what_sampling_left_out_is_told_where_the_ring_has_room_again() {
    let paused = Paused::new(treering::builder().overflow(Overflow::sample(2)));
    paused.info(1..=86);
    paused.info(87..=90);
    assert_eq!(paused.dropped(Reason::Sampled), 2);
    paused.gate.open();
    eventually("the ring is empty", || paused.guard.stats().pending == 0);
    paused.info([91]);
    let received = paused.finish([1, 0, 91, 0, 0]);
    let loss = &received.losses[0];
    assert_eq!(loss.behind, received.numbers.len() - 1, "before the first record that found room");
    assert_eq!(loss.calls, (1, 91), "somewhere among these");
}

#[test]
fn each_level_may_fill_the_ring_as_far_as_its_limit() {
    let limits = [(Level::Debug, 50), (Level::Warn, 90), (Level::Info, 75)];
    let builder = limits
        .into_iter()
        .fold(treering::builder(), |builder, (level, percent)| builder.fill_limit(level, percent));
    let paused = Paused::new(builder);
    let log_all = |log: &dyn Fn(u64)| {
        (1..=200).for_each(log);
        paused.guard.stats().pending * 3
    };
    // Of 512 words; each level's first record is preceded by a loss record of 9 for the level below.
    assert_eq!(log_all(&|n| debug!(logger: paused.logger, "{n}")), 255, "up to 256");
    assert_eq!(log_all(&|n| info!(logger: paused.logger, "{n}")), 375, "and 9 up to 384");
    assert_eq!(log_all(&|n| warn!(logger: paused.logger, "{n}")), 441, "and 18 up to 460");
    assert_eq!(log_all(&|n| error!(logger: paused.logger, "{n}")), 483, "and 27 up to 512");
    paused.finish([201, 200, 200, 200, 0]);
}

#[test]
fn a_record_fits_an_empty_ring_whatever_its_limit() {
    let capture = treering::handler::Capture::new();
    let builder = treering::builder().ring_capacity(4096).fill_limit(Level::Info, 25);
    let (logger, guard) =
        builder.overflow(Overflow::block_forever()).handler(capture.clone()).start().unwrap();
    let long = "x".repeat(10_000);
    for n in 0..500_usize {
        info!(logger: logger, "{}", &long[..n * 7]);
    }
    let report = guard.stop(LONG).unwrap();
    report.assert_balanced();
    assert_eq!(report.dispatched, 500);
    assert!(report.truncated > 0, "a quarter of 4 KiB holds less than 3,493 bytes");
}

#[test]
fn settings_that_cannot_be_are_refused_in_words() {
    let refused = |builder: Builder| builder.start().unwrap_err().to_string();
    let text = refused(treering::builder().fill_limit(Level::Info, 24));
    assert!(text.contains("fill_limit is 24 percent; it must be 25 to 100"), "{text}");
    let text = refused(treering::builder().fill_limit(Level::Info, 101));
    assert!(text.contains("fill_limit is 101 percent"), "{text}");
    let text = refused(treering::builder().overflow_at(Level::Warn, Overflow::sample(0)));
    assert!(text.contains("Overflow::sample(0) passes nothing"), "{text}");
    let oldest = treering::builder().overflow(Overflow::drop_oldest()).ring_capacity(4096).memory_cap(4096);
    assert!(refused(oldest).contains("less than the 12288 that the ring of any thread needs"));
}

#[test]
fn below_a_level_records_are_dropped_where_those_above_wait() {
    let builder = treering::builder().overflow(Overflow::block(LONG));
    let paused = Paused::new(builder.overflow_below(Level::Warn, Overflow::drop_newest()));
    paused.info(1..=FIT + 10);
    assert_eq!(paused.dropped(Reason::Full), 10);
    let errors = AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..1_000_u64 {
                error!(logger: paused.logger, "{n}");
                errors.fetch_add(1, Ordering::Relaxed);
            }
        });
        eventually("the ring of the other thread is full", || {
            paused.guard.stats().pending > FIT + 160 && errors.load(Ordering::Relaxed) > 160
        });
        assert!(errors.load(Ordering::Relaxed) < 1_000, "it waits");
        paused.gate.open();
    });
    paused.finish([1_001, 0, FIT + 10, 0, 0]);
}

/// What a policy was asked.
#[derive(Clone, PartialEq, Debug)]
struct Asked {
    level: Level,
    target: String,
    file: String,
    line: u32,
    bytes: usize,
    free: usize,
    capacity: usize,
    waited: Duration,
}

impl From<&Full<'_>> for Asked {
    fn from(full: &Full<'_>) -> Self {
        Asked {
            level: full.level(),
            target: full.target().to_owned(),
            file: full.file().to_owned(),
            line: full.line(),
            bytes: full.bytes(),
            free: full.free(),
            capacity: full.capacity(),
            waited: full.waited(),
        }
    }
}

#[test]
fn a_policy_of_the_users_knows_the_record_and_lets_it_wait_or_drops_it() {
    const PATIENCE: Duration = Duration::from_millis(20);
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = asked.clone();
    let policy = Overflow::custom(move |full: &Full<'_>| {
        noted.lock().unwrap().push(Asked::from(full));
        if full.waited().is_zero() || full.waited() < PATIENCE {
            Decision::Wait(PATIENCE)
        } else {
            Decision::Drop
        }
    });
    let paused = Paused::new(treering::builder().overflow(policy));
    paused.info(1..=FIT);
    assert!(asked.lock().unwrap().is_empty(), "there was room");
    let start = Instant::now();
    let (line, number) = (line!() + 1, 7_u64);
    info!(logger: paused.logger, target: "audit", "{number}");
    assert!(start.elapsed() >= PATIENCE);
    let told = std::mem::take(&mut *asked.lock().unwrap());
    let [first, second] = &told[..] else { panic!("{told:?}") };
    let expected = Asked {
        level: Level::Info,
        target: "audit".to_owned(),
        file: file!().to_owned(),
        line,
        bytes: 24,
        free: (512 - 3 * FIT as usize) * 8,
        capacity: 4096,
        waited: first.waited,
    };
    assert_eq!(*first, expected);
    assert!(first.waited < PATIENCE && second.waited >= PATIENCE, "{told:?}");
    assert_eq!(paused.dropped(Reason::Policy), 1);
    let received = paused.finish([1, 0, FIT + 1, 0, 0]);
    assert_eq!((&*received.losses[0].reason, received.losses[0].by_level), ("policy", [0, 0, 1, 0, 0]));
}

#[test]
fn a_record_that_a_policy_lets_wait_is_placed_as_soon_as_there_is_room() {
    let asked = Arc::new(AtomicU64::new(0));
    let counted = asked.clone();
    let policy = Overflow::custom(move |_: &Full<'_>| {
        counted.fetch_add(1, Ordering::Relaxed);
        Decision::Wait(LONG)
    });
    let paused = Paused::new(treering::builder().overflow(policy));
    std::thread::scope(|scope| {
        scope.spawn(|| paused.info(1..=FIT + 1));
        eventually("it asks", || asked.load(Ordering::Relaxed) == 1);
        paused.gate.open();
    });
    let received = paused.finish([1, 0, FIT + 1, 0, 0]);
    assert!(received.losses.is_empty());
}

#[test]
fn a_policy_that_panics_costs_the_record_and_is_told() {
    let faults = Arc::new(Mutex::new(Vec::new()));
    let told = faults.clone();
    let policy = Overflow::custom(|_: &Full<'_>| panic!("no policy today"));
    let builder = treering::builder().overflow(policy);
    let paused = Paused::new(builder.error_hook(move |fault| told.lock().unwrap().push(fault.to_owned())));
    paused.info(1..=FIT + 2);
    assert_eq!(paused.dropped(Reason::Policy), 2);
    assert_eq!(faults.lock().unwrap()[0], "the overflow policy panicked: no policy today");
    paused.finish([1, 0, FIT + 2, 0, 0]);
}

#[test]
fn what_a_policy_logs_is_dropped_without_asking_it_again() {
    static LOGGER: OnceLock<Logger> = OnceLock::new();
    let asked = Arc::new(AtomicU64::new(0));
    let counted = asked.clone();
    let policy = Overflow::custom(move |_: &Full<'_>| {
        counted.fetch_add(1, Ordering::Relaxed);
        info!(logger: LOGGER.get().unwrap(), "{}", 1_000_000_u64);
        Decision::Drop
    });
    let paused = Paused::new(treering::builder().overflow(policy));
    LOGGER.set(paused.logger.clone()).unwrap();
    paused.info(1..=FIT + 5);
    assert_eq!(asked.load(Ordering::Relaxed), 5);
    assert_eq!((paused.dropped(Reason::Policy), paused.dropped(Reason::Full)), (5, 5));
    paused.finish([1, 0, FIT + 10, 0, 0]);
}

#[test]
fn on_drop_is_told_of_each_loss_as_the_stream_is() {
    let losses = Arc::new(Mutex::new(Vec::<Loss>::new()));
    let noted = losses.clone();
    let paused =
        Paused::new(treering::builder().on_drop(move |loss| noted.lock().unwrap().push(loss.clone())));
    let name = std::thread::current().name().map(str::to_owned);
    for round in 0..3_u64 {
        paused.info(1..=FIT + 7);
        assert!(losses.lock().unwrap().len() as u64 <= round, "not on the caller's thread");
        paused.gate.open();
        eventually("there is room", || paused.guard.stats().pending == 0);
        paused.gate.set_open(false);
        paused.info([0]);
        paused.gate.wait_for_guest();
        eventually("it is told", || losses.lock().unwrap().len() as u64 == round + 1);
    }
    let received = paused.finish([1, 0, 3 * (FIT + 8), 0, 0]);
    let losses = losses.lock().unwrap();
    assert_eq!(losses.len(), received.losses.len());
    for (loss, told) in losses.iter().zip(&received.losses) {
        assert_eq!((loss.reason.as_str(), loss.by_level), (&*told.reason, told.by_level));
        assert_eq!((loss.thread_id, loss.thread_name.clone()), (told.thread, name.clone()));
        assert_eq!((loss.first, loss.last), told.calls);
        assert_eq!(loss.last - loss.first + 1, loss.records);
        assert!(loss.from <= loss.until);
    }
}

#[test]
fn a_hook_of_on_drop_that_panics_is_told_and_nobody_notices() {
    let faults = Arc::new(Mutex::new(Vec::new()));
    let told = faults.clone();
    let builder = treering::builder().on_drop(|_| panic!("no hook today"));
    let paused = Paused::new(builder.error_hook(move |fault| told.lock().unwrap().push(fault.to_owned())));
    paused.info(1..=FIT + 7);
    paused.finish([1, 0, FIT + 7, 0, 0]);
    assert_eq!(*faults.lock().unwrap(), ["the hook of on_drop panicked: no hook today"]);
}

/// So many callers wait for room.
const CALLERS: u64 = 64;

/// Nanoseconds of processor time that all threads of this process had.
fn processor_time() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().filter_map(Result::ok);
    let nanos = tasks.filter_map(|task| {
        let stat = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        stat.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

/// Starts so many callers that wait for room in rings of their own; `then` runs when they all do.
fn with_waiting_callers(paused: &Paused, done: &AtomicU64, then: impl FnOnce()) {
    std::thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                paused.info(1..=FIT + 1);
                done.fetch_add(1, Ordering::Relaxed);
            });
        }
        eventually("all wait", || paused.guard.stats().pending == CALLERS * FIT);
        then();
    });
}

#[test]
fn callers_that_wait_use_no_processor_and_all_go_on_when_there_is_room() {
    let test = "callers_that_wait_use_no_processor_and_all_go_on_when_there_is_room";
    let output = in_child(test, &[], || {
        let paused = Paused::new(treering::builder().overflow(Overflow::block_forever()));
        let done = AtomicU64::new(0);
        with_waiting_callers(&paused, &done, || {
            let before = processor_time();
            std::thread::sleep(Duration::from_secs(2));
            let used = processor_time() - before;
            eprintln!("{CALLERS} callers that wait used {used:.1?} in 2 s");
            assert!(used < Duration::from_millis(200), "{used:?}");
            assert_eq!(done.load(Ordering::Relaxed), 0);
            paused.gate.open();
        });
        let received = paused.finish([1, 0, CALLERS * (FIT + 1), 0, 0]);
        assert!(received.losses.is_empty());
    });
    let Some(output) = output else { return };
    eprintln!("{}", text(&output));
    assert!(output.status.success());
}

#[test]
fn callers_that_wait_are_all_released_by_a_stop() {
    let paused = Paused::new(treering::builder().overflow(Overflow::block_forever()));
    let done = AtomicU64::new(0);
    let is_stopped = AtomicBool::new(false);
    std::thread::scope(|scope| {
        with_waiting_callers(&paused, &done, || {
            scope.spawn(|| {
                paused.guard.stop(SOON).unwrap();
                is_stopped.store(true, Ordering::Relaxed);
            });
        });
        // Joined, though the handler still stands before its gate.
        assert_eq!(done.load(Ordering::Relaxed), CALLERS);
        assert!(!is_stopped.load(Ordering::Relaxed));
        paused.gate.open();
    });
    let report = paused.guard.stats();
    report.assert_balanced();
    assert_eq!((report.late, report.dispatched), (CALLERS, CALLERS * FIT + 1));
}

#[test]
fn a_wait_ends_at_its_deadline() {
    const PATIENCE: Duration = Duration::from_millis(20);
    let paused = Paused::new(treering::builder().overflow(Overflow::block(PATIENCE)));
    paused.info(1..=FIT);
    let waits = (0..20).map(|_| {
        let start = Instant::now();
        paused.info([0]);
        start.elapsed()
    });
    let mut waits: Vec<_> = waits.collect();
    waits.sort();
    eprintln!("waited {:.2?} to {:.2?}, half of them at most {:.2?}", waits[0], waits[19], waits[10]);
    assert!(waits[0] >= PATIENCE, "{waits:?}");
    assert!(waits[0] < PATIENCE + Duration::from_millis(10), "{waits:?}");
    paused.finish([1, 0, FIT + 20, 0, 0]);
}

#[test]
fn losses_of_a_thread_that_left_are_its_own_and_not_of_the_next_one_with_its_ring() {
    let capture = Capture::new();
    let (logger, guard) =
        treering::builder().wait(Wait::Manual).ring_capacity(4096).handler(capture.clone()).start().unwrap();
    let log = |calls: u64| {
        std::thread::scope(|scope| {
            let logs = || {
                (0..calls).for_each(|n| info!(logger: logger, "{n}"));
                own_thread_id()
            };
            scope.spawn(logs).join().unwrap()
        })
    };
    let loser = log(1_000);
    std::thread::sleep(Duration::from_millis(600)); // until losses of silent threads are looked for
    while guard.poll().unwrap() > 0 {}
    assert_ne!(log(1), loser);
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    let records = capture.records();
    let told: Vec<_> = records.iter().filter(|record| record.target() == "treering::loss").collect();
    assert_eq!(told.len(), 1, "{told:#?}");
    let number = |name| told[0].field(name).and_then(CapturedValue::as_u64).unwrap();
    assert_eq!((number("thread"), number("info"), number("last")), (loser.into(), report.dropped, 1_000));
}
