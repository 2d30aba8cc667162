//! The loggers in C++: each a file beside `peer.hpp`, built with what its own makefile asks of the compiler.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Program, said_by, target};

/// A row of the tables.
pub struct Peer {
    pub name: &'static str,
    logger: &'static Logger,
    /// Before the job's.
    arguments: &'static [&'static str],
}

pub const PEERS: [Peer; 6] = [
    Peer { name: "spdlog (C++)", logger: &SPDLOG, arguments: &[] },
    Peer { name: "quill", logger: &QUILL, arguments: &[] },
    Peer { name: "quill, bounded", logger: &QUILL, arguments: &["bounded"] },
    Peer { name: "xtr", logger: &XTR, arguments: &[] },
    Peer { name: "fmtlog", logger: &FMTLOG, arguments: &[] },
    Peer { name: "NanoLog", logger: &NANOLOG, arguments: &[] },
];

/// How a logger's program is built.
struct Logger {
    name: &'static str,
    text: &'static str,
    flags: &'static [&'static str],
    libraries: &'static [&'static str],
    /// Its own first; none for a library that is installed.
    sources: &'static [&'static Source],
    is_binary: bool,
}

const SPDLOG: Logger = Logger {
    name: "spdlog",
    text: include_str!("spdlog.cpp"),
    flags: &["-O2", "-DNDEBUG", "-DSPDLOG_SHARED_LIB", "-DSPDLOG_COMPILED_LIB", "-DSPDLOG_FMT_EXTERNAL"],
    libraries: &["-lspdlog", "-lfmt"],
    sources: &[],
    is_binary: false,
};

const QUILL: Logger = Logger {
    name: "quill",
    text: include_str!("quill.cpp"),
    flags: &["-O3", "-DNDEBUG"],
    libraries: &[],
    sources: &[&Source {
        name: "quill",
        version: "12.1.0",
        url: "https://github.com/odygrd/quill",
        commit: "0148a6517b3b29de86849e1dedab0bb1bfe3344a",
        headers: "include",
        objects: &[],
    }],
    is_binary: false,
};

const XTR: Logger = Logger {
    name: "xtr",
    text: include_str!("xtr.cpp"),
    flags: &["-O3", "-DNDEBUG", "-march=native", "-flto=auto", "-DXTR_USE_IO_URING=0", "-DFMT_HEADER_ONLY"],
    libraries: &[],
    sources: &[
        &Source {
            name: "xtr",
            version: "3.1.0",
            url: "https://github.com/choll/xtr",
            commit: "d0428bf5c64454e84ee79a6144bf1e7831d37e56",
            headers: "single_include",
            objects: &[],
        },
        &FMT,
    ],
    is_binary: false,
};

const FMTLOG: Logger = Logger {
    name: "fmtlog",
    text: include_str!("fmtlog.cpp"),
    flags: &["-O3", "-DNDEBUG", "-DFMT_HEADER_ONLY"],
    libraries: &[],
    sources: &[
        &Source {
            name: "fmtlog",
            version: "2.3.0",
            url: "https://github.com/MengRao/fmtlog",
            commit: "308b2317d4e9c21d3b203d104007fde127dcdbfa",
            headers: "",
            objects: &[],
        },
        &FMT,
    ],
    is_binary: false,
};

const NANOLOG: Logger = Logger {
    name: "nanolog",
    text: include_str!("nanolog.cpp"),
    flags: &["-O3", "-DNDEBUG"],
    libraries: &["-lrt"],
    sources: &[&Source {
        name: "nanolog",
        version: "of December 2020",
        url: "https://github.com/PlatformLab/NanoLog",
        commit: "2a94d70f9d1db4da416053b1b926387fa068a59b",
        headers: "runtime",
        objects: &["Cycles.cc", "Util.cc", "Log.cc", "NanoLog.cc", "RuntimeLogger.cc", "TimeTrace.cc"],
    }],
    is_binary: true,
};

/// What xtr is built with, and newer than what fmtlog asks for at least.
const FMT: Source = Source {
    name: "fmt",
    version: "12.1.0",
    url: "https://github.com/fmtlib/fmt",
    commit: "407c905e45ad75fc29bf0f9bb7c5c2fd3475976f",
    headers: "include",
    objects: &[],
};

/// A commit of somebody's repository; it lies in a directory of that name.
struct Source {
    name: &'static str,
    version: &'static str,
    url: &'static str,
    commit: &'static str,
    headers: &'static str,
    /// Compiled with the program; they lie among the headers.
    objects: &'static [&'static str],
}

/// Fetches the sources of all of them; needs `git`.
pub fn fetch_sources() -> Result<(), String> {
    for source in PEERS.iter().flat_map(|peer| peer.logger.sources) {
        if source.commit_there().as_deref() != Some(source.commit) {
            eprintln!("{} {}: {}", source.name, source.version, source.directory().display());
            source.fetch()?;
        }
    }
    Ok(())
}

impl Peer {
    /// Built, if that is not done yet.
    pub fn program(&self) -> Result<Program, String> {
        let path = self.logger.build()?;
        let version = match self.logger.sources.first() {
            Some(source) => source.version_there(),
            None => said_by(Command::new(&path).arg("version"))?,
        };
        let arguments = self.arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Ok(Program { path, arguments, version, is_binary: self.logger.is_binary })
    }
}

impl Logger {
    fn build(&self) -> Result<PathBuf, String> {
        const SHARED: &str = include_str!("peer.hpp");
        if let Some(source) = self.sources.iter().find(|source| !source.headers().is_dir()) {
            return Err(format!(
                "there is no source of {}; `cargo run --release --manifest-path benches/peers/Cargo.toml -- sources` fetches it",
                source.name
            ));
        }
        let directory = target().join("peers-cpp");
        let [text, program, recipe] =
            ["cpp", "program", "recipe"].map(|kind| directory.join(self.name).with_extension(kind));
        let mut compiler = Command::new("g++");
        compiler.arg("-std=c++20").args(self.flags).arg(&text).arg("-o").arg(&program);
        for source in self.sources {
            compiler.arg("-I").arg(source.headers());
            compiler.args(source.objects.iter().map(|object| source.headers().join(object)));
        }
        compiler.args(self.libraries).arg("-lpthread");
        // All that the program comes from: it takes half a minute to build, and is kept while that stays as it is.
        let commits: Vec<_> = self.sources.iter().map(|source| source.commit_there()).collect();
        let made_of = format!("{compiler:?}\n{commits:?}\n{SHARED}{}", self.text);
        if program.exists() && std::fs::read_to_string(&recipe).is_ok_and(|old| old == made_of) {
            return Ok(program);
        }
        std::fs::create_dir_all(&directory).map_err(|error| error.to_string())?;
        let write = |path: &Path, text: &str| std::fs::write(path, text).map_err(|error| error.to_string());
        write(&directory.join("peer.hpp"), SHARED)?;
        write(&text, self.text)?;
        said_by(&mut compiler)?;
        write(&recipe, &made_of)?;
        Ok(program)
    }
}

impl Source {
    fn directory(&self) -> PathBuf {
        let all = std::env::var_os("TREERING_PEERS_SRC").map(PathBuf::from);
        all.unwrap_or_else(|| target().join("peers-src")).join(self.name)
    }

    fn headers(&self) -> PathBuf {
        self.directory().join(self.headers)
    }

    fn git(&self) -> Command {
        let mut git = Command::new("git");
        let (tree, repository) = (self.directory(), self.directory().join(".git"));
        git.arg("--git-dir").arg(repository).arg("--work-tree").arg(tree);
        git
    }

    fn fetch(&self) -> Result<(), String> {
        said_by(Command::new("git").args(["init", "--quiet"]).arg(self.directory()))?;
        said_by(self.git().args(["fetch", "--quiet", "--depth", "1", self.url, self.commit]))?;
        said_by(self.git().args(["checkout", "--quiet", "--force", self.commit])).map(drop)
    }

    /// If the source was fetched with git.
    fn commit_there(&self) -> Option<String> {
        said_by(self.git().args(["rev-parse", "HEAD"])).ok()
    }

    fn version_there(&self) -> String {
        match self.commit_there() {
            Some(commit) if commit == self.commit => self.version.to_owned(),
            Some(commit) => format!("at {commit:.8}"),
            None => "of some copy".to_owned(),
        }
    }
}

#[test]
fn who_has_no_source_is_told_how_to_get_it() {
    const NOBODYS: Source =
        Source { name: "nobody's", version: "1", url: "", commit: "", headers: "include", objects: &[] };
    let logger = Logger { sources: &[&NOBODYS], ..QUILL };
    let reason = logger.build().unwrap_err();
    assert!(reason.contains("nobody's") && reason.contains("-- sources"), "{reason}");
}
