//! Price files: TOML text to models, checked.
//!
//! Owns: the file format, whose manual is the head of `config/prices.toml`. Refuses unknown keys, prices
//! written as TOML floats (which are binary fractions), rates that picodollars do not resolve, periods
//! that overlap and names claimed twice; every refusal is a [`PriceError`] that names place and value.

use super::error::{Place, PriceError};
use super::model::{Dates, LongPrompt, Model, Multipliers, Period};
use super::name::normalise;
use super::rate::{Rate, SearchRate, TokenRates};
use crate::domain::UnixMillis;
use rust_decimal::Decimal;
use serde::Deserialize;
use toml::{Spanned, Value};

const PRICE: &str = "a decimal number in quotes, such as \"0.25\", or a whole number; zero or more";
const MULTIPLIER: &str = "a decimal number in quotes, such as \"1.1\", or a whole number; more than zero";
const DATE: &str = "a UTC day, such as 2026-10-07";
const NAME: &str = "the name of a model";
const VERSION: &str = "a whole number from 1 to 99999999, such as the date 20261122";

/// A whole file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: Option<Value>,
    #[serde(default)]
    models: Vec<Spanned<Row>>,
}

/// A `[[models]]` row. Values stay raw so that an error can quote them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    id: String,
    #[serde(default)]
    aliases: Vec<String>,
    valid_from: Option<Value>,
    valid_to: Option<Value>,
    input: Option<Value>,
    output: Option<Value>,
    cache_write_5m: Option<Value>,
    cache_write_1h: Option<Value>,
    cache_read: Option<Value>,
    fast: Option<Value>,
    us_geo: Option<Value>,
    batch: Option<Value>,
    web_search_per_1000: Option<Value>,
    long_prompt: Option<LongRow>,
    #[serde(default)]
    source: String,
    note: Option<String>,
}

/// A `[models.long_prompt]` table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LongRow {
    above: u64,
    valid_from: Option<Value>,
    valid_to: Option<Value>,
    input: Option<Value>,
    output: Option<Value>,
    cache_write_5m: Option<Value>,
    cache_write_1h: Option<Value>,
    cache_read: Option<Value>,
}

/// The version of a file (0 where it names none) and its models, in the order in which it first names them.
pub(super) fn file(text: &str, origin: &str) -> Result<(u32, Vec<Model>), PriceError> {
    let file: File = toml::from_str(text).map_err(|error| syntax_error(&error, text, origin))?;
    let version = read_version(origin, file.version)?;
    let mut models: Vec<Model> = Vec::new();
    for row in file.models {
        let line = Some(line_of(text, row.span().start));
        let row = row.into_inner();
        let mut place = Place { origin: origin.to_owned(), line, model: None };
        let id = read_name(&place, "id", &row.id)?;
        place.model = Some(id.clone());
        let aliases = row
            .aliases
            .iter()
            .map(|alias| read_name(&place, "aliases", alias))
            .collect::<Result<Vec<_>, _>>()?;
        let period = read_period(&place, row)?;
        match models.iter_mut().find(|model| model.id == id) {
            Some(model) => add_period(&place, model, aliases, period)?,
            None => models.push(Model {
                aliases: distinct(&id, aliases),
                id,
                origin: origin.to_owned(),
                periods: vec![period],
            }),
        }
    }
    check_names(&models)?;
    Ok((version, models))
}

fn read_version(origin: &str, value: Option<Value>) -> Result<u32, PriceError> {
    let Some(value) = value else { return Ok(0) };
    let number = value.as_integer().and_then(|number| u32::try_from(number).ok());
    number.filter(|number| (1..=99_999_999).contains(number)).ok_or_else(|| {
        let place = Place { origin: origin.to_owned(), line: None, model: None };
        wrong(&place, "version", value.to_string(), VERSION)
    })
}

fn syntax_error(error: &toml::de::Error, text: &str, origin: &str) -> PriceError {
    let line = error.span().map(|span| line_of(text, span.start));
    let place = Place { origin: origin.to_owned(), line, model: None };
    PriceError::Syntax { place: Box::new(place), reason: error.message().to_owned() }
}

/// The line, counted from 1, of a byte offset.
fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

fn read_name(place: &Place, key: &str, value: &str) -> Result<String, PriceError> {
    let name = normalise(value);
    if name.is_empty() { Err(wrong(place, key, format!("\"{value}\""), NAME)) } else { Ok(name) }
}

/// The aliases without repetitions of each other and of the id: normalisation makes some the same.
fn distinct(id: &str, aliases: Vec<String>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for alias in aliases {
        if alias != id && !kept.contains(&alias) {
            kept.push(alias);
        }
    }
    kept
}

fn add_period(
    place: &Place,
    model: &mut Model,
    aliases: Vec<String>,
    period: Period,
) -> Result<(), PriceError> {
    if let Some(other) = model.periods.iter().find(|other| other.dates.overlaps(&period.dates)) {
        return Err(PriceError::Overlap {
            place: Box::new(place.clone()),
            first: other.dates.to_string(),
            second: period.dates.to_string(),
        });
    }
    model.periods.push(period);
    model.periods.sort_by_key(|period| period.dates.from);
    let all = model.aliases.drain(..).chain(aliases).collect();
    model.aliases = distinct(&model.id, all);
    Ok(())
}

fn check_names(models: &[Model]) -> Result<(), PriceError> {
    let mut owners = std::collections::HashMap::new();
    for model in models {
        for name in model.names() {
            if let Some(other) = owners.insert(name, &model.id) {
                return Err(PriceError::NameTaken {
                    place: Box::new(Place {
                        origin: model.origin.clone(),
                        line: None,
                        model: Some(model.id.clone()),
                    }),
                    name: name.to_owned(),
                    other: other.clone(),
                });
            }
        }
    }
    Ok(())
}

fn read_period(place: &Place, row: Row) -> Result<Period, PriceError> {
    let Row { input, output, cache_write_5m, cache_write_1h, cache_read, .. } = row;
    let multipliers = Multipliers {
        fast: read_multiplier(place, "fast", row.fast)?,
        us_geo: read_multiplier(place, "us_geo", row.us_geo)?,
        batch: read_multiplier(place, "batch", row.batch)?,
    };
    let values = [input, output, cache_write_5m, cache_write_1h, cache_read];
    Ok(Period {
        dates: read_dates(place, "models", row.valid_from, row.valid_to)?,
        rates: read_rates(place, "", values, &multipliers)?,
        multipliers,
        web_search: row.web_search_per_1000.map(|value| read_search(place, &value)).transpose()?,
        long_prompt: row.long_prompt.map(|long| read_long(place, long, &multipliers)).transpose()?,
        source: row.source,
        note: row.note,
    })
}

fn read_long(place: &Place, row: LongRow, multipliers: &Multipliers) -> Result<LongPrompt, PriceError> {
    let LongRow { input, output, cache_write_5m, cache_write_1h, cache_read, .. } = row;
    let values = [input, output, cache_write_5m, cache_write_1h, cache_read];
    Ok(LongPrompt {
        above: row.above,
        dates: read_dates(place, "long_prompt", row.valid_from, row.valid_to)?,
        rates: read_rates(place, "long_prompt.", values, multipliers)?,
    })
}

fn read_rates(
    place: &Place,
    table: &str,
    values: [Option<Value>; 5],
    multipliers: &Multipliers,
) -> Result<TokenRates, PriceError> {
    let mut rates = [Rate::default(); 5];
    for ((rate, value), key) in rates.iter_mut().zip(values).zip(TokenRates::KEYS) {
        let key = format!("{table}{key}");
        let Some(value) = value else {
            return Err(PriceError::Missing { place: Box::new(place.clone()), key, expected: PRICE });
        };
        let price = read_decimal(place, &key, &value, PRICE)?;
        *rate = Rate::from_usd_per_million(price)
            .ok_or_else(|| fraction(place, &key, price, Multipliers::default()))?;
    }
    let rates = TokenRates::from_array(rates);
    check_combinations(place, table, &rates, multipliers)?;
    Ok(rates)
}

/// Refuses a rate that under some combination of its own multipliers is no whole number of picodollars.
fn check_combinations(
    place: &Place,
    table: &str,
    rates: &TokenRates,
    multipliers: &Multipliers,
) -> Result<(), PriceError> {
    for applied in multipliers.combinations() {
        let key = match applied.product() {
            Some(product) => rates.times(product).err(),
            None => TokenRates::KEYS.first().copied(),
        };
        if let Some(key) = key {
            let rate = TokenRates::KEYS.iter().zip(rates.as_array()).find(|(name, _)| **name == key);
            let price = rate.map_or(Decimal::ZERO, |(_, rate)| rate.usd_per_million());
            return Err(fraction(place, &format!("{table}{key}"), price, applied));
        }
    }
    Ok(())
}

fn read_search(place: &Place, value: &Value) -> Result<SearchRate, PriceError> {
    let key = "web_search_per_1000";
    let price = read_decimal(place, key, value, PRICE)?;
    SearchRate::from_usd_per_thousand(price)
        .ok_or_else(|| fraction(place, key, price, Multipliers::default()))
}

fn read_multiplier(place: &Place, key: &str, value: Option<Value>) -> Result<Option<Decimal>, PriceError> {
    let Some(value) = value else { return Ok(None) };
    let factor = read_decimal(place, key, &value, MULTIPLIER)?;
    if factor.is_zero() { Err(wrong(place, key, value.to_string(), MULTIPLIER)) } else { Ok(Some(factor)) }
}

/// A number that is not negative, exactly as it is written.
fn read_decimal(
    place: &Place,
    key: &str,
    value: &Value,
    expected: &'static str,
) -> Result<Decimal, PriceError> {
    let number = match value {
        Value::String(text) => Decimal::from_str_exact(text).ok(),
        Value::Integer(whole) => Some(Decimal::from(*whole)),
        _ => None,
    };
    number
        .filter(|number| !number.is_sign_negative())
        .map(|number| number.normalize())
        .ok_or_else(|| wrong(place, key, value.to_string(), expected))
}

fn read_dates(
    place: &Place,
    table: &'static str,
    from: Option<Value>,
    to: Option<Value>,
) -> Result<Dates, PriceError> {
    let read =
        |key, value: Option<Value>| value.map(|value: Value| read_date(place, key, &value)).transpose();
    let dates = Dates { from: read("valid_from", from)?, to: read("valid_to", to)? };
    match (dates.from, dates.to) {
        (Some(from), Some(to)) if from >= to => Err(PriceError::Backwards {
            place: Box::new(place.clone()),
            key: table,
            dates: dates.to_string(),
        }),
        _ => Ok(dates),
    }
}

fn read_date(place: &Place, key: &str, value: &Value) -> Result<UnixMillis, PriceError> {
    let text = match value {
        Value::Datetime(date) => date.to_string(),
        Value::String(text) => text.clone(),
        other => return Err(wrong(place, key, other.to_string(), DATE)),
    };
    Some(&text)
        .filter(|text| text.len() == "2026-10-07".len())
        .and_then(|text| UnixMillis::parse(&format!("{text}T00:00:00Z")))
        .ok_or_else(|| wrong(place, key, value.to_string(), DATE))
}

fn wrong(place: &Place, key: &str, value: String, expected: &'static str) -> PriceError {
    PriceError::Value { place: Box::new(place.clone()), key: key.to_owned(), value, expected }
}

fn fraction(place: &Place, key: &str, price: Decimal, applied: Multipliers) -> PriceError {
    let factors: Vec<String> = applied.named().map(|(name, factor)| format!(" x {name} {factor}")).collect();
    PriceError::Fraction {
        place: Box::new(place.clone()),
        key: key.to_owned(),
        value: price.to_string(),
        multipliers: factors.concat(),
    }
}
