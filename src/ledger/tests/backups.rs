//! Backups: when they are made, of what, and what they bring back.

use super::audit::{NOW, Whole, lines};
use super::*;
use crate::domain::{Destination, UserId};
use crate::ledger::backup;
use crate::ledger::quarantine::with;
use pretty_assertions::assert_eq;
use rusqlite::Connection;
use std::fs;
use std::time::{Duration, SystemTime};

#[test]
fn a_backup_brings_back_what_no_log_has_and_is_offered_again() {
    let whole = Whole::new();
    let mut sandbox = whole.folder();
    sandbox.open_or_rebuild(NOW).unwrap();
    let user = UserId::parse("3dfb3580-b7c4-4da3-8d9e-b9775c216f7e").unwrap();
    let owner = Destination { project: "p".to_owned(), user };
    sandbox.outbox().reassign(&owner, Reassign::Everything).unwrap();
    let keys: Vec<_> = sandbox.outbox().waiting(100).unwrap();
    let done = keys.iter().map(|one| Acknowledged { key: one.key, stamp: one.stamp, digest: "d".to_owned() });
    sandbox.outbox().acknowledge(&owner, &done.collect::<Vec<_>>(), NOW).unwrap();
    assert_eq!(sandbox.outbox().waiting(100).unwrap(), []);
    assert!(sandbox.back_up(NOW), "the first is due at once");
    sandbox.spoil("UPDATE cell SET output = 0");
    let rebuilt = sandbox.open_or_rebuild(NOW).unwrap().unwrap();
    assert_eq!((rebuilt.from, rebuilt.unusable), (RebuiltFrom::Backup, None));
    assert_eq!(sandbox.cells(), whole.cells, "without a look at any log");
    assert_eq!(sandbox.outbox().waiting(100).unwrap().len(), keys.len(), "all of it is sent again");
    assert_eq!(sandbox.outbox().owner().unwrap(), Some(owner));
    let losses = sandbox.ledger().settle_rebuild().unwrap();
    assert_eq!(losses, Some(Losses { is_all: true, ..Losses::default() }));
    assert_eq!(sandbox.ledger().settle_rebuild().unwrap(), None, "said once");
    assert_eq!(sandbox.query("SELECT value FROM meta WHERE key = 'restore_wanted'"), ["1"]);
    let note = sandbox.reader().rebuilt().unwrap().unwrap();
    assert_eq!((note.at, note.from, note.count, note.losses), (NOW, RebuiltFrom::Backup, 1, losses));
}

#[test]
fn a_backup_of_another_owner_or_a_damaged_one_is_not_used() {
    let whole = Whole::new();
    let owner = |digit: char| Destination {
        project: "p".to_owned(),
        user: UserId::parse(&format!("{digit}dfb3580-b7c4-4da3-8d9e-b9775c216f7e")).unwrap(),
    };
    let mut sandbox = whole.folder();
    sandbox.open_or_rebuild(NOW).unwrap();
    sandbox.outbox().reassign(&owner('1'), Reassign::Everything).unwrap();
    assert!(sandbox.back_up(NOW));
    sandbox.outbox().reassign(&owner('2'), Reassign::FromNowOn).unwrap();
    sandbox.spoil("UPDATE cell SET output = 0");
    let rebuilt = sandbox.open_or_rebuild(NOW).unwrap().unwrap();
    assert_eq!(rebuilt.from, RebuiltFrom::Logs);
    assert!(rebuilt.unusable.unwrap().contains("belongs to"));
    sandbox.ingest_lines(0, lines());
    assert_eq!(sandbox.cells(), whole.cells);
    assert_eq!(sandbox.outbox().owner().unwrap(), Some(owner('2')));
    assert_eq!(
        sandbox.outbox().waiting(100).unwrap(),
        [],
        "what is held for the former owner stays with them"
    );
    let backup = backup::place(sandbox.folder.path());
    fs::rename(with(&rebuilt.put_aside, "-backup"), &backup).unwrap();
    let spoiled = Connection::open(&backup).unwrap();
    spoiled.execute_batch("UPDATE response SET output = output + 1 WHERE id = 3").unwrap();
    drop(spoiled);
    sandbox.spoil("DELETE FROM destination WHERE id > 0; UPDATE cell SET output = 0");
    let rebuilt = whole.check(&mut sandbox, "a damaged backup").unwrap();
    assert!(rebuilt.unusable.unwrap().contains("sums"), "and its owner would not have been in the way");
}

#[test]
fn a_backup_is_made_once_a_day_of_what_has_changed_and_is_whole() {
    let mut sandbox = Sandbox::new();
    sandbox.ingest_lines(0, lines());
    // Ahead of all that has been written so far, however coarse the file system's clock is.
    let now = UnixMillis::from(SystemTime::now() + Duration::from_hours(1));
    let later = |hours: i64| UnixMillis(now.0 + hours * 3_600_000);
    assert!(sandbox.back_up(now));
    let backup = backup::place(sandbox.folder.path());
    let first = fs::read(&backup).unwrap();
    assert!(!sandbox.back_up(later(23)), "a day is not over");
    assert!(!sandbox.back_up(later(25)), "nothing has changed");
    sandbox.ingest_lines(24_000, vec![line("msg_01Z", "one", 0, 1)]);
    let log = fs::File::options().write(true).open(with(&sandbox.path(), "-wal")).unwrap();
    let written = |hours| log.set_modified(SystemTime::now() + Duration::from_hours(hours)).unwrap();
    written(2);
    assert!(sandbox.back_up(later(30)), "a day is over, and something has changed");
    assert!(fs::read(&backup).unwrap() != first);
    sandbox.ledger().connection.execute("UPDATE cell SET output = output + 1", []).unwrap();
    written(40);
    let (due, _) = sandbox.ledger().backup_due(later(60)).unwrap().unwrap();
    let before = fs::read(&backup).unwrap();
    assert!(due.make().unwrap_err().is_damaged());
    assert!(fs::read(&backup).unwrap() == before, "the former one is kept");
    let (stopped, stop) = sandbox.ledger().backup_due(later(60)).unwrap().unwrap();
    stop.stop();
    assert!(!stopped.make().unwrap_or(false), "it was told to stop");
    let left: Vec<_> =
        fs::read_dir(sandbox.folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().contains(".new")), "{left:?}");
}

#[test]
fn a_backup_that_is_told_to_stop_leaves_nothing_and_stays_due() {
    let whole = Whole::new();
    let mut sandbox = whole.folder();
    sandbox.open_or_rebuild(NOW).unwrap();
    let (backup, stop) = sandbox.ledger().backup_due(NOW).unwrap().unwrap();
    stop.stop();
    assert!(!backup.make().unwrap(), "it is not made");
    let place = with(&sandbox.path(), ".backup");
    assert!(!place.exists() && !with(&place, ".new").exists());
    assert!(sandbox.back_up(NOW), "the next one is");
    assert!(place.exists());
}
