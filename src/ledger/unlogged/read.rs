//! Unlogged usage for readers.

use super::{COLUMNS, read_entry};
use crate::domain::{Cost, Picodollars, SessionKey, Totals, UnixMillis, Usd, Used};
use crate::ledger::{LedgerError, LedgerReader, event, restored};
use rusqlite::{Connection, OptionalExtension};

/// What an account adds of a model to the one that it goes on from, less what is logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnloggedRecord {
    /// The session whose account it is, by its id in the logs.
    pub session: String,
    /// The latest reply that the account has in it: the day that this is attributed to.
    pub at: UnixMillis,
    /// The model, as the client names it.
    pub model: String,
    /// Used, and in no log.
    pub used: Used,
    /// Logged, and not in the account: something is not as it should be. Zero in whatever adds up.
    pub surplus: Used,
    /// Cut-off replies of which `used` has the rest: the client's estimate of their output.
    pub incomplete: u64,
    /// The one of these that an event tells of, by the ledger's number; an account does not say which they are.
    pub response: Option<i64>,
    /// What `used` costs at the prices of the day. Prices of long prompts are left out: how many calls it was is
    /// not known.
    pub cost: Cost,
    /// By how much the client's own price has grown, for what is logged and what is not.
    pub client_cost: Usd,
    /// What the logged part of that costs here; `None` where some of it has no price.
    pub logged_cost: Option<Usd>,
}

impl UnloggedRecord {
    /// Tokens, searches and cost of what was used and is in no log; no responses, since their number is not known.
    pub fn totals(&self) -> Totals {
        let unpriced = self.cost.known().is_none();
        let tokens = self.used.tokens;
        Totals {
            tokens,
            web_searches: self.used.web_searches,
            unpriced: u64::from(unpriced),
            unpriced_tokens: if unpriced { tokens.total() } else { 0 },
            cost: self.cost.known().map_or(Usd(0), Usd::from),
            ..Totals::default()
        }
    }

    /// By how much the client's price is above ours; `None` where we have none.
    pub fn difference(&self) -> Option<Usd> {
        let ours = Usd::from(self.cost.known()?).0.saturating_add(self.logged_cost?.0);
        Some(Usd(self.client_cost.0.saturating_sub(ours)))
    }
}

/// Whose accounts or events have something that no log has: a table to select `whose` from.
pub(in crate::ledger) const HAS_ANY: &str = "(SELECT account.session AS whose FROM unlogged \
     JOIN account ON account.id = unlogged.account \
     WHERE input + output + cache_write_5m + cache_write_1h + cache_read + web_searches > 0 \
     UNION ALL SELECT session FROM event WHERE kind IN (0, 2))";

/// The one source of unlogged usage, of all sessions or of one by its id in the logs. Of a session that counts by what
/// the server has of it there is none: what its log here lacks is not what no log had.
fn records(sql: &Connection, session: Option<&str>) -> Result<Vec<UnloggedRecord>, LedgerError> {
    // Most ledgers have neither: one small question instead of two large ones.
    let (has_accounts, has_events) = sql
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM unlogged), EXISTS (SELECT 1 FROM event)")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut records = if has_accounts { of_accounts(sql, session)? } else { Vec::new() };
    if has_events {
        records.extend(event::records(sql, session)?);
        records.sort_by(|one, other| {
            (one.at, &one.session, &one.model).cmp(&(other.at, &other.session, &other.model))
        });
    }
    Ok(records)
}

fn of_accounts(sql: &Connection, session: Option<&str>) -> Result<Vec<UnloggedRecord>, LedgerError> {
    let columns = COLUMNS.replace("account, model, at", "account, unlogged.model, at");
    let only = if session.is_some() { "account.session = ?1 AND" } else { "?1 IS NULL AND" };
    let mut statement = sql.prepare_cached(&format!(
        "SELECT {columns}, account.session, model.name FROM account \
         JOIN unlogged ON account.id = unlogged.account JOIN model ON model.id = unlogged.model \
         WHERE {only} account.session NOT IN (SELECT name FROM session WHERE id IN ({})) \
         ORDER BY at, account.session, model.name, account.duration_ms",
        restored::SESSIONS
    ))?;
    let records = statement.query_map([session], |row| {
        let entry = read_entry(row)?;
        Ok(UnloggedRecord {
            session: row.get(19)?,
            at: UnixMillis(entry.at),
            model: row.get(20)?,
            used: entry.used,
            surplus: entry.surplus,
            incomplete: entry.incomplete,
            response: None,
            cost: entry.cost.map_or(Cost::Unpriced, |cost| Cost::Known(Picodollars(cost))),
            client_cost: Usd(entry.client_cost.into()),
            logged_cost: entry.logged_cost.map(|cost| Usd(cost.into())),
        })
    })?;
    Ok(records.collect::<Result<_, _>>()?)
}

/// What is unlogged of a session, in order of time.
pub(in crate::ledger) fn of_session(
    sql: &Connection,
    session: &str,
) -> Result<Vec<UnloggedRecord>, LedgerError> {
    records(sql, Some(session))
}

impl LedgerReader {
    /// The number of a session of which something was logged.
    pub fn session_with_cells(&self, session: &str) -> Result<Option<SessionKey>, LedgerError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT session.id FROM session JOIN cell ON cell.session = session.id WHERE session.name = ?1 LIMIT 1",
        )?;
        Ok(statement.query_row([session], |row| row.get(0)).optional()?.map(SessionKey))
    }

    /// What the client's accounts say of each session and model, and what its events have that neither a log nor an
    /// account has, in order of time. Where nothing is missing from the log there is a record all the same, with the
    /// client's price beside ours.
    pub fn unlogged(&self) -> Result<Vec<UnloggedRecord>, LedgerError> {
        records(&self.connection, None)
    }
}
