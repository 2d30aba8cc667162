//! Text against `format!`, over types and specs.
//!
//! std takes no spec at run time, so its side is a table of literal ones: each formatting trait, with each set of
//! flags, behind each fill and alignment, with and without a width and a precision. Ours parses the same literal.

use std::fmt::{Binary, Debug, Display, LowerExp, LowerHex, Octal, UpperExp, UpperHex};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::time::Duration;

use proptest::prelude::*;

use super::{a_string, encoded};
use crate::callsite::{Align, Count, Kind, Spec};
use crate::record::Values;
use crate::record::encode::Encode;
use crate::record::render::print_argument;

/// Calls `$check(spec, text)` with and without an argument-given width and precision.
macro_rules! counts {
    ($check:ident $value:ident $width:ident $precision:ident $kind:literal $flags:literal) => {
        $check(concat!($flags, $kind), format!(concat!("{:", $flags, $kind, "}"), $value));
        $check(
            concat!($flags, "w$", $kind),
            format!(concat!("{:", $flags, "w$", $kind, "}"), $value, w = $width),
        );
        $check(
            concat!($flags, ".p$", $kind),
            format!(concat!("{:", $flags, ".p$", $kind, "}"), $value, p = $precision),
        );
        $check(
            concat!($flags, "w$.p$", $kind),
            format!(concat!("{:", $flags, "w$.p$", $kind, "}"), $value, w = $width, p = $precision),
        );
    };
}

/// With each set of flags behind each fill and alignment.
macro_rules! flags {
    ($check:ident $value:ident $width:ident $precision:ident $kind:literal $($fill:literal)+) => {$(
        counts!($check $value $width $precision $kind $fill);
        flags!(@ $check $value $width $precision $kind $fill "+" "#" "0" "+#" "+0" "#0" "+#0");
    )+};
    (@ $check:ident $value:ident $width:ident $precision:ident $kind:literal $fill:literal
     $a:literal $b:literal $c:literal $d:literal $e:literal $f:literal $g:literal) => {
        flags!(@@ $check $value $width $precision $kind $fill $a);
        flags!(@@ $check $value $width $precision $kind $fill $b);
        flags!(@@ $check $value $width $precision $kind $fill $c);
        flags!(@@ $check $value $width $precision $kind $fill $d);
        flags!(@@ $check $value $width $precision $kind $fill $e);
        flags!(@@ $check $value $width $precision $kind $fill $f);
        flags!(@@ $check $value $width $precision $kind $fill $g);
    };
    (@@ $check:ident $value:ident $width:ident $precision:ident $kind:literal $fill:literal $flag:literal) => {
        // `counts!` takes one literal, and `concat!` is none: so the parts are joined here once more.
        $check(
            concat!($fill, $flag, $kind),
            format!(concat!("{:", $fill, $flag, $kind, "}"), $value),
        );
        $check(
            concat!($fill, $flag, "w$", $kind),
            format!(concat!("{:", $fill, $flag, "w$", $kind, "}"), $value, w = $width),
        );
        $check(
            concat!($fill, $flag, ".p$", $kind),
            format!(concat!("{:", $fill, $flag, ".p$", $kind, "}"), $value, p = $precision),
        );
        $check(
            concat!($fill, $flag, "w$.p$", $kind),
            format!(
                concat!("{:", $fill, $flag, "w$.p$", $kind, "}"), $value, w = $width, p = $precision
            ),
        );
    };
}

/// What std prints for each spec of one formatting trait.
macro_rules! oracle {
    ($($name:ident $trait:ident $kind:literal)+) => {$(
        fn $name(value: &dyn $trait, width: usize, precision: usize, check: &mut dyn FnMut(&str, String)) {
            flags!(check value width precision $kind "" "<" "^" ">" "*^" "é>" "→<" "0^");
        }
    )+};
}

oracle! {
    display Display ""
    debug Debug "?"
    debug_lower_hex Debug "x?"
    debug_upper_hex Debug "X?"
    lower_hex LowerHex "x"
    upper_hex UpperHex "X"
    octal Octal "o"
    binary Binary "b"
    lower_exp LowerExp "e"
    upper_exp UpperExp "E"
}

/// What the macro makes of the text after a placeholder's colon; `w` is argument 1 and `p` argument 2.
fn parse(text: &str) -> Spec {
    let align_of = |c| match c {
        '<' => Some(Align::Left),
        '^' => Some(Align::Center),
        '>' => Some(Align::Right),
        _ => None,
    };
    let mut spec = Spec::DISPLAY;
    let mut rest = text;
    let mut chars = text.chars();
    let (first, second) = (chars.next(), chars.next());
    if let (Some(fill), Some(align)) = (first, second.and_then(align_of)) {
        (spec.fill, spec.align) = (fill, align);
        rest = &rest[fill.len_utf8() + 1..];
    } else if let Some(align) = first.and_then(align_of) {
        spec.align = align;
        rest = &rest[1..];
    }
    let mut strip = |prefix: &str| {
        let stripped = rest.strip_prefix(prefix);
        rest = stripped.unwrap_or(rest);
        stripped.is_some()
    };
    spec.plus = strip("+");
    spec.alternate = strip("#");
    spec.zero = strip("0");
    spec.width = if strip("w$") { Count::Argument(1) } else { Count::None };
    spec.precision = if strip(".p$") { Count::Argument(2) } else { Count::None };
    spec.kind = match rest {
        "" => Kind::Display,
        "?" => Kind::Debug,
        "x?" => Kind::DebugLowerHex,
        "X?" => Kind::DebugUpperHex,
        "x" => Kind::LowerHex,
        "X" => Kind::UpperHex,
        "o" => Kind::Octal,
        "b" => Kind::Binary,
        "e" => Kind::LowerExp,
        "E" => Kind::UpperExp,
        other => panic!("{other:?} in {text:?}"),
    };
    spec
}

/// Encodes a value, and compares what we print of it with what the oracles say.
fn agree<T: Encode>(
    value: &T,
    width: usize,
    precision: usize,
    oracles: impl FnOnce(&mut dyn FnMut(&str, String)),
) {
    let (types, words) = encoded((value.hold(), (width, (precision, ()))));
    let values = Values::new(&types, &words, false);
    let decoded = values.clone().next().unwrap();
    let mut text = String::new();
    oracles(&mut |spec, expected| {
        text.clear();
        print_argument(&decoded, &parse(spec), &values, &mut text).unwrap();
        assert_eq!(text, expected, "{{:{spec}}} of {decoded:?}, width {width}, precision {precision}");
    });
}

macro_rules! agree {
    ($value:expr, $width:expr, $precision:expr => $($oracle:ident)+) => {{
        let (value, width, precision) = (&$value, $width, $precision);
        agree(value, width, precision, |check| {
            $($oracle(value, width, precision, check);)+
        });
    }};
}

macro_rules! integers_agree {
    ($($name:ident $type:ty)+) => {
        proptest! {
            #![proptest_config(ProptestConfig::with_cases(24))]
            $(
                #[test]
                fn $name(
                    value in prop_oneof![any::<$type>(), 0..3_u8 as $type, Just(<$type>::MIN), Just(<$type>::MAX)],
                    width in 0..50_usize, precision in 0..12_usize
                ) {
                    agree!(value, width, precision =>
                        display debug debug_lower_hex debug_upper_hex lower_hex upper_hex octal binary lower_exp
                        upper_exp);
                }
            )+
        }
    };
}

integers_agree! {
    u8_prints_as_std u8
    u16_prints_as_std u16
    u32_prints_as_std u32
    u64_prints_as_std u64
    u128_prints_as_std u128
    usize_prints_as_std usize
    i8_prints_as_std i8
    i16_prints_as_std i16
    i32_prints_as_std i32
    i64_prints_as_std i64
    i128_prints_as_std i128
    isize_prints_as_std isize
}

fn a_double() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => any::<u64>().prop_map(f64::from_bits),
        4 => (-1_000_000_i64..1_000_000).prop_map(|n| n as f64 / 1000.0),
        1 => prop::sample::select(vec![
            0.0, -0.0, f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN, 5e-324,
            f64::MIN_POSITIVE, 1e16, 1e15, 1e-5, 1e-4, 0.5, 1.5, 2.5, 0.1, 1e300,
        ]),
    ]
}

fn a_float() -> impl Strategy<Value = f32> {
    prop_oneof![
        any::<u32>().prop_map(f32::from_bits),
        prop::sample::select(vec![0.0, -0.0, f32::NAN, f32::INFINITY, f32::MIN, 1e-45, 16_777_216.0, 2.5]),
    ]
}

fn an_ip() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<u32>().prop_map(|bits| Ipv4Addr::from_bits(bits).into()),
        any::<u128>().prop_map(|bits| Ipv6Addr::from_bits(bits).into()),
        prop::sample::select(vec!["::1".parse().unwrap(), "::ffff:1.2.3.4".parse().unwrap()]),
    ]
}

fn a_duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        (any::<u64>(), 0..1_000_000_000_u32).prop_map(|(seconds, nanos)| Duration::new(seconds, nanos)),
        (0..10_000_000_000_u64).prop_map(Duration::from_nanos),
        (0..10_000_u64).prop_map(Duration::from_nanos),
        Just(Duration::MAX),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn f64_prints_as_std(value in a_double(), width in 0..40_usize, precision in 0..20_usize) {
        agree!(value, width, precision => display debug debug_lower_hex debug_upper_hex lower_exp upper_exp);
    }

    #[test]
    fn f32_prints_as_std(value in a_float(), width in 0..40_usize, precision in 0..20_usize) {
        agree!(value, width, precision => display debug debug_lower_hex debug_upper_hex lower_exp upper_exp);
    }

    #[test]
    fn strings_print_as_std(value in a_string(), width in 0..90_usize, precision in 0..20_usize) {
        agree!(value, width, precision => display debug debug_lower_hex debug_upper_hex);
        agree!(value.as_str(), width, precision => display debug);
    }

    #[test]
    fn bool_char_and_unit_print_as_std(
        a in any::<bool>(), b in any::<char>(), width in 0..12_usize, precision in 0..7_usize
    ) {
        agree!(a, width, precision => display debug debug_lower_hex);
        agree!(b, width, precision => display debug debug_lower_hex);
        agree!((), width, precision => debug debug_lower_hex);
    }

    #[test]
    fn durations_print_as_std(value in a_duration(), width in 0..40_usize, precision in 0..12_usize) {
        agree!(value, width, precision => debug debug_lower_hex debug_upper_hex);
    }

    #[test]
    fn addresses_print_as_std(
        ip in an_ip(), port in any::<u16>(), flow in any::<u32>(), scope in prop_oneof![Just(0), any::<u32>()],
        width in 0..70_usize, precision in 0..50_usize
    ) {
        agree!(ip, width, precision => display debug debug_lower_hex);
        agree!(SocketAddr::new(ip, port), width, precision => display debug debug_lower_hex);
        match ip {
            IpAddr::V4(ip) => {
                agree!(ip, width, precision => display debug);
                agree!(SocketAddrV4::new(ip, port), width, precision => display debug);
            }
            IpAddr::V6(ip) => {
                agree!(ip, width, precision => display debug);
                agree!(SocketAddrV6::new(ip, port, flow, scope), width, precision => display debug);
            }
        }
    }

    #[test]
    fn compounds_print_as_std(
        a in prop::collection::vec(any::<Option<i16>>(), 0..5),
        b in prop::collection::vec((any::<u8>(), a_string(), any::<bool>()), 0..4),
        c in prop::collection::vec(prop::collection::vec(a_double(), 0..4), 0..4),
        d in (any::<Option<(char,)>>(), a_duration(), an_ip(), any::<Option<Option<()>>>()),
        width in 0..20_usize, precision in 0..8_usize
    ) {
        agree!(a, width, precision => debug debug_lower_hex debug_upper_hex);
        agree!(b, width, precision => debug debug_lower_hex);
        agree!(c, width, precision => debug);
        agree!(d, width, precision => debug debug_lower_hex);
        agree!(Some((a, b.as_slice(), [&c])), width, precision => debug);
    }

    #[test]
    fn packed_lists_print_as_std(
        bytes in prop::collection::vec(any::<u8>(), 0..20),
        shorts in prop::collection::vec(any::<i16>(), 0..9),
        words in prop::collection::vec(any::<u32>(), 0..9),
        longs in prop::collection::vec(any::<i128>(), 0..4),
        floats in prop::collection::vec(a_float(), 0..5),
        flags in prop::collection::vec(any::<bool>(), 0..20),
        chars in prop::collection::vec(any::<char>(), 0..6),
        width in 0..6_usize, precision in 0..4_usize
    ) {
        agree!(bytes, width, precision => debug debug_lower_hex);
        agree!(shorts, width, precision => debug debug_upper_hex);
        agree!(words, width, precision => debug);
        agree!(longs.as_slice(), width, precision => debug);
        agree!(floats, width, precision => debug);
        agree!(flags, width, precision => debug);
        agree!(chars, width, precision => debug);
        agree!([(); 3], width, precision => debug);
        agree!([[1_u8, 2], [3, 4]], width, precision => debug);
    }
}
