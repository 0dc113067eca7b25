//! Opening the ledger for writing: folder, file modes, pragmas, migrations.

use super::names::Names;
use super::{Activity, LEDGER_FILE, LedgerError, LedgerLock, place, schema};
use rusqlite::{Connection, OpenFlags};
use std::fs::OpenOptions;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// How long a statement waits for another connection's lock.
pub(super) const BUSY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

/// What the write-ahead log is cut down to when it is begun anew: twice what SQLite lets it grow to before
/// it folds it into the database.
const WAL_BYTES: i64 = 8 << 20;

/// The ledger, open for writing.
#[derive(Debug)]
pub struct Ledger {
    pub(super) connection: Connection,
    pub(super) names: Names,
    path: PathBuf,
    identity: Option<(u64, u64)>,
    lock: LedgerLock,
}

impl Ledger {
    /// Makes the state folder (mode 0700) where it is missing; refuses one that others may write in.
    pub fn make_folder(folder: &Path) -> Result<(), LedgerError> {
        place::make(folder)
    }

    /// Opens the ledger in `folder`, making or upgrading it where needed. The caller holds the lock and
    /// gives it away.
    pub fn open(folder: &Path, lock: LedgerLock) -> Result<Self, LedgerError> {
        let path = folder.join(LEDGER_FILE);
        // SQLite gives its journal files the mode of the database; made here, no umask can loosen it.
        place::open(&path, OpenOptions::new().append(true).create(true))
            .map_err(|source| LedgerError::folder(&path, source))?;
        for journal in ["sqlite-wal", "sqlite-shm"].map(|extension| path.with_extension(extension)) {
            place::mend(&journal).map_err(|source| LedgerError::folder(&journal, source))?;
        }
        // SQLite refuses a link anywhere in the name; the folder may be one, a file in it may not.
        let real = folder.canonicalize().map_err(|source| LedgerError::folder(folder, source))?;
        let flags = OpenFlags::default() | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let mut connection = Connection::open_with_flags(real.join(LEDGER_FILE), flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        // Before anything is set: the journal mode is written into the file.
        schema::check_identity(&connection)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // With a write-ahead log, NORMAL can lose the last commits to a power cut but never tear the
        // ledger; the cursors go back with the facts, and the lines are read again.
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "foreign_keys", "OFF")?;
        connection.pragma_update(None, "cache_size", -8_000)?;
        // A reader that stays long makes the write-ahead log grow; when it is gone, the log shrinks again.
        connection.pragma_update(None, "journal_size_limit", WAL_BYTES)?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        connection.set_prepared_statement_cache_capacity(64);
        schema::migrate(&mut connection)?;
        Ok(Self { connection, names: Names::default(), identity: file_identity(&path), path, lock })
    }

    /// Fails where the ledger in `folder` cannot be written: a read-only file system, no right to. Writes
    /// nothing; a full disk does not show here.
    pub fn check_writable(folder: &Path) -> Result<(), LedgerError> {
        let path = folder.join(LEDGER_FILE);
        let opened = OpenOptions::new().append(true).open(&path);
        opened.map(drop).map_err(|source| LedgerError::folder(&path, source))
    }

    /// Where the ledger's database file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Fails where the file is no longer the one that was opened: what is written now would be lost.
    pub fn check_in_place(&self) -> Result<(), LedgerError> {
        if file_identity(&self.path) == self.identity {
            Ok(())
        } else {
            Err(LedgerError::Gone { path: self.path.clone() })
        }
    }

    /// Tells readers how far the holder of this ledger has come with what.
    pub fn announce(&self, activity: Activity, subject: u64, no_events: bool) {
        self.lock.announce(activity, subject, no_events);
    }

    /// Folds the write-ahead log into the database, so that an idle ledger is one small file.
    pub fn checkpoint(&self) -> Result<(), LedgerError> {
        self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }
}

/// Device and inode of a file; `None` where there is none.
fn file_identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}
