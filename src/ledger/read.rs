//! Reading the ledger on a connection that cannot write.

use super::cells::join_cost;
use super::files::read_path;
use super::names::Names;
use super::row::{COLUMNS, Row, count, flag, read_tokens};
use super::{LEDGER_FILE, LedgerError, meta, open, outbox, restored, schema};
use crate::domain::{
    Cell, Cost, ModelKey, Picodollars, Quarter, Response, SessionInfo, SessionKey, SessionValue, Totals,
    UnixMillis, Usd,
};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row as SqlRow};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The ledger, open for reading.
#[derive(Debug)]
pub struct LedgerReader {
    pub(super) connection: Connection,
}

/// A stored response with its costs.
#[derive(Clone, Debug)]
pub struct ResponseRecord {
    /// The ledger's number of it.
    pub number: i64,
    /// Its id in the log; empty where it has none.
    pub message_id: String,
    /// What all its lines together say.
    pub response: Response,
    /// The cost of its own counters.
    pub cost: Cost,
    /// The cost of each call inside it.
    pub part_costs: Vec<Cost>,
}

/// A line that spoke of a response.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact about the line, free of the others")]
pub struct SightingRecord {
    /// The file.
    pub path: PathBuf,
    /// Byte offset of the line.
    pub offset: u64,
    /// Time of the line.
    pub at: UnixMillis,
    /// Its output count.
    pub output: u64,
    /// It carries the final output count.
    pub is_final: bool,
    /// It is of the main chain, not of a sub-agent.
    pub main_chain: bool,
    /// It has a stop reason.
    pub stopped: bool,
    /// It is a copy of history.
    pub copied: bool,
}

/// What was read from the server of a session.
#[derive(Clone, Debug)]
pub struct RestoredRecord {
    /// What it counts by.
    pub value: SessionValue,
    /// Whose it is on the server.
    pub user: String,
    /// The server's project.
    pub project: String,
    /// When it was read.
    pub read_at: UnixMillis,
}

impl LedgerReader {
    /// Opens the ledger in `folder`.
    pub fn open(folder: &Path) -> Result<Self, LedgerError> {
        let path = folder.join(LEDGER_FILE);
        open::whole(&path, || Self::open_once(&path))
    }

    fn open_once(path: &Path) -> Result<Self, LedgerError> {
        if !path.exists() {
            return Err(LedgerError::Missing { path: path.to_owned() });
        }
        open::refuse_empty(path)?;
        let connection = open_read_only(path)?;
        connection.busy_timeout(std::time::Duration::from_secs(10))?;
        // One snapshot for all that is read: a daemon may be writing.
        connection.execute_batch("BEGIN")?;
        schema::check_readable(&connection)?;
        Ok(Self { connection })
    }

    /// Names the price table that the costs in the ledger are by; `None` before anything was priced.
    pub fn price_digest(&self) -> Result<Option<String>, LedgerError> {
        meta::text(&self.connection, meta::PRICE_DIGEST)
    }

    /// How many session logs could not be read when they were last looked at.
    pub fn unreadable_logs(&self) -> Result<u64, LedgerError> {
        Ok(count(meta::number(&self.connection, meta::UNREADABLE_LOGS)?.unwrap_or(0)))
    }

    /// All cells whose quarter hour begins in `[from, until)`: of each session either those of its responses
    /// or those that were read from the server.
    pub fn cells(
        &self,
        from: Option<UnixMillis>,
        until: Option<UnixMillis>,
    ) -> Result<Vec<Cell>, LedgerError> {
        let from = from.map_or(i64::MIN, |at| at.quarter().0);
        let until = until.map_or(i64::MAX, |at| UnixMillis(at.0.saturating_sub(1)).quarter().0);
        let mut statement = self.connection.prepare(&format!(
            "SELECT {CELL_COLUMNS}, 0 FROM cell WHERE quarter BETWEEN ?1 AND ?2 \
             AND session NOT IN ({}) \
             UNION ALL SELECT {CELL_COLUMNS}, 1 FROM restored_cell WHERE quarter BETWEEN ?1 AND ?2",
            restored::SESSIONS
        ))?;
        let cells = statement.query_map([from, until], read_cell)?;
        Ok(cells.collect::<Result<_, _>>()?)
    }

    /// The cells that were read from the server.
    pub fn restored_cells(&self) -> Result<Vec<Cell>, LedgerError> {
        let mut statement =
            self.connection.prepare(&format!("SELECT {CELL_COLUMNS}, 1 FROM restored_cell"))?;
        let cells = statement.query_map([], read_cell)?;
        Ok(cells.collect::<Result<_, _>>()?)
    }

    /// The cells of these sessions, as [`LedgerReader::cells`] has them.
    pub fn cells_of(&self, sessions: &[SessionKey]) -> Result<Vec<Cell>, LedgerError> {
        let mut statement = self.connection.prepare(&format!(
            "SELECT {CELL_COLUMNS}, 0 FROM cell WHERE session = ?1 AND ?1 NOT IN ({}) \
             UNION ALL SELECT {CELL_COLUMNS}, 1 FROM restored_cell WHERE session = ?1",
            restored::SESSIONS
        ))?;
        let mut cells = Vec::new();
        for session in sessions {
            let of_session = statement.query_map([session.0], read_cell)?;
            cells.extend(of_session.collect::<Result<Vec<_>, _>>()?);
        }
        Ok(cells)
    }

    /// All sessions.
    pub fn sessions(&self) -> Result<Vec<SessionInfo>, LedgerError> {
        let mut statement = self.connection.prepare(SESSIONS)?;
        let sessions = statement.query_map([], read_session)?;
        Ok(sessions.collect::<Result<_, _>>()?)
    }

    /// These sessions.
    pub fn sessions_of(&self, keys: &[SessionKey]) -> Result<Vec<SessionInfo>, LedgerError> {
        let mut statement = self.connection.prepare(&format!("{SESSIONS} WHERE id = ?1"))?;
        let sessions = keys.iter().map(|key| statement.query_row([key.0], read_session).optional());
        Ok(sessions.filter_map(Result::transpose).collect::<Result<_, _>>()?)
    }

    /// What was read from the server of a session that counts by it.
    pub fn restored(&self, session: &str) -> Result<Option<RestoredRecord>, LedgerError> {
        let mut statement = self.connection.prepare(
            "SELECT session.id, coalesce(user, ''), coalesce(project, '') FROM restored \
             JOIN session ON session.id = session LEFT JOIN destination ON destination.id = destination \
             WHERE session.name = ?1",
        )?;
        let found = statement.query_row([session], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
        let Some((key, user, project)): Option<(i64, String, String)> = found.optional()? else {
            return Ok(None);
        };
        let Some(head) = restored::head(&self.connection, key)? else { return Ok(None) };
        let value = outbox::value_of(&self.connection, SessionKey(key))?;
        Ok(value.map(|value| RestoredRecord { value, user, project, read_at: head.at }))
    }

    /// All model names.
    pub fn models(&self) -> Result<Vec<(ModelKey, String)>, LedgerError> {
        let mut statement = self.connection.prepare("SELECT id, name FROM model")?;
        let models = statement.query_map([], |row| Ok((ModelKey(row.get(0)?), row.get(1)?)))?;
        Ok(models.collect::<Result<_, _>>()?)
    }

    /// The responses with this message id: one, or several where a gateway gave it out more than once.
    pub fn responses_by_message(&self, message_id: &str) -> Result<Vec<ResponseRecord>, LedgerError> {
        self.responses("message_id = ?1", message_id)
    }

    /// The responses that a session paid for, in order of time.
    pub fn responses_by_session(&self, session: &str) -> Result<Vec<ResponseRecord>, LedgerError> {
        self.responses("session = (SELECT id FROM session WHERE name = ?1)", session)
    }

    fn responses(&self, condition: &str, value: &str) -> Result<Vec<ResponseRecord>, LedgerError> {
        let mut names = Names::default();
        let mut statement = self
            .connection
            .prepare(&format!("SELECT {COLUMNS} FROM response WHERE {condition} ORDER BY first_at, id"))?;
        let mut rows = statement.query([value])?;
        let mut records = Vec::new();
        while let Some(row) = rows.next()? {
            let row = Row::read(&self.connection, row)?;
            let cost = |amount: Option<i64>| amount.map_or(Cost::Unpriced, |a| Cost::Known(Picodollars(a)));
            records.push(ResponseRecord {
                number: row.id,
                response: row.response(&self.connection, &mut names)?,
                cost: cost(row.cost),
                part_costs: row.parts.iter().map(|part| cost(part.cost)).collect(),
                message_id: row.message_id,
            });
        }
        Ok(records)
    }

    /// The lines that spoke of these responses, by the response's number, in order of file and place.
    pub fn sightings(
        &self,
        responses: &[ResponseRecord],
    ) -> Result<HashMap<i64, Vec<SightingRecord>>, LedgerError> {
        let mut sightings: HashMap<i64, Vec<SightingRecord>> =
            responses.iter().map(|response| (response.number, Vec::new())).collect();
        // Sightings are kept by file and place; one pass finds those of any number of responses.
        let mut statement = self.connection.prepare(
            "SELECT path, s.offset, at, output, flags, response FROM sighting AS s \
             JOIN file ON file.id = s.file",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            if let Some(list) = sightings.get_mut(&row.get(5)?) {
                list.push(read_sighting(row)?);
            }
        }
        for list in sightings.values_mut() {
            list.sort_by(|one, other| (&one.path, one.offset).cmp(&(&other.path, other.offset)));
        }
        Ok(sightings)
    }
}

/// What [`read_session`] reads.
const SESSIONS: &str = "SELECT id, name, cwd, folder FROM session";

fn read_session(row: &SqlRow<'_>) -> rusqlite::Result<SessionInfo> {
    Ok(SessionInfo { key: SessionKey(row.get(0)?), id: row.get(1)?, cwd: row.get(2)?, folder: row.get(3)? })
}

fn read_sighting(row: &SqlRow<'_>) -> rusqlite::Result<SightingRecord> {
    let flags: i64 = row.get(4)?;
    Ok(SightingRecord {
        path: read_path(row, 0)?,
        offset: count(row.get(1)?),
        at: UnixMillis(row.get(2)?),
        output: count(row.get(3)?),
        is_final: flags & flag::FINAL != 0,
        main_chain: flags & flag::MAIN_CHAIN != 0,
        stopped: flags & flag::STOPPED != 0,
        copied: flags & flag::COPIED != 0,
    })
}

/// Opens a ledger that may lie where nothing can be written. A database with a write-ahead log wants a
/// shared-memory file beside it; where that cannot be made and nobody writes, it is read without.
pub(super) fn open_read_only(path: &Path) -> Result<Connection, LedgerError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    let readable = connection.query_row("SELECT COUNT(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0));
    let log = path.with_extension("sqlite-wal");
    let log_is_empty = std::fs::metadata(&log).map_or(true, |log| log.len() == 0);
    match readable {
        Err(error) if log_is_empty && error.sqlite_error_code() == Some(rusqlite::ErrorCode::CannotOpen) => {
            let mut uri = b"file:".to_vec();
            for byte in path.as_os_str().as_bytes() {
                uri.extend(format!("%{byte:02x}").bytes());
            }
            uri.extend(b"?immutable=1");
            let uri = OsStr::from_bytes(&uri);
            Ok(Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI)?)
        }
        _ => Ok(connection),
    }
}

/// The columns of `cell` and `restored_cell` that [`read_cell`] reads; whether it is the latter goes behind.
pub(super) const CELL_COLUMNS: &str = "session, model, quarter, input, output, cache_write_5m, cache_write_1h, cache_read, thinking, messages, \
     web_searches, unpriced, incomplete, cost_dollars, cost_picodollars, first_at, last_at, unpriced_tokens";

pub(super) fn read_cell(row: &SqlRow<'_>) -> rusqlite::Result<Cell> {
    Ok(Cell {
        session: SessionKey(row.get(0)?),
        model: ModelKey(row.get(1)?),
        quarter: Quarter(row.get(2)?),
        totals: Totals {
            tokens: read_tokens(row, 3)?,
            thinking: count(row.get(8)?),
            messages: count(row.get(9)?),
            web_searches: count(row.get(10)?),
            unpriced: count(row.get(11)?),
            unpriced_tokens: count(row.get(17)?),
            incomplete: count(row.get(12)?),
            cost: Usd(join_cost(row.get(13)?, row.get(14)?)),
        },
        first: UnixMillis(row.get(15)?),
        last: UnixMillis(row.get(16)?),
        restored: row.get(18)?,
    })
}
