//! Money as exact integers. The unit is the picodollar (1e-12 USD): every published rate per token,
//! with every published multiplier (1.1 for US inference, 0.5 for batch), is a whole number of them.

use rust_decimal::Decimal;
use std::fmt;
use std::ops::AddAssign;

/// Digits after the point of a dollar amount that a picodollar resolves.
const SCALE: u32 = 12;

/// The cost of one response: at most 9.2 million dollars, which the caps on token counts guarantee.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Picodollars(pub i64);

/// What a response costs, or that it cannot be known. Unknown is never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// Priced, exactly.
    Known(Picodollars),
    /// The price table in force has no price for this usage.
    Unpriced,
}

impl Cost {
    /// The amount, where it is known.
    pub fn known(self) -> Option<Picodollars> {
        match self {
            Self::Known(amount) => Some(amount),
            Self::Unpriced => None,
        }
    }
}

/// A sum of costs in picodollars. Wide enough for any sum of [`Picodollars`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Usd(pub i128);

impl Usd {
    /// The sum as an exact decimal number of dollars, without trailing zeros.
    pub fn to_decimal(self) -> Decimal {
        // A Decimal holds 96 bits; sums beyond that (7.9e16 dollars) saturate rather than panic.
        Decimal::try_from_i128_with_scale(self.0, SCALE).unwrap_or(Decimal::MAX).normalize()
    }

    /// A number of dollars as JSON writes it; `None` for what is none.
    pub fn from_text(text: &str) -> Option<Self> {
        let dollars = Decimal::from_str_exact(text).or_else(|_| Decimal::from_scientific(text)).ok()?;
        Self::from_dollars(dollars)
    }

    /// A number of dollars; digits beyond a picodollar (others add up floats) are rounded off. `None` for what no sum
    /// comes near.
    pub fn from_dollars(dollars: Decimal) -> Option<Self> {
        let picodollars = dollars.checked_mul(Decimal::from(10_i64.pow(SCALE)))?;
        i128::try_from(picodollars.round()).ok().map(Self)
    }
}

impl From<Picodollars> for Usd {
    fn from(amount: Picodollars) -> Self {
        Self(i128::from(amount.0))
    }
}

/// Sums stop at the greatest number: amounts of responses never come near, a server's may.
impl AddAssign for Usd {
    fn add_assign(&mut self, other: Self) {
        self.0 = self.0.saturating_add(other.0);
    }
}

/// Dollars with every digit that is not a trailing zero: `0.0364`, `12`, `0.000000000001`.
impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.to_decimal(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_digit_is_shown_and_no_more() {
        for (pico, text) in [
            (0, "0"),
            (1, "0.000000000001"),
            (36_400_000_000, "0.0364"),
            (12_000_000_000_000, "12"),
            (-1_500_000_000_000, "-1.5"),
            (1_757_225_074_070_000_000, "1757225.07407"),
        ] {
            assert_eq!(Usd(pico).to_string(), text);
        }
    }
}
