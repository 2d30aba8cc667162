//! From the callsites of `tracing` to those of treering: found by address, in a table that is read without a lock.

use tracing_core::{Metadata, field::FieldSet};
use treering::Level;
use treering::front::{Head, Key, Made, Named, Others, Place, Shape, Site, Style, Table};

/// Callsites of `tracing` that are told apart: programs have some hundreds. Each has a static of its own, so no input from
/// outside makes more of them.
const CALLSITES_MAX: usize = 16 * 1024;

/// Shapes tell fields apart by a byte; it leaves one out, for [`OURS`].
const FIELDS_MAX: usize = u8::MAX as usize;

/// For the process-wide engine, and for those that are named.
static KNOWN: [Table<Known, CALLSITES_MAX>; 2] = [const { Table::new() }; 2];
/// The key of shapes that are not told by positions of fields.
const OURS: &Key = &[u8::MAX; 32];
static OTHERS: [Others; 2] = [others(false), others(true)];

const fn others(instance: bool) -> Others {
    let names = ["tracing.target", "tracing.module_path", "tracing.file", "tracing.line", "tracing.fields"];
    Others::new("tracing", names, instance)
}

/// A callsite of `tracing` that was seen.
#[derive(Debug)]
pub(crate) struct Known {
    metadata: &'static Metadata<'static>,
    pub(crate) site: &'static Site,
    /// The position of the message among the fields.
    pub(crate) message: Option<usize>,
    /// Its events are records of `log`, and say in fields where they come from.
    pub(crate) is_of_log: bool,
}

impl Known {
    /// `None` if there is no room, if it has more fields than a byte can tell apart, or if the call interrupts treering itself.
    #[inline]
    pub(crate) fn of(metadata: &'static Metadata<'static>, instance: bool) -> Option<&'static Known> {
        // Statics of this size lie some dozens of bytes apart; a multiplication spreads them.
        let hash = (std::ptr::from_ref(metadata).addr() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let is_it = |known: &Known| std::ptr::eq(known.metadata, metadata);
        KNOWN[usize::from(instance)].find_or_make(hash, is_it, || Known::new(metadata, instance))
    }

    #[cold]
    fn new(metadata: &'static Metadata<'static>, instance: bool) -> Option<&'static Known> {
        let fields = metadata.fields();
        if fields.len() > FIELDS_MAX {
            return None;
        }
        let is_of_log = metadata.target() == "log" && fields.field("log.target").is_some();
        let site = Site::new(place(metadata), instance)?;
        let message = if metadata.is_event() { position(fields, "message") } else { None };
        Some(Box::leak(Box::new(Known { metadata, site, message, is_of_log })))
    }

    /// The shape of these arguments, whose fields stand at these positions of the callsite's; it is made if it is new.
    #[inline]
    pub(crate) fn shape(&self, site: &Site, made: &Made, key: &Key) -> Option<&'static Shape> {
        // Byte by byte, as they were written a moment ago: until they are in the cache no wider load can have them.
        let (len, positions) = (made.len(), &key[..made.len()]);
        let is_it = |shape: &Shape| shape.key()[..len].iter().zip(positions).all(|(own, place)| own == place);
        site.find(made, is_it).or_else(|| self.add(site, made, key))
    }

    /// The shape of an event of a span's life: what happened, and of an end how long it was busy and idle.
    pub(crate) fn life(&self, made: &Made) -> Option<&'static Shape> {
        let of_end = [("time.busy", 1, Style::Display), ("time.idle", 2, Style::Display)];
        let fields = || of_end.into_iter().take(made.len() - 1).collect();
        let known = self.site.find(made, |shape| shape.key() == OURS);
        known.or_else(|| self.site.add(made, Head::Message(0), fields, OURS))
    }

    /// The shape of an event with more fields than a record keeps typed: its message, and they as one text.
    #[cold]
    pub(crate) fn wide(&self, made: &Made) -> Option<&'static Shape> {
        let fields = || vec![("tracing.fields", 1, Style::Value)];
        let known = self.site.find(made, |shape| shape.key() == OURS);
        known.or_else(|| self.site.add(made, Head::Message(0), fields, OURS))
    }

    #[cold]
    fn add(&self, site: &Site, made: &Made, key: &Key) -> Option<&'static Shape> {
        let positions = &key[..made.len()];
        let is_message = |position: &u8| Some(usize::from(*position)) == self.message;
        let head = match positions.iter().position(is_message) {
            Some(message) => Head::Message(message),
            None if self.metadata.is_span() => Head::Name(self.metadata.name()),
            None => Head::Nothing,
        };
        let names: Vec<_> = self.metadata.fields().iter().map(|field| field.name()).collect();
        let named = |(at, position): (usize, &u8)| -> Named {
            // `%` and `?` cannot be told apart here; text that is a literal already is not quoted again after `?`.
            let style = if made.is_text(at) { Style::Debug } else { Style::Value };
            (names[usize::from(*position)], at, style)
        };
        let fields = || positions.iter().enumerate().filter(|(_, at)| !is_message(at)).map(named).collect();
        site.add(made, head, fields, key)
    }
}

/// Where records go that come from places beyond the table.
pub(crate) fn others_of(instance: bool) -> &'static Others {
    &OTHERS[usize::from(instance)]
}

pub(crate) fn place<'a>(metadata: &Metadata<'a>) -> Place<'a> {
    Place {
        level: level(*metadata.level()),
        target: metadata.target(),
        module: metadata.module_path().unwrap_or(""),
        file: metadata.file().unwrap_or(""),
        line: metadata.line().unwrap_or(0),
    }
}

fn position(fields: &FieldSet, name: &str) -> Option<usize> {
    fields.field(name).map(|field| field.index())
}

fn level(level: tracing_core::Level) -> Level {
    match level {
        tracing_core::Level::ERROR => Level::Error,
        tracing_core::Level::WARN => Level::Warn,
        tracing_core::Level::INFO => Level::Info,
        tracing_core::Level::DEBUG => Level::Debug,
        tracing_core::Level::TRACE => Level::Trace,
    }
}
