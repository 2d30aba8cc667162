//! The only module that calls the system beside std: membarrier, futex, threads, affinity, thread ids, atexit, atfork, stderr,
//! a rename that spares what is there, locks on files.
//!
//! It decides nothing. Each function is one call with its result made a Rust value.
#![allow(unsafe_code, reason = "system calls")]

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

const MEMBARRIER_CMD_PRIVATE_EXPEDITED: libc::c_int = 1 << 3;
const MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED: libc::c_int = 1 << 4;

/// Announces that this process will use [`membarrier`]. Takes 12 to 24 ms in a process that has threads.
pub(crate) fn membarrier_register() -> io::Result<()> {
    membarrier_command(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED)
}

/// A full memory barrier on every running thread of this process.
///
/// # Errors
/// Where the kernel has no such call, forbids it (a sandbox may do so at any time), or was not told by
/// [`membarrier_register`].
pub(crate) fn membarrier() -> io::Result<()> {
    membarrier_command(MEMBARRIER_CMD_PRIVATE_EXPEDITED)
}

fn membarrier_command(command: libc::c_int) -> io::Result<()> {
    // SAFETY: membarrier(2) takes three integers and touches no memory of ours.
    let result = unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Sleeps while `*word == expected`, until woken or until `timeout` has passed; may also return for no reason.
pub(crate) fn futex_wait(word: *const u32, expected: u32, timeout: Option<Duration>) {
    let time = timeout.map(|timeout| libc::timespec {
        tv_sec: timeout.as_secs().min(i32::MAX as u64) as libc::time_t,
        tv_nsec: timeout.subsec_nanos() as libc::c_long,
    });
    let time = time.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: `word` points to a live, aligned u32 (callers pass a field of a structure they hold a reference
    // to) and `time` is null or lives until the end of this function. The result does not matter: every caller
    // looks at the word again.
    unsafe {
        libc::syscall(libc::SYS_futex, word, libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG, expected, time)
    };
}

/// Wakes the threads that sleep in [`futex_wait`] on this word.
pub(crate) fn futex_wake(word: *const u32) {
    // SAFETY: FUTEX_WAKE reads nothing through the pointer; it is an address to compare.
    unsafe { libc::syscall(libc::SYS_futex, word, libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, i32::MAX) };
}

/// The kernel's number of the calling thread.
pub(crate) fn thread_id() -> u32 {
    // SAFETY: gettid(2) has no arguments and cannot fail.
    (unsafe { libc::syscall(libc::SYS_gettid) }) as u32
}

/// The name of this host.
pub(crate) fn host_name() -> io::Result<String> {
    let mut name = [0_u8; 256];
    // SAFETY: the system writes at most as many bytes as it is told that there are, and `name` outlives the call.
    let result = unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len()) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    let len = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    Ok(String::from_utf8_lossy(&name[..len]).into_owned())
}

/// How long the calling thread has had a processor, in nanoseconds.
#[cfg(any(test, feature = "conformance"))]
pub(crate) fn thread_cpu_nanos() -> u64 {
    let mut spent = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `spent` is a timespec that outlives the call, which cannot fail for this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut spent) };
    spent.tv_sec as u64 * 1_000_000_000 + spent.tv_nsec as u64
}

/// `CLOCK_MONOTONIC`, in nanoseconds.
pub(crate) fn monotonic_nanos() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a timespec that outlives the call, which cannot fail for this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Runs `start`, which starts a thread, so that this thread has no signal handlers of the program's to run: those that
/// a process is sent go to its other threads. What a thread does to itself (SIGSEGV and the like) and profilers are let
/// through.
pub(crate) fn without_signals<R>(start: impl FnOnce() -> R) -> R {
    const LET_THROUGH: [libc::c_int; 7] = [
        libc::SIGSEGV,
        libc::SIGBUS,
        libc::SIGFPE,
        libc::SIGILL,
        libc::SIGTRAP,
        libc::SIGABRT,
        libc::SIGPROF,
    ];
    // SAFETY: a sigset_t is an array of integers, for which zero is a value.
    let (mut none, mut before): (libc::sigset_t, libc::sigset_t) = unsafe { std::mem::zeroed() };
    // SAFETY: `none` outlives the call.
    unsafe { libc::sigfillset(&mut none) };
    for signal in LET_THROUGH {
        // SAFETY: as above; the signal is one.
        unsafe { libc::sigdelset(&mut none, signal) };
    }
    // SAFETY: both sets outlive the call.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &none, &mut before) };
    let result = start();
    // SAFETY: as above; this brings the mask back.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut()) };
    result
}

/// Starts a thread that nobody joins, without std. Its name shows in the system, not in `std::thread::current`.
pub(crate) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    /// The kernel keeps 15 bytes.
    const NAME_MAX: usize = 15;
    type Body = Box<dyn FnOnce() + Send>;

    extern "C" fn run(body: *mut libc::c_void) -> *mut libc::c_void {
        // SAFETY: the pointer that `spawn` made of a box, handed to this thread alone.
        let body = unsafe { Box::from_raw(body.cast::<Body>()) };
        // Nothing may unwind into the C library.
        if catch_unwind(AssertUnwindSafe(body)).is_err() {
            std::process::abort();
        }
        std::ptr::null_mut()
    }

    let body: *mut Body = Box::into_raw(Box::new(Box::new(body)));
    let mut thread = 0;
    // SAFETY: `thread` outlives the call; `run` takes the box over.
    let error = unsafe { libc::pthread_create(&mut thread, std::ptr::null(), run, body.cast()) };
    if error != 0 {
        // SAFETY: there is no thread, so the box is still ours.
        drop(unsafe { Box::from_raw(body) });
        return Err(io::Error::from_raw_os_error(error));
    }
    let name: Vec<u8> = name.bytes().take(NAME_MAX).chain([0]).collect();
    // SAFETY: the thread is not detached yet, so its handle is good, also if it has ended; the name ends with NUL.
    unsafe { libc::pthread_setname_np(thread, name.as_ptr().cast()) };
    // SAFETY: as above; this gives the handle up.
    unsafe { libc::pthread_detach(thread) };
    Ok(())
}

/// Binds the calling thread to one core.
pub(crate) fn pin_to_core(core: usize) -> io::Result<()> {
    if core >= libc::CPU_SETSIZE as usize {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: a cpu_set_t is an array of integers, for which zero is a value.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `core` is below CPU_SETSIZE, checked above.
    unsafe { libc::CPU_SET(core, &mut set) };
    // SAFETY: `set` is initialised and its size is passed.
    let result = unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Runs `hook` when the process returns from main or calls `exit`.
pub(crate) fn at_exit(hook: extern "C" fn()) -> io::Result<()> {
    // SAFETY: `hook` is a function of the C ABI that does not unwind (its caller in `global` catches panics).
    let result = unsafe { libc::atexit(hook) };
    if result == 0 { Ok(()) } else { Err(io::Error::other("atexit: no room for another function")) }
}

/// Runs `before` in a thread that is about to `fork`, then `in_parent` or `in_child` in what that thread has become.
pub(crate) fn at_fork(
    before: extern "C" fn(),
    in_parent: extern "C" fn(),
    in_child: extern "C" fn(),
) -> io::Result<()> {
    // SAFETY: as above: functions of the C ABI that do not unwind, as they take locks and free memory only.
    match unsafe { libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child)) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// One `write(2)`, without std's locks and buffers.
pub(crate) fn write(file: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    // SAFETY: the pointer and the length are those of one slice.
    let written = unsafe { libc::write(file.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) };
    usize::try_from(written).map_err(|_| io::Error::last_os_error())
}

/// Gives a file another name, which must be free: `renameat2(2)`.
pub(crate) fn rename_to_free(from: &Path, to: &Path) -> io::Result<()> {
    let from = CString::new(from.as_os_str().as_bytes())?;
    let to = CString::new(to.as_os_str().as_bytes())?;
    let (at, flags) = (libc::AT_FDCWD, libc::RENAME_NOREPLACE);
    // SAFETY: both names end with NUL and live until the end of this function.
    let result = unsafe { libc::syscall(libc::SYS_renameat2, at, from.as_ptr(), at, to.as_ptr(), flags) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// How a byte of a file is locked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ByteLock {
    None,
    Shared,
    Exclusive,
}

/// Locks a byte of an open file for this descriptor and its copies, or gives it back: `F_OFD_SETLK`. Does not wait.
pub(crate) fn lock_byte(file: BorrowedFd<'_>, byte: i64, lock: ByteLock) -> io::Result<()> {
    let kind = match lock {
        ByteLock::None => libc::F_UNLCK,
        ByteLock::Shared => libc::F_RDLCK,
        ByteLock::Exclusive => libc::F_WRLCK,
    };
    // SAFETY: a flock is made of integers, for which zero is a value.
    let mut range: libc::flock = unsafe { std::mem::zeroed() };
    (range.l_type, range.l_whence) = (kind as libc::c_short, libc::SEEK_SET as libc::c_short);
    (range.l_start, range.l_len) = (byte, 1);
    // SAFETY: `range` is initialised and outlives the call.
    let result = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw mut range) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// From now on the calling thread runs, and reads and writes, when nobody else wants to.
pub(crate) fn run_when_idle() -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: `parameters` outlives the call.
    let result = unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameters) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Writes to stderr without std's lock or buffer, so that it works from any context. Gives up on an error, as there is
/// nowhere left to tell it, and where nobody reads: a full pipe must not keep a process from its end.
pub(crate) fn write_stderr(mut text: &[u8]) {
    /// How long a reader may take.
    const PATIENCE_MILLIS: libc::c_int = 100;
    while !text.is_empty() {
        let mut stderr = libc::pollfd { fd: libc::STDERR_FILENO, events: libc::POLLOUT, revents: 0 };
        // SAFETY: one pollfd, which outlives the call.
        if unsafe { libc::poll(&mut stderr, 1, PATIENCE_MILLIS) } == 0 {
            return;
        }
        // A pipe that can be written takes so much without a wait.
        let part = &text[..text.len().min(libc::PIPE_BUF)];
        // SAFETY: the pointer and the length are those of one slice.
        let written = unsafe { libc::write(libc::STDERR_FILENO, part.as_ptr().cast(), part.len()) };
        match written {
            n if n > 0 => text = &text[n as usize..],
            _ if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
            _ => return,
        }
    }
}
