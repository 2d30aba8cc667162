//! The listener's copy of the dictionary: ids to entries, without a lock for those it has seen.

use crate::callsite::{Dictionary, Entry};

#[derive(Debug)]
pub(crate) struct Entries {
    dictionary: &'static Dictionary,
    known: Vec<&'static Entry<'static>>,
}

impl Entries {
    pub(crate) fn new(dictionary: &'static Dictionary) -> Self {
        Entries { dictionary, known: Vec::new() }
    }

    pub(crate) fn dictionary(&self) -> &'static Dictionary {
        self.dictionary
    }

    /// What an id stands for. An id is in the dictionary before the first record that carries it is committed.
    #[inline]
    pub(crate) fn resolve(&mut self, id: u32) -> Option<&'static Entry<'static>> {
        if let Some(entry) = self.known.get(id as usize) {
            return Some(entry);
        }
        self.dictionary.refresh(&mut self.known);
        self.known.get(id as usize).copied()
    }
}
