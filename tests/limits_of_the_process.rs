//! Limits and the process-wide engine: a process of its own, as the sum of what was suppressed is the process's.

use std::time::Duration;

use treering::handler::Capture;
use treering::info;

fn calls(count: u32) {
    for price in (0..count).map(f64::from) {
        info!(every: 100, order.total = price * 2.0, "sampled");
        info!(once: true, "begun");
    }
}

#[test]
fn reports_count_what_was_suppressed_beside_their_ledgers() {
    let capture = Capture::new();
    let guard = treering::builder().handler(capture.clone()).init().unwrap();
    calls(150);
    let report = treering::stats().unwrap();
    assert_eq!((report.submitted, report.suppressed), (3, 148 + 149));
    let report = guard.stop(Duration::from_secs(20)).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless(), "what was suppressed is not lost");
    assert_eq!((report.submitted, report.suppressed), (3, 297));
    assert!(report.to_string().contains("; 297 suppressed"), "{report}");
    let told = |capture: &Capture| {
        let records = capture.records();
        let counts = records.iter().filter_map(|record| record.field("suppressed")?.as_u64());
        let mut counts: Vec<_> = counts.collect();
        counts.sort_unstable();
        counts
    };
    assert_eq!(told(&capture), [0, 49, 99, 149], "by records, and at the stop");
    assert_eq!(treering::stats().unwrap().submitted, 3, "what the stop told of is no call");

    // The next engine is told of what came after.
    let capture = Capture::new();
    let guard = treering::builder().handler(capture.clone()).init().unwrap();
    calls(51);
    let report = guard.stop(Duration::from_secs(20)).unwrap();
    report.assert_balanced();
    assert_eq!((report.submitted, report.suppressed), (1, 297 + 50 + 51));
    assert_eq!(told(&capture), [50, 51], "the 201st call passed and told of the 50 before it");
}
