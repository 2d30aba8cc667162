//! `spdlog-rs` with a file behind its `AsyncPoolSink`: one thread, 8,192 records. It tells its error handler of each
//! record that it drops.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use spdlog::error::ErrorHandler;
use spdlog::sink::{AsyncPoolSink, FileSink, OverflowPolicy};
use spdlog::{Logger, ThreadPool, debug, info};

use super::{Peer, Said};
use crate::job::Full;

pub struct SpdlogRs {
    logger: Arc<Logger>,
    pool: Arc<ThreadPool>,
    lost: Arc<AtomicU64>,
}

impl Peer for SpdlogRs {
    fn start(file: &Path, full: Full, _: usize) -> Self {
        let lost = Arc::new(AtomicU64::new(0));
        let told = lost.clone();
        let tell = ErrorHandler::new(move |_| _ = told.fetch_add(1, Ordering::Relaxed));
        let pool = ThreadPool::builder().build_arc().expect("a thread");
        let file = FileSink::builder().path(file).build_arc().expect("the runner made the directory");
        let when_full = match full {
            Full::Wait => OverflowPolicy::Block,
            Full::Drop => OverflowPolicy::DropIncoming,
        };
        let sink = AsyncPoolSink::builder()
            .sink(file)
            .thread_pool(pool.clone())
            .overflow_policy(when_full)
            .error_handler(tell.clone())
            .build_arc()
            .expect("a sink");
        let logger = Logger::builder().sink(sink).error_handler(tell).build_arc().expect("a logger");
        SpdlogRs { logger, pool, lost }
    }

    #[inline(always)]
    fn numbers(&self, a: u64, b: u64, c: f64) {
        info!(logger: self.logger, "filled {} of {} at {}", a, b, c);
    }

    #[inline(always)]
    fn text(&self, text: &str) {
        info!(logger: self.logger, "said {}", text);
    }

    #[inline(always)]
    fn fields(&self, id: u64, path: &str) {
        info!(logger: self.logger, "request", kv: { id, method = "GET", path, status = 200_u16 });
    }

    #[inline(always)]
    fn disabled(&self, a: u64, b: u64, c: f64) {
        debug!(logger: self.logger, "filled {} of {} at {}", a, b, c);
    }

    fn stop(self) -> Said {
        drop(self.logger);
        drop(self.pool);
        Said::Lost(self.lost.load(Ordering::Relaxed))
    }
}
