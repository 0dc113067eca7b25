//! The value of a session: its cells by quarter hour, summed to days.

use crate::domain::{Cell, DayCell, Revision, SessionKey, SessionValue, Totals};
use crate::ledger::LedgerError;
use crate::ledger::names::Names;
use crate::ledger::read::{CELL_COLUMNS, read_cell};
use crate::ledger::restored;
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
    let value = sum(names.session_name(sql, key.0)?, &cells(sql, names, table, key)?);
    let Some(head) = head else { return Ok((value, None)) };
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
    })
}
