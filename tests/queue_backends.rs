//! Queues as users write them: over a channel of std's, which docs/queue-backends.md teaches, and over a socket between two
//! processes. Both keep the contract.

#![cfg(feature = "conformance")]

mod support;

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, RwLock, TryLockError};
use std::time::Duration;

use support::LONG;
use treering::handler::{Batch, Handler, HandlerError, QueueHandler};
use treering::queue::{
    Deadline, Dequeue, DequeueError, Dequeued, Enqueue, EnqueueError, Frames, Locked, conformance,
};
use treering::{Listener, Overflow, info};

/// What docs/queue-backends.md shows.
struct Mpsc {
    sender: RwLock<Option<SyncSender<Option<Vec<u8>>>>>, // a frame, or `None`: a wake
    receiver: Mutex<Receiver<Option<Vec<u8>>>>,
}

impl Mpsc {
    fn bounded(frames: usize) -> Self {
        let (sender, receiver) = mpsc::sync_channel(frames);
        Mpsc { sender: RwLock::new(Some(sender)), receiver: Mutex::new(receiver) }
    }

    fn send(&self, message: Option<Vec<u8>>) -> Result<(), EnqueueError> {
        let sender = self.sender.read().unwrap();
        sender.as_ref().ok_or(EnqueueError::Closed)?.try_send(message).map_err(|error| match error {
            TrySendError::Full(_) => EnqueueError::Full,
            TrySendError::Disconnected(_) => EnqueueError::Closed,
        })
    }
}

impl Enqueue for Mpsc {
    fn enqueue(&self, frame: &[u8]) -> Result<(), EnqueueError> {
        self.send(Some(frame.to_vec()))
    }
}

impl Dequeue for Mpsc {
    fn dequeue(&self, frames: &mut Frames, deadline: Deadline) -> Result<Dequeued, DequeueError> {
        // Another thread that waits here has the lock meanwhile: the deadline holds for both.
        let receiver = loop {
            match self.receiver.try_lock() {
                Ok(receiver) => break receiver,
                Err(TryLockError::Poisoned(_)) => return Err(DequeueError::new("a thread panicked in here")),
                Err(TryLockError::WouldBlock) if deadline.has_passed() => return Ok(Dequeued::Empty),
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(1)),
            }
        };
        let first = match receiver.recv_timeout(deadline.left().unwrap_or(Duration::MAX)) {
            Ok(message) => message,
            Err(RecvTimeoutError::Timeout) => return Ok(Dequeued::Empty),
            Err(RecvTimeoutError::Disconnected) => return Ok(Dequeued::Closed),
        };
        let before = frames.len();
        for frame in std::iter::once(first).chain(receiver.try_iter()).flatten() {
            frames.push(&frame);
            if frames.is_full() {
                break;
            }
        }
        Ok(match frames.len() - before {
            0 => Dequeued::Empty, // a wake, and nothing else
            taken => Dequeued::Some(taken),
        })
    }

    fn close(&self) {
        *self.sender.write().unwrap() = None; // what is left comes out, then `recv_timeout` says Disconnected
    }

    fn wake(&self) {
        let _ = self.send(None); // if it is full, nobody waits
    }
}

#[test]
fn a_channel_of_std_s_as_the_documentation_teaches_it_keeps_the_contract() {
    conformance::run(|| Mpsc::bounded(64));
}

#[test]
fn the_page_shows_what_is_tried_here() {
    let (page, here) = (include_str!("../docs/queue-backends.md"), include_str!("queue_backends.rs"));
    let block = page.split("```").find(|block| block.contains("struct Mpsc")).unwrap();
    let code = &block[block.find("struct Mpsc").unwrap()..];
    assert!(here.contains(code), "docs/queue-backends.md shows another `Mpsc`");
}

/// So many bytes may be on their way: as much is written without waiting for anybody.
const WINDOW: u64 = 4 << 20;
/// What each frame costs beside its bytes.
const FRAME_COST: u64 = 16;

/// The end of a socket that frames go into, with the rest of the window. The other end says what it has given out.
struct Sender(Mutex<(UnixStream, u64)>);

impl Sender {
    fn new(stream: UnixStream) -> Self {
        Sender(Mutex::new((stream, WINDOW)))
    }

    /// Writes a frame if there is room for it.
    fn write(&self, frame: &[u8], cost: u64) -> io::Result<bool> {
        let (stream, left) = &mut *self.0.lock().unwrap();
        *left += given_out(stream)?;
        if *left < cost {
            return Ok(false);
        }
        stream.write_all(&[&(frame.len() as u32).to_le_bytes(), frame].concat())?;
        *left -= cost;
        Ok(true)
    }
}

/// What the other end has given out since it was asked last; an error if it is closed.
fn given_out(stream: &mut UnixStream) -> io::Result<u64> {
    let (mut sum, mut bytes) = (0, [0; 8]);
    stream.set_nonblocking(true)?;
    let end = loop {
        match stream.read(&mut bytes) {
            Ok(8) => sum += u64::from_le_bytes(bytes),
            Ok(_) => break Err(io::ErrorKind::BrokenPipe.into()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Ok(sum),
            Err(error) => break Err(error),
        }
    };
    stream.set_nonblocking(false)?;
    end
}

impl Enqueue for Sender {
    fn enqueue(&self, frame: &[u8]) -> Result<(), EnqueueError> {
        let cost = frame.len() as u64 + FRAME_COST;
        if cost > WINDOW / 2 {
            return Err(EnqueueError::failed("a frame that is too long for the window"));
        }
        match self.write(frame, cost) {
            Ok(true) => Ok(()),
            Ok(false) => Err(EnqueueError::Full),
            Err(error) => match error.kind() {
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Err(EnqueueError::Closed),
                _ => Err(EnqueueError::failed(error)),
            },
        }
    }
}

/// The end that frames come out of: a thread reads them into a queue, for as much as the window lets be there.
struct Receiving {
    stream: UnixStream,
    frames: Arc<Locked>,
    /// What was given out and not told of.
    owed: Mutex<u64>,
}

impl Receiving {
    fn new(stream: UnixStream) -> io::Result<Self> {
        let frames = Arc::new(Locked::bounded(WINDOW as usize * 2));
        let (mut from, into) = (stream.try_clone()?, frames.clone());
        std::thread::spawn(move || {
            // To the end, or to a frame that was cut by it, whose sender knows.
            while let Ok(frame) = read_frame(&mut from) {
                into.enqueue(&frame).expect("the window is smaller");
            }
            into.close();
        });
        Ok(Receiving { stream, frames, owed: Mutex::new(0) })
    }
}

fn read_frame(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut frame = vec![0; u32::from_le_bytes(length) as usize];
    stream.read_exact(&mut frame)?;
    Ok(frame)
}

impl Dequeue for Receiving {
    fn dequeue(&self, frames: &mut Frames, deadline: Deadline) -> Result<Dequeued, DequeueError> {
        let before = frames.len();
        let dequeued = self.frames.dequeue(frames, deadline)?;
        let mut owed = self.owed.lock().unwrap();
        *owed += frames.iter().skip(before).map(|frame| frame.len() as u64 + FRAME_COST).sum::<u64>();
        if *owed >= WINDOW / 4 {
            // Seldom enough never to wait. If nobody reads it, nobody sends any more.
            let _ = (&self.stream).write_all(&owed.to_le_bytes());
            *owed = 0;
        }
        Ok(dequeued)
    }

    fn close(&self) {
        // What is in the socket is read still.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    fn wake(&self) {
        self.frames.wake();
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        self.close();
    }
}

/// Both ends in one process, for the suite.
struct Sockets(Sender, Receiving);

impl Sockets {
    fn new() -> Self {
        let (one, other) = UnixStream::pair().unwrap();
        Sockets(Sender::new(one), Receiving::new(other).unwrap())
    }
}

impl Enqueue for Sockets {
    fn enqueue(&self, frame: &[u8]) -> Result<(), EnqueueError> {
        self.0.enqueue(frame)
    }
}

impl Dequeue for Sockets {
    fn dequeue(&self, frames: &mut Frames, deadline: Deadline) -> Result<Dequeued, DequeueError> {
        self.1.dequeue(frames, deadline)
    }

    fn close(&self) {
        self.1.close();
    }

    fn wake(&self) {
        self.1.wake();
    }
}

#[test]
fn a_socket_pair_keeps_the_contract() {
    conformance::run(Sockets::new);
}

const RECORDS: u64 = 5_000;

/// Sends what it gets, and is dropped when its listener has ended.
struct Numbers(mpsc::Sender<u64>);

impl Handler for Numbers {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        let numbers = batch.iter().filter_map(|record| record.value(0)?.as_u64());
        numbers.into_iter().try_for_each(|number| self.0.send(number)).map_err(HandlerError::new)
    }
}

/// The other process: its standard input is the socket.
fn listen_at_stdin() {
    let stream = UnixStream::from(io::stdin().as_fd().try_clone_to_owned().unwrap());
    let (sender, numbers) = mpsc::channel();
    let listening = Listener::new(Receiving::new(stream).unwrap()).handler(Numbers(sender)).start().unwrap();
    assert!(numbers.iter().eq(0..RECORDS), "all, in order, and then the end");
    let report = listening.stop(LONG).unwrap();
    report.assert_balanced();
    assert_eq!((report.received, report.is_lossless()), (RECORDS, true));
}

#[test]
fn records_reach_another_process_through_a_socket() {
    const TEST: &str = "records_reach_another_process_through_a_socket";
    const CHILD: &str = "TREERING_TEST_LISTENS";
    if std::env::var_os(CHILD).is_some() {
        return listen_at_stdin();
    }
    let (here, there) = UnixStream::pair().unwrap();
    let end = here.try_clone().unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args([TEST, "--exact", "--nocapture"])
        .env(CHILD, "1")
        .stdin(Stdio::from(OwnedFd::from(there)))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let builder = treering::builder().overflow(Overflow::block(LONG));
    let (logger, guard) = builder.handler(QueueHandler::new(Sender::new(here))).start().unwrap();
    (0..RECORDS).for_each(|number| info!(logger: logger, "{number}"));
    let report = guard.stop(LONG).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless(), "{report}");
    end.shutdown(Shutdown::Write).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", support::text(&output));
}
