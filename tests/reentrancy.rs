//! Calls within calls, and calls from code that the engine calls: what is heard, and what is counted.
//!
//! Allocators that log are in `allocator.rs`, signal handlers in `signals.rs`, destructors of thread-locals in
//! `threads.rs`.

mod support;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use support::{Each, LONG, SOON, capturing, each, eventually, in_child, messages, text};
use treering::format::Format;
use treering::handler::{Batch, Capture, File, Handler, HandlerError};
use treering::record::Record;
use treering::{Level, Logger, Overflow, Wait, error, info, warn};

/// Runs a test by itself: nested calls are counted for the whole process.
#[track_caller]
fn in_own_process(test: &str, body: impl FnOnce()) {
    if let Some(output) = in_child(test, &[], body) {
        assert!(output.status.success(), "{}", text(&output));
    }
}

// ---- calls within calls

/// Logs when it is printed.
struct Logs<'a>(&'a Logger, u32);

impl fmt::Display for Logs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("outer ")?;
        let Logs(logger, depth) = *self;
        if depth > 1 {
            info!(logger: logger, "{} at depth {depth}", Logs(logger, depth - 1));
        } else {
            info!(logger: logger, "innermost");
        }
        f.write_str("text")
    }
}

#[test]
fn a_display_that_logs_delivers_its_own_records_first() {
    let (logger, guard, capture) = capturing();
    info!(logger: logger, "{} {}", Logs(&logger, 3), "after");
    info!(logger: logger, "next");
    let expected =
        ["innermost", "outer text at depth 2", "outer text at depth 3", "outer text after", "next"];
    assert_eq!(messages(&guard, &capture), expected);
}

#[test]
fn an_argument_that_logs_delivers_its_own_record_first() {
    let (logger, guard, capture) = capturing();
    fn priced(logger: &Logger) -> u64 {
        warn!(logger: logger, "no price known");
        7
    }
    for _ in 0..2 {
        info!(logger: logger, price = priced(&logger), "bought");
    }
    assert_eq!(messages(&guard, &capture), ["no price known", "bought"].repeat(2));
}

#[test]
fn a_display_that_panics_leaves_nothing_behind_and_its_thread_logs_on() {
    struct Panics<'a>(&'a Logger);
    impl fmt::Display for Panics<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("half of the text")?;
            info!(logger: self.0, "about to panic");
            panic!("in a Display")
        }
    }
    let (logger, guard, capture) = capturing();
    for n in 0..3 {
        let call = || info!(logger: logger, "{n} {}", Panics(&logger));
        assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
        info!(logger: logger, "{n} {}", fmt::from_fn(|f| f.write_str("goes on")));
    }
    let expected =
        ["about to panic", "0 goes on", "about to panic", "1 goes on", "about to panic", "2 goes on"];
    assert_eq!(messages(&guard, &capture), expected);
}

#[test]
fn an_argument_that_logs_when_it_is_dropped_is_heard_after_the_call() {
    struct Parts<'a>(&'a Logger);
    impl fmt::Display for Parts<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("here")
        }
    }
    impl Drop for Parts<'_> {
        fn drop(&mut self) {
            info!(logger: self.0, "gone");
        }
    }
    let (logger, guard, capture) = capturing();
    for _ in 0..2 {
        info!(logger: logger, "{}", Parts(&logger));
    }
    assert_eq!(messages(&guard, &capture), ["here", "gone"].repeat(2));
}

#[test]
fn a_panic_in_a_display_is_a_record_and_so_is_what_a_panic_hook_says() {
    struct Panics;
    impl fmt::Display for Panics {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("in a Display")
        }
    }
    in_own_process("a_panic_in_a_display_is_a_record_and_so_is_what_a_panic_hook_says", || {
        std::panic::set_hook(Box::new(|_| info!("a hook of the program's")));
        let capture = Capture::new();
        let guard = treering::builder().handler(capture.clone()).init().unwrap();
        assert!(catch_unwind(|| info!("{}", Panics)).is_err());
        info!("goes on");
        assert_eq!(
            messages(&guard, &capture),
            ["panicked: in a Display", "a hook of the program's", "goes on"]
        );
        assert_eq!(guard.stats().nested, 0);
    });
}

// ---- code that the engine calls

#[test]
fn a_handler_that_logs_is_heard() {
    let own = Arc::new(std::sync::OnceLock::<Logger>::new());
    let (theirs, capture) = (own.clone(), Capture::new());
    let (logger, guard) = treering::builder()
        .handler(each(move |record| {
            if record.message() == "question" {
                info!(logger: theirs.get().unwrap(), "answer");
            }
        }))
        .handler(capture.clone())
        .start()
        .unwrap();
    own.set(logger.clone()).unwrap();
    info!(logger: logger, "question");
    assert!(capture.wait_for(2, SOON));
    assert_eq!(messages(&guard, &capture), ["question", "answer"]);
}

/// Who logs through the engine whose turn it is, on each record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Speaker {
    Handler,
    Format,
    /// Told of a handler that fails; ten times, then the engine has had enough.
    ErrorHook,
}

/// What a [`Speaker`] says, and to whom.
#[derive(Clone, Default)]
struct Speech(Arc<Counts>);

#[derive(Default)]
struct Counts {
    /// None: the process-wide engine.
    logger: OnceLock<Logger>,
    said: AtomicU64,
    echoes: AtomicU64,
    losses: AtomicU64,
}

impl Speech {
    /// At WARN, so that the books tell it from what it answers.
    fn speak(&self) {
        self.0.said.fetch_add(1, Ordering::Relaxed);
        match self.0.logger.get() {
            Some(logger) => warn!(logger: logger, "echo"),
            None => warn!("echo"),
        }
    }

    fn hear(&self, record: &Record<'_>) {
        self.0.echoes.fetch_add(u64::from(record.message() == "echo"), Ordering::Relaxed);
        self.0.losses.fetch_add(u64::from(record.target() == "treering::loss"), Ordering::Relaxed);
    }
}

impl Format for Speech {
    fn format(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
        self.hear(record);
        self.speak();
        out.extend_from_slice(b"heard\n");
    }
}

/// The records that are answered.
const ANSWERED: u64 = 10_000;
/// What a stop of a quiet engine may take, on a machine that is busy with other things.
const PROMPT: Duration = Duration::from_secs(5);
/// What a `poll` of [`Wait::Manual`] finds.
const POLLED: u64 = 16;

/// Runs an engine whose speaker answers each record; checks that it ends, and the books.
fn answer_all(speaker: Speaker, is_global: bool, policy: Overflow, wait: Wait) {
    let case = format!("{speaker:?}, global: {is_global}, {policy:?}, {wait:?}");
    let speech = Speech::default();
    let (heard, told) = (speech.clone(), speech.clone());
    let directory = tempfile::tempdir().unwrap();
    let builder = treering::builder().ring_capacity(4096).overflow(policy.clone()).wait(wait);
    let builder = match speaker {
        Speaker::Handler => builder.handler(each(move |record| {
            heard.hear(record);
            heard.speak();
        })),
        Speaker::Format => builder.handler(File::append(directory.path().join("log")).unwrap().format(heard)),
        Speaker::ErrorHook => {
            // One that fails each time would be quarantined, and hear nothing.
            let mut fails = false;
            builder.error_hook(move |_| told.speak()).handler(Each(move |record: &Record<'_>| {
                heard.hear(record);
                fails = !fails;
                if fails { Err(HandlerError::new("refused")) } else { Ok(()) }
            }))
        }
    };
    let guard = if is_global {
        builder.init().unwrap()
    } else {
        let (logger, guard) = builder.start().unwrap();
        speech.0.logger.set(logger).unwrap();
        guard
    };
    let nested_before = guard.stats().nested;
    for n in 0..ANSWERED {
        match speech.0.logger.get() {
            Some(logger) => info!(logger: logger, "{n}"),
            None => info!("{n}"),
        }
        if wait == Wait::Manual && n % POLLED == 0 {
            guard.poll().unwrap();
        }
    }
    let mut polls = 0;
    eventually("silence", || {
        if wait == Wait::Manual {
            polls += 1;
            return guard.poll().unwrap() == 0;
        }
        let said = speech.0.said.load(Ordering::Relaxed);
        guard.flush(SOON).unwrap();
        guard.stats().pending == 0 && said == speech.0.said.load(Ordering::Relaxed)
    });
    assert!(polls <= 4, "{polls} polls: {case}");
    let stopped = Instant::now();
    let report = guard.stop(SOON).unwrap();
    assert!(stopped.elapsed() < PROMPT, "{case}");
    report.assert_balanced();

    let Counts { said, echoes, losses, .. } = &*speech.0;
    let [said, echoes, losses] = [said, echoes, losses].map(|count| count.load(Ordering::Relaxed));
    let nested = report.nested - nested_before;
    assert_eq!(report.submitted_at(Level::Info), ANSWERED, "{case}");
    assert_eq!(report.submitted_at(Level::Warn) + nested, said, "each is taken or nested: {case}");
    assert_eq!(
        report.submitted_at(Level::Warn) - report.dropped_at(Level::Warn) - report.late,
        echoes,
        "{case}"
    );
    if wait != Wait::Manual && policy != Overflow::drop_newest() {
        assert_eq!(report.dropped_at(Level::Info), 0, "{case}");
    }
    if speaker == Speaker::ErrorHook {
        assert_eq!(said, 10, "{case}");
        return;
    }
    assert_eq!(said, report.handlers.iter().next().unwrap().offered, "{case}");
    assert!(
        echoes > 0 && nested >= echoes && nested <= echoes + losses,
        "{nested}, {echoes} echoes, {losses}: {case}"
    );
}

#[test]
fn who_answers_every_record_is_heard_once_for_each_and_then_nested() {
    in_own_process("who_answers_every_record_is_heard_once_for_each_and_then_nested", || {
        for speaker in [Speaker::Handler, Speaker::Format, Speaker::ErrorHook] {
            for policy in [Overflow::drop_newest(), Overflow::block(Duration::MAX)] {
                for wait in [Wait::Adaptive, Wait::Park, Wait::Manual] {
                    answer_all(speaker, false, policy.clone(), wait);
                    answer_all(speaker, true, policy.clone(), wait);
                }
            }
        }
    });
}

/// Says more of each record, and of each flush, than its ring has room for.
struct Talkative(Arc<OnceLock<Logger>>, Arc<AtomicU64>);

impl Talkative {
    fn talk(&self) {
        for n in 0..1_000 {
            self.1.fetch_add(1, Ordering::Relaxed);
            warn!(logger: self.0.get().unwrap(), "echo {n}");
        }
    }
}

impl Handler for Talkative {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        batch.iter().for_each(|_| self.talk());
        Ok(())
    }

    fn flush(&mut self) -> Result<(), HandlerError> {
        self.talk();
        Ok(())
    }

    /// So that it is flushed again and again.
    fn held(&self) -> u64 {
        1
    }
}

#[test]
fn losses_of_echoes_and_flushes_lead_to_no_more_echoes() {
    in_own_process("losses_of_echoes_and_flushes_lead_to_no_more_echoes", || {
        for wait in [Wait::Adaptive, Wait::Poll(Duration::from_micros(100))] {
            let (own, said) = (Arc::new(OnceLock::<Logger>::new()), Arc::new(AtomicU64::new(0)));
            let talkative = Talkative(own.clone(), said.clone());
            let builder = treering::builder().ring_capacity(4096).wait(wait);
            let (logger, guard) = builder.handler(talkative).start().unwrap();
            own.set(logger.clone()).unwrap();
            info!(logger: logger, "the only one");
            eventually("an echo", || guard.stats().submitted > 1);
            // Longer than the listener waits before it tells of losses by itself, twice.
            std::thread::sleep(Duration::from_millis(1_200));
            let taken = guard.stats().submitted;
            std::thread::sleep(Duration::from_millis(1_200));
            assert_eq!(guard.stats().submitted, taken);
            // One for the record and one for the flush of it before it was known to be echoed.
            assert!(taken <= 1 + 2 * 1_000, "{taken}");
            let report = guard.stop(SOON).unwrap();
            report.assert_balanced();
            assert!(report.dropped_at(Level::Warn) > 0);
            assert!(said.load(Ordering::Relaxed) >= report.submitted_at(Level::Warn));
        }
    });
}

#[test]
fn what_a_handler_says_when_it_is_closed_or_dropped_is_late() {
    struct LastWords(Arc<OnceLock<Logger>>);
    impl Handler for LastWords {
        fn handle(&mut self, _: &Batch<'_>) -> Result<(), HandlerError> {
            Ok(())
        }
        fn close(&mut self) -> Result<(), HandlerError> {
            error!(logger: self.0.get().unwrap(), "closed");
            Ok(())
        }
    }
    impl Drop for LastWords {
        fn drop(&mut self) {
            error!(logger: self.0.get().unwrap(), "dropped");
        }
    }
    for wait in [Wait::Adaptive, Wait::Manual] {
        for policy in [Overflow::drop_newest(), Overflow::block(Duration::MAX)] {
            let own = Arc::new(OnceLock::<Logger>::new());
            let builder = treering::builder().overflow(policy).wait(wait);
            let (logger, guard) = builder.handler(LastWords(own.clone())).start().unwrap();
            own.set(logger.clone()).unwrap();
            info!(logger: logger, "in time");
            let report = guard.stop(SOON).unwrap();
            report.assert_balanced();
            assert_eq!((report.submitted, report.dispatched, report.late), (3, 1, 2));
        }
    }
}

#[test]
fn a_handler_of_one_engine_that_logs_to_another_logs_like_any_thread() {
    let (other, others_guard, capture) = capturing();
    let (logger, guard) = treering::builder()
        .overflow(Overflow::block(LONG))
        .handler(each(move |record| info!(logger: other, "{}", record.message())))
        .start()
        .unwrap();
    (0..1_000).for_each(|n| info!(logger: logger, "{n}"));
    guard.stop(SOON).unwrap().assert_balanced();
    let report = others_guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert_eq!((report.submitted, report.dispatched + report.dropped), (1_000, 1_000));
    assert!(capture.len() as u64 >= report.dispatched);
}

#[test]
fn a_thread_that_polls_keeps_its_ring_and_what_was_logged_before_comes_first() {
    in_own_process("a_thread_that_polls_keeps_its_ring_and_what_was_logged_before_comes_first", || {
        let capture = Capture::new();
        let own = Arc::new(OnceLock::<Logger>::new());
        let theirs = own.clone();
        let (logger, guard) = treering::builder()
            .wait(Wait::Manual)
            .handler(capture.clone())
            .handler(each(move |record| {
                let logger = theirs.get().unwrap();
                info!(logger: logger, "echo of {}", record.message());
                assert!(logger.flush(SOON).unwrap_err().is_on_listener_thread());
                if record.message() == "panics" {
                    panic!("in a handler");
                }
            }))
            .start()
            .unwrap();
        own.set(logger.clone()).unwrap();
        for message in ["first", "panics", "last"] {
            info!(logger: logger, "{message}");
            while guard.poll().unwrap() > 0 {}
        }
        let report = guard.stop(SOON).unwrap();
        report.assert_balanced();
        assert_eq!(report.rings, 2, "the thread's, and that of echoes");
        let messages: Vec<_> = capture.records().iter().map(|record| record.message().to_owned()).collect();
        assert_eq!(messages, ["first", "echo of first", "panics", "echo of panics", "last", "echo of last"]);
    });
}
