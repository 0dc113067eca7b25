//! Every statement that changes rows of facts, as a named function.

use super::cells::split_cost;
use super::names::Names;
use super::row::{Row, id_hash, part_kind_number, sql_count};
use super::seen::{FileUpdate, SeenAccount, SeenFault, SeenLine};
use super::{LedgerError, incomplete};
use crate::domain::{ClientAccount, UnixMillis};
use rusqlite::{CachedStatement, Connection, OptionalExtension, params};
use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;

/// Writes where reading a file goes on; returns the file's number.
pub(super) fn file(sql: &Connection, update: &FileUpdate) -> Result<i64, LedgerError> {
    let path = update.path.as_os_str().as_bytes();
    if let Some(from) = &update.moved_from {
        // A file that was here before is another one; its places are forgotten with it.
        forget_file(sql, path)?;
        sql.prepare_cached("UPDATE file SET path = ?2 WHERE path = ?1")?
            .execute(params![from.as_os_str().as_bytes(), path])?;
    }
    let cursor = &update.cursor;
    let id = sql
        .prepare_cached(
            "INSERT INTO file (path, device, inode, size, modified_ns, offset, head, tail) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (path) DO UPDATE SET \
             device = ?2, inode = ?3, size = ?4, modified_ns = ?5, offset = ?6, head = ?7, tail = ?8 RETURNING id",
        )?
        .query_row(
            params![
                path,
                cursor.stat.device.cast_signed(),
                cursor.stat.inode.cast_signed(),
                sql_count(cursor.stat.size),
                cursor.stat.modified_ns,
                sql_count(cursor.offset),
                cursor.head.cast_signed(),
                cursor.tail.cast_signed(),
            ],
            |row| row.get(0),
        )?;
    if update.restarted {
        forget_places(sql, id)?;
    }
    Ok(id)
}

fn forget_file(sql: &Connection, path: &[u8]) -> Result<(), LedgerError> {
    let id: Option<i64> = sql
        .prepare_cached("SELECT id FROM file WHERE path = ?1")?
        .query_row([path], |row| row.get(0))
        .optional()?;
    if let Some(id) = id {
        forget_places(sql, id)?;
        sql.prepare_cached("DELETE FROM file WHERE id = ?1")?.execute([id])?;
    }
    Ok(())
}

/// Forgets what stood where in a file that is read from its beginning. Counts nothing less.
fn forget_places(sql: &Connection, file: i64) -> Result<(), LedgerError> {
    sql.prepare_cached("DELETE FROM sighting WHERE file = ?1")?.execute([file])?;
    sql.prepare_cached("DELETE FROM fault WHERE file = ?1")?.execute([file])?;
    Ok(())
}

/// Writes responses of one transaction.
pub(super) struct Responses<'a> {
    sql: &'a Connection,
    insert: CachedStatement<'a>,
}

impl<'a> Responses<'a> {
    pub(super) fn new(sql: &'a Connection) -> Result<Self, LedgerError> {
        // A plain INSERT needs no journal of its own inside the transaction; REPLACE does.
        Ok(Self { sql, insert: sql.prepare_cached(&format!("INSERT INTO {RESPONSE}"))? })
    }

    /// Writes a response and the calls inside it, over what the ledger had of it before.
    pub(super) fn write(&mut self, row: &Row, before: Option<&Row>) -> Result<(), LedgerError> {
        match before {
            None => execute(&mut self.insert, row)?,
            Some(_) => execute(&mut self.sql.prepare_cached(&format!("REPLACE INTO {RESPONSE}"))?, row)?,
        }
        incomplete::write(self.sql, row, before)?;
        parts(self.sql, row, before)
    }
}

/// The columns of a response, as [`execute`] fills them in.
const RESPONSE: &str =
    "response VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)";

fn execute(statement: &mut CachedStatement<'_>, row: &Row) -> Result<(), LedgerError> {
    let [input, output, five_minutes, one_hour, read] = row.tokens.as_array().map(sql_count);
    statement.execute(params![
        row.id,
        row.message_id,
        row.session,
        row.model,
        row.version,
        row.first_at,
        row.ranked_after,
        row.paid_after,
        input,
        output,
        five_minutes,
        one_hour,
        read,
        sql_count(row.thinking),
        sql_count(row.web_searches),
        row.flags,
        row.cost,
        id_hash(&row.message_id),
    ])?;
    Ok(())
}

/// Writes the hashes of all ids.
pub(super) fn id_hashes(sql: &Connection) -> Result<(), LedgerError> {
    let mut update = sql.prepare("UPDATE response SET id_hash = ?2 WHERE id = ?1")?;
    let mut all = sql.prepare("SELECT id, message_id FROM response")?;
    let mut rows = all.query([])?;
    while let Some(row) = rows.next()? {
        let (number, id): (i64, String) = (row.get(0)?, row.get(1)?);
        update.execute([number, id_hash(&id)])?;
    }
    Ok(())
}

fn parts(sql: &Connection, row: &Row, before: Option<&Row>) -> Result<(), LedgerError> {
    if before.is_some_and(|before| !before.parts.is_empty()) {
        sql.prepare_cached("DELETE FROM part WHERE response = ?1")?.execute([row.id])?;
    }
    for (position, part) in row.parts.iter().enumerate() {
        let [input, output, five_minutes, one_hour, read] = part.tokens.as_array().map(sql_count);
        let position = sql_count(position as u64);
        sql.prepare_cached("INSERT INTO part VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)")?.execute(
            params![
                row.id,
                position,
                part_kind_number(part.kind),
                part.model,
                input,
                output,
                five_minutes,
                one_hour,
                read,
                part.cost,
            ],
        )?;
    }
    Ok(())
}

/// Writes the cost of a response and of the calls inside it.
pub(super) fn costs(sql: &Connection, row: &Row) -> Result<(), LedgerError> {
    sql.prepare_cached("UPDATE response SET cost = ?2 WHERE id = ?1")?.execute(params![row.id, row.cost])?;
    parts(sql, row, Some(row))
}

/// Marks sessions as changed: what was published of them is out of date.
pub(super) fn raise_stamps(sql: &Connection, sessions: &BTreeSet<i64>) -> Result<(), LedgerError> {
    let mut statement = sql.prepare_cached("UPDATE session SET stamp = stamp + 1 WHERE id = ?1")?;
    for session in sessions {
        statement.execute([session])?;
    }
    Ok(())
}

/// One response turned out to be another: its row goes, its names and places point to the other.
pub(super) fn absorb(sql: &Connection, goes: i64, stays: i64) -> Result<(), LedgerError> {
    sql.execute("DELETE FROM response WHERE id = ?1", [goes])?;
    sql.execute("DELETE FROM part WHERE response = ?1", [goes])?;
    incomplete::forget(sql, goes)?;
    sql.execute("UPDATE alias SET response = ?2 WHERE response = ?1", [goes, stays])?;
    sql.execute("UPDATE OR REPLACE sighting SET response = ?2 WHERE response = ?1", [goes, stays])?;
    sql.execute("UPDATE OR REPLACE request SET response = ?2 WHERE response = ?1", [goes, stays])?;
    sql.execute("UPDATE event SET response = ?2 WHERE response = ?1", [goes, stays])?;
    Ok(())
}

/// Writes further names of responses.
pub(super) fn aliases(sql: &Connection, aliases: &[(String, i64)]) -> Result<(), LedgerError> {
    let mut statement = sql.prepare_cached("INSERT OR REPLACE INTO alias VALUES (?1, ?2)")?;
    for (name, response) in aliases {
        statement.execute(params![name, response])?;
    }
    Ok(())
}

/// Writes which lines spoke of which responses, by file and response; a line that was read before says the same
/// again.
pub(super) fn sightings(
    sql: &Connection,
    lines: impl Iterator<Item = (i64, i64, SeenLine)>,
) -> Result<(), LedgerError> {
    let mut statement =
        sql.prepare_cached("INSERT OR IGNORE INTO sighting VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
    for (file, response, line) in lines {
        let SeenLine { offset, at, output, flags, .. } = line;
        statement.execute(params![file, sql_count(offset), response, at, sql_count(output), flags])?;
    }
    Ok(())
}

/// Writes that a line was not as it should be.
pub(super) fn fault(sql: &Connection, file: i64, fault: &SeenFault) -> Result<(), LedgerError> {
    sql.prepare_cached("INSERT OR REPLACE INTO fault VALUES (?1, ?2, ?3)")?.execute(params![
        file,
        sql_count(fault.offset),
        fault.kind
    ])?;
    Ok(())
}

/// Writes that the log of a session has copies of what another paid for; true where that was not known.
pub(super) fn copies(
    sql: &Connection,
    session: &str,
    payer: &str,
    until: UnixMillis,
) -> Result<bool, LedgerError> {
    let mut statement = sql.prepare_cached(
        "INSERT INTO copied_history VALUES (?1, ?2, ?3) \
         ON CONFLICT DO UPDATE SET until = excluded.until WHERE until < excluded.until",
    )?;
    Ok(statement.execute(params![session, payer, until.0])? > 0)
}

/// Writes the client's own account of a session behind the lines before it in its log; true where that tells
/// something new. The same account in another copy of the log may stand behind fewer lines.
pub(super) fn account(
    sql: &Connection,
    names: &mut Names,
    file: i64,
    seen: &SeenAccount,
) -> Result<bool, LedgerError> {
    let account = &seen.account;
    let (dollars, picodollars) = split_cost(account.cost.0);
    let after: Option<i64> = sql
        .prepare_cached("SELECT max(at) FROM sighting WHERE file = ?1 AND offset < ?2")?
        .query_row(params![file, sql_count(seen.offset)], |row| row.get(0))?;
    let key = params![
        account.session,
        account.started_at.unwrap_or_default().0,
        sql_count(account.duration_ms),
        dollars,
        picodollars,
        after,
        file,
        sql_count(seen.offset),
        seen.seen_at.0,
    ];
    let known = "session = ?1 AND started_at = ?2 AND duration_ms = ?3 AND cost_dollars = ?4 AND cost_picodollars = ?5";
    let raised = sql
        .prepare_cached(&format!(
            "UPDATE account SET after_at = ?6 WHERE {known} AND coalesce(after_at < ?6, after_at IS NULL AND ?6 IS NOT NULL)"
        ))?
        .execute(key.get(..6).unwrap_or_default())?;
    let inserted = sql
        .prepare_cached(
            "INSERT INTO account (session, started_at, duration_ms, cost_dollars, cost_picodollars, after_at, \
             file, offset, seen_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING",
        )?
        .execute(key)?;
    if inserted == 0 {
        return Ok(raised > 0);
    }
    account_models(sql, names, sql.last_insert_rowid(), account)?;
    Ok(true)
}

fn account_models(
    sql: &Connection,
    names: &mut Names,
    id: i64,
    account: &ClientAccount,
) -> Result<(), LedgerError> {
    for model in &account.models {
        let [input, output, five_minutes, one_hour, read] = model.tokens.as_array().map(sql_count);
        let (dollars, picodollars) = split_cost(model.cost.0);
        let name = names.model(sql, &model.model.0)?;
        sql.prepare_cached(
            "INSERT OR REPLACE INTO account_model VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            id,
            name,
            input,
            output,
            five_minutes,
            one_hour,
            read,
            sql_count(model.thinking),
            sql_count(model.web_searches),
            dollars,
            picodollars,
        ])?;
    }
    Ok(())
}
