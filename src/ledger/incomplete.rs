//! Replies whose final output count is in no log: how long they took, and who asks for them.
//!
//! Owns: the table `incomplete`. Invariant: it has a row for each response without a final count and for no other, in
//! the transaction that writes the response. Refuses to estimate: readers get what is known. Fails as the ledger does.

use super::names::Names;
use super::row::{COLUMNS, Row, flag};
use super::{LedgerError, LedgerReader, restored};
use crate::domain::{Incompleteness, ModelKey, Quarter, ReplySpan, Response, SessionKey, UnixMillis};
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::BTreeMap;

/// How many replies of a session, quarter hour and model have no final count, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct IncompleteCount {
    /// Who paid.
    pub session: SessionKey,
    /// When.
    pub quarter: Quarter,
    /// The model that served.
    pub model: ModelKey,
    /// Why.
    pub why: Incompleteness,
    /// How many.
    pub replies: u64,
}

/// A reply without a final count.
#[derive(Clone, Debug)]
pub struct IncompleteReply {
    /// The ledger's number of it.
    pub id: i64,
    /// Who paid.
    pub session: SessionKey,
    /// The model that served.
    pub model: ModelKey,
    /// What all its lines together say.
    pub response: Response,
}

/// Writes what is known of a response without a final count, over what the ledger had of it before.
pub(super) fn write(sql: &Connection, row: &Row, before: Option<&Row>) -> Result<(), LedgerError> {
    if !row.has(flag::FINAL) {
        let [asked, last] = [row.span.asked_at, row.span.last_at].map(|at| at.map(|at| at.0));
        sql.prepare_cached("INSERT OR REPLACE INTO incomplete VALUES (?1, ?2, ?3)")?
            .execute(params![row.id, asked, last])?;
    } else if before.is_some_and(|before| !before.has(flag::FINAL)) {
        forget(sql, row.id)?;
    }
    Ok(())
}

/// Forgets a response: it has a final count, or has turned out to be another.
pub(super) fn forget(sql: &Connection, response: i64) -> Result<(), LedgerError> {
    sql.prepare_cached("DELETE FROM incomplete WHERE response = ?1")?.execute([response])?;
    Ok(())
}

/// What is known of a response.
pub(super) fn span(sql: &Connection, response: i64) -> Result<ReplySpan, LedgerError> {
    let span = sql
        .prepare_cached("SELECT asked_at, last_at FROM incomplete WHERE response = ?1")?
        .query_row([response], |row| {
            let [asked, last]: [Option<i64>; 2] = [row.get(0)?, row.get(1)?];
            Ok(ReplySpan { asked_at: asked.map(UnixMillis), last_at: last.map(UnixMillis) })
        })
        .optional()?;
    Ok(span.unwrap_or_default())
}

/// What is wrong with the rows, in words.
pub(super) fn defect(sql: &Connection) -> Result<Option<String>, rusqlite::Error> {
    let wrong: i64 = sql.query_row(
        "SELECT (SELECT count(*) FROM response WHERE flags & 1 = 0 AND id NOT IN (SELECT response FROM incomplete)) \
         + (SELECT count(*) FROM incomplete WHERE response NOT IN (SELECT id FROM response WHERE flags & 1 = 0))",
        [],
        |row| row.get(0),
    )?;
    Ok((wrong > 0).then(|| format!("{wrong} replies are not what is said of their final counts")))
}

impl LedgerReader {
    /// How many replies have no final count, and why, of the sessions that count by their logs.
    pub fn incomplete_counts(&self) -> Result<Vec<IncompleteCount>, LedgerError> {
        let versions = self.versions()?;
        let mut statement = self.connection.prepare(&format!(
            "SELECT session, first_at, model, version, flags FROM incomplete \
             JOIN response ON response.id = incomplete.response WHERE session NOT IN ({})",
            restored::SESSIONS
        ))?;
        let mut rows = statement.query([])?;
        let mut counts: BTreeMap<(i64, i64, i64, Incompleteness), u64> = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let flags: i64 = row.get(4)?;
            let version = row.get::<_, Option<i64>>(3)?.and_then(|version| versions.get(&version));
            let (aborted, stopped) = (flags & flag::ABORTED != 0, flags & flag::STOPPED != 0);
            let why = Incompleteness::of(version.map(String::as_str), aborted, stopped);
            let quarter = UnixMillis(row.get(1)?).quarter();
            *counts.entry((row.get(0)?, quarter.0, row.get(2)?, why)).or_default() += 1;
        }
        let count = |((session, quarter, model, why), replies)| IncompleteCount {
            session: SessionKey(session),
            quarter: Quarter(quarter),
            model: ModelKey(model),
            why,
            replies,
        };
        Ok(counts.into_iter().map(count).collect())
    }

    /// The replies without a final count of the sessions that count by their logs, in order of time.
    pub fn incomplete_replies(&self) -> Result<Vec<IncompleteReply>, LedgerError> {
        let mut names = Names::default();
        let mut statement = self.connection.prepare(&format!(
            "SELECT {COLUMNS} FROM response WHERE id IN (SELECT response FROM incomplete) \
             AND session NOT IN ({}) ORDER BY first_at, id",
            restored::SESSIONS
        ))?;
        let mut rows = statement.query([])?;
        let mut replies = Vec::new();
        while let Some(row) = rows.next()? {
            let row = Row::read(&self.connection, row)?;
            replies.push(IncompleteReply {
                id: row.id,
                session: SessionKey(row.session),
                model: ModelKey(row.model),
                response: row.response(&self.connection, &mut names)?,
            });
        }
        Ok(replies)
    }

    fn versions(&self) -> Result<BTreeMap<i64, String>, LedgerError> {
        let mut statement = self.connection.prepare("SELECT id, name FROM version")?;
        let versions = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(versions.collect::<Result<_, _>>()?)
    }
}
