//! The lanes of an engine's handlers, as its listener sees them: what goes in, what finds no room, and their end.

use std::fmt;
use std::io;

use bumpalo::Bump;

use crate::callsite::EntryOf;
use crate::clock::Deadline;
use crate::error::Error;
use crate::fault::Faults;
use crate::handler::{Batch, Contents, Handler, HandlerError, Item, LaneOptions, Routed, packed};
use crate::level::{Level, LevelFilter};
use crate::overflow::{Loss, Reason};
use crate::own;
use crate::record::Thread;
use crate::stats::{ByLevel, HandlerCounters, add, add_levels, take_off, total};
use crate::sync::Arc;

use super::books::{Books, GivenUp};
use super::census::{Census, passes};
use super::change::Request;
use super::core::Answer;
use super::lane::{Lane, Order, Parcel};
use super::runner::Runner;

/// Starts a thread of this name that [runs](Lane::run) the lane.
pub(crate) type Spawn = Box<dyn Fn(String, Arc<Lane>) -> io::Result<()> + Send>;

/// See the module's documentation.
#[derive(Default)]
pub(super) struct Lanes {
    entrances: Vec<Entrance>,
    /// Those of handlers that were removed, until they have ended.
    leaving: Vec<Arc<Lane>>,
    /// From the engine's start on.
    spawn: Option<Spawn>,
    /// Of the batch in hand.
    census: Census,
    /// What is handed out are echoes.
    pub(super) echoing: bool,
    /// Losses that handlers were told of, for who wants to know beside the stream.
    pub(super) told: Vec<Loss>,
}

impl Lanes {
    /// From now on each lane has its thread, also those that are there.
    #[cfg(not(treering_loom))]
    pub(super) fn start(&mut self, spawn: Spawn) -> io::Result<()> {
        let spawn = &*self.spawn.insert(spawn);
        self.entrances.iter().try_for_each(|entrance| entrance.spawn(spawn))
    }

    #[cfg(treering_loom)]
    pub(super) fn first(&self) -> Option<Arc<Lane>> {
        self.entrances.first().map(|entrance| entrance.lane.clone())
    }

    /// One lane more.
    pub(super) fn add(
        &mut self,
        handler: Routed,
        options: LaneOptions,
        counters: Arc<HandlerCounters>,
    ) -> Result<(), Error> {
        let entrance = Entrance::new(handler, options, counters);
        if let Some(spawn) = &self.spawn {
            entrance.spawn(spawn).map_err(Error::thread_spawn)?;
        }
        // Those that may be waited for come last, as what becomes of the others' records is decided before.
        let waiting = self.entrances.iter().position(Entrance::waits).filter(|_| !entrance.waits());
        self.entrances.insert(waiting.unwrap_or(self.entrances.len()), entrance);
        Ok(())
    }

    /// Where it is decided what the handler of this name gets, if it has a lane.
    pub(super) fn find(&mut self, name: &str) -> Option<&mut Routed> {
        let entrance = self.entrances.iter_mut().find(|entrance| entrance.name() == name);
        entrance.map(|entrance| &mut entrance.front.handler)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.entrances.iter().map(Entrance::name)
    }

    /// Removes the lane of this name. When it is through with what is in it, its handler is closed and the request is done.
    pub(super) fn remove(
        &mut self,
        name: &str,
        request: &Arc<Request>,
        books: &Books,
    ) -> Result<(), GivenUp> {
        for mut entrance in self.entrances.extract_if(.., |entrance| entrance.name() == name) {
            entrance.tell_lost(true, &mut self.told, books)?;
            entrance.lane.ask(Order::Close(Some(request.clone())));
            self.leaving.push(entrance.lane);
        }
        Ok(())
    }

    /// Asks which of these records each handler gets.
    pub(super) fn select(&mut self, contents: Contents<'_>, books: &Books, faults: &Faults) {
        if self.entrances.is_empty() {
            return;
        }
        self.census = Census::of(contents);
        let census = &self.census;
        self.entrances.iter_mut().for_each(|entrance| entrance.select(contents, census, books, faults));
    }

    /// Under the book lock: of so many records, what was selected is on its way.
    pub(super) fn offer(&mut self, records: usize) {
        self.entrances.iter_mut().for_each(|entrance| entrance.offer(records));
    }

    /// Puts them in, as many as find room.
    pub(super) fn send(
        &mut self,
        contents: Contents<'_>,
        books: &Books,
        faults: &Faults,
    ) -> Result<(), GivenUp> {
        let Lanes { entrances, census, told, echoing, .. } = self;
        let arena = Bump::new();
        let takes_some = entrances.iter().any(|entrance| entrance.unsent > 0);
        let packed = if takes_some { packed(contents, &arena) } else { contents };
        entrances.iter_mut().try_for_each(|entrance| {
            match entrance.way {
                Way::In => entrance.send(contents, packed, *echoing, told, books)?,
                Way::Spared => entrance.lane.spare(entrance.front.in_hand as u64),
                Way::Full => entrance.lose(contents, census),
            }
            entrance.tell_hook(faults);
            Ok(())
        })
    }

    /// After a panic of the listener's own, under the book lock: what is not in the lanes never will be.
    pub(super) fn fail_unsent(&mut self) {
        self.entrances.iter_mut().for_each(Entrance::fail_unsent);
    }

    /// Tells of losses that no later record has told of.
    pub(super) fn keep_house(&mut self, books: &Books) -> Result<(), GivenUp> {
        self.leaving.retain(|lane| !lane.has_ended());
        self.tell_lost(books)
    }

    /// Tells handlers what they lost, where there is room for that.
    fn tell_lost(&mut self, books: &Books) -> Result<(), GivenUp> {
        let Lanes { entrances, told, .. } = self;
        entrances.iter_mut().try_for_each(|entrance| entrance.tell_lost(false, told, books))
    }

    /// Flushes the handlers when they are through with what is in the lanes. The last one answers.
    pub(super) fn flush(&mut self, answer: Answer, books: &Books) -> Result<(), GivenUp> {
        self.tell_lost(books)?;
        if self.entrances.is_empty() && self.leaving.is_empty() {
            return Ok(());
        }
        let answer = Arc::new(answer);
        let entrances = self.entrances.iter().map(|entrance| &entrance.lane);
        #[cfg(not(treering_mutant = "flush_skips_lanes"))]
        entrances.chain(&self.leaving).for_each(|lane| lane.ask(Order::Flush(answer.clone())));
        Ok(())
    }

    /// The engine stops: nothing more is put in.
    pub(super) fn close(&mut self, books: &Books) -> Result<(), GivenUp> {
        for mut entrance in self.entrances.drain(..) {
            entrance.tell_lost(true, &mut self.told, books)?;
            entrance.lane.ask(Order::Close(None));
            self.leaving.push(entrance.lane);
        }
        Ok(())
    }

    /// After [`close`](Self::close): waits until the handlers are closed.
    pub(super) fn wait_for_end(&mut self, books: &Books) -> Result<(), GivenUp> {
        self.leaving.drain(..).try_for_each(|lane| lane.wait_for_end(books))
    }

    /// The books are closed: lanes that wait for records end now.
    pub(super) fn dismiss(&self) {
        self.entrances.iter().for_each(|entrance| entrance.lane.ask(Order::Close(None)));
    }
}

impl fmt::Debug for Lanes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lanes").field("entrances", &self.entrances).finish_non_exhaustive()
    }
}

/// Where the records of one handler go in.
#[derive(Debug)]
struct Entrance {
    /// Its level and its filter, which are asked as those of any handler.
    front: Runner,
    options: LaneOptions,
    lane: Arc<Lane>,
    /// What becomes of the records in hand.
    way: Way,
    /// Which of them find room.
    admitted: Vec<u32>,
    /// Records that are counted as queued and are not in the lane yet.
    unsent: u64,
    /// What the handler was not told of.
    lost: Option<Lost>,
    /// The error hook was told that the lane is full, which was never empty since.
    is_known_full: bool,
}

/// What becomes of records that a handler on a lane gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    /// As many as find room go in.
    In,
    /// None goes in, as the handler is quarantined.
    Spared,
    /// None goes in, as there is no room for the smallest.
    Full,
}

impl Entrance {
    fn new(handler: Routed, options: LaneOptions, counters: Arc<HandlerCounters>) -> Self {
        let lane = Lane::new(options.capacity);
        let (front, behind) = handler.split(Door(lane.clone()));
        lane.lead_to(Runner::on_lane(behind, counters.clone()));
        Entrance {
            front: Runner::new(front, counters),
            options,
            lane,
            way: Way::In,
            admitted: Vec::new(),
            unsent: 0,
            lost: None,
            is_known_full: false,
        }
    }

    fn name(&self) -> &str {
        &self.front.counters.name
    }

    /// The thread has the handler's name, as much of it as the system shows.
    fn spawn(&self, spawn: &Spawn) -> io::Result<()> {
        spawn(format!("lane-{}", self.name().replace('\0', "?")), self.lane.clone())
    }

    /// Asks which of these records the handler gets. If none goes in it is enough to know how many, unless a filter is to be
    /// asked of each.
    fn select(&mut self, contents: Contents<'_>, census: &Census, books: &Books, faults: &Faults) {
        let has_filter = self.front.handler.filter.is_some();
        self.way = if self.lane.rests() {
            Way::Spared
        } else if !self.waits() && !has_filter && !self.has_room_for_any(census) {
            Way::Full
        } else {
            Way::In
        };
        if self.way == Way::In || has_filter {
            self.front.select(contents, books, faults);
        } else {
            self.front.count(contents.items.len(), census, faults);
        }
    }

    /// Whether the listener may wait for room.
    fn waits(&self) -> bool {
        !self.options.wait_for_room.is_zero()
    }

    /// Whether there may be room for one record of the batch.
    fn has_room_for_any(&self, census: &Census) -> bool {
        census
            .smallest()
            .is_some_and(|(words, level)| self.lane.takes(self.lane.used(), Parcel::bytes_of(words), level))
    }

    fn offer(&mut self, records: usize) {
        let Runner { counters, selection, in_hand, .. } = &self.front;
        let in_hand = *in_hand as u64;
        add(&counters.offered, records as u64);
        add(&counters.filtered, selection.filtered);
        add(&counters.failed, selection.failed);
        // Failed first: whoever sees a record skipped or overflowed must see it failed.
        match self.way {
            Way::In => {
                add(&counters.queued, in_hand);
                self.unsent = in_hand;
            }
            Way::Spared => {
                add(&counters.failed, in_hand);
                add(&counters.skipped, in_hand);
            }
            Way::Full => {
                add(&counters.failed, in_hand);
                add(&counters.overflowed, in_hand);
            }
        }
    }

    /// Puts them in, as many as find room. `packed`: the same records as they can be kept.
    fn send(
        &mut self,
        contents: Contents<'_>,
        packed: Contents<'_>,
        echoes: bool,
        all_told: &mut Vec<Loss>,
        books: &Books,
    ) -> Result<(), GivenUp> {
        let patience = self.options.wait_for_room;
        let mut waits = self.waits();
        self.is_known_full &= self.lane.used() > 0;
        let mut at = 0;
        while self.unsent > 0 {
            let told = self.admit(contents, packed, &mut at, waits, books)?;
            if told.is_some() {
                books.settle(|| self.count_own())?;
            }
            let admitted = std::mem::take(&mut self.admitted);
            let records = admitted.len() + usize::from(told.is_some());
            self.put(records, echoes, books, |parcel| {
                told.iter().for_each(|lost| lost.push_to(parcel));
                for at in &admitted {
                    let item = &packed.items[*at as usize];
                    let arguments = packed.words.get(item.start..item.start + item.words).unwrap_or(&[]);
                    let kept = kept(item).expect("what cannot be kept is not admitted");
                    let thread = &contents.threads[item.thread];
                    parcel.push(kept, arguments, thread, item.scope_of(contents.scopes));
                }
            })?;
            self.admitted = admitted;
            all_told.extend(told.map(|lost| lost.loss));
            if self.unsent > 0 {
                let _calling = self.front.calling(books);
                waits = self.lane.wait_for_room(Deadline::after(patience), books)?;
            }
        }
        Ok(())
    }

    /// All are lost. They are counted already.
    fn lose(&mut self, contents: Contents<'_>, census: &Census) {
        let Entrance { front, lost, .. } = self;
        let mut wanted = contents.items.iter().filter(|item| passes(item, front.max_level));
        let Some(first) = wanted.next() else { return };
        let last = wanted.next_back().unwrap_or(first);
        let name = &front.counters.name;
        let lost = lost.get_or_insert_with(|| Lost::new(name, first, &contents.threads[first.thread]));
        lost.add(&census.passing(front.max_level));
        lost.end_with(last, contents.threads);
    }

    /// Which of the records in hand find room, from `at` on, which goes along. If it `waits` it stops at the first that finds
    /// none, else that is lost. Returns what is to be told in front of those that it admits.
    fn admit(
        &mut self,
        contents: Contents<'_>,
        packed: Contents<'_>,
        at: &mut usize,
        waits: bool,
        books: &Books,
    ) -> Result<Option<Lost>, GivenUp> {
        let Entrance { front, lane, admitted, lost, .. } = self;
        let mut used = lane.used();
        let mut told = None;
        let (mut overflowed, mut last) = (0, None);
        admitted.clear();
        for position in &front.selection.positions()[*at..] {
            let item = &contents.items[*position as usize];
            let kept = &packed.items[*position as usize];
            let (bytes, can_be_kept) = (Parcel::bytes_of(kept.words), self::kept(kept).is_some());
            if can_be_kept && lane.takes(used, bytes, item.entry.metadata.level) {
                used += bytes;
                if admitted.is_empty() {
                    told = lost.take();
                }
                admitted.push(*position);
            } else if waits && can_be_kept {
                break;
            } else {
                let thread = &contents.threads[item.thread];
                let lost = lost.get_or_insert_with(|| Lost::new(&front.counters.name, item, thread));
                lost.loss.by_level[item.entry.metadata.level.index()] += 1;
                lost.loss.records += 1;
                overflowed += 1;
                last = Some(item);
            }
            *at += 1;
        }
        if let (Some(lost), Some(last)) = (lost, last) {
            lost.end_with(last, contents.threads);
            books.settle(|| self.count_overflowed(overflowed))?;
        }
        Ok(told)
    }

    /// Puts a parcel in, of so many records that are counted as queued.
    fn put(
        &mut self,
        records: usize,
        echoes: bool,
        books: &Books,
        fill: impl FnOnce(&mut Parcel),
    ) -> Result<(), GivenUp> {
        if records > 0 && !self.lane.put(echoes, fill) {
            return books.settle(|| self.fail_unsent());
        }
        self.unsent -= records as u64;
        Ok(())
    }

    /// Tells the handler what it lost, if there is room for that, or if it is the last that it is told.
    fn tell_lost(&mut self, is_last: bool, told: &mut Vec<Loss>, books: &Books) -> Result<(), GivenUp> {
        let has_room = || self.lane.takes(self.lane.used(), Parcel::bytes_of(Lost::WORDS_MAX), Level::Warn);
        let Some(lost) = self.lost.take_if(|_| is_last || has_room()) else { return Ok(()) };
        books.settle(|| self.count_own())?;
        self.put(1, false, books, |parcel| lost.push_to(parcel))?;
        told.push(lost.loss);
        Ok(())
    }

    /// Tells of a lane that is full once, until it was empty again.
    fn tell_hook(&mut self, faults: &Faults) {
        if self.lost.is_some() && !std::mem::replace(&mut self.is_known_full, true) {
            faults.report(format_args!("the lane of handler {} is full: it loses records", self.name()));
        }
    }

    // ---- under the book lock

    /// One of the engine's own records more.
    fn count_own(&mut self) {
        add(&self.front.counters.offered, 1);
        add(&self.front.counters.queued, 1);
        self.unsent += 1;
    }

    /// So many that were counted as queued find no room.
    fn count_overflowed(&mut self, records: u64) {
        let HandlerCounters { queued, failed, overflowed, .. } = &*self.front.counters;
        take_off(queued, records);
        // Failed first: whoever sees one overflowed must see it failed.
        add(failed, records);
        add(overflowed, records);
        self.unsent -= records;
    }

    fn fail_unsent(&mut self) {
        let unsent = std::mem::take(&mut self.unsent);
        take_off(&self.front.counters.queued, unsent);
        add(&self.front.counters.failed, unsent);
    }
}

/// Records that found no room.
#[derive(Debug)]
struct Lost {
    loss: Loss,
    /// Of the last of them.
    stamp: u64,
    thread: Arc<Thread>,
}

impl Lost {
    /// Nine numbers, and three texts of up to 40 bytes.
    const WORDS_MAX: usize = 27;

    /// None yet, the first of which will be this.
    fn new(handler: &str, item: &Item<'_>, thread: &Arc<Thread>) -> Self {
        let loss = Loss {
            reason: Reason::Lane,
            records: 0,
            by_level: ByLevel::default(),
            thread_id: 0,
            thread_name: None,
            from: item.time,
            until: item.time,
            first: 0,
            last: 0,
            handler: Some(handler.to_owned()),
        };
        Lost { loss, stamp: item.stamp, thread: thread.clone() }
    }

    fn add(&mut self, by_level: &ByLevel) {
        add_levels(&mut self.loss.by_level, by_level);
        self.loss.records += total(by_level);
    }

    /// This is the last of them, so far.
    fn end_with(&mut self, last: &Item<'_>, threads: &[Arc<Thread>]) {
        (self.loss.until, self.stamp) = (last.time, last.stamp);
        self.thread = threads[last.thread].clone();
    }

    fn push_to(&self, parcel: &mut Parcel) {
        let arguments = own::loss_arguments(&self.loss);
        let item = Item {
            start: 0,
            words: arguments.len(),
            entry: EntryOf::Process(own::loss_entry(self.loss.reason)),
            time: self.loss.until,
            stamp: self.stamp,
            thread: 0,
            truncated: false,
            own: true,
            scope: None,
        };
        parcel.push(item, &arguments, &self.thread, None);
    }
}

/// The item as it can be kept, if it can.
fn kept(item: &Item<'_>) -> Option<Item<'static>> {
    let EntryOf::Process(entry) = item.entry else { return None };
    let Item { start, words, time, stamp, thread, truncated, own, scope, .. } = *item;
    Some(Item { start, words, entry: EntryOf::Process(entry), time, stamp, thread, truncated, own, scope })
}

/// What stands on the listener's side in the place of the handler.
struct Door(Arc<Lane>);

impl Handler for Door {
    fn handle(&mut self, _: &Batch<'_>) -> Result<(), HandlerError> {
        Ok(())
    }

    fn max_level(&self) -> LevelFilter {
        self.0.max_level()
    }
}
