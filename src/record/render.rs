//! Text equal to what `format!` of the toolchain that built the listener prints.
//!
//! std has no stable way to hand it a format spec at run time, so this is an interpreter; but its leaves are std's.
//! Width and precision go to std as `{:w$.p$}`, the flags `+`, `#` and the formatting trait are a table of literal
//! `write!`s over trait objects, containers are std's own Debug builders around adapters that come back here. Ours
//! are only fill and alignment, which count characters around a leaf as std does. What prints how is decided by
//! property tests against `format!`, not by reasoning. Beside the table stand shortcuts for `{}` of numbers and
//! strings and for floats with a precision, equal by the same tests.
//!
//! What a handler must escape and what it need not is kept apart by [`MessageWriter`]: literals are the program's
//! own, arguments may come from anywhere.

use std::fmt::{self, Binary, Debug, Display, LowerExp, LowerHex, Octal, UpperExp, UpperHex, Write};

use super::decode::{Chain, Struct, Text, Value, Values};
use super::digits::Digits;
use super::float::{self, Float};
use super::secret::REDACTED;
use super::{FieldValue, Message, Record};
use crate::callsite::{Align, Count, Kind, Piece, Spec, Style};

/// The largest width and precision; std's own limit, where it panics at the call.
const MAX_COUNT: u64 = u16::MAX as u64;

/// A width and a precision may be arguments, and count for each element of a list: a record of two kilobytes could
/// ask for a line of hundreds of megabytes. So what all placeholders with a spec make of one record is bounded, by
/// this and [`TEXT_PER_RECORD_BYTE`] together. `{}` needs no bound: it prints what is in the record.
const TEXT_BYTES_MAX: usize = 1024 * 1024;

/// So many bytes of text more for each byte of the record, so that a long record in a large ring is printed whole:
/// the elements of a list take 5 each in `{:?}`, and some 30 as options in `{:#?}`.
const TEXT_PER_RECORD_BYTE: usize = 32;

/// Takes a message apart into the program's text and that of its arguments.
pub(crate) trait MessageWriter {
    /// A piece of the format string.
    fn literal(&mut self, text: &str) -> fmt::Result;

    /// A part of an argument; one argument may come in several parts.
    fn argument(&mut self, text: &str) -> fmt::Result;

    /// An argument of digits, signs, points and letters of English: nobody can do harm with it.
    fn number(&mut self, digits: &str) -> fmt::Result {
        self.argument(digits)
    }
}

impl Record<'_> {
    /// Writes the message; one that is empty writes nothing.
    pub(crate) fn write_message(&self, out: &mut impl MessageWriter) -> fmt::Result {
        let mut values = self.values();
        let mut left = TEXT_BYTES_MAX + size_of_val(self.arguments) * TEXT_PER_RECORD_BYTE;
        let mut digits = Digits::new();
        for piece in self.entry.metadata.pieces {
            match piece {
                Piece::Literal(text) => out.literal(text)?,
                Piece::Argument(position, spec) => {
                    let value = values.seek(*position).unwrap_or(Value::Missing);
                    if !is_plain(spec) {
                        print_bounded(&value, &Shape::of(spec, &values), &mut left, &mut ArgumentOf(out))?;
                    } else if let Some(digits) = digits.of(&value) {
                        out.number(digits)?;
                    } else {
                        print_plain(&value, &mut ArgumentOf(out))?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// A message writer's arguments as something to format into.
struct ArgumentOf<'a, W>(&'a mut W);

impl<W: MessageWriter> Write for ArgumentOf<'_, W> {
    #[inline]
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.argument(text)
    }
}

/// Prints a value, but for what is beyond the bytes that are left to its record.
fn print_bounded(value: &Value<'_>, shape: &Shape, left: &mut usize, out: &mut dyn Write) -> fmt::Result {
    let mut bounded = Bounded { out, left, is_cut: false };
    let result = print(value, shape, &mut bounded);
    if bounded.is_cut { out.write_str("…[truncated]") } else { result }
}

/// Refuses what is too much, so that nobody goes on making it.
struct Bounded<'a> {
    out: &'a mut dyn Write,
    left: &'a mut usize,
    is_cut: bool,
}

impl Write for Bounded<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if let Some(left) = self.left.checked_sub(text.len()) {
            *self.left = left;
            return self.out.write_str(text);
        }
        let fitting = text.floor_char_boundary(*self.left);
        *self.left = 0;
        self.out.write_str(&text[..fitting])?;
        self.is_cut = true;
        Err(fmt::Error)
    }
}

/// Everything as it is, without escaping.
struct Raw<'a>(&'a mut dyn Write);

impl MessageWriter for Raw<'_> {
    fn literal(&mut self, text: &str) -> fmt::Result {
        self.0.write_str(text)
    }

    fn argument(&mut self, text: &str) -> fmt::Result {
        self.0.write_str(text)
    }
}

impl Display for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.record.write_message(&mut Raw(f))
    }
}

impl PartialEq<str> for Message<'_> {
    fn eq(&self, other: &str) -> bool {
        let mut rest = Rest(other);
        self.record.write_message(&mut Raw(&mut rest)).is_ok() && rest.0.is_empty()
    }
}

/// What is still to be matched; an error is a difference.
struct Rest<'a>(&'a str);

impl Write for Rest<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 = self.0.strip_prefix(text).ok_or(fmt::Error)?;
        Ok(())
    }
}

impl Value<'_> {
    /// The text of the value as it is: raw strings and `Display`, but `Debug` for what has no `Display`.
    pub(crate) fn write(&self, out: &mut dyn Write) -> fmt::Result {
        print_plain(self, out)
    }
}

impl FieldValue<'_> {
    /// The text of the value as its sigil says: as it is without one, `{}` for `%`, `{:?}` for `?`.
    pub(crate) fn write(&self, out: &mut dyn Write) -> fmt::Result {
        match self.style {
            Style::Value | Style::Display => self.value.write(out),
            Style::Debug => print(&self.value, &Shape::DEBUG, out),
        }
    }
}

impl Display for FieldValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f)
    }
}

/// A spec whose width and precision are known.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Shape {
    fill: char,
    align: Align,
    plus: bool,
    alternate: bool,
    zero: bool,
    kind: Kind,
    width: usize,
    precision: Option<usize>,
}

impl Shape {
    const DISPLAY: Shape = Shape {
        fill: ' ',
        align: Align::Unset,
        plus: false,
        alternate: false,
        zero: false,
        kind: Kind::Display,
        width: 0,
        precision: None,
    };
    const DEBUG: Shape = Shape { kind: Kind::Debug, ..Shape::DISPLAY };

    fn of(spec: &Spec, values: &Values<'_>) -> Shape {
        let count = |count| {
            let count = match count {
                Count::None => return None,
                Count::Is(count) => count as u64,
                Count::Argument(position) => values.clone().seek(position)?.as_u64()?,
            };
            Some(count.min(MAX_COUNT) as usize)
        };
        Shape {
            fill: spec.fill,
            align: spec.align,
            plus: spec.plus,
            alternate: spec.alternate,
            zero: spec.zero,
            kind: spec.kind,
            width: count(spec.width).unwrap_or(0),
            precision: count(spec.precision),
        }
    }
}

/// Whether a spec is that of `{}`; fill and alignment do nothing without a width.
fn is_plain(spec: &Spec) -> bool {
    spec.kind == Kind::Display
        && spec.width == Count::None
        && spec.precision == Count::None
        && !spec.plus
        && !spec.alternate
}

/// Prints what a placeholder with this spec does, unbounded. Its width and precision may be other arguments, among
/// `values`.
#[cfg(test)]
pub(super) fn print_argument(
    value: &Value<'_>,
    spec: &Spec,
    values: &Values<'_>,
    out: &mut dyn Write,
) -> fmt::Result {
    if is_plain(spec) { print_plain(value, out) } else { print(value, &Shape::of(spec, values), out) }
}

/// Prints `{}`.
fn print_plain(value: &Value<'_>, out: &mut dyn Write) -> fmt::Result {
    if let Some(digits) = Digits::new().of(value) {
        return out.write_str(digits);
    }
    match *value {
        Value::Str(text) => {
            out.write_str(text.as_str())?;
            mark_cut(text.missing(), " bytes", out)
        }
        _ => print(value, &Shape::DISPLAY, out),
    }
}

/// Prints a value as the shape says.
fn print(value: &Value<'_>, shape: &Shape, out: &mut dyn Write) -> fmt::Result {
    match value {
        Value::Text(text) => print_text(text, out),
        Value::Error(chain) => print_chain(chain, ": ", shape, out),
        Value::Backtrace(frames) => print_chain(frames, "; ", shape, out),
        Value::Missing => out.write_str("…"),
        Value::Redacted => out.write_str(REDACTED),
        Value::Undecodable(error) => write!(out, "<undecodable: {error}>"),
        Value::Option(_) | Value::List(_) | Value::Tuple(_) | Value::Struct(_) | Value::Variant(_) => {
            let shape =
                if shape.kind == Kind::Display { &Shape { kind: Kind::Debug, ..*shape } } else { shape };
            match (shape.kind, shape.alternate) {
                (Kind::Debug | Kind::DebugLowerHex | Kind::DebugUpperHex, false) => {
                    write!(out, "{:?}", Nested { value, shape })
                }
                (Kind::Debug | Kind::DebugLowerHex | Kind::DebugUpperHex, true) => {
                    write!(out, "{:#?}", Nested { value, shape })
                }
                _ => unsuitable(out),
            }
        }
        _ => {
            print_padded(value, shape, out)?;
            match value {
                Value::Str(text) => mark_cut(text.missing(), " bytes", out),
                _ => Ok(()),
            }
        }
    }
}

/// Text that was made at the call is printed as it is.
fn print_text(text: &Text<'_>, out: &mut dyn Write) -> fmt::Result {
    out.write_str(text.as_str())?;
    mark_cut(text.missing(), " bytes", out)
}

/// `outer: cause: cause` or `0: inner; 1: outer`, or a list of strings for `{:?}`.
fn print_chain(chain: &Chain<'_>, between: &str, shape: &Shape, out: &mut dyn Write) -> fmt::Result {
    if shape.kind == Kind::Debug {
        write!(out, "{chain:?}")?;
    } else {
        for (position, message) in chain.iter().enumerate() {
            if position > 0 {
                out.write_str(between)?;
            }
            out.write_str(message)?;
        }
    }
    mark_cut(chain.missing(), " bytes", out)
}

/// Says how much of a value is not in the record.
fn mark_cut(missing: usize, unit: &str, out: &mut dyn Write) -> fmt::Result {
    if missing == 0 { Ok(()) } else { write!(out, "…(+{missing}{unit})") }
}

/// Stands where no format string could have put a value of this type; rustc checks them, the bytes may be wrong.
fn unsuitable(out: &mut dyn Write) -> fmt::Result {
    out.write_str("<undecodable: no such format>")
}

/// A value inside a container, for std's Debug builders.
struct Nested<'a> {
    value: &'a Value<'a>,
    shape: &'a Shape,
}

impl Debug for Nested<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shape = self.shape;
        match self.value {
            Value::Option(option) => match option.value() {
                None => f.write_str("None"),
                Some(value) => f.debug_tuple("Some").field(&Nested { value: &value, shape }).finish(),
            },
            Value::List(list) => {
                let mut entries = f.debug_list();
                for value in list {
                    entries.entry(&Nested { value: &value, shape });
                }
                if list.missing() > 0 {
                    entries.entry(&Cut(list.missing()));
                }
                entries.finish()
            }
            Value::Tuple(tuple) => {
                let mut parts = f.debug_tuple("");
                for value in tuple.iter() {
                    parts.field(&Nested { value: &value, shape });
                }
                parts.finish()
            }
            Value::Struct(value) | Value::Variant(value) => debug_struct(value, shape, f),
            leaf => print(leaf, shape, f),
        }
    }
}

/// As `#[derive(Debug)]` prints it; what is not in the record shows as `..`.
fn debug_struct(value: &Struct<'_>, shape: &Shape, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if value.is_named() {
        let mut fields = f.debug_struct(value.name());
        for (name, value) in value.fields() {
            fields.field(name.unwrap_or_default(), &Nested { value: &value, shape });
        }
        return if value.is_whole() { fields.finish() } else { fields.finish_non_exhaustive() };
    }
    let mut fields = f.debug_tuple(value.name());
    for (_, value) in value.fields() {
        fields.field(&Nested { value: &value, shape });
    }
    if value.is_whole() { fields.finish() } else { fields.finish_non_exhaustive() }
}

/// The last entry of a list that was cut.
struct Cut(usize);

impl Debug for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        mark_cut(self.0, "", f)
    }
}

/// Prints a leaf within its width.
fn print_padded(value: &Value<'_>, shape: &Shape, out: &mut dyn Write) -> fmt::Result {
    let default = match value {
        _ if shape.width == 0 => return print_leaf(value, shape, 0, out),
        Value::Str(_) | Value::Char(_) if shape.kind != Kind::Display => {
            return print_leaf(value, shape, 0, out);
        }
        Value::Str(_) | Value::Char(_) | Value::Bool(_) | Value::Unit | Value::Duration(_) => Align::Left,
        Value::Ipv4Addr(_) | Value::Ipv6Addr(_) | Value::IpAddr(_) => Align::Left,
        Value::SocketAddrV4(_) | Value::SocketAddrV6(_) | Value::SocketAddr(_) => Align::Left,
        _ if shape.zero => return print_leaf(value, shape, shape.width, out),
        _ => Align::Right,
    };
    let mut counted = Counted::new();
    print_leaf(value, shape, 0, &mut counted)?;
    let padding = shape.width.saturating_sub(counted.chars);
    let (before, after) = match if shape.align == Align::Unset { default } else { shape.align } {
        Align::Right => (padding, 0),
        Align::Center => (padding / 2, padding.div_ceil(2)),
        Align::Left | Align::Unset => (0, padding),
    };
    for _ in 0..before {
        out.write_char(shape.fill)?;
    }
    match counted.text() {
        Some(text) => out.write_str(text)?,
        None => print_leaf(value, shape, 0, out)?,
    }
    for _ in 0..after {
        out.write_char(shape.fill)?;
    }
    Ok(())
}

/// Counts characters, and keeps them if they are few: else the leaf is printed a second time.
struct Counted {
    chars: usize,
    len: usize,
    kept: [u8; 64],
}

impl Counted {
    fn new() -> Self {
        Counted { chars: 0, len: 0, kept: [0; 64] }
    }

    fn text(&self) -> Option<&str> {
        std::str::from_utf8(self.kept.get(..self.len)?).ok()
    }
}

impl Write for Counted {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.chars += text.chars().count();
        let end = self.len + text.len();
        if let Some(place) = self.kept.get_mut(self.len..end) {
            place.copy_from_slice(text.as_bytes());
        }
        self.len = end;
        Ok(())
    }
}

/// An integer, for std.
trait Integer: Display + Debug + LowerHex + UpperHex + Octal + Binary + LowerExp + UpperExp {}
impl<T: Display + Debug + LowerHex + UpperHex + Octal + Binary + LowerExp + UpperExp> Integer for T {}

/// Prints a leaf by std: with sign, prefix and precision; with zeros up to `width`; without fill.
fn print_leaf(value: &Value<'_>, shape: &Shape, width: usize, out: &mut dyn Write) -> fmt::Result {
    match value {
        Value::U8(value) => integer(value, shape, width, out),
        Value::U16(value) => integer(value, shape, width, out),
        Value::U32(value) => integer(value, shape, width, out),
        Value::U64(value) => integer(value, shape, width, out),
        Value::U128(value) => integer(value, shape, width, out),
        Value::I8(value) => integer(value, shape, width, out),
        Value::I16(value) => integer(value, shape, width, out),
        Value::I32(value) => integer(value, shape, width, out),
        Value::I64(value) => integer(value, shape, width, out),
        Value::I128(value) => integer(value, shape, width, out),
        Value::F32(value) => float(*value, shape, width, out),
        Value::F64(value) => float(*value, shape, width, out),
        Value::Bool(value) => plain(value, value, shape, out),
        Value::Char(value) => plain(value, value, shape, out),
        Value::Str(text) => plain(&text.as_str(), &text.as_str(), shape, out),
        Value::Unit => debug(&(), shape, 0, out),
        Value::Duration(value) => debug(value, shape, 0, out),
        Value::Ipv4Addr(value) => plain(value, value, shape, out),
        Value::Ipv6Addr(value) => plain(value, value, shape, out),
        Value::IpAddr(value) => plain(value, value, shape, out),
        Value::SocketAddrV4(value) => plain(value, value, shape, out),
        Value::SocketAddrV6(value) => plain(value, value, shape, out),
        Value::SocketAddr(value) => plain(value, value, shape, out),
        _ => unsuitable(out),
    }
}

/// The table: sign, prefix and precision, each with one formatting trait. A width of 0 is none.
macro_rules! table {
    ($kind:literal, $value:ident, $shape:ident, $width:ident, $out:ident) => {
        match ($shape.plus, $shape.alternate, $shape.precision) {
            (false, false, None) => write!($out, concat!("{:0w$", $kind, "}"), $value, w = $width),
            (false, true, None) => write!($out, concat!("{:#0w$", $kind, "}"), $value, w = $width),
            (true, false, None) => write!($out, concat!("{:+0w$", $kind, "}"), $value, w = $width),
            (true, true, None) => write!($out, concat!("{:+#0w$", $kind, "}"), $value, w = $width),
            (false, false, Some(p)) => {
                write!($out, concat!("{:0w$.p$", $kind, "}"), $value, w = $width, p = p)
            }
            (false, true, Some(p)) => {
                write!($out, concat!("{:#0w$.p$", $kind, "}"), $value, w = $width, p = p)
            }
            (true, false, Some(p)) => {
                write!($out, concat!("{:+0w$.p$", $kind, "}"), $value, w = $width, p = p)
            }
            (true, true, Some(p)) => {
                write!($out, concat!("{:+#0w$.p$", $kind, "}"), $value, w = $width, p = p)
            }
        }
    };
}

fn integer(value: &dyn Integer, shape: &Shape, width: usize, out: &mut dyn Write) -> fmt::Result {
    match shape.kind {
        Kind::Display => display(value, shape, width, out),
        Kind::Debug | Kind::DebugLowerHex | Kind::DebugUpperHex => debug(value, shape, width, out),
        Kind::LowerHex => table!("x", value, shape, width, out),
        Kind::UpperHex => table!("X", value, shape, width, out),
        Kind::Octal => table!("o", value, shape, width, out),
        Kind::Binary => table!("b", value, shape, width, out),
        Kind::LowerExp => table!("e", value, shape, width, out),
        Kind::UpperExp => table!("E", value, shape, width, out),
    }
}

fn float(
    value: impl Float + LowerExp + UpperExp,
    shape: &Shape,
    width: usize,
    out: &mut dyn Write,
) -> fmt::Result {
    if let (Kind::Display | Kind::Debug, 0, false, Some(precision)) =
        (shape.kind, width, shape.plus, shape.precision)
        && let Some(printed) = float::print_fixed(value.widened(), precision, out)
    {
        return printed;
    }
    match shape.kind {
        Kind::Display => display(&value, shape, width, out),
        Kind::Debug | Kind::DebugLowerHex | Kind::DebugUpperHex => debug(&value, shape, width, out),
        Kind::LowerExp => table!("e", value, shape, width, out),
        Kind::UpperExp => table!("E", value, shape, width, out),
        Kind::LowerHex | Kind::UpperHex | Kind::Octal | Kind::Binary => unsuitable(out),
    }
}

/// What has `Display` and `Debug` and is no number.
fn plain(shown: &dyn Display, inspected: &dyn Debug, shape: &Shape, out: &mut dyn Write) -> fmt::Result {
    match shape.kind {
        Kind::Display => display(shown, shape, 0, out),
        _ => debug(inspected, shape, 0, out),
    }
}

fn display(value: &dyn Display, shape: &Shape, width: usize, out: &mut dyn Write) -> fmt::Result {
    table!("", value, shape, width, out)
}

/// Also for what has only `Debug`, under `{}`: a field without sigil.
fn debug(value: &dyn Debug, shape: &Shape, width: usize, out: &mut dyn Write) -> fmt::Result {
    match shape.kind {
        Kind::Debug | Kind::Display => table!("?", value, shape, width, out),
        Kind::DebugLowerHex => table!("x?", value, shape, width, out),
        Kind::DebugUpperHex => table!("X?", value, shape, width, out),
        _ => unsuitable(out),
    }
}
