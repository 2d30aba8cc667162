//! What handlers that write lines have in common: a level, a format, lines on their way, and what went wrong.

use std::any::{Any, TypeId};
use std::fmt;
use std::io;
use std::path::PathBuf;

use super::texts::Shared;
use super::{Batch, HandlerError};
use crate::binary::Packer;
use crate::callsite::{Entry, EntryOf, Piece, Spec, Type, own_metadata};
use crate::error::Error;
use crate::format::{Binary, Format, Json, Logfmt, Pattern, Text};
use crate::level::LevelFilter;
use crate::os;
use crate::output::{Failed, Last, Lines, Load};
use crate::record::portable::PortableError;
use crate::record::{Record, Thread, Timestamp};

/// Records were dropped here, as they could not be written; the argument says how many.
const GAP: &Entry<'static> = &Entry {
    metadata: &own_metadata!(
        Warn,
        "treering::loss",
        &[Piece::Argument(0, Spec::DISPLAY), Piece::Literal(" records lost here, they could not be written")],
        &[]
    ),
    types: &[&Type::U64],
};

/// How records become bytes.
enum Form {
    /// Ours, which only appends: straight to the lines. The copy would cost 8 ns of some 38.
    Text(Text),
    /// Ours as well.
    Ours(Box<dyn Format>),
    /// The user's, which may clear or replace the buffer that it gets. So there is one record in it at a time, and
    /// never the lines of others, which the books call held.
    Other { format: Box<dyn Format>, scratch: Vec<u8> },
    /// No lines but frames, of which the last one is open and grows.
    Frames(Packer),
}

/// What was pushed last, taken out to be pushed again behind something else.
pub(super) enum Taken {
    Line(Last),
    /// Of a frame, whose records are told by what stands before them: what it counted for.
    Packed(Load),
}

impl Form {
    fn of<F: Format + 'static>(format: F) -> Self {
        let mut format = Some(format);
        let text = (&mut format as &mut dyn Any).downcast_mut::<Option<Text>>();
        if let Some(text) = text.and_then(Option::take) {
            return Form::Text(text);
        }
        let ours =
            [TypeId::of::<Json>(), TypeId::of::<Logfmt>(), TypeId::of::<Pattern>(), TypeId::of::<Binary>()];
        match format {
            Some(format) if ours.contains(&TypeId::of::<F>()) => Form::Ours(Box::new(format)),
            Some(format) => Form::Other { format: Box::new(format), scratch: Vec::new() },
            None => unreachable!("only a text was taken"),
        }
    }

    /// What makes lines; none makes frames.
    fn format(&mut self) -> Option<&mut dyn Format> {
        match self {
            Form::Text(text) => Some(text),
            Form::Ours(format) | Form::Other { format, .. } => Some(&mut **format),
            Form::Frames(_) => None,
        }
    }

    /// Appends one record to the lines; and to the texts of others, if they have a place for it.
    #[inline]
    fn push<W: io::Write>(
        &mut self,
        record: &Record<'_>,
        lines: &mut Lines<W>,
        mut leave: impl FnMut(&[u8]),
    ) -> Result<(), PortableError> {
        match self {
            Form::Frames(packer) => return pack(packer, record, Load::RECORD, lines),
            Form::Text(text) => lines.append(|bytes| {
                let start = bytes.len();
                text.format(record, bytes);
                leave(&bytes[start..]);
            }),
            Form::Ours(format) => lines.append(|bytes| {
                let start = bytes.len();
                format.format(record, bytes);
                leave(&bytes[start..]);
            }),
            Form::Other { format, scratch } => {
                scratch.clear(); // also of what a format that panicked left
                format.format(record, scratch);
                leave(scratch);
                lines.push(scratch);
            }
        }
        Ok(())
    }
}

/// Packs a record into the open frame, or into the next one if that is full.
#[inline]
fn pack<W: io::Write>(
    packer: &mut Packer,
    record: &Record<'_>,
    load: Load,
    lines: &mut Lines<W>,
) -> Result<(), PortableError> {
    if packer.is_full() {
        packer.seal(|frame, load| lines.push_frame(frame, load));
    }
    packer.push(record, load)
}

/// What the format says of the bytes it makes, once it was asked.
enum Key {
    Unknown,
    None,
    Of(String),
}

/// So much of the buffer that a record is formatted into is kept for the next one.
const SCRATCH_BYTES_MAX: usize = 64 * 1024;

/// Records that become lines in `W`.
pub(super) struct Stream<W> {
    pub(super) max_level: LevelFilter,
    form: Form,
    key: Key,
    /// What it has of others' texts, and they of its, within a batch.
    shared: Option<Shared>,
    pub(super) lines: Lines<W>,
    /// What errors call it.
    place: PathBuf,
    /// What failed and was not told yet. A field, as a format that panics ends a call before it can tell.
    failed: Option<(&'static str, Failed)>,
    /// When the newest record was made: a line that tells of a gap has the time of what stands before or after it.
    newest: Timestamp,
}

impl<W: io::Write> Stream<W> {
    pub(super) fn new(lines: Lines<W>, place: PathBuf) -> Self {
        Stream {
            max_level: LevelFilter::ALL,
            form: Form::Text(Text::new()),
            key: Key::Unknown,
            shared: None,
            lines,
            place,
            failed: None,
            newest: Timestamp::from_nanos(0),
        }
    }

    pub(super) fn set_format(&mut self, format: impl Format + 'static) {
        self.form = Form::of(format);
        self.key = Key::Unknown;
    }

    /// As [`set_format`](Self::set_format), for an output that stays one file until it is [replaced](Self::replace): there
    /// [`Binary`] makes frames.
    pub(super) fn set_format_of_file<F: Format + 'static>(&mut self, format: F) {
        self.set_format(format);
        if TypeId::of::<F>() == TypeId::of::<Binary>() {
            self.form = Form::Frames(Packer::new());
        }
    }

    /// Whether it has frames instead of lines.
    pub(super) fn has_frames(&self) -> bool {
        matches!(self.form, Form::Frames(_))
    }

    /// Tells the format whether colours are wanted.
    pub(super) fn set_colors(&mut self, yes: bool) {
        self.form.format().into_iter().for_each(|format| format.colors_wanted(yes));
        self.key = Key::Unknown;
        self.shared = None;
    }

    /// From now on these records are formatted, in order.
    pub(super) fn begin_batch(&mut self, batch: &Batch<'_>) {
        if let Key::Unknown = self.key {
            self.key = self.form.format().and_then(|format| format.key()).map_or(Key::None, Key::Of);
        }
        self.shared = match &self.key {
            Key::Of(key) => batch.contents.texts.take(key, batch),
            Key::Unknown | Key::None => None,
        };
    }

    /// Formats a batch.
    #[cfg(test)]
    pub(super) fn take(&mut self, batch: &Batch<'_>) {
        self.begin_batch(batch);
        batch.iter().for_each(|record| self.take_record(&record));
        self.end_batch(batch);
    }

    /// Formats one record; writes if a write is worth its system call.
    pub(super) fn take_record(&mut self, record: &Record<'_>) {
        self.newest = record.time;
        self.tell_gap();
        self.push(record);
        if self.lines.is_full() {
            self.write();
        }
    }

    /// Formats one record, or takes its text from another handler that did.
    #[inline]
    pub(super) fn push(&mut self, record: &Record<'_>) {
        let Stream { form, lines, shared, .. } = self;
        let result = match shared {
            None => form.push(record, lines, |_| ()),
            Some(shared) => match shared.next(record) {
                Ok(text) => return lines.push(text),
                Err(place) => form.push(record, lines, |text| shared.leave(place, record, text)),
            },
        };
        if let Err(error) = result {
            self.refuse(error);
        }
    }

    /// A record can have no place here.
    #[cold]
    fn refuse(&mut self, error: PortableError) {
        self.lines.add_gap(1);
        self.fail("write to", Failed { lost: 1, source: io::Error::other(error) });
    }

    /// Takes out what was pushed last, if none of it has left.
    pub(super) fn take_back(&mut self) -> Option<Taken> {
        let Stream { form, lines, .. } = self;
        match form {
            Form::Frames(packer) => {
                packer.take_back(|frame, load| lines.push_frame(frame, load)).map(Taken::Packed)
            }
            _ => lines.pop().map(Taken::Line),
        }
    }

    /// Pushes what was taken back, which was made of this record or is what tells of a gap.
    pub(super) fn push_again(&mut self, taken: Taken, record: &Record<'_>) {
        match taken {
            Taken::Line(last) => self.lines.put_back(last),
            Taken::Packed(load) => match load.as_note() {
                None => self.push(record),
                Some(0) => self.push_note(record, 0),
                Some(gap) => {
                    self.lines.add_gap(gap);
                    self.push_gap();
                }
            },
        }
    }

    /// Puts a line where records were dropped, which says how many. Whether there was a gap.
    #[inline]
    pub(super) fn tell_gap(&mut self) -> bool {
        let has_gap = self.lines.has_gap();
        if has_gap {
            self.push_gap();
        }
        has_gap
    }

    #[cold]
    fn push_gap(&mut self) {
        // Taken first: a format that panics at this record shall not meet it again and again.
        let lost = self.lines.take_gap();
        let thread = Thread::new(os::thread_id(), None);
        let (entry, arguments, time) = (EntryOf::Process(GAP), &[lost], self.newest);
        let (truncated, scope) = (false, None);
        let record = Record { entry, arguments, time, stamp: 0, thread: &thread, truncated, scope };
        self.push_note(&record, lost);
    }

    /// A line that no book counts, which tells of so many dropped records.
    pub(super) fn push_note(&mut self, record: &Record<'_>, gap: u64) {
        match &mut self.form {
            Form::Frames(packer) => {
                let packed = pack(packer, record, Load::note(gap), &mut self.lines);
                debug_assert!(packed.is_ok(), "notes are short");
            }
            form => {
                let mut note = Vec::new();
                form.format().into_iter().for_each(|format| format.format(record, &mut note));
                self.lines.push_note(&note, gap);
            }
        }
    }

    /// Two streams that share a format: the other one is next.
    pub(super) fn exchange_format(&mut self, other: &mut Self) {
        std::mem::swap(&mut self.form, &mut other.form);
        std::mem::swap(&mut self.key, &mut other.key);
        std::mem::swap(&mut self.shared, &mut other.shared);
    }

    pub(super) fn set_newest(&mut self, time: Timestamp) {
        self.newest = time;
    }

    /// Lets others have the texts, and gives back the memory of a huge record.
    pub(super) fn end_batch(&mut self, batch: &Batch<'_>) {
        if let (Some(shared), Key::Of(key)) = (self.shared.take(), &self.key) {
            batch.contents.texts.put_back(key, shared);
        }
        if let Form::Other { scratch, .. } = &mut self.form {
            scratch.clear();
            scratch.shrink_to(SCRATCH_BYTES_MAX);
        }
    }

    fn open_frame(&self) -> Option<&Packer> {
        match &self.form {
            Form::Frames(packer) => Some(packer),
            _ => None,
        }
    }

    /// How many records have not left entirely.
    pub(super) fn held(&self) -> u64 {
        self.lines.held() + self.open_frame().map_or(0, |packer| packer.load().records())
    }

    /// How many bytes have not left.
    pub(super) fn waiting(&self) -> usize {
        self.lines.waiting() + self.open_frame().map_or(0, Packer::waiting)
    }

    /// How many of them there are for the sake of what was pushed last.
    pub(super) fn last_len(&self) -> usize {
        self.open_frame().map_or_else(|| self.lines.last_len(), Packer::last_len)
    }

    /// From now on records go to `out`, another file than before, and so does what is held.
    pub(super) fn replace(&mut self, out: W, is_after_torn: bool) {
        let head = self.head();
        self.lines.replace(out, is_after_torn, &head);
    }

    /// What was written is gone, what is held is not.
    pub(super) fn restart(&mut self) {
        let head = self.head();
        self.lines.restart(&head);
    }

    /// What must stand before that which is held where nothing of the file stands before it.
    fn head(&mut self) -> Vec<u8> {
        self.seal();
        match &mut self.form {
            Form::Frames(packer) if self.lines.is_empty() => packer.forget(),
            Form::Frames(packer) => return packer.restated(),
            _ => {}
        }
        Vec::new()
    }

    /// Ends the open frame.
    fn seal(&mut self) {
        let Stream { form, lines, .. } = self;
        if let Form::Frames(packer) = form {
            packer.seal(|frame, load| lines.push_frame(frame, load));
        }
    }

    /// Writes what is held. How many records were lost by that.
    pub(super) fn write(&mut self) -> u64 {
        self.seal();
        let result = self.lines.write();
        if let Form::Frames(packer) = &mut self.form {
            match result {
                Ok(()) if self.lines.is_empty() => packer.settle(),
                Ok(()) => {}
                Err(_) => packer.doubt(),
            }
        }
        match result {
            Ok(()) => 0,
            Err(failed) => {
                let lost = failed.lost;
                self.fail("write to", failed);
                lost
            }
        }
    }

    /// Something failed, and is told at the end of the call. `doing` completes "cannot …". Of several failures the last
    /// one that cost records has the word.
    pub(super) fn fail(&mut self, doing: &'static str, failed: Failed) {
        self.failed = Some(match self.failed.take() {
            Some((earlier, Failed { lost, source })) if failed.lost == 0 && lost > 0 => {
                (earlier, Failed { lost, source })
            }
            earlier => {
                let lost = failed.lost + earlier.map_or(0, |(_, earlier)| earlier.lost);
                (doing, Failed { lost, ..failed })
            }
        });
    }

    /// Tells, once, what failed since the last time.
    pub(super) fn tell(&mut self) -> Result<(), HandlerError> {
        match self.failed.take() {
            None => Ok(()),
            Some((doing, Failed { lost, source })) => {
                Err(HandlerError::lost(lost, Error::io(doing, &self.place, source)))
            }
        }
    }
}

impl<W: io::Write> fmt::Debug for Stream<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("place", &self.place)
            .field("max_level", &self.max_level)
            .field("held", &self.lines.held())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handler::testing::{HEAD, Run, lost};
    use crate::handler::{File, Handler};
    use crate::level::Level;
    use crate::output::WRITE_BYTES;
    use crate::record::Record;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    /// Remembers how long each write was, and refuses all from the second on if told to.
    #[derive(Default)]
    struct Writes {
        lengths: Vec<usize>,
        refuses: bool,
    }

    impl io::Write for Writes {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.refuses && !self.lengths.is_empty() {
                return Err(io::Error::from_raw_os_error(libc::EIO));
            }
            self.lengths.push(bytes.len());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Begins each line before it panics at the message `panic`.
    struct Panics;

    impl Format for Panics {
        fn format(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
            out.extend_from_slice(b"message: ");
            let message = record.message().to_string();
            assert_ne!(message, "panic");
            out.extend_from_slice(message.as_bytes());
            out.push(b'\n');
        }
    }

    fn messages(number: usize) -> Vec<String> {
        (0..number).map(|number| format!("{number:0100}")).collect()
    }

    #[test]
    fn under_load_each_write_carries_64_kib() {
        let mut stream = Stream::new(Lines::new(Writes::default()), "writes".into());
        for _ in 0..20 {
            stream.take(&Run::of(Level::Info, messages(500)).all());
        }
        let bytes = 10_000 * (HEAD.len() + 101);
        let lengths = &stream.lines.out().lengths;
        assert!(
            lengths.iter().all(|&length| (WRITE_BYTES..WRITE_BYTES + 1000).contains(&length)),
            "{lengths:?}"
        );
        assert_eq!(lengths.len(), bytes / (WRITE_BYTES + 102));
        assert!(stream.lines.held() > 0);
    }

    #[test]
    fn a_loss_is_told_even_if_the_format_then_panics() {
        let mut stream =
            Stream::new(Lines::new(Writes { refuses: true, ..Writes::default() }), "writes".into());
        stream.set_format(Panics);
        let mut texts = messages(2000);
        texts.push("panic".to_owned());
        let run = Run::of(Level::Info, texts);
        catch_unwind(AssertUnwindSafe(|| stream.take(&run.all()))).unwrap_err();
        let first = WRITE_BYTES.div_ceil("message: ".len() + 101) as u64;
        let held = stream.lines.held();
        assert_eq!(lost(stream.tell()), 2000 - first - held);
        assert_eq!(lost(stream.tell()), 0, "told once");
        stream.write();
        assert_eq!(lost(stream.tell()), held);
    }

    #[test]
    fn a_format_that_panics_leaves_no_half_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("app.log");
        let mut file = File::append(&path).unwrap().format(Panics);
        let run = Run::of(Level::Info, ["first", "panic"]);
        catch_unwind(AssertUnwindSafe(|| file.handle(&run.all()))).unwrap_err();
        assert_eq!(file.held(), 1);
        file.handle(&Run::of(Level::Info, ["last"]).all()).unwrap();
        assert_eq!(file.held(), 2);
        file.flush().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "message: first\nmessage: last\n");
    }

    /// Treats its buffer as its own at some messages: clears it, cuts it, replaces it.
    struct Vandal;

    impl Format for Vandal {
        fn format(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
            assert!(out.is_empty(), "the bytes of another record");
            let message = record.message().to_string();
            match message.as_str() {
                "clear" => out.clear(),
                "cut" => out.truncate(1),
                "replace" => *out = b"replaced\n".to_vec(),
                _ => out.extend_from_slice(format!("{message}\n").as_bytes()),
            }
        }
    }

    #[test]
    fn a_format_that_clears_its_buffer_harms_no_line_but_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("app.log");
        let mut file = File::append(&path).unwrap().format(Vandal);
        file.handle(&Run::of(Level::Info, ["first", "clear", "second", "cut"]).all()).unwrap();
        assert_eq!(file.held(), 2);
        file.handle(&Run::of(Level::Info, ["replace", "third"]).all()).unwrap();
        assert_eq!(file.held(), 4);
        file.flush().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "first\nsecond\nreplaced\nthird\n");
    }

    #[test]
    fn the_memory_of_a_huge_record_is_given_back() {
        let mut stream = Stream::new(Lines::new(Writes::default()), "writes".into());
        stream.set_format(Vandal);
        stream.take(&Run::of(Level::Info, ["x".repeat(16 * SCRATCH_BYTES_MAX)]).all());
        let Form::Other { scratch, .. } = &stream.form else { panic!("taken for ours") };
        assert!(scratch.capacity() <= SCRATCH_BYTES_MAX);
        stream.set_format(Text::new().threads(true));
        assert!(matches!(stream.form, Form::Text(_)));
        stream.set_format(Json::new());
        assert!(matches!(stream.form, Form::Ours(_)));
    }
}
