//! What the real client logged, against the account of it that the same client wrote: a `cost-state` line has the
//! figures that a printed total has.

use super::rows;
use crate::process::Sandbox;
use pretty_assertions::assert_eq;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// The recordings in which the client's account is not what it logged, each with what is found. In all others every
/// row agrees.
const DIFFERENT: [(&str, &[&str]); 3] = [
    (
        "fork-session",
        &[
            "claude-opus-5-5:  []",
            "claude-opus-5-5: cacheCreation1hTokens 1200, cacheCreation5mTokens 1706, cacheCreationTokens 2906, \
             cacheReadTokens 60600, cost 0.061234, inputTokens 36, outputTokens 1542 [inherited]",
        ],
    ),
    // Written before the reply that SIGINT cut off was booked.
    (
        "interrupt",
        &[
            "claude-opus-5-5: cacheCreation1hTokens -600, cacheCreation5mTokens -401, cacheCreationTokens -1001, \
           cacheReadTokens -20100, cost -0.010909, inputTokens -11, outputTokens -2 [cutOff]",
        ],
    ),
    // The line with the account was torn: the resumed session began at 0.
    (
        "torn-line",
        &[
            "claude-opus-5-5: cacheCreation1hTokens -600, cacheCreation5mTokens -401, cacheCreationTokens -1001, \
           cacheReadTokens -20100, cost -0.021009, inputTokens -11, outputTokens -507 [wentOn]",
        ],
    ),
];

/// All session logs of a recording.
fn logs(folder: &Path) -> Vec<PathBuf> {
    let mut logs = crate::process::files_below(folder);
    logs.retain(|log| log.extension().is_some_and(|extension| extension == "jsonl"));
    logs
}

/// The last account of each log, as the client would print it.
fn printed(folder: &Path) -> Vec<Value> {
    let mut all = Vec::new();
    for log in logs(folder) {
        let text = fs::read_to_string(&log).expect("a log can be read");
        let mut values = text.lines().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let Some(last) = values.find(|value| value["type"] == "cost-state") else { continue };
        all.push(
            json!({"type": "result", "session_id": last["sessionId"], "total_cost_usd": last["totalCostUSD"],
            "modelUsage": last["modelUsage"]}),
        );
    }
    all
}

#[test]
fn recorded_sessions_agree_with_the_clients_account_or_differ_by_what_was_not_logged() {
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/recorded");
    let mut found = Vec::new();
    let mut names: Vec<_> =
        fs::read_dir(&recorded).expect("recordings").map(|entry| entry.expect("one").file_name()).collect();
    names.sort();
    for name in names.iter().map(|name| name.to_string_lossy()).filter(|name| name.ends_with("@2.1.330")) {
        let folder = recorded.join(&*name);
        let sandbox = Sandbox::new();
        let file = sandbox.path("printed.json");
        let lines: Vec<String> = printed(&folder).iter().map(Value::to_string).collect();
        assert!(!lines.is_empty(), "{name} has no account");
        fs::write(&file, lines.join("\n")).expect("a file can be written");
        let mut command = sandbox.bare();
        command
            .arg("reconcile")
            .arg(&file)
            .arg("--state-dir")
            .arg(sandbox.state())
            .arg("--claude-dir")
            .arg(&folder);
        let output = command.arg("--json").output().expect("tallyd runs");
        let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        if name == "compact@2.1.330" {
            // The compaction call is billed and never logged.
            let sides = ["logged", "unlogged"].map(|side| &document["rows"][0][side]["outputTokens"]);
            assert_eq!(sides, [1549, 521]);
        }
        let rows = rows(&document).into_iter().map(|row| row.split_once(' ').expect("a key").1.to_owned());
        found.push((name.trim_end_matches("@2.1.330").to_owned(), rows.collect::<Vec<_>>()));
    }
    assert!(found.len() >= 17, "{found:?}");
    found.retain(|(_, rows)| !rows.iter().all(|row| row.ends_with(":  []")));
    let different =
        DIFFERENT.map(|(name, rows)| (name.to_owned(), rows.iter().map(|&row| row.to_owned()).collect()));
    assert_eq!(found, Vec::<(String, Vec<String>)>::from(different));
}
