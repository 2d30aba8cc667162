//! Files that others move, copy, truncate and delete, and disks that come and go, while threads log.

#![allow(clippy::print_stderr, reason = "tests tell their figures")]

mod support;

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use support::LONG;
use treering::handler::{File, FileControl, Rotation};
use treering::{Logger, Overflow, Report, info};

const THREADS: u64 = 2;

/// Logs from some threads, as much as leaves the machine some air, until `meanwhile` has ended; and then once more
/// from each. How many records each thread logged, and the books.
fn log_while(file: File, meanwhile: impl FnOnce(&Logger)) -> (Vec<u64>, Report) {
    let policy = Overflow::block(LONG);
    let (logger, guard) = treering::builder().overflow(policy).handler(file).start().unwrap();
    let is_over = AtomicBool::new(false);
    let counts = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (logger, is_over) = (&logger, &is_over);
                scope.spawn(move || {
                    let mut number = 0;
                    loop {
                        let was_over = is_over.load(Ordering::Relaxed);
                        for _ in 0..50 {
                            info!(logger: logger, "<{thread} {number}>");
                            number += 1;
                        }
                        if was_over {
                            return number;
                        }
                        std::thread::sleep(Duration::from_millis(1));
                    }
                })
            })
            .collect();
        meanwhile(&logger);
        is_over.store(true, Ordering::Relaxed);
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    (counts, guard.stop(LONG).unwrap())
}

/// `app.log`, `app.log.1` and so on, the oldest first.
fn numbered(path: &Path) -> Vec<PathBuf> {
    let name = |number: u32| PathBuf::from(format!("{}.{number}", path.display()));
    let mut files: Vec<_> = (1..).map(name).take_while(|path| path.exists()).collect();
    files.reverse();
    files.push(path.to_owned());
    files
}

/// What was found of each thread's records.
#[derive(Default)]
struct Found {
    /// How many there are, and how many are missing.
    lines: u64,
    missing: u64,
    /// Lines that are no whole record.
    torn: Vec<String>,
}

/// Reads all files, the oldest first: each thread's records are in order and none is there twice.
fn find(files: &[PathBuf], counts: &[u64]) -> Found {
    let mut found = Found::default();
    let mut next: HashMap<u64, u64> = HashMap::new();
    for file in files {
        for line in fs::read_to_string(file).unwrap().split_inclusive('\n') {
            let inner = line.split_once(": <").and_then(|(_, rest)| rest.strip_suffix(">\n"));
            let numbers = inner.and_then(|inner| inner.split_once(' '));
            let Some((thread, number)) = numbers.filter(|_| line.starts_with("20")) else {
                found.torn.push(line.to_owned());
                continue;
            };
            let (thread, number): (u64, u64) = (thread.parse().unwrap(), number.parse().unwrap());
            let next = next.entry(thread).or_default();
            assert!(number >= *next, "{line:?} in {file:?} is there twice, or out of order");
            found.missing += number - *next;
            found.lines += 1;
            *next = number + 1;
        }
    }
    for (thread, count) in (0..).zip(counts) {
        found.missing += count - next.get(&thread).copied().unwrap_or(0);
    }
    found
}

/// Debian's own, with a configuration for this one file.
struct Logrotate {
    path: PathBuf,
    directory: tempfile::TempDir,
}

impl Logrotate {
    /// `None` where it is not installed.
    fn new(how: &str) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("app.log");
        let configuration = directory.path().join("logrotate.conf");
        fs::write(&configuration, format!("{} {{\n rotate 1000\n {how}\n}}\n", path.display())).unwrap();
        fs::set_permissions(&configuration, fs::Permissions::from_mode(0o600)).unwrap();
        let rotate = Logrotate { path, directory };
        if rotate.command().arg("--version").output().is_err() {
            eprintln!("not tried: logrotate with {how}, as it is not installed");
            return None;
        }
        Some(rotate)
    }

    fn command(&self) -> Command {
        let mut command = Command::new("logrotate");
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command
    }

    fn run(&self) {
        let [state, configuration] = ["state", "logrotate.conf"].map(|name| self.directory.path().join(name));
        let output =
            self.command().arg("--force").arg("--state").args([state, configuration]).output().unwrap();
        assert!(output.status.success(), "{}", support::text(&output));
    }
}

#[test]
fn logrotate_that_moves_and_creates_costs_no_line_and_doubles_none() {
    for how in ["create", "nocreate"] {
        let Some(rotate) = Logrotate::new(how) else { return };
        let file = File::append(&rotate.path).unwrap();
        let control = file.control();
        let (counts, report) = log_while(file, |_| {
            for round in 0..12 {
                std::thread::sleep(Duration::from_millis(250));
                if !rotate.path.exists() {
                    continue; // nocreate, and not noticed yet
                }
                rotate.run();
                if round % 3 == 2 {
                    control.reopen(); // as postrotate would, by SIGHUP; else it is noticed within a second
                }
            }
        });
        assert!(report.is_lossless(), "{report:#?}");
        let files = numbered(&rotate.path);
        let found = find(&files, &counts);
        assert!(found.torn.is_empty(), "{:?}", found.torn);
        assert_eq!((found.lines, found.missing), (counts.iter().sum(), 0), "{how}");
        assert!(files.len() > 4 && fs::metadata(&rotate.path).unwrap().len() > 0, "{files:?}");
        eprintln!("{how}: {} lines in {} files", found.lines, files.len());
    }
}

#[test]
fn logrotate_that_copies_and_truncates_costs_what_it_loses_between_the_two_and_nothing_else() {
    let Some(rotate) = Logrotate::new("copytruncate") else { return };
    let (counts, report) = log_while(File::append(&rotate.path).unwrap(), |_| {
        for _ in 0..12 {
            std::thread::sleep(Duration::from_millis(250));
            rotate.run();
        }
    });
    assert!(report.is_lossless(), "{report:#?}");
    let files = numbered(&rotate.path);
    let found = find(&files, &counts);
    // A copy may end in the middle of what was being written.
    assert!(found.torn.len() < files.len() && found.torn.iter().all(|line| !line.ends_with('\n')));
    let logged: u64 = counts.iter().sum();
    assert_eq!(found.lines + found.missing, logged);
    assert!(found.missing < logged / 10, "{} of {logged} are missing", found.missing);
    let text = fs::read(&rotate.path).unwrap();
    assert!(text.starts_with(b"20"), "it goes on at the beginning, without a hole");
    eprintln!(
        "copytruncate: {} of {logged} lines lost by 12 rotations, {} copies end in a torn line",
        found.missing,
        found.torn.len()
    );
}

#[test]
fn rolling_by_size_under_load_loses_nothing_and_no_file_is_too_long() {
    const MOST: u64 = 100_000;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.log");
    let rotation = Rotation::new().at_bytes(MOST).keep_files(usize::MAX);
    let file = File::options().rotate(rotation).open(&path).unwrap();
    let control = file.control();
    let (counts, report) = log_while(file, |_| {
        for _ in 0..20 {
            std::thread::sleep(Duration::from_millis(50));
            control.roll();
        }
    });
    assert!(report.is_lossless(), "{report:#?}");
    let files = numbered(&path);
    let found = find(&files, &counts);
    assert!(found.torn.is_empty(), "{:?}", found.torn);
    assert_eq!((found.lines, found.missing), (counts.iter().sum(), 0));
    let lengths: Vec<_> = files.iter().map(|file| fs::metadata(file).unwrap().len()).collect();
    assert!(lengths.iter().all(|&length| length > 0 && length <= MOST), "{lengths:?}");
    assert!(files.len() > 20, "{lengths:?}");
}

#[test]
fn two_engines_that_roll_one_path_lose_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.log");
    let open = || {
        let rotation = Rotation::new().at_bytes(20_000).keep_files(usize::MAX);
        File::options().rotate(rotation).open(&path).unwrap()
    };
    let nap = |_: &Logger| std::thread::sleep(Duration::from_secs(1));
    let (first, second) = (open(), open());
    let (a, b) = std::thread::scope(|scope| {
        let other = scope.spawn(|| log_while(second, nap));
        (log_while(first, nap), other.join().unwrap())
    });
    assert!(a.1.is_lossless() && b.1.is_lossless());
    let lines: u64 =
        numbered(&path).iter().map(|file| fs::read_to_string(file).unwrap().lines().count() as u64).sum();
    assert_eq!(lines, a.0.iter().chain(&b.0).sum::<u64>());
}

#[test]
fn a_directory_that_is_removed_is_made_anew_if_the_options_say_so_and_missed_once_if_not() {
    for creates in [true, false] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("logs/app.log");
        fs::create_dir(path.parent().unwrap()).unwrap();
        let file = File::options().create_directories(creates).open(&path).unwrap();
        let control: FileControl = file.control();
        let faults = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let sink = faults.clone();
        let (logger, guard) = treering::builder()
            .error_hook(move |fault| sink.lock().unwrap().push(fault.to_owned()))
            .handler(file)
            .start()
            .unwrap();
        info!(logger: logger, "before");
        guard.flush(LONG).unwrap();
        fs::remove_dir_all(path.parent().unwrap()).unwrap();
        for _ in 0..3 {
            control.reopen();
            info!(logger: logger, "after");
            guard.flush(LONG).unwrap();
        }
        let report = guard.stop(LONG).unwrap();
        report.assert_balanced();
        let faults = faults.lock().unwrap();
        if creates {
            assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 3);
            assert!(faults.is_empty(), "{faults:?}");
        } else {
            assert_eq!(faults.len(), 1, "{faults:?}");
            assert!(faults[0].contains("cannot reopen") && faults[0].contains("No such file"), "{faults:?}");
        }
    }
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

/// Logs so many records from each thread, numbered on from `from`.
fn log_from_threads(logger: &Logger, from: u64, records: u64) {
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || (from..from + records).for_each(|n| info!(logger: logger, "<{thread} {n}>")));
        }
    });
}

/// The sum of what the lines of `treering::loss` in this text say, and the rest.
fn announced(text: &str) -> (u64, String) {
    let (told, rest): (Vec<_>, Vec<_>) =
        text.split_inclusive('\n').partition(|line| line.contains("Z WARN  treering::loss: "));
    let count = |line: &str| line.rsplit_once("loss: ").unwrap().1.split(' ').next().unwrap().parse::<u64>();
    (told.into_iter().map(|line| count(line).unwrap()).sum(), rest.concat())
}

#[test]
fn a_disk_that_is_filled_and_freed_ten_times_costs_whole_lines_and_each_gap_is_announced() {
    /// Some 600 KiB from both threads: too much for what is left of a disk that is filled.
    const WHILE_FULL: u64 = 4000;
    const AFTER: u64 = 1000;
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("not tried: a tmpfs of 1 MiB, as this process may not mount");
        return;
    };
    let path = disk.path("app.log");
    let file = File::append(&path).unwrap();
    let (logger, guard) = treering::builder().overflow(Overflow::block(LONG)).handler(file).start().unwrap();
    let mut total = 0;
    for round in 0..10 {
        fs::write(disk.path("filler"), vec![0; 800 * 1024]).unwrap();
        log_from_threads(&logger, 0, WHILE_FULL);
        guard.flush(LONG).unwrap();
        fs::remove_file(disk.path("filler")).unwrap();
        log_from_threads(&logger, WHILE_FULL, AFTER);
        guard.flush(LONG).unwrap();
        let (told, rest) = announced(&fs::read_to_string(&path).unwrap());
        fs::write(disk.path("seen"), rest).unwrap();
        let found = find(&[disk.path("seen")], &[WHILE_FULL + AFTER; THREADS as usize]);
        fs::remove_file(disk.path("seen")).unwrap();
        assert!(found.torn.is_empty(), "round {round}: {:?}", found.torn);
        assert_eq!(found.missing, told, "round {round}: every gap is announced");
        assert!(told > 0, "round {round}: the disk was full");
        total += told;
        fs::write(&path, "").unwrap(); // room for the next round
    }
    let report = guard.stop(LONG).unwrap();
    report.assert_balanced();
    assert_eq!(report.handlers[path.to_str().unwrap()].failed, total);
    eprintln!("{total} of {} lines lost on a full disk", 10 * THREADS * (WHILE_FULL + AFTER));
}

#[test]
fn a_file_that_was_quarantined_says_how_many_records_it_was_not_shown() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("not tried: a tmpfs of 1 MiB, as this process may not mount");
        return;
    };
    let path = disk.path("app.log");
    let name = path.to_str().unwrap();
    let (logger, guard) = treering::builder()
        .error_hook(|_| ())
        .overflow(Overflow::block(LONG))
        .handler(File::append(&path).unwrap())
        .start()
        .unwrap();
    let mut logged = 0;
    let mut log_until = |is_done: &dyn Fn(&Report) -> bool| {
        support::eventually("what it logs for", || {
            info!(logger: logger, "<0 {logged}>");
            logged += 1;
            is_done(&guard.stats())
        });
    };
    log_until(&|report| report.handlers[name].delivered > 10);
    fs::write(disk.path("filler"), vec![0; 1 << 20]).unwrap_err(); // as much as there is room for
    log_until(&|report| report.handlers[name].skipped > 10);
    fs::remove_file(disk.path("filler")).unwrap();
    log_until(&|report| !report.handlers[name].quarantined);
    let report = guard.stop(LONG).unwrap();
    report.assert_balanced();
    let failed = report.handlers[name].failed;
    let (told, rest) = announced(&fs::read_to_string(&path).unwrap());
    fs::write(disk.path("seen"), rest).unwrap();
    let found = find(&[disk.path("seen")], &[logged]);
    assert!(found.torn.is_empty(), "{:?}", found.torn);
    assert_eq!((found.missing, told), (failed, failed));
}
