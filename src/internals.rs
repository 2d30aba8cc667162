//! The engine in the hands of the models in `loom-tests`; exists under loom only.
//!
//! Loom cannot make atomics in constants, so thread-locals, statics and macros are left out of a model, and with them
//! `engine` and `logger`. What takes their place here is as thin as it can be: an [`Engine`] that is asked, a
//! [`Caller`] for each thread that logs, the [`Listening`] end in the model's main thread, and a [`Gate`]. Everything
//! they call is the engine's own: transport, rings, state word, control, listener, merge, books, dictionary.

#![allow(missing_docs, reason = "for the models, not for users")]

mod parts;
mod writer;

use std::task::Waker;
use std::time::Duration;

use crate::callsite::{
    Callsite, DISABLED, Dictionary, Judge, Metadata, NEW, Schema, Type, Verdicts, own_metadata,
};
use crate::clock::Deadline;
use crate::fault::Faults;
use crate::handler::{Handler, LaneOptions, Routed};
use crate::level::Level;
use crate::listener::{
    Books, Change, Control, Core, Entries, Filters, Handlers, Lane, Listener, Request, What,
};
use crate::origin::Origin;
use crate::overflow::{DropHook, Overflow, Policies, Reason};
use crate::record::Thread;
use crate::record::scope::Says;
use crate::record::told::{self, Nested};
use crate::ring::{Payload, Producer, Pushed, Refused, Shared, memory_factor};
use crate::stats::Report;
use crate::sync::{Arc, AtomicBool};
use crate::transport::{NoRing, Transport};
use crate::wake::Room;

use writer::{WRITER, Writer, Written};

pub use crate::listener::Wait;
pub use parts::{
    Grown, Ledger, Limits, Overwriting, Overwritten, Places, Sampled, WaitingRoom, WakeChannel,
    overwriting_ring,
};
pub use writer::Told;

/// Severe enough to need no headroom, so that rings can be tiny.
const LEVEL: Level = Level::Error;
const SCHEMA: Schema = Schema::Then(&Type::U64, &Schema::End);
static METADATA: Metadata<'static> = own_metadata!(Error, "model", &[], &[]);
static METADATA_OF_INSTANCE: Metadata<'static> =
    Metadata { instance: true, ..own_metadata!(Error, "model", &[], &[]) };

/// An engine, for whoever logs to it or asks something of it.
#[derive(Clone, Debug)]
pub struct Engine {
    core: Arc<Core>,
    written: Written,
    /// What [`Caller::log`] logs.
    id: u32,
}

impl Engine {
    /// An engine with one handler, and its listener. A record takes three words of a ring, a loss record nine.
    pub fn new(ring_words: usize, rings_max: usize, wait: Wait) -> (Engine, Listening) {
        Engine::with_policy(ring_words, rings_max, wait, Overflow::drop_newest())
    }

    /// As [`new`](Self::new), with this policy.
    pub fn with_policy(
        ring_words: usize,
        rings_max: usize,
        wait: Wait,
        policy: Overflow,
    ) -> (Engine, Listening) {
        Engine::make(ring_words, rings_max, wait, Policies::all(policy), Routed::of)
    }

    /// As [`new`](Self::new), but callers wait for room, in rings that drop their oldest for records of other levels.
    pub fn with_both(ring_words: usize, rings_max: usize, wait: Wait) -> (Engine, Listening) {
        let mut policies = Policies::all(Overflow::block_forever());
        policies.set_below(LEVEL, Overflow::drop_oldest());
        Engine::make(ring_words, rings_max, wait, policies, Routed::of)
    }

    /// As [`new`](Self::new), with its handler on a lane, whose thread is to be one of the model's.
    pub fn with_lane(
        ring_words: usize,
        rings_max: usize,
        wait: Wait,
        options: LaneOptions,
    ) -> (Engine, Listening, OnLane) {
        let on_lane = |writer: Writer| writer.lane_with(options);
        let policies = Policies::all(Overflow::drop_newest());
        let (engine, listening) = Engine::make(ring_words, rings_max, wait, policies, on_lane);
        let lane = listening.listener.lane().expect("its handler is on one");
        let core = engine.core.clone();
        (engine, listening, OnLane { core, lane })
    }

    fn make(
        ring_words: usize,
        rings_max: usize,
        wait: Wait,
        policies: Policies,
        route: impl FnOnce(Writer) -> Routed,
    ) -> (Engine, Listening) {
        let memory = rings_max * ring_words * 8 * memory_factor(&policies);
        let written = Written::new();
        let books = Books::new();
        let handlers = Handlers::new(vec![route(Writer { written: written.clone() })], &books);
        let sink = written.clone();
        let core = Arc::new(Core {
            number: 1,
            transport: Transport::new(ring_words * 8, memory, policies),
            control: Control::new(),
            books,
            origin: Origin::here(),
            faults: Faults::new(Box::new(move |fault| sink.look(|pages| pages.faults.push(fault.into())))),
            on_drop: DropHook::default(),
            echoing: AtomicBool::new(false),
        });
        // As long as the process lives, which under loom is one execution; nothing that loom counts hangs from it.
        let dictionary: &Dictionary = Box::leak(Box::new(Dictionary::new()));
        let gate = dictionary.resolve(Box::leak(Box::new(Callsite::new(&METADATA))), &SCHEMA);
        let id = (gate >> 32) as u32;
        let listener = Listener::new(core.clone(), handlers, dictionary, wait);
        (Engine { core, written, id }, Listening { listener })
    }

    /// The side of a thread that has not logged yet.
    pub fn caller(&self, thread: u32) -> Caller {
        Caller { engine: self.clone(), thread, place: Place::Fresh }
    }

    /// As `flush` of an engine with a listener thread.
    pub fn flush(&self) {
        let ticket = self.core.ask_for_flush();
        self.core.control.wait_for(ticket, never()).expect("loom has no time");
    }

    /// As [`flush`](Self::flush) of a task: the ticket to poll for.
    pub fn ask_for_flush(&self) -> u64 {
        self.core.ask_for_flush()
    }

    /// Whether the flush with this ticket is done; else `waker` is woken when it is.
    pub fn poll_flush(&self, ticket: u64, waker: Waker) -> bool {
        self.core.control.poll_for(ticket, waker).0.is_ready()
    }

    /// Whether the round for this ticket is done, however the engine ended.
    pub fn has_done(&self, ticket: u64) -> bool {
        self.core.control.has_done(ticket)
    }

    /// Puts another handler into the place of the one there is. Returns the same engine for who asks what that one got.
    pub fn replace_handler(&self) -> Engine {
        let after = Engine { written: Written::new(), ..self.clone() };
        let handler = Routed::of(Writer { written: after.written.clone() });
        let request = Request::new(Change { name: WRITER.into(), what: What::Replace(handler) });
        let ticket = self.core.ask_for(request.clone());
        self.core.control.wait_for(ticket, never()).expect("loom has no time");
        request.outcome().expect("it is met before its ticket is answered").expect("there is one to replace");
        after
    }

    /// The handler panics when it gets this number, once.
    pub fn panic_at(&self, number: u64) {
        self.written.look(|pages| pages.panic_at = Some(number));
    }

    /// As `stop` of an engine with a listener thread, up to the report.
    pub fn stop(&self) {
        self.core.close();
        self.core.wait_for_end(never()).expect("loom has no time");
    }

    /// What the handler was given so far, in order: thread and number.
    pub fn written(&self) -> Vec<(u32, u64)> {
        self.written.look(|pages| pages.records.clone())
    }

    /// What the handler had been given when it was flushed last.
    pub fn flushed(&self) -> Vec<(u32, u64)> {
        self.written.look(|pages| pages.records[..pages.flushed].to_vec())
    }

    /// Whether the handler was dropped.
    pub fn has_dropped(&self) -> bool {
        self.written.look(|pages| pages.is_dropped)
    }

    /// The engine takes no more records; nobody waits for its listener.
    pub fn close(&self) {
        self.core.close();
    }

    /// As a `stop` whose deadline has passed.
    pub fn give_up(&self) {
        self.core.give_up();
    }

    /// How many records loss records told of.
    pub fn told_lost(&self) -> u64 {
        self.written.look(|pages| pages.told_lost.iter().map(|told| told.records).sum())
    }

    /// What loss records told of, in order.
    pub fn losses(&self) -> Vec<Told> {
        self.written.look(|pages| pages.told_lost.clone())
    }

    /// The books at this moment.
    pub fn report(&self) -> Report {
        self.core.report()
    }

    /// The report that `stop` would have returned, once the model's threads were joined.
    pub fn settle(&self, mut listening: Listening) -> Report {
        if self.core.books.abandoned().is_none() {
            listening.listener.count_late();
        }
        self.written.look(|pages| assert_eq!(pages.faults.len(), pages.panics, "{:?}", pages.faults));
        assert!(!self.core.transport.shared.state.is_parked(), "it is awake, and would be woken in vain");
        assert!(!self.core.transport.is_awaited(), "nobody waits for room, and would be woken in vain");
        let report = self.core.report();
        assert_eq!(report.rings, listening.listener.rings(), "rings that nobody would drain");
        report
    }
}

/// The listener, which the model's main thread runs.
#[derive(Debug)]
pub struct Listening {
    listener: Listener,
}

impl Listening {
    /// As the listener's thread does, until the engine was stopped.
    pub fn run(&mut self) {
        self.listener.run();
    }

    /// Turns and parks like [`run`](Self::run), until the handler was given so many records.
    pub fn run_until_written(&mut self, engine: &Engine, records: usize) {
        self.listener.run_until(|_| engine.written().len() >= records);
    }

    /// Turns and parks like [`run`](Self::run), until so many flushes were answered.
    pub fn run_until_flushed(&mut self, flushes: u64) {
        self.listener.run_until(|answered| answered >= flushes);
    }

    /// Turns and parks like [`run`](Self::run), until a ring waits for its next thread.
    pub fn run_until_reclaimed(&mut self, engine: &Engine) {
        self.listener.run_until(|_| engine.core.transport.free_rings() > 0);
    }

    /// One turn.
    pub fn turn(&mut self) {
        self.listener.turn();
    }
}

/// The lane's end of an engine with a lane.
#[derive(Debug)]
pub struct OnLane {
    core: Arc<Core>,
    lane: Arc<Lane>,
}

impl OnLane {
    /// As the lane's thread does, until the engine was stopped.
    pub fn run(self) {
        self.lane.run(&self.core, |_| ());
    }
}

/// A thread that logs: the way of `logger::send`, without its thread-locals.
#[derive(Debug)]
pub struct Caller {
    engine: Engine,
    thread: u32,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Fresh,
    Own(Box<Producer>),
    Shared,
    Refused,
}

/// What became of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(clippy::exhaustive_enums, reason = "models look at every fate")]
pub enum Fate {
    /// It is in a ring. `before_close` if its thread saw the engine open after the commit.
    Taken {
        before_close: bool,
    },
    Late,
    Dropped,
}

impl Caller {
    /// Asks for a ring.
    pub fn register(&mut self) {
        self.place = match self.engine.core.transport.register(Thread::new(self.thread, None)) {
            Ok(producer) => Place::Own(Box::new(producer)),
            Err(NoRing::Full) => Place::Shared,
            Err(NoRing::Closed) => Place::Refused,
        };
    }

    /// Whether the thread has a ring of its own, and which.
    pub fn ring(&self) -> Option<usize> {
        if let Place::Own(producer) = &self.place { Some(producer.index()) } else { None }
    }

    /// Whether it was told that the engine has stopped when it asked for a ring.
    pub fn is_refused(&self) -> bool {
        matches!(self.place, Place::Refused)
    }

    pub fn log(&mut self, number: u64) -> Fate {
        self.send(&Words { words: &[number], span_words: 0 })
    }

    /// Opens a span, in the span `around` or in none.
    pub fn open(&mut self, span: u64, around: u64) -> Fate {
        self.say(Says::Opens { id: span, parent: around }, &[])
    }

    pub fn close(&mut self, span: u64) -> Fate {
        self.say(Says::Closes(span), &[])
    }

    /// As [`log`](Self::log), in this span.
    pub fn log_in(&mut self, span: u64, number: u64) -> Fate {
        self.say(Says::In(span), &[number])
    }

    /// As the first call in a context does, before its record.
    pub fn tell(&mut self, context: &Context) {
        let engine = self.engine.core.number;
        told::tell(context, engine, |context| {
            let around = context.around().map_or(0, |around| around.0.number);
            matches!(self.open(context.0.number, around), Fate::Taken { .. })
        });
    }

    /// Whether somebody did so.
    pub fn has_told(&self, context: &Context) -> bool {
        context.told().engine() == self.engine.core.number
    }

    fn say(&mut self, says: Says, arguments: &[u64]) -> Fate {
        let (words, span_words) = says.words();
        self.send(&Words { words: &[&words[..span_words], arguments].concat(), span_words })
    }

    fn send(&mut self, payload: &Words<'_>) -> Fate {
        if matches!(self.place, Place::Fresh) {
            self.register();
        }
        let core = self.engine.core.clone();
        let state = &core.transport.shared.state;
        let mut placed = self.attempt(payload);
        if placed == Err(Refused::NoRoom)
            && core.transport.shared.policies.at(LEVEL).waits()
            && let Some(room) = self.room()
        {
            state.wake();
            let attempt = || Some(self.attempt(payload)).filter(|placed| *placed != Err(Refused::NoRoom));
            placed = room.wait(never(), attempt).expect("loom has no time");
        }
        match placed {
            Ok(bits) => {
                if bits != 0 {
                    state.attend(bits);
                }
                #[cfg(treering_mutant = "late_by_caller")]
                if let (true, Place::Own(ring)) = (state.is_closed(), &mut self.place) {
                    ring.refuse_late(LEVEL);
                }
                Fate::Taken { before_close: bits == 0 }
            }
            Err(refused) => {
                match (&mut self.place, refused) {
                    (Place::Own(ring), Refused::NoRoom) => ring.count_drop(LEVEL, Reason::Full),
                    (Place::Own(ring), Refused::Closed) => ring.refuse_late(LEVEL),
                    _ => core.transport.outside.late.add_one_shared(LEVEL),
                }
                if refused == Refused::Closed { Fate::Late } else { Fate::Dropped }
            }
        }
    }

    /// Where it waits for room.
    fn room(&self) -> Option<Arc<Room>> {
        match &self.place {
            Place::Own(ring) => Some(ring.room().clone()),
            Place::Shared => self.engine.core.transport.with_shared(|ring| ring.room().clone()),
            Place::Fresh | Place::Refused => None,
        }
    }

    fn attempt(&mut self, payload: &Words<'_>) -> Result<u32, Refused> {
        let Engine { core, id, .. } = &self.engine;
        match &mut self.place {
            Place::Own(ring) => {
                ring.push(*id, LEVEL, payload).or_else(|_| ring.push_slowly(*id, LEVEL, payload, None))
            }
            Place::Shared => {
                let pushed = core.transport.push_shared(*id, LEVEL, payload, self.thread)?;
                Ok(if let Pushed::Placed(bits) = pushed { bits } else { 0 })
            }
            Place::Fresh | Place::Refused => Err(Refused::Closed),
        }
    }

    /// What the thread has seen by now is what everybody sees who reads a later time, see `Ticker`.
    pub fn share_clock(&self) {
        self.engine.core.transport.shared.ticker.is_the_same_for_all();
    }

    /// The thread ends.
    pub fn leave(self) {
        if let Place::Own(producer) = self.place {
            self.engine.core.transport.release(*producer);
        }
    }
}

/// A context, as `logger::context` makes one: without fields, and without the thread-locals in which one is entered.
#[derive(Clone, Debug)]
pub struct Context(Arc<Opened>);

#[derive(Debug)]
struct Opened {
    number: u64,
    around: Option<Context>,
    told: told::Told,
}

impl Context {
    pub fn new(number: u64, around: Option<&Context>) -> Self {
        Context(Arc::new(Opened { number, around: around.cloned(), told: told::Told::none() }))
    }
}

impl Nested for Context {
    fn told(&self) -> &told::Told {
        &self.0.told
    }

    fn around(&self) -> Option<&Self> {
        self.0.around.as_ref()
    }
}

/// A callsite in a dictionary of its own, and one engine's filter.
#[derive(Clone, Debug)]
pub struct Gate {
    dictionary: &'static Dictionary,
    callsite: &'static Callsite,
    verdicts: Arc<Verdicts>,
    filters: Arc<Filters>,
}

/// The engine of a [`Gate`], which is the global one.
const ENGINE: u64 = 1;
/// Another one, which allows everything: it keeps the gate of a call open that names an engine.
const NEIGHBOUR: u64 = 2;

impl Gate {
    /// A callsite that has not run yet, with `logger:` or without.
    pub fn new(names_engine: bool, allowed: bool) -> Self {
        let metadata = if names_engine { &METADATA_OF_INSTANCE } else { &METADATA };
        let dictionary: &Dictionary = Box::leak(Box::new(Dictionary::new()));
        let verdicts = Arc::new(Verdicts::new());
        dictionary.join(ENGINE, judge(allowed), verdicts.clone(), true);
        dictionary.join(NEIGHBOUR, judge(true), Arc::new(Verdicts::new()), false);
        // Verdicts lie in chunks, which std's `OnceLock` publishes: loom does not see how, so the first one is made here.
        dictionary.resolve(Box::leak(Box::new(Callsite::new(&METADATA_OF_INSTANCE))), &SCHEMA);
        let filters = Arc::new(Filters::new(ENGINE, judge(allowed)));
        Gate { dictionary, callsite: Box::leak(Box::new(Callsite::new(metadata))), verdicts, filters }
    }

    /// A call, up to where its record would be written: whether it is enabled. The way of the macros and `emit`.
    pub fn call(&self) -> bool {
        let mut gate = self.callsite.gate();
        if gate == NEW && !self.dictionary.link(self.callsite) {
            return false;
        }
        if gate != DISABLED && gate as u32 != SCHEMA.hash() {
            gate = self.dictionary.resolve(self.callsite, &SCHEMA);
        }
        let id = (gate >> 32) as u32;
        gate != DISABLED && (!self.callsite.metadata().instance || self.verdicts.allows(id))
    }

    /// Whether a call finds its id in the gate, and need not take the dictionary lock.
    pub fn is_resolved(&self) -> bool {
        self.callsite.gate() as u32 == SCHEMA.hash()
    }

    /// Whether the listener finds what the id of an enabled call stands for.
    pub fn has_entry(&self) -> bool {
        Entries::new(self.dictionary).resolve((self.callsite.gate() >> 32) as u32).is_some()
    }

    pub fn reload(&self, allowed: bool) {
        self.dictionary.reload(ENGINE, judge(allowed));
    }

    /// As [`reload`](Self::reload), as an engine does it.
    pub fn set_filter(&self, allowed: bool) {
        self.filters.set(judge(allowed), self.dictionary);
    }

    /// Another filter, for a while that is over.
    pub fn set_filter_for_a_while(&self, allowed: bool) {
        self.filters.set_until(judge(allowed), Deadline::after(Duration::ZERO), self.dictionary);
    }

    /// As the listener does: the filter that lasts counts again.
    pub fn tend(&self) {
        self.filters.tend(self.dictionary);
    }

    /// What the filter that lasts says.
    pub fn lasting(&self) -> bool {
        self.filters.lasting().allows(self.callsite.metadata())
    }

    /// The engines end.
    pub fn leave(&self) {
        [ENGINE, NEIGHBOUR].into_iter().for_each(|engine| self.dictionary.leave(engine));
    }
}

#[expect(clippy::disallowed_types, reason = "loom's own way to an Arc of a trait object")]
fn judge(allowed: bool) -> Judge {
    Arc::from_std(std::sync::Arc::new(move |_: &Metadata<'_>| allowed))
}

fn never() -> Deadline {
    Deadline::after(Duration::MAX)
}

/// A model's record: what it says of spans, and a number.
struct Words<'a> {
    words: &'a [u64],
    span_words: usize,
}

#[expect(unsafe_code, reason = "see Payload")]
// SAFETY: copies the words that there are.
unsafe impl Payload for Words<'_> {
    fn words(&self) -> usize {
        self.words.len()
    }

    unsafe fn write(&self, to: *mut u64) {
        // SAFETY: the caller vouches for `words` words; a ring and the slice do not overlap.
        unsafe { to.copy_from_nonoverlapping(self.words.as_ptr(), self.words.len()) };
    }

    fn write_cut(&self, into: &mut [u64]) -> usize {
        let words = self.words.len().min(into.len());
        into[..words].copy_from_slice(&self.words[..words]);
        words
    }

    fn span_words(&self) -> usize {
        self.span_words
    }
}
