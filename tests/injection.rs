//! Whatever comes in from outside, the log stays a log: one line a record, and nothing in it that steers a terminal.

mod support;

use std::fmt;

use support::SOON;
use treering::format::{Json, Logfmt, Pattern, Text};
use treering::{handler, info};

/// What attackers send.
const EVIL: [&str; 14] = [
    "\u{1b}[2J\u{1b}[1;1H",
    "\n2026-11-22T13:37:55.123456789Z INFO  app: forged",
    "\r\n2026-11-22T13:37:55.123456789Z INFO  app: forged",
    "\rforged over what stood here",
    "nul \0 in the middle",
    "bell \x07, backspace \x08\x08, tab \t, delete \x7f",
    "C1: \u{9b}31m and \u{85}",
    "bidi: \u{202e}drowssap\u{202c} \u{2066}isolate\u{2069} \u{200f}mark \u{61c}",
    "separators: \u{2028} \u{2029}",
    "invisible: \u{200b}\u{feff} \u{ad} \u{180e} \u{2060}\u{2064} \u{206a}\u{206f} \u{fff9}\u{fffb}",
    "smuggled in tags: \u{e0001}\u{e0068}\u{e0069}\u{e007f}",
    "signs: \u{600} \u{6dd} \u{70f} \u{890} \u{8e2} \u{110bd} \u{110cd} \u{13430} \u{1bca0} \u{1d173}",
    "quotes: \" = \\ \\n \\\"",
    "\u{1b}]0;title\x07\u{1b}]52;c;Y2xpcGJvYXJk\x07",
];

/// All of general category Cf, as DerivedGeneralCategory.txt of Unicode 16.0.0 lists it.
const FORMAT_CHARACTERS: &str = "\
    00AD 0600..0605 061C 06DD 070F 0890..0891 08E2 180E 200B..200F 202A..202E 2060..2064 2066..206F FEFF FFF9..FFFB \
    110BD 110CD 13430..1343F 1BCA0..1BCA3 1D173..1D17A E0001 E0020..E007F";

/// Whether a file may hold this character besides the newline at the end of a line.
fn is_harmless(c: char) -> bool {
    let code = |text| u32::from_str_radix(text, 16).unwrap();
    let is_format_character = FORMAT_CHARACTERS.split(' ').any(|range| {
        let (first, last) = range.split_once("..").unwrap_or((range, range));
        (code(first)..=code(last)).contains(&u32::from(c))
    });
    !c.is_control() && !is_format_character && !matches!(c, '\u{2028}' | '\u{2029}')
}

#[derive(Debug)]
struct Struct<'a>(#[allow(dead_code, reason = "printed by Debug")] &'a str);

impl fmt::Display for Struct<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

#[test]
fn nothing_that_comes_from_outside_reaches_the_file_raw() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.log");
    let file = |name| handler::File::append(directory.path().join(name)).unwrap();
    let pattern = "{time} {level} {thread} {target:^9.30} {message:.400} {fields} {field.evil:>9}";
    let (logger, guard) = treering::builder()
        .ring_capacity(1 << 20)
        .handler(file("app.log").format(Text::new().threads(true)))
        .handler(file("json").format(Json::new().threads(true)))
        .handler(file("flat").format(Json::new().threads(true).flat(true)))
        .handler(file("logfmt").format(Logfmt::new().threads(true)))
        .handler(file("pattern").format(Pattern::new(pattern).unwrap()))
        .start()
        .unwrap();
    let mut records = 0;
    for evil in EVIL {
        // A thread's name may be anything without a NUL.
        let thread = std::thread::Builder::new().name(evil.replace('\0', "0"));
        let logger = logger.clone();
        let run = move || {
            let text = Struct(evil);
            let error = std::io::Error::other(evil);
            info!(logger: logger, "as an argument: {evil}");
            info!(logger: logger, "as an argument: {evil:?}");
            info!(logger: logger, "padded: [{evil:>200}] and cut: [{evil:.3}]");
            info!(logger: logger, "by Display: {text}, by Debug: {text:?}");
            info!(logger: logger, evil, "as a field");
            info!(logger: logger, a = %text, b = ?text, c = ?evil, "as fields with sigils");
            info!(logger: logger, error, "as an error");
            info!(logger: logger, list = [evil, evil].as_slice(), "in a list");
            info!(logger: logger, pair = (1, evil), "in a tuple");
            info!(logger: logger, maybe = Some(evil), "in an option");
            evil.chars().for_each(|c| info!(logger: logger, "one character: {c}"));
            10 + evil.chars().count()
        };
        records += thread.spawn(run).unwrap().join().unwrap();
    }
    info!(logger: logger, target: "target\u{1b}[2J\n2026-11-22T13:37:55Z INFO  app: forged", "in the target");
    info!(logger: logger, "name\u{1b}[2J\n2026-11-22T13:37:55Z INFO  app: forged" = 1, "in a field's name");
    records += 2;
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless());
    assert_eq!(report.submitted, records as u64);

    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.ends_with('\n'));
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), records, "one line a record");
    for line in lines {
        assert!(line.chars().all(is_harmless), "raw: {line:?}");
        // The time, the level, the thread; the target is `injection`, whatever stands in a record.
        let target = line.split("] ").nth(1).unwrap_or_default();
        assert!(target.starts_with("injection: ") || target.starts_with("target\\u{1b}"), "{line}");
        assert_eq!(line.find(" INFO "), Some(30), "{line}");
    }
    for format in ["json", "flat", "logfmt", "pattern"] {
        let text = std::fs::read_to_string(directory.path().join(format)).unwrap();
        assert_eq!(text.lines().count(), records, "{format}: one line a record");
        for line in text.lines() {
            assert!(line.chars().all(is_harmless), "{format}: raw: {line:?}");
            let is_json = serde_json::from_str::<serde_json::Value>(line).is_ok();
            assert_eq!(is_json, matches!(format, "json" | "flat"), "{format}: {line}");
        }
    }
    let escaped = "as an argument: \\n2026-11-22T13:37:55.123456789Z INFO  app: forged";
    assert!(text.contains(escaped), "it can still be read");
    assert!(text.contains("as an argument: \\u{1b}[2J\\u{1b}[1;1H"));
}

#[test]
fn a_small_record_makes_no_huge_line() {
    const TEXT_BYTES_MAX: usize = 1 << 20;
    let capture = handler::Capture::new();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.log");
    let builder = treering::builder().handler(handler::File::append(&path).unwrap());
    let (logger, guard) = builder.handler(capture.clone()).start().unwrap();
    let (numbers, width) = (vec![7_u8; 2000], 65_535);
    info!(logger: logger, "before {numbers:width$?} between {:>width$} after {}", "é", "all");
    info!(logger: logger, "{:.width$?}|{:>1$}|", [0.5_f64; 200], width);
    info!(logger: logger, "{:>width$}", "alone");
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless(), "{report}");

    let messages: Vec<_> = capture.records().iter().map(|record| record.message().to_owned()).collect();
    assert!(messages[0].starts_with("before [      "));
    assert!(messages[0].ends_with("…[truncated] between …[truncated] after all"));
    assert!(messages[1].starts_with("[0.5000") && messages[1].ends_with("|…[truncated]|"));
    assert_eq!(messages[2], format!("{:>width$}", "alone"));
    for message in &messages[..2] {
        let length = message.len();
        assert!((TEXT_BYTES_MAX..TEXT_BYTES_MAX + 40 * 2100).contains(&length), "{length}");
    }
    let lines = std::fs::read_to_string(&path).unwrap();
    assert_eq!(lines.lines().count(), messages.len());
    for (line, message) in lines.lines().zip(&messages) {
        assert!(line.ends_with(message.as_str()));
    }
}
