//! The examples, with each other and with Python's: what one logs, the other prints.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::support::{example, python};

/// A process that is killed when it is dropped.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        Running(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// What it writes, to the line that has this.
    fn reads_to(stream: impl Read, last: &str) -> String {
        let mut text = String::new();
        let mut lines = BufReader::new(stream);
        while !text.lines().last().is_some_and(|line| line.contains(last)) {
            assert!(lines.read_line(&mut text).unwrap() > 0, "it ended without {last:?}: {text}");
        }
        text
    }

    fn finish(mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One of Python's.
fn script(python: &Path, name: &str, uri: &str) -> Command {
    let mut command = Command::new(python);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name)).arg(uri);
    command
}

/// The example `subscribe` prints what this one sends, and its books when Enter is pressed.
fn subscribes_to(sender: &mut Command, uri: &str, parts: &[&str], last: &str) {
    let sending = Running::start(sender);
    let mut subscribing = Running::start(&mut example("subscribe", &[uri]));
    let text = Running::reads_to(subscribing.0.stdout.as_mut().unwrap(), last);
    parts.iter().for_each(|part| assert!(text.contains(part), "{part}: {text}"));
    subscribing.0.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    let books = Running::reads_to(subscribing.0.stdout.as_mut().unwrap(), "received");
    assert!(books.contains("5 received = 0 malformed"), "{books}");
    subscribing.finish();
    sending.finish();
}

#[test]
fn publish_reaches_subscribe() {
    let directory = tempfile::tempdir().unwrap();
    let uri = format!("ipc://{}/socket", directory.path().display());
    let parts = ["order filled", "venue=XNAS", "WARN", "limit near", "order_id=2"];
    subscribes_to(&mut example("publish", &[&uri]), &uri, &parts, "not a number");
}

#[test]
fn publisher_of_python_reaches_subscribe() {
    let Some(python) = python() else { return };
    let directory = tempfile::tempdir().unwrap();
    let uri = format!("ipc://{}/socket", directory.path().display());
    let parts = ["order 0 filled", "order 2 filled", "order_id=2", "out of orders"];
    subscribes_to(&mut script(python, "publisher.py", &uri), &uri, &parts, "not a number");
}

#[test]
fn publish_reaches_subscriber_of_python() {
    let Some(python) = python() else { return };
    let directory = tempfile::tempdir().unwrap();
    let uri = format!("ipc://{}/socket", directory.path().display());
    let sending = Running::start(&mut example("publish", &[&uri]));
    let mut subscribing = Running::start(&mut script(python, "subscriber.py", &uri));
    let text = Running::reads_to(subscribing.0.stderr.as_mut().unwrap(), "not a number");
    for part in ["INFO: order filled", "risk WARNING: limit near", "ERROR: not a number"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    sending.finish();
}
