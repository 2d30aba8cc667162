//! Which records go where: a terminal for what matters, a file of JSON for everything of the program's but one noisy
//! module, a file for errors, with a fallback; and a tap that an operator adds while the program runs.
//!
//! ```text
//! cargo run --example routing
//! ```

use std::time::Duration;

use treering::format::Json;
use treering::handler::{Console, File, Handler};
use treering::{Level, debug, error, filter, info, warn};

const SOON: Duration = Duration::from_secs(5);

#[expect(clippy::print_stdout, reason = "what the example is for")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = std::env::temp_dir().join(format!("treering-routing-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let file = |name: &str| File::append(directory.join(name)).map(|file| file.format(Json::new()));

    let ours = filter::directives("off,routing=debug,shop=debug,shop::cache=off")?;
    let guard = treering::builder()
        .filter("debug")
        .handler(Console::stderr().level(Level::Warn))
        .handler(file("app.json")?.filter(ours).named("app"))
        // If errors cannot be written to their own device, which is always full here, they go to the other file.
        .handler(File::append("/dev/full")?.or(file("errors.json")?).level(Level::Error).named("errors"))
        .init()?;

    info!(target: "shop::orders", order = 7, venue = "XNAS", "filled");
    debug!(target: "shop::cache", key = "price/7", "hit"); // in no file
    warn!(target: "shop::orders", order = 8, "late"); // on the terminal, too
    error!(target: "shop::orders", order = 9, "refused"); // everywhere

    // An operator wants to know what the cache does, for a while.
    let handlers = treering::handlers()?;
    let cache = filter::directives("shop::cache")?;
    handlers.add(file("tap.json")?.filter(cache).named("tap"), SOON)?;
    debug!(target: "shop::cache", key = "price/8", "miss");
    handlers.remove("tap", SOON)?; // its file is closed now
    handlers.set_level("stderr", Level::Error, SOON)?;
    warn!(target: "shop::orders", order = 10, "late again"); // not on the terminal any more

    let report = guard.stop(SOON)?;
    for books in &report.handlers {
        println!("{books}");
    }
    for name in ["app.json", "errors.json", "tap.json"] {
        print!("\n{name}\n{}", std::fs::read_to_string(directory.join(name))?);
    }
    std::fs::remove_dir_all(directory)?;
    Ok(())
}
