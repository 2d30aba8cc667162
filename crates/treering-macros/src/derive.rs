//! From an [`Item`] to its implementation of `Encode`.
//!
//! ```text
//! impl<T> Named for Order<T> { const SHAPES: &'static [Shape] = &[Shape { name: "Order", members: …, is_whole: true }]; }
//!
//! unsafe impl<T> Encode for Order<T> where T: Encode {
//!     type Held<'treering> = Struct<Self, (<u64 as Encode>::Held<'treering>, (<T as Encode>::Held<'treering>, ()))>
//!         where Self: 'treering;
//!     fn hold(&self) -> Self::Held<'_> { match self { Self { id: v0, rest: v1 } => Struct::new((hold(v0), (hold(v1), ()))) } }
//! }
//! ```
//! An enum's held value is a `Variant` over `OneOf<(first variant's fields), OneOf<(second's), ()>>`, of the variants that
//! have fields. The implementation is unsafe as the trait is: it runs nothing but `hold` of the fields, in treering's own
//! containers. Its tokens are a derive's, so crates that forbid `unsafe` of their own may have it.

use proc_macro::{Ident, Span, TokenStream};

use crate::expand;
use crate::item::{Content, Field, Fields, Item, Treatment, Variant};
use crate::message::plain;
use crate::tokens::Tokens;

/// The code for a type.
pub(crate) fn derive(item: &Item) -> TokenStream {
    let mut code = Tokens::new(&item.root);
    head(item, "impl", "$Named", false, &mut code).braces(|code| {
        code.code("const SHAPES : & 'static").brackets(|code| code.code("$Shape")).code("= &");
        code.brackets(|code| shapes(item, code)).code(";")
    });
    head(item, "unsafe impl", "$Encode", true, &mut code).braces(|code| {
        code.code("type Held < 'treering > =");
        held_type(item, code).code("where Self : 'treering ;");
        code.code("#")
            .brackets(|code| code.code("inline"))
            .code("fn hold")
            .parens(|code| code.code("& self"));
        code.code("-> Self :: Held < '_ >").braces(|code| held_value(item, code))
    });
    code.into()
}

/// `impl<T> Trait for Name<T> where …`, up to the brace.
fn head<'t>(item: &Item, begin: &str, name: &str, is_bound: bool, code: &'t mut Tokens) -> &'t mut Tokens {
    code.code(begin).code("<");
    for parameter in &item.generics {
        code.trees(&parameter.declaration).code(",");
    }
    code.code(">").code(name).code("for").tree(item.name.clone()).code("<");
    for parameter in &item.generics {
        code.trees(&parameter.argument).code(",");
    }
    code.code("> where").trees(&item.predicates);
    if !item.predicates.is_empty() {
        code.code(",");
    }
    for parameter in item.generics.iter().filter(|parameter| is_bound && parameter.is_type) {
        code.trees(&parameter.argument).code(": $Encode ,");
    }
    code
}

fn shapes<'t>(item: &Item, code: &'t mut Tokens) -> &'t mut Tokens {
    match &item.content {
        Content::Struct(fields) => shape(&item.name, fields, code),
        Content::Enum(variants) => {
            variants.iter().fold(code, |code, variant| shape(&variant.name, &variant.fields, code))
        }
    }
}

fn shape<'t>(name: &Ident, fields: &Fields, code: &'t mut Tokens) -> &'t mut Tokens {
    code.code("$Shape").braces(|code| {
        code.code("name :").string(&plain(name)).code(", members :");
        if fields.is_named {
            code.code("$Members::Named").parens(|code| {
                code.code("&").brackets(|code| {
                    fields.kept().fold(code, |code, (_, field)| code.string(&field.text()).code(","))
                })
            });
        } else {
            code.code("$Members::Numbered").parens(|code| code.number(fields.kept().count()));
        }
        let is_whole = fields.kept().count() == fields.all.len();
        code.code(", is_whole :").code(if is_whole { "true" } else { "false" })
    });
    code.code(",")
}

fn held_type<'t>(item: &Item, code: &'t mut Tokens) -> &'t mut Tokens {
    match &item.content {
        Content::Struct(fields) => {
            code.code("$Struct < Self ,");
            held_list(fields, code)
        }
        Content::Enum(variants) => {
            code.code("$Variant < Self ,");
            let with_fields: Vec<_> = with_fields(variants).collect();
            for variant in &with_fields {
                code.code("$OneOf <");
                held_list(&variant.fields, code).code(",");
            }
            code.code("()");
            with_fields.iter().fold(code, |code, _| code.code(">"))
        }
    }
    .code(">")
}

/// `(A, (B, ()))` of the held types.
fn held_list<'t>(fields: &Fields, code: &'t mut Tokens) -> &'t mut Tokens {
    nest(fields, code, &|_, field, code| {
        match field.treatment {
            Treatment::Redact => code.code("$Redacted"),
            _ => code.code("<").trees(&field.kind).code("as $Encode > :: Held < 'treering >"),
        };
    })
}

fn held_value<'t>(item: &Item, code: &'t mut Tokens) -> &'t mut Tokens {
    match &item.content {
        Content::Enum(variants) if variants.is_empty() => code.code("match * self").braces(|code| code),
        Content::Struct(fields) => code.code("match self").braces(|code| {
            pattern(code.code("Self"), fields).code("=> $Struct::new").parens(|code| values(fields, code))
        }),
        Content::Enum(variants) => code.code("match self").braces(|code| {
            let mut before = 0; // variants with fields
            for (position, Variant { name, fields }) in variants.iter().enumerate() {
                pattern(code.code("Self ::").tree(name.clone()), fields).code("=> $Variant::new");
                let has_fields = fields.kept().next().is_some();
                code.parens(|code| {
                    code.number(position).code(",");
                    let rests = if has_fields { before } else { with_fields(variants).count() };
                    in_rests(rests, code, &|code| match has_fields {
                        true => code.code("$OneOf::First").parens(|code| values(fields, code)),
                        false => code.code("()"),
                    })
                });
                code.code(",");
                before += usize::from(has_fields);
            }
            code
        }),
    }
}

/// `{ name: v0, 1: v1, .. }`, which fits every kind of fields.
fn pattern<'t>(code: &'t mut Tokens, fields: &Fields) -> &'t mut Tokens {
    code.braces(|code| {
        for (at, field) in fields.kept().filter(|(_, field)| field.treatment == Treatment::Keep) {
            match &field.name {
                Some(name) => code.tree(name.clone()),
                None => code.number(at),
            };
            code.code(":").tree(variable(at)).code(",");
        }
        code.code("..")
    })
}

/// `(hold(v0), (hold(v1), ()))`
fn values<'t>(fields: &Fields, code: &'t mut Tokens) -> &'t mut Tokens {
    nest(fields, code, &|at, field, code| {
        match field.treatment {
            Treatment::Redact => code.code("$Redacted"),
            _ => code.code("$Encode::hold").parens(|code| code.tree(variable(at))),
        };
    })
}

/// `OneOf::Rest(OneOf::Rest(…))`
fn in_rests<'t>(
    rests: usize,
    code: &'t mut Tokens,
    inner: &dyn Fn(&mut Tokens) -> &mut Tokens,
) -> &'t mut Tokens {
    match rests {
        0 => inner(code),
        _ => code.code("$OneOf::Rest").parens(|code| in_rests(rests - 1, code, inner)),
    }
}

/// A list of nested pairs, with an element for each field that is kept.
fn nest<'t>(
    fields: &Fields,
    code: &'t mut Tokens,
    element: &dyn Fn(usize, &Field, &mut Tokens),
) -> &'t mut Tokens {
    let elements: Vec<_> = fields
        .kept()
        .map(|(at, field)| {
            let mut inner = code.sibling();
            element(at, field, &mut inner);
            inner
        })
        .collect();
    expand::nest(elements.into_iter(), code)
}

fn with_fields(variants: &[Variant]) -> impl Iterator<Item = &Variant> {
    variants.iter().filter(|variant| variant.fields.kept().next().is_some())
}

/// What a pattern binds the field at this position to.
fn variable(at: usize) -> Ident {
    Ident::new(&format!("__treering_{at}"), Span::mixed_site())
}
