//! The pictures: SVG, with colours for both backgrounds.

use std::fmt::Write;

use super::page::{millions, time};
use crate::plan;
use crate::results::{Results, Spread};

const STYLE: &str = "
text { font: 12px system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif; fill: #1f2328 }
.title { font-weight: 600; font-size: 14px } .dim { fill: #656d76 } .right { text-anchor: end } .middle { text-anchor: middle }
.ground { fill: #f6f8fa } .grid { stroke: #d0d7de } .range { stroke: #8c959f; stroke-width: 3; stroke-linecap: round; fill: none }
.rest { fill: #8c959f } .ours { fill: #1a7f37 } .a { stroke: #1a7f37 } .b { stroke: #8250df } .c { stroke: #bc4c00 }
.line { fill: none; stroke-width: 2 } .band { opacity: 0.15; stroke: none } text.fa, .fa { fill: #1a7f37 } text.fb, .fb { fill: #8250df } text.fc, .fc { fill: #bc4c00 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .dim { fill: #8b949e } .ground { fill: #161b22 } .grid { stroke: #30363d } .range { stroke: #6e7681 }
.rest { fill: #6e7681 } .ours { fill: #56d364 } .a { stroke: #56d364 } .b { stroke: #d2a8ff } .c { stroke: #ffa657 }
text.fa, .fa { fill: #56d364 } text.fb, .fb { fill: #d2a8ff } text.fc, .fc { fill: #ffa657 }
}
";

const WIDTH: f64 = 760.0;
const LEFT: f64 = 120.0;
const RIGHT: f64 = 730.0;
const ROW: f64 = 24.0;
const TOP: f64 = 44.0;

/// Names and what they show.
pub const OVERVIEW: [(&str, &str); 2] = [
    ("peers-latency", "Nanoseconds a call in bursts: p50 to p99.9 of single calls, for each logger"),
    ("peers-throughput", "Lines a second to the last byte in the file, for each logger"),
];

/// A family of cases `<prefix>_<x>`.
pub struct Curve {
    pub name: &'static str,
    pub title: &'static str,
    prefix: &'static str,
    axis: &'static str,
    /// What makes the line bend.
    pub bends: &'static str,
}

pub const CURVES: [Curve; 4] = [
    Curve {
        name: "scaling-threads",
        title: "Time of a call against the threads that log",
        prefix: "threads_",
        axis: "threads",
        bends: "Each thread has a ring of its own, so there is nothing to bend before the cores are all busy. Beyond, a thread \
                comes back to caches that others used, and who is taken off its core inside a call shows as a long one.",
    },
    Curve {
        name: "scaling-callsites",
        title: "Time of a call against the callsites that take turns",
        prefix: "callsites_",
        axis: "callsites",
        bends: "The bend is where a burst of 20 calls meets no callsite twice: from there on each call fetches its code (some \
                90 bytes), its gate and their pages from wherever 2 ms of other work have left them, instead of finding what \
                the call before has just used ([what that is](hot-path.md#callsites-that-take-turns)). The callsites lie side by \
                side, as those of a function do.",
    },
    Curve {
        name: "scaling-fields",
        title: "Time of a call against its fields",
        prefix: "fields_",
        axis: "fields of one integer",
        bends: "A field of one integer is a word to store, and names are not copied, so there is little to see; what rises, \
                rises with the cache lines that a record covers: eight fields each.",
    },
    Curve {
        name: "scaling-message",
        title: "Time of a call against the length of its string",
        prefix: "message_",
        axis: "bytes",
        bends: "Up to a few cache lines the string hides behind the rest of the call; above, it is `memcpy` into a ring that \
                is no more in the caches nearest to the core, and the time grows with the length. The ring holds sixteen \
                messages where its 128 KiB would not.",
    },
];

/// Of lines, as classes of the style.
const COLOURS: [&str; 3] = ["a", "b", "c"];

/// All pictures for which there are results.
pub fn pictures(results: &Results) -> Vec<(&'static str, String)> {
    let mut pictures =
        Vec::from([("peers-latency", latency(results)), ("peers-throughput", throughput(results))]);
    pictures.extend(CURVES.iter().map(|curve| (curve.name, self::curve(results, curve))));
    pictures.into_iter().filter_map(|(name, picture)| Some((name, picture?))).collect()
}

/// A logarithmic axis from `from` to `to`, in pixels.
#[derive(Clone, Copy)]
struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    /// Around these values, with some room.
    fn around(values: impl Iterator<Item = f64> + Clone, from: f64, to: f64) -> Self {
        let low = values.clone().filter(|value| *value > 0.0).fold(f64::INFINITY, f64::min);
        let high = values.fold(0.0, f64::max);
        Axis { low: low / 1.3, high: high * 1.3, from, to }
    }

    fn place(&self, value: f64) -> f64 {
        let part = (value.max(self.low) / self.low).ln() / (self.high / self.low).ln();
        self.from + part * (self.to - self.from)
    }

    /// 1, 2 and 5 of each power of ten; only the powers if those are too many.
    fn marks(&self) -> Vec<f64> {
        let decades = self.low.log10().floor() as i32..=self.high.log10().ceil() as i32;
        let of = |steps: &'static [f64]| {
            let all = decades
                .clone()
                .flat_map(move |decade| steps.iter().map(move |step| step * 10_f64.powi(decade)));
            all.filter(|mark| (self.low..=self.high).contains(mark)).collect::<Vec<_>>()
        };
        let marks = of(&[1.0, 2.0, 5.0]);
        if marks.len() > 9 { of(&[1.0]) } else { marks }
    }
}

fn frame(title: &str, height: f64, body: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         role=\"img\" aria-label=\"{title}\">\n<style>{STYLE}</style>\n\
         <rect class=\"ground\" width=\"{WIDTH}\" height=\"{height}\" rx=\"6\"/>\n\
         <text x=\"14\" y=\"24\" class=\"title\">{title}</text>\n{body}</svg>\n"
    )
}

/// A row a logger: a line from p50 to p99.9, with a mark at p50 and at p99.
fn latency(results: &Results) -> Option<String> {
    let case = "burst_numbers_1";
    let of = |peer: &str, figure: &str| results.spread(case, peer, figure).map(|spread| spread.middle);
    let all = results.peers.iter().filter_map(|(peer, _)| {
        Some((
            peer.as_str(),
            ["call_p50", "call_p99", "call_p999"].map(|figure| of(peer, figure).unwrap_or(f64::NAN)),
            of(peer, "call_p50")?,
        ))
    });
    let mut rows: Vec<_> = all.map(|(peer, places, _)| (peer, places)).collect();
    rows.sort_by(|a, b| a.1[1].total_cmp(&b.1[1]));
    let axis = Axis::around(rows.iter().flat_map(|(_, places)| *places), LEFT, RIGHT);
    let bottom = TOP + rows.len() as f64 * ROW;
    let mut body = vertical_grid(&axis, bottom, time);
    if rows.is_empty() {
        return None;
    }
    for (at, (peer, places)) in rows.iter().enumerate() {
        let y = TOP + (at as f64 + 0.5) * ROW;
        let class = if *peer == "treering" { "ours" } else { "rest" };
        let [p50, p99, p999] = places.map(|value| axis.place(value));
        let _ = writeln!(
            body,
            "<text x=\"{:.0}\" y=\"{:.1}\" class=\"right\">{peer}</text><path class=\"range\" d=\"M{p50:.1} {y}H{p999:.1}\"/>\
             <circle class=\"{class}\" cx=\"{p50:.1}\" cy=\"{y}\" r=\"6\"/><rect class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\" width=\"4\" height=\"14\"/>",
            LEFT - 10.0,
            y + 4.0,
            p99 - 2.0,
            y - 7.0
        );
    }
    Some(frame("A call in a burst of 20: p50 (dot), p99 (bar), to p99.9, logarithmic", bottom + 30.0, &body))
}

fn vertical_grid(axis: &Axis, bottom: f64, show: fn(f64) -> String) -> String {
    let mut body = String::new();
    for mark in axis.marks() {
        let x = axis.place(mark);
        let _ = writeln!(
            body,
            "<path class=\"grid\" d=\"M{x:.1} {TOP}V{bottom:.1}\"/><text x=\"{x:.1}\" y=\"{:.1}\" class=\"dim middle\">{}</text>",
            bottom + 18.0,
            show(mark).replace(".00", "").replace(".0 ", " ")
        );
    }
    body
}

/// Bars from zero, with the quartiles.
fn throughput(results: &Results) -> Option<String> {
    let of = |peer: &str| results.spread("throughput_1", peer, "lines_per_second");
    let mut rows: Vec<(&str, Spread)> =
        results.peers.iter().filter_map(|(peer, _)| Some((peer.as_str(), of(peer)?))).collect();
    rows.sort_by(|a, b| b.1.middle.total_cmp(&a.1.middle));
    let most = rows.first()?.1.high.max(rows.first()?.1.middle);
    let place = |value: f64| value / most * (RIGHT - LEFT - 90.0);
    let mut body = String::new();
    for (at, (peer, spread)) in rows.iter().enumerate() {
        let y = TOP + at as f64 * ROW;
        let class = if *peer == "treering" { "ours" } else { "rest" };
        let (width, low, high) = (place(spread.middle), LEFT + place(spread.low), LEFT + place(spread.high));
        let _ = writeln!(
            body,
            "<text x=\"{:.0}\" y=\"{:.1}\" class=\"right\">{peer}</text><rect class=\"{class}\" x=\"{LEFT}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"14\"/>\
             <path class=\"range\" d=\"M{low:.1} {:.1}H{high:.1}\"/><text x=\"{:.1}\" y=\"{:.1}\" class=\"dim\">{}</text>",
            LEFT - 10.0,
            y + 16.0,
            y + 5.0,
            y + 12.0,
            high.max(LEFT + width) + 8.0,
            y + 16.0,
            millions(spread.middle)
        );
    }
    Some(frame(
        "Million lines a second, to the last byte in the file, one thread",
        TOP + rows.len() as f64 * ROW + 14.0,
        &body,
    ))
}

/// p50 against the number in the case's name, both logarithmic, with a band between the quartiles.
fn curve(results: &Results, curve: &Curve) -> Option<String> {
    let cases = plan::cases(plan::Amount(1.0));
    let points: Vec<(f64, &str)> = cases
        .iter()
        .filter_map(|case| Some((case.name.strip_prefix(curve.prefix)?.parse().ok()?, case.name.as_str())))
        .collect();
    let lines: Vec<(&str, Vec<(f64, Spread)>)> = results
        .peers
        .iter()
        .map(|(peer, _)| {
            let spreads =
                points.iter().filter_map(|(x, case)| Some((*x, results.spread(case, peer, "burst_p50")?)));
            (peer.as_str(), spreads.collect::<Vec<_>>())
        })
        .filter(|(_, line)| line.len() > 1)
        .collect();
    if lines.is_empty() {
        return None;
    }
    let bottom = TOP + 240.0;
    // Zero has its place left of one.
    let shift = |x: f64| if x == 0.0 { 0.5 } else { x };
    let horizontal = Axis::around(points.iter().map(|(x, _)| shift(*x)), 80.0, RIGHT);
    let all =
        lines.iter().flat_map(|(_, line)| line.iter().flat_map(|(_, spread)| [spread.low, spread.high]));
    let vertical = Axis::around(all, bottom, TOP);
    let mut body = String::new();
    for mark in vertical.marks() {
        let y = vertical.place(mark);
        let label = time(mark).replace(".00", "").replace(".0 ", " ");
        let _ = writeln!(
            body,
            "<path class=\"grid\" d=\"M80 {y:.1}H{RIGHT}\"/><text x=\"72\" y=\"{:.1}\" class=\"dim right\">{label}</text>",
            y + 4.0
        );
    }
    for (x, _) in &points {
        let at = horizontal.place(shift(*x));
        let _ =
            writeln!(body, "<text x=\"{at:.1}\" y=\"{:.1}\" class=\"dim middle\">{x}</text>", bottom + 18.0);
    }
    let _ = writeln!(
        body,
        "<text x=\"{RIGHT}\" y=\"{:.1}\" class=\"dim right\">{}</text>",
        bottom + 36.0,
        curve.axis
    );
    for ((_, line), colour) in lines.iter().zip(COLOURS) {
        let place = |x: f64, y: f64| format!("{:.1} {:.1}", horizontal.place(shift(x)), vertical.place(y));
        let path = |points: Vec<String>| format!("M{}", points.join("L"));
        let middle = path(line.iter().map(|(x, spread)| place(*x, spread.middle)).collect());
        let there = line.iter().map(|(x, spread)| place(*x, spread.high));
        let back = line.iter().rev().map(|(x, spread)| place(*x, spread.low));
        let band = path(there.chain(back).collect());
        let _ = writeln!(
            body,
            "<path class=\"band f{colour}\" d=\"{band}Z\"/><path class=\"line {colour}\" d=\"{middle}\"/>"
        );
    }
    // Below the axis, where no line runs.
    for (at, ((peer, _), colour)) in lines.iter().zip(COLOURS).enumerate() {
        let x = 80.0 + at as f64 * 120.0;
        let _ =
            writeln!(body, "<text x=\"{x:.1}\" y=\"{:.1}\" class=\"f{colour}\">{peer}</text>", bottom + 36.0);
    }
    Some(frame(&format!("{}, p50 in bursts, logarithmic", curve.title), bottom + 48.0, &body))
}
