//! Calls that Claude Code has told of by OpenTelemetry: what each says beyond the log, and which account has it already.
//!
//! Owns: the comparison of an event with the logged reply of the same request, and the rule that keeps an event and an
//! account from counting the same call twice. An event that the log has is nothing more; one that the log has not, or
//! has without its final output, is taken from what is left of the account that was written when the call was over.
//! That moment is known only as far as logged replies tell it, so that of several accounts which may have the call the
//! earliest one that has room for it and its neighbours gives it up. A call that no account has room for is in none.
//! Never fails.

use super::counters::{Balances, beyond};
use super::lines::Stretch;
use super::settle::without;
use super::{Lineage, LoggedCall, Used};
use crate::domain::{ModelName, UnixMillis, Usd};
use std::ops::Range;

/// An API call as Claude Code tells of it (`claude_code.api_request`): measured on client 2.1.330.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallEvent {
    /// The id of the request; `None` where the server gave none.
    pub request_id: Option<String>,
    /// The session.
    pub session: String,
    /// When the call was over.
    pub at: UnixMillis,
    /// For how long it ran, milliseconds.
    pub duration_ms: u64,
    /// Its number among the events of its process: tells apart what else is alike.
    pub sequence: u64,
    /// The model that served.
    pub model: ModelName,
    /// Tokens and, which no event says, web searches: 0.
    pub used: Used,
    /// Cache writes are told by life time; else all count as of five minutes.
    pub has_split: bool,
    /// Fast mode.
    pub is_fast: bool,
    /// The client's own price, by the model that it asked for.
    pub client_cost: Option<Usd>,
}

/// What an event says beside the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Testimony {
    /// No log has the call: all of it is unlogged.
    Witnessed,
    /// The log has the same.
    Confirmed,
    /// The log has it without its final output: this is unlogged.
    Completing(Used),
    /// The log has other counts; it is the log that counts.
    Disagreeing,
}

impl Testimony {
    /// Holds an event against the logged reply of its request.
    pub fn of(event: Used, has_split: bool, logged: Option<(Used, bool)>) -> Self {
        let Some((logged, is_complete)) = logged else { return Self::Witnessed };
        let alike = |used: Used| {
            let tokens = used.tokens;
            let written = if has_split { tokens.cache_write_1h } else { 0 };
            (tokens.input, tokens.cache_write(), written, tokens.cache_read)
        };
        let (told, known) = (event.tokens.output, logged.tokens.output);
        match (alike(event) == alike(logged), is_complete) {
            (true, _) if told == known => Self::Confirmed,
            // Where a reply was cut off, the event has no more of it than the log.
            (true, false) if told > known => Self::Completing(output_beyond(event, logged)),
            _ => Self::Disagreeing,
        }
    }
}

fn output_beyond(event: Used, logged: Used) -> Used {
    let beyond = beyond(event, logged);
    let mut only = Used::default();
    only.tokens.output = beyond.tokens.output;
    only
}

/// What an event has and the log has not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WitnessedCall {
    /// When the call was over.
    pub at: UnixMillis,
    /// The session that paid.
    pub session: String,
    /// What was used and is in no log.
    pub call: LoggedCall,
    /// It is the rest of a reply that the log has without its final output.
    pub completes: bool,
}

/// So many calls are tried as the first of those in an account.
const MOST_STARTS: usize = 256;

/// Takes what was witnessed from what the accounts of a session have left. An account has the calls of its process in
/// it, which follow each other: of all such runs the one that there is the most room for. Before it are those of a
/// process that was killed, behind it those of the next.
pub(super) fn take(lineage: &Lineage, session: &str, stretches: &[Stretch], balances: &mut [Balances]) {
    let own = lineage.witnessed.iter().filter(|call| call.session == session);
    let own = own.map(|call| (call, places(lineage, stretches, call.at)));
    let mut calls: Vec<(&WitnessedCall, Range<usize>)> =
        own.chain(inherited(lineage, session, stretches).map(|call| (call, 0..1))).collect();
    calls.sort_by_key(|(call, _)| *call);
    for (place, left) in balances.iter_mut().enumerate() {
        let is_candidate = |(_, places): &(&WitnessedCall, Range<usize>)| places.contains(&place);
        let candidates: Vec<&WitnessedCall> =
            calls.iter().filter(|call| is_candidate(call)).map(|(call, _)| *call).collect();
        let Some(run) = longest(left, &candidates) else { continue };
        let mut taken = run.taken.into_iter();
        calls.retain(|call| !is_candidate(call) || taken.next() != Some(true));
        *left = run.rest;
    }
}

/// Calls that an account has room for.
struct Run {
    /// Which of the candidates.
    taken: Vec<bool>,
    tokens: u64,
    rest: Balances,
}

/// The run with the most tokens; of several one that takes no model's calls from another's room, and the earliest.
fn longest(left: &Balances, candidates: &[&WitnessedCall]) -> Option<Run> {
    let size = |call: &&WitnessedCall| call.call.used.tokens.total();
    let mut best: Option<Run> = None;
    for start in 0..candidates.len().min(MOST_STARTS) {
        let most: u64 = candidates.iter().skip(start).map(size).fold(0, u64::saturating_add);
        if best.as_ref().is_some_and(|best| best.tokens > most) {
            break;
        }
        let run = run(left, candidates, start);
        let rank = |run: &Run| (run.tokens, run.rest.len());
        if best.as_ref().is_none_or(|best| rank(best) < rank(&run)) {
            best = Some(run);
        }
    }
    best
}

fn run(left: &Balances, candidates: &[&WitnessedCall], start: usize) -> Run {
    let mut run = Run { taken: vec![false; candidates.len()], tokens: 0, rest: left.clone() };
    for (taken, call) in run.taken.iter_mut().zip(candidates).skip(start) {
        match without(&run.rest, call) {
            Some(rest) => {
                run.rest = rest;
                run.tokens = run.tokens.saturating_add(call.call.used.tokens.total());
                *taken = true;
            }
            // A reply that was cut off at the end of its process is in no account.
            None if call.completes => {}
            None => break,
        }
    }
    run
}

/// The accounts that may have a call in them: the one written after the next logged reply, and all that were written
/// since the reply before. None has one that was over before it began.
fn places(lineage: &Lineage, stretches: &[Stretch], at: UnixMillis) -> Range<usize> {
    let is_from_nothing = stretches.first().is_some_and(|first| first.is_first && first.baseline.is_none());
    if is_from_nothing && lineage.started_at.is_some_and(|began| at < began) {
        return 0..0;
    }
    let next = stretches.partition_point(|stretch| stretch.after.is_none_or(|after| after < at));
    let before =
        next.checked_sub(1).and_then(|before| stretches.get(before)).and_then(|stretch| stretch.after);
    let first = stretches.partition_point(|stretch| stretch.after < before);
    first..(next + 1).min(stretches.len())
}

/// What the sessions had witnessed that this one was forked from, where its first account is not told from theirs.
fn inherited<'a>(
    lineage: &'a Lineage,
    session: &'a str,
    stretches: &[Stretch],
) -> impl Iterator<Item = &'a WitnessedCall> {
    let is_orphan = stretches.first().is_some_and(|first| first.baseline.is_none());
    let own = lineage.replies.iter().filter(|reply| reply.session == session);
    let first = own.map(|reply| reply.at).min().unwrap_or(UnixMillis(i64::MAX));
    let paid = move |call: &&WitnessedCall| {
        let is_of = |payer: &str| call.session == payer && payer != session;
        lineage.copies.iter().any(|copies| copies.session == session && is_of(&copies.payer))
    };
    let is_within = move |call: &&WitnessedCall| {
        is_orphan && lineage.started_at.is_some_and(|began| began <= call.at && call.at < first)
    };
    lineage.witnessed.iter().filter(is_within).filter(paid)
}
