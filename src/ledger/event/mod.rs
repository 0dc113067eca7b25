//! What Claude Code tells of its API calls by OpenTelemetry: a second witness, kept beside the counts.
//!
//! Owns: the rows of events, which logged reply each is of, and what it says beside the log. An event and the reply of
//! its request find each other whichever comes first: by the request's id, and where one of them has none by session,
//! counts and time. Invariant: what an event is said to be is at all times what `domain::Testimony` makes of it and of
//! its reply, written in the transaction that changes either. A ledger without events is asked once a transaction
//! whether it has any; requests are kept from the day that events were first listened for. Fails as the ledger does.

mod carried;
mod found;
mod read;
mod take;

pub use read::EventFigures;
pub use take::{EventNews, EventSummary};

pub(super) use carried::Carried;
pub(super) use found::{Found, kept_requests, note_requests};
pub(super) use read::{records, witnessed};

use super::names::Names;
use super::row::{flag, read_tokens};
use super::unlogged::make_wait;
use super::{LedgerError, Pricing};
use crate::domain::{CallEvent, ModelName, Picodollars, Speed, Testimony, UnixMillis, Usage, Usd, Used};
use rusqlite::{Connection, OptionalExtension, Row as SqlRow, params};
use std::collections::BTreeSet;

/// Bits of the column `flags`; values never change their meaning.
mod bit {
    /// Fast mode.
    pub(super) const FAST: i64 = 1;
    /// The event says how long cache writes live.
    pub(super) const SPLIT: i64 = 2;
    /// The client's own price is another than ours.
    pub(super) const OTHER_PRICE: i64 = 4;
}

/// The client tells millionths of a dollar, rounded: two prices that are closer are the same.
const SAME_PRICE: i64 = 1_000_000;

/// A row of `event`, as far as it is compared.
#[derive(Clone, Debug)]
struct Stored {
    id: i64,
    request: Option<i64>,
    session: String,
    at: i64,
    duration_ms: i64,
    model: i64,
    used: Used,
    flags: i64,
    client_cost: Option<i64>,
    cost: Option<i64>,
    response: Option<i64>,
    kind: i64,
}

/// The columns of [`Stored`].
const COLUMNS: &str = "id, request, session, at, duration_ms, model, input, output, cache_write_5m, cache_write_1h, \
     cache_read, flags, client_cost, cost, response, kind";

impl Stored {
    fn read(row: &SqlRow<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            request: row.get(1)?,
            session: row.get(2)?,
            at: row.get(3)?,
            duration_ms: row.get(4)?,
            model: row.get(5)?,
            used: Used { tokens: read_tokens(row, 6)?, web_searches: 0 },
            flags: row.get(11)?,
            client_cost: row.get(12)?,
            cost: row.get(13)?,
            response: row.get(14)?,
            kind: row.get(15)?,
        })
    }

    fn has(&self, bit: i64) -> bool {
        self.flags & bit != 0
    }

    /// What it says beside the log.
    fn testimony(&self, logged: Option<&Logged>) -> Testimony {
        let logged = logged.map(|logged| (logged.used, logged.is_complete));
        Testimony::of(self.used, self.has(bit::SPLIT), logged)
    }

    /// The reply that it is of, as the ledger has it.
    fn logged(&self, sql: &Connection) -> Result<Option<Logged>, LedgerError> {
        Ok(self.response.map(|response| logged(sql, response)).transpose()?.flatten())
    }

    fn usage(&self, used: Used) -> Usage {
        let speed = if self.has(bit::FAST) { Speed::Fast } else { Speed::Standard };
        Usage { tokens: used.tokens, web_searches: used.web_searches, speed, ..Usage::default() }
    }
}

/// What a reply is compared by.
#[derive(Clone, Copy, Debug)]
struct Logged {
    used: Used,
    is_complete: bool,
    /// With the calls inside it.
    cost: Option<i64>,
}

/// The number of a testimony in the column `kind`.
fn kind(testimony: Testimony) -> i64 {
    match testimony {
        Testimony::Witnessed => 0,
        Testimony::Confirmed => 1,
        Testimony::Completing(_) => 2,
        Testimony::Disagreeing => 3,
    }
}

fn event(sql: &Connection, id: i64) -> Result<Option<Stored>, LedgerError> {
    let query = format!("SELECT {COLUMNS} FROM event WHERE id = ?1");
    Ok(sql.prepare_cached(&query)?.query_row([id], Stored::read).optional()?)
}

fn logged(sql: &Connection, response: i64) -> Result<Option<Logged>, LedgerError> {
    let query = "SELECT input, output, cache_write_5m, cache_write_1h, cache_read, web_searches, flags, \
         iif(flags & ?2, cost + (SELECT sum(cost) FROM part WHERE part.response = response.id \
             HAVING count(*) = count(cost)), cost) FROM response WHERE id = ?1";
    let read = |row: &SqlRow<'_>| {
        let web_searches = super::row::count(row.get(5)?);
        Ok(Logged {
            used: Used { tokens: read_tokens(row, 0)?, web_searches },
            is_complete: row.get::<_, i64>(6)? & flag::FINAL != 0,
            cost: row.get(7)?,
        })
    };
    Ok(sql.prepare_cached(query)?.query_row(params![response, flag::PARTS], read).optional()?)
}

/// What an event says of a logged reply, or of none, written down.
fn judge(
    sql: &Connection,
    names: &mut Names,
    pricing: &dyn Pricing,
    event: &Stored,
    response: Option<i64>,
) -> Result<Stored, LedgerError> {
    let logged = response.map(|response| logged(sql, response)).transpose()?.flatten();
    let testimony = event.testimony(logged.as_ref());
    let model = ModelName(names.model_name(sql, event.model)?);
    let price = |used: Used| {
        let (own, _) = pricing.price(&model, &event.usage(used), UnixMillis(event.at));
        own.known().map(|Picodollars(amount)| amount)
    };
    let whole = price(event.used);
    let cost = match testimony {
        Testimony::Witnessed => whole,
        Testimony::Completing(rest) => {
            let mut before = event.used;
            before.tokens.output = before.tokens.output.saturating_sub(rest.tokens.output);
            whole.zip(price(before)).map(|(whole, before)| whole.saturating_sub(before))
        }
        Testimony::Confirmed | Testimony::Disagreeing => None,
    };
    let ours = match (testimony, logged) {
        (Testimony::Confirmed, Some(logged)) => logged.cost,
        _ => whole,
    };
    let differs = event
        .client_cost
        .zip(ours)
        .is_some_and(|(one, other)| one.abs_diff(other) >= SAME_PRICE.unsigned_abs());
    let flags = (event.flags & !bit::OTHER_PRICE) | if differs { bit::OTHER_PRICE } else { 0 };
    let judged = Stored { response, kind: kind(testimony), cost, flags, ..event.clone() };
    sql.prepare_cached("UPDATE event SET response = ?2, kind = ?3, cost = ?4, flags = ?5 WHERE id = ?1")?
        .execute(params![judged.id, judged.response, judged.kind, judged.cost, judged.flags])?;
    Ok(judged)
}

/// Prices everything anew; where that changes what an event costs, its session waits.
pub(super) fn reprice(sql: &Connection, names: &mut Names, pricing: &dyn Pricing) -> Result<(), LedgerError> {
    let mut statement = sql.prepare(&format!("SELECT {COLUMNS} FROM event"))?;
    let mut rows = statement.query([])?;
    let mut changed = BTreeSet::new();
    while let Some(row) = rows.next()? {
        let event = Stored::read(row)?;
        let judged = judge(sql, names, pricing, &event, event.response)?;
        if judged.cost != event.cost {
            changed.insert(judged.session);
        }
    }
    make_wait(sql, names, &changed)
}

/// What is wrong with the rows, in words.
pub(super) fn defect(sql: &Connection) -> Result<Option<String>, LedgerError> {
    let mut statement = sql.prepare(&format!("SELECT {COLUMNS} FROM event"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let event = Stored::read(row)?;
        let logged = event.logged(sql)?;
        let is_lost = event.response.is_some() && logged.is_none();
        let is_missed = event.response.is_none()
            && event
                .request
                .is_some_and(|hash| found::response_of(sql, hash).is_ok_and(|found| found.is_some()));
        if is_lost || is_missed || event.kind != kind(event.testimony(logged.as_ref())) {
            return Ok(Some(format!("the event {} is not what the log makes of it", event.id)));
        }
    }
    Ok(None)
}

/// Under what name an event is kept, so that one that is sent twice is the same.
fn key(event: &CallEvent) -> String {
    let CallEvent { session, at, sequence, used, .. } = event;
    match &event.request_id {
        Some(request) => format!("r:{request}"),
        None => format!("s:{session}:{}:{sequence}:{:?}", at.0, used.tokens.as_array()),
    }
}

/// The client's price in a column.
fn client_cost(cost: Option<Usd>) -> Option<i64> {
    cost.and_then(|cost| i64::try_from(cost.0).ok())
}
