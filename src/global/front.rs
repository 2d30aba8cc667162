//! For front ends other than our macros: callsites that are made at run time, and records whose fields are known at the
//! call only. `log` stands on it, and `treering-tracing`.
//!
//! Not for users: it changes without notice, and crates that use it depend on exactly one version.
//!
//! ```text
//!   Table: hash ──► Site, a place in a program, with a gate ──► Shape (names and types of fields) ──► Shape ──► …
//! ```
//! A [`Site`] is judged by filters and reloads as every callsite is; who finds it enabled makes the arguments, asks for the
//! [`Shape`] that they have, and sends. What is made stays, so it is bounded: of places that come from outside each takes a
//! place, of all sites each shape beyond the first. Nothing is allocated and nothing locked but for the first record of a
//! shape.
//!
//! Records may say that they were logged in a span, and spans are opened, changed and closed by records of their own: see
//! [`Says`].

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::send_payload_slowly;
use crate::callsite::{Callsite, DICTIONARY, DISABLED, Field, Metadata, Piece, Schema, Spec};
use crate::error::Error;
use crate::filter;
use crate::grow::{Linked, List, find_or_put};
use crate::level::Level;
use crate::logger::place::{self, busy};
use crate::logger::{Logger, send};
use crate::record::encode::made::{ARGUMENTS_MAX, Kinds};
use crate::sync::{AtomicRef, AtomicUsize, Ordering};

pub use crate::callsite::Style;
pub use crate::logger::context::next_span;
pub use crate::record::encode::made::Made;
pub use crate::record::scope::Says;

/// Places and shapes that are kept: about a megabyte, if all are used.
const PLACES_MAX: usize = 4096;
/// Twice as many, so that few are looked at for one.
const SLOTS: usize = 2 * PLACES_MAX;

/// Places and shapes so far.
static PLACES: AtomicUsize = AtomicUsize::new(0);
/// Sites of places that are known by content: those of the process-wide engine, and those of others.
static SITES: [Table<Site, SLOTS>; 2] = [const { Table::new() }; 2];

/// The single directives in a text.
pub fn directives(text: &str) -> impl Iterator<Item = &str> {
    filter::parts(text)
}

/// What of these directives is not of spans and fields, for the engine; `off` if all of them are.
pub fn without_spans(text: &str) -> String {
    filter::without_spans(text)
}

/// From now on who starts the process-wide engine leaves directives of spans and fields in `RUST_LOG` to the front end, and tells
/// of what that found wrong with them.
pub fn take_span_directives(notes: Vec<String>) {
    filter::take_spans(notes);
}

/// A front end refuses a directive.
pub fn refused_directive(text: &str, problem: &str) -> Error {
    Error::filter(text, problem)
}

/// Lends the thread's scratch buffer to make a record in. Code of the user's that logs meanwhile gets another one.
#[inline]
pub fn make<R>(says: Option<Says>, work: impl FnOnce(&mut Made) -> R) -> R {
    let mut made = Made::new(place::take_scratch(), says);
    let result = work(&mut made);
    place::keep_scratch(made.into_buffer());
    result
}

/// Things that live as long as the process, found by their content without a lock.
#[derive(Debug)]
pub struct Table<T: Sync + 'static, const SLOTS: usize> {
    slots: [AtomicRef<T>; SLOTS],
}

impl<T: Sync, const SLOTS: usize> Table<T, SLOTS> {
    /// An empty one.
    #[expect(clippy::new_without_default, reason = "for statics")]
    pub const fn new() -> Self {
        Table { slots: [const { AtomicRef::none() }; SLOTS] }
    }

    /// The one with this hash that `is_it`, or else the one that `make` makes; `None` if there is no room, or if it makes
    /// none.
    #[inline]
    pub fn find_or_make(
        &self,
        hash: u64,
        is_it: impl Fn(&T) -> bool,
        make: impl Fn() -> Option<&'static T>,
    ) -> Option<&'static T> {
        let slots = (0..SLOTS).map(|step| &self.slots[(hash as usize).wrapping_add(step) % SLOTS]);
        find_or_put(slots, is_it, make)
    }
}

/// Where records come from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(clippy::exhaustive_structs, reason = "front ends make them")]
pub struct Place<'a> {
    /// Their level.
    pub level: Level,
    /// Their target.
    pub target: &'a str,
    /// The module of the call.
    pub module: &'a str,
    /// The file of the call.
    pub file: &'a str,
    /// The line of the call, or 0.
    pub line: u32,
}

impl Place<'_> {
    /// A copy for ever.
    #[must_use]
    pub fn leak(&self) -> Place<'static> {
        let Place { target, module, file, .. } = *self;
        Place { target: leak(target), module: leak(module), file: leak(file), ..*self }
    }
}

impl Place<'static> {
    fn metadata(
        self,
        instance: bool,
        pieces: &'static [Piece<'static>],
        fields: &'static [Field<'static>],
    ) -> &'static Metadata<'static> {
        let Place { level, target, module, file, line } = self;
        let metadata = Metadata { level, target, module_path: module, file, line, instance, pieces, fields };
        Box::leak(Box::new(metadata))
    }
}

/// A copy for ever.
pub fn leak(text: &str) -> &'static str {
    Box::leak(text.into())
}

/// Whether there is room for one more place; it is taken.
fn takes_place() -> bool {
    let more = |places: usize| (places < PLACES_MAX).then_some(places + 1);
    PLACES.try_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
}

/// A place whose records were seen.
#[derive(Debug)]
pub struct Site {
    at: Place<'static>,
    /// Carries the verdict; its records are the shapes'.
    callsite: Callsite,
    shapes: List<Shape>,
}

/// What shows before the fields.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_enums, reason = "front ends make them")]
pub enum Head {
    /// The argument at this position is the message.
    Message(usize),
    /// The name of a span.
    Name(&'static str),
    /// Nothing.
    Nothing,
}

/// What a front end tells shapes of equal types by: a byte for each argument, say.
pub type Key = [u8; ARGUMENTS_MAX];
/// Of front ends that tell them by something else, or have one for each list of types.
pub const NO_KEY: &Key = &[0; ARGUMENTS_MAX];

/// A field: its name, the position of its value among the arguments, and how that is printed.
pub type Named = (&'static str, usize, Style);

impl Site {
    /// Makes and links one, for ever. `None` if this call interrupts treering itself. `instance`: its records go to engines
    /// that are named, not to the process-wide one.
    #[cold]
    pub fn new(at: Place<'static>, instance: bool) -> Option<&'static Site> {
        busy(|_| {
            let callsite = Callsite::new(at.metadata(instance, &[], &[]));
            let site: &'static Site = Box::leak(Box::new(Site { at, callsite, shapes: List::new() }));
            DICTIONARY.link(&site.callsite);
            site
        })
    }

    /// The site of a place that may come from anywhere, which is made if it is new. `None` if there is no room, or if this
    /// call interrupts treering itself, which may be in the table.
    pub fn at(at: &Place<'_>, instance: bool) -> Option<&'static Site> {
        let mut hasher = DefaultHasher::new();
        at.hash(&mut hasher);
        let make = || takes_place().then(|| Site::new(busy(|_| at.leak())?, instance))?;
        SITES[usize::from(instance)].find_or_make(hasher.finish(), |site| site.at == *at, make)
    }

    /// Whether anybody listens.
    #[inline]
    pub fn is_enabled(&self) -> bool {
        self.callsite.gate() != DISABLED
    }

    /// The shape of arguments with these types that `is_it`.
    #[inline]
    pub fn find(&self, made: &Made, is_it: impl Fn(&Shape) -> bool) -> Option<&'static Shape> {
        self.shapes.iter().find(|shape| shape.kinds == made.kinds() && is_it(shape))
    }

    /// Adds a shape for arguments of these types. `None` if there is no room, or if this call interrupts treering itself.
    /// `key` is the front end's own, see [`Shape::key`].
    #[cold]
    pub fn add(
        &self,
        made: &Made,
        head: Head,
        fields: impl FnOnce() -> Vec<Named>,
        key: &Key,
    ) -> Option<&'static Shape> {
        let is_first = self.shapes.iter().next().is_none();
        if !is_first && !takes_place() {
            return None;
        }
        let (fields, instance) = (fields(), self.callsite.metadata().instance);
        let shape = busy(|_| Shape::new(self.at, instance, made, head, &fields, key))?;
        self.shapes.push(shape);
        Some(shape)
    }
}

/// A callsite for records of one place with the same names and types of fields.
#[derive(Debug)]
pub struct Shape {
    callsite: &'static Callsite,
    id: u32,
    kinds: Kinds,
    key: Key,
    next: AtomicRef<Shape>,
}

impl Linked for Shape {
    fn next(&self) -> &AtomicRef<Shape> {
        &self.next
    }
}

/// What became of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(clippy::exhaustive_enums, reason = "front ends look at it")]
pub enum Sent {
    /// It has a place in a ring.
    Placed,
    /// It has none. An engine that was there has counted it.
    Lost,
    /// Nobody wants it.
    Unwanted,
}

impl Shape {
    /// Makes a callsite, links and judges it. The caller is `busy`.
    fn new(
        at: Place<'static>,
        instance: bool,
        made: &Made,
        head: Head,
        fields: &[Named],
        key: &Key,
    ) -> &'static Shape {
        let pieces: &'static [Piece<'static>] = match head {
            Head::Message(position) => Vec::leak(vec![Piece::Argument(position, Spec::DISPLAY)]),
            Head::Name(name) => Vec::leak(vec![Piece::Literal(name)]),
            Head::Nothing => &[],
        };
        let fields = fields.iter().map(|&(name, argument, style)| Field { name, argument, style });
        let metadata = at.metadata(instance, pieces, Vec::leak(fields.collect()));
        let types: Vec<_> = made.types().collect();
        let schema: &'static Schema =
            types.iter().rev().fold(&Schema::End, |rest, head| Box::leak(Box::new(Schema::Then(head, rest))));
        let callsite: &'static Callsite = Box::leak(Box::new(Callsite::new(metadata)));
        DICTIONARY.resolve(callsite, schema);
        Box::leak(Box::new(Shape {
            id: callsite.id(),
            callsite,
            kinds: made.kinds(),
            key: *key,
            next: AtomicRef::none(),
        }))
    }

    /// What the front end tells it by.
    #[inline]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The names of the fields, in order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.callsite.metadata().fields.iter().map(|field| field.name)
    }

    /// Sends to an engine, or to the process-wide one, if its filter wants it; what is [judged](Made::judge), and what changes or
    /// closes a span, whatever that says.
    pub fn send(&self, to: Option<&Logger>, made: &Made) -> Sent {
        let is_wanted = self.callsite.gate() != DISABLED
            && to.is_none_or(|logger| logger.engine.verdicts.allows(self.id));
        if !is_wanted && !made.is_judged() {
            return Sent::Unwanted;
        }
        let is_placed = match to {
            None => self.send_to_global(made),
            Some(logger) => self.send_to(logger, made),
        };
        if is_placed { Sent::Placed } else { Sent::Lost }
    }

    fn send_to_global(&self, made: &Made) -> bool {
        let (id, level) = (self.id, self.callsite.level());
        match send::to_global(id, level, made) {
            Some(0) => true,
            Some(bits) => {
                send::attend_global(bits);
                true
            }
            None => send_payload_slowly(id, level, made),
        }
    }

    fn send_to(&self, Logger { engine }: &Logger, made: &Made) -> bool {
        let (id, level) = (self.id, self.callsite.level());
        match send::to_instance(engine.number, id, level, made) {
            Some(0) => true,
            Some(bits) => {
                engine.core.transport.shared.state.attend(bits);
                true
            }
            None => send::to_instance_slowly(engine, id, level, made),
        }
    }
}

/// What the places of a front end share that found no room: records say in fields where they come from.
#[derive(Debug)]
pub struct Others {
    target: &'static str,
    /// Of the target, the module, the file, the line and the fields.
    names: [&'static str; 5],
    instance: bool,
    shapes: [AtomicRef<Shape>; Level::COUNT],
}

impl Others {
    /// None were seen yet.
    pub const fn new(target: &'static str, names: [&'static str; 5], instance: bool) -> Self {
        Others { target, names, instance, shapes: [const { AtomicRef::none() }; Level::COUNT] }
    }

    /// Sends a record of such a place. `begin` is told of it before anything is in it; `fields` are its fields as text.
    #[cold]
    pub fn send(
        &self,
        to: Option<&Logger>,
        at: &Place<'_>,
        says: Option<Says>,
        begin: impl FnOnce(&mut Made),
        message: fmt::Arguments<'_>,
        fields: fmt::Arguments<'_>,
    ) {
        make(says, |made| {
            begin(made);
            made.text(message);
            made.str(at.target);
            made.str(at.module);
            made.str(at.file);
            made.u64(at.line.into());
            made.text(fields);
            let Some(shape) = self.shape(at.level, made) else { return place::count_nested() };
            if shape.send(to, made) != Sent::Unwanted {
                place::count_uninterned();
            }
        });
    }

    fn shape(&self, level: Level, made: &Made) -> Option<&'static Shape> {
        find_or_put(
            [&self.shapes[level.index()]],
            |_| true,
            || {
                let at = Place { level, target: self.target, module: "", file: "", line: 0 };
                let field = |(at, name): (usize, &&'static str)| (*name, at + 1, Style::Value);
                let fields: Vec<_> = self.names.iter().enumerate().map(field).collect();
                busy(|_| Shape::new(at, self.instance, made, Head::Message(0), &fields, NO_KEY))
            },
        )
    }
}
