//! What `#[derive(Encode)]` reads of a struct or an enum: names, fields, generics, and our own attributes.
//!
//! ```text
//! item      = attributes [ visibility ] ( "struct" | "enum" ) name [ generics ] … [ where ] …
//! attribute = "#" "[" "encode" "(" ( "skip" | "redact" | "crate" "=" path ) ")" "]"
//! ```
//! Types, bounds and discriminants are not understood, only where they end: at a comma that is in no brackets and in no
//! list of generic arguments.

use proc_macro::{Delimiter, Group, Ident, Punct, Spacing, Span, TokenTree};

use crate::grammar::Error;
use crate::message::plain;
use crate::tokens::Root;

/// A type that derives `Encode`.
pub(crate) struct Item {
    pub(crate) root: Root,
    pub(crate) name: Ident,
    pub(crate) generics: Vec<Parameter>,
    /// What follows `where`.
    pub(crate) predicates: Vec<TokenTree>,
    pub(crate) content: Content,
}

pub(crate) enum Content {
    Struct(Fields),
    Enum(Vec<Variant>),
}

pub(crate) struct Variant {
    pub(crate) name: Ident,
    pub(crate) fields: Fields,
}

pub(crate) struct Fields {
    pub(crate) is_named: bool,
    pub(crate) all: Vec<Field>,
}

pub(crate) struct Field {
    /// `None` in a tuple.
    pub(crate) name: Option<Ident>,
    pub(crate) kind: Vec<TokenTree>,
    pub(crate) treatment: Treatment,
}

/// What becomes of a field.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Treatment {
    Keep,
    Skip,
    Redact,
}

/// A lifetime, a type or a constant that the item is generic over.
pub(crate) struct Parameter {
    /// Without a default.
    pub(crate) declaration: Vec<TokenTree>,
    pub(crate) argument: Vec<TokenTree>,
    pub(crate) is_type: bool,
}

impl Item {
    pub(crate) fn parse(trees: Vec<TokenTree>) -> Result<Item, Error> {
        let mut rest = Rest(&trees);
        let root = match rest.attributes(Place::Item)? {
            Attribute::Crate(path) => path,
            _ => default_root(),
        };
        rest.visibility();
        let keyword = rest.ident("a struct or an enum")?;
        let name = rest.ident("a name")?;
        let generics = rest.generics()?;
        let before_where = rest.group(Delimiter::Parenthesis); // struct Name(…) where …;
        let mut predicates = match rest.0.first() {
            Some(TokenTree::Ident(word)) if word.to_string() == "where" => {
                rest.0 = &rest.0[1..];
                rest.until(|tree| is_punct(tree, ';') || is_group(tree, Delimiter::Brace))
            }
            _ => Vec::new(),
        };
        if predicates.last().is_some_and(|last| is_punct(last, ',')) {
            predicates.pop();
        }
        let braces = rest.group(Delimiter::Brace);
        let content = match (keyword.to_string().as_str(), before_where, braces) {
            ("struct", tuple, braces) => Content::Struct(fields(tuple.or(braces))?),
            ("enum", None, Some(braces)) => Content::Enum(variants(&braces)?),
            _ => return Err(Error::new(keyword.span(), "`Encode` can be derived for structs and enums")),
        };
        Ok(Item { root, name, generics, predicates, content })
    }
}

impl Fields {
    /// Those that are part of a record.
    pub(crate) fn kept(&self) -> impl Iterator<Item = (usize, &Field)> {
        self.all.iter().enumerate().filter(|(_, field)| field.treatment != Treatment::Skip)
    }
}

impl Field {
    /// `name` of `r#name`.
    pub(crate) fn text(&self) -> String {
        self.name.as_ref().map(plain).unwrap_or_default()
    }
}

/// `::treering`
pub(crate) fn default_root() -> Root {
    let colon = |spacing| TokenTree::Punct(Punct::new(':', spacing));
    let name = Ident::new("treering", Span::mixed_site());
    [colon(Spacing::Joint), colon(Spacing::Alone), name.into()].into()
}

fn fields(group: Option<Group>) -> Result<Fields, Error> {
    let Some(group) = group else { return Ok(Fields { is_named: true, all: Vec::new() }) };
    let is_named = group.delimiter() == Delimiter::Brace;
    let trees: Vec<_> = group.stream().into_iter().collect();
    let mut rest = Rest(&trees);
    let mut all = Vec::new();
    while !rest.0.is_empty() {
        let treatment = match rest.attributes(Place::Field)? {
            Attribute::Treatment(treatment) => treatment,
            _ => Treatment::Keep,
        };
        rest.visibility();
        let name = if is_named { Some(rest.ident("a field")?) } else { None };
        if is_named {
            rest.0 = rest.0.get(1..).unwrap_or(&[]); // the colon
        }
        all.push(Field { name, kind: rest.part(), treatment });
    }
    Ok(Fields { is_named, all })
}

fn variants(group: &Group) -> Result<Vec<Variant>, Error> {
    let trees: Vec<_> = group.stream().into_iter().collect();
    let mut rest = Rest(&trees);
    let mut all = Vec::new();
    while !rest.0.is_empty() {
        rest.attributes(Place::Variant)?;
        let name = rest.ident("a variant")?;
        let group = rest.group(Delimiter::Parenthesis).or_else(|| rest.group(Delimiter::Brace));
        all.push(Variant { name, fields: fields(group)? });
        rest.part(); // the discriminant
    }
    Ok(all)
}

/// What an attribute of ours says.
enum Attribute {
    None,
    Treatment(Treatment),
    Crate(Root),
}

/// What an attribute stands before.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Item,
    Variant,
    Field,
}

/// The tokens that are not read yet.
struct Rest<'a>(&'a [TokenTree]);

impl Rest<'_> {
    /// Takes attributes, and understands the last one of ours.
    fn attributes(&mut self, place: Place) -> Result<Attribute, Error> {
        let mut ours = Attribute::None;
        while let [TokenTree::Punct(hash), TokenTree::Group(group), rest @ ..] = self.0
            && hash.as_char() == '#'
        {
            self.0 = rest;
            let inner: Vec<_> = group.stream().into_iter().collect();
            if let [TokenTree::Ident(name), content @ ..] = &inner[..]
                && name.to_string() == "encode"
            {
                ours = attribute(name, content, place)?;
            }
        }
        Ok(ours)
    }

    /// Passes over `pub` and `pub(…)`.
    fn visibility(&mut self) {
        if let [TokenTree::Ident(word), rest @ ..] = self.0
            && word.to_string() == "pub"
        {
            self.0 = rest;
            self.group(Delimiter::Parenthesis);
        }
    }

    fn ident(&mut self, what: &str) -> Result<Ident, Error> {
        match self.0 {
            [TokenTree::Ident(name), rest @ ..] => {
                self.0 = rest;
                Ok(name.clone())
            }
            _ => Err(Error::new(
                self.0.first().map_or_else(Span::call_site, TokenTree::span),
                format!("expected {what}"),
            )),
        }
    }

    fn group(&mut self, delimiter: Delimiter) -> Option<Group> {
        match self.0 {
            [TokenTree::Group(group), rest @ ..] if group.delimiter() == delimiter => {
                self.0 = rest;
                Some(group.clone())
            }
            _ => None,
        }
    }

    /// Takes all before the first tree that is an end and stands in no list of generic arguments.
    fn until(&mut self, is_end: impl Fn(&TokenTree) -> bool) -> Vec<TokenTree> {
        let mut angles = 0;
        let mut arrow = false; // the last was the `-` of `->`
        let end = self.0.iter().position(|tree| {
            match tree {
                _ if angles == 0 && is_end(tree) => return true,
                TokenTree::Punct(punct) if punct.as_char() == '<' => angles += 1,
                TokenTree::Punct(punct) if punct.as_char() == '>' && !arrow && angles > 0 => angles -= 1,
                _ => {}
            }
            arrow = is_punct(tree, '-');
            false
        });
        let (taken, rest) = self.0.split_at(end.unwrap_or(self.0.len()));
        self.0 = rest;
        taken.to_vec()
    }

    /// Takes all up to a comma, and the comma.
    fn part(&mut self) -> Vec<TokenTree> {
        let part = self.until(|tree| is_punct(tree, ','));
        self.0 = self.0.get(1..).unwrap_or(&[]);
        part
    }

    /// `<'a, T: Bound = Default, const N: usize>`
    fn generics(&mut self) -> Result<Vec<Parameter>, Error> {
        if !self.0.first().is_some_and(|tree| is_punct(tree, '<')) {
            return Ok(Vec::new());
        }
        self.0 = &self.0[1..];
        let inner = self.until(|tree| is_punct(tree, '>'));
        self.0 = self.0.get(1..).unwrap_or(&[]);
        let mut inner = Rest(&inner);
        let mut all = Vec::new();
        while !inner.0.is_empty() {
            inner.attributes(Place::Variant)?;
            let part = inner.part();
            let declaration = Rest(&part).until(|tree| is_punct(tree, '='));
            let (argument, is_type) = match &declaration[..] {
                [quote @ TokenTree::Punct(_), name, ..] => (vec![quote.clone(), name.clone()], false),
                [TokenTree::Ident(word), name, ..] if word.to_string() == "const" => {
                    (vec![name.clone()], false)
                }
                [name, ..] => (vec![name.clone()], true),
                [] => continue,
            };
            all.push(Parameter { declaration, argument, is_type });
        }
        Ok(all)
    }
}

/// What follows `encode`.
fn attribute(name: &Ident, content: &[TokenTree], place: Place) -> Result<Attribute, Error> {
    let inner: Vec<_> = match content {
        [TokenTree::Group(group)] => group.stream().into_iter().collect(),
        _ => Vec::new(),
    };
    let word = inner.first().map(ToString::to_string).unwrap_or_default();
    match (place, word.as_str(), &inner[..]) {
        (Place::Field, "skip", [_]) => Ok(Attribute::Treatment(Treatment::Skip)),
        (Place::Field, "redact", [_]) => Ok(Attribute::Treatment(Treatment::Redact)),
        (Place::Item, "crate", [_, equals, path @ ..]) if is_punct(equals, '=') && !path.is_empty() => {
            Ok(Attribute::Crate(path.into()))
        }
        _ => Err(Error::new(
            inner.first().map_or(name.span(), TokenTree::span),
            match place {
                Place::Field => "a field has `#[encode(skip)]` or `#[encode(redact)]`",
                Place::Item => "a type has `#[encode(crate = path)]`; `skip` and `redact` are for fields",
                Place::Variant => "`#[encode(skip)]` and `#[encode(redact)]` are for fields",
            },
        )),
    }
}

fn is_punct(tree: &TokenTree, wanted: char) -> bool {
    matches!(tree, TokenTree::Punct(punct) if punct.as_char() == wanted)
}

fn is_group(tree: &TokenTree, wanted: Delimiter) -> bool {
    matches!(tree, TokenTree::Group(group) if group.delimiter() == wanted)
}
