//! Logs over ZeroMQ, to whoever subscribes: `examples/subscriber.py`, or the example `subscribe`.
//!
//! ```sh
//! cargo run -p treering-zmq --example publish -- tcp://127.0.0.1:5556 &
//! python3 crates/treering-zmq/examples/subscriber.py tcp://127.0.0.1:5556
//! ```

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use treering::handler::{Console, QueueHandler};
use treering::{Level, error, info, warn};
use treering_zmq::{PythonRecord, Sender};

const SOON: Duration = Duration::from_secs(5);

#[expect(clippy::print_stdout, reason = "what the example is for")]
fn main() -> Result<(), Box<dyn Error>> {
    let uri = std::env::args().nth(1).unwrap_or("tcp://127.0.0.1:5556".into());
    let sender = Arc::new(Sender::publisher().bind(&uri)?);
    sender.wait_for_subscriber(Duration::from_secs(60))?;
    let guard = treering::builder()
        .handler(Console::stderr().level(Level::Warn))
        .handler(QueueHandler::new(sender.clone()).format(PythonRecord::new()))
        .init()?;
    for order_id in 0..3 {
        info!(order_id, venue = "XNAS", "order filled");
    }
    warn!(target: "risk", "limit near");
    if let Err(problem) = "x".parse::<u32>() {
        error!(problem, "not a number");
    }
    guard.stop(SOON)?;
    sender.close(SOON)?;
    println!("{:?}", sender.report());
    Ok(())
}
