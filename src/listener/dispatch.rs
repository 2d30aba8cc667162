//! Handing a batch to the handlers, and changing which there are.

use std::time::Duration;

use crate::error::Error;
use crate::fault::{Faults, discard, guarded};
use crate::handler::{Contents, Handler, Item, Routed, Texts};
use crate::record::{Scope, Thread};
use crate::stats::{HandlerCounters, add};
use crate::sync::{Arc, Ordering};

use super::books::{Books, GivenUp};
use super::change::{Change, Request, What};
use super::core::Answer;
use super::lanes::{Lanes, Spawn};
use super::merge::{Collected, Inlets, count_reordered};
use super::preparation::{Preparation, PreparedBatch};
use super::runner::{Finish, Runner};

/// Records to be handed out, and what they refer to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Records<'a> {
    pub(crate) items: &'a [Item<'a>],
    pub(crate) words: &'a [u64],
    pub(crate) threads: &'a [Arc<Thread>],
    pub(crate) scopes: &'a [Arc<Scope>],
}

/// The handlers, in the order they were added.
#[derive(Debug)]
pub(crate) struct Handlers {
    /// Those that are called on this thread.
    runners: Vec<Runner>,
    lanes: Lanes,
    texts: Texts,
    /// The highest stamp handed out.
    highest: u64,
    /// Each call gets one record: its end is when a deadline is looked at, where no other thread does.
    hurried: bool,
}

impl Handlers {
    /// Runs code of the user's: the handlers say their names. Where several have one name, they are numbered.
    pub(crate) fn new(handlers: Vec<Routed>, books: &Books) -> Self {
        let mut all = Handlers {
            runners: Vec::new(),
            lanes: Lanes::default(),
            texts: Texts::default(),
            highest: 0,
            hurried: false,
        };
        for handler in handlers {
            let name = guarded(|| handler.name()).unwrap_or_else(|_| "unnamed".into());
            let mut unique = name.clone();
            let mut number = 1;
            while all.names().any(|name| *name == unique) {
                number += 1;
                unique = format!("{name}-{number}");
            }
            // Nothing to fail: lanes have no threads yet.
            let _: Result<(), Error> = all.attach(all.runners.len(), handler, books.open(unique));
        }
        all
    }

    /// From now on the handlers with lanes are called.
    ///
    /// # Errors
    /// If a lane's thread cannot be started.
    #[cfg(not(treering_loom))]
    pub(crate) fn start_lanes(&mut self, spawn: Spawn) -> Result<(), Error> {
        self.lanes.start(spawn).map_err(Error::thread_spawn)
    }

    #[cfg(treering_loom)]
    pub(crate) fn lane(&self) -> Option<Arc<super::Lane>> {
        self.lanes.first()
    }

    /// One handler more. `at`: its place among those that are called on this thread.
    fn attach(&mut self, at: usize, handler: Routed, counters: Arc<HandlerCounters>) -> Result<(), Error> {
        match handler.lane {
            Some(options) => self.lanes.add(handler, options, counters),
            None => {
                self.runners.insert(at, Runner::new(handler, counters));
                Ok(())
            }
        }
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.runners.iter().map(|runner| &*runner.counters.name).chain(self.lanes.names())
    }

    /// The position of a handler that is called on this thread.
    fn find(&self, name: &str) -> Option<usize> {
        self.runners.iter().position(|runner| runner.counters.name == name)
    }

    /// Where it is decided what the handler of this name gets.
    fn find_front(&mut self, name: &str) -> Option<&mut Routed> {
        match self.find(name) {
            Some(at) => Some(&mut self.runners[at].handler),
            None => self.lanes.find(name),
        }
    }

    /// Changes which handlers there are, or what one of them gets, from the next batch on, and says in the request what came
    /// of it. A handler that goes is flushed and closed before; on a lane that takes its time, and the lane says when it
    /// is done.
    pub(super) fn change(
        &mut self,
        Change { name, what }: Change,
        request: &Arc<Request>,
        books: &Books,
        faults: &Faults,
    ) -> Result<(), GivenUp> {
        let is_there = self.find_front(&name).is_some();
        let outcome = match what {
            What::Add(refused) if is_there => {
                discard(refused);
                Err(Error::config(format!(
                    "a handler is named {name:?} already: replace it, or name the new one otherwise"
                )))
            }
            What::Add(handler) => self.attach(self.runners.len(), handler, books.open(name)),
            refused if !is_there => {
                discard(refused);
                Err(self.knows_no(&name))
            }
            What::Remove => return self.remove(&name, request, books, faults),
            What::Replace(handler) => return self.replace(name, handler, request, books, faults),
            What::Level(level) => {
                self.find_front(&name).into_iter().for_each(|front| front.set_level(level));
                Ok(())
            }
            What::Filter(filter) => {
                discard(self.find_front(&name).map(|front| front.set_filter(filter)));
                Ok(())
            }
        };
        request.finish(outcome);
        Ok(())
    }

    /// Whether it goes now, or when its lane has ended, the request is done then.
    fn remove(
        &mut self,
        name: &str,
        request: &Arc<Request>,
        books: &Books,
        faults: &Faults,
    ) -> Result<(), GivenUp> {
        let Some(at) = self.find(name) else { return self.lanes.remove(name, request, books) };
        self.runners[at].end(true, books, faults)?;
        let runner = self.runners.remove(at);
        #[cfg(treering_mutant = "keep_replaced")]
        std::mem::forget(runner);
        #[cfg(not(treering_mutant = "keep_replaced"))]
        runner.drop_handler(faults);
        request.finish(Ok(()));
        Ok(())
    }

    /// The new one is at its place at once, also while the old one is on its lane still.
    fn replace(
        &mut self,
        name: String,
        handler: Routed,
        request: &Arc<Request>,
        books: &Books,
        faults: &Faults,
    ) -> Result<(), GivenUp> {
        let at = self.find(&name).unwrap_or(self.runners.len());
        self.remove(&name, request, books, faults)?;
        if let Err(error) = self.attach(at, handler, books.open(name)) {
            request.finish(Err(error));
        }
        Ok(())
    }

    fn knows_no(&self, name: &str) -> Error {
        let names: Vec<_> = self.names().collect();
        Error::config(format!("no handler is named {name:?}; there are: {}", names.join(", ")))
    }

    /// Hands the batch, prepared if it is to be, to every handler and empties it.
    pub(crate) fn dispatch(
        &mut self,
        batch: &mut Collected,
        preparation: Option<&mut Preparation>,
        inlets: &mut Inlets,
        books: &Books,
        faults: &Faults,
    ) -> Result<(), GivenUp> {
        let Collected { items, words, threads, scopes, losses, begun, .. } = &mut *batch;
        let whole = Records { items, words, threads, scopes };
        let prepared = preparation.map(|steps| steps.prepare(whole, books, faults)).transpose()?;
        let begin = |highest: &mut u64| {
            inlets.settle_dispatched(&books.spans);
            prepared.iter().for_each(|prepared| prepared.settle(&books.prepared_away));
            *begun = true;
            count_reordered(whole.items, highest, &books.reordered);
        };
        self.hand_out(prepared.as_ref().map_or(whole, PreparedBatch::records), begin, books, faults)?;
        losses.extend(prepared.into_iter().flat_map(|prepared| prepared.losses));
        batch.clear();
        Ok(())
    }

    /// Hands these records to every handler. `begin` counts them as dispatched, under the book lock; it is given the
    /// highest stamp handed out.
    pub(crate) fn hand_out(
        &mut self,
        Records { items, words, threads, scopes }: Records<'_>,
        begin: impl FnOnce(&mut u64),
        books: &Books,
        faults: &Faults,
    ) -> Result<(), GivenUp> {
        self.texts.begin();
        let contents = Contents { items, words, threads, scopes, texts: &self.texts };
        self.runners.iter_mut().for_each(|runner| runner.select(contents, books, faults));
        self.lanes.select(contents, books, faults);
        books.settle(|| {
            begin(&mut self.highest);
            self.runners.iter().for_each(|runner| runner.offer(items.len()));
            self.lanes.offer(items.len());
        })?;
        // First of all: they work at the same time.
        self.lanes.send(contents, books, faults)?;
        for runner in &mut self.runners {
            runner.deliver(contents, self.hurried, books, faults)?;
        }
        Ok(())
    }

    /// From now on one record at a time is handed out.
    #[cfg(not(treering_loom))]
    pub(crate) fn hurry(&mut self) {
        self.hurried = true;
    }

    /// What is handed out from now on are echoes, or are none.
    pub(super) fn set_echoing(&mut self, echoing: bool) {
        self.lanes.echoing = echoing;
    }

    /// Flushes the handlers that hold records and are to be flushed now, as their policies say.
    pub(crate) fn flush(&mut self, is_idle: bool, books: &Books, faults: &Faults) -> Result<(), GivenUp> {
        self.runners.iter_mut().try_for_each(|runner| runner.flush_if_due(is_idle, books, faults))
    }

    /// Lets each handler look after itself.
    pub(crate) fn tend(&mut self, books: &Books, faults: &Faults) -> Result<(), GivenUp> {
        self.lanes.keep_house(books)?;
        self.runners.iter_mut().try_for_each(|runner| runner.tend(books, faults))
    }

    /// How long the listener may sleep, after it has flushed what is to be flushed before.
    pub(crate) fn sleep_max(&self) -> Duration {
        self.runners.iter().map(Runner::sleep_max).min().unwrap_or(Duration::MAX)
    }

    /// Flushes every handler that is called on this thread, also those that hold nothing that was counted.
    pub(crate) fn flush_on_request(&mut self, books: &Books, faults: &Faults) -> Result<(), GivenUp> {
        self.runners.iter_mut().try_for_each(|runner| runner.finish(Finish::Flush, books, faults))
    }

    /// Flushes those on lanes behind everything that was handed out. The last of them answers.
    pub(super) fn flush_lanes(&mut self, answer: Answer, books: &Books) -> Result<(), GivenUp> {
        self.lanes.flush(answer, books)
    }

    /// What handlers on lanes were told of losses since this was asked.
    pub(super) fn take_losses(&mut self) -> Vec<crate::overflow::Loss> {
        std::mem::take(&mut self.lanes.told)
    }

    /// Whether none of those that are called on this thread holds records that a flush may bring out, as far as it says.
    pub(crate) fn hold_nothing(&self) -> bool {
        !self.runners.iter().any(Runner::holds_any)
    }

    /// Flushes all handlers, then closes them, the last one first; those on lanes meanwhile, each on its own.
    pub(crate) fn close(&mut self, books: &Books, faults: &Faults) -> Result<(), GivenUp> {
        self.lanes.close(books)?;
        self.flush_on_request(books, faults)?;
        for runner in self.runners.iter_mut().rev() {
            runner.close(books, faults)?;
        }
        // Files and sockets are closed when `stop` returns, not when the last handle is dropped.
        self.runners.drain(..).rev().for_each(|runner| runner.drop_handler(faults));
        self.lanes.wait_for_end(books)
    }

    /// The books are closed: lanes that wait for records end now.
    pub(super) fn dismiss_lanes(&self) {
        self.lanes.dismiss();
    }

    /// After a panic of the listener's own: what a handler had not settled of the batch in hand has failed.
    pub(super) fn fail_in_hand(&mut self, books: &Books) -> Result<(), GivenUp> {
        books.settle(|| {
            for runner in &self.runners {
                add(&runner.counters.failed, runner.counters.in_hand.swap(0, Ordering::Relaxed));
            }
            self.lanes.fail_unsent();
        })
    }
}

impl Collected {
    /// Forgets the batch, and the threads without a ring that are in it.
    pub(crate) fn clear(&mut self) {
        self.items.clear();
        self.words.clear();
        self.scopes.clear();
        self.begun = false;
    }
}
