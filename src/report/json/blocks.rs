//! Billing windows as JSON.
//!
//! Owns: the keys of a window; ccusage's names, and ours beside them. Refuses: arithmetic; rates and
//! projections come rounded. Cannot fail.

use super::{Breakdown, Costs, Details, IncompleteSum, Number, UnloggedSum, breakdowns};
use crate::domain::{TokenCounts, UnixMillis};
use crate::report::blocks::{Block, BurnRate, LimitStatus, Projection};
use serde::Serialize;

/// One window or gap.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct JsonBlock<'a> {
    id: String,
    start_time: String,
    end_time: String,
    actual_end_time: Option<String>,
    is_active: bool,
    is_gap: bool,
    entries: u64,
    token_counts: BlockTokens,
    total_tokens: u64,
    #[serde(rename = "costUSD", skip_serializing_if = "Option::is_none")]
    cost: Option<Number>,
    models: Vec<&'a str>,
    burn_rate: Option<JsonBurnRate>,
    projection: Option<JsonProjection>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_limit_status: Option<JsonLimit>,
    #[serde(flatten)]
    details: Details,
    session_count: u64,
    unpriced_models: Vec<&'a str>,
    #[serde(flatten)]
    unlogged: Option<UnloggedSum>,
    #[serde(flatten)]
    incomplete: Option<IncompleteSum>,
    model_breakdowns: Vec<Breakdown<'a>>,
}

impl<'a> JsonBlock<'a> {
    pub(super) fn new(block: &'a Block, costs: Costs) -> Self {
        let sums = &block.sums;
        let tokens = sums.totals.tokens;
        Self {
            id: block.id(),
            start_time: block.start.to_rfc3339(),
            end_time: block.end.to_rfc3339(),
            actual_end_time: block.last.map(UnixMillis::to_rfc3339),
            is_active: block.is_active,
            is_gap: block.is_gap,
            entries: sums.totals.messages,
            token_counts: tokens.into(),
            total_tokens: tokens.total(),
            cost: costs.sum(&sums.totals),
            models: sums.models.iter().map(|model| &*model.name).collect(),
            burn_rate: block.burn_rate.map(|rate| JsonBurnRate::new(rate, costs)),
            projection: block.projection.map(|projection| JsonProjection::new(projection, costs)),
            token_limit_status: block.limit.map(JsonLimit::from),
            details: Details::from(&sums.totals),
            session_count: sums.sessions,
            unpriced_models: sums.unpriced().map(|model| &*model.name).collect(),
            unlogged: UnloggedSum::new(&sums.unlogged, costs),
            incomplete: IncompleteSum::new(sums, costs),
            model_breakdowns: breakdowns(sums, costs),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the names are the keys of the output")]
struct BlockTokens {
    input_tokens: u64,
    output_tokens: u64,
    cache_creation_input_tokens: u64,
    cache_read_input_tokens: u64,
}

impl From<TokenCounts> for BlockTokens {
    fn from(tokens: TokenCounts) -> Self {
        Self {
            input_tokens: tokens.input,
            output_tokens: tokens.output,
            cache_creation_input_tokens: tokens.cache_write(),
            cache_read_input_tokens: tokens.cache_read,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JsonBurnRate {
    tokens_per_minute: Number,
    tokens_per_minute_for_indicator: Number,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_per_hour: Option<Number>,
}

impl JsonBurnRate {
    fn new(rate: BurnRate, costs: Costs) -> Self {
        Self {
            tokens_per_minute: Number::new(Some(rate.tokens_per_minute)),
            tokens_per_minute_for_indicator: Number::new(Some(rate.uncached_per_minute)),
            cost_per_hour: costs.decimal(rate.cost_per_hour),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JsonProjection {
    total_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_cost: Option<Number>,
    remaining_minutes: u64,
}

impl JsonProjection {
    fn new(projection: Projection, costs: Costs) -> Self {
        Self {
            total_tokens: projection.total_tokens,
            total_cost: costs.decimal(projection.total_cost),
            remaining_minutes: projection.remaining_minutes,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JsonLimit {
    limit: u64,
    projected_usage: u64,
    percent_used: Number,
    status: &'static str,
}

impl From<LimitStatus> for JsonLimit {
    fn from(status: LimitStatus) -> Self {
        Self {
            limit: status.limit,
            projected_usage: status.projected,
            percent_used: Number::new(Some(status.percent)),
            status: status.word(),
        }
    }
}
