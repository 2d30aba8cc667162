//! The same records through CPython's rotating handlers and through ours leave the same files. docs/files.md lists
//! where we differ on purpose, and the inputs here keep clear of that.

use super::*;
use crate::handler::file::Weekday;
use crate::output::System;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

/// Reads `second message` from stdin, and logs each message at its second after 1970. The clock of the program stands
/// there, too.
const SCRIPT: &str = r#"
import datetime, logging, logging.handlers, os, sys, time
path, kind, first, second = sys.argv[1:5]
lines = [line.rstrip("\n").split(" ", 1) for line in sys.stdin]
now = [int(lines[0][0])]
time.time = lambda: now[0]
if kind == "size":
    handler = logging.handlers.RotatingFileHandler(path, maxBytes=int(first), backupCount=int(second))
else:
    at = datetime.time.fromisoformat(sys.argv[5]) if len(sys.argv) > 5 else None
    handler = logging.handlers.TimedRotatingFileHandler(
        path, when=first, backupCount=int(second), utc="TZ" not in os.environ, delay=True, atTime=at)
handler.setFormatter(logging.Formatter("%(message)s"))
logger = logging.getLogger()
logger.addHandler(handler)
for when, message in lines:
    now[0] = int(when)
    logger.warning("%s", message)
"#;

type Tree = BTreeMap<String, String>;
type Log = Vec<(u64, String)>;

fn tree(directory: &Path) -> Tree {
    let entries = fs::read_dir(directory).unwrap().map(Result::unwrap);
    let name = |entry: &fs::DirEntry| entry.file_name().into_string().unwrap();
    entries.map(|entry| (name(&entry), fs::read_to_string(entry.path()).unwrap())).collect()
}

/// `None` where there is no Python. In this zone, or in UTC.
fn by_python_in(zone: Option<&str>, log: &Log, arguments: &[&str]) -> Option<Tree> {
    let directory = tempfile::tempdir().unwrap();
    let mut python = Command::new("python3");
    python.env_remove("TZ").envs(zone.map(|zone| ("TZ", zone)));
    python.args(["-c", SCRIPT]).arg(directory.path().join("app.log")).args(arguments).stdin(Stdio::piped());
    let Ok(mut child) = python.spawn() else {
        crate::os::write_stderr(b"not tried: the comparison with CPython, as there is no python3\n");
        return None;
    };
    let lines: String = log.iter().map(|(second, message)| format!("{second} {message}\n")).collect();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    Some(tree(directory.path()))
}

fn by_python(log: &Log, arguments: &[&str]) -> Option<Tree> {
    by_python_in(None, log, arguments)
}

fn by_ours(log: &Log, rotation: Rotation) -> Tree {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.log");
    let mut writer = Writer::open(System, &path, options().rotate(rotation)).unwrap();
    writer.stream.set_format(Plain);
    for (second, message) in log {
        let run = Run::at(Timestamp::from_nanos(second * 1_000_000_000), [message.clone()]);
        writer.handle(&run.all()).unwrap();
    }
    writer.close().unwrap();
    tree(directory.path())
}

/// Both give the same, and have rolled.
#[track_caller]
fn compare(log: &Log, arguments: &[&str], rotation: Rotation) {
    compare_in(None, log, arguments, rotation);
}

#[track_caller]
fn compare_in(zone: Option<&str>, log: &Log, arguments: &[&str], rotation: Rotation) {
    let Some(expected) = by_python_in(zone, log, arguments) else { return };
    let ours = by_ours(log, rotation);
    assert_eq!(ours, expected, "{zone:?} {arguments:?}");
    assert!(ours.len() > 1, "{ours:?}");
}

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

#[test]
fn by_size_the_files_are_those_of_rotating_file_handler() {
    for seed in 0..3 {
        let mut dice = Dice(seed);
        let record =
            |at: u64, dice: &mut Dice| (TIME + at, format!("{at} {}", "x".repeat(dice.roll(40) as usize)));
        let log: Log = (0..200).map(|at| record(at, &mut dice)).collect();
        for (most, keep) in [(50_u64, 3_usize), (100, 12), (333, 100), (64, 1)] {
            // Python rolls before a file would have `maxBytes`, we before it would have more.
            let max_bytes = (most + 1).to_string();
            let rotation = Rotation::new().at_bytes(most).keep_files(keep);
            compare(&log, &["size", &max_bytes, &keep.to_string()], rotation);
        }
    }
}

/// Records some hours apart; with `is_aligned` each on the hour.
fn some_weeks(seed: u64, is_aligned: bool) -> Log {
    some_weeks_from(TIME, seed, is_aligned)
}

fn some_weeks_from(begin: u64, seed: u64, is_aligned: bool) -> Log {
    let mut dice = Dice(seed);
    let mut second = begin - begin % 3600;
    let mut record = |at: u64| {
        second += dice.roll(30) * 3600;
        let within = if is_aligned { 0 } else { dice.roll(3600) };
        (second + within, format!("{at} at {}", second + within))
    };
    let mut log: Log = (0..60).map(&mut record).collect();
    log.sort();
    log
}

#[test]
fn by_time_the_files_are_those_of_timed_rotating_file_handler() {
    for seed in 0..3 {
        let log = some_weeks(seed, false);
        for keep in ["3", "100"] {
            let new = || Rotation::new().keep_files(keep.parse().unwrap());
            compare(&log, &["time", "MIDNIGHT", keep], new().daily());
            compare(&log, &["time", "MIDNIGHT", keep, "04:30"], new().daily().at(4, 30));
            // Python names the day at whose end it rolls.
            compare(&log, &["time", "W6", keep], new().weekly(Weekday::Monday));
            compare(&log, &["time", "W2", keep], new().weekly(Weekday::Thursday));
        }
        // Python's hours begin when the first record of the last file was made.
        let log = some_weeks(seed, true);
        compare(&log, &["time", "H", "100"], Rotation::new().hourly().keep_files(100));
        compare(&log, &["time", "M", "100"], Rotation::new().minutely().keep_files(100));
    }
}

#[cfg(feature = "time-zones")]
#[test]
fn by_the_clocks_of_a_zone_the_files_are_those_of_timed_rotating_file_handler() {
    /// 2026-03-03: clocks are set forward in New York, then in Berlin, in the weeks that follow.
    const SPRING: u64 = 1_772_496_000;
    for zone in ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Apia"] {
        for seed in 0..3 {
            let log = some_weeks_from(SPRING, seed, false);
            let new = || Rotation::new().keep_files(100).zone(zone).unwrap();
            let compare = |arguments: &[&str], rotation| compare_in(Some(zone), &log, arguments, rotation);
            compare(&["time", "MIDNIGHT", "100"], new().daily());
            compare(&["time", "MIDNIGHT", "100", "12:30"], new().daily().at(12, 30));
        }
    }
}

/// One record each noon and each evening, local time, around a change of the clocks.
#[cfg(feature = "time-zones")]
fn around(zone: &str, day: i8, month: i8) -> Log {
    let zone = jiff::tz::TimeZone::get(zone).unwrap();
    let first = jiff::civil::date(2026, month, day);
    let days = (-3..=3).map(|days| first + jiff::Span::new().days(days));
    let times = days.flat_map(|day| [day.at(12, 0, 0, 0), day.at(18, 0, 0, 0)]);
    let second = |time| zone.to_timestamp(time).unwrap().as_second() as u64;
    times.map(|time| (second(time), time.to_string())).collect()
}

/// Where clocks are set back, Python takes the name of the day before for the file of the last day of summer, and throws
/// away what has that name. Where they change by half an hour it takes that for an hour.
#[cfg(feature = "time-zones")]
#[test]
fn where_the_clocks_are_set_back_python_loses_a_day_and_we_do_not() {
    for (zone, day, month) in [("America/New_York", 1, 11), ("Australia/Lord_Howe", 5, 4)] {
        let log = around(zone, day, month);
        let Some(python) = by_python_in(Some(zone), &log, &["time", "MIDNIGHT", "100"]) else { return };
        let ours = by_ours(&log, Rotation::new().daily().zone(zone).unwrap());
        let lines = |tree: &Tree| tree.values().map(|text| text.lines().count()).sum::<usize>();
        assert_eq!((lines(&python), lines(&ours)), (log.len() - 2, log.len()), "{python:?}");
        for (name, text) in ours.iter().filter(|(name, _)| *name != "app.log") {
            let day = name.strip_prefix("app.log.").unwrap();
            assert_eq!(*text, format!("{day}T12:00:00\n{day}T18:00:00\n"));
        }
    }
}

#[test]
fn where_python_is_at_fault_we_differ() {
    let names = |tree: &Tree| tree.iter().map(|(name, text)| (name.clone(), text.len())).collect::<Vec<_>>();
    // Its limit counts characters: these are 100 bytes each.
    let log: Log = (0..4).map(|at| (TIME + at, "é".repeat(49) + "!")).collect();
    let Some(python) = by_python(&log, &["size", "160", "9"]) else { return };
    assert_eq!(names(&python), [("app.log".into(), 200), ("app.log.1".into(), 200)]);
    let ours = by_ours(&log, Rotation::new().at_bytes(159));
    assert_eq!(ours.len(), 4, "{ours:?}");
    assert!(ours.values().all(|text| text.len() == 100));
    // Without backups it forgets its limit; we do not take such a setting.
    let python = by_python(&log, &["size", "160", "0"]).unwrap();
    assert_eq!(names(&python), [("app.log".into(), 400)]);
    assert!(Rotation::new().at_bytes(159).keep_files(0).check().is_err());
}
