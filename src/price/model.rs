//! One model's prices: names, periods, multipliers. Values only; [`super::read`] makes them and checks them.

use super::error::WhyUnpriced;
use super::rate::{SearchRate, TokenRates, exact_product};
use crate::domain::{Geo, Speed, Tier, UnixMillis, Usage};
use rust_decimal::Decimal;
use std::fmt;

/// A model of the table and its prices over time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// Its name, normalised.
    pub id: String,
    /// Its other names, normalised.
    pub aliases: Vec<String>,
    /// Where its prices were read: `shipped`, or the path of a file.
    pub origin: String,
    /// Its prices, oldest first; no two share a day.
    pub periods: Vec<Period>,
}

impl Model {
    /// All names of the model, the id first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.id.as_str()).chain(self.aliases.iter().map(String::as_str))
    }

    /// The prices in force at an instant.
    pub fn period_at(&self, at: UnixMillis) -> Option<&Period> {
        self.periods.iter().find(|period| period.dates.contains(at))
    }
}

/// The prices of a model between two dates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Period {
    /// When they hold.
    pub dates: Dates,
    /// Prices of tokens.
    pub rates: TokenRates,
    /// What they are multiplied by for fast mode, US inference and batches.
    pub multipliers: Multipliers,
    /// Price of a web search.
    pub web_search: Option<SearchRate>,
    /// Prices for long prompts.
    pub long_prompt: Option<LongPrompt>,
    /// Where the prices come from; empty where the file does not say.
    pub source: String,
    /// What else to know about them.
    pub note: Option<String>,
}

/// Prices that every token of a request pays when its prompt is long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongPrompt {
    /// The largest prompt (input, cache writes and cache reads) that is not long.
    pub above: u64,
    /// When they hold, within the period.
    pub dates: Dates,
    /// Prices of tokens.
    pub rates: TokenRates,
}

/// A range of UTC days: the first inclusive, the last exclusive, open where absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dates {
    /// Midnight that begins the first day.
    pub from: Option<UnixMillis>,
    /// Midnight that begins the first day after the range.
    pub to: Option<UnixMillis>,
}

impl Dates {
    /// True when the instant is within.
    pub fn contains(&self, at: UnixMillis) -> bool {
        self.from.is_none_or(|from| from <= at) && self.to.is_none_or(|to| at < to)
    }

    /// True when some instant is in both.
    pub fn overlaps(&self, other: &Self) -> bool {
        let begins_before_end = |begin: Option<UnixMillis>, end: Option<UnixMillis>| {
            begin.zip(end).is_none_or(|(begin, end)| begin < end)
        };
        begins_before_end(self.from, other.to) && begins_before_end(other.from, self.to)
    }

    /// The first day as `YYYY-MM-DD`.
    pub fn from_day(&self) -> Option<String> {
        self.from.map(day)
    }

    /// The first day after the range as `YYYY-MM-DD`.
    pub fn to_day(&self) -> Option<String> {
        self.to.map(day)
    }
}

/// `always`, `until 2026-10-07`, `from 2026-10-07`, `2026-01-01 to 2026-10-07` (the end is not included).
impl fmt::Display for Dates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.from_day(), self.to_day()) {
            (None, None) => f.write_str("always"),
            (None, Some(to)) => write!(f, "until {to}"),
            (Some(from), None) => write!(f, "from {from}"),
            (Some(from), Some(to)) => write!(f, "{from} to {to}"),
        }
    }
}

fn day(midnight: UnixMillis) -> String {
    midnight.to_rfc3339().chars().take("YYYY-MM-DD".len()).collect()
}

/// What token prices are multiplied by: all that a model has a price for, or those that apply to one
/// usage; absent where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Multipliers {
    /// Fast mode.
    pub fast: Option<Decimal>,
    /// Inference in the US only.
    pub us_geo: Option<Decimal>,
    /// The batch tier.
    pub batch: Option<Decimal>,
}

impl Multipliers {
    /// Those that apply to a usage; the error names the first that it needs and the model lacks.
    pub(super) fn applied_to(&self, usage: &Usage) -> Result<Self, WhyUnpriced> {
        let need = |needed: bool, factor: Option<Decimal>, missing| match (needed, factor) {
            (true, None) => Err(missing),
            (true, factor) => Ok(factor),
            (false, _) => Ok(None),
        };
        Ok(Self {
            fast: need(usage.speed == Speed::Fast, self.fast, WhyUnpriced::NoFastPrice)?,
            us_geo: need(usage.geo == Geo::Us, self.us_geo, WhyUnpriced::NoUsGeoPrice)?,
            batch: need(usage.tier == Tier::Batch, self.batch, WhyUnpriced::NoBatchPrice)?,
        })
    }

    /// Every combination that usage can ask for.
    pub(super) fn combinations(&self) -> Vec<Self> {
        let mut all = Vec::new();
        for fast in choices(self.fast) {
            for us_geo in choices(self.us_geo) {
                for batch in choices(self.batch) {
                    all.push(Self { fast, us_geo, batch });
                }
            }
        }
        all
    }

    /// Their names as in a price file, and values.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, Decimal)> {
        [("fast", self.fast), ("us_geo", self.us_geo), ("batch", self.batch)]
            .into_iter()
            .filter_map(|(name, factor)| factor.map(|factor| (name, factor)))
    }

    /// Their product, 1 where none applies; `None` when it has more digits than a decimal holds.
    pub fn product(&self) -> Option<Decimal> {
        self.named().try_fold(Decimal::ONE, |product, (_, factor)| exact_product(product, factor))
    }
}

/// Without and, where there is one, with the factor.
fn choices(factor: Option<Decimal>) -> impl Iterator<Item = Option<Decimal>> {
    std::iter::once(None).chain(factor.map(Some))
}
