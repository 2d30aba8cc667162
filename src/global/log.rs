//! The crate `log`'s records, through the rings of the process-wide engine.
//!
//! A record of `log` has no static of ours. The first one from a place in a program makes a site for it, with target,
//! module, file and line as the record says, and leaves it in a table: from then on the place is found by content, its
//! gate is loaded as any other, and filters and reloads rule it like any other ([`front`](super::front)). What is in the
//! table stays, so it is bounded; records of places beyond that have target `log` and say in fields where they come from, and
//! are counted.
//!
//! The message is formatted once, into the thread's scratch buffer, in the form in which it lies in a record, and copied.
//! Nothing is allocated and nothing locked but for the first record of a place.

use std::fmt;

use log::kv::{self, Key, Source, VisitSource, VisitValue};

use super::front::{Head, Made, NO_KEY, Others, Place, Shape, Site, Style, leak, make};
use crate::callsite::DICTIONARY;
use crate::level::{Level, LevelFilter};
use crate::logger::Logger;
use crate::logger::place::busy;
use crate::process;

/// How long `log::logger().flush()` waits.
const FLUSH_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

static OTHERS: Others =
    Others::new("log", ["log.target", "log.module_path", "log.file", "log.line", "log.fields"], false);
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
        let level = level(metadata.level());
        let at = Place { level, target: metadata.target(), module: "", file: "", line: 0 };
        Site::at(&at, false).is_none_or(Site::is_enabled)
    }

    fn log(&self, record: &log::Record<'_>) {
        let at = place_of(record);
        let site = Site::at(&at, false);
        if site.is_some_and(|site| !site.is_enabled()) {
            return;
        }
        if !site.is_some_and(|site| make(None, |made| send(site, record, made))) {
            let fields = Pairs(record.key_values());
            OTHERS.send(None, &at, None, |_| (), *record.args(), format_args!("{fields}"));
        }
    }

    fn flush(&self) {
        if let Some(Some(engine)) = process::global() {
            // `log` has nobody to tell.
            let _ = Logger { engine }.flush(FLUSH_TIMEOUT);
        }
    }
}

fn place_of<'a>(record: &log::Record<'a>) -> Place<'a> {
    Place {
        level: level(record.level()),
        target: record.target(),
        module: record.module_path().unwrap_or(""),
        file: record.file().unwrap_or(""),
        line: record.line().unwrap_or(0),
    }
}

/// Formats the record and sends it; `false` if its key-values cannot be kept typed.
fn send(site: &'static Site, record: &log::Record<'_>, made: &mut Made) -> bool {
    made.text(*record.args());
    let pairs = record.key_values();
    if pairs.visit(&mut Values(made)).is_err() {
        return false;
    }
    let is_it = |shape: &Shape| {
        let mut names = SameNames(shape.names());
        pairs.visit(&mut names).is_ok() && names.0.next().is_none()
    };
    let shape = site.find(made, is_it).or_else(|| add(site, pairs, made));
    shape.is_some_and(|shape| {
        shape.send(None, made);
        true
    })
}

#[cold]
fn add(site: &Site, pairs: &dyn Source, made: &Made) -> Option<&'static Shape> {
    // Code of the user's: before we are busy.
    let mut names = Names(Vec::new());
    pairs.visit(&mut names).ok()?;
    if names.0.len() + 1 != made.len() {
        return None;
    }
    let field = |(at, name): (usize, &String)| (leak(name), at + 1, Style::Value);
    site.add(made, Head::Message(0), || names.0.iter().enumerate().map(field).collect(), NO_KEY)
}

/// Puts values into a record.
struct Values<'m>(&'m mut Made);

impl<'kvs> VisitSource<'kvs> for Values<'_> {
    fn visit_pair(&mut self, _: Key<'kvs>, value: kv::Value<'kvs>) -> Result<(), kv::Error> {
        value.visit(self)
    }
}

/// What `Made` says of an argument more.
fn added(is_added: bool) -> Result<(), kv::Error> {
    if is_added { Ok(()) } else { Err(too_many()) }
}

impl<'v> VisitValue<'v> for Values<'_> {
    fn visit_any(&mut self, value: kv::Value<'_>) -> Result<(), kv::Error> {
        added(self.0.text(format_args!("{value}")))
    }

    fn visit_null(&mut self) -> Result<(), kv::Error> {
        added(self.0.none())
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), kv::Error> {
        added(self.0.u64(value))
    }

    fn visit_i64(&mut self, value: i64) -> Result<(), kv::Error> {
        added(self.0.i64(value))
    }

    fn visit_u128(&mut self, value: u128) -> Result<(), kv::Error> {
        added(self.0.u128(value))
    }

    fn visit_i128(&mut self, value: i128) -> Result<(), kv::Error> {
        added(self.0.i128(value))
    }

    fn visit_f64(&mut self, value: f64) -> Result<(), kv::Error> {
        added(self.0.f64(value))
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), kv::Error> {
        added(self.0.bool(value))
    }

    fn visit_str(&mut self, value: &str) -> Result<(), kv::Error> {
        added(self.0.str(value))
    }

    fn visit_char(&mut self, value: char) -> Result<(), kv::Error> {
        added(self.0.char(value))
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
struct SameNames<I>(I);

impl<'kvs, I: Iterator<Item = &'static str>> VisitSource<'kvs> for SameNames<I> {
    fn visit_pair(&mut self, name: Key<'kvs>, _: kv::Value<'kvs>) -> Result<(), kv::Error> {
        let is_same = self.0.next().is_some_and(|known| known == name.as_str());
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

fn level(level: log::Level) -> Level {
    Level::ALL[level as usize - 1]
}
