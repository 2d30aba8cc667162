//! A message whose placeholders have found their values among the *bindings*: all the expressions of the user's
//! that a call evaluates, in order of evaluation: fields, the message's arguments, the variables it captures.

use proc_macro::{Ident, Span, TokenTree};

use crate::grammar::{self, Call, Text};
use crate::template::{self, Argument, Count, Placeholder};
use crate::tokens::Tokens;

/// An expression of the user's, borrowed once for all its uses.
pub(crate) struct Binding {
    /// What the message knows it by.
    pub(crate) name: Option<Ident>,
    pub(crate) value: Vec<TokenTree>,
}

impl Binding {
    pub(crate) fn of(name: Option<&Ident>, value: &grammar::Expression) -> Self {
        Binding { name: name.cloned(), value: value.0.clone() }
    }

    /// A variable that the message captures. It is looked up as if it stood where the literal stands.
    fn captured(name: &str, literal: Span) -> Self {
        let name = match name {
            "self" | "Self" | "super" | "crate" => Ident::new(name, literal),
            _ => Ident::new_raw(name, literal), // `{type}` captures `r#type`
        };
        Binding { value: vec![name.clone().into()], name: Some(name) }
    }

    fn is_called(&self, wanted: &str) -> bool {
        self.name.as_ref().is_some_and(|name| plain(name) == wanted)
    }
}

/// An identifier's text without `r#`.
pub(crate) fn plain(name: &Ident) -> String {
    let name = name.to_string();
    name.strip_prefix("r#").map(str::to_owned).unwrap_or(name)
}

/// The message of a call.
pub(crate) enum Message<'a> {
    /// We know its pieces; none if there is no message.
    Read { pieces: Vec<Piece> },
    /// It is left to rustc, as one text.
    Eager { source: &'a grammar::Message },
}

pub(crate) enum Piece {
    Literal(String),
    Placeholder(Hole),
}

/// A placeholder, with the bindings of its value, and of its width and precision where they are arguments.
pub(crate) struct Hole {
    placeholder: Placeholder,
    pub(crate) value: usize,
    pub(crate) width: Option<usize>,
    pub(crate) precision: Option<usize>,
}

impl<'a> Message<'a> {
    /// Binds the message's arguments behind the fields, and its placeholders to what is bound.
    pub(crate) fn resolve(call: &'a Call, bindings: &mut Vec<Binding>) -> Message<'a> {
        let Some(source) = &call.message else {
            return Message::Read { pieces: Vec::new() };
        };
        bindings.extend(source.arguments.iter().map(|given| Binding::of(given.name.as_ref(), &given.value)));
        let given = bindings.len();
        match read(source, bindings, call.fields.len()) {
            Some(pieces) => Message::Read { pieces },
            None => {
                bindings.truncate(given); // rustc finds what the message captures
                Message::Eager { source }
            }
        }
    }
}

/// The pieces, if all placeholders find their values and all arguments are used: else rustc shall say what is wrong.
fn read(source: &grammar::Message, bindings: &mut Vec<Binding>, first: usize) -> Option<Vec<Piece>> {
    let Text::Literal(literal, text) = &source.text else { return None };
    let literal = literal.span();
    let mut finder = Finder { used: vec![false; bindings.len()], bindings, first, literal };
    let pieces = template::parse(text)?.into_iter().map(|piece| match piece {
        template::Piece::Literal(text) => Some(Piece::Literal(text)),
        template::Piece::Placeholder(placeholder) => finder.hole(placeholder).map(Piece::Placeholder),
    });
    let pieces = pieces.collect::<Option<_>>()?;
    finder.used[first..].iter().all(|used| *used).then_some(pieces)
}

struct Finder<'a> {
    bindings: &'a mut Vec<Binding>,
    used: Vec<bool>,
    /// The binding of the message's first argument.
    first: usize,
    literal: Span,
}

impl Finder<'_> {
    fn hole(&mut self, placeholder: Placeholder) -> Option<Hole> {
        let value = self.find(&placeholder.argument)?;
        let mut count = |count: &Count| match count {
            Count::Argument(argument) => self.find(argument).map(Some),
            Count::None | Count::Is(_) => Some(None),
        };
        let (width, precision) = (count(&placeholder.width)?, count(&placeholder.precision)?);
        Some(Hole { placeholder, value, width, precision })
    }

    fn find(&mut self, argument: &Argument) -> Option<usize> {
        let at = match argument {
            Argument::Position(position) => self.first + position,
            Argument::Name(name) => {
                let found = self.bindings[self.first..].iter().position(|binding| binding.is_called(name));
                self.first
                    + found.unwrap_or_else(|| {
                        self.bindings.push(Binding::captured(name, self.literal));
                        self.used.push(true);
                        self.bindings.len() - 1 - self.first
                    })
            }
        };
        // What has a name may be meant by position, but rustc has a warning for that.
        let by_position = matches!(argument, Argument::Position(_));
        if by_position && self.bindings.get(at)?.name.is_some() {
            return None;
        }
        self.used[at] = true;
        Some(at)
    }
}

impl Hole {
    /// The bindings of the value, and of width and precision where they are arguments.
    pub(crate) fn bindings(&self) -> Vec<usize> {
        [Some(self.value), self.width, self.precision].into_iter().flatten().collect()
    }

    pub(crate) fn is_pointer(&self) -> bool {
        self.placeholder.kind.is_pointer()
    }

    pub(crate) fn is_debug(&self) -> bool {
        self.placeholder.kind.is_debug()
    }

    /// The placeholder as a format string of its own, over [`bindings`](Hole::bindings) in their order.
    pub(crate) fn template(&self) -> String {
        let spec = &self.placeholder;
        let mut text: String = [spec.fill, spec.align, spec.sign].into_iter().flatten().collect();
        text += if spec.alternate { "#" } else { "" };
        text += if spec.zero { "0" } else { "" };
        let mut next = 1;
        let mut count = |count: &Count| match count {
            Count::None => String::new(),
            Count::Is(value) => value.to_string(),
            Count::Argument(_) => {
                next += 1;
                format!("{}$", next - 1)
            }
        };
        text += &count(&spec.width);
        if spec.precision != Count::None {
            text += ".";
            text += &count(&spec.precision);
        }
        text += spec.kind.spelling;
        if text.is_empty() { "{}".to_owned() } else { format!("{{:{text}}}") }
    }

    /// The spec as a constant. `slot` is the next free slot: arguments that are counts stand behind the value.
    pub(crate) fn spec<'t>(&self, slot: &mut usize, code: &'t mut Tokens) -> &'t mut Tokens {
        match self.template().as_str() {
            "{}" => return code.code("$Spec::DISPLAY"),
            "{:?}" => return code.code("$Spec::DEBUG"),
            _ => {}
        }
        let spec = &self.placeholder;
        let align = match spec.align {
            Some('<') => "Left",
            Some('^') => "Center",
            Some('>') => "Right",
            _ => "Unset",
        };
        // `{:p}` is made at the call, width and all: what is left is text.
        let kind = if self.is_pointer() { "Display" } else { spec.kind.name };
        code.code("$Spec").braces(|code| {
            code.code("fill :").character(spec.fill.unwrap_or(' '));
            code.code(&format!(", align : $Align::{align} , plus : {}", spec.sign == Some('+')));
            code.code(&format!(", alternate : {} , zero : {}", spec.alternate, spec.zero));
            code.code(&format!(", kind : $Kind::{kind} , width :"));
            count(&spec.width, slot, code);
            code.code(", precision :");
            count(&spec.precision, slot, code)
        })
    }
}

fn count<'t>(count: &Count, slot: &mut usize, code: &'t mut Tokens) -> &'t mut Tokens {
    match count {
        Count::None => code.code("$Count::None"),
        Count::Is(value) => code.code("$Count::Is").parens(|code| code.number((*value).into())),
        Count::Argument(_) => {
            *slot += 1;
            code.code("$Count::Argument").parens(|code| code.number(*slot - 1))
        }
    }
}
