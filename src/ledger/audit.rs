//! Whether a ledger says what was written into it.
//!
//! Owns: the questions that show damage: SQLite's own check of pages, records and indexes; the tables and
//! columns that this version makes; the cells, which have to be what the responses and the calls inside them
//! add up to, and the digests of what was read from the server. A byte that flips inside a record shows in the
//! last two. Reads one snapshot, writes nothing. Cannot see what is nowhere said twice: a working folder, the
//! place of a line. Fails with [`LedgerError::Damaged`], which names what was found, and where the ledger cannot
//! be read at all just now, as reading does.

mod shape;

use super::cells::join_cost;
use super::row::{flag, id_hash};
use super::{LedgerError, days, incomplete, restored, sql_code, sql_words, unlogged};
use crate::domain::{SessionKey, UnixMillis};
use rusqlite::{Connection, OpenFlags, Row as SqlRow};
use rustc_hash::{FxHashMap, FxHashSet};
use std::path::Path;

/// Counts and costs beyond this are no counts: a response has at most a hundred million tokens of a kind.
const IMPLAUSIBLE: i64 = 1 << 53;

/// Session, quarter hour and model.
type Key = (i64, i64, i64);

/// Input, output, two kinds of cache write, cache read, thinking, messages, searches, unpriced calls,
/// incomplete ones, picodollars, tokens without a price.
type Sums = [i128; 12];

/// What a cell has to hold.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Expected {
    sums: Sums,
    first: i64,
    last: i64,
}

/// What was found, in words, or an error of reading.
enum Finding {
    Damage(String),
    Error(rusqlite::Error),
}

impl From<rusqlite::Error> for Finding {
    fn from(error: rusqlite::Error) -> Self {
        Self::Error(error)
    }
}

/// Audits the database at `path` over a connection of its own, so that what others hold in memory does not
/// stand in for what is on disk.
pub(super) fn file(path: &Path) -> Result<(), LedgerError> {
    let connection = read_only(path)?;
    database(&connection, path)
}

/// Audits an open database that is in no transaction; `path` is for the error.
pub(super) fn database(sql: &Connection, path: &Path) -> Result<(), LedgerError> {
    let snapshot = sql.unchecked_transaction().map_err(|error| verdict(path, error.into()))?;
    snapshot_of(&snapshot, path)
}

/// Audits what a transaction sees.
pub(super) fn snapshot_of(sql: &Connection, path: &Path) -> Result<(), LedgerError> {
    audit(sql).map_err(|finding| verdict(path, finding))
}

/// Looks at the head of the database alone, which costs next to nothing: whether there is one.
pub(super) fn head(path: &Path) -> Result<(), LedgerError> {
    // SQLite takes an empty file for a new database, and throws its write-ahead log away.
    if std::fs::metadata(path).map_err(|source| LedgerError::folder(path, source))?.len() == 0 {
        return Err(LedgerError::damaged(path, "it is empty"));
    }
    let connection = read_only(path)?;
    let looked = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0));
    match looked {
        Ok(0) => Err(LedgerError::damaged(path, "there are no tables in it")),
        Ok(_) => Ok(()),
        Err(error) => Err(as_damage(path, error.into())),
    }
}

/// A connection of its own that cannot write.
pub(super) fn read_only(path: &Path) -> Result<Connection, LedgerError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(super::open::BUSY_TIMEOUT)?;
    Ok(connection)
}

/// The error as damage, where a statement that is right failed for what the database is.
pub(super) fn as_damage(path: &Path, error: LedgerError) -> LedgerError {
    use rusqlite::ErrorCode::{ConstraintViolation, InternalMalfunction, TypeMismatch, Unknown};
    let LedgerError::Sqlite(sql) = &error else { return error };
    let code = sql_code(sql);
    let is_for_what_it_is =
        matches!(code, Some(ConstraintViolation | InternalMalfunction | TypeMismatch | Unknown));
    if error.is_damaged() || is_for_what_it_is { LedgerError::damaged(path, sql_words(sql)) } else { error }
}

/// Audits what these sessions are about to be sent as: a server keeps the greatest value that it was ever sent, so that
/// a wrong one could not be taken back. Reads one snapshot of a connection that is in no transaction.
pub(super) fn sessions(sql: &Connection, path: &Path, keys: &[SessionKey]) -> Result<(), LedgerError> {
    let snapshot = sql.unchecked_transaction()?;
    let numbers: Vec<String> = keys.iter().map(|key| key.0.to_string()).collect();
    let numbers = numbers.join(", ");
    let only = format!("WHERE session IN ({numbers})");
    let audited = sums(&snapshot, &only)
        .and_then(|()| names(&snapshot, &numbers))
        .and_then(|()| found(restored::defect_of(&snapshot, &only)?))
        .and_then(|()| found_by_ledger(unlogged::defect_of(&snapshot, keys)));
    audited.map_err(|finding| verdict(path, finding))
}

fn verdict(path: &Path, finding: Finding) -> LedgerError {
    match finding {
        Finding::Damage(what) => LedgerError::damaged(path, what),
        Finding::Error(error) => as_damage(path, error.into()),
    }
}

fn audit(sql: &Connection) -> Result<(), Finding> {
    shape::check(sql)?;
    sums(sql, "")?;
    aliases(sql)?;
    stamps(sql)?;
    found(days::defect(sql)?)?;
    found(restored::defect(sql)?)?;
    found(incomplete::defect(sql)?)?;
    // What accounts and responses leave unlogged is what is kept of it.
    found_by_ledger(unlogged::defect(sql))
}

/// The same where it may have failed as the ledger does.
fn found_by_ledger(defect: Result<Option<String>, LedgerError>) -> Result<(), Finding> {
    match defect {
        Ok(defect) => found(defect),
        Err(LedgerError::Sqlite(error)) => Err(error.into()),
        Err(error) => Err(Finding::Damage(error.to_string())),
    }
}

/// What was found wrong, in words, as a finding.
fn found(defect: Option<String>) -> Result<(), Finding> {
    defect.map_or(Ok(()), |defect| Err(Finding::Damage(defect)))
}

/// No two responses have the same first-party id. One whose id is not unique is found by the names that it has, and
/// by nothing else.
fn aliases(sql: &Connection) -> Result<(), Finding> {
    let twice = format!(
        "SELECT 1 FROM response WHERE flags & {0} AND id_hash IN \
         (SELECT id_hash FROM response WHERE flags & {0} GROUP BY id_hash HAVING count(*) > 1) GROUP BY message_id HAVING count(*) > 1",
        flag::GLOBAL
    );
    if sql.prepare(&twice)?.exists([])? {
        return Err(Finding::Damage("two responses have the same id".to_owned()));
    }
    let wrong: i64 = sql.query_row(
        &format!(
            "SELECT (SELECT count(*) FROM response WHERE flags & {0} = 0 AND id NOT IN (SELECT response FROM alias)) \
             + (SELECT count(*) FROM alias WHERE response NOT IN (SELECT id FROM response))",
            flag::GLOBAL
        ),
        [],
        |row| row.get(0),
    )?;
    if wrong == 0 { Ok(()) } else { Err(Finding::Damage("a name is not that of its response".to_owned())) }
}

/// Sessions wait for what they have, not for what nobody ever had.
fn stamps(sql: &Connection) -> Result<(), Finding> {
    let wrong: i64 = sql.query_row(
        "SELECT count(*) FROM session WHERE published > stamp OR published < 0 OR \
         (stamp <= 0 AND EXISTS (SELECT 1 FROM cell WHERE cell.session = session.id))",
        [],
        |row| row.get(0),
    )?;
    if wrong == 0 { Ok(()) } else { Err(Finding::Damage("the stamp of a session is impossible".to_owned())) }
}

/// The cells are what responses and parts add up to; `only` is empty, or the condition that leaves some sessions.
fn sums(sql: &Connection, only: &str) -> Result<(), Finding> {
    let mut expected = FxHashMap::default();
    responses(sql, only, &mut expected)?;
    parts(sql, only, &mut expected)?;
    if only.is_empty() {
        are_known(sql, &expected)?;
    }
    let mut statement = sql.prepare(&format!(
        "SELECT session, quarter, model, input, output, cache_write_5m, cache_write_1h, cache_read, thinking, \
         messages, web_searches, unpriced, incomplete, unpriced_tokens, cost_dollars, cost_picodollars, \
         first_at, last_at FROM cell {only}"
    ))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let key = (row.get(0)?, row.get(1)?, row.get(2)?);
        if expected.remove(&key) != Some(read_cell(row)?) {
            return Err(Finding::Damage(format!(
                "the sums of session {}, quarter hour {}, model {} are not those of its responses",
                key.0, key.1, key.2
            )));
        }
    }
    if expected.is_empty() { Ok(()) } else { Err(Finding::Damage("responses are in no sum".to_owned())) }
}

/// What responses name is there.
fn are_known(sql: &Connection, expected: &FxHashMap<Key, Expected>) -> Result<(), Finding> {
    let (sessions, models) = (numbers(sql, "session")?, numbers(sql, "model")?);
    let known = |(session, _, model): &Key| sessions.contains(session) && models.contains(model);
    if expected.keys().all(known) {
        return Ok(());
    }
    Err(Finding::Damage("a response has a session or model that is not there".to_owned()))
}

/// Of these sessions and all models, table and index give the same name: under another one the server would have them
/// twice.
fn names(sql: &Connection, sessions: &str) -> Result<(), Finding> {
    let wrong: i64 = sql.query_row(
        &format!(
            "SELECT (SELECT count(*) FROM session AS s WHERE s.id IN ({sessions}) AND NOT EXISTS \
             (SELECT 1 FROM session AS i INDEXED BY sqlite_autoindex_session_1 WHERE i.name = s.name AND +i.id = s.id)) \
             + (SELECT count(*) FROM model AS m WHERE NOT EXISTS \
             (SELECT 1 FROM model AS i INDEXED BY sqlite_autoindex_model_1 WHERE i.name = m.name AND +i.id = m.id))"
        ),
        [],
        |row| row.get(0),
    )?;
    if wrong == 0 {
        return Ok(());
    }
    Err(Finding::Damage("the name of a session or model is not the one that it is found by".to_owned()))
}

fn numbers(sql: &Connection, table: &str) -> Result<FxHashSet<i64>, rusqlite::Error> {
    let mut statement = sql.prepare(&format!("SELECT id FROM {table}"))?;
    statement.query_map([], |row| row.get(0))?.collect()
}

fn responses(sql: &Connection, only: &str, expected: &mut FxHashMap<Key, Expected>) -> Result<(), Finding> {
    let mut statement = sql.prepare(&format!(
        "SELECT session, first_at, model, input, output, cache_write_5m, cache_write_1h, cache_read, cost, \
         thinking, web_searches, flags, message_id, id_hash FROM response {only}"
    ))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let id = row.get_ref(12)?.as_str().unwrap_or_default();
        if id_hash(id) != row.get::<_, i64>(13)? {
            return Err(Finding::Damage("the id of a response is not what it was".to_owned()));
        }
        let (key, at, mut sums) = read_call(row)?;
        let [thinking, web_searches] = [plausible(row, 9)?, plausible(row, 10)?];
        let is_final = row.get::<_, i64>(11)? & flag::FINAL != 0;
        add(&mut sums, [(5, thinking), (6, 1), (7, web_searches), (9, i128::from(!is_final))]);
        enter(expected, key, at, &sums);
    }
    Ok(())
}

/// Calls inside a response that are calls of their own, under their own model. One that used nothing is in no
/// cell.
fn parts(sql: &Connection, only: &str, expected: &mut FxHashMap<Key, Expected>) -> Result<(), Finding> {
    // By their key: asked of the response that is joined, SQLite would go through all that there are.
    let only = match only {
        "" => String::new(),
        only => format!("WHERE p.response IN (SELECT id FROM response {only})"),
    };
    let mut statement = sql.prepare(&format!(
        "SELECT r.session, r.first_at, coalesce(p.model, r.model), p.input, p.output, p.cache_write_5m, \
         p.cache_write_1h, p.cache_read, p.cost, p.kind, r.flags \
         FROM part AS p LEFT JOIN response AS r ON r.id = p.response {only}"
    ))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let is_known = row.get::<_, Option<i64>>(10)?.is_some_and(|flags| flags & flag::PARTS != 0);
        let kind: i64 = row.get(9)?;
        if !is_known || !(0..=3).contains(&kind) {
            return Err(Finding::Damage("a call has no response that it is inside of".to_owned()));
        }
        let (key, at, sums) = read_call(row)?;
        if kind != 3 && sums.iter().any(|sum| *sum != 0) {
            enter(expected, key, at, &sums);
        }
    }
    Ok(())
}

/// Session, time, model, five counts and the cost; what they add to which cell.
fn read_call(row: &SqlRow<'_>) -> Result<(Key, i64, Sums), Finding> {
    let at: i64 = row.get(1)?;
    let key = (row.get(0)?, UnixMillis(at).quarter().0, row.get(2)?);
    let mut sums = Sums::default();
    let mut tokens = 0;
    for (column, sum) in (3..8).zip(sums.iter_mut()) {
        *sum = plausible(row, column)?;
        tokens += *sum;
    }
    match row.get::<_, Option<i64>>(8)? {
        Some(_) => add(&mut sums, [(10, plausible(row, 8)?)]),
        None => add(&mut sums, [(8, 1), (11, tokens)]),
    }
    Ok((key, at, sums))
}

fn read_cell(row: &SqlRow<'_>) -> Result<Expected, Finding> {
    let mut sums = Sums::default();
    for (column, place) in (3..13).zip(0..10) {
        add(&mut sums, [(place, i128::from(row.get::<_, i64>(column)?))]);
    }
    let cost = join_cost(row.get(14)?, row.get(15)?);
    add(&mut sums, [(10, cost), (11, i128::from(row.get::<_, i64>(13)?))]);
    Ok(Expected { sums, first: row.get(16)?, last: row.get(17)? })
}

fn plausible(row: &SqlRow<'_>, column: usize) -> Result<i128, Finding> {
    let count: i64 = row.get(column)?;
    let is_one = (0..IMPLAUSIBLE).contains(&count) || column == 8 && count >= 0;
    if is_one { Ok(count.into()) } else { Err(Finding::Damage(format!("{count} is no count"))) }
}

fn add<const N: usize>(sums: &mut Sums, what: [(usize, i128); N]) {
    for (place, more) in what {
        if let Some(sum) = sums.get_mut(place) {
            *sum += more;
        }
    }
}

fn enter(expected: &mut FxHashMap<Key, Expected>, key: Key, at: i64, sums: &Sums) {
    let cell = expected.entry(key).or_insert(Expected { sums: Sums::default(), first: at, last: at });
    for (sum, more) in cell.sums.iter_mut().zip(sums) {
        *sum += more;
    }
    cell.first = cell.first.min(at);
    cell.last = cell.last.max(at);
}
