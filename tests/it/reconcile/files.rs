//! Printed totals and exports, from files and from standard input.

use super::{SESSION, compared, fixture, path, reply, rows, sandbox, told};
use crate::process::Sandbox;
use pretty_assertions::assert_eq;
use std::fs;
use std::io::Write;
use std::process::Stdio;

#[test]
fn the_clients_total_agrees_to_the_token_and_the_dollar() {
    let sandbox = sandbox();
    let (code, stdout, stderr) = told(sandbox.tallyd("reconcile").arg(path("printed.json")));
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    for part in ["the client's printed totals", "11111111 2026-11-20", "$0.021009", "No difference is left."]
    {
        assert!(stdout.contains(part), "{part}: {stdout}");
    }
    assert_eq!(
        rows(&compared(sandbox.tallyd("reconcile").arg(path("printed.json")), 0)),
        [format!("{SESSION} claude-opus-5-5:  []")]
    );
}

#[test]
fn a_call_that_no_log_has_is_the_difference() {
    let sandbox = sandbox();
    let document = compared(sandbox.tallyd("reconcile").arg(path("printed-with-hidden.json")), 14);
    assert_eq!(
        rows(&document),
        [format!(
            "{SESSION} claude-opus-5-5: cacheCreationTokens 500, cacheReadTokens 8000, cost 0.010636, inputTokens 9, outputTokens 250 [unlogged]"
        )]
    );
    // As much as that is tolerated, and no less.
    for (tolerance, code) in [("0.010636", 0), ("0.0106", 14), ("100%", 0), ("44%", 14)] {
        let mut command = sandbox.tallyd("reconcile");
        compared(command.arg(path("printed-with-hidden.json")).args(["--tolerance", tolerance]), code);
    }
}

#[test]
fn standard_input_and_several_files_are_read_together() {
    let sandbox = sandbox();
    let mut command = sandbox.tallyd("reconcile");
    command.arg("-").arg(path("usage.csv")).arg("--json").stdin(Stdio::piped());
    let mut child = command.spawn().expect("tallyd runs");
    let stream = format!("{}\n{}", "{\"type\":\"system\",\"subtype\":\"init\"}", fixture("printed.json"));
    child.stdin.take().expect("it is piped").write_all(stream.as_bytes()).expect("it is read");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0), "{}", crate::process::text(&output.stderr));
    let document = serde_json::from_slice(&output.stdout).expect("JSON");
    let keys = rows(&document);
    assert_eq!(keys.len(), 3, "{keys:?}");
    assert!(keys.iter().all(|row| row.ends_with(":  []")), "{keys:?}");
}

#[test]
fn exports_of_usage_and_cost_meet_on_day_and_model() {
    let sandbox = sandbox();
    let document = compared(sandbox.tallyd("reconcile").arg(path("usage.csv")).arg(path("cost.csv")), 0);
    assert_eq!(
        rows(&document),
        ["2026-11-20 claude-opus-5-5: cost -0.011009 []", "2026-11-21 claude-opus-5-5: cost -0.00308 []"]
    );
    let of_one_day =
        sandbox.tallyd("reconcile").arg(path("usage.csv")).args(["--since", "20261121"]).output();
    assert!(!crate::process::text(&of_one_day.expect("it runs").stdout).contains("2026-11-20"));
}

#[test]
fn a_fork_goes_on_with_its_parents_total() {
    let sandbox = Sandbox::new();
    let fork = "33333333-3333-4333-8333-333333333333";
    let parents = reply(SESSION, "A", "2026-11-20T10:00:00.000Z", [11, 507, 401, 600, 20100]);
    sandbox.write_log(&format!("-p/{SESSION}.jsonl"), &parents);
    let copy = parents.replacen(
        &format!("\"sessionId\":\"{SESSION}\""),
        &format!("\"sessionId\":\"{fork}\",\"requestSessionId\":\"{SESSION}\""),
        1,
    );
    let own = reply(fork, "B", "2026-11-20T11:00:00.000Z", [20, 100, 0, 0, 5000]);
    sandbox.write_log(&format!("-p/{fork}.jsonl"), &(copy + &own));
    let file = sandbox.path("fork.json");
    let total = "{\"type\":\"result\",\"session_id\":\"33333333-3333-4333-8333-333333333333\",\"total_cost_usd\":0.024089,\"modelUsage\":{\"claude-opus-5-5\":{\"inputTokens\":31,\"outputTokens\":607,\"cacheReadInputTokens\":25100,\"cacheCreationInputTokens\":1001,\"webSearchRequests\":0,\"costUSD\":0.024089}}}";
    fs::write(&file, total).expect("a file can be written");
    assert_eq!(
        rows(&compared(sandbox.tallyd("reconcile").arg(&file), 14)),
        [format!(
            "{fork} claude-opus-5-5: cacheCreationTokens 1001, cacheReadTokens 20100, cost 0.021009, inputTokens 11, outputTokens 507 [inherited]"
        )]
    );
}

#[test]
fn a_session_that_no_log_has_is_said_to_have_none() {
    let sandbox = Sandbox::new();
    let document = compared(sandbox.tallyd("reconcile").arg(path("printed.json")), 14);
    assert!(rows(&document)[0].ends_with("[noLog]"), "{:?}", rows(&document));
}

#[test]
fn what_cannot_be_compared_is_refused_with_its_reason() {
    let sandbox = sandbox();
    let write = |name: &str, text: &str| {
        fs::write(sandbox.path(name), text).expect("a file can be written");
        sandbox.path(name)
    };
    for (file, what) in [
        (sandbox.path("nowhere.json"), "nowhere.json cannot be read"),
        (write("empty.json", ""), "empty.json has neither a total of the client's"),
        (write("text.json", "Hello.\n"), "text.json:1: no JSON: Hello."),
        (
            write("half.json", r#"{"type":"result","session_id":"s","modelUsage":7}"#),
            "modelUsage is no object",
        ),
        (write("columns.csv", "date,model\n2026-11-20,m\n"), "is no export of usage or cost"),
    ] {
        let (code, stdout, stderr) = told(sandbox.tallyd("reconcile").arg(&file));
        assert!(code == 2 && stdout.is_empty() && stderr.contains(what), "{what}: {code} {stdout}{stderr}");
    }
    let (code, _, stderr) =
        told(sandbox.tallyd("reconcile").arg(path("printed.json")).args(["--since", "2026-11-20"]));
    assert!(code == 2 && stderr.contains("cannot be cut by day"), "{stderr}");
    let (code, _, stderr) = told(&mut sandbox.tallyd("reconcile"));
    assert!(code == 2 && stderr.contains("FILE"), "{stderr}");
}

#[test]
fn a_row_that_was_not_understood_is_told_and_is_a_difference() {
    let sandbox = sandbox();
    let file = sandbox.path("usage.csv");
    fs::write(&file, fixture("usage.csv") + "2026-11-21,claude-opus-5-5,k,D,standard,x,many,0,0,0,0,0,,\n")
        .expect("a file");
    let (code, stdout, _) = told(sandbox.tallyd("reconcile").arg(&file));
    assert_eq!(code, 14, "{stdout}");
    assert!(stdout.contains("usage.csv:4: `many` is no count"), "{stdout}");
}
