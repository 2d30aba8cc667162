//! What a program says it is doing: contexts with a name and fields, which the records of a thread or a task carry.
//!
//! ```
//! use treering::{context, info};
//!
//! # let user = "ann";
//! let request = context!("request", id = 7, %user); // fields as those of `info!`
//! request.in_scope(|| info!("served"));             // request{id=7 user=ann}: served
//! ```
//! A record carries its context's number, and nothing else of it. A context is told to its engine by a record of its own,
//! before the first record that is logged in it, by whichever thread; its name and its fields were copied when it was made.
//! Another record tells when the last [`Context`] of it is gone. The listener attaches names and fields to what was logged
//! meanwhile: [`Record::spans`](crate::Record::spans), and every format shows them.
//!
//! ```text
//!   Context ──► Opened ──► Opened, its parent ──► …        shared by all handles, guards and children
//!                 ▲
//!   a thread: [ entered, entered, … ]                      the last one is current, for each engine by itself
//! ```
//! What was lost is not guessed: a record whose context is unknown to the listener is marked, and never shows another one.
//! See [docs/context.md].
//!
//! [docs/context.md]: https://github.com/treering/treering/blob/main/docs/context.md

use std::cell::{Cell, RefCell};
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::Poll;

use crate::callsite::{Callsite, DICTIONARY};
use crate::engine::Engine;
use crate::level::Level;
use crate::record::encode::Arguments;
use crate::record::scope::Says;
use crate::record::told::{self, Nested, Told};
use crate::ring::Payload;
use crate::sync::{Arc, AtomicU64, Ordering};

use super::place::{self, Place, Within, busy};
use super::send::{self, OfContext};
use super::{Logger, fits, id_of};

/// Words of a context's fields at most: what opens it fits into the smallest ring.
const FIELDS_MAX_WORDS: usize = 160;

/// The number that the next span or context gets. 0 is no one's.
static NEXT_SPAN: AtomicU64 = AtomicU64::new(1);

thread_local! {
    static ENTERED: RefCell<Entries> = const { RefCell::new(Entries { all: Vec::new(), tickets: 0 }) };
    /// How many of them are of engines that calls name.
    static OF_INSTANCES: Cell<usize> = const { Cell::new(0) };
}

/// A number for a span, which no other one gets.
pub fn next_span() -> u64 {
    NEXT_SPAN.fetch_add(1, Ordering::Relaxed)
}

/// Something that a program does: a request, a job, a connection. [`context!`](macro@crate::context) makes it.
///
/// Cheap to clone and to send to other threads. It ends with its last clone, when no guard, no task and no context inside it
/// has it any more.
///
/// ```
/// # fn main() -> Result<(), treering::Error> {
/// # let capture = treering::handler::Capture::new();
/// # let (logger, guard) = treering::builder().handler(capture.clone()).start()?;
/// use treering::{context, info};
///
/// let request = context!(logger: logger, "request", id = 7);
/// let for_a_thread = request.clone();
/// std::thread::scope(|scope| {
///     scope.spawn(|| for_a_thread.in_scope(|| info!(logger: logger, "served")));
/// });
/// # guard.stop(std::time::Duration::from_secs(5))?;
/// # assert_eq!(capture.records()[0].spans()[0].name(), "request");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "records carry a context while it is entered"]
pub struct Context {
    /// `None` if the thread was in none, or if the macro's call interrupted treering itself.
    opened: Option<Arc<Opened>>,
}

impl Context {
    /// The one that calls of this thread without `logger:` are in, to be handed to another thread or to a task. If there is
    /// none, entering what is returned changes nothing.
    ///
    /// ```
    /// use treering::{Context, context, info};
    ///
    /// # fn spawn(_: impl Future<Output = ()> + Send + 'static) {}
    /// let _in = context!("request", id = 7).enter();
    /// spawn(Context::current().attach(async { info!("in the request still") }));
    /// ```
    pub fn current() -> Context {
        Context { opened: innermost(PROCESS) }
    }

    /// Records of this thread carry the context until the guard is dropped, then what they carried before.
    ///
    /// Guards may be dropped in any order: current is what was entered last, of what was not left. A guard that is held
    /// over an `await` would also be there for other tasks of the thread: it does not go to other threads, so that such a
    /// task cannot be sent to them; [`attach`](Context::attach) is for tasks.
    ///
    /// Cost: takes no lock, and allocates only while a thread is in more contexts at once than before. Not for signal
    /// handlers. While a thread ends, after the destructors of its own thread-locals, it is in no context, and enters none.
    ///
    /// ```
    /// # use treering::{context, info};
    /// let job = context!("job", number = 3);
    /// let _in = job.enter();
    /// info!("begun"); // job{number=3}: begun
    /// ```
    ///
    /// ```compile_fail
    /// let guard = treering::context!("job").enter();
    /// std::thread::spawn(move || drop(guard)); // it is this thread that is in it
    /// ```
    pub fn enter(&self) -> Entered {
        let ticket = self.opened.as_ref().and_then(|opened| {
            let entered = with_entries(|entries| entries.enter(opened));
            if entered == Some(None) {
                place::count_nested();
            }
            entered.flatten()
        });
        Entered { ticket, stays_here: PhantomData }
    }

    /// Runs `work` in the context.
    ///
    /// ```
    /// # use treering::{context, info};
    /// let rows = context!("query", table = "orders").in_scope(|| {
    ///     info!("asked"); // query{table=orders}: asked
    ///     12
    /// });
    /// assert_eq!(rows, 12);
    /// ```
    pub fn in_scope<R>(&self, work: impl FnOnce() -> R) -> R {
        let _in = self.enter();
        work()
    }

    /// A future that is in the context whenever it is polled, on whichever thread, and when it is dropped. Needs no runtime.
    ///
    /// ```
    /// # use treering::{context, info};
    /// async fn serve(id: u64) {
    ///     context!("request", id).attach(async {
    ///         info!("begun"); // request{id=7}: begun
    ///         std::future::ready(()).await;
    ///         info!("served"); // request{id=7}: served
    ///     }).await
    /// }
    /// ```
    pub fn attach<F: Future>(&self, future: F) -> Attached<F> {
        Attached { context: self.clone(), future: Some(future) }
    }

    /// One of the engine's that is named, or found when it closes. Runs the code that formats fields.
    pub(crate) fn new<A: Arguments>(whose: Whose, callsite: &'static Callsite, mut arguments: A) -> Context {
        let Some(id) = id_of_types::<A>(callsite) else {
            place::count_nested();
            return Context { opened: None };
        };
        let (mut words, mut is_cut) = (Vec::new(), false);
        send::encoded(&mut arguments, |arguments, scratch| {
            let fields = arguments.words();
            is_cut = fields > FIELDS_MAX_WORDS;
            words = vec![0; OPEN_WORDS + fields.min(FIELDS_MAX_WORDS)];
            let written = arguments.write_cut(scratch, &mut words[OPEN_WORDS..]);
            words.truncate(OPEN_WORDS + written);
        });
        let (number, parent) = (next_span(), innermost(whose.key()));
        let around = parent.as_ref().map_or(0, |parent| parent.number);
        let (says, _) = Says::Opens { id: number, parent: around }.words();
        words[..OPEN_WORDS].copy_from_slice(&says);
        let (level, words, told) = (callsite.level(), words.into(), Told::none());
        Context { opened: Some(Arc::new(Opened { number, id, level, whose, parent, words, is_cut, told })) }
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let opened = self.opened.as_ref();
        f.debug_struct("Context").field("id", &opened.map(|opened| opened.number)).finish_non_exhaustive()
    }
}

/// Words before the fields: the context's number, and its parent's.
const OPEN_WORDS: usize = 2;

/// The id of this callsite with arguments of these types. Takes a lock the first time. `None` if this call interrupts
/// treering itself.
fn id_of_types<A: Arguments>(callsite: &'static Callsite) -> Option<u32> {
    match callsite.latest() {
        latest if fits::<A>(latest) => Some(id_of(latest)),
        _ => busy(|_| DICTIONARY.identify(callsite, A::SCHEMA)),
    }
}

/// A context of calls that name this engine.
pub fn context_to<A: Arguments>(logger: &Logger, callsite: &'static Callsite, arguments: A) -> Context {
    Context::new(Whose::Instance(logger.engine.clone()), callsite, arguments)
}

/// The thread is in a context as long as this lives: see [`Context::enter`].
#[derive(Debug)]
#[must_use = "the context is left when this is dropped"]
pub struct Entered {
    /// `None` if nothing was entered.
    ticket: Option<u64>,
    stays_here: PhantomData<*const ()>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        // Not while the entries are borrowed: what closes may wait, and ask a policy of the user's, which may log.
        drop(with_entries(|entries| entries.leave(ticket)));
    }
}

pin_project_lite::pin_project! {
    /// A future in a context: see [`Context::attach`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless they are polled"]
    pub struct Attached<F> {
        context: Context,
        // `None` once it has ended.
        #[pin]
        future: Option<F>,
    }

    impl<F> PinnedDrop for Attached<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.future.is_some() {
                let _in = this.context.enter();
                this.future.set(None);
            }
        }
    }
}

impl<F: Future> Future for Attached<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, task: &mut std::task::Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        let _in = this.context.enter();
        let future = this.future.as_mut().as_pin_mut().expect("a future is not polled after its end");
        let polled = future.poll(task);
        if polled.is_ready() {
            this.future.set(None);
        }
        polled
    }
}

/// The engine that a context's records go to.
pub(crate) enum Whose {
    /// The process's, which this finds.
    Process(fn() -> Option<Arc<Engine>>),
    Instance(Arc<Engine>),
}

/// Stands for the process-wide engine where engines are told apart by number.
const PROCESS: u64 = 0;

impl Whose {
    fn key(&self) -> u64 {
        match self {
            Whose::Process(_) => PROCESS,
            Whose::Instance(engine) => engine.number,
        }
    }
}

/// What all handles of a context share.
struct Opened {
    number: u64,
    /// That of the callsite, for the records that open and close it.
    id: u32,
    level: Level,
    whose: Whose,
    parent: Option<Arc<Opened>>,
    /// What opens it, as it lies in a ring.
    words: Box<[u64]>,
    is_cut: bool,
    told: Told,
}

impl Opened {
    fn within(&self) -> Within {
        Within { number: self.number, told: self.told.engine() }
    }

    /// Has the engine of this number told of the context, and of those around it, by `send`.
    fn tell(&self, engine: u64, send: impl Fn(u32, Level, &dyn Payload) -> bool) {
        told::tell(self, engine, |opened| send(opened.id, opened.level, &opened.open()));
    }

    fn open(&self) -> OfContext<'_> {
        OfContext { words: &self.words, span_words: OPEN_WORDS, is_cut: self.is_cut }
    }

    /// Tells the engine that knows it that it is over.
    fn close(&self, told: u64) {
        let (words, span_words) = Says::Closes(self.number).words();
        let close = OfContext { words: &words[..span_words], span_words, is_cut: false };
        let (engine, place) = match &self.whose {
            // Mostly the thread has a ring of it: that needs no engine, and so no lock.
            Whose::Process(_)
                if place::engine_at_home() == Some(told)
                    && send::to_global_slowly(self.id, self.level, &close).is_some() =>
            {
                return;
            }
            Whose::Process(engine) => (engine(), Place::Global),
            Whose::Instance(engine) => (Some(engine.clone()), Place::Instance),
        };
        // One that has stopped has forgotten it.
        if let Some(engine) = engine.filter(|engine| engine.number == told && engine.is_open()) {
            send::slowly(&engine, place, self.id, self.level, &close);
        }
    }
}

impl Nested for Opened {
    fn told(&self) -> &Told {
        &self.told
    }

    fn around(&self) -> Option<&Self> {
        self.parent.as_deref()
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let told = self.told.engine();
        if told != 0 {
            self.close(told);
        }
        // One by one, however many there are.
        let mut next = self.parent.take();
        while let Some(mut parent) = next.and_then(Arc::into_inner) {
            next = parent.parent.take();
        }
    }
}

/// What a thread has entered and not left, in order.
struct Entries {
    all: Vec<(u64, Arc<Opened>)>,
    /// How many were given out.
    tickets: u64,
}

impl Entries {
    fn enter(&mut self, opened: &Arc<Opened>) -> u64 {
        self.tickets += 1;
        self.all.push((self.tickets, opened.clone()));
        match opened.whose {
            Whose::Process(_) => place::set_context(Some(opened.within())),
            Whose::Instance(_) => OF_INSTANCES.set(OF_INSTANCES.get() + 1),
        }
        self.tickets
    }

    fn leave(&mut self, ticket: u64) -> Option<Arc<Opened>> {
        let at = self.all.iter().rposition(|(other, _)| *other == ticket)?;
        let (_, opened) = self.all.remove(at);
        match opened.whose {
            Whose::Process(_) => place::set_context(self.innermost(PROCESS).map(|opened| opened.within())),
            Whose::Instance(_) => OF_INSTANCES.set(OF_INSTANCES.get() - 1),
        }
        Some(opened)
    }

    fn innermost(&self, key: u64) -> Option<&Arc<Opened>> {
        self.all.iter().rev().map(|(_, opened)| opened).find(|opened| opened.whose.key() == key)
    }
}

/// The thread ends: it is in nothing any more, whoever has a guard still.
impl Drop for Entries {
    fn drop(&mut self) {
        place::set_context(None);
        OF_INSTANCES.set(0);
    }
}

/// `Some(None)` if this call interrupts another one that changes them, `None` if the thread has none any more.
fn with_entries<R>(work: impl FnOnce(&mut Entries) -> R) -> Option<Option<R>> {
    ENTERED.try_with(|entries| entries.try_borrow_mut().ok().map(|mut entries| work(&mut entries))).ok()
}

/// What the thread is in, of the engine with this key.
fn innermost(key: u64) -> Option<Arc<Opened>> {
    with_entries(|entries| entries.innermost(key).cloned()).flatten().flatten()
}

/// Tells the process-wide engine of what the thread is in, unless it knows, if that takes no more than the thread's ring.
/// Returns the number of the engine if it knows now, or has counted that there was no room.
pub(crate) fn tell_by_ring() -> Option<u64> {
    let engine = place::engine_at_home()?;
    let is_settled = Cell::new(true);
    tell_of_process(engine, |id, level, open| {
        let is_placed = send::to_global_slowly(id, level, open);
        is_settled.set(is_placed.is_some());
        is_placed == Some(true)
    });
    is_settled.get().then_some(engine)
}

/// Tells the process-wide engine of what the thread is in, unless it knows.
pub(crate) fn tell(engine: &Arc<Engine>) {
    if engine.is_open() {
        tell_of_process(engine.number, |id, level, open| {
            send::slowly(engine, Place::Global, id, level, open)
        });
    }
}

fn tell_of_process(engine: u64, send: impl Fn(u32, Level, &dyn Payload) -> bool) {
    if let Some(opened) = innermost(PROCESS) {
        opened.tell(engine, send);
        place::set_context(Some(opened.within()));
    }
}

/// Whether the thread is in a context of an engine that calls name.
#[inline(always)]
pub(crate) fn is_in_one_of_instances() -> bool {
    OF_INSTANCES.get() != 0
}

/// The number of the context of this engine that the thread is in. The engine is told of it now if it was not.
pub(crate) fn of_instance(engine: &Arc<Engine>) -> Option<u64> {
    if !is_in_one_of_instances() {
        return None;
    }
    let key = engine.number;
    let within = with_entries(|entries| entries.innermost(key).map(|opened| opened.within()));
    let within = within.flatten().flatten()?;
    if within.told != key
        && engine.is_open()
        && let Some(opened) = innermost(key)
    {
        opened.tell(key, |id, level, open| send::slowly(engine, Place::Instance, id, level, open));
    }
    Some(within.number)
}
