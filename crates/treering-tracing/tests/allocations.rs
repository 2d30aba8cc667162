//! An event in two spans allocates nothing, in a process of its own that counts.
#![allow(unsafe_code, reason = "a global allocator that counts")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

use tracing::{debug, info, info_span};
use tracing_subscriber::prelude::*;
use treering::handler::{Batch, Handler, HandlerError};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: hands every request to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

struct Nowhere;

impl Handler for Nowhere {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        black_box(batch.iter().count());
        Ok(())
    }
}

#[test]
fn an_event_in_two_spans_allocates_nothing() {
    tracing_subscriber::registry().with(treering_tracing::layer()).init();
    let guard = support::engine().filter("info").handler(Nowhere).init().unwrap();
    let _request = info_span!("request", id = 7, path = "/orders").entered();
    let _query = info_span!("query", table = "orders").entered();
    let call = |n: u64| {
        info!(rows = n, cached = n.is_multiple_of(2), user = "ann", "served {} of {}", n, 100);
        info!(rows = n, some = n.is_multiple_of(2).then_some(n), shown = %n, debug = ?n, "two shapes");
        debug!(rows = n, "nobody listens");
    };
    (0..10).for_each(call);
    let before = ALLOCATIONS.get();
    (0..1_000).for_each(call);
    assert_eq!(ALLOCATIONS.get() - before, 0);
    drop(black_box(Box::new(1)));
    assert_eq!(ALLOCATIONS.get() - before, 1, "else the test could not fail");
    let report = support::lossless(&guard);
    assert_eq!(report.submitted, 2 * 1_010 + 2);
}
