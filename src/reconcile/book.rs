//! What the ledger has, as it is compared: values that the caller took from it.

use crate::domain::{TokenCounts, Totals, Usd};
use chrono::NaiveDate;
use std::collections::BTreeMap;

/// What one session used of one model on one day, by its logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// The session.
    pub session: String,
    /// The day, in UTC.
    pub day: NaiveDate,
    /// The model that served.
    pub model: String,
    /// How much.
    pub totals: Totals,
    /// The part of its cost that is of web searches.
    pub searches_cost: Usd,
}

/// What one session used of one model on one day beyond its logs, by the client's own account of the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unlogged {
    /// The session.
    pub session: String,
    /// The day, in UTC.
    pub day: NaiveDate,
    /// The model, as the client names it.
    pub model: String,
    /// Tokens.
    pub tokens: TokenCounts,
    /// Web searches.
    pub web_searches: u64,
    /// What it costs; `None` where it has no price.
    pub cost: Option<Usd>,
    /// The part of its cost that is of web searches.
    pub searches_cost: Usd,
}

/// What a session's own files repeat of responses that another session paid for: a fork begins with its parent's
/// history, and its client goes on with the parent's total.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inherited {
    /// The session that has the copies.
    pub session: String,
    /// The model that served.
    pub model: String,
    /// Tokens.
    pub tokens: TokenCounts,
    /// Web searches.
    pub web_searches: u64,
}

/// All that the ledger has.
#[derive(Clone, Debug, Default)]
pub struct Book {
    /// By the logs.
    pub logged: Vec<Logged>,
    /// Beyond the logs.
    pub unlogged: Vec<Unlogged>,
    /// Copies of other sessions' responses, of the sessions that are compared one by one.
    pub inherited: Vec<Inherited>,
    /// Versions of the clients that wrote a session's lines, of the same sessions.
    pub clients: BTreeMap<String, Vec<String>>,
}
