//! What the benchmarks share: the *floor*, a clock, and handlers that cost next to nothing.
#![allow(dead_code, reason = "no benchmark uses all of it")]

pub(crate) mod clock;
pub(crate) mod floor;
pub(crate) mod sink;

/// The calls of a burst, as a server's request makes them.
pub(crate) const BURST: u64 = 20;

/// Without `--bench`, as `cargo test --benches` runs it, a benchmark only shows that it works.
pub(crate) fn is_only_a_test() -> bool {
    !std::env::args().any(|argument| argument == "--bench")
}
