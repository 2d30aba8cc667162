//! What a log call costs the handler that makes it, measured around the call itself.
//!
//! By [`Instant`], which every Rust program has: two reads of the clock stand in every sample, and [`own`] says how
//! much that is. Samples go into memory that was reserved before; neither a lock nor a histogram stands between two
//! requests.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Instant;

use hdrhistogram::Histogram;

/// How often nothing is measured to know the clock.
const OWN_SAMPLES: u64 = 10_000;
/// A sample is cut here, at 4.29 s.
const NANOS_MAX: u64 = u32::MAX as u64;

/// All samples of a run, in the order they were taken.
#[derive(Debug)]
pub(crate) struct Cost {
    nanos: Box<[AtomicU32]>,
    taken: AtomicUsize,
}

impl Cost {
    pub(crate) fn with_room_for(samples: u64) -> Self {
        // Written, not only reserved: a page's first touch must not fall into a request.
        let nanos = (0..samples).map(|_| AtomicU32::new(1)).collect();
        Cost { nanos, taken: AtomicUsize::new(0) }
    }

    /// Makes the call and keeps how long it took.
    #[inline(always)]
    pub(crate) fn of(&self, call: impl FnOnce()) {
        let began = Instant::now();
        call();
        self.keep(began.elapsed().as_nanos());
    }

    /// How many samples there are.
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// Some of the samples, in nanoseconds.
    pub(crate) fn samples(&self, range: Range<usize>) -> impl Iterator<Item = u64> {
        self.nanos[range].iter().map(|nanos| u64::from(nanos.load(Ordering::Relaxed)))
    }

    #[inline(never)]
    fn keep(&self, nanos: u128) {
        let place = self.taken.fetch_add(1, Ordering::Relaxed);
        self.nanos[place].store(nanos.min(u128::from(NANOS_MAX)) as u32, Ordering::Relaxed);
    }
}

/// What measuring nothing says: the clock's own part in each sample.
pub(crate) fn own() -> Histogram<u64> {
    let cost = Cost::with_room_for(OWN_SAMPLES);
    (0..OWN_SAMPLES).for_each(|_| cost.of(|| {}));
    histogram(cost.samples(0..cost.taken()))
}

/// Three digits are kept of each sample.
pub(crate) fn histogram(samples: impl Iterator<Item = u64>) -> Histogram<u64> {
    let mut histogram = Histogram::new_with_bounds(1, NANOS_MAX, 3).expect("the bounds are in order");
    samples.for_each(|nanos| histogram.saturating_record(nanos.max(1)));
    histogram
}
