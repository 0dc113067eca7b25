//! What is published of a session: one value, its totals spread over days and models.

use super::{TokenCounts, Totals, UnixMillis, Usd};
use chrono::NaiveDate;
use std::cmp::Reverse;
use std::fmt;
use std::ops::AddAssign;

/// The largest count, and the largest revision, that the contract takes (`supabase/README.md`).
pub const LARGEST_COUNT: u64 = 1_000_000_000_000_000;

/// The rules that a value was counted and priced by: of two values of a session the one with the greater
/// revision counts, whatever the counters say. Made from versions that are built in or configured, never
/// from the ledger, so that a lost ledger does not lower it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(u64);

/// Room for eight digits: a version that is a date, 20261122.
const OWN_PRICES: u64 = 100_000_000;
/// Room for four digits.
const SHIPPED_PRICES: u64 = 10_000;

impl Revision {
    /// The revision of counting rules (1 and up), of the price table that tallyd ships with (below 10,000)
    /// and of the prices that were configured beside it (below 100,000,000; 0 where there are none). Greater
    /// versions are capped. Stays below 2^53, which every JSON reader resolves, for 9,000 rules to come.
    pub fn new(rules: u32, shipped_prices: u32, own_prices: u32) -> Self {
        let shipped = u64::from(shipped_prices).min(SHIPPED_PRICES - 1);
        let own = u64::from(own_prices).min(OWN_PRICES - 1);
        Self((u64::from(rules) * SHIPPED_PRICES + shipped) * OWN_PRICES + own)
    }

    /// The revision that a server has a value by; none of 0, which callers have who name none, and of what
    /// the contract does not take.
    pub fn of_stored(number: u64) -> Option<Self> {
        (1..=LARGEST_COUNT).contains(&number).then_some(Self(number))
    }

    /// The number that is sent.
    pub fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Everything that is known of a session's usage. The totals are the sum of the cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionValue {
    /// Claude Code's id of the session.
    pub session: String,
    /// The whole session.
    pub totals: Totals,
    /// Time of the first response.
    pub started_at: UnixMillis,
    /// Time of the latest response.
    pub last_at: UnixMillis,
    /// The model of the latest response.
    pub model: String,
    /// By day and model, in this order, each pair once.
    pub cells: Vec<DayCell>,
    /// What the client's own account has and no log does: no part of the totals.
    pub unlogged: UnloggedTotals,
    /// The same by day and model, in this order, each pair once.
    pub unlogged_days: Vec<UnloggedDay>,
}

impl SessionValue {
    /// Whether the cells add up to the totals, and the unlogged days to what is unlogged.
    pub fn adds_up(&self) -> bool {
        let (mut sum, mut unlogged) = (Totals::default(), UnloggedTotals::default());
        self.cells.iter().for_each(|cell| sum += cell.totals);
        self.unlogged_days.iter().for_each(|day| unlogged += day.totals);
        sum == self.totals && unlogged == self.unlogged
    }

    /// What a server knows of it that takes no unlogged usage; `None` where that is nothing.
    pub fn logged_alone(self) -> Option<Self> {
        let (unlogged, unlogged_days) = Default::default();
        (!self.cells.is_empty()).then_some(Self { unlogged, unlogged_days, ..self })
    }
}

/// Usage that the client's own account has and no log does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnloggedTotals {
    /// Tokens by kind.
    pub tokens: TokenCounts,
    /// Web searches.
    pub web_searches: u64,
    /// Those of the tokens that have no price; their cost is in no sum.
    pub unpriced_tokens: u64,
    /// The sum of all known costs.
    pub cost: Usd,
}

impl UnloggedTotals {
    /// True where there is nothing.
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}

/// Sums stop at the greatest number, as those of [`Totals`] do.
impl AddAssign for UnloggedTotals {
    fn add_assign(&mut self, other: Self) {
        self.tokens += other.tokens;
        self.web_searches = self.web_searches.saturating_add(other.web_searches);
        self.unpriced_tokens = self.unpriced_tokens.saturating_add(other.unpriced_tokens);
        self.cost += other.cost;
    }
}

/// Unlogged usage of a session on one day, of one model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnloggedDay {
    /// The day in UTC.
    pub day: NaiveDate,
    /// The model, as the client names it.
    pub model: String,
    /// How much.
    pub totals: UnloggedTotals,
}

/// How much of a session a value knows: responses, output, all tokens. The greater knows more, whatever the
/// rules that it was counted by.
pub type Fullness = (u64, u64, u64);

/// The fullness of a session's totals.
pub fn fullness(totals: &Totals) -> Fullness {
    (totals.messages, totals.tokens.output, totals.tokens.total())
}

/// Revision, fullness, fewer incomplete responses, more unlogged tokens and web searches.
pub type ValueRank = (u64, Fullness, Reverse<u64>, u64);

/// By what a server keeps the greater of two values, but for the digest: the contract's rank.
pub fn rank(revision: u64, value: &SessionValue) -> ValueRank {
    let (totals, unlogged) = (&value.totals, &value.unlogged);
    let more = unlogged.tokens.total().saturating_add(unlogged.web_searches);
    (revision, fullness(totals), Reverse(totals.incomplete), more)
}

/// What a session used of one model on one day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayCell {
    /// The day in UTC.
    pub day: NaiveDate,
    /// The model that served.
    pub model: String,
    /// How much.
    pub totals: Totals,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(messages: u64, incomplete: u64, unlogged: u64) -> SessionValue {
        let tokens = TokenCounts { input: unlogged, ..TokenCounts::default() };
        SessionValue {
            session: "s".to_owned(),
            totals: Totals { messages, incomplete, ..Totals::default() },
            started_at: UnixMillis(0),
            last_at: UnixMillis(0),
            model: "m".to_owned(),
            cells: vec![],
            unlogged: UnloggedTotals { tokens, ..UnloggedTotals::default() },
            unlogged_days: vec![],
        }
    }

    #[test]
    fn a_later_account_wins_only_where_nothing_else_is_known_better() {
        let ordered = [
            (1, value(1, 2, 99)),
            (1, value(1, 1, 0)),
            (1, value(1, 1, 5)),
            (1, value(2, 9, 0)),
            (2, value(0, 0, 1)),
        ];
        let ranks = ordered.map(|(revision, value)| rank(revision, &value));
        assert!(ranks.is_sorted_by(|a, b| a < b), "{ranks:?}");
    }

    #[test]
    fn newer_rules_beat_newer_prices_and_shipped_prices_beat_own_ones() {
        let ordered = [
            Revision::new(1, 1, 0),
            Revision::new(1, 1, 1),
            Revision::new(1, 1, 20_261_122),
            Revision::new(1, 1, u32::MAX),
            Revision::new(1, 2, 0),
            Revision::new(1, u32::MAX, 0),
            Revision::new(2, 0, 0),
        ];
        assert!(ordered.windows(2).all(|pair| pair[0] < pair[1]), "{ordered:?}");
        assert_eq!(Revision::new(1, 1, 20_261_122).to_string(), "1000120261122");
        assert!(Revision::new(9_000, 9_999, u32::MAX).number() < 1 << 53);
    }
}
