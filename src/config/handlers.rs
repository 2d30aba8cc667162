//! The tables of handlers, their formats and how their files roll.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Make;
use super::table::{Choice, Table};
use crate::error::Error;
use crate::filter;
use crate::format::{Colors, Format, Json, Logfmt, Pattern, Text, Time};
use crate::handler::{
    Compression, Console, File, FlightRecorder, FlushPolicy, Handler, Rotation, Routed, SyncPolicy, Weekday,
};
use crate::level::LevelFilter;
use crate::logger::Logger;
use crate::record::Record;
use crate::sync::Arc;

pub(super) type Kinds = BTreeMap<String, Arc<Make>>;

/// A handler as its table says, under that name.
pub(super) fn make(name: &str, table: &Table, kinds: &Kinds) -> Result<Routed, Error> {
    Ok(routed(table, kinds)?.named(name))
}

/// The tables below `[handlers]`.
pub(super) fn tables(root: &Table) -> Result<Vec<(&str, &Table)>, Error> {
    let Some(handlers) = root.table("handlers")? else { return Ok(Vec::new()) };
    let table = |name| Ok((name, handlers.table(name)?.expect("it is one of its keys")));
    handlers.keys().map(table).collect()
}

/// What makes a handler of a running engine what its table says now.
pub(super) enum Step {
    /// It is new, or made anew.
    Put(Routed),
    /// Nothing else of it changed.
    Route {
        level: LevelFilter,
        filter: Filter,
    },
    Remove,
}

/// How the handlers of one configuration become those of the next. Nothing has happened yet, but that files are open.
pub(super) fn steps(before: &Table, next: &Table, kinds: &Kinds) -> Result<Vec<(String, Step)>, Error> {
    let old: BTreeMap<_, _> = tables(before)?.into_iter().collect();
    let new: BTreeMap<_, _> = tables(next)?.into_iter().collect();
    let mut steps = Vec::new();
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        steps.push(((*name).to_owned(), Step::Remove));
    }
    for (name, table) in new {
        let step = match old.get(name) {
            Some(old) if *old == table => continue,
            Some(old) => routing(old, table)?,
            None => None,
        };
        let step = match step {
            Some(step) => step,
            None => Step::Put(make(name, table, kinds)?),
        };
        steps.push((name.to_owned(), step));
    }
    Ok(steps)
}

/// If the level or the filter is all that changed, the handler itself stays: its file is not opened anew, which may
/// truncate it.
fn routing(old: &Table, new: &Table) -> Result<Option<Step>, Error> {
    let is_routing = |key: &str| matches!(key, "level" | "filter");
    let (level, has_recorder) = (new.level_filter("level")?, new.table("recorder")?.is_some());
    // Without a level it is the handler's own that counts, and a recorder's is that of what it hands over to.
    if has_recorder || level.is_none() || !old.differences(new).into_iter().all(is_routing) {
        return Ok(None);
    }
    let filter = filter(new)?.unwrap_or_else(|| Box::new(|_| true));
    new.adopt_keys(old);
    Ok(level.map(|level| Step::Route { level, filter }))
}

impl Step {
    /// Takes it, on a handler that may have been there, or not.
    pub(super) fn take(self, logger: &Logger, name: &str, timeout: Duration) -> Result<(), Error> {
        let handlers = logger.handlers();
        let is_there = logger.stats().handlers.find(name).is_some_and(|handler| handler.attached);
        match self {
            Step::Put(handler) if is_there => handlers.replace(name, handler, timeout),
            Step::Put(handler) => handlers.add(handler, timeout),
            Step::Route { level, filter } => {
                handlers.set_level(name, level, timeout)?;
                handlers.set_filter(name, filter, timeout)
            }
            Step::Remove if is_there => handlers.remove(name, timeout),
            Step::Remove => Ok(()),
        }
    }
}

type Filter = Box<dyn FnMut(&Record<'_>) -> bool + Send>;

fn filter(table: &Table) -> Result<Option<Filter>, Error> {
    let Some(directives) = table.text("filter")? else { return Ok(None) };
    let filter = filter::directives(directives).map_err(|problem| table.wrong("filter", problem))?;
    Ok(Some(Box::new(filter)))
}

/// With what any handler may have: level and filter, a recorder in front of it, another one behind it.
fn routed(table: &Table, kinds: &Kinds) -> Result<Routed, Error> {
    let mut handler = Routed::of(of_kind(table, kinds)?);
    if let Some(level) = table.level_filter("level")? {
        handler = handler.level(level);
    }
    if let Some(recorder) = table.table("recorder")? {
        handler = Routed::of(recording(handler, recorder)?);
    }
    if let Some(fallback) = table.table("or")? {
        handler = Routed::of(handler.or(routed(fallback, kinds)?));
    }
    if let Some(filter) = filter(table)? {
        handler = handler.filter(filter);
    }
    if let Some(policy) = table.table("flush")? {
        handler = handler.flush_policy(flush_policy(policy)?);
    }
    Ok(handler)
}

fn of_kind(table: &Table, kinds: &Kinds) -> Result<Box<dyn Handler>, Error> {
    let kind = table.text("kind")?.ok_or_else(|| table.missing("kind"))?;
    if let Some(make) = kinds.get(kind) {
        return make(table).map_err(|problem| match problem.downcast::<Error>() {
            Ok(problem) => *problem, // which names the place
            Err(problem) => table.problem(problem),
        });
    }
    match kind {
        "console" => Ok(Box::new(console(table)?)),
        "file" => Ok(Box::new(file(table)?)),
        _ => {
            let known = ["console", "file"].into_iter().chain(kinds.keys().map(String::as_str));
            let known: Vec<_> = known.collect();
            Err(table.wrong("kind", format_args!("no such kind; there are {}", known.join(", "))))
        }
    }
}

fn console(table: &Table) -> Result<Console, Error> {
    let console = match table.choice("stream")? {
        None | Some(Choice::Named("stderr")) => Console::stderr(),
        Some(Choice::Named("stdout")) => Console::stdout(),
        Some(Choice::Of(of)) => Console::split(of.level("split")?.ok_or_else(|| of.missing("split"))?),
        Some(Choice::Named(_)) => {
            let known = "stderr, stdout and { split = \"warn\" }";
            return Err(table.wrong("stream", format_args!("no such stream; there are {known}")));
        }
    };
    Ok(match format(table)? {
        Some(format) => console.format(format),
        None => console,
    })
}

fn file(table: &Table) -> Result<File, Error> {
    let path = table.text("path")?.ok_or_else(|| table.missing("path"))?;
    let mut options = File::options();
    if let Some(truncates) = table.flag("truncate")? {
        options = options.truncate(truncates);
    }
    if let Some(creates) = table.flag("create_directories")? {
        options = options.create_directories(creates);
    }
    if let Some(mode) = table.number("mode")? {
        options = options.mode(mode);
    }
    if let Some(header) = table.text("header")? {
        options = options.header(header);
    }
    if let Some(policy) = sync_policy(table)? {
        options = options.sync(policy);
    }
    if let Some(of) = table.table("rotate")? {
        options = options.rotate(rotation(of)?);
    }
    let format = format(table)?;
    let file = options.open(path).map_err(|problem| table.problem(problem))?;
    Ok(match format {
        Some(format) => file.format(format),
        None => file,
    })
}

fn sync_policy(table: &Table) -> Result<Option<SyncPolicy>, Error> {
    let policy = match table.choice("sync")? {
        None => return Ok(None),
        Some(Choice::Named("never")) => Some(SyncPolicy::Never),
        Some(Choice::Named("each_batch")) => Some(SyncPolicy::EachBatch),
        Some(Choice::Named(_)) => None,
        Some(Choice::Of(of)) => match (of.duration("each")?, of.level("at_level")?) {
            (Some(time), None) => Some(SyncPolicy::Each(time)),
            (None, Some(level)) => Some(SyncPolicy::AtLevel(level)),
            _ => None,
        },
    };
    let known = "never, each_batch, { each = \"1s\" } and { at_level = \"error\" }";
    policy.map(Some).ok_or_else(|| table.wrong("sync", format_args!("no such policy; there are {known}")))
}

fn rotation(table: &Table) -> Result<Rotation, Error> {
    let mut rotation = Rotation::new();
    if let Some(bytes) = table.bytes("at_bytes")? {
        rotation = rotation.at_bytes(bytes);
    }
    rotation = match table.text("every")? {
        None => rotation,
        Some("minute") => rotation.minutely(),
        Some("hour") => rotation.hourly(),
        Some("day") => rotation.daily(),
        Some(text) => match WEEKDAYS.iter().find(|(name, _)| *name == text) {
            Some((_, first)) => rotation.weekly(*first),
            None => match table.duration("every") {
                Ok(Some(length)) => rotation.every(length),
                _ => {
                    let known = "minute, hour, day, the days of the week, and times as \"15min\"";
                    return Err(table.wrong("every", format_args!("no interval; there are {known}")));
                }
            },
        },
    };
    if let Some(zone) = table.text("zone")? {
        rotation = in_zone(rotation, zone).map_err(|problem| table.wrong("zone", problem))?;
    }
    if let Some(time) = table.text("at")? {
        let (hour, minute) = time.split_once(':').unwrap_or((time, ""));
        let (Ok(hour), Ok(minute)) = (hour.parse(), minute.parse()) else {
            return Err(table.wrong("at", format_args!("{time:?} is no time of day, as \"03:00\"")));
        };
        rotation = rotation.at(hour, minute);
    }
    if let Some(rolls) = table.flag("on_start")? {
        rotation = rotation.on_start(rolls);
    }
    if let Some(files) = table.number("keep_files")? {
        rotation = rotation.keep_files(files);
    }
    if let Some(age) = table.duration("keep_age")? {
        rotation = rotation.keep_age(age);
    }
    if let Some(bytes) = table.bytes("keep_bytes")? {
        rotation = rotation.keep_bytes(bytes);
    }
    if let Some(name) = table.text("compress")? {
        let compression = compression(name).map_err(|problem| table.wrong("compress", problem))?;
        rotation = rotation.compress(compression);
    }
    Ok(rotation)
}

const WEEKDAYS: [(&str, Weekday); 7] = [
    ("monday", Weekday::Monday),
    ("tuesday", Weekday::Tuesday),
    ("wednesday", Weekday::Wednesday),
    ("thursday", Weekday::Thursday),
    ("friday", Weekday::Friday),
    ("saturday", Weekday::Saturday),
    ("sunday", Weekday::Sunday),
];

fn compression(name: &str) -> Result<Compression, String> {
    match name {
        #[cfg(feature = "gzip")]
        "gzip" => Ok(Compression::Gzip),
        #[cfg(feature = "zstd")]
        "zstd" => Ok(Compression::Zstd),
        #[cfg(not(all(feature = "gzip", feature = "zstd")))]
        "gzip" | "zstd" => Err(format!("this program was built without the feature `{name}` of treering")),
        _ => Err("no such compression; there are gzip and zstd".to_owned()),
    }
}

#[cfg(feature = "time-zones")]
fn in_zone(rotation: Rotation, zone: &str) -> Result<Rotation, Error> {
    match zone {
        "utc" => Ok(rotation),
        "local" => rotation.local(),
        name => rotation.zone(name),
    }
}

#[cfg(feature = "time-zones")]
fn time_in_zone(zone: &str) -> Result<Time, Error> {
    match zone {
        "utc" => Ok(Time::utc()),
        "local" => Time::local(),
        name => Time::zone(name),
    }
}

#[cfg(not(feature = "time-zones"))]
fn in_zone(rotation: Rotation, zone: &str) -> Result<Rotation, Error> {
    if zone == "utc" { Ok(rotation) } else { Err(Error::config(WITHOUT_ZONES)) }
}

#[cfg(not(feature = "time-zones"))]
fn time_in_zone(zone: &str) -> Result<Time, Error> {
    if zone == "utc" { Ok(Time::utc()) } else { Err(Error::config(WITHOUT_ZONES)) }
}

#[cfg(not(feature = "time-zones"))]
const WITHOUT_ZONES: &str = "this program was built without the feature `time-zones` of treering";

/// `format = "json"`, or a table with `kind` and that format's own keys.
fn format(table: &Table) -> Result<Option<Box<dyn Format>>, Error> {
    let (name, of) = match table.choice("format")? {
        None => return Ok(None),
        Some(Choice::Named(name)) => (name, &Table::default()),
        Some(Choice::Of(of)) => (of.text("kind")?.ok_or_else(|| of.missing("kind"))?, of),
    };
    let format: Box<dyn Format> = match name {
        "text" => Box::new(text(of)?),
        "json" => Box::new(json(of)?),
        "logfmt" => Box::new(logfmt(of)?),
        "pattern" => Box::new(pattern(of)?),
        _ => {
            let wrong = |table: &Table, key| {
                table.wrong(key, "no such format; there are text, json, logfmt, pattern")
            };
            return Err(if of.keys().next().is_some() { wrong(of, "kind") } else { wrong(table, "format") });
        }
    };
    Ok(Some(format))
}

fn text(of: &Table) -> Result<Text, Error> {
    let mut text = Text::new();
    if let Some(time) = time(of)? {
        text = text.time(time);
    }
    if let Some(colors) = colors(of)? {
        text = text.colors(colors);
    }
    if let Some(yes) = of.flag("threads")? {
        text = text.threads(yes);
    }
    if let Some(yes) = of.flag("location")? {
        text = text.location(yes);
    }
    if let Some(yes) = of.flag("indented")? {
        text = text.indented(yes);
    }
    Ok(text)
}

fn json(of: &Table) -> Result<Json, Error> {
    let mut json = Json::new();
    if let Some(time) = time(of)? {
        json = json.time(time);
    }
    if let Some(yes) = of.flag("threads")? {
        json = json.threads(yes);
    }
    if let Some(yes) = of.flag("location")? {
        json = json.location(yes);
    }
    if let Some(yes) = of.flag("module")? {
        json = json.module(yes);
    }
    if let Some(yes) = of.flag("process_id")? {
        json = json.process_id(yes);
    }
    if let Some(yes) = of.flag("flat")? {
        json = json.flat(yes);
    }
    if let Some(yes) = of.flag("big_integers_as_strings")? {
        json = json.big_integers_as_strings(yes);
    }
    Ok(json)
}

fn logfmt(of: &Table) -> Result<Logfmt, Error> {
    let mut logfmt = Logfmt::new();
    if let Some(time) = time(of)? {
        logfmt = logfmt.time(time);
    }
    if let Some(yes) = of.flag("threads")? {
        logfmt = logfmt.threads(yes);
    }
    if let Some(yes) = of.flag("location")? {
        logfmt = logfmt.location(yes);
    }
    if let Some(yes) = of.flag("module")? {
        logfmt = logfmt.module(yes);
    }
    if let Some(yes) = of.flag("process_id")? {
        logfmt = logfmt.process_id(yes);
    }
    Ok(logfmt)
}

fn pattern(of: &Table) -> Result<Pattern, Error> {
    let text = of.text("pattern")?.ok_or_else(|| of.missing("pattern"))?;
    let mut pattern = Pattern::new(text).map_err(|problem| of.wrong("pattern", problem))?;
    if let Some(time) = time(of)? {
        pattern = pattern.time(time);
    }
    if let Some(colors) = colors(of)? {
        pattern = pattern.colors(colors);
    }
    Ok(pattern)
}

/// `time`, the precision, and `zone`.
fn time(of: &Table) -> Result<Option<Time>, Error> {
    let zone = of.text("zone")?.map(|zone| time_in_zone(zone).map_err(|problem| of.wrong("zone", problem)));
    let zone = zone.transpose()?;
    let Some(precision) = of.text("time")? else { return Ok(zone) };
    let time = zone.unwrap_or_default();
    Ok(Some(match precision {
        "seconds" => time.seconds(),
        "millis" => time.millis(),
        "micros" => time.micros(),
        "nanos" => time.nanos(),
        _ => {
            return Err(of.wrong("time", "no such precision; there are seconds, millis, micros, nanos"));
        }
    }))
}

fn colors(of: &Table) -> Result<Option<Colors>, Error> {
    let Some(name) = of.text("colors")? else { return Ok(None) };
    Ok(Some(match name {
        "auto" => Colors::Auto,
        "always" => Colors::Always,
        "never" => Colors::Never,
        _ => return Err(of.wrong("colors", "no such choice; there are auto, always, never")),
    }))
}

fn recording(handler: Routed, of: &Table) -> Result<FlightRecorder, Error> {
    let mut recorder = FlightRecorder::new(handler);
    if let Some(records) = of.number("records")? {
        recorder = recorder.records(records);
    }
    if let Some(bytes) = of.bytes("bytes")? {
        recorder = recorder.bytes(usize::try_from(bytes).unwrap_or(usize::MAX));
    }
    if let Some(level) = of.level_filter("trigger")? {
        recorder = recorder.trigger(level);
    }
    if let Some(yes) = of.flag("emit_at_close")? {
        recorder = recorder.emit_at_close(yes);
    }
    Ok(recorder)
}

fn flush_policy(of: &Table) -> Result<FlushPolicy, Error> {
    let mut policy = FlushPolicy::new();
    if let Some(flushes) = of.flag("when_idle")? {
        policy = policy.when_idle(flushes);
    }
    if let Some(time) = of.duration("held_at_most")? {
        policy = policy.held_at_most(time);
    }
    if let Some(level) = of.level("at_level")? {
        policy = policy.at_level(level);
    }
    if let Some(records) = of.number("each_records")? {
        policy = policy.each_records(records);
    }
    Ok(policy)
}
