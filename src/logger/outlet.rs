//! The way of one record into a queue of the user's, where the engine has one in place of rings.

use std::cell::Cell;
use std::time::Duration;

use super::place::{self, busy};
use super::send::{Lost, by_policy};
use crate::callsite::{DICTIONARY, Entry, EntryOf};
use crate::clock::{Deadline, Ticker, Timestamp};
use crate::engine::{self, Engine};
use crate::fault::text_of;
use crate::level::Level;
use crate::listener::is_polling;
use crate::outlet::Outlet;
use crate::overflow::Reason;
use crate::queue::EnqueueError;
use crate::record::{PortableError, Record};
use crate::ring::Payload;
use crate::sync::{Ordering, nap};

/// A record with longer arguments is cut: each queue has to take frames of a megabyte, with the names of its fields and all.
const ARGUMENTS_WORDS_MAX: usize = 768 * 1024 / 8;
/// So often the caller in front of the line asks whether there is room, at first and at last.
const PAUSE_MIN: Duration = Duration::from_micros(50);
const PAUSE_MAX: Duration = Duration::from_millis(1);

/// Makes the portable record and enqueues it, by the engine's policy. Counts what becomes of it, and returns whether the queue
/// has taken it.
pub(super) fn send(engine: &Engine, outlet: &Outlet, id: u32, level: Level, payload: &dyn Payload) -> bool {
    if payload.is_urgent() {
        return true; // it opens or closes a span, for a listener of rings: nobody misses it
    }
    let Some(entry) = busy(|_| DICTIONARY.entry(id)).flatten() else {
        place::count_nested();
        return false;
    };
    let time = Timestamp::now();
    let mut frame = place::take_scratch();
    let made = outlet.enter(|| write(entry, time, payload, &mut frame));
    let call = Call { engine, outlet, entry, frame: &frame, news: Cell::new(None) };
    let sent = match made {
        Some(Ok(is_cut)) => call.send().map(|taken| taken.map(|()| is_cut)),
        Some(Err(error)) => {
            call.learn_of(|| format!("cannot have a record: {error}"));
            Err(Lost::Dropped(Reason::Failed))
        }
        None => Ok(None),
    };
    let news = call.news.take();
    let counters = &outlet.counters;
    let is_taken = matches!(sent, Ok(Some(_)));
    match sent {
        Ok(Some(is_cut)) => {
            counters.taken.add_one_shared(level);
            counters.truncated.fetch_add(is_cut.into(), Ordering::Relaxed);
        }
        Ok(None) => place::count_nested(),
        Err(Lost::Dropped(reason)) => outlet.lose(level, reason, time),
        Err(Lost::Late) => counters.late.add_one_shared(level),
    }
    place::keep_scratch(frame);
    // Behind all of it: the hook is code of the user's, which may log, and wait for room.
    if let Some(news) = news {
        engine.core.faults.report(format_args!("the queue {news}"));
    }
    is_taken
}

/// Appends the portable record. Whether it was cut.
fn write(
    entry: &'static Entry<'static>,
    time: Timestamp,
    payload: &dyn Payload,
    frame: &mut Vec<u8>,
) -> Result<bool, PortableError> {
    let (wanted, spans) = (payload.words(), payload.span_words());
    let mut words = vec![0; wanted.min(ARGUMENTS_WORDS_MAX)];
    let written = payload.write_cut(&mut words);
    let truncated = wanted > words.len();
    let (entry, arguments, stamp) =
        (EntryOf::Process(entry), &words[spans..written], Ticker::default().stamp());
    Record { entry, arguments, time, stamp, thread: &place::thread(), truncated, scope: None }
        .write_portable(frame)?;
    Ok(truncated)
}

/// A record that is ready to be enqueued.
struct Call<'a> {
    engine: &'a Engine,
    outlet: &'a Outlet,
    entry: &'static Entry<'static>,
    frame: &'a [u8],
    /// What the error hook is to be told.
    news: Cell<Option<String>>,
}

/// What became of a call: the queue has its record, or nothing has, as it interrupts another one of its own thread.
type Sent = Result<Option<()>, Lost>;

impl Call<'_> {
    fn send(&self) -> Sent {
        if let Some(sent) = self.attempt(false) {
            return sent;
        }
        if place::must_not_wait() || engine::is_in_turn() || is_polling() {
            return Err(Lost::Dropped(Reason::Full));
        }
        let Engine { core, .. } = self.engine;
        let choice = core.transport.shared.policies.at(self.entry.metadata.level).choice();
        by_policy(
            choice,
            &core.faults,
            |patience| self.wait(patience),
            || Some((self.entry.metadata, self.frame.len(), (0, 0))),
        )
    }

    /// Tries once; `None` if there is no room. What room there is belongs to who `is_in_front` of those who wait.
    fn attempt(&self, is_in_front: bool) -> Option<Sent> {
        if !self.engine.is_open() {
            return Some(Err(Lost::Late));
        }
        if !is_in_front && self.outlet.line.is_waited_in() {
            return None;
        }
        // An error's text, and its end, are code of the user's, too, which must not come back here.
        let answer = self.outlet.enter(|| match self.outlet.put(self.frame) {
            Ok(()) => {
                self.outlet.is_news(false);
                Some(Ok(Some(())))
            }
            Err(EnqueueError::Full) => None,
            Err(EnqueueError::Closed) => {
                self.learn_of(|| "is closed, and what is logged is late".to_owned());
                Some(Err(Lost::Late))
            }
            Err(EnqueueError::Failed(error)) => {
                self.learn_of(|| format!("failed: {}", text_of(error)));
                Some(Err(Lost::Dropped(Reason::Failed)))
            }
        });
        answer.unwrap_or(Some(Ok(None)))
    }

    /// The queue has failed.
    fn learn_of(&self, failure: impl FnOnce() -> String) {
        if self.outlet.is_news(true) {
            self.news.set(Some(failure()));
        }
    }

    /// Waits for its turn, and then tries again and again, until the deadline; `None` if there was no room.
    fn wait(&self, patience: Duration) -> Option<Sent> {
        let deadline = Deadline::after(patience);
        let Some(_in_front) = self.outlet.line.wait(deadline) else {
            // The deadline has passed, or a stop has ended the line.
            return (!self.engine.is_open()).then_some(Err(Lost::Late));
        };
        let mut pause = PAUSE_MIN;
        loop {
            let sent = self.attempt(true);
            if sent.is_some() || deadline.has_passed() {
                return sent;
            }
            nap(pause.min(deadline.left().unwrap_or(pause)));
            pause = PAUSE_MAX.min(pause * 2);
        }
    }
}
