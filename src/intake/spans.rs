//! Who takes rounds when: what that thread logs meanwhile is an *echo*, whichever way it comes back.
//!
//! A record says which process and thread it is of, and the counter at its call. Numbers of processes and threads are used
//! again, and in another container at the same time; so a process has a random token, too, and a thread is this one only in
//! the spans in which it took rounds. A listener's own thread has one that does not end.

use std::collections::VecDeque;

use crate::clock::Ticker;
use crate::origin;
use crate::os;
use crate::record::portable::Parts;

/// So many spans that are over are remembered. An echo that comes back later than that is taken for a record.
const SPANS_MAX: usize = 1024;

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Spans {
    process_id: u32,
    token: u64,
    ticker: Ticker,
    /// Those that are over, in order: no two overlap, as one thread at a time takes rounds.
    over: VecDeque<Span>,
    open: Option<Span>,
    /// Code of the user's ran in the one that is open, which may have logged.
    is_marked: bool,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    thread_id: u32,
    from: u64,
    until: u64,
}

impl Span {
    fn holds(&self, parts: &Parts<'_>) -> bool {
        self.thread_id == parts.thread_id && (self.from..=self.until).contains(&parts.stamp)
    }
}

impl Spans {
    pub(super) fn new() -> Self {
        Spans {
            process_id: std::process::id(),
            token: origin::token(),
            ticker: Ticker::default(),
            over: VecDeque::new(),
            open: None,
            is_marked: false,
        }
    }

    /// The calling thread takes rounds from now on.
    pub(super) fn begin(&mut self) {
        self.open = Some(Span { thread_id: os::thread_id(), from: self.ticker.stamp(), until: u64::MAX });
        self.is_marked = false;
    }

    /// Code of the user's is about to run.
    pub(super) fn mark(&mut self) {
        self.is_marked = true;
    }

    /// It takes none any more. Where nothing can have been logged there is nothing to remember: polls that find nothing
    /// are many.
    pub(super) fn end(&mut self) {
        let Some(span) = self.open.take() else { return };
        if self.is_marked {
            self.over.push_back(Span { until: self.ticker.stamp(), ..span });
            if self.over.len() > SPANS_MAX {
                self.over.pop_front();
            }
        }
    }

    /// Whether that is an echo.
    pub(super) fn hold(&self, parts: &Parts<'_>) -> bool {
        if (parts.process_id, parts.token) != (self.process_id, self.token) {
            return false;
        }
        let before = self.over.partition_point(|span| span.from <= parts.stamp);
        let last = before.checked_sub(1).map(|at| &self.over[at]);
        last.into_iter().chain(&self.open).any(|span| span.holds(parts))
    }
}
