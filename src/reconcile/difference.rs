//! How much two sides may differ and still agree.
//!
//! Owns: the forms of a tolerance on the command line. Pure; integers and decimals alone.

use super::count::{Counts, Kind};
use crate::domain::Usd;
use crate::price::{Rate, SearchRate, TokenRates};
use rust_decimal::Decimal;
use std::str::FromStr;

/// What a difference may be without being one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tolerance {
    /// So many dollars a row. Tokens that differ are taken at their price; where they have none, any difference is
    /// one.
    Dollars(Usd),
    /// So many hundredths of what the other side says, for each kind of token and for the dollars.
    Percent(Decimal),
}

/// A text is no tolerance.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no tolerance: write dollars a row, like 0.01, or a share, like 0.5%")]
pub struct ToleranceProblem(String);

/// A billionth of a dollar: what a client's floats may be off by, and less than any token costs.
impl Default for Tolerance {
    fn default() -> Self {
        Self::Dollars(Usd(1_000))
    }
}

impl FromStr for Tolerance {
    type Err = ToleranceProblem;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let problem = || ToleranceProblem(text.to_owned());
        let number = |text: &str| {
            Decimal::from_str_exact(text.trim()).ok().filter(|number| !number.is_sign_negative())
        };
        if let Some(share) = text.trim().strip_suffix('%') {
            return number(share).map(Self::Percent).ok_or_else(problem);
        }
        let dollars = number(text.trim().trim_start_matches('$')).ok_or_else(problem)?;
        let pico = dollars.checked_mul(Decimal::from(1_000_000_000_000_i64));
        let whole = pico.filter(Decimal::is_integer).and_then(|pico| i128::try_from(pico).ok());
        whole.map(|pico| Self::Dollars(Usd(pico))).ok_or_else(problem)
    }
}

/// One side against the other, as far as both speak.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gap {
    /// Theirs less ours, of the kinds that they speak of.
    pub(super) counts: Counts<i128>,
    /// Theirs less ours, where both are known.
    pub(super) cost: Option<Usd>,
}

/// What their side says, for shares of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Theirs {
    pub(super) counts: Counts,
    pub(super) cost: Option<Usd>,
    /// How far the printing of their amounts may have taken them from the true ones.
    pub(super) slack: Usd,
}

impl Tolerance {
    /// True where the counts differ by more than this.
    pub(super) fn counts_differ(&self, gap: &Gap, theirs: &Theirs, rates: Option<&Worth>) -> bool {
        match self {
            Self::Dollars(most) => {
                let any = gap.counts.entries().any(|(_, difference)| difference.unwrap_or(0) != 0);
                any && rates.and_then(|rates| rates.of(&gap.counts)).is_none_or(|worth| worth > most.0)
            }
            Self::Percent(share) => gap.counts.entries().any(|(kind, difference)| {
                let whole = theirs.counts.get(kind).map_or(0, i128::from);
                exceeds(difference.unwrap_or(0), whole, *share)
            }),
        }
    }

    /// True where the dollars differ by more than this and the rounding of what they print.
    pub(super) fn cost_differs(&self, gap: &Gap, theirs: &Theirs) -> bool {
        let Some(difference) = gap.cost else { return false };
        let beyond = difference.0.saturating_abs().saturating_sub(theirs.slack.0).max(0);
        match self {
            Self::Dollars(most) => beyond > most.0,
            Self::Percent(share) => exceeds(beyond, theirs.cost.map_or(0, |cost| cost.0), *share),
        }
    }
}

/// True where the difference is more than a share of the whole.
fn exceeds(difference: i128, whole: i128, percent: Decimal) -> bool {
    if difference == 0 {
        return false;
    }
    let most = Decimal::try_from_i128_with_scale(whole.saturating_abs(), 2)
        .ok()
        .and_then(|hundredth| hundredth.checked_mul(percent));
    let difference = Decimal::try_from_i128_with_scale(difference.saturating_abs(), 0).ok();
    most.zip(difference).is_none_or(|(most, difference)| difference > most)
}

/// What tokens and searches of a model are worth on a day, without multipliers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Worth {
    pub(super) rates: TokenRates,
    pub(super) search: Option<SearchRate>,
}

impl Worth {
    /// The price of all differences, more and less alike; `None` where a search has none.
    pub(super) fn of(&self, differences: &Counts<i128>) -> Option<i128> {
        let parts = [Kind::CacheWrite5m, Kind::CacheWrite1h];
        let has_parts = parts.iter().all(|part| differences.get(*part).is_some());
        let mut worth = 0_i128;
        for (kind, difference) in differences.entries() {
            let skipped = has_parts && kind == Kind::CacheWrite;
            let Some(difference) = difference.filter(|difference| *difference != 0 && !skipped) else {
                continue;
            };
            let rate = i128::from(self.rate(kind)?);
            worth = worth.checked_add(difference.checked_abs()?.checked_mul(rate)?)?;
        }
        Some(worth)
    }

    /// Picodollars apiece. A cache write of unknown life time is taken as one of an hour, the dearer.
    fn rate(&self, kind: Kind) -> Option<i64> {
        let rate = match kind {
            Kind::Input => self.rates.input,
            Kind::Output => self.rates.output,
            Kind::CacheWrite5m => self.rates.cache_write_5m,
            Kind::CacheWrite | Kind::CacheWrite1h => self.rates.cache_write_1h,
            Kind::CacheRead => self.rates.cache_read,
            Kind::WebSearches => return self.search.map(SearchRate::picodollars),
        };
        Some(Rate::picodollars(rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tolerances_are_dollars_or_shares() {
        for (text, tolerance) in [
            ("0.01", Tolerance::Dollars(Usd(10_000_000_000))),
            ("$1", Tolerance::Dollars(Usd(1_000_000_000_000))),
            ("0", Tolerance::Dollars(Usd(0))),
            (" 0.5% ", Tolerance::Percent(Decimal::new(5, 1))),
        ] {
            assert_eq!(text.parse(), Ok(tolerance), "{text}");
        }
        for text in ["", "-1", "-1%", "%", "1e-3", "a", "0.0000000000001"] {
            assert_eq!(text.parse::<Tolerance>(), Err(ToleranceProblem(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn a_share_is_of_what_they_say() {
        let share = Decimal::from(1);
        assert!(!exceeds(1, 100, share) && exceeds(2, 100, share) && exceeds(-2, 100, share));
        assert!(exceeds(1, 0, share) && !exceeds(0, 0, share));
        assert!(exceeds(i128::MAX, 1, share), "what no decimal holds is no small difference");
    }
}
