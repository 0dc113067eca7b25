//! A damaged ledger, made anew.
//!
//! Owns: the order of things. The new ledger is made beside the damaged one, from the backup where that
//! passes the audit and belongs to the same owner, else empty; it is finished under another name; the damaged
//! files are put aside; it is renamed. A crash anywhere leaves either the damaged ledger, or the finished one
//! to be renamed at the next start. Where reading goes on is what the new ledger says, so that the next look
//! at all logs brings in what it lacks; what is still missing then is found by `losses`. Refuses to throw
//! anything away. Fails with [`LedgerError::Unmendable`], and as writing does.

use super::backup::{self, make_private};
use super::losses::{self, Losses};
use super::open::{connect, put_in_place, write_new};
use super::outbox::heritage::{Heritage, offer_again, owner_of};
use super::quarantine::{self, COMPANIONS, quarantined, with};
use super::{LEDGER_FILE, Ledger, LedgerError, LedgerLock, LedgerReader, audit, meta, schema};
use crate::domain::UnixMillis;
use rusqlite::Connection;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// How much of a backup is copied at once.
const PIECE: usize = 1 << 20;

/// What a ledger was made anew from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RebuiltFrom {
    /// Its backup, and what the logs have had since.
    Backup,
    /// The logs alone.
    Logs,
}

impl RebuiltFrom {
    /// One word, as it is stored and shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Logs => "logs",
        }
    }

    fn of(name: Option<&str>) -> Self {
        if name == Some("backup") { Self::Backup } else { Self::Logs }
    }
}

/// A ledger that was made anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    /// What was found, in one line.
    pub found: String,
    /// Where the damaged database is now.
    pub put_aside: PathBuf,
    /// What the new one was made from.
    pub from: RebuiltFrom,
    /// Why the backup that was there was not used.
    pub unusable: Option<String>,
}

/// What a ledger knows of its having been made anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RebuildNote {
    /// When it last was.
    pub at: UnixMillis,
    /// From what.
    pub from: RebuiltFrom,
    /// How often.
    pub count: u64,
    /// What was lost; `None` as long as the logs have not been read since.
    pub losses: Option<Losses>,
}

impl Ledger {
    /// Opens the ledger in `folder`, as [`Ledger::open`] does, and makes a damaged one anew.
    pub fn open_or_rebuild(
        folder: &Path,
        lock: LedgerLock,
        now: UnixMillis,
    ) -> Result<(Self, Option<Rebuilt>), LedgerError> {
        let found = match connect(folder, &lock, now) {
            Ok(opened) => return Ok((Self::new(folder, opened, lock), None)),
            Err(error) if error.is_damaged() => error,
            Err(error) => return Err(error),
        };
        let path = folder.join(LEDGER_FILE);
        let rebuilt = prepare(&path, &found, now).map_err(|error| refusal(folder, &found, error))?;
        put_aside(&path, &rebuilt.put_aside, rebuilt.from)?;
        put_in_place(&finished(&path), &path)?;
        let opened = connect(folder, &lock, now)?;
        Ok((Self::new(folder, opened, lock), Some(rebuilt)))
    }

    /// Makes this ledger anew, after an error that says it is damaged. A call that comes after one that failed goes on
    /// where that ended: what is in place by then is the new ledger, which is not to be put aside in its turn.
    pub fn rebuild(&mut self, found: &LedgerError, now: UnixMillis) -> Result<Rebuilt, LedgerError> {
        self.audited = None;
        let rebuilt = match self.rebuilding.take() {
            Some(begun) => begun,
            None => self.make_way(found, now)?,
        };
        match connect(self.folder(), &self.lock, now) {
            Ok(opened) => {
                self.reopened(opened);
                Ok(rebuilt)
            }
            Err(error) => {
                self.rebuilding = Some(rebuilt).filter(|_| error.is_transient());
                Err(error)
            }
        }
    }

    /// Finishes a new ledger, and puts the damaged one out of its way: opening the ledger then puts it in place.
    fn make_way(&mut self, found: &LedgerError, now: UnixMillis) -> Result<Rebuilt, LedgerError> {
        let rebuilt = prepare(self.path(), found, now)?;
        put_aside(self.path(), &rebuilt.put_aside, rebuilt.from)?;
        // Closed while there is nothing under its name: SQLite then leaves the files as they are.
        self.connection = Connection::open_in_memory()?;
        (self.names, self.all_ids) = (super::names::Names::default(), None);
        Ok(rebuilt)
    }
}

impl LedgerReader {
    /// Looks the whole ledger through.
    pub fn audit(&self) -> Result<(), LedgerError> {
        let path = self.connection.path().unwrap_or_default().to_owned();
        audit::snapshot_of(&self.connection, Path::new(&path))
    }

    /// Fails with [`LedgerError::Unread`] where the ledger was made anew, and the logs have not been read since: what
    /// it says is less than it will.
    pub fn check_read(&self) -> Result<(), LedgerError> {
        match self.rebuilt()? {
            Some(RebuildNote { losses: None, .. }) => {
                let path = Path::new(self.connection.path().unwrap_or_default());
                Err(LedgerError::Unread { folder: path.parent().unwrap_or(path).to_owned() })
            }
            _ => Ok(()),
        }
    }

    /// When and how the ledger was made anew, if it ever was.
    pub fn rebuilt(&self) -> Result<Option<RebuildNote>, LedgerError> {
        let sql = &self.connection;
        let Some(at) = meta::number(sql, meta::REBUILT_AT)? else { return Ok(None) };
        let from = meta::text(sql, meta::REBUILT_FROM)?;
        let from = RebuiltFrom::of(from.as_deref());
        let count = meta::number(sql, meta::REBUILDS)?.and_then(|count| u64::try_from(count).ok());
        let losses = losses::noted(sql)?;
        Ok(Some(RebuildNote { at: UnixMillis(at), from, count: count.unwrap_or(1), losses }))
    }
}

/// The error of a ledger that is damaged at start and cannot be made anew.
fn refusal(folder: &Path, found: &LedgerError, error: LedgerError) -> LedgerError {
    if matches!(error, LedgerError::Unmendable { .. }) {
        return error;
    }
    let mut why = format!("{found}; {error}");
    let mut cause = std::error::Error::source(&error);
    while let Some(deeper) = cause {
        why.extend([": ", &deeper.to_string()]);
        cause = deeper.source();
    }
    LedgerError::Unmendable { folder: folder.to_owned(), why }
}

/// Where a new ledger waits, finished, for the damaged one to be out of its way.
pub(super) fn finished(path: &Path) -> PathBuf {
    with(path, ".rebuilt")
}

/// Puts the ledger in place that a former process had finished, and what it had left of the damaged one beside
/// the rest of that; `false` where there is none, or nothing says where that is. It is still to be audited.
pub(super) fn finish(path: &Path) -> Result<bool, LedgerError> {
    let finished = finished(path);
    if !finished.exists() {
        return Ok(false);
    }
    // Closed before the file is opened otherwise.
    let told = audit::read_only(&finished)
        .and_then(|sql| Ok((meta::text(&sql, meta::REBUILT_BESIDE)?, meta::text(&sql, meta::REBUILT_FROM)?)));
    let (beside, from) = told.unwrap_or_default();
    match Path::new(&beside.unwrap_or_default()).file_name() {
        Some(name) => put_aside(path, &path.with_file_name(name), RebuiltFrom::of(from.as_deref()))?,
        None if with(path, COMPANIONS[0]).exists() => return Ok(false),
        None => {}
    }
    put_in_place(&finished, path)?;
    Ok(true)
}

/// Puts the damaged files out of the way of the new ledger, and its backup, too, where that was of no use.
fn put_aside(path: &Path, to: &Path, from: RebuiltFrom) -> Result<(), LedgerError> {
    quarantine::put_aside(path, to)?;
    if from == RebuiltFrom::Logs {
        quarantine::put_backup_aside(&backup::place(path.parent().unwrap_or(path)), to);
    }
    Ok(())
}

/// Makes the new ledger, all but its name.
pub(super) fn prepare(path: &Path, found: &LedgerError, now: UnixMillis) -> Result<Rebuilt, LedgerError> {
    let folder = path.parent().unwrap_or(path);
    let put_aside = quarantine::name(folder, now)?;
    let heritage = heritage(path, folder);
    let new = with(path, ".new");
    let note = |sql: &Connection, from| {
        if heritage.may_be_on_a_server() {
            meta::set(sql, meta::RESTORE_WANTED, Some("1"))?;
        }
        note(sql, from, now, &put_aside)
    };
    let (from, unusable) = match from_backup(folder, &new, &heritage, &note)? {
        Usable::Yes => (RebuiltFrom::Backup, None),
        Usable::Absent => (RebuiltFrom::Logs, None),
        Usable::No(why) => (RebuiltFrom::Logs, Some(why)),
    };
    if from == RebuiltFrom::Logs {
        write_new(&new, |sql| {
            let sql = sql.transaction()?;
            heritage.hand_on(&sql)?;
            note(&sql, RebuiltFrom::Logs)?;
            Ok(sql.commit()?)
        })?;
    }
    put_in_place(&new, &finished(path))?;
    Ok(Rebuilt { found: found.to_string(), put_aside, from, unusable })
}

/// Of the damaged ledger, or of its backup where it says nothing of an owner any more: the backup may be damaged,
/// too, and still say that.
fn heritage(path: &Path, folder: &Path) -> Heritage {
    let read = |path: &Path| audit::read_only(path).map(|sql| Heritage::read(&sql)).unwrap_or_default();
    let heritage = read(path);
    if heritage.owner().is_some() {
        return heritage;
    }
    let older = read(&backup::place(folder));
    if older.owner().is_some() { older.with_told(heritage) } else { heritage }
}

/// Writes down what became of the ledger.
fn note(sql: &Connection, from: RebuiltFrom, now: UnixMillis, put_aside: &Path) -> Result<(), LedgerError> {
    let before = meta::number(sql, meta::REBUILDS)?.and_then(|count| usize::try_from(count).ok());
    let there = put_aside.parent().map_or(0, |folder| quarantined(folder).len());
    let count = before.unwrap_or(0).max(there) + 1;
    let name = put_aside.file_name().unwrap_or_default().to_string_lossy();
    meta::set(sql, meta::REBUILT_AT, Some(&now.0.to_string()))?;
    meta::set(sql, meta::REBUILT_FROM, Some(from.name()))?;
    meta::set(sql, meta::REBUILDS, Some(&count.to_string()))?;
    meta::set(sql, meta::REBUILT_BESIDE, Some(&name))?;
    meta::set(sql, meta::REBUILT_LOST, None)
}

/// Whether the backup has become the new ledger.
enum Usable {
    Yes,
    Absent,
    /// It has not, and this is why.
    No(String),
}

/// Copies the backup and makes it the ledger's. Fails only where the copy cannot be written: what is wrong
/// with the backup is an answer.
fn from_backup(
    folder: &Path,
    new: &Path,
    former: &Heritage,
    note: &dyn Fn(&Connection, RebuiltFrom) -> Result<(), LedgerError>,
) -> Result<Usable, LedgerError> {
    let mut backup = match File::open(backup::place(folder)) {
        Ok(backup) => backup,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Usable::Absent),
        Err(error) => return Ok(Usable::No(error.to_string())),
    };
    if let Some(why) = copy(&mut backup, new)? {
        return Ok(Usable::No(why));
    }
    let adopted = adopt(new, former, note);
    match adopted {
        Ok(None) => Ok(Usable::Yes),
        Ok(Some(why)) => Ok(Usable::No(why)),
        Err(error) => match audit::as_damage(new, error) {
            LedgerError::Damaged { what, .. } => Ok(Usable::No(what)),
            error if error.is_transient() => Err(error),
            error => Ok(Usable::No(error.to_string())),
        },
    }
}

/// Says why the backup cannot be read, where that is so.
fn copy(backup: &mut File, new: &Path) -> Result<Option<String>, LedgerError> {
    make_private(new)?;
    let failed = |source| LedgerError::folder(new, source);
    let mut file = OpenOptions::new().write(true).open(new).map_err(failed)?;
    let mut piece = vec![0; PIECE];
    loop {
        match backup.read(&mut piece) {
            Ok(0) => return Ok(None),
            Ok(length) => file.write_all(piece.get(..length).unwrap_or_default()).map_err(failed)?,
            Err(error) => return Ok(Some(error.to_string())),
        }
    }
}

/// Makes a copy of the backup the ledger, unless it is somebody else's.
fn adopt(
    new: &Path,
    former: &Heritage,
    note: &dyn Fn(&Connection, RebuiltFrom) -> Result<(), LedgerError>,
) -> Result<Option<String>, LedgerError> {
    let mut connection = Connection::open(new)?;
    connection.pragma_update(None, "journal_mode", "DELETE")?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    schema::check_identity(&connection)?;
    if schema::tables(&connection)? == 0 {
        return Ok(Some("there are no tables in it".to_owned()));
    }
    schema::migrate(&mut connection)?;
    audit::database(&connection, new)?;
    let sql = connection.transaction()?;
    let owner = owner_of(&sql)?;
    if let (Some(former), Some(owner)) = (former.owner(), &owner)
        && former != owner
    {
        return Ok(Some(format!("it belongs to {owner}, the ledger to {former}")));
    }
    // It may have been made before there was an owner, and before sessions became somebody else's.
    former.hand_on(&sql)?;
    offer_again(&sql)?;
    note(&sql, RebuiltFrom::Backup)?;
    sql.commit()?;
    Ok(None)
}
