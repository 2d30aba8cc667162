//! A child of `fork` has its parent's memory and none of its threads: it writes nothing of the parent's, waits for
//! nothing, counts what it logs, and may start afresh. Each test runs in a process of its own, whose children these are.
#![cfg(target_os = "linux")]
#![allow(unsafe_code, reason = "fork, exec and waitpid")]
#![allow(clippy::print_stderr, reason = "tests tell their figures")]

mod support;

use std::fmt;
use std::fs;
use std::future::Future;
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::pin::Pin;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use support::{Gate, LONG, SOON, each, in_child, stop_without_loss, text};
use treering::format::Format;
use treering::handler::{self, Capture, Captured, Handler as _};
use treering::queue::Channel;
use treering::record::Record;
use treering::{Listener, Overflow, Wait, context, info, warn};

/// A child that hangs is killed after this.
const HANGS_SECONDS: u32 = 10;

/// The message alone.
struct Bare;

impl Format for Bare {
    fn format(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
        use std::io::Write;
        writeln!(out, "{}", record.message()).unwrap();
    }
}

fn file(path: &Path) -> impl handler::Handler + 'static {
    handler::File::append(path).unwrap().format(Bare).name("file")
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn numbered(lines: u64) -> Vec<String> {
    (0..lines).map(|n| n.to_string()).collect()
}

/// Forks. The child runs `body` and ends by `exit`, with 0 if `body` did not panic: by C's, as std's takes a lock of std's
/// that another thread may have held at the fork.
fn fork(body: impl FnOnce()) -> Child {
    // SAFETY: what the child then does in spite of threads that are gone is what is tested here; it is killed if it hangs.
    match unsafe { libc::fork() } {
        0 => {
            // SAFETY: two integers.
            unsafe { libc::alarm(HANGS_SECONDS) };
            let ended = catch_unwind(AssertUnwindSafe(body));
            // SAFETY: an integer; what it runs is what is tested.
            unsafe { libc::exit(i32::from(ended.is_err())) }
        }
        pid => {
            assert!(pid > 0, "{}", std::io::Error::last_os_error());
            Child(pid)
        }
    }
}

#[must_use]
struct Child(libc::pid_t);

impl Child {
    /// Waits for its end, which must be a good one.
    #[track_caller]
    fn join(self) {
        let mut status = 0;
        // SAFETY: `status` outlives the call.
        let pid = unsafe { libc::waitpid(self.0, &mut status, 0) };
        assert_eq!((pid, status), (self.0, 0), "the child failed, or hung and was killed by a signal");
    }
}

/// The test's own process ended well, and said nothing of records.
#[track_caller]
fn ended_well(output: Option<std::process::Output>) {
    let Some(output) = output else { return };
    assert!(output.status.success() && !text(&output).contains("abandoned"), "{}", text(&output));
}

#[test]
fn what_is_pending_is_written_once_by_the_parent_and_what_the_child_logs_is_counted() {
    ended_well(in_child(
        "what_is_pending_is_written_once_by_the_parent_and_what_the_child_logs_is_counted",
        &[],
        || {
            const RECORDS: u64 = 100;
            let directory = tempfile::tempdir().unwrap();
            let (global, own) = (directory.path().join("global"), directory.path().join("own"));
            let slow = || each(|_| std::thread::sleep(Duration::from_millis(2)));
            let guard = treering::builder().handler(slow()).handler(file(&global)).init().unwrap();
            let (logger, own_guard) =
                treering::builder().handler(slow()).handler(file(&own)).start().unwrap();
            for n in 0..RECORDS {
                info!("{n}");
                info!(logger: logger, "{n}");
            }
            // A task of the parent's waits.
            let mut context = Context::from_waker(Waker::noop());
            let mut flush = own_guard.flush_async();
            assert!(Pin::new(&mut flush).poll(&mut context).is_pending());
            // Both are taken along, as by a return from main.
            let mut guards = Some((guard, own_guard));
            fork(|| {
                let begun = Instant::now();
                for n in 0..50 {
                    info!("the child's {n}");
                    warn!(logger: logger, "the child's {n}");
                }
                std::thread::scope(|scope| {
                    scope.spawn(|| info!("of a thread of the child's")).join().unwrap()
                });
                let report = treering::stats().unwrap();
                assert_eq!((report.forked, report.submitted, report.nested), (101, 0, 0), "{report:#?}");
                assert_eq!(logger.stats(), report);
                assert!(!report.is_lossless());
                let (guard, own_guard) = guards.take().unwrap();
                assert!(treering::flush(LONG).unwrap_err().is_forked());
                let forked =
                    |polled| matches!(polled, Poll::Ready(Err(error)) if treering::Error::is_forked(&error));
                assert!(forked(Pin::new(&mut flush).poll(&mut context)));
                assert!(forked(Pin::new(&mut treering::flush_async()).poll(&mut context)));
                assert!(treering::set_filter("trace").unwrap_err().is_forked());
                let handlers = treering::handlers().unwrap();
                assert!(handlers.add(Capture::new().named("child's"), LONG).unwrap_err().is_forked());
                assert!(handlers.remove("capture", LONG).unwrap_err().is_forked());
                assert!(treering::register_thread().unwrap_err().is_forked());
                assert!(guard.stop(LONG).unwrap_err().is_forked());
                assert!(
                    own_guard.poll().unwrap_err().is_config() || own_guard.poll().unwrap_err().is_forked()
                );
                logger.register_thread();
                drop((guard, own_guard));
                assert!(begun.elapsed() < Duration::from_secs(1), "it waited for something");
            })
            .join();

            let (guard, own_guard) = guards.take().unwrap();
            for (guard, path) in [(guard, global), (own_guard, own)] {
                let report = guard.stop(LONG).unwrap();
                report.assert_balanced();
                assert!(report.is_lossless(), "{report:#?}");
                assert_eq!((report.dispatched, report.forked), (RECORDS, 0));
                assert_eq!(lines(&path), numbered(RECORDS));
            }
        },
    ));
}

#[test]
fn an_init_in_the_child_starts_afresh() {
    ended_well(in_child("an_init_in_the_child_starts_afresh", &[], || {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let guard = treering::builder().handler(file(&path("parent"))).init().unwrap();
        info!("parent");
        fork(|| {
            info!("lost");
            let guard = treering::builder().handler(file(&path("child"))).init().unwrap();
            info!("child");
            fork(|| {
                warn!("lost, and counted");
                let _ = treering::builder().handler(file(&path("grandchild"))).init().unwrap();
                info!("grandchild");
                assert_eq!(treering::stats().unwrap().forked, 1);
            })
            .join();
            let report = guard.stop(SOON).unwrap();
            report.assert_balanced();
            assert_eq!((report.dispatched, report.forked), (1, 1));
            // A second generation of the same process.
            let _ = treering::builder().handler(file(&path("child again"))).init().unwrap();
            info!("child again");
        })
        .join();
        info!("parent again");
        stop_without_loss(&guard);
        assert_eq!(lines(&path("parent")), ["parent", "parent again"]);
        for alone in ["child", "grandchild", "child again"] {
            assert_eq!(lines(&path(alone)), [alone]);
        }
    }));
}

/// Says that it is over when it is dropped, also by a test that fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Callsites, threads and filters come and go on other threads, so that a fork meets all of the locks held.
#[test]
fn a_fork_among_threads_that_log_register_and_reload_leaves_no_lock_behind() {
    ended_well(in_child(
        "a_fork_among_threads_that_log_register_and_reload_leaves_no_lock_behind",
        &[],
        || {
            const FORKS: usize = 100;
            let directory = tempfile::tempdir().unwrap();
            let path = |name: &str| directory.path().join(name);
            let guard = treering::builder()
                .ring_capacity(4096)
                .memory_cap(8 * 4096)
                .overflow(Overflow::block(LONG))
                .handler(file(&path("parent")))
                .init()
                .unwrap();
            let (is_over, logged) = (AtomicBool::new(false), AtomicU64::new(0));
            std::thread::scope(|scope| {
                let _over = Over(&is_over);
                let until_over = |work: &dyn Fn()| {
                    while !is_over.load(Ordering::Relaxed) {
                        work();
                    }
                };
                let log = || warn!("{}", logged.fetch_add(1, Ordering::Relaxed));
                scope.spawn(move || until_over(&log));
                scope.spawn(move || until_over(&|| std::thread::scope(|scope| drop(scope.spawn(log)))));
                scope.spawn(move || {
                    until_over(&|| {
                        treering::set_filter("info").unwrap();
                        drop(treering::stats());
                    });
                });
                scope.spawn(move || {
                    until_over(&|| {
                        let (logger, guard) = treering::builder().handler(Capture::new()).start().unwrap();
                        info!(logger: logger, "of an engine that comes and goes");
                        stop_without_loss(&guard);
                    });
                });
                for n in 0..FORKS {
                    fork(|| {
                        warn!("of the child");
                        let guard = treering::builder().handler(file(&path("children"))).init().unwrap();
                        warn!("{n}");
                        let report = guard.stop(SOON).unwrap();
                        report.assert_balanced();
                        assert_eq!((report.dispatched, report.forked), (1, 1));
                    })
                    .join();
                }
            });
            let report = guard.stop(LONG).unwrap();
            report.assert_balanced();
            assert!(report.is_lossless(), "{report:#?}");
            let mut numbers: Vec<u64> = lines(&path("parent")).iter().map(|n| n.parse().unwrap()).collect();
            numbers.sort_unstable();
            assert!(numbers.into_iter().eq(0..logged.into_inner()), "each of the parent's, once");
            assert_eq!(lines(&path("children")), numbered(FORKS as u64));
        },
    ));
}

/// Keeps lines in memory of its own until it is flushed or dropped, as many handlers do.
struct Keeps {
    to: std::path::PathBuf,
    kept: Vec<String>,
}

impl Keeps {
    fn write(&mut self) {
        use std::io::Write;
        let mut file = fs::File::options().create(true).append(true).open(&self.to).unwrap();
        self.kept.drain(..).for_each(|line| writeln!(file, "{line}").unwrap());
    }
}

impl handler::Handler for Keeps {
    fn handle(&mut self, batch: &handler::Batch<'_>) -> Result<(), handler::HandlerError> {
        self.kept.extend(batch.iter().map(|record| record.message().to_string()));
        Ok(())
    }

    fn close(&mut self) -> Result<(), handler::HandlerError> {
        self.write();
        Ok(())
    }
}

impl Drop for Keeps {
    fn drop(&mut self) {
        self.write();
    }
}

#[test]
fn what_a_handler_keeps_is_not_written_by_the_child_even_if_it_holds_the_last_handle() {
    ended_well(in_child(
        "what_a_handler_keeps_is_not_written_by_the_child_even_if_it_holds_the_last_handle",
        &[],
        || {
            let directory = tempfile::tempdir().unwrap();
            let to = directory.path().join("kept");
            // No thread of ours: the child has all the handles that there are.
            let keeps = Keeps { to: to.clone(), kept: Vec::new() };
            let (logger, guard) = treering::builder().wait(Wait::Manual).handler(keeps).start().unwrap();
            (0..10).for_each(|n| info!(logger: logger, "{n}"));
            assert_eq!(guard.poll().unwrap(), 10);
            (10..20).for_each(|n| info!(logger: logger, "{n}"));
            // Nor has a listener over a queue.
            let behind = directory.path().join("kept behind a queue");
            let queue = Arc::new(Channel::bounded(20));
            let keeps = Keeps { to: behind.clone(), kept: Vec::new() };
            let listening = Listener::new(queue.clone()).handler(keeps).manual();
            let (into_queue, queue_guard) = treering::builder().queue(queue).start().unwrap();
            (0..10).for_each(|n| info!(logger: into_queue, "{n}"));
            assert_eq!(listening.poll().unwrap(), 10);
            (10..20).for_each(|n| info!(logger: into_queue, "{n}"));
            let mut all = Some((logger, guard, listening));
            fork(|| {
                let (logger, guard, listening) = all.take().unwrap();
                assert!(guard.poll().unwrap_err().is_forked());
                assert!(logger.flush(LONG).unwrap_err().is_forked());
                assert!(listening.poll().unwrap_err().is_forked());
                drop((logger, guard, listening));
            })
            .join();
            for path in [&to, &behind] {
                assert_eq!(lines(path), [""; 0]);
            }
            let (_, guard, listening) = all.take().unwrap();
            guard.stop(SOON).unwrap().assert_balanced();
            stop_without_loss(&queue_guard);
            listening.stop(SOON).unwrap().assert_balanced();
            for path in [&to, &behind] {
                assert_eq!(lines(path), numbered(20));
            }
        },
    ));
}

/// Forks while it is shown.
struct Forks<'a>(&'a std::cell::Cell<Option<Child>>, &'a AtomicBool);

impl fmt::Display for Forks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: as in `fork`; the child ends where the call has returned.
        match unsafe { libc::fork() } {
            0 => self.1.store(true, Ordering::Relaxed),
            pid => self.0.set(Some(Child(pid))),
        }
        f.write_str("forked")
    }
}

#[test]
fn an_argument_that_forks_is_logged_by_the_parent_and_counted_by_the_child() {
    ended_well(in_child(
        "an_argument_that_forks_is_logged_by_the_parent_and_counted_by_the_child",
        &[],
        || {
            let capture = Capture::new();
            let guard = treering::builder().handler(capture.clone()).init().unwrap();
            let (child, is_child) = (std::cell::Cell::new(None), AtomicBool::new(false));
            info!("{}", Forks(&child, &is_child));
            if is_child.into_inner() {
                let is_so = treering::stats().is_ok_and(|report| (report.forked, report.submitted) == (1, 0));
                std::process::exit(i32::from(!is_so));
            }
            child.take().unwrap().join();
            stop_without_loss(&guard);
            assert_eq!(capture.records().len(), 1);
        },
    ));
}

#[test]
fn a_handler_that_forks_goes_on_in_the_parent_and_ends_in_the_child() {
    let test = "a_handler_that_forks_goes_on_in_the_parent_and_ends_in_the_child";
    ended_well(in_child(test, &[], || a_handler_forks(treering::Builder::handler)));
}

#[test]
fn a_handler_on_a_lane_that_forks_goes_on_in_the_parent_and_ends_in_the_child() {
    let test = "a_handler_on_a_lane_that_forks_goes_on_in_the_parent_and_ends_in_the_child";
    ended_well(in_child(test, &[], || a_handler_forks(|builder, forks| builder.handler(forks.lane()))));
}

/// `add`: how the handler is given to the engine.
fn a_handler_forks(add: impl FnOnce(treering::Builder, Box<dyn handler::Handler>) -> treering::Builder) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let gate = Gate::closed();
    let (at_gate, parent) = (gate.clone(), std::process::id());
    let (told, children) = std::sync::mpsc::channel();
    let forks = each(move |record| {
        at_gate.pass();
        if record.message() == "5" {
            // SAFETY: as in `fork`; the child of this returns into the listener.
            let pid = unsafe { libc::fork() };
            if pid == 0 {
                // SAFETY: an integer.
                unsafe { libc::alarm(HANGS_SECONDS) };
            }
            let _ = told.send(pid);
        }
    });
    let guard = add(treering::builder(), Box::new(forks)).handler(file(&path)).init().unwrap();
    (0..10).for_each(|n| info!("{n}"));
    gate.open();
    let child = Child(children.recv().unwrap());
    assert_eq!(std::process::id(), parent, "the listener's copy must not get here");
    child.join();
    stop_without_loss(&guard);
    assert_eq!(lines(&path), numbered(10));
}

#[test]
fn a_child_is_in_the_context_of_its_parent_and_tells_its_own_engine() {
    let test = "a_child_is_in_the_context_of_its_parent_and_tells_its_own_engine";
    ended_well(in_child(test, &[], || {
        let path = |record: &Captured| record.spans().iter().map(|span| span.name().to_owned()).collect();
        let paths = |capture: &Capture| capture.records().iter().map(path).collect::<Vec<Vec<_>>>();
        let start = || {
            let capture = Capture::new();
            (treering::builder().handler(capture.clone()).init().unwrap(), capture)
        };
        let (guard, capture) = start();
        let request = context!("request", id = 7);
        let _in = request.enter();
        info!("parent");
        let child = fork(|| {
            info!("there is no engine");
            assert_eq!(treering::stats().unwrap().forked, 1, "the record, and nothing beside it");
            let (guard, capture) = start();
            info!("child");
            context!("inner").in_scope(|| info!("nested"));
            let report = guard.stop(SOON).unwrap();
            report.assert_balanced();
            assert_eq!((report.submitted, report.span_records, report.unknown_spans), (5, 3, 0));
            assert_eq!(paths(&capture), [vec!["request"], vec!["request", "inner"]]);
        });
        child.join();
        info!("parent again");
        let report = stop_without_loss(&guard);
        assert_eq!(report.unknown_spans, 0, "{report:#?}");
        assert_eq!(paths(&capture), [["request"], ["request"]]);
    }));
}

/// How often [`fork_in_a_signal`] has run in this process, and whether this one is a child of it.
static FORKS: AtomicU64 = AtomicU64::new(0);
static IS_CHILD: AtomicBool = AtomicBool::new(false);

extern "C" fn fork_in_a_signal(_: libc::c_int) {
    if IS_CHILD.load(Ordering::Relaxed) {
        return;
    }
    // SAFETY: the thread does nothing that a fork may not meet: it logs, and its calls take no lock and no memory.
    match unsafe { libc::fork() } {
        0 => {
            IS_CHILD.store(true, Ordering::Relaxed);
            // SAFETY: an integer.
            unsafe { libc::alarm(HANGS_SECONDS) };
        }
        pid => {
            Child(pid).join();
            FORKS.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[test]
fn a_signal_handler_that_forks_in_the_middle_of_a_call_leaves_the_child_able_to_begin() {
    const FORKED: u64 = 500;
    ended_well(in_child(
        "a_signal_handler_that_forks_in_the_middle_of_a_call_leaves_the_child_able_to_begin",
        &[],
        || {
            let guard = treering::builder().handler(each(|_| ())).init().unwrap();
            info!("registers");
            let request = context!("request");
            // SAFETY: a handler of the right type.
            unsafe { libc::signal(libc::SIGUSR1, fork_in_a_signal as *const () as libc::sighandler_t) };
            // SAFETY: no arguments.
            let here = unsafe { libc::pthread_self() };
            std::thread::scope(|scope| {
                scope.spawn(move || {
                    while FORKS.load(Ordering::Relaxed) < FORKED {
                        // SAFETY: the scope waits for this thread, so that one lives.
                        unsafe { libc::pthread_kill(here, libc::SIGUSR1) };
                        std::thread::sleep(Duration::from_micros(200));
                    }
                });
                while FORKS.load(Ordering::Relaxed) < FORKED && !IS_CHILD.load(Ordering::Relaxed) {
                    info!("calls, one after the other");
                    request.in_scope(|| info!("in a context"));
                }
                if IS_CHILD.load(Ordering::Relaxed) {
                    // Here by a signal that came in whatever part of a call.
                    let before = treering::stats().unwrap().forked;
                    (0..10).for_each(|_| info!("of the child"));
                    let forked = treering::stats().unwrap().forked - before;
                    let capture = Capture::new();
                    let guard = treering::builder().handler(capture.clone()).init().unwrap();
                    (0..10).for_each(|_| info!("of the child's engine"));
                    let is_good =
                        guard.stop(SOON).unwrap().is_balanced() && capture.len() == 10 && forked == 10;
                    // SAFETY: an integer; the scope would wait for a thread that is not here.
                    unsafe { libc::_exit(i32::from(!is_good)) }
                }
            });
            guard.stop(SOON).unwrap().assert_balanced();
        },
    ));
}

#[test]
fn a_command_that_is_started_changes_nothing() {
    ended_well(in_child("a_command_that_is_started_changes_nothing", &[], || {
        let capture = Capture::new();
        let guard = treering::builder().handler(capture.clone()).init().unwrap();
        for n in 0..20 {
            info!("{n}");
            assert!(Command::new("true").status().unwrap().success()); // posix_spawn
            let mut command = Command::new("true");
            // SAFETY: that a log call in there returns is what is tested.
            unsafe {
                command.pre_exec(|| {
                    info!("between fork and exec");
                    warn!("between fork and exec, a callsite of its own");
                    Ok(())
                })
            };
            assert!(command.status().unwrap().success()); // fork and exec
        }
        let report = stop_without_loss(&guard);
        assert_eq!(report.forked, 0, "{report:#?}");
        assert_eq!(capture.records().len(), 20);
    }));
}
