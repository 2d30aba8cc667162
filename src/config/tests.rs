use std::ffi::OsString;
use std::time::Duration;

use super::Table;

/// A table with variables in front of it.
fn with(text: &str, variables: &[(&str, &str)]) -> Result<Table, String> {
    let mut table = Table::parse(text, "file").unwrap();
    let variables = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    table.put_variables(variables).map(|()| table).map_err(|problem| problem.to_string())
}

#[test]
fn variables_go_before_the_file() {
    let text = "filter = 'info'\n[handlers.my-app]\nlevel = 'info'\n[handlers.my-app.rotate]\nkeep_files = 3";
    let variables = [
        ("TREERING__FILTER", "warn,my_server=debug"),
        ("TREERING__HANDLERS__MY_APP__LEVEL", "debug"),
        ("TREERING__HANDLERS__MY_APP__ROTATE__KEEP_FILES", "9"),
        ("TREERING__HANDLERS__NEW__KIND", "console"),
        ("TREERING__WAIT", "{ poll = \"1ms\" }"),
        ("TREERING_FILTER", "of nobody's"),
        ("RUST_LOG", "off"),
    ];
    let table = with(text, &variables).unwrap();
    assert_eq!(table.text("filter").unwrap(), Some("warn,my_server=debug"));
    let handlers = table.table("handlers").unwrap().unwrap();
    let app = handlers.table("my-app").unwrap().unwrap();
    assert_eq!(app.text("level").unwrap(), Some("debug"));
    assert_eq!(app.table("rotate").unwrap().unwrap().number("keep_files").unwrap(), Some(9_usize));
    assert_eq!(handlers.table("new").unwrap().unwrap().text("kind").unwrap(), Some("console"));
    let wait = table.table("wait").unwrap().unwrap();
    assert_eq!(wait.duration("poll").unwrap(), Some(Duration::from_millis(1)));
}

#[test]
fn a_variable_is_named_where_it_is_wrong() {
    let table = with("", &[("TREERING__HANDLERS__APP__LEVEL", "loud")]).unwrap();
    let handlers = table.table("handlers").unwrap().unwrap();
    let problem = handlers.table("app").unwrap().unwrap().level("level").unwrap_err().to_string();
    let levels = "not a level: one of off, error, warn, info, debug, trace";
    assert_eq!(
        problem,
        format!("environment variable TREERING__HANDLERS__APP__LEVEL: handlers.app.level: `loud`: {levels}")
    );
    let problem = with("\n  handlers = 3", &[("TREERING__HANDLERS__APP__LEVEL", "info")]).unwrap_err();
    assert_eq!(
        problem,
        "environment variable TREERING__HANDLERS__APP__LEVEL: handlers is 3 at file:2:3, not a table"
    );
}

#[test]
fn a_variable_with_several_lines_is_a_text() {
    let table = with("", &[("TREERING__FILTER", "1\nwait = 'spin'")]).unwrap();
    assert_eq!(table.text("filter").unwrap(), Some("1\nwait = 'spin'"));
    assert_eq!(table.keys().collect::<Vec<_>>(), ["filter"]);
}

#[test]
fn times_and_bytes_have_units() {
    let time =
        |text: &str| Table::parse(&format!("x = {text}"), "file").unwrap().duration("x").ok().flatten();
    assert_eq!(time("'250ms'"), Some(Duration::from_millis(250)));
    assert_eq!(time("'15 min'"), Some(Duration::from_secs(900)));
    assert_eq!(time("'2d'"), Some(Duration::from_secs(172_800)));
    for wrong in
        ["5", "'5'", "'ms'", "'1.5s'", "'-1s'", "'5 years'", "'99999999999999d'", "true", "1979-05-27"]
    {
        assert_eq!(time(wrong), None, "{wrong}");
    }
    let bytes = |text: &str| Table::parse(&format!("x = {text}"), "file").unwrap().bytes("x").ok().flatten();
    assert_eq!(
        (bytes("4096"), bytes("'64 KiB'"), bytes("'1MB'")),
        (Some(4096), Some(65_536), Some(1_000_000))
    );
    for wrong in ["-1", "'64 kib'", "'64'", "'99999999999 GiB'", "[1]"] {
        assert_eq!(bytes(wrong), None, "{wrong}");
    }
}

#[test]
fn places_count_characters() {
    let table = Table::parse("a = 'ä'\nb = { 'ß' = 1, c = 2 }", "file").unwrap();
    let problem = table.table("b").unwrap().unwrap().text("c").unwrap_err().to_string();
    assert_eq!(problem, "file:2:16: b.c: 2 is no text: put it between quotes");
}
