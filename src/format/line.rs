//! What lines for people are made of: the parts that [`Text`](super::Text) and [`Pattern`](super::Pattern) share.

use std::fmt::{self, Write as _};

use super::escape::{Escaped, Quoted, Spelling, is_literal};
use crate::record::{FieldValue, MessageWriter, Record, Spans, Style, Thread};

/// Ends a line whose record was cut.
pub(super) const TRUNCATED: &[u8] = b" [truncated]";

/// The message: the program's literals as they are, arguments escaped.
#[inline]
pub(super) fn message(record: &Record<'_>, out: &mut Vec<u8>) {
    // Nothing that is written to here fails.
    let _ = record.write_message(&mut Message(out));
}

/// The value of a field, quoted if it is no word. What must be seen as a whole before it is written comes to `scratch`.
#[inline]
pub(super) fn value(field: &FieldValue<'_>, scratch: &mut String, out: &mut Vec<u8>) {
    if field.style() == Style::Debug {
        return inspected(field, scratch, out);
    }
    let mut quoted = Quoted::new(out, Spelling::People);
    let _ = field.write(&mut quoted);
    quoted.finish();
}

/// `?path` is `"/tmp/x"` already; a second pair of quotes would help nobody.
fn inspected(field: &FieldValue<'_>, scratch: &mut String, out: &mut Vec<u8>) {
    scratch.clear();
    let _ = field.write(scratch);
    if is_literal(scratch) {
        return Escaped(out).push(scratch);
    }
    text(scratch, out);
}

/// The spans around the record, as a path: `request{path=/}:query:`, and `?:` before them if some are missing.
pub(super) fn spans(spans: Spans<'_>, scratch: &mut String, out: &mut Vec<u8>) {
    if !spans.is_whole() {
        out.extend_from_slice(b"?:");
    }
    for span in spans {
        Escaped(out).push(span.name());
        let mut before = b'{';
        for field in span.fields() {
            out.push(before);
            Escaped(out).push(field.name());
            out.push(b'=');
            value(&field, scratch, out);
            before = b' ';
        }
        if before == b' ' {
            out.push(b'}');
        }
        out.push(b':');
    }
}

/// Text as a value.
pub(super) fn text(text: &str, out: &mut Vec<u8>) {
    let mut quoted = Quoted::new(out, Spelling::People);
    let _ = quoted.write_str(text); // which does not fail
    quoted.finish();
}

/// The thread's name, or its number if it has none.
pub(super) fn thread(thread: &Thread, out: &mut Vec<u8>) {
    match thread.name() {
        Some(name) => Escaped(out).push(name),
        None => number(thread.id(), out),
    }
}

#[inline]
pub(super) fn number(number: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

struct Message<'a>(&'a mut Vec<u8>);

impl MessageWriter for Message<'_> {
    #[inline]
    fn literal(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }

    #[inline]
    fn argument(&mut self, text: &str) -> fmt::Result {
        Escaped(self.0).push(text);
        Ok(())
    }

    #[inline]
    fn number(&mut self, digits: &str) -> fmt::Result {
        self.0.extend_from_slice(digits.as_bytes());
        Ok(())
    }
}
