//! Each request of a server has a context, which its records show: on the thread that took it, on those that help, and in
//! tasks.
//!
//! ```text
//! cargo run --example context
//! ```

use std::task::Waker;
use std::thread;

use treering::handler::Console;
use treering::{Context, context, info, warn};

fn main() -> Result<(), treering::Error> {
    let _guard = treering::builder().handler(Console::stdout()).init()?;
    for (id, user) in [(7, "ann"), (8, "eve")] {
        let request = context!("request", id, user);
        let _in = request.enter();
        info!("begun"); // request{id=7 user=ann}: begun
        look_up("orders");
        run(request.attach(async { info!("in a task") }));
    }
    info!("no request any more");
    Ok(())
}

/// Knows nothing of requests, and is in one.
fn look_up(table: &str) {
    let query = context!("query", table);
    query.in_scope(|| info!(rows = 3, "asked")); // request{id=7 user=ann}:query{table=orders}: asked
    // A thread is in nothing of its own: it is handed what it helps with.
    let here = Context::current();
    thread::scope(|scope| {
        scope.spawn(|| here.in_scope(|| warn!("slow"))); // request{id=7 user=ann}: slow
    });
}

/// As a runtime would.
fn run(future: impl Future<Output = ()>) {
    let mut future = std::pin::pin!(future);
    while future.as_mut().poll(&mut std::task::Context::from_waker(Waker::noop())).is_pending() {}
}
