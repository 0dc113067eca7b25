//! Events for readers, and for what accounts have left.

use super::{COLUMNS, Logged, Stored, bit, kind};
use crate::domain::{
    Cost, LoggedCall, ModelName, Picodollars, Testimony, UnixMillis, Usd, Used, WitnessedCall,
};
use crate::ledger::names::Names;
use crate::ledger::row::count;
use crate::ledger::{LedgerError, LedgerReader, UnloggedRecord, restored};
use rusqlite::Connection;

/// How many events there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventFigures {
    /// Calls that no log has.
    pub witnessed: u64,
    /// Calls that a log has with the same counts.
    pub confirmed: u64,
    /// Calls that a log has without their final output, which the event has.
    pub completing: u64,
    /// Calls that a log has with other counts.
    pub disagreeing: u64,
    /// Of all these, those that the client has another price for.
    pub other_price: u64,
}

impl LedgerReader {
    /// How many events there are, by what they say beside the log.
    pub fn events(&self) -> Result<EventFigures, LedgerError> {
        let mut statement = self.connection.prepare(
            "SELECT count(*) FILTER (WHERE kind = 0), count(*) FILTER (WHERE kind = 1), \
             count(*) FILTER (WHERE kind = 2), count(*) FILTER (WHERE kind = 3), \
             count(*) FILTER (WHERE flags & ?1) FROM event",
        )?;
        Ok(statement.query_row([bit::OTHER_PRICE], |row| {
            Ok(EventFigures {
                witnessed: count(row.get(0)?),
                confirmed: count(row.get(1)?),
                completing: count(row.get(2)?),
                disagreeing: count(row.get(3)?),
                other_price: count(row.get(4)?),
            })
        })?)
    }
}

/// What an event has and the log has not.
fn beyond(event: &Stored, logged: Option<&Logged>) -> Used {
    match event.testimony(logged) {
        Testimony::Witnessed => event.used,
        Testimony::Completing(rest) => rest,
        Testimony::Confirmed | Testimony::Disagreeing => Used::default(),
    }
}

/// What the events of a session have and no log has.
pub(in crate::ledger) fn witnessed(
    sql: &Connection,
    names: &mut Names,
    session: &str,
    calls: &mut Vec<WitnessedCall>,
) -> Result<(), LedgerError> {
    let mut statement = sql.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM event WHERE kind IN (0, 2) AND session = ?1 ORDER BY id"
    ))?;
    let mut rows = statement.query([session])?;
    while let Some(row) = rows.next()? {
        let event = Stored::read(row)?;
        let of_log = event.logged(sql)?;
        let model = ModelName(names.model_name(sql, event.model)?);
        calls.push(WitnessedCall {
            at: UnixMillis(event.at),
            session: event.session.clone(),
            call: LoggedCall { model, used: beyond(&event, of_log.as_ref()), cost: event.cost },
            completes: event.kind != kind(Testimony::Witnessed),
        });
    }
    Ok(())
}

/// What events have and no log has, of all sessions or of one by its id; of none that counts by what the server has.
pub(in crate::ledger) fn records(
    sql: &Connection,
    session: Option<&str>,
) -> Result<Vec<UnloggedRecord>, LedgerError> {
    let columns: Vec<String> = COLUMNS.split(", ").map(|column| format!("event.{}", column.trim())).collect();
    let only = if session.is_some() { "event.session = ?1" } else { "?1 IS NULL" };
    let mut statement = sql.prepare_cached(&format!(
        "SELECT {}, model.name FROM event JOIN model ON model.id = event.model WHERE kind IN (0, 2) AND {only} \
         AND event.session NOT IN (SELECT name FROM session WHERE id IN ({}))",
        columns.join(", "),
        restored::SESSIONS
    ))?;
    let mut rows = statement.query([session])?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        let event = Stored::read(row)?;
        let of_log = event.logged(sql)?;
        let cost = event.cost.map_or(Cost::Unpriced, |cost| Cost::Known(Picodollars(cost)));
        let logged_cost = of_log.map_or(Some(0), |logged| logged.cost);
        records.push(UnloggedRecord {
            used: beyond(&event, of_log.as_ref()),
            session: event.session,
            at: UnixMillis(event.at),
            model: row.get(16)?,
            surplus: Used::default(),
            incomplete: u64::from(event.kind != kind(Testimony::Witnessed)),
            response: event.response,
            cost,
            client_cost: Usd(event.client_cost.or(event.cost).unwrap_or_default().into()),
            logged_cost: logged_cost.map(|cost| Usd(cost.into())),
        });
    }
    Ok(records)
}
