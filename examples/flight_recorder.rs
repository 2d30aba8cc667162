//! Debug records cost no line while all is well, and are there when something goes wrong.
//!
//! ```text
//! cargo run --example flight_recorder
//! ```

use treering::handler::{Console, FlightRecorder};
use treering::{Level, debug, error, info};

fn main() -> Result<(), treering::Error> {
    let console = Console::stdout().level(Level::Info);
    let _guard = treering::builder()
        .default_filter("debug") // what shall be kept must come through here
        .handler(FlightRecorder::new(console).records(4))
        .init()?;
    info!("started");
    for attempt in 1..=3 {
        debug!(attempt, "connecting");
        debug!(attempt, reason = "refused", "waiting");
    }
    error!(attempts = 3, "no connection");
    info!("trying another host");
    Ok(())
}
