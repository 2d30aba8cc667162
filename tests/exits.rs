//! The ends of a process: what is in the file, what the parent sees, and what stderr says, for each end and each way to
//! keep a guard. docs/guarantees.md has the table; `tests/tidy.rs` checks that it names each of these tests.
//!
//! A program of its own in tests/crates/exits ends in the way that it is told, with 200 records before a handler that
//! takes 10 ms for each. It is built twice, as what a panic does to a process is decided when it is built.
#![cfg(target_os = "linux")]

use std::fmt;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Known to the program, too.
const RECORDS: usize = 200;
/// What its handler takes before it hangs or exits, where it does.
const FREE: usize = 50;
/// What it exits with where it names a code.
const CODE: i32 = 7;
/// A process that has not ended by then hangs.
const END_MAX: Duration = Duration::from_secs(60);
/// The deadline in scenes in which it passes is 0.3 s; the default is 5 s, and this must tell them apart.
const SHORT_END_MAX: Duration = Duration::from_secs(3);

/// The record of a panic, and those of signals.
const PANICKED: &str = "panicked: the end";
const BY_SIGTERM: &str = "SIGTERM: the process ends";
const BY_SIGINT: &str = "SIGINT: the process ends";

/// Ways to keep a guard.
const GUARDS: [&str; 6] = ["kept", "dropped", "leaked", "static", "own-kept", "own-leaked"];

/// What a panic does in a build of the program.
#[derive(Clone, Copy, Debug)]
enum Panic {
    Unwind,
    Abort,
}

/// The program in tests/crates/exits.
fn program(panic: Panic) -> &'static Path {
    static PROGRAMS: [OnceLock<PathBuf>; 2] = [const { OnceLock::new() }; 2];
    PROGRAMS[panic as usize].get_or_init(|| {
        let (profile, directory) = match panic {
            Panic::Unwind => ("dev", "debug"),
            Panic::Abort => ("abort", "abort"),
        };
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("exits");
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/crates/exits/Cargo.toml");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--offline", "--quiet", "--profile", profile, "--manifest-path", manifest]);
        // As a user's build, whatever this one was made with.
        for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "CARGO_BUILD_RUSTFLAGS"] {
            cargo.env_remove(name);
        }
        let built = cargo.arg("--target-dir").arg(&target).status().unwrap();
        assert!(built.success(), "the program builds");
        target.join(directory).join("exits")
    })
}

// ---- what a process leaves behind

/// A process on its way to its end.
struct Going {
    words: [&'static str; 2],
    child: Child,
    since: Instant,
    directory: TempDir,
}

/// Starts the program in a directory of its own.
fn go(panic: Panic, words: [&'static str; 2]) -> Going {
    let program = program(panic);
    let directory = tempfile::tempdir().unwrap();
    let child = Command::new(program)
        .arg("file")
        .args(words)
        .current_dir(&directory)
        .env_remove("RUST_LOG")
        .env("RUST_BACKTRACE", "0") // it takes so long that the handler catches up
        .stdin(Stdio::null())
        .stdout(Stdio::piped()) // nobody reads it before the end
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    Going { words, child, since: Instant::now(), directory }
}

impl Going {
    #[track_caller]
    fn wait(mut self) -> Ended {
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if self.since.elapsed() > END_MAX {
                self.child.kill().unwrap();
                panic!("{:?} hangs", self.words);
            }
            thread::sleep(Duration::from_millis(1));
        };
        let took = self.since.elapsed();
        let output = self.child.wait_with_output().unwrap();
        let file = self.directory.path().join("file");
        Ended {
            words: self.words,
            status,
            took,
            file: if file.exists() { fs::read_to_string(file).unwrap() } else { String::new() },
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// What is left of a process.
struct Ended {
    words: [&'static str; 2],
    status: ExitStatus,
    took: Duration,
    file: String,
    stdout: String,
    stderr: String,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ended { words, status, took, file, stderr, .. } = self;
        let lines = file.lines().count();
        write!(f, "{words:?}: {status} after {took:?}, {lines} lines in the file; on stderr:\n{stderr}")
    }
}

impl Ended {
    /// Whether its engine was the process-wide one.
    fn is_global(&self) -> bool {
        !self.words[0].starts_with("own")
    }

    #[track_caller]
    fn exited(&self, code: i32) {
        assert_eq!(self.status.code(), Some(code), "{self}");
    }

    #[track_caller]
    fn was_killed_by(&self, signal: i32) {
        assert_eq!(self.status.signal(), Some(signal), "{self}");
    }

    /// All records are in the file, in order, none twice; and then these lines, and no other.
    #[track_caller]
    fn delivered_all_and(&self, more: &[&str]) {
        let expected = (0..RECORDS).map(|number| number.to_string());
        let expected = expected.chain(more.iter().map(|line| line.to_string()));
        assert!(self.file.lines().eq(expected), "{self}{}", self.file);
        assert!(self.file.ends_with('\n'), "{self}");
    }

    #[track_caller]
    fn delivered_all(&self) {
        self.delivered_all_and(&[]);
    }

    /// The first records are in the file, whole and in order, and the rest is lost. How many they are.
    #[track_caller]
    fn delivered_some(&self) -> usize {
        let lines = self.file.lines().count();
        let expected = (0..lines).map(|number| format!("{number}\n")).collect::<String>();
        assert!(lines < RECORDS && self.file == expected, "{self}{}", self.file);
        lines
    }

    /// What treering says on stderr: one line each.
    fn said(&self) -> Vec<&str> {
        self.stderr.lines().filter_map(|line| line.strip_prefix("treering: ")).collect()
    }

    /// The process says nothing at all.
    #[track_caller]
    fn said_nothing(&self) {
        assert_eq!(self.stderr, "", "{self}");
    }

    /// The process says a word of its own, as when it panics, but nothing of records.
    #[track_caller]
    fn said_nothing_of_records(&self) {
        assert!(self.said().is_empty(), "{self}");
    }

    /// One line says how many records were abandoned at exit.
    #[track_caller]
    fn abandoned(&self) -> usize {
        let (abandoned, dropped) = self.lost();
        assert_eq!(dropped, 0, "{self}");
        abandoned
    }

    /// As [`abandoned`](Self::abandoned), and how many had found no room before, by the same line.
    #[track_caller]
    fn lost(&self) -> (usize, usize) {
        let said = self.said();
        let [line] = said[..] else { panic!("{self}") };
        let (abandoned, rest) = line.split_once(" records were abandoned at exit").expect("the line");
        let dropped = rest.strip_prefix(", and ").map(|rest| rest.strip_suffix(" had found no room before"));
        let dropped = dropped.map_or("0", |dropped| dropped.expect("nothing else"));
        (abandoned.parse().unwrap(), dropped.parse().unwrap())
    }

    /// The lines for what a listener had taken out of its queue, and for the queue.
    #[track_caller]
    fn left_behind_a_queue(&self) {
        let lines = [
            format!("{} records were abandoned at exit", RECORDS - FREE),
            "queues that were not emptied at exit: 1".to_owned(),
        ];
        assert_eq!(self.said(), lines, "{self}");
    }

    #[track_caller]
    fn ended_soon(&self) {
        assert!(self.took < SHORT_END_MAX, "{self}");
    }
}

/// One process for each way to keep a guard, all at the same time.
#[track_caller]
fn row(panic: Panic, end: &'static str) -> impl Iterator<Item = Ended> {
    let going: Vec<_> = GUARDS.iter().map(|guard| go(panic, [guard, end])).collect();
    going.into_iter().map(Going::wait)
}

#[track_caller]
fn scene(name: &'static str) -> Ended {
    go(Panic::Unwind, ["odd", name]).wait()
}

// ---- ends that drain

#[test]
fn main_returns() {
    for ended in row(Panic::Unwind, "return") {
        ended.exited(0);
        ended.delivered_all();
        ended.said_nothing();
    }
}

#[test]
fn main_returns_an_error() {
    for ended in row(Panic::Unwind, "error") {
        ended.exited(1);
        ended.delivered_all();
        assert_eq!(ended.stderr, "Error: \"the end\"\n");
    }
}

#[test]
fn exit_is_called() {
    for ended in row(Panic::Unwind, "exit") {
        ended.exited(CODE);
        ended.delivered_all();
        ended.said_nothing();
    }
}

#[test]
fn a_panic_unwinds_out_of_main() {
    for ended in row(Panic::Unwind, "panic") {
        ended.exited(101);
        ended.delivered_all_and(if ended.is_global() { &[PANICKED] } else { &[] });
        ended.said_nothing_of_records();
    }
}

#[test]
fn a_panic_ends_another_thread_only() {
    for ended in row(Panic::Unwind, "panic-in-thread") {
        ended.exited(0);
        ended.delivered_all_and(if ended.is_global() { &[PANICKED] } else { &[] });
        ended.said_nothing_of_records();
    }
}

/// Without an `init()` nobody has installed the hook.
#[track_caller]
fn a_panic_that_aborts(end: &'static str) {
    for ended in row(Panic::Abort, end) {
        ended.was_killed_by(libc::SIGABRT);
        if ended.is_global() {
            ended.delivered_all_and(&[PANICKED]);
        } else {
            ended.delivered_some();
        }
        ended.said_nothing_of_records();
    }
}

#[test]
fn a_panic_in_main_aborts() {
    a_panic_that_aborts("panic");
}

#[test]
fn a_panic_in_another_thread_aborts() {
    a_panic_that_aborts("panic-in-thread");
}

#[test]
fn a_panic_aborts_beside_the_process_wide_engine() {
    let ended = go(Panic::Abort, ["odd", "panic-beside"]).wait();
    ended.was_killed_by(libc::SIGABRT);
    ended.delivered_all();
    assert!(ended.stderr.contains(&format!(" treering::panic: {PANICKED} ")), "{ended}");
}

#[test]
fn a_panic_in_a_handler_costs_it_a_record() {
    for ended in row(Panic::Unwind, "panic-in-handler") {
        ended.exited(0);
        ended.delivered_all_and(&["behind it"]);
        assert_eq!(ended.said(), ["handler slow: panicked: asked for"]);
    }
}

// ---- ends by a signal, with the hook

/// The process says why it ends to the process-wide engine, and where there is none to stderr.
#[track_caller]
fn a_signal_with_the_hook(end: &'static str, signal: i32, record: &str) {
    for ended in row(Panic::Unwind, end) {
        ended.was_killed_by(signal);
        if ended.is_global() {
            ended.delivered_all_and(&[record]);
            ended.said_nothing();
        } else {
            ended.delivered_all();
            assert!(ended.stderr.lines().count() == 1, "{ended}");
            assert!(ended.stderr.ends_with(&format!(" treering::signal: {record}\n")), "{ended}");
        }
    }
}

#[test]
fn sigterm_with_the_hook() {
    a_signal_with_the_hook("SIGTERM-hooked", libc::SIGTERM, BY_SIGTERM);
}

#[test]
fn sigint_with_the_hook() {
    a_signal_with_the_hook("SIGINT-hooked", libc::SIGINT, BY_SIGINT);
}

#[test]
fn two_signals_at_once_with_the_hook() {
    let ended = scene("two-signals-at-once");
    ended.was_killed_by(libc::SIGTERM);
    ended.delivered_all_and(&[BY_SIGTERM]);
    ended.said_nothing();
}

#[test]
fn a_second_signal_with_the_hook() {
    let ended = scene("second-signal");
    ended.was_killed_by(libc::SIGINT);
    assert_eq!(ended.delivered_some(), FREE, "{ended}");
    ended.said_nothing();
}

// ---- ends that lose

/// Nobody is asked: what is in memory is lost, and what is in the file is whole.
#[track_caller]
fn memory_is_lost(panic: Panic, end: &'static str, check: impl Fn(&Ended)) {
    for ended in row(panic, end) {
        check(&ended);
        ended.delivered_some();
        ended.said_nothing_of_records();
    }
}

#[test]
fn a_second_panic_while_unwinding() {
    memory_is_lost(Panic::Unwind, "panic-twice", |ended| ended.was_killed_by(libc::SIGABRT));
}

#[test]
fn a_panic_in_a_handler_aborts() {
    for ended in row(Panic::Abort, "panic-in-handler") {
        ended.was_killed_by(libc::SIGABRT);
        ended.delivered_all(); // and not what was behind the record that it panicked at
        ended.said_nothing_of_records();
    }
}

#[test]
fn abort_is_called() {
    memory_is_lost(Panic::Unwind, "abort", |ended| ended.was_killed_by(libc::SIGABRT));
}

#[test]
fn sigterm_without_a_handler() {
    memory_is_lost(Panic::Unwind, "SIGTERM", |ended| ended.was_killed_by(libc::SIGTERM));
}

#[test]
fn sigint_without_a_handler() {
    memory_is_lost(Panic::Unwind, "SIGINT", |ended| ended.was_killed_by(libc::SIGINT));
}

#[test]
fn sigsegv() {
    memory_is_lost(Panic::Unwind, "SIGSEGV", |ended| ended.was_killed_by(libc::SIGSEGV));
}

#[test]
fn sigkill() {
    memory_is_lost(Panic::Unwind, "SIGKILL", |ended| ended.was_killed_by(libc::SIGKILL));
}

#[test]
fn underscore_exit_is_called() {
    memory_is_lost(Panic::Unwind, "_exit", |ended| ended.exited(CODE));
}

#[test]
fn another_program_is_executed() {
    memory_is_lost(Panic::Unwind, "execve", |ended| ended.exited(0));
}

// ---- handlers that hold up the end

#[test]
fn a_handler_hangs() {
    for name in ["hang", "hang-leaked", "hang-own-leaked"] {
        let ended = scene(name);
        ended.exited(0);
        ended.ended_soon();
        assert_eq!(ended.delivered_some(), FREE, "{ended}");
        assert_eq!(ended.abandoned(), RECORDS - FREE, "{ended}");
    }
}

#[test]
fn handlers_of_several_engines_hang() {
    let ended = scene("hang-all");
    ended.exited(0);
    ended.ended_soon();
    assert_eq!(ended.abandoned(), 3 * (RECORDS - FREE), "{ended}");
}

#[test]
fn an_early_atexit_function_logs() {
    let ended = scene("early-atexit");
    ended.exited(0);
    assert!(ended.stderr.ends_with("before it\n") && ended.stderr.lines().count() == 1, "{ended}");
}

#[test]
fn a_handler_hangs_and_its_guard_is_dropped() {
    let ended = scene("hang-own");
    ended.exited(0);
    ended.ended_soon();
    assert_eq!(ended.delivered_some(), FREE, "{ended}");
    let expected = format!("{} records were abandoned as the guard was dropped", RECORDS - FREE);
    assert_eq!(ended.said(), [expected]);
}

#[test]
fn a_handler_hangs_with_the_hook() {
    let ended = scene("hang-hooked");
    ended.was_killed_by(libc::SIGTERM);
    ended.ended_soon();
    // Of both engines, and the signal's own record.
    assert_eq!(ended.abandoned(), 2 * (RECORDS - FREE) + 1, "{ended}");
}

#[test]
fn everybody_waits_for_room_with_the_hook() {
    let ended = scene("full-hooked");
    ended.was_killed_by(libc::SIGTERM);
    ended.ended_soon();
}

#[test]
fn nobody_reads_the_pipe() {
    let ended = scene("full-stdout");
    ended.exited(0);
    ended.ended_soon();
    let (abandoned, dropped) = ended.lost();
    assert!(abandoned > 0 && dropped > 0, "{ended}");
    // What the pipe holds ends where it was full; up to there it is whole.
    let (whole, _) = ended.stdout.rsplit_once('\n').unwrap();
    let numbers = whole.lines().map(|line| line.rsplit_once("number ").unwrap().1.parse::<usize>().unwrap());
    assert!(numbers.clone().count() > 100 && numbers.eq(0..whole.lines().count()), "{ended}");
}

/// Not even the line about it can be written.
#[test]
fn nobody_reads_the_pipe_that_is_stderr() {
    let ended = scene("full-stderr");
    ended.exited(0);
    ended.ended_soon();
    let (whole, _) = ended.stderr.rsplit_once('\n').unwrap();
    assert!(whole.lines().count() > 100 && whole.lines().all(|line| line.contains("number ")), "{ended}");
}

#[test]
fn a_handler_calls_exit() {
    let ended = scene("exit-in-handler");
    ended.exited(CODE);
    let delivered = ended.delivered_some();
    assert_eq!((delivered, delivered + ended.abandoned()), (FREE, RECORDS), "{ended}");
}

// ---- listeners over queues

#[test]
fn a_listener_over_a_queue_is_behind() {
    for (name, code) in [("queue-kept", 0), ("queue-leaked", 0), ("queue-static", CODE)] {
        let ended = scene(name);
        ended.exited(code);
        ended.delivered_all();
        ended.said_nothing();
    }
}

#[test]
fn a_listener_over_a_queue_is_behind_with_the_hook() {
    let ended = scene("queue-hooked");
    ended.was_killed_by(libc::SIGTERM);
    ended.delivered_all_and(&[BY_SIGTERM]);
    ended.said_nothing();
}

#[test]
fn a_listener_over_a_queue_has_no_thread() {
    let ended = scene("queue-manual");
    ended.exited(0);
    ended.delivered_all();
    ended.said_nothing();
}

#[test]
fn listeners_over_queues_are_a_chain() {
    let ended = scene("queue-chain");
    ended.exited(0);
    ended.delivered_all();
    ended.said_nothing();
}

#[test]
fn a_handler_behind_a_queue_hangs() {
    let ended = scene("queue-hang");
    ended.exited(0);
    ended.ended_soon();
    assert_eq!(ended.delivered_some(), FREE, "{ended}");
    ended.left_behind_a_queue();
}

#[test]
fn a_handler_behind_a_queue_calls_exit() {
    let ended = scene("queue-exit-in-handler");
    ended.exited(CODE);
    assert_eq!(ended.delivered_some(), FREE, "{ended}");
    ended.left_behind_a_queue();
}

// ---- ends among threads

/// Main's records are from before the end; the threads' arrive until the stop, in order, with gaps where rings were full.
#[track_caller]
fn threads_log_meanwhile(ended: &Ended) {
    const THREADS: usize = 4;
    let mut main = 0;
    let mut threads = [None; THREADS];
    for line in ended.file.lines() {
        match line.split_once(" thread ") {
            None if line.contains("treering::loss") => {}
            None => {
                assert!(line.ends_with(&format!(" {main}")), "{ended}{line}");
                main += 1;
            }
            Some((_, rest)) => {
                let (thread, number) = rest.split_once(" number ").unwrap();
                let last: &mut Option<u64> = &mut threads[thread.parse::<usize>().unwrap()];
                let number = Some(number.parse().unwrap());
                assert!(*last < number, "{ended}{line}");
                *last = number;
            }
        }
    }
    assert_eq!(main, RECORDS, "{ended}");
    assert!(threads.iter().all(Option::is_some) && ended.file.ends_with('\n'), "{ended}");
    ended.said_nothing();
}

#[test]
fn main_returns_while_threads_log() {
    for _ in 0..50 {
        let ended = scene("return-while-threads-log");
        ended.exited(0);
        threads_log_meanwhile(&ended);
    }
}

#[test]
fn exit_is_called_while_threads_log() {
    for _ in 0..10 {
        let ended = scene("exit-while-threads-log");
        ended.exited(CODE);
        threads_log_meanwhile(&ended);
    }
}

#[test]
fn main_returns_while_another_thread_stops() {
    let ended = scene("return-while-stopping");
    ended.exited(0);
    // Main logs until the other thread's stop refuses it.
    let until_then = ended.file.lines().count().saturating_sub(RECORDS);
    ended.delivered_all_and(&vec!["until it is refused"; until_then]);
    ended.said_nothing();
}

#[test]
fn a_guard_is_dropped_where_its_thread_ends() {
    let going = ["thread-local", "thread-local-own"].map(|name| go(Panic::Unwind, ["odd", name]));
    for ended in going.map(Going::wait) {
        ended.exited(0);
        ended.delivered_all();
        ended.said_nothing();
    }
}

// ---- fork

#[test]
fn a_child_of_fork_exits() {
    let ended = scene("fork");
    ended.exited(0);
    ended.delivered_all();
    ended.said_nothing();
}

#[test]
fn a_child_of_fork_gets_a_signal_with_the_hook() {
    let ended = scene("fork-hooked");
    ended.exited(0);
    ended.delivered_all();
    ended.said_nothing();
}

#[test]
fn a_child_of_fork_installs_the_hook_itself() {
    let ended = scene("fork-hooked-again");
    ended.exited(0);
    ended.delivered_all_and(&[BY_SIGTERM]);
    ended.said_nothing();
}
