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
//!  1  head: load(Acquire)               1  tail: load(Acquire), head: load
//!  2  not enough free: CAS(head)        2  words of [head, tail): copied
//!     over the oldest, count them       3  head: CAS(Release) to the tail: the copy is good
//!  3  words: stored                     4  it fails: the copy is good from the new head on,
//!  4  tail: store(Release)                 claimed as in 3; nothing of it left: the end
//! ```
//! The copy is read while it may be overwritten. Overwriting a word takes a head that is past it. Before the consumer's
//! claim succeeds no head was: the claim replaces the very value that the copy is good from, and values never return. After
//! it the producer must have read the claim, or a later head, by its 1: so the consumer's reads happen before its stores,
//! and cannot see them. It needs no fence. See docs/memory-ordering.md.
//!
//! What the consumer has claimed lies in a copy of its own, in order, until it is released.

use crossbeam_utils::CachePadded;

use crate::level::Level;
use crate::stats::{ByLevel, Dropped};
use crate::sync::{Arc, AtomicU64, AtomicUsize, Ordering};

use super::Header;

#[derive(Debug)]
struct Words {
    words: Box<[AtomicU64]>,
    /// The first position that has not had its fate. Moved by either side.
    head: CachePadded<AtomicUsize>,
    /// The position behind the last record. Moved by the producer.
    tail: CachePadded<AtomicUsize>,
}

impl Words {
    fn at(&self, position: usize) -> &AtomicU64 {
        &self.words[position % self.words.len()]
    }
}

/// Makes a ring of `capacity` words, for records of at most `words_max`.
pub(super) fn words(capacity: usize, words_max: usize) -> (Producer, Consumer) {
    let ring = Arc::new(Words {
        words: (0..capacity).map(|_| AtomicU64::new(0)).collect(),
        head: CachePadded::new(AtomicUsize::new(0)),
        tail: CachePadded::new(AtomicUsize::new(0)),
    });
    let producer = Producer { ring: ring.clone(), tail: 0, draft: vec![0; words_max] };
    (producer, Consumer { ring, claimed: Vec::with_capacity(capacity), released: 0 })
}

#[derive(Debug)]
pub(super) struct Producer {
    ring: Arc<Words>,
    /// Nobody else moves it.
    tail: usize,
    /// Where a record is written before it is copied into the ring: payloads write plain memory.
    draft: Vec<u64>,
}

impl Producer {
    pub(super) fn free(&self) -> usize {
        self.free_from(self.ring.head.load(Ordering::Acquire))
    }

    fn free_from(&self, head: usize) -> usize {
        self.ring.words.len() - (self.tail - head)
    }

    /// Whether so many words and `headroom` are free, or became so by dropping the oldest, which are counted in
    /// `dropping`.
    pub(super) fn reserve(&mut self, words: usize, headroom: usize, dropping: Option<&Dropped>) -> bool {
        let needed = words + headroom;
        debug_assert!(needed <= self.ring.words.len(), "the ring's invariant");
        // Acquire: the consumer's reads of what it claimed are over.
        let mut head = self.ring.head.load(Ordering::Acquire);
        while self.free_from(head) < needed {
            let Some(dropping) = dropping else { return false };
            head = self.drop_oldest(head, needed, dropping);
        }
        true
    }

    /// Where the record is written.
    pub(super) fn draft(&mut self) -> &mut [u64] {
        &mut self.draft
    }

    /// Drops records from `head` on until so much is free, unless the consumer takes them. Returns the head.
    #[cold]
    fn drop_oldest(&self, head: usize, needed: usize, dropping: &Dropped) -> usize {
        let (mut end, mut dropped, mut since) = (head, ByLevel::default(), None);
        while self.free_from(end) < needed {
            // Relaxed: its own words.
            let header = self.ring.at(end).load(Ordering::Relaxed);
            if let Some(level) = Header::level_of_record(header) {
                since = since.or_else(|| Some(self.ring.at(end + 1).load(Ordering::Relaxed)));
                dropped[level.index()] += 1;
            }
            end += Header::read(header).words;
        }
        // Relaxed: the head's value was loaded with acquire, or was its own; and nothing is read through this one.
        match self.ring.head.compare_exchange(head, end, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => {
                since.into_iter().for_each(|stamp| dropping.begin(|| stamp));
                dropping.records.add_settled(&dropped);
                end
            }
            Err(_) => self.ring.head.load(Ordering::Acquire),
        }
    }

    /// Hands the first `words` of the draft to the consumer.
    pub(super) fn commit(&mut self, words: usize) {
        for (at, word) in self.draft[..words].iter().enumerate() {
            self.ring.at(self.tail + at).store(*word, Ordering::Relaxed);
        }
        self.tail += words;
        #[cfg(not(treering_mutant = "relaxed_overwriting_tail"))]
        self.ring.tail.store(self.tail, Ordering::Release);
        #[cfg(treering_mutant = "relaxed_overwriting_tail")]
        self.ring.tail.store(self.tail, Ordering::Relaxed);
    }
}

#[derive(Debug)]
pub(super) struct Consumer {
    ring: Arc<Words>,
    /// What was claimed and is not released, but for its first words.
    claimed: Vec<u64>,
    /// How many of the claimed words were released since the last claim.
    released: usize,
}

impl Consumer {
    /// Words that are claimed and not released, and those that could be claimed.
    pub(super) fn committed(&self) -> usize {
        let tail = self.ring.tail.load(Ordering::Acquire);
        // The head may be past this tail by now.
        let claimable = tail.saturating_sub(self.ring.head.load(Ordering::Relaxed));
        self.claimed.len() - self.released + claimable
    }

    /// Claims all records up to the tail that were not dropped; whether there were any.
    pub(super) fn claim(&mut self) -> bool {
        self.claimed.drain(..std::mem::take(&mut self.released));
        let before = self.claimed.len();
        let tail = self.ring.tail.load(Ordering::Acquire);
        let first = self.ring.head.load(Ordering::Relaxed);
        self.claimed.extend((first..tail).map(|at| self.ring.at(at).load(Ordering::Relaxed)));
        let mut head = first;
        while head < tail {
            #[cfg(treering_mutant = "claim_by_store")]
            self.ring.head.store(tail, Ordering::Release);
            #[cfg(treering_mutant = "claim_by_store")]
            return true;
            // Release: the copy was read before the producer goes on from this head.
            match self.ring.head.compare_exchange(head, tail, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => {
                    // What the producer dropped meanwhile, and may have overwritten.
                    #[cfg(not(treering_mutant = "claim_what_was_dropped"))]
                    self.claimed.drain(before..before + (head - first));
                    return true;
                }
                Err(moved) => head = moved,
            }
        }
        self.claimed.truncate(before);
        false
    }

    pub(super) fn claimed(&self) -> &[u64] {
        &self.claimed[self.released..]
    }

    pub(super) fn release(&mut self, words: usize) {
        self.released += words;
    }
}

impl Header {
    /// The level of a record that was placed the cold way; `None` for what is no record of the program's.
    fn level_of_record(word: u64) -> Option<Level> {
        let is_record = Header::read(word).id < super::LOSS_ID;
        is_record.then(|| Level::ALL[(word >> super::LEVEL_SHIFT & 7) as usize])
    }
}
