use super::*;
use crate::callsite::{Field, Piece, Spec};
use crate::record::encode::Encode;
use crate::record::testing::Owned;
use crate::record::{Style, Thread};
use proptest::prelude::*;

const PLACE: Piece<'static> = Piece::Argument(0, Spec::DISPLAY);

/// `warn!(target: "my_server::db", venue = "XNAS", note = "two words", "{literal}{message}")`
fn record(literal: &'static str, message: &str) -> Owned {
    let fields = [
        Field { name: "venue", argument: 1, style: Style::Value },
        Field { name: "note", argument: 2, style: Style::Value },
    ];
    let arguments = (message.hold(), ("XNAS".hold(), ("two words".hold(), ())));
    Owned::new(Level::Warn, "my_server::db", &[Piece::Literal(literal), PLACE], &fields, arguments)
}

fn line_of(pattern: Pattern, record: &Owned) -> String {
    let (mut pattern, mut out) = (pattern, b"before ".to_vec());
    pattern.format(&record.record(), &mut out);
    String::from_utf8(out).unwrap().strip_prefix("before ").unwrap().to_owned()
}

/// The line, without its end.
fn line(pattern: &str) -> String {
    let line = line_of(Pattern::new(pattern).unwrap(), &record("order ", "filled"));
    line.strip_suffix('\n').unwrap().to_owned()
}

fn error(pattern: &str) -> String {
    let error = Pattern::new(pattern).unwrap_err();
    assert!(error.is_config());
    error.to_string()
}

#[test]
fn every_attribute_shows_what_it_says() {
    let process = std::process::id().to_string();
    for (pattern, shown) in [
        ("{time}", "2023-11-14T22:13:20.123456789Z"),
        ("{time:%d.%m.%y %H:%M:%S%.3f}", "14.11.23 22:13:20.123"),
        ("{time:%a, %e %b %Y}", "Tue, 14 Nov 2023"),
        ("{level} {level.lower} {level.short}", "WARN warn W"),
        ("{target} {module}", "my_server::db app::module"),
        ("{file}:{line}", "src/module.rs:7"),
        ("{file.name}", "module.rs"),
        ("{color}{level}{reset} {dim}{target}{reset}", "WARN my_server::db"),
        ("{message}", "order filled"),
        ("{fields}", "venue=XNAS note=\"two words\""),
        ("{field.venue}/{field.note}/{field.none}", "XNAS/\"two words\"/"),
        ("{thread} {thread.name} {thread.id}", "worker worker 42"),
        ("{process.id}", process.as_str()),
        ("{newline}", "\n"),
        ("{{time}} 100 % é", "{time} 100 % é"),
        ("", ""),
    ] {
        assert_eq!(line(pattern), shown, "{pattern}");
    }
    let program = std::env::current_exe().unwrap();
    assert_eq!(line("{process.name}"), program.file_name().unwrap().to_str().unwrap());
}

#[test]
fn a_thread_without_a_name_has_its_number() {
    let mut record = record("", "text");
    record.thread = Thread::new(42, None);
    let pattern = Pattern::new("[{thread}] [{thread.name}] {thread.id}").unwrap();
    assert_eq!(line_of(pattern, &record), "[42] [] 42\n");
}

#[test]
fn layouts_are_those_of_std() {
    let text = "order filled";
    for (pattern, shown) in [
        ("{message:20}|", format!("{text:20}|")),
        ("{message:>20}|", format!("{text:>20}|")),
        ("{message:^21}|", format!("{text:^21}|")),
        ("{message:*<20}|", format!("{text:*<20}|")),
        ("{message:é^20}|", format!("{text:é^20}|")),
        ("{message:<<20}|", format!("{text:<<20}|")),
        ("{message:.5}|", format!("{text:.5}|")),
        ("{message:->8.5}|", format!("{text:->8.5}|")),
        ("{message:.0}|", format!("{text:.0}|")),
        ("{message:5}|", format!("{text:5}|")),
        ("{message:}|", format!("{text}|")),
        ("{time:>32}|", format!("{:>32}|", "2023-11-14T22:13:20.123456789Z")),
    ] {
        assert_eq!(line(pattern), shown, "{pattern}");
    }
}

#[test]
fn widths_count_what_is_seen() {
    let pattern = Pattern::new("[{message:>8}] [{message:.3}]").unwrap();
    assert_eq!(line_of(pattern, &record("", "é\n日本")), "[   é\\n日本] [é\\n]\n");
}

#[test]
fn what_shows_nothing_takes_the_space_before_it_along() {
    let nothing = Owned::new(Level::Info, "app", &[], &[], ());
    let line = |pattern| line_of(Pattern::new(pattern).unwrap(), &nothing);
    assert_eq!(line("{level} {message} {fields}"), "INFO\n");
    assert_eq!(line("{level}{fields} {target}"), "INFO app\n");
    assert_eq!(line("{level} {fields:2}|"), "INFO   |\n");
    assert_eq!(line("{fields}"), "\n");
}

#[test]
fn a_cut_record_says_so() {
    let mut record = record("", "text");
    record.truncated = true;
    assert_eq!(line_of(Pattern::new("{message}").unwrap(), &record), "text [truncated]\n");
}

#[test]
fn colours_are_where_they_are_wanted_and_take_no_columns() {
    let pattern = |colors| {
        let text = "{color}{level:>5}{reset} {dim}[{target:.2}]{reset} {message}";
        Pattern::new(text).unwrap().colors(colors)
    };
    let record = record("", "\x1b[0m");
    let colored = "\x1b[33m WARN\x1b[0m \x1b[2m[my]\x1b[0m \\u{1b}[0m\n";
    let plain = " WARN [my] \\u{1b}[0m\n";
    for (colors, wanted, line) in [
        (Colors::Auto, None, plain),
        (Colors::Auto, Some(true), colored),
        (Colors::Auto, Some(false), plain),
        (Colors::Always, Some(false), colored),
        (Colors::Never, Some(true), plain),
    ] {
        let mut pattern = pattern(colors);
        wanted.into_iter().for_each(|wanted| pattern.colors_wanted(wanted));
        assert_eq!(line_of(pattern, &record), line, "{colors:?}, {wanted:?}");
    }
}

#[test]
fn times_are_shown_as_the_setting_says() {
    let pattern = Pattern::new("{time} {time:%S%.6f}").unwrap().time(Time::utc().seconds());
    assert_eq!(line_of(pattern, &record("", "")), "2023-11-14T22:13:20Z 20.123456\n");
    #[cfg(feature = "time-zones")]
    {
        let howe = Time::zone("Australia/Lord_Howe").unwrap().millis();
        let pattern = Pattern::new("{time} {time:%F %T %z}").unwrap().time(howe);
        let expected = "2023-11-15T09:13:20.123+11:00 2023-11-15 09:13:20 +1100\n";
        assert_eq!(line_of(pattern, &record("", "")), expected);
    }
}

#[test]
fn errors_point_at_the_place() {
    for (pattern, place) in [
        ("{time} {massage}", "  {time} {massage}\n          ^^^^^^^"),
        ("é {time:%H:%Q}", "  é {time:%H:%Q}\n             ^^"),
        ("{level:>5x}", "  {level:>5x}\n          ^^"),
        ("{level:5.}", "  {level:5.}\n           ^"),
        ("{level:70000}", "  {level:70000}\n         ^^^^^"),
        ("{level:+5}", "  {level:+5}\n         ^^"),
        ("{time", "  {time\n   ^^^^"),
        ("{time {level}", "  {time {level}\n   ^^^^^"),
        ("{", "  {\n   ^"),
        ("{}", "  {}\n   ^"),
        ("{field.}", "  {field.}\n   ^^^^^^"),
        ("a } b", "  a } b\n    ^"),
        ("{color}{level}", "  {color}{level}\n   ^^^^^"),
        ("{level} {reset}", "  {level} {reset}\n           ^^^^^"),
        ("{dim}{color}{reset}", "  {dim}{color}{reset}\n        ^^^^^"),
        ("{color:>5}{reset}", "  {color:>5}{reset}\n   ^^^^^"),
        ("first\n\t{nope}\nlast", "   {nope}\n    ^^^^"),
    ] {
        let error = error(pattern);
        assert!(error.starts_with("pattern: "), "{error}");
        assert!(error.ends_with(&format!("\n{place}")), "{error}");
    }
    assert!(error("{massage}").contains("no attribute `massage`: there are time level"));
    assert!(error("{time:%f}").contains("how many digits?"));
}

proptest! {
    #[test]
    fn any_text_is_a_pattern_or_an_error(text in "([{}:%.<>^ a-z0-9é\n]|time|level|field\\.a|%[HMS]){0,12}") {
        if let Ok(pattern) = Pattern::new(&text) {
            prop_assert!(line_of(pattern, &record("", "text")).ends_with('\n'));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn nothing_from_outside_is_shown_raw(
        message in "\\PC*|[\"\\\\=\x00-\x1f a\u{202e}\u{9b}]*",
        layout in "(:\\.3|:>9|:\\^9\\.4)?",
    ) {
        let pattern = Pattern::new(&format!("{{message{layout}}} {{fields{layout}}}")).unwrap();
        let line = line_of(pattern, &record("", &message));
        prop_assert!(!line[..line.len() - 1].contains(|c: char| c.is_control() || c == '\u{202e}'), "{line:?}");
    }
}
