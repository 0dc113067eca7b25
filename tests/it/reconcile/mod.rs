//! The ledger against what others bill: the client's printed totals, the Console's exports, Anthropic's Admin APIs.
//! Their answers are made from the public reference, see `fixtures/README.md`; the real services are never asked.
#![cfg(test)]

mod api;
mod files;
mod recorded;
mod refused;
mod server;

use crate::process::{Sandbox, text};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;

const SESSION: &str = "11111111-1111-4111-8111-111111111111";
const KEY: &str = "sk-ant-admin01-CANARYoriole";

/// A whole line with a reply of Opus 5.5: input, output, 5-minute and 1-hour writes, reads.
fn reply(session: &str, id: &str, at: &str, tokens: [u64; 5]) -> String {
    let [input, output, five_minutes, one_hour, reads] = tokens;
    let line = serde_json::json!({
        "type": "assistant", "uuid": format!("u-{id}"), "sessionId": session, "cwd": "/home/dev/p",
        "version": "2.1.330", "timestamp": at, "requestId": format!("req_{id}"),
        "message": {"id": format!("msg_01{id}"), "role": "assistant", "model": "claude-opus-5-5",
            "stop_reason": "end_turn", "stop_details": null, "usage": {
                "iterations": [],
                "input_tokens": input, "output_tokens": output, "cache_read_input_tokens": reads,
                "cache_creation_input_tokens": five_minutes + one_hour,
                "cache_creation": {"ephemeral_5m_input_tokens": five_minutes, "ephemeral_1h_input_tokens": one_hour}}}
    });
    format!("{line}\n")
}

/// A session of two days, as the recorded answers have it.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    let first = reply(SESSION, "A", "2026-11-20T10:00:00.000Z", [11, 507, 401, 600, 20100]);
    sandbox.write_log(&format!("-p/{SESSION}.jsonl"), &first);
    let second =
        reply("22222222-2222-4222-8222-222222222222", "B", "2026-11-21T23:59:59.999Z", [20, 100, 0, 0, 5000]);
    sandbox.write_log("-p/22222222-2222-4222-8222-222222222222.jsonl", &second);
    sandbox
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/reconcile").join(name)
}

fn fixture(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Exit code, stdout and stderr; the key is in neither.
fn told(command: &mut Command) -> (i32, String, String) {
    let output = command.output().expect("tallyd runs");
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(!format!("{stdout}{stderr}").contains("CANARY"), "a key is shown: {stdout}{stderr}");
    (output.status.code().expect("it ends by itself"), stdout, stderr)
}

/// The JSON of a comparison that ends with this code.
#[track_caller]
fn compared(command: &mut Command, code: i32) -> Value {
    let (ended, stdout, stderr) = told(command.arg("--json"));
    assert_eq!(ended, code, "{stdout}{stderr}");
    serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}{stderr}"))
}

/// Each row as `date model: theirs cost − ours cost, differing kinds, causes`.
fn rows(document: &Value) -> Vec<String> {
    let rows = document["rows"].as_array().expect("a list").iter();
    rows.map(|row| {
        let key = row["date"].as_str().or(row["sessionId"].as_str()).expect("a key");
        let kinds: Vec<String> = row["difference"]
            .as_object()
            .expect("a difference")
            .iter()
            .filter(|(_, value)| !value.is_null() && value.as_f64() != Some(0.0))
            .map(|(kind, value)| format!("{kind} {value}"))
            .collect();
        let causes: Vec<&str> = row["causes"]
            .as_array()
            .expect("causes")
            .iter()
            .map(|cause| cause["cause"].as_str().unwrap())
            .collect();
        format!("{key} {}: {} [{}]", row["model"].as_str().unwrap(), kinds.join(", "), causes.join(", "))
    })
    .collect()
}
