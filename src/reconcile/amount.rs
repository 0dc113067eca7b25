//! Dollars as others print them, to exact integers.
//!
//! Owns: how precise a printed amount is. Refuses: floats; a number is read from its digits. `None` for what is
//! no amount.

use crate::domain::Usd;
use rust_decimal::Decimal;
use std::ops::AddAssign;

/// Digits after the point of a dollar that a picodollar resolves.
const PICO_DIGITS: u32 = 12;

/// An amount and how far from the true one its printing may have taken it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// The amount as printed.
    pub usd: Usd,
    /// Half a unit of the last digit that the source prints; 0 for one that prints all it has.
    pub slack: Usd,
}

impl AddAssign for Amount {
    fn add_assign(&mut self, other: Self) {
        self.usd += other.usd;
        self.slack += other.slack;
    }
}

impl Amount {
    /// Dollars with every digit that there is, as programs print them: `0.08045`, `1e-7`. Digits beyond a
    /// picodollar (the client adds up floats) are rounded off.
    pub(super) fn exact_dollars(text: &str) -> Option<Self> {
        Some(Self { usd: Usd::from_dollars(decimal(text)?)?, slack: Usd(0) })
    }

    /// Cents with every digit that there is.
    pub(super) fn exact_cents(text: &str) -> Option<Self> {
        let cents = decimal(text)?;
        Some(Self { usd: Usd::from_dollars(cents.checked_mul(Decimal::new(1, 2))?)?, slack: Usd(0) })
    }

    /// Dollars rounded to their last digit, but no coarser than to cents.
    pub(super) fn rounded_dollars(text: &str) -> Option<Self> {
        let dollars = decimal(text)?;
        Some(Self { usd: Usd::from_dollars(dollars)?, slack: half_unit(dollars.scale().max(2)) })
    }

    /// Cents rounded to their last digit: `1025` may be anything from 1024.5 to 1025.5.
    pub(super) fn rounded_cents(text: &str) -> Option<Self> {
        let exact = Self::exact_cents(text)?;
        Some(Self { slack: half_unit(decimal(text)?.scale().saturating_add(2)), ..exact })
    }
}

/// A number from its digits, with or without an exponent.
fn decimal(text: &str) -> Option<Decimal> {
    let text = text.trim();
    Decimal::from_str_exact(text).or_else(|_| text.parse()).or_else(|_| Decimal::from_scientific(text)).ok()
}

/// Half a unit of this many digits after a dollar's point.
fn half_unit(digits: u32) -> Usd {
    let unit = 10_i128.checked_pow(PICO_DIGITS.saturating_sub(digits)).unwrap_or(0);
    Usd(if digits > PICO_DIGITS { 0 } else { unit / 2 })
}

/// A whole number that is not negative, from its digits: `12`, `12.0`, `1.2e1`.
pub(super) fn whole(text: &str) -> Option<u64> {
    let number = decimal(text)?;
    number.is_integer().then(|| u64::try_from(number).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_from_their_digits() {
        for (text, pico) in [
            ("0.021009", 21_009_000_000),
            ("0.08044999999999999", 80_450_000_000),
            ("0.10213499999999999", 102_135_000_000),
            ("1e-7", 100_000),
            ("1.5E-3", 1_500_000_000),
            ("12", 12_000_000_000_000),
            ("-0.5", -500_000_000_000),
            // More digits than a decimal holds.
            ("0.1000000000000000055511151231257827021181583404541015625", 100_000_000_000),
        ] {
            let amount = Amount::exact_dollars(text);
            assert_eq!(amount, Some(Amount { usd: Usd(pico), slack: Usd(0) }), "{text}");
        }
        for text in ["", "abc", "1,5", "NaN", "inf", "0x10", "1e400", "--1"] {
            assert_eq!(Amount::exact_dollars(text), None, "{text}");
        }
    }

    #[test]
    fn a_rounded_amount_knows_how_far_it_may_be_off() {
        let of = |amount: Option<Amount>| amount.map(|amount| (amount.usd.0, amount.slack.0));
        assert_eq!(of(Amount::rounded_dollars("0.05")), Some((50_000_000_000, 5_000_000_000)));
        assert_eq!(of(Amount::rounded_dollars("5")), Some((5_000_000_000_000, 5_000_000_000)));
        assert_eq!(of(Amount::rounded_dollars("0.0512")), Some((51_200_000_000, 50_000_000)));
        assert_eq!(of(Amount::rounded_cents("1025")), Some((10_250_000_000_000, 5_000_000_000)));
        assert_eq!(of(Amount::rounded_cents("2.125")), Some((21_250_000_000, 5_000_000)));
        assert_eq!(of(Amount::exact_cents("123.78912")), Some((1_237_891_200_000, 0)));
        assert_eq!(of(Amount::rounded_dollars("0.00000000000001")), Some((0, 0)));
    }

    #[test]
    fn counts_are_whole_and_not_negative() {
        for (text, number) in [
            ("12", Some(12)),
            ("12.0", Some(12)),
            ("1.2e1", Some(12)),
            ("18446744073709551615", Some(u64::MAX)),
        ] {
            assert_eq!(whole(text), number, "{text}");
        }
        for text in ["-1", "1.5", "18446744073709551616", "", "x", "1e99"] {
            assert_eq!(whole(text), None, "{text}");
        }
    }
}
