//! What a queue of the user's was not told of yet: the losses in front of it, and when it is told.
//!
//! Whoever puts records into a queue, an engine's `outlet` or a `QueueHandler`, says in the stream where some are missing, by a
//! record of `treering::loss` for each reason. That one takes room which a record of the program could have had, so a queue
//! that stays full would carry losses and little else, were each gap told of. Therefore the first loss is told of before the
//! next record, and from then on one at a time, with [`RECORDS_BETWEEN`] records of the program between two. What is lost
//! meanwhile is added to what waits to be told: counts are exact, and the times say from when until when.

use crate::callsite::EntryOf;
use crate::clock::Timestamp;
use crate::level::Level;
use crate::overflow::{Loss, Reason};
use crate::own;
use crate::record::{Record, Thread};

/// So many records of the program stand between two that tell of losses: a ninth of the room is what that costs at most.
const RECORDS_BETWEEN: u64 = 8;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct Untold {
    losses: [Option<Loss>; Reason::ALL.len()],
    /// How many records the queue must have taken before it is told of the next loss.
    next_at: u64,
}

impl Untold {
    pub(crate) fn is_empty(&self) -> bool {
        self.losses.iter().all(Option::is_none)
    }

    /// A record of that time is lost.
    pub(crate) fn add(&mut self, level: Level, reason: Reason, time: Timestamp) {
        let mut by_level = [0; Level::COUNT];
        by_level[level.index()] = 1;
        self.add_loss(Loss { by_level, ..loss_of(1, reason, time) });
    }

    /// So many records are lost of which only that is known.
    pub(crate) fn add_unseen(&mut self, records: u64, reason: Reason, time: Timestamp) {
        self.add_loss(loss_of(records, reason, time));
    }

    fn add_loss(&mut self, more: Loss) {
        let place = &mut self.losses[more.reason as usize];
        match place {
            None => *place = Some(more),
            Some(loss) => {
                loss.records += more.records;
                loss.by_level.iter_mut().zip(more.by_level).for_each(|(sum, more)| *sum += more);
                loss.from = loss.from.min(more.from);
                loss.until = loss.until.max(more.until);
            }
        }
    }

    /// What the queue is to be told of before its next record, as it has taken so many.
    pub(crate) fn take_due(&mut self, taken: u64, now: Timestamp) -> Option<Loss> {
        if taken < self.next_at {
            return None;
        }
        let loss = self.take(now)?;
        self.next_at = taken + RECORDS_BETWEEN;
        Some(loss)
    }

    /// What it is to be told of next, however soon: the loss that began first, so that none waits behind another for ever.
    pub(crate) fn take(&mut self, now: Timestamp) -> Option<Loss> {
        let waiting = self.losses.iter_mut().filter(|place| place.is_some());
        let mut loss = waiting.min_by_key(|place| place.as_ref().map(|loss| loss.from))?.take()?;
        loss.until = loss.until.max(now);
        Some(loss)
    }

    /// It was not taken after all: it is due again.
    pub(crate) fn put_back(&mut self, loss: Loss) {
        self.next_at = 0;
        self.add_loss(loss);
    }
}

/// Nobody knows which calls of which threads they were: several share what was full.
fn loss_of(records: u64, reason: Reason, time: Timestamp) -> Loss {
    Loss {
        reason,
        records,
        by_level: [0; Level::COUNT],
        thread_id: 0,
        thread_name: None,
        from: time,
        until: time,
        first: 0,
        last: 0,
        handler: None,
    }
}

/// Makes the record that tells a queue of a loss.
pub(crate) fn with_record<R>(loss: &Loss, work: impl FnOnce(&Record<'_>) -> R) -> R {
    let (entry, arguments) = (EntryOf::Process(own::queue_entry(loss.reason)), own::loss_arguments(loss));
    let thread = Thread::new(0, None);
    work(&Record {
        entry,
        arguments: &arguments,
        time: loss.until,
        stamp: 0,
        thread: &thread,
        truncated: false,
        scope: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u64) -> Timestamp {
        Timestamp::from_nanos(nanos)
    }

    #[test]
    fn the_first_is_due_at_once_and_the_next_behind_eight_records() {
        let mut untold = Untold::default();
        assert!(untold.is_empty() && untold.take_due(0, at(0)).is_none());
        untold.add(Level::Info, Reason::Full, at(1));
        untold.add(Level::Error, Reason::Full, at(2));
        let loss = untold.take_due(100, at(5)).unwrap();
        assert_eq!((loss.records, loss.by_level, loss.from, loss.until), (2, [1, 0, 1, 0, 0], at(1), at(5)));
        assert!(untold.is_empty());
        untold.add(Level::Info, Reason::Full, at(6));
        assert!((100..108).all(|taken| untold.take_due(taken, at(7)).is_none()));
        assert_eq!(untold.take_due(108, at(7)).unwrap().from, at(6));
    }

    #[test]
    fn one_at_a_time_that_which_began_first() {
        let mut untold = Untold::default();
        untold.add(Level::Info, Reason::Failed, at(1));
        untold.add(Level::Info, Reason::Full, at(2));
        assert_eq!(untold.take_due(0, at(3)).unwrap().reason, Reason::Failed);
        untold.add(Level::Info, Reason::Failed, at(4));
        assert!(untold.take_due(7, at(5)).is_none());
        assert_eq!(untold.take_due(8, at(5)).unwrap().reason, Reason::Full);
        assert_eq!(untold.take(at(5)).unwrap().reason, Reason::Failed, "whoever asks for all gets it");
    }

    #[test]
    fn what_was_not_taken_is_due_again_with_what_came_since() {
        let mut untold = Untold::default();
        untold.add_unseen(3, Reason::Failed, at(1));
        let loss = untold.take_due(0, at(2)).unwrap();
        untold.add(Level::Warn, Reason::Failed, at(3));
        untold.put_back(loss);
        let loss = untold.take_due(0, at(2)).unwrap();
        assert_eq!((loss.records, loss.by_level), (4, [0, 1, 0, 0, 0]));
        assert_eq!((loss.from, loss.until), (at(1), at(3)), "never before the last of them");
    }
}
