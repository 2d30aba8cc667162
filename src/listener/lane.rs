//! A lane: the way to a handler that is called on a thread of its own, and what that thread does.
//!
//! ```text
//!  the listener's thread: `lanes`                  │ the lane's thread
//!                                                  │
//!  level, filter ─► room? ─► copy ─► orders       ═╪═► accepts ─► handle, flush, tend ─► close
//!                     │              records, flush,│
//!                     ▼              close          │
//!                 lost, and told     bounded, FIFO  │
//! ```
//! What is in it are *orders*, under one lock, which both sides hold for no longer than it takes to copy a batch; no caller
//! of the log ever comes near it. Records cross as they are, ids and all: the dictionary only grows.
//!
//! The handler has one ledger, under the book lock that the whole engine has. The listener writes `offered` and `queued`
//! when it hands a batch out, and the lane takes from `queued` what it calls the handler with. So at a deadline each record
//! has its fate, wherever it was, and after it the lane hands out nothing more.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bumpalo::Bump;

use crate::clock::{self, Deadline};
use crate::fault::{Faults, guarded};
use crate::handler::{Contents, Item, Texts, position_of, unpacked};
use crate::level::{Level, LevelFilter};
use crate::record::{Scope, Thread};
use crate::sync::{Arc, Condvar, Mutex, wait};

use super::books::{Books, GivenUp};
use super::change::Request;
use super::core::{Answer, Core};
use super::housekeeping::Housekeeping;
use super::runner::{Finish, Runner};

/// Without an order for this long, what the handler holds leaves.
const IDLE_AFTER: Duration = Duration::from_millis(1);
/// Between two looks of the listener, while it waits for a lane, whether a deadline has passed.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
/// Room for less severe records than WARN ends before that for all others, by this part of the lane.
const HEADROOM: usize = 8;
/// Empty parcels that are kept: one in the hands of each side, and one that is filled.
const SPARE_MAX: usize = 3;

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Lane {
    capacity: usize,
    state: Mutex<State>,
    /// There is an order. The lane's thread waits for it.
    news: Condvar,
    /// There is more room, or the lane has ended. The listener waits for it.
    progress: Condvar,
    /// Until the lane's thread fetches it.
    worker: Mutex<Option<Box<Worker>>>,
}

#[derive(Debug)]
struct State {
    orders: VecDeque<Order>,
    /// Of the records in it, also those that the handler is called with.
    bytes: usize,
    spare: Vec<Parcel>,
    /// What the handler itself said of its level last.
    max_level: LevelFilter,
    /// Until when the handler is left alone, and how many records it was spared meanwhile.
    rests_until: Option<Instant>,
    spared: u64,
    /// Its thread does no more.
    ended: bool,
}

/// What the listener asks of a lane.
#[derive(Debug)]
pub(super) enum Order {
    /// To call the handler with these.
    Records(Parcel),
    /// To flush it, for somebody who waits.
    Flush(Arc<Answer>),
    /// To come to its end. The handler was removed, by this request, unless its engine stops.
    Close(Option<Arc<Request>>),
}

/// Records of one batch.
#[derive(Default, Debug)]
pub(super) struct Parcel {
    items: Vec<Item<'static>>,
    words: Vec<u64>,
    threads: Vec<Arc<Thread>>,
    scopes: Vec<Arc<Scope>>,
    /// All of them are echoes, or none.
    echoes: bool,
}

impl Parcel {
    /// What such a record takes.
    pub(super) fn bytes_of(words: usize) -> usize {
        size_of::<Item<'static>>() + size_of::<u64>() * words
    }

    /// Appends a record.
    pub(super) fn push(
        &mut self,
        item: Item<'static>,
        arguments: &[u64],
        thread: &Arc<Thread>,
        scope: Option<&Arc<Scope>>,
    ) {
        let start = self.words.len();
        self.words.extend_from_slice(arguments);
        let is_it = |known: &Arc<Thread>| Arc::ptr_eq(known, thread);
        let thread = self.threads.iter().rposition(is_it).unwrap_or_else(|| {
            self.threads.push(thread.clone());
            self.threads.len() - 1
        });
        let scope = scope.and_then(|scope| position_of(scope, &mut self.scopes));
        self.items.push(Item { start, words: arguments.len(), thread, scope, ..item });
    }

    fn bytes(&self) -> usize {
        size_of_val(&*self.items) + size_of_val(&*self.words)
    }

    fn clear(&mut self) {
        self.items.clear();
        self.words.clear();
        self.threads.clear();
        self.scopes.clear();
    }
}

impl Lane {
    /// A lane that leads nowhere yet, for so many bytes of records.
    pub(super) fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Lane {
            capacity,
            state: Mutex::new(State {
                orders: VecDeque::new(),
                bytes: 0,
                spare: Vec::new(),
                max_level: LevelFilter::ALL,
                rests_until: None,
                spared: 0,
                ended: false,
            }),
            news: Condvar::new(),
            progress: Condvar::new(),
            worker: Mutex::new(None),
        })
    }

    /// It leads to this handler.
    pub(super) fn lead_to(&self, runner: Runner) {
        // If it panics it is asked again, where that is told of.
        if let Ok(level) = runner.own_level() {
            self.state.lock().max_level = level;
        }
        let housekeeping = Housekeeping::new();
        *self.worker.lock() = Some(Box::new(Worker { runner, texts: Texts::default(), housekeeping }));
    }

    // ---- the listener's side

    /// What the handler itself said of its level last.
    pub(super) fn max_level(&self) -> LevelFilter {
        self.state.lock().max_level
    }

    /// Whether its thread does no more.
    pub(super) fn has_ended(&self) -> bool {
        self.state.lock().ended
    }

    /// Bytes that records take in it. Only the lane's thread changes it until the next [`put`](Self::put).
    pub(super) fn used(&self) -> usize {
        self.state.lock().bytes
    }

    /// Whether a record of this level fits, where others take `used` bytes. An empty lane takes any.
    pub(super) fn takes(&self, used: usize, bytes: usize, level: Level) -> bool {
        let headroom = if level <= Level::Warn { 0 } else { self.capacity / HEADROOM };
        used == 0 || used + bytes + headroom <= self.capacity
    }

    /// Waits until half of it is empty; whether that came before the deadline.
    pub(super) fn wait_for_room(&self, deadline: Deadline, books: &Books) -> Result<bool, GivenUp> {
        let has_room = |state: &State| !state.ended && state.bytes <= self.capacity / 2;
        self.wait_until(|state| has_room(state) || state.ended || deadline.has_passed(), books)?;
        Ok(has_room(&self.state.lock()))
    }

    /// Waits until its thread does no more, or the books are closed.
    pub(super) fn wait_for_end(&self, books: &Books) -> Result<(), GivenUp> {
        self.wait_until(|state| state.ended, books)
    }

    fn wait_until(&self, is_so: impl Fn(&State) -> bool, books: &Books) -> Result<(), GivenUp> {
        loop {
            let state = self.state.lock();
            if is_so(&state) {
                return Ok(());
            }
            drop(wait(&self.progress, state, Some(LOOK_INTERVAL)));
            books.settle(|| {})?;
        }
    }

    /// Whether the handler is quarantined, and its back-off has not passed.
    pub(super) fn rests(&self) -> bool {
        self.state.lock().rests_until.is_some_and(|until| clock::now() < until)
    }

    /// So many records are not put in, as the handler rests. They are skipped.
    pub(super) fn spare(&self, records: u64) {
        self.state.lock().spared += records;
    }

    /// Puts the records in that `fill` gives; `false` if its thread does no more, and they are lost.
    pub(super) fn put(&self, echoes: bool, fill: impl FnOnce(&mut Parcel)) -> bool {
        let mut state = self.state.lock();
        if state.ended {
            return false;
        }
        let mut parcel = state.spare.pop().unwrap_or_default();
        parcel.echoes = echoes;
        fill(&mut parcel);
        state.bytes += parcel.bytes();
        #[cfg(treering_mutant = "put_in_front")]
        state.orders.push_front(Order::Records(parcel));
        #[cfg(not(treering_mutant = "put_in_front"))]
        state.orders.push_back(Order::Records(parcel));
        #[cfg(not(treering_mutant = "put_silently"))]
        self.news.notify_one();
        true
    }

    /// Asks for something else. If its thread does no more, it is done.
    pub(super) fn ask(&self, order: Order) {
        let mut state = self.state.lock();
        if state.ended {
            drop(state);
            return order.discard();
        }
        state.orders.push_back(order);
        self.news.notify_one();
    }

    // ---- its thread

    /// What its thread does: calls the handler until it is told to close it, or the books are closed. `set_echoing` is told
    /// whether what the handler is called with are echoes.
    pub(crate) fn run(&self, core: &Core, set_echoing: impl Fn(bool)) {
        let Some(mut worker) = self.worker.lock().take() else { return };
        let Core { books, faults, .. } = core;
        let removed_by = match guarded(|| worker.work(self, books, faults, &set_echoing)) {
            Ok(Ok(removed_by)) => removed_by,
            Ok(Err(GivenUp)) => None,
            Err(panic) => {
                books.count_listener_panic();
                let name = &worker.runner.counters.name;
                faults.report(format_args!(
                    "a bug in treering: the lane of handler {name} panicked and ends here: {panic}"
                ));
                // At a deadline it has its fate already.
                let _ = worker.runner.fail_all(books);
                None
            }
        };
        if !core.origin.is_here() {
            return std::mem::forget(worker); // a handler forked, and this is the child
        }
        // Files and sockets are closed when who waits for that goes on.
        let Worker { runner, .. } = *worker;
        #[cfg(treering_mutant = "end_before_drop")]
        self.end();
        runner.drop_handler(faults);
        removed_by.into_iter().for_each(|request| request.finish(Ok(())));
        self.end();
    }

    /// The next order, if one comes in time, and how many records the handler was spared before it.
    fn next(&self, timeout: Duration) -> (Option<Order>, u64) {
        let mut state = self.state.lock();
        if state.orders.is_empty() {
            state = wait(&self.news, state, Some(timeout));
        }
        (state.orders.pop_front(), std::mem::take(&mut state.spared))
    }

    /// The handler is through with these: there is room for others.
    fn give_back(&self, mut parcel: Parcel) {
        let mut state = self.state.lock();
        state.bytes -= parcel.bytes();
        if state.spare.len() < SPARE_MAX {
            parcel.clear();
            state.spare.push(parcel);
        }
        #[cfg(not(treering_mutant = "give_back_silently"))]
        self.progress.notify_one();
    }

    fn end(&self) {
        let mut state = self.state.lock();
        state.ended = true;
        let undone = std::mem::take(&mut state.orders);
        #[cfg(not(treering_mutant = "lane_ends_silently"))]
        self.progress.notify_one();
        drop(state);
        undone.into_iter().for_each(Order::discard);
    }
}

impl Order {
    /// It will not be met any more, which is as good: who waits for it need not.
    fn discard(self) {
        if let Order::Close(Some(request)) = self {
            request.finish(Ok(()));
        }
    }
}

/// What the lane's thread has to itself.
#[derive(Debug)]
struct Worker {
    runner: Runner,
    texts: Texts,
    housekeeping: Housekeeping,
}

impl Worker {
    /// Meets orders up to the one that says close, and returns what that has with it.
    fn work(
        &mut self,
        lane: &Lane,
        books: &Books,
        faults: &Faults,
        set_echoing: &impl Fn(bool),
    ) -> Result<Option<Arc<Request>>, GivenUp> {
        let mut is_idle = false;
        loop {
            let is_done = is_idle || !self.runner.holds_any();
            let (order, spared) = lane.next(if is_done { self.sleep_max() } else { IDLE_AFTER });
            self.runner.learn_skipped(spared);
            is_idle = order.is_none();
            match order {
                Some(Order::Records(parcel)) => {
                    set_echoing(parcel.echoes);
                    self.hand_out(&parcel, books, faults)?;
                    lane.give_back(parcel);
                }
                Some(Order::Flush(answer)) => {
                    // Somebody asked for this: what the handler says meanwhile may be heard.
                    set_echoing(false);
                    self.runner.finish(Finish::Flush, books, faults)?;
                    if self.runner.holds_any() {
                        answer.tell_held();
                    }
                }
                Some(Order::Close(removed_by)) => {
                    self.runner.end(removed_by.is_some(), books, faults)?;
                    return Ok(removed_by);
                }
                None => {}
            }
            self.runner.flush_if_due(is_idle, books, faults)?;
            self.keep_house(books, faults)?;
            self.tell_listener(lane, faults);
        }
    }

    /// How long it may sleep when there is nothing to do.
    fn sleep_max(&self) -> Duration {
        self.runner.sleep_max().min(self.housekeeping.left())
    }

    fn hand_out(&mut self, parcel: &Parcel, books: &Books, faults: &Faults) -> Result<(), GivenUp> {
        let arena = Bump::new();
        let (items, words) = unpacked(&parcel.items, &parcel.words, &arena);
        let (threads, scopes) = (&*parcel.threads, &*parcel.scopes);
        self.texts.begin();
        let contents = Contents { items, words, threads, scopes, texts: &self.texts };
        self.runner.select(contents, books, faults);
        let runner = &self.runner;
        books.settle(|| runner.take(items.len()))?;
        self.runner.deliver(contents, false, books, faults)
    }

    fn keep_house(&mut self, books: &Books, faults: &Faults) -> Result<(), GivenUp> {
        if !self.housekeeping.is_due() {
            return Ok(());
        }
        // Also how a lane with nothing to do learns that its engine is over.
        books.settle(|| {})?;
        self.runner.tend(books, faults)
    }

    /// Tells the listener which records the handler wants, and until when it is left alone.
    fn tell_listener(&self, lane: &Lane, faults: &Faults) {
        let level = self.runner.own_level();
        let mut state = lane.state.lock();
        state.rests_until = self.runner.rests_until();
        match level {
            Ok(level) => state.max_level = level,
            Err(text) => {
                drop(state);
                self.runner.tell_of_level(&text, faults);
            }
        }
    }
}
