//! Whether a queue keeps [the contract](super#the-contract): one line in a test of yours.
//!
//! ```
//! use treering::queue::{Locked, conformance};
//! conformance::run(|| Locked::bounded(1 << 20));
//! ```
//!
//! Each clause is tried on queues of its own, on threads of its own, and within [`TIME_MAX`]: a queue that waits for
//! ever fails instead of keeping the test. It runs for about two seconds. A queue that takes a frame must give it out
//! within [`SETTLE`]; one over a network whose way is longer cannot be tried.
//!
//! What it cannot see: a fault that shows only under interleavings that did not happen. Run it often.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use super::{Deadline, Dequeued, EnqueueError, Frames, Queue};
use crate::sync::{Arc, Mutex};
use crate::{clock, fault, os};

/// The most that one clause may take. Far more than any needs on a busy machine, so that only what hangs fails by it.
pub const TIME_MAX: Duration = Duration::from_secs(12);
/// A frame that was taken is there within this, and a wait that was ended ends within it.
pub const SETTLE: Duration = Duration::from_secs(5);
/// Longer than a thread needs to begin to wait, mostly. Where it does not, a fault may go unseen; none is seen wrongly.
const TO_BEGIN_WAITING: Duration = Duration::from_millis(50);
/// How long an idle wait is, whose use of the processor is measured, and how much it may use.
const IDLE: Duration = Duration::from_millis(300);
const IDLE_CPU_MAX: Duration = Duration::from_millis(30);
/// A queue that takes more than this without a word is taken to be unbounded.
const FILL_FRAMES_MAX: u32 = 200_000;
const FILL_FRAME_BYTES: usize = 64;

/// Tries every clause.
///
/// `make` makes a new, empty queue each time. One that holds at least a few frames, of a megabyte in total, can be tried.
///
/// # Panics
/// If a clause does not hold: the message says which, in words, and what was seen.
pub fn run<Q: Queue + 'static>(make: impl Fn() -> Q) {
    if let Err(failure) = check(make) {
        panic!("{failure}");
    }
}

/// As [`run`], for those who want to go on.
///
/// # Errors
/// The first clause that does not hold.
///
/// ```
/// use treering::queue::{Locked, conformance};
/// assert!(conformance::check(|| Locked::bounded(1 << 20)).is_ok());
/// // Not large enough for a frame of a megabyte.
/// let failure = conformance::check(|| Locked::bounded(1000)).unwrap_err();
/// assert_eq!(failure.clause(), 1);
/// ```
pub fn check<Q: Queue + 'static>(make: impl Fn() -> Q) -> Result<(), Failure> {
    let trials: [(Clause, Trial<Q>); 13] = [
        (ENOUGH, what_is_there_is_given_at_once),
        (WHOLE, frames_come_out_whole),
        (CLOSED, after_the_close_nothing_is_taken),
        (DRAINED, what_was_taken_before_the_close_comes_out),
        (ORDER, one_thread_s_frames_keep_their_order),
        (TIMEOUT, a_timeout_is_no_end),
        (REST, waiting_uses_no_processor),
        (ARRIVAL, a_frame_ends_the_wait),
        (WAKE, a_wake_ends_the_wait),
        (RELEASE, a_close_ends_every_wait_to_dequeue),
        (FULL, a_full_queue_says_so),
        (RELEASE, a_close_ends_every_wait_to_enqueue),
        (LOST, many_threads_lose_and_double_nothing),
    ];
    trials.into_iter().try_for_each(|(clause, trial)| within_time(clause, trial, Arc::new(make())))
}

/// A clause that does not hold, and what was seen.
///
/// ```
/// use treering::queue::{Locked, conformance};
/// let failure = conformance::check(|| Locked::bounded(1000)).unwrap_err();
/// let text = failure.to_string();
/// assert!(text.starts_with("clause 1 of the queue contract does not hold: a frame comes out as it went in"), "{text}");
/// ```
#[derive(Debug)]
pub struct Failure {
    clause: Clause,
    saw: String,
}

impl Failure {
    /// Its number in [the contract](super#the-contract).
    pub fn clause(&self) -> u32 {
        self.clause.0
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Clause(number, text) = self.clause;
        write!(f, "clause {number} of the queue contract does not hold: {text}; but {}", self.saw)
    }
}

impl std::error::Error for Failure {}

/// A number and its words.
#[derive(Clone, Copy, Debug)]
struct Clause(u32, &'static str);

const WHOLE: Clause = Clause(1, "a frame comes out as it went in");
const ORDER: Clause = Clause(2, "frames of one thread come out in order");
const LOST: Clause = Clause(3, "a frame that was taken comes out, one that was not taken does not");
const DOUBLED: Clause = Clause(4, "a frame comes out once");
const FULL: Clause = Clause(5, "full, closed and failed are three things");
const ENOUGH: Clause = Clause(6, "what is there is given at once");
const TIMEOUT: Clause = Clause(7, "a timeout is no end, and not before its time");
const ARRIVAL: Clause = Clause(8, "a frame ends the wait");
const REST: Clause = Clause(9, "waiting does not use the processor");
const WAKE: Clause = Clause(10, "a wake ends the wait, or lets the next call not wait, and is no end");
const CLOSED: Clause = Clause(11, "after a close nothing is taken");
const DRAINED: Clause = Clause(12, "what was taken before the close comes out, and then `Closed`, always");
const RELEASE: Clause = Clause(13, "a close ends every wait");

/// Tries a clause on a new queue.
type Trial<Q> = fn(&Arc<Q>) -> Result<(), Fault>;

/// What was seen; of another clause than the one that is tried, if that is named.
struct Fault {
    clause: Option<Clause>,
    saw: String,
}

impl From<String> for Fault {
    fn from(saw: String) -> Self {
        Fault { clause: None, saw }
    }
}

/// Ends a trial unless something holds.
macro_rules! hold {
    ($holds:expr, $($saw:tt)+) => {
        if !$holds {
            return Err(format!($($saw)+).into());
        }
    };
}

/// Runs a trial on a thread of its own, which is left alone if it does not end.
fn within_time<Q: Queue + 'static>(clause: Clause, trial: Trial<Q>, queue: Arc<Q>) -> Result<(), Failure> {
    let result = started(move || trial(&queue)).wait(TIME_MAX);
    let fault = match result {
        Some(Ok(Ok(()))) => return Ok(()),
        Some(Ok(Err(fault))) => fault,
        Some(Err(panic)) => format!("it panicked: {panic}").into(),
        None => format!("a call had not returned after {TIME_MAX:?}").into(),
    };
    Err(Failure { clause: fault.clause.unwrap_or(clause), saw: fault.saw })
}

/// What a thread comes to.
struct Outcome<R>(Receiver<Result<R, String>>);

impl<R> Outcome<R> {
    /// `None` if it has not come to it in time; else what it came to, or what it panicked with.
    fn wait(&self, timeout: Duration) -> Option<Result<R, String>> {
        match self.0.recv_timeout(timeout) {
            Ok(result) => Some(result),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Err("without a word".into())),
        }
    }
}

fn started<R: Send + 'static>(body: impl FnOnce() -> R + Send + 'static) -> Outcome<R> {
    let (sender, receiver) = channel();
    let thread = std::thread::Builder::new().name("conformance".into());
    // One that cannot be started drops the sender, which is what the receiver finds out.
    let _ = thread.spawn(move || sender.send(fault::guarded(body)));
    Outcome(receiver)
}

fn sleep(duration: Duration) {
    std::thread::sleep(duration);
}

/// What a call of `dequeue` came to, with its error as text.
fn dequeue(queue: &impl Queue, frames: &mut Frames, timeout: Duration) -> Result<Dequeued, Fault> {
    let before = frames.len();
    let dequeued = queue
        .dequeue(frames, Deadline::after(timeout))
        .map_err(|error| Fault::from(format!("dequeue failed: {error}")))?;
    let appended = frames.len() - before;
    match dequeued {
        Dequeued::Some(said) if said != appended || said == 0 => Err(Fault {
            clause: Some(ENOUGH),
            saw: format!("dequeue said {dequeued:?} and appended {appended} frames"),
        }),
        Dequeued::Empty | Dequeued::Closed if appended > 0 => Err(Fault {
            clause: Some(ENOUGH),
            saw: format!("dequeue said {dequeued:?} and appended {appended} frames"),
        }),
        _ => Ok(dequeued),
    }
}

fn enqueue(queue: &impl Queue, frame: &[u8]) -> Result<(), Fault> {
    queue.enqueue(frame).map_err(|error| {
        format!("a frame of {} bytes was not taken by an empty queue: {error:?}", frame.len()).into()
    })
}

/// One frame, which was enqueued before.
fn take(queue: &impl Queue, clause: Option<Clause>) -> Result<Vec<u8>, Fault> {
    let mut frames = Frames::new();
    match dequeue(queue, &mut frames, SETTLE)? {
        Dequeued::Some(1) => Ok(frames.iter().flatten().copied().collect()),
        other => Err(Fault { clause, saw: format!("one frame was there, and dequeue said {other:?}") }),
    }
}

/// Everything that is there, until the queue is closed, or is silent for `silence`.
fn drain(queue: &impl Queue, silence: Duration) -> Result<(Vec<Vec<u8>>, Dequeued), Fault> {
    let mut all = Vec::new();
    let mut frames = Frames::new();
    loop {
        frames.clear();
        match dequeue(queue, &mut frames, silence)? {
            Dequeued::Some(_) => all.extend(frames.iter().map(<[u8]>::to_vec)),
            end => return Ok((all, end)),
        }
    }
}

fn frames_come_out_whole<Q: Queue>(queue: &Arc<Q>) -> Result<(), Fault> {
    for len in [1, 0, 7, 8, 255, 256, 65_536, 1_000_000] {
        let frame: Vec<u8> = (0..len).map(|at| (at * 31 + at / 256) as u8).collect();
        enqueue(queue, &frame)?;
        let came = take(queue, None)?;
        hold!(came.len() == len, "one of {len} bytes came out with {}", came.len());
        hold!(came == frame, "one of {len} bytes came out with others");
    }
    Ok(())
}

fn what_is_there_is_given_at_once<Q: Queue>(queue: &Arc<Q>) -> Result<(), Fault> {
    let mut frames = Frames::new();
    let nothing = dequeue(queue, &mut frames, Duration::ZERO)?;
    hold!(nothing == Dequeued::Empty, "a new queue, asked without a wait, said {nothing:?}");
    enqueue(queue, b"frame")?;
    let since = clock::now();
    // Not with a deadline that has passed: what crosses threads or a network may be on its way still.
    let dequeued = dequeue(queue, &mut frames, SETTLE * 2)?;
    hold!(dequeued == Dequeued::Some(1), "one frame was there, and dequeue said {dequeued:?}");
    hold!(clock::now() - since < SETTLE, "it came after {:?} only", clock::now() - since);
    Ok(())
}

fn one_thread_s_frames_keep_their_order<Q: Queue>(queue: &Arc<Q>) -> Result<(), Fault> {
    for number in 0..20_u32 {
        enqueue(queue, &number.to_le_bytes())?;
    }
    queue.close();
    let came = drain(queue, SETTLE)?.0;
    judge(&came.iter().map(|frame| (0, number_of(frame))).collect::<Vec<_>>(), &[20], ORDER)
}

fn after_the_close_nothing_is_taken<Q: Queue>(queue: &Arc<Q>) -> Result<(), Fault> {
    queue.close();
    queue.close();
    for _ in 0..2 {
        let answer = queue.enqueue(b"late");
        hold!(matches!(answer, Err(EnqueueError::Closed)), "enqueue after close said {answer:?}");
    }
    Ok(())
}

fn what_was_taken_before_the_close_comes_out<Q: Queue>(queue: &Arc<Q>) -> Result<(), Fault> {
    for frame in [b"one", b"two"] {
        enqueue(queue, frame)?;
    }
    queue.close();
    let (came, end) = drain(queue, SETTLE)?;
    hold!(came.len() == 2, "of two frames {} came out after the close", came.len());
    hold!(end == Dequeued::Closed, "after them dequeue said {end:?}, after {SETTLE:?}");
    let again = dequeue(queue, &mut Frames::new(), SETTLE)?;
    hold!(again == Dequeued::Closed, "asked once more it said {again:?}");
    Ok(())
}

fn a_timeout_is_no_end<Q: Queue>(queue: &Arc<Q>) -> Result<(), Fault> {
    const SHORT: Duration = Duration::from_millis(20);
    for round in 0..3_u32 {
        let since = clock::now();
        let dequeued = dequeue(queue, &mut Frames::new(), SHORT)?;
        let took = clock::now() - since;
        hold!(dequeued == Dequeued::Empty, "with nothing there, after {SHORT:?}, it said {dequeued:?}");
        hold!(took >= SHORT / 2, "asked to wait for {SHORT:?} it came back after {took:?}");
        hold!(took < SETTLE, "asked to wait for {SHORT:?} it came back after {took:?} only");
        let since = clock::now();
        let dequeued = dequeue(queue, &mut Frames::new(), Duration::ZERO)?;
        hold!(dequeued == Dequeued::Empty, "with a deadline that has passed it said {dequeued:?}");
        hold!(clock::now() - since < SETTLE, "a deadline that had passed waited {:?}", clock::now() - since);
        let answer = queue.enqueue(&round.to_le_bytes());
        hold!(answer.is_ok(), "after a timeout enqueue said {answer:?}");
        hold!(number_of(&take(queue, None)?) == round, "after a timeout another frame came out");
    }
    Ok(())
}

fn waiting_uses_no_processor<Q: Queue>(queue: &Arc<Q>) -> Result<(), Fault> {
    let before = os::thread_cpu_nanos();
    let since = clock::now();
    while clock::now() - since < IDLE {
        let _ = dequeue(queue, &mut Frames::new(), IDLE)?;
    }
    let spent = Duration::from_nanos(os::thread_cpu_nanos() - before);
    hold!(spent < IDLE_CPU_MAX, "a wait of {IDLE:?} used the processor for {spent:?}");
    Ok(())
}

/// A thread that dequeues once, and has begun to, mostly.
fn waiting<Q: Queue + 'static>(queue: &Arc<Q>) -> Outcome<Result<Dequeued, Fault>> {
    let queue = queue.clone();
    let outcome = started(move || dequeue(&queue, &mut Frames::new(), TIME_MAX * 10));
    sleep(TO_BEGIN_WAITING);
    outcome
}

/// What that thread came to, after something that must have ended its wait.
fn ended(outcome: &Outcome<Result<Dequeued, Fault>>, by: &str) -> Result<Dequeued, Fault> {
    match outcome.wait(SETTLE) {
        Some(Ok(result)) => result,
        Some(Err(panic)) => Err(format!("it panicked: {panic}").into()),
        None => Err(format!("a call that waited did so still {SETTLE:?} after {by}").into()),
    }
}

fn a_frame_ends_the_wait<Q: Queue + 'static>(queue: &Arc<Q>) -> Result<(), Fault> {
    for _ in 0..3 {
        let outcome = waiting(queue);
        enqueue(queue, b"frame")?;
        let dequeued = ended(&outcome, "a frame was enqueued")?;
        hold!(dequeued == Dequeued::Some(1), "it ended with {dequeued:?}");
    }
    Ok(())
}

fn a_wake_ends_the_wait<Q: Queue + 'static>(queue: &Arc<Q>) -> Result<(), Fault> {
    let outcome = waiting(queue);
    queue.wake();
    let dequeued = ended(&outcome, "it was woken")?;
    hold!(dequeued == Dequeued::Empty, "woken with nothing there it said {dequeued:?}");
    queue.wake();
    queue.wake();
    let outcome = waiting(queue);
    let dequeued = ended(&outcome, "a wake that came before it")?;
    hold!(dequeued == Dequeued::Empty, "woken before, with nothing there, it said {dequeued:?}");
    for _ in 0..2 {
        let answer = queue.enqueue(b"frame");
        hold!(answer.is_ok(), "after a wake enqueue said {answer:?}");
        queue.wake();
    }
    queue.close();
    // Wakes that are left may end a wait each.
    let mut came = 0;
    for _ in 0..8 {
        let (frames, end) = drain(queue, SETTLE)?;
        came += frames.len();
        if end == Dequeued::Closed {
            break;
        }
    }
    hold!(came == 2, "of two frames that a wake came behind {came} came out");
    Ok(())
}

fn a_close_ends_every_wait_to_dequeue<Q: Queue + 'static>(queue: &Arc<Q>) -> Result<(), Fault> {
    let outcomes = [waiting(queue), waiting(queue), waiting(queue)];
    queue.close();
    for outcome in &outcomes {
        let dequeued = ended(outcome, "the close")?;
        hold!(dequeued == Dequeued::Closed, "it ended with {dequeued:?}");
    }
    Ok(())
}

/// Enqueues until there is no room, or for long enough. How many were taken, and whether it is full.
fn fill(queue: &impl Queue) -> Result<(u32, bool), Fault> {
    let mut frame = [0; FILL_FRAME_BYTES];
    for number in 0..FILL_FRAMES_MAX {
        frame[..4].copy_from_slice(&number.to_le_bytes());
        match queue.enqueue(&frame) {
            Ok(()) => {}
            Err(EnqueueError::Full) => return Ok((number, true)),
            Err(error) => return Err(format!("after {number} frames enqueue said {error:?}").into()),
        }
    }
    Ok((FILL_FRAMES_MAX, false))
}

fn a_full_queue_says_so<Q: Queue>(queue: &Arc<Q>) -> Result<(), Fault> {
    for round in 0..2 {
        let (taken, is_full) = fill(queue)?;
        hold!(taken > 0, "in round {round} an empty queue was full");
        let mut came = Vec::new();
        while came.len() < taken as usize {
            let mut frames = Frames::new();
            match dequeue(queue, &mut frames, SETTLE)? {
                Dequeued::Some(_) => came.extend(frames.iter().map(|frame| (0, number_of(frame)))),
                Dequeued::Empty => break,
                Dequeued::Closed => return Err("a queue that was full was closed".to_owned().into()),
            }
        }
        judge(&came, &[taken], LOST)?;
        if !is_full {
            break;
        }
    }
    Ok(())
}

fn a_close_ends_every_wait_to_enqueue<Q: Queue + 'static>(queue: &Arc<Q>) -> Result<(), Fault> {
    let outcomes: Vec<_> = (0..3)
        .map(|_| {
            let queue = queue.clone();
            started(move || {
                loop {
                    match queue.enqueue(&[0; FILL_FRAME_BYTES]) {
                        Ok(()) => {}
                        Err(EnqueueError::Full) => sleep(Duration::from_millis(1)),
                        Err(EnqueueError::Closed) => return Ok(Dequeued::Closed),
                        Err(error) => return Err(Fault::from(format!("enqueue failed: {error}"))),
                    }
                }
            })
        })
        .collect();
    sleep(TO_BEGIN_WAITING);
    queue.close();
    outcomes.iter().try_for_each(|outcome| {
        ended(outcome, "the close").map(drop).map_err(|Fault { saw, .. }| format!("to enqueue: {saw}").into())
    })
}

fn many_threads_lose_and_double_nothing<Q: Queue + 'static>(queue: &Arc<Q>) -> Result<(), Fault> {
    const THREADS: u32 = 4;
    const FRAMES: u32 = 2000;
    let came = Arc::new(Mutex::new(Vec::new()));
    let consumer = {
        let (queue, came) = (queue.clone(), came.clone());
        started(move || -> Result<(), Fault> {
            let mut frames = Frames::new();
            loop {
                frames.clear();
                match dequeue(&queue, &mut frames, SETTLE)? {
                    Dequeued::Some(_) => came.lock().extend(frames.iter().map(origin_of)),
                    Dequeued::Empty => {}
                    Dequeued::Closed => return Ok(()),
                }
            }
        })
    };
    let producers: Vec<_> = (0..THREADS)
        .map(|thread| {
            let queue = queue.clone();
            started(move || {
                for number in 0..FRAMES {
                    let frame = [thread.to_le_bytes(), number.to_le_bytes()].concat();
                    loop {
                        match queue.enqueue(&frame) {
                            Ok(()) => break,
                            Err(EnqueueError::Full) => sleep(Duration::from_micros(100)),
                            Err(error) => return Err(format!("enqueue said {error:?}")),
                        }
                    }
                }
                Ok(())
            })
        })
        .collect();
    for producer in &producers {
        match producer.wait(TIME_MAX) {
            Some(Ok(result)) => result?,
            Some(Err(panic)) => return Err(format!("it panicked: {panic}").into()),
            None => return Err("a thread could not enqueue its frames in time".to_owned().into()),
        }
    }
    queue.close();
    match consumer.wait(SETTLE * 2) {
        Some(Ok(result)) => result?,
        Some(Err(panic)) => return Err(format!("it panicked: {panic}").into()),
        None => {
            hold!(came.lock().len() >= (THREADS * FRAMES) as usize, "after the close frames did not come out")
        }
    }
    judge(&came.lock(), &[FRAMES; THREADS as usize], LOST)
}

fn number_of(frame: &[u8]) -> u32 {
    frame.first_chunk().map_or(u32::MAX, |bytes| u32::from_le_bytes(*bytes))
}

/// The thread of a frame and its number.
fn origin_of(frame: &[u8]) -> (u32, u32) {
    (number_of(frame), frame.get(4..).map_or(u32::MAX, number_of))
}

/// Whether these are the frames 0 to n of each thread, each once and in order.
fn judge(came: &[(u32, u32)], sent: &[u32], tried: Clause) -> Result<(), Fault> {
    let fault = |clause, saw| Err(Fault { clause: Some(clause), saw });
    let mut by_thread: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for (thread, number) in came {
        by_thread.entry(*thread).or_default().push(*number);
    }
    for (thread, sent) in (0..).zip(sent) {
        let numbers = by_thread.remove(&thread).unwrap_or_default();
        let mut sorted = numbers.clone();
        sorted.sort_unstable();
        if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            return fault(DOUBLED, format!("frame {} came out twice", twice[0]));
        }
        if sorted.len() < *sent as usize {
            let first = (0..*sent).find(|number| sorted.binary_search(number).is_err());
            let missing = *sent as usize - sorted.len();
            return fault(
                LOST,
                format!("{missing} of {sent} frames did not come out, the first is {first:?}"),
            );
        }
        if sorted.last().is_some_and(|last| last >= sent) {
            return fault(WHOLE, "a frame came out that nobody enqueued".to_owned());
        }
        if let Some(pair) = numbers.windows(2).find(|pair| pair[0] > pair[1]) {
            return fault(ORDER, format!("frame {} came out before frame {}", pair[0], pair[1]));
        }
    }
    match by_thread.len() {
        0 => Ok(()),
        _ => fault(tried, "a frame came out that nobody enqueued".to_owned()),
    }
}
