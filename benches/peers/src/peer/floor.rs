//! The floor: the same bytes into an rtrb ring behind a time stamp, and a consumer that only adds them up. It writes no
//! file, so what is compared with it is the caller's side.

use std::hint::black_box;
use std::path::Path;

use super::{Peer, Said};
use crate::common::floor::{self, Floor};
use crate::job::Full;

pub struct AtTheFloor(Floor);

impl Peer for AtTheFloor {
    fn start(_: &Path, _: Full, _: usize) -> Self {
        AtTheFloor(Floor::start())
    }

    fn enter(&self) {
        self.0.enter();
    }

    #[inline(always)]
    fn numbers(&self, a: u64, b: u64, c: f64) {
        black_box(floor::log(a, b, c));
    }

    /// Forty bytes, whatever the length.
    #[inline(always)]
    fn text(&self, text: &str) {
        black_box(floor::put([
            8,
            0,
            text.len() as u64,
            word(text, 0),
            word(text, 1),
            word(text, 2),
            word(text, 3),
            word(text, 4),
        ]));
    }

    #[inline(always)]
    fn fields(&self, id: u64, path: &str) {
        let [a, b, c, d, e] = [0, 1, 2, 3, 4].map(|at| word(path, at));
        black_box(floor::put([12, 0, id, 3, word("GET.....", 0), path.len() as u64, a, b, c, d, e, 200]));
    }

    #[inline(always)]
    fn disabled(&self, _: u64, _: u64, _: f64) {}

    fn stop(self) -> Said {
        Said::Nothing
    }
}

/// Eight bytes of a string.
#[inline(always)]
fn word(text: &str, at: usize) -> u64 {
    text.as_bytes()[at * 8..].first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes))
}
