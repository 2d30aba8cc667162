//! treering with its defaults. Where a call shall wait for room, it does so for at most ten seconds; the ring is larger
//! than its 128 KiB only for messages of which it would not hold sixteen.

use std::path::Path;
use std::time::Duration;

use treering::{Guard, Overflow, debug, handler, info};

use super::{Peer, Said};
use crate::job::Full;

const RING: usize = 128 << 10;

pub struct Treering(Guard);

impl Peer for Treering {
    fn start(file: &Path, full: Full, bytes: usize) -> Self {
        let overflow = match full {
            Full::Wait => Overflow::block(Duration::from_secs(10)),
            Full::Drop => Overflow::drop_newest(),
        };
        let builder = treering::builder()
            .filter("info")
            .ring_capacity((16 * bytes).next_power_of_two().max(RING))
            .overflow(overflow)
            .handler(handler::File::append(file).expect("the runner made the directory"));
        Treering(builder.init().expect("no engine runs yet"))
    }

    calls!(fields: |id, path| info!(id, method = "GET", path, status = 200_u16, "request"));

    fn stop(self) -> Said {
        let books = self.0.stop(Duration::from_secs(60)).expect("this is not the listener's thread");
        books.assert_balanced();
        Said::Lost(books.submitted - books.dispatched)
    }
}
