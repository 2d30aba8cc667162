//! What only grows, of things that live as long as the process: a list, and a table. Neither locks nor allocates, so both work
//! in signal handlers and behind `fork`.
//!
//! ```text
//!   newest ──► item ──► item ──► …        slots:  ·  item  item  ·  ·  item  ·
//! ```
//! Whoever adds something agrees with all others by the one compare-and-swap that publishes it. Nothing is ever taken out,
//! so who reads needs no more than the reference that it loaded.

use crate::sync::AtomicRef;

/// The newest is in front.
#[derive(Debug)]
pub(crate) struct List<T: Linked> {
    newest: AtomicRef<T>,
}

/// Has a place for what follows it in its list.
pub(crate) trait Linked: Sync + Sized + 'static {
    /// It is the list's to write.
    fn next(&self) -> &AtomicRef<Self>;
}

impl<T: Linked> List<T> {
    #[cfg(not(treering_loom))]
    pub(crate) const fn new() -> Self {
        List { newest: AtomicRef::none() }
    }

    #[cfg(treering_loom)]
    pub(crate) fn new() -> Self {
        List { newest: AtomicRef::none() }
    }

    /// Puts it in front; once in its life.
    pub(crate) fn push(&self, item: &'static T) {
        let mut newest = self.newest.load();
        loop {
            #[cfg(not(treering_mutant = "linked_late"))]
            item.next().set(newest);
            match self.newest.replace(newest, item) {
                #[cfg(treering_mutant = "linked_late")]
                Ok(()) => return item.next().set(newest),
                #[cfg(not(treering_mutant = "linked_late"))]
                Ok(()) => return,
                #[cfg(treering_mutant = "push_once")]
                Err(_) => return,
                #[cfg(not(treering_mutant = "push_once"))]
                Err(newer) => newest = newer,
            }
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &'static T> + use<T> {
        // Known: whoever put an item in front had seen those behind it, and it was seen.
        std::iter::successors(self.newest.load(), |item| item.next().load_known())
    }
}

/// The item in the first of these slots that has it; in front of the first free one it is not in the table, so it is made and
/// put there. `None` if there is no room, or nothing is made.
///
/// Of two threads that make the same item at once one's is kept, and both find that one.
pub(crate) fn find_or_put<'a, T: Sync + 'static>(
    slots: impl IntoIterator<Item = &'a AtomicRef<T>>,
    is_it: impl Fn(&T) -> bool,
    mut make: impl FnMut() -> Option<&'static T>,
) -> Option<&'static T> {
    let mut made = None;
    for slot in slots {
        let found = match slot.load() {
            Some(found) => found,
            None => {
                let item = match made {
                    Some(item) => item,
                    None => *made.insert(make()?),
                };
                match slot.replace(None, item) {
                    Ok(()) => return Some(item),
                    #[cfg(treering_mutant = "put_beside")]
                    Err(_) => continue,
                    #[cfg(treering_mutant = "take_any")]
                    Err(other) => return other,
                    #[cfg(not(any(treering_mutant = "put_beside", treering_mutant = "take_any")))]
                    Err(other) => other?,
                }
            }
        };
        if is_it(found) {
            return Some(found);
        }
    }
    None
}
