//! Engines as files say: every key that the documentation names, messages, and files that are read again.

mod support;

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use support::{SOON, eventually};
use treering::config::Config;
use treering::handler::Capture;
use treering::{info, warn};

fn problem_of(text: &str) -> String {
    match Config::parse(text) {
        Ok(config) => config.builder().expect_err(text).to_string(),
        Err(problem) => problem.to_string(),
    }
}

#[test]
fn the_file_in_the_documentation_has_all_keys_and_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/config.md")).unwrap();
    let text = page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    assert!(text.contains("\"/var/log/my_server/"), "the paths of the page");
    let text = text.replace("/var/log/my_server/", &format!("{}/", directory.path().display()));
    let config = Config::parse(&text).unwrap();
    drop(config.builder().unwrap());
    // Each key that stands there is known, and each that is known stands there: the messages for a wrong one name them.
    let mut missing = Vec::new();
    for table in [
        "",
        "overflow",
        "fill_limit",
        "handlers.app",
        "handlers.app.rotate",
        "handlers.app.format",
        "handlers.app.flush",
        "handlers.app.recorder",
        "handlers.text.format",
    ] {
        let wrong = match table {
            "" => format!("wrong = 1\n{text}"),
            table => text.replacen(&format!("[{table}]"), &format!("[{table}]\nwrong = 1 #"), 1),
        };
        let problem = problem_of(&wrong);
        let (_, known) =
            problem.split_once("wrong: unknown key; there are ").unwrap_or_else(|| panic!("{problem}"));
        let section = match table {
            "" => text.split("\n[").next().unwrap(),
            table => text.split(&format!("\n[{table}]")).nth(1).unwrap().split("\n[").next().unwrap(),
        };
        for key in known.split(", ") {
            let is_there =
                section.lines().any(|line| line.trim_start_matches("# ").starts_with(&format!("{key} =")));
            let is_table = text.contains(&format!(
                "[{}{key}",
                if table.is_empty() { String::new() } else { format!("{table}.") }
            ));
            if !is_there && !is_table {
                missing.push(format!("{table}.{key}"));
            }
        }
    }
    assert_eq!(missing, Vec::<String>::new(), "the page does not show them");
}

#[test]
fn messages_name_the_line_and_the_key() {
    let cases = [
        ("filter = info", "configuration:1:10: "),
        ("\nfilter = 'info,x=loud'", "configuration:2:1: filter: "),
        ("ring_capacity = '1 Mib'", "configuration:1:1: ring_capacity: \"1 Mib\" is no number of bytes"),
        (
            "wait = 'sleep'",
            "configuration:1:1: wait: no such way to wait; there are adaptive, spin, park and",
        ),
        (
            "[overflow]\nerror = 'block'",
            "configuration:2:1: overflow.error: no such policy; there are drop_newest",
        ),
        (
            "[overflow]\nerorr = 'drop_newest'",
            "configuration:2:1: overflow.erorr: unknown key; there are debug, default,",
        ),
        ("[handlers.app]\npath = 'x'", "configuration:1:11: handlers.app.kind: missing"),
        (
            "[handlers.app]\nkind = 'fiel'",
            "configuration:2:1: handlers.app.kind: no such kind; there are console, file",
        ),
        (
            "[handlers.app]\nkind = 'console'\nlevl = 'info'",
            "configuration:3:1: handlers.app.levl: unknown key; there are",
        ),
        ("[handlers.app]\nkind = 'file'\npath = '/'", "configuration:1:11: handlers.app: cannot open /: "),
        ("[handlers]\napp = 3", "configuration:2:1: handlers.app: 3 is no table"),
        (
            "handlers.a.kind = 'console'\nhandlers.a.format = { kind = 'pattern', pattern = '{levle}' }",
            "configuration:2:41: handlers.a.format.pattern: ",
        ),
        (
            "[handlers.a]\nkind = 'console'\n[handlers.a.or]\nkind = 'console'\nstream = 'tty'",
            "configuration:5:1: handlers.a.or.stream: ",
        ),
        ("affinity = -1", "configuration:1:1: affinity: -1 is out of range"),
        ("a = 1\na = 2", "configuration:2:1: "),
        ("exit_timeout = 1979-05-27", "configuration:1:1: exit_timeout: a date is no time, as \"250ms\""),
    ];
    for (text, expected) in cases {
        let problem = problem_of(text);
        assert!(problem.starts_with(expected), "{text}: {problem}");
    }
}

#[test]
fn a_handler_of_the_programs_own_says_what_is_wrong_with_its_table() {
    let config = |text: &str| {
        Config::parse(text).unwrap().kind("sensor", |table| {
            let port: u16 = table.number("port")?.ok_or_else(|| table.missing("port"))?;
            if port < 1024 {
                return Err("a port below 1024 needs root".into());
            }
            Ok(Box::new(Capture::new()))
        })
    };
    let problem = |text: &str| config(text).builder().unwrap_err().to_string();
    assert_eq!(problem("[handlers.a]\nkind = 'sensor'"), "configuration:1:11: handlers.a.port: missing");
    assert_eq!(
        problem("[handlers.a]\nkind = 'sensor'\nport = 80"),
        "configuration:1:11: handlers.a: a port below 1024 needs root"
    );
    assert_eq!(
        problem("[handlers.a]\nkind = 'sensor'\nport = 70_000"),
        "configuration:3:1: handlers.a.port: 70000 is out of range"
    );
    drop(config("[handlers.a]\nkind = 'sensor'\nport = 8080").builder().unwrap());
}

#[test]
fn what_is_read_again_is_all_or_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let says = |text: &str| fs::write(at("treering.toml"), text).unwrap();
    let lines = |name: &str| fs::read_to_string(at(name)).unwrap_or_default().lines().count();
    let file = |name: &str, level: &str| {
        format!(
            "[handlers.{name}]\nkind = 'file'\npath = {:?}\ntruncate = true\nlevel = '{level}'\n",
            at(name)
        )
    };
    says(&(file("one", "info") + &file("two", "info")));
    let mut config = Config::read(at("treering.toml")).unwrap();
    let (logger, guard) = config.builder().unwrap().handler(Capture::new()).start().unwrap();
    info!(logger: logger, "1");

    // What is wrong at its end changes nothing at its beginning, and truncates nothing.
    says(
        &(String::from("filter = 'off'\n") + &file("three", "info") + "[handlers.four]\nkind = 'nothing'\n"),
    );
    assert!(config.reload(&guard, SOON).unwrap_err().is_config());
    says("[[[");
    assert!(config.reload(&guard, SOON).unwrap_err().is_config());
    info!(logger: logger, "2");
    guard.flush(SOON).unwrap();
    assert_eq!((lines("one"), lines("two")), (2, 2));

    // A level alone leaves the file as it is; what is gone is closed, what is new is there, the program's own stays.
    says(&(String::from("ring_capacity = '1 MiB'\n") + &file("one", "warn") + &file("three", "info")));
    let done = config.reload(&guard, SOON).unwrap();
    assert_eq!(done.needs_restart, ["ring_capacity"]);
    assert_eq!(done.applied, ["handlers.two", "handlers.one", "handlers.three"]);
    info!(logger: logger, "3");
    warn!(logger: logger, "4");
    guard.flush(SOON).unwrap();
    assert_eq!((lines("one"), lines("two"), lines("three")), (3, 2, 2));

    // What says the same does nothing.
    assert_eq!(config.reload(&guard, SOON).unwrap(), treering::config::Reloaded::default());
    // Another path is another file, under the same name.
    says(&file("one", "warn").replace("/one", "/other"));
    config.reload(&guard, SOON).unwrap();
    warn!(logger: logger, "5");
    let report = guard.stop(SOON).unwrap();
    assert_eq!((lines("one"), lines("other"), lines("three")), (3, 1, 2));
    assert_eq!(report.handlers["capture"].delivered, 5);
    assert!(report.handlers["one"].attached && !report.handlers["three"].attached);
    report.assert_balanced();
}

#[test]
fn filters_change_with_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("treering.toml");
    fs::write(&path, "filter = 'warn'").unwrap();
    let capture = Capture::new();
    let mut config = Config::read(&path).unwrap();
    let (logger, guard) = config.builder().unwrap().handler(capture.clone()).start().unwrap();
    info!(logger: logger, "not wanted");
    fs::write(&path, "").unwrap();
    assert_eq!(config.reload(&guard, SOON).unwrap().applied, ["filter"]);
    info!(logger: logger, "wanted, as by default");
    guard.stop(SOON).unwrap().assert_balanced();
    assert_eq!(capture.len(), 1);
}

#[test]
fn a_watched_file_counts_soon_after_it_was_written() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("treering.toml");
    let says = |text: &str| {
        fs::write(path.with_extension("new"), text).unwrap();
        fs::rename(path.with_extension("new"), &path).unwrap();
    };
    says("filter = 'warn'");
    let (capture, faults) = (Capture::new(), Arc::new(Mutex::new(Vec::new())));
    let told = faults.clone();
    let config = Config::read(&path).unwrap();
    let builder =
        config.builder().unwrap().error_hook(move |fault| told.lock().unwrap().push(fault.to_owned()));
    let (logger, guard) = builder.handler(capture.clone()).start().unwrap();
    assert!(Config::read(&path).unwrap().watch(&guard, Duration::ZERO).unwrap_err().is_config());
    assert!(Config::parse("").unwrap().watch(&guard, SOON).unwrap_err().is_config());
    config.watch(&guard, Duration::from_millis(5)).unwrap();

    says("filter = 'info'");
    eventually("the new filter counts", || {
        info!(logger: logger, "wanted now");
        guard.flush(SOON).unwrap();
        !capture.is_empty()
    });
    says("filter = 3");
    eventually("the fault is told", || !faults.lock().unwrap().is_empty());
    let told = faults.lock().unwrap()[0].clone();
    assert!(
        told.starts_with("the configuration stays as it was: ")
            && told.ends_with("filter: 3 is no text: put it between quotes"),
        "{told}"
    );
    guard.stop(SOON).unwrap().assert_balanced();
}

#[test]
fn the_process_wide_engine_is_what_a_file_says() {
    let directory = tempfile::tempdir().unwrap();
    let (path, log) = (directory.path().join("treering.toml"), directory.path().join("app.log"));
    fs::write(&path, format!("[handlers.app]\nkind = 'file'\npath = {log:?}\nformat = 'logfmt'")).unwrap();
    let guard = treering::init_from(&path).unwrap();
    info!(n = 7, "configured");
    guard.stop(SOON).unwrap().assert_balanced();
    let text = fs::read_to_string(&log).unwrap();
    assert!(text.ends_with("msg=configured n=7\n"), "{text}");
    let problem = treering::init_from(directory.path().join("none.toml")).unwrap_err();
    assert!(problem.is_io(), "{problem}");
}
