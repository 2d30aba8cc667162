//! What the command line says.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use treering::Wait;

pub(crate) const HELP: &str = "\
An HTTP server that logs each request through treering, and a client that keeps it busy.

Usage: cargo run --release --example server -- [OPTIONS]

Options:
  --requests N      requests to log, 100 to 10000000; as many again are sent with logging off [default: 100000]
  --connections N   keep-alive connections to send them over, 1 to 1000 [default: 8]
  --wait POLICY     how the listener waits: adaptive, park, spin, or poll, every millisecond [default: adaptive]
  --file PATH       the log file; lines are appended [default: a new file in the temporary directory]
  --help            print this

Exits with 0 if every record arrived, 1 if not, 2 if an option is wrong.
";

/// What to do.
#[derive(Debug)]
pub(crate) enum Command {
    Run(Options),
    Help,
}

/// How to do it.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) requests: u64,
    pub(crate) connections: u64,
    pub(crate) wait: Wait,
    pub(crate) file: PathBuf,
}

impl Options {
    /// Understands `--name value` and `--name=value`.
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Command, String> {
        let file = env::temp_dir().join(format!("treering-server-{}.log", std::process::id()));
        let mut options = Options { requests: 100_000, connections: 8, wait: Wait::Adaptive, file };
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            let (name, value) = match argument.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (argument, None),
            };
            let value = || value.or_else(|| arguments.next()).ok_or(format!("{name} needs a value"));
            match &*name {
                "--help" | "-h" => return Ok(Command::Help),
                "--requests" => options.requests = number(&name, &value()?, 100..=10_000_000)?,
                "--connections" => options.connections = number(&name, &value()?, 1..=1_000)?,
                "--wait" => options.wait = wait(&value()?)?,
                "--file" => options.file = value()?.into(),
                _ => return Err(format!("there is no option {name}; --help lists them")),
            }
        }
        Ok(Command::Run(options))
    }
}

fn wait(value: &str) -> Result<Wait, String> {
    match value {
        "adaptive" => Ok(Wait::Adaptive),
        "park" => Ok(Wait::Park),
        "spin" => Ok(Wait::Spin),
        "poll" => Ok(Wait::Poll(Duration::from_millis(1))),
        _ => Err(format!("--wait is adaptive, park, spin or poll, not {value:?}")),
    }
}

fn number(name: &str, value: &str, range: std::ops::RangeInclusive<u64>) -> Result<u64, String> {
    let number = value.replace('_', "").parse().ok().filter(|number| range.contains(number));
    number
        .ok_or_else(|| format!("{name} is a number from {} to {}, not {value:?}", range.start(), range.end()))
}
