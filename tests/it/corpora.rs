//! Large archives of logs against the sums that an independent program made of them.
//!
//! The archives are not part of the repository. They are looked for in `$TALLYD_CORPORA`, else in
//! `shared` and `corpora` beside the checkout; where they are absent these tests print "skipped".

use crate::remote::Stack;
use crate::remote::exact::{publishing, server_account};
use crate::remote::gateway::Gateway;
use crate::support::{Counts, Report, Sandbox, checked, copy_file, files_below, instant, root};
use crate::truth::{Account, Sum};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the truth's own floats may be off by.
const TOLERANCE: Decimal = Decimal::from_parts(1, 0, 0, false, 6);

/// The file of that name in the corpora, if it is there.
pub(crate) fn corpus(name: &str) -> Option<PathBuf> {
    let beside = ["..", "shared", "corpora"].iter().fold(root().to_owned(), |path, part| path.join(part));
    let path = env::var_os("TALLYD_CORPORA").map_or(beside, PathBuf::from).join(name);
    if path.is_file() {
        return Some(path);
    }
    println!("skipped: {} is not there", path.display());
    None
}

/// Unpacks an archive into a new folder of the sandbox.
pub(crate) fn unpack(archive: &Path, sandbox: &Sandbox) -> PathBuf {
    let folder = sandbox.path("unpacked");
    fs::create_dir_all(&folder).expect("a folder");
    let status =
        Command::new("tar").arg("-xJf").arg(archive).arg("-C").arg(&folder).status().expect("tar starts");
    assert!(status.success(), "tar -xJf {}: {status}", archive.display());
    folder
}

/// The digits of a JSON number as an exact decimal.
pub(crate) fn decimal(raw: &RawValue) -> Decimal {
    let digits = raw.get();
    digits
        .parse()
        .or_else(|_| Decimal::from_scientific(digits))
        .unwrap_or_else(|error| panic!("{digits}: {error}"))
}

#[derive(Deserialize)]
struct Truth {
    totals: TruthRow,
    days: BTreeMap<String, TruthRow>,
    sessions: BTreeMap<String, TruthRow>,
    models: BTreeMap<String, TruthRow>,
}

#[derive(Deserialize)]
struct TruthRow {
    messages: u64,
    input: u64,
    output: u64,
    w5m: u64,
    w1h: u64,
    read: u64,
    #[serde(default)]
    open_messages: u64,
    usd: Box<RawValue>,
}

impl TruthRow {
    fn tokens(&self) -> [u64; 6] {
        [self.messages, self.input, self.output, self.w5m, self.w1h, self.read]
    }
}

/// Differences between a row and the truth, as sentences.
fn differences(name: &str, row: &Counts, tokens: [u64; 6], usd: Decimal) -> Vec<String> {
    let mut found = Vec::new();
    if row.tokens() != tokens {
        found.push(format!("{name}: counted {:?}, true {tokens:?}", row.tokens()));
    }
    let cost = row.total_cost.unwrap_or_default();
    if (cost - usd).abs() > TOLERANCE {
        found.push(format!("{name}: costs {cost}, true {usd}"));
    }
    found
}

fn compare(what: &str, report: &Report, truth: &BTreeMap<String, TruthRow>) -> Vec<String> {
    let extra = report.rows.keys().filter(|name| !truth.contains_key(*name));
    let mut found: Vec<_> = extra.map(|name| format!("{what} {name}: not in the truth")).collect();
    for (name, row) in truth {
        let label = format!("{what} {name}");
        match report.rows.get(name) {
            Some(counts) => found.extend(differences(&label, counts, row.tokens(), decimal(&row.usd))),
            None => found.push(format!("{label}: missing")),
        }
    }
    found
}

#[test]
fn real_logs_add_up_by_day_session_and_model() {
    let (Some(archive), Some(truth)) = (corpus("real-logs.tar.xz"), corpus("real-logs.truth.json")) else {
        return;
    };
    let text = fs::read_to_string(truth).expect("the truth");
    let truth: Truth = serde_json::from_str(&text).expect("the truth is JSON");
    let sandbox = Sandbox::new();
    let logs = [unpack(&archive, &sandbox)];
    sandbox.scan_all(&logs, &[]);
    let reports = [("day", sandbox.days()), ("session", sandbox.sessions()), ("model", sandbox.models())];
    let mut found = Vec::new();
    for ((what, report), rows) in reports.iter().zip([&truth.days, &truth.sessions, &truth.models]) {
        found.extend(compare(what, report, rows));
        let label = format!("totals by {what}");
        found.extend(differences(&label, &report.totals, truth.totals.tokens(), decimal(&truth.totals.usd)));
        assert!(report.totals.incomplete_messages >= truth.totals.open_messages, "{label}: incomplete");
    }
    assert!(found.is_empty(), "{} differences:\n{}", found.len(), found.join("\n"));
    sandbox.scan_all(&logs, &[]);
    for (what, report) in reports {
        let again = match what {
            "day" => sandbox.days(),
            "session" => sandbox.sessions(),
            _ => sandbox.models(),
        };
        assert!(again == report, "a second scan changed the report by {what}");
    }
}

/// Differences between published rows and the truth, as sentences.
fn unlike(what: &str, rows: &BTreeMap<String, Sum>, truth: &BTreeMap<String, TruthRow>) -> Vec<String> {
    let names = rows.keys().chain(truth.keys()).collect::<std::collections::BTreeSet<_>>();
    let is_right = |name: &String| {
        let (Some(row), Some(truth)) = (rows.get(name), truth.get(name)) else { return false };
        let tokens = [truth.input, truth.output, truth.w5m, truth.w1h, truth.read];
        let cost = Decimal::from(row.cost) / Decimal::from(1_000_000_000_000_u64);
        (row.messages, row.tokens) == (truth.messages, tokens)
            && (cost - decimal(&truth.usd)).abs() <= TOLERANCE
    };
    let wrong = names.into_iter().filter(|name| !is_right(name));
    wrong.map(|name| format!("{what} {name}: published {:?}", rows.get(name))).collect()
}

#[test]
fn real_logs_published_add_up_on_the_server() {
    let (Some(archive), Some(truth)) = (corpus("real-logs.tar.xz"), corpus("real-logs.truth.json")) else {
        return;
    };
    let text = fs::read_to_string(truth).expect("the truth");
    let truth: Truth = serde_json::from_str(&text).expect("the truth is JSON");
    let database = Stack::get().contract();
    let (gateway, user) = (Gateway::start(&database), database.new_user());
    let sandbox = Sandbox::new();
    let logs = unpack(&archive, &sandbox);
    let mut command = sandbox.command();
    command.args(["publish", "--wait", "--timeout", "600", "--claude-dir"]).arg(&logs);
    command.arg("--state-dir").arg(sandbox.state());
    publishing(&mut command, &gateway.url(), &user);
    checked(command.output().expect("tallyd starts"));
    let Account { days, sessions, .. } = server_account(&database, &user);
    let mut found = unlike("day", &days, &truth.days);
    found.extend(unlike("session", &sessions, &truth.sessions));
    assert!(found.is_empty(), "{} differences:\n{}", found.len(), found.join("\n"));
    println!("{} days and {} sessions are as they should be", days.len(), sessions.len());
}

/// The same ledger, whichever file is read first: the files come into the tree in groups, the last names
/// first, and each group is a scan of its own.
#[test]
fn real_logs_add_up_in_any_order() {
    let Some(archive) = corpus("real-logs.tar.xz") else { return };
    let (whole, grown) = (Sandbox::new(), Sandbox::new());
    let from = unpack(&archive, &whole);
    whole.scan_all(std::slice::from_ref(&from), &[]);
    let mut files = files_below(&from);
    files.sort();
    files.reverse();
    // Neighbours come apart: a session's own log and those of its sub-agents are read in different scans.
    let groups = 12;
    let to = grown.path("logs");
    for group in 0..groups {
        for file in files.iter().skip(group).step_by(groups) {
            copy_file(file, &from, &to, instant(1_760_000_000));
        }
        grown.scan_all(std::slice::from_ref(&to), &[]);
    }
    assert!(whole.days() == grown.days(), "days differ");
    assert!(whole.sessions() == grown.sessions(), "sessions differ");
    assert!(whole.models() == grown.models(), "models differ");
}

#[derive(Deserialize)]
struct Scenario {
    logged_per_model_dedup_by_message_id: BTreeMap<String, ScenarioRow>,
}

#[derive(Deserialize)]
struct ScenarioRow {
    messages: u64,
    input_tokens: u64,
    output_tokens: u64,
    cache_creation_5m: u64,
    cache_creation_1h: u64,
    cache_read_input_tokens: u64,
    web_search_requests: u64,
    usd: Box<RawValue>,
}

impl ScenarioRow {
    fn tokens(&self) -> [u64; 6] {
        [
            self.messages,
            self.input_tokens,
            self.output_tokens,
            self.cache_creation_5m,
            self.cache_creation_1h,
            self.cache_read_input_tokens,
        ]
    }
}

fn scenario(folder: &Path) -> Vec<String> {
    let name = folder.file_name().expect("a name").to_string_lossy();
    let text = fs::read_to_string(folder.join("expected.json")).expect("expected.json");
    let expected: Scenario = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
    let sandbox = Sandbox::new();
    sandbox.scan_all(&[folder.to_owned()], &[]);
    let report = sandbox.models();
    let models = expected.logged_per_model_dedup_by_message_id;
    if !report.rows.keys().eq(models.keys()) {
        return vec![format!("{name}: models {:?}, true {:?}", report.rows.keys(), models.keys())];
    }
    let mut found = Vec::new();
    for (row, (model, true_row)) in report.rows.values().zip(&models) {
        found.extend(differences(&format!("{name} {model}"), row, true_row.tokens(), decimal(&true_row.usd)));
        if row.web_search_requests != true_row.web_search_requests {
            found.push(format!("{name} {model}: {} web searches", row.web_search_requests));
        }
    }
    found
}

#[test]
fn every_scenario_of_the_real_client_adds_up() {
    let Some(archive) = corpus("real-client.tar.xz") else { return };
    let sandbox = Sandbox::new();
    let folder = unpack(&archive, &sandbox);
    let entries = fs::read_dir(folder).expect("the scenarios").map(|entry| entry.expect("an entry").path());
    let mut folders: Vec<_> = entries.filter(|path| path.join("expected.json").is_file()).collect();
    folders.sort();
    assert!(folders.len() > 100, "only {} scenarios", folders.len());
    let found: Vec<_> = folders.iter().flat_map(|folder| scenario(folder)).collect();
    assert!(found.is_empty(), "{} differences:\n{}", found.len(), found.join("\n"));
}
