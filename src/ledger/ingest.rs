//! Taking in what was read: facts and cursors in one transaction.

use super::cells::Cells;
use super::files::session_of;
use super::names::Names;
use super::pending::{AllIds, Pending, PendingResponses};
use super::row::Row;
use super::seen::{FileUpdate, SeenLine, SeenResponse, SeenSession};
use super::unlogged::Due;
use super::{Ledger, LedgerError, Pricing, event, write};
use crate::domain::{Cost, Picodollars, TokenCounts};
use rusqlite::{Connection, Transaction, TransactionBehavior};

/// Changes are listed one by one up to this number; a bulk scan only counts them.
const LISTED_CHANGES: usize = 64;

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
    /// Where its response is among those of the transaction.
    position: usize,
    line: SeenLine,
}

impl Ledger {
    /// Takes in what was read, in one transaction. On error nothing has changed.
    pub fn ingest(
        &mut self,
        updates: Vec<FileUpdate>,
        pricing: &dyn Pricing,
    ) -> Result<IngestSummary, LedgerError> {
        let (names, all_ids) = (&mut self.names, self.all_ids.take());
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let result = ingest(&transaction, names, all_ids, updates, pricing).and_then(|(summary, all_ids)| {
            transaction.commit()?;
            self.all_ids = all_ids;
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

    /// Much is going to be taken in, until [`Ledger::relax`].
    pub fn expect_much(&mut self) -> Result<(), LedgerError> {
        self.is_at_much = true;
        self.fold_seldom(true)
    }

    /// Gives back memory that only helps while there is much to be taken in.
    pub fn relax(&mut self) -> Result<(), LedgerError> {
        self.all_ids = None;
        if std::mem::take(&mut self.is_at_much) { self.fold_seldom(false) } else { Ok(()) }
    }
}

fn ingest(
    sql: &Transaction<'_>,
    names: &mut Names,
    all_ids: Option<AllIds>,
    updates: Vec<FileUpdate>,
    pricing: &dyn Pricing,
) -> Result<(IngestSummary, Option<AllIds>), LedgerError> {
    let mut pending = PendingResponses::new(sql, all_ids)?;
    pending.reserve(updates.iter().map(|update| update.seen.responses.len()).sum());
    let mut sightings = Vec::with_capacity(updates.iter().map(|update| update.seen.lines()).sum());
    let mut files = Vec::with_capacity(updates.len());
    let (mut due, mut accounts) = (Due::new(sql)?, Vec::new());
    for mut update in updates {
        due.copies(sql, &session_of(&update.path), &update.seen.copies)?;
        let of_file = std::mem::take(&mut update.accounts);
        let file = take_in_file(sql, names, update, &mut pending, &mut sightings)?;
        files.push(file);
        accounts.push((file, of_file));
    }
    let summary = IngestSummary { lines: sightings.len() as u64, files, ..IngestSummary::default() };
    let ids: Vec<i64> = sightings.iter().map(|sighting| pending.id(sighting.position)).collect();
    let (entries, aliases, all_ids) = pending.finish();
    let mut written =
        Written { responses: write::Responses::new(sql)?, cells: Cells::default(), due, summary };
    for entry in &entries {
        write_entry(sql, names, entry, &entries, pricing, &mut written)?;
    }
    let Written { cells, summary, mut due, .. } = written;
    write::aliases(sql, &aliases)?;
    if event::kept_requests(sql)? {
        let with_request = |(sighting, id): (&Sighting, &i64)| Some((sighting.line.request?, *id));
        let requests = sightings.iter().zip(&ids).filter_map(with_request);
        event::note_requests(sql, requests, &mut due.found)?;
    }
    write::sightings(
        sql,
        sightings.iter().zip(ids).map(|(sighting, id)| (sighting.file, id, sighting.line)),
    )?;
    cells.write(sql)?;
    names.write_sessions(sql)?;
    // Where an account stands is told by the sightings before it.
    for (file, accounts) in accounts {
        due.accounts(sql, names, file, &accounts)?;
    }
    due.settle(sql, names, pricing)?;
    Ok((summary, all_ids))
}

fn take_in_file(
    sql: &Connection,
    names: &mut Names,
    update: FileUpdate,
    pending: &mut PendingResponses,
    sightings: &mut Vec<Sighting>,
) -> Result<i64, LedgerError> {
    let file = write::file(sql, &update)?;
    for SeenSession { name, cwd } in &update.seen.sessions {
        let cwd = cwd.as_ref().map(|(sidechain, at, cwd)| (*sidechain, *at, cwd.as_str()));
        names.see_session(sql, name, &update.folder, cwd)?;
    }
    let mut positions = Vec::with_capacity(update.seen.responses.len());
    for SeenResponse { key, response } in update.seen.responses {
        positions.push(pending.take_in(sql, names, key, response)?);
    }
    for line in update.seen.lines {
        let position = positions.get(line.response).copied().unwrap_or_default();
        sightings.push(Sighting { file, position, line });
    }
    for fault in update.faults {
        write::fault(sql, file, &fault)?;
    }
    Ok(file)
}

/// Where the responses of a transaction go.
struct Written<'a> {
    responses: write::Responses<'a>,
    cells: Cells,
    due: Due,
    summary: IngestSummary,
}

/// Writes one response of the transaction and what it changes in the cells.
fn write_entry(
    sql: &Connection,
    names: &mut Names,
    entry: &Pending,
    entries: &[Pending],
    pricing: &dyn Pricing,
    written: &mut Written<'_>,
) -> Result<(), LedgerError> {
    let Written { responses, cells, due, summary } = written;
    if let Some(by) = entry.absorbed_by {
        if let Some(row) = &entry.stored {
            let mut by = by;
            while let Some(next) = entries.get(by).and_then(|entry| entry.absorbed_by) {
                by = next;
            }
            write::absorb(sql, row.id, entries.get(by).map_or(row.id, |entry| entry.id))?;
            cells.replace(Some(row), None);
            due.sessions.insert(row.session);
            due.found.add(entries.get(by).map_or(row.id, |entry| entry.id));
        }
        return Ok(());
    }
    let mut row =
        Row::unpriced(sql, names, entry.id, entry.message_id.clone(), entry.is_global, &entry.response)?;
    if entry.stored.as_ref().is_some_and(|stored| row.same_facts(stored)) {
        return Ok(());
    }
    for row in entry.stored.iter().chain([&row]) {
        due.reply(row.session, row.first_at);
    }
    due.found.add(row.id);
    row.price(&entry.response, pricing);
    responses.write(&row, entry.stored.as_ref())?;
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
