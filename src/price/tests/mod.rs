//! Tests of the price table: helpers here, one file for each surface.

mod files;
mod formula;
mod overrides;
mod properties;
mod reference;

use super::*;
use crate::domain::{Cost, ModelName, Picodollars, TokenCounts, UnixMillis, Usage};
use rust_decimal::Decimal;

/// Noon of a UTC day.
fn noon(day: &str) -> UnixMillis {
    UnixMillis::parse(&format!("{day}T12:00:00Z")).unwrap()
}

fn model(name: &str) -> ModelName {
    ModelName(name.to_owned())
}

/// Tokens in the order input, output, 5-minute writes, 1-hour writes, reads.
fn usage(tokens: [u64; 5]) -> Usage {
    Usage { tokens: TokenCounts::from_array(tokens), ..Usage::default() }
}

/// A cost from dollars in decimal text; `unpriced` for none.
fn dollars(text: &str) -> Cost {
    if text == "unpriced" {
        return Cost::Unpriced;
    }
    let picodollars = Decimal::from_str_exact(text).unwrap() * Decimal::from(1_000_000_000_000_i64);
    assert!(picodollars.is_integer(), "{text} is no whole number of picodollars");
    Cost::Known(Picodollars(
        i64::try_from(picodollars.mantissa() / 10_i128.pow(picodollars.scale())).unwrap(),
    ))
}
