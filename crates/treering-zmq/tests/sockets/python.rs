//! Records to and from real Python processes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::support::{LONG, Peer, python, until};
use serde_json::{Value, json};
use treering::handler::{Capture, Captured, QueueHandler};
use treering::queue::{Enqueue, EnqueueError};
use treering::{Level, Listener, Listening, Logger, debug, error, info, trace, warn};
use treering_zmq::{PythonRecord, Receiver, Sender, from_python};

const LOOPBACK: &str = "tcp://127.0.0.1:*";

fn listening(receiver: Arc<Receiver>, capture: &Capture) -> Listening {
    let listener = Listener::new(receiver).translate(from_python).handler(capture.clone());
    listener.error_hook(|_| {}).start().unwrap()
}

/// An engine that sends as Python does.
fn engine(sender: Arc<Sender>) -> (Logger, treering::Guard) {
    let handler = QueueHandler::new(sender).format(PythonRecord::new());
    treering::builder().handler(handler).filter("trace").start().unwrap()
}

/// What Python said it sent, and what came.
fn compare(sent: &[Value], came: &[Captured]) {
    assert_eq!(came.len(), sent.len());
    for (sent, came) in sent.iter().zip(came) {
        let text = |key: &str| sent[key].as_str().unwrap().to_owned();
        let levels = [Level::Trace, Level::Debug, Level::Info, Level::Warn, Level::Error];
        let number = sent["levelno"].as_u64().unwrap();
        let level = levels.into_iter().zip([5, 10, 20, 30, 40]).rev().find(|(_, least)| number >= *least);
        assert_eq!(came.level(), level.unwrap().0);
        assert_eq!(came.message(), text("message"));
        assert_eq!(came.target(), text("name"));
        assert_eq!(came.file(), text("pathname"));
        assert_eq!(u64::from(came.line()), sent["lineno"].as_u64().unwrap());
        assert_eq!(came.thread_name(), sent["threadName"].as_str());
        let nanos = came.time().as_nanos() as f64 / 1e9;
        assert!((nanos - sent["created"].as_f64().unwrap()).abs() < 1e-6, "{nanos}");
    }
}

fn from_python_arrives_whole(receiver: Receiver, kind: &str, way: &str) {
    const COUNT: usize = 1000;
    let Some(python) = python() else { return };
    let (receiver, capture) = (Arc::new(receiver), Capture::new());
    let listening = listening(receiver.clone(), &capture);
    let peer = Peer::start(python, "send.py", &[kind, way, receiver.endpoint(), &COUNT.to_string()]);
    let mut sent: Vec<Value> = (0..COUNT + 1).map(|_| serde_json::from_str(&peer.line()).unwrap()).collect();
    let odd = peer.line(); // no JSON, but Python's
    until("all are here", || capture.len() == COUNT + 2);
    peer.finish();
    let report = listening.stop(LONG).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless(), "{report}");
    let came = capture.records();
    compare(&sent, &came[..=COUNT]);

    // Types of `extra`, and what treering has no place for.
    let first = &came[0];
    let value = |name| first.field(name).unwrap();
    assert_eq!((value("number").as_i64(), value("share").as_f64()), (Some(0), Some(0.5)));
    assert_eq!(value("ok").as_bool(), Some(true));
    let show = |record: &Captured, name| record.field(name).unwrap().text().to_owned();
    assert_eq!((show(first, "gap"), show(first, "name_of")), ("None".into(), "Zoë ☃".into()));
    assert_eq!(show(first, "tags"), r#"["a", "b"]"#);
    assert!(first.field("levelname").is_none(), "5 is TRACE here too");
    assert_eq!(first.module_path(), "send::work");
    let critical = &came[5];
    assert_eq!((show(critical, "levelno"), show(critical, "levelname")), ("50".into(), "CRITICAL".into()));
    assert_eq!(show(&came[6], "levelname"), "Level 25");

    let failed = sent.pop().unwrap();
    let text = failed["message"].as_str().unwrap();
    assert_eq!(came[COUNT].message(), text);
    assert_eq!(text.matches("ValueError: no such täble").count(), 1);
    assert!(came[COUNT].field("exc_text").is_none(), "once is enough");

    assert!(odd.contains("NaN"), "{odd}");
    let odd = &came[COUNT + 1];
    assert_eq!(show(odd, "rate"), "NaN");
    assert_eq!(show(odd, "odd"), "NaN \"Infinity\" \u{fffd}\u{fffd}\u{fffd}");
}

#[test]
fn what_python_pushes_arrives_whole() {
    from_python_arrives_whole(Receiver::puller().bind(LOOPBACK).unwrap(), "PUSH", "connect");
}

#[test]
fn what_python_publishes_to_a_subscriber_arrives_whole() {
    from_python_arrives_whole(Receiver::subscriber().bind(LOOPBACK).unwrap(), "XPUB", "connect");
}

/// Attributes that Python has from 3.12 on.
const NEW: &str = "taskName";

fn to_python_arrives_whole(sender: Sender, kind: &str) {
    const COUNT: usize = 1000;
    let Some(python) = python() else { return };
    let sender = Arc::new(sender);
    let peer = Peer::start(python, "receive.py", &[kind, "connect", sender.endpoint()]);
    let own: Value = serde_json::from_str(&peer.line()).unwrap();
    sender.wait_for_subscriber(LONG).unwrap();
    let (logger, guard) = engine(sender.clone());
    for number in 0..COUNT {
        info!(logger: logger, target: "app.db", number, share = 0.5, ok = true, gap = None::<u8>, name = "Zoë",
            list = &[1_u8, 2], order.total = u64::MAX, "näme {} of {number} ☃ 𝄞\n", "größe");
    }
    guard.flush(LONG).unwrap();
    let report = sender.report();
    assert_eq!((report.sent, report.full, report.failed, report.unheard), (COUNT as u64, 0, 0, 0));
    let came = peer.json(COUNT);
    let first = &came[0]["record"];
    let line = first["lineno"].as_u64().unwrap();
    for (number, came) in came.iter().enumerate() {
        let record = &came["record"];
        let message = format!("näme größe of {number} ☃ 𝄞\n");
        assert_eq!((&record["message"], &record["msg"]), (&json!(message), &json!(message)));
        let process = std::process::id();
        assert_eq!(came["text"], json!(format!("app.db INFO 20 python.rs {process}: {message}")));
        assert_eq!(
            (&record["number"], &record["name_2"], &record["gap"]),
            (&json!(number), &json!("Zoë"), &Value::Null)
        );
        assert_eq!(
            (&record["share"], &record["ok"], &record["list"]),
            (&json!(0.5), &json!(true), &json!([1, 2]))
        );
        assert_eq!(record["order.total"], json!(u64::MAX));
    }

    // Key for key what Python's own has, and of the same types.
    let own = own.as_object().unwrap();
    let extra = ["number", "share", "ok", "gap", "name_2", "list", "order.total"];
    let mut keys: Vec<_> = first.as_object().unwrap().keys().map(String::as_str).collect();
    keys.retain(|key| !extra.contains(key) && (*key != NEW || own.contains_key(NEW)));
    keys.sort_unstable();
    let mut expected: Vec<_> = own.keys().map(String::as_str).collect();
    expected.sort_unstable();
    assert_eq!(keys, expected);
    let unlike: Vec<_> =
        own.iter().filter(|(key, kind)| type_of(&first[key]) != kind.as_str().unwrap()).collect();
    // A place in Rust has no name of a function; Python's own record may lack it too.
    assert!(unlike.iter().all(|(key, _)| *key == "funcName"), "{unlike:?} of {first}");
    assert_eq!((line > 0, &first["module"], &first["lineno"]), (true, &json!("python"), &json!(line)));

    // An error is printed once, below its message.
    let problem = "x".parse::<u32>().unwrap_err();
    error!(logger: logger, target: "app", problem, "no number");
    trace!(logger: logger, target: "app", "t");
    debug!(logger: logger, target: "app", "d");
    warn!(logger: logger, target: "app", "w");
    guard.stop(LONG).unwrap().assert_balanced();
    let came = peer.json(4);
    let text = came[0]["text"].as_str().unwrap();
    assert!(text.ends_with(": no number\nproblem: invalid digit found in string"), "{text}");
    assert_eq!(came[0].to_string().matches("invalid digit").count(), 2, "as exc_text, and printed");
    let levels: Vec<_> = came.iter().map(|came| came["record"]["levelno"].clone()).collect();
    assert_eq!(levels, [40, 5, 10, 30].map(Value::from));
    sender.close(LONG).unwrap();
}

/// What Python calls it.
fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "NoneType",
        Value::String(_) => "str",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::Bool(_) => "bool",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    }
}

#[test]
fn what_is_pushed_to_python_arrives_whole() {
    to_python_arrives_whole(Sender::pusher().bind(LOOPBACK).unwrap(), "PULL");
}

#[test]
fn what_is_published_to_python_arrives_whole() {
    to_python_arrives_whole(Sender::publisher().bind(LOOPBACK).unwrap(), "SUB");
}

#[test]
fn a_topic_goes_before_the_record() {
    let Some(python) = python() else { return };
    let sender = Arc::new(Sender::publisher().bind(LOOPBACK).unwrap().topic("app."));
    let peer = Peer::start(python, "receive.py", &["SUB", "connect", sender.endpoint()]);
    peer.line();
    sender.wait_for_subscriber(LONG).unwrap();
    let (logger, guard) = engine(sender.clone());
    info!(logger: logger, "one");
    guard.stop(LONG).unwrap().assert_balanced();
    assert_eq!(peer.json(1)[0]["record"]["message"], "one");
}

/// Sends as long as it takes.
fn insist(sender: &Sender, frame: &[u8]) {
    until("there is room", || match sender.enqueue(frame) {
        Ok(()) => true,
        Err(EnqueueError::Full) => false,
        Err(error) => panic!("{error}"),
    });
}

fn record(message: impl std::fmt::Display) -> Vec<u8> {
    format!(r#"{{"levelno": 20, "msg": "{message}"}}"#).into_bytes()
}

#[test]
fn pushed_records_are_all_there_however_slow_the_peer() {
    const COUNT: usize = 20_000;
    let Some(python) = python() else { return };
    let sender = Sender::pusher().high_water_mark(10).bind(LOOPBACK).unwrap();
    let peer = Peer::start(python, "receive.py", &["PULL", "connect", sender.endpoint()]);
    peer.line();
    for number in 0..COUNT {
        insist(&sender, &record(number));
    }
    sender.close(LONG).unwrap();
    for (number, came) in peer.json(COUNT).iter().enumerate() {
        assert_eq!(came["record"]["msg"], number.to_string());
    }
}

/// A record too long for what the system keeps for a connection to hold many.
fn long_record(number: u64) -> Vec<u8> {
    record(format_args!("{number:060000}"))
}

#[test]
fn a_subscriber_that_stops_makes_records_full_and_gets_all_others() {
    let Some(python) = python() else { return };
    let sender = Sender::publisher().high_water_mark(10).bind(LOOPBACK).unwrap();
    let peer = Peer::start(python, "receive.py", &["SUB", "connect", sender.endpoint()]);
    peer.line();
    sender.wait_for_subscriber(LONG).unwrap();
    peer.signal("STOP");
    let mut taken = Vec::new();
    for number in 0..500 {
        match sender.enqueue(&long_record(number)) {
            Ok(()) => taken.push(number),
            Err(EnqueueError::Full) => {}
            Err(error) => panic!("{error}"),
        }
    }
    let report = sender.report();
    assert_eq!((report.sent as usize, report.sent + report.full), (taken.len(), 500));
    assert!(report.full > 0, "{report:?}");
    peer.signal("CONT");
    for (number, came) in taken.iter().zip(peer.json(taken.len())) {
        assert_eq!(
            came["record"]["msg"],
            format!("{number:060000}"),
            "none but those that were full are missing"
        );
    }
    insist(&sender, &record("after"));
    assert_eq!(peer.json(1)[0]["record"]["msg"], "after");
}

#[test]
fn lossy_is_what_zeromq_does_and_cannot_be_seen() {
    let Some(python) = python() else { return };
    let sender = Sender::publisher().high_water_mark(10).lossy(true).bind(LOOPBACK).unwrap();
    let peer = Peer::start(python, "receive.py", &["SUB", "connect", sender.endpoint()]);
    peer.line();
    sender.wait_for_subscriber(LONG).unwrap();
    peer.signal("STOP");
    (0..500).for_each(|number| sender.enqueue(&long_record(number)).unwrap());
    assert_eq!((sender.report().sent, sender.report().full), (500, 0));
    peer.signal("CONT");
    assert!(peer.lines_within(Duration::from_millis(500)) < 500);
}

#[test]
fn a_subscriber_that_is_killed_is_missed_and_the_next_one_is_served() {
    let Some(python) = python() else { return };
    let sender = Sender::publisher().bind(LOOPBACK).unwrap();
    let receive = ["SUB", "connect", sender.endpoint()];
    let peer = Peer::start(python, "receive.py", &receive);
    peer.line();
    sender.wait_for_subscriber(LONG).unwrap();
    insist(&sender, &record("first"));
    assert_eq!(peer.json(1)[0]["record"]["msg"], "first");
    drop(peer);
    until("it is missed", || !sender.is_subscribed().unwrap());
    let before = sender.report();
    insist(&sender, &record("nobody hears"));
    assert_eq!(sender.report().unheard, before.unheard + 1);
    let peer = Peer::start(python, "receive.py", &receive);
    peer.line();
    sender.wait_for_subscriber(LONG).unwrap();
    insist(&sender, &record("second"));
    assert_eq!(peer.json(1)[0]["record"]["msg"], "second");
}

#[test]
fn a_peer_that_pulls_and_is_killed_costs_what_it_had_and_the_next_one_is_served() {
    let Some(python) = python() else { return };
    let sender = Sender::pusher().bind(LOOPBACK).unwrap();
    assert!(matches!(sender.enqueue(b"nobody"), Err(EnqueueError::Full)), "nobody is there");
    for name in ["first", "second"] {
        let peer = Peer::start(python, "receive.py", &["PULL", "connect", sender.endpoint()]);
        peer.line();
        insist(&sender, &record(name));
        assert_eq!(peer.json(1)[0]["record"]["msg"], name);
        drop(peer);
        until("nobody is there", || matches!(sender.enqueue(b"nobody"), Err(EnqueueError::Full)));
    }
}

#[test]
fn a_sender_that_is_killed_is_counted_and_the_next_one_is_heard() {
    let Some(python) = python() else { return };
    let (receiver, capture) = (Arc::new(Receiver::puller().bind(LOOPBACK).unwrap()), Capture::new());
    let listening = listening(receiver.clone(), &capture);
    for round in 1..=2 {
        let peer = Peer::start(python, "send.py", &["PUSH", "connect", receiver.endpoint(), "10"]);
        until("its records are here", || capture.len() == 12 * round);
        assert_eq!(receiver.report().connected, round as u64);
        drop(peer);
        until("it is missed", || receiver.report().disconnected == round as u64);
    }
    let report = listening.stop(LONG).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless(), "{report}");
}

/// A message that is a record, which shows that the receiver lives.
fn alive(peer: &mut Peer, capture: &Capture) {
    let before = capture.len();
    peer.say(r#"["{\"levelno\": 20, \"msg\": \"alive\"}"]"#);
    until("a record after it is here", || capture.len() > before);
    assert_eq!(capture.records()[before].message(), "alive");
}

#[test]
fn what_is_no_record_is_counted_and_the_receiver_lives() {
    let Some(python) = python() else { return };
    let receiver = Receiver::puller().frame_bytes_max(10_000).bind(LOOPBACK).unwrap();
    let (receiver, capture) = (Arc::new(receiver), Capture::new());
    let listening = listening(receiver.clone(), &capture);
    let mut peer = Peer::start(python, "misbehave.py", &["PUSH", "connect", receiver.endpoint()]);
    let malformed = [
        r#"["no json"]"#,
        r#"["[]"]"#,
        r#"["{\"msg\": \"no level\"}"]"#,
        r#"["{\"levelno\": 20}"]"#,
        r#"["{\"levelno\": 20, \"msg\": \"cut o"]"#,
        r#"[3]"#,
        r#"[0]"#,
        r#"["a", "b", "{\"levelno\": 20, \"msg\": \"three parts\"}"]"#,
        r#"[20000]"#,
    ];
    for (count, message) in (1..).zip(malformed) {
        peer.say(message);
        until("it is counted", || listening.stats().malformed == count);
    }
    assert_eq!(receiver.report().refused, 2);
    peer.say(r#"["topic", "{\"levelno\": 20, \"msg\": \"two parts\"}"]"#);
    until("it is here", || capture.len() == 1);
    peer.say(r#"["{\"levelno\": 20, \"msg\": \"\", \"unknown\": {\"a\": [1]}, \"huge\": 99999999999999999999999999999999999999999}"]"#);
    until("it is here", || capture.len() == 2);
    let record = &capture.records()[1];
    assert_eq!(record.field("unknown").unwrap().text(), r#"{"a": [1]}"#);
    assert_eq!(record.field("huge").unwrap().text(), "9".repeat(41));
    alive(&mut peer, &capture);
    let report = listening.stop(LONG).unwrap();
    report.assert_balanced();
    assert_eq!((report.received, report.malformed, report.dispatched), (12, 9, 3));
}

fn a_connection_is_cut_and_made_again(kind: &str, options: treering_zmq::ReceiverOptions, binds: bool) {
    let Some(python) = python() else { return };
    let options = options.frame_bytes_max(10_000);
    let (receiver, mut peer) = if binds {
        let receiver = options.bind(LOOPBACK).unwrap();
        let peer = Peer::start(python, "misbehave.py", &[kind, "connect", receiver.endpoint()]);
        (receiver, peer)
    } else {
        let peer = Peer::start(python, "misbehave.py", &[kind, "bind", LOOPBACK]);
        (options.connect(&peer.endpoint).unwrap(), peer)
    };
    let (receiver, capture) = (Arc::new(receiver), Capture::new());
    let listening = listening(receiver.clone(), &capture);
    alive(&mut peer, &capture);
    peer.say("[1000000]");
    until("the connection is cut", || receiver.report().disconnected == 1);
    until("it is made again", || receiver.report().connected == 2);
    alive(&mut peer, &capture);
    listening.stop(LONG).unwrap().assert_balanced();
}

#[test]
fn who_connects_and_sends_far_too_much_is_cut_off_and_comes_back() {
    a_connection_is_cut_and_made_again("PUSH", Receiver::puller(), true);
}

#[test]
fn who_was_connected_to_and_sends_far_too_much_is_cut_off_and_connected_to_again() {
    a_connection_is_cut_and_made_again("PUSH", Receiver::puller(), false);
    a_connection_is_cut_and_made_again("XPUB", Receiver::subscriber(), false);
}

#[test]
fn a_stop_while_nothing_comes_takes_no_time() {
    let best = (0..3).map(|_| {
        let listening = listening(Arc::new(Receiver::subscriber().bind(LOOPBACK).unwrap()), &Capture::new());
        std::thread::sleep(Duration::from_millis(50)); // until it waits, mostly
        let since = Instant::now();
        listening.stop(LONG).unwrap().assert_balanced();
        since.elapsed()
    });
    // Of three tries a loaded machine leaves one in peace; one that is not woken looks up after a second.
    assert!(best.min().unwrap() < Duration::from_millis(100));
}
