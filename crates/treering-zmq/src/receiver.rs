//! The receiving side.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use treering::queue::{Deadline, Dequeue, DequeueError, Dequeued, Frames};
use zmq::{DONTWAIT, Message, POLLIN, Socket, SocketType};

use crate::Error;
use crate::bell::Bell;
use crate::monitor::Monitor;
use crate::open::{self, Way};

/// What libzmq keeps of each peer, in messages, if nothing else is said: its own default.
const HIGH_WATER_MARK: u32 = 1000;
/// The longest record, if nothing else is said: no portable one is longer.
const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How many times that libzmq takes in before it cuts the connection: what is between is counted one by one.
const CUT_OFF_FACTOR: usize = 4;
/// So long, and so many messages, is handed out after a close while more comes: what had come by then is among it.
const DRAIN_TIME: Duration = Duration::from_millis(200);

/// The receiving side of a ZeroMQ socket: what a [`Listener`](treering::Listener) takes records out of.
///
/// A message is a record, or a topic and a record. What has more parts, or is too long, is counted, and comes out as an empty
/// frame, which the listener counts as malformed.
///
/// It can be stopped at any time: the listener waits for the socket and for a bell of its own.
///
/// ```
/// use std::time::Duration;
/// use treering::handler::Capture;
/// use treering::{Listener, queue::Enqueue};
/// use treering_zmq::{Receiver, Sender, from_python};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let receiver = Receiver::puller().bind("tcp://127.0.0.1:*")?;
/// # let sender = Sender::pusher().connect(receiver.endpoint())?;
/// # sender.enqueue(br#"{"name": "app", "levelno": 30, "msg": "from Python"}"#)?;
/// let capture = Capture::new();
/// let listening = Listener::new(receiver).translate(from_python).handler(capture.clone()).start()?;
/// # while capture.is_empty() {
/// #     std::thread::sleep(Duration::from_millis(1));
/// # }
/// listening.stop(Duration::from_secs(5))?.assert_balanced();
/// assert_eq!(capture.records()[0].message(), "from Python");
/// # Ok(())
/// # }
/// ```
///
/// What only receives cannot be sent into:
///
/// ```compile_fail
/// let receiver = treering_zmq::Receiver::puller().bind("tcp://127.0.0.1:*").unwrap();
/// let handler = treering::handler::QueueHandler::new(receiver);
/// ```
pub struct Receiver {
    inbox: Mutex<Place>,
    /// Notified when the inbox is back.
    returned: Condvar,
    bell: Bell,
    is_closed: AtomicBool,
    endpoint: String,
    counts: Counts,
}

/// Where the inbox is: one thread at a time has it, and others wait for their turn.
enum Place {
    Here(Inbox),
    Lent,
    /// It was closed, and is empty.
    Gone,
}

/// An open socket, and what it may receive.
struct Inbox {
    monitor: Option<Monitor>,
    socket: Socket,
    frame_bytes_max: usize,
    /// The last part of a message.
    message: Message,
    /// Since the close was seen: until when more is taken, and how many messages at least.
    drain: Option<(Deadline, usize)>,
}

#[derive(Default, Debug)]
pub(crate) struct Counts {
    received: AtomicU64,
    refused: AtomicU64,
    pub(crate) connected: AtomicU64,
    pub(crate) disconnected: AtomicU64,
}

impl Receiver {
    /// One that subscribes, SUB: to the [topics](ReceiverOptions::topic) that are named, or to everything.
    pub fn subscriber() -> ReceiverOptions {
        ReceiverOptions::new(zmq::SUB)
    }

    /// One that pulls, PULL: what is pushed to it, or its share of that.
    pub fn puller() -> ReceiverOptions {
        ReceiverOptions::new(zmq::PULL)
    }

    /// One over a socket that was made elsewhere, with whatever options: SUB, with its own subscriptions, or PULL. Its
    /// connections are not counted, and libzmq takes in messages as long as the socket says.
    ///
    /// ```
    /// let context = zmq::Context::new();
    /// let socket = context.socket(zmq::SUB)?;
    /// socket.set_subscribe(b"orders")?;
    /// socket.connect("tcp://127.0.0.1:5556")?;
    /// let receiver = treering_zmq::Receiver::over(socket)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`is_config`](Error::is_config) for a socket of another type.
    pub fn over(socket: Socket) -> Result<Self, Error> {
        let kind = open::kind(&socket)?;
        if !matches!(kind, zmq::SUB | zmq::PULL) {
            return Err(Error::config(format!("a socket of type {kind:?} is no receiver")));
        }
        let endpoint = open::endpoint(&socket);
        Receiver::new(socket, None, FRAME_BYTES_MAX, endpoint)
    }

    fn new(
        socket: Socket,
        monitor: Option<Monitor>,
        frame_bytes_max: usize,
        endpoint: String,
    ) -> Result<Self, Error> {
        Ok(Receiver {
            inbox: Mutex::new(Place::Here(Inbox {
                monitor,
                socket,
                frame_bytes_max,
                message: Message::new(),
                drain: None,
            })),
            returned: Condvar::new(),
            bell: Bell::new()?,
            is_closed: AtomicBool::new(false),
            endpoint,
            counts: Counts::default(),
        })
    }

    /// Where it is bound or connected: with the port, where the address had `*` for it.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// What has come so far. What connections did is known when the listener has looked, which it does all the time.
    pub fn report(&self) -> ReceiverReport {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ReceiverReport {
            received: load(&self.counts.received),
            refused: load(&self.counts.refused),
            connected: load(&self.counts.connected),
            disconnected: load(&self.counts.disconnected),
        }
    }

    /// Waits for the inbox; what there is to say instead, where it is gone, or lent to others until the deadline.
    fn turn(&self, deadline: Deadline) -> Result<Turn<'_>, Dequeued> {
        let mut place = self.inbox();
        loop {
            match std::mem::replace(&mut *place, Place::Lent) {
                Place::Here(inbox) => return Ok(Turn { receiver: self, inbox: Some(inbox) }),
                Place::Lent => {}
                Place::Gone => {
                    *place = Place::Gone;
                    return Err(Dequeued::Closed);
                }
            }
            place = match deadline.left() {
                None => self.returned.wait(place).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => return Err(Dequeued::Empty),
                Some(left) => {
                    self.returned.wait_timeout(place, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    fn inbox(&self) -> MutexGuard<'_, Place> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Has the inbox, and gives it back; `None` where it is gone from now on.
struct Turn<'a> {
    receiver: &'a Receiver,
    inbox: Option<Inbox>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let place = self.inbox.take().map_or(Place::Gone, Place::Here);
        *self.receiver.inbox() = place;
        self.receiver.returned.notify_all();
    }
}

impl Dequeue for Receiver {
    fn dequeue(&self, frames: &mut Frames, deadline: Deadline) -> Result<Dequeued, DequeueError> {
        let mut turn = match self.turn(deadline) {
            Ok(turn) => turn,
            Err(instead) => return Ok(instead),
        };
        // What has come goes out in front of a failure, which the next call sees as well, or does not.
        let before = frames.len();
        match Error::caught(|| self.dequeue_from(&mut turn.inbox, frames, deadline)) {
            Ok(dequeued) => dequeued,
            Err(_) if frames.len() > before => Ok(Dequeued::Some(frames.len() - before)),
            Err(error) => Err(DequeueError::new(error)),
        }
    }

    fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.bell.ring();
    }

    fn wake(&self) {
        self.bell.ring();
    }
}

impl Receiver {
    fn dequeue_from(
        &self,
        inbox: &mut Option<Inbox>,
        frames: &mut Frames,
        deadline: Deadline,
    ) -> Result<Dequeued, DequeueError> {
        loop {
            let Some(open) = inbox.as_mut() else { return Ok(Dequeued::Closed) };
            // Before the socket is asked: what was there when it was closed comes out.
            let is_closed = self.is_closed.load(Ordering::Acquire);
            let is_rung = self.bell.silence();
            match open.take(frames, &self.counts) {
                Ok(0) if is_closed => *inbox = None,
                Ok(0) if is_rung || deadline.has_passed() => return Ok(Dequeued::Empty),
                Ok(0) => open.wait(&self.bell, deadline).map_err(DequeueError::new)?,
                Ok(taken) => {
                    if is_closed && open.is_drained_after(taken) {
                        *inbox = None;
                    } else if is_rung {
                        self.bell.ring(); // for the next call: this one did not wait
                    }
                    return Ok(Dequeued::Some(taken));
                }
                Err(zmq::Error::ETERM) => *inbox = None, // its context ends, and waits for this socket
                Err(error) => return Err(DequeueError::new(error)),
            }
        }
    }
}

impl Inbox {
    /// Appends what is there, and says how much that was.
    fn take(&mut self, frames: &mut Frames, counts: &Counts) -> Result<usize, zmq::Error> {
        let before = frames.len();
        if let Some(monitor) = &mut self.monitor {
            monitor.look(&self.socket, counts);
        }
        loop {
            let parts = match self.receive() {
                Ok(Some(parts)) => parts,
                Ok(None) => break,
                Err(error) if frames.len() == before => return Err(error),
                Err(_) => break, // which the next call will see
            };
            counts.received.fetch_add(1, Ordering::Relaxed);
            // Of two parts the first is the topic.
            if parts <= 2 && self.message.len() <= self.frame_bytes_max {
                frames.push(&self.message);
            } else {
                counts.refused.fetch_add(1, Ordering::Relaxed);
                frames.push(b"");
            }
            if frames.is_full() {
                break;
            }
        }
        Ok(frames.len() - before)
    }

    /// After a close: whether that was enough, as more would come for ever.
    fn is_drained_after(&mut self, taken: usize) -> bool {
        let least = || self.socket.get_rcvhwm().map_or(0, |messages| usize::try_from(messages).unwrap_or(0));
        let (until, left) = self.drain.unwrap_or_else(|| (Deadline::after(DRAIN_TIME), least()));
        let left = left.saturating_sub(taken);
        self.drain = Some((until, left));
        left == 0 && until.has_passed()
    }

    /// Receives a message, of which the last part stays, and says how many it had; `None` if none is there.
    fn receive(&mut self) -> Result<Option<usize>, zmq::Error> {
        let mut parts = 0;
        loop {
            match self.socket.recv(&mut self.message, DONTWAIT) {
                Ok(()) => parts += 1,
                Err(zmq::Error::EAGAIN) => return Ok(None),
                Err(zmq::Error::EINTR) => continue,
                Err(error) => return Err(error),
            }
            if !self.message.get_more() {
                return Ok(Some(parts));
            }
        }
    }

    /// Waits for a message, for the bell, for news of connections, or until the deadline.
    fn wait(&self, bell: &Bell, deadline: Deadline) -> Result<(), zmq::Error> {
        let timeout = deadline.left().map_or(-1, |left| open::millis(left).into());
        let (socket, bell) = (self.socket.as_poll_item(POLLIN), bell.as_poll_item());
        let result = match &self.monitor {
            Some(monitor) => {
                let timeout = monitor.patience().map_or(timeout, |most| match timeout {
                    -1 => most,
                    timeout => timeout.min(most),
                });
                zmq::poll(&mut [socket, bell, monitor.as_poll_item()], timeout)
            }
            None => zmq::poll(&mut [socket, bell], timeout),
        };
        match result {
            Ok(_) | Err(zmq::Error::EINTR | zmq::Error::ETERM) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// How a [`Receiver`] is to be opened.
///
/// ```
/// let receiver = treering_zmq::Receiver::subscriber()
///     .topic("orders")
///     .topic("risk")
///     .connect("tcp://127.0.0.1:5556")?;
/// # Ok::<(), treering_zmq::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is opened before `bind` or `connect`"]
pub struct ReceiverOptions {
    kind: SocketType,
    topics: Vec<Box<[u8]>>,
    high_water_mark: u32,
    frame_bytes_max: usize,
}

impl ReceiverOptions {
    fn new(kind: SocketType) -> Self {
        ReceiverOptions {
            kind,
            topics: Vec::new(),
            high_water_mark: HIGH_WATER_MARK,
            frame_bytes_max: FRAME_BYTES_MAX,
        }
    }

    /// One more beginning of messages that are subscribed to. Default, if there is none: everything.
    pub fn topic(mut self, prefix: impl AsRef<[u8]>) -> Self {
        self.topics.push(prefix.as_ref().into());
        self
    }

    /// So many messages are kept of each peer, about, before it is asked to wait; 0 is no limit but memory. Default: 1,000.
    pub fn high_water_mark(mut self, messages: u32) -> Self {
        self.high_water_mark = messages;
        self
    }

    /// The longest record that is taken, in bytes. A longer one is refused and counted; at four times this libzmq cuts the
    /// connection, which is counted too, so memory is bounded. Default: 16 MiB, as long as a portable record may be.
    pub fn frame_bytes_max(mut self, bytes: usize) -> Self {
        self.frame_bytes_max = bytes;
        self
    }

    /// Opens it at this address, for peers that connect.
    ///
    /// # Errors
    /// If libzmq cannot, knows no such address, or is told of topics and does not subscribe.
    pub fn bind(self, uri: &str) -> Result<Receiver, Error> {
        Error::caught(|| self.open(Way::Bind, uri))?
    }

    /// Opens it towards this address; a peer may come there later, and come back.
    ///
    /// # Errors
    /// If libzmq knows no such address, or is told of topics and does not subscribe.
    pub fn connect(self, uri: &str) -> Result<Receiver, Error> {
        Error::caught(|| self.open(Way::Connect, uri))?
    }

    fn open(self, way: Way, uri: &str) -> Result<Receiver, Error> {
        let (context, socket) = open::socket(self.kind)?;
        let cut_off = i64::try_from(self.frame_bytes_max.saturating_mul(CUT_OFF_FACTOR)).unwrap_or(i64::MAX);
        socket
            .set_rcvhwm(open::count(self.high_water_mark))
            .and_then(|()| socket.set_maxmsgsize(cut_off))
            .and_then(|()| socket.set_linger(0))
            .map_err(Error::doing("set the limits of a socket"))?;
        match (self.kind, &self.topics[..]) {
            (zmq::SUB, []) => socket.set_subscribe(b"").map_err(Error::doing("subscribe"))?,
            (zmq::SUB, topics) => topics
                .iter()
                .try_for_each(|topic| socket.set_subscribe(topic))
                .map_err(Error::doing("subscribe"))?,
            (_, []) => {}
            _ => return Err(Error::config("topics are for subscribers")),
        }
        let mut monitor = Monitor::of(&context, &socket)?;
        let endpoint = open::attach(&socket, way, uri)?;
        if let Way::Connect = way {
            monitor.keep_connected(uri);
        }
        Receiver::new(socket, Some(monitor), self.frame_bytes_max, endpoint)
    }
}

/// What a [`Receiver`] has received. Where nothing is said of a loss, none can be seen: docs/zeromq.md.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct ReceiverReport {
    /// Messages that came.
    pub received: u64,
    /// Of those, messages that had more than two parts or were too long: empty frames to whoever dequeues.
    pub refused: u64,
    /// Connections that were made, again after a loss. 0 of a socket that was made elsewhere, and over `inproc`.
    pub connected: u64,
    /// Connections that ended: the peer left, was killed, or sent what is far too long. What was on its way is lost, and
    /// nobody knows how much.
    pub disconnected: u64,
}
