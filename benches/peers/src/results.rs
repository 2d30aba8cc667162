//! What was measured, as the JSON file has it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};

/// All of it.
#[derive(Serialize, Deserialize, Debug)]
pub struct Results {
    pub machine: Machine,
    /// The command line.
    pub command: String,
    /// The versions of those that took part, in the order of the tables.
    pub peers: Vec<(String, String)>,
    /// Who did not, and why.
    pub absent: Vec<(String, String)>,
    pub rounds: u32,
    pub seconds: f64,
    pub runs: Vec<Run>,
}

/// What one child did.
#[derive(Serialize, Deserialize, Debug)]
pub struct Run {
    pub round: u32,
    pub case: String,
    pub peer: String,
    /// By name; empty if it failed.
    pub figures: BTreeMap<String, f64>,
    pub failed: Option<String>,
}

#[derive(Serialize, Deserialize, Debug)]
pub struct Machine {
    pub processor: String,
    pub cores: usize,
    pub kernel: String,
    pub compiler: String,
    pub commit: String,
    pub date: String,
    /// The share of all processor time, while we measured, of other processes, and of the host.
    pub others: f64,
    pub stolen: f64,
}

impl Machine {
    pub fn here() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let said = |program: &str, arguments: &[&str]| {
            let output = Command::new(program).args(arguments).output();
            output
                .map_or("unknown".into(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        };
        let info = read("/proc/cpuinfo");
        let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Machine {
            processor: model.map_or("unknown".into(), |(_, model)| model.to_owned()),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            compiler: said("rustc", &["--version"]),
            commit: said("git", &["-C", env!("CARGO_MANIFEST_DIR"), "rev-parse", "--short", "HEAD"]),
            date: said("date", &["-u", "+%Y-%m-%d"]),
            others: 0.0,
            stolen: 0.0,
        }
    }
}

impl Results {
    pub fn read(path: &Path) -> Result<Results, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
    }

    pub fn write(&self, path: &Path) -> Result<(), String> {
        let text = serde_json::to_string_pretty(self).map_err(|error| error.to_string())?;
        std::fs::write(path, text + "\n").map_err(|error| format!("{}: {error}", path.display()))
    }

    /// A figure of a peer in a case, round by round.
    pub fn by_round(&self, case: &str, peer: &str, figure: &str) -> BTreeMap<u32, f64> {
        let of_both = self.runs.iter().filter(|run| run.case == case && run.peer == peer);
        of_both.filter_map(|run| Some((run.round, *run.figures.get(figure)?))).collect()
    }

    pub fn spread(&self, case: &str, peer: &str, figure: &str) -> Option<Spread> {
        Spread::of(self.by_round(case, peer, figure).into_values().collect())
    }

    /// A peer's figure in units of `base`'s in the same round.
    pub fn ratio(&self, case: &str, peer: &str, base: &str, figure: &str) -> Option<Spread> {
        let base = self.by_round(case, base, figure);
        let peer = self.by_round(case, peer, figure);
        let ratios = peer
            .iter()
            .filter_map(|(round, value)| Some(value / base.get(round).filter(|base| **base > 0.0)?));
        Spread::of(ratios.collect())
    }
}

/// The middle of the rounds, between its quartiles.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Spread {
    pub low: f64,
    pub middle: f64,
    pub high: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_unstable_by(f64::total_cmp);
        let at = |q| quantile(&values, q);
        Some(Spread { low: at(0.25)?, middle: at(0.5)?, high: at(0.75)? })
    }
}

/// Of sorted values; between two of them, in proportion.
pub fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let place = q * sorted.len().checked_sub(1)? as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    Some(below + (above - below) * place.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(round: u32, peer: &str, value: f64) -> Run {
        let figures = BTreeMap::from([("f".to_owned(), value)]);
        Run { round, case: "c".into(), peer: peer.into(), figures, failed: None }
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let runs = vec![
            run(0, "a", 1.0),
            run(0, "b", 3.0),
            run(1, "a", 100.0),
            run(1, "b", 300.0),
            run(2, "b", 9.0),
        ];
        let results = Results { runs, ..serde_json::from_str(include_str!("empty.json")).unwrap() };
        let ratio = results.ratio("c", "b", "a", "f").unwrap();
        assert_eq!(ratio, Spread { low: 3.0, middle: 3.0, high: 3.0 }, "the third round has no `a`");
    }

    #[test]
    fn quartiles_lie_between_values() {
        let spread = Spread::of(vec![4.0, 1.0, 2.0, 3.0]).unwrap();
        assert_eq!(spread, Spread { low: 1.75, middle: 2.5, high: 3.25 });
        assert_eq!(Spread::of(Vec::new()), None);
    }
}
