//! The files that were rolled: their names, a free one for the next, and which of them have to go.
//!
//! There is no list of them but the directory itself. What is ours is told by its name alone, read exactly: the name
//! of the file, a dot, and a number without leading zeros, or a stamp of the one length that our interval has, and
//! maybe a number behind it. `app.log.1.gz`, `app.log.old`, `app.log.01` and `app.log-2026` are somebody else's and
//! are neither counted nor moved nor removed.
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
}

/// The name of a rolled file, behind the file's own.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Suffix {
    /// The start of its interval; empty where files are numbered only. Stamps of one length compare as text.
    stamp: String,
    /// Of numbered files the lowest is the newest; behind a stamp it is the highest, and the first has 0.
    number: u64,
}

impl Archive {
    /// `None` if the path has no name, or one that is no text.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        Some(Archive { directory: directory_of(path).to_owned(), prefix: format!("{name}.") })
    }

    /// Makes room for the file that is rolled next, and says where. `stamp`: of its interval, or empty.
    pub(super) fn make_room(&self, files: &impl Files, stamp: &str) -> io::Result<PathBuf> {
        let mut numbers: Vec<u64> =
            self.list(files, stamp)?.into_iter().filter(|s| s.stamp == stamp).map(|s| s.number).collect();
        numbers.sort_unstable();
        if stamp.is_empty() {
            let taken = (1..).zip(&numbers).take_while(|(free, number)| free == *number).count() as u64;
            for number in (1..=taken).rev() {
                files.rename(&self.path("", number), &self.path("", number + 1))?;
            }
        }
        let number = match (stamp, numbers.last()) {
            ("", _) => 1,
            (_, None) => 0,
            (_, Some(last)) => last + 1,
        };
        Ok(self.path(stamp, number))
    }

    /// Removes what is not to be kept. Goes on when the system refuses one, and gives the last refusal.
    pub(super) fn sweep(
        &self,
        files: &impl Files,
        stamp: &str,
        keep: &Keep,
        now: SystemTime,
    ) -> io::Result<()> {
        let mut rolled = self.list(files, stamp)?;
        rolled.sort();
        if !stamp.is_empty() {
            rolled.reverse();
        }
        let oldest = keep.age.and_then(|age| now.checked_sub(age));
        let (mut bytes, mut result) = (0, Ok(()));
        let mut kept = 0;
        for suffix in rolled {
            let path = self.path(&suffix.stamp, suffix.number);
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

    /// The rolled files whose stamps are as long as this one.
    fn list(&self, files: &impl Files, stamp: &str) -> io::Result<Vec<Suffix>> {
        let names = files.list(&self.directory)?;
        Ok(names.iter().filter_map(|name| parse(name.strip_prefix(&self.prefix)?, stamp)).collect())
    }

    fn path(&self, stamp: &str, number: u64) -> PathBuf {
        let prefix = &self.prefix;
        self.directory.join(match (stamp, number) {
            ("", number) => format!("{prefix}{number}"),
            (stamp, 0) => format!("{prefix}{stamp}"),
            (stamp, number) => format!("{prefix}{stamp}.{number}"),
        })
    }
}

/// Reads what stands behind the file's name and the dot, if it has the shape of `stamp`.
fn parse(text: &str, stamp: &str) -> Option<Suffix> {
    if stamp.is_empty() {
        return Some(Suffix { stamp: String::new(), number: number(text)? });
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
    has_shape.then(|| Suffix { stamp: own.to_owned(), number })
}

/// A number from 1, as we write it: digits, without a leading zero.
fn number(text: &str) -> Option<u64> {
    let is_ours = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    if is_ours { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::testing::Model;
    use std::time::Duration;

    const DAY: &str = "2026-11-22";
    const ALL: Keep = Keep { files: usize::MAX, age: None, bytes: None };

    fn archive() -> Archive {
        Archive::of(Path::new("/log/app.log")).unwrap()
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
                assert!(parse(text, stamp).is_some(), "{text} is ours");
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
            assert!(parse(text, DAY).is_none() && parse(text, "").is_none(), "{text} is not ours");
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
    fn the_second_of_an_interval_gets_a_number() {
        let model = model(&[]);
        for expected in ["app.log.2026-11-22", "app.log.2026-11-22.1", "app.log.2026-11-22.2"] {
            let place = archive().make_room(&model, DAY).unwrap();
            assert_eq!(place.file_name().unwrap(), expected);
            model.put(place.to_str().unwrap(), "");
        }
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
