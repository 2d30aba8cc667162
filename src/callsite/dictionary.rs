//! The process's list of callsites and of their instances, and the verdicts of all engines on them.
//!
//! One lock, the *dictionary lock*, orders everything that can change a gate: the first run of a callsite, a new
//! instance, a filter reload, the start and the end of an engine. So no callsite registers with an old verdict
//! (I15 of loom-tests/README.md), and a call that begins after a reload returned obeys it. The dictionary only grows: entries live as
//! long as the process, so that an id stays good wherever it travels inside it.
//!
//! Lock order: an engine's registry lock may be taken while this one is held, never the other way round.

#![cfg_attr(
    treering_loom,
    expect(clippy::disallowed_types, reason = "OnceLock: a chunk is made once, and loom need not know how")
)]

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::OnceLock;

use super::{Callsite, DISABLED, Metadata, Schema, Type};
use crate::level::{Level, LevelFilter};
#[cfg(not(treering_loom))]
use crate::sync::MutexGuard;
use crate::sync::{Arc, AtomicU8, Mutex, Ordering, fence, ordering};

/// A callsite with one list of argument types: what an id stands for.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) metadata: &'a Metadata<'a>,
    pub(crate) types: &'a [&'a Type<'a>],
}

/// An entry, and how long it lives: who keeps a record beyond its batch must know.
#[derive(Clone, Copy, Debug)]
pub(crate) enum EntryOf<'a> {
    /// As long as the process.
    Process(&'static Entry<'static>),
    /// As long as the batch: it came with its record.
    Batch(&'a Entry<'a>),
}

impl<'a> EntryOf<'a> {
    #[inline]
    pub(crate) fn get(self) -> &'a Entry<'a> {
        match self {
            EntryOf::Process(entry) => entry,
            EntryOf::Batch(entry) => entry,
        }
    }
}

impl<'a> Deref for EntryOf<'a> {
    type Target = Entry<'a>;

    #[inline]
    fn deref(&self) -> &Entry<'a> {
        self.get()
    }
}

/// Decides, for one engine, whether a callsite is enabled.
pub(crate) trait Verdict: Send + Sync {
    fn allows(&self, metadata: &Metadata<'_>) -> bool;

    /// The most verbose level that any callsite is enabled at.
    fn most_verbose(&self) -> LevelFilter {
        LevelFilter::ALL
    }
}

impl<F: Fn(&Metadata<'_>) -> bool + Send + Sync> Verdict for F {
    fn allows(&self, metadata: &Metadata<'_>) -> bool {
        self(metadata)
    }
}

pub(crate) type Judge = Arc<dyn Verdict>;

/// Without a process-wide engine the last resort prints these, and what is more severe, to stderr.
pub(crate) const LAST_RESORT: Level = Level::Warn;

/// See the module's documentation.
pub(crate) struct Dictionary {
    book: Mutex<Book>,
}

struct Book {
    callsites: Vec<&'static Callsite>,
    /// Each instance with its schema, by id.
    entries: Vec<(&'static Entry<'static>, &'static Schema)>,
    /// The ids of a callsite, by its address.
    instances: Option<HashMap<usize, Vec<u32>>>,
    engines: Vec<Member>,
    /// The number of the engine that calls without `logger:` go to, running or stopped.
    global: Option<u64>,
    /// How many engines there have been.
    numbered: u64,
    /// Is told the most verbose level of calls without `logger:`, under the lock.
    follow: Option<fn(LevelFilter)>,
}

struct Member {
    number: u64,
    judge: Judge,
    verdicts: Arc<Verdicts>,
}

impl Dictionary {
    #[cfg(not(treering_loom))]
    pub(crate) const fn new() -> Self {
        Dictionary { book: Mutex::new(Book::new()) }
    }

    #[cfg(treering_loom)]
    pub(crate) fn new() -> Self {
        Dictionary { book: Mutex::new(Book::new()) }
    }

    /// The first run of a callsite: links and judges it. A verdict of *disabled* is left in the gate; else the gate
    /// stays [`NEW`](super::NEW) until [`resolve`](Self::resolve) knows the types of the arguments.
    pub(crate) fn link(&self, callsite: &'static Callsite) -> bool {
        let mut book = self.book.lock();
        book.ids_of(callsite);
        let gate = book.judge(callsite, &[]);
        #[cfg(treering_mutant = "link_outside_lock")]
        {
            drop(book);
            callsite.gate.store(gate, Ordering::Relaxed);
        }
        gate != DISABLED
    }

    /// The cold path of a call: links the callsite, finds or adds its instance, judges it, and leaves the new
    /// gate behind and returns it.
    pub(crate) fn resolve(&self, callsite: &'static Callsite, schema: &'static Schema) -> u64 {
        let mut book = self.book.lock();
        let id = book.identify(callsite, schema);
        #[cfg(treering_mutant = "judge_outside_lock")]
        {
            let verdict = book.judge(callsite, std::slice::from_ref(&id));
            drop(book);
            callsite.gate.store(verdict, Ordering::Relaxed);
            verdict
        }
        #[cfg(not(treering_mutant = "judge_outside_lock"))]
        book.judge(callsite, std::slice::from_ref(&id))
    }

    /// The id of a callsite with these types, whoever listens. Is left behind as the callsite's [`latest`](Callsite::latest).
    #[cfg(not(treering_loom))]
    pub(crate) fn identify(&self, callsite: &'static Callsite, schema: &'static Schema) -> u32 {
        self.book.lock().identify(callsite, schema)
    }

    /// A number for a new engine, never given before; the first is 1.
    pub(crate) fn next_number(&self) -> u64 {
        let mut book = self.book.lock();
        book.numbered += 1;
        book.numbered
    }

    /// An engine begins: its judge counts from now on. `global` says that calls without `logger:` go to it.
    pub(crate) fn join(&self, number: u64, judge: Judge, verdicts: Arc<Verdicts>, global: bool) {
        let mut book = self.book.lock();
        book.engines.push(Member { number, judge, verdicts });
        if global {
            book.global = Some(number);
        }
        book.judge_all();
    }

    /// Whether calls without `logger:` go to this engine.
    pub(crate) fn is_global(&self, number: u64) -> bool {
        self.book.lock().global == Some(number)
    }

    /// Whether this engine wants records of a callsite that has no id yet.
    #[cfg(not(treering_loom))]
    pub(crate) fn wants(&self, number: u64, metadata: &Metadata<'_>) -> bool {
        let book = self.book.lock();
        book.engines.iter().any(|member| member.number == number && member.judge.allows(metadata))
    }

    /// An engine has a new filter. When this returns, every gate and verdict obeys it.
    pub(crate) fn reload(&self, number: u64, judge: Judge) {
        let mut book = self.book.lock();
        let member = book.engines.iter_mut().find(|member| member.number == number);
        let before = member.map(|member| std::mem::replace(&mut member.judge, judge));
        book.judge_all();
        drop(book);
        drop(before); // frees memory: not under the lock
    }

    /// An engine that nobody can log to any more is forgotten.
    pub(crate) fn leave(&self, number: u64) {
        let mut book = self.book.lock();
        let at = book.engines.iter().position(|member| member.number == number);
        let member = at.map(|at| book.engines.swap_remove(at));
        if book.global == Some(number) {
            book.global = None;
        }
        book.judge_all();
        drop(book);
        drop(member); // frees memory: not under the lock
    }

    /// Has `follow` told the most verbose level of calls without `logger:`, now and whenever that may have changed. It must
    /// take no lock.
    #[cfg(feature = "log")]
    pub(crate) fn follow(&self, follow: fn(LevelFilter)) {
        let mut book = self.book.lock();
        book.follow = Some(follow);
        book.judge_all();
    }

    /// Keeps the lock: while this lives no other thread holds it.
    #[cfg(not(treering_loom))]
    pub(crate) fn hold(&self) -> Held<'_> {
        Held { _book: self.book.lock() }
    }

    /// What an id stands for.
    pub(crate) fn entry(&self, id: u32) -> Option<&'static Entry<'static>> {
        self.book.lock().entries.get(id as usize).map(|(entry, _)| *entry)
    }

    /// Copies the entries that `known` does not have yet. Allocates outside of the lock only.
    pub(crate) fn refresh(&self, known: &mut Vec<&'static Entry<'static>>) {
        loop {
            let book = self.book.lock();
            let missing = book.entries.len() - known.len();
            if known.capacity() - known.len() >= missing {
                let from = known.len();
                known.extend(book.entries[from..].iter().map(|(entry, _)| *entry));
                return;
            }
            drop(book);
            known.reserve(missing.max(64));
        }
    }
}

/// See [`Dictionary::hold`].
#[cfg(not(treering_loom))]
pub(crate) struct Held<'a> {
    _book: MutexGuard<'a, Book>,
}

impl std::fmt::Debug for Dictionary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let book = self.book.lock();
        f.debug_struct("Dictionary")
            .field("callsites", &book.callsites.len())
            .field("entries", &book.entries.len())
            .finish_non_exhaustive()
    }
}

impl Book {
    const fn new() -> Self {
        Book {
            callsites: Vec::new(),
            entries: Vec::new(),
            instances: None,
            engines: Vec::new(),
            global: None,
            numbered: 0,
            follow: None,
        }
    }

    fn identify(&mut self, callsite: &'static Callsite, schema: &'static Schema) -> u32 {
        let id = self.find_or_add(callsite, schema);
        #[cfg(not(treering_mutant = "forget_latest"))]
        callsite.latest.store(u64::from(id) << 32 | u64::from(schema.hash()), Ordering::Relaxed);
        id
    }

    fn find_or_add(&mut self, callsite: &'static Callsite, schema: &'static Schema) -> u32 {
        let ids = self.ids_of(callsite).clone();
        if let Some(id) = ids.iter().find(|id| self.entries[**id as usize].1 == schema) {
            return *id;
        }
        debug_assert!(
            ids.iter().all(|id| self.entries[*id as usize].1.hash() != schema.hash()),
            "two argument lists of one generic callsite have the same hash: {schema:?} at {}:{}",
            callsite.metadata.file,
            callsite.metadata.line,
        );
        let id = self.entries.len() as u32;
        // Leaked on purpose: an id must stay good as long as the process lives. Bounded by the program's text.
        let types = Box::leak(schema.types().collect::<Box<[_]>>());
        let entry = Box::leak(Box::new(Entry { metadata: callsite.metadata, types }));
        self.entries.push((entry, schema));
        self.ids_of(callsite).push(id);
        id
    }

    /// The ids of a callsite, which is linked if it was not.
    fn ids_of(&mut self, callsite: &'static Callsite) -> &mut Vec<u32> {
        let key = std::ptr::from_ref(callsite) as usize;
        let instances = self.instances.get_or_insert_default();
        instances.entry(key).or_insert_with(|| {
            self.callsites.push(callsite);
            Vec::new()
        })
    }

    fn judge_all(&self) {
        for callsite in &self.callsites {
            let key = std::ptr::from_ref(*callsite) as usize;
            let ids = self.instances.as_ref().and_then(|all| all.get(&key)).map_or(&[][..], |ids| ids);
            self.judge(callsite, ids);
        }
        if let Some(follow) = self.follow {
            let global = self.engines.iter().find(|member| Some(member.number) == self.global);
            follow(global.map_or(LAST_RESORT.into(), |member| member.judge.most_verbose()));
        }
    }

    /// Rewrites one callsite's gate, and, for a callsite with `logger:`, every engine's verdict on these ids.
    fn judge(&self, callsite: &Callsite, ids: &[u32]) -> u64 {
        let metadata = callsite.metadata;
        let enabled = if metadata.instance {
            let mut any = false;
            for member in &self.engines {
                let allowed = member.judge.allows(metadata);
                #[cfg(not(treering_mutant = "gate_without_verdicts"))]
                ids.iter().for_each(|id| member.verdicts.set(*id, allowed));
                #[cfg(treering_mutant = "gate_without_verdicts")]
                ids.iter().for_each(|id| member.verdicts.set(*id, true));
                any |= allowed;
            }
            any
        } else {
            match self.engines.iter().find(|member| Some(member.number) == self.global) {
                Some(member) => member.judge.allows(metadata),
                None => metadata.level <= LAST_RESORT,
            }
        };
        let gate = if enabled { callsite.latest.load(Ordering::Relaxed) } else { DISABLED };
        callsite.gate.store(gate, TELLS);
        gate
    }
}

/// One engine's verdicts on callsites with `logger:`, by id: bytes in chunks that never move, so that a call
/// reads its own without a lock. Written under the dictionary lock.
#[derive(Debug)]
pub(crate) struct Verdicts {
    /// Chunk `n` holds `FIRST_CHUNK << n` ids.
    chunks: [OnceLock<Box<[AtomicU8]>>; CHUNKS],
}

/// Who finds an id in a gate finds the verdicts on it.
const TELLS: Ordering = ordering!(Release, unless "relaxed_gate");

const FIRST_CHUNK: usize = if cfg!(treering_loom) { 4 } else { 256 };
const CHUNKS: usize = 24;

impl Verdicts {
    pub(crate) fn new() -> Self {
        Verdicts { chunks: std::array::from_fn(|_| OnceLock::new()) }
    }

    /// Whether the engine wants records of this id.
    #[inline]
    pub(crate) fn allows(&self, id: u32) -> bool {
        let (chunk, at) = Self::place(id);
        // The verdict was there before the gate that had the id. On x86-64 this is no instruction.
        #[cfg(not(treering_mutant = "verdict_without_fence"))]
        fence(Ordering::Acquire);
        // Relaxed: a verdict guards no data; calls that begin after a reload returned see it by the
        // happens-before of that return.
        self.chunks
            .get(chunk)
            .and_then(OnceLock::get)
            .is_some_and(|bytes| bytes[at].load(Ordering::Relaxed) != 0)
    }

    fn set(&self, id: u32, allowed: bool) {
        let (chunk, at) = Self::place(id);
        let bytes =
            self.chunks[chunk].get_or_init(|| (0..FIRST_CHUNK << chunk).map(|_| AtomicU8::new(0)).collect());
        bytes[at].store(u8::from(allowed), Ordering::Relaxed);
    }

    /// Chunk and position of an id.
    #[inline]
    fn place(id: u32) -> (usize, usize) {
        let shifted = id as usize + FIRST_CHUNK;
        let chunk = (shifted.ilog2() - FIRST_CHUNK.ilog2()) as usize;
        (chunk, shifted - (FIRST_CHUNK << chunk))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_distinct_places_within_their_chunks() {
        let mut last = None;
        for id in 0..5_000 {
            let place = Verdicts::place(id);
            assert!(place.1 < FIRST_CHUNK << place.0);
            assert!(last < Some(place));
            last = Some(place);
        }
    }

    #[test]
    fn each_id_has_a_verdict_of_its_own_whatever_its_chunk() {
        let verdicts = Verdicts::new();
        let ids = (0..5_000).step_by(7);
        ids.clone().for_each(|id| verdicts.set(id, true));
        assert!((0..5_000).all(|id| verdicts.allows(id) == (id % 7 == 0)));
        ids.for_each(|id| verdicts.set(id, false));
        assert!((0..5_000).all(|id| !verdicts.allows(id)));
    }

    fn leaked(level: Level, instance: bool) -> &'static Callsite {
        let metadata = Metadata {
            level,
            target: "target",
            module_path: "module",
            file: "file",
            line: 1,
            instance,
            pieces: &[],
            fields: &[],
        };
        Box::leak(Box::new(Callsite::new(Box::leak(Box::new(metadata)))))
    }

    #[test]
    fn a_callsite_without_an_engine_is_enabled_from_warn_upwards() {
        let dictionary = Dictionary::new();
        assert_ne!(dictionary.resolve(leaked(Level::Warn, false), &Schema::End), DISABLED);
        assert_eq!(dictionary.resolve(leaked(Level::Info, false), &Schema::End), DISABLED);
    }

    #[test]
    fn an_engine_and_a_reload_rewrite_linked_gates_and_bring_the_latest_id_back() {
        let dictionary = Dictionary::new();
        let callsite = leaked(Level::Trace, false);
        assert_eq!(dictionary.resolve(callsite, &Schema::End), DISABLED);
        dictionary.join(1, Arc::new(|_: &Metadata<'_>| true), Arc::new(Verdicts::new()), true);
        let gate = callsite.gate();
        assert_eq!(gate as u32, Schema::End.hash());
        dictionary.reload(1, Arc::new(|_: &Metadata<'_>| false));
        assert_eq!(callsite.gate(), DISABLED);
        dictionary.reload(1, Arc::new(|_: &Metadata<'_>| true));
        assert_eq!(callsite.gate(), gate);
        dictionary.leave(1);
        assert_eq!(callsite.gate(), DISABLED);
    }

    #[test]
    fn an_instance_callsite_is_the_or_of_all_engines_and_each_has_its_own_verdict() {
        let dictionary = Dictionary::new();
        let (quiet, loud) = (Arc::new(Verdicts::new()), Arc::new(Verdicts::new()));
        dictionary.join(1, Arc::new(|_: &Metadata<'_>| false), quiet.clone(), false);
        dictionary.join(2, Arc::new(|_: &Metadata<'_>| true), loud.clone(), false);
        let gate = dictionary.resolve(leaked(Level::Debug, true), &Schema::End);
        assert_ne!(gate, DISABLED);
        assert!(!quiet.allows((gate >> 32) as u32));
        assert!(loud.allows((gate >> 32) as u32));
    }

    #[test]
    fn equal_schemas_share_an_id_and_others_do_not() {
        const ONE: Schema = Schema::Then(&Type::U8, &Schema::End);
        const TWO: Schema = Schema::Then(&Type::U16, &Schema::End);
        let dictionary = Dictionary::new();
        let callsite = leaked(Level::Error, false);
        let one = dictionary.resolve(callsite, &ONE);
        assert_eq!(dictionary.resolve(callsite, &TWO) >> 32, (one >> 32) + 1);
        assert_eq!(dictionary.resolve(callsite, &ONE), one);
        let mut entries = Vec::new();
        dictionary.refresh(&mut entries);
        assert_eq!(entries[(one >> 32) as usize].types, [&Type::U8]);
    }
}
