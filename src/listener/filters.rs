//! An engine's filter, and another one that counts in its place for a while.

use std::fmt;

use crate::callsite::{Dictionary, Judge};
use crate::clock::Deadline;
use crate::sync::Mutex;

/// Lock order: the dictionary lock is taken while this one is held, so that what the gates obey is what stands here.
#[derive(Debug)]
pub(crate) struct Filters {
    /// The engine that they are of.
    number: u64,
    state: Mutex<State>,
}

struct State {
    lasting: Judge,
    /// Another one counts until then.
    until: Option<Deadline>,
}

impl Filters {
    pub(crate) fn new(number: u64, lasting: Judge) -> Self {
        Filters { number, state: Mutex::new(State { lasting, until: None }) }
    }

    pub(crate) fn lasting(&self) -> Judge {
        self.state.lock().lasting.clone()
    }

    /// From now on this one counts, and none that is temporary.
    pub(crate) fn set(&self, filter: Judge, dictionary: &Dictionary) {
        let mut state = self.state.lock();
        let before = std::mem::replace(&mut state.lasting, filter.clone());
        state.until = None;
        #[cfg(treering_mutant = "reload_outside_lock")]
        drop(state);
        dictionary.reload(self.number, filter);
        #[cfg(not(treering_mutant = "reload_outside_lock"))]
        drop(state);
        drop(before); // frees memory: not under the lock
    }

    /// From now on this one counts, until [`tend`](Self::tend) finds that its time is over.
    pub(crate) fn set_until(&self, filter: Judge, until: Deadline, dictionary: &Dictionary) {
        let mut state = self.state.lock();
        state.until = Some(until);
        dictionary.reload(self.number, filter);
    }

    /// The filter that lasts counts again, if the time of another one is over.
    pub(crate) fn tend(&self, dictionary: &Dictionary) {
        let mut state = self.state.lock();
        if state.until.is_some_and(Deadline::has_passed) {
            state.until = None;
            dictionary.reload(self.number, state.lasting.clone());
        }
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("until", &self.until).finish_non_exhaustive()
    }
}
