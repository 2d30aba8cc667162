//! Files of `format::Binary`: decoded later, they say byte for byte what text, JSON and logfmt said at once.

#[path = "../examples/decode.rs"]
#[allow(dead_code, reason = "its main is not run here")]
mod decode;
mod support;

use std::backtrace::Backtrace;
use std::error::Error;
use std::fmt;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use decode::View;
use support::{Gate, LONG, SOON, each, eventually, in_child, text};
use treering::binary::{Reader, Summary};
use treering::format::{Binary, Format, Json, Logfmt, Pattern, Text};
use treering::handler::{File, FileOptions, QueueHandler, Rotation};
use treering::queue::Locked;
use treering::{Encode, Listener, Logger, Overflow, Secret, debug, error, info, trace, warn};

/// Every format, by name.
fn formats() -> Vec<(&'static str, Box<dyn Format>)> {
    let pattern = "{time:%H:%M:%S%.9f} {level:>5} [{thread}] {target}: {message} {fields} {field.id}";
    vec![
        ("text", Box::new(Text::new())),
        ("all", Box::new(Text::new().threads(true).location(true).indented(true))),
        ("json", Box::new(Json::new().threads(true).location(true).module(true))),
        ("flat", Box::new(Json::new().flat(true))),
        ("logfmt", Box::new(Logfmt::new())),
        ("pattern", Box::new(Pattern::new(pattern).unwrap())),
    ]
}

fn decoded(bytes: &[u8], format: Box<dyn Format>) -> (String, Summary) {
    let mut lines = Vec::new();
    let mut view = View { format, ..View::default() };
    let summary = decode::decode(bytes, &mut view, &mut lines).unwrap();
    (String::from_utf8(lines).unwrap(), summary)
}

fn decoded_file(path: impl AsRef<Path>) -> (String, Summary) {
    decoded(&fs::read(path).unwrap(), Box::new(Text::new()))
}

/// The same engine writes lines of every format and a binary file; what is decoded is what the lines are.
#[track_caller]
fn compare(set_up: impl FnOnce(treering::Builder) -> treering::Builder, log: impl FnOnce(&Logger)) -> String {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let mut builder = set_up(treering::builder().filter("trace"));
    for (name, format) in formats() {
        builder = builder.handler(File::append(path(name)).unwrap().format(format));
    }
    let binary = File::append(path("binary")).unwrap().format(Binary::new());
    let (logger, guard) = builder.handler(binary).start().unwrap();
    log(&logger);
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    let bytes = fs::read(path("binary")).unwrap();
    for (name, format) in formats() {
        let (lines, summary) = decoded(&bytes, format);
        assert!(summary.is_whole(), "{summary}");
        assert_eq!(lines, fs::read_to_string(path(name)).unwrap(), "{name}");
    }
    fs::read_to_string(path("all")).unwrap()
}

#[derive(Debug)]
struct Outer(std::num::ParseIntError);

impl fmt::Display for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bad `workers`\nin app.toml")
    }
}

impl Error for Outer {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

#[derive(Debug, Encode)]
struct Order<'a> {
    id: u64,
    venue: &'a str,
    side: Side,
    #[encode(redact)]
    #[allow(dead_code, reason = "not read")]
    account: &'a str,
    #[encode(skip)]
    #[allow(dead_code, reason = "left out")]
    cache: u8,
}

#[derive(Debug, Encode)]
enum Side {
    Buy,
    Sell(bool),
    Cross { with: String, after: Duration },
}

/// Formatted at the call.
#[derive(Debug)]
struct Eager;

fn generic<T: Encode>(logger: &Logger, value: T) {
    info!(logger: logger, value, "generic");
}

/// Something of each type.
fn log_everything(logger: &Logger) {
    let hostile = "eve\n\x1b[31mforged\u{202e}\"=\\ \u{2028}";
    info!(logger: logger, "nothing to say");
    trace!(logger: logger, "{} {:?} {:>8} {:<+5}| {:#x} {:#010b} {:e}", 1_u8, -2_i8, 3_u16, -4_i16, 5_u32, 6_i32, 7.5_f32);
    debug!(logger: logger, a = u64::MAX, b = i64::MIN, c = u128::MAX, d = i128::MIN, e = usize::MAX, f = -1_isize, "wide");
    warn!(logger: logger, "{} {:.3} {:?} {} {} {}", 0.1, 2.0 / 3.0, f64::NAN, f64::NEG_INFINITY, -0.0, f32::MIN_POSITIVE);
    error!(logger: logger, id = hostile, ?hostile, %hostile, c = '\n', ok = true, unit = (), "{hostile} {hostile:?}");
    info!(logger: logger, target: "net\u{1b}", "{} {} {} {} {:?}",
        Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST, IpAddr::V4(Ipv4Addr::BROADCAST),
        SocketAddr::from(([10, 0, 0, 1], 443)), SocketAddr::from((Ipv6Addr::UNSPECIFIED, 8080)));
    info!(logger: logger, took = Duration::from_nanos(1_500_000_001), list = &[1_u16, 2, 3], names = &["a", "", hostile],
        nested = &[(1_u8, Some("x")), (2, None)], none = None::<u64>, some = Some((1.5_f64, 'c')), bytes = b"\x00\xff", "lists");
    info!(logger: logger, "{:?} {:#?}", vec![Some(1_u8), None], (Duration::from_millis(3), [true, false]));
    let (width, precision) = (12, 2);
    info!(logger: logger, "{:*^width$.precision$}|{:>1$}|{:.*}", 1.25, width, precision, "cut here");
    let order = Order { id: 7, venue: "XNAS", side: Side::Buy, account: "hunter2", cache: 1 };
    info!(logger: logger, order, "placed");
    for side in
        [Side::Buy, Side::Sell(true), Side::Cross { with: "BATS".to_owned(), after: Duration::from_secs(1) }]
    {
        info!(logger: logger, ?side, sides = &[&side], "{side:#?}");
    }
    warn!(logger: logger, secret = Secret("hunter2"), "login {:?}", Secret(17));
    if let Err(cause) = "many".parse::<u8>() {
        let problem = Outer(cause);
        error!(logger: logger, problem, "cannot start: {problem}");
    }
    let trace = Backtrace::force_capture();
    error!(logger: logger, trace, "with frames");
    info!(logger: logger, eager = ?Eager, "{:?} {:p}", Eager, std::ptr::null::<u8>());
    generic(logger, 1_u8);
    generic(logger, "text");
    generic(logger, [Some(1_i32), None]);
    info!(logger: logger, "{}", "x".repeat(70_000));
}

#[test]
fn decoded_records_of_every_type_are_what_each_format_wrote() {
    let all = compare(
        |builder| builder.ring_capacity(1 << 20),
        |logger| {
            log_everything(logger);
            let spawn = |name: &str| {
                let logger = logger.clone();
                std::thread::Builder::new()
                    .name(name.to_owned())
                    .spawn(move || log_everything(&logger))
                    .unwrap()
            };
            for thread in [spawn("worker-1"), spawn("näme\n")] {
                thread.join().unwrap();
            }
        },
    );
    assert!(all.contains("[worker-1]") && all.contains("[redacted]") && !all.contains("hunter2"));
    assert!(all.contains("invalid digit") && all.contains("with frames"), "{all}");
}

#[test]
fn records_that_were_cut_and_what_tells_of_losses_are_decoded_as_they_were_written() {
    let gate = Gate::closed();
    let held = gate.clone();
    let all = compare(
        |builder| {
            builder.ring_capacity(4096).overflow(Overflow::drop_newest()).handler(each(move |_| held.pass()))
        },
        |logger| {
            info!(logger: logger, "first");
            gate.wait_for_guest();
            let (text, list) = ("é".repeat(2000), [Some("lists"); 300]);
            warn!(logger: logger, list = &list, after = 1, "{text}");
            for number in 0..500 {
                info!(logger: logger, number, "filled");
            }
            gate.open();
            eventually("there is room", || {
                error!(logger: logger, "last");
                logger.stats().dispatched > 3
            });
        },
    );
    assert!(all.contains("[truncated]") && all.contains("…("), "{all}");
    assert!(all.contains("records lost here, the thread's ring was full"), "{all}");
}

#[test]
fn records_that_came_through_a_queue_are_decoded_as_they_were_written() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name| directory.path().join(name);
    let queue = std::sync::Arc::new(Locked::bounded(1 << 24));
    let (logger, guard) =
        treering::builder().ring_capacity(1 << 20).handler(QueueHandler::new(queue.clone())).start().unwrap();
    (0..3).for_each(|_| log_everything(&logger));
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless(), "{report}");
    Listener::new(queue)
        .handler(File::append(path("text")).unwrap())
        .handler(File::append(path("binary")).unwrap().format(Binary::new()))
        .start()
        .unwrap()
        .stop(SOON)
        .unwrap();
    let (lines, summary) = decoded_file(path("binary"));
    assert!(summary.is_whole(), "{summary}");
    assert_eq!(lines, fs::read_to_string(path("text")).unwrap());
}

/// The file and those that it was before, the oldest first.
fn history(path: &Path) -> Vec<PathBuf> {
    let rolled = |number: &usize| PathBuf::from(format!("{}.{number}", path.display()));
    let mut files: Vec<_> = (1..).map(|number| rolled(&number)).take_while(|path| path.exists()).collect();
    files.reverse();
    files.push(path.to_owned());
    files
}

fn log_numbers(options: FileOptions, path: &Path, count: u64) {
    let handler = options.open(path).unwrap().format(Binary::new());
    let (logger, guard) =
        treering::builder().overflow(Overflow::block(LONG)).handler(handler).start().unwrap();
    for number in 0..count {
        match number % 3 {
            0 => info!(logger: logger, "number {number}"),
            1 => warn!(logger: logger, number, "one more"),
            _ => debug!(logger: logger, "not enabled"),
        }
    }
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless(), "{report}");
}

#[test]
fn every_file_stands_alone_and_none_is_longer_than_it_may_be() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.trr");
    let rotation = Rotation::new().at_bytes(5_000).keep_files(1000);
    log_numbers(File::options().rotate(rotation).header("#not for frames"), &path, 6000);
    let files = history(&path);
    assert!(files.len() > 5, "{files:?}");
    let mut lines = String::new();
    for file in &files {
        assert!(fs::metadata(file).unwrap().len() <= 5_000);
        let (text, summary) = decoded_file(file);
        assert!(summary.is_whole(), "{}: {summary}", file.display());
        lines.push_str(&text);
    }
    let numbers: Vec<u64> =
        lines.lines().map(|line| line.rsplit(['=', ' ']).next().unwrap().parse().unwrap()).collect();
    assert_eq!(numbers, (0..6000).filter(|number| number % 3 < 2).collect::<Vec<_>>());
}

#[test]
fn several_engines_may_append_to_one_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.trr");
    fs::write(&path, "a line of somebody else's\n").unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| log_numbers(File::options(), &path, 3000));
        }
    });
    let (lines, summary) = decoded_file(&path);
    assert_eq!((summary.skipped_bytes, summary.skipped_places, summary.undefined), (26, 1, 0), "{summary}");
    assert_eq!((lines.lines().count(), summary.records), (8000, 8000));
    for number in (0..3000).filter(|number| number % 3 < 2) {
        let ending = if number % 3 == 0 { format!(" {number}\n") } else { format!("={number}\n") };
        assert_eq!(lines.matches(&ending).count(), 4, "{number}");
    }
}

#[test]
fn a_killed_process_leaves_whole_records_in_order_and_the_next_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.trr");
    let output = in_child(
        "a_killed_process_leaves_whole_records_in_order_and_the_next_goes_on",
        &[("TREERING_TEST_PATH", path.to_str().unwrap())],
        || {
            let path = PathBuf::from(std::env::var_os("TREERING_TEST_PATH").unwrap());
            let handler = File::append(&path).unwrap().format(Binary::new());
            let builder = treering::builder().overflow(Overflow::block(LONG));
            let (logger, _guard) = builder.handler(handler).start().unwrap();
            let killed_at = 400_000 + u64::from(std::process::id()) * 37 % 1000;
            for number in 0.. {
                info!(logger: logger, "number {number}");
                if number == killed_at {
                    std::process::Command::new("kill")
                        .args(["-KILL", &std::process::id().to_string()])
                        .status()
                        .unwrap();
                }
            }
        },
    );
    let Some(output) = output else { return };
    assert!(!output.status.success(), "{}", text(&output));
    let (lines, summary) = decoded_file(&path);
    assert_eq!(summary.undefined + summary.refused_frames, 0, "{summary}");
    assert!(summary.skipped_places <= 1 && summary.is_torn == (summary.skipped_bytes > 0), "{summary}");
    let count = summary.records;
    assert!(count > 100_000, "{summary}");
    assert!(lines.lines().zip(0..).all(|(line, number)| line.ends_with(&format!(" {number}"))));

    log_numbers(File::options(), &path, 300);
    let (more, summary) = decoded_file(&path);
    assert!(more.starts_with(&lines) && !summary.is_torn, "{summary}");
    assert_eq!(summary.records, count + 200);
}

#[test]
fn a_view_has_levels_targets_and_times() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.trr");
    let handler = File::append(&path).unwrap().format(Binary::new());
    let (logger, guard) = treering::builder().handler(handler).start().unwrap();
    info!(logger: logger, target: "shop::db", "one");
    warn!(logger: logger, target: "shop::db", "two");
    info!(logger: logger, target: "shop::web", "three");
    error!(logger: logger, target: "shop", "four");
    guard.stop(SOON).unwrap().assert_balanced();
    let bytes = fs::read(&path).unwrap();
    let mut reader = Reader::new(bytes.as_slice());
    let mut times = Vec::new();
    while let Some(record) = reader.read().unwrap() {
        times.push(record.time().to_string());
    }
    let shown = |view: View| {
        let (mut view, mut lines) = (view, Vec::new());
        decode::decode(bytes.as_slice(), &mut view, &mut lines).unwrap();
        let lines = String::from_utf8(lines).unwrap();
        lines.lines().map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let filter = treering::filter::directives("warn,shop::web=info").unwrap();
    assert_eq!(shown(View { filter: Box::new(filter), ..View::default() }), ["two", "three", "four"]);
    let (since, until) = (times[1].clone(), times[3].clone());
    assert_eq!(shown(View { since, until, ..View::default() }), ["two", "three"]);
    let day = times[0][..10].to_owned();
    assert_eq!(shown(View { since: day, ..View::default() }).len(), 4);
    assert_eq!(shown(View { until: "2020".to_owned(), ..View::default() }), [""; 0]);
}

/// Where there is no place for frames that are open, each record is one.
#[test]
fn any_handler_may_have_records_packed_one_by_one() {
    let bytes = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let (kept, mut format) = (bytes.clone(), Binary::new());
    let handler = each(move |record| format.format(record, &mut kept.lock().unwrap()));
    let (logger, guard) = treering::builder().handler(handler).start().unwrap();
    (0..5).for_each(|number| info!(logger: logger, number, "filled"));
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless(), "{report}");
    let bytes = bytes.lock().unwrap();
    let (lines, summary) = decoded(&bytes, Box::new(Text::new()));
    assert_eq!((lines.lines().count(), summary.frames, summary.is_whole()), (5, 5, true));
    assert!(lines.ends_with("filled number=4\n"), "{lines}");
}
