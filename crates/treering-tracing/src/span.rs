//! What a span keeps of itself in the registry: its number, and what could not be sent of it.

use std::time::{Duration, Instant};

use treering::front::{Made, Shape};

/// An open span, as one layer or several know it.
#[derive(Debug)]
pub(crate) struct Opened {
    /// Almost always there is one layer.
    first: Known,
    more: Vec<Known>,
}

/// An open span, as one layer knows it.
#[derive(Debug)]
pub(crate) struct Known {
    /// The layer's own.
    layer: u64,
    /// The span's, which no other span has, in this registry or another.
    pub(crate) id: u64,
    /// The record that opens it, if it found no room: sent again before the next record that needs it.
    pub(crate) unsent: Option<Unsent>,
    /// Kept where its close is told of.
    pub(crate) times: Option<Times>,
}

/// A record that is to be sent again.
#[derive(Debug)]
pub(crate) struct Unsent {
    pub(crate) shape: &'static Shape,
    pub(crate) record: Made,
}

/// How long a span was entered and how long it was not, so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) busy: Duration,
    pub(crate) idle: Duration,
    /// When it was entered or left last.
    since: Instant,
}

impl Times {
    pub(crate) fn begin() -> Self {
        Times { busy: Duration::ZERO, idle: Duration::ZERO, since: Instant::now() }
    }

    /// It is entered, or it ends.
    pub(crate) fn end_idle(&mut self) {
        let lap = self.lap();
        self.idle += lap;
    }

    /// It is left.
    pub(crate) fn end_busy(&mut self) {
        let lap = self.lap();
        self.busy += lap;
    }

    fn lap(&mut self) -> Duration {
        let now = Instant::now();
        now - std::mem::replace(&mut self.since, now)
    }
}

impl Known {
    pub(crate) fn new(layer: u64, id: u64, unsent: Option<Unsent>, times: Option<Times>) -> Self {
        Known { layer, id, unsent, times }
    }
}

impl Opened {
    pub(crate) fn new(first: Known) -> Self {
        Opened { first, more: Vec::new() }
    }

    pub(crate) fn add(&mut self, known: Known) {
        self.more.push(known);
    }

    #[inline]
    pub(crate) fn by(&self, layer: u64) -> Option<&Known> {
        if self.first.layer == layer {
            Some(&self.first)
        } else {
            self.more.iter().find(|known| known.layer == layer)
        }
    }

    pub(crate) fn by_mut(&mut self, layer: u64) -> Option<&mut Known> {
        if self.first.layer == layer {
            return Some(&mut self.first);
        }
        self.more.iter_mut().find(|known| known.layer == layer)
    }
}
