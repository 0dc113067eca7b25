//! Rates as whole picodollars, so that a price is an integer product and nothing is ever rounded.
//!
//! Owns: the conversion between published prices (USD per million tokens) and picodollars per token.
//! The constructors are the only door: what is not a whole, non-negative number of picodollars is
//! refused with `None`.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

/// 1 USD per million tokens is 1e6 picodollars per token.
const PICODOLLARS_PER_TOKEN: Decimal = Decimal::from_parts(1_000_000, 0, 0, false, 0);

/// 1 USD per thousand searches is 1e9 picodollars per search.
const PICODOLLARS_PER_SEARCH: Decimal = Decimal::from_parts(1_000_000_000, 0, 0, false, 0);

/// The product, unless it has more digits than a `Decimal` holds and would be rounded.
pub(super) fn exact_product(left: Decimal, right: Decimal) -> Option<Decimal> {
    if left.is_zero() || right.is_zero() {
        return Some(Decimal::ZERO);
    }
    // An exact product has the sum of the scales; rounding gives digits up.
    let product = left.checked_mul(right)?;
    (product.scale() == left.scale() + right.scale()).then(|| product.normalize())
}

/// The product as an integer, if it is one and is not negative.
fn whole(left: Decimal, right: Decimal) -> Option<i64> {
    exact_product(left, right)
        .filter(|product| product.is_integer() && *product >= Decimal::ZERO)
        .and_then(|product| product.to_i64())
}

/// A price per token, in picodollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(i64);

impl Rate {
    /// The rate of a price in USD per million tokens; `None` unless a whole number of picodollars.
    pub fn from_usd_per_million(price: Decimal) -> Option<Self> {
        whole(price, PICODOLLARS_PER_TOKEN).map(Self)
    }

    /// The price in USD per million tokens.
    pub fn usd_per_million(self) -> Decimal {
        Decimal::new(self.0, 6).normalize()
    }

    /// The rate in picodollars per token.
    pub fn picodollars(self) -> i64 {
        self.0
    }

    /// The rate under a multiplier; `None` unless that too is a whole number of picodollars.
    pub fn times(self, factor: Decimal) -> Option<Self> {
        whole(Decimal::from(self.0), factor).map(Self)
    }
}

/// A price per web search, in picodollars.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SearchRate(i64);

impl SearchRate {
    /// The rate of a price in USD per 1,000 searches; `None` unless a whole number of picodollars.
    pub fn from_usd_per_thousand(price: Decimal) -> Option<Self> {
        whole(price, PICODOLLARS_PER_SEARCH).map(Self)
    }

    /// The price in USD per 1,000 searches.
    pub fn usd_per_thousand(self) -> Decimal {
        Decimal::new(self.0, 9).normalize()
    }

    /// The rate in picodollars per search.
    pub fn picodollars(self) -> i64 {
        self.0
    }
}

/// A rate for each kind of token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenRates {
    /// Input that was neither read from nor written to the prompt cache.
    pub input: Rate,
    /// Output, thinking included.
    pub output: Rate,
    /// Writes to the prompt cache for five minutes.
    pub cache_write_5m: Rate,
    /// Writes to the prompt cache for one hour.
    pub cache_write_1h: Rate,
    /// Reads from the prompt cache.
    pub cache_read: Rate,
}

impl TokenRates {
    /// The names of the rates in a price file, in the order of [`TokenRates::as_array`].
    pub const KEYS: [&'static str; 5] = ["input", "output", "cache_write_5m", "cache_write_1h", "cache_read"];

    /// The rates in the order of `TokenCounts::as_array`.
    pub fn as_array(&self) -> [Rate; 5] {
        [self.input, self.output, self.cache_write_5m, self.cache_write_1h, self.cache_read]
    }

    /// The inverse of [`TokenRates::as_array`].
    pub fn from_array([input, output, five_minutes, one_hour, cache_read]: [Rate; 5]) -> Self {
        Self { input, output, cache_write_5m: five_minutes, cache_write_1h: one_hour, cache_read }
    }

    /// The rates under a multiplier; the key of the first one that is no whole number of picodollars
    /// under it is the error.
    pub fn times(&self, factor: Decimal) -> Result<Self, &'static str> {
        if factor == Decimal::ONE {
            return Ok(*self);
        }
        let mut rates = self.as_array();
        for (rate, key) in rates.iter_mut().zip(Self::KEYS) {
            *rate = rate.times(factor).ok_or(key)?;
        }
        Ok(Self::from_array(rates))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 16 picodollars times 5.0000000000000000000000000001 has 30 digits, which a `Decimal` rounds to 80.
    #[test]
    fn a_product_that_would_be_rounded_is_no_rate() {
        let rate = Rate(16);
        for (factor, product) in [
            ("5", Some(80)),
            ("5.0", Some(80)),
            ("5.0000000000000000000000000001", None),
            ("1.1", None),
            ("0.125", Some(2)),
            ("-1", None),
        ] {
            let factor = Decimal::from_str_exact(factor).unwrap();
            assert_eq!(rate.times(factor).map(Rate::picodollars), product, "{factor}");
        }
        assert_eq!(Rate(i64::MAX).times(Decimal::TWO), None);
    }
}
