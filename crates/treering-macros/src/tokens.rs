//! A builder of token streams: what `quote` is elsewhere, as small as this crate needs it.
//!
//! What we write ourselves is spanned *mixed site*, as in `macro_rules!`: variables of ours and of the user cannot
//! meet, whatever their names.

use std::rc::Rc;

use proc_macro::{Delimiter, Group, Ident, Literal, Punct, Spacing, Span, TokenStream, TokenTree};

/// The path of the engine's crate, by whatever name the user's crate knows it.
pub(crate) type Root = Rc<[TokenTree]>;

/// Tokens of an expansion, in order.
pub(crate) struct Tokens {
    trees: Vec<TokenTree>,
    root: Root,
}

impl Tokens {
    pub(crate) fn new(root: &Root) -> Self {
        Tokens { trees: Vec::new(), root: root.clone() }
    }

    /// Nothing yet, over the same root.
    pub(crate) fn sibling(&self) -> Tokens {
        Tokens::new(&self.root)
    }

    /// Words, lifetimes, operators and `(word)`s, with a space between each two. `$a::b` stands for `$crate::__private::a::b`.
    pub(crate) fn code(&mut self, code: &str) -> &mut Self {
        code.split_ascii_whitespace().fold(self, |code, part| {
            if let Some(path) = part.strip_prefix('$') {
                let root = code.root.clone();
                let code = code.trees(&root).operator("::", Span::mixed_site()).word("__private");
                path.split("::").fold(code, |code, part| code.operator("::", Span::mixed_site()).word(part))
            } else if let Some(inner) = part.strip_prefix('(').and_then(|part| part.strip_suffix(')')) {
                code.parens(|code| code.code(inner))
            } else if let Some(lifetime) = part.strip_prefix('\'') {
                code.trees.push(Punct::new('\'', Spacing::Joint).into());
                code.word(lifetime)
            } else if part.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_') {
                code.word(part)
            } else {
                code.operator(part, Span::mixed_site())
            }
        })
    }

    fn word(&mut self, word: &str) -> &mut Self {
        self.tree(Ident::new(word, Span::mixed_site()))
    }

    pub(crate) fn operator(&mut self, operator: &str, span: Span) -> &mut Self {
        let last = operator.len() - 1;
        for (at, char) in operator.chars().enumerate() {
            let mut punct = Punct::new(char, if at < last { Spacing::Joint } else { Spacing::Alone });
            punct.set_span(span);
            self.trees.push(punct.into());
        }
        self
    }

    pub(crate) fn tree(&mut self, tree: impl Into<TokenTree>) -> &mut Self {
        self.trees.push(tree.into());
        self
    }

    pub(crate) fn trees(&mut self, trees: &[TokenTree]) -> &mut Self {
        self.trees.extend_from_slice(trees);
        self
    }

    pub(crate) fn append(&mut self, tokens: impl Into<TokenStream>) -> &mut Self {
        self.trees.extend(tokens.into());
        self
    }

    pub(crate) fn string(&mut self, text: &str) -> &mut Self {
        self.tree(Literal::string(text))
    }

    pub(crate) fn number(&mut self, number: usize) -> &mut Self {
        self.tree(Literal::usize_unsuffixed(number))
    }

    pub(crate) fn character(&mut self, character: char) -> &mut Self {
        self.tree(Literal::character(character))
    }

    pub(crate) fn parens(&mut self, content: impl FnOnce(&mut Tokens) -> &mut Tokens) -> &mut Self {
        self.group(Delimiter::Parenthesis, content)
    }

    pub(crate) fn braces(&mut self, content: impl FnOnce(&mut Tokens) -> &mut Tokens) -> &mut Self {
        self.group(Delimiter::Brace, content)
    }

    pub(crate) fn brackets(&mut self, content: impl FnOnce(&mut Tokens) -> &mut Tokens) -> &mut Self {
        self.group(Delimiter::Bracket, content)
    }

    fn group(&mut self, delimiter: Delimiter, content: impl FnOnce(&mut Tokens) -> &mut Tokens) -> &mut Self {
        let mut inner = Tokens::new(&self.root);
        content(&mut inner);
        let mut group = Group::new(delimiter, inner.into());
        group.set_span(Span::mixed_site());
        self.tree(group)
    }
}

impl From<Tokens> for TokenStream {
    fn from(tokens: Tokens) -> Self {
        tokens.trees.into_iter().collect()
    }
}
