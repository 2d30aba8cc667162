//! The two sides together are a queue, and keep its contract.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::support::{LONG, until};
use treering::handler::{Capture, QueueHandler};
use treering::queue::{
    Deadline, Dequeue, DequeueError, Dequeued, Enqueue, EnqueueError, Frames, conformance,
};
use treering::record::{Draft, Record, Timestamp};
use treering::{Level, Listener, Overflow, Prepared, info};
use treering_zmq::{Receiver, ReceiverOptions, Sender};

const LOOPBACK: &str = "tcp://127.0.0.1:*";

/// A PUSH and a PULL socket as one queue. It is closed when what was sent has come.
struct Pair {
    sender: Sender,
    receiver: Receiver,
    is_closed: AtomicBool,
}

impl Pair {
    fn new(sender: Sender, receiver: Receiver) -> Self {
        Pair { sender, receiver, is_closed: AtomicBool::new(false) }
    }

    fn over(uri: &str, options: ReceiverOptions) -> Self {
        let receiver = options.bind(uri).unwrap();
        Pair::new(Sender::pusher().connect(receiver.endpoint()).unwrap(), receiver)
    }

    fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    fn has_come(&self) -> bool {
        self.is_closed() && self.receiver.report().received == self.sender.report().sent
    }
}

impl Enqueue for Pair {
    fn enqueue(&self, frame: &[u8]) -> Result<(), EnqueueError> {
        self.sender.enqueue(frame)
    }
}

impl Dequeue for Pair {
    fn dequeue(&self, frames: &mut Frames, deadline: Deadline) -> Result<Dequeued, DequeueError> {
        loop {
            if self.has_come() {
                self.receiver.close();
            }
            match self.receiver.dequeue(frames, deadline)? {
                // The close rings, and what was sent before it may be on its way still.
                Dequeued::Empty if self.has_come() || self.is_closed() && !deadline.has_passed() => {}
                other => return Ok(other),
            }
        }
    }

    fn close(&self) {
        // What nobody takes out does not leave; the suite closes queues that are full.
        let _ = self.sender.close(conformance::SETTLE);
        self.is_closed.store(true, Ordering::Release);
        self.receiver.wake();
    }

    fn wake(&self) {
        self.receiver.wake();
    }
}

#[test]
fn over_inproc_the_pair_keeps_the_contract_of_queues() {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    conformance::run(|| {
        let context = zmq::Context::new();
        let uri = format!("inproc://pair-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let (pull, push) = (context.socket(zmq::PULL).unwrap(), context.socket(zmq::PUSH).unwrap());
        pull.bind(&uri).unwrap();
        push.connect(&uri).unwrap();
        Pair::new(Sender::over(push).unwrap(), Receiver::over(pull).unwrap())
    });
}

#[test]
fn over_ipc_the_pair_keeps_the_contract_of_queues() {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let directory = tempfile::tempdir().unwrap();
    let path = |number: u32| format!("ipc://{}/{number}", directory.path().display());
    // Without a limit: a receiver that is full loses the rest of a connection that ends meanwhile, see docs/zeromq.md.
    let options = || Receiver::puller().high_water_mark(0);
    conformance::run(|| Pair::over(&path(NUMBER.fetch_add(1, Ordering::Relaxed)), options()));
}

#[test]
fn over_tcp_the_pair_keeps_the_contract_of_queues() {
    conformance::run(|| Pair::over(LOOPBACK, Receiver::puller()));
}

#[test]
fn a_record_in_treerings_own_form_comes_as_it_was() {
    let receiver = Receiver::subscriber().topic("app").bind(LOOPBACK).unwrap();
    let sender = Sender::publisher().connect(receiver.endpoint()).unwrap().topic("app.x");
    let (sender, near, far) = (Arc::new(sender), Capture::new(), Capture::new());
    let listening = Listener::new(receiver).handler(far.clone()).start().unwrap();
    sender.wait_for_subscriber(LONG).unwrap();
    let handler = QueueHandler::new(sender.clone());
    let (logger, guard) = treering::builder().handler(near.clone()).handler(handler).start().unwrap();
    info!(logger: logger, list = &[1_u8, 2], gap = None::<u8>, "{:>8}|{:?}", 7, Some("ß"));
    guard.stop(LONG).unwrap().assert_balanced();
    assert!(far.wait_for(1, LONG));
    assert_eq!(format!("{:#?}", far.records()), format!("{:#?}", near.records()));
    let report = listening.stop(LONG).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless(), "{report}");
}

#[test]
fn an_engine_over_a_sender_waits_for_room_and_loses_nothing() {
    const RECORDS: u64 = 20_000;
    let receiver = Receiver::puller().high_water_mark(100).bind(LOOPBACK).unwrap();
    let sender = Arc::new(Sender::pusher().high_water_mark(100).connect(receiver.endpoint()).unwrap());
    let capture = Capture::new();
    let listening = Listener::new(receiver).handler(capture.clone()).start().unwrap();
    let builder = treering::builder().overflow(Overflow::block_forever());
    let (logger, guard) = builder.queue(sender.clone()).start().unwrap();
    (0..RECORDS).for_each(|number| info!(logger: logger, "{number}"));
    let report = guard.stop(LONG).unwrap();
    report.assert_balanced();
    assert_eq!((report.dispatched, sender.report().sent), (RECORDS, RECORDS), "{report}");
    sender.close(LONG).unwrap();
    info!(logger: logger, "nobody takes it any more");
    assert_eq!(guard.stats().late, 1);
    assert!(capture.wait_for(RECORDS as usize, LONG));
    listening.stop(LONG).unwrap().assert_balanced();
    assert!(capture.records().iter().map(|record| record.message().parse::<u64>().unwrap()).eq(0..RECORDS));
}

#[test]
fn an_error_that_zmq_has_no_name_for_is_an_error() {
    // ENOTDIR: at which the crate `zmq` panics.
    let uri = "ipc:///dev/null/socket";
    let text = Sender::publisher().bind(uri).unwrap_err().to_string();
    assert!(text.contains("Not a directory"), "{text}");
    let text = Receiver::puller().bind(uri).unwrap_err().to_string();
    assert!(text.contains("Not a directory"), "{text}");
}

#[test]
fn what_is_published_before_anybody_subscribes_is_counted_as_unheard() {
    let sender = Sender::publisher().bind(LOOPBACK).unwrap();
    assert!(sender.wait_for_subscriber(Duration::from_millis(20)).unwrap_err().is_timeout());
    sender.enqueue(b"early").unwrap();
    let receiver = Receiver::subscriber().connect(sender.endpoint()).unwrap();
    sender.wait_for_subscriber(LONG).unwrap();
    sender.enqueue(b"late").unwrap();
    let mut frames = Frames::new();
    assert_eq!(receiver.dequeue(&mut frames, Deadline::after(LONG)).unwrap(), Dequeued::Some(1));
    assert_eq!(frames.iter().next(), Some(&b"late"[..]));
    assert_eq!((sender.report().sent, sender.report().unheard), (2, 1));
    drop(receiver);
    until("it has left", || !sender.is_subscribed().unwrap());
}

/// Makes a record of any frame.
fn any(_: &[u8], out: &mut Vec<u8>) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    Ok(Draft::new(Level::Info, Timestamp::from_nanos(0), "any", "").write_portable(out)?)
}

#[test]
fn a_stop_ends_a_listener_that_is_sent_to_without_end() {
    let receiver = Arc::new(Receiver::puller().bind(LOOPBACK).unwrap());
    let sender = Arc::new(Sender::pusher().connect(receiver.endpoint()).unwrap());
    let flood = sender.clone();
    let flood =
        std::thread::spawn(move || while !matches!(flood.enqueue(b"frame"), Err(EnqueueError::Closed)) {});
    let slow = |_: &Record<'_>| {
        std::thread::sleep(Duration::from_micros(100)); // so the queue is never empty
        Prepared::Drop("slowly")
    };
    let listening =
        Listener::new(receiver.clone()).translate(any).prepare(slow).error_hook(|_| {}).start().unwrap();
    until("it listens", || receiver.report().received > 0);
    let since = Instant::now();
    let report = listening.stop(LONG).unwrap();
    assert!(since.elapsed() < LONG / 2, "its end, not its deadline");
    report.assert_balanced();
    assert_eq!((report.received, report.abandoned), (receiver.report().received, 0));
    let _ = sender.close(Duration::from_millis(10));
    flood.join().unwrap();
}

#[test]
fn a_socket_of_the_users_own_may_be_used() {
    let context = zmq::Context::new();
    let socket = |kind| context.socket(kind).unwrap();
    let publisher = socket(zmq::PUB);
    publisher.bind("inproc://own").unwrap();
    publisher.set_sndhwm(3).unwrap();
    let sender = Sender::over(publisher).unwrap();
    assert!(sender.wait_for_subscriber(LONG).unwrap_err().is_config(), "a PUB does not know");
    let subscriber = socket(zmq::SUB);
    subscriber.set_rcvhwm(3).unwrap();
    subscriber.set_subscribe(b"").unwrap();
    subscriber.connect("inproc://own").unwrap();
    let receiver = Receiver::over(subscriber).unwrap();
    // It joins at once within a process, when the publisher looks; then its queue has room for some.
    let taken = (0..2000).take_while(|_| sender.enqueue(b"frame").is_ok()).count();
    assert!(taken < 2000, "a PUB socket that is full says so too");
    let mut frames = Frames::new();
    until("all that were taken are there", || {
        let _ = receiver.dequeue(&mut frames, Deadline::after(Duration::from_millis(1))).unwrap();
        frames.len() == taken
    });
    for kind in [zmq::REQ, zmq::SUB] {
        assert!(Sender::over(socket(kind)).unwrap_err().is_config());
    }
    assert!(Receiver::over(socket(zmq::PUB)).unwrap_err().is_config());
    assert!(Receiver::puller().topic("x").bind(LOOPBACK).unwrap_err().is_config());
}

#[test]
fn a_socket_whose_context_ends_is_closed() {
    let mut context = zmq::Context::new();
    let (pull, push) = (context.socket(zmq::PULL).unwrap(), context.socket(zmq::PUSH).unwrap());
    let (receiver, sender) = (Receiver::over(pull).unwrap(), Sender::over(push).unwrap());
    let end = std::thread::spawn(move || context.destroy()); // waits until both are closed
    let dequeued = receiver.dequeue(&mut Frames::new(), Deadline::after(LONG)).unwrap();
    assert_eq!(dequeued, Dequeued::Closed);
    until("it is closed", || matches!(sender.enqueue(b"frame"), Err(EnqueueError::Closed)));
    end.join().unwrap().unwrap();
}

#[test]
fn a_close_lets_out_what_was_sent_or_says_that_the_time_was_over() {
    let receiver = Receiver::puller().bind(LOOPBACK).unwrap();
    let sender = Sender::pusher().connect(receiver.endpoint()).unwrap();
    (0..500_u32).for_each(|number| sender.enqueue(&number.to_le_bytes()).unwrap());
    sender.close(LONG).unwrap();
    assert!(matches!(sender.enqueue(b"late"), Err(EnqueueError::Closed)));
    assert!(sender.wait_for_subscriber(LONG).unwrap_err().is_closed());
    sender.close(LONG).unwrap();
    let mut frames = Frames::new();
    let deadline = Deadline::after(LONG);
    while frames.len() < 500 && !deadline.has_passed() {
        let _ = receiver.dequeue(&mut frames, deadline).unwrap();
    }
    assert_eq!(frames.len(), 500);

    let sender = Sender::pusher().connect("tcp://127.0.0.1:1").unwrap(); // where nobody is
    sender.enqueue(b"frame").unwrap();
    let since = Instant::now();
    assert!(sender.close(Duration::from_millis(100)).unwrap_err().is_timeout());
    assert!(since.elapsed() >= Duration::from_millis(100));
}

#[test]
fn a_sender_that_is_dropped_waits_no_longer_than_it_lingers() {
    let options = Sender::pusher().linger(Duration::from_millis(100));
    let sender = options.connect("tcp://127.0.0.1:1").unwrap();
    sender.enqueue(b"frame").unwrap();
    let since = Instant::now();
    drop(sender);
    assert!(since.elapsed() < Duration::from_secs(20), "not for ever");
}
