//! Finds the frames in whatever bytes there are.
//!
//! A frame is believed by its checksum. Where none begins, bytes are skipped up to the next one that does; so what was torn
//! costs its own records and no others, also when somebody else has written behind it. That looks at every byte once,
//! unless somebody has made a file to be slow: heads that promise long frames, one behind the other, each make it read as
//! far as they promise.

use std::io::{self, Read};
use std::ops::Range;

use super::frame;

/// So much is read at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Frames<R> {
    source: R,
    bytes: Vec<u8>,
    /// Where the first byte lies that was not looked at.
    start: usize,
    is_at_end: bool,
    /// The bytes before `start` were skipped.
    is_skipping: bool,
    pub(super) skipped: Skipped,
}

/// What was skipped.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Skipped {
    pub(super) bytes: u64,
    pub(super) places: u64,
    /// The last place is at the end, and is the beginning of a frame.
    pub(super) is_torn: bool,
}

impl<R: Read> Frames<R> {
    pub(super) fn new(source: R) -> Self {
        Frames {
            source,
            bytes: Vec::new(),
            start: 0,
            is_at_end: false,
            is_skipping: false,
            skipped: Skipped::default(),
        }
    }

    /// The bytes of a frame that was found last.
    pub(super) fn frame(&self, place: Range<usize>) -> &[u8] {
        self.bytes.get(place).unwrap_or_default()
    }

    /// Where the next frame lies, until the next call.
    pub(super) fn next(&mut self) -> io::Result<Option<Range<usize>>> {
        loop {
            self.fill(frame::HEAD_BYTES)?;
            let rest = &self.bytes[self.start..];
            if rest.is_empty() {
                return Ok(None);
            }
            let length = frame::length(rest);
            self.fill(length.unwrap_or(0))?;
            let rest = &self.bytes[self.start..];
            let is_short = length.map_or(frame::is_torn_head(rest), |length| length > rest.len());
            match length.and_then(|length| rest.get(..length)) {
                Some(frame) if frame::is_sound(frame) => {
                    let place = self.start..self.start + frame.len();
                    self.start = place.end;
                    (self.is_skipping, self.skipped.is_torn) = (false, false);
                    return Ok(Some(place));
                }
                _ => self.skip(is_short),
            }
        }
    }

    /// Skips to where the next frame may begin.
    fn skip(&mut self, is_short: bool) {
        if !self.is_skipping {
            self.skipped.places += 1;
            (self.is_skipping, self.skipped.is_torn) = (true, is_short);
        }
        let rest = &self.bytes[self.start..];
        let next = rest.iter().skip(1).position(|byte| *byte == frame::FIRST);
        let skipped = next.map_or(rest.len(), |next| next + 1);
        self.skipped.bytes += skipped as u64;
        self.start += skipped;
    }

    /// Reads until so many bytes are there that were not looked at, or no more come.
    fn fill(&mut self, wanted: usize) -> io::Result<()> {
        if self.bytes.len() - self.start >= wanted {
            return Ok(());
        }
        self.bytes.drain(..self.start);
        self.start = 0;
        while self.bytes.len() < wanted && !self.is_at_end {
            let end = self.bytes.len();
            self.bytes.resize(end + CHUNK_BYTES, 0);
            let read = self.source.read(&mut self.bytes[end..]);
            self.bytes.truncate(end + read.as_ref().map_or(0, |read| (*read).min(CHUNK_BYTES)));
            match read {
                Ok(read) => self.is_at_end = read == 0,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
