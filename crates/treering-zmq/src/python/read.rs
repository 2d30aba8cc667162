//! From Python to treering.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::time::{Duration, SystemTime};

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use treering::record::{Draft, PortableError, Timestamp};

use super::{ATTRIBUTES, level_of, number_and_name};

/// Appends the portable record that a `LogRecord` in JSON is: for [`Listener::translate`](treering::Listener::translate).
///
/// It takes what `socket.send_json(record.__dict__)` sends, prepared by Python's `QueueHandler` or not, and less: a message
/// (`message` or `msg`) and a level (`levelno` or `levelname`) make a record. Its fields are what treering's record has no
/// place for: all keys that are not Python's own, and of Python's own
///
/// * `levelno` and `levelname` where the level is none of treering's: CRITICAL, 50, comes in as ERROR, and says so;
/// * `exc_text`, `exc_info`, `stack_info`, unless the message has that text already, as Python's `QueueHandler` puts it there;
/// * `args` of a message that they were not merged into; `processName` but `MainProcess`; `taskName`.
///
/// Numbers, truth values, `None`, strings, and lists of one kind of these keep their types; other lists, and dictionaries, are
/// the text of their JSON. The module path is `module::funcName`. Python's number of a thread is an address and left out.
///
/// # Errors
/// [`NotLogRecord`]: it is no JSON, no object, or lacks a message or a level. Text that Python could not encode either (lone
/// surrogates) is no error; U+FFFD stands in its place.
///
/// ```
/// use treering::Level;
/// use treering::record::Decoder;
///
/// let json = br#"{"name": "app.db", "levelno": 50, "levelname": "CRITICAL", "msg": "gone", "shard": 3}"#;
/// let mut bytes = Vec::new();
/// treering_zmq::from_python(json, &mut bytes).unwrap();
///
/// let mut decoder = Decoder::new();
/// let record = decoder.decode(&bytes)?;
/// assert_eq!((record.level(), record.target()), (Level::Error, "app.db"));
/// assert_eq!(record.field("levelname").unwrap().value().as_str(), Some("CRITICAL"));
/// assert_eq!(record.field("shard").unwrap().value().as_i64(), Some(3));
/// # Ok::<(), treering::record::PortableError>(())
/// ```
pub fn from_python(frame: &[u8], out: &mut Vec<u8>) -> Result<(), Box<dyn StdError + Send + Sync>> {
    let text = std::str::from_utf8(frame).map_err(|error| NotLogRecord::json(&error))?;
    match serde_json::from_str::<Attributes<'_>>(text) {
        Ok(attributes) => attributes.write(out)?,
        Err(error) => {
            let spelled = json_of(text).ok_or_else(|| NotLogRecord::json(&error))?;
            let attributes: Attributes<'_> =
                serde_json::from_str(&spelled).map_err(|_| NotLogRecord::json(&error))?;
            attributes.write(out)?;
        }
    }
    Ok(())
}

/// Why a message is no `LogRecord`.
///
/// ```
/// let error = treering_zmq::from_python(br#"{"msg": "no level"}"#, &mut Vec::new()).unwrap_err();
/// assert_eq!(error.to_string(), "a LogRecord without a level");
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum NotLogRecord {
    /// It is no object of JSON, for this reason.
    Json(String),
    /// It has no such thing.
    Without(&'static str),
    /// It is too large for a portable record, or has too many keys.
    Portable(PortableError),
}

impl NotLogRecord {
    fn json(error: &impl fmt::Display) -> Self {
        NotLogRecord::Json(error.to_string())
    }
}

impl fmt::Display for NotLogRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotLogRecord::Json(error) => write!(f, "no LogRecord in JSON: {error}"),
            NotLogRecord::Without(what) => write!(f, "a LogRecord without {what}"),
            NotLogRecord::Portable(error) => error.fmt(f),
        }
    }
}

impl StdError for NotLogRecord {}

/// Keys and values as they stand there.
struct Attributes<'a>(Vec<(Cow<'a, str>, &'a str)>);

impl<'a> Attributes<'a> {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), NotLogRecord> {
        let message = self.text("message").or_else(|| self.text("msg"));
        let message = message.ok_or(NotLogRecord::Without("a message"))?;
        let level_name = self.text("levelname");
        let by_name = || {
            levels().find(|(_, name)| level_name.as_deref() == Some(*name)).map(|(number, _)| number.into())
        };
        let number = self.float("levelno").or_else(by_name).ok_or(NotLogRecord::Without("a level"))?;
        let target = self.text("name").unwrap_or_default();
        let (file, line) = (self.text("pathname").unwrap_or_default(), self.number("lineno"));
        let module = self.module_path();
        let (process_id, thread_id) = (self.number("process"), self.number("thread"));
        let thread_name = self.text("threadName");

        let level = level_of(number);
        let mut draft = Draft::new(level, self.time(), &target, &message)
            .location(&module, &file, line)
            .thread(process_id, thread_id, thread_name.as_deref());
        for (key, json) in self.rest(level, &message) {
            draft = with_field(draft, key, json);
        }
        draft.write_portable(out).map_err(NotLogRecord::Portable)
    }

    /// What becomes fields, in the order of the message.
    fn rest(&self, level: treering::Level, message: &str) -> impl Iterator<Item = (&str, &str)> {
        let (number, name) = number_and_name(level);
        let is_merged = self.value("message").is_some();
        let is_field = move |key: &str, json: &str| match key {
            key if !ATTRIBUTES.contains(&key) => true,
            _ if json == "null" => false,
            "levelno" => json.parse() != Ok(f64::from(number)),
            "levelname" => text_of(json) != name,
            "exc_text" | "stack_info" => !message.contains(&*text_of(json)),
            "exc_info" => json != "false",
            "args" => !is_merged && json != "[]",
            "processName" => text_of(json) != "MainProcess",
            "taskName" | "truncated" => true,
            _ => false,
        };
        let pairs = self.0.iter().map(|(key, json)| (&**key, *json));
        pairs.filter(move |(key, json)| is_field(key, json))
    }

    fn module_path(&self) -> Cow<'a, str> {
        let module = self.text("module").unwrap_or_default();
        match self.text("funcName") {
            Some(function) if function != "<module>" => format!("{module}::{function}").into(),
            _ => module,
        }
    }

    /// When it was logged; if that is not said, or cannot be, now.
    fn time(&self) -> Timestamp {
        let said = self.float("created").and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_nanos(said.unwrap_or_else(now).as_nanos().try_into().unwrap_or(u64::MAX))
    }

    /// The last value with this key, as in Python, if it is not `null`.
    fn value(&self, key: &str) -> Option<&'a str> {
        let (_, json) = self.0.iter().rev().find(|(other, _)| other == key)?;
        Some(*json).filter(|json| *json != "null")
    }

    fn text(&self, key: &str) -> Option<Cow<'a, str>> {
        self.value(key).map(text_of)
    }

    fn float(&self, key: &str) -> Option<f64> {
        self.value(key)?.parse().ok()
    }

    /// A number, or 0 if it is none or has more than 32 bits.
    fn number(&self, key: &str) -> u32 {
        self.value(key).and_then(|json| json.parse().ok()).unwrap_or(0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Attributes<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Vec<(Cow<'de, str>, &'de str)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut entries = Vec::new();
                while let Some(key) = map.next_key::<LossyText<'de>>()? {
                    entries.push((key.0, map.next_value::<&RawValue>()?.get()));
                }
                Ok(entries)
            }
        }

        deserializer.deserialize_map(Entries).map(Attributes)
    }
}

/// A string, in which U+FFFD stands for what is no character: Python's strings may have lone surrogates.
struct LossyText<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for LossyText<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;

        impl<'de> Visitor<'de> for Bytes {
            type Value = Cow<'de, str>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_bytes<E: de::Error>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
                Ok(String::from_utf8_lossy(bytes))
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
                Ok(String::from_utf8_lossy(bytes).into_owned().into())
            }
        }

        deserializer.deserialize_bytes(Bytes).map(LossyText)
    }
}

/// The levels' numbers and names.
fn levels() -> impl Iterator<Item = (u32, &'static str)> {
    treering::Level::ALL.into_iter().map(number_and_name)
}

/// A string without its quotes and escapes; of anything else its JSON.
fn text_of(json: &str) -> Cow<'_, str> {
    if !json.starts_with('"') {
        return json.into();
    }
    serde_json::from_str(json).map_or(json.into(), |LossyText(text)| text)
}

/// A field of the type that JSON says. Python's integers have any number of digits: beyond 128 bits they are text.
fn with_field<'a>(draft: Draft<'a>, key: &'a str, json: &str) -> Draft<'a> {
    match json.as_bytes() {
        [b'n', ..] => draft.field(key, &None::<()>),
        [b't', ..] => draft.field(key, &true),
        [b'f', ..] => draft.field(key, &false),
        [b'[', ..] => with_list(draft, key, json),
        [b'-' | b'0'..=b'9', ..] => {
            if let Ok(value) = json.parse::<i64>() {
                draft.field(key, &value)
            } else if let Ok(value) = json.parse::<u64>() {
                draft.field(key, &value)
            } else if let Ok(value) = json.parse::<i128>() {
                draft.field(key, &value)
            } else if let (Ok(value), true) = (json.parse::<f64>(), json.contains(['.', 'e', 'E'])) {
                draft.field(key, &value)
            } else {
                draft.field(key, json)
            }
        }
        _ => draft.field(key, &*text_of(json)),
    }
}

/// A list of one kind of values, or its JSON.
fn with_list<'a>(draft: Draft<'a>, key: &'a str, json: &str) -> Draft<'a> {
    if let Ok(list) = serde_json::from_str::<Vec<i64>>(json) {
        draft.field(key, &list)
    } else if let Ok(list) = serde_json::from_str::<Vec<f64>>(json) {
        draft.field(key, &list)
    } else if let Ok(list) = serde_json::from_str::<Vec<bool>>(json) {
        draft.field(key, &list)
    } else if let Ok(list) = serde_json::from_str::<Vec<LossyText<'_>>>(json) {
        draft.field(key, &list.iter().map(|text| &*text.0).collect::<Vec<_>>())
    } else {
        draft.field(key, json)
    }
}

/// The same with quotes around `NaN`, `Infinity` and `-Infinity`, which Python's `json` writes bare though JSON has no such
/// numbers. `None` if there is none of them.
fn json_of(text: &str) -> Option<String> {
    const BARE: [&str; 3] = ["NaN", "-Infinity", "Infinity"];
    let (mut out, mut rest, mut is_other) = (String::new(), text, false);
    while let Some(next) = rest.chars().next() {
        let len = match next {
            '"' => string_len(rest),
            _ => match BARE.into_iter().find(|bare| rest.starts_with(bare)) {
                Some(bare) => {
                    is_other = true;
                    out.extend(["\"", bare, "\""]);
                    rest = &rest[bare.len()..];
                    continue;
                }
                None => next.len_utf8(),
            },
        };
        out.push_str(&rest[..len]);
        rest = &rest[len..];
    }
    is_other.then_some(out)
}

/// The length of the string that `text` begins with, with its quotes.
fn string_len(text: &str) -> usize {
    let mut is_escaped = false;
    let end = text.bytes().skip(1).position(|byte| {
        let ends = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        ends
    });
    end.map_or(text.len(), |end| end + 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use treering::Level;
    use treering::record::Decoder;

    /// What a record says, of these attributes.
    fn told(json: &str) -> String {
        let mut bytes = Vec::new();
        from_python(json.as_bytes(), &mut bytes).unwrap();
        let mut decoder = Decoder::new();
        let record = decoder.decode(&bytes).unwrap();
        let fields = record.fields().map(|field| format!(" {}={field}", field.name()));
        let place = format!("{}:{} {}", record.file(), record.line(), record.module_path());
        let fields: String = fields.collect();
        format!("{} {} [{place}] {}{fields}", record.level(), record.target(), record.message())
    }

    #[test]
    fn a_level_and_a_text_are_a_record() {
        assert_eq!(told(r#"{"levelno": 20, "msg": "text"}"#), "INFO  [:0 ] text");
        assert_eq!(told(r#"{"levelname": "WARNING", "message": "text"}"#), "WARN  [:0 ] text");
        assert_eq!(told(r#"{"levelno": 20, "msg": 17}"#), "INFO  [:0 ] 17");
        assert_eq!(told(r#"{"levelno": 20, "msg": "first", "msg": "last"}"#), "INFO  [:0 ] last");
    }

    #[test]
    fn what_has_no_place_in_a_record_is_a_field() {
        let prepared = r#"{"name": "a.b", "msg": "m", "args": null, "levelname": "CRITICAL", "levelno": 50,
            "pathname": "/x/y.py", "filename": "y.py", "module": "y", "exc_info": null, "exc_text": null,
            "stack_info": null, "lineno": 7, "funcName": "f", "created": 1.5, "msecs": 500.0,
            "relativeCreated": 1.0, "thread": 140735, "threadName": "T", "processName": "MainProcess",
            "process": 3, "taskName": null, "mine": [1, 2], "message": "m", "asctime": "now"}"#;
        assert_eq!(told(prepared), "ERROR a.b [/x/y.py:7 y::f] m levelname=CRITICAL levelno=50 mine=[1, 2]");
        let raw = r#"{"levelno": 25, "levelname": "NOTICE", "msg": "%d of %s", "args": [1, "x"], "exc_text": "E: x",
            "stack_info": "of %s", "processName": "Process-2", "taskName": "Task-1", "module": "m",
            "funcName": "<module>", "truncated": true}"#;
        assert_eq!(
            told(raw),
            "INFO  [:0 m] %d of %s levelno=25 levelname=NOTICE args=[1, \"x\"] exc_text=E: x processName=Process-2 \
             taskName=Task-1 truncated=true"
        );
    }

    #[test]
    fn values_keep_their_types() {
        let json = r#"{"levelno": 10, "msg": "", "a": -1, "b": 18446744073709551615, "c": 1e3, "d": "é\n",
            "e": [1.5, 2], "f": [true], "g": ["x"], "h": [1, "x"], "i": {"k": []}, "j": [], "k": NaN,
            "l": -Infinity, "m": "-Infinity \" NaN", "n": 36893488147419103232}"#;
        let mut bytes = Vec::new();
        from_python(json.as_bytes(), &mut bytes).unwrap();
        let mut decoder = Decoder::new();
        let record = decoder.decode(&bytes).unwrap();
        let values: Vec<_> = record.fields().map(|field| format!("{:?}", field.value())).collect();
        let kinds: Vec<_> = values.iter().map(|value| value.split('(').next().unwrap()).collect();
        assert_eq!(
            kinds,
            [
                "I64", "U64", "F64", "Str", "List", "List", "List", "Str", "Str", "List", "Str", "Str",
                "Str", "I128"
            ]
        );
        assert_eq!(record.field("m").unwrap().to_string(), "-Infinity \" NaN");
        assert_eq!(record.field("l").unwrap().to_string(), "-Infinity");
        assert_eq!(record.level(), Level::Debug);
    }

    #[test]
    fn what_is_no_record_says_why() {
        let why = |json: &[u8]| from_python(json, &mut Vec::new()).unwrap_err().to_string();
        assert_eq!(why(br#"{"levelno": 20}"#), "a LogRecord without a message");
        assert_eq!(why(br#"{"msg": "", "levelno": null}"#), "a LogRecord without a level");
        for json in [&b""[..], b"[]", b"{", b"{\"a\": NaN", b"\xff", b"{\"msg\": \"\", \"levelno\": 1} 2"] {
            assert!(why(json).starts_with("no LogRecord in JSON: "), "{json:?}");
        }
        let keys: String = (0..5000).map(|key| format!(r#""k{key}": 1, "#)).collect();
        let many = format!(r#"{{{keys}"msg": "", "levelno": 20}}"#);
        assert_eq!(why(many.as_bytes()), "too large for a portable record");
        let deep = format!(
            r#"{{"msg": "", "levelno": 20, "deep": {}{}}}"#,
            "[".repeat(100_000),
            "]".repeat(100_000)
        );
        assert!(told(&deep).ends_with("]]"), "as text");
    }

    #[test]
    fn whatever_comes_is_a_record_or_an_error() {
        let json = br#"{"levelno": 20, "msg": "a\u00e9\n", "x": [NaN, "q\"", -1e5], "y": {"z": null}}"#;
        let mut out = Vec::new();
        for at in 0..json.len() {
            for byte in [0, b'"', b'\\', b'{', b'N', b'9', 0x80, 0xff] {
                let mut json = *json;
                json[at] = byte;
                let _ = from_python(&json, &mut out);
                let _ = from_python(&json[..at], &mut out);
            }
        }
    }

    #[test]
    fn a_time_that_cannot_be_is_now() {
        let time = |created: &str| {
            let mut bytes = Vec::new();
            let json = format!(r#"{{"levelno": 20, "msg": "", "created": {created}}}"#);
            from_python(json.as_bytes(), &mut bytes).unwrap();
            Decoder::new().decode(&bytes).unwrap().time().as_nanos()
        };
        assert_eq!(time("1700000000.25"), 1_700_000_000_250_000_000);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
        for created in ["-1.0", "1e300", "\"x\"", "null"] {
            assert!(time(created) >= now, "{created}");
        }
    }
}
