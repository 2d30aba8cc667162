//! A listener over any queue: takes frames out, makes records of them, prepares these and hands them to handlers.
//!
//! What hands out is what an engine's listener hands out with, `listener::Handlers`: the same boundary around each
//! handler, the same quarantine, the same books at a deadline. What is different is where records come from, and so the
//! first ledger: an [`IntakeReport`] says what became of each frame.
//!
//! One *round* asks the queue once and hands out what it gave. Rounds are taken by a thread of the listener's own, or by
//! whoever calls [`Listening::poll`].

mod report;
mod rounds;
mod spans;
#[cfg(test)]
mod tests;
mod translation;

pub use report::IntakeReport;

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use crate::clock::Deadline;
use crate::engine;
use crate::error::Error;
use crate::fault::{Faults, guarded};
use crate::handler::{Handler, Routed};
use crate::listener::{Books, Control, GivenUp, Handlers, Poller};
use crate::origin::Origin;
use crate::os;
use crate::prepare::{Prepared, Steps};
use crate::process::{self, Ends, LeftBehind};
use crate::queue::Dequeue;
use crate::record::Record;
use crate::sync::{Arc, AtomicU32, AtomicUsize, Loan, Ordering, nap};

use report::Fates;
use rounds::{Round, Rounds};
use translation::Translation;

/// How long the drop of a [`Listening`], or the end of the process, waits for the end, if nothing else is said.
const EXIT_TIMEOUT: Duration = Duration::from_secs(5);
/// So long a listener with nothing to do waits in its queue at once, at most: what a handler could not let go is tried again.
const WAIT: Duration = Duration::from_secs(1);
/// After a queue failed, so long until it is asked again.
const NAP_AFTER_FAILURE: Duration = Duration::from_millis(100);
/// Between two looks whether another thread's round is over.
const ROUND_NAP: Duration = Duration::from_micros(200);

/// A listener over a queue, to be set up: Python's `QueueListener(queue, *handlers)`.
///
/// It takes portable records (docs/record-format.md) out of the queue, asks [`prepare`](Listener::prepare) what to do
/// with each, and hands them to its [handlers](Listener::handler). Where a record could not be prepared the handlers get one of
/// `treering::loss` in its place. A frame that is no record is counted, told of, and costs
/// nothing else. What a handler of its own logs and finds its way back into its queue is an *echo*: it is counted and not
/// handed out, so it cannot go round for ever.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use treering::handler::{Capture, QueueHandler};
/// use treering::{Level, Listener, Prepared, queue::Locked};
///
/// # fn main() -> Result<(), treering::Error> {
/// let (queue, capture) = (Arc::new(Locked::bounded(1 << 20)), Capture::new());
/// let listening = Listener::new(queue.clone())
///     .prepare(|record| match record.target() {
///         "chatter" => Prepared::Drop("chatter"),
///         _ => Prepared::Keep,
///     })
///     .handler(capture.clone())
///     .start()?;
/// let (logger, guard) = treering::builder().handler(QueueHandler::new(queue)).start()?;
/// treering::info!(logger: logger, target: "chatter", "blah");
/// treering::warn!(logger: logger, "limit near");
/// guard.stop(Duration::from_secs(5))?;
///
/// let report = listening.stop(Duration::from_secs(5))?;
/// report.assert_balanced();
/// assert_eq!((report.received, report.dispatched, report.dropped["chatter"]), (2, 1, 1));
/// assert_eq!(capture.records()[0].level(), Level::Warn);
/// # Ok(())
/// # }
/// ```
#[must_use = "a listener does nothing until it is started"]
pub struct Listener {
    queue: Box<dyn Dequeue>,
    translation: Option<Translation>,
    steps: Steps,
    handlers: Vec<Routed>,
    faults: Faults,
    thread_name: String,
    exit_timeout: Duration,
}

impl Listener {
    /// A listener over this queue. It is the listener's until its end, which closes it; share it by an `Arc`.
    ///
    /// What only sends cannot be listened to:
    ///
    /// ```compile_fail
    /// # use treering::queue::{Enqueue, EnqueueError};
    /// struct OnlySends;
    /// impl Enqueue for OnlySends {
    ///     fn enqueue(&self, _frame: &[u8]) -> Result<(), EnqueueError> {
    ///         Ok(())
    ///     }
    /// }
    /// let listener = treering::Listener::new(OnlySends); // it has no `dequeue`
    /// ```
    pub fn new(queue: impl Dequeue + 'static) -> Self {
        Listener {
            queue: Box::new(queue),
            translation: None,
            steps: Steps::default(),
            handlers: Vec::new(),
            faults: Faults::to_stderr(),
            thread_name: "treering-queue".to_owned(),
            exit_timeout: EXIT_TIMEOUT,
        }
    }

    /// For queues whose frames are no portable records: appends to the second argument the one that a frame is, as a
    /// [`Draft`](crate::record::Draft) writes it. An error, or a panic, says that it is none: the frame is malformed. A second
    /// one takes the place of the first. An echo in a form of others is not known as one.
    ///
    /// ```
    /// use std::time::Duration;
    /// use treering::handler::Capture;
    /// use treering::queue::{Enqueue, Locked};
    /// use treering::record::{Draft, Timestamp};
    /// use treering::{Level, Listener};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (queue, capture) = (Locked::bounded(1 << 20), Capture::new());
    /// queue.enqueue(b"17 too hot")?;
    /// queue.enqueue(b"\xff")?;
    /// let listening = Listener::new(queue)
    ///     .translate(|frame, out| {
    ///         let (time, text) = std::str::from_utf8(frame)?.split_once(' ').ok_or("no time")?;
    ///         let time = Timestamp::from_nanos(time.parse()?);
    ///         Ok(Draft::new(Level::Info, time, "sensor", text).write_portable(out)?)
    ///     })
    ///     .handler(capture.clone())
    ///     .error_hook(|_| {}) // told there: "a frame of 1 bytes is refused: invalid utf-8 sequence …"
    ///     .start()?;
    /// let report = listening.stop(Duration::from_secs(5))?;
    /// assert_eq!((report.dispatched, report.malformed), (1, 1));
    /// assert_eq!(capture.records()[0].message(), "too hot");
    /// # Ok(())
    /// # }
    /// ```
    pub fn translate(
        mut self,
        translate: impl FnMut(&[u8], &mut Vec<u8>) -> Result<(), Box<dyn StdError + Send + Sync>> + Send + 'static,
    ) -> Self {
        self.translation = Some(Translation::new(translate));
        self
    }

    /// Asked of each record before the handlers: whether it is kept, changed or dropped, or cannot be prepared. Further
    /// ones are asked in order, each of what those before it left. One that panics has failed for this record. See
    /// [`prepare`](mod@crate::prepare), also for steps that are there already.
    pub fn prepare(mut self, step: impl FnMut(&Record<'_>) -> Prepared + Send + 'static) -> Self {
        self.steps.push(step);
        self
    }

    /// One handler more, called in this order for each batch.
    pub fn handler(mut self, handler: impl Handler + 'static) -> Self {
        self.handlers.push(Routed::of(handler));
        self
    }

    /// Where the listener's own faults go, as [`Builder::error_hook`](crate::Builder::error_hook) says. Default: a line on
    /// stderr.
    pub fn error_hook(mut self, hook: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.faults = Faults::new(Box::new(hook));
        self
    }

    /// The name of its thread, of which the system shows 15 bytes. Default: `treering-queue`.
    pub fn thread_name(mut self, name: impl Into<String>) -> Self {
        self.thread_name = name.into();
        self
    }

    /// How long the end of the process, or the drop of the [`Listening`], may wait for what is in the queue to leave.
    ///
    /// Default: 5 s.
    ///
    /// ```
    /// use treering::{Listener, queue::Locked};
    /// let listener = Listener::new(Locked::bounded(1 << 20)).exit_timeout(std::time::Duration::from_secs(1));
    /// ```
    pub fn exit_timeout(mut self, timeout: Duration) -> Self {
        self.exit_timeout = timeout;
        self
    }

    /// Starts a thread that listens until [`Listening::stop`], until the queue is closed, or until the process ends: then it is
    /// stopped behind all engines, see [`Listening`].
    ///
    /// # Errors
    /// [`is_io`](Error::is_io) if the thread cannot be started, or the system does not tell of the process's end; and [`is_config`](Error::is_config) if a handler wants a
    /// [lane](Handler::lane).
    pub fn start(self) -> Result<Listening, Error> {
        if self.thread_name.contains('\0') {
            return Err(Error::config("thread_name holds a NUL, which no thread's name may"));
        }
        if self.handlers.iter().any(|handler| handler.lane.is_some()) {
            return Err(Error::config(
                "a handler of a listener over a queue has no lane: give it a queue and a listener of its own",
            ));
        }
        let name = self.thread_name.clone();
        let intake = self.build(true);
        process::end_with_process(&intake)?;
        let listening = intake.clone();
        // Where there is no thread nobody has listened, and the queue is left as it is.
        engine::spawn(name, move || listening.listen()).map_err(Error::thread_spawn)?;
        Ok(Listening { intake })
    }

    /// A listener without a thread: [`Listening::poll`] hands out. The end of the process stops it, too, on the thread that ends it.
    ///
    /// ```
    /// use treering::{Listener, queue::{Enqueue, Locked}};
    /// # fn main() -> Result<(), treering::Error> {
    /// let listening = Listener::new(Locked::bounded(1 << 20)).manual();
    /// assert_eq!(listening.poll()?, 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn manual(self) -> Listening {
        let intake = self.build(false);
        if let Err(error) = process::end_with_process(&intake) {
            intake.faults.report(format_args!("the end of the process will not stop a listener: {error}"));
        }
        Listening { intake }
    }

    fn build(mut self, has_thread: bool) -> Arc<Intake> {
        if self.handlers.iter_mut().filter_map(|handler| handler.lane.take()).count() > 0 {
            self.faults
                .report("a handler of a listener over a queue has no lane: it is called as all others");
        }
        let books = Books::new();
        let handlers = Handlers::new(self.handlers, &books);
        Arc::new(Intake {
            queue: self.queue,
            control: Control::new(),
            books,
            faults: self.faults.of_this_process(),
            origin: Origin::here(),
            fates: Fates::default(),
            rounds: Loan::new(Rounds::new(handlers, self.translation, self.steps)),
            turning: AtomicU32::new(0),
            wanting: AtomicUsize::new(0),
            poller: Poller::default(),
            has_thread,
            exit_timeout: self.exit_timeout,
        })
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("handlers", &self.handlers.len()).finish_non_exhaustive()
    }
}

/// A listener over a queue that runs. Its drop stops it, and waits up to 5 seconds for that, or what
/// [`exit_timeout`](Listener::exit_timeout) says.
///
/// So does the end of the process, wherever this is kept: by a return from `main`, by `exit`, by a signal that
/// `stop_on_signals` waits for. Engines are stopped first, so that what they have put into the queue is there; then listeners,
/// the one that was started last first. Of two in a chain, where one puts what it gets into the queue of the other, start the
/// latter first. What the deadline leaves behind is told of on stderr.
#[derive(Debug)]
#[must_use = "dropping it stops the listener"]
pub struct Listening {
    intake: Arc<Intake>,
}

impl Listening {
    /// Waits until everything that was enqueued before this call has left the handlers: until the queue is empty once, or has
    /// given as many frames as it said that there are ([`Dequeue::backlog`]). A queue that fails has said nothing: the flush
    /// goes on when it works again. After the end it says whether everything had left.
    ///
    /// # Errors
    /// [`is_timeout`](Error::is_timeout) if that took longer, or if the listener came to its end and left something behind,
    /// [`is_on_listener_thread`](Error::is_on_listener_thread) in a
    /// handler, [`is_forked`](Error::is_forked) in a child of `fork`.
    pub fn flush(&self, timeout: Duration) -> Result<(), Error> {
        self.intake.flush(timeout)
    }

    /// Hands out, on the calling thread, what the queue gives without a wait, and returns how many records that were. For
    /// listeners made by [`Listener::manual`]. Beside a [`wait`](Listening::wait) on another thread it takes its turn.
    ///
    /// From then on, until another thread polls or the listener is stopped, the calling thread is one that may have to make room
    /// in the queue. Its log calls do not wait for room, in no queue: where they would, by
    /// [`Overflow::block`](crate::Overflow::block), [`block_forever`](crate::Overflow::block_forever) or a policy of yours, the
    /// record is dropped and counted as full.
    ///
    /// # Errors
    /// [`is_config`](Error::is_config) if the listener has a thread for it,
    /// [`is_on_listener_thread`](Error::is_on_listener_thread) in a handler, and
    /// [`is_not_running`](Error::is_not_running) after the end.
    pub fn poll(&self) -> Result<usize, Error> {
        if self.intake.has_thread {
            return Err(Error::config("poll() is for listeners made by manual(); this one has a thread"));
        }
        self.intake.check_caller()?;
        match self.intake.poll()? {
            Round::Busy(records) => Ok(records),
            Round::Empty | Round::Failed => Ok(0),
            Round::Finished => Err(Error::not_running()),
        }
    }

    /// Closes the queue, hands out what is left in it, flushes and closes the handlers. A queue that fails meanwhile is asked
    /// again. At the deadline what was taken and not handed out is abandoned; what is in the queue stays there, and the report
    /// says that it was not drained. One without a thread takes a round on the calling thread, however short the time. Again, from
    /// any thread, it tells the same.
    ///
    /// # Errors
    /// [`is_on_listener_thread`](Error::is_on_listener_thread) in a handler, which only begins the end, and
    /// [`is_forked`](Error::is_forked) in a child of `fork`.
    pub fn stop(&self, timeout: Duration) -> Result<IntakeReport, Error> {
        self.intake.stop(timeout)
    }

    /// Waits until the listener comes to its end by itself, because its queue was closed elsewhere, or because another thread
    /// stops it. Closes nothing. One without a thread of its own hands out meanwhile, on the calling thread.
    ///
    /// # Errors
    /// [`is_timeout`](Error::is_timeout) if it goes on, [`is_on_listener_thread`](Error::is_on_listener_thread) in a handler, and
    /// [`is_forked`](Error::is_forked) in a child of `fork`.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Duration;
    /// use treering::{Listener, queue::{Dequeue, Locked}};
    ///
    /// # fn main() -> Result<(), treering::Error> {
    /// let queue = Arc::new(Locked::bounded(1 << 20));
    /// let listening = Listener::new(queue.clone()).start()?;
    /// assert!(listening.wait(Duration::from_millis(1)).unwrap_err().is_timeout());
    /// queue.close();
    /// assert!(listening.wait(Duration::from_secs(5))?.is_lossless());
    /// # Ok(())
    /// # }
    /// ```
    pub fn wait(&self, timeout: Duration) -> Result<IntakeReport, Error> {
        let intake = &*self.intake;
        intake.check_caller()?;
        let deadline = Deadline::after(timeout);
        if !intake.has_thread {
            intake.take_rounds(Duration::MAX, deadline, || intake.control.has_ended());
        }
        intake.control.wait_for_end(deadline).map_err(|_| Error::timeout())?;
        Ok(intake.report())
    }

    /// The books at this moment.
    pub fn stats(&self) -> IntakeReport {
        self.intake.report()
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let Ok(report) = self.stop(self.intake.exit_timeout) else { return };
        let faults = &self.intake.faults;
        let lost = report.left_behind();
        if lost > 0 {
            faults.report(format_args!("{lost} records were abandoned as the listener was dropped"));
        }
        if report.undrained {
            faults.report(
                "a listener was dropped and its queue did not come to its end: frames may be left in it",
            );
        }
    }
}

/// What the threads of a listener share.
struct Intake {
    queue: Box<dyn Dequeue>,
    control: Control,
    books: Books,
    faults: Faults,
    /// In a child of `fork` nothing of this may be used.
    origin: Origin,
    fates: Fates,
    rounds: Loan<Rounds>,
    /// The kernel's number of the thread that takes a round now, or 0.
    turning: AtomicU32,
    /// Threads that want to poll, and wait for the round of another one.
    wanting: AtomicUsize,
    poller: Poller,
    has_thread: bool,
    exit_timeout: Duration,
}

/// The listener knows which thread takes its round as long as this lives.
struct Turning<'a>(&'a Intake);

impl<'a> Turning<'a> {
    fn here(intake: &'a Intake) -> Self {
        intake.turning.store(os::thread_id(), Ordering::Relaxed);
        Turning(intake)
    }
}

impl Drop for Turning<'_> {
    fn drop(&mut self) {
        self.0.turning.store(0, Ordering::Relaxed);
    }
}

impl Intake {
    /// The listener's own thread.
    fn listen(&self) {
        let _turning = Turning::here(self);
        let _here = engine::Listening::here();
        let work = guarded(|| {
            let mut rounds = self.rounds.borrow();
            rounds.spans.begin();
            loop {
                match rounds.take_and_wait(self) {
                    Round::Finished => break,
                    Round::Failed => self.control.back_off(NAP_AFTER_FAILURE),
                    Round::Busy(_) | Round::Empty => {}
                }
            }
        });
        if let Err(panic) = work {
            self.books.count_listener_panic();
            self.faults.report(format_args!(
                "a bug in treering: a queue's listener panicked and ends here: {panic}"
            ));
        }
        if !self.control.has_finished() {
            self.give_up();
            self.finish();
        }
    }

    fn flush(&self, timeout: Duration) -> Result<(), Error> {
        self.check_caller()?;
        let deadline = Deadline::after(timeout);
        let ticket = self.control.draw(None);
        let _ = guarded(|| self.queue.wake());
        if !self.has_thread {
            self.poller.be_here_if_nowhere();
            self.take_rounds(Duration::ZERO, deadline, || self.control.has_settled(ticket));
        }
        self.control.wait_for(ticket, deadline).map_err(|_| Error::timeout())?;
        // One that came to its end may have left something behind.
        let is_done = self.control.has_done(ticket) || self.has_left_nothing();
        if is_done { Ok(()) } else { Err(Error::timeout()) }
    }

    fn stop(&self, timeout: Duration) -> Result<IntakeReport, Error> {
        let deadline = Deadline::after(timeout);
        self.check_origin()?;
        self.control.close();
        self.poller.end();
        if let Err(panic) = guarded(|| self.queue.close()) {
            self.faults.report(format_args!("the queue panicked when it was closed: {panic}"));
        }
        self.check_caller()?;
        if !self.has_thread {
            let has_ended = || self.control.has_ended();
            if timeout.is_zero() {
                // Under a deadline that has passed nothing would be handed out.
                let _ = self.take_round(Duration::ZERO, deadline, &has_ended);
            }
            // No other thread will give up for this one.
            self.books.set_deadline(deadline);
            self.take_rounds(Duration::MAX, deadline, has_ended);
        }
        if self.control.wait_for_end(deadline).is_err() {
            self.give_up();
        }
        Ok(self.report())
    }

    /// Takes a round that does not wait, between two of another thread's that takes many.
    fn poll(&self) -> Result<Round, Error> {
        self.poller.be_here();
        self.wanting.fetch_add(1, Ordering::Relaxed);
        if self.turning.load(Ordering::Relaxed) != 0 {
            let _ = guarded(|| self.queue.wake()); // that one may wait
        }
        let round = self.take_round(Duration::ZERO, Deadline::after(Duration::MAX), &|| false);
        self.wanting.fetch_sub(1, Ordering::Relaxed);
        round
    }

    /// Takes rounds on the calling thread, one at least, until something is done, or the deadline has passed, or there are no
    /// more.
    fn take_rounds(&self, wait_max: Duration, deadline: Deadline, is_done: impl Fn() -> bool) {
        let is_over = || is_done() || deadline.has_passed();
        while !is_done() {
            match self.take_round(wait_max, deadline, &is_done) {
                Ok(Round::Failed) => {
                    let left = deadline.left().unwrap_or(NAP_AFTER_FAILURE);
                    self.control.back_off(NAP_AFTER_FAILURE.min(left));
                }
                Ok(Round::Busy(_) | Round::Empty) => {}
                Ok(Round::Finished) | Err(_) => return,
            }
            while self.wanting.load(Ordering::Relaxed) > 0 && !is_over() {
                nap(ROUND_NAP);
            }
            if is_over() {
                return;
            }
        }
    }

    /// Takes a round on the calling thread, as soon as no other thread takes one; none if another one's has done what is to be
    /// done. `wait_max`: how long the queue may wait.
    fn take_round(
        &self,
        wait_max: Duration,
        deadline: Deadline,
        is_done: &dyn Fn() -> bool,
    ) -> Result<Round, Error> {
        let mut rounds = loop {
            match self.rounds.try_borrow() {
                Some(rounds) => break rounds,
                None if is_done() => return Ok(Round::Empty),
                None if deadline.has_passed() => return Err(Error::timeout()),
                None => nap(ROUND_NAP),
            }
        };
        if self.control.has_finished() {
            return Err(Error::not_running());
        }
        let _turning = Turning::here(self);
        let _here = engine::Listening::here();
        if self.control.is_closing() {
            rounds.hurry();
        }
        rounds.spans.begin();
        let wait = wait_max.min(rounds.wait_max()).min(deadline.left().unwrap_or(Duration::MAX));
        let round = rounds.take(self, Deadline::after(wait));
        if round != Round::Finished {
            let _: Result<(), GivenUp> = rounds.flush_held(self);
        }
        rounds.spans.end();
        Ok(round)
    }

    /// Whether it came to its end with nothing left in the queue or with the handlers.
    fn has_left_nothing(&self) -> bool {
        self.fates.drained.load(Ordering::Acquire) && self.books.abandoned().is_none()
    }

    fn check_origin(&self) -> Result<(), Error> {
        if self.origin.is_here() { Ok(()) } else { Err(Error::forked()) }
    }

    fn check_caller(&self) -> Result<(), Error> {
        self.check_origin()?;
        let is_here = self.turning.load(Ordering::Relaxed) == os::thread_id();
        if is_here { Err(Error::on_listener_thread()) } else { Ok(()) }
    }

    /// The round for all tickets up to this one is done. Nobody awaits one, here and below: who asks blocks.
    fn answer(&self, ticket: u64, is_empty: bool) {
        drop(self.control.answer(ticket, is_empty));
    }

    /// What is not settled by now never will be.
    fn give_up(&self) {
        if self.origin.is_here() {
            self.books.give_up(|| self.fates.pending());
            drop(self.control.give_up());
        }
    }

    fn finish(&self) {
        if self.origin.is_here() {
            drop(self.control.finish());
        }
    }

    fn report(&self) -> IntakeReport {
        self.fates.report(&self.books, self.control.has_ended())
    }
}

/// At the end of the process.
impl Ends for Intake {
    fn is_over(&self) -> bool {
        !self.origin.is_here() || self.control.has_ended()
    }

    fn flush(&self, waited: Duration) {
        // In a handler this is an error, and nobody is left who could flush.
        let _ = self.flush(self.exit_timeout.saturating_sub(waited));
    }

    fn stop(&self, waited: Duration) -> LeftBehind {
        let report = self.stop(self.exit_timeout.saturating_sub(waited)).unwrap_or_else(|_| {
            // A handler called exit: nobody else will hand out.
            self.give_up();
            self.report()
        });
        LeftBehind { records: report.left_behind(), queues: report.undrained.into() }
    }
}

impl fmt::Debug for Intake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intake").field("fates", &self.fates).finish_non_exhaustive()
    }
}
