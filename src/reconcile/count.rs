//! What is counted, kind by kind, where a source may not say all of it.
//!
//! Unknown is not zero: a kind that nobody spoke of stays unknown and is compared with nothing. Pure.

use crate::domain::TokenCounts;
use std::ops::AddAssign;

/// A kind of thing that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Input that was neither read from nor written to the cache.
    Input,
    /// Output.
    Output,
    /// Cache writes of both life times.
    CacheWrite,
    /// Cache writes for five minutes.
    CacheWrite5m,
    /// Cache writes for an hour.
    CacheWrite1h,
    /// Cache reads.
    CacheRead,
    /// Web searches.
    WebSearches,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Input,
        Self::Output,
        Self::CacheWrite,
        Self::CacheWrite5m,
        Self::CacheWrite1h,
        Self::CacheRead,
        Self::WebSearches,
    ];

    /// The key in JSON and CSV.
    pub fn key(self) -> &'static str {
        match self {
            Self::Input => "inputTokens",
            Self::Output => "outputTokens",
            Self::CacheWrite => "cacheCreationTokens",
            Self::CacheWrite5m => "cacheCreation5mTokens",
            Self::CacheWrite1h => "cacheCreation1hTokens",
            Self::CacheRead => "cacheReadTokens",
            Self::WebSearches => "webSearchRequests",
        }
    }

    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
            Self::CacheWrite => "cache write",
            Self::CacheWrite5m => "cache write 5m",
            Self::CacheWrite1h => "cache write 1h",
            Self::CacheRead => "cache read",
            Self::WebSearches => "web searches",
        }
    }
}

/// A value for each kind, where there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts<T = u64>([Option<T>; 7]);

impl<T> Default for Counts<T> {
    fn default() -> Self {
        Self([const { None }; 7])
    }
}

impl<T: Copy> Counts<T> {
    /// The value of a kind.
    pub fn get(&self, kind: Kind) -> Option<T> {
        self.entries().find(|(other, _)| *other == kind).and_then(|(_, value)| value)
    }

    /// Says the value of a kind.
    pub(super) fn set(&mut self, kind: Kind, value: T) {
        for (other, place) in Kind::ALL.into_iter().zip(&mut self.0) {
            if other == kind {
                *place = Some(value);
            }
        }
    }

    /// Every kind with its value.
    pub fn entries(&self) -> impl Iterator<Item = (Kind, Option<T>)> {
        Kind::ALL.into_iter().zip(self.0)
    }

    /// One from another, kind by kind.
    pub(super) fn map<U: Copy>(&self, make: impl Fn(Kind, T) -> Option<U>) -> Counts<U> {
        let mut result = Counts::default();
        for (kind, value) in self.entries() {
            if let Some(value) = value.and_then(|value| make(kind, value)) {
                result.set(kind, value);
            }
        }
        result
    }
}

impl Counts {
    /// What the ledger knows: every kind.
    pub(super) fn known(tokens: &TokenCounts, web_searches: u64) -> Self {
        Self([
            Some(tokens.input),
            Some(tokens.output),
            Some(tokens.cache_write()),
            Some(tokens.cache_write_5m),
            Some(tokens.cache_write_1h),
            Some(tokens.cache_read),
            Some(web_searches),
        ])
    }

    /// All kinds that `says` has, where they are unknown here: zero.
    pub(super) fn or_zero(self, says: &[Kind]) -> Self {
        let mut filled = self;
        for kind in says.iter().filter(|kind| self.get(**kind).is_none()) {
            filled.set(*kind, 0);
        }
        filled
    }

    /// All tokens together, of the kinds that are known; cache writes by their sum.
    pub fn tokens(&self) -> Option<u64> {
        let known = [Kind::Input, Kind::Output, Kind::CacheWrite, Kind::CacheRead].map(|kind| self.get(kind));
        known.into_iter().flatten().reduce(u64::saturating_add)
    }

    /// True where nothing above zero is known.
    pub(super) fn is_nothing(&self) -> bool {
        self.entries().all(|(_, value)| value.unwrap_or(0) == 0)
    }
}

/// What is unknown on one side is what the other has.
impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine = match (*mine, theirs) {
                (Some(one), Some(other)) => Some(one.saturating_add(other)),
                (one, other) => one.or(other),
            };
        }
    }
}
