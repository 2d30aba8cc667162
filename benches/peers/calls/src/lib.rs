//! Calls with many fields, and ten thousand callsites.

use treering::info;

/// Ten times the same expression, in an array.
macro_rules! ten {
    ($e:expr) => {
        [$e, $e, $e, $e, $e, $e, $e, $e, $e, $e]
    };
}

/// A callsite: each expansion is one of its own.
macro_rules! site {
    () => {
        |i| info!("filled {} of {} at {}", i, i >> 1, i as f64)
    };
}

/// Ten thousand of them.
#[rustfmt::skip]
static SITES: [[[[fn(u64); 10]; 10]; 10]; 10] = ten!(ten!(ten!(ten!(site!()))));

/// So many of them, in the order in which they lie in the program, as the calls of a function do: the compiler strews what
/// is made by macros, each to a page of its own.
pub fn sites(count: usize) -> Vec<fn(u64)> {
    let mut sites = SITES.as_flattened().as_flattened().as_flattened().to_vec();
    sites.sort_unstable_by_key(|site| *site as usize);
    sites.truncate(count);
    sites
}

/// A call with these fields.
macro_rules! call {
    ($($field:ident)*) => {
        |i| {
            let _ = i;
            info!($($field = i,)* "request")
        }
    };
}

/// A call with so many fields.
#[inline(always)]
pub fn with_fields(count: usize) -> fn(u64) {
    match count {
        0 => call!(),
        1 => call!(a),
        2 => call!(a b),
        4 => call!(a b c d),
        8 => call!(a b c d e f g h),
        16 => call!(a b c d e f g h j k l m n o p q),
        32 => call!(a b c d e f g h j k l m n o p q aa bb cc dd ee ff gg hh jj kk ll mm nn oo pp qq),
        other => panic!("no call has {other} fields"),
    }
}
