//! What the client's own accounts say was used and no log has: a function of account lines and logged replies.
//!
//! Owns: which account line continues which, which replies a line has in it, and what is left. It is among the
//! nouns, as merging lines is, because it takes values and returns values, and because both the ledger, which
//! keeps its result, and its audit, which looks the result through, have to come to the same.
//! Calls that the client has told of otherwise, and no log has, are taken from it, too (`witnessed`).
//! Refuses to clamp: what is logged beyond the account is told as a surplus beside what is missing, and neither
//! hides the other. Never fails.
//!
//! Measured on clients 2.1.300 and 2.1.330 (`docs/bill.md` has every case):
//!
//! - `startTime` names a lineage: resuming and forking keep it, a branch and a cleared session have a new one.
//! - A line goes on from the latest one before it in its session that it is not below in any counter. A session's
//!   first line goes on from the session that it was forked from, which is among those that paid for the copies in
//!   its log; never from a sibling.
//! - A line has in it what its session paid for between the line before it and itself, sub-agents included.
//! - A reply that was cut off is in it where the client went on afterwards: not where the account was written before
//!   (the process was interrupted), which shows in the reply's time: it is before the end of that process.
//! - After a kill there is no line, and the next process goes on from the line before: what the killed one had
//!   logged is in no account. It is left out where the line cannot have it in it.
//! - Client 2.1.300 does not tell cache writes of five minutes from those of an hour.
//! - The client accounts by the model that was asked for, a reply is logged by the one that served.

mod counters;
mod interval;
mod lines;
mod settle;
#[cfg(test)]
mod tests;
mod witnessed;

pub use witnessed::{CallEvent, Testimony, WitnessedCall};

use super::{ClientAccount, Cost, ModelName, TokenCounts, UnixMillis, Usd};
use counters::{Balance, Balances};
use std::collections::{BTreeMap, BTreeSet};

/// Tokens and web searches: what an account counts of a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Used {
    /// Tokens.
    pub tokens: TokenCounts,
    /// Web searches.
    pub web_searches: u64,
}

impl Used {
    /// True when nothing was counted.
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}

/// A line with the client's account, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountLine {
    /// What it says.
    pub account: ClientAccount,
    /// Time of the latest reply before it in its log; the line has no time of its own.
    pub after: Option<UnixMillis>,
}

/// A call of a logged reply: its own counters, or those of a call inside it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LoggedCall {
    /// The model that served.
    pub model: ModelName,
    /// What it used.
    pub used: Used,
    /// What it costs in picodollars; `None` without a price.
    pub cost: Option<i64>,
}

impl LoggedCall {
    /// A call that costs this much.
    pub fn new(model: ModelName, used: Used, cost: Cost) -> Self {
        Self { model, used, cost: cost.known().map(|amount| amount.0) }
    }
}

/// A reply that is in a log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LoggedReply {
    /// Time of its earliest line.
    pub at: UnixMillis,
    /// Of the main chain, not a sub-agent's.
    pub main_chain: bool,
    /// Its final output count is in the log.
    pub complete: bool,
    /// The session that paid.
    pub session: String,
    /// What the client counts of it.
    pub calls: Vec<LoggedCall>,
}

/// That the log of a session has copies of replies that another one paid for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CopiedHistory {
    /// The session whose log has the copies.
    pub session: String,
    /// The session that paid.
    pub payer: String,
    /// Time of the latest copy.
    pub until: UnixMillis,
}

/// All that is known of the accounts with one `startTime`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lineage {
    /// The `startTime`; `None` where the lines, then of one session, have none.
    pub started_at: Option<UnixMillis>,
    /// The account lines, in any order.
    pub lines: Vec<AccountLine>,
    /// What the sessions of the lines paid for, and those whose replies they have copies of, in any order.
    pub replies: Vec<LoggedReply>,
    /// Which sessions of the lines have copies of what others paid for.
    pub copies: Vec<CopiedHistory>,
    /// What their events have and no log has, in any order.
    pub witnessed: Vec<WitnessedCall>,
}

/// What an account line says of a model beyond the lines before it and beyond the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnloggedUsage {
    /// Which line: its place in [`Lineage::lines`].
    pub line: usize,
    /// The model, as the client names it.
    pub model: ModelName,
    /// When, as far as the log tells: the latest reply that the line has in it.
    pub at: UnixMillis,
    /// Used, and in no log.
    pub used: Used,
    /// In the log, and not in the account. Zero unless the account or the log is not what it should be.
    pub surplus: Used,
    /// Cut-off replies of which the account has the rest: by the client's own estimate of their output.
    pub incomplete: u64,
    /// By how much the client's own price for the model has grown.
    pub client_cost: Usd,
    /// What the logged part of that growth costs; `None` where some of it has no price.
    pub logged_cost: Option<Usd>,
}

/// What was used and is in no log, by account line and model. A line that adds nothing has no entry.
pub fn unlogged(lineage: &Lineage) -> Vec<UnloggedUsage> {
    let sessions: BTreeSet<&str> = lineage.lines.iter().map(|line| line.account.session.as_str()).collect();
    let mut found = Vec::new();
    let mut orphans = Vec::new();
    for session in sessions {
        of_session(lineage, session, &mut found, &mut orphans);
    }
    without_what_orphans_share(&mut found, orphans);
    found
}

/// The first line of a session that was forked from one whose lines are gone has that one's unlogged usage in it.
struct Orphan {
    duration_ms: u64,
    entries: std::ops::Range<usize>,
}

fn of_session(lineage: &Lineage, session: &str, found: &mut Vec<UnloggedUsage>, orphans: &mut Vec<Orphan>) {
    let mut own: Vec<&LoggedReply> =
        lineage.replies.iter().filter(|reply| reply.session == session).collect();
    own.sort_unstable();
    let stretches = lines::stretches(lineage, session);
    let inherited = lines::inherited(lineage, session, &stretches);
    let placed = interval::place(lineage, &stretches, &own, &inherited);
    let mut balances: Vec<Balances> =
        stretches.iter().zip(&placed).map(|(stretch, replies)| left(lineage, stretch, replies)).collect();
    witnessed::take(lineage, session, &stretches, &mut balances);
    let mut before = None;
    for ((stretch, replies), balances) in stretches.iter().zip(placed).zip(balances) {
        let at = stretch.at(lineage, &replies, before);
        before = Some(at);
        let from = found.len();
        found.extend(entries(stretch.line, at, balances));
        if stretch.baseline.is_none() && !inherited.is_empty() && stretch.is_first {
            let duration_ms = lineage.lines.get(stretch.line).map_or(0, |line| line.account.duration_ms);
            orphans.push(Orphan { duration_ms, entries: from..found.len() });
        }
    }
}

/// What is left of a stretch's growth when the log has been taken from it.
fn left(lineage: &Lineage, stretch: &lines::Stretch, replies: &[&LoggedReply]) -> Balances {
    let after = lineage.lines.get(stretch.line).and_then(|line| line.after);
    let earliest = after.unwrap_or(UnixMillis(i64::MIN)).0.saturating_sub(stretch.ran_ms_signed());
    settle::settle(&counters::growth(lineage, stretch), replies, UnixMillis(earliest))
}

fn entries(line: usize, at: UnixMillis, balances: Balances) -> impl Iterator<Item = UnloggedUsage> {
    let entry = move |(model, balance): (ModelName, Balance)| UnloggedUsage {
        line,
        model,
        at,
        used: balance.missing(),
        surplus: balance.surplus(),
        incomplete: balance.incomplete,
        client_cost: Usd(balance.client_cost),
        logged_cost: balance.logged_cost.map(Usd),
    };
    balances.into_iter().filter(|(_, balance)| !balance.is_nothing()).map(entry)
}

/// Of several forks of a session whose lines are gone each has that session's unlogged usage in its first line: what
/// the shorter-lived had is not counted again. It cannot be more than what the least of them has, so that this errs
/// on the side of too little.
fn without_what_orphans_share(found: &mut [UnloggedUsage], mut orphans: Vec<Orphan>) {
    orphans.sort_by_key(|orphan| (orphan.duration_ms, orphan.entries.start));
    let mut counted: BTreeMap<ModelName, Used> = BTreeMap::new();
    for orphan in orphans {
        for entry in found.get_mut(orphan.entries).unwrap_or_default() {
            let counted = counted.entry(entry.model.clone()).or_default();
            let whole = entry.used;
            entry.used = counters::beyond(whole, *counted);
            *counted = counters::greater(whole, *counted);
        }
    }
}
