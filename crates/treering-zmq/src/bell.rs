//! What ends a wait from another thread: a socket of libzmq cannot be touched from there.

use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use zmq::{POLLIN, PollItem};

/// Rings until it is silenced; a poll hears it.
#[derive(Debug)]
pub(crate) struct Bell {
    rope: UnixStream,
    ear: UnixStream,
}

impl Bell {
    pub(crate) fn new() -> io::Result<Self> {
        let (rope, ear) = UnixStream::pair()?;
        rope.set_nonblocking(true)?;
        ear.set_nonblocking(true)?;
        Ok(Bell { rope, ear })
    }

    pub(crate) fn ring(&self) {
        // Where there is no room for a byte it rings already.
        let _ = (&self.rope).write(&[0]);
    }

    /// Whether it rang. From now on it does not, until it is rung again.
    pub(crate) fn silence(&self) -> bool {
        let mut is_rung = false;
        while (&self.ear).read(&mut [0; 64]).is_ok_and(|read| read > 0) {
            is_rung = true;
        }
        is_rung
    }

    pub(crate) fn as_poll_item(&self) -> PollItem<'_> {
        PollItem::from_fd(self.ear.as_raw_fd(), POLLIN)
    }
}
