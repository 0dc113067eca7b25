//! `tallyd prices`: the table in force as text or JSON, and what a price file would change.
//!
//! Owns: the layout of these three texts. Takes tables, returns strings; reads and prints nothing.

use crate::domain::UnixMillis;
use crate::price::{LongPrompt, Model, Multipliers, Period, PriceTable, Rate, SearchRate, TokenRates};
use comfy_table::{Cell, CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::value::RawValue;
use std::fmt::Write;

const HEADINGS: [&str; 11] =
    ["Model", "Valid", "Input", "Output", "5m write", "1h write", "Read", "Fast", "US", "Batch", "Searches"];

/// One line below the headings and no others.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// Which columns of [`HEADINGS`] to show, from the most to the least; the first that fits is taken.
const LAYOUTS: [&[usize]; 3] =
    [&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10], &[0, 1, 2, 3, 4, 5, 6], &[0, 2, 3, 4, 5, 6]];

/// The table as text of at most `width` columns (`None`: as wide as it is). Shows the rows in force at
/// `at`, or with `all` every row. Where it is too wide, first the multipliers go, then (unless with `all`,
/// where they tell rows apart) the dates; what is still too wide is broken into lines.
pub(super) fn render_table(table: &PriceTable, at: UnixMillis, all: bool, width: Option<u16>) -> String {
    let rows = rows(table, at, all);
    let fits = |text: &Table| {
        width.is_none_or(|width| text.lines().all(|line| line.chars().count() <= usize::from(width)))
    };
    let mut note = footnote(table, at, all);
    let mut text = Table::new();
    for columns in LAYOUTS.into_iter().take(if all { 2 } else { 3 }) {
        text = layout(&rows, columns);
        if fits(&text) {
            break;
        }
    }
    if text.column_count() < HEADINGS.len() {
        note.push_str("A wider terminal or --json shows dates and multipliers too.\n");
    }
    if let Some(width) = width.filter(|_| !fits(&text)) {
        text.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    format!("{text}\n{note}")
}

fn layout(rows: &[Vec<String>], columns: &[usize]) -> Table {
    let chosen = |row: &[String]| -> Vec<Cell> {
        let texts = columns.iter().filter_map(|column| row.get(*column));
        texts.zip(columns).map(|(text, column)| aligned(text, *column)).collect()
    };
    let mut text = Table::new();
    text.load_style(STYLE).set_header(chosen(&HEADINGS.map(str::to_owned)));
    text.add_rows(rows.iter().map(|row| chosen(row)));
    text
}

/// Names and dates to the left, numbers to the right.
fn aligned(text: &str, column: usize) -> Cell {
    Cell::new(text).set_alignment(if column < 2 { CellAlignment::Left } else { CellAlignment::Right })
}

/// The texts of all columns, row by row.
fn rows(table: &PriceTable, at: UnixMillis, all: bool) -> Vec<Vec<String>> {
    let shows_origin = table.models().iter().any(|model| model.origin != "shipped");
    let mut rows = Vec::new();
    for (model, period) in shown(table, at, all) {
        let name = if shows_origin { format!("{} ({})", model.id, model.origin) } else { model.id.clone() };
        rows.push(period_texts(name, period));
        let long = period.long_prompt.as_ref().filter(|long| all || long.dates.contains(at));
        rows.extend(long.map(long_texts));
    }
    rows
}

fn footnote(table: &PriceTable, at: UnixMillis, all: bool) -> String {
    let mut note =
        "USD per million tokens; searches: USD per 1,000. \"prompt >\": every token of such a request.\n"
            .to_owned();
    let hidden = shown(table, at, true).count() - shown(table, at, all).count();
    if hidden > 0 {
        add(
            &mut note,
            format_args!("In force on {} (UTC); rows of other days, not shown: {hidden}.\n", day(at)),
        );
    }
    note
}

fn shown(table: &PriceTable, at: UnixMillis, all: bool) -> impl Iterator<Item = (&Model, &Period)> {
    table
        .models()
        .iter()
        .flat_map(|model| model.periods.iter().map(move |period| (model, period)))
        .filter(move |(_, period)| all || period.dates.contains(at))
}

fn period_texts(name: String, period: &Period) -> Vec<String> {
    let factor = |factor: Option<Decimal>| factor.map_or("-".to_owned(), |factor| format!("x{factor}"));
    let search = period.web_search.map_or("-".to_owned(), |rate| rate.usd_per_thousand().to_string());
    let Multipliers { fast, us_geo, batch } = period.multipliers;
    [name, period.dates.to_string()]
        .into_iter()
        .chain(rate_texts(&period.rates))
        .chain([factor(fast), factor(us_geo), factor(batch), search])
        .collect()
}

fn long_texts(long: &LongPrompt) -> Vec<String> {
    [format!("  prompt > {}", long.above), long.dates.to_string()]
        .into_iter()
        .chain(rate_texts(&long.rates))
        .collect()
}

fn rate_texts(rates: &TokenRates) -> [String; 5] {
    rates.as_array().map(|rate| rate.usd_per_million().to_string())
}

fn day(at: UnixMillis) -> String {
    at.to_rfc3339().chars().take("YYYY-MM-DD".len()).collect()
}

/// A JSON number that carries every digit.
type Number = Box<RawValue>;

fn number(decimal: Decimal) -> Number {
    RawValue::from_string(decimal.to_string()).expect("a decimal is a JSON number")
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JsonTable<'a> {
    unit: &'static str,
    date: String,
    digest: String,
    models: Vec<JsonRow<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JsonRow<'a> {
    id: &'a str,
    aliases: &'a [String],
    origin: &'a str,
    in_force: bool,
    valid_from: Option<String>,
    valid_to: Option<String>,
    #[serde(flatten)]
    rates: JsonRates,
    fast: Option<Number>,
    us_geo: Option<Number>,
    batch: Option<Number>,
    web_search_per_1000: Option<Number>,
    long_prompt: Option<JsonLong>,
    source: &'a str,
    note: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JsonLong {
    above: u64,
    valid_from: Option<String>,
    valid_to: Option<String>,
    #[serde(flatten)]
    rates: JsonRates,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JsonRates {
    input: Number,
    output: Number,
    cache_write_5m: Number,
    cache_write_1h: Number,
    cache_read: Number,
}

impl JsonRates {
    fn new(rates: &TokenRates) -> Self {
        let price = |rate: Rate| number(rate.usd_per_million());
        Self {
            input: price(rates.input),
            output: price(rates.output),
            cache_write_5m: price(rates.cache_write_5m),
            cache_write_1h: price(rates.cache_write_1h),
            cache_read: price(rates.cache_read),
        }
    }
}

/// The table as one JSON object: `unit`, `date`, `digest` and `models`, one element a row; with the same
/// choice of rows as [`render_table`].
pub(super) fn render_json(table: &PriceTable, at: UnixMillis, all: bool) -> String {
    let json = JsonTable {
        unit: "USD per 1,000,000 tokens",
        date: day(at),
        digest: table.digest(),
        models: shown(table, at, all).map(|(model, period)| json_row(model, period, at)).collect(),
    };
    serde_json::to_string_pretty(&json).expect("strings and numbers always serialise") + "\n"
}

fn json_row<'a>(model: &'a Model, period: &'a Period, at: UnixMillis) -> JsonRow<'a> {
    JsonRow {
        id: &model.id,
        aliases: &model.aliases,
        origin: &model.origin,
        in_force: period.dates.contains(at),
        valid_from: period.dates.from_day(),
        valid_to: period.dates.to_day(),
        rates: JsonRates::new(&period.rates),
        fast: period.multipliers.fast.map(number),
        us_geo: period.multipliers.us_geo.map(number),
        batch: period.multipliers.batch.map(number),
        web_search_per_1000: period.web_search.map(|rate| number(rate.usd_per_thousand())),
        long_prompt: period.long_prompt.as_ref().map(|long| JsonLong {
            above: long.above,
            valid_from: long.dates.from_day(),
            valid_to: long.dates.to_day(),
            rates: JsonRates::new(&long.rates),
        }),
        source: &period.source,
        note: period.note.as_deref(),
    }
}

/// What a table would change in another: the models it adds, those it overrides with the rows before
/// (`-`) and after (`+`), and the names it takes from other models. Ends with a newline.
pub(super) fn describe_override(base: &PriceTable, other: &PriceTable) -> String {
    let mut text = String::new();
    for model in other.models() {
        match base.models().iter().find(|before| before.id == model.id) {
            None => {
                add(&mut text, format_args!("adds {}\n", model.id));
                add_rows(&mut text, '+', &model.periods);
            }
            Some(before) if same_prices(&before.periods, &model.periods) => {
                add(&mut text, format_args!("leaves {} at the same prices\n", model.id));
            }
            Some(before) => {
                add(&mut text, format_args!("overrides {}\n", model.id));
                add_rows(&mut text, '-', &before.periods);
                add_rows(&mut text, '+', &model.periods);
            }
        }
        for (name, owner) in names_taken(base, model) {
            add(&mut text, format_args!("gives the name {name} of {owner} to {}\n", model.id));
        }
    }
    if text.is_empty() { "adds and overrides nothing\n".to_owned() } else { text }
}

fn names_taken<'a>(base: &'a PriceTable, model: &'a Model) -> impl Iterator<Item = (&'a str, &'a str)> {
    model.names().filter_map(|name| {
        let owner = base.models().iter().find(|owner| owner.names().any(|other| other == name))?;
        (owner.id != model.id).then_some((name, owner.id.as_str()))
    })
}

/// Compares what is billed, not where it was read.
fn same_prices(before: &[Period], after: &[Period]) -> bool {
    before.iter().map(describe_row).eq(after.iter().map(describe_row))
}

fn add_rows(text: &mut String, sign: char, periods: &[Period]) {
    for period in periods {
        add(text, format_args!("  {sign} {}\n", describe_row(period)));
    }
}

fn describe_row(period: &Period) -> String {
    let mut text = format!("{}: {}", period.dates, describe_rates(&period.rates));
    let Multipliers { fast, us_geo, batch } = period.multipliers;
    for (name, factor) in [("fast", fast), ("us_geo", us_geo), ("batch", batch)] {
        if let Some(factor) = factor {
            add(&mut text, format_args!(", {name} x{factor}"));
        }
    }
    if let Some(search) = period.web_search.map(SearchRate::usd_per_thousand) {
        add(&mut text, format_args!(", web_search_per_1000 {search}"));
    }
    if let Some(long) = &period.long_prompt {
        let rates = describe_rates(&long.rates);
        add(&mut text, format_args!("; prompt > {} ({}): {rates}", long.above, long.dates));
    }
    text
}

fn describe_rates(rates: &TokenRates) -> String {
    let pairs = TokenRates::KEYS.into_iter().zip(rate_texts(rates));
    pairs.map(|(key, price)| format!("{key} {price}")).collect::<Vec<_>>().join(", ")
}

fn add(text: &mut String, more: std::fmt::Arguments<'_>) {
    text.write_fmt(more).expect("writing to a String cannot fail");
}

#[cfg(test)]
mod tests;
