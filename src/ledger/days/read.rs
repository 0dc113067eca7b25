//! What reports read of whole days: sums by the days of any zone, and the sessions that were active last.
//!
//! Refuses: to know a time zone; who asks says to what a quarter hour belongs. Sessions that count by what was read
//! from the server are in none of it: their few cells are for who asks to add. Fails as the ledger does.

use super::super::cells::{CELL_SUMS, Sums, read_sums};
use super::super::{LedgerError, LedgerReader, restored};
use super::{DaySession, DaySlot, QUARTERS, bit, packed, place};
use crate::domain::{ModelKey, PeriodSums, Quarter, SessionKey, UnixMillis};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeMap;
use std::collections::hash_map::Entry;

/// The moments that a report may be about: those before the first and from the second on are not.
pub type Span = (Option<UnixMillis>, Option<UnixMillis>);

/// A period that is being added up.
#[derive(Default)]
struct Sum {
    models: Vec<(i64, Sums)>,
    sessions: Vec<SessionKey>,
}

impl Sum {
    /// Few models are used in a period: a list is searched faster than a map.
    fn add(&mut self, model: i64, sums: &Sums, sign: i64) {
        let place = self.models.iter().position(|(known, _)| *known == model).unwrap_or_else(|| {
            self.models.push((model, Sums::default()));
            self.models.len() - 1
        });
        if let Some((_, known)) = self.models.get_mut(place) {
            known.add(sums, sign);
        }
    }

    fn finish<P>(mut self, period: P) -> Option<PeriodSums<P>> {
        self.models.retain(|(_, sums)| !sums.is_nothing());
        self.sessions.sort_unstable();
        self.sessions.dedup();
        let models = self.models.iter().map(|(model, sums)| (ModelKey(*model), sums.totals()));
        (!self.models.is_empty()).then(|| PeriodSums {
            period,
            models: models.collect(),
            sessions: self.sessions,
        })
    }
}

/// The part of a UTC day that is in one period.
struct Part<P> {
    period: P,
    /// Its quarter hours, a bit each.
    quarters: u128,
    sum: Sum,
}

impl LedgerReader {
    /// What the responses of all sessions add up to, by what `period_of` says that a quarter hour belongs to, in
    /// that order; what belongs to nothing is left out.
    pub fn sums<P: Copy + Ord>(
        &self,
        span: Span,
        mut period_of: impl FnMut(Quarter) -> Option<P>,
    ) -> Result<Vec<PeriodSums<P>>, LedgerError> {
        let restored = self.restored_sessions()?;
        let mut sums: BTreeMap<P, Sum> = BTreeMap::new();
        let mut statement =
            self.connection.prepare("SELECT day, quarters, sessions FROM day WHERE day BETWEEN ?1 AND ?2")?;
        let mut rows = statement.query(days(span))?;
        while let Some(row) = rows.next()? {
            let (day, packed::Slots(slots)) = (row.get(0)?, row.get(1)?);
            let packed::Sessions(mut sessions) = row.get(2)?;
            if !restored.is_empty() {
                sessions.retain(|session| !restored.contains(&session.session));
            }
            for part in parts(day, &slots, &mut period_of) {
                let sum = sums.entry(part.period).or_default();
                for (model, of_part) in &part.sum.models {
                    sum.add(*model, of_part, 1);
                }
                let active = sessions.iter().filter(|session| session.quarters & part.quarters != 0);
                sum.sessions.extend(active.map(|session| SessionKey(session.session)));
            }
        }
        if !restored.is_empty() {
            self.take_restored_out(&mut sums, &mut period_of)?;
        }
        Ok(sums.into_iter().filter_map(|(period, sum)| sum.finish(period)).collect())
    }

    /// The responses of sessions that do not count by them.
    fn take_restored_out<P: Ord>(
        &self,
        sums: &mut BTreeMap<P, Sum>,
        period_of: &mut impl FnMut(Quarter) -> Option<P>,
    ) -> Result<(), LedgerError> {
        let query = format!("SELECT {CELL_SUMS} FROM cell WHERE session IN ({})", restored::SESSIONS);
        let mut statement = self.connection.prepare(&query)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let ((_, quarter, model), cell) = read_sums(row)?;
            if let Some(sum) = period_of(Quarter(quarter)).and_then(|period| sums.get_mut(&period)) {
                sum.add(model, &cell, -1);
            }
        }
        Ok(())
    }

    /// The sessions that were active last in the quarter hours that are asked for, in no order: so many, and more where
    /// several were in the same quarter hour as the first of them. Beside them those that count by what was read
    /// from the server: of these nobody knows a quarter hour.
    pub fn latest_sessions(
        &self,
        count: usize,
        span: Span,
        mut is_asked: impl FnMut(Quarter) -> bool,
    ) -> Result<Vec<SessionKey>, LedgerError> {
        let restored = self.restored_sessions()?;
        let mut latest: FxHashMap<i64, i64> = FxHashMap::default();
        let mut statement = self
            .connection
            .prepare("SELECT day, sessions FROM day WHERE day BETWEEN ?1 AND ?2 ORDER BY day DESC")?;
        let mut rows = statement.query(days(span))?;
        while latest.len() < count
            && let Some(row) = rows.next()?
        {
            let (day, packed::Sessions(sessions)) = (row.get(0)?, row.get(1)?);
            for session in sessions.iter().filter(|session| !restored.contains(&session.session)) {
                if let Entry::Vacant(unknown) = latest.entry(session.session)
                    && let Some(quarter) = session.latest(day, &mut is_asked)
                {
                    unknown.insert(quarter);
                }
            }
        }
        let mut quarters: Vec<i64> = latest.values().copied().collect();
        quarters.sort_unstable_by(|one, other| other.cmp(one));
        let first = quarters.get(count.saturating_sub(1)).copied().unwrap_or(i64::MIN);
        let found = latest.into_iter().filter(|(_, quarter)| *quarter >= first).map(|(session, _)| session);
        Ok(found.chain(restored).map(SessionKey).collect())
    }

    fn restored_sessions(&self) -> Result<FxHashSet<i64>, LedgerError> {
        let mut statement = self.connection.prepare(restored::SESSIONS)?;
        Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
    }
}

impl DaySession {
    /// The latest quarter hour with a cell that is asked for.
    fn latest(&self, day: i64, is_asked: &mut impl FnMut(Quarter) -> bool) -> Option<i64> {
        let has_cell = |quarter: &i64| self.quarters & bit(place(*quarter).1) != 0;
        quarters_of(day).rev().filter(has_cell).find(|quarter| is_asked(Quarter(*quarter)))
    }
}

/// Shares a day out: most are in one period or in two.
fn parts<P: Copy + PartialEq>(
    day: i64,
    slots: &[DaySlot],
    period_of: &mut impl FnMut(Quarter) -> Option<P>,
) -> Vec<Part<P>> {
    let mut parts: Vec<Part<P>> = Vec::new();
    for same in slots.chunk_by(|one, next| one.quarter == next.quarter) {
        let Some(first) = same.first() else { continue };
        let quarter = quarters_of(day).start.saturating_add(first.quarter.into());
        let Some(period) = period_of(Quarter(quarter)) else { continue };
        let place = parts.iter().position(|part| part.period == period).unwrap_or_else(|| {
            parts.push(Part { period, quarters: 0, sum: Sum::default() });
            parts.len() - 1
        });
        if let Some(part) = parts.get_mut(place) {
            part.quarters |= bit(first.quarter);
            for slot in same {
                part.sum.add(slot.model, &slot.sums, 1);
            }
        }
    }
    parts
}

fn quarters_of(day: i64) -> std::ops::Range<i64> {
    let first = day.saturating_mul(QUARTERS);
    first..first.saturating_add(QUARTERS)
}

/// The days of UTC that have something of a span.
fn days((from, until): Span) -> [i64; 2] {
    let day = |at: UnixMillis| place(at.quarter().0).0;
    let until = until.map(|at| UnixMillis(at.0.saturating_sub(1)));
    [from.map_or(i64::MIN, day), until.map_or(i64::MAX, day)]
}
