//! Prints what comes over ZeroMQ from Python's `logging`, or from the example `publish`, until Enter is pressed.
//!
//! ```sh
//! python3 crates/treering-zmq/examples/publisher.py tcp://127.0.0.1:5557 &
//! cargo run -p treering-zmq --example subscribe -- tcp://127.0.0.1:5557
//! ```

use std::error::Error;
use std::time::Duration;

use treering::Listener;
use treering::handler::Console;
use treering_zmq::{Receiver, from_python};

#[expect(clippy::print_stdout, reason = "what the example is for")]
fn main() -> Result<(), Box<dyn Error>> {
    let uri = std::env::args().nth(1).unwrap_or("tcp://127.0.0.1:5557".into());
    let receiver = Receiver::subscriber().connect(&uri)?;
    let listening = Listener::new(receiver).translate(from_python).handler(Console::stdout()).start()?;
    std::io::stdin().read_line(&mut String::new())?;
    println!("{}", listening.stop(Duration::from_secs(5))?);
    Ok(())
}
