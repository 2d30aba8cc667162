//! A server as people write them: `axum` with `TraceLayer`, instrumented handlers and a library that uses `log`, under load.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use tower_http::trace::{DefaultMakeSpan, TraceLayer};
use treering::handler::Captured;

pub(crate) const CLIENTS: u64 = 8;
pub(crate) const REQUESTS: u64 = 150;

/// A library that knows nothing of spans.
mod library {
    pub(crate) fn look_up(id: u64) {
        log::info!(target: "library", "looked up {id}");
    }
}

#[tracing::instrument]
async fn order(Path(id): Path<u64>) -> String {
    tracing::info!(id, "begun");
    tokio::task::yield_now().await;
    library::look_up(id);
    let total = total(id).await;
    // Entered on one thread, closed on another.
    let span = tracing::info_span!("blocking", id);
    let handle = tokio::task::spawn_blocking(move || {
        let _in = span.enter();
        tracing::info!(id, "blocked");
    });
    handle.await.unwrap();
    tracing::info!(id, total, "done");
    total.to_string()
}

#[tracing::instrument(fields(total = tracing::field::Empty))]
async fn total(id: u64) -> u64 {
    tokio::time::sleep(Duration::from_micros(50)).await;
    tracing::Span::current().record("total", id * 2);
    tracing::info!(id, "summed");
    id * 2
}

fn client(address: SocketAddr, ids: impl Iterator<Item = u64>) {
    let mut stream = BufReader::new(TcpStream::connect(address).unwrap());
    for id in ids {
        write!(stream.get_mut(), "GET /order/{id} HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
        let mut length = 0;
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).unwrap();
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).unwrap();
        assert_eq!(body, (id * 2).to_string().as_bytes());
    }
}

/// Serves all requests; returns when the last answer was read and all spans are closed.
pub(crate) fn serve() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    let trace = TraceLayer::new_for_http().make_span_with(DefaultMakeSpan::new().level(tracing::Level::INFO));
    let app = Router::new().route("/order/{id}", get(order)).layer(trace);
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(async move { axum::serve(listener, app).await });
    std::thread::scope(|scope| {
        for thread in 0..CLIENTS {
            scope.spawn(move || client(address, (0..REQUESTS).map(|n| thread * REQUESTS + n)));
        }
    });
    runtime.shutdown_timeout(super::support::SOON);
}

/// The spans that a record must have around it, by the message and the number of its request.
pub(crate) fn expected(message: &str, id: u64) -> Vec<String> {
    let mut spans = vec![format!("request{{method=GET uri=/order/{id} version=HTTP/1.1}}")];
    if !message.ends_with("processing request") {
        spans.push(format!("order{{id={id}}}"));
    }
    match message {
        "blocked" => spans.push(format!("blocking{{id={id}}}")),
        "summed" => spans.push(format!("total{{id={id} total={}}}", id * 2)),
        _ => {}
    }
    spans
}

/// What it says, without what only its own request has.
pub(crate) fn message_of(record: &Captured) -> &str {
    record.message().split(" up ").next().unwrap()
}

/// The number of its request, if the record or its spans say so.
pub(crate) fn id_of(record: &Captured) -> Option<u64> {
    let of_path = |text: &str| text.rsplit(['/', ' ']).next().and_then(|id| id.parse().ok());
    let own = record.field("id").and_then(|id| id.as_u64());
    let of_library = (record.target() == "library").then(|| of_path(record.message())).flatten();
    let of_request = || of_path(record.spans().first()?.field("uri")?.text());
    own.or(of_library).or_else(of_request)
}
