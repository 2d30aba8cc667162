//! Calls above [`STATIC_MAX_LEVEL`] are not part of the program. Worth running with each of the features too:
//! `cargo test --test max_level --features max_level_warn`.

mod common;

use treering::level::STATIC_MAX_LEVEL;
use treering::{Level, debug, error, info, log, trace, warn};

#[test]
fn a_call_that_is_compiled_out_evaluates_nothing() {
    let mut evaluated = Vec::new();
    let seen = common::logged(|l| {
        error!(logger: l, "{}", { evaluated.push(Level::Error); 1 });
        warn!(logger: l, "{}", { evaluated.push(Level::Warn); 1 });
        info!(logger: l, "{}", { evaluated.push(Level::Info); 1 });
        debug!(logger: l, "{}", { evaluated.push(Level::Debug); 1 });
        trace!(logger: l, "{}", { evaluated.push(Level::Trace); 1 });
        log!(Level::Trace, logger: l, "{}", 1);
    });
    let expected: Vec<_> = Level::ALL.into_iter().filter(|level| STATIC_MAX_LEVEL.allows(*level)).collect();
    assert_eq!(evaluated, expected);
    assert_eq!(seen.len(), expected.len() + usize::from(STATIC_MAX_LEVEL.allows(Level::Trace)));
}

#[test]
fn the_most_restrictive_feature_wins() {
    let expected = [
        (cfg!(feature = "max_level_off"), "off"),
        (cfg!(feature = "max_level_error"), "error"),
        (cfg!(feature = "max_level_warn"), "warn"),
        (cfg!(feature = "max_level_info"), "info"),
        (cfg!(feature = "max_level_debug"), "debug"),
    ];
    let expected = expected.into_iter().find(|(set, _)| *set).map_or("trace", |(_, level)| level);
    let expected: treering::LevelFilter = expected.parse().unwrap();
    if cfg!(debug_assertions) {
        assert_eq!(STATIC_MAX_LEVEL, expected);
    } else {
        assert!(STATIC_MAX_LEVEL <= expected, "release_max_level_* may lower it");
    }
}
