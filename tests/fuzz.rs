//! What is fuzzed in `fuzz/`, on any toolchain: the committed corpora as they are, and with random changes.
//!
//! `TREERING_FUZZ_CHANGES` says how many changes of each input.

#[path = "../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "it is a crate of its own elsewhere")]
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use targets::{TARGETS, some_portable};
use treering::record::Decoder;

/// Changes of each input.
const CHANGES: u64 = 300;
/// Bytes that mean something somewhere.
const TELLING: [u8; 16] = *b"\0\x01\x02\x03\x40\x41\x42\x7f\x80\xff{}:=,%";

/// The inputs of a target, by name.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut inputs: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(path).unwrap())
        })
        .collect();
    inputs.sort();
    inputs
}

/// Numbers that are the same in each run: a linear congruence, of which the high bits are good.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % end.max(1)
    }

    /// A few bytes changed, put in, taken out or moved.
    fn change(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            let byte = if self.below(2) == 0 { TELLING[self.below(16)] } else { self.below(256) as u8 };
            match self.below(5) {
                0 => bytes.insert(at, byte),
                1 => bytes.truncate(at),
                2 if at < bytes.len() => drop(bytes.remove(at)),
                3 if at < bytes.len() => bytes.copy_within(at.., 0),
                _ if at < bytes.len() => bytes[at] = byte,
                _ => bytes.push(byte),
            }
        }
    }
}

#[test]
fn every_target_takes_its_corpus_and_random_changes_of_it() {
    let changes = std::env::var("TREERING_FUZZ_CHANGES").map_or(CHANGES, |changes| changes.parse().unwrap());
    for (target, run) in TARGETS {
        let inputs = corpus(target);
        assert!(!inputs.is_empty(), "{target} has no corpus");
        for (name, input) in inputs {
            let mut random = Random(6);
            let mut bytes = input.clone();
            for change in 0..=changes {
                let outcome = catch_unwind(AssertUnwindSafe(|| run(&bytes)));
                assert!(outcome.is_ok(), "{target}, {name}, change {change}: {bytes:?}");
                // Changes of changes, and now and then from the beginning.
                if change % 16 == 0 {
                    bytes.clone_from(&input);
                }
                random.change(&mut bytes);
            }
        }
    }
}

#[test]
fn the_corpus_has_a_record_that_is_read() {
    let is_read = |(_, input): &(_, Vec<u8>)| Decoder::new().decode(input).is_ok();
    assert!(corpus("portable").iter().any(is_read), "here is one: {:?}", some_portable());
}
