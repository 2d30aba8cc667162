//! A record: from the arguments of a call to words in a ring, and back to typed values and text.
//!
//! docs/record-format.md draws the bytes. `encode` turns arguments into words on the caller's thread, `decode`
//! turns words into [`Value`]s on the listener's, `render` prints them as `format!` would. `portable` is the form in which
//! a record leaves the process. Decoding is total: any
//! words give values or an error, never a panic, and nothing is allocated by a length that stands in the input.

mod decode;
mod digits;
pub(crate) mod encode;
pub(crate) mod float;
pub(crate) mod portable;
mod render;
pub(crate) mod scope;
mod secret;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
pub(crate) mod told;

pub use decode::{Chain, DecodeError, Elements, List, Optional, Struct, Text, Tuple, Value, Values};
pub(crate) use digits::eight_digits;
pub use encode::Encode;
pub use portable::{Decoder, Draft, PortableError};
pub(crate) use render::MessageWriter;
pub(crate) use scope::Scope;
pub use scope::{Span, Spans};
pub use secret::Secret;

pub use crate::callsite::Style;
pub use crate::clock::Timestamp;

use std::fmt;

use crate::callsite::{EntryOf, Field};
use crate::level::Level;
use crate::origin;

/// One log call as the listener hands it to handlers: a view into the batch.
///
/// Nothing about a record changes any more: what a handler sees is what the call said.
///
/// ```
/// use treering::handler::{Batch, Handler, HandlerError};
///
/// struct Example;
/// impl Handler for Example {
///     fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
///         for record in batch {
///             let head = format!("{} {} {}:{}", record.time(), record.level(), record.file(), record.line());
///             let order = record.field("order_id").and_then(|field| field.value().as_u64());
///             assert_eq!(order, Some(7));
///             assert_eq!(record.message(), "filled all");
///             # assert!(head.contains("INFO"));
///         }
///         Ok(())
///     }
/// }
/// # let (logger, guard) = treering::builder().handler(Example).start().unwrap();
/// # treering::info!(logger: logger, order_id = 7_u64, peers = &[1_u8, 2], pair = (1_u8, "x"), gap = None::<u8>, "filled {}", "all");
/// # let report = guard.stop(std::time::Duration::from_secs(5)).unwrap();
/// # assert!(report.is_lossless(), "{report:#?}");
/// ```
#[derive(Clone, Copy)]
pub struct Record<'a> {
    pub(crate) entry: EntryOf<'a>,
    /// The encoded arguments, without the record's header.
    pub(crate) arguments: &'a [u64],
    pub(crate) time: Timestamp,
    pub(crate) stamp: u64,
    pub(crate) thread: &'a Thread,
    pub(crate) truncated: bool,
    /// The spans around it, if it was logged in any.
    pub(crate) scope: Option<&'a Scope>,
}

impl<'a> Record<'a> {
    /// The level in the name of the macro.
    pub fn level(&self) -> Level {
        self.entry.metadata.level
    }

    /// What `target:` said, or else the module path of the call.
    pub fn target(&self) -> &'a str {
        self.entry.metadata.target
    }

    /// The module of the call.
    pub fn module_path(&self) -> &'a str {
        self.entry.metadata.module_path
    }

    /// The source file of the call.
    pub fn file(&self) -> &'a str {
        self.entry.metadata.file
    }

    /// The line of the call in its source file.
    pub fn line(&self) -> u32 {
        self.entry.metadata.line
    }

    /// Wall-clock time of the call.
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// The raw counter at the call, before it was made wall-clock time. Comparable within one process.
    pub fn stamp(&self) -> u64 {
        self.stamp
    }

    /// The thread that logged, not the one that handles.
    pub fn thread(&self) -> &'a Thread {
        self.thread
    }

    /// Whether arguments were cut because the record was too long for its ring.
    pub fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// The spans it was logged in, the outermost first.
    pub fn spans(&self) -> Spans<'a> {
        Spans::of(self.scope)
    }

    /// The message, to be printed; nothing is formatted before it is.
    pub fn message(&self) -> Message<'a> {
        Message { record: *self }
    }

    /// The fields, in the order they were written.
    #[inline]
    pub fn fields(&self) -> Fields<'a> {
        Fields { fields: self.entry.metadata.fields.iter(), values: self.values() }
    }

    /// The names of the fields, without a look at their values.
    pub(crate) fn field_names(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.entry.metadata.fields.iter().map(|field| field.name)
    }

    /// The first field with a name.
    pub fn field(&self, name: &str) -> Option<FieldValue<'a>> {
        self.fields().find(|field| field.name() == name)
    }

    /// All arguments, those of the message and those of the fields, in the order of the argument list.
    #[inline]
    pub fn values(&self) -> Values<'a> {
        Values::new(self.entry.types, self.arguments, self.truncated)
    }

    /// The argument at a position of the argument list.
    pub fn value(&self, position: usize) -> Option<Value<'a>> {
        self.values().nth(position)
    }
}

/// The message of a record. Prints as it is, without escaping, what `format!` would have made of it at the call.
///
/// ```
/// use treering::handler::{Batch, Handler, HandlerError};
///
/// struct Example;
/// impl Handler for Example {
///     fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
///         for record in batch {
///             assert_eq!(record.message().to_string(), "filled all"); // an allocation
///             assert_eq!(record.message(), "filled all"); // none
///         }
///         Ok(())
///     }
/// }
/// # let (logger, guard) = treering::builder().handler(Example).start().unwrap();
/// # treering::info!(logger: logger, order_id = 7_u64, peers = &[1_u8, 2], pair = (1_u8, "x"), gap = None::<u8>, "filled {}", "all");
/// # let report = guard.stop(std::time::Duration::from_secs(5)).unwrap();
/// # assert!(report.is_lossless(), "{report:#?}");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    record: Record<'a>,
}

impl PartialEq<&str> for Message<'_> {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

/// The fields of a record.
///
/// ```
/// use treering::handler::{Batch, Handler, HandlerError};
///
/// struct Example;
/// impl Handler for Example {
///     fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
///         for record in batch {
///             let names: Vec<_> = record.fields().map(|field| field.name()).collect();
///             assert_eq!(names, ["order_id", "peers", "pair", "gap"]);
///         }
///         Ok(())
///     }
/// }
/// # let (logger, guard) = treering::builder().handler(Example).start().unwrap();
/// # treering::info!(logger: logger, order_id = 7_u64, peers = &[1_u8, 2], pair = (1_u8, "x"), gap = None::<u8>, "filled {}", "all");
/// # let report = guard.stop(std::time::Duration::from_secs(5)).unwrap();
/// # assert!(report.is_lossless(), "{report:#?}");
/// ```
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    fields: std::slice::Iter<'a, Field<'a>>,
    values: Values<'a>,
}

impl<'a> Iterator for Fields<'a> {
    type Item = FieldValue<'a>;

    #[inline]
    fn next(&mut self) -> Option<FieldValue<'a>> {
        let Field { name, argument, style } = *self.fields.next()?;
        let value = self.values.seek(argument).unwrap_or(Value::Missing);
        Some(FieldValue { name, value, style })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.fields.size_hint()
    }
}

impl ExactSizeIterator for Fields<'_> {}

/// A field of a record. Prints its value as it is, without escaping, as its sigil says.
///
/// ```
/// use treering::handler::{Batch, Handler, HandlerError};
///
/// struct Example;
/// impl Handler for Example {
///     fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
///         for field in batch.iter().flat_map(|record| record.fields()) {
///             let text = format!("{}={field}", field.name());
///             # assert!(["order_id=7", "peers=[1, 2]", "pair=(1, \"x\")", "gap=None"].contains(&text.as_str()), "{text}");
///         }
///         Ok(())
///     }
/// }
/// # let (logger, guard) = treering::builder().handler(Example).start().unwrap();
/// # treering::info!(logger: logger, order_id = 7_u64, peers = &[1_u8, 2], pair = (1_u8, "x"), gap = None::<u8>, "filled {}", "all");
/// # let report = guard.stop(std::time::Duration::from_secs(5)).unwrap();
/// # assert!(report.is_lossless(), "{report:#?}");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct FieldValue<'a> {
    name: &'a str,
    value: Value<'a>,
    style: Style,
}

impl<'a> FieldValue<'a> {
    /// As the call wrote it.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// The value itself; text if its type cannot be kept.
    pub fn value(&self) -> Value<'a> {
        self.value
    }

    /// The sigil before it.
    pub fn style(&self) -> Style {
        self.style
    }
}

impl fmt::Debug for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("level", &self.level())
            .field("target", &self.target())
            .field("time", &self.time)
            .finish_non_exhaustive()
    }
}

/// The thread a record came from.
///
/// ```
/// use treering::handler::{Batch, Handler, HandlerError};
///
/// struct Example;
/// impl Handler for Example {
///     fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
///         for record in batch {
///             let name = record.thread().name().unwrap_or("unnamed");
///             # assert_ne!(record.thread().id(), 0);
///             # let _ = name;
///         }
///         Ok(())
///     }
/// }
/// # let (logger, guard) = treering::builder().handler(Example).start().unwrap();
/// # treering::info!(logger: logger, order_id = 7_u64, peers = &[1_u8, 2], pair = (1_u8, "x"), gap = None::<u8>, "filled {}", "all");
/// # let report = guard.stop(std::time::Duration::from_secs(5)).unwrap();
/// # assert!(report.is_lossless(), "{report:#?}");
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Thread {
    process_id: u32,
    /// That of its process, see [`origin::token`].
    token: u64,
    id: u32,
    name: Option<Box<str>>,
}

impl Thread {
    pub(crate) fn new(id: u32, name: Option<&str>) -> Self {
        Thread::of_process(std::process::id(), origin::token(), id, name)
    }

    /// A thread of this process or of another one.
    pub(crate) fn of_process(process_id: u32, token: u64, id: u32, name: Option<&str>) -> Self {
        Thread { process_id, token, id, name: name.map(Into::into) }
    }

    pub(crate) fn token(&self) -> u64 {
        self.token
    }

    /// The number of its process: this one's, unless the record came through a queue.
    pub fn process_id(&self) -> u32 {
        self.process_id
    }

    /// The kernel's number of the thread, as `top -H` and `gdb` show it.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The name it had when it first logged.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}
