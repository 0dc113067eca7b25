//! Sessions that count by what the server has of them, because no log has it any more.
//!
//! Invariant: a session has a row here only as long as the restored value knows more of it than the cells do
//! ([`Fullness`]); it then counts by this value alone, and by the cells alone otherwise. So nothing counts
//! twice, and a log that comes back takes over in the transaction in which it has caught up.
//! Owns: the tables `restored` and `restored_cell`, and the digest that shows damage to them. Refuses: to mix the
//! two, and to reprice what it has no responses of. Fails as the ledger does.

use super::names::Names;
use super::row::count;
use super::{LedgerError, cells};
use crate::domain::{
    Cell, Fullness, ModelKey, Quarter, Revision, SessionKey, SessionValue, Totals, UnixMillis, fnv1a_128,
};
use chrono::NaiveDate;
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::BTreeSet;

/// Sessions that count by their restored value.
pub(super) const SESSIONS: &str = "SELECT session FROM restored";

/// Quarter hours of half a day.
const NOON: i64 = 48;

/// What a session has beside its cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) revision: Revision,
    pub(super) started_at: UnixMillis,
    pub(super) last_at: UnixMillis,
    /// The model of the latest response.
    pub(super) model: String,
    /// When it was read.
    pub(super) at: UnixMillis,
}

/// What is known of a restored session beside its cells; none where it counts by its responses.
pub(super) fn head(sql: &Connection, session: i64) -> Result<Option<Head>, LedgerError> {
    let head = sql
        .prepare_cached(
            "SELECT revision, started_at, last_at, name, at FROM restored \
             JOIN model ON model.id = model WHERE session = ?1",
        )?
        .query_row([session], |row| {
            let revision: i64 = row.get(0)?;
            Ok(Revision::of_stored(count(revision)).map(|revision| {
                Ok::<_, rusqlite::Error>(Head {
                    revision,
                    started_at: UnixMillis(row.get(1)?),
                    last_at: UnixMillis(row.get(2)?),
                    model: row.get(3)?,
                    at: UnixMillis(row.get(4)?),
                })
            }))
        })
        .optional()?
        .flatten()
        .transpose()?;
    Ok(head)
}

/// How many sessions count by their restored value.
pub(super) fn sessions(sql: &Connection) -> Result<u64, LedgerError> {
    Ok(count(sql.prepare_cached("SELECT count(*) FROM restored")?.query_row([], |row| row.get(0))?))
}

/// Whether any session does: asked in every transaction, and answered by one row.
fn are_any(sql: &Connection) -> Result<bool, LedgerError> {
    let query = "SELECT EXISTS (SELECT 1 FROM restored)";
    Ok(sql.prepare_cached(query)?.query_row([], |row| row.get(0))?)
}

/// How much of a session `cell` or `restored_cell` knows; nothing at all is less than anything.
pub(super) fn fullness_in(
    sql: &Connection,
    table: &str,
    session: i64,
) -> Result<Option<Fullness>, LedgerError> {
    let sums = sql
        .prepare_cached(&format!(
            "SELECT sum(messages), sum(output), \
             sum(input + output + cache_write_5m + cache_write_1h + cache_read) \
             FROM {table} WHERE session = ?1"
        ))?
        .query_row([session], |row| {
            let messages: Option<i64> = row.get(0)?;
            let Some(messages) = messages else { return Ok(None) };
            Ok(Some((count(messages), count(row.get(1)?), count(row.get(2)?))))
        })?;
    Ok(sums)
}

/// Lets sessions count by their responses whose cells have caught up with the restored value. Their stamps
/// go up with the change of the cells, so that they are published anew.
pub(super) fn settle(sql: &Connection, changed: &BTreeSet<i64>) -> Result<(), LedgerError> {
    if changed.is_empty() || !are_any(sql)? {
        return Ok(());
    }
    for session in changed {
        let restored = fullness_in(sql, "restored_cell", *session)?;
        if restored.is_some() && fullness_in(sql, "cell", *session)? >= restored {
            forget(sql, *session)?;
        }
    }
    Ok(())
}

/// The session counts by its responses from now on.
pub(super) fn forget(sql: &Connection, session: i64) -> Result<(), LedgerError> {
    for table in ["restored_cell", "restored"] {
        sql.prepare_cached(&format!("DELETE FROM {table} WHERE session = ?1"))?.execute([session])?;
    }
    Ok(())
}

/// The session counts by this value from now on. Its days were checked to be within this millennium.
pub(super) fn keep(
    sql: &Connection,
    names: &mut Names,
    session: i64,
    value: &SessionValue,
    revision: Revision,
    at: UnixMillis,
) -> Result<(), LedgerError> {
    forget(sql, session)?;
    let model = names.model(sql, &value.model)?;
    sql.prepare_cached("INSERT INTO restored VALUES (?1, ?2, ?3, ?4, ?5, ?6, '')")?.execute(params![
        session,
        revision.number().cast_signed(),
        value.started_at.0,
        value.last_at.0,
        model,
        at.0,
    ])?;
    for day in &value.cells {
        let model = ModelKey(names.model(sql, &day.model)?);
        cells::write_restored(sql, &cell(SessionKey(session), model, day.day, day.totals, value))?;
    }
    let digest = digest(sql, session)?;
    sql.prepare_cached("UPDATE restored SET digest = ?2 WHERE session = ?1")?
        .execute(params![session, digest])?;
    Ok(())
}

/// Of all that is stored of a restored session: it is said nowhere else, so that damage would not show.
pub(super) fn digest(sql: &Connection, session: i64) -> Result<String, rusqlite::Error> {
    let mut bytes = Vec::new();
    for query in [
        "SELECT session, revision, started_at, last_at, model, at FROM restored WHERE session = ?1",
        "SELECT quarter, model, input, output, cache_write_5m, cache_write_1h, cache_read, thinking, messages, \
         web_searches, unpriced, incomplete, cost_dollars, cost_picodollars, first_at, last_at, unpriced_tokens \
         FROM restored_cell WHERE session = ?1 ORDER BY quarter, model",
    ] {
        let mut statement = sql.prepare_cached(query)?;
        let columns = statement.column_count();
        let mut rows = statement.query([session])?;
        while let Some(row) = rows.next()? {
            for column in 0..columns {
                bytes.extend(row.get::<_, i64>(column)?.to_be_bytes());
            }
        }
    }
    Ok(format!("{:032x}", fnv1a_128(&bytes)))
}

/// What is wrong with what was read from the server, in words; nothing where it is as it was written.
pub(super) fn defect(sql: &Connection) -> Result<Option<String>, rusqlite::Error> {
    let strays: i64 = sql.query_row(
        "SELECT (SELECT count(*) FROM restored_cell WHERE session NOT IN (SELECT session FROM restored)) \
         + (SELECT count(*) FROM restored WHERE session NOT IN (SELECT id FROM session) \
            OR model NOT IN (SELECT id FROM model)) \
         + (SELECT count(*) FROM restored_cell WHERE model NOT IN (SELECT id FROM model))",
        [],
        |row| row.get(0),
    )?;
    if strays > 0 {
        return Ok(Some("what was read from the server has no session or model".to_owned()));
    }
    defect_of(sql, "")
}

/// The same of what single sessions count by; `only` is empty, or the condition that leaves some of them.
pub(super) fn defect_of(sql: &Connection, only: &str) -> Result<Option<String>, rusqlite::Error> {
    let mut statement = sql.prepare(&format!("SELECT session, digest FROM restored {only}"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let session = row.get(0)?;
        if row.get::<_, String>(1)? != digest(sql, session)? {
            return Ok(Some(format!("session {session} is not as it was read from the server")));
        }
    }
    Ok(None)
}

/// A day of a restored session as a cell.
fn cell(session: SessionKey, model: ModelKey, day: NaiveDate, totals: Totals, value: &SessionValue) -> Cell {
    let quarter = noon(day);
    let is_on_the_day = |at: &UnixMillis| at.to_utc().date_naive() == day;
    let (first, last) = (value.started_at, value.last_at);
    let (first, last) = (Some(first).filter(is_on_the_day), Some(last).filter(is_on_the_day));
    let noon = quarter.start();
    let (first, last) = (first.or(last).unwrap_or(noon), last.or(first).unwrap_or(noon));
    Cell { session, model, quarter, totals, first: first.min(last), last, restored: true }
}

/// The quarter hour of 12:00 UTC: the same date in all zones from 12 hours behind to less than 12 ahead.
fn noon(day: NaiveDate) -> Quarter {
    let midnight = UnixMillis(day.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_millis());
    Quarter(midnight.quarter().0 + NOON)
}
