//! A program that ends in every way there is, for tests/exits.rs.
//!
//! ```text
//! exits FILE GUARD END     200 records are pending when the end comes
//! exits FILE odd SCENE     ends that need a scene of their own
//! ```
//!
//! GUARD is one of the words in [`begin`], END of those in [`end`], SCENE of those in [`odd::play`]. What handlers get
//! is a line of FILE each.

mod odd;
mod slow;

use std::error::Error;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use slow::Slow;
use treering::{Builder, Guard, Logger, info};

/// Known to tests/exits.rs, too.
const RECORDS: u32 = 200;
/// Far longer than they need: a busy machine must not look like a lost record.
const EXIT_TIMEOUT: Duration = Duration::from_secs(30);
/// What a process exits with that names its code.
const CODE: i32 = 7;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let [file, guard, word] = arguments[..] else { panic!("see the head of {}", file!()) };
    // Who starts a process may have it ignore this one, and shells do, behind `&`.
    default_action(libc::SIGINT);
    if guard == "odd" {
        return odd::play(word, Path::new(file));
    }
    let (log, _guard) = begin(guard, patient(file))?;
    log.records();
    end(word, &log)
}

/// The handler is slow, and waited for.
fn patient(file: impl AsRef<Path>) -> Builder {
    treering::builder().exit_timeout(EXIT_TIMEOUT).handler(Slow::new(file))
}

/// Where the records go to.
enum Log {
    Global,
    Own(Logger),
}

impl Log {
    fn line(&self, line: &str) {
        match self {
            Log::Global => info!("{line}"),
            Log::Own(logger) => info!(logger: logger, "{line}"),
        }
    }

    fn records(&self) {
        (0..RECORDS).for_each(|number| self.line(&number.to_string()));
    }
}

/// Starts an engine; what is returned of its guard lives as long as `main`.
fn begin(word: &str, builder: Builder) -> Result<(Log, Option<Guard>), treering::Error> {
    static GUARD: OnceLock<Guard> = OnceLock::new();
    match word {
        "kept" => return Ok((Log::Global, Some(builder.init()?))),
        "dropped" => {
            let _ = builder.init()?;
        }
        "leaked" => std::mem::forget(builder.init()?),
        "static" => drop(GUARD.set(builder.init()?)),
        "own-kept" => {
            let (logger, guard) = builder.start()?;
            return Ok((Log::Own(logger), Some(guard)));
        }
        "own-leaked" => {
            let (logger, guard) = builder.start()?;
            std::mem::forget(guard);
            return Ok((Log::Own(logger), None));
        }
        _ => panic!("no guard is {word}"),
    }
    Ok((Log::Global, None))
}

/// Ends the process, or lets `main` do it.
fn end(word: &str, log: &Log) -> Result<(), Box<dyn Error>> {
    match word {
        "return" => {}
        "error" => return Err("the end".into()),
        "exit" => std::process::exit(CODE),
        "panic" => panic!("the end"),
        "panic-in-thread" => {
            let ended = std::thread::spawn(|| panic!("the end")).join();
            assert!(ended.is_err());
        }
        "panic-twice" => {
            let _again = PanicsAgain;
            panic!("the end");
        }
        "panic-in-handler" => {
            log.line(slow::PANIC);
            log.line("behind it");
        }
        "abort" => std::process::abort(),
        "SIGTERM" => raise(libc::SIGTERM),
        "SIGINT" => raise(libc::SIGINT),
        "SIGTERM-hooked" => raise_hooked(libc::SIGTERM)?,
        "SIGINT-hooked" => raise_hooked(libc::SIGINT)?,
        "SIGSEGV" => {
            default_action(libc::SIGSEGV); // std's own finds stacks that overflow
            raise(libc::SIGSEGV);
        }
        "SIGKILL" => raise(libc::SIGKILL),
        // SAFETY: _exit(2) has no preconditions.
        "_exit" => unsafe { libc::_exit(CODE) },
        "execve" => return Err(Command::new("true").exec().into()),
        _ => panic!("no end is {word}"),
    }
    Ok(())
}

struct PanicsAgain;

impl Drop for PanicsAgain {
    fn drop(&mut self) {
        panic!("again");
    }
}

fn raise(signal: i32) {
    // SAFETY: raise(3) takes an integer; what the signal does is what is asked for.
    unsafe { libc::raise(signal) };
}

fn raise_hooked(signal: i32) -> Result<(), treering::Error> {
    treering::stop_on_signals()?;
    treering::stop_on_signals()?; // changes nothing
    raise(signal);
    wait_for_the_end()
}

fn wait_for_the_end() -> ! {
    loop {
        std::thread::park();
    }
}

fn default_action(signal: i32) {
    // SAFETY: signal(2) takes two integers; no handler is installed.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}
