//! What a log call may cost, in counts: `tests/budget.txt` has them all.
//!
//! `TREERING_BUDGET=write` shows old and new, and writes what is seen; limits are changed by hand.

#![allow(clippy::print_stdout, reason = "figures beside their budgets")]

use std::sync::{Mutex, MutexGuard, PoisonError};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/budget.txt");
/// More than was seen last by more than this share is a change that somebody must have meant. Compilers differ by less.
const SLACK: f64 = 0.03;

/// A line `name  limit  seen`.
pub(crate) struct Line<'a> {
    pub(crate) limit: f64,
    pub(crate) seen: f64,
    pub(crate) text: &'a str,
}

/// Compares a figure that is the same in every run with its limit, and with what was seen last.
#[track_caller]
pub(crate) fn check(name: &str, now: f64) {
    checked(name, now, true);
}

/// Compares a figure that the machine's load changes with its limit alone.
#[track_caller]
pub(crate) fn check_limit(name: &str, now: f64) {
    checked(name, now, false);
}

#[track_caller]
fn checked(name: &str, now: f64, is_steady: bool) {
    let _one_at_a_time = lock();
    let file = std::fs::read_to_string(PATH).expect("tests/budget.txt is there");
    let line = find(&file, name).unwrap_or_else(|| panic!("tests/budget.txt has no {name}"));
    let now_shown = if now < 10.0 { format!("{now:.2}") } else { format!("{now:.1}") };
    println!("{name}: {now_shown}; seen last {}, limit {}", line.seen, line.limit);
    if is_writing() {
        super::tell(&format!("{name}: {} -> {now_shown}, limit {}", line.seen, line.limit));
        let new = format!("{name:<40}{:>8}{now_shown:>10}", line.limit);
        std::fs::write(PATH, file.replace(line.text, &new)).expect("tests/budget.txt can be written");
    }
    assert!(now <= line.limit, "{name}: {now_shown} is beyond the limit, {}", line.limit);
    assert!(
        is_writing() || !is_steady || !is_more(now, line.seen),
        "{name}: {now_shown} is more than the {} that were seen last. If that is meant: \
         TREERING_BUDGET=write cargo test --test hot_path --test build_time",
        line.seen
    );
}

fn is_writing() -> bool {
    std::env::var("TREERING_BUDGET").is_ok_and(|what| what == "write")
}

/// Of counts below ten, one more is more.
pub(crate) fn is_more(now: f64, seen: f64) -> bool {
    now > seen + (seen * SLACK).max(0.5)
}

pub(crate) fn find<'a>(file: &'a str, name: &str) -> Option<Line<'a>> {
    file.lines().find_map(|text| {
        let mut words = text.split_whitespace();
        (words.next()? == name).then_some(())?;
        Some(Line { limit: words.next()?.parse().ok()?, seen: words.next()?.parse().ok()?, text })
    })
}

fn lock() -> MutexGuard<'static, ()> {
    static FILE: Mutex<()> = Mutex::new(());
    FILE.lock().unwrap_or_else(PoisonError::into_inner)
}
