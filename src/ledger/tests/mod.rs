//! The ledger against sums and merges made the simple way, in memory.

mod absorption;
mod audit;
mod backups;
mod days;
mod event_seams;
mod events;
mod failure;
mod folder;
mod freezing;
mod migration;
mod outbox;
mod outbox_owner;
mod outbox_properties;
mod outbox_race;
mod places;
mod properties;
mod rebuilt;
mod reprice;
mod restored;
mod unlogged;
mod unlogged_published;

use super::*;
use crate::domain::{
    Attribution, Chain, Cursor, Geo, MessageKey, Part, PartKind, Picodollars, Rank, Response, ResponseLine,
    Speed, Tier, TokenCounts, Totals,
};
use std::collections::BTreeMap;
use tempfile::TempDir;

/// A ledger in a folder of its own.
struct Sandbox {
    folder: TempDir,
    ledger: Option<Ledger>,
}

impl Sandbox {
    fn new() -> Self {
        let mut sandbox = Self { folder: tempfile::tempdir().unwrap(), ledger: None };
        sandbox.reopen();
        sandbox
    }

    fn reopen(&mut self) {
        drop(self.ledger.take());
        let lock = LedgerLock::acquire(self.folder.path(), "test").unwrap();
        self.ledger = Some(Ledger::open(self.folder.path(), lock).unwrap());
    }

    fn ledger(&mut self) -> &mut Ledger {
        self.ledger.as_mut().unwrap()
    }

    fn reader(&self) -> LedgerReader {
        LedgerReader::open(self.folder.path()).unwrap()
    }

    fn outbox(&self) -> Outbox {
        Outbox::open(self.folder.path()).unwrap()
    }

    fn ingest(&mut self, updates: Vec<FileUpdate>) -> IngestSummary {
        self.ledger().ingest(updates, &Rates::default()).unwrap()
    }

    /// Takes in lines of one file; offsets go on from call to call.
    fn ingest_lines(&mut self, offset: u64, lines: Vec<ResponseLine>) -> IngestSummary {
        self.ingest(vec![update("a.jsonl", offset, lines)])
    }

    /// Every column of a query as text, row by row.
    fn query(&mut self, sql: &str) -> Vec<String> {
        let connection = &self.ledger().connection;
        let mut statement = connection.prepare(sql).unwrap();
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| {
            let value = |column| row.get::<_, rusqlite::types::Value>(column).map(text);
            Ok((0..columns).map(value).collect::<Result<Vec<_>, _>>()?.join(" "))
        });
        rows.unwrap().collect::<Result<_, _>>().unwrap()
    }

    /// Everything that is known of responses, by session.
    fn responses(&self) -> Vec<ResponseRecord> {
        let reader = self.reader();
        let sessions = reader.sessions().unwrap();
        sessions.iter().flat_map(|session| reader.responses_by_session(&session.id).unwrap()).collect()
    }

    /// All that the ledger says, under names and in an order that do not depend on how it came in.
    fn contents(&self) -> Contents {
        let mut responses: Vec<String> = self
            .responses()
            .into_iter()
            .map(|known| {
                format!("{} {:?} {:?} {:?}", known.message_id, known.response, known.cost, known.part_costs)
            })
            .collect();
        responses.sort_unstable();
        let sessions = self.reader().sessions().unwrap();
        let mut sessions: Vec<String> =
            sessions.into_iter().map(|s| format!("{} {} {:?}", s.id, s.folder, s.cwd)).collect();
        sessions.sort_unstable();
        Contents { responses, sessions, cells: self.cells() }
    }

    fn cells(&self) -> Cells {
        let reader = self.reader();
        days::check(&reader, Some);
        let models: BTreeMap<_, _> = reader.models().unwrap().into_iter().collect();
        let sessions: BTreeMap<_, _> =
            reader.sessions().unwrap().into_iter().map(|session| (session.key, session.id)).collect();
        let cells = reader.cells(None, None).unwrap().into_iter();
        cells
            .map(|cell| {
                let key = (sessions[&cell.session].clone(), cell.quarter.0, models[&cell.model].clone());
                (key, (cell.totals, cell.first, cell.last))
            })
            .collect()
    }

    /// The cells that the responses in the ledger add up to.
    fn sums(&self) -> Cells {
        let mut cells = Cells::new();
        for known in self.responses() {
            for (model, totals) in contributions(&known) {
                let at = known.response.first_at;
                let key = (known.response.attribution.session.clone(), at.quarter().0, model);
                let cell = cells.entry(key).or_insert((Totals::default(), at, at));
                cell.0 += totals;
                cell.1 = cell.1.min(at);
                cell.2 = cell.2.max(at);
            }
        }
        cells
    }
}

fn text(value: rusqlite::types::Value) -> String {
    match value {
        rusqlite::types::Value::Blob(bytes) => String::from_utf8(bytes).unwrap(),
        rusqlite::types::Value::Integer(number) => number.to_string(),
        rusqlite::types::Value::Text(text) => text,
        other => format!("{other:?}"),
    }
}

type Cells = BTreeMap<(String, i64, String), (Totals, UnixMillis, UnixMillis)>;

/// What a ledger says.
#[derive(Debug, PartialEq, Eq)]
struct Contents {
    responses: Vec<String>,
    sessions: Vec<String>,
    cells: Cells,
}

/// What a response adds to which model.
fn contributions(known: &ResponseRecord) -> Vec<(String, Totals)> {
    let response = &known.response;
    let usage = &response.usage;
    let add = |mut totals: Totals, cost: Cost| {
        totals.unpriced += u64::from(cost == Cost::Unpriced);
        totals.unpriced_tokens += if cost == Cost::Unpriced { totals.tokens.total() } else { 0 };
        totals.cost = cost.known().map_or(totals.cost, Into::into);
        totals
    };
    let own = Totals {
        tokens: usage.tokens,
        thinking: usage.thinking,
        messages: 1,
        web_searches: usage.web_searches,
        incomplete: u64::from(!response.is_final),
        ..Totals::default()
    };
    let parts = usage.parts.iter().zip(&known.part_costs).filter(|(part, _)| part.kind != PartKind::Step);
    let parts = parts.map(|(part, cost)| {
        let model = part.model.as_ref().unwrap_or(&response.model);
        (model.0.clone(), add(Totals { tokens: part.tokens, ..Totals::default() }, *cost))
    });
    let nothing = Totals::default();
    std::iter::once((response.model.0.clone(), add(own, known.cost)))
        .chain(parts.filter(|(_, totals)| *totals != nothing))
        .collect()
}

/// Prices by the token, whatever its kind; a model with a `?` in its name has none.
struct Rates {
    picodollars: i64,
    digest: &'static str,
    unpriced: &'static str,
}

impl Default for Rates {
    fn default() -> Self {
        Self { picodollars: 5_000_000, digest: "five", unpriced: "?" }
    }
}

impl Pricing for Rates {
    fn price(&self, model: &ModelName, usage: &Usage, _: UnixMillis) -> (Cost, Vec<Cost>) {
        let price = |model: &ModelName, tokens: TokenCounts| {
            if model.0.contains(self.unpriced) {
                return Cost::Unpriced;
            }
            let tokens: u64 = tokens.as_array().iter().sum();
            Cost::Known(Picodollars(i64::try_from(tokens).unwrap() * self.picodollars))
        };
        let parts = usage.parts.iter().map(|part| price(part.model.as_ref().unwrap_or(model), part.tokens));
        (price(model, usage.tokens), parts.collect())
    }

    fn digest(&self) -> &str {
        self.digest
    }
}

/// A plain line of a response with a first-party id.
fn line(id: &str, session: &str, at: i64, output: u64) -> ResponseLine {
    let tokens = TokenCounts { input: 7, output, cache_read: 100, ..TokenCounts::default() };
    ResponseLine {
        key: MessageKey::Global(id.to_owned()),
        rank: Rank { output, main_chain: true, stopped: true, at: UnixMillis(at) },
        attribution: Attribution { copied: false, at: UnixMillis(at), session: session.to_owned() },
        model: ModelName("opus".to_owned()),
        usage: Usage { tokens, ..Usage::default() },
        is_final: true,
        is_aborted: false,
        time_is_guessed: false,
        request: None,
        version: Some("2.1.330".to_owned()),
        cwd: Some("/project".to_owned()),
    }
}

/// What was read of a file: lines a hundred bytes long, from `offset` on.
fn update(path: &str, offset: u64, lines: Vec<ResponseLine>) -> FileUpdate {
    let end = offset + 100 * lines.len() as u64;
    let mut update = FileUpdate {
        path: path.into(),
        folder: "-project".to_owned(),
        cursor: Cursor { offset: end, ..Cursor::default() },
        ..FileUpdate::default()
    };
    for (line, offset) in lines.into_iter().zip((offset..).step_by(100)) {
        update.seen.add(offset, line);
    }
    update
}
