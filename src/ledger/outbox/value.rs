//! The value of a session: its cells by quarter hour, and what no log has of it, summed to days.
//!
//! Owns: to which day and model of the value what counts. Refuses: unlogged usage beside a value that was read from the
//! server, which knows of replies that no log here has. Fails as the ledger does.

use crate::domain::{
    Cell, DayCell, Revision, SessionKey, SessionValue, Totals, UnixMillis, UnloggedDay, UnloggedTotals,
};
use crate::ledger::LedgerError;
use crate::ledger::names::Names;
use crate::ledger::read::{CELL_COLUMNS, read_cell};
use crate::ledger::restored;
use crate::ledger::unlogged::{self, UnloggedRecord};
use chrono::NaiveDate;
use rusqlite::Connection;
use std::collections::BTreeMap;

/// Everything that the ledger knows of a session's usage; `None` where that is nothing. A value that was read
/// from the server comes as it is there, with the rules that it was counted by.
pub(super) fn of_session(
    sql: &Connection,
    names: &mut Names,
    key: SessionKey,
) -> Result<(Option<SessionValue>, Option<Revision>), LedgerError> {
    let head = restored::head(sql, key.0)?;
    let table = if head.is_some() { "restored_cell" } else { "cell" };
    let session = names.session_name(sql, key.0)?;
    let value = sum(session.clone(), &cells(sql, names, table, key)?);
    let Some(head) = head else {
        let unlogged = unlogged::of_session(sql, &session)?;
        return Ok((with_unlogged(session, value, unlogged), None));
    };
    let (started_at, last_at, model) = (head.started_at, head.last_at, head.model);
    let value = value.map(|value| SessionValue { started_at, last_at, model, ..value });
    Ok((value, Some(head.revision)))
}

/// The cells of a session with the names of their models.
fn cells(
    sql: &Connection,
    names: &mut Names,
    table: &str,
    key: SessionKey,
) -> Result<Vec<(String, Cell)>, LedgerError> {
    let mut cells = Vec::new();
    let query = format!("SELECT {CELL_COLUMNS}, 0 FROM {table} WHERE session = ?1");
    let mut statement = sql.prepare_cached(&query)?;
    for cell in statement.query_map([key.0], read_cell)? {
        let cell = cell?;
        cells.push((names.model_name(sql, cell.model.0)?, cell));
    }
    Ok(cells)
}

fn sum(session: String, cells: &[(String, Cell)]) -> Option<SessionValue> {
    let started_at = cells.iter().map(|(_, cell)| cell.first).min()?;
    let last_at = cells.iter().map(|(_, cell)| cell.last).max()?;
    // The model of the latest response, as near as cells tell: a call inside another response makes a cell
    // later too, but one with nothing else in it does not count.
    let latest = cells.iter().max_by_key(|(model, cell)| (cell.totals.messages > 0, cell.last, model))?;
    let mut totals = Totals::default();
    let mut days: BTreeMap<(NaiveDate, &str), Totals> = BTreeMap::new();
    for (model, cell) in cells {
        totals += cell.totals;
        let day = cell.quarter.start().to_utc().date_naive();
        *days.entry((day, model)).or_default() += cell.totals;
    }
    let cells =
        days.into_iter().map(|((day, model), totals)| DayCell { day, model: model.to_owned(), totals });
    Some(SessionValue {
        session,
        totals,
        started_at,
        last_at,
        model: latest.0.clone(),
        cells: cells.collect(),
        unlogged: UnloggedTotals::default(),
        unlogged_days: Vec::new(),
    })
}

/// The earliest day that the contract takes, in milliseconds: 2020-01-01.
const EARLIEST: i64 = 1_577_836_800_000;

/// The value with what no log has of the session. Where that is all, its times and model are the session's. What has no
/// time that may be told is of the time of the latest response.
fn with_unlogged(
    session: String,
    value: Option<SessionValue>,
    records: Vec<UnloggedRecord>,
) -> Option<SessionValue> {
    let latest = value.as_ref().map(|value| value.last_at);
    let timed = records.into_iter().filter(|record| !record.used.is_zero()).filter_map(|record| {
        let at = Some(record.at).filter(|at| at.0 >= EARLIEST).or(latest)?;
        Some((at, record))
    });
    let timed: Vec<(UnixMillis, UnloggedRecord)> = timed.collect();
    let mut value = value.or_else(|| unheard(session, &timed))?;
    let mut days: BTreeMap<(NaiveDate, &str), UnloggedTotals> = BTreeMap::new();
    for (at, record) in &timed {
        let Totals { tokens, web_searches, unpriced_tokens, cost, .. } = record.totals();
        let totals = UnloggedTotals { tokens, web_searches, unpriced_tokens, cost };
        value.unlogged += totals;
        *days.entry((at.to_utc().date_naive(), &record.model)).or_default() += totals;
    }
    let day =
        |((day, model), totals): ((NaiveDate, &str), _)| UnloggedDay { day, model: model.to_owned(), totals };
    value.unlogged_days = days.into_iter().map(day).collect();
    Some(value)
}

/// The value of a session without a response, which has no more than what no log has.
fn unheard(session: String, timed: &[(UnixMillis, UnloggedRecord)]) -> Option<SessionValue> {
    let (first, last) = (timed.first()?, timed.last()?);
    Some(SessionValue {
        session,
        totals: Totals::default(),
        started_at: first.0,
        last_at: last.0,
        model: last.1.model.clone(),
        cells: Vec::new(),
        unlogged: UnloggedTotals::default(),
        unlogged_days: Vec::new(),
    })
}
