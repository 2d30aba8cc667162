//! From treering to Python.

use std::borrow::Cow;
use std::path::Path;
use std::time::SystemTime;

use serde::Serialize;
use treering::format::{Format, Json};
use treering::record::{FieldValue, Record, Style, Value};

use super::{ATTRIBUTES, number_and_name};

/// Python's `LogRecord` in JSON: `logging.makeLogRecord(json.loads(line))` is a record that every `Formatter` prints.
///
/// The keys and types are those of the `__dict__` that Python's own `QueueHandler` sends, from 3.12 on; fields are keys
/// beside them, with their types, as `extra` makes them. One whose name is taken gets `_2` behind it. Errors and backtraces
/// among the fields are `exc_text`, which a `Formatter` prints below the message, and no keys. The
/// [table](https://github.com/treering/treering/blob/main/docs/zeromq.md) says the rest.
///
/// For [`QueueHandler::format`](treering::handler::QueueHandler::format); in a file it makes a line each.
///
/// ```
/// use treering::handler::Console;
/// use treering_zmq::PythonRecord;
/// let handler = Console::stdout().format(PythonRecord::new());
/// ```
#[derive(Debug)]
pub struct PythonRecord {
    json: Json,
    /// For `relativeCreated`.
    begun_nanos: u64,
    process_id: u32,
    process_name: Option<String>,
}

impl PythonRecord {
    /// Records of this process have its program's name as `processName`.
    pub fn new() -> Self {
        let begun = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let program = std::env::current_exe().ok();
        let name = program.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy());
        PythonRecord {
            json: Json::new(),
            begun_nanos: begun.as_nanos().try_into().unwrap_or(u64::MAX),
            process_id: std::process::id(),
            process_name: name.map(Cow::into_owned),
        }
    }

    /// Keys for the fields, and `exc_text`.
    fn fields(&self, record: &Record<'_>, object: &mut Object<'_>) {
        let mut trace = String::new();
        let mut taken: Vec<Cow<'_, str>> = Vec::new();
        for field in record.fields() {
            if let Some(chain) = chain(&field) {
                push_lines(&mut trace, field.name(), chain);
                continue;
            }
            let key = free(field.name(), &taken);
            self.json.write_value(&field, object.key(&key));
            taken.push(key);
        }
        object.put("exc_text", &Some(trace).filter(|trace| !trace.is_empty()));
    }
}

impl Default for PythonRecord {
    fn default() -> Self {
        PythonRecord::new()
    }
}

impl Format for PythonRecord {
    fn format(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
        let (number, name) = number_and_name(record.level());
        let path = Path::new(record.file());
        let (thread, nanos) = (record.thread(), record.time().as_nanos());
        let is_of_here = thread.process_id() == self.process_id;
        let process_name = self.process_name.as_deref().filter(|_| is_of_here);
        let message = record.message().to_string();
        let mut object = Object::new(out);
        object.put("name", record.target());
        object.put("msg", &message);
        object.put("args", &());
        object.put("levelname", name);
        object.put("levelno", &number);
        object.put("pathname", record.file());
        object.put("filename", &path.file_name().unwrap_or_default().to_string_lossy());
        object.put("module", &path.file_stem().unwrap_or_default().to_string_lossy());
        object.put("exc_info", &());
        object.put("stack_info", &());
        object.put("lineno", &record.line());
        object.put("funcName", &());
        object.put("created", &(nanos as f64 / 1e9));
        object.put("msecs", &((nanos / 1_000_000 % 1000) as f64));
        object.put("relativeCreated", &((nanos as f64 - self.begun_nanos as f64) / 1e6));
        object.put("thread", &thread.id());
        object.put("threadName", &thread.name());
        object.put("processName", &process_name);
        object.put("process", &thread.process_id());
        object.put("taskName", &());
        self.fields(record, &mut object);
        if record.is_truncated() {
            object.put("truncated", &true);
        }
        object.put("message", &message);
        object.end();
    }
}

/// The parts of an error or a backtrace.
fn chain<'a>(field: &FieldValue<'a>) -> Option<impl Iterator<Item = &'a str> + use<'a>> {
    match (field.style(), field.value()) {
        (Style::Value, Value::Error(chain) | Value::Backtrace(chain)) => Some(chain.iter()),
        _ => None,
    }
}

/// `problem: disk full`, and a line for each source or frame.
fn push_lines<'a>(trace: &mut String, name: &str, lines: impl Iterator<Item = &'a str>) {
    for (position, line) in lines.enumerate() {
        if !trace.is_empty() {
            trace.push('\n');
        }
        match position {
            0 => trace.extend([name, ": "]),
            _ => trace.push_str("  "),
        }
        trace.push_str(line);
    }
}

/// The name itself, or with the first number behind it that is free.
fn free<'a>(name: &'a str, taken: &[Cow<'_, str>]) -> Cow<'a, str> {
    let is_free = |key: &str| !ATTRIBUTES.contains(&key) && !taken.iter().any(|other| other == key);
    let numbered = || (2..).map(|number| Cow::from(format!("{name}_{number}")));
    let mut keys = std::iter::once(Cow::from(name)).chain(std::iter::once_with(numbered).flatten());
    keys.find(|key| is_free(key)).unwrap_or(Cow::from(name))
}

/// An object of JSON that is being written.
struct Object<'a> {
    out: &'a mut Vec<u8>,
    is_empty: bool,
}

impl<'a> Object<'a> {
    fn new(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Object { out, is_empty: true }
    }

    fn put(&mut self, key: &str, value: &(impl Serialize + ?Sized)) {
        write(self.key(key), value);
    }

    /// Where the value of this key is to be written.
    fn key(&mut self, key: &str) -> &mut Vec<u8> {
        if !std::mem::replace(&mut self.is_empty, false) {
            self.out.push(b',');
        }
        write(self.out, key);
        self.out.push(b':');
        self.out
    }

    fn end(self) {
        self.out.extend_from_slice(b"}\n");
    }
}

fn write(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    // Neither memory nor strings, numbers and options of them fail.
    let _ = serde_json::to_writer(out, value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use treering::Level;
    use treering::record::{Decoder, Draft, Timestamp};

    fn json(draft: Draft<'_>) -> serde_json::Value {
        let (mut bytes, mut line) = (Vec::new(), Vec::new());
        draft.write_portable(&mut bytes).unwrap();
        PythonRecord::new().format(&Decoder::new().decode(&bytes).unwrap(), &mut line);
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1, "a line");
        serde_json::from_slice(&line).unwrap()
    }

    fn draft(message: &str) -> Draft<'_> {
        Draft::new(Level::Warn, Timestamp::from_nanos(1_700_000_000_123_456_789), "app", message)
    }

    #[test]
    fn a_field_never_takes_the_place_of_an_attribute_or_of_another_field() {
        let record = json(
            draft("m").field("msg", "x").field("a", &1).field("a", &2).field("a_2", &3).field("msg_2", &4),
        );
        assert_eq!(
            (&record["msg"], &record["msg_2"], &record["msg_2_2"]),
            (&"m".into(), &"x".into(), &4.into())
        );
        assert_eq!((&record["a"], &record["a_2"], &record["a_2_2"]), (&1.into(), &2.into(), &3.into()));
    }

    #[test]
    fn times_and_places_are_as_python_has_them() {
        let record = json(draft("\u{1b}\"").location("m", "src/db/pool.rs", 7).thread(1, 2, None));
        assert_eq!((&record["created"], &record["msecs"]), (&1_700_000_000.123_456_8.into(), &123.0.into()));
        assert!(record["relativeCreated"].as_f64().unwrap() < 0.0, "before this format was made");
        assert_eq!((&record["filename"], &record["module"]), (&"pool.rs".into(), &"pool".into()));
        assert_eq!((&record["levelname"], &record["message"]), (&"WARNING".into(), &"\u{1b}\"".into()));
        assert!(record["processName"].is_null(), "of another process nobody knows it");
        assert!(record["threadName"].is_null() && record["exc_text"].is_null());
    }
}
