//! What is fuzzed: each function takes any bytes, and panics if what it promises does not hold.
//!
//! libFuzzer calls them through `fuzz_targets`, on a nightly toolchain; `tests/fuzz.rs` calls the same ones on the
//! committed corpora and on changes of them, on any. `.ci/fuzz` runs each for a while.

use std::cell::RefCell;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use treering::format::{Format, Json, Logfmt, Pattern, Text};
use treering::handler::{Batch, Capture, Handler, HandlerError};
use treering::queue::{Enqueue, Locked};
use treering::record::{Decoder, Record};
use treering::{Guard, Listener, Logger, Wait, filter, info};

const SOON: Duration = Duration::from_secs(60);

/// Takes any bytes.
pub type Target = fn(&[u8]);

/// Every target by its name.
pub const TARGETS: [(&str, Target); 6] = [
    ("portable", portable),
    ("pattern", pattern),
    ("filter", filter),
    ("escaping", escaping),
    ("frames", frames),
    ("differential", differential),
];

/// Any bytes are a portable record or an error. A record is one for every format, and is written as one that reads the same.
pub fn portable(data: &[u8]) {
    let mut decoder = Decoder::new();
    let Ok(record) = decoder.decode(data) else { return };
    let texts = written(&record);
    let mut bytes = Vec::new();
    if record.write_portable(&mut bytes).is_err() {
        return; // it grew: what was refused by its length is no record
    }
    let mut again = Decoder::new();
    let again = again.decode(&bytes).expect("what was written is read");
    assert_eq!(written(&again), texts);
}

/// Any text is a pattern or an error, and a pattern writes one line of any record.
pub fn pattern(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(mut pattern) = Pattern::new(&text) else { return };
    with_record(|record| {
        let mut line = Vec::new();
        pattern.format(record, &mut line);
        String::from_utf8(line).expect("a line is text");
    });
}

/// Any text is directives or an error; directives judge any record, and an engine takes the same ones.
pub fn filter(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let parsed = filter::directives(&text);
    if let Ok(allows) = &parsed {
        with_record(|record| _ = allows(record));
    }
    ENGINE.with(|engine| {
        assert_eq!(engine.guard.set_filter(&text).is_ok(), parsed.is_ok(), "{text:?}");
        engine.guard.set_filter("trace").expect("a level is a filter");
    });
}

/// No text that a user gives breaks a line, colours a terminal or turns the direction of writing, and JSON has it back.
pub fn escaping(data: &[u8]) {
    let text = &*String::from_utf8_lossy(data);
    let lines = ENGINE.with(|engine| {
        info!(logger: engine.logger, field = text, "{text}");
        engine.take().lines
    });
    for line in &lines {
        let inner = line.strip_suffix('\n').expect("a line has its end");
        assert!(!inner.chars().any(is_harmful), "{inner:?} of {text:?}");
    }
    let json: serde_json::Value = serde_json::from_str(&lines[1]).expect("valid JSON");
    assert_eq!(json["message"], text);
    assert_eq!(json["fields"]["field"], text);
}

/// Any frames have one fate each, and the listener goes on.
pub fn frames(data: &[u8]) {
    let queue = Arc::new(Locked::bounded(1 << 20));
    let (mut sent, mut rest) = (0, data);
    // A byte says how long the next frame is.
    while let Some((length, tail)) = rest.split_first() {
        let (frame, tail) = tail.split_at(tail.len().min(usize::from(*length)));
        sent += u64::from(queue.enqueue(frame).is_ok());
        rest = tail;
    }
    let listening = Listener::new(queue).error_hook(|_| {}).handler(Capture::new()).manual();
    let report = listening.stop(SOON).expect("it is not its own thread");
    report.assert_balanced();
    assert_eq!(report.received, sent, "{report}");
}

/// What is logged reads as `format!` has it, whatever the values.
pub fn differential(data: &[u8]) {
    let mut rest = data;
    let mut word = || {
        let (head, tail) = rest.split_at(rest.len().min(8));
        rest = tail;
        let mut bytes = [0; 8];
        bytes[..head.len()].copy_from_slice(head);
        u64::from_le_bytes(bytes)
    };
    let (a, b, c, d) = (word(), word() as i64, f64::from_bits(word()), word());
    let (small, single, letter) = (a as u8, f32::from_bits(d as u32), char::from_u32(d as u32 & 0x1f_ffff));
    let (option, pair, duration) = ((a % 2 == 0).then_some(b), (small, letter), Duration::from_nanos(d));
    let text = &*String::from_utf8_lossy(rest);
    let bytes = &rest[..rest.len().min(16)];
    macro_rules! same {
        ($($literal:literal),+) => {
            ENGINE.with(|engine| {
                $(
                    info!(logger: engine.logger, $literal);
                    assert_eq!(engine.take().message, format!($literal));
                )+
            })
        };
    }
    same!(
        "{a} {b} {c} {small} {single}",
        "{a:>24}|{b:<24}|{c:^24}|{small:#04x}",
        "{a:#x} {b:+} {a:o} {b:#b} {small:03}",
        "{c:.3} {c:e} {c:?} {single:8.2} {c:+012.4} {single:?}",
        "{letter:?} {option:?} {pair:?} {duration:?} {duration:.1?}",
        "{text} {text:?} {text:>9} {text:.3} {text:*^12.5} {bytes:?}",
        "{text:#?} {option:#?} {pair:#?} {bytes:02x?}"
    );
}

/// What a format must not let through from the user's texts.
fn is_harmful(c: char) -> bool {
    let turns =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns || matches!(c, '\u{2028}' | '\u{2029}')
}

/// A record in every format.
fn written(record: &Record<'_>) -> Vec<String> {
    let pattern = Pattern::new("{level} {thread} {file.name}:{line} {target:>9.9} {message} {fields}");
    let formats: [Box<dyn Format>; 4] = [
        Box::new(Text::new()),
        Box::new(Json::new()),
        Box::new(Logfmt::new()),
        Box::new(pattern.expect("a pattern")),
    ];
    let lines = formats.into_iter().map(|mut format| {
        let mut line = Vec::new();
        format.format(record, &mut line);
        String::from_utf8(line).expect("a line is text")
    });
    lines.collect()
}

/// What became of the last record.
#[derive(Clone, Default)]
struct Taken {
    message: String,
    /// As text, JSON, logfmt and by a pattern.
    lines: Vec<String>,
    portable: Vec<u8>,
}

struct Keep(Arc<Mutex<Taken>>);

impl Handler for Keep {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        for record in batch {
            let mut portable = Vec::new();
            record.write_portable(&mut portable).map_err(HandlerError::new)?;
            let message = record.message().to_string();
            *self.0.lock().unwrap() = Taken { message, lines: written(&record), portable };
        }
        Ok(())
    }
}

/// An engine without a thread.
struct Engine {
    logger: Logger,
    guard: Guard,
    taken: Arc<Mutex<Taken>>,
}

impl Engine {
    fn start() -> Self {
        let taken = Arc::new(Mutex::new(Taken::default()));
        let builder = treering::builder().wait(Wait::Manual).filter("trace").ring_capacity(1 << 20);
        let (logger, guard) = builder.handler(Keep(taken.clone())).start().expect("an engine starts");
        Engine { logger, guard, taken }
    }

    /// What became of the one record that was logged.
    fn take(&self) -> Taken {
        assert_eq!(self.guard.poll().expect("it runs"), 1);
        std::mem::take(&mut *self.taken.lock().unwrap())
    }
}

thread_local! {
    static ENGINE: Engine = Engine::start();
    static PORTABLE: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// A portable record with a bit of everything.
pub fn some_portable() -> Vec<u8> {
    ENGINE.with(|engine| {
        let (venue, list) = ("XN\u{1b}AS\n", [1_u16, 2, 3]);
        info!(logger: engine.logger, target: "app::db", venue, ?list, some = Some(-7_i32), "{:>8.3}|{:?}", 12.5_f64, "x");
        engine.take().portable
    })
}

/// The same as a record.
fn with_record(look: impl FnOnce(&Record<'_>)) {
    PORTABLE.with_borrow_mut(|bytes| {
        let bytes = bytes.get_or_insert_with(some_portable);
        look(&Decoder::new().decode(bytes).expect("it was written by us"));
    });
}
