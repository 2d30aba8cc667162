//! String literals as they stand in the source, made the text they mean.
//!
//! A procedural macro is handed the source of a literal, quotes and escapes included. What is not a plain or a raw
//! string, or has a suffix, gives `None`.

use std::iter::Peekable;
use std::str::Chars;

/// The text that the source of a string literal means.
pub(crate) fn unquote(source: &str) -> Option<String> {
    match source.strip_prefix('r') {
        Some(raw) => {
            let quoted = raw.trim_start_matches('#');
            let hashes = &raw[..raw.len() - quoted.len()];
            Some(quoted.strip_suffix(hashes)?.strip_prefix('"')?.strip_suffix('"')?.to_owned())
        }
        None => unescape(source.strip_prefix('"')?.strip_suffix('"')?),
    }
}

fn unescape(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        if char != '\\' {
            plain.push(char);
            continue;
        }
        match chars.next()? {
            'n' => plain.push('\n'),
            'r' => plain.push('\r'),
            't' => plain.push('\t'),
            '0' => plain.push('\0'),
            char @ ('\\' | '\'' | '"') => plain.push(char),
            'x' => plain.push(char::from_u32(hex(chars.by_ref().take(2))?)?),
            'u' => plain.push(unicode(&mut chars)?),
            '\n' => while chars.next_if(|next| matches!(next, ' ' | '\t' | '\n' | '\r')).is_some() {},
            _ => return None,
        }
    }
    Some(plain)
}

/// `{1F_980}`, after `\u`.
fn unicode(chars: &mut Peekable<Chars<'_>>) -> Option<char> {
    chars.next_if_eq(&'{')?;
    let digits = chars.by_ref().take_while(|char| *char != '}').filter(|char| *char != '_');
    char::from_u32(hex(digits)?)
}

fn hex(digits: impl Iterator<Item = char>) -> Option<u32> {
    digits
        .map(|digit| digit.to_digit(16))
        .try_fold(0_u32, |value, digit| Some(value.checked_mul(16)? + digit?))
}

#[cfg(test)]
mod tests {
    use super::unquote;

    /// Compares with what rustc makes of the same literal.
    macro_rules! means_what_rustc_says {
        ($($literal:literal)*) => { $( assert_eq!(unquote(stringify!($literal)).as_deref(), Some($literal)); )* };
    }

    #[test]
    fn literals_mean_what_rustc_says() {
        means_what_rustc_says!(
            "" "plain" "Grüße, 🌲" r"raw \n" r#"a "quoted" word"# r##"one "# in it"##
            "\n\r\t\0\\\'\"" "\x41\x7f" "\u{41}\u{1F332}\u{1f_3_32}" "\x7b\x7d"
            "over \
             two lines" "kept
  as it is"
        );
    }

    #[test]
    fn a_continued_line_skips_empty_ones() {
        assert_eq!(unquote("\"over \\\n\n \t three\"").as_deref(), Some("over three"));
    }

    #[test]
    fn other_literals_are_refused() {
        for source in [r#"b"bytes""#, r#"c"string""#, "'c'", "17", r#""text"suffix"#, r##"r#"x"#suffix"##] {
            assert_eq!(unquote(source), None, "{source}");
        }
    }
}
