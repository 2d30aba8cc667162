//! A user who knows the facade only.
#![forbid(unsafe_code)]
#![deny(warnings)]

#[test]
fn macros_of_a_facade_work_without_treering_in_sight() {
    let capture = facade::handler::Capture::new();
    let guard = facade::builder().handler(capture.clone()).init().unwrap();
    let x = 1;
    facade::info!(x, "direct {x}");
    facade::audit!("ash", "wrapped {x} {}", 2);
    guard.stop(std::time::Duration::from_secs(10)).unwrap();
    let seen = capture.records();
    assert_eq!((seen[0].message(), seen[1].message()), ("direct 1", "wrapped 1 2"));
    assert_eq!(seen[0].module_path(), module_path!());
    assert_eq!((seen[1].target(), seen[1].field("who").unwrap().text()), ("audit", "ash"));
}
