//! Events of a damaged ledger that the one made in its place takes over: no log has them.
//!
//! Owns: which columns are taken, and that they are judged anew by what the new ledger has. What cannot be read is not
//! taken. Prices come when the ledger is next priced, which is then due. Writing fails as the ledger does.

use super::{event, found, judge};
use crate::ledger::names::Names;
use crate::ledger::unlogged::{Unpriced, make_wait, settle_all};
use crate::ledger::{LedgerError, meta};
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

/// The columns that are taken as they are, beside the model.
const COLUMNS: &str = "key, request, session, at, duration_ms, input, output, cache_write_5m, cache_write_1h, \
     cache_read, flags, client_cost";
const WIDTH: usize = 12;

/// More than any id, and less than damage may make of one.
const LONGEST_TEXT: usize = 1024;

/// What was told, as far as it can be read.
#[derive(Clone, Debug, Default)]
pub(in crate::ledger) struct Carried {
    events: Vec<(String, Vec<Value>)>,
    expects_events: bool,
}

impl Carried {
    /// What can be read.
    pub(in crate::ledger) fn read(sql: &Connection) -> Self {
        let expects_events = found::kept_requests(sql).unwrap_or_default();
        let query = format!(
            "SELECT model.name, {COLUMNS} FROM event JOIN model ON model.id = event.model ORDER BY event.id"
        );
        let mut events = Vec::new();
        if let Ok(mut statement) = sql.prepare(&query)
            && let Ok(rows) = statement.query_map([], read)
        {
            events.extend(rows.map_while(Result::ok).filter(|(model, columns)| is_sound(model, columns)));
        }
        Self { events, expects_events }
    }

    /// Writes it into a ledger that may have some of it already.
    pub(in crate::ledger) fn hand_on(&self, sql: &Connection) -> Result<(), LedgerError> {
        if self.expects_events {
            meta::set(sql, meta::WITNESSED, Some("1"))?;
        }
        if self.events.is_empty() {
            return Ok(());
        }
        let mut names = Names::default();
        let mut insert = sql.prepare(&format!(
            "INSERT OR IGNORE INTO event (model, {COLUMNS}, kind) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, 0) RETURNING id"
        ))?;
        for (model, columns) in &self.events {
            let model = Value::Integer(names.model(sql, model)?);
            let values = std::iter::once(&model).chain(columns);
            let new: Option<i64> =
                insert.query(params_from_iter(values))?.next()?.map(|row| row.get(0)).transpose()?;
            let Some(event) = new.map(|id| event(sql, id)).transpose()?.flatten() else { continue };
            let reply = found::reply_of(sql, &event)?;
            judge(sql, &mut names, &Unpriced, &event, reply)?;
        }
        let sessions = self.events.iter().filter_map(|(_, columns)| match columns.get(2) {
            Some(Value::Text(session)) => Some(session.clone()),
            _ => None,
        });
        make_wait(sql, &mut names, &sessions.collect())?;
        meta::set(sql, meta::PRICE_DIGEST, None)?;
        settle_all(sql, &mut names)
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<(String, Vec<Value>)> {
    Ok((row.get(0)?, (1..=WIDTH).map(|column| row.get(column)).collect::<Result<_, _>>()?))
}

/// As the columns are declared, and nothing negative that counts.
fn is_sound(model: &str, columns: &[Value]) -> bool {
    let is_text =
        |value: &Value| matches!(value, Value::Text(text) if !text.is_empty() && text.len() <= LONGEST_TEXT);
    let is_count = |value: &Value| matches!(value, Value::Integer(count) if *count >= 0);
    let is_number = |value: &Value| matches!(value, Value::Integer(_) | Value::Null);
    let [key, request, session, numbers @ .., client_cost] = columns else { return false };
    !model.is_empty()
        && model.len() <= LONGEST_TEXT
        && is_text(key)
        && is_text(session)
        && is_number(request)
        && is_number(client_cost)
        && numbers.iter().all(is_count)
}
