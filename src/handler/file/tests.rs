use super::*;
use crate::handler::testing::{HEAD, Run, lost, offer};
use crate::level::Level;
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

#[test]
fn on_a_full_disk_lines_stay_whole_and_it_goes_on_when_there_is_room() {
    let Some(disk) = SmallDisk::mount() else {
        let reason = "not tried: a tmpfs of 1 MiB, as this process may not mount\n";
        crate::os::write_stderr(reason.as_bytes());
        return;
    };
    fs::write(disk.path("filler"), vec![0; 512 * 1024]).unwrap();
    let mut file = File::append(disk.path("app.log")).unwrap();
    let (mut offered, mut total_lost, mut torn) = (0_u64, 0_u64, 0);
    let mut log = |file: &mut File, records: u64| {
        for _ in 0..records / 100 {
            let batch = (offered..offered + 100).map(|number| format!("number {number} {}", "x".repeat(37)));
            total_lost += lost(offer(file, batch));
            offered += 100;
            let flushed = file.flush();
            torn += u32::from(flushed.is_err() && file.held() == 1);
            total_lost += lost(flushed);
        }
        (offered, total_lost, torn)
    };
    let (offered, lost_while_full, torn) = log(&mut file, 10_000);
    assert!(lost_while_full > 1000, "the disk was full: {lost_while_full} of {offered} lost");
    assert!(torn > 0, "the disk was full in the middle of a line");
    fs::remove_file(disk.path("filler")).unwrap();
    let (offered, lost, _) = log(&mut file, 1000);
    assert_eq!(lost, lost_while_full, "with room again nothing is lost");
    assert_eq!(file.held(), 0);

    let text = fs::read_to_string(disk.path("app.log")).unwrap();
    let mut next = 0;
    for line in text.lines() {
        let tail = line.strip_prefix(HEAD).unwrap_or_else(|| panic!("no whole line: {line}"));
        let number: u64 = tail.split(' ').nth(1).unwrap().parse().unwrap();
        assert_eq!(tail, format!("number {number} {}", "x".repeat(37)));
        assert!(number >= next, "in order");
        next = number + 1;
    }
    assert_eq!(next, offered, "the last record is there");
    assert_eq!(text.lines().count() as u64 + lost, offered, "the books balance");
    assert!(text.ends_with('\n'));
}
