//! The procedural macro behind treering's `info!` and its siblings; not for direct use.
//!
//! A call goes through four hands:
//!
//! ```text
//! info!(…)   shell, in treering: passes `$crate`, so that a renamed or re-exported treering works
//!   └► grammar    keys, fields, message, arguments: tokens in order, expressions unread
//!   └► template   the message's format string: pieces and specs
//!   └► message    which placeholder shows which expression
//!   └► expand     the code: a static, a gate, and behind it the arguments
//! ```
//!
//! What is wrong is said where it stands: by us for the grammar, by rustc for format strings and types, as the
//! expansion shows it the user's own literal and expressions.
//!
//! The crate has no dependencies: it is built before anything that logs, so its build time is everybody's. It reads
//! no types and decides nothing that a type decides; treering's `record::encode` does that, in the user's crate.

use proc_macro::{TokenStream, TokenTree};

mod expand;
mod grammar;
mod literal;
mod message;
mod template;
mod tokens;

/// `$crate [level] …`: what the shells of treering make of a log call.
#[doc(hidden)]
#[proc_macro]
pub fn __log(input: TokenStream) -> TokenStream {
    let mut trees = input.into_iter();
    let (Some(TokenTree::Ident(root)), Some(TokenTree::Group(level))) = (trees.next(), trees.next()) else {
        return TokenStream::new(); // not by our shells
    };
    match grammar::Call::parse(root.clone(), level, trees.collect()) {
        Ok(call) => expand::expand(&call),
        Err(error) => expand::compile_error(&root, &error),
    }
}
