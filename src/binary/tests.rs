//! Records that come back as they were, whatever happened to the file.

use std::collections::VecDeque;
use std::io::{self, Read};

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use super::packer::{DICTIONARY_SPAN_BYTES, FRAME_BYTES};
use super::{DEFINITION_BYTES_MAX, Packer, Reader, Summary, WORDS_MAX, frame, item, push_number};
use crate::callsite::{Field, Piece, Spec, Style};
use crate::level::Level;
use crate::output::Load;
use crate::record::encode::Encode;
use crate::record::portable::tests::{Anything, some_record, told};
use crate::record::testing::{Chance, Owned, fuzz};
use crate::record::{Record, Thread, Timestamp};

const CASES_MIN: u64 = 200;

/// A record of this process, at a callsite of its own.
fn numbered(number: u64) -> Owned {
    let name = Field { name: "number", argument: 0, style: Style::Value };
    let piece = Piece::Literal("a callsite of this process");
    let mut owned = Owned::new(Level::Warn, "tests", &[piece], &[name], (number.hold(), ()));
    owned.time = Timestamp::from_nanos(1_700_000_000_000_000_000 - number * 7);
    owned.stamp = number * number;
    owned.thread = Thread::new(number as u32 % 3, number.is_multiple_of(2).then_some("even"));
    owned
}

fn push(packer: &mut Packer, record: &Record<'_>) {
    packer.push(record, Load::RECORD).unwrap();
}

fn sealed(packer: &mut Packer) -> Vec<u8> {
    let mut bytes = Vec::new();
    packer.seal(|frame, _| bytes.extend_from_slice(frame));
    bytes
}

/// All records of a file, as text, and what the reader says at its end.
fn read(bytes: &[u8]) -> (Vec<String>, Summary) {
    let mut reader = Reader::new(bytes);
    let mut records = Vec::new();
    while let Some(record) = reader.read().unwrap() {
        records.push(told(&record));
    }
    assert_eq!(reader.summary().records, records.len() as u64);
    (records, reader.summary())
}

/// Frames, each with its records.
fn file_of(frames: &[(Vec<u8>, Vec<String>)]) -> (Vec<u8>, Vec<String>) {
    let bytes = frames.iter().flat_map(|(bytes, _)| bytes).copied().collect();
    let records = frames.iter().flat_map(|(_, records)| records).cloned().collect();
    (bytes, records)
}

/// Records of all kinds, of this process and of others.
struct Pool {
    anything: Vec<Anything>,
    own: Vec<Owned>,
}

impl Pool {
    fn new() -> Self {
        let mut runner = TestRunner::deterministic();
        let mut anything = || some_record().new_tree(&mut runner).unwrap().current();
        Pool { anything: (0..60).map(|_| anything()).collect(), own: (0..20).map(numbered).collect() }
    }

    fn push_one(&self, chance: &mut Chance, packer: &mut Packer) -> String {
        let mut push_and_tell = |record: &Record<'_>| {
            push(packer, record);
            told(record)
        };
        match chance.below(2) {
            0 => push_and_tell(&self.own[chance.below(self.own.len())].record()),
            _ => self.anything[chance.below(self.anything.len())].record(push_and_tell),
        }
    }

    /// Frames of two writers by turns, some of which begin their dictionary anew or state it again.
    fn frames(&self, chance: &mut Chance) -> Vec<(Vec<u8>, Vec<String>)> {
        let mut packers = [Packer::new(), Packer::new()];
        let mut frames = Vec::new();
        for _ in 0..chance.below(8) {
            let packer = &mut packers[chance.below(2)];
            match chance.below(6) {
                0 => packer.forget(),
                1 => packer.doubt(),
                2 => frames.push((packer.restated(), Vec::new())),
                _ => {}
            }
            let records = (0..=chance.below(9)).map(|_| self.push_one(chance, packer)).collect();
            frames.push((sealed(packer), records));
        }
        frames
    }
}

#[test]
fn what_is_read_was_written_whatever_happened_to_the_file() {
    let pool = Pool::new();
    fuzz(CASES_MIN, |seed| {
        let chance = &mut Chance(seed);
        let mut frames = pool.frames(chance);
        let (mut bytes, records) = file_of(&frames);
        let (read_back, summary) = read(&bytes);
        assert_eq!(read_back, records);
        assert!(summary.is_whole() && !summary.is_torn, "{summary:?}");
        if frames.is_empty() {
            return;
        }

        // A frame that is gone takes its own records, and those that need its definitions, which are counted.
        let (_, gone) = frames.remove(chance.below(frames.len()));
        let (rest, left) = file_of(&frames);
        let (read_back, summary) = read(&rest);
        assert!(is_subsequence(&read_back, &left));
        assert_eq!(summary.records + summary.undefined, (records.len() - gone.len()) as u64);

        // Damage is seen, and what is shown is true.
        match chance.below(3) {
            0 => {
                let at = chance.below(bytes.len());
                bytes[at] ^= 1 << chance.below(8);
            }
            1 => {
                let at = chance.below(bytes.len());
                let garbage = (0..=chance.below(40)).map(|_| chance.word() as u8 | 1);
                bytes.splice(at..at, garbage.collect::<Vec<_>>());
            }
            _ => {
                let from = chance.below(bytes.len());
                let until = from + 1 + chance.below(bytes.len() - from);
                bytes.drain(from..until);
                let (read_back, _) = read(&bytes);
                assert!(is_subsequence(&read_back, &records));
                return;
            }
        }
        let (read_back, summary) = read(&bytes);
        assert!(is_subsequence(&read_back, &records));
        assert!(!summary.is_whole(), "{summary:?}");
    });
}

fn is_subsequence(some: &[String], all: &[String]) -> bool {
    let mut all = all.iter();
    some.iter().all(|one| all.any(|other| other == one))
}

#[test]
fn frames_of_anything_are_read_to_their_end_or_refused() {
    fuzz(CASES_MIN, |seed| {
        let chance = &mut Chance(seed);
        let mut packer = Packer::new();
        push(&mut packer, &numbered(seed % 50).record());
        let mut bytes = sealed(&mut packer);
        let dictionary = u64::from_le_bytes(*bytes[frame::HEAD_BYTES + 1..].first_chunk().unwrap());
        for _ in 0..4 {
            let mut hostile = Vec::new();
            frame::begin(dictionary, &mut hostile);
            for _ in 0..chance.below(40) {
                match chance.below(4) {
                    0 => push_number(chance.word() >> chance.below(64), &mut hostile),
                    1 => push_number(chance.below(5) as u64 * 4 + item::THREAD, &mut hostile),
                    _ => hostile.push(chance.word() as u8 >> chance.below(8)),
                }
            }
            frame::seal(&mut hostile);
            bytes.extend(hostile);
        }
        let (records, summary) = read(&bytes);
        assert!(!records.is_empty() && summary.frames == 5 && summary.skipped_bytes == 0, "{summary:?}");
    });
}

#[test]
fn a_file_that_ends_anywhere_gives_the_frames_before_and_says_that_it_is_torn() {
    let mut packer = Packer::new();
    let (mut bytes, mut ends) = (Vec::new(), vec![0]);
    for number in 0..4 {
        push(&mut packer, &numbered(number).record());
        bytes.extend(sealed(&mut packer));
        ends.push(bytes.len());
    }
    for end in 0..=bytes.len() {
        let (records, summary) = read(&bytes[..end]);
        let whole = ends.iter().rposition(|whole| *whole <= end).unwrap();
        assert_eq!((records.len(), summary.frames), (whole, whole as u64));
        assert_eq!(summary.is_torn, end > ends[whole], "{end} of {ends:?}");
        assert_eq!(summary.skipped_bytes, (end - ends[whole]) as u64);
        // Somebody else goes on, as `handler::File` does after a torn end.
        let behind = [&bytes[..end], b"\n", &bytes].concat();
        let (records, summary) = read(&behind);
        // Where only the newline was missing, there it is.
        let repaired = usize::from(ends.contains(&(end + 1)));
        assert_eq!((records.len(), summary.is_torn), (whole + repaired + 4, false), "{end}");
    }
}

#[test]
fn garbage_is_skipped_to_the_next_frame_and_counted() {
    let mut packer = Packer::new();
    push(&mut packer, &numbered(1).record());
    let first = sealed(&mut packer);
    push(&mut packer, &numbered(2).record());
    let second = sealed(&mut packer);
    // A promise of 16 MiB, and of bytes behind which another frame is.
    let promise = [&first[..8], &[0, 0, 0, 1]].concat();
    let overlap = [&first[..8], &[60, 0, 0, 0]].concat();
    for garbage in
        [&b"2026-11-22T13:37:55Z INFO  app: a line\n"[..], &[0; 5000], &[0xf5; 70_000], &promise, &overlap]
    {
        let (records, summary) = read(&[garbage, &first, garbage, garbage, &second, garbage].concat());
        assert_eq!((records.len(), summary.frames, summary.undefined), (2, 2, 0));
        assert_eq!((summary.skipped_bytes, summary.skipped_places), (4 * garbage.len() as u64, 3));
        assert_eq!(summary.is_torn, garbage == promise || garbage == overlap);
    }
}

#[test]
fn frames_of_another_version_or_byte_order_are_refused_one_by_one() {
    let mut packer = Packer::new();
    push(&mut packer, &numbered(1).record());
    let frame = sealed(&mut packer);
    let mut newer = frame.clone();
    newer[3] += 1; // outside of the checksum, as the place of the checksum might be another one some day
    let mut other_order = frame.clone();
    other_order[frame::HEAD_BYTES] ^= 1;
    other_order.pop();
    frame::seal(&mut other_order);
    let (records, summary) = read(&[newer, other_order, frame].concat());
    assert_eq!((records.len(), summary.frames, summary.refused_frames, summary.skipped_bytes), (1, 1, 2, 0));
    assert_eq!(summary.to_string(), "1 record in 1 frame; 2 frames not understood");
}

#[test]
fn a_record_takes_a_quarter_of_its_line() {
    let mut packer = Packer::new();
    let (mut packed, mut lines) = (0, 0);
    let pieces = [
        Piece::Literal("filled "),
        Piece::Argument(0, Spec::DISPLAY),
        Piece::Literal(" of "),
        Piece::Argument(1, Spec::DISPLAY),
        Piece::Literal(" at "),
        Piece::Argument(2, Spec::DISPLAY),
    ];
    let first = Owned::new(
        Level::Info,
        "throughput",
        &pieces,
        &[],
        (0_u64.hold(), (0_u64.hold(), (0.0_f64.hold(), ()))),
    );
    for i in 0..10_000 {
        let words = vec![i, 400_000, (i as f64 * 0.25).to_bits()];
        let time = Timestamp::from_nanos(first.time.as_nanos() + i * 270);
        let record = Owned { words, time, stamp: i * 650, ..first.clone() };
        push(&mut packer, &record.record());
        if packer.is_full() {
            packed += sealed(&mut packer).len();
        }
        // As text has it.
        let head = "2023-11-14T22:13:20.123456789Z INFO  throughput: ";
        lines += head.len() + record.record().message().to_string().len() + 1;
    }
    packed += sealed(&mut packer).len();
    assert!(packed * 4 < lines, "{packed} for {lines}");
    assert!(packed / 10_000 < 19, "{packed}");
}

#[test]
fn what_is_too_large_is_refused_and_leaves_nothing() {
    let mut packer = Packer::new();
    let mut huge = numbered(1);
    huge.words = vec![u64::MAX / 3; WORDS_MAX + 1];
    packer.push(&huge.record(), Load::RECORD).unwrap_err();
    assert_eq!((packer.waiting(), packer.load()), (0, Load::NONE));
    let text = "x".repeat(DEFINITION_BYTES_MAX).leak();
    let talkative = Owned::new(Level::Info, text, &[], &[], ());
    packer.push(&talkative.record(), Load::RECORD).unwrap_err();
    assert_eq!(packer.waiting(), 0);
    huge.words.pop();
    push(&mut packer, &huge.record());
    let (records, summary) = read(&sealed(&mut packer));
    assert!(records == [told(&huge.record())] && summary.is_whole());
}

#[test]
fn every_span_of_a_file_defines_what_it_needs() {
    let mut packer = Packer::new();
    let owned = numbered(1);
    let (mut bytes, mut count) = (Vec::new(), 0_u64);
    while bytes.len() < 3 * DICTIONARY_SPAN_BYTES {
        while !packer.is_full() {
            push(&mut packer, &owned.record());
            count += 1;
        }
        bytes.extend(sealed(&mut packer));
        packer.settle();
    }
    let from = DICTIONARY_SPAN_BYTES / 2;
    let mut reader = Reader::new(&bytes[from..]);
    let mut last = 0;
    while reader.read().unwrap().is_some() {
        last += 1;
    }
    let Summary { records, undefined, .. } = reader.summary();
    assert_eq!(records, last);
    assert!(undefined > 0 && undefined < count / 4, "{undefined} of {count}");
    assert!(bytes.len() as u64 / count < 40);
}

#[test]
fn the_last_record_is_taken_back_with_what_was_defined_for_it() {
    let (mut packer, mut bytes) = (Packer::new(), Vec::new());
    push(&mut packer, &numbered(1).record());
    let before = packer.waiting();
    push(&mut packer, &numbered(2).record());
    assert_eq!(packer.waiting() - packer.last_len(), before);
    assert_eq!(
        packer.take_back(|frame, load| {
            bytes.extend_from_slice(frame);
            assert_eq!(load, Load::RECORD);
        }),
        Some(Load::RECORD)
    );
    assert_eq!((bytes.len(), packer.waiting()), (before, 0));
    assert_eq!(packer.take_back(|_, _| unreachable!()), None);
    push(&mut packer, &numbered(2).record());
    assert_eq!(packer.waiting(), packer.last_len());
    let (records, summary) = read(&[bytes, sealed(&mut packer)].concat());
    assert!(summary.is_whole(), "{summary:?}");
    assert_eq!(records, [1, 2].map(|number| told(&numbered(number).record())));
    push(&mut packer, &numbered(3).record());
    packer.take_back(|_, _| panic!("nothing is left")).unwrap();
}

#[test]
fn what_is_defined_again_and_again_takes_no_more_room() {
    let (mut packer, mut bytes) = (Packer::new(), Vec::new());
    for number in 0..50_000 {
        packer.doubt();
        push(&mut packer, &numbered_at_one(number).record());
        bytes.extend(sealed(&mut packer));
    }
    let mut reader = Reader::new(bytes.as_slice());
    while reader.read().unwrap().is_some() {}
    assert_eq!((reader.summary().records, reader.summary().is_whole()), (50_000, true));
}

/// As [`numbered`], but all at one callsite.
fn numbered_at_one(number: u64) -> Owned {
    thread_local!(static FIRST: Owned = numbered(0));
    Owned { words: vec![number], ..FIRST.with(Owned::clone) }
}

#[test]
fn of_many_writers_by_turns_the_last_sixteen_are_remembered() {
    for (writers, undefined) in [(16, 0), (17, 17)] {
        let mut packers: Vec<_> = (0..writers).map(|_| Packer::new()).collect();
        let mut bytes = Vec::new();
        for packer in (0..2).flat_map(|_| 0..writers) {
            push(&mut packers[packer], &numbered_at_one(1).record());
            bytes.extend(sealed(&mut packers[packer]));
        }
        let (records, summary) = read(&bytes);
        assert_eq!((records.len() + undefined, summary.undefined), (2 * writers, undefined as u64));
    }
}

/// Gives little at a time, and fails now and then.
struct Slow<'a>(&'a [u8], VecDeque<io::ErrorKind>);

impl Read for Slow<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self.1.pop_front() {
            Some(kind) => Err(kind.into()),
            None => self.0.read(&mut out[..3]),
        }
    }
}

#[test]
fn a_source_may_be_slow_and_may_fail_and_go_on() {
    let mut packer = Packer::new();
    (0..9).for_each(|number| push(&mut packer, &numbered(number).record()));
    let bytes = sealed(&mut packer);
    let failures = [io::ErrorKind::Interrupted, io::ErrorKind::ConnectionReset];
    let mut reader = Reader::new(Slow(&bytes, failures.into()));
    assert_eq!(reader.read().unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    let mut records = 0;
    while reader.read().unwrap().is_some() {
        records += 1;
    }
    assert_eq!((records, reader.summary().is_whole()), (9, true));
}

#[test]
fn a_full_frame_is_a_page_and_a_little() {
    let (mut packer, owned) = (Packer::new(), numbered(1));
    while !packer.is_full() {
        push(&mut packer, &owned.record());
    }
    assert!((FRAME_BYTES..FRAME_BYTES + 100).contains(&sealed(&mut packer).len()));
}
