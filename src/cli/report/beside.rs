//! What stands beside the counts of a report: what no log has, why replies have no final count, and what these most
//! likely had.
//!
//! Owns: putting that beside the cells it belongs to, and that a reply whose rest is in the client's account is not
//! estimated as well. Fails as the ledger does.

use crate::domain::{Cost, ModelKey, Picodollars, Response, SessionInfo, SessionKey, TokenCounts, Usage};
use crate::ledger::{IncompleteCount, IncompleteReply, LedgerError, LedgerReader, Pricing, UnloggedRecord};
use crate::report::{Estimate, ReportData, Rest, Source, Unlogged};
use std::collections::{HashMap, HashSet};

/// Adds what no log has, and why replies have no final count.
pub(super) fn add(data: &mut ReportData, source: Source, ledger: &LedgerReader) -> Result<(), LedgerError> {
    let of_days = data.days.iter().flat_map(|sums| &sums.models).map(|(_, totals)| totals);
    let mut totals = of_days.chain(data.cells.iter().map(|cell| &cell.totals));
    if totals.any(|totals| totals.incomplete > 0) {
        data.incomplete = ledger.incomplete_counts()?;
    }
    add_unlogged(data, source, ledger)
}

/// Of a session of which nothing at all was logged no list of sessions has anything.
fn add_unlogged(data: &mut ReportData, source: Source, ledger: &LedgerReader) -> Result<(), LedgerError> {
    let mut records = ledger.unlogged()?;
    records.retain(|record| !record.used.is_zero());
    if records.is_empty() {
        return Ok(());
    }
    let models: HashMap<String, ModelKey> =
        data.models.iter().map(|(key, name)| (name.clone(), *key)).collect();
    let mut sessions: HashMap<String, SessionKey> =
        data.sessions.iter().map(|session| (session.id.clone(), session.key)).collect();
    for record in records {
        let session = match (sessions.get(&record.session), source) {
            (Some(session), _) => Some(*session),
            (None, Source::Days) => None,
            // One that is not among the latest.
            (None, Source::LatestSessions(_)) if ledger.has_cells(&record.session)? => continue,
            (None, Source::Cells | Source::LatestSessions(_)) => {
                // The ledger numbers sessions from 1.
                let key = SessionKey(-1 - i64::try_from(sessions.len()).unwrap_or_default());
                sessions.insert(record.session.clone(), key);
                let id = record.session.clone();
                data.sessions.push(SessionInfo { key, id, cwd: None, folder: String::new() });
                Some(key)
            }
        };
        let Some(model) = models.get(&record.model).copied() else { continue };
        data.unlogged.push(Unlogged { session, model, at: record.at, totals: record.totals() });
    }
    Ok(())
}

/// What is known of the output of the replies that these are, beyond what is logged.
pub(super) fn estimates(
    counts: &[IncompleteCount],
    ledger: &LedgerReader,
    prices: &dyn Pricing,
) -> Result<Vec<Estimate>, LedgerError> {
    if counts.is_empty() {
        return Ok(Vec::new());
    }
    let replies = ledger.incomplete_replies()?;
    let in_account = in_accounts(&replies, &ledger.unlogged()?);
    let estimate = |(position, reply): (usize, &IncompleteReply)| Estimate {
        session: reply.session,
        model: reply.model,
        at: reply.response.first_at,
        rest: if in_account.contains(&position) {
            Rest::InAccount
        } else {
            reply.response.estimated_rest().map_or(Rest::Unknown, |output| Rest::Likely {
                output,
                cost: cost_of(&reply.response, output, prices),
            })
        },
    };
    Ok(replies.iter().enumerate().map(estimate).collect())
}

/// What so many output tokens more would cost: with every multiplier, and the prices of a long prompt, of the reply.
fn cost_of(response: &Response, output: u64, prices: &dyn Pricing) -> Cost {
    let usage = Usage { parts: Vec::new(), ..response.usage.clone() };
    let tokens = TokenCounts { output: usage.tokens.output.saturating_add(output), ..usage.tokens };
    let more = Usage { tokens, ..usage.clone() };
    let cost = |usage: &Usage| prices.price(&response.model, usage, response.first_at).0.known();
    match (cost(&more), cost(&usage)) {
        (Some(more), Some(less)) => Cost::Known(Picodollars(more.0.saturating_sub(less.0))),
        _ => Cost::Unpriced,
    }
}

/// The places of the replies whose rest is in an account. A record says of how many it has the rest, at the time of the
/// latest reply in its account; what is not in the account are the oldest (`domain::unlogged`), so that they are the
/// newest until then, of the record's model where there are any. `replies` and `records` are in order of time.
fn in_accounts(replies: &[IncompleteReply], records: &[UnloggedRecord]) -> HashSet<usize> {
    let mut found = HashSet::new();
    for record in records {
        for _ in 0..record.incomplete {
            let open = replies.iter().enumerate().filter(|(position, reply)| {
                let response = &reply.response;
                response.attribution.session == record.session
                    && response.first_at <= record.at
                    && !found.contains(position)
            });
            let newest =
                open.max_by_key(|(position, reply)| (reply.response.model.0 == record.model, *position));
            let Some((position, _)) = newest else { break };
            found.insert(position);
        }
    }
    found
}
