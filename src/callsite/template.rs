//! What a format string says, parsed at compile time: pieces, and how each argument is to be printed.
//!
//! The procedural macro writes these as constants into the callsite's static; `record` prints by them. Nothing
//! here knows a type: an argument's type is in the [`Schema`](super::Schema) of its argument list.

/// One piece of a message: literal text, or a place for an argument.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Piece<'a> {
    /// Text of the program's own, with `{{` and `}}` already reduced.
    Literal(&'a str),
    /// The argument with this position in the argument list, printed as the spec says.
    Argument(usize, Spec),
}

impl Piece<'_> {
    /// The positions of the arguments that it refers to: the value, its width, its precision.
    pub(crate) fn arguments(&self) -> [Option<usize>; 3] {
        let of = |count| match count {
            Count::Argument(position) => Some(position),
            Count::None | Count::Is(_) => None,
        };
        match *self {
            Piece::Literal(_) => [None; 3],
            Piece::Argument(position, spec) => [Some(position), of(spec.width), of(spec.precision)],
        }
    }
}

/// A named value beside the message.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Field<'a> {
    /// As the user wrote it: `order_id`, `order.total`, `http.status`.
    pub name: &'a str,
    /// The position of its value in the argument list.
    pub argument: usize,
    /// The sigil before it.
    pub style: Style,
}

/// The sigil of a field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Style {
    /// None: the value as it is.
    Value,
    /// `%`: as `Display` prints it.
    Display,
    /// `?`: as `Debug` prints it.
    Debug,
}

/// How one placeholder is printed: everything that may stand after the colon in `{:…}`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Spec {
    /// The character that fills up to the width.
    pub fill: char,
    /// `<`, `^`, `>` or nothing.
    pub align: Align,
    /// `+`: also positive numbers carry a sign.
    pub plus: bool,
    /// `#`: `0x`, `0b`, `0o`, and Debug over several lines.
    pub alternate: bool,
    /// `0`: numbers are filled with zeros after the sign.
    pub zero: bool,
    /// Which of std's formatting traits prints.
    pub kind: Kind,
    /// The least number of characters.
    pub width: Count,
    /// Digits after the point, or the most characters of a string.
    pub precision: Count,
}

impl Spec {
    /// `{}`
    pub const DISPLAY: Spec = Spec {
        fill: ' ',
        align: Align::Unset,
        plus: false,
        alternate: false,
        zero: false,
        kind: Kind::Display,
        width: Count::None,
        precision: Count::None,
    };
    /// `{:?}`
    pub const DEBUG: Spec = Spec { kind: Kind::Debug, ..Spec::DISPLAY };
}

/// Where a value stands within its width.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Align {
    /// Not said: numbers to the right, the rest to the left.
    Unset,
    /// `<`
    Left,
    /// `^`
    Center,
    /// `>`
    Right,
}

/// A width or a precision.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Count {
    /// Not given.
    None,
    /// A number in the format string.
    Is(usize),
    /// `w$` or `.*`: the value, a `usize`, of the argument with this position in the argument list.
    Argument(usize),
}

/// The formatting trait of a placeholder. `{:p}` has none: pointers are always formatted at the call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `{}`
    Display,
    /// `{:?}`
    Debug,
    /// `{:x?}`
    DebugLowerHex,
    /// `{:X?}`
    DebugUpperHex,
    /// `{:x}`
    LowerHex,
    /// `{:X}`
    UpperHex,
    /// `{:o}`
    Octal,
    /// `{:b}`
    Binary,
    /// `{:e}`
    LowerExp,
    /// `{:E}`
    UpperExp,
}
