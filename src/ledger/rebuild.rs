//! A damaged ledger, made anew.
//!
//! Owns: the order of things. The new ledger is made beside the damaged one, from the backup where that
//! passes the audit and belongs to the same owner, else empty; it is finished under another name; the damaged
//! files are put aside; it is renamed. A crash anywhere leaves either the damaged ledger, or the finished one
//! to be renamed at the next start. Where reading goes on is what the new ledger says, so that the next look
//! at all logs brings in what it lacks. Then it is compared with what can still be read of the damaged one:
//! what no log has any more is told of, not passed over. Refuses to throw anything away. Fails with
//! [`LedgerError::Unmendable`], and as writing does.

use super::backup::{self, make_private};
use super::open::{connect, put_in_place, write_new};
use super::outbox::heritage::{Heritage, offer_again, owner_of};
use super::quarantine::{self, quarantined, with};
use super::{LEDGER_FILE, Ledger, LedgerError, LedgerLock, LedgerReader, audit, meta, schema};
use crate::domain::UnixMillis;
use rusqlite::{Connection, Row};
use std::collections::HashMap;
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

/// What the damaged ledger had and the new one has not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Sessions that lack responses.
    pub sessions: u64,
    /// How many responses.
    pub responses: u64,
    /// All of the damaged ledger could be read: there are no further ones.
    pub is_all: bool,
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
        quarantine::put_aside(&path, &rebuilt.put_aside)?;
        put_in_place(&finished(&path), &path)?;
        let opened = connect(folder, &lock, now)?;
        Ok((Self::new(folder, opened, lock), Some(rebuilt)))
    }

    /// Makes this ledger anew, after an error that says it is damaged.
    pub fn rebuild(&mut self, found: &LedgerError, now: UnixMillis) -> Result<Rebuilt, LedgerError> {
        self.audited = None;
        let (folder, path) = (self.folder().to_owned(), self.path().to_owned());
        let rebuilt = prepare(&path, found, now)?;
        quarantine::put_aside(&path, &rebuilt.put_aside)?;
        // Closed while there is nothing under its name: SQLite then leaves the files as they are.
        self.connection = Connection::open_in_memory()?;
        self.names = super::names::Names::default();
        put_in_place(&finished(&path), &path)?;
        self.reopened(connect(&folder, &self.lock, now)?);
        Ok(rebuilt)
    }

    /// Compares with the damaged ledger that this one took the place of. To be called when all logs have been
    /// read; says something the first time only.
    pub fn settle_rebuild(&mut self) -> Result<Option<Losses>, LedgerError> {
        let Some(name) = meta::text(&self.connection, meta::REBUILT_BESIDE)? else { return Ok(None) };
        let losses = compare(&self.connection, &self.folder().join(name))?;
        let Losses { sessions, responses, is_all } = losses;
        let sql = self.connection.transaction()?;
        meta::set(&sql, meta::REBUILT_LOST, Some(&format!("{sessions} {responses} {}", u8::from(is_all))))?;
        meta::set(&sql, meta::REBUILT_BESIDE, None)?;
        sql.commit()?;
        Ok(Some(losses))
    }
}

impl LedgerReader {
    /// Looks the whole ledger through.
    pub fn audit(&self) -> Result<(), LedgerError> {
        let path = self.connection.path().unwrap_or_default().to_owned();
        audit::snapshot_of(&self.connection, Path::new(&path))
    }

    /// When and how the ledger was made anew, if it ever was.
    pub fn rebuilt(&self) -> Result<Option<RebuildNote>, LedgerError> {
        let sql = &self.connection;
        let Some(at) = meta::number(sql, meta::REBUILT_AT)? else { return Ok(None) };
        let from = meta::text(sql, meta::REBUILT_FROM)?;
        let from = if from.as_deref() == Some("backup") { RebuiltFrom::Backup } else { RebuiltFrom::Logs };
        let count = meta::number(sql, meta::REBUILDS)?.and_then(|count| u64::try_from(count).ok());
        let losses = meta::text(sql, meta::REBUILT_LOST)?.and_then(|text| parse_losses(&text));
        Ok(Some(RebuildNote { at: UnixMillis(at), from, count: count.unwrap_or(1), losses }))
    }
}

fn parse_losses(text: &str) -> Option<Losses> {
    let mut words = text.split(' ');
    let mut number = || words.next()?.parse().ok();
    let (sessions, responses) = (number()?, number()?);
    Some(Losses { sessions, responses, is_all: number()? == 1 })
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

/// Puts the ledger in place that a former process had finished; `false` where there is none.
pub(super) fn finish(path: &Path) -> Result<bool, LedgerError> {
    let finished = finished(path);
    if !finished.exists() {
        return Ok(false);
    }
    put_in_place(&finished, path)?;
    Ok(true)
}

/// Makes the new ledger, all but its name.
fn prepare(path: &Path, found: &LedgerError, now: UnixMillis) -> Result<Rebuilt, LedgerError> {
    let folder = path.parent().unwrap_or(path);
    let put_aside = quarantine::name(folder, now)?;
    let heritage = audit::read_only(path).map(|sql| Heritage::read(&sql)).unwrap_or_default();
    let new = with(path, ".new");
    let note = |sql: &Connection, from| note(sql, from, now, &put_aside);
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
    meta::set(sql, meta::REBUILT_LOST, None)?;
    meta::set(sql, meta::RESTORE_WANTED, Some("1"))
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
    offer_again(&sql)?;
    note(&sql, RebuiltFrom::Backup)?;
    sql.commit()?;
    Ok(None)
}

/// What can be read of `damaged`, and is not in the ledger.
fn compare(ledger: &Connection, damaged: &Path) -> Result<Losses, LedgerError> {
    let by_name = |sessions: &HashMap<i64, String>, counts: HashMap<i64, u64>| {
        let mut named: HashMap<String, u64> = HashMap::new();
        for (session, count) in counts {
            let name = sessions.get(&session).cloned().unwrap_or_default();
            *named.entry(name).or_default() += count;
        }
        named
    };
    let Ok(former) = audit::read_only(damaged) else { return Ok(Losses::default()) };
    let (sessions, has_names) = sessions(&former);
    let (responses, has_responses) = counts(&former, "SELECT session, 1 FROM response");
    let (cells, has_cells) = counts(&former, "SELECT session, messages FROM cell");
    let mut before = by_name(&sessions, responses);
    for (name, count) in by_name(&sessions, cells) {
        let known = before.entry(name).or_default();
        *known = count.max(*known);
    }
    let (names, has_all_names) = self::sessions(ledger);
    let (counted, has_all) = counts(ledger, "SELECT session, 1 FROM response");
    if !(has_all_names && has_all) {
        let path = Path::new(ledger.path().unwrap_or_default());
        return Err(LedgerError::damaged(path, "its responses cannot be counted"));
    }
    let now = by_name(&names, counted);
    let mut losses = Losses { is_all: has_names && (has_responses || has_cells), ..Losses::default() };
    for (name, count) in before {
        let lost = count.saturating_sub(now.get(&name).copied().unwrap_or(0));
        losses.sessions += u64::from(lost > 0);
        losses.responses = losses.responses.saturating_add(lost);
    }
    Ok(losses)
}

/// Names of sessions, and whether these are all.
fn sessions(sql: &Connection) -> (HashMap<i64, String>, bool) {
    let mut names = HashMap::new();
    let is_all = each(sql, "SELECT id, name FROM session", |row| {
        names.insert(row.get(0)?, row.get(1)?);
        Ok(())
    });
    (names, is_all)
}

/// Responses of sessions by a query that gives both, and whether these are all.
fn counts(sql: &Connection, query: &str) -> (HashMap<i64, u64>, bool) {
    let mut counts: HashMap<i64, u64> = HashMap::new();
    let is_all = each(sql, query, |row| {
        let count = u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0);
        let sum = counts.entry(row.get(0)?).or_default();
        *sum = sum.saturating_add(count);
        Ok(())
    });
    (counts, is_all)
}

/// Rows up to the first that cannot be read; `false` where there is such a one.
fn each(sql: &Connection, query: &str, mut take: impl FnMut(&Row<'_>) -> rusqlite::Result<()>) -> bool {
    let mut read = || -> rusqlite::Result<()> {
        let mut statement = sql.prepare(query)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            take(row)?;
        }
        Ok(())
    };
    read().is_ok()
}
