//! Runs the children: each logger once a case and round, the first one shifted by one each round, so that whatever the
//! machine does to one it does to the others in turn. Every line of every file is counted.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::case::WARM_UP;
use crate::external::{PEERS_IN_CPP, Program};
use crate::job::{Job, Kind, Shape};
use crate::peer;
use crate::plan::{Amount, CURVES, Case, Watch, Who, cases};
use crate::quiet::{Quiet, processor_time};
use crate::results::{Machine, Results, Run, quantile};

/// What the user asked for.
pub struct Options {
    pub rounds: u32,
    pub amount: f64,
    /// Only cases and peers whose names begin so; all if there are none.
    pub cases: Vec<String>,
    pub peers: Vec<String>,
    /// Also treering's own program for fields and callsites, which takes a while to build.
    pub scaling: bool,
}

/// A child that takes longer is ended.
const CHILD_SECONDS_MAX: u64 = 120;
/// Python makes so many times fewer calls where they are counted in hundreds of thousands.
const PYTHON_SHARE: u64 = 20;

pub const SCALING: &str = "treering, alone";

pub fn run(options: &Options) -> Result<Results, String> {
    let began = Instant::now();
    let (mut machine, quiet) = (Machine::here(), Quiet::begin());
    let scratch = Scratch::new()?;
    let (mut programs, mut absent) = (Vec::new(), Vec::new());
    let is_wanted = |wanted: &[String], name: &str| {
        wanted.is_empty() || wanted.iter().any(|prefix| name.starts_with(prefix.as_str()))
    };
    // Only what takes part is built.
    let mut add = |name: &str, program: &dyn Fn() -> Result<Program, String>| {
        if !is_wanted(&options.peers, name) {
            return;
        }
        match program() {
            Ok(program) => programs.push((name.to_owned(), program)),
            Err(reason) => {
                eprintln!("{name} does not take part: {reason}");
                absent.push((name.to_owned(), reason));
            }
        }
    };
    for name in peer::NAMES {
        add(name, &|| Program::child(name));
    }
    for peer in &PEERS_IN_CPP {
        add(peer.name, &|| peer.program());
    }
    add("Python", &|| Program::python(&scratch.0));
    let mut cases = cases(Amount(options.amount));
    cases.retain(|case| is_wanted(&options.cases, &case.name));
    cases.retain(|case| case.who != Who::Scaling || options.scaling);
    if cases.iter().any(|case| case.who == Who::Scaling) {
        add(SCALING, &Program::scaling);
    }

    let mut runs = Vec::new();
    for round in 0..options.rounds {
        for (at, case) in cases.iter().enumerate() {
            eprintln!(
                "round {} of {}, {} ({} of {})",
                round + 1,
                options.rounds,
                case.name,
                at + 1,
                cases.len()
            );
            let takes_part = |name: &str| match case.who {
                Who::All => name != SCALING,
                Who::Writers => name != SCALING && name != "floor",
                Who::Curves => {
                    CURVES.contains(&name) && !(name == "floor" && case.name.starts_with("message"))
                }
                Who::Scaling => name == SCALING,
            };
            // Who watches a file looks for lines.
            let can_be_watched = |program: &Program| case.watch != Watch::File || !program.is_binary;
            let mut those: Vec<_> = programs
                .iter()
                .filter(|(name, program)| takes_part(name) && can_be_watched(program))
                .collect();
            let shift = round as usize % those.len().max(1);
            those.rotate_left(shift);
            for (name, program) in those {
                runs.push(run_one(round, case, name, program, &scratch));
            }
        }
    }
    let noise = quiet.end();
    (machine.others, machine.stolen) = (noise.others, noise.stolen);
    let peers = programs.into_iter().map(|(name, program)| (name, program.version)).collect();
    let command = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
    let (rounds, seconds) = (options.rounds, began.elapsed().as_secs_f64());
    Ok(Results { machine, command, peers, absent, rounds, seconds, runs })
}

fn run_one(round: u32, case: &Case, name: &str, program: &Program, scratch: &Scratch) -> Run {
    let mut job = case.job;
    if name == "Python" && job.kind != Kind::Latency {
        job.calls = (job.calls / PYTHON_SHARE).max(1);
    }
    let (figures, failed) = match figures_of(case, name, &job, program, scratch) {
        Ok(figures) => (figures, None),
        Err(reason) => {
            eprintln!("  {name} failed: {reason}");
            (BTreeMap::new(), Some(reason))
        }
    };
    Run { round, case: case.name.clone(), peer: name.to_owned(), figures, failed }
}

fn figures_of(
    case: &Case,
    name: &str,
    job: &Job,
    program: &Program,
    scratch: &Scratch,
) -> Result<BTreeMap<String, f64>, String> {
    let file = scratch.0.join("log");
    let counts = scratch.0.join("counts");
    drop(std::fs::remove_file(&file));
    File::create(&file).map_err(|error| error.to_string())?;
    let mut command = program.command(&scratch.0);
    command.args(job.arguments()).arg(&file);
    if case.watch == Watch::SystemCalls {
        command = counted(&command, &counts);
    }
    let done = AtomicBool::new(false);
    let (ended, delays) = thread::scope(|scope| {
        let reader = (case.watch == Watch::File).then(|| scope.spawn(|| delays(&file, &done)));
        let ended = finish(&mut command);
        done.store(true, Ordering::Release);
        (ended, reader.map(|reader| reader.join().expect("it does not panic")))
    });
    let Ended { said, user_and_system } = ended?;

    let mut figures = Figures(BTreeMap::new());
    let (mut said_lost, mut lost_behind) = (None, None);
    for line in said.lines() {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "burst" | "first" | "call" => figures.of_samples(word, rest),
            "lost_behind" => lost_behind = Some(rest.to_owned() + " "),
            "lost" => said_lost = rest.parse().ok(),
            _ => figures.set(word, rest.parse().map_err(|_| format!("it said {line:?}"))?),
        }
    }
    if let Some(delays) = delays {
        figures.of_times("delay", delays);
    }
    let records = job.records();
    figures.set("cpu_ns_per_record", user_and_system.as_nanos() as f64 / records as f64);
    if name != "floor" && name != SCALING && job.kind != Kind::Disabled {
        let bytes = file.metadata().map_err(|error| error.to_string())?.len();
        let text = program.lines(&file)?;
        let lost = said_lost.or_else(|| Some(sum_behind(&text, lost_behind.as_deref()?)));
        figures.of_lines(job, &text, lost);
        figures.of_bytes(bytes);
    }
    if case.watch == Watch::SystemCalls {
        figures.of_counts(&std::fs::read_to_string(&counts).unwrap_or_default(), records);
    }
    Ok(figures.0)
}

/// The same command, its system calls counted by the kernel.
fn counted(command: &Command, to: &Path) -> Command {
    let mut counted = Command::new("perf");
    counted.args(["stat", "-x,", "-o"]).arg(to);
    counted.args(["-e", "raw_syscalls:sys_enter"]);
    for call in ["write", "writev", "pwrite64"] {
        counted.args(["-e", &format!("syscalls:sys_enter_{call}")]);
    }
    // Of FUTEX_WAKE and FUTEX_WAKE_BITSET, private or not.
    counted.args(["-e", "syscalls:sys_enter_futex", "--filter", "op==1||op==129||op==10||op==138"]);
    counted.arg("--").arg(command.get_program()).args(command.get_args());
    counted.current_dir(command.get_current_dir().expect("all programs have one"));
    counted
}

struct Ended {
    said: String,
    user_and_system: Duration,
}

/// Runs a child to its end.
fn finish(command: &mut Command) -> Result<Ended, String> {
    let spawned =
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut child = spawned.map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    let mut output = child.stdout.take().expect("it is piped");
    let id = child.id() as libc::pid_t;
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        // Ends a child that hangs, with its own children; it is ours until it was waited for.
        let watch = scope.spawn(|| {
            let end = Instant::now() + Duration::from_secs(CHILD_SECONDS_MAX);
            while Instant::now() < end && !ended.load(Ordering::Acquire) {
                thread::park_timeout(Duration::from_secs(1));
            }
            if !ended.load(Ordering::Acquire) {
                // SAFETY: a number.
                unsafe { libc::killpg(id, libc::SIGKILL) };
            }
        });
        let mut said = String::new();
        let read = output.read_to_string(&mut said).map_err(|error| error.to_string());
        let waited = wait(&child);
        ended.store(true, Ordering::Release);
        watch.thread().unpark();
        read?;
        let (status, user_and_system) = waited;
        if !status.success() {
            return Err(status.to_string());
        }
        Ok(Ended { said, user_and_system })
    })
}

/// Waits, and asks what it used.
fn wait(child: &Child) -> (std::process::ExitStatus, Duration) {
    let mut status = 0;
    // SAFETY: all zeros is an `rusage`.
    let mut used: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to values of our own; the child was not waited for yet.
    unsafe { libc::wait4(child.id() as libc::pid_t, &raw mut status, 0, &raw mut used) };
    (std::process::ExitStatus::from_raw(status), processor_time(&used))
}

/// Reads the file while it grows: nanoseconds from each call to the moment its line can be read.
fn delays(path: &Path, done: &AtomicBool) -> Vec<f64> {
    let mut file = File::open(path).expect("it was just created");
    let (mut delays, mut rest, mut bytes) = (Vec::new(), Vec::new(), [0; 1 << 16]);
    loop {
        let is_last = done.load(Ordering::Acquire);
        let count = file.read(&mut bytes).unwrap_or(0);
        let now = crate::case::now();
        if count == 0 {
            if is_last {
                // The first ones warmed up.
                delays.drain(..delays.len().min(WARM_UP as usize));
                return delays;
            }
            std::hint::spin_loop();
            continue;
        }
        rest.extend_from_slice(&bytes[..count]);
        let whole = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let lines = rest[..whole].split(|byte| *byte == b'\n');
        delays.extend(
            lines.filter_map(|line| Some(now.checked_sub(number_behind(line, Shape::Stamp.mark())?)? as f64)),
        );
        rest.drain(..whole);
    }
}

/// The number that follows these words.
fn number_behind(line: &[u8], words: &str) -> Option<u64> {
    let line = str::from_utf8(line).ok()?;
    let rest = &line[line.find(words)? + words.len()..];
    rest[..rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())].parse().ok()
}

fn sum_behind(text: &[u8], words: &str) -> u64 {
    text.split(|byte| *byte == b'\n').filter_map(|line| number_behind(line, words)).sum()
}

/// What came of a run.
struct Figures(BTreeMap<String, f64>);

impl Figures {
    fn set(&mut self, name: &str, value: f64) {
        self.0.insert(name.to_owned(), value);
    }

    fn of_samples(&mut self, name: &str, samples: &str) {
        self.of_times(name, samples.split(' ').filter_map(|sample| sample.parse().ok()).collect());
    }

    fn of_times(&mut self, name: &str, mut samples: Vec<f64>) {
        samples.sort_unstable_by(f64::total_cmp);
        for (suffix, q) in [("p50", 0.5), ("p99", 0.99), ("p999", 0.999)] {
            if let Some(value) = quantile(&samples, q) {
                self.set(&format!("{name}_{suffix}"), value);
            }
        }
        self.set(&format!("{name}_n"), samples.len() as f64);
    }

    /// Every line is counted, and compared with what was offered and with what the logger says it lost.
    fn of_lines(&mut self, job: &Job, text: &[u8], lost: Option<u64>) {
        let mark = job.shape.mark().as_bytes();
        let has_mark = |line: &&[u8]| line.windows(mark.len()).any(|window| window == mark);
        let lines = text.split(|byte| *byte == b'\n').filter(has_mark).count() as u64;
        let warm_up = if job.kind == Kind::Latency { WARM_UP * u64::from(job.threads) } else { 0 };
        let offered = job.records() + warm_up;
        self.set("offered", offered as f64);
        self.set("lines", lines as f64);
        self.set("missing", offered as f64 - lines as f64);
        self.set("unaccounted", offered as f64 - lines as f64 - lost.unwrap_or(0) as f64);
        if let Some(lost) = lost {
            self.set("said_lost", lost as f64);
        }
        if let Some(seconds) = self.0.get("seconds").filter(|_| job.kind == Kind::FlatOut) {
            let lines_per_second = lines as f64 / seconds;
            self.set("lines_per_second", lines_per_second);
        }
    }

    /// The size of the file.
    fn of_bytes(&mut self, bytes: u64) {
        let lines = self.0.get("lines").copied().unwrap_or(0.0);
        self.set("bytes_per_line", bytes as f64 / lines.max(1.0));
    }

    /// From perf's lines `47,,syscalls:sys_enter_futex,…`.
    fn of_counts(&mut self, counts: &str, records: u64) {
        for line in counts.lines() {
            let mut cells = line.split(',');
            let (Some(count), _, Some(event)) = (cells.next(), cells.next(), cells.next()) else { continue };
            let Ok(count) = count.parse::<f64>() else { continue };
            let name = match event.rsplit_once("sys_enter") {
                Some((_, "_futex")) => "wakes",
                Some((_, "")) => "system_calls",
                _ => "writes",
            };
            *self.0.entry(format!("{name}_per_1000")).or_default() += count * 1_000.0 / records as f64;
        }
        if let Some(allocations) = self.0.get("allocations") {
            let per_1000 = allocations * 1_000.0 / records as f64;
            self.set("allocations_per_1000", per_1000);
        }
    }
}

/// A directory that goes with us.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self, String> {
        let path = std::env::temp_dir().join(format!("treering-peers-{}", std::process::id()));
        std::fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Scratch(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Full;

    const JOB: Job = Job {
        kind: Kind::FlatOut,
        full: Full::Drop,
        shape: Shape::Numbers,
        threads: 2,
        calls: 2,
        burst: 20,
        pause_us: 0,
        bytes: 40,
    };

    #[test]
    fn each_line_is_counted_and_compared_with_what_the_logger_says() {
        let text = b"INFO filled 1 of 2 at 3\nWARN 2 records lost\nINFO filled 2 of 2 at 3\n";
        let mut figures = Figures(BTreeMap::from([("seconds".into(), 2.0)]));
        figures.of_lines(&JOB, text, Some(1));
        let figure = |name: &str| figures.0[name];
        assert_eq!(
            ["offered", "lines", "missing", "said_lost", "unaccounted"].map(figure),
            [4.0, 2.0, 2.0, 1.0, 1.0]
        );
        assert_eq!(figure("lines_per_second"), 1.0);
    }

    #[test]
    fn numbers_stand_behind_words() {
        assert_eq!(number_behind(b"INFO filled 17 of 2", "filled "), Some(17));
        assert_eq!(number_behind(b"INFO filled", "filled "), None);
        assert_eq!(sum_behind(b"ERRO dropped, count: 5\nINFO x\nERRO dropped, count: 7\n", "count: "), 12);
    }

    #[test]
    fn perf_counts_become_figures() {
        let mut figures = Figures(BTreeMap::new());
        figures.of_counts("# a comment\n\n40,,syscalls:sys_enter_futex,1,100.00,,\n3,,syscalls:sys_enter_write,,,\n2,,syscalls:sys_enter_writev,,,\n90,,raw_syscalls:sys_enter,,,\n", 500);
        let figure = |name: &str| figures.0[name];
        assert_eq!(
            ["wakes_per_1000", "writes_per_1000", "system_calls_per_1000"].map(figure),
            [80.0, 10.0, 180.0]
        );
    }
}
