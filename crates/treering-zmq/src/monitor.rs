//! What a socket's connections do, as libzmq tells it.
//!
//! It counts them, and mends one fault of libzmq: a connection that it cut because of what the peer sent, such as a message
//! beyond all limits, it never makes again. One that the peer ended it begins to make again at once, and says so; where it
//! has not said so for a while, the monitor does it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use treering::queue::Deadline;
use zmq::{Context, DONTWAIT, Message, POLLIN, PollItem, Socket, SocketEvent};

use crate::Error;
use crate::open;
use crate::receiver::Counts;

/// After a connection ended, so long until it is made again by us. Libzmq begins within a millisecond.
const PATIENCE: Duration = Duration::from_millis(300);
/// Sockets of one context are named apart; here each has a context of its own.
const ADDRESS: &str = "inproc://treering-monitor";
const EVENTS: [SocketEvent; 4] = [
    SocketEvent::HANDSHAKE_SUCCEEDED,
    SocketEvent::DISCONNECTED,
    SocketEvent::CONNECT_RETRIED,
    SocketEvent::CONNECT_DELAYED,
];

/// Reads the events of a socket that has its context for itself.
pub(crate) struct Monitor {
    events: Socket,
    /// Where the socket connects to.
    uri: Option<String>,
    /// When to connect again, if libzmq has not begun by then.
    patience: Option<Deadline>,
}

impl Monitor {
    pub(crate) fn of(context: &Context, socket: &Socket) -> Result<Self, Error> {
        let mask = EVENTS.iter().fold(0, |mask, event| mask | i32::from(event.to_raw()));
        let events = socket
            .monitor(ADDRESS, mask)
            .and_then(|()| context.socket(zmq::PAIR))
            .map_err(Error::doing("watch a socket"))?;
        events
            .set_rcvhwm(0) // a full one would hold up the thread that moves all messages
            .and_then(|()| events.connect(ADDRESS))
            .map_err(Error::doing("watch a socket"))?;
        Ok(Monitor { events, uri: None, patience: None })
    }

    /// From now on a connection that libzmq gives up is made again.
    pub(crate) fn keep_connected(&mut self, uri: &str) {
        self.uri = Some(uri.to_owned());
    }

    /// Takes note of what happened.
    pub(crate) fn look(&mut self, socket: &Socket, counts: &Counts) {
        while let Some(event) = self.next() {
            match event {
                SocketEvent::HANDSHAKE_SUCCEEDED => {
                    counts.connected.fetch_add(1, Ordering::Relaxed);
                    self.patience = None;
                }
                SocketEvent::DISCONNECTED => {
                    counts.disconnected.fetch_add(1, Ordering::Relaxed);
                    self.patience = self.uri.is_some().then(|| Deadline::after(PATIENCE));
                }
                _ => self.patience = None,
            }
        }
        if let (Some(uri), Some(patience)) = (&self.uri, self.patience)
            && patience.has_passed()
        {
            // What is left of the connection has to go first. If either fails it is tried again.
            let _ = socket.disconnect(uri);
            self.patience = socket.connect(uri).is_err().then(|| Deadline::after(PATIENCE));
        }
    }

    /// The most that may be waited until the next [`look`](Monitor::look), in milliseconds.
    pub(crate) fn patience(&self) -> Option<i64> {
        self.patience.and_then(Deadline::left).map(|left| open::millis(left).into())
    }

    pub(crate) fn as_poll_item(&self) -> PollItem<'_> {
        self.events.as_poll_item(POLLIN)
    }

    /// An event is a message of two parts: what happened, and where.
    #[allow(clippy::host_endian_bytes, reason = "libzmq writes it as it lies in memory")]
    fn next(&self) -> Option<SocketEvent> {
        loop {
            let mut message = Message::new();
            self.events.recv(&mut message, DONTWAIT).ok()?;
            let kind = message.first_chunk().map(|bytes| u16::from_ne_bytes(*bytes));
            while message.get_more() {
                self.events.recv(&mut message, 0).ok()?;
            }
            let event = EVENTS.into_iter().find(|event| Some(event.to_raw()) == kind);
            if event.is_some() {
                return event;
            }
        }
    }
}
