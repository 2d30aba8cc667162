//! Calls at a level that is off: nanoseconds a call, less those of an empty loop.

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use super::{print_all, say};
use crate::job::Job;
use crate::peer::Peer;

/// The fastest counts: what is slower was disturbed.
const TRIES: usize = 5;

pub fn run<P: Peer>(job: &Job, file: &Path) {
    let peer = P::start(file, job.full, job.bytes);
    peer.enter();
    let disabled = fastest(job.calls, |i| peer.disabled(i, i >> 1, i as f64));
    let nothing = fastest(job.calls, |_| ());
    say(peer.stop());
    print_all("call", std::iter::once(disabled - nothing));
}

fn fastest(calls: u64, call: impl Fn(u64)) -> f64 {
    let try_once = |_| {
        let began = Instant::now();
        (0..calls).for_each(|i| call(black_box(i)));
        began.elapsed().as_nanos() as f64 / calls as f64
    };
    (0..TRIES).map(try_once).fold(f64::INFINITY, f64::min)
}
