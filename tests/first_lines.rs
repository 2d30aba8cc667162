//! The first lines that a user types, in the order in which the README and the guides show them. They must go on
//! compiling and running: names may grow, not change.

use std::time::Duration;

use treering::{Level, Overflow, Wait, error, format, handler, info, warn};

#[test]
fn one_line_sets_up_and_the_rest_is_logging() -> Result<(), treering::Error> {
    let _guard = treering::init()?;
    let (order_id, qty, price) = (7_u64, 100_u32, 12.5_f64);
    info!("order {order_id} filled {qty} at {price:.2}");
    info!(order_id, qty, venue = "XNAS", "order filled");
    warn!(target: "risk", ?price, %qty, "limit near");
    info!(every: 100, order.total = price * 2.0, "sampled");

    treering::flush(Duration::from_secs(5))?;
    let report = treering::shutdown(Duration::from_secs(5))?;
    assert!(report.is_lossless());
    assert_eq!(report.submitted, 4);
    configured()
}

fn configured() -> Result<(), treering::Error> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.log");
    let guard = treering::builder()
        .filter("info,my_server::db=debug")
        .ring_capacity(1 << 20)
        .overflow(Overflow::drop_newest())
        .overflow_at(Level::Error, Overflow::block(Duration::from_millis(1)))
        .wait(Wait::Adaptive)
        .handler(handler::Console::stderr())
        .handler(handler::File::append(&path)?.level(Level::Info).format(format::Json::new()))
        .init()?;
    info!("to both");
    treering::debug!(target: "my_server::db", "to stderr only");
    let report = guard.stop(Duration::from_secs(5))?;
    report.assert_balanced();
    assert_eq!((report.submitted, report.dispatched), (2, 2));
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    let record: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&record["level"], &record["message"]), (&"INFO".into(), &"to both".into()), "{text}");
    Ok(())
}

#[test]
fn an_instance() -> Result<(), treering::Error> {
    let capture = handler::Capture::new();
    let (logger, guard) = treering::builder().handler(capture.clone()).start()?;
    error!(logger: logger, code = 17, "sensor failed");
    guard.flush(Duration::from_secs(1))?;
    let report = guard.stop(Duration::from_secs(5))?;
    assert!(report.is_lossless());
    assert_eq!(capture.records()[0].message(), "sensor failed");
    Ok(())
}
