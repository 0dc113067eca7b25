//! What is to be published and what became of it.
//!
//! Owns: which sessions wait, what their values are, and the acknowledgements; a connection of its own,
//! beside the collector's in the same or another process, whose transactions are short. A session waits
//! while its `published` stamp is below its `stamp`; what is sent is worked out when it is asked for, so
//! that nothing is queued and nothing can be lost. Refuses: to offer anything to another than the owner, to
//! send what belongs to a former one, to take an acknowledgement for more than what was offered. Fails as
//! the ledger does; a failed call has changed nothing.

pub(super) mod heritage;
mod notes;
mod owner;
mod parking;
mod restoring;
mod value;

pub use notes::{Begun, NotedRefusal, PublishNote};
pub use owner::Reassign;
pub use parking::{Backlog, Parked};
pub use restoring::{Adopted, Found, Restorable, Restoration};

use super::names::Names;
use super::unlogged::HAS_ANY;
use super::{LEDGER_FILE, LedgerError, audit, meta, open, read, schema};
use crate::domain::{Destination, Revision, SessionKey, SessionValue, UnixMillis};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params};
use std::path::{Path, PathBuf};

/// What is to be published and what became of it.
#[derive(Debug)]
pub struct Outbox {
    pub(super) connection: Connection,
    folder: PathBuf,
    /// Of the file that was opened.
    identity: Option<(u64, u64)>,
}

/// A session with something to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The ledger's number of it.
    pub key: SessionKey,
    /// Which of its values this is: later ones have greater stamps.
    pub stamp: i64,
    /// Digest of the value that was acknowledged last.
    pub acknowledged: Option<String>,
    /// It was parked, and this is why.
    pub parked: Option<Parked>,
}

/// A session's value, to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The ledger's number of the session.
    pub key: SessionKey,
    /// Which of its values this is.
    pub stamp: i64,
    /// The value; `None` where it was offered once and nothing is left of it.
    pub value: Option<SessionValue>,
    /// The rules that the value was counted by; `None` where that was done here, by the rules in force. A
    /// value that was read from the server goes back under its own alone: under greater ones it would
    /// replace what another machine knows more of.
    pub revision: Option<Revision>,
}

/// What may be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Offered {
    /// These values.
    Values(Vec<Offer>),
    /// Nothing: the ledger belongs to somebody else.
    Foreign(Destination),
    /// Nothing: what the server has more of is to be read first.
    RestoreFirst,
}

/// A value that has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// The session.
    pub key: SessionKey,
    /// The stamp under which the value was offered.
    pub stamp: i64,
    /// The value's digest.
    pub digest: String,
}

/// A session that is the owner's, or is going to be: `?1` is the owner's number.
const OWN: &str = "(destination IS NULL OR destination IS ?1)";

impl Outbox {
    /// Opens the outbox of the ledger in `folder`, which has to be there and up to date: it is made and
    /// upgraded by [`super::Ledger::open`] alone, whose caller holds the lock.
    pub fn open(folder: &Path) -> Result<Self, LedgerError> {
        open::whole(&folder.join(LEDGER_FILE), || Self::open_once(folder))
    }

    fn open_once(folder: &Path) -> Result<Self, LedgerError> {
        let path = folder.join(LEDGER_FILE);
        if !path.exists() {
            return Err(LedgerError::Missing { path });
        }
        open::refuse_empty(&path)?;
        let identity = open::file_identity(&path);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&path, flags)?;
        connection.busy_timeout(open::BUSY_TIMEOUT)?;
        schema::check_readable(&connection)?;
        // What was offered is on disk before it is sent, even through a power cut: it would otherwise be
        // free to move to another session or day while the server has it here.
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", "OFF")?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(Self { connection, folder: folder.to_owned(), identity })
    }

    /// Fails where the ledger was made anew meanwhile: what was written is not in the new one.
    fn check_in_place(&self) -> Result<(), LedgerError> {
        open::check_same(&self.folder.join(LEDGER_FILE), self.identity)
    }

    /// Opens what is in the place of the ledger now, for a process that may have to make it anew: files are left to
    /// whoever does that.
    pub fn reopen(&mut self) -> Result<(), LedgerError> {
        *self = Self::open(&self.folder.clone())?;
        // SQLite removes the write-ahead log by its name when the last connection to a file is closed, and where
        // the file was found empty or no database, without a look at whose name it is by now: a ledger that was
        // made anew meanwhile would go on with a log that nobody else sees.
        self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        Ok(())
    }

    /// Opens it to look at what waits: it may lie where nothing can be written, and whatever would write fails.
    pub fn look(folder: &Path) -> Result<Self, LedgerError> {
        let path = folder.join(LEDGER_FILE);
        let connection = match super::Ledger::check_writable(folder) {
            // One that may write removes SQLite's companion files behind itself.
            Ok(()) => Self::open(folder)?.connection,
            Err(_) => read::open_read_only(&path)?,
        };
        connection.busy_timeout(open::BUSY_TIMEOUT)?;
        connection.pragma_update(None, "query_only", true)?;
        schema::check_readable(&connection)?;
        Ok(Self { connection, folder: folder.to_owned(), identity: open::file_identity(&path) })
    }

    /// Sessions with something to send, those that are parked last: whose value has changed since it was
    /// acknowledged, or never was, and that are not held for a former owner.
    pub fn waiting(&self, limit: usize) -> Result<Vec<Waiting>, LedgerError> {
        let sql = self.connection.unchecked_transaction()?;
        let owner = owner::current_number(&sql)?;
        let mut waiting = {
            let mut statement = sql.prepare_cached(&waiting_query())?;
            let rows = statement.query_map(params![owner, sql_limit(limit)], |row| {
                Ok(Waiting {
                    key: SessionKey(row.get(0)?),
                    stamp: row.get(1)?,
                    acknowledged: row.get(2)?,
                    parked: None,
                })
            })?;
            rows.collect::<Result<Vec<_>, _>>()?
        };
        let room = limit.saturating_sub(waiting.len());
        waiting.extend(parking::waiting(&sql, owner, room)?);
        Ok(waiting)
    }

    /// Takes the values of sessions for sending, in one transaction, in the order of `keys`. From here on
    /// the responses in them keep their session and their day. Sessions that are held for a former owner
    /// are left out, and so are those that nothing is left of before anybody heard of them. Fails with
    /// [`LedgerError::Damaged`] where a value is not what its responses add up to.
    pub fn offer(&mut self, to: &Destination, keys: &[SessionKey]) -> Result<Offered, LedgerError> {
        audit::sessions(&self.connection, &self.folder.join(LEDGER_FILE), keys)?;
        let sql = self.write()?;
        let owner = owner::current(&sql)?;
        if let Some(owner) = &owner
            && owner.destination != *to
        {
            return Ok(Offered::Foreign(owner.destination.clone()));
        }
        if restoring::is_wanted(&sql)? {
            return Ok(Offered::RestoreFirst);
        }
        let offers = offers(&sql, owner.map(|owner| owner.number), keys)?;
        let highest = highest(&sql)?;
        for offer in &offers {
            sql.prepare_cached("UPDATE session SET offered = ?2 WHERE id = ?1")?
                .execute([offer.key.0, highest])?;
        }
        meta::set(&sql, meta::OFFERED, Some(&highest.to_string()))?;
        settle_the_unheard_of(&sql, keys, &offers)?;
        sql.commit()?;
        Ok(Offered::Values(offers))
    }

    /// What [`Outbox::offer`] would offer to the owner, without a trace of it.
    pub fn preview(&self, keys: &[SessionKey]) -> Result<Vec<Offer>, LedgerError> {
        let sql = self.connection.unchecked_transaction()?;
        offers(&sql, owner::current_number(&sql)?, keys)
    }

    /// Notes what has arrived at `to`, who becomes the owner where there is none. What has changed since it
    /// was offered goes on waiting. Counts for nothing where the session was given to another meanwhile, or
    /// was to be sent anew.
    pub fn acknowledge(
        &mut self,
        to: &Destination,
        done: &[Acknowledged],
        at: UnixMillis,
    ) -> Result<(), LedgerError> {
        let sql = self.write()?;
        if owner::current_number(&sql)?.is_none() && !done.is_empty() {
            owner::make_current(&sql, to)?;
        }
        let (owner, to) = (owner::current_number(&sql)?, owner::number(&sql, to)?);
        for Acknowledged { key, stamp, digest } in done {
            let counts = sql
                .prepare_cached(
                    "UPDATE session SET published = ?2, destination = ?3 WHERE id = ?1 \
                     AND published < ?2 AND ?2 <= stamp AND coalesce(destination, ?4) = ?3",
                )?
                .execute(params![key.0, stamp, to, owner])?;
            if counts > 0 {
                sql.prepare_cached("INSERT OR REPLACE INTO acknowledgement VALUES (?1, ?2, ?3)")?
                    .execute(params![key.0, digest, at.0])?;
                parking::release_one(&sql, *key)?;
            }
        }
        sql.commit()?;
        Ok(())
    }

    /// Makes everything wait that is the owner's, and returns how many sessions that is.
    pub fn republish(&mut self) -> Result<u64, LedgerError> {
        let sql = self.write()?;
        let owner = owner::current_number(&sql)?;
        let sessions = republish_where(&sql, OWN, params![owner])?;
        sql.commit()?;
        Ok(sessions)
    }

    /// Makes these sessions wait, as far as they are the owner's, and returns how many that are. They go by
    /// Claude Code's ids.
    pub fn republish_sessions(&mut self, sessions: &[String]) -> Result<u64, LedgerError> {
        let sql = self.write()?;
        let owner = owner::current_number(&sql)?;
        let mut count = 0;
        for session in sessions {
            count += republish_where(&sql, &format!("{OWN} AND name = ?2"), params![owner, session])?;
        }
        sql.commit()?;
        Ok(count)
    }

    /// The values of all of the owner's sessions that have one, in pages: `limit` of them behind `after`.
    pub fn values(&self, after: Option<SessionKey>, limit: usize) -> Result<Vec<Offer>, LedgerError> {
        let sql = self.connection.unchecked_transaction()?;
        let owner = owner::current_number(&sql)?;
        let after = after.map_or(i64::MIN, |key| key.0);
        let mut statement = sql.prepare_cached(&format!(
            "SELECT id FROM session WHERE id > ?2 AND {OWN} \
             AND (EXISTS (SELECT 1 FROM cell WHERE cell.session = session.id) \
             OR EXISTS (SELECT 1 FROM restored AS r WHERE r.session = session.id) \
             OR EXISTS (SELECT 1 FROM {HAS_ANY} WHERE whose = session.name)) ORDER BY id LIMIT ?3"
        ))?;
        let keys = statement
            .query_map(params![owner, after, sql_limit(limit)], |row| Ok(SessionKey(row.get(0)?)))?
            .collect::<Result<Vec<_>, _>>()?;
        offers(&sql, owner, &keys)
    }

    /// A transaction that writes, and has waited for its turn before it reads.
    fn write(&mut self) -> Result<Transaction<'_>, LedgerError> {
        Ok(self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?)
    }
}

/// What waits and is not parked. Reads the index of what waits, whatever else there is.
pub(super) fn waiting_query() -> String {
    format!(
        "SELECT session.id, stamp, digest FROM session \
         LEFT JOIN acknowledgement AS a ON a.session = session.id \
         WHERE published < stamp AND {OWN} AND session.id NOT IN (SELECT session FROM parked) LIMIT ?2"
    )
}

/// The values of those of the sessions that are the owner's.
fn offers(sql: &Connection, owner: Option<i64>, keys: &[SessionKey]) -> Result<Vec<Offer>, LedgerError> {
    let mut names = Names::default();
    let mut offers = Vec::with_capacity(keys.len());
    let mut statement =
        sql.prepare_cached(&format!("SELECT stamp, offered > 0 FROM session WHERE id = ?2 AND {OWN}"))?;
    for key in keys {
        let known = statement.query_row(params![owner, key.0], |row| Ok((row.get(0)?, row.get(1)?)));
        let Some((stamp, was_offered)): Option<(i64, bool)> = known.optional()? else { continue };
        let (value, revision) = value::of_session(sql, &mut names, *key)?;
        if value.is_some() || was_offered {
            offers.push(Offer { key: *key, stamp, value, revision });
        }
    }
    Ok(offers)
}

/// The highest number of a response that there is or ever was offered.
fn highest(sql: &Connection) -> Result<i64, LedgerError> {
    let highest: Option<i64> =
        sql.prepare_cached("SELECT max(id) FROM response")?.query_row([], |row| row.get(0))?;
    Ok(highest.max(meta::number(sql, meta::OFFERED)?).unwrap_or(0))
}

/// What a session counts by, whole.
pub(super) fn value_of(sql: &Connection, key: SessionKey) -> Result<Option<SessionValue>, LedgerError> {
    Ok(value::of_session(sql, &mut Names::default(), key)?.0)
}

/// Sessions that nothing is left of before anybody heard of them wait no more.
fn settle_the_unheard_of(sql: &Connection, keys: &[SessionKey], offers: &[Offer]) -> Result<(), LedgerError> {
    let is_offered = |key: &SessionKey| offers.iter().any(|offer| offer.key == *key);
    if keys.len() == offers.len() {
        return Ok(());
    }
    for key in keys.iter().filter(|key| !is_offered(key)) {
        let settled = sql
            .prepare_cached(
                "UPDATE session SET published = stamp WHERE id = ?1 \
                 AND NOT EXISTS (SELECT 1 FROM cell WHERE session = ?1) \
                 AND offered = 0",
            )?
            .execute([key.0])?;
        if settled > 0 {
            parking::release_one(sql, *key)?;
        }
    }
    Ok(())
}

/// Makes sessions wait. An acknowledgement of what was offered before counts no more, so that whatever was
/// the reason to send them anew is not undone by an answer that is under way.
fn republish_where(
    sql: &Connection,
    condition: &str,
    values: &[&dyn rusqlite::ToSql],
) -> Result<u64, LedgerError> {
    sql.prepare_cached(&format!(
        "DELETE FROM acknowledgement WHERE session IN (SELECT id FROM session WHERE {condition})"
    ))?
    .execute(values)?;
    let sessions = sql
        .prepare_cached(&format!(
            "UPDATE session SET published = stamp, stamp = stamp + 1 WHERE stamp > 0 AND {condition}"
        ))?
        .execute(values)?;
    Ok(sessions as u64)
}

fn sql_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
