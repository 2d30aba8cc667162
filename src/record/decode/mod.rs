//! From words back to typed values, on the listener's thread.
//!
//! A [`Value`] is a small copy or a view into the record's words; compound values are read again when they are
//! walked. Decoding is total. Each value is checked to its innermost part before it is handed out: any words give
//! values or a [`DecodeError`], never a panic; nothing is allocated; and as every element of a list takes up words,
//! no count in the input makes a loop longer than the input.
#![allow(unsafe_code, reason = "looks at words as bytes")]

mod views;

pub use views::{Chain, Elements, List, Optional, Struct, Text, Tuple};

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::time::Duration;

use crate::callsite::Type;

/// How deep types may be nested: a bound on the stack, far beyond what anybody logs.
pub(super) const MAX_DEPTH: usize = 64;

/// One argument of a record, with its type.
///
/// ```
/// use treering::handler::{Batch, Handler, HandlerError};
///
/// struct Example;
/// impl Handler for Example {
///     fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
///         use treering::record::Value;
///         for value in batch.iter().flat_map(|record| record.values()) {
///             match value {
///                 Value::U64(number) => assert_eq!(number, 7),
///                 Value::Str(text) => assert_eq!(text.as_str(), "all"),
///                 Value::List(list) => assert_eq!(list.iter().next().unwrap().as_u64(), Some(1)),
///                 Value::Tuple(parts) => assert_eq!(parts.iter().nth(1).unwrap().as_str(), Some("x")),
///                 Value::Option(option) => assert!(option.value().is_none()),
///                 other => panic!("{other:?}"),
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
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Value<'a> {
    /// `bool`
    Bool(bool),
    /// `char`
    Char(char),
    /// `u8`
    U8(u8),
    /// `u16`
    U16(u16),
    /// `u32`
    U32(u32),
    /// `u64` or `usize`
    U64(u64),
    /// `u128`
    U128(u128),
    /// `i8`
    I8(i8),
    /// `i16`
    I16(i16),
    /// `i32`
    I32(i32),
    /// `i64` or `isize`
    I64(i64),
    /// `i128`
    I128(i128),
    /// `f32`
    F32(f32),
    /// `f64`
    F64(f64),
    /// `()`
    Unit,
    /// A string.
    Str(Text<'a>),
    /// Text that was formatted at the call, as the type has no values that could be kept.
    Text(Text<'a>),
    /// An error and its sources, as text.
    Error(Chain<'a>),
    /// A [`Backtrace`](std::backtrace::Backtrace): its frames as text, the innermost first.
    Backtrace(Chain<'a>),
    /// `Duration`
    Duration(Duration),
    /// `Ipv4Addr`
    Ipv4Addr(Ipv4Addr),
    /// `Ipv6Addr`
    Ipv6Addr(Ipv6Addr),
    /// `IpAddr`
    IpAddr(IpAddr),
    /// `SocketAddrV4`
    SocketAddrV4(SocketAddrV4),
    /// `SocketAddrV6`
    SocketAddrV6(SocketAddrV6),
    /// `SocketAddr`
    SocketAddr(SocketAddr),
    /// `Option`
    Option(Optional<'a>),
    /// A slice, an array or a vector.
    List(List<'a>),
    /// A tuple.
    Tuple(Tuple<'a>),
    /// A struct that derives [`Encode`](crate::Encode).
    Struct(Struct<'a>),
    /// A value of an enum that derives [`Encode`](crate::Encode): its variant.
    Variant(Struct<'a>),
    /// Not in the record, as it must not be shown: a [`Secret`](crate::Secret).
    Redacted,
    /// Absent, as the record was too long for its ring and was cut before it.
    Missing,
    /// The words are not such a value.
    Undecodable(DecodeError),
}

impl<'a> Value<'a> {
    /// An integer that is not negative and fits.
    pub fn as_u64(&self) -> Option<u64> {
        match *self {
            Value::U8(value) => Some(value.into()),
            Value::U16(value) => Some(value.into()),
            Value::U32(value) => Some(value.into()),
            Value::U64(value) => Some(value),
            Value::U128(value) => value.try_into().ok(),
            Value::I8(value) => value.try_into().ok(),
            Value::I16(value) => value.try_into().ok(),
            Value::I32(value) => value.try_into().ok(),
            Value::I64(value) => value.try_into().ok(),
            Value::I128(value) => value.try_into().ok(),
            _ => None,
        }
    }

    /// An integer that fits.
    pub fn as_i64(&self) -> Option<i64> {
        match *self {
            Value::I8(value) => Some(value.into()),
            Value::I16(value) => Some(value.into()),
            Value::I32(value) => Some(value.into()),
            Value::I64(value) => Some(value),
            Value::I128(value) => value.try_into().ok(),
            Value::U128(value) => value.try_into().ok(),
            _ => self.as_u64()?.try_into().ok(),
        }
    }

    /// A float, or an integer that a float can say exactly (up to 32 bits).
    pub fn as_f64(&self) -> Option<f64> {
        match *self {
            Value::F32(value) => Some(value.into()),
            Value::F64(value) => Some(value),
            Value::U8(value) => Some(value.into()),
            Value::U16(value) => Some(value.into()),
            Value::U32(value) => Some(value.into()),
            Value::I8(value) => Some(value.into()),
            Value::I16(value) => Some(value.into()),
            Value::I32(value) => Some(value.into()),
            _ => None,
        }
    }

    /// A string, or text that was formatted at the call; as much of it as was kept.
    pub fn as_str(&self) -> Option<&'a str> {
        match self {
            Value::Str(text) | Value::Text(text) => Some(text.as_str()),
            _ => None,
        }
    }

    /// A `bool`.
    pub fn as_bool(&self) -> Option<bool> {
        match *self {
            Value::Bool(value) => Some(value),
            _ => None,
        }
    }
}

/// The arguments of a record, in the order of its argument list.
///
/// ```
/// use treering::handler::{Batch, Handler, HandlerError};
///
/// struct Example;
/// impl Handler for Example {
///     fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
///         for record in batch {
///             assert_eq!(record.values().len(), 5); // the fields' and the message's
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
pub struct Values<'a> {
    types: &'a [&'a Type<'a>],
    words: &'a [u64],
    truncated: bool,
    /// How many arguments were read, and the words after them.
    at: usize,
    rest: &'a [u64],
    /// What ended the reading: where one argument cannot be read nobody knows where the next one begins. Nothing is left
    /// to read then.
    failed: Option<DecodeError>,
}

impl<'a> Values<'a> {
    #[inline]
    pub(crate) fn new(types: &'a [&'a Type<'a>], words: &'a [u64], truncated: bool) -> Self {
        Values { types, words, truncated, at: 0, rest: words, failed: None }
    }

    /// How many words lie behind those that were read.
    pub(crate) fn words_left(&self) -> usize {
        self.rest.len()
    }

    /// The argument at a position. Going forward costs what lies between, going back starts anew.
    #[inline]
    pub(crate) fn seek(&mut self, position: usize) -> Option<Value<'a>> {
        if position != self.at {
            self.go_to(position);
        }
        self.next()
    }

    #[inline(never)]
    fn go_to(&mut self, position: usize) {
        if position < self.at {
            *self = Values::new(self.types, self.words, self.truncated);
        }
        while self.at < position && self.next().is_some() {}
    }

    /// An argument that is not just a word.
    fn next_of(&mut self, kind: &'a Type<'a>) -> Value<'a> {
        if let Some(error) = self.failed {
            return Value::Undecodable(error);
        }
        if self.truncated && self.rest.is_empty() {
            return Value::Missing;
        }
        read(kind, &mut self.rest, 0).unwrap_or_else(|error| {
            self.failed = Some(error);
            self.rest = &[];
            Value::Undecodable(error)
        })
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = Value<'a>;

    #[inline]
    fn next(&mut self) -> Option<Value<'a>> {
        let kind = *self.types.get(self.at)?;
        self.at += 1;
        if let [word, rest @ ..] = self.rest
            && let Some(value) = of_word(kind, *word)
        {
            self.rest = rest;
            return Some(value);
        }
        Some(self.next_of(kind))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.types.len() - self.at, Some(self.types.len() - self.at))
    }
}

impl ExactSizeIterator for Values<'_> {}

/// Why words are not a value.
///
/// ```
/// assert_eq!(treering::record::DecodeError::Utf8.to_string(), "not UTF-8");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum DecodeError {
    /// They end before the value does.
    Short,
    /// A number or a tag is out of its type's range.
    Range,
    /// Text is not UTF-8.
    Utf8,
    /// More is stored than there was.
    Count,
    /// The type is one that no value has, or is nested too deep.
    Type,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DecodeError::Short => "too short",
            DecodeError::Range => "out of range",
            DecodeError::Utf8 => "not UTF-8",
            DecodeError::Count => "wrong count",
            DecodeError::Type => "no such type",
        })
    }
}

impl std::error::Error for DecodeError {}

fn read_or_mark<'a>(kind: &'a Type<'a>, words: &mut &'a [u64]) -> Value<'a> {
    read(kind, words, 0).unwrap_or_else(Value::Undecodable)
}

fn read_nested<'a>(
    kind: &'a Type<'a>,
    words: &mut &'a [u64],
    depth: usize,
) -> Result<Value<'a>, DecodeError> {
    if depth == MAX_DEPTH { Err(DecodeError::Type) } else { read(kind, words, depth + 1) }
}

/// A value that is a word, whatever its bits: that of most numbers.
#[inline]
fn of_word<'a>(kind: &Type<'_>, word: u64) -> Option<Value<'a>> {
    Some(match kind {
        Type::U64 => Value::U64(word),
        Type::I64 => Value::I64(word as i64),
        Type::F64 => Value::F64(f64::from_bits(word)),
        _ => return None,
    })
}

/// Takes a value of a type from the beginning of `words`.
fn read<'a>(kind: &'a Type<'a>, words: &mut &'a [u64], depth: usize) -> Result<Value<'a>, DecodeError> {
    Ok(match kind {
        Type::Bool => Value::Bool(bool_of(word(words)?)?),
        Type::Char => Value::Char(char_of(small(words)?)?),
        Type::U8 => Value::U8(small(words)?),
        Type::U16 => Value::U16(small(words)?),
        Type::U32 => Value::U32(small(words)?),
        Type::U64 | Type::I64 | Type::F64 => of_word(kind, word(words)?).ok_or(DecodeError::Type)?,
        Type::U128 => Value::U128(double(words)?),
        Type::I8 => Value::I8(signed(words)?),
        Type::I16 => Value::I16(signed(words)?),
        Type::I32 => Value::I32(signed(words)?),
        Type::I128 => Value::I128(double(words)? as i128),
        Type::F32 => Value::F32(f32::from_bits(small(words)?)),
        Type::Unit => zero(words).map(|()| Value::Unit)?,
        Type::Redacted => zero(words).map(|()| Value::Redacted)?,
        Type::Str => Value::Str(Text::read(words)?),
        Type::Text => Value::Text(Text::read(words)?),
        Type::Error => Value::Error(Chain::read(words)?),
        Type::Backtrace => Value::Backtrace(Chain::read(words)?),
        Type::Duration => Value::Duration(duration(words)?),
        Type::Ipv4Addr => Value::Ipv4Addr(Ipv4Addr::from_bits(small(words)?)),
        Type::Ipv6Addr => Value::Ipv6Addr(Ipv6Addr::from_bits(double(words)?)),
        Type::IpAddr => Value::IpAddr(ip(words)?),
        Type::SocketAddrV4 => Value::SocketAddrV4(socket_v4(words)?),
        Type::SocketAddrV6 => Value::SocketAddrV6(socket_v6(words)?),
        Type::SocketAddr => Value::SocketAddr(socket(words)?),
        Type::Option(inner) => Value::Option(Optional::read(inner, words, depth)?),
        Type::List(element) => Value::List(List::read(element, words, depth)?),
        Type::Tuple(types) => Value::Tuple(Tuple::read(types, words, depth)?),
        Type::Struct(shape, fields) => Value::Struct(Struct::read(shape, fields, words, depth)?),
        Type::Enum(shapes, bodies) => Value::Variant(Struct::read_variant(shapes, bodies, words, depth)?),
    })
}

/// The packed element at a position.
#[allow(clippy::host_endian_bytes, reason = "ring records stay in the process that wrote them")]
fn read_packed<'a>(
    kind: &'a Type<'a>,
    size: usize,
    words: &'a [u64],
    at: usize,
) -> Result<Value<'a>, DecodeError> {
    let content = bytes(words, words.len() * 8)?;
    let place = at * size..(at + 1) * size;
    let element = content.get(place).ok_or(DecodeError::Short)?;
    Ok(match kind {
        Type::Bool => Value::Bool(bool_of(u8::from_ne_bytes(native(element)?).into())?),
        Type::Char => Value::Char(char_of(u32::from_ne_bytes(native(element)?))?),
        Type::U8 => Value::U8(u8::from_ne_bytes(native(element)?)),
        Type::U16 => Value::U16(u16::from_ne_bytes(native(element)?)),
        Type::U32 => Value::U32(u32::from_ne_bytes(native(element)?)),
        Type::U64 => Value::U64(u64::from_ne_bytes(native(element)?)),
        Type::U128 => Value::U128(u128::from_ne_bytes(native(element)?)),
        Type::I8 => Value::I8(i8::from_ne_bytes(native(element)?)),
        Type::I16 => Value::I16(i16::from_ne_bytes(native(element)?)),
        Type::I32 => Value::I32(i32::from_ne_bytes(native(element)?)),
        Type::I64 => Value::I64(i64::from_ne_bytes(native(element)?)),
        Type::I128 => Value::I128(i128::from_ne_bytes(native(element)?)),
        Type::F32 => Value::F32(f32::from_ne_bytes(native(element)?)),
        Type::F64 => Value::F64(f64::from_ne_bytes(native(element)?)),
        _ => return Err(DecodeError::Type),
    })
}

fn native<const N: usize>(element: &[u8]) -> Result<[u8; N], DecodeError> {
    element.try_into().map_err(|_| DecodeError::Short)
}

fn take<'a>(words: &mut &'a [u64], len: usize) -> Result<&'a [u64], DecodeError> {
    let (taken, rest) = words.split_at_checked(len).ok_or(DecodeError::Short)?;
    *words = rest;
    Ok(taken)
}

fn word(words: &mut &[u64]) -> Result<u64, DecodeError> {
    let (word, rest) = words.split_first().ok_or(DecodeError::Short)?;
    *words = rest;
    Ok(*word)
}

/// The word of what has no other.
fn zero(words: &mut &[u64]) -> Result<(), DecodeError> {
    if word(words)? == 0 { Ok(()) } else { Err(DecodeError::Range) }
}

fn small<T: TryFrom<u64>>(words: &mut &[u64]) -> Result<T, DecodeError> {
    word(words)?.try_into().map_err(|_| DecodeError::Range)
}

fn signed<T: TryFrom<i64>>(words: &mut &[u64]) -> Result<T, DecodeError> {
    (word(words)? as i64).try_into().map_err(|_| DecodeError::Range)
}

fn double(words: &mut &[u64]) -> Result<u128, DecodeError> {
    let low = word(words)?;
    Ok(u128::from(low) | u128::from(word(words)?) << 64)
}

fn bool_of(word: u64) -> Result<bool, DecodeError> {
    match word {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(DecodeError::Range),
    }
}

fn char_of(word: u32) -> Result<char, DecodeError> {
    char::from_u32(word).ok_or(DecodeError::Range)
}

/// How many are stored, and how many there were.
fn counts(words: &mut &[u64]) -> Result<(usize, u32), DecodeError> {
    let word = word(words)?;
    let (stored, full) = (word as u32, (word >> 32) as u32);
    if stored > full { Err(DecodeError::Count) } else { Ok((stored as usize, full)) }
}

fn duration(words: &mut &[u64]) -> Result<Duration, DecodeError> {
    let seconds = word(words)?;
    match small::<u32>(words)? {
        nanos @ 0..1_000_000_000 => Ok(Duration::new(seconds, nanos)),
        _ => Err(DecodeError::Range),
    }
}

fn ip(words: &mut &[u64]) -> Result<IpAddr, DecodeError> {
    let family = word(words)?;
    let mut address = take(words, 2)?;
    match family {
        4 => Ok(Ipv4Addr::from_bits(small(&mut address)?).into()),
        6 => Ok(Ipv6Addr::from_bits(double(&mut address)?).into()),
        _ => Err(DecodeError::Range),
    }
}

fn socket_v4(words: &mut &[u64]) -> Result<SocketAddrV4, DecodeError> {
    let word = word(words)?;
    let ip = u32::try_from(word >> 16).map_err(|_| DecodeError::Range)?;
    Ok(SocketAddrV4::new(Ipv4Addr::from_bits(ip), word as u16))
}

fn socket_v6(words: &mut &[u64]) -> Result<SocketAddrV6, DecodeError> {
    let ip = Ipv6Addr::from_bits(double(words)?);
    let flow = word(words)?;
    Ok(SocketAddrV6::new(ip, flow as u16, (flow >> 32) as u32, small(words)?))
}

fn socket(words: &mut &[u64]) -> Result<SocketAddr, DecodeError> {
    let family = word(words)?;
    let mut address = take(words, 4)?;
    match family {
        4 => Ok(socket_v4(&mut address)?.into()),
        6 => Ok(socket_v6(&mut address)?.into()),
        _ => Err(DecodeError::Range),
    }
}

/// The first `len` bytes of words.
fn bytes(words: &[u64], len: usize) -> Result<&[u8], DecodeError> {
    if len > size_of_val(words) {
        return Err(DecodeError::Short);
    }
    // SAFETY: initialised integers, at least `len` bytes of them as was just checked, borrowed as long as the result.
    Ok(unsafe { std::slice::from_raw_parts(words.as_ptr().cast::<u8>(), len) })
}

/// Text as UTF-8. Where bytes were cut off, the first half of a character at the end is left out.
fn whole_chars(bytes: &[u8], cut: bool) -> Result<&str, DecodeError> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(error) if cut && error.error_len().is_none() => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).map_err(|_| DecodeError::Utf8)
        }
        Err(_) => Err(DecodeError::Utf8),
    }
}
