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

pub use report::IntakeReport;
pub use rounds::Prepared;

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
use crate::queue::Dequeue;
use crate::record::Record;
use crate::sync::{Arc, AtomicU32, Loan, Ordering, nap};

use report::Fates;
use rounds::{Prepare, Round, Rounds};

/// How long the drop of a [`Listening`] waits for the end.
const EXIT_TIMEOUT: Duration = Duration::from_secs(5);
/// So long a listener with nothing to do waits in its queue at once: what a handler could not let go is tried again.
const WAIT: Duration = Duration::from_secs(1);
/// After a queue failed, so long until it is asked again.
const NAP_AFTER_FAILURE: Duration = Duration::from_millis(100);
/// Between two looks whether another thread's round is over.
const ROUND_NAP: Duration = Duration::from_micros(200);

/// A listener over a queue, to be set up: Python's `QueueListener(queue, *handlers)`.
///
/// It takes portable records (docs/record-format.md) out of the queue, asks [`prepare`](Listener::prepare) what to do
/// with each, and hands them to its [handlers](Listener::handler). A frame that is no record is counted, told of, and costs
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
    prepare: Option<Prepare>,
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
            prepare: None,
            handlers: Vec::new(),
            faults: Faults::to_stderr(),
            thread_name: "treering-queue".to_owned(),
        }
    }

    /// Asked of each record before the handlers: whether it is kept or dropped, or cannot be prepared. A second one
    /// takes the place of the first. One that panics has failed for this record.
    pub fn prepare(mut self, prepare: impl FnMut(&Record<'_>) -> Prepared + Send + 'static) -> Self {
        self.prepare = Some(Box::new(prepare));
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
        let listening = self.build(true);
        let intake = listening.intake.clone();
        engine::spawn(name, move || intake.listen()).map_err(Error::thread_spawn)?;
        Ok(listening)
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
        self.build(false)
    }

    fn build(mut self, has_thread: bool) -> Listening {
        if self.handlers.iter_mut().filter_map(|handler| handler.lane.take()).count() > 0 {
            self.faults
                .report("a handler of a listener over a queue has no lane: it is called as all others");
        }
        let books = Books::new();
        let handlers = Handlers::new(self.handlers, &books);
        Listening {
            intake: Arc::new(Intake {
                queue: self.queue,
                control: Control::new(),
                books,
                faults: self.faults.of_this_process(),
                origin: Origin::here(),
                fates: Fates::default(),
                rounds: Loan::new(Rounds::new(handlers, self.prepare)),
                turning: AtomicU32::new(0),
                has_thread,
            }),
        }
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
    /// Waits until everything that was enqueued before this call has left the handlers. Under traffic without a pause it
    /// waits for a moment at which the queue is empty.
    ///
    /// # Errors
    /// [`is_timeout`](Error::is_timeout) if that took longer, [`is_on_listener_thread`](Error::is_on_listener_thread) in a
    /// handler, [`is_forked`](Error::is_forked) in a child of `fork`.
    pub fn flush(&self, timeout: Duration) -> Result<(), Error> {
        let intake = &*self.intake;
        intake.check_caller()?;
        let deadline = Deadline::after(timeout);
        let ticket = intake.control.draw(None);
        let _ = guarded(|| intake.queue.wake());
        while !intake.has_thread && intake.rounds_answered(deadline)? < ticket {}
        let waited = intake.control.wait_for(ticket, deadline);
        if waited.is_err() || intake.books.abandoned().is_some() { Err(Error::timeout()) } else { Ok(()) }
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
        match self.intake.take_round(Deadline::after(Duration::ZERO), Deadline::after(Duration::MAX))? {
            Round::Busy(records) => Ok(records),
            Round::Empty | Round::Failed => Ok(0),
            Round::Finished => Err(Error::not_running()),
        }
    }

    /// Closes the queue, hands out what is left in it, flushes and closes the handlers. At the deadline what was taken and
    /// not handed out is abandoned; what is in the queue stays there. Again, from any thread, it tells the same.
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
            while !deadline.has_passed() && !intake.control.has_finished() {
                if intake.take_round(deadline, deadline).is_err() {
                    break;
                }
            }
        }
        if intake.control.wait_for_end(deadline).is_err() {
            intake.give_up();
        }
        Ok(intake.report())
    }

    /// The books at this moment.
    pub fn stats(&self) -> IntakeReport {
        self.intake.report()
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if let Ok(report) = self.stop(EXIT_TIMEOUT)
            && report.abandoned > 0
        {
            let lost = report.abandoned;
            self.intake
                .faults
                .report(format_args!("{lost} records were abandoned as the listener was dropped"));
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
            while rounds.run(self) {}
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

    /// Takes a round on the calling thread, as soon as no other thread takes one. `until`: how long the queue may wait.
    fn take_round(&self, until: Deadline, deadline: Deadline) -> Result<Round, Error> {
        let mut rounds = loop {
            match self.rounds.try_borrow() {
                Some(rounds) => break rounds,
                None if deadline.has_passed() => return Err(Error::timeout()),
                None => nap(ROUND_NAP),
            }
        };
        if self.control.has_finished() {
            return Err(Error::not_running());
        }
        let _turning = Turning::here(self);
        let _here = engine::Listening::here();
        let round = rounds.take(self, until);
        if round != Round::Finished {
            let _: Result<(), GivenUp> = rounds.flush_held(self);
        }
        Ok(round)
    }

    /// Takes a round, and says which flushes are done.
    fn rounds_answered(&self, deadline: Deadline) -> Result<u64, Error> {
        if deadline.has_passed() {
            return Err(Error::timeout());
        }
        self.take_round(Deadline::after(Duration::ZERO), deadline)?;
        Ok(self.rounds.borrow().answered())
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
        self.fates.report(&self.books)
    }
}

impl fmt::Debug for Intake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intake").field("fates", &self.fates).finish_non_exhaustive()
    }
}

/// What a queue or a preparation failed with.
type Source = Box<dyn StdError + Send + Sync>;
