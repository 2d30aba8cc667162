#[cfg(feature = "gzip")]
mod packing;
mod power;
mod python;

use super::*;
use crate::binary::Reader;
use crate::format::{Binary, Format};
use crate::handler::testing::{Run, lost};
use crate::output::testing::{Fault, Model};

const PATH: &str = "/log/app.log";
/// 2023-11-14T22:13:20Z.
const TIME: u64 = 1_700_000_000;

/// The message, and nothing else; what tells of losses is `lost 3`.
struct Plain;

impl Format for Plain {
    fn format(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
        let message = record.message().to_string();
        match message.split_once(" records lost here") {
            Some((count, _)) => out.extend_from_slice(format!("lost {count}\n").as_bytes()),
            None => out.extend_from_slice(format!("{message}\n").as_bytes()),
        }
    }
}

fn open(model: &Model, options: FileOptions) -> Result<Writer<Model>, Error> {
    open_as(Form::Lines, model, options)
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    Lines,
    Frames,
}

fn open_as(form: Form, model: &Model, options: FileOptions) -> Result<Writer<Model>, Error> {
    let mut writer = Writer::open(model.clone(), Path::new(PATH), options)?.eager();
    match form {
        Form::Lines => writer.stream.set_format_of_file(Plain),
        Form::Frames => writer.stream.set_format_of_file(Binary::new()),
    }
    Ok(writer)
}

fn options() -> FileOptions {
    FileOptions::default()
}

/// Hands over messages made at this second after 1970, and flushes. How many records were lost.
fn log_at(writer: &mut Writer<Model>, second: u64, messages: impl IntoIterator<Item = String>) -> u64 {
    let run = Run::at(Timestamp::from_nanos(second * 1_000_000_000), messages);
    writer.files.set_time(second);
    lost(writer.handle(&run.all())) + lost(writer.flush())
}

fn log(writer: &mut Writer<Model>, messages: &[&str]) -> u64 {
    log_at(writer, TIME, messages.iter().map(|&message| message.to_owned()))
}

/// The error of a call that cost no record.
#[track_caller]
fn told(result: Result<(), HandlerError>) -> String {
    let text = result.as_ref().unwrap_err().to_string();
    assert_eq!(lost(result), 0, "{text}");
    text
}

fn numbers(from: u64, count: u64) -> impl Iterator<Item = String> {
    (from..from + count).map(|number| format!("{number:04}"))
}

/// All that is in the file and in those that it was before, the oldest first; of frames, the lines that they are decoded to.
fn history(model: &Model) -> String {
    let is_ours = |path: &str| path.starts_with(PATH) && !path.ends_with("old");
    let mut files: Vec<_> = model.contents().into_iter().filter(|(path, _)| is_ours(path)).collect();
    // The file itself is the newest, numbered ones are newer the lower they are, stamped ones the higher.
    files.sort_by_key(|(path, _)| {
        let suffix = path[PATH.len()..].trim_start_matches('.').to_owned();
        let number = suffix.parse::<i64>();
        (suffix.is_empty(), number.map_or(0, |number| -number), suffix)
    });
    files.into_iter().map(|(_, bytes)| text_of(bytes)).collect()
}

/// The lines of a file. One of frames stands alone, whatever happened to it.
#[track_caller]
fn text_of(bytes: Vec<u8>) -> String {
    if !bytes.contains(&0xf5) {
        return String::from_utf8(bytes).unwrap();
    }
    let (mut reader, mut lines) = (Reader::new(bytes.as_slice()), Vec::new());
    while let Some(record) = reader.read().unwrap() {
        Plain.format(&record, &mut lines);
    }
    let summary = reader.summary();
    assert_eq!((summary.undefined, summary.refused_frames), (0, 0), "{summary}");
    String::from_utf8(lines).unwrap()
}

/// Every line is whole, records are in order, and where some are missing a line says how many. Gives what is next.
#[track_caller]
fn check_history(text: &str) -> u64 {
    let (mut next, mut announced) = (None, 0);
    for line in text.split_inclusive('\n') {
        let whole = line.strip_suffix('\n').unwrap_or_else(|| panic!("torn: {line:?} in {text:?}"));
        if let Some(count) = whole.strip_prefix("lost ") {
            announced += count.parse::<u64>().unwrap();
            continue;
        }
        let number: u64 = whole.parse().unwrap_or_else(|_| panic!("no record: {line:?} in {text:?}"));
        assert_eq!(line.len(), 5, "half of two: {line:?}");
        assert_eq!(number, next.unwrap_or(number) + announced, "{line:?} in {text}");
        (next, announced) = (Some(number + 1), 0);
    }
    next.map_or(0, |next| next + announced)
}

const CODES: [i32; 6] = [libc::ENOSPC, libc::EDQUOT, libc::EIO, libc::EROFS, libc::EMFILE, libc::EINTR];

/// Numbered records before, while and after something fails; the file rolls every few records and is synced after
/// each batch. What happened is checked line by line.
fn survives(form: Form, fault: Fault) -> usize {
    let model = Model::default();
    model.put("/log/app.log.old", "foreign\n");
    let bytes_max = if form == Form::Lines { 40 } else { 1000 };
    let rotation = Rotation::new().at_bytes(bytes_max).keep_files(usize::MAX);
    let sync = if matches!(fault, Fault::Once(..)) { SyncPolicy::EachBatch } else { SyncPolicy::Never };
    let mut writer = open_as(form, &model, options().rotate(rotation).sync(sync)).unwrap();
    let (mut offered, mut failed, mut calls) = (0, 0, 0);
    for phase in [None, Some(fault), None] {
        model.set_fault(phase);
        for _ in 0..6 {
            failed += log_at(&mut writer, TIME, numbers(offered, 3));
            offered += 3;
            assert!(model.open_files() == 1, "{fault:?}");
        }
        calls = calls.max(model.calls());
    }
    failed += lost(writer.close());
    assert_eq!(writer.held(), 0, "{fault:?}");
    let text = history(&model);
    assert_eq!(check_history(&text), offered, "{fault:?}: {text}");
    assert!(text.ends_with(&format!("{:04}\n", offered - 1)), "it goes on: {fault:?}: {text}");
    let written = text.lines().filter(|line| !line.starts_with("lost")).count() as u64;
    // A sync that fails costs records which are there nevertheless, as nobody knows.
    if sync == SyncPolicy::Never {
        assert_eq!(written + failed, offered, "{fault:?}: {text}");
    } else {
        assert!(written + failed >= offered, "{fault:?}: {text}");
    }
    assert_eq!(model.text("/log/app.log.old"), "foreign\n");
    assert!(model.contents()[PATH].len() as u64 <= bytes_max);
    calls
}

#[test]
fn whichever_call_fails_lines_are_whole_every_gap_is_announced_and_it_goes_on() {
    for form in [Form::Lines, Form::Frames] {
        let calls = survives(form, Fault::Once(usize::MAX, 0));
        assert!(calls > 40, "{calls}");
        for at in 0..calls {
            survives(form, Fault::Short(at));
            for code in CODES {
                survives(form, Fault::Once(at, code));
                survives(form, Fault::Forever(at, code));
                survives(form, Fault::Torn(at, code));
            }
        }
    }
}

/// Opens, logs while the process dies in call `at`, and starts again. How many calls there were.
fn recovers(form: Form, rotation: &Rotation, at: usize) -> usize {
    let model = Model::default();
    model.put("/log/app.log.old", "foreign\n");
    let mut logged = 0;
    let mut written = 0;
    let mut batch = |writer: &mut Writer<Model>, hour: &mut u64| {
        *hour += 1;
        let lost = log_at(writer, TIME + *hour * 1800, numbers(logged, 3));
        logged += 3;
        if lost == 0 && writer.held() == 0 {
            written = logged;
        }
        written
    };
    let mut hour = 0;
    let mut writer = open_as(form, &model, options().rotate(rotation.clone())).unwrap();
    for _ in 0..4 {
        batch(&mut writer, &mut hour);
    }
    model.set_fault(Some(Fault::Crash(at)));
    let acknowledged = batch(&mut writer, &mut hour);
    let acknowledged = batch(&mut writer, &mut hour).max(acknowledged);
    let calls = model.calls();
    drop(writer);
    model.restart();
    let before = history(&model);
    for number in 0..acknowledged {
        assert!(before.contains(&format!("{number:04}\n")), "{number} was lost in call {at}: {before}");
    }
    let mut writer = open_as(form, &model, options().rotate(rotation.clone())).unwrap();
    for _ in 0..4 {
        batch(&mut writer, &mut hour);
    }
    writer.close().unwrap();
    let after = history(&model);
    assert!(
        after.starts_with(before.trim_end_matches('\n')),
        "call {at}: {before} became {:#?}",
        model.contents()
    );
    for number in acknowledged + 6..logged {
        assert_eq!(after.matches(&format!("{number:04}\n")).count(), 1, "{number}, call {at}: {after}");
    }
    let numbers: Vec<u64> =
        after.lines().filter(|line| line.len() == 4).map(|l| l.parse().unwrap()).collect();
    assert!(numbers.is_sorted(), "call {at}: {after}");
    assert_eq!(model.text("/log/app.log.old"), "foreign\n");
    calls
}

#[test]
fn whichever_call_a_process_dies_in_no_record_that_was_written_is_lost_and_the_next_start_recovers() {
    for (form, bytes_max) in [(Form::Lines, 20), (Form::Frames, 500)] {
        let rotations = [
            Rotation::new().at_bytes(bytes_max).keep_files(100),
            Rotation::new().hourly().keep_files(100),
            Rotation::new().hourly().at_bytes(bytes_max).keep_files(100),
        ];
        for rotation in rotations {
            let calls = recovers(form, &rotation, usize::MAX);
            assert!(calls > 15, "{calls}");
            for at in 0..calls {
                recovers(form, &rotation, at);
            }
        }
    }
}

#[test]
fn a_file_that_was_moved_away_is_begun_anew() {
    let model = Model::default();
    let mut writer = open(&model, options()).unwrap();
    log(&mut writer, &["first"]);
    model.move_away(PATH, "/log/app.log.1");
    log(&mut writer, &["second"]);
    model.move_away(PATH, "/log/app.log.2");
    model.put(PATH, "by another\n");
    log(&mut writer, &["third"]);
    model.delete(PATH);
    log(&mut writer, &["fourth"]);
    assert_eq!(model.text("/log/app.log.1"), "first\n");
    assert_eq!(model.text("/log/app.log.2"), "second\n");
    assert_eq!(model.text(PATH), "fourth\n");
    assert_eq!(model.open_files(), 1);
}

#[test]
fn what_waits_in_the_buffer_goes_to_the_file_that_the_path_names_when_it_leaves() {
    let model = Model::default();
    let mut writer = open(&model, options()).unwrap();
    log(&mut writer, &["first"]);
    writer.handle(&Run::at(Timestamp::from_nanos(TIME), ["second".to_owned()]).all()).unwrap();
    model.delete(PATH);
    writer.flush().unwrap();
    assert_eq!(model.text(PATH), "second\n", "and not to the file that is gone");
}

#[test]
fn between_looks_the_old_file_serves_unless_somebody_asks() {
    let model = Model::default();
    let mut writer = open(&model, options()).unwrap();
    (writer.look_interval, writer.next_look) = (LOOK_INTERVAL, clock::now() + LOOK_INTERVAL * 1000);
    model.move_away(PATH, "/log/app.log.1");
    log(&mut writer, &["first"]);
    writer.control.reopen();
    log(&mut writer, &["second"]);
    assert_eq!((model.text("/log/app.log.1"), model.text(PATH)), ("first\n".into(), "second\n".into()));
    assert!(!writer.control.wants_reopen());
}

#[test]
fn a_file_that_was_truncated_goes_on_at_its_beginning() {
    let model = Model::default();
    let mut writer = open(&model, options().header("#header").rotate(Rotation::new().at_bytes(20))).unwrap();
    log(&mut writer, &["first"]);
    assert_eq!(model.text(PATH), "#header\nfirst\n");
    model.empty(PATH);
    log(&mut writer, &["second"]);
    assert_eq!(model.text(PATH), "#header\nsecond\n", "its length is known, or it would have rolled");
}

#[test]
fn where_the_path_cannot_be_opened_the_old_file_serves_on_and_that_is_told_once() {
    let model = Model::default();
    let mut writer = open(&model, options()).unwrap();
    model.move_away(PATH, "/log/app.log.1");
    model.set_fault(Some(Fault::Once(2, libc::EMFILE)));
    let run = Run::at(Timestamp::from_nanos(TIME), ["first".to_owned()]);
    let error = told(writer.handle(&run.all()));
    assert!(error.starts_with("cannot reopen /log/app.log: Too many open files"), "{error}");
    model.set_fault(Some(Fault::Once(2, libc::EMFILE)));
    writer.flush().unwrap();
    assert_eq!(model.text("/log/app.log.1"), "first\n");
    log(&mut writer, &["second"]);
    assert_eq!(model.text(PATH), "second\n");
}

#[test]
fn a_file_that_was_deleted_takes_nothing_more_and_what_it_was_begun_with_is_whole_in_the_next() {
    let model = Model::default();
    let mut writer = open(&model, options()).unwrap();
    model.set_fault(Some(Fault::Torn(2, libc::ENOSPC)));
    assert_eq!(log(&mut writer, &["torn line"]), 0);
    model.set_fault(None);
    model.delete(PATH);
    let run = Run::at(Timestamp::from_nanos(TIME), ["lost".to_owned()]);
    let cannot_open = Some(Fault::Once(2, libc::EACCES));
    model.set_fault(cannot_open);
    let error = told(writer.handle(&run.all()));
    assert!(error.starts_with("cannot reopen /log/app.log: Permission denied"), "{error}");
    model.set_fault(cannot_open);
    let error = writer.flush().unwrap_err();
    assert!(error.to_string().starts_with("cannot write to /log/app.log: the file was deleted"), "{error}");
    assert_eq!((lost(Err(error)), writer.held()), (1, 1), "what was begun waits");
    model.set_fault(None);
    log(&mut writer, &["next"]);
    assert_eq!(model.text(PATH), "torn line\nlost 1\nnext\n");
}

#[test]
fn a_torn_line_is_whole_in_the_file_that_follows_if_the_old_one_takes_no_more() {
    let model = Model::default();
    let mut writer = open(&model, options()).unwrap();
    model.set_fault(Some(Fault::Torn(2, libc::ENOSPC)));
    assert_eq!(log(&mut writer, &["torn line"]), 0);
    assert_eq!(model.text(PATH), "torn ");
    model.set_fault(None);
    model.move_away(PATH, "/log/app.log.1");
    log(&mut writer, &["next"]);
    assert_eq!(model.text("/log/app.log.1"), "torn line\n", "a last chance");
    assert_eq!(model.text(PATH), "next\n");
}

#[test]
fn a_torn_line_is_whole_in_a_file_that_was_truncated_meanwhile() {
    let model = Model::default();
    let mut writer = open(&model, options()).unwrap();
    model.set_fault(Some(Fault::Torn(2, libc::ENOSPC)));
    log(&mut writer, &["torn line"]);
    model.set_fault(None);
    model.empty(PATH);
    log(&mut writer, &["next"]);
    assert_eq!(model.text(PATH), "torn line\nnext\n");
}

#[test]
fn frames_that_are_held_are_told_again_what_they_need_wherever_they_go() {
    let model = Model::default();
    let mut writer = open_as(Form::Frames, &model, options().header("for lines only")).unwrap();
    let run = |texts: &[&str]| Run::of(Level::Info, texts.iter().copied());
    let first = run(&["first"]);
    writer.handle(&first.all()).unwrap();
    writer.flush().unwrap();
    assert_eq!(model.contents()[PATH][0], 0xf5, "a frame, and no header before it");
    // One is torn, the other is sealed and held, and both refer to what was defined before.
    writer.handle(&first.all()).unwrap();
    model.set_fault(Some(Fault::Torn(2, libc::ENOSPC)));
    writer.handle(&first.all()).unwrap();
    assert_eq!(lost(writer.flush()), 0);
    model.set_fault(Some(Fault::Forever(0, libc::EAGAIN)));
    writer.handle(&first.all()).unwrap();
    writer.flush().unwrap();
    model.set_fault(None);
    assert_eq!(writer.held(), 3);
    model.empty(PATH);
    writer.handle(&first.all()).unwrap();
    writer.flush().unwrap();
    assert_eq!(text_of(model.contents()[PATH].clone()), "first\n".repeat(4));
    // The file is gone with what was written, what is held is not.
    writer.handle(&first.all()).unwrap();
    model.delete(PATH);
    writer.flush().unwrap();
    assert_eq!(text_of(model.contents()[PATH].clone()), "first\n");
    model.move_away(PATH, "/log/app.log.1");
    log(&mut writer, &["last"]);
    writer.handle(&first.all()).unwrap();
    writer.flush().unwrap();
    assert_eq!(text_of(model.contents()["/log/app.log.1"].clone()), "first\n");
    assert_eq!(text_of(model.contents()[PATH].clone()), "last\nfirst\n");
}

#[test]
fn a_record_that_no_frame_can_hold_has_failed_and_is_told_of() {
    let model = Model::default();
    let mut writer = open_as(Form::Frames, &model, options()).unwrap();
    let text = "x".repeat(2 << 20);
    let run = Run::of(Level::Info, ["before", &text, "after"]);
    let error = writer.handle(&run.all()).unwrap_err();
    assert_eq!(error.to_string(), "cannot write to /log/app.log: too large for a portable record");
    assert_eq!(lost(Err(error)), 1);
    writer.flush().unwrap();
    assert_eq!(history(&model), "before\nlost 1\nafter\n");
}

#[test]
fn a_file_that_another_process_put_there_is_not_rolled() {
    let model = Model::default();
    let mut writer = open(&model, options().rotate(Rotation::new().at_bytes(10))).unwrap();
    log(&mut writer, &["first"]);
    (writer.look_interval, writer.next_look) = (LOOK_INTERVAL, clock::now() + LOOK_INTERVAL * 1000);
    model.move_away(PATH, "/log/theirs");
    model.put(PATH, "x\n");
    log(&mut writer, &["second"]);
    let files: Vec<_> = model.all().into_iter().collect();
    let expected = [(PATH, "x\nsecond\n"), ("/log/theirs", "first\n")];
    assert_eq!(files, expected.map(|(path, text)| (path.to_owned(), text.to_owned())));
}

#[test]
fn each_policy_syncs_when_it_says() {
    let synced_after_each = |sync: SyncPolicy| {
        let model = Model::default();
        let mut writer = open(&model, options().sync(sync)).unwrap();
        [Level::Info, Level::Error, Level::Info].map(|level| {
            writer.handle(&Run::of(level, ["text"]).all()).unwrap();
            writer.flush().unwrap();
            (model.synced(PATH) / "text\n".len(), writer.held())
        })
    };
    assert_eq!(synced_after_each(SyncPolicy::Never), [(0, 0); 3]);
    assert_eq!(synced_after_each(SyncPolicy::EachBatch), [(1, 0), (2, 0), (3, 0)]);
    assert_eq!(synced_after_each(SyncPolicy::AtLevel(Level::Warn)), [(0, 0), (2, 0), (2, 0)]);
    assert_eq!(synced_after_each(SyncPolicy::Each(Duration::ZERO)), [(1, 0), (2, 0), (3, 0)]);
    assert_eq!(synced_after_each(SyncPolicy::Each(Duration::from_secs(60))), [(0, 1), (0, 2), (0, 3)]);
}

#[test]
fn a_close_syncs_what_the_policy_left() {
    let model = Model::default();
    let mut writer = open(&model, options().sync(SyncPolicy::Each(Duration::from_secs(60)))).unwrap();
    log(&mut writer, &["text"]);
    writer.close().unwrap();
    assert_eq!((model.synced(PATH), writer.held()), (5, 0));
}

#[test]
fn a_sync_that_failed_costs_the_records_and_the_descriptor_is_not_asked_again() {
    let model = Model::default();
    let mut writer = open(&model, options().sync(SyncPolicy::EachBatch)).unwrap();
    let handle = |writer: &mut Writer<Model>, text: &str| {
        writer.handle(&Run::at(Timestamp::from_nanos(TIME), [text.to_owned()]).all())
    };
    // Calls: a look at the path, the write, the sync of the name, the sync.
    model.set_fault(Some(Fault::Once(3, libc::EIO)));
    let error = handle(&mut writer, "first").unwrap_err();
    assert!(error.to_string().starts_with("cannot sync /log/app.log: Input/output error"), "{error}");
    assert_eq!(lost(Err(error)), 1);
    assert!(writer.disk.is_poisoned);
    // It cannot be opened anew: still no success.
    model.set_fault(Some(Fault::Once(1, libc::EMFILE)));
    assert_eq!(lost(handle(&mut writer, "second")), 1);
    assert_eq!(model.synced(PATH), 0);
    model.set_fault(None);
    assert_eq!(lost(handle(&mut writer, "third")), 0);
    assert_eq!(model.synced(PATH), "first\nsecond\nthird\n".len());
    assert_eq!((writer.disk.is_poisoned, model.open_files()), (false, 1));
}

#[test]
fn each_file_begins_with_the_header_and_no_file_is_only_that() {
    let model = Model::default();
    let mut writer =
        open(&model, options().header("#head").rotate(Rotation::new().at_bytes(20).on_start(true))).unwrap();
    log(&mut writer, &["1234567890", "a", "b", "a record of thirty bytes, more", "c"]);
    let files: Vec<_> = model.all().into_iter().collect();
    let expected = [
        (PATH, "#head\nc\n"),
        ("/log/app.log.1", "#head\na record of thirty bytes, more\n"),
        ("/log/app.log.2", "#head\nb\n"),
        ("/log/app.log.3", "#head\n1234567890\na\n"),
    ];
    let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    assert_eq!(files, expected);
}

#[test]
fn it_rolls_on_start_and_on_request_but_never_an_empty_file() {
    let model = Model::default();
    let start = || open(&model, options().rotate(Rotation::new().on_start(true))).unwrap();
    let mut writer = start();
    log(&mut writer, &["first"]);
    assert_eq!(model.all().len(), 1, "there was nothing to roll");
    drop(start());
    assert_eq!(model.all().len(), 1, "nothing was logged");
    let mut writer = start();
    log(&mut writer, &["second"]);
    writer.control.roll();
    log(&mut writer, &["third", "fourth"]);
    assert_eq!(history(&model), "first\nsecond\nthird\nfourth\n");
    assert_eq!(model.text(PATH), "third\nfourth\n");
    assert_eq!(model.text("/log/app.log.2"), "first\n");
}

#[test]
fn a_record_is_in_the_file_of_its_interval_however_long_nothing_was_logged() {
    const DAY: u64 = 86_400;
    let model = Model::default();
    let rotation = Rotation::new().daily().at_bytes(12).keep_files(4);
    let mut writer = open(&model, options().rotate(rotation)).unwrap();
    for (day, text) in [(0, "1"), (0, "2"), (1, "3"), (1, "four"), (1, "five"), (1, "six"), (9, "seven")] {
        log_at(&mut writer, TIME + day * DAY, [text.to_owned()]);
    }
    log_at(&mut writer, TIME + 8 * DAY, ["late".to_owned()]); // its file is closed: where it arrives
    let names: Vec<_> = model.all().into_iter().collect();
    let names: Vec<_> = names.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    assert_eq!(
        names,
        [
            (PATH, "seven\nlate\n"),
            ("/log/app.log.2023-11-14", "1\n2\n"),
            ("/log/app.log.2023-11-15", "3\nfour\nfive\n"),
            ("/log/app.log.2023-11-15.1", "six\n"),
        ]
    );
}

#[test]
fn a_clock_that_was_far_ahead_and_is_set_right_stops_no_roll() {
    const HOUR: u64 = 3600;
    let model = Model::default();
    let mut writer = open(&model, options().rotate(Rotation::new().hourly())).unwrap();
    let ahead = TIME + 100 * 24 * HOUR; // 2024-02-22T22:13:20Z
    let times = [(ahead, "ahead"), (ahead - HOUR, "late"), (TIME, "right"), (TIME + HOUR, "next")];
    for (second, text) in times {
        log_at(&mut writer, second, [text.to_owned()]);
    }
    let files: Vec<_> = model.all().into_iter().collect();
    let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let expected = [
        (PATH, "next\n"),
        ("/log/app.log.2023-11-14_22", "right\n"),
        ("/log/app.log.2024-02-22_22", "ahead\nlate\n"),
    ];
    assert_eq!(files, expected);
}

#[test]
fn of_short_intervals_a_record_may_be_two_hours_late() {
    let model = Model::default();
    let mut writer = open(&model, options().rotate(Rotation::new().minutely())).unwrap();
    for (second, text) in [(TIME, "now"), (TIME - 7200, "late"), (TIME - 7300, "set back")] {
        log_at(&mut writer, second, [text.to_owned()]);
    }
    assert_eq!((model.text(PATH).as_str(), model.all().len()), ("set back\n", 2));
}

#[test]
fn a_record_that_the_format_leaves_out_neither_puts_a_roll_off_nor_makes_one() {
    let model = Model::default();
    let mut writer = open(&model, options().rotate(Rotation::new())).unwrap();
    writer.roller.as_mut().unwrap().rolling = BackOff::new();
    writer.stream.set_format(SkipsEmpty);
    log(&mut writer, &["one"]);
    writer.control.roll();
    log(&mut writer, &["", "two"]);
    assert_eq!((model.text("/log/app.log.1").as_str(), model.text(PATH).as_str()), ("one\n", "two\n"));
    let run = Run::at(Timestamp::from_nanos(TIME), ["three", ""].map(str::to_owned));
    let records: Vec<_> = run.all().iter().collect();
    writer.take(&records[0]);
    writer.control.roll();
    writer.take(&records[1]);
    log(&mut writer, &["four"]);
    assert_eq!(
        (model.text("/log/app.log.1").as_str(), model.text(PATH).as_str()),
        ("two\nthree\n", "four\n")
    );
}

/// As [`Plain`], but that it has nothing to say of some records.
struct SkipsEmpty;

impl Format for SkipsEmpty {
    fn format(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
        if !record.message().to_string().is_empty() {
            Plain.format(record, out);
        }
    }
}

#[test]
fn what_an_earlier_process_wrote_rolls_if_its_interval_is_over() {
    let model = Model::default();
    model.put(PATH, "of 1970\n");
    let mut writer = open(&model, options().rotate(Rotation::new().hourly())).unwrap();
    log(&mut writer, &["new"]);
    assert_eq!(model.text("/log/app.log.1970-01-01_00"), "of 1970\n");
    assert_eq!(model.text(PATH), "new\n");
}

#[test]
fn a_roll_that_fails_is_told_once_and_the_old_file_serves_on() {
    let model = Model::default();
    let mut writer = open(&model, options().rotate(Rotation::new().at_bytes(10))).unwrap();
    writer.roller.as_mut().unwrap().rolling = BackOff::new();
    log(&mut writer, &["first"]);
    // Calls: a look, the lock on the names, another look, the list, the rename.
    model.set_fault(Some(Fault::Once(4, libc::EROFS)));
    let run = Run::at(Timestamp::from_nanos(TIME), ["second".to_owned()]);
    let error = told(writer.handle(&run.all()));
    assert!(error.starts_with("cannot roll /log/app.log: Read-only file system"), "{error}");
    assert_eq!(log(&mut writer, &["third"]), 0);
    assert_eq!(model.text(PATH), "first\nsecond\nthird\n", "it waits a second before it tries again");
    writer.roller.as_mut().unwrap().rolling = BackOff::eager();
    log(&mut writer, &["fourth"]);
    assert_eq!(model.text(PATH), "fourth\n");
}

proptest::proptest! {
    #[test]
    fn no_file_is_longer_than_it_may_be_and_no_line_is_lost(
        lengths in proptest::collection::vec(0_usize..30, 1..60), most in 1_u64..40, every in 1_usize..10,
    ) {
        let model = Model::default();
        let rotation = Rotation::new().at_bytes(most).keep_files(usize::MAX);
        let mut writer = open(&model, options().rotate(rotation)).unwrap();
        let lines: Vec<_> =
            lengths.iter().enumerate().map(|(at, &length)| format!("{at}{}", "x".repeat(length))).collect();
        for batch in lines.chunks(every) {
            log_at(&mut writer, TIME, batch.iter().cloned());
        }
        proptest::prop_assert_eq!(history(&model), lines.join("\n") + "\n");
        for text in model.all().into_values() {
            let is_single = text.matches('\n').count() == 1;
            proptest::prop_assert!(text.len() as u64 <= most || is_single, "{:?}", text);
            proptest::prop_assert!(!text.is_empty());
        }
    }
}
