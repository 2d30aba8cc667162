//! Limits at a call: one of so many, once, so many in a while, a sample.
//!
//! A limit is a static beside its callsite; callsites without one pay nothing. It is asked behind the gate and before
//! the arguments are evaluated, so a call that it keeps back costs an atomic or two and was never *submitted*. What it
//! kept back it counts: the next record that passes carries the number (`suppressed`), the stop of the engine tells of
//! the rest, and every [`Report`](crate::Report) has the sum.
//!
//! ```text
//!   LIMITS ──► Limit ──► Limit ──► …      those that ever kept a call back, the newest first
//! ```
//! The list only grows, see `grow`: a limit works in signal handlers and behind `fork`.
#![allow(clippy::exhaustive_structs, reason = "the expansion of a call makes them")]

use std::time::Duration;

use crate::callsite::{Dictionary, Metadata};
use crate::clock;
use crate::grow::{Linked, List};
use crate::stats::KeptBack;
use crate::sync::{AtomicRef, AtomicU64, Ordering};

/// The limits that ever kept a call back.
static LIMITS: List<Limit> = List::new();
/// In a child of `fork`: what was kept back in its parent.
static BEFORE_FORK: AtomicU64 = AtomicU64::new(0);

/// The engine of calls without `logger:`; engines are numbered from 1.
pub(crate) const PROCESS_WIDE: u64 = 0;

/// See the module's documentation.
#[derive(Debug)]
pub struct Limit {
    rule: Rule,
    metadata: &'static Metadata<'static>,
    /// Calls so far, or the window of `at_most:`; see [`Rule::lets_through`].
    state: AtomicU64,
    kept_back: KeptBack,
    /// Of a callsite with `logger:`, the engine of the call that was kept back last.
    engine: AtomicU64,
    next: AtomicRef<Limit>,
}

impl Linked for Limit {
    fn next(&self) -> &AtomicRef<Limit> {
        &self.next
    }
}

#[derive(Clone, Copy, Debug)]
enum Rule {
    /// The first of so many calls.
    Every(u64),
    /// The first call, if asked for.
    Once(bool),
    /// So many calls in a window, which the first of them opens and which is [`WINDOW_UNITS`] long.
    AtMost { calls: u64, unit_nanos: u64 },
    /// Calls whose draw is at most this.
    Sample(u64),
}

/// The time of a window lies in one word with its calls: so it is counted in parts of the window.
const WINDOW_UNITS: u64 = 1 << 20;
/// Bits of that word that count calls; the others say when the window opened.
const CALLS_BITS: u32 = 24;
const CALLS_MAX: u64 = (1 << CALLS_BITS) - 1;

impl Limit {
    /// `every: calls`
    ///
    /// # Panics
    /// If `calls` is 0; at compile time, as it stands in a static.
    #[track_caller]
    pub const fn every(metadata: &'static Metadata<'static>, calls: u64) -> Self {
        assert!(calls > 0, "`every:` takes a number from 1 upwards");
        Limit::new(metadata, Rule::Every(calls))
    }

    /// `once: yes`
    pub const fn once(metadata: &'static Metadata<'static>, yes: bool) -> Self {
        Limit::new(metadata, Rule::Once(yes))
    }

    /// `at_most: (calls, window)`
    ///
    /// # Panics
    /// If the window or the number cannot be; at compile time.
    #[track_caller]
    pub const fn at_most(metadata: &'static Metadata<'static>, (calls, window): (u32, Duration)) -> Self {
        let calls = calls as u64;
        assert!(calls > 0 && calls <= CALLS_MAX, "`at_most:` takes from 1 to 16,777,215 calls");
        let nanos = window.as_nanos();
        assert!(nanos > 0 && nanos < u64::MAX as u128, "`at_most:` takes a time from 1 ns to 584 years");
        // Rounded up: no window is shorter than it was asked for.
        let unit_nanos = (nanos as u64).div_ceil(WINDOW_UNITS);
        Limit::new(metadata, Rule::AtMost { calls, unit_nanos })
    }

    /// `sample: share`
    ///
    /// # Panics
    /// If the share is not above 0 and at most 1; at compile time.
    #[track_caller]
    pub const fn sample(metadata: &'static Metadata<'static>, share: f64) -> Self {
        assert!(share > 0.0 && share <= 1.0, "`sample:` takes a share above 0 and up to 1");
        // 1 becomes the largest number, which every draw is up to.
        Limit::new(metadata, Rule::Sample((share * u64::MAX as f64) as u64))
    }

    const fn new(metadata: &'static Metadata<'static>, rule: Rule) -> Self {
        Limit {
            rule,
            metadata,
            state: AtomicU64::new(0),
            kept_back: KeptBack::new(),
            engine: AtomicU64::new(PROCESS_WIDE),
            next: AtomicRef::none(),
        }
    }

    /// A call to this engine: how many were kept back and not told of before it, if it passes.
    pub(crate) fn pass(&'static self, engine: u64) -> Option<u64> {
        if self.rule.lets_through(&self.state, std::ptr::from_ref(self) as u64) {
            return Some(self.kept_back.tell());
        }
        if engine != PROCESS_WIDE {
            self.engine.store(engine, Ordering::Relaxed);
        }
        if self.kept_back.add() {
            LIMITS.push(self);
        }
        None
    }

    /// Where the call stands.
    pub(crate) fn metadata(&self) -> &'static Metadata<'static> {
        self.metadata
    }

    /// Whether the end of this engine is where the rest is told of.
    fn belongs_to(&self, engine: u64, is_global: bool) -> bool {
        if self.metadata.instance { self.engine.load(Ordering::Relaxed) == engine } else { is_global }
    }
}

impl Rule {
    /// Whether one more call passes.
    fn lets_through(self, state: &AtomicU64, seed: u64) -> bool {
        match self {
            Rule::Every(calls) => state.fetch_add(1, Ordering::Relaxed).is_multiple_of(calls),
            // A load first: calls of many threads that are kept back share the line then.
            Rule::Once(yes) => {
                !yes || state.load(Ordering::Relaxed) == 0 && state.swap(1, Ordering::Relaxed) == 0
            }
            Rule::AtMost { calls, unit_nanos } => {
                // Acquire: the time is read after the window's beginning, so that it is not before it.
                let enter = |window| enter(window, clock::monotonic_nanos() / unit_nanos, calls);
                state.try_update(Ordering::Release, Ordering::Acquire, enter).is_ok()
            }
            Rule::Sample(share) => draw(state.fetch_add(1, Ordering::Relaxed).wrapping_add(seed)) <= share,
        }
    }
}

/// The window with one call more, or a new one; `None` if it is full.
fn enter(window: u64, now: u64, calls: u64) -> Option<u64> {
    let (begun, entered) = (window >> CALLS_BITS, window & CALLS_MAX);
    let age = now.wrapping_sub(begun) & (u64::MAX >> CALLS_BITS);
    if entered == 0 || age >= WINDOW_UNITS {
        return Some(now << CALLS_BITS | 1);
    }
    (entered < calls).then_some(window + 1)
}

/// A number that the next ones tell nothing of: SplitMix64.
fn draw(ticket: u64) -> u64 {
    let mut bits = ticket.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// How many calls were kept back in this process.
pub(crate) fn suppressed() -> u64 {
    let sum: u64 = LIMITS.iter().map(|limit| limit.kept_back.count()).sum();
    sum - BEFORE_FORK.load(Ordering::Relaxed)
}

/// What was kept back from an engine that ends, and was not told of yet.
pub(crate) fn untold(
    engine: u64,
    dictionary: &'static Dictionary,
) -> impl Iterator<Item = (&'static Metadata<'static>, u64)> {
    let is_global = LIMITS.iter().next().is_some() && dictionary.is_global(engine);
    LIMITS
        .iter()
        .filter(move |limit| limit.belongs_to(engine, is_global))
        .map(|limit| (limit.metadata(), limit.kept_back.tell()))
        .filter(|(_, suppressed)| *suppressed > 0)
}

/// In a child of `fork`: what its parent kept back is the parent's to tell.
pub(crate) fn begin() {
    let sum = LIMITS.iter().map(|limit| {
        limit.kept_back.tell();
        limit.kept_back.count()
    });
    BEFORE_FORK.store(sum.sum(), Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_begins_with_its_first_call_and_ends_by_its_length() {
        let at = |now: u64| (now << CALLS_BITS) | 1;
        assert_eq!(enter(0, 7, 2), Some(at(7)), "the first call ever");
        let full = enter(at(7), 8, 2).unwrap();
        assert_eq!(enter(full, 7 + WINDOW_UNITS - 1, 2), None);
        assert_eq!(enter(full, 7 + WINDOW_UNITS, 2), Some(at(7 + WINDOW_UNITS)));
        // The clock's high bits do not fit beside the count.
        let late = u64::MAX >> CALLS_BITS;
        assert_eq!(enter(at(late), late + 1, 1), None);
        assert_eq!(enter(at(late), late + WINDOW_UNITS, 1), Some(at(late + WINDOW_UNITS)));
    }

    #[test]
    fn as_many_pass_in_a_window_as_it_says_though_threads_meet() {
        const CALLS: u64 = 1_000_000;
        // Of 52 days.
        let (window, state) = (Rule::AtMost { calls: 2 * CALLS, unit_nanos: 1 << 32 }, AtomicU64::new(0));
        let passed: u64 = std::thread::scope(|scope| {
            let pass = || (0..CALLS).filter(|_| window.lets_through(&state, 0)).count() as u64;
            let threads = [(); 4].map(|()| scope.spawn(pass));
            threads.map(|thread| thread.join().unwrap()).iter().sum()
        });
        assert_eq!(passed, 2 * CALLS);
    }

    /// Who comes to a state first takes its line from the others, who catch up meanwhile: so they meet at many.
    #[test]
    fn one_call_passes_where_once_is_asked_for_though_threads_meet() {
        let states: Vec<_> = std::iter::repeat_with(|| AtomicU64::new(0)).take(1_000_000).collect();
        let passed: usize = std::thread::scope(|scope| {
            let pass = || states.iter().filter(|state| Rule::Once(true).lets_through(state, 0)).count();
            let threads = [(); 4].map(|()| scope.spawn(pass));
            threads.map(|thread| thread.join().unwrap()).iter().sum()
        });
        assert_eq!(passed, states.len());
    }

    #[test]
    fn draws_fall_below_a_share_as_often_as_it_says() {
        let share = Rule::Sample((0.01 * u64::MAX as f64) as u64);
        let state = AtomicU64::new(0);
        let passed = (0..1_000_000).filter(|_| share.lets_through(&state, 0x7f00_1234_5678)).count();
        // Ten standard deviations of 99.5.
        assert!((9_005..=10_995).contains(&passed), "{passed}");
    }
}
