//! Format strings, parsed by the grammar of `std::fmt`.
//!
//! The parser is sure or silent: for a string that std refuses, or that we are not sure to read as std does, it
//! gives `None`, and the whole string is handed to rustc's own `format_args!`, which says what is wrong, inside
//! the user's literal, or formats it at the call. So nothing here makes an error message.

use std::iter::Peekable;
use std::str::Chars;

/// One piece of a format string.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Piece {
    /// Text, with `{{` and `}}` already reduced.
    Literal(String),
    /// `{…}`
    Placeholder(Placeholder),
}

/// Everything that may stand between the braces.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Placeholder {
    pub(crate) argument: Argument,
    pub(crate) fill: Option<char>,
    pub(crate) align: Option<char>,
    pub(crate) sign: Option<char>,
    pub(crate) alternate: bool,
    pub(crate) zero: bool,
    pub(crate) width: Count,
    pub(crate) precision: Count,
    pub(crate) kind: Kind,
}

/// Which argument a placeholder, a width or a precision names.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Argument {
    /// `{}`, `{0}`, `{:.*}`
    Position(usize),
    /// `{name}`: an argument of this name, or else a variable.
    Name(String),
}

/// A width or a precision.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Count {
    None,
    Is(u16),
    Argument(Argument),
}

/// The formatting trait: as `std::fmt` spells it, and its name.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Kind {
    pub(crate) spelling: &'static str,
    pub(crate) name: &'static str,
}

impl Kind {
    const ALL: [Kind; 11] = [
        Kind { spelling: "", name: "Display" },
        Kind { spelling: "?", name: "Debug" },
        Kind { spelling: "x?", name: "DebugLowerHex" },
        Kind { spelling: "X?", name: "DebugUpperHex" },
        Kind { spelling: "x", name: "LowerHex" },
        Kind { spelling: "X", name: "UpperHex" },
        Kind { spelling: "o", name: "Octal" },
        Kind { spelling: "b", name: "Binary" },
        Kind { spelling: "e", name: "LowerExp" },
        Kind { spelling: "E", name: "UpperExp" },
        Kind { spelling: "p", name: "Pointer" },
    ];

    /// `{:?}`, `{:x?}`, `{:X?}`
    pub(crate) fn is_debug(self) -> bool {
        self.spelling.ends_with('?')
    }

    /// `{:p}`: an address, which says nothing later on.
    pub(crate) fn is_pointer(self) -> bool {
        self.spelling == "p"
    }
}

/// The pieces of a format string.
pub(crate) fn parse(text: &str) -> Option<Vec<Piece>> {
    let mut parser = Parser { rest: text.chars().peekable(), implicit: 0 };
    let mut pieces = Vec::new();
    let mut literal = String::new();
    while let Some(char) = parser.rest.next() {
        match char {
            '{' | '}' if parser.eat(char) => literal.push(char),
            '{' => {
                if !literal.is_empty() {
                    pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                }
                pieces.push(Piece::Placeholder(parser.placeholder()?));
            }
            '}' => return None,
            _ => literal.push(char),
        }
    }
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal));
    }
    Some(pieces)
}

struct Parser<'a> {
    rest: Peekable<Chars<'a>>,
    /// The position that the next `{}` or `.*` takes.
    implicit: usize,
}

impl Parser<'_> {
    /// What follows a `{`, with the `}`.
    fn placeholder(&mut self) -> Option<Placeholder> {
        let argument = self.argument()?;
        let mut found = Placeholder {
            argument: Argument::Position(0),
            fill: None,
            align: None,
            sign: None,
            alternate: false,
            zero: false,
            width: Count::None,
            precision: Count::None,
            kind: Kind::ALL[0],
        };
        if self.eat(':') {
            self.spec(&mut found)?;
        }
        // After the spec: in `{:.*}` the precision takes its position first.
        found.argument = argument.unwrap_or_else(|| self.next_implicit());
        while self.rest.next_if(|char| char.is_whitespace()).is_some() {}
        self.eat('}').then_some(found)
    }

    fn spec(&mut self, found: &mut Placeholder) -> Option<()> {
        const ALIGN: [char; 3] = ['<', '^', '>'];
        let mut ahead = self.rest.clone();
        match (ahead.next(), ahead.next()) {
            (Some('{' | '}'), Some('<' | '^' | '>')) => return None,
            (fill, Some(align)) if ALIGN.contains(&align) => {
                (found.fill, found.align) = (fill, Some(align));
                self.rest = ahead;
            }
            _ => found.align = self.rest.next_if(|char| ALIGN.contains(char)),
        }
        found.sign = self.rest.next_if(|char| matches!(char, '+' | '-'));
        found.alternate = self.eat('#');
        // `0$` is a width, the value of argument 0; `00$` and `08` begin with the flag.
        let mut ahead = self.rest.clone();
        if ahead.next_if_eq(&'0').is_some() && ahead.peek() != Some(&'$') {
            found.zero = true;
            self.rest = ahead;
        }
        found.width = self.count()?;
        if self.eat('.') {
            found.precision = match self.eat('*') {
                true => Count::Argument(self.next_implicit()),
                false => self.count()?,
            };
            if found.precision == Count::None {
                return None; // `{:.}`
            }
        }
        let mut spelling = self.word();
        if matches!(spelling.as_str(), "" | "x" | "X") && self.eat('?') {
            spelling.push('?');
        }
        found.kind = *Kind::ALL.iter().find(|kind| kind.spelling == spelling)?;
        Some(())
    }

    /// A width or precision, if one is next.
    fn count(&mut self) -> Option<Count> {
        let before = self.rest.clone();
        match self.argument()? {
            Some(argument) if self.eat('$') => Some(Count::Argument(argument)),
            Some(Argument::Position(value)) => Some(Count::Is(value.try_into().ok()?)),
            _ => {
                self.rest = before; // it was the kind
                Some(Count::None)
            }
        }
    }

    /// An integer or an identifier, if one is next.
    fn argument(&mut self) -> Option<Option<Argument>> {
        let digits = self.take_while(|char| char.is_ascii_digit());
        if !digits.is_empty() {
            return Some(Some(Argument::Position(digits.parse().ok()?)));
        }
        match self.word() {
            word if word.is_empty() => Some(None),
            word if word == "_" => None,
            word => Some(Some(Argument::Name(word))),
        }
    }

    /// An identifier, or nothing. Those beyond ASCII are left to rustc, which knows what is one.
    fn word(&mut self) -> String {
        self.take_while(|char| char.is_ascii_alphanumeric() || char == '_')
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> String {
        std::iter::from_fn(|| self.rest.next_if(|char| wanted(*char))).collect()
    }

    fn next_implicit(&mut self) -> Argument {
        self.implicit += 1;
        Argument::Position(self.implicit - 1)
    }

    fn eat(&mut self, wanted: char) -> bool {
        self.rest.next_if_eq(&wanted).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The only placeholder of a format string.
    fn only(text: &str) -> Placeholder {
        match parse(text).as_deref() {
            Some([Piece::Placeholder(placeholder)]) => placeholder.clone(),
            other => panic!("{text}: {other:?}"),
        }
    }

    fn position(position: usize) -> Count {
        Count::Argument(Argument::Position(position))
    }

    #[test]
    fn text_and_doubled_braces_are_literals() {
        assert_eq!(parse(""), Some(vec![]));
        assert_eq!(parse("a {{b}} }}{{"), Some(vec![Piece::Literal("a {b} }{".into())]));
        let pieces = parse("{{{}}}").unwrap();
        assert_eq!(pieces[0], Piece::Literal("{".into()));
        assert_eq!(pieces[2], Piece::Literal("}".into()));
    }

    #[test]
    fn implicit_positions_do_not_count_explicit_ones() {
        let arguments = parse("{} {1} {} {name} {}").unwrap().into_iter().filter_map(|piece| match piece {
            Piece::Placeholder(placeholder) => Some(placeholder.argument),
            Piece::Literal(_) => None,
        });
        let position = Argument::Position;
        let expected = [position(0), position(1), position(1), Argument::Name("name".into()), position(2)];
        assert!(arguments.eq(expected));
    }

    #[test]
    fn a_star_takes_its_position_before_the_value() {
        let star = only("{:.*}");
        assert_eq!((star.precision, star.argument), (position(0), Argument::Position(1)));
        let star = only("{x:.*}");
        assert_eq!((star.precision, star.argument), (position(0), Argument::Name("x".into())));
    }

    #[test]
    fn every_part_of_a_spec_is_found() {
        let all = only("{0:é^+#012.3x?  }");
        assert_eq!((all.fill, all.align, all.sign), (Some('é'), Some('^'), Some('+')));
        assert!(all.alternate && all.zero);
        assert_eq!((all.width, all.precision), (Count::Is(12), Count::Is(3)));
        assert_eq!(all.kind.name, "DebugLowerHex");
    }

    #[test]
    fn a_zero_is_a_flag_or_an_argument() {
        let flag = only("{:08}");
        assert_eq!((flag.zero, flag.width), (true, Count::Is(8)));
        let argument = only("{:0$}");
        assert_eq!((argument.zero, argument.width), (false, position(0)));
        let both = only("{:00$}");
        assert_eq!((both.zero, both.width), (true, position(0)));
    }

    #[test]
    fn a_word_is_a_width_or_a_kind() {
        assert_eq!(only("{:x}").kind.name, "LowerHex");
        let named = only("{:x$.w$e}");
        assert_eq!(named.width, Count::Argument(Argument::Name("x".into())));
        assert_eq!(named.precision, Count::Argument(Argument::Name("w".into())));
        assert_eq!(named.kind.name, "LowerExp");
        assert_eq!(only("{:5X}").width, Count::Is(5));
    }

    #[test]
    fn fill_may_be_an_align_sign() {
        let spec = only("{:^^8}");
        assert_eq!((spec.fill, spec.align), (Some('^'), Some('^')));
        let spec = only("{:>8}");
        assert_eq!((spec.fill, spec.align), (None, Some('>')));
    }

    #[test]
    fn what_std_refuses_or_we_are_not_sure_of_is_left_to_rustc() {
        for text in [
            "{",
            "}",
            "{}}",
            "{0",
            "{:",
            "{:y}",
            "{:?x}",
            "{:.}",
            "{a b}",
            "{r#type}",
            "{_}",
            "{größe}",
            "{:99999}",
            "{:{<5}",
            "{-1}",
            "{:8 x}",
            "{99999999999999999999}",
            "{:#x#}",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
