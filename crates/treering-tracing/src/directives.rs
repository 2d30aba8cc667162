//! `RUST_LOG` with spans and fields in it, `info,[request{user=ann}]=debug`: all of it for events of `tracing`, and without those
//! directives for native calls and `log`, by one text.
//!
//! What a directive means to `tracing` is said by the `EnvFilter` of tracing-subscriber, which knows what is entered. It stands
//! before the layer and decides alone. The engine gets what is left, as it has no spans when it decides.

use std::sync::{Mutex, PoisonError};

use tracing_core::Subscriber;
use tracing_subscriber::filter::{Directive, EnvFilter, Filtered, LevelFilter};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer as _, reload};
use treering::Error;
use treering::front::{directives, refused_directive, take_span_directives, without_spans};

use crate::layer::Layer;

/// A [`Layer`] behind the directives of `RUST_LOG`, as [`Layer::with_env_filter`] makes it.
pub type EnvFiltered<S> = Filtered<Layer, reload::Layer<EnvFilter, S>, S>;

/// Gives a layer another filter; `false` if the layer is gone.
type Reload = Box<dyn Fn(&EnvFilter) -> bool + Send>;

/// One for each layer.
static RELOADS: Mutex<Vec<Reload>> = Mutex::new(Vec::new());

impl Layer {
    /// Events and spans go by the whole of `RUST_LOG`, spans and fields in it included, as tracing-subscriber's `EnvFilter` has
    /// them; native calls and records of `log` by what is left without those. Where it says nothing, `info` counts. Feature
    /// `env-filter`.
    ///
    /// It comes before [`treering::init`], which then leaves these directives to it; what is wrong with one is told as of any
    /// other. The engine's filter has no say in what passes here, whatever [`treering::Builder::filter`] and
    /// [`treering::set_filter`] say: both change by [`set_filter`].
    ///
    /// ```
    /// use tracing_subscriber::prelude::*;
    ///
    /// # fn main() -> Result<(), treering::Error> {
    /// // RUST_LOG='info,[request{user=ann}]=debug'
    /// tracing_subscriber::registry().with(treering_tracing::layer().with_env_filter()).init();
    /// let _guard = treering::init()?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_env_filter<S>(self) -> EnvFiltered<S>
    where
        S: Subscriber + for<'l> LookupSpan<'l> + 'static,
    {
        // What is not UTF-8 the engine tells of, and has `info` then, too.
        let text = std::env::var("RUST_LOG").unwrap_or_default();
        let (mut known, mut notes) = (Vec::new(), Vec::new());
        for directive in directives(&text) {
            match parse(directive) {
                Ok(directive) => known.push(directive),
                // The engine tells of others itself.
                Err(error) if without_spans(directive) == "off" => notes.push(error.to_string()),
                Err(_) => {}
            }
        }
        take_span_directives(notes);
        let (filter, handle) = reload::Layer::new(filter_of(known));
        let reload = move |filter: &EnvFilter| handle.reload(filter.clone()).is_ok();
        RELOADS.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(reload));
        self.into_judge().with_filter(filter)
    }
}

/// Another filter for the process-wide engine, and for all layers [`with_env_filter`](Layer::with_env_filter), instead of
/// [`treering::set_filter`], which knows native calls and `log` only. Feature `env-filter`.
///
/// Directives of spans count for those that are opened from now on: of a span that is open nobody remembers what it was opened
/// with.
///
/// # Errors
/// [`is_filter`](Error::is_filter) with the first directive that does not parse, and nothing changes. Those of
/// [`treering::set_filter`].
///
/// ```
/// # fn main() -> Result<(), treering::Error> {
/// # let _guard = treering::init()?;
/// treering_tracing::set_filter("warn,my_server::db=debug,[request{user=ann}]=trace")?;
/// assert!(treering_tracing::set_filter("[request{user=ann]=trace").unwrap_err().is_filter());
/// # Ok(())
/// # }
/// ```
pub fn set_filter(text: &str) -> Result<(), Error> {
    let filter = filter_of(directives(text).map(parse).collect::<Result<_, _>>()?);
    treering::set_filter(&without_spans(text))?;
    RELOADS.lock().unwrap_or_else(PoisonError::into_inner).retain(|reload| reload(&filter));
    Ok(())
}

/// A directive, and the text that it was.
fn parse(text: &str) -> Result<(&str, Directive), Error> {
    let refused = |error| refused_directive(text, &format!("`EnvFilter` says: {error}"));
    Ok((text, text.parse().map_err(refused)?))
}

/// As `EnvFilter` has them. It splits a text at each comma, those between two fields of a span included: directives that have one
/// are added to the others.
fn filter_of(directives: Vec<(&str, Directive)>) -> EnvFilter {
    let default = if directives.is_empty() { LevelFilter::INFO } else { LevelFilter::OFF };
    let (with_comma, others): (Vec<_>, Vec<_>) =
        directives.into_iter().partition(|(text, _)| text.contains(','));
    let others: Vec<_> = others.into_iter().map(|(text, _)| text).collect();
    let filter = EnvFilter::builder().with_default_directive(default.into()).parse_lossy(others.join(","));
    with_comma.into_iter().fold(filter, |filter, (_, directive)| filter.add_directive(directive))
}
