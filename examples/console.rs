//! Errors and warnings to stderr, the rest to stdout.
//!
//! ```text
//! cargo run --example console
//! cargo run --example console 2>/dev/null
//! ```

use treering::handler::Console;
use treering::{Level, debug, error, info, warn};

fn main() -> Result<(), treering::Error> {
    let _guard = treering::builder()
        .default_filter("debug") // RUST_LOG goes before it
        .handler(Console::split(Level::Warn))
        .init()?;
    info!(port = 8080, "listening");
    debug!(peer = "192.0.2.7:4711", "connected");
    warn!(free_mb = 120, "disk is filling up");
    info!("order {} filled", 7);
    error!(path = "/var/lib/app", "disk is full");
    Ok(())
}
