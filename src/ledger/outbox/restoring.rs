//! Taking from the server what no log has any more.
//!
//! Owns: which of two values a session counts by when one of them comes from the server, and the wish that it
//! be looked for there. Refuses: values of anybody but the owner, and values that know no more than the
//! responses in the ledger. The rules that a value was counted by decide between two that come from the
//! server, never between the server's and the ledger's: a ledger with half of a session would else replace the
//! whole of it by newer rules. Fails as the ledger does; a failed call has changed nothing.

use super::{Outbox, owner, parking};
use crate::domain::{Destination, Revision, SessionKey, SessionValue, UnixMillis, fullness, rank};
use crate::ledger::losses::{self, Losses};
use crate::ledger::names::Names;
use crate::ledger::{LedgerError, meta, restored};
use rusqlite::{Connection, OptionalExtension, params};

/// A session as the server has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restorable {
    /// The rules that it was counted by.
    pub revision: Revision,
    /// Its value, checked: the cells add up to the totals, and the days are of this millennium. Without unlogged
    /// usage, which stays where it is: what is sent of this value never replaces one that has some.
    pub value: SessionValue,
    /// The digest that it would be sent under.
    pub digest: String,
}

/// How a session of the server stands to the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// The ledger has as much of it, or more.
    Known,
    /// The ledger had nothing of it.
    Missing,
    /// The ledger had less of it.
    Fuller,
    /// It is held for a former owner of the ledger, and stays as it is.
    Held,
}

impl Found {
    /// Whether the session counts by the server's value from then on.
    pub fn is_taken(self) -> bool {
        matches!(self, Self::Missing | Self::Fuller)
    }
}

/// What came of taking values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Adopted {
    /// Each of them, in their order.
    Values(Vec<Found>),
    /// Nothing: the ledger belongs to somebody else.
    Foreign(Destination),
}

/// What there is of the server's values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restoration {
    /// Sessions that count by them.
    pub sessions: u64,
    /// More are still to be looked for.
    pub is_wanted: bool,
}

/// What is to be done with a value.
enum Verdict {
    Leave(Found),
    Take(Found),
    /// The responses in the ledger know as much; what was restored earlier knows better than neither.
    Forget(i64),
}

pub(super) fn is_wanted(sql: &Connection) -> Result<bool, LedgerError> {
    Ok(meta::text(sql, meta::RESTORE_WANTED)?.is_some())
}

impl Outbox {
    /// Wants what the server has and no log: nothing is offered until that was read.
    pub fn want_restore(&mut self) -> Result<(), LedgerError> {
        meta::set(&self.connection, meta::RESTORE_WANTED, Some("1"))
    }

    /// As much of what the server has was read as was wanted. Where the ledger was made anew, returns what is
    /// still missing of what the damaged one had.
    pub fn restore_done(&mut self) -> Result<Option<Losses>, LedgerError> {
        let folder = self.folder.clone();
        let sql = self.write()?;
        meta::set(&sql, meta::RESTORE_WANTED, None)?;
        let losses = losses::compare_again(&sql, &folder)?;
        sql.commit()?;
        self.check_in_place()?;
        Ok(losses)
    }

    /// Whether what the server has is still to be read.
    pub fn wants_restore(&self) -> Result<bool, LedgerError> {
        is_wanted(&self.connection)
    }

    /// How many sessions come from the server, and whether more are wanted.
    pub fn restoration(&self) -> Result<Restoration, LedgerError> {
        let sql = self.connection.unchecked_transaction()?;
        Ok(Restoration { sessions: restored::sessions(&sql)?, is_wanted: is_wanted(&sql)? })
    }

    /// Takes of these values, which `from` has now, those that know more than the ledger, in one transaction.
    /// Where the ledger is nobody's, it becomes theirs with the first that both have: it was sent from here, and who
    /// sent it is not known any more. What is taken need not be sent; what was being sent of such a session is not
    /// acknowledged any more.
    pub fn adopt(
        &mut self,
        from: &Destination,
        values: &[Restorable],
        at: UnixMillis,
    ) -> Result<Adopted, LedgerError> {
        let sql = self.write()?;
        if let Some(owner) = owner::current(&sql)?
            && owner.destination != *from
        {
            return Ok(Adopted::Foreign(owner.destination));
        }
        let mut names = Names::default();
        let mut found = Vec::with_capacity(values.len());
        for one in values {
            found.push(match verdict(&sql, one)? {
                Verdict::Leave(found) => {
                    if found == Found::Known && owner::current_number(&sql)?.is_none() {
                        owner::make_current(&sql, from)?;
                    }
                    found
                }
                Verdict::Forget(session) => {
                    restored::forget(&sql, session)?;
                    sql.execute("UPDATE session SET stamp = stamp + 1 WHERE id = ?1", [session])?;
                    Found::Known
                }
                Verdict::Take(found) => {
                    take(&sql, &mut names, from, one, at)?;
                    found
                }
            });
        }
        sql.commit()?;
        Ok(Adopted::Values(found))
    }

    /// What [`Outbox::adopt`] would find, without a trace of it.
    pub fn preview_adopt(&self, values: &[Restorable]) -> Result<Vec<Found>, LedgerError> {
        let sql = self.connection.unchecked_transaction()?;
        let found = |one: &Restorable| match verdict(&sql, one) {
            Ok(Verdict::Leave(found) | Verdict::Take(found)) => Ok(found),
            Ok(Verdict::Forget(_)) => Ok(Found::Known),
            Err(error) => Err(error),
        };
        values.iter().map(found).collect()
    }
}

fn verdict(sql: &Connection, theirs: &Restorable) -> Result<Verdict, LedgerError> {
    let owner = owner::current_number(sql)?;
    let known = sql
        .prepare_cached("SELECT id, destination IS NULL OR destination IS ?2 FROM session WHERE name = ?1")?
        .query_row(params![theirs.value.session, owner], |row| Ok((row.get(0)?, row.get(1)?)));
    let Some((session, is_own)): Option<(i64, bool)> = known.optional()? else {
        return Ok(Verdict::Take(Found::Missing));
    };
    if !is_own {
        return Ok(Verdict::Leave(Found::Held));
    }
    let head = restored::head(sql, session)?;
    if let Some(head) = &head
        && let Some(value) = super::value_of(sql, SessionKey(session))?
        && rank(theirs.revision.number(), &theirs.value) <= rank(head.revision.number(), &value)
    {
        return Ok(Verdict::Leave(Found::Known));
    }
    let ours = restored::fullness_in(sql, "cell", session)?;
    Ok(match ours {
        None if head.is_none() => Verdict::Take(Found::Missing),
        None => Verdict::Take(Found::Fuller),
        Some(ours) if fullness(&theirs.value.totals) > ours => Verdict::Take(Found::Fuller),
        Some(_) if head.is_some() => Verdict::Forget(session),
        Some(_) => Verdict::Leave(Found::Known),
    })
}

/// The session counts by the server's value, belongs to whom it was read from, and does not wait. Its
/// responses keep session and time: the server's value may hold them.
fn take(
    sql: &Connection,
    names: &mut Names,
    from: &Destination,
    one: &Restorable,
    at: UnixMillis,
) -> Result<(), LedgerError> {
    let owner = match owner::current_number(sql)? {
        Some(owner) => owner,
        None => owner::make_current(sql, from)?,
    };
    let session = names.session(sql, &one.value.session)?;
    restored::keep(sql, names, session, &one.value, one.revision, at)?;
    let highest = super::highest(sql)?;
    sql.prepare_cached(
        "UPDATE session SET stamp = stamp + 1, published = stamp + 1, destination = ?2, offered = ?3 \
         WHERE id = ?1",
    )?
    .execute([session, owner, highest])?;
    meta::set(sql, meta::OFFERED, Some(&highest.to_string()))?;
    sql.prepare_cached("INSERT OR REPLACE INTO acknowledgement VALUES (?1, ?2, ?3)")?
        .execute(params![session, one.digest, at.0])?;
    parking::release_one(sql, SessionKey(session))
}
