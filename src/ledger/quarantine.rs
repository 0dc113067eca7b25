//! Damaged files, put aside.
//!
//! Owns: their names (`ledger.sqlite.damaged-20261122T101500Z`, the write-ahead log and its index beside it
//! under the same name, so that what is left can still be read, and a backup that was of no use) and their number in
//! an hour. Nothing is
//! overwritten and nothing deleted: that is for a person. Connections that have the files open go on with
//! them and do not notice, and SQLite folds no log of a file that was moved. Refuses to put a fourth aside
//! within an hour: a disk that spoils what is written to it would be filled. Fails with
//! [`LedgerError::Unmendable`].

use super::{LEDGER_FILE, LedgerError};
use crate::domain::UnixMillis;
use chrono::NaiveDateTime;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Between the ledger's name and the moment.
const MARK: &str = ".damaged-";

/// The moment in a name.
const MOMENT: &str = "%Y%m%dT%H%M%SZ";

/// So many within [`HOUR_MS`], and no more.
const MOST_IN_AN_HOUR: usize = 3;
const HOUR_MS: i64 = 60 * 60 * 1000;

/// What SQLite keeps beside a database.
pub(super) const COMPANIONS: [&str; 2] = ["-wal", "-shm"];

/// Behind the name of a damaged ledger: its backup, which could not be used.
const BACKUP: &str = "-backup";

/// A damaged ledger that was put aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// The database; there may be a write-ahead log of its name alone.
    pub path: PathBuf,
    /// When; `None` where somebody has named it otherwise.
    pub at: Option<UnixMillis>,
}

/// The damaged ledgers in a state folder, by name. None where the folder cannot be listed.
pub fn quarantined(folder: &Path) -> Vec<Quarantined> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let start = format!("{LEDGER_FILE}{MARK}");
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with(&start))
        .map(|name| match COMPANIONS.iter().chain([&BACKUP]).find_map(|end| name.strip_suffix(end)) {
            Some(base) => base.to_owned(),
            None => name,
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    let moment = |name: &str| {
        let text = name.strip_prefix(&start)?.get(..16)?;
        let moment = NaiveDateTime::parse_from_str(text, MOMENT).ok()?;
        Some(UnixMillis(moment.and_utc().timestamp_millis()))
    };
    names.into_iter().map(|name| Quarantined { at: moment(&name), path: folder.join(name) }).collect()
}

/// A free name for what is found damaged `now`, where there is any use in putting it aside.
pub(super) fn name(folder: &Path, now: UnixMillis) -> Result<PathBuf, LedgerError> {
    let there = quarantined(folder);
    let is_recent =
        |one: &&Quarantined| one.at.is_some_and(|at| now.0.abs_diff(at.0) < HOUR_MS.unsigned_abs());
    let recent = there.iter().filter(is_recent).count();
    if recent >= MOST_IN_AN_HOUR {
        let why = format!("it was damaged {recent} times within an hour, which a sound disk does not do");
        return Err(LedgerError::Unmendable { folder: folder.to_owned(), why });
    }
    let moment = now.to_utc().format(MOMENT);
    let base = folder.join(format!("{LEDGER_FILE}{MARK}{moment}"));
    let names =
        std::iter::once(base.clone()).chain((2..1000).map(|number| with(&base, &format!("-{number}"))));
    let mut free = names.filter(|name| !there.iter().any(|one| one.path == *name));
    free.next().ok_or_else(|| unmendable(&base, &io::Error::from(io::ErrorKind::AlreadyExists)))
}

/// Renames the database and what belongs to it. The database goes first: a log that is left behind by a crash
/// is found without it, and put aside in its turn.
pub(super) fn put_aside(path: &Path, to: &Path) -> Result<(), LedgerError> {
    for end in ["", COMPANIONS[0], COMPANIONS[1]] {
        let from = with(path, end);
        match std::fs::rename(&from, with(to, end)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(unmendable(&from, &error)),
            _ => {}
        }
    }
    sync_folder(path).map_err(|error| unmendable(path, &error))
}

/// Renames a backup that was of no use beside the damaged ledger that was put aside as `to`: the next backup would take
/// its place.
pub(super) fn put_backup_aside(backup: &Path, to: &Path) {
    // Where it cannot be moved it is no worse off than before, and the new ledger is none the worse for it.
    let _ = std::fs::rename(backup, with(to, BACKUP));
}

/// The databases of a damaged ledger: itself, and its backup where that was put aside, too.
pub(super) fn databases(damaged: &Path) -> impl Iterator<Item = PathBuf> {
    let backup = Some(with(damaged, BACKUP)).filter(|backup| backup.exists());
    std::iter::once(damaged.to_owned()).chain(backup)
}

fn unmendable(path: &Path, error: &io::Error) -> LedgerError {
    let folder = path.parent().unwrap_or(path).to_owned();
    LedgerError::Unmendable { folder, why: format!("{} cannot be put aside: {error}", path.display()) }
}

/// The path with something behind its name.
pub(super) fn with(path: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(end);
    PathBuf::from(name)
}

/// Makes renames in the folder of `path` last through a power cut.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().unwrap_or(path);
    File::open(folder)?.sync_all()
}
