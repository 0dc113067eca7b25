//! Reports as JSON: every key that ccusage 20 prints, and more.
//!
//! Owns: the names of keys, which scripts rely on. Refuses: rounding; a cost is a JSON number with every
//! digit it has, `null` where nothing in the row has a price, and absent where costs are not wanted.
//! Rates and projections are rounded where they are made. Cannot fail: writing to memory does not.

use super::Kind;
use super::build::{Body, Report};
use super::group::{ModelSums, Row, RowKey, SessionRow, Sums};
use crate::domain::{TokenCounts, Totals, Usd};
use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::value::RawValue;
mod blocks;

/// The report as indented JSON.
pub(super) fn render(report: &Report) -> String {
    let costs = Costs { shown: !report.request.no_cost, estimate: report.request.estimate };
    let totals = Counts::new(&report.totals, costs);
    let mut text = match &report.body {
        Body::Rows(rows) => pretty(&Listed(list_key(&report.request.kind), json_rows(rows, costs), totals)),
        Body::Projects(projects) => {
            let by_project = projects.iter().map(|(path, rows)| (&**path, json_rows(rows, costs)));
            pretty(&Listed("projects", ByProject(by_project.collect()), totals))
        }
        Body::Blocks(blocks) => {
            let blocks: Vec<_> = blocks.iter().map(|block| blocks::JsonBlock::new(block, costs)).collect();
            pretty(&Listed("blocks", blocks, totals))
        }
    };
    text.push('\n');
    text
}

fn pretty(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).expect("maps with text keys, written to memory")
}

fn list_key(kind: &Kind) -> &'static str {
    match kind {
        Kind::Daily => "daily",
        Kind::Weekly { .. } => "weekly",
        Kind::Monthly => "monthly",
        Kind::Session { .. } => "sessions",
        Kind::Project => "projects",
        Kind::Model => "models",
        Kind::Blocks(_) => "blocks",
    }
}

/// `{"<key>": <list>, "totals": {…}}`
struct Listed<'a, T>(&'static str, T, Counts<'a>);

impl<T: Serialize> Serialize for Listed<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry(self.0, &self.1)?;
        map.serialize_entry("totals", &self.2)?;
        map.end()
    }
}

/// `{"<project>": [rows]}`, in the order given.
struct ByProject<'a>(Vec<(&'a str, Vec<JsonRow<'a>>)>);

impl Serialize for ByProject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(project, rows)| (project, rows)))
    }
}

/// A number with every digit, or `null`.
#[derive(Serialize)]
struct Number(Option<Box<RawValue>>);

impl Number {
    fn new(value: Option<Decimal>) -> Self {
        // A decimal prints as digits with at most one point and no exponent: always a JSON number.
        let raw =
            |value: Decimal| RawValue::from_string(value.to_string()).expect("a decimal is a JSON number");
        Self(value.map(raw))
    }
}

/// Whether costs and estimates are wanted.
#[derive(Clone, Copy)]
struct Costs {
    shown: bool,
    estimate: bool,
}

impl Costs {
    fn sum(self, totals: &Totals) -> Option<Number> {
        self.decimal(totals.known_cost().map(Usd::to_decimal))
    }

    fn decimal(self, value: Option<Decimal>) -> Option<Number> {
        self.shown.then(|| Number::new(value))
    }
}

#[derive(Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
enum Key<'a> {
    Day {
        date: String,
    },
    Week {
        week: String,
    },
    Month {
        month: String,
    },
    Session {
        session_id: &'a str,
        project: &'a str,
        project_path: &'a str,
        first_activity: String,
        last_activity: String,
    },
    Project {
        project: &'a str,
        first_activity: String,
        last_activity: String,
    },
    Model {
        model_name: &'a str,
        first_activity: String,
        last_activity: String,
    },
}

impl<'a> Key<'a> {
    fn new(row: &'a Row) -> Self {
        let (first_activity, last_activity) = (row.first.to_rfc3339(), row.last.to_rfc3339());
        match &row.key {
            RowKey::Day(day) => Self::Day { date: day.to_string() },
            RowKey::Week(day) => Self::Week { week: day.to_string() },
            RowKey::Month(day) => Self::Month { month: month(*day) },
            RowKey::Session(SessionRow { id, project, folder }) => {
                Self::Session { session_id: id, project, project_path: folder, first_activity, last_activity }
            }
            RowKey::Project(project) => Self::Project { project, first_activity, last_activity },
            RowKey::Model(model_name) => Self::Model { model_name, first_activity, last_activity },
        }
    }
}

/// A month as `2026-03`.
pub(super) fn month(day: NaiveDate) -> String {
    day.format("%Y-%m").to_string()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JsonRow<'a> {
    #[serde(flatten)]
    key: Key<'a>,
    #[serde(flatten)]
    counts: Counts<'a>,
    models_used: Vec<&'a str>,
    model_breakdowns: Vec<Breakdown<'a>>,
}

fn json_rows(rows: &[Row], costs: Costs) -> Vec<JsonRow<'_>> {
    rows.iter().map(|row| JsonRow::new(row, costs)).collect()
}

impl<'a> JsonRow<'a> {
    fn new(row: &'a Row, costs: Costs) -> Self {
        Self {
            key: Key::new(row),
            counts: Counts::new(&row.sums, costs),
            models_used: row.sums.models.iter().map(|model| &*model.name).collect(),
            model_breakdowns: breakdowns(&row.sums, costs),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the names are the keys of the output")]
struct Tokens {
    input_tokens: u64,
    output_tokens: u64,
    cache_creation_tokens: u64,
    cache_read_tokens: u64,
    total_tokens: u64,
}

impl From<TokenCounts> for Tokens {
    fn from(tokens: TokenCounts) -> Self {
        Self {
            input_tokens: tokens.input,
            output_tokens: tokens.output,
            cache_creation_tokens: tokens.cache_write(),
            cache_read_tokens: tokens.cache_read,
            total_tokens: tokens.total(),
        }
    }
}

/// What ccusage does not tell.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Details {
    cache_creation_5m_tokens: u64,
    cache_creation_1h_tokens: u64,
    thinking_tokens: u64,
    message_count: u64,
    web_search_requests: u64,
    unpriced_messages: u64,
    incomplete_messages: u64,
}

impl From<&Totals> for Details {
    fn from(totals: &Totals) -> Self {
        Self {
            cache_creation_5m_tokens: totals.tokens.cache_write_5m,
            cache_creation_1h_tokens: totals.tokens.cache_write_1h,
            thinking_tokens: totals.thinking,
            message_count: totals.messages,
            web_search_requests: totals.web_searches,
            unpriced_messages: totals.unpriced,
            incomplete_messages: totals.incomplete,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Counts<'a> {
    #[serde(flatten)]
    tokens: Tokens,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_cost: Option<Number>,
    #[serde(flatten)]
    details: Details,
    session_count: u64,
    unpriced_models: Vec<&'a str>,
    #[serde(flatten)]
    restored: Option<Restored>,
    #[serde(flatten)]
    unlogged: Option<UnloggedSum>,
    #[serde(flatten)]
    incomplete: Option<IncompleteSum>,
}

/// What no log has of a sum, beside it; its keys are absent where that is nothing.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the names are the keys of the output")]
struct UnloggedSum {
    unlogged_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    unlogged_cost: Option<Number>,
    /// Those of them that the cost is without.
    #[serde(skip_serializing_if = "Option::is_none")]
    unlogged_unpriced_tokens: Option<u64>,
}

impl UnloggedSum {
    fn new(unlogged: &Totals, costs: Costs) -> Option<Self> {
        (*unlogged != Totals::default()).then(|| Self {
            unlogged_tokens: unlogged.tokens.total(),
            unlogged_cost: costs.sum(unlogged),
            unlogged_unpriced_tokens: Some(unlogged.unpriced_tokens).filter(|tokens| *tokens > 0),
        })
    }
}

/// Replies without a final count; its keys are absent where there are none and no estimate is asked for.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct IncompleteSum {
    incomplete_replies: Reasons,
    estimated_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    estimated_cost: Option<Number>,
}

#[derive(Serialize)]
struct Reasons {
    placeholder: u64,
    aborted: u64,
    error: u64,
    unknown: u64,
}

impl IncompleteSum {
    fn new(sums: &Sums, costs: Costs) -> Option<Self> {
        let incomplete = &sums.incomplete;
        let [placeholder, aborted, error, unknown] = incomplete.replies;
        // Nothing that could be estimated is nothing; something that could not be is not.
        let is_known = costs.estimate && (incomplete.estimated.messages > 0 || incomplete.without == 0);
        let estimated = Some(&incomplete.estimated).filter(|_| is_known);
        let cost = || costs.decimal(estimated.and_then(Totals::known_cost).map(Usd::to_decimal));
        (costs.estimate || sums.totals.incomplete > 0).then(|| Self {
            incomplete_replies: Reasons { placeholder, aborted, error, unknown },
            estimated_tokens: estimated.map(|estimated| estimated.tokens.output),
            estimated_cost: cost(),
        })
    }
}

/// What of a sum comes from the server; its keys are absent where that is nothing.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the names are the keys of the output")]
struct Restored {
    restored_sessions: u64,
    restored_messages: u64,
    restored_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    restored_cost: Option<Number>,
}

impl Restored {
    fn new(sums: &Sums, costs: Costs) -> Option<Self> {
        (sums.restored_sessions > 0).then(|| Self {
            restored_sessions: sums.restored_sessions,
            restored_messages: sums.restored.messages,
            restored_tokens: sums.restored.tokens.total(),
            restored_cost: costs.sum(&sums.restored),
        })
    }
}

impl<'a> Counts<'a> {
    fn new(sums: &'a Sums, costs: Costs) -> Self {
        Self {
            tokens: sums.totals.tokens.into(),
            total_cost: costs.sum(&sums.totals),
            details: Details::from(&sums.totals),
            session_count: sums.sessions,
            unpriced_models: sums.unpriced().map(|model| &*model.name).collect(),
            restored: Restored::new(sums, costs),
            unlogged: UnloggedSum::new(&sums.unlogged, costs),
            incomplete: IncompleteSum::new(sums, costs),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Breakdown<'a> {
    model_name: &'a str,
    #[serde(flatten)]
    tokens: Tokens,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<Number>,
    #[serde(flatten)]
    details: Details,
    #[serde(flatten)]
    unlogged: Option<UnloggedSum>,
}

fn breakdowns(sums: &Sums, costs: Costs) -> Vec<Breakdown<'_>> {
    let mut breakdowns = Vec::with_capacity(sums.models.len());
    for ModelSums { name, totals, unlogged } in &sums.models {
        breakdowns.push(Breakdown {
            model_name: name,
            tokens: Tokens::from(totals.tokens),
            cost: costs.sum(totals),
            details: Details::from(totals),
            unlogged: UnloggedSum::new(unlogged, costs),
        });
    }
    breakdowns
}
