//! Everything that comes and goes, at once: threads, filters, children, engines, handlers that fail. Every call is
//! counted here and must be found in the books; memory, descriptors and threads must not grow.
//!
//! `TREERING_SOAK_SECONDS` says for how long; a minute for a soak that deserves the name. `TREERING_SOAK_THREADS` says how many
//! threads log without an end, beside those that come and go.
#![cfg(target_os = "linux")]
#![allow(unsafe_code, reason = "fork and waitpid")]
#![allow(clippy::print_stderr, reason = "tests tell their figures")]

mod support;

use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use support::{LONG, SOON, eventually, resident_bytes};
use treering::handler::{self, Batch, Handler, HandlerError};
use treering::{Builder, Overflow, Report, debug, info};

const SECONDS: u64 = 4;
const THREADS: u64 = 2;
/// How long an engine lives.
const LIFE: Duration = Duration::from_millis(250);
/// Memory may move by this much: the allocator's arenas, stacks that the system has not taken back yet.
const GROWTH_MAX_BYTES: u64 = 16 << 20;

/// Fails and panics for a while, then works for a while.
struct Moody {
    calls: u64,
}

impl Handler for Moody {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        self.calls += 1;
        let records = batch.iter().count();
        match self.calls / 50 % 4 {
            0 | 1 => Ok(()),
            2 => Err(HandlerError::new("out of sorts").after(records / 2)),
            _ => panic!("out of temper"),
        }
    }

    fn name(&self) -> String {
        "moody".to_owned()
    }
}

/// One engine after another, under one name, and what became of the calls to all of them.
struct Line<E> {
    /// Who logs holds it shared, for a burst.
    now: RwLock<E>,
    calls: AtomicU64,
    submitted: AtomicU64,
    delivered: AtomicU64,
    late: AtomicU64,
    dropped: AtomicU64,
    lives: AtomicU64,
}

impl<E> Line<E> {
    fn new(first: E) -> Self {
        let zero = || AtomicU64::new(0);
        Line {
            now: RwLock::new(first),
            calls: zero(),
            submitted: zero(),
            delivered: zero(),
            late: zero(),
            dropped: zero(),
            lives: zero(),
        }
    }

    /// A burst of calls.
    fn log(&self, records: u64, log: impl Fn(&E, u64)) {
        let engine = self.now.read().unwrap();
        (0..records).for_each(|n| log(&engine, n));
        self.calls.fetch_add(records, Ordering::Relaxed);
    }

    /// Puts the next engine in the place of one that has stopped. Afterwards nobody logs to that one any more.
    fn replace(&self, next: E) -> E {
        std::mem::replace(&mut self.now.write().unwrap(), next)
    }

    fn count(&self, report: &Report) {
        report.assert_balanced();
        assert_eq!((report.abandoned, report.forked), (0, 0), "{report:#?}");
        for handler in &report.handlers {
            assert_eq!((handler.held, handler.in_flight, handler.abandoned), (0, 0, 0), "{report:#?}");
        }
        let file = &report.handlers["file"];
        assert_eq!(file.offered, file.delivered, "{report:#?}");
        assert_eq!(report.handlers["moody"].offered, file.offered);
        self.submitted.fetch_add(report.submitted, Ordering::Relaxed);
        self.delivered.fetch_add(report.dispatched, Ordering::Relaxed);
        self.late.fetch_add(report.late, Ordering::Relaxed);
        self.dropped.fetch_add(report.dropped, Ordering::Relaxed);
        self.lives.fetch_add(1, Ordering::Relaxed);
    }

    #[track_caller]
    fn compare(&self, what: &str) {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (calls, submitted) = (count(&self.calls), count(&self.submitted));
        let (delivered, late, dropped) = (count(&self.delivered), count(&self.late), count(&self.dropped));
        eprintln!(
            "{what}: {calls} calls = {delivered} handed out + {late} late + {dropped} dropped, in {} engines",
            count(&self.lives)
        );
        assert_eq!(calls, submitted, "{what}");
        assert_eq!(submitted, delivered + late + dropped, "{what}");
        assert!(delivered > 0 && count(&self.lives) > 2, "{what}: too little happened");
    }
}

/// The next engine, with an empty file.
fn builder(path: &std::path::Path) -> Builder {
    let _ = std::fs::remove_file(path);
    treering::builder()
        .filter("info")
        .ring_capacity(16 << 10)
        .memory_cap(2 << 20) // or the threads that come and go get rings until 64 MiB are full
        .overflow(Overflow::block(LONG))
        .error_hook(|_| ())
        .handler(Moody { calls: 0 })
        .handler(handler::File::append(path).unwrap().name("file"))
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

/// A child that logs, starts afresh, and ends well.
fn fork() {
    /// A child that hangs is killed after this.
    const HANGS_SECONDS: u32 = 20;
    // SAFETY: what the child does in spite of threads that are gone is what is tested; it is killed if it hangs.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // SAFETY: two integers.
        unsafe { libc::alarm(HANGS_SECONDS) };
        info!("of the child");
        let guard = treering::builder().filter("info").handler(handler::Capture::new()).init();
        info!("of the child's engine");
        let report = guard.and_then(|guard| guard.stop(SOON));
        let is_good =
            report.is_ok_and(|report| report.is_balanced() && (report.dispatched, report.forked) == (1, 1));
        // SAFETY: an integer. C's: std's may wait for a lock that a thread of the parent's held.
        unsafe { libc::exit(i32::from(!is_good)) }
    }
    let mut status = 0;
    // SAFETY: `status` outlives the call.
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
    assert_eq!(status, 0, "the child failed, or hung");
}

/// Says that it is over when it is dropped, also by a test that fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn what_comes_and_goes_balances_and_leaves_nothing_behind() {
    let asked = |name: &str, usual| std::env::var(name).map_or(usual, |asked| asked.parse().unwrap());
    let (seconds, loggers) =
        (asked("TREERING_SOAK_SECONDS", SECONDS), asked("TREERING_SOAK_THREADS", THREADS));
    let directory = tempfile::tempdir().unwrap();
    let (global_path, own_path) = (directory.path().join("global"), directory.path().join("own"));
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ())); // Moody's, by the hundred

    let threads_before = threads();
    let global = Line::new(builder(&global_path).init().unwrap());
    let own = Line::new(builder(&own_path).start().unwrap());
    let (is_over, children, reloads) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let until_over = |work: &dyn Fn()| {
        while !is_over.load(Ordering::Relaxed) {
            work();
        }
    };
    let log = |records| {
        global.log(records, |_, n| info!(n, "to the process-wide engine {}", "and some text"));
        own.log(records, |(logger, _), n| info!(logger: logger, n, "to an engine of its own"));
    };
    let mut before = None;
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let _over = Over(&is_over);
        for _ in 0..loggers {
            scope.spawn(|| {
                until_over(&|| {
                    log(20);
                    std::thread::sleep(Duration::from_micros(500));
                });
            });
        }
        // Threads come and go, some while they wait for room, some while an engine stops.
        scope.spawn(|| {
            until_over(&|| {
                std::thread::scope(|scope| {
                    for n in 1..5 {
                        let log = &log;
                        scope.spawn(move || log(n * 50));
                    }
                });
            });
        });
        scope.spawn(|| {
            until_over(&|| {
                for filter in ["info,soak=debug", "info"] {
                    treering::set_filter(filter).unwrap();
                    own.now.read().unwrap().0.set_filter(filter).unwrap();
                    reloads.fetch_add(1, Ordering::Relaxed);
                }
                debug!(target: "nobody", "reads the filter");
                std::thread::sleep(Duration::from_millis(1));
            });
        });
        scope.spawn(|| {
            until_over(&|| {
                fork();
                children.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(10));
            });
        });
        while begun.elapsed() < Duration::from_secs(seconds) {
            std::thread::sleep(LIFE);
            // Everybody logs on while they stop.
            treering::shutdown(LONG).unwrap();
            let stopped = global.replace(builder(&global_path).init().unwrap());
            global.count(&stopped.stats());
            own.now.read().unwrap().1.stop(LONG).unwrap();
            let (_, stopped) = own.replace(builder(&own_path).start().unwrap());
            own.count(&stopped.stats());
            if before.is_none() && begun.elapsed() > Duration::from_secs(seconds) / 4 {
                before = Some((resident_bytes(), descriptors()));
            }
        }
    });
    treering::shutdown(LONG).unwrap();
    global.count(&treering::stats().unwrap());
    let report = own.now.read().unwrap().1.stop(LONG).unwrap();
    own.count(&report);
    std::panic::set_hook(hook);

    global.compare("process-wide");
    own.compare("of its own");
    let (children, reloads) = (children.into_inner(), reloads.into_inner());
    assert!(children > 0 && reloads > 0);
    let (bytes, files) = before.expect("a second round");
    let files_of_engines = 2;
    eprintln!(
        "{children} children, {reloads} reloads; {:.1} -> {:.1} MB",
        bytes as f64 / 1e6,
        resident_bytes() as f64 / 1e6
    );
    assert_eq!(descriptors() + files_of_engines, files);
    assert!(resident_bytes() < bytes + GROWTH_MAX_BYTES, "memory grows");
    eventually("the listeners' threads are gone", || threads() == threads_before);
}
