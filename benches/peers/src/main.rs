//! The commands.
//!
//! ```text
//! cargo run --release --manifest-path benches/peers/Cargo.toml -- run      measures: target/peers.json
//! cargo run --release --manifest-path benches/peers/Cargo.toml -- report   draws, and writes docs/benchmarks.md
//! cargo run --release --manifest-path benches/peers/Cargo.toml -- all      both
//! cargo run --release --manifest-path benches/peers/Cargo.toml -- sources  fetches quill, xtr, fmtlog and NanoLog
//!
//! run [--rounds N] [--amount F] [--case PREFIX]… [--peer PREFIX]… [--results FILE]
//! ```
//! Sources are fetched by `git`, to `peers-src` in cargo's target directory, or to where `TREERING_PEERS_SRC` says; who has none
//! does not take part. `--amount 0.1` makes a tenth of the calls. `smoke` is one round of next to nothing, and fails if a logger does or if
//! treering's books are wrong: for continuous integration.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use treering_peers::job::Job;
use treering_peers::results::Results;
use treering_peers::runner::{self, Options};
use treering_peers::{external, peer, report};

const ROUNDS: u32 = 5;
/// Of a smoke run.
const SMOKE: f64 = 0.01;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match command(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn command(arguments: &[String]) -> Result<(), String> {
    let (command, rest) =
        arguments.split_first().ok_or("run, report, all, sources or smoke? See src/main.rs")?;
    match command.as_str() {
        "run" => measure(rest).map(drop),
        "report" => report::write(&Results::read(&parse(rest)?.1)?, &repository()),
        "all" => report::write(&measure(rest)?, &repository()),
        "sources" => external::fetch_sources(),
        "smoke" => smoke(rest),
        "child" => child(rest),
        other => Err(format!("{other} is not known: run, report, all, sources or smoke")),
    }
}

fn measure(arguments: &[String]) -> Result<Results, String> {
    let (options, path) = parse(arguments)?;
    let results = runner::run(&options)?;
    results.write(&path)?;
    eprintln!("{} runs in {:.0} s: {}", results.runs.len(), results.seconds, path.display());
    Ok(results)
}

/// Everything once, with as few calls as can be.
fn smoke(arguments: &[String]) -> Result<(), String> {
    let (options, path) = parse(arguments)?;
    let results = runner::run(&Options { rounds: 1, amount: SMOKE, scaling: false, ..options })?;
    results.write(&path)?;
    let mut faults: Vec<String> = results
        .runs
        .iter()
        .filter_map(|run| Some(format!("{} {}: {}", run.peer, run.case, run.failed.as_ref()?)))
        .collect();
    // Whoever waits for room loses nothing, and ours says of each record where it is.
    let unaccounted = results.runs.iter().filter(|run| {
        let figure = |name| run.figures.get(name).copied().unwrap_or(0.0);
        figure("unaccounted") != 0.0 && run.peer == "treering"
    });
    faults.extend(unaccounted.map(|run| format!("{} {}: {:?}", run.peer, run.case, run.figures)));
    report::page(&results); // draws nothing, but must not panic
    if faults.is_empty() {
        println!("{} runs in {:.0} s, and every line was there", results.runs.len(), results.seconds);
        return Ok(());
    }
    Err(faults.join("\n"))
}

fn child(arguments: &[String]) -> Result<(), String> {
    let [peer, job @ .., file] = arguments else { return Err("child PEER JOB FILE".into()) };
    peer::run(peer, &Job::parse(job)?, Path::new(file))
}

/// The options, and the file of the results.
fn parse(arguments: &[String]) -> Result<(Options, PathBuf), String> {
    let mut options =
        Options { rounds: ROUNDS, amount: 1.0, cases: Vec::new(), peers: Vec::new(), scaling: true };
    let mut results = external::target().join("peers.json");
    let mut arguments = arguments.iter();
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
        let bad = |_| format!("{name} {value} is no number");
        match name.as_str() {
            "--rounds" => options.rounds = value.parse().map_err(|_| bad(()))?,
            "--amount" => options.amount = value.parse().map_err(|_| bad(()))?,
            "--case" => options.cases.push(value.clone()),
            "--peer" => options.peers.push(value.clone()),
            "--results" => results = value.into(),
            _ => return Err(format!("{name} is not known; see src/main.rs")),
        }
    }
    Ok((options, results))
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
