//! The flight recorder: what a handler is not given is kept for a while, and given to it when something goes wrong.
//!
//! ```text
//!                          the handler wants it                 ┌─────────┐
//!  record ──► trigger? ──┬──────────────────────────────────────►         │
//!                        │                          at a trigger │ handler │
//!                        └─► [kept │ kept │ … │ kept] ──────────►         │
//!                             ▲ the oldest is overwritten        └─────────┘
//! ```
//! Kept are the words of a record as they lie in a batch, not its text: a record that nobody ever looks at costs a
//! copy. Callsites live as long as the process, so nothing else is needed but the thread, which is shared. A record that was
//! changed on its way, or came through a queue, has no callsite here: of that the portable form is kept, in such words.

use std::collections::VecDeque;
use std::fmt;
use std::num::NonZeroU32;

use bumpalo::Bump;

use super::batch::Contents;
use super::inner::{Given, Inner};
use super::packed::{PACKED, pack, unpacked};
use super::{Batch, Filter, Handler, HandlerError, Item, Routed, Texts};
use crate::callsite::{Entry, EntryOf, Field, Piece, Spec, Style, Type, own_metadata};
use crate::fault::guarded;
use crate::level::{Level, LevelFilter};
use crate::os;
use crate::record::{Record, Scope, Thread, Timestamp};
use crate::sync::Arc;

/// Stands before the records that were kept.
const EMITTED: &Entry<'static> = &Entry {
    metadata: &own_metadata!(
        Info,
        "treering::recorder",
        &[
            Piece::Argument(0, Spec::DISPLAY),
            Piece::Literal(" kept records follow, "),
            Piece::Argument(1, Spec::DISPLAY),
            Piece::Literal(" older ones were overwritten"),
        ],
        &[
            Field { name: "kept", argument: 0, style: Style::Value },
            Field { name: "overwritten", argument: 1, style: Style::Value },
        ]
    ),
    types: &[&Type::U64, &Type::U64],
};

/// Keeps the last records that a handler is not given, and hands them over when something goes wrong.
///
/// The handler's own level and filter say what it gets at once; all else that reaches the recorder is kept, in memory,
/// until newer records overwrite it. A *trigger*, by default any record at [`Level::Error`], brings out what is kept,
/// in order, and then the trigger itself. So the log has little to say while all is well, and the whole story when
/// it is not:
///
/// ```text
/// 2026-11-22T13:37:50.000000000Z INFO  my_server: started
/// 2026-11-22T13:37:55.123456789Z INFO  treering::recorder: 2 kept records follow, 0 older ones were overwritten kept=2 overwritten=0
/// 2026-11-22T13:37:55.123450000Z DEBUG my_server::db: connecting
/// 2026-11-22T13:37:55.123456700Z DEBUG my_server::db: refused
/// 2026-11-22T13:37:55.123456789Z ERROR my_server::db: no connection left
/// ```
/// The line before them has the trigger's time, and fields for programs. Kept records have their own times, so they
/// may be older than lines above them.
///
/// The engine's filter must let through what shall be kept: those calls cost what every enabled call costs, and this
/// handler the copy of their arguments, but nothing is formatted and nothing written.
///
/// **Memory**: at most [`bytes`](FlightRecorder::bytes) for arguments, and 76 bytes for each of
/// [`records`](FlightRecorder::records), taken as records come, and not given back; beside them the names of the threads
/// that the records came from. Records that were logged in spans take 8 bytes more, and keep what their spans were.
///
/// **A level or a filter** on the recorder itself, `FlightRecorder::new(handler).level(…)` or later by
/// [`set_level`](crate::HandlerControl::set_level), says what reaches it: what that holds back is not kept. What passes at
/// once is for the handler inside to say.
///
/// **A handler that fails** ten times in a row gets nothing for a while, as one of the engine's own would; what it is not
/// shown then has failed, kept or not.
///
/// A record that a [preparation](mod@crate::prepare) changed, or that came through a [queue](crate::queue), is kept with all that
/// it says: that is some 200 bytes more, counted among those for arguments.
///
/// **Books**: kept records are `held`, those that are overwritten count as `filtered`, and so do those that are still
/// kept at the end, unless [`emit_at_close`](FlightRecorder::emit_at_close) has them handed over.
///
/// ```
/// use treering::handler::{Capture, FlightRecorder};
/// use treering::{Level, debug, error, info};
///
/// let capture = Capture::new().level(Level::Info);
/// let recorder = FlightRecorder::new(capture.clone()).records(1000);
/// let (logger, guard) = treering::builder().filter("debug").handler(recorder).start()?;
/// debug!(logger: logger, "connecting");
/// info!(logger: logger, "started");
/// error!(logger: logger, "refused");
/// guard.stop(std::time::Duration::from_secs(5))?;
///
/// let records = capture.records();
/// let messages: Vec<_> = records.iter().map(|record| record.message()).collect();
/// let line = "1 kept records follow, 0 older ones were overwritten";
/// assert_eq!(messages, ["started", line, "connecting", "refused"]);
/// # Ok::<(), treering::Error>(())
/// ```
pub struct FlightRecorder {
    inner: Inner,
    kept: Kept,
    trigger: LevelFilter,
    predicate: Option<Filter>,
    emits_at_close: bool,
    /// The positions of those that are handed over next; empty between calls.
    next: Vec<u32>,
    /// Records let go since the engine asked last.
    discarded: u64,
}

impl FlightRecorder {
    /// Records for `handler`; 10,000 of them or 1 MiB of arguments, and an error brings them out.
    ///
    /// ```
    /// use treering::handler::{Console, FlightRecorder};
    /// let handler = FlightRecorder::new(Console::stderr().level(treering::Level::Info));
    /// ```
    pub fn new(handler: impl Handler + 'static) -> Self {
        FlightRecorder {
            inner: Inner::new(Routed::of(handler)),
            kept: Kept::new(10_000, 1024 * 1024),
            trigger: Level::Error.into(),
            predicate: None,
            emits_at_close: false,
            next: Vec::new(),
            discarded: 0,
        }
    }

    /// How many records are kept at most. Default: 10,000.
    ///
    /// ```
    /// use treering::handler::{Console, FlightRecorder};
    /// let handler = FlightRecorder::new(Console::stderr()).records(100);
    /// ```
    #[must_use]
    pub fn records(mut self, max: usize) -> Self {
        self.kept = Kept::new(max, self.kept.words_max * size_of::<u64>());
        self
    }

    /// How many bytes the arguments of all kept records may take, as they lie in the rings: 8 for a number or a `bool`,
    /// of a string its bytes and 8 to 15 more. A record with more than all that is not kept. Default: 1 MiB.
    ///
    /// ```
    /// use treering::handler::{Console, FlightRecorder};
    /// let handler = FlightRecorder::new(Console::stderr()).bytes(64 * 1024);
    /// ```
    #[must_use]
    pub fn bytes(mut self, max: usize) -> Self {
        self.kept = Kept::new(self.kept.records_max, max);
        self
    }

    /// Records at least as severe as this bring out what is kept; [`LevelFilter::OFF`] for none. Default: errors.
    ///
    /// ```
    /// use treering::{Level, handler::{Console, FlightRecorder}};
    /// let handler = FlightRecorder::new(Console::stderr()).trigger(Level::Warn);
    /// ```
    #[must_use]
    pub fn trigger(mut self, level: impl Into<LevelFilter>) -> Self {
        self.trigger = level.into();
        self
    }

    /// Records of which this is true bring out what is kept, too. A panic of it is told as a failure of the handler,
    /// and means no.
    ///
    /// ```
    /// use treering::handler::{Console, FlightRecorder};
    /// let handler = FlightRecorder::new(Console::stderr())
    ///     .trigger_when(|record| record.field("status").is_some_and(|field| field.value().as_u64() == Some(500)));
    /// ```
    #[must_use]
    pub fn trigger_when(mut self, predicate: impl FnMut(&Record<'_>) -> bool + Send + 'static) -> Self {
        self.predicate = Some(Box::new(predicate));
        self
    }

    /// Whether the end of the engine brings out what is kept, as a trigger does. Default: no, it counts as filtered.
    ///
    /// ```
    /// use treering::handler::{Console, FlightRecorder};
    /// let handler = FlightRecorder::new(Console::stderr()).emit_at_close(true);
    /// ```
    #[must_use]
    pub fn emit_at_close(mut self, yes: bool) -> Self {
        self.emits_at_close = yes;
        self
    }

    /// What is done with one record: kept, or put to those that are handed over next, after all that is kept if it
    /// is a trigger.
    fn sort(&mut self, batch: &Batch<'_>, position: u32, losses: &mut Losses) {
        let contents = batch.contents;
        let item = &contents.items[position as usize];
        let record = contents.record(item);
        let is_trigger = !item.own && self.is_trigger(&record, losses);
        if is_trigger {
            self.hand_over(batch, losses);
            self.emit(Some(batch), record.time, record.stamp, losses);
        }
        if is_trigger || item.own {
            self.next.push(position);
            return;
        }
        match self.inner.wants(&record) {
            Ok(true) => self.next.push(position),
            Ok(false) => self.discarded += self.kept.push(contents, item),
            Err(panic) => losses.add(1, panic),
        }
    }

    fn is_trigger(&mut self, record: &Record<'_>, losses: &mut Losses) -> bool {
        let says_so = |predicate: &mut Filter| {
            guarded(|| predicate(record)).unwrap_or_else(|panic| {
                losses.add(0, panic);
                false
            })
        };
        self.trigger.allows(record.level()) || self.predicate.as_mut().is_some_and(says_so)
    }

    /// Gives the handler what is kept, behind a line that says so.
    fn emit(&mut self, within: Option<&Batch<'_>>, time: Timestamp, stamp: u64, losses: &mut Losses) {
        let kept = self.kept.items.len();
        let overwritten = std::mem::take(&mut self.kept.overwritten);
        if kept == 0 && overwritten == 0 {
            return;
        }
        let thread = Thread::new(os::thread_id(), None);
        let arguments = &[kept as u64, overwritten];
        let (entry, truncated, scope) = (EntryOf::Process(EMITTED), false, None);
        let note = Record { entry, arguments, time, stamp, thread: &thread, truncated, scope };
        if let Err(panic) = guarded(|| self.inner.handler.remark(&note)) {
            losses.add(0, panic);
        }
        self.next.extend(0..kept as u32);
        losses.take(self.inner.give(within, self.kept.contents(&Bump::new()), &self.next));
        self.next.clear();
        self.kept.clear();
    }

    /// Gives the handler what is next.
    fn hand_over(&mut self, batch: &Batch<'_>, losses: &mut Losses) {
        losses.take(self.inner.give(Some(batch), batch.contents, &self.next));
        self.next.clear();
    }
}

impl Handler for FlightRecorder {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        // All of the batch is on its way from here on, to the handler or to what is kept.
        batch.cursor.exhaust();
        let mut losses = Losses::default();
        for position in batch.chosen.iter().take_while(|_| batch.is_open()) {
            self.sort(batch, *position, &mut losses);
        }
        self.hand_over(batch, &mut losses);
        losses.tell()
    }

    fn flush(&mut self) -> Result<(), HandlerError> {
        Losses::from(self.inner.finish(|handler| handler.flush())).tell()
    }

    fn close(&mut self) -> Result<(), HandlerError> {
        let mut losses = Losses::default();
        if self.emits_at_close
            && let Some(last) = self.kept.items.back()
        {
            self.emit(None, last.time, last.stamp, &mut losses);
        }
        self.discarded += self.kept.items.len() as u64;
        self.kept.clear();
        losses.take(self.inner.finish(|handler| handler.close()));
        losses.tell()
    }

    fn skipped(&mut self, records: u64) {
        self.inner.untold += records;
    }

    fn tend(&mut self) -> Result<(), HandlerError> {
        Losses::from(self.inner.tend()).tell()
    }

    fn remark(&mut self, record: &Record<'_>) {
        self.inner.handler.remark(record);
    }

    fn held(&self) -> u64 {
        self.kept.items.len() as u64 + self.inner.held()
    }

    fn kept(&self) -> u64 {
        self.kept.items.len() as u64 + self.inner.kept()
    }

    fn discarded(&mut self) -> u64 {
        std::mem::take(&mut self.discarded) + self.inner.handler.discarded()
    }

    fn diverted(&mut self) -> u64 {
        self.inner.handler.diverted()
    }

    fn name(&self) -> String {
        self.inner.handler.name()
    }
}

impl fmt::Debug for FlightRecorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlightRecorder")
            .field("handler", &self.inner.handler)
            .field("kept", &self.kept.items.len())
            .field("records", &self.kept.records_max)
            .field("bytes", &(self.kept.words_max * size_of::<u64>()))
            .field("trigger", &self.trigger)
            .finish_non_exhaustive()
    }
}

/// Records on their way to being forgotten, in order.
struct Kept {
    records_max: usize,
    words_max: usize,
    /// Where each lies in the words is known only when they are handed over.
    items: VecDeque<Item<'static>>,
    threads: VecDeque<Arc<Thread>>,
    /// Of those that were logged in a span, in order.
    scopes: VecDeque<Arc<Scope>>,
    words: VecDeque<u64>,
    /// Of theirs nobody wants a copy.
    texts: Texts,
    /// How many were let go since some were handed over last.
    overwritten: u64,
}

impl Kept {
    fn new(records_max: usize, bytes_max: usize) -> Self {
        Kept {
            records_max: records_max.min(u32::MAX as usize), // positions are 32 bits
            words_max: bytes_max / size_of::<u64>(),
            items: VecDeque::new(),
            threads: VecDeque::new(),
            scopes: VecDeque::new(),
            words: VecDeque::new(),
            texts: Texts::default(),
            overwritten: 0,
        }
    }

    /// Keeps a copy of one record. Returns how many were let go for it, or that it was itself.
    fn push(&mut self, contents: Contents<'_>, item: &Item<'_>) -> u64 {
        let record = contents.record(item);
        let mut portable = Vec::new();
        let (entry, words) = match item.entry {
            EntryOf::Process(entry) => (entry, record.arguments),
            EntryOf::Batch(_) if pack(&record, &mut portable) => (&PACKED, &portable[..]),
            EntryOf::Batch(_) => return self.let_go(),
        };
        let before = self.overwritten;
        if self.records_max == 0 || words.len() > self.words_max {
            return self.let_go();
        }
        while self.items.len() == self.records_max || self.words.len() + words.len() > self.words_max {
            self.drop_oldest();
        }
        make_room(&mut self.items, 1, self.records_max);
        make_room(&mut self.threads, 1, self.records_max);
        make_room(&mut self.words, words.len(), self.words_max);
        self.items.push_back(Item {
            start: 0,
            words: words.len(),
            entry: EntryOf::Process(entry),
            time: item.time,
            stamp: item.stamp,
            thread: 0,
            truncated: item.truncated,
            own: item.own,
            scope: item.scope,
        });
        self.threads.push_back(contents.threads[item.thread].clone());
        if let Some(scope) = item.scope_of(contents.scopes) {
            make_room(&mut self.scopes, 1, self.records_max);
            self.scopes.push_back(scope.clone());
        }
        self.words.extend(words);
        self.overwritten - before
    }

    /// One record that is not kept.
    fn let_go(&mut self) -> u64 {
        self.overwritten += 1;
        1
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.items.pop_front() {
            self.threads.pop_front();
            if oldest.scope.is_some() {
                self.scopes.pop_front();
            }
            self.words.drain(..oldest.words);
            self.overwritten += 1;
        }
    }

    /// As in a batch; what was packed is unpacked into the arena.
    fn contents<'a>(&'a mut self, arena: &'a Bump) -> Contents<'a> {
        let (mut start, mut scopes) = (0, NonZeroU32::MIN);
        for (position, item) in self.items.iter_mut().enumerate() {
            item.start = start;
            item.thread = position;
            if let Some(nth) = &mut item.scope {
                *nth = scopes;
                scopes = scopes.saturating_add(1);
            }
            start += item.words;
        }
        let (items, words) = (&*self.items.make_contiguous(), &*self.words.make_contiguous());
        let (items, words) = unpacked(items, words, arena);
        let (threads, scopes) = (self.threads.make_contiguous(), self.scopes.make_contiguous());
        Contents { items, words, threads, scopes, texts: &self.texts }
    }

    fn clear(&mut self) {
        self.items.clear();
        self.threads.clear();
        self.scopes.clear();
        self.words.clear();
    }
}

/// Makes room for so many more, which are not too many. What is allocated is doubled, but is never for more than `max`.
fn make_room<T>(queue: &mut VecDeque<T>, more: usize, max: usize) {
    let needed = queue.len() + more;
    if needed > queue.capacity() {
        let capacity = queue.capacity().saturating_mul(2).max(needed).min(max);
        queue.reserve_exact(capacity - queue.len());
    }
}

/// What the handler could not deliver in one call, and the first reason.
#[derive(Default)]
struct Losses {
    records: u64,
    text: Option<String>,
}

impl Losses {
    fn add(&mut self, records: u64, text: String) {
        self.records += records;
        self.text.get_or_insert(text);
    }

    fn take(&mut self, Given { refused, lost, failure, news, .. }: Given) {
        self.records += refused.len() as u64 + lost;
        self.text = self.text.take().or(failure).or(news);
    }

    fn tell(self) -> Result<(), HandlerError> {
        match (self.records, self.text) {
            (0, None) => Ok(()),
            (records, text) => {
                let text =
                    text.unwrap_or_else(|| "it is left alone, as it failed again and again".to_owned());
                Err(HandlerError::lost(records, text))
            }
        }
    }
}

impl From<Given> for Losses {
    fn from(given: Given) -> Self {
        let mut losses = Losses::default();
        losses.take(given);
        losses
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handler::testing::Run;
    use crate::handler::{Capture, File};
    use crate::stats::HandlerCounters;
    use crate::sync::Ordering;

    /// So many records at DEBUG, each with an argument of so many bytes.
    fn debug(records: usize, bytes: usize) -> Run {
        use crate::record::encode::Encode;
        use crate::record::testing::Owned;
        let text = "x".repeat(bytes);
        let piece = Piece::Argument(0, Spec::DISPLAY);
        Run::new((0..records).map(|_| Owned::new(Level::Debug, "tests", &[piece], &[], (text.hold(), ()))))
    }

    #[test]
    fn its_memory_is_what_the_limits_say_whatever_comes() {
        let head = size_of::<Item<'_>>() + size_of::<Arc<Thread>>() + size_of::<u32>();
        assert_eq!(head, 76, "the documentation says so");
        let handler = Capture::new().level(Level::Info);
        let mut recorder = FlightRecorder::new(handler.clone()).records(100).bytes(4000);
        assert_eq!(recorder.kept.items.capacity(), 0);
        for round in 0..200 {
            recorder.handle(&debug(10, round * 37 % 5000).all()).unwrap();
            if round % 50 == 49 {
                recorder.handle(&Run::of(Level::Error, ["trigger"]).all()).unwrap();
            }
            let Kept { items, threads, words, .. } = &recorder.kept;
            assert!(items.capacity() <= 100 && threads.capacity() <= 100 && words.capacity() <= 500);
            assert!(recorder.next.capacity() <= 128, "{}", recorder.next.capacity());
            assert!(recorder.held() <= 100);
        }
        assert_eq!(recorder.kept.words.capacity(), 500, "and no less, where there is more");
        assert!(handler.records().iter().any(|record| record.message().starts_with('x')));
    }

    /// A stop's deadline passes while it has a batch.
    struct GivesUp(Arc<HandlerCounters>);

    impl Handler for GivesUp {
        fn handle(&mut self, _: &Batch<'_>) -> Result<(), HandlerError> {
            self.0.give_up();
            Ok(())
        }
    }

    #[test]
    fn at_a_deadline_all_of_the_batch_is_on_its_way_and_the_rest_is_not_handed_over() {
        let counters = Arc::new(HandlerCounters::new("recorder".to_owned(), 0));
        let mut recorder = FlightRecorder::new(GivesUp(counters.clone()));
        let run = Run::of(Level::Error, ["one", "two", "three"]);
        counters.in_hand.store(3, Ordering::Relaxed);
        recorder.handle(&Batch { cursor: &counters.cursor, ..run.all() }).unwrap();
        assert_eq!(counters.in_flight.load(Ordering::Relaxed), 3);
        recorder.handle(&Batch { cursor: &counters.cursor, ..run.all() }).unwrap();
        assert_eq!(counters.in_flight.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn what_the_handler_holds_is_held_beside_what_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let file = File::append(directory.path().join("app.log")).unwrap().level(Level::Info);
        let mut recorder = FlightRecorder::new(file).records(2);
        recorder.handle(&debug(3, 8).all()).unwrap();
        assert_eq!((recorder.held(), recorder.discarded(), recorder.discarded()), (2, 1, 0));
        recorder.handle(&Run::of(Level::Info, ["passes"]).all()).unwrap();
        assert_eq!(recorder.held(), 3);
        recorder.flush().unwrap();
        assert_eq!(recorder.held(), 2);
        recorder.handle(&Run::of(Level::Error, ["trigger"]).all()).unwrap();
        assert_eq!(recorder.held(), 3, "the line about them is no record");
        recorder.close().unwrap();
        assert_eq!((recorder.held(), recorder.discarded()), (0, 0));
    }
}
