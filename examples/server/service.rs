//! The server: a few lines of axum, with the log calls that any server would have.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::get;
use tokio::net::TcpListener;
use tower_http::classify::{ServerErrorsAsFailures, SharedClassifier};
use tower_http::trace::{DefaultMakeSpan, DefaultOnRequest, DefaultOnResponse, TraceLayer};
use treering::{error, info, warn};

use crate::cost::Cost;

/// What all requests share.
#[derive(Debug)]
struct Shop {
    requests: AtomicU64,
    cost: Arc<Cost>,
}

/// Serves on a free port of the loopback interface until the runtime ends.
pub(crate) async fn serve(cost: Arc<Cost>) -> io::Result<SocketAddr> {
    let shop = Arc::new(Shop { requests: AtomicU64::new(0), cost });
    let router = Router::new()
        .route("/orders/{number}", get(order))
        .merge(Router::new().route("/stock/{number}", get(stock)).layer(trace()))
        .layer(middleware::from_fn_with_state(shop.clone(), log_request))
        .with_state(shop);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async { axum::serve(listener, router).await });
    Ok(address)
}

/// As a server of `tracing` has it: a span around each request, and an event before and after it.
fn trace() -> TraceLayer<SharedClassifier<ServerErrorsAsFailures>> {
    TraceLayer::new_for_http()
        .make_span_with(DefaultMakeSpan::new().level(tracing::Level::INFO))
        .on_request(DefaultOnRequest::new().level(tracing::Level::INFO))
        .on_response(DefaultOnResponse::new().level(tracing::Level::INFO))
}

/// Logs each request when its answer is known, before it is sent.
async fn log_request(State(shop): State<Arc<Shop>>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = shop.requests.fetch_add(1, Ordering::Relaxed);
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let response = next.run(request).await;
    let (status, duration) = (response.status().as_u16(), began.elapsed());
    shop.cost.of(|| {
        info!(id, method = method.as_str(), path = uri.path(), status, duration, "request");
    });
    response
}

/// Most orders are known, every hundredth is not, and now and then the warehouse is asleep.
async fn order(State(shop): State<Arc<Shop>>, Path(number): Path<u64>) -> Result<String, StatusCode> {
    match number % 1_000 {
        999 => {
            shop.cost.of(|| error!(order = number, "the warehouse does not answer"));
            Err(StatusCode::SERVICE_UNAVAILABLE)
        }
        rest if rest % 100 == 99 => {
            shop.cost.of(|| warn!(order = number, "no such order"));
            Err(StatusCode::NOT_FOUND)
        }
        _ => Ok(format!("order {number}: three planks of oak\n")),
    }
}

/// How many lines and records of spans a request for stock makes beside its own line, by `tracing` and by `log`.
pub(crate) const FOREIGN_LINES: u64 = 4;
pub(crate) const FOREIGN_SPAN_RECORDS: u64 = 4;

/// What has come from elsewhere and logs by `tracing` and by `log`: it comes out among the rest.
#[tracing::instrument]
async fn stock(Path(number): Path<u64>) -> String {
    let planks = warehouse::planks(number);
    tracing::info!(planks, "counted");
    format!("order {number}: {planks} planks in stock\n")
}

/// A library that knows nothing of treering.
mod warehouse {
    pub(crate) fn planks(number: u64) -> u64 {
        log::info!(target: "warehouse", "asked for order {number}");
        number % 17
    }
}
