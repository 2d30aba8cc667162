//! Makes lines of files that were written with `format::Binary`.
//!
//! ```text
//! cargo run --example decode app.trr
//! cargo run --example decode app.trr.1 app.trr --format json
//! cargo run --example decode app.trr --filter warn,my_server::db=debug --since 2026-11-22T13:37 --until 2026-11-22T14
//! zcat app.trr.*.gz | cargo run --example decode -
//! ```
//! The filter is as `RUST_LOG`. Times are in UTC and may be cut off anywhere. What could not be read is told on stderr, and
//! by the exit status.

use std::error::Error;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::process::ExitCode;

use treering::binary::{Reader, Summary};
use treering::filter;
use treering::format::{Format, Json, Logfmt, Text};
use treering::record::Record;

/// What is shown, and how.
pub(crate) struct View {
    /// What lines look like.
    pub(crate) format: Box<dyn Format>,
    /// Which records are wanted.
    pub(crate) filter: Box<dyn Fn(&Record<'_>) -> bool>,
    /// The beginning of RFC 3339: records from then on.
    pub(crate) since: String,
    /// Records before then, if it is not empty.
    pub(crate) until: String,
}

impl Default for View {
    fn default() -> Self {
        View {
            format: Box::new(Text::new()),
            filter: Box::new(|_| true),
            since: String::new(),
            until: String::new(),
        }
    }
}

impl View {
    fn shows(&self, record: &Record<'_>) -> bool {
        // Times of one length compare as text.
        let time = record.time().to_string();
        let is_in = *self.since <= *time && (self.until.is_empty() || *time < *self.until);
        is_in && (self.filter)(record)
    }
}

/// Writes the lines of a file.
pub(crate) fn decode(source: impl Read, view: &mut View, out: &mut impl Write) -> io::Result<Summary> {
    let mut reader = Reader::new(source);
    let mut line = Vec::new();
    while let Some(record) = reader.read()? {
        if view.shows(&record) {
            line.clear();
            view.format.format(&record, &mut line);
            out.write_all(&line)?;
        }
    }
    Ok(reader.summary())
}

/// What the arguments say: the view, and the files.
fn parse(arguments: impl Iterator<Item = String>) -> Result<(View, Vec<String>), Box<dyn Error>> {
    let (mut view, mut files) = (View::default(), Vec::new());
    let mut arguments = arguments.peekable();
    while let Some(argument) = arguments.next() {
        let Some(option) = argument.strip_prefix("--") else {
            files.push(argument);
            continue;
        };
        let value = arguments.next().ok_or_else(|| format!("--{option} needs a value"))?;
        match option {
            "format" => {
                view.format = match &*value {
                    "text" => Box::new(Text::new()),
                    "threads" => Box::new(Text::new().threads(true)),
                    "json" => Box::new(Json::new()),
                    "flat" => Box::new(Json::new().flat(true)),
                    "logfmt" => Box::new(Logfmt::new()),
                    _ => return Err("--format is text, threads, json, flat or logfmt".into()),
                }
            }
            "filter" => view.filter = Box::new(filter::directives(&value)?),
            "since" => view.since = value,
            "until" => view.until = value,
            _ => return Err(format!("--{option}: there are --format, --filter, --since and --until").into()),
        }
    }
    if files.is_empty() { Err("which file? - is the standard input".into()) } else { Ok((view, files)) }
}

/// Whether all of all files was read.
fn run() -> Result<bool, Box<dyn Error>> {
    let (mut view, files) = parse(std::env::args().skip(1))?;
    let mut out = BufWriter::new(io::stdout().lock());
    let mut is_whole = true;
    for name in files {
        let summary = match &*name {
            "-" => decode(io::stdin().lock(), &mut view, &mut out),
            _ => File::open(&name).and_then(|file| decode(file, &mut view, &mut out)),
        };
        let summary = summary.map_err(|error| format!("{name}: {error}"))?;
        is_whole &= summary.is_whole();
        if !summary.is_whole() {
            writeln!(io::stderr(), "{name}: {summary}")?;
        }
    }
    out.flush()?;
    Ok(is_whole)
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            let _ = writeln!(io::stderr(), "decode: {error}");
            ExitCode::from(2)
        }
    }
}
