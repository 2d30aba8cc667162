//! Batches for the tests of handlers, without an engine.

use super::{Batch, Contents, Handler, HandlerError, Item, Texts};
use crate::callsite::{EntryOf, Piece};
use crate::level::Level;
use crate::record::testing::Owned;
use crate::record::{Thread, Timestamp};
use crate::stats::Cursor;
use crate::sync::Arc;

/// The head of every line of the records of [`Run::of`] in the default format, at INFO.
pub(crate) const HEAD: &str = "2023-11-14T22:13:20.123456789Z INFO  tests: ";

/// Records in order, as the listener gathers them.
#[derive(Debug)]
pub(crate) struct Run {
    items: Vec<Item<'static>>,
    words: Vec<u64>,
    threads: Vec<Arc<Thread>>,
    /// The positions of all items.
    all: Vec<u32>,
    cursor: Cursor,
    pub(crate) texts: Texts,
}

impl Run {
    /// These records.
    pub(crate) fn new(records: impl IntoIterator<Item = Owned>) -> Self {
        let mut run = Run {
            items: Vec::new(),
            words: Vec::new(),
            threads: Vec::new(),
            all: Vec::new(),
            cursor: Cursor::new(),
            texts: Texts::default(),
        };
        for (position, record) in (0..).zip(records) {
            run.all.push(position);
            run.items.push(Item {
                start: run.words.len(),
                words: record.words.len(),
                entry: EntryOf::Process(record.entry),
                time: record.time,
                stamp: record.stamp,
                thread: run.threads.len(),
                truncated: record.truncated,
                own: false,
                scope: None,
            });
            run.words.extend(record.words);
            run.threads.push(Arc::new(record.thread));
        }
        run
    }

    /// One record for each message, a literal, all of one level.
    pub(crate) fn of<S: Into<String>>(level: Level, messages: impl IntoIterator<Item = S>) -> Self {
        Run::new(messages.into_iter().map(|message| {
            let literal = Piece::Literal(String::leak(message.into()));
            Owned::new(level, "tests", &[literal], &[], ())
        }))
    }

    /// One record for each message, a literal, of its level.
    pub(crate) fn each(messages: impl IntoIterator<Item = (Level, &'static str)>) -> Self {
        let record = |(level, text)| Owned::new(level, "tests", &[Piece::Literal(text)], &[], ());
        Run::new(messages.into_iter().map(record))
    }

    /// One record for each message, a literal, at INFO, all made at this time.
    pub(crate) fn at(time: Timestamp, messages: impl IntoIterator<Item = String>) -> Self {
        let mut run = Run::of(Level::Info, messages);
        run.items.iter_mut().for_each(|item| item.time = time);
        run
    }

    /// From this position on the records are the engine's own.
    pub(crate) fn own_from(mut self, position: usize) -> Self {
        self.items[position..].iter_mut().for_each(|item| item.own = true);
        self
    }

    /// What the listener would hand over to a handler of this level.
    pub(crate) fn batch(&self, handler: &impl Handler) -> Batch<'_> {
        let max_level = handler.max_level();
        let passes = |at: &u32| max_level.allows(self.items[*at as usize].entry.metadata.level);
        let chosen = self.all.iter().copied().filter(passes).collect::<Vec<_>>().leak();
        Batch { chosen, ..self.all() }
    }

    /// As for a handler that takes every level.
    pub(crate) fn all(&self) -> Batch<'_> {
        let Run { items, words, threads, texts, .. } = self;
        let contents = Contents { items, words, threads, scopes: &[], texts };
        Batch { contents, chosen: &self.all, cursor: &self.cursor, within: None }
    }
}

/// Hands one batch of messages at INFO over, as the listener would.
pub(crate) fn offer<S: Into<String>>(
    handler: &mut impl Handler,
    messages: impl IntoIterator<Item = S>,
) -> Result<(), HandlerError> {
    let run = Run::of(Level::Info, messages);
    let batch = run.batch(handler);
    handler.handle(&batch)
}

/// How many records an error says were lost.
///
/// # Panics
/// If it says that anything else happened: handlers that buffer only lose.
pub(crate) fn lost(result: Result<(), HandlerError>) -> u64 {
    match result.map_err(|error| error.cost) {
        Ok(()) => 0,
        Err(super::Cost::Lost(records)) => records,
        Err(cost) => panic!("{cost:?}"),
    }
}
