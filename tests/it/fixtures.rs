//! Every tree of `fixtures/`: what a scan counts in it, to the token and the dollar, in every order.
//! Each folder states its own expectations (`expected.json`, format in `fixtures/README.md`).

use crate::support::{Report, Sandbox, checked, copy_file, files_below, instant, root};
use pretty_assertions::assert_eq;
use rust_decimal::Decimal;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::SystemTime;

/// What a tree must add up to. Absent keys are not checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    models: BTreeMap<String, ModelRow>,
    #[serde(default)]
    sessions: Option<BTreeMap<String, u64>>,
    #[serde(default)]
    days: Option<BTreeMap<String, u64>>,
    #[serde(default)]
    cost_usd: Option<String>,
    #[serde(default)]
    unpriced: u64,
    #[serde(default)]
    bad_lines: Option<usize>,
    #[serde(default)]
    mtime: Option<String>,
    /// For readers: calls that the client made and did not log.
    #[serde(default, rename = "not_logged")]
    _not_logged: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelRow {
    messages: u64,
    input: u64,
    output: u64,
    cache_write_5m: u64,
    cache_write_1h: u64,
    cache_read: u64,
    web_searches: u64,
    incomplete: u64,
}

impl ModelRow {
    fn tokens(&self) -> [u64; 6] {
        [self.messages, self.input, self.output, self.cache_write_5m, self.cache_write_1h, self.cache_read]
    }
}

/// One fixture folder.
struct Fixture {
    name: String,
    projects: PathBuf,
    files: Vec<PathBuf>,
    modified: SystemTime,
    expected: Expected,
}

impl Fixture {
    fn load(folder: &Path) -> Self {
        let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
        let text = fs::read_to_string(folder.join("expected.json")).expect("expected.json");
        let expected: Expected =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let modified = expected.mtime.as_deref().unwrap_or("2026-01-15T00:00:00Z");
        let modified = chrono::DateTime::parse_from_rfc3339(modified).expect("mtime is RFC 3339").timestamp();
        let projects = folder.join("projects");
        let files = files_below(&projects);
        assert!(!files.is_empty(), "{name} has no logs");
        Self { name, projects, files, modified: instant(modified), expected }
    }

    /// Copies a file into `<claude>/projects`.
    fn copy(&self, file: &Path, claude: &Path) {
        copy_file(file, &self.projects, &claude.join("projects"), self.modified);
    }

    /// One scan of all files; with log lines as JSON, which name file and offset of what is wrong.
    fn whole(&self) -> (Sandbox, Output) {
        let sandbox = Sandbox::new();
        for file in &self.files {
            self.copy(file, &sandbox.claude());
        }
        let output = sandbox.scan_all(&[sandbox.claude()], &["--log-format", "json", "--log-level", "warn"]);
        (sandbox, output)
    }

    fn check_models(&self, report: &Report) {
        let name = &self.name;
        let unnamed: Vec<_> =
            report.rows.keys().filter(|row| !self.expected.models.contains_key(*row)).collect();
        assert_eq!(report.rows.len(), self.expected.models.len(), "{name}: models {:?}", report.rows.keys());
        for (model, expected) in &self.expected.models {
            // "?" stands for whatever a response without a model is shown under.
            let shown = if model == "?" { unnamed.first().map_or("", |row| row.as_str()) } else { model };
            let row = report.rows.get(shown).unwrap_or_else(|| panic!("{name}: no row for {model}"));
            assert_eq!(row.tokens(), expected.tokens(), "{name}: messages and tokens of {model}");
            assert_eq!(row.web_search_requests, expected.web_searches, "{name}: web searches of {model}");
            assert_eq!(row.incomplete_messages, expected.incomplete, "{name}: incomplete replies of {model}");
        }
        assert_eq!(report.totals.unpriced_messages, self.expected.unpriced, "{name}: unpriced");
        if let Some(cost) = &self.expected.cost_usd {
            let cost: Decimal = cost.parse().expect("cost_usd is a decimal");
            assert_eq!(report.totals.total_cost, Some(cost), "{name}: cost");
        }
    }

    fn check_rest(&self, sandbox: &Sandbox, scan: &Output) {
        let name = &self.name;
        if let Some(sessions) = &self.expected.sessions {
            assert_eq!(&messages(&sandbox.sessions()), sessions, "{name}: sessions");
        }
        if let Some(days) = &self.expected.days {
            assert_eq!(&messages(&sandbox.days()), days, "{name}: days");
        }
        if let Some(bad_lines) = self.expected.bad_lines {
            let stderr = String::from_utf8_lossy(&scan.stderr);
            assert_eq!(located_warnings(&stderr), bad_lines, "{name}: bad lines in\n{stderr}");
        }
    }
}

fn messages(report: &Report) -> BTreeMap<String, u64> {
    report.rows.iter().map(|(name, counts)| (name.clone(), counts.message_count)).collect()
}

/// Log events that name an offset in a file.
fn located_warnings(stderr: &str) -> usize {
    stderr.lines().filter(|line| line.starts_with('{') && line.contains("\"offset\"")).count()
}

fn fixtures(group: &str) -> Vec<Fixture> {
    let folder = root().join("fixtures").join(group);
    let mut folders: Vec<_> =
        fs::read_dir(folder).expect("the fixtures").map(|entry| entry.expect("an entry").path()).collect();
    folders.sort();
    folders.iter().map(|folder| Fixture::load(folder)).collect()
}

/// Runs a check on every fixture of a group and reports all that fail, not only the first.
fn check_all(group: &str, minimum: usize, check: fn(&Fixture)) {
    let fixtures = fixtures(group);
    assert!(fixtures.len() >= minimum, "only {} fixtures in {group}", fixtures.len());
    let failed: BTreeSet<_> = fixtures
        .iter()
        .filter(|fixture| catch_unwind(AssertUnwindSafe(|| check(fixture))).is_err())
        .map(|fixture| fixture.name.as_str())
        .collect();
    assert!(failed.is_empty(), "{} of {} fixtures in {group} fail: {failed:?}", failed.len(), fixtures.len());
}

/// A scan counts what is expected, and a second one changes nothing.
fn check_counts(fixture: &Fixture) {
    let (sandbox, scan) = fixture.whole();
    let first = sandbox.models();
    fixture.check_models(&first);
    fixture.check_rest(&sandbox, &scan);
    sandbox.scan();
    assert_eq!(sandbox.models(), first, "{}: a second scan changed something", fixture.name);
}

/// Files that come one by one, the last one first, each taken in by a scan of its own; and files spread
/// over several roots, listed backwards: both give what one scan of all gives.
fn check_order(fixture: &Fixture) {
    let (whole, _) = fixture.whole();
    let expected = (whole.models(), whole.sessions(), whole.days());
    let single = Sandbox::new();
    let spread = Sandbox::new();
    let mut roots = Vec::new();
    for (number, file) in fixture.files.iter().rev().enumerate() {
        fixture.copy(file, &single.claude());
        single.scan();
        let renamed = spread.path(&format!("root-{number}"));
        fixture.copy(file, &renamed);
        roots.push(renamed);
    }
    spread.scan_all(&roots, &[]);
    for (sandbox, order) in
        [(single, "one file at a time, backwards"), (spread, "over several roots, backwards")]
    {
        let found = (sandbox.models(), sandbox.sessions(), sandbox.days());
        assert_eq!(found, expected, "{}: {order}", fixture.name);
    }
}

/// Growth of a log in the middle of a line: a scan of each prefix, then of the whole file, counts the same.
fn check_growth(fixture: &Fixture) {
    let (whole, _) = fixture.whole();
    let sandbox = Sandbox::new();
    for cut in [3, 2, 1] {
        for file in &fixture.files {
            fixture.copy(file, &sandbox.claude());
            let target =
                sandbox.claude().join("projects").join(file.strip_prefix(&fixture.projects).expect("inside"));
            let log = fs::File::options().write(true).open(&target).expect("the copy");
            let length = log.metadata().expect("its length").len();
            log.set_len(length - length * (cut - 1) / 3).expect("a shorter copy");
            log.set_modified(fixture.modified).expect("a modification time");
        }
        sandbox.scan();
    }
    assert_eq!(sandbox.models(), whole.models(), "{}: models after growth in pieces", fixture.name);
    assert_eq!(sandbox.days(), whole.days(), "{}: days after growth in pieces", fixture.name);
}

#[test]
fn recorded_logs_add_up() {
    check_all("recorded", 20, check_counts);
}

#[test]
fn recorded_logs_add_up_in_any_order() {
    check_all("recorded", 20, check_order);
}

#[test]
fn recorded_logs_add_up_while_they_grow() {
    check_all("recorded", 20, check_growth);
}

#[test]
fn edge_cases_add_up() {
    check_all("edge", 90, check_counts);
}

#[test]
fn edge_cases_add_up_in_any_order() {
    check_all("edge", 90, check_order);
}

#[test]
fn edge_cases_add_up_while_they_grow() {
    check_all("edge", 90, check_growth);
}

/// What is committed is what the script writes: no case is edited by hand, none is lost.
#[test]
fn edge_cases_are_what_their_script_writes() {
    let sandbox = Sandbox::new();
    let (fresh, kept) = (sandbox.path("edge"), root().join("fixtures/edge"));
    let script = root().join("scripts/fixtures/edge.py");
    let Ok(output) = Command::new("python3").arg(script).arg(&fresh).output() else {
        println!("skipped: python3 is not there");
        return;
    };
    checked(output);
    let content = |folder: &Path| -> BTreeMap<PathBuf, Vec<u8>> {
        let files = files_below(folder).into_iter();
        files
            .map(|file| {
                (file.strip_prefix(folder).expect("inside").to_owned(), fs::read(&file).expect("a file"))
            })
            .collect()
    };
    let (fresh, kept) = (content(&fresh), content(&kept));
    assert!(fresh.keys().eq(kept.keys()), "files come or go; run scripts/fixtures/edge.py");
    let changed: Vec<_> = fresh.iter().filter(|(path, bytes)| kept.get(*path) != Some(bytes)).collect();
    assert!(
        changed.is_empty(),
        "run scripts/fixtures/edge.py: {:?}",
        changed.iter().map(|(path, _)| path).collect::<Vec<_>>()
    );
}

/// A record like the ones of `edge`, with a text of the given length.
fn record(number: u32, text: &str) -> String {
    format!(
        r#"{{"type":"assistant","uuid":"aaaaaaaa-0000-4000-8000-{number:012}","sessionId":"11111111-1111-4111-8111-111111111111","timestamp":"2026-10-05T10:00:00.000Z","version":"2.1.330","requestId":"req_011{number:021}","message":{{"id":"msg_01{number:022}","type":"message","role":"assistant","model":"claude-opus-5-5","content":[{{"type":"text","text":"{text}"}}],"stop_reason":"end_turn","stop_details":null,"usage":{{"input_tokens":1,"output_tokens":10,"cache_creation_input_tokens":0,"cache_read_input_tokens":0}}}}}}"#
    )
}

#[test]
fn a_line_of_nine_megabytes_counts() {
    let sandbox = Sandbox::new();
    let log = format!("{}\n{}\n{}\n", record(1, "a"), record(2, &"y".repeat(9_000_000)), record(3, "c"));
    sandbox.log("a.jsonl", log.as_bytes());
    sandbox.scan();
    assert_eq!(sandbox.models().totals.tokens(), [3, 3, 30, 0, 0, 0]);
}

#[test]
fn an_over_long_line_is_reported_and_its_neighbours_count() {
    let sandbox = Sandbox::new();
    let before = record(1, "a");
    let log = format!("{before}\n{}\n{}\n", record(2, &"y".repeat(20_000_000)), record(3, "c"));
    let path = sandbox.log("a.jsonl", log.as_bytes());
    let scan = sandbox.scan_all(&[sandbox.claude()], &["--log-format", "json", "--log-level", "warn"]);
    assert_eq!(sandbox.models().totals.tokens(), [2, 2, 20, 0, 0, 0]);
    let stderr = String::from_utf8_lossy(&scan.stderr);
    let told = stderr
        .lines()
        .find(|line| line.contains("\"offset\""))
        .unwrap_or_else(|| panic!("not told:\n{stderr}"));
    assert!(told.contains(&format!(":{}", before.len() + 1)), "where the line begins: {told}");
    assert!(told.contains(path.file_name().expect("a name").to_str().expect("UTF-8")), "which file: {told}");
    assert!(!told.contains("yyyy"), "no text of the line: {told}");
}
