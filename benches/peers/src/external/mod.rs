//! The loggers that are programs of their own: built and started here, told and asked as our own children are.

mod cpp;

use std::path::{Path, PathBuf};
use std::process::Command;

pub use cpp::{PEERS as PEERS_IN_CPP, fetch_sources};

/// The program that runs a peer's jobs.
pub struct Program {
    path: PathBuf,
    /// Before the job's.
    arguments: Vec<String>,
    pub version: String,
    /// Its file is no text: the program makes the lines, told to `read` it.
    pub is_binary: bool,
}

impl Program {
    /// In this directory, as some loggers make files of their own.
    pub fn command(&self, directory: &Path) -> Command {
        let mut command = Command::new(&self.path);
        command.current_dir(directory).args(&self.arguments);
        command
    }

    /// The lines of its file.
    pub fn lines(&self, file: &Path) -> Result<Vec<u8>, String> {
        if self.is_binary {
            let directory = file.parent().ok_or("a file lies in a directory")?;
            return output_of(self.command(directory).arg("read").arg(file));
        }
        std::fs::read(file).map_err(|error| error.to_string())
    }

    /// Ourselves, for a logger in Rust.
    pub fn child(peer: &str) -> Result<Program, String> {
        let path = std::env::current_exe().map_err(|error| error.to_string())?;
        let version = version_of_crate(if peer == "floor" { "rtrb" } else { crate_of(peer) });
        Ok(Program { path, arguments: vec!["child".into(), peer.into()], version, is_binary: false })
    }

    /// treering's own program for many fields and callsites, which takes a while to build.
    pub fn scaling() -> Result<Program, String> {
        let target = target();
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/scaling/Cargo.toml");
        let mut cargo = Command::new("cargo");
        cargo.args([
            "build",
            "--release",
            "--quiet",
            "--locked",
            "--manifest-path",
            manifest,
            "--target-dir",
        ]);
        said_by(cargo.arg(&target))?;
        let path = target.join("release/treering-peers-scaling");
        Ok(Program { path, arguments: Vec::new(), version: version_of_crate("treering"), is_binary: false })
    }

    /// Python's pair.
    pub fn python(directory: &Path) -> Result<Program, String> {
        let script = directory.join("queue_listener.py");
        std::fs::write(&script, include_str!("queue_listener.py")).map_err(|error| error.to_string())?;
        let version = said_by(Command::new("python3").arg("--version"))?;
        let version = version.trim_start_matches("Python ").to_owned();
        let arguments = vec![script.display().to_string()];
        Ok(Program { path: "python3".into(), arguments, version, is_binary: false })
    }
}

/// Where cargo builds us.
pub fn target() -> PathBuf {
    std::env::current_exe().ok().and_then(|exe| Some(exe.ancestors().nth(2)?.to_owned())).unwrap_or_default()
}

/// What a command prints, or why it failed.
fn output_of(command: &mut Command) -> Result<Vec<u8>, String> {
    let name = command.get_program().display().to_string();
    let output = command.output().map_err(|error| format!("{name}: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{name}: {}", said.lines().next().unwrap_or("no word")));
    }
    Ok(output.stdout)
}

/// The words that a command prints.
fn said_by(command: &mut Command) -> Result<String, String> {
    Ok(String::from_utf8_lossy(&output_of(command)?).trim().to_owned())
}

fn crate_of(peer: &str) -> &str {
    match peer {
        "tracing" => "tracing-appender",
        other => other,
    }
}

/// As Cargo.lock has it.
fn version_of_crate(name: &str) -> String {
    let lock = include_str!("../../Cargo.lock");
    let package = lock.split("[[package]]").find(|package| package.contains(&format!("name = \"{name}\"")));
    let version = package.and_then(|package| package.split("version = \"").nth(1)?.split('"').next());
    version.unwrap_or("?").to_owned()
}

#[test]
fn a_binary_file_is_read_by_the_program_that_wrote_it() {
    let program = |path: &str, is_binary| Program {
        path: path.into(),
        arguments: vec!["first".into()],
        version: String::new(),
        is_binary,
    };
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/empty.json");
    let said = format!("first read {}\n", file.display());
    assert_eq!(program("echo", true).lines(&file), Ok(said.into_bytes()));
    assert_eq!(program("echo", false).lines(&file), Ok(include_bytes!("../empty.json").to_vec()));
}
