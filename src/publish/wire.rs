//! A session's value as it goes over the wire, and as the tables give it back.
//!
//! Owns: the names and spellings of contract 2 (`supabase/README.md`). Costs are strings, so that no JSON
//! reader rounds them; times are RFC 3339 in UTC. Makes bodies from values and values from rows; sends
//! nothing. Writing cannot fail; reading fails where a row is not what the contract says.

use crate::domain::{
    DayCell, Revision, SessionValue, TokenCounts, Totals, UnixMillis, Usd, UserId, fnv1a_128,
};
use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Digits after the point of a cost, as the contract has them.
const COST_SCALE: u32 = 12;

/// What is sent of one session. The text is the whole body of a single call, and one item of many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// Claude Code's id of the session.
    pub session: String,
    /// `{"session_data":{…},"daily_data":[…]}`
    pub json: String,
    /// Of everything in it but the user: 32 hexadecimal digits.
    pub digest: String,
}

impl Body {
    /// What is sent of a value that was counted and priced by the rules of `revision`.
    pub fn new(value: &SessionValue, revision: Revision, user: UserId) -> Self {
        Self {
            session: value.session.clone(),
            json: json(value, revision, Some(user.to_string())),
            digest: digest(value, revision),
        }
    }

    /// The body of a call that sends many.
    pub(super) fn batch(bodies: &[Self]) -> String {
        let items: Vec<&str> = bodies.iter().map(|body| body.json.as_str()).collect();
        format!("{{\"items\":[{}]}}", items.join(","))
    }
}

/// Tells values apart: 32 hexadecimal digits of everything that is sent but the user.
pub fn digest(value: &SessionValue, revision: Revision) -> String {
    format!("{:032x}", fnv1a_128(json(value, revision, None).as_bytes()))
}

fn json(value: &SessionValue, revision: Revision, user: Option<String>) -> String {
    serde_json::to_string(&Item::new(value, revision, user)).expect("strings and numbers can be written")
}

#[derive(Serialize)]
struct Item<'a> {
    session_data: SessionData<'a>,
    daily_data: Vec<CellData<'a>>,
}

/// The counters of a total, under the names that calls and tables share.
#[derive(Serialize, Deserialize)]
struct Counters {
    input_tokens: u64,
    output_tokens: u64,
    cache_creation_tokens: u64,
    cache_creation_1h_tokens: u64,
    cache_read_tokens: u64,
    thinking_tokens: u64,
    message_count: u64,
    web_search_requests: u64,
    unpriced_messages: u64,
    unpriced_tokens: u64,
    incomplete_messages: u64,
}

impl Counters {
    fn of(totals: &Totals) -> Self {
        Self {
            input_tokens: totals.tokens.input,
            output_tokens: totals.tokens.output,
            cache_creation_tokens: totals.tokens.cache_write(),
            cache_creation_1h_tokens: totals.tokens.cache_write_1h,
            cache_read_tokens: totals.tokens.cache_read,
            thinking_tokens: totals.thinking,
            message_count: totals.messages,
            web_search_requests: totals.web_searches,
            unpriced_messages: totals.unpriced,
            unpriced_tokens: totals.unpriced_tokens,
            incomplete_messages: totals.incomplete,
        }
    }
}

#[derive(Serialize)]
struct SessionData<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<String>,
    session_id: &'a str,
    revision: u64,
    #[serde(flatten)]
    counters: Counters,
    session_started_at: String,
    last_message_at: String,
    estimated_cost_usd: String,
    model_used: &'a str,
}

#[derive(Serialize)]
struct CellData<'a> {
    usage_date: String,
    model: &'a str,
    daily_input_tokens: u64,
    daily_output_tokens: u64,
    daily_cache_creation_tokens: u64,
    daily_cache_creation_1h_tokens: u64,
    daily_cache_read_tokens: u64,
    daily_thinking_tokens: u64,
    daily_message_count: u64,
    daily_web_search_requests: u64,
    daily_unpriced_messages: u64,
    daily_unpriced_tokens: u64,
    daily_incomplete_messages: u64,
    daily_cost_usd: String,
}

impl<'a> Item<'a> {
    fn new(value: &'a SessionValue, revision: Revision, user: Option<String>) -> Self {
        let session_data = SessionData {
            user_id: user,
            session_id: &value.session,
            revision: revision.number(),
            counters: Counters::of(&value.totals),
            session_started_at: value.started_at.to_rfc3339(),
            last_message_at: value.last_at.to_rfc3339(),
            estimated_cost_usd: value.totals.cost.to_string(),
            model_used: &value.model,
        };
        Self { session_data, daily_data: value.cells.iter().map(CellData::new).collect() }
    }
}

impl<'a> CellData<'a> {
    fn new(cell: &'a DayCell) -> Self {
        let counters = Counters::of(&cell.totals);
        Self {
            usage_date: cell.day.to_string(),
            model: &cell.model,
            daily_input_tokens: counters.input_tokens,
            daily_output_tokens: counters.output_tokens,
            daily_cache_creation_tokens: counters.cache_creation_tokens,
            daily_cache_creation_1h_tokens: counters.cache_creation_1h_tokens,
            daily_cache_read_tokens: counters.cache_read_tokens,
            daily_thinking_tokens: counters.thinking_tokens,
            daily_message_count: counters.message_count,
            daily_web_search_requests: counters.web_search_requests,
            daily_unpriced_messages: counters.unpriced_messages,
            daily_unpriced_tokens: counters.unpriced_tokens,
            daily_incomplete_messages: counters.incomplete_messages,
            daily_cost_usd: cell.totals.cost.to_string(),
        }
    }
}

/// Columns of a total in `token_usage_sessions` and `token_usage_session_days`. The cost is asked for as
/// text: it has more digits than a JSON number is sure to keep.
pub(super) const TOTALS_COLUMNS: &str = "input_tokens,output_tokens,cache_creation_tokens,\
     cache_creation_1h_tokens,cache_read_tokens,thinking_tokens,message_count,web_search_requests,\
     unpriced_messages,unpriced_tokens,incomplete_messages,cost:estimated_cost_usd::text";

/// Columns of a total in `token_usage_daily`, under the same names.
pub(super) const DAILY_COLUMNS: &str = "usage_date,input_tokens:daily_input_tokens,\
     output_tokens:daily_output_tokens,cache_creation_tokens:daily_cache_creation_tokens,\
     cache_creation_1h_tokens:daily_cache_creation_1h_tokens,cache_read_tokens:daily_cache_read_tokens,\
     thinking_tokens:daily_thinking_tokens,message_count:daily_message_count,\
     web_search_requests:daily_web_search_requests,unpriced_messages:daily_unpriced_messages,\
     unpriced_tokens:daily_unpriced_tokens,incomplete_messages:daily_incomplete_messages,\
     cost:daily_cost_usd::text";

/// A total as a row has it.
#[derive(Deserialize)]
pub(super) struct TotalsRow {
    #[serde(flatten)]
    counters: Counters,
    cost: String,
}

/// A row of `token_usage_sessions`.
#[derive(Deserialize)]
pub(super) struct SessionRow {
    session_id: String,
    pub(super) revision: u64,
    pub(super) session_started_at: String,
    pub(super) last_message_at: Option<String>,
    pub(super) model_used: String,
    #[serde(flatten)]
    pub(super) totals: TotalsRow,
}

/// A row of `token_usage_session_days`.
#[derive(Deserialize)]
pub(super) struct CellRow {
    session_id: String,
    pub(super) model: String,
    #[serde(flatten)]
    pub(super) day: DayRow,
}

/// A row of `token_usage_daily`, and the part of a cell that is like it.
#[derive(Deserialize)]
pub(super) struct DayRow {
    usage_date: String,
    #[serde(flatten)]
    pub(super) totals: TotalsRow,
}

/// A row of a session: as the contract says, or with something else in it. One that is wrong spoils no other.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Lenient<T> {
    Right(T),
    Wrong { session_id: String },
}

/// A row that says which session it is of.
pub(super) trait OfSession {
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

impl<T: OfSession> Lenient<T> {
    pub(super) fn session(&self) -> &str {
        match self {
            Self::Right(row) => row.session(),
            Self::Wrong { session_id } => session_id,
        }
    }

    pub(super) fn row(&self) -> Option<&T> {
        match self {
            Self::Right(row) => Some(row),
            Self::Wrong { .. } => None,
        }
    }

    pub(super) fn into_row(self) -> Option<T> {
        match self {
            Self::Right(row) => Some(row),
            Self::Wrong { .. } => None,
        }
    }
}

impl TotalsRow {
    /// The totals; none where a cost is no number of picodollars or a part exceeds its whole.
    pub(super) fn totals(&self) -> Option<Totals> {
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
    fn with_cells(self, cells: &[&CellRow]) -> Option<Stored> {
        let started_at = UnixMillis::parse(&self.session_started_at)?;
        let mut cells = cells.iter().map(|cell| cell.cell()).collect::<Option<Vec<_>>>()?;
        cells.sort_by(|a, b| (a.day, &a.model).cmp(&(b.day, &b.model)));
        let last_at = self.last_message_at.as_deref().map_or(Some(started_at), UnixMillis::parse)?;
        let totals = self.totals.totals()?;
        let value = SessionValue {
            session: self.session_id,
            totals,
            started_at,
            last_at,
            model: self.model_used,
            cells,
        };
        Some(Stored { revision: self.revision, value })
    }
}

/// The sessions of a page with their cells; one that is not as the contract says has no value here.
pub(super) fn stored(
    sessions: Vec<Lenient<SessionRow>>,
    cells: &[Lenient<CellRow>],
) -> Vec<(String, Option<Stored>)> {
    let mut by_session: HashMap<&str, Vec<&Lenient<CellRow>>> = HashMap::new();
    for cell in cells {
        by_session.entry(cell.session()).or_default().push(cell);
    }
    let with_cells = |session: Lenient<SessionRow>| {
        let id = session.session().to_owned();
        let cells = by_session.remove(id.as_str()).unwrap_or_default();
        let cells: Option<Vec<&CellRow>> = cells.into_iter().map(Lenient::row).collect();
        let stored = session.into_row().zip(cells).and_then(|(row, cells)| row.with_cells(&cells));
        (id, stored)
    };
    sessions.into_iter().map(with_cells).collect()
}

impl CellRow {
    fn cell(&self) -> Option<DayCell> {
        let (day, totals) = self.day.totals()?;
        Some(DayCell { day, model: self.model.clone(), totals })
    }
}

impl DayRow {
    /// The day and its totals; none where the row is not as the contract says.
    pub(super) fn totals(&self) -> Option<(NaiveDate, Totals)> {
        Some((self.usage_date.parse().ok()?, self.totals.totals()?))
    }
}

/// Dollars in decimal to picodollars, exactly or not at all.
fn cost(text: &str) -> Option<Usd> {
    let decimal: Decimal = text.parse().ok()?;
    let normal = decimal.normalize();
    let missing = COST_SCALE.checked_sub(normal.scale())?;
    normal.mantissa().checked_mul(10_i128.checked_pow(missing)?).map(Usd)
}

#[cfg(test)]
pub(super) mod tests;
