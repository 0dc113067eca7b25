//! A short identity of what a table says, to see that prices changed.
//!
//! Not a defence against forgery: the owner of the table is the one who reads it. FNV-1a with 128 bits
//! over a canonical text.

use super::model::{Dates, Model, Period};
use super::rate::TokenRates;
use crate::domain::fnv1a_128;
use std::fmt::Write;

/// Stands for the formula and the normalisation of names: raised when they change, so that what is
/// priced already is priced anew; `version` in `config/prices.toml` is raised with it, so that what is
/// published already is replaced.
const RULES: &str = "rules 1";

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
    format!("{:032x}", fnv1a_128(format!("{RULES}\n{}", lines.join("\n")).as_bytes()))
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
