//! The files that were rolled: their names, a free one for the next, and which of them have to go.
//!
//! There is no list of them but the directory itself. What is ours is told by its name alone, read exactly: the name
//! of the file, a dot, and a number without leading zeros, or a stamp of the one length that our interval has, and
//! maybe a number behind it. `app.log.old`, `app.log.01` and `app.log-2026` are somebody else's and are neither counted
//! nor moved nor removed; nor is `app.log.1.gz`, where nothing is compressed.
//!
//! A compressed file has the name of the one that it was made of, and an ending; and it was last written to when that one
//! was. So where a process died between the rename that completed it and the removal of the other, the two are known to
//! be twins, and the plain one goes.
//!
//! A name that is taken is never renamed onto. Numbered files move up, the oldest first, only as far as the first
//! number that is free; so a process that dies between two renames leaves a gap, which the next roll fills, and no
//! file is lost.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::rotation::Keep;
use crate::output::files::Kind;
use crate::output::{Facts, Files, directory_of};

/// Where rolled files are, and how they are called.
#[derive(Debug)]
pub(super) struct Archive {
    directory: PathBuf,
    /// The name of the file, with the dot.
    prefix: String,
    /// What the names of rolled files may end with: nothing, or also that of a compressed one.
    endings: &'static [&'static str],
}

/// The ending of a file that is not compressed.
const PLAIN: &str = "";
/// What is compressed may have been so by an earlier process that was set up otherwise.
const ENDINGS: [&str; 3] = [PLAIN, ".gz", ".zst"];

/// The name of a rolled file, behind the file's own.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Suffix {
    /// The start of its interval; empty where files are numbered only. Stamps of one length compare as text.
    stamp: String,
    /// Of numbered files the lowest is the newest; behind a stamp it is the highest, and the first has 0.
    number: u64,
    /// One of the archive's.
    ending: &'static str,
}

impl Archive {
    /// `None` if the path has no name, or one that is no text. `compresses`: compressed files are ours, too.
    pub(super) fn of(path: &Path, compresses: bool) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let endings = if compresses { &ENDINGS[..] } else { &ENDINGS[..1] };
        Some(Archive { directory: directory_of(path).to_owned(), prefix: format!("{name}."), endings })
    }

    /// Makes room for the file that is rolled next, and says where. `stamp`: of its interval, or empty.
    pub(super) fn make_room(&self, files: &impl Files, stamp: &str) -> io::Result<PathBuf> {
        let mut rolled = self.list_without_twins(files, stamp)?;
        rolled.retain(|suffix| suffix.stamp == stamp);
        rolled.sort_by_key(|suffix| suffix.number);
        if stamp.is_empty() {
            let mut numbers: Vec<_> = rolled.iter().map(|suffix| suffix.number).collect();
            numbers.dedup();
            let taken = (1..).zip(&numbers).take_while(|(free, number)| free == *number).count() as u64;
            for suffix in rolled.iter().rev().filter(|suffix| suffix.number <= taken) {
                let next = Suffix { number: suffix.number + 1, ..suffix.clone() };
                files.rename(&self.path(suffix), &self.path(&next))?;
            }
        }
        let number = match (stamp, rolled.last()) {
            ("", _) => 1,
            (_, None) => 0,
            (_, Some(last)) => last.number + 1,
        };
        Ok(self.path(&Suffix { stamp: stamp.to_owned(), number, ending: PLAIN }))
    }

    /// Removes what is not to be kept. Goes on when the system refuses one, and gives the last refusal.
    pub(super) fn sweep(
        &self,
        files: &impl Files,
        stamp: &str,
        keep: &Keep,
        now: SystemTime,
    ) -> io::Result<()> {
        let rolled = self.newest_first(self.list(files, stamp)?, stamp);
        let oldest = keep.age.and_then(|age| now.checked_sub(age));
        let (mut bytes, mut result) = (0, Ok(()));
        let mut kept = 0;
        for suffix in rolled {
            let path = self.path(&suffix);
            let Ok(facts @ Facts { kind: Kind::Regular, .. }) = files.facts_at(&path) else { continue };
            bytes += facts.length;
            let is_old = oldest.is_some_and(|oldest| facts.modified < oldest);
            if kept == keep.files || is_old || keep.bytes.is_some_and(|most| bytes > most) {
                result = files.remove(&path).and(result);
            } else {
                kept += 1;
            }
        }
        result
    }

    /// Those that are to be compressed, the newest first.
    pub(super) fn plain(&self, files: &impl Files, stamp: &str) -> io::Result<Vec<PathBuf>> {
        let rolled = self.newest_first(self.list_without_twins(files, stamp)?, stamp);
        let is_alone = |suffix: &Suffix| {
            rolled
                .iter()
                .filter(|other| (&other.stamp, other.number) == (&suffix.stamp, suffix.number))
                .count()
                == 1
        };
        let waits = |suffix: &&Suffix| suffix.ending == PLAIN && is_alone(suffix);
        Ok(rolled.iter().filter(waits).map(|suffix| self.path(suffix)).collect())
    }

    /// Puts a compressed file, which is on the disk, in the place of the one that it was made of, wherever that is by now.
    /// If it is gone, or not as it was, the compressed one goes. A disk on which the second name is gone has the first, as
    /// journals keep the order.
    pub(super) fn exchange(
        &self,
        files: &impl Files,
        stamp: &str,
        made_of: Facts,
        compressed: &Path,
        ending: &'static str,
    ) -> io::Result<()> {
        let mut plain = self.list(files, stamp)?;
        plain.retain(|suffix| suffix.ending == PLAIN);
        let is_source =
            |suffix: &&Suffix| files.facts_at(&self.path(suffix)).is_ok_and(|facts| facts == made_of);
        let Some(source) = plain.iter().find(is_source) else { return files.remove(compressed) };
        files.rename(compressed, &self.path(&Suffix { ending, ..source.clone() }))?;
        files.remove(&self.path(source))
    }

    /// Where a file is as long as it is being compressed. Whoever has it locked is at it.
    pub(super) fn workbench(&self) -> PathBuf {
        self.directory.join(format!("{}compressing", self.prefix))
    }

    fn newest_first(&self, mut rolled: Vec<Suffix>, stamp: &str) -> Vec<Suffix> {
        rolled.sort();
        if !stamp.is_empty() {
            rolled.reverse();
        }
        rolled
    }

    /// The rolled files whose stamps are as long as this one. Of twins the plain one is removed.
    fn list_without_twins(&self, files: &impl Files, stamp: &str) -> io::Result<Vec<Suffix>> {
        let mut rolled = self.list(files, stamp)?;
        let compressed: Vec<_> = rolled.iter().filter(|suffix| suffix.ending != PLAIN).cloned().collect();
        for compressed in compressed {
            let plain = Suffix { ending: PLAIN, ..compressed.clone() };
            if let Some(at) = rolled.iter().position(|suffix| *suffix == plain) {
                let modified = |suffix| files.facts_at(&self.path(suffix)).map(|facts| facts.modified);
                if modified(&plain)? == modified(&compressed)? {
                    files.remove(&self.path(&plain))?;
                    rolled.remove(at);
                }
            }
        }
        Ok(rolled)
    }

    /// The rolled files whose stamps are as long as this one.
    fn list(&self, files: &impl Files, stamp: &str) -> io::Result<Vec<Suffix>> {
        let names = files.list(&self.directory)?;
        Ok(names.iter().filter_map(|name| self.parse(name.strip_prefix(&self.prefix)?, stamp)).collect())
    }

    fn path(&self, Suffix { stamp, number, ending }: &Suffix) -> PathBuf {
        let prefix = &self.prefix;
        self.directory.join(match (stamp.as_str(), number) {
            ("", number) => format!("{prefix}{number}{ending}"),
            (stamp, 0) => format!("{prefix}{stamp}{ending}"),
            (stamp, number) => format!("{prefix}{stamp}.{number}{ending}"),
        })
    }

    /// Reads what stands behind the file's name and the dot, if it has the shape of `stamp`.
    fn parse(&self, text: &str, stamp: &str) -> Option<Suffix> {
        self.endings.iter().find_map(|ending| parse(text.strip_suffix(ending)?, stamp, ending))
    }
}

fn parse(text: &str, stamp: &str, ending: &'static str) -> Option<Suffix> {
    if stamp.is_empty() {
        return Some(Suffix { stamp: String::new(), number: number(text)?, ending });
    }
    let (own, rest) = text.split_at_checked(stamp.len())?;
    let has_shape = own
        .bytes()
        .zip(stamp.bytes())
        .all(|(own, other)| if other.is_ascii_digit() { own.is_ascii_digit() } else { own == other });
    let number = match rest.strip_prefix('.') {
        Some(text) => number(text)?,
        None if rest.is_empty() => 0,
        None => return None,
    };
    has_shape.then(|| Suffix { stamp: own.to_owned(), number, ending })
}

/// A number from 1, as we write it: digits, without a leading zero, and few enough for the next number to be one, too.
fn number(text: &str) -> Option<u64> {
    const DIGITS_MAX: usize = 18;
    let is_ours = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    if is_ours && text.len() <= DIGITS_MAX { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::testing::Model;
    use std::time::Duration;

    const DAY: &str = "2026-11-22";
    const ALL: Keep = Keep { files: usize::MAX, age: None, bytes: None };

    fn archive() -> Archive {
        Archive::of(Path::new("/log/app.log"), false).unwrap()
    }

    fn of_compressed() -> Archive {
        Archive::of(Path::new("/log/app.log"), true).unwrap()
    }

    fn model(names: &[&str]) -> Model {
        let model = Model::default();
        names.iter().for_each(|name| model.put(&format!("/log/{name}"), name));
        model
    }

    fn names(model: &Model) -> Vec<String> {
        model.all().into_keys().map(|path| path.strip_prefix("/log/").unwrap().to_owned()).collect()
    }

    #[test]
    fn only_names_that_we_would_write_are_ours() {
        let shapes = [("", vec!["1", "12"]), (DAY, vec!["2026-11-22", "2025-01-01.3"])];
        for (stamp, ours) in shapes {
            for text in ours {
                assert!(archive().parse(text, stamp).is_some(), "{text} is ours");
                let compressed = format!("{text}.zst");
                assert!(archive().parse(&compressed, stamp).is_none(), "{compressed} is not ours");
                assert!(of_compressed().parse(&compressed, stamp).is_some(), "{compressed} is ours");
            }
        }
        let foreign = [
            "",
            "0",
            "01",
            "+1",
            "-1",
            "1.gz",
            "1a",
            " 1",
            "x",
            "18446744073709551616",
            "18446744073709551615",
            "1000000000000000000",
            "2026-11-22.18446744073709551615",
            "2026-11-2",
            "2026-11-222",
            "2026-11-22.0",
            "2026-11-22.01",
            "2026-11-22.gz",
            "2026-11-22.",
            "2026/11/22",
            "2026-11-22_13",
            "20é6-11-2",
            "2026-11-22é",
        ];
        for text in foreign {
            assert!(
                archive().parse(text, DAY).is_none() && archive().parse(text, "").is_none(),
                "{text} is not ours"
            );
        }
        for text in ["1.gz.gz", "1.bz2", ".gz", "gz", "compressing", "2026-11-22..gz"] {
            let archive = of_compressed();
            assert!(
                archive.parse(text, DAY).is_none() && archive.parse(text, "").is_none(),
                "{text} is not ours"
            );
        }
    }

    #[test]
    fn numbered_files_move_up_to_the_first_gap() {
        let model = model(&["app.log.1", "app.log.2", "app.log.4", "app.log.old", "other.log.1"]);
        let place = archive().make_room(&model, "").unwrap();
        assert_eq!(place, Path::new("/log/app.log.1"));
        assert_eq!(names(&model), ["app.log.2", "app.log.3", "app.log.4", "app.log.old", "other.log.1"]);
        assert_eq!(model.text("/log/app.log.3"), "app.log.2");
    }

    #[test]
    fn compressed_files_move_with_the_others_and_twins_become_one() {
        let model = model(&["app.log.1", "app.log.1.gz", "app.log.2.zst", "app.log.3.gz", "app.log.3.old"]);
        of_compressed().make_room(&model, "").unwrap();
        assert_eq!(names(&model), ["app.log.2.gz", "app.log.3.old", "app.log.3.zst", "app.log.4.gz"]);
    }

    #[test]
    fn two_of_one_name_that_were_not_written_together_both_stay() {
        let model = model(&["app.log.2026-11-22.gz"]);
        model.set_time(7);
        drop(model.create(Path::new("/log/app.log.2026-11-22")).unwrap());
        let place = of_compressed().make_room(&model, DAY).unwrap();
        assert_eq!(place.file_name().unwrap(), "app.log.2026-11-22.1");
        assert_eq!(names(&model), ["app.log.2026-11-22", "app.log.2026-11-22.gz"]);
        assert!(of_compressed().plain(&model, DAY).unwrap().is_empty(), "its place is taken");
    }

    #[test]
    fn the_second_of_an_interval_gets_a_number() {
        let model = model(&[]);
        for expected in ["app.log.2026-11-22", "app.log.2026-11-22.1", "app.log.2026-11-22.2"] {
            let place = archive().make_room(&model, DAY).unwrap();
            assert_eq!(place.file_name().unwrap(), expected);
            model.put(place.to_str().unwrap(), "");
        }
    }

    #[test]
    fn behind_the_highest_number_that_is_ours_the_next_one_has_its_place() {
        let highest = format!("app.log.{DAY}.{}", "9".repeat(18));
        let place = archive().make_room(&model(&[&highest]), DAY).unwrap();
        assert_eq!(place, Path::new(&format!("/log/app.log.{DAY}.1{}", "0".repeat(18))));
    }

    #[test]
    fn the_oldest_go_and_foreign_files_stay() {
        let foreign = ["app.log", "app.log.1.gz", "app.log.bak", "app.log.2026-11-22_13"];
        let numbered = [&foreign[..], &["app.log.1", "app.log.2", "app.log.10"]].concat();
        let disk = model(&numbered);
        archive().sweep(&disk, "", &Keep { files: 2, ..ALL }, SystemTime::now()).unwrap();
        let mut expected = [&foreign[..], &["app.log.1", "app.log.2"]].concat();
        expected.sort_unstable();
        assert_eq!(names(&disk), expected);

        let stamped =
            ["app.log.2026-11-21", "app.log.2026-11-22", "app.log.2026-11-22.2", "app.log.2026-11-22.10"];
        let disk = model(&[&foreign[..], &stamped].concat());
        archive().sweep(&disk, DAY, &Keep { files: 2, ..ALL }, SystemTime::now()).unwrap();
        let mut expected = [&foreign[..], &["app.log.2026-11-22.10", "app.log.2026-11-22.2"]].concat();
        expected.sort_unstable();
        assert_eq!(names(&disk), expected);
    }

    #[test]
    fn what_is_too_old_or_too_much_goes() {
        let disk = model(&["app.log.1", "app.log.2", "app.log.3"]); // 9 bytes each
        archive().sweep(&disk, "", &Keep { bytes: Some(20), ..ALL }, SystemTime::now()).unwrap();
        assert_eq!(names(&disk), ["app.log.1", "app.log.2"]);
        let age = Some(Duration::from_secs(60));
        archive().sweep(&disk, "", &Keep { age, ..ALL }, SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(names(&disk), ["app.log.1", "app.log.2"], "none is older than a minute");
        archive().sweep(&disk, "", &Keep { age, ..ALL }, SystemTime::now()).unwrap();
        assert!(names(&disk).is_empty());
    }
}
