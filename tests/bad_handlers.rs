//! Handlers and thread-locals that do what they should not, wherever the engine runs code of the user's: the engine,
//! the other handlers and the books are untouched.

mod support;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use support::{LONG, SOON, each, eventually, in_child, text};
use treering::handler::{Batch, Capture, Handler, HandlerError};
use treering::{Overflow, Wait, error, info};

/// Fails each call as its closure says.
struct Fails<F>(F);

impl<F: FnMut() -> HandlerError + Send> Handler for Fails<F> {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        batch.iter().next();
        Err((self.0)())
    }

    fn name(&self) -> String {
        "bad".to_owned()
    }
}

/// An error that cannot be shown, or dropped.
#[derive(Debug)]
struct Unshowable;

impl fmt::Display for Unshowable {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("cannot be shown")
    }
}

impl std::error::Error for Unshowable {}

/// Panics when it is dropped.
#[derive(Debug)]
struct Bomb;

impl fmt::Display for Bomb {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Err(fmt::Error)
    }
}

impl std::error::Error for Bomb {}

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("cannot be dropped")
    }
}

/// A capture beside the bad handler gets everything, and the bad one's records are failed.
fn costs_itself_only(bad: impl Handler + 'static) {
    let capture = Capture::new();
    let builder = treering::builder().error_hook(|_| {}).handler(bad).handler(capture.clone());
    let (logger, guard) = builder.start().unwrap();
    for n in 0..5 {
        info!(logger: logger, "{n}");
        guard.flush(SOON).unwrap();
    }
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert_eq!(capture.len(), 5);
    assert_eq!((report.handlers["bad"].failed, report.handlers["capture"].delivered), (5, 5), "{report:#?}");
}

#[test]
fn an_error_that_panics_when_it_is_shown() {
    costs_itself_only(Fails(|| HandlerError::new(Unshowable)));
}

#[test]
fn an_error_that_panics_when_it_is_dropped() {
    costs_itself_only(Fails(|| HandlerError::new(Bomb)));
}

#[test]
fn a_panic_that_panics_when_it_is_dropped() {
    costs_itself_only(Fails(|| std::panic::panic_any(Bomb)));
}

#[test]
fn a_level_that_panics() {
    struct NoLevel;
    impl Handler for NoLevel {
        fn handle(&mut self, _: &Batch<'_>) -> Result<(), HandlerError> {
            Err(HandlerError::new(fmt::Error))
        }
        fn max_level(&self) -> treering::LevelFilter {
            panic!("no level")
        }
        fn name(&self) -> String {
            "bad".to_owned()
        }
    }
    costs_itself_only(NoLevel);
}

/// Buffers, and loses what it buffered without saying how much.
#[derive(Default)]
struct Forgets {
    held: u64,
    panics: bool,
}

impl Handler for Forgets {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        self.held += batch.iter().count() as u64;
        Ok(())
    }

    fn flush(&mut self) -> Result<(), HandlerError> {
        if std::mem::take(&mut self.held) > 0 {
            assert!(!self.panics, "gone");
            return Err(std::io::Error::other("gone").into());
        }
        Ok(())
    }

    fn held(&self) -> u64 {
        self.held
    }

    fn name(&self) -> String {
        "forgets".to_owned()
    }
}

#[test]
fn what_a_handler_held_and_lost_without_a_word_has_failed() {
    for panics in [false, true] {
        let handler = Forgets { panics, ..Forgets::default() };
        let builder = treering::builder().wait(Wait::Manual).error_hook(|_| {}).handler(handler);
        let (logger, guard) = builder.start().unwrap();
        (0..100).for_each(|n| info!(logger: logger, "{n}"));
        guard.poll().unwrap();
        let report = guard.stop(SOON).unwrap();
        report.assert_balanced();
        assert_eq!(report.handlers["forgets"].failed, 100);
        assert!(!report.is_lossless());
    }
}

#[test]
fn a_handler_whose_thread_local_takes_its_time_does_not_hold_up_a_stop() {
    struct Slow;
    impl Drop for Slow {
        fn drop(&mut self) {
            std::thread::sleep(Duration::from_secs(3));
        }
    }
    thread_local!(static SLOW: Slow = const { Slow });
    let (logger, guard) = treering::builder().handler(each(|_| SLOW.with(|_| ()))).start().unwrap();
    info!(logger: logger, "here");
    let start = Instant::now();
    let report = guard.stop(Duration::from_secs(1)).unwrap();
    report.assert_balanced();
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert!(report.is_lossless());
}

#[test]
fn an_init_that_is_refused_leaves_the_thread_as_it_was() {
    let test = "an_init_that_is_refused_leaves_the_thread_as_it_was";
    let child = in_child(test, &[], || {
        struct Explosive(#[allow(dead_code, reason = "for its drop")] Bomb);
        impl Handler for Explosive {
            fn handle(&mut self, _: &Batch<'_>) -> Result<(), HandlerError> {
                Ok(())
            }
        }
        let capture = Capture::new();
        let guard = treering::builder().handler(capture.clone()).init().unwrap();
        let refused = std::panic::catch_unwind(|| treering::builder().handler(Explosive(Bomb)).init());
        assert!(refused.is_err(), "the drop of the handler panics, here");
        (0..10).for_each(|n| info!("{n}"));
        guard.set_filter("debug").unwrap();
        let report = guard.stop(SOON).unwrap();
        report.assert_balanced();
        assert_eq!(report.nested, 0);
        assert_eq!(capture.records().iter().filter(|record| record.target() == "bad_handlers").count(), 10);
    });
    if let Some(output) = child {
        assert!(output.status.success(), "{}", text(&output));
    }
}

#[test]
fn an_init_while_a_thread_panics_works_and_so_does_the_next() {
    let test = "an_init_while_a_thread_panics_works_and_so_does_the_next";
    let child = in_child(test, &[], || {
        struct Inits;
        impl Drop for Inits {
            fn drop(&mut self) {
                let guard = treering::init().unwrap();
                guard.stop(SOON).unwrap().assert_balanced();
            }
        }
        std::panic::catch_unwind(|| {
            let _inits = Inits;
            panic!("on purpose");
        })
        .unwrap_err();
        treering::init().unwrap().stop(SOON).unwrap();
    });
    if let Some(output) = child {
        assert!(output.status.success(), "{}", text(&output));
    }
}

#[test]
fn a_handler_never_waits_for_room_in_another_engine() {
    let (full, full_guard) = treering::builder()
        .ring_capacity(4096)
        .wait(Wait::Manual)
        .overflow(Overflow::block(LONG))
        .start()
        .unwrap();
    let forward = full.clone();
    let (logger, guard) = treering::builder()
        .handler(each(move |_| error!(logger: forward, "{}", "x".repeat(500))))
        .start()
        .unwrap();
    let start = Instant::now();
    (0..50).for_each(|n| info!(logger: logger, "{n}"));
    let report = guard.stop(SOON).unwrap();
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert!(report.is_lossless());
    let report = full_guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert!(report.dropped > 0);
}

#[test]
fn a_ring_is_not_lent_to_a_thread_that_hands_nothing_back_any_more() {
    struct Registers(Option<treering::Logger>);
    impl Drop for Registers {
        fn drop(&mut self) {
            if let Some(logger) = self.0.take() {
                logger.register_thread();
                info!(logger: logger, "from a destructor");
            }
        }
    }
    thread_local!(static REGISTERS: std::cell::RefCell<Registers> = const { std::cell::RefCell::new(Registers(None)) });
    let (logger, guard) = treering::builder().start().unwrap();
    for _ in 0..10 {
        let logger = logger.clone();
        std::thread::spawn(move || {
            REGISTERS.with(|place| place.borrow_mut().0 = Some(logger.clone()));
            info!(logger: logger, "first");
        })
        .join()
        .unwrap();
        guard.flush(SOON).unwrap();
    }
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert_eq!(report.submitted, 20);
    assert!(report.rings <= 4, "{report:#?}");
}

#[test]
fn an_engine_whose_guard_is_dropped_in_its_handler_ends_under_manual_polling_too() {
    let closed = Arc::new(AtomicU64::new(0));
    struct Ends {
        guard: Arc<std::sync::Mutex<Option<treering::Guard>>>,
        closed: Arc<AtomicU64>,
    }
    impl Handler for Ends {
        fn handle(&mut self, _: &Batch<'_>) -> Result<(), HandlerError> {
            drop(self.guard.lock().unwrap().take());
            Ok(())
        }
        fn close(&mut self) -> Result<(), HandlerError> {
            self.closed.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
    }
    let place = Arc::new(std::sync::Mutex::new(None));
    let handler = Ends { guard: place.clone(), closed: closed.clone() };
    let (logger, guard) = treering::builder().wait(Wait::Manual).handler(handler).start().unwrap();
    *place.lock().unwrap() = Some(guard);
    info!(logger: logger, "the last");
    logger.flush(SOON).unwrap();
    assert_eq!(closed.load(Ordering::Relaxed), 1);
}

#[test]
fn a_listener_that_cannot_go_on_releases_everybody() {
    // A hook that panics while the listener reports: the boundary holds, so this is about the hook alone.
    let (logger, guard) = treering::builder()
        .error_hook(|_| std::panic::panic_any(Bomb))
        .handler(Fails(|| HandlerError::new(fmt::Error)))
        .start()
        .unwrap();
    (0..5).for_each(|n| info!(logger: logger, "{n}"));
    eventually("failed", || guard.stats().handlers["bad"].failed == 5);
    guard.stop(SOON).unwrap().assert_balanced();
}
