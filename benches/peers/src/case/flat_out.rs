//! Calls without a pause, from the first call until the last byte is in the file.

use std::hint::black_box;
use std::path::Path;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use super::{Calls, print, say, text, with_calls};
use crate::job::Job;
use crate::peer::Peer;

pub fn run<P: Peer>(job: &Job, file: &Path) {
    let peer = P::start(file, job.full, job.bytes);
    let ready = Barrier::new(job.threads as usize);
    let of_one_thread = || {
        let text = text(job);
        peer.enter();
        ready.wait();
        let began = Instant::now();
        with_calls(&peer, job, &text, Rush(job.calls));
        began
    };
    let began = thread::scope(|scope| {
        let threads: Vec<_> = (0..job.threads).map(|_| scope.spawn(of_one_thread)).collect();
        let begun = threads.into_iter().map(|thread| thread.join().expect("it does not panic"));
        begun.min().expect("there is a thread")
    });
    let called = began.elapsed();
    say(peer.stop());
    print("seconds", began.elapsed().as_secs_f64());
    print("call_seconds", called.as_secs_f64());
}

struct Rush(u64);

impl Calls for Rush {
    fn run(self, call: impl Fn(u64)) {
        (0..self.0).for_each(|i| call(black_box(i)));
    }
}
