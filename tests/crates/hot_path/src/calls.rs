//! The calls. Functions of a name that can be found in a disassembly, in a module of their own.

use std::hint::black_box;

use treering::info;

/// The call of the budget.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn three(a: u64, b: u64, c: f64) {
    info!("{} {} {}", a, b, c);
}

/// So many of them.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn counted(calls: u64) {
    for call in 0..calls {
        let (a, b, c) = black_box((call, 7_u64, 12.5_f64));
        info!("{} {} {}", a, b, c);
    }
}

/// The same without the calls.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn empty(calls: u64) {
    for call in 0..calls {
        black_box((call, 7_u64, 12.5_f64));
    }
}
