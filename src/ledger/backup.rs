//! A copy of the ledger beside it, for the day that it is damaged and the logs are gone.
//!
//! Owns: `ledger.sqlite.backup`, when it is due, and its making: a snapshot that passes the audit is written
//! compactly to another name, audited itself, and renamed. Made over a connection of its own that cannot
//! write, so that it may be made on any thread while the ledger is being written. Refuses to copy what is
//! damaged: that fails with [`LedgerError::Damaged`] of the ledger. Everything else that fails leaves the
//! former backup as it was.

use super::quarantine::{COMPANIONS, sync_folder, with};
use super::{LEDGER_FILE, Ledger, LedgerError, audit};
use crate::domain::UnixMillis;
use rusqlite::{Connection, InterruptHandle};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

/// A backup is made once in so long, and an audit counts for so long.
pub(super) const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// A backup that is to be made.
#[derive(Debug)]
pub struct Backup {
    connection: Connection,
    ledger: PathBuf,
    at: UnixMillis,
    stopped: Arc<AtomicBool>,
}

/// Ends the making of a backup, from another thread.
pub struct BackupStop {
    handle: InterruptHandle,
    stopped: Arc<AtomicBool>,
}

impl BackupStop {
    /// Ends it soon. To be said again until it has ended: what begins just now may not hear it.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.handle.interrupt();
    }
}

impl std::fmt::Debug for BackupStop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BackupStop").finish_non_exhaustive()
    }
}

/// Where the backup of the ledger in `folder` is.
pub(super) fn place(folder: &Path) -> PathBuf {
    folder.join(format!("{LEDGER_FILE}.backup"))
}

impl Ledger {
    /// The backup that is due: none was made in the last day, and the ledger has changed since. A clock that
    /// was set back does not put it off.
    pub fn backup_due(&self, now: UnixMillis) -> Result<Option<(Backup, BackupStop)>, LedgerError> {
        let last = modified(&place(self.folder()));
        let changed = [self.path().to_owned(), with(self.path(), COMPANIONS[0])];
        let changed = changed.iter().filter_map(|path| modified(path)).max();
        let is_recent = last.is_some_and(|last| (0..DAY_MS).contains(&now.0.saturating_sub(last.0)));
        if is_recent || last >= changed {
            return Ok(None);
        }
        let connection = audit::read_only(self.path())?;
        let stopped = Arc::<AtomicBool>::default();
        let stop = BackupStop { handle: connection.get_interrupt_handle(), stopped: Arc::clone(&stopped) };
        Ok(Some((Backup { connection, ledger: self.path().to_owned(), at: now, stopped }, stop)))
    }
}

impl Backup {
    /// Makes it; `false` where it was told to stop before it was there.
    pub fn make(self) -> Result<bool, LedgerError> {
        let place = place(self.ledger.parent().unwrap_or(&self.ledger));
        let new = with(&place, ".new");
        let made = self.write(&new).and_then(|()| {
            if self.is_stopped() {
                return Ok(false);
            }
            std::fs::rename(&new, &place).map_err(|source| LedgerError::folder(&place, source))?;
            sync_folder(&place).map_err(|source| LedgerError::folder(&place, source))?;
            Ok(true)
        });
        if !matches!(made, Ok(true)) {
            // What cannot be removed is in the way of nothing but the next one, which says so.
            let _ = std::fs::remove_file(&new);
        }
        if self.is_stopped() { Ok(made.unwrap_or(false)) } else { made }
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    fn write(&self, new: &Path) -> Result<(), LedgerError> {
        let failed = |source| LedgerError::folder(new, source);
        audit::database(&self.connection, &self.ledger)?;
        if self.is_stopped() {
            return Ok(());
        }
        make_private(new)?;
        let name = new.to_str().ok_or_else(|| failed(io::Error::other("its name is not UTF-8")))?;
        self.connection.execute("VACUUM INTO ?1", [name])?;
        // The disk may spoil the copy, too: that says nothing of the ledger.
        audit::file(new).map_err(|error| failed(io::Error::other(error.to_string())))?;
        let file = File::options().write(true).open(new).map_err(failed)?;
        let at = Duration::from_millis(u64::try_from(self.at.0).unwrap_or(0));
        file.set_modified(SystemTime::UNIX_EPOCH + at).map_err(failed)?;
        file.sync_all().map_err(failed)
    }
}

/// Makes an empty file that nobody else may read, in place of any database that is there: SQLite would write another
/// one's log into it.
pub(super) fn make_private(path: &Path) -> Result<(), LedgerError> {
    let failed = |source| LedgerError::folder(path, source);
    for file in [path.to_owned(), with(path, COMPANIONS[0]), with(path, COMPANIONS[1])] {
        match std::fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    Ok(())
}

/// When a file was last written; `None` where it is not there.
fn modified(path: &Path) -> Option<UnixMillis> {
    Some(std::fs::metadata(path).ok()?.modified().ok()?.into())
}
