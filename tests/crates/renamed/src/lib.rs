//! A user of treering by another name, in the edition of 2015, with modules that are called like crates.
#![forbid(unsafe_code)]
#![deny(warnings)]

#[cfg_attr(test, macro_use)]
extern crate ring;

#[allow(dead_code)]
mod core {
    pub mod fmt {}
}

mod __private {}
mod treering {}

#[test]
fn macros_of_a_renamed_crate_work_in_the_edition_of_2015() {
    let capture = ::ring::handler::Capture::new();
    let guard = ::ring::builder().handler(capture.clone()).init().unwrap();
    let (async, dyn) = (1, "two");
    info!("plain");
    info!(async, r#dyn, dotted.name = 3, "{async} {dyn} {}", dyn);
    ring::warn!(target: "x", a = ?dyn, "{:>5}", async);
    log!(::ring::Level::Error, "{x:?}", x = Some(1));
    guard.stop(::std::time::Duration::from_secs(10)).unwrap();
    let seen: Vec<_> = capture.records().iter().map(|seen| seen.message().to_string()).collect();
    assert_eq!(seen, ["plain", "1 two two", "    1", "Some(1)"]);
}
