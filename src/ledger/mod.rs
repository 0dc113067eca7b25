//! The ledger: the only state tallyd has, an embedded SQLite database.
//!
//! Constraints: a line is counted when the transaction that holds its cursor is durable, not before;
//! facts and cursor commit together. Nothing is ever subtracted because a log file vanished. One
//! process counts, held off from others by a lock file; readers use connections of their own. What became
//! of publishing is written beside it, in transactions of a connection of its own.
//! A ledger that is damaged is put aside and made anew from its backup or the logs, never thrown away.
//! Owns: SQL and table names; nothing outside knows a table. Refuses: a ledger of a newer tallyd, a
//! database that is none. Fails with [`LedgerError`]; a failed transaction leaves everything as it was.

mod audit;
mod backup;
mod cells;
mod days;
mod event;
mod files;
mod incomplete;
mod ingest;
mod lock;
mod losses;
mod meta;
mod names;
mod open;
mod outbox;
mod pending;
mod place;
mod quarantine;
mod read;
mod rebuild;
mod reprice;
mod restored;
mod row;
mod schema;
mod seen;
#[cfg(test)]
mod tests;
mod unlogged;
mod witness;
mod write;

pub use backup::{Backup, BackupStop};
pub use days::Span;
pub use event::{EventFigures, EventNews, EventSummary};
pub use files::{LogFigures, session_of};
pub use incomplete::{IncompleteCount, IncompleteReply};
pub use ingest::{Change, IngestSummary};
pub use lock::{Activity, Holder, LedgerLock, LockError};
pub use losses::Losses;
pub use open::{Ledger, file_bytes};
pub use outbox::{
    Acknowledged, Adopted, Backlog, Begun, Found, NotedRefusal, Offer, Offered, Outbox, Parked, PublishNote,
    Reassign, Restorable, Restoration, Waiting,
};
pub use quarantine::{Quarantined, quarantined};
pub use read::{LedgerReader, ResponseRecord, RestoredRecord, SightingRecord};
pub use rebuild::{RebuildNote, Rebuilt, RebuiltFrom};
pub use schema::SCHEMA_VERSION;
pub use seen::{FileUpdate, Seen, SeenAccount, SeenFault};
pub use unlogged::UnloggedRecord;
pub use witness::CopiedUsage;

use crate::domain::{Cost, ModelName, UnixMillis, Usage, Used};
use std::path::{Path, PathBuf};

/// File name of the ledger inside the state folder.
pub const LEDGER_FILE: &str = "ledger.sqlite";

/// What a usage costs; the price table behind it has a digest that names it.
pub trait Pricing {
    /// The cost of the response's own counters and of each of its parts, in order.
    fn price(&self, model: &ModelName, usage: &Usage, at: UnixMillis) -> (Cost, Vec<Cost>);

    /// The cost of what several calls used together, each of which may have been small.
    fn price_calls(&self, model: &ModelName, used: &Used, at: UnixMillis) -> Cost {
        let usage = Usage { tokens: used.tokens, web_searches: used.web_searches, ..Usage::default() };
        self.price(model, &usage, at).0
    }

    /// Names the table: two tables with the same digest price everything alike.
    fn digest(&self) -> &str;
}

/// Why the ledger could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// It was written by a newer tallyd.
    #[error(
        "the ledger was written by a newer tallyd: it has schema version {found}, this one knows {known}"
    )]
    Newer {
        /// Version of the ledger.
        found: usize,
        /// Version of this build.
        known: usize,
    },
    /// It was written by an older tallyd and nobody has opened it for writing since.
    #[error("the ledger has schema version {found}, to be upgraded to {known} by the next `tallyd scan`")]
    Older {
        /// Version of the ledger.
        found: usize,
        /// Version of this build.
        known: usize,
    },
    /// There are no tables in it yet.
    #[error("the ledger is empty")]
    Empty,
    /// The file is some other SQLite database.
    #[error("the file is a database, but no tallyd ledger")]
    NotALedger,
    /// There is no ledger at this place.
    #[error("there is no ledger at {path}")]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The ledger was deleted or replaced while it was open.
    #[error("the ledger {path} was deleted or replaced while it was in use")]
    Gone {
        /// Where it was.
        path: PathBuf,
    },
    /// The database is damaged.
    #[error("the ledger {path} is damaged: {what}")]
    Damaged {
        /// Where it is.
        path: PathBuf,
        /// What was found, in one line.
        what: String,
    },
    /// The database is damaged, and there is no use in making another one.
    #[error("the ledger in {folder} is damaged and was not made anew: {why}")]
    Unmendable {
        /// The state folder.
        folder: PathBuf,
        /// What is in the way, in one line.
        why: String,
    },
    /// It was made anew after damage, and the logs have not been read since.
    #[error(
        "the ledger in {folder} was damaged and is being made anew: the logs have not been read to their end"
    )]
    Unread {
        /// The state folder.
        folder: PathBuf,
    },
    /// The state folder or a file in it cannot be made or read.
    #[error("{path} cannot be made or opened")]
    Folder {
        /// What.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Somebody else could exchange the files in the state folder.
    #[error("{path} is no place for a ledger: {why}")]
    Exposed {
        /// The state folder.
        path: PathBuf,
        /// Who, and why.
        why: String,
    },
    /// SQLite refused.
    #[error("the ledger cannot be read or written")]
    Sqlite(#[from] rusqlite::Error),
}

impl LedgerError {
    /// True where trying again later may work: a full disk, a lock of another process.
    pub fn is_transient(&self) -> bool {
        use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked, DiskFull, ReadOnly, SystemIoFailure};
        match self {
            Self::Sqlite(error) => matches!(
                sql_code(error),
                Some(DatabaseBusy | DatabaseLocked | DiskFull | SystemIoFailure | ReadOnly)
            ),
            Self::Folder { .. } => true,
            _ => false,
        }
    }

    /// True where the database itself is broken: SQLite says so, or a value is not what its column holds.
    pub fn is_damaged(&self) -> bool {
        use rusqlite::Error as Sql;
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        match self {
            Self::Damaged { .. }
            | Self::Sqlite(
                Sql::FromSqlConversionFailure(..)
                | Sql::IntegralValueOutOfRange(..)
                | Sql::Utf8Error(..)
                | Sql::InvalidColumnType(..)
                | Sql::QueryReturnedNoRows,
            ) => true,
            Self::Sqlite(error) => {
                matches!(sql_code(error), Some(DatabaseCorrupt | NotADatabase))
            }
            _ => false,
        }
    }

    /// A finding at `path`.
    fn damaged(path: &Path, what: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), what: what.into() }
    }

    /// An I/O error at `path`.
    fn folder(path: &Path, source: std::io::Error) -> Self {
        Self::Folder { path: path.to_owned(), source }
    }
}

/// What SQLite calls the error, also where it came up while a statement was read.
fn sql_code(error: &rusqlite::Error) -> Option<rusqlite::ErrorCode> {
    match error {
        rusqlite::Error::SqlInputError { error, .. } => Some(error.code),
        error => error.sqlite_error_code(),
    }
}

/// What SQLite said, without the statement that it said it of.
fn sql_words(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        error => error.to_string(),
    }
}
