//! treering alone, where its calls must stand in the source: so many fields in a call, so many callsites. A program of
//! its own, as ten thousand callsites take a while to build.
//!
//! It takes the arguments of a job, in which `bytes` is the number of fields or of callsites.

use std::path::Path;

use treering_peers::job::{Full, Job, Shape};
use treering_peers::peer::{Peer, Said};
use treering_peers_calls as calls;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((file, job)) = arguments.split_last() else { panic!("a job, and a file") };
    treering_peers::case::run::<Alone>(&Job::parse(job).expect("a job"), Path::new(file));
}

struct Alone {
    treering: treering_peers::peer::Treering,
    many: usize,
    sites: Vec<fn(u64)>,
}

impl Peer for Alone {
    fn start(file: &Path, full: Full, many: usize) -> Self {
        Alone { treering: Peer::start(file, full, 0), many, sites: calls::sites(many) }
    }

    /// Each callsite has its id before it is timed.
    fn enter(&self) {
        self.sites.iter().for_each(|call| call(0));
    }

    #[inline(always)]
    fn numbers(&self, a: u64, _: u64, _: f64) {
        self.sites[a as usize % self.sites.len()](a);
    }

    #[inline(always)]
    fn fields(&self, id: u64, _: &str) {
        calls::with_fields(self.many)(id);
    }

    fn text(&self, _: &str) {
        unreachable!("{} is for peers", Shape::Text);
    }

    fn disabled(&self, _: u64, _: u64, _: f64) {
        unreachable!("that is for peers");
    }

    fn stop(self) -> Said {
        self.treering.stop()
    }
}
