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
use crate::listener::{Books, Control, GivenUp, Handlers};
use crate::origin::Origin;
use crate::os;
use crate::prepare::{Prepared, Steps};
use crate::queue::Dequeue;
use crate::record::Record;
use crate::sync::{Arc, AtomicU32, Loan, Ordering, nap};

use report::Fates;
use rounds::{Round, Rounds};
use translation::Translation;

/// How long the drop of a [`Listening`] waits for the end.
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

    /// Starts a thread that listens until [`Listening::stop`], or until the queue is closed.
    ///
    /// # Errors
    /// If the thread cannot be started, and [`is_config`](Error::is_config) if a handler wants a
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
        let listening = intake.clone();
        // Where there is no thread nobody has listened, and the queue is left as it is.
        engine::spawn(name, move || listening.listen()).map_err(Error::thread_spawn)?;
        Ok(Listening { intake })
    }

    /// A listener without a thread: [`Listening::poll`] hands out.
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
        Listening { intake: self.build(false) }
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
            has_thread,
        })
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("handlers", &self.handlers.len()).finish_non_exhaustive()
    }
}

/// A listener over a queue that runs. Its drop stops it, and waits up to 5 seconds for that.
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
        let intake = &*self.intake;
        intake.check_caller()?;
        let deadline = Deadline::after(timeout);
        let ticket = intake.control.draw(None);
        let _ = guarded(|| intake.queue.wake());
        if !intake.has_thread {
            let is_done = || intake.control.has_settled(ticket);
            intake.take_rounds(Duration::ZERO, deadline, is_done);
        }
        intake.control.wait_for(ticket, deadline).map_err(|_| Error::timeout())?;
        // One that came to its end may have left something behind.
        let is_done = intake.control.has_done(ticket) || intake.has_left_nothing();
        if is_done { Ok(()) } else { Err(Error::timeout()) }
    }

    /// Hands out, on the calling thread, what the queue gives without a wait, and returns how many records that were. For
    /// listeners made by [`Listener::manual`].
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
        match self.intake.take_round(Duration::ZERO, Deadline::after(Duration::MAX), &|| false)? {
            Round::Busy(records) => Ok(records),
            Round::Empty | Round::Failed => Ok(0),
            Round::Finished => Err(Error::not_running()),
        }
    }

    /// Closes the queue, hands out what is left in it, flushes and closes the handlers. A queue that fails meanwhile is asked
    /// again. At the deadline what was taken and not handed out is abandoned; what is in the queue stays there, and the report
    /// says that it was not drained. Again, from any thread, it tells the same.
    ///
    /// # Errors
    /// [`is_on_listener_thread`](Error::is_on_listener_thread) in a handler, which only begins the end, and
    /// [`is_forked`](Error::is_forked) in a child of `fork`.
    pub fn stop(&self, timeout: Duration) -> Result<IntakeReport, Error> {
        let intake = &*self.intake;
        let deadline = Deadline::after(timeout);
        intake.check_origin()?;
        intake.control.close();
        if let Err(panic) = guarded(|| intake.queue.close()) {
            intake.faults.report(format_args!("the queue panicked when it was closed: {panic}"));
        }
        intake.check_caller()?;
        if !intake.has_thread {
            // No other thread will give up for this one.
            intake.books.set_deadline(deadline);
            intake.take_rounds(Duration::MAX, deadline, || intake.control.has_ended());
        }
        if intake.control.wait_for_end(deadline).is_err() {
            intake.give_up();
        }
        Ok(intake.report())
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
        let Ok(report) = self.stop(EXIT_TIMEOUT) else { return };
        let faults = &self.intake.faults;
        if report.abandoned > 0 {
            let lost = report.abandoned;
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
    has_thread: bool,
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

    /// Takes rounds on the calling thread until something is done, or the deadline has passed, or there are no more.
    fn take_rounds(&self, wait_max: Duration, deadline: Deadline, is_done: impl Fn() -> bool) {
        while !is_done() && !deadline.has_passed() {
            match self.take_round(wait_max, deadline, &is_done) {
                Ok(Round::Failed) => {
                    let left = deadline.left().unwrap_or(NAP_AFTER_FAILURE);
                    self.control.back_off(NAP_AFTER_FAILURE.min(left));
                }
                Ok(Round::Busy(_) | Round::Empty) => {}
                Ok(Round::Finished) | Err(_) => return,
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

impl fmt::Debug for Intake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intake").field("fates", &self.fates).finish_non_exhaustive()
    }
}
