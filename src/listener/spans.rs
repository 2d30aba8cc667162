//! The spans that are open, as their own records told: what is attached to the records that were logged in them.
//!
//! A span's records (open, further fields, close) come in the order of all records, so what is known here is what was so when
//! a record was logged. Numbers of spans are never used again, so a span that is not known is never taken for another one: a
//! record in it is marked and counted. Memory is bounded, by the number of spans and by their words; where it is used up the
//! span with the lowest number goes, which is the oldest.

use std::collections::BTreeMap;

use crate::callsite::Entry;
use crate::record::scope::{Part, Says, Scope, State};
use crate::stats::SpanCounters;
use crate::sync::Arc;

/// Open spans that are known at once: about 16 MiB, if each has a few numbers.
const SPANS_MAX: usize = 65_536;
/// Words of all their fields together: 8 MiB.
const WORDS_MAX: usize = 1 << 20;

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Spans {
    /// By number.
    open: BTreeMap<u64, Open>,
    /// How many words their fields have.
    words: usize,
    /// How often a span that was open got other fields: what was attached before is not right any more.
    changes: u64,
    /// For records in a span of which nothing is known.
    nowhere: Arc<Scope>,
    /// What is to be counted: see [`SpanCounters`].
    records: u64,
    evicted: u64,
    unknown: u64,
}

#[derive(Debug)]
struct Open {
    parent: u64,
    state: Arc<State>,
    /// What its records get, and how many changes there had been when it was made.
    scope: Option<(u64, Arc<Scope>)>,
}

impl Spans {
    pub(super) fn new() -> Self {
        Spans {
            open: BTreeMap::new(),
            words: 0,
            changes: 0,
            nowhere: Arc::new(Scope { spans: Vec::new(), is_whole: false }),
            records: 0,
            evicted: 0,
            unknown: 0,
        }
    }

    /// Learns from a span's own record. For a record that was logged in a span, what is attached to it.
    pub(super) fn take(
        &mut self,
        says: Says,
        entry: &'static Entry<'static>,
        arguments: &[u64],
        truncated: bool,
    ) -> Option<Arc<Scope>> {
        let part = || Arc::new(Part { entry, arguments: arguments.into(), truncated });
        match says {
            Says::In(id) => return Some(self.scope_of(id)),
            Says::Opens { id, parent } => self.open(id, parent, part()),
            Says::Records(id) => self.record(id, part()),
            Says::Closes(id) => self.close(id),
        }
        self.records += 1;
        None
    }

    /// Counts what there is to count.
    pub(super) fn count(&mut self, counters: &SpanCounters) {
        let Spans { records, evicted, unknown, .. } = self;
        counters.add([records, evicted, unknown].map(std::mem::take));
    }

    /// One that is open already was told of twice.
    fn open(&mut self, id: u64, parent: u64, part: Arc<Part>) {
        if self.open.contains_key(&id) {
            return;
        }
        self.words += part.arguments.len();
        let state = Arc::new(State { id, parts: vec![part] });
        self.open.insert(id, Open { parent, state, scope: None });
        // Records may have been attached without it.
        self.changes += u64::from(self.open.last_key_value().is_some_and(|(last, _)| *last != id));
        self.evict();
    }

    fn record(&mut self, id: u64, part: Arc<Part>) {
        let Some(open) = self.open.get_mut(&id) else { return };
        self.changes += 1;
        self.words += part.arguments.len();
        // Who was handed a record before keeps what was so then.
        let mut parts = open.state.parts.clone();
        // The same fields again, from the same place: a value that changes all the time takes no more room for it.
        let again = parts.iter().skip(1).position(|known| std::ptr::eq(known.entry, part.entry));
        if let Some(again) = again {
            self.words -= parts.remove(again + 1).arguments.len();
        }
        parts.push(part);
        open.state = Arc::new(State { id, parts });
        self.evict();
    }

    fn close(&mut self, id: u64) {
        if let Some(open) = self.open.remove(&id) {
            self.words -= open.state.words();
        }
    }

    fn evict(&mut self) {
        while self.open.len() > SPANS_MAX || self.words > WORDS_MAX {
            let Some((_, oldest)) = self.open.pop_first() else { return };
            self.words -= oldest.state.words();
            self.evicted += 1;
            self.changes += 1;
        }
    }

    /// The spans around a record that was logged in this one.
    fn scope_of(&mut self, id: u64) -> Arc<Scope> {
        let known = self.open.get(&id).and_then(|open| open.scope.as_ref());
        let scope = match known {
            Some((changes, scope)) if *changes == self.changes => scope.clone(),
            _ => self.make_scope(id),
        };
        self.unknown += u64::from(!scope.is_whole);
        scope
    }

    fn make_scope(&mut self, innermost: u64) -> Arc<Scope> {
        let (mut spans, mut next) = (Vec::new(), innermost);
        while let Some(open) = self.open.get(&next) {
            spans.push(open.state.clone());
            // A span around another one is older: whatever the words were, this ends.
            if open.parent >= next {
                break;
            }
            next = open.parent;
        }
        spans.reverse();
        let is_whole = next == 0;
        let Some(open) = self.open.get_mut(&innermost) else { return self.nowhere.clone() };
        let scope = Arc::new(Scope { spans, is_whole });
        open.scope = Some((self.changes, scope.clone()));
        scope
    }
}

impl State {
    fn words(&self) -> usize {
        self.parts.iter().map(|part| part.arguments.len()).sum()
    }
}
