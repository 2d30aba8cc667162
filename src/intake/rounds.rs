//! One round: what the queue gives, decoded, prepared, and handed out.

use std::collections::VecDeque;
use std::time::Duration;

use bumpalo::Bump;

use super::report::Fates;
use super::{Intake, NAP_AFTER_FAILURE, Source, WAIT};
use crate::callsite::EntryOf;
use crate::clock::{Deadline, Ticker};
use crate::fault::{discard, guarded};
use crate::handler::Item;
use crate::listener::{GivenUp, Handlers, Records};
use crate::queue::{Dequeued, Frames};
use crate::record::portable::{self, Parts};
use crate::record::{Record, Thread};
use crate::sync::{Arc, Ordering};

/// What is asked of each record.
pub(super) type Prepare = Box<dyn FnMut(&Record<'_>) -> Prepared + Send>;

/// Times of so many hand-outs on callers' threads are remembered, to know the records that were logged in them again. An
/// echo that comes back later than that is taken for a record.
const HAND_OUTS_MAX: usize = 64;

/// What is to become of a record. See [`Listener::prepare`](super::Listener::prepare).
#[derive(Debug)]
#[non_exhaustive]
pub enum Prepared {
    /// It goes to the handlers.
    Keep,
    /// It does not, for this reason, under which it is counted.
    Drop(&'static str),
    /// It could not be prepared, and does not go to the handlers; the error is told of.
    Fail(Source),
}

impl Prepared {
    /// It could not be prepared.
    pub fn fail(source: impl Into<Source>) -> Self {
        Prepared::Fail(source.into())
    }
}

/// What a round came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Round {
    /// So many records were handed out.
    Busy(usize),
    /// The queue had nothing.
    Empty,
    /// The queue could not say.
    Failed,
    /// That was the last round.
    Finished,
}

/// What rounds need, and keep.
pub(super) struct Rounds {
    handlers: Handlers,
    prepare: Option<Prepare>,
    frames: Frames,
    arena: Bump,
    words: Vec<u64>,
    threads: Vec<Arc<Thread>>,
    ticker: Ticker,
    /// When callers' threads handed out, from and to.
    hand_outs: VecDeque<(u64, u64)>,
    /// The highest flush ticket whose round is done.
    answered: u64,
}

impl Rounds {
    pub(super) fn new(handlers: Handlers, prepare: Option<Prepare>) -> Self {
        Rounds {
            handlers,
            prepare,
            frames: Frames::new(),
            arena: Bump::new(),
            words: Vec::new(),
            threads: Vec::new(),
            ticker: Ticker::default(),
            hand_outs: VecDeque::new(),
            answered: 0,
        }
    }

    pub(super) fn answered(&self) -> u64 {
        self.answered
    }

    /// Takes a round; where there is nothing, what the handlers hold leaves, and the next round waits. Whether it goes on.
    pub(super) fn run(&mut self, intake: &Intake) -> bool {
        let mut round = self.take(intake, Deadline::after(Duration::ZERO));
        if round == Round::Empty && self.flush_held(intake).is_ok() {
            round = self.take(intake, Deadline::after(WAIT));
        }
        if round == Round::Failed {
            intake.control.nap(NAP_AFTER_FAILURE, self.answered);
        }
        round != Round::Finished
    }

    /// Takes a round, for which the queue may wait `until`.
    pub(super) fn take(&mut self, intake: &Intake, until: Deadline) -> Round {
        self.try_take(intake, until).unwrap_or_else(|GivenUp| {
            intake.give_up();
            intake.finish();
            Round::Finished
        })
    }

    fn try_take(&mut self, intake: &Intake, until: Deadline) -> Result<Round, GivenUp> {
        // Before the queue is asked: what happened before the request is in it by now.
        let asked = intake.control.asked();
        let closing = intake.control.is_closing();
        let flushing = asked > self.answered;
        let until = if flushing { Deadline::after(Duration::ZERO) } else { until };
        self.frames.clear();
        let dequeued = match guarded(|| intake.queue.dequeue(&mut self.frames, until)) {
            Ok(Ok(dequeued)) => Ok(dequeued),
            Ok(Err(error)) => {
                let text = guarded(|| error.to_string())
                    .unwrap_or_else(|_| "with an error that cannot be shown".into());
                discard(error);
                Err(text)
            }
            Err(panic) => Err(format!("panicked: {panic}")),
        };
        let records = self.hand_out(intake)?;
        self.handlers.flush(false, &intake.books, &intake.faults)?;
        let round = match dequeued {
            Ok(Dequeued::Some(_)) => return Ok(Round::Busy(records)),
            Ok(Dequeued::Empty) => Round::Empty,
            Ok(Dequeued::Closed) => Round::Finished,
            Err(text) => {
                Fates::count(&intake.fates.queue_failures);
                intake.faults.report(format_args!("the queue failed: {text}"));
                // One that is closed and fails has nothing more to say.
                if closing { Round::Finished } else { Round::Failed }
            }
        };
        if round == Round::Finished {
            self.handlers.close(&intake.books, &intake.faults)?;
            intake.finish();
        } else if flushing {
            self.handlers.flush_on_request(&intake.books, &intake.faults)?;
            self.answered = asked;
            intake.answer(asked, self.handlers.hold_nothing());
        }
        Ok(round)
    }

    /// What the handlers hold leaves the process now.
    pub(super) fn flush_held(&mut self, intake: &Intake) -> Result<(), GivenUp> {
        self.handlers.flush(true, &intake.books, &intake.faults)
    }

    /// Hands out the frames of this round, and says how many records they were.
    fn hand_out(&mut self, intake: &Intake) -> Result<usize, GivenUp> {
        if self.frames.is_empty() {
            return Ok(0);
        }
        let Rounds { handlers, prepare, frames, arena, words, threads, ticker, hand_outs, .. } = self;
        arena.reset();
        words.clear();
        threads.clear();
        let here = Here { intake, process_id: std::process::id(), hand_outs };
        let mut items = Vec::with_capacity(frames.len());
        for frame in frames.iter() {
            Fates::count(&intake.fates.received);
            let Some(parts) = here.decode(arena, frame) else { continue };
            let start = words.len();
            words.extend(parts.words());
            let thread = position_of(&parts, threads);
            let Parts { entry, time, stamp, truncated, .. } = parts;
            let record = Record {
                entry,
                arguments: &words[start..],
                time,
                stamp,
                thread: &threads[thread],
                truncated,
            };
            if here.keeps(prepare, &record) {
                let words = words.len() - start;
                let entry = EntryOf::Batch(entry);
                items.push(Item { start, words, entry, time, stamp, thread, truncated, own: false });
            } else {
                words.truncate(start);
            }
        }
        if items.is_empty() {
            return Ok(0);
        }
        let begun = ticker.stamp();
        let count = |_: &mut u64| {
            intake.fates.dispatched.fetch_add(items.len() as u64, Ordering::AcqRel);
        };
        let records = Records { items: &items, words, threads };
        let result = handlers.hand_out(records, count, &intake.books, &intake.faults);
        if !intake.has_thread {
            hand_outs.push_back((begun, ticker.stamp()));
            if hand_outs.len() > HAND_OUTS_MAX {
                hand_outs.pop_front();
            }
        }
        result.map(|()| items.len())
    }
}

impl std::fmt::Debug for Rounds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rounds").field("handlers", &self.handlers).finish_non_exhaustive()
    }
}

/// Where a record was logged, among those of the round; records of one thread mostly come together.
fn position_of(parts: &Parts<'_>, threads: &mut Vec<Arc<Thread>>) -> usize {
    if let Some(at) = threads.iter().rposition(|thread| parts.is_of(thread)) {
        return at;
    }
    threads.push(Arc::new(parts.thread()));
    threads.len() - 1
}

/// Who judges frames, where.
struct Here<'a> {
    intake: &'a Intake,
    process_id: u32,
    hand_outs: &'a VecDeque<(u64, u64)>,
}

impl Here<'_> {
    /// The record that a frame is, unless it is none or an echo.
    fn decode<'a>(&self, arena: &'a Bump, frame: &'a [u8]) -> Option<Parts<'a>> {
        match portable::read(arena, frame) {
            Ok(parts) if self.is_echo(&parts) => {
                Fates::count(&self.intake.fates.echoes);
                None
            }
            Ok(parts) => Some(parts),
            Err(error) => {
                Fates::count(&self.intake.fates.malformed);
                self.intake
                    .faults
                    .report(format_args!("a frame of {} bytes is refused: {error}", frame.len()));
                None
            }
        }
    }

    /// Whether a handler of this listener has logged it, while it was handed a batch.
    fn is_echo(&self, parts: &Parts<'_>) -> bool {
        let is_of_this_thread = parts.process_id == self.process_id
            && parts.thread_id == self.intake.turning.load(Ordering::Relaxed);
        // A caller's thread does other things than handing out.
        let is_in = |(begun, ended): &(u64, u64)| (*begun..=*ended).contains(&parts.stamp);
        is_of_this_thread && (self.intake.has_thread || self.hand_outs.iter().any(is_in))
    }

    fn keeps(&self, prepare: &mut Option<Prepare>, record: &Record<'_>) -> bool {
        let Some(prepare) = prepare else { return true };
        let (fates, faults) = (&self.intake.fates, &self.intake.faults);
        let text = match guarded(|| prepare(record)) {
            Ok(Prepared::Keep) => return true,
            Ok(Prepared::Drop(reason)) => {
                fates.drop_for(reason);
                return false;
            }
            Ok(Prepared::Fail(error)) => {
                let text = guarded(|| error.to_string());
                discard(error);
                text.unwrap_or_else(|_| "an error that cannot be shown".into())
            }
            Err(panic) => format!("panicked: {panic}"),
        };
        Fates::count(&fates.unprepared);
        faults.report(format_args!("a record could not be prepared: {text}"));
        false
    }
}
