//! A batch on its way through the steps that prepare it.
//!
//! The batch stays as it was collected: what the steps leave of it is another one beside it, in memory that is kept for the
//! next. The engine's own records are asked of no step. Where a record could not be prepared one is missing in the stream, and
//! in its place stands a record of `treering::loss`; what a step dropped was to be dropped.

use bumpalo::Bump;

use crate::callsite::EntryOf;
use crate::fault::Faults;
use crate::handler::Item;
use crate::level::Level;
use crate::overflow::{Loss, Reason};
use crate::own;
use crate::prepare::{Content, Lost, Steps};
use crate::record::{Scope, Thread};
use crate::stats::{ByLevel, PreparedAway};
use crate::sync::Arc;

use super::books::{Books, GivenUp};
use super::dispatch::Records;

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Preparation {
    steps: Steps,
    arena: Bump,
    words: Vec<u64>,
}

/// A batch as the steps left it, and what they kept of it from the handlers.
#[derive(Debug)]
pub(super) struct PreparedBatch<'a> {
    items: Vec<Item<'a>>,
    words: &'a [u64],
    threads: &'a [Arc<Thread>],
    scopes: &'a [Arc<Scope>],
    away: Away,
    /// What the batch tells of records that could not be prepared.
    pub(super) losses: Vec<Loss>,
}

/// Records that the steps kept from the handlers.
#[derive(Debug, Default)]
struct Away {
    by_level: ByLevel,
    /// One for each that a step dropped.
    reasons: Vec<&'static str>,
    failed: u64,
}

impl PreparedBatch<'_> {
    pub(super) fn records(&self) -> Records<'_> {
        Records { items: &self.items, words: self.words, threads: self.threads, scopes: self.scopes }
    }

    /// Counts what was kept from the handlers. Under the book lock, after the batch was counted as dispatched.
    pub(super) fn settle(&self, counters: &PreparedAway) {
        let Away { by_level, reasons, failed } = &self.away;
        counters.add(by_level, reasons, *failed);
    }
}

impl Preparation {
    pub(crate) fn new(steps: Steps) -> Self {
        Preparation { steps, arena: Bump::new(), words: Vec::new() }
    }

    /// Puts a batch through the steps, record by record. Runs code of the user's.
    pub(super) fn prepare<'a>(
        &'a mut self,
        batch: Records<'a>,
        books: &Books,
        faults: &Faults,
    ) -> Result<PreparedBatch<'a>, GivenUp> {
        let Preparation { steps, arena, words } = self;
        arena.reset();
        words.clear();
        let arena = &*arena;
        let mut out = Outgoing::new(words, batch.items.len());
        let mut away = Away::default();
        for item in batch.items {
            let record = item.record(batch.words, batch.threads, batch.scopes);
            let content = Content { entry: record.entry.get(), arguments: record.arguments };
            if item.own {
                out.push(item, item.entry, content.arguments);
                continue;
            }
            let prepared = steps.run(record, content, arena);
            books.settle(|| {})?; // not after a deadline: steps may take long
            match prepared {
                Ok(Content { entry, arguments }) => {
                    let is_as_it_was = std::ptr::eq(entry, content.entry);
                    out.push(item, if is_as_it_was { item.entry } else { EntryOf::Batch(entry) }, arguments);
                    continue;
                }
                Err(Lost::Dropped(reason)) => away.reasons.push(reason),
                Err(Lost::Failed(text)) => {
                    faults.report(format_args!("a record could not be prepared: {text}"));
                    away.failed += 1;
                    out.miss(item, record.level(), record.thread());
                }
            }
            away.by_level[record.level().index()] += 1;
        }
        let Outgoing { words, items, losses, .. } = out.finish();
        Ok(PreparedBatch { items, words, threads: batch.threads, scopes: batch.scopes, away, losses })
    }
}

/// A batch that is being made, of which records may be missing that could not be prepared: it says where.
pub(crate) struct Outgoing<'a> {
    pub(crate) words: &'a mut Vec<u64>,
    pub(crate) items: Vec<Item<'a>>,
    losses: Vec<Loss>,
    /// Records that are missing here, and the last of them.
    gap: Option<(Loss, Item<'a>)>,
}

impl<'a> Outgoing<'a> {
    /// Of so many records, or fewer.
    pub(crate) fn new(words: &'a mut Vec<u64>, records: usize) -> Self {
        Outgoing { words, items: Vec::with_capacity(records), losses: Vec::new(), gap: None }
    }

    /// With what is missing at its end.
    pub(crate) fn finish(mut self) -> Self {
        self.tell();
        self
    }

    pub(crate) fn push(&mut self, item: &Item<'a>, entry: EntryOf<'a>, arguments: &[u64]) {
        self.tell();
        self.place(item, entry, arguments, item.own);
    }

    fn place(&mut self, item: &Item<'a>, entry: EntryOf<'a>, arguments: &[u64], own: bool) {
        let (start, words) = (self.words.len(), arguments.len());
        self.words.extend_from_slice(arguments);
        let (truncated, scope) = (item.truncated && !own, item.scope.filter(|_| !own));
        self.items.push(Item { start, words, entry, own, truncated, scope, ..*item });
    }

    /// This record is missing.
    pub(crate) fn miss(&mut self, item: &Item<'a>, level: Level, thread: &Thread) {
        let is_of_another = |(_, last): &mut (Loss, Item<'a>)| last.thread != item.thread;
        if let Some(gap) = self.gap.take_if(is_of_another) {
            self.tell_of(gap);
        }
        let (loss, last) = self.gap.get_or_insert_with(|| {
            let loss = Loss {
                reason: Reason::Prepare,
                records: 0,
                by_level: ByLevel::default(),
                thread_id: thread.id(),
                thread_name: thread.name().map(str::to_owned),
                from: item.time,
                until: item.time,
                first: 0,
                last: 0,
                handler: None,
            };
            (loss, *item)
        });
        loss.records += 1;
        loss.by_level[level.index()] += 1;
        loss.until = item.time;
        *last = *item;
    }

    /// Tells of what is missing before the next record.
    fn tell(&mut self) {
        if let Some(gap) = self.gap.take() {
            self.tell_of(gap);
        }
    }

    fn tell_of(&mut self, (loss, last): (Loss, Item<'a>)) {
        let entry = EntryOf::Process(own::loss_entry(loss.reason));
        self.place(&last, entry, &own::loss_arguments(&loss), true);
        self.losses.push(loss);
    }
}
