//! The types that lie in a record by themselves: scalars, strings, durations, addresses; and what is made of them
//! without a count: options, tuples, references.
#![allow(unsafe_code, reason = "implements the unsafe traits of `encode`")]
#![allow(clippy::disallowed_types, reason = "the user's own `Arc` is no part of the engine's concurrency")]

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::num::NonZero;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::{Argument, Encode, Plain, put, put_bytes, put_bytes_cut, storable, words_of};
use crate::callsite::Type;
use crate::record::Secret;

/// Implements both traits for a `Copy` type that is handed over as itself and lies in the given words.
macro_rules! fixed {
    ($type:ty => $variant:ident, [$($word:expr),+] of $value:ident $(, packed as $packed:ty)?) => {
        // SAFETY: copies a value of this crate's or std's, without user code.
        unsafe impl Encode for $type {
            type Held<'a> = $type;

            #[inline(always)]
            fn hold(&self) -> $type {
                *self
            }
        }

        impl Plain for $type {}

        // SAFETY: the words listed are those counted and those written.
        unsafe impl Argument for $type {
            const TYPE: &'static Type<'static> = &Type::$variant;

            #[inline(always)]
            fn words(&self) -> usize {
                const { [$(stringify!($word)),+].len() }
            }

            #[inline(always)]
            unsafe fn write(&self, _: &[u8], to: *mut u64) -> *mut u64 {
                let $value = *self;
                $(
                    // SAFETY: one of the words that the caller vouches for.
                    let to = unsafe { put(to, $word) };
                )+
                to
            }

            $(
                #[inline(always)]
                unsafe fn write_packed(&self, to: *mut u8) {
                    const { assert!(matches!(Type::$variant.packed_bytes(), Some(size) if size == size_of::<$packed>())) };
                    // SAFETY: the caller vouches for the packed size, which is that of this type.
                    unsafe { to.cast::<$packed>().write_unaligned(*self as $packed) };
                }
            )?
        }
    };
}

fixed!(bool => Bool, [u64::from(value)] of value, packed as u8);
fixed!(char => Char, [u64::from(value)] of value, packed as u32);
fixed!(u8 => U8, [u64::from(value)] of value, packed as u8);
fixed!(u16 => U16, [u64::from(value)] of value, packed as u16);
fixed!(u32 => U32, [u64::from(value)] of value, packed as u32);
fixed!(u64 => U64, [value] of value, packed as u64);
fixed!(usize => U64, [value as u64] of value, packed as u64);
fixed!(u128 => U128, [value as u64, (value >> 64) as u64] of value, packed as u128);
fixed!(i8 => I8, [i64::from(value) as u64] of value, packed as i8);
fixed!(i16 => I16, [i64::from(value) as u64] of value, packed as i16);
fixed!(i32 => I32, [i64::from(value) as u64] of value, packed as i32);
fixed!(i64 => I64, [value as u64] of value, packed as i64);
// By its own width, as hexadecimal digits show how many bits a negative number has.
#[cfg(target_pointer_width = "64")]
fixed!(isize => I64, [value as u64] of value, packed as i64);
#[cfg(target_pointer_width = "32")]
fixed!(isize => I32, [value as i64 as u64] of value, packed as i32);
fixed!(i128 => I128, [value as u64, (value >> 64) as u64] of value, packed as i128);
fixed!(f32 => F32, [u64::from(value.to_bits())] of value, packed as f32);
fixed!(f64 => F64, [value.to_bits()] of value, packed as f64);
fixed!(Duration => Duration, [value.as_secs(), u64::from(value.subsec_nanos())] of value);
fixed!(Ipv4Addr => Ipv4Addr, [u64::from(value.to_bits())] of value);
fixed!(Ipv6Addr => Ipv6Addr, [value.to_bits() as u64, (value.to_bits() >> 64) as u64] of value);
fixed!(IpAddr => IpAddr, [ip_words(value)[0], ip_words(value)[1], ip_words(value)[2]] of value);
fixed!(SocketAddrV4 => SocketAddrV4, [v4_word(value)] of value);
fixed!(SocketAddrV6 => SocketAddrV6,
    [v6_words(value)[0], v6_words(value)[1], v6_words(value)[2], v6_words(value)[3]] of value);
fixed!(SocketAddr => SocketAddr,
    [socket_words(value)[0], socket_words(value)[1], socket_words(value)[2], socket_words(value)[3],
     socket_words(value)[4]] of value);

/// The family, 4 or 6, and then the address; the version 4 one is followed by a word that says nothing.
#[inline]
fn ip_words(ip: IpAddr) -> [u64; 3] {
    match ip {
        IpAddr::V4(ip) => [4, u64::from(ip.to_bits()), 0],
        IpAddr::V6(ip) => [6, ip.to_bits() as u64, (ip.to_bits() >> 64) as u64],
    }
}

#[inline]
fn v4_word(address: SocketAddrV4) -> u64 {
    u64::from(address.ip().to_bits()) << 16 | u64::from(address.port())
}

#[inline]
fn v6_words(address: SocketAddrV6) -> [u64; 4] {
    let ip = address.ip().to_bits();
    let flow = u64::from(address.flowinfo()) << 32 | u64::from(address.port());
    [ip as u64, (ip >> 64) as u64, flow, u64::from(address.scope_id())]
}

#[inline]
fn socket_words(address: SocketAddr) -> [u64; 5] {
    match address {
        SocketAddr::V4(address) => [4, v4_word(address), 0, 0, 0],
        SocketAddr::V6(address) => {
            let [low, high, flow, scope] = v6_words(address);
            [6, low, high, flow, scope]
        }
    }
}

// SAFETY: handed over as itself.
unsafe impl Encode for () {
    type Held<'a> = ();

    #[inline(always)]
    fn hold(&self) {}
}

// SAFETY: one word, so that every argument has at least one and an absent one can be told.
unsafe impl Argument for () {
    const TYPE: &'static Type<'static> = &Type::Unit;

    #[inline(always)]
    fn words(&self) -> usize {
        1
    }

    #[inline(always)]
    unsafe fn write(&self, _: &[u8], to: *mut u64) -> *mut u64 {
        // SAFETY: the caller vouches for one word.
        unsafe { put(to, 0) }
    }
}

/// Non-zero integers lie, and print, as the integers they are.
macro_rules! non_zero {
    ($($type:ty)+) => {$(
        // SAFETY: hands over a plain integer.
        unsafe impl Encode for NonZero<$type> {
            type Held<'a> = $type;

            #[inline(always)]
            fn hold(&self) -> $type {
                self.get()
            }
        }

        impl Plain for NonZero<$type> {}
    )+};
}

non_zero!(u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize);

/// A string on its way into a record.
#[derive(Clone, Copy, Debug)]
pub struct Chars<'a>(&'a str);

// SAFETY: the bytes of a `str` do not change while it is borrowed.
unsafe impl Encode for str {
    type Held<'a> = Chars<'a>;

    #[inline(always)]
    fn hold(&self) -> Chars<'_> {
        Chars(self)
    }
}

// SAFETY: as for `str`.
unsafe impl Encode for String {
    type Held<'a> = Chars<'a>;

    #[inline(always)]
    fn hold(&self) -> Chars<'_> {
        Chars(self)
    }
}

// SAFETY: as for `str`; std's `String` is what an owned one is borrowed from.
unsafe impl Encode for Cow<'_, str> {
    type Held<'a>
        = Chars<'a>
    where
        Self: 'a;

    #[inline(always)]
    fn hold(&self) -> Chars<'_> {
        Chars(self)
    }
}

impl Plain for str {}
impl Plain for String {}
impl Plain for Cow<'_, str> {}
impl<T: ?Sized> Plain for Secret<T> {}

// SAFETY: a count word and the words of the stored bytes.
unsafe impl Argument for Chars<'_> {
    const TYPE: &'static Type<'static> = &Type::Str;

    #[inline(always)]
    fn words(&self) -> usize {
        1 + words_of(storable(self.0.len()))
    }

    #[inline(always)]
    unsafe fn write(&self, _: &[u8], to: *mut u64) -> *mut u64 {
        // SAFETY: the caller vouches for `words()` words.
        unsafe { put_bytes(to, self.0.as_bytes(), storable(self.0.len())) }
    }

    fn least_words(&self) -> usize {
        1
    }

    unsafe fn write_cut(&self, _: &[u8], to: *mut u64, spare: &mut usize) -> *mut u64 {
        // SAFETY: the caller vouches for the count word and the spare ones.
        unsafe { put_bytes_cut(to, self.0.as_bytes(), spare) }
    }
}

// SAFETY: holds what is inside.
unsafe impl<T: Encode> Encode for Option<T> {
    type Held<'a>
        = Option<T::Held<'a>>
    where
        Self: 'a;

    #[inline(always)]
    fn hold(&self) -> Self::Held<'_> {
        self.as_ref().map(T::hold)
    }
}

// SAFETY: a tag word, then the words of what is inside.
unsafe impl<A: Argument> Argument for Option<A> {
    const TYPE: &'static Type<'static> = &Type::Option(A::TYPE);
    const EAGER: bool = A::EAGER;

    #[inline(always)]
    fn format(&mut self, scratch: &mut Vec<u8>) {
        if let Some(value) = self {
            value.format(scratch);
        }
    }

    #[inline(always)]
    fn words(&self) -> usize {
        self.as_ref().map_or(1, |value| value.words().saturating_add(1))
    }

    #[inline(always)]
    unsafe fn write(&self, scratch: &[u8], to: *mut u64) -> *mut u64 {
        // SAFETY: the caller vouches for the tag word.
        let to = unsafe { put(to, u64::from(self.is_some())) };
        match self {
            // SAFETY: the caller vouches for the words after the tag.
            Some(value) => unsafe { value.write(scratch, to) },
            None => to,
        }
    }

    fn least_words(&self) -> usize {
        self.as_ref().map_or(1, |value| value.least_words().saturating_add(1))
    }

    unsafe fn write_cut(&self, scratch: &[u8], to: *mut u64, spare: &mut usize) -> *mut u64 {
        // SAFETY: the caller vouches for the tag word.
        let to = unsafe { put(to, u64::from(self.is_some())) };
        match self {
            // SAFETY: the caller vouches for the least words after the tag, and for the spare ones.
            Some(value) => unsafe { value.write_cut(scratch, to, spare) },
            None => to,
        }
    }
}

/// Tuples: their parts, one after the other.
macro_rules! tuple {
    ($($part:ident $at:tt),+) => {
        // SAFETY: holds what is inside.
        unsafe impl<$($part: Encode),+> Encode for ($($part,)+) {
            type Held<'a> = ($($part::Held<'a>,)+) where Self: 'a;

            #[inline(always)]
            fn hold(&self) -> Self::Held<'_> {
                ($(self.$at.hold(),)+)
            }
        }

        // SAFETY: the words of each part, in order.
        unsafe impl<$($part: Argument),+> Argument for ($($part,)+) {
            const TYPE: &'static Type<'static> = &Type::Tuple(&[$($part::TYPE),+]);
            const EAGER: bool = false $(|| $part::EAGER)+;

            #[inline(always)]
            fn format(&mut self, scratch: &mut Vec<u8>) {
                $(self.$at.format(scratch);)+
            }

            #[inline(always)]
            fn words(&self) -> usize {
                0_usize $(.saturating_add(self.$at.words()))+
            }

            #[inline(always)]
            unsafe fn write(&self, scratch: &[u8], to: *mut u64) -> *mut u64 {
                $(
                    // SAFETY: the part's own words, the earlier parts wrote exactly theirs.
                    let to = unsafe { self.$at.write(scratch, to) };
                )+
                to
            }

            fn least_words(&self) -> usize {
                0_usize $(.saturating_add(self.$at.least_words()))+
            }

            unsafe fn write_cut(&self, scratch: &[u8], to: *mut u64, spare: &mut usize) -> *mut u64 {
                $(
                    // SAFETY: the least words of all parts have their place beside what is left of the spare.
                    let to = unsafe { self.$at.write_cut(scratch, to, spare) };
                )+
                to
            }
        }
    };
}

tuple!(A 0);
tuple!(A 0, B 1);
tuple!(A 0, B 1, C 2);
tuple!(A 0, B 1, C 2, D 3);
tuple!(A 0, B 1, C 2, D 3, E 4);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);

/// What only points lies, and prints, as what it points to.
macro_rules! pointer {
    ($($pointer:ty),+) => {$(
        // SAFETY: holds what it points to; std's pointers run no user code and do not move while borrowed.
        unsafe impl<T: Encode + ?Sized> Encode for $pointer {
            type Held<'a> = T::Held<'a> where Self: 'a;

            #[inline(always)]
            fn hold(&self) -> Self::Held<'_> {
                (**self).hold()
            }
        }

        impl<T: Plain + ?Sized> Plain for $pointer {}
    )+};
}

pointer!(&T, &mut T, Box<T>, Rc<T>, Arc<T>);
