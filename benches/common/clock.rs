//! Time for a few calls: the processor's counter where there is one, and what its ticks are worth.
#![allow(unsafe_code, reason = "the counter is an instruction")]

use std::time::Instant;

/// The counter as a log call reads it: in no order to what stands around it.
#[inline(always)]
pub(crate) fn stamp() -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: every x86-64 processor has RDTSC, and Linux leaves it to user programs.
        unsafe { core::arch::x86_64::_rdtsc() }
    }
    #[cfg(target_arch = "aarch64")]
    {
        let ticks: u64;
        // SAFETY: the virtual counter is readable from user space under Linux and touches no memory.
        unsafe { core::arch::asm!("mrs {}, cntvct_el0", out(reg) ticks, options(nomem, nostack)) };
        ticks
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        use std::sync::LazyLock;
        static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
        BEGAN.elapsed().as_nanos() as u64
    }
}

/// The counter before what is measured: everything earlier is done, nothing of it has begun.
#[inline(always)]
pub(crate) fn begin() -> u64 {
    fence();
    let ticks = stamp();
    fence();
    ticks
}

/// The counter behind what is measured: all of it has executed. Its stores may still be on their way.
#[inline(always)]
pub(crate) fn end() -> u64 {
    begin()
}

/// What comes later does not begin before what came earlier is done, but for stores.
#[inline(always)]
pub(crate) fn fence() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE2 is part of x86-64.
    unsafe {
        core::arch::x86_64::_mm_lfence();
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: a barrier; no operands.
    unsafe {
        core::arch::asm!("isb", options(nostack, preserves_flags));
    }
}

/// Learns what a tick is worth from the time between its making and its use.
#[derive(Debug)]
pub(crate) struct Rate {
    began: Instant,
    ticks: u64,
}

impl Rate {
    pub(crate) fn begin() -> Self {
        Rate { began: Instant::now(), ticks: stamp() }
    }

    pub(crate) fn nanos_per_tick(&self) -> f64 {
        self.began.elapsed().as_nanos() as f64 / (stamp() - self.ticks) as f64
    }
}
