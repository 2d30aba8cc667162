//! Ends that need a scene of their own.

use std::cell::RefCell;
use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use treering::handler::{Batch, Console, File, Handler, HandlerError, QueueHandler};
use treering::queue::{Channel, Locked};
use treering::{Guard, Listener, Listening, Overflow, builder, error, info};

use crate::slow::Slow;
use crate::{CODE, EXIT_TIMEOUT, Log, begin, patient, raise, wait_for_the_end};

/// What a handler takes before it hangs or exits. Known to tests/exits.rs, too.
const FREE: u32 = 50;
/// An exit timeout, for scenes in which it passes.
const SHORT: Duration = Duration::from_millis(300);

pub fn play(scene: &str, file: &Path) -> Result<(), Box<dyn Error>> {
    match scene {
        "hang" => hang("kept", file),
        "hang-leaked" => hang("leaked", file),
        "hang-own-leaked" => hang("own-leaked", file),
        "hang-own" => hang("own-kept", file),
        "hang-all" => hang_all(file),
        "hang-hooked" => hang_hooked(file),
        "full-hooked" => full_hooked(file),
        "early-atexit" => early_atexit(),
        "full-stdout" => full_pipe(Console::stdout()),
        "full-stderr" => full_pipe(Console::stderr()),
        "exit-in-handler" => exit_in_handler(file),
        "return-while-threads-log" => while_threads_log(file, || Ok(())),
        "exit-while-threads-log" => while_threads_log(file, || std::process::exit(CODE)),
        "thread-local" => in_a_thread_local("kept", file),
        "thread-local-own" => in_a_thread_local("own-kept", file),
        "return-while-stopping" => return_while_stopping(file),
        "two-signals-at-once" => two_signals_at_once(file),
        "second-signal" => second_signal(file),
        "panic-beside" => panic_beside(file),
        "queue-kept" => queue("kept", file, || Ok(())),
        "queue-leaked" => queue("leaked", file, || Ok(())),
        "queue-static" => queue("static", file, || std::process::exit(CODE)),
        "queue-hooked" => queue("leaked", file, || {
            treering::stop_on_signals()?;
            raise(libc::SIGTERM);
            wait_for_the_end()
        }),
        "queue-manual" => queue_without_a_thread(file),
        "queue-chain" => queue_chain(file),
        "queue-hang" => queue_hang(file),
        "queue-exit-in-handler" => queue_exit_in_handler(file),
        "fork" => fork(file),
        "fork-hooked" => fork_hooked(file),
        "fork-hooked-again" => fork_hooked_again(file),
        _ => panic!("no scene is {scene}"),
    }
}

/// Takes [`FREE`] records, one at a time, and at the next one does `last`, on the listener's thread.
struct Ends<F> {
    slow: Slow,
    free: u32,
    last: F,
}

impl<F> Ends<F> {
    fn with(last: F, file: &Path) -> Self {
        Ends { slow: Slow::quick(file), free: FREE, last }
    }
}

impl<F: FnMut() + Send> Handler for Ends<F> {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        for record in batch {
            if self.free == 0 {
                (self.last)();
            }
            self.free -= 1;
            self.slow.take(&record)?;
        }
        Ok(())
    }
}

/// The end comes when the handler hangs.
fn hang(guard: &str, file: &Path) -> Result<(), Box<dyn Error>> {
    let (told, hangs) = mpsc::channel();
    let last = move || {
        told.send(()).expect("main waits");
        wait_for_the_end()
    };
    let ends = Ends::with(last, file);
    let (log, _guard) = begin(guard, builder().exit_timeout(SHORT).handler(ends))?;
    log.records();
    hangs.recv()?;
    Ok(())
}

fn hang_all(file: &Path) -> Result<(), Box<dyn Error>> {
    hang("own-leaked", file)?;
    hang("own-leaked", file)?;
    hang("leaked", file)
}

/// The process-wide engine puts its records into a queue; the listener at its other end is far behind when the end comes.
fn queue(
    listening: &str,
    file: &Path,
    end: impl FnOnce() -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    static LISTENING: OnceLock<Listening> = OnceLock::new();
    let queue = Arc::new(Channel::bounded(1000));
    std::mem::forget(builder().queue(queue.clone()).init()?);
    let slow = Listener::new(queue).exit_timeout(EXIT_TIMEOUT).handler(Slow::new(file)).start()?;
    let kept = match listening {
        "kept" => Some(slow),
        "static" => {
            drop(LISTENING.set(slow));
            None
        }
        _ => {
            std::mem::forget(slow);
            None
        }
    };
    Log::Global.records();
    let ended = end();
    drop(kept);
    ended
}

fn queue_without_a_thread(file: &Path) -> Result<(), Box<dyn Error>> {
    let queue = Arc::new(Channel::bounded(1000));
    std::mem::forget(builder().queue(queue.clone()).init()?);
    std::mem::forget(Listener::new(queue).exit_timeout(EXIT_TIMEOUT).handler(Slow::new(file)).manual());
    Log::Global.records();
    Ok(())
}

/// From an engine of its own over two queues, whose listeners were started from the end.
fn queue_chain(file: &Path) -> Result<(), Box<dyn Error>> {
    let (first, second) = (Arc::new(Channel::bounded(1000)), Arc::new(Locked::bounded(1 << 20)));
    let last = Listener::new(second.clone()).exit_timeout(EXIT_TIMEOUT).handler(Slow::new(file));
    std::mem::forget(last.start()?);
    std::mem::forget(Listener::new(first.clone()).handler(QueueHandler::new(second)).start()?);
    let (logger, guard) = builder().handler(QueueHandler::new(first)).start()?;
    std::mem::forget(guard);
    Log::Own(logger).records();
    Ok(())
}

fn queue_hang(file: &Path) -> Result<(), Box<dyn Error>> {
    let (told, hangs) = mpsc::channel();
    let last = move || {
        told.send(()).expect("main waits");
        wait_for_the_end()
    };
    let queue = Arc::new(Channel::bounded(1000));
    std::mem::forget(builder().queue(queue.clone()).init()?);
    Log::Global.records();
    let listener = Listener::new(queue).exit_timeout(SHORT).handler(Ends::with(last, file));
    std::mem::forget(listener.start()?);
    hangs.recv()?;
    Ok(())
}

fn queue_exit_in_handler(file: &Path) -> Result<(), Box<dyn Error>> {
    let queue = Arc::new(Channel::bounded(1000));
    std::mem::forget(builder().queue(queue.clone()).init()?);
    Log::Global.records();
    let ends = Ends::with(|| std::process::exit(CODE), file);
    std::mem::forget(Listener::new(queue).handler(ends).start()?);
    wait_for_the_end()
}

/// A function that the C library runs after our stop, as it was registered before.
fn early_atexit() -> Result<(), Box<dyn Error>> {
    extern "C" fn log() {
        info!("after the stop");
        let is_late = treering::stats().is_ok_and(|report| (report.dispatched, report.late) == (1, 1));
        if !is_late {
            std::process::abort();
        }
    }
    // SAFETY: a function of the C ABI that does not unwind.
    assert_eq!(unsafe { libc::atexit(log) }, 0);
    let _guard = builder().handler(Console::stderr()).init()?;
    info!("before it");
    Ok(())
}

fn hang_hooked(file: &Path) -> Result<(), Box<dyn Error>> {
    treering::stop_on_signals()?;
    hang("leaked", file)?;
    hang("own-leaked", file)?;
    raise(libc::SIGTERM);
    wait_for_the_end()
}

/// A handler hangs, and who logs waits for room for ever: also in the ring that the thread for signals has to share.
fn full_hooked(file: &Path) -> Result<(), Box<dyn Error>> {
    const RING: usize = 4096;
    treering::stop_on_signals()?;
    let ends = Ends::with(|| wait_for_the_end(), file);
    let _guard = builder()
        .ring_capacity(RING)
        .memory_cap(RING)
        .overflow(Overflow::block(Duration::MAX))
        .exit_timeout(SHORT)
        .handler(ends)
        .init()?;
    info!("{}", 0); // takes the one ring that there is
    let calls = Arc::new(AtomicU32::new(0));
    let counted = calls.clone();
    thread::spawn(move || {
        loop {
            error!("{}", counted.fetch_add(1, Ordering::Relaxed));
        }
    });
    let mut before = 0;
    while before == 0 || before != calls.load(Ordering::Relaxed) {
        before = calls.load(Ordering::Relaxed);
        thread::sleep(Duration::from_millis(50));
    }
    raise(libc::SIGTERM);
    wait_for_the_end()
}

/// Nobody reads what goes there. More than the pipe and the ring hold.
fn full_pipe(console: Console) -> Result<(), Box<dyn Error>> {
    const CALLS: u32 = 20_000;
    /// As many calls take a hundredth of it, and one that waits for the pipe takes for ever.
    const CALLS_TAKE_MAX: Duration = Duration::from_secs(2);
    let _guard = builder().exit_timeout(SHORT).handler(console).init()?;
    let since = Instant::now();
    (0..CALLS).for_each(|number| info!("number {number}"));
    let took = since.elapsed();
    assert!(took < CALLS_TAKE_MAX, "{took:?}");
    Ok(())
}

/// The handler ends the process, when main has logged all.
fn exit_in_handler(file: &Path) -> Result<(), Box<dyn Error>> {
    let (told, logged) = mpsc::channel();
    let last = move || {
        logged.recv().expect("main tells");
        std::process::exit(CODE)
    };
    // Were this waited for, it would be for long.
    let builder = builder().exit_timeout(EXIT_TIMEOUT).handler(Ends::with(last, file));
    let (log, _guard) = begin("kept", builder)?;
    log.records();
    told.send(())?;
    wait_for_the_end()
}

/// Four threads log as fast as they can when `end` comes; main's records are from before it.
fn while_threads_log(file: &Path, end: fn() -> Result<(), Box<dyn Error>>) -> Result<(), Box<dyn Error>> {
    const THREADS: u32 = 4;
    let _guard = builder().exit_timeout(EXIT_TIMEOUT).handler(File::append(file)?).init()?;
    let (told, logs) = mpsc::channel();
    for thread in 0..THREADS {
        let told = told.clone();
        thread::spawn(move || {
            info!("thread {thread} number 0");
            told.send(()).expect("main waits");
            for number in 1_u64.. {
                info!("thread {thread} number {number}");
            }
        });
    }
    (0..THREADS).try_for_each(|_| logs.recv())?;
    Log::Global.records();
    end()
}

/// The guard is dropped where the thread ends.
fn in_a_thread_local(guard: &'static str, file: &Path) -> Result<(), Box<dyn Error>> {
    thread_local! {
        static GUARD: RefCell<Option<Guard>> = const { RefCell::new(None) };
    }
    let builder = patient(file);
    let thread = thread::spawn(move || {
        let (log, guard) = begin(guard, builder)?;
        GUARD.set(guard);
        log.records();
        Ok::<(), treering::Error>(())
    });
    Ok(thread.join().expect("no panic")?)
}

/// Another thread has closed the engine already, and drains it.
fn return_while_stopping(file: &Path) -> Result<(), Box<dyn Error>> {
    let (log, _) = begin("leaked", patient(file))?;
    log.records();
    thread::spawn(|| treering::shutdown(EXIT_TIMEOUT));
    while treering::stats()?.late == 0 {
        log.line("until it is refused");
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// The records are another engine's than those that the panic is told to.
fn panic_beside(file: &Path) -> Result<(), Box<dyn Error>> {
    std::mem::forget(treering::init()?);
    let (log, _) = begin("own-leaked", patient(file))?;
    log.records();
    panic!("the end");
}

/// As from timeout(1), which signals its child and then the group that the child is in.
fn two_signals_at_once(file: &Path) -> Result<(), Box<dyn Error>> {
    treering::stop_on_signals()?;
    let (log, _) = begin("leaked", patient(file))?;
    log.records();
    raise(libc::SIGTERM);
    thread::sleep(Duration::from_millis(1));
    raise(libc::SIGTERM);
    wait_for_the_end()
}

/// The handler hangs, and whoever sent the signal has no patience.
fn second_signal(file: &Path) -> Result<(), Box<dyn Error>> {
    treering::stop_on_signals()?;
    let ends = Ends::with(|| wait_for_the_end(), file);
    let (log, _) = begin("leaked", builder().exit_timeout(EXIT_TIMEOUT).handler(ends))?;
    log.records();
    raise(libc::SIGTERM);
    thread::sleep(Duration::from_secs(1));
    raise(libc::SIGINT);
    wait_for_the_end()
}

/// The child returns at once, with the parent's guard and the parent's records in its memory.
fn fork(file: &Path) -> Result<(), Box<dyn Error>> {
    let (log, _) = begin("leaked", patient(file))?;
    log.records();
    in_child(|| std::process::exit(CODE), |status| libc::WEXITSTATUS(status) == CODE)
}

/// A child that waits for its end gets the signal. It has the parent's hook, and nobody who waits behind it.
fn fork_hooked(file: &Path) -> Result<(), Box<dyn Error>> {
    treering::stop_on_signals()?;
    let (log, _) = begin("leaked", patient(file))?;
    log.records();
    let by_signal = |status| libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGTERM;
    in_child(
        || {
            raise(libc::SIGTERM);
            std::process::exit(CODE)
        },
        by_signal,
    )
}

/// A child that asks for the hook itself, as servers do that fork first and log then.
fn fork_hooked_again(file: &Path) -> Result<(), Box<dyn Error>> {
    treering::stop_on_signals()?;
    let by_signal = |status| libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGTERM;
    let child = || {
        treering::stop_on_signals().expect("the child waits, too");
        let (log, _) = begin("leaked", patient(file)).expect("the child's engine starts");
        log.records();
        raise(libc::SIGTERM);
        wait_for_the_end()
    };
    in_child(child, by_signal)
}

/// Runs `child` in a child of fork, and checks what it ended with.
fn in_child(
    child: impl FnOnce() -> Infallible,
    is_expected: impl FnOnce(i32) -> bool,
) -> Result<(), Box<dyn Error>> {
    // SAFETY: the threads of the parent that are not in the child hold no lock that it takes: they sleep.
    let forked = unsafe { libc::fork() };
    if forked == 0 {
        child();
    }
    let mut status = 0;
    // SAFETY: `status` outlives the call.
    if unsafe { libc::waitpid(forked, &mut status, 0) } != forked {
        return Err(io::Error::last_os_error().into());
    }
    assert!(is_expected(status), "the child's status is {status}");
    Ok(())
}
