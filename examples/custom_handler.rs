//! A handler of one's own: counts records by target, and tells at the end.
//!
//! ```text
//! cargo run --example custom_handler
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use treering::handler::{Batch, Handler, HandlerError};
use treering::{error, info};

/// How many records came from each target.
#[derive(Default)]
struct Tally(BTreeMap<String, u64>);

impl Handler for Tally {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        batch.iter().for_each(|record| *self.0.entry(record.target().to_owned()).or_default() += 1);
        Ok(())
    }

    #[expect(clippy::print_stdout, reason = "what the example is for")]
    fn close(&mut self) -> Result<(), HandlerError> {
        println!("{:?}", self.0);
        Ok(())
    }
}

fn main() -> Result<(), treering::Error> {
    let guard = treering::builder().handler(Tally::default()).init()?;
    for order in 0..10 {
        info!(target: "orders", order, "filled");
    }
    error!(target: "risk", "limit reached");
    guard.stop(Duration::from_secs(5))?; // prints {"orders": 10, "risk": 1}
    Ok(())
}
