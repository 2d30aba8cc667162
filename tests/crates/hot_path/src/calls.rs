//! The calls: functions with names that can be found in a disassembly.

use treering::info;

/// The call of the budget.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn three(a: u64, b: u64, c: f64) {
    info!("{} {} {}", a, b, c);
}

/// So many of them, in a loop of three instructions.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn counted(calls: u64, b: u64, c: f64) {
    for call in 0..calls {
        info!("{} {} {}", call, b, c);
    }
}

/// With [`eleven`]: the code that a call adds to its function.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn one(a: u64, b: u64, c: f64) {
    info!("{} {} {}", a, b, c);
}

/// Ten more.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn eleven(a: u64, b: u64, c: f64) {
    info!("{} {} {}", a, b, c);
    info!("{} {} {}", a, b, c);
    info!("{} {} {}", a, b, c);
    info!("{} {} {}", a, b, c);
    info!("{} {} {}", a, b, c);
    info!("{} {} {}", a, b, c);
    info!("{} {} {}", a, b, c);
    info!("{} {} {}", a, b, c);
    info!("{} {} {}", a, b, c);
    info!("{} {} {}", a, b, c);
    info!("{} {} {}", a, b, c);
}

/// Keeps them in the program.
pub fn all() {
    three(1, 2, 3.0);
    one(1, 2, 3.0);
    eleven(1, 2, 3.0);
}
