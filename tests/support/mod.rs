//! What the tests of the engine share: handlers made of closures, a gate that holds the listener, processes of
//! their own, and what the system says of this process.

#![allow(dead_code, reason = "not every test uses all of it")]

pub(crate) mod budget;
pub(crate) mod ledger;

use std::process::{Command, Output};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use treering::handler::{Batch, Capture, Handler, HandlerError};
use treering::record::Record;
use treering::{Guard, Logger, Overflow, Report};

/// Far longer than anything takes that does not hang.
pub(crate) const LONG: Duration = Duration::from_secs(60);
/// A deadline that must not pass.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// A handler that goes record by record.
pub(crate) struct Each<F>(pub(crate) F);

impl<F: FnMut(&Record<'_>) -> Result<(), HandlerError> + Send> Handler for Each<F> {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        for record in batch {
            (self.0)(&record)?;
        }
        Ok(())
    }

    fn name(&self) -> String {
        "each".to_owned()
    }
}

/// A handler that never fails, record by record.
pub(crate) fn each(mut take: impl FnMut(&Record<'_>) + Send) -> impl Handler {
    Each(move |record: &Record<'_>| {
        take(record);
        Ok(())
    })
}

/// An engine of its own that loses nothing, and what it captures.
pub(crate) fn capturing() -> (Logger, Guard, Capture) {
    let capture = Capture::new();
    let builder = treering::builder().overflow(Overflow::block(LONG)).handler(capture.clone());
    let (logger, guard) = builder.start().unwrap();
    (logger, guard, capture)
}

/// Stops and returns the messages.
#[track_caller]
pub(crate) fn messages(guard: &Guard, capture: &Capture) -> Vec<String> {
    stop_without_loss(guard);
    capture.records().iter().map(|record| record.message().to_owned()).collect()
}

/// Stops: the books balance, and nothing is lost.
#[track_caller]
pub(crate) fn stop_without_loss(guard: &Guard) -> Report {
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless(), "{report:#?}");
    report
}

/// What a listener stands before until a test lets it pass.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<Door>, Condvar)>);

#[derive(Default)]
struct Door {
    is_open: bool,
    waiting: usize,
}

impl Gate {
    pub(crate) fn closed() -> Self {
        Gate::default()
    }

    pub(crate) fn set_open(&self, is_open: bool) {
        self.0.0.lock().unwrap().is_open = is_open;
        self.0.1.notify_all();
    }

    pub(crate) fn open(&self) {
        self.set_open(true);
    }

    /// Waits until the gate is open.
    pub(crate) fn pass(&self) {
        let mut door = self.0.0.lock().unwrap();
        door.waiting += 1;
        self.0.1.notify_all();
        while !door.is_open {
            door = self.0.1.wait(door).unwrap();
        }
        door.waiting -= 1;
    }

    /// Waits until someone stands before the gate.
    #[track_caller]
    pub(crate) fn wait_for_guest(&self) {
        let mut door = self.0.0.lock().unwrap();
        while door.waiting == 0 {
            let (next, timeout) = self.0.1.wait_timeout(door, SOON).unwrap();
            assert!(!timeout.timed_out(), "nobody came to the gate");
            door = next;
        }
    }
}

/// Waits until `is_so`, in short sleeps.
#[track_caller]
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < SOON, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Says what this run did not try.
pub(crate) fn not_tried(what: &str) {
    tell(&format!("not tried: {what}"));
}

/// A line on stderr, past the harness, which shows what a test prints only if it fails.
fn tell(line: &str) {
    std::io::Write::write_all(&mut std::io::stderr(), format!("{line}\n").as_bytes()).unwrap();
}

/// What is set in a process that [`in_child`] starts: the test's name.
const CHILD: &str = "TREERING_TEST_CHILD";

/// Runs `body` in a process of its own, which is this binary with the one test `test`: there it runs and `None` is
/// returned, so that the test ends and main returns. Here it returns what the child wrote, and how it ended.
pub(crate) fn in_child(test: &str, env: &[(&str, &str)], body: impl FnOnce()) -> Option<Output> {
    if std::env::var(CHILD).is_ok_and(|child| child == test) {
        body();
        return None;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env_remove("RUST_LOG")
        .envs(env.iter().copied())
        .env(CHILD, test)
        .output()
        .unwrap();
    Some(output)
}

/// Both streams of a child, for messages and searches.
pub(crate) fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Bytes of memory that this process has in use.
pub(crate) fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// The kernel's number of the calling thread.
pub(crate) fn own_thread_id() -> u32 {
    let link = std::fs::read_link("/proc/thread-self").unwrap();
    link.file_name().unwrap().to_str().unwrap().parse().unwrap()
}

/// The number of this process's thread with that name, which a thread gives itself some time after it was started.
#[track_caller]
pub(crate) fn thread_named(name: &str) -> u32 {
    let mut found = None;
    eventually(&format!("a thread is named {name}"), || {
        let mut tasks = std::fs::read_dir("/proc/self/task").unwrap().filter_map(Result::ok);
        found = tasks.find(|task| {
            std::fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm.trim_end() == name)
        });
        found.is_some()
    });
    found.unwrap().file_name().to_str().unwrap().parse().unwrap()
}
