//! What must not leave the process, and what every line shall have.
//!
//! ```text
//! cargo run --example redaction
//! ```

use treering::handler::Console;
use treering::{Encode, Level, Prepared, Secret, info, prepare, warn};

#[derive(Debug, Encode)]
struct Login {
    user: &'static str,
    #[encode(redact)] // not even in a ring
    password: &'static str,
}

fn main() -> Result<(), treering::Error> {
    let _guard = treering::builder()
        .prepare(prepare::redact(["card"])) // calls that are not ours to change
        .prepare(prepare::process())
        .prepare(|record| match record.level() {
            Level::Info if record.target() == "health" => Prepared::Drop("health checks"),
            _ => Prepared::Keep,
        })
        .handler(Console::stdout())
        .init()?;
    let card = "4111 1111 1111 1111";
    info!(card, "paid with {card}");
    info!(token = Secret("hunter2"), "session");
    let login = Login { user: "ann", password: "hunter3" };
    if login.password != "hunter2" {
        warn!(login, "refused");
    }
    info!(target: "health", "ok");
    Ok(())
}
