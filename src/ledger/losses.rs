//! What a ledger that was made anew lacks of what the damaged one had.
//!
//! Owns: the comparison by session, of the number of responses and, where it counts by them, of each of them; and what
//! is noted of it. Made when all logs have been read since, and again when logs or the server have given back
//! something: what came back is missing no more. Compared is with all damaged files that there are: a ledger that was damaged after another one had not got what
//! that one had lost. What was restored in a damaged ledger counts as what it had. Reads as much of the damaged
//! files as can be read, and says whether that was all. Fails as the ledger does; what is wrong with a damaged
//! file is no failure.

use super::quarantine::{databases, quarantined};
use super::row::flag;
use super::{Ledger, LedgerError, audit, meta};
use rusqlite::{Connection, Row};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// The version of the tables that has what was read from the server.
const RESTORED_SINCE: i64 = 3;

/// What the damaged ledgers had and the new one has not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Sessions that lack responses.
    pub sessions: u64,
    /// How many responses.
    pub responses: u64,
    /// All of the damaged ledgers could be read: there are no further ones.
    pub is_all: bool,
}

impl Losses {
    /// Nothing is missing, for sure.
    pub fn is_nothing(&self) -> bool {
        self.responses == 0 && self.is_all
    }
}

impl Ledger {
    /// Compares with the damaged ledgers that this one took the place of. To be called when all logs have been
    /// read; says something the first time, and then where less is missing than was.
    pub fn settle_rebuild(&mut self) -> Result<Option<Losses>, LedgerError> {
        let has_grown = std::mem::take(&mut self.has_grown);
        let known = noted(&self.connection)?;
        if known.is_some_and(|losses| losses.responses == 0 || !has_grown) {
            return Ok(None);
        }
        let Some(damaged) = beside(&self.connection, self.folder(), known)? else { return Ok(None) };
        let losses = compare(&self.connection, &damaged)?;
        let sql = self.connection.transaction()?;
        note(&sql, losses)?;
        sql.commit()?;
        Ok(Some(losses).filter(|_| known != Some(losses)))
    }
}

/// Compares once more, where something was missing and a damaged file is still there.
pub(super) fn compare_again(sql: &Connection, folder: &Path) -> Result<Option<Losses>, LedgerError> {
    let Some(known) = noted(sql)? else { return Ok(None) };
    let Some(damaged) = beside(sql, folder, Some(known))? else { return Ok(None) };
    let losses = compare(sql, &damaged)?;
    note(sql, losses)?;
    Ok(Some(losses))
}

/// The damaged files that are to be compared with; none where nothing is missing, or where they are gone and what
/// they had is known.
fn beside(
    sql: &Connection,
    folder: &Path,
    known: Option<Losses>,
) -> Result<Option<Vec<PathBuf>>, LedgerError> {
    let Some(name) = meta::text(sql, meta::REBUILT_BESIDE)? else { return Ok(None) };
    let mut damaged: Vec<_> = quarantined(folder).into_iter().map(|one| one.path).collect();
    let latest = folder.join(name);
    if !damaged.contains(&latest) {
        damaged.push(latest);
    }
    let is_there = known.is_none() || damaged.iter().any(|path| path.exists());
    Ok(Some(damaged).filter(|_| is_there))
}

/// What was found missing; `None` before anybody has looked.
pub(super) fn noted(sql: &Connection) -> Result<Option<Losses>, LedgerError> {
    Ok(meta::text(sql, meta::REBUILT_LOST)?.and_then(|text| parse(&text)))
}

/// The damaged files are remembered for as long as anything is missing.
fn note(sql: &Connection, losses: Losses) -> Result<(), LedgerError> {
    let Losses { sessions, responses, is_all } = losses;
    meta::set(sql, meta::REBUILT_LOST, Some(&format!("{sessions} {responses} {}", u8::from(is_all))))?;
    if losses.is_nothing() { meta::set(sql, meta::REBUILT_BESIDE, None) } else { Ok(()) }
}

fn parse(text: &str) -> Option<Losses> {
    let mut words = text.split(' ');
    let mut number = || words.next()?.parse().ok();
    let (sessions, responses) = (number()?, number()?);
    Some(Losses { sessions, responses, is_all: number()? == 1 })
}

/// What can be read of the damaged files, and is not in the ledger.
fn compare(ledger: &Connection, damaged: &[PathBuf]) -> Result<Losses, LedgerError> {
    let (mut before, mut is_all) = (Had::default(), true);
    for path in damaged.iter().flat_map(|path| databases(path)) {
        let Ok((had, wrong)) = audit::read_only(&path).map(|former| responses(&former)) else {
            is_all = false;
            continue;
        };
        is_all &= wrong.is_none();
        before.raise(had);
    }
    let (now, wrong) = responses(ledger);
    if let Some(wrong) = wrong {
        let path = Path::new(ledger.path().unwrap_or_default());
        return Err(audit::as_damage(path, wrong.into()));
    }
    let there: HashSet<&String> = now.ids.values().flatten().collect();
    let mut losses = Losses { is_all, ..Losses::default() };
    for (name, count) in before.counts {
        let lost = count.saturating_sub(now.counts.get(&name).copied().unwrap_or(0));
        // New ones do not make up for old ones. Of which ones the server's value is made up nobody knows.
        let ids = before.ids.get(&name).filter(|_| !now.restored.contains(&name));
        let gone = ids.map_or(0, |ids| ids.iter().filter(|id| !there.contains(id)).count());
        let lost = lost.max(u64::try_from(gone).unwrap_or(u64::MAX));
        losses.sessions += u64::from(lost > 0);
        losses.responses = losses.responses.saturating_add(lost);
    }
    Ok(losses)
}

/// What there is of each session, by name.
#[derive(Default)]
struct Had {
    /// Responses, as many as any of the tables says that have them.
    counts: HashMap<String, u64>,
    /// The ids of those whose id nobody else has.
    ids: HashMap<String, HashSet<String>>,
    /// Sessions that count by what the server has of them.
    restored: HashSet<String>,
}

impl Had {
    /// Of each session the greater count, and all ids.
    fn raise(&mut self, more: Self) {
        raise(&mut self.counts, more.counts);
        for (name, ids) in more.ids {
            self.ids.entry(name).or_default().extend(ids);
        }
    }
}

/// Of each session the greater count.
fn raise(all: &mut HashMap<String, u64>, counts: HashMap<String, u64>) {
    for (name, count) in counts {
        let known = all.entry(name).or_default();
        *known = count.max(*known);
    }
}

/// Why not all could be read, where that is so.
type Wrong = Option<rusqlite::Error>;

fn responses(sql: &Connection) -> (Had, Wrong) {
    let (sessions, wrong_names) = sessions(sql);
    let (facts, wrong_facts) = counts(sql, "SELECT session, 1 FROM response");
    let (cells, wrong_cells) = counts(sql, "SELECT session, messages FROM cell");
    let (restored, wrong_restored) = counts(sql, "SELECT session, messages FROM restored_cell");
    let name = |session: &i64| sessions.get(session).cloned().unwrap_or_default();
    let mut had = Had { restored: restored.keys().map(name).collect(), ..Had::default() };
    for counts in [facts, cells, restored] {
        let mut named: HashMap<String, u64> = HashMap::new();
        for (session, count) in counts {
            let sum = named.entry(name(&session)).or_default();
            *sum = sum.saturating_add(count);
        }
        raise(&mut had.counts, named);
    }
    // Where these cannot be read, neither can the responses.
    let ids = format!("SELECT session, message_id FROM response WHERE flags & {}", flag::GLOBAL);
    let _ = each(sql, &ids, |row| {
        had.ids.entry(name(&row.get(0)?)).or_default().insert(row.get(1)?);
        Ok(())
    });
    let wrong_counts = if wrong_cells.is_none() { None } else { wrong_facts };
    let wrong_restored = wrong_restored.filter(|_| !is_without_restored(sql));
    (had, wrong_names.or(wrong_counts).or(wrong_restored))
}

/// True for a ledger of a version that did not have what is restored.
fn is_without_restored(sql: &Connection) -> bool {
    let version = sql.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0));
    version.is_ok_and(|version| version < RESTORED_SINCE)
}

/// Names of sessions.
fn sessions(sql: &Connection) -> (HashMap<i64, String>, Wrong) {
    let mut names = HashMap::new();
    let wrong = each(sql, "SELECT id, name FROM session", |row| {
        names.insert(row.get(0)?, row.get(1)?);
        Ok(())
    });
    (names, wrong)
}

/// Responses of sessions by a query that gives both.
fn counts(sql: &Connection, query: &str) -> (HashMap<i64, u64>, Wrong) {
    let mut counts: HashMap<i64, u64> = HashMap::new();
    let wrong = each(sql, query, |row| {
        let count = u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0);
        let sum = counts.entry(row.get(0)?).or_default();
        *sum = sum.saturating_add(count);
        Ok(())
    });
    (counts, wrong)
}

/// Rows up to the first that cannot be read.
fn each(sql: &Connection, query: &str, mut take: impl FnMut(&Row<'_>) -> rusqlite::Result<()>) -> Wrong {
    let mut read = || -> rusqlite::Result<()> {
        let mut statement = sql.prepare(query)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            take(row)?;
        }
        Ok(())
    };
    read().err()
}
