//! Opening the ledger for writing: folder, file modes, pragmas, migrations, the audit.
//!
//! A new ledger is made under another name and renamed when its tables are in it: an empty file under the
//! ledger's own name is damage, never a beginning. A ledger is audited as it is opened, unless it is as its
//! last writer left it, who knew it to be whole, and that was less than a day ago. Fails with
//! [`LedgerError::Damaged`] for what is damaged; making it anew is `rebuild`'s.

use super::backup::{DAY_MS, make_private};
use super::lock::Audited;
use super::names::Names;
use super::pending::AllIds;
use super::quarantine::{COMPANIONS, sync_folder, with};
use super::{Activity, LEDGER_FILE, LedgerError, LedgerLock, Rebuilt, audit, place, rebuild, schema};
use crate::domain::{FileStat, UnixMillis};
use rusqlite::{Connection, OpenFlags};
use rustix::fs::{Access, access};
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// How long a statement waits for another connection's lock.
pub(super) const BUSY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

/// How often a ledger is opened that is made anew meanwhile, which takes place three times an hour at most.
const TRIES: usize = 5;

/// What the write-ahead log is cut down to when it is begun anew.
const WAL_BYTES: i64 = 8 << 20;

/// How many pages the write-ahead log may have before it is folded into the database, which waits for the disk twice:
/// SQLite's own number. With more, whoever waits for a line to be counted would wait longer.
const WAL_PAGES: i64 = 1_000;
/// The same while much is taken in, and nobody waits for a single line.
const WAL_PAGES_OF_MUCH: i64 = 4_000;

/// The ledger, open for writing.
#[derive(Debug)]
pub struct Ledger {
    pub(super) connection: Connection,
    pub(super) names: Names,
    pub(super) all_ids: Option<AllIds>,
    /// Much is being taken in.
    pub(super) is_at_much: bool,
    path: PathBuf,
    identity: Option<(u64, u64)>,
    /// When it was last looked through; `None` where it may be damaged.
    pub(super) audited: Option<UnixMillis>,
    /// Responses were added since it was last compared with damaged ones.
    pub(super) has_grown: bool,
    /// It is being made anew, and the damaged one is out of the way.
    pub(super) rebuilding: Option<Rebuilt>,
    pub(super) lock: LedgerLock,
}

/// A database that is a ledger, and when it was last looked through.
pub(super) struct Opened {
    pub(super) connection: Connection,
    pub(super) audited: UnixMillis,
}

impl Ledger {
    /// Makes the state folder (mode 0700) where it is missing; refuses one that others may write in.
    pub fn make_folder(folder: &Path) -> Result<(), LedgerError> {
        place::make(folder)
    }

    /// Opens the ledger in `folder`, making or upgrading it where needed. The caller holds the lock and
    /// gives it away. A damaged ledger is an error here: see [`Ledger::open_or_rebuild`].
    pub fn open(folder: &Path, lock: LedgerLock) -> Result<Self, LedgerError> {
        let opened = connect(folder, &lock, UnixMillis::default())?;
        Ok(Self::new(folder, opened, lock))
    }

    pub(super) fn new(folder: &Path, opened: Opened, lock: LedgerLock) -> Self {
        let path = folder.join(LEDGER_FILE);
        let Opened { connection, audited } = opened;
        let identity = file_identity(&path);
        Self {
            connection,
            names: Names::default(),
            all_ids: None,
            is_at_much: false,
            path,
            identity,
            audited: Some(audited),
            has_grown: false,
            rebuilding: None,
            lock,
        }
    }

    /// Takes the place of what was open.
    pub(super) fn reopened(&mut self, opened: Opened) {
        self.connection = opened.connection;
        self.audited = Some(opened.audited);
        self.identity = file_identity(&self.path);
    }

    /// Fails where the ledger in `folder` cannot be written: a read-only file system, no right to. Writes
    /// nothing; a full disk does not show here.
    pub fn check_writable(folder: &Path) -> Result<(), LedgerError> {
        let path = folder.join(LEDGER_FILE);
        // Asked, not opened: closing the file would end the locks that this process has on it.
        access(&path, Access::WRITE_OK).map_err(|source| LedgerError::folder(&path, source.into()))
    }

    /// Where the ledger's database file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder that it is in.
    pub(super) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    /// Fails where the file is no longer the one that was opened: what is written now would be lost. Fails
    /// with [`LedgerError::Damaged`] where it is, and is no database any more.
    pub fn check_in_place(&self) -> Result<(), LedgerError> {
        check_same(&self.path, self.identity)?;
        audit::head(&self.path)
    }

    /// Looks the whole ledger through, as it is on disk.
    pub fn audit(&self) -> Result<(), LedgerError> {
        audit::file(&self.path)
    }

    /// Takes back that it is whole: something was found in it. The next to open it looks it through.
    pub fn doubt(&mut self) {
        self.audited = None;
    }

    /// Tells readers how far the holder of this ledger has come with what.
    pub fn announce(&self, activity: Activity, subject: u64, no_events: bool) {
        self.lock.announce(activity, subject, no_events);
    }

    /// Gives the memory of what was looked up and written back to the system: much of a first pass, which an idle
    /// daemon would hold for good.
    pub fn release_memory(&self) -> Result<(), LedgerError> {
        self.connection.execute_batch("PRAGMA shrink_memory")?;
        Ok(())
    }

    /// Folds the write-ahead log into the database more seldom while much is taken in.
    pub(super) fn fold_seldom(&self, is_much: bool) -> Result<(), LedgerError> {
        let pages = if is_much { WAL_PAGES_OF_MUCH } else { WAL_PAGES };
        Ok(self.connection.pragma_update(None, "wal_autocheckpoint", pages)?)
    }

    /// Folds the write-ahead log into the database, so that an idle ledger is one small file.
    pub fn checkpoint(&self) -> Result<(), LedgerError> {
        self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }
}

/// Closed in order, the file is known to be whole until somebody writes to it.
impl Drop for Ledger {
    fn drop(&mut self) {
        let Ok(nothing) = Connection::open_in_memory() else { return };
        drop(std::mem::replace(&mut self.connection, nothing));
        let whole = self.audited.filter(|_| file_identity(&self.path) == self.identity);
        let audited = whole.and_then(|at| Some(Audited { at, file: settled(&self.path)? }));
        self.lock.note_audit(audited);
    }
}

/// Opens the database, which has to be there, whole and a ledger, or not there at all.
pub(super) fn connect(folder: &Path, lock: &LedgerLock, now: UnixMillis) -> Result<Opened, LedgerError> {
    let path = folder.join(LEDGER_FILE);
    // A mode that lets others in, as restoring a copy leaves it; a link that somebody has put there,
    // which nothing below may follow.
    for file in [path.clone(), with(&path, COMPANIONS[0]), with(&path, COMPANIONS[1])] {
        place::mend(&file).map_err(|source| LedgerError::folder(&file, source))?;
    }
    let is_new = match path.symlink_metadata() {
        Ok(metadata) => {
            check_file(&path, &metadata)?;
            // SQLite would open it to read only, and fail at the first write.
            Ledger::check_writable(folder)?;
            false
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(&path)?,
        Err(source) => return Err(LedgerError::folder(&path, source)),
    };
    let known = lock.audited().filter(|known| is_trusted(known, &path, now));
    let mut connection = open_no_link(folder)?;
    prepare(&mut connection).map_err(|error| audit::as_damage(&path, error))?;
    if !is_new && known.is_none() {
        audit::database(&connection, &path)?;
    }
    // Of a former process that finished another one and ended: this one turned out to be whole.
    let _ = std::fs::remove_file(rebuild::finished(&path));
    // Whatever becomes of this process, the next one is to see for itself.
    lock.note_audit(None);
    Ok(Opened { connection, audited: known.map_or(now, |known| known.at) })
}

/// Opens the ledger's file, which may not be a link. The folder may be one, and SQLite refuses a link anywhere in
/// the name.
fn open_no_link(folder: &Path) -> Result<Connection, LedgerError> {
    let real = folder.canonicalize().map_err(|source| LedgerError::folder(folder, source))?;
    let flags = OpenFlags::default() | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    Ok(Connection::open_with_flags(real.join(LEDGER_FILE), flags)?)
}

/// Opens a database and reads of it, so that its files are open and belong together: where it is made anew in
/// between, the log beside it is another one's by then, and it is opened once more.
pub(super) fn whole<T>(path: &Path, open: impl Fn() -> Result<T, LedgerError>) -> Result<T, LedgerError> {
    for _ in 0..TRIES {
        let before = file_identity(path);
        let opened = open();
        if before.is_some() && file_identity(path) == before {
            return opened;
        }
    }
    open()
}

/// Refuses an empty file before SQLite sees it, who throws the write-ahead log of such a one away.
pub(super) fn refuse_empty(path: &Path) -> Result<(), LedgerError> {
    let is_empty = std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() == 0);
    if is_empty { Err(LedgerError::Empty) } else { Ok(()) }
}

fn check_file(path: &Path, metadata: &Metadata) -> Result<(), LedgerError> {
    if !metadata.is_file() {
        return Err(LedgerError::folder(path, io::Error::other("it is no file")));
    }
    if metadata.len() == 0 { Err(LedgerError::damaged(path, "it is empty")) } else { Ok(()) }
}

/// The ledger that was being made when a former process ended, else a new one; `true` for that. A write-ahead log
/// without its database is damage: SQLite would write it into whatever comes in its place.
fn make(path: &Path) -> Result<bool, LedgerError> {
    if rebuild::finish(path)? {
        return Ok(false);
    }
    if std::fs::metadata(with(path, COMPANIONS[0])).is_ok_and(|log| log.len() > 0) {
        return Err(LedgerError::damaged(path, "it is gone, and its write-ahead log is there"));
    }
    let new = with(path, ".new");
    write_new(&new, |_| Ok(()))?;
    put_in_place(&new, path)?;
    Ok(true)
}

/// Writes a database with a ledger's tables and nothing in them but what `more` writes.
pub(super) fn write_new(
    new: &Path,
    more: impl FnOnce(&mut Connection) -> Result<(), LedgerError>,
) -> Result<(), LedgerError> {
    make_private(new)?;
    let mut connection = Connection::open(new)?;
    // It is on disk as a whole before it has its name.
    connection.pragma_update(None, "synchronous", "OFF")?;
    schema::migrate(&mut connection)?;
    more(&mut connection)?;
    // As it will be opened: changing it under its own name would wait for the disk four times.
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.close().map_err(|(_, error)| error.into())
}

/// Gives a finished database its name, on disk.
pub(super) fn put_in_place(new: &Path, path: &Path) -> Result<(), LedgerError> {
    let synced = File::open(new).and_then(|file| file.sync_all());
    let renamed = synced.and_then(|()| std::fs::rename(new, path));
    renamed.and_then(|()| sync_folder(path)).map_err(|source| LedgerError::folder(path, source))
}

fn prepare(connection: &mut Connection) -> Result<(), LedgerError> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // Before anything is set: the journal mode is written into the file.
    schema::check_identity(connection)?;
    if schema::tables(connection)? == 0 {
        let path = Path::new(connection.path().unwrap_or_default());
        return Err(LedgerError::damaged(path, "there are no tables in it"));
    }
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // With a write-ahead log, NORMAL can lose the last commits to a power cut but never tear the
    // ledger; the cursors go back with the facts, and the lines are read again.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "foreign_keys", "OFF")?;
    connection.pragma_update(None, "cache_size", -4_000)?;
    // A reader that stays long makes the write-ahead log grow; when it is gone, the log shrinks again.
    connection.pragma_update(None, "journal_size_limit", WAL_BYTES)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.set_prepared_statement_cache_capacity(64);
    schema::migrate(connection)
}

/// True where nobody has written to the file since it was left whole, not long ago.
fn is_trusted(known: &Audited, path: &Path, now: UnixMillis) -> bool {
    let is_recent = now.0 == 0 || (0..DAY_MS).contains(&now.0.saturating_sub(known.at.0));
    is_recent && settled(path) == Some(known.file)
}

/// The file as its last writer left it; `None` while there is something in its write-ahead log.
fn settled(path: &Path) -> Option<FileStat> {
    if std::fs::metadata(with(path, COMPANIONS[0])).is_ok_and(|log| log.len() > 0) {
        return None;
    }
    let metadata = std::fs::metadata(path).ok()?;
    Some(FileStat {
        device: metadata.dev(),
        inode: metadata.ino(),
        size: metadata.len(),
        modified_ns: metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec()),
    })
}

/// Fails where another file, or none, is in the place of the one that was opened.
pub(super) fn check_same(path: &Path, opened: Option<(u64, u64)>) -> Result<(), LedgerError> {
    if file_identity(path) == opened { Ok(()) } else { Err(LedgerError::Gone { path: path.to_owned() }) }
}

/// Bytes of the ledger in `folder` on disk, with its write-ahead log and without its backup.
pub fn file_bytes(folder: &Path) -> u64 {
    let path = folder.join(super::LEDGER_FILE);
    let bytes = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    bytes(&path).saturating_add(bytes(&with(&path, COMPANIONS[0])))
}

/// Device and inode of a file; `None` where there is none.
pub(super) fn file_identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}
