//! How a call chooses, for each argument by its static type, between a held value and text made at the call.
//!
//! Method resolution tries a receiver's references in a fixed order; implementing one method name for different
//! numbers of references makes that order a list of preferences, on stable and without `unsafe` in the expansion.
//! The traits must be in scope; `__private::tiers` has them `as _`, which keeps them out of the user's names, and no
//! trait of the user's that every type has will call a method `treering_slot`.
//!
//! Around the whole call, `$p` being `$crate::__private`:
//!
//! ```text
//! #[allow(unused_imports)]
//! use $p::tiers::*;
//! ```
//!
//! **A placeholder of a message**, or a field with `%` or `?`. `a0` is bound to a reference to the user's value; the
//! spec is the placeholder's own, `{}` for `%`, `{:?}` for `?`, so that rustc itself checks the trait:
//!
//! ```text
//! (&$p::Slot(a0)).treering_slot($p::format_args!("{:>8.3}", *a0))
//! ```
//! gives `<T as Encode>::Held<'_>` for a [`Plain`] type, or [`Formatted`] for any other. Where the spec is one of
//! `Debug`'s, `DebugSlot` stands in its place, and gives a held value for any `Encode` type.
//!
//! **A field without sigil**:
//!
//! ```text
//! (&&&&$p::FieldSlot(a0)).treering_slot()
//! ```
//! gives, in this order, a held value, an error with its chain ([`Failure`]) or a backtrace ([`Frames`]), `Display`
//! text ([`Shown`]), `Debug` text ([`Inspected`]); a type with none of them gets one error that says so.
//!
//! **A width or a precision** that is an argument (`{:w$}`, `{:.*}`) is a `usize` and is handed over as one:
//! `$p::Encode::hold(a1)` with `a1: &usize`.
//!
//! The expressions borrow from temporaries: they must stand in the argument list of the call that logs (or in the
//! scrutinee of a `match`), not in a `let` and not at the end of a block of their own, where edition 2024 drops
//! temporaries.
#![allow(clippy::exhaustive_structs, reason = "the expansion of a call makes them")]

use std::backtrace::Backtrace;
use std::error::Error;
use std::fmt::{self, Debug, Display};

use super::{Encode, Failure, Formatted, Frames, Inspected, Plain, Shown};

/// A value for a placeholder, printed by another trait than `Debug`.
#[derive(Debug)]
pub struct Slot<'a, T: ?Sized>(pub &'a T);

/// A value for a placeholder, printed by `Debug`.
#[derive(Debug)]
pub struct DebugSlot<'a, T: ?Sized>(pub &'a T);

/// First choice for a placeholder: formatted by the listener.
pub trait DeferredPlace<'a> {
    /// What is handed over.
    type Held;

    /// The value; the text is never made.
    fn treering_slot(&self, text: fmt::Arguments<'_>) -> Self::Held;
}

/// Last choice for a placeholder: formatted at the call.
pub trait EagerPlace {
    /// The text, to be made before space is reserved.
    fn treering_slot<'f>(&self, text: fmt::Arguments<'f>) -> Formatted<'f>;
}

macro_rules! place {
    ($slot:ident, $deferred:ident) => {
        impl<'a, T: $deferred + ?Sized> DeferredPlace<'a> for $slot<'a, T> {
            type Held = T::Held<'a>;

            #[inline(always)]
            fn treering_slot(&self, _: fmt::Arguments<'_>) -> T::Held<'a> {
                self.0.hold()
            }
        }

        impl<T: ?Sized> EagerPlace for &$slot<'_, T> {
            #[inline(always)]
            fn treering_slot<'f>(&self, text: fmt::Arguments<'f>) -> Formatted<'f> {
                Formatted::new(text)
            }
        }
    };
}

place!(Slot, Plain);
place!(DebugSlot, Encode);

/// A value for a plain `{}` of a message.
///
/// ```text
/// (&&&$crate::__private::ShownSlot(a0)).treering_slot()
/// ```
/// gives a held value, or [`Shown`]; a type without `Display` gets an error that says so. Without a `format_args!` of its
/// own, as those are what a call costs the compiler.
#[derive(Debug)]
pub struct ShownSlot<'a, T: ?Sized>(pub &'a T);

/// As [`ShownSlot`], for a plain `{:?}`.
#[derive(Debug)]
pub struct InspectedSlot<'a, T: ?Sized>(pub &'a T);

/// No choice for a plain `{}`.
pub trait RefusedShown {
    /// The value's type.
    type Value: ?Sized;

    /// Never called: for a `Display` there is [`DisplayField`].
    fn treering_slot(&self) -> Formatted<'static>
    where
        Self::Value: Printable;
}

/// No choice for a plain `{:?}`.
pub trait RefusedInspected {
    /// The value's type.
    type Value: ?Sized;

    /// Never called: for a `Debug` there is [`DebugField`].
    fn treering_slot(&self) -> Formatted<'static>
    where
        Self::Value: Inspectable;
}

/// Implemented by nothing; its message is what the user reads.
#[diagnostic::on_unimplemented(
    message = "`{Self}` doesn't implement `std::fmt::Display`",
    label = "a `{{}}` of the message prints this, and it has no `Display`",
    note = "in format strings you may be able to use `{{:?}}` (or `{{:#?}}` for pretty-print) instead"
)]
pub trait Printable {}

/// Implemented by nothing; its message is what the user reads.
#[diagnostic::on_unimplemented(
    message = "`{Self}` doesn't implement `std::fmt::Debug`",
    label = "a `{{:?}}` of the message prints this, and it has no `Debug`",
    note = "add `#[derive(Debug)]` to `{Self}` or manually `impl std::fmt::Debug for {Self}`"
)]
pub trait Inspectable {}

macro_rules! plain_place {
    ($slot:ident, $deferred:ident, $trait:ident, $field:ident, $text:ident, $refused:ident, $bound:ident) => {
        impl<'a, T: $deferred + $trait + ?Sized> EncodeField<'a> for &&$slot<'a, T> {
            type Held = T::Held<'a>;

            #[inline(always)]
            fn treering_slot(&self) -> T::Held<'a> {
                Encode::hold(self.0)
            }
        }

        impl<'a, T: $trait + ?Sized> $field<'a> for &$slot<'a, T> {
            type Value = T;

            #[inline(always)]
            fn treering_slot(&self) -> $text<'a, T> {
                $text::new(self.0)
            }
        }

        impl<T: ?Sized> $refused for $slot<'_, T> {
            type Value = T;

            fn treering_slot(&self) -> Formatted<'static>
            where
                T: $bound,
            {
                Formatted::new(format_args!(""))
            }
        }
    };
}

plain_place!(ShownSlot, Plain, Display, DisplayField, Shown, RefusedShown, Printable);
plain_place!(InspectedSlot, Encode, Debug, DebugField, Inspected, RefusedInspected, Inspectable);

/// A value for a field without sigil.
#[derive(Debug)]
pub struct FieldSlot<'a, T: ?Sized>(pub &'a T);

/// First choice for a field: the value itself.
pub trait EncodeField<'a> {
    /// What is handed over.
    type Held;

    /// The value.
    fn treering_slot(&self) -> Self::Held;
}

impl<'a, T: Encode + ?Sized> EncodeField<'a> for &&&FieldSlot<'a, T> {
    type Held = T::Held<'a>;

    #[inline(always)]
    fn treering_slot(&self) -> T::Held<'a> {
        self.0.hold()
    }
}

/// Second choice for a field: the messages of an error and of its sources.
pub trait ErrorField<'a> {
    /// The error's type.
    type Error: ?Sized + 'a;

    /// The messages, to be made before space is reserved.
    fn treering_slot(&self) -> Failure<'a, Self::Error>;
}

impl<'a, T: Error + ?Sized> ErrorField<'a> for &&FieldSlot<'a, T> {
    type Error = T;

    #[inline(always)]
    fn treering_slot(&self) -> Failure<'a, T> {
        Failure::new(self.0)
    }
}

/// As [`ErrorField`], for boxed errors, which are not themselves errors.
pub trait BoxedErrorField<'a> {
    /// The error's type.
    type Error: ?Sized + 'a;

    /// The messages, to be made before space is reserved.
    fn treering_slot(&self) -> Failure<'a, Self::Error>;
}

/// For boxes, and for references to boxes.
macro_rules! boxed_error {
    ($($error:ty),+) => {$(
        impl<'a> BoxedErrorField<'a> for &&FieldSlot<'a, Box<$error>> {
            type Error = $error;

            #[inline(always)]
            fn treering_slot(&self) -> Failure<'a, $error> {
                Failure::new(&**self.0)
            }
        }

        impl<'a> BoxedErrorField<'a> for &&FieldSlot<'a, &'a Box<$error>> {
            type Error = $error;

            #[inline(always)]
            fn treering_slot(&self) -> Failure<'a, $error> {
                Failure::new(&***self.0)
            }
        }
    )+};
}

boxed_error!(dyn Error, dyn Error + Send, dyn Error + Send + Sync);

/// As [`ErrorField`], for backtraces, of which `Display` makes many lines.
pub trait BacktraceField<'a> {
    /// The frames, to be resolved and made text before space is reserved.
    fn treering_slot(&self) -> Frames<'a>;
}

impl<'a> BacktraceField<'a> for &&FieldSlot<'a, Backtrace> {
    #[inline(always)]
    fn treering_slot(&self) -> Frames<'a> {
        Frames::new(self.0)
    }
}

impl<'a> BacktraceField<'a> for &&FieldSlot<'a, &'a Backtrace> {
    #[inline(always)]
    fn treering_slot(&self) -> Frames<'a> {
        Frames::new(self.0)
    }
}

/// Third choice for a field: as `Display` shows it.
pub trait DisplayField<'a> {
    /// The value's type.
    type Value: ?Sized + 'a;

    /// The text, to be made before space is reserved.
    fn treering_slot(&self) -> Shown<'a, Self::Value>;
}

impl<'a, T: Display + ?Sized> DisplayField<'a> for &FieldSlot<'a, T> {
    type Value = T;

    #[inline(always)]
    fn treering_slot(&self) -> Shown<'a, T> {
        Shown::new(self.0)
    }
}

/// Fourth choice for a field: as `Debug` shows it.
pub trait DebugField<'a> {
    /// The value's type.
    type Value: ?Sized + 'a;

    /// The text, to be made before space is reserved.
    fn treering_slot(&self) -> Inspected<'a, Self::Value>;
}

impl<'a, T: Debug + ?Sized> DebugField<'a> for FieldSlot<'a, T> {
    type Value = T;

    #[inline(always)]
    fn treering_slot(&self) -> Inspected<'a, T> {
        Inspected::new(self.0)
    }
}

/// No choice: takes any type, so that the compiler's only complaint is the one of `Loggable`.
pub trait AnyField {
    /// The value's type.
    type Value: ?Sized;

    /// Never called: no type is `Loggable`.
    fn treering_slot(self) -> ()
    where
        Self::Value: Loggable;
}

impl<T: ?Sized> AnyField for FieldSlot<'_, T> {
    type Value = T;

    fn treering_slot(self)
    where
        T: Loggable,
    {
    }
}

/// Implemented by nothing; its message is what the user reads.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be logged",
    label = "this value is neither `Encode` nor an error, and has neither `Display` nor `Debug`",
    note = "derive `Debug` for it, or log a part of it"
)]
pub trait Loggable {}
