//! Structs and enums as they are: copied at the call, formatted later, and objects in JSON.
//!
//! ```text
//! cargo run --example own_types
//! ```

use treering::handler::Console;
use treering::{Encode, format, info};

#[derive(Debug, Encode)]
struct Order {
    id: u64,
    venue: String,
    side: Side,
    #[encode(skip)]
    _state: std::sync::Mutex<()>,
}

#[derive(Debug, Encode)]
enum Side {
    Buy,
    Sell { short: bool },
}

fn main() -> Result<(), treering::Error> {
    let _guard = treering::builder()
        .handler(Console::stdout())
        .handler(Console::stdout().format(format::Json::new()))
        .init()?;
    let order = Order { id: 7, venue: "XNAS".into(), side: Side::Sell { short: true }, _state: ().into() };
    info!(order, "filled");
    info!(side = Side::Buy, "the other side of {order:?}");
    Ok(())
}
