//! A record that no call of ours made: put together from its parts, and written as a portable one.

use super::PortableError;
use crate::callsite::{Entry, EntryOf, Field, Metadata, Piece, Spec, Style, Type};
use crate::level::Level;
use crate::record::encode::Arguments;
use crate::record::{Encode, Record, Thread, Timestamp};

/// The token of a process that has none: it is not this one, so its records are no echoes.
const FOREIGN: u64 = 0;

/// A record of another program, put together from its parts, to be written as a portable one.
///
/// For those who bring records into treering that its macros have not made: a
/// [`Listener`](crate::Listener) takes them like any others, see [`Listener::translate`](crate::Listener::translate). What
/// is not said is empty, or 0.
///
/// ```
/// use treering::Level;
/// use treering::record::{Decoder, Draft, Timestamp};
///
/// let mut bytes = Vec::new();
/// Draft::new(Level::Warn, Timestamp::from_nanos(1_700_000_000_000_000_000), "billing", "card refused")
///     .location("billing::cards", "cards.py", 17)
///     .thread(4711, 1, Some("MainThread"))
///     .field("amount", &12.5)
///     .field("tags", &["visa", "retry"])
///     .write_portable(&mut bytes)?;
///
/// let mut decoder = Decoder::new();
/// let record = decoder.decode(&bytes)?;
/// assert_eq!(record.message(), "card refused");
/// assert_eq!(record.field("amount").unwrap().value().as_f64(), Some(12.5));
/// # Ok::<(), treering::record::PortableError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a draft is nothing until it is written"]
pub struct Draft<'a> {
    level: Level,
    time: Timestamp,
    target: &'a str,
    module_path: &'a str,
    file: &'a str,
    line: u32,
    process_id: u32,
    thread_id: u32,
    thread_name: Option<&'a str>,
    fields: Vec<Field<'a>>,
    /// The message, and the values of the fields.
    types: Vec<&'static Type<'static>>,
    words: Vec<u64>,
}

impl<'a> Draft<'a> {
    /// A record that says this, without fields, from nowhere.
    pub fn new(level: Level, time: Timestamp, target: &'a str, message: &str) -> Self {
        let draft = Draft {
            level,
            time,
            target,
            module_path: "",
            file: "",
            line: 0,
            process_id: 0,
            thread_id: 0,
            thread_name: None,
            fields: Vec::new(),
            types: Vec::new(),
            words: Vec::new(),
        };
        draft.argument(message)
    }

    /// Where it was logged.
    pub fn location(mut self, module_path: &'a str, file: &'a str, line: u32) -> Self {
        (self.module_path, self.file, self.line) = (module_path, file, line);
        self
    }

    /// Who logged it.
    pub fn thread(mut self, process_id: u32, id: u32, name: Option<&'a str>) -> Self {
        (self.process_id, self.thread_id, self.thread_name) = (process_id, id, name);
        self
    }

    /// One field more. Names need not differ.
    pub fn field<T: Encode + ?Sized>(mut self, name: &'a str, value: &T) -> Self {
        self.fields.push(Field { name, argument: self.types.len(), style: Style::Value });
        self.argument(value)
    }

    fn argument<T: Encode + ?Sized>(mut self, value: &T) -> Self {
        self.append(&(value.hold(), ()));
        self
    }

    fn append<A: Arguments>(&mut self, arguments: &A) {
        self.types.extend(A::SCHEMA.types());
        let start = self.words.len();
        self.words.resize(start + arguments.words(), 0);
        arguments.write_cut(&[], &mut self.words[start..]); // nothing is: there is room for all of it
    }

    /// Appends the record in the form in which it can leave the process, as
    /// [`Record::write_portable`] does.
    ///
    /// # Errors
    /// [`PortableError::TooLarge`] for a record with thousands of fields or many megabytes; `out` is as it was.
    pub fn write_portable(&self, out: &mut Vec<u8>) -> Result<(), PortableError> {
        let metadata = Metadata {
            level: self.level,
            target: self.target,
            module_path: self.module_path,
            file: self.file,
            line: self.line,
            instance: false,
            pieces: &[Piece::Argument(0, Spec::DISPLAY)],
            fields: &self.fields,
        };
        let entry = Entry { metadata: &metadata, types: &self.types };
        let thread = Thread::of_process(self.process_id, FOREIGN, self.thread_id, self.thread_name);
        let (time, arguments) = (self.time, &self.words);
        let (entry, truncated, scope) = (EntryOf::Batch(&entry), false, None);
        Record { entry, arguments, time, stamp: 0, thread: &thread, truncated, scope }.write_portable(out)
    }
}
