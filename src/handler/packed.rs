//! Records that outlive their batch.
//!
//! A record of this process is its words and an id, and the dictionary only grows. One that a preparation changed, or that came
//! through a queue, has its entry with it, in the batch's memory: to be kept it is *packed* into its portable form, as the
//! words of a record whose entry says that.

use bumpalo::Bump;

use super::Item;
use super::batch::Contents;
use crate::callsite::{Entry, EntryOf, own_metadata};
use crate::record::{Record, portable};

/// Stands for what the words say themselves.
pub(super) static PACKED: Entry<'static> =
    Entry { metadata: &own_metadata!(Error, "treering::packed", &[], &[]), types: &[] };

/// The same records, at the same positions, for whoever keeps them. What cannot be packed, as it is too large, stays as it is.
pub(crate) fn packed<'a>(contents: Contents<'a>, arena: &'a Bump) -> Contents<'a> {
    let is_of_batch = |item: &Item<'_>| matches!(item.entry, EntryOf::Batch(_));
    if !contents.items.iter().any(is_of_batch) {
        return contents;
    }
    let mut words = Vec::with_capacity(contents.words.len());
    let items = arena.alloc_slice_fill_iter(contents.items.iter().map(|item| {
        let (start, record) = (words.len(), contents.record(item));
        if is_of_batch(item) && pack(&record, &mut words) {
            return Item { start, words: words.len() - start, entry: EntryOf::Process(&PACKED), ..*item };
        }
        words.truncate(start);
        words.extend(record.arguments);
        Item { start, words: record.arguments.len(), ..*item }
    }));
    Contents { items, words: arena.alloc_slice_copy(&words), ..contents }
}

/// Appends the portable form of a record, behind a word with its length. `false` if it has none, as it is too large.
#[expect(clippy::host_endian_bytes, reason = "kept by the process that reads it")]
pub(super) fn pack(record: &Record<'_>, words: &mut Vec<u64>) -> bool {
    let mut bytes = Vec::new();
    let is_fit = record.write_portable(&mut bytes).is_ok();
    words.push(bytes.len() as u64);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    words.extend(bytes.as_chunks().0.iter().map(|word| u64::from_ne_bytes(*word)));
    is_fit
}

/// The record that was packed into these words.
fn unpack<'a>(words: &[u64], arena: &'a Bump) -> Option<portable::Parts<'a>> {
    let (len, words) = words.split_first()?;
    let bytes = arena.alloc_slice_fill_iter(words.iter().map(|word| word.to_ne_bytes())).as_flattened();
    portable::read(arena, bytes.get(..*len as usize)?).ok()
}

/// Items and words, with what was packed as it had been.
pub(crate) fn unpacked<'a>(
    items: &'a [Item<'static>],
    words: &'a [u64],
    arena: &'a Bump,
) -> (&'a [Item<'a>], &'a [u64]) {
    if !items.iter().any(|item| std::ptr::eq(item.entry.get(), &PACKED)) {
        return (items, words);
    }
    let mut all = Vec::with_capacity(words.len());
    let items = arena.alloc_slice_fill_iter(items.iter().map(|item| {
        let (start, kept) = (all.len(), &words[item.start..item.start + item.words]);
        let parts = if std::ptr::eq(item.entry.get(), &PACKED) { unpack(kept, arena) } else { None };
        let entry = match parts {
            Some(parts) => {
                all.extend(parts.words());
                EntryOf::Batch(parts.entry)
            }
            None => {
                all.extend(kept);
                item.entry
            }
        };
        Item { start, words: all.len() - start, entry, ..*item }
    }));
    (items, arena.alloc_slice_copy(&all))
}
