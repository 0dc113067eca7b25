//! The session logs that were ever read, and where reading each goes on.
//!
//! Owns: reading the table `file`. There may be a hundred thousand of them: who keeps something of each in
//! memory is handed one after the other, and asks for the rest of a row when it is wanted.

use super::row::count;
use super::{Ledger, LedgerError, LedgerReader, meta};
use crate::domain::{Cursor, FileStat};
use rusqlite::{Connection, OptionalExtension, Row as SqlRow};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What [`read_stat`] reads.
const STAT: &str = "device, inode, size, modified_ns";
const COLUMNS: &str = "device, inode, size, modified_ns, offset, head, tail, path, id";

/// How much was read of how many logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogFigures {
    /// Logs that were ever read, those that are gone included.
    pub files: u64,
    /// Bytes of them that are counted.
    pub read_bytes: u64,
    /// Bytes that they had beyond that when they were last read: lines without their end.
    pub unread_bytes: u64,
}

impl LedgerReader {
    /// How much was read of how many logs.
    pub fn log_figures(&self) -> Result<LogFigures, LedgerError> {
        let sums =
            "SELECT count(*), coalesce(sum(offset), 0), coalesce(sum(max(size - offset, 0)), 0) FROM file";
        let figures = self.connection.query_row(sums, [], |row| {
            Ok(LogFigures {
                files: count(row.get(0)?),
                read_bytes: count(row.get(1)?),
                unread_bytes: count(row.get(2)?),
            })
        })?;
        Ok(figures)
    }

    /// Lines that were not as they should be, by what was wrong with them.
    pub fn faults(&self) -> Result<BTreeMap<String, u64>, LedgerError> {
        let mut statement = self.connection.prepare("SELECT kind, count(*) FROM fault GROUP BY kind")?;
        let faults = statement.query_map([], |row| Ok((row.get(0)?, count(row.get(1)?))))?;
        Ok(faults.collect::<Result<_, _>>()?)
    }

    /// Where reading goes on, for every file that was ever read.
    pub fn cursors(&self) -> Result<Vec<(PathBuf, Cursor)>, LedgerError> {
        read_cursors(&self.connection)
    }
}

impl Ledger {
    /// Notes for those who watch over this machine how many session logs cannot be read at the moment.
    pub fn note_unreadable_logs(&self, logs: usize) -> Result<(), LedgerError> {
        let logs = (logs > 0).then(|| logs.to_string());
        meta::set(&self.connection, meta::UNREADABLE_LOGS, logs.as_deref())
    }

    /// Where reading goes on, for every file that was ever read.
    pub fn cursors(&self) -> Result<Vec<(PathBuf, Cursor)>, LedgerError> {
        read_cursors(&self.connection)
    }

    /// How many files were ever read.
    pub fn file_count(&self) -> Result<usize, LedgerError> {
        let count: i64 = self.connection.query_row("SELECT count(*) FROM file", [], |row| row.get(0))?;
        Ok(usize::try_from(count).unwrap_or_default())
    }

    /// Hands every file that was ever read to `visit`: its number, its path, and what it was when it was read last.
    pub fn each_file(&self, visit: &mut dyn FnMut(i64, &Path, FileStat)) -> Result<(), LedgerError> {
        // A scan that finds nothing new waits for this: no column too many.
        let mut statement = self.connection.prepare(&format!("SELECT {STAT}, path, id FROM file"))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let path = row.get_ref(4)?.as_blob().map_err(rusqlite::Error::from)?;
            visit(row.get(5)?, Path::new(OsStr::from_bytes(path)), read_stat(row)?);
        }
        Ok(())
    }

    /// Where reading the file of this path goes on.
    pub fn cursor_of(&self, path: &Path) -> Result<Option<Cursor>, LedgerError> {
        let cursor = self
            .connection
            .prepare_cached(&format!("SELECT {COLUMNS} FROM file WHERE path = ?1"))?
            .query_row([path.as_os_str().as_bytes()], read_cursor)
            .optional()?;
        Ok(cursor)
    }

    /// Path and cursor of the file with this number.
    pub fn file_of(&self, number: i64) -> Result<Option<(PathBuf, Cursor)>, LedgerError> {
        let file = self
            .connection
            .prepare_cached(&format!("SELECT {COLUMNS} FROM file WHERE id = ?1"))?
            .query_row([number], |row| Ok((read_path(row, 7)?, read_cursor(row)?)))
            .optional()?;
        Ok(file)
    }
}

fn read_cursors(connection: &Connection) -> Result<Vec<(PathBuf, Cursor)>, LedgerError> {
    let mut statement = connection.prepare(&format!("SELECT {COLUMNS} FROM file"))?;
    let cursors = statement.query_map([], |row| Ok((read_path(row, 7)?, read_cursor(row)?)))?;
    Ok(cursors.collect::<Result<_, _>>()?)
}

/// A path, which is bytes and maybe no text.
pub(super) fn read_path(row: &SqlRow<'_>, column: usize) -> rusqlite::Result<PathBuf> {
    let bytes: Vec<u8> = row.get(column)?;
    Ok(PathBuf::from(OsStr::from_bytes(&bytes)))
}

fn read_stat(row: &SqlRow<'_>) -> rusqlite::Result<FileStat> {
    Ok(FileStat {
        device: row.get::<_, i64>(0)?.cast_unsigned(),
        inode: row.get::<_, i64>(1)?.cast_unsigned(),
        size: count(row.get(2)?),
        modified_ns: row.get(3)?,
    })
}

fn read_cursor(row: &SqlRow<'_>) -> rusqlite::Result<Cursor> {
    Ok(Cursor {
        stat: read_stat(row)?,
        offset: count(row.get(4)?),
        head: row.get::<_, i64>(5)?.cast_unsigned(),
        tail: row.get::<_, i64>(6)?.cast_unsigned(),
    })
}

/// The session that a path names: the parent of `subagents`, else the file's own name.
pub fn session_of(path: &Path) -> String {
    let parts = path.components().map(|part| part.as_os_str().to_string_lossy());
    let mut before = None;
    for part in parts {
        if part == "subagents"
            && let Some(session) = before
        {
            return session;
        }
        before = Some(part.into_owned());
    }
    path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}
