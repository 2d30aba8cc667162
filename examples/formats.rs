//! The same three records in every format that comes with treering.
//!
//! ```text
//! cargo run --example formats
//! ```

use std::num::ParseIntError;
use std::time::Duration;
use std::{error, fmt};

use treering::format::{Format, Json, Logfmt, Pattern, Text};
use treering::handler::Console;
use treering::{Logger, error, info, warn};

/// An error that has a cause.
#[derive(Debug)]
struct BadConfig(ParseIntError);

impl fmt::Display for BadConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`workers` in app.toml")
    }
}

impl error::Error for BadConfig {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&self.0)
    }
}

fn log(logger: &Logger) {
    let (id, name) = (7, "eve\n\x1b[31mforged");
    info!(logger: logger, target: "shop::orders", venue = "XNAS", qty = 100, "order {id} filled");
    warn!(logger: logger, target: "shop::login", name, tries = 3, took = Duration::from_micros(1500), "refused");
    if let Err(cause) = "many".parse::<u8>() {
        let problem = BadConfig(cause);
        error!(logger: logger, target: "shop", problem, "cannot start");
    }
}

/// Logs to stdout in one format.
fn show(format: impl Format + 'static) -> Result<(), treering::Error> {
    let (logger, guard) = treering::builder().handler(Console::stdout().format(format)).start()?;
    log(&logger);
    guard.stop(Duration::from_secs(5))?;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "what the example is for")]
fn main() -> Result<(), treering::Error> {
    println!("Text::new()");
    show(Text::new())?;
    println!("\nText::new().indented(true)");
    show(Text::new().indented(true))?;
    println!("\nJson::new()");
    show(Json::new())?;
    println!("\nLogfmt::new()");
    show(Logfmt::new())?;
    let pattern = "{dim}{time:%H:%M:%S%.3f}{reset} {color}{level.short} {message}{reset} {fields}";
    println!("\nPattern::new(\"{pattern}\")");
    show(Pattern::new(pattern)?)
}
