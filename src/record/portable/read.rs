//! From bytes to a record's parts.

use bumpalo::Bump;

use super::{
    ALIGNS, BYTES_MAX, DEPTH_MAX, KINDS, LEAVES, MAGIC, PARTS_MAX, PortableError, STYLES, VERSION, count,
    flag, level_of, nest, piece, shape_flag, spec_flag,
};
use crate::callsite::{Bodies, Count, Entry, Field, Members, Metadata, Piece, Shape, Spec, Type, Types};
use crate::level::Level;
use crate::record::{Thread, Timestamp};

/// What a portable record says. Texts lie in its bytes, lists in the arena.
#[derive(Debug)]
pub(crate) struct Parts<'a> {
    pub(crate) entry: &'a Entry<'a>,
    pub(crate) time: Timestamp,
    pub(crate) stamp: u64,
    pub(crate) truncated: bool,
    pub(crate) process_id: u32,
    pub(crate) token: u64,
    pub(crate) thread_id: u32,
    thread_name: Option<&'a str>,
    /// Words that need not be aligned.
    arguments: &'a [[u8; 8]],
}

impl<'a> Parts<'a> {
    /// The encoded arguments.
    #[allow(clippy::host_endian_bytes, reason = "records of the other order were refused")]
    pub(crate) fn words(&self) -> impl ExactSizeIterator<Item = u64> + use<'a> {
        self.arguments.iter().map(|word| u64::from_ne_bytes(*word))
    }

    /// Whether it is a record of that thread.
    pub(crate) fn is_of(&self, thread: &Thread) -> bool {
        (self.process_id, self.token, self.thread_id, self.thread_name)
            == (thread.process_id(), thread.token(), thread.id(), thread.name())
    }

    /// The thread that logged.
    pub(crate) fn thread(&self) -> Thread {
        Thread::of_process(self.process_id, self.token, self.thread_id, self.thread_name)
    }
}

/// Reads what [`write_callsite`](super::write_callsite) wrote.
pub(crate) fn read_callsite<'a>(arena: &'a Bump, bytes: &'a [u8]) -> Result<&'a Entry<'a>, PortableError> {
    let mut reader = Reader { arena, rest: bytes };
    let level = reader.level()?;
    let line = reader.number()?;
    let place = reader.place()?;
    let entry = reader.entry(level, line, place)?;
    reader.end()?;
    Ok(entry)
}

/// Reads a portable record.
pub(crate) fn read<'a>(arena: &'a Bump, bytes: &'a [u8]) -> Result<Parts<'a>, PortableError> {
    if bytes.len() > BYTES_MAX {
        return Err(PortableError::TooLarge);
    }
    let rest = bytes.strip_prefix(&MAGIC).ok_or(PortableError::Foreign)?;
    let mut reader = Reader { arena, rest };
    match reader.byte()? {
        VERSION => {}
        version => return Err(PortableError::Version(version)),
    }
    let flags = reader.byte()?;
    if flags & !flag::ALL != 0 {
        return Err(PortableError::Malformed("byte of flags"));
    }
    if flags & flag::BIG_ENDIAN != flag::ORDER {
        return Err(PortableError::ByteOrder);
    }
    let level = reader.level()?;
    let time = Timestamp::from_nanos(reader.long()?);
    let stamp = reader.long()?;
    let process_id = reader.number()?;
    let thread_id = reader.number()?;
    let line = reader.number()?;
    let token = reader.long()?;
    let place = reader.place()?;
    let thread_name = if flags & flag::NAMED == 0 { None } else { Some(reader.text()?) };
    let entry = reader.entry(level, line, place)?;
    let arguments = reader.arguments()?;
    reader.end()?;
    let truncated = flags & flag::TRUNCATED != 0;
    Ok(Parts { entry, time, stamp, truncated, process_id, token, thread_id, thread_name, arguments })
}

/// Takes parts from the beginning of the bytes that are left.
struct Reader<'a> {
    arena: &'a Bump,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], PortableError> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(PortableError::Short)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], PortableError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(PortableError::Short)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn byte(&mut self) -> Result<u8, PortableError> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    fn number(&mut self) -> Result<u32, PortableError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn long(&mut self) -> Result<u64, PortableError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn size(&mut self) -> Result<usize, PortableError> {
        Ok(self.number()? as usize)
    }

    /// All has been read.
    fn end(&self) -> Result<(), PortableError> {
        if self.rest.is_empty() { Ok(()) } else { Err(PortableError::Long(self.rest.len())) }
    }

    fn level(&mut self) -> Result<Level, PortableError> {
        level_of(self.byte()?).ok_or(PortableError::Malformed("level"))
    }

    /// Target, module and file.
    fn place(&mut self) -> Result<[&'a str; 3], PortableError> {
        Ok([self.text()?, self.text()?, self.text()?])
    }

    /// A callsite, of which level, line and place were read before, to its end.
    fn entry(
        &mut self,
        level: Level,
        line: u32,
        place: [&'a str; 3],
    ) -> Result<&'a Entry<'a>, PortableError> {
        let pieces = self.parts(Reader::piece)?;
        let fields = self.parts(Reader::field)?;
        let mut types_left = PARTS_MAX;
        let types = self.parts(|reader| reader.kind(&mut types_left, 0))?;
        let positions = pieces.iter().flat_map(|piece| piece.arguments().into_iter().flatten());
        let positions = positions.chain(fields.iter().map(|field| field.argument));
        if positions.into_iter().any(|position| position >= types.len()) {
            return Err(PortableError::Malformed("position of an argument"));
        }
        let [target, module_path, file] = place;
        let metadata = Metadata { level, target, module_path, file, line, instance: false, pieces, fields };
        Ok(self.arena.alloc(Entry { metadata: self.arena.alloc(metadata), types }))
    }

    fn text(&mut self) -> Result<&'a str, PortableError> {
        let len = self.size()?;
        std::str::from_utf8(self.take(len)?).map_err(|_| PortableError::Malformed("text"))
    }

    /// As many parts as the count before them says, of which each takes a byte at least.
    fn parts<T>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<T, PortableError>,
    ) -> Result<&'a [T], PortableError> {
        let count = self.size()?;
        if count > PARTS_MAX {
            return Err(PortableError::TooLarge);
        }
        if count > self.rest.len() {
            return Err(PortableError::Short);
        }
        Ok(self.arena.alloc_slice_try_fill_with(count, |_| read(self))?)
    }

    fn piece(&mut self) -> Result<Piece<'a>, PortableError> {
        match self.byte()? {
            piece::LITERAL => Ok(Piece::Literal(self.text()?)),
            piece::PLAIN => Ok(Piece::Argument(self.size()?, Spec::DISPLAY)),
            piece::ARGUMENT => Ok(Piece::Argument(self.size()?, self.spec()?)),
            _ => Err(PortableError::Malformed("piece of its message")),
        }
    }

    fn spec(&mut self) -> Result<Spec, PortableError> {
        let fill = char::from_u32(self.number()?).ok_or(PortableError::Malformed("fill character"))?;
        let align = self.choice(&ALIGNS, "alignment")?;
        let flags = self.byte()?;
        if flags & !spec_flag::ALL != 0 {
            return Err(PortableError::Malformed("byte of flags in a spec"));
        }
        Ok(Spec {
            fill,
            align,
            plus: flags & spec_flag::PLUS != 0,
            alternate: flags & spec_flag::ALTERNATE != 0,
            zero: flags & spec_flag::ZERO != 0,
            kind: self.choice(&KINDS, "kind of formatting")?,
            width: self.count()?,
            precision: self.count()?,
        })
    }

    fn count(&mut self) -> Result<Count, PortableError> {
        match self.byte()? {
            count::NONE => Ok(Count::None),
            count::IS => Ok(Count::Is(self.size()?)),
            count::ARGUMENT => Ok(Count::Argument(self.size()?)),
            _ => Err(PortableError::Malformed("width or precision")),
        }
    }

    fn field(&mut self) -> Result<Field<'a>, PortableError> {
        Ok(Field {
            name: self.text()?,
            argument: self.size()?,
            style: self.choice(&STYLES, "style of a field")?,
        })
    }

    fn kind(&mut self, left: &mut usize, depth: usize) -> Result<&'a Type<'a>, PortableError> {
        *left = left.checked_sub(1).ok_or(PortableError::TooLarge)?;
        if depth > DEPTH_MAX {
            return Err(PortableError::TooLarge);
        }
        let kind = match self.byte()? {
            nest::OPTION => Type::Option(self.kind(left, depth + 1)?),
            nest::LIST => Type::List(self.kind(left, depth + 1)?),
            nest::TUPLE => Type::Tuple(self.parts(|reader| reader.kind(left, depth + 1))?),
            nest::STRUCT => {
                let shape = self.shape()?;
                Type::Struct(self.arena.alloc(shape), self.types(left, depth)?)
            }
            nest::ENUM => {
                let shapes = self.parts(Reader::shape)?;
                let bodies = self.parts(|reader| reader.types(left, depth))?;
                let link = |rest, fields: &&'a _| Bodies::Then(fields, self.arena.alloc(rest));
                Type::Enum(shapes, self.arena.alloc(bodies.iter().rev().fold(Bodies::End, link)))
            }
            leaf => *LEAVES.get(usize::from(leaf)).ok_or(PortableError::Malformed("type"))?,
        };
        Ok(self.arena.alloc(kind))
    }

    fn shape(&mut self) -> Result<Shape<'a>, PortableError> {
        let name = self.text()?;
        let flags = self.byte()?;
        if flags & !shape_flag::ALL != 0 {
            return Err(PortableError::Malformed("shape of a type"));
        }
        let members = if flags & shape_flag::NAMED != 0 {
            Members::Named(self.parts(Reader::text)?)
        } else {
            Members::Numbered(self.size()?)
        };
        Ok(Shape { name, members, is_whole: flags & shape_flag::WHOLE != 0 })
    }

    fn types(&mut self, left: &mut usize, depth: usize) -> Result<&'a Types<'a>, PortableError> {
        let kinds = self.parts(|reader| reader.kind(left, depth + 1))?;
        let link = |rest, kind: &&'a _| Types::Then(kind, self.arena.alloc(rest));
        Ok(self.arena.alloc(kinds.iter().rev().fold(Types::End, link)))
    }

    fn choice<T: Copy>(&mut self, table: &[T], what: &'static str) -> Result<T, PortableError> {
        table.get(usize::from(self.byte()?)).copied().ok_or(PortableError::Malformed(what))
    }

    fn arguments(&mut self) -> Result<&'a [[u8; 8]], PortableError> {
        let count = self.size()?;
        let bytes = self.take(count.checked_mul(8).ok_or(PortableError::Short)?)?;
        Ok(bytes.as_chunks().0)
    }
}
