//! The calls: functions with names that can be found in a disassembly.

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
pub fn counted(calls: u64, b: u64, c: f64) {
    for call in 0..calls {
        info!("{} {} {}", call, b, c);
    }
}

/// The loop without the calls.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn empty(calls: u64) {
    for _ in 0..calls {
        black_box(());
    }
}
