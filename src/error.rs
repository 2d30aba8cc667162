//! The one error of everything that sets the engine up, asks something of it, or stops it.
//!
//! It is opaque: callers ask it by predicate, people read its text, and the text says what to do. It is one word
//! wide, so that `Result<T, Error>` costs nothing where all goes well. Log calls never return it (they return
//! nothing), and handlers have [`HandlerError`](crate::handler::HandlerError), which also says what an error costs.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why the engine could not be set up, or could not do what it was asked.
///
/// ```
/// let error = treering::handler::File::append("/no/such/directory/app.log").unwrap_err();
/// assert!(error.is_io());
/// assert!(error.to_string().starts_with("cannot open /no/such/directory/app.log: "));
/// ```
pub struct Error(Box<Kind>);

#[derive(Debug)]
enum Kind {
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    Filter { text: String, problem: String },
    AlreadyRunning,
    NotRunning,
    OnListenerThread { stops: bool },
    Forked,
    Timeout,
    ThreadSpawn(io::Error),
    ProcessHook(io::Error),
    Config(String),
}

impl Error {
    /// Whether the system refused something: a file, a thread, a hook.
    ///
    /// ```
    /// assert!(treering::handler::File::append("/").unwrap_err().is_io());
    /// ```
    pub fn is_io(&self) -> bool {
        matches!(*self.0, Kind::Io { .. } | Kind::ThreadSpawn(_) | Kind::ProcessHook(_))
    }

    /// Whether a filter, from the program or from `RUST_LOG`, does not parse.
    ///
    /// ```
    /// assert!(!treering::handler::File::append("/").unwrap_err().is_filter());
    /// ```
    pub fn is_filter(&self) -> bool {
        matches!(*self.0, Kind::Filter { .. })
    }

    /// Whether the process-wide engine runs already.
    ///
    /// ```
    /// assert!(!treering::handler::File::append("/").unwrap_err().is_already_running());
    /// ```
    pub fn is_already_running(&self) -> bool {
        matches!(*self.0, Kind::AlreadyRunning)
    }

    /// Whether there is no engine to ask: none was started, or it was stopped.
    ///
    /// ```
    /// assert!(!treering::handler::File::append("/").unwrap_err().is_not_running());
    /// ```
    pub fn is_not_running(&self) -> bool {
        matches!(*self.0, Kind::NotRunning)
    }

    /// Whether the listener's own thread asked for something that it would have to wait for itself.
    ///
    /// ```
    /// assert!(!treering::handler::File::append("/").unwrap_err().is_on_listener_thread());
    /// ```
    pub fn is_on_listener_thread(&self) -> bool {
        matches!(*self.0, Kind::OnListenerThread { .. })
    }

    /// Whether this is a child of `fork` and the engine its parent's. The child may start one of its own.
    ///
    /// ```
    /// assert!(!treering::handler::File::append("/").unwrap_err().is_forked());
    /// ```
    pub fn is_forked(&self) -> bool {
        matches!(*self.0, Kind::Forked)
    }

    /// Whether the deadline passed first. What was asked for may still happen.
    ///
    /// ```
    /// assert!(!treering::handler::File::append("/").unwrap_err().is_timeout());
    /// ```
    pub fn is_timeout(&self) -> bool {
        matches!(*self.0, Kind::Timeout)
    }

    /// Whether the builder was given a value that cannot be, or the call came where nothing can be set up or asked: from a
    /// signal handler or an allocator that interrupts treering.
    ///
    /// ```
    /// assert!(!treering::handler::File::append("/").unwrap_err().is_config());
    /// ```
    pub fn is_config(&self) -> bool {
        matches!(*self.0, Kind::Config(_))
    }

    /// `doing` completes "cannot …": `"open"`, `"write to"`.
    #[cold]
    pub(crate) fn io(doing: &'static str, path: impl AsRef<Path>, source: io::Error) -> Self {
        Error(Box::new(Kind::Io { doing, path: path.as_ref().to_owned(), source }))
    }

    /// `text` is the directive, `problem` what is wrong with it and what may stand there.
    #[cold]
    pub(crate) fn filter(text: impl Into<String>, problem: impl Into<String>) -> Self {
        Error(Box::new(Kind::Filter { text: text.into(), problem: problem.into() }))
    }

    #[cold]
    pub(crate) fn already_running() -> Self {
        Error(Box::new(Kind::AlreadyRunning))
    }

    #[cold]
    pub(crate) fn not_running() -> Self {
        Error(Box::new(Kind::NotRunning))
    }

    #[cold]
    pub(crate) fn on_listener_thread() -> Self {
        Error(Box::new(Kind::OnListenerThread { stops: false }))
    }

    /// The engine stops nevertheless.
    #[cold]
    pub(crate) fn stops_on_listener_thread() -> Self {
        Error(Box::new(Kind::OnListenerThread { stops: true }))
    }

    #[cold]
    pub(crate) fn forked() -> Self {
        Error(Box::new(Kind::Forked))
    }

    #[cold]
    pub(crate) fn timeout() -> Self {
        Error(Box::new(Kind::Timeout))
    }

    #[cold]
    pub(crate) fn thread_spawn(source: io::Error) -> Self {
        Error(Box::new(Kind::ThreadSpawn(source)))
    }

    /// The end of the process, its forks or its signals would not be told to us.
    #[cold]
    pub(crate) fn process_hook(source: io::Error) -> Self {
        Error(Box::new(Kind::ProcessHook(source)))
    }

    /// A call from a signal handler or an allocator that interrupts treering's own cold path.
    #[cold]
    pub(crate) fn interrupts() -> Self {
        Error::config(
            "this cannot be done where treering itself is interrupted: in a signal handler or an allocator",
        )
    }

    /// `problem` names the setting, the value and the range.
    #[cold]
    pub(crate) fn config(problem: impl Into<String>) -> Self {
        Error(Box::new(Kind::Config(problem.into())))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Kind::Io { doing, path, source } => {
                write!(f, "cannot {doing} {}: {source}", path.display())?;
                match advice(source) {
                    Some(advice) => write!(f, ": {advice}"),
                    None => Ok(()),
                }
            }
            Kind::Filter { text, problem } => write!(f, "filter `{text}`: {problem}"),
            Kind::AlreadyRunning => f.write_str(
                "this process has its engine already: call init() once, and start() for further engines",
            ),
            Kind::NotRunning => {
                f.write_str("no engine is running: call init() first, and keep its guard until the end")
            }
            Kind::OnListenerThread { stops: true } => {
                f.write_str("the engine stops, but this call cannot wait for it on the listener's own thread")
            }
            Kind::OnListenerThread { stops: false } => f.write_str(
                "this would wait for the listener on the listener's own thread: ask from another thread",
            ),
            Kind::Forked => f.write_str(
                "this is a child of fork, and the engine its parent's: call init() or start() in the child",
            ),
            Kind::Timeout => f.write_str(
                "the deadline passed first: give more time, or look in the report for a handler that hangs",
            ),
            Kind::ThreadSpawn(source) => write!(f, "cannot start the listener's thread: {source}"),
            Kind::ProcessHook(source) => {
                write!(f, "cannot register for the process's end, its forks or its signals: {source}")
            }
            Kind::Config(problem) => f.write_str(problem),
        }
    }
}

/// What to do about an error of the system, where its own words leave that open.
fn advice(source: &io::Error) -> Option<&'static str> {
    if source.raw_os_error() == Some(libc::ELOOP) {
        return Some("links are not followed, name the file itself");
    }
    match source.kind() {
        io::ErrorKind::NotFound => Some("create its directory, or set create_directories"),
        io::ErrorKind::StorageFull => Some("make room, and it goes on by itself"),
        _ => None,
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `fn main() -> Result<(), treering::Error>` prints this: the sentence helps more than the structure.
        fmt::Display::fmt(self, f)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &*self.0 {
            Kind::Io { source, .. } | Kind::ThreadSpawn(source) | Kind::ProcessHook(source) => Some(source),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_one_word_and_goes_everywhere() {
        fn goes_everywhere<T: StdError + Send + Sync + 'static>() {}
        goes_everywhere::<Error>();
        assert_eq!(size_of::<Result<(), Error>>(), size_of::<usize>());
    }

    #[test]
    fn each_kind_answers_to_its_own_predicate_only() {
        let refused = || io::Error::from(io::ErrorKind::PermissionDenied);
        let all = [
            Error::io("open", "a.log", refused()),
            Error::filter("info,=", "no target before `=`"),
            Error::already_running(),
            Error::not_running(),
            Error::on_listener_thread(),
            Error::forked(),
            Error::timeout(),
            Error::config("ring_capacity(12) is below 4096 bytes"),
        ];
        for (position, error) in all.iter().enumerate() {
            let answers = [
                error.is_io(),
                error.is_filter(),
                error.is_already_running(),
                error.is_not_running(),
                error.is_on_listener_thread(),
                error.is_forked(),
                error.is_timeout(),
                error.is_config(),
            ];
            assert_eq!(answers.iter().filter(|&&yes| yes).count(), 1, "{error}");
            assert!(answers[position], "{error}");
        }
        assert!(Error::thread_spawn(refused()).is_io() && Error::process_hook(refused()).is_io());
    }

    #[test]
    fn the_text_carries_the_path_and_says_what_to_do() {
        let missing = Error::io("open", "logs/app.log", io::Error::from_raw_os_error(libc::ENOENT));
        assert_eq!(
            missing.to_string(),
            "cannot open logs/app.log: No such file or directory (os error 2): create its directory, or set create_directories"
        );
        assert!(missing.source().is_some());
        let link = Error::io("open", "app.log", io::Error::from_raw_os_error(libc::ELOOP));
        assert!(link.to_string().contains("links are not followed"));
        assert!(Error::filter("a=b=c", "one `=` too many").to_string().contains("a=b=c"));
    }
}
