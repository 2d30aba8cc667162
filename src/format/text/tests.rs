use super::*;
use crate::callsite::{Field, Piece, Spec};
use crate::record::encode::{Arguments, Encode, Failure, Formatted, Frames, Inspected};
use crate::record::testing::Owned;
use crate::record::{Style, Thread};
use proptest::prelude::*;

const TIME: &str = "2023-11-14T22:13:20.123456789Z";
const HEAD: &str = "2023-11-14T22:13:20.123456789Z INFO  app: ";
const SIGNS: [Style; 3] = [Style::Value, Style::Display, Style::Debug];
const PLACE: Piece<'static> = Piece::Argument(0, Spec::DISPLAY);

fn key(argument: usize, style: Style) -> Field<'static> {
    Field { name: "key", argument, style }
}

fn info<A: Arguments>(pieces: &[Piece<'static>], fields: &[Field<'static>], arguments: A) -> Owned {
    Owned::new(Level::Info, "app", pieces, fields, arguments)
}

fn line_in(mut format: Text, record: &Owned) -> String {
    let mut out = b"before".to_vec();
    format.format(&record.record(), &mut out);
    String::from_utf8(out).unwrap().strip_prefix("before").unwrap().to_owned()
}

fn line(record: &Owned) -> String {
    line_in(Text::new(), record)
}

/// `info!("{literal}{}", argument)`
fn with_argument(literal: &'static str, argument: &str) -> String {
    line(&info(&[Piece::Literal(literal), PLACE], &[], (argument.hold(), ())))
}

/// `info!(key = value)`, without what stands before it.
fn with_field(style: Style, value: &str) -> String {
    line(&info(&[], &[key(0, style)], (value.hold(), ()))).strip_prefix(HEAD).unwrap().to_owned()
}

#[test]
fn a_line_is_time_level_target_message_fields() {
    let pieces = [Piece::Literal("order "), PLACE, Piece::Literal(" filled")];
    let fields = [
        Field { name: "venue", argument: 1, style: Style::Value },
        Field { name: "note", argument: 2, style: Style::Value },
        Field { name: "order.total", argument: 3, style: Style::Value },
    ];
    let arguments = (7_u64, ("XNAS".hold(), ("two words".hold(), (12.5_f64, ()))));
    let record = Owned::new(Level::Warn, "my_server::db", &pieces, &fields, arguments);
    let expected = "WARN  my_server::db: order 7 filled venue=XNAS note=\"two words\" order.total=12.5";
    assert_eq!(line(&record), format!("{TIME} {expected}\n"));
}

#[test]
fn every_level_has_the_same_width() {
    for level in Level::ALL {
        let record = Owned::new(level, "app", &[Piece::Literal("text")], &[], ());
        assert_eq!(line(&record), format!("{TIME} {level:5} app: text\n"));
    }
}

#[test]
fn a_record_with_fields_only_and_one_with_nothing_are_lines() {
    assert_eq!(with_field(Style::Value, "v"), "key=v\n");
    assert_eq!(line(&info(&[], &[], ())), format!("{}\n", HEAD.trim_end()));
}

#[test]
fn a_cut_record_says_so() {
    let mut record = info(&[Piece::Literal("text")], &[], ());
    record.truncated = true;
    assert_eq!(line(&record), format!("{HEAD}text [truncated]\n"));
}

#[test]
fn threads_are_shown_by_name_or_else_by_number() {
    let mut record = info(&[Piece::Literal("text")], &[], ());
    for (name, shown) in [(Some("worker-1"), "worker-1"), (None, "42"), (Some("\x1b[2J\n"), "\\u{1b}[2J\\n")]
    {
        record.thread = Thread::new(42, name);
        let line = line_in(Text::new().threads(true), &record);
        assert_eq!(line, format!("{TIME} INFO  [{shown}] app: text\n"));
    }
}

#[test]
fn what_attackers_send_stays_one_harmless_line() {
    for (sent, shown) in [
        ("\x1b[2J", "\\u{1b}[2J"),
        (
            "x\n2026-11-22T13:37:55Z INFO  my_server: forged",
            "x\\n2026-11-22T13:37:55Z INFO  my_server: forged",
        ),
        ("a\r\n", "a\\r\\n"),
        ("a\0b", "a\\u{0}b"),
        ("\u{202e}txt.exe", "\\u{202e}txt.exe"),
        ("\u{9b}31m", "\\u{9b}31m"),
        ("a\u{2028}b\u{200b}c\u{feff}", "a\\u{2028}b\\u{200b}c\\u{feff}"),
        ("{} {0} %s ${jndi:ldap://x}", "{} {0} %s ${jndi:ldap://x}"),
    ] {
        assert_eq!(with_argument("user ", sent), format!("{HEAD}user {shown}\n"));
    }
}

#[test]
fn literals_of_the_program_pass_as_they_are() {
    assert_eq!(
        with_argument("\x1b[1mtitle\x1b[0m\n\t", "a\tb"),
        format!("{HEAD}\x1b[1mtitle\x1b[0m\n\ta\\tb\n")
    );
}

#[test]
fn targets_and_field_names_are_escaped() {
    let fields = [Field { name: "a\nb", argument: 0, style: Style::Value }];
    let record = Owned::new(Level::Info, "x\ny", &[], &fields, (1_u64, ()));
    assert_eq!(line(&record), format!("{TIME} INFO  x\\ny: a\\nb=1\n"));
}

#[test]
fn values_that_are_no_word_are_quoted() {
    for (value, shown) in [
        ("word", "word"),
        ("", "\"\""),
        ("two words", "\"two words\""),
        ("a=b", "\"a=b\""),
        ("say \"x\"", "\"say \\\"x\\\"\""),
        ("x\" level=ERROR y=\"", "\"x\\\" level=ERROR y=\\\"\""),
        ("a\nb", "\"a\\nb\""),
    ] {
        assert_eq!(with_field(Style::Value, value), format!("key={shown}\n"));
        assert_eq!(with_field(Style::Display, value), format!("key={shown}\n"));
    }
}

#[test]
fn strings_after_a_question_mark_have_one_pair_of_quotes() {
    assert_eq!(with_field(Style::Debug, "word"), "key=\"word\"\n");
    assert_eq!(with_field(Style::Debug, "a \"b\"\n"), "key=\"a \\\"b\\\"\\n\"\n");
    let fields = [key(0, Style::Debug), key(1, Style::Debug)];
    let record = info(&[], &fields, (Inspected::new(&Some("x y")), (Some(5_u64), ())));
    assert_eq!(line(&record), format!("{HEAD}key=\"Some(\\\"x y\\\")\" key=Some(5)\n"));
}

#[test]
fn text_that_was_formatted_at_the_call_is_escaped_too() {
    let record = info(&[PLACE], &[], (Formatted::new(format_args!("a{}b", '\n')), ()));
    assert_eq!(line(&record), format!("{HEAD}a\\nb\n"));
}

#[test]
fn the_place_of_the_call_stands_after_the_target() {
    let record = info(&[Piece::Literal("text")], &[], ());
    assert_eq!(line_in(Text::new().location(true), &record), format!("{HEAD}src/module.rs:7: text\n"));
}

#[test]
fn the_time_is_shown_as_asked_for() {
    let record = info(&[Piece::Literal("text")], &[], ());
    let line = line_in(Text::new().time(Time::utc().millis()), &record);
    assert_eq!(line, "2023-11-14T22:13:20.123Z INFO  app: text\n");
}

/// The line without the escape codes of colours, and how many there were.
fn bleached(line: &str) -> (String, usize) {
    let mut parts = line.split("\x1b[");
    let first = parts.next().unwrap().to_owned();
    let rest: Vec<_> = parts.map(|part| part.split_once('m').unwrap().1).collect();
    (first + &rest.concat(), rest.len())
}

#[test]
fn a_coloured_line_is_the_plain_one_with_colours_around_its_parts() {
    let fields = [key(1, Style::Value)];
    for level in Level::ALL {
        let arguments = ("evil \x1b[31m".hold(), ("\x1b[0m".hold(), ()));
        let record = Owned::new(level, "app", &[PLACE], &fields, arguments);
        let format = || Text::new().location(true).threads(true);
        let colored = line_in(format().colors(Colors::Always), &record);
        assert_eq!(bleached(&colored), (line_in(format(), &record), 10), "{colored:?}");
        assert!(colored.contains(&format!("m{level:5}\x1b[0m ")), "{colored:?}");
        assert!(colored.contains("evil \\u{1b}[31m"), "escaped before it is coloured");
    }
}

#[test]
fn colours_are_the_handlers_choice_unless_they_are_forced_or_forbidden() {
    let record = info(&[Piece::Literal("text")], &[], ());
    for (colors, wanted, is_colored) in [
        (Colors::Auto, true, true),
        (Colors::Auto, false, false),
        (Colors::Always, false, true),
        (Colors::Never, true, false),
    ] {
        let mut format = Text::new().colors(colors);
        format.colors_wanted(wanted);
        assert_eq!(line_in(format, &record).contains('\x1b'), is_colored, "{colors:?}, {wanted}");
    }
    assert!(!line(&record).contains('\x1b'), "a handler that says nothing");
}

proptest! {
    #[test]
    fn nothing_from_outside_makes_a_second_line_or_drives_a_terminal(
        message in any::<String>(), value in "\\PC*|[\"\\\\=\x00-\x1f a\u{202e}]*", sign in 0_usize..3,
    ) {
        let record = info(&[PLACE], &[key(1, SIGNS[sign])], (message.hold(), (value.hold(), ())));
        let line = line(&record);
        prop_assert!(line.starts_with(HEAD));
        prop_assert!(line.ends_with('\n'));
        let harmful = |c: char| c.is_control() || c == '\u{202e}';
        prop_assert!(!line[..line.len() - 1].contains(harmful));
    }
}

/// `info!(failure, id = 7, trace, "text")`
fn failure() -> Owned {
    let fields = [
        Field { name: "failure", argument: 0, style: Style::Value },
        Field { name: "id", argument: 1, style: Style::Value },
        Field { name: "trace", argument: 2, style: Style::Value },
    ];
    let error = std::io::Error::other(Outer(Inner));
    let trace = std::backtrace::Backtrace::disabled();
    info(&[Piece::Literal("text")], &fields, (Failure::new(&error), (7, (Frames::new(&trace), ()))))
}

#[derive(Debug)]
struct Outer(Inner);

#[derive(Debug)]
struct Inner;

impl std::fmt::Display for Outer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("cannot store")
    }
}

impl std::fmt::Display for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no\n2026-11-22 ERROR space")
    }
}

impl std::error::Error for Outer {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

impl std::error::Error for Inner {}

#[test]
fn errors_and_backtraces_are_one_line_or_indented_below_it() {
    let record = failure();
    assert_eq!(
        line(&record),
        format!(
            "{HEAD}text failure=\"cannot store: no\\n2026-11-22 ERROR space\" id=7 trace=\"disabled backtrace\"\n"
        )
    );
    assert_eq!(
        line_in(Text::new().indented(true), &record),
        format!(
            "{HEAD}text failure=\"cannot store\" id=7\n    failure: no\\n2026-11-22 ERROR space\n    trace: disabled backtrace\n"
        )
    );
    let colored = line_in(Text::new().indented(true).colors(Colors::Always), &record);
    assert!(colored.ends_with("    \x1b[2mtrace:\x1b[0m disabled backtrace\n"), "{colored:?}");
}
