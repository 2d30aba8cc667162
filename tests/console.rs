//! A console whose other side does not read, or is gone: real pipes to a process of its own.

mod support;

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use support::SOON;
use treering::handler::Console;
use treering::info;

/// More than a pipe holds, and than a ring.
const CALLS: u64 = 20_000;

/// What a line of ours looks like; libtest writes there, too.
const MARK: &str = "INFO  console: ";

/// Runs the test in a child, which does `body`, with both streams in pipes.
fn child(test: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture", "--test-threads=1", "--include-ignored"])
        .env("TREERING_CONSOLE_CHILD", test)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn is_child(test: &str) -> bool {
    std::env::var("TREERING_CONSOLE_CHILD").is_ok_and(|child| child == test)
}

/// Logs to stderr; tells on stdout how long the slowest call took, and what the books say at the end.
#[expect(clippy::print_stdout, reason = "how the child tells")]
fn log_to_stderr(stop: Duration) {
    let guard = treering::builder().filter("info").handler(Console::stderr()).init().unwrap();
    let mut slowest = Duration::ZERO;
    for n in 0..CALLS {
        let begin = Instant::now();
        info!("{n:0100}");
        slowest = slowest.max(begin.elapsed());
    }
    println!("\ncalls returned");
    let report = guard.stop(stop).unwrap();
    report.assert_balanced();
    let books = &report.handlers["stderr"];
    println!(
        "books {} {} {} {} {} {}",
        slowest.as_millis(),
        report.submitted,
        report.dispatched,
        books.delivered,
        books.failed,
        report.abandoned
    );
}

/// The numbers behind `books`.
fn books(stdout: &str) -> [u64; 6] {
    let line =
        stdout.lines().find_map(|line| line.strip_prefix("books ")).unwrap_or_else(|| panic!("{stdout}"));
    let numbers: Vec<_> = line.split(' ').map(|number| number.parse().unwrap()).collect();
    numbers.try_into().unwrap()
}

#[test]
fn a_pipe_that_nobody_reads_holds_up_no_call_and_what_is_read_later_are_whole_lines() {
    let test = "a_pipe_that_nobody_reads_holds_up_no_call_and_what_is_read_later_are_whole_lines";
    if is_child(test) {
        return log_to_stderr(Duration::from_secs(60));
    }
    let mut child = child(test);
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("calls returned") {
        line.clear();
        assert_ne!(stdout.read_line(&mut line).unwrap(), 0, "the child ended while its stderr was full");
    }
    let (mut text, mut told) = (String::new(), String::new());
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    stdout.read_to_string(&mut told).unwrap();
    assert!(child.wait().unwrap().success());
    let [slowest_ms, submitted, _, delivered, failed, abandoned] = books(&told);
    assert_eq!((submitted, failed, abandoned), (CALLS, 0, 0));
    assert!(slowest_ms < 10_000, "a call waited for {slowest_ms} ms");
    let ours: Vec<_> = text.lines().filter(|line| line.contains(MARK)).collect();
    assert!(delivered < CALLS, "the pipe was full and the ring was: {delivered} of {CALLS}");
    let losses = text.lines().filter(|line| line.contains("treering::loss")).count() as u64;
    assert!(losses > 0, "the stream tells of its gaps");
    assert_eq!(ours.len() as u64 + losses, delivered);
    let last = |line: &&str| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap();
    assert!(ours.iter().map(last).is_sorted());
    assert!(ours.iter().all(|line| line.ends_with(&format!("{:0100}", last(line)))), "whole lines");
}

#[test]
fn a_pipe_that_nobody_ever_reads_ends_with_the_deadline_and_balanced_books() {
    let test = "a_pipe_that_nobody_ever_reads_ends_with_the_deadline_and_balanced_books";
    if is_child(test) {
        return log_to_stderr(Duration::from_millis(200));
    }
    let mut child = child(test);
    let mut told = String::new();
    let begin = Instant::now();
    child.stdout.take().unwrap().read_to_string(&mut told).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(begin.elapsed() < SOON);
    let [_, submitted, dispatched, delivered, _, _] = books(&told);
    assert_eq!(submitted, CALLS);
    assert!(delivered < dispatched, "{told}");
}

#[test]
fn a_pipe_that_is_closed_costs_the_records_and_nothing_else() {
    let test = "a_pipe_that_is_closed_costs_the_records_and_nothing_else";
    if is_child(test) {
        return log_to_stderr(Duration::from_secs(60));
    }
    let mut child = child(test);
    drop(child.stderr.take());
    let mut told = String::new();
    child.stdout.take().unwrap().read_to_string(&mut told).unwrap();
    assert!(child.wait().unwrap().success());
    let [slowest_ms, submitted, dispatched, delivered, failed, abandoned] = books(&told);
    assert_eq!((submitted, delivered, abandoned), (CALLS, 0, 0));
    assert!(failed >= dispatched, "{told}");
    assert!(slowest_ms < 10_000);
}
