//! The types of an argument list, as constants that survive monomorphisation.
//!
//! A callsite's static cannot name its arguments' types (statics in generic functions are shared by all
//! instances), so the schema is an associated constant of the argument list: a linked list of [`Type`]s and a
//! hash of it. The hash stands in the callsite's gate and is compared at each call with an immediate.

/// The type of one argument as it lies in a record.
///
/// Equality is by content: addresses of promoted constants are not unique. Types of callsites are `'static`; those that a
/// portable record brought along live as long as its batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Type<'a> {
    /// `bool`
    Bool,
    /// `char`
    Char,
    /// `u8`
    U8,
    /// `u16`
    U16,
    /// `u32`
    U32,
    /// `u64`, and `usize`
    U64,
    /// `u128`
    U128,
    /// `i8`
    I8,
    /// `i16`
    I16,
    /// `i32`
    I32,
    /// `i64`, and `isize`
    I64,
    /// `i128`
    I128,
    /// `f32`
    F32,
    /// `f64`
    F64,
    /// `()`
    Unit,
    /// A string, printed by the placeholder's spec.
    Str,
    /// Text that was formatted at the call and is printed as it is.
    Text,
    /// An error that was formatted at the call: its own message and those of its sources, outermost first.
    Error,
    /// A `Backtrace` that was formatted at the call: its frames, innermost first.
    Backtrace,
    /// `Duration`
    Duration,
    /// `Ipv4Addr`
    Ipv4Addr,
    /// `Ipv6Addr`
    Ipv6Addr,
    /// `IpAddr`
    IpAddr,
    /// `SocketAddrV4`
    SocketAddrV4,
    /// `SocketAddrV6`
    SocketAddrV6,
    /// `SocketAddr`
    SocketAddr,
    /// `Option<T>`
    Option(&'a Type<'a>),
    /// A slice, an array or a `Vec`: how many is in the record.
    List(&'a Type<'a>),
    /// A tuple of two and more, or of one.
    Tuple(&'a [&'a Type<'a>]),
    /// A struct that derives `Encode`: its names, and the types of its fields.
    Struct(&'a Shape<'a>, &'a Types<'a>),
    /// An enum that derives `Encode`: the names of its variants, and the types of the fields of those that have any.
    Enum(&'a [Shape<'a>], &'a Bodies<'a>),
    /// A value that is not in the record.
    Redacted,
}

/// The names of a struct, or of a variant of an enum.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shape<'a> {
    /// Its own.
    pub name: &'a str,
    /// Its fields'.
    pub members: Members<'a>,
    /// Whether no field is left out of records.
    pub is_whole: bool,
}

/// What the fields of a [`Shape`] are called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Members<'a> {
    /// Each by its name.
    Named(&'a [&'a str]),
    /// By their positions; so many.
    Numbered(usize),
}

impl Members<'_> {
    /// How many fields there are.
    pub(crate) const fn len(&self) -> usize {
        match self {
            Members::Named(names) => names.len(),
            Members::Numbered(len) => *len,
        }
    }
}

/// The fields' types of those variants of an enum that have fields, in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bodies<'a> {
    /// No further variant with fields.
    End,
    /// The fields of one, and those after it.
    Then(&'a Types<'a>, &'a Bodies<'a>),
}

impl Type<'_> {
    /// The natural size of a scalar, in which the elements of a list are packed; other types take whole words there.
    pub const fn packed_bytes(&self) -> Option<usize> {
        match self {
            Type::Bool | Type::U8 | Type::I8 => Some(1),
            Type::U16 | Type::I16 => Some(2),
            Type::Char | Type::U32 | Type::I32 | Type::F32 => Some(4),
            Type::U64 | Type::I64 | Type::F64 => Some(8),
            Type::U128 | Type::I128 => Some(16),
            _ => None,
        }
    }

    /// A hash by content; the same for equal types in every codegen unit.
    pub const fn hash(&self) -> u32 {
        match self {
            Type::Bool => 1,
            Type::Char => 2,
            Type::U8 => 3,
            Type::U16 => 4,
            Type::U32 => 5,
            Type::U64 => 6,
            Type::U128 => 7,
            Type::I8 => 8,
            Type::I16 => 9,
            Type::I32 => 10,
            Type::I64 => 11,
            Type::I128 => 12,
            Type::F32 => 13,
            Type::F64 => 14,
            Type::Unit => 15,
            Type::Str => 16,
            Type::Text => 17,
            Type::Error => 18,
            Type::Duration => 19,
            Type::Ipv4Addr => 20,
            Type::Ipv6Addr => 21,
            Type::IpAddr => 22,
            Type::SocketAddrV4 => 23,
            Type::SocketAddrV6 => 24,
            Type::SocketAddr => 25,
            Type::Backtrace => 29,
            Type::Option(inner) => mix(26, inner.hash()),
            Type::List(inner) => mix(27, inner.hash()),
            Type::Tuple(parts) => {
                let mut hash = mix(28, parts.len() as u32);
                let mut at = 0;
                while at < parts.len() {
                    hash = mix(hash, parts[at].hash());
                    at += 1;
                }
                hash
            }
            Type::Struct(shape, fields) => mix(mix(32, shape.hash()), fields.hash()),
            Type::Enum(shapes, bodies) => {
                let mut hash = mix(30, shapes.len() as u32);
                let mut at = 0;
                while at < shapes.len() {
                    hash = mix(hash, shapes[at].hash());
                    at += 1;
                }
                let mut rest = bodies;
                while let Bodies::Then(fields, after) = rest {
                    hash = mix(hash, fields.hash());
                    rest = after;
                }
                hash
            }
            Type::Redacted => 31,
        }
    }
}

impl Shape<'_> {
    const fn hash(&self) -> u32 {
        let mut hash = hash_text(self.is_whole as u32, self.name);
        match self.members {
            Members::Named(names) => {
                let mut at = 0;
                while at < names.len() {
                    hash = hash_text(hash, names[at]);
                    at += 1;
                }
                hash
            }
            Members::Numbered(len) => mix(hash, len as u32),
        }
    }
}

const fn hash_text(hash: u32, text: &str) -> u32 {
    let mut hash = mix(hash, text.len() as u32);
    let mut at = 0;
    while at < text.len() {
        hash = mix(hash, text.as_bytes()[at] as u32);
        at += 1;
    }
    hash
}

/// The types of an argument list, or of the fields of a struct, in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Types<'a> {
    /// No further one.
    End,
    /// A type, and those after it.
    Then(&'a Type<'a>, &'a Types<'a>),
}

/// The types of an argument list of this process.
pub type Schema = Types<'static>;

impl<'a> Types<'a> {
    /// The hash that a callsite's gate carries; above those that would be no gate of an instance.
    pub const fn hash(&self) -> u32 {
        let mut hash = 0x811c_9dc5;
        let mut rest = self;
        while let Types::Then(head, tail) = rest {
            hash = mix(hash, head.hash());
            rest = tail;
        }
        if (hash as u64) <= super::NEW { !hash } else { hash }
    }

    /// The types in order.
    pub fn types(&self) -> impl Iterator<Item = &'a Type<'a>> + use<'a> {
        let mut rest = *self;
        std::iter::from_fn(move || match rest {
            Types::End => None,
            Types::Then(head, tail) => {
                rest = *tail;
                Some(head)
            }
        })
    }
}

impl<'a> Bodies<'a> {
    /// The types of each variant's fields.
    pub(crate) fn iter(&'a self) -> impl Iterator<Item = &'a Types<'a>> {
        let mut rest = self;
        std::iter::from_fn(move || match rest {
            Bodies::End => None,
            Bodies::Then(fields, after) => {
                rest = after;
                Some(*fields)
            }
        })
    }
}

/// One step of a multiplicative hash with a final shift, so that order and nesting count.
const fn mix(hash: u32, value: u32) -> u32 {
    let mixed = (hash ^ value).wrapping_mul(0x9e37_79b1);
    mixed ^ (mixed >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_content_has_equal_hashes_and_order_counts() {
        const A: Schema = Schema::Then(&Type::U64, &Schema::Then(&Type::F64, &Schema::End));
        const B: Schema = Schema::Then(&Type::U64, &Schema::Then(&Type::F64, &Schema::End));
        const C: Schema = Schema::Then(&Type::F64, &Schema::Then(&Type::U64, &Schema::End));
        assert_eq!(A, B);
        assert_eq!(A.hash(), B.hash());
        assert_ne!(A.hash(), C.hash());
        assert!(u64::from(Schema::End.hash()) > crate::callsite::NEW);
        assert_eq!(A.types().collect::<Vec<_>>(), [&Type::U64, &Type::F64]);
    }

    #[test]
    fn nesting_counts() {
        let flat = Schema::Then(&Type::U8, &Schema::Then(&Type::U8, &Schema::End));
        let tuple = Schema::Then(&Type::Tuple(&[&Type::U8, &Type::U8]), &Schema::End);
        assert_ne!(flat.hash(), tuple.hash());
        assert_ne!(Type::Option(&Type::U8).hash(), Type::List(&Type::U8).hash());
    }
}
