//! The lines that docs/formats.md shows are those that come out.

mod support;

use std::error::Error;
use std::fmt;
use std::fs;
use std::time::Duration;

use support::SOON;
use treering::format::{Json, Logfmt, Pattern, Text};
use treering::handler::{Capture, File};
use treering::{Logger, error, info, warn};

const PAGE: &str = include_str!("../docs/formats.md");
const PATTERN: &str = "{time:%Y-%m-%d %H:%M:%S%.3f} {level:>5} [{thread}] {target}: {message} {fields}";

#[derive(Debug)]
struct Full;

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the volume is full")
    }
}

impl Error for Full {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&NoSpace)
    }
}

#[derive(Debug)]
struct NoSpace;

impl fmt::Display for NoSpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("No space left on device")
    }
}

impl Error for NoSpace {}

/// The calls of the page.
fn log(logger: &Logger) {
    let (id, user, error) = (7, "eve\n2026-11-22T13:37:56Z INFO  my_server: \x1b[31mforged", Full);
    info!(logger: logger, target: "my_server::db", venue = "XNAS", qty = 100, note = "two words", "order {id} filled");
    warn!(logger: logger, target: "my_server::auth", user, level = 3, ratio = f64::NAN, peers = &[1, 2],
        "login of {user} refused");
    error!(logger: logger, target: "my_server", error, elapsed = Duration::from_micros(1500), retry = None::<u8>,
        "cannot store");
}

#[test]
fn the_page_shows_what_comes_out() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name| directory.path().join(name);
    let file = |name| File::append(path(name)).unwrap();
    let capture = Capture::new();
    let (logger, guard) = treering::builder()
        .handler(file("text").format(Text::new()))
        .handler(file("json").format(Json::new()))
        .handler(file("flat").format(Json::new().flat(true)))
        .handler(file("logfmt").format(Logfmt::new()))
        .handler(file("pattern").format(Pattern::new(PATTERN).unwrap()))
        .handler(capture.clone())
        .start()
        .unwrap();
    std::thread::Builder::new().name("main".to_owned()).spawn(move || log(&logger)).unwrap().join().unwrap();
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless(), "{report}");

    assert!(PAGE.contains(PATTERN));
    for format in ["text", "json", "flat", "logfmt", "pattern"] {
        let text = fs::read_to_string(path(format)).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        for (line, record) in lines.into_iter().zip(capture.records()) {
            let time = record.time().to_string();
            let shown = line
                .replace(&time, "2026-11-22T13:37:55.123456789Z")
                .replace(&time[..23].replace('T', " "), "2026-11-22 13:37:55.123");
            assert!(PAGE.lines().any(|line| line == shown), "docs/formats.md does not show\n{shown}");
        }
    }
}
