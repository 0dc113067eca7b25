//! A session's value as it goes over the wire.
//!
//! Owns: the names and spellings of contract 3 (`supabase/README.md`). Costs are strings, so that no JSON
//! reader rounds them; times are RFC 3339 in UTC. Makes bodies from values, and in [`rows`] values from rows;
//! sends nothing. A value without unlogged usage is written as contract 2 has it, so that its digest stays. Cannot
//! fail.

pub(super) mod rows;

use crate::domain::{
    DayCell, Revision, SessionValue, Totals, UnloggedDay, UnloggedTotals, UserId, fnv1a_128,
};
use serde::{Deserialize, Serialize};

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

/// What is unlogged, under the names that calls and tables share. Not in the tables of contract 2.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_field_names, reason = "they are the contract's names")]
struct UnloggedCounters {
    unlogged_input_tokens: u64,
    unlogged_output_tokens: u64,
    unlogged_cache_creation_tokens: u64,
    unlogged_cache_creation_1h_tokens: u64,
    unlogged_cache_read_tokens: u64,
    unlogged_web_search_requests: u64,
    unlogged_unpriced_tokens: u64,
}

impl UnloggedCounters {
    fn of(totals: &UnloggedTotals) -> Self {
        Self {
            unlogged_input_tokens: totals.tokens.input,
            unlogged_output_tokens: totals.tokens.output,
            unlogged_cache_creation_tokens: totals.tokens.cache_write(),
            unlogged_cache_creation_1h_tokens: totals.tokens.cache_write_1h,
            unlogged_cache_read_tokens: totals.tokens.cache_read,
            unlogged_web_search_requests: totals.web_searches,
            unlogged_unpriced_tokens: totals.unpriced_tokens,
        }
    }
}

/// The unlogged part of a session.
#[derive(Serialize)]
struct UnloggedData<'a> {
    #[serde(flatten)]
    counters: UnloggedCounters,
    unlogged_cost_usd: String,
    unlogged_days: Vec<UnloggedDayData<'a>>,
}

#[derive(Serialize)]
struct UnloggedDayData<'a> {
    usage_date: String,
    model: &'a str,
    #[serde(flatten)]
    counters: UnloggedCounters,
    unlogged_cost_usd: String,
}

impl<'a> UnloggedData<'a> {
    /// None where nothing is unlogged.
    fn of(value: &'a SessionValue) -> Option<Self> {
        let day = |day: &'a UnloggedDay| UnloggedDayData {
            usage_date: day.day.to_string(),
            model: &day.model,
            counters: UnloggedCounters::of(&day.totals),
            unlogged_cost_usd: day.totals.cost.to_string(),
        };
        (!value.unlogged.is_zero()).then(|| Self {
            counters: UnloggedCounters::of(&value.unlogged),
            unlogged_cost_usd: value.unlogged.cost.to_string(),
            unlogged_days: value.unlogged_days.iter().map(day).collect(),
        })
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
    /// Left out with all its keys where there is none.
    #[serde(flatten)]
    unlogged: Option<UnloggedData<'a>>,
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
            unlogged: UnloggedData::of(value),
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

#[cfg(test)]
pub(super) mod tests;
