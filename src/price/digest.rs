//! A short identity of what a table says, to see that prices changed.
//!
//! Not a defence against forgery: the owner of the table is the one who reads it. FNV-1a with 128 bits
//! (parameters from <http://www.isthe.com/chongo/tech/comp/fnv/>) over a canonical text.

use super::model::{Dates, Model, Period};
use super::rate::TokenRates;
use std::fmt::Write;

/// Stands for the formula and the normalisation of names: raised when they change, so that what is
/// priced already is priced anew.
const RULES: &str = "rules 1";

const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;

/// The digest of a set of models: a function of the prices of every name, of nothing else.
pub(super) fn of(models: &[Model]) -> String {
    let mut lines: Vec<String> = models
        .iter()
        .flat_map(|model| {
            let prices = canonical(model);
            model.names().map(move |name| format!("{name} {prices}")).collect::<Vec<_>>()
        })
        .collect();
    lines.sort();
    format!("{:032x}", fnv1a(&format!("{RULES}\n{}", lines.join("\n"))))
}

fn fnv1a(text: &str) -> u128 {
    text.bytes().fold(OFFSET, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME))
}

fn canonical(model: &Model) -> String {
    model.periods.iter().map(canonical_period).collect::<Vec<_>>().join(" & ")
}

fn canonical_period(period: &Period) -> String {
    let mut text = format!("{} {}", canonical_dates(&period.dates), canonical_rates(&period.rates));
    let many = period.multipliers;
    for (name, factor) in [("fast", many.fast), ("us_geo", many.us_geo), ("batch", many.batch)] {
        if let Some(factor) = factor {
            append(&mut text, format_args!(" {name} {}", factor.normalize()));
        }
    }
    if let Some(search) = period.web_search {
        append(&mut text, format_args!(" search {}", search.picodollars()));
    }
    if let Some(long) = &period.long_prompt {
        let (dates, rates) = (canonical_dates(&long.dates), canonical_rates(&long.rates));
        append(&mut text, format_args!(" above {} {dates} {rates}", long.above));
    }
    text
}

fn append(text: &mut String, more: std::fmt::Arguments<'_>) {
    text.write_fmt(more).expect("writing to a String cannot fail");
}

fn canonical_dates(dates: &Dates) -> String {
    let instant = |at: Option<crate::domain::UnixMillis>| at.map_or("-".to_owned(), |at| at.0.to_string());
    format!("[{} {})", instant(dates.from), instant(dates.to))
}

fn canonical_rates(rates: &TokenRates) -> String {
    rates.as_array().map(|rate| rate.picodollars().to_string()).join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Vectors from the page that defines the hash.
    #[test]
    fn the_hash_is_fnv1a() {
        assert_eq!(fnv1a(""), OFFSET);
        assert_eq!(format!("{:032x}", fnv1a("a")), "d228cb696f1a8caf78912b704e4a8964");
        assert_eq!(format!("{:032x}", fnv1a("foobar")), "343e1662793c64bf6f0d3597ba446f18");
    }
}
