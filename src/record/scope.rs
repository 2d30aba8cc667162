//! The spans that a record was logged in, as the listener knew them then: contexts of the program's own, and spans of
//! `tracing`.
//!
//! A record carries the number of its span; what the span is called and which fields it has, the listener keeps from the
//! span's own records (`listener::spans`), and attaches. What is attached is shared: a batch, and whoever keeps its records
//! longer, hold references.
//!
//! ```text
//!   Scope ──► [ root's State, …, State of the innermost span ]        State ──► [ as it was opened, what was recorded later, … ]
//! ```

use std::fmt;

use super::{FieldValue, Fields, Values};
use crate::callsite::{Entry, Piece};
use crate::level::Level;
use crate::sync::Arc;

/// What the words before a record's arguments say of spans.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(clippy::exhaustive_enums, reason = "a part of the seam to front ends")]
pub enum Says {
    /// It was logged in this span.
    In(u64),
    /// It opens the span `id`, in the span `parent`, or 0: the arguments are the span's fields.
    Opens {
        /// The number of the span that begins.
        id: u64,
        /// The number of the one around it.
        parent: u64,
    },
    /// The arguments are further fields of this span, or new values.
    Records(u64),
    /// This span has ended.
    Closes(u64),
}

impl Says {
    /// The kind stands above the number in one word.
    const KIND_SHIFT: u32 = 62;

    /// The words, and how many of them count.
    pub(crate) fn words(self) -> ([u64; 2], usize) {
        let word = |kind: u64, id: u64| kind << Self::KIND_SHIFT | id;
        match self {
            Says::In(id) => ([word(0, id), 0], 1),
            Says::Opens { id, parent } => ([word(1, id), parent], 2),
            Says::Records(id) => ([word(2, id), 0], 1),
            Says::Closes(id) => ([word(3, id), 0], 1),
        }
    }

    /// What these words say, and those behind it; `None` if they are too few.
    pub(crate) fn read(words: &[u64]) -> Option<(Self, &[u64])> {
        let (word, rest) = words.split_first()?;
        let id = word & ((1 << Self::KIND_SHIFT) - 1);
        match word >> Self::KIND_SHIFT {
            0 => Some((Says::In(id), rest)),
            1 => rest.split_first().map(|(parent, rest)| (Says::Opens { id, parent: *parent }, rest)),
            2 => Some((Says::Records(id), rest)),
            _ => Some((Says::Closes(id), rest)),
        }
    }
}

/// The spans around a record, the outermost first.
#[derive(Debug)]
pub(crate) struct Scope {
    pub(crate) spans: Vec<Arc<State>>,
    /// None of them is missing.
    pub(crate) is_whole: bool,
}

/// One span at one moment.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) id: u64,
    /// As it was opened, then what was recorded later.
    pub(crate) parts: Vec<Arc<Part>>,
}

/// Fields that came with one record.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) entry: &'static Entry<'static>,
    pub(crate) arguments: Box<[u64]>,
    pub(crate) truncated: bool,
}

impl Part {
    fn fields(&self) -> Fields<'_> {
        let Part { entry, arguments, truncated } = self;
        let values = Values::new(entry.types, arguments, *truncated);
        Fields { fields: entry.metadata.fields.iter(), values }
    }

    fn has(&self, name: &str) -> bool {
        self.entry.metadata.fields.iter().any(|field| field.name == name)
    }
}

/// The spans that a record was logged in, the outermost first.
///
/// They are the [contexts](crate::Context) that the program made with [`context!`](macro@crate::context); of records of
/// `tracing`, which come by the crate `treering-tracing`, their spans.
///
/// ```
/// use treering::handler::{Batch, Handler, HandlerError};
///
/// struct Example;
/// impl Handler for Example {
///     fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
///         for record in batch {
///             let path: Vec<_> = record.spans().map(|span| span.name()).collect();
///             assert_eq!(path, ["day", "order"]);
///             assert!(record.spans().is_whole());
///         }
///         Ok(())
///     }
/// }
/// # let (logger, guard) = treering::builder().handler(Example).start().unwrap();
/// # let _day = treering::context!(logger: logger, "day").enter();
/// # treering::context!(logger: logger, "order", id = 7).in_scope(|| treering::info!(logger: logger, "filled all"));
/// # assert!(guard.stop(std::time::Duration::from_secs(5)).unwrap().is_lossless());
/// ```
#[derive(Clone, Debug)]
pub struct Spans<'a> {
    rest: std::slice::Iter<'a, Arc<State>>,
    is_whole: bool,
}

impl<'a> Spans<'a> {
    pub(crate) fn of(scope: Option<&'a Scope>) -> Self {
        match scope {
            Some(scope) => Spans { rest: scope.spans.iter(), is_whole: scope.is_whole },
            None => Spans { rest: [].iter(), is_whole: true },
        }
    }

    /// Whether none is missing. One is if its open found no room in a ring, or if so many spans were open at once that the
    /// listener forgot it: then the spans that are known stand here, and they are the right ones.
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }
}

/// As a path, `request{path=/}:query`, as it is, without escaping; with `?:` before it if some are missing.
impl fmt::Display for Spans<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        if !self.is_whole {
            f.write_str("?")?;
            between = ":";
        }
        for span in self.clone() {
            write!(f, "{between}{}", span.name())?;
            between = ":";
            let mut before = "{";
            for field in span.fields() {
                write!(f, "{before}{}={field}", field.name())?;
                before = " ";
            }
            if before == " " {
                f.write_str("}")?;
            }
        }
        Ok(())
    }
}

impl<'a> Iterator for Spans<'a> {
    type Item = Span<'a>;

    fn next(&mut self) -> Option<Span<'a>> {
        self.rest.next().map(|state| Span { state })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.rest.size_hint()
    }
}

impl DoubleEndedIterator for Spans<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.rest.next_back().map(|state| Span { state })
    }
}

impl ExactSizeIterator for Spans<'_> {}

/// A span around a record: what it was when the record was logged. See [`Spans`].
///
/// ```
/// use treering::record::Record;
///
/// /// `request{path=/}`
/// fn innermost(record: &Record<'_>) -> Option<String> {
///     let span = record.spans().next_back()?;
///     let fields: Vec<_> = span.fields().map(|field| format!("{}={field}", field.name())).collect();
///     Some(format!("{}{{{}}}", span.name(), fields.join(" ")))
/// }
/// ```
#[derive(Clone, Copy)]
pub struct Span<'a> {
    state: &'a State,
}

impl<'a> Span<'a> {
    /// Its number, which no other span of the process ever has.
    pub fn id(&self) -> u64 {
        self.state.id
    }

    /// What it is called.
    pub fn name(&self) -> &'a str {
        match self.opened().metadata.pieces {
            [Piece::Literal(name)] => name,
            _ => "",
        }
    }

    /// The target of the place that opened it.
    pub fn target(&self) -> &'a str {
        self.opened().metadata.target
    }

    /// The level of the place that opened it.
    pub fn level(&self) -> Level {
        self.opened().metadata.level
    }

    /// Its fields: of those recorded again, the last value, at the place of the last time.
    pub fn fields(&self) -> impl Iterator<Item = FieldValue<'a>> + use<'a> {
        let parts = &self.state.parts;
        parts.iter().enumerate().flat_map(move |(at, part)| {
            let later = &parts[at + 1..];
            part.fields().filter(move |field| !later.iter().any(|part| part.has(field.name())))
        })
    }

    fn opened(&self) -> &'a Entry<'static> {
        self.state.parts[0].entry
    }
}

impl fmt::Debug for Span<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Span").field("id", &self.id()).field("name", &self.name()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_read_again() {
        for says in [Says::In(7), Says::Opens { id: 7, parent: 3 }, Says::Records(1 << 40), Says::Closes(1)] {
            let (words, count) = says.words();
            let record: Vec<_> = words[..count].iter().copied().chain([42]).collect();
            assert_eq!(Says::read(&record), Some((says, &[42][..])));
            assert_eq!(Says::read(&record[..count - 1]), None, "words are missing");
        }
    }
}
