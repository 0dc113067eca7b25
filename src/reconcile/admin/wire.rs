//! The bodies of the Admin APIs to statements.
//!
//! Owns: the names of their fields. Amounts are read from their digits. A field that looks as if it counted tokens
//! and is not known is told of; a body of another shape is an error that says where it differs.

use super::day_of;
use crate::reconcile::amount::Amount;
use crate::reconcile::count::{Counts, Kind};
use crate::reconcile::json::{self, Object};
use crate::reconcile::theirs::{Line, Reading, Scope, Statement};
use chrono::NaiveDate;
use serde_json::value::RawValue;
use std::collections::BTreeSet;

/// Where the next page is, if there is one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) next: Option<String>,
}

pub(super) fn usage_kinds() -> Vec<Kind> {
    Kind::ALL.to_vec()
}

/// Of cache writes the sum alone.
pub(super) fn analytics_kinds() -> Vec<Kind> {
    vec![Kind::Input, Kind::Output, Kind::CacheWrite, Kind::CacheRead]
}

/// A page of the usage report.
pub(super) fn usage(body: &str, place: &str, reading: &mut Reading) -> Result<Page, String> {
    let (page, buckets) = page(body)?;
    for bucket in buckets {
        let (day, results) = bucket_of(bucket)?;
        for result in results {
            let result = object(result, "a result")?;
            let counts = usage_counts(&result, place, reading).map_err(|what| format!("{day}: {what}"))?;
            let line = match json::text_of(&result, "model") {
                Some(model) => Line::Model(model),
                None => Line::Other("no model".to_owned()),
            };
            reading.statements.push(Statement { scope: Scope::Day(day), line, counts, cost: None });
        }
    }
    Ok(page)
}

fn usage_counts(result: &Object<'_>, place: &str, reading: &mut Reading) -> Result<Counts, String> {
    let mut counts = Counts::default();
    let known = [
        (Kind::Input, "uncached_input_tokens"),
        (Kind::CacheRead, "cache_read_input_tokens"),
        (Kind::Output, "output_tokens"),
    ];
    for (kind, key) in known {
        counts.set(kind, json::count_of(result, key)?);
    }
    let written = json::object_of(result, "cache_creation")?;
    let parts = [
        (Kind::CacheWrite5m, "ephemeral_5m_input_tokens"),
        (Kind::CacheWrite1h, "ephemeral_1h_input_tokens"),
    ];
    let mut sum = 0_u64;
    for (kind, key) in parts {
        let count = json::count_of(&written, key)?;
        sum = sum.saturating_add(count);
        counts.set(kind, count);
    }
    counts.set(Kind::CacheWrite, sum);
    let tools = json::object_of(result, "server_tool_use")?;
    counts.set(Kind::WebSearches, json::count_of(&tools, "web_search_requests")?);
    tell_unknown(result, &known.map(|(_, key)| key), place, reading);
    tell_unknown(&written, &parts.map(|(_, key)| key), place, reading);
    Ok(counts)
}

/// Says once of each field that counts tokens of a kind nobody knows.
fn tell_unknown(object: &Object<'_>, known: &[&str], place: &str, reading: &mut Reading) {
    let keys: BTreeSet<&String> = object
        .iter()
        .filter(|(key, value)| {
            key.ends_with("tokens") && !known.contains(&key.as_str()) && value.get() != "0"
        })
        .map(|(key, _)| key)
        .collect();
    for key in keys {
        let what = format!("the field `{}` is not known", json::short(key));
        if !reading.not_understood.iter().any(|told| told.place == place && told.what == what) {
            reading.not_understood(place, what);
        }
    }
}

/// A page of the cost report. Of several workspaces those in `only`, where it names any.
pub(super) fn cost(body: &str, place: &str, only: &[String], reading: &mut Reading) -> Result<Page, String> {
    let (page, buckets) = page(body)?;
    for bucket in buckets {
        let (day, results) = bucket_of(bucket)?;
        for result in results {
            let result = object(result, "a result")?;
            let workspace = json::text_of(&result, "workspace_id").unwrap_or_default();
            if !only.is_empty() && !only.contains(&workspace) {
                continue;
            }
            let text = json::text_of(&result, "amount").unwrap_or_default();
            let currency = json::text_of(&result, "currency").unwrap_or_else(|| "USD".to_owned());
            if currency != "USD" {
                reading.not_understood(place, format!("{day}: an amount in {}", json::short(&currency)));
                continue;
            }
            let amount = Amount::exact_cents(&text);
            let cost = Some(amount.ok_or_else(|| format!("{day}: `{}` is no amount", json::short(&text)))?);
            let line = cost_line(&result);
            reading.statements.push(Statement {
                scope: Scope::Day(day),
                line,
                counts: Counts::default(),
                cost,
            });
        }
    }
    Ok(page)
}

/// Tokens are billed by model, searches without one, everything else by its description.
fn cost_line(result: &Object<'_>) -> Line {
    let kind = json::text_of(result, "cost_type");
    let description = || json::text_of(result, "description");
    match (kind.as_deref(), json::text_of(result, "model")) {
        (Some("web_search"), _) => Line::WebSearch,
        (Some("tokens") | None, Some(model)) => Line::Model(model),
        (Some(kind), _) => Line::Other(description().unwrap_or_else(|| kind.to_owned())),
        (None, None) => Line::Other(description().unwrap_or_else(|| "no model".to_owned())),
    }
}

/// A page of Claude Code's analytics of a day. Of several users those in `only`, where it names any.
pub(super) fn claude_code(
    body: &str,
    place: &str,
    asked: NaiveDate,
    only: &[String],
    reading: &mut Reading,
) -> Result<Page, String> {
    let (page, records) = page(body)?;
    for record in records {
        let record = object(record, "a record")?;
        let actor = json::object_of(&record, "actor")?;
        let name = ["email_address", "api_key_name"].into_iter().find_map(|key| json::text_of(&actor, key));
        if !only.is_empty() && !name.is_some_and(|name| only.contains(&name)) {
            continue;
        }
        let day = json::text_of(&record, "date").and_then(|text| day_of(&text)).unwrap_or(asked);
        for model in json::list_of(&record, "model_breakdown")? {
            let model = object(model, "a model")?;
            let statement = of_model(&model, day, place, reading).map_err(|what| format!("{day}: {what}"))?;
            reading.statements.push(statement);
        }
    }
    Ok(page)
}

fn of_model(
    model: &Object<'_>,
    day: NaiveDate,
    place: &str,
    reading: &mut Reading,
) -> Result<Statement, String> {
    let tokens = json::object_of(model, "tokens")?;
    let mut counts = Counts::default();
    let known = [
        (Kind::Input, "input"),
        (Kind::Output, "output"),
        (Kind::CacheWrite, "cache_creation"),
        (Kind::CacheRead, "cache_read"),
    ];
    for (kind, key) in known {
        counts.set(kind, json::count_of(&tokens, key)?);
    }
    for key in tokens.keys().filter(|key| !known.iter().any(|(_, known)| known == key)) {
        reading.not_understood(place, format!("{day}: tokens of the kind `{}`", json::short(key)));
    }
    let cost = json::object_of(model, "estimated_cost")?;
    let currency = json::text_of(&cost, "currency").unwrap_or_else(|| "USD".to_owned());
    let amount = json::text_of(&cost, "amount");
    let cost = match amount {
        Some(_) if currency != "USD" => {
            reading.not_understood(place, format!("{day}: an amount in {}", json::short(&currency)));
            None
        }
        Some(text) => {
            let amount = Amount::rounded_cents(&text);
            Some(amount.ok_or_else(|| format!("`{}` is no amount", json::short(&text)))?)
        }
        None => None,
    };
    let name = json::text_of(model, "model").unwrap_or_else(|| "no model".to_owned());
    Ok(Statement { scope: Scope::Day(day), line: Line::Model(name), counts, cost })
}

/// The list of a page, and where the next one is.
fn page(body: &str) -> Result<(Page, Vec<&RawValue>), String> {
    let object: Object<'_> = serde_json::from_str(body).map_err(|error| error.to_string())?;
    if !object.contains_key("data") {
        return Err("it has no list `data`".to_owned());
    }
    let data = json::list_of(&object, "data")?;
    let has_more = match object.get("has_more").map(|value| value.get()) {
        Some("true") => true,
        Some("false") => false,
        _ => return Err("it does not say whether it `has_more`".to_owned()),
    };
    let next = json::text_of(&object, "next_page");
    match (has_more, next) {
        (true, None) => Err("it has more, and no `next_page`".to_owned()),
        (true, next) => Ok((Page { next }, data)),
        (false, _) => Ok((Page { next: None }, data)),
    }
}

/// A day and what was in it.
fn bucket_of(bucket: &RawValue) -> Result<(NaiveDate, Vec<&RawValue>), String> {
    let bucket = object(bucket, "a bucket")?;
    let start = json::text_of(&bucket, "starting_at").ok_or("a bucket has no `starting_at`")?;
    let day = day_of(&start).ok_or_else(|| format!("`{}` is no day", json::short(&start)))?;
    Ok((day, json::list_of(&bucket, "results")?))
}

fn object<'a>(value: &'a RawValue, what: &str) -> Result<Object<'a>, String> {
    serde_json::from_str(value.get()).map_err(|_| format!("{what} is {}", json::short(value.get())))
}

#[cfg(test)]
mod tests;
