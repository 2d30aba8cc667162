//! Signal handlers that log, on a thread that is in the middle of anything: a call that interrupts another one of its
//! thread is counted as nested, every other one has the fate of any call.
#![cfg(target_os = "linux")]
#![allow(unsafe_code, reason = "signal handlers, and what sends signals")]
#![allow(clippy::print_stderr, reason = "tests tell their figures")]

mod support;

use std::fmt;
use std::hint::black_box;
use std::mem::zeroed;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use support::{Gate, SOON, each, in_child, own_thread_id, text};
use treering::__private::Encode;
use treering::record::Record;
use treering::{Level, Logger, Overflow, Report, Wait, context, info};

/// How long a storm blows.
const STORM: Duration = Duration::from_secs(2);
/// Between two of its signals: 10,000 a second.
const INTERVAL: Duration = Duration::from_micros(100);
const SIGNAL: libc::c_int = libc::SIGUSR1;
/// Of different lengths, so that records are.
const FILLER: &str = "................................................";

static LOGGER: OnceLock<Logger> = OnceLock::new();
/// Signals that were handled.
static SIGNALS: AtomicU64 = AtomicU64::new(0);
/// Calls of the thread itself, to each engine: with a number, and others.
static CALLS: AtomicU64 = AtomicU64::new(0);
static OTHER_CALLS: AtomicU64 = AtomicU64::new(0);

/// Who made a call.
const HANDLER: u64 = 0;
const THREAD: u64 = 1;

/// One call to each engine, with a number of its own, and what must be the same when it arrives.
fn log(who: u64, n: u64) {
    let filler = &FILLER[..(n % FILLER.len() as u64) as usize];
    let check = n ^ who << 63;
    info!("{who} {n} {check} {filler}");
    info!(logger: LOGGER.get().unwrap(), "{who} {n} {check} {filler}");
}

/// The calling thread's `errno`.
fn errno() -> libc::c_int {
    std::io::Error::last_os_error().raw_os_error().unwrap_or_default()
}

fn set_errno(errno: libc::c_int) {
    // SAFETY: no arguments; the place is the calling thread's own.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    unsafe { *place = errno };
}

/// What the signal runs.
extern "C" fn on_signal(_: libc::c_int) {
    let before = errno();
    log(HANDLER, SIGNALS.fetch_add(1, Ordering::Relaxed));
    set_errno(before);
}

/// What arrived at one engine.
#[derive(Default)]
struct Arrived {
    /// By who made the call: how many, and the number of the next one at least.
    records: [u64; 2],
    next: [u64; 2],
    others: u64,
}

impl Arrived {
    fn take(&mut self, record: &Record<'_>) {
        let number = |at| record.value(at).and_then(|value| value.as_u64());
        if record.target() == "treering::loss" {
            return;
        }
        if record.values().count() != 4 {
            self.others += 1;
            return;
        }
        let (who, n) = (number(0).unwrap(), number(1).unwrap());
        let filler = &FILLER[..(n % FILLER.len() as u64) as usize];
        let message = format!("{who} {n} {} {filler}", n ^ who << 63);
        assert_eq!(record.message().to_string(), message);
        assert!(n >= self.next[who as usize], "{message} comes behind {}", self.next[who as usize]);
        self.next[who as usize] = n + 1;
        self.records[who as usize] += 1;
    }
}

/// A callsite that goes to the dictionary whenever its type is not that of its last call.
fn log_any<T: Encode + fmt::Display>(value: T) {
    info!("{THREAD} any {value}");
    info!(logger: LOGGER.get().unwrap(), "{THREAD} any {value}");
}

/// The thread in the storm: logs as fast as it can, allocates, registers callsites, asks for reports.
fn be_busy(until: &AtomicBool) {
    let logger = LOGGER.get().unwrap();
    let mut n = 1; // 0 was logged before the storm
    while !until.load(Ordering::Relaxed) {
        log(THREAD, n);
        CALLS.fetch_add(1, Ordering::Relaxed);
        if n % 8 == 0 {
            log_any(n);
            log_any("text");
            OTHER_CALLS.fetch_add(2, Ordering::Relaxed);
        }
        if n % 64 == 0 {
            black_box(vec![0_u8; n as usize % 4096]);
            black_box(logger.stats());
        }
        n += 1;
    }
}

fn install(handler: extern "C" fn(libc::c_int)) {
    // SAFETY: a sigaction is integers, a set of signals and a pointer, for all of which zero is a value.
    let mut action: libc::sigaction = unsafe { zeroed() };
    action.sa_sigaction = handler as libc::sighandler_t;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: `action` is initialised, and its handler is of the type that its flags say.
    let result = unsafe { libc::sigaction(SIGNAL, &action, std::ptr::null_mut()) };
    assert_eq!(result, 0);
}

/// Something that sends the signal to one thread, again and again.
trait Storm: Sized {
    fn begin(thread: libc::pthread_t, id: u32) -> Self;
    /// No signal is sent after this.
    fn end(self);
}

/// Another thread.
struct Sender {
    is_over: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

impl Storm for Sender {
    fn begin(target: libc::pthread_t, _: u32) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let over = is_over.clone();
        let thread = std::thread::spawn(move || {
            let mut next = Instant::now();
            while !over.load(Ordering::Relaxed) {
                // SAFETY: the thread is there until the storm is over.
                assert_eq!(unsafe { libc::pthread_kill(target, SIGNAL) }, 0);
                next += INTERVAL;
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
            }
        });
        Sender { is_over, thread }
    }

    fn end(self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
    }
}

/// A timer of the kernel's.
struct Timer(libc::timer_t);

impl Storm for Timer {
    fn begin(_: libc::pthread_t, id: u32) -> Self {
        // SAFETY: a sigevent is integers and a pointer, for which zero is a value.
        let mut event: libc::sigevent = unsafe { zeroed() };
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = SIGNAL;
        event.sigev_notify_thread_id = id as i32;
        let mut timer = std::ptr::null_mut();
        // SAFETY: both pointers are to locals that are initialised.
        let result = unsafe { libc::timer_create(libc::CLOCK_MONOTONIC, &mut event, &mut timer) };
        assert_eq!(result, 0);
        let time = libc::timespec { tv_sec: 0, tv_nsec: INTERVAL.as_nanos() as libc::c_long };
        let interval = libc::itimerspec { it_interval: time, it_value: time };
        // SAFETY: the timer was made above, and the pointer is to a local.
        let result = unsafe { libc::timer_settime(timer, 0, &interval, std::ptr::null_mut()) };
        assert_eq!(result, 0);
        Timer(timer)
    }

    fn end(self) {
        // SAFETY: the timer was made in `begin`, and is deleted once.
        assert_eq!(unsafe { libc::timer_delete(self.0) }, 0);
    }
}

/// A storm at a thread that logs to both engines, and what becomes of every call.
fn blow<S: Storm>(test: &str, policy: Overflow) {
    let output = in_child(test, &[], || {
        install(on_signal);
        let arrived: [Arc<Mutex<Arrived>>; 2] = Default::default();
        let [global, instance] = arrived.clone().map(|arrived| {
            let take = each(move |record| arrived.lock().unwrap().take(record));
            let builder = treering::builder().ring_capacity(4096).overflow(policy.clone());
            builder.handler(take)
        });
        let (logger, instance) = instance.start().unwrap();
        let guards = [global.init().unwrap(), instance];
        assert!(LOGGER.set(logger).is_ok());

        let is_over = Arc::new(AtomicBool::new(false));
        let (until, ready) = (is_over.clone(), Gate::closed());
        let (tell, told) = std::sync::mpsc::channel();
        let gate = ready.clone();
        let thread = std::thread::spawn(move || {
            // The thread gets its rings, and each callsite runs once.
            log(THREAD, 0);
            log_any(0_u64);
            on_signal(SIGNAL);
            // SAFETY: no arguments.
            tell.send((unsafe { libc::pthread_self() }, own_thread_id())).unwrap();
            gate.pass();
            be_busy(&until);
        });
        CALLS.fetch_add(1, Ordering::Relaxed);
        OTHER_CALLS.fetch_add(1, Ordering::Relaxed);
        let (target, id) = told.recv().unwrap();
        ready.open();
        let storm = S::begin(target, id);
        std::thread::sleep(STORM);
        storm.end();
        is_over.store(true, Ordering::Relaxed);
        thread.join().unwrap();
        let reports = guards.each_ref().map(|guard| guard.stop(SOON).unwrap());
        check(&reports, &arrived);
    });
    if let Some(output) = output {
        let text = text(&output);
        assert!(output.status.success(), "{text}");
        eprintln!("{}", text.lines().find(|line| line.contains("signals")).unwrap_or_default());
    }
}

/// Calls and fates add up, and what the books say arrived.
fn check(reports: &[Report; 2], arrived: &[Arc<Mutex<Arrived>>; 2]) {
    let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let calls = load(&SIGNALS) + load(&CALLS) + load(&OTHER_CALLS);
    for (report, arrived) in reports.iter().zip(arrived) {
        report.assert_balanced();
        assert_eq!(report.submitted, report.submitted_at(Level::Info));
        assert_eq!((report.late, report.truncated), (0, 0));
        let arrived = arrived.lock().unwrap();
        assert_eq!(arrived.records.iter().sum::<u64>() + arrived.others, report.dispatched);
        assert!(arrived.records[HANDLER as usize] > 0);
    }
    let nested = reports[1].nested;
    let submitted: u64 = reports.iter().map(|report| report.submitted).sum();
    assert_eq!(submitted + nested, 2 * calls, "{reports:#?}");
    assert!(nested > 0, "no signal met a call");
    let dropped: u64 = reports.iter().map(|report| report.dropped).sum();
    eprintln!("{} signals, {} calls: {dropped} dropped, {nested} nested", load(&SIGNALS), 2 * calls);
}

#[test]
fn a_storm_of_signals_where_full_rings_drop() {
    blow::<Sender>("a_storm_of_signals_where_full_rings_drop", Overflow::drop_newest());
}

#[test]
fn a_storm_of_signals_where_full_rings_block() {
    let policy = Overflow::block(Duration::from_millis(1));
    blow::<Sender>("a_storm_of_signals_where_full_rings_block", policy);
}

#[test]
fn a_storm_from_a_timer() {
    blow::<Timer>("a_storm_from_a_timer", Overflow::drop_newest());
}

/// The number of the contexts that the thread in the storm is about to enter, or is in; 0 while it is in none.
static NOW: AtomicU64 = AtomicU64::new(0);

fn log_within(who: u64, depth: u64) {
    info!(who, now = NOW.load(Ordering::SeqCst), depth, "within");
}

extern "C" fn on_signal_within(_: libc::c_int) {
    log_within(HANDLER, 0);
}

/// What arrived, and whether it is in what it can be in.
#[derive(Default)]
struct Within {
    /// Of the handler's, those outside of all contexts, in one and in two.
    depths: [u64; 3],
    own: u64,
    unknown: u64,
}

impl Within {
    fn take(&mut self, record: &Record<'_>) {
        if record.target() == "treering::loss" {
            return;
        }
        let number = |name: &str| record.field(name).and_then(|field| field.value().as_u64()).unwrap();
        let now = number("now");
        let names: Vec<_> = record.spans().map(|span| span.name()).collect();
        assert!(["outer", "inner"].starts_with(&names) || !record.spans().is_whole(), "{names:?}");
        for span in record.spans() {
            let n = span.fields().next().and_then(|field| field.value().as_u64());
            assert_eq!(n, Some(now), "{} of another time", span.name());
        }
        self.unknown += u64::from(!record.spans().is_whole());
        if number("who") == HANDLER {
            assert!(now != 0 || names.is_empty() && record.spans().is_whole(), "it was left");
            self.depths[names.len()] += 1;
        } else {
            assert!(names.len() as u64 == number("depth") || !record.spans().is_whole(), "{names:?}");
            self.own += 1;
        }
    }
}

#[test]
fn a_storm_at_a_thread_that_enters_and_leaves_contexts() {
    let output = in_child("a_storm_at_a_thread_that_enters_and_leaves_contexts", &[], || {
        install(on_signal_within);
        let arrived = Arc::new(Mutex::new(Within::default()));
        let take = arrived.clone();
        let builder = treering::builder().ring_capacity(1 << 16);
        let guard = builder.handler(each(move |record| take.lock().unwrap().take(record))).init().unwrap();
        let is_over = Arc::new(AtomicBool::new(false));
        let (until, (tell, told)) = (is_over.clone(), std::sync::mpsc::channel());
        let thread = std::thread::spawn(move || {
            log_within(THREAD, 0);
            // SAFETY: no arguments.
            tell.send((unsafe { libc::pthread_self() }, own_thread_id())).unwrap();
            for n in 1.. {
                if until.load(Ordering::Relaxed) {
                    return;
                }
                NOW.store(n, Ordering::SeqCst);
                let outer = context!("outer", n);
                outer.in_scope(|| {
                    log_within(THREAD, 1);
                    context!("inner", n).in_scope(|| log_within(THREAD, 2));
                });
                NOW.store(0, Ordering::SeqCst);
                log_within(THREAD, 0);
            }
        });
        let (target, id) = told.recv().unwrap();
        let storm = Sender::begin(target, id);
        std::thread::sleep(STORM);
        storm.end();
        is_over.store(true, Ordering::Relaxed);
        thread.join().unwrap();
        let report = guard.stop(SOON).unwrap();
        report.assert_balanced();
        let Within { depths, own, unknown } = &*arrived.lock().unwrap();
        assert_eq!(report.unknown_spans, *unknown, "marked and counted");
        assert_eq!(report.dispatched - report.span_records, own + depths.iter().sum::<u64>());
        assert!(depths.iter().all(|records| *records > 0), "{depths:?} records of the handler");
        eprintln!("{depths:?} signals, {own} calls: {unknown} unknown, {} nested", report.nested);
    });
    if let Some(output) = output {
        let text = text(&output);
        assert!(output.status.success(), "{text}");
        eprintln!("{}", text.lines().find(|line| line.contains("signals")).unwrap_or_default());
    }
}

#[test]
fn no_signal_that_the_process_is_sent_runs_on_the_listeners_thread() {
    let (_, _guard) = treering::builder().thread_name("masked").start().unwrap();
    let status = |thread| std::fs::read_to_string(format!("/proc/self/task/{thread}/status")).unwrap();
    let blocked = |status: String| {
        let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap().trim().to_owned();
        u64::from_str_radix(&mask, 16).unwrap()
    };
    let has = |mask: u64, signal: libc::c_int| mask & 1 << (signal - 1) != 0;
    let listener = blocked(status(support::thread_named("masked")));
    assert!([libc::SIGUSR1, libc::SIGTERM, libc::SIGALRM].into_iter().all(|signal| has(listener, signal)));
    assert!(![libc::SIGSEGV, libc::SIGABRT, libc::SIGPROF].into_iter().any(|signal| has(listener, signal)));
    let here = blocked(status(support::own_thread_id()));
    assert!(!has(here, libc::SIGUSR1), "and the thread that started it has its own mask back");
}

#[test]
fn a_call_that_does_not_wait_leaves_errno_as_it_was() {
    const OWN: libc::c_int = 4711;
    let gate = Gate::closed();
    let before = gate.clone();
    let (logger, guard) = treering::builder()
        .ring_capacity(4096)
        .wait(Wait::Park)
        .handler(each(move |_| before.pass()))
        .start()
        .unwrap();
    info!(logger: logger, "the thread's first");
    gate.wait_for_guest();
    set_errno(OWN);
    // Through laps of the ring, and then without room.
    (0..1_000).for_each(|n| info!(logger: logger, "{n}"));
    assert_eq!(errno(), OWN);
    gate.open();
    guard.flush(SOON).unwrap();
    // The listener sleeps, and is woken.
    std::thread::sleep(Duration::from_millis(50));
    set_errno(OWN);
    info!(logger: logger, "wake up");
    assert_eq!(errno(), OWN);
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert!(report.dropped > 0);
}
