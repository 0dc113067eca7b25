//! Figures of what the client's own accounts or events have and no log does.
//!
//! Owns: names and help texts of these metrics. All are gauges: a reply that reaches a log later is counted there, and
//! what is unlogged is less by it. Values in, text out; fails never.

use super::{GAUGE, Page};
use crate::domain::{TokenCounts, Usd, shown};
use crate::ledger::UnloggedRecord;
use std::collections::BTreeMap;

/// What is unlogged of a model, as the client names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unlogged {
    /// Tokens by kind.
    pub tokens: TokenCounts,
    /// Those without a known price.
    pub unpriced_tokens: u64,
    /// Web searches.
    pub web_searches: u64,
    /// The sum of all known costs; `None` where there are none.
    pub cost: Option<Usd>,
    /// By how much the client's own price of all that its accounts have, logged or not, is above ours; `None` where we
    /// have none.
    pub difference: Option<Usd>,
}

/// The sums by model, as models are shown.
pub fn by_model(records: &[UnloggedRecord]) -> BTreeMap<String, Unlogged> {
    let mut models: BTreeMap<String, Unlogged> = BTreeMap::new();
    for record in records {
        let model = models.entry(shown(&record.model)).or_default();
        let totals = record.totals();
        model.tokens += totals.tokens;
        model.web_searches = model.web_searches.saturating_add(totals.web_searches);
        model.unpriced_tokens = model.unpriced_tokens.saturating_add(totals.unpriced_tokens);
        add(&mut model.cost, record.cost.known().map(Usd::from));
        add(&mut model.difference, record.difference());
    }
    models
}

fn add(sum: &mut Option<Usd>, more: Option<Usd>) {
    if let Some(more) = more {
        *sum.get_or_insert(Usd(0)) += more;
    }
}

/// A metric by model, where it is known.
type Value = fn(&Unlogged) -> Option<String>;

pub(super) fn write(page: &mut Page, models: &BTreeMap<String, Unlogged>) {
    let name = "tallyd_unlogged_tokens";
    page.head(
        name,
        GAUGE,
        "Tokens that the client's own accounts or events have and no log does, by model and kind.",
    );
    for (model, unlogged) in models {
        let kinds = ["input", "output", "cache_write_5m", "cache_write_1h", "cache_read"];
        for (kind, count) in kinds.into_iter().zip(unlogged.tokens.as_array()) {
            page.line(name, &[("model", model), ("kind", kind)], &count.to_string());
        }
    }
    let by_model: [(&str, &str, Value); 4] = [
        (
            "tallyd_unlogged_cost_usd",
            "Their known cost in US dollars, by model; absent where none is.",
            |one| one.cost.map(|cost| cost.to_string()),
        ),
        ("tallyd_unlogged_unpriced_tokens", "Those of them that have no known price, by model.", |one| {
            Some(one.unpriced_tokens.to_string())
        }),
        ("tallyd_unlogged_web_searches", "Web searches that no log has, by model.", |one| {
            Some(one.web_searches.to_string())
        }),
        (
            "tallyd_client_price_difference_usd",
            "US dollars that the client's own accounts are above the price here, by model; absent without a price.",
            |one| one.difference.map(|difference| difference.to_string()),
        ),
    ];
    for (name, help, value) in by_model {
        page.head(name, GAUGE, help);
        for (model, unlogged) in models {
            if let Some(value) = value(unlogged) {
                page.line(name, &[("model", model)], &value);
            }
        }
    }
}
