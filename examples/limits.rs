//! Calls that would flood the log, and what is said of those that were kept back.
//!
//! ```text
//! cargo run --example limits
//! ```

use std::time::Duration;

use treering::handler::Console;
use treering::{info, prepare, warn};

fn main() -> Result<(), treering::Error> {
    let _guard = treering::builder()
        .prepare(prepare::at_most("noisy_library", 2, Duration::from_secs(60)))
        .handler(Console::stdout())
        .init()?;
    for order in 0..250 {
        info!(every: 100, order, "filled");
        warn!(once: true, "no certificate: plain text it is");
        warn!(at_most: (2, Duration::from_secs(60)), order, "late");
        info!(target: "noisy_library", order, "no limit at this call, which is not ours");
    }
    Ok(())
}
