//! Steps that many programs need.

use std::borrow::Cow;
use std::path::Path;
use std::time::Duration;

use super::{Change, Prepared};
use crate::os;
use crate::record::Record;

/// A step that lets fields of these names say `[redacted]`: see [`Change::redact`], also for what the message says of them.
/// Names are compared as they are, to the letter and the case.
///
/// Cost: a look at the names of each record's fields.
///
/// ```
/// let builder = treering::builder().prepare(treering::prepare::redact(["password", "token"]));
/// ```
pub fn redact<N: Into<Cow<'static, str>>>(
    names: impl IntoIterator<Item = N>,
) -> impl FnMut(&Record<'_>) -> Prepared + Send + 'static {
    let names: Vec<_> = names.into_iter().map(Into::into).collect();
    move |record| {
        let has = |name: &&Cow<'static, str>| record.field_names().any(|field| field == **name);
        let mut present = names.iter().filter(has).peekable();
        match present.peek() {
            None => Prepared::Keep,
            Some(_) => present.fold(Change::new(), |change, name| change.redact(name.clone())).into(),
        }
    }
}

/// A step that adds `process.pid`, the number of the process that logged, and `process.executable.name`, the file that *this*
/// process runs: for the engine that the records are logged to, rather than for a listener that they come to from elsewhere.
///
/// ```
/// # fn main() -> Result<(), treering::Error> {
/// let capture = treering::handler::Capture::new();
/// let (logger, guard) =
///     treering::builder().prepare(treering::prepare::process()).handler(capture.clone()).start()?;
/// treering::info!(logger: logger, "started");
/// drop(guard);
/// let pid = capture.records()[0].field("process.pid").unwrap().text().to_owned();
/// assert_eq!(pid, std::process::id().to_string());
/// # Ok(())
/// # }
/// ```
pub fn process() -> impl FnMut(&Record<'_>) -> Prepared + Send + 'static {
    let program = program_name();
    move |record| {
        Change::new()
            .set("process.pid", record.thread().process_id())
            .set("process.executable.name", &*program)
            .into()
    }
}

/// A step that adds `host.name`, the name of *this* host as it was when the step was made: for the engine that the records are
/// logged to, rather than for a listener that they come to from elsewhere. Where the system does not tell it, it is empty.
///
/// ```
/// let builder = treering::builder().prepare(treering::prepare::host());
/// ```
pub fn host() -> impl FnMut(&Record<'_>) -> Prepared + Send + 'static {
    let facts = Change::new().set("host.name", os::host_name().unwrap_or_default());
    move |_| facts.clone().into()
}

/// A step that lets at most `count` records in each `window` through of those whose target begins with `target`, as a filter's
/// directive has it. A window opens with the first record after the last one closed; time is what the records say.
///
/// The others are dropped, for the reason `limit`: [`Report::prepared_away`](crate::Report::prepared_away) has their number. The
/// next of them that passes says in its field `suppressed` how many were dropped before it. (Those that none came behind are
/// in the report alone.)
///
/// A step is a function, so what else shall count is said around it:
///
/// ```
/// use std::time::Duration;
/// use treering::{Level, Prepared, prepare};
///
/// let mut limited = prepare::at_most("hyper", 100, Duration::from_secs(1));
/// let builder = treering::builder().prepare(move |record| match record.level() {
///     Level::Error => Prepared::Keep, // as many as there are
///     _ => limited(record),
/// });
/// ```
pub fn at_most(
    target: impl Into<Cow<'static, str>>,
    count: u64,
    window: Duration,
) -> impl FnMut(&Record<'_>) -> Prepared + Send + 'static {
    let (target, window) = (target.into(), window.as_nanos());
    let (mut opened, mut passed, mut suppressed) = (None, 0, 0);
    move |record| {
        if !record.target().starts_with(&*target) {
            return Prepared::Keep;
        }
        // Records of several threads may be a little out of order, and a clock may be set back: both ways count.
        let now = record.time().as_nanos();
        if opened.is_none_or(|opened: u64| u128::from(now.abs_diff(opened)) >= window) {
            (opened, passed) = (Some(now), 0);
        }
        if passed == count {
            suppressed += 1;
            return Prepared::Drop("limit");
        }
        passed += 1;
        match std::mem::take(&mut suppressed) {
            0 => Prepared::Keep,
            suppressed => Change::new().set("suppressed", suppressed).into(),
        }
    }
}

fn program_name() -> String {
    let program = std::env::current_exe().ok().or_else(|| std::env::args_os().next().map(Into::into));
    let name = program.as_deref().and_then(Path::file_name);
    name.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
