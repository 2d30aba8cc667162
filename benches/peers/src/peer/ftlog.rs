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

    // Its lines have no fields.
    calls!(fields: |id, path| info!("request id={} method={} path={} status={}", id, "GET", path, 200_u16));

    fn stop(self) -> Said {
        drop(self.0);
        Said::Nothing
    }
}
