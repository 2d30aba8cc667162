//! Bugs of ours, for tests: a turn that panics on its thread, at a place with a name.

use std::cell::RefCell;
use std::collections::VecDeque;

/// Where a turn can be made to panic, by what was done last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Bug {
    /// A batch was collected; nobody was offered it.
    Collected,
    /// A handler was called; what it did is not in the books.
    Called,
}

thread_local! {
    static PLANTED: RefCell<VecDeque<Bug>> = const { RefCell::new(VecDeque::new()) };
}

/// This thread panics the next time it comes by the first of these, then by the next.
pub(crate) fn plant(bugs: impl IntoIterator<Item = Bug>) {
    PLANTED.with_borrow_mut(|planted| planted.extend(bugs));
}

/// The thread comes by.
pub(crate) fn pass(bug: Bug) {
    let is_planted = PLANTED.with_borrow_mut(|planted| planted.pop_front_if(|next| *next == bug).is_some());
    assert!(!is_planted, "a bug at {bug:?}");
}
