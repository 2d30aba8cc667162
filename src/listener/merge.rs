//! From many rings to one sequence.
//!
//! The listener copies records out of the rings, in order, into a [`Collected`], and gives the room back: producers
//! get it before anything is formatted. The order is by the key `max(stamp, key of the ring's previous record)`, so
//! each ring stays first in, first out, also where a stamp goes back. A heap of the rings' next keys makes it
//! O(log threads) for each run of records from one ring.
//!
//! **Causal order**: the cut-off is read *before any tail*, and no record with a later key is taken. Had A's record
//! not been visible when A's tail was read, it was committed after the cut-off, and whatever it caused was stamped
//! later still: it is held back as well. That takes a clock that is the same on all cores, and cores that agree on
//! when a store became visible (x86-64 and Armv8 do); see `Ticker`.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use crate::clock::WallClock;
use crate::handler::Item;
use crate::record::Thread;
use crate::ring::{Consumer, HEADER_WORDS, Header, LOSS_ID, PAD_ID, loss_counts};
use crate::stats::{ByLevel, add, total};
use crate::sync::{Arc, AtomicU64, Ordering};
use crate::transport::{Lease, Transport};

use super::own;
use super::resolve::Entries;

/// Records in a batch: enough to make one large write, few enough to stay in the cache.
#[cfg(not(treering_loom))]
const RECORDS_MAX: usize = 1024;
#[cfg(treering_loom)]
const RECORDS_MAX: usize = 2;
/// Words in a batch, unless a single record is longer.
const WORDS_MAX: usize = 32 * 1024;

/// The rings, as the listener knows them.
#[derive(Debug)]
pub(crate) struct Inlets {
    /// By ring number.
    inlets: Vec<Inlet>,
    /// The next key of each ring that has records, least first.
    heap: BinaryHeap<Reverse<(u64, usize)>>,
    /// The registry's generation at the last look.
    seen: u64,
    /// Words in the fullest ring when the tails were read.
    fullest: usize,
}

#[derive(Debug)]
struct Inlet {
    consumer: Consumer,
    lease: Lease,
    /// Words that this round may take: the tail as it was read after the cut-off.
    committed: usize,
    /// Words of those that were copied or skipped; given back to the producer with the batch.
    taken: usize,
    /// The key of the last record taken.
    key: u64,
    /// Records in the batch, the ledger's own only.
    collected: u64,
    /// Losses that the stream told of.
    reported: ByLevel,
    /// Losses at the last housekeeping.
    lost_before: u64,
    /// Words past the last tail that were counted as late.
    late_words: usize,
}

/// Whose losses [`Inlets::report_losses`] tells of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LossesOf {
    /// At the end.
    AllThreads,
    /// They will tell of nothing any more.
    ThreadsThatLeft,
    /// Those that lost nothing more since the last call with this: they may not log again for long.
    SilentThreads,
}

/// What the listener took from the rings, in order.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    pub(crate) items: Vec<Item>,
    pub(crate) words: Vec<u64>,
    /// By ring number, and behind those the threads that share a ring.
    pub(crate) threads: Vec<Arc<Thread>>,
    /// Where in `threads` those are that share a ring, by number.
    sharing: HashMap<u32, usize>,
    /// Hand-out of this batch has begun: it must not be handed out again.
    pub(crate) begun: bool,
}

impl Collected {
    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    fn is_full(&self) -> bool {
        self.items.len() >= RECORDS_MAX || self.words.len() >= WORDS_MAX
    }

    /// Appends one of the engine's own records.
    pub(crate) fn push_own(
        &mut self,
        entry: &'static crate::callsite::Entry,
        arguments: &[u64],
        stamp: u64,
        thread: usize,
        clock: &WallClock,
    ) {
        let start = self.words.len();
        self.words.extend_from_slice(arguments);
        self.items.push(Item {
            start,
            words: arguments.len(),
            entry,
            time: clock.time_of(stamp),
            stamp,
            thread,
            truncated: false,
            own: true,
        });
    }

    /// The position in `threads` of a thread that has no ring of its own.
    pub(crate) fn sharing_thread(&mut self, id: u32) -> usize {
        *self.sharing.entry(id).or_insert_with(|| {
            self.threads.push(Arc::new(Thread::new(id, None)));
            self.threads.len() - 1
        })
    }
}

impl Inlets {
    pub(crate) fn new() -> Self {
        Inlets { inlets: Vec::new(), heap: BinaryHeap::new(), seen: 0, fullest: 0 }
    }

    /// Looks at the registry, if it has changed. Between batches only: a ring's thread may be another one after it.
    pub(crate) fn refresh(&mut self, transport: &Transport, closing: bool, batch: &mut Collected) {
        debug_assert!(batch.is_empty());
        let Inlets { inlets, seen, .. } = self;
        batch.threads.truncate(inlets.len());
        batch.sharing.clear();
        transport.look(seen, closing, |index, consumer, thread, lease| {
            if let Some(consumer) = consumer {
                debug_assert_eq!(index, inlets.len());
                inlets.push(Inlet::new(consumer));
                batch.threads.push(thread.clone());
            }
            inlets[index].lease = lease;
            batch.threads[index] = thread.clone();
        });
    }

    /// Whether the registry has changed since the last [`refresh`](Self::refresh), or any ring has records, by a
    /// fresh look at all tails.
    pub(crate) fn has_news(&self, transport: &Transport) -> bool {
        #[cfg(treering_mutant = "park_knows_old_rings_only")]
        let changed = false;
        #[cfg(not(treering_mutant = "park_knows_old_rings_only"))]
        let changed = transport.has_changed(self.seen);
        changed || self.in_use().any(|inlet| inlet.consumer.committed_words() > 0)
    }

    /// Reads all tails afresh: what this round may take.
    pub(crate) fn read_tails(&mut self) {
        self.heap.clear();
        self.fullest = 0;
        for (index, inlet) in self.inlets.iter_mut().enumerate() {
            if inlet.lease == Lease::Free {
                continue;
            }
            inlet.committed = inlet.consumer.committed_words();
            self.fullest = self.fullest.max(inlet.committed);
            if let Some(key) = inlet.next_key() {
                self.heap.push(Reverse((key, index)));
            }
        }
    }

    /// Whether the next record is an echo; `None` if none comes up to the cut-off.
    pub(crate) fn next_is_echo(&self, cutoff: u64) -> Option<bool> {
        let Reverse((key, index)) = *self.heap.peek()?;
        (key <= cutoff).then(|| self.inlets[index].lease == Lease::Echoes)
    }

    /// Copies records up to the cut-off, in order, until the batch is full. A batch has nothing but echoes, or none.
    pub(crate) fn collect(
        &mut self,
        cutoff: u64,
        batch: &mut Collected,
        clock: &WallClock,
        entries: &mut Entries,
    ) {
        let echoes = self.next_is_echo(cutoff);
        while echoes.is_some() && self.next_is_echo(cutoff) == echoes && !batch.is_full() {
            let Some(Reverse((_, index))) = self.heap.pop() else { return };
            // A run: everything of this ring that comes before the next ring's next record.
            let bound = self.heap.peek().map_or(cutoff, |Reverse((next, _))| cutoff.min(*next));
            let inlet = &mut self.inlets[index];
            inlet.collect_run(index, bound, batch, clock, entries);
            if let Some(key) = inlet.next_key() {
                self.heap.push(Reverse((key, index)));
            }
        }
    }

    /// Gives the room of what was collected back to the producers.
    pub(crate) fn release(&mut self) {
        for inlet in self.inlets.iter_mut().filter(|inlet| inlet.taken > 0) {
            inlet.consumer.release(inlet.taken);
            inlet.committed -= inlet.taken;
            inlet.taken = 0;
        }
    }

    /// Counts what was collected as dispatched. Under the book lock.
    pub(crate) fn settle_dispatched(&mut self) {
        for inlet in self.inlets.iter_mut().filter(|inlet| inlet.collected > 0) {
            add(&inlet.consumer.counters().settled.dispatched, inlet.collected);
            inlet.collected = 0;
        }
    }

    /// Tells of losses that no producer told of.
    pub(crate) fn report_losses(&mut self, of: LossesOf, now: u64, batch: &mut Collected, clock: &WallClock) {
        for (index, inlet) in self.inlets.iter_mut().enumerate() {
            if of == LossesOf::ThreadsThatLeft && inlet.lease != Lease::Left {
                continue; // the counts are in a cache line of the thread's
            }
            let counts = inlet.consumer.counters().cold.dropped_full.load();
            let lost_before = std::mem::replace(&mut inlet.lost_before, total(&counts));
            if of != LossesOf::SilentThreads || lost_before == total(&counts) {
                push_loss(&mut inlet.reported, counts, index, now, batch, clock);
            }
        }
    }

    /// Hands rings that were left and are drained back to the registry.
    pub(crate) fn reclaim(&mut self, transport: &Transport) {
        for (index, inlet) in self.inlets.iter_mut().enumerate() {
            // Left was learnt before the tail was read, and its thread writes no more: empty means drained.
            let is_drained = inlet.committed == 0 || cfg!(treering_mutant = "reclaim_undrained");
            if inlet.lease == Lease::Left && is_drained {
                inlet.lease = Lease::Free;
                transport.reclaim(index);
            }
        }
    }

    /// Whether records were too young for the last cut-off.
    pub(crate) fn hold_back(&self) -> bool {
        !self.heap.is_empty()
    }

    /// How many rings there are.
    #[cfg(treering_loom)]
    pub(crate) fn len(&self) -> usize {
        self.inlets.len()
    }

    /// Words in the fullest ring when the tails were read last.
    pub(crate) fn fullest_words(&self) -> usize {
        self.fullest
    }

    /// After the last drain: counts records that were committed past it as late.
    pub(crate) fn count_late(&mut self) {
        self.inlets.iter_mut().for_each(Inlet::count_late);
    }

    fn in_use(&self) -> impl Iterator<Item = &Inlet> {
        self.inlets.iter().filter(|inlet| inlet.lease != Lease::Free)
    }
}

impl Inlet {
    fn new(consumer: Consumer) -> Self {
        Inlet {
            consumer,
            lease: Lease::Lent,
            committed: 0,
            taken: 0,
            key: 0,
            collected: 0,
            reported: [0; 5],
            lost_before: 0,
            late_words: 0,
        }
    }

    /// The key of the next record this round may take, past pads.
    fn next_key(&mut self) -> Option<u64> {
        let Inlet { consumer, committed, taken, key, .. } = self;
        if taken == committed {
            return None;
        }
        consumer.peek(*committed, |ring| {
            while let Some((header, record)) = ring.record_at(*taken) {
                if header.id != PAD_ID {
                    return Some(stamp_of(record).max(*key));
                }
                *taken += record.len();
            }
            None
        })
    }

    /// Copies records up to `bound` until the batch is full.
    fn collect_run(
        &mut self,
        index: usize,
        bound: u64,
        batch: &mut Collected,
        clock: &WallClock,
        entries: &mut Entries,
    ) {
        let Inlet { consumer, committed, taken, key, collected, reported, .. } = self;
        consumer.peek(*committed, |ring| {
            while let Some((header, record)) = ring.record_at(*taken) {
                if header.id != PAD_ID {
                    let stamp = stamp_of(record);
                    let next = stamp.max(*key);
                    if next > bound || batch.is_full() {
                        return;
                    }
                    *key = next;
                    let arguments = record.get(HEADER_WORDS..).unwrap_or(&[]);
                    if header.id == LOSS_ID {
                        push_loss(reported, loss_counts(arguments), index, stamp, batch, clock);
                    } else {
                        push_record(header, stamp, arguments, index, batch, clock, entries);
                        *collected += 1;
                    }
                }
                *taken += record.len();
            }
        });
    }

    fn count_late(&mut self) {
        let committed = self.consumer.committed_words();
        let mut late = 0;
        let counted = self.late_words;
        self.late_words = self.consumer.peek(committed, |ring| {
            let mut at = counted;
            while let Some((header, record)) = ring.record_at(at) {
                late += u64::from(header.id != PAD_ID && header.id != LOSS_ID);
                at += record.len();
            }
            at
        });
        add(&self.consumer.counters().settled.late, late);
    }
}

fn stamp_of(record: &[u64]) -> u64 {
    record.get(1).copied().unwrap_or(0)
}

fn push_record(
    header: Header,
    stamp: u64,
    arguments: &[u64],
    index: usize,
    batch: &mut Collected,
    clock: &WallClock,
    entries: &mut Entries,
) {
    let (thread, arguments) = match (header.has_thread, arguments) {
        (true, [id, rest @ ..]) => (batch.sharing_thread(*id as u32), rest),
        _ => (index, arguments),
    };
    let start = batch.words.len();
    batch.words.extend_from_slice(arguments);
    batch.items.push(Item {
        start,
        words: arguments.len(),
        entry: entries.resolve(header.id).unwrap_or(own::UNKNOWN),
        time: clock.time_of(stamp),
        stamp,
        thread,
        truncated: header.truncated,
        own: false,
    });
}

/// Tells how many more were lost than the stream told of. Counts are cumulative, so telling twice tells nothing.
fn push_loss(
    reported: &mut ByLevel,
    counts: ByLevel,
    index: usize,
    stamp: u64,
    batch: &mut Collected,
    clock: &WallClock,
) {
    let lost: ByLevel = std::array::from_fn(|level| counts[level].saturating_sub(reported[level]));
    if total(&lost) > 0 {
        *reported = std::array::from_fn(|level| counts[level].max(reported[level]));
        let arguments = own::loss_arguments(&lost, batch.threads[index].id());
        batch.push_own(own::LOSS, &arguments, stamp, index, clock);
    }
}

/// Counts records that are handed out after one with a later stamp.
pub(crate) fn count_reordered(items: &[Item], highest: &mut u64, reordered: &AtomicU64) {
    let mut below = 0;
    for item in items.iter().filter(|item| !item.own) {
        below += u64::from(item.stamp < *highest);
        *highest = item.stamp.max(*highest);
    }
    if below > 0 {
        reordered.fetch_add(below, Ordering::Relaxed);
    }
}
