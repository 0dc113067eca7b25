//! Models as a price file: the inverse of [`super::read`].

use super::model::{Dates, Model, Period};
use super::rate::TokenRates;
use rust_decimal::Decimal;
use toml::Value;

/// The version, then one `[[models]]` row for each period; aliases stand in a model's first row.
pub(super) fn to_toml(version: Option<u32>, models: &[Model]) -> String {
    let mut lines = Vec::new();
    if let Some(version) = version {
        lines.extend([format!("version = {version}"), String::new()]);
    }
    for model in models {
        for (position, period) in model.periods.iter().enumerate() {
            lines.extend(["[[models]]".to_owned(), format!("id = {}", quoted(&model.id))]);
            if position == 0 && !model.aliases.is_empty() {
                let aliases: Vec<String> = model.aliases.iter().map(|alias| quoted(alias)).collect();
                lines.push(format!("aliases = [{}]", aliases.join(", ")));
            }
            push_period(&mut lines, period);
            lines.push(String::new());
        }
    }
    lines.join("\n")
}

fn push_period(lines: &mut Vec<String>, period: &Period) {
    push_dates(lines, &period.dates);
    push_rates(lines, &period.rates);
    let many = period.multipliers;
    let search = period.web_search.map(super::SearchRate::usd_per_thousand);
    for (key, number) in
        [("fast", many.fast), ("us_geo", many.us_geo), ("batch", many.batch), ("web_search_per_1000", search)]
    {
        lines.extend(number.map(|number| line(key, number)));
    }
    if !period.source.is_empty() {
        lines.push(format!("source = {}", quoted(&period.source)));
    }
    lines.extend(period.note.as_ref().map(|note| format!("note = {}", quoted(note))));
    if let Some(long) = &period.long_prompt {
        lines.extend(["[models.long_prompt]".to_owned(), format!("above = {}", long.above)]);
        push_dates(lines, &long.dates);
        push_rates(lines, &long.rates);
    }
}

fn push_dates(lines: &mut Vec<String>, dates: &Dates) {
    lines.extend(dates.from_day().map(|day| format!("valid_from = {day}")));
    lines.extend(dates.to_day().map(|day| format!("valid_to = {day}")));
}

fn push_rates(lines: &mut Vec<String>, rates: &TokenRates) {
    let priced = TokenRates::KEYS.into_iter().zip(rates.as_array());
    lines.extend(priced.map(|(key, rate)| line(key, rate.usd_per_million())));
}

fn line(key: &str, number: Decimal) -> String {
    format!("{key} = \"{number}\"")
}

/// A TOML string, escaped.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
