//! A handler, and what is said of it from outside: its name, its level, its filter, its lane.

use std::any::Any;
use std::fmt;

use super::{Batch, FlushPolicy, Handler, HandlerError, LaneOptions, Selects};
use crate::level::LevelFilter;
use crate::record::Record;

/// Says of a record whether it is wanted.
pub(crate) type Filter = Box<dyn FnMut(&Record<'_>) -> bool + Send>;

/// A handler with a [name](Handler::named), a [level](Handler::level), a [filter](Handler::filter), a
/// [flush policy](Handler::flush_policy) or a [lane](Handler::lane) that was given to it: what these methods return.
///
/// What the handler has of its own, such as [`File::format`](super::File::format), is set before these.
///
/// While it is attached to an engine all of these are the engine's, and [`HandlerControl`](crate::HandlerControl) changes
/// level and filter.
///
/// ```
/// use treering::{Level, handler::{Capture, Handler, Routed}};
///
/// let handler: Routed = Capture::new().filter(|record| record.target() == "audit").named("audit");
/// assert_eq!(handler.name(), "audit");
/// ```
pub struct Routed {
    pub(crate) handler: Box<dyn Selects>,
    name: Option<String>,
    /// Counts instead of the handler's own.
    level: Option<LevelFilter>,
    /// Counts beside the handler's own.
    pub(crate) filter: Option<Filter>,
    pub(crate) flush_policy: FlushPolicy,
    pub(crate) lane: Option<LaneOptions>,
}

impl Routed {
    /// This handler; one that is routed already as it is.
    pub(crate) fn of(handler: impl Handler + 'static) -> Self {
        let mut handler = Some(handler);
        let routed = (&mut handler as &mut dyn Any).downcast_mut::<Option<Routed>>();
        if let Some(routed) = routed.and_then(Option::take) {
            return routed;
        }
        match handler {
            Some(handler) => Routed {
                handler: Box::new(handler),
                name: None,
                level: None,
                filter: None,
                flush_policy: FlushPolicy::new(),
                lane: None,
            },
            None => unreachable!("only what is routed was taken"),
        }
    }

    pub(super) fn with_name(self, name: String) -> Self {
        Routed { name: Some(name), ..self }
    }

    pub(super) fn with_level(self, level: LevelFilter) -> Self {
        Routed { level: Some(level), ..self }
    }

    /// What both filters want, if it has one already.
    pub(super) fn with_filter(self, mut more: impl FnMut(&Record<'_>) -> bool + Send + 'static) -> Self {
        let filter: Filter = match self.filter {
            None => Box::new(more),
            Some(mut first) => Box::new(move |record| first(record) && more(record)),
        };
        Routed { filter: Some(filter), ..self }
    }

    pub(super) fn with_flush_policy(self, flush_policy: FlushPolicy) -> Self {
        Routed { flush_policy, ..self }
    }

    pub(super) fn with_lane(self, options: LaneOptions) -> Self {
        Routed { lane: Some(options), ..self }
    }

    /// In two: what decides which records it gets, in front of a lane whose entrance is `door`, and the handler behind it,
    /// which is called with whatever comes through.
    pub(crate) fn split(self, door: impl Handler + 'static) -> (Routed, Routed) {
        let Routed { handler, name, level, filter, flush_policy, lane } = self;
        let behind = Routed {
            handler,
            name: None,
            level: Some(LevelFilter::ALL),
            filter: None,
            flush_policy,
            lane: None,
        };
        (Routed { handler: Box::new(door), name, level, filter, flush_policy, lane }, behind)
    }

    pub(crate) fn set_level(&mut self, level: LevelFilter) {
        self.level = Some(level);
    }

    /// Returns the filter that it had.
    pub(crate) fn set_filter(&mut self, filter: Filter) -> Option<Filter> {
        self.filter.replace(filter)
    }
}

impl Handler for Routed {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        self.handler.handle(batch)
    }

    fn flush(&mut self) -> Result<(), HandlerError> {
        self.handler.flush()
    }

    fn close(&mut self) -> Result<(), HandlerError> {
        self.handler.close()
    }

    fn skipped(&mut self, records: u64) {
        self.handler.skipped(records);
    }

    fn tend(&mut self) -> Result<(), HandlerError> {
        self.handler.tend()
    }

    fn remark(&mut self, record: &Record<'_>) {
        self.handler.remark(record);
    }

    fn held(&self) -> u64 {
        self.handler.held()
    }

    fn kept(&self) -> u64 {
        self.handler.kept()
    }

    fn discarded(&mut self) -> u64 {
        self.handler.discarded()
    }

    fn diverted(&mut self) -> u64 {
        self.handler.diverted()
    }

    fn accepts(&mut self, record: &Record<'_>) -> bool {
        self.filter.as_mut().is_none_or(|filter| filter(record)) && self.handler.accepts(record)
    }

    fn max_level(&self) -> LevelFilter {
        self.level.unwrap_or_else(|| self.handler.max_level())
    }

    fn name(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.handler.name())
    }
}

impl fmt::Debug for Routed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Routed")
            .field("name", &self.name)
            .field("level", &self.level)
            .field("is_filtered", &self.filter.is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use crate::handler::{Capture, Handler};

    #[test]
    fn what_is_shown_of_it_says_its_name_and_whether_it_has_a_filter() {
        let plain = format!("{:?}", Capture::new().named("all"));
        let filtered = format!("{:?}", Capture::new().named("some").filter(|_| true));
        assert!(plain.contains("\"all\"") && plain.contains("is_filtered: false"), "{plain}");
        assert!(filtered.contains("\"some\"") && filtered.contains("is_filtered: true"), "{filtered}");
    }
}
