//! What `log`'s table does when it is full, and that it costs no allocation: a process of its own for both.
#![cfg(feature = "log")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use support::SOON;
use treering::Overflow;
use treering::handler::Capture;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: passes everything on to the system's allocator.
#[expect(unsafe_code, reason = "an allocator")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(place, layout) };
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn places_are_kept_without_allocations_and_beyond_the_table_records_say_where_they_come_from() {
    const TARGETS: u64 = 5_000;
    let capture = Capture::new();
    let builder = treering::builder().overflow(Overflow::block(support::LONG));
    let guard = builder.handler(capture.clone()).init().unwrap();
    let call = |n: u64| log::info!(target: "steady", n, name = "x"; "call {n} of {}", "many");
    (0..10).for_each(call);
    let before = ALLOCATIONS.get();
    (0..1_000).for_each(call);
    assert_eq!(ALLOCATIONS.get() - before, 0, "no call allocates");

    assert_eq!(guard.stats().uninterned, 0);
    for n in 0..TARGETS {
        log::info!(target: &format!("connection-{n}"), n; "opened");
    }
    call(1_010);
    let report = guard.stop(SOON).unwrap();
    report.assert_balanced();
    assert!(report.is_lossless(), "{report:#?}");
    let records: Vec<_> =
        capture.records().into_iter().filter(|record| record.message() == "opened").collect();
    assert_eq!(records.len() as u64, TARGETS);
    let (others, kept): (Vec<_>, Vec<_>) = records.iter().partition(|record| record.target() == "log");
    assert_eq!((others.len() as u64, report.uninterned > 0), (report.uninterned, true));
    assert!(kept.len() > 4_000 && kept.len() < 4_100, "{}", kept.len());
    assert!(kept.iter().enumerate().all(|(n, record)| record.target() == format!("connection-{n}")));
    let last = others.last().unwrap();
    let field = |name: &str| last.field(name).unwrap().text().to_owned();
    assert_eq!(
        (field("log.target"), field("log.module_path")),
        (format!("connection-{}", TARGETS - 1), module_path!().into())
    );
    assert_eq!((field("log.file"), field("log.fields")), (file!().into(), format!("n={}", TARGETS - 1)));
    assert!(last.field("log.line").unwrap().as_u64().is_some_and(|line| line < line!().into()));
    assert_eq!(capture.records().last().unwrap().target(), "steady", "what is in the table stays");
}
