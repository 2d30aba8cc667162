//! A log call in a generic function: one static, one schema for each list of argument types.

mod common;

use std::fmt::{Debug, Display};

use common::logged;
use treering::{Encode, info};

#[test]
fn display_is_text_whatever_the_type() {
    fn log<T: Display>(l: &common::Logger, value: T) {
        info!(logger: l, "{value}");
    }
    let seen = logged(|l| {
        log(l, 1_u64);
        log(l, "x");
        log(l, 2.5);
    });
    assert_eq!(seen.iter().map(|seen| seen.message.as_str()).collect::<Vec<_>>(), ["1", "x", "2.5"]);
    assert!(seen.iter().all(|seen| seen.kinds == ["Text"]));
}

#[test]
fn encode_keeps_the_type_of_each_instance() {
    fn log<T: Encode + Debug>(l: &common::Logger, value: &T) {
        info!(logger: l, "{value:?}");
    }
    let seen = logged(|l| {
        for _ in 0..3 {
            log(l, &1_u64);
            log(l, &"x");
            log(l, &2.5);
        }
    });
    let types: Vec<_> = seen.iter().map(|seen| format!("{} {}", seen.message, seen.kinds.concat())).collect();
    assert_eq!(types, ["1 U64", "\"x\" Str", "2.5 F64"].repeat(3));
}

/// The type may derive `Encode`, and then only its own `Display` knows its text.
#[test]
fn display_of_a_generic_type_is_its_own() {
    fn log<T: Encode + Display>(l: &common::Logger, value: &T) {
        info!(logger: l, "{value}");
    }
    let seen = logged(|l| log(l, &1_u64));
    assert_eq!((seen[0].message.as_str(), &seen[0].kinds[..]), ("1", &["Text".to_owned()][..]));
}

#[test]
fn a_logger_may_be_any_reference() {
    let seen = logged(|l| {
        info!(logger: *l, "by place");
        info!(logger: &l, "by reference");
        info!(logger: (&&l), "by more of them");
    });
    assert_eq!(seen.len(), 3);
}
