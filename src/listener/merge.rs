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

use crate::callsite::{Entry, EntryOf};
use crate::clock::WallClock;
use crate::handler::{Item, position_of};
use crate::overflow::{Loss, Reason};
use crate::own;
use crate::record::scope::Says;
use crate::record::{Scope, Thread};
use crate::ring::{Consumer, HEADER_WORDS, Header, PAD_ID, Sites, Words, read_loss};
use crate::stats::{ByLevel, RingCounters, SpanCounters, add, total};
use crate::sync::{Arc, AtomicU64, Ordering};
use crate::transport::{Lease, Transport};

use super::resolve::Entries;
use super::spans::Spans;

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
    spans: Spans,
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
    ledger: Ledger,
    /// Losses at the last housekeeping.
    lost_before: u64,
    /// Words past the last tail that were counted as late.
    late_words: usize,
}

/// What the stream has told of one ring's losses, and what there is to tell.
#[derive(Debug)]
struct Ledger {
    counters: Arc<RingCounters>,
    sites: Arc<Sites>,
    /// Told, by reason.
    lost: [ByLevel; Reason::COUNT],
    /// Told of records left out by sampling, by row of `sites`.
    left_out: Vec<u64>,
    /// Calls of the ring's present thread that left a record, or are told to be lost.
    calls: u64,
    /// As many when a loss was told of last.
    calls_at_loss: u64,
}

/// A loss that is about to be told of.
#[derive(Clone, Copy, Debug)]
struct Losing {
    reason: Reason,
    /// All of the ring's so far.
    counts: ByLevel,
    /// The stamp at which it began, if that is known.
    since: Option<u64>,
}

/// What it takes to tell.
struct Teller<'a> {
    batch: &'a mut Collected,
    clock: &'a WallClock,
    entries: &'a mut Entries,
    spans: &'a mut Spans,
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
    pub(crate) items: Vec<Item<'static>>,
    pub(crate) words: Vec<u64>,
    /// By ring number, and behind those the threads that share a ring.
    pub(crate) threads: Vec<Arc<Thread>>,
    /// What records that were logged in spans have around them.
    pub(crate) scopes: Vec<Arc<Scope>>,
    /// What the batch tells of losses, for who wants to know beside the stream.
    pub(crate) losses: Vec<Loss>,
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
        entry: &'static Entry<'static>,
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
            entry: EntryOf::Process(entry),
            time: clock.time_of(stamp),
            stamp,
            thread,
            truncated: false,
            own: true,
            scope: None,
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
        Inlets { inlets: Vec::new(), heap: BinaryHeap::new(), seen: 0, fullest: 0, spans: Spans::new() }
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
            if !Arc::ptr_eq(&batch.threads[index], thread) {
                inlets[index].ledger.begin_tenancy();
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
            inlet.committed = inlet.consumer.take_committed();
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
            #[cfg(treering_mutant = "run_to_cutoff")]
            let bound = cutoff;
            #[cfg(treering_mutant = "run_to_next")]
            let bound = self.heap.peek().map_or(cutoff, |Reverse((next, _))| *next);
            let inlet = &mut self.inlets[index];
            let spans = &mut self.spans;
            inlet.collect_run(index, bound, &mut Teller { batch, clock, entries, spans });
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

    /// How many records were collected and are not counted as dispatched yet.
    pub(crate) fn unsettled(&self) -> u64 {
        self.inlets.iter().map(|inlet| inlet.collected).sum()
    }

    /// Counts what was collected as dispatched. Under the book lock.
    pub(crate) fn settle_dispatched(&mut self, spans: &SpanCounters) {
        self.spans.count(spans);
        for inlet in self.inlets.iter_mut().filter(|inlet| inlet.collected > 0) {
            add(&inlet.consumer.counters().settled.dispatched, inlet.collected);
            inlet.collected = 0;
        }
    }

    /// Tells of losses that no producer told of.
    pub(crate) fn report_losses(
        &mut self,
        of: LossesOf,
        now: u64,
        batch: &mut Collected,
        clock: &WallClock,
        entries: &mut Entries,
    ) {
        for (index, inlet) in self.inlets.iter_mut().enumerate() {
            if of == LossesOf::ThreadsThatLeft && inlet.lease != Lease::Left {
                continue; // the counts are in a cache line of the thread's
            }
            let losses = Reason::OF_RINGS.map(|reason| inlet.ledger.counted(reason));
            // The oldest are told of where they are missing, but for those that were dropped behind the last tail.
            let is_told = |losing: &&Losing| losing.reason != Reason::Oldest || of == LossesOf::AllThreads;
            let losses = losses.iter().filter(is_told);
            let lost = losses.clone().map(|losing| total(&losing.counts)).sum();
            let lost_before = std::mem::replace(&mut inlet.lost_before, lost);
            // Nor does who left lose more, and its ring is about to be another thread's.
            let is_over = lost_before == lost || inlet.lease == Lease::Left;
            let is_last = of != LossesOf::SilentThreads || is_over;
            // What is held back was logged before, or its loss record will tell.
            if is_last && (of == LossesOf::AllThreads || inlet.committed == 0) {
                let spans = &mut self.spans;
                inlet.ledger.tell(losses, index, now, &mut Teller { batch, clock, entries, spans });
            }
        }
    }

    /// Hands rings that were left and are drained back to the registry.
    pub(crate) fn reclaim(&mut self, transport: &Transport) {
        for (index, inlet) in self.inlets.iter_mut().enumerate() {
            // Left was learnt before the tail was read, and its thread writes no more: empty means drained.
            let is_drained = inlet.committed == 0 || cfg!(treering_mutant = "reclaim_undrained");
            if inlet.lease == Lease::Left && is_drained {
                // Until the registry says otherwise: it may be taken and left again before the next look there.
                if !cfg!(treering_mutant = "reclaim_again") {
                    inlet.lease = Lease::Free;
                }
                transport.reclaim(index);
            }
        }
    }

    /// The key of the next record of those that the last look found.
    pub(crate) fn next_key(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse((key, _))| *key)
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
            lease: Lease::Lent,
            committed: 0,
            taken: 0,
            key: 0,
            collected: 0,
            ledger: Ledger::new(&consumer),
            consumer,
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
    fn collect_run(&mut self, index: usize, bound: u64, to: &mut Teller<'_>) {
        let Inlet { consumer, committed, taken, key, collected, ledger, .. } = self;
        consumer.peek(*committed, |ring| {
            while let Some((header, record)) = ring.record_at(*taken) {
                if header.id == PAD_ID {
                    *taken += record.len();
                    continue;
                }
                let stamp = stamp_of(record);
                let next = stamp.max(*key);
                if next > bound || to.batch.is_full() {
                    return;
                }
                *key = next;
                if header.is_loss() {
                    let losses = losses_at(ring, taken, header.id);
                    ledger.tell(&losses, index, stamp, to);
                } else {
                    let arguments = record.get(HEADER_WORDS..).unwrap_or(&[]);
                    push_record(header, stamp, arguments, index, to);
                    *collected += 1;
                    ledger.calls += 1;
                    *taken += record.len();
                }
            }
        });
    }

    fn count_late(&mut self) {
        let committed = self.consumer.take_committed();
        let mut late = 0;
        let counted = self.late_words;
        self.late_words = self.consumer.peek(committed, |ring| {
            let mut at = counted;
            while let Some((header, record)) = ring.record_at(at) {
                late += u64::from(header.is_record());
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

impl Ledger {
    fn new(ring: &Consumer) -> Self {
        Ledger {
            counters: ring.counters().clone(),
            sites: ring.sites().clone(),
            lost: Default::default(),
            left_out: vec![0; ring.sites().len()],
            calls: 0,
            calls_at_loss: 0,
        }
    }

    /// The ring is another thread's now.
    fn begin_tenancy(&mut self) {
        (self.calls, self.calls_at_loss) = (0, 0);
    }

    /// The loss for this reason as the ring's counters have it.
    fn counted(&self, reason: Reason) -> Losing {
        let counts = self.counters.cold.dropped[reason as usize].records.load();
        Losing { reason, counts, since: None }
    }

    /// Tells how many more were lost than the stream told of. Counts are cumulative, so telling twice tells nothing.
    fn tell<'a>(
        &mut self,
        losses: impl IntoIterator<Item = &'a Losing>,
        index: usize,
        until: u64,
        to: &mut Teller<'_>,
    ) {
        let news = losses.into_iter().map(|losing| (losing, self.settle(losing)));
        let news: Vec<_> = news.filter(|(_, lost)| total(lost) > 0).collect();
        if news.is_empty() {
            return;
        }
        let lost: u64 = news.iter().map(|(_, lost)| total(lost)).sum();
        self.calls += lost;
        // What was left out by sampling lies between records that were not.
        let is_sampled = news.iter().any(|(losing, _)| losing.reason == Reason::Sampled);
        let first = if is_sampled { self.calls_at_loss + 1 } else { self.calls - lost + 1 };
        for (losing, by_level) in news {
            let since =
                losing.since.or_else(|| self.counters.cold.dropped[losing.reason as usize].take_since());
            let thread = &to.batch.threads[index];
            let loss = Loss {
                reason: losing.reason,
                records: total(&by_level),
                by_level,
                thread_id: thread.id(),
                thread_name: thread.name().map(str::to_owned),
                // A loss that began while the one before was told of may have left its stamp to that.
                from: to.clock.time_of(since.map_or(until, |since| since.min(until))),
                until: to.clock.time_of(until),
                first,
                last: self.calls,
                handler: None,
            };
            let arguments = own::loss_arguments(&loss);
            to.batch.push_own(own::loss_entry(loss.reason), &arguments, until, index, to.clock);
            to.batch.losses.push(loss);
        }
        self.calls_at_loss = self.calls;
        if is_sampled {
            self.tell_sites(index, until, to);
        }
    }

    /// How much is new of this loss; from now on it is told.
    fn settle(&mut self, losing: &Losing) -> ByLevel {
        let told = &mut self.lost[losing.reason as usize];
        let lost = std::array::from_fn(|level| losing.counts[level].saturating_sub(told[level]));
        told.iter_mut().zip(&losing.counts).for_each(|(told, count)| *told = (*told).max(*count));
        lost
    }

    /// Tells which callsites were left out by sampling, and how often.
    fn tell_sites(&mut self, index: usize, stamp: u64, to: &mut Teller<'_>) {
        for ((id, left_out), told) in self.sites.left_out().zip(&mut self.left_out) {
            let news = left_out - std::mem::replace(told, left_out);
            if news == 0 {
                continue;
            }
            let (entry, arguments) = match id.and_then(|id| to.entries.resolve(id)) {
                Some(entry) => (own::LEFT_OUT, own::callsite_arguments(news, entry.metadata)),
                None => (own::LEFT_OUT_ELSEWHERE, vec![news]),
            };
            to.batch.push_own(entry, &arguments, stamp, index, to.clock);
        }
    }
}

/// The loss records that stand here, one behind the other, and were written together. Goes on behind them.
fn losses_at(ring: Words<'_>, at: &mut usize, id: u32) -> Vec<Losing> {
    let mut losses = Vec::new();
    while let Some((header, record)) = ring.record_at(*at)
        && header.id == id
    {
        *at += record.len();
        let read = record.get(HEADER_WORDS..).and_then(read_loss);
        losses.extend(read.map(|(reason, since, counts)| Losing { reason, counts, since: Some(since) }));
    }
    losses
}

#[inline] // for each record
fn push_record(header: Header, stamp: u64, arguments: &[u64], index: usize, to: &mut Teller<'_>) {
    let Teller { batch, clock, entries, spans } = to;
    let entry = entries.resolve(header.id).unwrap_or(own::UNKNOWN);
    let (thread, arguments) = match (header.has_thread, arguments) {
        (true, [id, rest @ ..]) => (batch.sharing_thread(*id as u32), rest),
        _ => (index, arguments),
    };
    let said = if header.has_span { Says::read(arguments) } else { None };
    let (arguments, scope) = match said {
        None => (arguments, None),
        Some((says, arguments)) => match spans.take(says, entry, arguments, header.truncated) {
            Some(scope) => (arguments, position_of(&scope, &mut batch.scopes)),
            // It was for the listener alone.
            None => return,
        },
    };
    let start = batch.words.len();
    batch.words.extend_from_slice(arguments);
    batch.items.push(Item {
        start,
        words: arguments.len(),
        entry: EntryOf::Process(entry),
        time: clock.time_of(stamp),
        stamp,
        thread,
        truncated: header.truncated,
        own: false,
        scope,
    });
}

/// Counts records that are handed out after one with a later stamp.
pub(crate) fn count_reordered(items: &[Item<'_>], highest: &mut u64, reordered: &AtomicU64) {
    let mut below = 0;
    for item in items.iter().filter(|item| !item.own) {
        below += u64::from(item.stamp < *highest);
        *highest = item.stamp.max(*highest);
    }
    if below > 0 {
        reordered.fetch_add(below, Ordering::Relaxed);
    }
}
