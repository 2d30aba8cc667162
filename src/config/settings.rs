//! The keys of the engine itself.

use super::table::{Choice, Table};
use crate::builder::Builder;
use crate::error::Error;
use crate::filter::Filter;
use crate::format::lower;
use crate::level::Level;
use crate::listener::Wait;
use crate::overflow::Overflow;

/// What only an engine that starts takes.
pub(super) const FIXED: [&str; 8] = [
    "ring_capacity",
    "memory_cap",
    "overflow",
    "fill_limit",
    "wait",
    "thread_name",
    "affinity",
    "exit_timeout",
];

/// Tells a builder what the keys say. Handlers are not its matter.
pub(super) fn apply(table: &Table, mut builder: Builder) -> Result<Builder, Error> {
    if let Some(directives) = filter(table)? {
        builder = builder.default_filter(directives);
    }
    if let Some(bytes) = size(table, "ring_capacity")? {
        builder = builder.ring_capacity(bytes);
    }
    if let Some(bytes) = size(table, "memory_cap")? {
        builder = builder.memory_cap(bytes);
    }
    if let Some(policies) = table.table("overflow")? {
        builder = overflow(policies, builder)?;
    }
    if let Some(limits) = table.table("fill_limit")? {
        for level in Level::ALL {
            if let Some(percent) = limits.number(lower(level))? {
                builder = builder.fill_limit(level, percent);
            }
        }
    }
    if let Some(wait) = wait(table)? {
        builder = builder.wait(wait);
    }
    if let Some(name) = table.text("thread_name")? {
        builder = builder.thread_name(name);
    }
    if let Some(core) = table.number("affinity")? {
        builder = builder.affinity(core);
    }
    if let Some(timeout) = table.duration("exit_timeout")? {
        builder = builder.exit_timeout(timeout);
    }
    Ok(builder)
}

/// The directives, if there are some.
pub(super) fn filter(table: &Table) -> Result<Option<&str>, Error> {
    let Some(directives) = table.text("filter")? else { return Ok(None) };
    Filter::parse(directives).map_err(|problem| table.wrong("filter", problem))?;
    Ok(Some(directives))
}

fn size(table: &Table, key: &str) -> Result<Option<usize>, Error> {
    let fit = |bytes| usize::try_from(bytes).map_err(|_| table.wrong(key, "out of range"));
    table.bytes(key)?.map(fit).transpose()
}

/// `default`, and a level's own.
fn overflow(policies: &Table, mut builder: Builder) -> Result<Builder, Error> {
    if let Some(policy) = policy(policies, "default")? {
        builder = builder.overflow(policy);
    }
    for level in Level::ALL {
        if let Some(policy) = policy(policies, lower(level))? {
            builder = builder.overflow_at(level, policy);
        }
    }
    Ok(builder)
}

fn policy(policies: &Table, key: &str) -> Result<Option<Overflow>, Error> {
    let policy = match policies.choice(key)? {
        None => return Ok(None),
        Some(Choice::Named("drop_newest")) => Some(Overflow::drop_newest()),
        Some(Choice::Named("drop_oldest")) => Some(Overflow::drop_oldest()),
        Some(Choice::Named("block_forever")) => Some(Overflow::block_forever()),
        Some(Choice::Named(_)) => None,
        Some(Choice::Of(table)) => match (table.duration("block")?, table.number("sample")?) {
            (Some(deadline), None) => Some(Overflow::block(deadline)),
            (None, Some(n)) => Some(Overflow::sample(n)),
            _ => None,
        },
    };
    let known = "drop_newest, drop_oldest, block_forever, { block = \"1ms\" } and { sample = 10 }";
    policy.map(Some).ok_or_else(|| policies.wrong(key, format_args!("no such policy; there are {known}")))
}

fn wait(table: &Table) -> Result<Option<Wait>, Error> {
    let wait = match table.choice("wait")? {
        None => return Ok(None),
        Some(Choice::Named("adaptive")) => Some(Wait::Adaptive),
        Some(Choice::Named("spin")) => Some(Wait::Spin),
        Some(Choice::Named("park")) => Some(Wait::Park),
        Some(Choice::Named(_)) => None,
        Some(Choice::Of(table)) => table.duration("poll")?.map(Wait::Poll),
    };
    let known = "adaptive, spin, park and { poll = \"1ms\" }";
    wait.map(Some).ok_or_else(|| table.wrong("wait", format_args!("no such way to wait; there are {known}")))
}
