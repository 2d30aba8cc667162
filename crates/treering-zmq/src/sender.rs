//! The sending side.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use treering::queue::{Deadline, Enqueue, EnqueueError};
use zmq::{Context, DONTWAIT, Message, SNDMORE, Socket, SocketType};

use crate::Error;
use crate::open::{self, Way};

/// How long the drop of a sender waits for what is on its way, if nothing else is said.
const LINGER: Duration = Duration::from_secs(1);
/// What libzmq keeps for a peer, in messages, if nothing else is said: its own default.
const HIGH_WATER_MARK: u32 = 1000;
/// Libzmq's timers are a millisecond early or late: by so much a deadline is put off, to tell whether it was needed.
const TIMER_SLACK: Duration = Duration::from_millis(2);
/// Between two looks whether somebody has subscribed; others may send meanwhile.
const LOOK_INTERVAL: Duration = Duration::from_millis(1);

/// The sending side of a ZeroMQ socket: what a [`QueueHandler`](treering::handler::QueueHandler) puts records into.
///
/// It owns the socket, so that no two threads use it at once, and never waits: a message that libzmq has no room for is
/// [`Full`](EnqueueError::Full), and counted. Share it by an `Arc` to ask it things while a handler has it.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use treering::handler::QueueHandler;
/// use treering_zmq::{PythonRecord, Sender};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let sender = Arc::new(Sender::publisher().bind("tcp://127.0.0.1:*")?);
/// let handler = QueueHandler::new(sender.clone()).format(PythonRecord::new());
/// let (logger, guard) = treering::builder().handler(handler).start()?;
/// # let subscriber = treering_zmq::Receiver::subscriber().connect(sender.endpoint())?;
/// sender.wait_for_subscriber(Duration::from_secs(5))?; // what is sent before that, nobody gets
/// treering::info!(logger: logger, order_id = 7, "filled");
/// guard.stop(Duration::from_secs(5))?;
/// assert_eq!(sender.report().sent, 1);
/// sender.close(Duration::from_secs(5))?;
/// # Ok(())
/// # }
/// ```
///
/// What only sends cannot be listened to:
///
/// ```compile_fail
/// let sender = treering_zmq::Sender::pusher().bind("tcp://127.0.0.1:*").unwrap();
/// let listener = treering::Listener::new(sender);
/// ```
pub struct Sender {
    /// `None` when it is closed.
    outbox: Mutex<Option<Outbox>>,
    topic: Option<Box<[u8]>>,
    endpoint: String,
    sent: AtomicU64,
    full: AtomicU64,
    failed: AtomicU64,
    unheard: AtomicU64,
}

/// An open socket.
struct Outbox {
    kind: SocketType,
    socket: Socket,
    /// What somebody has subscribed to; `None` where the socket does not tell.
    topics: Option<BTreeSet<Box<[u8]>>>,
    /// Of a socket that was made here. Its end waits for what lingers, so it comes after the socket's.
    context: Option<Context>,
}

impl Sender {
    /// One that publishes: each subscriber gets all that it subscribed to. PUB on the wire; it is an XPUB socket, as a PUB
    /// does not know whether it has subscribers.
    pub fn publisher() -> SenderOptions {
        SenderOptions::new(zmq::XPUB)
    }

    /// One that pushes, PUSH: each message goes to one of the peers, and waits for one where there is none.
    pub fn pusher() -> SenderOptions {
        SenderOptions::new(zmq::PUSH)
    }

    /// One over a socket that was made elsewhere, with whatever options: PUB, XPUB or PUSH.
    ///
    /// Where it publishes, a subscriber whose queue is full makes messages [`Full`](EnqueueError::Full) (`ZMQ_XPUB_NODROP`).
    /// Where it would linger for ever, which is libzmq's default, it does for a second.
    ///
    /// ```
    /// let context = zmq::Context::new();
    /// let socket = context.socket(zmq::PUB)?;
    /// socket.set_tcp_keepalive(1)?;
    /// socket.bind("tcp://127.0.0.1:*")?;
    /// let sender = treering_zmq::Sender::over(socket)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`is_config`](Error::is_config) for a socket of another type.
    pub fn over(mut socket: Socket) -> Result<Self, Error> {
        let kind = open::kind(&socket)?;
        match kind {
            zmq::PUB | zmq::XPUB => open::refuse_when_full(&mut socket)?,
            zmq::PUSH => {}
            other => return Err(Error::config(format!("a socket of type {other:?} is no sender"))),
        }
        if socket.get_linger().map_err(Error::doing("ask a socket how long it lingers"))? < 0 {
            linger(&socket, LINGER)?;
        }
        let endpoint = open::endpoint(&socket);
        Ok(Sender::new(socket, kind, None, endpoint))
    }

    fn new(socket: Socket, kind: SocketType, context: Option<Context>, endpoint: String) -> Self {
        let topics = (kind == zmq::XPUB).then(BTreeSet::new);
        Sender {
            outbox: Mutex::new(Some(Outbox { kind, socket, topics, context })),
            topic: None,
            endpoint,
            sent: AtomicU64::new(0),
            full: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            unheard: AtomicU64::new(0),
        }
    }

    /// Sends each record behind this topic, as a message of two parts: subscribers may choose by its beginning. Default:
    /// a message has one part, the record.
    #[must_use]
    pub fn topic(mut self, topic: impl AsRef<[u8]>) -> Self {
        self.topic = Some(topic.as_ref().into());
        self
    }

    /// Where it is bound or connected: with the port, where the address had `*` for it.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Waits until somebody has subscribed to something, or pulls: what is published before, nobody gets, and what is pushed
    /// before is [`Full`](EnqueueError::Full).
    ///
    /// A subscriber that is there is no promise for the next one: it joins when it does, and has missed what came before.
    /// Where a PUSH socket connects, libzmq has a place for its peer, and so it is taken for one, before it is there.
    ///
    /// # Errors
    /// [`is_timeout`](Error::is_timeout) if nobody has, [`is_closed`](Error::is_closed), and
    /// [`is_config`](Error::is_config) for a PUB socket made elsewhere, which does not tell.
    pub fn wait_for_subscriber(&self, timeout: Duration) -> Result<(), Error> {
        let deadline = Deadline::after(timeout);
        while !self.is_subscribed()? {
            if deadline.has_passed() {
                return Err(Error::timeout());
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
        Ok(())
    }

    /// Whether somebody has subscribed to something just now; where it pushes, whether somebody pulls and has room.
    ///
    /// # Errors
    /// As for [`wait_for_subscriber`](Sender::wait_for_subscriber).
    pub fn is_subscribed(&self) -> Result<bool, Error> {
        let mut outbox = self.outbox();
        let open = outbox.as_mut().ok_or_else(Error::closed)?;
        Error::caught(|| open.hear())?;
        match (open.kind, &open.topics) {
            (zmq::PUSH, _) => Error::caught(|| open.has_room()),
            (_, Some(topics)) => Ok(!topics.is_empty()),
            (_, None) => {
                Err(Error::config("a PUB socket does not know whether anybody subscribed; an XPUB does"))
            }
        }
    }

    /// Closes the socket, when what it took has left or the time is over. From then on it takes nothing.
    ///
    /// Only a context can wait for its sockets. So for one that was made elsewhere this does not wait: its context does when
    /// it ends, for no longer than this timeout.
    ///
    /// # Errors
    /// [`is_timeout`](Error::is_timeout) if the time was over first: something may be lost, and libzmq does not say how
    /// much. That all has left means that this system has it; peers acknowledge nothing.
    pub fn close(&self, timeout: Duration) -> Result<(), Error> {
        let Some(Outbox { socket, context, .. }) = self.outbox().take() else { return Ok(()) };
        let deadline = Deadline::after(timeout);
        linger(&socket, timeout + TIMER_SLACK)?;
        drop(socket);
        let waits = context.is_some();
        drop(context);
        if waits && deadline.has_passed() { Err(Error::timeout()) } else { Ok(()) }
    }

    /// What became of the messages so far.
    pub fn report(&self) -> SenderReport {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        SenderReport {
            sent: load(&self.sent),
            full: load(&self.full),
            failed: load(&self.failed),
            unheard: load(&self.unheard),
        }
    }

    fn outbox(&self) -> MutexGuard<'_, Option<Outbox>> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Enqueue for Sender {
    fn enqueue(&self, frame: &[u8]) -> Result<(), EnqueueError> {
        let mut outbox = self.outbox();
        let open = outbox.as_mut().ok_or(EnqueueError::Closed)?;
        let topic = self.topic.as_deref();
        let sent = Error::caught(|| {
            open.hear();
            match open.send(topic, frame) {
                Err(zmq::Error::EAGAIN) if open.has_room() => open.send(topic, frame),
                sent => sent,
            }
        });
        let (counter, result) = match sent {
            Err(error) => (&self.failed, Err(EnqueueError::failed(error))),
            Ok(Ok(())) => {
                if open.topics.as_ref().is_some_and(BTreeSet::is_empty) {
                    count(&self.unheard);
                }
                (&self.sent, Ok(()))
            }
            Ok(Err(zmq::Error::EAGAIN)) => (&self.full, Err(EnqueueError::Full)),
            Ok(Err(zmq::Error::ETERM)) => {
                *outbox = None; // its context ends, and waits for this socket
                (&self.failed, Err(EnqueueError::Closed))
            }
            Ok(Err(error)) => (&self.failed, Err(EnqueueError::failed(error))),
        };
        count(counter);
        result
    }
}

impl Outbox {
    /// Takes note of who subscribed to what.
    fn hear(&mut self) {
        let Some(topics) = &mut self.topics else { return };
        let mut message = Message::new();
        while self.socket.recv(&mut message, DONTWAIT).is_ok() {
            match message.split_first() {
                Some((1, topic)) => drop(topics.insert(topic.into())),
                Some((0, topic)) => drop(topics.remove(topic)),
                _ => {} // a message from a peer that is no subscriber
            }
        }
    }

    /// Whether there is room, by the latest news: a send that does not wait listens to news once a millisecond only.
    fn has_room(&self) -> bool {
        self.socket.get_events().is_ok_and(|events| events.contains(zmq::POLLOUT))
    }

    /// libzmq looks for room at the first part of a message, and then has it for the others.
    fn send(&self, topic: Option<&[u8]>, frame: &[u8]) -> Result<(), zmq::Error> {
        if let Some(topic) = topic {
            self.socket.send(topic, DONTWAIT | SNDMORE)?;
        }
        self.socket.send(frame, DONTWAIT)
    }
}

fn linger(socket: &Socket, time: Duration) -> Result<(), Error> {
    socket.set_linger(open::millis(time)).map_err(Error::doing("set how long a socket lingers"))
}

/// Under the lock of the socket.
fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// How a [`Sender`] is to be opened.
///
/// ```
/// use std::time::Duration;
/// let sender = treering_zmq::Sender::publisher()
///     .high_water_mark(10_000)
///     .linger(Duration::from_secs(3))
///     .bind("tcp://127.0.0.1:*")?
///     .topic("orders");
/// # Ok::<(), treering_zmq::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "nothing is opened before `bind` or `connect`"]
pub struct SenderOptions {
    kind: SocketType,
    high_water_mark: u32,
    linger: Duration,
    lossy: bool,
}

impl SenderOptions {
    fn new(kind: SocketType) -> Self {
        SenderOptions { kind, high_water_mark: HIGH_WATER_MARK, linger: LINGER, lossy: false }
    }

    /// So many messages are kept for each peer, about, before it is full; 0 is no limit but memory. Default: 1,000.
    pub fn high_water_mark(mut self, messages: u32) -> Self {
        self.high_water_mark = messages;
        self
    }

    /// How long the drop of the sender waits for what is on its way. Default: a second.
    /// [`Sender::close`] takes a time of its own.
    pub fn linger(mut self, time: Duration) -> Self {
        self.linger = time;
        self
    }

    /// Whether a subscriber whose queue is full misses messages while the others get them: ZeroMQ's own way, in which
    /// nobody knows of the loss. Default: no, the message is [`Full`](EnqueueError::Full) for all, and counted, so one
    /// subscriber that hangs keeps records from the others.
    pub fn lossy(mut self, yes: bool) -> Self {
        self.lossy = yes;
        self
    }

    /// Opens it at this address, for peers that connect.
    ///
    /// # Errors
    /// If libzmq cannot, or knows no such address.
    pub fn bind(self, uri: &str) -> Result<Sender, Error> {
        Error::caught(|| self.open(Way::Bind, uri))?
    }

    /// Opens it towards this address; a peer may come there later.
    ///
    /// # Errors
    /// If libzmq knows no such address.
    pub fn connect(self, uri: &str) -> Result<Sender, Error> {
        Error::caught(|| self.open(Way::Connect, uri))?
    }

    fn open(self, way: Way, uri: &str) -> Result<Sender, Error> {
        let (context, mut socket) = open::socket(self.kind)?;
        let marks = open::count(self.high_water_mark);
        socket.set_sndhwm(marks).map_err(Error::doing("set the high-water mark"))?;
        linger(&socket, self.linger)?;
        if self.kind == zmq::XPUB && !self.lossy {
            open::refuse_when_full(&mut socket)?;
        }
        let endpoint = open::attach(&socket, way, uri)?;
        Ok(Sender::new(socket, self.kind, Some(context), endpoint))
    }
}

/// What became of the messages of a [`Sender`]. Where nothing is said of a loss, none can be seen: docs/zeromq.md.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct SenderReport {
    /// Messages that libzmq took.
    pub sent: u64,
    /// Messages for which it had no room: a subscriber's queue was full, or no peer had any.
    pub full: u64,
    /// Messages that it refused for another reason.
    pub failed: u64,
    /// Of those sent, messages that were published while nobody had subscribed to anything: nobody got them. Not known, and
    /// 0, where the socket does not tell, PUSH and PUB.
    pub unheard: u64,
}
