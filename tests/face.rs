//! The face of the macros, as a user types it: grammar, evaluation, and the types that arguments keep.

mod common;

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::task::{Context, Poll, Waker};

use common::{Logger, logged, message, take};
use treering::{Level, debug, error, info, log, trace, warn};

/// Logs and formats the same arguments, and compares.
macro_rules! prints_like_format {
    ($($literal:literal $(, $argument:expr)* ;)+) => {
        $( assert_eq!(message(|l| info!(logger: l, $literal $(, $argument)*)), format!($literal $(, $argument)*)); )+
    };
}

#[test]
fn placeholders_are_those_of_std() {
    let (x, name, price, width, digits) = (7_u64, "Ash", 12.3456_f64, 9_usize, 2_usize);
    prints_like_format! {
        "plain";
        "";
        "{{}} {{{x}}}";
        "{x} {x:?} {name:?}";
        "{} {} {}", x, name, price;
        "{1} {0} {1}", x, name;
        "{price:.2} [{price:>8.3}] [{price:<8.3}] [{price:^8.1}] [{price:*>+9.2}]";
        "[{x:08}] {x:#x} {x:x}";
        "[{name:width$}] [{price:width$.digits$}] [{price:.*}]", 3;
        "[{:1$.2$}] {3} [{:>1$}]", price, width, digits, x;
        "[{:1$}] [{:.*}]", x, 5, price;
        "é\t\u{1F332} \"{x}\" \x41 \
            {name}";
        r#"raw "{x}" \n"#;
    }
    assert_eq!(
        message(|l| info!(logger: l, "{a} {b:.1$} {}", x, digits, a = name, b = price)),
        "Ash 12.35 7"
    );
    assert_eq!(
        message(|l| info!(logger: l, "{:width$} {name:.digits$}", x, width = 4, name = "abc",)),
        "   7 ab"
    );
}

#[test]
fn pointers_are_formatted_at_the_call() {
    let x = 5;
    assert_eq!(
        message(|l| info!(logger: l, "[{:p}] [{:>20p}]", &x, &x)),
        format!("[{:p}] [{:>20p}]", &x, &x)
    );
}

#[test]
fn keywords_and_self_are_captured() {
    struct Probe {
        r#type: u8,
    }
    impl fmt::Display for Probe {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "probe {}", self.r#type)
        }
    }
    impl Probe {
        fn log(&self, l: &Logger) {
            let r#type = self.r#type;
            info!(logger: l, self.r#type, r#type, "{self} {type}");
        }
    }
    let seen = logged(|l| Probe { r#type: 3 }.log(l));
    assert_eq!(seen[0].message, "probe 3 3");
    assert_eq!(seen[0].fields, [("self.type", "3".into()), ("type", "3".into())]);
}

#[test]
fn fields_come_in_every_form() {
    struct Order {
        id: u64,
        pair: (u8, (u8, u8)),
    }
    let (req, price, qty) = (Order { id: 7, pair: (1, (2, 3)) }, "12.5", 100_u32);
    let seen = logged(|l| {
        info!(logger: l, qty, req.id, ?price, %req.pair.0, order.total = 2 * qty, "http.status" = 200, req.pair.1.1,
            a = %price, b = ?price, c=?price, d = &qty, r#in = -1, "filled {}", qty,);
    });
    let expected = [
        ("qty", "100"),
        ("req.id", "7"),
        ("price", "\"12.5\""),
        ("req.pair.0", "1"),
        ("order.total", "200"),
        ("http.status", "200"),
        ("req.pair.1.1", "3"),
        ("a", "12.5"),
        ("b", "\"12.5\""),
        ("c", "\"12.5\""),
        ("d", "100"),
        ("in", "-1"),
    ];
    assert_eq!(seen[0].message, "filled 100");
    assert_eq!(seen[0].fields, expected.map(|(name, value)| (name, value.to_owned())));
}

#[test]
fn events_need_no_message() {
    let seen = logged(|l| {
        info!(logger: l, a = 1);
        info!(logger: l, a = 1,);
        info!(logger: l, a = "x", b = ?"y");
    });
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(|seen| seen.message.is_empty()));
    assert_eq!(seen[2].fields[0], ("a", "x".into()));
}

#[test]
fn levels_targets_and_places_are_those_of_the_call() {
    const TARGET: &str = "constant";
    let seen = logged(|l| {
        trace!(logger: l, "x");
        debug!(logger: l, target: "a", "x");
        info!(target: TARGET, logger: l, "x");
        warn!(target: concat!("a", "b"), logger: l, "x");
        error!(logger: l, "x");
        log!(Level::Warn, logger: l, "x");
        log!(if cfg!(any()) { Level::Error } else { Level::Trace }, logger: l, a = 1);
    });
    let levels: Vec<_> = seen.iter().map(|seen| seen.level).collect();
    use Level::{Debug, Error, Info, Trace, Warn};
    assert_eq!(levels, [Trace, Debug, Info, Warn, Error, Warn, Trace]);
    let targets: Vec<_> = seen.iter().map(|seen| seen.target).collect();
    assert_eq!(targets, ["face", "a", "constant", "ab", "face", "face", "face"]);
    assert_eq!(seen[0].module_path, "face");
    assert_eq!(seen[1].line, seen[0].line + 1);
}

#[test]
fn without_a_logger_the_process_engine_gets_it() {
    take(); // starts it
    info!("here");
    assert_eq!(take().len(), 1);
}

#[test]
fn a_disabled_call_evaluates_nothing() {
    let runs = Cell::new(0);
    let count = || runs.replace(runs.get() + 1);
    take(); // starts the engine
    for _ in 0..3 {
        info!(target: "off", "{}", count());
    }
    assert_eq!(runs.get(), 0);
    assert!(take().is_empty());
}

#[test]
fn arguments_are_evaluated_once_and_in_order() {
    let order = std::cell::RefCell::new(Vec::new());
    let note = |what: &'static str| {
        order.borrow_mut().push(what);
        what
    };
    let seen = logged(|l| {
        info!(logger: { note("logger"); l }, a = note("a"), "{1} {x} {0} {x:?}", note("b"), note("c"), x = note("x"));
    });
    assert_eq!(seen[0].message, "c x b \"x\"");
    assert_eq!(*order.borrow(), ["logger", "a", "b", "c", "x"]);
}

#[test]
#[allow(
    clippy::let_and_return,
    clippy::redundant_closure_call,
    clippy::nonminimal_bool,
    reason = "odd on purpose"
)]
fn arguments_may_be_any_expression() -> Result<(), std::num::ParseIntError> {
    fn pair<A: Default + fmt::Display, B: Default + fmt::Display>() -> String {
        format!("{}{}", A::default(), B::default())
    }
    fn early(l: &Logger) -> u8 {
        info!(logger: l, "{}", if true { return 7 } else { 8 });
        0
    }
    let text = String::from("moved");
    let seen = logged(|l| {
        info!(logger: l, "{} {}", pair::<u8, Vec2>(), <u8 as Into<u32>>::into(1));
        info!(logger: l, "{}", pair::<<u8 as IntoNothing<u8, u8>>::Same, u8>());
        info!(logger: l, a = pair::<u8, u8>(), b = 1 < 2, c = 3 > 2, d = 8 >> 1 << 1, e = true || false, "{}", 1 | 2);
        info!(logger: l, "{}", { let text = text; text });
        info!(logger: l, "{}", (|a: u8, b: u8| a + b)(1, 2));
        info!(logger: l, n = [1, 2].iter().map(|a| a + 1).sum::<i32>(), m = match 3 { 3 => "three", _ => "other" });
        info!(logger: l, a = |a: u8, b: u8| -> u8 { a + b } as fn(u8, u8) -> u8 as usize != 0);
        assert_eq!(early(l), 7);
    });
    let messages: Vec<_> = seen.iter().map(|seen| seen.message.as_str()).collect();
    assert_eq!(messages, ["0v2 1", "00", "3", "moved", "3", "", ""]);
    info!("{}", "17".parse::<u8>()?);
    let failed = (|| {
        info!("{}", "x".parse::<u8>()?);
        Ok::<_, std::num::ParseIntError>(())
    })();
    assert!(failed.is_err());
    assert_eq!(take().len(), 1);
    Ok(())
}

#[test]
fn errors_keep_the_chain_of_their_sources() {
    #[derive(Debug)]
    struct Outer(std::num::ParseIntError);
    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("no port")
        }
    }
    impl std::error::Error for Outer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }
    let error = Outer("x".parse::<u8>().unwrap_err());
    let seen = logged(|l| error!(logger: l, err = &error, %error, "{error}"));
    let texts: Vec<_> = seen[0].fields.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(texts, ["no port: invalid digit found in string", "no port"]);
    assert_eq!(seen[0].message, "no port");
}

#[test]
fn what_format_refuses_is_no_shortcut_for_what_we_can_store() {
    let list = vec![1, 2];
    assert_eq!(
        message(|l| info!(logger: l, "{list:?} {:?} {:#?}", Some((1, "x")), [0.5])),
        "[1, 2] Some((1, \"x\")) [\n    0.5,\n]"
    );
}

#[derive(Default)]
struct Vec2;

impl fmt::Display for Vec2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("v2")
    }
}

trait IntoNothing<A, B> {
    type Same: Default + fmt::Display;
}

impl<A, B> IntoNothing<A, B> for u8 {
    type Same = u8;
}

#[test]
fn a_call_stands_wherever_an_expression_does() {
    fn tail(l: &Logger) {
        info!(logger: l, "tail")
    }
    let seen = logged(|l| {
        tail(l);
        match 1 {
            1 => info!(logger: l, "arm"),
            _ => unreachable!(),
        }
        let closure = |x: u8| info!(logger: l, "closure {x}");
        closure(1);
        let boxed: Box<dyn Fn() + '_> = Box::new(|| info! { logger: l, "boxed" });
        boxed();
        if seen_any() {
            info!(logger: l, "then")
        } else {
            info!(logger: l, "else")
        }
        let (): () = info![logger: l, "value"];
        info!(logger: l, "outer {}", { info!(logger: l, "inner"); 1 });
    });
    let messages: Vec<_> = seen.iter().map(|seen| seen.message.as_str()).collect();
    assert_eq!(messages, ["tail", "arm", "closure 1", "boxed", "then", "value", "inner", "outer 1"]);
}

fn seen_any() -> bool {
    true
}

#[test]
fn futures_stay_send() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    async fn ready(value: u8) -> u8 {
        value
    }
    let future = is_send(async {
        let name = String::from("Ash");
        info!(a = ready(1).await, %name, "{} {name} {:>4}", ready(2).await, ready(3).await);
        warn!("after {}", ready(4).await);
    });
    let mut future = Box::pin(future);
    assert!(matches!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(())));
    let messages: Vec<_> = take().into_iter().map(|seen| seen.message).collect();
    assert_eq!(messages, ["2 Ash    3", "after 4"]);
}

#[test]
fn macros_of_users_may_wrap_ours() {
    macro_rules! tagged {
        ($l:expr, $format:literal $($rest:tt)*) => { info!(logger: $l, tag = "x", $format $($rest)*) };
    }
    macro_rules! text {
        ($l:expr, $text:expr) => { info!(logger: $l, $text) };
    }
    macro_rules! all {
        ($($all:tt)*) => { info!($($all)*) };
    }
    macro_rules! field {
        ($l:expr, $name:ident = $value:expr) => { info!(logger: $l, $name = $value, "field {}", $value) };
    }
    macro_rules! with_own {
        ($l:expr, $value:expr) => {{
            let x = 1;
            info!(logger: $l, "{x} {}", $value);
        }};
    }
    let x = 5;
    let seen = logged(|l| {
        tagged!(l, "{x} {}", 2);
        text!(l, "text {x}");
        text!(l, concat!("a", "b"));
        all!(logger: l, x, "{x} {y}", y = 6);
        field!(l, name = 1 + 1);
        with_own!(l, x);
    });
    let messages: Vec<_> = seen.iter().map(|seen| seen.message.as_str()).collect();
    assert_eq!(messages, ["5 2", "text 5", "ab", "5 6", "field 2", "1 5"]);
    assert_eq!(seen[4].fields, [("name", "2".into())]);
}

#[test]
fn a_message_made_by_a_macro_is_formatted_at_the_call() {
    let seen = logged(|l| {
        info!(logger: l, concat!("a {}", " {b}"), 1, b = 2);
        info!(logger: l, c = 3, std::stringify!(x y), );
    });
    assert_eq!((seen[0].message.as_str(), seen[1].message.as_str()), ("a 1 2", "x y"));
    assert_eq!(seen[1].fields, [("c", "3".into())]);
}

#[test]
fn names_of_the_user_do_not_meet_ours() {
    #[allow(non_upper_case_globals)]
    static gate: u8 = 1;
    const A0: u8 = 2;
    trait Hold {
        fn hold(&self) -> u8;
    }
    impl<T: ?Sized> Hold for T {
        fn hold(&self) -> u8 {
            3
        }
    }
    assert_eq!(message(|l| info!(logger: l, "{gate} {A0} {}", A0.hold())), "1 2 3");
}

struct Money(u64);

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("${}", self.0))
    }
}

#[test]
fn types_are_kept_where_they_can_be() {
    let seen = logged(|l| {
        info!(logger: l, a = 1_u8, b = 1.5, "{} {:?} {:>5} {:4$}", 1_i64, "x", Money(5), 7, 3);
    });
    assert_eq!(seen[0].message, "1 \"x\"    $5   7");
    assert_eq!(seen[0].kinds, ["U8", "F64", "I64", "Str", "Text", "I32", "U64"]);
}
