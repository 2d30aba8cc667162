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
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
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

/// A log call at the floor, on a thread that has entered a [`Floor`]. Returns whether there was room.
#[inline(always)]
pub(crate) fn log(a: u64, b: u64, c: f64) -> bool {
    put([5 | 7 << 32, 0, a, b, c.to_bits()])
}

/// The same of a record whose second word is to be the stamp.
#[inline(always)]
pub(crate) fn put<const WORDS: usize>(mut record: [u64; WORDS]) -> bool {
    let ring = RING.get();
    if ring.is_null() {
        return false;
    }
    // SAFETY: not null, so it came from `Floor::enter` on this thread, which never frees it.
    let ring = unsafe { &mut *ring };
    let Ok(mut chunk) = ring.write_chunk_uninit(WORDS) else { return false };
    record[1] = clock::stamp();
    let (first, second) = chunk.as_mut_slices();
    match first.first_chunk_mut::<WORDS>() {
        Some(to) => to.iter_mut().zip(record).for_each(|(to, word)| _ = to.write(word)),
        None => first.iter_mut().chain(second).zip(record).for_each(|(to, word)| _ = to.write(word)),
    }
    // SAFETY: all words were written.
    unsafe { chunk.commit_all() };
    true
}

/// The floor's consumer.
#[derive(Debug)]
pub(crate) struct Floor {
    /// Records of three numbers that were drained.
    pub(crate) drained: Arc<AtomicU64>,
    shared: Arc<Shared>,
    consumer: Option<JoinHandle<()>>,
}

#[derive(Default, Debug)]
struct Shared {
    stop: AtomicBool,
    rings: Mutex<Vec<Consumer<u64>>>,
}

impl Floor {
    /// With a ring for the calling thread.
    pub(crate) fn start() -> Self {
        let (drained, shared) = (Arc::new(AtomicU64::new(0)), Arc::<Shared>::default());
        let consumer = thread::spawn({
            let (drained, shared) = (drained.clone(), shared.clone());
            move || drain(&shared, &drained)
        });
        let floor = Floor { drained, shared, consumer: Some(consumer) };
        floor.enter();
        floor
    }

    /// Gives the calling thread a ring. It is leaked: whatever the thread does later, its pointer is good.
    pub(crate) fn enter(&self) {
        let (mut producer, mut consumer) = RingBuffer::<u64>::new(RING_WORDS);
        touch(&mut producer, &mut consumer);
        self.shared.rings.lock().expect("nobody panics in here").push(consumer);
        RING.set(Box::into_raw(Box::new(producer)));
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        RING.set(ptr::null_mut());
        self.shared.stop.store(true, Ordering::Release);
        self.consumer.take().map(JoinHandle::join);
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

fn drain(shared: &Shared, drained: &AtomicU64) {
    let (mut last_record, mut nap) = (Instant::now(), NAP_MIN);
    while !shared.stop.load(Ordering::Acquire) {
        let words =
            shared.rings.lock().expect("nobody panics in here").iter_mut().map(drain_one).sum::<u64>();
        if words > 0 {
            drained.fetch_add(words / RECORD_WORDS as u64, Ordering::Release);
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

/// Returns how many words there were.
fn drain_one(ring: &mut Consumer<u64>) -> u64 {
    let words = ring.slots();
    if words == 0 {
        return 0;
    }
    if let Ok(chunk) = ring.read_chunk(words) {
        let (first, second) = chunk.as_slices();
        black_box(first.iter().chain(second).copied().fold(0, u64::wrapping_add));
        chunk.commit_all();
    }
    words as u64
}
