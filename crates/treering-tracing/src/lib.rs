//! Events and spans of `tracing` through the rings of [`treering`].
//!
//! ```
//! use tracing_subscriber::prelude::*;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! tracing_subscriber::registry().with(treering_tracing::layer()).init();
//! let _guard = treering::init()?; // RUST_LOG, text to stderr
//!
//! let request = tracing::info_span!("request", method = "GET", status = tracing::field::Empty);
//! request.in_scope(|| tracing::info!(rows = 3, "served"));
//! request.record("status", 200);
//! request.in_scope(|| tracing::info!("done")); // … INFO  request{method=GET status=200}: my_server: done
//! # Ok(())
//! # }
//! ```
//!
//! A caller copies the values of an event, with their types and the number of its span, into the ring of its thread, and
//! returns. Spans travel as records of their own: one that opens, one for each time that fields are recorded, one that
//! closes. The listener keeps what the open spans are called and which fields they have, and shows each record with the
//! spans it was logged in, in every format and every handler ([`Record::spans`](treering::record::Record::spans)).
//!
//! [docs/tracing.md] says what that guarantees, what it costs, and where it differs from `tracing_subscriber::fmt`.
//!
//! - [`layer()`] for the process-wide engine, [`Layer::to`] for another one.
//! - Feature `env-filter`: `Layer::with_env_filter` for `RUST_LOG` with spans and fields in it, and `set_filter`.
//! - [`non_blocking`] for programs that keep `tracing_subscriber::fmt` and want its lines written by treering.
//!
//! [docs/tracing.md]: https://github.com/treering/treering/blob/main/docs/tracing.md

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

#[cfg(feature = "env-filter")]
mod directives;
mod entered;
mod fields;
mod layer;
mod places;
mod span;
mod writer;

#[cfg(feature = "env-filter")]
pub use directives::{EnvFiltered, set_filter};
pub use layer::{Layer, layer};
pub use writer::{Lines, Writer, non_blocking};
