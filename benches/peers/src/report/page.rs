//! docs/benchmarks.md.

use std::fmt::Write;

use super::plot;
use crate::results::{Machine, Results, Spread};

/// A figure as a column.
struct Column {
    title: &'static str,
    figure: &'static str,
    show: fn(f64) -> String,
}

const fn column(title: &'static str, figure: &'static str, show: fn(f64) -> String) -> Column {
    Column { title, figure, show }
}

const CALL: Column = column("a call, p50", "call_p50", time);
const CALL_P99: Column = column("p99", "call_p99", time);
const LINES_PER_SECOND: Column = column("million lines/s", "lines_per_second", millions);
const PEAK_MEMORY: Column = column("peak memory", "peak_kib", memory);

const BURSTS: &[Column] = &[
    column("in a burst, p50", "burst_p50", time),
    column("first call, p50", "first_p50", time),
    CALL,
    CALL_P99,
    column("p99.9", "call_p999", time),
];
const SINGLE: &[Column] =
    &[CALL, CALL_P99, column("processor time of the process, a record", "cpu_ns_per_record", time)];
const THROUGHPUT: &[Column] = &[
    LINES_PER_SECOND,
    column("processor time a record", "cpu_ns_per_record", time),
    column("bytes a line", "bytes_per_line", whole),
    PEAK_MEMORY,
    column("lines missing", "missing", whole),
];
const OVERLOAD: &[Column] = &[
    column("offered", "offered", whole),
    column("lines in the file", "lines", whole),
    column("says it lost", "said_lost", whole),
    column("the difference", "unaccounted", whole),
    LINES_PER_SECOND,
    PEAK_MEMORY,
];
const DELAY: &[Column] = &[column("p50", "delay_p50", time), column("p99", "delay_p99", time)];
const DISABLED: &[Column] = &[column("a call, less the loop", "call_p50", time)];
const COUNTS: &[Column] = &[
    column("futex wakes", "wakes_per_1000", whole),
    column("writes", "writes_per_1000", whole),
    column("system calls", "system_calls_per_1000", whole),
    column("allocations", "allocations_per_1000", whole),
];

/// Whether less of a figure is better.
#[derive(Clone, Copy, PartialEq)]
enum Better {
    Less,
    More,
}

struct Section {
    case: &'static str,
    title: &'static str,
    about: &'static str,
    columns: &'static [Column],
    better: Better,
    /// Also comparisons, beside the first column: what "a peer wins" looks at.
    also: &'static [(&'static str, &'static str)],
}

const SECTIONS: &[Section] = &[
    Section {
        case: "burst_numbers_1",
        title: "A call in a burst: two integers and a float",
        about: "Bursts of 20 calls, 2 ms of busy waiting apart, on one thread. Half the bursts are timed as a whole and \
                divided by 20; in the others each call is timed, with some 20 ns of timer in it. What treering's call does that \
                those of quill, xtr, fmtlog and NanoLog do not: [the hot path](hot-path.md#beside-the-engines-in-c).",
        columns: BURSTS,
        better: Better::Less,
        also: &[("the 99th percentile of its calls", "call_p99")],
    },
    Section {
        case: "burst_text_1",
        title: "A string of 40 bytes",
        about: "As above.",
        columns: BURSTS,
        better: Better::Less,
        also: &[("the 99th percentile of its calls", "call_p99")],
    },
    Section {
        case: "burst_fields_1",
        title: "Four fields",
        about: "As above. ftlog, inqjet, log4rs and those in C++ have no fields in their lines; there they are in the \
                message.",
        columns: BURSTS,
        better: Better::Less,
        also: &[("the 99th percentile of its calls", "call_p99")],
    },
    Section {
        case: "burst_numbers_4",
        title: "Four threads: two integers and a float",
        about: "Bursts of 20 calls on each thread, which sleeps 2 ms between them. With fewer than five cores the threads and \
                the logger's own share them: this shows what that does, too.",
        columns: BURSTS,
        better: Better::Less,
        also: &[("the 99th percentile of its calls", "call_p99")],
    },
    Section {
        case: "burst_text_4",
        title: "Four threads: a string of 40 bytes",
        about: "As above.",
        columns: BURSTS,
        better: Better::Less,
        also: &[],
    },
    Section {
        case: "burst_fields_4",
        title: "Four threads: four fields",
        about: "As above.",
        columns: BURSTS,
        better: Better::Less,
        also: &[],
    },
    Section {
        case: "sparse_1ms",
        title: "A call each millisecond",
        about: "The thread sleeps in between, so the processor may, too. After a record treering's listener looks for more \
                for 100 ms, with naps of up to a millisecond, before it parks: callers wake nobody, and that is its processor \
                time. Naps get longer where they find one record or none, but not long behind a record: it looks once or twice for each of these. The threads \
                of fmtlog and xtr never sleep, NanoLog's sleeps for a microsecond: what they save their callers, a processor \
                pays that does nothing else. quill's sleeps 100 µs.",
        columns: SINGLE,
        better: Better::Less,
        also: &[("the processor time of the process", "cpu_ns_per_record")],
    },
    Section {
        case: "sparse_200ms",
        title: "A call each 200 ms",
        about: "Long enough that treering's listener parks: the call wakes it, which is a system call. inqjet's caller wakes \
                nobody, its thread looks each 5 ms.",
        columns: SINGLE,
        better: Better::Less,
        also: &[("the processor time of the process", "cpu_ns_per_record")],
    },
    Section {
        case: "throughput_1",
        title: "To the last byte in the file, one thread",
        about: "From the first call until the logger has ended; calls wait for room. Each line is counted. Python makes a \
                twentieth of the calls. Who waits for room and misses lines all the same gave up at the end: the guard of \
                `tracing-appender` waits for its thread for a second, and says nothing. Calls of quill never wait, as its \
                rings grow: see its memory. NanoLog writes no text: its file has the arguments in binary, of which a program of \
                its own makes the lines later, when somebody wants to read them; they are counted, and their making is not \
                timed. What compares with it is [treering's binary file](binary-file.md).",
        columns: THROUGHPUT,
        better: Better::More,
        also: &[],
    },
    Section {
        case: "throughput_4",
        title: "To the last byte in the file, four threads",
        about: "As above.",
        columns: THROUGHPUT,
        better: Better::More,
        also: &[],
    },
    Section {
        case: "overload",
        title: "More than can be written",
        about: "Two threads that call without a pause, and a logger set up to lose what finds no room (log4rs and NanoLog cannot: \
                the one writes in the call, the other's calls wait). The difference is what was offered, less the lines, less what the logger says it lost: \
                above zero it was lost without a word, below zero the logger says more than it lost. Who says nothing a \
                program could read has no third figure. A logger whose calls are faster offers more a second, and loses more.",
        columns: OVERLOAD,
        better: Better::Less,
        also: &[],
    },
    Section {
        case: "delay",
        title: "From the call to the file",
        about: "A call each 5 ms, whose argument is its time; a reader that never sleeps looks when its line can be read. \
                treering trades this for the caller's time: its listener sleeps 50 µs and more between two looks. spdlog and \
                spdlog-rs keep lines in a buffer until it is full, fmtlog for three seconds or 8 KiB, slog writes each as \
                several pieces. NanoLog's file has no lines to look for.",
        columns: DELAY,
        better: Better::Less,
        also: &[],
    },
    Section {
        case: "disabled",
        title: "A call at a level that is off",
        about: "The fastest of five loops, less the fastest empty one; below a nanosecond it is the compiler's choice of loop.",
        columns: DISABLED,
        better: Better::Less,
        also: &[],
    },
    Section {
        case: "calls_of_the_system",
        title: "System calls and allocations, for 1,000 records",
        about: "Of the whole process, by the kernel's counters, its start and end included, under the bursts of the first \
                table. Allocations are of all threads; Python's are not counted.",
        columns: COUNTS,
        better: Better::Less,
        also: &[("its writes", "writes_per_1000"), ("its system calls", "system_calls_per_1000")],
    },
];

/// Smaller differences are not told of as wins: as a ratio, and in the figure's unit.
const RATIO_MIN: f64 = 1.02;
const DIFFERENCE_MIN: f64 = 1.0;

/// The whole page.
pub fn page(results: &Results) -> String {
    let mut page = String::from("# Benchmarks\n\n");
    let machine = &results.machine;
    let _ = writeln!(
        page,
        "treering beside other loggers. This page is written by a program; whoever runs it gets a page of their own:\n\n\
         ```sh\ncargo run --release --manifest-path benches/peers/Cargo.toml -- all\n```\n"
    );
    let _ = writeln!(
        page,
        "Seen on {} at `{}`: {}, {} cores, Linux {}, {}; {} rounds in {:.0} minutes (`{}`).{}\n",
        machine.date,
        machine.commit,
        machine.processor,
        machine.cores,
        machine.kernel,
        machine.compiler,
        results.rounds,
        results.seconds / 60.0,
        results.command,
        noise(machine)
    );
    let _ = writeln!(page, "## Where a peer wins\n\n{}", wins(results));
    page.push_str(READING);
    page.push_str(&versions(results));
    page.push_str("## At a glance\n\n");
    for (name, alt) in plot::OVERVIEW {
        let _ = writeln!(page, "![{alt}](pictures/{name}.svg)\n");
    }
    for section in SECTIONS {
        let rows = rows(results, section);
        if !rows.is_empty() {
            let _ = writeln!(page, "## {}\n\n{}\n\n{rows}", section.title, section.about);
        }
    }
    page.push_str("## How it scales\n\nCalls in bursts as in the first table, p50 with the quartiles of the rounds.\n\n");
    for curve in plot::CURVES {
        let _ = writeln!(page, "![{}](pictures/{}.svg)\n\n{}\n", curve.title, curve.name, curve.bends);
    }
    page
}

/// A share of the machine above which it was not ours.
const NOISE_MAX: f64 = 0.05;

fn noise(machine: &Machine) -> String {
    let percent = |share: f64| format!("{:.0} %", share * 100.0);
    let shares = format!(
        " Meanwhile other processes used {} of its processor time, and the host {}.",
        percent(machine.others),
        percent(machine.stolen)
    );
    if machine.others + machine.stolen < NOISE_MAX {
        return shares;
    }
    shares + " **It was busy: times are too long and scatter, and only large ratios say something.**"
}

const READING: &str = "\
## How to read it

- Each case and logger is a process of its own. A round runs all loggers of a case one after the other, the next round \
begins with the next logger. A cell is the median of the rounds, then the quartiles. **× treering** is the ratio within a \
round, its median and quartiles: what the machine did to both is out of it.
- Nothing is pinned. Latencies come from every sample, not from histogram buckets. Percentiles of single calls hold the \
timer; p99.9 of a round is of few samples.
- Every line of every file is counted, and compared with what was offered and with what the logger says it lost.
- Lines are not equally long: each logger writes its own layout, with time, level, target and message.
- Those in C++ are built as their own makefiles do it: quill, fmtlog and NanoLog with `-O3`, xtr also with `-march=native` \
and across its files, spdlog as Debian has it; those in Rust as `cargo build --release` does.
- The floor is a bare ring (rtrb): the same bytes and a time stamp, neither levels nor filters nor books nor a file.
- One machine, and its virtual processors: expect other figures on yours, and the same order.

";

fn versions(results: &Results) -> String {
    let mut text = String::from("Versions: ");
    let all: Vec<_> = results.peers.iter().map(|(name, version)| format!("{name} {version}")).collect();
    text.push_str(&all.join(", "));
    text.push_str(". How each is set up stands at the head of its file in `benches/peers/src`.");
    for (name, reason) in &results.absent {
        let _ = write!(text, " {name} did not take part: {reason}.");
    }
    let failed: Vec<_> = results
        .runs
        .iter()
        .filter_map(|run| Some((run, run.failed.as_ref()?)))
        .map(|(run, why)| format!("{} in {} ({why})", run.peer, run.case))
        .collect();
    if !failed.is_empty() {
        let _ = write!(text, " Failed: {}.", failed.join(", "));
    }
    text + "\n\n"
}

/// In plain words: the cases in which somebody is better than treering by more than the rounds differ.
fn wins(results: &Results) -> String {
    let mut lines = String::new();
    for section in SECTIONS.iter().filter(|section| section.case != "overload") {
        let first = (section.columns[0].title, section.columns[0].figure);
        for (words, figure) in std::iter::once(&first).chain(section.also) {
            let winners = winners(results, section, figure);
            if !winners.is_empty() {
                let _ = writeln!(lines, "- {}, {words}, in units of treering's: {winners}.", section.title);
            }
        }
    }
    if lines.is_empty() { "Nowhere in this run.\n".into() } else { lines }
}

/// Who is better than treering, the best first, with the ratios.
fn winners(results: &Results, section: &Section, figure: &str) -> String {
    let peers = results.peers.iter().filter(|(peer, _)| is_a_peer(peer));
    let mut winners: Vec<_> =
        peers.filter_map(|(peer, _)| Some((peer, win(results, section, peer, figure)?))).collect();
    winners.sort_by(|(_, a), (_, b)| a.middle.total_cmp(&b.middle));
    if section.better == Better::More {
        winners.reverse();
    }
    let all: Vec<_> =
        winners.iter().map(|(peer, ratio)| format!("**{peer}** {}", show_ratio(*ratio))).collect();
    all.join(", ")
}

/// The ratio of a peer's figure to treering's, if it is better.
fn win(results: &Results, section: &Section, peer: &str, figure: &str) -> Option<Spread> {
    let ratio = results.ratio(section.case, peer, "treering", figure)?;
    let middle = |name| results.spread(section.case, name, figure).map(|spread| spread.middle);
    let difference = (middle("treering")? - middle(peer)?).abs();
    let is_better = match section.better {
        Better::Less => ratio.high < 1.0 / RATIO_MIN,
        Better::More => ratio.low > RATIO_MIN,
    };
    (is_better && difference >= DIFFERENCE_MIN).then_some(ratio)
}

fn is_a_peer(name: &str) -> bool {
    !["treering", "floor", crate::runner::SCALING].contains(&name)
}

/// The table of a section, the best first; empty if nobody ran it.
fn rows(results: &Results, section: &Section) -> String {
    let compares = section.case != "overload";
    let key = if compares { section.columns[0].figure } else { "unaccounted" };
    let mut peers: Vec<_> = results.peers.iter().map(|(peer, _)| peer.as_str()).collect();
    peers.retain(|peer| {
        section.columns.iter().any(|column| results.spread(section.case, peer, column.figure).is_some())
    });
    if peers.is_empty() {
        return String::new();
    }
    let middle = |peer: &&str| {
        results.spread(section.case, peer, key).map_or(f64::INFINITY, |spread| spread.middle.abs())
    };
    peers.sort_by(|a, b| middle(a).total_cmp(&middle(b)));
    if section.better == Better::More {
        peers.reverse();
    }
    let mut table = String::from("| logger |");
    section.columns.iter().for_each(|column| _ = write!(table, " {} |", column.title));
    table.push_str(if compares { " × treering |\n|---|" } else { "\n|---|" });
    table.push_str(&"---|".repeat(section.columns.len() + usize::from(compares)));
    for peer in peers {
        let _ = write!(table, "\n| {peer} |");
        for column in section.columns {
            let spread = results.spread(section.case, peer, column.figure);
            let _ = write!(table, " {} |", spread.map_or("–".into(), |spread| show(spread, column.show)));
        }
        if compares {
            let ratio = results.ratio(section.case, peer, "treering", key);
            let _ = write!(table, " {} |", ratio.map_or("–".into(), show_ratio));
        }
    }
    table + "\n"
}

fn show(spread: Spread, unit: fn(f64) -> String) -> String {
    let [low, middle, high] = [spread.low, spread.middle, spread.high].map(unit);
    if low == high { middle } else { format!("{middle} ({low} – {high})") }
}

fn show_ratio(ratio: Spread) -> String {
    show(ratio, digits)
}

/// Three digits that count.
fn digits(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => thousands(value),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 0.1 || v == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// Of nanoseconds.
pub(super) fn time(nanos: f64) -> String {
    match nanos.abs() {
        n if n >= 1e6 => format!("{} ms", digits(nanos / 1e6)),
        n if n >= 1e3 => format!("{} µs", digits(nanos / 1e3)),
        _ => format!("{} ns", digits(nanos)),
    }
}

pub(super) fn millions(value: f64) -> String {
    digits(value / 1e6)
}

fn memory(kib: f64) -> String {
    format!("{} MiB", digits(kib / 1024.0))
}

fn whole(value: f64) -> String {
    thousands(value)
}

fn thousands(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    if value <= -0.5 { format!("-{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::results::Run;

    fn results(of: &[(&str, f64)]) -> Results {
        let mut results: Results = serde_json::from_str(include_str!("../empty.json")).unwrap();
        for (peer, value) in of {
            results.peers.push(((*peer).to_owned(), "1".into()));
            let figures =
                BTreeMap::from([("lines_per_second".to_owned(), *value), ("burst_p50".to_owned(), *value)]);
            for case in ["throughput_1", "burst_numbers_1"] {
                let (case, peer, figures) = (case.into(), (*peer).into(), figures.clone());
                results.runs.push(Run { round: 0, case, peer, figures, failed: None });
            }
        }
        results
    }

    #[test]
    fn whoever_is_better_is_named_first() {
        let wins = wins(&results(&[("treering", 2e6), ("floor", 4e6), ("tracing", 3e6), ("ftlog", 1e6)]));
        let lines: Vec<_> = wins.lines().collect();
        assert_eq!(lines.len(), 2, "{wins}");
        assert!(
            lines[0].starts_with("- A call in a burst") && lines[0].ends_with(": **ftlog** 0.50."),
            "{wins}"
        );
        assert!(
            lines[1].starts_with("- To the last byte") && lines[1].ends_with(": **tracing** 1.50."),
            "{wins}"
        );
    }

    #[test]
    fn the_best_stands_on_top() {
        let page = page(&results(&[("treering", 2e6), ("tracing", 3e6)]));
        let place = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text} in {page}"));
        assert!(place("| tracing | 3.00 |") < place("| treering | 2.00 |"), "more lines are better");
        assert!(place("| treering | 2.00 ms |") < place("| tracing | 3.00 ms |"), "less time is better");
    }

    #[test]
    fn figures_have_three_digits_and_a_unit() {
        assert_eq!(["1.23 ns", "45.7 ns", "1.50 µs", "150 ms"], [1.234, 45.67, 1500.0, 150e6].map(time));
        assert_eq!([thousands(1_234_567.0), thousands(-12.0)], ["1,234,567", "-12"]);
    }
}
