//! From a record to bytes.

use super::{
    ALIGNS, BYTES_MAX, KINDS, LEAVES, MAGIC, PARTS_MAX, PortableError, STYLES, VERSION, count, flag, nest,
    piece, shape_flag, spec_flag,
};
use crate::callsite::{Count, Entry, Field, Members, Metadata, Piece, Shape, Spec, Type, Types};
use crate::record::Record;

impl Record<'_> {
    /// Appends the record in the form in which it can leave the process, see docs/record-format.md. A
    /// [`Decoder`](super::Decoder) reads it.
    ///
    /// Cost: a copy of everything the record says; nothing is formatted.
    ///
    /// # Errors
    /// [`PortableError::TooLarge`] for a record with thousands of arguments or many megabytes; `out` is as it was.
    ///
    /// ```
    /// use treering::handler::{Batch, Handler, HandlerError};
    ///
    /// struct Example;
    /// impl Handler for Example {
    ///     fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
    ///         let mut bytes = Vec::new();
    ///         for record in batch {
    ///             bytes.clear();
    ///             record.write_portable(&mut bytes).map_err(HandlerError::new)?;
    ///             // … and to wherever they shall go.
    ///         }
    ///         Ok(())
    ///     }
    /// }
    /// # let (logger, guard) = treering::builder().handler(Example).start().unwrap();
    /// # treering::info!(logger: logger, order_id = 7_u64, "filled {}", "all");
    /// # let report = guard.stop(std::time::Duration::from_secs(5)).unwrap();
    /// # assert!(report.is_lossless(), "{report:#?}");
    /// ```
    pub fn write_portable(&self, out: &mut Vec<u8>) -> Result<(), PortableError> {
        let start = out.len();
        let result = write(self, &mut Writer(out));
        if result.is_ok() && out.len() - start <= BYTES_MAX {
            return Ok(());
        }
        out.truncate(start);
        Err(result.err().unwrap_or(PortableError::TooLarge))
    }
}

/// Appends what a callsite says of each of its records, for [`read_callsite`](super::read_callsite); on an error, a part of it.
pub(crate) fn write_callsite(entry: &Entry<'_>, out: &mut Vec<u8>) -> Result<(), PortableError> {
    let mut out = Writer(out);
    out.byte(entry.metadata.level as u8);
    out.number(entry.metadata.line);
    out.place(entry.metadata)?;
    out.layout(entry)
}

fn write(record: &Record<'_>, out: &mut Writer<'_>) -> Result<(), PortableError> {
    let metadata = record.entry.metadata;
    let thread = record.thread;
    out.0.extend(MAGIC);
    out.byte(VERSION);
    out.byte(
        flag::ORDER
            | if record.truncated { flag::TRUNCATED } else { 0 }
            | if thread.name().is_some() { flag::NAMED } else { 0 },
    );
    out.byte(metadata.level as u8);
    out.long(record.time.as_nanos());
    out.long(record.stamp);
    out.number(thread.process_id());
    out.number(thread.id());
    out.number(metadata.line);
    out.long(thread.token());
    out.place(metadata)?;
    if let Some(name) = thread.name() {
        out.text(name)?;
    }
    out.layout(&record.entry)?;
    out.size(record.arguments.len())?;
    out.words(record.arguments);
    Ok(())
}

/// Appends numbers, little-endian, and what is made of them.
struct Writer<'a>(&'a mut Vec<u8>);

impl Writer<'_> {
    fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    fn number(&mut self, number: u32) {
        self.0.extend(number.to_le_bytes());
    }

    fn long(&mut self, number: u64) {
        self.0.extend(number.to_le_bytes());
    }

    fn size(&mut self, size: usize) -> Result<(), PortableError> {
        self.number(u32::try_from(size).map_err(|_| PortableError::TooLarge)?);
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), PortableError> {
        self.size(text.len())?;
        self.0.extend(text.as_bytes());
        Ok(())
    }

    fn parts<T>(
        &mut self,
        parts: &[T],
        mut write: impl FnMut(&mut Self, &T) -> Result<(), PortableError>,
    ) -> Result<(), PortableError> {
        if parts.len() > PARTS_MAX {
            return Err(PortableError::TooLarge);
        }
        self.size(parts.len())?;
        parts.iter().try_for_each(|part| write(self, part))
    }

    /// Where the call stands, and what it is about.
    fn place(&mut self, metadata: &Metadata<'_>) -> Result<(), PortableError> {
        [metadata.target, metadata.module_path, metadata.file].iter().try_for_each(|text| self.text(text))
    }

    /// How the message and the fields are made of the arguments, and the types of these.
    fn layout(&mut self, entry: &Entry<'_>) -> Result<(), PortableError> {
        self.parts(entry.metadata.pieces, Writer::piece)?;
        self.parts(entry.metadata.fields, Writer::field)?;
        let mut types_left = PARTS_MAX;
        self.parts(entry.types, |out, kind| out.kind(kind, &mut types_left))
    }

    fn piece(&mut self, piece: &Piece<'_>) -> Result<(), PortableError> {
        match piece {
            Piece::Literal(text) => {
                self.byte(piece::LITERAL);
                self.text(text)
            }
            Piece::Argument(position, Spec::DISPLAY) => {
                self.byte(piece::PLAIN);
                self.size(*position)
            }
            Piece::Argument(position, spec) => {
                self.byte(piece::ARGUMENT);
                self.size(*position)?;
                self.spec(spec)
            }
        }
    }

    fn spec(&mut self, spec: &Spec) -> Result<(), PortableError> {
        self.number(spec.fill.into());
        self.position(&ALIGNS, &spec.align);
        self.byte(
            if spec.plus { spec_flag::PLUS } else { 0 }
                | if spec.alternate { spec_flag::ALTERNATE } else { 0 }
                | if spec.zero { spec_flag::ZERO } else { 0 },
        );
        self.position(&KINDS, &spec.kind);
        self.count(spec.width)?;
        self.count(spec.precision)
    }

    fn count(&mut self, count: Count) -> Result<(), PortableError> {
        match count {
            Count::None => {
                self.byte(count::NONE);
                Ok(())
            }
            Count::Is(number) => {
                self.byte(count::IS);
                self.size(number)
            }
            Count::Argument(position) => {
                self.byte(count::ARGUMENT);
                self.size(position)
            }
        }
    }

    fn field(&mut self, field: &Field<'_>) -> Result<(), PortableError> {
        self.text(field.name)?;
        self.size(field.argument)?;
        self.position(&STYLES, &field.style);
        Ok(())
    }

    fn kind(&mut self, kind: &Type<'_>, left: &mut usize) -> Result<(), PortableError> {
        *left = left.checked_sub(1).ok_or(PortableError::TooLarge)?;
        match kind {
            Type::Option(inner) => {
                self.byte(nest::OPTION);
                self.kind(inner, left)
            }
            Type::List(element) => {
                self.byte(nest::LIST);
                self.kind(element, left)
            }
            Type::Tuple(parts) => {
                self.byte(nest::TUPLE);
                self.parts(parts, |out, part| out.kind(part, left))
            }
            Type::Struct(shape, fields) => {
                self.byte(nest::STRUCT);
                self.shape(shape)?;
                self.types(fields, left)
            }
            Type::Enum(shapes, bodies) => {
                self.byte(nest::ENUM);
                self.parts(shapes, Writer::shape)?;
                self.size(bodies.iter().count())?;
                bodies.iter().try_for_each(|fields| self.types(fields, left))
            }
            // By name, so that a new type does not compile before it has its place in the table.
            Type::Bool
            | Type::Char
            | Type::U8
            | Type::U16
            | Type::U32
            | Type::U64
            | Type::U128
            | Type::I8
            | Type::I16
            | Type::I32
            | Type::I64
            | Type::I128
            | Type::F32
            | Type::F64
            | Type::Unit
            | Type::Str
            | Type::Text
            | Type::Error
            | Type::Duration
            | Type::Ipv4Addr
            | Type::Ipv6Addr
            | Type::IpAddr
            | Type::SocketAddrV4
            | Type::SocketAddrV6
            | Type::SocketAddr
            | Type::Backtrace
            | Type::Redacted => {
                self.position(&LEAVES, kind);
                Ok(())
            }
        }
    }

    fn types(&mut self, types: &Types<'_>, left: &mut usize) -> Result<(), PortableError> {
        self.size(types.types().count())?;
        types.types().try_for_each(|kind| self.kind(kind, left))
    }

    fn shape(&mut self, shape: &Shape<'_>) -> Result<(), PortableError> {
        self.text(shape.name)?;
        let whole = if shape.is_whole { shape_flag::WHOLE } else { 0 };
        match shape.members {
            Members::Named(names) => {
                self.byte(whole | shape_flag::NAMED);
                self.parts(names, |out, name| out.text(name))
            }
            Members::Numbered(len) => {
                self.byte(whole);
                self.size(len)
            }
        }
    }

    /// Where a value stands in its table; all of them do.
    fn position<T: PartialEq>(&mut self, table: &[T], value: &T) {
        let position = table.iter().position(|candidate| candidate == value);
        debug_assert!(position.is_some(), "not in its table");
        self.byte(position.map_or(u8::MAX, |position| position as u8));
    }

    /// Words as they lie in memory; the flag says in which order.
    #[allow(clippy::host_endian_bytes, reason = "the record says which it is")]
    fn words(&mut self, words: &[u64]) {
        self.0.extend(words.iter().flat_map(|word| word.to_ne_bytes()));
    }
}
