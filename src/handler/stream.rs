//! What handlers that write lines have in common: a level, a format, lines on their way, and what went wrong.

use std::any::Any;
use std::fmt;
use std::io;
use std::path::PathBuf;

use super::{Batch, HandlerError};
use crate::error::Error;
use crate::format::{Format, Text};
use crate::level::LevelFilter;
use crate::output::{Failed, Lines};

/// How records become bytes.
enum Form {
    /// Ours, which only appends: straight to the lines. The copy would cost 8 ns of some 38.
    Text(Text),
    /// The user's, which may clear or replace the buffer that it gets. So there is one record in it at a time, and
    /// never the lines of others, which the books call held.
    Other { format: Box<dyn Format>, scratch: Vec<u8> },
}

/// So much of the buffer that a record is formatted into is kept for the next one.
const SCRATCH_BYTES_MAX: usize = 64 * 1024;

/// Records that become lines in `W`.
pub(super) struct Stream<W> {
    pub(super) max_level: LevelFilter,
    form: Form,
    pub(super) lines: Lines<W>,
    /// What errors call it.
    place: PathBuf,
    /// What failed and was not told yet. A field, as a format that panics ends a call before it can tell.
    failed: Option<Failed>,
}

impl<W: io::Write> Stream<W> {
    pub(super) fn new(lines: Lines<W>, place: PathBuf) -> Self {
        Stream { max_level: LevelFilter::ALL, form: Form::Text(Text::new()), lines, place, failed: None }
    }

    pub(super) fn set_format(&mut self, format: impl Format + 'static) {
        let mut format = Some(format);
        let ours = (&mut format as &mut dyn Any).downcast_mut::<Option<Text>>();
        if let Some(text) = ours.and_then(Option::take) {
            self.form = Form::Text(text);
        } else if let Some(format) = format {
            self.form = Form::Other { format: Box::new(format), scratch: Vec::new() };
        }
    }

    /// Tells the format whether colours are wanted.
    pub(super) fn set_colors(&mut self, yes: bool) {
        match &mut self.form {
            Form::Text(text) => text.colors_wanted(yes),
            Form::Other { format, .. } => format.colors_wanted(yes),
        }
    }

    /// Formats the batch; writes as often as a write is worth its system call.
    pub(super) fn take(&mut self, batch: &Batch<'_>) {
        for record in batch {
            match &mut self.form {
                Form::Text(text) => self.lines.append(|bytes| text.format(&record, bytes)),
                Form::Other { format, scratch } => {
                    scratch.clear(); // also of what a format that panicked left
                    format.format(&record, scratch);
                    self.lines.push(scratch);
                }
            }
            if self.lines.is_full() {
                self.write();
            }
        }
        if let Form::Other { scratch, .. } = &mut self.form {
            scratch.clear();
            scratch.shrink_to(SCRATCH_BYTES_MAX);
        }
    }

    /// Writes what is held.
    pub(super) fn write(&mut self) {
        if let Err(failed) = self.lines.write() {
            let earlier = self.failed.take().map_or(0, |earlier| earlier.lost);
            self.failed = Some(Failed { lost: earlier + failed.lost, source: failed.source });
        }
    }

    /// Tells, once, what failed since the last time.
    pub(super) fn tell(&mut self) -> Result<(), HandlerError> {
        match self.failed.take() {
            None => Ok(()),
            Some(Failed { lost, source }) => {
                Err(HandlerError::lost(lost, Error::io("write to", &self.place, source)))
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
    }
}
