//! A user who knows the facade only.
#![forbid(unsafe_code)]
#![deny(warnings)]

#[test]
fn macros_of_a_facade_work_without_treering_in_sight() {
    let x = 1;
    facade::info!(x, "direct {x}");
    facade::audit!("ash", "wrapped {x} {}", 2);
    let seen = facade::__private::stand_in::take();
    assert_eq!((seen[0].message.as_str(), seen[1].message.as_str()), ("direct 1", "wrapped 1 2"));
    assert_eq!(seen[0].module_path, module_path!());
    assert_eq!((seen[1].target, seen[1].fields[0].1.as_str()), ("audit", "ash"));
}
