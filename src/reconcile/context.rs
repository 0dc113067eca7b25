//! What the rules of differences look at: one row, its two sides and what is known around it.

use super::count::{Counts, Kind};
use super::difference::{Gap, Theirs, Tolerance, Worth};
use super::theirs::{Line, Scope, Source};
use crate::domain::{Totals, UnixMillis, Usd};
use crate::price::{Model, Period};

/// What floats of a client may be off by, in picodollars: a billionth of a dollar.
const FLOATS: i128 = 1_000;

/// One row before it is judged.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub(super) source: Source,
    pub(super) scope: &'a Scope,
    pub(super) line: &'a Line,
    pub(super) logged: &'a Totals,
    pub(super) theirs: &'a Theirs,
    pub(super) gap: &'a Gap,
    /// Logged and unlogged.
    pub(super) ours: Counts,
    pub(super) ours_cost: Option<Usd>,
    pub(super) has_unlogged: bool,
    /// Copies of other sessions' responses in this session's files.
    pub(super) inherited: Option<Counts>,
    pub(super) session_is_known: bool,
    /// The model in the price table.
    pub(super) model: Option<&'a Model>,
    /// Noon of the day, or of a session's first.
    pub(super) noon: Option<UnixMillis>,
    /// Up to when they can have counted.
    pub(super) seen: UnixMillis,
}

impl Context<'_> {
    /// True where the sides differ by more than is tolerated, or one has dollars and the other's are unknown.
    pub(super) fn differs(&self, tolerance: &Tolerance) -> bool {
        let is_unknown = self.theirs.cost.is_some_and(|cost| cost.0 != 0) && self.ours_cost.is_none();
        let worth = self.worth();
        is_unknown
            || tolerance.counts_differ(self.gap, self.theirs, worth.as_ref())
            || tolerance.cost_differs(self.gap, self.theirs)
    }

    /// What a token of the model is worth on the day.
    fn worth(&self) -> Option<Worth> {
        let period = self.model?.period_at(self.noon?)?;
        Some(Worth { rates: period.rates, search: period.web_search })
    }

    /// True while usage of the day may still come in.
    pub(super) fn is_open(&self) -> bool {
        let Scope::Day(day) = self.scope else { return false };
        let Some(next) = day.succ_opt() else { return true };
        let end = next.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_millis();
        self.seen.0 < end.saturating_add(Source::DELAY_MS)
    }

    /// Theirs less ours in dollars, 0 where one is unknown.
    pub(super) fn dollars(&self) -> i128 {
        self.gap.cost.map_or(0, |cost| cost.0)
    }

    /// True where they speak of counts.
    pub(super) fn has_counts(&self) -> bool {
        self.gap.counts.entries().any(|(_, gap)| gap.is_some())
    }

    /// True where no count differs.
    pub(super) fn counts_agree(&self) -> bool {
        self.gap.counts.entries().all(|(_, gap)| gap.unwrap_or(0) == 0)
    }

    /// True where they have more of something; by the dollars where they speak of nothing else.
    pub(super) fn is_more(&self) -> bool {
        let any = self.gap.counts.entries().any(|(_, gap)| gap.unwrap_or(0) > 0);
        any || (!self.has_counts() && (self.dollars() > 0 || self.is_theirs_alone()))
    }

    /// True where they have less of something; by the dollars where they speak of nothing else.
    pub(super) fn is_less(&self) -> bool {
        let any = self.gap.counts.entries().any(|(_, gap)| gap.unwrap_or(0) < 0);
        any || (!self.has_counts() && self.dollars() < 0)
    }

    fn is_theirs_alone(&self) -> bool {
        self.ours_is_nothing() && self.theirs.cost.is_some_and(|cost| cost.0 > 0)
    }

    /// True where the ledger has nothing.
    pub(super) fn ours_is_nothing(&self) -> bool {
        self.ours.is_nothing() && self.logged.messages == 0 && self.ours_cost.is_none_or(|cost| cost.0 == 0)
    }

    /// True where what they have more is what the session's files repeat of others, to the token.
    pub(super) fn is_inherited_alone(&self) -> bool {
        let Some(inherited) = &self.inherited else { return false };
        let same = |(kind, gap): (Kind, Option<i128>)| {
            gap.is_none_or(|gap| inherited.get(kind).map(i128::from) == Some(gap))
        };
        self.has_counts() && self.gap.counts.entries().all(same)
    }

    /// What ours costs at other prices, in picodollars; `None` where a search has no price there.
    pub(super) fn ours_at(&self, period: &Period) -> Option<i128> {
        let mut ours = self.ours;
        if self.source.bills_searches_apart() {
            ours.set(Kind::WebSearches, 0);
        }
        let signed = ours.map(|_, count| Some(i128::from(count)));
        Worth { rates: period.rates, search: period.web_search }.of(&signed)
    }

    /// By how many picodollars two amounts may differ and be the same.
    pub(super) fn leeway(&self) -> i128 {
        self.theirs.slack.0.saturating_add(FLOATS)
    }
}
