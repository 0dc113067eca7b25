//! Anthropic's Admin APIs: what is asked for, page by page, and what is made of the answers.

use super::server::{Server, as_recorded};
use super::{KEY, compared, rows, sandbox, told};
use crate::process::Sandbox;
use pretty_assertions::assert_eq;
use std::fs;
use std::process::Command;

const DAYS: [&str; 4] = ["--since", "2026-11-20", "--until", "2026-11-21"];

fn asking(sandbox: &Sandbox, server: &Server, flags: &[&str]) -> Command {
    let mut command = sandbox.tallyd("reconcile");
    command.args(flags).env("ANTHROPIC_ADMIN_KEY", KEY).env("TALLYD_ANTHROPIC_URL", &server.url);
    command
}

#[test]
fn usage_and_cost_meet_on_day_and_model() {
    let (sandbox, server) = (sandbox(), Server::start(|request, _| Some(as_recorded(request))));
    let document = compared(asking(&sandbox, &server, &["--api"]).args(DAYS), 14);
    assert_eq!(
        rows(&document),
        [
            "2026-11-20 claude-opus-5-5:  []",
            "2026-11-20 claude-sonnet-5-5: cost 0.022, inputTokens 1000, outputTokens 2000 [otherMachine]",
            "2026-11-21 claude-opus-5-5: cacheCreation1hTokens 500, cacheCreationTokens 500, cacheReadTokens 8000, \
             cost 0.010636, inputTokens 9, outputTokens 250, webSearchRequests 2 [unlogged, otherMachine]",
            "2026-11-21 web searches: cost 0.02 [otherMachine]",
            "2026-11-21 Code Execution Usage: cost 0.5 [notClaudeCode]",
        ]
    );
    let usage = "GET /v1/organizations/usage_report/messages?starting_at=2026-11-20T00%3A00%3A00Z&ending_at=2026-11-22T00%3A00%3A00Z&bucket_width=1d&limit=31&group_by%5B%5D=model";
    let cost = "GET /v1/organizations/cost_report?starting_at=2026-11-20T00%3A00%3A00Z&ending_at=2026-11-22T00%3A00%3A00Z&bucket_width=1d&limit=31&group_by%5B%5D=workspace_id&group_by%5B%5D=description";
    let second = format!("{usage}&page=page_MjAyNi0xMS0yMVQwMDowMDowMFo%3D");
    assert_eq!(server.asked(), [usage.to_owned(), second, cost.to_owned()]);
    for request in server.requests() {
        assert_eq!(request.header("x-api-key"), Some(KEY));
        assert_eq!(request.header("anthropic-version"), Some("2023-06-01"));
        assert!(request.header("user-agent").is_some_and(|agent| agent.starts_with("tallyd/")));
        assert_eq!(request.header("authorization"), None);
    }
}

#[test]
fn a_part_of_the_organization_can_be_asked_for() {
    let (sandbox, server) = (sandbox(), Server::start(|request, _| Some(as_recorded(request))));
    let part = ["--api", "--api-key-id", "apikey_01A", "--workspace", "wrkspc_01B"];
    let document = compared(asking(&sandbox, &server, &part).args(DAYS), 14);
    let asked = server.asked();
    assert_eq!(asked.len(), 2, "costs are not known by key: {asked:?}");
    assert!(asked[0].ends_with("&api_key_ids%5B%5D=apikey_01A&workspace_ids%5B%5D=wrkspc_01B"), "{asked:?}");
    assert_eq!(document["rows"][0]["theirs"]["cost"], serde_json::Value::Null);
    assert!(document["totals"][0]["notes"][0].as_str().unwrap().contains("tokens alone"));
    let document =
        compared(asking(&sandbox, &server, &["--api", "--workspace", "wrkspc_01Other"]).args(DAYS), 14);
    assert!(rows(&document).iter().any(|row| row.contains("sonnet-5-5") && row.contains("cost 0.022")));
    assert!(!rows(&document).iter().any(|row| row.contains("Code Execution")), "{:?}", rows(&document));
    let refused =
        told(asking(&sandbox, &server, &["--api", "--api-key-id", KEY]).args(DAYS).arg("--no-scan"));
    assert!(refused.0 == 2 && refused.2.contains("--api-key-id"), "{}", refused.2);
}

#[test]
fn claude_codes_analytics_are_asked_day_by_day() {
    let (sandbox, server) = (sandbox(), Server::start(|request, _| Some(as_recorded(request))));
    let document =
        compared(asking(&sandbox, &server, &["--analytics", "--user", "dev@example.com"]).args(DAYS), 14);
    assert_eq!(
        rows(&document),
        [
            // 2 cents are what 2.1009 are printed as.
            "2026-11-20 claude-opus-5-5: cost -0.001009 []",
            "2026-11-21 claude-opus-5-5: cacheReadTokens -5000, cost -0.00308, inputTokens -20, outputTokens -100 [otherAccount]",
        ]
    );
    let asked = server.asked();
    let path = "GET /v1/organizations/usage_report/claude_code?starting_at=";
    assert_eq!(
        asked,
        [
            format!("{path}2026-11-20&limit=1000"),
            format!("{path}2026-11-20&limit=1000&page=page_c2Vjb25k"),
            format!("{path}2026-11-21&limit=1000"),
        ]
    );
    let document = compared(asking(&sandbox, &server, &["--analytics"]).args(DAYS), 14);
    assert!(
        rows(&document)[0].contains("inputTokens 1000, outputTokens 2000"),
        "all users: {:?}",
        rows(&document)
    );
}

#[test]
fn the_key_comes_from_a_file_or_a_credential_as_well() {
    let (sandbox, server) = (sandbox(), Server::start(|request, _| Some(as_recorded(request))));
    let file = sandbox.path("anthropic_admin_key");
    fs::write(&file, format!("{KEY}\n")).expect("a key can be written");
    for (variable, value) in
        [("ANTHROPIC_ADMIN_KEY_FILE", file.clone()), ("CREDENTIALS_DIRECTORY", sandbox.path("."))]
    {
        let mut command = asking(&sandbox, &server, &["--api"]);
        compared(command.args(DAYS).env_remove("ANTHROPIC_ADMIN_KEY").env(variable, value), 14);
    }
    assert!(server.requests().iter().all(|request| request.header("x-api-key") == Some(KEY)));
    let token = "sk-ant-oat01-CANARYoriole";
    compared(asking(&sandbox, &server, &["--api"]).args(DAYS).env("ANTHROPIC_ADMIN_KEY", token), 14);
    let last = server.requests().pop().expect("it was asked");
    assert_eq!(last.header("authorization"), Some(format!("Bearer {token}").as_str()));
    assert_eq!(last.header("x-api-key"), None);
}

#[test]
fn the_usual_days_are_the_last_thirty() {
    let (sandbox, server) = (sandbox(), Server::start(|request, _| Some(as_recorded(request))));
    compared(&mut asking(&sandbox, &server, &["--api", "--until", "2026-11-30"]), 14);
    assert!(
        server.asked()[0].contains("starting_at=2026-11-01T00%3A00%3A00Z&ending_at=2026-12-01"),
        "{:?}",
        server.asked()
    );
    let (code, _, stderr) = told(
        asking(&sandbox, &server, &["--analytics", "--since", "2020-01-01"]).args(["--until", "2026-11-21"]),
    );
    assert!(code == 2 && stderr.contains("more than 366 days"), "{stderr}");
}
