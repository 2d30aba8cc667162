//! The tiers as the macro writes them: which type takes which.
#![allow(unsafe_code, reason = "writes a record")]

use std::backtrace::Backtrace;
use std::error::Error;
use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::{Argument, Arguments, Encode, Shown};
use crate::callsite::Type;
use crate::record::testing::write;

/// A placeholder's expression.
macro_rules! place {
    ($slot:ident $spec:literal, $value:expr) => {
        match &$value {
            a0 => {
                #[allow(unused_imports, reason = "one of them is")]
                use $crate::record::encode::tiers::{DeferredPlace as _, EagerPlace as _};
                type_and_text(
                    (&$crate::record::encode::tiers::$slot(a0)).treering_slot(format_args!($spec, *a0)),
                )
            }
        }
    };
}

/// The expression of a field without sigil.
macro_rules! field {
    ($value:expr) => {
        match &$value {
            a0 => {
                #[allow(unused_imports, reason = "most of them are")]
                use $crate::record::encode::tiers::{
                    AnyField as _, BacktraceField as _, BoxedErrorField as _, DebugField as _,
                    DisplayField as _, EncodeField as _, ErrorField as _,
                };
                type_and_text((&&&&$crate::record::encode::tiers::FieldSlot(a0)).treering_slot())
            }
        }
    };
}

fn type_and_text<A: Argument>(mut argument: A) -> (Type<'static>, String) {
    let mut scratch = Vec::new();
    argument.format(&mut scratch);
    assert_eq!(A::EAGER, matches!(A::TYPE, Type::Text | Type::Error | Type::Backtrace));
    (*A::TYPE, String::from_utf8_lossy(&scratch).into_owned())
}

/// Has both traits of `fmt`, and neither is derived.
struct Both;

impl fmt::Display for Both {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("shown")
    }
}

impl fmt::Debug for Both {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("inspected")
    }
}

#[derive(Debug)]
struct Outer(Box<dyn Error + Send + Sync>);

impl fmt::Display for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("outer")
    }
}

impl Error for Outer {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

const CHAIN: &str = "\u{5}\0\0\0outer\u{5}\0\0\0cause";

#[test]
fn placeholders_are_deferred_by_their_static_type_and_else_text() {
    assert_eq!(place!(Slot "{}", 5_u64).0, Type::U64);
    assert_eq!(place!(Slot "{}", 5).0, Type::I32);
    assert_eq!(place!(Slot "{}", &&5.0).0, Type::F64);
    assert_eq!(place!(Slot "{:>5}", "x").0, Type::Str);
    assert_eq!(place!(Slot "{}", String::new()).0, Type::Str);
    assert_eq!(place!(DebugSlot "{:?}", [1_u8, 2]).0, Type::List(&Type::U8));
    assert_eq!(place!(DebugSlot "{:?}", vec![Some("x")]).0, Type::List(&Type::Option(&Type::Str)));
    assert_eq!(
        place!(DebugSlot "{:?}", (1_u8, Duration::ZERO)).0,
        Type::Tuple(&[&Type::U8, &Type::Duration])
    );
    assert_eq!(place!(Slot "{}", "::1".parse::<IpAddr>().unwrap()).0, Type::IpAddr);
    assert_eq!(place!(Slot "{:>8}", Both), (Type::Text, "   shown".into()));
    assert_eq!(place!(DebugSlot "{:?}", Both), (Type::Text, "inspected".into()));
    assert_eq!(place!(DebugSlot "{:?}", Some(Both)), (Type::Text, "Some(inspected)".into()));
}

#[test]
fn placeholders_of_a_generic_type_follow_its_bounds() {
    fn shown<T: fmt::Display>(value: T) -> Type<'static> {
        place!(Slot "{}", value).0
    }
    // It may derive `Encode`, and then only its own `Display` knows.
    fn encoded<T: fmt::Display + Encode>(value: T) -> Type<'static> {
        place!(Slot "{}", value).0
    }
    fn inspected<T: fmt::Debug + Encode>(value: T) -> Type<'static> {
        place!(DebugSlot "{:?}", value).0
    }
    assert_eq!(shown(5_u64), Type::Text);
    assert_eq!(encoded(5_u64), Type::Text);
    assert_eq!(inspected(5_u64), Type::U64);
}

#[test]
fn fields_prefer_values_then_errors_then_display_then_debug() {
    let error = || Outer("cause".into());
    assert_eq!(field!(5_u64).0, Type::U64);
    assert_eq!(field!(&mut Some("x")).0, Type::Option(&Type::Str));
    assert_eq!(field!(error()), (Type::Error, CHAIN.into()));
    assert_eq!(field!(&error()), (Type::Error, CHAIN.into()));
    assert_eq!(field!(error() as Outer), (Type::Error, CHAIN.into()));
    let boxed: Box<dyn Error> = Box::new(error());
    assert_eq!(field!(&boxed), (Type::Error, CHAIN.into()));
    assert_eq!(field!(*boxed), (Type::Error, CHAIN.into()));
    assert_eq!(field!(boxed), (Type::Error, CHAIN.into()));
    let boxed: Box<dyn Error + Send + Sync> = Box::new(error());
    assert_eq!(field!(boxed), (Type::Error, CHAIN.into()));
    assert_eq!(field!(Both), (Type::Text, "shown".into()));
    assert_eq!(field!(Some(Both)), (Type::Text, "Some(inspected)".into()));
    assert_eq!(field!(Instant::now()).0, Type::Text);
}

#[test]
fn an_endless_chain_of_sources_ends() {
    #[derive(Debug)]
    struct Endless;
    impl fmt::Display for Endless {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("x")
        }
    }
    impl Error for Endless {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(self)
        }
    }
    let (_, text) = field!(Endless);
    assert_eq!(text.matches('x').count(), 16);
    assert!(text.ends_with('…'));
}

#[test]
fn a_display_that_returns_an_error_leaves_its_text_and_a_mark() {
    struct Broken;
    impl fmt::Display for Broken {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("half")?;
            Err(fmt::Error)
        }
    }
    assert_eq!(place!(Slot "{}!", Broken).1, "half<formatting failed>");
    assert_eq!(field!(Broken).1, "half<formatting failed>");
}

#[test]
fn the_measured_call_takes_three_words() {
    let arguments = (1_u64, (2_u64, (0.5_f64, ())));
    assert_eq!(Arguments::words(&arguments), 3);
    let mut words = [0; 3];
    // SAFETY: three words are what it said.
    let end = unsafe { Arguments::write(&arguments, &[], words.as_mut_ptr()) };
    assert_eq!(end, words.as_mut_ptr_range().end);
    assert_eq!(words, [1, 2, 0.5_f64.to_bits()]);
}

#[test]
fn strings_and_packed_lists_lie_as_drawn() {
    let arguments = ("order 17".hold(), ([1_u16, 2, 3].hold(), ("".hold(), ("x".hold(), ()))));
    let (words, _) = write(&arguments, &[], usize::MAX);
    let drawn = [
        8 << 32 | 8,
        u64::from_le_bytes(*b"order 17"),
        3 << 32 | 3,
        0x0003_0002_0001,
        0,
        1 << 32 | 1,
        u64::from(b'x'),
    ];
    if cfg!(target_endian = "little") {
        assert_eq!(words, drawn);
    }
}

#[test]
fn text_that_is_not_in_the_scratch_is_left_out_of_a_cut_record() {
    let mut arguments = (Shown::new("1 text"), (5_u8, ()));
    let mut scratch = b"before".to_vec();
    Arguments::format(&mut arguments, &mut scratch);
    let mut words = [7; 3];
    assert_eq!(Arguments::write_cut(&arguments, &scratch, &mut words), 3);
    #[cfg(target_endian = "little")]
    assert_eq!(words, [6 << 32 | 6, u64::from_le_bytes(*b"1 text\0\0"), 5]);
    assert_eq!(Arguments::write_cut(&arguments, &[], &mut words), 2);
    assert_eq!(words[..2], [0, 5]);
}

/// The texts behind their lengths.
fn texts(mut bytes: &[u8]) -> Vec<&str> {
    let mut texts = Vec::new();
    while let Some((prefix, rest)) = bytes.split_first_chunk() {
        let (text, after) = rest.split_at(u32::from_le_bytes(*prefix) as usize);
        texts.push(std::str::from_utf8(text).unwrap());
        bytes = after;
    }
    texts
}

#[test]
fn backtraces_are_their_frames_with_the_place_behind_the_name() {
    let backtrace = Backtrace::force_capture();
    let mut scratch = Vec::new();
    super::Frames::new(&backtrace).format(&mut scratch);
    let frames = texts(&scratch);
    assert_eq!(field!(&backtrace), (Type::Backtrace, String::from_utf8_lossy(&scratch).into_owned()));
    let shown = backtrace.to_string();
    assert_eq!(frames.join("").replace(' ', ""), shown.replace([' ', '\n'], ""), "nothing is lost");
    let here = frames.iter().find(|frame| frame.contains("backtraces_are_their_frames")).unwrap();
    assert!(here.contains(" at ") && here.contains("encode/tests.rs:"), "{here}");
    assert!(frames[0].starts_with("0: "), "{frames:?}");
    assert_eq!(field!(Backtrace::disabled()), (Type::Backtrace, "\u{12}\0\0\0disabled backtrace".into()));
    assert_eq!(place!(Slot "{}", Backtrace::disabled()), (Type::Text, "disabled backtrace".into()));
}
