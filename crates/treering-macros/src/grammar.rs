//! What stands between the parentheses of a log call, or of a context.
//!
//! ```text
//! call      = { key "," } { field "," } [ message { "," argument } ] [ "," ]
//! context   = { key "," } string { "," field } [ "," ]   the string is its name
//! key       = ( "target" | "logger" | limit ) ":" expression
//! limit     = "every" | "once" | "at_most" | "sample" one at most, a constant
//! field     = [ sigil ] path                          shorthand: the path is the name and the value
//!           | ( path | string ) "=" [ sigil ] expression
//! sigil     = "%" | "?"                               as Display prints it; as Debug prints it
//! path      = identifier { "." ( identifier | index ) }
//! message   = string | macro "!" group                `concat!(…)`: formatted at the call
//! argument  = [ identifier "=" ] expression
//! ```
//!
//! An expression is whatever stands before the next comma that is in no brackets, no list of generic arguments
//! and no list of closure parameters; rustc reads it, not we.

use proc_macro::{Delimiter, Group, Ident, Literal, Spacing, Span, TokenTree};

use crate::literal::unquote;
use crate::message::plain;
use crate::tokens::Root;

/// One log call, or what makes a context.
pub(crate) struct Call {
    /// `$crate`, from the shell.
    pub(crate) root: Root,
    pub(crate) level: Group,
    pub(crate) target: Option<Expression>,
    pub(crate) logger: Option<Expression>,
    pub(crate) limit: Option<Limit>,
    pub(crate) fields: Vec<Field>,
    pub(crate) message: Option<Message>,
    /// Of a context, which has neither limit nor message.
    pub(crate) name: Option<String>,
}

/// What lets only some calls through.
pub(crate) struct Limit {
    /// Its key, which is the name of its constructor.
    pub(crate) key: Ident,
    pub(crate) value: Expression,
}

impl Limit {
    const KEYS: [&str; 4] = ["every", "once", "at_most", "sample"];

    /// Whether records say how many calls were kept back before: of a call that passes once none ever were.
    pub(crate) fn is_told(&self) -> bool {
        self.key.to_string() != "once"
    }
}

pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) style: Style,
    pub(crate) value: Expression,
}

/// The sigil before a value.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Style {
    Value,
    Display,
    Debug,
}

pub(crate) struct Message {
    pub(crate) text: Text,
    pub(crate) arguments: Vec<Argument>,
}

pub(crate) enum Text {
    /// The user's own token, and what it means.
    Literal(Literal, String),
    /// A macro that makes the literal; we cannot see into it.
    Macro(Vec<TokenTree>),
}

pub(crate) struct Argument {
    pub(crate) name: Option<Ident>,
    pub(crate) value: Expression,
}

/// At least one token, which we do not understand.
pub(crate) struct Expression(pub(crate) Vec<TokenTree>);

/// What is wrong, and where.
pub(crate) struct Error {
    pub(crate) span: Span,
    pub(crate) sentence: String,
}

impl Call {
    fn empty(root: Root, level: Group) -> Call {
        let (fields, message, name) = (Vec::new(), None, None);
        Call { root, level, target: None, logger: None, limit: None, fields, message, name }
    }

    /// Reads what stands between the parentheses. `root` is `$crate`.
    pub(crate) fn parse(root: Root, level: Group, trees: Vec<TokenTree>) -> Result<Call, Error> {
        let mut call = Call::empty(root, level);
        let mut parser = Parser { trees, at: 0 };
        if parser.is_at_end() {
            return Err(Error::new(
                Span::call_site(),
                "a log call needs a message or a field: `info!(\"ready\")`",
            ));
        }
        while !parser.is_at_end() {
            parser.unwrap_group();
            if let Some(key) = parser.key() {
                call.key(&key, &mut parser)?;
            } else if let Some(text) = parser.text()? {
                call.message = Some(Message { text, arguments: parser.arguments()? });
            } else {
                call.fields.push(parser.field()?);
                parser.comma("the next field or the message")?;
            }
        }
        if call.fields.is_empty() && call.message.is_none() {
            return Err(Error::new(parser.span(), "after its keys a log call needs a message or a field"));
        }
        Ok(call)
    }

    /// As [`parse`](Call::parse), of a context.
    pub(crate) fn parse_context(root: Root, level: Group, trees: Vec<TokenTree>) -> Result<Call, Error> {
        let mut call = Call::empty(root, level);
        let mut parser = Parser { trees, at: 0 };
        parser.unwrap_group();
        while let Some(key) = parser.key() {
            call.key(&key, &mut parser)?;
            parser.unwrap_group();
        }
        if let Some(Limit { key, .. }) = &call.limit {
            return Err(Error::new(key.span(), format!("`{key}:` is a limit, and a context has none")));
        }
        call.name = Some(parser.name()?);
        parser.comma("the fields")?;
        while !parser.is_at_end() {
            parser.unwrap_group();
            let span = parser.span();
            if parser.text()?.is_some() {
                return Err(Error::new(span, "a context has a name and fields, and no message"));
            }
            call.fields.push(parser.field()?);
            parser.comma("the next field")?;
        }
        Ok(call)
    }

    /// What follows the name of a key.
    fn key(&mut self, key: &Ident, parser: &mut Parser) -> Result<(), Error> {
        let name = key.to_string();
        let is_there = match name.as_str() {
            "target" => self.target.is_some(),
            "logger" => self.logger.is_some(),
            limit if Limit::KEYS.contains(&limit) => match &self.limit {
                Some(other) if other.key.to_string() != name => {
                    let other = &other.key;
                    return Err(Error::new(
                        key.span(),
                        format!("`{other}:` and `{name}:` are both limits, and a call has one"),
                    ));
                }
                other => other.is_some(),
            },
            _ => return Err(Error::new(key.span(), unknown_key(&name))),
        };
        if is_there {
            return Err(Error::new(key.span(), format!("`{name}:` stands here twice")));
        }
        if !self.fields.is_empty() {
            return Err(Error::new(key.span(), format!("`{name}:` is a key: keys stand before the fields")));
        }
        let value = parser.expression(&format!("a value after `{name}:`"))?;
        match name.as_str() {
            "target" => self.target = Some(value),
            "logger" => self.logger = Some(value),
            _ => self.limit = Some(Limit { key: key.clone(), value }),
        }
        parser.comma("the fields or the message")
    }
}

/// Says what is wrong with a key that we do not know.
fn unknown_key(name: &str) -> String {
    match name {
        "name" => {
            "`name:` names events and spans in tracing; a record of treering is known by its message: for a \
                   field of this name write `name = …`"
                .to_owned()
        }
        "parent" => {
            "`parent:` belongs to spans of tracing; a record or a context is in the context that its thread is in: \
                     for a field of this name write `parent = …`"
                .to_owned()
        }
        _ => format!(
            "no key is called `{name}:`; there are `target:`, `logger:`, `every:`, `once:`, `at_most:` and \
             `sample:`, and a field is written `{name} = …`"
        ),
    }
}

impl Error {
    pub(crate) fn new(span: Span, sentence: impl Into<String>) -> Self {
        Error { span, sentence: sentence.into() }
    }
}

struct Parser {
    trees: Vec<TokenTree>,
    at: usize,
}

impl Parser {
    fn is_at_end(&self) -> bool {
        self.at == self.trees.len()
    }

    fn peek(&self, ahead: usize) -> Option<&TokenTree> {
        self.trees.get(self.at + ahead)
    }

    fn next(&mut self) -> Option<TokenTree> {
        let tree = self.trees.get(self.at).cloned();
        self.at += usize::from(tree.is_some());
        tree
    }

    /// Where we are; at the end, the last token.
    fn span(&self) -> Span {
        self.trees.get(self.at).or(self.trees.last()).map_or_else(Span::call_site, TokenTree::span)
    }

    /// `$text:literal` and the like arrive in brackets that nobody sees: takes them off.
    fn unwrap_group(&mut self) {
        while let Some(TokenTree::Group(group)) = self.peek(0)
            && group.delimiter() == Delimiter::None
        {
            let inner = group.stream();
            self.trees.splice(self.at..=self.at, inner);
        }
    }

    /// Whether the operator of one character is next but `ahead`: `=`, but neither `==` nor `=>`.
    fn is_operator(&self, ahead: usize, wanted: char) -> bool {
        match (self.peek(ahead), self.peek(ahead + 1)) {
            (Some(TokenTree::Punct(punct)), next) if punct.as_char() == wanted => {
                let doubled =
                    matches!(next, Some(TokenTree::Punct(next)) if matches!(next.as_char(), '=' | '>' | ':'));
                punct.spacing() == Spacing::Alone || !doubled
            }
            _ => false,
        }
    }

    /// The name of a key and its colon, if they are next.
    fn key(&mut self) -> Option<Ident> {
        match self.peek(0) {
            Some(TokenTree::Ident(key)) if self.is_operator(1, ':') => {
                let key = key.clone();
                self.at += 2;
                Some(key)
            }
            _ => None,
        }
    }

    /// The name of a context.
    fn name(&mut self) -> Result<String, Error> {
        let sentence = match self.peek(0) {
            Some(TokenTree::Literal(literal)) => match unquote(&literal.to_string()) {
                Some(name) if name.contains(['{', '}']) => {
                    "a context's name is not formatted: make a field of it, `context!(\"request\", id)`"
                }
                Some(name) if !name.is_empty() => {
                    self.at += 1;
                    return Ok(name);
                }
                _ => "a context has a name, a string literal that is not empty: `context!(\"request\")`",
            },
            _ => "a context has a name, a string literal before its fields: `context!(\"request\", id)`",
        };
        Err(Error::new(self.span(), sentence))
    }

    /// The message's text, if it is next.
    fn text(&mut self) -> Result<Option<Text>, Error> {
        match self.peek(0) {
            Some(TokenTree::Literal(literal)) => {
                let literal = literal.clone();
                let Some(text) = unquote(&literal.to_string()) else {
                    return Err(Error::new(
                        literal.span(),
                        "a message is a string literal: `\"{}\"` prints a value",
                    ));
                };
                if self.is_operator(1, '=') {
                    return Ok(None); // "http.status" = 200
                }
                self.at += 1;
                Ok(Some(Text::Literal(literal, text)))
            }
            _ => Ok(self.macro_call().map(Text::Macro)),
        }
    }

    /// `concat!(…)`, `std::stringify!(…)`, if it is next.
    fn macro_call(&mut self) -> Option<Vec<TokenTree>> {
        let mut ahead = 0;
        while let Some(tree) = self.peek(ahead) {
            match tree {
                TokenTree::Ident(_) => {}
                TokenTree::Punct(punct) if punct.as_char() == ':' => {}
                TokenTree::Punct(punct) if ahead > 0 && punct.as_char() == '!' => {
                    let Some(TokenTree::Group(_)) = self.peek(ahead + 1) else { return None };
                    let call = self.trees[self.at..=self.at + ahead + 1].to_vec();
                    self.at += call.len();
                    return Some(call);
                }
                _ => return None,
            }
            ahead += 1;
        }
        None
    }

    /// What follows the message.
    fn arguments(&mut self) -> Result<Vec<Argument>, Error> {
        let mut arguments = Vec::new();
        self.comma("the message's arguments")?;
        while !self.is_at_end() {
            let name = match self.peek(0) {
                Some(TokenTree::Ident(name)) if self.is_operator(1, '=') => Some(name.clone()),
                _ => None,
            };
            if name.is_some() {
                self.at += 2;
            }
            arguments.push(Argument { name, value: self.expression("an argument of the message")? });
            self.comma("the next argument")?;
        }
        Ok(arguments)
    }

    fn field(&mut self) -> Result<Field, Error> {
        if let Some(style) = self.sigil() {
            let (name, path) = self.path()?;
            return Ok(Field { name, style, value: Expression(path) });
        }
        let (name, path) = match self.peek(0) {
            Some(TokenTree::Literal(literal)) => {
                let name = unquote(&literal.to_string()).unwrap_or_default();
                self.at += 1;
                (name, Vec::new())
            }
            _ => self.path()?,
        };
        if !self.is_operator(0, '=') {
            return Ok(Field { name, style: Style::Value, value: Expression(path) });
        }
        self.at += 1;
        let style = self.sigil().unwrap_or(Style::Value);
        let value = self.expression(&format!("a value after `{name} =`"))?;
        Ok(Field { name, style, value })
    }

    fn sigil(&mut self) -> Option<Style> {
        let style = match self.peek(0) {
            Some(TokenTree::Punct(punct)) if punct.as_char() == '%' => Style::Display,
            Some(TokenTree::Punct(punct)) if punct.as_char() == '?' => Style::Debug,
            _ => return None,
        };
        self.at += 1;
        Some(style)
    }

    /// `order.total`: the name, and the tokens, which are an expression as well.
    fn path(&mut self) -> Result<(String, Vec<TokenTree>), Error> {
        self.unwrap_group();
        let start = self.at;
        let mut name = String::new();
        loop {
            match self.peek(0) {
                Some(TokenTree::Ident(segment)) => {
                    name.push_str(&plain(segment));
                }
                Some(TokenTree::Literal(index)) if !name.is_empty() => name.push_str(&index.to_string()),
                _ => {
                    let sentence = "expected a field (`name`, `name = value`, `%name`, `?name`) or the message, a string literal";
                    return Err(Error::new(self.span(), sentence));
                }
            }
            self.at += 1;
            if !self.is_operator(0, '.') {
                break;
            }
            name.push('.');
            self.at += 1;
        }
        let is_whole = self.is_at_end() || self.is_operator(0, '=') || self.is_operator(0, ',');
        if !is_whole && !matches!(self.peek(0), Some(TokenTree::Literal(_) | TokenTree::Ident(_))) {
            let sentence = "a field without a name is a path; name this value: `name = value`";
            return Err(Error::new(self.span(), sentence));
        }
        Ok((name, self.trees[start..self.at].to_vec()))
    }

    /// The comma after a part, or the end.
    fn comma(&mut self, next: &str) -> Result<(), Error> {
        match self.next() {
            None => Ok(()),
            Some(TokenTree::Punct(punct)) if punct.as_char() == ',' => Ok(()),
            Some(tree) => Err(Error::new(tree.span(), format!("expected a comma before {next}"))),
        }
    }

    /// All up to the comma that ends an expression, or to the end.
    fn expression(&mut self, what: &str) -> Result<Expression, Error> {
        let start = self.at;
        let mut angles = 0; // generic arguments that are open
        let mut parameters = false; // within the |…| of a closure
        let mut cast = false; // within the type after `as`
        while let Some(tree) = self.peek(0) {
            let before = &self.trees[start..self.at];
            let begins = |bracket| begins_operand(before) && !is_joint(before, bracket); // neither `<<` nor `||`
            match tree {
                TokenTree::Punct(punct) => match punct.as_char() {
                    ',' if angles == 0 && !parameters => break,
                    '<' if angles > 0 || cast || is_joint(before, ':') || begins('<') => angles += 1,
                    '>' if angles > 0 && !is_joint(before, '-') && !is_joint(before, '=') => angles -= 1,
                    '|' if parameters || begins('|') => parameters = !parameters,
                    ':' | '*' | '&' | '\'' => {}
                    _ => cast = false,
                },
                TokenTree::Ident(word) => cast |= word.to_string() == "as",
                TokenTree::Literal(_) if ends_operand(before) => {
                    return Err(Error::new(tree.span(), "expected a comma before this literal"));
                }
                TokenTree::Literal(_) | TokenTree::Group(_) => cast = false,
            }
            self.at += 1;
        }
        if self.at == start {
            return Err(Error::new(self.span(), format!("expected {what}")));
        }
        Ok(Expression(self.trees[start..self.at].to_vec()))
    }
}

/// Whether the last token is this operator and what follows belongs to it: the `-` of `->`, the `:` of `::<`.
fn is_joint(before: &[TokenTree], operator: char) -> bool {
    let joint = |tree: &TokenTree| match tree {
        TokenTree::Punct(punct) => punct.as_char() == operator && punct.spacing() == Spacing::Joint,
        _ => false,
    };
    match operator {
        ':' => matches!(before, [.., first, TokenTree::Punct(last)] if joint(first) && last.as_char() == ':'),
        _ => before.last().is_some_and(joint),
    }
}

/// Words after which an operand may follow.
const OPERATOR_WORDS: [&str; 12] =
    ["as", "box", "break", "else", "if", "in", "match", "move", "mut", "raw", "return", "while"];

/// Whether an operand begins after these tokens: `<` is then a qualified path, `|` a closure.
fn begins_operand(before: &[TokenTree]) -> bool {
    match before.last() {
        None => true,
        Some(TokenTree::Punct(punct)) => !matches!(punct.as_char(), '?' | '>'),
        Some(TokenTree::Ident(word)) => OPERATOR_WORDS.contains(&word.to_string().as_str()),
        Some(TokenTree::Group(_) | TokenTree::Literal(_)) => false,
    }
}

/// Whether an operand is complete, so that no literal can follow.
fn ends_operand(before: &[TokenTree]) -> bool {
    match before.last() {
        Some(TokenTree::Literal(_)) => true,
        Some(TokenTree::Group(group)) => group.delimiter() != Delimiter::Brace,
        Some(TokenTree::Ident(word)) => !OPERATOR_WORDS.contains(&word.to_string().as_str()),
        Some(TokenTree::Punct(punct)) => punct.as_char() == '?',
        None => false,
    }
}
