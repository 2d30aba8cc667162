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
    let report = guard.stop(LONG).unwrap();
    report.assert_balanced();
    (counts, report)
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
    /// How many there are, how many are missing, and in how many places.
    lines: u64,
    missing: u64,
    gaps: u64,
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
            found.gaps += u64::from(number > *next);
            found.lines += 1;
            *next = number + 1;
        }
    }
    for (thread, count) in (0..).zip(counts) {
        let missing = count - next.get(&thread).copied().unwrap_or(0);
        found.missing += missing;
        found.gaps += u64::from(missing > 0);
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
            support::not_tried(&format!("logrotate with {how}, as it is not installed"));
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
            for round in 0..6 {
                std::thread::sleep(Duration::from_millis(250));
                rotate.run();
                if round % 3 == 2 {
                    control.reopen(); // as postrotate would, by SIGHUP; else it is noticed within a second
                }
                let has_lines = || fs::metadata(&rotate.path).is_ok_and(|file| file.len() > 0);
                support::eventually("lines come into the new file", has_lines);
            }
        });
        assert!(report.is_lossless(), "{report:#?}");
        let files = numbered(&rotate.path);
        let found = find(&files, &counts);
        assert!(found.torn.is_empty(), "{:?}", found.torn);
        assert_eq!((found.lines, found.missing), (counts.iter().sum(), 0), "{how}");
        assert_eq!(files.len(), 6 + 1, "{files:?}");
        assert!(fs::metadata(&rotate.path).unwrap().len() > 0);
        eprintln!("{how}: {} lines in {} files", found.lines, files.len());
    }
}

#[test]
fn logrotate_that_copies_and_truncates_costs_what_it_loses_between_the_two_and_nothing_else() {
    const ROTATIONS: u64 = 12;
    let Some(rotate) = Logrotate::new("copytruncate") else { return };
    let (counts, report) = log_while(File::append(&rotate.path).unwrap(), |_| {
        for _ in 0..ROTATIONS {
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
    assert!(found.gaps <= ROTATIONS * THREADS, "{} gaps", found.gaps);
    let text = fs::read(&rotate.path).unwrap();
    assert!(text.starts_with(b"20"), "it goes on at the beginning, without a hole");
    eprintln!(
        "copytruncate: {} of {logged} lines lost by {ROTATIONS} rotations, {} copies end in a torn line",
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
fn a_directory_that_is_removed_is_made_anew_if_the_options_say_so_and_its_lines_fail_until_it_is_back_if_not()
{
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
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        control.reopen();
        info!(logger: logger, "at last");
        let report = guard.stop(LONG).unwrap();
        report.assert_balanced();
        let handler = &report.handlers[path.to_str().unwrap()];
        let (faults, text) = (faults.lock().unwrap(), fs::read_to_string(&path).unwrap());
        if creates {
            assert_eq!((text.lines().count(), handler.delivered, handler.failed), (4, 5, 0), "{text}");
            assert!(faults.is_empty(), "{faults:?}");
        } else {
            assert_eq!((text.lines().count(), handler.delivered, handler.failed), (2, 2, 3), "{text}");
            assert!(text.contains("3 records lost here") && text.ends_with("at last\n"), "{text}");
            assert!(faults[1].contains("the file was deleted"), "{faults:?}");
            assert!(faults[0].contains("cannot reopen") && faults[0].contains("No such file"), "{faults:?}");
        }
    }
}

#[test]
fn a_relative_path_is_of_the_directory_in_which_the_file_was_opened() {
    let name = "a_relative_path_is_of_the_directory_in_which_the_file_was_opened";
    let run = || {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::env::set_current_dir(first.path()).unwrap();
        let file = File::options().rotate(Rotation::new()).open("app.log").unwrap();
        let control = file.control();
        assert_eq!(treering::handler::Handler::name(&file), "app.log");
        let (logger, guard) = treering::builder().handler(file).start().unwrap();
        info!(logger: logger, "before");
        guard.flush(LONG).unwrap();
        std::env::set_current_dir(second.path()).unwrap();
        control.reopen();
        info!(logger: logger, "reopened");
        guard.flush(LONG).unwrap();
        control.roll();
        info!(logger: logger, "rolled");
        guard.stop(LONG).unwrap().assert_balanced();
        let lines = |name: &str| fs::read_to_string(first.path().join(name)).unwrap().lines().count();
        assert_eq!((lines("app.log.1"), lines("app.log")), (2, 1));
        assert_eq!(fs::read_dir(second.path()).unwrap().count(), 0);
        std::env::set_current_dir("/").unwrap();
    };
    if let Some(output) = support::in_child(name, &[], run) {
        assert!(output.status.success(), "{}", support::text(&output));
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
        let is_mounted = mount.output().is_ok_and(|output| output.status.success());
        if !is_mounted {
            support::not_tried("a tmpfs of 1 MiB, as this process may not mount");
        }
        is_mounted.then_some(SmallDisk(directory))
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
    let Some(disk) = SmallDisk::mount() else { return };
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
    let Some(disk) = SmallDisk::mount() else { return };
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

#[test]
fn a_file_that_is_moved_away_while_nothing_is_logged_is_begun_anew() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.log");
    let (logger, guard) = treering::builder().handler(File::append(&path).unwrap()).start().unwrap();
    info!(logger: logger, "before");
    guard.flush(LONG).unwrap();
    fs::rename(&path, directory.path().join("moved")).unwrap();
    support::eventually("the path names a file again", || path.exists());
    fs::remove_file(&path).unwrap();
    support::eventually("the path names a file again", || path.exists());
    guard.stop(LONG).unwrap().assert_balanced();
}

/// What [`processes_share`] tells its children.
const SHARED_PATH: &str = "TREERING_TEST_SHARED_PATH";
const WRITER: &str = "TREERING_TEST_WRITER";

/// Processes that write to one path, and roll it by size, each as much as it likes. None destroys a file of another, and
/// whatever one of them was told was delivered is there, once, in whole lines.
fn processes_share(test: &str, rotation: impl FnOnce() -> Rotation) {
    const PROCESSES: u64 = 3;
    const RECORDS: u64 = 6000;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.log");
    let is_child = std::env::var(WRITER).is_ok();
    if is_child {
        support::in_child(test, &[], || write_to_shared(rotation(), RECORDS));
        return;
    }
    let outputs: Vec<_> = std::thread::scope(|scope| {
        let start = |writer: u64| {
            let (path, writer) = (path.to_str().unwrap().to_owned(), writer.to_string());
            let run = move || support::in_child(test, &[(SHARED_PATH, &path), (WRITER, &writer)], || ());
            scope.spawn(move || run().unwrap())
        };
        let children: Vec<_> = (0..PROCESSES).map(start).collect();
        children.into_iter().map(|child| child.join().unwrap()).collect()
    });
    for output in outputs {
        assert!(output.status.success(), "{}", support::text(&output));
    }
    let mut found = vec![vec![0_u32; RECORDS as usize]; PROCESSES as usize];
    let mut files: Vec<_> =
        fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    // What the last process was compressing when it ended is begun anew by the next; until then its source is there.
    files.retain(|file| file.extension().is_none_or(|ending| ending != "compressing"));
    for line in files.iter().flat_map(|file| unpacked(file).lines().map(str::to_owned).collect::<Vec<_>>()) {
        let inner = line.split_once(": <").and_then(|(_, rest)| rest.strip_suffix('>'));
        let (writer, number) = inner.and_then(|inner| inner.split_once(' ')).expect(&line);
        found[writer.parse::<usize>().unwrap()][number.parse::<usize>().unwrap()] += 1;
    }
    for (writer, times) in found.iter().enumerate() {
        let wrong: Vec<_> =
            (0..).zip(times).filter(|(_, times)| **times != 1).take(5).collect::<Vec<(u64, _)>>();
        assert!(wrong.is_empty(), "of writer {writer} these are not there once: {wrong:?}");
    }
    assert!(files.len() > 5, "{files:?}");
}

/// What one of the processes does.
fn write_to_shared(rotation: Rotation, records: u64) {
    let path = std::env::var(SHARED_PATH).unwrap();
    let writer: u64 = std::env::var(WRITER).unwrap().parse().unwrap();
    let file = File::options().rotate(rotation).open(path).unwrap();
    let faults = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let sink = faults.clone();
    let (logger, guard) = treering::builder()
        .error_hook(move |fault| sink.lock().unwrap().push(fault.to_owned()))
        .overflow(Overflow::block(LONG))
        .handler(file)
        .start()
        .unwrap();
    for number in 0..records {
        info!(logger: logger, "<{writer} {number}>");
        if number % 50 == 0 {
            std::thread::sleep(Duration::from_millis(15)); // long enough for the others to roll, and to be noticed
        }
    }
    let report = guard.stop(LONG).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless(), "{report:#?}");
    let faults = faults.lock().unwrap();
    assert!(faults.is_empty(), "none is in the way of another: {faults:?}");
}

/// What stands in a file, or did before it was compressed.
fn unpacked(file: &Path) -> String {
    let tool = match file.extension().and_then(|ending| ending.to_str()) {
        Some("gz") => "gzip",
        Some("zst") => "zstd",
        _ => return fs::read_to_string(file).unwrap(),
    };
    let test = Command::new(tool).arg("-t").arg(file).output().unwrap();
    assert!(test.status.success(), "{}", support::text(&test));
    let output = Command::new(tool).arg("-dc").arg(file).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn processes_that_roll_one_path_lose_nothing_and_destroy_nothing() {
    let name = "processes_that_roll_one_path_lose_nothing_and_destroy_nothing";
    processes_share(name, || Rotation::new().at_bytes(40_000).keep_files(usize::MAX));
}

#[cfg(any(feature = "gzip", feature = "zstd"))]
mod compression {
    use super::*;
    use treering::handler::Compression;

    #[cfg(feature = "gzip")]
    #[test]
    fn processes_that_roll_and_compress_one_path_lose_nothing_and_destroy_nothing() {
        let name = "compression::processes_that_roll_and_compress_one_path_lose_nothing_and_destroy_nothing";
        let rotation = Rotation::new().at_bytes(40_000).keep_files(usize::MAX);
        processes_share(name, || rotation.compress(Compression::Gzip));
    }

    /// Logs so that some files roll, and waits until all are compressed. The tool of that name reads them.
    fn compresses(compression: Compression, ending: &str) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("app.log");
        let rotation = Rotation::new().at_bytes(100_000).keep_files(usize::MAX).compress(compression);
        let file = File::options().rotate(rotation).open(&path).unwrap();
        let names = || -> Vec<String> {
            let entries = fs::read_dir(directory.path()).unwrap();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        };
        let are_packed = || names().iter().all(|name| name == "app.log" || name.ends_with(ending));
        let (counts, report) = log_while(file, |_| {
            std::thread::sleep(Duration::from_millis(500));
        });
        assert!(report.is_lossless(), "{report:#?}");
        // What it did not come to, the next one does, although nothing is logged.
        let rotation = Rotation::new().at_bytes(100_000).keep_files(usize::MAX).compress(compression);
        let file = File::options().rotate(rotation).open(&path).unwrap();
        let (_, guard) = treering::builder().handler(file).start().unwrap();
        let begun = std::time::Instant::now();
        while !are_packed() {
            assert!(begun.elapsed() < LONG, "{:?}", names());
            std::thread::sleep(Duration::from_millis(20));
        }
        guard.stop(LONG).unwrap().assert_balanced();
        let lines: usize =
            names().iter().map(|name| unpacked(&directory.path().join(name)).lines().count()).sum();
        assert_eq!(lines as u64, counts.iter().sum::<u64>());
        assert!(names().len() > 3, "{:?}", names());
    }

    #[cfg(feature = "gzip")]
    #[test]
    fn rolled_files_become_what_gzip_reads() {
        compresses(Compression::Gzip, ".gz");
    }

    #[cfg(feature = "zstd")]
    #[test]
    fn rolled_files_become_what_zstd_reads() {
        compresses(Compression::Zstd, ".zst");
    }

    /// In a process of its own, as threads of other tests have the same name.
    #[cfg(feature = "gzip")]
    #[test]
    fn a_stop_does_not_wait_for_the_thread_that_compresses_which_runs_when_nobody_else_wants_to() {
        let name = "compression::a_stop_does_not_wait_for_the_thread_that_compresses_which_runs_when_nobody_else_wants_to";
        if let Some(output) = support::in_child(name, &[], stop_while_it_compresses) {
            assert!(output.status.success(), "{}", support::text(&output));
        }
    }

    #[cfg(feature = "gzip")]
    fn stop_while_it_compresses() {
        /// `SCHED_IDLE`, as the kernel shows it.
        const IDLE: &str = "5";
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("app.log");
        let (old, half) = (directory.path().join("app.log.1"), directory.path().join("app.log.compressing"));
        let length = 8 << 30; // nothing but a hole; some half a minute's work
        fs::File::create(&old).unwrap().set_len(length).unwrap();
        let rotation = Rotation::new().compress(Compression::Gzip);
        let file = File::options().rotate(rotation).open(&path).unwrap();
        let (_, guard) = treering::builder().handler(file).start().unwrap();
        let thread = support::thread_named("treering-pack");
        let policy = || {
            let stat = fs::read_to_string(format!("/proc/self/task/{thread}/stat")).unwrap();
            let after_name = stat.rsplit_once(") ").unwrap().1;
            after_name.split(' ').nth(38).unwrap().to_owned()
        };
        support::eventually("it is idle", || policy() == IDLE);
        support::eventually("it has begun", || half.exists());
        let begun = std::time::Instant::now();
        guard.stop(LONG).unwrap().assert_balanced();
        assert!(old.exists() && begun.elapsed() < support::SOON);
        support::eventually("the half file is gone", || !half.exists());
        assert_eq!(fs::metadata(&old).unwrap().len(), length);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }
}
