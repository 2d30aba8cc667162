//! One round: what the queue gives, decoded, prepared, and handed out.

use std::time::Duration;

use bumpalo::Bump;

use super::report::{Fate, Fates};
use super::spans::Spans;
use super::translation::Translation;
use super::{Intake, WAIT};
use crate::callsite::EntryOf;
use crate::clock::Deadline;
use crate::fault::{guarded, text_of};
use crate::handler::Item;
use crate::listener::{GivenUp, Handlers, Housekeeping, Outgoing, Records};
use crate::prepare::{Content, Lost, Steps};
use crate::queue::{Dequeued, Frames};
use crate::record::portable::{self, Parts};
use crate::record::{Record, Thread};
use crate::sync::{Arc, Ordering};

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
#[derive(Debug)]
pub(super) struct Rounds {
    handlers: Handlers,
    translation: Option<Translation>,
    steps: Steps,
    frames: Frames,
    arena: Bump,
    words: Vec<u64>,
    threads: Vec<Arc<Thread>>,
    pub(super) spans: Spans,
    housekeeping: Housekeeping,
    /// The flush that is under way.
    flush: Option<Flush>,
    /// The highest flush ticket whose round is done.
    answered: u64,
}

/// A flush is done when the queue has given everything that was in it when the flush was seen: when it is empty, or when so
/// many frames came as it had said.
#[derive(Clone, Copy, Debug)]
struct Flush {
    ticket: u64,
    left: Option<usize>,
}

impl Rounds {
    pub(super) fn new(handlers: Handlers, translation: Option<Translation>, steps: Steps) -> Self {
        Rounds {
            handlers,
            translation,
            steps,
            frames: Frames::new(),
            arena: Bump::new(),
            words: Vec::new(),
            threads: Vec::new(),
            spans: Spans::new(),
            housekeeping: Housekeeping::new(),
            flush: None,
            answered: 0,
        }
    }

    /// A stop with a deadline waits for this thread, and nobody else would give up.
    pub(super) fn hurry(&mut self) {
        self.handlers.hurry();
    }

    /// Takes a round; where there is nothing, what the handlers hold leaves, and the next round waits until something is to
    /// be done for them.
    pub(super) fn take_and_wait(&mut self, intake: &Intake) -> Round {
        let round = self.take(intake, Deadline::after(Duration::ZERO));
        if round != Round::Empty || self.flush_held(intake).is_err() {
            return round;
        }
        self.take(intake, Deadline::after(self.wait_max()))
    }

    /// How long the queue may wait in a round, as there is something else to do then.
    pub(super) fn wait_max(&self) -> Duration {
        WAIT.min(self.housekeeping.left()).min(self.handlers.sleep_max())
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
        intake.books.settle(|| {})?; // not after a deadline
        // Before the queue is asked: what happened before the request is in it by now.
        self.begin_flush(intake);
        let until = if self.flush.is_some() { Deadline::after(Duration::ZERO) } else { until };
        self.frames.clear();
        let dequeued = match guarded(|| intake.queue.dequeue(&mut self.frames, until)) {
            Ok(Ok(dequeued)) => Ok(dequeued),
            Ok(Err(error)) => Err(text_of(error)),
            Err(panic) => Err(format!("panicked: {panic}")),
        };
        let records = self.hand_out(intake)?;
        if self.housekeeping.is_due() {
            self.spans.mark();
            self.handlers.tend(&intake.books, &intake.faults)?;
        }
        let is_empty = match dequeued {
            Ok(Dequeued::Some(_)) => false,
            Ok(Dequeued::Empty) => true,
            Ok(Dequeued::Closed) => return self.end(intake),
            Err(text) => {
                self.spans.mark();
                intake.books.settle(|| Fates::count(&intake.fates.queue_failures))?;
                intake.faults.report(format_args!("the queue failed: {text}"));
                self.flush_due(false, intake)?;
                return Ok(Round::Failed);
            }
        };
        self.flush_due(false, intake)?;
        self.answer_flush(is_empty, intake)?;
        Ok(if is_empty { Round::Empty } else { Round::Busy(records) })
    }

    /// The queue has given everything, for ever.
    fn end(&mut self, intake: &Intake) -> Result<Round, GivenUp> {
        self.spans.mark();
        intake.books.settle(|| intake.fates.drained.store(true, Ordering::Release))?;
        self.handlers.close(&intake.books, &intake.faults)?;
        intake.finish();
        Ok(Round::Finished)
    }

    /// If a flush was asked for and none is under way, it is now.
    fn begin_flush(&mut self, intake: &Intake) {
        let ticket = intake.control.asked();
        if self.flush.is_none() && ticket > self.answered {
            let left = guarded(|| intake.queue.backlog()).unwrap_or(None);
            self.flush = Some(Flush { ticket, left });
        }
    }

    /// After a round: answers the flush that is under way, if it is done.
    fn answer_flush(&mut self, is_empty: bool, intake: &Intake) -> Result<(), GivenUp> {
        let Some(Flush { ticket, left }) = &mut self.flush else { return Ok(()) };
        *left = left.map(|left| left.saturating_sub(self.frames.len()));
        if !is_empty && *left != Some(0) {
            return Ok(());
        }
        let ticket = *ticket;
        self.spans.mark();
        self.handlers.flush_on_request(&intake.books, &intake.faults)?;
        self.answered = ticket;
        self.flush = None;
        intake.answer(ticket, self.handlers.hold_nothing());
        Ok(())
    }

    /// What the handlers hold leaves the process now, unless their policies say otherwise.
    pub(super) fn flush_held(&mut self, intake: &Intake) -> Result<(), GivenUp> {
        self.flush_due(true, intake)
    }

    fn flush_due(&mut self, is_idle: bool, intake: &Intake) -> Result<(), GivenUp> {
        if !self.handlers.hold_nothing() {
            self.spans.mark();
        }
        self.handlers.flush(is_idle, &intake.books, &intake.faults)
    }

    /// Hands out the frames of this round, and says how many records they were.
    fn hand_out(&mut self, intake: &Intake) -> Result<usize, GivenUp> {
        if self.frames.is_empty() {
            return Ok(0);
        }
        self.spans.mark();
        let Rounds { handlers, translation, steps, frames, arena, words, threads, spans, .. } = self;
        let Intake { fates, books, faults, .. } = intake;
        arena.reset();
        words.clear();
        threads.clear();
        books.settle(|| fates.receive(frames.len()))?;
        let mut out = Outgoing::new(words, frames.len());
        for frame in frames.iter() {
            let judged = judge(frame, arena, spans, translation, steps, threads);
            // For each, also to learn that a deadline has passed: preparations may take long.
            books.settle(|| judged.as_ref().err().iter().for_each(|gone| fates.settle(&gone.fate)))?;
            match judged {
                Ok((content, item)) => out.push(&item, item.entry, content.arguments),
                Err(Gone { fate, missing }) => {
                    fate.tell(frame, faults);
                    missing.iter().for_each(|item| {
                        out.miss(item, item.entry.metadata.level, &threads[item.thread]);
                    });
                }
            }
        }
        let Outgoing { items, words, .. } = out.finish();
        if items.is_empty() {
            return Ok(0);
        }
        let dispatched = items.iter().filter(|item| !item.own).count();
        let count = |_: &mut u64| {
            fates.dispatched.fetch_add(dispatched as u64, Ordering::AcqRel);
        };
        let records = Records { items: &items, words, threads, scopes: &[] };
        handlers.hand_out(records, count, books, faults)?;
        Ok(dispatched)
    }
}

/// Why a frame is not handed out, and where its record is missing, if it should be there.
struct Gone<'a> {
    fate: Fate,
    missing: Option<Item<'a>>,
}

impl From<Fate> for Gone<'_> {
    fn from(fate: Fate) -> Self {
        Gone { fate, missing: None }
    }
}

/// The record that a frame is, as the steps leave it, and its place in the batch; or why it is not handed out.
fn judge<'a>(
    frame: &'a [u8],
    arena: &'a Bump,
    spans: &Spans,
    translation: &mut Option<Translation>,
    steps: &mut Steps,
    threads: &mut Vec<Arc<Thread>>,
) -> Result<(Content<'a>, Item<'a>), Gone<'a>> {
    let frame = match translation {
        Some(translation) => translation.run(frame, arena)?,
        None => frame,
    };
    let parts = portable::read(arena, frame).map_err(|error| Fate::Malformed(error.to_string()))?;
    if spans.hold(&parts) {
        return Err(Fate::Echo.into());
    }
    let thread = position_of(&parts, threads);
    let Parts { entry, time, stamp, truncated, .. } = parts;
    let arguments = &*arena.alloc_slice_fill_iter(parts.words());
    let content = Content { entry, arguments };
    let entry = EntryOf::Batch(entry);
    let record = Record { entry, arguments, time, stamp, thread: &threads[thread], truncated, scope: None };
    let item = Item { start: 0, words: 0, entry, time, stamp, thread, truncated, own: false, scope: None };
    match steps.run(record, content, arena) {
        Ok(content) => Ok((content, Item { entry: EntryOf::Batch(content.entry), ..item })),
        Err(lost) => {
            let missing = matches!(lost, Lost::Failed(_)).then_some(item);
            Err(Gone { fate: Fate::Prepared(lost), missing })
        }
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
