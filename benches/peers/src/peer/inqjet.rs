//! `inqjet` with its defaults: one ring of 64 KiB for all threads, deferred formatting. Its file has a buffer, which it
//! flushes when the ring is empty.

use std::io::BufWriter;
use std::path::Path;

use inqjet::{BackpressureMode, ColorMode, InqJetBuilder, InqJetGuard, LevelFilter, debug, info};

use super::{Peer, Said, open};
use crate::job::Full;

const RING: usize = 64 << 10;

pub struct Inqjet(InqJetGuard);

impl Peer for Inqjet {
    fn start(file: &Path, full: Full, bytes: usize) -> Self {
        let when_full = match full {
            Full::Wait => BackpressureMode::Backoff,
            Full::Drop => BackpressureMode::Drop,
        };
        let builder = InqJetBuilder::default()
            .with_writer(BufWriter::new(open(file)))
            .with_buffer_size((16 * bytes).max(RING))
            .with_log_level(LevelFilter::Info)
            .with_color_mode(ColorMode::Never)
            .with_backpressure(when_full);
        Inqjet(builder.build().expect("no logger yet"))
    }

    // It has no fields.
    calls!(fields: |id, path| info!("request id={} method={} path={} status={}", id, "GET", path, 200_u16));

    fn stop(self) -> Said {
        drop(self.0);
        Said::Nothing
    }
}
