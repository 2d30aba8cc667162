//! The ring of words under loom: rtrb's positions and orderings on loom's atomics, one atomic for each word.
//!
//! rtrb is opaque to loom. This twin stands in for it in the models, so what they prove of the ring is what follows
//! from an acquire/release pair on the tail and one on the head; that rtrb has those is read, not modelled.

use crate::sync::{Arc, AtomicU64, AtomicUsize, Ordering};

#[derive(Debug)]
struct Words {
    /// Relaxed: the tail and the head order them.
    words: Vec<AtomicU64>,
    /// Words released since the beginning. Written by the consumer.
    head: AtomicUsize,
    /// Words committed since the beginning. Written by the producer.
    tail: AtomicUsize,
}

pub(super) fn words(capacity: usize) -> (Producer, Consumer) {
    let ring = Arc::new(Words {
        words: (0..capacity).map(|_| AtomicU64::new(0)).collect(),
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
            ring.words[(*tail + at) % ring.words.len()].store(*word, Ordering::Relaxed);
        }
        *tail += words;
        ring.tail.store(*tail, Ordering::Release);
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
            self.copy.push(self.ring.words[(self.head + at) % capacity].load(Ordering::Relaxed));
        }
        let first = words.min(capacity - self.head % capacity);
        let (first, second) = self.copy.split_at(first);
        look(first, second)
    }

    pub(super) fn release(&mut self, words: usize) {
        self.head += words;
        self.ring.head.store(self.head, Ordering::Release);
    }
}
