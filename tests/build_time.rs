//! What a thousand callsites cost whoever builds a program: processor time, in units of what `log` takes for them.
#![cfg(target_os = "linux")]
#![allow(unsafe_code, reason = "wait4")]
#![allow(clippy::print_stdout, reason = "figures beside their budgets")]

mod support;

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use support::budget;

const CALLSITES: usize = 1_000;
/// Of each crate, by turns; the fastest counts, as what is slower was disturbed.
const BUILDS: usize = 2;

#[test]
fn callsites_build_about_as_fast_as_those_of_log() {
    let treering = format!("treering = {{ path = {:?} }}", env!("CARGO_MANIFEST_DIR"));
    let crates = [("treering", &*treering), ("log", "log = \"0.4\"")];
    for (logger, dependency) in crates {
        lay_out(logger, dependency);
        build(logger); // the dependencies
    }
    let mut fastest = [Duration::MAX; 2];
    for _ in 0..BUILDS {
        for (fastest, (logger, _)) in fastest.iter_mut().zip(crates) {
            let source = directory(logger).join("src/lib.rs");
            fs::write(&source, fs::read(&source).unwrap()).unwrap(); // its time says that it is new
            *fastest = build(logger).min(*fastest);
        }
    }
    let [treering, log] = fastest.map(|time| time.as_secs_f64());
    println!("{CALLSITES} callsites: {treering:.2} s, of log {log:.2} s");
    assert!(log > 0.1, "nothing was built");
    budget::check_limit("build/callsites_in_units_of_log", treering / log);
}

fn directory(logger: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("build_time").join(logger)
}

/// A library of so many functions, ten calls in each, no two alike.
fn lay_out(logger: &str, dependency: &str) {
    let mut source = String::new();
    for function in 0..CALLSITES / 10 {
        writeln!(source, "pub fn f{function}(a: u64, b: u32, c: f64, d: &str) {{").unwrap();
        for call in 0..10 {
            writeln!(source, "    {logger}::info!(\"{function}.{call} {{}} {{}} {{}} {{}}\", a, b, c, d);")
                .unwrap();
        }
        source.push_str("}\n");
    }
    let directory = directory(logger);
    fs::create_dir_all(directory.join("src")).unwrap();
    fs::write(directory.join("src/lib.rs"), source).unwrap();
    let manifest = format!(
        "[workspace]\n[package]\nname = \"callsites\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[dependencies]\n{dependency}\n"
    );
    fs::write(directory.join("Cargo.toml"), manifest).unwrap();
    // The versions of our own workspace, which are there without a network.
    fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock"), directory.join("Cargo.lock")).unwrap();
}

/// The processor time of the build and of all its processes.
fn build(logger: &str) -> Duration {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--release", "--offline", "--quiet"]).current_dir(directory(logger));
    cargo.env("CARGO_TARGET_DIR", directory(logger).join("target"));
    for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "CARGO_BUILD_RUSTFLAGS"] {
        cargo.env_remove(name);
    }
    #[expect(clippy::zombie_processes, reason = "wait4 waits for it")]
    let child = cargo.spawn().unwrap();
    let mut status = 0;
    // SAFETY: all zeros is an `rusage`.
    let mut used: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to values of our own, and nobody else waits for the child.
    let waited = unsafe { libc::wait4(child.id() as libc::pid_t, &raw mut status, 0, &raw mut used) };
    assert_eq!((waited, status), (child.id() as libc::pid_t, 0), "cargo builds {logger}");
    let time = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1_000);
    time(used.ru_utime) + time(used.ru_stime)
}
