//! The value of a session: its cells by quarter hour, summed to days.

use crate::domain::{Cell, DayCell, SessionKey, SessionValue, Totals};
use crate::ledger::LedgerError;
use crate::ledger::names::Names;
use crate::ledger::read::{CELL_COLUMNS, read_cell};
use chrono::NaiveDate;
use rusqlite::Connection;
use std::collections::BTreeMap;

/// Everything that the ledger knows of a session's usage; `None` where that is nothing.
pub(super) fn of_session(
    sql: &Connection,
    names: &mut Names,
    key: SessionKey,
) -> Result<Option<SessionValue>, LedgerError> {
    let mut cells = Vec::new();
    {
        let mut statement =
            sql.prepare_cached(&format!("SELECT {CELL_COLUMNS} FROM cell WHERE session = ?1"))?;
        for cell in statement.query_map([key.0], read_cell)? {
            let cell = cell?;
            cells.push((names.model_name(sql, cell.model.0)?, cell));
        }
    }
    Ok(sum(names.session_name(sql, key.0)?, &cells))
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
