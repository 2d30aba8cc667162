//! Rolled files are compressed, whatever fails meanwhile. The work of the thread is done in the call that begins it.

use super::power::{lines, survives_each_power_failure, text};
use super::*;
use crate::handler::Compression;
use crate::output::Lock;

fn rotation() -> Rotation {
    Rotation::new().at_bytes(20).keep_files(100).compress(Compression::Gzip)
}

fn names(model: &Model) -> Vec<String> {
    model.contents().into_keys().map(|path| path.strip_prefix("/log/").unwrap().to_owned()).collect()
}

/// Until there is nothing left to compress.
fn finish(writer: &mut Writer<Model>) {
    for _ in 0..20 {
        writer.tend().unwrap();
    }
}

#[test]
fn rolled_files_are_compressed_and_keep_their_time_and_mode() {
    let model = Model::default();
    let mut writer = open(&model, options().mode(0o640).rotate(rotation())).unwrap();
    for batch in 0..4 {
        log_at(&mut writer, TIME + batch, numbers(batch * 3, 3));
    }
    finish(&mut writer);
    assert_eq!(names(&model), ["app.log", "app.log.1.gz", "app.log.2.gz"]);
    let contents = model.contents();
    let read = |path: &str| text(path, contents[path].clone());
    assert_eq!(read("/log/app.log.2.gz"), "0000\n0001\n0002\n0003\n");
    assert_eq!(read("/log/app.log.1.gz"), "0004\n0005\n0006\n0007\n");
    let modified = |path: &str| model.facts_at(Path::new(path)).unwrap().modified;
    assert_eq!(modified("/log/app.log.2.gz"), SystemTime::UNIX_EPOCH + Duration::from_secs(TIME + 1));
    assert_eq!(model.mode("/log/app.log.1.gz"), 0o640);
    assert_eq!(model.open_files(), 1);
}

#[test]
fn what_is_compressed_counts_as_one_and_goes_when_it_is_too_old() {
    let model = Model::default();
    let mut writer = open(&model, options().rotate(rotation().keep_files(2))).unwrap();
    for batch in 0..10 {
        log_at(&mut writer, TIME, numbers(batch * 4, 4));
        finish(&mut writer);
    }
    assert_eq!(names(&model), ["app.log", "app.log.1.gz", "app.log.2.gz"]);
    assert_eq!(lines(&model).len(), 12);
}

#[test]
fn an_earlier_process_left_files_and_a_half_one_and_the_next_goes_on() {
    let model = Model::default();
    model.put("/log/app.log.1", "plain\n");
    model.put("/log/app.log.compressing", "half");
    let mut writer = open(&model, options().rotate(rotation())).unwrap();
    finish(&mut writer);
    assert_eq!(names(&model), ["app.log", "app.log.1.gz"]);
    assert_eq!(text("x.gz", model.contents()["/log/app.log.1.gz"].clone()), "plain\n");
    model.put("/log/app.log.compressing", "half");
    let mut writer = open(&model, options().rotate(rotation())).unwrap();
    finish(&mut writer);
    assert_eq!(names(&model), ["app.log", "app.log.1.gz"], "nothing waited, and it is cleared away");
}

#[test]
fn a_file_that_somebody_appends_to_is_left_until_he_does_not_and_does_not_keep_others_waiting() {
    let model = Model::default();
    model.put("/log/app.log.1", "newer\n");
    model.put("/log/app.log.2", "older\n");
    let slow = model.open(Path::new("/log/app.log.1")).unwrap();
    assert!(model.try_lock(&slow, Lock::Append).unwrap());
    let mut writer = open(&model, options().rotate(rotation())).unwrap();
    finish(&mut writer);
    assert_eq!(names(&model), ["app.log", "app.log.1", "app.log.2.gz"]);
    model.write(&slow, b"late\n").unwrap();
    drop(slow);
    finish(&mut writer);
    assert_eq!(names(&model), ["app.log", "app.log.1.gz", "app.log.2.gz"]);
    assert_eq!(text("x.gz", model.contents()["/log/app.log.1.gz"].clone()), "newer\nlate\n");
}

#[test]
fn two_processes_do_not_compress_at_once() {
    let model = Model::default();
    model.put("/log/app.log.1", "plain\n");
    let other = model.create(Path::new("/log/app.log.compressing")).unwrap();
    assert!(model.try_lock(&other, Lock::Alone).unwrap());
    model.write(&other, b"theirs").unwrap();
    let mut writer = open(&model, options().rotate(rotation())).unwrap();
    finish(&mut writer);
    assert_eq!(model.text("/log/app.log.compressing"), "theirs");
    assert_eq!(names(&model), ["app.log", "app.log.1", "app.log.compressing"]);
}

#[test]
fn a_file_that_moved_while_it_was_compressed_is_found_and_one_that_is_gone_stays_so() {
    let model = Model::default();
    for (number, text) in [(1, "newer\n"), (2, "older\n")] {
        model.put(&format!("/log/app.log.{number}"), text);
    }
    let mut writer = open(&model, options().rotate(rotation())).unwrap();
    writer.tend().unwrap(); // app.log.1 is compressed and has no name yet
    model.move_away("/log/app.log.2", "/log/app.log.3");
    model.move_away("/log/app.log.1", "/log/app.log.2");
    writer.tend().unwrap();
    assert!(model.contents().contains_key("/log/app.log.2.gz"), "{:?}", names(&model));
    model.delete("/log/app.log.3"); // in work by now
    finish(&mut writer);
    assert_eq!(names(&model), ["app.log", "app.log.2.gz"]);
}

#[test]
fn a_failure_is_told_once_and_costs_nothing() {
    let model = Model::default();
    model.put("/log/app.log.1", "plain\n");
    let mut writer = open(&model, options().rotate(rotation())).unwrap();
    // Calls: a look; the lock on the names, the list, the unlock; then opening the source.
    let mut told = 0;
    for _ in 0..5 {
        model.set_fault(Some(Fault::Once(4, libc::EIO)));
        if let Err(error) = writer.tend() {
            assert!(
                error.to_string().starts_with("cannot compress what was rolled from /log/app.log"),
                "{error}"
            );
            assert_eq!(lost(Err(error)), 0);
            told += 1;
        }
    }
    assert_eq!(told, 1);
    assert_eq!(model.text("/log/app.log.1"), "plain\n");
    model.set_fault(None);
    finish(&mut writer);
    assert_eq!(names(&model), ["app.log", "app.log.1.gz"]);
}

/// Numbered records, of which each is there once in the end, although something fails.
fn survives(fault: Fault) -> usize {
    let model = Model::default();
    model.put("/log/app.log.old", "foreign\n");
    let mut writer = open(&model, options().rotate(rotation())).unwrap();
    let (mut offered, mut failed, mut calls) = (0, 0, 0);
    for phase in [None, Some(fault), None] {
        model.set_fault(phase);
        for _ in 0..6 {
            failed += log_at(&mut writer, TIME, numbers(offered, 3)) + lost(writer.tend());
            offered += 3;
        }
        calls = calls.max(model.calls());
    }
    failed += lost(writer.close());
    finish(&mut open(&model, options().rotate(rotation())).unwrap());
    let lines = lines(&model);
    let written = lines.keys().filter(|line| line.len() == 5 && line.ends_with('\n')).count() as u64;
    assert_eq!(written + failed, offered, "{fault:?}: {lines:?}");
    let records = |line: &&String| !line.starts_with("lost");
    assert!(lines.keys().filter(records).all(|line| lines[line] == 1), "{fault:?}: {lines:?}");
    let plain = names(&model).into_iter().filter(|name| !name.ends_with(".gz")).collect::<Vec<_>>();
    assert_eq!(plain, ["app.log", "app.log.old"], "{fault:?}");
    calls
}

#[test]
fn whichever_call_fails_no_record_is_lost_or_doubled_and_all_is_compressed_in_the_end() {
    let calls = survives(Fault::Once(usize::MAX, 0));
    assert!(calls > 100, "{calls}");
    for at in 0..calls {
        survives(Fault::Short(at));
        for code in CODES {
            survives(Fault::Once(at, code));
            if code != libc::EINTR {
                // What is interrupted is tried again, as long as it takes.
                survives(Fault::Forever(at, code));
                survives(Fault::Torn(at, code));
            }
        }
    }
}

#[test]
fn what_was_reported_as_on_the_disk_survives_a_power_failure_while_it_is_compressed() {
    for rotation in [rotation(), rotation().hourly()] {
        survives_each_power_failure(&rotation);
    }
}
