use super::*;
use crate::handler::testing::{HEAD, Run, lost, offer};
use crate::level::Level;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

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

/// A file system of 1 MiB, gone at the end.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None` where the test may not mount.
    fn mount() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(directory.path());
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        mounted.then_some(SmallDisk(directory))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

/// What is in the file is what was offered, in order, in whole lines; where some are missing a line says how many.
/// Gives how many are missing.
#[track_caller]
fn check_numbers(text: &str, offered: u64) -> u64 {
    let (mut next, mut announced, mut lost) = (0, 0, 0);
    for line in text.split_inclusive('\n') {
        let whole = line.strip_suffix('\n').unwrap_or_else(|| panic!("torn: {line}"));
        if let Some((_, told)) = whole.split_once("Z WARN  treering::loss: ") {
            announced += told.split(' ').next().unwrap().parse::<u64>().unwrap();
            continue;
        }
        let tail = whole.strip_prefix(HEAD).unwrap_or_else(|| panic!("no whole line: {line}"));
        let number: u64 = tail.split(' ').nth(1).unwrap().parse().unwrap();
        assert_eq!(tail, text_of(number));
        assert_eq!(number, next + announced, "every gap is announced");
        (next, lost, announced) = (number + 1, lost + announced, 0);
    }
    assert_eq!(next + announced, offered, "up to the last record");
    lost + announced
}

fn text_of(number: u64) -> String {
    format!("number {number} {}", "x".repeat(37))
}

#[test]
fn a_disk_that_is_filled_and_freed_ten_times_costs_whole_lines_only_and_every_gap_is_announced() {
    let Some(disk) = SmallDisk::mount() else {
        let reason = "not tried: a tmpfs of 1 MiB, as this process may not mount\n";
        crate::os::write_stderr(reason.as_bytes());
        return;
    };
    let path = disk.path("app.log");
    let mut file = File::append(&path).unwrap();
    let (mut offered, mut total_lost, mut torn, mut rounds_with_loss) = (0_u64, 0_u64, 0, 0);
    for _ in 0..10 {
        // The rest of the disk, but for some 200 KiB, whatever the log has by now.
        let log_bytes = fs::metadata(&path).unwrap().len();
        fs::write(disk.path("filler"), vec![0; 800 * 1024 - log_bytes as usize]).unwrap();
        let lost_before = total_lost;
        for batch in 0..60 {
            total_lost += lost(offer(&mut file, (offered..offered + 100).map(text_of)));
            offered += 100;
            let flushed = file.flush();
            torn += u32::from(flushed.is_err() && file.held() == 1);
            total_lost += lost(flushed);
            if batch == 50 {
                rounds_with_loss += u32::from(total_lost > lost_before);
                fs::remove_file(disk.path("filler")).unwrap();
                // What is there by now is somebody else's: there would be no room for ten rounds.
                let text = fs::read_to_string(&path).unwrap();
                assert!(text.lines().all(|line| line.len() > 20), "whole lines");
            }
        }
        assert_eq!(file.held(), 0, "with room again all is written");
        if log_bytes > 300 * 1024 {
            let text = fs::read_to_string(&path).unwrap();
            assert_eq!(check_numbers(&text, offered), total_lost, "the books balance");
            // Begin anew, as copytruncate does.
            fs::write(&path, "").unwrap();
            (offered, total_lost) = (0, 0);
        }
    }
    file.close().unwrap();
    assert_eq!(check_numbers(&fs::read_to_string(&path).unwrap(), offered), total_lost);
    assert!(rounds_with_loss >= 8 && torn > 0, "{rounds_with_loss} rounds with losses, {torn} torn lines");
}
