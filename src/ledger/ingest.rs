//! Taking in what was read: facts and cursors in one transaction.

use super::cells::Cells;
use super::names::Names;
use super::pending::{Pending, PendingResponses};
use super::row::{Row, flag};
use super::{Ledger, LedgerError, Pricing, write};
use crate::domain::{ClientAccount, Cost, Cursor, Picodollars, ResponseLine, TokenCounts, UnixMillis};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::path::PathBuf;

/// Changes are listed one by one up to this number; a bulk scan only counts them.
const LISTED_CHANGES: usize = 64;

/// A line that speaks of a response, and where it stands.
#[derive(Clone, Debug)]
pub struct SeenLine {
    /// Byte offset of the line.
    pub offset: u64,
    /// What it says.
    pub line: ResponseLine,
}

/// A line that was not as it should be.
#[derive(Clone, Debug)]
pub struct SeenFault {
    /// Byte offset of the line.
    pub offset: u64,
    /// A short stable name of what was wrong.
    pub kind: &'static str,
}

/// A line with the client's own account of a session.
#[derive(Clone, Debug)]
pub struct SeenAccount {
    /// Byte offset of the line.
    pub offset: u64,
    /// What it says.
    pub account: ClientAccount,
    /// When it was written, as far as the file tells: the line has no time of its own.
    pub seen_at: UnixMillis,
}

/// What was read of one file, and where reading it goes on.
#[derive(Clone, Debug, Default)]
pub struct FileUpdate {
    /// The file.
    pub path: PathBuf,
    /// The path it had before it was moved.
    pub moved_from: Option<PathBuf>,
    /// The folder below the root: the project's name where lines name no working folder.
    pub folder: String,
    /// It was read from its beginning: what is known of places in it holds no longer.
    pub restarted: bool,
    /// Lines that speak of responses.
    pub lines: Vec<SeenLine>,
    /// Lines that were not as they should be.
    pub faults: Vec<SeenFault>,
    /// Lines with the client's own account.
    pub accounts: Vec<SeenAccount>,
    /// Where reading goes on.
    pub cursor: Cursor,
}

/// A response that is new or has grown.
#[derive(Clone, Debug)]
pub struct Change {
    /// The session that paid.
    pub session: String,
    /// Its working folder, where known.
    pub cwd: Option<String>,
    /// The model that served.
    pub model: String,
    /// New, rather than grown.
    pub is_new: bool,
    /// Tokens of the response, calls inside it included.
    pub tokens: TokenCounts,
    /// What it costs, calls inside it included.
    pub cost: Cost,
}

/// What a transaction did.
#[derive(Clone, Debug, Default)]
pub struct IngestSummary {
    /// Lines that speak of responses.
    pub lines: u64,
    /// Responses counted for the first time.
    pub new_responses: u64,
    /// Responses that a better line has corrected.
    pub raised_responses: u64,
    /// Some of the new and corrected responses.
    pub changes: Vec<Change>,
    /// The ledger's numbers of the files, in the order in which they were handed in; of one transaction.
    pub files: Vec<i64>,
}

impl IngestSummary {
    /// Adds what a further transaction did; its files are not kept.
    pub fn add(&mut self, other: Self) {
        self.lines += other.lines;
        self.new_responses += other.new_responses;
        self.raised_responses += other.raised_responses;
        let room = LISTED_CHANGES.saturating_sub(self.changes.len());
        self.changes.extend(other.changes.into_iter().take(room));
    }
}

/// A sighting before the number of its response is settled.
struct Sighting {
    file: i64,
    offset: u64,
    position: usize,
    at: i64,
    output: u64,
    flags: i64,
}

impl Ledger {
    /// Takes in what was read, in one transaction. On error nothing has changed.
    pub fn ingest(
        &mut self,
        updates: Vec<FileUpdate>,
        pricing: &dyn Pricing,
    ) -> Result<IngestSummary, LedgerError> {
        let names = &mut self.names;
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let result = ingest(&transaction, names, updates, pricing).and_then(|summary| {
            transaction.commit()?;
            Ok(summary)
        });
        self.has_grown |= result.as_ref().is_ok_and(|summary| summary.new_responses > 0);
        if result.is_err() || self.names.are_many() {
            // Names may have been numbered that the rollback took back; and what is known of a hundred
            // thousand sessions is not kept in memory.
            self.names = Names::default();
        }
        result
    }
}

fn ingest(
    sql: &Transaction<'_>,
    names: &mut Names,
    updates: Vec<FileUpdate>,
    pricing: &dyn Pricing,
) -> Result<IngestSummary, LedgerError> {
    let mut pending = PendingResponses::new(sql)?;
    let mut sightings = Vec::new();
    let mut files = Vec::with_capacity(updates.len());
    for update in updates {
        files.push(take_in_file(sql, names, update, &mut pending, &mut sightings)?);
    }
    let mut summary = IngestSummary { lines: sightings.len() as u64, files, ..IngestSummary::default() };
    let ids: Vec<i64> = sightings.iter().map(|sighting| pending.id(sighting.position)).collect();
    let (entries, aliases) = pending.finish();
    let mut cells = Cells::default();
    for entry in &entries {
        write_entry(sql, names, entry, &entries, pricing, &mut cells, &mut summary)?;
    }
    write::aliases(sql, &aliases)?;
    for (sighting, id) in sightings.iter().zip(ids) {
        let Sighting { file, offset, at, output, flags, .. } = *sighting;
        write::sighting(sql, file, offset, id, at, output, flags)?;
    }
    cells.write(sql)?;
    names.write_sessions(sql)?;
    Ok(summary)
}

fn take_in_file(
    sql: &Connection,
    names: &mut Names,
    update: FileUpdate,
    pending: &mut PendingResponses,
    sightings: &mut Vec<Sighting>,
) -> Result<i64, LedgerError> {
    let file = write::file(sql, &update)?;
    for SeenLine { offset, line } in update.lines {
        let cwd = line.cwd.as_deref().map(|cwd| (!line.rank.main_chain, line.rank.at.0, cwd));
        names.see_session(sql, &line.attribution.session, &update.folder, cwd)?;
        let (at, output, flags) = (line.rank.at.0, line.rank.output, sighting_flags(&line));
        let position = pending.take_in(sql, names, line)?;
        sightings.push(Sighting { file, offset, position, at, output, flags });
    }
    for fault in update.faults {
        write::fault(sql, file, &fault)?;
    }
    for account in update.accounts {
        write::account(sql, names, file, &account)?;
    }
    Ok(file)
}

fn sighting_flags(line: &ResponseLine) -> i64 {
    [
        (line.is_final, flag::FINAL),
        (line.time_is_guessed, flag::TIME_GUESSED),
        (line.rank.main_chain, flag::MAIN_CHAIN),
        (line.rank.stopped, flag::STOPPED),
        (line.attribution.copied, flag::COPIED),
    ]
    .into_iter()
    .filter(|(set, _)| *set)
    .fold(0, |flags, (_, bit)| flags | bit)
}

/// Writes one response of the transaction and what it changes in the cells.
fn write_entry(
    sql: &Connection,
    names: &mut Names,
    entry: &Pending,
    entries: &[Pending],
    pricing: &dyn Pricing,
    cells: &mut Cells,
    summary: &mut IngestSummary,
) -> Result<(), LedgerError> {
    if let Some(by) = entry.absorbed_by {
        if let Some(row) = &entry.stored {
            let mut by = by;
            while let Some(next) = entries.get(by).and_then(|entry| entry.absorbed_by) {
                by = next;
            }
            write::absorb(sql, row.id, entries.get(by).map_or(row.id, |entry| entry.id))?;
            cells.replace(Some(row), None);
        }
        return Ok(());
    }
    let mut row =
        Row::unpriced(sql, names, entry.id, entry.message_id.clone(), entry.is_global, &entry.response)?;
    if entry.stored.as_ref().is_some_and(|stored| row.same_facts(stored)) {
        return Ok(());
    }
    row.price(&entry.response, pricing);
    write::response(sql, &row, entry.stored.as_ref())?;
    cells.replace(entry.stored.as_ref(), Some(&row));
    match &entry.stored {
        Some(stored) if row.bills_the_same(stored) => return Ok(()),
        Some(_) => summary.raised_responses += 1,
        None => summary.new_responses += 1,
    }
    if summary.changes.len() < LISTED_CHANGES {
        summary.changes.push(change(names, entry, &row));
    }
    Ok(())
}

fn change(names: &Names, entry: &Pending, row: &Row) -> Change {
    let mut tokens = row.tokens;
    let mut cost = row.cost;
    for part in row.parts.iter().filter(|part| part.kind.is_extra()) {
        tokens += part.tokens;
        cost = cost.zip(part.cost).map(|(sum, part)| sum.saturating_add(part));
    }
    Change {
        session: entry.response.attribution.session.clone(),
        cwd: names.session_cwd(&entry.response.attribution.session),
        model: entry.response.model.0.clone(),
        is_new: entry.stored.is_none(),
        tokens,
        cost: cost.map_or(Cost::Unpriced, |amount| Cost::Known(Picodollars(amount))),
    }
}
