//! The state folder: modes, versions, strangers and the lock.

use super::*;
use crate::ledger::schema::SCHEMA_VERSION;
use pretty_assertions::assert_eq;
use rusqlite::Connection;
use std::error::Error;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn open(folder: &Path) -> Result<Ledger, LedgerError> {
    Ledger::open(folder, LedgerLock::acquire(folder, "test").unwrap())
}

fn database(folder: &Path) -> Connection {
    Connection::open(folder.join(LEDGER_FILE)).unwrap()
}

#[test]
fn nobody_else_may_read_the_folder_and_its_files() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("a/b");
    Ledger::make_folder(&folder).unwrap();
    Ledger::make_folder(&folder).unwrap();
    let mut ledger = open(&folder).unwrap();
    ledger.ingest(vec![update("a.jsonl", 0, vec![line("msg_01A", "one", 0, 1)])], &Rates::default()).unwrap();
    assert_eq!(mode(&folder), 0o700);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), mode(&entry.path())))
        .collect();
    files.sort_unstable();
    let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["ledger.sqlite", "ledger.sqlite-shm", "ledger.sqlite-wal", "lock"]);
    assert!(files.iter().all(|(_, mode)| *mode == 0o600), "{files:?}");
}

#[test]
fn a_checkpoint_leaves_all_in_the_database_file() {
    let mut sandbox = Sandbox::new();
    sandbox.ingest_lines(0, vec![line("msg_01A", "one", 0, 1)]);
    sandbox.ledger().checkpoint().unwrap();
    let log = sandbox.folder.path().join("ledger.sqlite-wal");
    assert_eq!(fs::metadata(log).unwrap().len(), 0);
    let copy = tempfile::tempdir().unwrap();
    fs::copy(sandbox.ledger().path(), copy.path().join(LEDGER_FILE)).unwrap();
    assert_eq!(LedgerReader::open(copy.path()).unwrap().cells(None, None).unwrap().len(), 1);
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let parent = tempfile::tempdir().unwrap();
    let file = parent.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Ledger::make_folder(&file.join("state")).unwrap_err();
    assert!(matches!(&error, LedgerError::Folder { path, .. } if path.starts_with(&file)), "{error}");
    assert!(error.is_transient());
}

#[test]
fn an_empty_file_is_damage_and_no_beginning() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(LEDGER_FILE), "").unwrap();
    assert!(matches!(LedgerReader::open(folder.path()), Err(LedgerError::Empty)));
    assert!(matches!(open(folder.path()), Err(LedgerError::Damaged { .. })));
    // A database without tables is none of ours either: a new one gets its name with its tables in it.
    database(folder.path()).execute_batch("VACUUM").unwrap();
    fs::remove_file(folder.path().join(LEDGER_FILE)).unwrap();
    database(folder.path())
        .execute_batch("PRAGMA user_version = 0; CREATE TABLE a (b); DROP TABLE a")
        .unwrap();
    assert!(matches!(open(folder.path()), Err(LedgerError::Damaged { .. })));
}

#[test]
fn there_may_be_no_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let error = LedgerReader::open(folder.path()).unwrap_err();
    assert!(matches!(&error, LedgerError::Missing { path } if *path == folder.path().join(LEDGER_FILE)));
    assert!(!folder.path().join(LEDGER_FILE).exists(), "reading makes none");
}

/// Opening fails, for writing and for reading, and changes not a byte.
fn refused(folder: &Path) -> [LedgerError; 2] {
    let file = folder.join(LEDGER_FILE);
    let before = fs::read(&file).unwrap();
    let errors = [open(folder).unwrap_err(), LedgerReader::open(folder).unwrap_err()];
    assert!(fs::read(&file).unwrap() == before, "a file that was refused has changed");
    assert!(errors.iter().all(|error| !error.is_transient()), "{errors:?}");
    errors
}

#[test]
fn a_newer_ledger_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()).unwrap());
    database(folder.path()).pragma_update(None, "user_version", 99).unwrap();
    for error in refused(folder.path()) {
        assert!(matches!(error, LedgerError::Newer { found: 99, known: SCHEMA_VERSION }), "{error}");
    }
}

#[test]
fn somebody_elses_database_is_refused_and_left_alone() {
    // With the version of an empty ledger, of this one, and of a newer one.
    for version in [0, SCHEMA_VERSION, 99] {
        let folder = tempfile::tempdir().unwrap();
        let other = database(folder.path());
        other.execute_batch("CREATE TABLE notes (text TEXT); INSERT INTO notes VALUES ('mine')").unwrap();
        other.pragma_update(None, "user_version", i64::try_from(version).unwrap()).unwrap();
        drop(other);
        for error in refused(folder.path()) {
            assert!(matches!(error, LedgerError::NotALedger), "version {version}: {error}");
        }
    }
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(LEDGER_FILE), "no database at all\n".repeat(100)).unwrap();
    for error in refused(folder.path()) {
        assert!(error.is_damaged(), "{error}");
    }
}

/// Nothing can be made where the shared memory of the write-ahead log belongs: what a folder that cannot
/// be written comes to, for every user.
fn forbid_shared_memory(folder: &Path) {
    let file = folder.join("ledger.sqlite-shm");
    symlink(&file, &file).unwrap();
}

#[test]
fn a_ledger_is_read_where_nothing_can_be_written() {
    let mut sandbox = Sandbox::new();
    sandbox.ingest_lines(0, vec![line("msg_01A", "one", 0, 1)]);
    sandbox.ledger().checkpoint().unwrap();
    // A name that a database's address has to escape.
    let folder = sandbox.folder.path().join("50% of a#b?c d");
    fs::create_dir(&folder).unwrap();
    fs::copy(sandbox.ledger().path(), folder.join(LEDGER_FILE)).unwrap();
    forbid_shared_memory(&folder);
    for log in [false, true] {
        if log {
            fs::write(folder.join("ledger.sqlite-wal"), "").unwrap();
        }
        let cells = LedgerReader::open(&folder).unwrap().cells(None, None).unwrap();
        assert_eq!(cells.len(), 1, "with an empty write-ahead log: {log}");
    }
}

#[test]
fn what_is_only_in_the_write_ahead_log_is_not_left_out_in_silence() {
    let mut sandbox = Sandbox::new();
    sandbox.ingest_lines(0, vec![line("msg_01A", "one", 0, 1)]);
    sandbox.ledger().checkpoint().unwrap();
    sandbox.ingest_lines(100, vec![line("msg_01B", "two", 0, 1)]);
    let copy = tempfile::tempdir().unwrap();
    for name in [LEDGER_FILE, "ledger.sqlite-wal"] {
        fs::copy(sandbox.folder.path().join(name), copy.path().join(name)).unwrap();
    }
    forbid_shared_memory(copy.path());
    let error = LedgerReader::open(copy.path()).unwrap_err();
    assert!(matches!(error, LedgerError::Sqlite(_)), "{error}");
    fs::remove_file(copy.path().join("ledger.sqlite-shm")).unwrap();
    assert_eq!(LedgerReader::open(copy.path()).unwrap().cells(None, None).unwrap().len(), 2);
}

#[test]
fn a_ledger_has_one_writer_who_is_named_and_gone_when_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let first = LedgerLock::acquire(folder.path(), "run").unwrap();
    let error = LedgerLock::acquire(folder.path(), "scan").unwrap_err();
    let LockError::Held { folder: held, holder } = &error else { panic!("{error}") };
    assert_eq!(held, folder.path());
    assert_eq!(
        *holder,
        Holder { command: "run".to_owned(), pid: Some(std::process::id()), ..Holder::default() }
    );
    assert!(holder.is_daemon());
    assert!(error.to_string().contains(&format!("(run, process {})", std::process::id())), "{error}");
    drop(first);
    let second = LedgerLock::acquire(folder.path(), "scan").unwrap();
    let error = LedgerLock::acquire(folder.path(), "run").unwrap_err();
    assert!(
        matches!(&error, LockError::Held { holder, .. } if holder.command == "scan" && !holder.is_daemon()),
        "{error}"
    );
    drop(second);
}

#[test]
fn what_stands_in_a_lock_file_excludes_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lock");
    for text in ["", "run 1\n", "a very long line of somebody else's\n", "\u{fffd}"] {
        fs::write(&file, text).unwrap();
        let lock = LedgerLock::acquire(folder.path(), "scan").unwrap();
        let note = fs::read_to_string(&file).unwrap();
        assert_eq!(
            note.lines().next().map(str::trim_end),
            Some(&*format!("scan {}", std::process::id())),
            "{text:?}"
        );
        lock.announce(Activity::Following, 0xfeed, true);
        let Err(LockError::Held { holder, .. }) = LedgerLock::acquire(folder.path(), "run") else {
            panic!("held twice")
        };
        assert_eq!((holder.activity, holder.subject), (Some(Activity::Following), Some(0xfeed)));
        assert!(holder.no_events);
        // The holder may be read before it has written who it is.
        fs::write(&file, text).unwrap();
        let error = LedgerLock::acquire(folder.path(), "run").unwrap_err();
        let LockError::Held { holder, .. } = error else { panic!("{error}") };
        let word = text.split_whitespace().next().unwrap_or("unknown");
        assert_eq!(holder.command, word);
        drop(lock);
    }
}

#[test]
fn a_lock_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = LedgerLock::acquire(&folder.path().join("missing"), "run").unwrap_err();
    assert!(matches!(error, LockError::File { path, .. } if path.ends_with("missing/lock")));
}

#[test]
fn a_look_at_the_lock_is_not_taken_for_the_daemon_that_was_there() {
    let folder = tempfile::tempdir().unwrap();
    drop(LedgerLock::acquire(folder.path(), "run").unwrap());
    let looking = std::fs::File::open(folder.path().join("lock")).unwrap();
    looking.lock_shared().unwrap();
    let error = LedgerLock::acquire(folder.path(), "scan").unwrap_err();
    assert!(matches!(&error, LockError::Held { holder, .. } if !holder.is_daemon()), "{error}");
    drop(looking);
    let daemon = LedgerLock::acquire(folder.path(), "run").unwrap();
    assert!(LedgerLock::holder(folder.path()).unwrap().is_some_and(|holder| holder.is_daemon()));
    drop(daemon);
    assert_eq!(LedgerLock::holder(folder.path()).unwrap(), None);
}

#[test]
fn a_folder_that_everybody_may_write_in_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let error = Ledger::make_folder(folder.path()).unwrap_err();
    assert!(matches!(&error, LedgerError::Exposed { path, .. } if path == folder.path()), "{error}");
    assert!(!error.is_transient());
    Ledger::make_folder(&folder.path().join("own")).unwrap();
}

#[test]
fn no_file_of_the_state_folder_is_written_through_a_link() {
    let elsewhere = tempfile::tempdir().unwrap();
    let victim = elsewhere.path().join("victim");
    for name in ["lock", LEDGER_FILE, "ledger.sqlite-wal", "ledger.sqlite-shm"] {
        for is_there in [true, false] {
            let folder = tempfile::tempdir().unwrap();
            let _ = fs::remove_file(&victim);
            if is_there {
                fs::write(&victim, "").unwrap();
            }
            symlink(&victim, folder.path().join(name)).unwrap();
            let opened = LedgerLock::acquire(folder.path(), "test")
                .map_err(|error| error.source().unwrap().to_string())
                .and_then(|lock| {
                    Ledger::open(folder.path(), lock).map_err(|error| error.source().unwrap().to_string())
                });
            let told = opened.map(|_| ()).unwrap_err();
            assert!(told.contains("symbolic link"), "{name}: {told}");
            assert_eq!(fs::read(&victim).ok(), is_there.then(Vec::new), "{name}");
        }
    }
}

#[test]
fn a_folder_may_be_a_link_and_files_that_let_others_in_are_mended() {
    let (real, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let folder = place.path().join("state");
    symlink(real.path(), &folder).unwrap();
    drop(open(&folder).unwrap());
    for name in ["lock", LEDGER_FILE, "ledger.sqlite-wal", "ledger.sqlite-shm"] {
        let path = folder.join(name);
        fs::File::options().append(true).create(true).open(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    }
    let _ledger = open(&folder).unwrap();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[test]
fn a_lock_that_is_a_pipe_is_refused_and_waits_for_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let made = std::process::Command::new("mkfifo").arg(folder.path().join("lock")).status().unwrap();
    assert!(made.success());
    assert!(matches!(LedgerLock::acquire(folder.path(), "test"), Err(LockError::File { .. })));
    assert!(matches!(LedgerLock::holder(folder.path()), Err(LockError::File { .. })));
}
