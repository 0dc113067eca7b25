//! A session's value as the tables give it back.
//!
//! Owns: the columns that are asked for, by the contract that the project has, and their way back to values. Sends
//! nothing. Fails where a row is not what the contract says; one that is wrong spoils no other.

use super::{Counters, UnloggedCounters};
use crate::domain::{
    DayCell, SessionValue, TokenCounts, Totals, UnixMillis, UnloggedDay, UnloggedTotals, Usd,
};
use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde::Deserialize;
use std::collections::HashMap;

/// Digits after the point of a cost, as the contract has them.
const COST_SCALE: u32 = 12;

/// Columns of a total in `token_usage_sessions` and `token_usage_session_days`. The cost is asked for as
/// text: it has more digits than a JSON number is sure to keep.
pub(in crate::publish) const TOTALS_COLUMNS: &str = "input_tokens,output_tokens,cache_creation_tokens,\
     cache_creation_1h_tokens,cache_read_tokens,thinking_tokens,message_count,web_search_requests,\
     unpriced_messages,unpriced_tokens,incomplete_messages,cost:estimated_cost_usd::text";

/// Columns of what is unlogged, in `token_usage_sessions` and `token_usage_session_unlogged`.
pub(in crate::publish) const UNLOGGED_COLUMNS: &str = "unlogged_input_tokens,unlogged_output_tokens,\
     unlogged_cache_creation_tokens,unlogged_cache_creation_1h_tokens,unlogged_cache_read_tokens,\
     unlogged_web_search_requests,unlogged_unpriced_tokens,unlogged_cost:unlogged_cost_usd::text";

/// The same of `token_usage_daily_unlogged`, under the same names.
pub(in crate::publish) const DAILY_UNLOGGED_COLUMNS: &str = "usage_date,\
     unlogged_input_tokens:daily_unlogged_input_tokens,unlogged_output_tokens:daily_unlogged_output_tokens,\
     unlogged_cache_creation_tokens:daily_unlogged_cache_creation_tokens,\
     unlogged_cache_creation_1h_tokens:daily_unlogged_cache_creation_1h_tokens,\
     unlogged_cache_read_tokens:daily_unlogged_cache_read_tokens,\
     unlogged_web_search_requests:daily_unlogged_web_search_requests,\
     unlogged_unpriced_tokens:daily_unlogged_unpriced_tokens,unlogged_cost:daily_unlogged_cost_usd::text";

/// Columns of a total in `token_usage_daily`, under the same names.
pub(in crate::publish) const DAILY_COLUMNS: &str = "usage_date,input_tokens:daily_input_tokens,\
     output_tokens:daily_output_tokens,cache_creation_tokens:daily_cache_creation_tokens,\
     cache_creation_1h_tokens:daily_cache_creation_1h_tokens,cache_read_tokens:daily_cache_read_tokens,\
     thinking_tokens:daily_thinking_tokens,message_count:daily_message_count,\
     web_search_requests:daily_web_search_requests,unpriced_messages:daily_unpriced_messages,\
     unpriced_tokens:daily_unpriced_tokens,incomplete_messages:daily_incomplete_messages,\
     cost:daily_cost_usd::text";

/// A total as a row has it.
#[derive(Deserialize)]
pub(in crate::publish) struct TotalsRow {
    #[serde(flatten)]
    counters: Counters,
    cost: String,
}

/// A row of `token_usage_sessions`.
#[derive(Deserialize)]
pub(in crate::publish) struct SessionRow {
    session_id: String,
    pub(in crate::publish) revision: u64,
    pub(in crate::publish) session_started_at: String,
    pub(in crate::publish) last_message_at: Option<String>,
    pub(in crate::publish) model_used: String,
    #[serde(flatten)]
    pub(in crate::publish) totals: TotalsRow,
    /// Nothing where the project has no columns for it.
    #[serde(flatten)]
    unlogged: UnloggedTotalsRow,
}

/// What is unlogged, as a row has it; nothing where the row has no columns for it.
#[derive(Deserialize)]
struct UnloggedTotalsRow {
    #[serde(flatten)]
    counters: UnloggedCounters,
    unlogged_cost: Option<String>,
}

/// A row of `token_usage_daily_unlogged`, and the part of one of `token_usage_session_unlogged` that is like it.
#[derive(Deserialize)]
pub(in crate::publish) struct UnloggedDayRow {
    usage_date: String,
    #[serde(flatten)]
    totals: UnloggedTotalsRow,
}

/// A row of `token_usage_session_unlogged`.
#[derive(Deserialize)]
pub(in crate::publish) struct UnloggedRow {
    session_id: String,
    model: String,
    #[serde(flatten)]
    day: UnloggedDayRow,
}

/// A row of `token_usage_session_days`.
#[derive(Deserialize)]
pub(in crate::publish) struct CellRow {
    session_id: String,
    pub(in crate::publish) model: String,
    #[serde(flatten)]
    pub(in crate::publish) day: DayRow,
}

/// A row of `token_usage_daily`, and the part of a cell that is like it.
#[derive(Deserialize)]
pub(in crate::publish) struct DayRow {
    usage_date: String,
    #[serde(flatten)]
    pub(in crate::publish) totals: TotalsRow,
}

/// A row of a session: as the contract says, or with something else in it. One that is wrong spoils no other.
#[derive(Deserialize)]
#[serde(untagged)]
pub(in crate::publish) enum Lenient<T> {
    Right(T),
    Wrong { session_id: String },
}

/// A row that says which session it is of.
pub(in crate::publish) trait OfSession {
    fn session(&self) -> &str;
}

impl OfSession for SessionRow {
    fn session(&self) -> &str {
        &self.session_id
    }
}

impl OfSession for CellRow {
    fn session(&self) -> &str {
        &self.session_id
    }
}

impl OfSession for UnloggedRow {
    fn session(&self) -> &str {
        &self.session_id
    }
}

impl<T: OfSession> Lenient<T> {
    pub(in crate::publish) fn session(&self) -> &str {
        match self {
            Self::Right(row) => row.session(),
            Self::Wrong { session_id } => session_id,
        }
    }

    pub(in crate::publish) fn row(&self) -> Option<&T> {
        match self {
            Self::Right(row) => Some(row),
            Self::Wrong { .. } => None,
        }
    }

    pub(in crate::publish) fn into_row(self) -> Option<T> {
        match self {
            Self::Right(row) => Some(row),
            Self::Wrong { .. } => None,
        }
    }
}

impl TotalsRow {
    /// The totals; none where a cost is no number of picodollars or a part exceeds its whole.
    pub(in crate::publish) fn totals(&self) -> Option<Totals> {
        let counters = &self.counters;
        let one_hour = counters.cache_creation_1h_tokens;
        Some(Totals {
            tokens: TokenCounts {
                input: counters.input_tokens,
                output: counters.output_tokens,
                cache_write_5m: counters.cache_creation_tokens.checked_sub(one_hour)?,
                cache_write_1h: one_hour,
                cache_read: counters.cache_read_tokens,
            },
            thinking: counters.thinking_tokens,
            messages: counters.message_count,
            web_searches: counters.web_search_requests,
            unpriced: counters.unpriced_messages,
            unpriced_tokens: counters.unpriced_tokens,
            incomplete: counters.incomplete_messages,
            cost: cost(&self.cost)?,
        })
    }
}

impl UnloggedTotalsRow {
    /// As [`TotalsRow::totals`].
    fn totals(&self) -> Option<UnloggedTotals> {
        let counters = &self.counters;
        let one_hour = counters.unlogged_cache_creation_1h_tokens;
        Some(UnloggedTotals {
            tokens: TokenCounts {
                input: counters.unlogged_input_tokens,
                output: counters.unlogged_output_tokens,
                cache_write_5m: counters.unlogged_cache_creation_tokens.checked_sub(one_hour)?,
                cache_write_1h: one_hour,
                cache_read: counters.unlogged_cache_read_tokens,
            },
            web_searches: counters.unlogged_web_search_requests,
            unpriced_tokens: counters.unlogged_unpriced_tokens,
            cost: self.unlogged_cost.as_deref().map_or(Some(Usd(0)), cost)?,
        })
    }
}

impl UnloggedDayRow {
    /// The day and what is unlogged of it; none where the row is not as the contract says.
    pub(in crate::publish) fn totals(&self) -> Option<(NaiveDate, UnloggedTotals)> {
        Some((self.usage_date.parse().ok()?, self.totals.totals()?))
    }
}

impl UnloggedRow {
    fn day(&self) -> Option<UnloggedDay> {
        let (day, totals) = self.day.totals()?;
        Some(UnloggedDay { day, model: self.model.clone(), totals })
    }
}

/// A session as the server has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The rules that it was counted by; 0 for callers that name none.
    pub revision: u64,
    /// Its value. Sums are the server's: nothing here checks that the cells add up.
    pub value: SessionValue,
}

impl SessionRow {
    /// The session with its cells, sorted; none where a row is not as the contract says.
    pub(super) fn with_cells(self, cells: &[&CellRow], unlogged: &[&UnloggedRow]) -> Option<Stored> {
        let started_at = UnixMillis::parse(&self.session_started_at)?;
        let mut cells = cells.iter().map(|cell| cell.cell()).collect::<Option<Vec<_>>>()?;
        cells.sort_by(|a, b| (a.day, &a.model).cmp(&(b.day, &b.model)));
        let last_at = self.last_message_at.as_deref().map_or(Some(started_at), UnixMillis::parse)?;
        let totals = self.totals.totals()?;
        let mut unlogged_days = unlogged.iter().map(|row| row.day()).collect::<Option<Vec<_>>>()?;
        unlogged_days.sort_by(|a, b| (a.day, &a.model).cmp(&(b.day, &b.model)));
        let value = SessionValue {
            session: self.session_id,
            totals,
            started_at,
            last_at,
            model: self.model_used,
            cells,
            unlogged: self.unlogged.totals()?,
            unlogged_days,
        };
        Some(Stored { revision: self.revision, value })
    }
}

/// The sessions of a page with their cells; one that is not as the contract says has no value here.
pub(in crate::publish) fn stored(
    sessions: Vec<Lenient<SessionRow>>,
    cells: &[Lenient<CellRow>],
    unlogged: &[Lenient<UnloggedRow>],
) -> Vec<(String, Option<Stored>)> {
    let (cells, unlogged) = (by_session(cells), by_session(unlogged));
    let with_cells = |session: Lenient<SessionRow>| {
        let id = session.session().to_owned();
        let (cells, unlogged) = (sound(&cells, &id), sound(&unlogged, &id));
        let rows = session.into_row().zip(cells).zip(unlogged);
        (id, rows.and_then(|((row, cells), unlogged)| row.with_cells(&cells, &unlogged)))
    };
    sessions.into_iter().map(with_cells).collect()
}

type BySession<'a, T> = HashMap<&'a str, Vec<&'a Lenient<T>>>;

fn by_session<T: OfSession>(rows: &[Lenient<T>]) -> BySession<'_, T> {
    let mut by_session: BySession<'_, T> = HashMap::new();
    for row in rows {
        by_session.entry(row.session()).or_default().push(row);
    }
    by_session
}

/// The rows of a session; none where one of them is not as the contract says.
fn sound<'a, T: OfSession>(rows: &BySession<'a, T>, session: &str) -> Option<Vec<&'a T>> {
    let rows = rows.get(session).map(Vec::as_slice).unwrap_or_default();
    rows.iter().map(|row| row.row()).collect()
}

impl CellRow {
    fn cell(&self) -> Option<DayCell> {
        let (day, totals) = self.day.totals()?;
        Some(DayCell { day, model: self.model.clone(), totals })
    }
}

impl DayRow {
    /// The day and its totals; none where the row is not as the contract says.
    pub(in crate::publish) fn totals(&self) -> Option<(NaiveDate, Totals)> {
        Some((self.usage_date.parse().ok()?, self.totals.totals()?))
    }
}

/// Dollars in decimal to picodollars, exactly or not at all.
pub(super) fn cost(text: &str) -> Option<Usd> {
    let decimal: Decimal = text.parse().ok()?;
    let normal = decimal.normalize();
    let missing = COST_SCALE.checked_sub(normal.scale())?;
    normal.mantissa().checked_mul(10_i128.checked_pow(missing)?).map(Usd)
}
