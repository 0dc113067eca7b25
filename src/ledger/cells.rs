//! The cells: sums by session, quarter hour and model, kept by exact differences.
//!
//! Invariant: a cell equals the sum of what the responses of its session, quarter and model contribute;
//! `rebuild` computes the same from nothing. What was read from the server is beside it, in a table of the same
//! columns, and in no cell.

use super::days::Days;
use super::row::{Row, count, sql_count};
use super::{LedgerError, restored, write};
use crate::domain::{Cell, Quarter, TokenCounts, Totals, UnixMillis, Usd};
use rusqlite::{Connection, OptionalExtension, Row as SqlRow, params};
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;

/// Picodollars in a dollar: sums are kept as dollars and a remainder, so that none can overflow.
pub(super) const PICODOLLARS: i128 = 1_000_000_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Key {
    session: i64,
    quarter: i64,
    model: i64,
}

/// What a cell or a sum of cells has, or what is to be added to it: negative where a response was corrected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    tokens: [i64; 5],
    thinking: i64,
    messages: i64,
    web_searches: i64,
    unpriced: i64,
    unpriced_tokens: i64,
    incomplete: i64,
    /// Picodollars.
    cost: i128,
}

impl Sums {
    /// So many numbers there are.
    pub(super) const NUMBERS: usize = 13;

    /// All of them, the cost as [`split_cost`] has it, in an order that stored bytes rely on: what is rarely 0 first.
    pub(super) fn numbers(&self) -> [i64; Self::NUMBERS] {
        let [input, output, five_minutes, one_hour, read] = self.tokens;
        let Self { thinking, messages, web_searches, unpriced, unpriced_tokens, incomplete, .. } = *self;
        let (dollars, picodollars) = split_cost(self.cost);
        [
            input,
            output,
            five_minutes,
            one_hour,
            read,
            messages,
            picodollars,
            dollars,
            thinking,
            web_searches,
            unpriced,
            unpriced_tokens,
            incomplete,
        ]
    }

    /// The inverse of [`Sums::numbers`].
    pub(super) fn new(numbers: [i64; Self::NUMBERS]) -> Self {
        let [
            tokens @ ..,
            messages,
            picodollars,
            dollars,
            thinking,
            web_searches,
            unpriced,
            unpriced_tokens,
            incomplete,
        ] = numbers;
        let cost = join_cost(dollars, picodollars);
        Self { tokens, thinking, messages, web_searches, unpriced, unpriced_tokens, incomplete, cost }
    }

    /// Adds other sums, or takes them away with -1. What a damaged ledger says adds up to anything, and to no panic.
    pub(super) fn add(&mut self, other: &Self, sign: i64) {
        let add = |mine: &mut i64, theirs: i64| *mine = mine.wrapping_add(sign.wrapping_mul(theirs));
        for (mine, theirs) in self.tokens.iter_mut().zip(other.tokens) {
            add(mine, theirs);
        }
        add(&mut self.thinking, other.thinking);
        add(&mut self.messages, other.messages);
        add(&mut self.web_searches, other.web_searches);
        add(&mut self.unpriced, other.unpriced);
        add(&mut self.unpriced_tokens, other.unpriced_tokens);
        add(&mut self.incomplete, other.incomplete);
        self.cost = self.cost.wrapping_add(i128::from(sign).wrapping_mul(other.cost));
    }

    pub(super) fn is_nothing(&self) -> bool {
        self.messages == 0
            && self.unpriced == 0
            && self.tokens == [0; 5]
            && self.cost == 0
            && self.web_searches == 0
    }

    /// The sums as reports have them.
    pub(super) fn totals(&self) -> Totals {
        Totals {
            tokens: TokenCounts::from_array(self.tokens.map(count)),
            thinking: count(self.thinking),
            messages: count(self.messages),
            web_searches: count(self.web_searches),
            unpriced: count(self.unpriced),
            unpriced_tokens: count(self.unpriced_tokens),
            incomplete: count(self.incomplete),
            cost: Usd(self.cost),
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Delta {
    sums: Sums,
    /// First and last response that came in.
    span: Option<(i64, i64)>,
    /// Earliest and latest response that left: where it was the cell's first or last, that has to be
    /// found anew.
    left: Option<(i64, i64)>,
}

/// The sums of a cell with its first and last response.
type StoredCell = (Sums, (i64, i64));

/// Differences gathered in one transaction.
#[derive(Debug, Default)]
pub(super) struct Cells(FxHashMap<Key, Delta>);

impl Cells {
    /// Replaces what `old` contributes by what `new` does.
    pub(super) fn replace(&mut self, old: Option<&Row>, new: Option<&Row>) {
        let stays = match (old, new) {
            (Some(old), Some(new)) => old.first_at == new.first_at,
            _ => false,
        };
        let coming: Vec<_> = new.map(contributions).unwrap_or_default();
        for (key, sums) in old.map(contributions).unwrap_or_default() {
            let delta = self.0.entry(key).or_default();
            delta.sums.add(&sums, -1);
            if !(stays && coming.iter().any(|(other, _)| *other == key)) {
                delta.left = Some(widened(delta.left, old.map_or(0, |row| row.first_at)));
            }
        }
        let at = new.map_or(0, |row| row.first_at);
        for (key, sums) in coming {
            let delta = self.0.entry(key).or_default();
            delta.sums.add(&sums, 1);
            delta.span = Some(widened(delta.span, at));
        }
    }

    /// Adds the differences to the table, and tells the sessions whose cells are others now. The rows of
    /// responses have been written before.
    pub(super) fn write(self, sql: &Connection) -> Result<(), LedgerError> {
        let mut deltas: Vec<_> = self.0.into_iter().collect();
        deltas.sort_unstable_by_key(|(key, _)| *key);
        let mut unsure = FxHashMap::default();
        let (mut changed, mut days) = (BTreeSet::new(), Days::default());
        for (key, delta) in deltas {
            let stored = read_cell(sql, key)?;
            let (mut sums, span) = stored.map_or((Sums::default(), None), |(sums, span)| (sums, Some(span)));
            sums.add(&delta.sums, 1);
            if sums.is_nothing() {
                if stored.is_some() {
                    delete_cell(sql, key)?;
                    changed.insert(key.session);
                    days.add(key.quarter, key.model, &delta.sums);
                    days.left(key.session, key.quarter);
                }
                continue;
            }
            let at_edge = |(left, span): ((i64, i64), (i64, i64))| left.0 <= span.0 || left.1 >= span.1;
            let is_unsure = delta.left.zip(span).is_some_and(at_edge);
            let span = match (span, delta.span) {
                (Some(span), _) if is_unsure => span,
                (Some(span), Some((first, last))) => widened(Some(widened(Some(span), first)), last),
                (known, new) => {
                    let start = Quarter(key.quarter).start().0;
                    known.or(new).unwrap_or((start, start))
                }
            };
            if is_unsure {
                unsure.insert(key, None);
            }
            if stored != Some((sums, span)) {
                write_cell(sql, "cell", key, &sums, span)?;
                changed.insert(key.session);
                days.add(key.quarter, key.model, &delta.sums);
                if stored.is_none() {
                    days.came(key.session, key.quarter);
                }
            }
        }
        if !unsure.is_empty() {
            write_spans(sql, unsure, &mut changed)?;
        }
        days.write(sql)?;
        restored::settle(sql, &changed)?;
        write::raise_stamps(sql, &changed)
    }
}

/// The span with one more moment in it.
fn widened(span: Option<(i64, i64)>, at: i64) -> (i64, i64) {
    span.map_or((at, at), |(first, last)| (first.min(at), last.max(at)))
}

/// What a response adds to which cells: its own counters, and each call inside it under its own model. A
/// call that used nothing adds nothing, not even its time: a cell that it alone were in would be dropped.
fn contributions(row: &Row) -> Vec<(Key, Sums)> {
    let key = |model| Key { session: row.session, quarter: UnixMillis(row.first_at).quarter().0, model };
    let own = Sums {
        tokens: sql_tokens(row.tokens),
        thinking: sql_count(row.thinking),
        messages: 1,
        web_searches: sql_count(row.web_searches),
        unpriced: i64::from(row.cost.is_none()),
        unpriced_tokens: unpriced_tokens(row.tokens, row.cost),
        incomplete: i64::from(!row.has(super::row::flag::FINAL)),
        cost: i128::from(row.cost.unwrap_or(0)),
    };
    let parts = row.parts.iter().filter(|part| part.kind.is_extra()).map(|part| {
        let sums = Sums {
            tokens: sql_tokens(part.tokens),
            unpriced: i64::from(part.cost.is_none()),
            unpriced_tokens: unpriced_tokens(part.tokens, part.cost),
            cost: i128::from(part.cost.unwrap_or(0)),
            ..Sums::default()
        };
        (key(part.model.unwrap_or(row.model)), sums)
    });
    let parts = parts.filter(|(_, sums)| !sums.is_nothing());
    std::iter::once((key(row.model), own)).chain(parts).collect()
}

fn sql_tokens(tokens: TokenCounts) -> [i64; 5] {
    tokens.as_array().map(sql_count)
}

/// The tokens of a call, unless it has a price.
fn unpriced_tokens(tokens: TokenCounts, cost: Option<i64>) -> i64 {
    if cost.is_none() { sql_count(tokens.total()) } else { 0 }
}

/// Session, quarter, model and the sums of a row of `cell`: what [`read_sums`] reads.
pub(super) const CELL_SUMS: &str = "session, quarter, model, input, output, cache_write_5m, cache_write_1h, cache_read, messages, \
     cost_picodollars, cost_dollars, thinking, web_searches, unpriced, unpriced_tokens, incomplete";

/// A row of [`CELL_SUMS`].
pub(super) fn read_sums(row: &SqlRow<'_>) -> rusqlite::Result<((i64, i64, i64), Sums)> {
    let mut numbers = [0; Sums::NUMBERS];
    for (number, column) in numbers.iter_mut().zip(3..) {
        *number = row.get(column)?;
    }
    Ok(((row.get(0)?, row.get(1)?, row.get(2)?), Sums::new(numbers)))
}

fn read_cell(sql: &Connection, key: Key) -> Result<Option<StoredCell>, LedgerError> {
    let cell = sql
        .prepare_cached(&format!(
            "SELECT {CELL_SUMS}, first_at, last_at FROM cell WHERE session = ?1 AND quarter = ?2 AND model = ?3"
        ))?
        .query_row([key.session, key.quarter, key.model], |row| {
            Ok((read_sums(row)?.1, (row.get(16)?, row.get(17)?)))
        })
        .optional()?;
    Ok(cell)
}

/// Writes a cell of a session that was read from the server.
pub(super) fn write_restored(sql: &Connection, cell: &Cell) -> Result<(), LedgerError> {
    let Cell { session, model, quarter, totals, .. } = cell;
    let key = Key { session: session.0, quarter: quarter.0, model: model.0 };
    let sums = Sums {
        tokens: sql_tokens(totals.tokens),
        thinking: sql_count(totals.thinking),
        messages: sql_count(totals.messages),
        web_searches: sql_count(totals.web_searches),
        unpriced: sql_count(totals.unpriced),
        unpriced_tokens: sql_count(totals.unpriced_tokens),
        incomplete: sql_count(totals.incomplete),
        cost: totals.cost.0,
    };
    write_cell(sql, "restored_cell", key, &sums, (cell.first.0, cell.last.0))
}

/// Writes into `cell` or `restored_cell`, which have the same columns.
fn write_cell(
    sql: &Connection,
    table: &str,
    key: Key,
    sums: &Sums,
    span: (i64, i64),
) -> Result<(), LedgerError> {
    let [input, output, five_minutes, one_hour, read] = sums.tokens;
    let (dollars, picodollars) = split_cost(sums.cost);
    sql.prepare_cached(&format!(
        "INSERT OR REPLACE INTO {table} VALUES \
         (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)"
    ))?
    .execute(params![
        key.session,
        key.quarter,
        key.model,
        input,
        output,
        five_minutes,
        one_hour,
        read,
        sums.thinking,
        sums.messages,
        sums.web_searches,
        sums.unpriced,
        sums.incomplete,
        dollars,
        picodollars,
        span.0,
        span.1,
        sums.unpriced_tokens,
    ])?;
    Ok(())
}

fn delete_cell(sql: &Connection, key: Key) -> Result<(), LedgerError> {
    sql.prepare_cached("DELETE FROM cell WHERE session = ?1 AND quarter = ?2 AND model = ?3")?.execute([
        key.session,
        key.quarter,
        key.model,
    ])?;
    Ok(())
}

/// Finds the first and last response of cells anew, where one moved out of a cell because an earlier line or its
/// original session turned up later. Reads the responses of their sessions.
fn write_spans(
    sql: &Connection,
    mut spans: FxHashMap<Key, Option<(i64, i64)>>,
    changed: &mut BTreeSet<i64>,
) -> Result<(), LedgerError> {
    let mut statement = sql.prepare_cached(
        "SELECT first_at, model FROM response WHERE session = ?1 UNION ALL \
         SELECT first_at, coalesce(part.model, r.model) \
         FROM response AS r JOIN part ON r.id = part.response WHERE session = ?1 AND kind <> 3 AND \
         (part.cost IS NULL OR part.cost <> 0 OR part.input + part.output + part.cache_write_5m + \
         part.cache_write_1h + part.cache_read > 0)",
    )?;
    let sessions: BTreeSet<i64> = spans.keys().map(|key| key.session).collect();
    for session in sessions {
        let mut rows = statement.query([session])?;
        while let Some(row) = rows.next()? {
            let at: i64 = row.get(0)?;
            let key = Key { session, quarter: UnixMillis(at).quarter().0, model: row.get(1)? };
            if let Some(span) = spans.get_mut(&key) {
                *span = Some(widened(*span, at));
            }
        }
    }
    let mut update = sql.prepare_cached(
        "UPDATE cell SET first_at = ?4, last_at = ?5 WHERE session = ?1 AND quarter = ?2 AND model = ?3 \
         AND (first_at <> ?4 OR last_at <> ?5)",
    )?;
    for (key, span) in spans {
        let Some((first, last)) = span else { continue };
        if update.execute([key.session, key.quarter, key.model, first, last])? > 0 {
            changed.insert(key.session);
        }
    }
    Ok(())
}

/// Dollars and the rest in picodollars, the rest never negative.
pub(super) fn split_cost(picodollars: i128) -> (i64, i64) {
    let dollars = i64::try_from(picodollars.div_euclid(PICODOLLARS)).unwrap_or(i64::MAX);
    (dollars, i64::try_from(picodollars.rem_euclid(PICODOLLARS)).unwrap_or(0))
}

/// The inverse of [`split_cost`].
pub(super) fn join_cost(dollars: i64, picodollars: i64) -> i128 {
    i128::from(dollars) * PICODOLLARS + i128::from(picodollars)
}
