//! A crate that forbids and shadows what it can: no unsafe, no warnings, no prelude, names of std taken.
#![forbid(unsafe_code)]
#![deny(warnings, missing_docs, clippy::all, clippy::pedantic)]

mod common;

/// No prelude here, and every name that the expansion might be tempted to use means something else.
#[allow(dead_code, unused_macros, non_camel_case_types, reason = "traps")]
mod strict {
    #![no_implicit_prelude]

    pub(crate) mod core {}
    pub(crate) mod std {}
    pub(crate) mod alloc {}
    pub(crate) mod treering {}
    pub(crate) mod __private {}
    pub(crate) mod tiers {}
    pub(crate) struct Option;
    pub(crate) struct Some;
    pub(crate) struct None;
    pub(crate) struct Result;
    pub(crate) struct Ok;
    pub(crate) struct Err;
    pub(crate) struct Level;
    pub(crate) struct String;
    pub(crate) struct Callsite;
    pub(crate) struct u32;
    pub(crate) struct u64;
    pub(crate) struct usize;
    pub(crate) struct bool;
    pub(crate) struct str;
    macro_rules! format_args {
        () => {};
    }
    macro_rules! module_path {
        () => {};
    }
    macro_rules! file {
        () => {};
    }
    macro_rules! line {
        () => {};
    }

    #[derive(::std::fmt::Debug)]
    pub(crate) struct Order {
        pub(crate) id: ::std::primitive::u64,
    }

    pub(crate) fn log(l: &crate::common::Logger, order: Order) {
        let text = "text";
        ::treering::trace!(logger: l, "plain");
        ::treering::debug!(logger: l, order.id, ?text, %text, a = 1, "{} {text:?} {:>w$}", text, order.id, w = 3);
        ::treering::info!(logger: l, target: "x", a = 1.5, b = ?order);
        ::treering::warn!(logger: l, "{:?}", order);
        ::treering::log!(::treering::Level::Error, logger: l, "{0:x}", order.id);
        // What was only borrowed may move.
        ::treering::error!(logger: l, "{}", { let moved = order; moved.id });
    }
}

#[test]
fn the_expansion_relies_on_nothing_of_the_users() {
    let seen = common::logged(|l| strict::log(l, strict::Order { id: 7 }));
    let messages: Vec<_> = seen.iter().map(|seen| seen.message.as_str()).collect();
    assert_eq!(messages, ["plain", "text \"text\"   7", "", "Order { id: 7 }", "7", "7"]);
}

/// What clippy's pedants say of the expansion: nothing.
#[test]
fn pedants_are_content() {
    let (x, y) = (1_u64, "y".to_owned());
    let seen = common::logged(|l| {
        treering::info!(logger: l, x, %y, z = ?y, "{x} {y:>4} {}", y.len());
        treering::info!(logger: l, "plain");
        treering::info!(logger: l, concat!("a", "{}"), x);
    });
    assert_eq!(seen.len(), 3);
}
