//! The accounts and responses of a lineage, as the tables have them.

use super::LineageKey;
use crate::domain::{
    AccountLine, ClientAccount, ClientModelAccount, CopiedHistory, Cost, Lineage, LoggedCall, LoggedReply,
    ModelName, PartKind, Picodollars, UnixMillis, Usd, Used,
};
use crate::ledger::LedgerError;
use crate::ledger::cells::join_cost;
use crate::ledger::event;
use crate::ledger::files::session_of;
use crate::ledger::names::Names;
use crate::ledger::row::{COLUMNS, Row, count, flag, read_tokens};
use rusqlite::{Connection, params};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The numbers of a lineage's accounts, and all that is known of it; the lines are in the order of the numbers.
pub(super) fn lineage(
    sql: &Connection,
    names: &mut Names,
    key: &LineageKey,
) -> Result<(Vec<i64>, Lineage), LedgerError> {
    let (accounts, lines) = lines(sql, names, key)?;
    let sessions: BTreeSet<String> = lines.iter().map(|line| line.account.session.clone()).collect();
    let copies = copies(sql, &sessions)?;
    let payers = copies.iter().map(|copies| copies.payer.clone());
    let (mut replies, mut witnessed) = (Vec::new(), Vec::new());
    for session in sessions.iter().cloned().chain(payers).collect::<BTreeSet<_>>() {
        replies_of(sql, names, &session, &mut replies)?;
        event::witnessed(sql, names, &session, &mut witnessed)?;
    }
    let started_at = Some(UnixMillis(key.started_at)).filter(|at| at.0 != 0);
    Ok((accounts, Lineage { started_at, lines, replies, copies, witnessed }))
}

fn lines(
    sql: &Connection,
    names: &mut Names,
    key: &LineageKey,
) -> Result<(Vec<i64>, Vec<AccountLine>), LedgerError> {
    let mut statement = sql.prepare_cached(
        "SELECT id, session, duration_ms, cost_dollars, cost_picodollars, after_at FROM account \
         WHERE started_at = ?1 AND (?2 IS NULL OR session = ?2) ORDER BY id",
    )?;
    let mut rows = statement.query(params![key.started_at, key.session])?;
    let (mut accounts, mut lines) = (Vec::new(), Vec::new());
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        let account = ClientAccount {
            session: row.get(1)?,
            started_at: Some(UnixMillis(key.started_at)).filter(|at| at.0 != 0),
            duration_ms: count(row.get(2)?),
            cost: Usd(join_cost(row.get(3)?, row.get(4)?)),
            models: models(sql, names, id)?,
        };
        accounts.push(id);
        lines.push(AccountLine { account, after: row.get::<_, Option<i64>>(5)?.map(UnixMillis) });
    }
    Ok((accounts, lines))
}

fn models(sql: &Connection, names: &mut Names, account: i64) -> Result<Vec<ClientModelAccount>, LedgerError> {
    let mut statement = sql.prepare_cached(
        "SELECT model, input, output, cache_write_5m, cache_write_1h, cache_read, thinking, web_searches, \
         cost_dollars, cost_picodollars FROM account_model WHERE account = ?1",
    )?;
    let mut rows = statement.query([account])?;
    let mut models = Vec::new();
    while let Some(row) = rows.next()? {
        models.push(ClientModelAccount {
            model: ModelName(names.model_name(sql, row.get(0)?)?),
            tokens: read_tokens(row, 1)?,
            thinking: count(row.get(6)?),
            web_searches: count(row.get(7)?),
            cost: Usd(join_cost(row.get(8)?, row.get(9)?)),
        });
    }
    Ok(models)
}

fn copies(sql: &Connection, sessions: &BTreeSet<String>) -> Result<Vec<CopiedHistory>, LedgerError> {
    let mut statement = sql.prepare_cached("SELECT payer, until FROM copied_history WHERE session = ?1")?;
    let mut copies = Vec::new();
    for session in sessions {
        let of_session = statement.query_map([session], |row| {
            Ok(CopiedHistory { session: session.clone(), payer: row.get(0)?, until: UnixMillis(row.get(1)?) })
        })?;
        copies.extend(of_session.collect::<Result<Vec<_>, _>>()?);
    }
    Ok(copies)
}

fn replies_of(
    sql: &Connection,
    names: &mut Names,
    session: &str,
    replies: &mut Vec<LoggedReply>,
) -> Result<(), LedgerError> {
    let mut statement = sql.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM response WHERE session = (SELECT id FROM session WHERE name = ?1)"
    ))?;
    let mut rows = statement.query([session])?;
    while let Some(row) = rows.next()? {
        let row = Row::read(sql, row)?;
        replies.push(LoggedReply {
            at: UnixMillis(row.first_at),
            main_chain: row.has(flag::MAIN_CHAIN),
            complete: row.has(flag::FINAL),
            session: session.to_owned(),
            calls: calls(sql, names, &row)?,
        });
    }
    Ok(())
}

/// What the client's account has of a response: its own counters and the calls inside it, but for a compaction
/// (measured on client 2.1.330).
fn calls(sql: &Connection, names: &mut Names, row: &Row) -> Result<Vec<LoggedCall>, LedgerError> {
    let priced = |cost: Option<i64>| cost.map_or(Cost::Unpriced, |cost| Cost::Known(Picodollars(cost)));
    let used = Used { tokens: row.tokens, web_searches: row.web_searches };
    let model = ModelName(names.model_name(sql, row.model)?);
    let mut calls = vec![LoggedCall::new(model, used, priced(row.cost))];
    for part in row.parts.iter().filter(|part| part.kind.is_extra() && part.kind != PartKind::Compaction) {
        let model = ModelName(names.model_name(sql, part.model.unwrap_or(row.model))?);
        let used = Used { tokens: part.tokens, web_searches: 0 };
        calls.push(LoggedCall::new(model, used, priced(part.cost)));
    }
    Ok(calls)
}

/// Sessions with copies, who paid for these, and the latest of them: by the places of the lines that are copies.
pub(super) fn copies_in_sightings(
    sql: &Connection,
) -> Result<Vec<(String, String, UnixMillis)>, LedgerError> {
    let mut statement = sql.prepare(
        "SELECT file.path, session.name, max(at) FROM sighting JOIN file ON file.id = sighting.file \
         JOIN response ON response.id = sighting.response JOIN session ON session.id = response.session \
         WHERE sighting.flags & ?1 GROUP BY file.id, session.id",
    )?;
    let mut rows = statement.query([flag::COPIED])?;
    let mut copies: BTreeMap<(String, String), UnixMillis> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let path = row.get_ref(0)?.as_bytes().unwrap_or_default();
        let session = session_of(Path::new(OsStr::from_bytes(path)));
        let payer: String = row.get(1)?;
        let until = UnixMillis(row.get(2)?);
        if session != payer {
            let known = copies.entry((session, payer)).or_insert(until);
            *known = until.max(*known);
        }
    }
    Ok(copies.into_iter().map(|((session, payer), until)| (session, payer, until)).collect())
}
