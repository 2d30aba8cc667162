//! The text of a record, made once for all handlers that want the same.
//!
//! Handlers whose formats have equal [keys](crate::format::Format::key) share a [`Shared`] as long as a batch is handed
//! out: who makes a record's text first leaves a copy, and the others take that. A handler takes the share when it begins
//! with a batch and puts it back at the end; in between it is its own, so nobody waits, and one that panics costs the
//! others the copies and nothing else.
//!
//! A copy that nobody takes is wasted, so it is made only where the batch before had at least two handlers for it, who
//! wanted enough of the same. One handler alone pays one look into a short list for each batch.

use crate::record::Record;
use crate::sync::Mutex;

use super::Batch;

/// A text is copied for others if they want at least a quarter as many as the one who wants most: making one costs
/// several times as much as copying it.
const WORTH_A_COPY: usize = 4;
/// So much memory for texts is kept from batch to batch.
const TEXTS_BYTES_MAX: usize = 256 * 1024;

/// The shares of the batch in hand.
#[derive(Default, Debug)]
pub(crate) struct Texts(Mutex<Vec<Share>>);

/// What handlers of one key have in common.
#[derive(Debug)]
struct Share {
    key: String,
    /// How many records handlers have begun with, in this batch, and how many the one with most.
    wanted: usize,
    wanted_most: usize,
    /// `None` where copies are not worth it, or while a handler has it.
    shared: Option<Shared>,
}

/// Texts of the records of one batch, while one handler has it.
#[derive(Default, Debug)]
pub(super) struct Shared {
    bytes: Vec<u8>,
    /// By position in the batch.
    texts: Vec<Option<Text>>,
    /// The positions that the present handler will ask for, in order, and how many it did.
    positions: Vec<u32>,
    asked: usize,
}

/// Where a text lies, and of which record it is.
#[derive(Clone, Copy, Debug)]
struct Text {
    start: usize,
    end: usize,
    stamp: u64,
    arguments: usize,
}

impl Texts {
    /// A new batch: nothing of the one before is left but what was learnt.
    pub(crate) fn begin(&self) {
        self.0.lock().retain_mut(Share::begin);
    }

    /// The share of this key, if it is worth having. For the whole of a call of `handle`.
    pub(super) fn take(&self, key: &str, batch: &Batch<'_>) -> Option<Shared> {
        let mut shares = self.0.lock();
        let Some(share) = shares.iter_mut().find(|share| share.key == key) else {
            let (key, wanted) = (key.to_owned(), batch.len());
            shares.push(Share { key, wanted, wanted_most: wanted, shared: None });
            return None;
        };
        share.wanted += batch.len();
        share.wanted_most = share.wanted_most.max(batch.len());
        let mut shared = share.shared.take()?;
        drop(shares);
        shared.begin(batch);
        Some(shared)
    }

    pub(super) fn put_back(&self, key: &str, shared: Shared) {
        if let Some(share) = self.0.lock().iter_mut().find(|share| share.key == key) {
            share.shared = Some(shared);
        }
    }
}

impl Share {
    /// Whether somebody asked for it in the batch before.
    fn begin(&mut self) -> bool {
        let is_worth_it = (self.wanted - self.wanted_most) * WORTH_A_COPY >= self.wanted_most;
        let was_wanted = self.wanted > 0;
        (self.wanted, self.wanted_most) = (0, 0);
        if is_worth_it && was_wanted {
            self.shared.get_or_insert_default().clear();
        } else {
            self.shared = None;
        }
        was_wanted
    }
}

impl Shared {
    fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(TEXTS_BYTES_MAX);
        self.texts.clear();
    }

    fn begin(&mut self, batch: &Batch<'_>) {
        self.positions.clear();
        self.positions.extend_from_slice(batch.chosen);
        self.asked = 0;
        self.texts.resize(batch.contents.items.len(), None);
    }

    /// The text of the handler's next record, which is this one, if it was made; else where it shall be left.
    #[inline]
    pub(super) fn next(&mut self, record: &Record<'_>) -> Result<&[u8], Place> {
        let place = Place { position: self.positions.get(self.asked).copied() };
        self.asked += 1;
        let text = place.position.and_then(|position| self.texts[position as usize]);
        match text {
            // Who goes through its batch in an order of its own gets nothing wrong.
            Some(text) if text.is_of(record) => Ok(&self.bytes[text.start..text.end]),
            _ => Err(place),
        }
    }

    /// Leaves a text for the others.
    #[inline]
    pub(super) fn leave(&mut self, place: Place, record: &Record<'_>, text: &[u8]) {
        let Some(position) = place.position else { return };
        let start = self.bytes.len();
        self.bytes.extend_from_slice(text);
        let (stamp, arguments) = (record.stamp, record.arguments.as_ptr().addr());
        self.texts[position as usize] = Some(Text { start, end: self.bytes.len(), stamp, arguments });
    }
}

/// Where a text is to be left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    position: Option<u32>,
}

impl Text {
    fn is_of(&self, record: &Record<'_>) -> bool {
        self.stamp == record.stamp && self.arguments == record.arguments.as_ptr().addr()
    }
}
