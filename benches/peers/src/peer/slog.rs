//! `slog` with `slog-async` and `slog-term`'s full lines in UTC. Its queue holds 1,024 records instead of 128.

use std::path::Path;

use slog::{Drain, Level, LevelFilter, Logger, debug, info, o};
use slog_async::{Async, AsyncGuard, OverflowStrategy};
use slog_term::{FullFormat, PlainDecorator};

use super::{Peer, Said, open};
use crate::job::Full;

const QUEUE: usize = 1024;

pub struct Slog {
    logger: Logger,
    guard: AsyncGuard,
}

impl Peer for Slog {
    fn start(file: &Path, full: Full, _: usize) -> Self {
        let lines = FullFormat::new(PlainDecorator::new(open(file))).use_utc_timestamp().build().fuse();
        let when_full = match full {
            Full::Wait => OverflowStrategy::Block,
            Full::Drop => OverflowStrategy::DropAndReport,
        };
        let (drain, guard) =
            Async::new(lines).chan_size(QUEUE).overflow_strategy(when_full).build_with_guard();
        Slog { logger: Logger::root(LevelFilter::new(drain, Level::Info).fuse(), o!()), guard }
    }

    #[inline(always)]
    fn numbers(&self, a: u64, b: u64, c: f64) {
        info!(self.logger, "filled {} of {} at {}", a, b, c);
    }

    #[inline(always)]
    fn text(&self, text: &str) {
        info!(self.logger, "said {}", text);
    }

    #[inline(always)]
    fn fields(&self, id: u64, path: &str) {
        info!(self.logger, "request"; "id" => id, "method" => "GET", "path" => path, "status" => 200_u16);
    }

    #[inline(always)]
    fn disabled(&self, a: u64, b: u64, c: f64) {
        debug!(self.logger, "filled {} of {} at {}", a, b, c);
    }

    fn stop(self) -> Said {
        drop(self.logger);
        drop(self.guard);
        Said::InTheFile("count: ")
    }
}
