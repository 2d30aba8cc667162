//! Which span a thread is in, by our own numbers: looked up once for each time that a span is entered, not for each event.
//!
//! As in the registry, a span that is entered again while the thread is in it does not become the current one.

use std::cell::{Cell, RefCell};

use tracing_core::span::Id;

/// A layer's number that no layer has.
const NONE: u64 = u64::MAX;

thread_local! {
    /// What the thread is in, of all layers of ours, the innermost last.
    static ENTERED: RefCell<Vec<Entered>> = const { RefCell::new(Vec::new()) };
    /// The layer that asked last, and the number that it was told, as long as no span was entered or left since.
    static LAST: Cell<(u64, Option<u64>)> = const { Cell::new((NONE, None)) };
}

struct Entered {
    layer: u64,
    span: Id,
    is_again: bool,
    /// Once it was looked up: our number of it, or of the innermost span around it that has one.
    number: Option<Option<u64>>,
}

pub(crate) fn enter(layer: u64, span: &Id) {
    LAST.set((NONE, None));
    // A thread that ends has none: then each event looks for itself.
    let _ = ENTERED.try_with(|entered| {
        let mut entered = entered.borrow_mut();
        let is_again = entered.iter().any(|known| known.layer == layer && known.span == *span);
        entered.push(Entered { layer, span: span.clone(), is_again, number: None });
    });
}

pub(crate) fn exit(layer: u64, span: &Id) {
    LAST.set((NONE, None));
    let _ = ENTERED.try_with(|entered| {
        let mut entered = entered.borrow_mut();
        let at = entered.iter().rposition(|known| known.layer == layer && known.span == *span);
        at.map(|at| entered.remove(at));
    });
}

/// The number of the span that the thread is in, which `look_up` finds if nobody asked before.
#[inline]
pub(crate) fn number(layer: u64, look_up: impl FnOnce() -> Option<u64>) -> Option<u64> {
    let (asked, number) = LAST.get();
    if asked == layer { number } else { find(layer, look_up) }
}

#[inline(never)]
fn find(layer: u64, look_up: impl FnOnce() -> Option<u64>) -> Option<u64> {
    let of_layer = |known: &&mut Entered| known.layer == layer && !known.is_again;
    let known = ENTERED.try_with(|entered| {
        let mut entered = entered.borrow_mut();
        entered.iter_mut().rev().find(of_layer).map_or(Some(None), |current| current.number)
    });
    // A thread that ends: what is entered now is not known.
    let Ok(known) = known else { return look_up() };
    let number = known.unwrap_or_else(look_up);
    let _ = ENTERED.try_with(|entered| {
        let mut entered = entered.borrow_mut();
        entered.iter_mut().rev().find(of_layer).into_iter().for_each(|current| current.number = Some(number));
    });
    LAST.set((layer, number));
    number
}
