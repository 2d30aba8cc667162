use std::time::Duration;

use super::*;
use crate::overflow::{Overflow, Reason};

/// So many words, each of them the number of the record.
struct Numbered(u64, usize);

#[expect(unsafe_code, reason = "see Payload")]
// SAFETY: writes as many words as it says.
unsafe impl Payload for Numbered {
    fn words(&self) -> usize {
        self.1
    }
    unsafe fn write(&self, to: *mut u64) {
        for at in 0..self.1 {
            // SAFETY: `at` is below `words`.
            let to = unsafe { to.add(at) };
            // SAFETY: as above.
            unsafe { to.write(self.0) };
        }
    }
    fn write_cut(&self, into: &mut [u64]) -> usize {
        into.fill(self.0);
        into.len()
    }
}

fn new_ring(capacity: usize) -> (Producer, Consumer, Arc<Shared>) {
    let shared = Arc::new(Shared::new(Policies::default()));
    let (producer, consumer) = ring(capacity, shared.clone());
    (producer, consumer, shared)
}

fn push(producer: &mut Producer, number: u64, words: usize, level: Level) -> Result<u32, Refused> {
    let payload = Numbered(number, words);
    producer.push(7, level, &payload).or_else(|_| producer.push_slowly(7, level, &payload, None))
}

/// Takes everything out: records as (first word, words), loss records as `Err`.
fn drain(consumer: &mut Consumer) -> Vec<Result<(u64, usize), ByLevel>> {
    let words = consumer.take_committed();
    let records = consumer.peek(words, |ring| {
        let (mut at, mut records) = (0, Vec::new());
        while let Some((header, record)) = ring.record_at(at) {
            at += record.len();
            match header.id {
                PAD_ID => {}
                LOSS_ID | GAP_ID => records.push(Err(read_loss(&record[HEADER_WORDS..]).unwrap().2)),
                _ => records.push(Ok((record.get(HEADER_WORDS).copied().unwrap_or(0), record.len()))),
            }
        }
        assert_eq!(at, words);
        records
    });
    consumer.release(words);
    records
}

#[test]
fn records_of_any_length_come_out_whole_wherever_the_ring_wraps() {
    for capacity in [512, 520, 1023] {
        let (mut producer, mut consumer, _shared) = new_ring(capacity);
        for number in 0..5_000 {
            let words = number as usize * 37 % (capacity / 8 * 3 - HEADER_WORDS + 1);
            push(&mut producer, number, words, Level::Info).unwrap();
            let expected = if words == 0 { (0, HEADER_WORDS) } else { (number, words + HEADER_WORDS) };
            assert_eq!(drain(&mut consumer), [Ok(expected)]);
        }
    }
}

#[test]
fn the_longest_record_fits_an_empty_ring_at_every_position() {
    for start in 0..512 {
        let (mut producer, mut consumer, _shared) = new_ring(512);
        for _ in 0..start / 2 {
            push(&mut producer, 0, 0, Level::Error).unwrap();
            drain(&mut consumer);
        }
        producer.count_drop(Level::Info, Reason::Full);
        push(&mut producer, 9, 10_000, Level::Info).unwrap();
        let records = drain(&mut consumer);
        assert_eq!(records, [Err([0, 0, 1, 0, 0]), Ok((9, 512 / 8 * 3))], "at position {start}");
    }
}

#[test]
fn the_last_eighth_is_for_warn_and_above() {
    let (mut producer, mut consumer, _shared) = new_ring(512);
    let mut placed = 0;
    while push(&mut producer, 1, 2, Level::Info).is_ok() {
        placed += 1;
    }
    assert_eq!(placed, (512 - 64) / 4);
    for _ in 0..64 / 4 {
        push(&mut producer, 1, 2, Level::Warn).unwrap();
    }
    assert_eq!(push(&mut producer, 1, 2, Level::Error), Err(Refused::NoRoom));
    assert_eq!(drain(&mut consumer).len(), 512 / 4);
}

#[test]
fn a_loss_record_precedes_the_next_record_and_is_cumulative() {
    let (mut producer, mut consumer, _shared) = new_ring(512);
    producer.count_drop(Level::Debug, Reason::Full);
    producer.count_drop(Level::Error, Reason::Full);
    push(&mut producer, 1, 1, Level::Trace).unwrap();
    push(&mut producer, 2, 1, Level::Trace).unwrap();
    producer.count_drop(Level::Error, Reason::Full);
    push(&mut producer, 3, 1, Level::Trace).unwrap();
    assert_eq!(
        drain(&mut consumer),
        [Err([1, 0, 0, 1, 0]), Ok((1, 3)), Ok((2, 3)), Err([2, 0, 0, 1, 0]), Ok((3, 3))]
    );
}

#[test]
fn where_the_policy_does_not_wait_a_full_ring_counts_the_loss() {
    let mut policies = Policies::default();
    policies.set(Level::Error, Overflow::block(Duration::MAX));
    let (mut producer, mut consumer) = ring(512, Arc::new(Shared::new(policies)));
    let payload = Numbered(1, 2);
    while push(&mut producer, 1, 2, Level::Error).is_ok() {}
    assert_eq!(producer.push_or_drop(7, Level::Error, &payload, None), Err(Refused::NoRoom));
    assert_eq!(producer.push_or_drop(7, Level::Warn, &payload, None), Ok(Pushed::Dropped));
    drain(&mut consumer);
    push(&mut producer, 2, 1, Level::Error).unwrap();
    assert_eq!(drain(&mut consumer), [Err([0, 1, 0, 0, 0]), Ok((2, 3))]);
}

#[test]
fn a_loss_whose_record_made_room_is_told_of_where_the_oldest_are_missing() {
    let (mut producer, mut consumer) =
        ring(512, Arc::new(Shared::new(Policies::all(Overflow::drop_oldest()))));
    producer.count_drop(Level::Warn, Reason::Policy);
    // The first one has a loss record before it, which goes first; then one makes room for one.
    let (records, words) = (200, 4);
    (1..=records)
        .for_each(|number| _ = push(&mut producer, number, words - HEADER_WORDS, Level::Error).unwrap());
    let missing = records - 512 / words as u64;
    let mut expected = vec![Err([missing, 0, 0, 0, 0]), Err([0, 1, 0, 0, 0])];
    expected.extend((missing + 1..=records).map(|number| Ok((number, words))));
    assert_eq!(drain(&mut consumer), expected);
}

#[test]
fn a_closed_engine_takes_nothing() {
    let (mut producer, consumer, shared) = new_ring(512);
    shared.state.close();
    let payload = Numbered(1, 1);
    assert_eq!(producer.push(7, Level::Error, &payload), Err(Refused::Closed));
    assert_eq!(producer.push_slowly(7, Level::Error, &payload, None), Err(Refused::Closed));
    assert_eq!(consumer.committed_words(), 0);
}

/// Also one that sampling would leave out of a ring that is half full.
#[test]
fn a_closed_engine_samples_nothing() {
    let shared = Arc::new(Shared::new(Policies::all(Overflow::sample(2))));
    let (mut producer, _consumer) = ring(512, shared.clone());
    while !producer.is_pressed() {
        push(&mut producer, 1, 8, Level::Info).unwrap();
    }
    let late = Numbered(2, 1);
    let mut log = || producer.push_or_drop(7, Level::Info, &late, None);
    assert_eq!([(); 2].map(|()| log().map(|pushed| pushed == Pushed::Dropped)), [Ok(false), Ok(true)]);
    shared.state.close();
    assert_eq!([(); 2].map(|()| log()), [Err(Refused::Closed); 2]);
}

#[test]
fn any_words_are_records_within_them() {
    let words = [0, u64::MAX, 5, 0xffff_ffff_0000_0003, 1, 2, 0x00ff_ffff];
    let ring = Words { first: &words[..3], second: &words[3..] };
    let mut at = 0;
    while let Some((_, record)) = ring.record_at(at) {
        assert!(!record.is_empty());
        at += record.len();
    }
    assert_eq!(at, words.len());
}
