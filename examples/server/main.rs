//! An HTTP server that logs each request through treering, and a client that keeps it busy.
//!
//! ```text
//! cargo run --release --example server -- --help
//! ```
//! What to look at: [`run`] builds the engine and ends it, `service` logs; of every fiftieth request by `tracing`, with spans,
//! and by `log`, as what has come from elsewhere does. The rest is the experiment around them:
//! `client` sends real requests over real connections, in rounds with logging off and on; `cost` measures each log
//! call in the handlers where it stands; `tally` reads the file back; `report` prints what came of it.
//!
//! The program fails if a single record is missing: if the engine's books do not balance, if it handed out another
//! number of records than the client's answers stand for, or if a request's line is not in the file exactly once.

mod client;
mod cost;
mod options;
mod report;
mod service;
mod tally;

use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tracing_subscriber::prelude::*;
use treering::{Guard, Overflow, handler};

use client::{Answers, Client};
use cost::Cost;
use options::{Command, Options};
use report::{Outcome, Round};
use tally::Tally;

/// Off, on, on, off, twice: what drifts over the run (the machine, its other users) meets both alike.
const ROUNDS: [bool; 8] = [false, true, true, false, false, true, true, false];
/// Sent before the first round, so that it does not pay for cold code. Not logged.
const WARM_UP_REQUESTS: u64 = 1_000;
/// How long a full ring may hold up a request before its record is dropped: much longer than it takes to make room.
const PATIENCE: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(Command::Run(options)) => options,
        Ok(Command::Help) => {
            // If nobody reads the help there is nobody to tell.
            let _ = write!(io::stdout(), "{}", options::HELP);
            return ExitCode::SUCCESS;
        }
        Err(error) => return fail(error, 2),
    };
    match run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => fail(error, 1),
    }
}

fn fail(error: impl std::fmt::Display, code: u8) -> ExitCode {
    let _ = writeln!(io::stderr(), "server: {error}");
    ExitCode::from(code)
}

/// The whole experiment. Returns whether every record arrived.
fn run(options: &Options) -> Result<bool, Box<dyn Error>> {
    let before = tally::length(&options.file)?;
    let guard = treering::builder()
        .filter("off") // each round says for itself
        .overflow(Overflow::block(PATIENCE))
        .wait(options.wait)
        .handler(handler::File::append(&options.file)?)
        .init()?; // and takes what libraries log by `log`
    tracing_subscriber::registry().with(treering_tracing::layer()).init();

    let cost = Arc::new(Cost::with_room_for(2 * (2 * options.requests + WARM_UP_REQUESTS)));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_io().build()?;
    let rounds = runtime.block_on(converse(options, &guard, &cost))?;
    drop(runtime); // joins the threads that log: nothing is pending but what they have handed over

    let books = guard.stop(Duration::from_secs(10))?;
    let file = Tally::read(&options.file, before)?;
    let outcome = Outcome { options, rounds: &rounds, cost: &cost, books: &books, file: &file };
    Ok(outcome.print(&mut report::Page::stdout())?)
}

/// Serves, and has the client send the warm-up and all rounds.
async fn converse(options: &Options, guard: &Guard, cost: &Arc<Cost>) -> Result<Vec<Round>, Box<dyn Error>> {
    let address = service::serve(cost.clone()).await?;
    let mut client = Client::connect(address, options.connections).await?;
    let bar = progress_bar(2 * options.requests);
    client.send(0..WARM_UP_REQUESTS, &ProgressBar::hidden()).await?;

    let mut rounds = Vec::new();
    let mut next = WARM_UP_REQUESTS;
    for (shares, logging) in (0..).zip(ROUNDS) {
        let orders = next..next + share(options.requests, shares / 2);
        next = orders.end;
        guard.set_filter(if logging { "info" } else { "off" })?;
        bar.set_message(if logging { "on" } else { "off" });
        let (first, began) = (cost.taken(), Instant::now());
        let answers: Answers = client.send(orders, &bar).await?;
        rounds.push(Round { logging, answers, took: began.elapsed(), samples: first..cost.taken() });
    }
    bar.finish_and_clear();
    Ok(rounds)
}

/// The number of requests in a share: four make the whole, also if it does not divide.
fn share(requests: u64, index: u64) -> u64 {
    let shares = ROUNDS.len() as u64 / 2;
    requests * (index + 1) / shares - requests * index / shares
}

/// On stderr, and only if that is a terminal.
fn progress_bar(requests: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} requests, logging {msg}");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(requests).with_style(style)
}
