//! Makes text that came from outside harmless in a line.
//!
//! What a program writes in its literals is its own affair; what comes in through arguments, field names, targets
//! and thread names may come from an attacker who wants to forge a line, drive the reader's terminal or reverse
//! what they read. So characters that are not seen but do something are written out:
//!
//! | characters                                      | become, for people       | become, for parsers  |
//! |-------------------------------------------------|--------------------------|----------------------|
//! | newline, carriage return, tab                   | `\n`, `\r`, `\t`         | the same             |
//! | the rest of C0, DEL, C1                         | `\u{1b}`, `\u{7f}`, ...  | `\u001b`, `\u007f`   |
//! | U+2028, U+2029 (line and paragraph separator)   | `\u{2028}`, ...          | `\u2028`, ...        |
//! | format characters: general category Cf, that is | `\u{202e}`, `\u{200b}`, | `\u202e`, beyond     |
//! | bidi marks, zero widths, soft hyphen, tags, ... | ...                      | U+FFFF in surrogates |
//!
//! Cf is that of Unicode 16.0, and the whole block of tags. Emoji that are joined by U+200D come out in their parts.
//! Everything else is copied as it is, in free text ([`Escaped`]) the backslash too: a line is for reading, and
//! `C:\new` should look so. Between quotes ([`Quoted`], [`InQuotes`]) `"` and `\` are escaped as well, so that what was
//! written out can be told from what looks so. The spelling for parsers is JSON's, which those of logfmt share.
//!
//! All of it is one scan: text of printable ASCII, which nearly all is, is found out in vectors and copied whole; of
//! other text the runs between characters that do harm are.

use std::fmt;

/// Appends to a line, with what may do harm written out.
#[derive(Debug)]
pub(crate) struct Escaped<'a>(pub(crate) &'a mut Vec<u8>);

impl Escaped<'_> {
    /// Appends `text`.
    #[inline]
    pub(crate) fn push(&mut self, text: &str) {
        if is_plain(text.as_bytes()) {
            self.0.extend_from_slice(text.as_bytes());
        } else {
            escape(text, self.0, harm, Spelling::People);
        }
    }
}

impl fmt::Write for Escaped<'_> {
    #[inline]
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text);
        Ok(())
    }
}

/// Appends to what stands between quotes in JSON. The quotes are its user's.
#[derive(Debug)]
pub(crate) struct InQuotes<'a>(pub(crate) &'a mut Vec<u8>);

impl InQuotes<'_> {
    /// Appends `text`.
    #[inline]
    pub(crate) fn push(&mut self, text: &str) {
        if is_plain_in_quotes(text.as_bytes()) {
            self.0.extend_from_slice(text.as_bytes());
        } else {
            escape(text, self.0, harm_in_quotes, Spelling::Parsers);
        }
    }
}

impl fmt::Write for InQuotes<'_> {
    #[inline]
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text);
        Ok(())
    }
}

/// Appends a value: bare where it is a word, else in double quotes, with `"` and `\` escaped too.
///
/// Bare are printable ASCII without space, `"`, `=` and `\`, and letters and digits of all scripts. An empty value
/// is `""`.
#[derive(Debug)]
pub(crate) struct Quoted<'a> {
    out: &'a mut Vec<u8>,
    /// Where the opening quote stands, which is taken out again if the value turns out to be a word.
    start: usize,
    is_word: bool,
    spelling: Spelling,
}

impl<'a> Quoted<'a> {
    /// Begins a value.
    #[inline]
    pub(crate) fn new(out: &'a mut Vec<u8>, spelling: Spelling) -> Self {
        let start = out.len();
        out.push(b'"');
        Quoted { out, start, is_word: true, spelling }
    }

    /// Ends the value.
    #[inline]
    pub(crate) fn finish(self) {
        let is_empty = self.out.len() == self.start + 1;
        if self.is_word && !is_empty {
            self.out.remove(self.start);
        } else {
            self.out.push(b'"');
        }
    }
}

impl fmt::Write for Quoted<'_> {
    #[inline]
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // Of what has quotes already nobody asks whether it could do without.
        if self.is_word && is_bare(text.as_bytes()) {
            self.out.extend_from_slice(text.as_bytes());
        } else if is_plain_in_quotes(text.as_bytes()) {
            self.is_word = false;
            self.out.extend_from_slice(text.as_bytes());
        } else {
            self.is_word = self.is_word && is_word(text);
            escape(text, self.out, harm_in_quotes, self.spelling);
        }
        Ok(())
    }
}

/// How a character that does harm is written out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Spelling {
    /// `\u{1b}`, as in Rust.
    People,
    /// `\u001b`, as in JSON: UTF-16.
    Parsers,
}

/// Whether `text` is one string in double quotes as Rust's `Debug` writes it, and as [`Quoted`] would: nothing in
/// it ends it early.
pub(crate) fn is_literal(text: &str) -> bool {
    let Some(inner) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) else { return false };
    let mut is_after_backslash = false;
    for byte in inner.bytes() {
        if byte == b'"' && !is_after_backslash {
            return false;
        }
        is_after_backslash = byte == b'\\' && !is_after_backslash;
    }
    !is_after_backslash
}

/// Whether text may stand without quotes.
pub(crate) fn is_word(text: &str) -> bool {
    is_bare(text.as_bytes())
        || text.chars().all(|c| match u8::try_from(c) {
            Ok(byte) if byte.is_ascii() => is_bare(&[byte]),
            _ => c.is_alphanumeric() && harm(c) == Harm::None,
        })
}

/// Whether all of it is printable ASCII but for space, `"`, `=` and `\`.
#[inline]
fn is_bare(bytes: &[u8]) -> bool {
    all(bytes, |byte| (byte.wrapping_sub(b'!') < 0x5e) & (byte != b'"') & (byte != b'=') & (byte != b'\\'))
}

/// Whether all of it is printable ASCII.
#[inline]
fn is_plain(bytes: &[u8]) -> bool {
    all(bytes, is_printable)
}

/// Whether all of it is printable ASCII but for `"` and `\`.
#[inline]
fn is_plain_in_quotes(bytes: &[u8]) -> bool {
    all(bytes, |byte| is_printable(byte) & (byte != b'"') & (byte != b'\\'))
}

#[inline]
fn is_printable(byte: u8) -> bool {
    byte.wrapping_sub(b' ') < 0x5f
}

/// Without an early way out, so that it is done in vectors: by blocks, of which the last may overlap the one before it,
/// as most texts are so short that they would be all remainder.
#[inline]
fn all(bytes: &[u8], is_good: impl Fn(u8) -> bool + Copy) -> bool {
    if let Some(last) = bytes.last_chunk::<16>() {
        let (blocks, _) = bytes.as_chunks::<16>();
        blocks.iter().fold(all_of(last, is_good), |good, block| good & all_of(block, is_good))
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        all_of(first, is_good) & all_of(last, is_good)
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        all_of(first, is_good) & all_of(last, is_good)
    } else {
        all_of(bytes, is_good)
    }
}

#[inline]
fn all_of(bytes: &[u8], is_good: impl Fn(u8) -> bool) -> bool {
    bytes.iter().fold(true, |good, &byte| good & is_good(byte))
}

/// How a character is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Harm {
    /// As it is.
    None,
    /// A backslash and this character.
    Backslash(char),
    /// `\u{…}`
    Unicode,
}

fn harm_in_quotes(c: char) -> Harm {
    if matches!(c, '"' | '\\') { Harm::Backslash(c) } else { harm(c) }
}

fn harm(c: char) -> Harm {
    match c {
        ' '..='~' => Harm::None,
        '\n' => Harm::Backslash('n'),
        '\r' => Harm::Backslash('r'),
        '\t' => Harm::Backslash('t'),
        '\0'..='\x1f' | '\x7f'..='\u{9f}' => Harm::Unicode,
        '\u{2028}' | '\u{2029}' => Harm::Unicode,
        _ if is_format_character(c) => Harm::Unicode,
        _ => Harm::None,
    }
}

/// General category Cf of Unicode 16.0, and the tags that are not assigned.
fn is_format_character(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{600}'..='\u{605}'
            | '\u{61c}'
            | '\u{6dd}'
            | '\u{70f}'
            | '\u{890}'..='\u{891}'
            | '\u{8e2}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{2064}'
            | '\u{2066}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{110bd}'
            | '\u{110cd}'
            | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// Copies runs between characters that do harm, and writes those out.
#[inline(never)]
fn escape(text: &str, out: &mut Vec<u8>, harm: impl Fn(char) -> Harm, spelling: Spelling) {
    let mut copied = 0;
    for (at, c) in text.char_indices() {
        let harm = harm(c);
        if harm == Harm::None {
            continue;
        }
        out.extend_from_slice(&text.as_bytes()[copied..at]);
        copied = at + c.len_utf8();
        out.push(b'\\');
        match harm {
            Harm::Backslash(short) => out.push(short as u8),
            _ => push_code_point(c, spelling, out),
        }
    }
    out.extend_from_slice(&text.as_bytes()[copied..]);
}

/// `u{1b}` without leading zeros; or `u001b`, beyond U+FFFF the two surrogates with a backslash between them.
fn push_code_point(c: char, spelling: Spelling, out: &mut Vec<u8>) {
    let code = u32::from(c);
    match spelling {
        Spelling::People => {
            out.extend_from_slice(b"u{");
            push_hexadecimal(code, (u32::BITS - code.leading_zeros()).div_ceil(4).max(1), out);
            out.push(b'}');
        }
        Spelling::Parsers => {
            for (position, unit) in c.encode_utf16(&mut [0; 2]).iter().enumerate() {
                out.extend_from_slice(if position == 0 { b"u".as_slice() } else { b"\\u" });
                push_hexadecimal((*unit).into(), 4, out);
            }
        }
    }
}

fn push_hexadecimal(number: u32, digits: u32, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for digit in (0..digits).rev() {
        out.push(DIGITS[(number >> (4 * digit)) as usize & 0xf]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fmt::Write as _;

    /// C0, DEL, C1, the separators, and the lines of DerivedGeneralCategory.txt of Unicode 16.0.0 that say Cf; last
    /// the tags that are not assigned.
    fn forbidden() -> Vec<char> {
        let ranges = [
            (0x0000, 0x001f),
            (0x007f, 0x009f),
            (0x2028, 0x2029),
            (0x00ad, 0x00ad),
            (0x0600, 0x0605),
            (0x061c, 0x061c),
            (0x06dd, 0x06dd),
            (0x070f, 0x070f),
            (0x0890, 0x0891),
            (0x08e2, 0x08e2),
            (0x180e, 0x180e),
            (0x200b, 0x200f),
            (0x202a, 0x202e),
            (0x2060, 0x2064),
            (0x2066, 0x206f),
            (0xfeff, 0xfeff),
            (0xfff9, 0xfffb),
            (0x110bd, 0x110bd),
            (0x110cd, 0x110cd),
            (0x13430, 0x1343f),
            (0x1bca0, 0x1bca3),
            (0x1d173, 0x1d17a),
            (0xe0001, 0xe0001),
            (0xe0020, 0xe007f),
            (0xe0000, 0xe0000),
            (0xe0002, 0xe001f),
        ];
        assert_eq!(
            ranges[3..24].iter().map(|(first, last)| last - first + 1).sum::<u32>(),
            170,
            "Cf of 16.0.0"
        );
        ranges
            .iter()
            .flat_map(|&(first, last)| first..=last)
            .map(|code| char::from_u32(code).unwrap())
            .collect()
    }

    fn escaped(text: &str) -> String {
        let mut out = Vec::new();
        Escaped(&mut out).push(text);
        String::from_utf8(out).unwrap()
    }

    fn quoted(parts: &[&str]) -> String {
        let mut out = b"k=".to_vec();
        let mut value = Quoted::new(&mut out, Spelling::People);
        for part in parts {
            value.write_str(part).unwrap();
        }
        value.finish();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_forbidden_character_is_written_out_and_no_other() {
        let forbidden = forbidden();
        for c in '\0'..=char::MAX {
            let written = escaped(&format!("a{c}z"));
            if forbidden.contains(&c) {
                let code = match c {
                    '\n' => "\\n".to_owned(),
                    '\r' => "\\r".to_owned(),
                    '\t' => "\\t".to_owned(),
                    _ => format!("\\u{{{:x}}}", c as u32),
                };
                assert_eq!(written, format!("a{code}z"));
            } else {
                assert_eq!(written, format!("a{c}z"));
            }
        }
    }

    #[test]
    fn a_forged_line_and_a_terminal_sequence_stay_one_harmless_line() {
        assert_eq!(escaped("x\n2026-01-01 INFO forged"), "x\\n2026-01-01 INFO forged");
        assert_eq!(escaped("\x1b[2J\0"), "\\u{1b}[2J\\u{0}");
        assert_eq!(escaped("a\u{202e}b"), "a\\u{202e}b");
        assert_eq!(escaped("Zoë 日本 C:\\new"), "Zoë 日本 C:\\new");
        assert_eq!(escaped("❤\u{fe0f} 🎉 é e\u{301} สวัสดี"), "❤\u{fe0f} 🎉 é e\u{301} สวัสดี");
        assert_eq!(escaped("pass\u{ad}word\u{e0041}"), "pass\\u{ad}word\\u{e0041}");
    }

    fn in_quotes(text: &str) -> String {
        let mut out = b"\"".to_vec();
        InQuotes(&mut out).push(text);
        out.push(b'"');
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn for_parsers_harm_is_spelled_as_in_json() {
        assert_eq!(in_quotes("say \"x\" \\ y"), r#""say \"x\" \\ y""#);
        assert_eq!(in_quotes("\0\n\r\t\x1b\x7f\u{9b}"), r#""\u0000\n\r\t\u001b\u007f\u009b""#);
        assert_eq!(in_quotes("a\u{202e}b\u{e0041}c"), r#""a\u202eb\udb40\udc41c""#);
        assert_eq!(in_quotes("Zoë 日本 🎉"), "\"Zoë 日本 🎉\"");
    }

    #[test]
    fn words_are_bare_and_all_else_is_quoted() {
        for bare in ["1", "XNAS", "a:b/c", "Some(5)", "日本", "Zoë", "-1.5e3", "[::1]:80", "it's"] {
            assert_eq!(quoted(&[bare]), format!("k={bare}"));
        }
        assert_eq!(quoted(&[]), "k=\"\"");
        assert_eq!(quoted(&[""]), "k=\"\"");
        assert_eq!(quoted(&["two words"]), "k=\"two words\"");
        assert_eq!(quoted(&["two", " ", "words"]), "k=\"two words\"");
        assert_eq!(quoted(&["a=b"]), "k=\"a=b\"");
        assert_eq!(quoted(&["say \"x\" \\ y"]), r#"k="say \"x\" \\ y""#);
        assert_eq!(quoted(&["a\nb"]), r#"k="a\nb""#);
        assert_eq!(quoted(&["a\\nb"]), r#"k="a\\nb""#);
        assert_eq!(quoted(&["x\u{200b}"]), r#"k="x\u{200b}""#);
        assert_eq!(quoted(&["a\u{a0}b"]), "k=\"a\u{a0}b\"");
    }

    #[test]
    fn literals_are_told_from_what_only_begins_and_ends_like_one() {
        for text in ["", "a", "two words", "say \"x\"", "back\\slash\\", "line\nline", "'"] {
            assert!(is_literal(&format!("{text:?}")), "{text:?}");
        }
        for text in [r#"""#, r#"a"#, r#""a" b="c""#, r#""a\""#, r#""\\\""#, r#"Some("a")"#, r#""a"#] {
            assert!(!is_literal(text), "{text}");
        }
    }

    /// Any character, the forbidden ones as often as all others together.
    fn nasty() -> impl Strategy<Value = String> {
        let c = prop_oneof![
            any::<char>(),
            proptest::sample::select(forbidden()),
            proptest::char::range(' ', '~')
        ];
        proptest::collection::vec(c, 0..40).prop_map(|chars| chars.into_iter().collect())
    }

    proptest! {
        #[test]
        fn no_forbidden_character_survives(text in nasty()) {
            let forbidden = forbidden();
            prop_assert!(!escaped(&text).contains(forbidden.as_slice()));
            prop_assert!(!quoted(&[&text]).contains(forbidden.as_slice()));
            prop_assert!(!in_quotes(&text).contains(forbidden.as_slice()));
        }

        #[test]
        fn clean_text_is_unchanged(text in nasty()) {
            let clean = text.replace(forbidden().as_slice(), "");
            prop_assert_eq!(escaped(&clean), clean);
        }

        #[test]
        fn what_stands_in_quotes_is_read_back_by_json(text in nasty()) {
            prop_assert_eq!(serde_json::from_str::<String>(&in_quotes(&text)).unwrap(), text);
        }

        /// Undone by one rule, a quoted value is the text again: nothing in it can end it early.
        #[test]
        fn quoted_values_read_back(text in nasty(), cut in 0_usize..40) {
            let cut = text.char_indices().map(|(at, _)| at).nth(cut).unwrap_or(0);
            let line = quoted(&[&text[..cut], &text[cut..]]);
            let value = &line[2..];
            if !value.starts_with('"') {
                prop_assert_eq!(value, text);
                return Ok(());
            }
            let mut back = String::new();
            let mut rest = value[1..].chars();
            loop {
                match rest.next().unwrap() {
                    '"' => break,
                    '\\' => match rest.next().unwrap() {
                        'n' => back.push('\n'),
                        'r' => back.push('\r'),
                        't' => back.push('\t'),
                        'u' => {
                            let code: String = rest.by_ref().skip(1).take_while(|&c| c != '}').collect();
                            back.push(char::from_u32(u32::from_str_radix(&code, 16).unwrap()).unwrap());
                        }
                        c => back.push(c),
                    },
                    c => back.push(c),
                }
            }
            prop_assert_eq!(rest.next(), None);
            prop_assert_eq!(back, text);
        }
    }
}
