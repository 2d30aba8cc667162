//! `log4rs` with a file: no thread, the call formats and writes. The baseline of those who do nothing about it.

use std::path::Path;

use log::{LevelFilter, debug, info};
use log4rs::Config;
use log4rs::append::file::FileAppender;
use log4rs::config::{Appender, Root};

use super::{Peer, Said};
use crate::job::Full;

pub struct Log4rs;

impl Peer for Log4rs {
    fn start(file: &Path, _: Full, _: usize) -> Self {
        let file = FileAppender::builder().build(file).expect("the runner made the directory");
        let config = Config::builder()
            .appender(Appender::builder().build("file", Box::new(file)))
            .build(Root::builder().appender("file").build(LevelFilter::Info))
            .expect("the appender has its name");
        log4rs::init_config(config).expect("no logger yet");
        Log4rs
    }

    // Its default pattern has no fields.
    calls!(fields: |id, path| info!("request id={} method={} path={} status={}", id, "GET", path, 200_u16));

    fn stop(self) -> Said {
        log::logger().flush();
        Said::Lost(0)
    }
}
