//! Taking events in.

use super::{Stored, bit, client_cost, event, found, judge, key, kind};
use crate::domain::{CallEvent, Testimony, fnv1a};
use crate::ledger::names::Names;
use crate::ledger::row::sql_count;
use crate::ledger::unlogged::Due;
use crate::ledger::{Ledger, LedgerError, Pricing, meta};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

/// What taking events in came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventSummary {
    /// Events that were not known.
    pub new: u64,
    /// Events that were.
    pub repeated: u64,
    /// Those that somebody should look at.
    pub news: Vec<EventNews>,
}

/// An event that somebody should look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventNews {
    /// The log has other counts of the same request.
    Disagrees {
        /// The request, where it has an id.
        request: Option<String>,
    },
    /// The client's price is another than ours.
    OtherPrice {
        /// The model.
        model: String,
        /// Picodollars.
        theirs: i64,
        /// Picodollars, without web searches, of which no event tells.
        ours: Option<i64>,
    },
}

impl Ledger {
    /// From now on requests are kept with the replies that are logged, so that events find them.
    pub fn expect_events(&mut self) -> Result<(), LedgerError> {
        if found::kept_requests(&self.connection)? {
            return Ok(());
        }
        meta::set(&self.connection, meta::WITNESSED, Some("1"))
    }

    /// Takes in events, in one transaction that is on the disk when this returns: no log has them. On error nothing
    /// has changed.
    pub fn take_events(
        &mut self,
        events: &[CallEvent],
        pricing: &dyn Pricing,
    ) -> Result<EventSummary, LedgerError> {
        // A line of a log is read again after a power cut, an event is not sent again.
        self.connection.pragma_update(None, "synchronous", "FULL")?;
        let taken = self.take_events_now(events, pricing);
        self.connection.pragma_update(None, "synchronous", "NORMAL")?;
        if taken.is_err() {
            self.names = Names::default();
        }
        taken
    }

    fn take_events_now(
        &mut self,
        events: &[CallEvent],
        pricing: &dyn Pricing,
    ) -> Result<EventSummary, LedgerError> {
        let names = &mut self.names;
        let sql = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let (mut summary, mut due) = (EventSummary::default(), Due::default());
        for event in events {
            take(&sql, names, event, pricing, &mut summary, &mut due)?;
        }
        due.settle(&sql, names, pricing)?;
        sql.commit()?;
        Ok(summary)
    }
}

fn take(
    sql: &Connection,
    names: &mut Names,
    told: &CallEvent,
    pricing: &dyn Pricing,
    summary: &mut EventSummary,
    due: &mut Due,
) -> Result<(), LedgerError> {
    let before = known(sql, told)?;
    let Some(id) = write(sql, names, told)? else {
        summary.repeated += 1;
        return Ok(());
    };
    summary.new += 1;
    let Some(stored) = event(sql, id)? else { return Ok(()) };
    let reply = match stored.response {
        Some(reply) => Some(reply),
        None => found::reply_of(sql, &stored)?,
    };
    let judged = judge(sql, names, pricing, &stored, reply)?;
    if judged.kind != kind(Testimony::Confirmed) || before.is_some() {
        due.session(&judged.session);
    }
    if let Some(before) = before {
        due.session(&before);
    }
    summary.news.extend(news(told, &judged));
    Ok(())
}

fn news(told: &CallEvent, judged: &Stored) -> Option<EventNews> {
    if judged.kind == kind(Testimony::Disagreeing) {
        return Some(EventNews::Disagrees { request: told.request_id.clone() });
    }
    let theirs = judged.client_cost.filter(|_| judged.has(bit::OTHER_PRICE))?;
    Some(EventNews::OtherPrice { model: told.model.0.clone(), theirs, ours: judged.cost })
}

/// The session that an event was told of before, if it was.
fn known(sql: &Connection, told: &CallEvent) -> Result<Option<String>, LedgerError> {
    let mut statement = sql.prepare_cached("SELECT session FROM event WHERE key = ?1")?;
    Ok(statement.query_row([key(told)], |row| row.get(0)).optional()?)
}

/// Writes an event; `None` where it is known. Of two under one name the one with more output counts.
fn write(sql: &Connection, names: &mut Names, told: &CallEvent) -> Result<Option<i64>, LedgerError> {
    let [input, output, five_minutes, one_hour, read] = told.used.tokens.as_array().map(sql_count);
    let flag = |is_so: bool, bit: i64| if is_so { bit } else { 0 };
    let mut statement = sql.prepare_cached(
        "INSERT INTO event (key, request, session, at, duration_ms, model, input, output, cache_write_5m, \
         cache_write_1h, cache_read, flags, client_cost, kind) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, 0) ON CONFLICT (key) DO UPDATE SET \
         session = ?3, at = ?4, duration_ms = ?5, model = ?6, input = ?7, output = ?8, cache_write_5m = ?9, \
         cache_write_1h = ?10, cache_read = ?11, flags = ?12, client_cost = ?13 WHERE output < ?8 RETURNING id",
    )?;
    let mut rows = statement.query(params![
        key(told),
        told.request_id.as_ref().map(|id| fnv1a(id.as_bytes()).cast_signed()),
        told.session,
        told.at.0,
        sql_count(told.duration_ms),
        names.model(sql, &told.model.0)?,
        input,
        output,
        five_minutes,
        one_hour,
        read,
        flag(told.is_fast, bit::FAST) | flag(told.has_split, bit::SPLIT),
        client_cost(told.client_cost),
    ])?;
    Ok(rows.next()?.map(|row| row.get(0)).transpose()?)
}
