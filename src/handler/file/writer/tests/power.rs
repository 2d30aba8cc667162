//! The process dies in any call and the power fails with it: what was reported as on the disk is there afterwards, once,
//! in whole lines.

use super::*;
use crate::output::testing::Unsynced;
use std::collections::BTreeMap;

/// How a file is written in these tests: nothing is reported as delivered that is not on the disk.
fn synced(rotation: &Rotation) -> FileOptions {
    options().rotate(rotation.clone()).sync(SyncPolicy::EachBatch)
}

/// What stands in a file.
pub(super) fn text(path: &str, bytes: Vec<u8>) -> String {
    #[cfg(feature = "gzip")]
    if path.ends_with(".gz") {
        return std::io::read_to_string(flate2::read::GzDecoder::new(&bytes[..])).unwrap();
    }
    let _ = path;
    String::from_utf8(bytes).unwrap()
}

/// How often each line is there, in whatever file.
pub(super) fn lines(model: &Model) -> BTreeMap<String, usize> {
    let mut lines = BTreeMap::new();
    for (path, bytes) in model.contents().into_iter().filter(|(path, _)| !path.ends_with("compressing")) {
        for line in text(&path, bytes).split_inclusive('\n') {
            *lines.entry(line.to_owned()).or_default() += 1;
        }
    }
    lines
}

/// Logs so that it rolls, until the process dies in call `at`. How many records were reported as on the disk, and how
/// many calls there were.
fn log_until(model: &Model, rotation: &Rotation, at: usize) -> (u64, usize) {
    let mut writer = open(model, synced(rotation)).unwrap();
    let (mut logged, mut delivered) = (0, 0);
    for batch in 0..6 {
        if batch == 3 {
            model.set_fault(Some(Fault::Crash(at)));
        }
        let lost = log_at(&mut writer, TIME + batch * 1800, numbers(logged, 3));
        logged += 3;
        if lost == 0 && writer.held() == 0 {
            delivered = logged;
        }
    }
    let calls = model.calls();
    drop(writer);
    model.restart();
    (delivered, calls)
}

/// How many calls there were, and how many changes of names a power failure could undo.
fn survives_a_power_failure(
    rotation: &Rotation,
    at: usize,
    changes: usize,
    unsynced: Unsynced,
) -> (usize, usize) {
    let model = Model::default();
    let (delivered, calls) = log_until(&model, rotation, at);
    let unsynced_changes = model.unsynced_changes();
    model.cut_power(changes.min(unsynced_changes), unsynced);
    let mut writer = open(&model, synced(rotation)).unwrap();
    for batch in 0..4 {
        assert_eq!(log_at(&mut writer, TIME + 20_000 + batch * 1800, numbers(1000 + batch * 3, 3)), 0);
    }
    writer.close().unwrap();
    let lines = lines(&model);
    for number in (0..delivered).chain(1000..1012) {
        let line = format!("{number:04}\n");
        let case = format!(
            "{number} after {at}, {changes}, {unsynced:?}: {lines:?} in {:?}",
            model.contents().keys()
        );
        assert_eq!(lines.get(&line), Some(&1), "{case}");
    }
    assert!(lines.values().all(|&times| times == 1), "{at}, {changes}, {unsynced:?}: {lines:?}");
    (calls, unsynced_changes)
}

#[track_caller]
pub(super) fn survives_each_power_failure(rotation: &Rotation) {
    let (calls, _) = survives_a_power_failure(rotation, usize::MAX, usize::MAX, Unsynced::Kept);
    assert!(calls > 20, "{calls}");
    for at in 0..calls {
        for unsynced in [Unsynced::Lost, Unsynced::Torn, Unsynced::Kept] {
            let (_, most) = survives_a_power_failure(rotation, at, usize::MAX, unsynced);
            for changes in 0..most {
                survives_a_power_failure(rotation, at, changes, unsynced);
            }
        }
    }
}

#[test]
fn what_was_reported_as_on_the_disk_survives_a_power_failure_in_each_call_of_a_roll() {
    for rotation in [
        Rotation::new().at_bytes(20).keep_files(100),
        Rotation::new().hourly().keep_files(100),
        Rotation::new().hourly().at_bytes(20).keep_files(100),
    ] {
        survives_each_power_failure(&rotation);
    }
}
