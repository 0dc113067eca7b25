//! The sums of whole days over all sessions, so that a report over years reads a row a day and not all cells.
//!
//! Invariant: the row of a UTC day equals what the cells of that day add up to, by quarter hour and model, and names
//! the sessions that have one in each quarter hour; a day without cells has no row. Kept by the same exact
//! differences, in the same transaction. Sessions that count by what the server has of them are in it with their
//! cells: who reads takes those out.
//! Owns: the table `day`. Refuses: when in a quarter hour something was, which the cells say. Fails as the ledger does.

use super::LedgerError;
use super::cells::{CELL_SUMS, Sums, read_sums};
use rusqlite::{Connection, OptionalExtension, params};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;

mod packed;
mod read;

pub use read::Span;

/// Quarter hours of a day.
const QUARTERS: i64 = 96;

/// What all sessions used of a model in a quarter hour of the day.
#[derive(Clone, Copy, Debug)]
struct DaySlot {
    quarter: u8,
    model: i64,
    sums: Sums,
}

/// A session, and the quarter hours of the day in which it has cells: a bit each.
#[derive(Clone, Copy, Debug)]
struct DaySession {
    session: i64,
    quarters: u128,
}

/// A row, both parts in order of their keys.
#[derive(Debug, Default)]
struct Day {
    slots: Vec<DaySlot>,
    sessions: Vec<DaySession>,
}

impl Day {
    fn read(sql: &Connection, day: i64) -> Result<Self, LedgerError> {
        let row = sql
            .prepare_cached("SELECT quarters, sessions FROM day WHERE day = ?1")?
            .query_row([day], |row| {
                let (packed::Slots(slots), packed::Sessions(sessions)) = (row.get(0)?, row.get(1)?);
                Ok(Self { slots, sessions })
            })
            .optional()?;
        Ok(row.unwrap_or_default())
    }

    fn write(&self, sql: &Connection, day: i64) -> Result<(), LedgerError> {
        if self.slots.is_empty() && self.sessions.is_empty() {
            sql.prepare_cached("DELETE FROM day WHERE day = ?1")?.execute([day])?;
            return Ok(());
        }
        let (slots, sessions) = (packed::slots(&self.slots), packed::sessions(&self.sessions));
        sql.prepare_cached("INSERT OR REPLACE INTO day VALUES (?1, ?2, ?3)")?
            .execute(params![day, slots, sessions])?;
        Ok(())
    }

    fn add(&mut self, quarter: u8, model: i64, sums: &Sums) {
        match self.slots.binary_search_by_key(&(quarter, model), |slot| (slot.quarter, slot.model)) {
            Ok(place) => {
                if let Some(slot) = self.slots.get_mut(place) {
                    slot.sums.add(sums, 1);
                }
            }
            Err(place) => self.slots.insert(place, DaySlot { quarter, model, sums: *sums }),
        }
    }

    fn mark(&mut self, session: i64, quarter: u8, has_cells: bool) {
        let bit = bit(quarter);
        let place = self.sessions.binary_search_by_key(&session, |known| known.session);
        match place.map(|place| self.sessions.get_mut(place)) {
            Ok(Some(known)) if has_cells => known.quarters |= bit,
            Ok(Some(known)) => known.quarters &= !bit,
            Err(place) if has_cells => self.sessions.insert(place, DaySession { session, quarters: bit }),
            Ok(None) | Err(_) => {}
        }
    }

    /// Drops what nothing is left of.
    fn tidy(&mut self) {
        self.slots.retain(|slot| !slot.sums.is_nothing());
        self.sessions.retain(|session| session.quarters != 0);
    }
}

/// Differences gathered in one transaction.
#[derive(Debug, Default)]
pub(super) struct Days {
    slots: FxHashMap<(i64, i64), Sums>,
    /// Sessions by quarter hour that have a cell there which they had not, or have one less.
    sessions: Vec<(i64, i64, Marked)>,
}

/// What became of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Marked {
    Came,
    Left,
}

impl Days {
    /// A cell has changed by so much.
    pub(super) fn add(&mut self, quarter: i64, model: i64, sums: &Sums) {
        self.slots.entry((quarter, model)).or_default().add(sums, 1);
    }

    /// The session has a cell in a quarter hour that was not there before.
    pub(super) fn came(&mut self, session: i64, quarter: i64) {
        self.sessions.push((session, quarter, Marked::Came));
    }

    /// One of the session's cells of a quarter hour is there no more.
    pub(super) fn left(&mut self, session: i64, quarter: i64) {
        self.sessions.push((session, quarter, Marked::Left));
    }

    /// Adds the differences to the table. The cells have been written before.
    pub(super) fn write(self, sql: &Connection) -> Result<(), LedgerError> {
        let mut slots: Vec<_> = self.slots.into_iter().collect();
        slots.sort_unstable_by_key(|(key, _)| *key);
        let mut sessions = self.sessions;
        sessions.sort_unstable_by_key(|(session, quarter, _)| (*quarter, *session));
        let (mut slots, mut sessions) = (slots.as_slice(), sessions.as_slice());
        while let Some(((quarter, _), _)) = slots.first() {
            let (day, _) = place(*quarter);
            let mut row = Day::read(sql, day)?;
            for ((quarter, model), sums) in front(&mut slots, |((quarter, _), _)| place(*quarter).0 == day) {
                row.add(place(*quarter).1, *model, sums);
            }
            for (session, quarter, marked) in front(&mut sessions, |(_, quarter, _)| place(*quarter).0 == day)
            {
                let has_cells = *marked == Marked::Came || has_cell(sql, *session, *quarter)?;
                row.mark(*session, place(*quarter).1, has_cells);
            }
            row.tidy();
            row.write(sql, day)?;
        }
        Ok(())
    }
}

/// Takes what is alike off the front.
fn front<'a, T>(rest: &mut &'a [T], is_alike: impl Fn(&T) -> bool) -> &'a [T] {
    let end = rest.iter().position(|one| !is_alike(one)).unwrap_or(rest.len());
    let (front, back) = rest.split_at_checked(end).unwrap_or((rest, &[]));
    *rest = back;
    front
}

/// The day that a quarter hour is of, and its number within the day.
fn place(quarter: i64) -> (i64, u8) {
    (quarter.div_euclid(QUARTERS), u8::try_from(quarter.rem_euclid(QUARTERS)).unwrap_or(0))
}

/// The place of a quarter hour of the day in a set of them.
fn bit(quarter: u8) -> u128 {
    1_u128.checked_shl(quarter.into()).unwrap_or(0)
}

fn has_cell(sql: &Connection, session: i64, quarter: i64) -> Result<bool, LedgerError> {
    let query = "SELECT EXISTS (SELECT 1 FROM cell WHERE session = ?1 AND quarter = ?2)";
    Ok(sql.prepare_cached(query)?.query_row([session, quarter], |row| row.get(0))?)
}

/// Fills the empty table from the cells.
pub(super) fn fill(sql: &Connection) -> Result<(), LedgerError> {
    for (day, row) in of_cells(sql)? {
        row.write(sql, day)?;
    }
    Ok(())
}

/// What is wrong with the table, in words; nothing where it is what the cells add up to.
pub(super) fn defect(sql: &Connection) -> Result<Option<String>, rusqlite::Error> {
    let mut expected = of_cells(sql)?;
    let mut statement = sql.prepare("SELECT day, quarters, sessions FROM day")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let day = row.get(0)?;
        let is_right = expected.remove(&day).is_some_and(|expected| {
            row.get_ref(1).is_ok_and(|bytes| bytes.as_blob() == Ok(&packed::slots(&expected.slots)))
                && row
                    .get_ref(2)
                    .is_ok_and(|bytes| bytes.as_blob() == Ok(&packed::sessions(&expected.sessions)))
        });
        if !is_right {
            return Ok(Some(format!("the sums of day {day} are not those of its cells")));
        }
    }
    Ok(expected.pop_first().map(|(day, _)| format!("the cells of day {day} are in no sum")))
}

/// The whole table, from the cells.
fn of_cells(sql: &Connection) -> Result<BTreeMap<i64, Day>, rusqlite::Error> {
    let mut days: BTreeMap<i64, Day> = BTreeMap::new();
    let mut statement = sql.prepare(&format!("SELECT {CELL_SUMS} FROM cell"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let ((session, quarter, model), sums) = read_sums(row)?;
        let (day, of_day) = place(quarter);
        let row = days.entry(day).or_default();
        row.add(of_day, model, &sums);
        row.mark(session, of_day, true);
    }
    Ok(days)
}
