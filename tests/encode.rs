//! `#[derive(Encode)]` and `Secret`: what a user sees of values of their own types, in text and in JSON.

#![forbid(unsafe_code)]

mod support;

use std::fmt::{self, Debug};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use support::{LONG, SOON, capturing, each, messages};
use treering::format::{Format, Json};
use treering::{Encode, Overflow, Secret, info};

#[derive(Clone, Debug, Encode)]
struct Order<'a, T: Copy, const N: usize>
where
    T: Debug,
{
    id: u64,
    venue: &'a str,
    lots: [T; N],
    side: Side,
    r#type: Option<Box<Pair<f32>>>,
    unit: Unit,
    empty: Empty,
    none: (),
}

#[derive(Clone, Debug, Encode)]
enum Side {
    Buy,
    Sell(bool),
    Cross { with: String, after: Duration },
    Both(Vec<Side2>, u8),
}

#[derive(Clone, Copy, Debug, Encode)]
enum Side2 {
    A,
    B,
    Empty {},
    AlsoEmpty(),
}

#[derive(Clone, Debug, Encode)]
struct Pair<T = u8>(T, pub(crate) T);

#[derive(Clone, Debug, Encode)]
struct Unit;

#[derive(Clone, Debug, Encode)]
struct Empty {}

fn a_side() -> impl Strategy<Value = Side> {
    let side2 = prop::sample::select(vec![Side2::A, Side2::B, Side2::Empty {}, Side2::AlsoEmpty()]);
    prop_oneof![
        Just(Side::Buy),
        any::<bool>().prop_map(Side::Sell),
        (any::<String>(), any::<Duration>()).prop_map(|(with, after)| Side::Cross { with, after }),
        (prop::collection::vec(side2, 0..4), any::<u8>()).prop_map(|(sides, n)| Side::Both(sides, n)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Of each spec of `Debug`: alone, in a list, in an option.
    #[test]
    fn text_is_what_a_derived_debug_prints(
        id: u64, venue: String, lots: [i16; 3], side in a_side(), pair: Option<(f32, f32)>, w in 0..12_usize,
    ) {
        let r#type = pair.map(|(a, b)| Box::new(Pair(a, b)));
        let order = Order { id, venue: &venue, lots, side, r#type, unit: Unit, empty: Empty {}, none: () };
        let some = Some(&order);
        let list = vec![order.side.clone(), Side::Buy];
        let (logger, guard, capture) = capturing();
        info!(logger: logger, "{order:?}");
        info!(logger: logger, "{:#?}", order);
        info!(logger: logger, "{:08.3?} {:#w$x?}", order, order);
        info!(logger: logger, "{some:?} {list:#?}");
        info!(logger: logger, order, ?list);
        let seen = messages(&guard, &capture);
        prop_assert_eq!(&seen[0], &format!("{order:?}"));
        prop_assert_eq!(&seen[1], &format!("{:#?}", order));
        prop_assert_eq!(&seen[2], &format!("{:08.3?} {:#w$x?}", order, order));
        prop_assert_eq!(&seen[3], &format!("{some:?} {list:#?}"));
        let fields = capture.records()[4].fields().iter().map(|(_, value)| value.to_string()).collect::<Vec<_>>();
        prop_assert_eq!(fields, [format!("{order:?}"), format!("{list:?}")]);
    }
}

/// What `call` logs, as the fields of JSON.
fn json(call: impl FnOnce(&treering::Logger)) -> String {
    let line = Arc::new(Mutex::new(Vec::new()));
    let out = line.clone();
    let handler = each(move |record| Json::new().format(record, &mut out.lock().unwrap()));
    let (logger, guard) =
        treering::builder().overflow(Overflow::block(LONG)).handler(handler).start().unwrap();
    call(&logger);
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless(), "{report}");
    let line = String::from_utf8(line.lock().unwrap().clone()).unwrap();
    serde_json::from_str::<serde_json::Value>(&line).unwrap()["fields"].to_string()
}

#[test]
fn json_has_objects_arrays_and_the_names_of_variants() {
    let order = Order {
        id: 7,
        venue: "XNAS",
        lots: [1_u8, 2],
        side: Side::Cross { with: "a\"b".to_owned(), after: Duration::from_millis(5) },
        r#type: Some(Box::new(Pair(0.5, 1.5))),
        unit: Unit,
        empty: Empty {},
        none: (),
    };
    assert_eq!(
        json(|logger| info!(logger: logger, order)),
        r#"{"order":{"id":7,"venue":"XNAS","lots":[1,2],"side":{"Cross":{"with":"a\"b","after":"5ms"}},"type":[0.5,1.5],"unit":null,"empty":null,"none":null}}"#
    );
    let sides = [Side::Buy, Side::Sell(true), Side::Both(vec![Side2::B, Side2::Empty {}], 3)];
    assert_eq!(
        json(|logger| info!(logger: logger, sides = sides)),
        r#"{"sides":["Buy",{"Sell":true},{"Both":[["B","Empty"],3]}]}"#
    );
}

/// Fields of any type: `Opaque` has no trait at all.
struct Opaque;

#[derive(Encode)]
#[allow(dead_code, reason = "not encoded")]
struct Login {
    user: &'static str,
    #[encode(redact)]
    password: String,
    #[encode(skip)]
    socket: Opaque,
    token: Secret<String>,
}

#[derive(Encode)]
#[allow(dead_code, reason = "not encoded")]
enum Event {
    Key(u8, #[encode(redact)] Opaque),
    Other {
        #[encode(skip)]
        what: Opaque,
    },
    Half(u8, #[encode(skip)] Opaque),
}

#[test]
fn secrets_are_redacted_and_what_is_skipped_is_said_to_be_missing() {
    let login = || Login {
        user: "ann",
        password: "hunter2".to_owned(),
        socket: Opaque,
        token: Secret("s3cret".to_owned()),
    };
    let events = || [Event::Key(1, Opaque), Event::Other { what: Opaque }, Event::Half(2, Opaque)];
    let password = "hunter2";
    let (logger, guard, capture) = capturing();
    info!(logger: logger, login = login(), events = events());
    info!(logger: logger, password = Secret(password), "{} {:?} {:>30}", Secret(password), Some(Secret(password)), Secret(password));
    info!(logger: logger, password = %Secret(password), again = ?Secret(password), concat!("{}", "{:?}"), Secret(password), Secret(password));
    messages(&guard, &capture);
    let records = capture.records();
    let fields =
        |at: usize| records[at].fields().iter().map(|(_, value)| value.to_string()).collect::<Vec<_>>();
    assert_eq!(
        fields(0),
        [
            r#"Login { user: "ann", password: [redacted], token: [redacted], .. }"#,
            "[Key(1, [redacted]), Other { .. }, Half(2, ..)]"
        ]
    );
    assert_eq!(
        (records[1].message(), fields(1)),
        ("[redacted] Some([redacted]) [redacted]", vec!["[redacted]".to_owned()])
    );
    assert_eq!((records[2].message(), fields(2)), ("[redacted][redacted]", vec!["[redacted]".to_owned(); 2]));
    assert_eq!(
        json(|logger| info!(logger: logger, login = login(), events = events())),
        r#"{"login":{"user":"ann","password":"[redacted]","token":"[redacted]"},"events":[{"Key":[1,"[redacted]"]},"Other",{"Half":2}]}"#
    );
}

/// `{}` is the user's, `{:?}` and fields are the derive's.
#[derive(Encode)]
struct Price(f64);

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} EUR", self.0)
    }
}

impl fmt::Debug for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("by hand")
    }
}

#[test]
fn display_is_the_types_own() {
    let (logger, guard, capture) = capturing();
    let price = Price(1.5);
    info!(logger: logger, price, shown = %price, "{price} {:>10} {price:?} {:#?}", price, &&price);
    let text = format!("{price} {price:>10} Price(1.5) Price(\n    1.5,\n)");
    assert_eq!(messages(&guard, &capture), [text]);
    let fields: Vec<_> = capture.records()[0].fields().iter().map(|(_, value)| value.to_string()).collect();
    assert_eq!(fields, ["Price(1.5)", "1.50 EUR"]);
}

/// A crate may know treering by another name.
mod renamed {
    pub(crate) mod inner {
        pub(crate) use ::treering as logs;
    }

    #[derive(inner::logs::Encode)]
    #[encode(crate = crate::renamed::inner::logs)]
    pub(crate) struct Named {
        pub(crate) n: u8,
    }

    #[derive(Debug, treering::Encode)]
    pub(crate) enum Never {}
}

#[test]
fn treering_may_have_another_name() {
    let (logger, guard, capture) = capturing();
    info!(logger: logger, named = renamed::Named { n: 3 }, never = None::<renamed::Never>);
    messages(&guard, &capture);
    assert_eq!(capture.records()[0].fields()[0].1.text(), "Named { n: 3 }");
    assert_eq!(capture.records()[0].fields()[1].1.text(), "None");
}

/// What one part takes of the room the next one has no more.
#[test]
fn parts_that_are_cut_share_the_room() {
    #[derive(Clone, Encode)]
    struct Inner {
        text: String,
        n: u32,
    }
    #[derive(Encode)]
    enum Outer {
        Both { first: Inner, second: Inner },
    }
    let capture = treering::handler::Capture::new();
    let (logger, guard) = treering::builder().ring_capacity(4096).handler(capture.clone()).start().unwrap();
    let inner = Inner { text: "x".repeat(1_000), n: 7 };
    let outer = Outer::Both { first: inner.clone(), second: inner };
    info!(logger: logger, outer, last = "y".repeat(1_000));
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert_eq!((report.truncated, report.dispatched), (1, 1));
    let record = &capture.records()[0];
    let (outer, last) = (record.fields()[0].1.to_string(), record.fields()[1].1.to_string());
    let whole = format!("first: Inner {{ text: \"{}\", n: 7 }}", "x".repeat(1_000));
    assert!(outer.contains(&whole), "{outer}");
    assert!(outer.contains("xxx\"…(+") && outer.ends_with(" bytes), n: 7 } }"), "{outer}");
    assert_eq!(last, "…(+1000 bytes)");
}

/// A record that is cut says so and stays readable.
#[test]
fn a_long_value_is_cut_where_it_is_long() {
    #[derive(Encode)]
    struct Long {
        before: u8,
        text: String,
        after: Side,
    }
    let capture = treering::handler::Capture::new();
    let (logger, guard) = treering::builder().ring_capacity(4096).handler(capture.clone()).start().unwrap();
    let long = Long {
        before: 1,
        text: "x".repeat(10_000),
        after: Side::Cross { with: "y".repeat(100), after: SOON },
    };
    info!(logger: logger, long);
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert_eq!((report.truncated, report.dispatched), (1, 1));
    let text = capture.records()[0].fields()[0].1.to_string();
    assert!(text.starts_with("Long { before: 1, text: \"xxx"), "{text}");
    assert!(text.contains("…(+"), "{text}");
    assert!(text.ends_with("after: Cross { with: \"\"…(+100 bytes), after: 20s } }"), "{text}");
}
