//! Each example does what it is there for.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// What each prints, in this order, among other things. Those that other tests or a step of `.ci/run` start are not here.
const PRINTED: [(&str, &[&str]); 13] = [
    (
        "context",
        &[
            "request{id=7 user=ann}: context: begun",
            "request{id=7 user=ann}:query{table=orders}: context: asked",
            "request{id=7 user=ann}: context: slow",
            "request{id=7 user=ann}: context: in a task",
            "INFO  context: no request any more",
        ],
    ),
    ("custom_handler", &["{\"orders\": 10, \"risk\": 1}"]),
    ("custom_queue", &[]),
    ("health", &["200 ", "log_records_submitted_total 2", "reason=\"full\",level=\"INFO\"} 0"]),
    ("in_tests", &[]),
    ("libraries", &["started", "target=libraries::library", "host=example.org attempt=1", "resolved"]),
    (
        "limits",
        &["order=0", "no certificate", "order=1 ", "order=100", "order=200 suppressed=99", "248 more calls"],
    ),
    ("operator", &["heard for a while", "heard from now on", "nothing was changed", "my_server=loud"]),
    (
        "own_types",
        &["Sell { short: true }", "{\"Sell\":{\"short\":true}}", "the other side of Order { id: 7,"],
    ),
    ("redaction", &["paid with [redacted]", "card=[redacted]", "token=[redacted]", "password: [redacted]"]),
    ("rotation", &["app.log"]),
    ("routing", &["errors.json", "\"order\":9", "tap.json", "miss"]),
    ("settings", &["INFO ", "\"json\"", "nothing was changed:", "kind", "\"still json\""]),
];
/// What starts the others.
const ELSEWHERE: [&str; 5] = ["console", "decode", "flight_recorder", "formats", "server"];

#[test]
fn each_example_prints_what_it_is_there_for() {
    let exe = std::env::current_exe().unwrap();
    let target = exe.ancestors().nth(3).unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--offline", "--quiet", "--profile", "test", "--target-dir"]).arg(target);
    cargo.args(PRINTED.iter().flat_map(|(example, _)| ["--example", example]));
    assert!(cargo.status().unwrap().success());
    for (example, expected) in PRINTED {
        let program = target.join("debug/examples").join(example);
        let output = Command::new(program).env_remove("RUST_LOG").output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{example}: {told}");
        let mut rest = &*printed;
        for part in expected {
            let Some((_, after)) = rest.split_once(part) else {
                panic!("{example} does not print `{part}`, in this order:\n{printed}{told}")
            };
            rest = after;
        }
    }
}

#[test]
fn all_examples_are_started_somewhere() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let stem = |entry: fs::DirEntry| entry.path().file_stem().unwrap().to_str().unwrap().to_owned();
    let there: BTreeSet<_> = fs::read_dir(directory).unwrap().map(|entry| stem(entry.unwrap())).collect();
    let known = PRINTED.map(|(example, _)| example).into_iter().chain(ELSEWHERE);
    assert_eq!(there, known.map(str::to_owned).collect());
}
