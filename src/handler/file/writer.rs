//! What a file handler does with a batch, on whatever file system: it looks whether its path still names its file,
//! writes, syncs, and rolls.
//!
//! ```text
//!            handle                                             flush
//!              │                                                  │
//!   look after: does the path name our file? ── no ─► reopen ◄────┤
//!              │                                                  │
//!   each record: header? gap? ─► format ─► too long, too late?    │
//!              │                             └─ yes ─► roll       │
//!              ▼                                                  ▼
//!        write at 64 KiB ───────────────► sync, as the policy says ─► tell
//! ```
//!
//! **A roll is a rename and a reopen.** The lines before the one that is too much are written, the file gets another
//! name, and its path, which names nothing now, is opened anew. So what fails halfway is the same as when somebody
//! else takes the file away: the old descriptor serves on until the path can be opened, however long that takes, and
//! nothing has to be undone. A file whose path names another one is not ours to roll.
//!
//! What fails is told once and tried again with growing pauses ([`BackOff`]).

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::backoff::BackOff;
use super::control::FileControl;
use super::options::{FileOptions, SyncPolicy};
use super::packing::{Packed, Packing};
use super::rotation::Rotation;
use super::{Archive, Period};
use crate::clock;
use crate::error::Error;
use crate::handler::stream::Stream;
use crate::handler::{Batch, HandlerError};
use crate::level::{Level, LevelFilter};
use crate::output::{Appended, Failed, Fate, Files, How, Lines, directory_of};
use crate::record::{Record, Timestamp};

/// How often it is looked whether the path names the same file.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Writer<F: Files> {
    files: F,
    path: PathBuf,
    how: How,
    header: Vec<u8>,
    pub(super) stream: Stream<Appended<F>>,
    pub(super) control: FileControl,
    look_interval: Duration,
    next_look: Instant,
    reopening: BackOff,
    disk: Disk,
    roller: Option<Roller>,
    /// If rolled files are compressed.
    packing: Option<Packing<F>>,
}

/// What is known of what reached the disk.
#[derive(Debug)]
struct Disk {
    policy: SyncPolicy,
    /// Records that were written since the last sync.
    unsynced: u64,
    last_sync: Instant,
    /// A record of this batch asks for a sync.
    is_wanted: bool,
    /// The name of the open file has reached the disk.
    has_name: bool,
    /// A sync failed, and this descriptor will not be believed again.
    is_poisoned: bool,
}

/// When the file rolls.
#[derive(Debug)]
struct Roller {
    rotation: Rotation,
    archive: Archive,
    /// The interval that the records of the open file are of, once it has some.
    period: Option<Period>,
    rolling: BackOff,
    /// What a stamp looks like.
    stamp: String,
}

impl<F: Files> Writer<F> {
    pub(super) fn open(files: F, path: &Path, options: FileOptions) -> Result<Self, Error> {
        let FileOptions { how, truncates, sync, header, rotation } = options;
        let control = FileControl::default();
        let roller = rotation.map(|rotation| Roller::new(rotation, path, &control)).transpose()?;
        let packing = roller.as_ref().and_then(|Roller { rotation, archive, .. }| {
            Some(Packing::new(files.clone(), rotation.compression?, archive.workbench(), how.mode))
        });
        let failed = |error| Error::io("open", path, error);
        let mut file = Appended::open(files.clone(), path, &how).map_err(failed)?;
        if truncates {
            file.truncate().map_err(|error| Error::io("truncate", path, error))?;
        }
        let now = clock::now();
        let mut writer = Writer {
            files,
            path: path.to_owned(),
            how,
            header: header.into_bytes(),
            stream: Stream::new(Lines::from(file), path.to_owned()),
            control,
            look_interval: LOOK_INTERVAL,
            next_look: now + LOOK_INTERVAL,
            reopening: BackOff::new(),
            disk: Disk::new(sync, now),
            roller,
            packing,
        };
        writer.begin_period();
        Ok(writer)
    }

    pub(super) fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        self.look_after();
        self.stream.begin_batch(batch);
        for record in batch {
            self.take(&record);
        }
        self.stream.end_batch(batch);
        self.sync_if_due();
        self.pack();
        self.stream.tell()
    }

    pub(super) fn flush(&mut self) -> Result<(), HandlerError> {
        self.look_after();
        self.stream.tell_gap();
        self.write();
        self.sync_if_due();
        self.stream.tell()
    }

    pub(super) fn tend(&mut self) -> Result<(), HandlerError> {
        self.look_after();
        self.pack();
        self.stream.tell()
    }

    pub(super) fn close(&mut self) -> Result<(), HandlerError> {
        self.stream.tell_gap();
        self.write();
        if self.disk.policy != SyncPolicy::Never {
            self.sync();
        }
        self.give_names(clock::now());
        self.packing = None; // the next process goes on with it
        self.stream.tell()
    }

    /// How many records have not come as far as the policy wants them.
    pub(super) fn held(&self) -> u64 {
        self.stream.held() + self.disk.unsynced
    }

    fn take(&mut self, record: &Record<'_>) {
        self.begin_file();
        self.stream.set_newest(record.time);
        if self.stream.tell_gap() {
            self.roll_if_due(record);
        }
        let waiting = self.stream.waiting();
        self.stream.push(record);
        if self.stream.waiting() > waiting {
            self.roll_if_due(record); // a format may have nothing to say of it, and a frame no place for it
        }
        if self.stream.lines.is_full() {
            self.write();
        }
        self.disk.consider(record.level());
    }

    /// A line that no book counts.
    pub(super) fn remark(&mut self, record: &Record<'_>) {
        self.begin_file();
        self.stream.push_note(record, 0);
        self.roll_if_due(record);
    }

    /// Every file of lines begins with the header, if there is one.
    fn begin_file(&mut self) {
        let header_len = self.header_len();
        let lines = &mut self.stream.lines;
        if header_len > 0 && lines.is_empty() && lines.out().length() == 0 {
            lines.push_note(&self.header, 0);
        }
    }

    fn header_len(&self) -> usize {
        if self.stream.has_frames() { 0 } else { self.header.len() }
    }

    fn write(&mut self) {
        let before = self.stream.held();
        let lost = self.stream.write();
        if self.disk.policy != SyncPolicy::Never {
            self.disk.unsynced += before - lost - self.stream.held();
        }
    }
}

/// Reopening.
impl<F: Files> Writer<F> {
    /// Looks, at most once a second, whether the path names another file than the one that is open, or none; and opens
    /// it anew then, or if that was asked for, or if the descriptor is not to be trusted.
    fn look_after(&mut self) {
        let now = clock::now();
        let must = self.control.wants_reopen() || (self.disk.is_poisoned && self.reopening.is_due(now));
        if !must && now < self.next_look {
            return;
        }
        if self.control.wants_reopen() {
            self.control.take_reopen();
        }
        let fate = self.look(now);
        if must || (fate == Fate::Gone && self.reopening.is_due(now)) {
            self.reopen(now);
        }
    }

    fn look(&mut self, now: Instant) -> Fate {
        self.next_look = now + self.look_interval;
        let fate = self.stream.lines.out_mut().look_after(&self.path);
        if fate == Fate::Truncated {
            self.stream.restart();
        }
        fate
    }

    /// Opens the path anew. What is held goes to the file that it names now, but for the rest of a line that was begun
    /// in the old one, which gets a last chance. Whether it worked; if not, the old file serves on as long as it has a name.
    fn reopen(&mut self, now: Instant) -> bool {
        let file = match Appended::open(self.files.clone(), &self.path, &self.how) {
            Ok(file) => file,
            Err(source) => {
                if self.reopening.fail(now) {
                    self.stream.fail("reopen", Failed { lost: 0, source });
                }
                return false;
            }
        };
        if file.facts().identity == self.stream.lines.out().facts().identity {
            self.stream.lines.exchange(file);
        } else {
            if self.stream.lines.is_begun() && !self.stream.lines.out().is_deleted() {
                self.write();
            }
            if self.disk.unsynced > 0 {
                self.sync();
            }
            let is_torn = file.is_torn();
            self.stream.replace(file, is_torn);
            self.begin_period();
        }
        (self.disk.is_poisoned, self.disk.has_name) = (false, false);
        self.reopening.succeed();
        true
    }
}

/// Syncing.
impl<F: Files> Writer<F> {
    fn sync_if_due(&mut self) {
        let is_wanted = std::mem::take(&mut self.disk.is_wanted);
        let is_due = match self.disk.policy {
            SyncPolicy::Never => false,
            SyncPolicy::Each(interval) => self.held() > 0 && clock::now() - self.disk.last_sync >= interval,
            SyncPolicy::AtLevel(_) => is_wanted,
            SyncPolicy::EachBatch => self.held() > 0,
        };
        if is_due {
            self.write();
            self.sync();
        }
        if let SyncPolicy::AtLevel(_) = self.disk.policy {
            self.disk.unsynced = 0; // delivered when written, unless a sync failed with them
        }
    }

    /// Brings what was written to the disk. If that fails it may be there or not: it counts as failed, and the
    /// descriptor is not asked again, as the next sync would say that all is well.
    fn sync(&mut self) {
        let result = self.try_sync();
        let records = std::mem::take(&mut self.disk.unsynced);
        self.disk.last_sync = clock::now();
        if let Err(source) = result {
            self.disk.is_poisoned = true;
            self.stream.fail("sync", Failed { lost: records, source });
        }
    }

    fn try_sync(&mut self) -> io::Result<()> {
        if self.disk.is_poisoned {
            return Err(io::Error::other("a sync failed before, and the file cannot be opened anew"));
        }
        if !self.disk.has_name && self.stream.lines.out().is_regular() {
            self.files.sync_directory(directory_of(&self.path))?;
            self.disk.has_name = true;
        }
        self.stream.lines.out().sync()
    }
}

impl Disk {
    fn new(policy: SyncPolicy, now: Instant) -> Self {
        Disk { policy, unsynced: 0, last_sync: now, is_wanted: false, has_name: false, is_poisoned: false }
    }

    fn consider(&mut self, level: Level) {
        if let SyncPolicy::AtLevel(least) = self.policy {
            self.is_wanted |= LevelFilter::from(least).allows(level);
        }
    }
}

/// Rolling.
impl<F: Files> Writer<F> {
    /// The open file is another one than before: its interval is that of its last line, if it has any.
    fn begin_period(&mut self) {
        let file = self.stream.lines.out();
        let modified = (file.length() > 0).then(|| timestamp(file.facts().modified));
        if let Some(Roller { rotation, period, .. }) = &mut self.roller {
            *period = modified.and_then(|time| rotation.period_of(time));
        }
    }

    /// Rolls before what was pushed last, which is this record or tells of a gap before it, if that is too much or too late
    /// for the open file.
    #[inline]
    fn roll_if_due(&mut self, record: &Record<'_>) {
        let header_len = self.header_len();
        if let Some(roller) = &mut self.roller {
            let (stream, file) = (&self.stream, self.stream.lines.out());
            let after = file.length() + stream.waiting() as u64;
            let before = after - stream.last_len() as u64;
            let is_empty = before == 0 || before == header_len as u64;
            if roller.is_due(record.time, after, is_empty, &self.control) && file.is_regular() {
                self.roll_before_last(record);
            }
        }
    }

    #[cold]
    fn roll_before_last(&mut self, record: &Record<'_>) {
        let now = clock::now();
        let Some(roller) = self.roller.as_mut().filter(|roller| roller.rolling.is_due(now)) else { return };
        let Some(last) = self.stream.take_back() else { return };
        roller.rolling.postpone(now);
        self.write();
        if self.stream.lines.is_empty() && self.lock_names() {
            if self.is_ours(now) {
                self.roll(now, record.time);
            }
            self.stream.lines.out().unlock_names();
        }
        self.begin_file();
        self.stream.tell_gap();
        self.stream.push_again(last, record);
    }

    /// Takes the lock on the names of the files. Where another process has it the path is about to name another file:
    /// that is looked for soon.
    fn lock_names(&mut self) -> bool {
        let is_free = self.stream.lines.out().lock_names();
        if !is_free {
            self.next_look = clock::now();
        }
        is_free
    }

    /// Whether the path names the open file; if not, it is opened anew.
    fn is_ours(&mut self, now: Instant) -> bool {
        let is_gone = self.look(now) == Fate::Gone;
        if is_gone && self.reopening.is_due(now) {
            self.reopen(now);
        }
        !is_gone
    }

    /// Puts the open file aside and begins a new one.
    fn roll(&mut self, now: Instant, time: Timestamp) {
        let Some(roller) = &mut self.roller else { return };
        let stamp = roller.stamp(time);
        let moved = roller.archive.make_room(&self.files, &stamp);
        if let Err(source) = moved.and_then(|aside| self.files.rename(&self.path, &aside)) {
            if roller.rolling.fail(now) {
                self.stream.fail("roll", Failed { lost: 0, source });
            }
            return;
        }
        self.control.take_roll();
        if !self.reopen(now) {
            return;
        }
        let Some(roller) = &mut self.roller else { return };
        roller.rolling.succeed();
        roller.begin(time);
        self.packing.iter_mut().for_each(Packing::want);
        self.sweep(time);
    }

    /// Removes what is not to be kept, unless another process is about to.
    fn sweep(&mut self, time: Timestamp) {
        let Some(roller) = &self.roller else { return };
        if !self.stream.lines.out().lock_names() {
            return;
        }
        let Roller { rotation, archive, stamp, .. } = roller;
        let swept = archive.sweep(&self.files, stamp, &rotation.keep, system_time(time));
        self.stream.lines.out().unlock_names();
        if let Err(source) = swept {
            self.stream.fail("remove what was rolled from", Failed { lost: 0, source });
        }
    }
}

/// Compressing.
impl<F: Files> Writer<F> {
    /// Gives a compressed file its name, and begins with the next.
    #[inline]
    fn pack(&mut self) {
        if self.packing.is_some() {
            let now = clock::now();
            self.give_names(now);
            self.begin_packing(now);
        }
    }

    fn give_names(&mut self, now: Instant) {
        let Some(result) = self.packing.as_mut().and_then(Packing::result) else { return };
        let exchanged = result.and_then(|packed| packed.map(|packed| self.exchange(&packed)).transpose());
        match exchanged {
            Ok(Some(())) => self.packing.iter_mut().for_each(Packing::succeed),
            Ok(None) => {}
            Err(source) => self.fail_to_pack(now, source),
        }
    }

    fn fail_to_pack(&mut self, now: Instant, source: io::Error) {
        if self.packing.as_mut().is_some_and(|packing| packing.fail(now)) {
            self.stream.fail("compress what was rolled from", Failed { lost: 0, source });
        }
    }

    /// Puts a compressed file in the place of the plain one.
    fn exchange(&mut self, packed: &Packed<F>) -> io::Result<()> {
        let (Some(roller), Some(packing)) = (&self.roller, &self.packing) else { return Ok(()) };
        let ending = packing.compression.ending();
        let workbench = roller.archive.workbench();
        if !self.stream.lines.out().lock_names() {
            return self.files.remove(&workbench); // another process rolls: later
        }
        let result = roller.archive.exchange(&self.files, &roller.stamp, packed.made_of, &workbench, ending);
        self.stream.lines.out().unlock_names();
        result
    }

    fn begin_packing(&mut self, now: Instant) {
        let (Some(roller), Some(packing)) = (&self.roller, &mut self.packing) else { return };
        if packing.is_busy() || !packing.is_due(now) || !self.stream.lines.out().lock_names() {
            return;
        }
        let waiting = roller.archive.plain(&self.files, &roller.stamp);
        self.stream.lines.out().unlock_names();
        if let Err(source) = waiting.and_then(|waiting| packing.begin(waiting, now)) {
            self.fail_to_pack(now, source);
        }
    }
}

impl Roller {
    fn new(rotation: Rotation, path: &Path, control: &FileControl) -> Result<Self, Error> {
        let rotation = rotation.check()?;
        if rotation.on_start {
            control.roll();
        }
        let archive = Archive::of(path, rotation.compression.is_some())
            .ok_or_else(|| Error::config(format!("{} has no name that rolls", path.display())))?;
        let stamp = rotation.sample_stamp();
        Ok(Roller { rotation, archive, period: None, rolling: BackOff::new(), stamp })
    }

    /// Whether the file rolls before a line whose record was made at `time`, and with which it would have `after`
    /// bytes. An empty one never does, but there its interval begins.
    #[inline]
    fn is_due(&mut self, time: Timestamp, after: u64, is_empty: bool, control: &FileControl) -> bool {
        if is_empty {
            control.take_roll(); // it begins anew as it is
            self.begin(time);
            return false;
        }
        let is_over = self.period.is_some_and(|period| period.is_over_at(time));
        is_over || self.rotation.is_too_long(after) || control.wants_roll()
    }

    /// The open file's first record was made then.
    fn begin(&mut self, time: Timestamp) {
        self.period = self.rotation.period_of(time);
    }

    /// What the open file is named for when it rolls.
    fn stamp(&self, time: Timestamp) -> String {
        self.rotation.stamp(self.period.or_else(|| self.rotation.period_of(time)))
    }
}

fn timestamp(time: SystemTime) -> Timestamp {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_nanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

fn system_time(time: Timestamp) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_nanos(time.as_nanos())
}

/// For tests: looks before each batch, and tries again at once.
#[cfg(test)]
impl<F: Files> Writer<F> {
    fn eager(mut self) -> Self {
        (self.look_interval, self.next_look) = (Duration::ZERO, clock::now());
        self.reopening = BackOff::eager();
        self.roller.iter_mut().for_each(|roller| roller.rolling = BackOff::eager());
        self.packing.iter_mut().for_each(Packing::eager);
        self
    }
}

#[cfg(test)]
mod tests;
