//! Values of sessions as callers send them, and what must be kept of a set of them: the reference that the
//! database is held against. Computed from the set alone; the order of the calls is not known here.

use crate::truth::timestamp;
use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::AddAssign;

/// The counters, in the order of the digest's canonical text.
pub(in crate::remote) const COUNTERS: [&str; 11] = [
    "input_tokens",
    "output_tokens",
    "cache_creation_tokens",
    "cache_creation_1h_tokens",
    "cache_read_tokens",
    "thinking_tokens",
    "message_count",
    "web_search_requests",
    "incomplete_messages",
    "unpriced_messages",
    "unpriced_tokens",
];
/// Which of them make the total, and which decide a rank.
pub(in crate::remote) const IN_TOTAL: [usize; 4] = [0, 1, 2, 4];
pub(in crate::remote) const OUTPUT: usize = 1;
pub(in crate::remote) const CREATION: usize = 2;
pub(in crate::remote) const CREATION_1H: usize = 3;
pub(in crate::remote) const MESSAGES: usize = 6;
const SEARCHES: usize = 7;
pub(in crate::remote) const INCOMPLETE: usize = 8;
pub(in crate::remote) const UNPRICED: usize = 9;
/// What is told of unlogged usage.
pub(in crate::remote) const UNLOGGED: [usize; 7] = [0, 1, 2, 3, 4, 7, 10];
/// What an old caller counts.
pub(in crate::remote) const OLD_COUNTERS: [usize; 6] = [0, 1, 2, 4, 5, 6];

/// Counters and the cost in picodollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::remote) struct Usage {
    pub(in crate::remote) counters: [i64; 11],
    pub(in crate::remote) cost: i64,
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.combine(other, |one, more| one + more);
    }
}

impl Usage {
    fn combine(&mut self, other: Self, both: fn(i64, i64) -> i64) {
        for (counter, more) in self.counters.iter_mut().zip(other.counters) {
            *counter = both(*counter, more);
        }
        self.cost = both(self.cost, other.cost);
    }

    pub(in crate::remote) fn total_tokens(&self) -> i64 {
        IN_TOTAL.iter().map(|index| self.counters[*index]).sum()
    }

    /// The counters of unlogged usage and its cost, as the canonical text and the queries write them.
    fn unlogged_text(&self) -> String {
        let counters = UNLOGGED.map(|index| self.counters[index].to_string());
        format!("{}|{}", counters.join("|"), dollars(self.cost))
    }

    /// All counters and the cost, as the canonical text and the queries write them.
    pub(in crate::remote) fn text(&self) -> String {
        let counters: Vec<String> = self.counters.iter().map(i64::to_string).collect();
        format!("{}|{}", counters.join("|"), dollars(self.cost))
    }
}

/// Picodollars with all their decimals.
pub(in crate::remote) fn dollars(cost: i64) -> String {
    format!("{}.{:012}", cost / 1_000_000_000_000, cost % 1_000_000_000_000)
}

/// A day of the month, and a minute of one hour.
pub(in crate::remote) fn day(number: u64) -> String {
    format!("2026-11-{number:02}")
}

/// A minute of the first of them, in milliseconds since 1970: 2026-11-01T10:00:00.123Z and later.
pub(in crate::remote) fn minute(number: u64) -> i64 {
    1_793_527_200_123 + i64::try_from(number).expect("small") * 60_000
}

/// As the canonical text and the queries write it.
fn instant(at: i64) -> String {
    timestamp(at).replace('Z', "000Z")
}

/// A value of revision 1 or later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::remote) struct Value {
    pub(in crate::remote) revision: i64,
    /// Milliseconds since 1970.
    pub(in crate::remote) started: i64,
    pub(in crate::remote) latest: i64,
    pub(in crate::remote) model: String,
    pub(in crate::remote) cells: BTreeMap<(String, String), Usage>,
    /// What no log has: none of it is zero, and only counters of `UNLOGGED` are in it.
    pub(in crate::remote) unlogged: BTreeMap<(String, String), Usage>,
}

/// A value of an old caller: the session's running totals as of a day.
#[derive(Clone, Debug)]
pub(in crate::remote) struct Running {
    pub(in crate::remote) day: String,
    pub(in crate::remote) totals: Usage,
    pub(in crate::remote) started: u64,
    pub(in crate::remote) model: String,
}

/// What is sent of a session in one item.
#[derive(Clone, Debug)]
pub(in crate::remote) enum Item {
    New(Value),
    Old(Running),
}

/// An item of a session.
#[derive(Clone, Debug)]
pub(in crate::remote) struct Sent {
    pub(in crate::remote) session: String,
    pub(in crate::remote) item: Item,
}

fn sum<'a>(usages: impl Iterator<Item = &'a Usage>) -> Usage {
    usages.fold(Usage::default(), |mut sum, usage| {
        sum += *usage;
        sum
    })
}

impl Value {
    pub(in crate::remote) fn totals(&self) -> Usage {
        sum(self.cells.values())
    }

    /// The canonical text of supabase/README.md.
    fn digest(&self) -> Vec<u8> {
        let mut text = format!(
            "{}|{}|{}|{}|{}|{}\n",
            self.revision,
            self.totals().text(),
            instant(self.started),
            instant(self.latest),
            self.model.len(),
            self.model
        );
        for ((day, model), usage) in &self.cells {
            let _ = writeln!(text, "{day}|{}|{}|{model}", usage.text(), model.len());
        }
        let digest = Sha256::digest(text.as_bytes()).to_vec();
        if self.unlogged.is_empty() {
            return digest;
        }
        let mut lines = String::new();
        for ((day, model), usage) in &self.unlogged {
            let _ = writeln!(lines, "{day}|{}|{}|{model}", usage.unlogged_text(), model.len());
        }
        Sha256::digest([digest.as_slice(), lines.as_bytes()].concat()).to_vec()
    }

    pub(in crate::remote) fn unlogged_totals(&self) -> Usage {
        sum(self.unlogged.values())
    }

    /// What decides which of two values of a session is kept.
    pub(in crate::remote) fn rank(&self) -> (i64, [i64; 5], Vec<u8>) {
        let totals = self.totals();
        let counters = totals.counters;
        let (tokens, beside) = (totals.total_tokens(), self.unlogged_totals());
        let unlogged = beside.total_tokens() + beside.counters[SEARCHES];
        let counts = [counters[MESSAGES], counters[OUTPUT], tokens, -counters[INCOMPLETE], unlogged];
        (self.revision, counts, self.digest())
    }

    pub(in crate::remote) fn json(&self, user: &str, session: &str) -> Json {
        let mut data = counters(&self.totals(), "", "estimated_cost_usd");
        data.extend(object(json!({
            "user_id": user, "session_id": session, "revision": self.revision, "model_used": self.model,
            "session_started_at": timestamp(self.started), "last_message_at": timestamp(self.latest),
        })));
        if !self.unlogged.is_empty() {
            data.extend(unlogged_counters(&self.unlogged_totals()));
            let days = self.unlogged.iter().map(|((day, model), usage)| {
                let mut entry = unlogged_counters(usage);
                entry.extend(object(json!({ "usage_date": day, "model": model })));
                Json::Object(entry)
            });
            data.insert("unlogged_days".to_owned(), days.collect());
        }
        let cells = self.cells.iter().map(|((day, model), usage)| {
            let mut cell = counters(usage, "daily_", "daily_cost_usd");
            cell.extend(object(json!({ "usage_date": day, "model": model })));
            Json::Object(cell)
        });
        json!({ "session_data": data, "daily_data": cells.collect::<Vec<_>>() })
    }
}

fn object(json: Json) -> Map<String, Json> {
    match json {
        Json::Object(map) => map,
        other => panic!("{other} is no object"),
    }
}

/// Numbers and strings of digits by turns; an optional counter of 0 is left out.
fn counters(usage: &Usage, prefix: &str, cost: &str) -> Map<String, Json> {
    let mut map = Map::new();
    for (index, name) in COUNTERS.iter().enumerate() {
        let count = usage.counters[index];
        let optional = !IN_TOTAL.contains(&index) && index != MESSAGES;
        if count != 0 || !optional {
            let json = if count % 2 == 0 { json!(count) } else { json!(count.to_string()) };
            map.insert(format!("{prefix}{name}"), json);
        }
    }
    map.insert(cost.to_owned(), json!(dollars(usage.cost)));
    map
}

/// Numbers and strings of digits by turns; what is 0 is left out.
fn unlogged_counters(usage: &Usage) -> Map<String, Json> {
    let counts = UNLOGGED.map(|index| (COUNTERS[index], usage.counters[index]));
    let told = counts.into_iter().filter(|(_, count)| *count != 0).map(|(name, count)| {
        let json = if count % 2 == 0 { json!(count) } else { json!(count.to_string()) };
        (format!("unlogged_{name}"), json)
    });
    let mut map: Map<String, Json> = told.collect();
    map.insert("unlogged_cost_usd".to_owned(), json!(dollars(usage.cost)));
    map
}

impl Running {
    fn json(&self, user: &str, session: &str) -> Json {
        let totals = counters(&self.totals, "", "estimated_cost_usd");
        let mut data: Map<String, Json> =
            totals.into_iter().filter(|(_, count)| *count != json!(0)).collect();
        data.extend(object(json!({
            "user_id": user, "session_id": session, "model_used": self.model,
            "session_started_at": timestamp(minute(self.started)),
        })));
        // What an old caller says of the day is ignored, whatever it is.
        let daily = json!({ "user_id": user, "usage_date": self.day, "daily_input_tokens": -7 });
        json!({ "session_data": data, "daily_data": daily })
    }
}

impl Sent {
    pub(in crate::remote) fn json(&self, user: &str) -> Json {
        match &self.item {
            Item::New(value) => value.json(user, &self.session),
            Item::Old(running) => running.json(user, &self.session),
        }
    }
}

/// Everything that is kept of a user, a line each, as the queries of `campaign` give it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::remote) struct Kept {
    pub(in crate::remote) sessions: Vec<String>,
    pub(in crate::remote) cells: Vec<String>,
    pub(in crate::remote) days: Vec<String>,
    /// Running totals of old callers.
    pub(in crate::remote) running: Vec<String>,
    /// What is unlogged of sessions by day and model, and of days.
    pub(in crate::remote) unlogged: Vec<String>,
}

struct Held {
    line: String,
    cells: BTreeMap<(String, String), Usage>,
    running: Vec<String>,
    unlogged: BTreeMap<(String, String), Usage>,
}

/// What must be kept of this set of items.
pub(in crate::remote) fn kept(sent: &[&Sent]) -> Kept {
    let mut sessions: BTreeMap<&str, Vec<&Item>> = BTreeMap::new();
    for one in sent {
        sessions.entry(&one.session).or_default().push(&one.item);
    }
    let mut kept = Kept::default();
    let mut days: BTreeMap<String, (Usage, i64)> = BTreeMap::new();
    let mut unlogged: BTreeMap<String, (Usage, i64)> = BTreeMap::new();
    for (session, items) in sessions {
        let held = held(&items);
        kept.sessions.push(format!("{session}|{}", held.line));
        kept.running.extend(held.running.iter().map(|line| format!("{session}|{line}")));
        for ((day, model), usage) in &held.cells {
            kept.cells.push(format!("{session}|{day}|{model}|{}", usage.text()));
        }
        for ((day, model), usage) in &held.unlogged {
            kept.unlogged.push(format!("{session}|{day}|{model}|{}", usage.unlogged_text()));
        }
        add_days(&mut days, &held.cells);
        add_days(&mut unlogged, &held.unlogged);
    }
    for (day, (usage, sessions)) in unlogged {
        let tokens = usage.total_tokens();
        kept.unlogged.push(format!("{day}|{}|{sessions}|{tokens}", usage.unlogged_text()));
    }
    for (day, (usage, sessions)) in days {
        kept.days.push(format!("{day}|{}|{sessions}|{}", usage.text(), ending(&usage)));
    }
    for lines in [&mut kept.sessions, &mut kept.cells, &mut kept.days, &mut kept.running, &mut kept.unlogged]
    {
        lines.sort();
    }
    kept
}

/// Adds a session's cells to the days: what it used, and that it was there.
fn add_days(days: &mut BTreeMap<String, (Usage, i64)>, cells: &BTreeMap<(String, String), Usage>) {
    let mut before = None;
    for ((day, _), usage) in cells {
        let entry = days.entry(day.clone()).or_default();
        entry.0 += *usage;
        entry.1 += i64::from(before != Some(day));
        before = Some(day);
    }
}

fn ending(usage: &Usage) -> String {
    format!("{}|{}", usage.total_tokens(), usage.counters[UNPRICED] == 0)
}

fn held(items: &[&Item]) -> Held {
    let values = items.iter().filter_map(|item| match item {
        Item::New(value) => Some(value),
        Item::Old(_) => None,
    });
    if let Some(best) = values.max_by_key(|value| value.rank()) {
        let (totals, digest) = (best.totals(), hex(&best.digest()));
        let times = format!("{}|{}", instant(best.started), instant(best.latest));
        let line = format!(
            "{}|{}|{times}|{}|{digest}|{}|{}",
            best.revision,
            totals.text(),
            best.model,
            ending(&totals),
            best.unlogged_totals().unlogged_text()
        );
        let (cells, unlogged) = (best.cells.clone(), best.unlogged.clone());
        return Held { line, cells, running: Vec::new(), unlogged };
    }
    let running: Vec<&Running> = items
        .iter()
        .filter_map(|item| match item {
            Item::Old(running) => Some(running),
            Item::New(_) => None,
        })
        .collect();
    held_of_old(&running)
}

fn held_of_old(all: &[&Running]) -> Held {
    let mut days: BTreeMap<&str, Usage> = BTreeMap::new();
    for one in all {
        days.entry(&one.day).or_default().combine(one.totals, i64::max);
    }
    let (mut reached, mut cells) = (Usage::default(), BTreeMap::new());
    for (day, said) in &days {
        let before = reached;
        reached.combine(*said, i64::max);
        let mut share = reached;
        share.combine(before, |now, then| now - then);
        if share != Usage::default() {
            cells.insert(((*day).to_owned(), String::new()), share);
        }
    }
    let started = all.iter().map(|one| one.started).min().expect("one at least");
    let latest =
        all.iter().max_by_key(|one| (one.totals.counters[MESSAGES], &one.model)).expect("one at least");
    let line =
        format!("0|{}|{}||{}||{}", reached.text(), instant(minute(started)), latest.model, ending(&reached));
    let line = format!("{line}|{}", Usage::default().unlogged_text());
    let running = days.iter().map(|(day, said)| format!("{day}|{}", said.text())).collect();
    Held { line, cells, running, unlogged: BTreeMap::new() }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
