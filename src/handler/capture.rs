//! Records kept in memory, for tests.

use std::fmt;
use std::time::Duration;

use super::{Batch, Handler, HandlerError};
use crate::clock::Deadline;
use crate::level::{Level, LevelFilter};
use crate::record::{FieldValue, Record, Span, Thread, Timestamp, Value};
use crate::sync::{Arc, Condvar, Mutex, wait};

/// Keeps every record it gets, for a test to look at.
///
/// Clones share what they keep: one goes to the engine, one stays with the test. Nothing is ever dropped but by
/// [`clear`](Capture::clear), so it is not for programs that run long.
///
/// ```
/// use treering::{Level, handler::Capture};
///
/// let capture = Capture::new().level(Level::Info);
/// let for_the_engine = capture.clone();
/// assert!(capture.is_empty());
/// ```
#[derive(Clone, Debug)]
pub struct Capture {
    shared: Arc<Shared>,
    max_level: LevelFilter,
}

#[derive(Debug)]
struct Shared {
    /// Appended to by the listener, read and cleared by tests.
    records: Mutex<Vec<Captured>>,
    /// Notified after each batch.
    arrived: Condvar,
}

impl Capture {
    /// Keeps nothing yet.
    ///
    /// ```
    /// assert_eq!(treering::handler::Capture::new().len(), 0);
    /// ```
    pub fn new() -> Self {
        let shared = Shared { records: Mutex::new(Vec::new()), arrived: Condvar::new() };
        Capture { shared: Arc::new(shared), max_level: LevelFilter::ALL }
    }

    /// The most verbose level that this clone takes from the engine. Default: all.
    ///
    /// ```
    /// let capture = treering::handler::Capture::new().level(treering::Level::Warn);
    /// ```
    #[must_use]
    pub fn level(mut self, most_verbose: impl Into<LevelFilter>) -> Self {
        self.max_level = most_verbose.into();
        self
    }

    /// A copy of what is kept at the moment, in the order of arrival; the listener may add to it meanwhile.
    ///
    /// ```
    /// for record in treering::handler::Capture::new().records() {
    ///     println!("{}", record.message());
    /// }
    /// ```
    pub fn records(&self) -> Vec<Captured> {
        self.shared.records.lock().clone()
    }

    /// How many records are kept at the moment; the listener may add to them meanwhile.
    ///
    /// ```
    /// assert_eq!(treering::handler::Capture::new().len(), 0);
    /// ```
    pub fn len(&self) -> usize {
        self.shared.records.lock().len()
    }

    /// Whether none is kept at the moment.
    ///
    /// ```
    /// assert!(treering::handler::Capture::new().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets what is kept.
    ///
    /// ```
    /// treering::handler::Capture::new().clear();
    /// ```
    pub fn clear(&self) {
        self.shared.records.lock().clear();
    }

    /// Waits until at least `records` are kept; `false` if `timeout` passed first. Where the test has the engine's
    /// guard, a flush says the same without a number.
    ///
    /// ```
    /// use std::time::Duration;
    /// let capture = treering::handler::Capture::new();
    /// assert!(capture.wait_for(0, Duration::ZERO));
    /// assert!(!capture.wait_for(1, Duration::from_millis(1)));
    /// ```
    pub fn wait_for(&self, records: usize, timeout: Duration) -> bool {
        let deadline = Deadline::after(timeout);
        let mut kept = self.shared.records.lock();
        while kept.len() < records {
            if deadline.has_passed() {
                return false;
            }
            kept = wait(&self.shared.arrived, kept, deadline.left());
        }
        true
    }
}

impl Default for Capture {
    fn default() -> Self {
        Capture::new()
    }
}

impl Handler for Capture {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        for record in batch {
            // Copied before the lock is taken, so that a test that looks does not wait for the copying.
            let captured = Captured::new(&record);
            self.shared.records.lock().push(captured);
        }
        self.shared.arrived.notify_all();
        Ok(())
    }

    fn remark(&mut self, record: &Record<'_>) {
        self.shared.records.lock().push(Captured::new(record));
    }

    fn max_level(&self) -> LevelFilter {
        self.max_level
    }

    fn name(&self) -> String {
        "capture".to_owned()
    }
}

/// A record that was kept: an owned copy of all a [`Record`] says.
///
/// ```
/// # fn main() -> Result<(), treering::Error> {
/// # let capture = treering::handler::Capture::new();
/// # let (logger, guard) = treering::builder().handler(capture.clone()).start()?;
/// treering::warn!(logger: logger, target: "risk", qty = 100, "limit near");
/// # drop(guard);
/// let record = &capture.records()[0];
/// assert_eq!((record.level(), record.target(), record.message()), (treering::Level::Warn, "risk", "limit near"));
/// assert_eq!(record.field("qty").unwrap().as_i64(), Some(100));
/// assert!(record.line() < line!() && record.file() == file!());
/// assert!(!record.is_truncated());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Captured {
    level: Level,
    target: Box<str>,
    module_path: Box<str>,
    file: Box<str>,
    line: u32,
    message: String,
    fields: Vec<(Box<str>, CapturedValue)>,
    spans: Vec<CapturedSpan>,
    has_all_spans: bool,
    thread: Thread,
    time: Timestamp,
    stamp: u64,
    truncated: bool,
}

impl Captured {
    fn new(record: &Record<'_>) -> Self {
        Captured {
            level: record.level(),
            target: record.target().into(),
            module_path: record.module_path().into(),
            file: record.file().into(),
            line: record.line(),
            message: record.message().to_string(),
            fields: record.fields().map(captured_field).collect(),
            spans: record.spans().map(|span| CapturedSpan::new(&span)).collect(),
            has_all_spans: record.spans().is_whole(),
            thread: record.thread().clone(),
            time: record.time(),
            stamp: record.stamp(),
            truncated: record.is_truncated(),
        }
    }

    /// The level in the name of the macro.
    pub fn level(&self) -> Level {
        self.level
    }

    /// What `target:` said, or else the module path of the call.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The module of the call.
    pub fn module_path(&self) -> &str {
        &self.module_path
    }

    /// The source file of the call.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The line of the call in its source file.
    pub fn line(&self) -> u32 {
        self.line
    }

    /// The message with its arguments, as `format!` prints it: nothing is escaped.
    ///
    /// ```
    /// let capture = treering::handler::Capture::new();
    /// assert!(capture.records().iter().all(|record| record.message() != "never logged"));
    /// ```
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The fields by name, in the order they were written.
    ///
    /// ```
    /// # fn main() -> Result<(), treering::Error> {
    /// # let capture = treering::handler::Capture::new();
    /// # let (logger, guard) = treering::builder().handler(capture.clone()).start()?;
    /// treering::info!(logger: logger, a = 1, b = "two");
    /// # drop(guard);
    /// let record = &capture.records()[0];
    /// let names: Vec<_> = record.fields().iter().map(|(name, _)| &**name).collect();
    /// assert_eq!(names, ["a", "b"]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn fields(&self) -> &[(Box<str>, CapturedValue)] {
        &self.fields
    }

    /// The value of the first field with this name.
    ///
    /// ```
    /// use treering::handler::{Capture, Captured, CapturedValue};
    /// fn code(record: &Captured) -> Option<u64> {
    ///     record.field("code").and_then(CapturedValue::as_u64)
    /// }
    /// assert!(Capture::new().records().iter().all(|record| code(record) == Some(17)));
    /// ```
    pub fn field(&self, name: &str) -> Option<&CapturedValue> {
        self.fields.iter().find(|(candidate, _)| **candidate == *name).map(|(_, value)| value)
    }

    /// The spans it was logged in, the outermost first.
    ///
    /// ```
    /// let capture = treering::handler::Capture::new();
    /// assert!(capture.records().iter().all(|record| record.spans().is_empty()));
    /// ```
    pub fn spans(&self) -> &[CapturedSpan] {
        &self.spans
    }

    /// Whether no span is missing, see [`Spans::is_whole`](crate::record::Spans::is_whole).
    pub fn has_all_spans(&self) -> bool {
        self.has_all_spans
    }

    /// The kernel's number of the thread that logged.
    pub fn thread_id(&self) -> u32 {
        self.thread.id()
    }

    /// The name of the thread that logged, as it was when it first did.
    pub fn thread_name(&self) -> Option<&str> {
        self.thread.name()
    }

    /// Wall-clock time of the call.
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// The raw counter at the call.
    pub fn stamp(&self) -> u64 {
        self.stamp
    }

    /// Whether arguments were cut because the record was too long for its ring.
    pub fn is_truncated(&self) -> bool {
        self.truncated
    }
}

/// A span that a [`Captured`] record was logged in.
///
/// ```
/// use treering::handler::Captured;
/// fn path(record: &Captured) -> String {
///     record.spans().iter().map(|span| span.name()).collect::<Vec<_>>().join("/")
/// }
/// ```
#[derive(Clone, Debug)]
pub struct CapturedSpan {
    id: u64,
    name: Box<str>,
    fields: Vec<(Box<str>, CapturedValue)>,
}

impl CapturedSpan {
    fn new(span: &Span<'_>) -> Self {
        let fields = span.fields().map(captured_field).collect();
        CapturedSpan { id: span.id(), name: span.name().into(), fields }
    }

    /// Its number, which no other span of the process ever has.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The fields by name, as they were when the record was logged.
    pub fn fields(&self) -> &[(Box<str>, CapturedValue)] {
        &self.fields
    }

    /// The value of the first field with this name.
    pub fn field(&self, name: &str) -> Option<&CapturedValue> {
        self.fields.iter().find(|(candidate, _)| **candidate == *name).map(|(_, value)| value)
    }
}

fn captured_field(field: FieldValue<'_>) -> (Box<str>, CapturedValue) {
    (field.name().into(), CapturedValue::new(field.to_string(), &field.value()))
}

/// The value of a field of a [`Captured`] record: its text, and what it was before it became text.
///
/// ```
/// use treering::handler::CapturedValue;
/// fn is_slow(elapsed_ms: &CapturedValue) -> bool {
///     elapsed_ms.as_f64().is_some_and(|ms| ms > 10.0)
/// }
/// ```
#[derive(Clone, PartialEq, Debug)]
pub struct CapturedValue {
    text: String,
    scalar: Scalar,
}

/// What can be compared without parsing.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Scalar {
    Bool(bool),
    Unsigned(u128),
    Signed(i128),
    Float(f64),
    /// Text, which stands beside this.
    Text,
    /// A list, a tuple, an address: compared as text.
    Other,
}

impl CapturedValue {
    fn new(text: String, value: &Value<'_>) -> Self {
        CapturedValue { scalar: Scalar::new(value), text }
    }

    /// The value as text: what `format!` prints for the field, by `Display`, or by `Debug` after `?`.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text, if the value was text: a string, or something that became text at the call.
    pub fn as_str(&self) -> Option<&str> {
        (self.scalar == Scalar::Text).then_some(&self.text)
    }

    /// The value of an integer of any type, if it fits.
    pub fn as_u64(&self) -> Option<u64> {
        match self.scalar {
            Scalar::Unsigned(value) => value.try_into().ok(),
            Scalar::Signed(value) => value.try_into().ok(),
            _ => None,
        }
    }

    /// The value of an integer of any type, if it fits.
    pub fn as_i64(&self) -> Option<i64> {
        match self.scalar {
            Scalar::Unsigned(value) => value.try_into().ok(),
            Scalar::Signed(value) => value.try_into().ok(),
            _ => None,
        }
    }

    /// The value of a float, or of an integer as the nearest float.
    pub fn as_f64(&self) -> Option<f64> {
        match self.scalar {
            Scalar::Unsigned(value) => Some(value as f64),
            Scalar::Signed(value) => Some(value as f64),
            Scalar::Float(value) => Some(value),
            _ => None,
        }
    }

    /// The value of a `bool`.
    pub fn as_bool(&self) -> Option<bool> {
        match self.scalar {
            Scalar::Bool(value) => Some(value),
            _ => None,
        }
    }
}

impl fmt::Display for CapturedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl Scalar {
    fn new(value: &Value<'_>) -> Self {
        match *value {
            Value::Bool(value) => Scalar::Bool(value),
            Value::U8(value) => Scalar::Unsigned(value.into()),
            Value::U16(value) => Scalar::Unsigned(value.into()),
            Value::U32(value) => Scalar::Unsigned(value.into()),
            Value::U64(value) => Scalar::Unsigned(value.into()),
            Value::U128(value) => Scalar::Unsigned(value),
            Value::I8(value) => Scalar::Signed(value.into()),
            Value::I16(value) => Scalar::Signed(value.into()),
            Value::I32(value) => Scalar::Signed(value.into()),
            Value::I64(value) => Scalar::Signed(value.into()),
            Value::I128(value) => Scalar::Signed(value),
            Value::F32(value) => Scalar::Float(value.into()),
            Value::F64(value) => Scalar::Float(value),
            Value::Str(_) | Value::Text(_) | Value::Error(_) | Value::Backtrace(_) => Scalar::Text,
            _ => Scalar::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::callsite::{Field, Piece, Spec, Style};
    use crate::handler::testing::{Run, offer};
    use crate::record::encode::Encode;
    use crate::record::testing::Owned;

    #[test]
    fn clones_share_what_is_kept() {
        let capture = Capture::new();
        offer(&mut capture.clone(), ["first", "second"]).unwrap();
        let records = capture.records();
        assert_eq!(records.len(), capture.len());
        assert_eq!(records.iter().map(Captured::message).collect::<Vec<_>>(), ["first", "second"]);
        capture.clear();
        assert!(capture.is_empty());
    }

    #[test]
    fn a_captured_record_says_all_that_the_record_said() {
        let capture = Capture::new();
        let run = Run::of(Level::Warn, ["text"]);
        let mut handler = capture.clone();
        let batch = run.batch(&handler);
        handler.handle(&batch).unwrap();
        let (kept, record) = (&capture.records()[0], batch.iter().next().unwrap());
        assert_eq!(kept.level(), Level::Warn);
        assert_eq!(kept.message(), record.message().to_string());
        assert_eq!((kept.target(), kept.module_path()), (record.target(), record.module_path()));
        assert_eq!((kept.file(), kept.line()), (record.file(), record.line()));
        assert_eq!((kept.time(), kept.stamp()), (record.time(), record.stamp()));
        assert_eq!((kept.thread_id(), kept.thread_name()), (42, Some("worker")));
        assert!(!kept.is_truncated());
        assert!(kept.fields().is_empty() && kept.field("none").is_none());
    }

    #[test]
    fn fields_are_kept_as_values_and_as_text() {
        let names = ["code", "delta", "ratio", "venue", "ok", "peers", "big"];
        let fields: Vec<_> = (0..names.len())
            .map(|argument| Field { name: names[argument], argument, style: Style::Value })
            .collect();
        let (ratio, peers, big) = (0.5_f32, [1_u8, 2], u128::MAX);
        let rest = (ratio, ("XNAS".hold(), (true, (peers.hold(), (big, ())))));
        let record = Owned::new(Level::Info, "app", &[], &fields, (17_u32, (-3_i64, rest)));
        let mut capture = Capture::new();
        capture.handle(&Run::new([record]).all()).unwrap();
        let kept = &capture.records()[0];

        assert_eq!(kept.fields().iter().map(|(name, _)| &**name).collect::<Vec<_>>(), names);
        let field = |name| kept.field(name).unwrap();
        assert_eq!(field("code").as_u64(), Some(17));
        assert_eq!((field("code").as_i64(), field("code").as_f64()), (Some(17), Some(17.0)));
        assert_eq!((field("code").as_str(), field("code").text()), (None, "17"));
        assert_eq!((field("delta").as_u64(), field("delta").as_i64()), (None, Some(-3)));
        assert_eq!((field("ratio").as_f64(), field("ratio").as_u64()), (Some(0.5), None));
        assert_eq!((field("venue").as_str(), field("venue").as_u64()), (Some("XNAS"), None));
        assert_eq!((field("ok").as_bool(), field("ok").text()), (Some(true), "true"));
        assert_eq!((field("peers").as_u64(), field("peers").to_string()), (None, "[1, 2]".to_owned()));
        assert_eq!((field("big").as_u64(), field("big").as_i64()), (None, None));
        assert!(kept.field("none").is_none());
    }

    #[test]
    fn messages_are_kept_raw() {
        let mut capture = Capture::new();
        let pieces = [Piece::Literal("got "), Piece::Argument(0, Spec::DISPLAY)];
        let record = Owned::new(Level::Info, "app", &pieces, &[], ("a\nb".hold(), ()));
        capture.handle(&Run::new([record]).all()).unwrap();
        assert_eq!(capture.records()[0].message(), "got a\nb");
    }

    #[test]
    fn its_level_decides_what_is_kept() {
        let capture = Capture::new().level(Level::Warn);
        for level in Level::ALL {
            let mut handler = capture.clone();
            handler.handle(&Run::of(level, ["text"]).batch(&capture)).unwrap();
        }
        let levels: Vec<_> = capture.records().iter().map(Captured::level).collect();
        assert_eq!(levels, [Level::Error, Level::Warn]);
    }

    #[test]
    fn waiting_ends_with_the_record_that_was_waited_for_or_with_the_time() {
        let capture = Capture::new();
        assert!(!capture.wait_for(1, Duration::from_millis(5)));
        let mut handler = capture.clone();
        let logger = std::thread::spawn(move || {
            for number in 0..3 {
                std::thread::sleep(Duration::from_millis(2));
                offer(&mut handler, [number.to_string()]).unwrap();
            }
        });
        let start = std::time::Instant::now();
        assert!(capture.wait_for(3, Duration::from_secs(20)));
        assert!(start.elapsed() < Duration::from_secs(10), "woken by the record, not by the time");
        assert_eq!(capture.len(), 3);
        logger.join().unwrap();
    }
}
