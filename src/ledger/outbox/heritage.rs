//! What a ledger that is made anew keeps of whom the former belonged to.
//!
//! Owns: reading that from a database that may be damaged, as far as it can be read, and writing it into the
//! new one: what one person used must not go to another because a disk failed. Never fails for what is
//! damaged: what cannot be read is not kept, and publishing asks for the owner as it does of any ledger.

use super::restoring::is_wanted;
use super::{OWN, owner, republish_where};
use crate::domain::{Destination, UserId};
use crate::ledger::event::Carried;
use crate::ledger::{LedgerError, meta};
use rusqlite::{Connection, Row, params};

/// More than any server takes as a session's id, and less than damage may make of one.
const LONGEST_NAME: usize = 1024;

/// Owners, former owners and what is held for these.
#[derive(Debug, Default)]
pub(in crate::ledger) struct Heritage {
    destinations: Vec<(i64, Destination, bool)>,
    /// Name, folder and destination of sessions that are not the owner's.
    held: Vec<(String, String, i64)>,
    /// All owners could be read: where there is none, nothing ever arrived anywhere.
    is_whole: bool,
    /// What the server has was still to be read.
    is_wanted: bool,
    /// Something was sent, or was about to be: that nobody has acknowledged it says nothing.
    was_offered: bool,
    /// What Claude Code has told of, which no log has.
    told: Carried,
}

impl Heritage {
    /// What can be read.
    pub(in crate::ledger) fn read(sql: &Connection) -> Self {
        let (destinations, is_whole) =
            rows(sql, "SELECT id, project, user, is_current FROM destination WHERE id > 0", |row| {
                let user: String = row.get(2)?;
                Ok((row.get(0)?, row.get(1)?, UserId::parse(&user), row.get(3)?))
            });
        let whole = |(number, project, user, is_current)| {
            Some((number, Destination { project, user: user? }, is_current))
        };
        let held = "SELECT name, folder, destination FROM session WHERE destination IN \
                    (SELECT id FROM destination WHERE NOT is_current)";
        let (held, _) = rows(sql, held, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
        let is_one = |(name, _, _): &(String, String, i64)| !name.is_empty() && name.len() <= LONGEST_NAME;
        Self {
            destinations: destinations.into_iter().filter_map(whole).collect(),
            held: held.into_iter().filter(is_one).collect(),
            is_whole,
            is_wanted: is_wanted(sql).unwrap_or(true),
            was_offered: meta::number(sql, meta::OFFERED).is_ok_and(|offered| offered.is_some()),
            told: Carried::read(sql),
        }
    }

    /// The same with what another was told.
    pub(in crate::ledger) fn with_told(self, other: Self) -> Self {
        Self { told: other.told, ..self }
    }

    /// To whom the former ledger belonged, where that can be read.
    pub(in crate::ledger) fn owner(&self) -> Option<&Destination> {
        let mut owners = self.destinations.iter().filter(|(_, _, is_current)| *is_current);
        owners.next().map(|(_, destination, _)| destination)
    }

    /// Whether a server may have some of it. What it has of a user of whom nothing was ever sent from here is another
    /// machine's.
    pub(in crate::ledger) fn may_be_on_a_server(&self) -> bool {
        self.owner().is_some() || !self.is_whole || self.is_wanted || self.was_offered
    }

    /// Writes it into a ledger that belongs to nobody yet, or to the same owner.
    pub(in crate::ledger) fn hand_on(&self, sql: &Connection) -> Result<(), LedgerError> {
        let owner = self.owner();
        for (number, destination, _) in &self.destinations {
            sql.execute(
                "INSERT OR IGNORE INTO destination VALUES (?1, ?2, ?3, ?4)",
                params![
                    number,
                    destination.project,
                    destination.user.to_string(),
                    Some(destination) == owner
                ],
            )?;
        }
        for (name, folder, destination) in &self.held {
            sql.execute(
                "INSERT INTO session (name, folder, destination) \
                 SELECT ?1, ?2, id FROM destination WHERE id = ?3 \
                 ON CONFLICT (name) DO UPDATE SET destination = excluded.destination",
                params![name, folder, destination],
            )?;
        }
        self.told.hand_on(sql)
    }
}

/// To whom a ledger belongs.
pub(in crate::ledger) fn owner_of(sql: &Connection) -> Result<Option<Destination>, LedgerError> {
    Ok(owner::current(sql)?.map(|owner| owner.destination))
}

/// Makes everything wait that is the owner's: what was sent since the backup is not known.
pub(in crate::ledger) fn offer_again(sql: &Connection) -> Result<(), LedgerError> {
    let owner = owner::current_number(sql)?;
    republish_where(sql, OWN, params![owner])?;
    Ok(())
}

/// Rows up to the first that cannot be read, and whether these are all.
fn rows<T>(
    sql: &Connection,
    query: &str,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> (Vec<T>, bool) {
    let mut all = Vec::new();
    let Ok(mut statement) = sql.prepare(query) else { return (all, false) };
    let Ok(rows) = statement.query_map([], read) else { return (all, false) };
    for row in rows {
        match row {
            Ok(row) => all.push(row),
            Err(_) => return (all, false),
        }
    }
    (all, true)
}
