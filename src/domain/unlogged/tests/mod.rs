//! One story a rule, and a toy client that lives any story.

mod stories;
mod toy;

use super::*;
use crate::domain::ClientModelAccount;

pub(super) const OPUS: &str = "claude-opus-5-5";
pub(super) const HAIKU: &str = "claude-haiku-5-5";

/// Input, output, 5-minute writes, 1-hour writes, reads, searches.
pub(super) type Counts = [u64; 6];

pub(super) fn used(counts: Counts) -> Used {
    let [tokens @ .., web_searches] = counts;
    Used { tokens: TokenCounts::from_array(tokens), web_searches }
}

/// Something of everything, so many times.
pub(super) fn of(times: u64) -> Counts {
    [10 * times, 500 * times, 400 * times, 600 * times, 20_000 * times, 0]
}

pub(super) fn sum(one: Counts, other: Counts) -> Counts {
    std::array::from_fn(|kind| one[kind] + other[kind])
}

/// What the client asks for a model's counts: a picodollar each.
pub(super) fn price(counts: Counts) -> i128 {
    counts.iter().map(|count| i128::from(*count)).sum()
}

pub(super) fn line(
    session: &str,
    duration_ms: u64,
    after: Option<i64>,
    models: &[(&str, Counts)],
) -> AccountLine {
    let models = models.iter().map(|(model, counts)| ClientModelAccount {
        model: ModelName((*model).to_owned()),
        tokens: used(*counts).tokens,
        thinking: 0,
        web_searches: counts[5],
        cost: Usd(price(*counts)),
    });
    let models: Vec<_> = models.collect();
    let cost = Usd(models.iter().map(|model| model.cost.0).sum());
    let session = session.to_owned();
    let account = ClientAccount { session, started_at: Some(UnixMillis(1000)), duration_ms, cost, models };
    AccountLine { account, after: after.map(UnixMillis) }
}

pub(super) fn reply(session: &str, at: i64, model: &str, counts: Counts) -> LoggedReply {
    let cost = i64::try_from(price(counts)).unwrap();
    LoggedReply {
        at: UnixMillis(at),
        main_chain: true,
        complete: true,
        session: session.to_owned(),
        calls: vec![LoggedCall { model: ModelName(model.to_owned()), used: used(counts), cost: Some(cost) }],
    }
}

pub(super) fn copies(session: &str, payer: &str, until: i64) -> CopiedHistory {
    CopiedHistory { session: session.to_owned(), payer: payer.to_owned(), until: UnixMillis(until) }
}

/// A lineage that began at 1000.
pub(super) fn lineage(lines: Vec<AccountLine>, replies: Vec<LoggedReply>) -> Lineage {
    Lineage { started_at: Some(UnixMillis(1000)), lines, replies, ..Lineage::default() }
}

/// What is unlogged, by line and model, where anything is; no surplus.
pub(super) fn found(lineage: &Lineage) -> Vec<(usize, String, Used)> {
    let found = unlogged(lineage).into_iter().inspect(|entry| assert!(entry.surplus.is_zero(), "{entry:?}"));
    let found = found.filter(|entry| !entry.used.is_zero());
    found.map(|entry| (entry.line, entry.model.0, entry.used)).collect()
}

pub(super) fn one(line: usize, model: &str, counts: Counts) -> Vec<(usize, String, Used)> {
    vec![(line, model.to_owned(), used(counts))]
}
