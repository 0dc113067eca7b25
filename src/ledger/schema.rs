//! The tables, and how an older ledger becomes a newer one.
//!
//! Migrations only grow: an entry of [`MIGRATIONS`] that was ever released is never edited. The number
//! of entries is the schema version, kept in SQLite's `user_version`.

use super::{LedgerError, days, unlogged, write};
use rusqlite::{Connection, TransactionBehavior};
use std::path::Path;

/// Marks a SQLite file as a tallyd ledger ("tlyd").
pub(super) const APPLICATION_ID: i32 = 0x746c_7964;

/// From nothing to version 1, from version 1 to 2, and so on.
pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("schema/0001_counting.sql"),
    include_str!("schema/0002_publishing.sql"),
    include_str!("schema/0003_restored.sql"),
    include_str!("schema/0004_sessions.sql"),
    include_str!("schema/0005_days.sql"),
    include_str!("schema/0006_message_ids.sql"),
    include_str!("schema/0007_unlogged.sql"),
    include_str!("schema/0008_incomplete.sql"),
    include_str!("schema/0009_event.sql"),
];

/// The first version that keeps the sums of whole days.
const DAYS_SINCE: usize = 5;

/// The first version that keeps a hash of a response's id.
const ID_HASHES_SINCE: usize = 6;

/// The first version that keeps unlogged usage.
const UNLOGGED_SINCE: usize = 7;

/// No tallyd will ever have written so many versions: such a number is a damaged one.
const NO_VERSION: usize = 100_000;

/// The schema version that this build writes.
pub const SCHEMA_VERSION: usize = MIGRATIONS.len();

/// Brings the ledger to [`SCHEMA_VERSION`], in one transaction.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), LedgerError> {
    if version(connection)? == SCHEMA_VERSION {
        return check_identity(connection);
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    let found = version(&transaction)?;
    if found > SCHEMA_VERSION {
        return Err(LedgerError::Newer { found, known: SCHEMA_VERSION });
    }
    check_identity(&transaction)?;
    for migration in MIGRATIONS.iter().skip(found) {
        transaction.execute_batch(migration)?;
    }
    if found < DAYS_SINCE {
        days::fill(&transaction)?;
    }
    if found < ID_HASHES_SINCE {
        write::id_hashes(&transaction)?;
    }
    if found < UNLOGGED_SINCE {
        unlogged::fill(&transaction)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", i64::try_from(SCHEMA_VERSION).unwrap_or(i64::MAX))?;
    transaction.commit()?;
    Ok(())
}

/// Refuses a ledger that this build cannot read, without changing it.
pub(super) fn check_readable(connection: &Connection) -> Result<(), LedgerError> {
    check_identity(connection)?;
    let found = version(connection)?;
    match found {
        0 => Err(LedgerError::Empty),
        _ if found > SCHEMA_VERSION => Err(LedgerError::Newer { found, known: SCHEMA_VERSION }),
        _ if found < SCHEMA_VERSION => Err(LedgerError::Older { found, known: SCHEMA_VERSION }),
        _ => Ok(()),
    }
}

/// A file with tables in it that are not a ledger's is somebody else's.
pub(super) fn check_identity(connection: &Connection) -> Result<(), LedgerError> {
    let id: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if id == APPLICATION_ID || tables(connection)? == 0 {
        return Ok(());
    }
    let ours: i64 = connection.query_row(
        "SELECT count(*) FROM sqlite_schema WHERE name IN ('response', 'sighting', 'cell', 'part', 'alias')",
        [],
        |row| row.get(0),
    )?;
    if ours < 5 {
        Err(LedgerError::NotALedger)
    } else {
        Err(damaged(connection, "its head is not a ledger's"))
    }
}

/// How many tables and indexes there are.
pub(super) fn tables(connection: &Connection) -> Result<i64, LedgerError> {
    Ok(connection.query_row("SELECT COUNT(*) FROM sqlite_schema", [], |row| row.get(0))?)
}

fn damaged(connection: &Connection, what: &str) -> LedgerError {
    LedgerError::damaged(Path::new(connection.path().unwrap_or_default()), what)
}

fn version(connection: &Connection) -> Result<usize, LedgerError> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match usize::try_from(version) {
        Ok(version) if version < NO_VERSION => Ok(version),
        _ => Err(damaged(connection, &format!("{version} is no schema version"))),
    }
}
