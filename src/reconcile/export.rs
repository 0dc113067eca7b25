//! The CSV files that the Console exports: usage in tokens, and cost in dollars.
//!
//! Owns: which columns mean what. No reference describes them; the names are those of files that others have
//! published readers for, and their spelling may vary in case, blanks and punctuation. A column that looks as if it
//! counted or cost something and is not known is told of, and so is every row that cannot be read: nothing is
//! left out in silence.

use super::amount::{Amount, whole};
use super::count::{Counts, Kind};
use super::json::short;
use super::read::ReadError;
use super::theirs::{Line, Reading, Scope, Source, Statement};
use chrono::NaiveDate;

/// Columns of tokens and searches.
const COUNTS: [(&str, Kind); 14] = [
    ("usage_input_tokens_no_cache", Kind::Input),
    ("uncached_input_tokens", Kind::Input),
    ("input_tokens", Kind::Input),
    ("usage_output_tokens", Kind::Output),
    ("output_tokens", Kind::Output),
    ("usage_input_tokens_cache_write", Kind::CacheWrite),
    ("cache_creation_input_tokens", Kind::CacheWrite),
    ("usage_input_tokens_cache_write_5m", Kind::CacheWrite5m),
    ("usage_input_tokens_cache_write_1h", Kind::CacheWrite1h),
    ("usage_input_tokens_cache_read", Kind::CacheRead),
    ("cache_read_input_tokens", Kind::CacheRead),
    ("web_search_count", Kind::WebSearches),
    ("web_searches", Kind::WebSearches),
    ("web_search_requests", Kind::WebSearches),
];
const DAYS: [&str; 4] = ["usage_date_utc", "date_utc", "usage_date", "date"];
const MODELS: [&str; 2] = ["model_version", "model"];
const COSTS: [&str; 2] = ["cost_usd", "cost"];
/// What is known and changes neither count nor cost.
const OTHERS: [&str; 15] = [
    "api_key",
    "api_key_id",
    "api_key_name",
    "api_key_status",
    "workspace",
    "workspace_id",
    "workspace_name",
    "usage_type",
    "context_window",
    "token_type",
    "cost_type",
    "list_price_usd",
    "inference_geo",
    "speed",
    "service_tier",
];
/// Parts of names of columns that must not be overlooked.
const WEIGHTY: [&str; 5] = ["token", "usd", "cost", "amount", "count"];

/// What is in which column.
#[derive(Clone, Debug, Default)]
struct Columns {
    day: usize,
    model: Option<usize>,
    cost: Option<usize>,
    cost_type: Option<usize>,
    counts: Vec<(usize, Kind)>,
    unknown: Vec<String>,
}

/// True for a text whose first line names columns of an export.
pub(super) fn is_export(text: &str) -> bool {
    let first = text.trim_start_matches('\u{feff}').lines().find(|line| !line.trim().is_empty());
    first.is_some_and(|first| {
        let names: Vec<String> =
            first.split([',', ';', '\t']).map(|name| column_name(name.trim_matches('"'))).collect();
        names.iter().any(|name| DAYS.contains(&name.as_str()))
    })
}

/// Reads an export. `name` is the file's, for messages.
///
/// # Errors
/// [`ReadError::Columns`] where its columns tell neither tokens nor dollars.
pub(super) fn reading(text: &str, name: &str) -> Result<Reading, ReadError> {
    let text = text.trim_start_matches('\u{feff}');
    let separator = separator(text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default());
    let mut rows =
        ::csv::ReaderBuilder::new().delimiter(separator).flexible(true).from_reader(text.as_bytes());
    let header =
        rows.headers().map_err(|error| ReadError::Csv { name: name.to_owned(), what: error.to_string() })?;
    let columns = Columns::new(header).ok_or_else(|| ReadError::Columns {
        name: name.to_owned(),
        found: short(&header.iter().collect::<Vec<_>>().join(", ")),
    })?;
    let width = header.len();
    let mut reading = Reading::new(Source::Export);
    reading.kinds = columns.kinds();
    for column in &columns.unknown {
        reading.not_understood(name, format!("the column `{}` is not known", short(column)));
    }
    for row in rows.records() {
        let row = match row {
            Ok(row) => row,
            Err(error) => {
                reading.not_understood(name, error.to_string());
                continue;
            }
        };
        let line = row.position().map_or(0, ::csv::Position::line);
        match columns.statement(&row, width) {
            Ok(statement) => {
                if let Scope::Day(day) = statement.scope {
                    reading.covers(day, !columns.counts.is_empty(), columns.cost.is_some());
                }
                reading.statements.push(statement);
            }
            Err(what) => reading.not_understood(&format!("{name}:{line}"), what),
        }
    }
    Ok(reading)
}

fn separator(first: &str) -> u8 {
    let count = |byte: u8| first.bytes().filter(|other| *other == byte).count();
    [b',', b';', b'\t'].into_iter().max_by_key(|byte| (count(*byte), u8::MAX - *byte)).unwrap_or(b',')
}

/// A column's name in small letters, digits and single underscores.
fn column_name(text: &str) -> String {
    let letters = text.trim().to_lowercase();
    let words: Vec<&str> =
        letters.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    words.join("_")
}

impl Columns {
    /// `None` where there is no day, or nothing to compare.
    fn new(header: &::csv::StringRecord) -> Option<Self> {
        let names: Vec<String> = header.iter().map(column_name).collect();
        let find =
            |wanted: &[&str]| wanted.iter().find_map(|wanted| names.iter().position(|name| name == wanted));
        let mut columns = Self {
            day: find(&DAYS)?,
            model: find(&MODELS),
            cost: find(&COSTS),
            cost_type: find(&["cost_type"]),
            ..Self::default()
        };
        for (position, name) in names.iter().enumerate() {
            let kind = COUNTS.iter().find(|(known, _)| known == name).map(|(_, kind)| *kind);
            match kind {
                Some(kind) => columns.counts.push((position, kind)),
                None if is_overlooked(name) => columns.unknown.push(name.clone()),
                None => {}
            }
        }
        (columns.cost.is_some() || !columns.counts.is_empty()).then_some(columns)
    }

    /// The kinds that the file speaks of. Both parts of the cache writes are their sum.
    fn kinds(&self) -> Vec<Kind> {
        let has = |wanted: Kind| self.counts.iter().any(|(_, kind)| *kind == wanted);
        let sum = has(Kind::CacheWrite5m) && has(Kind::CacheWrite1h);
        let kinds = Kind::ALL.into_iter().filter(|kind| has(*kind) || (*kind == Kind::CacheWrite && sum));
        kinds.collect()
    }

    /// What a row says; the error says what in it cannot be read.
    fn statement(&self, row: &::csv::StringRecord, width: usize) -> Result<Statement, String> {
        if row.len() != width {
            return Err(format!("{} fields where there are {width} columns", row.len()));
        }
        let field = |at: usize| row.get(at).unwrap_or_default().trim();
        let day = day(field(self.day)).ok_or_else(|| format!("`{}` is no day", short(field(self.day))))?;
        let mut counts = Counts::<u64>::default();
        for (at, kind) in &self.counts {
            let count = count(field(*at)).ok_or_else(|| format!("`{}` is no count", short(field(*at))))?;
            let before = counts.get(*kind).unwrap_or(0);
            counts.set(*kind, before.saturating_add(count));
        }
        if let (Some(five), Some(hour)) = (counts.get(Kind::CacheWrite5m), counts.get(Kind::CacheWrite1h)) {
            let sum = five.saturating_add(hour);
            counts.set(Kind::CacheWrite, counts.get(Kind::CacheWrite).map_or(sum, |total| total.max(sum)));
        }
        let amount = |text: &str| dollars(text).ok_or_else(|| format!("`{}` is no amount", short(text)));
        let cost = self.cost.map(|at| amount(field(at))).transpose()?;
        let model = self.model.map(field).filter(|model| !model.is_empty());
        let kind = self.cost_type.map(field).unwrap_or_default();
        Ok(Statement { scope: Scope::Day(day), line: line(model, kind), counts, cost })
    }
}

/// True for a column that may be something to compare.
fn is_overlooked(name: &str) -> bool {
    let is_known = [&DAYS[..], &MODELS, &COSTS, &OTHERS].iter().any(|known| known.contains(&name));
    !is_known && WEIGHTY.iter().any(|weighty| name.contains(weighty))
}

/// A model's line; without a model the kind of cost says what it is.
fn line(model: Option<&str>, kind: &str) -> Line {
    match (model, column_name(kind).as_str()) {
        (_, "web_search" | "web_searches") => Line::WebSearch,
        (Some(model), "" | "token" | "tokens" | "message" | "messages") => Line::Model(model.to_owned()),
        (Some(model), other) => Line::Other(format!("{model}, {other}")),
        (None, "") => Line::Other("no model".to_owned()),
        (None, other) => Line::Other(other.to_owned()),
    }
}

/// `2026-08-05`, `2026/8/5`, with or without a time behind it.
fn day(text: &str) -> Option<NaiveDate> {
    let date = text.split(['T', ' ']).next()?;
    let mut parts = date.split(['-', '/']);
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let digits =
        |part: &str| (!part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())).then_some(());
    for part in [year, month, day] {
        digits(part)?;
    }
    if parts.next().is_some() || year.len() != 4 {
        return None;
    }
    NaiveDate::from_ymd_opt(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?)
}

/// A count, `1234` or `1,234`; an empty field is 0.
fn count(text: &str) -> Option<u64> {
    if text.is_empty() { Some(0) } else { whole(&without_groups(text)) }
}

/// Dollars, `$1,234.50`; an empty field is 0.
fn dollars(text: &str) -> Option<Amount> {
    if text.is_empty() {
        return Some(Amount::default());
    }
    Amount::rounded_dollars(&without_groups(text.strip_prefix('$').unwrap_or(text)))
}

/// Without the commas of thousands; a comma anywhere else stays and makes it no number.
fn without_groups(text: &str) -> String {
    let whole = text.split('.').next().unwrap_or_default();
    let is_grouped = whole.split(',').skip(1).all(|group| group.len() == 3) && !whole.starts_with(',');
    if is_grouped { text.replace(',', "") } else { text.to_owned() }
}

#[cfg(test)]
mod tests;
