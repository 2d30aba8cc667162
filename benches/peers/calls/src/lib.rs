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

/// All of them.
#[inline(always)]
pub fn sites() -> &'static [fn(u64)] {
    SITES.as_flattened().as_flattened().as_flattened()
}

/// A call with so many fields.
#[inline(always)]
pub fn with_fields(count: usize) -> fn(u64) {
    match count {
        0 => |_| info!("request"),
        1 => |i| info!(a0 = i, "request"),
        2 => |i| info!(a0 = i, a1 = i, "request"),
        4 => |i| info!(a0 = i, a1 = i, a2 = i, a3 = i, "request"),
        8 => |i| info!(a0 = i, a1 = i, a2 = i, a3 = i, a4 = i, a5 = i, a6 = i, a7 = i, "request"),
        16 => |i| {
            info!(
                a0 = i,
                a1 = i,
                a2 = i,
                a3 = i,
                a4 = i,
                a5 = i,
                a6 = i,
                a7 = i,
                a8 = i,
                a9 = i,
                a10 = i,
                a11 = i,
                a12 = i,
                a13 = i,
                a14 = i,
                a15 = i,
                "request"
            )
        },
        32 => |i| {
            info!(
                a0 = i,
                a1 = i,
                a2 = i,
                a3 = i,
                a4 = i,
                a5 = i,
                a6 = i,
                a7 = i,
                a8 = i,
                a9 = i,
                a10 = i,
                a11 = i,
                a12 = i,
                a13 = i,
                a14 = i,
                a15 = i,
                a16 = i,
                a17 = i,
                a18 = i,
                a19 = i,
                a20 = i,
                a21 = i,
                a22 = i,
                a23 = i,
                a24 = i,
                a25 = i,
                a26 = i,
                a27 = i,
                a28 = i,
                a29 = i,
                a30 = i,
                a31 = i,
                "request"
            )
        },
        other => panic!("no call has {other} fields"),
    }
}
