//! The procedural macros behind treering's `info!`, its siblings and `context!`; not for direct use.
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
//! `#[derive(Encode)]` goes through two: `item` reads the struct or the enum, `derive` writes the implementation.
//!
//! The crate has no dependencies: it is built before anything that logs, so its build time is everybody's. It reads
//! no types and decides nothing that a type decides; treering's `record::encode` does that, in the user's crate.

use proc_macro::{Group, TokenStream, TokenTree};

mod derive;
mod expand;
mod grammar;
mod item;
mod literal;
mod message;
mod template;
mod tokens;

/// `$crate [level] …`: what the shells of treering make of a log call.
#[doc(hidden)]
#[proc_macro]
pub fn __log(input: TokenStream) -> TokenStream {
    expanded(input, grammar::Call::parse)
}

/// The same of a context.
#[doc(hidden)]
#[proc_macro]
pub fn __context(input: TokenStream) -> TokenStream {
    expanded(input, grammar::Call::parse_context)
}

/// The code for `$crate [level] …`, whose rest is read by `parse`.
fn expanded(
    input: TokenStream,
    parse: impl FnOnce(tokens::Root, Group, Vec<TokenTree>) -> Result<grammar::Call, grammar::Error>,
) -> TokenStream {
    let mut trees = input.into_iter();
    let (Some(TokenTree::Ident(root)), Some(TokenTree::Group(level))) = (trees.next(), trees.next()) else {
        return TokenStream::new(); // not by our shells
    };
    let root: tokens::Root = [TokenTree::Ident(root)].into();
    match parse(root.clone(), level, trees.collect()) {
        Ok(call) => expand::expand(&call),
        Err(error) => expand::compile_error(&root, &error),
    }
}

/// Keeps values of a type of your own in records as they are: copied at the call, named and typed for the listener.
///
/// For structs and enums of whatever shape whose fields are `Encode`. Text shows them as
/// `#[derive(Debug)]` does, JSON as objects and arrays.
///
/// ```text
/// #[derive(Debug, treering::Encode)]
/// struct Order {
///     id: u64,
///     venue: String,
///     side: Side,
///     #[encode(redact)]       // shows as `[redacted]`, its bytes stay where they are
///     account: String,
///     #[encode(skip)]         // is left out, of whatever type it is: `Order { id: 7, .. }`
///     socket: TcpStream,
/// }
///
/// #[derive(Debug, treering::Encode)]
/// enum Side { Buy, Sell { short: bool } }
///
/// info!(order, "filled");     // order=Order { id: 7, … }; in JSON an object
/// info!("filled {order:?}");  // by the listener
/// ```
///
/// - `{}` of such a value is its own `Display`, formatted at the call. `{:?}` is what `#[derive(Debug)]` would print, also
///   where the type's `Debug` is another one.
/// - Type parameters get the bound `Encode`. A type that contains itself cannot derive it.
/// - `#[encode(crate = path)]` on the type names treering, where the crate knows it by another name.
#[proc_macro_derive(Encode, attributes(encode))]
pub fn encode(item: TokenStream) -> TokenStream {
    match item::Item::parse(item.into_iter().collect()) {
        Ok(item) => derive::derive(&item),
        Err(error) => expand::compile_error(&item::default_root(), &error),
    }
}
