//! The totals that the client prints: `claude -p --output-format json`, or the result lines of `stream-json`.
//!
//! Owns: which JSON values are such totals, and when several of one session are one account that grew. Values of
//! other kinds between them (a stream's messages) are skipped unread; text that is no JSON is told of with its
//! line. A total has no day: it is of a session, over all its days.
//!
//! Measured (client 2.1.330 and 2.1.112): since some version after 2.1.200 a resumed session goes on with its total,
//! up to 2.1.200 each process begins at 0. A growing total that was lost begins at 0 again.

use super::amount::Amount;
use super::count::{Counts, Kind};
use super::json::{self, Object};
use super::theirs::{Line, NotUnderstood, Reading, Scope, Source, Statement};
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet};

/// The kinds that a printed total speaks of; of cache writes mostly the sum alone.
const KEYS: [(Kind, &str); 6] = [
    (Kind::Input, "inputTokens"),
    (Kind::Output, "outputTokens"),
    (Kind::CacheWrite, "cacheCreationInputTokens"),
    (Kind::CacheWrite5m, "cacheCreationEphemeral5mInputTokens"),
    (Kind::CacheWrite1h, "cacheCreationEphemeral1hInputTokens"),
    (Kind::CacheRead, "cacheReadInputTokens"),
];
const SEARCHES: &str = "webSearchRequests";

/// The last client that began each process at 0, as far as was measured, and the first that was seen not to.
const LAST_BY_PROCESS: [u64; 3] = [2, 1, 200];
const FIRST_BY_SESSION: [u64; 3] = [2, 1, 300];

/// What one process printed when it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Printed {
    session: String,
    /// Of the printing: the same one in two files is one.
    id: Option<String>,
    total: Option<Amount>,
    models: BTreeMap<String, ModelTotal>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct ModelTotal {
    counts: Counts,
    cost: Option<Amount>,
}

/// Printed totals, and what was not understood beside them.
pub(super) type Found = (Vec<Printed>, Vec<NotUnderstood>);

/// All totals in a text: one JSON value, several, a list of them, or lines. `name` is the text's, for messages.
pub(super) fn find(text: &str, name: &str) -> Found {
    let mut found = Found::default();
    let mut rest = text;
    let mut line = 1;
    loop {
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<&RawValue>();
        for value in values.by_ref().map_while(Result::ok) {
            take(value, name, &mut found);
        }
        let end = values.byte_offset();
        let Some(tail) = rest.get(end..).filter(|tail| !tail.trim().is_empty()) else { return found };
        line += newlines(rest.get(..end).unwrap_or_default());
        let blank = tail.len() - tail.trim_start().len();
        line += newlines(tail.get(..blank).unwrap_or_default());
        let tail = tail.trim_start();
        let (bad, next) = tail.split_once('\n').unwrap_or((tail, ""));
        let what = format!("no JSON: {}", json::short(bad.trim_end()));
        found.1.push(NotUnderstood { place: format!("{name}:{line}"), what });
        line += 1;
        rest = next;
    }
}

fn newlines(text: &str) -> usize {
    memchr::memchr_iter(b'\n', text.as_bytes()).count()
}

/// A value: a total, a list that may hold some, or something else.
fn take(value: &RawValue, name: &str, found: &mut Found) {
    if value.get().starts_with('[') {
        let list: Vec<&RawValue> = serde_json::from_str(value.get()).unwrap_or_default();
        list.into_iter()
            .filter(|value| !value.get().starts_with('['))
            .for_each(|value| take(value, name, found));
        return;
    }
    let Ok(object) = serde_json::from_str::<Object<'_>>(value.get()) else { return };
    let kind = json::text_of(&object, "type");
    let has_total = object.contains_key("total_cost_usd") || object.contains_key("modelUsage");
    if !has_total || kind.is_some_and(|kind| kind != "result") {
        return;
    }
    match printed(&object) {
        Ok(total) => found.0.push(total),
        Err(what) => found.1.push(NotUnderstood { place: name.to_owned(), what }),
    }
}

/// A result; the error says what in it is not as it should be.
fn printed(object: &Object<'_>) -> Result<Printed, String> {
    let session = json::text_of(object, "session_id").filter(|session| !session.is_empty());
    let session = session.ok_or("a printed total without a session_id")?;
    let of_session = |what: String| format!("session {}: {what}", json::short(&session));
    let total = cost_of(object, "total_cost_usd").map_err(of_session)?;
    let mut models = BTreeMap::new();
    if let Some(usage) = object.get("modelUsage").filter(|usage| !json::is_null(usage)) {
        let usage: BTreeMap<String, Object<'_>> = serde_json::from_str(usage.get())
            .map_err(|_| of_session("its modelUsage is no object of objects".to_owned()))?;
        for (model, object) in usage {
            let total = model_total(&object)
                .map_err(|what| of_session(format!("{}: {what}", json::short(&model))))?;
            models.insert(model, total);
        }
    }
    if total.is_none() && models.is_empty() {
        return Err(of_session("a printed total without a number in it".to_owned()));
    }
    Ok(Printed { id: json::text_of(object, "uuid"), total, models, session })
}

fn model_total(object: &Object<'_>) -> Result<ModelTotal, String> {
    let mut counts = Counts::default();
    for (kind, key) in KEYS {
        let is_said = object.get(key).is_some_and(|value| !json::is_null(value));
        let is_part = matches!(kind, Kind::CacheWrite5m | Kind::CacheWrite1h);
        if is_said || !is_part {
            counts.set(kind, json::count_of(object, key)?);
        }
    }
    counts.set(Kind::WebSearches, json::count_of(object, SEARCHES)?);
    let known = |key: &str| KEYS.iter().any(|(_, known)| *known == key) || key == "thinkingTokens";
    let unknown = object.keys().find(|key| key.ends_with("Tokens") && !known(key) && !is_limit(key));
    match unknown {
        Some(key) => Err(format!("{} is not known", json::short(key))),
        None => Ok(ModelTotal { counts, cost: cost_of(object, "costUSD")? }),
    }
}

/// What a model could take, not what it took.
fn is_limit(key: &str) -> bool {
    key.starts_with("max") || key.starts_with("context")
}

fn cost_of(object: &Object<'_>, key: &str) -> Result<Option<Amount>, String> {
    let Some(value) = object.get(key).filter(|value| !json::is_null(value)) else { return Ok(None) };
    let amount = json::text(value).and_then(|text| Amount::exact_dollars(&text));
    amount.map(Some).ok_or_else(|| format!("{key} is {}", json::short(value.get())))
}

/// How a client counts when a session is resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Habit {
    BySession,
    ByProcess,
    Unknown,
}

impl Habit {
    fn of(clients: &[String]) -> Self {
        let versions: Option<Vec<[u64; 3]>> = clients.iter().map(|client| version(client)).collect();
        match versions.filter(|versions| !versions.is_empty()) {
            Some(versions) if versions.iter().all(|version| *version <= LAST_BY_PROCESS) => Self::ByProcess,
            Some(versions) if versions.iter().all(|version| *version >= FIRST_BY_SESSION) => Self::BySession,
            _ => Self::Unknown,
        }
    }
}

fn version(text: &str) -> Option<[u64; 3]> {
    let numbers: Vec<u64> = text.split('.').map_while(|part| part.parse().ok()).collect();
    numbers.try_into().ok()
}

/// The sessions of totals, each once.
pub(super) fn sessions(printed: &[Printed]) -> BTreeSet<String> {
    printed.iter().map(|printed| printed.session.clone()).collect()
}

/// The totals of each session as statements. `clients` has the versions that wrote a session's lines.
pub(super) fn reading(printed: Vec<Printed>, clients: &BTreeMap<String, Vec<String>>) -> Reading {
    let mut reading = Reading::new(Source::Client);
    let mut sessions: BTreeMap<String, Vec<Printed>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for total in printed {
        let is_new = total.id.as_ref().is_none_or(|id| seen.insert((total.session.clone(), id.clone())));
        if is_new {
            sessions.entry(total.session.clone()).or_default().push(total);
        }
    }
    for (session, totals) in sessions {
        let habit = Habit::of(clients.get(&session).map_or(&[], Vec::as_slice));
        if totals.len() > 1 && habit == Habit::Unknown {
            reading.notes.push(format!(
                "session {}: {} totals, taken for one that grew: no log says which client printed them",
                json::short(&session),
                totals.len()
            ));
        }
        let ends = if habit == Habit::ByProcess { totals } else { ends_of_growth(totals) };
        state(&mut reading, &session, &ends);
    }
    reading
}

/// Of totals that grow the last of each growth: one that is lower than the one before it began at 0 again.
fn ends_of_growth(totals: Vec<Printed>) -> Vec<Printed> {
    let mut ends: Vec<Printed> = Vec::new();
    for total in totals {
        match ends.last_mut() {
            Some(last) if grew(last, &total) => *last = total,
            _ => ends.push(total),
        }
    }
    ends
}

/// True where no figure of the earlier total is greater than in the later one.
fn grew(earlier: &Printed, later: &Printed) -> bool {
    let usd = |total: &Printed| total.total.map(|amount| amount.usd);
    let models = earlier.models.iter().all(|(model, before)| {
        later.models.get(model).is_some_and(|after| {
            before
                .counts
                .entries()
                .all(|(kind, count)| count.unwrap_or(0) <= after.counts.get(kind).unwrap_or(0))
        })
    });
    models && usd(earlier) <= usd(later)
}

fn state(reading: &mut Reading, session: &str, ends: &[Printed]) {
    let statement = |line, total: ModelTotal| Statement {
        scope: Scope::Session(session.to_owned()),
        line,
        counts: total.counts,
        cost: total.cost,
    };
    for end in ends {
        if end.models.is_empty() {
            let total = ModelTotal { counts: Counts::default(), cost: end.total };
            reading.statements.push(statement(Line::All, total));
            continue;
        }
        for (model, total) in &end.models {
            reading.statements.push(statement(Line::Model(model.clone()), *total));
        }
        let parts = end.models.values().filter_map(|total| total.cost).fold(0, |sum, cost| cost.usd.0 + sum);
        // A picodollar for each amount that was rounded to one.
        let rounding = i128::try_from(end.models.len()).unwrap_or(i128::MAX);
        if let Some(total) = end.total.filter(|total| (total.usd.0 - parts).abs() > rounding) {
            reading.notes.push(format!(
                "session {}: its total of ${} is not the ${} of its models together; the models are compared",
                json::short(session),
                total.usd,
                crate::domain::Usd(parts)
            ));
        }
    }
}

#[cfg(test)]
mod tests;
