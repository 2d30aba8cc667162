//! `ftlog` behind the macros of `log`: a queue of 100,000 records, lines in UTC, a file without a buffer. Of what it
//! drops it prints a count to stderr at most every five seconds, and none at the end.

use std::path::Path;

use ftlog::{LevelFilter, LoggerGuard, debug, info};

use super::{Peer, Said, open};
use crate::job::Full;

const QUEUE: usize = 100_000;

pub struct Ftlog(LoggerGuard);

impl Peer for Ftlog {
    fn start(file: &Path, full: Full, _: usize) -> Self {
        let builder = ftlog::builder()
            .max_log_level(LevelFilter::Info)
            .bounded(QUEUE, full == Full::Wait)
            .utc()
            .root(open(file));
        Ftlog(builder.try_init().expect("no logger yet"))
    }

    #[inline(always)]
    fn numbers(&self, a: u64, b: u64, c: f64) {
        info!("filled {} of {} at {}", a, b, c);
    }

    #[inline(always)]
    fn text(&self, text: &str) {
        info!("said {}", text);
    }

    /// Its lines have no fields.
    #[inline(always)]
    fn fields(&self, id: u64, path: &str) {
        info!("request id={} method={} path={} status={}", id, "GET", path, 200_u16);
    }

    #[inline(always)]
    fn disabled(&self, a: u64, b: u64, c: f64) {
        debug!("filled {} of {} at {}", a, b, c);
    }

    fn stop(self) -> Said {
        drop(self.0);
        Said::Nothing
    }
}
