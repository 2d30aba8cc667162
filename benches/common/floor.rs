//! The floor: the least that a deferred log call can do. It reads the counter and puts five words (a length and an
//! id, the stamp, two integers and a float) into an rtrb ring that it finds through a thread-local. Neither levels,
//! nor filters, nor books, nor an end.
//!
//! Its consumer waits as treering's listener does by default: it looks every 3 µs while there is traffic, after
//! 50 µs of silence it naps, from 50 µs up to a millisecond. It has no park.
#![allow(
    unsafe_code,
    reason = "a ring behind a raw pointer, words behind rtrb's uninitialised chunks: the floor"
)]

use std::cell::Cell;
use std::hint::{black_box, spin_loop};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rtrb::{Consumer, Producer, RingBuffer};

use super::clock;

const RECORD_WORDS: usize = 5;
/// treering's default.
const RING_WORDS: usize = 128 * 1024 / 8;
const LOOK_INTERVAL: Duration = Duration::from_micros(3);
const SPIN_MAX: Duration = Duration::from_micros(50);
const NAP_MIN: Duration = Duration::from_micros(50);
const NAP_MAX: Duration = Duration::from_millis(1);

thread_local! {
    static RING: Cell<*mut Producer<u64>> = const { Cell::new(ptr::null_mut()) };
}

/// A log call at the floor, on the thread that started a [`Floor`]. Returns whether there was room.
#[inline(always)]
pub(crate) fn log(a: u64, b: u64, c: f64) -> bool {
    let ring = RING.get();
    if ring.is_null() {
        return false;
    }
    // SAFETY: not null, so it came from `Floor::start` on this thread, which frees it when it is dropped, there.
    let ring = unsafe { &mut *ring };
    let Ok(mut chunk) = ring.write_chunk_uninit(RECORD_WORDS) else { return false };
    let record = [5 | 7 << 32, clock::stamp(), a, b, c.to_bits()];
    let (first, second) = chunk.as_mut_slices();
    match first.first_chunk_mut::<RECORD_WORDS>() {
        Some(to) => to.iter_mut().zip(record).for_each(|(to, word)| _ = to.write(word)),
        None => first.iter_mut().chain(second).zip(record).for_each(|(to, word)| _ = to.write(word)),
    }
    // SAFETY: all words were written.
    unsafe { chunk.commit_all() };
    true
}

/// The floor's consumer, and the calling thread's ring.
#[derive(Debug)]
pub(crate) struct Floor {
    /// Records that were drained.
    pub(crate) drained: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    consumer: Option<JoinHandle<()>>,
    ring: *mut Producer<u64>,
}

impl Floor {
    /// Gives the calling thread its ring.
    pub(crate) fn start() -> Self {
        let (mut producer, mut consumer) = RingBuffer::<u64>::new(RING_WORDS);
        touch(&mut producer, &mut consumer);
        let (drained, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let consumer = thread::spawn({
            let (drained, stop) = (drained.clone(), stop.clone());
            move || drain(consumer, &drained, &stop)
        });
        let ring = Box::into_raw(Box::new(producer));
        RING.set(ring);
        Floor { drained, stop, consumer: Some(consumer), ring }
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        RING.set(ptr::null_mut());
        self.stop.store(true, Ordering::Release);
        self.consumer.take().map(JoinHandle::join);
        // SAFETY: it came from a box in `start`, and the thread-local does not name it any more.
        drop(unsafe { Box::from_raw(self.ring) });
    }
}

/// Writes each word once, so that no call pays for a page.
fn touch(producer: &mut Producer<u64>, consumer: &mut Consumer<u64>) {
    if let Ok(chunk) = producer.write_chunk(RING_WORDS) {
        chunk.commit_all();
    }
    if let Ok(chunk) = consumer.read_chunk(RING_WORDS) {
        chunk.commit_all();
    }
}

fn drain(mut ring: Consumer<u64>, drained: &AtomicU64, stop: &AtomicBool) {
    let (mut last_record, mut nap) = (Instant::now(), NAP_MIN);
    while !stop.load(Ordering::Acquire) {
        let words = ring.slots();
        if let Ok(chunk) = ring.read_chunk(words)
            && words > 0
        {
            let (first, second) = chunk.as_slices();
            black_box(first.iter().chain(second).copied().fold(0, u64::wrapping_add));
            chunk.commit_all();
            drained.fetch_add((words / RECORD_WORDS) as u64, Ordering::Release);
            (last_record, nap) = (Instant::now(), NAP_MIN);
        }
        if last_record.elapsed() < SPIN_MAX {
            let end = Instant::now() + LOOK_INTERVAL;
            while Instant::now() < end {
                spin_loop();
            }
        } else {
            thread::sleep(nap);
            nap = NAP_MAX.min(nap * 2);
        }
    }
}
