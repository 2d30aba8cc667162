//! Values that are not copied out of a record but looked at where they lie: text, and what contains other values.
//!
//! Each was read to its end when it was made, which is how its own end was found; walking it reads it again.

use std::fmt;

use super::{
    DecodeError, Value, bool_of, bytes, counts, read_nested, read_or_mark, read_packed, small, take,
    whole_chars, word, zero,
};
use crate::callsite::{Bodies, Members, Shape, Type, Types};

/// A string in a record, which may have been cut.
///
/// ```
/// use treering::handler::{Batch, Handler, HandlerError};
///
/// struct Example;
/// impl Handler for Example {
///     fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
///         for record in batch {
///             let _: Option<&str> = record.value(0).and_then(|value| value.as_str());
///         }
///         Ok(())
///     }
/// }
/// # let (logger, guard) = treering::builder().handler(Example).start().unwrap();
/// # treering::info!(logger: logger, order_id = 7_u64, peers = &[1_u8, 2], pair = (1_u8, "x"), gap = None::<u8>, "filled {}", "all");
/// # let report = guard.stop(std::time::Duration::from_secs(5)).unwrap();
/// # assert!(report.is_lossless(), "{report:#?}");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Text<'a> {
    text: &'a str,
    missing: u32,
}

impl<'a> Text<'a> {
    /// What was kept of it.
    pub fn as_str(&self) -> &'a str {
        self.text
    }

    /// How many bytes were cut off.
    pub fn missing(&self) -> usize {
        self.missing as usize
    }

    pub(super) fn read(words: &mut &'a [u64]) -> Result<Text<'a>, DecodeError> {
        let (stored, full) = counts(words)?;
        let bytes = bytes(take(words, stored.div_ceil(8))?, stored)?;
        let text = whole_chars(bytes, stored < full as usize)?;
        Ok(Text { text, missing: full - text.len() as u32 })
    }
}

/// The messages of an error and of its sources, the outermost first; or the frames of a backtrace, the innermost
/// first.
///
/// ```
/// use treering::handler::{Batch, Handler, HandlerError};
///
/// struct Example;
/// impl Handler for Example {
///     fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
///         for record in batch {
///             if let Some(treering::record::Value::Error(chain)) = record.value(0) {
///                 let texts: Vec<&str> = chain.iter().collect();
///                 # let _ = texts;
///             }
///         }
///         Ok(())
///     }
/// }
/// # let (logger, guard) = treering::builder().handler(Example).start().unwrap();
/// # treering::info!(logger: logger, order_id = 7_u64, peers = &[1_u8, 2], pair = (1_u8, "x"), gap = None::<u8>, "filled {}", "all");
/// # let report = guard.stop(std::time::Duration::from_secs(5)).unwrap();
/// # assert!(report.is_lossless(), "{report:#?}");
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Chain<'a> {
    bytes: &'a [u8],
    missing: u32,
}

impl<'a> Chain<'a> {
    /// The messages, or the frames.
    pub fn iter(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let cut = self.missing > 0;
        let mut rest = self.bytes;
        std::iter::from_fn(move || Self::message(&mut rest, cut).ok().flatten())
    }

    /// How many bytes were cut off.
    pub fn missing(&self) -> usize {
        self.missing as usize
    }

    pub(super) fn read(words: &mut &'a [u64]) -> Result<Chain<'a>, DecodeError> {
        let (stored, full) = counts(words)?;
        let bytes = bytes(take(words, stored.div_ceil(8))?, stored)?;
        let mut rest = bytes;
        while Self::message(&mut rest, stored < full as usize)?.is_some() {}
        Ok(Chain { bytes, missing: full - stored as u32 })
    }

    /// Takes one message. Of a chain that was cut, the last one may be short.
    fn message(rest: &mut &'a [u8], cut: bool) -> Result<Option<&'a str>, DecodeError> {
        let Some((prefix, after)) = rest.split_first_chunk::<4>() else {
            let left = std::mem::take(rest);
            return if left.is_empty() || cut { Ok(None) } else { Err(DecodeError::Short) };
        };
        let len = u32::from_le_bytes(*prefix) as usize;
        let (message, after) = match after.split_at_checked(len) {
            Some(split) => split,
            None if cut && after.is_empty() => return Ok(None),
            None if cut => (after, &[][..]),
            None => return Err(DecodeError::Short),
        };
        *rest = after;
        whole_chars(message, message.len() < len).map(Some)
    }
}

impl fmt::Debug for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// An `Option` in a record.
///
/// ```
/// use treering::handler::{Batch, Handler, HandlerError};
///
/// struct Example;
/// impl Handler for Example {
///     fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
///         for record in batch {
///             if let Some(treering::record::Value::Option(option)) = record.field("gap").map(|field| field.value()) {
///                 assert!(option.value().is_none());
///             }
///         }
///         Ok(())
///     }
/// }
/// # let (logger, guard) = treering::builder().handler(Example).start().unwrap();
/// # treering::info!(logger: logger, order_id = 7_u64, peers = &[1_u8, 2], pair = (1_u8, "x"), gap = None::<u8>, "filled {}", "all");
/// # let report = guard.stop(std::time::Duration::from_secs(5)).unwrap();
/// # assert!(report.is_lossless(), "{report:#?}");
/// ```
#[derive(Clone, Copy)]
pub struct Optional<'a> {
    inner: Option<(&'a Type<'a>, &'a [u64])>,
}

impl<'a> Optional<'a> {
    pub(super) fn read(
        inner: &'a Type<'a>,
        words: &mut &'a [u64],
        depth: usize,
    ) -> Result<Self, DecodeError> {
        if !bool_of(word(words)?)? {
            return Ok(Optional { inner: None });
        }
        let start = *words;
        read_nested(inner, words, depth)?;
        Ok(Optional { inner: Some((inner, start)) })
    }

    /// What is inside.
    pub fn value(&self) -> Option<Value<'a>> {
        self.inner.map(|(kind, mut words)| read_or_mark(kind, &mut words))
    }
}

impl fmt::Debug for Optional<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value().fmt(f)
    }
}

/// A list in a record, which may have been cut.
///
/// ```
/// use treering::handler::{Batch, Handler, HandlerError};
///
/// struct Example;
/// impl Handler for Example {
///     fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
///         for record in batch {
///             if let Some(treering::record::Value::List(list)) = record.field("peers").map(|field| field.value()) {
///                 assert_eq!((list.len(), list.missing(), list.is_empty()), (2, 0, false));
///             }
///         }
///         Ok(())
///     }
/// }
/// # let (logger, guard) = treering::builder().handler(Example).start().unwrap();
/// # treering::info!(logger: logger, order_id = 7_u64, peers = &[1_u8, 2], pair = (1_u8, "x"), gap = None::<u8>, "filled {}", "all");
/// # let report = guard.stop(std::time::Duration::from_secs(5)).unwrap();
/// # assert!(report.is_lossless(), "{report:#?}");
/// ```
#[derive(Clone, Copy)]
pub struct List<'a> {
    element: &'a Type<'a>,
    words: &'a [u64],
    stored: usize,
    missing: u32,
}

impl<'a> List<'a> {
    /// How many elements were kept.
    pub fn len(&self) -> usize {
        self.stored
    }

    /// Whether no element was kept.
    pub fn is_empty(&self) -> bool {
        self.stored == 0
    }

    /// How many elements were cut off.
    pub fn missing(&self) -> usize {
        self.missing as usize
    }

    /// The elements that were kept.
    pub fn iter(&self) -> Elements<'a> {
        Elements { list: *self, at: 0 }
    }

    pub(super) fn read(
        element: &'a Type<'a>,
        words: &mut &'a [u64],
        depth: usize,
    ) -> Result<List<'a>, DecodeError> {
        let (stored, full) = counts(words)?;
        let start = *words;
        match element.packed_bytes() {
            Some(size) => {
                let content = take(words, stored.checked_mul(size).ok_or(DecodeError::Short)?.div_ceil(8))?;
                if matches!(element, Type::Bool | Type::Char) {
                    for at in 0..stored {
                        read_packed(element, size, content, at)?;
                    }
                }
            }
            None => {
                for _ in 0..stored {
                    read_nested(element, words, depth)?;
                }
            }
        }
        let words = &start[..start.len() - words.len()];
        Ok(List { element, words, stored, missing: full - stored as u32 })
    }
}

impl<'a> IntoIterator for &List<'a> {
    type Item = Value<'a>;
    type IntoIter = Elements<'a>;

    fn into_iter(self) -> Elements<'a> {
        self.iter()
    }
}

impl fmt::Debug for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// The elements of a [`List`].
///
/// ```
/// use treering::handler::{Batch, Handler, HandlerError};
///
/// struct Example;
/// impl Handler for Example {
///     fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
///         for record in batch {
///             if let Some(treering::record::Value::List(list)) = record.field("peers").map(|field| field.value()) {
///                 assert_eq!(list.iter().filter_map(|element| element.as_u64()).collect::<Vec<_>>(), [1, 2]);
///             }
///         }
///         Ok(())
///     }
/// }
/// # let (logger, guard) = treering::builder().handler(Example).start().unwrap();
/// # treering::info!(logger: logger, order_id = 7_u64, peers = &[1_u8, 2], pair = (1_u8, "x"), gap = None::<u8>, "filled {}", "all");
/// # let report = guard.stop(std::time::Duration::from_secs(5)).unwrap();
/// # assert!(report.is_lossless(), "{report:#?}");
/// ```
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    /// For elements that are not packed, its words begin with the next one.
    list: List<'a>,
    at: usize,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        if self.at == self.list.stored {
            return None;
        }
        let element = self.list.element;
        let value = match element.packed_bytes() {
            Some(size) => {
                read_packed(element, size, self.list.words, self.at).unwrap_or_else(Value::Undecodable)
            }
            None => read_or_mark(element, &mut self.list.words),
        };
        self.at += 1;
        Some(value)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.list.stored - self.at, Some(self.list.stored - self.at))
    }
}

impl ExactSizeIterator for Elements<'_> {}

/// A tuple in a record.
///
/// ```
/// use treering::handler::{Batch, Handler, HandlerError};
///
/// struct Example;
/// impl Handler for Example {
///     fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
///         for record in batch {
///             if let Some(treering::record::Value::Tuple(parts)) = record.field("pair").map(|field| field.value()) {
///                 assert_eq!(parts.len(), 2);
///             }
///         }
///         Ok(())
///     }
/// }
/// # let (logger, guard) = treering::builder().handler(Example).start().unwrap();
/// # treering::info!(logger: logger, order_id = 7_u64, peers = &[1_u8, 2], pair = (1_u8, "x"), gap = None::<u8>, "filled {}", "all");
/// # let report = guard.stop(std::time::Duration::from_secs(5)).unwrap();
/// # assert!(report.is_lossless(), "{report:#?}");
/// ```
#[derive(Clone, Copy)]
pub struct Tuple<'a> {
    types: &'a [&'a Type<'a>],
    words: &'a [u64],
}

impl<'a> Tuple<'a> {
    pub(super) fn read(
        types: &'a [&'a Type<'a>],
        words: &mut &'a [u64],
        depth: usize,
    ) -> Result<Self, DecodeError> {
        if types.is_empty() {
            return Err(DecodeError::Type); // would take no words
        }
        let start = *words;
        for part in types {
            read_nested(part, words, depth)?;
        }
        Ok(Tuple { types, words: &start[..start.len() - words.len()] })
    }

    /// How many parts it has; at least one.
    #[expect(clippy::len_without_is_empty, reason = "a tuple without parts is `()`")]
    pub fn len(&self) -> usize {
        self.types.len()
    }

    /// Its parts.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Value<'a>> + use<'a> {
        let mut words = self.words;
        self.types.iter().map(move |part| read_or_mark(part, &mut words))
    }
}

impl fmt::Debug for Tuple<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// A struct in a record, or the variant of an enum: a name, and fields.
///
/// ```
/// use treering::handler::{Batch, Handler, HandlerError};
///
/// #[derive(treering::Encode)]
/// struct Order { id: u64, venue: &'static str }
///
/// struct Example;
/// impl Handler for Example {
///     fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
///         for record in batch {
///             if let Some(treering::record::Value::Struct(order)) = record.field("order").map(|field| field.value()) {
///                 assert_eq!((order.name(), order.len(), order.is_whole()), ("Order", 2, true));
///                 assert_eq!(order.field("venue").and_then(|venue| venue.as_str()), Some("XNAS"));
///                 let names: Vec<_> = order.fields().map(|(name, _)| name.unwrap()).collect();
///                 assert_eq!(names, ["id", "venue"]);
///             }
///         }
///         Ok(())
///     }
/// }
/// # let (logger, guard) = treering::builder().handler(Example).start().unwrap();
/// let order = Order { id: 7, venue: "XNAS" };
/// treering::info!(logger: logger, order, "filled");
/// # let report = guard.stop(std::time::Duration::from_secs(5)).unwrap();
/// # assert!(report.is_lossless(), "{report:#?}");
/// ```
#[derive(Clone, Copy)]
pub struct Struct<'a> {
    shape: &'a Shape<'a>,
    types: &'a Types<'a>,
    words: &'a [u64],
}

impl<'a> Struct<'a> {
    /// A struct; one without fields has a word of its own.
    pub(super) fn read(
        shape: &'a Shape<'a>,
        types: &'a Types<'a>,
        words: &mut &'a [u64],
        depth: usize,
    ) -> Result<Self, DecodeError> {
        if *types == Types::End {
            zero(words)?;
        }
        Struct::read_fields(shape, types, words, depth)
    }

    /// The position of a variant, and its fields if it has any.
    pub(super) fn read_variant(
        shapes: &'a [Shape<'a>],
        bodies: &'a Bodies<'a>,
        words: &mut &'a [u64],
        depth: usize,
    ) -> Result<Self, DecodeError> {
        let position: usize = small(words)?;
        let shape = shapes.get(position).ok_or(DecodeError::Range)?;
        let has_fields = |shape: &&Shape<'_>| shape.members.len() > 0;
        let types = if has_fields(&shape) {
            let before = shapes[..position].iter().filter(has_fields).count();
            bodies.iter().nth(before).ok_or(DecodeError::Type)?
        } else {
            &Types::End
        };
        Struct::read_fields(shape, types, words, depth)
    }

    fn read_fields(
        shape: &'a Shape<'a>,
        types: &'a Types<'a>,
        words: &mut &'a [u64],
        depth: usize,
    ) -> Result<Self, DecodeError> {
        let start = *words;
        let mut fields = 0;
        for field in types.types() {
            read_nested(field, words, depth)?;
            fields += 1;
        }
        if fields != shape.members.len() {
            return Err(DecodeError::Type);
        }
        Ok(Struct { shape, types, words: &start[..start.len() - words.len()] })
    }

    /// The name of the struct, or of the variant.
    pub fn name(&self) -> &'a str {
        self.shape.name
    }

    /// How many fields the record has of it.
    pub fn len(&self) -> usize {
        self.shape.members.len()
    }

    /// Whether the record has no field of it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether none of its fields is `#[encode(skip)]`.
    pub fn is_whole(&self) -> bool {
        self.shape.is_whole
    }

    /// Whether its fields have names.
    pub(crate) fn is_named(&self) -> bool {
        matches!(self.shape.members, Members::Named(_))
    }

    /// Its fields in order, each with its name, unless they are those of a tuple.
    pub fn fields(&self) -> impl Iterator<Item = (Option<&'a str>, Value<'a>)> + use<'a> {
        let mut words = self.words;
        let members = self.shape.members;
        let name = move |at: usize| match members {
            Members::Named(names) => names.get(at).copied(),
            Members::Numbered(_) => None,
        };
        self.types.types().enumerate().map(move |(at, field)| (name(at), read_or_mark(field, &mut words)))
    }

    /// The field with this name.
    pub fn field(&self, name: &str) -> Option<Value<'a>> {
        self.fields().find(|(candidate, _)| *candidate == Some(name)).map(|(_, value)| value)
    }
}

impl fmt::Debug for Struct<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Struct").field("name", &self.name()).finish_non_exhaustive()
    }
}
