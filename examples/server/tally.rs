//! Reads the log file back, line by line: what the engine says it wrote is not taken for granted.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, ErrorKind, Seek as _, SeekFrom};
use std::path::Path;

/// What was found.
#[derive(Default, Debug)]
pub(crate) struct Tally {
    pub(crate) lines: u64,
    pub(crate) bytes: u64,
    /// Lines of requests.
    pub(crate) requests: u64,
    /// Different ids in them.
    pub(crate) ids: u64,
    /// Lines in the spans of a request for stock, or by the library that it asks.
    pub(crate) foreign: u64,
}

/// The length of a file; 0 if there is none yet.
pub(crate) fn length(path: &Path) -> io::Result<u64> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

impl Tally {
    /// Counts what was appended behind the first `before` bytes.
    pub(crate) fn read(path: &Path, before: u64) -> io::Result<Self> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(before))?;
        let (mut tally, mut ids) = (Tally::default(), HashSet::new());
        for line in BufReader::with_capacity(1 << 20, file).lines() {
            let line = line?;
            tally.lines += 1;
            tally.bytes += line.len() as u64 + 1;
            tally.foreign += u64::from(is_foreign(&line));
            if let Some(id) = request_id(&line) {
                tally.requests += 1;
                ids.insert(id);
            }
        }
        tally.ids = ids.len() as u64;
        Ok(tally)
    }
}

/// `… request{method=GET uri=/stock/7 version=HTTP/1.1}: …`, or `… warehouse: …`
fn is_foreign(line: &str) -> bool {
    line.contains(" request{method=GET uri=/stock/") || line.contains(" warehouse: ")
}

/// `… request id=17 method=GET …`
fn request_id(line: &str) -> Option<u64> {
    let (_, fields) = line.split_once(": request id=")?;
    fields.split(' ').next()?.parse().ok()
}
