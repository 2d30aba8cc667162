//! The ring of words under loom: rtrb's positions and orderings on loom's atomics, one of loom's cells for each word.
//!
//! rtrb is opaque to loom. This twin stands in for it in the models, so what they prove of the ring is what follows
//! from an acquire/release pair on the tail and one on the head; that rtrb has those is read, not modelled. The
//! words are plain memory, as rtrb's are: a read that its write does not happen before fails the model.
#![allow(unsafe_code, reason = "loom's cells are accessed by pointer, which is what it checks")]

use crate::sync::{Arc, AtomicUsize, Ordering, UnsafeCell, ordering};

#[derive(Debug)]
struct Words {
    /// Between head and tail the consumer's, the rest the producer's.
    words: Vec<UnsafeCell<u64>>,
    /// Words released since the beginning. Written by the consumer.
    head: AtomicUsize,
    /// Words committed since the beginning. Written by the producer.
    tail: AtomicUsize,
}

// SAFETY: whose a word is, head and tail say; loom fails the model if two threads are at one of them unordered.
unsafe impl Sync for Words {}

impl Words {
    fn store(&self, position: usize, word: u64) {
        // SAFETY: the pointer is loom's own, and loom checks that nobody else is at the word.
        self.words[position % self.words.len()].with_mut(|at| unsafe { *at = word });
    }

    fn load(&self, position: usize) -> u64 {
        // SAFETY: as above.
        self.words[position % self.words.len()].with(|at| unsafe { *at })
    }
}

pub(super) fn words(capacity: usize) -> (Producer, Consumer) {
    let ring = Arc::new(Words {
        words: (0..capacity).map(|_| UnsafeCell::new(0)).collect(),
        head: AtomicUsize::new(0),
        tail: AtomicUsize::new(0),
    });
    let producer = Producer { ring: ring.clone(), tail: 0, cached_head: 0, copy: Vec::new() };
    (producer, Consumer { ring, head: 0, copy: Vec::new() })
}

#[derive(Debug)]
pub(super) struct Producer {
    ring: Arc<Words>,
    tail: usize,
    cached_head: usize,
    /// Words on their way in: loom's atomics cannot be lent as a slice.
    copy: Vec<u64>,
}

impl Producer {
    pub(super) fn reserve(&mut self, words: usize) -> Option<Room<'_>> {
        let capacity = self.ring.words.len();
        if capacity - (self.tail - self.cached_head) < words {
            self.cached_head = self.ring.head.load(Ordering::Acquire);
            if capacity - (self.tail - self.cached_head) < words {
                return None;
            }
        }
        let first = words.min(capacity - self.tail % capacity);
        self.copy.clear();
        self.copy.resize(words, 0);
        Some(Room { producer: self, first })
    }

    pub(super) fn free(&self) -> usize {
        // Relaxed, where rtrb acquires: a count, by which nothing is written.
        self.ring.words.len() - (self.tail - self.ring.head.load(Ordering::Relaxed))
    }

    pub(super) fn reserve_behind_pad(&mut self, words: usize, headroom: usize) -> Option<(Room<'_>, usize)> {
        let first = self.reserve(words + headroom)?.first;
        let pad = if first >= words { 0 } else { first };
        let mut room = self.reserve(pad + words + headroom)?;
        if pad > 0 {
            room.pieces().0[0] = super::header(pad, super::PAD_ID, 0);
        }
        Some((room, pad))
    }
}

pub(super) struct Room<'a> {
    producer: &'a mut Producer,
    first: usize,
}

impl Room<'_> {
    pub(super) fn first(&mut self, words: usize) -> Option<&mut [u64]> {
        self.pieces().0.get_mut(..words)
    }

    pub(super) fn behind(&mut self, pad: usize) -> &mut [u64] {
        let (first, second) = self.pieces();
        if pad == 0 { first } else { second }
    }

    pub(super) fn commit(self, words: usize) {
        let Producer { ring, tail, copy, .. } = self.producer;
        for (at, word) in copy[..words].iter().enumerate() {
            ring.store(*tail + at, *word);
        }
        *tail += words;
        ring.tail.store(*tail, ordering!(Release, unless "relaxed_tail"));
    }

    fn pieces(&mut self) -> (&mut [u64], &mut [u64]) {
        self.producer.copy.split_at_mut(self.first)
    }
}

#[derive(Debug)]
pub(super) struct Consumer {
    ring: Arc<Words>,
    head: usize,
    copy: Vec<u64>,
}

impl Consumer {
    pub(super) fn committed(&self) -> usize {
        self.ring.tail.load(Ordering::Acquire) - self.head
    }

    pub(super) fn peek<R>(&mut self, words: usize, look: impl FnOnce(&[u64], &[u64]) -> R) -> R {
        let capacity = self.ring.words.len();
        self.copy.clear();
        for at in 0..words {
            self.copy.push(self.ring.load(self.head + at));
        }
        let first = words.min(capacity - self.head % capacity);
        let (first, second) = self.copy.split_at(first);
        look(first, second)
    }

    pub(super) fn release(&mut self, words: usize) {
        self.head += words;
        self.ring.head.store(self.head, ordering!(Release, unless "relaxed_head"));
    }
}
