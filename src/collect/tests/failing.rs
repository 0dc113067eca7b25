//! Files that cannot be read and a ledger that cannot be written: cursors move only with facts.

use super::*;
use crate::domain::{Clock, SystemClock};
use crate::ledger::quarantined;
use crate::tail::TailError;
use crate::watch::FoundFile;
use pretty_assertions::assert_eq;

#[test]
fn a_ledger_that_fails_moves_no_cursor_and_the_next_pass_catches_up() {
    for restart in [false, true] {
        let mut sandbox = Sandbox::new();
        sandbox.write("a.jsonl", &line("A", 1));
        sandbox.pass();
        let before = sandbox.cursors();
        sandbox.append("a.jsonl", &line("B", 1));
        sandbox.write("b.jsonl", &line("C", 1));
        sandbox.refuse(Some("*C"));
        for _ in 0..2 {
            let CollectError::Ledger(error) = sandbox.try_pass().unwrap_err();
            assert!(matches!(error, LedgerError::Sqlite(_)), "{error:?}");
            assert_eq!((sandbox.counted(), sandbox.cursors()), ((1, 1), before.clone()));
        }
        sandbox.refuse(None);
        if restart {
            sandbox.restart();
        }
        let summary = sandbox.pass();
        assert_eq!((summary.ingest.new_responses, sandbox.counted()), (2, (3, 3)));
        assert_eq!(sandbox.pass().files_read, 0);
    }
}

#[test]
fn a_pass_that_fails_midway_keeps_what_was_written_and_goes_on_there() {
    for restart in [false, true] {
        let mut sandbox = Sandbox::new();
        let text = lines(0..20_000);
        sandbox.write("a.jsonl", &text);
        sandbox.refuse(Some("msg_01015000"));
        sandbox.try_pass().unwrap_err();
        let (counted, _) = sandbox.counted();
        assert!((1..15_000).contains(&counted), "{counted} responses");
        let width = line("000000", 1).len() as u64;
        let offset = sandbox.cursors()["a.jsonl"].offset;
        assert_eq!(offset, counted * width, "the cursor stands behind what was counted");
        sandbox.refuse(None);
        if restart {
            sandbox.restart();
        }
        let summary = sandbox.pass();
        assert_eq!(summary.bytes, text.len() as u64 - offset, "nothing is read twice");
        assert_eq!((summary.ingest.new_responses, sandbox.counted().0), (20_000 - counted, 20_000));
    }
}

#[test]
fn a_moved_file_whose_first_piece_failed_is_still_a_moved_file() {
    let mut sandbox = Sandbox::new();
    sandbox.write("a.jsonl", &line("A", 1));
    sandbox.pass();
    fs::rename(sandbox.log("a.jsonl"), sandbox.log("b.jsonl")).unwrap();
    sandbox.append("b.jsonl", &line("B", 1));
    sandbox.refuse(Some("*B"));
    sandbox.try_pass().unwrap_err();
    sandbox.refuse(None);
    assert_eq!(sandbox.pass().bytes, line("B", 1).len() as u64);
    assert_eq!(sandbox.places()["msg_01A"], ["b.jsonl:0"]);
    assert_eq!(sandbox.cursors().len(), 1);
}

#[test]
fn readers_in_threads_stop_when_the_ledger_fails() {
    let mut sandbox = Sandbox::new();
    for file in 0..4 {
        sandbox.write(&format!("{file}.jsonl"), &lines(file * 6_000..(file + 1) * 6_000));
    }
    sandbox.refuse(Some("*"));
    sandbox.try_pass().unwrap_err();
    assert_eq!((sandbox.counted(), sandbox.cursors().len()), ((0, 0), 0));
    sandbox.refuse(None);
    assert_eq!((sandbox.pass().ingest.new_responses, sandbox.counted().0), (24_000, 24_000));
}

#[test]
fn a_file_that_cannot_be_read_is_said_once_until_it_can() {
    let mut sandbox = Sandbox::new();
    sandbox.write("good.jsonl", &line("A", 1));
    let bad = sandbox.log("bad.jsonl");
    let look = |sandbox: &mut Sandbox| {
        let found = |name: &str| {
            let path = sandbox.log(name);
            FoundFile { metadata: fs::metadata(&path).unwrap(), path }
        };
        let files = [found("bad.jsonl"), found("good.jsonl")];
        sandbox.collector().take_in(&files, &mut |_| {}).unwrap()
    };
    for _ in 0..2 {
        fs::create_dir(&bad).unwrap();
        let said = reports(&look(&mut sandbox));
        assert_eq!(said, [format!("{}: not a regular file", bad.display())]);
        assert_eq!(sandbox.counted(), (1, 1), "it harms no other");
        assert_eq!(reports(&look(&mut sandbox)), Vec::<String>::new(), "said before");
        fs::remove_dir(&bad).unwrap();
        sandbox.write("bad.jsonl", "");
        assert_eq!(reports(&look(&mut sandbox)), Vec::<String>::new(), "it can be read");
        fs::remove_file(&bad).unwrap();
    }
}

#[test]
fn a_file_that_vanished_since_it_was_found_is_no_trouble() {
    let mut sandbox = Sandbox::new();
    sandbox.write("a.jsonl", &line("A", 1));
    let tree = walk(&sandbox.folder.path().join("logs"), &mut |_, _| {});
    fs::remove_file(sandbox.log("a.jsonl")).unwrap();
    let summary = sandbox.collector().take_in_tree(&tree, &mut |_| {}).unwrap();
    assert_eq!((summary.reports.len(), sandbox.cursors().len()), (0, 0));
}

#[test]
fn what_took_the_place_of_a_log_after_it_was_found_holds_up_nobody() {
    let mut sandbox = Sandbox::new();
    sandbox.write("a.jsonl", &line("A", 1));
    sandbox.write("b.jsonl", &line("B", 1));
    let path = sandbox.log("a.jsonl");
    let found = |name: &str, path: &Path| FoundFile {
        path: sandbox.log(name),
        metadata: fs::metadata(path).unwrap(),
    };
    let files = [found("a.jsonl", &path), found("b.jsonl", &sandbox.log("b.jsonl"))];
    fs::remove_file(&path).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let summary = sandbox.collector().take_in(&files, &mut |_| {}).unwrap();
    assert!(
        matches!(&summary.reports[..], [FileReport::File(TailError::NotRegular { .. })]),
        "{:?}",
        summary.reports
    );
    assert_eq!((summary.losses, sandbox.counted()), (1, (1, 1)), "the other one counts");
}

/// As on a disk that fills up while the new ledger is being made: the damage is met once more, the ledger that was
/// made is sound.
#[test]
fn a_rebuild_that_fails_after_the_ledger_was_made_goes_on_there() {
    let mut sandbox = Sandbox::new();
    sandbox.write("a.jsonl", &line("A", 1));
    sandbox.pass();
    let state = sandbox.state();
    let ledger = || rusqlite::Connection::open(state.join(LEDGER_FILE)).unwrap();
    let refusal = "DELETE FROM meta WHERE key = 'price_digest'; CREATE TRIGGER refuse BEFORE INSERT ON meta \
                   WHEN NEW.key = 'price_digest' BEGIN SELECT RAISE (ABORT, 'refused'); END";
    ledger().execute_batch(refusal).unwrap();
    let (backup, _) =
        sandbox.collector.as_ref().unwrap().ledger().backup_due(SystemClock.now()).unwrap().unwrap();
    assert!(backup.make().unwrap());
    let found = LedgerError::Damaged { path: state.join(LEDGER_FILE), what: "found so".to_owned() };
    let collector = sandbox.collector.as_mut().unwrap();
    for _ in 0..5 {
        collector.rebuild(&found, SystemClock.now()).unwrap_err();
    }
    ledger().execute_batch("DROP TRIGGER refuse").unwrap();
    let rebuilt = collector.rebuild(&found, SystemClock.now()).unwrap();
    let aside: Vec<_> = quarantined(&state).into_iter().map(|one| one.path).collect();
    assert_eq!(aside, [rebuilt.put_aside], "the new one is not put aside");
    sandbox.append("a.jsonl", &line("B", 1));
    sandbox.pass();
    assert_eq!(sandbox.counted(), (2, 2));
    // Damage that comes later is mended as the first was.
    fs::remove_file(state.join(format!("{LEDGER_FILE}.backup"))).unwrap();
    sandbox.collector().rebuild(&found, SystemClock.now()).unwrap();
    assert_eq!(quarantined(&state).len(), 2);
}
