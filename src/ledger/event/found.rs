//! Which event is of which logged reply.

use super::{COLUMNS, Logged, Stored, event, judge, kind, logged};
use crate::domain::{Testimony, UnixMillis, Used};
use crate::ledger::names::Names;
use crate::ledger::{LedgerError, Pricing, meta};
use rusqlite::{Connection, OptionalExtension, params};
use rustc_hash::FxHashSet;
use std::collections::BTreeSet;

/// How far the clock may be off between a line of the log and an event of the same call.
const SLACK_MS: i64 = 60_000;

/// True where requests are kept: events were listened for once.
pub(in crate::ledger) fn kept_requests(sql: &Connection) -> Result<bool, LedgerError> {
    Ok(meta::text(sql, meta::WITNESSED)?.is_some())
}

/// Replies that a transaction has changed, or whose requests it has learned of; none are kept where there is no event
/// that could be theirs.
#[derive(Debug, Default)]
pub(in crate::ledger) struct Found(Option<FxHashSet<i64>>);

impl Found {
    /// Before a transaction changes replies.
    pub(in crate::ledger) fn new(sql: &Connection) -> Result<Self, LedgerError> {
        let has_events = sql.prepare_cached("SELECT 1 FROM event LIMIT 1")?.exists([])?;
        Ok(Self(has_events.then(FxHashSet::default)))
    }

    /// A reply is new or another now.
    pub(in crate::ledger) fn add(&mut self, response: i64) {
        if let Some(replies) = &mut self.0 {
            replies.insert(response);
        }
    }

    /// Finds the events of these replies, and says of which sessions something is other than before.
    pub(in crate::ledger) fn settle(
        &self,
        sql: &Connection,
        names: &mut Names,
        pricing: &dyn Pricing,
    ) -> Result<BTreeSet<String>, LedgerError> {
        let mut sessions = BTreeSet::new();
        for response in self.0.iter().flatten() {
            for event in events_of(sql, *response)? {
                let judged = judge(sql, names, pricing, &event, Some(*response))?;
                // The rest of a reply may be another though it has no price.
                let is_rest = judged.kind == kind(Testimony::Completing(Used::default()));
                if is_rest || (judged.kind, judged.cost) != (event.kind, event.cost) {
                    sessions.insert(judged.session);
                }
            }
        }
        Ok(sessions)
    }
}

/// Keeps which requests the replies of a transaction are of.
pub(in crate::ledger) fn note_requests(
    sql: &Connection,
    requests: impl Iterator<Item = (u64, i64)>,
    found: &mut Found,
) -> Result<(), LedgerError> {
    let mut statement = sql.prepare_cached("INSERT OR IGNORE INTO request VALUES (?1, ?2)")?;
    for (hash, response) in requests {
        if statement.execute(params![hash.cast_signed(), response])? > 0 {
            found.add(response);
        }
    }
    Ok(())
}

/// The events that are of a reply: those it has already, those of its requests, or the one that is like it.
fn events_of(sql: &Connection, response: i64) -> Result<Vec<Stored>, LedgerError> {
    let mut statement = sql.prepare_cached(
        "SELECT id FROM event WHERE response = ?1 UNION \
         SELECT event.id FROM request JOIN event ON event.request = request.hash \
         WHERE request.response = ?1 AND event.response IS NULL",
    )?;
    let numbers = statement.query_map([response], |row| row.get(0))?.collect::<Result<Vec<i64>, _>>()?;
    let mut events = Vec::new();
    for number in numbers {
        events.extend(event(sql, number)?);
    }
    if events.is_empty()
        && let Some(reply) = candidate(sql, response)?
    {
        events.extend(like(sql, &reply)?);
    }
    Ok(events)
}

/// A reply that no event was found for by its request.
struct Candidate {
    session: String,
    at: i64,
    /// Its log says of which request it is.
    has_request: bool,
    logged: Logged,
}

fn candidate(sql: &Connection, response: i64) -> Result<Option<Candidate>, LedgerError> {
    let found = sql
        .prepare_cached(
            "SELECT session.name, first_at, EXISTS (SELECT 1 FROM request WHERE request.response = ?1) \
             FROM response JOIN session ON session.id = response.session WHERE response.id = ?1",
        )?
        .query_row([response], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((session, at, has_request)) = found else { return Ok(None) };
    Ok(logged(sql, response)?.map(|logged| Candidate { session, at, has_request, logged }))
}

/// The event that no reply has yet and that is like this one; of two requests that both have an id none is the other.
fn like(sql: &Connection, reply: &Candidate) -> Result<Option<Stored>, LedgerError> {
    let mut statement = sql.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM event WHERE kind = 0 AND session = ?1 AND NOT (?2 AND request IS NOT NULL) \
         ORDER BY at, id"
    ))?;
    let events = statement
        .query_map(params![reply.session, reply.has_request], Stored::read)?
        .collect::<Result<Vec<_>, _>>()?;
    Ok(events.into_iter().find(|event| are_alike(event, &reply.logged, UnixMillis(reply.at))))
}

/// The reply that an event is of, where the ledger has it.
pub(super) fn reply_of(sql: &Connection, event: &Stored) -> Result<Option<i64>, LedgerError> {
    if let Some(hash) = event.request
        && let Some(response) = response_of(sql, hash)?
    {
        return Ok(Some(response));
    }
    let mut statement = sql.prepare_cached(
        "SELECT response.id, first_at FROM response JOIN session ON session.id = response.session \
         WHERE session.name = ?1 AND first_at BETWEEN ?2 AND ?3 AND input = ?4 AND cache_read = ?5 \
         AND (?6 OR NOT EXISTS (SELECT 1 FROM request WHERE request.response = response.id)) \
         AND NOT EXISTS (SELECT 1 FROM event WHERE event.response = response.id) ORDER BY first_at, response.id",
    )?;
    let from = event.at.saturating_sub(event.duration_ms).saturating_sub(SLACK_MS);
    let [input, .., read] = event.used.tokens.as_array().map(crate::ledger::row::sql_count);
    let until = event.at.saturating_add(SLACK_MS);
    let replies = statement
        .query_map(params![event.session, from, until, input, read, event.request.is_none()], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?
        .collect::<Result<Vec<(i64, i64)>, _>>()?;
    for (response, at) in replies {
        if logged(sql, response)?.is_some_and(|logged| are_alike(event, &logged, UnixMillis(at))) {
            return Ok(Some(response));
        }
    }
    Ok(None)
}

pub(super) fn response_of(sql: &Connection, hash: i64) -> Result<Option<i64>, LedgerError> {
    let query = "SELECT min(response) FROM request WHERE hash = ?1";
    Ok(sql.prepare_cached(query)?.query_row([hash], |row| row.get(0))?)
}

/// Of one call as far as counts and time tell.
fn are_alike(event: &Stored, logged: &Logged, at: UnixMillis) -> bool {
    use crate::domain::Testimony::{Completing, Confirmed};
    let began = event.at.saturating_sub(event.duration_ms).saturating_sub(SLACK_MS);
    (began..=event.at.saturating_add(SLACK_MS)).contains(&at.0)
        && matches!(event.testimony(Some(logged)), Confirmed | Completing(_))
}
