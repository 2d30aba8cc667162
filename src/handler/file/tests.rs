use super::*;
use crate::handler::testing::{HEAD, Run, lost, offer};
use crate::level::Level;
use std::fs;

fn line(message: &str) -> String {
    format!("{HEAD}{message}\n")
}

#[test]
fn records_are_held_until_they_are_flushed_and_then_are_lines() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.log");
    let mut file = File::append(&path).unwrap();
    offer(&mut file, ["first", "second"]).unwrap();
    assert_eq!(file.held(), 2);
    assert_eq!(fs::read_to_string(&path).unwrap(), "");
    file.flush().unwrap();
    assert_eq!(file.held(), 0);
    assert_eq!(fs::read_to_string(&path).unwrap(), line("first") + &line("second"));
    offer(&mut file, ["third"]).unwrap();
    file.close().unwrap();
    assert_eq!(file.held(), 0);
    assert_eq!(fs::read_to_string(&path).unwrap(), line("first") + &line("second") + &line("third"));
}

#[test]
fn its_level_decides_what_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.log");
    let mut file = File::append(&path).unwrap().level(Level::Warn);
    assert_eq!(file.max_level(), Level::Warn.into());
    for (level, expected) in [(Level::Info, 0), (Level::Warn, 1), (Level::Error, 2)] {
        let run = Run::of(level, ["text"]);
        let batch = run.batch(&file);
        file.handle(&batch).unwrap();
        assert_eq!(file.held(), expected);
    }
    let off = File::append(&path).unwrap().level(LevelFilter::OFF);
    assert_eq!(Run::of(Level::Error, ["text"]).batch(&off).len(), 0);
}

#[test]
fn its_name_is_the_path_unless_it_is_given_one() {
    assert_eq!(Handler::name(&File::append("/dev/null").unwrap()), "/dev/null");
    assert_eq!(Handler::name(&File::append("/dev/null").unwrap().name("audit")), "audit");
}

#[test]
fn a_device_that_is_always_full_loses_each_record_and_says_so() {
    let mut file = File::append("/dev/full").unwrap();
    for round in 1..4 {
        offer(&mut file, (0..10).map(|number| number.to_string())).unwrap();
        let error = file.flush().unwrap_err();
        assert!(error.to_string().starts_with("cannot write to /dev/full: No space left"), "{error}");
        assert_eq!(lost(Err(error)), 10, "round {round}");
        assert_eq!(file.held(), 0);
    }
    let many = offer(&mut file, (0..5000).map(|number| number.to_string()));
    assert!(lost(many) + file.held() == 5000);
}

#[test]
fn a_header_is_one_line_and_tampers_with_no_terminal() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.log");
    for header in ["two\nlines", "two\r", "\u{1b}[31mred", "\0", "\u{85}"] {
        let error = File::options().header(header).open(&path).unwrap_err();
        assert!(error.is_config() && error.to_string().contains("header"), "{header:?}: {error}");
        assert!(!path.exists(), "{header:?}");
    }
    File::options().header("#time\tlevel\tmessage é").open(&path).unwrap();
}
