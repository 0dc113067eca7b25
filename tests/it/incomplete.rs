//! Replies whose final output count is in no log: why, and what is estimated of them. With the archives of real logs the
//! figures of docs/incomplete.md are made here; `TALLYD_UPDATE=1` writes them anew.
#![cfg(test)]

use crate::corpora::{corpus, unpack};
use crate::support::{Sandbox, root, settle};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tallyd::domain::{Incompleteness, ReplySpan, UnixMillis};
use tallyd::ledger::{IncompleteReply, LedgerReader};

/// What an independent program says of the archive.
fn measured(archive: &Path, arguments: &[&str]) -> String {
    let script = root().join("scripts/measure-incomplete");
    let output =
        Command::new("python3").arg(script).args(arguments).arg(archive).output().expect("python3 starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// The sums of a report with estimates.
fn totals(sandbox: &Sandbox) -> Value {
    let report: Value =
        serde_json::from_str(&sandbox.report(&["monthly", "--json", "--estimate"])).expect("JSON");
    report["totals"].clone()
}

fn replies(sandbox: &Sandbox) -> Vec<IncompleteReply> {
    let reader = LedgerReader::open(&sandbox.state()).expect("a ledger");
    reader.audit().expect("a sound ledger");
    reader.incomplete_replies().expect("replies without a final count")
}

#[test]
fn the_shares_and_the_error_of_the_estimate_are_those_of_real_logs() {
    let Some(archive) = corpus("real-logs.tar.xz") else { return };
    for table in ["shares", "errors", "held-out"] {
        settle("docs/incomplete.md", table, &measured(&archive, &["--table", table]));
    }
}

#[test]
fn estimates_of_real_logs_are_those_of_an_independent_program() {
    let Some(archive) = corpus("real-logs.tar.xz") else { return };
    let sandbox = Sandbox::new();
    let logs = unpack(&archive, &sandbox);
    sandbox.scan_all(&[logs], &[]);
    let totals = totals(&sandbox);
    let (incomplete, tokens) = (&totals["incompleteMessages"], &totals["estimatedTokens"]);
    let replies = replies(&sandbox);
    let estimated = replies.iter().filter(|reply| reply.response.estimated_rest().is_some()).count();
    assert_eq!(format!("{incomplete} {estimated} {tokens}"), measured(&archive, &["--sum"]).trim());
    assert_eq!(totals["incompleteReplies"]["placeholder"], *incomplete, "all are by clients up to 2.1.96");
}

/// Of clients from 2.1.97 on: reply by reply, as the server knows how it ended.
#[test]
fn the_reasons_are_those_of_the_recorded_scenarios() {
    use Incompleteness::{Aborted, Error, Unknown};
    let Some(archive) = corpus("real-client.tar.xz") else { return };
    let sandbox = Sandbox::new();
    let folder = unpack(&archive, &sandbox);
    let is_new = |path: &PathBuf| {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let version = name.split_once('@').and_then(|(_, version)| tallyd::domain::client_version(version));
        path.join("expected.json").is_file() && version.is_none_or(|version| version >= [2, 1, 97])
    };
    let entries = fs::read_dir(folder).expect("the scenarios").map(|entry| entry.expect("an entry").path());
    let mut found = Vec::new();
    for folder in entries.filter(is_new) {
        let one = Sandbox::new();
        one.scan_all(std::slice::from_ref(&folder), &[]);
        let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
        found.extend(replies(&one).iter().map(|reply| (name.clone(), reply.response.incompleteness())));
    }
    found.sort();
    let expected = [
        ("abort_early", Aborted),
        ("abort_int", Aborted),
        ("abort_int_tool", Aborted),
        ("abort_sub", Unknown),
        ("abort_sub@2.1.112", Unknown),
        ("dropconn", Error),
        ("dropconn@2.1.112", Unknown),
        ("interactive", Aborted),
        ("interactive_ctrlc", Aborted),
        ("midstream", Error),
        ("midstream@2.1.112", Unknown),
        ("midstream@2.1.200", Error),
    ];
    assert_eq!(found, expected.map(|(name, why)| (name.to_owned(), Some(why))));
}

/// Where the client's account has the rest of a reply, it is unlogged usage, and not estimated as well.
#[test]
fn what_the_clients_account_has_is_not_estimated_as_well() {
    let Some(archive) = corpus("real-client.tar.xz") else { return };
    let all = Sandbox::new();
    let folder = unpack(&archive, &all);
    for (scenario, is_estimated) in [
        ("interactive_ctrlc", false),
        ("interactive", false),
        ("dropconn", false),
        ("abort_sub", false),
        ("abort_int", true),
    ] {
        let sandbox = Sandbox::new();
        sandbox.scan_all(&[folder.join(scenario)], &[]);
        let totals = totals(&sandbox);
        assert_eq!(totals["incompleteMessages"], 1, "{scenario}");
        assert_eq!(
            totals["estimatedTokens"].as_u64().expect("tokens") > 0,
            is_estimated,
            "{scenario}: {totals}"
        );
    }
}

/// A line of a session that asks, then a reply in two lines by an old client, then its end by a new one.
fn lines() -> Vec<String> {
    let stamp = |second: u32| format!("2026-02-01T10:00:{second:02}.000Z");
    let line = |kind: &str, second: u32, more: &str| {
        format!(
            r#"{{"type":"{kind}","uuid":"u{second}","sessionId":"s","timestamp":"{}"{more}}}"#,
            stamp(second)
        )
    };
    let reply = |id: &str, second: u32, output: u32, version: &str, end: &str| {
        let message = format!(
            r#","version":"{version}","message":{{"id":"msg_01{id}","model":"claude-opus-5-5"{end},"usage":{{"input_tokens":5,"output_tokens":{output}}}}}"#
        );
        line("assistant", second, &message)
    };
    let long = format!(r#","message":{{"content":"{}"}}"#, "tool output ".repeat(3_000));
    let too_long = format!(r#","message":{{"content":"{}"}}"#, "tool output ".repeat(6_000));
    vec![
        line("user", 0, ""),
        reply("A", 4, 3, "2.1.50", ""),
        line("user", 5, ""),
        reply("A", 8, 3, "2.1.50", ""),
        line("user", 10, &long),
        reply("B", 30, 2, "2.1.50", ""),
        line("user", 31, &too_long),
        reply("C", 40, 1, "2.1.50", ""),
        line("user", 41, ""),
        r#"{"type":"summary","text":"no time"}"#.to_owned(),
        reply("D", 43, 1, "2.1.330", r#","stop_reason":"end_turn""#),
        reply("E", 44, 1, "2.1.330", ""),
        reply("E", 45, 90, "2.1.330", r#","stop_reason":"end_turn","stop_details":null"#),
    ]
}

#[test]
fn when_a_reply_was_asked_for_is_the_same_live_and_at_once() {
    let at = |second: i64| Some(UnixMillis(1_769_940_000_000 + second * 1000));
    let span = |asked: Option<i64>, last: i64| ReplySpan { asked_at: asked.and_then(at), last_at: at(last) };
    // The line before C is longer than what is looked through.
    let expected = [span(Some(0), 8), span(Some(10), 30), span(None, 40), span(Some(41), 43)];
    let text = lines().join("\n") + "\n";
    let spans =
        |sandbox: &Sandbox| replies(sandbox).iter().map(|reply| reply.response.span).collect::<Vec<_>>();
    let at_once = Sandbox::new();
    at_once.log("s.jsonl", text.as_bytes());
    at_once.scan();
    assert_eq!(spans(&at_once), expected);
    let live = Sandbox::new();
    let mut marked = Vec::new();
    for (line, end) in lines().iter().zip(text.match_indices('\n')) {
        // Once with half of the line, once with all of it but its end, once whole.
        for cut in [end.0 - line.len() / 2, end.0, end.0 + 1] {
            live.log("s.jsonl", &text.as_bytes()[..cut]);
            live.scan();
        }
        marked.push(replies(&live).len());
    }
    assert_eq!(marked, [0, 1, 1, 1, 1, 2, 2, 3, 3, 3, 4, 5, 4], "the mark goes when the final count comes");
    assert_eq!(spans(&live), expected);
    let reader = LedgerReader::open(&live.state()).expect("a ledger");
    let why: Vec<_> = replies(&live).iter().filter_map(|reply| reply.response.incompleteness()).collect();
    let placeholder = Incompleteness::Placeholder;
    assert_eq!(why, [placeholder, placeholder, placeholder, Incompleteness::Error]);
    let counts = reader.incomplete_counts().expect("counts");
    assert_eq!(counts.iter().map(|count| count.replies).collect::<Vec<_>>(), [3, 1]);
    let totals = totals(&live);
    // 8 s, 20 s and 2 s at 57.5 tokens, less the 3, 2 and 1 that are logged.
    assert_eq!(totals["estimatedTokens"], 457 + 1_148 + 114);
    assert_eq!(totals["estimatedCost"].to_string(), "0.03438", "1,719 tokens at 20 USD a million");
    assert_eq!(totals["outputTokens"], 97, "and nothing of it is in a sum");
}

#[test]
fn settings_and_environment_ask_for_estimates() {
    let sandbox = Sandbox::new();
    sandbox.log("s.jsonl", (lines().join("\n") + "\n").as_bytes());
    sandbox.scan();
    let table = |variable: Option<&str>| {
        let mut command = sandbox.command();
        command.args(["daily", "--no-scan", "--timezone", "UTC", "--state-dir"]).arg(sandbox.state());
        command.envs(variable.map(|value| ("TALLYD_ESTIMATE", value)));
        String::from_utf8(command.output().expect("tallyd starts").stdout).expect("text")
    };
    assert!(!table(None).contains("stimate"), "{}", table(None));
    assert!(!table(Some("0")).contains("stimate"));
    let asked = table(Some("1"));
    assert!(asked.contains("│ Estimated") && asked.contains("1 of these replies has no estimate"), "{asked}");
}

/// The older session logged a reply, the newer one nothing but its account.
#[test]
fn a_session_that_only_its_account_knows_is_among_the_latest() {
    let sandbox = Sandbox::new();
    sandbox.log("s.jsonl", (lines().join("\n") + "\n").as_bytes());
    let account = r#"{"type":"cost-state","sessionId":"only","totalCostUSD":0.02,"totalDuration":617,"startTime":1790000000000,"modelUsage":{"claude-opus-5-5":{"inputTokens":10,"outputTokens":1000,"costUSD":0.02004}}}"#;
    sandbox.log("only.jsonl", format!("{account}\n").as_bytes());
    sandbox.scan();
    let sessions = |last: &str| {
        let report: Value =
            serde_json::from_str(&sandbox.report(&["session", "--json", "--last", last])).expect("JSON");
        let rows = report["sessions"].as_array().expect("rows").clone();
        rows.iter().map(|row| row["sessionId"].as_str().expect("an id").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(sessions("5"), ["s", "only"]);
    assert_eq!(sessions("1"), ["only"]);
    let explained =
        sandbox.output(&["explain", "only", "--no-scan", "--state-dir", &sandbox.state().to_string_lossy()]);
    let text = String::from_utf8_lossy(&explained.stdout).into_owned();
    assert!(
        text.starts_with(
            "session only: $0.02004\n  logged   0 responses, $0\n  unlogged 1,010 tokens, $0.02004"
        ),
        "{text}"
    );
}
