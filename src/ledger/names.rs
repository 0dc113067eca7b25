//! Texts that many rows share: models, client versions, sessions. Each has a number; both directions
//! are kept in memory, filled from the tables as they are asked for.
//!
//! A failed transaction may have numbered names that it then took back: the caller clears the cache.

use super::LedgerError;
use rusqlite::{Connection, OptionalExtension, params};
use rustc_hash::FxHashMap;

/// Numbers of names, and of sessions what else is known of them.
#[derive(Debug, Default)]
pub(super) struct Names {
    models: Table,
    versions: Table,
    sessions: FxHashMap<String, Session>,
    session_by_id: FxHashMap<i64, String>,
}

#[derive(Debug, Default)]
struct Table {
    ids: FxHashMap<String, i64>,
    names: FxHashMap<i64, String>,
}

/// Where a session's working folder was read, and what it is: not of the main chain, time, folder. The smallest
/// wins.
pub(super) type CwdRank = (bool, i64, String);

#[derive(Debug)]
struct Session {
    id: i64,
    folder: Option<String>,
    cwd: Option<CwdRank>,
    changed: bool,
}

/// More names than this are not kept from one transaction to the next.
const MANY: usize = 4096;

impl Names {
    /// True where there are more than is worth the memory: they can be had from the tables.
    pub(super) fn are_many(&self) -> bool {
        self.sessions.len().max(self.session_by_id.len()) > MANY
    }

    pub(super) fn model(&mut self, sql: &Connection, name: &str) -> Result<i64, LedgerError> {
        self.models.id(sql, name, "model")
    }

    pub(super) fn version(&mut self, sql: &Connection, name: &str) -> Result<i64, LedgerError> {
        self.versions.id(sql, name, "version")
    }

    pub(super) fn model_name(&mut self, sql: &Connection, id: i64) -> Result<String, LedgerError> {
        self.models.name(sql, id, "model")
    }

    pub(super) fn version_name(&mut self, sql: &Connection, id: i64) -> Result<String, LedgerError> {
        self.versions.name(sql, id, "version")
    }

    /// The number of a session.
    pub(super) fn session(&mut self, sql: &Connection, name: &str) -> Result<i64, LedgerError> {
        self.session_entry(sql, name).map(|session| session.id)
    }

    pub(super) fn session_name(&mut self, sql: &Connection, id: i64) -> Result<String, LedgerError> {
        if let Some(name) = self.session_by_id.get(&id) {
            return Ok(name.clone());
        }
        let name: String = sql
            .prepare_cached("SELECT name FROM session WHERE id = ?1")?
            .query_row([id], |row| row.get(0))?;
        self.session_by_id.insert(id, name.clone());
        Ok(name)
    }

    /// The working folder that a session was started in, as far as it is known.
    pub(super) fn session_cwd(&self, name: &str) -> Option<String> {
        self.sessions.get(name)?.cwd.as_ref().map(|(_, _, cwd)| cwd.clone())
    }

    /// Takes in what a line says of a session beside its usage. The result does not depend on the
    /// order of lines: the smallest folder name, the working folder of the earliest line, one of the
    /// main chain where there is one.
    pub(super) fn see_session(
        &mut self,
        sql: &Connection,
        name: &str,
        folder: &str,
        cwd: Option<(bool, i64, &str)>,
    ) -> Result<(), LedgerError> {
        let session = self.session_entry(sql, name)?;
        if session.folder.as_deref().is_none_or(|known| known.is_empty() || folder < known)
            && !folder.is_empty()
        {
            session.folder = Some(folder.to_owned());
            session.changed = true;
        }
        if let Some(cwd) = cwd {
            let known = session.cwd.as_ref().map(|(sidechain, at, cwd)| (*sidechain, *at, cwd.as_str()));
            if known.is_none_or(|known| cwd < known) {
                session.cwd = Some((cwd.0, cwd.1, cwd.2.to_owned()));
                session.changed = true;
            }
        }
        Ok(())
    }

    /// Writes what has changed of sessions.
    pub(super) fn write_sessions(&mut self, sql: &Connection) -> Result<(), LedgerError> {
        let mut statement = sql.prepare_cached(
            "UPDATE session SET folder = ?2, cwd = ?3, cwd_sidechain = ?4, cwd_at = ?5 WHERE id = ?1",
        )?;
        for session in self.sessions.values_mut().filter(|session| session.changed) {
            let (sidechain, at, cwd) = match &session.cwd {
                Some((sidechain, at, cwd)) => (Some(*sidechain), Some(*at), Some(cwd.as_str())),
                None => (None, None, None),
            };
            let folder = session.folder.as_deref().unwrap_or_default();
            statement.execute(params![session.id, folder, cwd, sidechain, at])?;
            session.changed = false;
        }
        Ok(())
    }

    fn session_entry(&mut self, sql: &Connection, name: &str) -> Result<&mut Session, LedgerError> {
        if !self.sessions.contains_key(name) {
            let session = load_or_insert_session(sql, name)?;
            self.session_by_id.insert(session.id, name.to_owned());
            self.sessions.insert(name.to_owned(), session);
        }
        self.sessions.get_mut(name).ok_or(LedgerError::Empty)
    }
}

fn load_or_insert_session(sql: &Connection, name: &str) -> Result<Session, LedgerError> {
    let found = sql
        .prepare_cached("SELECT id, folder, cwd, cwd_sidechain, cwd_at FROM session WHERE name = ?1")?
        .query_row([name], |row| {
            let cwd: Option<String> = row.get(2)?;
            let sidechain: Option<bool> = row.get(3)?;
            let at: Option<i64> = row.get(4)?;
            let cwd = cwd.map(|cwd| (sidechain.unwrap_or(false), at.unwrap_or(0), cwd));
            Ok(Session { id: row.get(0)?, folder: Some(row.get(1)?), cwd, changed: false })
        })
        .optional()?;
    if let Some(session) = found {
        return Ok(session);
    }
    sql.prepare_cached("INSERT INTO session (name, folder) VALUES (?1, '')")?.execute([name])?;
    Ok(Session { id: sql.last_insert_rowid(), folder: None, cwd: None, changed: false })
}

impl Table {
    fn id(&mut self, sql: &Connection, name: &str, table: &str) -> Result<i64, LedgerError> {
        if let Some(id) = self.ids.get(name) {
            return Ok(*id);
        }
        let found: Option<i64> = sql
            .prepare_cached(&format!("SELECT id FROM {table} WHERE name = ?1"))?
            .query_row([name], |row| row.get(0))
            .optional()?;
        let id = if let Some(id) = found {
            id
        } else {
            sql.prepare_cached(&format!("INSERT INTO {table} (name) VALUES (?1)"))?.execute([name])?;
            sql.last_insert_rowid()
        };
        self.ids.insert(name.to_owned(), id);
        self.names.insert(id, name.to_owned());
        Ok(id)
    }

    fn name(&mut self, sql: &Connection, id: i64, table: &str) -> Result<String, LedgerError> {
        if let Some(name) = self.names.get(&id) {
            return Ok(name.clone());
        }
        let name: String = sql
            .prepare_cached(&format!("SELECT name FROM {table} WHERE id = ?1"))?
            .query_row([id], |row| row.get(0))?;
        self.names.insert(id, name.clone());
        Ok(name)
    }
}
