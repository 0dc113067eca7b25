//! What the real client used according to who served it, what its logs have, and what its own accounts add: by
//! scenario, to the token and the picodollar. The outcome is the table in `docs/bill.md`, rendered here; the test
//! fails where it says anything else, and where a gap is not explained. `TALLYD_UPDATE=1` writes it anew.
#![cfg(test)]

use crate::corpora::{corpus, decimal, unpack};
use crate::support::{Sandbox, files_below, settle};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use tallyd::domain::{Cost, UnixMillis, Usd};
use tallyd::ledger::{LedgerReader, UnloggedRecord};

/// Input, output, cache writes of both kinds together, cache reads, web searches.
type Counts = [i128; 5];

/// What the bill's own floats may be off by.
const TOLERANCE: Decimal = Decimal::from_parts(1, 0, 0, false, 9);

#[derive(Deserialize)]
struct Expected {
    bill_completed_usd: Box<RawValue>,
    not_in_log: Vec<NotInLog>,
}

/// A reply that no log has.
#[derive(Deserialize)]
struct NotInLog {
    completed: bool,
    usd: Box<RawValue>,
    usage: BTreeMap<String, Option<Box<RawValue>>>,
}

impl NotInLog {
    fn counts(&self) -> Counts {
        let count = |name: &str| {
            let raw = self.usage.get(name).and_then(Option::as_ref);
            raw.map_or(0, |raw| raw.get().parse().expect("a count"))
        };
        [
            count("input_tokens"),
            count("output_tokens"),
            count("cache_creation_input_tokens"),
            count("cache_read_input_tokens"),
            count("web_search_requests"),
        ]
    }
}

/// A row of the table.
struct Row {
    scenario: String,
    bill: Decimal,
    logged: Decimal,
    unlogged: Decimal,
    gap: Decimal,
    why: String,
}

/// What the ledger says of a scenario.
struct Counted {
    complete: Decimal,
    unlogged: Vec<UnloggedRecord>,
    accounts: bool,
}

fn dollars(cost: Cost) -> Decimal {
    Usd::from(cost.known().expect("a price")).to_decimal()
}

fn counted(folder: &Path) -> Counted {
    let sandbox = Sandbox::new();
    sandbox.scan_all(&[folder.to_owned()], &[]);
    let reader = LedgerReader::open(&sandbox.state()).expect("a ledger");
    reader.audit().expect("a sound ledger");
    let sessions = reader.sessions().expect("sessions");
    let replies =
        sessions.iter().flat_map(|session| reader.responses_by_session(&session.id).expect("replies"));
    let complete = replies
        .filter(|reply| reply.response.is_final)
        .map(|reply| dollars(reply.cost) + reply.part_costs.into_iter().map(dollars).sum::<Decimal>());
    let complete = complete.sum();
    let accounts = account_lines(folder) > 0;
    Counted { complete, unlogged: reader.unlogged().expect("unlogged usage"), accounts }
}

/// Lines with an account in the logs below a folder, counted by their text alone.
fn account_lines(folder: &Path) -> usize {
    let lines = |path: PathBuf| {
        let log = fs::read(path).expect("a log");
        log.split(|byte| *byte == b'\n').filter(|line| line.starts_with(br#"{"type":"cost-state""#)).count()
    };
    files_below(folder).into_iter().map(lines).sum()
}

fn used(record: &UnloggedRecord) -> Counts {
    let tokens = record.used.tokens;
    [
        tokens.input.into(),
        tokens.output.into(),
        tokens.cache_write().into(),
        tokens.cache_read.into(),
        record.used.web_searches.into(),
    ]
}

fn add(sums: &mut Counts, more: Counts, sign: i128) {
    for (sum, more) in sums.iter_mut().zip(more) {
        *sum += sign * more;
    }
}

fn row(folder: &Path) -> Row {
    let scenario = folder.file_name().expect("a name").to_string_lossy().into_owned();
    let text = fs::read_to_string(folder.join("expected.json")).expect("expected.json");
    let expected: Expected =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{scenario}: {error}"));
    let counted = counted(folder);
    for record in &counted.unlogged {
        assert!(record.surplus.is_zero(), "{scenario}: more is logged than the account has: {record:?}");
    }
    let unlogged: Decimal = counted.unlogged.iter().map(|record| dollars(record.cost)).sum();
    let bill = decimal(&expected.bill_completed_usd);
    let gap = counted.complete + unlogged - bill;
    let mut beyond = Counts::default();
    for record in &counted.unlogged {
        add(&mut beyond, used(record), 1);
    }
    let completed: Vec<_> = expected.not_in_log.iter().filter(|reply| reply.completed).collect();
    for reply in &completed {
        add(&mut beyond, reply.counts(), -1);
    }
    let gap = if gap.abs() <= TOLERANCE { Decimal::ZERO } else { gap };
    let why = why(&scenario, &counted, &completed, beyond, gap);
    Row { scenario, bill, logged: counted.complete, unlogged, gap, why }
}

/// Why the gap is there; panics where nothing explains it. `beyond` is what is unlogged less what no log has.
fn why(scenario: &str, counted: &Counted, completed: &[&NotInLog], beyond: Counts, gap: Decimal) -> String {
    let mut why = Vec::new();
    let cut: u64 = counted.unlogged.iter().map(|record| record.incomplete).sum();
    let lost: Decimal = completed.iter().map(|reply| decimal(&reply.usd)).sum();
    let [_, output, ..] = beyond;
    if !counted.accounts && !completed.is_empty() {
        let mut all = beyond;
        for reply in completed {
            add(&mut all, reply.counts(), 1);
        }
        assert!(all == Counts::default() && (gap + lost).abs() <= TOLERANCE, "{scenario}: {beyond:?}");
        why.push(format!("no account was written, and nothing logged of {} replies", completed.len()));
    } else if beyond != Counts::default() {
        let is_rest = cut > 0 && output > 0 && beyond == [0, output, 0, 0, 0];
        assert!(is_rest, "{scenario}: unlogged is {beyond:?} beyond what no log has, gap {gap}");
        why.push(format!(
            "the account has the rest of {cut} cut-off reply: {output} output tokens by the client's estimate"
        ));
    } else {
        assert!(gap.is_zero(), "{scenario}: all tokens are there, and {gap} USD are not");
    }
    let difference: Decimal =
        counted.unlogged.iter().map(|record| record.difference().expect("a price").to_decimal()).sum();
    if difference.abs() > TOLERANCE {
        why.push(format!(
            "the client's own price is {} higher: it is that of the model asked for",
            difference.normalize()
        ));
    }
    why.join("; ")
}

fn render(rows: &[Row]) -> String {
    let mut table = String::from(
        "| Scenario | Bill of completed replies | Logged | Unlogged | Gap | Why |\n|---|--:|--:|--:|--:|---|\n",
    );
    for Row { scenario, bill, logged, unlogged, gap, why } in rows {
        let amounts = [bill, logged, unlogged, gap].map(|amount| amount.round_dp(9).normalize().to_string());
        writeln!(table, "| {scenario} | {} | {why} |", amounts.join(" | "))
            .expect("a string takes everything");
    }
    table
}

/// Clients since about 2.1.300 write accounts.
fn has_accounts(scenario: &str) -> bool {
    scenario.split_once('@').is_none_or(|(_, version)| version == "2.1.300")
}

#[test]
fn logged_and_unlogged_usage_are_the_bill_of_completed_replies() {
    let Some(archive) = corpus("real-client.tar.xz") else { return };
    let sandbox = Sandbox::new();
    let folder = unpack(&archive, &sandbox);
    let entries = fs::read_dir(folder).expect("the scenarios").map(|entry| entry.expect("an entry").path());
    let mut folders: Vec<_> = entries.filter(|path| path.join("expected.json").is_file()).collect();
    folders.retain(|path| has_accounts(&path.file_name().expect("a name").to_string_lossy()));
    folders.sort();
    assert!(folders.len() > 50, "only {} scenarios", folders.len());
    let rows: Vec<_> = folders.iter().map(|folder| row(folder)).collect();
    let gaps = rows.iter().filter(|row| !row.gap.is_zero()).count();
    println!("{} scenarios, {gaps} with a gap", rows.len());
    settle("docs/bill.md", "bill", &render(&rows));
}

#[test]
fn accounts_of_real_logs_have_nothing_less_than_was_logged() {
    let Some(archive) = corpus("real-logs.tar.xz") else { return };
    let sandbox = Sandbox::new();
    let logs = unpack(&archive, &sandbox);
    let lines = account_lines(&logs);
    sandbox.scan_all(&[logs], &[]);
    let reader = LedgerReader::open(&sandbox.state()).expect("a ledger");
    let records = reader.unlogged().expect("unlogged usage");
    let mut unlogged = Counts::default();
    for record in &records {
        add(&mut unlogged, used(record), 1);
    }
    println!("{lines} account lines, {} records, {unlogged:?} unlogged", records.len());
    assert_eq!(lines > 0, !records.is_empty(), "{lines} lines have an account");
    let latest = records.iter().map(|record| record.at).max();
    assert!(latest.is_none_or(|at| at > UnixMillis(0)), "an account without a time");
    let short: Vec<_> = records.iter().filter(|record| !record.surplus.is_zero()).collect();
    assert!(short.is_empty(), "logged and not in the account: {short:#?}");
}
