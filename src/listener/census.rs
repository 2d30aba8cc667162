//! What there is in a batch, counted once for all lanes.
//!
//! A lane that takes none of a batch, as its handler is quarantined or there is no room for the smallest record, has only to
//! know how many it does not take, and of which levels: nobody has to walk over the batch once more for it.

use crate::callsite::EntryOf;
use crate::handler::{Contents, Item};
use crate::level::{Level, LevelFilter};
use crate::stats::ByLevel;

/// See the module's documentation.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Census {
    /// The engine's own records, which pass every level.
    own: ByLevel,
    /// All others.
    others: ByLevel,
    /// Words of the smallest. What is of the batch counts as none: it is packed first, to be kept.
    words_min: Option<usize>,
}

impl Census {
    pub(super) fn of(contents: Contents<'_>) -> Self {
        let mut census = Census::default();
        for item in contents.items {
            let counts = if item.own { &mut census.own } else { &mut census.others };
            counts[item.entry.metadata.level.index()] += 1;
            let is_of_batch = matches!(item.entry, EntryOf::Batch(_));
            let words = if is_of_batch { 0 } else { item.words };
            census.words_min = Some(census.words_min.map_or(words, |least| least.min(words)));
        }
        census
    }

    /// How many pass this level.
    pub(super) fn passing(&self, max_level: LevelFilter) -> ByLevel {
        let mut passing = self.own;
        for level in Level::ALL.into_iter().filter(|level| max_level.allows(*level)) {
            passing[level.index()] += self.others[level.index()];
        }
        passing
    }

    /// Words of the smallest and the level of the most severe, if there are any: where a record with both finds no room none does.
    pub(super) fn smallest(&self) -> Option<(usize, Level)> {
        let is_there = |level: &Level| self.own[level.index()] + self.others[level.index()] > 0;
        self.words_min.zip(Level::ALL.into_iter().find(is_there))
    }
}

/// Whether the record passes this level.
pub(super) fn passes(item: &Item<'_>, max_level: LevelFilter) -> bool {
    item.own || max_level.allows(item.entry.metadata.level)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handler::testing::Run;

    #[test]
    fn the_engines_own_pass_every_level() {
        let levels = [Level::Warn, Level::Info, Level::Debug, Level::Debug, Level::Trace];
        let run = Run::each(levels.map(|level| (level, "of no words"))).own_from(3);
        let contents = run.all().contents;
        let census = Census::of(contents);
        assert_eq!(census.passing(LevelFilter::OFF), [0, 0, 0, 1, 1]);
        assert_eq!(census.passing(Level::Info.into()), [0, 1, 1, 1, 1]);
        assert_eq!(census.passing(LevelFilter::ALL), [0, 1, 1, 2, 1]);
        for max_level in [LevelFilter::OFF, Level::Info.into(), LevelFilter::ALL] {
            let passing = contents.items.iter().filter(|item| passes(item, max_level)).count();
            assert_eq!(passing as u64, crate::stats::total(&census.passing(max_level)));
        }
        assert_eq!(census.smallest(), Some((0, Level::Warn)));
        assert_eq!(Census::default().smallest(), None);
    }
}
