//! What a session's own files tell beside its usage: which clients wrote it, and what it repeats of other sessions.
//! Read where the ledger is compared with a client's own totals.

use super::LedgerError;
use super::files::read_path;
use super::read::LedgerReader;
use super::row::read_tokens;
use crate::domain::TokenCounts;
use std::collections::BTreeSet;
use std::path::Path;

/// Responses of one model that a session's files have and another session paid for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopiedUsage {
    /// The model that served.
    pub model: String,
    /// Tokens.
    pub tokens: TokenCounts,
    /// Web searches.
    pub web_searches: u64,
}

impl LedgerReader {
    /// The versions of the clients whose lines a session counts by, each once; `None` where the ledger does not know
    /// the session.
    pub fn clients_of(&self, session: &str) -> Result<Option<BTreeSet<String>>, LedgerError> {
        let known = "SELECT EXISTS (SELECT 1 FROM session WHERE name = ?1)";
        if !self.connection.query_row(known, [session], |row| row.get::<_, bool>(0))? {
            return Ok(None);
        }
        let mut statement = self.connection.prepare(
            "SELECT DISTINCT version.name FROM response JOIN version ON version.id = response.version \
             WHERE session = (SELECT id FROM session WHERE name = ?1)",
        )?;
        let versions = statement.query_map([session], |row| row.get(0))?;
        Ok(Some(versions.collect::<Result<_, _>>()?))
    }

    /// What the files of a session (its own, and those of its sub-agents) have of responses that other sessions paid
    /// for, by model.
    pub fn copied_into(&self, session: &str) -> Result<Vec<CopiedUsage>, LedgerError> {
        let mut files = self.connection.prepare("SELECT path, id FROM file")?;
        let mut rows = files.query([])?;
        let mut of_session: Vec<i64> = Vec::new();
        while let Some(row) = rows.next()? {
            if is_of_session(&read_path(row, 0)?, session) {
                of_session.push(row.get(1)?);
            }
        }
        let mut copies = self.connection.prepare(
            "SELECT DISTINCT response FROM sighting JOIN response ON response.id = sighting.response \
             WHERE file = ?1 AND session IS NOT (SELECT id FROM session WHERE name = ?2)",
        )?;
        let mut responses: BTreeSet<i64> = BTreeSet::new();
        for file in of_session {
            let found = copies.query_map((file, session), |row| row.get(0))?;
            responses.extend(found.collect::<Result<Vec<i64>, _>>()?);
        }
        self.usage_of(responses)
    }

    fn usage_of(&self, responses: BTreeSet<i64>) -> Result<Vec<CopiedUsage>, LedgerError> {
        let mut statement = self.connection.prepare(
            "SELECT input, output, cache_write_5m, cache_write_1h, cache_read, web_searches, model.name \
             FROM response JOIN model ON model.id = response.model WHERE response.id = ?1",
        )?;
        let read = |row: &rusqlite::Row<'_>| {
            let web_searches = super::row::count(row.get(5)?);
            Ok(CopiedUsage { model: row.get(6)?, tokens: read_tokens(row, 0)?, web_searches })
        };
        let copies = responses.into_iter().map(|response| statement.query_row([response], read));
        Ok(copies.collect::<Result<_, _>>()?)
    }
}

/// `<session>.jsonl`, or a file below a folder of that name.
fn is_of_session(path: &Path, session: &str) -> bool {
    let own = path.file_stem().is_some_and(|stem| stem == session);
    own || path.parent().is_some_and(|folder| folder.components().any(|part| part.as_os_str() == session))
}
