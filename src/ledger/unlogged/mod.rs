//! What the client's accounts say was used and no log has: kept beside the counts, never added to them.
//!
//! Owns: when it is made anew, and its rows. What it is is for `domain::unlogged`. Invariant: the rows are at all times
//! what that makes of the accounts and responses in the ledger, written in the transaction that changes these, so that
//! neither the order of files nor reading twice nor a crash matters. A lineage is made anew as a whole, and only where
//! something of it has changed that may change a row; a ledger without accounts is asked once a transaction whether it
//! has any. Where what is published of a row has changed, its session waits. Fails as the ledger does.

mod facts;
mod later;
mod read;
mod unpriced;

pub use read::UnloggedRecord;
pub(super) use read::{HAS_ANY, of_session};
pub(super) use unpriced::Unpriced;

use super::names::Names;
use super::row::{count, read_tokens, sql_count};
use super::seen::SeenAccount;
use super::{LedgerError, Pricing, event, meta, write};
use crate::domain::{Lineage, SessionKey, UnixMillis, Used, unlogged};
use rusqlite::{Connection, Row as SqlRow, params};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeSet;

/// What lines that go on from each other have in common: `started_at`, and the session where that is 0.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LineageKey {
    pub(super) started_at: i64,
    pub(super) session: Option<String>,
}

/// Whose rows are to be made anew when a transaction has written its facts.
#[derive(Debug, Default)]
pub(super) struct Due {
    /// Sessions of which a response has gone up in another.
    pub(super) sessions: FxHashSet<i64>,
    /// Sessions of responses that are new or others now, with the earliest time of these.
    replies: FxHashMap<i64, i64>,
    /// These responses, of which there may be events.
    pub(super) found: event::Found,
    /// Sessions of which an event says something else than before beside the log.
    witnessed: BTreeSet<String>,
    /// Sessions of accounts or copies that are new.
    names: BTreeSet<String>,
}

/// A row of `unlogged`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    account: i64,
    model: i64,
    at: i64,
    used: Used,
    surplus: Used,
    incomplete: u64,
    cost: Option<i64>,
    client_cost: i64,
    logged_cost: Option<i64>,
}

impl Due {
    /// Before a transaction takes in what was read.
    pub(super) fn new(sql: &Connection) -> Result<Self, LedgerError> {
        Ok(Self { found: event::Found::new(sql)?, ..Self::default() })
    }

    /// Writes the accounts of a file, whose sightings have been written.
    pub(super) fn accounts(
        &mut self,
        sql: &Connection,
        names: &mut Names,
        file: i64,
        accounts: &[SeenAccount],
    ) -> Result<(), LedgerError> {
        for seen in accounts {
            if write::account(sql, names, file, seen)? {
                self.names.insert(seen.account.session.clone());
            }
        }
        Ok(())
    }

    /// Notes a response of a session that is new, or another than it was, or was before it became another.
    pub(super) fn reply(&mut self, session: i64, at: i64) {
        let earliest = self.replies.entry(session).or_insert(at);
        *earliest = at.min(*earliest);
    }

    /// Writes that the log of a session has copies of what others paid for.
    pub(super) fn copies(
        &mut self,
        sql: &Connection,
        session: &str,
        copies: &[(String, UnixMillis)],
    ) -> Result<(), LedgerError> {
        for (payer, until) in copies.iter().filter(|(payer, _)| !session.is_empty() && payer != session) {
            if write::copies(sql, session, payer, *until)? {
                self.names.insert(session.to_owned());
            }
        }
        Ok(())
    }

    /// An event of this session is new.
    pub(super) fn session(&mut self, name: &str) {
        self.witnessed.insert(name.to_owned());
    }

    /// Makes anew what has changed.
    pub(super) fn settle(
        mut self,
        sql: &Connection,
        names: &mut Names,
        pricing: &dyn Pricing,
    ) -> Result<(), LedgerError> {
        self.witnessed.extend(self.found.settle(sql, names, pricing)?);
        make_wait(sql, names, &self.witnessed)?;
        self.names.append(&mut self.witnessed);
        if !sql.prepare_cached("SELECT 1 FROM account LIMIT 1")?.exists([])? {
            return Ok(());
        }
        for session in self.sessions {
            self.names.insert(names.session_name(sql, session)?);
        }
        let mut due = BTreeSet::new();
        for session in &self.names {
            due.extend(lineages(sql, session)?);
        }
        for (number, earliest) in self.replies {
            let session = names.session_name(sql, number)?;
            let keys = lineages(sql, &session)?;
            if !keys.is_empty() && !later::is_later(sql, number, &session, &keys, earliest)? {
                due.extend(keys);
            }
        }
        due.iter().try_for_each(|key| remake(sql, names, key, pricing))
    }
}

/// What is published of these sessions is other than it was.
pub(super) fn make_wait(
    sql: &Connection,
    names: &mut Names,
    sessions: &BTreeSet<String>,
) -> Result<(), LedgerError> {
    let mut changed = BTreeSet::new();
    for session in sessions {
        changed.insert(names.session(sql, session)?);
    }
    write::raise_stamps(sql, &changed)
}

/// The lineages that have something of a session in them.
fn lineages(sql: &Connection, session: &str) -> Result<Vec<LineageKey>, LedgerError> {
    let mut statement = sql.prepare_cached(
        "SELECT DISTINCT started_at, iif(started_at = 0, session, NULL) FROM account WHERE session = ?1 \
         UNION SELECT started_at, iif(started_at = 0, account.session, NULL) FROM copied_history \
         JOIN account ON account.session = copied_history.session WHERE payer = ?1",
    )?;
    let keys = statement.query_map([session], read_key)?;
    Ok(keys.collect::<Result<_, _>>()?)
}

/// Makes everything anew: at other prices it costs something else.
pub(super) fn reprice(sql: &Connection, names: &mut Names, pricing: &dyn Pricing) -> Result<(), LedgerError> {
    event::reprice(sql, names, pricing)?;
    keys(sql)?.iter().try_for_each(|key| remake(sql, names, key, pricing))
}

/// Makes everything anew, without prices.
pub(super) fn settle_all(sql: &Connection, names: &mut Names) -> Result<(), LedgerError> {
    keys(sql)?.iter().try_for_each(|key| remake(sql, names, key, &Unpriced))
}

/// Fills the tables of a ledger that had none of this. Prices come when it is next priced, which is then due.
pub(super) fn fill(sql: &Connection) -> Result<(), LedgerError> {
    for (session, payer, until) in facts::copies_in_sightings(sql)? {
        write::copies(sql, &session, &payer, until)?;
    }
    if !keys(sql)?.is_empty() {
        meta::set(sql, meta::PRICE_DIGEST, None)?;
    }
    settle_all(sql, &mut Names::default())
}

/// What is wrong with the rows, in words; costs are by prices that this does not know.
pub(super) fn defect(sql: &Connection) -> Result<Option<String>, LedgerError> {
    if let Some(defect) = event::defect(sql)? {
        return Ok(Some(defect));
    }
    let mut rows = 0;
    for key in keys(sql)? {
        match rows_of(sql, &key)? {
            Ok(sound) => rows += sound,
            Err(defect) => return Ok(Some(defect)),
        }
    }
    let all: i64 = sql.query_row("SELECT count(*) FROM unlogged", [], |row| row.get(0))?;
    let is_more = usize::try_from(all).ok() != Some(rows);
    Ok(is_more.then(|| "unlogged usage is of an account that is not there".to_owned()))
}

/// The same of the lineages that single sessions are in.
pub(super) fn defect_of(sql: &Connection, sessions: &[SessionKey]) -> Result<Option<String>, LedgerError> {
    let mut due = BTreeSet::new();
    let mut statement = sql.prepare_cached(
        "SELECT DISTINCT started_at, iif(started_at = 0, session, NULL) FROM account \
         WHERE session = (SELECT name FROM session WHERE id = ?1)",
    )?;
    for session in sessions {
        let keys = statement.query_map([session.0], read_key)?;
        due.extend(keys.collect::<Result<Vec<_>, _>>()?);
    }
    for key in due {
        if let Err(defect) = rows_of(sql, &key)? {
            return Ok(Some(defect));
        }
    }
    Ok(None)
}

/// How many rows a lineage has, or that they are not what they should be.
fn rows_of(sql: &Connection, key: &LineageKey) -> Result<Result<usize, String>, LedgerError> {
    let mut names = Names::default();
    let (accounts, lineage) = facts::lineage(sql, &mut names, key)?;
    let mut expected = entries(sql, &mut names, &accounts, &lineage, &Unpriced)?;
    let stored = stored(sql, key)?;
    for (expected, stored) in expected.iter_mut().zip(&stored) {
        expected.cost = stored.cost;
    }
    let defect = || format!("what is in no log since {} is not what the accounts say", key.started_at);
    Ok(if expected == stored { Ok(stored.len()) } else { Err(defect()) })
}

/// Makes all sessions wait that have something unlogged and are the owner's, and returns how many that are.
pub(super) fn make_all_wait(sql: &Connection, owner: Option<i64>) -> Result<u64, LedgerError> {
    let those = format!("SELECT whose FROM {HAS_ANY}");
    sql.execute(
        &format!("INSERT OR IGNORE INTO session (name, folder) SELECT DISTINCT *, '' FROM ({those})"),
        [],
    )?;
    let waiting = sql.execute(
        &format!(
            "UPDATE session SET stamp = stamp + 1 \
             WHERE (destination IS NULL OR destination IS ?1) AND name IN ({those})"
        ),
        [owner],
    )?;
    Ok(waiting as u64)
}

fn keys(sql: &Connection) -> Result<Vec<LineageKey>, LedgerError> {
    let mut statement =
        sql.prepare("SELECT DISTINCT started_at, iif(started_at = 0, session, NULL) FROM account")?;
    let keys = statement.query_map([], read_key)?;
    Ok(keys.collect::<Result<_, _>>()?)
}

fn read_key(row: &SqlRow<'_>) -> rusqlite::Result<LineageKey> {
    Ok(LineageKey { started_at: row.get(0)?, session: row.get(1)? })
}

/// The accounts of a lineage, as a condition on the number of one.
const OF_LINEAGE: &str =
    "account IN (SELECT id FROM account WHERE started_at = ?1 AND (?2 IS NULL OR session = ?2))";

/// Writes the rows of a lineage, where they are others now.
fn remake(
    sql: &Connection,
    names: &mut Names,
    key: &LineageKey,
    pricing: &dyn Pricing,
) -> Result<(), LedgerError> {
    let (accounts, lineage) = facts::lineage(sql, names, key)?;
    let entries = entries(sql, names, &accounts, &lineage, pricing)?;
    let stored = stored(sql, key)?;
    if entries == stored {
        return Ok(());
    }
    sql.prepare_cached(&format!("DELETE FROM unlogged WHERE {OF_LINEAGE}"))?
        .execute(params![key.started_at, key.session])?;
    entries.iter().try_for_each(|entry| insert(sql, entry))?;
    let mut changed = BTreeSet::new();
    for (account, line) in accounts.iter().zip(&lineage.lines) {
        if !published(&entries, *account).eq(published(&stored, *account)) {
            changed.insert(names.session(sql, &line.account.session)?);
        }
    }
    write::raise_stamps(sql, &changed)
}

/// What is published of an account's rows.
fn published(
    entries: &[Entry],
    account: i64,
) -> impl Iterator<Item = (i64, UnixMillis, Used, Option<i64>)> + '_ {
    let own = entries.iter().filter(move |entry| entry.account == account && !entry.used.is_zero());
    own.map(|entry| (entry.model, UnixMillis(entry.at), entry.used, entry.cost))
}

/// The rows that a lineage has to have, by account and model.
fn entries(
    sql: &Connection,
    names: &mut Names,
    accounts: &[i64],
    lineage: &Lineage,
    pricing: &dyn Pricing,
) -> Result<Vec<Entry>, LedgerError> {
    let mut entries = Vec::new();
    for found in unlogged(lineage) {
        let Some(account) = accounts.get(found.line) else { continue };
        let cost = pricing.price_calls(&found.model, &found.used, found.at);
        entries.push(Entry {
            account: *account,
            model: names.model(sql, &found.model.0)?,
            at: found.at.0,
            used: found.used,
            surplus: found.surplus,
            incomplete: found.incomplete,
            cost: cost.known().map(|amount| amount.0),
            client_cost: whole(found.client_cost.0),
            logged_cost: found.logged_cost.map(|cost| whole(cost.0)),
        });
    }
    entries.sort_unstable_by_key(|entry| (entry.account, entry.model));
    Ok(entries)
}

/// Picodollars in a column: up to 9.2 million dollars, which no account line comes near.
fn whole(picodollars: i128) -> i64 {
    i64::try_from(picodollars).unwrap_or(if picodollars < 0 { i64::MIN } else { i64::MAX })
}

/// The columns of [`Entry`], as [`read_entry`] reads them.
const COLUMNS: &str = "account, model, at, input, output, cache_write_5m, cache_write_1h, cache_read, web_searches, incomplete, \
     surplus_input, surplus_output, surplus_cache_write_5m, surplus_cache_write_1h, surplus_cache_read, \
     surplus_web_searches, cost, client_cost, logged_cost";

fn stored(sql: &Connection, key: &LineageKey) -> Result<Vec<Entry>, LedgerError> {
    let mut statement = sql.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM unlogged WHERE {OF_LINEAGE} ORDER BY account, model"
    ))?;
    let entries = statement.query_map(params![key.started_at, key.session], read_entry)?;
    Ok(entries.collect::<Result<_, _>>()?)
}

fn read_entry(row: &SqlRow<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry {
        account: row.get(0)?,
        model: row.get(1)?,
        at: row.get(2)?,
        used: Used { tokens: read_tokens(row, 3)?, web_searches: count(row.get(8)?) },
        incomplete: count(row.get(9)?),
        surplus: Used { tokens: read_tokens(row, 10)?, web_searches: count(row.get(15)?) },
        cost: row.get(16)?,
        client_cost: row.get(17)?,
        logged_cost: row.get(18)?,
    })
}

fn insert(sql: &Connection, entry: &Entry) -> Result<(), LedgerError> {
    let [input, output, five_minutes, one_hour, read] = entry.used.tokens.as_array().map(sql_count);
    let surplus = entry.surplus.tokens.as_array().map(sql_count);
    sql.prepare_cached(&format!(
        "INSERT INTO unlogged ({COLUMNS}) VALUES \
         (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)"
    ))?
    .execute(params![
        entry.account,
        entry.model,
        entry.at,
        input,
        output,
        five_minutes,
        one_hour,
        read,
        sql_count(entry.used.web_searches),
        sql_count(entry.incomplete),
        surplus[0],
        surplus[1],
        surplus[2],
        surplus[3],
        surplus[4],
        sql_count(entry.surplus.web_searches),
        entry.cost,
        entry.client_cost,
        entry.logged_cost,
    ])?;
    Ok(())
}
