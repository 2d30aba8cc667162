//! The layer: what `tracing` tells it becomes records.
//!
//! A span has a number of our own, as the registry gives its numbers again: what is not known of a span is then not known, and
//! never another span's. Its open is sent with the room that is kept for severe records. If it found none all the same the
//! layer keeps it, and sends it again before the next record of the span, or of one inside it.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Event, Subscriber};
use tracing_log::NormalizeEvent;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, SpanRef};
use treering::Logger;
use treering::front::{Made, Says, Sent, Site, make, next_span};

use crate::entered;
use crate::fields::{AsText, Fields, fits};
use crate::places::{Known, others_of, place};
use crate::span::{self, Opened, Times, Unsent};

static LAYERS: AtomicU64 = AtomicU64::new(0);

/// A layer whose events and spans go to the process-wide engine, that of [`treering::init`].
///
/// ```
/// use tracing_subscriber::prelude::*;
/// let subscriber = tracing_subscriber::registry().with(treering_tracing::layer());
/// ```
pub fn layer() -> Layer {
    Layer {
        to: None,
        number: LAYERS.fetch_add(1, Ordering::Relaxed),
        unsent: AtomicUsize::new(0),
        told: FmtSpan::NONE,
        is_judge: false,
    }
}

/// Sends events and spans to an engine of treering, as [`layer()`] and [`Layer::to`] say.
///
/// The engine's filter decides what is sent: one table for `tracing`, `log` and native calls, reloaded by
/// [`treering::set_filter`]. A span that is off is not there: its events show the spans around it. Filters of the layer's own
/// ([`with_filter`](tracing_subscriber::Layer::with_filter)) come before, and what passes both is sent; but for
/// `with_env_filter`, which decides alone.
///
/// What an event costs, on a thread that has logged before: the values are copied, with their types; what has no type of
/// its own is formatted at the call. No lock of ours, and no allocation but for the first event of a callsite. To open a span
/// allocates once, as the registry keeps its number.
#[derive(Debug)]
pub struct Layer {
    to: Option<Logger>,
    /// Tells layers of one subscriber apart.
    number: u64,
    /// How many open spans have an open that is to be sent again.
    unsent: AtomicUsize,
    /// The events of spans' lives that are records.
    told: FmtSpan,
    /// A filter of `tracing` decides alone, the engine's is not asked.
    is_judge: bool,
}

impl Layer {
    /// A layer whose events and spans go to this engine.
    ///
    /// ```
    /// use tracing_subscriber::prelude::*;
    ///
    /// # fn main() -> Result<(), treering::Error> {
    /// let capture = treering::handler::Capture::new();
    /// let (logger, guard) = treering::builder().handler(capture.clone()).start()?;
    /// let subscriber = tracing_subscriber::registry().with(treering_tracing::Layer::to(logger));
    /// tracing::subscriber::with_default(subscriber, || {
    ///     tracing::info_span!("request", id = 7).in_scope(|| tracing::info!(rows = 3, "served"));
    /// });
    /// guard.stop(std::time::Duration::from_secs(5))?;
    /// let record = &capture.records()[0];
    /// assert_eq!((record.message(), record.spans()[0].name()), ("served", "request"));
    /// assert_eq!(record.spans()[0].field("id").unwrap().as_u64(), Some(7));
    /// # Ok(())
    /// # }
    /// ```
    pub fn to(logger: Logger) -> Layer {
        Layer { to: Some(logger), ..layer() }
    }

    /// Which events of a span's life are records, as in `fmt`: `new`, `enter`, `exit` and `close`, with the level and the target
    /// of the span, in which they are. A `close` says `time.busy` and `time.idle`, how long the span was entered and how long
    /// it was not. Default: none.
    ///
    /// Cost: a record each; of those of `ENTER`, `EXIT` and `CLOSE` a look at the span in the registry whenever one is entered or
    /// left.
    ///
    /// ```
    /// use tracing_subscriber::fmt::format::FmtSpan;
    /// let layer = treering_tracing::layer().with_span_events(FmtSpan::NEW | FmtSpan::CLOSE);
    /// ```
    #[must_use]
    pub fn with_span_events(mut self, events: FmtSpan) -> Layer {
        self.told = events;
        self
    }

    /// The same with a filter before it that decides alone.
    #[cfg(feature = "env-filter")]
    pub(crate) fn into_judge(self) -> Layer {
        Layer { is_judge: true, ..self }
    }

    /// Makes a record of which the engine's filter is asked, or not.
    #[inline]
    fn make<R>(&self, says: Option<Says>, work: impl FnOnce(&mut Made) -> R) -> R {
        make(says, |made| {
            self.begin(made);
            work(made)
        })
    }

    #[inline]
    fn begin(&self, made: &mut Made) {
        if self.is_judge {
            made.judge();
        }
    }

    #[inline]
    fn is_enabled(&self, site: &Site) -> bool {
        self.is_judge || site.is_enabled()
    }

    fn tells(&self, event: FmtSpan) -> bool {
        self.told.clone() & event != FmtSpan::NONE
    }

    fn is_instance(&self) -> bool {
        self.to.is_some()
    }

    /// The number of the innermost of these spans that the engine knows, or was told of.
    fn number_of<'a, S>(&self, span: Option<SpanRef<'a, S>>) -> Option<u64>
    where
        S: Subscriber + for<'l> LookupSpan<'l>,
    {
        let mut next = span;
        while let Some(span) = next {
            if let Some(known) = span.extensions().get::<Opened>().and_then(|opened| opened.by(self.number)) {
                return Some(known.id);
            }
            next = span.parent();
        }
        None
    }

    /// The number of the span that an event is in, which the engine is told of now if it was not.
    #[inline]
    fn number_around<S>(&self, event: &Event<'_>, context: &Context<'_, S>) -> Option<u64>
    where
        S: Subscriber + for<'l> LookupSpan<'l>,
    {
        let look_up = || self.number_of(context.event_span(event));
        // Relaxed: who is in a span that another thread opened was handed it, and with it this.
        if self.unsent.load(Ordering::Relaxed) > 0
            && let Some(span) = context.event_span(event)
        {
            self.send_again(&span);
        }
        if event.is_contextual() { entered::number(self.number, look_up) } else { look_up() }
    }

    /// Sends the opens again that found no room, of this span and of those around it.
    #[inline]
    fn catch_up<S>(&self, span: Option<&SpanRef<'_, S>>)
    where
        S: Subscriber + for<'l> LookupSpan<'l>,
    {
        if self.unsent.load(Ordering::Relaxed) > 0
            && let Some(span) = span
        {
            self.send_again(span);
        }
    }

    #[cold]
    fn send_again<S>(&self, span: &SpanRef<'_, S>)
    where
        S: Subscriber + for<'l> LookupSpan<'l>,
    {
        for span in span.scope().from_root() {
            let unsent = |to: Option<Unsent>| {
                let mut extensions = span.extensions_mut();
                let known = extensions.get_mut::<Opened>().and_then(|opened| opened.by_mut(self.number))?;
                std::mem::replace(&mut known.unsent, to)
            };
            // Nothing is locked while it is sent: an overflow policy may log.
            let Some(open) = unsent(None) else { continue };
            if open.shape.send(self.to.as_ref(), &open.record) == Sent::Lost {
                unsent(Some(open));
            } else {
                self.unsent.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    /// Where an event comes from: its callsite's place, or what a record of `log` says. `None` if there is no room.
    #[inline]
    fn site_of(&self, known: &Known, event: &Event<'_>) -> Option<&'static Site> {
        if !known.is_of_log {
            return Some(known.site);
        }
        let metadata = event.normalized_metadata();
        Site::at(&place(metadata.as_ref().unwrap_or_else(|| event.metadata())), self.is_instance())
    }

    /// Sends an event of a callsite, from the place where `site` is. `false` if there is no room for its shape.
    #[inline]
    fn send_event(&self, known: &Known, site: &'static Site, says: Option<Says>, event: &Event<'_>) -> bool {
        self.make(says, |made| {
            if known.is_of_log {
                let mut fields = Fields::<true>::new(made);
                event.record(&mut fields);
                self.send_taken(known, site, &fields)
            } else {
                let mut fields = Fields::<false>::new(made);
                event.record(&mut fields);
                self.send_taken(known, site, &fields)
            }
        })
    }

    #[inline]
    fn send_taken<const OF_LOG: bool>(
        &self,
        known: &Known,
        site: &'static Site,
        fields: &Fields<'_, OF_LOG>,
    ) -> bool {
        let (made, positions) = fields.taken();
        let shape = known.shape(site, made, positions);
        shape.map(|shape| shape.send(self.to.as_ref(), made)).is_some()
    }

    /// Sends an event with more fields than a record keeps typed. `false` if there is no room for its shape.
    #[cold]
    fn send_wide(&self, known: &Known, says: Option<Says>, event: &Event<'_>) -> bool {
        self.make(says, |made| {
            let [message, fields] = AsText::both(event);
            made.text(format_args!("{message}"));
            made.text(format_args!("{fields}"));
            known.wide(made).map(|shape| shape.send(self.to.as_ref(), made)).is_some()
        })
    }

    /// Sends an event of a callsite, or of a place of `log`'s, that is not in a table.
    #[cold]
    fn send_other(&self, says: Option<Says>, event: &Event<'_>) {
        let normalized = event.normalized_metadata();
        let at = place(normalized.as_ref().unwrap_or_else(|| event.metadata()));
        let [message, fields] = AsText::both(event);
        let others = others_of(self.is_instance());
        let begin = |made: &mut Made| self.begin(made);
        others.send(self.to.as_ref(), &at, says, begin, format_args!("{message}"), format_args!("{fields}"));
    }

    /// Makes the record that opens a span and sends it. Returns it if it found no room; `None` if nobody wants it.
    fn open(&self, known: &Known, says: Says, attributes: &Attributes<'_>) -> Option<Option<Unsent>> {
        self.make(Some(says), |made| {
            let mut fields = Fields::<false>::new(made);
            attributes.record(&mut fields);
            let (made, positions) = fields.taken();
            // Without room for its shape the span stays unknown.
            let Some(shape) = known.shape(known.site, made, positions) else { return Some(None) };
            match shape.send(self.to.as_ref(), made) {
                Sent::Placed => Some(None),
                Sent::Unwanted => None,
                Sent::Lost => Some(Some(Unsent { shape, record: made.clone() })),
            }
        })
    }

    /// Sends an event of a span's life.
    fn tell_life(&self, known: &Known, id: u64, what: &str, times: Option<Times>) {
        self.make(Some(Says::In(id)), |made| {
            made.str(what);
            if let Some(Times { busy, idle, .. }) = times {
                made.text(format_args!("{busy:.2?}"));
                made.text(format_args!("{idle:.2?}"));
            }
            known.life(made).map(|shape| shape.send(self.to.as_ref(), made));
        });
    }

    /// A span was entered or left, which may be told of, and counts in its times.
    fn pass<S>(&self, id: &Id, context: &Context<'_, S>, pass: (FmtSpan, &str, fn(&mut Times)))
    where
        S: Subscriber + for<'l> LookupSpan<'l>,
    {
        let (event, what, count) = pass;
        let is_told = self.tells(event);
        if !is_told && !self.tells(FmtSpan::CLOSE) {
            return;
        }
        let Some(span) = context.span(id) else { return };
        self.catch_up(Some(&span));
        let mut extensions = span.extensions_mut();
        let Some(here) = extensions.get_mut::<Opened>().and_then(|opened| opened.by_mut(self.number)) else {
            return;
        };
        here.times.iter_mut().for_each(count);
        let number = here.id;
        drop(extensions);
        if is_told && let Some(known) = Known::of(span.metadata(), self.is_instance()) {
            self.tell_life(known, number, what, None);
        }
    }

    /// Sends what a span says of itself while it is open.
    fn tell(&self, known: &Known, says: Says, record: impl FnOnce(&mut Fields<'_, false>)) {
        self.make(Some(says), |made| {
            let mut fields = Fields::<false>::new(made);
            record(&mut fields);
            let (made, positions) = fields.taken();
            if let Some(shape) = known.shape(known.site, made, positions) {
                shape.send(self.to.as_ref(), made);
            }
        });
    }
}

impl<S> tracing_subscriber::Layer<S> for Layer
where
    S: Subscriber + for<'l> LookupSpan<'l>,
{
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let known = Known::of(event.metadata(), self.is_instance());
        let from = known.and_then(|known| Some((known, self.site_of(known, event)?)));
        if from.is_some_and(|(_, site)| !self.is_enabled(site)) {
            return;
        }
        let says = self.number_around(event, &context).map(Says::In);
        let is_sent = from.is_some_and(|(known, site)| {
            if fits(event) {
                self.send_event(known, site, says, event)
            } else {
                self.send_wide(known, says, event)
            }
        });
        if !is_sent {
            self.send_other(says, event);
        }
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(known) = Known::of(attributes.metadata(), self.is_instance()) else { return };
        if !self.is_enabled(known.site) {
            return;
        }
        let Some(span) = context.span(id) else { return };
        // Not what the thread is in: that may be a span that is off here, whose parent was named.
        let parent = span.parent();
        self.catch_up(parent.as_ref());
        let (parent, id) = (self.number_of(parent).unwrap_or(0), next_span());
        let Some(unsent) = self.open(known, Says::Opens { id, parent }, attributes) else { return };
        self.unsent.fetch_add(usize::from(unsent.is_some()), Ordering::Relaxed);
        let times = self.tells(FmtSpan::CLOSE).then(Times::begin);
        let here = span::Known::new(self.number, id, unsent, times);
        let mut extensions = span.extensions_mut();
        match extensions.get_mut::<Opened>() {
            Some(opened) => opened.add(here),
            None => extensions.insert(Opened::new(here)),
        }
        drop(extensions);
        if self.tells(FmtSpan::NEW) {
            self.tell_life(known, id, "new", None);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        self.catch_up(Some(&span));
        let number =
            span.extensions().get::<Opened>().and_then(|opened| opened.by(self.number)).map(|known| known.id);
        if let (Some(number), Some(known)) = (number, Known::of(span.metadata(), self.is_instance())) {
            self.tell(known, Says::Records(number), |fields| values.record(fields));
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        entered::enter(self.number, id);
        self.pass(id, &context, (FmtSpan::ENTER, "enter", Times::end_idle));
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        entered::exit(self.number, id);
        self.pass(id, &context, (FmtSpan::EXIT, "exit", Times::end_busy));
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        if self.tells(FmtSpan::CLOSE) {
            self.catch_up(Some(&span));
        }
        let mut extensions = span.extensions_mut();
        let Some(known) = extensions.get_mut::<Opened>().and_then(|opened| opened.by_mut(self.number)) else {
            return;
        };
        if known.unsent.take().is_some() {
            // Nobody was told that it was open.
            self.unsent.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        known.times.iter_mut().for_each(Times::end_idle);
        let (number, times) = (known.id, known.times);
        drop(extensions);
        if let Some(known) = Known::of(span.metadata(), self.is_instance()) {
            if times.is_some() {
                self.tell_life(known, number, "close", times);
            }
            self.tell(known, Says::Closes(number), |_| ());
        }
    }
}
