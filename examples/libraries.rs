//! What libraries say through the crate `log` goes where the program's own records go.
//!
//! ```text
//! cargo run --example libraries --features log
//! ```

use treering::handler::Console;
use treering::{format, info};

/// Stands for a library.
mod library {
    pub(crate) fn connect(host: &str) {
        log::info!(host, attempt = 1; "connecting");
        log::debug!("resolved");
    }
}

fn main() -> Result<(), treering::Error> {
    let _guard = treering::builder()
        .default_filter("info,libraries::library=debug")
        .handler(Console::stdout().format(format::Logfmt::new()))
        .init()?; // installs itself as `log`'s logger
    info!("started");
    library::connect("example.org");
    Ok(())
}
