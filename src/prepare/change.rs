//! A change of a record, and the record that it makes.
//!
//! A record is an [`Entry`], which names its parts and their types, and the words of its arguments. A change makes another
//! entry, in the batch's arena, and other words: first the arguments that are new, then those of the old ones that a field
//! or the message still refers to. So arguments that are missing, as the record was cut, stay at its end, and nothing that
//! was removed is left among the words.

use std::borrow::Cow;
use std::ops::Range;

use bumpalo::Bump;

use super::Content;
use crate::callsite::{Count, Entry, Field, Metadata, Piece, Spec, Style, Type};
use crate::level::Level;
use crate::record::{Encode, Value, Values, encode};

/// What is to be changed of a record: its level, its message, its fields. Made for each record that is changed; one without
/// changes allocates nothing.
///
/// Changes of fields are made in the order in which they were asked for. Time, thread, target and place of the call stay as
/// they are: they say where the record comes from.
///
/// ```
/// use treering::{Change, Level};
///
/// let change = Change::new()
///     .level(Level::Warn)
///     .message("login refused")
///     .set("region", "eu") // in the place of the field of this name, or behind the others
///     .set("attempts", 3_u32)
///     .redact("password")
///     .remove("debug_info");
/// ```
///
/// Cost on the listener's thread: the record's words and the list of its parts are copied, in some hundred nanoseconds.
#[derive(Clone, Default, Debug)]
#[must_use = "a change does nothing until a step returns it"]
pub struct Change {
    level: Option<Level>,
    message: Option<Kept>,
    edits: Vec<Edit>,
    /// Those of the new values.
    words: Vec<u64>,
}

type Name = Cow<'static, str>;

#[derive(Clone, Debug)]
enum Edit {
    Set(Name, Kept),
    Remove(Name),
    Redact(Name),
}

/// A new value: its type, and where it lies among the change's words.
#[derive(Clone, Debug)]
struct Kept {
    kind: &'static Type<'static>,
    words: Range<usize>,
}

impl Change {
    /// None.
    ///
    /// ```
    /// let change = treering::Change::new();
    /// ```
    pub fn new() -> Self {
        Change::default()
    }

    /// Sets the level, by which handlers choose.
    ///
    /// ```
    /// let change = treering::Change::new().level(treering::Level::Debug);
    /// ```
    pub fn level(mut self, level: Level) -> Self {
        self.level = Some(level);
        self
    }

    /// Sets the message. What the old one printed and no field has is gone from the record. The new one is shown as an argument
    /// is: what it may not show is escaped.
    ///
    /// ```
    /// # fn main() -> Result<(), treering::Error> {
    /// use treering::{Change, handler::Capture};
    ///
    /// let capture = Capture::new();
    /// let (logger, guard) = treering::builder()
    ///     .prepare(|record| Change::new().message(record.message().to_string().to_uppercase()).into())
    ///     .handler(capture.clone())
    ///     .start()?;
    /// treering::info!(logger: logger, "filled {}", 7);
    /// drop(guard);
    /// assert_eq!(capture.records()[0].message(), "FILLED 7");
    /// # Ok(())
    /// # }
    /// ```
    pub fn message(mut self, text: impl AsRef<str>) -> Self {
        self.message = Some(self.keep(text.as_ref()));
        self
    }

    /// Sets a field: instead of those that have this name, in the place of the first, or behind all others. The value keeps
    /// its type; one of a type that cannot be kept is set as text. The message stays as it is.
    ///
    /// ```
    /// let change = treering::Change::new().set("host.name", "node-7").set("peers", &[1_u16, 2][..]);
    /// ```
    pub fn set(mut self, name: impl Into<Cow<'static, str>>, value: impl Encode) -> Self {
        let kept = self.keep(&value);
        self.edits.push(Edit::Set(name.into(), kept));
        self
    }

    /// Removes the fields of this name. The message stays as it is.
    ///
    /// ```
    /// let change = treering::Change::new().remove("debug_info");
    /// ```
    pub fn remove(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.edits.push(Edit::Remove(name.into()));
        self
    }

    /// Lets the fields of this name say `[redacted]`, in every format, as a [`Secret`](crate::Secret) does; their values are
    /// gone from the record. So are equal values of the same type that the message prints, as in
    /// `info!(password, "login with {password}")`. What the message says of it in another form, such as in a longer text
    /// that was made at the call, is not known: keep it a `Secret`, or set the message.
    ///
    /// ```
    /// let change = treering::Change::new().redact("password");
    /// ```
    pub fn redact(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.edits.push(Edit::Redact(name.into()));
        self
    }

    fn keep(&mut self, value: &(impl Encode + ?Sized)) -> Kept {
        let start = self.words.len();
        let kind = encode::append(value, &mut self.words);
        Kept { kind, words: start..self.words.len() }
    }

    /// The record as it is with this change. `truncated`: arguments may be missing.
    pub(super) fn apply<'a>(&self, before: Content<'a>, truncated: bool, arena: &'a Bump) -> Content<'a> {
        if self.level.is_none() && self.message.is_none() && self.edits.is_empty() {
            return before;
        }
        let mut old = Old::new(before, truncated);
        let fields = self.edited(&mut old, arena);
        let metadata = before.entry.metadata;
        let pieces = if self.message.is_some() { &[] } else { metadata.pieces };
        old.redact_in(pieces);
        fields.iter().for_each(|field| old.mark(&field.value));
        pieces.iter().for_each(|piece| positions_of(piece).for_each(|at| old.is_used[at] = true));

        let mut new = Arguments::default();
        let message = self.message.as_ref().map(|text| new.push(text.kind, &self.words[text.words.clone()]));
        let set = fields.iter().map(|field| self.push_new(&field.value, &mut new)).collect::<Vec<_>>();
        let moved = old.push_used(&mut new);
        let field = |(field, set): (&Draft<'a>, &Option<usize>)| Field {
            name: field.name,
            argument: set.unwrap_or_else(|| field.value.position().map_or(0, |at| moved[at])),
            style: field.style,
        };
        let fields = arena.alloc_slice_fill_iter(fields.iter().zip(&set).map(field));
        let pieces = match message {
            Some(at) => &*arena.alloc_slice_copy(&[Piece::Argument(at, Spec::DISPLAY)]),
            None => arena.alloc_slice_fill_iter(pieces.iter().map(|piece| with_positions(piece, &moved))),
        };
        let level = self.level.unwrap_or(metadata.level);
        let metadata = arena.alloc(Metadata { level, pieces, fields, ..*metadata });
        let types = arena.alloc_slice_copy(&new.types);
        Content {
            entry: arena.alloc(Entry { metadata, types }),
            arguments: arena.alloc_slice_copy(&new.words),
        }
    }

    /// The fields after all edits.
    fn edited<'a>(&self, old: &mut Old<'a>, arena: &'a Bump) -> Vec<Draft<'a>> {
        let of_entry = old.content.entry.metadata.fields.iter();
        let draft = |field: &Field<'a>| Draft {
            name: field.name,
            style: field.style,
            value: Of::Old(field.argument),
        };
        let mut fields: Vec<_> = of_entry.map(draft).collect();
        for edit in &self.edits {
            match edit {
                Edit::Set(name, kept) => {
                    let place = fields.iter().position(|field| field.name == name);
                    fields.retain({
                        let mut at = 0..;
                        move |field| at.next() == place || field.name != name
                    });
                    let set = Draft {
                        name: in_arena(name, arena),
                        style: Style::Value,
                        value: Of::New(kept.clone()),
                    };
                    match place {
                        Some(place) => fields[place] = set,
                        None => fields.push(set),
                    }
                }
                Edit::Remove(name) => fields.retain(|field| field.name != name),
                Edit::Redact(name) => {
                    for field in fields.iter_mut().filter(|field| field.name == name) {
                        match &field.value {
                            Of::Old(at) => old.is_redacted[*at] = true,
                            Of::New(_) => field.value = Of::Redacted,
                            Of::Redacted => {}
                        }
                    }
                }
            }
        }
        fields
    }

    /// Where a field's value lies among the new arguments, if it is a new one.
    fn push_new(&self, value: &Of, new: &mut Arguments<'_>) -> Option<usize> {
        match value {
            Of::Old(_) => None,
            Of::New(kept) => Some(new.push(kept.kind, &self.words[kept.words.clone()])),
            Of::Redacted => Some(new.push(&Type::Redacted, &[0])),
        }
    }
}

/// A field on its way into the changed record.
struct Draft<'a> {
    name: &'a str,
    style: Style,
    value: Of,
}

/// What a field's value is.
enum Of {
    /// The argument at this position of the old ones.
    Old(usize),
    New(Kept),
    /// A new one that was redacted.
    Redacted,
}

impl Of {
    fn position(&self) -> Option<usize> {
        match self {
            Of::Old(at) => Some(*at),
            Of::New(_) | Of::Redacted => None,
        }
    }
}

/// The record before, and which of its arguments go on.
struct Old<'a> {
    content: Content<'a>,
    /// Where each argument lies among the words, as far as that can be read: the others are at the end.
    places: Vec<Range<usize>>,
    is_used: Vec<bool>,
    is_redacted: Vec<bool>,
}

impl<'a> Old<'a> {
    fn new(content: Content<'a>, truncated: bool) -> Self {
        let Content { entry, arguments } = content;
        let mut values = Values::new(entry.types, arguments, truncated);
        let mut places = Vec::with_capacity(entry.types.len());
        let mut start = 0;
        while let Some(value) = values.next()
            && !matches!(value, Value::Missing | Value::Undecodable(_))
        {
            let end = arguments.len() - values.words_left();
            places.push(start..end);
            start = end;
        }
        let none = vec![false; entry.types.len()];
        Old { content, places, is_used: none.clone(), is_redacted: none }
    }

    /// The words of an argument, if it can be read.
    fn words(&self, at: usize) -> Option<&'a [u64]> {
        self.places.get(at).map(|place| &self.content.arguments[place.clone()])
    }

    /// Arguments of the message that say what a redacted one does are redacted, too: a variable that the message captures
    /// is an argument of its own.
    fn redact_in(&mut self, pieces: &[Piece<'_>]) {
        let types = self.content.entry.types;
        let secrets: Vec<_> = (0..types.len()).filter(|at| self.is_redacted[*at]).collect();
        for at in pieces.iter().flat_map(positions_of).filter(|_| !secrets.is_empty()) {
            let says = self.words(at);
            let is_secret =
                |secret: &usize| types[*secret] == types[at] && says.is_some() && self.words(*secret) == says;
            self.is_redacted[at] |= secrets.iter().any(is_secret);
        }
    }

    fn mark(&mut self, value: &Of) {
        if let Some(at) = value.position() {
            self.is_used[at] = true;
        }
    }

    /// Appends what goes on, and says where each argument lies now.
    fn push_used(&self, new: &mut Arguments<'a>) -> Vec<usize> {
        let types = self.content.entry.types;
        let moved = (0..types.len()).map(|at| match (self.is_used[at], self.words(at)) {
            (false, _) => 0,
            (true, Some(_)) if self.is_redacted[at] => new.push(&Type::Redacted, &[0]),
            (true, words) => new.push(types[at], words.unwrap_or(&[])),
        });
        moved.collect()
    }
}

/// The arguments of the changed record.
#[derive(Default)]
struct Arguments<'a> {
    types: Vec<&'a Type<'a>>,
    words: Vec<u64>,
}

impl<'a> Arguments<'a> {
    /// One more. Returns its position.
    fn push(&mut self, kind: &'a Type<'a>, words: &[u64]) -> usize {
        self.types.push(kind);
        self.words.extend_from_slice(words);
        self.types.len() - 1
    }
}

/// The arguments that a piece refers to.
fn positions_of(piece: &Piece<'_>) -> impl Iterator<Item = usize> + use<> {
    piece.arguments().into_iter().flatten()
}

/// A piece whose arguments have moved.
fn with_positions<'a>(piece: &Piece<'a>, moved: &[usize]) -> Piece<'a> {
    let count = |count| match count {
        Count::Argument(at) => Count::Argument(moved[at]),
        other => other,
    };
    match *piece {
        Piece::Literal(text) => Piece::Literal(text),
        Piece::Argument(at, spec) => Piece::Argument(
            moved[at],
            Spec { width: count(spec.width), precision: count(spec.precision), ..spec },
        ),
    }
}

fn in_arena<'a>(name: &Name, arena: &'a Bump) -> &'a str {
    match name {
        Cow::Borrowed(name) => name,
        Cow::Owned(name) => arena.alloc_str(name),
    }
}
