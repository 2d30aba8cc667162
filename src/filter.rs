//! Filters: `RUST_LOG` directives, for an engine and for single handlers, and predicates on fields.
//!
//! A handler's filter is any function of a record, given to [`Handler::filter`](crate::handler::Handler::filter); here
//! are some that are wanted often. They are functions too, so `&&`, `||` and `!` make one of several.
//!
//! ```
//! # fn main() -> Result<(), treering::Error> {
//! use treering::handler::{Capture, Handler};
//! use treering::{Level, filter};
//!
//! let ours = filter::directives("off,my_server=debug,my_server::noisy=off")?;
//! let broken = filter::field("status", |status| status.as_u64() >= Some(500));
//! let builder = treering::builder()
//!     .handler(Capture::new().filter(move |record| ours(record) || broken(record)))
//!     .handler(Capture::new().filter(|record| record.level() <= Level::Warn));
//! # Ok(())
//! # }
//! ```
//!
//! **Directives** are `level`, `target=level` and `target`, separated by commas. One counts for its target and everything
//! whose name begins with it; where several count, the longest target wins, and of equal ones the last. What none counts
//! for is off.

use std::ffi::OsStr;

use crate::callsite::{Metadata, Verdict};
use crate::error::Error;
use crate::level::{Level, LevelFilter};
use crate::record::{Record, Value};
#[cfg(not(treering_loom))]
use crate::sync::Mutex;

/// What passes where no directive says otherwise.
const DEFAULT: Level = Level::Info;

/// A filter that passes what these directives pass, as [`Builder::filter`](crate::Builder::filter) says.
///
/// Cost: a comparison of levels where all directives agree on a level; else the record's target is compared with those of
/// the directives, the longest first.
///
/// # Errors
/// [`is_filter`](Error::is_filter), with the first directive that does not parse.
///
/// ```
/// use treering::handler::{Console, Handler};
/// let handler = Console::stderr().filter(treering::filter::directives("warn,my_server::db=debug")?);
/// # Ok::<(), treering::Error>(())
/// ```
pub fn directives(directives: &str) -> Result<impl Fn(&Record<'_>) -> bool + Send + use<>, Error> {
    let filter = Filter::parse(directives)?;
    let levels = || filter.directives.iter().map(|directive| directive.level);
    // Levels that no target is wanted at, and those that all are.
    let most_verbose = levels().max().unwrap_or(LevelFilter::OFF);
    let of_all = levels().min().filter(|_| filter.is_general()).unwrap_or(LevelFilter::OFF);
    Ok(move |record: &Record<'_>| {
        let level = record.level();
        let is_wanted = || filter.level_of(record.target()).allows(level);
        most_verbose.allows(level) && (of_all.allows(level) || is_wanted())
    })
}

/// A filter that passes records which have a field of this name, the first of which has a value that is `wanted`.
///
/// ```
/// use treering::{filter, handler::{Capture, Handler}};
///
/// let capture = Capture::new();
/// let broken = filter::field("status", |status| status.as_u64() >= Some(500));
/// let (logger, guard) = treering::builder().handler(capture.clone().filter(broken)).start()?;
/// treering::info!(logger: logger, status = 200, "fine");
/// treering::info!(logger: logger, status = 503, "overloaded");
/// treering::info!(logger: logger, "no status");
/// drop(guard);
/// assert_eq!(capture.records().len(), 1);
/// assert_eq!(capture.records()[0].message(), "overloaded");
/// # Ok::<(), treering::Error>(())
/// ```
pub fn field<W>(name: &str, wanted: W) -> impl Fn(&Record<'_>) -> bool + Send + use<W>
where
    W: Fn(Value<'_>) -> bool + Send,
{
    let name = name.to_owned();
    move |record: &Record<'_>| record.field(&name).is_some_and(|field| wanted(field.value()))
}

/// Parsed directives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Filter {
    /// The longest target first; the one without a target, if any, is last.
    directives: Vec<Directive>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Directive {
    target: String,
    level: LevelFilter,
}

impl Filter {
    /// # Errors
    /// Names the first directive that does not parse.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let (filter, errors) = Filter::parse_leniently(text);
        errors.into_iter().next().map_or(Ok(filter), Err)
    }

    /// The filter that an environment variable asks for, and what its author is to be told. A typo must neither keep
    /// a server from starting nor turn its errors off unheard: what does not parse is left out, and if nothing is
    /// left, `info` it is. `of_spans`: somebody else has the directives of spans and fields, and found this wrong with them.
    pub(crate) fn of_environment(value: &OsStr, of_spans: Option<Vec<String>>) -> (Self, Vec<String>) {
        let Some(text) = value.to_str() else {
            return (Filter::default(), vec![format!("{value:?} is not UTF-8, so `{DEFAULT}` counts")]);
        };
        let text = if of_spans.is_some() { without_spans(text) } else { text.to_owned() };
        let (filter, errors) = Filter::parse_leniently(&text);
        let errors = errors.iter().map(ToString::to_string);
        let notes = errors.chain(misspelt(&text, &filter)).chain(of_spans.into_iter().flatten()).collect();
        (filter, notes)
    }

    /// The directives that parse, or the default if none does, and what is wrong with the others.
    fn parse_leniently(text: &str) -> (Self, Vec<Error>) {
        let mut directives: Vec<Directive> = Vec::new();
        let mut errors = Vec::new();
        for part in parts(text) {
            match Directive::parse(part) {
                Ok(directive) => {
                    directives.retain(|known| known.target != directive.target);
                    directives.push(directive);
                }
                Err(problem) => errors.push(Error::filter(part, problem)),
            }
        }
        if directives.is_empty() {
            return (Filter::default(), errors);
        }
        directives.sort_by_key(|directive| std::cmp::Reverse(directive.target.len()));
        (Filter { directives }, errors)
    }

    /// Whether a directive counts for all targets.
    fn is_general(&self) -> bool {
        self.directives.last().is_some_and(|directive| directive.target.is_empty())
    }

    /// The most verbose level that is wanted of a target.
    fn level_of(&self, target: &str) -> LevelFilter {
        let directive = self.directives.iter().find(|directive| target.starts_with(&directive.target));
        directive.map_or(LevelFilter::OFF, |directive| directive.level)
    }
}

impl Verdict for Filter {
    fn allows(&self, metadata: &Metadata<'_>) -> bool {
        self.level_of(metadata.target).allows(metadata.level)
    }

    fn most_verbose(&self) -> LevelFilter {
        self.directives.iter().map(|directive| directive.level).max().unwrap_or(LevelFilter::OFF)
    }
}

impl Default for Filter {
    fn default() -> Self {
        Filter { directives: vec![Directive { target: String::new(), level: DEFAULT.into() }] }
    }
}

/// What whoever has the directives of spans and fields found wrong with them; `None` as long as nobody has.
#[cfg(not(treering_loom))]
static OF_SPANS: Mutex<Option<Vec<String>>> = Mutex::new(None);

/// Somebody has the environment's directives of spans and fields, and found this wrong with them.
#[cfg(not(treering_loom))]
pub(crate) fn take_spans(notes: Vec<String>) {
    *OF_SPANS.lock() = Some(notes);
}

/// What was found wrong with them, if somebody has them.
#[cfg(not(treering_loom))]
pub(crate) fn spans_taken() -> Option<Vec<String>> {
    OF_SPANS.lock().clone()
}

fn is_of_spans(directive: &str) -> bool {
    directive.contains(['[', ']', '{', '}'])
}

/// What of these directives is not of spans and fields. Where all of them are, they pass nothing but by spans.
pub(crate) fn without_spans(text: &str) -> String {
    let plain: Vec<_> = parts(text).filter(|part| !is_of_spans(part)).collect();
    if plain.is_empty() && parts(text).next().is_some() { "off".to_owned() } else { plain.join(",") }
}

/// Between commas, but for those inside of brackets.
pub(crate) fn parts(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0;
    let parts = text.split(move |c: char| {
        depth += i32::from(c == '[') - i32::from(c == ']');
        c == ',' && depth <= 0
    });
    parts.map(str::trim).filter(|part| !part.is_empty())
}

/// A word that is legal as a target but may be a misspelt level: one that looks like a level, or any where everything
/// outside the targets is off.
fn misspelt(text: &str, filter: &Filter) -> Option<String> {
    let is_target = |part: &&str| Directive::parse(part).is_ok_and(|directive| directive.target == **part);
    let word = parts(text).filter(|part| !part.contains("::") && is_target(part)).find(|part| {
        let last = part.rsplit(':').next().unwrap_or(part);
        !filter.is_general() || Level::ALL.iter().any(|level| is_near(last, level.as_str()))
    })?;
    let others = if filter.is_general() { "" } else { "what no target matches is off; " };
    Some(format!(
        "`{word}` is no level, so it is taken for a target, all of whose levels pass; {others}\
         `{word}=trace` says the same without this note"
    ))
}

/// Whether one letter too much, too few or wrong, or two that changed places, is all that tells them apart.
fn is_near(word: &str, level: &str) -> bool {
    let word = word.to_ascii_uppercase();
    let (word, level) = (word.as_bytes(), level.as_bytes());
    let equal = |(a, b): &(&u8, &u8)| a == b;
    let begin = word.iter().zip(level).take_while(equal).count();
    let (word, level) = (&word[begin..], &level[begin..]);
    let end = word.iter().rev().zip(level.iter().rev()).take_while(equal).count();
    match (&word[..word.len() - end], &level[..level.len() - end]) {
        ([] | [_], [] | [_]) => true,
        ([a, b], [c, d]) => (a, b) == (d, c),
        _ => false,
    }
}

impl Directive {
    fn parse(text: &str) -> Result<Self, &'static str> {
        const NO_LEVEL: &str = "the level must be one of off, error, warn, info, debug, trace";
        const NO_TARGET: &str = "a target is a path such as my_server::db";
        const OF_SPANS: &str = "spans and fields are for events of `tracing`: `with_env_filter` of treering-tracing's layer has them";
        if is_of_spans(text) {
            return Err(OF_SPANS);
        }
        if let Some((target, level)) = text.split_once('=') {
            let level = level.trim().parse().map_err(|_| NO_LEVEL)?;
            let target = target.trim();
            return if is_target(target) {
                Ok(Directive { target: target.into(), level })
            } else {
                Err(NO_TARGET)
            };
        }
        match text.parse() {
            Ok(level) => Ok(Directive { target: String::new(), level }),
            Err(_) if is_target(text) => Ok(Directive { target: text.into(), level: LevelFilter::ALL }),
            Err(_) => Err(NO_TARGET),
        }
    }
}

/// Regular expressions, and other signs between directives, are refused rather than misread.
fn is_target(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || "/=\";".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(filter: &str, target: &'static str, level: Level) -> bool {
        Filter::parse(filter).unwrap().allows(&Metadata {
            level,
            target,
            module_path: "",
            file: "",
            line: 0,
            instance: false,
            pieces: &[],
            fields: &[],
        })
    }

    #[test]
    fn the_longest_target_wins() {
        let filter = "warn,my_server=info,my_server::db=debug,my_server::db::pool=off";
        assert!(!allows(filter, "hyper", Level::Info));
        assert!(allows(filter, "my_server::http", Level::Info));
        assert!(!allows(filter, "my_server::http", Level::Debug));
        assert!(allows(filter, "my_server::db", Level::Debug));
        assert!(!allows(filter, "my_server::db::pool", Level::Error));
    }

    #[test]
    #[cfg(feature = "log")]
    fn directives_mean_what_they_mean_to_env_logger() {
        const TARGETS: [&str; 7] = ["a", "app", "app::db", "app::db::pool", "apple", "hyper::proto", "other"];
        const TABLE: [&str; 16] = [
            "error",
            "off",
            "INFO",
            "warn,app=debug",
            "app=debug,warn",
            "app::db=trace",
            "app",
            "app::db,hyper=off,info",
            "app=info,app::db=off,app::db::pool=trace",
            "info,app=warn,app=trace",
            "info,debug",
            " warn , app::db=debug ",
            "warn,,app=debug",
            "trace,app=off",
            "a=error",
            "hyper::proto=Debug,off",
        ];
        for directives in TABLE {
            let theirs = env_filter::Builder::new().try_parse(directives).unwrap().build();
            for (target, level) in
                TARGETS.into_iter().flat_map(|target| Level::ALL.map(|level| (target, level)))
            {
                let of_log = level.as_str().parse().unwrap();
                let metadata = log::Metadata::builder().target(target).level(of_log).build();
                let expected = theirs.enabled(&metadata);
                assert_eq!(allows(directives, target, level), expected, "{directives}: {target} {level}");
            }
        }
    }

    #[test]
    fn a_target_alone_passes_everything_and_without_a_directive_nothing_passes() {
        assert!(allows("noisy", "noisy::part", Level::Trace));
        assert!(!allows("noisy", "other", Level::Error));
        assert!(!allows("off", "other", Level::Error));
    }

    #[test]
    fn an_empty_filter_is_info() {
        assert!(allows("", "any", Level::Info));
        assert!(!allows(" ", "any", Level::Debug));
    }

    #[test]
    fn of_equal_targets_the_last_counts() {
        assert!(allows("info,debug", "any", Level::Debug));
        assert!(!allows("a=trace,a=warn", "a", Level::Info));
    }

    #[test]
    fn what_is_wrong_is_named_and_the_rest_still_counts() {
        let text = "info,my::db=loud,a[b{c=1,d=2}]=debug,x;y=info,other=trace";
        let (filter, errors) = Filter::parse_leniently(text);
        let texts: Vec<_> = errors.iter().map(ToString::to_string).collect();
        let expected = [
            ("my::db=loud", "off, error, warn"),
            ("a[b{c=1,d=2}]=debug", "with_env_filter"),
            ("x;y=info", "a path"),
        ];
        assert_eq!(texts.len(), expected.len(), "{texts:?}");
        for (text, (directive, problem)) in texts.iter().zip(expected) {
            assert!(text.contains(&format!("`{directive}`")) && text.contains(problem), "{text}");
        }
        assert_eq!(filter, Filter::parse("info,other=trace").unwrap());
        assert!(Filter::parse("a[b]=info").is_err());
        assert!(Filter::parse("=info").is_err());
        assert!(Filter::parse("info,,").is_ok());
    }

    #[test]
    fn directives_of_spans_are_left_to_who_has_them() {
        for (text, plain) in [
            ("info,[a{b=1,c=2}]=debug,app=warn", "info,app=warn"),
            ("app[a]=trace", "off"),
            ("", ""),
            ("info", "info"),
        ] {
            assert_eq!(without_spans(text), plain);
        }
        let text = "[a{b=1,c=2}]=debug,my::db=loud,warn";
        let (filter, notes) = Filter::of_environment(text.as_ref(), Some(vec!["theirs".to_owned()]));
        assert_eq!(filter, Filter::parse("warn").unwrap());
        assert!(notes.len() == 2 && notes[0].contains("my::db=loud") && notes[1] == "theirs", "{notes:?}");
    }

    #[test]
    fn where_nothing_parses_the_default_counts() {
        for text in ["my::db=loud", "a[b]=info,=", ",", " , "] {
            let (filter, errors) = Filter::parse_leniently(text);
            assert_eq!(filter, Filter::default(), "{text}");
            assert_eq!(!errors.is_empty(), text.contains('='), "{text}");
        }
    }

    #[test]
    fn a_word_that_may_be_a_misspelt_level_is_told_of() {
        let notes = |text: &str| Filter::of_environment(text.as_ref(), None).1;
        for text in ["inof", "my_server::db=debug,inof", "inof,hyper=warn", "info,inof", "inof,Debug"] {
            let notes = notes(text);
            assert_eq!(notes.len(), 1, "{text}");
            assert!(notes[0].contains("`inof` is no level"), "{notes:?}");
        }
        let quiet =
            ["", "off", "info,my_server", "my_server,warn", "my_server=trace", "my_server::db", "a::b=info"];
        for text in quiet {
            assert_eq!(notes(text), [""; 0], "{text}");
        }
        assert_eq!(notes("inof,a=loud,b=loud").len(), 3, "two errors and a note");
        for (text, noted) in [("info,debgu", 1), ("info,eror", 1), ("info,hyper:debug", 1), ("info,main", 0)]
        {
            assert_eq!(notes(text).len(), noted, "{text}");
        }
    }

    #[test]
    fn an_environment_that_is_not_utf_8_is_told_of_and_counts_as_the_default() {
        use std::os::unix::ffi::OsStrExt;
        let (filter, notes) = Filter::of_environment(OsStr::from_bytes(b"debug\xff"), None);
        assert_eq!(filter, Filter::default());
        assert_eq!(notes.len(), 1);
        assert!(notes[0].contains("not UTF-8"), "{notes:?}");
    }
}
