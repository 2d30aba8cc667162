//! From a [`Call`] to the code that logs it.
//!
//! `info!(qty, "filled {qty} at {price:>8.2}")` becomes, every name of ours through `$crate::__private`:
//!
//! ```text
//! {
//!     if compiled_in(Level::Info) {
//!         static METADATA: Metadata = Metadata { level, target, …, pieces: &[…], fields: &[…] };
//!         static CALLSITE: Callsite = Callsite::new(&METADATA);
//!         let gate = gate(&CALLSITE);
//!         if enabled(gate) {                            // nothing of the user's is evaluated before this
//!             match (&(qty), &(qty), &(price),) {       // each expression once, and only borrowed
//!                 (a0, a1, a2,) => {
//!                     use tiers::*;
//!                     emit(&CALLSITE, (<slot of a0>, (<slot of a1>, (<slot of a2>, ()))), gate);
//!                 }
//!             }
//!         }
//!     }
//! }
//! ```
//!
//! A limit stands between the gate and the arguments, in a static of its own:
//!
//! ```text
//!     static LIMIT: Limit = Limit::every(&METADATA, 100);
//!     if let Some(suppressed) = pass(&LIMIT) { … }          // with `logger:`, within a `match` that binds it
//! ```
//!
//! A context has the same statics and arguments, without a gate: `context(&CALLSITE, (<slot of a0>, …))` is its value.
//!
//! The *argument list* has a slot for each field, then one for what a limit kept back, then, in the order of the message, one for each placeholder and
//! for each width or precision that is an argument; pieces and fields name slots by position. The tiers of
//! `record::encode` choose a slot's type by that of its value.
//!
//! Traits are checked slot by slot, by rustc, on tokens that are spanned like the user's expression. A message that
//! we cannot read has one slot, its text, made by `format_args!` of the user's own tokens: if it is wrong, rustc
//! says so and underlines inside the literal; if it is `concat!(…)`, it is formatted at the call. Each call could
//! show rustc its literal in a block that never runs; 1,000 calls then took a quarter more CPU time to build.

use proc_macro::{Ident, Span, TokenStream, TokenTree};

use crate::grammar::{self, Call, Error, Limit, Style, Text};
use crate::message::{Binding, Message, Piece};
use crate::tokens::{Root, Tokens};

/// The code for a call.
pub(crate) fn expand(call: &Call) -> TokenStream {
    let mut bindings: Vec<Binding> =
        call.fields.iter().map(|field| Binding::of(None, &field.value)).collect();
    let message = Message::resolve(call, &mut bindings);
    let expansion = Expansion { call, message, bindings };
    let mut code = Tokens::new(&call.root);
    expansion.whole(&mut code);
    code.into()
}

/// `compile_error!`, pointing at what the user wrote. `root` is `$crate`.
pub(crate) fn compile_error(root: &Root, error: &Error) -> TokenStream {
    let mut code = Tokens::new(root);
    code.code("$compile_error !").braces(|code| code.string(&error.sentence));
    let locate = |mut tree: TokenTree| {
        tree.set_span(tree.span().located_at(error.span));
        tree
    };
    TokenStream::from(code).into_iter().map(locate).collect()
}

/// Our own variables, beside those of the bindings.
const LOGGER: &str = "__treering_logger";
const SUPPRESSED: &str = "__treering_suppressed";

struct Expansion<'a> {
    call: &'a Call,
    message: Message<'a>,
    /// All expressions of the user's that are evaluated: fields, the message's arguments, captured variables.
    bindings: Vec<Binding>,
}

impl Expansion<'_> {
    fn whole<'t>(&self, code: &'t mut Tokens) -> &'t mut Tokens {
        if self.call.name.is_some() {
            return code.braces(|code| self.bind(self.statics(code)));
        }
        code.braces(|code| {
            code.code("if $compiled_in").parens(|code| self.level(code)).braces(|code| {
                self.statics(code)
                    .code("let __treering_gate = $gate")
                    .parens(|code| code.code("& __TREERING_CALLSITE"));
                code.code("; if $enabled (__treering_gate)").braces(|code| match &self.call.limit {
                    Some(limit) => self.limit(limit, code),
                    None => self.bind(code),
                })
            })
        })
    }

    fn statics<'t>(&self, code: &'t mut Tokens) -> &'t mut Tokens {
        // A static of its own: a level or a target may be an expression that is not promoted.
        code.code("static __TREERING_METADATA : $Metadata = $Metadata");
        code.braces(|code| self.metadata(code)).code(";");
        code.code("static __TREERING_CALLSITE : $Callsite = $Callsite::new");
        code.parens(|code| code.code("& __TREERING_METADATA")).code(";")
    }

    fn level<'t>(&self, code: &'t mut Tokens) -> &'t mut Tokens {
        code.append(self.call.level.stream())
    }

    fn metadata<'t>(&self, code: &'t mut Tokens) -> &'t mut Tokens {
        self.level(code.code("level :")).code(", target :");
        match &self.call.target {
            Some(target) => code.trees(&target.0),
            None => code.code("$module_path ! ()"),
        };
        code.code(", module_path : $module_path ! () , file : $file ! () , line : $line ! () , instance :");
        code.code(if self.call.logger.is_some() { "true" } else { "false" });
        code.code(", pieces : &").brackets(|code| self.pieces(code));
        code.code(", fields : &").brackets(|code| self.fields(code))
    }

    fn fields<'t>(&self, code: &'t mut Tokens) -> &'t mut Tokens {
        for (slot, field) in self.call.fields.iter().enumerate() {
            code.code("$Field").braces(|code| {
                code.code("name :").string(&field.name).code(", argument :").number(slot);
                code.code(match field.style {
                    Style::Value => ", style : $Style::Value",
                    Style::Display => ", style : $Style::Display",
                    Style::Debug => ", style : $Style::Debug",
                })
            });
            code.code(",");
        }
        if self.tells_of_suppressed() {
            code.code("$Field").braces(|code| {
                code.code("name :").string("suppressed").code(", argument :").number(self.call.fields.len());
                code.code(", style : $Style::Value")
            });
        }
        code
    }

    fn pieces<'t>(&self, code: &'t mut Tokens) -> &'t mut Tokens {
        if let Some(name) = &self.call.name {
            return code.code("$Piece::Literal").parens(|code| code.string(name));
        }
        let mut slot = self.call.fields.len() + usize::from(self.tells_of_suppressed());
        match &self.message {
            Message::Eager { .. } => {
                code.code("$Piece::Argument").parens(|code| code.number(slot).code(", $Spec::DISPLAY"));
            }
            Message::Read { pieces } => {
                for piece in pieces {
                    match piece {
                        Piece::Literal(text) => code.code("$Piece::Literal").parens(|code| code.string(text)),
                        Piece::Placeholder(hole) => code.code("$Piece::Argument").parens(|code| {
                            code.number(slot).code(",");
                            slot += 1;
                            hole.spec(&mut slot, code)
                        }),
                    };
                    code.code(",");
                }
            }
        }
        code
    }

    /// Asks the limit, before any argument is evaluated. It counts by engine, so that the logger is known first.
    fn limit<'t>(&self, limit: &Limit, code: &'t mut Tokens) -> &'t mut Tokens {
        let span = ours(Some(&limit.key.clone().into()));
        code.code("static __TREERING_LIMIT : $Limit = $Limit").operator("::", span);
        code.tree(Ident::new(&limit.key.to_string(), span));
        code.parens(|code| code.code("& __TREERING_METADATA ,").trees(&limit.value.0)).code(";");
        match &self.call.logger {
            Some(logger) => self.bind_to(&[(LOGGER.to_owned(), &logger.0)], code, |this, code| {
                this.pass("$pass_to", "& __TREERING_LIMIT , __treering_logger , __treering_gate", code);
            }),
            None => self.pass("$pass", "& __TREERING_LIMIT", code),
        }
    }

    fn pass<'t>(&self, pass: &str, arguments: &str, code: &'t mut Tokens) -> &'t mut Tokens {
        let told = if self.tells_of_suppressed() { SUPPRESSED } else { "_" };
        code.code("if let $Option::Some").parens(|code| code.code(told)).code("=");
        code.code(pass).parens(|code| code.code(arguments)).braces(|code| self.bind(code))
    }

    fn tells_of_suppressed(&self) -> bool {
        self.call.limit.as_ref().is_some_and(Limit::is_told)
    }

    /// Evaluates the arguments, and with them the logger, unless a limit has asked for it before.
    fn bind<'t>(&self, code: &'t mut Tokens) -> &'t mut Tokens {
        let logger = self.call.logger.iter().filter(|_| self.call.limit.is_none());
        let logger = logger.map(|logger| (LOGGER.to_owned(), &logger.0));
        let others = self.bindings.iter().enumerate().map(|(at, binding)| (variable(at), &binding.value));
        let bound: Vec<_> = logger.chain(others).collect();
        if bound.is_empty() {
            return self.emit(code);
        }
        self.bind_to(&bound, code, |this, code| {
            this.emit(code);
        })
    }

    /// Binds references to values, each evaluated once, for what `then` writes.
    fn bind_to<'t>(
        &self,
        bound: &[(String, &Vec<TokenTree>)],
        code: &'t mut Tokens,
        then: impl FnOnce(&Self, &mut Tokens),
    ) -> &'t mut Tokens {
        code.code("match").parens(|code| {
            bound
                .iter()
                .fold(code, |code, (_, value)| code.code("&").parens(|code| code.trees(value)).code(","))
        });
        code.braces(|code| {
            code.parens(|code| bound.iter().fold(code, |code, (name, _)| code.code(name).code(",")));
            code.code("=>").braces(|code| {
                then(self, code);
                code
            })
        })
    }

    /// Emits the record, or makes the context.
    fn emit<'t>(&self, code: &'t mut Tokens) -> &'t mut Tokens {
        let slots = self.slots();
        if !slots.is_empty() {
            code.code("#").brackets(|code| code.code("allow (unused_imports)"));
            code.code("use $tiers :: * ;");
        }
        let is_context = self.call.name.is_some();
        let does = match (is_context, self.call.logger.is_some()) {
            (false, false) => "$emit",
            (false, true) => "$emit_to",
            (true, false) => "$context",
            (true, true) => "$context_to",
        };
        code.code(does).parens(|code| {
            if self.call.logger.is_some() {
                code.code(LOGGER).code(",");
            }
            nest(slots.into_iter(), code.code("& __TREERING_CALLSITE ,"));
            code.code(if is_context { "" } else { ", __treering_gate" })
        });
        code.code(if is_context { "" } else { ";" })
    }

    /// The elements of the argument list.
    fn slots(&self) -> Vec<Tokens> {
        let mut slots = Vec::new();
        let mut slot = |write: &dyn Fn(&mut Tokens)| {
            let mut code = Tokens::new(&self.call.root);
            write(&mut code);
            slots.push(code);
        };
        for (at, field) in self.call.fields.iter().enumerate() {
            slot(&|code| match field.style {
                Style::Value => self.choose("& & & & $FieldSlot", at, code),
                Style::Display => self.place("& $Slot", "{}", &[at], code),
                Style::Debug => self.place("& $DebugSlot", "{:?}", &[at], code),
            });
        }
        if self.tells_of_suppressed() {
            slot(&|code| {
                code.code(SUPPRESSED);
            });
        }
        match &self.message {
            Message::Eager { source } => slot(&|code| {
                code.code("$Formatted::new").parens(|code| self.format_args(source, code));
            }),
            Message::Read { pieces } => {
                for piece in pieces {
                    let Piece::Placeholder(hole) = piece else { continue };
                    let values = hole.bindings();
                    slot(&|code| match hole.template().as_str() {
                        "{}" => self.choose("& & & $ShownSlot", hole.value, code),
                        "{:?}" => self.choose("& & & $InspectedSlot", hole.value, code),
                        template if hole.is_pointer() => {
                            code.code("$Formatted::new");
                            code.parens(|code| self.format_one(template, &values, code));
                        }
                        template if hole.is_debug() => self.place("& $DebugSlot", template, &values, code),
                        template => self.place("& $Slot", template, &values, code),
                    });
                    for count in &values[1..] {
                        slot(&|code| {
                            code.code("$Encode::hold").parens(|code| self.reference(*count, code));
                        });
                    }
                }
            }
        }
        slots
    }

    /// A slot whose tier knows how its text is made: `(&&&ShownSlot(a0)).treering_slot()`.
    fn choose(&self, slot: &str, value: usize, code: &mut Tokens) {
        let span = ours(self.bindings[value].value.last());
        code.parens(|code| code.code(slot).parens(|code| self.reference(value, code)));
        code.operator(".", span).tree(Ident::new("treering_slot", span)).code("()");
    }

    /// A slot that is printed by a placeholder; `values` are the value, and width and precision that are arguments.
    fn place(&self, slot: &str, template: &str, values: &[usize], code: &mut Tokens) {
        code.parens(|code| code.code(slot).parens(|code| self.reference(values[0], code)));
        code.code(". treering_slot").parens(|code| self.format_one(template, values, code));
    }

    /// `format_args!("{:1$}", *a0, *a1)`
    fn format_one<'t>(&self, template: &str, values: &[usize], code: &'t mut Tokens) -> &'t mut Tokens {
        code.code("$format_args !").parens(|code| {
            values.iter().fold(code.string(template), |code, at| self.value(*at, code.code(",")))
        })
    }

    /// `format_args!` with the user's own message, over the references.
    fn format_args<'t>(&self, source: &grammar::Message, code: &'t mut Tokens) -> &'t mut Tokens {
        code.code("$format_args !").parens(|code| {
            match &source.text {
                Text::Literal(literal, _) => code.tree(literal.clone()),
                Text::Macro(call) => code.trees(call),
            };
            for (at, binding) in self.bindings.iter().enumerate().skip(self.call.fields.len()) {
                code.code(",");
                if let Some(name) = &binding.name {
                    code.tree(name.clone()).code("=");
                }
                self.value(at, code);
            }
            code
        })
    }

    /// The reference to a binding. It is spanned like the user's expression, so that rustc underlines that one.
    fn reference<'t>(&self, at: usize, code: &'t mut Tokens) -> &'t mut Tokens {
        code.tree(Ident::new(&variable(at), ours(self.bindings[at].value.last())))
    }

    /// What a binding refers to.
    fn value<'t>(&self, at: usize, code: &'t mut Tokens) -> &'t mut Tokens {
        self.reference(at, code.operator("*", ours(self.bindings[at].value.first())))
    }
}

/// Our own hygiene at a place of the user's.
fn ours(tree: Option<&TokenTree>) -> Span {
    tree.map_or_else(Span::mixed_site, |tree| Span::mixed_site().located_at(tree.span()))
}

fn variable(at: usize) -> String {
    format!("__treering_{at}")
}

/// `(first, (second, ()))`: lists of any length, each a type of its own.
pub(crate) fn nest(mut slots: impl Iterator<Item = Tokens>, code: &mut Tokens) -> &mut Tokens {
    match slots.next() {
        Some(first) => code.parens(|code| nest(slots, code.append(first).code(","))),
        None => code.code("()"),
    }
}
