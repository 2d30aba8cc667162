//! rtrb's ring of words, as much of it as records need.
//!
//! Room is handed out as slices of words whose old contents are still there: the ring was filled with zeros when it
//! was made, so that every word in it is initialised and its pages are touched before the first call.
#![allow(unsafe_code, reason = "words of a reserved chunk are known to be initialised")]

use rtrb::RingBuffer;
use rtrb::chunks::WriteChunkUninit;

/// Makes a ring of `capacity` words.
pub(super) fn words(capacity: usize) -> (Producer, Consumer) {
    let (mut producer, mut consumer) = RingBuffer::<u64>::new(capacity);
    // Writes every word once: pages are touched here, and no word is ever uninitialised.
    if let Ok(chunk) = producer.write_chunk(capacity) {
        chunk.commit_all();
    }
    if let Ok(chunk) = consumer.read_chunk(capacity) {
        chunk.commit_all();
    }
    (Producer { ring: producer }, Consumer { ring: consumer })
}

#[derive(Debug)]
pub(super) struct Producer {
    ring: rtrb::Producer<u64>,
}

impl Producer {
    /// Room for so many words, perhaps in two pieces.
    #[inline(always)]
    pub(super) fn reserve(&mut self, words: usize) -> Option<Room<'_>> {
        self.ring.write_chunk_uninit(words).ok().map(|chunk| Room { chunk })
    }

    /// Free words.
    pub(super) fn free(&self) -> usize {
        self.ring.slots()
    }

    /// Contiguous room for so many words and `headroom` more anywhere, behind a pad if need be, which is written.
    /// Returns the room and the length of the pad.
    pub(super) fn reserve_behind_pad(&mut self, words: usize, headroom: usize) -> Option<(Room<'_>, usize)> {
        let first = self.reserve(words + headroom)?.pieces().0.len();
        let pad = if first >= words { 0 } else { first };
        let mut room = self.reserve(pad + words + headroom)?;
        if pad > 0 {
            room.pieces().0[0] = super::header(pad, super::PAD_ID, 0);
        }
        Some((room, pad))
    }
}

/// Reserved words, not committed yet.
pub(super) struct Room<'a> {
    chunk: WriteChunkUninit<'a, u64>,
}

impl Room<'_> {
    /// The first `words` of it if they are contiguous.
    #[inline(always)]
    pub(super) fn first(&mut self, words: usize) -> Option<&mut [u64]> {
        self.pieces().0.get_mut(..words)
    }

    /// What lies behind a pad of this length: all of the first piece, or of the second.
    pub(super) fn behind(&mut self, pad: usize) -> &mut [u64] {
        let (first, second) = self.pieces();
        if pad == 0 { first } else { second }
    }

    /// Hands the first `words` to the consumer.
    #[inline(always)]
    pub(super) fn commit(self, words: usize) {
        // SAFETY: every word of the ring is initialised, by `words` above and by every writer since.
        unsafe { self.chunk.commit(words) };
    }

    #[inline(always)]
    fn pieces(&mut self) -> (&mut [u64], &mut [u64]) {
        let (first, second) = self.chunk.as_mut_slices();
        // SAFETY: every word of the ring is initialised, by `words` above and by every writer since.
        let first = unsafe { first.assume_init_mut() };
        // SAFETY: as above.
        let second = unsafe { second.assume_init_mut() };
        (first, second)
    }
}

#[derive(Debug)]
pub(super) struct Consumer {
    ring: rtrb::Consumer<u64>,
}

impl Consumer {
    /// By a fresh look at the tail; rtrb's cached one would be too old to park on.
    pub(super) fn committed(&self) -> usize {
        self.ring.slots()
    }

    pub(super) fn peek<R>(&mut self, words: usize, look: impl FnOnce(&[u64], &[u64]) -> R) -> R {
        match self.ring.read_chunk(words) {
            Ok(chunk) => {
                let (first, second) = chunk.as_slices();
                look(first, second)
            }
            Err(_) => look(&[], &[]),
        }
    }

    pub(super) fn release(&mut self, words: usize) {
        if let Ok(chunk) = self.ring.read_chunk(words) {
            chunk.commit_all();
        }
    }
}
