//! Which changed responses no account line has in it, so that nothing need be made anew for them.
//!
//! Owns: the condition, and that it asks for little however long the session is. It may say no where the answer is
//! yes, never the other way round. By `domain::unlogged`, a response that is later than every account line of a
//! lineage is in none of its stretches, and changes which of others are in one only as the first answer of the main
//! chain after the latest line: what sub-agents say up to then is in that line. Fails as the ledger does.

use super::LineageKey;
use crate::ledger::LedgerError;
use crate::ledger::row::flag;
use rusqlite::{Connection, params};

/// Responses that are looked through for an answer of the main chain: the latest ones.
const LOOKED_AT: i64 = 64;

/// Whether responses of a session, none earlier than `earliest` before and after they changed, change no row of the
/// lineages that have something of the session in them: they are later than all lines there, later than all that
/// other sessions have copied of this one, and an answer of the main chain that is final stands between.
pub(super) fn is_later(
    sql: &Connection,
    number: i64,
    session: &str,
    lineages: &[LineageKey],
    earliest: i64,
) -> Result<bool, LedgerError> {
    let mut latest: Option<i64> = sql
        .prepare_cached("SELECT max(until) FROM copied_history WHERE payer = ?1")?
        .query_row([session], |row| row.get(0))?;
    let mut lines = sql.prepare_cached(
        "SELECT max(after_at) FROM account WHERE started_at = ?1 AND (?2 IS NULL OR session = ?2)",
    )?;
    for key in lineages {
        latest = latest.max(lines.query_row(params![key.started_at, key.session], |row| row.get(0))?);
    }
    let answered = sql
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM \
             (SELECT first_at, flags FROM response WHERE session = ?1 ORDER BY id DESC LIMIT ?2) \
             WHERE first_at > ?3 AND first_at < ?4 AND flags & ?5 = ?5)",
        )?
        .query_row(
            params![number, LOOKED_AT, latest.unwrap_or(i64::MIN), earliest, flag::MAIN_CHAIN | flag::FINAL],
            |row| row.get(0),
        )?;
    Ok(answered)
}
