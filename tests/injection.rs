//! Whatever comes in from outside, the log stays a log: one line a record, and nothing in it that steers a terminal.

mod support;

use std::fmt;

use support::SOON;
use treering::format::Text;
use treering::{handler, info};

/// What attackers send.
const EVIL: [&str; 12] = [
    "\u{1b}[2J\u{1b}[1;1H",
    "\n2026-11-22T13:37:55.123456789Z INFO  app: forged",
    "\r\n2026-11-22T13:37:55.123456789Z INFO  app: forged",
    "\rforged over what stood here",
    "nul \0 in the middle",
    "bell \x07, backspace \x08\x08, tab \t, delete \x7f",
    "C1: \u{9b}31m and \u{85}",
    "bidi: \u{202e}drowssap\u{202c} \u{2066}isolate\u{2069} \u{200f}mark \u{61c}",
    "separators: \u{2028} \u{2029}",
    "invisible: \u{200b}\u{feff}",
    "quotes: \" = \\ \\n \\\"",
    "\u{1b}]0;title\x07\u{1b}]52;c;Y2xpcGJvYXJk\x07",
];

/// Whether a file may hold this character besides the newline at the end of a line.
fn is_harmless(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
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
    let file = handler::File::append(&path).unwrap().format(Text::new().threads(true));
    let (logger, guard) = treering::builder().ring_capacity(1 << 20).handler(file).start().unwrap();
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
    let escaped = "as an argument: \\n2026-11-22T13:37:55.123456789Z INFO  app: forged";
    assert!(text.contains(escaped), "it can still be read");
    assert!(text.contains("as an argument: \\u{1b}[2J\\u{1b}[1;1H"));
}
