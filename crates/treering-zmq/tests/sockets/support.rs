//! Python processes with pyzmq, for the tests that need a peer that is not ours.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Longer than anything takes on a busy machine.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Waits for something that comes to hold.
#[track_caller]
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < LONG, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A Python with pyzmq: `TREERING_PYTHON`, which must be one, or else an environment of the tests' own, into which it is
/// installed once. `None`, with the reason printed, where that cannot be had.
#[expect(clippy::print_stdout, reason = "who skips says so")]
pub(crate) fn python() -> Option<&'static Path> {
    static PYTHON: OnceLock<Option<PathBuf>> = OnceLock::new();
    let python = PYTHON.get_or_init(|| {
        if let Some(python) = std::env::var_os("TREERING_PYTHON") {
            let python = PathBuf::from(python);
            assert!(has_pyzmq(&python), "TREERING_PYTHON, {}, has no pyzmq", python.display());
            return Some(python);
        }
        let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pyzmq");
        let python = home.join("bin/python");
        if has_pyzmq(&python)
            || run(Command::new("python3").args(["-m", "venv"]).arg(&home))
                && run(Command::new(&python).args(["-m", "pip", "install", "-q", "pyzmq"]))
                && has_pyzmq(&python)
        {
            return Some(python);
        }
        None
    });
    if python.is_none() {
        println!("SKIPPED: pyzmq cannot be installed here; set TREERING_PYTHON to a Python that has it");
    }
    python.as_deref()
}

fn has_pyzmq(python: &Path) -> bool {
    run(Command::new(python).args(["-c", "import zmq"]))
}

fn run(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// One of the crate's own examples, built as the tests are.
pub(crate) fn example(name: &str, arguments: &[&str]) -> Command {
    let exe = std::env::current_exe().unwrap();
    let target = exe.ancestors().nth(3).unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["build", "--offline", "--quiet", "--profile", "test", "-p", "treering-zmq", "--example", name])
        .arg("--target-dir")
        .arg(target);
    assert!(run(&mut cargo), "{name} is built");
    let mut command = Command::new(target.join("debug/examples").join(name));
    command.args(arguments).env_remove("RUST_LOG");
    command
}

/// A process that runs one of the scripts in `tests/sockets/peers`. Killed when it is dropped.
pub(crate) struct Peer {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
    /// The address of its socket, which it prints first.
    pub(crate) endpoint: String,
}

impl Peer {
    pub(crate) fn start(python: &Path, script: &str, arguments: &[&str]) -> Peer {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sockets/peers").join(script);
        let mut child = Command::new(python)
            .arg(script)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        let stdin = child.stdin.take().unwrap();
        let mut peer = Peer { child, stdin, lines, endpoint: String::new() };
        peer.endpoint = peer.line();
        peer
    }

    /// The next line that it prints.
    #[track_caller]
    pub(crate) fn line(&self) -> String {
        self.lines.recv_timeout(LONG).expect("a line of the peer's")
    }

    /// The next lines that it prints, as JSON.
    #[track_caller]
    pub(crate) fn json(&self, lines: usize) -> Vec<serde_json::Value> {
        (0..lines).map(|_| serde_json::from_str(&self.line()).unwrap()).collect()
    }

    /// The lines that it has printed and prints within a while.
    pub(crate) fn lines_within(&self, time: Duration) -> usize {
        std::iter::from_fn(|| self.lines.recv_timeout(time).ok()).count()
    }

    pub(crate) fn say(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").unwrap();
    }

    /// Lets it end by itself.
    pub(crate) fn finish(mut self) {
        self.say("end");
        assert!(self.child.wait().unwrap().success());
    }

    /// STOP or CONT, as `kill` names them.
    pub(crate) fn signal(&self, name: &str) {
        assert!(run(Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string())));
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
