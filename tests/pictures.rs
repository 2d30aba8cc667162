//! The pictures in docs/pictures show what the examples print, to the byte.
//!
//! `TREERING_PICTURES=write cargo test --test pictures` draws them anew; without it the test fails where one differs.
//! Only the times are not the real ones: they keep their order.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

/// As wide as the terminal on the picture is: longer lines go on in the next row.
const COLUMNS: usize = 132;
const CHAR_WIDTH: f64 = 7.3;
const ROW_HEIGHT: usize = 17;
const MARGIN: usize = 14;

/// Both backgrounds: who shows the picture says which.
const STYLE: &str = "
text { font: 12px ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace; fill: #1f2328 }
.ground { fill: #f6f8fa } .typed { font-weight: bold } .dim { fill: #656d76 }
.red { fill: #cf222e } .green { fill: #1a7f37 } .yellow { fill: #9a6700 } .blue { fill: #0969da }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .ground { fill: #161b22 } .dim { fill: #8b949e }
.red { fill: #ff7b72 } .green { fill: #56d364 } .yellow { fill: #e3b341 } .blue { fill: #79c0ff }
}
";

#[test]
fn the_pictures_show_what_the_examples_print() {
    let console = run("console");
    let both = format!("$ console 2>/dev/null\n{}$ console >/dev/null\n{}", console.0, console.1);
    check("console", &both);
    check("formats", &run("formats").0);
    check("flight_recorder", &format!("$ flight_recorder\n{}", run("flight_recorder").0));
}

/// What an example prints to stdout and to stderr, with colours.
fn run(example: &str) -> (String, String) {
    let exe = std::env::current_exe().unwrap();
    let target = exe.ancestors().nth(3).unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["build", "--offline", "--quiet", "--profile", "test", "--example", example])
        .arg("--target-dir")
        .arg(target);
    assert!(cargo.status().unwrap().success());
    let program = target.join("debug/examples").join(example);
    let output = Command::new(program).env_remove("RUST_LOG").env("CLICOLOR_FORCE", "1").output().unwrap();
    assert!(output.status.success());
    (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[track_caller]
fn check(name: &str, printed: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/pictures/{name}.svg"));
    let drawn = svg(&with_known_times(printed));
    if std::env::var("TREERING_PICTURES").is_ok_and(|word| word == "write") {
        fs::write(path, drawn).unwrap();
    } else {
        let shown = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            shown == drawn,
            "{} shows something else than\n{printed}\nTREERING_PICTURES=write",
            path.display()
        );
    }
}

/// The same with times that are the same each time: the earliest is 13:37:55.123456789, the next 1001 ns later.
fn with_known_times(printed: &str) -> String {
    let (long, short) = ("2026-11-22T13:37:55.123456789Z", "13:37:55.123");
    let mut known = printed.to_owned();
    for (rank, time) in alike(printed, long).iter().enumerate() {
        known = known.replace(time, &format!("2026-11-22T13:37:55.{}Z", 123_456_789 + 1001 * rank));
    }
    alike(&known, short).iter().fold(known, |known, time| known.replace(time, short))
}

/// All parts of a text that are as this one but for the digits.
fn alike(text: &str, example: &str) -> BTreeSet<String> {
    let is_alike = |(is, wanted): (u8, u8)| is == wanted || (is.is_ascii_digit() && wanted.is_ascii_digit());
    let parts = (0..text.len()).filter_map(|at| text.get(at..at + example.len()));
    parts.filter(|part| part.bytes().zip(example.bytes()).all(is_alike)).map(str::to_owned).collect()
}

/// Draws what a terminal would show.
fn svg(printed: &str) -> String {
    let rows: Vec<_> = printed.lines().flat_map(rows).collect();
    let width = (COLUMNS as f64 * CHAR_WIDTH) as usize + 2 * MARGIN;
    let height = rows.len() * ROW_HEIGHT + 2 * MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\">\n<style>{STYLE}</style>\n<rect class=\"ground\" width=\"{width}\" height=\"{height}\" rx=\"6\"/>\n"
    );
    for (row, runs) in rows.iter().enumerate() {
        let y = MARGIN + (row + 1) * ROW_HEIGHT - 5;
        for Run { column, class, text } in runs.iter().filter(|run| !run.text.trim().is_empty()) {
            let x = MARGIN as f64 + *column as f64 * CHAR_WIDTH;
            let length = text.chars().count() as f64 * CHAR_WIDTH;
            let text = text.replace('&', "&amp;").replace('<', "&lt;");
            // By its length, so that columns are columns in whatever font there is.
            writeln!(svg, "<text x=\"{x:.1}\" y=\"{y}\" textLength=\"{length:.1}\" class=\"{class}\" xml:space=\"preserve\">{text}</text>").unwrap();
        }
    }
    svg + "</svg>\n"
}

/// Text of one look in one row.
struct Run {
    column: usize,
    class: &'static str,
    text: String,
}

/// The rows of one line.
fn rows(line: &str) -> Vec<Vec<Run>> {
    let mut rows = vec![Vec::new()];
    let mut column = 0;
    let mut class = if line.starts_with("$ ") || line.contains("::new(") { "typed" } else { "plain" };
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        if let Some(code) = rest.strip_prefix("\x1b[") {
            let (code, after) = code.split_once('m').unwrap();
            (class, rest) = (class_of(code), after);
            continue;
        }
        if column == COLUMNS {
            column = 0;
            rows.push(Vec::new());
        }
        let row = rows.last_mut().unwrap();
        match row.last_mut() {
            Some(Run { class: last, text, .. }) if *last == class => text.push(c),
            _ => row.push(Run { column, class, text: c.to_string() }),
        }
        column += 1;
        rest = &rest[c.len_utf8()..];
    }
    rows
}

fn class_of(code: &str) -> &'static str {
    match code {
        "0" => "plain",
        "2" => "dim",
        "31" => "red",
        "32" => "green",
        "33" => "yellow",
        "34" => "blue",
        _ => panic!("what does {code} look like?"),
    }
}
