//! Structs and enums of the user's: what `#[derive(Encode)]` hands over.
//!
//! ```text
//!   struct:  fields, in order; without fields one word, 0
//!   enum:    the variant's position, then its fields
//! ```
//! The derive writes names and lists; how these lie is decided here. A struct's fields are an argument list, as a
//! call's are. An enum's fields are one of several lists, those of its variants that have fields: [`OneOf`] nests.
#![allow(unsafe_code, reason = "implements the unsafe traits of `encode`")]
#![allow(
    clippy::exhaustive_enums,
    clippy::exhaustive_structs,
    reason = "the expansion of a derive makes them"
)]

use std::marker::PhantomData;

use super::{Argument, Arguments, Encode, put};
use crate::callsite::{Bodies, Schema, Shape, Type};
use crate::record::Secret;

/// The names that a type which derives `Encode` has: one shape for a struct, one for each variant of an enum.
pub trait Named {
    /// In the order of the source.
    const SHAPES: &'static [Shape<'static>];
}

/// A struct on its way into a record: `L` is the list of its fields.
#[derive(Debug)]
pub struct Struct<T: ?Sized, L> {
    fields: L,
    of: PhantomData<fn(&T)>,
}

impl<T: Named + ?Sized, L: Arguments> Struct<T, L> {
    const IS_EMPTY: bool = matches!(L::SCHEMA, Schema::End);

    /// The fields, held.
    #[inline(always)]
    pub fn new(fields: L) -> Self {
        const { assert!(!L::EAGER, "held values are not eager") };
        Struct { fields, of: PhantomData }
    }
}

// SAFETY: the words of the list, which keeps the contract; or one word, so that an absent one can be told.
unsafe impl<T: Named + ?Sized, L: Arguments> Argument for Struct<T, L> {
    const TYPE: &'static Type<'static> = &Type::Struct(&T::SHAPES[0], L::SCHEMA);

    #[inline(always)]
    fn words(&self) -> usize {
        if Self::IS_EMPTY { 1 } else { self.fields.words() }
    }

    #[inline(always)]
    unsafe fn write(&self, scratch: &[u8], to: *mut u64) -> *mut u64 {
        if Self::IS_EMPTY {
            // SAFETY: the caller vouches for one word.
            return unsafe { put(to, 0) };
        }
        // SAFETY: the caller vouches for the words of the list.
        unsafe { self.fields.write(scratch, to) }
    }

    fn least_words(&self) -> usize {
        if Self::IS_EMPTY { 1 } else { self.fields.least_words() }
    }

    unsafe fn write_cut(&self, scratch: &[u8], to: *mut u64, spare: &mut usize) -> *mut u64 {
        if Self::IS_EMPTY {
            // SAFETY: the caller vouches for one word.
            return unsafe { put(to, 0) };
        }
        // SAFETY: the caller vouches for the least words of the list and the spare ones.
        unsafe { cut(&self.fields, scratch, to, spare) }
    }
}

/// Writes the fields that must be there and what fits into the spare words, which are taken from it.
///
/// # Safety
/// `to` is aligned and valid for writes of `fields.least_words()` and the spare words.
unsafe fn cut(fields: &impl Arguments, scratch: &[u8], to: *mut u64, spare: &mut usize) -> *mut u64 {
    let least = fields.least_words();
    // SAFETY: so much room the caller vouches for, and the least words of all fields have their place beside the spare.
    let end = unsafe { fields.write_within(scratch, to, least + *spare, *spare) };
    *spare -= (end.addr() - to.addr()) / size_of::<u64>() - least;
    end
}

/// A value of an enum on its way into a record: `F` are the fields of its variants.
#[derive(Debug)]
pub struct Variant<T: ?Sized, F> {
    position: u32,
    fields: F,
    of: PhantomData<fn(&T)>,
}

impl<T: Named + ?Sized, F: VariantFields> Variant<T, F> {
    /// The variant at a position of the enum, with its fields held.
    #[inline(always)]
    pub fn new(position: u32, fields: F) -> Self {
        Variant { position, fields, of: PhantomData }
    }
}

// SAFETY: a word, then those of the fields, which keep the contract.
unsafe impl<T: Named + ?Sized, F: VariantFields> Argument for Variant<T, F> {
    const TYPE: &'static Type<'static> = &Type::Enum(T::SHAPES, F::BODIES);

    #[inline(always)]
    fn words(&self) -> usize {
        self.fields.words().saturating_add(1)
    }

    #[inline(always)]
    unsafe fn write(&self, scratch: &[u8], to: *mut u64) -> *mut u64 {
        // SAFETY: the caller vouches for the word of the position.
        let to = unsafe { put(to, self.position.into()) };
        // SAFETY: and for those of the fields.
        unsafe { self.fields.write(scratch, to) }
    }

    fn least_words(&self) -> usize {
        self.fields.least_words().saturating_add(1)
    }

    unsafe fn write_cut(&self, scratch: &[u8], to: *mut u64, spare: &mut usize) -> *mut u64 {
        // SAFETY: the caller vouches for the word of the position.
        let to = unsafe { put(to, self.position.into()) };
        // SAFETY: and for the least words of the fields, and the spare ones.
        unsafe { self.fields.write_cut(scratch, to, spare) }
    }
}

/// The fields of one variant of an enum: of the first that has fields, or of one of the rest. `()` has none.
#[derive(Debug)]
pub enum OneOf<L, R> {
    /// The first variant that has fields.
    First(L),
    /// Another one.
    Rest(R),
}

/// What [`OneOf`]s are made of.
///
/// # Safety
/// As for [`Argument`], but it may take no word at all.
pub unsafe trait VariantFields {
    /// The types of the fields, for each variant that has any.
    const BODIES: &'static Bodies<'static>;

    /// As [`Argument::words`].
    fn words(&self) -> usize;

    /// As [`Argument::write`].
    ///
    /// # Safety
    /// As there.
    unsafe fn write(&self, scratch: &[u8], to: *mut u64) -> *mut u64;

    /// As [`Argument::least_words`].
    fn least_words(&self) -> usize;

    /// As [`Argument::write_cut`].
    ///
    /// # Safety
    /// As there.
    unsafe fn write_cut(&self, scratch: &[u8], to: *mut u64, spare: &mut usize) -> *mut u64;
}

// SAFETY: writes nothing.
unsafe impl VariantFields for () {
    const BODIES: &'static Bodies<'static> = &Bodies::End;

    #[inline(always)]
    fn words(&self) -> usize {
        0
    }

    #[inline(always)]
    unsafe fn write(&self, _: &[u8], to: *mut u64) -> *mut u64 {
        to
    }

    fn least_words(&self) -> usize {
        0
    }

    unsafe fn write_cut(&self, _: &[u8], to: *mut u64, _: &mut usize) -> *mut u64 {
        to
    }
}

// SAFETY: the words of one of the two; each keeps its own contract.
unsafe impl<L: Arguments, R: VariantFields> VariantFields for OneOf<L, R> {
    const BODIES: &'static Bodies<'static> = &Bodies::Then(L::SCHEMA, R::BODIES);

    #[inline(always)]
    fn words(&self) -> usize {
        const { assert!(!L::EAGER, "held values are not eager") };
        match self {
            OneOf::First(fields) => fields.words(),
            OneOf::Rest(rest) => rest.words(),
        }
    }

    #[inline(always)]
    unsafe fn write(&self, scratch: &[u8], to: *mut u64) -> *mut u64 {
        match self {
            // SAFETY: the caller vouches for the words of the list.
            OneOf::First(fields) => unsafe { fields.write(scratch, to) },
            // SAFETY: or for those of the others.
            OneOf::Rest(rest) => unsafe { rest.write(scratch, to) },
        }
    }

    fn least_words(&self) -> usize {
        match self {
            OneOf::First(fields) => fields.least_words(),
            OneOf::Rest(rest) => rest.least_words(),
        }
    }

    unsafe fn write_cut(&self, scratch: &[u8], to: *mut u64, spare: &mut usize) -> *mut u64 {
        match self {
            // SAFETY: the caller vouches for the least words of the list and the spare ones.
            OneOf::First(fields) => unsafe { cut(fields, scratch, to, spare) },
            // SAFETY: or for those of the others.
            OneOf::Rest(rest) => unsafe { rest.write_cut(scratch, to, spare) },
        }
    }
}

/// What stands in a record for a value that must not be there.
#[derive(Clone, Copy, Debug)]
pub struct Redacted;

// SAFETY: one word, so that an absent one can be told.
unsafe impl Argument for Redacted {
    const TYPE: &'static Type<'static> = &Type::Redacted;

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

// SAFETY: the value is not looked at.
unsafe impl<T: ?Sized> Encode for Secret<T> {
    type Held<'a>
        = Redacted
    where
        Self: 'a;

    #[inline(always)]
    fn hold(&self) -> Redacted {
        Redacted
    }
}
