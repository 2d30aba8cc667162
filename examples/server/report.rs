//! The page that is printed at the end.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};
use std::ops::Range;
use std::time::Duration;

use hdrhistogram::Histogram;
use treering::Report;

use crate::client::Answers;
use crate::cost::{self, Cost};
use crate::options::Options;
use crate::service::{FOREIGN_LINES, FOREIGN_SPAN_RECORDS};
use crate::tally::Tally;
use crate::{PATIENCE, WARM_UP_REQUESTS};

/// The longest bar of the histogram, in columns.
const BAR_COLUMNS: f64 = 40.0;
/// Where bars begin within each power of ten.
const BAR_STEPS: [u64; 6] = [10, 15, 20, 30, 50, 70];

/// One round: the same requests, with logging on or off.
#[derive(Debug)]
pub(crate) struct Round {
    pub(crate) logging: bool,
    pub(crate) answers: Answers,
    pub(crate) took: Duration,
    /// The log calls in it.
    pub(crate) samples: Range<usize>,
}

/// All that was seen.
#[derive(Debug)]
pub(crate) struct Outcome<'a> {
    pub(crate) options: &'a Options,
    pub(crate) rounds: &'a [Round],
    pub(crate) cost: &'a Cost,
    pub(crate) books: &'a Report,
    pub(crate) file: &'a Tally,
}

impl Outcome<'_> {
    /// Prints it. Returns whether every record arrived.
    pub(crate) fn print(&self, page: &mut Page) -> io::Result<bool> {
        self.print_books(page)?;
        self.print_cost(page)?;
        self.print_rates(page)?;
        page.line("")?;
        let faults = self.faults();
        for fault in &faults {
            page.line(format_args!("{}: {fault}", page.red("FAILED")))?;
        }
        if faults.is_empty() {
            page.line(format_args!("{}: every record arrived, once.", page.green("OK")))?;
        }
        page.line(format_args!("{}", self.options.file.display()))?;
        Ok(faults.is_empty())
    }

    fn print_books(&self, page: &mut Page) -> io::Result<()> {
        let (books, file) = (self.books, self.file);
        let (off, on) = (self.answers(false), self.answers(true));
        page.heading("The books")?;
        let sent = off.total() + on.total() + WARM_UP_REQUESTS;
        let over =
            format_args!("over {} connections, {} of them logged", self.options.connections, on.total());
        page.row("requests", sent, over)?;
        let [logged, warned, failed] = [on.total(), on.not_found, on.unavailable].map(grouped);
        let foreign = grouped(foreign_lines(&on));
        let macros =
            format_args!("{logged} info!, {warned} warn!, {failed} error!, {foreign} by tracing and log");
        page.row("log calls", calls(&on), macros)?;
        page.row("submitted", books.submitted, "")?;
        page.row(
            "dispatched",
            books.dispatched,
            format_args!("{} of them open or close spans", grouped(books.span_records)),
        )?;
        let policy = format_args!("Overflow::block({PATIENCE:?}): a full ring waits before it loses");
        page.row("dropped", books.dropped, policy)?;
        page.row("late", books.late, "")?;
        let (bytes, ids) = (file.bytes as f64 / 1e6, grouped(file.ids));
        let read = format_args!("read back: {bytes:.1} MB, {ids} different request ids");
        page.row("lines in the file", file.lines, read)
    }

    fn print_cost(&self, page: &mut Page) -> io::Result<()> {
        let own = cost::own();
        let on = cost::histogram(self.samples(true));
        let off = cost::histogram(self.samples(false));
        page.heading("A log call, at its caller")?;
        page.line("  by Instant, whose own cost is in every figure    p50       p99     p99.9       max")?;
        for (name, histogram) in [("logging on", &on), ("logging off", &off), ("Instant alone", &own)] {
            page.line(format_args!("  {name:<42}{}", Quantiles(histogram)))?;
        }
        page.line("")?;
        bars(&on).iter().try_for_each(|bar| page.line(format_args!("  {bar}")))
    }

    fn print_rates(&self, page: &mut Page) -> io::Result<()> {
        page.heading("Requests per second")?;
        let rates = [true, false].map(|logging| {
            let rounds = || self.rounds.iter().filter(move |round| round.logging == logging);
            let each = rounds().map(|round| round.answers.total() as f64 / round.took.as_secs_f64());
            let took: Duration = rounds().map(|round| round.took).sum();
            let (low, high) = each.fold((f64::MAX, 0.0_f64), |(low, high), x| (low.min(x), high.max(x)));
            (self.answers(logging).total() as f64 / took.as_secs_f64(), low, high)
        });
        for (name, (rate, low, high)) in ["logging on", "logging off"].into_iter().zip(rates) {
            let rounds = self.rounds.len() / 2;
            page.row(name, rate as u64, format_args!("{low:.0} to {high:.0} in {rounds} rounds"))?;
        }
        let (ratio, wait) = (rates[0].0 / rates[1].0, self.options.wait);
        let cores = std::thread::available_parallelism()?;
        let share = format_args!("listener: Wait::{wait:?}; it shares {cores} cores with server and client");
        page.line(format_args!("  {:<20}{ratio:>12.3}   {share}", "on / off"))
    }

    /// What is wrong with the run.
    fn faults(&self) -> Vec<String> {
        let (books, file, on) = (self.books, self.file, self.answers(true));
        let settled = books.dispatched + books.dropped + books.late + books.abandoned;
        let equations = [
            ("submitted is dispatched + dropped + late + abandoned", books.submitted, settled),
            ("every log call was submitted, and every span", calls(&on) + span_records(&on), books.submitted),
            ("every span was opened and closed", span_records(&on), books.span_records),
            ("every span was known", 0, books.unknown_spans),
            ("every record was dispatched", books.submitted, books.dispatched),
            (
                "every dispatched record but those is a line",
                books.dispatched - books.span_records,
                file.lines,
            ),
            ("every record of tracing and of log is a line", foreign_lines(&on), file.foreign),
            ("every logged request has a line", on.total(), file.requests),
            ("every logged request has one line of its own", on.total(), file.ids),
        ];
        let broken = equations.into_iter().filter(|(_, left, right)| left != right);
        broken.map(|(claim, left, right)| format!("{claim}: {left} is not {right}")).collect()
    }

    fn answers(&self, logging: bool) -> Answers {
        let mut sum = Answers::default();
        self.rounds.iter().filter(|round| round.logging == logging).for_each(|round| sum += round.answers);
        sum
    }

    fn samples(&self, logging: bool) -> impl Iterator<Item = u64> {
        let rounds = self.rounds.iter().filter(move |round| round.logging == logging);
        rounds.flat_map(|round| self.cost.samples(round.samples.clone()))
    }
}

/// The log calls that these answers stand for: one for each request, one more for each that went wrong, and those of
/// others for stock.
fn calls(answers: &Answers) -> u64 {
    answers.total() + answers.not_found + answers.unavailable + foreign_lines(answers)
}

fn foreign_lines(answers: &Answers) -> u64 {
    answers.stock * FOREIGN_LINES
}

fn span_records(answers: &Answers) -> u64 {
    answers.stock * FOREIGN_SPAN_RECORDS
}

/// p50, p99, p99.9 and the maximum.
struct Quantiles<'a>(&'a Histogram<u64>);

impl Display for Quantiles<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let quantiles = [0.5, 0.99, 0.999].map(|q| self.0.value_at_quantile(q));
        quantiles.into_iter().chain([self.0.max()]).try_for_each(|nanos| write!(f, "{:>10}", time(nanos)))
    }
}

/// A bar for each range of durations; what is longer than p99.9 shares the last one.
fn bars(histogram: &Histogram<u64>) -> Vec<String> {
    let last = histogram.value_at_quantile(0.999);
    let starts = (0..).flat_map(|power| BAR_STEPS.map(|step| step * 10_u64.pow(power)));
    let starts: Vec<u64> = starts.take_while(|start| *start <= last).collect();
    let ends = starts.iter().skip(1).copied().chain([histogram.high()]);
    let counts: Vec<_> = starts
        .iter()
        .zip(ends)
        .map(|(start, end)| (*start, histogram.count_between(*start, end - 1)))
        .collect();
    let most = counts.iter().map(|(_, count)| *count).max().unwrap_or(1).max(1);
    let bar = |(start, count): &(u64, u64)| {
        let share = 100.0 * *count as f64 / histogram.len() as f64;
        let columns = BAR_COLUMNS * *count as f64 / most as f64;
        format!("from {:>8} {:>9} {share:>6.2} %  {}", time(*start), grouped(*count), blocks(columns))
    };
    counts.iter().skip_while(|(_, count)| *count == 0).map(bar).collect()
}

/// A bar of eighths of columns.
fn blocks(columns: f64) -> String {
    let eighths = (columns * 8.0).ceil() as usize;
    let part = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8];
    "█".repeat(eighths / 8) + part
}

/// Three digits, and the unit that they need.
fn time(nanos: u64) -> String {
    match nanos {
        ..1_000 => format!("{nanos} ns"),
        1_000..1_000_000 => format!("{:.1} µs", nanos as f64 / 1e3),
        _ => format!("{:.1} ms", nanos as f64 / 1e6),
    }
}

/// `1,234,567`
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

/// Where it is printed: with colours if that is a terminal and nobody minds.
pub(crate) struct Page {
    out: io::Stdout,
    colours: bool,
}

impl Page {
    pub(crate) fn stdout() -> Self {
        let out = io::stdout();
        let minds = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colours = out.is_terminal() && !minds;
        Page { out, colours }
    }

    fn line(&mut self, text: impl Display) -> io::Result<()> {
        writeln!(self.out, "{text}")
    }

    fn heading(&mut self, text: &str) -> io::Result<()> {
        let text = self.painted("1", text);
        writeln!(self.out, "\n{text}")
    }

    fn row(&mut self, name: &str, number: u64, remark: impl Display) -> io::Result<()> {
        let line = format!("  {name:<20}{:>12}   {remark}", grouped(number));
        writeln!(self.out, "{}", line.trim_end())
    }

    fn red(&self, text: &str) -> String {
        self.painted("1;31", text)
    }

    fn green(&self, text: &str) -> String {
        self.painted("1;32", text)
    }

    fn painted(&self, code: &str, text: &str) -> String {
        if self.colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
