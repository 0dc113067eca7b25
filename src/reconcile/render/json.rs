//! A comparison as JSON. A cost is a number with every digit it has, `null` where it is unknown.

use crate::domain::Usd;
use crate::reconcile::cause::Cause;
use crate::reconcile::compared::{Comparison, Row, Section, Side, Sums};
use crate::reconcile::count::Counts;
use crate::reconcile::theirs::{NotUnderstood, Scope, Source};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::value::RawValue;

pub(super) fn render(comparison: &Comparison) -> String {
    let rows = comparison
        .sections
        .iter()
        .flat_map(|section| section.rows.iter().map(|row| JsonRow::new(section.source, row)));
    let document = Document {
        differs: comparison.differs(),
        rows: rows.collect(),
        totals: comparison.sections.iter().map(JsonTotal::new).collect(),
    };
    let mut text = serde_json::to_string_pretty(&document).expect("maps with text keys, written to memory");
    text.push('\n');
    text
}

#[derive(Serialize)]
struct Document<'a> {
    differs: bool,
    rows: Vec<JsonRow<'a>>,
    totals: Vec<JsonTotal<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JsonRow<'a> {
    source: &'static str,
    date: Option<String>,
    session_id: Option<&'a str>,
    first_date: Option<String>,
    last_date: Option<String>,
    model: String,
    theirs: Values<'a>,
    logged: Values<'a>,
    unlogged: Values<'a>,
    difference: Difference<'a>,
    message_count: u64,
    incomplete_messages: u64,
    unpriced_messages: u64,
    differs: bool,
    causes: Vec<JsonCause>,
}

impl<'a> JsonRow<'a> {
    fn new(source: Source, row: &'a Row) -> Self {
        let (date, session_id) = match &row.scope {
            Scope::Day(day) => (Some(day.to_string()), None),
            Scope::Session(id) => (None, Some(id.as_str())),
        };
        Self {
            source: source.key(),
            date,
            session_id,
            first_date: row.days.map(|days| days.first.to_string()),
            last_date: row.days.map(|days| days.last.to_string()),
            model: row.line.to_string(),
            theirs: Values(&row.theirs),
            logged: Values(&row.logged),
            unlogged: Values(&row.unlogged),
            difference: Difference(&row.difference, row.cost_difference),
            message_count: row.totals.messages,
            incomplete_messages: row.totals.incomplete,
            unpriced_messages: row.totals.unpriced,
            differs: row.differs,
            causes: row.causes.iter().map(JsonCause::new).collect(),
        }
    }
}

#[derive(Serialize)]
struct JsonCause {
    cause: &'static str,
    name: String,
    rule: &'static str,
}

impl JsonCause {
    fn new(cause: &Cause) -> Self {
        Self { cause: cause.key(), name: cause.name(), rule: cause.rule() }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JsonTotal<'a> {
    source: &'static str,
    theirs: Values<'a>,
    logged: Values<'a>,
    unlogged: Values<'a>,
    cost_difference: Number,
    not_understood: Vec<JsonNotUnderstood<'a>>,
    notes: &'a [String],
}

impl<'a> JsonTotal<'a> {
    fn new(section: &'a Section) -> Self {
        let Sums { theirs, logged, unlogged, cost_difference } = &section.total;
        Self {
            source: section.source.key(),
            theirs: Values(theirs),
            logged: Values(logged),
            unlogged: Values(unlogged),
            cost_difference: Number(*cost_difference),
            not_understood: section.not_understood.iter().map(JsonNotUnderstood::new).collect(),
            notes: &section.notes,
        }
    }
}

#[derive(Serialize)]
struct JsonNotUnderstood<'a> {
    place: &'a str,
    what: &'a str,
}

impl<'a> JsonNotUnderstood<'a> {
    fn new(told: &'a NotUnderstood) -> Self {
        Self { place: &told.place, what: &told.what }
    }
}

/// Counts and cost of a side.
struct Values<'a>(&'a Side);

impl Serialize for Values<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        values(&self.0.counts, self.0.cost, serializer)
    }
}

/// Counts and cost of one side less the other.
struct Difference<'a>(&'a Counts<i128>, Option<Usd>);

impl Serialize for Difference<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        values(self.0, self.1, serializer)
    }
}

fn values<S: Serializer, T: Copy + Serialize>(
    counts: &Counts<T>,
    cost: Option<Usd>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    for (kind, value) in counts.entries() {
        map.serialize_entry(kind.key(), &value)?;
    }
    map.serialize_entry("cost", &Number(cost))?;
    map.end()
}

/// Dollars with every digit, or `null`.
struct Number(Option<Usd>);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // A decimal prints as digits with at most one point and no exponent: always a JSON number.
        let raw = |usd: Usd| RawValue::from_string(usd.to_string()).expect("a decimal is a JSON number");
        self.0.map(raw).serialize(serializer)
    }
}
