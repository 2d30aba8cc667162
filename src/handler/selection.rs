//! Which records of a batch a handler gets: decided once for each batch, before anybody is called with it.

use super::batch::Contents;
use super::routed::{Filter, Routed};
use super::{Batch, Handler};
use crate::fault::guarded;
use crate::level::LevelFilter;
use crate::stats::Cursor;

/// So often in one batch may a handler panic when it is asked whether it accepts a record; then the others of this
/// batch fail without being asked, so that a broken filter costs the listener only so many unwindings.
const PANICS_MAX: u64 = 10;

/// See the module's documentation.
#[derive(Default, Debug)]
pub(crate) struct Selection {
    /// The positions of those it gets, in order.
    chosen: Vec<u32>,
    /// How many are above its level, or not accepted.
    pub(crate) filtered: u64,
    /// How many it panicked at, or was not asked about as it had panicked too often.
    pub(crate) failed: u64,
}

impl Selection {
    /// Asks the handler which of these records it gets. Returns how it panicked the first time, if it did.
    pub(crate) fn make(
        &mut self,
        Routed { handler, filter, .. }: &mut Routed,
        contents: Contents<'_>,
        max_level: LevelFilter,
    ) -> Option<String> {
        let chosen = &mut self.chosen;
        let mut told = None;
        let mut at = 0;
        chosen.clear();
        self.failed = 0;
        while let Err(panic) =
            guarded(|| handler.as_mut().select(contents, max_level, filter.as_mut(), &mut at, chosen))
        {
            told.get_or_insert(panic);
            self.failed += 1;
            if self.failed == PANICS_MAX {
                for (position, item) in contents.items.iter().enumerate().skip(at) {
                    if item.own {
                        chosen.push(position as u32);
                    } else {
                        self.failed += u64::from(max_level.allows(item.entry.metadata.level));
                    }
                }
                break;
            }
        }
        self.filtered = contents.items.len() as u64 - self.chosen.len() as u64 - self.failed;
        told
    }

    /// Nobody has to know which it gets, as it is called with none: only so many do not pass its level.
    pub(crate) fn count(&mut self, filtered: u64) {
        self.chosen.clear();
        (self.filtered, self.failed) = (filtered, 0);
    }

    /// Whether a record of this level is among them, or a more severe one.
    pub(crate) fn reaches(&self, contents: Contents<'_>, level: LevelFilter) -> bool {
        self.chosen.iter().any(|at| level.allows(contents.items[*at as usize].entry.metadata.level))
    }

    /// The positions of those it gets, in order.
    pub(crate) fn positions(&self) -> &[u32] {
        &self.chosen
    }

    pub(crate) fn len(&self) -> usize {
        self.chosen.len()
    }

    /// Those from the nth on, at most so many, as a handler gets them.
    pub(crate) fn batch<'a>(
        &'a self,
        contents: Contents<'a>,
        nth: usize,
        max: usize,
        cursor: &'a Cursor,
    ) -> Batch<'a> {
        let rest = &self.chosen[nth..];
        Batch { contents, chosen: &rest[..max.min(rest.len())], cursor, within: None }
    }
}

/// Any handler, as it is asked which records it gets: by one dynamic call for a batch, within which
/// [`accepts`](Handler::accepts) is a static one. Where it is the default, nothing of it is left.
pub(crate) trait Selects: Handler {
    /// Appends the positions, from `at` on, of the records that pass. `at` goes along: it is behind the record that
    /// the handler was asked about last, also after a panic.
    fn select(
        &mut self,
        contents: Contents<'_>,
        max_level: LevelFilter,
        filter: Option<&mut Filter>,
        at: &mut usize,
        chosen: &mut Vec<u32>,
    );
}

impl<H: Handler> Selects for H {
    fn select(
        &mut self,
        contents: Contents<'_>,
        max_level: LevelFilter,
        mut filter: Option<&mut Filter>,
        at: &mut usize,
        chosen: &mut Vec<u32>,
    ) {
        while let Some(item) = contents.items.get(*at) {
            let position = *at as u32;
            *at += 1;
            let mut is_wanted = || match filter.as_mut() {
                // By itself, so that of a record at which nobody looks nothing is made.
                None => self.accepts(&contents.record(item)),
                Some(filter) => {
                    let record = contents.record(item);
                    filter(&record) && self.accepts(&record)
                }
            };
            if item.own || (max_level.allows(item.entry.metadata.level) && is_wanted()) {
                chosen.push(position);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handler::Capture;
    use crate::handler::testing::Run;
    use crate::level::Level;

    #[test]
    fn the_engines_own_records_pass_a_filter_that_panics_at_everything() {
        let run = Run::of(Level::Info, (0..30).map(|n| n.to_string())).own_from(25);
        let mut routed = Capture::new().filter(|_| panic!("on purpose"));
        let mut selection = Selection::default();
        let told = selection.make(&mut routed, run.all().contents, LevelFilter::ALL);
        assert_eq!(told.as_deref(), Some("on purpose"));
        assert_eq!((selection.filtered, selection.failed), (0, 25));
        assert_eq!(selection.chosen, [25, 26, 27, 28, 29]);
    }
}
