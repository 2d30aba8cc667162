//! Which span a thread is in, by our own numbers: looked up once for each time that a span is entered, not for each event.
//!
//! As in the registry, a span that is entered again while the thread is in it does not become the current one.

use std::cell::RefCell;

use tracing_core::span::Id;

thread_local! {
    /// What the thread is in, of all layers of ours, the innermost last.
    static ENTERED: RefCell<Vec<Entered>> = const { RefCell::new(Vec::new()) };
}

struct Entered {
    layer: u64,
    span: Id,
    is_again: bool,
    /// Once it was looked up: our number of it, or of the innermost span around it that has one.
    number: Option<Option<u64>>,
}

pub(crate) fn enter(layer: u64, span: &Id) {
    // A thread that ends has none: then each event looks for itself.
    let _ = ENTERED.try_with(|entered| {
        let mut entered = entered.borrow_mut();
        let is_again = entered.iter().any(|known| known.layer == layer && known.span == *span);
        entered.push(Entered { layer, span: span.clone(), is_again, number: None });
    });
}

pub(crate) fn exit(layer: u64, span: &Id) {
    let _ = ENTERED.try_with(|entered| {
        let mut entered = entered.borrow_mut();
        let at = entered.iter().rposition(|known| known.layer == layer && known.span == *span);
        at.map(|at| entered.remove(at));
    });
}

/// The number of the span that the thread is in, which `look_up` finds if nobody asked before.
#[inline]
pub(crate) fn number(layer: u64, look_up: impl FnOnce() -> Option<u64>) -> Option<u64> {
    let known = ENTERED.try_with(|entered| {
        let entered = entered.borrow();
        let current = entered.iter().rev().find(|known| known.layer == layer && !known.is_again);
        current.map_or(Some(None), |current| current.number)
    });
    if let Ok(Some(number)) = known {
        return number;
    }
    let number = look_up();
    let _ = ENTERED.try_with(|entered| {
        let mut entered = entered.borrow_mut();
        let current = entered.iter_mut().rev().find(|known| known.layer == layer && !known.is_again);
        if let Some(current) = current {
            current.number = Some(number);
        }
    });
    number
}
