//! `tracing` with `tracing-subscriber`'s lines and `tracing-appender`'s thread, as its documentation sets them up. The
//! appender's file has no buffer, the queue holds 128,000 lines. Where a call shall wait it is not `lossy`.

use std::path::Path;

use tracing::{debug, info};
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};

use super::{Peer, Said, open};
use crate::job::Full;

pub struct Tracing {
    guard: WorkerGuard,
    lost: ErrorCounter,
}

impl Peer for Tracing {
    fn start(file: &Path, full: Full, _: usize) -> Self {
        let (writer, guard) = NonBlockingBuilder::default().lossy(full == Full::Drop).finish(open(file));
        let lost = writer.error_counter();
        tracing_subscriber::fmt()
            .with_max_level(tracing::Level::INFO)
            .with_ansi(false)
            .with_writer(writer)
            .init();
        Tracing { guard, lost }
    }

    calls!(fields: |id, path| info!(id, method = "GET", path, status = 200_u16, "request"));

    fn stop(self) -> Said {
        drop(self.guard);
        Said::Lost(self.lost.dropped_lines() as u64)
    }
}
