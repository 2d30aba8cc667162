//! A web server whose requests are spans: JSON in a file that rolls, `RUST_LOG` with spans and fields in it, records of
//! libraries that use `log`, and an end that drains.
//!
//! ```text
//! RUST_LOG='info,[order{id=7}]=debug,tower_http=debug' cargo run -p treering-tracing --example web
//! curl localhost:8080/orders/7; kill -TERM $(pgrep web)
//! ```
//! Its dependencies: `axum`, `tokio` (`macros`, `net`, `rt-multi-thread`, `signal`), `tower-http` (`trace`), `tracing`, `log`,
//! `tracing-log`, `tracing-subscriber` without its default features, `treering`, `treering-tracing` (`env-filter`).
//!
//! What libraries say through `log` becomes events, with spans, so treering's feature `log` is left out; and the server waits for
//! SIGTERM by itself, so `stop_on_signals` is, too.

use axum::{Router, extract::Path, routing::get};
use tokio::signal::unix::{SignalKind, signal};
use tower_http::trace::TraceLayer;
use tracing_subscriber::prelude::*;
use treering::format::Json;
use treering::handler::{File, Rotation};

// An argument that is taken apart would be kept as text, and `[order{id=7}]` looks for a number.
#[tracing::instrument(skip_all, fields(id = id))]
async fn order(Path(id): Path<u64>) -> String {
    tracing::debug!("looked up");
    tracing::info!(rows = 3, "served");
    log::info!("so say libraries");
    format!("order {id}\n")
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rotation = Rotation::new().daily().at_bytes(100 << 20).keep_files(14);
    let file = File::options().create_directories(true).rotate(rotation).open("logs/app.log")?;
    // With the default features of tracing-subscriber leave this line out: `init()` below does it then, and panics where it was done.
    tracing_log::LogTracer::init()?;
    tracing_subscriber::registry().with(treering_tracing::layer().with_env_filter()).init(); // all of RUST_LOG
    // The guard is left to the end of `main`: what tasks log while the server ends is in the file, too.
    let _guard = treering::builder().handler(file.format(Json::new())).init()?;

    // Its own span is DEBUG, of the target `tower_http::trace::make_span`; `make_span_with` has it at INFO.
    let app = Router::new().route("/orders/{id}", get(order)).layer(TraceLayer::new_for_http());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    tracing::info!(address = %listener.local_addr()?, "listening");
    let mut terminate = signal(SignalKind::terminate())?;
    let ends = async move {
        terminate.recv().await;
    };
    axum::serve(listener, app).with_graceful_shutdown(ends).await?;
    tracing::info!("ends");
    Ok(())
}
