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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::callsite::{Field, Piece, Style, Type, own_metadata};
    use crate::record::Spans as Shown;

    /// A span with a field `n`.
    static OPENED: Entry<'static> = Entry {
        metadata: &own_metadata!(
            Info,
            "spans",
            &[Piece::Literal("span")],
            &[Field { name: "n", argument: 0, style: Style::Value }]
        ),
        types: &[&Type::U64],
    };

    /// Two places that record fields later: `n` again, and `more`.
    static AGAIN: Entry<'static> = Entry { ..OPENED };
    static MORE: Entry<'static> = Entry {
        metadata: &own_metadata!(
            Info,
            "spans",
            &[Piece::Literal("span")],
            &[Field { name: "more", argument: 0, style: Style::Value }]
        ),
        types: &[&Type::U64],
    };

    impl Spans {
        fn opens(&mut self, id: u64, parent: u64) {
            assert!(self.take(Says::Opens { id, parent }, &OPENED, &[id], false).is_none());
        }

        fn records(&mut self, id: u64, entry: &'static Entry<'static>, value: u64) {
            assert!(self.take(Says::Records(id), entry, &[value], false).is_none());
        }

        fn closes(&mut self, id: u64) {
            assert!(self.take(Says::Closes(id), &OPENED, &[], false).is_none());
        }

        fn around(&mut self, id: u64) -> Arc<Scope> {
            self.take(Says::In(id), &OPENED, &[], false).unwrap()
        }

        fn shows(&mut self, id: u64) -> String {
            shown(&self.around(id))
        }

        /// Span records, evicted spans, records in unknown ones.
        fn counts(&self) -> [u64; 3] {
            [self.records, self.evicted, self.unknown]
        }
    }

    fn shown(scope: &Scope) -> String {
        Shown::of(Some(scope)).to_string()
    }

    #[test]
    fn a_record_has_the_spans_around_it_from_the_root() {
        let mut spans = Spans::new();
        spans.opens(1, 0);
        spans.opens(2, 1);
        spans.opens(3, 1);
        assert_eq!(spans.shows(2), "span{n=1}:span{n=2}");
        assert_eq!(spans.shows(3), "span{n=1}:span{n=3}");
        assert_eq!(spans.shows(1), "span{n=1}");
        assert_eq!(spans.counts(), [3, 0, 0]);
    }

    #[test]
    fn a_record_keeps_what_was_so_when_it_was_logged() {
        let mut spans = Spans::new();
        spans.opens(1, 0);
        spans.opens(2, 1);
        let before = spans.around(2);
        spans.records(1, &MORE, 7);
        let between = spans.around(2);
        spans.records(1, &AGAIN, 8);
        let after = spans.around(2);
        spans.closes(2);
        spans.closes(1);
        assert_eq!(shown(&before), "span{n=1}:span{n=2}");
        assert_eq!(shown(&between), "span{n=1 more=7}:span{n=2}");
        assert_eq!(shown(&after), "span{more=7 n=8}:span{n=2}", "the last value, where it was recorded");
    }

    #[test]
    fn what_does_not_change_is_shared() {
        let mut spans = Spans::new();
        spans.opens(1, 0);
        let first = spans.around(1);
        spans.opens(2, 1);
        spans.closes(2);
        assert!(Arc::ptr_eq(&first, &spans.around(1)), "spans that come and go beside it change nothing");
    }

    #[test]
    fn what_is_not_known_is_marked_and_counted() {
        let mut spans = Spans::new();
        spans.opens(5, 4);
        spans.opens(6, 5);
        spans.closes(7);
        spans.records(7, &MORE, 1);
        assert_eq!(spans.shows(6), "?:span{n=5}:span{n=6}", "the outermost is missing");
        assert_eq!(spans.shows(7), "?");
        assert_eq!(spans.counts(), [4, 0, 2]);
        spans.closes(6);
        assert_eq!(spans.shows(6), "?", "nor what was closed");
        assert_eq!(spans.counts(), [5, 0, 3]);
    }

    #[test]
    fn an_open_that_comes_late_is_known_from_then_on_and_one_that_comes_twice_is_one() {
        let mut spans = Spans::new();
        spans.opens(2, 1);
        assert_eq!(spans.shows(2), "?:span{n=2}");
        spans.opens(1, 0);
        assert_eq!(spans.shows(2), "span{n=1}:span{n=2}");
        spans.records(1, &MORE, 7);
        spans.opens(1, 0);
        assert_eq!(spans.shows(2), "span{n=1 more=7}:span{n=2}");
        assert_eq!(spans.words, 3);
    }

    #[test]
    fn as_many_are_known_as_there_is_room_for_and_the_oldest_goes() {
        let mut spans = Spans::new();
        let last = SPANS_MAX as u64 + 3;
        (1..=last).for_each(|id| spans.opens(id, id - 1));
        assert_eq!((spans.open.len(), spans.counts()), (SPANS_MAX, [last, 3, 0]));
        assert_eq!(spans.shows(3), "?");
        assert_eq!(spans.shows(4), "?:span{n=4}");
        spans.closes(3);
        spans.closes(4);
        spans.opens(last + 1, 0);
        assert_eq!(spans.counts()[1], 3, "one was closed, so there was room");
        spans.opens(last + 2, 0);
        assert_eq!((spans.counts()[1], spans.shows(5)), (4, "?".to_owned()));
    }

    #[test]
    fn their_fields_have_bounded_room_together() {
        let mut spans = Spans::new();
        let large = vec![0; WORDS_MAX / 4];
        for id in 1..=6 {
            spans.take(Says::Opens { id, parent: 0 }, &OPENED, &large, false);
        }
        assert_eq!((spans.counts()[1], spans.words), (2, 4 * large.len()));
        spans.take(Says::Records(6), &MORE, &large, false);
        assert_eq!((spans.counts()[1], spans.open.keys().copied().collect::<Vec<_>>()), (3, vec![4, 5, 6]));
        // One that does not fit beside anything takes the place of all, and of itself.
        spans.take(Says::Opens { id: 7, parent: 0 }, &OPENED, &vec![0; WORDS_MAX + 1], false);
        assert_eq!((spans.counts()[1], spans.words, spans.open.len()), (7, 0, 0));
        assert_eq!(spans.shows(7), "?");
    }

    #[test]
    fn what_closed_takes_no_room() {
        let mut spans = Spans::new();
        for id in 1..=1_000 {
            spans.opens(id, 0);
            spans.records(id, &MORE, 1);
            spans.records(id, &MORE, 2);
            spans.records(id, &AGAIN, 3);
            assert_eq!(spans.words, 3, "a field that is recorded again takes no more");
            spans.closes(id);
        }
        assert_eq!((spans.words, spans.open.len(), spans.evicted), (0, 0, 0));
    }

    /// Numbers grow from a span to those in it, so words that say otherwise were never written; they must not hang.
    #[test]
    fn a_circle_ends() {
        let mut spans = Spans::new();
        spans.opens(1, 2);
        spans.opens(2, 1);
        spans.opens(3, 3);
        assert!(!spans.around(1).is_whole && !spans.around(2).is_whole && !spans.around(3).is_whole);
    }

    #[test]
    fn each_is_counted_once() {
        let (mut spans, counters) = (Spans::new(), SpanCounters::default());
        spans.opens(1, 0);
        spans.around(2);
        spans.count(&counters);
        assert_eq!(spans.counts(), [0; 3]);
        spans.count(&counters);
        let mut sum = crate::stats::Sum::default();
        sum.spans(&counters);
        let report = sum.finish();
        assert_eq!((report.span_records, report.evicted_spans, report.unknown_spans), (1, 0, 1));
    }
}
