//! To whom the ledger belongs.
//!
//! Owns: the owner and the former ones. A session belongs to whom it was acknowledged by; what one person
//! used is never sent to another unless somebody says so.

use super::{Outbox, republish_where};
use crate::domain::{Destination, UserId};
use crate::ledger::{LedgerError, restored};
use rusqlite::types::Type;
use rusqlite::{Connection, Error, OptionalExtension, Row, params};

/// Whom sessions belong to that were counted before there was an owner and are to stay out of it.
const NOBODY: i64 = 0;

/// What another owner gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reassign {
    /// Everything, what former owners were sent included, but what was read from their server.
    Everything,
    /// Sessions that begin from now on. What was counted so far stays with the former owner, even what it
    /// grows by; where there was none, it stays unpublished. What belonged to the new owner before is
    /// theirs again.
    FromNowOn,
}

/// The owner and their number.
pub(super) struct Owner {
    pub(super) number: i64,
    pub(super) destination: Destination,
}

impl Outbox {
    /// To whom the ledger belongs; nobody before anything was acknowledged or reassigned.
    pub fn owner(&self) -> Result<Option<Destination>, LedgerError> {
        Ok(current(&self.connection)?.map(|owner| owner.destination))
    }

    /// Gives the ledger to `to`. What becomes theirs is sent to them from the beginning. Returns how many
    /// sessions that is with [`Reassign::Everything`], and how many stay behind with
    /// [`Reassign::FromNowOn`].
    pub fn reassign(&mut self, to: &Destination, what: Reassign) -> Result<u64, LedgerError> {
        let sql = self.write()?;
        let sessions = match what {
            Reassign::Everything => give_everything(&sql, to)?,
            Reassign::FromNowOn => give_from_now_on(&sql, to)?,
        };
        sql.commit()?;
        self.check_in_place()?;
        Ok(sessions)
    }
}

fn give_everything(sql: &Connection, to: &Destination) -> Result<u64, LedgerError> {
    let to = make_current(sql, to)?;
    // What was read from a server is the user's it was read from: it says what that user is billed.
    sql.execute(
        &format!(
            "UPDATE session SET destination = ?1 WHERE stamp > 0 AND id NOT IN ({})",
            restored::SESSIONS
        ),
        [to],
    )?;
    // Another server may take what this one has refused.
    sql.execute("DELETE FROM parked", [])?;
    republish_where(sql, "destination = ?1", params![to])
}

fn give_from_now_on(sql: &Connection, to: &Destination) -> Result<u64, LedgerError> {
    let former = current(sql)?;
    if former.as_ref().is_none_or(|former| former.destination != *to) {
        let former = former.map_or(NOBODY, |former| former.number);
        sql.execute("UPDATE session SET destination = ?1 WHERE destination IS NULL AND stamp > 0", [former])?;
        let to = make_current(sql, to)?;
        sql.execute(
            "DELETE FROM parked WHERE session IN (SELECT id FROM session WHERE destination = ?1)",
            [to],
        )?;
        republish_where(sql, "destination = ?1", params![to])?;
    }
    let behind: i64 = sql.query_row(
        "SELECT count(*) FROM session WHERE destination <> (SELECT id FROM destination WHERE is_current)",
        [],
        |row| row.get(0),
    )?;
    Ok(u64::try_from(behind).unwrap_or(0))
}

/// The owner, where there is one.
pub(super) fn current(sql: &Connection) -> Result<Option<Owner>, LedgerError> {
    let owner = sql
        .prepare_cached("SELECT id, project, user FROM destination WHERE is_current")?
        .query_row([], read_owner)
        .optional()?;
    Ok(owner)
}

/// The owner's number, where there is one.
pub(super) fn current_number(sql: &Connection) -> Result<Option<i64>, LedgerError> {
    let number = sql
        .prepare_cached("SELECT id FROM destination WHERE is_current")?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(number)
}

/// The number of somebody who is or was the owner.
pub(super) fn number(sql: &Connection, of: &Destination) -> Result<Option<i64>, LedgerError> {
    let number = sql
        .prepare_cached("SELECT id FROM destination WHERE project = ?1 AND user = ?2")?
        .query_row([of.project.clone(), of.user.to_string()], |row| row.get(0))
        .optional()?;
    Ok(number)
}

/// Makes `to` the owner; returns their number.
pub(super) fn make_current(sql: &Connection, to: &Destination) -> Result<i64, LedgerError> {
    sql.execute("UPDATE destination SET is_current = 0 WHERE is_current", [])?;
    let number = sql.query_row(
        "INSERT INTO destination (project, user, is_current) VALUES (?1, ?2, 1) \
         ON CONFLICT (project, user) DO UPDATE SET is_current = 1 RETURNING id",
        [to.project.clone(), to.user.to_string()],
        |row| row.get(0),
    )?;
    Ok(number)
}

fn read_owner(row: &Row<'_>) -> Result<Owner, Error> {
    let user: String = row.get(2)?;
    let user = UserId::parse(&user).ok_or_else(|| {
        Error::FromSqlConversionFailure(2, Type::Text, format!("the owner {user} is no user's id").into())
    })?;
    Ok(Owner { number: row.get(0)?, destination: Destination { project: row.get(1)?, user } })
}
