//! The cells that reports add up: what one session used of one model in one quarter hour.

use super::{Quarter, TokenCounts, UnixMillis, Usd};
use std::ops::AddAssign;

/// The ledger's own number of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey(pub i64);

/// The ledger's own number of a model name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelKey(pub i64);

/// A sum over responses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Tokens by kind.
    pub tokens: TokenCounts,
    /// Thinking tokens: a part of `tokens.output`, for information.
    pub thinking: u64,
    /// API responses.
    pub messages: u64,
    /// Web searches that the API ran and bills by the piece.
    pub web_searches: u64,
    /// Calls (responses, or advisor, compaction and fallback calls inside one) without a price:
    /// their tokens are counted, their cost is in no sum.
    pub unpriced: u64,
    /// Tokens of those calls, all kinds together.
    pub unpriced_tokens: u64,
    /// Responses whose final output count never reached the log: `tokens.output` is a lower bound.
    pub incomplete: u64,
    /// The sum of all known costs.
    pub cost: Usd,
}

impl Totals {
    /// The cost, unless nothing in the sum has a price.
    pub fn known_cost(&self) -> Option<Usd> {
        if self.cost == Usd(0) && self.unpriced > 0 { None } else { Some(self.cost) }
    }
}

/// Sums stop at the greatest number, as those of [`TokenCounts`] do.
impl AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.tokens += other.tokens;
        self.thinking = self.thinking.saturating_add(other.thinking);
        self.messages = self.messages.saturating_add(other.messages);
        self.web_searches = self.web_searches.saturating_add(other.web_searches);
        self.unpriced = self.unpriced.saturating_add(other.unpriced);
        self.unpriced_tokens = self.unpriced_tokens.saturating_add(other.unpriced_tokens);
        self.incomplete = self.incomplete.saturating_add(other.incomplete);
        self.cost += other.cost;
    }
}

/// What one session used of one model in one quarter hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The session that paid.
    pub session: SessionKey,
    /// The model that served.
    pub model: ModelKey,
    /// When.
    pub quarter: Quarter,
    /// How much.
    pub totals: Totals,
    /// Time of the earliest response in the cell.
    pub first: UnixMillis,
    /// Time of the latest response in the cell.
    pub last: UnixMillis,
    /// It was read from the server: no log here has what is in it. The quarter hour is then that of noon UTC,
    /// and the times are as near as a day of the session tells.
    pub restored: bool,
}

/// What all sessions together used in a period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeriodSums<P> {
    /// When.
    pub period: P,
    /// How much of which model, each once.
    pub models: Vec<(ModelKey, Totals)>,
    /// The sessions that paid, each once.
    pub sessions: Vec<SessionKey>,
}

/// What is known of a session beside its usage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionInfo {
    /// The ledger's number for it.
    pub key: SessionKey,
    /// Claude Code's id of it.
    pub id: String,
    /// The working folder it was started in, where a record named one: it names the project.
    pub cwd: Option<String>,
    /// The folder below `projects/` that holds its log: the project's name where `cwd` is unknown.
    pub folder: String,
}
