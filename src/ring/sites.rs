//! How often each callsite was left out by sampling, for one ring.
//!
//! A table of fixed size: the producer finds a callsite's row by its id, makes one if there is room, and else uses the
//! last row, which those without one of their own share. The listener reads the counts, which are cumulative.

use crate::sync::{AtomicU32, AtomicU64, Ordering, ordering};

/// Rows for single callsites. Few under loom, where each look at one is a branch more.
const SITES: usize = if cfg!(treering_loom) { 1 } else { 64 };

#[derive(Debug)]
pub(crate) struct Sites(Box<[Site]>);

#[derive(Debug)]
struct Site {
    /// The callsite's id, or [`NOBODY`].
    id: AtomicU32,
    /// Records that were looked at under pressure. The producer's alone.
    seen: AtomicU32,
    left_out: AtomicU64,
}

/// The id of a row that is not used, and of the last one.
const NOBODY: u32 = u32::MAX;

impl Sites {
    /// A table, or an empty one for rings that sample nothing.
    pub(crate) fn new(samples: bool) -> Self {
        let rows = if samples { SITES + 1 } else { 0 };
        let site =
            |_| Site { id: AtomicU32::new(NOBODY), seen: AtomicU32::new(0), left_out: AtomicU64::new(0) };
        Sites((0..rows).map(site).collect())
    }

    /// Whether this record is the one of `n` that passes; if not it is counted.
    pub(crate) fn passes(&self, id: u32, n: u32) -> bool {
        let Some(site) = self.find(id) else { return true };
        let seen = site.seen.load(Ordering::Relaxed);
        site.seen.store((seen + 1) % n.max(1), Ordering::Relaxed);
        if seen > 0 {
            // Release: who sees the row's count knows whose it is.
            let tells = ordering!(Release, unless "relaxed_left_out");
            site.left_out.store(site.left_out.load(Ordering::Relaxed) + 1, tells);
        }
        seen == 0
    }

    fn find(&self, id: u32) -> Option<&Site> {
        let (others, own) = self.0.split_last()?;
        let from = id as usize % own.len();
        let site = own[from..].iter().chain(&own[..from]).find(|site| {
            let holder = site.id.load(Ordering::Relaxed);
            if holder == NOBODY {
                site.id.store(id, Ordering::Relaxed);
            }
            holder == id || holder == NOBODY
        });
        Some(site.unwrap_or(others))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Each row's callsite, `None` for the row that callsites share, and how many of its records were left out so far.
    pub(crate) fn left_out(&self) -> impl Iterator<Item = (Option<u32>, u64)> {
        self.0.iter().map(|site| {
            let left_out = site.left_out.load(Ordering::Acquire);
            // Relaxed: behind the count, which was stored behind it.
            let id = site.id.load(Ordering::Relaxed);
            ((id != NOBODY).then_some(id), left_out)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_n_passes_at_each_callsite_and_those_without_a_row_share_one() {
        let sites = Sites::new(true);
        let passed = |id| (0..10).filter(|_| sites.passes(id, 3)).count();
        assert!((0..SITES as u32).all(|id| passed(id * 7) == 4), "1, 4, 7 and 10");
        assert_eq!((passed(1_000), passed(1_001)), (4, 3), "20 records of one row: 7 pass");
        let left_out: Vec<_> = sites.left_out().collect();
        assert_eq!(left_out.last(), Some(&(None, 13)));
        assert!(left_out[..SITES].iter().all(|(id, left_out)| id.is_some() && *left_out == 6));
        assert!(Sites::new(false).passes(1, 3));
    }
}
