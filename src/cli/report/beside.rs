//! What stands beside the counts of a report: what no log has, why replies have no final count, and what these most
//! likely had.
//!
//! Owns: putting that beside the cells it belongs to, and that a reply whose rest is in the client's account is not
//! estimated as well. Fails as the ledger does.

use crate::domain::{Cost, ModelKey, Picodollars, Response, SessionInfo, SessionKey, TokenCounts, Usage};
use crate::ledger::{IncompleteCount, IncompleteReply, LedgerError, LedgerReader, Pricing, UnloggedRecord};
use crate::report::{Estimate, ReportData, Request, Rest, Source, Unlogged};
use std::collections::{HashMap, HashSet};

/// Adds what no log has, and why replies have no final count.
pub(super) fn add(
    data: &mut ReportData,
    request: &Request,
    ledger: &LedgerReader,
) -> Result<(), LedgerError> {
    add_unlogged(data, request, ledger)?;
    let of_days = data.days.iter().flat_map(|sums| &sums.models).map(|(_, totals)| totals);
    let mut totals = of_days.chain(data.cells.iter().map(|cell| &cell.totals));
    if totals.any(|totals| totals.incomplete > 0) {
        data.incomplete = ledger.incomplete_counts()?;
    }
    Ok(())
}

/// Of a session of which nothing at all was logged no list of sessions has anything.
fn add_unlogged(data: &mut ReportData, request: &Request, ledger: &LedgerReader) -> Result<(), LedgerError> {
    let source = request.source();
    let mut records = ledger.unlogged()?;
    records.retain(|record| !record.used.is_zero());
    if records.is_empty() {
        return Ok(());
    }
    if let Source::LatestSessions(count) = source {
        add_latest(data, &records, count, request, ledger)?;
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
            (None, Source::LatestSessions(_)) if ledger.session_with_cells(&record.session)?.is_some() => {
                continue;
            }
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

/// Adds what was logged of the sessions whose unlogged usage is the latest: they may be among the latest by it alone.
/// `records` are in order of time.
fn add_latest(
    data: &mut ReportData,
    records: &[UnloggedRecord],
    count: usize,
    request: &Request,
    ledger: &LedgerReader,
) -> Result<(), LedgerError> {
    let mut latest: HashSet<&str> = HashSet::new();
    let mut added = Vec::new();
    let asked = records.iter().rev().filter(|record| request.day_of(record.at.quarter()).is_some());
    for record in asked {
        if latest.len() == count {
            break;
        }
        let is_known = data.sessions.iter().any(|session| session.id == record.session);
        if latest.insert(&record.session) && !is_known {
            added.extend(ledger.session_with_cells(&record.session)?);
        }
    }
    data.cells.extend(ledger.cells_of(&added)?);
    data.sessions.extend(ledger.sessions_of(&added)?);
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

/// The places of the replies whose rest is in an account or an event. An event says which it is of. An account's record
/// says of how many it has the rest, at the time of the
/// latest reply in its account; what is not in the account are the oldest (`domain::unlogged`), so that they are the
/// newest until then, of the record's model where there are any. `replies` and `records` are in order of time.
fn in_accounts(replies: &[IncompleteReply], records: &[UnloggedRecord]) -> HashSet<usize> {
    let told: HashSet<i64> = records.iter().filter_map(|record| record.response).collect();
    let is_told = |(_, reply): &(usize, &IncompleteReply)| told.contains(&reply.id);
    let mut found: HashSet<usize> =
        replies.iter().enumerate().filter(is_told).map(|(position, _)| position).collect();
    for record in records.iter().filter(|record| record.response.is_none()) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Attribution, ModelName, Rank, ReplySpan, UnixMillis, Usd, Used};

    fn reply(id: i64) -> IncompleteReply {
        let at = UnixMillis(id * 1000);
        let response = Response {
            rank: Rank { output: 1, main_chain: true, stopped: false, at },
            model: ModelName("opus".to_owned()),
            usage: Usage::default(),
            version: None,
            first_at: at,
            attribution: Attribution { copied: false, at, session: "s".to_owned() },
            is_final: false,
            is_aborted: false,
            span: ReplySpan::default(),
            time_is_guessed: false,
        };
        IncompleteReply { id, session: SessionKey(1), model: ModelKey(1), response }
    }

    fn record(response: Option<i64>) -> UnloggedRecord {
        UnloggedRecord {
            session: "s".to_owned(),
            at: UnixMillis(9000),
            model: "opus".to_owned(),
            used: Used::default(),
            surplus: Used::default(),
            incomplete: 1,
            response,
            cost: Cost::Unpriced,
            client_cost: Usd(0),
            logged_cost: None,
        }
    }

    #[test]
    fn of_parallel_replies_the_one_that_an_event_tells_of_is_not_estimated() {
        let replies = [reply(1), reply(2), reply(3)];
        assert_eq!(in_accounts(&replies, &[record(Some(1))]), HashSet::from([0]));
        // An account's is guessed among the others, whichever is read first.
        assert_eq!(in_accounts(&replies, &[record(None), record(Some(3))]), HashSet::from([1, 2]));
    }
}
