//! Ledgers that are made anew, with what was read from the server in them: what shows, what is handed on, what
//! counts as missing, and where a crash in the middle leaves things.

use super::audit::{NOW, Whole, lines};
use super::outbox::{publish, user};
use super::restored::{adopt, revision, theirs, value};
use super::*;
use crate::ledger::quarantine::with;
use crate::ledger::{backup, rebuild};
use pretty_assertions::assert_eq;
use std::fs;

/// A ledger of which one session, "gone" with four responses, is the server's.
fn with_restored() -> (Whole, Sandbox) {
    let whole = Whole::new();
    let mut sandbox = whole.folder();
    sandbox.open_or_rebuild(NOW).unwrap();
    assert_eq!(adopt(&sandbox, theirs(value("gone", 2, 30), revision(7))), Found::Missing);
    sandbox.ledger().audit().unwrap();
    (whole, sandbox)
}

#[test]
fn damage_to_what_was_read_from_the_server_shows() {
    let (_, sandbox) = with_restored();
    let bytes = {
        let mut sandbox = sandbox;
        drop(sandbox.ledger.take());
        fs::read(sandbox.path()).unwrap()
    };
    for sql in [
        "UPDATE restored SET revision = revision + 1",
        "UPDATE restored SET last_at = last_at + 1",
        "UPDATE restored SET model = 9999",
        "UPDATE restored SET session = session - 1",
        "UPDATE restored SET digest = ''",
        "DELETE FROM restored",
        "DELETE FROM restored_cell",
        "DELETE FROM restored_cell WHERE quarter = (SELECT min(quarter) FROM restored_cell)",
        "UPDATE restored_cell SET input = input + 1",
        "UPDATE restored_cell SET cost_picodollars = cost_picodollars + 1",
        "UPDATE restored_cell SET quarter = quarter + 192",
        "UPDATE restored_cell SET first_at = first_at + 1",
        "INSERT INTO restored_cell SELECT session - 1, quarter, model, input, output, cache_write_5m, \
         cache_write_1h, cache_read, thinking, messages, web_searches, unpriced, incomplete, cost_dollars, \
         cost_picodollars, first_at, last_at, unpriced_tokens FROM restored_cell",
    ] {
        let mut sandbox = Sandbox { folder: tempfile::tempdir().unwrap(), ledger: None };
        fs::write(sandbox.path(), &bytes).unwrap();
        sandbox.spoil(sql);
        assert!(sandbox.open_or_rebuild(NOW).unwrap().is_some(), "{sql}: not noticed");
    }
}

#[test]
fn what_was_restored_and_is_lost_is_missing_until_the_server_gives_it_back() {
    let (_, mut sandbox) = with_restored();
    sandbox.spoil("UPDATE cell SET output = 0");
    sandbox.open_or_rebuild(NOW).unwrap().unwrap();
    assert!(matches!(sandbox.reader().check_read(), Err(LedgerError::Unread { .. })), "logs are to be read");
    sandbox.ingest_lines(0, lines());
    let lost = Losses { sessions: 1, responses: 4, is_all: true };
    assert_eq!(sandbox.ledger().settle_rebuild().unwrap(), Some(lost));
    assert_eq!(sandbox.ledger().settle_rebuild().unwrap(), None, "said once");
    sandbox.reader().check_read().unwrap();
    assert_eq!(adopt(&sandbox, theirs(value("gone", 1, 15), revision(7))), Found::Missing);
    let half = Losses { responses: 2, ..lost };
    assert_eq!(sandbox.outbox().restore_done().unwrap(), Some(half), "half of it came back");
    assert_eq!(adopt(&sandbox, theirs(value("gone", 2, 30), revision(7))), Found::Fuller);
    let nothing = Losses { is_all: true, ..Losses::default() };
    assert_eq!(sandbox.outbox().restore_done().unwrap(), Some(nothing));
    assert_eq!(sandbox.reader().rebuilt().unwrap().unwrap().losses, Some(nothing));
    assert_eq!(sandbox.outbox().restore_done().unwrap(), None, "all of it did");
}

#[test]
fn what_an_earlier_damage_has_cost_stays_missing_after_a_later_one() {
    for is_settled in [true, false] {
        let (_, mut sandbox) = with_restored();
        sandbox.spoil("UPDATE cell SET output = 0");
        sandbox.open_or_rebuild(NOW).unwrap().unwrap();
        sandbox.ingest_lines(0, lines());
        let lost = Losses { sessions: 1, responses: 4, is_all: true };
        if is_settled {
            assert_eq!(sandbox.ledger().settle_rebuild().unwrap(), Some(lost));
        }
        sandbox.spoil("UPDATE cell SET output = 0");
        sandbox.open_or_rebuild(NOW).unwrap().unwrap();
        sandbox.ingest_lines(0, lines());
        assert_eq!(
            sandbox.ledger().settle_rebuild().unwrap(),
            Some(lost),
            "the second one had not got it either"
        );
    }
}

#[test]
fn a_log_that_is_back_is_missing_no_more() {
    let whole = Whole::new();
    let mut sandbox = whole.folder();
    sandbox.spoil("UPDATE cell SET output = 0");
    sandbox.open_or_rebuild(NOW).unwrap().unwrap();
    let lost = |responses| Losses { sessions: u64::from(responses > 0), responses, is_all: true };
    let mut there = lines();
    let rest = there.split_off(226);
    sandbox.ingest_lines(0, there);
    assert_eq!(sandbox.ledger().settle_rebuild().unwrap(), Some(lost(14)));
    assert_eq!(sandbox.ledger().settle_rebuild().unwrap(), None, "nothing has come since");
    sandbox.ingest_lines(10_000, rest[..4].to_vec());
    assert_eq!(sandbox.ledger().settle_rebuild().unwrap(), Some(lost(10)));
    sandbox.ingest_lines(20_000, vec![line("msg_01another", "another", 0, 1)]);
    assert_eq!(sandbox.ledger().settle_rebuild().unwrap(), None, "it is no news");
    sandbox.ingest_lines(30_000, rest[4..].to_vec());
    assert_eq!(sandbox.ledger().settle_rebuild().unwrap(), Some(lost(0)));
    assert_eq!(sandbox.reader().rebuilt().unwrap().unwrap().losses, Some(lost(0)));
}

#[test]
fn what_is_new_in_a_session_makes_up_for_nothing_that_is_lost() {
    let mut sandbox = Sandbox::new();
    let (old, new) = (["msg_01A", "msg_01B"], ["msg_01C", "msg_01D", "msg_01E"]);
    let said = |ids: &[&str]| ids.iter().map(|id| line(id, "one", 0, 1)).collect::<Vec<_>>();
    sandbox.ingest_lines(0, said(&old));
    sandbox.spoil("UPDATE cell SET output = 0");
    sandbox.open_or_rebuild(NOW).unwrap().unwrap();
    sandbox.ingest_lines(1_000, said(&new));
    let lost = |responses| Some(Losses { sessions: 1, responses, is_all: true });
    assert_eq!(sandbox.ledger().settle_rebuild().unwrap(), lost(2));
    sandbox.ingest_lines(2_000, said(&old[..1]));
    assert_eq!(sandbox.ledger().settle_rebuild().unwrap(), lost(1));
}

#[test]
fn a_table_of_what_was_restored_that_is_gone_is_not_all_that_there_was() {
    let (_, mut sandbox) = with_restored();
    sandbox.spoil("DROP TABLE restored_cell");
    sandbox.open_or_rebuild(NOW).unwrap().unwrap();
    sandbox.ingest_lines(0, lines());
    let losses = sandbox.ledger().settle_rebuild().unwrap();
    assert_eq!(losses, Some(Losses::default()), "nobody knows how much it was");
}

#[test]
fn damaged_files_that_were_moved_away_leave_what_is_known_of_them() {
    let (_, mut sandbox) = with_restored();
    sandbox.spoil("UPDATE cell SET output = 0");
    let rebuilt = sandbox.open_or_rebuild(NOW).unwrap().unwrap();
    let lost = sandbox.ledger().settle_rebuild().unwrap();
    fs::remove_file(rebuilt.put_aside).unwrap();
    assert_eq!(sandbox.outbox().restore_done().unwrap(), None);
    assert_eq!(sandbox.reader().rebuilt().unwrap().unwrap().losses, lost);
}

/// The backup was made before anything was published.
#[test]
fn a_backup_that_is_nobodys_becomes_the_owners_of_the_damaged_ledger() {
    let whole = Whole::new();
    let mut sandbox = whole.folder();
    sandbox.open_or_rebuild(NOW).unwrap();
    assert!(sandbox.back_up(NOW));
    publish(&sandbox, &user(1));
    assert_eq!(sandbox.outbox().owner().unwrap(), Some(user(1)));
    sandbox.outbox().reassign(&user(2), Reassign::FromNowOn).unwrap();
    sandbox.spoil("UPDATE cell SET output = 0");
    let rebuilt = sandbox.open_or_rebuild(NOW).unwrap().unwrap();
    assert_eq!(rebuilt.from, RebuiltFrom::Backup);
    assert_eq!(sandbox.outbox().owner().unwrap(), Some(user(2)));
    assert_eq!(
        sandbox.outbox().waiting(100).unwrap(),
        [],
        "what is the first one's is not sent to the second"
    );
}

#[test]
fn what_became_somebody_elses_after_the_backup_stays_theirs() {
    let whole = Whole::new();
    let mut sandbox = whole.folder();
    sandbox.open_or_rebuild(NOW).unwrap();
    sandbox.outbox().reassign(&user(2), Reassign::FromNowOn).unwrap();
    assert!(sandbox.back_up(NOW));
    let theirs = || vec![line("msg_01theirs", "theirs", 0, 1)];
    sandbox.outbox().reassign(&user(1), Reassign::FromNowOn).unwrap();
    sandbox.ingest_lines(100_000, theirs());
    sandbox.outbox().reassign(&user(2), Reassign::FromNowOn).unwrap();
    assert_eq!(sandbox.outbox().waiting(100).unwrap(), []);
    sandbox.spoil("UPDATE cell SET output = 0");
    assert_eq!(sandbox.open_or_rebuild(NOW).unwrap().unwrap().from, RebuiltFrom::Backup);
    sandbox.ingest_lines(100_000, theirs());
    assert_eq!(sandbox.outbox().owner().unwrap(), Some(user(2)));
    assert_eq!(
        sandbox.outbox().waiting(100).unwrap(),
        [],
        "it was counted while the ledger was the first one's"
    );
}

#[test]
fn an_owner_that_only_a_damaged_backup_knows_stays_the_owner() {
    let whole = Whole::new();
    let mut sandbox = whole.folder();
    sandbox.open_or_rebuild(NOW).unwrap();
    sandbox.outbox().reassign(&user(1), Reassign::Everything).unwrap();
    assert!(sandbox.back_up(NOW));
    drop(sandbox.ledger.take());
    let spoiled = rusqlite::Connection::open(backup::place(sandbox.folder.path())).unwrap();
    spoiled.execute_batch("UPDATE cell SET output = output + 1").unwrap();
    drop(spoiled);
    fs::write(sandbox.path(), "no database").unwrap();
    let rebuilt = sandbox.open_or_rebuild(NOW).unwrap().unwrap();
    assert_eq!(rebuilt.from, RebuiltFrom::Logs);
    assert_eq!(sandbox.outbox().owner().unwrap(), Some(user(1)));
}

/// What a server has of its user is other machines', which are not asked for before somebody says so.
#[test]
fn what_was_never_published_is_not_looked_for_at_a_server() {
    let whole = Whole::new();
    let later = UnixMillis(NOW.0 + 2 * 60 * 60_000);
    let wanted = |sandbox: &mut Sandbox, now| {
        sandbox.open_or_rebuild(now).unwrap().unwrap();
        sandbox.outbox().wants_restore().unwrap()
    };
    for has_backup in [false, true] {
        let mut sandbox = whole.folder();
        sandbox.open_or_rebuild(NOW).unwrap();
        assert!(!has_backup || sandbox.back_up(NOW));
        sandbox.spoil("DROP TABLE sighting");
        assert!(!wanted(&mut sandbox, NOW), "it belonged to nobody");
        sandbox.outbox().reassign(&user(1), Reassign::Everything).unwrap();
        sandbox.spoil("DROP TABLE sighting");
        assert!(wanted(&mut sandbox, NOW), "it belonged to somebody");
        drop(sandbox.ledger.take());
        fs::write(sandbox.path(), "no database").unwrap();
        assert!(wanted(&mut sandbox, later), "nobody knows");
        sandbox.spoil("DROP TABLE sighting");
        assert!(wanted(&mut sandbox, later), "nor since then");
    }
}

/// Nobody knows any more whose the ledger was; that the server has the same sessions says it.
#[test]
fn whose_server_has_the_sessions_is_known_again_after_a_second_damage() {
    let mut sandbox = Sandbox::new();
    sandbox.ingest_lines(0, vec![line("msg_01A", "one", 0, 10)]);
    let value = publish(&sandbox, &user(1)).remove(0).value.unwrap();
    drop(sandbox.ledger.take());
    fs::write(sandbox.path(), "no database").unwrap();
    sandbox.open_or_rebuild(NOW).unwrap().unwrap();
    sandbox.ingest_lines(0, vec![line("msg_01A", "one", 0, 10)]);
    assert_eq!(sandbox.outbox().owner().unwrap(), None, "it could not be read");
    assert_eq!(adopt(&sandbox, theirs(value, revision(7))), Found::Known);
    sandbox.outbox().restore_done().unwrap();
    sandbox.spoil("DROP TABLE sighting");
    sandbox.open_or_rebuild(NOW).unwrap().unwrap();
    assert!(sandbox.outbox().wants_restore().unwrap(), "the log may be gone by now");
}

#[test]
fn what_was_sent_and_never_acknowledged_is_looked_for_at_the_server() {
    let mut sandbox = Sandbox::new();
    sandbox.ingest_lines(0, vec![line("msg_01A", "one", 0, 10)]);
    let keys: Vec<_> = sandbox.outbox().waiting(9).unwrap().iter().map(|one| one.key).collect();
    assert!(matches!(sandbox.outbox().offer(&user(1), &keys), Ok(Offered::Values(_))));
    assert_eq!(sandbox.outbox().owner().unwrap(), None, "the answer was lost");
    sandbox.spoil("DROP TABLE sighting");
    sandbox.open_or_rebuild(NOW).unwrap().unwrap();
    assert!(sandbox.outbox().wants_restore().unwrap());
}

/// Where a process may end while it makes a ledger anew, by what is then in the folder.
#[test]
fn each_step_of_a_rebuild_that_is_the_last_one_is_made_good() {
    let (_, mut sandbox) = with_restored();
    sandbox.outbox().reassign(&user(1), Reassign::Everything).unwrap();
    sandbox.ledger().connection.execute("UPDATE cell SET output = 0", []).unwrap();
    let path = sandbox.path();
    // As `kill -9` leaves them, the last writes in the log alone.
    let names = ["", "-wal", "-shm"];
    let damaged = names.map(|end| fs::read(with(&path, end)).unwrap());
    assert!(!damaged[1].is_empty());
    drop(sandbox.ledger.take());
    // 0 and 1: the new one is being written. 2: it is finished. 3 to 5: the damaged files are put aside, one by one.
    for step in 0..6 {
        let mut sandbox = Sandbox { folder: tempfile::tempdir().unwrap(), ledger: None };
        let path = sandbox.path();
        names.iter().zip(&damaged).for_each(|(end, bytes)| fs::write(with(&path, end), bytes).unwrap());
        let aside = path.with_file_name("ledger.sqlite.damaged-20261122T100000Z");
        if step > 0 {
            let found = LedgerError::damaged(&path, "it was found so");
            rebuild::prepare(&path, &found, NOW).unwrap();
        }
        if step == 1 {
            fs::rename(rebuild::finished(&path), with(&path, ".new")).unwrap();
        }
        for end in names.iter().take(usize::saturating_sub(step, 2)) {
            fs::rename(with(&path, end), with(&aside, end)).unwrap();
        }
        sandbox.open_or_rebuild(NOW).unwrap();
        let note = sandbox.reader().rebuilt().unwrap().unwrap();
        assert_eq!((note.count, quarantined(sandbox.folder.path()).len()), (1, 1), "step {step}: once");
        assert_eq!(sandbox.outbox().owner().unwrap(), Some(user(1)), "step {step}");
        if step > 2 {
            // Before that, looking at it has folded the log into it.
            assert!(fs::read(&aside).unwrap() == damaged[0], "step {step}: it is kept as it was found");
            assert!(fs::read(with(&aside, "-wal")).unwrap() == damaged[1], "step {step}: and its log");
        }
        sandbox.ledger().audit().unwrap();
        sandbox.ingest_lines(0, lines());
        let lost = Losses { sessions: 1, responses: 4, is_all: true };
        assert_eq!(sandbox.ledger().settle_rebuild().unwrap(), Some(lost), "step {step}");
        assert!(!rebuild::finished(&path).exists(), "step {step}");
    }
}

#[test]
fn a_finished_ledger_that_the_disk_has_spoiled_is_not_taken() {
    let whole = Whole::new();
    for content in ["", "no database"] {
        let mut sandbox = whole.folder();
        fs::rename(sandbox.path(), backup::place(sandbox.folder.path())).unwrap();
        fs::write(rebuild::finished(&sandbox.path()), content).unwrap();
        let rebuilt = sandbox.open_or_rebuild(NOW).unwrap().unwrap();
        assert_eq!(rebuilt.from, RebuiltFrom::Backup);
        assert_eq!(sandbox.cells(), whole.cells);
    }
}
