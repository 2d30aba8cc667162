//! What an operator does while the program runs: hear more for a while, change what is heard for good, look at the books.
//!
//! ```text
//! cargo run --example operator
//! ```

use std::time::Duration;

use treering::{debug, info, trace};

#[expect(clippy::print_stdout, reason = "what the example is for")]
fn main() -> Result<(), treering::Error> {
    let guard =
        treering::builder().default_filter("info").handler(treering::handler::Console::stdout()).init()?;
    debug!("not heard");

    // From an endpoint, say. Nobody has to remember to turn it down again.
    treering::set_filter_for("info,operator=trace", Duration::from_millis(100))?;
    trace!("heard for a while");
    while treering::flush(Duration::from_secs(5)).is_ok() {
        std::thread::sleep(Duration::from_millis(200));
        let before = treering::stats()?.submitted;
        trace!("heard for a while");
        if treering::stats()?.submitted == before {
            break;
        }
    }

    treering::set_filter("debug")?;
    debug!("heard from now on");
    match treering::set_filter("debug,my_server=loud") {
        Ok(()) => unreachable!(),
        Err(error) => info!(error, "nothing was changed"),
    }

    println!("{}", guard.stop(Duration::from_secs(5))?);
    Ok(())
}
