//! What was used, by model, and what stands beside it.

use super::{COUNTER, GAUGE, Metrics, Page};
use crate::domain::Totals;
use std::collections::BTreeMap;

/// The value of a metric of usage, where it is known.
type Value = fn(&Totals) -> Option<String>;

pub(super) fn write(page: &mut Page, metrics: &Metrics) {
    usage(page, &metrics.models);
    incomplete(page, &metrics.incomplete);
}

fn usage(page: &mut Page, models: &BTreeMap<String, Totals>) {
    page.head("tallyd_tokens_total", COUNTER, "Tokens, by model and kind.");
    for (model, totals) in models {
        let kinds = ["input", "output", "cache_write_5m", "cache_write_1h", "cache_read"];
        for (kind, count) in kinds.into_iter().zip(totals.tokens.as_array()) {
            page.line("tallyd_tokens_total", &[("model", model), ("kind", kind)], &count.to_string());
        }
    }
    let by_model: [(&str, &str, Value); 5] = [
        (
            "tallyd_cost_usd_total",
            "Known cost in US dollars of what is logged, by model; absent where none is.",
            |totals| totals.known_cost().map(|cost| cost.to_string()),
        ),
        ("tallyd_responses_total", "API responses, by model.", |totals| Some(totals.messages.to_string())),
        (
            "tallyd_incomplete_responses_total",
            "Responses whose final output count is in no log, by model.",
            |totals| Some(totals.incomplete.to_string()),
        ),
        ("tallyd_unpriced_calls_total", "Calls that have no known price, by model.", |totals| {
            Some(totals.unpriced.to_string())
        }),
        ("tallyd_unpriced_tokens_total", "Tokens of those calls, by model.", |totals| {
            Some(totals.unpriced_tokens.to_string())
        }),
    ];
    for (name, help, value) in by_model {
        page.head(name, COUNTER, help);
        for (model, totals) in models {
            if let Some(value) = value(totals) {
                page.line(name, &[("model", model)], &value);
            }
        }
    }
}

fn incomplete(page: &mut Page, reasons: &BTreeMap<&'static str, u64>) {
    let name = "tallyd_incomplete_replies";
    page.head(name, GAUGE, "Responses whose final output count is in no log, by reason.");
    for (reason, replies) in reasons {
        page.line(name, &[("reason", reason)], &replies.to_string());
    }
}
