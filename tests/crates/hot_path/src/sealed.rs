//! A thread behind a seccomp filter. The filter is the thread's own: the listener and the main thread are free.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use treering::{Wait, handler};

use crate::{calls, start};

const CALLS: u64 = 1_000;

/// The sealed thread calls; the main thread looks whether the records arrived, and ends the process.
pub fn thousand_calls(write: bool) {
    static DONE: AtomicBool = AtomicBool::new(false);
    let guard = start(Wait::Spin);
    // Nobody empties its ring: it is full before long.
    let full = treering::builder().ring_capacity(4096).wait(Wait::Manual).handler(handler::Capture::new());
    let (logger, full) = full.start().expect("a second engine starts");
    thread::spawn(move || {
        // The thread has its rings, the callsites their ids.
        calls::three(0, 0, 0.0);
        calls::others(&logger, 0);
        // To make a context takes memory.
        let known = treering::context!("known");
        let fresh = |call: u64| {
            [treering::context!("fresh", call), treering::context!(logger: logger, "fresh", call)]
        };
        let contexts: Vec<_> = (0..=CALLS).map(fresh).collect();
        calls::in_contexts(&logger, &known, &contexts[0], 0);
        seal(libc::SECCOMP_RET_KILL_PROCESS);
        for call in 0..CALLS {
            calls::three(call, 7, 12.5);
            calls::others(&logger, call);
            calls::in_contexts(&logger, &known, &contexts[call as usize + 1], call);
        }
        if write {
            // SAFETY: no bytes from a good pointer.
            unsafe { libc::write(1, c"".as_ptr().cast(), 0) };
        }
        DONE.store(true, Ordering::Release);
        spin_for_ever()
    });
    while !DONE.load(Ordering::Acquire) {
        thread::sleep(Duration::from_millis(1));
    }
    guard.flush(Duration::from_secs(10)).expect("flushed");
    let (report, full) = (guard.stats(), full.stats());
    assert_eq!((report.dispatched, report.dropped), (report.submitted, 0), "{report}");
    // `three`, the derived type and `log`, in contexts and beside them, and the contexts, beside what limits let through.
    assert!(report.submitted > 6 * CALLS && report.suppressed > CALLS, "{report}");
    assert!(report.span_records > CALLS && report.unknown_spans == 0, "{report}");
    assert!(full.submitted > 2 * CALLS && full.dropped > CALLS / 2, "{full}");
    std::process::exit(0);
}

/// What the sealed thread does at each tick of the main one: log, or count its wakes.
static TICKS: AtomicU64 = AtomicU64::new(0);
static LOGGED: AtomicU64 = AtomicU64::new(0);
static WAKES: AtomicU64 = AtomicU64::new(0);

/// Prints the wakes during steady traffic, the longest silence in it, and the wakes after it: a pause of half a
/// second lets the listener park, and one more call must wake it.
pub fn steady_traffic() {
    let _guard = start(Wait::Adaptive);
    thread::spawn(|| {
        calls::three(0, 0, 0.0);
        count_traps();
        seal(libc::SECCOMP_RET_TRAP);
        loop {
            let tick = TICKS.load(Ordering::Acquire);
            if tick > LOGGED.load(Ordering::Relaxed) {
                calls::three(tick, 7, 12.5);
                LOGGED.store(tick, Ordering::Release);
            }
            std::hint::spin_loop();
        }
    });
    let mut longest = Duration::ZERO;
    let begin = Instant::now();
    let mut before = None;
    while begin.elapsed() < Duration::from_secs(2) {
        tick();
        let now = Instant::now();
        longest = longest.max(before.map_or(Duration::ZERO, |before| now - before));
        before = Some(now);
        thread::sleep(Duration::from_millis(1));
    }
    let during = WAKES.load(Ordering::Relaxed);
    thread::sleep(Duration::from_millis(500));
    tick();
    let after = WAKES.load(Ordering::Relaxed) - during;
    // Not print!, which is denied to the engine: to stdout, as a test's child has to.
    use io::Write;
    writeln!(io::stdout(), "{during} {} {after}", longest.as_millis()).expect("stdout is open");
    std::process::exit(0);
}

/// One call of the sealed thread, and its end.
fn tick() {
    let tick = TICKS.load(Ordering::Relaxed) + 1;
    TICKS.store(tick, Ordering::Release);
    while LOGGED.load(Ordering::Acquire) < tick {
        thread::yield_now();
    }
}

fn spin_for_ever() -> ! {
    loop {
        std::hint::spin_loop();
    }
}

/// Lets this thread call the system only to end the process or to return from a signal; `otherwise` happens else.
fn seal(otherwise: u32) {
    const fn instruction(code: u32, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
        libc::sock_filter { code: code as u16, jt, jf, k }
    }
    // The number of the call is the first word of `seccomp_data`.
    let load = instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0);
    let jump_if =
        |number: i64, over| instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, over, 0, number as u32);
    let end = |verdict| instruction(libc::BPF_RET | libc::BPF_K, 0, 0, verdict);
    let mut program = [
        load,
        jump_if(libc::SYS_exit_group, 2),
        jump_if(libc::SYS_rt_sigreturn, 1),
        end(otherwise),
        end(libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: these arguments are numbers.
    let privileges = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    // SAFETY: the filter points to as many instructions as it says, which the kernel copies.
    let sealed = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter) };
    assert!(privileges == 0 && sealed == 0, "no seccomp here: {}", io::Error::last_os_error());
}

/// System calls that the filter traps are counted, and not made.
fn count_traps() {
    extern "C" fn count(_: libc::c_int) {
        WAKES.fetch_add(1, Ordering::Relaxed);
    }
    // SAFETY: all zeros is a `sigaction` without flags and with an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = count as *const () as usize;
    // SAFETY: the handler only adds to an atomic.
    let set = unsafe { libc::sigaction(libc::SIGSYS, &action, std::ptr::null_mut()) };
    assert_eq!(set, 0);
}
