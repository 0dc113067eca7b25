//! Sessions that the server refuses, and how much there is to send.
//!
//! Owns: what is parked and why. A parked session goes on waiting; it is up to the publisher when it is
//! tried again. Nothing is given up.

use super::{OWN, Outbox, Waiting, owner, sql_limit};
use crate::domain::{SessionKey, UnixMillis};
use crate::ledger::LedgerError;
use crate::ledger::row::count;
use rusqlite::{Connection, Row, params};

/// A session that the server refuses for what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    /// The ledger's number of it.
    pub key: SessionKey,
    /// Claude Code's id of it.
    pub session: String,
    /// The stamp of the value that was refused.
    pub stamp: i64,
    /// The server's code for the reason.
    pub code: String,
    /// The reason in the server's words.
    pub message: String,
    /// The version of tallyd that sent it.
    pub version: String,
    /// When.
    pub at: UnixMillis,
}

/// How much there is to send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Sessions that wait and are not parked.
    pub waiting: u64,
    /// Sessions that are parked.
    pub parked: u64,
    /// Sessions that are held for a former owner or for nobody and have something that was never sent.
    pub held: u64,
    /// Of the sessions that wait, the one that has been still for the longest: time of its last response.
    pub oldest: Option<UnixMillis>,
}

/// The columns of [`Parked`], of `parked` and `session`.
const COLUMNS: &str =
    "parked.session, session.name, parked.stamp, parked.code, parked.message, parked.version, parked.at";

impl Outbox {
    /// Sets a session aside that the server refuses for what is in it.
    pub fn park(
        &mut self,
        key: SessionKey,
        stamp: i64,
        code: &str,
        message: &str,
        version: &str,
        at: UnixMillis,
    ) -> Result<(), LedgerError> {
        // Not where it was acknowledged, or given to another, since.
        self.connection.execute(
            "INSERT OR REPLACE INTO parked SELECT id, ?2, ?3, ?4, ?5, ?6 FROM session \
             WHERE id = ?1 AND published < ?2",
            params![key.0, stamp, code, message, version, at.0],
        )?;
        Ok(())
    }

    /// What is parked of the owner's sessions, the earliest first.
    pub fn parked(&self) -> Result<Vec<Parked>, LedgerError> {
        let sql = self.connection.unchecked_transaction()?;
        let owner = owner::current_number(&sql)?;
        let mut statement = sql.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM parked JOIN session ON session.id = parked.session \
             WHERE {OWN} ORDER BY parked.at, parked.session"
        ))?;
        let parked = statement.query_map(params![owner], read_parked)?;
        Ok(parked.collect::<Result<_, _>>()?)
    }

    /// Lets parked sessions be sent again: all, or those that another version than this one had sent.
    /// Returns how many.
    pub fn release(&mut self, unless_version: Option<&str>) -> Result<u64, LedgerError> {
        let released = self
            .connection
            .execute("DELETE FROM parked WHERE ?1 IS NULL OR version <> ?1", params![unless_version])?;
        Ok(released as u64)
    }

    /// How much there is to send.
    pub fn backlog(&self) -> Result<Backlog, LedgerError> {
        let sql = self.connection.unchecked_transaction()?;
        let owner = owner::current_number(&sql)?;
        let count_of = |query: &str| sql.prepare_cached(query)?.query_row(params![owner], |row| row.get(0));
        let waiting = format!(
            "SELECT id FROM session WHERE published < stamp AND {OWN} \
             AND id NOT IN (SELECT session FROM parked)"
        );
        let oldest = format!(
            "SELECT min(last_at) FROM (SELECT max(cell.last_at) AS last_at FROM cell \
             WHERE cell.session IN ({waiting}) GROUP BY cell.session)"
        );
        Ok(Backlog {
            waiting: count(count_of(&format!("SELECT count(*) FROM ({waiting})"))?),
            parked: count(count_of(&format!(
                "SELECT count(*) FROM parked JOIN session ON session.id = parked.session WHERE {OWN}"
            ))?),
            held: count(count_of(&format!(
                "SELECT count(*) FROM session WHERE published < stamp AND NOT {OWN}"
            ))?),
            oldest: sql
                .prepare_cached(&oldest)?
                .query_row(params![owner], |row| row.get(0))
                .map(|at: Option<i64>| at.map(UnixMillis))?,
        })
    }
}

/// Sessions that wait and are parked.
pub(super) fn waiting(
    sql: &Connection,
    owner: Option<i64>,
    limit: usize,
) -> Result<Vec<Waiting>, LedgerError> {
    let mut statement = sql.prepare_cached(&format!(
        "SELECT {COLUMNS}, session.stamp, digest FROM parked \
         JOIN session ON session.id = parked.session \
         LEFT JOIN acknowledgement AS a ON a.session = session.id \
         WHERE published < session.stamp AND {OWN} ORDER BY parked.session LIMIT ?2"
    ))?;
    let waiting = statement.query_map(params![owner, sql_limit(limit)], |row| {
        let parked = read_parked(row)?;
        Ok(Waiting { key: parked.key, stamp: row.get(7)?, acknowledged: row.get(8)?, parked: Some(parked) })
    })?;
    Ok(waiting.collect::<Result<_, _>>()?)
}

/// A session is parked no more.
pub(super) fn release_one(sql: &Connection, key: SessionKey) -> Result<(), LedgerError> {
    sql.prepare_cached("DELETE FROM parked WHERE session = ?1")?.execute([key.0])?;
    Ok(())
}

fn read_parked(row: &Row<'_>) -> rusqlite::Result<Parked> {
    Ok(Parked {
        key: SessionKey(row.get(0)?),
        session: row.get(1)?,
        stamp: row.get(2)?,
        code: row.get(3)?,
        message: row.get(4)?,
        version: row.get(5)?,
        at: UnixMillis(row.get(6)?),
    })
}
