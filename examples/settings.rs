//! Handlers, formats and filters as a file says, which is read again when it changes.
//!
//! ```text
//! cargo run --example settings --features config
//! ```

use std::fs;
use std::time::Duration;

use treering::config::Config;
use treering::{debug, info};

const SOON: Duration = Duration::from_secs(5);

#[expect(clippy::print_stdout, reason = "what the example is for")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::temp_dir().join(format!("treering-settings-{}.toml", std::process::id()));
    fs::write(&path, "filter = 'info'\n[handlers.out]\nkind = 'console'\nstream = 'stdout'\n")?;

    let mut config = Config::read(&path)?;
    let guard = config.builder()?.init()?; // or `treering::init_from(path)`, without what follows
    info!("text");
    debug!("not heard");

    fs::write(
        &path,
        "filter = 'debug'\n[handlers.out]\nkind = 'console'\nstream = 'stdout'\nformat = 'json'\n",
    )?;
    config.reload(&guard, SOON)?; // `config.watch` does so by itself
    debug!("json");

    fs::write(&path, "[handlers.out]\nkind = 'consul'\n")?;
    if let Err(error) = config.reload(&guard, SOON) {
        guard.flush(SOON)?;
        println!("nothing was changed: {error}");
    }
    info!("still json");
    guard.stop(SOON)?;
    fs::remove_file(path)?;
    Ok(())
}
