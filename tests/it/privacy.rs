//! No text of a conversation leaves the logs: a canary stands in every text position of a log, and must
//! not be found in the ledger, in the log output at trace level, in any report or in any error.

use crate::support::{Sandbox, files_below};
use serde_json::{Value, json};
use std::fs;
use std::process::Output;

/// Also looked for with each byte apart by a zero, as in UTF-16.
const CANARY: &str = "CANARYoriole7719";
const SESSION: &str = "11111111-1111-4111-8111-111111111111";
const MESSAGE: &str = "msg_01canaryreplyAAAAAAAA";
const COMMANDS: [&str; 7] = ["daily", "weekly", "monthly", "session", "project", "model", "blocks"];

/// A text with the canary and a name of its position.
fn canary(position: &str) -> Value {
    json!(format!("{CANARY} {position}"))
}

fn envelope(kind: &str, second: u32) -> Value {
    json!({
        "type": kind, "uuid": format!("uuid-{kind}-{second}"), "parentUuid": null, "isSidechain": false,
        "sessionId": SESSION, "timestamp": format!("2026-10-05T10:00:{second:02}.000Z"), "cwd": "/home/dev/p",
        "version": "2.1.330", "gitBranch": canary("branch"), "slug": canary("slug")
    })
}

fn with(mut record: Value, fields: Value) -> Value {
    let Value::Object(fields) = fields else { panic!("fields are an object") };
    record.as_object_mut().expect("a record is an object").extend(fields);
    record
}

/// A reply whose every free text is a canary.
fn reply() -> Value {
    with(
        envelope("assistant", 3),
        json!({
            "requestId": "req_011canary", "error": canary("error"), "attributionSkill": canary("skill"),
            "message": {
                "id": MESSAGE, "type": "message", "role": "assistant", "model": "claude-opus-5-5",
                "stop_reason": "end_turn", "stop_sequence": canary("stop sequence"), "stop_details": canary("details"),
                "container": {"id": canary("container")}, "context_management": canary("context"),
                "diagnostics": canary("diagnostics"),
                "content": [
                    {"type": "text", "text": canary("text")},
                    {"type": "thinking", "thinking": canary("thinking"), "signature": canary("signature")},
                    {"type": "tool_use", "id": canary("tool id"), "name": canary("tool name"), "input": {
                        "command": canary("command"), CANARY: canary("key"),
                        "usage": {"input_tokens": 7, "note": canary("usage in input")}
                    }}
                ],
                "usage": {
                    "input_tokens": 10, "output_tokens": 500, "cache_creation_input_tokens": 0,
                    "cache_read_input_tokens": 0, "service_tier": canary("tier"), "speed": canary("speed"),
                    "inference_geo": canary("geo"), "iterations": [{"type": canary("iteration")}], "extra": canary("usage")
                }
            }
        }),
    )
}

/// One record of each kind that carries text.
fn records() -> Vec<Value> {
    let prompt = json!({"message": {"role": "user", "content": canary("prompt")}});
    let result = json!({
        "message": {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": canary("result")}]},
        "toolUseResult": {"stdout": canary("stdout"), "stderr": canary("stderr"), "usage": {"output_tokens": 5, "x": canary("aggregate")}}
    });
    let inner = with(reply(), json!({"isSidechain": true, "agentId": "a1"}));
    let progress = json!({"data": {"type": "agent_progress", "prompt": canary("agent prompt"), "message": inner, "normalizedMessages": [canary("normal")]}});
    let failed = json!({"isApiErrorMessage": true, "message": {"id": "x", "model": "<synthetic>", "role": "assistant",
        "content": [{"type": "text", "text": canary("api error")}], "usage": {"input_tokens": 0, "output_tokens": 0}}});
    let account = json!({"totalCostUSD": 0.01, "startTime": 1_790_000_000_000_u64, "totalDuration": 5, "note": canary("account"), "modelUsage": {}});
    vec![
        with(envelope("user", 1), prompt),
        with(envelope("user", 2), result),
        reply(),
        with(envelope("progress", 4), progress),
        with(envelope("assistant", 5), failed),
        with(envelope("cost-state", 6), account),
        with(envelope("custom-title", 7), json!({"customTitle": canary("title")})),
        with(envelope("ai-title", 8), json!({"title": canary("title")})),
        with(envelope("summary", 9), json!({"summary": canary("summary")})),
        with(envelope("last-prompt", 10), json!({"lastPrompt": canary("last prompt")})),
        with(
            envelope("attachment", 11),
            json!({"attachment": {"type": "file", "content": canary("attachment")}}),
        ),
        with(envelope("system", 12), json!({"subtype": "local_command", "content": canary("command")})),
        with(envelope("queue-operation", 13), json!({"operation": "enqueue", "content": canary("queued")})),
        with(envelope("file-history-snapshot", 14), json!({"snapshot": {"path": canary("path"), CANARY: 1}})),
        with(envelope(CANARY, 15), json!({"message": {"usage": canary("unknown type")}})),
    ]
}

/// The records, and after them lines that are broken in ways that an error might quote.
fn planted() -> Vec<u8> {
    let mut log: Vec<u8> = records().iter().flat_map(|record| format!("{record}\n").into_bytes()).collect();
    let whole = reply().to_string();
    let cut = whole.find("thinking").expect("a cut inside the content");
    for broken in [
        whole[..cut].to_owned(),
        format!("{}{whole}", &whole[..cut]),
        format!("{{\"type\":\"assistant\",\"message\":{{\"usage\":\"{CANARY}\",\"model\":{CANARY}}}}}"),
        whole.replace("\"input_tokens\":10", &format!("\"input_tokens\":\"{CANARY}\"")),
        whole.replace("\"2026-10-05T10:00:03.000Z\"", &format!("\"{CANARY}\"")),
        format!("{CANARY} \"usage\""),
    ] {
        log.extend_from_slice(broken.as_bytes());
        log.push(b'\n');
    }
    log.extend_from_slice(b"\xff\xfe \"usage\" ");
    log.extend_from_slice(CANARY.as_bytes());
    log.push(b'\n');
    log.extend_from_slice(&whole.as_bytes()[..cut]);
    log
}

fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len()).position(|window| window == needle)
}

fn assert_silent(what: &str, bytes: &[u8]) {
    let wide: Vec<u8> = CANARY.bytes().flat_map(|byte| [byte, 0]).collect();
    for needle in [CANARY.as_bytes(), &wide] {
        if let Some(at) = find(bytes, needle) {
            let near = &bytes[at.saturating_sub(60)..bytes.len().min(at + 80)];
            panic!("a canary is in {what}, at byte {at}: {}", String::from_utf8_lossy(near));
        }
    }
}

fn assert_output_silent(what: &str, output: &Output) {
    assert!(
        output.status.success(),
        "{what}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    assert_silent(&format!("stdout of {what}"), &output.stdout);
    assert_silent(&format!("stderr of {what}"), &output.stderr);
}

/// A sandbox whose log is full of canaries, scanned once at trace level.
fn scanned() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.log(&format!("{SESSION}.jsonl"), &planted());
    for format in ["text", "json"] {
        let scan = sandbox.scan_all(&[sandbox.claude()], &["--log-level", "trace", "--log-format", format]);
        assert_output_silent(&format!("scan with {format} logs"), &scan);
    }
    assert_eq!(sandbox.models().totals.tokens(), [1, 10, 500, 0, 0, 0], "the planted reply counts");
    sandbox
}

#[test]
fn the_search_itself_finds_a_canary() {
    assert!(find(&planted(), CANARY.as_bytes()).is_some());
    assert!(std::panic::catch_unwind(|| assert_silent("a test", &planted())).is_err());
}

#[test]
fn no_text_is_kept_in_the_ledger_or_logged() {
    let sandbox = scanned();
    let files = files_below(&sandbox.state());
    assert!(!files.is_empty(), "there is a ledger");
    for file in files {
        assert_silent(&file.display().to_string(), &fs::read(&file).expect("a ledger file"));
    }
}

#[test]
fn no_text_is_reported() {
    let sandbox = scanned();
    let state = sandbox.state();
    let state = state.to_str().expect("UTF-8");
    let base = ["--state-dir", state, "--no-scan", "--log-level", "trace"];
    for command in COMMANDS {
        for format in [&[][..], &["--json"], &["--csv"], &["--breakdown"]] {
            let arguments = [&[command][..], format, &base].concat();
            assert_output_silent(&arguments.join(" "), &sandbox.output(&arguments));
        }
    }
    let claude = sandbox.claude();
    let claude = claude.to_str().expect("UTF-8");
    for id in [MESSAGE, SESSION] {
        let arguments = ["explain", id, "--state-dir", state, "--claude-dir", claude, "--log-level", "trace"];
        assert_output_silent(&arguments.join(" "), &sandbox.output(&arguments));
    }
}

#[test]
fn no_text_is_in_what_a_killed_daemon_leaves_or_says() {
    let sandbox = Sandbox::new();
    sandbox.log(&format!("{SESSION}.jsonl"), &planted());
    for format in ["text", "json"] {
        let mut command = sandbox.command();
        command
            .args(["run", "--log-level", "trace", "--log-format", format, "--state-dir"])
            .arg(sandbox.state());
        command.arg("--claude-dir").arg(sandbox.claude()).stderr(std::process::Stdio::piped());
        let mut daemon = crate::process::Daemon::start(&mut command);
        daemon.wait_for("following");
        assert_silent(&format!("the log, as {format}"), daemon.told.join("\n").as_bytes());
        assert!(daemon.kill());
        let files = files_below(&sandbox.state());
        assert!(files.iter().any(|file| file.to_string_lossy().ends_with("-wal")), "{files:?}");
        // The socket that `tallyd status` asks on holds nothing.
        for file in files.into_iter().filter(|file| file.is_file()) {
            assert_silent(&file.display().to_string(), &fs::read(&file).expect("a ledger file"));
        }
    }
}

#[test]
fn no_text_is_told_by_the_commands_around_the_reports() {
    let sandbox = scanned();
    let (state, claude) = (sandbox.state(), sandbox.claude());
    let user = "3dfb3580-b7c4-4da3-8d9e-b9775c216f7e";
    for line in [&["check"][..], &["check", "--json"], &["metrics"], &["publish", "--dry-run"], &["publish"]]
    {
        let mut command = sandbox.command();
        command
            .args(line)
            .args(["--log-level", "trace", "--state-dir"])
            .arg(&state)
            .arg("--claude-dir")
            .arg(&claude);
        command.env("SUPABASE_URL", "http://127.0.0.1:9").env("USER_ID", user);
        let output = command.env("SUPABASE_SERVICE_KEY", "sb_secret_x").output().expect("tallyd starts");
        assert_silent(&format!("stdout of {line:?}"), &output.stdout);
        assert_silent(&format!("stderr of {line:?}"), &output.stderr);
        assert!(!output.stdout.is_empty() || !output.stderr.is_empty(), "{line:?}");
    }
}
