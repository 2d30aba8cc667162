//! A table of a configuration: where each value stands, what was asked of it, and what is wrong with it.
//!
//! Whoever reads a table asks for the keys it knows; what nobody asked for is a mistake, and the message lists what was
//! asked. So the known keys stand in one place, where they are read.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use crate::error::Error;
use crate::level::{Level, LevelFilter};
use crate::sync::Arc;

/// A table of a configuration, as `[handlers.audit]`, for what makes a handler of it.
///
/// Each method looks a key up and says [`None`] where it is not there. A value of another kind is an error that names the
/// file, the line and the key. Keys that were not asked for are errors, too: they are misspelt.
///
/// ```
/// use treering::config::Config;
/// use treering::handler::Capture;
///
/// let capture = Capture::new();
/// let captured = capture.clone();
/// let config = Config::parse("[handlers.audit]\nkind = 'capture'\nrooom = 5\nlevel = 'warn'")?
///     .kind("capture", move |table| {
///         let room = table.integer("room")?;
///         assert_eq!(room, None);
///         Ok(Box::new(captured.clone()))
///     });
/// let problem = config.builder().unwrap_err().to_string();
/// assert!(problem.starts_with("configuration:3:1: handlers.audit.rooom: unknown key"), "{problem}");
/// # Ok::<(), treering::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Table {
    /// The keys that lead here: `handlers.audit`; empty for the whole.
    path: String,
    place: Place,
    entries: BTreeMap<String, Node>,
    asked: RefCell<Vec<String>>,
}

/// What stands for one of several things: `wait = "park"`, or `wait = { poll = "1ms" }`.
pub(super) enum Choice<'a> {
    Named(&'a str),
    Of(&'a Table),
}

/// A value and where it stands.
#[derive(Clone, Debug)]
struct Node {
    place: Place,
    value: Value,
}

#[derive(Clone, Debug)]
enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
    Flag(bool),
    List(Vec<Node>),
    Table(Table),
    /// What TOML knows and nothing here wants: a date, or an integer beyond `i64`.
    Other(&'static str),
}

/// For messages.
#[derive(Clone, Default, Debug)]
enum Place {
    /// Of what stands in no file.
    #[default]
    Nowhere,
    Line {
        file: Arc<str>,
        line: usize,
        column: usize,
    },
    Variable(Arc<str>),
}

/// What begins the names of the variables that go before a file.
const PREFIX: &str = "TREERING__";

impl Table {
    /// Reads a text. `file` is what messages call it.
    pub(super) fn parse(text: &str, file: &str) -> Result<Table, Error> {
        let source = Source::File { text, name: &Arc::from(file) };
        match DeTable::parse(text) {
            Ok(table) => Ok(source.table(table.get_ref(), String::new(), 0)),
            Err(problem) => {
                let place = source.place(problem.span().map_or(0, |span| span.start));
                Err(Error::config(format!("{place}: {}", problem.message())))
            }
        }
    }

    /// Puts the environment's variables into the table, each in the place of what the file says there.
    pub(super) fn put_variables(
        &mut self,
        variables: impl Iterator<Item = (std::ffi::OsString, std::ffi::OsString)>,
    ) -> Result<(), Error> {
        for (name, value) in variables {
            let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
            let Some(value) = value.to_str() else {
                return Err(Error::config(format!("environment variable {name}: not UTF-8")));
            };
            let place = Place::Variable(Arc::from(name));
            let value = Value::of_variable(value, &place);
            let parts: Vec<_> = name[PREFIX.len()..].split("__").collect();
            self.put(&parts, Node { place, value })?;
        }
        Ok(())
    }

    fn put(&mut self, parts: &[&str], mut node: Node) -> Result<(), Error> {
        let (part, rest) = parts.split_first().expect("splitting gives at least one part");
        let known = self.entries.keys().find(|key| as_variable(key) == as_variable(part)).cloned();
        let key = known.unwrap_or_else(|| part.to_ascii_lowercase());
        let path = self.path_of(&key);
        if rest.is_empty() {
            if let Value::Table(table) = &mut node.value {
                table.set_path(path);
            }
            self.entries.insert(key, node);
            return Ok(());
        }
        let empty = Table { path, place: node.place.clone(), ..Table::default() };
        let inner = self
            .entries
            .entry(key)
            .or_insert_with(|| Node { place: node.place.clone(), value: Value::Table(empty) });
        match &mut inner.value {
            Value::Table(table) => table.put(rest, node),
            other => Err(Error::config(format!(
                "{}: {} is {other} at {}, not a table",
                node.place,
                part.to_ascii_lowercase(),
                inner.place
            ))),
        }
    }

    fn set_path(&mut self, path: String) {
        self.path = path;
        for (key, node) in &mut self.entries {
            if let Value::Table(table) = &mut node.value {
                table.set_path(join(&self.path, key));
            }
        }
    }

    fn path_of(&self, key: &str) -> String {
        join(&self.path, key)
    }

    /// Looks a key up, of whatever kind.
    fn look_up(&self, key: &str) -> Option<&Node> {
        let mut asked = self.asked.borrow_mut();
        if !asked.iter().any(|known| known == key) {
            asked.push(key.to_owned());
        }
        self.entries.get(key)
    }

    fn read<'a, T>(
        &'a self,
        key: &str,
        wanted: &str,
        of: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let Some(node) = self.look_up(key) else { return Ok(None) };
        match of(&node.value) {
            Some(value) => Ok(Some(value)),
            None => Err(self.wrong(key, format!("{} is no {wanted}", node.value))),
        }
    }

    /// A text.
    ///
    /// # Errors
    /// [`is_config`](Error::is_config) if there is something else. So for all methods.
    pub fn text(&self, key: &str) -> Result<Option<&str>, Error> {
        self.read(key, "text: put it between quotes", Value::as_text)
    }

    /// A text of which a value can be made: an address, a path, a type of yours.
    ///
    /// # Errors
    /// As [`text`](Table::text), and what the type says.
    pub fn parsed<T: FromStr<Err: fmt::Display>>(&self, key: &str) -> Result<Option<T>, Error> {
        let parse =
            |text: &str| text.parse().map_err(|problem| self.wrong(key, format!("`{text}`: {problem}")));
        self.text(key)?.map(parse).transpose()
    }

    /// `true` or `false`.
    ///
    /// # Errors
    /// As [`text`](Table::text).
    pub fn flag(&self, key: &str) -> Result<Option<bool>, Error> {
        self.read(key, "`true` or `false`", |value| match value {
            Value::Flag(flag) => Some(*flag),
            _ => None,
        })
    }

    /// A whole number.
    ///
    /// # Errors
    /// As [`text`](Table::text).
    pub fn integer(&self, key: &str) -> Result<Option<i64>, Error> {
        self.read(key, "whole number", |value| match value {
            Value::Integer(number) => Some(*number),
            _ => None,
        })
    }

    /// A whole number that fits: `u16` for a port, `usize` for a length.
    ///
    /// # Errors
    /// As [`text`](Table::text), or if it does not fit.
    pub fn number<T: TryFrom<i64>>(&self, key: &str) -> Result<Option<T>, Error> {
        let fit = |number: i64| {
            T::try_from(number).map_err(|_| self.wrong(key, format!("{number} is out of range")))
        };
        self.integer(key)?.map(fit).transpose()
    }

    /// A number with or without a fraction.
    ///
    /// # Errors
    /// As [`text`](Table::text).
    pub fn float(&self, key: &str) -> Result<Option<f64>, Error> {
        self.read(key, "number", |value| match value {
            Value::Float(number) => Some(*number),
            Value::Integer(number) => Some(*number as f64),
            _ => None,
        })
    }

    /// A length of time, as `"250ms"`: a whole number and one of `ns us ms s min h d`.
    ///
    /// # Errors
    /// As [`text`](Table::text).
    pub fn duration(&self, key: &str) -> Result<Option<Duration>, Error> {
        self.read(key, "time, as \"250ms\": a whole number and one of ns, us, ms, s, min, h, d", |value| {
            let Value::Text(text) = value else { return None };
            let (number, unit) = number_and_unit(text)?;
            let nanos: u64 = match unit {
                "ns" => 1,
                "us" | "µs" => 1_000,
                "ms" => 1_000_000,
                "s" => 1_000_000_000,
                "min" => 60_000_000_000,
                "h" => 3_600_000_000_000,
                "d" => 86_400_000_000_000,
                _ => return None,
            };
            Some(Duration::from_nanos(number.checked_mul(nanos)?))
        })
    }

    /// A number of bytes: a whole number, or as `"64 KiB"` one with `B`, `kB`, `MB`, `GB`, `KiB`, `MiB` or `GiB`.
    ///
    /// # Errors
    /// As [`text`](Table::text).
    pub fn bytes(&self, key: &str) -> Result<Option<u64>, Error> {
        self.read(key, "number of bytes, as 4096 or \"64 KiB\"", |value| {
            let text = match value {
                Value::Integer(number) => return u64::try_from(*number).ok(),
                Value::Text(text) => text,
                _ => return None,
            };
            let (number, unit) = number_and_unit(text)?;
            let factor: u64 = match unit {
                "B" => 1,
                "kB" => 1_000,
                "MB" => 1_000_000,
                "GB" => 1_000_000_000,
                "KiB" => 1 << 10,
                "MiB" => 1 << 20,
                "GiB" => 1 << 30,
                _ => return None,
            };
            number.checked_mul(factor)
        })
    }

    /// A level: `error`, `warn`, `info`, `debug` or `trace`.
    ///
    /// # Errors
    /// As [`text`](Table::text).
    pub fn level(&self, key: &str) -> Result<Option<Level>, Error> {
        self.parsed(key)
    }

    /// The most verbose level that passes: a level, or `off`.
    ///
    /// # Errors
    /// As [`text`](Table::text).
    pub fn level_filter(&self, key: &str) -> Result<Option<LevelFilter>, Error> {
        self.parsed(key)
    }

    /// Several texts, as `["a", "b"]`.
    ///
    /// # Errors
    /// As [`text`](Table::text).
    pub fn texts(&self, key: &str) -> Result<Option<Vec<&str>>, Error> {
        self.read(key, "list of texts", |value| match value {
            Value::List(nodes) => nodes.iter().map(|node| node.value.as_text()).collect(),
            _ => None,
        })
    }

    /// A table in this one, as `[handlers.audit.tls]`.
    ///
    /// # Errors
    /// As [`text`](Table::text).
    pub fn table(&self, key: &str) -> Result<Option<&Table>, Error> {
        self.read(key, "table", |value| match value {
            Value::Table(table) => Some(table),
            _ => None,
        })
    }

    /// A name, or a table of what goes with one.
    pub(super) fn choice(&self, key: &str) -> Result<Option<Choice<'_>>, Error> {
        self.read(key, "name and no table", |value| match value {
            Value::Text(name) => Some(Choice::Named(name)),
            Value::Table(table) => Some(Choice::Of(table)),
            _ => None,
        })
    }

    /// The keys that are there, in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// That a value cannot be: names the file, the line and the key.
    ///
    /// ```
    /// # use treering::config::Config;
    /// # use treering::handler::Capture;
    /// let config = Config::parse("[handlers.mail]\nkind = 'mail'\nto = 'nobody'")?.kind("mail", |table| {
    ///     let to = table.text("to")?.ok_or_else(|| table.missing("to"))?;
    ///     if !to.contains('@') {
    ///         return Err(table.wrong("to", "an address has an @").into());
    ///     }
    ///     Ok(Box::new(Capture::new()))
    /// });
    /// let problem = config.builder().unwrap_err().to_string();
    /// assert_eq!(problem, "configuration:3:1: handlers.mail.to: an address has an @");
    /// # Ok::<(), treering::Error>(())
    /// ```
    pub fn wrong(&self, key: &str, problem: impl fmt::Display) -> Error {
        let place = self.entries.get(key).map_or(&self.place, |node| &node.place);
        Error::config(format!("{place}: {}: {problem}", self.path_of(key)))
    }

    /// That a key has to be there.
    pub fn missing(&self, key: &str) -> Error {
        Error::config(format!("{}: {}: missing", self.place, self.path_of(key)))
    }

    /// That something about the whole table is wrong.
    pub(super) fn problem(&self, problem: impl fmt::Display) -> Error {
        match self.path.as_str() {
            "" => Error::config(format!("{}: {problem}", self.place)),
            path => Error::config(format!("{}: {path}: {problem}", self.place)),
        }
    }

    /// Knows the keys that were asked of a table which says the same.
    pub(super) fn adopt_keys(&self, other: &Table) {
        self.asked.borrow_mut().extend_from_slice(&other.asked.borrow());
    }

    /// An error if there are keys that nobody asked for, in this table or one of those in it. Tables that nobody looked
    /// into are left out: their handlers go on as they are.
    pub(super) fn finish(&self) -> Result<(), Error> {
        let asked = self.asked.borrow();
        if asked.is_empty() && !self.path.is_empty() {
            return Ok(());
        }
        for (key, node) in &self.entries {
            if !asked.contains(key) {
                let mut known: Vec<_> = asked.iter().map(String::as_str).collect();
                known.sort_unstable();
                return Err(self.wrong(key, format!("unknown key; there are {}", known.join(", "))));
            }
            if let Value::Table(table) = &node.value {
                table.finish()?;
            }
        }
        Ok(())
    }

    /// The keys under which one of the two says something else.
    pub(super) fn differences<'a>(&'a self, other: &'a Table) -> Vec<&'a str> {
        let keys: BTreeSet<_> = self.keys().chain(other.keys()).collect();
        keys.into_iter().filter(|key| self.entries.get(*key) != other.entries.get(*key)).collect()
    }
}

impl PartialEq for Table {
    /// What it says, not where.
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries
    }
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Value::Text(a), Value::Text(b)) => a == b,
            (Value::Integer(a), Value::Integer(b)) => a == b,
            (Value::Float(a), Value::Float(b)) => a.to_bits() == b.to_bits(),
            (Value::Flag(a), Value::Flag(b)) => a == b,
            (Value::List(a), Value::List(b)) => a == b,
            (Value::Table(a), Value::Table(b)) => a == b,
            _ => false,
        }
    }
}

impl Value {
    /// What a variable says: a value as in the file, or else a text, which needs no quotes there.
    fn of_variable(text: &str, place: &Place) -> Value {
        let line = format!("value = {text}");
        let Ok(table) = DeTable::parse(&line) else { return Value::Text(text.to_owned()) };
        let mut values = table.get_ref().values();
        match (values.next(), values.next()) {
            (Some(value), None) => Source::Variable(place).value(value.get_ref(), 0, String::new()),
            _ => Value::Text(text.to_owned()), // a line break, and more
        }
    }

    fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// What a value is, for the message that it should be something else.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) => write!(f, "{text:?}"),
            Value::Integer(number) => write!(f, "{number}"),
            Value::Float(number) => write!(f, "{number}"),
            Value::Flag(flag) => write!(f, "{flag}"),
            Value::List(_) => f.write_str("a list"),
            Value::Table(_) => f.write_str("a table"),
            Value::Other(what) => f.write_str(what),
        }
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = self.entries.iter().map(|(key, node)| (key, &node.value));
        f.debug_map().entries(entries).finish()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Line { file, line, column } => write!(f, "{file}:{line}:{column}"),
            Place::Nowhere => f.write_str("configuration"),
            Place::Variable(name) => write!(f, "environment variable {name}"),
        }
    }
}

/// Where values come from, to say where they stand.
enum Source<'a> {
    File { text: &'a str, name: &'a Arc<str> },
    Variable(&'a Place),
}

impl Source<'_> {
    fn place(&self, at: usize) -> Place {
        let (text, name) = match self {
            Source::File { text, name } => (text, name),
            Source::Variable(place) => return (*place).clone(),
        };
        let before = &text[..text.floor_char_boundary(at)];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        Place::Line { file: Arc::clone(name), line, column: before[line_start..].chars().count() + 1 }
    }

    /// What a table holds; a key's place is that of its name.
    fn table(&self, table: &DeTable<'_>, path: String, at: usize) -> Table {
        let entry = |(key, value): (&Spanned<DeString<'_>>, &Spanned<DeValue<'_>>)| {
            let (place, name) = (self.place(key.span().start), key.get_ref().clone().into_owned());
            let value = self.value(value.get_ref(), key.span().start, join(&path, &name));
            (name, Node { place, value })
        };
        let entries = table.iter().map(entry).collect();
        Table { place: self.place(at), entries, asked: RefCell::default(), path }
    }

    fn value(&self, value: &DeValue<'_>, at: usize, path: String) -> Value {
        match value {
            DeValue::String(text) => Value::Text(text.clone().into_owned()),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map_or(Value::Other("a number beyond 64 bits"), Value::Integer),
            DeValue::Float(number) => number.as_str().parse().map_or(Value::Other("a number"), Value::Float),
            DeValue::Boolean(flag) => Value::Flag(*flag),
            DeValue::Datetime(_) => Value::Other("a date"),
            DeValue::Array(values) => {
                let node = |value: &Spanned<DeValue<'_>>| {
                    let at = value.span().start;
                    Node { place: self.place(at), value: self.value(value.get_ref(), at, path.clone()) }
                };
                Value::List(values.iter().map(node).collect())
            }
            DeValue::Table(table) => Value::Table(self.table(table, path, at)),
        }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// A key as it stands in the name of a variable.
fn as_variable(key: &str) -> String {
    key.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, text[end..].trim_start()))
}
