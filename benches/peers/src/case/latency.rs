//! Bursts of calls with pauses between them. Every other burst is timed as a whole and divided by its length; in the
//! others each call is timed, which holds the timer's own cost. Bursts of one are single calls.

use std::hint::{black_box, spin_loop};
use std::path::Path;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use super::{Calls, WARM_UP, print, print_all, say, text, with_calls};
use crate::allocations;
use crate::common::clock::{self, Rate};
use crate::job::Job;
use crate::peer::Peer;

pub fn run<P: Peer>(job: &Job, file: &Path) {
    let peer = P::start(file, job.full, job.bytes);
    let rate = Rate::begin();
    let ready = Barrier::new(job.threads as usize + 1);
    let mut all = Samples::default();
    let allocated = thread::scope(|scope| {
        let threads: Vec<_> =
            (0..job.threads).map(|_| scope.spawn(|| of_one_thread(&peer, job, &ready))).collect();
        ready.wait();
        allocations::begin();
        ready.wait();
        for thread in threads {
            all.extend(thread.join().expect("it does not panic"));
        }
        allocations::end()
    });
    let nanos_per_tick = rate.nanos_per_tick();
    say(peer.stop());
    let nanos =
        |samples: &[f64]| samples.iter().map(|ticks| ticks * nanos_per_tick).collect::<Vec<_>>().into_iter();
    print_all("burst", nanos(&all.bursts));
    print_all("first", nanos(&all.firsts));
    print_all("call", nanos(&all.calls));
    print("allocations", allocated);
}

fn of_one_thread<P: Peer>(peer: &P, job: &Job, ready: &Barrier) -> Samples {
    let text = text(job);
    peer.enter();
    // All the room that is needed: nothing is allocated between the calls.
    let mut samples = Samples::with_room_for(job);
    with_calls(peer, job, &text, WarmUp);
    ready.wait();
    ready.wait();
    with_calls(peer, job, &text, Bursts { job, samples: &mut samples });
    samples
}

/// In ticks.
#[derive(Default)]
struct Samples {
    /// Whole bursts, divided by their length.
    bursts: Vec<f64>,
    /// The first call of each of the others.
    firsts: Vec<f64>,
    /// Single calls, the first ones too.
    calls: Vec<f64>,
}

impl Samples {
    fn with_room_for(job: &Job) -> Self {
        let bursts = (job.calls / job.burst) as usize + 1;
        Samples {
            bursts: Vec::with_capacity(bursts),
            firsts: Vec::with_capacity(bursts),
            calls: Vec::with_capacity(job.calls as usize),
        }
    }

    fn extend(&mut self, other: Samples) {
        self.bursts.extend(other.bursts);
        self.firsts.extend(other.firsts);
        self.calls.extend(other.calls);
    }
}

struct WarmUp;

impl Calls for WarmUp {
    fn run(self, call: impl Fn(u64)) {
        for i in 0..WARM_UP {
            call(black_box(i));
        }
        thread::sleep(Duration::from_millis(20));
    }
}

struct Bursts<'a> {
    job: &'a Job,
    samples: &'a mut Samples,
}

impl Calls for Bursts<'_> {
    fn run(self, call: impl Fn(u64)) {
        let Bursts { job, samples } = self;
        for burst in 0..job.calls / job.burst {
            pause(job);
            let from = burst * job.burst;
            if burst % 2 == 0 && job.burst > 1 {
                let began = clock::begin();
                (from..from + job.burst).for_each(|i| call(black_box(i)));
                samples.bursts.push((clock::end() - began) as f64 / job.burst as f64);
            } else {
                for i in from..from + job.burst {
                    let began = clock::begin();
                    call(black_box(i));
                    let ticks = (clock::end() - began) as f64;
                    if i == from {
                        samples.firsts.push(ticks);
                    }
                    samples.calls.push(ticks);
                }
            }
        }
    }
}

fn pause(job: &Job) {
    let pause = Duration::from_micros(job.pause_us);
    if job.sleeps() {
        return thread::sleep(pause);
    }
    let end = Instant::now() + pause;
    while Instant::now() < end {
        spin_loop();
    }
}
