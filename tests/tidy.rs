//! The house rules that no compiler checks: ranks, doors, versions, links, and the tests that a table names.
//!
//! The ranks are read from the table in docs/architecture.md, which is the only place where they stand. Sources are
//! read as text: comments, doc comments and strings are blanked first, and so is what follows `#[cfg(test)]`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Sources that may name what [`DOORS`] keeps to a few modules, beside those modules themselves.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("src/callsite/dictionary.rs", "std::sync::OnceLock", "chunks are made once, under the dictionary lock"),
    ("src/engine.rs", "std::thread::Builder", "not modelled: the listener's thread itself"),
    ("src/global.rs", "std::thread::panicking", "a question, no concurrency"),
    ("src/process.rs", "std::sync::Weak", "not modelled: whether an engine is gone"),
    ("src/global.rs", "std::thread::current", "a name, no concurrency"),
    ("src/logger/place.rs", "std::sync::Weak", "not modelled: whether an engine is gone"),
    ("src/logger/place.rs", "std::thread::current", "a name, no concurrency"),
    ("src/logger/place.rs", "std::thread::panicking", "a question, no concurrency"),
    ("src/queue/channel.rs", "std::sync::PoisonError", "not modelled: a lock of std's"),
    ("src/queue/channel.rs", "std::sync::RwLock", "not modelled: readers that do not wait for each other"),
    ("src/queue/channel.rs", "std::sync::mpsc", "not modelled: the channel itself"),
    ("src/queue/conformance/probe.rs", "std::sync::mpsc", "not modelled: a suite for queues"),
    ("src/queue/conformance/probe.rs", "std::thread::Builder", "not modelled: a suite for queues"),
    ("src/queue/conformance/probe.rs", "std::thread::sleep", "not modelled: a suite for queues"),
    ("src/record/encode/leaves.rs", "std::sync::Arc", "the user's own `Arc`, as an argument"),
    ("src/clock.rs", "std::sync::LazyLock", "under the models only: a clock that stands still"),
    ("src/ring/twin.rs", "UnsafeCell", "under the models only: loom's, by way of `sync`"),
];

/// What only these modules name.
const DOORS: &[(&[&str], &[&str])] = &[
    (&["sync"], &["std::sync::", "core::sync::", "std::thread::", "UnsafeCell", "loom::"]),
    (&["clock"], &["Instant::now", "SystemTime::now"]),
    (&["os"], &["println!", "print!", "eprintln!", "eprint!", "dbg!", "libc::write", "libc::syscall"]),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All files below a directory whose names end so, relative to the root, in order.
fn files(below: &str, ending: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut directories = vec![root().join(below)];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.to_str().unwrap().ends_with(ending) {
                found.push(path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// A source without comments, strings, and what is compiled for tests only. Lines stay where they were.
fn code(path: &str) -> String {
    let source = blank(&read(path));
    let mut lines = Vec::new();
    // A `#[cfg(test)]` hides the item after it, to the brace or the semicolon that closes it.
    let mut hidden: Option<i32> = None;
    for line in source.lines() {
        if let Some(depth) = &mut hidden {
            let opens = line.matches('{').count() as i32;
            *depth += opens - line.matches('}').count() as i32;
            let is_over =
                *depth == 0 && (opens > 0 || line.contains('}') || line.contains(';') || line.ends_with(','));
            lines.push("");
            if is_over {
                hidden = None;
            }
        } else if line.trim() == "#[cfg(test)]" {
            hidden = Some(0);
            lines.push("");
        } else {
            lines.push(line);
        }
    }
    lines.join("\n")
}

/// Blanks comments, string literals and character literals.
fn blank(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(next) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(length) = raw_string(rest).filter(|_| !out.ends_with(is_of_a_word)) {
            length
        } else if next == '"' {
            string(rest)
        } else if next == '\'' {
            character(rest)
        } else {
            out.push(next);
            rest = &rest[next.len_utf8()..];
            continue;
        };
        let (blanked, after) = rest.split_at(length);
        out.extend(blanked.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        rest = after;
    }
    out
}

fn is_of_a_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The length of the raw string that `text` begins with.
fn raw_string(text: &str) -> Option<usize> {
    let hashes = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let count = hashes.len() - hashes.trim_start_matches('#').len();
    let content = hashes[count..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(count));
    Some(text.len() - content.len() + content.find(&end)? + end.len())
}

/// The length of the string that `text` begins with.
fn string(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '"' if !is_escaped => return at + 1,
            _ => is_escaped = c == '\\' && !is_escaped,
        }
    }
    text.len()
}

/// The length of the character literal that `text` begins with; of a lifetime, that of its quote.
fn character(text: &str) -> usize {
    let inner = &text[1..];
    match inner.chars().next() {
        Some('\\') => inner[2..].find('\'').map_or(1, |end| end + 4),
        Some(c) if inner[c.len_utf8()..].starts_with('\'') => c.len_utf8() + 2,
        _ => 1,
    }
}

/// The module of the first level that a source belongs to.
fn module(path: &str) -> &str {
    let inside = path.strip_prefix("src/").unwrap();
    inside.split_once('/').map_or_else(|| inside.strip_suffix(".rs").unwrap(), |(module, _)| module)
}

/// All places where `needle` stands and is not the end of a longer word, with what follows it.
fn places<'a>(code: &'a str, needle: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
    code.match_indices(needle)
        .filter(|(at, _)| !code[..*at].ends_with(is_of_a_word))
        .map(|(at, _)| (code[..at].matches('\n').count() + 1, &code[at + needle.len()..]))
}

/// Names that begin a path: `a::b` gives `a`, `{a::b, c}` gives `a` and `c`.
fn heads(path: &str) -> Vec<&str> {
    let word = |text: &str| text.find(|c: char| !is_of_a_word(c)).unwrap_or(text.len());
    let Some(group) = path.strip_prefix('{') else { return vec![&path[..word(path)]] };
    let mut depth = 0;
    let mut heads = Vec::new();
    let mut is_head = true;
    for (at, c) in group.char_indices() {
        match c {
            '}' if depth == 0 => break,
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => is_head = true,
            _ if is_head && is_of_a_word(c) => {
                heads.push(&group[at..at + word(&group[at..])]);
                is_head = false;
            }
            _ => {}
        }
    }
    heads
}

/// The table in docs/architecture.md.
fn ranks() -> BTreeMap<String, u32> {
    let text = read("docs/architecture.md");
    let rows = text.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        let rank = cells.next()?.parse().ok()?;
        Some((cells.next()?.trim_matches('`').to_owned(), rank))
    });
    rows.collect()
}

#[test]
fn every_module_has_a_rank_and_uses_lower_ones_only() {
    let ranks = ranks();
    let sources = files("src", ".rs");
    let modules: BTreeSet<_> =
        sources.iter().map(|path| module(path)).filter(|name| *name != "lib").collect();
    let unranked: Vec<_> = modules.into_iter().filter(|name| !ranks.contains_key(*name)).collect();
    assert!(unranked.is_empty(), "the table in docs/architecture.md does not know {unranked:?}");
    // What `lib.rs` re-exports is the user's name for it; in here a module is named where it stands.
    let mut faults = Vec::new();
    for path in sources.iter().filter(|path| module(path) != "lib") {
        let (here, code) = (module(path), code(path));
        for (line, rest) in places(&code, "crate::") {
            for used in heads(rest).into_iter().filter(|used| *used != here) {
                match ranks.get(used) {
                    Some(rank) if *rank < ranks[here] => {}
                    Some(rank) => faults.push(format!(
                        "{path}:{line}: `{here}` has rank {} and uses `{used}` of rank {rank}",
                        ranks[here]
                    )),
                    // The expansion of macros names these, from wherever the user calls them.
                    None if ["__private", "__log", "__context", "__enabled"].contains(&used) => {}
                    None => faults.push(format!("{path}:{line}: `crate::{used}` is no module of the table")),
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn concurrency_time_and_output_have_one_door_each() {
    let mut faults = Vec::new();
    let mut used = BTreeSet::new();
    for path in files("src", ".rs").iter().filter(|path| !is_for_tests(path)) {
        let code = code(path);
        for (doors, names) in DOORS {
            if doors.contains(&module(path)) {
                continue;
            }
            for name in *names {
                for (line, rest) in places(&code, name) {
                    let full: Vec<_> = heads(rest).iter().map(|head| format!("{name}{head}")).collect();
                    for full in if name.ends_with("::") { full } else { vec![(*name).to_owned()] } {
                        match EXCEPTIONS.iter().find(|(file, what, _)| file == path && *what == full) {
                            Some(exception) => drop(used.insert(*exception)),
                            None => faults.push(format!("{path}:{line}: {full} is for {doors:?} alone")),
                        }
                    }
                }
            }
        }
    }
    let all: BTreeSet<_> = EXCEPTIONS.iter().copied().collect();
    faults.extend(all.difference(&used).map(|unused| format!("nobody needs the exception {unused:?}")));
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Tests, what only they use, and what the models see of the engine.
fn is_for_tests(path: &str) -> bool {
    module(path) == "internals"
        || path.ends_with("/tests.rs")
        || path.ends_with("/testing.rs")
        || path.contains("/tests/")
}

#[test]
fn the_version_heads_the_changelog() {
    let manifest = read("Cargo.toml");
    let version =
        manifest.lines().find_map(|line| line.strip_prefix("version = ")).unwrap().trim_matches('"');
    let changelog = read("CHANGELOG.md");
    let first = changelog.lines().find_map(|line| line.strip_prefix("## ")).unwrap();
    assert!(first.split_whitespace().next() == Some(version), "{first} heads the changelog of {version}");
}

#[test]
fn every_model_is_listed() {
    let models = files("loom-tests/tests", ".rs");
    if models.is_empty() {
        return; // a package without loom-tests
    }
    let list = read("loom-tests/README.md");
    let names = models.iter().map(|path| Path::new(path).file_stem().unwrap().to_str().unwrap());
    let missing: Vec<_> = names.filter(|name| !list.contains(name)).collect();
    assert!(missing.is_empty(), "loom-tests/README.md does not tell of {missing:?}");
}

#[test]
fn every_mutant_is_tried_and_told_of() {
    let pairs = "loom-tests/mutants.txt";
    if !root().join(pairs).exists() {
        return; // a package without loom-tests
    }
    let (pairs, list) = (read(pairs), read("loom-tests/README.md"));
    let pairs = pairs.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let pairs: Vec<[&str; 3]> =
        pairs.map(|line| Vec::from_iter(line.split_whitespace()).try_into().expect(line)).collect();
    let tried: BTreeSet<_> = pairs.iter().map(|[mutant, ..]| (*mutant).to_owned()).collect();
    let sources: String = files("src", ".rs").iter().map(read).collect();
    let compiled = ["treering_mutant = \"", "unless \""].into_iter().flat_map(|before| {
        sources.match_indices(before).map(|(at, _)| sources[at + before.len()..].split('"').next().unwrap())
    });
    assert_eq!(tried, compiled.map(str::to_owned).collect());
    let is_told = |[mutant, _, model]: &&[&str; 3]| {
        let row = list.lines().find(|line| line.starts_with(&format!("| `{model}`")));
        row.is_some_and(|row| row.contains(&format!("`{mutant}`")))
    };
    let untold: Vec<_> = pairs.iter().filter(|pair| !is_told(pair)).collect();
    assert!(untold.is_empty(), "loom-tests/README.md does not tell of {untold:?}");
}

#[test]
fn every_link_leads_to_a_file() {
    let mut faults = Vec::new();
    let mut pages = files("docs", ".md");
    pages.extend(["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "loom-tests/README.md"].map(str::to_owned));
    for page in pages.iter().filter(|page| root().join(page).exists()) {
        let text = read(page);
        for (at, _) in text.match_indices("](") {
            let aim = &text[at + 2..][..text[at + 2..].find(')').unwrap()];
            if aim.contains("://") {
                continue;
            }
            let (file, anchor) = aim.split_once('#').unwrap_or((aim, ""));
            let directory = Path::new(page).parent().unwrap();
            let path = if file.is_empty() { PathBuf::from(page) } else { directory.join(file) };
            if !root().join(&path).exists() {
                faults.push(format!("{page}: {aim} leads nowhere"));
            } else if !anchor.is_empty() && !anchors(&read(&path)).contains(anchor) {
                faults.push(format!("{page}: {aim}: no such heading"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The anchors that GitHub makes of a page's headings.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings =
        page.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let anchor = |heading: &str| {
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.collect::<String>().to_lowercase().replace(' ', "-")
    };
    headings.map(anchor).collect()
}

/// docs/memory-ordering.md tells of every atomic by the name of its field.
#[test]
fn every_atomic_is_told_of() {
    let page = read("docs/memory-ordering.md");
    let mut faults = Vec::new();
    for path in files("src", ".rs").iter().filter(|path| !is_for_tests(path) && module(path) != "sync") {
        for line in code(path).lines().filter(|line| line.contains(": Atomic")) {
            let before = &line[..line.find(": Atomic").unwrap()];
            let name = before.rsplit(|c: char| !is_of_a_word(c)).next().unwrap();
            if !page.contains(&format!("`{name}`")) {
                faults.push(format!("{path}: {name}"));
            }
        }
    }
    assert!(faults.is_empty(), "docs/memory-ordering.md does not tell of\n{}", faults.join("\n"));
}

/// docs/guarantees.md says of each end of a process which test shows it, and tests/exits.rs has no others.
#[test]
fn the_table_of_ends_names_its_tests() {
    let faults = untold_ends(&read("docs/guarantees.md"), &read("tests/exits.rs"));
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Where the tables of ends on this page and the tests of this source differ.
fn untold_ends(page: &str, source: &str) -> Vec<String> {
    let (named, written) = (named_tests(page, "### Ends of a process"), tests(source));
    let missing = named.difference(&written).map(|test| format!("tests/exits.rs has no test `{test}`"));
    let untold = written.difference(&named).map(|test| format!("docs/guarantees.md does not name `{test}`"));
    missing.chain(untold).collect()
}

/// The names in the last column of the tables between this heading and the next one.
fn named_tests<'a>(page: &'a str, heading: &str) -> BTreeSet<&'a str> {
    let section = page.lines().skip_while(|line| *line != heading).skip(1);
    let rows = section.take_while(|line| !line.starts_with('#')).filter_map(|line| line.strip_suffix('|'));
    // Every second piece stands between backticks.
    rows.flat_map(|row| row.rsplit('|').next().unwrap().split('`').skip(1).step_by(2)).collect()
}

/// The names of a source's tests.
fn tests(source: &str) -> BTreeSet<&str> {
    let heads = source.split("#[test]\nfn ").skip(1);
    heads.map(|head| &head[..head.find('(').unwrap()]).collect()
}

mod the_checks_can_fail {
    use super::*;

    #[test]
    fn a_table_and_tests_that_differ_are_found() {
        let page =
            "### Ends of a process\n| `exit` | 0 | `one`, `two` |\n| none | | |\n### Next\n| `three` |\n";
        assert!(untold_ends(page, "#[test]\nfn one() {}\n#[test]\nfn two() {}\nfn helper() {}").is_empty());
        let faults = untold_ends(page, "#[test]\nfn one() {}\n#[test]\nfn three() {}");
        assert_eq!(
            faults,
            ["tests/exits.rs has no test `two`", "docs/guarantees.md does not name `three`"],
            "one side each"
        );
    }

    #[test]
    fn comments_and_strings_are_no_code() {
        let blanked =
            blank("a // crate::x\nb \"crate::y\\\"\" r#\"crate::z\"# '\"' 'l c /* crate:: */ d '\\'' e");
        assert!(!blanked.contains("crate"), "{blanked}");
        let words: Vec<_> = blanked.split_whitespace().collect();
        assert_eq!(words, ["a", "b", "l", "c", "d", "e"]);
    }

    #[test]
    fn groups_name_each_of_their_heads() {
        assert_eq!(heads("a::b::{c, d};"), ["a"]);
        assert_eq!(heads("{a::{b, c}, d, e::f as g};"), ["a", "d", "e"]);
    }

    #[test]
    fn code_is_found_where_it_stands() {
        let found: Vec<_> = places("x\ncrate::a\n$crate::b scrate::c", "crate::").collect();
        assert_eq!(
            found.iter().map(|(line, rest)| (*line, heads(rest)[0])).collect::<Vec<_>>(),
            [(2, "a"), (3, "b")]
        );
    }

    #[test]
    fn headings_become_anchors() {
        assert!(anchors("## What is `delivered`, when?").contains("what-is-delivered-when"));
    }
}
