//! Records through queues: a `QueueHandler` on one side, a `Listener` on the other.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::time::{Duration, Instant};

use memory::{limit_memory, mapped_bytes};
use support::{each, eventually, in_child, own_thread_id, text};
use treering::format::Pattern;
use treering::handler::{Batch, Capture, FlightRecorder, FlushPolicy, Handler, HandlerError, QueueHandler};
use treering::queue::{
    Channel, Deadline, Dequeue, DequeueError, Dequeued, Enqueue, EnqueueError, Frames, Locked,
};
use treering::record::{Draft, Timestamp};
use treering::{Error, Level, Listener, Listening, Logger, Prepared, Wait, builder, error, info, warn};

#[path = "support/memory.rs"]
mod memory;
mod support;

const LONG: Duration = Duration::from_secs(30);

fn queue() -> Arc<Locked> {
    Arc::new(Locked::bounded(1 << 20))
}

/// Portable records with these messages, in a queue.
fn filled(messages: &[&str]) -> Arc<Locked> {
    let queue = queue();
    let (logger, guard) = builder().handler(QueueHandler::new(queue.clone())).start().unwrap();
    for message in messages {
        info!(logger: logger, "{}", *message);
    }
    guard.stop(LONG).unwrap().assert_balanced();
    queue
}

fn messages(capture: &Capture) -> Vec<String> {
    capture.records().iter().map(|record| record.message().to_owned()).collect()
}

/// Faults of a listener, as they were told.
fn told() -> (Arc<Mutex<Vec<String>>>, impl Fn(&str) + Send + Sync + 'static) {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = lines.clone();
    (lines, move |line: &str| sink.lock().unwrap().push(line.to_owned()))
}

#[test]
fn who_waits_for_the_end_on_a_thread_of_its_own_holds_nobody_up() {
    let (queue, capture) = (Arc::new(Locked::bounded(1 << 20)), Capture::new());
    let listening = Listener::new(queue.clone()).handler(capture.clone()).manual();
    let (logger, guard) = builder().handler(QueueHandler::new(queue.clone())).start().unwrap();
    std::thread::scope(|scope| {
        let end = scope.spawn(|| listening.wait(LONG).unwrap());
        std::thread::sleep(Duration::from_millis(50)); // mostly it waits by now
        info!(logger: logger, "one");
        guard.flush(LONG).unwrap();
        let since = Instant::now();
        listening.flush(LONG).unwrap();
        assert!(since.elapsed() < LONG / 4, "it took {:?}", since.elapsed());
        assert_eq!(capture.len(), 1);
        queue.close();
        end.join().unwrap().assert_balanced();
    });
    guard.stop(LONG).unwrap().assert_balanced();
}

#[test]
fn who_polls_beside_a_thread_that_waits_for_the_end_gets_its_turn() {
    let queue = Arc::new(Locked::bounded(1 << 20));
    let listening = Listener::new(queue.clone()).error_hook(|_| {}).manual();
    // Who does not get its turn has it when this one has given up.
    const PATIENCE: Duration = Duration::from_secs(10);
    std::thread::scope(|scope| {
        let end = scope.spawn(|| listening.wait(PATIENCE));
        queue.enqueue(b"no record").unwrap();
        eventually("it takes rounds", || listening.stats().received == 1);
        let since = Instant::now();
        (0..20).for_each(|_| assert_eq!(listening.poll().unwrap(), 0));
        // Between its waits of half a second there are gaps that a look at each millisecond does not find.
        assert!(since.elapsed() < PATIENCE / 2, "20 polls took {:?}", since.elapsed());
        queue.close();
        end.join().unwrap().unwrap().assert_balanced();
    });
}

#[test]
fn a_listener_without_a_thread_takes_a_round_however_short_the_time() {
    let capture = Capture::new();
    let listening = Listener::new(filled(&["a", "b"])).handler(capture.clone()).manual();
    assert!(listening.wait(Duration::ZERO).unwrap_err().is_timeout());
    assert_eq!(messages(&capture), ["a", "b"]);
    assert_eq!(listening.stop(LONG).unwrap().dispatched, 2);
    let capture = Capture::new();
    let listening = Listener::new(filled(&["a", "b"])).handler(capture.clone()).manual();
    let report = listening.stop(Duration::ZERO).unwrap();
    report.assert_balanced();
    assert_eq!((report.dispatched, messages(&capture)), (2, vec!["a".to_owned(), "b".to_owned()]));
}

#[test]
fn a_wake_takes_no_frame_s_place() {
    let queue = Channel::bounded(1);
    queue.wake();
    queue.enqueue(b"one").unwrap();
    assert!(matches!(queue.enqueue(b"two"), Err(EnqueueError::Full)));
    assert_eq!(queue.backlog(), Some(1));
    let mut frames = Frames::new();
    assert_eq!(queue.dequeue(&mut frames, Deadline::after(LONG)).unwrap(), Dequeued::Some(1));
    queue.enqueue(b"two").unwrap();
    queue.close();
    assert!(matches!(queue.enqueue(b"three"), Err(EnqueueError::Closed)), "though it is full");
}

#[test]
fn no_queue_behind_a_lock_is_too_small_for_a_frame() {
    let queue = Locked::bounded(1);
    queue.enqueue(&[0; 1000]).unwrap();
    assert!(matches!(queue.enqueue(b""), Err(EnqueueError::Full)));
    assert_eq!(queue.dequeue(&mut Frames::new(), Deadline::after(LONG)).unwrap(), Dequeued::Some(1));
    queue.enqueue(&[0; 1000]).unwrap();
}

#[test]
fn a_record_that_came_through_a_queue_is_as_it_was() {
    let (queue, near, far) = (queue(), Capture::new(), Capture::new());
    let handler = QueueHandler::new(queue.clone());
    let (logger, guard) = builder().handler(near.clone()).handler(handler).start().unwrap();
    let address: std::net::SocketAddr = "[::1]:80".parse().unwrap();
    warn!(logger: logger, target: "risk", ?address, order.total = 12.5, list = &[1_u8, 2], "{:>8}|{:?}", 7, Some("x"));
    let error = std::io::Error::other("disk full");
    info!(logger: logger, %error, gap = None::<u8>, "text with {{ and {}", "ß\n");
    std::thread::Builder::new()
        .name("other".into())
        .spawn(move || info!(logger: logger, "there"))
        .unwrap()
        .join()
        .unwrap();
    guard.stop(LONG).unwrap().assert_balanced();
    let report = Listener::new(queue).handler(far.clone()).start().unwrap().stop(LONG).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless(), "{report}");
    assert_eq!(report.dispatched, 3);
    assert_eq!(format!("{:#?}", far.records()), format!("{:#?}", near.records()));
    assert_eq!(far.records()[2].thread_name(), Some("other"));
}

#[test]
fn every_frame_has_one_fate_and_the_listener_outlives_all_of_them() {
    let queue = filled(&["keep", "drop", "fail", "panic", "keep"]);
    queue.enqueue(b"no record").unwrap();
    queue.enqueue(b"").unwrap();
    let (lines, hook) = told();
    let capture = Capture::new();
    let listening = Listener::new(queue)
        .prepare(|record| match record.message().to_string().as_str() {
            "drop" => Prepared::Drop("unwanted"),
            "fail" => Prepared::fail("no such customer"),
            "panic" => panic!("oops"),
            _ => Prepared::Keep,
        })
        .error_hook(hook)
        .handler(capture.clone())
        .start()
        .unwrap();
    let report = listening.stop(LONG).unwrap();
    report.assert_balanced();
    assert_eq!(
        (report.received, report.dispatched, report.malformed, report.unprepared),
        (7, 2, 2, 2),
        "{report}"
    );
    assert_eq!((report.dropped["unwanted"], report.dropped_total()), (1, 1));
    assert!(!report.is_lossless());
    let lost = "2 records lost here, they could not be prepared";
    assert_eq!(messages(&capture), ["keep", lost, "keep"], "the stream says where");
    assert_eq!(report.handlers["capture"].offered, 3);
    let lines = lines.lock().unwrap();
    for part in ["no such customer", "oops", "a frame of 9 bytes is refused: not a portable record"] {
        assert!(lines.iter().any(|line| line.contains(part)), "{part}: {lines:?}");
    }
}

/// Puts `text` into a record, unless there is none.
fn translate(frame: &[u8], out: &mut Vec<u8>) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    assert_ne!(frame, b"panic");
    let text = std::str::from_utf8(frame)?;
    out.extend_from_slice(b"begun");
    if text == "refuse" {
        return Err("not today".into());
    }
    out.clear();
    if text == "garble" {
        out.extend_from_slice(frame);
        return Ok(());
    }
    let draft = Draft::new(Level::Warn, Timestamp::from_nanos(17), "elsewhere", text);
    Ok(draft.field("len", &text.len()).write_portable(out)?)
}

#[test]
fn frames_of_others_become_records_or_are_malformed() {
    let queue = queue();
    let frames = [&b"one"[..], b"refuse", b"panic", b"\xff", b"garble", b"two", b""];
    frames.iter().for_each(|frame| queue.enqueue(frame).unwrap());
    let (lines, hook) = told();
    let capture = Capture::new();
    let listening =
        Listener::new(queue).translate(translate).handler(capture.clone()).error_hook(hook).start().unwrap();
    let report = listening.stop(LONG).unwrap();
    report.assert_balanced();
    assert_eq!((report.received, report.malformed, report.dispatched), (7, 4, 3), "{report}");
    assert_eq!(messages(&capture), ["one", "two", ""]);
    let record = &capture.records()[0];
    assert_eq!((record.level(), record.target(), record.time().as_nanos()), (Level::Warn, "elsewhere", 17));
    assert_eq!(record.field("len").unwrap().as_u64(), Some(3));
    let lines = lines.lock().unwrap();
    for part in ["6 bytes is refused: not today", "5 bytes is refused: its translation panicked", "portable"]
    {
        assert!(lines.iter().any(|line| line.contains(part)), "{part}: {lines:?}");
    }
}

#[test]
fn a_handler_with_a_format_puts_its_lines_into_the_queue_and_tells_of_losses_in_it() {
    let line = |len: usize| "x".repeat(len);
    // Room for one of the three.
    let queue = Arc::new(Locked::bounded(600));
    let format = Pattern::new("{level} {message}").unwrap();
    let (logger, guard) = builder()
        .handler(QueueHandler::new(queue.clone()).format(format))
        .error_hook(|_| {})
        .start()
        .unwrap();
    for len in 560..563 {
        info!(logger: logger, "{}", line(len));
    }
    guard.flush(LONG).unwrap(); // finds no room for what it has to tell
    let mut frames = Frames::new();
    assert_eq!(queue.dequeue(&mut frames, Deadline::after(LONG)).unwrap(), Dequeued::Some(1));
    info!(logger: logger, "after");
    guard.stop(LONG).unwrap().assert_balanced();
    assert_eq!(queue.dequeue(&mut frames, Deadline::after(LONG)).unwrap(), Dequeued::Some(2));
    let lines: Vec<_> = frames.iter().map(|frame| std::str::from_utf8(frame).unwrap().to_owned()).collect();
    let lost = "WARN 2 records lost here, the queue was full";
    assert_eq!(lines, [format!("INFO {}", line(560)), lost.into(), "INFO after".into()]);
}

/// Panics at one message.
struct PanicsAt(&'static str);

impl Handler for PanicsAt {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        batch.iter().for_each(|record| assert_ne!(record.message(), self.0));
        Ok(())
    }
}

#[test]
fn a_handler_that_panics_costs_itself_one_record() {
    let capture = Capture::new();
    let listening = Listener::new(filled(&["a", "b", "c"]))
        .error_hook(|_| {})
        .handler(PanicsAt("b"))
        .handler(capture.clone())
        .start()
        .unwrap();
    let report = listening.stop(LONG).unwrap();
    report.assert_balanced();
    assert_eq!((report.handlers["PanicsAt"].failed, report.handlers["PanicsAt"].delivered), (1, 2));
    assert_eq!(messages(&capture), ["a", "b", "c"]);
}

/// Keeps what it gets until it is flushed, and does not say so: nothing but a flush that was asked for reaches it.
#[derive(Default)]
struct Holds(u64, Arc<Mutex<u64>>);

impl Handler for Holds {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        self.0 += batch.iter().count() as u64;
        Ok(())
    }

    fn flush(&mut self) -> Result<(), HandlerError> {
        *self.1.lock().unwrap() += std::mem::take(&mut self.0);
        Ok(())
    }
}

fn flush_delivers(start: impl Fn(Listener) -> Listening) {
    let out = Arc::new(Mutex::new(0));
    let queue = queue();
    let (logger, guard) = builder().handler(QueueHandler::new(queue.clone())).start().unwrap();
    let listening = start(Listener::new(queue).handler(Holds(0, out.clone())));
    for sent in 1..=20 {
        info!(logger: logger, "{sent}");
        guard.flush(LONG).unwrap();
        listening.flush(LONG).unwrap();
        assert_eq!(*out.lock().unwrap(), sent, "what was enqueued before the flush has left");
    }
    guard.stop(LONG).unwrap();
    listening.stop(LONG).unwrap().assert_balanced();
}

#[test]
fn a_flush_delivers_what_was_enqueued_before_it() {
    flush_delivers(|listener| listener.start().unwrap());
}

#[test]
fn a_flush_of_a_listener_without_a_thread_does_the_work() {
    flush_delivers(Listener::manual);
}

#[test]
fn a_handler_cannot_wait_for_the_listener_that_calls_it() {
    const SHORT: Duration = Duration::from_millis(100); // an error comes at once
    let is_refused = |answer: &Option<Error>| answer.as_ref().is_some_and(Error::is_on_listener_thread);
    for has_thread in [true, false] {
        let (slot, answers) = (Arc::<OnceLock<Listening>>::default(), Arc::new(Mutex::new(Vec::new())));
        let (own, sink) = (slot.clone(), answers.clone());
        let asks = each(move |_| {
            let own = own.get().unwrap();
            let mut answers = vec![own.flush(SHORT).err(), own.wait(SHORT).err(), own.stop(SHORT).err()];
            // Has no deadline.
            if !has_thread && answers.iter().all(is_refused) {
                answers.push(own.poll().err());
            }
            *sink.lock().unwrap() = answers;
        });
        let queue = queue();
        let (logger, guard) = builder().handler(QueueHandler::new(queue.clone())).start().unwrap();
        let listener = Listener::new(queue).handler(asks);
        let listening =
            slot.get_or_init(|| if has_thread { listener.start().unwrap() } else { listener.manual() });
        info!(logger: logger, "asks");
        guard.stop(LONG).unwrap().assert_balanced();
        let report = listening.wait(LONG).expect("the stop began, though its caller could not wait for it");
        report.assert_balanced();
        assert_eq!(report.dispatched, 1);
        let answers = answers.lock().unwrap();
        assert_eq!(answers.len(), if has_thread { 3 } else { 4 }, "{answers:?}");
        assert!(answers.iter().all(is_refused), "{answers:?}");
    }
}

#[test]
fn polls_hand_out_on_the_callers_thread() {
    let capture = Capture::new();
    let listening = Listener::new(filled(&["a", "b"])).handler(capture.clone()).manual();
    assert!(capture.is_empty());
    assert_eq!(listening.poll().unwrap(), 2);
    assert_eq!(listening.poll().unwrap(), 0);
    assert_eq!(messages(&capture), ["a", "b"]);
    listening.stop(LONG).unwrap().assert_balanced();
    assert!(listening.poll().unwrap_err().is_not_running());
    let threaded = Listener::new(queue()).start().unwrap();
    assert!(threaded.poll().unwrap_err().is_config());
}

#[test]
fn a_stop_while_the_queue_is_waited_for_takes_no_time() {
    let stop = |waited_for: Box<dyn Dequeue>| {
        let listening = Listener::new(waited_for).start().unwrap();
        std::thread::sleep(Duration::from_millis(50)); // until it waits, mostly
        let since = Instant::now();
        listening.stop(LONG).unwrap().assert_balanced();
        since.elapsed()
    };
    // One that is not woken looks up after a second. Of three tries a loaded machine leaves one in peace.
    let best = |make: fn() -> Box<dyn Dequeue>| (0..3).map(|_| stop(make())).min().unwrap();
    assert!(best(|| Box::new(queue())) < Duration::from_millis(500));
    assert!(best(|| Box::new(Channel::bounded(16))) < Duration::from_millis(500));
}

#[test]
fn closing_the_queue_is_a_way_to_end_the_listener() {
    let (queue, (owned, dropped)) = (filled(&["a"]), mpsc::channel());
    let listening = Listener::new(queue.clone()).handler(Sends(owned)).start().unwrap();
    queue.close();
    assert_eq!(dropped.recv_timeout(LONG).as_deref(), Ok("a"));
    assert_eq!(dropped.recv_timeout(LONG), Err(mpsc::RecvTimeoutError::Disconnected), "it is closed");
    listening.stop(LONG).unwrap().assert_balanced();
}

#[test]
fn the_end_of_a_listener_can_be_waited_for() {
    for start in [|listener: Listener| listener.start().unwrap(), Listener::manual] {
        let (queue, capture) = (filled(&["a", "b"]), Capture::new());
        let listening = start(Listener::new(queue.clone()).handler(capture.clone()));
        assert!(listening.wait(Duration::from_millis(50)).unwrap_err().is_timeout(), "it goes on");
        queue.enqueue(b"no record").unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(20));
                queue.close();
            });
            let report = listening.wait(LONG).unwrap();
            report.assert_balanced();
            assert_eq!((report.dispatched, report.malformed, report.undrained), (2, 1, false));
        });
        assert_eq!(listening.wait(Duration::ZERO).unwrap(), listening.stop(LONG).unwrap());
        assert_eq!(messages(&capture), ["a", "b"]);
    }
}

/// Sends the messages on.
struct Sends(mpsc::Sender<String>);

impl Handler for Sends {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        batch
            .iter()
            .try_for_each(|record| self.0.send(record.message().to_string()))
            .map_err(HandlerError::new)
    }
}

/// Never comes back, until it is let.
struct Hangs(mpsc::Receiver<()>);

impl Handler for Hangs {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        for _ in batch {
            let _ = self.0.recv();
        }
        Ok(())
    }
}

#[test]
fn at_the_deadline_the_books_say_what_is_where() {
    let (release, gate) = mpsc::channel();
    let listening = Listener::new(filled(&["a", "b", "c"])).handler(Hangs(gate)).start().unwrap();
    eventually("the handler hangs", || listening.stats().dispatched == 3);
    let report = listening.stop(Duration::from_millis(50)).unwrap();
    report.assert_balanced();
    let handler = &report.handlers["Hangs"];
    assert_eq!((handler.offered, handler.in_flight, handler.abandoned), (3, 1, 2), "{handler}");
    drop(release);
}

/// Answers every record by one of its own, through an engine whose records come back here.
struct Answers(Logger);

impl Handler for Answers {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        for record in batch {
            info!(logger: self.0, "an answer to {}", record.message().to_string());
        }
        Ok(())
    }
}

#[test]
fn a_handler_that_logs_into_its_own_queue_goes_round_once() {
    let queue = queue();
    let (logger, guard) = builder().handler(QueueHandler::new(queue.clone())).start().unwrap();
    let listening = Listener::new(queue).handler(Answers(logger.clone())).start().unwrap();
    (0..10).for_each(|number| info!(logger: logger, "{number}"));
    eventually("all echoes are back", || listening.stats().echoes == 10);
    guard.stop(LONG).unwrap().assert_balanced();
    let report = listening.stop(LONG).unwrap();
    report.assert_balanced();
    assert_eq!((report.received, report.dispatched, report.echoes), (20, 10, 10), "{report}");
}

#[test]
fn what_the_polling_thread_logs_beside_its_polls_is_no_echo() {
    let queue = queue();
    let start = builder().wait(Wait::Manual).handler(QueueHandler::new(queue.clone())).start();
    let (logger, guard) = start.unwrap();
    let listening = Listener::new(queue).handler(Answers(logger.clone())).manual();
    for round in 1..=3 {
        info!(logger: logger, "one of its own");
        guard.poll().unwrap();
        assert_eq!(listening.poll().unwrap(), 1);
        guard.poll().unwrap();
        assert_eq!(listening.poll().unwrap(), 0, "the answer came back");
        let stats = listening.stats();
        assert_eq!((stats.dispatched, stats.echoes), (round, round));
    }
}

/// Says what it is told to, then that it is closed.
struct Scripted(Mutex<VecDeque<&'static str>>, AtomicBool);

impl Dequeue for Scripted {
    fn dequeue(&self, frames: &mut Frames, _: Deadline) -> Result<Dequeued, DequeueError> {
        let next = self.0.lock().unwrap().pop_front();
        match next {
            Some("fail") => Err(DequeueError::new("connection reset")),
            Some("panic") => panic!("a bug of the backend"),
            Some("empty") => Ok(Dequeued::Empty),
            Some(frame) => {
                frames.push(frame.as_bytes());
                Ok(Dequeued::Some(1))
            }
            None => Ok(if self.1.load(Ordering::Relaxed) { Dequeued::Closed } else { Dequeued::Empty }),
        }
    }

    fn close(&self) {
        self.1.store(true, Ordering::Relaxed);
    }

    fn wake(&self) {}
}

#[test]
fn a_queue_that_fails_or_panics_is_asked_again() {
    let script = VecDeque::from(["fail", "x", "panic", "empty", "y"]);
    let (lines, hook) = told();
    let listening =
        Listener::new(Scripted(Mutex::new(script), AtomicBool::new(false))).error_hook(hook).start().unwrap();
    eventually("all was asked for", || listening.stats().received == 2);
    let report = listening.stop(LONG).unwrap();
    report.assert_balanced();
    assert_eq!((report.queue_failures, report.malformed), (2, 2), "{report:?}");
    let lines = lines.lock().unwrap();
    assert!(lines.iter().any(|line| line.contains("connection reset")), "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("a bug of the backend")), "{lines:?}");
}

#[test]
fn records_that_find_the_queue_full_are_counted_and_told_of_downstream() {
    let (queue, capture) = (Arc::new(Channel::bounded(2)), Capture::new());
    let (logger, guard) =
        builder().error_hook(|_| {}).handler(QueueHandler::new(queue.clone())).start().unwrap();
    for number in 0..5 {
        info!(logger: logger, "{number}");
    }
    guard.flush(LONG).unwrap();
    let handler = guard.stats().handlers["QueueHandler"].clone();
    assert_eq!((handler.delivered, handler.failed), (2, 3), "{handler}");
    let listening = Listener::new(queue).handler(capture.clone()).start().unwrap();
    assert!(capture.wait_for(2, LONG));
    info!(logger: logger, "5");
    assert!(capture.wait_for(4, LONG));
    guard.stop(LONG).unwrap();
    let report = listening.stop(LONG).unwrap();
    report.assert_balanced();
    assert_eq!(messages(&capture), ["0", "1", "3 records lost here, the queue was full", "5"]);
    assert_eq!(
        (capture.records()[2].target(), capture.records()[2].level()),
        ("treering::loss", Level::Warn)
    );
}

#[test]
fn a_queue_that_is_full_is_tried_with_each_record_and_not_left_alone() {
    let (queue, capture) = (Arc::new(Channel::bounded(2)), Capture::new());
    let (lines, hook) = told();
    let (logger, guard) =
        builder().error_hook(hook).handler(QueueHandler::new(queue.clone())).start().unwrap();
    (0..100).for_each(|number| info!(logger: logger, "{number}"));
    guard.flush(LONG).unwrap();
    let handler = guard.stats().handlers["QueueHandler"].clone();
    assert_eq!((handler.delivered, handler.failed, handler.skipped), (2, 98, 0), "{handler}");
    assert!(!handler.quarantined);
    // Once for those that delivered nothing, and perhaps for the call in which it filled up.
    let lines = lines.lock().unwrap();
    assert!(lines.iter().all(|line| line == "handler QueueHandler: the queue is full"), "{lines:?}");
    assert!((1..=2).contains(&lines.len()), "{lines:?}");
    let listening = Listener::new(queue).handler(capture.clone()).start().unwrap();
    assert!(capture.wait_for(2, LONG));
    // Nobody logs any more: what is missing at the end is told of at the end.
    guard.stop(LONG).unwrap().assert_balanced();
    listening.stop(LONG).unwrap().assert_balanced();
    assert_eq!(messages(&capture), ["0", "1", "98 records lost here, the queue was full"]);
}

#[test]
fn a_queue_that_panics_costs_the_record_and_the_loss_has_the_right_number() {
    /// Panics at the first two frames.
    struct Shy(Arc<Locked>, AtomicU32);
    impl Enqueue for Shy {
        fn enqueue(&self, frame: &[u8]) -> Result<(), EnqueueError> {
            assert!(self.1.fetch_add(1, Ordering::Relaxed) >= 2, "not yet");
            self.0.enqueue(frame)
        }
    }
    let (queue, capture) = (queue(), Capture::new());
    let handler = QueueHandler::new(Shy(queue.clone(), AtomicU32::new(0)));
    let (logger, guard) = builder().error_hook(|_| {}).handler(handler).start().unwrap();
    (0..3).for_each(|number| info!(logger: logger, "{number}"));
    guard.stop(LONG).unwrap().assert_balanced();
    Listener::new(queue).handler(capture.clone()).start().unwrap().stop(LONG).unwrap().assert_balanced();
    assert_eq!(messages(&capture), ["2 records lost here, the queue failed", "2"]);
}

#[test]
fn a_queue_that_is_closed_costs_its_handler_every_record_and_nobody_else() {
    let (queue, capture) = (queue(), Capture::new());
    queue.close();
    assert!(matches!(queue.enqueue(b""), Err(EnqueueError::Closed)));
    let (logger, guard) = builder()
        .error_hook(|_| {})
        .handler(QueueHandler::new(queue))
        .handler(capture.clone())
        .start()
        .unwrap();
    (0..30).for_each(|number| info!(logger: logger, "{number}"));
    let report = guard.stop(LONG).unwrap();
    report.assert_balanced();
    assert_eq!(report.handlers["QueueHandler"].failed, 30);
    assert_eq!(capture.len(), 30);
}

#[test]
fn a_flight_recorder_keeps_what_came_through_a_queue() {
    let capture = Capture::new();
    let recorder = FlightRecorder::new(capture.clone().level(Level::Warn));
    let queue = queue();
    let (logger, guard) = builder().handler(QueueHandler::new(queue.clone())).start().unwrap();
    let peers = [1_u16, 2];
    info!(logger: logger, peers, "before {}", "it");
    info!(logger: logger, "and {:>4}", 7);
    error!(logger: logger, "the trigger");
    guard.stop(LONG).unwrap();
    let report = Listener::new(queue).handler(recorder).start().unwrap().stop(LONG).unwrap();
    report.assert_balanced();
    let note = "2 kept records follow, 0 older ones were overwritten";
    assert_eq!(messages(&capture), [note, "before it", "and    7", "the trigger"]);
    let before = &capture.records()[1];
    assert_eq!((before.level(), before.field("peers").unwrap().text()), (Level::Info, "[1, 2]"));
    let recorder = report.handlers.iter().next().unwrap();
    assert_eq!((recorder.offered, recorder.filtered, recorder.delivered), (3, 0, 3), "{recorder}");
}

/// The number of the process, the number of the thread and the process's token, in a portable record.
const PROCESS_ID: std::ops::Range<usize> = 22..26;
const THREAD_ID: std::ops::Range<usize> = 26..30;
const TOKEN: std::ops::Range<usize> = 34..42;

/// A frame that this thread logs now.
fn frame() -> Vec<u8> {
    let (queue, mut frames) = (filled(&["framed"]), Frames::new());
    assert_eq!(queue.dequeue(&mut frames, Deadline::after(Duration::ZERO)).unwrap(), Dequeued::Some(1));
    frames.iter().next().unwrap().to_vec()
}

/// A frame as if a thread of this process with another number had logged it now.
fn frame_of(thread: u32) -> Vec<u8> {
    let mut frame = frame();
    assert_eq!(frame[PROCESS_ID], std::process::id().to_le_bytes());
    frame[THREAD_ID].copy_from_slice(&thread.to_le_bytes());
    frame
}

#[test]
fn a_record_of_a_thread_or_a_process_with_the_numbers_of_the_listeners_is_no_echo() {
    let (queue, capture, listener) = (queue(), Capture::new(), Arc::new(AtomicU32::new(0)));
    let seen = listener.clone();
    let before = frame();
    let listening = Listener::new(queue.clone())
        .prepare(move |_| {
            seen.store(own_thread_id(), Ordering::Relaxed);
            Prepared::Keep
        })
        .handler(capture.clone())
        .start()
        .unwrap();
    queue.enqueue(&before).unwrap();
    listening.flush(LONG).unwrap();
    let thread = listener.load(Ordering::Relaxed);

    // Logged before the listener's thread began, by one that had its number before.
    let mut earlier = before.clone();
    earlier[THREAD_ID].copy_from_slice(&thread.to_le_bytes());
    queue.enqueue(&earlier).unwrap();
    // Logged in another container, where a process and a thread have these numbers.
    let mut elsewhere = frame_of(thread);
    elsewhere[TOKEN].iter_mut().for_each(|byte| *byte = !*byte);
    queue.enqueue(&elsewhere).unwrap();
    // Such a record of this process is one that the listener's thread has logged.
    queue.enqueue(&frame_of(thread)).unwrap();

    let report = listening.stop(LONG).unwrap();
    report.assert_balanced();
    assert_eq!((report.received, report.dispatched, report.echoes), (4, 3, 1), "{report}");
    assert_eq!(capture.len(), 3);
}

/// A queue that fails as long as it is told to, and counts how often it is asked.
struct Failing {
    queue: Locked,
    fails: AtomicBool,
    asked: AtomicU64,
}

impl Failing {
    fn new() -> Arc<Self> {
        let queue = Locked::bounded(1 << 20);
        Arc::new(Failing { queue, fails: AtomicBool::new(false), asked: AtomicU64::new(0) })
    }

    fn set(&self, fails: bool) {
        self.fails.store(fails, Ordering::Relaxed);
    }

    fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Dequeue for Failing {
    fn dequeue(&self, frames: &mut Frames, deadline: Deadline) -> Result<Dequeued, DequeueError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if self.fails.load(Ordering::Relaxed) {
            return Err(DequeueError::new("connection reset"));
        }
        self.queue.dequeue(frames, deadline)
    }

    fn close(&self) {
        self.queue.close();
    }

    fn wake(&self) {
        self.queue.wake();
    }
}

fn a_flush_over_a_failing_queue(start: impl Fn(Listener) -> Listening) {
    let (queue, capture, frame) = (Failing::new(), Capture::new(), frame());
    queue.set(true);
    let listener = Listener::new(queue.clone()).error_hook(|_| {}).handler(capture.clone());
    let listening = start(listener);
    (0..5).for_each(|_| queue.queue.enqueue(&frame).unwrap());
    let before = queue.asked();
    let flushed = listening.flush(Duration::from_millis(300));
    assert!(flushed.is_err_and(|error| error.is_timeout()), "nobody knows what is in it");
    // Nor does a flush that waits, or gave up, make the listener ask without a pause.
    std::thread::sleep(Duration::from_millis(300));
    assert!(queue.asked() - before < 100, "asked {} times", queue.asked() - before);
    queue.set(false);
    listening.flush(LONG).unwrap();
    assert_eq!(capture.len(), 5);
    listening.stop(LONG).unwrap().assert_balanced();
}

#[test]
fn a_flush_is_not_answered_by_a_queue_that_fails() {
    a_flush_over_a_failing_queue(|listener| listener.start().unwrap());
}

#[test]
fn nor_is_that_of_a_listener_without_a_thread() {
    a_flush_over_a_failing_queue(Listener::manual);
}

/// Fails once, as it is closed: a call that was interrupted.
struct Interrupted(Failing);

impl Dequeue for Interrupted {
    fn dequeue(&self, frames: &mut Frames, deadline: Deadline) -> Result<Dequeued, DequeueError> {
        let dequeued = self.0.dequeue(frames, deadline);
        if dequeued.is_err() {
            self.0.set(false);
        }
        dequeued
    }

    fn close(&self) {
        self.0.set(true);
        self.0.close();
    }

    fn wake(&self) {
        self.0.wake();
    }
}

#[test]
fn one_failure_while_it_stops_costs_nothing() {
    let starts: [fn(Listener) -> Listening; 2] = [Listener::manual, |listener| listener.start().unwrap()];
    for start in starts {
        let queue = Interrupted(Arc::into_inner(Failing::new()).unwrap());
        let (queue, frame, capture) = (Arc::new(queue), frame(), Capture::new());
        // What is in it when the listener stops: the handler holds the first up until then.
        (0..2000).for_each(|_| queue.0.queue.enqueue(&frame).unwrap());
        let listener = Listener::new(queue.clone()).error_hook(|_| {}).handler(capture.clone());
        let report = start(listener).stop(LONG).unwrap();
        report.assert_balanced();
        assert!(report.is_lossless() && report.queue_failures <= 1, "{report}");
        assert_eq!((report.dispatched, capture.len()), (2000, 2000));
    }
}

#[test]
fn a_queue_that_fails_to_the_end_leaves_a_report_that_says_so() {
    let starts: [fn(Listener) -> Listening; 2] = [Listener::manual, |listener| listener.start().unwrap()];
    for start in starts {
        let (queue, frame) = (Failing::new(), frame());
        queue.set(true);
        queue.queue.enqueue(&frame).unwrap();
        let listening = start(Listener::new(queue.clone()).error_hook(|_| {}).handler(Capture::new()));
        let report = listening.stop(Duration::from_millis(200)).unwrap();
        report.assert_balanced();
        assert!(!report.is_lossless(), "there is a frame in it: {report}");
        assert!(queue.asked() < 100, "asked {} times", queue.asked());
    }
}

/// Says what is done with it.
struct Tells(mpsc::Sender<&'static str>);

impl Handler for Tells {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        let _ = batch.iter().count();
        let _ = self.0.send("handled");
        Ok(())
    }

    fn flush(&mut self) -> Result<(), HandlerError> {
        let _ = self.0.send("flushed");
        Ok(())
    }

    fn tend(&mut self) -> Result<(), HandlerError> {
        let _ = self.0.send("tended");
        Ok(())
    }

    fn held(&self) -> u64 {
        1
    }
}

#[test]
fn handlers_are_looked_after_while_nothing_comes() {
    let (told, news) = mpsc::channel();
    let listening = Listener::new(queue()).handler(Tells(told)).start().unwrap();
    for _ in 0..2 {
        while news.recv_timeout(LONG).unwrap() != "tended" {}
    }
    drop(listening);
    let (told, news) = mpsc::channel();
    let listening = Listener::new(queue()).handler(Tells(told)).manual();
    eventually("it is tended by polls", || {
        listening.poll().unwrap();
        news.try_recv() == Ok("tended")
    });
}

#[test]
fn records_are_not_held_longer_than_the_policy_says_while_nothing_comes() {
    let policy = FlushPolicy::new().when_idle(false).held_at_most(Duration::from_millis(20));
    let held = || {
        let (told, news) = mpsc::channel();
        let queue = filled(&["held"]);
        let listening = Listener::new(queue).handler(Tells(told).flush_policy(policy)).start().unwrap();
        while news.recv_timeout(LONG).unwrap() != "handled" {}
        let since = Instant::now();
        while news.recv_timeout(LONG).unwrap() != "flushed" {}
        drop(listening);
        since.elapsed()
    };
    // One that looks up only after its wait takes half a second. Of five tries a loaded machine leaves one in peace.
    assert!((0..5).map(|_| held()).min().unwrap() < Duration::from_millis(250));
}

#[test]
fn what_a_preparation_logs_on_a_polling_thread_is_an_echo() {
    let queue = queue();
    let (logger, guard) = builder().handler(QueueHandler::new(queue.clone())).start().unwrap();
    let inner = logger.clone();
    let listening = Listener::new(queue)
        .prepare(move |_| {
            info!(logger: inner, "prepared");
            Prepared::Keep
        })
        .manual();
    info!(logger: logger, "one");
    for _ in 0..20 {
        guard.flush(LONG).unwrap();
        listening.poll().unwrap();
    }
    let stats = listening.stats();
    assert_eq!((stats.received, stats.dispatched, stats.echoes), (2, 1, 1), "{stats}");
}

#[test]
fn an_echo_is_known_to_whichever_thread_polls_next() {
    let queue = queue();
    let (logger, guard) = builder().handler(QueueHandler::new(queue.clone())).start().unwrap();
    let listening = Listener::new(queue).handler(Answers(logger.clone())).manual();
    info!(logger: logger, "one");
    let turn = || {
        guard.flush(LONG).unwrap();
        // Polls that find nothing must not make it forget those that did.
        for _ in 0..5000 {
            listening.poll().unwrap();
        }
    };
    for _ in 0..10 {
        turn();
        std::thread::scope(|scope| scope.spawn(turn).join().unwrap());
    }
    let stats = listening.stats();
    assert_eq!((stats.received, stats.dispatched, stats.echoes), (2, 1, 1), "{stats}");
}

/// Has nothing, and never says that it is closed.
struct Endless;

impl Dequeue for Endless {
    fn dequeue(&self, _: &mut Frames, deadline: Deadline) -> Result<Dequeued, DequeueError> {
        std::thread::sleep(deadline.left().unwrap_or(LONG).min(Duration::from_millis(20)));
        Ok(Dequeued::Empty)
    }

    fn close(&self) {}

    fn wake(&self) {}
}

#[test]
fn a_listener_that_was_given_up_ends_though_its_queue_never_does() {
    let queue = Arc::new(Endless);
    let listening = Listener::new(queue.clone()).start().unwrap();
    let report = listening.stop(Duration::from_millis(50)).unwrap();
    report.assert_balanced();
    assert!(!report.is_lossless(), "who knows what is in it");
    drop(listening);
    eventually("its thread is gone", || Arc::strong_count(&queue) == 1);
}

#[test]
fn books_do_not_change_after_the_stop_that_returned_them() {
    let queue = filled(&["a", "b", "c"]);
    queue.enqueue(b"no record").unwrap();
    let (release, gate) = mpsc::channel::<()>();
    let thread = Arc::new(AtomicU32::new(0));
    let seen = thread.clone();
    let listening = Listener::new(queue)
        .prepare(move |_| {
            seen.store(own_thread_id(), Ordering::Relaxed);
            let _ = gate.recv();
            Prepared::Drop("late")
        })
        .error_hook(|_| {})
        .start()
        .unwrap();
    eventually("the preparation hangs", || thread.load(Ordering::Relaxed) != 0);
    let report = listening.stop(Duration::from_millis(50)).unwrap();
    report.assert_balanced();
    assert_eq!((report.received, report.abandoned), (4, 4), "{report}");
    drop(release);
    let thread = format!("/proc/self/task/{}", thread.load(Ordering::Relaxed));
    eventually("its thread is gone", || !std::path::Path::new(&thread).exists());
    assert_eq!(listening.stats(), report);
}

#[test]
fn a_flush_ends_while_others_enqueue_without_a_pause() {
    let (queue, capture, frame) = (Arc::new(Locked::bounded(1 << 16)), Capture::new(), frame());
    let listening = Listener::new(queue.clone()).handler(Slowly(capture.clone())).start().unwrap();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                if queue.enqueue(&frame).is_err() {
                    std::thread::yield_now(); // it is full
                }
            }
        });
        eventually("it is under way", || !capture.is_empty());
        let flushes: Vec<_> = (0..3).map(|_| listening.flush(Duration::from_secs(20))).collect();
        is_over.store(true, Ordering::Relaxed);
        assert!(flushes.iter().all(Result::is_ok), "{flushes:?}");
    });
    listening.stop(LONG).unwrap().assert_balanced();
}

/// Takes so long for a batch that its queue fills up meanwhile.
struct Slowly(Capture);

impl Handler for Slowly {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        std::thread::sleep(Duration::from_millis(20));
        self.0.handle(batch)
    }
}

#[test]
fn a_listener_that_the_system_refuses_a_thread_leaves_the_queue_alone() {
    let test = "a_listener_that_the_system_refuses_a_thread_leaves_the_queue_alone";
    let child = in_child(test, &[], || {
        let queue = queue();
        let since = Instant::now();
        limit_memory(mapped_bytes() + 1024 * 1024); // no room for a stack of 2 MiB
        let started = Listener::new(queue.clone()).start().map(drop);
        limit_memory(libc::RLIM_INFINITY);
        assert!(started.unwrap_err().is_io());
        assert!(since.elapsed() < Duration::from_secs(4), "nobody is waited for");
        queue.enqueue(b"it is open").unwrap();
        assert_eq!(Arc::strong_count(&queue), 1, "and nobody else's");
    });
    if let Some(output) = child {
        assert!(output.status.success(), "{}", text(&output));
    }
}

#[test]
fn a_flush_after_the_end_says_whether_everything_had_left() {
    let starts: [fn(Listener) -> Listening; 2] = [Listener::manual, |listener| listener.start().unwrap()];
    for start in starts {
        let listening = start(Listener::new(filled(&["a"])).handler(Capture::new()));
        let report = listening.stop(LONG).unwrap();
        report.assert_balanced();
        assert!(report.is_lossless(), "{report}");
        listening.flush(LONG).unwrap();
        listening.flush(Duration::ZERO).unwrap();

        let queue = Failing::new();
        queue.set(true);
        let listening = start(Listener::new(queue).error_hook(|_| {}));
        listening.stop(Duration::from_millis(50)).unwrap().assert_balanced();
        assert!(listening.flush(LONG).unwrap_err().is_timeout(), "what is in it stays there");
    }
}
