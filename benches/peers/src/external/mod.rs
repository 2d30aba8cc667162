//! The loggers that are programs of their own: built and started here, told and asked as our own children are.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The program that runs a peer's jobs.
pub struct Program {
    path: PathBuf,
    /// Before the job's.
    arguments: Vec<String>,
    pub version: String,
}

impl Program {
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.args(&self.arguments);
        command
    }

    /// Ourselves, for a logger in Rust.
    pub fn child(peer: &str) -> Result<Program, String> {
        let path = std::env::current_exe().map_err(|error| error.to_string())?;
        let version = version_of_crate(if peer == "floor" { "rtrb" } else { crate_of(peer) });
        Ok(Program { path, arguments: vec!["child".into(), peer.into()], version })
    }

    /// treering's own program for many fields and callsites, which takes a while to build.
    pub fn scaling() -> Result<Program, String> {
        let us = std::env::current_exe().map_err(|error| error.to_string())?;
        let target = us.ancestors().nth(2).ok_or("it is not in a target directory")?;
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
        said_by(cargo.arg(target))?;
        let path = target.join("release/treering-peers-scaling");
        Ok(Program { path, arguments: Vec::new(), version: version_of_crate("treering") })
    }

    /// spdlog in C++, if there is a compiler and the library.
    pub fn spdlog(directory: &Path) -> Result<Program, String> {
        let (source, path) = (directory.join("spdlog.cpp"), directory.join("spdlog"));
        std::fs::write(&source, include_str!("spdlog.cpp")).map_err(|error| error.to_string())?;
        let flags = [
            "-std=c++20",
            "-O2",
            "-DNDEBUG",
            "-DSPDLOG_SHARED_LIB",
            "-DSPDLOG_COMPILED_LIB",
            "-DSPDLOG_FMT_EXTERNAL",
        ];
        let mut compiler = Command::new("g++");
        compiler.args(flags).arg(&source).arg("-o").arg(&path).args(["-lspdlog", "-lfmt", "-lpthread"]);
        said_by(&mut compiler)?;
        let version = said_by(Command::new(&path).arg("version"))?;
        Ok(Program { path, arguments: Vec::new(), version })
    }

    /// Python's pair.
    pub fn python(directory: &Path) -> Result<Program, String> {
        let script = directory.join("queue_listener.py");
        std::fs::write(&script, include_str!("queue_listener.py")).map_err(|error| error.to_string())?;
        let version = said_by(Command::new("python3").arg("--version"))?;
        let version = version.trim_start_matches("Python ").to_owned();
        Ok(Program { path: "python3".into(), arguments: vec![script.display().to_string()], version })
    }
}

/// What a command prints, or why it failed.
fn said_by(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().display().to_string();
    let output = command.output().map_err(|error| format!("{name}: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{name}: {}", said.lines().next().unwrap_or("no word")));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
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
