//! The laws of the hot path, and how they are kept: docs/hot-path.md tells what the code read here does.
//!
//! What may be how much stands in `tests/budget.txt`. Allocations are counted in this process. All else is measured on a program of its own in tests/crates/hot_path,
//! which is built in release, as users build: a test profile has assertions where the law has none. What needs a tool
//! that is not installed says so and passes.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(unsafe_code, reason = "a global allocator that counts")]
#![allow(clippy::print_stdout, reason = "figures beside their budgets")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fmt;
use std::hint::black_box;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::Duration;

use support::budget;
use treering::overflow::{Decision, Full};
use treering::{Encode, Overflow, Secret, Wait, builder, context, format, handler, info};

// ---- allocations

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

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

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(block, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// What `work` allocates, on this thread.
fn allocations(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

/// Not `Encode`: made text at the call.
struct Eager(u32);

impl fmt::Display for Eager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "eager {:>8}", self.0)
    }
}

/// Of the user's own.
#[derive(Debug, Encode)]
struct Order<'a> {
    id: u64,
    venue: &'a str,
    limit: Option<f64>,
}

#[test]
fn neither_calls_nor_the_listener_allocate() {
    const ROUNDS: u64 = 50;
    const CALLS: u64 = 200;
    let directory = tempfile::tempdir().unwrap();
    let file = handler::File::append(directory.path().join("log")).unwrap().format(format::Text::new());
    let guard = builder().ring_capacity(1 << 20).wait(Wait::Manual).handler(file).init().unwrap();
    let deferred = |call: u64| {
        info!("{} {} {}", call, 7_u64, 12.5_f64);
        info!(call, venue = "XNAS", list = [1_u8, 2, 3], some = Some(call), "order {call:>8} {:?}", "filled");
    };
    let eager = |call: u64| info!(eager = Eager(call as u32), "{}", Eager(1));
    // The front ends beside: each call a record, but for those that limits keep back.
    let others = |call: u64| {
        info!(order = ?Order { id: call, venue: "XNAS", limit: Some(12.5) }, secret = Secret(call), "derived");
        info!(every: 10, call, "one of ten");
        info!(at_most: (5, Duration::from_secs(3600)), call, "five in all");
        info!(sample: 0.5, call, "about half");
        #[cfg(feature = "log")]
        log::info!(call, venue = "XNAS"; "of log: {call}");
    };
    let (outer, shown) = (context!("outer", n = 1), Eager(2));
    let inner = outer.in_scope(|| context!("inner", %shown));
    let in_contexts = |call: u64| {
        outer.in_scope(|| {
            info!(call, "in a context");
            inner.in_scope(|| info!(eager = Eager(call as u32), "in two"));
            #[cfg(feature = "log")]
            log::info!(call; "of log in a context");
        });
    };
    assert_eq!(allocations(|| drop(black_box(Box::new(1)))), 1, "else the test could not fail");

    // The thread gets its ring, the callsites their ids, the scratch and the listener their buffers.
    let (mut by_callers, mut by_listener) = (0, 0);
    for round in 0..ROUNDS {
        let by_calls = allocations(|| (0..CALLS).for_each(deferred));
        let by_eager_calls = allocations(|| (0..CALLS).for_each(eager));
        let by_others = allocations(|| (0..CALLS).for_each(others));
        let by_calls_in_contexts = allocations(|| (0..CALLS).for_each(in_contexts));
        let by_round = allocations(|| guard.flush(Duration::from_secs(9)).unwrap());
        // In one round also its housekeeping, which is due each half a second.
        if round == ROUNDS / 2 {
            std::thread::sleep(Duration::from_millis(600));
        }
        if round > 0 {
            by_callers += by_calls + by_eager_calls + by_others + by_calls_in_contexts;
            by_listener += by_round;
        }
    }
    // Of one that is new: itself, and its fields. To tell of it takes none.
    let fresh = |n: u64| context!("fresh", n, venue = "XNAS").in_scope(|| info!("in a fresh context"));
    fresh(0);
    assert_eq!(allocations(|| fresh(1)), 2);
    guard.flush(Duration::from_secs(9)).unwrap();
    let report = guard.stats();
    assert_eq!((report.dispatched, report.dropped), (report.submitted, 0));
    assert!(report.submitted > 4 * CALLS * ROUNDS, "all of them logged: {report}");
    let of_a_thousand = |allocations: u64| allocations as f64 * 1_000.0 / (3 * CALLS * (ROUNDS - 1)) as f64;
    budget::check("allocations/calls", of_a_thousand(by_callers));
    budget::check("allocations/listener", of_a_thousand(by_listener));
    // Any: a rounded thousandth would hide one.
    assert_eq!((by_callers, by_listener), (0, 0));
    guard.stop(Duration::from_secs(9)).unwrap(); // before the directory goes
}

#[test]
fn a_call_that_finds_no_room_and_does_not_wait_allocates_nothing() {
    const CALLS: u64 = 1_000;
    let policies = [
        Overflow::drop_newest(),
        Overflow::drop_oldest(),
        Overflow::sample(10),
        Overflow::custom(
            |full: &Full<'_>| if full.bytes() == 0 { Decision::Wait(Duration::ZERO) } else { Decision::Drop },
        ),
    ];
    for policy in policies {
        let name = format!("{policy:?}");
        let builder = builder().ring_capacity(4096).overflow(policy).wait(Wait::Manual);
        let (logger, guard) = builder.handler(handler::Capture::new()).start().unwrap();
        let calls = || (0..CALLS).for_each(|call| info!(logger: logger, call, "{} {}", 7_u64, "text"));
        calls(); // the callsite has its id, and the ring is full
        let dropped = guard.stats().dropped;
        assert_eq!(allocations(calls), 0, "{name}");
        assert_eq!(guard.stats().dropped - dropped, CALLS, "{name}: no call found room of its own");
    }
}

// ---- the release build

/// The program in tests/crates/hot_path.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hot-path");
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/crates/hot_path/Cargo.toml");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args([
            "build",
            "--release",
            "--offline",
            "--quiet",
            "--manifest-path",
            manifest,
            "--target-dir",
        ]);
        // As a user's build, whatever this one was made with.
        for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "CARGO_BUILD_RUSTFLAGS"] {
            cargo.env_remove(name);
        }
        assert!(cargo.arg(&target).status().unwrap().success(), "the program builds");
        target.join("release/hot-path")
    })
}

fn run(arguments: &[&str]) -> Output {
    Command::new(program()).args(arguments).output().unwrap()
}

/// What a tool prints; `None`, and a line that says so, if it is not installed.
fn tool(name: &str, arguments: &[&str]) -> Option<String> {
    match Command::new(name).args(arguments).arg(program()).output() {
        Ok(output) => {
            assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
            Some(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Err(error) => {
            support::not_tried(&format!("{name}: {error}"));
            None
        }
    }
}

/// An instruction of a disassembly: its address, and its text, `mov %rsi,%rax`.
struct Instruction<'a> {
    address: u64,
    text: &'a str,
}

/// A function of a disassembly, by a test of its head `0000000000029d90 <three>:`, without the padding behind it.
fn function<'a>(disassembly: &'a str, is_head: impl Fn(&str) -> bool) -> Vec<Instruction<'a>> {
    let from = disassembly.lines().skip_while(|line| !(line.ends_with(">:") && is_head(line)));
    let body = from.skip(1).take_while(|line| !line.is_empty()).filter_map(|line| {
        let (address, text) = line.trim().split_once(":\t")?;
        Some(Instruction { address: u64::from_str_radix(address, 16).ok()?, text })
    });
    body.filter(|instruction| instruction.text.trim() != "int3").collect()
}

/// Where an instruction jumps to, or what it calls.
fn target(instruction: &str) -> Option<u64> {
    u64::from_str_radix(instruction.split_whitespace().nth(1)?, 16).ok()
}

// ---- the disassembly

#[test]
fn a_disabled_call_is_one_load_and_one_branch() {
    let Some(disassembly) = tool("objdump", &["-d", "--no-show-raw-insn"]) else { return };
    let three = function(&disassembly, |head| head.contains("<three>"));
    let texts: Vec<&str> = three.iter().map(|instruction| instruction.text).collect();
    let [load, compare, branch, ..] = texts[..] else { panic!("no function: {texts:?}") };
    assert!(load.starts_with("mov ") && load.contains("__TREERING_CALLSITE"), "{texts:#?}");
    assert!(compare.starts_with("test ") || compare.starts_with("cmp "), "{texts:#?}");
    assert!(!compare.contains('('), "a second load: {texts:#?}");
    assert!(branch.starts_with('j') && !branch.starts_with("jmp"), "{texts:#?}");
    let end = three.iter().find(|instruction| Some(instruction.address) == target(branch));
    assert_eq!(end.map(|end| end.text.trim()), Some("ret"), "{texts:#?}");
}

#[test]
fn an_enabled_call_locks_nothing_and_calls_nothing() {
    let Some(disassembly) = tool("objdump", &["-d", "--no-show-raw-insn"]) else { return };
    let three = function(&disassembly, |head| head.contains("<three>"));
    let call = three.iter().find(|instruction| instruction.text.starts_with("call "));
    let emit = target(call.expect("a call to `emit`").text).expect("a direct call");
    let emit = function(&disassembly, |head| head.starts_with(&format!("{emit:016x} ")));
    assert!(emit.iter().any(|instruction| instruction.text.starts_with("rdtsc")), "that is not `emit`");
    for instruction in emit.iter().chain(&three) {
        assert!(!orders_memory(instruction.text), "{:x}: {}", instruction.address, instruction.text);
    }
    // Every way out is a jump, the cold ones in tail position: nothing between entry and return is elsewhere.
    for Instruction { address, text } in &emit {
        assert!(!text.starts_with("call") && !text.starts_with("syscall"), "{address:x}: {text}");
    }
    let stack = emit.iter().filter(|instruction| instruction.text.contains("%rsp"));
    assert_eq!(stack.count(), 0, "`emit` needs no memory of the stack but for registers it saves");
}

/// Whether an instruction waits until other cores can see what this one wrote, or for them. `lfence` does not: it waits
/// for this core's own loads, so that the counter behind it is read after them.
fn orders_memory(text: &str) -> bool {
    let fence = ["lock", "mfence", "sfence"].iter().any(|word| text.starts_with(word));
    fence || text.starts_with("xchg") && text.contains('(')
}

#[test]
fn what_orders_memory_is_recognised() {
    assert!(orders_memory("lock cmpxchg %rcx,(%rdi)") && orders_memory("xchg   %rax,0x8(%rdi)"));
    assert!(
        orders_memory("mfence")
            && !orders_memory("lfence")
            && !orders_memory("xchg   %ax,%ax")
            && !orders_memory("mov    %rax,(%rdi)")
    );
}

#[test]
fn a_call_adds_little_code_to_its_function() {
    let Some(symbols) = tool("objdump", &["-t"]) else { return };
    // "000000000002b9c0 g     F .text	0000000000000074              one"
    let size = |name: &str| {
        let mut lines = symbols.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let symbol = lines.find(|words| words.last() == Some(&name)).expect("a symbol");
        u64::from_str_radix(symbol[symbol.len() - 2], 16).unwrap()
    };
    let bytes = (size("eleven") - size("one")) / 10;
    budget::check("bytes/callsite", bytes as f64);
}

// ---- instructions

/// The functions of `tests/crates/hot_path` that are counted, and the instructions of the loop around each call.
const COUNTED: [(&str, &str, f64); 19] = [
    ("instructions/disabled", "counted_disabled", 3.0),
    ("instructions/plain", "counted_plain", 3.0),
    ("instructions/one_number", "counted_one", 3.0),
    ("instructions/three_numbers", "counted", 3.0),
    ("instructions/text_of_40_bytes", "counted_text", 2.0),
    ("instructions/four_fields", "counted_fields", 3.0),
    ("instructions/named_engine", "counted_named", 3.0),
    ("instructions/derived_type", "counted_derived", 3.0),
    ("instructions/limit_lets_through", "counted_limited", 3.0),
    ("instructions/limit_keeps_back", "counted_kept_back", 3.0),
    ("instructions/log", "counted_log", 3.0),
    ("instructions/in_context", "counted_in_context", 3.0),
    ("instructions/named_engine_in_context", "counted_named_in_context", 3.0),
    ("instructions/enter_and_leave", "counted_enter", 2.0),
    ("instructions/asked_twice", "counted_asked", 3.0),
    ("instructions/event", "counted_event", 3.0),
    ("instructions/disabled_event", "counted_disabled_event", 3.0),
    ("instructions/span", "counted_span", 3.0),
    ("instructions/floor", "counted_floor", 3.0),
];

#[test]
fn a_call_takes_few_instructions() {
    // The difference leaves out the first run of each callsite, but for some instructions, as its hash is seeded anew in each
    // process: in tenths of an instruction these are not seen.
    let (Some(less), Some(more)) = (profile("count", 1_000), profile("count", 3_000)) else { return };
    for (name, function, of_the_loop) in COUNTED {
        let difference = inclusive(&more, function) - inclusive(&less, function);
        budget::check(name, (difference as f64 / 200.0).round() / 10.0 - of_the_loop);
    }
    assert!(inclusive(&more, "counted") > 3_000 * 20, "the calls were not counted");
    // Of the listener, for lanes that take nothing: what it does for a record beside them and not without them. If it keeps house
    // in one of both it does more there, so the limit is all that holds.
    let listener = |function| inclusive(&more, function) as f64 / 3_000.0;
    let (alone, beside) = (listener("counted_listener"), listener("counted_listener_beside_lanes"));
    println!("the listener beside lanes: {:.4} of what it does without them", beside / alone);
    budget::check_limit("instructions/lanes_that_take_nothing", beside - alone);
}

#[test]
fn a_line_takes_the_listener_few_instructions() {
    let (Some(less), Some(more)) = (profile("listen", 10_000), profile("listen", 30_000)) else { return };
    let difference = inclusive(&more, "listened") - inclusive(&less, "listened");
    budget::check("instructions/listener_line", (difference as f64 / 20_000.0).round());
}

/// What callgrind says of the program; `None`, and a line that says so, if it is not installed.
fn profile(command: &str, times: u32) -> Option<String> {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("callgrind.{command}.{times}"));
    let valgrind = Command::new("valgrind")
        .args(["--tool=callgrind", "--compress-strings=no"])
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(program())
        .args([command, &times.to_string()])
        .output();
    match valgrind {
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            Some(std::fs::read_to_string(file).unwrap())
        }
        Err(error) => {
            support::not_tried(&format!("valgrind: {error}"));
            None
        }
    }
}

/// Instructions of a function and of all that it calls, in a profile of callgrind's.
fn inclusive(profile: &str, function: &str) -> u64 {
    let mut is_inside = false;
    let mut sum = 0;
    for line in profile.lines() {
        if let Some(name) = line.strip_prefix("fn=") {
            is_inside = name == function;
        } else if is_inside && line.starts_with(|c: char| c.is_ascii_digit() || "+-*".contains(c)) {
            // A line of the source and its cost; or, behind `calls=`, of the call and the cost of all in it.
            sum += line.split_whitespace().nth(1).and_then(|cost| cost.parse::<u64>().ok()).unwrap_or(0);
        }
    }
    sum
}

#[test]
fn costs_of_a_function_are_its_own_and_those_of_its_calls() {
    let profile = "events: Ir\nfn=a\n10 5\n+1 7\ncfn=b\ncalls=2 20\n* 100\n\nfn=b\n20 100\n\ntotals: 112\n";
    assert_eq!([inclusive(profile, "a"), inclusive(profile, "b")], [112, 100]);
}

#[test]
fn more_than_was_seen_last_is_noticed() {
    assert!(!budget::is_more(91.0, 89.0) && budget::is_more(92.0, 89.0), "three of a hundred");
    assert!(!budget::is_more(3.0, 3.0) && budget::is_more(4.0, 3.0) && budget::is_more(1.0, 0.0));
    let line = budget::find("# a comment\nab 1 2\na   90  89.5\n", "a").unwrap();
    assert_eq!((line.limit, line.seen, line.text), (90.0, 89.5, "a   90  89.5"));
}

// ---- system calls

#[test]
fn a_call_makes_no_system_call() {
    let sealed = run(&["sealed"]);
    assert!(sealed.status.success(), "{sealed:?}");
}

#[test]
fn a_sealed_thread_that_makes_a_system_call_is_killed() {
    let sealed = run(&["sealed", "write"]);
    assert_eq!(sealed.status.signal(), Some(libc::SIGSYS), "{sealed:?}");
}

#[test]
fn no_call_of_steady_traffic_wakes_the_listener() {
    /// A longer silence may let the listener park: then it was not steady.
    const SILENCE_MAX_MILLIS: u64 = 80;
    const TRIES: u32 = 5;
    let mut has_woken = false;
    for _ in 0..TRIES {
        let output = run(&["steady"]);
        assert!(output.status.success(), "{output:?}");
        let numbers = String::from_utf8(output.stdout).unwrap();
        let numbers: Vec<u64> = numbers.split_whitespace().map(|number| number.parse().unwrap()).collect();
        let [during, silence, after] = numbers[..] else { panic!("{numbers:?}") };
        // Not if it has just woken by itself, as it does twice a second.
        has_woken |= after == 1;
        if during == 0 && has_woken {
            return;
        }
        assert!(
            during == 0 || silence > SILENCE_MAX_MILLIS,
            "{during} calls woke the listener, {silence} ms were the most between two"
        );
        println!("{after} wakes after the traffic, which the machine kept waiting for {silence} ms; again");
    }
    assert!(has_woken, "a call after half a second of silence wakes the listener");
    support::not_tried("system calls under steady traffic, as this machine is too busy");
}
