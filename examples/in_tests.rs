//! How a program's tests look at what it logs: an engine for each test, whose records they keep.
//!
//! ```text
//! cargo run --example in_tests
//! ```

use std::time::Duration;

use treering::handler::Capture;
use treering::{Level, Logger, warn};

/// What is tested. It is given its logger, so that tests beside each other do not hear each other.
fn check_stock(logger: &Logger, left: u32) {
    if left < 10 {
        warn!(logger: logger, left, "reorder");
    }
}

fn main() -> Result<(), treering::Error> {
    let capture = Capture::new();
    let (logger, guard) = treering::builder().filter("trace").handler(capture.clone()).start()?;
    check_stock(&logger, 12);
    check_stock(&logger, 3);
    let report = guard.stop(Duration::from_secs(5))?;

    let records = capture.records();
    assert_eq!(records.len(), 1);
    assert_eq!((records[0].level(), records[0].message()), (Level::Warn, "reorder"));
    assert_eq!(records[0].field("left").unwrap().as_u64(), Some(3));
    assert!(report.is_lossless());
    Ok(())
}
