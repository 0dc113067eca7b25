//! What a difference is likely to come from, by rules that look at the two sides alone.
//!
//! Owns: the rules, each with the sentence that people read. They name what is likely, not what is proven; the first
//! cause of a row is the likeliest. Pure.

use super::context::Context;
use super::count::Kind;
use super::theirs::{Line, Scope, Source};
use crate::price::Period;

/// Why two sides may differ.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// Usage of the day may still come in.
    OpenDay,
    /// The final output count of some replies never reached the log.
    Incomplete,
    /// Something on our side has no price.
    Unpriced,
    /// A fork begins with what its parent was billed for.
    Inherited,
    /// The same tokens at the prices of another time: `from 2026-10-07`.
    PriceDate(String),
    /// The same tokens at another price.
    OtherPrice,
    /// The same usage stands under another model's name on the other side.
    OtherName(String),
    /// Calls that Claude Code makes and does not log.
    Unlogged,
    /// The session has no log here.
    NoLog,
    /// Other machines or programs of the same account.
    OtherMachine,
    /// Something that Claude Code's logs do not know.
    NotClaudeCode,
    /// Replies that were cut off before the client booked them.
    CutOff,
    /// The session went on after its total was printed.
    WentOn,
    /// Ours was not billed to this account.
    OtherAccount,
    /// None of the rules fits.
    Unknown,
}

impl Cause {
    /// The name in JSON and CSV.
    pub fn key(&self) -> &'static str {
        match self {
            Self::OpenDay => "openDay",
            Self::Incomplete => "incomplete",
            Self::Unpriced => "unpriced",
            Self::Inherited => "inherited",
            Self::PriceDate(_) => "priceDate",
            Self::OtherPrice => "otherPrice",
            Self::OtherName(_) => "otherName",
            Self::Unlogged => "unlogged",
            Self::NoLog => "noLog",
            Self::OtherMachine => "otherMachine",
            Self::NotClaudeCode => "notClaudeCode",
            Self::CutOff => "cutOff",
            Self::WentOn => "wentOn",
            Self::OtherAccount => "otherAccount",
            Self::Unknown => "unknown",
        }
    }

    /// A few words for a table.
    pub fn name(&self) -> String {
        match self {
            Self::OpenDay => "open day".to_owned(),
            Self::Incomplete => "incomplete replies".to_owned(),
            Self::Unpriced => "no price".to_owned(),
            Self::Inherited => "inherited by a fork".to_owned(),
            Self::PriceDate(period) => format!("price date ({period})"),
            Self::OtherPrice => "other price".to_owned(),
            Self::OtherName(model) => format!("under {model}"),
            Self::Unlogged => "unlogged calls".to_owned(),
            Self::NoLog => "no log here".to_owned(),
            Self::OtherMachine => "other machine or program".to_owned(),
            Self::NotClaudeCode => "not Claude Code".to_owned(),
            Self::CutOff => "cut-off replies".to_owned(),
            Self::WentOn => "session went on".to_owned(),
            Self::OtherAccount => "other account".to_owned(),
            Self::Unknown => "unknown".to_owned(),
        }
    }

    /// The rule, as people read it.
    pub fn rule(&self) -> &'static str {
        match self {
            Self::OpenDay => "the day was not over by more than an hour when they counted; ask again later",
            Self::Incomplete => "they have more output, and some replies' final count never reached the log",
            Self::Unpriced => "some of ours has no price; `tallyd model` names it, a price file mends it",
            Self::Inherited => "the session is a fork: its client goes on with its parent's total",
            Self::PriceDate(_) => "the same tokens, at the prices that the model has at another time",
            Self::OtherPrice => {
                "the same tokens at another price: contract, batch, priority, or a client's own table"
            }
            Self::OtherName(_) => "the same usage under another name: asked for one model, served by another",
            Self::Unlogged => {
                "they have more: calls that no log has, such as compactions, searches and titles"
            }
            Self::NoLog => "no log of the session is here: another machine, or --no-session-persistence",
            Self::OtherMachine => {
                "they have more: machines and programs of the same account that this ledger is not of"
            }
            Self::NotClaudeCode => "it is nothing that a session log speaks of",
            Self::CutOff => "we have more: replies that were cut off before the client booked them",
            Self::WentOn => {
                "we have more: the session went on since, or the client lost its total and began at 0"
            }
            Self::OtherAccount => {
                "we have more: billed elsewhere, by a subscription, another organisation or another provider"
            }
            Self::Unknown => "no rule fits",
        }
    }
}

/// The likely causes of a row that differs, the likeliest first; never none.
pub(super) fn of(row: &Context<'_>) -> Vec<Cause> {
    let mut causes = Vec::new();
    if row.is_open() {
        causes.push(Cause::OpenDay);
    }
    if row.logged.unpriced > 0 || (row.theirs.cost.is_some() && row.ours_cost.is_none()) {
        causes.push(Cause::Unpriced);
    }
    let more_output = row.gap.counts.get(Kind::Output).map_or(row.dollars() > 0, |output| output > 0);
    let is_incomplete = row.logged.incomplete > 0 && more_output;
    if is_incomplete {
        causes.push(Cause::Incomplete);
    }
    if row.has_counts() && row.counts_agree() && row.dollars() != 0 {
        causes.push(price(row));
        return causes;
    }
    if row.is_more() {
        causes.extend(more(row, is_incomplete));
    }
    if row.is_less() {
        causes.push(match row.source {
            Source::Client if row.logged.incomplete > 0 => Cause::CutOff,
            Source::Client => Cause::WentOn,
            _ => Cause::OtherAccount,
        });
    }
    if causes.is_empty() {
        causes.push(Cause::Unknown);
    }
    causes
}

/// Why they may have more.
fn more(row: &Context<'_>, is_incomplete: bool) -> Vec<Cause> {
    if matches!(row.line, Line::Other(_)) {
        return vec![Cause::NotClaudeCode];
    }
    if row.is_inherited_alone() {
        return vec![Cause::Inherited];
    }
    let output_alone =
        row.gap.counts.entries().all(|(kind, gap)| kind == Kind::Output || gap.unwrap_or(0) <= 0);
    if is_incomplete && output_alone && row.has_counts() {
        return Vec::new();
    }
    let mut causes = Vec::new();
    if row.inherited.is_some() {
        causes.push(Cause::Inherited);
    }
    match row.scope {
        Scope::Session(_) if row.session_is_known => causes.push(Cause::Unlogged),
        Scope::Session(_) => causes.push(Cause::NoLog),
        Scope::Day(_) if row.ours_is_nothing() => causes.push(Cause::OtherMachine),
        // What the clients' own accounts hold is in our side already.
        Scope::Day(_) if row.has_unlogged => causes.extend([Cause::OtherMachine, Cause::Unlogged]),
        Scope::Day(_) => causes.extend([Cause::Unlogged, Cause::OtherMachine]),
    }
    causes
}

/// The same tokens at another price: is it one that the model has had, or will have?
fn price(row: &Context<'_>) -> Cause {
    let (Some(model), Some(theirs)) = (row.model, row.theirs.cost) else { return Cause::OtherPrice };
    let explains = |period: &&Period| {
        let amount = row.ours_at(period);
        amount.is_some_and(|amount| (amount - theirs.0).abs() <= row.leeway())
    };
    let found = model.periods.iter().find(explains);
    found.map_or(Cause::OtherPrice, |period| Cause::PriceDate(period.dates.to_string()))
}
