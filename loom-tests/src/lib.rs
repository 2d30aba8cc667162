//! Loom models of the protocols in `treering`; empty without `--cfg treering_loom`.
//!
//! A model is a function that loom runs once for each order of events that the memory model allows, up to a number
//! of preemptions. The engine in it is the engine: its own modules, on loom's atomics. README.md has the table of
//! models and mutants, and says what loom cannot see.

#![cfg(treering_loom)]

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use treering::Report;

/// Branches in one execution. Loom's own limit, 1,000, is meant for smaller models; an endless loop still meets this.
const BRANCHES_MAX: usize = 20_000;

/// Every order there is, whatever the number of preemptions.
pub const ALL: usize = usize::MAX;

/// Checks a model in every order of events with at most so many preemptions forced upon a thread that could go on, and
/// prints a line for the table: `bounds` are those of a usual run and of a full one.
///
/// A full run, in which `TREERING_MODELS_FULL` is set, takes each model as far as memory and half an hour of two cores let
/// it; how far that is was tried, see README.md. `LOOM_MAX_PREEMPTIONS` overrides both.
///
/// # Panics
/// If the model fails; also if there was a single execution, which means that loom saw nothing to order, and if the
/// environment bounds executions or time, at which loom would stop without a word.
pub fn model(name: &str, bounds: [usize; 2], run: impl Fn() + Send + Sync + 'static) {
    let [usual, full] = bounds;
    assert!(usual <= full, "{name}: a full run goes as far as a usual one");
    let is_full = std::env::var_os("TREERING_MODELS_FULL").is_some();
    let bound = if is_full { full } else { usual };
    let mut builder = loom::model::Builder::new();
    assert!(
        builder.max_permutations.is_none() && builder.max_duration.is_none(),
        "LOOM_MAX_PERMUTATIONS and LOOM_MAX_DURATION end a model before it is checked, silently"
    );
    builder.max_branches = builder.max_branches.max(BRANCHES_MAX);
    builder.preemption_bound = builder.preemption_bound.or((bound != ALL).then_some(bound));
    let bound = builder.preemption_bound.map_or("all".into(), |bound| bound.to_string());
    let is_replay = builder.checkpoint_file.is_some();

    static EXECUTIONS: AtomicUsize = AtomicUsize::new(0);
    EXECUTIONS.store(0, Ordering::Relaxed);
    let start = Instant::now();
    builder.check(move || {
        EXECUTIONS.fetch_add(1, Ordering::Relaxed);
        run();
    });
    let executions = EXECUTIONS.load(Ordering::Relaxed);
    let seconds = start.elapsed().as_secs_f64();
    // Not by `println!`, which the test harness keeps to itself. If nobody reads, nobody misses it.
    let _ = writeln!(std::io::stdout(), "model\t{name}\t{bound}\t{executions}\t{seconds:.1}");
    assert!(executions > 1 || is_replay, "{name} ran once: loom saw nothing to order");
}

/// Checks what holds at the end of every model: the books balance, say what the model knows, and `written` has each
/// record once and each thread's in order.
///
/// # Panics
/// If it does not.
pub fn assert_settled(report: &Report, logged: u64, written: &[(u32, u64)]) {
    report.assert_balanced();
    assert_eq!(report.submitted, logged, "calls: {report}");
    assert_eq!(report.dispatched, written.len() as u64, "written: {written:?}, {report}");
    for (at, &(thread, number)) in written.iter().enumerate() {
        let is_behind = |&(other, later): &(u32, u64)| other == thread && later <= number;
        assert!(!written[at + 1..].iter().any(is_behind), "twice or out of order: {written:?}");
    }
}
