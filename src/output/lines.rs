//! Keeps lines whole where writes are not.
//!
//! `write(2)` may take a part of what it is given and then refuse the rest: the disk is full, the quota is used
//! up, the device failed. The file then ends in the middle of a line. Whoever goes on with the *next* line leaves
//! a line that is two halves of different records; so [`Lines`] goes on where it was stopped:
//!
//! ```text
//!   bytes   ┌─ first held ─┬───────────┬────────── … ─┐
//!           │ torn line    │ line      │ line         │
//!           └───────▲──────┴───────────┴──────────────┘
//!                  sent    held[0].end held[1].end
//! ```
//! Between calls the bytes begin with the first record that has not left entirely. `sent > 0` means that it was
//! begun: its rest is written before anything else, however often that fails. Records that were not begun are
//! dropped, whole, when a write fails, and counted; so what is in the file are whole lines in order, but for the
//! last one while the disk is full. What only says "not now" (`EAGAIN`) is no failure, and drops nothing until
//! [`KEEP_BYTES_MAX`] are waiting.
//!
//! Between records may lie *notes*: lines of the handler's own that no book counts, a file's header or what tells of
//! a *gap*, the records that were dropped since the last note that got through. A note that is dropped itself gives
//! its gap back, so the one after it tells of both.
//!
//! Nothing here knows records: whoever formats hands over the finished bytes of one. Only our own format appends to
//! the buffer itself.

use std::io::{self, Write};
use std::ops::{AddAssign, SubAssign};

use crate::sync::yield_now;

/// So many bytes are worth a `write(2)`: a system call then costs a few nanoseconds a line.
pub(crate) const WRITE_BYTES: usize = 64 * 1024;

/// So many bytes are kept while the other side says "not now"; beyond it lines are dropped. It bounds the memory
/// of an output to this, [`WRITE_BYTES`] and one record.
const KEEP_BYTES_MAX: usize = 1024 * 1024;

/// So often in a row may a write be interrupted or put off before it counts as failed. Each time the rest of the
/// time slice is given away; the listener comes back in a few milliseconds anyway.
const RETRIES_MAX: u32 = 16;

/// Formatted records on their way to `out`.
#[derive(Debug)]
pub(crate) struct Lines<W> {
    out: W,
    bytes: Vec<u8>,
    /// The lines that lie in `bytes`, in order.
    held: Vec<Line>,
    /// How many of them are records.
    records: u64,
    /// How many of the bytes have left. Between calls less than `held[0].end`, or 0.
    sent: usize,
    /// How many records were dropped that no note tells of.
    gap: u64,
    /// Whether `out` ends in the middle of a line that is not ours: a newline goes before the first of ours.
    is_after_torn: bool,
    /// How many bytes were waiting when the last write was put off: no further try before [`WRITE_BYTES`] more.
    put_off: usize,
}

/// One line that is held.
#[derive(Clone, Copy, Debug)]
struct Line {
    /// Where it ends in the bytes.
    end: usize,
    load: Load,
}

/// What a line carries: a record; in a frame, several; in a note, none but how many were dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Load {
    records: u64,
    /// Of how many dropped records it tells.
    gap: u64,
}

impl Load {
    pub(crate) const NONE: Load = Load { records: 0, gap: 0 };
    pub(crate) const RECORD: Load = Load { records: 1, gap: 0 };

    /// Of a note which tells of so many dropped records; of none, if it is a header.
    pub(crate) const fn note(gap: u64) -> Self {
        Load { records: 0, gap }
    }

    pub(crate) fn records(self) -> u64 {
        self.records
    }

    /// Of how many dropped records it tells, if it is a note.
    pub(crate) fn as_note(self) -> Option<u64> {
        (self.records == 0).then_some(self.gap)
    }
}

impl AddAssign for Load {
    fn add_assign(&mut self, more: Load) {
        self.records += more.records;
        self.gap += more.gap;
    }
}

impl SubAssign for Load {
    fn sub_assign(&mut self, less: Load) {
        self.records -= less.records;
        self.gap -= less.gap;
    }
}

/// The last line, taken out to be put back behind something else.
#[derive(Debug)]
pub(crate) struct Last {
    bytes: Vec<u8>,
    load: Load,
}

/// Lines could not be written.
#[derive(Debug)]
pub(crate) struct Failed {
    /// How many records were dropped, none of which was begun.
    pub(crate) lost: u64,
    pub(crate) source: io::Error,
}

impl<W: Write> Lines<W> {
    pub(crate) fn new(out: W) -> Self {
        Lines {
            out,
            bytes: Vec::new(),
            held: Vec::new(),
            records: 0,
            sent: 0,
            gap: 0,
            is_after_torn: false,
            put_off: 0,
        }
    }

    /// What is in `out` ends in the middle of a line; nothing shall be appended to that.
    pub(crate) fn after_torn_line(out: W) -> Self {
        Lines { is_after_torn: true, ..Lines::new(out) }
    }

    pub(crate) fn out(&self) -> &W {
        &self.out
    }

    pub(crate) fn out_mut(&mut self) -> &mut W {
        &mut self.out
    }

    /// Takes one record. One without bytes is delivered by that.
    #[inline]
    pub(crate) fn push(&mut self, record: &[u8]) {
        if !record.is_empty() {
            self.append(|bytes| bytes.extend_from_slice(record));
        }
    }

    /// Takes one record from code of ours that appends to what is held, without a copy; it must append something,
    /// and touch nothing else. What it left unfinished (it panicked) is taken back.
    #[inline]
    pub(crate) fn append(&mut self, format: impl FnOnce(&mut Vec<u8>)) {
        self.append_line(Load::RECORD, format);
    }

    /// Takes a frame, which leaves or is dropped as a whole, as a line does.
    pub(crate) fn push_frame(&mut self, frame: &[u8], load: Load) {
        self.append_line(load, |bytes| bytes.extend_from_slice(frame));
    }

    /// Takes a note which tells of `gap` dropped records. One without bytes tells nothing, and its gap is forgotten.
    pub(crate) fn push_note(&mut self, note: &[u8], gap: u64) {
        if !note.is_empty() {
            self.append_line(Load::note(gap), |bytes| bytes.extend_from_slice(note));
        }
    }

    #[inline]
    fn append_line(&mut self, load: Load, format: impl FnOnce(&mut Vec<u8>)) {
        self.take_back();
        if self.is_after_torn && self.held.is_empty() {
            self.bytes.push(b'\n');
            self.held.push(Line { end: self.bytes.len(), load: Load::NONE });
        }
        let start = self.bytes.len();
        format(&mut self.bytes);
        debug_assert!(self.bytes.len() > start, "a line without bytes");
        self.held.push(Line { end: self.bytes.len(), load });
        self.records += load.records;
    }

    /// Cuts off what has no end.
    #[inline]
    fn take_back(&mut self) {
        self.bytes.truncate(self.held.last().map_or(0, |line| line.end));
    }

    /// Takes the last line out, if none of it has left.
    pub(crate) fn pop(&mut self) -> Option<Last> {
        self.take_back();
        let start = self.held.len().checked_sub(2).map_or(0, |before| self.held[before].end);
        if start < self.sent || (start == 0 && self.sent > 0) {
            return None;
        }
        let line = self.held.pop()?;
        self.records -= line.load.records;
        Some(Last { bytes: self.bytes.split_off(start), load: line.load })
    }

    /// Puts back what [`pop`](Self::pop) took out, behind all that is held now.
    pub(crate) fn put_back(&mut self, last: Last) {
        self.append_line(last.load, |bytes| bytes.extend_from_slice(&last.bytes));
    }

    /// How many records have not left entirely.
    pub(crate) fn held(&self) -> u64 {
        self.records
    }

    /// Whether no line waits, record or note.
    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Whether a line has left in part.
    pub(crate) fn is_begun(&self) -> bool {
        self.sent > 0
    }

    /// How many bytes have not left.
    pub(crate) fn waiting(&self) -> usize {
        self.bytes.len() - self.sent
    }

    /// How long the last line is.
    pub(crate) fn last_len(&self) -> usize {
        let start = self.held.len().checked_sub(2).map_or(0, |before| self.held[before].end);
        self.bytes.len() - start
    }

    /// Whether records were dropped that no note tells of yet.
    #[inline]
    pub(crate) fn has_gap(&self) -> bool {
        self.gap > 0
    }

    /// How many records were dropped, for the note that will tell of them.
    pub(crate) fn take_gap(&mut self) -> u64 {
        std::mem::take(&mut self.gap)
    }

    /// Records were dropped before they came here, and the next note shall tell of them, too.
    pub(crate) fn add_gap(&mut self, records: u64) {
        self.gap += records;
    }

    /// From now on lines go to `out`, another file than before: what is held is written there, behind `head`, and a line
    /// that was begun in the old one once more, whole.
    pub(crate) fn replace(&mut self, out: W, is_after_torn: bool, head: &[u8]) -> W {
        self.begin_again(is_after_torn, head);
        std::mem::replace(&mut self.out, out)
    }

    /// From now on lines go to `out`, another descriptor of the same file: a line that was begun is continued.
    pub(crate) fn exchange(&mut self, out: W) -> W {
        std::mem::replace(&mut self.out, out)
    }

    /// What has left of a line that was begun is gone: it is written once more, whole, behind `head`, if that is not empty.
    pub(crate) fn restart(&mut self, head: &[u8]) {
        self.begin_again(false, head);
    }

    fn begin_again(&mut self, is_after_torn: bool, head: &[u8]) {
        self.sent = 0;
        let mut held: Vec<_> = std::iter::from_fn(|| self.pop()).collect();
        self.is_after_torn = is_after_torn;
        self.push_note(head, 0);
        while let Some(line) = held.pop() {
            self.put_back(line);
        }
    }

    /// Whether a write is worth its system call.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.waiting() >= self.put_off + WRITE_BYTES
    }

    /// Writes all records, in one `write(2)` unless the system takes less. What the system puts off stays held.
    ///
    /// # Errors
    /// When the system refuses. A record that was begun stays held, and is continued by the next call; how many
    /// others are lost stands in the error.
    pub(crate) fn write(&mut self) -> Result<(), Failed> {
        self.take_back();
        let result = self.send();
        self.settle();
        self.put_off = 0;
        result.or_else(|source| self.refused(source))
    }

    fn send(&mut self) -> io::Result<()> {
        let mut retries = 0;
        while self.sent < self.bytes.len() {
            match self.out.write(&self.bytes[self.sent..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    self.sent += written;
                    self.is_after_torn = false;
                    retries = 0;
                }
                Err(error) if is_momentary(&error) && retries < RETRIES_MAX => {
                    retries += 1;
                    yield_now();
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Forgets the lines that have left.
    fn settle(&mut self) {
        let settled = self.held.partition_point(|line| line.end <= self.sent);
        let gone = if settled == 0 { 0 } else { self.held[settled - 1].end };
        self.bytes.drain(..gone);
        self.records -= count_records(self.held.drain(..settled));
        self.held.iter_mut().for_each(|line| line.end -= gone);
        self.sent -= gone;
        if self.bytes.is_empty() {
            self.bytes.shrink_to(KEEP_BYTES_MAX);
        }
    }

    #[cold]
    fn refused(&mut self, source: io::Error) -> Result<(), Failed> {
        let waiting = self.waiting();
        if is_momentary(&source) && waiting <= KEEP_BYTES_MAX {
            self.put_off = waiting;
            return Ok(());
        }
        let begun = usize::from(self.sent > 0);
        let untold: u64 = self.held[begun..].iter().map(|line| line.load.gap).sum();
        let lost = count_records(self.held.drain(begun..));
        self.records -= lost;
        self.gap += lost + untold;
        self.take_back();
        Err(Failed { lost, source })
    }
}

fn count_records(lines: impl Iterator<Item = Line>) -> u64 {
    lines.map(|line| line.load.records).sum()
}

/// Whether the system says "not now" rather than "no".
fn is_momentary(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What one call of `write` does.
    #[derive(Clone, Copy, Debug)]
    enum Step {
        /// Takes at most so many bytes.
        Takes(usize),
        Refuses(i32),
    }

    /// A file that follows a script, and takes everything when that is over.
    #[derive(Debug, Default)]
    struct Scripted {
        steps: std::collections::VecDeque<Step>,
        written: Vec<u8>,
        calls: usize,
    }

    impl Scripted {
        fn new(steps: impl IntoIterator<Item = Step>) -> Self {
            Scripted { steps: steps.into_iter().collect(), ..Scripted::default() }
        }
    }

    impl Write for Scripted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.calls += 1;
            let taken = match self.steps.pop_front() {
                None => bytes.len(),
                Some(Step::Takes(most)) => bytes.len().min(most),
                Some(Step::Refuses(code)) => return Err(io::Error::from_raw_os_error(code)),
            };
            self.written.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn line(number: u64) -> String {
        format!("<{number}:{}>\n", "x".repeat(number as usize % 5))
    }

    /// Logs `records` lines, writing after every `every`, and keeps the books. Checks what must hold after each
    /// write; gives what is in the file and how many records were lost.
    fn run(out: Scripted, records: u64, every: u64) -> (Lines<Scripted>, u64) {
        let mut lines = Lines::new(out);
        let mut lost = 0;
        for number in 0..records {
            lines.push(line(number).as_bytes());
            if (number + 1) % every == 0 || number + 1 == records {
                lost += lines.write().map_or_else(|failed| failed.lost, |()| 0);
                check(&lines, number + 1, lost);
            }
        }
        (lines, lost)
    }

    /// Every line in the file is one that was logged, in order; the last may lack its end, and then is held.
    fn check(lines: &Lines<Scripted>, offered: u64, lost: u64) {
        let text = std::str::from_utf8(&lines.out.written).unwrap();
        let mut next = 0;
        let mut whole = 0;
        for written in text.split_inclusive('\n') {
            if written.ends_with('\n') {
                let number = (next..offered).find(|&number| line(number) == written);
                next = number
                    .unwrap_or_else(|| panic!("{written:?} is no line that was logged, in {text:?}"))
                    + 1;
                whole += 1;
            } else {
                assert_eq!(lines.sent, written.len(), "a torn line is remembered");
                assert!(lines.held() >= 1);
            }
        }
        assert_eq!(whole + lost + lines.held(), offered, "the books balance: {text:?}");
    }

    #[test]
    fn all_records_leave_in_one_write() {
        let (lines, lost) = run(Scripted::default(), 100, 100);
        assert_eq!((lost, lines.held(), lines.out.calls), (0, 0, 1));
        assert_eq!(lines.out.written, (0..100).map(line).collect::<String>().into_bytes());
    }

    #[test]
    fn lines_are_whole_whichever_write_falls_short_by_whatever_and_fails() {
        for every in [1, 3, 7] {
            for call in 0..8 {
                for taken in 0..40 {
                    for code in [libc::ENOSPC, libc::EIO, libc::EDQUOT, libc::EPIPE] {
                        for failures in [1, 3] {
                            let mut steps = vec![Step::Takes(usize::MAX); call];
                            if taken > 0 {
                                steps.push(Step::Takes(taken));
                            }
                            steps.extend(vec![Step::Refuses(code); failures]);
                            let (mut lines, mut lost) = run(Scripted::new(steps), 21, every);
                            // The script ends: so many more writes, and nothing is torn any more.
                            for _ in 0..failures {
                                lost += lines.write().map_or_else(|failed| failed.lost, |()| 0);
                            }
                            lines.write().unwrap();
                            check(&lines, 21, lost);
                            assert_eq!(lines.held(), 0);
                            assert!(lines.out.written.is_empty() || lines.out.written.ends_with(b"\n"));
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_torn_line_is_continued_however_often_that_fails() {
        let steps = [Step::Takes(2), Step::Refuses(28), Step::Refuses(28), Step::Takes(1), Step::Refuses(28)];
        let mut lines = Lines::new(Scripted::new(steps));
        lines.push(b"first\n");
        lines.push(b"second\n");
        assert_eq!(lines.write().unwrap_err().lost, 1);
        assert_eq!(lines.held(), 1);
        lines.push(b"third\n");
        assert_eq!(lines.write().unwrap_err().lost, 1);
        assert_eq!(lines.write().unwrap_err().lost, 0);
        assert_eq!(lines.held(), 1);
        lines.push(b"fourth\n");
        lines.write().unwrap();
        assert_eq!(lines.out.written, b"first\nfourth\n");
    }

    #[test]
    fn an_interrupted_write_is_tried_again_and_loses_nothing() {
        let steps = [Step::Refuses(libc::EINTR), Step::Takes(3), Step::Refuses(libc::EAGAIN)];
        let (lines, lost) = run(Scripted::new(steps), 10, 10);
        assert_eq!((lost, lines.held()), (0, 0));
    }

    #[test]
    fn what_is_put_off_is_kept_up_to_a_bound_and_tried_seldom() {
        let forever = vec![Step::Refuses(libc::EAGAIN); 1_000_000];
        let mut lines = Lines::new(Scripted::new(forever));
        let (mut offered, mut lost) = (0, 0);
        for _ in 0..4 * KEEP_BYTES_MAX / 100 {
            lines.push(&[[b'b'; 99].as_slice(), b"\n"].concat());
            offered += 1;
            if lines.is_full() {
                lost += lines.write().map_or_else(|failed| failed.lost, |()| 0);
                assert!(lines.out.written.is_empty());
            }
            assert!(lines.bytes.len() <= KEEP_BYTES_MAX + WRITE_BYTES + 100);
        }
        assert!(lost > 0);
        assert_eq!(lost + lines.held(), offered);
        let tries = 4 * KEEP_BYTES_MAX / WRITE_BYTES + 1;
        assert!(lines.out.calls <= tries * (RETRIES_MAX as usize + 1), "{} calls", lines.out.calls);
        lines.out.steps.clear();
        lines.write().unwrap();
        assert_eq!(lines.held(), 0);
        assert!(lines.out.written.split_inclusive(|&b| b == b'\n').all(|l| l.len() == 100 && l[0] == b'b'));
    }

    #[test]
    fn a_note_is_no_record_and_one_that_is_lost_gives_its_gap_to_the_next() {
        let refusals = [Step::Refuses(libc::ENOSPC), Step::Takes(1), Step::Refuses(libc::ENOSPC)];
        let mut lines = Lines::new(Scripted::new(refusals));
        lines.push(b"lost\n");
        assert_eq!(lines.write().unwrap_err().lost, 1);
        assert!(lines.has_gap());
        let gap = lines.take_gap();
        lines.push(b"begun\n");
        lines.push_note(b"1 lost\n", gap);
        lines.push(b"lost, too\n");
        assert_eq!((gap, lines.held()), (1, 2));
        assert_eq!(lines.write().unwrap_err().lost, 1);
        let gap = lines.take_gap();
        assert_eq!((gap, lines.held()), (2, 1));
        lines.push_note(b"2 lost\n", gap);
        lines.write().unwrap();
        assert_eq!(lines.out.written, b"begun\n2 lost\n");
        assert!(!lines.has_gap() && lines.is_empty());
    }

    #[test]
    fn the_last_line_can_be_put_behind_others_unless_it_was_begun() {
        let mut lines = Lines::new(Scripted::new([Step::Takes(2), Step::Refuses(libc::EIO)]));
        assert!(lines.pop().is_none());
        lines.push(b"first\n");
        lines.push(b"second\n");
        let last = lines.pop().unwrap();
        assert_eq!((lines.held(), lines.waiting()), (1, 6));
        lines.push_note(b"note\n", 0);
        lines.put_back(last);
        assert_eq!((lines.held(), lines.waiting(), lines.last_len()), (2, 18, 7));
        assert_eq!(lines.write().unwrap_err().lost, 1);
        assert!(lines.pop().is_none(), "it was begun");
        lines.write().unwrap();
        assert_eq!(lines.out.written, b"first\n");
    }

    #[test]
    fn a_line_that_was_begun_is_whole_in_the_file_that_follows() {
        for (is_after_torn, expected) in [(false, "begun\nnext\n"), (true, "\nbegun\nnext\n")] {
            let mut lines = Lines::new(Scripted::new([Step::Takes(2), Step::Refuses(libc::EIO)]));
            lines.push(b"begun\n");
            assert_eq!(lines.write().unwrap_err().lost, 0);
            let old = lines.replace(Scripted::default(), is_after_torn, b"");
            lines.push(b"next\n");
            lines.write().unwrap();
            assert_eq!((&old.written[..], &lines.out.written[..]), (&b"be"[..], expected.as_bytes()));
        }
    }

    #[test]
    fn what_was_left_unfinished_is_taken_back() {
        use std::panic::{AssertUnwindSafe, catch_unwind};
        let mut lines = Lines::new(Scripted::default());
        let unfinished = |lines: &mut Lines<Scripted>| {
            let append = AssertUnwindSafe(|| {
                lines.append(|bytes| {
                    bytes.extend_from_slice(b"half of a li");
                    std::panic::resume_unwind(Box::new(()));
                });
            });
            catch_unwind(append).unwrap_err();
        };
        lines.push(b"whole\n");
        unfinished(&mut lines);
        assert_eq!(lines.held(), 1);
        lines.write().unwrap();
        unfinished(&mut lines);
        lines.append(|bytes| bytes.extend_from_slice(b"next\n"));
        lines.write().unwrap();
        assert_eq!(lines.out.written, b"whole\nnext\n");
    }

    #[test]
    fn a_record_without_bytes_is_no_line() {
        let mut lines = Lines::after_torn_line(Scripted::default());
        lines.push(b"");
        assert_eq!(lines.held(), 0);
        lines.write().unwrap();
        assert_eq!(lines.out.calls, 0, "nothing to write, no write");
        lines.push(b"next\n");
        lines.push(b"");
        assert_eq!(lines.held(), 1);
        lines.write().unwrap();
        assert_eq!(lines.out.written, b"\nnext\n");
    }

    #[test]
    fn a_torn_line_of_others_is_ended_with_the_first_line_that_is_written() {
        let steps = [Step::Refuses(libc::ENOSPC), Step::Takes(1), Step::Refuses(libc::ENOSPC)];
        let mut lines = Lines::after_torn_line(Scripted::new(steps));
        lines.write().unwrap();
        assert_eq!(lines.out.calls, 0, "no line, no write");
        for (text, lost) in [("lost\n", 1), ("lost, too\n", 1), ("first\n", 0), ("second\n", 0)] {
            lines.push(text.as_bytes());
            assert_eq!(lines.write().map_or_else(|failed| failed.lost, |()| 0), lost);
        }
        assert_eq!(lines.out.written, b"\nfirst\nsecond\n");
    }

    #[test]
    fn a_file_that_takes_nothing_and_says_so_is_an_error_and_no_endless_loop() {
        let (lines, lost) = run(Scripted::new([Step::Takes(0)]), 5, 5);
        assert_eq!((lost, lines.held()), (5, 0));
    }

    fn step() -> impl Strategy<Value = Step> {
        let code = proptest::sample::select(vec![libc::ENOSPC, libc::EIO, libc::EINTR, libc::EAGAIN]);
        prop_oneof![(0_usize..30).prop_map(Step::Takes), code.prop_map(Step::Refuses)]
    }

    proptest! {
        #[test]
        fn whatever_the_system_does_lines_are_whole_and_the_books_balance(
            steps in proptest::collection::vec(step(), 0..200), records in 1_u64..200, every in 1_u64..20,
        ) {
            let (mut lines, lost) = run(Scripted::new(steps), records, every);
            lines.out.steps.clear();
            lines.write().unwrap();
            check(&lines, records, lost);
            prop_assert_eq!(lines.held(), 0);
        }
    }
}
