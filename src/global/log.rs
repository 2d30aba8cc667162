//! The crate `log`'s records, through the rings of the process-wide engine.
//!
//! A record of `log` has no static of ours. The first one from a place in a program makes a callsite for it, with target,
//! module, file and line as the record says, and leaves it in a table: from then on the place is found by content, its
//! gate is loaded as any other, and filters and reloads rule it like any other. A place with key-values has one callsite
//! more for each list of names and types. What is in the table stays, so it is bounded; records of places beyond that have
//! target `log` and say in fields where they come from, and are counted.
//!
//! ```text
//!   hash of level, target, module, file, line ──► Site ──► Variant (names and types of key-values) ──► Variant ──► …
//! ```
//! The message is formatted once, into the thread's scratch buffer, in the form in which it lies in a record, and copied.
//! Nothing is allocated and nothing locked but for the first record of a place.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use log::kv::{self, Key, Source, VisitSource, VisitValue};

use super::send_payload_slowly;
use crate::callsite::{Callsite, DICTIONARY, DISABLED, Field, Metadata, Piece, Schema, Spec, Style, Type};
use crate::level::{Level, LevelFilter};
use crate::logger::place::{self, busy};
use crate::logger::{Logger, id_of, send};
use crate::process;
use crate::record::encode::made::Made;
use crate::sync::{AtomicRef, AtomicUsize, Ordering};

/// Places and variants that are kept: about a megabyte, if all are used.
const PLACES_MAX: usize = 4096;
/// Twice as many, so that few are looked at for one.
const SLOTS: usize = 2 * PLACES_MAX;
/// How long `log::logger().flush()` waits.
const FLUSH_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

static SITES: [AtomicRef<Site>; SLOTS] = [const { AtomicRef::none() }; SLOTS];
/// What the places beyond the table share, by level.
static OTHERS: [AtomicRef<Variant>; Level::COUNT] = [const { AtomicRef::none() }; Level::COUNT];
/// Sites and variants so far.
static PLACES: AtomicUsize = AtomicUsize::new(0);
static BRIDGE: Bridge = Bridge { _address: 0 };

/// Takes `log`'s records from now on; `false` if another logger has them.
pub(super) fn install() -> bool {
    if log::set_logger(&BRIDGE).is_err() && !std::ptr::addr_eq(log::logger(), &raw const BRIDGE) {
        return false;
    }
    busy(|_| DICTIONARY.follow(follow));
    true
}

/// Keeps what `log`'s macros let through in step with the filter.
fn follow(most_verbose: LevelFilter) {
    let level = Level::ALL.into_iter().rev().find(|level| most_verbose.allows(*level));
    // Both count from the most severe, and `Off` is 0.
    let filter = log::LevelFilter::iter().nth(level.map_or(0, |level| level as usize));
    log::set_max_level(filter.unwrap_or(log::LevelFilter::Trace));
}

/// Has an address of its own, by which it is known.
struct Bridge {
    _address: u8,
}

impl log::Log for Bridge {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        let at = Where {
            level: level(metadata.level()),
            target: metadata.target(),
            module: "",
            file: "",
            line: 0,
        };
        at.site().is_none_or(Site::is_enabled)
    }

    fn log(&self, record: &log::Record<'_>) {
        let site = Where::of(record).site();
        if site.is_some_and(|site| !site.is_enabled()) {
            return;
        }
        let mut scratch = place::take_scratch();
        if !site.is_some_and(|site| site.send(record, &mut Made::new(&mut scratch))) {
            scratch.clear();
            send_other(record, &mut Made::new(&mut scratch));
        }
        place::keep_scratch(scratch);
    }

    fn flush(&self) {
        if let Some(Some(engine)) = process::global() {
            // `log` has nobody to tell.
            let _ = Logger { engine }.flush(FLUSH_TIMEOUT);
        }
    }
}

/// What one place in a program has in common with itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Where<'a> {
    level: Level,
    target: &'a str,
    module: &'a str,
    file: &'a str,
    line: u32,
}

/// A place whose records were seen.
struct Site {
    at: Where<'static>,
    /// Records without key-values.
    plain: &'static Variant,
    /// Those with some, the newest first.
    more: AtomicRef<Variant>,
}

/// A callsite for records of one place with the same names and types of key-values.
struct Variant {
    callsite: Callsite,
    types: Vec<&'static Type<'static>>,
    next: AtomicRef<Variant>,
}

impl<'a> Where<'a> {
    fn of(record: &log::Record<'a>) -> Self {
        Where {
            level: level(record.level()),
            target: record.target(),
            module: record.module_path().unwrap_or(""),
            file: record.file().unwrap_or(""),
            line: record.line().unwrap_or(0),
        }
    }

    /// The site in the table, where it is put if it is new. `None` if there is no room, or if this call interrupts
    /// treering itself, which may be in the table.
    fn site(&self) -> Option<&'static Site> {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        let first = hasher.finish() as usize;
        for slot in (0..SLOTS).map(|step| &SITES[first.wrapping_add(step) % SLOTS]) {
            match slot.load() {
                Some(site) if site.at == *self => return Some(site),
                Some(_) => {}
                None => {
                    let site = self.make()?;
                    match slot.replace(None, site) {
                        Ok(()) => return Some(site),
                        // Made by two threads at once: the other's is found, this one's is left unused.
                        Err(Some(other)) if other.at == *self => return Some(other),
                        Err(_) => {}
                    }
                }
            }
        }
        None
    }

    #[cold]
    fn make(&self) -> Option<&'static Site> {
        takes_place().then(|| {
            busy(|_| {
                let at = Where {
                    target: leak(self.target),
                    module: leak(self.module),
                    file: leak(self.file),
                    ..*self
                };
                let plain = Variant::new(at, &[], &[&Type::Text]);
                &*Box::leak(Box::new(Site { at, plain, more: AtomicRef::none() }))
            })
        })?
    }
}

impl Site {
    fn is_enabled(&self) -> bool {
        self.plain.callsite.gate() != DISABLED
    }

    /// Formats the record and sends it; `false` if its key-values cannot be kept typed.
    fn send(&self, record: &log::Record<'_>, made: &mut Made<'_>) -> bool {
        made.text(&Type::Text, *record.args());
        let pairs = record.key_values();
        if pairs.visit(&mut Values(made)).is_err() {
            return false;
        }
        let variant = if made.types().len() == 1 { Some(self.plain) } else { self.variant(pairs, made) };
        variant.is_some_and(|variant| {
            variant.send(made);
            true
        })
    }

    /// The variant with these names and types, which is made if it is new; `None` if there is no room.
    fn variant(&self, pairs: &dyn Source, made: &Made<'_>) -> Option<&'static Variant> {
        let mut all = std::iter::successors(self.more.load(), |variant| variant.next.load());
        all.find(|variant| variant.fits(pairs, made)).or_else(|| self.make(pairs, made))
    }

    #[cold]
    fn make(&self, pairs: &dyn Source, made: &Made<'_>) -> Option<&'static Variant> {
        // Code of the user's: before we are busy.
        let mut names = Names(Vec::new());
        pairs.visit(&mut names).ok()?;
        let types: Vec<_> = made.types().collect();
        let is_whole = names.0.len() + 1 == types.len();
        let variant =
            (is_whole && takes_place()).then(|| busy(|_| Variant::new(self.at, &names.0, &types)))??;
        let mut newest = self.more.load();
        loop {
            variant.next.store(newest);
            match self.more.replace(newest, variant) {
                Ok(()) => return Some(variant),
                Err(newer) => newest = newer,
            }
        }
    }
}

impl Variant {
    /// Makes a callsite, links and judges it. The caller is `busy`.
    fn new(at: Where<'static>, names: &[String], types: &[&'static Type<'static>]) -> &'static Variant {
        let field =
            |(at, name): (usize, &String)| Field { name: leak(name), argument: at + 1, style: Style::Value };
        let metadata = Metadata {
            level: at.level,
            target: at.target,
            module_path: at.module,
            file: at.file,
            line: at.line,
            instance: false,
            pieces: &[Piece::Argument(0, Spec::DISPLAY)],
            fields: Vec::leak(names.iter().enumerate().map(field).collect()),
        };
        let schema: &'static Schema =
            types.iter().rev().fold(&Schema::End, |rest, head| Box::leak(Box::new(Schema::Then(head, rest))));
        let variant: &'static Variant = Box::leak(Box::new(Variant {
            callsite: Callsite::new(Box::leak(Box::new(metadata))),
            types: types.to_vec(),
            next: AtomicRef::none(),
        }));
        DICTIONARY.resolve(&variant.callsite, schema);
        variant
    }

    fn fits(&self, pairs: &dyn Source, made: &Made<'_>) -> bool {
        let mut names = SameNames(self.callsite.metadata().fields.iter());
        made.types().eq(self.types.iter().copied())
            && pairs.visit(&mut names).is_ok()
            && names.0.next().is_none()
    }

    fn send(&self, made: &Made<'_>) {
        let gate = self.callsite.gate();
        if gate == DISABLED {
            return;
        }
        let (id, level) = (id_of(gate), self.callsite.level());
        match send::to_global(id, level, made) {
            Some(0) => {}
            Some(bits) => send::attend_global(bits),
            None => send_payload_slowly(id, level, made),
        }
    }
}

/// Sends a record of a place that is not in the table, or whose key-values are not: where it comes from, in fields.
#[cold]
fn send_other(record: &log::Record<'_>, made: &mut Made<'_>) {
    const NAMES: [&str; 5] = ["log.target", "log.module_path", "log.file", "log.line", "log.fields"];
    const TYPES: [&Type<'static>; 6] =
        [&Type::Text, &Type::Str, &Type::Str, &Type::Str, &Type::U32, &Type::Text];
    let Where { level, target, module, file, line } = Where::of(record);
    let slot = &OTHERS[level.index()];
    let variant = slot.load().or_else(|| {
        let at = Where { level, target: "log", module: "", file: "", line: 0 };
        let made = busy(|_| Variant::new(at, &NAMES.map(str::to_owned), &TYPES))?;
        Some(slot.replace(None, made).map_or_else(|other| other.unwrap_or(made), |()| made))
    });
    let Some(variant) = variant else { return place::count_nested() };
    if variant.callsite.gate() == DISABLED {
        return;
    }
    place::count_uninterned();
    made.text(TYPES[0], *record.args());
    for text in [target, module, file] {
        made.text(&Type::Str, format_args!("{text}"));
    }
    made.words(&Type::U32, &[line.into()]);
    made.text(TYPES[5], format_args!("{}", Pairs(record.key_values())));
    variant.send(made);
}

/// Puts values into a record.
struct Values<'m, 'b>(&'m mut Made<'b>);

impl<'kvs> VisitSource<'kvs> for Values<'_, '_> {
    fn visit_pair(&mut self, _: Key<'kvs>, value: kv::Value<'kvs>) -> Result<(), kv::Error> {
        value.visit(self)
    }
}

impl Values<'_, '_> {
    fn words(&mut self, kind: &'static Type<'static>, words: &[u64]) -> Result<(), kv::Error> {
        if self.0.words(kind, words) { Ok(()) } else { Err(too_many()) }
    }
}

impl<'v> VisitValue<'v> for Values<'_, '_> {
    fn visit_any(&mut self, value: kv::Value<'_>) -> Result<(), kv::Error> {
        if self.0.text(&Type::Text, format_args!("{value}")) { Ok(()) } else { Err(too_many()) }
    }

    fn visit_null(&mut self) -> Result<(), kv::Error> {
        self.words(&Type::Option(&Type::Unit), &[0])
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), kv::Error> {
        self.words(&Type::U64, &[value])
    }

    fn visit_i64(&mut self, value: i64) -> Result<(), kv::Error> {
        self.words(&Type::I64, &[value as u64])
    }

    fn visit_u128(&mut self, value: u128) -> Result<(), kv::Error> {
        self.words(&Type::U128, &[value as u64, (value >> 64) as u64])
    }

    fn visit_i128(&mut self, value: i128) -> Result<(), kv::Error> {
        self.words(&Type::I128, &[value as u64, (value >> 64) as u64])
    }

    fn visit_f64(&mut self, value: f64) -> Result<(), kv::Error> {
        self.words(&Type::F64, &[value.to_bits()])
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), kv::Error> {
        self.words(&Type::Bool, &[value.into()])
    }

    fn visit_str(&mut self, value: &str) -> Result<(), kv::Error> {
        if self.0.text(&Type::Str, format_args!("{value}")) { Ok(()) } else { Err(too_many()) }
    }

    fn visit_char(&mut self, value: char) -> Result<(), kv::Error> {
        self.words(&Type::Char, &[value.into()])
    }
}

fn too_many() -> kv::Error {
    kv::Error::msg("more key-values than a record keeps typed")
}

struct Names(Vec<String>);

impl<'kvs> VisitSource<'kvs> for Names {
    fn visit_pair(&mut self, name: Key<'kvs>, _: kv::Value<'kvs>) -> Result<(), kv::Error> {
        self.0.push(name.as_str().to_owned());
        Ok(())
    }
}

/// Refuses the first name that is another one.
struct SameNames(std::slice::Iter<'static, Field<'static>>);

impl<'kvs> VisitSource<'kvs> for SameNames {
    fn visit_pair(&mut self, name: Key<'kvs>, _: kv::Value<'kvs>) -> Result<(), kv::Error> {
        let is_same = self.0.next().is_some_and(|field| field.name == name.as_str());
        if is_same { Ok(()) } else { Err(kv::Error::msg("another name")) }
    }
}

/// Key-values as text: `a=1 b=two`.
struct Pairs<'a>(&'a dyn Source);

impl fmt::Display for Pairs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Each<'a, 'b>(&'a mut fmt::Formatter<'b>, &'static str);

        impl<'kvs> VisitSource<'kvs> for Each<'_, '_> {
            fn visit_pair(&mut self, name: Key<'kvs>, value: kv::Value<'kvs>) -> Result<(), kv::Error> {
                write!(self.0, "{}{name}={value}", self.1)?;
                self.1 = " ";
                Ok(())
            }
        }

        // A source that fails has said what it had.
        let _ = self.0.visit(&mut Each(f, ""));
        Ok(())
    }
}

/// Whether there is room for one more.
fn takes_place() -> bool {
    let more = |places: usize| (places < PLACES_MAX).then_some(places + 1);
    PLACES.try_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
}

fn leak(text: &str) -> &'static str {
    Box::leak(text.into())
}

fn level(level: log::Level) -> Level {
    Level::ALL[level as usize - 1]
}
