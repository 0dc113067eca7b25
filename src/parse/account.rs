//! A `cost-state` record to the client's own account of a session.

use super::line::LineContext;
use super::raw::Maybe;
use super::records::{AccountModel, Record};
use crate::domain::{ClientAccount, ClientModelAccount, ModelName, TokenCounts, UnixMillis, Usd};

/// Reads a `cost-state` record; `None` where it accounts for nothing.
pub(super) fn read(record: &Record<'_>, context: LineContext<'_>) -> Option<ClientAccount> {
    let models = match &record.account.models {
        Maybe(Some(models)) => models.0.iter().map(|(name, usage)| model_account(name, usage)).collect(),
        Maybe(None) => return None,
    };
    Some(ClientAccount {
        session: record.session_id.get().unwrap_or(context.session).to_owned(),
        started_at: i64::try_from(record.account.start_time.0).ok().filter(|ms| *ms > 0).map(UnixMillis),
        duration_ms: record.account.duration.0,
        cost: money(record.account.total_cost.as_deref()),
        models,
    })
}

fn model_account(name: &str, usage: &AccountModel<'_>) -> ClientModelAccount {
    let written = usage.cache_creation.0.max(usage.five_minutes.0.saturating_add(usage.one_hour.0));
    ClientModelAccount {
        model: ModelName(name.to_owned()),
        tokens: TokenCounts {
            input: usage.input.0,
            output: usage.output.0,
            cache_write_5m: written.saturating_sub(usage.one_hour.0),
            cache_write_1h: usage.one_hour.0,
            cache_read: usage.cache_read.0,
        },
        thinking: usage.thinking.0,
        web_searches: usage.web_searches.0,
        cost: money(usage.cost.as_deref()),
    }
}

/// A JSON number of dollars; digits beyond a picodollar (the client adds up floats) are rounded off.
fn money(text: Option<&str>) -> Usd {
    text.and_then(Usd::from_text).unwrap_or(Usd(0))
}
