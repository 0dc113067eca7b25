//! The cells: sums by session, quarter hour and model, kept by exact differences.
//!
//! Invariant: a cell equals the sum of what the responses of its session, quarter and model contribute;
//! `rebuild` computes the same from nothing.

use super::LedgerError;
use super::row::{Row, read_tokens, sql_count};
use crate::domain::{TokenCounts, UnixMillis};
use rusqlite::{Connection, OptionalExtension, params};
use rustc_hash::FxHashMap;

/// Picodollars in a dollar: sums are kept as dollars and a remainder, so that none can overflow.
pub(super) const PICODOLLARS: i128 = 1_000_000_000_000;

/// Length of a quarter hour in milliseconds.
const QUARTER_MS: i64 = 900_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Key {
    session: i64,
    quarter: i64,
    model: i64,
}

/// What is to be added to a cell; negative where a response was corrected.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    tokens: [i64; 5],
    thinking: i64,
    messages: i64,
    web_searches: i64,
    unpriced: i64,
    incomplete: i64,
    cost: i128,
}

impl Sums {
    fn add(&mut self, other: &Self, sign: i64) {
        for (mine, theirs) in self.tokens.iter_mut().zip(other.tokens) {
            *mine += sign * theirs;
        }
        self.thinking += sign * other.thinking;
        self.messages += sign * other.messages;
        self.web_searches += sign * other.web_searches;
        self.unpriced += sign * other.unpriced;
        self.incomplete += sign * other.incomplete;
        self.cost += i128::from(sign) * other.cost;
    }

    fn is_nothing(&self) -> bool {
        self.messages == 0
            && self.unpriced == 0
            && self.tokens == [0; 5]
            && self.cost == 0
            && self.web_searches == 0
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Delta {
    sums: Sums,
    /// First and last response that came in.
    span: Option<(i64, i64)>,
    /// A response left the cell: its first and last have to be found anew.
    left: bool,
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
            delta.left |= !(stays && coming.iter().any(|(other, _)| *other == key));
        }
        let at = new.map_or(0, |row| row.first_at);
        for (key, sums) in coming {
            let delta = self.0.entry(key).or_default();
            delta.sums.add(&sums, 1);
            delta.span = Some(delta.span.map_or((at, at), |(first, last)| (first.min(at), last.max(at))));
        }
    }

    /// Adds the differences to the table. The rows of responses have been written before.
    pub(super) fn write(self, sql: &Connection) -> Result<(), LedgerError> {
        let mut deltas: Vec<_> = self.0.into_iter().collect();
        deltas.sort_unstable_by_key(|(key, _)| *key);
        for (key, delta) in deltas {
            let (mut sums, mut span) =
                read_cell(sql, key)?.map_or((Sums::default(), None), |(s, span)| (s, Some(span)));
            sums.add(&delta.sums, 1);
            if sums.is_nothing() {
                sql.prepare_cached("DELETE FROM cell WHERE session = ?1 AND quarter = ?2 AND model = ?3")?
                    .execute([key.session, key.quarter, key.model])?;
                continue;
            }
            span = match (span, delta.span) {
                _ if delta.left => find_span(sql, key)?,
                (Some((first, last)), Some((f, l))) => Some((first.min(f), last.max(l))),
                (known, new) => known.or(new),
            };
            write_cell(
                sql,
                key,
                &sums,
                span.unwrap_or((key.quarter * QUARTER_MS, key.quarter * QUARTER_MS)),
            )?;
        }
        Ok(())
    }
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
        incomplete: i64::from(!row.has(super::row::flag::FINAL)),
        cost: i128::from(row.cost.unwrap_or(0)),
    };
    let parts = row.parts.iter().filter(|part| part.kind.is_extra()).map(|part| {
        let sums = Sums {
            tokens: sql_tokens(part.tokens),
            unpriced: i64::from(part.cost.is_none()),
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

fn read_cell(sql: &Connection, key: Key) -> Result<Option<StoredCell>, LedgerError> {
    let cell = sql
        .prepare_cached(
            "SELECT input, output, cache_write_5m, cache_write_1h, cache_read, thinking, messages, web_searches, \
             unpriced, incomplete, cost_dollars, cost_picodollars, first_at, last_at \
             FROM cell WHERE session = ?1 AND quarter = ?2 AND model = ?3",
        )?
        .query_row([key.session, key.quarter, key.model], |row| {
            let sums = Sums {
                tokens: sql_tokens(read_tokens(row, 0)?),
                thinking: row.get(5)?,
                messages: row.get(6)?,
                web_searches: row.get(7)?,
                unpriced: row.get(8)?,
                incomplete: row.get(9)?,
                cost: join_cost(row.get(10)?, row.get(11)?),
            };
            Ok((sums, (row.get(12)?, row.get(13)?)))
        })
        .optional()?;
    Ok(cell)
}

fn write_cell(sql: &Connection, key: Key, sums: &Sums, span: (i64, i64)) -> Result<(), LedgerError> {
    let [input, output, five_minutes, one_hour, read] = sums.tokens;
    let (dollars, picodollars) = split_cost(sums.cost);
    sql.prepare_cached(
        "INSERT OR REPLACE INTO cell VALUES \
         (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
    )?
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
    ])?;
    Ok(())
}

/// First and last response of a cell. Reads all responses: needed only when one moved out of a cell,
/// because an earlier line or its original session turned up later.
fn find_span(sql: &Connection, key: Key) -> Result<Option<(i64, i64)>, LedgerError> {
    let start = key.quarter * QUARTER_MS;
    let (first, last): (Option<i64>, Option<i64>) = sql
        .prepare_cached(
            "SELECT MIN(first_at), MAX(first_at) FROM response AS r \
             WHERE session = ?1 AND first_at >= ?2 AND first_at < ?3 AND (model = ?4 OR EXISTS \
             (SELECT 1 FROM part WHERE response = r.id AND part.model = ?4 AND kind <> 3 AND (cost IS NULL OR \
             cost <> 0 OR input + output + cache_write_5m + cache_write_1h + cache_read > 0)))",
        )?
        .query_row([key.session, start, start + QUARTER_MS, key.model], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    Ok(first.zip(last))
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
