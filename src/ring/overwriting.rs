//! A ring whose producer drops the oldest records when it needs their room.
//!
//! ```text
//!            head (both)                           tail (producer)
//!              ▼                                     ▼
//!   ┌──────────┬─────────────┬──────────┬────────────┬───────────────┐
//!   │   free   │   oldest    │  record  │   newest   │     free      │   atomic words of 8 bytes
//!   └──────────┴─────────────┴──────────┴────────────┴───────────────┘
//! ```
//! Positions only grow; a word lies at its position modulo the capacity, and records go around the end. Whoever moves
//! the head by a compare-and-swap decides the fate of the records that it passes: the producer drops whole records, which
//! it finds by their headers; the consumer takes all there are. So each record has one fate, and each side goes on
//! whatever the other one does.
//!
//! ```text
//!  producer, who needs room             consumer
//!  1  head: load(Acquire)               1  tail: load(Acquire), head: load(Acquire)
//!  2  not enough free: what is missing  2  words of [head, tail): copied
//!     then, written down; CAS(Release)  3  what is missing at this head: copied
//!     of the head over the oldest       4  head: CAS(Release) to the tail: both copies are good
//!  3  words: stored                     5  it fails: the words are good from the new head on, which
//!  4  tail: store(Release)                 is claimed as in 3 and 4; nothing of it left: the end
//! ```
//! The copy is read while it may be overwritten. Overwriting a word takes a head that is past it. Before the consumer's
//! claim succeeds no head was: the claim replaces the very value that the copy is good from, and values never return. After
//! it the producer must have read the claim, or a later head, by its 1: so the consumer's reads happen before its stores,
//! and cannot see them. It needs no fence. See docs/memory-ordering.md.
//!
//! **What is missing** before the head is the producer's to say: it alone has seen the records that it dropped. It
//! writes that down *before* it moves the head there, into one of two [`Gap`]s by turns. So the one of the present head is
//! not written to until the head was moved again, and then a claim from it fails: the argument is that of the words. Loss
//! records that were dropped are part of it, as they told of what is missing there.
//!
//! What the consumer has claimed lies in a copy of its own, in order, until it is released; in it loss records stand
//! where something is missing.

use crossbeam_utils::CachePadded;

use crate::level::Level;
use crate::overflow::Reason;
use crate::stats::{ByLevel, LevelCounter};
use crate::sync::{Arc, AtomicU64, AtomicUsize, Ordering, ordering};

use super::{GAP_ID, HEADER_WORDS, Header, LOSS_WORDS, loss_record, read_loss};

#[derive(Debug)]
struct Words {
    words: Box<[AtomicU64]>,
    /// The first position that has not had its fate. Moved by either side.
    head: CachePadded<AtomicUsize>,
    /// The position behind the last record. Moved by the producer.
    tail: CachePadded<AtomicUsize>,
    /// Of the last two drops, and of one that failed.
    gaps: CachePadded<[Gap; 2]>,
}

impl Words {
    fn at(&self, position: usize) -> &AtomicU64 {
        &self.words[position % self.words.len()]
    }
}

/// What is missing before a head that a drop moved. Written by the producer.
#[derive(Debug)]
struct Gap {
    /// That head.
    end: AtomicUsize,
    /// By reason.
    losses: [(AtomicU64, [AtomicU64; Level::COUNT]); Reason::COUNT],
}

/// The same, for one side alone.
type Missing = [Lost; Reason::COUNT];

/// Losses for one reason.
#[derive(Clone, Copy, Default, Debug)]
struct Lost {
    /// The stamp of the first that is missing here, or 0 if none is.
    since: u64,
    /// All of the ring's so far.
    counts: ByLevel,
}

impl Gap {
    fn new() -> Self {
        let zeros = || std::array::from_fn(|_| AtomicU64::new(0));
        Gap { end: AtomicUsize::new(0), losses: std::array::from_fn(|_| (AtomicU64::new(0), zeros())) }
    }

    fn store(&self, end: usize, missing: &Missing) {
        // Relaxed, here and below: the head orders them.
        self.end.store(end, Ordering::Relaxed);
        for ((since, counts), lost) in self.losses.iter().zip(missing) {
            since.store(lost.since, Ordering::Relaxed);
            if lost.since != 0 {
                let counts = counts.iter().zip(lost.counts);
                counts.for_each(|(to, count)| to.store(count, Ordering::Relaxed));
            }
        }
    }

    fn load(&self) -> Missing {
        std::array::from_fn(|reason| {
            let (since, counts) = &self.losses[reason];
            match since.load(Ordering::Relaxed) {
                0 => Lost::default(),
                since => {
                    let counts = std::array::from_fn(|level| counts[level].load(Ordering::Relaxed));
                    Lost { since, counts }
                }
            }
        })
    }
}

/// Makes a ring of `capacity` words, for records of at most `words_max`.
pub(super) fn words(capacity: usize, words_max: usize) -> (Producer, Consumer) {
    let ring = Arc::new(Words {
        words: (0..capacity).map(|_| AtomicU64::new(0)).collect(),
        head: CachePadded::new(AtomicUsize::new(0)),
        tail: CachePadded::new(AtomicUsize::new(0)),
        gaps: CachePadded::new([Gap::new(), Gap::new()]),
    });
    let producer = Producer {
        ring: ring.clone(),
        tail: 0,
        draft: vec![0; words_max],
        missing: Missing::default(),
        dropped_to: 0,
        next_gap: 0,
    };
    (producer, Consumer { ring, head: 0, claimed: Vec::with_capacity(capacity), released: 0 })
}

#[derive(Debug)]
pub(super) struct Producer {
    ring: Arc<Words>,
    /// Nobody else moves it.
    tail: usize,
    /// Where a record is written before it is copied into the ring: payloads write plain memory.
    draft: Vec<u64>,
    /// What is missing before `dropped_to`.
    missing: Missing,
    /// Where its last drop moved the head.
    dropped_to: usize,
    /// Which of the gaps the next drop writes.
    next_gap: usize,
}

impl Producer {
    pub(super) fn free(&self) -> usize {
        // Relaxed: a count, by which nothing is written.
        self.free_from(self.ring.head.load(Ordering::Relaxed))
    }

    fn free_from(&self, head: usize) -> usize {
        self.ring.words.len() - (self.tail - head)
    }

    /// Whether so many words and `headroom` are free, or became so by dropping the oldest, if there is a counter for them.
    pub(super) fn reserve(&mut self, words: usize, headroom: usize, dropped: Option<&LevelCounter>) -> bool {
        let needed = words + headroom;
        debug_assert!(needed <= self.ring.words.len(), "the ring's invariant");
        // Acquire: the consumer's reads of what it claimed are over.
        let mut head = self.ring.head.load(Ordering::Acquire);
        while self.free_from(head) < needed {
            let Some(dropped) = dropped else { return false };
            head = self.drop_oldest(head, needed, dropped);
        }
        true
    }

    /// Where the record is written.
    pub(super) fn draft(&mut self) -> &mut [u64] {
        &mut self.draft
    }

    /// Drops records from `head` on until so much is free, unless the consumer takes them. Returns the head.
    #[cold]
    fn drop_oldest(&mut self, head: usize, needed: usize, dropped: &LevelCounter) -> usize {
        let mut missing = self.missing;
        if head != self.dropped_to {
            // The consumer has taken what was before: another gap.
            missing.iter_mut().for_each(|lost| lost.since = 0);
        }
        let mut end = head;
        while self.free_from(end) < needed {
            end += self.miss(end, &mut missing);
        }
        self.ring.gaps[self.next_gap].store(end, &missing);
        // Release: who sees the head sees what is missing there.
        let to_who_claims = ordering!(Release, unless "relaxed_drop");
        match self.ring.head.compare_exchange(head, end, to_who_claims, Ordering::Relaxed) {
            Ok(_) => {
                let [before, after] = [&self.missing, &missing].map(|of| of[Reason::Oldest as usize].counts);
                dropped.add_settled(&std::array::from_fn(|level| after[level] - before[level]));
                self.missing = missing;
                self.dropped_to = end;
                if !cfg!(treering_mutant = "one_gap") {
                    self.next_gap ^= 1;
                }
                end
            }
            #[cfg(treering_mutant = "go_on_from_the_drop")]
            Err(_) => end,
            #[cfg(not(treering_mutant = "go_on_from_the_drop"))]
            Err(_) => self.ring.head.load(Ordering::Acquire),
        }
    }

    /// Adds what will be missing with the record at this position. How many words it has.
    fn miss(&self, position: usize, missing: &mut Missing) -> usize {
        // Relaxed: its own words.
        let word = |at: usize| self.ring.at(position + at).load(Ordering::Relaxed);
        let (header, stamp) = (word(0), word(1));
        if let Some(level) = Header::level_of_record(header) {
            let oldest = &mut missing[Reason::Oldest as usize];
            oldest.begin(stamp);
            oldest.counts[level.index()] += 1;
        } else {
            let arguments: [_; LOSS_WORDS - HEADER_WORDS] = std::array::from_fn(|at| word(HEADER_WORDS + at));
            if let Some((reason, since, counts)) = read_loss(&arguments) {
                missing[reason as usize].begin(since);
                missing[reason as usize].counts = counts;
            }
        }
        Header::read(header).words
    }

    /// Hands the first `words` of the draft to the consumer.
    pub(super) fn commit(&mut self, words: usize) {
        for (at, word) in self.draft[..words].iter().enumerate() {
            self.ring.at(self.tail + at).store(*word, Ordering::Relaxed);
        }
        self.tail += words;
        self.ring.tail.store(self.tail, ordering!(Release, unless "relaxed_overwriting_tail"));
    }
}

impl Lost {
    fn begin(&mut self, stamp: u64) {
        if self.since == 0 {
            self.since = stamp.max(1);
        }
    }
}

#[derive(Debug)]
pub(super) struct Consumer {
    ring: Arc<Words>,
    /// Where its last claim moved the head.
    head: usize,
    /// What was claimed and is not released, but for its first words.
    claimed: Vec<u64>,
    /// How many of the claimed words were released since the last claim.
    released: usize,
}

impl Consumer {
    /// Words that are claimed and not released, and those that could be claimed.
    pub(super) fn committed(&self) -> usize {
        // Relaxed: a count, by which nothing is read. The head may be past this tail by now.
        let tail = self.ring.tail.load(Ordering::Relaxed);
        let claimable = tail.saturating_sub(self.ring.head.load(Ordering::Relaxed));
        self.claimed.len() - self.released + claimable
    }

    /// Claims all records up to the tail that were not dropped; whether there were any.
    pub(super) fn claim(&mut self) -> bool {
        self.claimed.drain(..std::mem::take(&mut self.released));
        let before = self.claimed.len();
        let tail = self.ring.tail.load(ordering!(Acquire, unless "relaxed_claim"));
        // Acquire, here and where the claim fails: what is missing there.
        let first = self.ring.head.load(ordering!(Acquire, unless "relaxed_look_at_gap"));
        self.claimed.extend((first..tail).map(|at| self.ring.at(at).load(Ordering::Relaxed)));
        let mut head = first;
        while head < tail {
            #[cfg(not(treering_mutant = "gap_after_claim"))]
            let missing = self.missing_before(head);
            #[cfg(treering_mutant = "claim_by_store")]
            self.ring.head.store(tail, Ordering::Release);
            #[cfg(treering_mutant = "claim_by_store")]
            return true;
            // Release: the copies were read before the producer goes on from this head.
            let seen = ordering!(Acquire, unless "relaxed_failed_claim");
            match self.ring.head.compare_exchange(head, tail, Ordering::Release, seen) {
                Ok(_) => {
                    #[cfg(treering_mutant = "gap_after_claim")]
                    let missing = self.missing_before(head);
                    // What the producer dropped meanwhile, and may have overwritten, makes room for what tells of it.
                    let dropped = before..before + (head - first);
                    #[cfg(treering_mutant = "claim_what_was_dropped")]
                    let dropped = before..before;
                    let stamp = self.claimed[dropped.end + 1];
                    self.claimed
                        .splice(dropped, missing.iter().flat_map(|missing| loss_records(missing, stamp)));
                    self.head = tail;
                    return true;
                }
                #[cfg(treering_mutant = "claim_once")]
                Err(_) => break,
                #[cfg(not(treering_mutant = "claim_once"))]
                Err(moved) => head = moved,
            }
        }
        self.claimed.truncate(before);
        false
    }

    /// What is missing before this head, if a drop has moved it there.
    fn missing_before(&self, head: usize) -> Option<Missing> {
        // A drop that failed may have left a gap that ends where a claim did.
        let is_claimed = head == self.head;
        let mut gaps = self.ring.gaps.iter().filter(|_| !is_claimed);
        gaps.find(|gap| gap.end.load(Ordering::Relaxed) == head).map(Gap::load)
    }

    pub(super) fn claimed(&self) -> &[u64] {
        &self.claimed[self.released..]
    }

    pub(super) fn release(&mut self, words: usize) {
        self.released += words;
    }
}

/// What is missing before the record with this stamp, as the words of loss records.
fn loss_records(missing: &Missing, stamp: u64) -> impl Iterator<Item = u64> {
    let losses = Reason::OF_RINGS.into_iter().zip(missing).filter(|(_, lost)| lost.since != 0);
    losses.flat_map(move |(reason, lost)| loss_record(GAP_ID, stamp, reason, lost.since, &lost.counts))
}

impl Header {
    /// The level of a record that was placed the cold way; `None` for what is no record of the program's.
    fn level_of_record(word: u64) -> Option<Level> {
        Header::read(word).is_record().then(|| Level::ALL[(word >> super::LEVEL_SHIFT & 7) as usize])
    }
}
